"""Curated tables → one digest over their content, in one total order."""

import hashlib

from hetao.cdm.dictionary import CONTENT, Table
from hetao.cdm.engine_duckdb import Connection, name

BAND_ROWS = 65_536  # rows hashed as one band, so that memory stays bounded


def snapshot_digest(connection: Connection) -> str:
    """Return `sha256:…` over every content table, row by row in key order.

    A row is the JSON list of its cells as text, so that no two different rows share
    a text; rows are hashed in bands by the engine, and the bands in order here. The
    order of rows in storage, threads and file layout do not matter.
    """
    whole = hashlib.sha256(b"hetao.snapshot/1\n")
    for table in CONTENT:
        whole.update(f"{table.name}({','.join(table.columns)})\n".encode())
        for (band,) in connection.execute(_bands(table)).fetchall():
            whole.update(f"{band}\n".encode("ascii"))
    return "sha256:" + whole.hexdigest()


def _bands(table: Table) -> str:
    cells = ", ".join(f"{name(column)}::VARCHAR" for column in table.columns)
    order = ", ".join(name(column) for column in table.key)
    # S608: every identifier comes from the dictionary.
    return f"""
        WITH hashed AS (
            SELECT row_number() OVER (ORDER BY {order}) AS place,
                   sha256(json_array({cells})::VARCHAR) AS digest
            FROM {name(table.name)}
        )
        SELECT sha256(string_agg(digest, '' ORDER BY place))
        FROM hashed GROUP BY place // {BAND_ROWS} ORDER BY place // {BAND_ROWS}
    """  # noqa: S608
