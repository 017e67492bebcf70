"""Are the known true effects found? Many small made-up populations, every comparison.

    python benchmarks/bench_effects.py [POPULATIONS [PERSONS]]

Prints, for each drug and outcome, how often the 95 % interval of the federated Cox
model stratified by site covers the truth, with the measured confounders and without,
and the mean estimates; and the largest distance of a federated estimate from a pooled
fit of statsmodels, in standard errors.
"""

import functools
import multiprocessing
import os
import sys
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when numpy is imported

import duckdb
import numpy as np
import statsmodels.api as sm

from hetao.analysis import oracle
from hetao.synth import (
    Population,
    allot,
    create_truth,
    read_sites,
    shipped_world,
)
from hetao.synth.effects import (
    ARM,
    DAYS,
    ILL,
    effect_columns,
    effect_study,
)

CRITICAL = 1.959963984540054
POOLED_TIMES = 5  # populations for which the pooled fit is made, too


def one_population(seed: int, persons: int) -> tuple[dict, float]:
    """Fit every comparison in one population; return fits by outcome, and distance."""
    world, sites = shipped_world(), allot(read_sites("gba"), persons)
    found, distance = {}, 0.0
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        connection.execute("SET enable_progress_bar = false")
        create_truth(connection)
        for site in sites:
            Population(world, sites, seed).fill(connection, site)
        for comparison in world.comparisons:
            for outcome in comparison.outcomes:
                study = effect_study(
                    world, comparison, outcome, tuple(s.name for s in sites)
                )
                parts = effect_columns(connection, world, comparison, outcome)
                fits = [oracle(study, a, parts).payload for a in study.analyses]
                arms = [fit["terms"][0] for fit in fits]
                key = (comparison.name, outcome.disease, outcome.log_hazard_ratio)
                found[key] = [fits[0]["n"], fits[0]["events"]] + [
                    term[name] for term in arms for name in ("estimate", "se")
                ]
                if seed <= POOLED_TIMES:
                    terms = study.analyses[0].terms
                    distance = max(distance, _distance(terms, parts, fits[0]))
    return found, distance


def main(populations: int, persons: int) -> None:
    """Print what all populations say, one process a processor."""
    found, distance, start = defaultdict(list), 0.0, time.perf_counter()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context) as pool:
        each = functools.partial(one_population, persons=persons)
        for done, (fits, far) in enumerate(
            pool.map(each, range(1, populations + 1)), 1
        ):
            distance = max(distance, far)
            for key, row in fits.items():
                found[key].append(row)
            if done % 20 == 0:
                print(f"  {done}/{populations} populations", flush=True)
    print(f"{populations} populations of {persons} people at 4 sites, ", end="")
    print(f"{time.perf_counter() - start:.0f} s")
    print(f"{'outcome':24} people events   truth adjusted covered   crude covered")
    total = []
    for (_, disease, truth), rows in found.items():
        n, events, estimate, se, crude, crude_se = np.array(rows).T
        covered = np.abs(estimate - truth) < CRITICAL * se
        misled = np.abs(crude - truth) < CRITICAL * crude_se
        total.extend(covered)
        print(
            f"{disease:24} {n.mean():6.0f} {events.mean():6.0f}  {truth:6.3f}   "
            f"{estimate.mean():6.3f}  {covered.mean():6.1%}  {crude.mean():6.3f}  "
            f"{misled.mean():6.1%}"
        )
    print(f"all {len(total)} intervals: {np.mean(total):.1%} cover")
    print(f"federated and pooled (statsmodels) differ by {distance:.1e} SE at most")


def _distance(terms, parts, fit) -> float:
    """Return the largest distance of a term from the pooled fit, in standard errors."""
    pooled = {
        name: np.concatenate([columns[name] for columns in parts.values()])
        for name in next(iter(parts.values()))
    }
    named = [term.partition("/") for term in terms]
    design = [pooled[name] / float(scale or 1) for name, _, scale in named]
    model = sm.PHReg(
        pooled[DAYS],
        np.column_stack(design),
        status=pooled[ILL],
        strata=np.repeat(np.arange(len(parts)), [len(p[ARM]) for p in parts.values()]),
        ties="efron",
    )
    estimates = np.asarray(model.fit(disp=False).params)
    for _ in range(5):  # its own stopping rule leaves a few digits
        estimates += np.linalg.solve(-model.hessian(estimates), model.score(estimates))
    errors = np.sqrt(np.diag(np.linalg.inv(-model.hessian(estimates))))
    federated = np.array([term["estimate"] for term in fit["terms"]])
    return float(np.max(np.abs(federated - estimates) / errors))


if __name__ == "__main__":
    words = [int(word) for word in sys.argv[1:]]
    main(*(words + [200, 40_000][len(words) :]))
