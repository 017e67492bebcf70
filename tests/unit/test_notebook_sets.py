"""Matched sets and case series from a file, through the gate, the sum and the log."""

import json

import numpy as np
import pandas as pd
import pytest

import hetao
from hetao.analysis.rounding import rounded
from hetao.canonical import parse_canonical
from hetao.cli.main import main
from hetao.errors import InvalidStudy, Stopped, Usage
from hetao.federation.certify import recompute


def clinic(sets=240, seed=3):
    """Return sets of four over three wards, some of them cases."""
    rng = np.random.default_rng(seed)
    pair = np.repeat(np.arange(sets), 4)
    rows = pd.DataFrame(
        {
            "pair": [f"set {i}" for i in pair],
            "ward": np.array(["north", "south", "west"])[pair % 3],
            "smoker": rng.integers(0, 2, 4 * sets),
            "bmi": rng.normal(25, 3, 4 * sets).round(1),
        }
    )
    chance = 1 / (1 + np.exp(1 - 0.7 * rows["smoker"] - 0.1 * (rows["bmi"] - 25)))
    return rows.assign(case=(rng.random(4 * sets) < chance).astype(int))


def series(people=300, seed=4):
    """Return six intervals of each of some people, of whom a drug doubles the rate."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), 6)
    exposed = (np.tile(np.arange(6), people) == rng.integers(0, 6, people)[who]) * 1
    days = rng.integers(10, 60, len(who))
    rate = rng.gamma(2.0, 0.004, people)[who] * 2.0**exposed
    return pd.DataFrame(
        {
            "id": who,
            "ward": np.array(["north", "south", "west"])[who % 3],
            "falls": rng.poisson(rate * days),
            "exposed": exposed,
            "days": days,
            "sex": np.where(who % 2, "m", "f"),
        }
    )


def test_matched_sets_are_named_as_strata_or_as_an_argument():
    rows = clinic()
    told = rows.groupby("pair")["case"].transform("mean").between(0.1, 0.9)
    found = hetao.clogit(
        "case ~ smoker + bmi + strata(pair)", data=rows, split_by="ward"
    )
    approximate = hetao.clogit(
        "case ~ smoker + bmi",
        data=rows,
        split_by="ward",
        matched="pair",
        likelihood="efron",
    )

    assert found.body["n"] == approximate.body["n"] == rounded(told.sum(), 5)
    assert found.body["events"] == rounded(rows["case"][told].sum(), 5)
    assert abs(found.params["smoker"] - 0.7) < 3 * found.bse["smoker"]
    assert approximate.body["likelihood"] == "efron"
    assert 0.02 < abs(approximate.params["smoker"] - found.params["smoker"]) < 0.3
    body = parse_canonical(found.certificate)
    assert recompute(body) == "1 findings follow from the certified integers"
    assert "set 7" not in found.certificate.decode()
    with pytest.raises(Usage, match="are one column"):
        hetao.clogit("case ~ bmi + strata(pair, smoker)", data=rows, split_by="ward")


def test_a_case_series_is_reported_with_what_it_takes_for_granted(tmp_path, capsys):
    rows = series()
    found = hetao.sccs(
        "falls ~ exposed + exposed:sex + offset(log(days))",
        data=rows,
        split_by="ward",
        person="id",
    )
    cases = rows.groupby("id")["falls"].sum() > 0

    assert found.body["n"] == rounded(cases.sum(), 5)
    assert found.body["events"] == rounded(rows["falls"].sum(), 5)
    assert list(found.params.index) == ["exposed", "exposed:sex[m]"]
    page = tmp_path / "page.html"
    found.report(page)
    said = page.read_text("utf-8")
    assert "Self-controlled case series" in said
    assert "an event changes neither later exposure" in said
    assert "Rate ratio" in said

    path = tmp_path / "certificate.json"
    path.write_bytes(found.certificate)
    words = ["appraise", str(path), "--term", "fit:exposed", "--policy", "hubs"]
    assert main([*words, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)["findings"][0]
    assert row["e_value"] > 1


def test_windows_of_a_case_are_compared_with_each_other():
    rng = np.random.default_rng(5)
    who = np.repeat(np.arange(150), 4)
    rows = pd.DataFrame(
        {
            "id": who,
            "ward": np.array(["north", "south", "west"])[who % 3],
            "event": np.tile([0, 0, 1, 0], 150),
        }
    )
    rows["exposed"] = (rng.random(600) < 0.25 + 0.2 * rows["event"]).astype(int)
    found = hetao.case_crossover(
        "event ~ exposed", data=rows, split_by="ward", person="id"
    )

    assert found.body["n"] == 150
    assert found.params["exposed"] > 2 * found.bse["exposed"]


def test_few_cases_are_refused_however_many_people_and_rows_there_are():
    rows = series(people=300)
    rows.loc[rows["id"] >= 60, "falls"] = 0  # 20 a ward, of whom some had none
    with pytest.raises(Stopped, match="fewer than 50 people"):
        hetao.sccs(
            "falls ~ exposed + offset(log(days))",
            data=rows,
            split_by="ward",
            person="id",
        )


def test_a_case_series_says_whose_the_rows_are():
    with pytest.raises(InvalidStudy, match="sccs needs 'person'"):
        hetao.sccs("falls ~ exposed", data=series(), split_by="ward")
