"""The release record: what left, made of what, of which class, by which checks.

One for each message that leaves a site, signed by the site, kept in its log before
anything is sent. It says everything about a release but the release: no number in it
follows from single patients. How many people a sum is of stands in a band, of which
the lowest holds whatever is under fifty.

Specification: `docs/specs/release.md`, schema `docs/specs/release.schema.json`.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from typing import Any, Final

from hetao.analysis import Evidence
from hetao.permit import rulebook
from hetao.permit.grades import Grade
from hetao.release.grading import Field
from hetao.release.policy import Policy

TYPE: Final = "hetao.release/2"
PASSED, NOT_PASSED, NOT_ASKED = "passed", "not_passed", "not_asked"
EDGES: Final = (0, 50, *(step * 10**ten for ten in range(2, 7) for step in (1, 2, 5)))


@dataclass(frozen=True)
class Check:
    """One check of the gate: what it asks for, and what came of it.

    Attributes:
        id: as kinds of payload demand it.
        outcome: PASSED; NOT_PASSED where a release may leave without it, in a higher
            class; NOT_ASKED where the analysis has nothing that it could look at.
            None of the three follows from the values of any patient: where they
            decide, what does not pass does not leave.
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
    apart: bool,
    dominance: bool,
    counted: int | None = None,
) -> tuple[Check, ...]:
    """Return the checks of a sum that the gate has let pass, in their order.

    Args:
        evidence: what the counts behind the values were; only whether a count was
            there to be looked at is said of it.
        policy: in force.
        sealed: whether only a sum over enough sites will ever be opened.
        apart: whether each cell at this site had to reach the minimum by itself.
        dominance: whether it was looked at how much of a sum is one person's.
        counted: below how many people a sealed count looked for; None where none did.
    """
    minimum = policy.minimum

    def asked(found: object) -> str:
        return NOT_ASKED if found is None or found == {} else PASSED

    return (
        Check("permit"),
        Check("place"),
        Check("protocol"),
        Check("min_cohort", PASSED, minimum.people),
        Check("members"),
        Check("secure_sum", PASSED if sealed else NOT_PASSED, minimum.sites),
        Check("own_cells", PASSED if apart else NOT_ASKED, minimum.cell),
        Check("shape"),
        Check("bounds"),
        Check("min_events", asked(evidence.events), minimum.events),
        Check("min_cell", asked(evidence.smallest_side), minimum.cell),
        Check("dof", asked(evidence.parameters or None), minimum.share),
        Check("leverage", asked(evidence.max_leverage), minimum.leverage),
        Check(
            "dominance",
            asked(evidence.magnitudes) if dominance else NOT_ASKED,
            policy.dominance.two,
        ),
        Check("differencing", PASSED, minimum.cell),
        Check("sealed_count", asked(counted), counted),
    )


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
