"""Curated tables → a digest of each, in one total order, and one over all."""

import hashlib
from collections.abc import Mapping

from hetao.cdm.engine_duckdb import Connection
from hetao.dictionary import Table, dictionary

BAND_ROWS = 65_536  # rows hashed as one band, so that memory stays bounded


def snapshot_digest(digests: Mapping[str, str]) -> str:
    """Return `sha256:…` over the digests of a snapshot's tables.

    Args:
        digests: of every table of the dictionary, see `table_digest`.
    """
    whole = hashlib.sha256(b"hetao.snapshot/2\n")
    for name in dictionary().tables:
        whole.update(f"{name} {digests[name]}\n".encode())
    return "sha256:" + whole.hexdigest()


def table_digest(connection: Connection, table: Table) -> str:
    """Return `sha256:…` over a table's content, row by row in key order.

    A row is the JSON list of its cells as text, so that no two different rows share
    a text; rows are hashed in bands by the engine, and the bands in order here. The
    first line names the columns that hold anything, and only these are in the rows.
    The order of rows in storage, threads and file layout do not matter.
    """
    columns = _filled(connection, table)
    whole = hashlib.sha256(f"{table.name}({','.join(columns)})\n".encode())
    for (band,) in connection.execute(_bands(table, columns)).fetchall():
        whole.update(f"{band}\n".encode("ascii"))
    return "sha256:" + whole.hexdigest()


# S608, here and below: every identifier comes from the dictionary.
def _filled(connection: Connection, table: Table) -> tuple[str, ...]:
    """Return the columns with at least one value: OMOP has many that stay empty."""
    counts = ", ".join(f"count({column})" for column in table.columns)
    found = connection.execute(f"SELECT {counts} FROM {table.name}").fetchone()  # noqa: S608
    numbers = found or (0,) * len(table.columns)
    pairs = zip(table.columns, numbers, strict=True)
    return tuple(column for column, number in pairs if number)


def _bands(table: Table, columns: tuple[str, ...]) -> str:
    cells = ", ".join(f"{column}::VARCHAR" for column in columns)
    order = ", ".join(table.key)
    return f"""
        WITH hashed AS (
            SELECT row_number() OVER (ORDER BY {order}) AS place,
                   sha256(json_array({cells})::VARCHAR) AS digest
            FROM {table.name}
        )
        SELECT sha256(string_agg(digest, '' ORDER BY place))
        FROM hashed GROUP BY place // {BAND_ROWS} ORDER BY place // {BAND_ROWS}
    """  # noqa: S608
