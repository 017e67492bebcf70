"""A random intercept for each site: sums give what whole matrices give.

The dense solution knows nothing of sums: it makes every covariance matrix whole and
finds the restricted likelihood's maximum where its
numerical slope is nothing.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq, least_squares

from hetao.analysis import estimator_for, make_rows, oracle
from hetao.analysis.lmm import GRID
from hetao.errors import InvalidStudy, NotEstimable, WrongShape
from support_analysis import ANALYSES, STUDY, assert_same, people, split

pytestmark = pytest.mark.held_to(
    "second implementation: whole covariance matrices", "made up"
)

LMM = ANALYSES["lmm"]
CUTS = (0.08, 0.3, 0.55, 0.9)


def shifted(seed, n, sd=4.0):
    """Return five sites of people whose scores are shifted site by site."""
    parts = split(people(seed, n), CUTS)
    shifts = np.random.default_rng(seed).normal(0, sd, len(parts))
    return {
        site: part | {"score": (part["score"] + shift).clip(-60, 60)}
        for (site, part), shift in zip(parts.items(), shifts, strict=True)
    }


def pooled_rows(parts, analysis=LMM):
    """Return design, outcome, site and weight of the complete cases, as they are."""
    X, y, site, w = [], [], [], []
    for place, part in enumerate(parts.values()):
        keep = ~np.isnan(part["age"]) & (part["grade"] >= 0)
        if analysis.weights:
            keep &= part["share"] > 0
        age, male, grade = (part[k][keep] for k in ("age", "sex", "grade"))
        chol = np.log(part["chol"][keep])
        design = [
            np.ones(len(age)),
            age,
            male,
            chol,
            grade == 1,
            grade == 2,
            age * male,
        ]
        X.append(np.column_stack(design).astype(float))
        offset = 5 * np.log(part["years"][keep]) if analysis.offset else 0.0
        y.append(part["score"][keep] - offset)
        site.append(np.full(len(age), place))
        w.append(part["share"][keep] if analysis.weights else np.ones(len(age)))
    return tuple(map(np.concatenate, (X, y, site, w)))


def whole(rows, log_ratio, restricted=True):
    """Return loglik, beta, covariance and sigma^2 from whole covariance matrices."""
    half, left, R, turned = whitened(rows, np.exp(log_ratio))
    n, p = rows[0].shape
    free = n - p if restricted else n
    sigma2 = left @ left / free
    loglik = -np.log(np.diag(half)).sum()
    if restricted:
        loglik -= np.log(np.abs(np.diag(R))).sum()
    loglik -= free / 2 * (np.log(2 * np.pi * sigma2) + 1)
    inverse = np.linalg.inv(R)
    return loglik, inverse @ turned, sigma2 * inverse @ inverse.T, sigma2


def whitened(rows, ratio):
    X, y, site, w = rows
    half = np.linalg.cholesky(np.diag(1 / w) + ratio * (site[:, None] == site))
    Q, R = np.linalg.qr(np.linalg.solve(half, X))
    turned = np.linalg.solve(half, y)
    return half, turned - Q @ (Q.T @ turned), R, Q.T @ turned


def at(rows, logs, restricted):
    """Return the log-likelihood at the logarithms of tau^2 and of sigma^2."""
    half, left, R, _ = whitened(rows, np.exp(logs[0] - logs[1]))
    n, p = rows[0].shape
    free = n - p if restricted else n
    loglik = -np.log(np.diag(half)).sum() - free / 2 * (np.log(2 * np.pi) + logs[1])
    if restricted:
        loglik -= np.log(np.abs(np.diag(R))).sum()
    return loglik - left @ left / np.exp(logs[1]) / 2


def errors_at(rows, logs, restricted, h=0.02):
    """Return the errors of both logarithms by the numerical second derivatives."""

    def second(i, j):
        a, b = h * np.eye(2)[i], h * np.eye(2)[j]
        ends = [(1, a + b), (-1, a - b), (-1, b - a), (1, -a - b)]
        near = sum(s * at(rows, logs + e, restricted) for s, e in ends) / 4
        far = sum(s * at(rows, logs + 2 * e, restricted) for s, e in ends) / 16
        return (4 * near - far) / 3 / h**2

    curve = -np.array([[second(i, j) for j in (0, 1)] for i in (0, 1)])
    return np.sqrt(np.diag(np.linalg.inv(curve)))


def dense(rows, restricted=True):
    """Return the maximum over the log of the ratio, by its numerical slope."""

    def slope(x, h=1e-3):
        ends = [whole(rows, x + k * h, restricted)[0] for k in (-2, -1, 1, 2)]
        return (ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * h)

    top = brentq(slope, -8.0, 4.0, xtol=1e-12)
    return top, whole(rows, top, restricted)


@pytest.mark.parametrize(("seed", "n"), [(1, 180), (2, 150), (3, 160)])
def test_sums_give_what_whole_covariance_matrices_give(seed, n):
    parts = shifted(seed, n)
    log_ratio, (loglik, beta, covariance, sigma2) = dense(pooled_rows(parts))

    found = oracle(STUDY, LMM, parts)

    assert_same(found, beta, np.sqrt(np.diag(covariance)), loglik)
    answer = found.as_json()
    assert answer["sigma"] ** 2 == pytest.approx(sigma2, rel=1e-9)
    assert answer["tau2"] == pytest.approx(sigma2 * np.exp(log_ratio), rel=1e-7)
    assert answer["rounds"] <= 6
    assert not answer["singular"]


@pytest.mark.parametrize("restricted", [True, False])
def test_offset_weights_and_both_likelihoods_are_the_dense_ones(restricted):
    """And the errors of the variances, by numerical second derivatives."""
    analysis = replace(ANALYSES["lmm_ml"], REML=restricted)
    parts = shifted(9, 160)
    rows = pooled_rows(parts, analysis)
    log_ratio, (loglik, beta, covariance, sigma2) = dense(rows, restricted)

    found = oracle(STUDY, analysis, parts)

    assert_same(found, beta, np.sqrt(np.diag(covariance)), loglik)
    answer = found.as_json()
    tau2 = sigma2 * np.exp(log_ratio)
    assert answer["sigma"] ** 2 == pytest.approx(sigma2, rel=1e-9)
    assert answer["tau2"] == pytest.approx(tau2, rel=1e-7)
    assert answer["icc"] == pytest.approx(tau2 / (tau2 + sigma2), rel=1e-7)
    errors = errors_at(rows, np.log([tau2, sigma2]), restricted)
    assert answer["tau2_se"] == pytest.approx(tau2 * errors[0], rel=1e-5)
    assert answer["sigma_se"] == pytest.approx(sigma2**0.5 * errors[1] / 2, rel=1e-5)
    ends = tau2 * np.exp(np.array([-1, 1]) * 1.959964 * errors[0])
    np.testing.assert_allclose(
        [answer["tau2_lower"], answer["tau2_upper"]], ends, rtol=1e-5
    )
    assert answer["rounds"] <= 6


@pytest.mark.held_to("ours, of other weights", "made up")
def test_weights_of_another_size_change_no_estimate():
    """Only the variance within is of somebody of weight 1."""
    wide = tuple(
        replace(v, bounds=(0, 4e6)) if v.name == "share" else v for v in STUDY.variables
    )
    parts = shifted(10, 300)
    heavy = {s: p | {"share": p["share"] * 1e6} for s, p in parts.items()}
    study, analysis = replace(STUDY, variables=wide), ANALYSES["lmm_ml"]

    one, other = oracle(STUDY, analysis, parts), oracle(study, analysis, heavy)

    terms = one.as_json()["terms"]
    assert_same(other, [t["estimate"] for t in terms], [t["se"] for t in terms])
    assert other.as_json()["sigma"] == pytest.approx(1e3 * one.as_json()["sigma"])
    assert other.as_json()["tau2"] == pytest.approx(one.as_json()["tau2"], rel=1e-8)


@pytest.mark.held_to("our linear model", "made up")
def test_sites_that_do_not_differ_have_the_linear_model():
    parts = split(people(4, 800), CUTS)
    alike = {
        site: part | {"score": part["score"] - residual}
        for (site, part), residual in zip(parts.items(), left_over(parts), strict=True)
    }

    found = oracle(STUDY, LMM, alike)

    linear = oracle(STUDY, ANALYSES["linear"], alike).as_json()["terms"]
    assert_same(found, [t["estimate"] for t in linear], [t["se"] for t in linear])
    assert found.as_json()["tau2"] == 0.0
    assert found.as_json()["singular"]
    assert found.as_json()["rounds"] == 2
    assert found.as_json()["tau2_se"] is None
    sigma, free = found.as_json()["sigma"], found.as_json()["n"] - 7
    assert found.as_json()["sigma_se"] == pytest.approx(sigma / np.sqrt(2 * free))


def left_over(parts):
    """Return what a site's scores are on average above the pooled straight line."""
    X, y, site, _ = pooled_rows(parts)
    left = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    return [left[site == place].mean() for place in range(len(parts))]


# --- what cannot be -------------------------------------------------------------------
def test_one_site_has_no_random_effect():
    with pytest.raises(NotEstimable, match="two sites"):
        oracle(STUDY, LMM, {"aa": people(1, 200)})


def test_empty_sites_change_nothing():
    parts = shifted(5, 400)
    some = dict(list(parts.items())[:3])
    nobody = {name: array[:0] for name, array in parts["aa"].items()}

    one = oracle(STUDY, LMM, some).as_json()
    other = oracle(STUDY, LMM, {**some, "dd": nobody, "ee": nobody}).as_json()

    assert one == other
    assert one["pooled_sites"] == 3


def test_columns_that_determine_each_other_are_refused():
    twice = replace(LMM, terms=("age", "age*2"))

    with pytest.raises(NotEstimable, match="determine each other"):
        oracle(STUDY, twice, shifted(6, 300))


def test_the_site_is_no_term_beside_its_random_effect():
    with pytest.raises(InvalidStudy, match="nothing to the random effect"):
        estimator_for(STUDY, replace(LMM, terms=("age", "site")))


def test_an_outcome_that_is_a_term_leaves_nothing_to_chance():
    with pytest.raises(NotEstimable):
        oracle(STUDY, replace(LMM, terms=("age", "score")), shifted(7, 300))


@pytest.mark.parametrize(
    "asked", [None, np.zeros(2), np.array([14.1]), np.array([-61.0])]
)
def test_a_state_without_a_ratio_is_refused(asked):
    method = estimator_for(STUDY, LMM)
    rows = make_rows(method.plan, people(1, 60), "aa")

    with pytest.raises(WrongShape):
        method.local(rows, {} if asked is None else {"log_ratio": asked})


@pytest.mark.held_to("ours, of other bounds", "made up")
def test_wider_public_bounds_change_no_answer():
    parts = shifted(8, 400)
    wide = tuple(
        replace(v, bounds=(v.bounds[0], v.bounds[1] * 17 + 3)) if v.bounds else v
        for v in STUDY.variables
    )

    narrow = oracle(STUDY, LMM, parts)
    answer = oracle(replace(STUDY, variables=wide), LMM, parts)

    terms = narrow.as_json()["terms"]
    assert_same(answer, [t["estimate"] for t in terms], [t["se"] for t in terms])
    assert answer.as_json()["tau2"] == pytest.approx(narrow.as_json()["tau2"], rel=1e-7)


def test_the_opening_tells_sites_apart_and_is_graded_so():
    """The sum of log(1 + n lambda) at 29 lambdas is solved by the sites' own sizes."""
    method = estimator_for(STUDY, LMM)
    parts = split(people(4, 900), (0.15, 0.5))
    rows = [make_rows(method.plan, part, site) for site, part in parts.items()]
    total = sum(method.start(one)["logdet"] for one in rows)

    def wrong(logs):
        return np.log1p(np.exp(logs)[:, None] * np.exp(GRID)).sum(0) - total

    guess = np.log([50.0, 200.0, 800.0])
    found = least_squares(wrong, guess, xtol=1e-15, ftol=1e-15, gtol=1e-15)

    sizes = sorted(one.n for one in rows)
    assert np.exp(np.sort(found.x)) == pytest.approx(sizes, rel=1e-3)
    assert method.own_parts
