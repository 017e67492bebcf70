"""Looks at a running trial keep their error, to the last digits of the integral."""

import math

import numpy as np
import pytest
from scipy import integrate
from scipy.special import ndtr, ndtri, owens_t

from hetao.errors import Usage
from hetao.trial.looks import (
    Bounds,
    Spending,
    course,
    drift_for,
    efficacy_bounds,
    futility_bounds,
    inflation,
    stagewise_interval,
    stagewise_p,
)
from support_exactness import note_parts

pytestmark = pytest.mark.held_to("published bounds (DeMets & Lan 1994)", "planned")

FIVE = (0.2, 0.4, 0.6, 0.8, 1.0)
SPENDINGS = (
    Spending(),
    Spending("pocock"),
    Spending("power", 2.0),
    Spending("hwang_shih_decani", -4.0),
    Spending("hwang_shih_decani", 0.0),
)


def both_below(a, b, correlation):
    """Return P(X < a, Y < b) of two standard normals, by Owen's T function."""
    root = math.sqrt(1 - correlation**2)
    one = (b / a - correlation) / root
    other = (a / b - correlation) / root
    opposite = 0.0 if a * b > 0 else 0.5
    return (ndtr(a) + ndtr(b)) / 2 - owens_t(a, one) - owens_t(b, other) - opposite


@pytest.mark.held_to("scipy: Owen's T", "planned")
@pytest.mark.parametrize("spending", SPENDINGS, ids=lambda s: f"{s.name}{s.parameter}")
@pytest.mark.parametrize("first", [0.1, 0.5, 0.93])
def test_two_looks_spend_exactly_what_they_may(spending, first):
    bounds = efficacy_bounds((first, 1.0), 0.025, spending)
    below_first, below_second = bounds.upper

    assert ndtr(-below_first) == pytest.approx(bounds.spent[0], rel=1e-10)
    never = both_below(below_first, below_second, math.sqrt(first))
    assert 1 - never == pytest.approx(0.025, abs=1e-13)
    note_parts("group-sequential bounds", 1 - never, 0.025)


@pytest.mark.held_to("scipy: nested quadrature", "planned")
def test_four_looks_agree_with_nested_quadrature():
    shares = (0.3, 0.5, 0.8, 1.0)
    bounds = efficacy_bounds(shares, 0.025)

    def density(place, z):
        """Return the density of z at a look over paths that have gone on."""
        if place == 0:
            return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        before, now = shares[place - 1], shares[place]
        scale = math.sqrt(1 - before / now)

        def of(u):
            away = (z - u * math.sqrt(before / now)) / scale
            step = math.exp(-away * away / 2) / math.sqrt(2 * math.pi) / scale
            return density(place - 1, u) * step

        return integrate.quad(of, -8, bounds.upper[place - 1], epsabs=1e-9)[0]

    third = integrate.quad(lambda z: density(2, z), bounds.upper[2], 9, epsabs=1e-9)[0]

    assert third == pytest.approx(bounds.spent[2] - bounds.spent[1], abs=1e-8)
    note_parts("group-sequential bounds", bounds.spent[2] - bounds.spent[1], third)


@pytest.mark.parametrize(
    ("spending", "published"),
    [
        ("obrien_fleming", (4.8769, 3.3570, 2.6803, 2.2898, 2.0310)),
        ("pocock", (2.4380, 2.4268, 2.4102, 2.3966, 2.3860)),
    ],
)
def test_five_looks_give_the_published_bounds(spending, published):
    """As tabulated since DeMets & Lan (1994), Stat. Med. 13, 1341-1352."""
    bounds = efficacy_bounds(FIVE, 0.025, Spending(spending))

    assert np.round(bounds.upper, 4) == pytest.approx(published, abs=1e-4)
    note_parts("group-sequential bounds", bounds.upper, published)


@pytest.mark.parametrize("looks", [1, 2, 3, 10, 30])
def test_any_number_of_looks_keeps_the_error(looks):
    shares = tuple((n + 1) / looks for n in range(looks))
    bounds = efficacy_bounds(shares, 0.025, Spending("pocock"))

    assert course(bounds, 0.0).power == pytest.approx(0.025, abs=1e-10)


def test_looks_a_thousandth_apart_keep_the_error():
    bounds = efficacy_bounds((0.5, 0.501, 0.999, 1.0), 0.025, Spending("pocock"))

    assert course(bounds, 0.0).power == pytest.approx(0.025, abs=1e-9)


def test_one_look_is_the_plain_test():
    bounds = efficacy_bounds((1.0,), 0.025)

    assert bounds.upper[0] == pytest.approx(-ndtri(0.025), abs=1e-12)
    assert drift_for(bounds, 0.9) == pytest.approx(
        -ndtri(0.025) + ndtri(0.9), abs=1e-10
    )
    assert inflation(bounds, 0.9) == pytest.approx(1, abs=1e-10)


def test_a_trial_under_way_has_spent_less():
    assert efficacy_bounds((0.2, 0.4)).upper == efficacy_bounds(FIVE).upper[:2]


def test_chances_agree_with_simulated_trials():
    bounds, drift = futility_bounds(efficacy_bounds((0.3, 0.6, 1.0)), 0.8)
    told = course(bounds, drift)
    draw = np.random.default_rng(1)
    steps = np.diff([0.0, *bounds.information])
    walk = np.cumsum(
        draw.normal(drift * steps, np.sqrt(steps), (400_000, 3)), axis=1
    ) / np.sqrt(bounds.information)
    going = np.ones(len(walk), dtype=bool)
    for look in range(3):
        up = going & (walk[:, look] >= bounds.upper[look])
        down = going & (walk[:, look] < bounds.lower[look])
        assert up.mean() == pytest.approx(told.efficacy[look], abs=3e-3)
        assert down.mean() == pytest.approx(told.futility[look], abs=3e-3)
        going &= ~up & ~down
    assert not going.any()


@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("spending", SPENDINGS, ids=lambda s: f"{s.name}{s.parameter}")
def test_futility_spends_the_rest_of_the_power_and_meets_efficacy(power, spending):
    bounds, drift = futility_bounds(efficacy_bounds(FIVE), power, spending)
    told = course(bounds, drift)

    assert told.power == pytest.approx(power, abs=1e-9)
    assert math.fsum(told.futility) == pytest.approx(1 - power, abs=1e-9)
    assert bounds.lower[-1] == bounds.upper[-1]
    assert course(bounds, 0.0).power < 0.025  # not binding: less, never more
    assert drift_for(bounds, power) == pytest.approx(drift, abs=1e-9)
    assert drift > drift_for(efficacy_bounds(FIVE), power)


@pytest.mark.held_to("R gsDesign, as printed", "planned")
def test_futility_makes_the_largest_sample_that_gsdesign_makes():
    thirds = (1 / 3, 2 / 3, 1.0)
    upper = efficacy_bounds(thirds, 0.025, Spending("hwang_shih_decani", -4))
    bounds, _ = futility_bounds(upper, 0.9, Spending("hwang_shih_decani", -2))

    # gsDesign() of R's gsDesign, all defaults
    assert bounds.upper == pytest.approx((3.0107, 2.5465, 1.9992), abs=6e-5)
    assert bounds.lower == pytest.approx((-0.2387, 0.9411, 1.9992), abs=6e-5)
    assert inflation(bounds, 0.9) == pytest.approx(1.070, abs=6e-4)
    note_parts("group-sequential bounds", bounds.upper, (3.0107, 2.5465, 1.9992))
    note_parts("group-sequential bounds", bounds.lower, (-0.2387, 0.9411, 1.9992))


def test_stopping_at_a_bound_has_the_p_value_that_was_spent():
    bounds = efficacy_bounds(FIVE)
    for look in range(1, 6):
        p = stagewise_p(bounds, look, bounds.upper[look - 1])
        assert p == pytest.approx(bounds.spent[look - 1], rel=1e-9)


def test_the_interval_after_one_look_is_the_plain_one():
    bounds = efficacy_bounds((1.0,))

    lower, middle, upper = stagewise_interval(bounds, 1, 2.5)

    assert (lower, middle, upper) == pytest.approx(
        (2.5 + ndtri(0.025), 2.5, 2.5 - ndtri(0.025)), abs=1e-9
    )


def test_the_interval_of_a_trial_that_just_stopped_ends_at_no_effect():
    bounds = efficacy_bounds(FIVE)

    lower, middle, upper = stagewise_interval(bounds, 5, bounds.upper[4])

    assert lower == pytest.approx(0, abs=1e-8)
    assert 0 < middle < upper


@pytest.mark.parametrize(
    "shares", [(), (0.5, 0.4, 1.0), (0.0, 1.0), (0.5, 1.1), (0.5, 0.5004), (math.nan,)]
)
def test_looks_that_do_not_increase_are_refused(shares):
    with pytest.raises(Usage):
        efficacy_bounds(shares)


def test_what_is_no_test_is_refused():
    with pytest.raises(Usage, match="one-sided"):
        efficacy_bounds((1.0,), 0.6)
    with pytest.raises(Usage, match="spending is one of"):
        Spending("magic")
    with pytest.raises(Usage, match="above 0 for power"):
        Spending("power", 0.0)
    with pytest.raises(Usage, match="full information"):
        drift_for(efficacy_bounds((0.5,)), 0.8)
    with pytest.raises(Usage, match="power lies between"):
        drift_for(efficacy_bounds((1.0,)), 0.01)
    with pytest.raises(Usage, match="there are looks 1 to 1"):
        stagewise_p(efficacy_bounds((1.0,)), 2, 1.0)
    with pytest.raises(Usage, match="drift"):
        course(Bounds((1.0,), (1.96,), (-math.inf,), 0.025, (0.025,)), math.inf)
