"""Into how few cells the people of a curve are put, where their group is told of.

Whoever knows everybody's times, and who had the event, reads of a group what is counted
of it. So how many cells of a grid are counted by group follows from how many people
there are, and where they end from the times of everybody, whatever group.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from hetao.analysis.expressions import Floats, Ints
from hetao.analysis.plan import Plan
from hetao.errors import WrongShape
from hetao.study import Minimum
from hetao.study.model import SITE

SMALL: Final = 10  # cells that a small site allows, if half of what may be told lets it
USUAL: Final = 10  # people for each sum of a variable, as a site's usual budget has it
HALF, QUARTER = 2, 4
NEVER: Final = 2**62  # more than the square of any number of people
KINDS: Final = ("died", "left", "came")  # who is in a cell


def is_by_group(plan: Plan) -> bool:
    """Return whether a plan is of curves that tell of who is in a group.

    Where the site makes the groups they tell nothing of that.
    """
    by_group = len(plan.groups) > 1 and plan.analysis.by != SITE
    return bool(plan.edges) and not plan.columns and by_group


def is_told(plan: Plan) -> bool:
    """Return whether a plan is of curves that may tell little of who is in a group.

    Where single people may be shown, as of a public file, each bin is told.
    """
    return is_by_group(plan) and (plan.minimum or Minimum()).cell > 1


def kinds(plan: Plan) -> int:
    """Return how many kinds of cells there are: of who enters only if some do late."""
    return len(KINDS) - (not plan.analysis.start)


def sums_of_cell(plan: Plan) -> int:
    """Return how many sums each cell tells of who is in a group.

    Beside the people, where they count by weights, two; by a score, also the products
    of two others with each of its columns.
    """
    of_score = 2 * plan.score.parameters if plan.score else 0
    return 1 + (2 if plan.analysis.weights or plan.score else 0) + of_score


def every_sum(plan: Plan) -> int:
    """Return how many sums curves tell of who is in a group if each bin is a cell."""
    return kinds(plan) * len(plan.edges) * sums_of_cell(plan)


def most_sums(plan: Plan, people: int) -> int:
    """Return how many sums a curve may tell of who is in a group, by a site's people.

    Of what a site's usual budget lets all analyses tell together it is a quarter; at
    most ten where that is more, but never above a half. It is never more than all bins
    of the grid would tell.

    Args:
        plan: the public plan, of curves by a group.
        people: of the site, whom the analysis is about.
    """
    asked = (plan.minimum or Minimum()).sites
    over = max(min(asked, len(plan.sites), Minimum().sites) - 1, 1)
    usual = people * over // USUAL
    few = max(kinds(plan) * sums_of_cell(plan), min(SMALL, usual // HALF))
    return min(max(few, usual // QUARTER), every_sum(plan))


def ladder(plan: Plan) -> list[int]:
    """Return the numbers of cells of which a site says whether it allows so many.

    They rise by a fifth, so that they do not tell how many people a site holds.
    """
    every, found = kinds(plan) * len(plan.edges), [kinds(plan)]
    while found[-1] < every:
        found.append(min(max(found[-1] + 1, found[-1] * 6 // 5), every))
    return found


def allowed(plan: Plan, people: int) -> int:
    """Return how many cells a site allows: as many as it may, on the ladder."""
    most = most_sums(plan, people) // sums_of_cell(plan)
    return max(step for step in ladder(plan) if step <= most)


def finest(counts: Mapping[str, Ints], cells: int) -> tuple[int, dict[str, Ints]]:
    """Return the fewest people of a cell that make no more cells, and their ends.

    Args:
        counts: kind of people → (edges,) how many of them are in each bin.
        cells: most of them, of all kinds together; a kind of nobody takes one.
    """
    most = cells - sum(not of.any() for of in counts.values())
    few, many = 0, max(1, *(int(of.sum()) for of in counts.values()))
    while many - few > 1:
        half = (few + many) // 2
        if sum(_most_cells(of, half) for of in counts.values()) <= most:
            many = half
        else:
            few = half
    return many, {kind: _ends(of, many) for kind, of in counts.items()}


def _most_cells(counts: Ints, least: int) -> int:
    """Return how many cells of so many people there can be; 1 of fewer, 0 of nobody."""
    found = told = 0
    until = np.cumsum(counts)
    while until[-1] - told >= least:
        told = int(until[np.searchsorted(until, told + least)])
        found += 1
    return max(found, int(until[-1] > 0))


def _ends(counts: Ints, least: int) -> Ints:
    """Return the last bin of each cell, (cells,), that make up the most even ones.

    Each holds enough people, unless all together do not; and the sum of the squares of
    how many each holds is the least. Of several such the last cells are smallest.

    Args:
        counts: (edges,) people in each bin.
        least: people in a cell.
    """
    bins = np.flatnonzero(counts)
    until = np.append(0, np.cumsum(counts[bins]))
    worth = np.append(0, np.full(len(bins), NEVER))
    before = np.zeros(len(bins) + 1, np.int64)
    for last in range(1, len(bins) + 1):
        held = until[last] - until[:last]
        sums = np.where(held >= least, worth[:last] + held**2, NEVER)
        before[last] = len(sums) - 1 - int(np.argmin(sums[::-1]))
        worth[last] = min(int(sums.min()), NEVER)
    if len(bins) and worth[-1] == NEVER:
        before[-1] = 0
    found, last = [], len(bins)
    while last > 0:
        found.append(int(bins[last - 1]))
        last = int(before[last])
    return np.array(found[::-1], np.int64)


def cells_of(ends: Ints, edges: int) -> Floats:
    """Return (edges,) the last bin of the cell in which each bin is.

    Args:
        ends: as `ends_of` returns.
        edges: how many bins there are; all are one cell where nobody is in any.
    """
    if not len(ends):
        return np.full(edges, float(edges - 1))
    cell = np.minimum(np.searchsorted(ends, np.arange(edges)), len(ends) - 1)
    return np.asarray(ends[cell], np.float64)


def check(of_bins: Floats, cells: int) -> None:
    """Refuse cells that are none of a grid, or more than a site allows.

    Args:
        of_bins: (kinds, edges), of each kind as `cells_of` returns.
        cells: most of them.

    Raises:
        WrongShape: they are.
    """
    bins = np.arange(of_bins.shape[1])
    if not np.isin(of_bins, bins).all() or (np.diff(of_bins) < 0).any():
        raise WrongShape("the state does not say which bins are counted together")
    if sum(len(np.unique(of)) for of in of_bins) > cells:
        raise WrongShape(
            "the state asks for more cells of a group than the site allows"
        )


def spread(told: Floats, cell: Ints, counts: Floats, *, whole: int | None) -> Floats:
    """Return (groups, edges) people of cells, as everybody in them lies in their bins.

    Args:
        told: (groups, edges) people of each cell, at its last bin.
        cell: (edges,) as `cells_of` returns.
        counts: (edges,) people of all groups in each bin.
        whole: all of a cell in one of its bins, its first (0) or its last (-1) that
            holds anybody; None spreads them.
    """
    size = len(cell)
    of_cell = np.bincount(cell, counts, minlength=size)
    share = np.divide(counts, of_cell[cell], out=np.zeros(size), where=counts > 0)
    if whole is not None and counts.any():
        held = np.flatnonzero(counts)
        firsts = np.unique(cell[held], return_index=True)[1]
        lasts = np.append(firsts[1:], len(held)) - 1
        share = np.zeros(size)
        share[held[firsts if whole == 0 else lasts]] = 1.0
    return np.asarray(told[:, cell] * share)
