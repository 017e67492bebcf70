"""Curves of people who count unequally, and how far what is read off them varies.

Of a weighted curve everybody is in one cell: their group, the bin of the grid in which
they leave, and whether with the event. Whatever is read off the curves moves with the
weight of a person by a number that their cell decides, the infinitesimal jackknife. So
the sums of squared weights in the cells say every robust variance; of weights by a
fitted score, some sums more say what the score's estimation adds.
"""

from dataclasses import dataclass

import numpy as np

from hetao.analysis.expressions import Floats

CELLS = 2  # of a bin: who leaves without the event, and who leaves with it


@dataclass(frozen=True, eq=False)
class Spread:
    """Sums over the cells' people that say how far sums of their weights vary.

    Attributes:
        squares: (groups, edges, 2), of squared weights.
        slopes: (groups, edges, 2, q), of how weights move with the q coefficients of
            a fitted score; q is 0 where no score weighs people, here and below.
        cross: (groups, edges, 2, q), of weights times the scores of the score's model.
        inverse: (q, q), of the information of the score's model.
        meat: (q, q), outer products of its scores.
    """

    squares: Floats
    slopes: Floats
    cross: Floats
    inverse: Floats
    meat: Floats

    @classmethod
    def of_squares(cls, squares: Floats) -> "Spread":
        """Return what says it where the weights are given."""
        none = np.zeros((*squares.shape, 0))
        return cls(squares, none, none, np.zeros((0, 0)), np.zeros((0, 0)))

    def covariance(self, influence: Floats) -> Floats:
        """Return the covariance (m, m) of m numbers.

        Args:
            influence: (m, groups, edges, 2), how each moves with the weight of a
                person of each cell.
        """
        flat, q = influence.reshape(len(influence), -1), len(self.inverse)
        slopes, cross = (x.reshape(flat.shape[1], q) for x in (self.slopes, self.cross))
        pull = flat @ slopes @ self.inverse
        mixed = (flat @ cross) @ pull.T
        own = (flat * self.squares.ravel()) @ flat.T
        return np.asarray(own + mixed + mixed.T + pull @ self.meat @ pull.T)

    def along(self, group: int, gain: Floats, loss: Floats) -> Floats:
        """Return the variance (edges,) of a number that a curve has at each edge.

        Args:
            group: whose curve.
            gain: (edges,), what a person at risk adds to it up to each edge.
            loss: (edges,), what the event of a person takes off again from there on.
        """
        square = _along(gain**2, gain**2 - (gain - loss) ** 2, self.squares[group])
        pull = _along(gain, loss, self.slopes[group]) @ self.inverse
        both = _along(gain, loss, self.cross[group])
        return np.asarray(
            square + (2 * both * pull).sum(axis=1) + ((pull @ self.meat) * pull).sum(1)
        )


def _along(gain: Floats, loss: Floats, cells: Floats) -> Floats:
    """Return (edges, …) sums over (edges, 2, …) cells of what each has at each edge."""
    everyone, had = cells.sum(axis=1), cells[:, 1]
    wide = (-1, *[1] * (everyone.ndim - 1))
    gain, loss = gain.reshape(wide), loss.reshape(wide)
    done = np.cumsum(gain * everyone - loss * had, axis=0)
    still = np.cumsum(everyone[::-1], axis=0)[::-1] - everyone
    return np.asarray(done + gain * still)


@dataclass(frozen=True, eq=False)
class WeightedCurve:
    """One group's weighted curve over all edges of a grid, and how it moves.

    Attributes:
        survival, cumhaz: (edges,), just after each edge.
        gain, loss: (edges,), of the log of the survival, as of `Spread.along`.
        rise, jump: (edges,), the same of the cumulative hazard.
    """

    survival: Floats
    cumhaz: Floats
    gain: Floats
    loss: Floats
    rise: Floats
    jump: Floats

    @classmethod
    def of(cls, weights: Floats, has_left: Floats) -> "WeightedCurve":
        """Return the curve of sums of weights.

        Args:
            weights: (edges, 2), in the cells of each bin.
            has_left: (edges,) whether anybody is left after each edge.
        """
        without, d = weights.T
        after = np.cumsum((without + d)[::-1])[::-1] - (without + d)
        left = np.where(has_left, np.maximum(after, 0.0) + without, 0.0)
        n = left + d
        used, open_end = d > 0, (d > 0) & (left > 0)
        rate = np.divide(d, n, out=np.zeros_like(d), where=used)
        spared = np.divide(1.0, left, out=np.zeros_like(d), where=open_end)
        each = np.divide(1.0, n, out=np.zeros_like(d), where=used)
        stays = np.divide(left, n, out=np.ones_like(d), where=used)
        survival = np.cumprod(stays)
        gain, rise = np.cumsum(rate * spared), np.cumsum(rate * each)
        return cls(survival, np.cumsum(rate), gain, spared, -rise, -each)

    def survival_influence(self, edges: Floats, time: float) -> Floats:
        """Return (edges, 2) how the survival at a time moves with a person's weight."""
        last = int(np.searchsorted(edges, time, side="right")) - 1
        if last < 0:
            return np.zeros((len(edges), CELLS))
        gain = self.gain[np.minimum(np.arange(len(edges)), last)]
        loss = np.where(np.arange(len(edges)) <= last, self.loss, 0.0)
        return np.asarray(self.survival[last] * np.stack([gain, gain - loss], axis=1))

    def survival_at(self, edges: Floats, time: float) -> float:
        """Return the survival at a time."""
        last = int(np.searchsorted(edges, time, side="right")) - 1
        return float(self.survival[last]) if last >= 0 else 1.0

    def mean(self, edges: Floats, horizon: float) -> tuple[float, Floats]:
        """Return the mean restricted to a horizon, and (edges, 2) how it moves."""
        ends = np.minimum(np.append(edges, np.inf), horizon)
        areas = np.diff(ends) * self.survival
        rest = np.cumsum(areas[::-1])[::-1]
        before = np.cumsum(self.gain * areas) - self.gain * areas
        stays = before + self.gain * rest
        influence = np.stack([stays, stays - self.loss * rest], axis=1)
        return float(ends[0] + areas.sum()), influence


def logrank_influence(weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the excess of events in each group, who is compared, and how it moves.

    Args:
        weights: (groups, edges, 2), in the cells of each bin.

    Returns:
        Observed less expected (groups,); expected (groups,); and (groups, groups,
        edges, 2), how the excess of the first moves with the weight of a person.

    Source:
        Lin & Wei (1989), JASA 84, 1074-1078, of a Cox model of the groups at 0.
    """
    d, leaving = weights[:, :, 1], weights.sum(axis=2)
    at_risk = leaving[:, ::-1].cumsum(axis=1)[:, ::-1]
    everyone, deaths = at_risk.sum(axis=0), d.sum(axis=0)
    used = deaths > 0
    share = np.divide(at_risk, everyone, out=np.zeros_like(at_risk), where=everyone > 0)
    rate = np.divide(deaths, everyone, out=np.zeros_like(deaths), where=used)
    expected = share @ deaths
    away = np.eye(len(d))[:, :, None] - share[:, None, :]  # whose, of whom, when
    stays = -np.cumsum(away * rate, axis=2)
    influence = np.stack([stays, stays + away], axis=3)
    return d.sum(axis=1) - expected, expected, influence
