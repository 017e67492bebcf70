"""A random intercept for each site: sums give what whole matrices give.

The dense solution knows nothing of sums: it makes every covariance matrix whole and
finds the restricted likelihood's maximum by halving its numerical slope.
"""

from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import estimator_for, make_rows, oracle
from hetao.errors import InvalidStudy, NotEstimable, WrongShape
from support_analysis import ANALYSES, STUDY, assert_same, people, split

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


def pooled_rows(parts):
    """Return design, outcome and site of the complete cases, in original units."""
    X, y, site = [], [], []
    for place, part in enumerate(parts.values()):
        keep = ~np.isnan(part["age"]) & (part["grade"] >= 0)
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
        y.append(part["score"][keep])
        site.append(np.full(len(age), place))
    return np.concatenate(X), np.concatenate(y), np.concatenate(site)


def whole(X, y, site, log_ratio):
    """Return loglik, beta, covariance and sigma^2 from whole covariance matrices."""
    n, p = X.shape
    V = np.eye(n) + np.exp(log_ratio) * (site[:, None] == site)
    half = np.linalg.cholesky(V)
    Q, R = np.linalg.qr(np.linalg.solve(half, X))
    turned = np.linalg.solve(half, y)
    left = turned - Q @ (Q.T @ turned)
    sigma2 = left @ left / (n - p)
    loglik = -np.log(np.diag(half)).sum() - np.log(np.abs(np.diag(R))).sum()
    loglik -= (n - p) / 2 * (np.log(2 * np.pi * sigma2) + 1)
    inverse = np.linalg.inv(R)
    return loglik, inverse @ Q.T @ turned, sigma2 * inverse @ inverse.T, sigma2


def dense(parts):
    """Return the maximum over the log of the ratio, by its numerical slope."""
    X, y, site = pooled_rows(parts)

    def slope(x, h=1e-3):
        ends = [whole(X, y, site, x + k * h)[0] for k in (-2, -1, 1, 2)]
        return (ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * h)

    low, high = -8.0, 4.0
    for _ in range(45):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return low, whole(X, y, site, low)


@pytest.mark.parametrize(("seed", "n"), [(1, 180), (2, 150), (3, 160)])
def test_sums_give_what_whole_covariance_matrices_give(seed, n):
    parts = shifted(seed, n)
    log_ratio, (loglik, beta, covariance, sigma2) = dense(parts)

    found = oracle(STUDY, LMM, parts)

    assert_same(found, beta, np.sqrt(np.diag(covariance)), loglik)
    answer = found.as_json()
    assert answer["sigma"] ** 2 == pytest.approx(sigma2, rel=1e-9)
    assert answer["tau2"] == pytest.approx(sigma2 * np.exp(log_ratio), rel=1e-7)
    assert answer["rounds"] <= 6
    assert not answer["singular"]


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


def left_over(parts):
    """Return what a site's scores are on average above the pooled straight line."""
    X, y, site = pooled_rows(parts)
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
