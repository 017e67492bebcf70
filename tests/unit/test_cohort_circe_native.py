"""What the cohort algebra can say of OHDSI's definitions has the same rows."""

import json

import pytest

from hetao.canonical import parse_canonical
from hetao.cdm.engine_duckdb import DuckDBEngine
from hetao.cohort.circe import cohort_rows
from hetao.cohort.circe_native import translate
from hetao.cohort.people import PEOPLE as PEOPLE_TABLE
from hetao.cohort.people import make_people
from hetao.cohort.wanted import Wanted
from hetao.errors import InvalidStudy, NotExpressible
from hetao.study import read_study, study_from
from support_circe import (
    AFIB,
    GLUCOSE,
    HIGH,
    INPATIENT,
    KIND,
    OLD,
    SCAN,
    SETS,
    STROKE,
    WARFARIN,
    by_end,
    counted,
    entry,
    everyone,
    first,
    group,
    rules,
    window,
)
from support_circe_plan import native_rows
from support_omop import add, circe, concepts, condition, day, drug, observed, omop
from support_omop import person as born

PEOPLE = 80


# Numbers that wander without any pattern that helps, n being 1, 2, 3, …
MADE = """
    SELECT n AS key, n * 13 % {people} + 1 AS person_id,
        {ids}[(n * n + n // 3) % {kinds} + 1] AS concept,
        {ids}[(n * n + n // 7) % {kinds} + 1] AS source,
        CAST(DATE '2008-01-01'
            + CAST((n * 373 + n * n * 7 + {salt}) % 3400 AS INTEGER) AS DATE)
            AS start_date,
        CASE WHEN n % 5 > 0 THEN n * 17 % 45 END AS length,
        n % 12 AS number, CASE WHEN n <= 240 THEN n END AS visit
    FROM range(1, {rows} + 1) AS made(n)
"""
VISIT = {"visit_occurrence_id": "visit"}
# table: stem of its concept, its date, rows a person, concepts, further columns
EVENTS = {
    "condition_occurrence": (
        ("condition", "condition_start_date", 5, [AFIB, KIND, STROKE, OLD, 0]),
        {"condition_end_date": "start_date + CAST(length AS INTEGER)", **VISIT},
    ),
    "drug_exposure": (
        ("drug", "drug_exposure_start_date", 5, [WARFARIN, 0]),
        {
            "drug_exposure_end_date": "CASE WHEN key % 2 = 0 "
            "THEN start_date + CAST(length AS INTEGER) END",
            "days_supply": "length",
            **VISIT,
        },
    ),
    "measurement": (
        ("measurement", "measurement_date", 6, [GLUCOSE, 0]),
        {
            "value_as_number": "number",
            "value_as_concept_id": f"CASE WHEN number > 6 THEN {HIGH} END",
            **VISIT,
        },
    ),
    "device_exposure": (("device", "device_exposure_start_date", 2, [SCAN, 0]), {}),
    "visit_occurrence": (
        ("visit", "visit_start_date", 3, [INPATIENT, 0]),
        {"visit_end_date": "start_date + CAST(coalesce(length, 0) AS INTEGER)"},
    ),
}


@pytest.fixture(scope="module")
def tables():
    """Eighty made-up people, with events in and out of their observation periods."""
    ids = (AFIB, KIND, STROKE, WARFARIN, GLUCOSE, HIGH, SCAN, INPATIENT, OLD)
    connection = omop(concepts(*ids, ancestors=[(AFIB, KIND), (AFIB, OLD)]))
    connection.execute(
        "UPDATE concept SET invalid_reason = 'D' WHERE concept_id = ?", [OLD]
    )
    for n in range(1, PEOPLE + 1):
        first = 2009 + n % 4
        period = (f"{first}-0{n % 9 + 1}-01", f"{first + 3 + n % 5}-06-30")
        add(connection, "person", born(n, 1930 + n * 11 % 60, (8507, 8532)[n % 3 % 2]))
        add(connection, "observation_period", observed(n, *period))
        if n % 7 == 0:
            died = {"death_date": day(f"201{n % 5 + 2}-02-01")}
            add(connection, "death", {"person_id": n, **died})
    for table, ((stem, date, times, kinds), more) in EVENTS.items():
        columns = {
            f"{table}_id": "key",
            "person_id": "person_id",
            f"{stem}_concept_id": "concept",
            f"{stem}_source_concept_id": "source",
            date: "start_date",
            **more,
        }
        made = MADE.format(
            people=PEOPLE,
            ids=kinds,
            kinds=len(kinds),
            rows=PEOPLE * times,
            salt=len(table) * 521,
        )
        connection.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) "  # noqa: S608
            f"SELECT {', '.join(columns.values())} FROM ({made})"
        )
    return connection


STROKES, DRUGS = entry(codes=1), entry("DrugExposure", 2)
GLUCOSES = entry("Measurement", 3)
FEATURES = {
    "the first event": first(),
    "the first observed event": circe(entry(), sets=SETS),
    "all events": everyone(),
    "prior observation": everyone(window=(365, 0)),
    "later observation": everyone(window=(0, 400)),
    "first with prior observation": first(window=(365, 30)),
    "several entry events": everyone(entry(), DRUGS, STROKES),
    "an entry of every visit": everyone({"VisitOccurrence": {}}),
    "an entry of inpatient visits": everyone(entry("VisitOccurrence", 5)),
    "an entry of death": everyone({"Death": {}}),
    "an entry of devices": everyone(entry("DeviceExposure", 4)),
    "an entry by the source concept": everyone(
        {"ConditionOccurrence": {"ConditionSourceConcept": 0}}
    ),
    "entry age": everyone(entry(Age={"Value": 50, "Op": "gte"})),
    "entry age between": everyone(entry(Age={"Value": 40, "Op": "bt", "Extent": 60})),
    "first, then age": first(
        entry(First=True, Age={"Value": 0, "Op": "bt", "Extent": 59})
    ),
    "entry sex": everyone(entry(Gender=[{"CONCEPT_ID": 8532}])),
    "entry dates": everyone(
        entry(OccurrenceStartDate={"Value": "2011-06-01", "Op": "gte"})
    ),
    "a value": everyone(
        entry("Measurement", 3, ValueAsNumber={"Value": 9, "Op": "gt"})
    ),
    "a coded value": everyone(
        entry("Measurement", 3, ValueAsConcept=[{"CONCEPT_ID": HIGH}])
    ),
    "a kind of visit": everyone(entry(VisitType=[{"CONCEPT_ID": INPATIENT}])),
    "excluded descendants": everyone(sets={0: [AFIB, -KIND]}),
    "a rule before": everyone(InclusionRules=rules(group(counted(DRUGS, -180, -1)))),
    "a rule around": everyone(InclusionRules=rules(group(counted(DRUGS, -30, 30)))),
    "a rule of no event": everyone(
        InclusionRules=rules(group(counted(STROKES, None, 0, 0, 0)))
    ),
    "a rule of at most one": everyone(
        InclusionRules=rules(group(counted(GLUCOSES, None, None, 1, 1)))
    ),
    "a rule of exactly two": everyone(
        InclusionRules=rules(group(counted(GLUCOSES, None, None, 0, 2)))
    ),
    "a rule of two days": everyone(
        InclusionRules=rules(
            group(
                counted(
                    GLUCOSES, None, None, 2, 2,
                    occurrence={"IsDistinct": True, "CountColumn": "START_DATE"},
                )
            )
        )
    ),
    "a rule beyond observation": everyone(
        InclusionRules=rules(
            group(counted(DRUGS, None, 0, IgnoreObservationPeriod=True))
        )
    ),
    "two rules": everyone(
        InclusionRules=rules(
            group(counted(DRUGS, None, None)), group(counted(GLUCOSES, None, None))
        )
    ),
    "either of two": everyone(
        InclusionRules=rules(
            group(counted(DRUGS, 0, 30), counted(STROKES, -90, 0), kind="ANY")
        )
    ),
    "neither of two": everyone(
        InclusionRules=rules(
            group(
                counted(DRUGS, -90, 90), counted(STROKES, -90, 90),
                kind="AT_MOST", Count=0,
            )
        )
    ),
    "a group in a group": everyone(
        InclusionRules=rules(
            group(
                counted(GLUCOSES, None, None),
                groups=[
                    group(counted(DRUGS, 0, 60), counted(STROKES, 0, 60), kind="ANY")
                ],
            )
        )
    ),
    "additional criteria": everyone(
        AdditionalCriteria=group(
            counted(DRUGS, None, None),
            people=[
                {"Age": {"Value": 45, "Op": "gt"}, "Gender": [{"CONCEPT_ID": 8507}]}
            ],
        )
    ),
    "the first that meets a rule": circe(
        entry(), sets=SETS, primary="All", qualified="All",
        InclusionRules=rules(group(counted(DRUGS, -365, 0))),
    ),
    "the first observed, with a rule": circe(
        entry(),
        sets=SETS,
        window=(200, 0),
        InclusionRules=rules(group(counted(DRUGS, -200, 200))),
    ),
    "the first ever, with a rule": first(
        InclusionRules=rules(group(counted(DRUGS, -365, 365)))
    ),
    "an end of observation": everyone(DRUGS, EndStrategy=None),
    "an end by the event's end": everyone(EndStrategy=by_end(5)),
    "an end by a drug's end": everyone(DRUGS, EndStrategy=by_end(1)),
    "an end by the end of the first": first(EndStrategy=by_end(0)),
    "an exposure": everyone(
        DRUGS,
        EndStrategy={"CustomEra": {"DrugCodesetId": 2, "GapDays": 30, "Offset": 5}},
    ),
    "an exposure of fixed supply": everyone(
        DRUGS,
        EndStrategy={
            "CustomEra": {
                "DrugCodesetId": 2, "GapDays": 60, "DaysSupplyOverride": 28,
            }
        },
    ),
    "censoring": everyone(EndStrategy=None, CensoringCriteria=[STROKES]),
    "censoring by death": first(CensoringCriteria=[{"Death": {}}]),
    "near periods join": everyone(pad=120),
    "a window of dates": everyone(
        CensorWindow={"StartDate": "2011-01-01", "EndDate": "2012-12-31"}
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def expected(tables):
    """The rows of every definition by OHDSI's own SQL."""
    return {name: cohort_rows(one, tables) for name, one in FEATURES.items()}


@pytest.mark.parametrize("feature", FEATURES)
def test_the_algebra_gives_the_rows_that_ohdsis_sql_gives(tables, expected, feature):
    assert native_rows(FEATURES[feature], tables) == expected[feature]


def test_each_feature_says_something_that_the_others_do_not(expected):
    assert all(expected.values())
    assert len({tuple(rows) for rows in expected.values()}) == len(FEATURES)


@pytest.mark.parametrize("feature", FEATURES)
def test_the_translation_is_a_study_that_can_be_written_and_read(feature):
    study = translate(FEATURES[feature]).study

    assert study_from(parse_canonical(study.canonical)) == study


MOVED = {"a window of dates"}  # the days on which people enter
STUDY = """
[study]
name = "a"
title = "A"
question = "Who?"
version = "1"
dictionary = "omop-5.4"
[sites]
members = ["here"]
[population]
circe = "definition.json"
[variables.age]
source = "age"
bounds = [0, 150]
[[analyses]]
name = "n"
method = "counts"
"""


@pytest.mark.parametrize("feature", sorted(set(FEATURES) - MOVED))
def test_a_study_that_names_the_file_has_the_same_people_from_the_same_days(
    tmp_path, tables, expected, feature
):
    path = tmp_path / "study.toml"
    path.write_text(STUDY, encoding="utf-8")
    file = tmp_path / "definition.json"
    file.write_text(json.dumps(FEATURES[feature]), encoding="utf-8")

    study = read_study(path)
    file.unlink()  # nobody needs it any more

    earliest = {}
    for person, start, _ in expected[feature]:
        earliest.setdefault(person, start)
    assert entered(study, tables) == earliest


def entered(study, tables):
    """Return by person the day on which they enter a study."""
    with DuckDBEngine(tables.cursor()) as engine:
        wanted = Wanted(engine, study)
        wanted.resolve()
        make_people(study, wanted)
        return dict(engine.rows(f"SELECT person_id, day FROM {PEOPLE_TABLE}"))  # noqa: S608


def test_days_are_as_worked_out_by_hand():
    people = omop(
        {
            "person": [born(1), born(2)],
            "observation_period": [
                observed(1, "2010-01-01", "2014-12-31"),
                observed(2, "2010-01-01", "2014-12-31"),
            ],
            **concepts(AFIB, STROKE, WARFARIN),
            "condition_occurrence": [
                condition(1, 1, AFIB, "2009-12-31"),
                condition(2, 1, AFIB, "2012-01-01", "2012-01-10"),
                condition(3, 1, AFIB, "2012-01-15"),
                condition(4, 2, AFIB, "2012-01-01"),
                condition(5, 2, STROKE, "2012-01-05"),
            ],
            "drug_exposure": [drug(1, 1, WARFARIN, "2012-01-11")],
        }
    )
    definition = circe(
        entry(),
        sets=SETS,
        primary="All",
        qualified="All",
        limit="All",
        InclusionRules=rules(group(counted(DRUGS, -10, 10))),
        EndStrategy=by_end(4),
    )

    # 1: from 1 January to the 10th and four days, the 14th; from the 15th to the 16th
    # (a day is added where no end is known) and four days, the 20th. 2: no drug.
    expected = [
        (1, day("2012-01-01"), day("2012-01-14")),
        (1, day("2012-01-15"), day("2012-01-20")),
    ]
    assert native_rows(definition, people) == expected
    assert cohort_rows(definition, people) == expected


REFUSED = {
    "age or sex after the first": circe(
        entry(),
        sets=SETS,
        InclusionRules=rules(group(people=[{"Age": {"Value": 50, "Op": "gt"}}])),
    ),
    "an age without a lower limit": first(entry(Age={"Value": 1, "Op": "lt"})),
    "DrugEra as entry": first({"DrugEra": {"CodesetId": 2}}),
    "CorrelatedCriteria of ConditionOccurrence": first(
        entry(CorrelatedCriteria=group(counted(DRUGS, 0, 0)))
    ),
    "EndWindow": everyone(
        InclusionRules=rules(
            group(counted(DRUGS, 0, 0, EndWindow=window(0, None)))
        )
    ),
    "RestrictVisit": everyone(
        InclusionRules=rules(group(counted(DRUGS, 0, 0, RestrictVisit=True)))
    ),
    "counting distinct values": everyone(
        InclusionRules=rules(
            group(counted(DRUGS, 0, 9, occurrence={"IsDistinct": True}))
        )
    ),
    "First inside a rule": everyone(
        InclusionRules=rules(group(counted(entry(First=True), None, 0)))
    ),
    "Unit of Measurement": first(entry("Measurement", 3, Unit=[{"CONCEPT_ID": 1}])),
    "the last event": everyone(limit="Last"),
    "first event of each of several": first(entry(First=True), DRUGS),
    "differ in age": everyone(entry(Age={"Value": 1, "Op": "gt"}), DRUGS),
    "age or sex inside another group": everyone(
        InclusionRules=rules(
            group(groups=[group(people=[{"Age": {"Value": 1, "Op": "gt"}}])])
        )
    ),
    "age or sex as one of several": everyone(
        InclusionRules=rules(
            group(counted(DRUGS, 0, 0), people=[{"Age": {"Value": 1, "Op": "gt"}}],
                  kind="ANY")
        )
    ),
    "a group of kind AT_LEAST 2": everyone(
        InclusionRules=rules(
            group(*[counted(DRUGS, 0, n) for n in (1, 2, 3)], kind="AT_LEAST", Count=2)
        )
    ),
    "one of a day's several events": circe(
        entry(), sets=SETS, primary="All", EndStrategy=by_end(0)
    ),
    "the comparison '!bt' of an age": everyone(
        entry(Age={"Value": 1, "Op": "!bt", "Extent": 2})
    ),
    "an empty concept set": everyone(sets={0: []}),
    "a sex other than": everyone(entry(Gender=[{"CONCEPT_ID": 0}])),
}  # fmt: skip


@pytest.mark.parametrize("feature", REFUSED)
def test_what_the_algebra_cannot_say_is_refused_by_name(feature):
    with pytest.raises(NotExpressible, match="cannot express") as error:
        translate(REFUSED[feature])

    assert feature in error.value.what


@pytest.mark.parametrize(
    "definition", [{}, {"PrimaryCriteria": {}}, circe({}), circe({"Death": 3}), []]
)
def test_a_definition_of_another_shape_is_refused(definition):
    with pytest.raises(InvalidStudy):
        translate(definition)


def test_nothing_is_left_on_the_connection(tables):
    before = tables.execute("SELECT * FROM duckdb_tables() ORDER BY ALL").fetchall()

    native_rows(FEATURES["two rules"], tables)

    after = tables.execute("SELECT * FROM duckdb_tables() ORDER BY ALL").fetchall()
    assert after == before
