"""The release record: what left, made of what, of which class, by which checks.

One for each message that leaves a site, signed by the site, kept in its log before
anything is sent. It says everything about a release but the release: no number in it
follows from single patients. How many people a sum is of stands in a band, of which
the lowest holds whatever is under fifty. A notice has no number: what its fixed fields
may hold is checked here too.

Specification: `docs/specs/release.md`, schema `docs/specs/release.schema.json`.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from typing import Any, Final

from hetao.analysis import Evidence
from hetao.errors import WrongShape
from hetao.ledger.log_signer import signer_of
from hetao.ledger.sealed_counts import NAME, PEOPLE, SITES
from hetao.permit import Identity, rulebook
from hetao.permit.grades import Grade
from hetao.release.grading import Field
from hetao.release.policy import LONGEST_REASON, Policy
from hetao.release.quality import check_graded

TYPE: Final = "hetao.release/2"
PASSED, NOT_PASSED, NOT_ASKED = "passed", "not_passed", "not_asked"
# What the checks of sealed counts are called.
SEALED_COUNTS: Final = {PEOPLE: NAME, SITES: "sealed_sites"}
LONGEST_TEXT: Final = LONGEST_REASON  # characters of any text in a notice
NOTICE_FIELDS: Final = {
    "ready": {"site", "snapshot", "dictionary", "policy", "concepts", "extract"},
    "closing": {"site", "checkpoint", "proofs", "quality", "extract"},
    "refusal": {"site", "code", "rule"},
}
EDGES: Final = (0, 50, *(step * 10**ten for ten in range(2, 7) for step in (1, 2, 5)))


@dataclass(frozen=True)
class Check:
    """One check of the gate: what it asks for, and what came of it.

    Attributes:
        id: as kinds of payload demand it.
        outcome: PASSED; NOT_PASSED where a release may leave without it, in a higher
            class; NOT_ASKED where the analysis has nothing that it could look at.
            None of the three follows from the values of any patient, but for one:
            that a number differs within few sites alone does not pass, and leaves as
            these sites' own part. Elsewhere, where values decide, what does not pass
            does not leave.
        param: the limit that was asked; None for none.
    """

    id: str
    outcome: str = PASSED
    param: float | int | None = None


def checks_of_sum(
    evidence: Evidence,
    policy: Policy,
    *,
    sealed: bool,
    alone: int | None,
    dominance: bool,
    counted: tuple[Check, ...],
) -> tuple[Check, ...]:
    """Return the checks of a sum that the gate has let pass, in their order.

    Args:
        evidence: what the counts behind the values were; only whether a count was
            there to be looked at is said of it.
        policy: in force.
        sealed: whether only a sum over enough sites will ever be opened.
        alone: how many people each cell at this site had to hold; None where it did
            not have to by itself.
        dominance: whether it was looked at how much of a sum is one person's.
        counted: of sealed counts, of `checks_of_counts`.
    """
    minimum = policy.minimum

    return (
        Check("permit"),
        Check("place"),
        Check("protocol"),
        Check("min_cohort", PASSED, minimum.people),
        Check("members"),
        Check("secure_sum", PASSED if sealed else NOT_PASSED, minimum.sites),
        Check("own_cells", _asked(alone), alone or minimum.cell),
        Check("shape"),
        Check("bounds"),
        Check("min_events", _asked(evidence.events), minimum.events),
        Check("min_cell", _asked(evidence.smallest_side), minimum.cell),
        Check("dof", _asked(evidence.parameters or None), minimum.share),
        Check("leverage", _asked(evidence.max_leverage), minimum.leverage),
        Check(
            "dominance",
            _asked(evidence.magnitudes) if dominance else NOT_ASKED,
            policy.dominance.two,
        ),
        Check("differencing", PASSED, minimum.cell),
        *counted,
    )


def checks_of_counts(
    people: int | None, sites: tuple[int, bool] | None
) -> tuple[Check, ...]:
    """Return the checks of the sealed counts before a model.

    Args:
        people: below how many people one looked, and found no combination of so few;
            None where none did.
        sites: below how many sites one looked, and whether some number differs within
            so few alone; None where none did.
    """
    least, is_few = sites or (None, False)
    return (
        Check(SEALED_COUNTS[PEOPLE], _asked(people), people),
        Check(SEALED_COUNTS[SITES], NOT_PASSED if is_few else _asked(least), least),
    )


def _asked(found: object) -> str:
    return NOT_ASKED if found is None or found == {} else PASSED


CHECKS_OF_NOTICE: Final = (Check("fixed_fields"),)


def passed(checks: Iterable[Check]) -> frozenset[str]:
    """Return the ids of the checks that were carried out and passed."""
    return frozenset(check.id for check in checks if check.outcome == PASSED)


def band(people: int) -> str:
    """Return the band that a number of people lies in, such as "200-499".

    Bands are wide, and one more person changes a band at their edges alone. Whatever
    is under fifty is one band.
    """
    for low, high in pairwise(EDGES):
        if people < high:
            return f"<{high}" if low == 0 else f"{low}-{high - 1}"
    return f">={EDGES[-1]}"


def class_of(
    graded: Grade, fields: Iterable[Field], checks: Iterable[Check]
) -> dict[str, Any]:
    """Return what a record says of the class, and of what it follows from."""
    return {
        "class": {
            "kind": graded.kind,
            "source": graded.source,
            "released": graded.released,
            "why": graded.why,
        },
        "lineage": by_table(fields),
        "checks": by_outcome(checks),
    }


def by_table(fields: Iterable[Field]) -> dict[str, list[str]]:
    """Return fields as a record writes them: table → its fields, in order."""
    found: dict[str, list[str]] = {}
    for table, field in sorted(set(fields)):
        found.setdefault(table, []).append(field)
    return found


def by_outcome(checks: Iterable[Check]) -> dict[str, dict[str, float | int | None]]:
    """Return checks as a record writes them: outcome → the checks → their limits."""
    found: dict[str, dict[str, float | int | None]] = {}
    for check in checks:
        found.setdefault(check.outcome, {})[check.id] = check.param
    return found


def law(book: str = "") -> dict[str, str]:
    """Return which gate decided, by which rulebook; by the shipped one if none."""
    return {"gate": _gate(), "rulebook": book or rulebook().digest}


@functools.cache
def _gate() -> str:
    return f"hetao {version('hetao')}"


def check_notice(kind: str, body: Mapping[str, Any], identity: Identity) -> None:
    """Return quietly if a notice has its kind's fields, and no long text in them.

    Args:
        kind: of the notice.
        body: what it says.
        identity: of the site.

    Raises:
        WrongShape: it has others, or a text that is too long.
    """
    allowed = NOTICE_FIELDS.get(kind)
    if allowed is None or not set(body) <= allowed:
        raise WrongShape(f"a notice of kind {kind!r} has other fields")
    if "quality" in body:
        check_graded(body["quality"])
    short = {**body}
    if "checkpoint" in body:  # the second line of a log is long
        signer = signer_of(identity.name, identity.log_keys)
        if not signer.is_own(str(short.pop("checkpoint"))):
            raise WrongShape("a notice's checkpoint is not that of the own log alone")
    for text in _texts(short):
        if len(text) > LONGEST_TEXT:
            raise WrongShape("a notice holds a text that is too long to be a notice")


def _texts(value: object) -> list[str]:
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []
