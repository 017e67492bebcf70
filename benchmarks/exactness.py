"""How far federated estimates lie from their oracles: runs them, writes the page.

    python benchmarks/exactness.py [docs/exactness.md]

Every comparison of `tests/oracles` that has estimates and standard errors is kept as it
is made; the page holds the largest of each test.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from hetao.analysis import protocols
from hetao.study.methods import METHODS

ROOT = Path(__file__).resolve().parents[1]
HEAD = """# Exactness

Written by `python benchmarks/exactness.py`, which carries out `tests/oracles`: each
estimator, federated, against an independent program on the pooled rows. The largest
difference of all cases of a test: of an estimate in the oracle's standard errors (of a
penalised model, those that it would have without a penalty; of a network, which has
none, in parts of the largest weight), of a standard error relatively. Rounds count the
opening. What a site sends a round stands in the last table.

No model takes more than 6 rounds of Newton's method. What takes more fits one thing
after another: matching and strata of a score come after the score is fitted, a
prediction is measured after its model, trees and networks grow.

Oracles are R (`survival`, `MASS`, `splines`, `nlme`, `glmnet`, `gnm`, `pROC` and
`brglm2`), figures of `lme4` and `metafor`, statsmodels, scikit-learn, and second
implementations in the test that share no code; each test says which.

| estimator | test | sites | cases | rounds | estimate / SE | SE |
|---|---|---:|---:|---:|---:|---:|
"""
TAIL = """
Survival curves, log-rank tests, rates, quantiles, meta-analysis and trial designs are
held to their oracles in `tests/oracles` too, mostly without errors to count in.
`hetao.testing.oracle` holds any estimator to the pooled rows for any split
([guide](guide/estimators.md)).

| estimator | a site sends |
|---|---|
"""


def measured():
    """Run the oracles; return what they noted, a dict a comparison."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exactness.jsonl"
        environment = os.environ | {"HETAO_EXACTNESS": str(path)}
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "tests/oracles"]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        lines = path.read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def words_of(test):
    """Return a test's name as words."""
    name = test.partition("::")[2].partition("[")[0].partition("@")[0]
    return name.removeprefix("test_").replace("_", " ")


def largest(noted, key):
    """Return the largest difference as text; "" where the oracle has none."""
    known = [one[key] for one in noted if one[key] is not None]
    return f"{max(known):.1e}" if known else ""


def page(noted):
    """Return the page in Markdown."""
    rows = defaultdict(list)
    for one in noted:
        rows[one["model"], words_of(one["test"])].append(one)
    order = list(METHODS)
    lines = []
    for (model, words), found in sorted(
        rows.items(), key=lambda item: (order.index(item[0][0]), item[0][1])
    ):
        sites = {one["sites"] for one in found if one["sites"]}
        rounds = [one["rounds"] for one in found if one["rounds"]]
        span = f"{min(rounds)}-{max(rounds)}" if len(set(rounds)) > 1 else rounds[0]
        lines.append(
            f"| `{model}` | {words} | {max(sites) if sites else ''} | {len(found)} | "
            f"{span} | {largest(found, 'estimate')} | {largest(found, 'se')} |\n"
        )
    sums = [f"| `{p.name}` | {p.sums.replace('|', ', ')} |\n" for p in protocols()]
    return HEAD + "".join(lines) + TAIL + "".join(sums)


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "exactness.md"
    out.write_text(page(measured()), "utf-8")
    print(f"{out} is written")
