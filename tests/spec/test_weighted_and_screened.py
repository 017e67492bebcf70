"""A weighted Cox model and a screen, through the gate to a certificate and a page."""

import asyncio
import csv
import functools

import numpy as np
import pytest

from hetao.canonical import parse_canonical
from hetao.cdm import open_flat
from hetao.federation.certify import recompute
from hetao.federation.embedded import run_embedded
from hetao.release import Policy
from hetao.report.extras import Extras
from hetao.report.page import render_body
from hetao.study import Analysis, Grid, Minimum
from support_analysis import category, number, study_of

SITES = ("north", "east", "south")
OUTCOMES = ("ill", "rare", *(f"control{i}" for i in range(6)))
STUDY = study_of(
    [
        number("age", 18, 100),
        number("days", 0, 400),
        *(category(name, "no", "yes") for name in ("sex", "drug", "died", *OUTCOMES)),
    ],
    Analysis(
        "weighted",
        "cox",
        time="days",
        event="died",
        terms=("drug",),
        strata=("site",),
        treatment="drug",
        score=("age", "sex"),
        estimand="ATO",
    ),
    Analysis(
        "screened",
        "screen",
        model="logistic",
        exposures=("drug",),
        outcomes=OUTCOMES,
        controls=OUTCOMES[2:],
        terms=("age", "sex"),
    ),
    Analysis(
        "curves",
        "km",
        time="days",
        event="died",
        by="drug",
        grid=Grid((200.0, 400.0)),
        horizon=300.0,
        treatment="drug",
        score=("age", "sex"),
        overlap_bins=4,
    ),
    Analysis(
        "tested",
        "logrank",
        time="days",
        event="died",
        by="drug",
        strata=("site",),
        treatment="drug",
        score=("age", "sex"),
        estimand="ATT",
    ),
    Analysis(
        "stratified",
        "cox",
        time="days",
        event="died",
        terms=("drug",),
        strata=("site",),
        treatment="drug",
        score=("age", "sex"),
        subclasses=5,
    ),
    sites=SITES,
)
POLICY = Policy(Minimum(), 3, "")


def write(path, seed, n=600):
    draw = np.random.default_rng(seed)
    age = draw.uniform(30, 90, n).round(1)
    drug = draw.random(n) < 1 / (1 + np.exp(-(age - 60) / 15))
    yes = {name: draw.random(n) < 0.3 for name in ("sex", "died", *OUTCOMES)}
    yes["rare"] = draw.random(n) < 0.005
    days = draw.integers(1, 400, n)
    word = np.array(["no", "yes"])
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["age", "days", "drug", *yes])
        columns = [word[array.astype(int)] for array in (drug, *yes.values())]
        rows.writerows(zip(age, days, *columns, strict=True))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("screened")
    sources = {}
    for seed, site in enumerate(SITES):
        write(folder / f"{site}.csv", seed)
        sources[site] = functools.partial(open_flat, folder / f"{site}.csv", genes=())
    policies = dict.fromkeys(SITES, POLICY)
    ran = asyncio.run(run_embedded(STUDY, sources, folder / "work", policies))
    return parse_canonical(ran.certificate)


def test_all_follow_from_the_certified_integers(certificate):
    assert recompute(certificate).startswith("5 findings follow")


def test_a_pair_with_few_events_is_named_and_the_others_are_fitted(certificate):
    finding = certificate["body"]["findings"][1]["finding"]

    refused = {p["outcome"]: p["refused"] for p in finding["pairs"] if p["refused"]}

    assert list(refused) == ["rare"]
    assert "not every site holds enough" in refused["rare"]
    assert finding["systematic_error"][0]["controls"] == 6
    assert finding["rounds"] == certificate["body"]["findings"][1]["rounds"]


def test_a_reader_sees_the_love_plot_and_the_funnel(certificate):
    page = render_body(certificate["body"], certificate["log"], Extras())

    assert "Weighted by a propensity score to the overlap of the arms" in page
    assert "Absolute standardised mean difference" in page
    assert "funnel of estimates" in page
    assert "Pairs that were not fitted" in page


def test_a_reader_sees_the_weighted_curves_their_differences_and_the_test(certificate):
    page = render_body(certificate["body"], certificate["log"], Extras())
    curves, tested = (certificate["body"]["findings"][i]["finding"] for i in (2, 3))

    assert "weighted by a propensity score to everyone (ATE)" in page
    assert "Difference of restricted means" in page
    assert "The arms&#39; differences at 300" in page
    assert "Observed and expected are weighted, people and events are counts" in page
    assert [len(curve["se"]) for curve in curves["curves"]] == [2, 2]
    assert [one["name"] for one in curves["contrasts"]] == [
        "survival_difference",
        "rmst_difference",
    ]
    assert "Balance before and after stratifying" in page
    assert "Strata of the propensity score; people, events and time" in page
    assert 0 < tested["p"] < 1
    assert tested["estimand"] == "ATT"
