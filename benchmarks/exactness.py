"""How far federated estimates lie from their oracles: runs them, writes the page.

    python benchmarks/exactness.py [docs/exactness.md [tests ...]]

Every comparison that the tests note is kept as it is made, with its oracle, its data,
its sites, its rounds and what a site sent; the page holds the largest of each test.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

from hetao.analysis import protocols
from hetao.study.methods import METHODS

ROOT = Path(__file__).resolve().parents[1]
RUN = (
    "tests/oracles",
    "tests/unit/test_calibration.py",
    "tests/unit/test_surveillance.py",
    "tests/unit/test_trial_looks.py",
)
LIBRARIES = ("statsmodels", "scikit-learn", "scipy", "numpy", "pandas")
PACKAGES = ("survival", "MASS", "nlme", "glmnet", "gnm", "pROC", "brglm2")
# Title → methods, and what stands beside them; a method of no group is an error.
GROUPS = {
    "Describe": (
        *("counts", "table1", "quantiles", "rates", "limits of a rate"),
        *("standardised rate", "indicators"),
    ),
    "Survival": ("km", "logrank", "cox"),
    "Regression": ("logistic", "linear", "poisson", "negative_binomial", "gamma"),
    "Causal": (
        *("ipw", "g_computation", "aipw", "ps_strata", "E-value", "tipping point"),
        "empirical calibration",
    ),
    "Matched and self-controlled": ("clogit", "case_crossover", "sccs"),
    "Across sites": ("lmm", "glmm", "meta", "profile"),
    "Learn and predict": ("performance", "boosted_trees", "neural_network"),
    "Screen and watch": ("screen", "false discoveries", "MaxSPRT", "CUSUM"),
    "Trials": ("sample size", "group-sequential bounds"),
}
HEAD = """# Exactness

Written by `make exactness`, which carries out the tests that hold each estimator,
federated, to an independent program on the pooled rows, or to what was published. All
that stands here they note as they run; the largest difference of all cases of a test:

- *estimate*: of an estimate in the oracle's standard errors; of a penalised model those
  that it would have without a penalty; of a network, which has none, in parts of the
  largest weight.
- *SE*: of a standard error, in parts of the oracle's.
- *other*: of any other number, such as a share, a limit, a bound or a test statistic,
  in parts of the oracle's. Beside a printed figure it is the digits that were printed;
  beside simulated runs, their chance.

*Rounds* count the opening. *Numbers* are what each site sends in all rounds together,
as its messages held them; what they are stands in the last table. Both, and *sites*,
are those of the fits; where several cases differ, from the least to the most. A dash:
nothing is sent, as of a plan or of estimates that were published.

No model takes more than 6 rounds of Newton's method. What takes more fits one thing
after another: matching and strata of a score come after the score is fitted, a
prediction is measured after its model, trees and networks grow.

"Second implementation": in the test, it shares no code with the estimator. "Figures
of": the program is not run again; its figures stand in the test, at full precision.
Versions here: {versions}.
"""
COLUMNS = """
## {title}

| estimator | test | oracle | data | sites | rounds | numbers | cases | estimate \
| SE | other |
|---|---|---|---|---:|---:|---:|---:|---:|---:|---:|
"""
TAIL = """
## What a site sends

`hetao.testing.oracle` holds any estimator to the pooled rows for any split
([guide](guide/estimators.md)).

| estimator | a site sends |
|---|---|
"""


def measured(tests=RUN):
    """Run the oracles; return what they noted, a dict a comparison."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exactness.jsonl"
        environment = os.environ | {"HETAO_EXACTNESS": str(path)}
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", *tests]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        lines = path.read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def versions():
    """Return the versions of the oracles' programs that are installed, as text."""
    program = shutil.which("Rscript")
    if program is None:
        sys.exit("Rscript is missing: the oracles need R")
    each = ", ".join(f'"{name}"' for name in PACKAGES)
    text = (
        'cat(paste("R", getRversion()), sapply(c('
        f'{each}), function(p) paste(p, packageVersion(p))), sep = ", ")'
    )
    done = subprocess.run(
        [program, "--vanilla", "-e", text], capture_output=True, text=True, check=True
    )
    return ", ".join([done.stdout, *(f"{name} {version(name)}" for name in LIBRARIES)])


def words_of(test):
    """Return a test's name as words."""
    name = test.partition("::")[2].partition("[")[0].partition("@")[0]
    return name.removeprefix("test_").replace("_", " ")


def largest(noted, key):
    """Return the largest difference as text; "" where the oracle has none."""
    known = [one[key] for one in noted if one[key] is not None]
    return f"{max(known):.1e}" if known else ""


def span(noted, key):
    """Return the least and the most of a count as text; a dash where there is none."""
    known = sorted({one[key] for one in noted if one[key]})
    if not known:
        return "–"
    return f"{known[0]:,}" + (f"–{known[-1]:,}" if len(known) > 1 else "")


def page(noted):
    """Return the page in Markdown."""
    rows = defaultdict(list)
    for one in noted:
        rows[one["model"], words_of(one["test"])].append(one)
    grouped = {model for models in GROUPS.values() for model in models}
    apart = {model for model, _ in rows} - grouped | set(METHODS) - grouped
    if apart:
        sys.exit(f"of no group: {sorted(apart)}")
    tables = [
        COLUMNS.format(title=title) + "".join(_lines(rows, models))
        for title, models in GROUPS.items()
    ]
    sums = [f"| `{p.name}` | {p.sums.replace('|', ', ')} |\n" for p in protocols()]
    return HEAD.format(versions=versions()) + "".join(tables) + TAIL + "".join(sums)


def _lines(rows, models):
    """Return a line a test of some models, in their order."""
    for (model, words), found in sorted(
        (item for item in rows.items() if item[0][0] in models),
        key=lambda item: (models.index(item[0][0]), item[0][1]),
    ):
        name = f"`{model}`" if model in METHODS else model
        cells = [name, words, found[0]["oracle"], found[0]["data"]]
        cells += [span(found, key) for key in ("sites", "rounds", "numbers")]
        cells.append(str(len({one["test"] for one in found})))
        cells += [largest(found, key) for key in ("estimate", "se", "other")]
        yield f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "exactness.md"
    noted = measured(sys.argv[2:] or RUN)
    missing = set(METHODS) - {one["model"] for one in noted}
    if missing and not sys.argv[2:]:
        sys.exit(f"held to no oracle: {sorted(missing)}")
    out.write_text(page(noted), "utf-8")
    print(f"{out} is written")
