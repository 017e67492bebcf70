"""Files as they come: what a formula means does not hang on how a site writes it."""

import numpy as np
import pandas as pd
import pytest

import hetao
from hetao.cdm import open_flat
from hetao.cohort import build
from hetao.errors import BadFormula, HetaoError, InvalidData, InvalidStudy, Usage
from hetao.notebook.aliases import original, with_aliases
from hetao.notebook.drafting import draft_study
from hetao.notebook.parts import Part
from hetao.release import Policy
from hetao.study import Level, Minimum, Variable
from support_analysis import number, study_of
from support_system import people

OPEN = Policy(Minimum(cell=1, events=1, people=1, share=1.0, leverage=1.0), reason="a")
ROWS = pd.DataFrame(people())
SITES = dict(iter(ROWS.groupby("hospital")))


def drafted(folder, model, formula, sites, criteria=(), **options):
    """Return the study that files of these rows make."""
    parts = []
    for name, rows in sites.items():
        path = folder / f"{name}.csv"
        rows.to_csv(path, index=False)
        parts.append(Part(name.lower(), path))
    return draft_study(model, formula, parts, (), options, criteria).study


def missing_at_one(column):
    """Return sites of which one lacks some values, so that it writes 1.0 for 1."""
    gone = SITES["East"].copy()
    gone[column] = gone[column].where(np.arange(len(gone)) % 9 > 0)
    return {**SITES, "East": gone}


@pytest.mark.parametrize(
    ("model", "formula"),
    [("g_computation", "ill ~ sex | age"), ("indicators", "ill ~ group")],
)
def test_a_share_stays_one_where_a_site_lacks_values(tmp_path, model, formula):
    study = drafted(tmp_path, model, formula, missing_at_one("ill"))

    assert [level.name for level in study.variable("ill").levels] == ["0", "1"]


def test_a_level_written_in_two_ways_beside_text_is_refused(tmp_path):
    stages = (["1", "unknown"] * 200, [1.0, 2.0] * 200, [1, 2] * 200)
    mixed = {
        name: rows.assign(stage=stage)
        for (name, rows), stage in zip(SITES.items(), stages, strict=True)
    }

    with pytest.raises(InvalidData, match="in two ways"):
        drafted(tmp_path, "linear", "bmi ~ C(stage)", mixed)


def test_an_event_may_be_named_and_is_said(tmp_path):
    named = ROWS.assign(end=np.where(ROWS["ill"] == 1, "event", "none"))
    words = {"split_by": "hospital", "strata": "site", "policy": OPEN}

    plain = hetao.cox("Surv(days, ill) ~ age", data=named, **words)
    asked = hetao.cox('Surv(days, end == "event") ~ age', data=named, **words)
    other = hetao.cox("Surv(days, end) ~ age", data=named, **words)
    assert asked.params["age"] == pytest.approx(plain.params["age"], rel=1e-12)
    assert "(event: end = event)" in asked.summary()
    assert "(event: end = none)" in other.summary()
    assert "(event:" not in plain.summary()
    with pytest.raises(HetaoError, match="no level 'dead'"):
        hetao.cox('Surv(days, end == "dead") ~ age', data=named, **words)


def test_a_two_level_outcome_has_the_reference_that_is_written(tmp_path):
    named = {
        name: rows.assign(o=np.where(rows["ill"] == 1, "case", "control"))
        for name, rows in SITES.items()
    }
    formula = 'C(o, Treatment("control")) ~ age'

    study = drafted(tmp_path, "logistic", formula, named)
    assert [level.name for level in study.variable("o").levels] == ["control", "case"]


def test_time_0_is_a_time_of_the_usual_grid(tmp_path):
    early = {
        name: rows.assign(days=rows["days"].where(np.arange(len(rows)) % 10 > 0, 0))
        for name, rows in SITES.items()
    }

    study = drafted(tmp_path, "km", "Surv(days, ill) ~ 1", early)
    assert study.analyses[0].grid.edges[0] == 0


def test_counts_of_0_and_2_are_no_status(tmp_path):
    twice = {name: rows.assign(falls=2 * rows["ill"]) for name, rows in SITES.items()}

    study = drafted(tmp_path, "rates", "Surv(days, falls) ~ sex", twice)
    assert (study.analyses[0].outcome, study.analyses[0].event) == ("falls", "")


@pytest.mark.parametrize(
    ("model", "formula", "options", "says"),
    [
        ("cox", "Surv(days, ill) ~ age*strata(sex)", {}, "interaction with"),
        ("poisson", "visits ~ age:offset(log(days))", {}, "interaction with"),
        ("poisson", "visits ~ age + offset(log(days))", {"offset": "bmi"}, "beside it"),
        ("table1", "sex ~ age", {"by": "group"}, "beside it"),
    ],
)
def test_what_is_said_twice_or_half_is_refused(tmp_path, model, formula, options, says):
    with pytest.raises(HetaoError, match=says):
        drafted(tmp_path, model, formula, SITES, **options)


def test_an_offset_may_be_given_beside_the_formula(tmp_path):
    study = drafted(tmp_path, "poisson", "visits ~ age", SITES, offset="log(days)")

    assert study.analyses[0].offset == "log(days)"


def test_bounds_are_of_the_rows_that_the_criteria_leave(tmp_path):
    criteria = (("days > 100", "Long enough"),)
    study = drafted(tmp_path, "gamma", "days ~ age", SITES, criteria)

    assert study.variable("days").bounds[0] > 100


def test_the_column_of_sites_is_the_site_in_a_score_and_has_a_reference():
    rows = ROWS.assign(arm=ROWS["sex"])
    words = {"data": rows, "split_by": "hospital", "policy": OPEN}

    score = hetao.logistic("arm ~ age + hospital", **words)
    one = hetao.linear("bmi ~ arm", weights=score.weights(), **words)
    other = hetao.linear("bmi ~ arm | age + hospital", **words)
    assert one.params["arm[m]"] == pytest.approx(other.params["arm[m]"], rel=1e-12)
    turned = hetao.linear('bmi ~ C(hospital, Treatment("South"))', **words)
    assert "hospital[south]" not in turned.params.index


def test_a_row_that_says_no_site_is_left_out_and_spaces_make_no_site():
    rows = ROWS.copy()
    rows.loc[::50, "hospital"] = None
    fit = hetao.linear("bmi ~ age", data=rows, split_by="hospital", policy=OPEN)
    assert fit.body["n"] == rows["hospital"].notna().sum()
    rows = ROWS.assign(hospital=ROWS["hospital"].where(ROWS.index % 2 == 0, "North "))
    one = hetao.linear("bmi ~ age", data=rows, split_by="hospital", policy=OPEN)
    assert len(one.body["sites"]) == 3


def test_a_cell_of_nan_in_any_case_is_missing_and_python_words_are_columns(tmp_path):
    rows = SITES["East"].astype({"age": object})
    rows.iloc[0, rows.columns.get_loc("age")] = "NaN"
    sites = {
        name: one.assign(**{"class": one["group"]})
        for name, one in {**SITES, "East": rows}.items()
    }

    study = drafted(tmp_path, "linear", "bmi ~ age + class", sites)
    assert study.variable("age").kind == "number"


def test_over_a_studys_cohort_a_cluster_is_not_dropped_in_silence(tmp_path):
    study = drafted(tmp_path, "linear", "bmi ~ age + sex", SITES)
    cohort = hetao.Cohort(dict.fromkeys(SITES, "x"), study=study, policy=OPEN)

    with pytest.raises(Usage, match="person='who'"):
        hetao.logistic("sex ~ age + cluster(who)", cohort)


# --- names, quotes and numbers ------------------------------------------------------
def test_a_level_in_quotes_is_no_column_of_that_name(tmp_path):
    odd = ROWS.assign(**{"x 1": 1.0}, g=np.where(ROWS["sex"] == "m", "x 1", "y"))
    criteria = (('g != "x 1"', "Others"), ("`x 1` == 1", "Of one"))

    study = drafted(tmp_path, "linear", "bmi ~ age + `x 1`", {"All": odd}, criteria)

    rules = [one.rule for one in study.criteria if one.rule]
    assert rules == ['g != "x 1"', "x_1 == 1"]
    assert study.variable("x_1").column == "x 1"


def test_a_level_keeps_its_words_in_a_result():
    names = {"x_1": "x 1"}

    assert original("g[x_1]:x_1", names) == "g[x_1]:x 1"
    assert with_aliases("`patient's age` + x.y", {"a": "patient's age"}) == "a + x.y"
    assert with_aliases("patient's age", {"a": "patient's age"}) == "a"


@pytest.mark.parametrize(
    ("rule", "error", "says"),
    [
        ("group == 1", InvalidStudy, r'write group == "a"; its levels are "a", "b"'),
        ("arm == 1", InvalidStudy, r'write arm == "1"; its levels are "0", "1"'),
        ('age == "old"', InvalidData, "holds numbers .*without quotes"),
        ("truth == True", BadFormula, 'a level in quotes.*"True"'),
    ],
)
def test_a_rule_that_mixes_text_and_number_says_what_to_write(
    tmp_path, rule, error, says
):
    rows = ROWS.assign(arm=ROWS["ill"], truth=ROWS["ill"].astype(bool))
    criteria = ((rule, "Some"),)

    with pytest.raises(error, match=says):
        drafted(tmp_path, "ipw", "bmi ~ arm | age + group", {"All": rows}, criteria)


def test_a_number_with_an_underscore_is_text_as_in_r_and_pandas(tmp_path):
    rows = ROWS.assign(dose=np.where(ROWS["ill"] == 1, "1_000", "5"))
    mixed = ROWS.assign(bmi=ROWS["bmi"].astype(str).where(ROWS.index > 0, "1_000"))

    study = drafted(tmp_path, "linear", "bmi ~ dose", {"All": rows})

    assert [one.name for one in study.variable("dose").levels] == ["1_000", "5"]
    with pytest.raises(InvalidData, match="too many for a category"):
        drafted(tmp_path, "linear", "bmi ~ age", {"All": mixed})


def test_a_site_takes_no_underscore_for_a_number(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("dose,level\n1_000,1\n5,1_0\n", encoding="utf-8")
    dose = number("dose", 0, 2000)
    level = Variable("level", "category", "column", column="level", levels=(
        Level("one", 1), Level("ten", 10)))  # fmt: skip

    for variable in (dose, level):
        with open_flat(path) as table, pytest.raises(InvalidData, match=variable.name):
            build(study_of([variable], sites=("only",)), table)


@pytest.mark.parametrize(
    ("model", "formula", "options", "column"),
    [
        ("km", "Surv(late, ill) ~ sex", {}, "late"),
        ("rates", "Surv(late, ill) ~ sex", {}, "late"),
        ("rates", "Surv(days, late) ~ sex", {}, "late"),
        ("linear", "bmi ~ age", {"weights": "late"}, "late"),
        ("poisson", "late ~ age", {}, "late"),
    ],
)
def test_a_time_a_count_or_a_weight_below_0_is_named_by_its_column(
    tmp_path, model, formula, options, column
):
    rows = ROWS.assign(late=np.arange(len(ROWS)) - 3.0)

    with pytest.raises(InvalidData, match=f"column '{column}' holds a number below 0"):
        drafted(tmp_path, model, formula, {"All": rows}, **options)
    kept = (("late >= 0", "Later"),)
    assert drafted(tmp_path, model, formula, {"All": rows}, kept, **options)


@pytest.mark.parametrize("name", ["ratio", "caliper"])
def test_nobody_is_matched_to_nobody_in_silence(tmp_path, name):
    formula = "Surv(days, ill) ~ sex | age"

    with pytest.raises(Usage, match=f"{name} 0 matches nobody"):
        drafted(tmp_path, "cox", formula, SITES, **{name: 0})


# --- the treatment before a bar -----------------------------------------------------
@pytest.mark.parametrize("model", ["ipw", "linear"])
def test_the_reference_of_a_treatment_may_be_written_before_the_bar(tmp_path, model):
    asked = 'bmi ~ C(sex, Treatment("m")) | age'

    study = drafted(tmp_path, model, asked, SITES)
    plain = drafted(tmp_path, model, "bmi ~ sex | age", SITES)

    assert [one.name for one in study.variable("sex").levels] == ["m", "f"]
    assert [one.name for one in plain.variable("sex").levels] == ["f", "m"]
    assert study.analyses == plain.analyses


def test_a_result_says_which_arm_is_compared_with_which():
    found = hetao.ipw(
        'bmi ~ C(sex, Treatment("m")) | age',
        data=ROWS,
        split_by="hospital",
        policy=OPEN,
    )

    assert found.body["treatment"] == "sex = f, against m"
    assert "treatment: sex = f, against m" in found.summary()


def test_numbers_that_are_text_at_one_site_are_refused_by_the_site(tmp_path):
    wrong = SITES["East"].assign(bmi=[f"about {n}" for n in range(len(SITES["East"]))])

    with pytest.raises(InvalidData, match="but text at east"):
        drafted(tmp_path, "linear", "age ~ bmi", {**SITES, "East": wrong})


def test_infinity_in_a_file_is_refused_by_the_column(tmp_path):
    rows = SITES["East"].copy()
    rows.loc[rows.index[3], "bmi"] = np.inf

    with pytest.raises(InvalidData, match="'bmi' holds infinity"):
        drafted(tmp_path, "linear", "age ~ bmi", {**SITES, "East": rows})


def test_an_option_that_a_model_does_not_take_is_refused_with_those_it_takes(tmp_path):
    with pytest.raises(Usage, match="takes no cov_type") as refused:
        drafted(tmp_path, "linear", "age ~ bmi", SITES, cov_type="HC0")
    assert "variance" in refused.value.fix
