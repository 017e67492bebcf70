"""The gate: one door out of a site, and what it seals with.

What a name stands for is loaded when it is first asked for: a hub, which only adds what
it cannot read, loads neither the gate nor an estimator. The gate itself is
`hetao.release.decide.decide`, as its module has its name.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hetao.release.binding import Binding, commit, nonce_for
    from hetao.release.decide import (
        ClosedDoor,
        Door,
        Notice,
        Place,
        Release,
        Summary,
        check_values,
    )
    from hetao.release.finals import checks_of, final_checks
    from hetao.release.message import pack, unpack
    from hetao.release.policy import (
        STRICT,
        Policy,
        check_people,
        policy_from,
        read_policy,
    )
    from hetao.release.quality import Counted, check_graded, grade_quality
    from hetao.release.seal import add, decode, encode, split, stream
    from hetao.release.tag import (
        check_tag,
        key_from,
        mask,
        new_key,
        tag_digest,
        tag_from,
        tag_of,
        tag_text,
    )

__all__ = [
    "STRICT",
    "Binding",
    "ClosedDoor",
    "Counted",
    "Door",
    "Notice",
    "Place",
    "Policy",
    "Release",
    "Summary",
    "add",
    "check_graded",
    "check_people",
    "check_tag",
    "check_values",
    "checks_of",
    "commit",
    "decode",
    "encode",
    "final_checks",
    "grade_quality",
    "key_from",
    "mask",
    "new_key",
    "nonce_for",
    "pack",
    "policy_from",
    "read_policy",
    "split",
    "stream",
    "tag_digest",
    "tag_from",
    "tag_of",
    "tag_text",
    "unpack",
]
_IN = {
    "binding": ("Binding", "commit", "nonce_for"),
    "decide": (
        "ClosedDoor",
        "Door",
        "Notice",
        "Place",
        "Release",
        "Summary",
        "check_values",
    ),
    "finals": ("checks_of", "final_checks"),
    "message": ("pack", "unpack"),
    "policy": ("STRICT", "Policy", "check_people", "policy_from", "read_policy"),
    "quality": ("Counted", "check_graded", "grade_quality"),
    "seal": ("add", "decode", "encode", "split", "stream"),
    "tag": (
        "check_tag",
        "key_from",
        "mask",
        "new_key",
        "tag_digest",
        "tag_from",
        "tag_of",
        "tag_text",
    ),
}


def __getattr__(name: str) -> object:
    """Return a public name, importing the module that holds it on first use."""
    for module, names in _IN.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
