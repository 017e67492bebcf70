"""Negative controls, false discoveries, and confounders that nobody measured."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import ndtri
from scipy.stats import false_discovery_control, norm

from hetao.analysis.calibration import (
    SystematicError,
    calibrated,
    false_discovery,
    systematic_error,
)
from hetao.analysis.sensitivity import e_value, tipping_point
from hetao.errors import NotEstimable, Usage
from support_exactness import note_parts

pytestmark = pytest.mark.held_to("scipy: highest likelihood", "made up")


def controls(seed, mean, sd, count=40):
    draw = np.random.default_rng(seed)
    se = draw.uniform(0.05, 0.4, count)
    return draw.normal(mean, np.sqrt(sd**2 + se**2)), se


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("mean", "sd"), [(0.3, 0.2), (0.0, 0.05), (-0.5, 1.5)])
def test_the_systematic_error_has_the_highest_likelihood(seed, mean, sd):
    y, se = controls(seed, mean, sd)
    found = systematic_error(y, se)

    def against(parameters):
        scale = np.sqrt(parameters[1] ** 2 + se**2)
        return -norm.logpdf(y, parameters[0], scale).sum()

    best = min(
        (
            minimize(
                against,
                (y.mean(), start),
                method="Nelder-Mead",
                options={"xatol": 1e-9, "fatol": 1e-12},
            )
            for start in (0.01, 0.3, 2.0)
        ),
        key=lambda one: one.fun,
    )
    assert found.loglik == pytest.approx(-best.fun, abs=1e-8)
    assert found.mean == pytest.approx(best.x[0], abs=1e-5)
    assert found.sd == pytest.approx(abs(best.x[1]), abs=1e-4)
    note_parts("empirical calibration", found.loglik, -best.fun)


def test_controls_that_scatter_as_their_errors_say_have_none():
    y = np.array([0.01, -0.01, 0.02, -0.02, 0.0])

    found = systematic_error(y, np.full(5, 0.3))

    assert (found.mean, found.sd) == (pytest.approx(0.0, abs=1e-12), 0.0)


@pytest.mark.held_to("R EmpiricalCalibration, as printed", "its own example")
def test_without_systematic_error_nothing_changes():
    """The example of EmpiricalCalibration's own tests: null (0, 0), 0.1 and 0.05."""
    none = SystematicError(0.0, 0.0, 5, 0.0)

    found = calibrated(0.1, 0.05, none)

    assert found.p == pytest.approx(0.045500264, abs=1e-8)
    note_parts("empirical calibration", found.p, 0.045500264)
    assert found.estimate == 0.1
    assert found.upper == pytest.approx(0.1 - ndtri(0.025) * 0.05)


def test_calibrated_intervals_cover_as_often_as_they_say():
    """4000 negative controls' own intervals: plain ones do not cover, calibrated do."""
    draw = np.random.default_rng(9)
    se = draw.uniform(0.05, 0.2, 4000)
    y = draw.normal(0.2, np.sqrt(0.15**2 + se**2))
    error = systematic_error(y[:2000], se[:2000])
    told = [calibrated(a, b, error) for a, b in zip(y[2000:], se[2000:], strict=True)]

    plain = np.mean(np.abs(y[2000:]) < 1.96 * se[2000:])
    assert plain < 0.7
    assert np.mean([one.lower < 0 < one.upper for one in told]) == pytest.approx(
        0.95, abs=0.015
    )
    assert np.mean([one.p < 0.05 for one in told]) == pytest.approx(0.05, abs=0.015)


@pytest.mark.held_to("scipy", "made up")
def test_false_discoveries_agree_with_scipy():
    p = np.random.default_rng(2).random(200) ** 3

    assert false_discovery(p) == pytest.approx(false_discovery_control(p))
    note_parts("false discoveries", false_discovery(p), false_discovery_control(p))
    assert false_discovery([]) == ()


def test_few_or_broken_controls_are_refused():
    with pytest.raises(NotEstimable, match="fewer than 5"):
        systematic_error([0.1] * 4, [0.1] * 4)
    for y, se in (([0.1], [0.1, 0.2]), ([math.nan] * 5, [0.1] * 5), ([0] * 5, [0] * 5)):
        with pytest.raises(Usage):
            systematic_error(y, se)
    with pytest.raises(Usage):
        calibrated(0.1, 0.0, SystematicError(0, 0, 5, 0))
    with pytest.raises(Usage):
        false_discovery([1.2])


# --- confounders that nobody measured -------------------------------------------------
@pytest.mark.held_to("VanderWeele & Ding (2017)", "risk ratio 3.9 (1.8 to 8.7)")
def test_the_published_e_values():
    """VanderWeele & Ding (2017): 3.9 (1.8 to 8.7) gives 7.2 and 3.0."""
    found = e_value(3.9, 1.8, 8.7)

    assert found.estimate == pytest.approx(7.26, abs=0.005)
    assert found.limit == pytest.approx(3.0, abs=1e-12)
    note_parts(
        "E-value", [found.estimate, found.limit], [3.9 + math.sqrt(3.9 * 2.9), 3.0]
    )
    below = e_value(1 / 3.9, 1 / 8.7, 1 / 1.8)
    assert (below.estimate, below.limit) == pytest.approx((found.estimate, found.limit))


def test_an_interval_that_holds_one_needs_no_confounder():
    assert e_value(1.2, 0.9, 1.6).limit == 1.0


def test_common_outcomes_are_brought_near_risk_ratios():
    odds = e_value(4, 2.25, 9, "odds ratio", is_rare=False)
    assert odds.estimate == pytest.approx(2 + math.sqrt(2))
    hazard = e_value(1.0, 1.0, 1.0, "hazard ratio", is_rare=False)
    assert hazard.estimate == 1.0
    near = (1 - 0.5 ** math.sqrt(2)) / (1 - 0.5 ** math.sqrt(0.5))
    assert e_value(2, 2, 2, "hazard ratio", is_rare=False).estimate == pytest.approx(
        near + math.sqrt(near * (near - 1))
    )


@pytest.mark.held_to("closed form", "made up")
@pytest.mark.parametrize("limit", [0.5, 0.9, 1.2, 3.0])
@pytest.mark.parametrize(("exposed", "unexposed"), [(0.6, 0.1), (0.1, 0.6), (1.0, 0.0)])
def test_a_tipping_confounder_brings_the_limit_to_one(limit, exposed, unexposed):
    found = tipping_point(limit, exposed, unexposed)

    if found.ratio is None:
        strongest = [10**power for power in range(-6, 7)]
        reached = [
            limit * (1 + (g - 1) * unexposed) / (1 + (g - 1) * exposed)
            for g in strongest
        ]
        assert all(r > 1 for r in reached) or all(r < 1 for r in reached)
    else:
        pull = (1 + (found.ratio - 1) * unexposed) / (1 + (found.ratio - 1) * exposed)
        assert limit * pull == pytest.approx(1)
        note_parts("tipping point", limit * pull, 1)


def test_what_is_no_ratio_is_refused():
    for wrong in (
        lambda: e_value(0, 0, 1),
        lambda: e_value(2, 3, 4),
        lambda: e_value(2, 1, 4, "magic"),
        lambda: tipping_point(-1, 0.5, 0.5),
        lambda: tipping_point(2, 1.5, 0.5),
    ):
        with pytest.raises(Usage):
            wrong()
    assert tipping_point(1.0, 0.5, 0.5).ratio == 1.0
    assert tipping_point(2.0, 0.2, 0.1).ratio is None
