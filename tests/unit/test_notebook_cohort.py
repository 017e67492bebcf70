"""A cohort is a handle: its people are asked about, and no row of theirs is held."""

import shutil
from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd
import pytest

import hetao
from hetao.cli import main
from hetao.errors import HetaoError, InvalidStudy, Usage
from hetao.release import Policy
from hetao.study import Minimum, read_study
from support_system import people

OPEN = Policy(Minimum(cell=1, events=1, people=1, share=1.0, leverage=1.0), reason="a")
ROWS = pd.DataFrame(people())
WHO = """
[variables.who]
kind = "key"
source = "person"
[variables.term]
kind = "category"
source = "index_day"
[variables.term.levels]
a = "2018-01-01/2018-03-31"
b = "2018-04-01/2018-09-30"
c = "2018-10-01/2019-03-31"
"""
STUDY = """
[study]
name = "first"
title = "First"
question = "Who?"
version = "1"
dictionary = "omop-5.4"
[variables.age]
source = "age"
unit = "a"
bounds = [0, 120]
[variables.sex]
source = "sex"
[population]
criteria = [{ label = "Adults", rule = "age >= 18" }]
[[analyses]]
name = "n"
method = "counts"
[sites]
members = ["harbour", "lion-rock", "lychee", "mangrove"]
"""


@pytest.fixture(scope="module")
def rows():
    return hetao.Cohort(data=ROWS, split_by="hospital", policy=OPEN)


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory):
    """Return sites with tables of the common data model, and a study's file."""
    folder = tmp_path_factory.mktemp("hospitals")
    words = ["synth", "--sites", "gba", "--persons", "2000", "--as", "cdm", "--out"]
    assert main([*words, str(folder / "made")]) == 0
    study = folder / "study.toml"
    study.write_text(STUDY, "utf-8")
    made = sorted((folder / "made").glob("*/site.toml"))
    yield {path.parent.name: path.parent for path in made}, study
    shutil.rmtree(folder)


def test_a_rule_narrows_a_cohort_and_the_wider_one_stays(rows):
    older = rows.where("age >= 60", "Sixty and over")

    steps = older.attrition().frame()
    assert list(steps["n"]) == [len(ROWS), (ROWS["age"] >= 60).sum()]
    assert list(steps.index)[1] == "Sixty and over"
    women = older.where('sex == "f"')
    both = ROWS[(ROWS["age"] >= 60) & (ROWS["sex"] == "f")]
    mean = hetao.linear("bmi ~ 1", women).params["(Intercept)"]
    assert mean == pytest.approx(both["bmi"].mean(), rel=1e-12)
    assert rows.criteria == ()


def test_a_cohorts_rows_are_not_shown_where_it_is_named(rows):
    shown = repr(rows.where("age >= 60"))

    assert shown == "Cohort at each hospital\n  age >= 60"


def test_the_flow_of_people_is_a_picture(rows, tmp_path):
    flow = rows.where("age >= 60", "六十歲").attrition().flow()

    assert "六十歲" in flow.svg
    assert f"{(ROWS['age'] < 60).sum()}" in flow.svg
    flow.save(tmp_path / "flow.png")
    assert (tmp_path / "flow.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(Usage, match="no steps"):
        hetao.linear("bmi ~ age", rows).flow()


def test_a_studys_cohort_is_asked_at_hospitals_curated_records(hospitals):
    sites, study = hospitals
    cohort = hetao.Cohort(sites, study=study, policy=OPEN)

    steps = cohort.where('sex == "female"', "Women").attrition().frame()
    assert list(steps.index) == ["Everyone in the data", "Adults", "Women"]
    table = hetao.table1("sex ~ age", cohort).frame()
    people = table[table["variable"] == ""].set_index("group")["count"]
    assert people["female"] == steps["n"]["Women"]
    assert people.sum() == steps["n"]["Adults"]
    turned = hetao.linear('age ~ C(sex, Treatment("male"))', cohort)
    assert list(turned.params.index) == ["(Intercept)", "sex[female]"]
    difference = table[table["variable"] == "age"].set_index("group")["mean"]
    gap = difference["female"] - difference["male"]
    assert turned.params["sex[female]"] == pytest.approx(gap, rel=1e-9)


def test_an_indicator_is_asked_on_dates_of_everybody_observed(hospitals, tmp_path):
    sites, study = hospitals
    days = ["2018-01-01", "2018-07-01", "2019-01-01"]
    text = study.read_text("utf-8").replace(
        "[population]\n", f'[population]\noccurrence = "every"\ndates = {days}\n'
    )
    dated = tmp_path / "dated.toml"
    dated.write_text(text + WHO, "utf-8")
    cohort = hetao.Cohort(sites, study=dated, policy=OPEN)

    found = hetao.indicators("sex ~ term", cohort, person="who", most_rows=3)
    frame = found.frame()
    expected = [observed_adults(sites.values(), day) for day in days]
    assert list(zip(frame["n"], frame["events"], strict=True)) == expected
    assert found.body["n"] < frame["n"].sum()  # most are seen on several of them
    assert found.body["trend"]["se"] > 0
    with pytest.raises(HetaoError, match="more than once"):
        hetao.table1("sex ~ age", cohort)


def observed_adults(folders, day):
    """Return the adults observed on a day at all sites, and how many are male."""
    query = f"""SELECT count(DISTINCT p.person_id), count(DISTINCT p.person_id)
        FILTER (p.gender_concept_id = 8507)
        FROM person p JOIN observation_period o ON o.person_id = p.person_id
        WHERE DATE '{day}' BETWEEN o.observation_period_start_date
        AND o.observation_period_end_date
        AND year(DATE '{day}') - p.year_of_birth >= 18
        AND p.gender_concept_id IN (8507, 8532)"""  # noqa: S608
    counts = []
    for folder in folders:
        with duckdb.connect(str(folder / "cdm.duckdb"), read_only=True) as tables:
            counts.append(tables.execute(query).fetchone())
    return tuple(map(sum, zip(*counts, strict=True)))


def test_what_a_studys_cohort_cannot_answer_is_refused_by_name(hospitals):
    sites, study = hospitals
    cohort = hetao.Cohort(sites, study=read_study(study), policy=OPEN)

    with pytest.raises(InvalidStudy, match="weight"):
        hetao.linear("weight ~ age", cohort)
    with pytest.raises(HetaoError, match="no level 'other'"):
        hetao.linear('age ~ C(sex, Treatment("other"))', cohort)
    with pytest.raises(Usage, match="knows its sites"):
        hetao.linear("age ~ sex", cohort, policy=OPEN)
    with pytest.raises(Usage, match="not of a DataFrame"):
        hetao.linear("age ~ sex", hetao.Cohort({"a": ROWS}, study=study))


def test_a_propensity_model_weights_another_which_fits_the_score_again(rows):
    treated = ROWS.assign(arm=ROWS["sex"], stage=np.arange(len(ROWS)) % 3)
    cohort = replace(rows, data=treated)
    score = hetao.logistic("arm ~ age + C(stage)", cohort)

    weights = score.weights("overlap")
    weighted = hetao.linear("bmi ~ arm", cohort, weights=weights)
    said = {"treatment": "arm", "score": "age + C(stage)", "estimand": "ATO"}
    again = hetao.linear("bmi ~ arm", cohort, **said)
    assert weighted.frame().equals(again.frame())
    assert weights.estimand == "ATO"
    assert weighted.body["score"][1]["name"] == "age"
    titles = " ".join(picture.title for picture in weighted.pictures())
    assert "balance" in titles
    with pytest.raises(Usage, match="overlap"):
        score.weights("ATX")
    with pytest.raises(Usage, match="nothing more"):
        hetao.linear("bmi ~ age", cohort).weights()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({}, "give sites"),
        ({"data": ROWS}, "split_by"),
        ({"sites": {"a": ROWS}, "data": ROWS}, "give sites"),
        ({"data": ROWS, "split_by": "hospital", "study": "x.toml"}, "not in one table"),
    ],
)
def test_a_cohort_that_says_not_where_its_rows_lie_is_refused(words, says):
    with pytest.raises(Usage, match=says):
        hetao.Cohort(**words)
