"""Pairs of people, the closest first, in one total order.

Of all pairs that lie within the calipers, the closest is taken, then the closest of the
rest, and so on; ties go to the earlier treated person, then to the earlier other.
Nothing is drawn by lot, so every run gives the same pairs.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from hetao.errors import InvalidStudy

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
MOST_PAIRS = 20_000_000  # in one stratum; a caliper that wide matches nothing closely


def pairs_within(
    treated: Ints, others: Ints, numbers: list[Array]
) -> tuple[Ints, Ints, Array]:
    """Return the pairs within every caliper, and their distances.

    Numbers are in calipers. Each treated person's candidates by the first number are
    a run of the others in its order; the further numbers then thin the run out.
    """
    if not numbers:
        counts = np.full(len(treated), len(others))
        starts, order = np.zeros(len(treated), dtype=np.int64), others
    else:
        order = others[np.argsort(numbers[0][others], kind="stable")]
        sorted_first = numbers[0][order]
        # A hair wider than the caliper: the exact test follows.
        starts = np.searchsorted(sorted_first, numbers[0][treated] - 1.0000001, "left")
        ends = np.searchsorted(sorted_first, numbers[0][treated] + 1.0000001, "right")
        counts = ends - starts
    total = int(counts.sum())
    if total > MOST_PAIRS:
        raise InvalidStudy(
            "the matching lets too many pairs through to take the closest",
            fix="add a category to exact, or narrow the first caliper",
        )
    left = np.repeat(treated, counts)
    offsets = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    right = order[np.repeat(starts, counts) + offsets]
    distance = np.zeros(total)
    inside = np.ones(total, dtype=bool)
    for values in numbers:
        apart = np.abs(values[left] - values[right])
        inside &= apart <= 1
        distance += apart
    return left[inside], right[inside], distance[inside]


def closest_first(
    left: Ints, right: Ints, distance: Array, ratio: int
) -> tuple[Ints, Ints]:
    """Return the pairs taken, `ratio` times over: each time one more a treated person.

    A pair that is the closest left for both its people is taken in any order of
    taking, so all such pairs are taken at once, until none is left.
    """
    taken: list[tuple[Ints, Ints]] = []
    order = np.lexsort((right, left, distance))
    left, right = left[order], right[order]
    used = np.zeros(int(right.max(initial=-1)) + 1, dtype=bool)
    for _ in range(ratio):
        free = ~used[right]
        one, two = left[free], right[free]
        while len(one):
            best = _first_of_each(one) & _first_of_each(two)
            taken.append((one[best], two[best]))
            used[two[best]] = True
            rest = ~np.isin(one, one[best]) & ~np.isin(two, two[best])
            one, two = one[rest], two[rest]
    if not taken:
        return left[:0], right[:0]
    return (
        np.concatenate([one for one, _ in taken]),
        np.concatenate([two for _, two in taken]),
    )


def _first_of_each(values: Ints) -> Array:
    """Return where each value stands for the first time."""
    _, first = np.unique(values, return_index=True)
    found = np.zeros(len(values), dtype=bool)
    found[first] = True
    return found
