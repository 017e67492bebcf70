"""PostgreSQL as an engine: curated tables in a schema of a site's own database."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa

from hetao.cdm import arrow_columns
from hetao.cdm.engine import ClosesItself, Column, Columns, Row, literal
from hetao.cdm.plan import checked_name, translate
from hetao.cdm.plan_types import MADE, ColumnTypes, EmptyTables, declared_type
from hetao.errors import InvalidData, InvalidMapping, UnportablePlan, Unreachable

VARIABLE = "HETAO_POSTGRES"  # the environment's word for the connection
NEW = "new_"  # a made table until it is whole
# PostgreSQL's words for the types that DuckDB calls otherwise.
WORDS = {
    "text": "VARCHAR",
    "character varying": "VARCHAR",
    "timestamp without time zone": "TIMESTAMP",
    "double precision": "DOUBLE",
}


class PostgresEngine(ClosesItself):
    """Plans on the tables of one schema; temporary tables stand beside it."""

    name = "postgres"

    def __init__(self, uri: str, schema: str) -> None:
        """Open a connection.

        Args:
            uri: libpq's, such as "postgresql:///research"; a password stands in
                libpq's own files or environment, never here.
            schema: where the curated tables stand.

        Raises:
            Unreachable: the server does not answer or does not know us.
            InvalidData: the schema holds no table.
        """
        self._connection = connect(uri)
        self._empty = EmptyTables()
        try:
            self._enter(checked_name(schema))
        except BaseException:
            self.close()
            raise

    def make(self, name: str, sql: str) -> None:
        """Keep a plan's rows as the temporary table `name`."""
        types = self._empty.types(sql)
        wanted = ", ".join(
            f'CAST("{checked_name(key)}" AS {kind.postgres}) AS "{key}"'
            for key, kind in types.items()
        ).replace(' COLLATE "C")', ') COLLATE "C"')
        names = ", ".join(f'"{key}"' for key in types)
        plan = translate(sql, self.name)
        rows = f"SELECT {wanted} FROM ({plan}) AS made_({names})"  # noqa: S608
        with self._transaction() as run:
            run(f'CREATE TEMPORARY TABLE "{NEW}" AS {rows}')
            self._rename(run, name)
        self._empty.add(name, types, MADE)

    def drop(self, name: str) -> None:
        """Let go of the temporary table `name`, if there is one."""
        with self._transaction() as run:
            run(f'DROP TABLE IF EXISTS pg_temp."{checked_name(name)}"')
        self._empty.drop(name)

    def load(self, name: str, columns: Mapping[str, Column]) -> None:
        """Keep arrays as the temporary table `name`."""
        types = arrow_columns.types_of(columns)
        with self._transaction() as run:
            run(f'CREATE TEMPORARY TABLE "{NEW}" ({declared(types)})')
            with self._connection.cursor() as cursor:
                table = arrow_columns.arrow_table(columns)
                cursor.adbc_ingest(NEW, table, mode="append", temporary=True)
            self._rename(run, name)
        self._empty.add(name, types, MADE)

    def fetch(self, sql: str) -> Columns:
        """Return a plan's columns as arrays, in the plan's order of rows."""
        types = self._empty.types(sql)
        return arrow_columns.columns(self._answer(sql, types), types)

    def rows(self, sql: str) -> list[Row]:
        """Return a plan's few rows as Python values."""
        return arrow_columns.rows(self._answer(sql, self._empty.types(sql)))

    def close(self) -> None:
        """Drop what was made, and let go of the database."""
        self._connection.close()
        self._empty.close()

    def _enter(self, schema: str) -> None:
        with self._transaction() as run:
            run(f'SET search_path TO pg_temp, "{schema}"')
            for table, types in table_types(run, schema).items():
                self._empty.add(table, types)

    def _answer(self, sql: str, types: ColumnTypes) -> pa.Table:
        with self._transaction() as run:
            answer = run(translate(sql, self.name))
        return arrow_columns.typed(answer, types)

    def _rename(self, run: "Run", name: str) -> None:
        run(f'DROP TABLE IF EXISTS pg_temp."{checked_name(name)}"')
        run(f'ALTER TABLE pg_temp."{NEW}" RENAME TO "{name}"')
        run(f'ANALYZE pg_temp."{name}"')  # nobody else does for temporary tables

    @contextmanager
    def _transaction(self) -> Iterator["Run"]:
        with transaction(self._connection) as run:
            yield run


class Run:
    """One open transaction: call it with a statement for its rows, or None."""

    def __init__(self, connection: Any) -> None:
        """Work within the connection's transaction."""
        self._connection = connection

    def __call__(self, statement: str) -> pa.Table:
        """Run one statement; return what it answers as an Arrow table."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetch_arrow_table() if cursor.description else None


def connection_uri(variable: str = VARIABLE) -> str:
    """Return the connection that the environment names.

    A password belongs in libpq's own service or password file, or in the environment,
    never in a site's folder.

    Raises:
        InvalidMapping: the environment names none.
    """
    uri = os.environ.get(variable, "")
    if not uri.startswith(("postgresql://", "postgres://")):
        raise InvalidMapping(
            f"the environment variable {variable[:60]} names no PostgreSQL connection",
            fix=f"set it, such as {variable[:60]}=postgresql://?service=hetao",
        )
    return uri


def connect(uri: str) -> Any:
    """Return an ADBC connection.

    Raises:
        Unreachable: the server does not answer or does not know us.
    """
    try:
        return adbc.connect(uri)
    except adbc_driver_manager.Error as e:
        raise Unreachable(
            "the site's PostgreSQL does not answer",
            fix="check that it runs, and the connection that the environment names",
            local=str(e)[:400],
        ) from None


@contextmanager
def transaction(connection: Any) -> Iterator[Run]:
    """Run statements that all count or none; the database's errors become ours."""
    try:
        yield Run(connection)
        connection.commit()
    except adbc_driver_manager.Error as e:
        rollback(connection)
        if str(e.sqlstate or "").startswith("42"):  # syntax, names, types, rights
            raise UnportablePlan(
                "a plan does not fit the tables that it reads, or may not read them",
                fix="compare its tables and columns with the dictionary's",
                local=str(e)[:400],
            ) from None
        raise InvalidData(
            "PostgreSQL could not carry out a statement",
            fix="read the local message; a cast or a sum may be out of range",
            local=str(e)[:400],
        ) from None
    except BaseException:
        rollback(connection)
        raise


def rollback(connection: Any) -> None:
    """Undo an open transaction, also where the server is gone."""
    try:
        connection.rollback()
    except adbc_driver_manager.Error:
        return  # the server undoes what nobody committed


def declared(types: ColumnTypes) -> str:
    """Return column definitions, text by bytes."""
    return ", ".join(
        f'"{checked_name(key)}" {kind.postgres}' for key, kind in types.items()
    )


def table_types(run: Run, schema: str) -> dict[str, ColumnTypes]:
    """Return the columns' types of each table of a schema.

    Raises:
        InvalidData: there is no table, or a column of a type that no plan reads.
    """
    found = run(f"""
        SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT),
            CAST(data_type AS TEXT), CAST(numeric_precision AS TEXT),
            CAST(numeric_scale AS TEXT)
        FROM information_schema.columns WHERE table_schema = {literal(schema)}
        ORDER BY table_name, ordinal_position
    """)  # noqa: S608  the schema's name is checked
    tables: dict[str, ColumnTypes] = {}
    for table, key, word, digits, scale in arrow_columns.rows(found):
        text = WORDS.get(str(word), str(word))
        if text == "numeric":
            text = f"DECIMAL({digits},{scale})"
        tables.setdefault(table, {})[key] = declared_type(text, f"{table}.{key}")
    if not tables:
        raise InvalidData(
            f"PostgreSQL has no tables in the schema {schema!r}",
            fix="publish the snapshot there first",
        )
    return tables
