"""Curated tables → one digest over their content, in one total order."""

import hashlib

from hetao.cdm.engine_duckdb import Connection
from hetao.dictionary import Table, dictionary

BAND_ROWS = 65_536  # rows hashed as one band, so that memory stays bounded


def snapshot_digest(connection: Connection) -> str:
    """Return `sha256:…` over every content table, row by row in key order.

    A row is the JSON list of its cells as text, so that no two different rows share
    a text; rows are hashed in bands by the engine, and the bands in order here. A
    table's line names the columns that hold anything, and only these are in its rows.
    The order of rows in storage, threads and file layout do not matter.
    """
    whole = hashlib.sha256(b"hetao.snapshot/1\n")
    for table in dictionary().tables.values():
        columns = _filled(connection, table)
        whole.update(f"{table.name}({','.join(columns)})\n".encode())
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
