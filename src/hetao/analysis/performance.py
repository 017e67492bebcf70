"""How good predictions are: discrimination, calibration, overall error, net benefit.

The predictions are a published model's, or those of a model that is fitted first, in
the same analysis: to all sites, or for each site to the others. `measuring` says how
their performance is found.
"""

from dataclasses import replace
from typing import Any, Final

import numpy as np
from scipy.special import expit

from hetao.analysis.carriers import carriers, told
from hetao.analysis.doubt import working
from hetao.analysis.estimator import (
    Message,
    Shapes,
    State,
    estimator,
    own_state,
    packed,
    unpacked,
)
from hetao.analysis.evidence import Evidence
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.logistic import ETA, Logistic
from hetao.analysis.measuring import (
    HISTOGRAMS,
    MOMENTS,
    Measuring,
    begun,
)
from hetao.analysis.newton import (
    MOST_ROUNDS,
    Fit,
    Point,
    advance,
    model_payload,
)
from hetao.analysis.plan import Plan
from hetao.analysis.prediction import (
    APART,
    DISTINCT,
    FURTHEST,
    powers_of,
    predicted,
    published_of,
)
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable, WrongShape

MOST: Final = 2 * MOST_ROUNDS  # messages: a model's Newton, and calibration's
OPENING: Final[Shapes] = {
    "score": "models,p",
    "info": "models,sym(p)",
    "people": "models",
    "cases": "models",
    **MOMENTS,
    "events": 1,
    "n": 1,
}
SUMS: Final[Shapes] = {
    "score": "models,p",
    "info": "models,sym(p)",
    "fitted": "models",
    **MOMENTS,
    **HISTOGRAMS,
    "events": 1,
    "n": 1,
}


@estimator(
    name="performance",
    opening=OPENING,
    sums=SUMS,
    most_rounds=MOST,
    publishable=False,
)
class Performance(Measuring):
    """Performance of a published model, or the apparent one of a model fitted here.

    The area under the ROC curve is exact of binned predictions, with bounds between
    which that of the predictions themselves lies. Brier score, observed to expected
    events and the two calibration regressions are exact. Limits of the area, the Brier
    scores and the ratio are those of a mean over people who were drawn at random; of a
    model fitted to the same people they leave out that it was fitted to them.

    What guards it: people, events and non-events of each site; of a model fitted here,
    all that guards a logistic regression; of a published one, the leverage of a person
    in the calibration's line and in the mean prediction, and how few make either up. A
    site's own histograms are never publishable: over fewer sites than the minimum, thin
    bins are refused (rule 5). Outcomes are only counted between cuts with the study's
    least cell of people, or nobody, over all sites.

    Source:
        Steyerberg et al. (2010), Epidemiology 21, 128-138; Van Calster et al. (2019),
        BMC Medicine 17, 230. Oracle: `tests/oracles/test_performance.py`.
    """

    def __init__(self, plan: Plan) -> None:
        """Fit the estimator to a plan.

        Raises:
            InvalidStudy: the coefficients are not those of the design's columns, or
                add up to no probability.
        """
        self._published = published_of(plan)
        self._logistic = Logistic(plan)
        super().__init__(plan)

    @property
    def models(self) -> int:
        """Return how many models are fitted side by side."""
        return int(self._published is None)

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        return super().sizes() | {
            "models": self.models,
            "params": self.models * self.plan.parameters,
        }

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of a round: |x|, |y - mu|, p and the scaled logit <= 1."""
        count, signed = (1.0, 0.0), (1.0, None)
        bounds = self.measured_bounds(round_number)
        bounds |= {"score": signed, "info": signed, "events": count, "n": count}
        if round_number == 0:
            return bounds | {"people": count, "cases": count}
        return bounds | {"fitted": (ETA + 1, None)}

    # --- inside a site --------------------------------------------------------------
    def parts(self, rows: Rows) -> list[int]:
        """Return the models that the site's people are fitted in."""
        del rows
        return list(range(self.models))

    def own(self, rows: Rows) -> int:
        """Return the model that predicts the site's people."""
        del rows
        return 0

    def start(self, rows: Rows) -> Message:
        """Return what the models open with, or the first sums of a published one."""
        message = self.blank(rows.y, 0)
        if self._published is not None:
            z = self._logits(rows, {})
            return message | self.measured(rows.y, z, begun({}))
        for model in self.parts(rows):
            message["score"][model] = rows.X.T @ (rows.y - 0.5)
            message["info"][model] = packed(rows.X.T @ rows.X)
            message["people"][model] = rows.n
            message["cases"][model] = rows.y.sum()
        return message

    def local(self, rows: Rows, state: State) -> Message:
        """Return the models' sums at a state, or those of their predictions.

        What a round has no use for is 0, so that all rounds look alike.

        Raises:
            WrongShape: the state does not say where to compute.
        """
        message = self.blank(rows.y, 1)
        if self._is_measuring(state):
            y, z = rows.y, self._logits(rows, state)
            return message | self.measured(y, z, state) | self.counted(y, z, state)
        beta = self._beta(state)
        for model in self.parts(rows):
            eta = np.clip(rows.X @ beta[model], -ETA, ETA)
            mu = expit(eta)
            message["score"][model] = rows.X.T @ (rows.y - mu)
            message["info"][model] = packed((rows.X.T * (mu * (1 - mu))) @ rows.X)
            message["fitted"][model] = np.sum(rows.y * eta - np.logaddexp(0, eta))
        return message

    def weights(self, rows: Rows, state: State) -> Floats | None:
        """Return how much people weigh in each model they are fitted in, (k, n)."""
        if self._published is not None:
            return None
        beta = self._beta(state)[self.parts(rows)]
        return np.concatenate([working(rows.X @ one) for one in beta])

    def guarded(
        self, facts: Evidence, rows: Rows, state: State | None
    ) -> tuple[Evidence, bool]:
        """Return the facts; of a published model, about its predictions alone.

        Nothing of its columns leaves but the prediction that they add up to. That
        leaves as a logit, by which people may be spread widely, and as a probability,
        which may be 1 for one of them and 0 for all others: each is held to the
        leverage, and to how few make it up, as a column of a design is. Outcomes are
        summed with powers of it as well: where predictions take few values, no sum of
        all these may tell few people's outcomes from all others'.
        """
        if self._published is None or not rows.n:
            return facts, self.own_cells
        z = self._logits(rows, state or {})
        mu = expit(self.line_at(z, state or begun({})))
        alike, p = np.ones(rows.n), expit(FURTHEST * z)
        most = max(
            _leverage(z, alike), _leverage(z, mu * (1 - mu)), _leverage(p, alike)
        )
        few = min(
            carriers(np.column_stack([alike, shown]), rows.person) for shown in (z, p)
        )
        few = min(few, told(powers_of(z), rows.person, APART))
        line = replace(
            facts, parameters=2, smallest_side={}, carriers=few, max_leverage=most
        )
        return line, self.own_cells

    def bins(self, rows: Rows, state: State) -> dict[str, int]:
        """Return the people in the thinnest bin of the predictions that has any."""
        if not self._is_measuring(state):
            return {}
        return self.thinnest(rows.y, self._logits(rows, state), state)

    def _is_measuring(self, state: State) -> bool:
        return self._published is not None or "line" in state

    def _beta(self, state: State) -> Floats:
        beta, shape = state.get("beta"), (self.models, self.plan.parameters)
        if beta is None or beta.shape != (shape[0] * shape[1],):
            raise WrongShape("the state does not hold one coefficient a column")
        return beta.reshape(shape)

    def _logits(self, rows: Rows, state: State) -> Floats:
        """Return the logits of the site's predictions (n,), in units of FURTHEST."""
        if self._published is not None:
            return predicted(self.plan, rows, self._published)
        found = rows.X @ self._beta(state)[self.own(rows)]
        return np.asarray(np.clip(found, -FURTHEST, FURTHEST) / FURTHEST)

    # --- outside the sites ----------------------------------------------------------
    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return where to compute next, or the finding.

        Raises:
            NotEstimable: hardly anyone has the event or hardly anyone has not, columns
                determine each other, all predictions are the same, or they separate
                the outcome.
        """
        self.check_outcome(total)
        if state is None and self._published is None:
            return self._opening(total)
        if state is not None and not self._is_measuring(state):
            return self._fit(total, state, round_number)
        return self.measure(total, state or begun({}), round_number)

    def used(self, total: Message) -> list[int]:
        """Return the models that predict anybody's outcome."""
        del total
        return list(range(self.models))

    def _opening(self, total: Message) -> State:
        beta, state, used = np.zeros((self.models, self.plan.parameters)), {}, self.used
        for model in set(range(self.models)) - set(used(total)):
            state[f"model {model} done"] = np.zeros(1)
        for model in used(total):
            n, cases = float(total["people"][model]), float(total["cases"][model])
            if not 0 < cases < n:
                raise NotEstimable(
                    "everyone or no one of the people that a model is fitted to has "
                    f"the outcome {self.plan.analysis.outcome!r}",
                    fix="check the outcome's definition",
                )
            sums = {name: total[name][model] for name in ("score", "info")}
            beta[model] = self._logistic.discriminant(sums, n, cases)
        return {**state, "beta": beta.ravel()}

    def _fit(self, total: Message, state: State, round_number: int) -> State:
        """Return the state with each model a step further, or ready to be measured."""
        beta, is_done = self._beta(state).copy(), True
        after: State = {}
        for model in range(self.models):
            mine = own_state(state, f"model {model} ")
            if "done" not in mine:
                info = unpacked(total["info"][model], self.plan.parameters)
                fitted = float(total["fitted"][model])
                point = Point(total["score"][model], info, fitted)
                mine["beta"] = beta[model]
                moved = advance(point, mine, round_number, self.plan.names)
                if isinstance(moved, Fit):
                    beta[model] = moved.beta
                    mine = {"done": packed(moved.covariance)}
                else:
                    beta[model] = moved["beta"]
                    mine = {k: v for k, v in moved.items() if k != "beta"}
                    is_done = False
            after |= {f"model {model} {name}": array for name, array in mine.items()}
        after["beta"] = beta.ravel()
        return begun(after) if is_done else after

    @property
    def prediction(self) -> str:
        """Return whose predictions they are."""
        return "fitted to these people" if self._published is None else "published"

    def told(self, state: State) -> dict[str, Any]:
        """Return the coefficients of the model that was fitted; none of others."""
        if self._published is not None:
            return {"fitted": []}
        covariance = unpacked(state["model 0 done"], self.plan.parameters)
        fit = Fit(self._beta(state)[0], covariance, 0.0, 0, 1.0)
        return {"fitted": model_payload(self.plan, fit)["terms"]}


@estimator(
    name="performance_left_out",
    opening=OPENING,
    sums=SUMS,
    most_rounds=MOST,
    publishable=False,
)
class PerformanceLeftOut(Performance):
    """Performance of predictions for each site by the model of all other sites.

    Internal-external validation: as many models are fitted as there are sites, side by
    side. Two of their sums differ by one site's part, so that each site's own score and
    information can be told: the release is graded as one site's own part, 3, however
    many sites there are, and permit and policy must both allow it. What guards those
    parts is all that guards a site's own logistic regression.

    Source:
        Royston, Parmar and Sylvester (2004), Stat. Med. 23, 907-926; Steyerberg and
        Harrell (2016), J. Clin. Epidemiol. 69, 245-247. Oracle:
        `tests/oracles/test_performance.py`.
    """

    own_parts = True

    @property
    def models(self) -> int:
        """Return how many models are fitted side by side: one without each site."""
        return len(self.plan.sites)

    @property
    def prediction(self) -> str:
        """Return whose predictions they are."""
        return "each site by the others"

    def own(self, rows: Rows) -> int:
        """Return the model that predicts the site's people: the one without them."""
        return self.plan.sites.index(rows.site)

    def parts(self, rows: Rows) -> list[int]:
        """Return the models that the site's people are fitted in: the others."""
        return [m for m in range(self.models) if m != self.own(rows)]

    def used(self, total: Message) -> list[int]:
        """Return the models that predict anybody: those without a site that has any."""
        n = float(total["n"][0])
        return [m for m in range(self.models) if total["people"][m] < n]

    def told(self, state: State) -> dict[str, Any]:
        """Return nothing beside: there are as many models as sites."""
        del state
        return {"fitted": []}


def _leverage(z: Floats, weights: Floats) -> float:
    """Return the largest share of a weighted line's fitted value that one decides."""
    total = float(weights.sum())
    if not total > 0:
        return 1.0
    away = z - float(weights @ z) / total
    spread = float(weights @ away**2)
    share = away**2 / spread if spread > DISTINCT**2 * min(1.0, total) else 0.0
    return min(1.0, float(np.max(weights * (1 / total + share))))
