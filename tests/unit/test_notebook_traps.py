"""Files as they come: what a formula means does not hang on how a site writes it."""

import numpy as np
import pandas as pd
import pytest

import hetao
from hetao.errors import HetaoError, InvalidData, Usage
from hetao.notebook.drafting import Part, draft_study
from hetao.release import Policy
from hetao.study import Minimum
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
