"""What R packages made for it find: pROC's areas and errors, brglm2's Firth."""

import io
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hetao.analysis import oracle
from support_analysis import ANALYSES, STUDY, assert_same, people, split
from support_exactness import note
from support_performance import binned, complete

pytestmark = pytest.mark.held_to("R pROC", "made up")

SCRIPT = Path(__file__).parent / "packages.R"
CUTS = (0.1, 0.3, 0.45, 0.8)


def by_r(rows, path):
    """Return estimates and errors of the script over a table of that name."""
    rows.to_csv(path, index=False, float_format="%.17g")
    done = subprocess.run(
        ["Rscript", "--vanilla", SCRIPT, path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return np.loadtxt(io.StringIO(done.stdout), delimiter=",", skiprows=1, ndmin=2).T


@pytest.mark.parametrize("seed", [3, 4])
def test_the_area_and_its_error_are_those_of_proc(seed, tmp_path):
    """Of a published model, whose predictions the pooled rows have as they stand."""
    columns = people(seed, 1200)
    analysis = ANALYSES["performance_published"]

    found = oracle(STUDY, analysis, split(columns, CUTS)).as_json()

    columns = complete(columns)
    X = np.column_stack([columns["age"], columns["sex"], np.log(columns["chol"])])
    p = 1 / (1 + np.exp(6.0 - X @ [0.04, 0.4, 0.6]))
    rows = pd.DataFrame({"y": columns["ill"], "p": binned(found, p)})
    (area,), (se,) = by_r(rows, tmp_path / "predictions.csv")
    (ours,) = (term for term in found["terms"] if term["name"] == "auc")
    away, se_away = abs(ours["estimate"] - area) / se, abs(ours["se"] / se - 1)
    note("performance", found["rounds"], away, se_away)
    assert away < 1e-9
    assert se_away < 1e-9


@pytest.mark.held_to("R brglm2", "made up")
@pytest.mark.parametrize("weights", ["", "share"])
@pytest.mark.parametrize("separated", [False, True])
def test_firths_fit_is_that_of_brglm2(weights, separated, tmp_path):
    columns = people(2, 500)
    if separated:
        columns["ill"] = np.where(columns["grade"] == 2, 1, columns["ill"])
    keep = ~np.isnan(columns["age"]) & (columns["grade"] >= 0)
    if weights:
        keep &= columns["share"] > 0
    rows = pd.DataFrame(
        {
            "y": columns["ill"],
            "age": columns["age"],
            "male": columns["sex"],
            "chol": np.log(columns["chol"]),
            "two": (columns["grade"] == 1).astype(int),
            "three": (columns["grade"] == 2).astype(int),
            "both": columns["age"] * columns["sex"],
            "w": columns["share"] if weights else 1.0,
        }
    )[keep]
    analysis = replace(ANALYSES["firth"], weights=weights)

    finding = oracle(STUDY, analysis, split(columns, CUTS))

    assert_same(finding, *by_r(rows, tmp_path / "firth.csv"))
