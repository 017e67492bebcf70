"""A study fixes the dictionary that it is written for, and says what it reads of it."""

from dataclasses import replace

import pytest

from hetao.analysis import make_plan
from hetao.canonical import parse_canonical
from hetao.demo.data import study_file
from hetao.dictionary import dictionary
from hetao.errors import InvalidStudy
from hetao.study import Analysis, Level, Variable, fields_read, read_study, study_from
from hetao.study.meaning import EVENTS, ON_INDEX_DAY
from hetao.study.model import SOURCES
from hetao.study.population import (
    TABLES,
    Criterion,
    Event,
    FollowUp,
    Outcome,
    Population,
    Score,
    ScoreItem,
)
from hetao.study.writing import write_study
from support_analysis import ANALYSES
from support_analysis import STUDY as FLAT

OTHER = "sha256:" + "0" * 64
PAIR = (Level("no", 0), Level("yes", 1))


@pytest.fixture(scope="module")
def heart():
    return read_study(study_file("heart"))


def with_line(tmp_path, line):
    text = study_file("heart").read_text("utf-8")
    path = tmp_path / "study.toml"
    path.write_text(text.replace("[study]\n", f"[study]\n{line}\n"), "utf-8")
    return path


def test_reading_fills_in_the_digest_of_the_dictionary_here(heart):
    assert heart.dictionary_digest == dictionary().digest


def test_the_digest_of_the_dictionary_is_part_of_what_is_approved(heart):
    other = replace(heart, dictionary_digest=OTHER)

    assert other.digest != heart.digest
    assert parse_canonical(heart.canonical)["dictionary_digest"] == dictionary().digest


def test_an_author_may_write_the_digest_down(heart, tmp_path):
    path = with_line(tmp_path, f'dictionary_digest = "{dictionary().digest}"')

    assert read_study(path).digest == heart.digest


def test_a_study_file_for_another_dictionary_is_refused(tmp_path):
    path = with_line(tmp_path, f'dictionary_digest = "{OTHER}"')

    with pytest.raises(InvalidStudy, match="another data dictionary"):
        read_study(path)


def test_a_written_study_reads_back_with_its_dictionary(heart, tmp_path):
    write_study(tmp_path / "again.toml", heart)

    assert read_study(tmp_path / "again.toml") == heart


def test_a_study_of_the_past_can_still_be_read_by_a_verifier(heart):
    past = replace(heart, dictionary_digest=OTHER)

    assert study_from(parse_canonical(past.canonical)) == past


@pytest.mark.parametrize("digest", ["", "sha256:0", OTHER.upper()])
def test_a_canonical_study_without_a_digest_is_refused(heart, digest):
    form = parse_canonical(replace(heart, dictionary_digest=digest).canonical)

    with pytest.raises(InvalidStudy, match="dictionary_digest"):
        study_from(form)


def test_a_flat_study_names_no_digest(heart):
    form = parse_canonical(replace(heart, dictionary="flat").canonical)

    with pytest.raises(InvalidStudy, match="dictionary_digest"):
        study_from(form)


def test_an_analysis_reads_the_fields_of_its_variables_and_criteria(heart):
    read = fields_read(heart, heart.analysis("risk"))

    assert "person.gender_concept_id" in read
    assert "person.year_of_birth" in read  # the criterion `age >= 18` and a term
    assert "condition_occurrence.condition_concept_id" in read
    assert "measurement.value_as_number" in read
    assert "death.death_date" not in read


def test_every_field_read_stands_in_the_dictionary():
    for demo in ("heart", "lung"):
        study = read_study(study_file(demo))
        for analysis in study.analyses:
            for path in fields_read(study, analysis):
                assert dictionary().field(path).name


def test_a_criterion_alone_is_read_too(heart):
    bare = replace(heart, criteria=())
    counted = heart.analysis("attrition")

    assert "measurement.value_as_number" in fields_read(heart, counted)
    assert "measurement.value_as_number" not in fields_read(bare, counted)


def test_a_column_of_a_flat_table_is_graded_as_unknown(heart):
    variable = replace(heart.variable("age"), source="column", column="alter")
    flat = replace(
        heart,
        dictionary="flat",
        dictionary_digest="",
        criteria=(),
        variables=(variable, *heart.variables[1:]),
    )

    read = fields_read(flat, flat.analysis("risk"))

    assert "flat.alter" in read
    assert dictionary().level(read) == 5


def test_who_enters_and_how_they_are_followed_is_read_by_every_analysis(heart):
    asked = replace(
        heart,
        population=Population(
            entry=(Event("drug", (2,)),), ages=(18, 90), prior_observation_days=365
        ),
        criteria=(
            Criterion("c", none_of=(Criterion(events=(Event("procedure", (3,)),)),)),
        ),
        follow_up=FollowUp(censor=(Event("device", (4,)),)),
    )

    read = fields_read(asked, asked.analysis("attrition"))

    assert "drug_exposure.drug_exposure_start_date" in read
    assert "person.year_of_birth" in read
    assert "observation_period.observation_period_end_date" in read
    assert "procedure_occurrence.procedure_concept_id" in read
    assert "device_exposure.device_concept_id" in read
    assert "death.death_date" in read
    assert "condition_occurrence.condition_concept_id" not in read


def test_an_outcome_and_a_score_are_read_where_a_variable_is_made_of_them(heart):
    outcome = Outcome("stroke", events=(Event("condition", (1,)),))
    score = Score("frail", items=(ScoreItem("dialysis", 1, events=(Event("visit"),)),))
    variables = (
        Variable("ill", "category", "outcome", levels=PAIR, outcome="stroke"),
        Variable("frailty", "number", "score", bounds=(0, 9), score="frail"),
    )
    asked = replace(
        heart,
        criteria=(),
        outcomes=(outcome,),
        scores=(score,),
        variables=variables,
        population=Population(entry=(Event("drug", (2,)),)),
    )

    of_outcome = fields_read(asked, Analysis("a", "table1", variables=("ill",)))
    of_score = fields_read(asked, Analysis("b", "table1", variables=("frailty",)))

    assert "condition_occurrence.condition_concept_id" in of_outcome
    assert "visit_occurrence.visit_concept_id" not in of_outcome
    assert "visit_occurrence.visit_concept_id" in of_score
    assert "person.gender_concept_id" in of_score
    assert "condition_occurrence.condition_concept_id" not in of_score


def test_every_source_of_a_variable_is_graded_by_the_dictionary():
    known = set(EVENTS) | set(ON_INDEX_DAY) | {"events", "column"}

    assert known >= set(SOURCES)
    assert set(EVENTS) == set(TABLES)
    assert set(EVENTS.values()) <= set(dictionary().tables)


@pytest.mark.parametrize("name", sorted(ANALYSES))
def test_every_variable_that_an_analysis_computes_with_is_read(name):
    """What a weight or a time is read from decides the level of the whole analysis."""
    computed = make_plan(FLAT, ANALYSES[name]).variables

    columns = {f"flat.{one.column}" for one in computed if one.name != "site"}
    assert set(fields_read(FLAT, ANALYSES[name])) == columns
