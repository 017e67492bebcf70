"""`y ~ arm | age + sex`: a treatment before the bar, what explains it behind."""

import csv

import pytest

import hetao
from hetao.errors import BadFormula
from hetao.notebook.asking import with_treatment
from hetao.notebook.drafting import draft_study
from hetao.notebook.parts import Part
from hetao.notebook.weighting import ScoreWeights


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["ill", "arm", "age", "sex", "days", "falls", "years"])
        for i in range(40):
            years = 1 + i % 3
            rows.writerow(
                [i % 2, "ab"[i % 3 > 0], 40 + i, "fm"[i % 2], i, i % 5, years]
            )
    return (Part("only", path),)


def drafted(model, formula, parts, strata=(), **options):
    return draft_study(model, formula, parts, strata, options).study.analyses[0]


@pytest.mark.parametrize("model", ["ipw", "g_computation", "aipw"])
def test_an_effect_has_the_treatment_before_the_bar(model, parts):
    analysis = drafted(model, "ill ~ arm | age + sex", parts)

    assert analysis.treatment == "arm"
    assert analysis.terms == ("age", "sex")
    assert analysis.outcome == "ill"
    said = drafted(model, "ill ~ age + sex", parts, treatment="arm")
    assert said == analysis
    assert model in hetao.MODELS


def test_a_model_with_a_bar_is_weighted_by_the_score_of_its_first_term(parts):
    analysis = drafted(
        "cox",
        "Surv(days, ill) ~ arm + sex | age + C(sex)",
        parts,
        ("site",),
        estimand="ATO",
    )

    assert analysis.terms == ("arm", "sex")
    assert analysis.treatment == "arm"
    assert analysis.score == ("age", "sex")
    assert analysis.estimand == "ATO"


@pytest.mark.parametrize("model", ["km", "logrank"])
def test_curves_with_a_bar_are_of_the_arms_weighted_by_the_score(model, parts):
    weights = ScoreWeights("arm", ("age", "sex"), "ATO", frozenset({"arm", "sex"}))
    left = "Surv(days, ill) ~ arm"

    strata = ("site",) if model == "logrank" else ()

    analysis = drafted(model, f"{left} | age + sex", parts, strata, estimand="ATO")

    assert (analysis.by, analysis.treatment) == ("arm", "arm")
    assert analysis.score == ("age", "sex")
    assert analysis == drafted(model, left, parts, strata, weights=weights)


def test_counts_and_rates_are_said_by_family_and_offset(parts):
    analysis = drafted(
        "aipw", "falls ~ arm | age + offset(log(years))", parts, family="poisson"
    )

    assert analysis.family == "poisson"
    assert analysis.offset == "log(years)"


@pytest.mark.parametrize(
    ("model", "formula"),
    [
        ("gamma", "years ~ arm | age"),
        ("ipw", "ill ~ arm + sex | age"),
        ("ipw", "ill ~ log(age) | sex"),
        ("ipw", "ill ~ arm | age | sex"),
        ("logistic", "ill ~ 1 | age"),
    ],
)
def test_a_bar_that_means_nothing_is_refused(model, formula):
    with pytest.raises(BadFormula, match="bar"):
        with_treatment(model, formula, {})


def test_without_a_bar_nothing_changes():
    assert with_treatment("km", "Surv(t, e) ~ x", {"rho": 1}) == (
        "Surv(t, e) ~ x",
        {"rho": 1},
    )
