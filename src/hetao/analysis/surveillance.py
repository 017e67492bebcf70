"""Watching a product's safety while data come in, at a known rate of false alarms.

MaxSPRT compares the events seen so far with those expected, over every excess that
there could be; its critical value is exact, from the chances of every path that stays
below it. CUSUM forgets what lies behind a quiet time.

What is added up over sites is two numbers a look: events, and events expected.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy

from hetao.errors import Usage

Floats = NDArray[np.float64]

MOST_EXPECTED: Final = 1000.0
MOST_EVENTS: Final = 10_000
HIGHEST: Final = 60.0  # log-likelihood ratio of a critical value
LEAST, NEAR = 1e-9, 1e-12
STATES: Final = 800  # of a CUSUM's chain


@dataclass(frozen=True)
class Alarm:
    """What a look says.

    Attributes:
        statistic: log-likelihood ratio at the look; 0 without an excess.
        critical: value at or beyond which there is a signal.
        is_signal: whether this look or an earlier one reached it.
    """

    statistic: float
    critical: float
    is_signal: bool


def poisson_ratio(events: float, expected: float) -> float:
    """Return MaxSPRT's log-likelihood ratio of a Poisson count; 0 without an excess.

    Source:
        Kulldorff et al. (2011), Seq. Anal. 30(1), 58-78.
    """
    if events <= expected:
        return 0.0
    if expected <= 0:
        return math.inf
    return expected - events + events * math.log(events / expected)


def binomial_ratio(cases: int, controls: int, matching: float) -> float:
    """Return MaxSPRT's log-likelihood ratio of exposed cases among matched ones.

    Args:
        cases: events in exposed time.
        controls: events in the time that they are compared with.
        matching: how much unexposed time there is for each exposed unit.
    """
    total = cases + controls
    chance = 1 / (1 + matching)
    if not total or cases / total <= chance:
        return 0.0
    of_excess = xlogy(cases, cases / total) + xlogy(controls, controls / total)
    of_none = cases * math.log(chance) + controls * math.log1p(-chance)
    return float(of_excess - of_none)


def poisson_critical(
    most_expected: float,
    alpha: float = 0.05,
    least_events: int = 1,
    looks: Sequence[float] | None = None,
) -> float:
    """Return the critical value of MaxSPRT with a Poisson count.

    Args:
        most_expected: expected events at which surveillance ends, up to 1000.
        alpha: chance of a false signal at any time.
        least_events: fewest events that may signal.
        looks: expected events at the looks, increasing up to `most_expected`; None for
            a look at every event.

    Raises:
        Usage: a number lies outside its range.

    Source:
        Kulldorff et al. (2011), table 1, for a look at every event;
        Silva & Kulldorff (2015), Int. J. Biostat. 11(2), for looks.
    """
    if not 0 < most_expected <= MOST_EXPECTED:
        raise Usage(f"expected events lie between 0 and {MOST_EXPECTED:g}")
    if not 0 < alpha < 0.5 or not 1 <= least_events <= 100:
        raise Usage("alpha lies below 0.5, and a signal needs 1 to 100 events")
    if looks is None:
        return _solved(
            lambda value: _every_event(value, most_expected, least_events),
            alpha,
            in_steps=False,
        )
    at = tuple(map(float, looks))
    steps = np.diff([0.0, *at])
    if not at or not (steps > 0).all() or not np.isclose(at[-1], most_expected):
        raise Usage("looks increase, the last at the most expected events")
    # Counts are whole, so that the chance falls in steps.
    return _solved(lambda value: _at_looks(value, at, least_events), alpha)


def poisson_power(
    most_expected: float, critical: float, ratio: float, least_events: int = 1
) -> float:
    """Return the chance of a signal when events are so many times the expected ones.

    Args:
        most_expected: expected events at which surveillance ends.
        critical: of `poisson_critical`, a look at every event.
        ratio: the true rate ratio.
        least_events: fewest events that may signal.

    Raises:
        Usage: a number lies outside its range.
    """
    if not 0 < most_expected <= MOST_EXPECTED or not 0 < ratio < math.inf:
        raise Usage("expected events and the ratio are above 0")
    below, last, count = np.ones(1), 0.0, least_events
    while True:
        limit = _expected_at(count, critical)
        now = min(limit, most_expected)
        below = _grown(below, (now - last) * ratio, count)
        if limit >= most_expected:
            return 1 - float(below.sum())
        last, count = now, count + 1


def binomial_critical(
    most_events: int, matching: float, alpha: float = 0.05, least_events: int = 1
) -> float:
    """Return the critical value of MaxSPRT with matched events, a look at each.

    The chance of a false signal is at most alpha: it falls in steps.

    Args:
        most_events: events at which surveillance ends.
        matching: unexposed time for each exposed unit.
        alpha: chance of a false signal at any time.
        least_events: fewest exposed events that may signal.

    Raises:
        Usage: a number lies outside its range.
    """
    if not 1 <= most_events <= MOST_EVENTS or not 0 < matching < math.inf:
        raise Usage(f"events are 1 to {MOST_EVENTS}, and the matching above 0")
    if not 0 < alpha < 0.5 or not 1 <= least_events <= 100:
        raise Usage("alpha lies below 0.5, and a signal needs 1 to 100 events")
    return _solved(
        lambda value: _every_match(value, most_events, matching, least_events), alpha
    )


def watch(
    events: Sequence[float], expected: Sequence[float], critical: float
) -> tuple[Alarm, ...]:
    """Return what each look says; events and expected ones are totals up to it.

    Raises:
        Usage: the totals are not as many, or one falls.
    """
    if len(events) != len(expected):
        raise Usage("each look has events and expected ones")
    for totals in (events, expected):
        if any(b < a for a, b in zip([0.0, *totals], totals, strict=False)):
            raise Usage("totals up to a look cannot fall")
    found, has_signal = [], False
    for seen, awaited in zip(events, expected, strict=True):
        statistic = poisson_ratio(seen, awaited)
        has_signal = has_signal or statistic >= critical
        found.append(Alarm(statistic, critical, has_signal))
    return tuple(found)


# --- CUSUM ----------------------------------------------------------------------------
def cusum(
    events: Sequence[float], expected: Sequence[float], ratio: float
) -> tuple[float, ...]:
    """Return the CUSUM of a Poisson count after each period, for a rate ratio.

    Args:
        events: in each period.
        expected: in each period.
        ratio: the excess to find, above 1; or below 1, a lack.

    Raises:
        Usage: periods differ in number, or the ratio is 1 or not above 0.

    Source:
        Steiner et al. (2000), Biostatistics 1(4), 441-452, with Poisson's likelihood.
    """
    if len(events) != len(expected) or not 0 < ratio < math.inf or ratio == 1:
        raise Usage("periods need events and expected ones, and a ratio other than 1")
    found, level = [], 0.0
    for seen, awaited in zip(events, expected, strict=True):
        level = max(0.0, level + seen * math.log(ratio) - (ratio - 1) * awaited)
        found.append(level)
    return tuple(found)


def cusum_run_length(
    threshold: float, ratio: float, expected: float, truth: float = 1.0
) -> float:
    """Return how many periods a CUSUM takes on average to reach a threshold.

    A Markov chain of 800 states; the levels between are interpolated, so that the
    answer lies within about a thousandth.

    Args:
        threshold: of the CUSUM, above 0.
        ratio: that it looks for.
        expected: events in a period, always the same.
        truth: the rate ratio that there is; 1 gives the time to a false alarm.

    Raises:
        Usage: a number is not above 0, or the ratio is 1.

    Source:
        Brook & Evans (1972), Biometrika 59(3), 539-549.
    """
    numbers = (threshold, ratio, expected, truth)
    if not all(0 < value < math.inf for value in numbers) or ratio == 1:
        raise Usage("all numbers are above 0, and the ratio is not 1")
    rate = expected * truth
    counts = np.arange(int(rate + 12 * math.sqrt(rate) + 30))
    chance = np.exp(xlogy(counts, rate) - rate - gammaln(counts + 1))
    chance[-1] += max(0.0, 1 - chance.sum())
    step = threshold / STATES
    levels = np.arange(STATES) * step
    gain = counts * math.log(ratio) - (ratio - 1) * expected
    reached = np.maximum(levels[:, None] + gain, 0.0) / step
    below = np.floor(reached).astype(np.int64)
    part = reached - below
    matrix = np.zeros((STATES, STATES + 1))
    rows = np.broadcast_to(np.arange(STATES)[:, None], below.shape)
    stays = reached < STATES
    weights = np.broadcast_to(chance, below.shape)
    np.add.at(matrix, (rows[stays], below[stays]), (weights * (1 - part))[stays])
    np.add.at(matrix, (rows[stays], below[stays] + 1), (weights * part)[stays])
    inner = np.eye(STATES) - matrix[:, :STATES]
    return float(np.linalg.solve(inner, np.ones(STATES))[0])


# --- exact chances --------------------------------------------------------------------
def _solved(
    chance_of: Callable[[float], float], alpha: float, *, in_steps: bool = True
) -> float:
    """Return a critical value whose chance of a signal is the largest up to alpha.

    A chance that does not fall in steps is followed down its slope, in a fifth of the
    time that halving takes. Of one that does, any value between two that the statistic
    can take is as good: the one in the middle, which bears being rounded.

    Raises:
        Usage: no value keeps alpha, or none that keeps it is ever reached.
    """
    low, high = LEAST, 1.0
    while chance_of(high) > alpha:
        low, high = high, high * 2
        if high > HIGHEST:
            raise Usage("no critical value keeps so small an alpha")
    if not in_steps and chance_of(low) > alpha:
        from scipy.optimize import brentq  # dear to load

        root = brentq(lambda value: chance_of(value) - alpha, low, high, xtol=1e-13)
        return float(root) + NEAR
    least = _fall(lambda value: chance_of(value) <= alpha, low, high)
    kept = chance_of(least)
    if not in_steps:
        return least
    if kept <= 0:
        raise Usage(
            "no signal could ever come: at every statistic that these looks can "
            "reach, alpha would be exceeded",
            fix="watch for more events, or choose a larger alpha",
        )
    top = least * 2
    while chance_of(top) >= kept:
        top *= 2
    return (least + _fall(lambda value: chance_of(value) < kept, least, top)) / 2


def _fall(is_past: Callable[[float], bool], low: float, high: float) -> float:
    """Return the least value from which on something holds, to the last digits."""
    for _ in range(60):
        middle = (low + high) / 2
        if is_past(middle):
            high = middle
        else:
            low = middle
        if high - low < NEAR:
            break
    return high


def _every_event(critical: float, most: float, least: int) -> float:
    """Return the chance of a signal when each event is looked at.

    The count reaches c before the expected number reaches m(c), where the ratio of c
    events is just the critical value. Between those numbers the count grows by
    Poisson's law; the chance that no m(c) is overtaken is carried from one to the next.
    """
    start, last = np.zeros(least + 1), 0.0
    start[0] = 1.0
    below = start[:least]  # chance of each count, none having signalled
    count = least
    while True:
        limit = _expected_at(count, critical)
        now = min(limit, most)
        below = _grown(below, now - last, count)
        if limit >= most:
            return 1 - float(below.sum())
        last, count = now, count + 1


def _expected_at(count: int, critical: float) -> float:
    """Return the expected events at which a count's ratio is just the critical one."""
    from scipy.optimize import brentq  # dear to load

    return float(
        brentq(
            lambda expected: poisson_ratio(count, expected) - critical,
            count * math.exp(-critical / count - 1),
            count,
            xtol=1e-14,
        )
    )


def _grown(below: Floats, by: float, size: int) -> Floats:
    """Return chances of counts under `size` after so many further expected events."""
    steps = np.arange(size)
    chance = np.exp(xlogy(steps, by) - by - gammaln(steps + 1))
    return np.convolve(below, chance)[:size]


def _at_looks(critical: float, looks: Sequence[float], least: int) -> float:
    most = int(looks[-1] + 12 * math.sqrt(looks[-1]) + 40)
    below, last, signal = np.ones(1), 0.0, 0.0
    for expected in looks:
        steps = np.arange(most)
        chance = np.exp(
            xlogy(steps, expected - last) - (expected - last) - gammaln(steps + 1)
        )
        grown = np.convolve(below, chance)[:most]
        counts = np.arange(len(grown))
        first = next(
            (
                int(c)
                for c in counts
                if c >= least and poisson_ratio(float(c), expected) >= critical
            ),
            most,
        )
        # what lies above the largest count that is kept is a signal too
        signal += float(grown[first:].sum()) + max(0.0, below.sum() - grown.sum())
        below, last = grown[:first], expected
    return signal


def _every_match(critical: float, most: int, matching: float, least: int) -> float:
    chance = 1 / (1 + matching)
    below, signal = np.ones(1), 0.0
    first = 0
    for total in range(1, most + 1):
        grown = np.zeros(total + 1)
        grown[: len(below)] += below * (1 - chance)
        grown[1 : len(below) + 1] += below * chance
        first = max(first, least)
        while (
            first <= total and binomial_ratio(first, total - first, matching) < critical
        ):
            first += 1
        signal += float(grown[first:].sum())
        below = grown[:first]
    return signal
