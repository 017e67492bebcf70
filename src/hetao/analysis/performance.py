"""How good predictions are: discrimination, calibration, overall error, net benefit.

The predictions are a published model's, or those of a model that is fitted first, in
the same analysis: to all sites, or for each site to the others. Then two rounds cut the
predictions, first finely and without the outcome, then where enough people lie between
two cuts, by outcome; beside them run the rounds of the calibration's two regressions.
"""

from dataclasses import replace
from typing import Any, Final

import numpy as np
from scipy.special import expit

from hetao.analysis.discrimination import (
    FINE,
    auc_of,
    cuts_of,
    fine_edges,
    groups_of,
    places,
    roc_of,
    threshold_of,
)
from hetao.analysis.estimator import (
    Estimator,
    Message,
    Shapes,
    State,
    estimator,
    packed,
    sum_by,
    unpacked,
)
from hetao.analysis.evidence import Evidence
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.logistic import ETA, Logistic
from hetao.analysis.measures import measures_of
from hetao.analysis.newton import (
    MOST_ROUNDS,
    Fit,
    Point,
    advance,
    model_payload,
)
from hetao.analysis.plan import Plan
from hetao.analysis.prediction import FURTHEST, logit_of, published_of
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable, WrongShape
from hetao.study import Minimum

MOST: Final = 2 * MOST_ROUNDS  # messages: a model's Newton, and calibration's
LINE: Final = ("calibration intercept", "calibration slope")
OPENING: Final[Shapes] = {
    "score": "models,p",
    "info": "models,sym(p)",
    "people": "models",
    "cases": "models",
    "moments": 8,
    "line": 5,
    "level": 2,
    "loglik": 3,
    "events": 1,
    "n": 1,
}
SUMS: Final[Shapes] = {
    "score": "models,p",
    "info": "models,sym(p)",
    "fitted": "models",
    "moments": 8,
    "line": 5,
    "level": 2,
    "loglik": 3,
    "fine": "bins",
    "by_outcome": "2,bins",
    "predicted": "bins",
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
class Performance(Estimator):
    """Performance of a published model, or the apparent one of a model fitted here.

    The area under the ROC curve is exact of binned predictions, with bounds between
    which that of the predictions themselves lies. Brier score, observed to expected
    events and the two calibration regressions are exact. Limits of the area, the Brier
    scores and the ratio are those of a mean over people who were drawn at random; of a
    model fitted to the same people they leave out that it was fitted to them.

    What guards it: people, events and non-events of each site; of a model fitted here,
    all that guards a logistic regression; of a published one, the leverage of a person
    in the calibration's line. A site's own histograms are never publishable: over fewer
    sites than the minimum, thin bins are refused (rule 5). Outcomes are only counted
    between cuts with the study's least cell of people, or nobody, over all sites.

    KNOWN GAP: whoever carries out the rounds sees, of all sites together, how many
    people lie in each of about a thousand fine bins of prediction, their outcomes left
    out; and how many have the event between two cuts that enough people lie between.

    Source:
        Steyerberg et al. (2010), Epidemiology 21, 128-138; Van Calster et al. (2019),
        BMC Medicine 17, 230. Oracle: `tests/oracles/test_performance.py`.
    """

    relies_on = (
        "hetao.analysis.discrimination",
        "hetao.analysis.logistic",
        "hetao.analysis.measures",
        "hetao.analysis.newton",
        "hetao.analysis.prediction",
    )

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
            "bins": FINE + len(self.plan.analysis.thresholds),
        }

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of a round: |x|, |y - mu|, p and the scaled logit <= 1."""
        count, signed = (1.0, 0.0), (1.0, None)
        bounds: dict[str, tuple[float, float | None]] = {
            "score": signed,
            "info": signed,
            "moments": signed,
            "line": signed,
            "level": signed,
            "loglik": (ETA + 1, None),
            "events": count,
            "n": count,
        }
        if round_number == 0:
            return bounds | {"people": count, "cases": count}
        more = dict.fromkeys(("fine", "by_outcome", "predicted"), count)
        return bounds | {"fitted": (ETA + 1, None)} | more

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
        message = self._blank(rows, 0)
        if self._published is not None:
            return message | self._measured(rows, _begun({}))
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
        message = self._blank(rows, 1)
        if self._is_measuring(state):
            message |= self._measured(rows, state)
            return message | self._counted(rows, state)
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
        mu = expit(np.clip(beta @ rows.X.T, -ETA, ETA))
        return np.asarray(mu * (1 - mu))

    def guarded(
        self, facts: Evidence, rows: Rows, state: State | None
    ) -> tuple[Evidence, bool]:
        """Return the facts; of a published model, about the line of calibration.

        Nothing of its columns leaves but the prediction that they add up to.
        """
        if self._published is None or not rows.n:
            return facts, self.own_cells
        z = self._logits(rows, state or {})
        mu = expit(self._line_at(z, state or _begun({})))
        most = max(_leverage(z, np.ones(rows.n)), _leverage(z, mu * (1 - mu)))
        line = replace(facts, parameters=2, smallest_side={}, max_leverage=most)
        return line, self.own_cells

    def bins(self, rows: Rows, state: State) -> dict[str, int]:
        """Return the people in the thinnest bin of the predictions that has any."""
        if not self._is_measuring(state):
            return {}
        message = self._counted(rows, state)
        counts = np.concatenate([message["fine"], message["by_outcome"].ravel()])
        least = counts[counts > 0].min(initial=rows.n)
        return {"people in the thinnest bin of the prediction": int(least)}

    def _blank(self, rows: Rows, number: int) -> Message:
        message = {name: np.zeros(s.shape) for name, s in self.declare(number).items()}
        message["events"] = np.array([rows.y.sum()])
        message["n"] = np.array([float(rows.n)])
        return message

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
            found = logit_of(rows.X @ self._published, self.plan.analysis.link)
        else:
            found = rows.X @ self._beta(state)[self.own(rows)]
        return np.asarray(np.clip(found, -FURTHEST, FURTHEST) / FURTHEST)

    def _line_at(self, z: Floats, state: State) -> Floats:
        line, level = state.get("line"), state.get("level")
        if line is None or line.shape != (2,) or level is None or level.shape != (1,):
            raise WrongShape("the state does not hold a line and a level")
        return np.asarray(np.clip(line[0] + line[1] * z, -ETA, ETA))

    def _measured(self, rows: Rows, state: State) -> Message:
        """Return moments of the predictions, and both calibrations' sums at a state."""
        y, z = rows.y, self._logits(rows, state)
        p, eta = expit(FURTHEST * z), self._line_at(z, state)
        lifted = np.clip(state["level"][0] + FURTHEST * z, -ETA, ETA)
        mu, level = expit(eta), expit(lifted)
        error, spread = (p - y) ** 2, mu * (1 - mu)
        moments = (z, z * z, p, p * p, p * y, error, error**2, error * y)
        line = (y - mu, z * (y - mu), spread, spread * z, spread * z * z)
        at = [eta, lifted, FURTHEST * z]
        return {
            "moments": np.array([m.sum() for m in moments]),
            "line": np.array([s.sum() for s in line]),
            "level": np.array([(y - level).sum(), (level * (1 - level)).sum()]),
            "loglik": np.array([np.sum(y * e - np.logaddexp(0, e)) for e in at]),
        }

    def _counted(self, rows: Rows, state: State) -> Message:
        """Return the histograms that the state's edges and cuts ask for."""
        size = self.sizes()["bins"]
        for name in ("edges", "cuts"):
            if name in state and state[name].shape != (size - 1,):
                raise WrongShape("the state does not cut the predictions")
        p = expit(FURTHEST * self._logits(rows, state))
        fine, by_outcome, sums = np.zeros(size), np.zeros((2, size)), np.zeros(size)
        if "cuts" in state:
            place = places(state["cuts"], p)
            cases = sum_by(place, size, rows.y)
            by_outcome = np.stack([sum_by(place, size) - cases, cases])
            sums = sum_by(place, size, p)
        elif "edges" in state:
            fine = sum_by(places(state["edges"], p), size)
        return {"fine": fine, "by_outcome": by_outcome, "predicted": sums}

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
        n, events = float(total["n"][0]), float(np.rint(total["events"][0]))
        if min(events, n - events) < 2:
            raise NotEstimable(
                f"everyone or no one has the outcome {self.plan.analysis.outcome!r}",
                fix="check the outcome's definition",
            )
        if state is None and self._published is None:
            return self._opening(total)
        if state is not None and not self._is_measuring(state):
            return self._fit(total, state, round_number)
        return self._measure(total, state or _begun({}), round_number)

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
            mine = _own_state(state, f"model {model} ")
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
        return _begun(after) if is_done else after

    def _measure(
        self, total: Message, state: State, round_number: int
    ) -> State | Finding:
        """Return both calibrations a step further and the next cuts, or the finding."""
        after = {k: v for k, v in state.items() if not k.startswith(("line", "level"))}
        after["since"] = state["since"] + 1
        line = unpacked(total["line"][2:], 2), total["line"][:2]
        level = total["level"][1:].reshape(1, 1), total["level"][:1]
        for name, (info, score), names, place in (
            ("line", line, LINE, 0),
            ("level", level, ("calibration in the large",), 1),
        ):
            mine = _own_state(state, f"{name} ") | {"beta": state[name]}
            if "done" not in mine:
                point = Point(score, info, float(total["loglik"][place]))
                moved = advance(point, mine, int(state["since"][0]), names)
                if isinstance(moved, Fit):
                    moved = {"beta": moved.beta, "done": packed(moved.covariance)}
                mine = moved
            after[name] = mine.pop("beta")
            after |= {f"{name} {key}": array for key, array in mine.items()}
        analysis = self.plan.analysis
        if "cuts" in state:
            if "line done" in after and "level done" in after:
                return self._finding(total, after, round_number)
        elif "edges" in state:
            least = (self.plan.minimum or Minimum()).cell
            counts = np.rint(total["fine"])
            after["cuts"] = cuts_of(counts, state["edges"], analysis.thresholds, least)
        else:
            n, (first, second) = float(total["n"][0]), total["moments"][:2].tolist()
            mean = first / n
            sd = float(np.sqrt(max(second / n - mean**2, 0.0)))
            edges = fine_edges(FURTHEST * mean, FURTHEST * sd, analysis.thresholds)
            after["edges"] = edges
        return after

    def _finding(self, total: Message, state: State, round_number: int) -> Finding:
        def whole(counts: Floats) -> list[int]:
            return [round(count) for count in counts.tolist()]

        analysis = self.plan.analysis
        controls, cases = np.rint(total["by_outcome"])
        n1, n0 = float(cases.sum()), float(controls.sum())
        auc, cuts = auc_of(cases, controls), state["cuts"]
        roc = roc_of(cuts, cases, controls)
        at = {one["cut"]: (one["tp"], one["fp"]) for one in roc}
        payload: dict[str, Any] = {
            "model": "performance",
            "prediction": self.prediction,
            "terms": measures_of(auc, total, state),
            "auc": auc,
            "roc": roc,
            "thresholds": [
                threshold_of(cut, at.get(cut), (n1, n0)) for cut in analysis.thresholds
            ],
            "calibration": groups_of(
                cuts, cases + controls, cases, total["predicted"], analysis.groups
            ),
            "fitted": self._fitted(state),
            "bins": {"cases": whole(cases), "controls": whole(controls)},
            "loglik": float(total["loglik"][2]),
            "rounds": round_number + 1,
            "converged": True,
            "n": round(n1 + n0),
            "events": round(n1),
        }
        return Finding(analysis.name, self.name, payload)

    @property
    def prediction(self) -> str:
        """Return whose predictions they are."""
        return "fitted to these people" if self._published is None else "published"

    def _fitted(self, state: State) -> list[dict[str, Any]]:
        """Return the coefficients of the model that was fitted; none of others."""
        if self._published is not None:
            return []
        covariance = unpacked(state["model 0 done"], self.plan.parameters)
        fit = Fit(self._beta(state)[0], covariance, 0.0, 0, 1.0)
        found: list[dict[str, Any]] = model_payload(self.plan, fit)["terms"]
        return found


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

    def _fitted(self, state: State) -> list[dict[str, Any]]:
        del state
        return []


def _begun(state: State) -> State:
    """Return the state with the calibrations at their opening: no correction."""
    opening = {"line": [0.0, FURTHEST], "level": [0.0], "since": [0.0]}
    return {**state, **{name: np.array(value) for name, value in opening.items()}}


def _own_state(state: State, prefix: str) -> State:
    return {
        name.removeprefix(prefix): array
        for name, array in state.items()
        if name.startswith(prefix)
    }


def _leverage(z: Floats, weights: Floats) -> float:
    """Return the largest share of a weighted line's fitted value that one decides."""
    total = float(weights.sum())
    if not total > 0:
        return 1.0
    away = z - float(weights @ z) / total
    spread = float(weights @ away**2)
    share = away**2 / spread if spread > 1e-18 * total else 0.0
    return min(1.0, float(np.max(weights * (1 / total + share))))
