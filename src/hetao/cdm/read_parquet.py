"""A Parquet file → a relation of text cells."""

from pathlib import Path

from hetao.cdm.engine_duckdb import Connection, Problem, text
from hetao.cdm.mapping import Source
from hetao.cdm.reading import Reading, headers_of
from hetao.errors import InvalidData


def read_parquet(
    connection: Connection, source: Source, path: Path, scratch: Path
) -> Reading:
    """Return a Parquet file as a relation; a date becomes its ISO text.

    Raises:
        InvalidData: the file is not Parquet, or is cut off.
    """
    del source, scratch
    rows = f"SELECT * FROM read_parquet({text(str(path.resolve()))})"  # noqa: S608
    try:
        found = connection.execute(f"DESCRIBE {rows}").fetchall()
    except Problem:
        # `from None`: the engine's message may quote what it read.
        raise InvalidData(
            f"{path.name} cannot be read as Parquet; it may be cut off",
            fix="export it again",
        ) from None
    headers = headers_of([str(row[0]) for row in found], path.name)
    places = ", ".join(f"c{place}" for place in range(len(headers)))
    cells = ", ".join(f"c{place}::VARCHAR AS c{place}" for place in range(len(headers)))
    return Reading(headers, f"SELECT {cells} FROM ({rows}) AS file({places})")  # noqa: S608
