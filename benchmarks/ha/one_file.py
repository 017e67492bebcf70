"""Curation of one large file against its floor: the plain reading of that file.

    python benchmarks/ha/one_file.py [--rows 3e6] [--scratch FOLDER]

The file is a made-up laboratory's: a row a result, eight columns, thirty results a
person. Curation reads it, types and judges every cell, makes people and their time of
observation from it too, tells the fate of every row, takes the digest and checks
quality. The floor is one `read_csv` and `CREATE TABLE`, into a database file.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).parents[1]))
from ha.curation import Clock, quiet, read_plainly, show
from hetao.cdm import curate
from hetao.cdm.mapping import read_folder

SITE = """
[site]
name = "bench"
title = "One large file"
language = "en"

[store]
path = "store"
key = "pseudonym.key"

[[sources]]
name = "results"
files = "results.csv"
missing = ["NA"]
identifiers = ["patient"]
"""
SELECTS = {
    "person": """
        WITH once AS (SELECT patient, min(sex) AS sex, min(birth_year) AS born
            FROM results GROUP BY patient)
        SELECT pseudonym(patient) AS person_id, sex AS gender_source_value,
            'local' AS gender_system, as_year(born) AS year_of_birth,
            0 AS race_concept_id, 0 AS ethnicity_concept_id
        FROM once""",
    "observation_period": """
        WITH seen AS (SELECT patient, min(as_date(taken_on)) AS first_day,
            max(as_date(taken_on)) AS last_day FROM results GROUP BY patient)
        SELECT pseudonym(patient) AS person_id,
            first_day AS observation_period_start_date,
            last_day AS observation_period_end_date, 32817 AS period_type_concept_id
        FROM seen""",
    "measurement": """
        SELECT pseudonym(patient) AS person_id, as_date(taken_on) AS measurement_date,
            test AS measurement_source_value, 'local' AS measurement_system,
            result AS value_source_value, unit AS unit_source_value,
            32856 AS measurement_type_concept_id, source_row, source_file
        FROM results""",
}
CODES = """system,code,concept_id,name,analyte,classes,status
local,CREA,,Creatinine,creatinine,,confirmed
local,HB,,Haemoglobin,haemoglobin,,confirmed
local,A1C,,Haemoglobin A1c,hba1c,,confirmed
local,F,8532,Female,,,confirmed
local,M,8507,Male,,,confirmed
"""
# One result in a thousand says nothing, and one is below what the test can see.
ROWS = """
    SELECT format('HN{:08d}', person) AS patient,
        CASE WHEN person % 2 = 0 THEN 'F' ELSE 'M' END AS sex,
        (1930 + person % 70)::VARCHAR AS birth_year,
        (DATE '2015-01-01' + (hash(number) % 4000)::INTEGER)::VARCHAR AS taken_on,
        ['CREA', 'HB', 'A1C'][1 + kind] AS test,
        CASE hash(number + 1) % 1000 WHEN 0 THEN 'NA' WHEN 1 THEN '<5' ELSE
            ([60, 11, 6][1 + kind] + hash(number + 2) % 40 / 10)::DECIMAL(9, 1)::VARCHAR
            END AS result,
        ['umol/L', 'g/dL', '%'][1 + kind] AS unit,
        format('Ward {}', hash(number + 3) % 40) AS ward
    FROM (SELECT range AS number, range % {people} AS person,
        (hash(range) // 7 % 3)::INTEGER AS kind FROM range({rows}))
"""


def lay_site(rows, folder):
    """Write the site's mapping and its file; return its `site.toml`."""
    path = folder / "site" / "site.toml"
    path.parent.mkdir()
    path.write_text(SITE, "utf-8")
    (path.parent / "codes.csv").write_text(CODES, "utf-8")
    for table, body in SELECTS.items():
        (path.parent / f"{table}.sql").write_text(body + "\n", "utf-8")
    select = ROWS.replace("{people}", str(max(rows // 30, 1)))
    select = select.replace("{rows}", str(rows))
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY ({select}) TO '{path.parent}/results.csv' (FORMAT csv, HEADER)"
        )
    return path


def measure(rows: int, folder: Path) -> dict:
    """Curate one file of so many made-up results, and read it plainly.

    Args:
        rows: how many results.
        folder: an empty one, for the file and everything made of it.

    Returns:
        Seconds of wall and processor time, `rows`, `bytes`, and `ratio`, which is
        `cpu` over `floor_cpu`.
    """
    path = lay_site(rows, folder)
    clock = Clock()
    read = read_plainly(read_folder(path), folder / "floor.duckdb")
    floor_wall, floor_cpu = clock.told()
    clock = Clock()
    curate(path, quiet)
    wall, cpu = clock.told()
    return {
        "wall": wall,
        "cpu": cpu,
        "floor_wall": floor_wall,
        "floor_cpu": floor_cpu,
        "rows": read,
        "bytes": (path.parent / "results.csv").stat().st_size,
        "ratio": cpu / floor_cpu,
    }


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=float, default=3e6)
    parser.add_argument("--scratch", type=Path, help="folder for the file")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.scratch, prefix="hetao-") as name:
        show(measure(int(chosen.rows), Path(name)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
