"""Made-up people of hospitals, and the sums that regressions over them send.

What is attacked is linear: with all else known of everybody, each number that a
logistic model sends is b + a·z in an unknown yes/no column z, and each that a Cox model
sends is b + a·d in who had the event. `Seen` holds such numbers.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

SHARE = 0.3  # of people with the yes/no column that is attacked
AT = 1  # its place in the design


@dataclass(frozen=True)
class People:
    """Everyone in one sum: design (n, p) within -1 to 1, outcome, follow-up."""

    X: np.ndarray
    y: np.ndarray
    time: np.ndarray
    event: np.ndarray

    @property
    def n(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Seen:
    """Numbers that somebody sees: b = A @ unknown, up to rounding."""

    A: np.ndarray
    b: np.ndarray


def made(seed: int, n: int, p: int) -> People:
    """Return n people: intercept, the yes/no column, values as they are recorded."""
    draw = np.random.default_rng([seed, n, p])
    columns = [np.ones(n), (draw.random(n) < SHARE).astype(float)]
    kinds = ("age", "yes", "laboratory", "laboratory", "yes", "pressure")
    while len(columns) < p:
        kind = kinds[(len(columns) - 2) % len(kinds)]
        if kind == "age":
            years = draw.normal(60, 13, n).round().clip(18, 100)
            columns.append((years - 59) / 41)
        elif kind == "yes":
            columns.append((draw.random(n) < 0.4).astype(float))
        elif kind == "laboratory":  # mmol/L to one decimal
            columns.append((draw.normal(5, 1.2, n).round(1).clip(1, 9) - 5) / 4)
        else:
            columns.append((draw.normal(130, 18, n).round().clip(70, 210) - 140) / 70)
    X = np.column_stack(columns)
    beta = draw.normal(0, 0.5, p)
    beta[:2] = -0.5, 0.7
    eta = X @ beta
    y = (draw.random(n) < expit(eta)).astype(float)
    death = draw.exponential(np.exp(-eta) * 900, n)
    end = draw.uniform(100, 1500, n)
    time = np.ceil(np.minimum(death, end) * 1000) / 1000  # no ties
    return People(X, y, time, (death <= end).astype(float))


def packed(matrices: np.ndarray) -> np.ndarray:
    """Return the upper triangles (..., p(p+1)/2) of symmetric matrices."""
    rows, columns = np.triu_indices(matrices.shape[-1])
    return matrices[..., rows, columns]


# --- logistic ---------------------------------------------------------------------
def logistic_parts(X: np.ndarray, y: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Return (n, q) what each person adds to score, information and log-likelihood."""
    eta = np.clip(X @ beta, -700, 700)
    mu = expit(eta)
    outer = packed(X[:, :, None] * X[:, None, :]) * (mu * (1 - mu))[:, None]
    likelihood = y * eta - np.logaddexp(0, eta)
    return np.hstack([X * (y - mu)[:, None], outer, likelihood[:, None]])


def opening_parts(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return (n, q) what each person adds to the opening round."""
    return np.hstack([X * (y - 0.5)[:, None], packed(X[:, :, None] * X[:, None, :])])


def column_seen(people: People, states: list, known: People | None = None) -> Seen:
    """Return the numbers of a logistic model, as linear in the yes/no column.

    Args:
        people: as they are.
        states: coefficients of each round; None stands for the opening.
        known: as the attacker takes them to be; by default exactly as they are.
    """
    known = known or people
    without, with_ = known.X.copy(), known.X.copy()
    without[:, AT], with_[:, AT] = 0.0, 1.0
    rows, values = [], []
    for beta in states:
        of = opening_parts if beta is None else _at(beta)
        base = of(without, known.y)
        rows.append((of(with_, known.y) - base).T)
        values.append(of(people.X, people.y).sum(axis=0) - base.sum(axis=0))
    return Seen(np.vstack(rows), np.concatenate(values))


def _at(beta):
    return lambda X, y: logistic_parts(X, y, beta)


def outcome_seen(people: People, states: list) -> Seen:
    """Return the numbers of a logistic model as linear in the outcome, X being known.

    Of each round that is X'y less what is known, and so the same p numbers again; the
    information holds no outcome at all.
    """
    rows = [people.X.T for _ in states]
    values = []
    for beta in states:
        mu = np.full(people.n, 0.5) if beta is None else expit(people.X @ beta)
        values.append(people.X.T @ (people.y - mu) + people.X.T @ mu)
    return Seen(np.vstack(rows), np.concatenate(values))


def newton_states(people: People) -> list:
    """Return where the rounds of a logistic fit are taken: the opening, then Newton."""
    X, y = people.X, people.y
    share = y.mean()
    beta = np.linalg.lstsq(X, y - share, rcond=None)[0] / (share * (1 - share))
    beta[0] += np.log(share / (1 - share))
    states = [None]
    for _ in range(24):
        states.append(beta)
        mu = expit(X @ beta)
        step = np.linalg.solve((X.T * (mu * (1 - mu))) @ X, X.T @ (y - mu))
        beta = beta + step
        if np.abs(step).max() < 1e-8:
            break
    return states


# --- Cox --------------------------------------------------------------------------
def cox_parts(X: np.ndarray, time: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Return (n, q) what each person adds to score, information and log-likelihood,

    if they have the event; times without ties, risk sets within the sum.
    """
    order = np.argsort(-time, kind="stable")
    x, eta = X[order], X[order] @ beta
    rate = np.exp(eta - eta.max())
    s0 = np.cumsum(rate)
    mean = np.cumsum(x * rate[:, None], axis=0) / s0[:, None]
    outer = packed(x[:, :, None] * x[:, None, :])
    square = np.cumsum(outer * rate[:, None], axis=0) / s0[:, None]
    spread = square - packed(mean[:, :, None] * mean[:, None, :])
    likelihood = eta - eta.max() - np.log(s0)
    found = np.hstack([x - mean, spread, likelihood[:, None]])
    back = np.empty_like(found)
    back[order] = found
    return back


def events_seen(people: People, states: list, known: People | None = None) -> Seen:
    """Return the numbers of a Cox model, as linear in who had the event."""
    known = known or people
    rows = [cox_parts(known.X[:, 1:], known.time, beta).T for beta in states]
    values = [
        people.event @ cox_parts(people.X[:, 1:], people.time, beta) for beta in states
    ]
    return Seen(np.vstack(rows), np.concatenate(values))


def cox_states(people: People) -> list:
    """Return where the rounds of a Cox fit are taken."""
    X, p = people.X[:, 1:], people.X.shape[1] - 1
    beta, states = np.zeros(p), []
    rows, columns = np.triu_indices(p)
    for _ in range(25):
        states.append(beta)
        sums = people.event @ cox_parts(X, people.time, beta)
        information = np.zeros((p, p))
        information[rows, columns] = information[columns, rows] = sums[p:-1]
        step = np.linalg.solve(information, sums[:p])
        beta = beta + step
        if np.abs(step).max() < 1e-8:
            break
    return states


# --- states that somebody chooses ---------------------------------------------------
def chosen_states(kind: str, seed: int, count: int, p: int) -> list:
    """Return states of an attacker's choice: `random`, `one-hot` or `saturating`."""
    draw = np.random.default_rng([seed, count, p, 7])
    if kind == "random":
        return list(draw.normal(0, 1.5, (count, p)))
    if kind == "one-hot":
        found = np.zeros((count, p))
        found[np.arange(count), np.arange(count) % p] = draw.normal(0, 4, count)
        return list(found)
    return list(draw.normal(0, 1, (count, p)) * 40)  # all probabilities are 0 or 1
