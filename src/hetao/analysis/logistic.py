"""Logistic regression: Newton from summed scores and information.

The opening is Fisher's linear discriminant, which needs only X'X, X'y and counts. It
is close enough that five Newton rounds follow it, also where the outcome is rare; each
round spared is a border crossing spared.
"""

import math
from typing import ClassVar

import numpy as np
from scipy.special import expit

from hetao.analysis.doubt import working
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

ETA = 700.0  # beyond, a probability is 0 or 1 in double precision


@estimator(
    name="logistic",
    opening={
        "score": "p",
        "info": "sym(p)",
        "shift": "p",
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
class Logistic(Estimator):
    """Maximum likelihood of a binary outcome; the second level is the event.

    Source:
        R's `glm(family = binomial)`. Oracle: `tests/oracles/test_r.py`.
    """

    relies_on = ("hetao.analysis.doubt", "hetao.analysis.newton")
    most_explained: ClassVar[float] = 0.9  # of the variance, as the opening believes

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of a round: |x| <= 1 and |y - mu| <= 1."""
        bounds: dict[str, tuple[float, float | None]] = {
            "score": (1.0, None),
            "info": (1.0, None),
            "events": (1.0, 0.0),
            "n": (1.0, 0.0),
            "weight": (1.0, 0.0),
            "cases": (1.0, 0.0),
        }
        if round_number == 0:
            return bounds | {"shift": (max(map(abs, self.plan.offset_bounds)), None)}
        meat = (self.plan.most_weight, None)
        return bounds | {"loglik": (ETA + 1, None), "meat": meat}

    def start(self, rows: Rows) -> Message:
        """Return X'(y - 1/2), X'X and X'offset."""
        X, y, w = rows.X, rows.y, rows.weight
        return {
            "score": X.T @ (w * (y - 0.5)),
            "info": packed((X.T * w) @ X),
            "shift": X.T @ (w * rows.offset),
            "events": np.array([w @ y]),
            "n": np.array([float(rows.people)]),
            **counted(self.plan, rows, y),
        }

    def local(self, rows: Rows, state: State) -> Message:
        """Return score, information and log-likelihood at `state["beta"]`."""
        X, y, w = rows.X, rows.y, rows.weight
        # Clipping changes nothing but a log-likelihood that is hopeless anyway.
        eta = np.clip(X @ self.beta(state) + rows.offset, -ETA, ETA)
        mu = expit(eta)
        return {
            "score": X.T @ (w * (y - mu)),
            "info": packed((X.T * (w * mu * (1 - mu))) @ X),
            "loglik": np.array([w @ (y * eta - np.logaddexp(0, eta))]),
            "events": np.array([w @ y]),
            "n": np.array([float(rows.people)]),
            **counted(self.plan, rows, y),
            "meat": meat(self.plan, rows, y - mu, LAST in state),
        }

    def scores(self, rows: Rows, state: State) -> Floats:
        """Return (n, p) each person's part of the score at `state["beta"]`."""
        eta = np.clip(rows.X @ self.beta(state) + rows.offset, -ETA, ETA)
        return rows.X * (rows.weight * (rows.y - expit(eta)))[:, None]

    def weights(self, rows: Rows, state: State) -> Floats:
        """Return the working weights at `state["beta"]`, (k, n)."""
        return working(rows.X @ self.beta(state) + rows.offset)

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the next beta, or the finding.

        Raises:
            NotEstimable: everyone or no one has the event, columns determine each
                other, or the outcome is separated.
        """
        n, events = float(total["n"][0]), float(total["events"][0])
        apart = self.plan.counts_apart
        cases = float(total["cases"][0]) if apart else events
        weight = float(total["weight"][0]) if apart else n
        check_weight(self.plan, n)
        if cases <= 0 or events >= weight:
            raise NotEstimable(
                f"everyone or no one has the outcome {self.plan.analysis.outcome!r}",
                fix="check the outcome's definition",
            )
        if state is None:
            return {"beta": self.discriminant(total, weight, events)}
        information = unpacked(total["info"], self.plan.parameters)
        point = Point(total["score"], information, float(total["loglik"][0]))
        fit = settle(point, state, round_number, self.plan, total)
        if not isinstance(fit, Fit):
            return fit
        counts = {"n": round(n), "events": round(cases)}
        payload = model_payload(self.plan, fit) | counts
        return Finding(self.plan.analysis.name, self.name, payload)

    def discriminant(self, total: Message, n: float, events: float) -> Floats:
        """Return the coefficients of the linear discriminant, or their like.

        Source:
            Fisher's identity between least squares on a binary outcome and the
            discriminant; Haggstrom (1983), J. Bus. Econ. Stat. 1(3), 229-238.
        """
        information = unpacked(total["info"], self.plan.parameters)
        inverse = invert(information, self.plan.names).matrix
        if not self.plan.intercept:
            return inverse @ (4 * total["score"] - total["shift"])
        share = events / n
        spread = share * (1 - share)
        sums = information[:, 0]
        of_events = total["score"] + sums / 2
        least = total["score"] + (0.5 - share) * sums  # X'(y - share)
        slope = inverse @ least
        explained = min(float(least @ slope) / (n * spread), self.most_explained)
        logit = math.log(share / (1 - share))
        if self.plan.offset is not None:
            beta = slope / spread - inverse @ total["shift"]
            beta[0] += logit
            return beta
        beta = slope / (spread * (1 - explained))
        means = of_events / events + (sums - of_events) / (n - events)
        beta[0] = logit - float(means[1:] @ beta[1:]) / 2
        return np.asarray(beta)
