"""Pooled estimates = R's metafor and a published example; own ones = statsmodels."""

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm

from hetao.analysis import estimator_for, make_plan, make_rows, oracle
from hetao.analysis.evidence import evidence
from hetao.analysis.pooling import pooled
from hetao.canonical import canonical, parse_canonical
from hetao.errors import InvalidStudy, NotEstimable
from hetao.study import study_from
from support_analysis import ANALYSES, STUDY, people, split
from support_exactness import note, note_parts

pytestmark = pytest.mark.held_to("figures of R metafor 3.8-1", "BCG trials")

META = ANALYSES["meta"]
CUTS = (0.2, 0.45, 0.6, 0.85)

# Log risk ratios of tuberculosis in 13 trials of the BCG vaccine, from the counts in
# Viechtbauer (2010), J. Stat. Softw. 36(3): vaccinated ill and well, others the same.
BCG = np.array(
    [
        [4, 119, 11, 128],
        [6, 300, 29, 274],
        [3, 228, 11, 209],
        [62, 13536, 248, 12619],
        [33, 5036, 47, 5761],
        [180, 1361, 372, 1079],
        [8, 2537, 10, 619],
        [505, 87886, 499, 87892],
        [29, 7470, 45, 7232],
        [17, 1699, 65, 1600],
        [186, 50448, 141, 27197],
        [5, 2493, 3, 2338],
        [27, 16886, 29, 17825],
    ],
    dtype=float,
)
A, B, C, D = BCG.T
LOG_RATIO = np.log(A / (A + B) / (C / (C + D)))
ERROR = np.sqrt(1 / A - 1 / (A + B) + 1 / C - 1 / (C + D))
# metafor 3.8-1, rma(yi, vi, method = .), threshold 1e-14: tau2, estimate, se, lower,
# upper; with test = "knha": se, p, lower, upper, prediction interval.
METAFOR = {
    "DL": (
        [
            0.308760262862376,
            -0.714117222073227,
            0.178742089535403,
            -1.06444528008405,
            -0.363789164062403,
        ],
        [
            0.180696628335547,
            0.00192076676704736,
            -1.10782135416833,
            -0.320413089978125,
            -1.98720696343074,
            0.558972519284285,
        ],
    ),
    "PM": (
        [
            0.318068452205024,
            -0.714968153493444,
            0.180892191537624,
            -1.06951033399171,
            -0.360425972995181,
        ],
        [
            0.180892191537624,
            0.001919271831278,
            -1.10909838120224,
            -0.320837925784648,
            -2.0054259229281,
            0.575489615941215,
        ],
    ),
    "REML": (
        [
            0.313243258136481,
            -0.714532342158139,
            0.179781516105206,
            -1.06689763881035,
            -0.362167045505929,
        ],
        [
            0.180791744092848,
            0.00192001509605729,
            -1.10844371368555,
            -0.320620970630728,
            -1.9960168341962,
            0.566952149879924,
        ],
    ),
}


@pytest.mark.held_to("Viechtbauer (2010), as printed", "BCG trials")
def test_the_published_example_of_bcg():
    """What Viechtbauer (2010) prints: REML, its Q and the Q-profile limits."""
    found = pooled(LOG_RATIO, ERROR)
    reml = found["methods"][-1]

    assert round(reml["estimate"], 4) == -0.7145
    assert round(reml["se"], 4) == 0.1798
    assert (round(reml["lower"], 4), round(reml["upper"], 4)) == (-1.0669, -0.3622)
    assert round(reml["tau2"], 4) == 0.3132
    assert round(found["q"], 4) == 152.2330
    assert found["q_df"] == 12
    assert round(found["tau2_lower"], 4) == 0.1197
    assert round(found["tau2_upper"], 4) == 1.1115
    assert round(found["i2"], 2) == 92.22


def test_every_method_is_metafors_on_bcg():
    found = {one["method"]: one for one in pooled(LOG_RATIO, ERROR)["methods"]}

    fixed = [found["FE"][key] for key in ("estimate", "se", "lower", "upper")]
    expected = [-0.430285163654091, 0.0404987517108638]
    expected += [-0.509661258426214, -0.350909068881968]
    np.testing.assert_allclose(fixed, expected, rtol=1e-12)
    note_parts("meta", fixed, expected, len(BCG))
    for name, (plain, hksj) in METAFOR.items():
        one = found[name]
        keys = ("tau2", "estimate", "se", "lower", "upper")
        np.testing.assert_allclose([one[k] for k in keys], plain, rtol=1e-9)
        note_parts("meta", [one[k] for k in keys], plain, len(BCG))
        wide = [one["hksj"][k] for k in ("se", "p", "lower", "upper")]
        wide += list(one["prediction"].values())
        np.testing.assert_allclose(wide, hksj, rtol=1e-9)
        note_parts("meta", wide, hksj, len(BCG))


def test_trials_that_agree_have_no_variance_between_them():
    """Trials 1 to 3: metafor 3.8-1 finds 0 by each method."""
    found = pooled(LOG_RATIO[:3], ERROR[:3])

    assert [one["tau2"] for one in found["methods"]] == [0.0] * 4
    reml = found["methods"][-1]
    assert reml["hksj"]["se"] == pytest.approx(0.209545370393988, rel=1e-12)
    assert found["tau2_lower"] == 0.0
    assert found["tau2_upper"] == pytest.approx(4.66950046983698, rel=1e-9)


def test_few_trials_are_metafors_too():
    found = pooled(LOG_RATIO[[8, 11, 12]], ERROR[[8, 11, 12]])

    tau2 = {one["method"]: one["tau2"] for one in found["methods"]}
    assert tau2["DL"] == pytest.approx(0.0276889009689965, rel=1e-12)
    assert tau2["PM"] == pytest.approx(0.0239298773883075, rel=1e-12)
    assert tau2["REML"] == pytest.approx(0.0372648853110636, rel=1e-8)
    assert found["tau2_upper"] == pytest.approx(7.97944410343693, rel=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_no_variance_is_likelier_than_the_one_of_reml(seed):
    draw = np.random.default_rng(seed)
    k = int(draw.integers(2, 9))
    y, v = draw.normal(0, 1, k), draw.uniform(0.01, 1, k)

    def loglik(tau2):
        w = 1 / (v + tau2)
        q = w @ (y - w @ y / w.sum()) ** 2
        return (np.log(w).sum() - np.log(w.sum()) - q) / 2

    best = pooled(y, np.sqrt(v))["methods"][-1]["tau2"]

    others = np.append(0.0, np.logspace(-6, 3, 4000))
    assert loglik(best) >= max(map(loglik, others)) - 1e-12


# --- what sites fit by themselves -----------------------------------------------------
def own_fit(part):
    keep = ~np.isnan(part["age"])
    X = sm.add_constant(np.column_stack([part["age"], part["sex"]])[keep])
    model = sm.GLM(part["ill"][keep], X, family=sm.families.Binomial())
    return model.fit(tol=1e-14, maxiter=50, tol_criterion="params")


@pytest.mark.held_to("statsmodels GLM", "made up")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_site_gives_its_own_estimates_and_they_are_pooled(seed):
    parts = split(people(seed, 900), CUTS)

    found = oracle(STUDY, META, parts).as_json()

    fits = [own_fit(part) for part in parts.values()]
    for site, fit in zip(found["sites"], fits, strict=True):
        away = np.abs(np.array(site["estimate"]) - fit.params) / fit.bse
        assert away.max() < 1e-9
        np.testing.assert_allclose(site["se"], fit.bse, rtol=1e-8)
        se_away = np.abs(np.array(site["se"]) / fit.bse - 1)
        note("meta", estimate=float(away.max()), se=float(se_away.max()))
    for i, term in enumerate(found["terms"]):
        expected = pooled(
            np.array([f.params[i] for f in fits]), np.array([f.bse[i] for f in fits])
        )
        for ours, theirs in zip(term["methods"], expected["methods"], strict=True):
            away = abs(ours["estimate"] - theirs["estimate"]) / theirs["se"]
            assert away < 1e-8
    assert parse_canonical(canonical(found)) == found
    assert found["pooled_sites"] == 5
    assert found["n"] == sum(fit.nobs for fit in fits)


@pytest.mark.parametrize("model", ["linear", "poisson", "cox"])
def test_every_model_is_pooled_as_each_site_alone_finds_it(model):
    key = "cox_efron" if model == "cox" else model
    alone = ANALYSES[key]
    analysis = replace(alone, name="m", method="meta", model=model)
    parts = split(people(4, 1500), (0.3, 0.6))

    found = oracle(STUDY, analysis, parts).as_json()

    for site, (name, part) in zip(found["sites"], parts.items(), strict=True):
        terms = oracle(STUDY, alone, {name: part}).as_json()["terms"]
        assert [t["name"] for t in terms] == [t["name"] for t in found["terms"]]
        np.testing.assert_allclose(
            site["estimate"], [t["estimate"] for t in terms], rtol=1e-12
        )
        np.testing.assert_allclose(site["se"], [t["se"] for t in terms], rtol=1e-12)


def test_a_site_without_an_estimate_is_left_out_and_that_is_said():
    parts = split(people(5, 600), (0.4, 0.8))
    separated = parts["bb"] | {"ill": parts["bb"]["sex"].copy()}
    nobody = {name: array[:0] for name, array in parts["aa"].items()}

    found = oracle(STUDY, META, {**parts, "bb": separated, "dd": nobody}).as_json()

    assert [one["site"] for one in found["sites"]] == ["aa", "cc"]
    assert found["pooled_sites"] == found["terms"][0]["k"] == 2
    without = oracle(STUDY, META, {s: parts[s] for s in ("aa", "cc")}).as_json()
    assert without == found


def test_one_site_alone_has_its_own_limits_and_no_heterogeneity():
    found = oracle(STUDY, META, {"aa": people(6, 300)}).as_json()

    term = found["terms"][1]
    assert [one["method"] for one in term["methods"]] == ["FE"]
    assert (term["q"], term["i2"], term["tau2_lower"]) == (None, None, None)
    assert term["lower"] < term["estimate"] < term["upper"]


def test_no_site_with_an_estimate_is_an_error():
    nobody = {name: array[:0] for name, array in people(1, 5).items()}

    with pytest.raises(NotEstimable, match="at no site"):
        oracle(STUDY, META, {"aa": nobody})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "km"}, "model is one of"),
        ({"outcome": "age"}, "must be a category"),
        ({"outcome": ""}, "logistic needs 'outcome'"),
        ({"time": "day"}, "logistic has no use for 'time'"),
    ],
)
def test_a_model_that_a_site_cannot_fit_is_refused(change, said):
    study = replace(STUDY, analyses=(replace(META, **change),))

    with pytest.raises(InvalidStudy, match=said):
        study_from(parse_canonical(study.canonical))


def test_the_site_is_no_term_of_a_model_that_each_fits_alone():
    with pytest.raises(InvalidStudy, match="constant at a site"):
        make_plan(STUDY, replace(META, terms=("age", "site")))


# --- what may be seen ---------------------------------------------------------------
def test_sites_stay_hidden_unless_the_study_asks_for_them():
    parts = split(people(7, 600), (0.3, 0.6))

    shown, withheld = oracle(STUDY, META, parts).shown(10)
    assert withheld
    assert shown.as_json()["sites"] is None

    asked = replace(META, show_sites=True)
    shown, withheld = oracle(STUDY, asked, parts).shown(10)
    assert not withheld
    assert len(shown.as_json()["sites"]) == 3


def test_the_gate_weighs_what_the_model_needs_and_that_sites_are_told_apart():
    plan = make_plan(STUDY, META)
    rows = make_rows(plan, people(8, 300), "aa")
    method = estimator_for(STUDY, META)

    facts = evidence(plan, rows)

    assert facts.events == rows.y.sum()
    assert facts.parameters == 3
    assert facts.max_leverage > 0
    assert set(facts.smallest_side) == {"age", "sex[male]"}
    assert method.own_parts
    assert method.publishable


def test_each_place_of_the_sum_is_one_sites():
    method = estimator_for(STUDY, META)
    parts = split(people(9, 900), CUTS)

    for site, part in parts.items():
        message = method.start(make_rows(method.plan, part, site))
        rest = [i for i, name in enumerate(STUDY.sites) if name != site]
        for name in ("estimate", "se", "given"):
            assert not message[name][rest].any()
