"""A private clinic's records as its own software saves them: small and untidy.

Habits kept: a CSV of patients in Big5, a real workbook of consultations with days as
Excel keeps them, days written day first elsewhere, sexes in two languages, problems in
ICPC-2, ICD-10, term ids of the territory's terminology or no code at all, drugs as
free text with the dose in words, tests by name, blanks around cells.
"""

from pathlib import Path

from hetao.synth.files import Rows, write_delimited, write_excel
from hetao.synth.here import (
    DIAGNOSIS_KEY,
    MISDATED,
    Here,
    misdated,
    twice,
    written,
)
from hetao.synth.identifiers import hkid, record_no
from hetao.synth.reported import reported
from hetao.synth.sites import SyntheticSite

# ICPC-2 rubrics of the diseases that a clinic sees.
ICPC2 = {
    "hypertension": "K86",
    "diabetes": "T90",
    "dyslipidaemia": "T93",
    "afib": "K78",
    "ckd": "U99",
    "ihd": "K76",
    "copd": "R95",
    "hepatitis_b": "D72",
    "lung_cancer": "R84",
    "colorectal_cancer": "D75",
    "breast_cancer": "X76",
    "haemophilia_a": "B83",
    "scoliosis": "L85",
    "heart_failure": "K77",
    "stroke": "K90",
    "gi_bleed": "D15",
    "liver_cancer": "D77",
    "gout": "T92",
    "herpes_zoster": "S70",
    "cataract": "F92",
    "appendicitis": "D88",
    "hip_fracture": "L75",
    "respiratory_infection": "R74",
    "back_pain": "L03",
    "gastritis": "D87",
}
PATIENT = (
    "HKID No.",
    "Name",
    "中文姓名",
    "Sex",
    "DOB",
    "District",
    "Deceased",
    "Date of Death",
)
CONSULTATION = ("Visit No.", "HKID No.", "Visit Date", "Type", "Seen By")
PROBLEM = ("Visit No.", "HKID No.", "Date", "Scheme", "Code", "Problem")
MEDICATION = ("Visit No.", "HKID No.", "Date", "Drug", "Instruction", "Qty")
TEST = ("Visit No.", "HKID No.", "Taken", "Test", "Result", "Unit")
PROCEDURE = ("Visit No.", "HKID No.", "Date", "Procedure")


def write_ehealth(here: Here, site: SyntheticSite, folder: Path) -> tuple[Path, ...]:
    """Write the extract of one private clinic, and return its files.

    Args:
        here: the site's part of the population; faults put in are noted there.
        site: whose extract.
        folder: where the files go.
    """
    reported(here, site.side)
    _name_problems(here)
    connection = here.connection
    files = (
        write_delimited(
            connection, _patients(here), folder / "patients.csv", "big5hkscs"
        ),
        write_excel(
            connection,
            _consultations(),
            folder / "consultations.xlsx",
            ("text", "text", "date", "text", "text"),
        ),
        write_delimited(connection, _problems(here), folder / "problems.csv"),
        write_delimited(connection, _medications(here), folder / "medications.csv"),
        write_delimited(connection, _tests(here), folder / "tests.csv"),
        write_delimited(connection, _procedures(), folder / "procedures.csv"),
    )
    _note(here)
    return files


def _name_problems(here: Here) -> None:
    """Make `problem_code`: each disease as each scheme of the clinic calls it.

    Term ids of the territory's terminology are made up: the real ones may not be
    passed on.
    """
    here.connection.execute(
        "CREATE OR REPLACE TEMP TABLE icpc2 (disease VARCHAR, code VARCHAR)"
    )
    here.connection.executemany(
        "INSERT INTO icpc2 VALUES (?, ?)", [list(pair) for pair in ICPC2.items()]
    )
    here.connection.execute("""
        CREATE OR REPLACE TEMP TABLE problem_code AS
        SELECT name AS disease, icpc2.code AS icpc2, icd10, names_en AS term,
            (900000 + row_number() OVER (ORDER BY name))::VARCHAR AS term_id
        FROM code_diseases LEFT JOIN icpc2 ON icpc2.disease = name""")


_NUMBER = record_no("V", "visit_no")
_ID = hkid("person_no")


def _patients(here: Here) -> Rows:
    birth = here.hits("estimated_birth", "person_no")
    return Rows(
        f"""
        SELECT {_ID}, 'CHAN ' || person_no, '陳' || (person_no % 100),
            CASE WHEN {here.hits("unknown_sex", "person_no")} THEN ''
                WHEN person_no % 3 = 0 THEN CASE sex WHEN 'M' THEN '男' ELSE '女' END
                WHEN person_no % 3 = 1 THEN sex
                ELSE CASE sex WHEN 'M' THEN 'Male' ELSE 'Female' END END,
            {written("birth_date", "%d/%m/%Y", birth, "%Y")},
            district, CASE WHEN death_date IS NULL THEN 'N' ELSE 'Y' END,
            strftime(death_date, '%d/%m/%Y')
        FROM here_person ORDER BY person_no""",
        PATIENT,
    )


def _consultations() -> Rows:
    return Rows(
        f"""
        SELECT {_NUMBER}, {_ID}, start_date, CASE kind WHEN 'primary' THEN 'GP'
            WHEN 'outpatient' THEN 'Specialist' WHEN 'emergency' THEN 'Urgent'
            ELSE 'Day case' END, 'Dr ' || (visit_no % 7)
        FROM here_visit ORDER BY visit_no""",
        CONSULTATION,
    )


def _problems(here: Here) -> Rows:
    key = DIAGNOSIS_KEY
    scheme = f"({key} % 20)"
    code = f"""CASE WHEN {scheme} < 10 THEN icpc2 WHEN {scheme} < 15 THEN icd10
        WHEN {scheme} < 17 THEN term_id END"""
    return Rows(
        f"""
        SELECT {_NUMBER}, {_ID},
            {misdated(here, "day", "%d/%m/%Y", key)},
            CASE WHEN {scheme} < 10 THEN 'ICPC-2' WHEN {scheme} < 15 THEN 'ICD-10'
                WHEN {scheme} < 17 THEN 'HKCTT' END,
            CASE WHEN {here.hits("unknown_code", key)} AND {scheme} < 17
                    THEN 'X999'
                WHEN {here.hits("padded_text", key)} THEN ' ' || {code} || '  '
                ELSE {code} END, term
        FROM here_diagnosis JOIN problem_code USING (disease)
        {twice(here.hits("duplicate_row", key))}
        ORDER BY visit_no, rank, copy""",
        PROBLEM,
    )


def _medications(here: Here) -> Rows:
    """Write drugs as somebody typed them, the dose and the days in words."""
    form = (
        "CASE form WHEN 'tablet' THEN 'tab' WHEN 'capsule' THEN 'cap' "
        "WHEN 'injection' THEN 'inj' WHEN 'inhaler' THEN 'inh' ELSE form END"
    )
    short = (
        f"split_part(names_en, ' ', 1) || ' ' || replace(strength, ' ', '') || ' ' "
        f"|| {form}"
    )
    return Rows(
        f"""
        SELECT {_NUMBER}, {_ID}, strftime(day, '%d/%m/%Y'),
            CASE WHEN {here.hits("unknown_code", "rx_no")} THEN 'as before'
                WHEN rx_no % 2 = 0 OR form = 'herb'
                    THEN names_en || ' ' || strength || ' ' || form
                WHEN {here.hits("padded_text", "rx_no")} THEN '  ' || upper({short})
                ELSE {short} END,
            printf('%g', per_day::DOUBLE) || ' daily'
                || CASE WHEN rx_no % 3 = 0 THEN ' x ' || days || '/7'
                ELSE ' for ' || days || ' days' END,
            printf('%g', quantity::DOUBLE)
        FROM here_drug JOIN code_drugs ON code_drugs.name = drug
        {twice(here.hits("duplicate_row", "rx_no"))}
        ORDER BY rx_no, copy""",
        MEDICATION,
    )


def _tests(here: Here) -> Rows:
    return Rows(
        f"""
        SELECT {_NUMBER}, {_ID}, strftime(taken_at, '%d/%m/%Y %H:%M'),
            CASE WHEN {here.hits("padded_text", "lab_no")} THEN '  ' || names_en
                ELSE names_en END, shown, unit
        FROM reported JOIN code_labs ON code_labs.name = analyte ORDER BY lab_no""",
        TEST,
    )


def _procedures() -> Rows:
    return Rows(
        f"""
        SELECT {_NUMBER}, {_ID}, strftime(day, '%d/%m/%Y'), names_en
        FROM here_procedure JOIN code_procedures ON code_procedures.name = procedure
        ORDER BY proc_no""",
        PROCEDURE,
    )


def _note(here: Here) -> None:
    here.note("estimated_birth", "person", "person_no")
    here.note("unknown_sex", "person", "person_no")
    for fault in (*MISDATED, "duplicate_row"):
        here.note(fault, "diagnosis", DIAGNOSIS_KEY)
    here.note("unknown_code", "diagnosis", DIAGNOSIS_KEY, f"{DIAGNOSIS_KEY} % 20 < 17")
    for fault in ("unknown_code", "duplicate_row"):
        here.note(fault, "drug", "rx_no")
