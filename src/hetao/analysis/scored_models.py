"""Models whose people are weighted by a propensity score, fitted in the same rounds.

Score and model are one system of equations, and Newton's method takes a step of the
whole of it each round: the model's score moves with the score's coefficients, by cross
products that its variance needs anyway, and so its step counts the score's step. A
round then brings both nearer, and the model is fitted hardly later than the score.
"""

from typing import ClassVar

import numpy as np

from hetao.analysis.cox import Cox
from hetao.analysis.estimator import (
    Estimator,
    Message,
    Shapes,
    State,
    Sum,
    estimator,
    unpacked,
)
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.linear import Linear
from hetao.analysis.logistic import Logistic
from hetao.analysis.newton import (
    LAST,
    SMALL_STEP,
    Fit,
    Point,
    advance,
    check_rounds,
    invert,
    is_near,
    newton_step,
)
from hetao.analysis.poisson import Poisson
from hetao.analysis.rows import Rows
from hetao.analysis.scored import (
    BEGUN,
    CLOSING,
    FIRST,
    GAMMA,
    MOST,
    OF_SCORE,
    RELIES,
    Scored,
    of_model,
    prefixed,
    shapes_of_score,
    stripped,
)


def _shapes(model: type[Estimator]) -> Shapes:
    """Return what a message holds of the score and the model, stacked variance and all.

    The model's own outer products are a part of the stacked ones.
    """
    of_model = {name: shape for name, shape in model.sums.items() if name != "meat"}
    return {**shapes_of_score(Logistic.sums), **of_model, **CLOSING}


def _opening(model: type[Estimator]) -> Shapes:
    """Return what the opening holds of the score, and of the model of all alike."""
    first = {f"first_{name}": shape for name, shape in model.opening.items()}
    return {**shapes_of_score(Logistic.opening), **first}


class ScoredModel(Scored):
    """A model weighted by a propensity score; which model, the subclass says.

    The model begins as if all weighed alike. With a `ratio` people are matched instead:
    inside each site every treated person gets up to so many others whose logit of the
    score lies within the caliper, the closest pairs first, none of them twice. The
    others of a set together count as one, and the variance is clustered by set; it
    takes the score as given. The model's rounds then follow the score's: sets by a
    score that still moves would differ by a person or two from round to round, and so
    would the sums.

    Source:
        Hajage, Chauvet, Belin et al. (2018), Biom. J. 60(6), 1151-1163; Shu, Young,
        Toh & Wang (2021), Biometrics 77(1), 125-137; of matching, Austin & Small
        (2014), Stat. Med. 33(24), 4306-4319. Oracle: `tests/oracles/test_scored.py`.
    """

    relies_on: ClassVar[tuple[str, ...]] = (
        *RELIES,
        "hetao.analysis.cox",
        "hetao.analysis.linear",
        "hetao.analysis.poisson",
    )

    def declare(self, round_number: int) -> dict[str, Sum]:
        """Return what a site sends; all rounds but the opening look alike."""
        declared = super().declare(round_number)
        if round_number == 0:
            return declared | prefixed("first", self._model.declare(0))
        del declared[self.meat]
        return declared

    # --- inside a site --------------------------------------------------------------
    def start(self, rows: Rows) -> Message:
        """Return the openings of the score's regression and of the model."""
        return super().start(rows) | prefixed("first", self._model.start(rows))

    def is_weighed(self, state: State) -> bool:
        """Return whether people are weighted at a state: from the first step on."""
        return GAMMA in state or not self._matches

    def _model_message(self, rows: Rows, state: State) -> Message:
        mine = of_model(state)
        message = self._model.local(self._weigh(rows, state).rows, mine)
        del message[self.meat]
        gamma = {"beta": self._gamma(state)}
        of_score = self._score.local(self._score_rows(rows), gamma)
        cross = {"cross": self._stacked(rows, state)[1]}
        return prefixed("score", of_score) | message | cross

    # --- outside the sites ----------------------------------------------------------
    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the next state of score and model, or the finding.

        Raises:
            NotEstimable: an arm has nobody, columns separate the arms, or as of the
                model.
        """
        if state is None:
            return self._begin(total)
        if GAMMA not in state:
            return self._together(total, state, round_number)
        if LAST in state:
            return self._close(total, state, round_number)
        number = round_number - int(state[BEGUN][0])
        found = self._model_step(total, of_model(state), number)
        assert not isinstance(found, Finding)  # noqa: S101  a closing round follows
        return _kept(state) | found

    def _begin(self, total: Message) -> State:
        score = self._score_step(total, None, 0)
        opened = self._model.step(stripped("first", total), None, 0)
        assert not isinstance(opened, Finding)  # noqa: S101  it never is
        beta = opened["beta"]
        weighed = {} if self._matches else {"beta": beta}
        return score | weighed | {FIRST: beta}

    def _together(self, total: Message, state: State, round_number: int) -> State:
        """Return the next state while the score is not fitted yet."""
        closes = not self._matches
        score = self._score_step(total, state, round_number, closes=closes)
        is_fitted = GAMMA in score
        first = {FIRST: state[FIRST]}
        if self._matches:
            return score | first | ({"beta": state[FIRST]} if is_fitted else {})
        moved = self._gamma(score) - self._gamma(state)
        step, reach = self._newton(self._turned(total, moved))
        mine = {"beta": state["beta"] + step, "reach": np.array([reach])}
        if not is_fitted:
            return score | first | mine
        if is_near(reach, state):
            return score | {"beta": mine["beta"], LAST: np.ones(1)}
        if "reach" in state and reach > float(state["reach"][0]):
            return score | {"beta": state[FIRST]}  # it led astray: from the beginning
        return score | mine

    def _model_step(self, total: Message, mine: State, number: int) -> State | Finding:
        """Return the next state of a model whose weights stay as they are."""
        info = unpacked(total["info"], self.outputs)
        loglik = total["loglik"] if "loglik" in total else -total["rss"]
        point = Point(total["score"], info, float(loglik[0]))
        fit = advance(point, mine, number, self.plan.names, closes=True)
        if isinstance(fit, Fit):
            return {"beta": fit.beta, LAST: np.ones(1)}
        return fit

    def _close(
        self, total: Message, state: State, round_number: int
    ) -> State | Finding:
        """Return the finding, or a better closing state where this one was not near."""
        gamma, away = self._gamma(state), 0.0
        if not self._matches:  # by the score as it is
            info = unpacked(total["score_info"], self._of_score.parameters)
            inverse = invert(info, self._of_score.names).matrix
            moved, away = newton_step(total["score_score"], inverse)
            gamma, total = gamma + moved, self._turned(total, moved)
        step, reach = self._newton(total)
        kept = _kept(state) | {GAMMA: gamma}
        if max(reach, away) > SMALL_STEP:
            check_rounds(round_number)
            return kept | {"beta": state["beta"] + step, LAST: state[LAST]}
        total = {**total, self.meat: self._meat(total)}
        found = self._model.step(total, of_model(state), round_number)
        assert isinstance(found, Finding)  # noqa: S101  the step is as small there
        return self._finding(found, total, kept, round_number)

    def _turned(self, total: Message, moved: Floats) -> Message:
        """Return the sums, the model's score as it is when the score has moved."""
        return {**total, "score": total["score"] + moved @ total["cross"]}

    def _newton(self, total: Message) -> tuple[Floats, float]:
        """Return the model's step, and how far that is in standard errors."""
        info = unpacked(total["info"], self.outputs)
        inverse = invert(info, self.plan.names).matrix
        return newton_step(total["score"], inverse)


@estimator(
    name="logistic_scored",
    opening=_opening(Logistic),
    sums=_shapes(Logistic),
    most_rounds=MOST,
    publishable=False,
)
class LogisticScored(ScoredModel):
    """Logistic regression weighted by a propensity score."""

    model = Logistic


@estimator(
    name="linear_scored",
    opening=_opening(Linear),
    sums=_shapes(Linear),
    most_rounds=MOST,
    publishable=False,
)
class LinearScored(ScoredModel):
    """Linear regression weighted by a propensity score."""

    model = Linear


@estimator(
    name="poisson_scored",
    opening=_opening(Poisson),
    sums=_shapes(Poisson),
    most_rounds=MOST,
    publishable=False,
)
class PoissonScored(ScoredModel):
    """Poisson regression weighted by a propensity score."""

    model = Poisson


@estimator(
    name="cox_scored",
    opening=_opening(Cox),
    sums=_shapes(Cox),
    most_rounds=MOST,
    publishable=False,
)
class CoxScored(ScoredModel):
    """Cox regression within sites, weighted by a propensity score.

    A person's part of the sandwich is Lin and Wei's score residual, which is found
    within the person's own site and stratum, less what the weights' estimation takes.
    """

    model = Cox


def _kept(state: State) -> State:
    return {name: state[name] for name in OF_SCORE if name in state}
