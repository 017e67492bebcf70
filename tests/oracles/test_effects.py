"""Effects = stacked estimating equations solved on the pooled rows, and statsmodels.

The oracle shares nothing with Hetao: it writes down the estimating function of every
parameter at once, finds their zero by Newton's method on the whole system, and takes
all derivatives by complex steps.
"""

import importlib.util
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.treatment.treatment_effects import TreatmentEffect

from hetao.analysis import oracle
from hetao.study import Analysis
from support_analysis import (
    STUDY,
    category,
    distance,
    number,
    people,
    split,
    study_of,
)

pytestmark = pytest.mark.held_to("second implementation: stacked equations", "made up")

CUTS = (0.05, 0.3, 0.31)
TERMS = ("age", "sex", "log(chol)", "grade", "age:sex")


def complete(seed, n=900):
    """Return complete cases with a standardised design of TERMS (n, 7)."""
    columns = people(seed, n)
    keep = ~np.isnan(columns["age"]) & (columns["grade"] >= 0)
    columns = {name: array[keep] for name, array in columns.items()}
    age, male = columns["age"], columns["sex"] == 1
    parts = [
        age,
        male,
        np.log(columns["chol"]),
        columns["grade"] == 1,
        columns["grade"] == 2,
        age * male,
    ]
    X = np.column_stack(parts).astype(float)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    return columns, np.column_stack([np.ones(len(X)), X])


def inverse_logit(eta):
    return 1 / (1 + np.exp(-eta))


def functions(kind, estimand, truncation, is_binary, data):
    """Return theta -> (n, parameters) estimating functions of one estimator."""
    X, A, Y = data
    p = X.shape[1]
    link = inverse_logit if is_binary else (lambda eta: eta)

    def of(theta):
        parts, place = [], 0
        w1, w0 = np.ones_like(A), np.ones_like(A)
        if kind != "g_computation":
            e = inverse_logit(X @ theta[:p])
            parts.append(X * (A - e)[:, None])
            place = p
            e = np.where(e.real < truncation, truncation, e)
            e = np.where(e.real > 1 - truncation, 1 - truncation, e)
            w1, w0 = {
                "ATE": (1 / e, 1 / (1 - e)),
                "ATT": (w1, e / (1 - e)),
                "ATO": (1 - e, e),
            }[estimand]
        mu1, mu0 = theta[-2:]
        if kind == "ipw":
            parts += [
                (A * w1 * (Y - mu1))[:, None],
                ((1 - A) * w0 * (Y - mu0))[:, None],
            ]
            return np.hstack(parts)
        m1, m0 = link(X @ theta[place : place + p]), link(X @ theta[place + p : -2])
        parts += [X * (A * (Y - m1))[:, None], X * ((1 - A) * (Y - m0))[:, None]]
        h = A if estimand == "ATT" else np.ones_like(A)
        if kind == "g_computation":
            w1 = w0 = np.zeros_like(A)
        parts.append((h * (m1 - mu1) + A * w1 * (Y - m1))[:, None])
        parts.append((h * (m0 - mu0) + (1 - A) * w0 * (Y - m0))[:, None])
        return np.hstack(parts)

    return of


def derivative(of, theta):
    """Return the Jacobian of the summed functions by complex steps, exact."""
    columns = []
    for i in range(len(theta)):
        moved = theta.astype(complex)
        moved[i] += 1e-30j
        columns.append(of(moved).sum(axis=0).imag / 1e-30)
    return np.column_stack(columns)


def solved(of, size):
    """Return the zero of the stacked functions, and the sandwich there."""
    theta = np.zeros(size)
    for _ in range(60):
        step = np.linalg.solve(derivative(of, theta), of(theta).sum(axis=0))
        theta = theta - step
        if np.max(np.abs(step)) < 1e-15:
            break
    bread = np.linalg.inv(derivative(of, theta))
    each = of(theta)
    return theta[-2:], (bread @ (each.T @ each) @ bread.T)[-2:, -2:]


def contrasts(means, covariance, is_binary):
    """Return the estimates and errors of difference, log risk and log odds ratio."""
    m1, m0 = means
    found = [(m1 - m0, np.array([1.0, -1.0]))]
    if is_binary:
        found.append((np.log(m1 / m0), np.array([1 / m1, -1 / m0])))
        odds = np.log(m1 * (1 - m0) / (m0 * (1 - m1)))
        slope = np.array([1 / (m1 * (1 - m1)), -1 / (m0 * (1 - m0))])
        found.append((odds, slope))
    return (
        np.array([estimate for estimate, _ in found]),
        np.array([np.sqrt(g @ covariance @ g) for _, g in found]),
    )


CASES = [
    ("ipw", "ATE", 0.0),
    ("ipw", "ATE", 0.25),
    ("ipw", "ATT", 0.0),
    ("ipw", "ATT", 0.3),
    ("ipw", "ATO", 0.0),
    ("g_computation", "ATE", 0.0),
    ("g_computation", "ATT", 0.0),
    ("aipw", "ATE", 0.0),
    ("aipw", "ATE", 0.25),
    ("aipw", "ATT", 0.0),
]


@pytest.mark.parametrize("outcome", ["ill", "score"])
@pytest.mark.parametrize(("kind", "estimand", "truncation"), CASES)
def test_effects_are_the_stacked_equations_of_pooled_rows(
    kind, estimand, truncation, outcome
):
    columns, X = complete(1)
    is_binary = outcome == "ill"
    data = (X, columns["treated"].astype(float), columns[outcome].astype(float))
    of = functions(kind, estimand, truncation, is_binary, data)
    models = {"ipw": 1, "g_computation": 2, "aipw": 3}[kind]
    means, covariance = solved(of, models * X.shape[1] + 2)
    analysis = Analysis(
        "effect",
        kind,
        outcome=outcome,
        treatment="treated",
        terms=TERMS,
        estimand=estimand,
        truncation=truncation,
    )

    finding = oracle(STUDY, analysis, split(columns, CUTS))

    away, se_away = distance(finding, *contrasts(means, covariance, is_binary))
    assert away < 1e-9
    assert se_away < 1e-9
    answer = finding.as_json()
    assert answer["rounds"] <= 6
    for arm, place in zip(answer["arms"], (1, 0), strict=True):
        assert arm["mean"] == pytest.approx(means[place], rel=1e-10)
        error = np.sqrt(covariance[place, place])
        assert arm["se"] == pytest.approx(error, rel=1e-9)


@pytest.mark.held_to("statsmodels TreatmentEffect", "made up")
@pytest.mark.parametrize(
    ("kind", "theirs"), [("ipw", "ipw"), ("g_computation", "ra"), ("aipw", "aipw")]
)
def test_effects_are_statsmodels_treatment_effects(kind, theirs):
    columns, X = complete(3)
    A = columns["treated"]
    score = sm.Logit(A, X).fit(disp=False, tol=1e-14, maxiter=100)
    model = TreatmentEffect(sm.OLS(columns["score"], X), A, results_select=score)
    theirs = getattr(model, theirs)(return_results=True)
    analysis = Analysis(
        "effect", kind, outcome="score", treatment="treated", terms=TERMS
    )

    finding = oracle(STUDY, analysis, split(columns, CUTS))

    effect = finding.as_json()["terms"][0]
    untreated = finding.as_json()["arms"][0]
    found = theirs.results_gmm
    for place, ours, key in ((0, effect, "estimate"), (1, untreated, "mean")):
        assert abs(found.params[place] - ours[key]) < 1e-9 * ours["se"]
        assert found.bse[place] == pytest.approx(ours["se"], rel=1e-9)


def test_weights_balance_what_the_score_knows():
    columns, X = complete(4)
    A = columns["treated"].astype(float)
    fit = sm.Logit(A, X).fit(disp=False, tol=1e-14, maxiter=100)
    e = fit.predict()
    w = np.where(A == 1, 1 / e, 1 / (1 - e))
    analysis = Analysis(
        "effect",
        "ipw",
        outcome="ill",
        treatment="treated",
        terms=TERMS,
        overlap_bins=20,
    )

    answer = oracle(STUDY, analysis, split(columns, CUTS)).as_json()

    for arm, row in enumerate(answer["arms"]):
        mine = arm == A
        assert row["n"] == mine.sum()
        assert row["ess"] == pytest.approx(w[mine].sum() ** 2 / (w[mine] ** 2).sum())
        bins, _ = np.histogram(e[mine], bins=20, range=(0, 1))
        assert answer["overlap"][arm] == bins.tolist()
    by_name = {row["name"]: row for row in answer["balance"]}
    age = columns["age"]
    treated, others = age[A == 1], age[A == 0]
    spread = np.sqrt((treated.var(ddof=1) + others.var(ddof=1)) / 2)
    assert by_name["age"]["before"] == pytest.approx(
        (treated.mean() - others.mean()) / spread, rel=1e-9
    )
    gap = np.average(treated, weights=w[A == 1]) - np.average(others, weights=w[A == 0])
    assert by_name["age"]["after"] == pytest.approx(gap / spread, rel=1e-7)
    table = Analysis("t", "table1", by="treated", variables=("age", "sex"))
    rows = oracle(STUDY, table, split(columns, CUTS)).as_json()["rows"]
    for name, column in (("age", "age"), ("sex", "sex[male]")):
        smd = next(r["smd"] for r in rows if r["variable"] == name)
        assert abs(by_name[column]["before"]) == pytest.approx(smd, rel=1e-9)


# --- counts -------------------------------------------------------------------------
def count_functions(kind, estimand, data, time):
    """Return theta -> estimating functions of the arms' rates, stacked."""
    X, A, Y = data
    p = X.shape[1]

    def of(theta):
        parts, place = [], 0
        w1 = w0 = np.zeros_like(A)
        h = A if estimand == "ATT" else np.ones_like(A)
        if kind != "g_computation":
            e = inverse_logit(X @ theta[:p])
            parts.append(X * (A - e)[:, None])
            place = p
            w1, w0 = {
                "ATE": (1 / e, 1 / (1 - e)),
                "ATT": (np.ones_like(A), e / (1 - e)),
                "ATO": (1 - e, e),
            }[estimand]
        rate1, rate0 = theta[-2:]
        if kind == "ipw":
            parts += [
                (A * w1 * (Y - time * rate1))[:, None],
                ((1 - A) * w0 * (Y - time * rate0))[:, None],
            ]
            return np.hstack(parts)
        m1 = time * np.exp(X @ theta[place : place + p])
        m0 = time * np.exp(X @ theta[place + p : -2])
        parts += [X * (A * (Y - m1))[:, None], X * ((1 - A) * (Y - m0))[:, None]]
        parts.append((h * (m1 - time * rate1) + A * w1 * (Y - m1))[:, None])
        parts.append((h * (m0 - time * rate0) + (1 - A) * w0 * (Y - m0))[:, None])
        return np.hstack(parts)

    return of


COUNTED = [
    ("ipw", "ATE", True),
    ("ipw", "ATO", False),
    ("g_computation", "ATE", True),
    ("g_computation", "ATT", False),
    ("aipw", "ATE", True),
    ("aipw", "ATT", True),
]


@pytest.mark.parametrize(("kind", "estimand", "has_time"), COUNTED)
def test_effects_on_counts_are_the_stacked_equations_of_pooled_rows(
    kind, estimand, has_time
):
    columns, X = complete(11)
    A = columns["treated"].astype(float)
    time = columns["years"] if has_time else np.ones(len(A))
    of = count_functions(kind, estimand, (X, A, columns["visits"]), time)
    models = {"ipw": 1, "g_computation": 2, "aipw": 3}[kind]
    means, covariance = solved(of, models * X.shape[1] + 2)
    m1, m0 = means
    slopes = [np.array([1.0, -1.0]), np.array([1 / m1, -1 / m0])]
    analysis = Analysis(
        "effect",
        kind,
        outcome="visits",
        treatment="treated",
        terms=TERMS,
        estimand=estimand,
        family="poisson",
        offset="log(years)" if has_time else "",
    )

    finding = oracle(STUDY, analysis, split(columns, CUTS))

    away, se_away = distance(
        finding,
        np.array([m1 - m0, np.log(m1 / m0)]),
        np.array([np.sqrt(g @ covariance @ g) for g in slopes]),
    )
    assert away < 1e-9
    assert se_away < 1e-9
    answer = finding.as_json()
    assert answer["rounds"] <= 6
    kinds = [term["name"] for term in answer["terms"]]
    assert kinds == (
        ["rate_difference", "rate_ratio"]
        if has_time
        else ["mean_difference", "mean_ratio"]
    )
    assert answer["events"] == columns["visits"].sum()
    assert answer["arms"][1]["mean"] == pytest.approx(m1, rel=1e-9)


# --- real patients ------------------------------------------------------------------
NUMBERS = {
    "num_age": (18, 110),
    "num_edu": (0, 30),
    "num_surv2md1": (0, 1),
    "num_aps1": (0, 150),
    "num_meanbp1": (0, 300),
    "num_pafi1": (0, 1000),
}
CATEGORIES = ("fac_sex", "fac_card", "fac_resp", "fac_seps", "fac_dnr1", "fac_ca")
RHC = [
    ("ipw", "ATE", 0.0),
    ("ipw", "ATO", 0.0),
    ("ipw", "ATT", 0.0),
    ("g_computation", "ATE", 0.0),
    ("aipw", "ATE", 0.0),
]


@pytest.fixture(scope="module")
def rhc():
    """Return 5,735 patients of the SUPPORT study, by their class of insurance."""
    spec = importlib.util.find_spec("SurvSet")
    assert spec, "SurvSet is not installed: run `make test`, which installs it"
    path = Path(spec.origin).parent / "resources/pickles/rhc.pickle"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # an old numpy's path
        frame = pd.DataFrame(pickle.loads(path.read_bytes()))  # noqa: S301
    return frame.assign(died=(frame["event"] == 1) & (frame["time"] <= 30))


@pytest.mark.held_to(
    "second implementation: stacked equations", "SUPPORT catheters (rhc)"
)
@pytest.mark.xdist_group("system")
@pytest.mark.parametrize(("kind", "estimand", "truncation"), RHC)
def test_right_heart_catheters_over_six_groups_agree(rhc, kind, estimand, truncation):
    finding, means, covariance = over_six_groups(rhc, (kind, estimand, truncation))

    away, se_away = distance(finding, *contrasts(means, covariance, is_binary=True))
    assert away < 1e-9
    assert se_away < 1e-9
    answer = finding.as_json()
    assert answer["n"] == 5735
    assert answer["rounds"] <= 6
    if kind == "ipw" and estimand == "ATO":
        assert max(abs(row["after"]) for row in answer["balance"]) < 1e-9
    elif kind == "ipw":
        rows = answer["balance"]
        assert max(abs(row["after"]) for row in rows) < 0.1
        assert max(abs(row["before"]) for row in rows) > 0.3


def over_six_groups(frame, which):
    """Return Hetao's finding, and the oracle's means and covariance."""
    kind, estimand, truncation = which
    levels = {name: sorted(map(str, frame[name].unique())) for name in CATEGORIES}
    columns = {name: frame[name].to_numpy(float) for name in NUMBERS}
    for name in CATEGORIES:
        codes = {level: code for code, level in enumerate(levels[name])}
        columns[name] = frame[name].astype(str).map(codes).to_numpy(np.int64)
    columns["rhc"] = (frame["fac_swang1"] == "RHC").to_numpy(np.int64)
    columns["died"] = frame["died"].to_numpy(np.int64)
    groups = frame["fac_ninsclas"].astype(str)
    parts = {
        f"group{i}": {n: array[groups == group] for n, array in columns.items()}
        for i, group in enumerate(sorted(groups.unique()), 1)
    }
    assert len(parts) == 6
    analysis = Analysis(
        "effect",
        kind,
        outcome="died",
        treatment="rhc",
        terms=(*NUMBERS, *CATEGORIES),
        estimand=estimand,
        truncation=truncation,
    )
    study = study_of(
        [
            *(number(name, *bounds) for name, bounds in NUMBERS.items()),
            *(category(name, *levels[name]) for name in CATEGORIES),
            category("rhc", "no", "yes"),
            category("died", "no", "yes"),
        ],
        analysis,
        sites=tuple(parts),
    )
    X = [columns[name] for name in NUMBERS]
    for name in CATEGORIES:
        X += [columns[name] == code for code in range(1, len(levels[name]))]
    X = np.column_stack(X).astype(float)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    X = np.column_stack([np.ones(len(X)), X])
    data = (X, columns["rhc"].astype(float), columns["died"].astype(float))
    of = functions(kind, estimand, truncation, True, data)
    models = {"ipw": 1, "g_computation": 2, "aipw": 3}[kind]
    means, covariance = solved(of, models * X.shape[1] + 2)
    return oracle(study, analysis, parts), means, covariance
