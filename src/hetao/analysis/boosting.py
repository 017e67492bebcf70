"""Trees from histograms: where columns are cut, which bins are joined, the best split.

What stands under "outside the sites" sees sums over sites only. A tree is a heap: the
children of node i are 2i + 1 and 2i + 2.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hetao.analysis.expressions import Floats, Ints

FINE: Final = 1024  # equal bins of a column's public range
UNIT: Final = 2.0**30  # gradients are whole multiples of its inverse, so sums are exact
NONE: Final = -1.0  # the column of a node that is not split
BEYOND: Final = 2.0  # an edge above every standardised value
HASH: Final = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


@dataclass(frozen=True)
class Forest:
    """Trees of one depth.

    Attributes:
        column: (trees, inner nodes), the column that a node splits by, or NONE.
        cut: (trees, inner nodes), the last bin that goes to the left.
        value: (trees, nodes), what a node adds to the prediction of who ends there.
    """

    column: Floats
    cut: Floats
    value: Floats


@dataclass(frozen=True)
class Split:
    """The best split of a node, and what both sides are worth."""

    column: int
    cut: int
    gain: float
    left: float
    right: float


# --- inside a site ------------------------------------------------------------------
def fine_places(X: Floats) -> Ints:
    """Return (n, p) fine bins of standardised values."""
    return np.clip((X + 1) / 2 * FINE, 0, FINE - 1).astype(np.int64)


def bins_of(X: Floats, edges: Floats) -> Ints:
    """Return (n, p) bins of standardised values; bin i ends below edge i.

    Args:
        X: (n, p).
        edges: (p, bins - 1), rising, BEYOND at the end.
    """
    found = [
        np.searchsorted(edges[j], X[:, j], side="right") for j in range(len(edges))
    ]
    return np.array(found, dtype=np.int64).reshape(len(edges), len(X)).T


def leaf_of(forest: Forest, tree: int, bins: Ints, levels: int) -> Ints:
    """Return (n,) the node of a tree that each person comes to within some levels."""
    node = np.zeros(len(bins), dtype=np.int64)
    column, cut = forest.column[tree].astype(np.int64), forest.cut[tree]
    people = np.arange(len(bins))
    for _ in range(levels):
        inner = node < len(column)
        at = np.where(inner, node, 0)
        chosen = column[at]
        goes_on = inner & (chosen >= 0)
        right = bins[people, np.maximum(chosen, 0)] > cut[at]
        node = np.where(goes_on, 2 * node + 1 + right, node)
    return node


def add_leaves(
    forest: Forest, trees: range, bins: Ints, depth: int, raw: Floats
) -> None:
    """Add to raw predictions (n,) what the leaves of some trees add, in their order."""
    for tree in trees:
        raw += forest.value[tree][leaf_of(forest, tree, bins, depth)]


def on_grid(values: Floats) -> Floats:
    """Return values rounded to whole multiples of 1 / UNIT."""
    return np.asarray(np.rint(values * UNIT) / UNIT)


def is_held_out(X: Floats, share: float) -> NDArray[np.bool_]:
    """Return (n,) who is held out: a share of people, by a hash of their columns.

    No one's identity is needed, and no order of rows: people alike in every column are
    held out together, at whatever site.
    """
    mixed = np.zeros(len(X), dtype=np.uint64)
    for column in np.rint(X * UNIT).astype(np.int64).view(np.uint64).T:
        mixed = _mix(mixed ^ column)
    return np.asarray((mixed >> np.uint64(11)) < np.uint64(share * 2**53))


def _mix(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return words mixed as of splitmix64 (Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        word = word + np.uint64(HASH[0])
        word = (word ^ (word >> np.uint64(30))) * np.uint64(HASH[1])
        word = (word ^ (word >> np.uint64(27))) * np.uint64(HASH[2])
    return word ^ (word >> np.uint64(31))


# --- outside the sites --------------------------------------------------------------
def edges_of(fine: Floats, bins: int, least: int) -> Floats:
    """Return (p, bins - 1) edges between which `least` people lie, or nobody.

    Where a column has at most so many fine bins that hold somebody, each is a bin of
    its own if it holds enough; else bins hold about equally many people. An edge lies
    in the middle between people.

    Args:
        fine: (p, FINE) people in each fine bin, over all sites.
        bins: most bins of a column.
        least: fewest people in a bin.
    """
    edges = np.full((len(fine), bins - 1), BEYOND)
    for counts, mine in zip(fine, edges, strict=True):
        used = np.flatnonzero(counts)
        total = float(counts.sum())
        aim = least if len(used) <= bins else max(least, int(np.ceil(total / bins)))
        found: list[float] = []
        held, rest = 0.0, total
        for place, after in zip(used.tolist(), used[1:].tolist(), strict=False):
            held, rest = held + counts[place], rest - counts[place]
            if held >= aim and rest >= least and len(found) < bins - 1:
                found.append((place + 1 + after) / FINE - 1)
                held = 0.0
        mine[: len(found)] = found
    return edges


def joined(runs: Floats, left: Floats, right: Floats, least: int) -> Floats:
    """Return runs of bins that hold nobody or enough people on either side of a split.

    Runs are joined further, never parted, and alike on both sides, so that no sum of a
    side less that of the other, or of the node that was split, is about fewer people.

    Args:
        runs: (bins,) for each bin the last one of its run, of the node that was split.
        left: (bins,) people on the left, each in the last bin of their run.
        right: (bins,) people on the right, likewise.
        least: fewest people.
    """
    ends: list[int] = []
    held: list[tuple[float, float]] = []
    here = (0.0, 0.0)
    for end in np.unique(runs).astype(int).tolist():
        here = here[0] + float(left[end]), here[1] + float(right[end])
        if sum(here) > 0 and _is_enough(here, least):
            ends.append(end)
            held.append(here)
            here = (0.0, 0.0)
    last = len(runs) - 1
    while ends and not _is_enough(here, least):  # too few are left: back they go
        here = here[0] + held[-1][0], here[1] + held.pop()[1]
        ends.pop()
    if ends and sum(here) == 0:
        ends.pop()
    ends.append(last)
    return np.asarray(ends, np.float64)[np.searchsorted(ends, np.arange(len(runs)))]


def _is_enough(counts: tuple[float, float], least: int) -> bool:
    return all(count == 0 or count >= least for count in counts)


def best_split(
    sums: Floats, l2: float, rate: float, least: tuple[float, float]
) -> Split | None:
    """Return the split with the highest gain; None where no split gains anything.

    Of equal gains the first column's is taken, and of a column the first cut's.

    Args:
        sums: (3, p, bins) of gradients, curvatures and people.
        l2: added to each sum of curvatures.
        rate: by which what a side is worth is shrunk.
        least: fewest people on a side, and least curvature there.

    Source:
        Chen and Guestrin (2016), XGBoost, KDD, 785-794, equation 7.
    """
    total = sums[:, 0].sum(axis=1)
    left = np.cumsum(sums, axis=2)[:, :, :-1]
    right = total[:, None, None] - left
    enough = np.ones(left.shape[1:], dtype=bool)
    for side in (left, right):
        enough &= (side[2] >= least[0]) & (side[1] >= least[1])
    if not enough.any():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        gains = left[0] ** 2 / (left[1] + l2) + right[0] ** 2 / (right[1] + l2)
    gains = np.where(enough, gains - total[0] ** 2 / (total[1] + l2), -np.inf)
    column, cut = np.unravel_index(int(np.argmax(gains)), gains.shape)
    gain = float(gains[column, cut])
    if not gain > 0:
        return None
    sides = [
        -rate * float(side[0, column, cut]) / (float(side[1, column, cut]) + l2)
        for side in (left, right)
    ]
    return Split(int(column), int(cut), gain, sides[0], sides[1])
