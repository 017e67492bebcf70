"""`codes.csv`: what a site's codes mean, and what of that a person confirmed."""

import csv
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hetao.cdm.engine_duckdb import Connection, Problem, text
from hetao.cdm.macros import clean_sql
from hetao.dictionary import dictionary
from hetao.errors import InvalidMapping

CONFIRMED: Final = "confirmed"
SUGGESTED: Final = "suggested"
REJECTED: Final = "rejected"
STATUSES: Final = (CONFIRMED, SUGGESTED, REJECTED)
COLUMNS: Final = (
    "system",
    "code",
    "concept_id",
    "name",
    "analyte",
    "classes",
    "status",
    "score",
    "meaning",
    "confirmed_by",
    "confirmed_on",
)
WORDS: Final = ("name", "meaning", "confirmed_by")  # for people
TABLE: Final = "known_code"
LARGEST: Final = 2**53 - 1


def load_codes(connection: Connection, path: Path | None) -> None:
    """Make the temporary table `known_code` of a site's `codes.csv`, checked.

    Its columns are those of COLUMNS, text but for `concept_id` BIGINT and `score`
    DOUBLE; a cell without text is NULL. Only rows whose status is "confirmed" mean
    anything to a curation; the others are a person's list of things to look at.

    Args:
        connection: any DuckDB connection.
        path: the file: UTF-8, comma, a header of `system`, `code` and any other of
            COLUMNS in any order. None makes the table without rows.

    Raises:
        InvalidMapping: the file cannot be read, or a row cannot hold; the line, the
            column and the rule are named.
    """
    header: tuple[str, ...] = ()
    if path is not None:  # refused before anything is made, where it does not hold
        header = _header(path)
        _read(connection, path, header)
        _check(connection, path, header)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {TABLE} (line BIGINT, system VARCHAR, "
        "code VARCHAR, concept_id BIGINT, name VARCHAR, analyte VARCHAR, "
        "classes VARCHAR, status VARCHAR, score DOUBLE, meaning VARCHAR, "
        "confirmed_by VARCHAR, confirmed_on VARCHAR)"
    )
    if path is None:
        return
    cells = ", ".join(
        _typed(column) if column in header else f"NULL AS {column}"
        for column in COLUMNS
    )
    # S608, here and below: names are our own, values are quoted by `text`.
    connection.execute(f"INSERT INTO {TABLE} SELECT line, {cells} FROM codes_file")  # noqa: S608
    connection.execute("DROP TABLE codes_file")


def _typed(column: str) -> str:
    kinds = {"concept_id": "BIGINT", "score": "DOUBLE"}
    return f"CAST({column} AS {kinds.get(column, 'VARCHAR')}) AS {column}"


def _read(connection: Connection, path: Path, header: tuple[str, ...]) -> None:
    """Make the temporary table `codes_file`, every cell trimmed text or NULL.

    What a machine compares, and no person reads, has no full-width forms either.
    """
    names = ", ".join(f"{text(name)}: 'VARCHAR'" for name in header)
    source = (
        f"read_csv({text(str(path))}, delim=',', quote='\"', escape='\"', header=true, "
        f"columns={{{names}}}, auto_detect=false, strict_mode=true, "
        "null_padding=false, encoding='utf-8')"
    )
    cells = ", ".join(
        f"nullif({f'trim({name})' if name in WORDS else clean_sql(name)}, '') AS {name}"
        for name in header
    )
    rows = f"SELECT row_number() OVER () + 1 AS line, {cells} FROM {source}"  # noqa: S608
    try:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE codes_file AS {rows}")
    except Problem as problem:
        raise _unreadable(path, str(problem)) from None


def _header(path: Path) -> tuple[str, ...]:
    """Return the names in the first line, checked."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = tuple(name.strip() for name in next(csv.reader(file), []))
    except OSError as problem:
        raise InvalidMapping(
            f"{path.name} cannot be read: {problem.strerror}", fix="check the path"
        ) from problem
    except (UnicodeDecodeError, csv.Error) as problem:
        raise _unreadable(path, str(problem)) from problem
    _check_header(header, path)
    return header


def _unreadable(path: Path, local: str) -> InvalidMapping:
    return InvalidMapping(
        f"{path.name} cannot be read as comma-separated UTF-8 text",
        fix="save it as CSV in UTF-8, with one header line",
        local=local,
    )


def _check_header(header: tuple[str, ...], path: Path) -> None:
    unknown = [name for name in header if name not in COLUMNS]
    missing = [name for name in ("system", "code") if name not in header]
    if unknown or missing or len(set(header)) != len(header):
        wrong = f"unknown column {unknown[0][:40]!r}" if unknown else ""
        wrong = wrong or (f"column {missing[0]!r} is missing" if missing else "")
        raise InvalidMapping(
            f"{path.name}: {wrong or 'a column stands twice'}",
            fix="columns: " + ", ".join(COLUMNS),
        )


def _check(connection: Connection, path: Path, header: tuple[str, ...]) -> None:
    """Refuse the first row that breaks a rule; every rule is one SQL condition."""
    rules = {name: rule for name, rule in _rules().items() if name in header}
    asked = ", ".join(f"min(line) FILTER ({broken})" for broken, _ in rules.values())
    lines = connection.execute(f"SELECT {asked} FROM codes_file").fetchone() or ()  # noqa: S608
    for line, (column, (_, says)) in zip(lines, rules.items(), strict=True):
        if line:
            raise InvalidMapping(f"{path.name} line {line}: {column} {says}")
    _check_once(connection, path, header)


@functools.cache
def _rules() -> Mapping[str, tuple[str, str]]:
    """Return column → (SQL of what a cell of it may not be, what is then said)."""
    known = dictionary()
    systems = ", ".join(map(text, known.systems))
    analytes = ", ".join(map(text, known.analytes))
    statuses = ", ".join(map(text, STATUSES))
    return {
        "code": ("code IS NULL", "is empty"),
        "system": (
            f"system IS NULL OR system NOT IN ({systems})",
            "is no code system of the data dictionary",
        ),
        "concept_id": (
            "concept_id IS NOT NULL AND (NOT regexp_full_match(concept_id, "
            "'[0-9]{1,16}') OR "
            f"TRY_CAST(concept_id AS BIGINT) NOT BETWEEN 0 AND {LARGEST})",
            "is no concept id",
        ),
        "analyte": (
            f"analyte IS NOT NULL AND analyte NOT IN ({analytes})",
            "is no analyte of the data dictionary",
        ),
        "classes": (
            "classes IS NOT NULL AND NOT regexp_full_match(classes, "
            "'[a-z0-9_]+:[^|:]+([|][a-z0-9_]+:[^|:]+)*')",
            "is not written as system:code|system:code",
        ),
        "status": (
            f"status IS NOT NULL AND status NOT IN ({statuses})",
            "is none of " + ", ".join(STATUSES),
        ),
        "score": (
            "score IS NOT NULL AND NOT "
            "coalesce(TRY_CAST(score AS DOUBLE) BETWEEN 0 AND 100, false)",
            "is no number from 0 to 100",
        ),
    }


def _check_once(connection: Connection, path: Path, header: tuple[str, ...]) -> None:
    confirmed = f"status = {text(CONFIRMED)}" if "status" in header else "FALSE"
    row = connection.execute(f"""
        SELECT max(line) FROM codes_file WHERE {confirmed}
        GROUP BY system, code HAVING count(*) > 1 ORDER BY 1 LIMIT 1
    """).fetchone()  # noqa: S608
    if row:
        raise InvalidMapping(
            f"{path.name} line {row[0]}: this code is confirmed a second time",
            fix="keep one confirmed row a code",
        )
