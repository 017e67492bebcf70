"""Firth's penalised likelihood against other programs for the same maximum.

One is the modified score with leverages from a QR of the weighted design, stepped as
R's `logistf` does (our rounds never see a leverage); the other is a closed form: in a
table of two by two the penalty adds one half to every cell.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from hetao.analysis import oracle
from hetao.errors import NotEstimable
from hetao.study import Analysis
from support_analysis import (
    ANALYSES,
    STUDY,
    assert_same,
    category,
    columns_of,
    estimates,
    number,
    people,
    split,
    study_of,
)

pytestmark = pytest.mark.held_to(
    "second implementation: modified score by QR", "made up"
)

LUNG = (
    category("died", "no", "yes"),
    number("age", 18, 100, unit="a"),
    category("sex", "female", "male"),
    number("karno", 0, 100),
)
CUTS = (0.05, 0.3, 0.31)


def maximum(X, y, w):
    """Return beta (p,), standard errors (p,) and the penalised log-likelihood."""
    scale = np.abs(X).max(axis=0)
    Z, beta = X / scale, np.zeros(X.shape[1])
    for _ in range(500):
        mu = expit(Z @ beta)
        root = np.sqrt(w * mu * (1 - mu))
        q, r = np.linalg.qr(root[:, None] * Z)
        leverage = np.sum(q**2, axis=1)
        score = Z.T @ (w * (y - mu) + leverage * (0.5 - mu))
        step = np.linalg.solve(r, np.linalg.solve(r.T, score))
        step = step / max(1.0, np.abs(step).max())  # as maxstep of logistf
        beta = beta + step
        if np.abs(step).max() < 1e-15:
            break
    inverse = np.linalg.inv(r)
    se = np.sqrt(np.sum(inverse**2, axis=1))
    eta = Z @ beta
    loglik = np.sum(w * (y * eta - np.logaddexp(0, eta)))
    loglik += np.log(np.abs(np.diag(r))).sum() + np.log(scale).sum()
    return beta / scale, se / scale, loglik


def design(columns, keep):
    male = columns["sex"] == 1
    parts = [
        np.ones(len(male)),
        columns["age"],
        male,
        np.log(columns["chol"]),
        columns["grade"] == 1,
        columns["grade"] == 2,
        columns["age"] * male,
    ]
    return np.column_stack(parts).astype(float)[keep]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("weights", ["", "share"])
@pytest.mark.parametrize("separated", [False, True])
def test_firth_is_the_modified_score_on_pooled_rows(seed, weights, separated):
    columns = people(seed, 500)
    if separated:
        columns["ill"] = np.where(columns["grade"] == 2, 1, columns["ill"])
    keep = ~np.isnan(columns["age"]) & (columns["grade"] >= 0)
    if weights:
        keep &= columns["share"] > 0
    w = columns["share"][keep] if weights else np.ones(keep.sum())
    analysis = replace(ANALYSES["firth"], weights=weights)

    finding = oracle(STUDY, analysis, split(columns, CUTS))

    beta, se, loglik = maximum(design(columns, keep), columns["ill"][keep], w)
    assert_same(finding, beta, se, loglik)
    answer = finding.as_json()
    assert answer["rounds"] <= 6
    assert (answer["n"], answer["penalty"]) == (keep.sum(), "firth")
    assert answer["events"] == columns["ill"][keep].sum()


@pytest.mark.held_to("second implementation: modified score by QR", "NCCTG lung")
def test_firth_on_18_institutions_is_the_modified_score():
    terms = ("age", "sex", "karno")
    analysis = Analysis("a", "logistic", outcome="died", terms=terms, penalty="firth")
    parts, sites = columns_of("lung", LUNG)
    pooled = {
        name: np.concatenate([part[name] for part in parts.values()])
        for name in ("died", *terms)
    }
    keep = ~np.isnan(pooled["karno"])
    X = np.column_stack([np.ones(len(keep)), *(pooled[name] for name in terms)])

    finding = oracle(study_of(LUNG, analysis, sites=sites), analysis, parts)

    y = pooled["died"][keep].astype(float)
    assert_same(finding, *maximum(X[keep], y, np.ones(len(y))))
    assert len(sites) == 18
    assert finding.as_json()["rounds"] <= 6


@pytest.mark.held_to("closed form", "made up")
@pytest.mark.parametrize("cells", [(30, 12, 25, 40), (30, 12, 0, 40), (17, 0, 0, 23)])
def test_a_table_of_two_by_two_gets_half_a_person_in_every_cell(cells):
    """Also where a cell is empty and maximum likelihood has no answer."""
    columns = {
        "sex": np.repeat([0, 0, 1, 1], cells),
        "ill": np.repeat([0, 1, 0, 1], cells),
    }
    analysis = replace(ANALYSES["firth"], terms=("sex",))

    finding = oracle(STUDY, analysis, split(full(columns), (0.4, 0.7)))

    a, b, c, d = (cell + 0.5 for cell in cells)
    beta = [np.log(b / a), np.log(d * a / (b * c))]
    spread = [
        1 / ((m - 1) * (x / m) * (1 - x / m)) for x, m in ((b, a + b), (d, c + d))
    ]
    assert_same(finding, beta, np.sqrt([spread[0], sum(spread)]))
    assert finding.as_json()["rounds"] <= 6
    if 0 in cells:
        with pytest.raises(NotEstimable, match="separated"):
            oracle(STUDY, replace(analysis, penalty=""), split(full(columns), (0.4,)))


def full(columns):
    return people(1, len(columns["sex"])) | columns


def test_firth_shrinks_what_maximum_likelihood_estimates():
    parts = split(people(7, 300), CUTS)

    shrunk, _ = estimates(oracle(STUDY, ANALYSES["firth"], parts))
    plain, _ = estimates(oracle(STUDY, ANALYSES["logistic"], parts))

    assert np.abs(shrunk[2:]).sum() < np.abs(plain[2:]).sum()
