"""An OMOP database that a hospital has built before, as Parquet files of its tables.

Habits kept: ids that count from one, a vocabulary of its own beside the standard
concepts, some source codes without a standard concept, and whatever the earlier build
lost. Load the files into PostgreSQL to have it as a server.
"""

from pathlib import Path

from hetao.dictionary import dictionary
from hetao.synth.files import write_parquet
from hetao.synth.here import DIAGNOSIS_KEY, Here, twice
from hetao.synth.reported import reported
from hetao.synth.sites import SyntheticSite

FIRST_SITE_CONCEPT = 2_000_100_000
CONCEPTS = {
    # table of codes, its code column, SQL of OMOP's vocabulary, domain
    "condition": ("code_diseases", "icd10", "'ICD10'", "Condition"),
    "drug": (
        "code_drugs",
        "coalesce(atc, hkcmms)",
        "CASE WHEN atc IS NULL THEN 'HKCMMS' ELSE 'ATC' END",
        "Drug",
    ),
    "measurement": ("code_labs", "loinc", "'LOINC'", "Measurement"),
    "procedure": ("code_procedures", "icd9proc", "'ICD9Proc'", "Procedure"),
}
VISITS = {"inpatient": 9201, "outpatient": 9202, "emergency": 9203, "primary": 9202}


def write_omop(here: Here, site: SyntheticSite, folder: Path) -> tuple[Path, ...]:
    """Write the OMOP tables of one site, and return their files.

    Args:
        here: the site's part of the population; faults put in are noted there.
        site: whose database.
        folder: where the files go, `<table>.parquet`.
    """
    reported(here, site.side)
    _concepts(here)
    tables = {
        "person": _people(here),
        "observation_period": _periods(),
        "visit_occurrence": _visits(),
        "condition_occurrence": _conditions(here),
        "drug_exposure": _drugs(here),
        "measurement": _measurements(),
        "procedure_occurrence": _procedures(),
        "death": _deaths(),
        "concept": "SELECT * FROM site_concept ORDER BY concept_id",
    }
    files = tuple(
        write_parquet(here.connection, query, folder / f"{name}.parquet")
        for name, query in tables.items()
    )
    here.note("unknown_sex", "person", "person_no")
    here.note("estimated_birth", "person", "person_no")
    here.note("unknown_code", "diagnosis", DIAGNOSIS_KEY)
    for subject, key in (("diagnosis", DIAGNOSIS_KEY), ("drug", "rx_no")):
        here.note("duplicate_row", subject, key)
    return files


def _concepts(here: Here) -> None:
    """Make `site_concept`: the source codes, with ids that the site gave them."""
    parts = " UNION ALL ".join(
        f"SELECT '{kind}' AS kind, name, {code} AS concept_code, "
        f"{vocabulary} AS vocabulary_id, '{domain}' AS domain_id, "
        f"names_en AS concept_name FROM {table}"
        for kind, (table, code, vocabulary, domain) in CONCEPTS.items()
    )
    here.connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE coded AS
        SELECT *, {FIRST_SITE_CONCEPT} + row_number() OVER (ORDER BY kind, name)
            AS concept_id
        FROM ({parts}) WHERE concept_code IS NOT NULL""")
    here.connection.execute("""
        CREATE OR REPLACE TEMP TABLE site_concept AS
        SELECT concept_id, concept_name, domain_id, vocabulary_id,
            domain_id AS concept_class_id, NULL::VARCHAR AS standard_concept,
            concept_code, DATE '1970-01-01' AS valid_start_date,
            DATE '2099-12-31' AS valid_end_date, NULL::VARCHAR AS invalid_reason
        FROM coded""")


def _people(here: Here) -> str:
    birth = here.hits("estimated_birth", "person_no")
    return f"""
        SELECT person_no AS person_id,
            CASE WHEN {here.hits("unknown_sex", "person_no")} THEN 0
                WHEN sex = 'M' THEN 8507 ELSE 8532 END AS gender_concept_id,
            year(birth_date) AS year_of_birth,
            CASE WHEN NOT {birth} THEN month(birth_date) END AS month_of_birth,
            CASE WHEN NOT {birth} THEN day(birth_date) END AS day_of_birth,
            0 AS race_concept_id, 0 AS ethnicity_concept_id,
            'MRN' || person_no AS person_source_value, sex AS gender_source_value
        FROM here_person ORDER BY person_no"""


def _periods() -> str:
    return """
        SELECT row_number() OVER (ORDER BY person_no) AS observation_period_id,
            person_no AS person_id, entry_date AS observation_period_start_date,
            coalesce(death_date, greatest(entry_date, last_day))
                AS observation_period_end_date, 32817 AS period_type_concept_id
        FROM here_person,
            (SELECT max(end_date) AS last_day FROM here_visit) AS extract_end
        ORDER BY person_no"""


def _visits() -> str:
    kinds = " ".join(f"WHEN '{kind}' THEN {number}" for kind, number in VISITS.items())
    return f"""
        SELECT visit_no AS visit_occurrence_id, person_no AS person_id,
            CASE kind {kinds} END AS visit_concept_id,
            start_date AS visit_start_date, end_date AS visit_end_date,
            32817 AS visit_type_concept_id, kind AS visit_source_value
        FROM here_visit ORDER BY visit_no"""


def _conditions(here: Here) -> str:
    key = DIAGNOSIS_KEY
    unknown = here.hits("unknown_code", key)
    return f"""
        SELECT row_number() OVER (ORDER BY visit_no, rank, copy)
                AS condition_occurrence_id, person_no AS person_id,
            0 AS condition_concept_id, day AS condition_start_date,
            32817 AS condition_type_concept_id, visit_no AS visit_occurrence_id,
            CASE WHEN {unknown} THEN 'Z99.9' ELSE concept_code END
                AS condition_source_value,
            CASE WHEN {unknown} THEN 0 ELSE concept_id END
                AS condition_source_concept_id
        FROM here_diagnosis JOIN coded ON kind = 'condition' AND name = disease
        {twice(here.hits("duplicate_row", key))} ORDER BY 1"""


def _drugs(here: Here) -> str:
    return f"""
        SELECT row_number() OVER (ORDER BY rx_no, copy) AS drug_exposure_id,
            person_no AS person_id, 0 AS drug_concept_id,
            day AS drug_exposure_start_date,
            day + (days - 1)::INTEGER AS drug_exposure_end_date,
            32838 AS drug_type_concept_id, quantity, days AS days_supply,
            visit_no AS visit_occurrence_id, concept_code AS drug_source_value,
            concept_id AS drug_source_concept_id
        FROM here_drug JOIN coded ON kind = 'drug' AND name = drug
        {twice(here.hits("duplicate_row", "rx_no"))} ORDER BY 1"""


def _measurements() -> str:
    units = " ".join(
        f"WHEN '{unit.code}' THEN {unit.concept_id}"
        for unit in dictionary().units.values()
    )
    return f"""
        SELECT lab_no AS measurement_id, person_no AS person_id,
            0 AS measurement_concept_id, taken_at::DATE AS measurement_date,
            taken_at AS measurement_datetime, 32856 AS measurement_type_concept_id,
            CASE WHEN fault = 'censored_value' THEN 4171756 END AS operator_concept_id,
            try_cast(replace(shown, '<', '') AS DECIMAL(18,6)) AS value_as_number,
            CASE ucum {units} ELSE 0 END AS unit_concept_id,
            visit_no AS visit_occurrence_id,
            concept_code AS measurement_source_value,
            concept_id AS measurement_source_concept_id, unit AS unit_source_value,
            shown AS value_source_value
        FROM reported JOIN coded ON kind = 'measurement' AND name = analyte
        ORDER BY lab_no"""


def _procedures() -> str:
    return """
        SELECT proc_no AS procedure_occurrence_id, person_no AS person_id,
            0 AS procedure_concept_id, day AS procedure_date,
            32817 AS procedure_type_concept_id, visit_no AS visit_occurrence_id,
            concept_code AS procedure_source_value,
            concept_id AS procedure_source_concept_id
        FROM here_procedure JOIN coded ON kind = 'procedure' AND name = procedure
        ORDER BY proc_no"""


def _deaths() -> str:
    return """
        SELECT person_no AS person_id, death_date, 32815 AS death_type_concept_id,
            concept_code AS cause_source_value, concept_id AS cause_source_concept_id
        FROM here_person LEFT JOIN coded ON kind = 'condition' AND name = death_cause
        WHERE death_date IS NOT NULL ORDER BY person_no"""
