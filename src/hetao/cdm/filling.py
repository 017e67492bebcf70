"""Rows of a mapping's SELECTs → the CDM's tables; what does not fit is kept aside.

For each table, in turn: look its codes and units up, type every column, judge every
row, and put the good ones into the table in one total order. A row or a cell that is
not good goes to `rejected` by place and reason, never with its value.
"""

from typing import Final

from hetao.cdm.engine_duckdb import Connection, count, text
from hetao.cdm.macros import OF
from hetao.cdm.selected import DEFAULTS, NO_CONCEPT, Selected
from hetao.cdm.shadow import BRANCH, MARK, ROW
from hetao.dictionary import Table, unit_text_sql
from hetao.errors import InvalidData

TYPE_EHR: Final = 32817
TYPES: Final = {
    "bigint": "BIGINT",
    "integer": "INTEGER",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "text": "VARCHAR",
    "decimal": "DECIMAL(18,6)",
}
OPERATORS: Final = {
    "<=": 4171754,
    ">=": 4171755,
    "≤": 4171754,
    "≥": 4171755,
    "<": 4171756,
    ">": 4172704,
}
READ: Final = "number!"  # a measurement's number as the source has it
# Types of which every value fits another one.
NARROW: Final = {"BIGINT": ("INTEGER", "SMALLINT", "TINYINT")}
FUTURE = "date lies in the future"
UNKNOWN_PERSON = "person is not among the people"
UNKNOWN_UNIT = "unit has no conversion for this analyte"
ZERO = "zero stands for not measured"
IMPLAUSIBLE = "outside the plausible range"
NOT_A_NUMBER = "not a number"
NO_VALUE = "nothing was measured"
READ_BY_RULES: Final = ("value_as_concept_id",)  # even where it is empty
NO_BIRTH = "no plausible year of birth"
TWICE = "key stands twice"


# --- filling a table ------------------------------------------------------------------
def fill_table(connection: Connection, selected: Selected, today: str) -> None:
    """Put the good rows of `sel_<table>` into the table, the others into `aside`.

    `judged_<table>` stays behind, to account for every row; see `drop_made`.

    Args:
        connection: the curation's; person is filled before what points to it.
        selected: the SELECT that was run.
        today: ISO date after which an event lies in the future.

    Raises:
        InvalidData: a row is neither in the table nor kept aside.
    """
    table = selected.table
    _judge(connection, selected, today)
    _keep_aside(connection, selected)
    _insert(connection, selected)
    got = count(connection, f"sel_{table.name}")
    kept = count(connection, table.name)
    aside = count(connection, f"judged_{table.name}", "problem IS NOT NULL")
    if got != kept + aside:
        raise InvalidData(
            f"{table.name}: rows of the SELECT are neither in the table nor kept aside",
            local=f"{got} rows, {kept} in the table, {aside} aside",
        )


def drop_made(connection: Connection, selected: Selected) -> None:
    """Let go of what a table was made of."""
    for stage in ("sel", "judged"):
        connection.execute(f"DROP TABLE {stage}_{selected.table.name}")
    connection.execute("DELETE FROM aside")


def _judge(connection: Connection, selected: Selected, today: str) -> None:
    """Make `judged_<table>`: every column typed, and `problem` and `culprit` a row."""
    table = selected.table
    made = _made(selected)
    typed = ",\n".join(f"{_value(name, selected)} AS {name}" for name in made)
    joins = "\n".join(_code_join(stem) for stem in selected.coded)
    if table.name == "measurement":
        _spell_units(connection, selected)
        joins += _unit_join(selected)
    connection.execute(f"""
        CREATE TEMP TABLE judged_{table.name} AS
        WITH typed AS (
            SELECT {typed},
                s.{ROW} AS {ROW}, s."{BRANCH}" AS branch, s.place{_extra(selected)}
            FROM (SELECT *, rowid AS place{_read_once(selected)}
                FROM sel_{table.name} AS s) s
            {joins}),
        judged AS (
            SELECT *, CASE {_verdicts(selected, today)} END AS verdict FROM typed)
        SELECT {", ".join(made)}, {ROW}, branch, place,
            verdict[1] AS culprit, verdict[2] AS problem
        FROM judged
    """)  # noqa: S608
    if table.key[0] in selected.columns:
        _refuse_twice(connection, selected)


def _made(selected: Selected) -> list[str]:
    """Return the columns that are not empty throughout, but for a key that is counted.

    OMOP's tables are wide: to carry empty columns along takes as long as the others.
    """
    table = selected.table
    return [
        name
        for name in table.columns
        if (name in selected.columns if name == table.key[0] else True)
        and (name in READ_BY_RULES or not _value(name, selected).startswith("NULL::"))
    ]


def _code_join(stem: str) -> str:
    return (
        f"LEFT JOIN code_map {stem}_map ON {stem}_map.system = s.{stem}_system "
        f"AND {stem}_map.code = s.{stem}_source_value"
    )


def _value(name: str, selected: Selected) -> str:
    """Return SQL for one column of the CDM, typed, from the SELECT's row `s`."""
    kind = TYPES[selected.table.fields[name].type]
    if selected.table.name == "measurement":
        special = _measured(name, selected)
        if special:
            return special
    if name in selected.columns:
        return f"TRY_CAST(s.{name} AS {kind})"
    looked_up = _looked_up(name, selected)
    if looked_up:
        return looked_up
    if name == "drug_exposure_end_date" and "days_supply" in selected.columns:
        days = "greatest(coalesce(TRY_CAST(s.days_supply AS INTEGER), 1), 1) - 1"
        return f"TRY_CAST(s.drug_exposure_start_date AS DATE) + ({days})"
    made = DEFAULTS.get(name, "NULL")
    column = made != "NULL" and not made.isdigit()
    return f"TRY_CAST(s.{made} AS {kind})" if column else f"{made}::{kind}"


def _looked_up(name: str, selected: Selected) -> str:
    """Return SQL for a concept that the row's code gives, "" for any other column."""
    if not name.endswith("_concept_id"):
        return ""
    stem = name.removesuffix("_concept_id")
    if stem.endswith("_source"):
        coded = stem.removesuffix("_source")
        return f"{coded}_map.source_concept_id" if coded in selected.coded else ""
    stem = stem.removesuffix("_as")
    if stem in selected.coded:
        missing = "NULL" if stem == "value" else str(NO_CONCEPT)
        return f"coalesce({stem}_map.concept_id, {missing})"
    return str(TYPE_EHR) if stem.endswith("_type") else ""


# --- measurements: numbers, operators and units ---------------------------------------
def _raw(selected: Selected) -> str:
    return (
        "s.value_source_value" if "value_source_value" in selected.columns else "NULL"
    )


def _read_once(selected: Selected) -> str:
    """Return what is read of a row once, and stands in several columns."""
    if selected.table.name != "measurement":
        return ""
    return f', {_number(selected)} AS "{READ}"'


def _number(selected: Selected) -> str:
    """Return SQL for the number as the source has it, in the source's unit."""
    if "value_as_number" in selected.columns:
        return "TRY_CAST(s.value_as_number AS DECIMAL(18,6))"
    raw = _raw(selected)
    marked = f"regexp_matches({raw}, '^[<>=≤≥]')"
    plain = f"CASE WHEN {marked} THEN ltrim({raw}, '<>=≤≥ ') ELSE {raw} END"
    return (
        f"CASE WHEN decimal_comma(s.{ROW}) THEN as_number({plain}, ',') "
        f"ELSE as_number({plain}, '.') END"
    )


def converted_sql(number: str, a: str, b: str) -> str:
    """Return SQL for `a * number + b` with six decimals, halves away from zero.

    Args:
        number: SQL of a DECIMAL(18,6).
        a: SQL of a decimal with nine decimals.
        b: the same.
    """
    # Nineteen digits: the engine then multiplies in 128 bits, not in 64.
    result = f"(CAST({a} AS DECIMAL(19,9)) * CAST({number} AS DECIMAL(19,6)) + {b})"
    # Of fifteen decimals, what is below 1000 fits 64 bits: rounded ten times faster.
    return (
        f"CASE WHEN abs({result}) < 1000 "
        f"THEN CAST(CAST({result} AS DECIMAL(18,15)) AS DECIMAL(18,6)) "
        f"ELSE TRY_CAST({result} AS DECIMAL(18,6)) END"
    )


def _measured(name: str, selected: Selected) -> str:
    coded = "measurement" in selected.coded
    analyte = "measurement_map.analyte" if coded else "NULL"
    number = f's."{READ}"'
    if name == "value_as_number":
        result = converted_sql(number, "unit_map.a", "unit_map.b")
        return f"CASE WHEN {analyte} IS NULL THEN {number} ELSE {result} END"
    if name == "unit_concept_id" and name not in selected.columns:
        other = "NULL::BIGINT"
        if "unit_source_value" in selected.columns:
            told = f"CASE WHEN s.unit_source_value IS NOT NULL THEN {NO_CONCEPT} END"
            other = f"coalesce(any_unit.unit_concept_id, {told})"
        return f"coalesce(unit_map.unit_concept_id, {other})"
    if name == "operator_concept_id" and name not in selected.columns:
        cases = " ".join(
            f"WHEN starts_with({_raw(selected)}, {text(mark)}) THEN {number_}"
            for mark, number_ in OPERATORS.items()
        )
        return f"(CASE {cases} END)::BIGINT"
    if name == "measurement_concept_id" and name not in selected.columns and coded:
        return (
            "coalesce(nullif(measurement_map.concept_id, 0), "
            f"measured.concept_id, {NO_CONCEPT})"
        )
    return ""


def _spell_units(connection: Connection, selected: Selected) -> None:
    """Make `unit_text`: each different unit of the source in its normal form, once."""
    given = "unit_source_value" in selected.columns
    unit = "coalesce(unit_source_value, '')" if given else "''"
    connection.execute(f"""
        CREATE TEMP TABLE unit_text AS
        SELECT raw, {unit_text_sql("raw")} AS spelling
        FROM (SELECT DISTINCT {unit} AS raw FROM sel_measurement)
    """)  # noqa: S608


def _unit_join(selected: Selected) -> str:
    coded = "measurement" in selected.coded
    analyte = "measurement_map.analyte" if coded else "NULL"
    given = "unit_source_value" in selected.columns
    unit = "coalesce(s.unit_source_value, '')" if given else "''"
    return f"""
        LEFT JOIN unit_text ON unit_text.raw = {unit}
        LEFT JOIN unit_of unit_map ON unit_map.analyte = {analyte}
            AND unit_map.spelling = unit_text.spelling
        LEFT JOIN any_unit ON any_unit.spelling = unit_text.spelling
        LEFT JOIN analyte_concept measured ON measured.analyte = {analyte}
    """


def _extra(selected: Selected) -> str:
    """Return further columns of `typed` that only the verdicts read."""
    shadows = "".join(
        f', s."{name}{MARK}"'
        for name in selected.shadowed
        if name in selected.table.required
    )
    if selected.table.name != "measurement":
        return shadows
    coded = "measurement" in selected.coded
    analyte = "measurement_map.analyte" if coded else "NULL::VARCHAR"
    return (
        f'{shadows}, {analyte} AS analyte, s."{READ}" AS plain_number, '
        f"{_raw(selected)} AS plain_text, unit_map.analyte IS NULL AS strange_unit, "
        "unit_map.low AS low, unit_map.high AS high, "
        "coalesce(unit_map.zero_impossible, FALSE) AS no_zero"
    )


# --- judging --------------------------------------------------------------------------
def _verdicts(selected: Selected, today: str) -> str:
    """Return WHEN clauses: the first that holds gives [column, reason]."""
    table = selected.table
    cases: list[tuple[str, str, str]] = []
    if table.name == "measurement":
        cases += _measurement_cases(selected)
    for name in table.required:
        if name == table.key[0] and name not in selected.columns:
            continue
        if name in selected.shadowed:
            cases.append((f"{name} IS NULL", name, f'"{name}{MARK}"'))
        cases.append((f"{name} IS NULL", name, f"required {name} is missing"))
    day = first_day(table)
    if day:
        cases.append((f"{day} > DATE {text(today)}", day, FUTURE))
    if table.name == "person":
        wrong = f"year_of_birth NOT BETWEEN 1850 AND year(DATE {text(today)})"
        cases.append((wrong, "year_of_birth", NO_BIRTH))
    if "person_id" in table.columns and table.name != "person":
        known = "person_id NOT IN (SELECT person_id FROM person)"
        cases.append((known, "person_id", UNKNOWN_PERSON))
    return " ".join(
        f"WHEN {when} AND {reason} IS NOT NULL THEN [{text(column)}, {reason}]"
        if reason.startswith('"')  # the shadow tells why the cell is missing
        else f"WHEN {when} THEN [{text(column)}, {text(reason)}]"
        for when, column, reason in cases
    )


def first_day(table: Table) -> str:
    """Return the column of the day that must not lie in the future; "" for none."""
    if table.event is not None:
        return table.event.date
    dates = [n for n, f in table.fields.items() if f.type == "date" and f.required]
    return dates[0] if dates else ""


def _measurement_cases(selected: Selected) -> list[tuple[str, str, str]]:
    value = (
        "value_source_value"
        if "value_source_value" in selected.columns
        else "value_as_number"
    )
    known = "analyte IS NOT NULL"
    return [
        (
            f"{known} AND plain_text IS NULL AND plain_number IS NULL",
            value,
            NO_VALUE,
        ),
        (
            f"{known} AND plain_number IS NULL AND value_as_concept_id IS NULL",
            value,
            NOT_A_NUMBER,
        ),
        (
            f"{known} AND plain_number IS NOT NULL AND strange_unit",
            "unit_source_value",
            UNKNOWN_UNIT,
        ),
        ("no_zero AND plain_number = 0", value, ZERO),
        (
            "value_as_number NOT BETWEEN low AND high",
            value,
            IMPLAUSIBLE,
        ),
    ]


def _refuse_twice(connection: Connection, selected: Selected) -> None:
    """Keep the first row of a key; the others are kept aside."""
    table = selected.table
    key = table.key[0]
    connection.execute(f"""
        UPDATE judged_{table.name} SET culprit = {text(key)}, problem = {text(TWICE)}
        FROM (
            SELECT place AS later FROM judged_{table.name}
            WHERE {key} IN (
                SELECT {key} FROM judged_{table.name} WHERE problem IS NULL
                GROUP BY {key} HAVING count(*) > 1)
                AND problem IS NULL
            QUALIFY row_number() OVER (
                PARTITION BY {key}
                ORDER BY {ROW}, branch, hash({", ".join(_made(selected))})) > 1)
        WHERE place = later
    """)  # noqa: S608


# --- aside ----------------------------------------------------------------------------
ASIDE_DDL: Final = (
    f"CREATE TEMP TABLE aside ({ROW} BIGINT, source_table VARCHAR, branch INTEGER, "
    "target VARCHAR, reason VARCHAR, source_column VARCHAR, whole BOOLEAN)"
)


def _keep_aside(connection: Connection, selected: Selected) -> None:
    """Write rows and cells that are not good into `aside`, by place and reason."""
    name = selected.table.name
    connection.execute(f"""
        INSERT INTO aside
        SELECT {ROW}, {text(name)}, branch, culprit, {_split("problem")}, TRUE
        FROM judged_{name} WHERE problem IS NOT NULL
    """)  # noqa: S608
    for column in selected.shadowed:
        shadow = f'"{column}{MARK}"'
        connection.execute(f"""
            INSERT INTO aside
            SELECT {ROW}, {text(name)}, "{BRANCH}", {text(column)}, {_split(shadow)},
                FALSE
            FROM sel_{name} WHERE {shadow} IS NOT NULL
        """)  # noqa: S608
    for column in _castable(connection, selected):
        kind = TYPES[selected.table.fields[column].type]
        connection.execute(f"""
            INSERT INTO aside
            SELECT {ROW}, {text(name)}, "{BRANCH}", {text(column)},
                {text(f"not a {kind}")}, '', FALSE
            FROM sel_{name} WHERE {column} IS NOT NULL
                AND TRY_CAST({column} AS {kind}) IS NULL
        """)  # noqa: S608
    _drop_dangling(connection, selected)


def _split(reason: str) -> str:
    """Return SQL for a reason, and for the source column that stands behind it."""
    parts = (f"split_part({reason}, {text(OF)}, {place})" for place in (1, 2))
    return ", ".join(parts)


def _castable(connection: Connection, selected: Selected) -> list[str]:
    """Return the columns with a type of which some values may not fit the table's."""
    fields = selected.table.fields
    told = connection.execute(f"DESCRIBE sel_{selected.table.name}").fetchall()
    given = {str(row[0]): str(row[1]) for row in told}
    found = []
    for name in selected.columns:
        if name in fields and fields[name].type != "text":
            kind = TYPES[fields[name].type]
            if given[name] != kind and given[name] not in NARROW.get(kind, ()):
                found.append(name)
    return found


def _drop_dangling(connection: Connection, selected: Selected) -> None:
    """Empty a link to a row that is not there, and keep the cell aside."""
    table = selected.table
    for column in selected.columns:
        target = table.fields[column].references if column in table.fields else ""
        other, _, key = target.partition(".")
        if not other or other in (table.name, "person") or other == "concept":
            continue
        there = f"SELECT {key} FROM {other}"  # noqa: S608
        lost = f"{column} IS NOT NULL AND {column} NOT IN ({there})"
        connection.execute(f"""
            INSERT INTO aside
            SELECT {ROW}, {text(table.name)}, branch, {text(column)},
                {text(f"no such row in {other}")}, '', FALSE
            FROM judged_{table.name} WHERE problem IS NULL AND {lost}
        """)  # noqa: S608
        connection.execute(
            f"UPDATE judged_{table.name} SET {column} = NULL WHERE {lost}"  # noqa: S608
        )


def _insert(connection: Connection, selected: Selected) -> None:
    table = selected.table
    key, made = table.key[0], _made(selected)
    columns = ", ".join(made)
    counted = "" if key in made else f"row_number() OVER () AS {key}, "
    first = first_day(table)
    order = [
        *(["person_id"] if "person_id" in made else []),
        *([first] if first else []),
        ROW,
        *(["branch"] if len(selected.places) > 1 else []),
        # Rows of one source row and branch: a join made them, in no order of its own.
        *([] if selected.is_row_for_row else [f"hash({columns})"]),
    ]
    connection.execute(f"""
        INSERT INTO {table.name} BY NAME
        SELECT {counted}{columns} FROM (
            SELECT * FROM judged_{table.name} WHERE problem IS NULL
            ORDER BY {", ".join(order)})
    """)  # noqa: S608
