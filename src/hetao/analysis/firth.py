"""Logistic regression with Firth's penalty: an answer where the outcome is separated.

The penalty is half the logarithm of the information's determinant (Jeffreys' prior).
Its slope needs the information's derivatives, which are sums over people too, so every
round is exact and none is spent on leverages. The same derivatives tell how the
information changes further on, so that a separated outcome takes no more rounds.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import eigh
from scipy.special import expit

from hetao.analysis.estimator import Message, State, estimator, packed, unpacked
from hetao.analysis.expressions import Floats, Ints
from hetao.analysis.finding import Finding
from hetao.analysis.logistic import ETA, Logistic
from hetao.analysis.newton import (
    MOST_ROUNDS,
    Fit,
    Point,
    advance,
    counted,
    invert,
    model_payload,
)
from hetao.analysis.rows import Rows
from hetao.errors import WrongShape

MOST_LOOKS = 50  # of a round, at what is believed
FURTHEST = 6.0  # logarithm of the most that the information is believed to change by
ROUNDING = 1e-13
LEAST_CURVE = 0.1  # of the penalised likelihood, as a share of the information


@estimator(
    name="firth",
    opening=Logistic.opening,
    sums={
        "score": "p",
        "info": "sym(p)",
        "cube": "cube(p)",
        "bend": "sym(p)",
        "loglik": 1,
        "events": 1,
        "n": 1,
        "weight": "weights",
        "cases": "weights",
    },
    most_rounds=MOST_ROUNDS,
    publishable=True,
)
class Firth(Logistic):
    """Maximum of the likelihood of a binary outcome times the root of |information|.

    Standard errors and limits are Wald's, from the information X'WX at the maximum.
    The gate guards it as it does logistic regression: people, events and non-events,
    cells of the design, parameters, and leverage under each state's weights.

    Source:
        Firth (1993), Biometrika 80(1), 27-38; Heinze and Schemper (2002), Stat. Med.
        21(16), 2409-2419; R's `logistf`. Oracle: `tests/oracles/test_firth.py`.
    """

    relies_on = ("hetao.analysis.doubt", "hetao.analysis.newton")
    most_explained = 0.5  # nearer to 0, where the penalty draws a separated outcome

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of a round; every derivative of the weight is below 1."""
        bounds = super().bounds(round_number)
        if round_number:
            bounds |= {"cube": (1.0, None), "bend": (1.0, None)}
        return bounds

    def local(self, rows: Rows, state: State) -> Message:
        """Return logistic regression's sums, and those of the penalty, at a state.

        `cube` is the derivative of the information by each coefficient; `bend` its
        second derivative, traced with the inverse that the round before believed to
        be here, which only speeds the rounds up.
        """
        X, y, w = rows.X, rows.y, rows.weight
        eta = np.clip(X @ self.beta(state) + rows.offset, -ETA, ETA)
        mu = expit(eta)
        spread = mu * (1 - mu)
        leverage = np.zeros(rows.n)
        if "inverse" in state:
            inverse = unpacked(self._inverse(state), self.plan.parameters)
            leverage = np.clip(spread * np.einsum("ij,ij->i", X @ inverse, X), 0, 1)
        return {
            "score": X.T @ (w * (y - mu)),
            "info": packed((X.T * (w * spread)) @ X),
            "cube": _cubes(X, w * spread * (1 - 2 * mu)),
            "bend": packed((X.T * (w * leverage * (1 - 6 * spread))) @ X),
            "loglik": np.array([w @ (y * eta - np.logaddexp(0, eta))]),
            "events": np.array([w @ y]),
            "n": np.array([float(rows.n)]),
            **counted(self.plan, rows, y),
        }

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the next beta, or the finding.

        Raises:
            NotEstimable: everyone or no one has the event, or columns determine each
                other.
        """
        if state is None:
            opening = super().step(total, state, round_number)
            if isinstance(opening, Finding):
                return opening
            return opening | {"inverse": self._opening_inverse(total)}
        p, names = self.plan.parameters, self.plan.names
        information = unpacked(total["info"], p)
        inverse = invert(information, names)
        ahead = Ahead.of(total, information, inverse.matrix)
        answer = advance(ahead.point, state, round_number, names, ahead=ahead.step)
        beta = answer.beta if isinstance(answer, Fit) else answer["beta"]
        there = invert(ahead.information(beta - state["beta"]), names)
        if not isinstance(answer, Fit):
            # Without errors to compare with, none is taken to run off: none does.
            next_state = {name: array for name, array in answer.items() if name != "se"}
            return next_state | {"inverse": packed(there.matrix)}
        scale = float(np.linalg.slogdet(self.plan.to_units())[1])
        fit = replace(answer, covariance=there.matrix, condition=there.condition)
        fit = replace(fit, loglik=fit.loglik - scale)
        cases = total["cases"] if self.plan.analysis.weights else total["events"]
        counts = {"n": round(float(total["n"][0])), "events": round(float(cases[0]))}
        payload = model_payload(self.plan, fit) | counts | {"penalty": "firth"}
        return Finding(self.plan.analysis.name, self.name, payload)

    def _opening_inverse(self, total: Message) -> Floats:
        """Return the opening with the inverse information if all had one chance."""
        weight = float((total["weight"] if len(total["weight"]) else total["n"])[0])
        share = float(total["events"][0]) / weight
        information = unpacked(total["info"], self.plan.parameters)
        inverse = invert(information * share * (1 - share), self.plan.names).matrix
        return packed(inverse)

    def _inverse(self, state: State) -> Floats:
        p, inverse = self.plan.parameters, state["inverse"]
        if inverse.shape != (p * (p + 1) // 2,):
            raise WrongShape("the state does not hold one inverse")
        return inverse


def _places(p: int) -> Ints:
    """Return (p(p+1)(p+2)/6, 3) index triples in rising order."""
    triples = itertools.combinations_with_replacement(range(p), 3)
    return np.array(list(triples), dtype=np.int64)


def _cubes(X: Floats, weight: Floats) -> Floats:
    """Return the sums of weight times products of three columns, packed."""
    p = X.shape[1]
    parts = []
    for j in range(p):
        later = X[:, j:]
        sums = (later.T * (weight * X[:, j])) @ later
        parts.append(packed(sums))
    return np.concatenate(parts)


@dataclass(frozen=True, eq=False)
class Ahead:
    """The penalised likelihood at a state, and what it is believed to be nearby.

    The information is taken to change exponentially, at the rate that its derivative
    tells: so it does where chances are near 0 or 1, as those of the separated are, and
    where Newton's method, which takes it to stay as it is, moves by one logit a round.

    Attributes:
        point: with the penalised likelihood's own score and curvature.
        factor: (p, p) lower Cholesky factor of the information.
        rates: (p, p, p) the information's derivative by each coefficient, in units in
            which the information is 1.
        bent: (p, p) minus the curvature of the penalty; 0 far from the maximum.
    """

    point: Point
    factor: Floats
    rates: Floats
    bent: Floats

    @classmethod
    def of(cls, total: Message, information: Floats, inverse: Floats) -> "Ahead":
        """Return what the sums of a round tell, of which two are given as matrices."""
        p = len(information)
        cube = np.zeros((p, p, p))
        places = _places(p)
        for order in itertools.permutations(range(3)):
            cube[tuple(places[:, order].T)] = total["cube"]
        turned = np.einsum("kl,jlm->jkm", inverse, cube)  # inverse times each
        score = total["score"] + np.einsum("jkk->j", turned) / 2
        bent = np.einsum("jkm,lmk->jl", turned, turned) / 2
        bent = bent - unpacked(total["bend"], p) / 2
        if not _is_upward(information + bent, information):
            bent = np.zeros((p, p))
        penalty = float(np.linalg.slogdet(information)[1]) / 2
        loglik = float(total["loglik"][0]) + penalty
        factor = np.asarray(np.linalg.cholesky(information), np.float64)
        root = np.linalg.inv(factor)
        rates = np.einsum("ab,jbc,dc->jad", root, cube, root)
        return cls(Point(score, information + bent, loglik), factor, rates, bent)

    def information(self, step: Floats) -> Floats:
        """Return the information (p, p) believed to be a step away."""
        values, axes = self._along(step)
        return np.asarray((axes * np.exp(values)) @ axes.T)

    def step(self) -> Floats:
        """Return the step (p,) to where the score is believed to be 0.

        It is found by Newton's method with no one asked; a step beyond which nothing
        is believed is not taken.
        """
        step = np.zeros(len(self.bent))
        for _ in range(MOST_LOOKS):
            values, axes = self._along(step)
            passed = (axes * _mean_exp(values)) @ (axes.T @ step)
            score = self.point.score - passed - self.bent @ step
            there = (axes * np.exp(values)) @ axes.T
            bent = there + self.bent
            more = np.linalg.solve(bent if _is_upward(bent, there) else there, score)
            if np.abs(self._along(step + more)[0]).max() > FURTHEST:
                break
            step = step + more
            if np.abs(more).max() <= ROUNDING * np.abs(step).max():
                break
        if not step.any():
            whole = np.linalg.solve(self.point.information, self.point.score)
            return np.asarray(whole, np.float64)
        return step

    def _along(self, step: Floats) -> tuple[Floats, Floats]:
        """Return logarithms (p,) of what the information grows by, and axes (p, p)."""
        values, vectors = np.linalg.eigh(np.einsum("jab,j->ab", self.rates, step))
        return values, self.factor @ vectors


def _is_upward(curve: Floats, information: Floats) -> bool:
    """Return whether Newton's step by a curvature (p, p) leads upward, not too far."""
    least = eigh(curve, information, eigvals_only=True)[0]
    return float(least) >= LEAST_CURVE


def _mean_exp(values: Floats) -> Floats:
    """Return the means of exp over 0 to each value."""
    apart = np.where(values == 0, 1.0, values)
    return np.where(values == 0, 1.0, np.expm1(values) / apart)
