"""What a site tells of a study's concept sets: a digest of each, and nothing else."""

import re
from collections.abc import Mapping
from typing import Final

from hetao.errors import WrongShape

CONCEPT_FIELDS: Final = {"name", "digest"}
DIGEST: Final = re.compile(r"(sha256:[0-9a-f]{64})?")


def check_concepts(told: object, names: list[str]) -> None:
    """Let out, of each concept set of the study, a digest; nothing else.

    Raises:
        WrongShape: anything else is told, or of other sets than these.
    """
    if not isinstance(told, list | tuple) or len(told) != len(names):
        raise WrongShape("a notice tells of other concept sets than the study's")
    for one, name in zip(told, names, strict=True):
        if not isinstance(one, Mapping) or set(one) != CONCEPT_FIELDS:
            raise WrongShape("a notice tells more of a concept set than it may")
        told_digest = one["digest"]
        is_digest = isinstance(told_digest, str) and DIGEST.fullmatch(told_digest)
        if one["name"] != name or not is_digest:
            raise WrongShape("a notice tells of a concept set in other words")
