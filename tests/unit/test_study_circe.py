"""A study file that names OHDSI's definitions is read as they mean, or refused."""

import hashlib
import json

import pytest

from hetao.canonical import parse_canonical
from hetao.errors import HetaoError, InvalidData, InvalidStudy, NotExpressible
from hetao.study import Event, explain, read_study, study_from
from hetao.study.writing import write_study
from support_circe import (
    AFIB,
    STROKE,
    WARFARIN,
    by_end,
    counted,
    entry,
    everyone,
    first,
    group,
    rules,
)

HEAD = """
[study]
name = "a"
title = "A"
question = "Who?"
version = "1"
dictionary = "omop-5.4"
[sites]
members = ["a", "b", "c"]
[variables.age]
source = "age"
bounds = [0, 150]
[[analyses]]
name = "n"
method = "counts"
"""
PLAIN = '[population]\ncirce = "afib.json"\n'
NAMED = everyone(
    sets={0: [AFIB], 1: [STROKE]},
    InclusionRules=[
        {
            "name": " No stroke\n so far ",
            "expression": group(counted(entry(codes=1), None, -1, 0, 0)),
        }
    ],
)
NAMED["ConceptSets"][0]["name"] = "心房顫動"


def first_of(concept, **more):
    sets = {"sets": {0: [concept]}}
    return first(entry("DrugExposure", 0, First=True), **sets | more)


def write(folder, text, **files):
    """Write a study file and JSON files beside it; return the study file's path."""
    for name, definition in files.items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(definition, ensure_ascii=False), encoding="utf-8")
    path = folder / "study.toml"
    path.write_text(HEAD + text, encoding="utf-8")
    return path


def test_the_study_holds_the_population_itself_and_says_where_it_came_from(tmp_path):
    path = write(tmp_path, PLAIN, afib=NAMED)
    data = (tmp_path / "afib.json").read_bytes()

    study = read_study(path)

    (rule,) = study.criteria
    (made,) = study.definitions
    assert study.population.entry == (
        Event("condition", ("circe_1",), None, (), "standard"),
    )
    assert study.population.prior_observation_days == 0
    assert (rule.label, rule.all_of[0].at_most) == ("No stroke so far", 0)
    assert [one.omop for one in study.concepts] == [(AFIB,), (STROKE,)]
    assert study.concept_set("circe_1").label == "心房顫動"
    assert made.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert (made.part, made.file) == ("population", "afib.json")
    assert made.concepts == ("circe_1", "circe_2")


def test_no_site_needs_the_file(tmp_path):
    study = read_study(write(tmp_path, PLAIN, afib=NAMED))
    (tmp_path / "afib.json").unlink()
    again = tmp_path / "again.toml"

    received = study_from(parse_canonical(study.canonical))
    write_study(again, study)

    assert received == study
    assert "circe =" not in again.read_text("utf-8")
    assert read_study(again).digest == study.digest


def test_another_definition_is_another_study(tmp_path):
    one = read_study(write(tmp_path, PLAIN, afib=NAMED))
    other = read_study(write(tmp_path, PLAIN, afib={**NAMED, "cdmVersionRange": ">5"}))

    assert one.population == other.population
    assert one.digest != other.digest


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "Who enters, and on which day, was taken from afib.json"),
        ("zh-Hant", "納入規則及指標日取自 afib.json"),
        ("zh-Hans", "纳入规则及索引日取自 afib.json"),
    ],
)
def test_sentences_say_the_population_and_its_origin(tmp_path, language, said):
    study = read_study(write(tmp_path, PLAIN, afib=NAMED))

    text = "\n".join(s for part in explain(study, language) for s in part.sentences)

    assert said in text
    assert study.definitions[0].digest in text
    assert "心房顫動" in text
    assert "No stroke so far" in text


def test_what_stands_beside_the_file_joins_it(tmp_path):
    text = PLAIN + (
        'period = ["2015-01-01", "2020-12-31"]\nwashout_days = 30\n'
        'criteria = [{ label = "Grown up", rule = "age >= 18" }]\n'
    )

    study = read_study(write(tmp_path, text, afib=NAMED))

    assert study.population.period == ("2015-01-01", "2020-12-31")
    assert study.population.washout_days == 30
    assert [one.label for one in study.criteria] == ["No stroke so far", "Grown up"]


@pytest.mark.parametrize(
    "beside",
    [
        "entry = { condition = [1] }",
        "entry_concepts = [1]",
        "prior_observation_days = 365",
        "ages = [18, 99]",
        'sexes = ["male"]',
    ],
)
def test_what_the_file_decides_is_not_said_again(tmp_path, beside):
    asks = entry(Age={"Value": 40, "Op": "gte"}, Gender=[{"CONCEPT_ID": 8507}])
    path = write(tmp_path, PLAIN + beside, afib=everyone(asks))

    with pytest.raises(InvalidStudy, match=r"stands beside afib\.json") as error:
        read_study(path)

    assert beside.partition(" ")[0] in error.value.what


@pytest.mark.parametrize(
    ("definition", "said", "read"),
    [
        (everyone(), "", "any"),
        (everyone(), "every", "every"),
        (everyone(), "any", "any"),
        (everyone(), "first", None),
        (first(), "", "first"),
        (first(), "first", "first"),
        (first(), "any", None),
        (first(entry()), "", "eligible"),
    ],
)
def test_of_every_entry_event_the_first_is_taken_unless_the_study_says_otherwise(
    tmp_path, definition, said, read
):
    beside = f'occurrence = "{said}"' if said else ""
    path = write(tmp_path, PLAIN + beside, afib=definition)

    if read is None:
        with pytest.raises(InvalidStudy, match=r"by afib\.json the occurrence is"):
            read_study(path)
    else:
        assert read_study(path).population.occurrence == read


# --- arms and outcomes --------------------------------------------------------------
ARMS = """
[population]
washout_days = 365
[population.arms.warfarin]
circe = "old.json"
[population.arms.apixaban]
label = "Apixaban"
circe = "new.json"
"""


def test_definitions_of_arms_give_their_events_and_what_they_share(tmp_path):
    shared = {
        "window": (365, 0),
        "InclusionRules": rules(group(counted(entry(codes=1), None, 0))),
        "sets": {0: [WARFARIN], 1: [AFIB]},
    }
    other = {**shared, "sets": {0: [WARFARIN + 1], 1: [AFIB]}}
    path = write(
        tmp_path, ARMS, old=first_of(WARFARIN, **shared), new=first_of(0, **other)
    )

    study = read_study(path)

    old, new = study.population.arms
    assert (old.events[0].concepts, new.events[0].concepts) == (
        ("circe_1",),
        ("circe_3",),
    )
    assert study.population.entry == ()
    assert study.population.occurrence == "first"
    assert study.population.prior_observation_days == 365
    assert [one.label for one in study.criteria] == ["rule 0"]
    assert [one.omop for one in study.concepts] == [
        (WARFARIN,),
        (AFIB,),
        (WARFARIN + 1,),
    ]
    assert [one.part for one in study.definitions] == ["arms.warfarin", "arms.apixaban"]


def test_definitions_of_arms_that_ask_something_else_of_people_are_refused(tmp_path):
    path = write(
        tmp_path,
        ARMS,
        old=first_of(WARFARIN),
        new=first_of(WARFARIN + 1, window=(365, 0)),
    )

    with pytest.raises(NotExpressible, match="prior_observation_days") as error:
        read_study(path)

    assert "new.json asks something else than old.json" in error.value.what


def test_population_and_arms_do_not_both_name_one(tmp_path):
    text = ARMS.replace("washout_days = 365", 'circe = "old.json"')
    path = write(tmp_path, text, old=first_of(1), new=first_of(2))

    with pytest.raises(InvalidStudy, match="both name a definition"):
        read_study(path)


OUTCOME = """
[population]
circe = "afib.json"
[follow_up]
days = 365
[outcomes.stroke]
label = "Stroke"
clean_days = 30
circe = "stroke.json"
"""


def test_an_outcome_is_any_of_its_definitions_events(tmp_path):
    stroke = everyone(sets={0: [STROKE]}, EndStrategy=by_end(7), pad=30)

    study = read_study(write(tmp_path, OUTCOME, afib=NAMED, stroke=stroke))

    (outcome,) = study.outcomes
    assert [study.concept_set(c).omop for c in outcome.events[0].concepts] == [
        (STROKE,)
    ]
    assert (outcome.label, outcome.clean_days) == ("Stroke", 30)
    assert [one.part for one in study.definitions] == ["population", "outcomes.stroke"]
    (said,) = [p for p in explain(study) if p.title.startswith("Taken from")]
    assert (
        "events of the outcome Stroke were taken from stroke.json" in said.sentences[1]
    )


@pytest.mark.parametrize(
    ("definition", "named"),
    [
        (first(), "occurrence"),
        (first(entry()), "occurrence"),
        (everyone(window=(30, 0)), "prior_observation_days"),
        (everyone(entry(Gender=[{"CONCEPT_ID": 8507}])), "sexes"),
        (NAMED, "criteria"),
    ],
)
def test_an_outcome_that_asks_more_than_events_is_refused(tmp_path, definition, named):
    path = write(tmp_path, OUTCOME, afib=NAMED, stroke=definition)

    with pytest.raises(NotExpressible, match=rf"stroke\.json asks more: {named}"):
        read_study(path)


def test_events_do_not_stand_beside_the_file(tmp_path):
    text = OUTCOME + "events = { condition = [1] }"
    path = write(tmp_path, text, afib=NAMED, stroke=everyone())

    with pytest.raises(InvalidStudy, match=r"events stands beside stroke\.json"):
        read_study(path)


# --- what is refused ------------------------------------------------------------------
def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(
        InvalidData, match=r"\[population\] afib\.json: .*cannot be read"
    ):
        read_study(write(tmp_path, PLAIN))


@pytest.mark.parametrize("data", ["", "{", "[]", "3", '"x"', "\x00", "[" * 100_000])
def test_a_file_that_is_no_definition_is_refused(tmp_path, data):
    path = write(tmp_path, PLAIN)
    (tmp_path / "afib.json").write_text(data, encoding="utf-8")

    with pytest.raises(InvalidStudy, match=r"study\.toml \[population\] afib\.json:"):
        read_study(path)


@pytest.mark.parametrize(
    "definition",
    [
        {},
        {"PrimaryCriteria": None},
        first({}),
        {
            **first(),
            "PrimaryCriteria": {**first()["PrimaryCriteria"], "CriteriaList": []},
        },
        first(entry(Age={"Value": float("inf"), "Op": "gte"})),
        first(entry(OccurrenceStartDate={"Value": "x", "Op": "gt"})),
        {**first(), "EndStrategy": 3},
        first(limit="Second"),
        first(sets={0: [AFIB + 0.5]}),
    ],
)
def test_a_definition_of_another_shape_is_refused(tmp_path, definition):
    path = write(tmp_path, PLAIN, afib=definition)

    with pytest.raises(InvalidStudy, match="not of the shape that OHDSI describes"):
        read_study(path)


@pytest.mark.parametrize(
    ("definition", "feature"),
    [
        (first(entry("DrugEra")), "DrugEra as entry"),
        (first(entry(CorrelatedCriteria=group())), "CorrelatedCriteria of Condition"),
        (everyone(CensorWindow={"StartDate": "2011-01-01"}), "CensorWindow"),
        (everyone(EndStrategy=by_end(-1)), "an end before the first day"),
    ],
)
def test_what_a_study_cannot_say_is_named_with_the_remedy(
    tmp_path, definition, feature
):
    path = write(tmp_path, PLAIN, afib=definition)

    with pytest.raises(NotExpressible, match=feature) as error:
        read_study(path)

    assert error.value.what.startswith("study.toml [population] afib.json: ")
    assert "hetao cohort build --circe" in error.value.fix


@pytest.mark.parametrize(
    "name", ["../afib.json", "/afib.json", "a\\b.json", "..", "", "a\u202eb.json"]
)
def test_a_file_stands_beside_the_study(tmp_path, name):
    folder = tmp_path / "inside"
    folder.mkdir()
    write(tmp_path, "", afib=NAMED)
    path = write(folder, f"[population]\ncirce = {json.dumps(name)}\n")

    with pytest.raises(InvalidStudy, match="named by a file beside the study"):
        read_study(path)


@pytest.mark.parametrize("value", ["3", "true", '["afib.json"]', "{ a = 1 }"])
def test_a_file_is_named_in_words(tmp_path, value):
    with pytest.raises(InvalidStudy, match="named by a file beside the study"):
        read_study(write(tmp_path, f"[population]\ncirce = {value}\n", afib=NAMED))


def test_a_name_that_a_screen_would_not_show_as_it_is_is_refused(tmp_path):
    hidden = everyone()
    hidden["ConceptSets"][0]["name"] = "afib\u202e"

    with pytest.raises(InvalidStudy, match="not shown"):
        read_study(write(tmp_path, PLAIN, afib=hidden))


def test_concept_sets_of_the_author_keep_their_names(tmp_path):
    text = PLAIN + "[concepts.circe_1]\nomop = [7]\n"

    study = read_study(write(tmp_path, text, afib=NAMED))

    assert [one.name for one in study.concepts] == ["circe_1", "circe_2", "circe_3"]
    assert study.concept_set("circe_1").omop == (7,)


DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    "spoilt",
    [
        {"part": "arms.nobody"},
        {"part": "else"},
        {"file": "../x"},
        {"digest": "sha256:0"},
        {"concepts": ["nothing"]},
        {"more": 1},
    ],
)
def test_an_origin_that_cannot_be_is_refused(tmp_path, spoilt):
    said = {"part": "population", "file": "x.json", "digest": DIGEST} | spoilt
    lines = [f"{key} = {json.dumps(value)}" for key, value in said.items()]

    with pytest.raises(HetaoError, match="definitions"):
        read_study(write(tmp_path, "[[definitions]]\n" + "\n".join(lines)))


def test_a_part_comes_from_one_file(tmp_path):
    said = f'[[definitions]]\npart = "population"\nfile = "x"\ndigest = "{DIGEST}"\n'

    with pytest.raises(InvalidStudy, match="a part stands twice"):
        read_study(write(tmp_path, said + PLAIN, afib=NAMED))
