"""A cohort takes exactly the rows that the study describes, the same at every run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hetao.cdm import CuratedTables, open_tables
from hetao.cdm.engine_duckdb import connect
from hetao.cohort import build
from hetao.dictionary import ddl, dictionary
from hetao.errors import InvalidData, InvalidStudy
from hetao.study import Criterion, Event, Level, Population, Study, Variable

YES_NO = (Level("no", 4188540), Level("yes", 4188539))
PAIR = (Level("no", 0), Level("yes", 1))
NUMBER = Variable(
    "x", "number", "measurement", (7,), unit="mmol/L", bounds=(0.0, 100.0)
)


def study(*variables: Variable, **fields) -> Study:
    whole = Study("s", "", "", "1", "omop-5.4", ("a",), variables, ())
    whole = replace(whole, dictionary_digest=dictionary().digest)
    return replace(whole, **fields)


@pytest.fixture
def tables(tmp_path):
    """Three people: 10 with two visits, 20 with one, 30 with none."""
    path = tmp_path / "site.duckdb"
    make(
        path,
        "INSERT INTO concept BY NAME SELECT unnest([8753, 8876]) AS concept_id, "
        "'u' AS concept_name, 'Unit' AS domain_id, 'UCUM' AS vocabulary_id, "
        "'Unit' AS concept_class_id, unnest(['mmol/L', 'mm[Hg]']) AS concept_code, "
        "'1970-01-01' AS valid_start_date, '2099-12-31' AS valid_end_date",
        *[person(*row) for row in ((30, 8507), (20, 8532), (10, 0))],
        *[visit(*row) for row in ((1, 10, 9202), (2, 10, 9201), (3, 20, 9202))],
    )
    return path


def make(path: Path, *statements: str) -> None:
    connection = connect(path)
    known = connection.execute("SHOW TABLES").fetchall()
    if not known:
        for table in dictionary().tables.values():
            connection.execute(ddl(table, "duckdb"))
        connection.execute(
            "CREATE TABLE snapshot AS SELECT 'omop-5.4' AS dictionary, 'd' AS digest, "
            f"'{dictionary().digest}' AS dictionary_digest"
        )
    for statement in statements:
        connection.execute(statement)
    connection.close()


def person(number: int, gender: int) -> str:
    return (
        "INSERT INTO person BY NAME SELECT "
        f"{number} AS person_id, {gender} AS gender_concept_id, "
        "1950 AS year_of_birth, 0 AS race_concept_id, 0 AS ethnicity_concept_id"
    )


def visit(number: int, whose: int, concept: int) -> str:
    day = f"DATE '2020-01-01' + {number * 10}"
    return (
        f"INSERT INTO visit_occurrence BY NAME SELECT {number} AS visit_occurrence_id, "
        f"{whose} AS person_id, {concept} AS visit_concept_id, {day} AS "
        f"visit_start_date, {day} AS visit_end_date, 0 AS visit_type_concept_id"
    )


def measured(number: int, whose: int, day: str, value: object, unit=8753) -> str:
    return (
        f"INSERT INTO measurement BY NAME SELECT {number} AS measurement_id, "
        f"{whose} AS person_id, 7 AS measurement_concept_id, DATE '{day}' AS "
        f"measurement_date, 0 AS measurement_type_concept_id, {value} AS "
        f"value_as_number, {unit} AS unit_concept_id"
    )


def observed(number: int, whose: int, day: str, concept: int) -> str:
    return (
        f"INSERT INTO observation BY NAME SELECT {number} AS observation_id, "
        f"{whose} AS person_id, 8 AS observation_concept_id, DATE '{day}' AS "
        "observation_date, 0 AS observation_type_concept_id, "
        f"{concept} AS value_as_concept_id"
    )


def diagnosed(number: int, whose: int, day: str, concept: int) -> str:
    return (
        "INSERT INTO condition_occurrence BY NAME SELECT "
        f"{number} AS condition_occurrence_id, {whose} AS person_id, {concept} AS "
        f"condition_concept_id, DATE '{day}' AS condition_start_date, "
        "0 AS condition_type_concept_id"
    )


def prescribed(number: int, whose: int, day: str, concept: int) -> str:
    return (
        f"INSERT INTO drug_exposure BY NAME SELECT {number} AS drug_exposure_id, "
        f"{whose} AS person_id, {concept} AS drug_concept_id, DATE '{day}' AS "
        f"drug_exposure_start_date, DATE '{day}' AS drug_exposure_end_date, "
        "0 AS drug_type_concept_id"
    )


def seen(whose: int, start: str, end: str) -> str:
    return (
        "INSERT INTO observation_period SELECT coalesce(max(observation_period_id), 0)"  # noqa: S608
        f" + 1, {whose}, DATE '{start}', DATE '{end}', 0 FROM observation_period"
    )


def died(whose: int, day: str) -> str:
    return (
        f"INSERT INTO death BY NAME SELECT {whose} AS person_id, "
        f"DATE '{day}' AS death_date"
    )


def columns(path: Path, asked: Study):
    with open_tables(path) as tables:
        return build(asked, tables).columns


def test_people_stand_in_order_of_their_pseudonym(tables):
    sex = Variable(
        "sex", "category", "sex", levels=(Level("f", 8532), Level("m", 8507))
    )

    with open_tables(tables) as opened:
        cohort = build(study(sex), opened)

    assert cohort.people == 2
    assert cohort.attrition == (("Everyone in the data", 2),)
    assert cohort.snapshot == "d"
    assert cohort.columns["sex"].tolist() == [-1, 0]
    assert cohort.columns["sex"].dtype == np.int64


def test_the_index_day_is_the_first_visit_of_an_entry_concept(tables):
    make(tables, measured(1, 10, "2020-01-21", 5.0))
    day = replace(NUMBER, window_days=(0, 0))

    assert np.isnan(columns(tables, study(day))["x"][0])
    asked = study(day, population=Population((Event("visit", (9201,)),)))
    assert columns(tables, asked)["x"].tolist() == [5.0]


def test_the_latest_row_in_the_window_counts_and_ties_are_settled_by_id(tables):
    make(
        tables,
        measured(4, 10, "2020-01-11", 4.0),
        measured(3, 10, "2020-01-11", 3.0),
        measured(2, 10, "2020-01-10", 2.0),
        measured(5, 10, "2020-01-11", "NULL"),
        measured(6, 10, "2020-01-12", 6.0),
        measured(7, 10, "2018-01-01", 7.0),
    )

    found = columns(tables, study(NUMBER))["x"]

    assert found[0] == 4.0
    assert np.isnan(found[1])


@pytest.mark.parametrize(
    ("unit", "said"), [(8876, "mm\\[Hg\\]"), (0, "without a unit")]
)
def test_a_value_in_another_unit_is_refused(tables, unit, said):
    make(tables, measured(1, 10, "2020-01-11", 4.0, unit))

    with pytest.raises(InvalidData, match=said):
        columns(tables, study(NUMBER))


def test_a_value_beyond_the_bounds_is_refused_without_being_told(tables):
    make(tables, measured(1, 10, "2020-01-11", 1234.5))

    with pytest.raises(InvalidData, match="'x'") as caught:
        columns(tables, study(NUMBER))

    assert "1234" not in str(caught.value)


def test_levels_follow_the_concepts(tables):
    smoker = Variable("s", "category", "observation", (8,), levels=YES_NO)
    make(
        tables,
        observed(1, 10, "2020-01-11", 4188540),
        observed(2, 10, "2020-01-11", 4188539),
        observed(3, 20, "2020-01-31", 0),
    )

    assert columns(tables, study(smoker))["s"].tolist() == [1, -1]


def test_a_concept_without_a_level_is_refused(tables):
    smoker = Variable("s", "category", "observation", (8,), levels=YES_NO)
    make(tables, observed(1, 10, "2020-01-11", 999))

    with pytest.raises(InvalidData, match="'s'"):
        columns(tables, study(smoker))


@pytest.mark.parametrize(
    ("source", "event"), [("condition", diagnosed), ("drug", prescribed)]
)
def test_any_event_in_the_window_is_the_second_level(tables, source, event):
    sick = Variable("d", "category", source, (5, 6), levels=PAIR, window_days=(-30, 0))
    make(tables, event(1, 10, "2020-01-10", 6), event(2, 20, "2019-01-01", 5))

    assert columns(tables, study(sick))["d"].tolist() == [1, 0]


def test_an_event_needs_two_levels(tables):
    three = (*PAIR, Level("maybe", 2))
    sick = Variable("d", "category", "condition", (5,), levels=three)

    with pytest.raises(InvalidStudy, match="'d'"):
        columns(tables, study(sick))


def test_time_runs_from_the_index_day_to_death_or_the_end_of_observation(tables):
    time = Variable("t", "number", "time_to_death", unit="d", bounds=(0.0, 9999.0))
    event = Variable("e", "category", "death", levels=PAIR)
    make(
        tables,
        seen(10, "2020-01-01", "2020-03-01"),
        died(10, "2020-02-11"),
        seen(20, "2020-01-31", "2020-02-10"),
        died(20, "2020-12-31"),
    )

    found = columns(tables, study(time, event))

    assert found["t"].tolist() == [31.0, 10.0]
    assert found["e"].tolist() == [1, 0]


def test_who_is_not_observed_has_no_time_and_no_event(tables):
    time = Variable("t", "number", "time_to_death", unit="d", bounds=(0.0, 9999.0))
    event = Variable("e", "category", "death", levels=PAIR)

    found = columns(tables, study(time, event))

    assert np.isnan(found["t"]).all()
    assert found["e"].tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ("x > 4", 1),
        ("x >= 4", 1),
        ("x < 4", 0),
        ("x != 4", 1),
        ("known(x)", 1),
        ('sex == "f"', 1),
        ('sex != "f"', 0),
        ("age == 70", 2),
    ],
)
def test_a_missing_value_meets_no_criterion(tables, rule, left):
    sex = Variable(
        "sex", "category", "sex", levels=(Level("f", 8532), Level("m", 8507))
    )
    age = Variable("age", "number", "age", bounds=(0.0, 120.0))
    make(tables, measured(1, 10, "2020-01-11", 5.0))
    asked = study(NUMBER, sex, age, criteria=(Criterion("rule", rule),))

    with open_tables(tables) as opened:
        cohort = build(asked, opened)

    assert cohort.attrition == (("Everyone in the data", 2), ("rule", left))
    assert cohort.people == left == len(cohort.columns["x"])


def test_a_study_of_another_dictionary_is_refused(tables):
    with open_tables(tables) as opened, pytest.raises(InvalidStudy, match="'flat'"):
        build(study(NUMBER, dictionary="flat"), opened)


def test_a_study_of_another_edition_of_the_dictionary_is_refused(tables):
    other = study(NUMBER, dictionary_digest="sha256:" + "0" * 64)

    with open_tables(tables) as opened, pytest.raises(InvalidStudy) as refused:
        build(other, opened)

    assert "dictionary digests differ" in str(refused.value)


def test_a_column_of_a_flat_file_is_not_in_omop_tables(tables):
    flat = Variable("c", "number", "column", column="c", bounds=(0.0, 1.0))

    with pytest.raises(InvalidStudy, match="'c'"):
        columns(tables, study(flat))


def test_reading_does_not_change_the_tables(tables):
    before = tables.read_bytes()

    with open_tables(tables) as opened:
        assert isinstance(opened, CuratedTables)
        build(study(NUMBER), opened)

    assert tables.read_bytes() == before
