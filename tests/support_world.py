"""A small OMOP database made by arithmetic: few days, few concepts, so many ties."""

from hetao.cdm.engine_duckdb import connect
from hetao.dictionary import ddl, dictionary

PEOPLE, EVENTS = 300, 6000
RIGHT_UNIT, MALE, FEMALE = 8753, 8507, 8532
# `r` is the row's number; primes make the columns look unrelated.
_DAY = "DATE '2019-12-20' + CAST((r * 7919 + r // 7 * 13) % 80 AS INTEGER)"
_PERSON = f"r * 104729 % {PEOPLE} + 1"
_CONCEPT = "(r * 31 + r // 11) % 6"
_SOURCE = "2000000000 + (r * 17 + r // 13) % 5"
_NUMBER = """CASE WHEN r % 9 = 0 THEN NULL
    ELSE CAST(r * 7907 % 4000 - 500 AS DECIMAL(18,6)) * 0.015625 END"""
_CLOCK = f"""CASE WHEN r % 4 = 0 THEN NULL
    ELSE CAST({_DAY} AS TIMESTAMP) + INTERVAL (r % 3) HOUR END"""


def _events(table, stem, day, **more):
    """Return the columns of an event table of one stem."""
    return {
        f"{table}_id": "4611686018427387000 + r * 13 % 6007",  # big, and not in order
        "person_id": _PERSON,
        f"{stem}_concept_id": _CONCEPT,
        f"{stem}_source_concept_id": _SOURCE,
        f"{stem}_source_value": "CASE WHEN r % 5 = 0 THEN '河套' ELSE 'a' || r % 3 END",
        day: _DAY,
        f"{stem}_type_concept_id": "0",
        **more,
    }


VISIT = {"visit_occurrence_id": "CASE WHEN r % 3 = 0 THEN NULL ELSE r % 700 END"}
VALUE = {
    "value_as_number": _NUMBER,
    "value_as_concept_id": "CASE WHEN r % 4 = 0 THEN NULL ELSE 11 + r % 2 END",
}
COLUMNS = {
    "person": (
        PEOPLE,
        {
            "person_id": "r + 1",
            "gender_concept_id": f"CASE r % 5 WHEN 0 THEN 0 WHEN 1 THEN {MALE} "
            f"WHEN 2 THEN {MALE} ELSE {FEMALE} END",
            "year_of_birth": "1930 + r * 37 % 70",
            "race_concept_id": "0",
            "ethnicity_concept_id": "0",
        },
    ),
    "observation_period": (
        PEOPLE + 60,
        {
            "observation_period_id": "r",
            "person_id": f"r % {PEOPLE} + 1",
            "observation_period_start_date": "DATE '2019-06-01' "
            "+ CAST(r * 41 % 200 AS INTEGER)",
            "observation_period_end_date": "DATE '2020-02-10' "
            "+ CAST(r * 43 % 120 AS INTEGER)",
            "period_type_concept_id": "0",
        },
    ),
    "death": (
        PEOPLE // 9,
        {
            "person_id": "r * 7 + 1",
            "death_date": "DATE '2020-02-01' + CAST(r * 11 % 60 AS INTEGER)",
            "cause_concept_id": _CONCEPT,
        },
    ),
    "visit_occurrence": (
        700,
        _events("visit_occurrence", "visit", "visit_start_date")
        | {
            "visit_occurrence_id": "r",
            "visit_end_date": _DAY + " + CAST(r % 5 AS INTEGER)",
        },
    ),
    "condition_occurrence": (
        EVENTS,
        _events("condition_occurrence", "condition", "condition_start_date", **VISIT),
    ),
    "drug_exposure": (
        EVENTS,
        _events(
            "drug_exposure",
            "drug",
            "drug_exposure_start_date",
            drug_exposure_end_date=_DAY + " + CAST(r * 3 % 12 AS INTEGER)",
            days_supply="CASE WHEN r % 7 = 0 THEN NULL ELSE r % 30 END",
            **VISIT,
        ),
    ),
    "procedure_occurrence": (
        EVENTS // 3,
        _events("procedure_occurrence", "procedure", "procedure_date", **VISIT),
    ),
    "measurement": (
        EVENTS,
        _events(
            "measurement",
            "measurement",
            "measurement_date",
            measurement_datetime=_CLOCK,
            unit_concept_id=str(RIGHT_UNIT),
            **VALUE,
            **VISIT,
        ),
    ),
    "observation": (
        EVENTS // 2,
        _events(
            "observation",
            "observation",
            "observation_date",
            observation_datetime=_CLOCK,
            **VALUE,
            **VISIT,
        ),
    ),
    "concept": (
        12,
        {
            "concept_id": f"CASE WHEN r < 6 THEN r WHEN r = 11 THEN {RIGHT_UNIT} "
            "ELSE 2000000000 + r - 6 END",
            "concept_name": "'name ' || r",
            "domain_id": "'Condition'",
            "vocabulary_id": "CASE WHEN r = 11 THEN 'UCUM' WHEN r < 6 THEN 'SNOMED' "
            "ELSE 'ICD10' END",
            "concept_class_id": "'none'",
            "concept_code": "CASE WHEN r = 11 THEN 'mmol/L' WHEN r < 6 THEN '' || r "
            "ELSE 'I4' || r || '.9' END",
            "valid_start_date": "DATE '1970-01-01'",
            "valid_end_date": "DATE '2099-12-31'",
        },
    ),
    "concept_ancestor": (
        3,
        {
            "ancestor_concept_id": "1",
            "descendant_concept_id": "r + 1",
            "min_levels_of_separation": "r",
            "max_levels_of_separation": "r",
        },
    ),
}


def write_world(folder):
    """Write the database as a snapshot's: every table of the dictionary."""
    folder.mkdir(parents=True, exist_ok=True)
    with connect(folder / "cdm.duckdb") as connection:
        for table in dictionary().tables.values():
            connection.execute(ddl(table, "duckdb"))
        for table, (rows, columns) in COLUMNS.items():
            known = set(dictionary().tables[table].columns)
            kept = {name: sql for name, sql in columns.items() if name in known}
            connection.execute(
                f"INSERT INTO {table} BY NAME SELECT "  # noqa: S608
                + ", ".join(f"{sql} AS {name}" for name, sql in kept.items())
                + f" FROM range({rows}) AS given(r)"
            )
