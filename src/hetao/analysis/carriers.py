"""How few people make up a number of a design: a bump about somebody's very value.

Arithmetic can make of any number one that differs from a constant for few people alone,
with a little of something else added so that no two values are the same. What columns
add up to is looked at, so whatever else a design says is no place to hide. Two things
are asked of it: whether few people make up nearly all of its squares; and whether what
few people have alike, such as how many of them had the event, can be told from it.

Everything in this file stays inside the site.
"""

from typing import Final, NamedTuple

import numpy as np

from hetao.analysis.expressions import Floats, Ints

SAME: Final = 2e-15  # of the largest, a singular value that rounding alone leaves
MOST: Final = 0.97  # of the squares of a sum of columns that few people make up
NOISE: Final = 0.5  # squares of what all others add to a sum that counts few people
FEWEST: Final = 31  # people; whether so many or fewer do is looked for
STARTS: Final = 32  # people from whom the search sets out, those of most leverage
LEAST: Final = 0.005  # leverage of a person who is looked at
STEPS: Final = 8
RISES: Final = 1e-9  # by less no step is worth another
TINY: Final = float(np.finfo(np.float64).tiny)


class _Pool(NamedTuple):
    """People of leverage in columns that the search looks in, and others beside.

    Attributes:
        leverage: (m,) in the columns that are looked in, falling.
        whole: (m,) in all columns, falling.
        grams: (m, k, f) products of all columns, made even, with the f looked in, which
            are the first.
        starts: (f, s) sums of columns, of each of the first STARTS people the one that
            they make up most, for the search to set out from.
    """

    leverage: Floats
    whole: Floats
    grams: Floats
    starts: Floats

    @property
    def free(self) -> int:
        """Return f."""
        return int(self.grams.shape[2])


def carriers(
    columns: Floats, person: Ints, beside: Floats | None = None, fewest: int = 2
) -> int:
    """Return the fewest people found to make up nearly all of a sum of columns.

    Or the fewest who are `told` with less than NOISE, if fewer. A search, not a proof:
    it sets out from each person of high leverage, and goes to and fro between the
    people who make up most of a sum of columns and the sum that most is made up of by
    them.

    Args:
        columns: (n, k) numbers of a design, weighted, and its intercept as it may be.
        person: (n,) whose row each is, from 0; empty if each is another's.
        beside: (n, c) its other columns, weighted, which may be added to numbers; not
            looked for by themselves, since people have them.
        fewest: people who may be told; one alone is commonly the leverage's matter.

    Returns:
        How many people; all that there are where none so few were found.

    Source:
        Truncated power iteration: Yuan and Zhang (2013), J. Mach. Learn. Res. 14, 899.
    """
    pools = [_pool(columns, person)]
    if beside is not None:
        pools.append(_pool(columns, person, beside))
    found = [_fewest(pool) for pool in pools if pool is not None]
    if pools[-1] is not None:
        found.append(_fewest_told(pools[-1], NOISE, fewest))
    return min(
        (few for few in found if few is not None), default=_people(columns, person)
    )


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


def _pool(columns: Floats, person: Ints, beside: Floats | None = None) -> _Pool | None:
    """Return the people to be looked at; None where nobody has leverage enough."""
    if not columns.size:
        return None
    other, size = np.zeros((len(columns), 0)), np.linalg.norm(columns, axis=0)
    if beside is not None:
        other = beside @ turn_of(beside)
        for _ in range(2):  # the second time for what rounding left
            columns = columns - other @ (other.T @ columns)
    even = columns @ turn_of(columns, size)
    leverage = _leverage(even, person)
    if leverage.max() < MOST / FEWEST:
        return None
    pool = np.flatnonzero(leverage >= LEAST)
    pool = pool[np.argsort(-leverage[pool], kind="stable")]
    every = np.hstack([even, other])
    whole = -np.sort(-_leverage(every, person)[pool])
    grams = _grams(every, even, person, pool)
    _, vectors = np.linalg.eigh(grams[:STARTS, : even.shape[1]])
    return _Pool(leverage[pool], whole, grams, vectors[:, :, -1].T)


def _leverage(even: Floats, person: Ints) -> Floats:
    of_row = np.einsum("ij,ij->i", even, even)
    if not len(person):
        return np.asarray(of_row)
    return np.bincount(person, of_row).astype(np.float64)


def turn_of(columns: Floats, size: Floats | None = None) -> Floats:
    """Return a (k, r) matrix T such that C'C of C = columns T is the identity.

    r is how many of the (n, k) columns are no sum of others, but for rounding: what is
    left of two columns that differ by a millionth can be told from their sums.

    Args:
        columns: (n, k).
        size: (k,) what the rounding is measured by, if not by their norms: of columns
            that are what others left, the norms that they had.
    """
    size = np.linalg.norm(columns, axis=0) if size is None else size
    used = size > 0
    triangle = np.linalg.qr(columns[:, used] / size[used], "r")
    _, values, rows = np.linalg.svd(triangle, full_matrices=False)
    kept = values > SAME * max(values.max(initial=0.0), 1.0)
    turn = np.zeros((len(used), int(kept.sum())))
    turn[used] = rows[kept].T / values[kept] / size[used, None]
    return turn


def _grams(even: Floats, free: Floats, person: Ints, pool: Ints) -> Floats:
    """Return (m, k, f) what the rows of each person of a pool add to products."""
    if not len(person):
        return even[pool][:, :, None] * free[pool][:, None, :]
    of = np.full(int(person.max()) + 1, -1)
    of[pool] = np.arange(len(pool))
    grams = np.zeros((len(pool), even.shape[1], free.shape[1]))
    for row in np.flatnonzero(of[person] >= 0):
        grams[of[person[row]]] += np.outer(even[row], free[row])
    return grams


def _fewest(pool: _Pool) -> int | None:
    """Return the fewest people who make up nearly all of a sum; None of FEWEST."""
    if _most(pool, FEWEST) < MOST:
        return None
    few, many = 0, FEWEST  # those are too few, these are enough
    while many - few > 1:
        half = (few + many) // 2
        if _most(pool, half) < MOST:
            few = half
        else:
            many = half
    return many


def _most(pool: _Pool, size: int) -> float:
    """Return the most of a sum of columns that so many people are found to make up.

    The search ends once that is MOST.
    """
    ahead, found = _starts(pool, MOST / size), 0.0  # (f, s)
    grams = np.ascontiguousarray(pool.grams[:, : pool.free])
    last = np.zeros(ahead.shape[1])
    for _ in range(STEPS):
        if not ahead.size or found >= MOST:
            break
        parts = (_each(grams, ahead) * ahead).sum(axis=1)
        picked = np.zeros(parts.shape)  # 1 for whom each start takes
        np.put_along_axis(picked, _first(parts, size), 1.0, axis=0)
        theirs = (picked.T @ grams.reshape(len(grams), -1)).reshape(
            -1, *grams.shape[1:]
        )
        values, vectors = np.linalg.eigh(theirs)
        rises = values[:, -1] > last + RISES
        last, ahead = values[rises, -1], vectors[rises, :, -1].T
        found = max(found, float(last.max(initial=0.0)))
    return found


def _fewest_told(pool: _Pool, noise: float, fewest: int) -> int | None:
    """Return the fewest people who are told with less noise; None of fewer than so."""
    for size in range(fewest, FEWEST):
        wanted = size / (size + noise)
        if pool.whole[:size].sum() > wanted and _explained(pool, size, wanted) > wanted:
            return size
    return None


def _explained(pool: _Pool, size: int, wanted: float) -> float:
    """Return the most that columns are found to explain of what so many have alike.

    A person of several rows weighs 1 in all, over rows as the sum of columns has it.
    The search ends once that is more than wanted.
    """
    # What is beside, if anything, may explain a half of it.
    own = 1.0 if pool.grams.shape[1] == pool.free else 0.5
    ahead, found = _starts(pool, own / (size + NOISE)), 0.0  # (f, s)
    start = np.arange(ahead.shape[1])
    for _ in range(STEPS if ahead.size else 0):
        each = _each(pool.grams, ahead)
        length = np.sqrt(np.maximum((each[:, : pool.free] * ahead).sum(axis=1), TINY))
        chosen = _first(length, size)
        alike = each[chosen, :, start] / length[chosen, start][:, :, None]
        together = alike.sum(axis=0)  # (s, k)
        squares = np.einsum("sk,sk->s", together, together)
        if squares.max() <= found + RISES:
            break
        found = float(squares.max())
        if found / size > wanted:
            break
        looked = together[:, : pool.free].T
        ahead = looked / np.linalg.norm(looked, axis=0)
    return found / size


def _starts(pool: _Pool, least: float) -> Floats:
    """Return (f, s) sums of columns, of each person of so much leverage theirs most."""
    return pool.starts[:, pool.leverage[:STARTS] >= least]


def _each(grams: Floats, ahead: Floats) -> Floats:
    """Return (m, k, s) what each of m people adds to k columns' products with a sum."""
    m, k, f = grams.shape
    return (grams.reshape(m * k, f) @ ahead).reshape(m, k, -1)


def _first(parts: Floats, size: int) -> Ints:
    """Return the places of the largest along the first axis, as many as asked for."""
    return np.argpartition(-parts, min(size, len(parts)) - 1, axis=0)[:size]
