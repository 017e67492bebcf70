"""Ridge, lasso and elastic net against the conditions of their minimum, and glmnet.

A penalised loss is convex, so a point is its minimum just where every coefficient's
slope is met by the penalty's; that is checked on the pooled rows with numpy alone. R's
glmnet, given the same folds, is the second opinion, and the one on cross-validation;
scikit-learn is a third on single fits.
"""

import csv
import shutil
import subprocess
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import (
    ElasticNet,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)

from hetao.analysis import make_plan, make_rows, oracle
from support_analysis import ANALYSES, STUDY, people, split
from support_exactness import note

pytestmark = pytest.mark.held_to("R glmnet", "made up")

CUTS = (0.05, 0.3, 0.31)
LAMBDAS = {
    "linear": (2.0, 0.7, 0.2, 0.05, 0.002),
    "logistic": (0.12, 0.05, 0.02, 0.006, 0.0004),
    "poisson": (0.4, 0.15, 0.05, 0.01, 0.001),
}
SHARES = {"ridge": 0.0, "elastic_net": 0.3, "lasso": 1.0}
OUTCOMES = {"linear": "score", "logistic": "ill", "poisson": "visits"}


def asked(model, penalty, **more):
    alpha = SHARES["elastic_net"] if penalty == "elastic_net" else 0.5
    given = {"penalty": penalty, "alpha": alpha, "lambdas": LAMBDAS[model], **more}
    return replace(ANALYSES[model], name="a", **given)


def pooled(analysis, parts):
    """Return design, outcome, weights, offset and folds of all complete cases."""
    kept, folds = [], []
    for site, columns in parts.items():
        keep = ~np.isnan(columns["age"]) & (columns["grade"] >= 0)
        if analysis.weights:
            keep &= columns["share"] > 0
        kept.append({name: array[keep] for name, array in columns.items()})
        rows = make_rows(make_plan(STUDY, analysis), columns, site)
        folds.append(rows.fold if analysis.folds else np.zeros(rows.n))
    c = {name: np.concatenate([one[name] for one in kept]) for name in kept[0]}
    male = c["sex"] == 1
    X = [c["age"], male, np.log(c["chol"]), c["grade"] == 1, c["grade"] == 2]
    X = np.column_stack([*X, c["age"] * male]).astype(float)
    w = c["share"] if analysis.weights else np.ones(len(X))
    offset = np.log(c["years"]) if analysis.offset else np.zeros(len(X))
    y = c[OUTCOMES[analysis.method]].astype(float)
    return X, y, w, offset, np.concatenate(folds).astype(int)


def mean_of(model, eta):
    return {"linear": eta, "logistic": expit(eta), "poisson": np.exp(eta)}[model]


def slack(analysis, found, row):
    """Return the largest breach of the minimum's conditions, in the outcome's units.

    It is relative to the slope of the model of the intercept alone.
    """
    X, y, w, offset, _ = row
    share, worst = SHARES[analysis.penalty], 0.0
    total = w.sum()
    centre = w @ X / total
    sd = np.sqrt(w @ (X - centre) ** 2 / total)
    if not analysis.standardize:
        sd = np.ones_like(sd)
    spared = [i for i, name in enumerate(NAMES) if name in analysis.unpenalised]
    level = w @ y / total
    most = np.abs((X - centre).T @ (w * (y - level)) / sd / total).max()
    for one in found["path"]:
        b = np.array(one["coefficients"])
        mu = mean_of(analysis.method, b[0] + X @ b[1:] + offset)
        slope = (X - centre).T @ (w * (y - mu)) / total / sd
        scaled = b[1:] * sd
        ridge = one["lambda"] * (1 - share) * scaled
        lasso = one["lambda"] * share
        ridge[spared] = 0.0
        limit = np.full(len(sd), lasso)
        limit[spared] = 0.0
        gap = slope - ridge
        off = np.where(
            scaled != 0, np.abs(gap - limit * np.sign(scaled)), np.abs(gap) - limit
        )
        worst = max(worst, off.max(), abs(w @ (y - mu)) / total)
    return worst / most


NAMES = ("age", "sex", "log(chol)", "grade", "grade", "age:sex")


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"weights": "share"},
        {"standardize": False},
        {"unpenalised": ("sex", "grade"), "folds": 0, "lambdas": (0.05,)},
    ],
    ids=["plain", "weights", "own units", "unpenalised"],
)
@pytest.mark.parametrize("penalty", SHARES)
@pytest.mark.parametrize("model", LAMBDAS)
def test_every_fit_meets_the_conditions_of_its_minimum(model, penalty, more):
    analysis = asked(model, penalty, **more)
    parts = split(people(1, 700), CUTS)

    found = oracle(STUDY, analysis, parts).as_json()

    assert slack(analysis, found, pooled(analysis, parts)) < 1e-9
    assert found["rounds"] <= (2 if model == "linear" else 6)
    if analysis.folds:
        assert found["lambda"] in (found["lambda_min"], found["lambda_1se"])


# --- glmnet -------------------------------------------------------------------------
CASES = [
    *((model, penalty, "") for model in LAMBDAS for penalty in ("ridge", "lasso")),
    ("logistic", "elastic_net", ""),
    ("poisson", "elastic_net", "share"),
    ("logistic", "lasso", "share"),
    ("linear", "lasso", "share"),
]
FAMILY = {"linear": "gaussian", "logistic": "binomial", "poisson": "poisson"}


def case_of(model, penalty, weights):
    analysis = asked(model, penalty, weights=weights, select="lambda.min")
    return analysis, split(people(2, 900), CUTS)


@cache
def from_glmnet(folder):
    """Return case → (coefficients (l, p + 1), what cross-validation says) of glmnet."""
    program = shutil.which("Rscript")
    if program is None:
        pytest.fail("Rscript is missing: install r-base-core r-cran-glmnet")
    for case in CASES:
        analysis, parts = case_of(*case)
        X, y, w, offset, folds = pooled(analysis, parts)
        # glmnet takes a linear model's ridge at an outcome of unit variance.
        scale = spread_of(case[0], y, w)
        name = f"{FAMILY[case[0]]}-{SHARES[case[1]]}-{case[2]}"
        lines = np.column_stack([y / scale, w, offset, folds + 1, X])
        heads = ["y", "w", "offset", "fold", *(f"x{i}" for i in range(X.shape[1]))]
        write(folder / f"{name}.csv", heads, lines)
        strengths = np.array(analysis.lambdas) / (scale if case[1] == "lasso" else 1)
        write(folder / f"{name}.lambda.csv", ["lambda"], strengths[:, None])
    script = __file__.replace("test_penalised.py", "glmnet.R")
    done = subprocess.run(
        [program, "--vanilla", script, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {}
    for case in CASES:
        name = f"{FAMILY[case[0]]}-{SHARES[case[1]]}-{case[2]}"
        fits = read(folder / f"{name}.fits.csv")
        found[case] = fits.T, read(folder / f"{name}.cv.csv")
    return found


def spread_of(model, y, w):
    if model != "linear":
        return 1.0
    return np.sqrt(w @ (y - w @ y / w.sum()) ** 2 / w.sum())


def write(path, heads, lines):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [heads, *([repr(float(v)) for v in r] for r in lines)]
        )


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        _, *lines = csv.reader(file)
    return np.array([[float(cell) for cell in line[1:]] for line in lines])


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_path_and_cross_validation_are_those_of_glmnet(case, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "glmnet"
    folder.mkdir(exist_ok=True)
    theirs, cv = from_glmnet(folder)[case]
    analysis, parts = case_of(*case)
    X, y, w, offset, _ = pooled(analysis, parts)
    scale = spread_of(case[0], y, w)

    found = oracle(STUDY, analysis, parts).as_json()

    ours = np.array([one["coefficients"] for one in found["path"]])
    mean = mean_of(case[0], theirs[-1, 0] + X @ theirs[-1, 1:] + offset)
    curve = {"linear": np.ones(len(y)), "poisson": mean, "logistic": mean * (1 - mean)}
    design = np.column_stack([np.ones(len(y)), X])
    information = (design.T * (w * curve[case[0]])) @ design
    se = scale * np.sqrt(np.diag(np.linalg.inv(information)))
    away = float(np.max(np.abs(ours - theirs * scale) / se))
    note(case[0], found["rounds"], away, None)
    assert away < 1e-8  # glmnet stops there
    if case[:2] == ("linear", "ridge"):
        return  # of each fold, glmnet takes the ridge at another unit of the outcome
    for ours_key, column in (("deviance", 0), ("deviance_se", 1)):
        values = [one[ours_key] for one in found["path"]]
        np.testing.assert_allclose(values, cv[:, column] * scale**2, rtol=1e-7)
    unit = scale if case[1] == "lasso" else 1
    for key, column in (("lambda_min", 2), ("lambda_1se", 3)):
        assert found[key] == pytest.approx(cv[0, column] * unit, rel=1e-9)
    assert found["lambda"] == found["lambda_min"]


def test_a_ridge_of_a_number_is_cross_validated_as_its_closed_form():
    analysis = asked("linear", "ridge", weights="share")
    parts = split(people(2, 900), CUTS)
    X, y, w, _, folds = pooled(analysis, parts)

    found = oracle(STUDY, analysis, parts).as_json()

    for one in found["path"]:
        errors, sizes = [], []
        for fold in range(5):
            out = folds == fold
            weight = np.where(out, 0.0, w)
            centre = weight @ X / weight.sum()
            Z = (X - centre) / np.sqrt(weight @ (X - centre) ** 2 / weight.sum())
            level = weight @ y / weight.sum()
            inner = (Z.T * weight) @ Z / weight.sum() + one["lambda"] * np.eye(6)
            b = np.linalg.solve(inner, Z.T @ (weight * (y - level)) / weight.sum())
            errors.append(w[out] @ (y - level - Z @ b)[out] ** 2 / w[out].sum())
            sizes.append(w[out].sum())
        mean = np.average(errors, weights=sizes)
        spread = np.average((errors - mean) ** 2, weights=sizes)
        assert one["deviance"] == pytest.approx(mean, rel=1e-11)
        assert one["deviance_se"] == pytest.approx(np.sqrt(spread / 4), rel=1e-9)


# --- scikit-learn -------------------------------------------------------------------
def of_scikit_learn(model, penalty, strength, n):
    """Return the model whose minimum is ours, on columns of unit variance."""
    if (model, penalty) == ("linear", "ridge"):
        return Ridge(alpha=n * strength)
    if model == "linear":
        share = SHARES[penalty]
        return ElasticNet(alpha=strength, l1_ratio=share, tol=1e-14, max_iter=100_000)
    if model == "logistic":
        return LogisticRegression(
            C=1 / (n * strength), solver="newton-cholesky", tol=1e-12, max_iter=200
        )
    return PoissonRegressor(
        alpha=strength, solver="newton-cholesky", tol=1e-12, max_iter=200
    )


@pytest.mark.parametrize(
    ("model", "penalty"),
    [
        *(("linear", penalty) for penalty in SHARES),
        ("logistic", "ridge"),
        ("poisson", "ridge"),
    ],
)
def test_a_fit_is_scikit_learns(model, penalty):
    strength = LAMBDAS[model][2]
    analysis = asked(model, penalty, folds=0, lambdas=(strength,), offset="")
    parts = split(people(3, 800), CUTS)
    X, y, *_ = pooled(analysis, parts)
    centre, sd = X.mean(axis=0), X.std(axis=0)
    theirs = of_scikit_learn(model, penalty, strength, len(y)).fit((X - centre) / sd, y)

    found = oracle(STUDY, analysis, parts).as_json()

    slopes = np.ravel(theirs.coef_) / sd
    level = float(np.ravel(theirs.intercept_)[0]) - slopes @ centre
    ours = np.array([term["estimate"] for term in found["terms"]])
    away = np.abs(ours - np.array([level, *slopes])) * np.array([1.0, *sd])
    assert away.max() < 1e-8
