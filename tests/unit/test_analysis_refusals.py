"""Bad input: one clear error that names the rule and no patient's value."""

from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import make_rows, oracle
from hetao.canonical import parse_canonical
from hetao.errors import (
    ColumnMismatch,
    InvalidStudy,
    NotAParty,
    NotEstimable,
    OutOfBounds,
    WrongShape,
)
from hetao.study import Analysis, Grid, study_from
from support_analysis import ANALYSES, SITES, STUDY, people, split, study_of

COUNTS = {"poisson": "visits", "negative_binomial": "falls"}
MODELS = (
    "logistic",
    "firth",
    "linear",
    *COUNTS,
    "gamma",
    "cox_efron",
    "cox_grid_efron",
)


def test_pi_is_the_number_and_no_variable():
    named = replace(STUDY.variables[0], name="pi")
    study = study_of((*STUDY.variables, named), spline("age"))
    with pytest.raises(InvalidStudy, match="'pi' is kept for the number"):
        study_from(parse_canonical(study.canonical))


def everywhere(columns):
    return split(columns, (0.2, 0.5))


def spline(term):
    return Analysis("a", "linear", outcome="score", terms=(term,))


def simple(name, *terms):
    return replace(ANALYSES[name], terms=terms, offset="")


@pytest.mark.parametrize("name", MODELS)
def test_a_site_of_one_row_is_summed_like_any_other(name):
    parts = split(people(1, 300), (0.5,), sites=SITES)
    rest = {name: array[1:] for name, array in parts["aa"].items()}
    one = {name: array[:1] for name, array in parts["aa"].items()}
    sum_of_three = oracle(STUDY, ANALYSES[name], {**parts, "aa": rest, "cc": one})

    assert sum_of_three.as_json()["converged"]


@pytest.mark.parametrize("name", MODELS)
def test_a_constant_column_is_named(name):
    columns = people(2, 200)
    columns["chol"] = np.full(200, 200.0)

    with pytest.raises(NotEstimable, match="chol"):
        oracle(STUDY, simple(name, "age", "chol"), everywhere(columns))


@pytest.mark.parametrize("name", MODELS)
def test_a_level_that_no_one_has_is_named(name):
    columns = people(2, 200)
    columns["grade"] = np.minimum(columns["grade"], 1)

    with pytest.raises(NotEstimable, match=r"grade\[high\]"):
        oracle(STUDY, simple(name, "age", "grade"), everywhere(columns))


@pytest.mark.parametrize("name", MODELS)
def test_collinear_columns_are_both_named(name):
    columns = people(3, 200)
    columns["chol"] = columns["age"] * 5

    with pytest.raises(NotEstimable, match="age, chol"):
        oracle(STUDY, simple(name, "sex", "age", "chol"), everywhere(columns))


@pytest.mark.parametrize("name", ["logistic", "cox_efron", "cox_grid_efron"])
@pytest.mark.parametrize("whole", [True, False])
def test_separation_names_the_column(name, whole):
    columns = people(4, 300)
    event = "ill" if name == "logistic" else "died"
    columns[event] = columns["sex"].copy()
    if not whole:  # only one level has no events
        columns[event][columns["sex"] == 1] = np.arange((columns["sex"] == 1).sum()) % 2

    with pytest.raises(NotEstimable, match=r"separated by .*sex\[male\]"):
        oracle(STUDY, simple(name, "sex", "age"), everywhere(columns))


@pytest.mark.parametrize("name", COUNTS)
def test_a_level_without_counts_is_named(name):
    columns, outcome = people(5, 300), COUNTS[name]
    columns[outcome] = np.where(columns["grade"] == 2, 0.0, columns[outcome])

    with pytest.raises(NotEstimable, match=r"separated by .*grade\[high\]"):
        oracle(STUDY, simple(name, "age", "grade"), everywhere(columns))


def test_counts_that_vary_less_than_poissons_have_no_theta():
    columns = people(5, 300)
    columns["falls"] = np.arange(300) % 2 + 1.0

    with pytest.raises(NotEstimable, match="no more than Poisson") as caught:
        oracle(STUDY, simple("negative_binomial", "age"), everywhere(columns))
    assert "poisson" in caught.value.fix


def test_a_positive_outcome_may_not_be_0_by_its_bounds():
    with pytest.raises(InvalidStudy, match="0 or less"):
        oracle(STUDY, replace(ANALYSES["gamma"], outcome="visits"), {})


@pytest.mark.parametrize(
    "name", ["logistic", "linear", "poisson", "negative_binomial", "gamma"]
)
def test_weights_of_0_for_everyone_are_said_so(name):
    columns = people(5, 100) | {"share": np.zeros(100)}

    with pytest.raises(NotEstimable, match="'share' above 0"):
        oracle(STUDY, ANALYSES[f"{name}_weighted"], everywhere(columns))


def test_weights_that_may_be_negative_are_refused_before_any_row():
    analysis = replace(ANALYSES["linear"], weights="score")

    with pytest.raises(InvalidStudy, match="may be negative"):
        oracle(STUDY, analysis, {})
    with pytest.raises(InvalidStudy, match="may be negative"):
        study_from(parse_canonical(replace(STUDY, analyses=(analysis,)).canonical))


def test_a_negative_weight_is_refused_by_its_bounds():
    columns = people(5, 100)
    columns["share"][3] = -0.5

    with pytest.raises(OutOfBounds, match="share"):
        oracle(STUDY, ANALYSES["linear_weighted"], everywhere(columns))


def test_whoever_weighs_nothing_is_not_one_of_the_people():
    parts = everywhere(people(5, 300))
    kept = {
        site: {name: array[part["share"] > 0] for name, array in part.items()}
        for site, part in parts.items()
    }
    analysis = ANALYSES["poisson_weighted"]

    assert (
        oracle(STUDY, analysis, parts).as_json()
        == oracle(STUDY, analysis, kept).as_json()
    )


@pytest.mark.parametrize("theta", [None, np.zeros(2), [-20.0], [800.0], [np.nan]])
def test_a_theta_out_of_range_is_refused(theta):
    from hetao.analysis import estimator_for

    method = estimator_for(STUDY, ANALYSES["negative_binomial"])
    rows = make_rows(method.plan, people(1, 30), "aa")
    state = {"beta": np.zeros(method.plan.parameters)}
    if theta is not None:
        state["log_theta"] = np.array(theta)

    with pytest.raises(WrongShape, match="theta"):
        method.local(rows, state)


@pytest.mark.parametrize("name", MODELS)
def test_a_column_missing_for_everyone_leaves_no_one(name):
    columns = people(6, 100)
    columns["chol"] = np.full(100, np.nan)

    with pytest.raises(NotEstimable):
        oracle(STUDY, ANALYSES[name], everywhere(columns))


@pytest.mark.parametrize(
    ("name", "event", "none"),
    [
        ("logistic", "ill", 0),
        ("logistic", "ill", 1),
        ("firth", "ill", 0),
        ("poisson", "visits", 0.0),
        ("negative_binomial", "falls", 0.0),
        ("cox_efron", "died", 0),
        ("cox_grid_efron", "died", 0),
        ("km", "died", 0),
    ],
)
def test_no_events_is_said_so(name, event, none):
    columns = people(7, 100)
    columns[event] = np.full(100, none)

    with pytest.raises(NotEstimable, match=event):
        oracle(STUDY, ANALYSES[name], everywhere(columns))


@pytest.mark.parametrize(("name", "outcome"), [("linear", "score"), ("gamma", "cost")])
def test_a_constant_number_outcome_is_said_so(name, outcome):
    columns = people(8, 100) | {outcome: np.full(100, 3.0), "years": np.ones(100)}

    with pytest.raises(NotEstimable, match=outcome):
        oracle(STUDY, ANALYSES[name], everywhere(columns))


@pytest.mark.parametrize("name", ["cox_breslow", "cox_efron", "cox_grid_efron"])
def test_a_single_event_time_for_everyone_orders_no_one(name):
    columns = people(9, 100)
    columns["day"], columns["died"] = np.full(100, 5.0), np.ones(100, dtype=int)

    (term,) = oracle(STUDY, simple(name, "age"), everywhere(columns)).as_json()["terms"]

    assert term["estimate"] == pytest.approx(0, abs=1e-12)  # as R has it


def test_a_single_event_time_among_later_ones_is_estimable():
    columns = people(9, 200)
    columns["died"] = np.arange(200) % 4 == 0
    columns["day"] = np.where(columns["died"], 5.0, 9.0)

    found = oracle(STUDY, simple("cox_efron", "age"), everywhere(columns))

    assert found.as_json()["events"] == np.sum(
        columns["died"] & ~np.isnan(columns["age"])
    )


@pytest.mark.parametrize("value", [-1.0, 2.5, 1e9, np.inf])
def test_a_count_is_whole_and_not_negative(value):
    columns = people(10, 50)
    columns["visits"][7] = value

    with pytest.raises(OutOfBounds, match="visits") as caught:
        oracle(STUDY, ANALYSES["poisson"], everywhere(columns))
    assert str(value) not in str(caught.value)
    assert caught.value.local == "visits: 1 rows"


def test_a_count_whose_bounds_allow_negatives_is_refused_before_any_row():
    with pytest.raises(InvalidStudy, match="may be negative"):
        oracle(STUDY, replace(ANALYSES["poisson"], outcome="score"), {})


def test_a_time_beyond_the_grid_is_refused():
    analysis = replace(ANALYSES["km"], grid=Grid((1.0, 5.0)))

    with pytest.raises(OutOfBounds, match="last edge"):
        oracle(STUDY, analysis, everywhere(people(11, 50)))


@pytest.mark.parametrize("code", [2, -2])
def test_an_unknown_level_is_refused(code):
    columns = people(12, 50)
    columns["sex"][3] = code

    with pytest.raises(OutOfBounds, match="sex"):
        oracle(STUDY, ANALYSES["logistic"], everywhere(columns))


def test_columns_that_do_not_fit_together_are_refused():
    columns = people(13, 50)
    short = columns | {"age": columns["age"][:-1]}
    missing = {name: array for name, array in columns.items() if name != "age"}
    flat = columns | {"age": columns["age"].reshape(-1, 1)}

    for broken in (short, missing, flat):
        with pytest.raises(ColumnMismatch):
            oracle(STUDY, ANALYSES["logistic"], {"aa": broken})


def test_a_site_outside_the_study_is_refused():
    with pytest.raises(NotAParty, match="elsewhere"):
        oracle(STUDY, ANALYSES["logistic"], {"elsewhere": people(1, 10)})


@pytest.mark.parametrize("beta", [np.zeros(3), np.zeros((7, 1))])
def test_a_state_of_another_shape_is_refused(beta):
    from hetao.analysis import estimator_for

    method = estimator_for(STUDY, ANALYSES["logistic"])
    rows = make_rows(method.plan, people(1, 30), "aa")

    for state in ({"beta": beta}, {}):
        with pytest.raises(WrongShape):
            method.local(rows, state)


def test_more_columns_than_people_is_said_so():
    with pytest.raises(NotEstimable):
        oracle(STUDY, ANALYSES["linear"], {"aa": people(1, 6)})


@pytest.mark.parametrize(
    ("analysis", "words"),
    [
        (Analysis("a", "linear", outcome="score", terms=("log(score)",)), "log"),
        (Analysis("a", "linear", outcome="score", terms=("1/score",)), "1/score"),
        (Analysis("a", "linear", outcome="score", terms=("score**0.5",)), "score"),
        (Analysis("a", "linear", outcome="score", terms=("exp(chol*9)",)), "exp"),
        (Analysis("a", "linear", outcome="score", terms=("age - age*1/1",)), ""),
        (Analysis("a", "linear", outcome="score", terms=("2",)), "no variable"),
        (Analysis("a", "linear", outcome="score", terms=("0",)), "no columns"),
        (Analysis("a", "linear", outcome="score", terms=("log(sex)",)), "category"),
        (Analysis("a", "linear", outcome="score", terms=("tall",)), "tall"),
        (spline("ns(age, knots = c(70, 60))"), "knots rise"),
        (spline("ns(age, knots = c(60, 60))"), "knots rise"),
        (spline("ns(age, knots = 18)"), "knots rise"),
        (spline("ns(age, knots = 60, Boundary.knots = c(90, 20))"), "boundary knots"),
        (spline("bs(age, df = 2)"), "df is at least 3"),
        (spline("bs(age, df = 4, Boundary.knots = c(30, 90))"), "beyond the boundary"),
        (spline("ns(sex, df = 2)"), "category"),
        (replace(ANALYSES["cox_efron"], terms=("site",)), "constant within"),
        (replace(ANALYSES["cox_efron"], strata=()), "public grid"),
        (replace(ANALYSES["cox_efron"], time="score"), "negative"),
        (replace(ANALYSES["km"], grid=None), "public grid"),
        (replace(ANALYSES["km"], method="magic"), "magic"),
    ],
)
def test_an_analysis_beyond_its_public_bounds_is_refused(analysis, words):
    parts = {"aa": people(1, 30)}
    if not words:  # bounds are generous, so this one is found out by its rows
        with pytest.raises(NotEstimable):
            oracle(STUDY, analysis, {"aa": people(1, 30)})
        return

    with pytest.raises(InvalidStudy, match=words.replace("*", ".").replace("(", ".")):
        oracle(STUDY, analysis, parts)


def test_a_message_too_large_is_refused_before_any_row():
    many = tuple(replace(v) for v in STUDY.variables)
    grid = Grid(tuple(float(i) for i in range(20_000)))
    analysis = replace(ANALYSES["cox_grid_efron"], strata=("ward", "sex"), grid=grid)
    analysis = replace(analysis, terms=("age", "grade", "chol"))

    with pytest.raises(InvalidStudy, match="more than"):
        oracle(study_of(many, analysis), analysis, {})


def test_attrition_of_other_steps_is_refused():
    analysis = Analysis("flow", "counts")
    study = study_of(STUDY.variables, analysis, criteria=[("Adults", "age >= 18")])

    for steps in (
        [("Everyone in the data", 5)],
        [("Everyone in the data", 5), ("Old", 2)],
    ):
        with pytest.raises(ColumnMismatch):
            oracle(study, analysis, {"aa": {}}, attrition={"aa": steps})
    grown = [("Everyone in the data", 5), ("Adults", 6)]
    with pytest.raises(OutOfBounds):
        oracle(study, analysis, {"aa": {}}, attrition={"aa": grown})


def test_groups_that_are_never_at_risk_together_are_not_compared():
    columns = people(5, 200)
    analysis = replace(ANALYSES["logrank"], strata=("site", "ward"))
    columns["ward"] = columns["sex"]

    with pytest.raises(NotEstimable, match="at risk together"):
        oracle(STUDY, analysis, {"aa": columns})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"strata": ("grade",)}, "'site' among the strata"),
        ({"strata": ("site", "sex")}, "'by' not"),
        ({"rho": -1.0}, "rho lies in 0 to"),
    ],
)
def test_a_test_over_sites_is_stratified_by_them(changes, says):
    study = replace(STUDY, analyses=(replace(ANALYSES["logrank"], **changes),))

    with pytest.raises(InvalidStudy, match=says):
        study_from(parse_canonical(study.canonical))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"zph": "km"}, "needs the times of all sites together"),
        ({"zph": "rank"}, "needs the times of all sites together"),
        ({"zph": "sqrt"}, "'identity' or 'log'"),
        ({"strata": ("grade",), "grid": Grid((60.0,))}, "stay inside a site"),
    ],
)
def test_a_test_that_needs_the_times_of_others_is_refused(changes, says):
    study = replace(STUDY, analyses=(replace(ANALYSES["cox_zph"], **changes),))

    with pytest.raises(InvalidStudy, match=says):
        study_from(parse_canonical(study.canonical))


def test_the_logarithm_of_a_time_that_may_be_0_is_refused():
    analysis = replace(ANALYSES["cox_zph"], zph="log")

    with pytest.raises(InvalidStudy, match="has no logarithm"):
        oracle(STUDY, analysis, everywhere(people(1, 200)))


@pytest.mark.parametrize("changes", [{"weights": "share"}, {"variance": "robust"}])
def test_weights_and_robust_variance_are_of_cox_models_within_sites(changes):
    analysis = replace(ANALYSES["cox_grid_efron"], **changes)
    study = replace(STUDY, analyses=(analysis,))

    with pytest.raises(InvalidStudy, match="cox models within sites"):
        study_from(parse_canonical(study.canonical))
