"""Curves and tests of arms that a propensity score weighs, in the same analysis.

The score's Newton rounds come first; one message more brings what the weighted curves
or the weighted test need, and how it moves with the score's coefficients. So errors,
limits and tests count the estimation of the weights.
"""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from hetao.analysis.contrasts import SIGN, contrast_term
from hetao.analysis.estimator import (
    Estimator,
    Message,
    Shapes,
    State,
    estimator,
    unpacked,
)
from hetao.analysis.finding import Finding
from hetao.analysis.km import KaplanMeier, in_whole
from hetao.analysis.logistic import Logistic
from hetao.analysis.logrank import LogRank
from hetao.analysis.newton import MOST_ROUNDS, invert
from hetao.analysis.rows import Rows
from hetao.analysis.scored import (
    CLOSING,
    GAMMA,
    RELIES,
    Scored,
    shapes_of_score,
)
from hetao.analysis.weighted_curves import CELLS, Spread, WeightedCurve
from hetao.analysis.weighting import heaviest

MOVES = {
    "slopes": f"groups,edges,{CELLS},q",
    "with_score": f"groups,edges,{CELLS},q",
}


def _shapes(model: type[Estimator]) -> Shapes:
    """Return what a message holds of the score and of what is read off at once."""
    return {**shapes_of_score(Logistic.sums), **model.sums, **CLOSING}


class ScoredOnce(Scored):
    """What one message of weighted people says, weighted by a propensity score."""

    def _model_message(self, rows: Rows, state: State) -> Message:
        return self._model.start(self._weigh(rows, state).rows)

    def is_closing(self, state: State) -> bool:
        """Return whether the score is fitted: what follows is one message."""
        return GAMMA in state


@estimator(
    name="logrank_scored",
    opening=shapes_of_score(Logistic.opening),
    sums=_shapes(LogRank),
    most_rounds=MOST_ROUNDS + 1,
    publishable=False,
)
class LogRankScored(ScoredOnce):
    """The weighted log-rank test within sites, of arms that a score weighs.

    It is the robust score test of the weighted Cox model of the arms. What guards it
    is what guards the log-rank test and a model weighted by a score.

    Source:
        Xie & Liu (2005), Stat. Med. 24, 3089-3110; Hajage, Chauvet, Belin et al.
        (2018), Biom. J. 60(6), 1151-1163. Oracle:
        `tests/oracles/test_scored.py`.
    """

    model = LogRank
    meat = "variance"
    relies_on = (*RELIES, "hetao.analysis.logrank")

    @property
    def outputs(self) -> int:
        """Return how many scores a person has: one an arm."""
        return len(self.plan.groups)

    def _model_step(self, total: Message, mine: State, number: int) -> State | Finding:
        del mine, number
        total = {**total, self.meat: self._meat(total)}
        return self._model.step(total, None, 0)


@estimator(
    name="km_scored",
    opening=shapes_of_score(Logistic.opening),
    sums={**_shapes(KaplanMeier), **MOVES},
    most_rounds=MOST_ROUNDS + 1,
    publishable=False,
    own_cells=True,
)
class KaplanMeierScored(ScoredOnce):
    """Curves of arms that a propensity score weighs, and how far they lie apart.

    Beside the curves, up to a horizon, stand the arms' differences of survival and of
    restricted mean there. In each bin of the grid stand sums of weights and of the
    score's columns, which in a thin bin would tell who lies in it, so each bin of each
    site must reach the least cell: in events, and in people without.

    Source:
        Cole & Hernán (2004), Comput. Methods Programs Biomed. 75, 45-49; Conner et
        al. (2019), Stat. Med. 38, 3832-3860. Oracle:
        `tests/oracles/test_scored.py`.
    """

    model = KaplanMeier
    own: ClassVar[Shapes] = {**CLOSING, **MOVES}
    relies_on = (
        *RELIES,
        "hetao.analysis.curves",
        "hetao.analysis.km",
        "hetao.analysis.logrank",
        "hetao.analysis.weighted_curves",
    )

    @property
    def outputs(self) -> int:
        """Return how many scores a person of the curves has: none, cells tell all."""
        return 0

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds; a weight moves with the score by at most itself."""
        weight = heaviest(self.plan.analysis)
        return super().bounds(round_number) | dict.fromkeys(MOVES, (weight, None))

    def _closing(self, rows: Rows, state: State) -> Message:
        """Return the sums that close a model, and how the cells' weights move."""
        gamma, weighted = self._gamma(state), self._weigh(rows, state).rows
        slope = self._by_score(rows, state).slope.sum(axis=0)
        away = (rows.group == 1) - self._fitted(rows, gamma)
        of_cells = {
            "slopes": rows.Z * slope[:, None],
            "with_score": rows.Z * (weighted.weight * away)[:, None],
        }
        place = rows.group * len(self.plan.edges) + rows.bin
        assert isinstance(self._model, KaplanMeier)  # noqa: S101  as the class says
        by_cell = self._model.by_cell
        moves = {
            name: np.stack([by_cell(rows, place, x) for x in values.T], axis=3)
            for name, values in of_cells.items()
        }
        return super()._closing(rows, state) | moves

    def _model_step(self, total: Message, mine: State, number: int) -> State | Finding:
        del mine, number
        q = self._of_score.parameters
        information = unpacked(total["score_info"], q)
        spread = Spread(
            total["squared"],
            total["slopes"],
            total["with_score"],
            invert(information, self._of_score.names).matrix,
            unpacked(total["stacked"], q),
        )
        assert isinstance(self._model, KaplanMeier)  # noqa: S101  as the class says
        total = in_whole(total)
        found = self._model.finding(total, spread)
        contrasts = self._contrasts(found, total, spread)
        return replace(found, payload={**found.payload, **contrasts})

    def _contrasts(
        self, found: Finding, total: Message, spread: Spread
    ) -> dict[str, Any]:
        """Return the arms' differences at the horizon; none where a mean is not known.

        Raises:
            NotEstimable: nobody has the event before the horizon.
        """
        horizon, curves = self.plan.analysis.horizon, found.payload["curves"]
        if horizon is None or any(curve["rmst"] is None for curve in curves):
            return {}
        edges = np.asarray(self.plan.edges)
        values, influence = np.zeros((2, 2)), np.zeros((2, *spread.squares.shape))
        deaths, leaving = total["deaths"], total["leaving"]
        has_left = leaving[:, ::-1].cumsum(axis=1)[:, ::-1] > deaths
        for g in (0, 1):
            curve = WeightedCurve.of(total["weighted"][g], has_left[g])
            mean, of_mean = curve.mean(edges, horizon)
            values[g] = curve.survival_at(edges, horizon), mean
            of_survival = curve.survival_influence(edges, horizon)
            influence[0, g] = SIGN[g] * of_survival
            influence[1, g] = SIGN[g] * of_mean
        errors = np.sqrt(np.diag(spread.covariance(influence)))
        names = ("survival_difference", "rmst_difference")
        return {
            "contrasts": [
                contrast_term(name, of_arms @ SIGN, se)
                for name, of_arms, se in zip(names, values.T, errors, strict=True)
            ]
        }
