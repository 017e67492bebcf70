"""Likelihoods that compare rows within sets alone, so that a set's own level falls out.

Of matched sets, how many of a set are cases is taken as given, and the likelihood is
that it is these; of a person's intervals, how many events they had, and that they fell
into these. A set whose rows are all alike in a column says nothing about it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hetao.analysis.cox import tied_events
from hetao.analysis.estimator import sum_by
from hetao.analysis.expressions import Floats, Ints
from hetao.analysis.newton import Point

LARGEST = 1 << 22  # numbers in the largest array of a recursion


@dataclass(frozen=True, eq=False)
class Sets:
    """Rows in their sets, those of a set next to each other.

    Attributes:
        order: (n,) numbers of the rows.
        first: (sets,) place of each set's first row.
        of: (n,) set of each row.
        x: (n, p) design less its set's mean: only differences within sets count, and
            small ones stay exact.
        y: (n,) 0 or 1 for a case; how many events, of intervals.
    """

    order: Ints
    first: Ints
    of: Ints
    x: Floats
    y: Floats

    @classmethod
    def of_rows(cls, x: Floats, y: Floats, codes: Ints) -> "Sets":
        """Return the sets of rows with these codes, of which there may be none."""
        order = np.argsort(codes, kind="stable")
        starts = np.ones(len(order), dtype=bool)
        starts[1:] = np.diff(codes[order]) != 0
        first, of = np.nonzero(starts)[0], np.cumsum(starts) - 1
        bare = cls(order, first, of, x[order], y[order])
        centred = bare.x - (bare.sums(bare.x) / bare.size[:, None])[of]
        return cls(order, first, of, centred, bare.y)

    @property
    def size(self) -> Ints:
        """Return (sets,) rows of each set."""
        return np.diff(self.first, append=len(self.order))

    def sums(self, values: Floats) -> Floats:
        """Return the sums over each set of values, one a row in the sets' order."""
        if not len(self.first):
            return np.zeros((0, *values.shape[1:]))
        return np.asarray(np.add.reduceat(values, self.first, axis=0))

    def tops(self, values: Floats) -> Floats:
        """Return (sets,) the largest of (n,) values in each set."""
        if not len(self.first):
            return np.zeros(0)
        return np.asarray(np.maximum.reduceat(values, self.first))

    def chosen(self, places: Ints) -> "Sets":
        """Return the sets of these numbers, rising; `order` counts rows of this one."""
        mask = np.zeros(len(self.first), dtype=bool)
        mask[places] = True
        rows = np.nonzero(mask[self.of])[0]
        size = self.size[places]
        of = np.repeat(np.arange(len(size)), size)
        return Sets(rows, np.cumsum(size) - size, of, self.x[rows], self.y[rows])


def drawn_one_by_one(
    sets: Sets, eta: Floats, efron: bool = False
) -> tuple[Point, Floats]:
    """Return the likelihood of events drawn one by one, each among the rows of its set.

    So do a person's events fall into their intervals, exactly. Of a set with one case
    it is the exact likelihood too; with several it is Breslow's approximation, or
    Efron's, which takes the cases out of those that are drawn from by degrees.

    Args:
        sets: whose y counts the events; 0 or 1 for Efron's.
        eta: (n,) linear predictors in the sets' order.
        efron: whether the approximation is Efron's.

    Returns:
        The likelihood, and how many events each row was due, (n,).
    """
    of, x, y = sets.of, sets.x, sets.y
    eta = eta - sets.tops(eta)[of]
    w, d = np.exp(eta), sets.sums(y)
    at, share, weight = np.arange(len(d)), np.zeros(len(d)), d
    if efron:
        at, share = tied_events(d.astype(np.int64))
        weight = np.ones(len(at))
    s0, s1 = sets.sums(w)[at], sets.sums(w[:, None] * x)[at]
    if efron:
        s0 = s0 - share * sets.sums(y * w)[at]
        s1 = s1 - share[:, None] * sets.sums((y * w)[:, None] * x)[at]
    mean = s1 / s0[:, None]
    hazard = sum_by(at, len(d), weight / s0)[of]
    if efron:
        hazard -= y * sum_by(at, len(d), share / s0)[of]
    due = w * hazard
    information = (x.T * due) @ x - (mean.T * weight) @ mean
    loglik = float(y @ eta - weight @ np.log(s0))
    return Point(x.T @ y - mean.T @ weight, information, loglik), due


def drawn_together(sets: Sets, eta: Floats) -> Point:
    """Return the exact likelihood of cases drawn together from their sets.

    It is the chance that of all ways to draw so many of a set, the cases are the ones
    drawn. Where most of a set are cases, it is the controls that are drawn.

    Args:
        sets: whose y is 0 or 1.
        eta: (n,) linear predictors in the sets' order.

    Source:
        Gail, Lubin and Rubinstein (1981), Biometrika 68, 703-707, whose recursion over
        the rows is carried out here on means and covariances by the law of total
        variance: nothing overflows and nothing cancels.
    """
    p = sets.x.shape[1]
    score, information, loglik = np.zeros(p), np.zeros((p, p)), 0.0
    for group, of_group, d in _alike(sets, eta, p * p):
        point = drawn_one_by_one(group, of_group)[0] if d == 1 else None
        point = point or _of_one_shape(group, of_group, d)
        score += point.score
        information += point.information
        loglik += point.loglik
    return Point(score, information, loglik)


def spreads(sets: Sets, eta: Floats) -> Floats:
    """Return (n,) how much each row counts in the information of `drawn_together`.

    Of a set of which one row is drawn that is its chance; of others the variance of
    whether it is drawn.
    """
    found = np.zeros(len(sets.order))
    for group, of_group, d in _alike(sets, eta, 1):
        if d == 1:
            found[group.order] = drawn_one_by_one(group, of_group)[1]
            continue
        chance = _chances(of_group.reshape(len(group.first), -1), d)
        found[group.order] = (chance * (1 - chance)).reshape(-1)
    return found


def _alike(sets: Sets, eta: Floats, breadth: int) -> Iterator[tuple[Sets, Floats, int]]:
    """Return the sets that are carried out together, and how many are drawn of each.

    All of which one row is drawn; of the others those of one shape, few enough at once
    for an array of breadth numbers a row that may be drawn to stay small. Of a set with
    more cases than controls the controls are drawn, against their linear predictors.
    """
    cases = sets.sums(sets.y)
    turned = cases > sets.size / 2
    few = np.where(turned, sets.size - cases, cases).astype(np.int64)
    sign = np.where(turned, -1.0, 1.0)[sets.of]
    y = np.where(sign < 0, 1 - sets.y, sets.y)
    rows = np.arange(len(y))
    drawn = Sets(rows, sets.first, sets.of, sign[:, None] * sets.x, y)
    shapes = sorted(set(zip(sets.size.tolist(), few.tolist(), strict=True)))
    masks = [(few == 1, 1)] if np.any(few == 1) else []
    masks += [((sets.size == n) & (few == d), d) for n, d in shapes if d > 1]
    for mask, d in masks:
        places = np.nonzero(mask)[0]
        n = int(sets.size[places].max())
        step = max(1, LARGEST // (n * breadth if d == 1 else n * d * breadth))
        for some in np.split(places, range(step, len(places), step)):
            group = drawn.chosen(some)
            yield group, (sign * eta)[group.order], d


def _of_one_shape(sets: Sets, eta: Floats, d: int) -> Point:
    """Return the likelihood of sets of as many rows, d of them drawn from each."""
    k, p = len(sets.first), sets.x.shape[1]
    x, y, eta = sets.x.reshape(k, -1, p), sets.y.reshape(k, -1), eta.reshape(k, -1)
    ways, mean, covariance = _draws(x, eta, d)
    score = np.einsum("kn,knp->p", y, x) - mean.sum(axis=0)
    loglik = float((y * eta).sum() - ways.sum())
    return Point(score, covariance.sum(axis=0), loglik)


def _draws(x: Floats, eta: Floats, d: int) -> tuple[Floats, Floats, Floats]:
    """Return the log weight of all draws of d rows, and their sums' two moments.

    Row by row: a draw of m among the first j either has row j, with chance q, or not.

    Args:
        x: (k, n, p) of k sets.
        eta: (k, n).
        d: rows drawn, from 1 to n.

    Returns:
        (k,), the mean (k, p) and the covariance (k, p, p).
    """
    k, n, p = x.shape
    ways = np.full((k, d + 1), -np.inf)
    ways[:, 0] = 0.0
    mean, covariance = np.zeros((k, d + 1, p)), np.zeros((k, d + 1, p, p))
    for j in range(n):
        here, less = _window(j, n, d)
        having = ways[:, less] + eta[:, j, None]
        either = np.logaddexp(ways[:, here], having)
        q = np.exp(having - either)[..., None]
        apart = mean[:, less] + x[:, None, j] - mean[:, here]
        spread = (q * (1 - q))[..., None] * apart[..., :, None] * apart[..., None, :]
        wider = covariance[:, less] - covariance[:, here]
        covariance[:, here] += q[..., None] * wider + spread
        mean[:, here] += q * apart
        ways[:, here] = either
    return ways[:, d], mean[:, d], covariance[:, d]


def _window(j: int, n: int, d: int) -> tuple[slice, slice]:
    """Return how many rows up to row j may be drawn, and the same with one fewer.

    At most all of them are, and the rows that are left must be enough for the rest.
    """
    low, high = max(1, d - (n - j - 1)), min(d, j + 1)
    return slice(low, high + 1), slice(low - 1, high)


def _chances(eta: Floats, d: int) -> Floats:
    """Return (k, n) the chance of each row to be among the d that are drawn."""
    before = _ways(eta, d)
    after = _ways(eta[:, ::-1], d)[:, ::-1]
    others = before[:, :-1, :d] + after[:, 1:, d - 1 :: -1]
    top = others.max(axis=2)
    log_others = top + np.log(np.exp(others - top[..., None]).sum(axis=2))
    return np.asarray(np.exp(log_others + eta - before[:, -1, d, None]))


def _ways(eta: Floats, d: int) -> Floats:
    """Return (k, n + 1, d + 1) the log weight of draws of m of the first j rows."""
    k, n = eta.shape
    ways = np.full((k, n + 1, d + 1), -np.inf)
    ways[:, :, 0] = 0.0
    for j in range(n):
        having = ways[:, j, :-1] + eta[:, j, None]
        ways[:, j + 1, 1:] = np.logaddexp(ways[:, j, 1:], having)
    return ways
