"""How many people, events or hospitals a trial needs, and what power it then has.

One normal approximation for each kind of endpoint, as R's `power.*.test` and the text
books have it; all tests are two-sided unless said. Nothing here sees data.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

from scipy.optimize import brentq
from scipy.special import nctdtr, ndtr, ndtri, stdtrit

from hetao.errors import Usage

MOST: Final = 1e9  # people


@dataclass(frozen=True)
class Aim:
    """What a trial must be able to show.

    Attributes:
        power: chance of showing an effect that is there.
        alpha: chance of showing one that is not, over all sides.
        sides: 1 or 2.
        allocation: people in the treated arm for each one in the control arm.
    """

    power: float = 0.8
    alpha: float = 0.05
    sides: int = 2
    allocation: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no aim.

        Raises:
            Usage: an error, a power or a ratio that cannot be.
        """
        if self.sides not in (1, 2):
            raise Usage("a test has 1 or 2 sides")
        if not 0 < self.alpha < 1 or not self.alpha / self.sides < self.power < 1:
            raise Usage("alpha lies between 0 and 1, and power between alpha and 1")
        if not 0.01 <= self.allocation <= 100:
            raise Usage("the allocation lies between 1:100 and 100:1")

    @property
    def quantiles(self) -> tuple[float, float]:
        """Return (z of alpha, z of power)."""
        return -float(ndtri(self.alpha / self.sides)), float(ndtri(self.power))

    @property
    def share(self) -> float:
        """Return the share of people in the treated arm."""
        return self.allocation / (1 + self.allocation)


@dataclass(frozen=True)
class Size:
    """What a trial needs.

    Attributes:
        control, treated: people, whole ones.
        exact: people in all before rounding up.
        events: events in all, not rounded; None where the endpoint has none.
    """

    control: int
    treated: int
    exact: float
    events: float | None = None

    @property
    def people(self) -> int:
        """Return the people in all."""
        return self.control + self.treated


@dataclass(frozen=True)
class Clusters:
    """Whole hospitals are allotted, not people.

    Attributes:
        people: mean people of a hospital that take part.
        correlation: of two people of one hospital, 0 to 1 (ICC).
        variation: coefficient of variation of the hospitals' sizes.
    """

    people: float
    correlation: float
    variation: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            Usage: fewer than one person, a correlation outside 0 to 1.
        """
        sound = self.people >= 1 and 0 <= self.correlation <= 1 and self.variation >= 0
        if not sound or not math.isfinite(self.people + self.variation):
            raise Usage("clusters have one person or more, and a correlation of 0 to 1")

    @property
    def effect(self) -> float:
        """Return by how much people must be multiplied: the design effect.

        Source:
            Eldridge, Ashby & Kerry (2006), Int. J. Epidemiol. 35(5), 1292-1300.
        """
        size = (1 + self.variation**2) * self.people
        return 1 + (size - 1) * self.correlation


@dataclass(frozen=True)
class FollowUp:
    """How people come in and how long they are followed.

    Attributes:
        accrual: time over which they come in evenly.
        after: time from the last one's entry to the end.
        hazard: of the event in the control arm, a unit of that time.
        dropout: hazard of leaving otherwise, in both arms.
    """

    accrual: float
    after: float
    hazard: float
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            Usage: a negative time or hazard, no time at all, or no events.
        """
        values = (self.accrual, self.after, self.hazard, self.dropout)
        if not all(math.isfinite(v) and v >= 0 for v in values):
            raise Usage("times and hazards are finite numbers from 0")
        if self.accrual + self.after <= 0 or self.hazard <= 0:
            raise Usage("there must be some time and some hazard")

    def chance(self, ratio: float = 1.0) -> float:
        """Return the chance of an event in the trial, at a hazard ratio.

        Source:
            Lachin & Foulkes (1986), Biometrics 42(3), 507-519, eq. 2.2 with even entry.
        """
        hazard = self.hazard * ratio
        total = hazard + self.dropout
        still = math.exp(-total * self.after)
        if self.accrual > 0:
            still *= -math.expm1(-total * self.accrual) / (total * self.accrual)
        return hazard / total * (1 - still)


def events_for(hazard_ratio: float, aim: Aim = Aim()) -> float:
    """Return how many events a log-rank test or a Cox model needs, not rounded.

    Source:
        Schoenfeld (1983), Biometrics 39(2), 499-503.

    Raises:
        Usage: the ratio is not above 0, or is 1.
    """
    _ratio(hazard_ratio, "hazard")
    of_alpha, of_power = aim.quantiles
    share = aim.share
    drift = (of_alpha + of_power) ** 2
    return drift / (share * (1 - share) * math.log(hazard_ratio) ** 2)


def survival(
    hazard_ratio: float,
    follow_up: FollowUp,
    aim: Aim = Aim(),
) -> Size:
    """Return the people that give as many events as Schoenfeld asks for."""
    events = events_for(hazard_ratio, aim)
    share = aim.share
    chance = (1 - share) * follow_up.chance() + share * follow_up.chance(hazard_ratio)
    return _size(events / chance, aim, events)


def proportions(control: float, treated: float, aim: Aim = Aim()) -> Size:
    """Return the people that show two proportions to differ.

    With equal arms this is R's `power.prop.test`: pooled variance under no difference.

    Raises:
        Usage: a proportion is not between 0 and 1, or both are the same.
    """
    if not (0 < control < 1 and 0 < treated < 1) or control == treated:
        raise Usage("two different proportions between 0 and 1 are needed")
    of_alpha, of_power = aim.quantiles
    ratio = aim.allocation
    pooled = (control + ratio * treated) / (1 + ratio)
    none = math.sqrt(pooled * (1 - pooled) * (1 + 1 / ratio))
    some = math.sqrt(control * (1 - control) + treated * (1 - treated) / ratio)
    of_control = ((of_alpha * none + of_power * some) / (control - treated)) ** 2
    return _size(of_control * (1 + ratio), aim)


def means(difference: float, sd: float, aim: Aim = Aim()) -> Size:
    """Return the people that show two means to differ, by Student's t.

    With equal arms this is R's `power.t.test`: the noncentral t, of which it counts one
    tail.

    Raises:
        Usage: the difference is 0, or the standard deviation not above 0.
    """
    if not (math.isfinite(difference) and difference and 0 < sd < math.inf):
        raise Usage("a difference other than 0 and a standard deviation are needed")
    ratio, effect = aim.allocation, abs(difference) / sd

    def power(of_control: float) -> float:
        freedom = of_control * (1 + ratio) - 2
        shift = effect * math.sqrt(of_control * ratio / (1 + ratio))
        limit = float(stdtrit(freedom, 1 - aim.alpha / aim.sides))
        return 1 - float(nctdtr(freedom, shift, limit))

    least = max(2.0, 2.0 / ratio)  # two people an arm: one has no variance
    normal = sum(aim.quantiles) ** 2 * (1 + 1 / ratio) / effect**2
    if power(least) >= aim.power:
        return _size(least * (1 + ratio), aim)
    most = max(normal * 2, least + 20)
    while power(most) < aim.power:
        most *= 2
    found = brentq(lambda n: power(n) - aim.power, least, most, xtol=1e-10)
    return _size(float(found) * (1 + ratio), aim)


def rates(
    control: float,
    treated: float,
    time: float,
    aim: Aim = Aim(),
    dispersion: float = 0.0,
) -> Size:
    """Return the people that show two rates of recurring events to differ.

    Args:
        control: events a person and unit of time in the control arm.
        treated: the same in the treated arm.
        time: how long each person is followed.
        aim: what must be shown.
        dispersion: of a negative binomial count, its variance being
            mean + dispersion mean²; 0 for Poisson's.

    Raises:
        Usage: a rate or the time is not above 0, both rates are the same.

    Source:
        Zhu & Lakkis (2014), Stat. Med. 33(3), 376-387, with the variance under the
        alternative for both (their method 2).
    """
    sound = all(0 < value < math.inf for value in (control, treated, time))
    if not sound or control == treated or not 0 <= dispersion < math.inf:
        raise Usage("two different rates above 0, a time and a dispersion are needed")
    ratio = aim.allocation
    variance = (1 / control + 1 / (ratio * treated)) / time
    variance += (1 + ratio) * dispersion / ratio
    drift = sum(aim.quantiles) ** 2
    of_control = drift * variance / math.log(treated / control) ** 2
    size = _size(of_control * (1 + ratio), aim)
    people = size.exact / (1 + ratio)
    return replace(size, events=people * time * (control + ratio * treated))


def power_of_events(events: float, hazard_ratio: float, aim: Aim = Aim()) -> float:
    """Return the power of a log-rank test with so many events.

    Raises:
        Usage: there are no events, or the ratio is not above 0, or is 1.
    """
    _ratio(hazard_ratio, "hazard")
    if not 0 < events < math.inf:
        raise Usage("a number of events above 0 is needed")
    share = aim.share
    drift = abs(math.log(hazard_ratio)) * math.sqrt(events * share * (1 - share))
    return float(ndtr(drift - aim.quantiles[0]))


def in_clusters(size: Size, clusters: Clusters, aim: Aim = Aim()) -> Size:
    """Return the people where whole hospitals are allotted, and whole hospitals filled.

    Each arm needs at least two hospitals: with one, arm and hospital are the same.
    """
    people = size.exact * clusters.effect
    arms = [people * (1 - aim.share), people * aim.share]
    filled = [
        math.ceil(max(2, math.ceil(arm / clusters.people - 1e-9)) * clusters.people)
        for arm in arms
    ]
    return Size(filled[0], filled[1], people, size.events)


def _ratio(value: float, what: str) -> None:
    if not 0 < value < math.inf or value == 1:
        raise Usage(f"a {what} ratio above 0 and other than 1 is needed")


def _size(people: float, aim: Aim, events: float | None = None) -> Size:
    if not people <= MOST:
        raise Usage("that would take more than a thousand million people")
    control, treated = people * (1 - aim.share), people * aim.share
    return Size(_up(control), _up(treated), people, events)


def _up(people: float) -> int:
    return math.ceil(people - 1e-9 * max(1.0, people))
