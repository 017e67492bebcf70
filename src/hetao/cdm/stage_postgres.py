"""A query to PostgreSQL → a staged file, as `staging` keeps any other.

Apart from `staging`, because it needs the extra `hetao[postgres]`.
"""

from contextlib import ExitStack
from pathlib import Path

from hetao.cdm.engine_duckdb import connect, text
from hetao.cdm.engine_postgres import connection_uri
from hetao.cdm.mapping import Source
from hetao.cdm.read_postgres import PostgresSource, reading
from hetao.cdm.reading import headers_of


class Moments(ExitStack):
    """The databases that one curation asks, each as it stood when first asked."""

    def __init__(self) -> None:
        """Ask none yet."""
        super().__init__()
        self._asked: dict[str, PostgresSource] = {}

    def of(self, variable: str) -> PostgresSource:
        """Return the database that an environment variable names.

        Raises:
            Unreachable: the server does not answer.
            InvalidMapping: the environment names none.
        """
        if variable not in self._asked:
            database = self.enter_context(reading(connection_uri(variable)))
            self._asked[variable] = database
        return self._asked[variable]


def copy_query(
    database: PostgresSource, source: Source, path: Path, cells: str
) -> tuple[tuple[str, ...], int]:
    """Write a query's rows to a Parquet file; return the headers and how many.

    Args:
        database: whom to ask.
        source: its query is asked.
        path: where to write.
        cells: SQL for one cell, `{}` being its column.

    Raises:
        InvalidMapping: the query has another shape than one plain SELECT.
    """
    batches = database.texts(source.query)
    names = list(batches.schema.names)
    headers = headers_of(names, source.name)
    columns = ", ".join(
        f"{cells.format(_quoted(name))} AS c{place}" for place, name in enumerate(names)
    )
    with connect() as connection:
        connection.register("batches", batches)
        done = connection.execute(
            "COPY (SELECT row_number() OVER () AS source_row, "  # noqa: S608
            f"{columns} FROM batches) TO {text(str(path))} "
            "(FORMAT parquet, COMPRESSION zstd)"
        ).fetchone()
    return headers, int(done[0]) if done else 0


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
