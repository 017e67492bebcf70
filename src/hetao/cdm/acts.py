"""Curated tables → the canonical bytes of every medical act in them, act by act.

The rows of acts are one plan: DuckDB, PostgreSQL and Spark make the very same bytes. On
the embedded engine the same text is made with functions of its own, six times as fast;
the contract of the engines holds both to each other. What the bytes are says
`hetao.ledger.acts`.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from hetao.cdm.engine import Column as Array
from hetao.cdm.engine import Columns, Engine
from hetao.cdm.engine_duckdb import DuckDBEngine, failures
from hetao.dictionary import Table, dictionary
from hetao.errors import InvalidData
from hetao.ledger.acts import FORM, PERSON, QUOTED, VISIT, cells_of, mask_of

Used = Mapping[str, Sequence[str]]  # table → the columns of it that hold anything

GROUP: Final = ("place", "act")  # rows that share both are one act's
# The number of an act within a person's: a visit's id, which is never negative, or a
# day, counted from 1970, so far below that visits come last.
FIRST_DAY: Final = -(2**40)
FOR_GOOD: Final = 2 * FIRST_DAY
NOBODY: Final = 0  # the place of what belongs to no person
CHUNK_VECTORS: Final = 64  # of 2,048 rows each, that are in memory at once
PLACES: Final = "act_places"  # person → place in the order of the leaves


class ActText(NamedTuple):
    """One act as a database gives it.

    Attributes:
        place: of its person in the order of the leaves; 0 for what belongs to nobody.
        visit: None where there is none.
        day: ISO; "" where there is none.
        rows: how many rows it has.
        data: its canonical bytes.
    """

    place: int
    visit: int | None
    day: str
    rows: int
    data: bytes


def act_tables() -> dict[str, Table]:
    """Return the tables whose rows are committed to: those about care and carers."""
    tables = dictionary().tables.items()
    return {name: table for name, table in tables if table.kind == "content"}


def used_columns(engine: Engine) -> dict[str, tuple[str, ...]]:
    """Return the columns that hold anything, of each table that does.

    Raises:
        InvalidData: the tables do not bear it.
    """
    used: dict[str, tuple[str, ...]] = {}
    for name, table in act_tables().items():
        counts = ", ".join(f"count({c}) AS {c}" for c in table.columns)
        # S608: every name is the dictionary's.
        (row,) = engine.rows(f"SELECT {counts} FROM {name}")  # noqa: S608
        columns = tuple(
            c for c, n in zip(table.columns, row, strict=True) if n and c != PERSON
        )
        if any(row):
            used[name] = tuple(c for c in columns if c != VISIT)
    return used


def act_rows_plan(
    used: Used, *, of: str = "", nobody: bool = True, own: bool = False
) -> str:
    """Return the plan of all rows of acts, in no order.

    Its columns: `person` (NULL for what belongs to nobody), `act` (its number within
    what the person has), `part` and `id` (the order within an act; of what belongs to
    nobody, the act itself) and `cells`, a row's text.

    Args:
        used: table → the columns that hold anything.
        of: SQL of a list of people, to take only their rows; "" for everybody.
        nobody: take the rows that belong to nobody as well.
        own: in DuckDB's own functions, which are no plan.
    """
    parts = [
        _table_plan(table, used[name], number, of, own=own)
        for number, (name, table) in enumerate(act_tables().items(), 1)
        if name in used and (nobody or PERSON in table.columns)
    ]
    return " UNION ALL ".join(parts)


def _table_plan(
    table: Table, used: Sequence[str], number: int, of: str, *, own: bool
) -> str:
    has_person, key = PERSON in table.columns, table.key[0]
    person = PERSON if has_person else "CAST(NULL AS BIGINT)"
    cells = _own_cells(table, used) if own else _cells(table, used)
    where = f" WHERE {PERSON} IN ({of})" if of and has_person else ""
    # S608: every name is the dictionary's; `of` is whole numbers.
    return (
        f"SELECT {person} AS person, {_act_number(table, number)} AS act, "  # noqa: S608
        f"{number} AS part, {key} AS id, {cells} AS cells FROM {table.name}{where}"
    )


def _act_number(table: Table, number: int) -> str:
    if PERSON not in table.columns:  # each row is an act by itself, told apart by id
        return f"CAST({number} AS BIGINT)"
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


def _cells(table: Table, used: Sequence[str]) -> str:
    """Return a row's text in the portable subset of plans."""
    plain, texts = cells_of(table, used)
    cells = [
        f"""coalesce('"' || CAST({name} AS VARCHAR) || '"', 'null')"""
        if table.fields[name].type in QUOTED
        else f"coalesce(CAST({name} AS VARCHAR), 'null')"
        for name in plain
    ]
    cells += [f"coalesce(CAST(length({name}) AS VARCHAR), 'null')" for name in texts]
    front = f"'{table.name}/{mask_of(table, used)}['"
    words = [f"coalesce({name}, '')" for name in texts]
    inside = " || ',' || ".join(cells)
    return " || ".join([front, *([inside] if cells else []), "']'", *words])


def _own_cells(table: Table, used: Sequence[str]) -> str:
    """Return the same text in DuckDB's functions: its JSON of numbers and of ASCII."""
    plain, texts = cells_of(table, used)
    cells = [
        f"CAST({name} AS VARCHAR)" if table.fields[name].type in QUOTED else name
        for name in plain
    ]
    cells += [f"length({name})" for name in texts]
    front = f"'{table.name}/{mask_of(table, used)}'"
    parts = [front, f"json_array({', '.join(cells)})", *texts]
    return f"concat({', '.join(parts)})"


def read_acts(
    engine: Engine,
    used: Used,
    people: Sequence[int],
    *,
    partly: bool = False,
    nobody: bool = True,
) -> Iterator[ActText]:
    """Yield every act: of nobody first, then of people in the order given.

    Within a person's, those outside of visits come first, by day, then visits by id.

    Args:
        engine: of the tables; the temporary table `act_places` is made on it.
        used: table → the columns that hold anything.
        people: everybody in the tables, in the order of the leaves.
        partly: take the rows of these people alone.
        nobody: take what belongs to nobody as well.

    Raises:
        InvalidData: the tables do not bear it, or a row is of somebody not listed.
    """
    places = np.arange(1, len(people) + 1, dtype=np.int64)
    ids = np.asarray(people, dtype=np.int64)
    of = ", ".join(map(str, people)) or "NULL" if partly else ""
    own = isinstance(engine, DuckDBEngine)
    rows = act_rows_plan(used, of=of, nobody=nobody, own=own)
    if not rows:
        return
    engine.load(PLACES, {"person_id": ids, "place": places})
    try:
        for block in _whole_acts(_blocks(engine, _ordered(rows))):
            yield from _texts(block, people)
    finally:
        engine.drop(PLACES)


def _ordered(rows: str) -> str:
    return (
        "SELECT CASE WHEN r.person IS NULL THEN 0 ELSE p.place END AS place, "  # noqa: S608
        f"r.act, r.cells FROM ({rows}) r "
        f"LEFT JOIN {PLACES} p ON p.person_id = r.person "
        "ORDER BY place, r.act, r.part, r.id"
    )


def _blocks(engine: Engine, query: str) -> Iterator[Columns]:
    """Yield ordered rows, some at a time where the engine can."""
    if not isinstance(engine, DuckDBEngine):
        yield engine.fetch(query)
        return
    with failures():
        answer = engine.connection.execute(query)
        while len(block := answer.fetch_df_chunk(CHUNK_VECTORS)):
            yield {str(name): block[name].to_numpy() for name in block}


def _whole_acts(blocks: Iterator[Columns]) -> Iterator[Columns]:
    """Yield the same rows in blocks of which each ends with the end of an act."""
    left: Columns = {}
    for block in blocks:
        if _has_gaps(block["place"]):
            raise InvalidData(
                "a row belongs to somebody who is not among the people",
                fix="curate the site's data again",
            )
        rows = block
        if left:
            rows = {n: np.concatenate([left[n], part]) for n, part in block.items()}
        cut = int(max(_edges(rows), default=0))
        left = {name: values[cut:] for name, values in rows.items()}
        if cut:
            yield {name: values[:cut] for name, values in rows.items()}
    if left:
        yield left


def _has_gaps(places: Array) -> bool:
    """Return whether a place is missing: NULL is a mask here, NaN there."""
    if places.dtype.kind == "f":
        return bool(np.isnan(places).any())
    return bool(np.ma.getmaskarray(places).any())


def _edges(rows: Columns) -> Array:
    """Return where another act begins, but for the first."""
    length = len(rows["place"])
    differs = np.zeros(max(length - 1, 0), dtype=bool)
    for name in GROUP:
        differs |= rows[name][1:] != rows[name][:-1]
    differs |= rows["place"][1:] == NOBODY
    return np.flatnonzero(differs) + 1


def _texts(rows: Columns, people: Sequence[int]) -> Iterator[ActText]:
    edges = [0, *_edges(rows).tolist(), len(rows["place"])]
    places, acts = (rows[name][edges[:-1]].tolist() for name in GROUP)
    cells = rows["cells"].tolist()
    for place, act, start, stop in zip(places, acts, edges, edges[1:], strict=False):
        visit, day, back = None, "", "null,null"
        if place == NOBODY:
            front: int | str = "null"
        else:
            front = people[place - 1]
            if act >= 0:
                visit, back = act, f"{act},null"
            elif act != FOR_GOOD:
                day = _iso(act - FIRST_DAY)
                back = f'null,"{day}"'
        data = f"{FORM}[{front},{back}]{''.join(cells[start:stop])}".encode()
        yield ActText(place, visit, day, stop - start, data)


@functools.lru_cache(maxsize=2**16)
def _iso(day: int) -> str:
    return str(np.datetime64(day, "D"))
