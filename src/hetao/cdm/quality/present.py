"""Which of the dictionary's tables and fields are there, and of which type."""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hetao.cdm.engine import Engine, literal
from hetao.cdm.quality.check import Check, checked
from hetao.dictionary import Dictionary, Table
from hetao.errors import HetaoError

# The dictionary's type → the dtype of a fetched column.
DTYPES = {
    "bigint": "int64",
    "integer": "int64",
    "decimal": "float64",
    "date": "datetime64[D]",
    "timestamp": "datetime64[us]",
    "text": "object",
}


@dataclass(frozen=True)
class Extent:
    """How far a table reaches: told first, so that what cannot be need not be sought.

    Attributes:
        rows: of the table.
        filled: rows in which a field is not empty, by field.
        ends: (lowest, highest) value of a field that is a number or a date, as Python
            values; (None, None) where it is empty throughout.
    """

    rows: int
    filled: Mapping[str, int]
    ends: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True)
class Present:
    """What a check may count on.

    Attributes:
        engine: holds the tables.
        dictionary: what they should be.
        fields: of each table that is there, the fields that are there with their type.
        extents: of each table that is there.
        day: the day of curation.
    """

    engine: Engine
    dictionary: Dictionary
    fields: Mapping[str, tuple[str, ...]]
    extents: Mapping[str, Extent]
    day: datetime.date

    def has(self, path: str) -> bool:
        """Return whether a `table` or `table.field` is there, with its type."""
        table, _, field = path.partition(".")
        return table in self.fields and (not field or field in self.fields[table])

    def filled(self, path: str) -> int:
        """Return how many rows hold a `table.field`; 0 where it is not there."""
        table, _, field = path.partition(".")
        return self.extents[table].filled.get(field, 0) if table in self.extents else 0

    def tables(self, kind: str = "content") -> list[Table]:
        """Return the tables of a kind that are there, in the dictionary's order."""
        return [
            table
            for name, table in self.dictionary.tables.items()
            if table.kind == kind and name in self.fields
        ]

    def dates(
        self, table: Table, types: tuple[str, ...] = ("date", "timestamp")
    ) -> list[str]:
        """Return the date fields of a table that are there."""
        return [
            name for name in self.fields[table.name] if table.fields[name].type in types
        ]


def look(
    engine: Engine, dictionary: Dictionary, day: datetime.date
) -> tuple[Present, list[Check]]:
    """Return what is there, with the checks of the catalogue itself.

    No row is read: a plan that is cut to none still tells its columns and types.
    """
    fields: dict[str, tuple[str, ...]] = {}
    checks: list[Check] = []
    for name, table in dictionary.tables.items():
        found = _columns(engine, name)
        checks.append(checked("cdmTable", name, (int(found is None), 1)))
        if found is None:
            continue
        good = []
        for field in table.fields.values():
            place = f"{name}.{field.name}"
            dtype = found.get(field.name)
            wrong = dtype is not None and dtype != DTYPES[field.type]
            checks.append(checked("cdmField", place, (int(dtype is None), 1)))
            if dtype is not None:
                checks.append(checked("cdmDatatype", place, (int(wrong), 1)))
            if dtype is not None and not wrong:
                good.append(field.name)
        fields[name] = tuple(good)
    rows = _rows(engine, fields)
    extents = {
        name: _extent(engine, dictionary.tables[name], have)
        if rows[name]
        else _nothing(dictionary.tables[name], have)
        for name, have in fields.items()
    }
    return Present(engine, dictionary, fields, extents, day), checks


def _rows(engine: Engine, tables: Iterable[str]) -> dict[str, int]:
    """Return how many rows each table has, asked at once: most of OMOP's have none."""
    plan = " UNION ALL ".join(
        f"SELECT {literal(name)} AS name, count(*) AS number FROM {name}"  # noqa: S608
        for name in tables
    )
    found = engine.rows(plan) if plan else []
    return {str(name): int(number) for name, number in found}


def _ordered(table: Table, fields: tuple[str, ...]) -> list[str]:
    return [name for name in fields if table.fields[name].type != "text"]


def _nothing(table: Table, fields: tuple[str, ...]) -> Extent:
    """Return the extent of a table without a row."""
    ends = dict.fromkeys(_ordered(table, fields), (None, None))
    return Extent(0, dict.fromkeys(fields, 0), ends)


def _extent(engine: Engine, table: Table, fields: tuple[str, ...]) -> Extent:
    ordered = _ordered(table, fields)
    told = [f"count({name}) AS n_{name}" for name in fields]
    told += [f"min({name}) AS l_{name}, max({name}) AS h_{name}" for name in ordered]
    plan = f"SELECT {', '.join(['count(*) AS rows', *told])} FROM {table.name}"  # noqa: S608
    ((rows, *values),) = engine.rows(plan)
    ends = values[len(fields) :]
    return Extent(
        int(rows),
        {name: int(n) for name, n in zip(fields, values, strict=False)},
        {name: (ends[2 * k], ends[2 * k + 1]) for k, name in enumerate(ordered)},
    )


def _columns(engine: Engine, table: str) -> dict[str, str] | None:
    """Return the dtypes of a table's columns; None where it is not there."""
    try:
        found = engine.fetch(f"SELECT * FROM {table} WHERE 1 = 0")  # noqa: S608
    except HetaoError:  # the engine says that it cannot be read, whatever the reason
        return None
    return {name: column.dtype.name for name, column in found.items()}
