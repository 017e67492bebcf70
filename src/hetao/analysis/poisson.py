"""Poisson regression: Newton from summed scores and information, opened as R opens."""

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
from hetao.analysis.finding import Finding
from hetao.analysis.newton import (
    MOST_ROUNDS,
    Fit,
    Point,
    advance,
    invert,
    model_payload,
)
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable

ETA = 300.0  # least linear predictor, as -ETA
ABSURD = 1e6  # expected count over the highest public count


@estimator(
    name="poisson",
    opening={"score": "p", "info": "sym(p)", "events": 1, "n": 1},
    sums={"score": "p", "info": "sym(p)", "loglik": 1, "events": 1, "n": 1},
    most_rounds=MOST_ROUNDS,
    publishable=True,
)
class Poisson(Estimator):
    """Maximum likelihood of a count, with an offset on the log scale.

    Source:
        R's `glm(family = poisson)`, whose start is the opening (mu = y + 0.1).
        Oracle: `tests/oracles/test_r_models.py`.
    """

    relies_on = ("hetao.analysis.newton",)

    @property
    def _most(self) -> float:
        """Return the highest expected count that a site computes with."""
        return ABSURD * (self.plan.outcome[1] + 1)

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of a round, from the highest public count."""
        high = self.plan.outcome[1]
        bounds: dict[str, tuple[float, float | None]] = {
            "events": (high, 0.0),
            "n": (1.0, 0.0),
        }
        if round_number == 0:
            offset = max(map(abs, self.plan.offset_bounds))
            working = math.log(high + 10.1) + offset
            weight = high + 0.1
            return bounds | {"score": (weight * working, None), "info": (weight, None)}
        loglik = high * max(ETA, math.log(self._most)) + self._most
        loglik += float(gammaln(high + 1))
        return bounds | {
            "score": (self._most, None),
            "info": (self._most, None),
            "loglik": (loglik, None),
        }

    def start(self, rows: Rows) -> Message:
        """Return the sums of one weighted least squares step from mu = y + 0.1."""
        X, y = rows.X, rows.y
        mu = y + 0.1
        working = np.log(mu) - 0.1 / mu - rows.offset
        return {
            "score": X.T @ (mu * working),
            "info": packed((X.T * mu) @ X),
            "events": np.array([y.sum()]),
            "n": np.array([float(rows.n)]),
        }

    def local(self, rows: Rows, state: State) -> Message:
        """Return score, information and log-likelihood at `state["beta"]`.

        Raises:
            NotEstimable: an expected count is absurd beside the public bounds.
        """
        X, y = rows.X, rows.y
        eta = np.maximum(X @ self.beta(state) + rows.offset, -ETA)
        if np.any(eta > math.log(self._most)):
            raise NotEstimable(
                "an expected count lies far beyond the outcome's public bounds",
                fix="check the offset and the bounds, or leave out terms",
            )
        mu = np.exp(eta)
        return {
            "score": X.T @ (y - mu),
            "info": packed((X.T * mu) @ X),
            "loglik": np.array([np.sum(y * eta - mu - gammaln(y + 1))]),
            "events": np.array([y.sum()]),
            "n": np.array([float(rows.n)]),
        }

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the next beta, or the finding.

        Raises:
            NotEstimable: there are no events, columns determine each other, or no
                event falls into some level.
        """
        n, events = float(total["n"][0]), float(total["events"][0])
        if events <= 0:
            raise NotEstimable(
                f"the outcome {self.plan.analysis.outcome!r} has no events",
                fix="check the outcome's definition",
            )
        information = unpacked(total["info"], self.plan.parameters)
        if state is None:
            inverse = invert(information, self.plan.names).matrix
            return {"beta": inverse @ total["score"]}
        point = Point(total["score"], information, float(total["loglik"][0]))
        fit = advance(point, state, round_number, self.plan.names)
        if not isinstance(fit, Fit):
            return fit
        counts = {"n": round(n), "events": round(events)}
        payload = model_payload(self.plan, fit) | counts
        return Finding(self.plan.analysis.name, self.name, payload)
