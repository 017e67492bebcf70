"""A Hong Kong public hospital's extract as its own analysis system exports it.

Habits kept, all of them seen in published analysis code: HTML tables named `.xls` with
now and then a real workbook among them, headers that end in a line end, a dispensing
file with two columns of one name, dates of which the day is unknown (`2015-09-`, with a
flag), one file a laboratory test, diagnoses that stand both in the episode's ranks and
in the list of all diagnoses, death causes in ICD-10 without dots.
"""

from pathlib import Path

from hetao.synth.files import Rows, write_excel, write_html
from hetao.synth.here import (
    DIAGNOSIS_KEY,
    MISDATED,
    Here,
    misdated,
    twice,
    written,
)
from hetao.synth.identifiers import record_no, reference_key
from hetao.synth.reported import reported
from hetao.synth.sites import SyntheticSite

RANKS = 5
KEY = "Reference Key\n"
# A number of an episode tells of which kind it is.
_PREFIX = (
    "CASE kind WHEN 'inpatient' THEN 'HN' WHEN 'emergency' THEN 'AE' "
    "WHEN 'primary' THEN 'GOP' ELSE 'SOP' END"
)
_NUMBER = f"({_PREFIX} || {record_no('', 'visit_no')})"

PATIENT = (
    KEY,
    "Sex\n",
    "Date of Birth (yyyy-mm-dd)\n",
    "Exact date of birth\n",
    "Race Description\n",
    "District of Residence (system code)\n",
    "District of Residence Description\n",
    "Date of Registered Death\n",
    "Exact date of death\n",
    "Registered Death Identifier\n",
    "Death Cause (Main Cause)\n",
    "Death Cause (Supplementary Cause)\n",
)
INPATIENT = (
    KEY,
    "HN Number\n",
    "Institution (IPAS)\n",
    "Admission Date (yyyy-mm-dd)\n",
    "Discharge Date (yyyy-mm-dd)\n",
    "Admission Specialty (EIS)\n",
    "Length of Stay\n",
    "Paycode (at discharge)\n",
    "Principal Diagnosis Code\n",
    *(f"Diagnosis (rank {rank})\n" for rank in range(2, RANKS + 1)),
    "Principal Diagnosis Description (HAMDCT)\n",
)
OUTPATIENT = (
    KEY,
    "Appointment Number\n",
    "Institution (OPAS)\n",
    "Appointment Date (yyyy-mm-dd)\n",
    "Attendance Type (SOP/GOP)\n",
    "Appointment Specialty (OPAS)\n",
)
EMERGENCY = (
    KEY,
    "Institution (IPAS)\n",
    "AE Number\n",
    "Attendance Date (yyyy-mm-dd)\n",
    "Attendance Date (Hour)\n",
    "Admission Age (Year) (episode based)\n",
    "Triage Category\n",
    "Episode Death (Y/N)\n",
    "Discharge Date (yyyy-mm-dd)\n",
    "Principal Diagnosis Code\n",
)
DIAGNOSIS = (
    KEY,
    "Reference Date\n",
    "All Diagnosis Code (ICD9)\n",
    "All Diagnosis Description (HAMDCT)\n",
)
PROCEDURE = (
    KEY,
    "Procedure Date (yyyy-mm-dd)\n",
    "All Procedure Code\n",
    "All Procedure Description\n",
)
DISPENSING = (
    KEY,
    "Institution (EIS)\n",
    "Dispensing Specialty (PHS)\n",
    "Dispensing Date (yyyy-mm-dd)\n",
    "Dispensing Specialty (PHS)\n",  # twice, as in the source
    "Prescription Start Date\n",
    "Prescription End Date\n",
    "Multiple dosage indicator\n",
    "Drug Item Code\n",
    "Drug Name\n",
    "Route\n",
    "Drug Strength\n",
    "Dispensing Duration\n",
    "Dispensing Duration Unit\n",
    "Quantity (Named Patient)\n",
    "Base Unit\n",
    "Action Status\n",
    "Therapeutic Classification (BNF, Principal)\n",
    "Type of Patient (Drug)\n",
)
LABORATORY = (
    KEY,
    "LIS Case No.\n",
    "LIS Reference Datetime\n",
    "LIS Test Code\n",
    "LIS Test Description\n",
    "LIS Result\n",
    "LIS Result: Numeric Result\n",
    "LIS Test Unit\n",
)


def write_ha_cdars(here: Here, site: SyntheticSite, folder: Path) -> tuple[Path, ...]:
    """Write the extract of one Hong Kong public site, and return its files.

    Args:
        here: the site's part of the population; faults put in are noted there.
        site: whose extract.
        folder: where the files go.
    """
    reported(here, "HK")
    connection = here.connection
    files = [
        write_html(connection, _patients(here), folder / "patient.xls"),
        write_html(connection, _inpatients(site.name), folder / "ip.xls"),
        write_html(connection, _outpatients(site.name), folder / "op.xls"),
        write_html(connection, _emergencies(site.name), folder / "ae.xls"),
        write_html(connection, _diagnoses(here), folder / "dx.xls"),
        write_html(connection, _procedures(), folder / "px.xls"),
        *_dispensings(here, site.name, folder),
        *_laboratories(here, folder),
    ]
    _note(here)
    return tuple(files)


# Long after the death, so that it is no slip of the register, and no day of the future.
_LONG_DEAD = """person_no IN (SELECT person_no FROM here_person
    WHERE death_date + 180 <= (SELECT max(start_date) FROM here_visit))"""
_AFTER_DEATH = """(SELECT death_date + (90 + d.rx_no % 90)::INTEGER
    FROM here_person AS p WHERE p.person_no = d.person_no)"""


def _patients(here: Here) -> Rows:
    birth = here.hits("estimated_birth", "person_no")
    death = here.hits("partial_death", "person_no")
    return Rows(
        f"""
        SELECT {reference_key("person_no")},
            CASE WHEN {here.hits("unknown_sex", "person_no")} THEN 'U'
                ELSE here_person.sex END,
            {written("birth_date", "%Y-%m-%d", birth, "%Y-")},
            CASE WHEN {birth} THEN 'N' ELSE 'Y' END, 'CHINESE',
            left(md5(district), 3), upper(district),
            {written("death_date", "%Y-%m-%d", death, "%Y-%m-")},
            CASE WHEN death_date IS NULL THEN NULL WHEN {death} THEN 'N' ELSE 'Y' END,
            CASE WHEN death_date IS NOT NULL THEN 'Y' END,
            replace(cause.icd10, '.', ''), NULL
        FROM here_person LEFT JOIN code_diseases AS cause ON cause.name = death_cause
        ORDER BY person_no""",
        PATIENT,
    )


def _inpatients(site: str) -> Rows:
    ranks = ", ".join(
        f"max(CASE WHEN place = {rank} THEN icd9cm END)" for rank in range(1, RANKS + 1)
    )
    return Rows(
        f"""
        SELECT {reference_key("person_no")}, {_NUMBER}, '{site}',
            start_date, end_date, any_value(specialty.ha),
            date_diff('day', start_date, end_date) + 1,
            CASE WHEN person_no % 50 = 0 THEN 'NE' ELSE 'EP' END, {ranks},
            max(CASE WHEN place = 1 THEN ranked.names_en END)
        FROM here_visit LEFT JOIN code_specialties AS specialty
            ON specialty.name = specialty
        LEFT JOIN ({_ranked()}) AS ranked USING (visit_no, person_no)
        WHERE kind = 'inpatient'
        GROUP BY visit_no, person_no, kind, start_date, end_date ORDER BY visit_no""",
        INPATIENT,
    )


def _ranked() -> str:
    """Return the diagnoses that stand in the ranks of an episode, by place."""
    return """
        SELECT visit_no, person_no, day, icd9cm, names_en, row_number() OVER (
            PARTITION BY visit_no ORDER BY rank, icd9cm) AS place
        FROM here_diagnosis JOIN here_visit USING (visit_no, person_no)
        JOIN code_diseases ON code_diseases.name = disease
        WHERE day = start_date"""


def _outpatients(site: str) -> Rows:
    return Rows(
        f"""
        SELECT {reference_key("person_no")},
            {_NUMBER}, '{site}', start_date,
            CASE WHEN kind = 'primary' THEN 'GOP' ELSE 'SOP' END,
            specialty.ha
        FROM here_visit LEFT JOIN code_specialties AS specialty
            ON specialty.name = specialty
        WHERE kind IN ('outpatient', 'primary') ORDER BY visit_no""",
        OUTPATIENT,
    )


def _emergencies(site: str) -> Rows:
    return Rows(
        f"""
        SELECT {reference_key("person_no")}, '{site}', {_NUMBER},
            start_date, visit_no % 24, date_diff('year', birth_date, start_date),
            1 + visit_no % 5, CASE WHEN death_date = start_date THEN 'Y' ELSE 'N' END,
            end_date, ranked.icd9cm
        FROM here_visit JOIN here_person USING (person_no)
        LEFT JOIN ({_ranked()}) AS ranked
            USING (visit_no, person_no)
        WHERE kind = 'emergency' AND coalesce(place, 1) = 1 ORDER BY visit_no""",
        EMERGENCY,
    )


def _diagnoses(here: Here) -> Rows:
    key = DIAGNOSIS_KEY
    return Rows(
        f"""
        SELECT {reference_key("person_no")},
            CASE WHEN {here.hits("partial_date", key)} THEN strftime(day, '%Y-%m-')
                ELSE {misdated(here, "day", "%Y-%m-%d", key)} END,
            CASE WHEN {here.hits("unknown_code", key)} THEN 'V99.9'
                ELSE icd9cm END, names_en
        FROM here_diagnosis JOIN code_diseases ON code_diseases.name = disease
        {twice(here.hits("duplicate_row", key))}
        ORDER BY visit_no, rank, disease, copy""",
        DIAGNOSIS,
    )


def _procedures() -> Rows:
    return Rows(
        f"""
        SELECT {reference_key("person_no")}, day, icd9proc, names_en
        FROM here_procedure JOIN code_procedures ON code_procedures.name = procedure
        ORDER BY proc_no""",
        PROCEDURE,
    )


def _dispensings(here: Here, site: str, folder: Path) -> list[Path]:
    """Write one file a year; the last one is a real workbook."""
    years = [
        int(row[0])
        for row in here.connection.execute(
            "SELECT DISTINCT year(day) FROM here_drug ORDER BY 1"
        ).fetchall()
    ]
    files = []
    for year in years:
        rows = _dispensed(here, site, year)
        path = folder / f"rx_{year}.xls"
        if year < years[-1]:
            files.append(write_html(here.connection, rows, path))
        else:
            kinds = ("number", *("text" for _ in DISPENSING[1:]))
            files.append(write_excel(here.connection, rows, path, kinds))
    return files


def _dispensed(here: Here, site: str, year: int) -> Rows:
    weeks = "(days % 7 = 0 AND rx_no % 2 = 0)"
    late = f"({_LONG_DEAD} AND {here.hits('after_death', 'rx_no')})"
    return Rows(
        f"""
        WITH dated AS (
            SELECT d.* REPLACE (CASE WHEN {late} THEN {_AFTER_DEATH} ELSE day END
                AS day), year(day) AS year
            FROM here_drug AS d
        )
        SELECT {reference_key("person_no")}, '{site}', specialty.ha, day,
            specialty.ha, day, day + (days - 1)::INTEGER, 'N',
            CASE WHEN {here.hits("unknown_code", "rx_no")} THEN 'Z' ELSE '' END
                || coalesce(ha_drug, hkcmms),
            upper(code_drugs.names_en || ' ' || form || ' ' || strength),
            CASE form WHEN 'injection' THEN 'INTRAVENOUS' WHEN 'inhaler'
                THEN 'INHALATION' ELSE 'ORAL' END, strength,
            CASE WHEN {weeks} THEN days // 7 ELSE days END,
            CASE WHEN {weeks} THEN 'Week(s)' ELSE 'Day(s)' END,
            printf('%g', quantity::DOUBLE), upper(form), 'Dispensed', bnf,
            CASE WHEN kind = 'inpatient' THEN 'I' ELSE 'O' END
        FROM dated JOIN code_drugs ON code_drugs.name = drug
        JOIN here_visit USING (visit_no, person_no)
        LEFT JOIN code_specialties AS specialty ON specialty.name = specialty
        {twice(here.hits("duplicate_row", "rx_no"))}
        WHERE year = {year} ORDER BY rx_no, copy""",
        DISPENSING,
    )


def _laboratories(here: Here, folder: Path) -> list[Path]:
    """Write one file a test: that is how a query of results is answered."""
    tests = here.connection.execute(
        "SELECT DISTINCT analyte, ha_lis FROM reported JOIN code_labs "
        "ON code_labs.name = analyte ORDER BY 2"
    ).fetchall()
    return [
        write_html(
            here.connection, _results(analyte), folder / f"lis_{test.lower()}.xls"
        )
        for analyte, test in tests
    ]


def _results(analyte: str) -> Rows:
    return Rows(
        f"""
        SELECT {reference_key("person_no")}, {_NUMBER},
            strftime(taken_at, '%Y-%m-%d %H:%M:%S'), ha_lis, names_en, shown,
            try_cast(shown AS DOUBLE)::VARCHAR, unit
        FROM reported JOIN code_labs ON code_labs.name = analyte
        JOIN here_visit USING (visit_no, person_no)
        WHERE analyte = '{analyte}' ORDER BY lab_no""",
        LABORATORY,
    )


def _note(here: Here) -> None:
    """Keep what was hit, so that a test can look for exactly that."""
    here.note("estimated_birth", "person", "person_no")
    here.note("unknown_sex", "person", "person_no")
    here.note("partial_death", "person", "person_no", "death_date IS NOT NULL")
    for fault in (*MISDATED, "partial_date", "unknown_code", "duplicate_row"):
        here.note(fault, "diagnosis", DIAGNOSIS_KEY)
    for fault in ("unknown_code", "duplicate_row"):
        here.note(fault, "drug", "rx_no")
    here.note("after_death", "drug", "rx_no", _LONG_DEAD)
