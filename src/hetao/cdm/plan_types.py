"""The types that a plan's columns can have, and what they are called where."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
from duckdb import sqltypes

from hetao.cdm.engine import literal
from hetao.cdm.engine_duckdb import Connection, connect, failures, result_forms
from hetao.cdm.plan import checked_name, translate
from hetao.errors import InvalidData

HUGE = "hugeint"  # a sum of whole numbers
# A kind of DuckDB's → its name on PostgreSQL and on Spark.
NAMES = {
    "bigint": ("BIGINT", "BIGINT"),
    "uinteger": ("BIGINT", "BIGINT"),
    "integer": ("INTEGER", "INT"),
    "smallint": ("INTEGER", "INT"),
    "tinyint": ("INTEGER", "INT"),
    HUGE: ("NUMERIC(38,0)", "DECIMAL(38,0)"),
    "decimal": ("NUMERIC({0},{1})", "DECIMAL({0},{1})"),
    "double": ("DOUBLE PRECISION", "DOUBLE"),
    "boolean": ("BOOLEAN", "BOOLEAN"),
    "date": ("DATE", "DATE"),
    "timestamp": ("TIMESTAMP", "TIMESTAMP_NTZ"),
    "varchar": ('TEXT COLLATE "C"', "STRING"),
}


@dataclass(frozen=True)
class ColumnType:
    """The type of one column, as DuckDB names it; digits and scale of a decimal."""

    kind: str
    digits: int = 0
    scale: int = 0

    @property
    def duckdb(self) -> str:
        """Return DuckDB's name for it."""
        size = f"({self.digits},{self.scale})" if self.kind == "decimal" else ""
        return self.kind.upper() + size

    @property
    def postgres(self) -> str:
        """Return PostgreSQL's name for it, with the collation by bytes for text."""
        return NAMES[self.kind][0].format(self.digits, self.scale)

    @property
    def spark(self) -> str:
        """Return Spark's name for it."""
        return NAMES[self.kind][1].format(self.digits, self.scale)


CURATED, MADE = "", "TEMP"  # kinds of tables, in SQL's words
ColumnTypes = dict[str, ColumnType]


class EmptyTables:
    """The tables of another engine, without a row, in DuckDB: it says what plans give.

    So that a plan has one meaning, its columns' names and types are DuckDB's on every
    engine, and a plan that DuckDB cannot bind is refused on every engine.
    """

    def __init__(self) -> None:
        """Start without a table."""
        self._connection: Connection = connect()

    def add(self, name: str, types: ColumnTypes, kind: str = CURATED) -> None:
        """Add a curated table, or a made one, which hides it until dropped."""
        columns = ", ".join(
            f'"{checked_name(key)}" {column.duckdb}' for key, column in types.items()
        )
        with failures():
            self._connection.execute(
                f'CREATE OR REPLACE {kind} TABLE "{checked_name(name)}" ({columns})'
            )

    def drop(self, name: str) -> None:
        """Take a made table away, if it is there."""
        self._connection.execute(f'DROP TABLE IF EXISTS temp."{checked_name(name)}"')

    def types(self, sql: str) -> ColumnTypes:
        """Return the names and types of a plan's columns, in order.

        Raises:
            UnportablePlan: the plan lies outside the subset, or does not fit.
        """
        with failures():
            plan = self._connection.sql(translate(sql, "duckdb"))
            result_forms(plan.description)
        return dict(zip(plan.columns, map(_type, plan.types), strict=True))

    def close(self) -> None:
        """Let go of them."""
        self._connection.close()


def stored_tables(connection: Connection) -> dict[str, ColumnTypes]:
    """Return the tables of a database by name, with their columns' types.

    Raises:
        InvalidData: a column has a type that no plan reads.
    """
    with failures():
        found = connection.execute("""
            SELECT table_name, column_name, data_type FROM information_schema.columns
            WHERE table_catalog = current_database() AND table_schema = 'main'
            ORDER BY table_name, ordinal_position
        """).fetchall()
    tables: dict[str, ColumnTypes] = {}
    for table, key, kind in found:
        tables.setdefault(table, {})[key] = declared_type(kind, f"{table}.{key}")
    return tables


def parquet_tables(files: Mapping[str, str]) -> dict[str, ColumnTypes]:
    """Return the types of the columns of Parquet files, by name; no row is read.

    Args:
        files: name → file, or folder of files.

    Raises:
        InvalidData: a file cannot be read, or no plan reads one of its columns.
    """
    found: dict[str, ColumnTypes] = {}
    with connect() as connection, failures():
        for name, file in files.items():
            place = f"{file}/*.parquet" if Path(file).is_dir() else file
            told = connection.execute(
                f"DESCRIBE SELECT * FROM read_parquet({literal(place)})"  # noqa: S608
            ).fetchall()
            found[name] = {
                key: declared_type(kind, f"{name}.{key}") for key, kind, *_ in told
            }
    return found


def declared_type(text: str, column: str) -> ColumnType:
    """Return the type that DuckDB's words for it mean, such as "DECIMAL(18,6)".

    Raises:
        InvalidData: no plan can read a column of such a type.
    """
    try:
        found = _type(duckdb.type(text))
    except duckdb.Error:
        found = ColumnType("")
    if found.kind not in NAMES:
        raise InvalidData(
            f"column {column!r} is of the type {text}, which no plan reads"
        )
    return found


def _type(kind: sqltypes.DuckDBPyType) -> ColumnType:
    if kind.id != "decimal":
        return ColumnType(kind.id)
    sizes = {name: int(str(size)) for name, size in kind.children}
    return ColumnType("decimal", sizes["precision"], sizes["scale"])
