"""Negative binomial regression: Newton in the coefficients and log theta together.

Theta is found in the same rounds as the coefficients, from sums of digamma and trigamma
functions; fitting one at the other in turn would cost many more border crossings. The
opening is the one of Poisson regression and a moment estimate of theta.
"""

import math

import numpy as np
from scipy.special import digamma, gammaln, polygamma

from hetao.analysis.estimator import (
    Estimator,
    Message,
    State,
    estimator,
    packed,
    unpacked,
)
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.newton import (
    LAST,
    MOST_ROUNDS,
    SMALL_STEP,
    Fit,
    Point,
    advance,
    check_rounds,
    check_weight,
    counted,
    invert,
    meat,
    model_payload,
    newton_step,
    sandwich,
)
from hetao.analysis.poisson import ABSURD, ETA, log_linear_opening
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable, WrongShape

THETA = "log(theta)"
THETAS = (1e-4, 1e6)  # within which a site computes
NO_SPREAD = 1e5  # theta from which no data tell the counts from Poisson's
OPENING = (0.05, 50.0)  # within which the moment estimate is believed
MOST_STEP = 1.5  # of log theta in a round
NEVER = 1e300  # a standard error beside which none has grown


@estimator(
    name="negative_binomial",
    opening={
        "score": "p",
        "info": "sym(p)",
        "exposed": "p",
        "exposure": 1,
        "exposure_square": 1,
        "events": 1,
        "square": 1,
        "n": 1,
        "weight": "weights",
        "cases": "weights",
    },
    sums={
        "score": "p",
        "info": "sym(p)",
        "curve": "sym(p)",
        "cross": "p",
        "theta_score": 1,
        "theta_curve": 1,
        "loglik": 1,
        "events": 1,
        "n": 1,
        "weight": "weights",
        "cases": "weights",
        "meat": "robust",
    },
    most_rounds=MOST_ROUNDS,
    publishable=True,
)
class NegativeBinomial(Estimator):
    """Maximum likelihood of a count whose variance is mu + mu²/theta, log link.

    The standard errors of the coefficients are from the expected information, that of
    theta from the observed one, both as R's `glm.nb` and `theta.ml` give them. The gate
    guards it as it does Poisson regression: people, cells of the design, parameters,
    and leverage under each state's weights, those of the observed information.

    Source:
        R's `MASS::glm.nb`. Oracle: `tests/oracles/test_glm.py`.
    """

    relies_on = ("hetao.analysis.newton", "hetao.analysis.poisson")

    @property
    def _most(self) -> float:
        """Return the highest expected count that a site computes with."""
        return ABSURD * (self.plan.outcome[1] + 1)

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of a round, from the highest public count and theta."""
        high = self.plan.outcome[1]
        bounds: dict[str, tuple[float, float | None]] = {
            "events": (high, 0.0),
            "n": (1.0, 0.0),
            "weight": (1.0, 0.0),
            "cases": (high, 0.0),
        }
        if round_number == 0:
            return bounds | {
                "score": (high, None),
                "info": (1.0, None),
                "exposed": (1.0, None),
                "exposure": (1.0, 0.0),
                "exposure_square": (1.0, 0.0),
                "square": (high**2, 0.0),
            }
        low_theta, theta = THETAS
        weight = min(self._most, theta)  # mu / (1 + mu/theta), and theta mu²/(...)²
        spread = theta * math.log1p(self._most / theta)
        slope = 2 * high + spread
        loglik = high * (math.log(theta + high + 1) - math.log(low_theta))
        loglik += high * (ETA + math.log(theta + self._most)) + spread
        most = max(high, weight)
        return bounds | {
            "score": (most, None),
            "info": (weight, None),
            "curve": (weight + high, None),
            "cross": (most, None),
            "theta_score": (slope, None),
            "theta_curve": (slope + 2 * high + weight, None),
            "loglik": (loglik + float(gammaln(high + 1)), None),
            "meat": (most**2 * self.plan.most_weight, None),
        }

    def start(self, rows: Rows) -> Message:
        """Return Poisson regression's opening sums, and those of y² and exposure²."""
        X, y, w = rows.X, rows.y, rows.weight
        exposure = np.exp(rows.offset - self.plan.offset_bounds[1])
        return {
            "score": X.T @ (w * y),
            "info": packed((X.T * (w * exposure)) @ X),
            "exposed": X.T @ (w * exposure),
            "exposure": np.array([w @ exposure]),
            "exposure_square": np.array([w @ exposure**2]),
            "events": np.array([w @ y]),
            "square": np.array([w @ y**2]),
            "n": np.array([float(rows.n)]),
            **counted(self.plan, rows, y),
        }

    def local(self, rows: Rows, state: State) -> Message:
        """Return score, information and log-likelihood at a state.

        `info` is expected, `curve` observed; `cross` and what starts with `theta` are
        derivatives by log theta.

        Raises:
            NotEstimable: an expected count is absurd beside the public bounds.
            WrongShape: the state holds no theta, or one out of range.
        """
        X, y, w = rows.X, rows.y, rows.weight
        mu, theta = self._expected(rows, state), _theta(state)
        free = theta / (theta + mu)  # 1 / (1 + mu/theta)
        away = (y - mu) * free
        # Scores and curves by theta itself, times theta where log theta is meant.
        by_theta = digamma(y + theta) - digamma(theta) + np.log(free) - away / theta
        curve = polygamma(1, theta) - polygamma(1, y + theta) - 1 / theta
        curve = curve + 2 * free / theta - (y + theta) * (free / theta) ** 2
        loglik = gammaln(y + theta) - gammaln(theta) - gammaln(y + 1)
        loglik = loglik + theta * np.log(free) + y * np.log(mu / (theta + mu))
        observed = mu * free * (theta + y) / (theta + mu)
        slope = theta * (w @ by_theta)
        return {
            "score": X.T @ (w * away),
            "info": packed((X.T * (w * mu * free)) @ X),
            "curve": packed((X.T * (w * observed)) @ X),
            "cross": -(X.T @ (w * away * (1 - free))),
            "theta_score": np.array([slope]),
            "theta_curve": np.array([theta**2 * (w @ curve) - slope]),
            "loglik": np.array([w @ loglik]),
            "events": np.array([w @ y]),
            "n": np.array([float(rows.n)]),
            **counted(self.plan, rows, y),
            "meat": meat(self.plan, rows, away, LAST in state),
        }

    def weights(self, rows: Rows, state: State) -> Floats:
        """Return the weights of the observed information at a state, (n,)."""
        mu, theta = self._expected(rows, state), _theta(state)
        return np.asarray(mu * theta * (theta + rows.y) / (theta + mu) ** 2)

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the next beta and log theta, or the finding.

        Raises:
            NotEstimable: there are no events, columns determine each other, no event
                falls into some level, or the counts vary no more than Poisson's.
        """
        n, events = float(total["n"][0]), float(total["events"][0])
        check_weight(self.plan, n)
        cases = float(total["cases"][0]) if self.plan.analysis.weights else events
        if events <= 0:
            raise NotEstimable(
                f"the outcome {self.plan.analysis.outcome!r} has no events",
                fix="check the outcome's definition",
            )
        if state is None:
            return self._opening(total, events)
        p, names = self.plan.parameters, self.plan.names
        expected = invert(unpacked(total["info"], p), names)
        point, covariance = _point(total, p), expected.matrix
        joint = {**state, "beta": np.append(state["beta"], state["log_theta"])}
        if LAST in state:
            bread = invert(unpacked(total["curve"], p), names).matrix
            covariance, condition = sandwich(bread, total), expected.condition
            inverse = invert(point.information, (*names, THETA)).matrix
            step, reach = newton_step(point.score, inverse)
            beta, rounds = joint["beta"] + step, round_number + 1
            if reach > SMALL_STEP:
                check_rounds(round_number)
                return _last(beta)
            fit: State | Fit = Fit(beta, covariance, point.loglik, rounds, condition)
        else:
            closes, names = self.plan.is_robust, (*names, THETA)
            fit = advance(point, joint, round_number, names, closes=closes)
        if not isinstance(fit, Fit):
            return _parted(fit, state)
        if self.plan.is_robust and LAST not in state:
            return _last(fit.beta)
        payload = model_payload(
            self.plan,
            Fit(fit.beta[:p], covariance, fit.loglik, fit.rounds, fit.condition),
        )
        theta = math.exp(fit.beta[p])
        spread = theta / math.sqrt(_curve_of_theta(total))
        found = {"theta": theta, "theta_se": spread}
        found |= {"n": round(n), "events": round(cases)}
        return Finding(self.plan.analysis.name, self.name, payload | found)

    def _expected(self, rows: Rows, state: State) -> Floats:
        eta = np.maximum(rows.X @ self.beta(state) + rows.offset, -ETA)
        if np.any(eta > math.log(self._most)):
            raise NotEstimable(
                "an expected count lies far beyond the outcome's public bounds",
                fix="check the offset and the bounds, or leave out terms",
            )
        return np.asarray(np.exp(eta))

    def _opening(self, total: Message, events: float) -> State:
        """Return Poisson regression's opening and the theta of the moments.

        With covariates as if normal, the squares of the expected counts add up to
        (rate)² times the squared exposures, times e to the variance of X beta.
        """
        beta, variance = log_linear_opening(self.plan, total, events)
        rate = events / float(total["exposure"][0])
        squares = rate**2 * float(total["exposure_square"][0])
        squares *= math.exp(min(variance, 2.0))
        beyond = float(total["square"][0]) - events - squares
        theta = squares / beyond if beyond > 0 else OPENING[1]
        return {
            "beta": beta,
            "log_theta": np.array([math.log(min(max(theta, OPENING[0]), OPENING[1]))]),
        }


def _theta(state: State) -> float:
    log_theta = state.get("log_theta")
    if log_theta is None or log_theta.shape != (1,):
        raise WrongShape("the state does not hold one log theta")
    theta = math.exp(min(float(log_theta[0]), 700.0))
    if not THETAS[0] <= theta <= THETAS[1]:
        raise WrongShape("theta lies outside the range that a site computes in")
    return theta


def _curve_of_theta(total: Message) -> float:
    """Return minus the second derivative by theta, in units of theta squared."""
    return float(total["theta_curve"][0] + total["theta_score"][0])


def _point(total: Message, p: int) -> Point:
    """Return the summed likelihood in the coefficients and log theta.

    Far from the maximum the observed information need not be positive; the expected
    one of the coefficients, with theta apart, then shows a way upward.
    """
    score = np.append(total["score"], total["theta_score"])
    joint = np.zeros((p + 1, p + 1))
    joint[:p, :p] = unpacked(total["curve"], p)
    joint[p, :p] = joint[:p, p] = total["cross"]
    joint[p, p] = total["theta_curve"][0]
    spread = np.sqrt(np.clip(np.diag(joint), 1e-300, None))
    if np.linalg.eigvalsh(joint / np.outer(spread, spread))[0] <= 0:
        joint = np.zeros((p + 1, p + 1))
        joint[:p, :p] = unpacked(total["info"], p)
        slope = abs(float(total["theta_score"][0]))
        joint[p, p] = max(abs(_curve_of_theta(total)), slope, 1e-6)
    return Point(score, joint, float(total["loglik"][0]))


def _last(joint: Floats) -> State:
    """Return the state of the last round, from the coefficients and log theta."""
    return {"beta": joint[:-1], "log_theta": joint[-1:], LAST: np.ones(1)}


def _parted(joint: State, before: State) -> State:
    """Return the state with log theta apart from beta, moved no further than allowed.

    Raises:
        NotEstimable: theta runs off, as it does where counts vary as Poisson's do.
    """
    beta, log_theta = joint["beta"][:-1], float(joint["beta"][-1])
    last = float(before["log_theta"][0])
    moved = min(max(log_theta, last - MOST_STEP), last + MOST_STEP)
    if moved > math.log(NO_SPREAD):
        raise NotEstimable(
            "the counts vary no more than Poisson's do, so theta has no largest value",
            fix="use method = 'poisson'",
        )
    if moved < math.log(THETAS[0]):
        raise NotEstimable(
            "theta runs off to 0, because the counts vary beyond measure",
            fix="check the outcome's definition",
        )
    step = np.append(joint["step"][:-1], joint["step"][-1] + moved - log_theta)
    se = np.append(joint["se"][:-1], NEVER)  # theta running off is told of above
    parted = {"beta": beta, "log_theta": np.array([moved]), "step": step, "se": se}
    return {**joint, **parted}
