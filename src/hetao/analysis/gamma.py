"""Gamma regression with log link: costs, lengths of stay, whatever is above zero.

The opening is least squares on the logarithm, whose slopes already are near the
maximum; few Newton rounds follow it.
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
    Fit,
    Point,
    check_weight,
    counted,
    invert,
    meat,
    model_payload,
    settle,
)
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable

RATIO = 1e4  # most that an outcome may be of its expectation
NO_SPREAD = 1e-20  # squared relative residual below which the fit is perfect


@estimator(
    name="gamma",
    opening={
        "score": "p",
        "info": "sym(p)",
        "squares": 1,
        "n": 1,
        "weight": "weights",
    },
    sums={
        "score": "p",
        "info": "sym(p)",
        "curve": "sym(p)",
        "loglik": 1,
        "pearson": 1,
        "pull": "p",
        "logs": 1,
        "n": 1,
        "weight": "weights",
        "meat": "robust",
    },
    most_rounds=MOST_ROUNDS,
    publishable=True,
)
class Gamma(Estimator):
    """Maximum likelihood of a positive number, mean e^(X beta), constant variation.

    The dispersion is Pearson's chi-square over n - p, as R's `summary.glm` has it; the
    standard errors follow from it and the expected information X'X, with t limits on
    n - p degrees of freedom. The log-likelihood is R's `logLik`, at the dispersion
    deviance / n. The gate guards it as it does linear regression: people, cells of the
    design, parameters and leverage, also under each state's y / mu.

    Source:
        R's `glm(family = Gamma("log"))`. Oracle: `tests/oracles/test_glm.py`.
    """

    relies_on = ("hetao.analysis.newton",)

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of a round; |x| <= 1 and y / mu <= RATIO."""
        low, high = self.plan.outcome
        log_y = max(abs(math.log(low)), abs(math.log(high)))
        bounds: dict[str, tuple[float, float | None]] = {
            "info": (1.0, None),
            "n": (1.0, 0.0),
            "weight": (1.0, 0.0),
        }
        if round_number == 0:
            most = log_y + max(map(abs, self.plan.offset_bounds))
            return bounds | {"score": (most, None), "squares": (most**2, 0.0)}
        # mu is at least y / RATIO, and at most RATIO times the highest outcome.
        return bounds | {
            "score": (RATIO, None),
            "curve": (RATIO, None),
            "loglik": (RATIO + log_y + math.log(RATIO), None),
            "pearson": (RATIO**2, 0.0),
            "pull": (RATIO**2, None),
            "logs": (log_y, None),
            "meat": (RATIO**2 * self.plan.most_weight, None),
        }

    def start(self, rows: Rows) -> Message:
        """Return X'z, X'X and z'z of z = log y - offset."""
        z, w = np.log(rows.y) - rows.offset, rows.weight
        return {
            "score": rows.X.T @ (w * z),
            "info": packed((rows.X.T * w) @ rows.X),
            "squares": np.array([w @ z**2]),
            "n": np.array([float(rows.n)]),
            "weight": counted(self.plan, rows, rows.y)["weight"],
        }

    def local(self, rows: Rows, state: State) -> Message:
        """Return the sums at `state["beta"]`, r being y / mu - 1.

        `score` is X'r, `info` the expected information X'X and `curve` the observed
        one, X'(1 + r)X; `loglik` sums -y/mu - log mu, `pearson` r², and `pull` is half
        of how `pearson` falls, X'(1 + r)r.

        Raises:
            NotEstimable: an outcome is absurd beside its expectation.
        """
        X, w = rows.X, rows.weight
        eta = X @ self.beta(state) + rows.offset
        log_y = np.log(rows.y)
        highest = math.log(RATIO) + math.log(self.plan.outcome[1])
        if np.any(log_y - eta > math.log(RATIO)) or np.any(eta > highest):
            raise NotEstimable(
                "an outcome lies far beyond what the model expects",
                fix="check the offset and the bounds, or leave out terms",
            )
        ratio = np.exp(log_y - eta)
        away = ratio - 1
        return {
            "score": X.T @ (w * away),
            "info": packed((X.T * w) @ X),
            "curve": packed((X.T * (w * ratio)) @ X),
            "loglik": np.array([-(w @ (ratio + eta))]),
            "pearson": np.array([w @ away**2]),
            "pull": X.T @ (w * ratio * away),
            "logs": np.array([w @ log_y]),
            "n": np.array([float(rows.n)]),
            "weight": counted(self.plan, rows, rows.y)["weight"],
            "meat": meat(self.plan, rows, away, LAST in state),
        }

    def weights(self, rows: Rows, state: State) -> Floats:
        """Return the weights of the observed information at a state, y / mu, (n,)."""
        eta = rows.X @ self.beta(state) + rows.offset
        return np.asarray(np.exp(np.minimum(np.log(rows.y) - eta, math.log(RATIO))))

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the next beta, or the finding.

        Raises:
            NotEstimable: columns determine each other, there are no more people than
                columns, or the outcome is a function of the columns.
        """
        p, n = self.plan.parameters, float(total["n"][0])
        check_weight(self.plan, n)
        if n <= p:
            raise NotEstimable(
                "there are no more people than columns", fix="leave out terms"
            )
        expected = invert(unpacked(total["info"], p), self.plan.names)
        if state is None:
            return {"beta": self._opening(total, expected.matrix)}
        curve = unpacked(total["curve"], p)
        point = Point(total["score"], curve, float(total["loglik"][0]))
        fit = settle(point, state, round_number, self.plan, total)
        if not isinstance(fit, Fit):
            return fit
        moved = fit.beta - state["beta"]
        pearson = float(total["pearson"][0]) - 2 * float(total["pull"] @ moved)
        if pearson <= NO_SPREAD * n:
            raise self._no_spread()
        dispersion = pearson / (n - p)
        covariance = expected.matrix * dispersion
        if self.plan.is_robust:
            covariance = fit.covariance  # from the observed information
        weight = float(total["weight"][0]) if self.plan.analysis.weights else n
        full = Fit(
            fit.beta,
            covariance,
            self._loglik(fit.loglik, float(total["logs"][0]), weight),
            fit.rounds,
            expected.condition,
        )
        payload = model_payload(self.plan, full, freedom=n - p) | {
            "n": round(n),
            "events": None,
            "df": round(n) - p,
            "dispersion": dispersion,
        }
        return Finding(self.plan.analysis.name, self.name, payload)

    def _no_spread(self) -> NotEstimable:
        return NotEstimable(
            f"the fit leaves nothing of {self.plan.analysis.outcome!r} to chance",
            fix="check that the outcome is not one of the terms",
        )

    def _opening(self, total: Message, inverse: Floats) -> Floats:
        """Return least squares on the logarithm, its intercept moved to the mean.

        The variance of a gamma's logarithm is the trigamma of its shape, and its mean
        lies log(shape) - digamma(shape) under the logarithm of the mean.
        """
        weight = total["weight"] if self.plan.analysis.weights else total["n"]
        beta = inverse @ total["score"]
        variance = float(total["squares"][0]) - float(beta @ total["score"])
        variance /= float(weight[0])
        if self.plan.intercept and variance > 0:
            shape = _shape_of(variance)
            beta[0] += math.log(shape) - float(digamma(shape))
        return np.asarray(beta)

    def _loglik(self, kernel: float, logs: float, n: float) -> float:
        """Return R's log-likelihood, at the dispersion that is deviance over n."""
        dispersion = -2 * (kernel + logs + n) / n
        if dispersion <= NO_SPREAD:
            raise self._no_spread()
        k = 1 / dispersion
        return (k - 1) * logs + k * kernel + n * (k * math.log(k) - float(gammaln(k)))


def _shape_of(variance: float) -> float:
    """Return the shape whose trigamma is the variance, near enough to begin with."""
    shape = (1 + math.sqrt(1 + 2 * variance)) / (2 * variance)
    for _ in range(4):
        away = float(polygamma(1, shape)) - variance
        shape = max(shape - away / float(polygamma(2, shape)), shape / 2)
    return shape
