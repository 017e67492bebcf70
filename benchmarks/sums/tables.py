"""What tables by a group tell of who is in it, to who knows all else of everybody.

A Table 1 by a group tells of each thing that it describes one sum over the group: of a
yes/no column how many have it, of a number its sum and its sum of squares. Over known
columns these are linear in who is in the group. `share` is how many such sums there are
for each person.
"""

import sys

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, lsq_linear, milp

from sums.people import Seen
from sums.solvers import as_ones, boxed, whitened

SHARES = (0.05, 0.1, 0.15, 0.2, 0.3)
PREVALENCES = (0.1, 0.5)
PEOPLE = (100, 150, 300, 1000, 3000)
FEW = 150  # up to so many people the sums are tried in whole numbers as well
SECONDS = 5.0  # of each search in whole numbers
SOUGHT = 3  # populations that are
SMALL = 300  # up to so many people rounded sums are fitted, above them taken as exact
ROUNDED = 5
KINDS = ("yes/no", "yes/no, rounded", "numbers")
BINS = (12, 35, 1024)


def described(draw: np.random.Generator, n: int, sums: int, kind: str) -> np.ndarray:
    """Return (sums, n) what a table by a group sums over it; the first counts it."""
    rows = [np.ones(n)]
    while len(rows) < sums:
        if kind == "numbers" and len(rows) % 3:  # ages, pressures, laboratory values
            value = np.rint(draw.normal(60, 12, n) * 10 ** (len(rows) % 2))
            rows += [value, value**2]
        else:
            rows.append((draw.random(n) < draw.uniform(0.05, 0.5)).astype(float))
    return np.array(rows[:sums])


def told(seed: int, n: int, share: float, prevalence: float, kind: str) -> dict:
    """Return the share of people told right by each solver, and by a guess."""
    draw = np.random.default_rng([seed, n, int(100 * share), int(10 * prevalence)])
    sums = max(1, int(share * n + 1e-9))
    A = described(draw, n, sums, kind)
    group = np.zeros(n)
    group[draw.permutation(n)[: round(prevalence * n)]] = 1.0
    b = A @ group
    error = 0.0
    if kind.endswith("rounded"):
        b, error = ROUNDED * np.rint(b / ROUNDED), ROUNDED / 2
    found = _boxed(A, b, prevalence, error)
    guess = max(prevalence, 1 - prevalence)
    one = {"n": n, "share": share, "prevalence": prevalence, "kind": kind, "seed": seed}
    one |= {"guess": guess, "right": _right(as_ones(found, round(b[0])), group)}
    sought = n <= FEW and seed < SOUGHT
    whole = _whole(A, b, error) if sought else None
    one["whole"] = None if whole is None else _right(whole, group)
    return one | {"sought": sought}


def _right(found: np.ndarray, truth: np.ndarray) -> float:
    return float((found == truth).mean())


def _boxed(A: np.ndarray, b: np.ndarray, mean: float, error: float) -> np.ndarray:
    start = np.full(A.shape[1], mean)
    if error and A.shape[1] <= SMALL:
        return lsq_linear(A, b, (0, 1), max_iter=100).x
    rows, values = whitened(Seen(A, b))
    return boxed(rows, values, start)


def _whole(A: np.ndarray, b: np.ndarray, error: float) -> np.ndarray | None:
    """Return zeros and ones that give the sums; None where none was found in time."""
    size = np.abs(A).max(axis=1)
    near = LinearConstraint(A / size[:, None], (b - error) / size, (b + error) / size)
    n = A.shape[1]
    found = milp(
        np.zeros(n), integrality=np.ones(n), bounds=Bounds(0, 1), constraints=near,
        options={"time_limit": SECONDS},
    )  # fmt: skip
    return None if found.x is None else np.rint(found.x)


def grid(seed: int, n: int, bins: int, prevalence: float) -> dict:
    """Return what counts of a group in each bin of a known number tell, by event."""
    draw = np.random.default_rng([seed, n, bins, int(10 * prevalence)])
    group = np.zeros(n)
    group[draw.permutation(n)[: round(prevalence * n)]] = 1.0
    time, event = draw.exponential(0.35, n).clip(0, 1), draw.random(n) < 0.7
    cell = np.minimum((time * bins).astype(int), bins - 1) * 2 + event
    inside = np.bincount(cell, group, 2 * bins)
    outside = np.bincount(cell, 1 - group, 2 * bins)
    return {
        "n": n, "bins": bins, "prevalence": prevalence, "seed": seed,
        "right": float(np.maximum(inside, outside).sum() / n),
        "guess": max(prevalence, 1 - prevalence),
    }  # fmt: skip


def tables(seeds: int) -> list[dict]:
    """All else is known exactly; tables by a group of two levels."""
    found = []
    for n in PEOPLE:
        for prevalence in PREVALENCES:
            for kind in KINDS:
                for share in SHARES:
                    found += [
                        told(seed, n, share, prevalence, kind)
                        for seed in range(seeds if n <= 300 else max(2, seeds // 3))
                    ]
        print("tables", n, flush=True, file=sys.stderr)
    return found


def grids(seeds: int) -> list[dict]:
    """Curves by a group, bin by bin, to who knows everybody's times and events."""
    return [
        grid(seed, n, bins, prevalence)
        for n in PEOPLE
        for bins in BINS
        for prevalence in PREVALENCES
        for seed in range(seeds)
    ]
