"""Two hubs' sealed counts: whether any is small, and nothing else.

Of people who share a combination of a model's columns, or for whom two definitions of
two models differ; or of sites at which a number of a model differs.

Each hub signs pseudo-random tokens of its share of each count. The first hub's are of
what it holds, the second's of what would make the count 1, 2 … cell - 1 together with
it. A token that both have is a combination of so few people, or a number of so few
sites; which one, of how many, nobody can tell who has not the common secret. Before the
tokens stands a nonce: else a hub, which has that secret, could try counts out on the
digest of the other's tokens, which is published. How they are made:
`hetao.release.sealed_count`; why so: `docs/decisions/0025-sealed-counts.md` and
`docs/decisions/0030-counted-sites.md`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hetao.canonical import digest_bytes
from hetao.errors import BadEnvelope

NAME: Final = "sealed_count"  # of the protocol, as permits list it
TYPE: Final = "hetao.sealed-count/1"
TOKEN: Final = 16  # bytes
FIELD: Final = "sealed_counts"  # of a certificate's body
PEOPLE: Final = "count"  # of combinations and pairs: few are a refusal
SITES: Final = "sites"  # at which a number differs: few are told apart
COUNTED: Final = (PEOPLE, SITES)
FIRST_OF_SITES: Final = 2  # the version of the protocol from which on sites are counted


def task_of(analysis: str, attempt: int, what: str = PEOPLE) -> str:
    """Return the name of the piece of work that counts for an attempt, of `COUNTED`."""
    return f"{analysis}/{attempt}/{what}"


def what_of(task: str) -> str:
    """Return what a task counts, of `COUNTED`; "" of any other task."""
    what = task.rpartition("/")[2]
    return what if what in COUNTED else ""


def is_count(record: Mapping[str, Any]) -> bool:
    """Return whether a release record is of a sealed count, which shows nothing."""
    return str(record.get("protocol", "")).partition("/")[0] == NAME


def check_fit(said: Sequence[Mapping[str, Any]], task: str) -> None:
    """Return quietly if what both hubs signed of a count is of one count.

    Raises:
        BadEnvelope: it is not, or is malformed.
    """
    first, second = said
    for name in ("cell", "combinations", "control"):
        if first[name] != second[name]:
            raise BadEnvelope(f"the hubs' sealed counts of {task} do not fit together")
    cell, size = first["cell"], first["combinations"]
    if type(cell) is not int or type(size) is not int or cell < 1 or size < 1:
        raise BadEnvelope(f"a sealed count of {task} is malformed")


def finds_few(
    said: Sequence[Mapping[str, Any]], tokens: Sequence[bytes], task: str
) -> bool:
    """Return whether a count is of 1 to `cell` - 1, `cell` as hubs signed.

    Args:
        said: body of each hub's statement, in the permit's order, signatures checked.
        tokens: of each hub, its nonce and then its tokens, one after the other.
        task: to name in an error.

    Raises:
        BadEnvelope: the tokens are not those that were signed, or do not fit together.
    """
    check_fit(said, task)
    cell, size = int(said[0]["cell"]), int(said[0]["combinations"])
    found = []
    for body, raw, many in zip(said, tokens, (1, cell - 1), strict=True):
        parts = [raw[at : at + TOKEN] for at in range(TOKEN, len(raw), TOKEN)]
        if body["tokens"] != digest_bytes(raw) or len(raw) != TOKEN * (size * many + 1):
            raise BadEnvelope(f"a hub sent another sealed count of {task} than signed")
        if parts != sorted(set(parts)):
            raise BadEnvelope(f"a sealed count of {task} holds a token twice")
        found.append(set(parts))
    return not found[0].isdisjoint(found[1])
