"""Marks of sets of people: which differ by few, or add up but for few, without bits.

Each person has a secret random number and lies in one of `GROUPS` groups. The marks of
a set are the sums of its people's numbers, group by group. Marks are linear: those of
a + b - c, whatever the sets, are the sums of each number times what its person counts.
So where sets add up but for fewer people than there are groups, the marks of some group
add up exactly; otherwise, but for the chance of 2^-48, only where nobody of a group
counts. What may add up is found by looking for equal numbers, and counted by its bits.

Everything in this file stays inside the site.

Source:
    The pigeonhole principle on groups; sums of random numbers as a linear hash of a set
    are those of AdHash (Bellare & Micciancio, EUROCRYPT 1997), here under a secret.
    Laws: `tests/laws/test_marks.py`.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hetao.release.differencing import Ints, Words, keyed

GROUPS: Final = 64
BITS: Final = 48  # of a number
MASK: Final = (1 << BITS) - 1
HALF: Final = BITS // 2
TABLE: Final = 1 << 20  # remainders by which most sums are told from all sought
AT_ONCE: Final = 1 << 15  # candidates that are looked at together
SUMS: Final = 1 << 20  # sums of two that are looked at together
SOME: Final = 24  # groups that are looked at before all are
MOST: Final = 1 << 23  # candidates of one new set, beyond which nothing is answered
OF_THREE: Final = ((1, -1, -1), (-1, 1, 1), (-1, -1, -1))

Found = tuple[tuple[int, ...], tuple[int, ...]]


def weights_of(secret: bytes, size: int) -> Ints:
    """Return (size,) the numbers of people, by their places.

    Args:
        secret: of the site. Who does not know it cannot choose people whose numbers
            hide them.
        size: how many places there are.
    """
    found = keyed(secret, "marks", np.arange(size)) >> np.uint64(64 - BITS)
    return found.astype(np.int64)


def marks_of(places: Ints, weights: Ints) -> Ints:
    """Return (`GROUPS`,) marks of people, each of whom is named once."""
    numbers = weights[places]
    group = numbers // ((MASK + 1) // GROUPS)
    low, high = numbers & ((1 << HALF) - 1), numbers >> HALF
    # Sums of halves are exact in double precision for up to 2^29 people.
    lows, highs = (
        np.bincount(group, half, GROUPS).astype(np.int64) for half in (low, high)
    )
    return (lows + (highs << HALF)) & MASK


def places_in(bits: Words) -> Ints:
    """Return the places of a set."""
    return np.flatnonzero(np.unpackbits(bits.view(np.uint8), bitorder="little"))


def near_by_marks(mine: Ints, others: Ints, cell: int, *, exact: bool = False) -> Ints:
    """Return which of (m, `GROUPS`) marks may be of sets that differ by few people.

    Args:
        mine: (`GROUPS`,) marks of a set.
        others: of others.
        cell: fewest people by which answers may differ.
        exact: whether those are meant as well that differ by nobody.
    """
    return np.flatnonzero(_is_few(others - mine, cell, exact))


def sums_near(
    mine: Ints, others: Ints, cell: int, *, exact: bool = False
) -> list[Found] | None:
    """Return which two or three sets may add up, with a new one, but for few people.

    Args:
        mine: (`GROUPS`,) marks of the new set.
        others: (m, `GROUPS`) of others.
        cell: fewest people by which answers may differ. Up to `GROUPS` none is missed;
            beyond, hardly any.
        exact: whether those that add up to nobody are sought as well.

    Returns:
        (with, against): places among the others. The new set and those with it may
        count, but for few people, whom those against it count. None where more than
        `MOST` would have to be looked at: sets of which very many are alike in some
        group, such as of few people, or nested in each other.
    """
    if len(others) < 2 or cell <= 1:
        return []
    found, looked = set[Found](), 0
    merged, own = _merged(others, cell), _merged(mine[None], cell)[0]
    for at in range(len(own)):
        for signs, some in _candidates(int(own[at]), merged[:, at]):
            looked += len(some)
            if looked > MOST:
                return None
            few = some[_count(_total(mine, others, signs, some, SOME)) < cell]
            total = _total(mine, others, signs, few, GROUPS)
            few = few[_is_few(total, cell, exact)]
            for one in few.tolist():
                pairs = sorted(zip(one, signs, strict=True))
                with_it = tuple(who for who, sign in pairs if sign > 0)
                found.add((with_it, tuple(who for who, sign in pairs if sign < 0)))
    return sorted(found)


def _total(
    mine: Ints, others: Ints, signs: tuple[int, ...], some: Ints, groups: int
) -> Ints:
    """Return the (n, groups) first marks of (n, sets) candidates, added up."""
    each = zip(signs, some.T, strict=True)
    some_of = others[:, :groups]
    return sum((sign * some_of[who] for sign, who in each), start=mine[:groups])


def _is_few(marks: Ints, cell: int, exact: bool) -> NDArray[np.bool_]:
    """Return of which (n, `GROUPS`) sums of marks fewer than a cell of groups count.

    None counts where people are the same, which is few where those are meant as well.
    """
    counts = _count(marks)
    return np.asarray((counts < cell) & (exact | (counts > 0)))


def _count(marks: Ints) -> Ints:
    """Return (n,) how many groups of (n, k) sums of marks count somebody."""
    return np.asarray(np.count_nonzero(marks & MASK, axis=-1))


def _merged(marks: Ints, cell: int) -> Ints:
    """Return (m, k) marks of no more groups than a cell has people."""
    kept = min(cell, GROUPS)
    parts = [marks[:, first::kept].sum(axis=1) & MASK for first in range(kept)]
    return np.stack(parts, axis=1)


def _candidates(own: int, column: Ints) -> Iterator[tuple[tuple[int, ...], Ints]]:
    """Yield signs, and (n, sets) places of which the marks of one group add up."""
    m, order = len(column), np.argsort(column, kind="stable")
    ordered, wanted = column[order], (own + column) & MASK
    low, high = (np.searchsorted(ordered, wanted, side) for side in ("left", "right"))
    for at, b in _spans(low, high):
        a = order[at]
        yield (1, -1), np.stack([b, a], axis=1)[a != b]
    sought = np.concatenate([[own], own + column, column - own, own - column]) & MASK
    for at, b, c in _sums_of_two(sought, column):
        kind, a = np.divmod(at - 1, m)
        yield (-1, -1), np.stack([b, c], axis=1)[kind < 0]
        three = np.stack([a, b, c], axis=1)
        differ = (a != b) & (a != c)
        for number, signs in enumerate(OF_THREE):
            yield signs, three[(kind == number) & differ]


def _sums_of_two(sought: Ints, column: Ints) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Yield (which, b, c) of all b before c whose numbers add up to a sought one."""
    is_sought = np.zeros(TABLE, dtype=bool)
    is_sought[sought % TABLE] = True
    order = np.argsort(sought, kind="stable")
    ordered, m = sought[order], len(column)
    step = max(1, SUMS // m)
    for start in range(0, m, step):
        sums = (column[start : start + step, None] + column[None, start + 1 :]) & MASK
        b, c = np.nonzero(is_sought[sums & (TABLE - 1)])
        b, c = b[c >= b], c[c >= b]  # c counts from start + 1
        low, high = (
            np.searchsorted(ordered, sums[b, c], side) for side in ("left", "right")
        )
        for at, of in _spans(low, high):
            yield order[at], start + b[of], start + 1 + c[of]


def _spans(low: Ints, high: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yield, so many at a time, all (at, j) with at from low[j] to before high[j]."""
    (some,) = np.nonzero(high > low)
    counts = (high - low)[some]
    done = np.cumsum(counts)
    start = 0
    while start < len(some):
        before = done[start] - counts[start]
        end = max(start + 1, int(np.searchsorted(done, before + AT_ONCE, "right")))
        here = counts[start:end]
        ahead = np.repeat(np.cumsum(here) - here, here)
        j = np.repeat(some[start:end], here)
        yield low[j] + np.arange(len(j)) - ahead, j
        start = end
