"""One table, a row a visit: what a department keeps in a spreadsheet of its own."""

from pathlib import Path

from hetao.synth.files import Rows, write_delimited
from hetao.synth.here import Here, twice, written
from hetao.synth.identifiers import record_no
from hetao.synth.reported import reported
from hetao.synth.sites import SyntheticSite

NO_UNITS = ("unit_of_other_side", "unknown_unit")  # its columns name none
DIAGNOSES = 3
DRUGS = 2
TESTS = {  # column → analyte
    "hba1c": "hba1c",
    "creatinine": "creatinine",
    "haemoglobin": "haemoglobin",
    "sbp": "systolic_pressure",
    "dbp": "diastolic_pressure",
}
VISIT = (
    "patient",
    "sex",
    "birth_date",
    "death_date",
    "visit_date",
    "leave_date",
    "kind",
    *(f"diagnosis_{place}" for place in range(1, DIAGNOSES + 1)),
    *(
        f"{what}_{place}"
        for place in range(1, DRUGS + 1)
        for what in ("drug", "drug_days")
    ),
    *TESTS,
)


def write_flat(here: Here, site: SyntheticSite, folder: Path) -> tuple[Path, ...]:
    """Write the table of one site, and return its file.

    What has no column is left out: a visit's further diagnoses and drugs, a second
    result of one test, procedures.

    Args:
        here: the site's part of the population; faults put in are noted there.
        site: whose table.
        folder: where the file goes.
    """
    reported(here, site.side, NO_UNITS)
    path = write_delimited(here.connection, _visits(here), folder / "visits.csv")
    here.note("duplicate_row", "visit", "visit_no")
    here.note("estimated_birth", "person", "person_no")
    here.note("unknown_sex", "person", "person_no")
    return (path,)


def _visits(here: Here) -> Rows:
    diagnoses = ", ".join(
        f"max(icd10) FILTER (place = {place}) AS diagnosis_{place}"
        for place in range(1, DIAGNOSES + 1)
    )
    drugs = ", ".join(
        f"max(atc) FILTER (place = {place}) AS drug_{place}, "
        f"max(days) FILTER (place = {place}) AS days_{place}"
        for place in range(1, DRUGS + 1)
    )
    tests = ", ".join(
        f"max(shown) FILTER (analyte = '{analyte}') AS {column}"
        for column, analyte in TESTS.items()
    )
    birth = here.hits("estimated_birth", "person_no")
    return Rows(
        f"""
        WITH diagnosed AS (
            SELECT visit_no, {diagnoses} FROM (
                SELECT visit_no, icd10, row_number() OVER (
                    PARTITION BY visit_no ORDER BY rank) AS place
                FROM here_diagnosis JOIN code_diseases ON code_diseases.name = disease)
            GROUP BY visit_no
        ),
        treated AS (
            SELECT visit_no, {drugs} FROM (
                SELECT visit_no, coalesce(atc, hkcmms) AS atc, days,
                    row_number() OVER (PARTITION BY visit_no ORDER BY rx_no) AS place
                FROM here_drug JOIN code_drugs ON code_drugs.name = drug)
            GROUP BY visit_no
        ),
        tested AS (
            SELECT visit_no, {tests} FROM (
                SELECT * FROM reported QUALIFY row_number() OVER (
                    PARTITION BY visit_no, analyte ORDER BY lab_no) = 1)
            GROUP BY visit_no
        )
        SELECT {record_no("P", "person_no")},
            CASE WHEN {here.hits("unknown_sex", "person_no")} THEN '' ELSE sex END,
            {written("birth_date", "%Y-%m-%d", birth, "%Y")},
            death_date, start_date, end_date, kind, diagnosed.* EXCLUDE (visit_no),
            treated.* EXCLUDE (visit_no), tested.* EXCLUDE (visit_no)
        FROM here_visit JOIN here_person USING (person_no)
        LEFT JOIN diagnosed USING (visit_no) LEFT JOIN treated USING (visit_no)
        LEFT JOIN tested USING (visit_no)
        {twice(here.hits("duplicate_row", "visit_no"))}
        ORDER BY visit_no, copy""",
        VISIT,
    )
