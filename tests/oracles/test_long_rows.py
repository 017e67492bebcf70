"""Start-stop rows, over real centres = R's survival on the pooled rows.

Recurrent infections in chronic granulomatous disease (13 centres), Stanford's heart
transplants (exposure that depends on time), and free light chains on the scale of age.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import hetao
from hetao.analysis import oracle
from hetao.canonical import parse_canonical
from hetao.federation.certify import recompute
from hetao.notebook.drafting import draft_study
from hetao.notebook.parts import Part
from hetao.release import Policy
from hetao.study import Analysis, Grid, Minimum, Variable
from support_analysis import (
    LOOSE,
    assert_same,
    category,
    columns_of,
    fit_of,
    from_r,
    number,
    study_of,
)
from support_exactness import note_parts

pytestmark = pytest.mark.held_to("R survival coxph", "CGD, Stanford heart")

SCRIPT = Path(__file__).parent / "long_rows.R"
PERSON = Variable("id", "key", "column", column="id")
CGD = (
    PERSON,
    number("start", 0, 500, unit="d"),
    number("stop", 0, 500, unit="d"),
    category("ill", "no", "yes"),
    category("treat", "placebo", "rIFNg"),
    number("age", 0, 100, unit="a"),
    number("weight", 5, 150),
    category("steroids", "no", "yes"),
    category("number", "e1", "e2", "e3"),
    number("share", 0, 4),
)
HEART = (
    PERSON,
    number("start", 0, 2000, unit="d"),
    number("stop", 0, 2000, unit="d"),
    category("died", "no", "yes"),
    category("transplant", "no", "yes"),
    number("age", -50, 50),
    category("surgery", "no", "yes"),
    number("share", 0, 4),
)
YEARS = (
    number("start", 0, 120, unit="a"),
    number("stop", 0, 120, unit="a"),
    category("died", "no", "yes"),
    category("sex", "female", "male"),
)
INFECTION = Analysis(
    "a",
    "cox",
    start="start",
    time="stop",
    event="ill",
    terms=("treat", "log(weight)", "age", "steroids"),
    strata=("site",),
    variance="robust",
    person="id",
    most_rows=10,
)
DEATH = Analysis(
    "a",
    "cox",
    start="start",
    time="stop",
    event="died",
    terms=("transplant", "age", "surgery", "transplant:age"),
    strata=("site",),
    person="id",
    most_rows=2,
)
ROBUST = {"variance": "robust"}
WEIGHTED = {"variance": "robust", "weights": "share"}
NUMBER = {"terms": ("treat", "age"), "strata": ("site", "number")}
FITS = {
    "cgd": ("cgd", CGD, INFECTION),
    "cgd_weighted": ("cgd", CGD, replace(INFECTION, **WEIGHTED)),
    "cgd_number": ("cgd", CGD, replace(INFECTION, **NUMBER)),
    "heart": ("heart", HEART, DEATH),
    "heart_robust": ("heart", HEART, replace(DEATH, **ROBUST)),
    "heart_weighted": ("heart", HEART, replace(DEATH, **WEIGHTED)),
}


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("name", FITS)
def test_start_stop_cox_is_r_on_pooled_rows(name, ties):
    table, variables, analysis = FITS[name]
    parts, sites = columns_of(table, variables, SCRIPT)
    study = study_of(variables, analysis, sites=sites)

    finding = oracle(study, replace(analysis, ties=ties), parts)

    reference = fit_of(f"{name}_{ties}", SCRIPT)
    assert_same(finding, reference["estimate"], reference["se"], reference["loglik"])
    answer = finding.as_json()
    people = len({cell for part in parts.values() for cell in part["id"].tolist()})
    assert answer["n"] == people
    assert answer["events"] == reference["events"]
    assert answer["rounds"] <= 6


@pytest.mark.held_to("R survival cox.zph", "Stanford heart")
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_proportional_hazards_of_start_stop_rows_are_rs_test(ties):
    parts, sites = columns_of("heart", HEART, SCRIPT)
    asked = replace(DEATH, ties=ties, zph="identity")

    zph = oracle(study_of(HEART, asked, sites=sites), asked, parts).as_json()["zph"]

    rows = [r for r in from_r(SCRIPT)["drifts"] if r["fit"] == f"heart_{ties}"]
    found = [*zph["terms"], zph["together"]]
    expected = [float(row["chi2"]) for row in rows]
    assert [one["chi2"] for one in found] == pytest.approx(expected, rel=1e-8)
    note_parts("cox", [one["chi2"] for one in found], expected)


@pytest.mark.held_to("R survival survfit", "free light chains")
def test_curves_of_late_entry_are_rs_survfit():
    asked = Analysis(
        "a",
        "km",
        start="start",
        time="stop",
        event="died",
        by="sex",
        grid=Grid(tuple(float(year) for year in range(1, 121))),
    )
    parts, sites = columns_of("years", YEARS, SCRIPT)
    study = replace(study_of(YEARS, asked, sites=sites), minimum=LOOSE)

    answer = oracle(study, asked, parts).as_json()

    medians = {r["sex"]: float(r["median"]) for r in from_r(SCRIPT)["medians"]}
    for curve in answer["curves"]:
        label = f"sex={curve['stratum']}"
        rows = [r for r in from_r(SCRIPT)["curves"] if r["sex"] == label]
        for key in ("time", "at_risk", "events", "survival", "se", "lower", "cumhaz"):
            texts = [row[key].replace("NaN", "NA") for row in rows]
            expected = [None if text == "NA" else float(text) for text in texts]
            assert len(curve[key]) == len(expected)
            for ours, theirs in zip(curve[key], expected, strict=True):
                assert ours == (theirs and pytest.approx(theirs, rel=1e-10)), key
            note_parts("km", curve[key], expected)
        assert curve["median"] == medians[label]
    assert sum(c["n"] for c in answer["curves"]) == answer["n"] == 900


@pytest.mark.held_to("second implementation: sum over risk sets", "free light chains")
def test_log_rank_of_late_entry_is_the_sum_over_risk_sets():
    asked = Analysis(
        "a",
        "logrank",
        start="start",
        time="stop",
        event="died",
        by="sex",
        strata=("site",),
    )
    parts, sites = columns_of("years", YEARS, SCRIPT)

    answer = oracle(study_of(YEARS, asked, sites=sites), asked, parts).as_json()

    excess, variance = 0.0, 0.0
    for part in parts.values():
        start, stop, died, sex = (part[k] for k in ("start", "stop", "died", "sex"))
        for t in np.unique(stop[died == 1]):
            risk = (start < t) & (t <= stop)
            n, d = risk.sum(), ((stop == t) & (died == 1)).sum()
            women = (risk & (sex == 0)).sum()
            excess += ((stop == t) & (died == 1) & (sex == 0)).sum() - d * women / n
            if n > 1:
                variance += d * (women / n) * (1 - women / n) * (n - d) / (n - 1)
    assert answer["chi2"] == pytest.approx(excess**2 / variance, rel=1e-10)
    note_parts("logrank", answer["chi2"], excess**2 / variance)


OPEN = Policy(Minimum(1, 1, 1, 1.0, 1.0), reason="small centres, public data")
TERMS = "transplant + age + surgery + transplant:age"
HOW = f"Surv(start, stop, died) ~ {TERMS} + cluster(id)"


def file_of(table, folder, *, split=""):
    path = folder / f"{table}.csv"
    frame = pd.DataFrame(from_r(SCRIPT)[table])
    frame.rename(columns={"site": split or "site"}).to_csv(path, index=False)
    return path


@pytest.mark.held_to("R survival coxph", "Stanford heart")
def test_a_notebook_says_it_as_r_does_over_the_whole_protocol(tmp_path):
    data = file_of("heart", tmp_path, split="year")
    reference = fit_of("heart_robust_efron", SCRIPT)

    found = hetao.cox(HOW, data=data, split_by="year", strata="site", policy=OPEN)

    terms = found.body["terms"]
    for name in ("estimate", "se"):
        ours = [term[name] for term in terms]
        assert ours == pytest.approx(reference[name].tolist(), rel=1e-9)
    assert (found.body["n"], found.body["events"]) == (103, 75)
    body = parse_canonical(found.certificate)
    assert recompute(body) == "1 findings follow from the certified integers"


@pytest.mark.parametrize(
    ("formula", "options", "variance"),
    [
        ("Surv(start, stop, died) ~ age", {"person": "id"}, "model"),
        ("Surv(start, stop, died) ~ age + cluster(id)", {}, "robust"),
        ("Surv(stop, died) ~ age", {"person": "id"}, "robust"),
    ],
)
def test_a_fit_reads_rows_and_variance_off_the_file_as_r(
    formula, options, variance, tmp_path
):
    parts = (Part("aa", file_of("heart", tmp_path, split="year")),)

    draft = draft_study("cox", formula, parts, ("site",), options)

    (asked,) = draft.study.analyses
    assert (asked.person, asked.most_rows, asked.variance) == ("id", 2, variance)
    assert draft.study.variable("id").kind == "key"


@pytest.mark.held_to("statsmodels GLM, clustered", "CGD")
@pytest.mark.parametrize("model", ["logistic", "poisson"])
@pytest.mark.parametrize("weights", ["", "share"])
def test_visits_of_one_person_are_clustered_as_statsmodels_does(model, weights):
    asked = Analysis(
        "a",
        model,
        outcome="ill" if model == "logistic" else "ills",
        terms=("treat", "age", "steroids"),
        weights=weights,
        variance="robust",
        person="id",
        most_rows=10,
    )
    parts, sites = columns_of("cgd", CGD, SCRIPT)
    for part in parts.values():
        part["ills"] = part["ill"].astype(float)
    variables = (*CGD, number("ills", 0, 9))

    answer = oracle(study_of(variables, asked, sites=sites), asked, parts).as_json()

    rows = {k: np.concatenate([p[k] for p in parts.values()]) for k in parts[sites[0]]}
    X = np.column_stack([np.ones(203), rows["treat"], rows["age"], rows["steroids"]])
    family = sm.families.Binomial() if model == "logistic" else sm.families.Poisson()
    free = rows["share"] if weights else None
    fit = sm.GLM(rows["ills"], X, family, freq_weights=free).fit(tol=1e-14, maxiter=99)
    mu = fit.fittedvalues
    scores = X * ((rows["share"] if weights else 1.0) * (rows["ills"] - mu))[:, None]
    _, whose = np.unique(rows["id"], return_inverse=True)
    of_people = np.stack([np.bincount(whose, column) for column in scores.T], axis=1)
    spread = mu * (1 - mu) if model == "logistic" else mu
    heavy = (rows["share"] if weights else 1.0) * spread
    bread = np.linalg.inv((X.T * heavy) @ X)
    se = np.sqrt(np.diag(bread @ of_people.T @ of_people @ bread))
    ours = {key: [t[key] for t in answer["terms"]] for key in ("estimate", "se")}
    assert ours["estimate"] == pytest.approx(fit.params.tolist(), rel=1e-9)
    assert ours["se"] == pytest.approx(se.tolist(), rel=1e-8)
    assert (answer["n"], answer["events"]) == (128, 76)
    if not weights:
        how = {"groups": whose, "use_correction": False}
        again = sm.GLM(rows["ills"], X, family).fit(
            tol=1e-14, maxiter=99, cov_type="cluster", cov_kwds=how
        )
        assert ours["se"] == pytest.approx(again.bse.tolist(), rel=1e-8)
