"""What a study says about people, arms and follow-up is read as meant, or refused."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from hetao.analysis import estimator_for
from hetao.canonical import parse_canonical
from hetao.errors import InvalidStudy
from hetao.study import Event, Value, explain, fields_read, read_study, study_from
from hetao.study.population import EVER
from hetao.study.writing import write_study

GOOD = """
[study]
name = "afib"
title = "Apixaban and warfarin"
question = "Which arm has fewer strokes?"
version = "1"
dictionary = "omop-5.4"

[sites]
members = ["a", "b", "c"]

[concepts.afib]
icd9cm = ["427.3"]
icd10 = ["I48"]
[concepts.apixaban]
atc = ["B01AF02"]
[concepts.warfarin]
atc = ["B01AA03"]
[concepts.stroke]
icd10 = ["I63"]
[concepts.egfr]
loinc = ["33914-3"]

[population]
occurrence = "first"
period = [2015-01-01, "2022-12-31"]
ages = [18, 100]
sexes = ["female", "male"]
months = [11, 3]
prior_observation_days = 365
washout_days = 365
same_day = "apixaban"

[[population.criteria]]
label = "Atrial fibrillation"
events = { condition = ["afib"] }
days = ["ever", 0]
[[population.criteria]]
label = "No stroke in the ward"
events = { condition = ["stroke"], within_visit = [9201] }
days = [-365, -1]
at_most = 0
[[population.criteria]]
label = "One of two"
[[population.criteria.any_of]]
events = { measurement = ["egfr"], at_least = 30, unit = "mL/min" }
at_least = 2
distinct_days = true
[[population.criteria.any_of]]
none_of = [{ events = { procedure = [7] } }]
[[population.criteria]]
label = "Known"
rule = "known(egfr)"

[population.arms.warfarin]
label = "Warfarin"
events = { drug = ["warfarin"] }
[population.arms.apixaban]
events = [{ drug = ["apixaban"] }]

[follow_up]
start_days = 1
days = 1825
exposure = { gap_days = 30, grace_days = 14 }
censor = { procedure = [8] }
switch = true

[outcomes.stroke]
events = [{ condition = ["stroke"] }, { death = ["stroke"] }]
clean_days = 30
competing = { death = [] }

[scores.charlson]
use = "charlson"
[scores.own.items.old]
points = 2
ages = [75, 150]
[scores.own.items.afib]
points = 1
events = { condition = ["afib"] }

[matching]
treated = "apixaban"
exact = ["sex"]
nearest = { age = 2 }
ratio = 4

[variables.arm]
source = "arm"
[variables.age]
source = "age"
bounds = [0, 120]
[variables.band]
kind = "category"
source = "age"
levels = { young = "18-64", old = "65-" }
[variables.era]
kind = "category"
source = "index_day"
levels = { early = "2015-01-01/2018-12-31", late = "2019-01-01/2022-12-31" }
[variables.season]
kind = "category"
source = "month"
levels = { winter = "11-3", summer = "4-10" }
[variables.sex]
source = "sex"
[variables.time]
source = "time_at_risk"
outcome = "stroke"
bounds = [0, 2000]
[variables.event]
source = "outcome"
outcome = "stroke"
[variables.strokes]
source = "outcome_count"
outcome = "stroke"
bounds = [0, 100]
[variables.cci]
source = "score"
score = "charlson"
bounds = [0, 40]
[variables.points]
source = "score"
score = "own"
window_days = ["ever", 0]
bounds = [0, 3]
[variables.egfr]
source = "measurement"
concepts = ["egfr"]
unit = "mL/min"
aggregate = "mean"
bounds = [0, 200]
[variables.pressure_drugs]
source = "drug"
concepts = ["apixaban", 5]
at_least = 2
[variables.ill]
source = "events"
events = [{ condition = ["afib"] }, { drug = ["warfarin"] }]
[variables.high]
source = "measurement"
concepts = ["egfr"]
aggregate = "any"
value = { above = 90, unit = "mL/min" }

[[analyses]]
name = "attrition"
method = "counts"
[[analyses]]
name = "hazard"
method = "cox"
time = "time"
event = "event"
terms = ["arm", "age/10"]
strata = ["site"]
"""


@pytest.fixture
def study_file(tmp_path):
    def write(old="", new="", text=GOOD):
        assert old in text
        path = tmp_path / "study.toml"
        path.write_text(text.replace(old, new, 1) if old else text, encoding="utf-8")
        return path

    return write


def test_every_part_of_the_algebra_is_read(study_file):
    study = read_study(study_file())

    population = study.population
    assert population.period == ("2015-01-01", "2022-12-31")
    assert population.entry_events == (
        Event("drug", ("warfarin",)),
        Event("drug", ("apixaban",)),
    )
    assert study.criteria[0].days == (-EVER, 0)
    assert (study.criteria[1].at_least, study.criteria[1].at_most) == (0, 0)
    (first, _) = study.criteria[2].any_of
    assert first.events[0].value == Value(at_least=30.0, unit="mL/min")
    assert [level.name for level in study.variable("arm").levels] == [
        "warfarin",
        "apixaban",
    ]
    assert study.variable("event").levels[1].name == "yes"
    assert study.matching.nearest[0].caliper == 2.0
    assert study.concept_set("charlson_renal").lists


def test_the_canonical_form_and_the_written_file_are_the_same_study(
    study_file, tmp_path
):
    study = read_study(study_file())
    write_study(tmp_path / "again.toml", study)

    assert study_from(parse_canonical(study.canonical)) == study
    assert read_study(tmp_path / "again.toml").digest == study.digest


def test_the_steps_stand_in_the_order_of_their_carrying_out(study_file):
    assert read_study(study_file()).steps == (
        "Everyone in the data",
        "Index day in the period",
        "Of the age asked for",
        "Of the sex asked for",
        "Index day in the season",
        "Observed for long enough",
        "No entry event in the washout",
        "In one arm alone",
        "Atrial fibrillation",
        "No stroke in the ward",
        "One of two",
        "At risk",
        "Known",
        "Matched",
    )


BAD = {
    "an event of no table": ('{ drug = ["warfarin"] }', "{ drugs = [] }", "one table"),
    "an event of two tables": (
        '{ drug = ["warfarin"] }',
        '{ drug = ["warfarin"], condition = ["afib"] }',
        "one table",
    ),
    "a field no event has": (
        '{ drug = ["warfarin"] }',
        '{ drug = ["warfarin"], dose = 5 }',
        "'dose'",
    ),
    "a concept set that is not there": ('"warfarin"] }\n', '"wafarin"] }\n', "wafarin"),
    "a value of a diagnosis": (
        '{ condition = ["afib"] }\ndays',
        '{ condition = ["afib"], above = 1 }\ndays',
        "has no value",
    ),
    "an occurrence": ('"first"', '"last"', "occurrence"),
    "every occurrence and a model": ('"first"', '"every"', "more than once"),
    "a period that falls": ('"2022-12-31"]', '"2012-12-31"]', "period"),
    "a day that is none": ('"2022-12-31"]', '"2022-02-30"]', "2022-02-30"),
    "a day that engines do not read": ('"2022-12-31"]', '"2022-W52-6"]', "not a day"),
    "a calendar period that falls": (
        '"2015-01-01/2018-12-31"',
        '"2018-12-31/2015-01-01"',
        "ends before it begins",
    ),
    "a label of two lines": ('"Known"', '"Known\\nEveryone 9"', "not shown"),
    "a label that moves the cursor": ('"Known"', '"\\u001b[2J"', "not shown"),
    "a label that reads backwards": ('"Warfarin"', '"a\\u202eb"', "not shown"),
    "a code system": ('icd10 = ["I48"]', 'icd11 = ["BC81"]', "'icd11'"),
    "a value finer than six decimals": ("above = 90", "above = 1e-300", "plain number"),
    "a value that is no number": ("above = 90", "above = nan", "plain number"),
    "a misspelt field": ('"mean"', '"mean"\nbound = [0, 1]', "('egfr')"),
    "ages that fall": ("ages = [18, 100]", "ages = [100, 18]", "ages"),
    "a sex": ('sexes = ["female", "male"]', 'sexes = ["woman"]', "sexes"),
    "a month": ("months = [11, 3]", "months = [0, 3]", "months"),
    "days of washout": ("washout_days = 365", "washout_days = -1", "washout"),
    "an arm on the same day": ('same_day = "apixaban"', 'same_day = "x"', "same_day"),
    "one arm": ("[population.arms.apixaban]", "[concepts.x]", "events"),
    "immortal time": (
        'label = "Warfarin"',
        'label = "Warfarin"\ndays = [0, 30]',
        "immortal time",
    ),
    "a rule before an event": (
        "[[population.criteria]]",
        '[[population.criteria]]\nlabel = "A"\nrule = "age > 1"\n'
        "[[population.criteria]]",
        "come first",
    ),
    "a rule inside": (
        "none_of = [{ events = { procedure = [7] } }]",
        'rule = "age > 1"',
        "inside",
    ),
    "a criterion that asks two things": (
        'rule = "known(egfr)"',
        'rule = "known(egfr)"\nevents = { drug = [7] }',
        "one of rule",
    ),
    "a criterion that asks nothing": (
        "at_least = 2\ndistinct_days = true",
        "at_least = 0",
        "at_least",
    ),
    "a window that falls": ("days = [-365, -1]", "days = [-1, -365]", "window"),
    "two criteria of one label": ('"One of two"', '"Atrial fibrillation"', "label"),
    "follow-up of the unobserved": ("prior_observation_days = 365\n", "", "observed"),
    "follow-up that ends before it starts": ("days = 1825", "days = 0", "start_days"),
    "exposure to a diagnosis": (
        "grace_days = 14 }",
        'grace_days = 14, events = { condition = ["afib"] } }',
        "supply",
    ),
    "an outcome without events": (
        'events = [{ condition = ["stroke"] }, { death = ["stroke"] }]\n',
        "",
        "events",
    ),
    "an unknown outcome": ('outcome = "stroke"', 'outcome = "strok"', "'strok'"),
    "a score that is not shipped": ('use = "charlson"', 'use = "hasbled"', "charlson"),
    "an item that asks nothing": ("ages = [75, 150]\n", "", "asks nothing"),
    "a match on a number": ('exact = ["sex"]', 'exact = ["age"]', "category"),
    "a match within nothing": ("{ age = 2 }", "{ age = 0 }", "caliper"),
    "a treated arm": ('treated = "apixaban"', 'treated = "x"', "two arms"),
    "an age band": ('"65-"', '"old"', "range"),
    "an aggregate": ('aggregate = "mean"', 'aggregate = "median"', "aggregate"),
    "a mean of drugs": (
        'concepts = ["apixaban", 5]\nat_least = 2\n',
        'concepts = ["apixaban"]\naggregate = "mean"\nbounds = [0, 1]\n',
        "mean",
    ),
    "levels that are not the arms": (
        'source = "arm"',
        'source = "arm"\nlevels = { warfarin = 0, x = 1 }',
        "arms",
    ),
    "a list for arms": (
        "[population.arms.warfarin]",
        "[[population.arms]]",
        "table for each",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_carried_out_is_refused_and_the_place_is_named(study_file, case):
    old, new, words = BAD[case]

    with pytest.raises(InvalidStudy) as caught:
        read_study(study_file(old, new))

    assert words in str(caught.value)
    assert "study.toml" in str(caught.value)


def test_criteria_too_deep_are_refused(study_file):
    deep = "{ events = { drug = [1] } }"
    for _ in range(300):
        deep = f"{{ all_of = [{deep}] }}"

    with pytest.raises(InvalidStudy, match="deep"):
        read_study(study_file("{ events = { procedure = [7] } }", deep))


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "AF: ICD-10 diagnoses I48; ICD-9-CM diagnoses 427.3; OMOP concepts 9 "),
        ("zh-Hant", "AF：ICD-10 診斷編碼 I48；ICD-9-CM 診斷編碼 427.3；OMOP 概念 9 "),
        ("zh-Hans", "AF：ICD-10 疾病编码 I48；ICD-9-CM 诊断编码 427.3；OMOP 概念 9 "),
    ],
)
def test_a_label_cannot_hide_which_codes_it_stands_for(study_file, language, said):
    body = (
        'label = "AF"\nomop = [9]\nexclude = { icd10 = ["I48.9"] }\nicd9cm = ["427.3"]'
    )
    study = read_study(study_file('icd9cm = ["427.3"]', body))

    sets = explain(study, language)[-1].sentences

    assert len(sets) == len(study.concepts)
    found = next(one for one in sets if one.startswith(said))
    assert "I48.9" in found


@pytest.mark.parametrize(
    ("language", "named", "goes_on"),
    [
        (
            "en",
            "The own part of gz may be told apart: other ",
            "goes on without a lost",
        ),
        ("zh-Hant", "gz 自身的部分可能被單獨得知", "若有機構失聯"),
        ("zh-Hans", "gz 自身的部分可能被单独得知", "若有机构失联"),
    ],
)
def test_whose_part_may_be_told_apart_is_said_and_else_nothing_of_sites(
    study_file, language, named, goes_on
):
    plain = read_study(study_file())
    moved = replace(plain, told_apart=("gz",), on_lost_site="continue")

    new = [
        one for one in explain(moved, language) if one not in explain(plain, language)
    ]

    ((first, second),) = (section.sentences for section in new)
    assert named in first
    assert goes_on in second


def test_of_a_long_list_the_first_codes_and_their_number_are_said(study_file):
    codes = ", ".join(f'"X{number:02}"' for number in range(60))
    study = read_study(study_file('icd10 = ["I63"]', f"icd10 = [{codes}]"))

    sentences = explain(study)[-1].sentences

    found = next(one for one in sentences if one.startswith("stroke: "))
    assert found.endswith("X48, X49 … (60 codes in all).")


def test_a_variable_names_its_outcome_and_an_exposure_its_drugs(study_file):
    exposure = 'grace_days = 14, events = { drug = ["apixaban"] } }'
    study = read_study(study_file("grace_days = 14 }", exposure))

    said = " ".join(one for section in explain(study) for one in section.sentences)

    assert "event: whether the outcome stroke came while at risk." in said
    assert "the end of the exposure to a drug record of apixaban, which" in said


def test_nobody_can_be_matched_with_themselves(study_file):
    counts_alone = GOOD[: GOOD.index('[[analyses]]\nname = "hazard"')]

    with pytest.raises(InvalidStudy, match="matched with themselves"):
        read_study(study_file('"first"', '"every"', text=counts_alone))


def test_a_received_study_is_held_to_the_same_depth(study_file):
    body = parse_canonical(read_study(study_file()).canonical)
    deep = {"events": [{"table": "drug", "concepts": [1]}]}
    for _ in range(6):
        deep = {"none_of": [deep]}
    body["criteria"][0] = {**deep, "label": "Deep"}

    with pytest.raises(InvalidStudy, match="more than 6 deep"):
        study_from(body)


def test_a_study_of_too_many_events_is_refused(study_file):
    body = parse_canonical(read_study(study_file()).canonical)
    event = {"table": "drug", "concepts": [1]}
    body["follow_up"]["censor"] = [event] * 20_001

    with pytest.raises(InvalidStudy, match="more than 20000 events"):
        study_from(body)


def test_the_guides_example_is_a_study_that_can_be_planned(tmp_path):
    guide = Path(__file__).resolve().parents[2] / "docs" / "guide" / "cohorts.md"
    (example,) = re.findall(r"```toml\n(.*?)```", guide.read_text("utf-8"), re.DOTALL)
    (tmp_path / "study.toml").write_text(example, encoding="utf-8")

    study = read_study(tmp_path / "study.toml")

    for analysis in study.analyses:
        assert estimator_for(study, analysis).declare(1)


RUN = "{ first = 2023-01-15, last = 2024-02-01, months = 3 }"
DATED = """
[study]
name = "control"
title = "Control of blood sugar"
question = "How many are controlled?"
version = "1"
dictionary = "omop-5.4"
[population]
occurrence = "every"
dates = RUN
[variables.age]
source = "age"
unit = "a"
bounds = [0, 120]
[[analyses]]
name = "n"
method = "counts"
[sites]
members = ["a", "b"]
""".replace("RUN", RUN)


def test_dates_are_index_days_of_everybody_at_equal_distances(study_file, tmp_path):
    study = read_study(study_file(text=DATED))

    days = ("2023-01-15", "2023-04-15", "2023-07-15", "2023-10-15", "2024-01-15")
    assert study.population.dates == days
    assert study.population.entry_events == ()
    assert "observation_period.observation_period_end_date" in fields_read(
        study, study.analyses[0]
    )
    write_study(tmp_path / "again.toml", study)
    assert read_study(tmp_path / "again.toml").digest == study.digest
    said = [line for part in explain(study, "zh-Hant") for line in part.sentences]
    assert any("2023-10-15" in line and "觀察期" in line for line in said)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("2023-01-15", "2023-01-31", "up to the 28th"),
        ("months = 3", "months = 0", "whole months"),
        ("months = 3", "years = 3", "'years'"),
        ("last = 2024-02-01", "last = 2022-02-01", "a first and a last"),
        (RUN, "[2023-02-01, 2023-01-01]", "rise"),
        ('"every"', '"first"', 'occurrence = "every"'),
        ('"every"', '"every"\nwashout_days = 3', "no event lets"),
        ('"every"', '"every"\nentry = { visit = [] }', "no event lets"),
    ],
)
def test_dates_that_are_none_are_refused(study_file, old, new, says):
    with pytest.raises(InvalidStudy, match=says):
        read_study(study_file(old, new, text=DATED))
