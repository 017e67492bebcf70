"""Curated tables → the canonical bytes of every medical act in them, act by act.

The rows of each table are one plan of whole numbers and texts: DuckDB, PostgreSQL and
Spark answer it alike, and `hetao.cdm.packing` makes the same bytes of it. What they
are says `hetao.ledger.acts`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from hetao.cdm.engine import Column as Array
from hetao.cdm.engine import Columns, Engine
from hetao.cdm.engine_duckdb import DuckDBEngine, Packed
from hetao.cdm.packing import FIRST_DAY, FOR_GOOD, Acts, TableRows, apart, packed
from hetao.dictionary import Table, dictionary
from hetao.errors import InvalidData
from hetao.ledger.acts import MILLION, PERSON, VISIT, cells_of, mask_of, told_columns

Used = Mapping[str, Sequence[str]]  # table → the columns of it that hold anything

# Rows that are fetched at once, more or less: each range is a plan for every table. And
# of these, those that are packed at once: they fit into a cache.
FETCHED_ROWS: Final = 800_000
PACKED_ROWS: Final = 200_000
_KEYS: Final = ("person", "act", "id")  # of each row, in front of its cells
_WORDS: Final = "words"  # all texts of a row
# What an act can state: a visit's number is none of a day's, and days are a calendar's.
_BOUNDS: Final = {
    "date": "{0} < DATE '0001-01-01' OR {0} > DATE '9999-12-31'",
    "timestamp": "{0} < TIMESTAMP '0001-01-01 00:00:00' "
    "OR {0} > TIMESTAMP '9999-12-31 23:59:59.999999'",
}
_MILLIONTHS: Final = f"CAST(CAST({{}} AS DECIMAL(24,6)) * {MILLION} AS BIGINT)"


def act_number(visit: int | None, day: str = "") -> int:
    """Return the number of an act: of a visit, of a day outside, or for good."""
    if visit is not None:
        return visit
    return FIRST_DAY + int(np.datetime64(day, "D").astype(int)) if day else FOR_GOOD


def act_tables() -> dict[str, Table]:
    """Return the tables whose rows are committed to: those about care and carers."""
    tables = dictionary().tables.items()
    return {name: table for name, table in tables if table.kind == "content"}


def read_people(engine: Engine) -> Array:
    """Return the pseudonyms of everybody in the tables, in no order."""
    plan = f"SELECT {PERSON} FROM person"  # noqa: S608  the dictionary's name
    if isinstance(engine, DuckDBEngine):
        (found,) = engine.fetch_at_once([plan])
    else:
        found = engine.fetch(plan)
    return np.ma.compressed(found[PERSON])


def used_columns(engine: Engine) -> dict[str, tuple[str, ...]]:
    """Return the columns that hold anything, of each table that does.

    Raises:
        InvalidData: the tables do not bear it, or a visit's number is negative or a
            date outside of the calendar, so that nobody could read the act again.
    """
    used: dict[str, tuple[str, ...]] = {}
    for name, table in act_tables().items():
        counts = ", ".join(f"count({c}) AS {c}" for c in table.columns)
        odd = _odd(table)
        # S608: every name is the dictionary's.
        plan = f"SELECT {counts}, {odd} AS odd FROM {name}"  # noqa: S608
        ((*row, beyond),) = engine.rows(plan)
        if beyond:
            raise InvalidData(
                f"{name} has a negative {VISIT} or a date outside of the calendar",
                fix="correct the mapping, and curate again",
            )
        columns = tuple(
            c for c, n in zip(table.columns, row, strict=True) if n and c != PERSON
        )
        if any(row):
            used[name] = tuple(c for c in columns if c != VISIT)
    return used


def _odd(table: Table) -> str:
    """Return what counts a table's rows that no act could state."""
    odd = [
        _BOUNDS[field.type].format(name)
        for name, field in table.fields.items()
        if field.type in _BOUNDS
    ]
    odd += [f"{VISIT} < 0"] * (VISIT in table.columns)
    return (
        f"count(CASE WHEN {' OR '.join(odd)} THEN 1 END)"
        if odd
        else "CAST(0 AS BIGINT)"
    )


def act_rows_plan(table: Table, used: Sequence[str], *, own: bool = False) -> str:
    """Return the plan of all rows of a table, in no order; it ends with its FROM.

    Its columns: `person` (of what belongs to nobody, 0), `act` (its number within what
    the person has), `id` (the order within an act; of what belongs to nobody, the act
    itself), `c0`, `c1`, … (the cells of a row) and, if the table states any text,
    `words`: those of the row behind each other.

    Args:
        table: of the data dictionary.
        used: the columns of it that hold anything.
        own: for the embedded engine, which hands decimals on as millionths by itself.
    """
    plain, texts = cells_of(table, used)
    decimals = [name for name in plain if table.fields[name].type == "decimal"]
    cells = [
        _MILLIONTHS.format(name) if name in decimals and not own else name
        for name in plain
    ]
    cells += [f"length({name})" for name in texts]
    person = PERSON if PERSON in table.columns else "CAST(0 AS BIGINT)"
    columns = [person, _act_number(table), table.key[0], *cells]
    names = [*_KEYS, *(f"c{n}" for n in range(len(cells)))]
    if texts:
        filled = [f"coalesce({name}, '')" for name in texts]
        columns.append(" || ".join(filled) if len(texts) > 1 else texts[0])
        names.append(_WORDS)
    told = ", ".join(f"{c} AS {n}" for c, n in zip(columns, names, strict=True))
    return f"SELECT {told} FROM {table.name}"  # noqa: S608  the dictionary's names


def _act_number(table: Table) -> str:
    if PERSON not in table.columns:  # each row is an act by itself, told apart by id
        return "CAST(0 AS BIGINT)"
    day, outside = _day_column(table), f"CAST({FOR_GOOD} AS BIGINT)"
    if day:
        days = f"date_diff('day', DATE '1970-01-01', {day})"
        outside = f"coalesce({FIRST_DAY} + {days}, {FOR_GOOD})"
    return f"coalesce({VISIT}, {outside})" if VISIT in table.columns else outside


def _day_column(table: Table) -> str:
    """Return the day of a row outside of visits; "" where it holds for good."""
    if table.name in ("person", "observation_period"):
        return ""
    days = [name for name, field in table.fields.items() if field.type == "date"]
    return days[0] if days else ""


def read_acts(
    engine: Engine, used: Used, people: Sequence[int], *, nobody: bool = True
) -> Iterator[Acts]:
    """Yield the acts of these people alone, and of nobody: see `read_all_acts`."""
    if nobody:
        yield from _read(engine, used, None, few=True)
    if people:
        ids = ", ".join(map(str, people))
        # DuckDB compares a row with each of a list; of a table it makes a hash table.
        few = f"SELECT unnest([{ids}])" if isinstance(engine, DuckDBEngine) else ids
        yield from _read(engine, used, f"{PERSON} IN ({few})", few=True)


def read_all_acts(
    engine: Engine, used: Used, people: Sequence[int], rows: int
) -> Iterator[Acts]:
    """Yield every act: of nobody first, then of people by pseudonym, some at a time.

    Within a person's, those outside of visits come first, by day, then visits by id.

    Args:
        engine: of the tables.
        used: table → the columns that hold anything.
        people: everybody in the tables.
        rows: how many rows the tables have, more or less.

    Raises:
        InvalidData: the tables do not bear it.
    """
    yield from _read(engine, used, None)
    ids = sorted(people)
    fine = _cuts(ids, rows, PACKED_ROWS)
    # Whoever is not among the people is in a range as well, and is found out there.
    for low, high in pairwise([None, *_cuts(ids, rows, FETCHED_ROWS), None]):
        over = f"{PERSON} >= {low}" if low is not None else "TRUE"
        below = f"{PERSON} < {high}" if high is not None else "TRUE"
        yield from _read(engine, used, f"{over} AND {below}", fine)


def _cuts(ids: Sequence[int], rows: int, most: int) -> list[int]:
    """Return the people with whom ranges of about so many rows begin, but the first."""
    ranges = -(-rows // most)
    return sorted({ids[n * len(ids) // ranges] for n in range(1, ranges) if ids})


def _read(
    engine: Engine,
    used: Used,
    whose: str | None,
    cuts: Sequence[int] = (),
    *,
    few: bool = False,
) -> Iterator[Acts]:
    where = f" WHERE {whose}" if whose else ""
    asked = [
        table
        for name, table in act_tables().items()
        if name in used and (PERSON in table.columns) == (whose is not None)
    ]
    found = _fetched(engine, [(one, used[one.name]) for one in asked], where, few=few)
    tables = [
        _rows_of(one, used[one.name], rows)
        for one, pieces in zip(asked, found, strict=True)
        for rows in pieces
    ]
    tables = [rows for rows in tables if len(rows.key)]
    for some in apart(tables, cuts):
        yield packed(some, of_people=whose is not None)


def _fetched(
    engine: Engine,
    asked: Sequence[tuple[Table, Sequence[str]]],
    where: str,
    *,
    few: bool,
) -> Iterable[list[Packed]]:
    """Return the rows of each table, with those of its columns that hold anything.

    Of a few rows the embedded engine hands arrays over in less time than it plans a
    stream of them, and spends more time on planning than on rows. Plans of acts are in
    its own words as they stand.
    """
    own = isinstance(engine, DuckDBEngine) and not few
    plans = [act_rows_plan(table, used, own=own) for table, used in asked]
    texts = [_WORDS if cells_of(table, used)[1] else "" for table, used in asked]
    queries = [plan + where for plan in plans]
    found: Iterable[Columns]
    if not isinstance(engine, DuckDBEngine):
        found = map(engine.fetch, queries)
    elif few:
        found = engine.fetch_at_once(queries)
    else:
        both = zip(plans, texts, strict=True)
        return (engine.fetch_packed(plan, text, where) for plan, text in both)
    return ([_packed(rows, text)] for rows, text in zip(found, texts, strict=True))


def _rows_of(table: Table, used: Sequence[str], found: Packed) -> TableRows:
    plain, texts = cells_of(table, used)
    if not found.missing.keys().isdisjoint(_KEYS):
        raise InvalidData("a row of the tables lacks its key, or whose it is")
    names, told = [f"c{n}" for n in range(len(used))], told_columns(table)
    return TableRows(
        name=table.name,
        columns=mask_of(table, used),
        person=found.columns["person"],
        act=found.columns["act"],
        key=found.columns["id"],
        cells=[found.columns[name] for name in names],
        missing=[found.missing.get(name) for name in names],
        bits=[told.index(name) for name in (*plain, *texts)],
        edges=found.edges,
        text=found.text if texts else None,
    )


def _packed(columns: Columns, text: str) -> Packed:
    """Return columns as the embedded engine gives many of them."""
    masks = {name: np.ma.getmaskarray(values) for name, values in columns.items()}
    texts = [words.encode() for words in np.ma.getdata(columns.pop(text, ()))]
    return Packed(
        {
            name: np.ma.getdata(cells).astype(np.int64)
            for name, cells in columns.items()
        },
        {name: mask for name, mask in masks.items() if mask.any()},
        np.cumsum([0, *map(len, texts)]),
        b"".join(texts),
    )
