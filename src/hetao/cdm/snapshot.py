"""Curated tables → a digest of each, in one total order, and one over all."""

import hashlib
import operator
from collections.abc import Mapping

from hetao.cdm.engine_duckdb import Connection
from hetao.dictionary import Table, dictionary

BAND_ROWS = 2048  # rows that are fetched at once: more would not fit the CPU's caches


def snapshot_digest(digests: Mapping[str, str]) -> str:
    """Return `sha256:…` over the digests of a snapshot's tables.

    Args:
        digests: of every table of the dictionary, see `table_digest`.
    """
    whole = hashlib.sha256(b"hetao.snapshot/2\n")
    for name in dictionary().tables:
        whole.update(f"{name} {digests[name]}\n".encode())
    return "sha256:" + whole.hexdigest()


def table_digests(connection: Connection, rows: Mapping[str, int]) -> dict[str, str]:
    """Return `table_digest` of every table of the dictionary, by name.

    Args:
        connection: holds the tables.
        rows: how many each has; most of OMOP's have none, and are not read.
    """
    return {
        name: _digest(
            connection, table, _filled(connection, table) if rows[name] else []
        )
        for name, table in dictionary().tables.items()
    }


def table_digest(connection: Connection, table: Table) -> str:
    """Return `sha256:…` over a table's content, row by row in key order.

    A row is a line: the JSON list of its cells as text, so that no two different rows
    share one. The first line names the columns that hold anything, and only these are
    in the rows. The order of rows in storage, threads and file layout do not matter.
    """
    return _digest(connection, table, _filled(connection, table))


# S608, here and below: every identifier comes from the dictionary.
def _filled(connection: Connection, table: Table) -> list[str]:
    """Return the columns that hold anything: OMOP has many that stay empty."""
    counts = ", ".join(f"count({column})" for column in table.columns)
    numbers = connection.execute(f"SELECT {counts} FROM {table.name}").fetchone()  # noqa: S608
    pairs = zip(table.columns, numbers or (), strict=True)
    return [column for column, number in pairs if number]


def _digest(connection: Connection, table: Table, columns: list[str]) -> str:
    whole = hashlib.sha256(f"{table.name}({','.join(columns)})\n".encode())
    if columns:
        cells = ", ".join(f"{column}::VARCHAR" for column in columns)
        rows = connection.execute(
            f"SELECT json_array({cells})::VARCHAR FROM {table.name} "  # noqa: S608
            f"ORDER BY {', '.join(table.key)}"
        )
        # The engine sorts and writes the lines; it would hash them three times slower.
        while band := rows.fetchmany(BAND_ROWS):
            lines = map(operator.itemgetter(0), band)
            whole.update(("\n".join(lines) + "\n").encode())
    return "sha256:" + whole.hexdigest()
