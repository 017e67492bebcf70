"""A small site folder, written as a hospital would write it."""

import os
import signal
from pathlib import Path

from hetao.cdm import Curation, curate, open_tables

SITE = """
[site]
name = "shenzhen"
title = "深圳某医院"
language = "zh-Hans"

[store]
path = "store"

[[sources]]
name = "visits"
files = "病人.csv"
encoding = "{encoding}"
missing = ["-9"]
identifiers = ["编号"]
"""
PERSON = """
SELECT pseudonym("编号") AS person_id,
  year(as_date("日期")) - as_integer("年龄") AS year_of_birth,
  "性别" AS gender_source_value, 'local' AS gender_system
FROM visits
"""
VISIT = """
SELECT pseudonym("编号") AS visit_occurrence_id, pseudonym("编号") AS person_id,
  9202 AS visit_concept_id, as_date("日期") AS visit_start_date
FROM visits
"""
MEASUREMENT = """
SELECT pseudonym("编号") AS person_id, as_date("日期") AS measurement_date,
  '胆固醇' AS measurement_source_value, 'local' AS measurement_system,
  "胆固醇" AS value_source_value, 'mg/dL' AS unit_source_value
FROM visits WHERE "胆固醇" IS NOT NULL
"""
CONDITION = """
SELECT pseudonym("编号") AS person_id, as_date("日期") AS condition_start_date,
  "诊断" AS condition_source_value, 'icd10' AS condition_system
FROM visits WHERE "诊断" IS NOT NULL
"""
SELECTS = {
    "person": PERSON,
    "visit_occurrence": VISIT,
    "measurement": MEASUREMENT,
    "condition_occurrence": CONDITION,
}
CODES = """system,code,concept_id,name,analyte,status
local,男,8507,男,,confirmed
local,女,8532,女,,confirmed
local,胆固醇,,总胆固醇,cholesterol_total,confirmed
icd10,I25.1,317576,冠心病,,confirmed
"""
HEADER = "编号,日期,年龄,性别,胆固醇,诊断"
ROWS = (
    "A1,2020-01-02,50,男,200,I25.1",
    "A2,2020-01-03,60,女,0,",
    "A3,2020-01-04,70,男,-9,I25.1",
    "A4,2020-01-05,55,?,abc,",
    "A5,2020-01-06,56,女,9000,E11.9",
    "A6,2020-13-01,57,女,210,",
    "A7,0202-01-07,57,女,210,I10",
    "A8,2099-01-07,57,女,210,",
)


def quiet(_: str) -> None:
    """Take progress and say nothing."""


def write_folder(
    folder: Path,
    rows=ROWS,
    header: str = HEADER,
    *,
    encoding: str = "utf-8",
    toml: str = SITE,
    selects=SELECTS,
) -> Path:
    """Write a site folder and its one extract; return the `site.toml`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "site.toml").write_text(toml.format(encoding=encoding), "utf-8")
    (folder / "codes.csv").write_text(CODES, "utf-8")
    for table, body in selects.items():
        (folder / f"{table}.sql").write_text(body, "utf-8")
    body = "\n".join([header, *rows]) + "\n"
    (folder / "病人.csv").write_bytes(body.encode(encoding))
    return folder / "site.toml"


def curated(path: Path, **options) -> Curation:
    """Curate quietly."""
    return curate(path, quiet, **options)


def curate_until(path: Path, step: str) -> None:
    """Curate, and die as if killed where a step begins; for a process of its own."""

    def stop(said: str) -> None:
        if said.startswith(step):
            os.kill(os.getpid(), signal.SIGKILL)

    curate(path, stop)


def rows_of(curation: Curation, query: str) -> list[tuple]:
    """Return what a query finds in a snapshot."""
    with open_tables(curation.database) as tables:
        return tables.connection.execute(query).fetchall()


def rejected(curation: Curation) -> list[tuple]:
    """Return row, column and reason of everything kept aside, in order."""
    query = "SELECT source_row, source_column, reason FROM rejected ORDER BY ALL"
    return rows_of(curation, query)
