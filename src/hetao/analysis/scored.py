"""Models whose people are weighted by a propensity score, fitted in the same analysis.

The score's Newton rounds come first; then the outcome's model runs as it always does,
each person weighted by the score's fitted value, which stays inside the site. One
closing message brings, beside the sums of a robust variance, those that say how the
model's score moves with the score's coefficients. So the variance counts the
estimation of the weights: it is the sandwich of both sets of equations, stacked.
"""

from dataclasses import replace
from typing import Any, ClassVar, Final

import numpy as np
from scipy.special import expit

from hetao.analysis.contrasts import balance_of
from hetao.analysis.cox import Cox
from hetao.analysis.estimator import (
    Estimator,
    Message,
    Shapes,
    State,
    Sum,
    estimator,
    packed,
    unpacked,
)
from hetao.analysis.evidence import Evidence, scored
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.linear import Linear
from hetao.analysis.logistic import ETA, Logistic
from hetao.analysis.newton import (
    LAST,
    MOST_ROUNDS,
    Fit,
    Point,
    advance,
    invert,
    model_payload,
)
from hetao.analysis.plan import Plan
from hetao.analysis.poisson import Poisson
from hetao.analysis.rows import Rows
from hetao.analysis.weighting import (
    Weights,
    heaviest,
    overlap,
    weights_by_score,
)
from hetao.errors import NotEstimable, WrongShape

MOST = 2 * MOST_ROUNDS  # messages: of the score, of the model, the closing one within
BY_SCORE = "propensity score"
GAMMA, DONE, BEGUN = "gamma", "gamma done", "begun"  # of a state with a fitted score
RELIES = (
    "hetao.analysis.contrasts",
    "hetao.analysis.cox",
    "hetao.analysis.linear",
    "hetao.analysis.logistic",
    "hetao.analysis.newton",
    "hetao.analysis.poisson",
    "hetao.analysis.weighting",
)
CLOSING: Final = {
    "people": "groups",
    "happened": "groups",
    "weights": "groups,2",
    "columns": "groups,q,3",
    "overlap": "groups,bins",
    "cross": "q,p",
    "stacked": "sym(q+p)",
}


def _of_score(shapes: Shapes) -> dict[str, str | int]:
    """Return the shapes of the score's regression, of q columns."""
    return {f"score_{n}": str(shape).replace("p", "q") for n, shape in shapes.items()}


def _shapes(model: type[Estimator]) -> Shapes:
    """Return what a message holds of the score, the model's opening and the model."""
    of_score = _of_score(Logistic.sums)
    first = {f"first_{name}": shape for name, shape in model.opening.items()}
    return {**of_score, **first, **model.sums, **CLOSING}


class Scored(Estimator):
    """A model weighted by a propensity score; which model, the subclass says.

    A site's own message is not publishable: the arms' cells, and the bins of the
    score's histogram where one is asked for, may be small. What guards it: the rules
    for a model's columns, events, parameters and leverage, in the score's design
    within either arm too, and a person's share of an arm's weight.

    Source:
        Hajage, Chauvet, Belin et al. (2018), Biom. J. 60(6), 1151-1163; Shu, Young,
        Toh & Wang (2021), Biometrics 77(1), 125-137. Oracle:
        `tests/oracles/test_scored.py`.
    """

    model: ClassVar[type[Estimator]]
    closes: ClassVar[str] = LAST  # what marks the model's state of the closing round
    relies_on = RELIES

    def __init__(self, plan: Plan) -> None:
        """Fit the estimator to a plan with a score."""
        assert plan.score is not None  # noqa: S101  the registry asks of one with it
        analysis = replace(plan.analysis, weights=BY_SCORE, variance="robust")
        most = heaviest(plan.analysis)
        inner = replace(plan, analysis=analysis, most_weight=most, score=None)
        self._of_score, self._model = plan.score, self.model(inner)
        self._score = Logistic(plan.score)
        self._weighted: tuple[Rows, Floats, Rows] | None = None
        super().__init__(plan)

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        q, p = self._of_score.parameters, self.plan.parameters
        return super().sizes() | {
            "q": q,
            "sym(q+p)": (q + p) * (q + p + 1) // 2,
            "bins": self.plan.analysis.overlap_bins,
        }

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of what a closing message adds to the model's.

        A weight moves with the logit of the score by no more than itself, so the
        cross products obey the bound of the residuals that they are made with.
        """
        del round_number
        weight = max(heaviest(self.plan.analysis), 1.0)
        meat = max(self._model.declare(1)["meat"].per_person, 1.0)
        return {
            "people": (1.0, 0.0),
            "happened": (1.0, 0.0),
            "weights": (weight**2, 0.0),
            "columns": (weight, None),
            "overlap": (1.0, 0.0),
            "cross": (meat, None),
            "stacked": (meat, None),
        }

    def declare(self, round_number: int) -> dict[str, Sum]:
        """Return what a site sends; all rounds but the opening look alike."""
        if round_number == 0:
            return _prefixed("score", self._score.declare(0))
        return {
            **_prefixed("score", self._score.declare(1)),
            **_prefixed("first", self._model.declare(0)),
            **self._model.declare(1),
            **self.declared(CLOSING, self.bounds(round_number)),
        }

    # --- inside a site --------------------------------------------------------------
    def start(self, rows: Rows) -> Message:
        """Return the opening of the score's regression."""
        return _prefixed("score", self._score.start(self._score_rows(rows)))

    def local(self, rows: Rows, state: State) -> Message:
        """Return the sums of the stage that a state is of; the rest of it is 0.

        Raises:
            NotEstimable: a person would weigh more than anyone may, or as of the model.
        """
        message = {name: np.zeros(s.shape) for name, s in self.declare(1).items()}
        gamma = self._gamma(state)
        of_score = self._score.local(self._score_rows(rows), {"beta": gamma})
        if GAMMA not in state:
            return message | _prefixed("score", of_score)
        weighted, mine = self._weigh(rows, gamma), _of_model(state)
        if not mine:
            return message | _prefixed("first", self._model.start(weighted))
        message |= self._model.local(weighted, mine)
        if self.closes in mine:
            message["score_info"] = of_score["info"]
            message |= self._closing(rows, gamma, mine)
        return message

    def weights(self, rows: Rows, state: State) -> Floats | None:
        """Return how much people weigh in the model, (k, n); None before it begins."""
        if GAMMA not in state:
            return None
        weighted, mine = self._weigh(rows, self._gamma(state)), _of_model(state)
        found = self._model.weights(weighted, mine) if mine else None
        w = weighted.weight
        if found is None:
            return w
        each = found if isinstance(found, np.ndarray) else np.array(list(found))
        return np.vstack([w, np.atleast_2d(each) * w])

    def guarded(
        self, facts: Evidence, rows: Rows, state: State | None
    ) -> tuple[Evidence, bool]:
        """Return the facts with the leverage in the score and among the weights."""
        design = scored(facts, self.plan, rows, np.ones(rows.n)) if rows.n else facts
        if state is None or not rows.n:
            return design, self.own_cells
        gamma = self._gamma(state)
        e = self._fitted(rows, gamma)
        facts = scored(design, self.plan, rows, e * (1 - e))
        if GAMMA in state and facts.max_leverage is not None:
            of = self._by_score(rows, gamma).of
            share = (of.max(axis=1) / np.maximum(of.sum(axis=1), 1e-300)).max()
            most = min(1.0, max(facts.max_leverage, float(share)))
            facts = replace(facts, max_leverage=most)
        return facts, self.own_cells

    def bins(self, rows: Rows, state: State) -> dict[str, int]:
        """Return the people in the thinnest bin of the score's histogram."""
        bins = self.plan.analysis.overlap_bins
        if self.closes not in state or not bins:
            return {}
        counts = overlap(rows.group, self._fitted(rows, self._gamma(state)), bins)
        least = counts[counts > 0].min(initial=rows.n)
        return {"people in the thinnest bin of the score": int(least)}

    def _gamma(self, state: State) -> Floats:
        """Return the score's coefficients (q,) that a state asks for.

        Raises:
            WrongShape: the state holds none, or not one a column.
        """
        gamma = state.get(GAMMA, state.get("score beta"))
        if gamma is None or gamma.shape != (self._of_score.parameters,):
            raise WrongShape("the state does not hold one coefficient a column")
        return gamma

    def _score_rows(self, rows: Rows) -> Rows:
        """Return the rows as the score's regression sees them."""
        treated = (rows.group == 1).astype(np.float64)
        ones, none = np.ones(rows.n), np.zeros(rows.n)
        return Rows(rows.site, rows.n, rows.Z, y=treated, weight=ones, offset=none)

    def _fitted(self, rows: Rows, gamma: Floats) -> Floats:
        return np.asarray(expit(np.clip(rows.Z @ gamma, -ETA, ETA)))

    def _by_score(self, rows: Rows, gamma: Floats) -> Weights:
        e = self._fitted(rows, gamma)
        return weights_by_score(self.plan.analysis, rows.group, e)

    def _weigh(self, rows: Rows, gamma: Floats) -> Rows:
        """Return the rows weighted; the same object as long as the score stays."""
        kept = self._weighted
        if kept is None or kept[0] is not rows or not np.array_equal(kept[1], gamma):
            of = self._by_score(rows, gamma).of.sum(axis=0)
            # Fixed point cannot hold less, and no model can divide by nothing.
            weighted = replace(rows, weight=np.maximum(of, 1e-300))
            kept = self._weighted = rows, gamma, weighted
        return kept[2]

    def _closing(self, rows: Rows, gamma: Floats, mine: State) -> Message:
        """Return the sums of the stacked scores, and of the arms' balance."""
        Z, e, by_score = rows.Z, self._fitted(rows, gamma), self._by_score(rows, gamma)
        weighted = self._weigh(rows, gamma)
        u = self._model.scores(weighted, mine)
        moves = by_score.slope.sum(axis=0) / weighted.weight
        stacked = np.column_stack([Z * ((rows.group == 1) - e)[:, None], u])
        arms = np.stack([rows.group == arm for arm in (0, 1)]).astype(np.float64)
        of, bins = by_score.of, self.plan.analysis.overlap_bins
        return {
            "people": arms.sum(axis=1),
            "happened": arms @ self._events(rows),
            "weights": np.stack([of.sum(axis=1), (of * of).sum(axis=1)], axis=1),
            "columns": np.stack([arms @ Z, arms @ (Z * Z), of @ Z], axis=2),
            "overlap": overlap(rows.group, e, bins),
            "cross": Z.T @ (moves[:, None] * u),
            "stacked": packed(stacked.T @ stacked),
        }

    def _events(self, rows: Rows) -> Floats:
        if self.plan.is_binary:
            return rows.y
        return rows.event if self.plan.method.has_times else np.zeros(rows.n)

    # --- outside the sites ----------------------------------------------------------
    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the next state of the score, then of the model, then the finding.

        Raises:
            NotEstimable: an arm has nobody, columns separate the arms, or as of the
                model.
        """
        if state is None or GAMMA not in state:
            return self._score_step(total, state, round_number)
        mine, number = _of_model(state), round_number - int(state[BEGUN][0])
        kept = {name: state[name] for name in (GAMMA, DONE, BEGUN)}
        if not mine:
            found = self._model.step(_stripped("first", total), None, 0)
        else:
            if self.closes in mine:
                total = {**total, "meat": self._meat(total)}
            found = self._model.step(total, mine, number)
        if isinstance(found, Finding):
            return self._finding(found, total, state, round_number)
        return kept | found

    def _score_step(
        self, total: Message, state: State | None, round_number: int
    ) -> State:
        mine = _stripped("score", total)
        try:
            if state is None:
                opened = self._score.step(mine, None, 0)
                assert not isinstance(opened, Finding)  # noqa: S101  it never is
                return {"score beta": opened["beta"]}
            info = unpacked(mine["info"], self._of_score.parameters)
            point = Point(mine["score"], info, float(mine["loglik"][0]))
            before = {name.removeprefix("score "): a for name, a in state.items()}
            moved = advance(point, before, round_number, self._of_score.names)
        except NotEstimable as problem:
            said = f"the propensity score: {problem.what}"
            raise NotEstimable(said, fix=problem.fix) from problem
        if not isinstance(moved, Fit):
            return {f"score {name}": array for name, array in moved.items()}
        done = np.array([moved.loglik, moved.condition])
        return {GAMMA: moved.beta, DONE: done, BEGUN: np.array([round_number + 1.0])}

    def _meat(self, total: Message) -> Floats:
        """Return the model's packed meat (p, p), the score's estimation counted."""
        q, p = self._of_score.parameters, self.plan.parameters
        stacked = unpacked(total["stacked"], q + p)
        bread = invert(unpacked(total["score_info"], q), self._of_score.names).matrix
        turn = np.hstack([total["cross"].T @ bread, np.eye(p)])
        return packed(turn @ stacked @ turn.T)

    def _finding(
        self, found: Finding, total: Message, state: State, round_number: int
    ) -> Finding:
        q = self._of_score.parameters
        loglik, condition = state[DONE].tolist()
        inverse = invert(unpacked(total["score_info"], q), self._of_score.names)
        fit = Fit(state[GAMMA], inverse.matrix, loglik, 0, condition)
        people = np.rint(total["people"])
        payload: dict[str, Any] = {
            **found.payload,
            "weights": "",
            "estimand": self.plan.analysis.estimand,
            "score": model_payload(self._of_score, fit)["terms"],
            "arms": self._arms(total),
            "balance": balance_of(self._of_score.columns, total, people),
            "overlap": np.rint(total["overlap"]).astype(int).tolist(),
            "rounds": round_number + 1,
            "condition": max(condition, found.payload["condition"]),
        }
        return Finding(self.plan.analysis.name, self.name, payload)

    def _arms(self, total: Message) -> list[dict[str, Any]]:
        """Return each arm's people, events and effective sample size."""
        has_events = self.plan.is_binary or self.plan.method.has_times
        arms: list[dict[str, Any]] = []
        for place, label in enumerate(self.plan.groups):
            first, second = total["weights"][place].tolist()
            arm = {"arm": label, "n": round(float(total["people"][place]))}
            if has_events:  # a number has none
                arm["events"] = round(float(total["happened"][place]))
            arms.append(arm | {"ess": first**2 / second})
        return arms


@estimator(
    name="logistic_scored",
    opening=_of_score(Logistic.opening),
    sums=_shapes(Logistic),
    most_rounds=MOST,
    publishable=False,
)
class LogisticScored(Scored):
    """Logistic regression weighted by a propensity score."""

    model = Logistic


@estimator(
    name="linear_scored",
    opening=_of_score(Logistic.opening),
    sums=_shapes(Linear),
    most_rounds=MOST,
    publishable=False,
)
class LinearScored(Scored):
    """Linear regression weighted by a propensity score."""

    model = Linear
    closes = "beta"


@estimator(
    name="poisson_scored",
    opening=_of_score(Logistic.opening),
    sums=_shapes(Poisson),
    most_rounds=MOST,
    publishable=False,
)
class PoissonScored(Scored):
    """Poisson regression weighted by a propensity score."""

    model = Poisson


@estimator(
    name="cox_scored",
    opening=_of_score(Logistic.opening),
    sums=_shapes(Cox),
    most_rounds=MOST,
    publishable=False,
)
class CoxScored(Scored):
    """Cox regression within sites, weighted by a propensity score.

    A person's part of the sandwich is Lin and Wei's score residual, which is found
    within the person's own site and stratum, less what the weights' estimation takes.
    """

    model = Cox


def _prefixed(prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    return {f"{prefix}_{name}": array for name, array in arrays.items()}


def _stripped(prefix: str, total: Message) -> Message:
    """Return the arrays of a stage, under the names that its estimator gave them."""
    start = f"{prefix}_"
    return {n.removeprefix(start): a for n, a in total.items() if n.startswith(start)}


def _of_model(state: State) -> State:
    return {n: array for n, array in state.items() if n not in (GAMMA, DONE, BEGUN)}
