"""`hetao demo --scenario gba`: four hospitals, four record systems, one known truth."""

import json

import pytest

from hetao.synth import shipped_world
from support_system import hetao

pytestmark = pytest.mark.xdist_group("system")

CRITICAL = 1.959963984540054


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("gba") / "out"


@pytest.fixture(scope="module")
def found(out):
    said = hetao("demo", "--scenario", "gba", "--out", out, "--json", seconds=1800)
    assert said.code == 0, said.err
    return said.json


@pytest.fixture(scope="module")
def arms(found):
    """Return analysis → the term of the drug."""
    return {
        item["analysis"]: item["finding"]["terms"][0]
        for item in found["findings"]
        if item["finding"]["model"] == "cox"
    }


def test_the_federated_answer_is_the_pooled_one(found):
    assert found["largest_difference_in_se"] < 1e-9
    assert [item["analysis"] for item in found["findings"]] == [
        "attrition",
        "table1",
        "survival",
        "crude",
        "adjusted",
        "control",
    ]
    assert {len(item["members"]) for item in found["findings"]} == {4}


def test_the_known_truth_is_covered_and_the_crude_answer_misleads(arms):
    failure, zoster = shipped_world().comparison("diabetes").outcomes

    def covers(analysis, truth):
        term = arms[analysis]
        return abs(term["estimate"] - truth) < CRITICAL * term["se"]

    assert covers("adjusted", failure.log_hazard_ratio)
    assert covers("control", zoster.log_hazard_ratio)
    assert not covers("crude", failure.log_hazard_ratio)


def test_every_hospital_curated_its_own_form(out, found):
    sites = out / "network" / "sites"

    forms = {}
    for site in sites.iterdir():
        files = [path for path in (site / "extract").rglob("*") if path.is_file()]
        forms[site.name] = {path.suffix for path in files}
    assert forms == {
        "harbour": {".xls"},
        "lion-rock": {".csv", ".xlsx"},
        "lychee": {".csv"},
        "mangrove": {".ndjson"},
    }
    assert all((site / "store" / "current").is_file() for site in sites.iterdir())


def test_the_report_shows_the_truth_beside_the_estimate(out, found):
    report = (out / "report.html").read_text("utf-8")

    assert "Truth, in this made-up population" in report
    assert "−0.357" in report


def test_nobody_of_the_made_up_population_is_in_what_left(out, found):
    """Findings name counts and coefficients; no identifier of any extract."""
    text = json.dumps(found["findings"], ensure_ascii=False)

    extract = out / "network" / "sites" / "lion-rock" / "extract" / "patients.csv"
    lines = extract.read_text("big5hkscs", "replace").splitlines()[1:50]
    assert len(lines) > 40
    assert not [line for line in lines if line.split(",")[0] in text]
