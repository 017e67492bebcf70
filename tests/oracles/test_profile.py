"""Likelihood profiles: scipy's curves of statsmodels' fits, and the exact answer.

The reference fits each site's other coefficients with statsmodels, the effect standing
among the offset; adds up scipy's Hermite splines; and integrates over random effects
by scipy's quadrature. What is held to the exact answer is the bias of small centres.
"""

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.integrate import quad
from scipy.interpolate import CubicHermiteSpline
from scipy.optimize import minimize, minimize_scalar

from hetao.analysis import estimator_for, make_plan, make_rows, oracle
from hetao.analysis.evidence import evidence
from hetao.analysis.profile import POINTS
from hetao.canonical import canonical, parse_canonical
from hetao.errors import InvalidStudy, NotEstimable
from hetao.report.measures import profile_of
from hetao.study import study_from
from support_analysis import ANALYSES, STUDY, category, number, people, split, study_of
from support_exactness import note

pytestmark = pytest.mark.held_to("scipy, statsmodels", "made up")

PROFILE = ANALYSES["profile"]
CUTS = (0.2, 0.45, 0.6, 0.85)


def curves(parts):
    """Return (sites, 8) log-likelihoods and slopes at the points, by statsmodels."""
    found = []
    for part in parts.values():
        keep = ~np.isnan(part["age"])
        age, male, ill = (part[name][keep] for name in ("age", "sex", "ill"))
        for point in POINTS:
            fit = sm.GLM(
                ill,
                sm.add_constant(age),
                family=sm.families.Binomial(),
                offset=point * male,
            ).fit(tol=1e-14, maxiter=80, tol_criterion="params")
            found.append([fit.llf, male @ (ill - fit.fittedvalues)])
    table = np.array(found).reshape(len(parts), len(POINTS), 2)
    return table[:, :, 0] - table[:, :, 0].max(axis=1)[:, None], table[:, :, 1]


def test_curves_their_sum_and_random_effects_are_those_of_scipy():
    parts = split(people(1, 900), CUTS)

    found = oracle(STUDY, PROFILE, parts).as_json()

    values, slopes = curves(parts)
    ours = np.array([site["loglik"] for site in found["sites"]])
    np.testing.assert_allclose(ours, values, atol=1e-9)
    np.testing.assert_allclose(
        [site["slope"] for site in found["sites"]], slopes, atol=1e-6
    )
    np.testing.assert_allclose(found["points"], POINTS, rtol=1e-12)
    each = [
        CubicHermiteSpline(POINTS, v, g) for v, g in zip(values, slopes, strict=True)
    ]
    top = minimize_scalar(
        lambda x: -sum(one(x) for one in each),
        bounds=(-1, 2),
        method="bounded",
        options={"xatol": 1e-10},
    ).x
    fixed, random = found["terms"][0]["methods"]
    height = sum(one(top) for one in each)
    for end in (fixed["lower"], fixed["upper"]):
        fallen = height - sum(one(end) for one in each)
        assert fallen == pytest.approx(1.959964**2 / 2, rel=1e-6)
    away = abs(fixed["estimate"] - top) / fixed["se"]
    note("profile", 1, away, None, len(parts))
    assert away < 1e-6  # as exact as a minimum's place can be

    def marginal(theta):
        mean, tau = theta[0], np.exp(theta[1])
        total = 0.0
        for one in each:

            def density(z, one=one):
                return np.exp(one(mean + tau * z) - z**2 / 2)

            total -= np.log(quad(density, -8, 8, limit=200, epsabs=1e-12)[0])
        return total

    if random["tau2"] > 0:
        start = [random["estimate"] + 0.02, np.log(random["tau2"]) / 2 + 0.05]
        best = minimize(marginal, start, method="Nelder-Mead", tol=1e-8).x
        assert random["estimate"] == pytest.approx(best[0], abs=1e-3 * random["se"])
        assert random["tau2"] == pytest.approx(np.exp(2 * best[1]), rel=1e-3)
    assert parse_canonical(canonical(found)) == found


def centres(seed, count, size, effect=0.7, tau=0.0):
    """Return small centres with rare events, each with a baseline of its own."""
    draw = np.random.default_rng(seed)
    sites = tuple(f"c{i}" for i in range(count))
    study = study_of(
        (
            category("arm", "old", "new"),
            category("ill", "no", "yes"),
            number("age", 0, 1),
        ),
        sites=sites,
    )
    parts = {}
    for site in sites:
        arm, age = draw.integers(0, 2, size), draw.random(size)
        shift = draw.normal(-2.2, 0.5)
        risk = shift + (effect + tau * draw.normal()) * arm + 0.5 * age
        ill = (draw.random(size) < 1 / (1 + np.exp(-risk))).astype(np.int64)
        parts[site] = {"arm": arm, "ill": ill, "age": age}
    return study, parts


def test_small_centres_are_less_biased_than_by_inverse_variances():
    """47 centres of 60: the exact answer keeps an intercept for each of them."""
    study, parts = centres(3, 47, 60)
    terms = {"outcome": "ill", "terms": ("arm",), "model": "logistic"}
    profile = replace(PROFILE, effect="arm[new]", outcome="ill", terms=("arm",))
    meta = replace(ANALYSES["meta"], **terms)
    exact = replace(ANALYSES["logistic"], outcome="ill", terms=("arm", "site"))
    exact = oracle(study, exact, parts).as_json()["terms"][1]

    ours = oracle(study, profile, parts).as_json()["terms"][0]
    crude = oracle(study, meta, parts).as_json()["terms"][1]["methods"][0]

    away = (ours["estimate"] - exact["estimate"]) / exact["se"]
    far = (crude["estimate"] - exact["estimate"]) / exact["se"]
    assert ours["k"] == 47
    assert abs(away) < 0.02  # the same likelihood: what is left is the cubics' error
    assert ours["se"] == pytest.approx(exact["se"], rel=0.02)
    assert abs(far) > 10 * abs(away)


def test_a_site_without_events_in_an_arm_or_at_all_counts_as_it_should():
    study, parts = centres(4, 12, 80)
    parts["c0"]["ill"] *= 0
    few = parts["c1"]["age"] < 0.2
    parts["c1"]["ill"] = parts["c1"]["arm"] * few  # only in one arm
    profile = replace(PROFILE, effect="arm[new]", outcome="ill", terms=("arm",))

    found = oracle(study, profile, parts).as_json()

    assert found["pooled_sites"] == 12
    np.testing.assert_allclose(found["sites"][0]["loglik"], 0, atol=1e-6)
    assert np.all(np.diff(found["sites"][1]["loglik"]) > 0)
    without = {site: part for site, part in parts.items() if site != "c0"}
    again = oracle(study, profile, without).as_json()
    assert again["terms"][0]["estimate"] == pytest.approx(
        found["terms"][0]["estimate"], abs=1e-6
    )


@pytest.mark.parametrize("model", ["poisson", "cox"])
def test_other_models_have_the_exact_answer_within_the_cubics_error(model):
    key = "cox_efron" if model == "cox" else model
    alone = replace(ANALYSES[key], terms=("sex",), offset="")
    analysis = replace(
        alone, name="p", method="profile", model=model, effect="sex[male]", strata=()
    )
    parts = {"aa": people(5, 400)}

    found = oracle(STUDY, analysis, parts).as_json()["terms"][0]

    terms = oracle(STUDY, alone, parts).as_json()["terms"]
    exact = next(t for t in terms if t["name"] == "sex[male]")
    assert abs(found["estimate"] - exact["estimate"]) / exact["se"] < 0.05
    assert found["se"] == pytest.approx(exact["se"], rel=0.05)


def test_sites_that_agree_have_no_tau_and_those_that_do_not_have_one():
    profile = replace(PROFILE, effect="arm[new]", outcome="ill", terms=("arm",))
    found = []
    for tau in (0.0, 1.0):
        study, parts = centres(6, 15, 400, tau=tau)
        found.append(oracle(study, profile, parts).as_json()["terms"][0]["methods"][1])

    assert found[0]["tau2"] < 0.1
    assert 0.3 < found[1]["tau2"] < 3
    assert found[1]["prediction"]["lower"] < found[1]["lower"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "gamma"}, "model is one of logistic, poisson, cox"),
        ({"effect": ""}, "profile needs 'effect'"),
        ({"effect": "height"}, "'height' is no column"),
        ({"effect": "(Intercept)"}, "is no column"),
    ],
)
def test_what_has_no_profile_is_refused(change, said):
    study = replace(STUDY, analyses=(replace(PROFILE, **change),))

    def read_and_planned():
        read = study_from(parse_canonical(study.canonical))
        return estimator_for(read, read.analyses[0])

    with pytest.raises(InvalidStudy, match=said):
        read_and_planned()


def test_an_effect_beyond_the_points_is_refused():
    parts = split(people(7, 400), CUTS)
    told = {site: part | {"ill": part["sex"].copy()} for site, part in parts.items()}

    with pytest.raises(NotEstimable, match="still rises at the end"):
        oracle(STUDY, PROFILE, told)


def test_sites_stay_hidden_and_are_told_apart_at_the_gate():
    parts = split(people(8, 600), CUTS)
    found = oracle(STUDY, PROFILE, parts)
    method = estimator_for(STUDY, PROFILE)

    shown, withheld = found.shown(10)

    assert withheld
    assert shown.as_json()["sites"] is None
    assert method.own_parts
    assert method.most_rounds == 1
    plan, alone = make_plan(STUDY, PROFILE), make_plan(STUDY, ANALYSES["meta"])
    rows = make_rows(plan, parts["aa"], "aa")
    assert evidence(plan, rows) == evidence(alone, make_rows(alone, parts["aa"], "aa"))
    view, sentence = profile_of(STUDY, PROFILE, shown.as_json(), ("k", "<10*"))
    assert sentence.startswith("Odds ratio of 5 sites and ")
    assert [row[0] for row in view.tables[0].rows] == [
        "Fixed effect",
        "Random effects (ML)",
    ]
    assert len(view.figures) == 1
