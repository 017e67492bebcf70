"""The embedded engine: DuckDB, opened without reach beyond its own file."""

from pathlib import Path

import duckdb

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
    row = connection.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()  # noqa: S608
    return int(row[0]) if row else 0
