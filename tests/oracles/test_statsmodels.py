"""Federated = an independent library on the pooled rows."""

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm

from hetao.analysis import estimator_for, make_rows, oracle
from support_analysis import (
    ANALYSES,
    LOOSE,
    STUDY,
    assert_same,
    estimates,
    people,
    split,
)
from support_exactness import note, note_parts

pytestmark = pytest.mark.held_to("statsmodels GLM", "made up")

CUTS = (0.05, 0.3, 0.31)
SEEDS = (1, 2, 3)


def complete(seed):
    """Return complete cases, and the design in original units with an intercept."""
    columns = people(seed, 700)
    keep = ~np.isnan(columns["age"]) & (columns["grade"] >= 0)
    columns = {name: array[keep] for name, array in columns.items()}
    age, male = columns["age"], columns["sex"] == 1
    design = [
        np.ones(len(age)),
        age,
        male,
        np.log(columns["chol"]),
        columns["grade"] == 1,
        columns["grade"] == 2,
        age * male,
    ]
    return columns, np.column_stack(design).astype(float)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("name", "outcome", "family"),
    [
        ("logistic", "ill", sm.families.Binomial()),
        ("poisson", "visits", sm.families.Poisson()),
        ("gamma", "cost", sm.families.Gamma(sm.families.links.Log())),
    ],
)
def test_federated_glm_is_statsmodels_on_pooled_rows(name, outcome, family, seed):
    columns, X = complete(seed)
    shift = {"poisson": 1.0, "gamma": 0.5}.get(name, 0.0)
    offset = shift * np.log(columns["years"])
    model = sm.GLM(columns[outcome].astype(float), X, family=family, offset=offset)
    reference = model.fit(tol=1e-14, maxiter=50, tol_criterion="params")

    finding = oracle(STUDY, ANALYSES[name], split(columns, CUTS))

    loglik = reference.llf
    if name == "gamma":  # R's, at the dispersion deviance / n
        scale = reference.deviance / len(X)
        loglik = family.loglike(model.endog, reference.mu, scale=scale)
        assert finding.as_json()["dispersion"] == pytest.approx(
            reference.scale, rel=1e-11
        )
    assert_same(finding, reference.params, reference.bse, loglik)
    assert finding.as_json()["rounds"] <= 6


@pytest.mark.held_to("statsmodels NegativeBinomial", "made up")
@pytest.mark.parametrize("seed", SEEDS)
def test_federated_negative_binomial_is_statsmodels_on_pooled_rows(seed):
    columns, X = complete(seed)
    offset = np.log(columns["years"])
    model = sm.NegativeBinomial(columns["falls"], X, offset=offset)

    finding = oracle(STUDY, ANALYSES["negative_binomial"], split(columns, CUTS))

    ours, _ = estimates(finding)
    answer = finding.as_json()
    params = np.append(ours, -np.log(answer["theta"]))  # of log alpha
    joint = np.linalg.inv(-model.hessian(params))
    assert model.loglike(params) == pytest.approx(answer["loglik"], rel=1e-12)
    # The step to statsmodels' own maximum is nothing beside the standard errors.
    away = joint @ model.score(params) / np.sqrt(np.diag(joint))
    assert np.abs(away).max() < 1e-8  # of statsmodels' own digits
    note("negative_binomial", estimate=float(np.abs(away).max()))
    assert answer["rounds"] <= 6


@pytest.mark.held_to("statsmodels OLS", "made up")
@pytest.mark.parametrize("seed", SEEDS)
def test_federated_least_squares_is_statsmodels_on_pooled_rows(seed):
    columns, X = complete(seed)
    reference = sm.OLS(columns["score"], X).fit(method="qr")

    finding = oracle(STUDY, ANALYSES["linear"], split(columns, CUTS))

    assert_same(finding, reference.params, reference.bse, reference.llf)
    answer = finding.as_json()
    np.testing.assert_allclose(
        [(t["lower"], t["upper"]) for t in answer["terms"]],
        reference.conf_int(),
        rtol=1e-9,
        atol=1e-12,
    )
    np.testing.assert_allclose(
        [t["p"] for t in answer["terms"]], reference.pvalues, rtol=1e-7
    )
    assert answer["sigma"] == pytest.approx(np.sqrt(reference.scale), rel=1e-12)


@pytest.mark.held_to("statsmodels PHReg", "made up")
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("within", [True, False])
def test_federated_cox_is_statsmodels_on_pooled_rows(seed, ties, within):
    columns, X = complete(seed)
    parts = split(columns, CUTS)
    sizes = [len(part["age"]) for part in parts.values()]
    hospital = np.repeat(np.arange(len(sizes)), sizes)
    which = [1, 2, 3] if ties == "breslow" else [1, 2, 3, 4, 5, 6]
    grade = columns["grade"] if ties == "breslow" else np.zeros_like(hospital)
    strata = grade * 10 + (hospital if within else 0)
    # Centred, because PHReg stops on a gradient whose size depends on the scale.
    model = sm.PHReg(
        columns["day"],
        (X - X.mean(axis=0))[:, which],
        status=columns["died"],
        strata=strata,
        ties=ties,
    )
    reference = model.fit(method="newton", maxiter=50, disp=False)
    beta = reference.params
    for _ in range(2):  # PHReg's own stopping is looser than what is tested here
        beta = beta - np.linalg.solve(model.hessian(beta), model.score(beta))
    se = np.sqrt(np.diag(np.linalg.inv(-model.hessian(beta))))

    kind = "cox" if within else "cox_grid"
    finding = oracle(STUDY, ANALYSES[f"{kind}_{ties}"], parts)

    assert_same(finding, beta, se)
    assert finding.as_json()["rounds"] <= 6


@pytest.mark.held_to("statsmodels SurvfuncRight", "made up")
@pytest.mark.parametrize("seed", SEEDS)
def test_federated_curves_are_statsmodels_on_pooled_rows(seed):
    columns, _ = complete(seed)

    study = replace(STUDY, minimum=LOOSE)  # each bin of the grid is told

    finding = oracle(study, ANALYSES["km"], split(columns, CUTS))

    for sex, curve in enumerate(finding.as_json()["curves"]):
        mine = columns["sex"] == sex
        reference = sm.SurvfuncRight(columns["day"][mine], columns["died"][mine])
        assert curve["time"] == reference.surv_times.tolist()
        assert curve["at_risk"] == reference.n_risk.tolist()
        assert curve["events"] == reference.n_events.tolist()
        np.testing.assert_allclose(
            curve["survival"], reference.surv_prob, rtol=1e-11, atol=1e-13
        )
        alive = reference.surv_prob > 1e-9  # what is 0 of ours is rounding of theirs
        note_parts("km", np.array(curve["survival"])[alive], reference.surv_prob[alive])
        for ours, theirs in zip(curve["se"], reference.surv_prob_se, strict=True):
            assert ours is None or ours == pytest.approx(theirs, rel=1e-9)


def weighted_family(name, theta):
    families = {
        "logistic": sm.families.Binomial(),
        "linear": sm.families.Gaussian(),
        "poisson": sm.families.Poisson(),
        "negative_binomial": sm.families.NegativeBinomial(alpha=1 / theta),
        "gamma": sm.families.Gamma(sm.families.links.Log()),
    }
    return families[name]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("variance", ["model", "robust"])
@pytest.mark.parametrize("weights", ["share", ""])
@pytest.mark.parametrize(
    "name", ["logistic", "linear", "poisson", "negative_binomial", "gamma"]
)
def test_weights_and_robust_variance_are_statsmodels(name, weights, variance, seed):
    columns, X = complete(seed)
    keep = columns["share"] > 0 if weights else np.ones(len(X), dtype=bool)
    analysis = replace(ANALYSES[name], weights=weights, variance=variance)

    finding = oracle(STUDY, analysis, split(columns, CUTS))

    answer = finding.as_json()
    family = weighted_family(name, answer.get("theta", 1.0))
    shift = {"logistic": 0.0, "linear": 0.0, "gamma": 0.5}.get(name, 1.0)
    model = sm.GLM(
        columns[analysis.outcome].astype(float)[keep],
        X[keep],
        family=family,
        offset=shift * np.log(columns["years"][keep]),
        var_weights=columns["share"][keep] if weights else None,
    )
    start, _ = estimates(finding)
    kind = {"cov_type": "HC0"} if variance == "robust" else {}
    reference = model.fit(start, tol=1e-14, maxiter=50, tol_criterion="params", **kind)
    assert_same(finding, reference.params, reference.bse)
    assert answer["n"] == keep.sum()
    assert answer.get("variance", "model") == variance
    assert answer.get("weights", "") == weights
    assert answer["rounds"] <= 6


def test_a_dispersion_is_that_of_the_maximum_not_of_the_round_before():
    """The last step is small, not nothing: Pearson's chi-square moves with it."""
    columns, _ = complete(1)
    method = estimator_for(STUDY, ANALYSES["gamma"])
    rows = make_rows(method.plan, columns, "aa")
    found = oracle(STUDY, ANALYSES["gamma"], {"aa": columns})
    beta, se = estimates(found)
    turn = np.linalg.inv(method.plan.to_units())
    near = {"beta": turn @ (beta + 2e-6 * se[3] * (np.arange(7) == 3))}
    near |= {"reach": np.array([0.2]), "loglik": np.array([-1e9]), "step": np.zeros(7)}

    again = method.step(method.local(rows, near), near, 5)

    assert estimates(again)[0] == pytest.approx(beta, abs=1e-8)
    dispersion = found.as_json()["dispersion"]
    assert again.as_json()["dispersion"] == pytest.approx(dispersion, rel=1e-9)
