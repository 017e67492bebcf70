"""A query to PostgreSQL → a staged file, as `staging` keeps any other.

Apart from `staging`, because it needs the extra `hetao[postgres]`.
"""

from pathlib import Path

import duckdb

from hetao.cdm.engine_duckdb import text
from hetao.cdm.mapping import Source
from hetao.cdm.read_postgres import connection_uri, reading
from hetao.cdm.reading import headers_of


def copy_query(source: Source, path: Path, cells: str) -> tuple[tuple[str, ...], int]:
    """Write a query's rows to a Parquet file; return the headers and how many.

    Args:
        source: its `dsn_env` names the environment variable with the connection.
        path: where to write.
        cells: SQL for one cell, `{}` being its column.

    Raises:
        Unreachable: the server does not answer.
        InvalidMapping: the query has another shape than one plain SELECT.
    """
    with reading(connection_uri(source.dsn_env)) as database:
        batches = database.texts(source.query)
        names = list(batches.schema.names)
        headers = headers_of(names, source.name)
        columns = ", ".join(
            f"{cells.format(_quoted(name))} AS c{place}"
            for place, name in enumerate(names)
        )
        with duckdb.connect(":memory:") as connection:
            connection.register("batches", batches)
            done = connection.execute(
                "COPY (SELECT row_number() OVER () AS source_row, "  # noqa: S608
                f"{columns} FROM batches) TO {text(str(path))} "
                "(FORMAT parquet, COMPRESSION zstd)"
            ).fetchone()
    return headers, int(done[0]) if done else 0


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
