"""Conditional logistic regression, of matched sets and of a case's own windows."""

from typing import ClassVar

import numpy as np

from hetao.analysis.conditional import (
    Sets,
    drawn_one_by_one,
    drawn_together,
    spreads,
)
from hetao.analysis.estimator import (
    Estimator,
    Message,
    State,
    estimator,
    packed,
    unpacked,
)
from hetao.analysis.evidence import Evidence, weighed
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.newton import MOST_ROUNDS, Fit, Point, model_payload, settle
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable

ETA = 300.0  # exp of twice this is still a double
LOG_PEOPLE = 40.0  # log of more people than there are
MOST_DRAWS = 1_000_000  # of a set: rows times those that are drawn


@estimator(
    name="clogit",
    sums={"score": "p", "info": "sym(p)", "loglik": 1, "cases": 1, "n": 1},
    most_rounds=MOST_ROUNDS,
    publishable=True,
)
class ConditionalLogistic(Estimator):
    """Maximum of the likelihood that, of each set, the cases are the cases.

    A matched set, or a case's own windows, lie within a site, so a site sends the sums
    of the score, information and log-likelihood over its own sets. A set without a case
    or without a control says nothing, nor does it count as people. The exact likelihood
    is the default; Efron's and Breslow's approximations, which R's `clogit` has too,
    differ from it where a set holds several cases.

    The gate guards it by rules for a model's people, events, parameters, columns and
    leverage, all of them about what differs within sets: a column needs enough people
    away from their set's commonest value, and a person decides as much as the
    information would lose without the differences between them and the rest of the set.

    Source:
        Gail, Lubin and Rubinstein (1981), Biometrika 68, 703-707; R's
        `survival::clogit`. Oracle: `tests/oracles/test_conditional.py`.
    """

    relies_on: ClassVar[tuple[str, ...]] = (
        "hetao.analysis.newton",
        "hetao.analysis.conditional",
    )
    nothing: ClassVar[str] = "no matched set holds both a case and a control"

    def __init__(self, plan: Plan) -> None:
        """Fit the estimator to a plan, as every estimator."""
        super().__init__(plan)
        self._ordered: tuple[Rows, Sets] | None = None

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of a round.

        Of a set of which d rows are drawn, d being at most half of them, the score is
        a difference of two sums of d rows. Two rows are never drawn together more often
        than by chance, so the variance of such a sum is a sum over pairs of rows of how
        seldom they are, times a squared difference: at most half of the set's rows.
        """
        del round_number
        return {
            "score": (2.0, None),
            "info": (1.0, None),
            "loglik": (2 * ETA + LOG_PEOPLE, None),
            "cases": (1.0, 0.0),
            "n": (1.0, 0.0),
        }

    def start(self, rows: Rows) -> Message:
        """Return the sums at beta = 0."""
        return self.local(rows, {"beta": np.zeros(self.plan.parameters)})

    def local(self, rows: Rows, state: State) -> Message:
        """Return score, information and log-likelihood at `state["beta"]`.

        Raises:
            NotEstimable: a linear predictor is too large to compute with, or a set too
                large for the exact likelihood.
        """
        point = self._point(*self._sets(rows, state))
        return {
            "score": point.score,
            "info": packed(point.information),
            "loglik": np.array([point.loglik]),
            "cases": np.array([rows.y.sum()]),
            "n": np.array([float(rows.people)]),
        }

    def _sets(self, rows: Rows, state: State) -> tuple[Sets, Floats]:
        """Return the sets, put in order once, and their rows' linear predictors."""
        eta = rows.X @ self.beta(state) + rows.offset
        if np.any(np.abs(eta) > ETA):
            raise NotEstimable(
                "a linear predictor is too large",
                fix="leave out terms, merge levels, or tighten public bounds",
            )
        if self._ordered is None or self._ordered[0] is not rows:
            self._ordered = rows, Sets.of_rows(rows.X, rows.y, rows.set)
        sets = self._ordered[1]
        return sets, eta[sets.order]

    def _point(self, sets: Sets, eta: Floats) -> Point:
        likelihood = self.plan.analysis.likelihood
        if likelihood != "exact":
            return drawn_one_by_one(sets, eta, efron=likelihood == "efron")[0]
        _check_draws(sets)
        return drawn_together(sets, eta)

    def guarded(
        self, facts: Evidence, rows: Rows, state: State | None
    ) -> tuple[Evidence, bool]:
        """Return the facts with the leverage at beta = 0, where the opening is.

        Rows do not count alike there: those of a person with many events count more.
        """
        if state is None and rows.n:
            opening = {"beta": np.zeros(self.plan.parameters)}
            facts = weighed(facts, self.plan, rows, self.weights(rows, opening))
        return facts, self.own_cells

    def weights(self, rows: Rows, state: State) -> Floats:
        """Return how much each row counts in the information at a state, (n,)."""
        sets, eta = self._sets(rows, state)
        counts = np.zeros(rows.n)
        counts[sets.order] = self._spreads(sets, eta)
        return counts

    def _spreads(self, sets: Sets, eta: Floats) -> Floats:
        likelihood = self.plan.analysis.likelihood
        if likelihood != "exact":
            return drawn_one_by_one(sets, eta, efron=likelihood == "efron")[1]
        return spreads(sets, eta)

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the next beta, or the finding.

        Raises:
            NotEstimable: no set says anything, columns determine each other within the
                sets, or the outcome is separated.
        """
        plan = self.plan
        if not total["cases"][0] > 0:
            raise NotEstimable(
                self.nothing, fix="check the outcome and the key of sets"
            )
        information = unpacked(total["info"], plan.parameters)
        point = Point(total["score"], information, float(total["loglik"][0]))
        here = state or {"beta": np.zeros(plan.parameters)}
        fit = settle(point, here, round_number, plan, total)
        if not isinstance(fit, Fit):
            return fit
        payload = model_payload(plan, fit) | {
            "n": round(float(total["n"][0])),
            "events": round(float(total["cases"][0])),
            **self._said(),
        }
        return Finding(plan.analysis.name, self.name, payload)

    def _said(self) -> dict[str, str]:
        return {"likelihood": self.plan.analysis.likelihood}


def _check_draws(sets: Sets) -> None:
    """Refuse a set of which there are too many ways to draw the cases.

    Raises:
        NotEstimable: rows times cases, or controls if they are fewer, are too many.
    """
    cases = sets.sums(sets.y)
    few = np.minimum(cases, sets.size - cases)
    if np.any(sets.size * few > MOST_DRAWS):
        raise NotEstimable(
            "the exact likelihood of a matched set takes too long: its rows times its "
            f"cases, or its controls if they are fewer, are more than {MOST_DRAWS}",
            fix="write likelihood = 'efron', or make the sets finer",
        )


@estimator(
    name="case_crossover",
    sums=ConditionalLogistic.sums,
    most_rounds=MOST_ROUNDS,
    publishable=True,
)
class CaseCrossover(ConditionalLogistic):
    """Conditional logistic regression of which of a case's windows holds the event.

    A row is a window of a case, the outcome says whether the event fell into it, and a
    set is a person, or one of their events where several are each compared with windows
    of their own. All counts of the gate are of cases.

    Source:
        Maclure (1991), Am. J. Epidemiol. 133, 144-153. Referent windows on both sides
        of the event: Janes, Sheppard and Lumley (2005), Epidemiology 16, 717-726.
        Oracle: `tests/oracles/test_conditional.py`.
    """

    nothing: ClassVar[str] = "no case has a window with the event and one without"
