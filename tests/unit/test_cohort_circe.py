"""OHDSI's definitions are carried out as they mean, and leave nothing behind."""

import itertools
import sys

import duckdb
import pytest

from hetao.cohort.circe import cohort_query, cohort_rows
from hetao.errors import InvalidData, InvalidStudy, Usage
from support_omop import add, circe, concepts, condition, day, drug, observed, omop
from support_omop import person as born

AFIB, KIND_OF_AFIB, STROKE, WARFARIN = 1001, 1002, 2001, 3001
PEOPLE = {
    "person": [born(1, 1950), born(2, 1940, 8532), born(3, 1990)],
    "observation_period": [
        observed(1, "2010-01-01", "2019-12-31"),
        observed(2, "2012-01-01", "2015-06-30"),
        observed(3, "2010-01-01", "2019-12-31"),
    ],
    **concepts(AFIB, KIND_OF_AFIB, STROKE, WARFARIN, ancestors=[(AFIB, KIND_OF_AFIB)]),
    "condition_occurrence": [
        condition(1, 1, AFIB, "2012-03-01", stop_reason="don't know"),
        condition(2, 1, AFIB, "2014-03-01"),
        condition(3, 2, KIND_OF_AFIB, "2013-05-05", "2013-05-20"),
        condition(4, 3, STROKE, "2013-01-01"),
        condition(5, 2, STROKE, "2014-01-01"),
    ],
    "drug_exposure": [
        drug(1, 1, WARFARIN, "2012-03-05", "2012-04-03"),
        drug(2, 1, WARFARIN, "2012-04-20", "2012-05-19"),
        drug(3, 2, WARFARIN, "2013-05-01", "2013-05-30"),
    ],
}
FIRST_AFIB = {"ConditionOccurrence": {"CodesetId": 0, "First": True}}
ANY_AFIB = {"ConditionOccurrence": {"CodesetId": 0}}
SETS = {0: [AFIB], 1: [STROKE], 2: [WARFARIN]}


@pytest.fixture
def people():
    return omop(PEOPLE)


def rows(*items):
    return [(number, day(start), day(end)) for number, start, end in items]


def test_the_first_event_starts_a_cohort_that_lasts_while_observed(people):
    assert cohort_rows(circe(FIRST_AFIB, sets=SETS), people) == rows(
        (1, "2012-03-01", "2019-12-31"), (2, "2013-05-05", "2015-06-30")
    )


def test_excluded_concepts_take_their_descendants_with_them(people):
    sets = {0: [AFIB, -KIND_OF_AFIB]}

    found = cohort_rows(circe(FIRST_AFIB, sets=sets), people)

    assert [number for number, _, _ in found] == [1]


def test_a_fixed_time_ends_each_period_and_near_ones_become_one_era(people):
    exit_after = {"DateOffset": {"DateField": "StartDate", "Offset": 30}}
    definition = circe(
        ANY_AFIB,
        sets=SETS,
        primary="All",
        qualified="All",
        limit="All",
        EndStrategy=exit_after,
    )

    apart = cohort_rows(definition, people)
    joined = cohort_rows(
        definition | {"CollapseSettings": {"CollapseType": "ERA", "EraPad": 720}},
        people,
    )

    assert apart == rows(
        (1, "2012-03-01", "2012-03-31"),
        (1, "2014-03-01", "2014-03-31"),
        (2, "2013-05-05", "2013-06-04"),
    )
    assert joined[0] == (1, day("2012-03-01"), day("2014-03-31"))


def test_an_exposure_ends_the_period_when_it_ends(people):
    custom = {"DrugCodesetId": 2, "GapDays": 30, "Offset": 7}
    definition = circe(
        {"DrugExposure": {"CodesetId": 2, "First": True}},
        sets=SETS,
        EndStrategy={"CustomEra": custom},
    )

    assert cohort_rows(definition, people) == rows(
        (1, "2012-03-05", "2012-05-26"), (2, "2013-05-01", "2013-06-06")
    )


def test_a_rule_counts_events_around_the_index_day(people):
    rule = {
        "name": "warfarin soon after",
        "expression": {
            "Type": "ALL",
            "CriteriaList": [
                {
                    "Criteria": {"DrugExposure": {"CodesetId": 2}},
                    "StartWindow": {
                        "Start": {"Days": 0, "Coeff": -1},
                        "End": {"Days": 30, "Coeff": 1},
                    },
                    "Occurrence": {"Type": 2, "Count": 1},
                }
            ],
            "DemographicCriteriaList": [],
            "Groups": [],
        },
    }

    found = cohort_rows(circe(FIRST_AFIB, sets=SETS, InclusionRules=[rule]), people)

    assert [number for number, _, _ in found] == [1]


def test_censoring_ends_a_period_on_the_day_of_the_event(people):
    definition = circe(
        FIRST_AFIB,
        sets=SETS,
        CensoringCriteria=[{"ConditionOccurrence": {"CodesetId": 1}}],
    )

    assert cohort_rows(definition, people)[1] == (
        2,
        day("2013-05-05"),
        day("2014-01-01"),
    )


# --- nothing is left behind --------------------------------------------------------
def test_nothing_is_left_on_the_connection(people):
    people.execute("CREATE TEMP TABLE Codesets AS SELECT 7 AS mine")
    before = people.execute("SELECT * FROM duckdb_tables() ORDER BY ALL").fetchall()

    cohort_rows(circe(FIRST_AFIB, sets=SETS), people)

    after = people.execute("SELECT * FROM duckdb_tables() ORDER BY ALL").fetchall()
    assert after == before
    assert people.execute("SELECT mine FROM Codesets").fetchall() == [(7,)]


def test_an_open_transaction_is_read_and_left_open(people):
    people.execute("BEGIN")
    add(people, "condition_occurrence", condition(9, 3, AFIB, "2015-01-01"))

    found = cohort_rows(circe(FIRST_AFIB, sets=SETS), people)
    people.execute("ROLLBACK")

    assert found[-1] == (3, day("2015-01-01"), day("2019-12-31"))
    assert len(cohort_rows(circe(FIRST_AFIB, sets=SETS), people)) == 2


def test_a_database_that_may_only_be_read_is_enough(people, tmp_path):
    people.execute(f"ATTACH '{tmp_path / 'cdm.duckdb'}' AS copy")
    people.execute("COPY FROM DATABASE memory TO copy")
    expected = cohort_rows(circe(FIRST_AFIB, sets=SETS), people)
    people.close()

    with duckdb.connect(str(tmp_path / "cdm.duckdb"), read_only=True) as closed:
        assert cohort_rows(circe(FIRST_AFIB, sets=SETS), closed) == expected


# --- the same answer each time -----------------------------------------------------
def year_starts(*years):
    return [
        {
            "ObservationPeriod": {
                "UserDefinedPeriod": {
                    "StartDate": f"{year}-01-01",
                    "EndDate": f"{year}-01-01",
                }
            }
        }
        for year in years
    ]


def test_events_of_one_source_row_keep_their_own_dates_in_every_order():
    """OHDSI's SQL numbers such events twice, and not always in the same way."""
    young_enough = {
        "Type": "ALL",
        "CriteriaList": [],
        "DemographicCriteriaList": [{"Age": {"Value": 100, "Op": "lte"}}],
        "Groups": [],
    }
    years = range(2012, 2019)
    tables = {
        "person": [born(number, 1910 + number) for number in range(1, 9)],
        "observation_period": [
            observed(number, "2010-01-01", "2019-12-31") for number in range(1, 9)
        ],
    }
    expected = rows(
        *(
            (number, f"{year}-01-01", f"{year}-01-02")
            for number, year in itertools.product(range(1, 9), years)
            if year - (1910 + number) <= 100
        )
    )

    for turn in range(4):
        shuffled = [*years][turn:] + [*years][:turn][::-1]
        definition = circe(
            *year_starts(*shuffled),
            primary="All",
            qualified="All",
            limit="All",
            AdditionalCriteria=young_enough,
            EndStrategy={"DateOffset": {"DateField": "StartDate", "Offset": 1}},
        )
        assert cohort_rows(definition, omop(tables)) == expected


def test_the_first_of_one_days_events_is_the_same_in_every_order():
    events = [
        condition(key, 1, AFIB, "2013-01-01", f"2013-01-{end:02}")
        for key, end in ((5, 20), (6, 25), (7, 11))
    ]
    ends = {"DateOffset": {"DateField": "EndDate", "Offset": 0}}
    definition = circe(ANY_AFIB, sets=SETS, primary="All", EndStrategy=ends)

    for order in itertools.permutations(events):
        tables = PEOPLE | {"condition_occurrence": list(order)}
        found = cohort_rows(definition, omop(tables))
        assert found == rows((1, "2013-01-01", "2013-01-20"))


def seen_in_hospital():
    visit = {
        "Criteria": {"VisitOccurrence": {"CodesetId": 1}},
        "StartWindow": {
            "Start": {"Days": 0, "Coeff": -1},
            "End": {"Days": 0, "Coeff": 1},
        },
        "Occurrence": {"Type": 2, "Count": 1},
    }
    group = {
        "Type": "ALL",
        "CriteriaList": [visit],
        "DemographicCriteriaList": [],
        "Groups": [],
    }
    return [{"name": "seen in hospital", "expression": group}]


def test_which_of_one_days_events_counts_does_not_hang_on_other_people():
    """A drug and a condition begin on one day, and the drug has the lower number.

    Both keep the rule, so the tie is broken after it; they end on different days.
    """
    everybody = range(1, 41)
    conditions = [
        condition(2, number, AFIB, "2013-01-01", "2013-02-20") for number in everybody
    ]
    drugs = [
        drug(1, number, WARFARIN, "2013-01-01", "2013-03-11") for number in everybody
    ]
    tables = {
        "person": [born(number) for number in everybody],
        "observation_period": [
            observed(number, "2010-01-01", "2019-12-31") for number in everybody
        ],
        **concepts(AFIB, STROKE, WARFARIN),
        "condition_occurrence": conditions,
        "drug_exposure": drugs,
        "visit_occurrence": [
            {
                "visit_occurrence_id": number,
                "person_id": number,
                "visit_concept_id": STROKE,
                "visit_start_date": day("2013-01-01"),
                "visit_end_date": day("2013-01-01"),
            }
            for number in everybody
        ],
    }
    by_end = {"DateOffset": {"DateField": "EndDate", "Offset": 0}}
    entries = [ANY_AFIB, {"DrugExposure": {"CodesetId": 2}}]

    for order in (entries, entries[::-1]):
        definition = circe(
            *order,
            sets=SETS,
            primary="All",
            qualified="All",
            InclusionRules=seen_in_hospital(),
            EndStrategy=by_end,
        )
        database = omop(tables)
        among_others = cohort_rows(definition, database)
        database.execute("DELETE FROM person WHERE person_id <> 16")
        for table in ("condition_occurrence", "drug_exposure", "observation_period"):
            database.execute(f"DELETE FROM {table} WHERE person_id <> 16")  # noqa: S608

        assert among_others == rows(
            *((number, "2013-01-01", "2013-03-11") for number in everybody)
        )
        assert cohort_rows(definition, database) == among_others[15:16]


# --- odd definitions ---------------------------------------------------------------
def with_reason(text, how="contains"):
    filtered = {"CodesetId": 0, "StopReason": {"Text": text, "Op": how}}
    return circe({"ConditionOccurrence": filtered}, sets=SETS)


@pytest.mark.parametrize(
    ("text", "people_found"),
    [
        ("don't", [1]),
        ("don''t", []),
        ("x') OR 1=1 --", []),
        ("'; DROP TABLE person; --", []),
        ("@cdm_database_schema", []),
        ("{1 == 1}?{%}:{x}", []),
        ("#Codesets", []),
        ("GETDATE()", []),
        ("know", [1]),
    ],
)
def test_free_text_is_compared_and_never_read_as_sql(people, text, people_found):
    found = cohort_rows(with_reason(text), people)

    assert [number for number, _, _ in found] == people_found
    assert people.execute("SELECT count(*) FROM person").fetchone() == (3,)


def test_free_text_that_looks_like_sql_is_found_where_it_stands(people):
    text = "{1 == 1}?{GETDATE()}:{#x} @cdm_database_schema ' ; --"
    people.execute("UPDATE condition_occurrence SET stop_reason = ?", [f"a {text} b"])

    assert [n for n, _, _ in cohort_rows(with_reason(text), people)] == [1, 2]


def nested(depth):
    value = {}
    for _ in range(depth):
        value = {"Groups": [value]}
    return value


@pytest.mark.parametrize(
    "definition",
    [
        None,
        [],
        "SELECT 1",
        {},
        {"PrimaryCriteria": None},
        {"PrimaryCriteria": {"CriteriaList": [{"Nothing": {}}]}},
        circe({"ConditionOccurrence": {"CodesetId": "x; DROP TABLE person"}}),
        circe(FIRST_AFIB, sets=SETS, EndStrategy={"CustomEra": {"GapDays": "a"}}),
        circe(FIRST_AFIB, sets=SETS, ExpressionLimit=None),
        circe(FIRST_AFIB, sets=SETS, InclusionRules=[{"expression": nested(3000)}]),
        circe(FIRST_AFIB, sets=SETS, CensorWindow={"StartDate": "2010"}),
        circe(FIRST_AFIB, sets=SETS, ConceptSets=[{"id": 0, "expression": 7}]),
        {"PrimaryCriteria": {1, 2}},
        circe({"ConditionOccurrence": {"Age": {"Value": float("nan"), "Op": "gt"}}}),
    ],
)
def test_a_definition_that_cannot_be_meant_is_refused(people, definition):
    with pytest.raises(InvalidStudy, match="CIRCE definition"):
        cohort_rows(definition, people)

    assert people.execute("SELECT count(*) FROM person").fetchone() == (3,)


def test_a_group_of_unknown_kind_is_refused(people):
    group = {"Type": "SOME", "CriteriaList": [], "DemographicCriteriaList": [{}]}

    with pytest.raises(InvalidStudy, match=r"kind 'SOME'.*AT_LEAST"):
        cohort_rows(circe(FIRST_AFIB, sets=SETS, AdditionalCriteria=group), people)


def test_a_table_that_is_not_there_is_named_only_at_the_site(people):
    people.execute("DROP TABLE condition_occurrence")

    with pytest.raises(InvalidData, match="tables cannot answer") as error:
        cohort_rows(circe(FIRST_AFIB, sets=SETS), people)

    assert "condition_occurrence" in error.value.local.lower()


def test_a_definition_is_translated_once(people):
    one = cohort_query(circe(FIRST_AFIB, sets=SETS))

    assert cohort_query(circe(FIRST_AFIB, sets=SETS)) is one
    assert cohort_query(circe(ANY_AFIB, sets=SETS)) != one


def test_without_the_extra_the_reader_is_told_what_to_install(monkeypatch, people):
    monkeypatch.setitem(sys.modules, "duckcdm.circe", None)

    with pytest.raises(Usage, match=r"hetao\[circe\]"):
        cohort_rows(circe(ANY_AFIB, sets={0: [987654]}), people)
