"""Looks at a running trial: bounds that keep the error of testing more than once.

The statistic at information I is Z = S/√I, and S grows by independent normal steps of
mean θΔI and variance ΔI. So the chance of each path through the looks is an integral
over one look at a time, carried from look to look on Gauss-Legendre panels: the
recursion of Armitage, McPherson and Rowe (1969), J. R. Stat. Soc. A 132(2), 235-244.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from hetao.errors import Usage

Floats = NDArray[np.float64]

SPENDING: Final = ("obrien_fleming", "pocock", "power", "hwang_shih_decani")
FARTHEST: Final = 9.0  # standard deviations: beyond lies less than 1e-18
NODES: Final = 16  # of a panel
WIDEST: Final = 0.75  # of a panel, in standard deviations of the next step
MOST_LOOKS: Final = 100
CLOSEST: Final = 1e-3  # least information between two looks, of the whole
LARGEST: Final = 40.0  # drift


@dataclass(frozen=True)
class Spending:
    """How much of an error is spent by a share of the information.

    Attributes:
        name: "obrien_fleming" or "pocock" (Lan & DeMets 1983, Biometrika 70(3), 659),
            "power" (Kim & DeMets 1987), or "hwang_shih_decani" (1990).
        parameter: of "power" the exponent, above 0; of "hwang_shih_decani" gamma, any
            finite number.
    """

    name: str = "obrien_fleming"
    parameter: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no spending.

        Raises:
            Usage: an unknown name, or a parameter that gives none.
        """
        if self.name not in SPENDING:
            raise Usage(f"spending is one of {', '.join(SPENDING)}")
        wrong = not math.isfinite(self.parameter)
        if wrong or (self.name == "power" and self.parameter <= 0):
            raise Usage(
                "the spending's parameter must be a finite number, above 0 for power"
            )

    def spent(self, share: float, error: float) -> float:
        """Return how much of `error` is spent by a share of the information, (0, 1]."""
        if share >= 1:
            return error
        match self.name:
            case "obrien_fleming":
                return float(2 * ndtr(ndtri(error / 2) / math.sqrt(share)))
            case "pocock":
                return error * math.log1p((math.e - 1) * share)
            case "power":
                return float(error * share**self.parameter)
        if abs(self.parameter) < 1e-12:
            return error * share
        return error * math.expm1(-self.parameter * share) / math.expm1(-self.parameter)


@dataclass(frozen=True)
class Bounds:
    """When to stop.

    Attributes:
        information: shares of the whole information, increasing, the last one 1.
        upper: z at or beyond which a look stops for efficacy.
        lower: z below which a look may stop for futility; -inf for never. They are not
            binding: the error holds also if a trial goes on below them.
        alpha: one-sided error, spent over all looks.
        spent: of it, cumulated, after each look.
    """

    information: tuple[float, ...]
    upper: tuple[float, ...]
    lower: tuple[float, ...]
    alpha: float
    spent: tuple[float, ...]


@dataclass(frozen=True)
class Course:
    """What may become of a trial at one drift.

    Attributes:
        efficacy: chance of stopping for efficacy at each look.
        futility: chance of stopping for futility at each look; not stopping for
            efficacy at the last look is not counted as futility unless its bound says.
        information: expected share of the whole information when it stops.
    """

    efficacy: tuple[float, ...]
    futility: tuple[float, ...]
    information: float

    @property
    def power(self) -> float:
        """Return the chance of stopping for efficacy at any look."""
        return math.fsum(self.efficacy)


def efficacy_bounds(
    information: Sequence[float],
    alpha: float = 0.025,
    spending: Spending = Spending(),
) -> Bounds:
    """Return the bounds that spend a one-sided error over looks.

    Args:
        information: shares of the whole information at the looks, increasing. The last
            may lie below 1: a trial that has not ended has spent less than alpha.
        alpha: one-sided error; a symmetric two-sided test uses half of its error.
        spending: how it is spent.

    Raises:
        Usage: shares do not increase within (0, 1], lie closer than a thousandth, or
            are more than 100; alpha lies outside (0, 0.5).

    Source:
        Lan & DeMets (1983). Oracle: `tests/unit/test_trial_looks.py`, against bivariate
        normal integrals by Owen's T and chains of them.
    """
    shares = _checked(information)
    if not 0 < alpha < 0.5:
        raise Usage("alpha is one-sided and lies between 0 and 0.5")
    spent = [spending.spent(share, alpha) for share in shares]
    upper: list[float] = []
    walk = _Walk(0.0)
    for share, now, before in zip(shares, spent, [0.0, *spent[:-1]], strict=True):
        walk.step_to(share)
        upper.append(walk.level_of(now - before))
        walk.cut(-math.inf, upper[-1])
    never = (-math.inf,) * len(shares)
    return Bounds(shares, tuple(upper), never, alpha, tuple(spent))


def futility_bounds(
    bounds: Bounds,
    power: float,
    spending: Spending = Spending(),
) -> tuple[Bounds, float]:
    """Return the bounds with futility added, and the drift that has the power.

    The drift is the mean of z at full information. The lower bounds spend 1 - power at
    that drift, and meet the upper ones at the last look.

    Raises:
        Usage: the looks do not end at 1, or power is not between alpha and 1.
    """
    _check_power(bounds, power)
    beta = 1 - power

    def lower_at(drift: float) -> tuple[list[float], float]:
        lower: list[float] = []
        walk, before = _Walk(drift), 0.0
        for share, upper in zip(bounds.information, bounds.upper, strict=True):
            walk.step_to(share)
            now = spending.spent(share, beta)
            lower.append(min(walk.level_below(now - before), upper))
            walk.cut(lower[-1], upper)
            before = now
        return lower, lower[-1]

    # The last lower bound rises with the drift; at the right one it meets the upper.
    least = drift_for(bounds, power)
    last = bounds.upper[-1]
    few, many = least * 0.999, min(LARGEST, least + 3)

    def gap(drift: float) -> float:
        # unbounded by the upper: how far the level lies from it
        walk, before = _Walk(drift), 0.0
        for share, upper in zip(
            bounds.information[:-1], bounds.upper[:-1], strict=True
        ):
            walk.step_to(share)
            now = spending.spent(share, beta)
            walk.cut(min(walk.level_below(now - before), upper), upper)
            before = now
        walk.step_to(1.0)
        return walk.level_below(beta - before) - last

    drift = float(brentq(gap, few, many, xtol=1e-13))
    lower, _ = lower_at(drift)
    lower[-1] = last
    whole = Bounds(
        bounds.information, bounds.upper, tuple(lower), bounds.alpha, bounds.spent
    )
    return whole, drift


def course(bounds: Bounds, drift: float) -> Course:
    """Return what may become of a trial whose z has this mean at full information.

    Raises:
        Usage: the drift is not a number up to 40 in absolute value.
    """
    if not abs(drift) <= LARGEST:
        raise Usage(f"a drift lies between -{LARGEST:g} and {LARGEST:g}")
    walk, left, expected = _Walk(drift), 1.0, 0.0
    efficacy, futility = [], []
    limits = zip(bounds.information, bounds.lower, bounds.upper, strict=True)
    for share, lower, upper in limits:
        walk.step_to(share)
        efficacy.append(walk.above(upper))
        futility.append(walk.below(lower))
        walk.cut(lower, upper)
        stopped = efficacy[-1] + futility[-1]
        expected += share * stopped
        left -= stopped
    expected += max(left, 0.0) * bounds.information[-1]
    return Course(tuple(efficacy), tuple(futility), expected)


def drift_for(bounds: Bounds, power: float) -> float:
    """Return the drift at which the bounds have a power, futility heeded where it is.

    Its square over that of one look's, `(z_alpha + z_power)²`, is the inflation of the
    largest sample.

    Raises:
        Usage: the looks do not end at 1, or power is not between alpha and 1.
    """
    _check_power(bounds, power)
    return float(
        brentq(
            lambda drift: course(bounds, drift).power - power, 0, LARGEST, xtol=1e-13
        )
    )


def inflation(bounds: Bounds, power: float) -> float:
    """Return how much larger the largest sample is than that of a single look."""
    single = -float(ndtri(bounds.alpha)) + float(ndtri(power))
    return (drift_for(bounds, power) / single) ** 2


def stagewise_p(bounds: Bounds, look: int, z: float) -> float:
    """Return the one-sided p value of a trial that stops at a look with this z.

    Results of an earlier look count as more extreme than any of a later one; at the
    same look a higher z does.

    Args:
        bounds: of efficacy; futility bounds do not bind and do not count.
        look: from 1, the look at which it stopped.
        z: there.

    Raises:
        Usage: there is no such look.

    Source:
        Tsiatis, Rosner & Mehta (1984), Biometrics 40(3), 797-803.
    """
    return _more_extreme(bounds, look, z, 0.0)


def stagewise_interval(
    bounds: Bounds, look: int, z: float, level: float = 0.95
) -> tuple[float, float, float]:
    """Return (lower, median unbiased, upper) of the drift of a trial that stopped.

    Divided by the square root of the full information they are on the effect's scale.

    Raises:
        Usage: there is no such look, or the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise Usage("the level of an interval lies between 0 and 1")
    tail = (1 - level) / 2

    def at(chance: float) -> float:
        return float(
            brentq(
                lambda drift: _more_extreme(bounds, look, z, drift) - chance,
                -LARGEST,
                LARGEST,
                xtol=1e-12,
            )
        )

    return at(tail), at(0.5), at(1 - tail)


def _more_extreme(bounds: Bounds, look: int, z: float, drift: float) -> float:
    if not 1 <= look <= len(bounds.information):
        raise Usage(f"there are looks 1 to {len(bounds.information)}")
    walk, chance = _Walk(drift), 0.0
    for place in range(look):
        walk.step_to(bounds.information[place])
        limit = z if place == look - 1 else bounds.upper[place]
        chance += walk.above(limit)
        walk.cut(-math.inf, limit)
    return chance


def _checked(information: Sequence[float]) -> tuple[float, ...]:
    shares = tuple(map(float, information))
    if not 1 <= len(shares) <= MOST_LOOKS:
        raise Usage(f"a trial has 1 to {MOST_LOOKS} looks")
    steps = np.diff([0.0, *shares])
    if not np.isfinite(steps).all() or (steps < CLOSEST).any() or shares[-1] > 1:
        raise Usage(
            "looks are shares of the information that increase up to 1",
            fix=f"leave at least {CLOSEST:g} of the information between two looks",
        )
    return shares


def _check_power(bounds: Bounds, power: float) -> None:
    if bounds.information[-1] != 1:
        raise Usage("the last look must be at the full information, 1")
    if not bounds.alpha < power < 1:
        raise Usage("power lies between alpha and 1")


class _Walk:
    """The distribution of S over the paths that have not stopped, look by look.

    Between looks it is kept as weights at nodes of S; at the first look it is exact.
    """

    def __init__(self, drift: float) -> None:
        self._drift, self._share = drift, 0.0
        self._nodes: Floats = np.zeros(1)
        self._mass: Floats = np.ones(1)
        self._step = 0.0

    def step_to(self, share: float) -> None:
        """Go on to the next look; `cut` has told where the last one went on."""
        self._step, self._share = share - self._share, share

    def above(self, z: float) -> float:
        """Return the chance of reaching z or more at this look."""
        return float(self._mass @ ndtr(-self._standard(z)))

    def below(self, z: float) -> float:
        """Return the chance of staying below z at this look."""
        return float(self._mass @ ndtr(self._standard(z)))

    def level_of(self, chance: float) -> float:
        """Return the z that is reached with a chance; inf for none worth naming."""
        return self._solved(self.above, chance, math.inf)

    def level_below(self, chance: float) -> float:
        """Return the z that is not reached with a chance; -inf for none."""
        return self._solved(self.below, chance, -math.inf)

    def cut(self, lower: float, upper: float) -> None:
        """Keep the paths between two bounds on z."""
        root = math.sqrt(self._share)
        middle = self._drift * self._share
        start = max(lower * root, middle - FARTHEST * root)
        end = min(upper * root, middle + FARTHEST * root)
        if start >= end:
            self._nodes, self._mass = np.zeros(0), np.zeros(0)
            return
        # The narrower of this step and any next one decides how smooth the paths are.
        width = WIDEST * math.sqrt(max(min(self._step, CLOSEST * 50), CLOSEST))
        panels = max(1, math.ceil((end - start) / width))
        points, weights = np.polynomial.legendre.leggauss(NODES)
        edges = np.linspace(start, end, panels + 1)
        half = np.diff(edges)[:, None] / 2
        nodes = (edges[:-1, None] + half + half * points).ravel()
        weight = (half * weights).ravel()
        density = np.zeros(len(nodes))
        scale = math.sqrt(self._step)
        for chunk in np.array_split(np.arange(len(nodes)), 1 + len(nodes) // 512):
            away = nodes[chunk, None] - self._nodes - self._drift * self._step
            kernel = np.exp(-0.5 * (away / scale) ** 2)
            density[chunk] = kernel @ self._mass
        self._nodes = nodes
        self._mass = weight * density / (scale * math.sqrt(2 * math.pi))

    def _standard(self, z: float) -> Floats:
        limit = z * math.sqrt(self._share) if math.isfinite(z) else z
        mean = self._nodes + self._drift * self._step
        return np.asarray((limit - mean) / math.sqrt(self._step))

    def _solved(
        self, chance_of: Callable[[float], float], chance: float, none: float
    ) -> float:
        middle = self._drift * math.sqrt(self._share)
        low, high = middle - FARTHEST, middle + FARTHEST
        at_low, at_high = chance_of(low), chance_of(high)
        if chance <= min(at_low, at_high):
            return none
        if chance >= max(at_low, at_high):
            return -none
        return float(brentq(lambda z: chance_of(z) - chance, low, high, xtol=1e-13))
