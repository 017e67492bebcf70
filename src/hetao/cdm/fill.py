"""Staging tables → the tables of OMOP CDM 5.4 and `rejected`, one statement each."""

from hetao.cdm.dictionary import (
    CDM_VERSION_CONCEPT,
    CONTENT,
    FEMALE,
    MALE,
    STANDARD,
    TYPE_EHR,
    UNITS,
)
from hetao.cdm.engine_duckdb import Connection, text
from hetao.cdm.mapping import Mapping
from hetao.cdm.stage import FUTURE, MISSING, NO_BIRTH, NO_DATE, NO_ID, UNMAPPED
from hetao.dictionary import FIRST_LOCAL, ddl


def fill_tables(connection: Connection, mapping: Mapping) -> None:
    """Make and fill every content table from what `stage_extract` left."""
    for table in CONTENT:
        connection.execute(ddl(table, "duckdb"))
    _visits(connection, mapping)
    _people(connection)
    _measurements(connection)
    _observations(connection)
    _conditions(connection)
    _rejected(connection, mapping)
    _concepts(connection, mapping)
    _cdm_source(connection, mapping)


def _visits(connection: Connection, mapping: Mapping) -> None:
    visit = mapping.visit
    connection.execute(f"""
        INSERT INTO visit_occurrence BY NAME
        SELECT visit_id AS visit_occurrence_id, person_id,
            {visit.concept_id} AS visit_concept_id, visit_date AS visit_start_date,
            visit_date AS visit_end_date, {TYPE_EHR} AS visit_type_concept_id
        FROM visits
    """)  # noqa: S608


def _people(connection: Connection) -> None:
    connection.execute("""
        INSERT INTO person BY NAME
        SELECT person_id, gender AS gender_concept_id, birth_year AS year_of_birth,
            0 AS race_concept_id, 0 AS ethnicity_concept_id,
            sex_text AS gender_source_value
        FROM visits WHERE turn = 1
    """)
    connection.execute(f"""
        INSERT INTO observation_period BY NAME
        SELECT row_number() OVER (ORDER BY person_id) AS observation_period_id,
            person_id, visit_date AS observation_period_start_date,
            last_date AS observation_period_end_date,
            {TYPE_EHR} AS period_type_concept_id
        FROM followed WHERE last_date IS NOT NULL
    """)  # noqa: S608
    connection.execute(f"""
        INSERT INTO death BY NAME
        SELECT person_id, death_date, {TYPE_EHR} AS death_type_concept_id
        FROM followed WHERE death_date IS NOT NULL
    """)  # noqa: S608


GOOD = "cells JOIN visits USING (source_row) JOIN entries USING (place)"
ORDER = "ORDER BY person_id, visit_date, source_row, place"


def _measurements(connection: Connection) -> None:
    connection.execute(f"""
        INSERT INTO measurement BY NAME
        SELECT row_number() OVER ({ORDER}) AS measurement_id, person_id,
            concept_id AS measurement_concept_id, visit_date AS measurement_date,
            {TYPE_EHR} AS measurement_type_concept_id, value AS value_as_number,
            unit_id AS unit_concept_id, visit_id AS visit_occurrence_id,
            col AS measurement_source_value, unit_source AS unit_source_value,
            raw AS value_source_value
        FROM {GOOD} WHERE cells.problem IS NULL AND kind = 'measurement'
    """)  # noqa: S608


def _observations(connection: Connection) -> None:
    connection.execute(f"""
        INSERT INTO observation BY NAME
        SELECT row_number() OVER ({ORDER}) AS observation_id, person_id,
            concept_id AS observation_concept_id, visit_date AS observation_date,
            {TYPE_EHR} AS observation_type_concept_id,
            concept AS value_as_concept_id, visit_id AS visit_occurrence_id,
            col AS observation_source_value, raw AS value_source_value
        FROM {GOOD} WHERE cells.problem IS NULL AND kind = 'observation'
    """)  # noqa: S608


def _conditions(connection: Connection) -> None:
    connection.execute(f"""
        INSERT INTO condition_occurrence BY NAME
        SELECT row_number() OVER ({ORDER}) AS condition_occurrence_id, person_id,
            concept AS condition_concept_id, visit_date AS condition_start_date,
            visit_date AS condition_end_date, {TYPE_EHR} AS condition_type_concept_id,
            visit_id AS visit_occurrence_id, col AS condition_source_value
        FROM {GOOD} WHERE cells.problem IS NULL AND concept IS NOT NULL
            AND kind = 'condition_occurrence'
    """)  # noqa: S608


def _rejected(connection: Connection, mapping: Mapping) -> None:
    """Keep aside what was there but could not be mapped: place and reason only."""
    columns = {
        NO_ID: mapping.person.id,
        NO_DATE: mapping.visit.date,
        FUTURE: mapping.visit.date,
        NO_BIRTH: mapping.person.age or mapping.person.year_of_birth,
    }
    placed = " ".join(f"WHEN {text(r)} THEN {text(c)}" for r, c in columns.items())
    connection.execute(f"""
        INSERT INTO rejected
        SELECT 'extract', {text(mapping.source.file)}, kept.* FROM (
        SELECT source_row, CASE problem {placed} END, problem
        FROM placed WHERE problem IS NOT NULL
        UNION ALL
        SELECT source_row, {text(mapping.person.sex)}, {text(UNMAPPED)}
        FROM visits WHERE gender = 0 AND sex_text IS NOT NULL
        UNION ALL
        SELECT source_row, col, problem FROM followed WHERE problem IS NOT NULL
        UNION ALL
        SELECT source_row, col, problem FROM cells JOIN entries USING (place)
        WHERE problem <> {text(MISSING)}) AS kept
    """)  # noqa: S608


def _concepts(connection: Connection, mapping: Mapping) -> None:
    """List every concept used, so that a local id explains itself."""
    used: dict[int, tuple[str, str]] = {
        MALE: ("MALE", "Gender"),
        FEMALE: ("FEMALE", "Gender"),
        TYPE_EHR: ("EHR", "Type Concept"),
        mapping.visit.concept_id: (mapping.visit.name, "Visit"),
    }
    for measurement in mapping.measurements:
        used[measurement.concept_id] = (measurement.name, "Measurement")
    for observation in mapping.observations:
        used[observation.concept_id] = (observation.name, "Observation")
        for value in observation.values:
            used[value.concept_id] = (value.name, "Meas Value")
    for condition in mapping.conditions:
        used[condition.concept_id] = (condition.name, "Condition")
    rows = [_concept_row(number, *named) for number, named in used.items()]
    for code in {measurement.unit for measurement in mapping.measurements}:
        number, unit = UNITS[code]
        rows.append((number, unit, "Unit", "UCUM", "Unit", "S", code))
    connection.executemany(
        "INSERT INTO concept SELECT ?, ?, ?, ?, ?, ?, ?, '1970-01-01', '2099-12-31', "
        "NULL",
        rows,
    )


def _concept_row(number: int, title: str, domain: str) -> tuple[object, ...]:
    if number in STANDARD:
        return (number, *STANDARD[number][:4], "S", STANDARD[number][4])
    if number >= FIRST_LOCAL:
        return (number, title, domain, "Local", "Local", None, str(number))
    # Named by the site, not vouched for by our dictionary.
    return (number, title, domain, "As declared", "As declared", None, str(number))


def _cdm_source(connection: Connection, mapping: Mapping) -> None:
    """Dates come from the data, not from a clock: the same source, the same bytes."""
    site = mapping.site
    connection.execute(
        f"""
        INSERT INTO cdm_source BY NAME
        SELECT $title AS cdm_source_name, $site AS cdm_source_abbreviation,
            $title AS cdm_holder, max(visit_date) AS source_release_date,
            max(visit_date) AS cdm_release_date, 'v5.4' AS cdm_version,
            {CDM_VERSION_CONCEPT} AS cdm_version_concept_id,
            'none: concepts as declared' AS vocabulary_version
        FROM visits
        """,  # noqa: S608
        {"title": site.title or site.name, "site": site.name[:25]},
    )
