"""Newton's method from summed scores and information, with the reasons it may fail.

Everything here runs outside the sites and sees sums only.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from hetao.analysis.estimator import Message, State, packed, unpacked
from hetao.analysis.expressions import Floats
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable

MOST_ROUNDS = 25
SMALL_STEP = 1e-8  # of a standard error
LAST = "last"  # marks the state whose round sums the robust variance
NEXT_STEP = 1e-10  # of a standard error, as predicted
USUAL_LAST = 5  # the round from which the prediction may end the rounds
SINGULAR = 1e-12  # least eigenvalue of the scaled information
FLAT = 1e-10  # root information of a column that only rounding varies
SAME = 1e-9  # relative loss of log-likelihood that is rounding
GAIN, GROWTH = 0.5, 1.3  # a coefficient runs off: little gain, growing errors


@dataclass(frozen=True)
class Point:
    """The summed likelihood at one beta: score (p,), information (p, p), loglik."""

    score: Floats
    information: Floats
    loglik: float


@dataclass(frozen=True)
class Fit:
    """A maximum, in standardised units.

    Attributes:
        beta: (p,).
        covariance: (p, p), the inverse information.
        loglik: log-likelihood at beta.
        rounds: messages that a site sent.
        condition: of the information, scaled to a unit diagonal.
    """

    beta: Floats
    covariance: Floats
    loglik: float
    rounds: int
    condition: float


@dataclass(frozen=True)
class Inverse:
    """An inverse (p, p) and the condition number of the scaled original."""

    matrix: Floats
    condition: float


def invert(information: Floats, names: Sequence[str]) -> Inverse:
    """Return the inverse of an information matrix.

    Raises:
        NotEstimable: a column is constant, or columns are combinations of each
            other; the error names them.
    """
    spread = np.sqrt(np.clip(np.diag(information), 0, None))
    flat = [name for name, s in zip(names, spread, strict=True) if not s > FLAT]
    if flat or not np.isfinite(information).all():
        raise NotEstimable(
            "no one differs in the columns " + ", ".join(flat or names),
            fix="leave the term out, merge levels, or tighten its public bounds",
        )
    scaled = information / np.outer(spread, spread)
    values, vectors = np.linalg.eigh(scaled)
    if values[0] < SINGULAR * values[-1]:
        tied = np.abs(vectors[:, 0]) > 1e-3 * np.abs(vectors[:, 0]).max()
        raise NotEstimable(
            "columns determine each other: "
            + ", ".join(
                name for name, is_tied in zip(names, tied, strict=True) if is_tied
            ),
            fix="leave one of these terms out, or tighten their public bounds",
        )
    factor = cho_factor(scaled, lower=True)
    inverse = cho_solve(factor, np.eye(len(spread))) / np.outer(spread, spread)
    return Inverse((inverse + inverse.T) / 2, float(values[-1] / values[0]))


def advance(
    point: Point,
    state: State,
    round_number: int,
    names: Sequence[str],
    *,
    closes: bool = False,
    ahead: Callable[[], Floats] | None = None,
) -> State | Fit:
    """Return the next state, or the fit once another round would change nothing.

    Args:
        point: the sums at `state["beta"]`.
        state: holds beta (p,), and from the second evaluation on loglik (1,), step
            (p,), se (p,) and reach (1,), all of them functions of earlier sums.
        round_number: of the message that was summed.
        names: of the columns, for errors.
        closes: whether a closing round follows at the fit's beta, which says itself
            how near that is and what the errors are there.
        ahead: returns a step (p,) that sees further than Newton's; None for his.

    Raises:
        NotEstimable: the information is singular, a coefficient runs off to
            infinity, or the rounds are used up.
    """
    check_rounds(round_number)
    if _has_fallen(point, state):
        half = state["step"] / 2
        return {**state, "beta": state["beta"] - half, "step": half}
    inverse = _invert_midway(point, state, names)
    se = np.sqrt(np.diag(inverse.matrix))
    step = ahead() if ahead else inverse.matrix @ point.score
    reach = float(np.max(np.abs(step) / se))
    beta = state["beta"] + step
    if is_near(reach, state) if closes else _is_done(reach, state, round_number):
        loglik = point.loglik + float(point.score @ step) / 2
        return Fit(beta, inverse.matrix, loglik, round_number + 1, inverse.condition)
    if round_number > USUAL_LAST:
        _check_running_off(point, step, se, state, names)
    return {
        "beta": beta,
        "loglik": np.array([point.loglik]),
        "step": step,
        "se": se,
        "reach": np.array([reach]),
    }


def newton_step(score: Floats, inverse: Floats) -> tuple[Floats, float]:
    """Return the step (p,), and the largest part of it in standard errors."""
    step = inverse @ score
    return step, float(np.max(np.abs(step) / np.sqrt(np.diag(inverse))))


@contextlib.contextmanager
def said_of(which: str) -> Iterator[None]:
    """Say which of several regressions is not estimable."""
    try:
        yield
    except NotEstimable as problem:
        raise NotEstimable(f"{which}: {problem.what}", fix=problem.fix) from problem


def settle(
    point: Point, state: State, round_number: int, plan: Plan, total: Message
) -> State | Fit:
    """Return the next state or the fit, as `advance` does, with the variance asked for.

    Of a robust variance one more round sums the outer products of people's scores, at
    the maximum, which that round's state marks as `last`. Its score says how far from
    the maximum that is: a step of nothing is taken still, one of more than nothing
    needs one such round more.

    Raises:
        NotEstimable: as `advance`.
    """
    if LAST in state:
        return close(point, state, round_number, plan, total)
    fit = advance(point, state, round_number, plan.names, closes=plan.is_robust)
    if plan.is_robust and isinstance(fit, Fit):
        return {"beta": fit.beta, LAST: np.ones(1)}
    return fit


def close(
    point: Point, state: State, round_number: int, plan: Plan, total: Message
) -> State | Fit:
    """Return the fit with its robust variance, or the state of a better last round.

    Raises:
        NotEstimable: columns determine each other, or the rounds are used up.
    """
    inverse = invert(point.information, plan.names)
    step, reach = newton_step(point.score, inverse.matrix)
    beta = state["beta"] + step
    if reach > SMALL_STEP:
        check_rounds(round_number)
        return {"beta": beta, LAST: np.ones(1)}
    covariance = sandwich(inverse.matrix, total)
    loglik = point.loglik + float(point.score @ step) / 2
    return Fit(beta, covariance, loglik, round_number + 1, inverse.condition)


def sandwich(bread: Floats, total: Message) -> Floats:
    """Return White's covariance (HC0) from the bread and the summed `meat`.

    Args:
        bread: (p, p), the inverse of the observed information.
        total: sums, of which `meat` is the outer products of people's scores.
    """
    return np.asarray(bread @ unpacked(total["meat"], len(bread)) @ bread)


def meat(plan: Plan, rows: Rows, residual: Floats, is_last: bool) -> Floats:
    """Return the summed outer products of people's scores, packed.

    Args:
        plan: says whether the variance is robust; the result is empty where not.
        rows: of a site.
        residual: (n,) what multiplies a person's row and weight in the score.
        is_last: whether this is the round that needs it; zeros before.
    """
    if not plan.is_robust:
        return np.zeros(0)
    if not is_last:
        return np.zeros(plan.parameters * (plan.parameters + 1) // 2)
    scores = rows.by_person(rows.X * (rows.weight * residual)[:, None])
    return packed(scores.T @ scores)


def counted(plan: Plan, rows: Rows, y: Floats) -> Message:
    """Return the sum of weights, and of y where all count alike.

    Both are empty where each row is a person of weight 1.
    """
    if not plan.counts_apart:
        return {"weight": np.zeros(0), "cases": np.zeros(0)}
    return {"weight": np.array([rows.weight.sum()]), "cases": np.array([y.sum()])}


def check_weight(plan: Plan, people: float) -> None:
    """Refuse weights that are 0 for everyone.

    Raises:
        NotEstimable: nobody counts.
    """
    if plan.analysis.weights and people <= 0:
        raise NotEstimable(
            f"no one has a weight {plan.analysis.weights!r} above 0",
            fix="check the weights",
        )


def _has_fallen(point: Point, state: State) -> bool:
    if "loglik" not in state:
        return False
    before = float(state["loglik"][0])
    return point.loglik < before - SAME * (1 + abs(before))


def check_rounds(round_number: int) -> None:
    """Refuse one round more than there may be.

    Raises:
        NotEstimable: the rounds are used up.
    """
    if round_number + 1 >= MOST_ROUNDS:
        raise NotEstimable(
            f"no convergence within {MOST_ROUNDS} rounds",
            fix="leave out terms, or merge rare levels",
        )


def is_near(reach: float, state: State) -> bool:
    """Say whether the next step, if Newton's error squares, is next to nothing.

    Args:
        reach: of the step just found, the largest share of a standard error.
        state: holds the reach of the step before, if there was one.
    """
    if reach < SMALL_STEP:
        return True
    return "reach" in state and reach**3 < NEXT_STEP * float(state["reach"][0]) ** 2


def _is_done(reach: float, state: State, round_number: int) -> bool:
    """Say whether the next step would be nothing, by now or by its prediction.

    Newton's error squares: the ratio of the last reach to the square of the one
    before predicts the next reach, and how much the standard errors would change.
    """
    if reach < SMALL_STEP:
        return True
    if round_number < USUAL_LAST or "reach" not in state:
        return False
    ratio = reach / float(state["reach"][0]) ** 2
    return ratio * reach**2 < NEXT_STEP and ratio * reach < SMALL_STEP


def _invert_midway(point: Point, state: State, names: Sequence[str]) -> Inverse:
    """Invert; a matrix that was regular and no longer is tells of separation."""
    try:
        return invert(point.information, names)
    except NotEstimable as problem:
        if "se" in state:
            raise _running_off(names) from problem
        raise


def _check_running_off(
    point: Point, step: Floats, se: Floats, state: State, names: Sequence[str]
) -> None:
    if "se" not in state or float(point.score @ step) / 2 > GAIN:
        return
    growth = se / state["se"]
    if growth.max() > GROWTH:
        worst = [n for n, g in zip(names, growth, strict=True) if g > GROWTH]
        raise _running_off(worst)


def _running_off(names: Sequence[str]) -> NotEstimable:
    return NotEstimable(
        "coefficients run off to infinity, because the outcome is separated by "
        + ", ".join(names),
        fix="merge rare levels, or leave the term out",
    )


def model_payload(plan: Plan, fit: Fit, freedom: float | None = None) -> dict[str, Any]:
    """Return what every model's finding holds, in the original units.

    Args:
        plan: names the columns and their public centres and scales.
        fit: in standardised units.
        freedom: degrees of freedom of a t distribution; None for the normal.
    """
    turn = plan.to_units()
    if plan.method.outcome == "number":
        turn = turn * plan.outcome_scale[1]
    estimate = turn @ fit.beta
    if plan.method.outcome == "number" and plan.intercept:
        estimate[0] += plan.outcome_scale[0]
    se = np.sqrt(np.diag(turn @ fit.covariance @ turn.T))
    ratio = estimate / se
    if freedom is None:
        tail, width = 2 * ndtr(-np.abs(ratio)), float(ndtri(0.975))
    else:
        tail = 2 * stdtr(freedom, -np.abs(ratio))
        width = float(stdtrit(freedom, 0.975))
    terms = [
        {
            "name": name,
            "estimate": float(estimate[i]),
            "se": float(se[i]),
            "z": float(ratio[i]),
            "p": float(tail[i]),
            "lower": float(estimate[i] - width * se[i]),
            "upper": float(estimate[i] + width * se[i]),
        }
        for i, name in enumerate(plan.names)
    ]
    said = {}
    if plan.is_robust:
        said["variance"] = plan.analysis.variance
    if plan.analysis.weights:
        said["weights"] = plan.analysis.weights
    return {
        "model": plan.analysis.method,
        "terms": terms,
        "loglik": fit.loglik,
        "rounds": fit.rounds,
        "converged": True,
        "condition": fit.condition,
        **said,
    }
