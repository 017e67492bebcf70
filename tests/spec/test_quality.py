"""Every type of check fires on a planted fault, and none on clean tables."""

import datetime
from collections import Counter
from dataclasses import replace

import pytest

from hetao.cdm.quality import Statistics
from hetao.cdm.quality.check import quality_text, read_quality
from hetao.dictionary import dictionary
from hetao.dictionary.checks import CATEGORIES, LANGUAGES, check_types
from support_quality import CHOLESTEROL, clean_engine, gibleed, quality_of

# The 27 types of the OHDSI DataQualityDashboard 2.8, by its own names.
DASHBOARD = {
    "cdmTable",
    "measurePersonCompleteness",
    "measureConditionEraCompleteness",
    "measureObservationPeriodOverlap",
    "cdmField",
    "isRequired",
    "cdmDatatype",
    "isPrimaryKey",
    "isForeignKey",
    "fkDomain",
    "fkClass",
    "isStandardValidConcept",
    "measureValueCompleteness",
    "standardConceptRecordCompleteness",
    "sourceConceptRecordCompleteness",
    "sourceValueCompleteness",
    "plausibleValueLow",
    "plausibleValueHigh",
    "plausibleTemporalAfter",
    "plausibleDuringLife",
    "withinVisitDates",
    "plausibleAfterBirth",
    "plausibleBeforeDeath",
    "plausibleStartBeforeEnd",
    "plausibleGender",
    "plausibleGenderUseDescendants",
    "plausibleUnitConceptIds",
}

MONTHS = """
    INSERT INTO observation (observation_id, person_id, observation_concept_id,
        observation_date, observation_type_concept_id, value_as_number)
    SELECT 5000 + p * 12 + m, p, 4275495, make_date(2020, m, 1 + p % 28), 32817, p
    FROM people, range(1, 13) r(m) WHERE m <> 7 OR p = 1
"""
# What is checked → the fault that is planted.
FAULTS = {
    "cdmTable:specimen": "DROP TABLE specimen",
    "cdmField:drug_exposure.quantity": "ALTER TABLE drug_exposure DROP quantity",
    "cdmDatatype:measurement.value_as_number": (
        "ALTER TABLE measurement ALTER value_as_number TYPE VARCHAR"
    ),
    "isRequired:condition_occurrence.condition_start_date": (
        "UPDATE condition_occurrence SET condition_start_date = NULL "
        "WHERE condition_occurrence_id = 3"
    ),
    "isPrimaryKey:drug_exposure.drug_exposure_id": (
        "UPDATE drug_exposure SET drug_exposure_id = 1 WHERE drug_exposure_id = 2"
    ),
    "isForeignKey:condition_occurrence.person_id": (
        "UPDATE condition_occurrence SET person_id = 9999 "
        "WHERE condition_occurrence_id = 5"
    ),
    "isForeignKey:measurement.visit_occurrence_id": (
        "UPDATE measurement SET visit_occurrence_id = 77777 WHERE measurement_id = 5"
    ),
    "isForeignKey:person.care_site_id": "UPDATE person SET care_site_id = 12",
    "isForeignKey:visit_occurrence.preceding_visit_occurrence_id": (
        "UPDATE visit_occurrence SET preceding_visit_occurrence_id = 77777 "
        "WHERE visit_occurrence_id = 5"
    ),
    "isForeignKey:drug_exposure.drug_concept_id": (
        "UPDATE drug_exposure SET drug_concept_id = 424242 WHERE drug_exposure_id = 395"
    ),
    "fkDomain:condition_occurrence.condition_concept_id": (
        "UPDATE condition_occurrence SET condition_concept_id = 1503297 "
        "WHERE condition_occurrence_id = 5"
    ),
    "fkClass:drug_era.drug_concept_id": (
        "UPDATE concept SET concept_class_id = 'Clinical Drug' "
        "WHERE concept_id = 1503297"
    ),
    "isStandardValidConcept:condition_occurrence.condition_concept_id": (
        "UPDATE concept SET invalid_reason = 'D' WHERE concept_id = 201826"
    ),
    "measurePersonCompleteness:observation_period": (
        "DELETE FROM observation_period WHERE person_id = 9"
    ),
    "measureConditionEraCompleteness:condition_era": (
        "DELETE FROM condition_era WHERE person_id = 9"
    ),
    "measureObservationPeriodOverlap:observation_period": (
        "INSERT INTO observation_period VALUES (901, 9, DATE '2026-07-01', "
        "DATE '2026-08-01', 32817)"
    ),
    "measureValueCompleteness:measurement.value_as_number": (
        "UPDATE measurement SET value_as_number = NULL WHERE measurement_id % 8 > 2"
    ),
    "standardConceptRecordCompleteness:drug_exposure.drug_concept_id": (
        "UPDATE drug_exposure SET drug_concept_id = 0 WHERE drug_exposure_id <= 60"
    ),
    "sourceConceptRecordCompleteness:drug_exposure.drug_source_concept_id": (
        "UPDATE drug_exposure SET drug_source_concept_id = 0 "
        "WHERE drug_exposure_id <= 60"
    ),
    "sourceValueCompleteness:drug_exposure.drug_source_value": (
        "UPDATE drug_exposure SET drug_concept_id = 0, drug_source_value = "
        "'X' || CAST(drug_exposure_id AS VARCHAR) WHERE drug_exposure_id <= 3"
    ),
    "plausibleValueLow:person.year_of_birth": (
        "UPDATE person SET year_of_birth = 202 WHERE person_id <= 9"
    ),
    "plausibleValueLow:measurement.value_as_number:cholesterol_total": (
        "UPDATE measurement SET value_as_number = 0.1 "  # noqa: S608
        f"WHERE measurement_concept_id = {CHOLESTEROL.concept_id} "
        "AND measurement_id <= 1009"
    ),
    "plausibleValueHigh:measurement.value_as_number:cholesterol_total": (
        "UPDATE measurement SET value_as_number = 400 "  # noqa: S608
        f"WHERE measurement_concept_id = {CHOLESTEROL.concept_id} "
        "AND measurement_id BETWEEN 1011 AND 1029"
    ),
    "plausibleValueHigh:drug_exposure.drug_exposure_start_date": (
        "UPDATE drug_exposure SET drug_exposure_start_date = DATE '2026-11-29' "
        "WHERE drug_exposure_id <= 9"
    ),
    "plausibleTemporalAfter:visit_occurrence.visit_end_date": (
        "UPDATE visit_occurrence SET visit_end_date = DATE '2014-01-01' "
        "WHERE visit_occurrence_id <= 9"
    ),
    "plausibleStartBeforeEnd:visit_occurrence.visit_start_date": (
        "UPDATE visit_occurrence SET visit_end_date = DATE '2014-01-01' "
        "WHERE visit_occurrence_id <= 9"
    ),
    "plausibleAfterBirth:measurement.measurement_date": (
        "UPDATE person SET year_of_birth = 2024 WHERE person_id <= 9"
    ),
    "plausibleTemporalAfter:condition_occurrence.condition_start_date": (
        "UPDATE person SET year_of_birth = 2024 WHERE person_id <= 9"
    ),
    "plausibleBeforeDeath:drug_exposure.drug_exposure_start_date": (
        "UPDATE death SET death_date = DATE '2015-01-02' WHERE person_id <= 200"
    ),
    "plausibleDuringLife:drug_exposure.drug_exposure_start_date": (
        "UPDATE death SET death_date = DATE '2015-01-02' WHERE person_id = 40"
    ),
    "withinVisitDates:condition_occurrence.condition_start_date": (
        "UPDATE condition_occurrence SET condition_start_date = "
        "add_day(condition_start_date, -8) WHERE condition_occurrence_id <= 30"
    ),
    "plausibleGender:condition_occurrence.condition_concept_id:prostate": (
        "UPDATE person SET gender_concept_id = 8532 WHERE person_id <= 9"
    ),
    "plausibleGenderUseDescendants:condition_occurrence.condition_concept_id"
    ":male_genital": "UPDATE person SET gender_concept_id = 8532 WHERE person_id <= 9",
    "plausibleGender:condition_occurrence.condition_concept_id:pregnancy": (
        "UPDATE concept SET concept_code = '650' WHERE concept_id = 2000000901"
    ),
    "plausibleUnitConceptIds:measurement.unit_concept_id:cholesterol_total": (
        "UPDATE measurement SET unit_concept_id = 8876 WHERE measurement_id > 1300"
    ),
    "zero-as-missing:measurement.value_as_number:systolic_pressure": (
        "UPDATE measurement SET value_as_number = 0 WHERE measurement_id = 4"
    ),
    "unit-mislabelled:measurement.value_as_number:cholesterol_total": (
        "UPDATE measurement SET value_as_number = value_as_number / 0.02586 "
        "WHERE measurement_id > 1000 AND year(measurement_date) = 2018"
    ),
    "digit-preference:measurement.value_source_value:systolic_pressure": (
        "UPDATE measurement SET value_source_value = "
        "CAST(CAST(value_as_number AS INTEGER) // 10 * 10 AS VARCHAR) "
        "WHERE measurement_id <= 400"
    ),
    "default-dates:observation.observation_date": (
        "UPDATE observation SET observation_date = DATE '2016-01-01' "
        "WHERE observation_id <= 30"
    ),
    "default-dates:person.month_of_birth": (
        "UPDATE person SET month_of_birth = 1, day_of_birth = 1 WHERE person_id <= 60"
    ),
    "outside-observation:drug_exposure.drug_exposure_start_date": (
        "UPDATE observation_period SET observation_period_start_date = "
        "DATE '2024-01-01' WHERE person_id <= 80"
    ),
    "death-before-entry:death.death_date": (
        "UPDATE death SET death_date = DATE '2014-12-31' WHERE person_id = 40"
    ),
    "admissions-overlapping:visit_occurrence": (
        "INSERT INTO visit_occurrence (visit_occurrence_id, person_id, "
        "visit_concept_id, visit_start_date, visit_end_date, visit_type_concept_id) "
        "SELECT visit_occurrence_id + 5000, person_id, visit_concept_id, "
        "add_day(visit_start_date, 1), add_day(visit_end_date, 9), 32817 "
        "FROM visit_occurrence WHERE visit_occurrence_id BETWEEN 1001 AND 1020"
    ),
    "duplicate-events:condition_occurrence": (
        "INSERT INTO condition_occurrence SELECT * REPLACE "
        "(condition_occurrence_id + 5000 AS condition_occurrence_id) "
        "FROM condition_occurrence WHERE condition_occurrence_id <= 20"
    ),
    "silent-months:observation": MONTHS,
    "codes-unmapped:drug_exposure.drug_concept_id:ha_drug": (
        "UPDATE drug_exposure SET drug_concept_id = 0 WHERE drug_exposure_id <= 160"
    ),
    "rows-lost:diagnosis": (
        "UPDATE curation_counts SET number = number - 1 WHERE counted = 'used'"
    ),
    "rows-rejected:diagnosis": (
        "UPDATE curation_counts SET number = CASE counted WHEN 'used' THEN 500 "
        "WHEN 'rejected' THEN 110 ELSE number END"
    ),
    "cells-rejected:diagnosis": (
        "UPDATE curation_counts SET number = 400 WHERE counted = 'cells_rejected'"
    ),
}
BATCHES = 8
DRIFTS = {
    "drift-rows:measurement": "DELETE FROM measurement WHERE measurement_id % 10 = 0",
    "drift-months:measurement": (
        "UPDATE measurement SET measurement_date = add_day(measurement_date, 365) "
        "WHERE year(measurement_date) = 2018"
    ),
    "drift-unmapped:drug_exposure.drug_concept_id": (
        "UPDATE drug_exposure SET drug_concept_id = 0 WHERE drug_exposure_id <= 30"
    ),
    "drift-medians:measurement.value_as_number:systolic_pressure": (
        "UPDATE measurement SET value_as_number = value_as_number * 1.2 "
        "WHERE measurement_id <= 400"
    ),
}


@pytest.fixture(scope="module")
def engine():
    with clean_engine() as made:
        yield made


@pytest.fixture(scope="module")
def clean(engine):
    return quality_of(engine)


@pytest.fixture
def spoil(engine):
    """Return what spoils a copy of the tables, seen until the test ends."""
    engine.connection.execute("ATTACH ':memory:' AS spoilt")
    engine.connection.execute("COPY FROM DATABASE memory TO spoilt")
    engine.connection.execute("USE spoilt")
    yield engine.connection.execute
    engine.connection.execute("USE memory")
    engine.connection.execute("DETACH spoilt")


def test_the_list_holds_the_dashboards_27_types_and_our_own():
    types = check_types()

    assert len(DASHBOARD) == 27
    assert {n for n, t in types.items() if t.source == "DQD"} == DASHBOARD
    assert all("-" in name for name, type_ in types.items() if type_.source == "own")
    for type_ in types.values():
        assert type_.level in ("table", "field", "concept")
        assert type_.category in CATEGORIES
        assert type_.context in ("verification", "validation")
        assert 0 <= type_.threshold <= 1
        assert set(type_.wording) == set(LANGUAGES)


def test_every_type_of_check_has_a_planted_fault():
    tried = {check.partition(":")[0] for check in (*FAULTS, *DRIFTS)}

    assert tried == set(check_types())


def test_clean_tables_pass_every_check(clean):
    assert [check.id for check in clean.failed()] == []


def test_a_checks_id_is_its_own(clean):
    ids = [check.id for check in clean.checks]

    assert len(set(ids)) == len(ids)


def together():
    """Return faults that do not hide one another, to be planted at once: it saves time.

    One in the catalogue hides all that is wrong with the rows.
    """
    rows = [check for check in FAULTS if not check.startswith("cdm")]
    catalogue = [check for check in FAULTS if check.startswith("cdm")]
    return [catalogue, *(rows[first::BATCHES] for first in range(BATCHES))]


@pytest.mark.parametrize("planted", together(), ids=lambda planted: planted[0])
def test_a_planted_fault_fails_its_check(planted, engine, spoil):
    for check in planted:
        spoil(FAULTS[check])
    failed = {found.id for found in quality_of(engine).failed()}

    assert [check for check in planted if check not in failed] == []


def test_a_refresh_is_held_against_the_snapshot_before_it(engine, spoil, clean):
    same = quality_of(engine, clean)
    for fault in DRIFTS.values():
        spoil(fault)
    failed = {found.id for found in quality_of(engine, clean).failed()}

    assert same.failed() == ()
    assert same.previous == clean.snapshot
    assert [check for check in DRIFTS if check not in failed] == []


def test_checks_are_made_for_every_table_and_field_of_the_dictionary(clean):
    tables = dictionary().tables
    found = [check.type for check in clean.checks]

    assert found.count("cdmTable") == len(tables)
    assert found.count("cdmField") == sum(len(t.fields) for t in tables.values())
    assert found.count("isRequired") == sum(len(t.required) for t in tables.values())


def test_an_empty_table_is_not_applicable_rather_than_good(clean):
    (specimen,) = [
        c for c in clean.checks if c.id == "isPrimaryKey:specimen.specimen_id"
    ]

    assert specimen.status == "not-applicable"


def test_a_mapping_that_drops_codes_stands_first(engine, spoil):
    spoil("UPDATE drug_exposure SET drug_concept_id = 0")
    worst = quality_of(engine).checks[:4]

    assert "codes-unmapped:drug_exposure.drug_concept_id:ha_drug" in {
        c.id for c in worst
    }


def test_a_mislabelled_unit_is_named_and_nothing_is_converted(engine, spoil):
    spoil(FAULTS["unit-mislabelled:measurement.value_as_number:cholesterol_total"])
    before = engine.rows("SELECT sum(value_as_number) AS s FROM measurement")
    (check,) = [
        c
        for c in quality_of(engine).checks
        if c.type == "unit-mislabelled" and c.concept == "cholesterol_total"
    ]
    after = engine.rows("SELECT sum(value_as_number) AS s FROM measurement")

    assert "mg/dL" in check.detail
    assert "2018" in check.detail
    assert before == after


def test_a_birth_that_is_no_day_of_the_calendar_is_a_finding_not_a_crash(engine, spoil):
    spoil(
        "UPDATE person SET year_of_birth = 99999, month_of_birth = 13, "
        "day_of_birth = 31 WHERE person_id <= 9"
    )
    failed = {check.id for check in quality_of(engine).failed()}

    assert "plausibleValueHigh:person.month_of_birth" in failed
    assert "plausibleValueHigh:person.year_of_birth" in failed


def test_tables_that_were_not_curated_here_have_no_findings_of_curation(engine, spoil):
    spoil("DROP TABLE curation_counts")
    types = {check.type for check in quality_of(engine).checks}

    assert not types & {"rows-lost", "rows-rejected", "cells-rejected"}


def test_no_tables_at_all_is_a_report_of_missing_tables(engine, spoil):
    for name in dictionary().tables:
        spoil(f"DROP TABLE {name}")
    quality = quality_of(engine)

    missing = [check for check in quality.failed() if check.type == "cdmTable"]
    assert len(missing) == len(dictionary().tables)


def test_a_report_reads_back_as_it_was_written(clean, tmp_path):
    path = tmp_path / "quality.json"
    path.write_text(quality_text(clean), encoding="utf-8")

    assert read_quality(path) == clean


def test_old_months_are_closed_and_new_ones_may_still_grow(engine, clean):
    recent = (datetime.date(2026, 11, 28) - datetime.timedelta(days=30)).isoformat()[:7]
    months = {"measurement": {**clean.statistics.months["measurement"], recent: 500}}
    again = quality_of(engine, replace(clean, statistics=Statistics(months=months)))

    assert again.failed() == ()


def test_a_concept_that_no_vocabulary_vouches_for_is_of_no_wrong_domain(engine, spoil):
    spoil(
        "UPDATE concept SET domain_id = 'Metadata', concept_class_id = 'Undefined' "
        "WHERE concept_id = 201826"
    )

    assert quality_of(engine).failed() == ()


def test_gibleed_gets_every_check_of_the_dashboard_that_our_tables_can_have(tmp_path):
    """An OMOP database of others: GiBleed, 2,694 made-up people, in our tables."""
    with gibleed(tmp_path) as engine:
        quality = quality_of(engine)
    tables = dictionary().tables
    fields = [f for t in tables.values() for f in t.fields.values()]
    found = Counter(check.type for check in quality.checks)

    # As many as the dashboard has for these tables, by the same rules.
    assert found["cdmTable"] == len(tables)
    assert found["cdmField"] == found["cdmDatatype"] == len(fields)
    assert found["isRequired"] == sum(f.required for f in fields)
    assert found["fkDomain"] == sum(
        bool(f.domain) and not f.name.endswith("_source_concept_id") for f in fields
    )
    assert found["fkClass"] == 1
    assert quality.statistics.rows["person"] == 2694
    failed = {check.id for check in quality.failed()}
    # Known of GiBleed: drugs without a quantity, events long before 1950.
    assert "plausibleValueLow:drug_exposure.quantity" in failed
    assert "plausibleValueLow:condition_occurrence.condition_start_date" in failed
    assert not failed & {
        "isRequired:person.year_of_birth",
        "isPrimaryKey:person.person_id",
    }
