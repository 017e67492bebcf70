"""Curated tables → the canonical bytes of every medical act in them, act by act.

The rows of acts are one plan: DuckDB, PostgreSQL and Spark make the very same bytes. On
the embedded engine the same text is made with functions of its own, six times as fast;
the contract of the engines holds both to each other. What the bytes are says
`hetao.ledger.acts`.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from hetao.cdm.engine import Column as Array
from hetao.cdm.engine import Engine
from hetao.cdm.engine_duckdb import DuckDBEngine
from hetao.dictionary import Table, dictionary
from hetao.errors import InvalidData
from hetao.ledger.acts import FORM, PERSON, QUOTED, VISIT, cells_of, mask_of

Used = Mapping[str, Sequence[str]]  # table → the columns of it that hold anything

# The number of an act within a person's: a visit's id, which is never negative, or a
# day, counted from 1970, so far below that visits come last.
FIRST_DAY: Final = -(2**40)
FOR_GOOD: Final = 2 * FIRST_DAY
_FRONT: Final = FORM.encode()
# Rows that are in memory at once, more or less: DuckDB hands on 131,072 in one piece.
CHUNK_ROWS: Final = 100_000


class Acts(NamedTuple):
    """The acts of one person, or of nobody, as a database gives them, in order.

    Attributes:
        person: None for what belongs to nobody.
        numbers: of each act within the person's, rising: see `act_number`.
        fronts, cells: canonical bytes of each, in two pieces that are one only where
            somebody wants them whole.
        rows: how many rows they have together.
    """

    person: int | None
    numbers: list[int]
    fronts: list[bytes]
    cells: list[bytes | memoryview]
    rows: int

    @property
    def data(self) -> list[bytes]:
        """Return the canonical bytes of each act."""
        return [b"".join(both) for both in zip(self.fronts, self.cells, strict=True)]


def act_number(visit: int | None, day: str = "") -> int:
    """Return the number of an act: of a visit, of a day outside, or for good."""
    if visit is not None:
        return visit
    return FIRST_DAY + int(np.datetime64(day, "D").astype(int)) if day else FOR_GOOD


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


def act_rows_plan(used: Used, whose: str | None, *, own: bool = False) -> str:
    """Return the plan of rows of acts, in no order; "" where there can be none.

    Its columns: `person` (of what belongs to nobody, 0), `act` (its number within what
    the person has), `part` and `id` (the order within an act; of what belongs to
    nobody, the act itself) and `cells`, a row's text without its table's name.

    Args:
        used: table → the columns that hold anything.
        whose: SQL of a condition on `person_id`; None for what belongs to nobody.
        own: in DuckDB's own functions, which are no plan.
    """
    parts = [
        _table_plan(table, used[name], number, whose, own=own)
        for number, (name, table) in enumerate(act_tables().items(), 1)
        if name in used and (PERSON in table.columns) == (whose is not None)
    ]
    return " UNION ALL ".join(parts)


def _table_plan(
    table: Table, used: Sequence[str], number: int, whose: str | None, *, own: bool
) -> str:
    person = "CAST(0 AS BIGINT)" if whose is None else PERSON
    cells = _own_cells(table, used) if own else _cells(table, used)
    where = f" WHERE {whose}" if whose else ""
    # S608: every name is the dictionary's; `whose` compares with whole numbers.
    return (
        f"SELECT {person} AS person, {_act_number(table, number)} AS act, "  # noqa: S608
        f"CAST({number} AS BIGINT) AS part, {table.key[0]} AS id, {cells} AS cells "
        f"FROM {table.name}{where}"
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
    words = [f"coalesce({name}, '')" for name in texts]
    inside = " || ',' || ".join(cells)
    return " || ".join(["'['", *([inside] if cells else []), "']'", *words])


def _own_cells(table: Table, used: Sequence[str]) -> str:
    """Return the same text in DuckDB's functions: its JSON of numbers and of ASCII."""
    plain, texts = cells_of(table, used)
    cells = [
        f"CAST({name} AS VARCHAR)" if table.fields[name].type in QUOTED else name
        for name in plain
    ]
    cells += [f"length({name})" for name in texts]
    parts = [f"json_array({', '.join(cells)})", *texts]
    return f"concat({', '.join(parts)})"


def read_acts(
    engine: Engine, used: Used, people: Sequence[int], *, nobody: bool = True
) -> Iterator[Acts]:
    """Yield the acts of these people alone, and of nobody: see `read_all_acts`."""
    if nobody:
        yield from _read(engine, used, None)
    if people:
        ids = ", ".join(map(str, people))
        # DuckDB compares a row with each of a list; of a table it makes a hash table.
        few = f"SELECT unnest([{ids}])" if isinstance(engine, DuckDBEngine) else ids
        yield from _read(engine, used, f"{PERSON} IN ({few})")


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
    ids, chunks = sorted(people), -(-rows // CHUNK_ROWS)
    cuts = {ids[n * len(ids) // chunks] for n in range(1, chunks) if ids}
    # Whoever is not among the people is in a range as well, and is found out there.
    for low, high in pairwise([None, *sorted(cuts), None]):
        over = f"{PERSON} >= {low}" if low is not None else "TRUE"
        below = f"{PERSON} < {high}" if high is not None else "TRUE"
        yield from _read(engine, used, f"{over} AND {below}")


def _read(engine: Engine, used: Used, whose: str | None) -> Iterator[Acts]:
    plan = act_rows_plan(used, whose, own=isinstance(engine, DuckDBEngine))
    if plan:
        rows, names = _fetched(engine, plan), _names(used)
        yield from _nobodys(rows, names) if whose is None else _peoples(rows, names)


def _names(used: Used) -> dict[int, bytes]:
    """Return by its number what stands before the rows of a table in an act."""
    return {
        number: f"{name}/{mask_of(table, used[name])}".encode()
        for number, (name, table) in enumerate(act_tables().items(), 1)
        if name in used
    }


class _Rows(NamedTuple):
    """Rows: whole numbers of each, and the texts of all behind each other."""

    person: Array
    act: Array
    part: Array
    id: Array
    edges: Array  # where each text begins, and the end of the last
    text: bytes | memoryview

    def runs(self) -> tuple[Array, Array]:
        """Return first rows, and last, of runs that make up all acts in order.

        Tables are stored by person more or less, so that most rows follow each other.
        """
        same = self.person[1:] == self.person[:-1]
        same &= self.act[1:] == self.act[:-1]
        same &= self.part[1:] == self.part[:-1]
        same &= self.id[1:] > self.id[:-1]
        edges = np.flatnonzero(~same)
        first = np.concatenate([[0], edges + 1])
        last = np.concatenate([edges, [len(self.id) - 1]])
        order = self._order(first)
        if self._cross(first[order], last[order]):
            first = last = np.arange(len(self.id))
            order = self._order(first)
        return first[order], last[order]

    def _order(self, rows: Array) -> Array:
        keys = [k[rows] for k in (self.person, self.act, self.part, self.id)]
        rises = np.ones(len(rows) - 1, dtype=bool)
        for key in reversed(keys):  # the first one counts most
            rises = (key[1:] > key[:-1]) | ((key[1:] == key[:-1]) & rises)
        return np.arange(len(rows)) if rises.all() else np.lexsort(keys[::-1])

    def _cross(self, first: Array, last: Array) -> bool:
        """Return whether a run ends behind where the next one of its kind begins."""
        ends, begins = last[:-1], first[1:]
        cross = self.id[ends] > self.id[begins]
        for key in (self.person, self.act, self.part):
            cross &= key[ends] == key[begins]
        return bool(cross.any())


def _fetched(engine: Engine, plan: str) -> _Rows:
    if isinstance(engine, DuckDBEngine):
        found, text = engine.fetch_packed(plan, "cells")
    else:
        found = engine.fetch(plan)
        if any(map(np.ma.is_masked, found.values())):
            raise InvalidData("a row of the tables lacks its key, or whose it is")
        texts = [cells.encode() for cells in found["cells"]]
        text = b"".join(texts)
        found["cells"] = np.cumsum([0, *map(len, texts)])
    person, act, part, key = (found[name] for name in ("person", "act", "part", "id"))
    return _Rows(person, act, part, key, found["cells"], text)


def _nobodys(rows: _Rows, names: Mapping[int, bytes]) -> Iterator[Acts]:
    """Yield what belongs to nobody: each row is an act."""
    order = np.lexsort((rows.id, rows.part))
    if len(order):
        parts, text = rows.part[order].tolist(), rows.text
        starts, stops = rows.edges[order].tolist(), rows.edges[order + 1].tolist()
        cells = [text[a:b] for a, b in zip(starts, stops, strict=True)]
        fronts = [b"%b[null,null,null]%b" % (_FRONT, names[part]) for part in parts]
        yield Acts(None, parts, fronts, cells, len(parts))


def _peoples(rows: _Rows, names: Mapping[int, bytes]) -> Iterator[Acts]:
    if not len(rows.id):
        return
    first, last = rows.runs()
    other = _changes(rows.person[first])
    acts = np.flatnonzero(other | _changes(rows.act[first]))  # where each one begins
    owners = np.flatnonzero(other[acts])
    counts = np.add.reduceat(last - first + 1, acts[owners]).tolist()
    people, numbers = rows.person[first[acts]].tolist(), rows.act[first[acts]].tolist()
    parts = rows.part[first[acts]].tolist()
    fronts = [
        b"%b[%d,%b]%b" % (_FRONT, person, _back(number), names[part])
        for person, number, part in zip(people, numbers, parts, strict=True)
    ]
    cells = _cells_of(rows, names, (first, last), acts)
    limits = [*owners.tolist(), len(numbers)]
    for low, high, count in zip(limits, limits[1:], counts, strict=False):
        of = slice(low, high)
        yield Acts(people[low], numbers[of], fronts[of], cells[of], count)


def _cells_of(
    rows: _Rows, names: Mapping[int, bytes], runs: tuple[Array, Array], acts: Array
) -> list[bytes | memoryview]:
    """Return the rows of each act, less the name of its first table."""
    first, last = runs
    text, parts = rows.text, rows.part[first].tolist()
    starts, stops = rows.edges[first].tolist(), rows.edges[last + 1].tolist()
    ends = np.append(acts[1:], len(first))
    cells = [text[starts[n] : stops[n]] for n in acts.tolist()]
    several = np.flatnonzero(ends - acts > 1)  # whose rows stand in several places
    for n, begin, end in zip(
        several.tolist(), acts[several].tolist(), ends[several].tolist(), strict=True
    ):
        pieces = [cells[n]]
        for run in range(begin + 1, end):
            if parts[run] != parts[run - 1]:
                pieces.append(names[parts[run]])
            pieces.append(text[starts[run] : stops[run]])
        cells[n] = b"".join(pieces)
    return cells


def _changes(values: Array) -> Array:
    """Return where a value differs from the one before; the first one does."""
    return np.concatenate([[True], values[1:] != values[:-1]])


def _back(number: int) -> bytes:
    """Return visit and day of an act of this number, as its bytes have them."""
    if number >= 0:
        return b"%d,null" % number
    if number == FOR_GOOD:
        return b"null,null"
    return b'null,"%b"' % _iso(number - FIRST_DAY)


@functools.lru_cache(maxsize=2**16)
def _iso(day: int) -> bytes:
    return str(np.datetime64(day, "D")).encode()
