"""Poisson regression: Newton from summed scores and information.

The opening plays the part that the discriminant plays for logistic regression: from
X'y and the exposure's moments alone it is close enough for five Newton rounds, also
where events are rare.
"""

import math

import numpy as np
from scipy.special import gammaln

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
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable

ETA = 300.0  # least linear predictor, as -ETA
ABSURD = 1e6  # expected count over the highest public count


@estimator(
    name="poisson",
    opening={
        "score": "p",
        "info": "sym(p)",
        "exposed": "p",
        "exposure": 1,
        "events": 1,
        "n": 1,
        "weight": "weights",
        "cases": "weights",
    },
    sums={
        "score": "p",
        "info": "sym(p)",
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
class Poisson(Estimator):
    """Maximum likelihood of a count, with an offset on the log scale.

    Source:
        R's `glm(family = poisson)`. Oracle: `tests/oracles/test_r.py`.
    """

    relies_on = ("hetao.analysis.newton",)

    @property
    def most(self) -> float:
        """Return the highest expected count that a site computes with."""
        return ABSURD * (self.plan.outcome[1] + 1)

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of a round, from the highest public count."""
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
            }
        loglik = high * max(ETA, math.log(self.most)) + self.most
        loglik += float(gammaln(high + 1))
        return bounds | {
            "score": (self.most, None),
            "info": (self.most, None),
            "loglik": (loglik, None),
            "meat": (self.most**2 * self.plan.most_weight, None),
        }

    def start(self, rows: Rows) -> Message:
        """Return X'y, X'TX, X'T and the sum of T, T the exposure, 1 at its highest."""
        w = rows.weight
        exposure = w * np.exp(rows.offset - self.plan.offset_bounds[1])
        return {
            "score": rows.X.T @ (w * rows.y),
            "info": packed((rows.X.T * exposure) @ rows.X),
            "exposed": rows.X.T @ exposure,
            "exposure": np.array([exposure.sum()]),
            "events": np.array([w @ rows.y]),
            "n": np.array([float(rows.people)]),
            **counted(self.plan, rows, rows.y),
        }

    def local(self, rows: Rows, state: State) -> Message:
        """Return score, information and log-likelihood at `state["beta"]`.

        Raises:
            NotEstimable: an expected count is absurd beside the public bounds.
        """
        X, y, w = rows.X, rows.y, rows.weight
        eta = self.linear_predictor(rows, self.beta(state))
        mu = np.exp(eta)
        return {
            "score": X.T @ (w * (y - mu)),
            "info": packed((X.T * (w * mu)) @ X),
            "loglik": np.array([w @ (y * eta - mu - gammaln(y + 1))]),
            "events": np.array([w @ y]),
            "n": np.array([float(rows.people)]),
            **counted(self.plan, rows, y),
            "meat": meat(self.plan, rows, y - mu, LAST in state),
        }

    def scores(self, rows: Rows, state: State) -> Floats:
        """Return (n, p) each person's part of the score at `state["beta"]`."""
        eta = np.maximum(rows.X @ self.beta(state) + rows.offset, -ETA)
        return rows.X * (rows.weight * (rows.y - np.exp(eta)))[:, None]

    def linear_predictor(self, rows: Rows, beta: Floats) -> Floats:
        """Return the logarithm of each person's expected count, (n,).

        Raises:
            NotEstimable: an expected count is absurd beside the public bounds.
        """
        eta = np.maximum(rows.X @ beta + rows.offset, -ETA)
        if np.any(eta > math.log(self.most)):
            raise NotEstimable(
                "an expected count lies far beyond the outcome's public bounds",
                fix="check the offset and the bounds, or leave out terms",
            )
        return np.asarray(eta)

    def weights(self, rows: Rows, state: State) -> Floats:
        """Return each person's rate at `state["beta"]`, the largest being 1, (n,)."""
        eta = rows.X @ self.beta(state) + rows.offset
        return np.asarray(np.exp(eta - eta.max(initial=-np.inf)))

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the next beta, or the finding.

        Raises:
            NotEstimable: there are no events, columns determine each other, or no
                event falls into some level.
        """
        n, events = float(total["n"][0]), float(total["events"][0])
        check_weight(self.plan, n)
        cases = float(total["cases"][0]) if self.plan.counts_apart else events
        if events <= 0:
            raise NotEstimable(
                f"the outcome {self.plan.analysis.outcome!r} has no events",
                fix="check the outcome's definition",
            )
        if state is None:
            return {"beta": log_linear_opening(self.plan, total, events)[0]}
        information = unpacked(total["info"], self.plan.parameters)
        point = Point(total["score"], information, float(total["loglik"][0]))
        fit = settle(point, state, round_number, self.plan, total)
        if not isinstance(fit, Fit):
            return fit
        counts = {"n": round(n), "events": round(cases)}
        payload = model_payload(self.plan, fit) | counts
        return Finding(self.plan.analysis.name, self.name, payload)


def log_linear_opening(
    plan: Plan, total: Message, events: float
) -> tuple[Floats, float]:
    """Return the coefficients if covariates, weighted by exposure, were normal.

    Events tilt the covariates' distribution exponentially. A normal one moves its
    mean by covariance times slopes, and its mean rate by the usual half square.

    Args:
        plan: the public plan.
        total: `score` (p,), X'y; `info`, X'TX; `exposed` (p,), X'T; and `exposure`
            (1,), the sum of T, T being the exposure, 1 at its highest.
        events: the sum of y.

    Returns:
        The coefficients (p,), and the variance of X beta under exposure.
    """
    exposure = float(total["exposure"][0])
    rate = events / exposure
    log_rate = math.log(rate) - plan.offset_bounds[1]
    information = unpacked(total["info"], plan.parameters)
    inverse = invert(information, plan.names).matrix
    excess = total["score"] / rate - total["exposed"]
    if not plan.intercept:
        return inverse @ (excess + log_rate * total["exposed"]), 0.0
    beta = np.asarray(inverse @ excess)
    mean, slopes = total["exposed"][1:] / exposure, beta[1:]
    square = float(slopes @ (information[1:, 1:] / exposure) @ slopes)
    centre = float(mean @ slopes)
    variance = square - centre**2
    beta[0] = log_rate - centre - variance / 2
    return beta, variance
