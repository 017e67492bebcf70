"""Watching keeps its rate of false alarms, exactly."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom, poisson

from hetao.analysis.surveillance import (
    binomial_critical,
    binomial_ratio,
    cusum,
    cusum_run_length,
    poisson_critical,
    poisson_power,
    poisson_ratio,
    watch,
)
from hetao.errors import Usage
from support_exactness import note_parts

pytestmark = pytest.mark.held_to("Kulldorff et al. (2011), as printed", "planned")


@pytest.mark.parametrize(
    ("most", "published"),
    [(1, 2.853937), (2, 3.046977), (5, 3.297183), (10, 3.467952), (50, 3.819903)],
)
def test_critical_values_are_the_published_ones(most, published):
    """Kulldorff et al. (2011), table 1, alpha 0.05, a signal from the first event."""
    assert poisson_critical(most) == pytest.approx(published, abs=5e-7)
    note_parts("MaxSPRT", poisson_critical(most), published)


@pytest.mark.parametrize(("most", "least"), [(0.5, 1), (3, 1), (3, 4), (20, 4)])
def test_the_chance_of_a_false_signal_is_alpha(most, least):
    critical = poisson_critical(most, 0.01, least)

    assert poisson_power(most, critical, 1.0, least) == pytest.approx(0.01, abs=1e-9)


def test_where_few_events_can_come_the_chance_is_less_than_alpha():
    critical = poisson_critical(0.5, 0.01, least_events=4)

    assert poisson_power(0.5, critical, 1.0, 4) == pytest.approx(
        poisson.sf(3, 0.5), rel=1e-3
    )


@pytest.mark.held_to("20,000 simulated runs", "made up")
def test_power_agrees_with_simulated_events():
    critical = poisson_critical(10, 0.05)
    draw = np.random.default_rng(3)
    signals = 0
    for _ in range(20_000):
        times = np.cumsum(draw.exponential(1 / 1.5, 60))  # of a rate half higher
        times = times[times < 10]
        counts = np.arange(1, len(times) + 1)
        ratios = [poisson_ratio(c, t) for c, t in zip(counts, times, strict=True)]
        signals += max(ratios, default=0) >= critical

    assert signals / 20_000 == pytest.approx(
        poisson_power(10, critical, 1.5), abs=0.012
    )
    note_parts("MaxSPRT", poisson_power(10, critical, 1.5), signals / 20_000)


@pytest.mark.held_to("second implementation: every path", "planned")
def test_planned_looks_are_counted_path_by_path():
    looks = (1.0, 2.5, 4.0)
    critical = poisson_critical(4.0, 0.05, looks=looks)

    def chance(value):
        """Go through every path of counts up to 40."""
        total = 0.0
        steps = np.diff([0.0, *looks])
        for path in itertools.product(range(25), repeat=3):
            counts = np.cumsum(path)
            if any(
                poisson_ratio(c, e) >= value for c, e in zip(counts, looks, strict=True)
            ):
                total += math.prod(poisson.pmf(path, steps))
        return total

    reached = [poisson_ratio(c, e) for c in range(25) for e in looks]
    assert chance(critical) <= 0.05 + 1e-9
    assert chance(max(value for value in reached if value < critical)) > 0.05


@pytest.mark.held_to("second implementation: every path", "planned")
def test_matched_events_are_counted_path_by_path():
    critical = binomial_critical(10, 2.0, 0.05)

    def chance(value):
        total = 0.0
        for path in itertools.product((0, 1), repeat=10):
            cases = np.cumsum(path)
            if any(
                binomial_ratio(c, n - c, 2.0) >= value for n, c in enumerate(cases, 1)
            ):
                total += math.prod(binom.pmf(path, 1, 1 / 3))
        return total

    reached = [binomial_ratio(c, n - c, 2.0) for n in range(11) for c in range(n + 1)]
    assert chance(critical) <= 0.05 + 1e-12
    assert chance(max(value for value in reached if value < critical)) > 0.05


def test_ratios_by_hand():
    assert poisson_ratio(3, 1) == pytest.approx(1 - 3 + 3 * math.log(3))
    assert poisson_ratio(1, 3) == 0
    assert poisson_ratio(1, 0) == math.inf
    assert poisson_ratio(0, 0) == 0
    assert binomial_ratio(3, 1, 1.0) == pytest.approx(
        3 * math.log(0.75) + math.log(0.25) + 4 * math.log(2)
    )
    assert binomial_ratio(1, 1, 1.0) == 0
    assert binomial_ratio(4, 0, 1.0) == pytest.approx(4 * math.log(2))


def test_a_signal_stays():
    told = watch((2, 5, 5), (1, 1.5, 5), critical=2.0)

    assert [alarm.is_signal for alarm in told] == [False, True, True]
    assert told[2].statistic == 0


@pytest.mark.held_to("by hand", "made up")
def test_a_cusum_by_hand():
    found = cusum((0, 3, 1, 0), (1, 1, 1, 1), ratio=2.0)

    first = 3 * math.log(2) - 1
    assert found == pytest.approx(
        (0, first, first + math.log(2) - 1, max(0, first + math.log(2) - 2))
    )
    by_hand = [0, first, first + math.log(2) - 1, max(0, first + math.log(2) - 2)]
    note_parts("CUSUM", found, by_hand)


@pytest.mark.held_to("4,000 simulated runs", "made up")
@pytest.mark.parametrize(("ratio", "truth"), [(2.0, 1.0), (2.0, 2.0), (0.5, 0.5)])
def test_a_run_length_agrees_with_simulated_runs(ratio, truth):
    told = cusum_run_length(2.0, ratio, 2.0, truth)
    draw = np.random.default_rng(5)
    level, age = np.zeros(4000), np.zeros(4000)
    going = np.ones(4000, dtype=bool)
    while going.any():
        seen = draw.poisson(2.0 * truth, going.sum())
        level[going] += seen * math.log(ratio) - (ratio - 1) * 2.0
        level = np.maximum(level, 0)
        age[going] += 1
        going &= level < 2.0

    assert told == pytest.approx(age.mean(), rel=0.06)
    note_parts("CUSUM", told, age.mean())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: poisson_critical(0),
        lambda: poisson_critical(2000),
        lambda: poisson_critical(5, 0.7),
        lambda: poisson_critical(5, least_events=0),
        lambda: poisson_critical(5, looks=(3, 2, 5)),
        lambda: poisson_critical(5, looks=(3,)),
        lambda: poisson_critical(0.01, 1e-30, least_events=1),
        lambda: poisson_power(5, 3.0, 0),
        lambda: binomial_critical(0, 1),
        lambda: binomial_critical(10, 0),
        lambda: binomial_critical(10, 1, 0.6),
        lambda: watch((1,), (1, 2), 3.0),
        lambda: watch((2, 1), (1, 2), 3.0),
        lambda: cusum((1,), (1,), 1.0),
        lambda: cusum_run_length(0, 2, 1),
        lambda: cusum_run_length(1, 1, 1),
    ],
)
def test_what_cannot_be_watched_is_refused(wrong):
    with pytest.raises(Usage):
        wrong()


@pytest.mark.parametrize(
    ("critical", "ratio"),
    [
        (lambda: binomial_critical(50, 2.0), lambda c, n: binomial_ratio(c, n, 2.0)),
        (lambda: binomial_critical(20, 1.0), lambda c, n: binomial_ratio(c, n, 1.0)),
        (
            lambda: poisson_critical(6, looks=(2, 4, 6)),
            lambda c, n: poisson_ratio(c, (2, 4, 6)[n % 3]),
        ),
    ],
    ids=["one-to-two", "one-to-one", "looks"],
)
def test_a_critical_value_of_counts_may_be_written_in_four_digits(critical, ratio):
    """It stands between two statistics that there can be, not upon one of them."""
    value = critical()
    reached = np.array([ratio(c, n) for c in range(51) for n in range(51 - c)])

    assert np.abs(reached - value).min() > 5e-4
    written = round(value, 4)
    assert ((reached >= written) == (reached >= value)).all()


def test_a_watch_that_could_never_signal_is_refused():
    assert binomial_critical(5, 1.0) > 0  # five of five are 1 in 32
    with pytest.raises(Usage, match="no signal could ever come"):
        binomial_critical(4, 1.0)
