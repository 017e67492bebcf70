"""OHDSI's cohort definitions (CIRCE JSON), carried out as OHDSI's own SQL means them.

The definition becomes OHDSI SQL, then DuckDB's dialect, both by the extra
`hetao[circe]`; the script that comes out is a fixed sequence of temporary tables. Here
it is put together again as one SELECT over common table expressions: nothing is
created on the connection, so nothing can be left behind on it, and it also works where
the database is read-only or a transaction is open.

OHDSI's SQL leaves the order of events of one day open in three places, and a few
definitions answer differently from run to run because of it. The order is made total
here, by the event's number, its dates and its observation period.
"""

import datetime
import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hetao.cdm import Connection
from hetao.cdm.engine_duckdb import Problem
from hetao.errors import InvalidData, InvalidStudy, Usage

Row = tuple[int, datetime.date, datetime.date]
SCHEMA = "main"
TARGET = "hetao_target"  # stands in the text only; no such table is ever made
SESSION = "hetaocdm"  # eight characters; DuckDB's dialect does not use it
KEPT = 64  # translated definitions; the largest published one is 4 MB of SQL
LARGEST = 32 * 2**20  # characters of JSON
PARAMETERS = {
    "cdm_database_schema": SCHEMA,
    "vocabulary_database_schema": SCHEMA,
    "results_database_schema": SCHEMA,
    "target_database_schema": SCHEMA,
    "target_cohort_table": TARGET,
    "target_cohort_id": "1",
}
EVENT_ORDER = (
    "E.event_id, E.start_date, E.end_date, OP.observation_period_start_date, "
    "OP.observation_period_end_date, E.visit_occurrence_id"
)
GROUPS = ("ALL", "ANY", "AT_LEAST", "AT_MOST")
# OHDSI's window, and what makes its order total; ASC or DESC stands in between.
OPEN_ORDERS = (
    (r"(ORDER BY E\.sort_date (?:ASC|DESC)), E\.event_id\)", rf"\1, {EVENT_ORDER})"),
    (
        r"(order by pe\.start_date (?:ASC|DESC))\)",
        r"\1, pe.event_id)",
    ),
    (
        r"(partition by person_id order by start_date (?:ASC|DESC))\) as ordinal",
        r"\1, event_id) as ordinal",
    ),
)
CREATED = re.compile(r"CREATE\s+TEMP\s+TABLE\s+(\w+)\s+AS\s+(.*)", re.I | re.S)
DECLARED = re.compile(r"CREATE\s+TEMP\s+TABLE\s+(\w+)\s*\((.*)\)", re.I | re.S)
INSERTED = re.compile(r"INSERT\s+INTO\s+([\w.]+)\s*\(([^)]*)\)\s*(.*)", re.I | re.S)
IGNORED = re.compile(r"(ANALYZE|DELETE\s+FROM|DROP\s+TABLE|TRUNCATE)\b", re.I)
COMMENTS = re.compile(r"(?:\s*--[^\n]*\n)*\s*")


def cohort_rows(definition: Mapping[str, Any], connection: Connection) -> list[Row]:
    """Return the cohort that a CIRCE definition describes, in total order.

    Args:
        definition: the parsed JSON, as ATLAS or the PhenotypeLibrary writes it.
        connection: holds OMOP 5.4 tables in the schema `main`; it is read only.

    Returns:
        (person_id, start, end) for each period of each person, sorted.

    Raises:
        Usage: the extra `hetao[circe]` is not installed.
        InvalidStudy: the definition cannot be read or carried out.
        InvalidData: a table or column that the definition asks for is not there.
    """
    query = cohort_query(definition)
    try:
        found = connection.sql(query).fetchall()
    except Problem as problem:
        kind = type(problem).__name__
        raise InvalidData(
            f"the tables cannot answer the CIRCE definition ({kind})",
            fix="load every OMOP 5.4 table that it asks for into the schema main",
            local=str(problem),
        ) from None
    return [(int(person), start, end) for person, start, end in found]


def cohort_query(definition: Mapping[str, Any]) -> str:
    """Return one SELECT in DuckDB's dialect of `subject_id`, `start` and `end` dates.

    The same definition is translated once in a process.

    Raises:
        Usage, InvalidStudy: as `cohort_rows`.
    """
    if not isinstance(definition, Mapping):
        raise InvalidStudy("the CIRCE definition is not a JSON object")
    try:
        text = json.dumps(definition, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidStudy("the CIRCE definition is not JSON") from error
    if len(text) > LARGEST:
        raise InvalidStudy("the CIRCE definition is too large")
    return _translated(text)


@functools.lru_cache(maxsize=KEPT)
def _translated(text: str) -> str:
    plain, words = _without_words(json.loads(text))
    _check_groups(plain)
    build, refused, render, translate, split = _libraries()
    try:
        script = build(json.dumps(plain), generate_stats=False)
        for open_order, total in OPEN_ORDERS:
            script = re.sub(open_order, total, script)
        script = translate(render(script, **PARAMETERS), "duckdb", session_id=SESSION)
        statements = split(script)
    except refused as error:
        raise InvalidStudy(
            f"the CIRCE definition cannot be read: {str(error)[:200]}",
            fix="export it again from ATLAS",
        ) from error
    except (RecursionError, AttributeError, TypeError, ValueError, KeyError) as error:
        # A definition of odd shape fails somewhere inside the library's reader.
        raise InvalidStudy(
            "the CIRCE definition is not of the shape that OHDSI describes",
            fix="export it again from ATLAS",
        ) from error
    query = _one_query(statements)
    for token, word in words.items():
        query = query.replace(token, word)
    return query


def _check_groups(value: Any) -> None:
    """Refuse a group of an unknown kind: its SQL would quietly mean "any of"."""
    for item in value if isinstance(value, list) else ():
        _check_groups(item)
    if not isinstance(value, dict):
        return
    if "DemographicCriteriaList" in value or "Groups" in value:
        kind = value.get("Type")
        if str(kind).upper() not in GROUPS:
            raise InvalidStudy(
                f"the CIRCE definition has a group of kind {str(kind)[:20]!r}",
                fix="known kinds: " + ", ".join(GROUPS),
            )
    for item in value.values():
        _check_groups(item)


def _libraries() -> tuple[Any, type[Exception], Any, Any, Any]:
    try:
        from duckcdm.circe import CirceError, build_cohort_query
        from duckcdm.sqlrender import render, split_sql, translate
    except ImportError as error:
        raise Usage(
            "CIRCE definitions need an extra package",
            fix='install it with pip install "hetao[circe]"',
        ) from error
    return build_cohort_query, CirceError, render, translate, split_sql


def _without_words(definition: Any) -> tuple[Any, dict[str, str]]:
    """Take free text out of a definition, so that no translator reads it as SQL.

    Text stands only in filters such as `StopReason`. Returns the definition with a
    token in each place, and by token the text as it may stand in a SQL literal.
    """
    words: dict[str, str] = {}

    def walk(value: Any) -> Any:
        if isinstance(value, list):
            return [walk(item) for item in value]
        if not isinstance(value, dict):
            return value
        copy = {key: walk(item) for key, item in value.items()}
        if isinstance(copy.get("Text"), str) and copy["Text"]:
            token = f"hetaoword{len(words)}x"
            words[token] = re.sub(r"\\*'", "'", copy["Text"]).replace("'", "''")
            copy["Text"] = token
        return copy

    try:
        return walk(definition), words
    except RecursionError as error:
        raise InvalidStudy("the CIRCE definition is nested too deeply") from error


def _one_query(statements: list[str]) -> str:
    """Put the script's temporary tables together as one SELECT."""
    tables: dict[str, str] = {}
    final = ""
    for statement in statements:
        body = COMMENTS.sub("", statement, count=1).strip().rstrip(";")
        if not body or IGNORED.match(body):
            continue
        if made := CREATED.fullmatch(body):
            tables[made[1]] = made[2]
        elif declared := DECLARED.fullmatch(body):
            tables[declared[1]] = _empty(declared[2])
        elif added := INSERTED.fullmatch(body):
            name, columns, select = added.groups()
            if name == f"{SCHEMA}.{TARGET}":
                final = select
            else:
                tables[name] = f"FROM ({select}\n) AS rows({columns})"
        else:
            raise InvalidStudy("the CIRCE definition asks for a step that is not known")
    if not final:
        raise InvalidStudy("the CIRCE definition yields no cohort")
    parts = ",\n".join(
        f"{name} AS MATERIALIZED (\n{q}\n)" for name, q in tables.items()
    )
    # S608: every part is the translator's; free text stands in literals only.
    return (
        f"WITH {parts}\n"
        "SELECT CAST(person AS BIGINT) AS subject_id, "
        "CAST(first AS DATE) AS cohort_start, CAST(last AS DATE) AS cohort_end\n"
        f"FROM (\n{final}\n) AS cohort(cohort, person, first, last)\n"
        "ORDER BY ALL"
    )


def _empty(declaration: str) -> str:
    """Return a SELECT without rows of the columns that a CREATE TABLE declares."""
    columns = ", ".join(
        f"CAST(NULL AS {kind}) AS {name}" for name, kind in _columns(declaration)
    )
    return f"SELECT {columns} WHERE FALSE"


def _columns(declaration: str) -> Iterator[tuple[str, str]]:
    for column in declaration.split(","):
        name, kind, *_ = column.split()
        yield name, kind
