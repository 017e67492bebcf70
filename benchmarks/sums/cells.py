"""How many people have each combination of yes/no columns? Read off a model's rounds.

Nothing needs to be known of anybody: with k yes/no columns there are 2^k combinations,
each with and without the outcome, and every number that a logistic model sends is a sum
over them. Who is alone in a combination is then seen with their outcome.
"""

import itertools

import numpy as np
from scipy.optimize import nnls

from sums.people import People, logistic_parts, newton_states, opening_parts


def binary_people(seed: int, n: int, k: int) -> People:
    """Return n people with an intercept and k yes/no columns, some of them rare."""
    draw = np.random.default_rng([seed, n, k, 3])
    shares = np.resize([0.5, 0.3, 0.1, 0.2, 0.05, 0.4, 0.15, 0.25], k)
    sick = draw.normal(0, 1, n)  # what people share makes columns go together
    columns = [sick + draw.normal(0, 1, n) for _ in range(k)]
    cut = [
        column > np.quantile(column, 1 - s)
        for column, s in zip(columns, shares, strict=True)
    ]
    X = np.column_stack([np.ones(n), *cut]).astype(float)
    eta = -1.5 + X[:, 1:] @ draw.normal(0.3, 0.5, k)
    y = (draw.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
    return People(X, y, np.zeros(n), np.zeros(n))


def combinations(k: int) -> np.ndarray:
    """Return (2^k, k+1) designs of every combination."""
    every = np.array(list(itertools.product((0.0, 1.0), repeat=k)))
    return np.column_stack([np.ones(len(every)), every])


def truth(people: People) -> np.ndarray:
    """Return how many people have each combination, in the order of `combinations`."""
    k = people.X.shape[1] - 1
    place = people.X[:, 1:] @ 2 ** np.arange(k - 1, -1, -1)
    return np.bincount(place.astype(int), minlength=2**k)


def read_off(people: People, states: list) -> np.ndarray:
    """Return the counts that an attacker reads off the information at these states."""
    X, p = combinations(people.X.shape[1] - 1), people.X.shape[1]
    rows, values = [], []
    for beta in states:
        for of, put in ((X, rows), (people.X, values)):
            y = np.zeros(len(of))
            parts = (
                opening_parts(of, y) if beta is None else logistic_parts(of, y, beta)
            )
            put.append(parts[:, p : p + p * (p + 1) // 2])
    A = np.hstack(rows).T
    b = np.hstack(values).sum(axis=0)
    left, spread, right = np.linalg.svd(A, full_matrices=False)
    kept = spread > 1e-11 * spread[0]
    found, _ = nnls(right[kept], (left.T @ b)[kept] / spread[kept], maxiter=20000)
    return np.rint(found)


def small_cells_read(seed: int, n: int, k: int, rounds: int) -> tuple[float, float]:
    """Return the share of small combinations (1 to 9 people) that are read exactly.

    And that share for a guess: as if the columns had nothing to do with each other.
    """
    people = binary_people(seed, n, k)
    counts = truth(people)
    small = (counts >= 1) & (counts <= 9)
    if not small.any():
        return np.nan, np.nan
    found = read_off(people, newton_states(people)[:rounds])
    X, share = combinations(k), people.X.mean(axis=0)
    guess = n * np.where(X > 0, share, 1 - share)[:, 1:].prod(axis=1)
    hit, luck = found == counts, np.rint(guess) == counts
    return float(hit[small].mean()), float(luck[small].mean())
