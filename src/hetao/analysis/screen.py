"""Many exposures and outcomes in one analysis: the same model of each, side by side.

All pairs' sums travel in the same messages, so a thousand models take as many rounds as
the slowest of them. First every site says which pairs it holds enough people and events
for, by its own minimum counts; a pair goes on only where all sites do, so nothing of
another ever leaves. A pair that has come to its end stays at its state, and a pair that
cannot be fitted ends with its reason; neither stops the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from hetao.analysis.calibration import (
    FEWEST,
    SystematicError,
    calibrated,
    false_discovery,
    systematic_error,
)
from hetao.analysis.cox import Cox
from hetao.analysis.estimator import (
    Estimator,
    Message,
    Shapes,
    State,
    Sum,
    estimator,
)
from hetao.analysis.evidence import Evidence, evidence, is_enough, weighed
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.logistic import Logistic
from hetao.analysis.negative_binomial import NegativeBinomial
from hetao.analysis.newton import MOST_ROUNDS
from hetao.analysis.plan import Plan
from hetao.analysis.poisson import Poisson
from hetao.analysis.rows import Rows
from hetao.errors import InvalidStudy, NotEstimable, WrongShape
from hetao.study import Minimum

OPEN, TOO_FEW, NO_START, NOT_THERE = 0.0, 1.0, 2.0, 3.0  # how a pair stands
REASONS = {
    TOO_FEW: "not every site holds enough people, events or leverage for it",
    NO_START: "columns determine each other, or no one has the outcome",
    NOT_THERE: "a site could not compute it, or one person would decide too much",
}
STANDS, ROUND, HAS, OF = "stands", "round", "has ", "of "
RELIES = (
    "hetao.analysis.calibration",
    "hetao.analysis.evidence",
    "hetao.analysis.newton",
)
Kept = dict[int, tuple[Evidence, Message]]  # place of a pair → its facts, its sums
End = Finding | NotEstimable


def _shapes(shapes: Shapes) -> Shapes:
    """Return what a message holds of all pairs, an array's first axis."""
    rest = {name: f"models,{shape}" for name, shape in shapes.items()}
    return {"able": "models", "sites": 1, **rest}


class Screen(Estimator):
    """One model for each pair of an exposure and an outcome; which, the subclass says.

    What is sent of a pair is what the model sends by itself, and its gate is the
    model's: people, events, cells, parameters and leverage of each pair are judged by
    themselves, at every state. A site's own message is as publishable as its models'.

    Estimates of negative controls, outcomes that no exposure causes, give each
    exposure's systematic error, by which its other estimates are calibrated; p values
    of all that are no controls are adjusted for their number.

    Source:
        Schuemie et al. (2014), Stat. Med. 33(2), 209-218; Benjamini & Hochberg (1995),
        J. R. Stat. Soc. B 57(1), 289-300. Law: `tests/laws/test_screen.py`.
    """

    model: ClassVar[type[Estimator]]

    def __init__(self, plan: Plan) -> None:
        """Fit the estimator to a plan of pairs.

        Raises:
            InvalidStudy: exposures do not all make one column.
        """
        self._models = tuple(self.model(part) for part in plan.parts)
        if len({part.parameters for part in plan.parts}) != 1:
            raise InvalidStudy(
                f"{plan.analysis.name}: models of one screen have as many columns",
                fix="take exposures that are numbers or categories of two levels",
            )
        self._able_of: tuple[Rows, dict[int, Evidence]] | None = None
        self._kept_of: tuple[Rows, State, Kept] | None = None
        super().__init__(plan)

    def within(self, minimum: Minimum) -> "Screen":
        """Return the screen that asks for a site's own minimum counts of each pair."""
        return type(self)(replace(self.plan, minimum=minimum))

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        return self._models[0].sizes() | {"models": len(self._models)}

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of what a screen adds to its models' messages."""
        del round_number
        return {"able": (1.0, 0.0), "sites": (1.0, 0.0)}

    def declare(self, round_number: int) -> dict[str, Sum]:
        """Return what a site sends: flags, then the models' openings, then their sums.

        An element's bound is the widest of all pairs'.
        """
        flags: Shapes = {"able": "models", "sites": 1}
        declared = self.declared(flags, self.bounds(round_number))
        if round_number == 0:
            return declared
        each = [one.declare(min(round_number - 1, 1)) for one in self._models]
        for name, first in each[0].items():
            most = max(one[name].per_person for one in each)
            shape = (len(each), *first.shape)
            declared[name] = Sum(shape, most, first.low)
        return declared

    # --- inside a site --------------------------------------------------------------
    def start(self, rows: Rows) -> Message:
        """Return which pairs the site holds enough for; nothing else of them."""
        return self._flags(rows, self._able(rows))

    def local(self, rows: Rows, state: State) -> Message:
        """Return the sums of every pair that still stands; 0 of the others."""
        kept = self._kept(rows, state)
        number = 1 if HAS + "beta" not in state else 2
        message = {name: np.zeros(s.shape) for name, s in self.declare(number).items()}
        message |= self._flags(rows, kept)
        for place, (_, sums) in kept.items():
            for name, array in sums.items():
                message[name][place] = array
        return message

    def guarded(
        self, facts: Evidence, rows: Rows, state: State | None
    ) -> tuple[Evidence, bool]:
        """Return the facts of each pair that the round tells something of."""
        if state is None:
            return facts, self.own_cells
        parts = tuple(of_pair for of_pair, _ in self._kept(rows, state).values())
        return replace(facts, parts=parts), self.own_cells

    def _flags(self, rows: Rows, places: Mapping[int, object]) -> Message:
        able = np.zeros(len(self._models))
        able[list(places)] = 1.0
        return {"able": able, "sites": np.array([float(rows.n > 0)])}

    def _able(self, rows: Rows) -> dict[int, Evidence]:
        """Return the facts of the pairs that the site holds enough for."""
        if self._able_of is None or self._able_of[0] is not rows:
            found = evidence_of_parts(self.plan, rows)
            able = {i: f for i, f in enumerate(found) if is_enough(f, self._least)}
            self._able_of = rows, able
        return self._able_of[1]

    def _kept(self, rows: Rows, state: State) -> Kept:
        """Return facts and sums of the pairs that stand and can be computed here."""
        if self._kept_of is not None:
            of_rows, of_state, kept = self._kept_of
            if of_rows is rows and of_state is state:
                return kept
        kept, able, stands = {}, self._able(rows), self._stands(state)
        for place in np.flatnonzero(stands == OPEN).tolist():
            found = self._computed(place, rows, able, state)
            if found is not None:
                kept[place] = found
        self._kept_of = rows, state, kept
        return kept

    def _computed(
        self, place: int, rows: Rows, able: Mapping[int, Evidence], state: State
    ) -> tuple[Evidence, Message] | None:
        """Return a pair's facts and sums; None where it must not or cannot be told."""
        model, mine, part = self._models[place], _mine(state, place), rows.parts[place]
        if place not in able:
            return None
        facts = able[place]
        try:
            if not mine:
                return facts, model.start(part)
            sums = model.local(part, mine)
        except NotEstimable:
            return None
        weights = model.weights(part, mine)
        if weights is not None:
            facts = weighed(facts, model.plan, part, weights)
        return (facts, sums) if is_enough(facts, self._least) else None

    @property
    def _least(self) -> Minimum:
        return self.plan.minimum or Minimum()

    def _stands(self, state: State) -> Floats:
        stands = state.get(STANDS)
        if stands is None or stands.shape != (len(self._models),):
            raise WrongShape("the state does not say how each pair stands")
        return stands

    # --- outside the sites ----------------------------------------------------------
    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the next states of all pairs, or the finding once all have ended.

        Raises:
            NotEstimable: not one pair can be fitted.
        """
        sites = float(np.rint(total["sites"][0]))
        there = (np.rint(total["able"]) == sites) & (sites > 0)
        if state is None:
            stands = np.where(there, OPEN, TOO_FEW)
            return {STANDS: self._some(stands), ROUND: np.zeros(len(stands))}
        stands, number = self._stands(state).copy(), state[ROUND].copy()
        stands[(stands == OPEN) & ~there] = NOT_THERE
        states: dict[int, State] = {}
        ends: dict[int, End] = {}
        for place in np.flatnonzero(stands == OPEN).tolist():
            mine = _mine(state, place)
            found = self._step_of(place, total, mine, int(number[place]))
            if isinstance(found, dict):
                states[place], number[place] = found, number[place] + 1
            elif mine:
                states[place], ends[place] = mine, found
            else:
                stands[place] = NO_START
        self._some(stands)
        if len(ends) == len(states):
            return self._finding(stands, ends, round_number)
        packed = _packed(states, len(stands))
        return {STANDS: stands, ROUND: number, **packed}

    def _some(self, stands: Floats) -> Floats:
        if not np.any(stands == OPEN):
            raise NotEstimable(
                "not one pair of the screen can be fitted: "
                + "; ".join(REASONS[code] for code in sorted(set(stands.tolist()))),
                fix="take commoner outcomes, fewer terms or a longer period",
            )
        return stands

    def _step_of(
        self, place: int, total: Message, mine: State, number: int
    ) -> State | End:
        sums = {n: a[place] for n, a in total.items() if n not in ("able", "sites")}
        try:
            return self._models[place].step(sums, mine or None, number)
        except NotEstimable as problem:
            return problem

    def _finding(
        self, stands: Floats, ends: Mapping[int, End], round_number: int
    ) -> Finding:
        rows = [
            self._row(place, ends.get(place), float(stands[place]))
            for place in range(len(stands))
        ]
        errors = [_add_calibration(rows, one) for one in self.plan.analysis.exposures]
        _add_discovery(rows)
        payload = {
            "model": "screen",
            "of": self.plan.analysis.model,
            "pairs": rows,
            "systematic_error": errors,
            "rounds": round_number + 1,
            "converged": True,
        }
        return Finding(self.plan.analysis.name, self.name, payload)

    def _row(self, place: int, end: End | None, stands: float) -> dict[str, Any]:
        exposure, outcome, _ = self.plan.analysis.pairs[place]
        row: dict[str, Any] = {
            "exposure": exposure,
            "outcome": outcome,
            "is_control": outcome in self.plan.analysis.controls,
            "refused": "",
        }
        if not isinstance(end, Finding):
            return row | {"refused": end.what if end else REASONS[stands]}
        plan, payload = self._models[place].plan, end.payload
        term = payload["terms"][int(plan.intercept)]
        kept = ("n", "events", "rounds", "loglik")
        return {**row, **term, **{key: payload[key] for key in kept}}


def evidence_of_parts(plan: Plan, rows: Rows) -> list[Evidence]:
    """Return the facts of each pair; what the design decides once for each design."""
    known: dict[int, Evidence] = {}
    found = []
    for part, of_part in zip(plan.parts, rows.parts, strict=True):
        before = known.get(id(of_part.X))
        facts = evidence(part, of_part, before)
        known.setdefault(id(of_part.X), facts)
        found.append(facts)
    return found


def _mine(state: State, place: int) -> State:
    """Return the state of one pair, as its model knows it; empty before the first."""
    names = [name.removeprefix(HAS) for name in state if name.startswith(HAS)]
    return {n: state[OF + n][place] for n in names if state[HAS + n][place] > 0}


def _packed(states: Mapping[int, State], size: int) -> State:
    """Return all pairs' states in arrays whose first axis is the pair; 0 of others."""
    shapes = {name: a.shape for one in states.values() for name, a in one.items()}
    found: State = {}
    for name, shape in sorted(shapes.items()):
        has, of = np.zeros(size), np.zeros((size, *shape))
        for place, one in states.items():
            if name in one:
                has[place], of[place] = 1.0, one[name]
        found |= {HAS + name: has, OF + name: of}
    return found


def _add_calibration(rows: Sequence[dict[str, Any]], exposure: str) -> dict[str, Any]:
    """Calibrate an exposure's estimates by its controls; return what was found."""
    mine = [row for row in rows if row["exposure"] == exposure and not row["refused"]]
    controls = [row for row in mine if row["is_control"]]
    said: dict[str, Any] = {"exposure": exposure, "controls": len(controls)}
    if len(controls) < FEWEST:
        return said | {"mean": None, "sd": None}
    error: SystematicError = systematic_error(
        [row["estimate"] for row in controls], [row["se"] for row in controls]
    )
    for row in mine:
        one = calibrated(row["estimate"], row["se"], error)
        row["calibrated"] = {
            "estimate": one.estimate,
            "lower": one.lower,
            "upper": one.upper,
            "p": one.p,
        }
    return said | {"mean": error.mean, "sd": error.sd}


def _add_discovery(rows: Sequence[dict[str, Any]]) -> None:
    """Adjust the p values of all that are no controls, calibrated where they are."""
    asked = [row for row in rows if not row["refused"] and not row["is_control"]]
    p = [row.get("calibrated", row)["p"] for row in asked]
    for row, q in zip(asked, false_discovery(p), strict=True):
        row["q"] = q


@estimator(
    name="screen_logistic",
    opening={"able": "models", "sites": 1},
    sums=_shapes(Logistic.sums),
    most_rounds=MOST_ROUNDS + 1,
    publishable=True,
)
class LogisticScreen(Screen):
    """Logistic regressions of every outcome on every exposure."""

    model = Logistic
    relies_on = (*RELIES, "hetao.analysis.logistic")


@estimator(
    name="screen_poisson",
    opening={"able": "models", "sites": 1},
    sums=_shapes(Poisson.sums),
    most_rounds=MOST_ROUNDS + 1,
    publishable=True,
)
class PoissonScreen(Screen):
    """Poisson regressions of every count on every exposure."""

    model = Poisson
    relies_on = (*RELIES, "hetao.analysis.poisson")


@estimator(
    name="screen_negative_binomial",
    opening={"able": "models", "sites": 1},
    sums=_shapes(NegativeBinomial.sums),
    most_rounds=MOST_ROUNDS + 1,
    publishable=True,
)
class NegativeBinomialScreen(Screen):
    """Negative binomial regressions of every count on every exposure."""

    model = NegativeBinomial
    relies_on = (*RELIES, "hetao.analysis.negative_binomial", "hetao.analysis.poisson")


@estimator(
    name="screen_cox",
    opening={"able": "models", "sites": 1},
    sums=_shapes(Cox.sums),
    most_rounds=MOST_ROUNDS + 1,
    publishable=True,
)
class CoxScreen(Screen):
    """Cox regressions within sites of every event on every exposure."""

    model = Cox
    relies_on = (*RELIES, "hetao.analysis.cox", "hetao.analysis.zph")
