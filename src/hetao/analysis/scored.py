"""What all share whose people a propensity score weighs, fitted in the same analysis.

Each person is weighted by the score's fitted value, which stays inside the site. One
closing message brings, beside the sums of a robust variance, those that say how the
model's score moves with the score's coefficients. So the variance counts the
estimation of the weights: it is the sandwich of both sets of equations, stacked.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import numpy as np
from scipy.special import expit

from hetao.analysis.contrasts import balance_of
from hetao.analysis.doubt import working
from hetao.analysis.estimator import (
    Estimator,
    Message,
    Shapes,
    State,
    Sum,
    own_state,
    packed,
    unpacked,
)
from hetao.analysis.evidence import Evidence, evidence, scored
from hetao.analysis.expressions import Floats, Ints
from hetao.analysis.finding import Finding
from hetao.analysis.logistic import ETA, Logistic
from hetao.analysis.newton import (
    LAST,
    MOST_ROUNDS,
    Fit,
    Point,
    advance,
    invert,
    model_payload,
    said_of,
)
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.analysis.weighting import (
    CUTS,
    Weights,
    heaviest,
    overlap,
    weights_by_score,
)
from hetao.errors import NotEstimable, WrongShape
from hetao.pairing import closest_first, pairs_within

MOST = 2 * MOST_ROUNDS  # messages: of the score, of the model, the closing one within
BY_SCORE = "propensity score"
GAMMA, DONE, BEGUN = "gamma", "gamma done", "begun"  # of a state with a fitted score
CALIPER = "caliper"  # of one by which people are matched, in logits of the score
FIRST = "first"  # of one with the coefficients that a model began with
OF_SCORE = (GAMMA, DONE, BEGUN, CALIPER, CUTS, FIRST)
OF_WEIGHTS = (GAMMA, "score beta", CALIPER, CUTS)  # of a state, what weighs people
OF_ROWS = ("X", "Z", "y", "offset", "time", "event", "start", "stratum", "group")
RELIES = (
    "hetao.analysis.contrasts",
    "hetao.analysis.doubt",
    "hetao.analysis.logistic",
    "hetao.analysis.newton",
    "hetao.analysis.weighting",
    "hetao.pairing",
)
CLOSING: Final = {
    "people": "groups",
    "happened": "groups",
    "weights": "groups,2",
    "columns": "groups,q,3",
    "overlap": "groups,bins",
    "logit": "matching,2",
    "cross": "q,p",
    "stacked": "sym(q+p)",
}


@dataclass(frozen=True, eq=False)
class Weighed:
    """People as the model sees them.

    Attributes:
        rows: weighted; of matching, those alone who are matched.
        kept: their places among all rows.
        sets: (n,) of matching, the matched set of each.
    """

    rows: Rows
    kept: Ints
    sets: Ints | None = None


def shapes_of_score(shapes: Shapes) -> dict[str, str | int]:
    """Return the shapes of the score's regression, of q columns."""
    return {f"score_{n}": str(shape).replace("p", "q") for n, shape in shapes.items()}


class Scored(Estimator):
    """What is weighted by a propensity score; what that is, the subclass says.

    The score's Newton rounds come first, then those of weighted people.

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
    own: ClassVar[Shapes] = CLOSING  # what a message adds to the other sums
    meat: ClassVar[str] = "meat"  # the model's outer products of people's scores
    relies_on: ClassVar[tuple[str, ...]] = RELIES

    def __init__(self, plan: Plan) -> None:
        """Fit the estimator to a plan with a score."""
        assert plan.score is not None  # noqa: S101  the registry asks of one with it
        self._of_score, self._model = plan.score, self.model(self._inner(plan))
        self._score = Logistic(plan.score)
        self._weighed: tuple[Rows, State, Weighed] | None = None
        super().__init__(plan)

    def _inner(self, plan: Plan) -> Plan:
        """Return the plan of the model as weighted people see it."""
        analysis = replace(plan.analysis, weights=BY_SCORE, variance="robust")
        most = heaviest(plan.analysis)
        return replace(plan, analysis=analysis, most_weight=most, score=None)

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        q, p = self._of_score.parameters, self.outputs
        return super().sizes() | {
            "p": p,
            "q": q,
            "sym(q+p)": (q + p) * (q + p + 1) // 2,
            "bins": self.plan.analysis.overlap_bins,
            "matching": int(self.plan.analysis.ratio > 0),
        }

    @property
    def outputs(self) -> int:
        """Return how many scores a person of the model has."""
        return self.plan.parameters

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of what a message adds to the score's and the model's.

        A weight moves with the logit of the score by no more than itself, so the
        cross products obey the bound of the residuals that they are made with.
        """
        del round_number
        weight = max(heaviest(self.plan.analysis), 1.0)
        declared = self._model.declare(1).get(self.meat)
        meat = max(declared.per_person if declared else weight, 1.0)
        return {
            "people": (1.0, 0.0),
            "happened": (1.0, 0.0),
            "weights": (weight**2, 0.0),
            "columns": (weight, None),
            "overlap": (1.0, 0.0),
            "logit": (ETA**2, None),
            "cross": (meat, None),
            "stacked": (meat, None),
        }

    def declare(self, round_number: int) -> dict[str, Sum]:
        """Return what a site sends; all rounds but the opening look alike."""
        if round_number == 0:
            return prefixed("score", self._score.declare(0))
        return {
            **prefixed("score", self._score.declare(1)),
            **self._model.declare(1),
            **self.declared(self.own, self.bounds(round_number)),
        }

    # --- inside a site --------------------------------------------------------------
    def start(self, rows: Rows) -> Message:
        """Return the opening of the score's regression."""
        return prefixed("score", self._score.start(self._score_rows(rows)))

    def local(self, rows: Rows, state: State) -> Message:
        """Return the sums of the stage that a state is of; the rest of it is 0.

        Raises:
            NotEstimable: a person would weigh more than anyone may, or as of the model.
        """
        message = {name: np.zeros(s.shape) for name, s in self.declare(1).items()}
        gamma = self._gamma(state)
        of_score = self._score.local(self._score_rows(rows), {"beta": gamma})
        if not self.is_weighed(state):
            if self._matches:
                message["logit"] = self._logits(rows, gamma)
            return message | prefixed("score", of_score)
        message |= self._model_message(rows, state)
        if self.is_closing(state):
            message["score_info"] = of_score["info"]
            message |= self._closing(rows, state)
        return message

    def _model_message(self, rows: Rows, state: State) -> Message:
        """Return what the model sends of weighted people."""
        weighted, mine = self._weigh(rows, state).rows, of_model(state)
        return (
            self._model.local(weighted, mine) if mine else self._model.start(weighted)
        )

    def is_weighed(self, state: State) -> bool:
        """Return whether people are weighted at a state."""
        return GAMMA in state

    def is_closing(self, state: State) -> bool:
        """Return whether a state is of the last round."""
        return LAST in state

    def weights(self, rows: Rows, state: State) -> Floats | None:
        """Return how much people weigh in the model, (k, n); None before it begins."""
        if not self.is_weighed(state):
            return None
        weighed, mine = self._weigh(rows, state), of_model(state)
        found = self._model.weights(weighed.rows, mine) if mine else None
        w = weighed.rows.weight
        if found is not None:
            each = found if isinstance(found, np.ndarray) else np.array(list(found))
            w = np.vstack([w, np.atleast_2d(each) * w])
        of_all = np.zeros((len(np.atleast_2d(w)), rows.n))
        of_all[:, weighed.kept] = w
        return of_all

    def guarded(
        self, facts: Evidence, rows: Rows, state: State | None
    ) -> tuple[Evidence, bool]:
        """Return the facts with the leverage in the score and among the weights."""
        design = scored(facts, self.plan, rows, np.ones(rows.n)) if rows.n else facts
        if state is None or not rows.n:
            return design, self.own_cells
        gamma = self._gamma(state)
        facts = design
        for weights in working(rows.Z @ gamma):
            facts = scored(facts, self.plan, rows, weights)
        return self._guarded_by_weights(facts, rows, state), self.own_cells

    def _guarded_by_weights(
        self, facts: Evidence, rows: Rows, state: State
    ) -> Evidence:
        """Return the facts with what the weights of the score add."""
        if self._matches:
            if self.is_weighed(state):  # the matched are judged as if they were all
                matched = evidence(self.plan, self._weigh(rows, state).rows)
                facts = replace(facts, parts=(matched,))
            return facts
        if self.is_weighed(state) and facts.max_leverage is not None:
            of = self._by_score(rows, state).of
            if self.is_closing(state):  # the stacked scores square weights
                of = of**2
            share = (of.max(axis=1) / np.maximum(of.sum(axis=1), 1e-300)).max()
            most = min(1.0, max(facts.max_leverage, float(share)))
            facts = replace(facts, max_leverage=most)
        return facts

    def bins(self, rows: Rows, state: State) -> dict[str, int]:
        """Return the people in the thinnest bin of the score's histogram."""
        bins = self.plan.analysis.overlap_bins
        if not self.is_closing(state) or not bins:
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

    def _by_score(self, rows: Rows, state: State) -> Weights:
        e, is_fitted = self._fitted(rows, self._gamma(state)), GAMMA in state
        asked = self.plan.analysis
        return weights_by_score(asked, rows.group, e, is_fitted=is_fitted)

    @property
    def _matches(self) -> bool:
        return self.plan.analysis.ratio > 0

    def _logits(self, rows: Rows, gamma: Floats) -> Floats:
        """Return the sums of the scores' logits and of their squares, for a caliper."""
        logit = np.clip(rows.Z @ gamma, -ETA, ETA)
        return np.array([[logit.sum(), logit @ logit]])

    def _weigh(self, rows: Rows, state: State) -> Weighed:
        """Return the rows weighted; the same object as long as the score stays."""
        asked = {n: state[n] for n in OF_WEIGHTS if n in state}
        kept = self._weighed
        if kept is None or kept[0] is not rows or not _same(kept[1], asked):
            made = self._matched if self._matches else self._weighted
            kept = self._weighed = rows, asked, made(rows, asked)
        return kept[2]

    def _weighted(self, rows: Rows, asked: State) -> Weighed:
        of = self._by_score(rows, asked).of.sum(axis=0)
        # Fixed point cannot hold less, and no model can divide by nothing.
        weighted = replace(rows, weight=np.maximum(of, 1e-300))
        return Weighed(weighted, np.arange(rows.n))

    def _matched(self, rows: Rows, asked: State) -> Weighed:
        """Return the matched people; the others of a set together count as one."""
        caliper = asked.get(CALIPER, np.zeros(0))
        if caliper.shape != (1,) or not caliper[0] > 0:
            raise WrongShape("the state holds no caliper")
        # People alike are alike: rounding must not tell which of them comes first.
        logit = np.round(np.clip(rows.Z @ asked[GAMMA], -ETA, ETA), 9) / caliper[0]
        treated, others = (np.flatnonzero(rows.group == arm) for arm in (1, 0))
        found = pairs_within(treated, others, [logit])
        left, right = closest_first(*found, self.plan.analysis.ratio)
        of_sets, sets, size = np.unique(left, return_inverse=True, return_counts=True)
        kept = np.concatenate([of_sets, right])
        weight = np.concatenate([np.ones(len(of_sets)), 1 / size[sets]])
        of_each = np.concatenate([np.arange(len(of_sets)), sets])
        order = np.argsort(kept)
        part = {
            name: array[kept[order]]
            for name in OF_ROWS
            if len(array := getattr(rows, name))
        }
        matched = replace(rows, n=len(kept), **{**part, "weight": weight[order]})
        return Weighed(matched, kept[order], of_each[order].astype(np.int64))

    def _stacked(self, rows: Rows, state: State) -> tuple[Floats, Floats]:
        """Return the scores of score and model (k, q + p), and how weights move (q, p).

        Of matching they are summed by set, and take the score as given.
        """
        weighed = self._weigh(rows, state)
        Z, u = rows.Z, self._model.scores(weighed.rows, of_model(state))
        q, p = Z.shape[1], u.shape[1]
        if weighed.sets is not None:
            of_sets = [np.bincount(weighed.sets, column) for column in u.T]
            stacked = np.zeros((len(of_sets[0]), q + p))
            stacked[:, q:] = np.asarray(of_sets).T
            return stacked, np.zeros((q, p))
        slope = self._by_score(rows, state).slope.sum(axis=0)
        moves = slope / weighed.rows.weight
        away = (rows.group == 1) - self._fitted(rows, self._gamma(state))
        return np.column_stack([Z * away[:, None], u]), Z.T @ (moves[:, None] * u)

    def _closing(self, rows: Rows, state: State) -> Message:
        """Return the sums of the stacked scores, and of the arms' balance."""
        Z, e = rows.Z, self._fitted(rows, self._gamma(state))
        stacked, cross = self._stacked(rows, state)
        arms = np.stack([rows.group == arm for arm in (0, 1)]).astype(np.float64)
        weighed = self._weigh(rows, state)
        of, bins = np.zeros((2, rows.n)), self.plan.analysis.overlap_bins
        of[rows.group[weighed.kept], weighed.kept] = weighed.rows.weight
        return {
            "people": arms.sum(axis=1),
            "happened": arms @ self._events(rows),
            "weights": np.stack([of.sum(axis=1), (of * of).sum(axis=1)], axis=1),
            "columns": np.stack([arms @ Z, arms @ (Z * Z), of @ Z], axis=2),
            "overlap": overlap(rows.group, e, bins),
            "cross": cross,
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
        number = round_number - int(state[BEGUN][0])
        found = self._model_step(total, of_model(state), number)
        if isinstance(found, Finding):
            return self._finding(found, total, state, round_number)
        return {name: state[name] for name in OF_SCORE if name in state} | found

    @abstractmethod
    def _model_step(self, total: Message, mine: State, number: int) -> State | Finding:
        """Return what follows for the model, whose state is `mine`; {} before it."""

    def _score_step(
        self,
        total: Message,
        state: State | None,
        round_number: int,
        *,
        closes: bool = False,
    ) -> State:
        """Return the next state of the score; `closes` as of `advance`."""
        mine = stripped("score", total)
        with said_of("the propensity score"):
            if state is None:
                opened = self._score.step(mine, None, 0)
                assert not isinstance(opened, Finding)  # noqa: S101  it never is
                return {"score beta": opened["beta"]}
            info = unpacked(mine["info"], self._of_score.parameters)
            point = Point(mine["score"], info, float(mine["loglik"][0]))
            before, names = own_state(state, "score "), self._of_score.names
            moved = advance(point, before, round_number, names, closes=closes)
        if not isinstance(moved, Fit):
            return {f"score {name}": array for name, array in moved.items()}
        done = np.array([moved.loglik, moved.condition])
        begun = np.array([round_number + 1.0])
        fitted = {GAMMA: moved.beta, DONE: done, BEGUN: begun}
        return fitted | (self._caliper(total) if self._matches else {})

    def _caliper(self, total: Message) -> State:
        """Return the caliper in logits: so many of their standard deviations."""
        n, (first, second) = float(total["score_n"][0]), total["logit"][0].tolist()
        spread = max(second - first**2 / n, 0.0) / (n - 1)
        if not spread > 0:
            raise NotEstimable(
                "all propensity scores are alike", fix="check the score's terms"
            )
        return {CALIPER: np.array([self.plan.analysis.caliper * spread**0.5])}

    def _meat(self, total: Message) -> Floats:
        """Return the model's packed meat (p, p), the score's estimation counted."""
        q, p = self._of_score.parameters, self.outputs
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
            "condition": max(condition, found.payload.get("condition", 0.0)),
        }
        if self._matches:
            sets = round(float(total["weights"][1, 0]))
            payload["matching"] = {"ratio": self.plan.analysis.ratio, "sets": sets}
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


def prefixed(prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """Return the arrays of a stage, under names that tell it."""
    return {f"{prefix}_{name}": array for name, array in arrays.items()}


def stripped(prefix: str, total: Message) -> Message:
    """Return the arrays of a stage, under the names that its estimator gave them."""
    start = f"{prefix}_"
    return {n.removeprefix(start): a for n, a in total.items() if n.startswith(start)}


def of_model(state: State) -> State:
    """Return what of a state is the model's own; nothing before its first step."""
    return {
        name: array
        for name, array in state.items()
        if name not in OF_SCORE and not name.startswith("score ")
    }


def _same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(array, other[name]) for name, array in one.items()
    )
