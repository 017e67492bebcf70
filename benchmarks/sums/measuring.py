"""The measurements: what share of people is told right, and what a guess gets right."""

import sys
from dataclasses import replace

import numpy as np

from sums.cells import small_cells_read
from sums.people import (
    AT,
    People,
    chosen_states,
    column_seen,
    cox_states,
    events_seen,
    made,
    newton_states,
    outcome_seen,
)
from sums.solvers import (
    PRECISION,
    as_ones,
    boxed,
    by_lattice,
    decomposed,
    kept,
    whitened,
)

NOISES = (PRECISION, 1e-6, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1)
SIZES = ((50, 5), (100, 5), (100, 10), (200, 10), (500, 10), (500, 20), (1000, 20))
LARGE = ((2000, 10), (5000, 10), (5000, 20))


def truth_of(people: People, target: str) -> np.ndarray:
    return {"column": people.X[:, AT], "event": people.event, "outcome": people.y}[
        target
    ]


def seen_of(people: People, target: str, states: list, known: People | None = None):
    """Return the numbers of a model as linear in the target."""
    if target == "outcome":
        return outcome_seen(people, states)
    make = column_seen if target == "column" else events_seen
    return make(people, states, known)


def path_of(people: People, target: str) -> list:
    """Return where an honest run takes its rounds."""
    return cox_states(people) if target == "event" else newton_states(people)


def right(seen, truth: np.ndarray, noises=(PRECISION,)) -> tuple[float, int]:
    """Return the share told right, for the noise that suits attackers; the rank."""
    start, ones = np.full(len(truth), truth.mean()), int(truth.sum())
    best, rank, parts = 0.0, 0, decomposed(seen)
    for noise in noises:
        rows, values = kept(parts, noise)
        told = as_ones(boxed(rows, values, start), ones)
        rank = max(rank, len(rows))
        best = max(best, float((told == truth).mean()))
    return best, rank


def guess(people: People, target: str) -> float:
    """Return the share that the published finding and everybody's other values tell.

    People are put in order by how likely the model makes it, and as many are named as
    there are.
    """
    truth = truth_of(people, target)
    if target == "column":
        beta = newton_states(people)[-1]
        other = np.delete(np.arange(people.X.shape[1]), AT)
        eta = people.X[:, other] @ beta[other]
        likelihood = [
            people.y * (eta + z * beta[AT]) - np.logaddexp(0, eta + z * beta[AT])
            for z in (0, 1)
        ]
        order = likelihood[1] - likelihood[0]
    elif target == "event":
        beta = cox_states(people)[-1]
        order = people.X[:, 1:] @ beta - people.time / people.time.max()
    else:
        order = people.X @ newton_states(people)[-1]
    named = as_ones(order + 1e-9 * np.arange(len(order)), int(truth.sum()))
    return max(float((named == truth).mean()), truth.mean(), 1 - truth.mean())


def exact(seeds: int) -> list[dict]:
    """All else is known exactly: rounds of an honest path, then states of choice."""
    found = []
    for n, p in (*SIZES, *LARGE):
        for seed in range(seeds if n <= 500 else max(2, seeds // 5)):
            people = made(seed, n, p)
            for target in ("column", "event"):
                truth, lucky = truth_of(people, target), guess(people, target)
                path = path_of(people, target)
                runs = [("newton", path[:r]) for r in range(1, len(path) + 1)]
                if n <= 500 and target == "column":
                    for kind in ("random", "one-hot", "saturating"):
                        for count in (1, 2, 4, 8):
                            states = chosen_states(kind, seed, count, p)
                            runs.append((kind, states))
                for kind, states in runs:
                    seen = seen_of(people, target, states)
                    share, rank = right(seen, truth)
                    found.append(
                        {
                            "n": n, "p": p, "seed": seed, "target": target,
                            "states": kind, "rounds": len(states),
                            "numbers": len(seen.b), "rank": rank,
                            "right": share, "guess": lucky,
                        }
                    )  # fmt: skip
        print("exact", n, p, flush=True, file=sys.stderr)
    return found


def mistaken(people: People, share: float, seed: int) -> People:
    """Return what an attacker believes who takes some people for somebody else."""
    draw = np.random.default_rng([seed, 11])
    wrong = np.zeros(people.n, bool)
    wrong[draw.permutation(people.n)[: int(np.ceil(share * people.n))]] = True
    source = draw.integers(0, people.n, people.n)
    X, y, time = people.X.copy(), people.y.copy(), people.time.copy()
    X[wrong], y[wrong] = people.X[source][wrong], people.y[source][wrong]
    time[wrong] = people.time[source][wrong] + draw.random(wrong.sum())
    return replace(people, X=X, y=y, time=time)


def inexact(seeds: int, n: int = 100, p: int = 10) -> list[dict]:
    """An attacker is mistaken about some; over the sum of so many sites."""
    found = []
    for sites in (1, 2, 3, 5, 10):
        for share in (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5):
            for seed in range(seeds):
                people = made(seed, n * sites, p)
                known = mistaken(people, share, seed) if share else people
                for target in ("column", "event"):
                    seen = seen_of(people, target, path_of(people, target), known)
                    told, _ = right(seen, truth_of(people, target), NOISES)
                    found.append(
                        {
                            "sites": sites, "n": n, "p": p, "seed": seed,
                            "wrong": share, "target": target, "right": told,
                            "numbers": len(seen.b), "guess": guess(people, target),
                        }
                    )  # fmt: skip
        print("inexact", sites, flush=True, file=sys.stderr)
    return found


def larger(seeds: int) -> list[dict]:
    """Larger models of one site's people; the attacker is mistaken about some."""
    found = []
    for n, p in ((200, 10), (100, 10), (200, 20), (300, 30), (500, 50)):
        for share in (0.01, 0.02, 0.05, 0.1):
            for seed in range(seeds):
                people = made(seed, n, p)
                seen = column_seen(
                    people, newton_states(people), mistaken(people, share, seed)
                )
                told, _ = right(seen, people.X[:, AT], NOISES[1:])
                found.append(
                    {
                        "n": n, "p": p, "seed": seed, "wrong": share, "right": told,
                        "numbers": len(seen.b), "guess": guess(people, "column"),
                    }
                )  # fmt: skip
        print("larger", n, p, flush=True, file=sys.stderr)
    return found


def _share(told: np.ndarray, truth: np.ndarray) -> float:
    return float((told == truth).mean())


def lattice(seeds: int) -> list[dict]:
    """Six numbers of the second round, and all p of the outcome, by a lattice."""
    found = []
    for n, p in ((20, 3), (30, 3), (40, 4), (50, 5), (60, 6)):
        for seed in range(seeds):
            people = made(seed, n, p)
            for target, take in (("column", 6), ("outcome", p)):
                states = [newton_states(people)[1]]
                rows, values = whitened(seen_of(people, target, states), 1e-6)
                told = by_lattice(rows[:take], values[:take], 36)
                truth = truth_of(people, target)
                found.append(
                    {
                        "n": n, "p": p, "seed": seed, "target": target,
                        "numbers": len(rows[:take]),
                        "is_solution": told is not None,
                        "right": None if told is None else _share(told, truth),
                        "guess": guess(people, target),
                    }
                )  # fmt: skip
        print("lattice", n, flush=True, file=sys.stderr)
    return found


def outcomes(seeds: int) -> list[dict]:
    """Outcomes of a logistic model, all else known: round after round."""
    found = []
    for n, p in ((50, 5), (100, 10), (500, 10)):
        for seed in range(seeds):
            people = made(seed, n, p)
            path = newton_states(people)
            for rounds in (1, len(path)):
                seen = outcome_seen(people, path[:rounds])
                share, rank = right(seen, people.y)
                found.append(
                    {
                        "n": n, "p": p, "seed": seed, "rounds": rounds, "rank": rank,
                        "right": share, "guess": guess(people, "outcome"),
                    }
                )  # fmt: skip
    return found


def combinations(seeds: int) -> list[dict]:
    """Nothing is known of anybody; the columns are yes or no."""
    found = []
    for n in (300, 3000, 30000):
        for k in (3, 4, 5, 6, 8):
            for rounds in (1, 2, 3, 25):
                for seed in range(seeds):
                    read, luck = small_cells_read(seed, n, k, rounds)
                    if np.isfinite(read):
                        found.append(
                            {
                                "n": n, "k": k, "rounds": rounds, "seed": seed,
                                "read": read, "guess": luck,
                            }
                        )  # fmt: skip
    return found
