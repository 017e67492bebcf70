"""How few people make up a number of a design: a bump about somebody's very value.

Arithmetic can make of any number one that differs from a constant for few people alone,
with a little of something else added so that no two values are the same. What columns
add up to is looked at, so whatever else a design says is no place to hide. Two things
are asked of it: whether few people make up nearly all of its squares; and whether what
few people have alike, such as how many of them had the event, can be told from it.

Everything in this file stays inside the site.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from hetao.analysis.expressions import Floats, Ints

SAME: Final = 1e-9  # eigenvalues below this share of the largest belong to no column
MOST: Final = 0.97  # of the squares of a sum of columns that few people make up
NOISE: Final = 0.5  # squares of what all others add to a sum that counts few people
FEWEST: Final = 31  # people; whether so many or fewer do is looked for
STARTS: Final = 32  # people from whom the search sets out, those of most leverage
LEAST: Final = 0.005  # leverage of a person who is looked at
STEPS: Final = 8
TINY: Final = float(np.finfo(np.float64).tiny)


class _Pool(NamedTuple):
    """People of leverage in columns: it (m,), falling, and their grams (m, k, k)."""

    leverage: Floats
    grams: Floats


def carriers(columns: Floats, person: Ints) -> int:
    """Return the fewest people found to make up nearly all of a sum of columns.

    Or the fewest who are `told` with less than NOISE, if fewer. A search, not a proof:
    it sets out from each person of high leverage, and goes to and fro between the
    people who make up most of a sum of columns and the sum that most is made up of by
    them.

    Args:
        columns: (n, k) numbers of a design, weighted, and its intercept as it may be.
        person: (n,) whose row each is, from 0; empty if each is another's.

    Returns:
        How many people; all that there are where none so few were found.

    Source:
        Truncated power iteration: Yuan and Zhang (2013), J. Mach. Learn. Res. 14, 899.
    """
    people, pool = _people(columns, person), _pool(columns, person)
    if pool is None:
        return people
    found = _fewest_told(pool, NOISE, 2)  # one alone is the leverage's matter
    if _most(pool, FEWEST) < MOST:
        return people if found is None else found
    few, many = 0, FEWEST  # those are too few, these are enough
    while many - few > 1:
        half = (few + many) // 2
        if _most(pool, half) < MOST:
            few = half
        else:
            many = half
    return many if found is None else min(many, found)


def told(columns: Floats, person: Ints, noise: float) -> int:
    """Return the fewest people found whose own count a sum of columns tells.

    That is a sum of columns by which k people weigh 1 each, or -1, and all that they
    and others weigh beside has squares of less than `noise`. The best sum to tell some
    people by is what columns explain of them: of a share R of their squares, k (1/R -
    1) is left beside, which of one person is 1 where the leverage is a half.

    Args:
        columns: (n, k) what an outcome may be summed with.
        person: (n,) whose row each is, from 0; empty if each is another's.
        noise: at most `NOISE`.

    Returns:
        How many people; all that there are where none so few were found.
    """
    pool = _pool(columns, person)
    found = _fewest_told(pool, noise, 1) if pool is not None else None
    return _people(columns, person) if found is None else found


def _people(columns: Floats, person: Ints) -> int:
    return len(np.unique(person)) if len(person) else len(columns)


def _pool(columns: Floats, person: Ints) -> _Pool | None:
    """Return the people to be looked at; None where nobody has leverage enough."""
    if not columns.size:
        return None
    even = columns @ turn_of(columns.T @ columns)
    of_row = np.einsum("ij,ij->i", even, even)
    leverage: Floats = of_row
    if len(person):
        leverage = np.bincount(person, of_row).astype(np.float64)
    if leverage.max() < MOST / FEWEST:
        return None
    pool = np.flatnonzero(leverage >= LEAST)
    pool = pool[np.argsort(-leverage[pool], kind="stable")]
    return _Pool(leverage[pool], _grams(even, person, pool))


def turn_of(gram: Floats) -> Floats:
    """Return a (p, k) matrix T with T'GT the identity, k being the rank of G."""
    size = np.sqrt(np.diag(gram))
    used = size > 0
    size = size[used]
    values, vectors = np.linalg.eigh(gram[np.ix_(used, used)] / np.outer(size, size))
    kept = values > SAME * values.max(initial=0.0)
    turn = np.zeros((len(used), int(kept.sum())))
    turn[used] = vectors[:, kept] / np.sqrt(values[kept]) / size[:, None]
    return turn


def _grams(even: Floats, person: Ints, pool: Ints) -> Floats:
    """Return (m, k, k) what the rows of each person of a pool add to the identity."""
    if not len(person):
        rows = even[pool]
        return rows[:, :, None] * rows[:, None, :]
    of = np.full(int(person.max()) + 1, -1)
    of[pool] = np.arange(len(pool))
    grams = np.zeros((len(pool), even.shape[1], even.shape[1]))
    for row in np.flatnonzero(of[person] >= 0):
        grams[of[person[row]]] += np.outer(even[row], even[row])
    return grams


def _most(pool: _Pool, size: int) -> float:
    """Return the most of a sum of columns that so many people are found to make up."""
    found = 0.0
    for start in _starts(pool, MOST / size):
        ahead, last = start, 0.0
        for _ in range(STEPS):
            parts = np.einsum("i,mij,j->m", ahead, pool.grams, ahead)
            values, vectors = np.linalg.eigh(
                pool.grams[_first(parts, size)].sum(axis=0)
            )
            if values[-1] <= last + SAME:
                break
            ahead, last = vectors[:, -1], float(values[-1])
        found = max(found, last)
    return found


def _fewest_told(pool: _Pool, noise: float, fewest: int) -> int | None:
    """Return the fewest people who are told with less noise; None of fewer than so."""
    for size in range(fewest, FEWEST):
        wanted = size / (size + noise)
        if pool.leverage[:size].sum() > wanted and _explained(pool, size) > wanted:
            return size
    return None


def _explained(pool: _Pool, size: int) -> float:
    """Return the most that columns are found to explain of what so many have alike.

    A person of several rows weighs 1 in all, over rows as the sum of columns has it.
    """
    ahead = np.array(list(_starts(pool, 1 / (size + NOISE)))).T  # (k, starts)
    found = 0.0
    for _ in range(STEPS if ahead.size else 0):
        each = pool.grams @ ahead
        length = np.sqrt(np.maximum((each * ahead).sum(axis=1), TINY))
        chosen = _first(length, size)
        alike = each.transpose(0, 2, 1) / length[:, :, None]
        together = np.take_along_axis(alike, chosen[:, :, None], axis=0).sum(axis=0)
        squares = np.einsum("sk,sk->s", together, together)
        if squares.max() <= found + SAME:
            break
        found, ahead = float(squares.max()), (together / np.sqrt(squares)[:, None]).T
    return found / size


def _starts(pool: _Pool, least: float) -> Iterator[Floats]:
    """Yield the sum of columns that each person of so much leverage makes up most."""
    for leverage, gram in zip(pool.leverage[:STARTS], pool.grams, strict=False):
        if leverage < least:
            break  # among so many there is somebody of more
        yield np.linalg.eigh(gram)[1][:, -1]


def _first(parts: Floats, size: int) -> Ints:
    """Return the places of the largest along the first axis, as many as asked for."""
    return np.argpartition(-parts, min(size, len(parts)) - 1, axis=0)[:size]
