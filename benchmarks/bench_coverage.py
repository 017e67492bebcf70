"""Do 95 % intervals of weighted and standardised effects hold what they promise?

    python benchmarks/bench_coverage.py [POPULATIONS [PERSONS]]

Many made-up populations at three sites that differ: people who are older and ill are
treated more often, and fare worse. For each estimator the share of intervals that
cover the truth, and the mean standard error over the spread of the estimates, which is
1 where it is honest. The truth is the same estimator on 400,000 people.
"""

import os
import sys
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when numpy is imported

import numpy as np

from hetao.analysis import oracle
from hetao.study import Analysis, Level, Study, Variable

SITES = ("north", "east", "south")
CRITICAL = 1.959963984540054
MANY = 400_000
TERMS = ("age", "ill", "site")


def column(name, **fields):
    return Variable(name, source="column", column=name, **fields)


def category(name):
    levels = tuple(Level(level, level) for level in ("no", "yes"))
    return column(name, kind="category", levels=levels)


def effect(kind, estimand, **more):
    fields = {"outcome": "died", "terms": TERMS} | more
    return Analysis(kind, kind, treatment="drug", estimand=estimand, **fields)


def weighted(kind, estimand, **more):
    fields = {"terms": ("drug",), "treatment": "drug", "score": TERMS, **more}
    return Analysis(kind, kind, estimand=estimand, **fields)


COX = {"time": "days", "event": "seen", "strata": ("site",)}
ASKED = {
    "cox, weighted, ATE": weighted("cox", "ATE", **COX),
    "cox, weighted, ATT": weighted("cox", "ATT", **COX),
    "cox, weighted, overlap": weighted("cox", "ATO", **COX),
    "logistic, weighted, ATE": weighted("logistic", "ATE", outcome="died"),
    "poisson, weighted, overlap": weighted("poisson", "ATO", outcome="falls"),
    "ipw, ATE": effect("ipw", "ATE"),
    "ipw, overlap": effect("ipw", "ATO"),
    "g_computation, ATE": effect("g_computation", "ATE"),
    "aipw, ATE": effect("aipw", "ATE"),
    "aipw, ATT": effect("aipw", "ATT"),
    "aipw on counts, ATE": effect("aipw", "ATE", outcome="falls", family="poisson"),
}
STUDY = Study(
    "coverage",
    "Coverage",
    "Do intervals cover?",
    "1",
    "flat",
    SITES,
    (
        column("age", kind="number", bounds=(20.0, 100.0)),
        column("days", kind="number", bounds=(0.0, 2000.0)),
        column("falls", kind="number", bounds=(0.0, 100.0)),
        *map(category, ("ill", "drug", "died", "seen")),
    ),
    tuple(ASKED.values())[:1],
)


def population(seed, persons):
    """Return site → columns of made-up people."""
    draw, parts = np.random.default_rng(seed), {}
    for place, site in enumerate(SITES):
        n = persons // len(SITES)
        age = draw.normal(60 + 2 * place, 10, n).clip(20, 100)
        ill = draw.random(n) < 0.4
        old = (age - 62) / 10
        drug = draw.random(n) < expit(-0.3 + 0.6 * old + 0.8 * ill + 0.3 * place)
        risk = (
            -1.2 + 0.5 * old + 0.7 * ill - 0.4 * drug + 0.3 * drug * ill - 0.2 * place
        )
        rate = np.exp(risk) / 300
        time, end = draw.exponential(1 / rate), draw.uniform(100, 700, n)
        parts[site] = {
            "age": age,
            "ill": ill.astype(np.int64),
            "drug": drug.astype(np.int64),
            "died": (draw.random(n) < expit(risk)).astype(np.int64),
            "seen": (time <= end).astype(np.int64),
            "days": np.minimum(time, end).clip(0, 2000),
            "falls": draw.poisson(np.exp(0.5 * risk)).clip(0, 100).astype(float),
        }
    return parts


def expit(x):
    return 1 / (1 + np.exp(-x))


def of_drug(analysis, parts):
    """Return the estimate and standard error of the drug's effect."""
    terms = oracle(STUDY, analysis, parts).payload["terms"]
    named = [term for term in terms if term["name"].startswith("drug")]
    term = (named or terms)[0]
    return term["estimate"], term["se"]


def main(populations, persons):
    """Print coverage and honesty of every estimator."""
    start = time.perf_counter()
    truth = {name: of_drug(one, population(0, MANY))[0] for name, one in ASKED.items()}
    found = {name: [] for name in ASKED}
    for seed in range(1, populations + 1):
        parts = population(seed, persons)
        for name, analysis in ASKED.items():
            found[name].append(of_drug(analysis, parts))
    print(
        f"{populations} populations of {persons} people at {len(SITES)} sites, ", end=""
    )
    print(f"{time.perf_counter() - start:.0f} s")
    print("| estimator | truth | mean | intervals that cover | error / spread |")
    print("|---|---:|---:|---:|---:|")
    for name, pairs in found.items():
        estimate, se = np.array(pairs).T
        covered = np.abs(estimate - truth[name]) < CRITICAL * se
        print(
            f"| {name} | {truth[name]:.3f} | {estimate.mean():.3f} "
            f"| {covered.mean():.1%} | {se.mean() / estimate.std(ddof=1):.3f} |"
        )


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*[*given, *(1000, 900)[len(given) :]])
