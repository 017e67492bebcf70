"""One model against a thousand in one batch: messages, bytes and seconds.

    python benchmarks/bench_screen.py [--models 1000] [--people 12000] [--sites 3]

Made-up people at every site, one exposure, `models` outcomes, two terms. A site shows
at most one sum for ten people about anybody: so a thousand outcomes, each of which is
crossed with every term, need somewhat over ten thousand people. The whole
protocol in one process: keys, permit, gate, sealed sums over two hubs, logs and the
certificate, which is then verified by working every sum out again.
"""

import argparse
import asyncio
import csv
import functools
import tempfile
import time
from pathlib import Path

import numpy as np

from hetao.canonical import parse_canonical
from hetao.cdm import open_flat
from hetao.federation.certify import recompute
from hetao.federation.embedded import run_embedded
from hetao.release import Policy
from hetao.study import Analysis, Level, Minimum, Study, Variable

LOOSE = Policy(Minimum(leverage=0.9), reason="made-up people")


def column(name, **fields):
    return Variable(name, source="column", column=name, **fields)


def category(name):
    levels = tuple(Level(level, level) for level in ("no", "yes"))
    return column(name, kind="category", levels=levels)


def study_of(models, sites):
    outcomes = tuple(f"o{i}" for i in range(models))
    analysis = Analysis(
        "screen",
        "screen",
        model="logistic",
        exposures=("drug",),
        outcomes=outcomes,
        controls=outcomes[: models // 2],
        terms=("age", "sex"),
    )
    age = column("age", kind="number", bounds=(18.0, 100.0))
    names = ("drug", "sex", *outcomes)
    return Study(
        "screen",
        "A screen",
        "Which?",
        "1",
        "flat",
        tuple(sites),
        (age, *map(category, names)),
        (analysis,),
        deadline_seconds=3600,
    )


def write(path, people, models, seed):
    """Write a site's made-up people, half of whose outcomes the drug makes commoner."""
    draw = np.random.default_rng(seed)
    age = draw.normal(60, 12, people).clip(18, 100)
    drug = draw.random(people) < 1 / (1 + np.exp(-(age - 60) / 20))
    effect = np.repeat([0.0, 0.3], [models // 2, models - models // 2])
    logit = -1 + 0.02 * (age - 60)[:, None] + drug[:, None] * effect
    ill = draw.random(logit.shape) < 1 / (1 + np.exp(-logit))
    sex = draw.integers(0, 2, people)
    word = np.array(["no", "yes"])
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["age", "drug", "sex", *(f"o{i}" for i in range(models))])
        rows.writerows(
            [f"{a:.1f}", word[int(d)], word[s], *word[one.astype(int)]]
            for a, d, s, one in zip(age, drug, sex, ill, strict=True)
        )


def measured(models, people, sites):
    """Return the outcome, the finding, and seconds of the run and of verification."""
    names = [f"site-{i + 1}" for i in range(sites)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {}
        for seed, site in enumerate(names):
            write(folder / f"{site}.csv", people, models, seed)
            sources[site] = functools.partial(
                open_flat, folder / f"{site}.csv", genes=()
            )
        began = time.perf_counter()
        answered = asyncio.run(
            run_embedded(
                study_of(models, names),
                sources,
                folder / "run",
                dict.fromkeys(names, LOOSE),
            )
        )
        wall = time.perf_counter() - began
        certificate = parse_canonical(answered.certificate)
        began = time.perf_counter()
        recompute(certificate)
        checked = time.perf_counter() - began
    body = certificate["body"]
    return answered.outcome, body["findings"][0]["finding"], wall, checked


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--people", type=int, default=12_000)
    parser.add_argument("--sites", type=int, default=3)
    chosen = parser.parse_args()
    print("| models | fitted | rounds | messages | bytes a site | wall s | verify s |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for models in (1, chosen.models):
        outcome, found, wall, checked = measured(models, chosen.people, chosen.sites)
        fitted = sum(not pair["refused"] for pair in found["pairs"])
        size = max(outcome.bytes_per_site.values())
        print(
            f"| {models:,} | {fitted:,} | {found['rounds']} | {outcome.messages} "
            f"| {size:,} | {wall:.1f} | {checked:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
