"""Newton's method ends for a reason, and says which."""

import numpy as np
import pytest

from hetao.analysis.newton import MOST_ROUNDS, Fit, Point, advance, invert
from hetao.errors import NotEstimable

NAMES = ("a", "b")


def point(step, loglik=-10.0, information=None):
    information = np.eye(2) * 100 if information is None else information
    return Point(information @ np.asarray(step), information, loglik)


def after(reach, loglik=-10.0, step=(0.1, 0.1)):
    return {
        "beta": np.array([1.0, 1.0]),
        "loglik": np.array([loglik]),
        "step": np.array(step),
        "se": np.array([0.1, 0.1]),
        "reach": np.array([reach]),
    }


def test_a_fall_of_the_likelihood_halves_the_step():
    state = after(1.0, loglik=-9.0, step=(0.4, -0.2))

    halved = advance(point((0.3, 0.3), loglik=-12.0), state, 3, NAMES)

    np.testing.assert_allclose(halved["beta"], [0.8, 1.1])
    np.testing.assert_allclose(halved["step"], [0.2, -0.1])
    assert halved["loglik"] == [-9.0]


def test_a_fall_within_rounding_does_not():
    state = after(1.0, loglik=-10.0)

    moved = advance(point((0.3, 0.3), loglik=-10.0 - 1e-12), state, 3, NAMES)

    np.testing.assert_allclose(moved["beta"], [1.3, 1.3])


def test_a_step_of_nothing_ends_it_in_any_round():
    fit = advance(point((1e-10, 0)), {"beta": np.zeros(2)}, 1, NAMES)

    assert isinstance(fit, Fit)
    assert fit.rounds == 2
    np.testing.assert_allclose(fit.covariance, np.eye(2) / 100)


@pytest.mark.parametrize(
    ("round_number", "before", "now", "ends"),
    [
        (5, 1e-2, 1e-7, True),
        (4, 1e-2, 1e-7, False),  # one more round is usual
        (5, 1e-2, 1e-5, False),  # standard errors would still move
        (5, 1e-7, 1e-7, False),  # no longer converging: no prediction
        (9, 1e-4, 3e-8, False),
        (9, 1e-2, 3e-8, True),
    ],
)
def test_the_prediction_ends_it_only_from_the_usual_last_round(
    round_number, before, now, ends
):
    step = (now * 0.1, 0)

    answer = advance(point(step), after(before), round_number, NAMES)

    assert isinstance(answer, Fit) == ends


def test_the_rounds_run_out():
    with pytest.raises(NotEstimable, match="no convergence"):
        advance(point((0.3, 0.3)), after(1.0), MOST_ROUNDS - 1, NAMES)


def test_growing_errors_without_gain_are_separation():
    flat = np.diag([100.0, 30.0])  # the second standard error has grown by 1.8

    with pytest.raises(NotEstimable, match="separated by b"):
        advance(point((0.0, 0.1), information=flat), after(0.5), 6, NAMES)


def test_information_that_turns_singular_is_separation():
    with pytest.raises(NotEstimable, match="separated"):
        advance(point((0, 0), information=np.ones((2, 2))), after(0.5), 2, NAMES)


def test_information_that_is_singular_at_once_names_the_columns():
    information = np.array([[2.0, 2, 0], [2, 2, 0], [0, 0, 1]])

    with pytest.raises(NotEstimable, match="each other: a, b"):
        invert(information, ("a", "b", "c"))


@pytest.mark.parametrize("value", [0.0, np.nan, 1e-25])
def test_a_column_without_information_is_named(value):
    with pytest.raises(NotEstimable, match="b"):
        invert(np.diag([1.0, value]), NAMES)
