"""Federated over real centres = R on the pooled rows: survival, glm and lm.

NCCTG lung cancer (18 institutions) and chronic granulomatous disease (13 centres),
both from R's own `survival` package.
"""

import subprocess
from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import oracle
from hetao.study import Analysis, Grid
from support_analysis import (
    LOOSE,
    assert_same,
    category,
    columns_of,
    fit_of,
    from_r,
    number,
    study_of,
)
from support_exactness import note_parts

pytestmark = pytest.mark.held_to(
    "R survival and stats: coxph, glm, lm", "NCCTG lung, CGD"
)

LUNG = (
    number("time", 0, 1100, unit="d"),
    category("died", "no", "yes"),
    number("age", 18, 100, unit="a"),
    category("sex", "female", "male"),
    category("ecog", "e0", "e1", "e2"),
    number("karno", 0, 100),
    number("loss", -50, 100),
    number("meal", 0, 3000),
    number("share", 0, 4),
)
CGD = (
    number("time", 0, 500, unit="d"),
    category("ill", "no", "yes"),
    category("treat", "placebo", "rIFNg"),
    category("sex", "male", "female"),
    number("age", 0, 100, unit="a"),
    number("height", 40, 220),
    number("weight", 5, 150),
    category("inherit", "X", "a"),
    number("infections", 0, 20),
    number("days", 1, 500),
    number("share", 0, 4),
)
ALL_DAYS = Grid(tuple(float(day) for day in range(1, 1101)))
MONTHS = Grid(tuple(28.0 * month for month in range(1, 41)))
PERSON = ("age", "sex", "ecog")


def logistic(outcome, *terms):
    return Analysis("a", "logistic", outcome=outcome, terms=terms)


def linear(outcome, *terms):
    return Analysis("a", "linear", outcome=outcome, terms=terms)


def poisson(outcome, offset, *terms):
    return Analysis("a", "poisson", outcome=outcome, offset=offset, terms=terms)


def cox(event, terms, strata=(), grid=None, ties="efron"):
    return Analysis(
        "a", "cox", time="time", event=event, terms=terms, strata=strata, grid=grid,
        ties=ties,
    )  # fmt: skip


FITS = {
    "lung_logistic": (LUNG, logistic("died", *PERSON, "karno")),
    "cgd_logistic": (CGD, logistic("ill", "treat", "log(weight)", "inherit")),
    "lung_linear": (LUNG, linear("meal", *PERSON, "(age/10)**2")),
    "lung_origin": (LUNG, linear("meal", "0", "sex", "age")),
    "cgd_linear": (CGD, linear("weight", "log(height)", "sex", "age")),
    "cgd_poisson": (CGD, poisson("infections", "log(days)", "treat", "age", "inherit")),
}
SPLINES = (
    "bs(age, knots = 60, Boundary.knots = c(18, 100))",
    "ns(karno, knots = c(70, 80), Boundary.knots = c(55, 95))",
    "bs(loss, knots = c(0, 10), degree = 2, Boundary.knots = c(-50, 100))",
)
AGE = "ns(age, knots=[55, 65])"
FITS |= {
    "lung_ns": (LUNG, logistic("died", AGE, "sex", f"{AGE}:sex")),
    "lung_ns_df": (LUNG, linear("meal", "ns(age, 3)")),
    "lung_bs": (LUNG, linear("meal", *SPLINES)),
}
for _ties in ("efron", "breslow"):
    FITS |= {
        f"lung_strata_{_ties}": (LUNG, cox("died", PERSON, ("site",), None, _ties)),
        f"lung_pooled_{_ties}": (LUNG, cox("died", PERSON, (), ALL_DAYS, _ties)),
        f"cgd_strata_{_ties}": (
            CGD,
            cox("ill", ("treat", "log(weight)", "age"), ("site",), None, _ties),
        ),
        f"cgd_two_{_ties}": (
            CGD,
            cox("ill", ("treat", "age", "treat:age"), ("site", "inherit"), None, _ties),
        ),
    }

    for _more in ("_robust", "_weighted", "_robust_weighted"):
        _how = {
            "variance": "robust" if "robust" in _more else "model",
            "weights": "share" if "weighted" in _more else "",
        }
        FITS |= {
            f"lung_more_{_ties}{_more}": (
                LUNG,
                replace(cox("died", PERSON, ("site",), None, _ties), **_how),
            ),
            f"cgd_more_{_ties}{_more}": (
                CGD,
                replace(
                    cox("ill", ("treat", "log(weight)", "age"), ("site",), None, _ties),
                    **_how,
                ),
            ),
        }


def federated(variables, analysis):
    table = "cgd" if any(v.name == "ill" for v in variables) else "lung"
    parts, sites = columns_of(table, variables)
    study = study_of(variables, analysis, sites=sites)
    if analysis.method == "km":  # each bin of the grid is told; else see merged curves
        study = replace(study, minimum=LOOSE)
    return oracle(study, analysis, parts)


@pytest.mark.parametrize("name", sorted(FITS))
def test_federated_models_are_r_on_pooled_rows(name):
    reference = fit_of(name)

    variables, analysis = FITS[name]
    finding = federated(variables, analysis)

    assert_same(finding, reference["estimate"], reference["se"], reference["loglik"])
    answer = finding.as_json()
    ours = [term["p"] for term in answer["terms"]]
    np.testing.assert_allclose(ours, reference["p"], rtol=1e-6)
    assert answer["n"] == reference["n"]
    assert answer["rounds"] <= 6
    if reference["events"] is not None:
        assert answer["events"] == reference["events"]


@pytest.mark.held_to("R survival cox.zph", "NCCTG lung, CGD")
@pytest.mark.parametrize("transform", ["identity", "log"])
@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("name", ["lung_strata", "cgd_strata", "cgd_two"])
def test_the_test_of_proportional_hazards_is_cox_zph(name, ties, transform):
    variables, analysis = FITS[f"{name}_{ties}"]
    variables = (number("time", 1, 1100, unit="d"), *variables[1:])

    found = federated(variables, replace(analysis, zph=transform)).as_json()

    rows = [row for row in from_r()["drifts"] if row["fit"] == f"{name}_{ties}"]
    rows = [row for row in rows if row["transform"] == transform]
    ours = [*found["zph"]["terms"], found["zph"]["together"]]
    for key in ("chi2", "p"):
        wanted = [float(row[key]) for row in rows]
        np.testing.assert_allclose([one[key] for one in ours], wanted, rtol=1e-8)
        note_parts("cox", [one[key] for one in ours], wanted)
    assert found["rounds"] <= 6


@pytest.mark.held_to("R survival cox.zph", "NCCTG lung")
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_a_weighted_test_of_proportional_hazards_is_cox_zph(ties):
    name = f"lung_more_{ties}_weighted"
    variables, analysis = FITS[name]

    found = federated(variables, replace(analysis, zph="identity")).as_json()

    rows = [row for row in from_r()["drifts"] if row["fit"] == name]
    wanted = [float(r["chi2"]) for r in rows if r["transform"] == "identity"]
    ours = [*found["zph"]["terms"], found["zph"]["together"]]
    np.testing.assert_allclose([one["chi2"] for one in ours], wanted, rtol=1e-8)
    note_parts("cox", [one["chi2"] for one in ours], wanted)


@pytest.mark.held_to("R survival coxph", "NCCTG lung")
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_a_coarse_grid_is_r_on_times_moved_to_its_edges(ties):
    reference = fit_of(f"lung_months_{ties}")

    finding = federated(LUNG, cox("died", ("age", "ecog"), ("sex",), MONTHS, ties))

    assert_same(finding, reference["estimate"], reference["se"], reference["loglik"])


@pytest.mark.held_to("R survival basehaz", "NCCTG lung")
@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize(
    ("name", "terms", "strata", "grid"),
    [
        ("lung_pooled", PERSON, (), ALL_DAYS),
        ("lung_months", ("age", "ecog"), ("sex",), MONTHS),
    ],
)
def test_the_baseline_hazard_is_basehaz(name, terms, strata, grid, ties):
    analysis = replace(cox("died", terms, strata, grid, ties), baseline=True)

    found = federated(LUNG, analysis).as_json()["baseline"]

    rows = [row for row in from_r()["hazards"] if row["fit"] == f"{name}_{ties}"]
    rows = [row for row in rows if float(row["died"]) > 0]
    for curve in found:
        mine = [row for row in rows if row["stratum"] == curve["stratum"]]
        assert curve["time"] == [float(row["time"]) for row in mine]
        assert curve["events"] == [float(row["died"]) for row in mine]
        wanted = [float(row["cumhaz"]) for row in mine]
        np.testing.assert_allclose(curve["cumhaz"], wanted, rtol=1e-8)
        note_parts("cox", curve["cumhaz"], wanted)


MERGED = """
options(digits = 17); suppressPackageStartupMessages(library(survival))
lung <- survival::lung[!is.na(survival::lung$inst), ]
edges <- c({edges})
lung$moved <- edges[findInterval(lung$time, edges, left.open = TRUE) + 1]
fit <- coxph(Surv(moved, status == 2) ~ age + I(sex == 1), lung, ties = "{ties}",
             control = coxph.control(eps = 1e-14, iter.max = 100))
cat(sprintf("%.17g", c(coef(fit), sqrt(diag(vcov(fit))), fit$loglik[2])))
"""


@pytest.mark.held_to("R survival coxph", "NCCTG lung")
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_a_merged_grid_is_r_on_times_moved_to_the_edges_of_the_cut(ties):
    """Institutions are put together to hospitals of enough patients."""
    weeks = Grid(tuple(7.0 * week for week in range(1, 158)), merge=True)
    analysis = cox("died", ("age", "sex"), (), weeks, ties)
    parts, _ = columns_of("lung", LUNG)
    groups = [list(parts.values())[place::3] for place in range(3)]
    hospitals = {
        f"h{place}": {k: np.concatenate([part[k] for part in group]) for k in group[0]}
        for place, group in enumerate(groups)
    }

    finding = oracle(
        study_of(LUNG, analysis, sites=tuple(hospitals)), analysis, hospitals
    )

    found = finding.as_json()
    text = ", ".join(map(str, found["edges"]))
    done = subprocess.run(
        ["Rscript", "--vanilla", "-e", MERGED.format(edges=text, ties=ties)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    wanted = [float(number) for number in done.stdout.split()]
    assert_same(finding, wanted[:2], wanted[2:4], wanted[4])
    assert found["rounds"] <= 6
    assert len(found["edges"]) >= 4


CURVES = {
    "lung_sex": (LUNG, "died", "sex", 365.0),
    "lung_all": (LUNG, "died", "", 800.0),
    "cgd_treat": (CGD, "ill", "treat", 300.0),
}


@pytest.mark.held_to("R survival survfit", "NCCTG lung, CGD")
@pytest.mark.parametrize("conf_type", ["log", "log-log", "plain"])
@pytest.mark.parametrize("name", CURVES)
def test_federated_curves_are_r_on_pooled_rows(name, conf_type):
    variables, event, by, horizon = CURVES[name]
    analysis = Analysis(
        "a", "km", time="time", event=event, by=by, grid=ALL_DAYS, horizon=horizon,
        conf_type=conf_type,
    )  # fmt: skip

    curves = federated(variables, analysis).as_json()["curves"]

    rows = [row for row in from_r()["curves"] if row["fit"] == name]
    rows = [row for row in rows if row["type"] == conf_type]
    for curve in curves:
        mine = [row for row in rows if row["stratum"] == curve["stratum"]]
        for key in ("time", "at_risk", "events"):
            assert curve[key] == [float(row[key]) for row in mine]
        for key in ("survival", "se", "lower", "upper", "cumhaz", "cumhaz_se"):
            wanted = [np.nan if r[key] == "NA" else float(r[key]) for r in mine]
            ours = np.array(curve[key], dtype=float)
            np.testing.assert_allclose(ours, wanted, rtol=1e-11, err_msg=key)
            note_parts("km", ours, wanted)
        for key in ("median", "median_lower", "median_upper"):
            wanted = mine[0][key]
            assert curve[key] == (None if wanted == "NA" else float(wanted))
        for key in ("rmst", "rmst_se"):
            assert curve[key] == pytest.approx(float(mine[0][key]), rel=1e-12)
            note_parts("km", curve[key], float(mine[0][key]))


@pytest.mark.held_to("R survival survdiff", "NCCTG lung, CGD")
@pytest.mark.parametrize(
    ("name", "variables", "event", "by"),
    [
        ("lung_sex", LUNG, "died", "sex"),
        ("lung_ecog", LUNG, "died", "ecog"),
        ("cgd_treat", CGD, "ill", "treat"),
    ],
)
def test_the_log_rank_test_is_r_on_pooled_rows(name, variables, event, by):
    analysis = Analysis("a", "km", time="time", event=event, by=by, grid=ALL_DAYS)

    found = federated(variables, analysis).as_json()["logrank"]

    row = next(row for row in from_r()["tests"] if row["fit"] == name)
    assert found["chi2"] == pytest.approx(float(row["chi2"]), rel=1e-11)
    note_parts("km", found["chi2"], float(row["chi2"]))


@pytest.mark.held_to("R survival survdiff", "NCCTG lung, CGD")
@pytest.mark.parametrize("rho", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(
    ("name", "variables", "event", "by", "strata"),
    [
        ("lung_sex_site", LUNG, "died", "sex", ("site",)),
        ("lung_ecog_two", LUNG, "died", "ecog", ("site", "sex")),
        ("cgd_treat_site", CGD, "ill", "treat", ("site",)),
    ],
)
def test_a_stratified_log_rank_test_is_r_on_pooled_rows(
    name, variables, event, by, strata, rho
):
    analysis = Analysis(
        "a", "logrank", time="time", event=event, by=by, strata=strata, rho=rho
    )

    found = federated(variables, analysis).as_json()

    rows = [row for row in from_r()["tests"] if row["fit"] == name]
    rows = [row for row in rows if float(row["rho"]) == rho]
    for key in ("chi2", "p"):
        assert found[key] == pytest.approx(float(rows[0][key]), rel=1e-10)
        note_parts("logrank", found[key], float(rows[0][key]))
    for key in ("observed", "expected"):
        ours = [group[key] for group in found["groups"]]
        np.testing.assert_allclose(ours, [float(row[key]) for row in rows], rtol=1e-12)


def test_a_crossed_model_has_the_likelihood_of_r_however_it_is_coded():
    reference = fit_of("lung_cross")
    analysis = logistic("died", "age", "sex", "age:sex", "ecog:sex")

    finding = federated(LUNG, analysis).as_json()

    assert finding["loglik"] == pytest.approx(reference["loglik"], rel=1e-12)
    assert len(finding["terms"]) == len(reference["estimate"])


def test_the_columns_of_a_spline_are_called_as_r_calls_them():
    finding = federated(*FITS["lung_bs"]).as_json()

    names = [row["term"] for row in from_r()["fits"] if row["fit"] == "lung_bs"]
    assert [term["name"] for term in finding["terms"]] == names
