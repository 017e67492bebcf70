"""The embedded engine: DuckDB, opened without reach beyond its own file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import duckdb
import numpy as np

from hetao.cdm.engine import ClosesItself, Column, Columns, Row, column
from hetao.cdm.plan import checked_name, named_columns, translate
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
        "arrow_large_buffer_size": True,  # texts of more than 2 GiB together
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


def counts(connection: Connection, tables: Iterable[str]) -> dict[str, int]:
    """Return how many rows each of some tables has, at least one, in one statement."""
    query = " UNION ALL ".join(
        f"SELECT {text(table)}, count(*) FROM {table}"  # noqa: S608
        for table in tables
    )
    return {name: int(rows) for name, rows in connection.execute(query).fetchall()}


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


# What an array takes over digit by digit; from here on, the SQL above brings it.
EXACT_BELOW = {"decimal": 9e8, "hugeint": 2.0**53}

# The dtype of an array → the type of its column in a table.
TYPES = {
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "bool": "BOOLEAN",
    "datetime64[D]": "DATE",
    "datetime64[us]": "TIMESTAMP",
    "object": "VARCHAR",
}

DECIMAL_BYTES = 16  # of a decimal as Arrow hands it on


class Packed(NamedTuple):
    """Columns of whole numbers, and one of texts in UTF-8, behind each other.

    Attributes:
        columns: name → whole numbers: of dates and times days and microseconds since
            1970, of decimals how many of their last place.
        missing: name → where a column has none; of those alone that lack one.
        edges: where each text begins, and where the last one ends.
        text: all texts.
    """

    columns: Columns
    missing: Columns
    edges: Column
    text: bytes | memoryview


class DuckDBEngine(ClosesItself):
    """The embedded engine over an open connection, which it closes with itself."""

    name = "duckdb"

    def __init__(self, connection: Connection) -> None:
        """Work on the tables that the connection sees by their bare names."""
        self.connection = connection

    def make(self, name: str, sql: str) -> None:
        """Keep a plan's rows as the temporary table `name`."""
        table, plan = checked_name(name), translate(sql, self.name)
        names = named_columns(sql)
        with failures():
            if names is None:  # only the tables know what a * stands for
                names = tuple(self.connection.sql(plan).columns)
            for key in _told_apart(names):
                checked_name(key)
            self._keep(table, plan)
            made = self.connection.execute(f'SELECT * FROM temp."{table}" LIMIT 0')  # noqa: S608
            try:
                result_forms(made.description)
            except UnportablePlan:
                self.drop(table)
                raise

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
        return self._answer(translate(sql, self.name))

    def fetch_at_once(self, queries: Sequence[str]) -> list[Columns]:
        """Return the columns of several queries of tables, asked at the same time.

        A query of few rows is mostly planning, which takes one core each. Temporary
        tables are not seen.

        Args:
            queries: in DuckDB's own words: to load what translates a plan takes a new
                process longer than all of them. An answer for each, in their order.
        """
        with failures():
            ((home,),) = self.connection.execute("SELECT current_database()").fetchall()

        def ask(query: str) -> Columns:
            with failures(), DuckDBEngine(self.connection.cursor()) as other:
                other.connection.execute(f"USE {quoted(home)}")
                return other._answer(query)

        with ThreadPoolExecutor(max(1, len(queries))) as pool:
            return list(pool.map(ask, queries))

    def _answer(self, query: str) -> Columns:
        """Return the columns of a query in DuckDB's own words."""
        with failures():
            answer = self.connection.execute(query)  # it is bound once: a third of
            forms = result_forms(answer.description)  # what a small site's plan costs
            found = cast(Columns, answer.fetchnumpy())
            if any(_is_rounded(found[key], kind) for key, kind in forms.items()):
                wanted = ", ".join(
                    f"{FORMS[kind][1].format(quoted(key))} AS {quoted(key)}"
                    for key, kind in forms.items()
                )
                again = self.connection.sql(query).project(wanted)
                found = cast(Columns, again.fetchnumpy())
        return {
            key: column(
                np.ma.getdata(found[key]),
                np.ma.getmaskarray(found[key]),
                FORMS[kind][0],
            )
            for key, kind in forms.items()
        }

    def fetch_packed(self, sql: str, text: str = "", where: str = "") -> list[Packed]:
        """Return a plan's columns as whole numbers, and its one text without objects.

        They come in pieces, as the engine hands them over: nothing is copied.

        Args:
            sql: a plan of whole numbers, decimals of up to 18 digits, dates, times.
            text: the name of its column of text; "" if none. NULL is an empty one.
            where: SQL of the embedded engine that goes on behind the plan's FROM: a
                plan that is asked for many ranges is translated once.

        Raises:
            UnportablePlan: the plan lies outside the subset.
            InvalidData: the tables do not bear it.
        """
        from nanoarrow import c_array_stream  # 12 ms that few commands need

        with failures():
            relation = self.connection.sql(translate(sql, self.name) + where)
            names = relation.columns
            try:
                return [
                    _packed(dict(zip(names, batch.children, strict=True)), text)
                    for batch in c_array_stream(relation)
                ]
            except RuntimeError as error:  # the stream's own kind of failure
                raise duckdb.Error(str(error)) from None

    def rows(self, sql: str) -> list[Row]:
        """Return a plan's few rows as Python values."""
        with failures():
            answer = self.connection.execute(translate(sql, self.name))
            result_forms(answer.description)
            return list(answer.fetchall())

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


def result_forms(description: Sequence[Sequence[Any]]) -> dict[str, str]:
    """Return the type of each of an answer's columns, by name.

    Args:
        description: of each column, as the connection gives it: name, type, ….

    Raises:
        UnportablePlan: two columns share a name, or one has a type without a form.
    """
    names = _told_apart([name for name, *_ in description])
    types = [kind.id for _, kind, *_ in description]
    for key, kind in zip(names, types, strict=True):
        if kind not in FORMS:
            raise UnportablePlan(
                f"a plan's column {key!r} is of type {kind.upper()}",
                fix=f"cast it to one of {', '.join(FORMS).upper()}",
            )
    return dict(zip(names, types, strict=True))


def _whole(buffer: memoryview) -> Column:
    """Return the numbers of an Arrow buffer, decimals too, which have 16 bytes each."""
    if buffer.itemsize == DECIMAL_BYTES:
        # The upper half says no more than the lower: 18 digits fit into 63 bits.
        return np.frombuffer(buffer.cast("B"), dtype="<i8")[::2]
    return np.asarray(buffer)


def _packed(batch: Mapping[str, Any], text: str) -> Packed:
    """Return the columns of an Arrow batch, one of which may be of texts."""
    columns, missing, edges = {}, {}, np.zeros(1, dtype=np.int64)
    whole: bytes | memoryview = b""
    for name, cells in batch.items():
        buffers = cells.view()
        numbers = _whole(memoryview(buffers.buffer(1)))
        if name == text:
            edges, whole = numbers, memoryview(buffers.buffer(2))
        else:
            columns[name] = numbers
        if cells.null_count:
            bits = np.unpackbits(np.asarray(buffers.buffer(0)), bitorder="little")
            missing[name] = bits[: cells.length] == 0
    return Packed(columns, missing, edges, whole)


def _told_apart(names: Sequence[str]) -> Sequence[str]:
    """Return the names of an answer's columns, unless two are alike."""
    if len(set(names)) < len(names):
        raise UnportablePlan("a plan names two of its columns alike")
    return names


def _is_rounded(values: Column, kind: str) -> bool:
    """Say whether an array may hold something else than the nearest of its dtype."""
    if kind not in EXACT_BELOW:
        return False
    known = np.ma.compressed(np.ma.asarray(values))
    return bool((np.abs(known) >= EXACT_BELOW[kind]).any())


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
