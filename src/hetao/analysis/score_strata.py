"""Cox regression within strata of a propensity score fitted in the same analysis.

The score's Newton rounds come first. One message more brings the histogram of the
fitted score over equal public bins, from whose sum the strata's ends follow, the same
at every site; then the model runs as it always does, its risk sets within a site and
a stratum, and each message also brings what the strata hold.
"""

from dataclasses import replace
from typing import Any, Final

import numpy as np

from hetao.analysis.contrasts import contrast_term
from hetao.analysis.cox import Cox
from hetao.analysis.estimator import (
    Message,
    State,
    estimator,
    sum_by,
    unpacked,
)
from hetao.analysis.evidence import Evidence
from hetao.analysis.expressions import Floats, Ints
from hetao.analysis.finding import Finding
from hetao.analysis.logistic import Logistic
from hetao.analysis.newton import Fit, invert, model_payload
from hetao.analysis.plan import Plan
from hetao.analysis.rates import ratio_terms
from hetao.analysis.rows import Rows
from hetao.analysis.scored import (
    BEGUN,
    DONE,
    GAMMA,
    MOST,
    RELIES,
    Scored,
    Weighed,
    shapes_of_score,
)
from hetao.analysis.strata import balance_within
from hetao.analysis.weighting import BINS, CUTS, bin_of, cuts_of, stratum_of
from hetao.errors import NotEstimable

OF_STRATA: Final[dict[str, str | int]] = {
    "histogram": BINS,
    "cells": "groups,subclasses,3",
    "columns": "groups,subclasses,q",
    "squares": "groups,q",
    "ratio": 3,
}


@estimator(
    name="cox_score_strata",
    opening=shapes_of_score(Logistic.opening),
    sums={**shapes_of_score(Logistic.sums), **Cox.sums, **OF_STRATA},
    most_rounds=MOST + 1,
    publishable=False,
)
class CoxScoreStrata(Scored):
    """Cox regression stratified by site, further strata and strata of the score.

    Strata hold equally many people, to the width of a bin. Beside the model stands the
    rate ratio of Mantel and Haenszel over the same strata of every site. Variances take
    the score and its strata as given, as is usual. A stratum's cells, and the bins of
    the score, may be small: they leave within a sum over enough sites only. What else
    guards them is what guards the model, and the score's design within either arm.

    Source:
        Rosenbaum & Rubin (1984), JASA 79, 516-524; Austin (2013), Stat. Med. 32(16),
        2837-2849; Greenland & Robins (1985), Biometrics 41, 55-68. Oracle:
        `tests/oracles/test_scored.py`.
    """

    model = Cox
    own = OF_STRATA
    relies_on = (*RELIES, "hetao.analysis.rates", "hetao.analysis.strata")

    def _inner(self, plan: Plan) -> Plan:
        return replace(plan, score=None)

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        return super().sizes() | {"subclasses": self.plan.subclasses}

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of what a message adds to the score's and the model's."""
        del round_number
        low, high = self.plan.variable(self.plan.analysis.time).bounds or (0.0, 1.0)
        return {
            "histogram": (1.0, 0.0),
            "cells": (max(low, high, 1.0), 0.0),
            "columns": (1.0, None),
            "squares": (1.0, 0.0),
            "ratio": (1.0, 0.0),
        }

    # --- inside a site --------------------------------------------------------------
    def is_closing(self, state: State) -> bool:
        """Return whether the strata are known: each message then tells of them."""
        return CUTS in state

    def _model_message(self, rows: Rows, state: State) -> Message:
        if CUTS not in state:
            return {"histogram": sum_by(self._bin(rows, state), BINS)}
        return super()._model_message(rows, state)

    def weights(self, rows: Rows, state: State) -> Floats | None:
        """Return how much people weigh in the model, (k, n); None before it begins."""
        return super().weights(rows, state) if CUTS in state else None

    def _guarded_by_weights(
        self, facts: Evidence, rows: Rows, state: State
    ) -> Evidence:
        del rows, state
        return facts

    def bins(self, rows: Rows, state: State) -> dict[str, int]:
        """Return the thinnest bin of the score, or the smallest cell of a stratum."""
        if GAMMA not in state:
            return {}
        if CUTS not in state:
            counts = np.bincount(self._bin(rows, state), minlength=BINS)
            least = counts[counts > 0].min(initial=rows.n)
            return {"people in the thinnest bin of the score": int(least)}
        people, events, _ = np.moveaxis(self._cells(rows, state), 2, 0)
        return {
            "people in the smallest cell of a stratum": int(people.min()),
            "people with the event in a cell": int(events.min()),
        }

    def _bin(self, rows: Rows, state: State) -> Ints:
        return bin_of(self._fitted(rows, self._gamma(state)))

    def _weighted(self, rows: Rows, asked: State) -> Weighed:
        """Return the rows, their strata those of the score within the model's own."""
        size = self.plan.subclasses
        of_score = stratum_of(self._bin(rows, asked), asked[CUTS], size)
        stratified = replace(rows, stratum=rows.stratum * size + of_score)
        return Weighed(stratified, np.arange(rows.n))

    def _cells(self, rows: Rows, state: State) -> Floats:
        """Return (groups, strata, 3): people, events and time in each cell."""
        size = self.plan.subclasses
        of_score = self._weigh(rows, state).rows.stratum % size
        place = rows.group * size + of_score
        of = [sum_by(place, 2 * size, v) for v in (None, rows.event, rows.time)]
        return np.stack(of, axis=1).reshape(2, size, 3)

    def _closing(self, rows: Rows, state: State) -> Message:
        size, Z = self.plan.subclasses, rows.Z
        stratum = self._weigh(rows, state).rows.stratum
        cell = rows.group * size + stratum % size
        sums = [sum_by(cell, 2 * size, column) for column in Z.T]
        arms = np.stack([rows.group == arm for arm in (0, 1)]).astype(np.float64)
        many = int(stratum.max(initial=0)) + 1
        place = rows.group * many + stratum
        events, time = (
            sum_by(place, 2 * many, v).reshape(2, many) for v in (rows.event, rows.time)
        )
        return {
            "cells": self._cells(rows, state),
            "columns": np.stack(sums, axis=1).reshape(2, size, -1),
            "squares": arms @ (Z * Z),
            "ratio": ratio_terms(events, time)[1],
        }

    # --- outside the sites ----------------------------------------------------------
    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the next state of the score, the strata, or the model's next step.

        Raises:
            NotEstimable: as of the score and of the model; scores are too alike for so
                many strata.
        """
        if state is not None and GAMMA in state and CUTS not in state:
            cuts = cuts_of(total["histogram"], self.plan.subclasses)
            begun = np.array([round_number + 1.0])
            kept = {name: state[name] for name in (GAMMA, DONE)}
            return {**kept, CUTS: cuts, BEGUN: begun}
        return super().step(total, state, round_number)

    def _model_step(self, total: Message, mine: State, number: int) -> State | Finding:
        return self._model.step(total, mine or None, number)

    def _finding(
        self, found: Finding, total: Message, state: State, round_number: int
    ) -> Finding:
        q = self._of_score.parameters
        loglik, condition = state[DONE].tolist()
        inverse = invert(unpacked(total["score_info"], q), self._of_score.names)
        fit = Fit(state[GAMMA], inverse.matrix, loglik, 0, condition)
        people, events, time = np.moveaxis(total["cells"], 2, 0)
        people, events = np.rint(people), np.rint(events)
        both = np.where(people.min(axis=0) > 0, people.sum(axis=0), 0.0)
        if not both.any():
            raise NotEstimable(
                "the arms are together in no stratum of the score",
                fix="take fewer strata, or restrict the population",
            )
        cells = np.vstack([people, both / both.sum()])
        sums, squares = total["columns"], total["squares"]
        ends = [0.0, *(state[CUTS] / BINS).tolist(), 1.0]
        payload: dict[str, Any] = {
            **found.payload,
            "contrasts": _rate_ratio(total["ratio"]),
            "score": model_payload(self._of_score, fit)["terms"],
            "arms": [
                {
                    "arm": label,
                    "n": round(float(people[arm].sum())),
                    "events": round(float(events[arm].sum())),
                    "ess": None,
                }
                for arm, label in enumerate(self.plan.groups)
            ],
            "strata": [
                {
                    "from": ends[i],
                    "to": ends[i + 1],
                    "n": [round(float(v)) for v in people[:, i]],
                    "events": [round(float(v)) for v in events[:, i]],
                    "time": [float(v) for v in time[:, i]],
                }
                for i in range(people.shape[1])
            ],
            "balance": balance_within(self._of_score.columns, sums, squares, cells),
            "overlap": [],
            "rounds": round_number + 1,
            "condition": max(condition, found.payload["condition"]),
        }
        return Finding(self.plan.analysis.name, self.name, payload)


def _rate_ratio(terms: Floats) -> list[dict[str, Any]]:
    """Return the log of Mantel and Haenszel's rate ratio; none if undefined."""
    treated, others, square = terms.tolist()
    if not (treated > 0 and others > 0):
        return []
    ratio, se = np.log(treated / others), np.sqrt(square / (treated * others))
    return [contrast_term("mantel_haenszel_rate_ratio", ratio, se)]
