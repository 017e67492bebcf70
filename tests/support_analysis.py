"""Small studies, split data and comparisons for the tests of `hetao.analysis`."""

import csv
import math
import shutil
import subprocess
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hetao.analysis import make_plan, make_rows, oracle
from hetao.errors import HetaoError
from hetao.study import (
    Analysis,
    Boosting,
    Coefficient,
    Criterion,
    Grid,
    Level,
    Minimum,
    Network,
    Study,
    Variable,
    Weight,
)
from support_exactness import note

SITES = ("aa", "bb", "cc", "dd", "ee")


def number(name, low, high, unit=""):
    return Variable(
        name, "number", "column", column=name, unit=unit, bounds=(low, high)
    )


def category(name, *levels):
    return Variable(
        name,
        "category",
        "column",
        column=name,
        levels=tuple(Level(level, level) for level in levels),
    )


def key(name):
    return Variable(name, "key", "column", column=name)


def study_of(variables, *analyses, sites=SITES, criteria=()):
    return Study(
        name="test",
        title="A test",
        question="Does it hold?",
        version="1",
        dictionary="flat",
        sites=tuple(sites),
        variables=tuple(variables),
        analyses=tuple(analyses),
        criteria=tuple(Criterion(label, rule) for label, rule in criteria),
    )


VARIABLES = (
    number("age", 18, 100, unit="a"),
    category("sex", "female", "male"),
    number("chol", 50, 700),
    category("grade", "low", "middle", "high"),
    category("ill", "no", "yes"),
    category("treated", "no", "yes"),
    number("visits", 0, 200),
    number("years", 0.1, 5),
    number("falls", 0, 400),
    number("cost", 0.01, 1000),
    number("share", 0, 4),
    number("score", -60, 60),
    number("day", 0, 60),
    category("died", "no", "yes"),
    category("ward", "w1", "w2", "w3", "w4", "w5"),
    key("pair"),
    key("who"),
)
LOOSE = Minimum(people=1, cell=1, events=1, share=1.0, leverage=1.0, sites=1)
DAYS = Grid(tuple(float(day) for day in range(61)))
TERMS = ("age", "sex", "log(chol)", "grade", "age:sex")
BENT = "ns(age, knots = c(45, 60), Boundary.knots = c(30, 80))"
ANALYSES = {
    "logistic": Analysis("logistic", "logistic", outcome="ill", terms=TERMS),
    "linear": Analysis("linear", "linear", outcome="score", terms=TERMS),
    "firth": Analysis("firth", "logistic", outcome="ill", terms=TERMS, penalty="firth"),
    "lasso": Analysis(
        "lasso",
        "logistic",
        outcome="ill",
        terms=TERMS,
        penalty="lasso",
        lambdas=(0.08, 0.02, 0.005),
        folds=3,
    ),
    "ridge": Analysis(
        "ridge",
        "linear",
        outcome="score",
        terms=TERMS,
        penalty="ridge",
        folds=3,
        select="lambda.min",
    ),
    "elastic_net": Analysis(
        "elastic_net",
        "poisson",
        outcome="visits",
        terms=TERMS,
        offset="log(years)",
        penalty="elastic_net",
        alpha=0.3,
        lambdas=(0.02,),
        folds=0,
        weights="share",
    ),
    "linear_spline": Analysis(
        "linear_spline",
        "linear",
        outcome="score",
        terms=(BENT, "sex", f"{BENT}:sex", "log(chol)"),
    ),
    "poisson": Analysis(
        "poisson", "poisson", outcome="visits", terms=TERMS, offset="log(years)"
    ),
    "negative_binomial": Analysis(
        "negative_binomial",
        "negative_binomial",
        outcome="falls",
        terms=TERMS,
        offset="log(years)",
    ),
    "gamma": Analysis(
        "gamma", "gamma", outcome="cost", terms=TERMS, offset="0.5*log(years)"
    ),
    "cox_efron": Analysis(
        "cox_efron", "cox", time="day", event="died", terms=TERMS, strata=("site",)
    ),
    "cox_breslow": Analysis(
        "cox_breslow",
        "cox",
        time="day",
        event="died",
        terms=("age", "sex", "log(chol)"),
        strata=("site", "grade"),
        ties="breslow",
    ),
    "cox_zph": Analysis(
        "cox_zph",
        "cox",
        time="day",
        event="died",
        terms=TERMS,
        strata=("site",),
        zph="identity",
    ),
    "cox_grid_efron": Analysis(
        "cox_grid_efron",
        "cox",
        time="day",
        event="died",
        terms=TERMS,
        grid=DAYS,
        baseline=True,
    ),
    "cox_grid_breslow": Analysis(
        "cox_grid_breslow",
        "cox",
        time="day",
        event="died",
        terms=("age", "sex", "log(chol)"),
        strata=("grade",),
        ties="breslow",
        grid=DAYS,
    ),
    "cox_merged": Analysis(
        "cox_merged",
        "cox",
        time="day",
        event="died",
        terms=TERMS,
        grid=Grid(DAYS.edges, merge=True),
        baseline=True,
    ),
    "clogit": Analysis("clogit", "clogit", outcome="ill", terms=TERMS, matched="pair"),
    "clogit_efron": Analysis(
        "clogit_efron",
        "clogit",
        outcome="ill",
        terms=TERMS,
        matched="pair",
        offset="0.1*years",
        likelihood="efron",
    ),
    "case_crossover": Analysis(
        "case_crossover",
        "case_crossover",
        outcome="ill",
        terms=("age", "sex"),
        person="who",
        most_rows=5,
        likelihood="breslow",
    ),
    "sccs": Analysis(
        "sccs",
        "sccs",
        outcome="visits",
        terms=TERMS,
        offset="log(years)",
        person="who",
        most_rows=5,
    ),
    "ipw": Analysis(
        "ipw", "ipw", outcome="ill", treatment="treated", terms=TERMS, overlap_bins=20
    ),
    "ipw_overlap": Analysis(
        "ipw_overlap",
        "ipw",
        outcome="score",
        treatment="treated",
        terms=("age", "sex", "log(chol)"),
        estimand="ATO",
    ),
    "ipw_treated": Analysis(
        "ipw_treated",
        "ipw",
        outcome="ill",
        treatment="treated",
        terms=("age", "sex", "grade"),
        estimand="ATT",
        truncation=0.3,
    ),
    "g_computation": Analysis(
        "g_computation",
        "g_computation",
        outcome="ill",
        treatment="treated",
        terms=("age", "sex", "log(chol)"),
    ),
    "aipw": Analysis(
        "aipw",
        "aipw",
        outcome="ill",
        treatment="treated",
        terms=("age", "sex", "log(chol)"),
        truncation=0.02,
    ),
    "aipw_treated": Analysis(
        "aipw_treated",
        "aipw",
        outcome="score",
        treatment="treated",
        terms=("age", "sex"),
        estimand="ATT",
    ),
    "aipw_counts": Analysis(
        "aipw_counts",
        "aipw",
        outcome="visits",
        treatment="treated",
        terms=("age", "sex"),
        family="poisson",
        offset="log(years)",
    ),
    "ps_strata": Analysis(
        "ps_strata",
        "ps_strata",
        outcome="ill",
        treatment="treated",
        terms=("age", "sex"),
        subclasses=6,
    ),
    "cox_scored": Analysis(
        "cox_scored",
        "cox",
        time="day",
        event="died",
        terms=("treated", "sex"),
        strata=("site",),
        treatment="treated",
        score=("age", "sex", "log(chol)"),
        overlap_bins=20,
    ),
    "cox_score_strata": Analysis(
        "cox_score_strata",
        "cox",
        time="day",
        event="died",
        terms=("treated",),
        strata=("site",),
        treatment="treated",
        score=("age", "sex"),
        subclasses=5,
    ),
    "logistic_scored": Analysis(
        "logistic_scored",
        "logistic",
        outcome="ill",
        terms=("treated",),
        treatment="treated",
        score=("age", "sex", "grade"),
        estimand="ATO",
    ),
    "cox_matched": Analysis(
        "cox_matched",
        "cox",
        time="day",
        event="died",
        terms=("treated",),
        strata=("site",),
        treatment="treated",
        score=("age", "sex"),
        estimand="ATT",
        ratio=2,
        caliper=0.2,
    ),
    "linear_scored": Analysis(
        "linear_scored",
        "linear",
        outcome="score",
        terms=("treated",),
        treatment="treated",
        score=("age", "sex"),
        estimand="ATT",
    ),
    "poisson_scored": Analysis(
        "poisson_scored",
        "poisson",
        outcome="visits",
        offset="log(years)",
        terms=("treated",),
        treatment="treated",
        score=("age", "sex"),
        truncation=0.2,
    ),
    "km": Analysis(
        "km", "km", time="day", event="died", by="sex", grid=DAYS, horizon=30.0
    ),
    "logrank": Analysis(
        "logrank",
        "logrank",
        time="day",
        event="died",
        by="sex",
        strata=("site", "grade"),
        rho=0.5,
    ),
    "km_weighted": Analysis(
        "km_weighted",
        "km",
        time="day",
        event="died",
        by="grade",
        grid=Grid(tuple(10.0 * k for k in range(1, 7))),
        horizon=35.0,
        weights="share",
    ),
    "km_scored": Analysis(
        "km_scored",
        "km",
        time="day",
        event="died",
        by="treated",
        grid=Grid(tuple(10.0 * k for k in range(1, 7))),
        horizon=35.0,
        treatment="treated",
        score=("age", "sex"),
        estimand="ATT",
    ),
    "logrank_weighted": Analysis(
        "logrank_weighted",
        "logrank",
        time="day",
        event="died",
        by="sex",
        strata=("site", "grade"),
        weights="share",
    ),
    "logrank_scored": Analysis(
        "logrank_scored",
        "logrank",
        time="day",
        event="died",
        by="treated",
        strata=("site",),
        treatment="treated",
        score=("age", "sex", "log(chol)"),
        truncation=0.05,
    ),
    "lmm": Analysis("lmm", "lmm", outcome="score", terms=TERMS),
    "lmm_ml": Analysis(
        "lmm_ml",
        "lmm",
        outcome="score",
        terms=TERMS,
        offset="5*log(years)",
        weights="share",
        REML=False,
    ),
    "glmm": Analysis("glmm", "glmm", outcome="ill", terms=TERMS, family="binomial"),
    "glmm_poisson": Analysis(
        "glmm_poisson",
        "glmm",
        outcome="visits",
        terms=TERMS,
        offset="log(years)",
        weights="share",
        family="poisson",
        nAGQ=15,
    ),
    "meta": Analysis(
        "meta", "meta", model="logistic", outcome="ill", terms=("age", "sex")
    ),
    "performance": Analysis(
        "performance",
        "performance",
        outcome="ill",
        terms=("age", "sex", "log(chol)"),
        thresholds=(0.2, 0.4, 0.6),
    ),
    "performance_published": Analysis(
        "performance_published",
        "performance",
        outcome="ill",
        terms=("age", "sex", "log(chol)"),
        coefficients=(
            Coefficient("(Intercept)", -6.0),
            Coefficient("age", 0.04),
            Coefficient("sex[male]", 0.4),
            Coefficient("log(chol)", 0.6),
        ),
        thresholds=(0.2, 0.4, 0.6),
    ),
    "performance_left_out": Analysis(
        "performance_left_out",
        "performance",
        outcome="ill",
        terms=("age", "sex"),
        validation="leave_one_site_out",
    ),
    "boosted_trees": Analysis(
        "boosted_trees",
        "boosted_trees",
        outcome="ill",
        terms=("age", "sex", "log(chol)", "grade"),
        boosting=Boosting(trees=2, depth=2, bins=8),
    ),
    "boosted_score": Analysis(
        "boosted_score",
        "boosted_trees",
        outcome="score",
        terms=("age", "sex"),
        boosting=Boosting(trees=2, depth=2, bins=8, holdout=0.0),
    ),
    "neural_network": Analysis(
        "neural_network",
        "neural_network",
        outcome="ill",
        terms=TERMS,
        network=Network((3,), strategy="scaffold", rounds=4, batch_size=0),
    ),
    "profile": Analysis(
        "profile",
        "profile",
        model="logistic",
        effect="sex[male]",
        outcome="ill",
        terms=("age", "sex"),
    ),
    "quantiles": Analysis(
        "quantiles", "quantiles", by="sex", variables=("age", "chol")
    ),
    "indicators": Analysis("indicators", "indicators", outcome="ill", by="grade"),
    "rates": Analysis(
        "rates",
        "rates",
        time="years",
        outcome="visits",
        by="sex",
        strata=("grade",),
        standard=(Weight("low", 3.0), Weight("middle", 2.0), Weight("high", 1.0)),
    ),
    "screen": Analysis(
        "screen",
        "screen",
        model="logistic",
        exposures=("treated", "chol"),
        outcomes=("ill", "died"),
        controls=("died",),
        terms=("age", "sex"),
    ),
    "table1": Analysis(
        "table1", "table1", by="sex", variables=("age", "chol", "grade", "ill")
    ),
}
for _name in (
    "logistic",
    "linear",
    "poisson",
    "negative_binomial",
    "gamma",
    "cox_efron",
):
    ANALYSES[f"{_name}_weighted"] = replace(
        ANALYSES[_name], name=f"{_name}_weighted", weights="share", variance="robust"
    )
TABLES = ("indicators", "km", "km_weighted", "quantiles", "rates", "table1")
TESTS = ("logrank", "logrank_weighted", "logrank_scored")
# What these answer hangs on where a row lies, so that no split is the pooled rows.
OF_SITES = (
    "lmm",
    "lmm_ml",
    "glmm",
    "glmm_poisson",
    "meta",
    "profile",
    "performance_left_out",
    "cox_matched",  # people are matched within their site
    "screen",  # each site says which pairs it holds enough people for
)
SHRUNK = ("lasso", "ridge", "elastic_net")
MODELS = tuple(
    name
    for name in ANALYSES
    if name
    not in (
        *TABLES,
        *OF_SITES,
        *SHRUNK,
        *TESTS,
        "cox_merged",
        "km_scored",
        "boosted_score",
        "boosted_trees",
        "neural_network",
    )
)
STUDY = study_of(VARIABLES, *ANALYSES.values())


def people(seed, n):
    """Return columns of n made-up people, some values missing."""
    rng = np.random.default_rng(seed)
    age = rng.normal(55, 12, n).clip(18, 100)
    sex = rng.integers(0, 2, n)
    chol = np.exp(rng.normal(5.3, 0.3, n)).clip(50, 700)
    grade = rng.integers(0, 3, n)
    risk = 0.03 * (age - 55) + 0.5 * sex + 0.8 * (np.log(chol) - 5.3) - 0.4 * grade
    years = rng.uniform(0.5, 4, n)
    day = np.ceil(rng.exponential(20 * np.exp(-risk))).clip(1, 60)
    columns = {
        "age": age,
        "sex": sex,
        "chol": chol,
        "grade": grade,
        "ill": (rng.random(n) < 1 / (1 + np.exp(0.3 - risk))).astype(np.int64),
        "visits": rng.poisson(years * np.exp(0.4 * risk)).clip(0, 200).astype(float),
        "years": years,
        "score": (5 * risk + rng.normal(0, 6, n)).clip(-60, 60),
        "day": day,
        "died": (rng.random(n) < 0.7).astype(np.int64),
    }
    columns["treated"] = (rng.random(n) < 1 / (1 + np.exp(0.2 - risk))).astype(np.int64)
    columns["age"] = np.where(rng.random(n) < 0.02, np.nan, columns["age"])
    columns["grade"] = np.where(rng.random(n) < 0.02, -1, columns["grade"])
    often = years * np.exp(0.4 * risk + 0.3)
    falls = rng.poisson(often * rng.gamma(1.5, 1 / 1.5, n))
    columns["falls"] = falls.clip(0, 400).astype(float)
    columns["cost"] = (10 * often * rng.gamma(2.0, 0.5, n)).clip(0.01, 1000)
    columns["pair"] = rng.integers(0, max(n // 4, 1), n)  # up to ten of a set
    columns["who"] = np.arange(n) // 5
    columns["share"] = np.where(rng.random(n) < 0.1, 0.0, rng.uniform(0, 4, n))
    return columns


def split(columns, cuts, sites=SITES):
    """Return site → columns, cut at the shares `cuts` of the rows."""
    n = len(next(iter(columns.values())))
    places = [0, *sorted(round(cut * n) for cut in cuts), n]
    return {
        site: {name: array[a:b] for name, array in columns.items()}
        for site, a, b in zip(sites, places, places[1:], strict=False)
    }


def refuse_or(call):
    """Return (answer, None) or (None, type of the error)."""
    try:
        return call(), None
    except HetaoError as error:
        return None, type(error)


def estimates(finding):
    terms = finding.as_json()["terms"]
    return (
        np.array([term["estimate"] for term in terms]),
        np.array([term["se"] for term in terms]),
    )


def distance(finding, beta, se):
    """Return (max |beta - reference| / SE, max relative difference of SE)."""
    ours, errors = estimates(finding)
    beta, se = np.asarray(beta), np.asarray(se)
    assert ours.shape == beta.shape
    away = float(np.max(np.abs(ours - beta) / se))
    se_away = float(np.max(np.abs(errors / se - 1)))
    answer = finding.as_json()
    note(answer["model"], answer.get("rounds"), away, se_away)
    return away, se_away


def assert_same(finding, beta, se, loglik=None):
    """Hold a finding to a reference: 1e-9 SE, 1e-8 of the SE, 1e-9 of the loglik."""
    away, se_away = distance(finding, beta, se)
    assert away < 1e-9
    assert se_away < 1e-8
    if loglik is not None:
        assert math.isclose(finding.as_json()["loglik"], loglik, rel_tol=1e-10)


def rows_of(study, analysis, columns, site=SITES[0]):
    plan = make_plan(study, analysis)
    return plan, make_rows(plan, columns, site)


def pooled(study, analysis, columns, site=SITES[0]):
    return oracle(study, analysis, {site: columns})


# --- R, on its own multi-centre data ------------------------------------------------
SCRIPT = Path(__file__).parent / "oracles" / "reference.R"


@cache
def from_r(script=SCRIPT):
    """Return table name → list of rows (text) that a script in R writes."""
    program = shutil.which("Rscript")
    if program is None:
        pytest.fail(
            "Rscript is missing: these tests compare with R's survival package; "
            "install r-base-core r-recommended"
        )
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [program, "--vanilla", str(script), folder],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return {path.stem: _read(path) for path in Path(folder).glob("*.csv")}


def _read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def fit_of(name, script=SCRIPT):
    """Return estimate, se, p (each (p,)), loglik, n and events of one of R's fits."""
    rows = [row for row in from_r(script)["fits"] if row["fit"] == name]
    numbers = {
        key: np.array([float(r[key]) for r in rows]) for key in ("estimate", "se", "p")
    }
    first = rows[0]
    events = None if first["events"] == "NA" else int(first["events"])
    return numbers | {
        "loglik": float(first["loglik"]),
        "n": int(first["n"]),
        "events": events,
    }


def columns_of(table, variables, script=SCRIPT):
    """Return site → columns of one of R's data frames, and the sites in order."""
    rows = from_r(script)[table]
    sites = tuple(dict.fromkeys(row["site"] for row in rows))
    parts = {}
    for site in sites:
        mine = [row for row in rows if row["site"] == site]
        parts[site] = {
            v.name: _array(v, [row[v.column] for row in mine]) for v in variables
        }
    return parts, sites


def _array(variable, cells):
    if variable.kind == "key":
        return np.array(cells)
    if variable.kind == "number":
        return np.array([np.nan if cell == "NA" else float(cell) for cell in cells])
    codes = {level.value: i for i, level in enumerate(variable.levels)} | {"NA": -1}
    return np.array([codes[cell] for cell in cells], dtype=np.int64)
