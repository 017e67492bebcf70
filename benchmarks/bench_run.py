"""A whole fit over real processes and TLS, and what a round of it costs.

Beside it, in the same run, the floor of a round: the same estimator over the same
rows in one process, without envelopes, keys, journals, logs or sockets.
"""

import csv
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hetao.analysis import oracle
from hetao.cdm import open_flat
from hetao.cohort import build
from hetao.study import read_study

SITES, PEOPLE = 4, 20_000


def write_rows(path):
    """Write a flat file of made-up people at four sites."""
    rng = random.Random(2026)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["site_name", "age", "sex", "y"])
        for _ in range(PEOPLE):
            age = round(rng.gauss(60, 10), 1)
            sex = rng.choice("fm")
            odds = (age - 60) / 10 + (sex == "m") * 0.5
            y = int(rng.random() < 1 / (1 + 2.718281828 ** (-odds)))
            writer.writerow([f"h{rng.randrange(SITES)}", age, sex, y])


def bare_seconds(study_path, data):
    """Return the seconds of the same fit as arithmetic alone."""
    study = read_study(study_path)
    analysis = study.analyses[0]
    parts = {}
    for site in study.sites:
        with open_flat(data, "site_name", site) as table:
            parts[site] = build(study, table).columns
    start = time.perf_counter()
    oracle(study, analysis, parts)
    return time.perf_counter() - start


def main():
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder) / "rows.csv", Path(folder) / "out"
        write_rows(data)
        words = ["fit", "logistic", "y ~ age + sex", "--data", data]
        words += ["--split-by", "site_name", "--json", "--out", out]
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "hetao.cli", *map(str, words)],
            capture_output=True,
            text=True,
            check=True,
        )
        took = time.perf_counter() - start
        body = json.loads(done.stdout)
        findings = json.loads((out / "findings.json").read_text())
        rounds, seconds = body["rounds"], sum(findings["seconds"].values())
        size = max(body["bytes_per_site"].values())
        print(f"fit over {SITES} processes  {took:7.2f} s with their start")
        print(f"rounds                {rounds:7d}")
        floor = bare_seconds(out / "study.toml", data) / rounds
        ratio = seconds / rounds / floor
        print(f"a round               {1000 * seconds / rounds:7.1f} ms")
        print(f"bare arithmetic       {1000 * floor:7.1f} ms  ratio {ratio:.0f}")
        print(f"bytes a site          {size:7d} in shares, {body['messages']} messages")


if __name__ == "__main__":
    main()
