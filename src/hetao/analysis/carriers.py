"""How few people make up a number of a design: a bump about somebody's very value.

Arithmetic can make of any number one that differs from a constant for few people alone,
with a little of something else added so that no two values are the same. What columns
add up to is looked at, so whatever else a design says is no place to hide.

Everything in this file stays inside the site.
"""

from typing import Final

import numpy as np

from hetao.analysis.expressions import Floats, Ints

SAME: Final = 1e-9  # eigenvalues below this share of the largest belong to no column
MOST: Final = 0.97  # of the squares of a sum of columns that few people make up
FEWEST: Final = 31  # people; whether so many or fewer do is looked for
STARTS: Final = 32  # people from whom the search sets out, those of most leverage
LEAST: Final = 0.005  # leverage of a person who is looked at
STEPS: Final = 8


def carriers(columns: Floats, person: Ints) -> int:
    """Return the fewest people found to make up nearly all of a sum of columns.

    A search, not a proof: it sets out from each person of high leverage, and goes to
    and fro between the people who make up most of a sum of columns and the sum that
    most is made up of by them.

    Args:
        columns: (n, k) numbers of a design, weighted, and its intercept as it may be.
        person: (n,) whose row each is, from 0; empty if each is another's.

    Returns:
        How many people; all that there are where none so few were found.

    Source:
        Truncated power iteration: Yuan and Zhang (2013), J. Mach. Learn. Res. 14, 899.
    """
    people = len(np.unique(person)) if len(person) else len(columns)
    if not columns.size:
        return people
    even = columns @ turn_of(columns.T @ columns)
    of_row = np.einsum("ij,ij->i", even, even)
    leverage: Floats = of_row
    if len(person):
        leverage = np.bincount(person, of_row).astype(np.float64)
    if leverage.max() < MOST / FEWEST:
        return people
    pool = np.flatnonzero(leverage >= LEAST)
    pool = pool[np.argsort(-leverage[pool], kind="stable")]
    grams = _grams(even, person, pool)
    if _most(grams, leverage[pool], FEWEST) < MOST:
        return people
    few, many = 0, FEWEST  # those are too few, these are enough
    while many - few > 1:
        half = (few + many) // 2
        if _most(grams, leverage[pool], half) < MOST:
            few = half
        else:
            many = half
    return many


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


def _most(grams: Floats, leverage: Floats, size: int) -> float:
    """Return the most of a sum of columns that so many people are found to make up."""
    found = 0.0
    for start in range(min(STARTS, len(grams))):
        if leverage[start] < MOST / size:
            break  # among so many there is somebody of more
        ahead, last = np.linalg.eigh(grams[start])[1][:, -1], 0.0
        for _ in range(STEPS):
            parts = np.einsum("i,mij,j->m", ahead, grams, ahead)
            chosen = np.argpartition(-parts, min(size, len(parts)) - 1)[:size]
            values, vectors = np.linalg.eigh(grams[chosen].sum(axis=0))
            if values[-1] <= last + SAME:
                break
            ahead, last = vectors[:, -1], float(values[-1])
        found = max(found, last)
    return found
