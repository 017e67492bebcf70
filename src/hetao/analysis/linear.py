"""Linear regression: normal equations, then one round on the residuals.

The second round makes the residual sum of squares as accurate as a pooled fit's, which
y'y - b'X'y is not.
"""

import math

import numpy as np

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
    Fit,
    check_weight,
    invert,
    meat,
    model_payload,
    sandwich,
)
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable

RESIDUAL = 1e3  # of half the outcome's public range; a fit beyond makes no sense
LOG_WEIGHT = 745.0  # of the smallest double, and more than of any other
# Mean square, by half the outcome's public range squared, below which the fit is
# perfect, or the range so wide that its sums no longer tell the residuals.
NO_RESIDUAL = 1e-14


@estimator(
    name="linear",
    sums={
        "score": "p",
        "info": "sym(p)",
        "rss": 1,
        "n": 1,
        "log_weight": "weights",
        "meat": "robust",
    },
    most_rounds=2,
    publishable=True,
)
class Linear(Estimator):
    """Least squares with t limits on n - p degrees of freedom.

    Source:
        R's `lm`. Oracle: `tests/oracles/test_r.py`.
    """

    relies_on = ("hetao.analysis.newton",)

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of a round; y lies within -1 to 1 as X does."""
        offset = max(map(abs, self.plan.offset_bounds)) / self.plan.outcome_scale[1]
        most = RESIDUAL if round_number else 1.0 + offset
        return {
            "score": (most, None),
            "info": (1.0, None),
            "rss": (most**2, 0.0),
            "n": (1.0, 0.0),
            "log_weight": (LOG_WEIGHT, None),
            "meat": (most**2 * self.plan.most_weight, None),
        }

    def start(self, rows: Rows) -> Message:
        """Return X'y, X'X and y'y."""
        return self._sums(rows, np.zeros(self.plan.parameters), is_last=False)

    def local(self, rows: Rows, state: State) -> Message:
        """Return X'r, X'X and r'r of the residuals r at `state["beta"]`.

        Raises:
            NotEstimable: a residual is beyond any that the public bounds allow for.
        """
        return self._sums(rows, self.beta(state), is_last=True)

    def scores(self, rows: Rows, state: State) -> Floats:
        """Return (n, p) each person's part of the score at `state["beta"]`."""
        offset = rows.offset / self.plan.outcome_scale[1]
        residual = rows.y - offset - rows.X @ self.beta(state)
        return rows.X * (rows.weight * residual)[:, None]

    def _sums(self, rows: Rows, beta: Floats, is_last: bool) -> Message:
        X, w = rows.X, rows.weight
        offset = rows.offset / self.plan.outcome_scale[1]
        residual = rows.y - offset - X @ beta
        if np.any(np.abs(residual) > RESIDUAL):
            raise NotEstimable(
                "a fitted value lies far beyond the outcome's public bounds",
                fix="leave out terms, or widen their bounds less",
            )
        logs = [np.log(w).sum()] if self.plan.analysis.weights else []
        return {
            "score": X.T @ (w * residual),
            "info": packed((X.T * w) @ X),
            "rss": np.array([w @ residual**2]),
            "n": np.array([float(rows.n)]),
            "log_weight": np.array(logs, dtype=np.float64),
            "meat": meat(self.plan, rows, residual, is_last),
        }

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the first beta, then the finding.

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
        inverse = invert(unpacked(total["info"], p), self.plan.names)
        step = inverse.matrix @ total["score"]
        if state is None:
            return {"beta": step}
        rss = float(total["rss"][0]) - float(step @ total["score"])
        if rss <= NO_RESIDUAL * n:
            raise NotEstimable(
                f"the fit leaves nothing of {self.plan.analysis.outcome!r} to chance",
                fix="check that the outcome is not one of the terms, or tighten its "
                "public bounds",
            )
        variance = rss / (n - p)
        scaled = 2 * math.pi * rss * self.plan.outcome_scale[1] ** 2 / n
        covariance = inverse.matrix * variance
        if self.plan.is_robust:
            covariance = sandwich(inverse.matrix, total)
        fit = Fit(
            beta=state["beta"] + step,
            covariance=covariance,
            loglik=-n / 2 * (math.log(scaled) + 1)
            + float(total["log_weight"].sum()) / 2,
            rounds=round_number + 1,
            condition=inverse.condition,
        )
        payload = model_payload(self.plan, fit, freedom=n - p) | {
            "n": round(n),
            "events": None,
            "df": round(n) - p,
            "sigma": math.sqrt(variance) * self.plan.outcome_scale[1],
        }
        return Finding(self.plan.analysis.name, self.name, payload)
