"""Is each row an interval, and no two of one person the same time twice?

A row is at risk after its start, up to and with its time. Everything in this file
stays inside the site, and no error says how many rows it is about to anybody else.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetao.analysis.plan import Plan
from hetao.errors import OutOfBounds

Bools = NDArray[np.bool_]
CORRECT = "correct the rows at the site, or widen what the study declares"


def refuse_rows(name: str, beyond: Bools, what: str, fix: str = CORRECT) -> None:
    """Refuse a variable some of whose rows are not what the study declares.

    Raises:
        OutOfBounds: there are such rows; `local` says how many.
    """
    if beyond.any():
        raise OutOfBounds(
            f"{name!r} {what}", fix=fix, local=f"{name}: {int(beyond.sum())} rows"
        )


def check_intervals(plan: Plan, rows: Mapping[str, NDArray[Any]]) -> None:
    """Refuse rows that are no intervals, or that have somebody at risk twice at once.

    Args:
        plan: the public plan.
        rows: (n,) `time`, `event`, and, possibly empty, `start`, `person`, `stratum`,
            as of `Rows`.

    Raises:
        OutOfBounds: a row does not start before its time; two rows of one person in
            one stratum overlap; on a grid, a row starts between its edges; somebody
            has the event twice where the variance takes each for independent.
    """
    start, person, asked = rows["start"], rows["person"], plan.analysis
    if len(start):
        refuse_rows(
            asked.start,
            start >= rows["time"],
            f"is not before {asked.time!r} in some row, whose interval holds no time",
            "correct the rows, or leave out those without a time at risk",
        )
        if plan.edges:
            _check_edges(plan, start)
    if not len(person):
        return
    if len(start):
        _check_overlap(plan, rows)
    if not plan.is_robust:
        events = np.bincount(person, rows["event"])
        refuse_rows(
            asked.event,
            events[person] > 1,
            "comes more than once to one person, whose events depend on each other",
            "write variance = 'robust' for the model of Andersen and Gill, or end "
            "each person's rows with the first event",
        )


def entry_bins(
    edges: Sequence[float] | NDArray[Any], start: NDArray[Any]
) -> NDArray[np.int64]:
    """Return (n,) the last bin at whose edge a row is not yet at risk; -1 for none."""
    return np.searchsorted(np.asarray(edges), start, side="right").astype(np.int64) - 1


def _check_edges(plan: Plan, start: NDArray[Any]) -> None:
    """Refuse a start that the grid would move: a time is moved up to the next edge."""
    edges = np.asarray(plan.edges)
    refuse_rows(
        plan.analysis.start,
        (start >= edges[0]) & ~np.isin(start, edges),
        "lies between two edges of the grid, where nobody can be said to enter",
        "add these times to the grid, or move them to its edges",
    )


def _check_overlap(plan: Plan, rows: Mapping[str, NDArray[Any]]) -> None:
    """Refuse rows of one person in one stratum of which one starts in another."""
    start, time, person = rows["start"], rows["time"], rows["person"]
    stratum = rows["stratum"] if len(rows["stratum"]) else np.zeros_like(person)
    order = np.lexsort((start, stratum, person))
    same = (np.diff(person[order]) == 0) & (np.diff(stratum[order]) == 0)
    overlaps = np.zeros(len(person), dtype=bool)
    overlaps[order[1:]] = same & (start[order][1:] < time[order][:-1])
    refuse_rows(
        plan.analysis.start,
        overlaps,
        f"is before {plan.analysis.time!r} of an earlier row of the same person",
        "correct the rows, so that nobody is at risk twice at once",
    )
