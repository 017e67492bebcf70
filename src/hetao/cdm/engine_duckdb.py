"""The embedded engine: DuckDB, opened without reach beyond its own file."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np

from hetao.cdm.engine import ClosesItself, Column, Columns, Row, column
from hetao.cdm.plan import checked_name, translate
from hetao.errors import InvalidData, UnportablePlan

Connection = duckdb.DuckDBPyConnection
Problem = duckdb.Error


def connect(path: Path | None = None) -> Connection:
    """Return a connection to a database file, or to memory when `path` is None.

    Extensions are neither fetched nor loaded: a site's machine has no way out, and
    a query must mean the same with and without one.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "preserve_insertion_order": True,
    }
    return duckdb.connect(str(path) if path else ":memory:", config=settings)


def connect_read_only(path: Path) -> Connection:
    """Return a connection that reads the file which stands at `path` right now.

    The file is attached to a fresh engine: opened directly, an engine that still
    holds an older file of the same name would show that one again.
    """
    connection = connect()
    try:
        connection.execute(f"ATTACH {text(str(path))} AS site (READ_ONLY)")
        connection.execute("USE site")
    except BaseException:
        connection.close()
        raise
    return connection


def text(value: str) -> str:
    """Return a text literal as SQL reads it."""
    return "'" + value.replace("'", "''") + "'"


def texts(values: tuple[str, ...]) -> str:
    """Return a bracketed list of text literals; one that matches nothing if empty."""
    return "(" + ", ".join(map(text, values)) + ")" if values else "(NULL)"


def count(connection: Connection, table: str, where: str = "TRUE") -> int:
    """Return how many rows of a table or subquery meet a condition."""
    # S608: table and condition are our own SQL, values in it are quoted by `text`.
    query = f"SELECT count(*) FROM {table} WHERE {where}"  # noqa: S608
    ((found,),) = connection.execute(query).fetchall()
    return int(found)


def insert(
    connection: Connection, table: str, rows: Sequence[tuple[object, ...]]
) -> None:
    """Insert rows of Python values in one statement; row by row would take minutes."""
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        places = ", ".join("unnest(?)" for _ in columns)
        connection.execute(f"INSERT INTO {table} SELECT {places}", columns)


# A type of DuckDB → the dtype of its column, and the SQL that brings a cell there.
# A decimal beyond 2^53 units goes by its text: only that is rounded but once.
INTEGER = ("int64", "CAST({0} AS BIGINT)")
DECIMAL = (
    "float64",
    "CASE WHEN abs({0}) < 900000000 THEN CAST({0} AS DOUBLE) "
    "ELSE CAST(CAST({0} AS VARCHAR) AS DOUBLE) END",
)
FORMS = {
    **dict.fromkeys(
        ("bigint", "integer", "smallint", "tinyint", "hugeint", "uinteger"), INTEGER
    ),
    "decimal": DECIMAL,
    "double": ("float64", "{0}"),
    "boolean": ("bool", "{0}"),
    "date": ("datetime64[D]", "{0}"),
    "timestamp": ("datetime64[us]", "{0}"),
    "varchar": ("object", "{0}"),
}


# The dtype of an array → the type of its column in a table.
TYPES = {
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "bool": "BOOLEAN",
    "datetime64[D]": "DATE",
    "datetime64[us]": "TIMESTAMP",
    "object": "VARCHAR",
}


class DuckDBEngine(ClosesItself):
    """The embedded engine over an open connection, which it closes with itself."""

    name = "duckdb"

    def __init__(self, connection: Connection) -> None:
        """Work on the tables that the connection sees by their bare names."""
        self.connection = connection

    def make(self, name: str, sql: str) -> None:
        """Keep a plan's rows as the temporary table `name`."""
        table, plan = checked_name(name), translate(sql, self.name)
        with failures():
            for key in result_forms(self.connection.sql(plan)):
                checked_name(key)
            self._keep(table, plan)

    def drop(self, name: str) -> None:
        """Let go of the temporary table `name`, if there is one."""
        with failures():
            self.connection.execute(f"DROP TABLE IF EXISTS temp.{checked_name(name)}")

    def load(self, name: str, columns: Mapping[str, Column]) -> None:
        """Keep arrays as the temporary table `name`."""
        handed = {key: _handed(values) for key, values in columns.items()}
        typed = ", ".join(
            f'CAST("{checked_name(key)}" AS {TYPES[values.dtype.name]}) AS "{key}"'
            for key, values in columns.items()
        )
        with failures():
            self.connection.register("handed", handed)
            try:
                # S608: the names are checked.
                self._keep(checked_name(name), f"SELECT {typed} FROM handed")  # noqa: S608
            finally:
                self.connection.unregister("handed")

    def fetch(self, sql: str) -> Columns:
        """Return a plan's columns as arrays, in the plan's order of rows."""
        with failures():
            plan = self.connection.sql(translate(sql, self.name))
            forms = result_forms(plan)
            wanted = ", ".join(
                f"{form.format(quoted(key))} AS {quoted(key)}"
                for key, (_, form) in forms.items()
            )
            found = plan.project(wanted).fetchnumpy()
        return {
            key: column(
                np.ma.getdata(found[key]), np.ma.getmaskarray(found[key]), dtype
            )
            for key, (dtype, _) in forms.items()
        }

    def rows(self, sql: str) -> list[Row]:
        """Return a plan's few rows as Python values."""
        with failures():
            plan = self.connection.sql(translate(sql, self.name))
            result_forms(plan)
            return list(plan.fetchall())

    def _keep(self, table: str, query: str) -> None:
        self.connection.execute(f'CREATE OR REPLACE TEMP TABLE "{table}" AS {query}')

    def close(self) -> None:
        """Drop what was made, and let go of the file."""
        self.connection.close()


@contextmanager
def failures() -> Iterator[None]:
    """Turn the database's own errors, which may quote a cell, into ours."""
    try:
        yield
    except (
        duckdb.ParserException,
        duckdb.BinderException,
        duckdb.CatalogException,
    ) as e:
        raise UnportablePlan(
            "a plan does not fit the tables that it reads",
            fix="compare its tables and columns with the dictionary's",
            local=str(e)[:400],
        ) from None
    except Problem as e:
        raise InvalidData(
            "a plan cannot be carried out on this site's tables",
            fix="read the local message; a cast or a sum may be out of range",
            local=str(e)[:400],
        ) from None


def result_forms(plan: duckdb.DuckDBPyRelation) -> dict[str, tuple[str, str]]:
    """Return the dtype and SQL form of each of a plan's columns, by name.

    Raises:
        UnportablePlan: two columns share a name, or one has a type without a form.
    """
    types = dict(zip(plan.columns, (kind.id for kind in plan.types), strict=True))
    if len(types) < len(plan.columns):
        raise UnportablePlan("a plan names two of its columns alike")
    for key, kind in types.items():
        if kind not in FORMS:
            raise UnportablePlan(
                f"a plan's column {key!r} is of type {kind.upper()}",
                fix=f"cast it to one of {', '.join(FORMS).upper()}",
            )
    return {key: FORMS[kind] for key, kind in types.items()}


def quoted(name: str) -> str:
    """Return an identifier that may be a keyword, as SQL reads it."""
    return '"' + name.replace('"', '""') + '"'


def _handed(values: Column) -> Column:
    if values.dtype.name == "datetime64[D]":
        return values.astype("datetime64[s]")  # DuckDB reads no days from numpy
    if values.dtype.name == "object":
        texts_or_none = np.ma.getdata(values).copy()
        texts_or_none[np.ma.getmaskarray(values)] = None
        return texts_or_none
    return values
