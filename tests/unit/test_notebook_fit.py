"""`hetao.fit` reads formulas as R does, and gives the pooled rows' answer."""

import argparse
import asyncio
import dataclasses

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

import hetao
from hetao.analysis.rounding import rounded
from hetao.canonical import parse_canonical
from hetao.cli.fit_fields import FIELDS, NAMED, add_fields, fields_of
from hetao.errors import HetaoError, InvalidData, NotEstimable, Stopped, Usage
from hetao.federation.certify import recompute
from hetao.notebook.drafting import draft_study
from hetao.notebook.parts import split_parts
from hetao.release import Policy
from hetao.study import Analysis, Minimum
from support_system import people

OPEN = Policy(Minimum(cell=1, events=1, people=1, share=1.0, leverage=1.0), reason="a")
ROWS = pd.DataFrame(people())
ROWS = ROWS.assign(
    stage=np.arange(len(ROWS)) % 3 + 1,
    yes=np.where(ROWS["ill"] == 1, "yes", "no"),
    truth=ROWS["ill"].astype(bool),
    one_two=ROWS["ill"] + 1,
    gone=ROWS["age"].where(np.arange(len(ROWS)) % 7 > 0),
    sex_gone=ROWS["sex"].where(np.arange(len(ROWS)) % 11 > 0),
    site=ROWS["sex"],
    constant=1.0,
    word="same",
    double=2 * ROWS["age"] + 1,
    apart=ROWS["ill"] * 2 + ROWS["age"] / 1000,
)
ROWS["ph.ecog"] = (ROWS["bmi"] / 10).round()
ROWS["body mass"] = ROWS["bmi"]
PLAIN = ROWS.rename(columns={"ph.ecog": "ecog", "body mass": "mass"})

# what is asked of us → the same, for statsmodels
LOGISTIC = {
    "ill ~ age + C(group)": "age + C(group)",
    'ill ~ age + C(group, Treatment("b"))': 'age + C(group, Treatment("b"))',
    "ill ~ factor(stage) + age": "C(stage) + age",
    "ill ~ age*sex": "age*sex",
    "ill ~ age:bmi + sex": "age:bmi + sex",
    "ill ~ I((age - 60)^2) + bmi": "I((age - 60)**2) + bmi",
    "ill ~ log(age) + np.log(bmi)": "np.log(age) + np.log(bmi)",
    "ill ~ bs(age, knots=60, degree=1) + sex": "bs(age, knots=(60,), degree=1) + sex",
    "ill ~ ph.ecog + age": "ecog + age",
    "ill ~ `body mass` + age": "mass + age",
    "ill ~ gone + sex_gone": "gone + sex_gone",
    "ill ~ age + hospital": "age + C(hospital, Treatment('North'))",
    "ill ~ age + site": "age + sex",
    "yes ~ age": "age",
    "truth ~ age": "age",
    "one_two ~ age": "age",
}
NAMES = {
    "ill ~ ph.ecog + age": ["(Intercept)", "ph.ecog", "age"],
    "ill ~ `body mass` + age": ["(Intercept)", "body mass", "age"],
    "ill ~ age + site": ["(Intercept)", "age", "site[m]"],
    "ill ~ age + hospital": ["(Intercept)", "age", "hospital[east]", "hospital[south]"],
    'ill ~ age + C(group, Treatment("b"))': [
        "(Intercept)",
        "age",
        "group[a]",
        "group[c]",
    ],
}


def fit(model, formula, data=ROWS, **words):
    words.setdefault("split_by", "hospital")
    return hetao.fit(model, formula, data=data, **words)


def assert_pooled(result, pooled):
    """Compare as sets: the order of terms is ours, the names are theirs."""
    frame = result.frame().sort_values("estimate")
    params = pooled.params.sort_values()
    errors = pooled.bse[params.index].to_numpy()
    assert np.max(np.abs(frame["estimate"].to_numpy() - params) / errors) < 1e-9
    np.testing.assert_allclose(frame["se"], errors, rtol=1e-7)
    assert result.body["rounds"] <= 6


@pytest.mark.parametrize("formula", LOGISTIC)
def test_a_logistic_formula_is_read_as_r_reads_it(formula):
    model = smf.logit(f"ill ~ {LOGISTIC[formula]}", PLAIN)
    pooled = model.fit(disp=False, method="newton", tol=1e-13)

    result = fit("logistic", formula)

    assert_pooled(result, pooled)
    assert result.body["n"] == rounded(pooled.nobs, 5)
    if formula in NAMES:
        assert list(result.frame().index) == NAMES[formula]


@pytest.mark.parametrize("formula", ["bmi ~ age + sex - 1", "bmi ~ 0 + age", "bmi ~ 1"])
def test_a_linear_model_may_leave_the_intercept_out(formula):
    assert_pooled(fit("linear", formula), smf.ols(formula, PLAIN).fit())


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("words", [{}, {"strata": "site"}, {"strata": "hospital"}])
def test_a_cox_model_over_all_sites_or_within_each(ties, words):
    formula = "Surv(time, dead) ~ age + sex"
    design = np.column_stack([ROWS["age"], ROWS["sex"] == "m"]).astype(float)
    strata = ROWS["hospital"] if words else None
    model = sm.PHReg(
        ROWS["time"], design, status=ROWS["dead"], ties=ties, strata=strata
    )
    at = np.zeros(2)
    for _ in range(10):
        at = at - np.linalg.solve(model.hessian(at), model.score(at))

    frame = fit("cox", formula, ties=ties, policy=OPEN, **words).frame()

    assert np.max(np.abs(frame["estimate"] - at) / frame["se"]) < 1e-9


def test_strata_may_stand_in_the_formula():
    inside = fit("cox", "Surv(time, dead) ~ age + strata(hospital)")
    outside = fit("cox", "Surv(time, dead) ~ age", strata="site")

    assert inside.frame().equals(outside.frame())


def test_whole_numbers_may_be_written_with_a_point_at_one_site():
    parts = dict(iter(ROWS.groupby("hospital")))
    loose = dict(parts)
    loose["East"] = parts["East"].assign(
        ill=parts["East"]["ill"].astype(float), stage=parts["East"]["stage"] * 1.0
    )

    same = hetao.fit("logistic", "ill ~ age + C(stage)", parts).frame()
    mixed = hetao.fit("logistic", "ill ~ age + C(stage)", loose).frame()

    assert mixed.equals(same)


def test_it_works_while_a_notebooks_loop_runs():
    async def cell():
        return fit("linear", "bmi ~ age")

    assert asyncio.run(cell()).frame().equals(fit("linear", "bmi ~ age").frame())


def test_the_result_shows_itself_and_escapes_what_a_file_calls_its_columns():
    data = ROWS.rename(columns={"bmi": "<b>x</b>"})

    result = fit("logistic", "ill ~ age + `<b>x</b>`", data)

    assert list(result.frame().index) == ["(Intercept)", "age", "<b>x</b>"]
    assert repr(result) == result.summary()
    assert "logistic, 3 sites, 1200 people" in result.summary()
    page = result._repr_html_()
    assert "<b>x</b>" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page


def test_a_site_that_a_file_names_in_chinese_alone_is_said_by_that_name():
    wards = {"North": "瑪麗醫院", "East": "<深圳>", "South": "south"}
    data = ROWS.assign(ward=ROWS["hospital"].map(wards))

    result = fit("linear", "bmi ~ age", data, split_by="ward")

    values = {"site-1": "瑪麗醫院", "site-2": "<深圳>"}
    assert result.diagnostics()["site_values"] == values
    assert set(result.diagnostics()["sites"]) == {*values, "south"}
    assert "\nsite-1 is 瑪麗醫院, site-2 is <深圳>\n" in result.summary()
    assert "site-2 is &lt;深圳&gt;" in result._repr_html_()


def test_curves_come_as_one_frame():
    frame = fit("km", "Surv(time, dead) ~ sex", policy=OPEN).frame()

    assert set(frame["stratum"]) == {"f", "m"}
    assert {"time", "survival", "se", "at_risk", "events"} <= set(frame.columns)


def test_a_log_rank_test_within_sites_is_one_round_and_verifies():
    result = fit("logrank", "Surv(time, dead) ~ sex", strata="site")
    _, p = sm.duration.survdiff(
        ROWS["time"], ROWS["dead"], ROWS["sex"], strata=ROWS["hospital"]
    )

    assert result.body["rounds"] == 1
    assert result.body["p"] == pytest.approx(p, rel=1e-9)
    assert "chi-square" in result.summary()
    assert set(result.frame().index) == {"f", "m"}
    body = parse_canonical(result.certificate)
    assert recompute(body) == "1 findings follow from the certified integers"


def test_survival_options_of_a_study_may_be_asked_of_a_fit():
    zph = fit("cox", "Surv(time, dead) ~ age", strata="site", zph="log").body["zph"]
    curves = fit(
        "km", "Surv(time, dead) ~ sex", horizon=5, conf_type="plain", policy=OPEN
    ).body
    weighted = fit("logrank", "Surv(time, dead) ~ sex", strata="site", rho=1).body

    assert (zph["transform"], zph["together"]["df"]) == ("log", 1)
    assert (curves["horizon"], curves["conf_type"]) == (5.0, "plain")
    assert all(curve["rmst"] is not None for curve in curves["curves"])
    assert weighted["rho"] == 1.0


def test_a_curve_says_when_steps_with_small_counts_are_joined():
    strict = fit("km", "Surv(time, dead) ~ 1")
    open_ = fit("km", "Surv(time, dead) ~ 1", policy=OPEN)

    assert strict.body["withheld"]
    assert "steps with small counts joined" in strict.summary()
    assert not open_.body["withheld"]
    assert "joined" not in open_.summary()
    every = open_.frame().set_index(["stratum", "time"])["survival"]
    shown = strict.frame().set_index(["stratum", "time"])["survival"]
    assert len(shown) < len(every)
    # each a rounded number of survivors out of the rounded curve's people
    people = min(curve["n"] for curve in open_.body["curves"])
    np.testing.assert_allclose(shown, every[shown.index], atol=2.6 / people)


def test_curves_by_a_group_say_that_times_were_put_together():
    strict = fit("km", "Surv(time, dead) ~ sex")
    open_ = fit("km", "Surv(time, dead) ~ sex", policy=OPEN)

    assert "times put together into few cells" in strict.summary()
    assert "put together" not in open_.summary()
    assert len(strict.frame()) < len(open_.frame())


@pytest.mark.parametrize(
    ("model", "formula", "error", "says"),
    [
        ("logistic", "ill ~ aeg", InvalidData, "no column 'aeg'"),
        ("logistic", "ill ~ age + double", NotEstimable, "age, double"),
        ("logistic", "ill ~ apart", NotEstimable, "separated"),
        ("logistic", "ill ~ age + constant", Stopped, "one side of constant"),
        ("logistic", "constant ~ age", Stopped, "people with"),
        ("linear", "bmi ~ age + constant", Stopped, "one side of constant"),
        ("linear", "sex ~ age", HetaoError, "'sex' must be a number"),
        ("logistic", "age ~ bmi", InvalidData, "too many for a category"),
        ("logistic", "group ~ bmi", HetaoError, "two levels"),
        ("logistic", "ill ~ log(age - 60)", HetaoError, "finite"),
        ("logistic", 'ill ~ C(group, Treatment("z"))', HetaoError, "no level 'z'"),
        ("poisson", "bmi ~ age", Stopped, "no whole number"),
        ("cox", "ill ~ age", HetaoError, "needs Surv(time, event)"),
        ("logistic", "~ age", HetaoError, "needs one column on the left"),
        ("rates", "~ sex", HetaoError, "needs Surv(time, event)"),
        ("table1", "sex ~ age:bmi", HetaoError, "'age:bmi' is none"),
        ("table1", "Surv(time, dead) ~ age", HetaoError, "one column on the left"),
        ("quantiles", "sex ~ group", HetaoError, "'group' must be a number"),
        ("km", "Surv(time, dead) ~ sex + group", HetaoError, "one grouping column"),
        ("probit", "ill ~ age", Usage, "the model is one of"),
    ],
)
def test_what_cannot_be_fitted_is_refused_by_name(model, formula, error, says):
    with pytest.raises(error, match="HT-") as caught:
        fit(model, formula)

    assert says in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"sites": {}},
        {"data": ROWS},
        {"sites": {"a": ROWS}, "data": ROWS, "split_by": "hospital"},
    ],
)
def test_a_call_that_says_not_which_rows_is_refused(words):
    with pytest.raises(Usage):
        hetao.fit("logistic", "ill ~ age", **words)


def test_one_site_that_is_small_is_refused_by_name():
    tiny = pd.concat([ROWS, ROWS.head(1).assign(hospital="Tiny")])

    with pytest.raises(Stopped, match="tiny refused") as caught:
        fit("logistic", "ill ~ age", tiny)

    assert "1 people" not in str(caught.value)


def test_weights_and_a_robust_variance_are_taken_from_a_call():
    rows = ROWS.assign(**{"how many": np.arange(len(ROWS)) % 4})
    kept = rows[rows["how many"] > 0]
    model = smf.glm("ill ~ age + sex", kept, family=sm.families.Binomial(),
                    var_weights=kept["how many"])  # fmt: skip
    reference = model.fit(cov_type="HC0", tol=1e-13)

    result = hetao.fit(
        "logistic",
        "ill ~ age + sex",
        data=rows,
        split_by="hospital",
        weights="how many",
        variance="robust",
        policy=OPEN,
    )

    frame = result.frame()
    by_name = reference.params[["Intercept", "age", "sex[T.m]"]]
    assert np.abs(frame["estimate"].to_numpy() - by_name).max() < 1e-9
    errors = reference.bse[["Intercept", "age", "sex[T.m]"]]
    assert np.abs(frame["se"].to_numpy() / errors - 1).max() < 1e-8
    assert result.body["n"] == rounded(len(kept), 5)


def test_a_penalty_is_taken_from_a_call_and_separation_has_an_answer():
    def separated(**words):
        return hetao.fit("logistic", "ill ~ apart", data=ROWS, split_by="hospital",
                         policy=OPEN, **words)  # fmt: skip

    with pytest.raises(HetaoError, match="separated"):
        separated()
    assert np.isfinite(separated(penalty="firth").frame()).all(axis=None)


def test_a_lasso_is_chosen_inside_sites_and_can_be_worked_out_again():
    chosen = hetao.fit(
        "logistic",
        "ill ~ age + sex + bmi + C(group)",
        data=ROWS,
        split_by="hospital",
        policy=OPEN,
        penalty="lasso",
        folds=4,
        unpenalised=["sex"],
        select="lambda.min",
    )

    path = chosen.path()
    assert len(path) == 25
    assert path["deviance"].idxmin() == chosen.body["lambda"]
    assert (path["sex[m]"] != 0).all()
    assert (path.loc[path.index[0], ["age", "bmi"]] == 0).all()
    assert chosen.bse.isna().all()
    assert "lasso, lambda" in chosen.summary()
    assert [picture.title for picture in chosen.pictures()] == [
        "fit: coefficients by strength of the penalty",
        "fit: deviance of those whom the fits left out",
    ]
    with pytest.raises(Usage, match="no limits to draw"):
        chosen.forest()
    body = parse_canonical(chosen.certificate)
    assert recompute(body) == "1 findings follow from the certified integers"


def test_options_that_are_0_or_false_are_heeded_where_that_is_not_usual(tmp_path):
    ROWS.to_csv(tmp_path / "rows.csv", index=False)
    parts = split_parts(tmp_path / "rows.csv", "hospital")
    said = {
        "penalty": "ridge",
        "folds": 0,
        "standardize": False,
        "lambdas": np.array([0.1]),
        "unpenalised": ("body mass",),
        "variance": "",
        "weights": None,
    }

    study = draft_study("linear", "bmi ~ age + `body mass`", parts, (), said).study

    (analysis,) = study.analyses
    assert (analysis.folds, analysis.standardize) == (0, False)
    assert analysis.lambdas == (0.1,)
    assert analysis.unpenalised == ("body_mass",)


@pytest.mark.parametrize(
    ("model", "words"),
    [("gamma", {"penalty": "firth"}), ("linear", {"ties": "efron"})],
)
def test_an_option_that_a_model_has_no_use_for_is_refused(model, words):
    with pytest.raises(Usage, match=f"takes no {next(iter(words))}"):
        hetao.fit(model, "bmi ~ age", data=ROWS, split_by="hospital", **words)


def test_a_command_says_fields_by_options_or_as_a_study_writes_them():
    parser = argparse.ArgumentParser()
    add_fields(parser)
    words = ["--lambdas", "1,0.1", "--ml", "--of", "cox", "--set", "folds=3"]
    words += ["--set", "grid={step=30,end=90}", "--set", "link=cloglog"]

    assert fields_of(parser.parse_args(words)) == {
        "lambdas": [1.0, 0.1],
        "REML": False,
        "model": "cox",
        "show_sites": False,
        "folds": 3,
        "grid": {"step": 30, "end": 90},
        "link": "cloglog",
    }
    for wrong in ("x", "1=2", "ties=efron"):
        with pytest.raises(Usage, match=r"FIELD=VALUE|twice"):
            fields_of(parser.parse_args(["--ties", "breslow", "--set", wrong]))
    known = {field.name for field in dataclasses.fields(Analysis)}
    assert {*FIELDS, *NAMED} <= known
