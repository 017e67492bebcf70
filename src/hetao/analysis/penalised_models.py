"""The models that a ridge, lasso or elastic net can penalise."""

import numpy as np
from scipy.special import expit, xlogy

from hetao.analysis.doubt import working
from hetao.analysis.estimator import Message, State, estimator
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.linear import NO_RESIDUAL, RESIDUAL
from hetao.analysis.logistic import ETA
from hetao.analysis.newton import MOST_ROUNDS
from hetao.analysis.penalised import OPENING, SUMS, Null, Penalised
from hetao.analysis.poisson import ABSURD
from hetao.analysis.poisson import ETA as LEAST_ETA
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable

Bounds = dict[str, tuple[float, float | None]]


def _check_outcome(outcome: str, share: Floats) -> None:
    if not (share > 0).all():
        raise NotEstimable(
            f"the outcome {outcome!r} has no events, or none outside a fold",
            fix="check the outcome's definition, or take fewer folds",
        )


@estimator(
    name="penalised_linear",
    opening=OPENING,
    sums=SUMS,
    most_rounds=4,
    publishable=True,
)
class PenalisedLinear(Penalised):
    """Least squares: two rounds, whatever the path. The loss is half the square."""

    same_curve = True

    @property
    def _scale(self) -> float:
        return self.plan.outcome_scale[1]

    def bounds(self, round_number: int) -> Bounds:
        """Return the bounds of a round; y lies within -1 to 1 as X does."""
        offset = max(map(abs, self.plan.offset_bounds)) / self._scale
        bounds: Bounds = {
            "cases": (1.0, 0.0),
            "n": (1.0, 0.0),
        }
        if round_number == 0:
            one = (1.0, None)
            return bounds | {"gram": one, "cross": (1.0 + offset, None), "exposed": one}
        loss = (RESIDUAL**2 / 2, 0.0)
        return bounds | {
            "score": (RESIDUAL, None),
            "info": (1.0, None),
            "loss": loss,
            "held": loss,
        }

    def _opening(self, rows: Rows) -> tuple[Floats, Floats]:
        return rows.y - rows.offset / self._scale, rows.weight

    def _counts(self, rows: Rows) -> Message:
        return {"cases": np.zeros(1), "n": np.array([float(rows.n)])}

    def _events(self, total: Message) -> int | None:
        return None

    def _people(self, rows: Rows, linear: Floats) -> tuple[Floats, Floats, Floats]:
        residual = rows.y - rows.offset / self._scale - linear
        if np.any(np.abs(residual) > RESIDUAL):
            raise NotEstimable(
                "a fitted value lies far beyond the outcome's public bounds",
                fix="leave out terms, or widen their bounds less",
            )
        return residual, np.ones(rows.n), residual**2 / 2

    def _finding(
        self, total: Message, state: State, beta: Floats, round_number: int
    ) -> Finding:
        if np.any(2 * total["loss"] <= NO_RESIDUAL * total["n"][0]):
            raise NotEstimable(
                f"a fit leaves nothing of {self.plan.analysis.outcome!r} to chance",
                fix="check that the outcome is not one of the terms, or tighten its "
                "public bounds",
            )
        return super()._finding(total, state, beta, round_number)

    def _null(self, gram: Floats, cross: Floats, exposed: Floats) -> Null:
        mean = cross[:, 0] / gram[:, 0, 0]
        score = cross - mean[:, None] * gram[:, 0, :]
        return Null(mean, score, np.ones(len(mean)))


@estimator(
    name="penalised_logistic",
    opening=OPENING,
    sums=SUMS,
    most_rounds=MOST_ROUNDS,
    publishable=True,
)
class PenalisedLogistic(Penalised):
    """A binary outcome; the loss is minus its log-likelihood."""

    def bounds(self, round_number: int) -> Bounds:
        """Return the bounds of a round: |x| <= 1 and |y - mu| <= 1."""
        one: tuple[float, float | None] = (1.0, None)
        counts: Bounds = {
            "cases": (1.0, 0.0),
            "n": (1.0, 0.0),
        }
        if round_number == 0:
            return counts | {"gram": one, "cross": one, "exposed": one}
        loss = (ETA + 1, 0.0)
        return counts | {"score": one, "info": one, "loss": loss, "held": loss}

    def _people(self, rows: Rows, linear: Floats) -> tuple[Floats, Floats, Floats]:
        eta = np.clip(linear, -ETA, ETA)
        mu = expit(eta)
        loss = np.logaddexp(0, eta) - rows.y * eta
        return rows.y - mu, mu * (1 - mu), loss

    def _looked_at(self, rows: Rows, linear: Floats) -> Floats:
        del rows
        return working(linear)

    def _null(self, gram: Floats, cross: Floats, exposed: Floats) -> Null:
        size = gram[:, 0, 0]
        share = cross[:, 0] / size
        _check_outcome(self.plan.analysis.outcome, share)
        if not (share < 1).all():
            raise NotEstimable(
                f"everyone has the outcome {self.plan.analysis.outcome!r}, or everyone "
                "outside a fold",
                fix="check the outcome's definition, or take fewer folds",
            )
        score = cross - share[:, None] * gram[:, 0, :]
        return Null(np.log(share / (1 - share)), score, share * (1 - share))


@estimator(
    name="penalised_poisson",
    opening=OPENING,
    sums=SUMS,
    most_rounds=MOST_ROUNDS,
    publishable=True,
)
class PenalisedPoisson(Penalised):
    """A count, with an offset on the log scale; the loss is half its deviance."""

    @property
    def _has_exposure(self) -> bool:
        return self.plan.offset is not None

    @property
    def _most(self) -> float:
        """Return the highest expected count that a site computes with."""
        return ABSURD * (self.plan.outcome[1] + 1)

    def bounds(self, round_number: int) -> Bounds:
        """Return the bounds of a round, from the highest public count."""
        high, most = self.plan.outcome[1], self._most
        counts: Bounds = {
            "cases": (high, 0.0),
            "n": (1.0, 0.0),
        }
        one: tuple[float, float | None] = (1.0, None)
        if round_number == 0:
            return counts | {"gram": one, "cross": (high, None), "exposed": one}
        loss = (high * (abs(np.log(high + 1)) + LEAST_ETA) + most, 0.0)
        sums = {"score": (most, None), "info": (most, None)}
        return counts | sums | {"loss": loss, "held": loss}

    def _opening(self, rows: Rows) -> tuple[Floats, Floats]:
        return rows.y, np.exp(rows.offset - self.plan.offset_bounds[1])

    def _people(self, rows: Rows, linear: Floats) -> tuple[Floats, Floats, Floats]:
        # A step too far ends at a loss that is large and finite, and goes back.
        eta = np.clip(linear + rows.offset, -LEAST_ETA, np.log(self._most))
        mu = np.exp(eta)
        loss = xlogy(rows.y, rows.y) - rows.y - rows.y * eta + mu
        return rows.y - mu, mu, np.maximum(loss, 0.0)

    def _null(self, gram: Floats, cross: Floats, exposed: Floats) -> Null:
        size, events = gram[:, 0, 0], cross[:, 0]
        _check_outcome(self.plan.analysis.outcome, events)
        if not self._has_exposure:
            exposed = gram[:, 0, :]
        rate = events / exposed[:, 0]
        level = np.log(rate)
        if self._has_exposure:
            level = level - self.plan.offset_bounds[1]
        return Null(level, cross - rate[:, None] * exposed, events / size)
