"""Logistic regression with Firth's penalty: an answer where the outcome is separated.

The penalty is half the logarithm of the information's determinant (Jeffreys' prior).
Its slope needs the information's derivatives, which are sums over people too, so every
round is exact and none is spent on leverages.
"""

import itertools

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
        second derivative, traced with the inverse of the round before, which only
        speeds the rounds up.
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
        point = _penalised(total, information, inverse.matrix)
        answer = advance(point, state, round_number, names)
        if not isinstance(answer, Fit):
            # Without errors to compare with, none is taken to run off: none does.
            next_state = {name: array for name, array in answer.items() if name != "se"}
            return next_state | {"inverse": packed(inverse.matrix)}
        scale = float(np.linalg.slogdet(self.plan.to_units())[1])
        fit = Fit(
            answer.beta,
            inverse.matrix,
            answer.loglik - scale,
            answer.rounds,
            inverse.condition,
        )
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


def _penalised(total: Message, information: Floats, inverse: Floats) -> Point:
    """Return the penalised likelihood with its own score and curvature."""
    p = len(information)
    cube = np.zeros((p, p, p))
    places = _places(p)
    for order in itertools.permutations(range(3)):
        cube[tuple(places[:, order].T)] = total["cube"]
    turned = np.einsum("kl,jlm->jkm", inverse, cube)  # inverse times each derivative
    score = total["score"] + np.einsum("jkk->j", turned) / 2
    curve = information + np.einsum("jkm,lmk->jl", turned, turned) / 2
    curve = curve - unpacked(total["bend"], p) / 2
    if float(eigh(curve, information, eigvals_only=True)[0]) < LEAST_CURVE:
        curve = information  # far from the maximum, the plain way upward
    penalty = float(np.linalg.slogdet(information)[1]) / 2
    return Point(score, curve, float(total["loglik"][0]) + penalty)
