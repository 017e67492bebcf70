"""Curated tables or a flat file, opened for reading: all that a cohort is made of."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from hetao.canonical import digest
from hetao.cdm.committing import Commitment, find_commitment
from hetao.cdm.engine import Engine
from hetao.cdm.engine_duckdb import (
    Connection,
    DuckDBEngine,
    Problem,
    connect,
    connect_read_only,
    count,
    text,
)
from hetao.cdm.mapping import Source, read_folder, read_site
from hetao.cdm.read_delimited import read_delimited
from hetao.cdm.reading import Reading, band_of
from hetao.cdm.serving import serve
from hetao.cdm.store import DATABASE, MANIFEST, read_manifest, snapshot_folder
from hetao.cdm.vocabulary.athena import Loaded, kept_vocabulary
from hetao.dictionary import dictionary
from hetao.errors import InvalidData, InvalidMapping

DICTIONARY = dictionary().name
FLAT = "flat"
PARQUET_MAGIC = b"PAR1"


class _Opened:
    """A connection that is closed at the end of a `with` block."""

    connection: Connection

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the file."""
        self.close()


@dataclass(frozen=True)
class CuratedTables(_Opened):
    """The OMOP tables of one site, read-only, as one curation left them.

    `served` is the engine that holds a copy of them; None: the embedded one.
    """

    path: Path
    connection: Connection
    snapshot: str
    dictionary_digest: str
    dictionary: str = DICTIONARY
    served: Engine | None = None

    @property
    def engine(self) -> Engine:
        """Return the engine that carries out plans on the tables."""
        return self.served or DuckDBEngine(self.connection)

    @property
    def vocabulary(self) -> Loaded | None:
        """Return the vocabulary that the tables were curated with; None for none.

        It is the snapshot's own, not the store's current one: what was loaded since
        then says nothing about these tables.

        Raises:
            InvalidVocabulary: it is no longer there, or no longer whole.
        """
        asked = self._asked_vocabulary()
        return kept_vocabulary(self.store, asked) if asked else None

    @property
    def store(self) -> Path:
        """Return the site's store: store/snapshots/<digest>/cdm.duckdb."""
        return self.path.parent.parent.parent

    @property
    def commitment(self) -> Commitment | None:
        """Return what the site committed to of these tables; None for nothing.

        Raises:
            InvalidData: it is there and does not hold.
        """
        return find_commitment(self.store, self.snapshot)

    @property
    def lacks_vocabulary(self) -> bool:
        """Return whether a curation made the tables without any loaded vocabulary.

        Tables that no curation made bring whatever vocabulary they have.
        """
        return self._asked_vocabulary() == ""

    def _asked_vocabulary(self) -> str | None:
        """Return the digest in the manifest, "" for none; None without a manifest."""
        folder = self.path.parent
        if not (folder / MANIFEST).is_file():
            return None
        return read_manifest(folder).vocabulary

    def close(self) -> None:
        """Let go of the file, and of the engine that serves its tables."""
        if self.served is not None:
            self.served.close()
        super().close()


@dataclass(frozen=True)
class FlatTable(_Opened):
    """One flat table: a row a person, in the file's order.

    It stands in the table `flat` as `c0`, `c1` …, for which `columns` gives the file's
    headers in that order; `missing` lists the texts that mean missing, `doubled` the
    headers that stand more than once. `person` is the header of whose each row is,
    where one person may have several; then a study must name it, and none other.
    `genes` are the headers of what is made of genes; None where nobody has said.
    """

    path: Path
    connection: Connection
    snapshot: str
    columns: tuple[str, ...]
    missing: tuple[str, ...]
    dictionary: str = FLAT
    dictionary_digest: str = ""
    doubled: tuple[str, ...] = ()
    person: str = ""
    genes: tuple[str, ...] | None = None

    @property
    def without_genes(self) -> tuple[str, ...]:
        """Return the columns of which the site says that they tell of no genes."""
        if self.genes is None:
            return ()
        return tuple(name for name in self.columns if name not in self.genes)


def flat_number(cell: str) -> str:
    """Return SQL for the number that a cell of a flat table holds; NULL for none.

    The database would read `1_000` as 1000; R and pandas take it for text.
    """
    plain = f"CASE WHEN contains({cell}::VARCHAR, '_') THEN NULL ELSE {cell} END"
    return f"TRY_CAST({plain} AS DOUBLE)"


def open_tables(db_path: Path) -> CuratedTables:
    """Return a site's curated tables, opened read-only.

    Raises:
        InvalidData: the file is missing, not a database, or not one of ours.
    """
    if not db_path.is_file():
        raise InvalidData(f"{db_path} is not there", fix="curate the site's data first")
    try:
        connection = connect_read_only(db_path)
    except Problem:
        raise InvalidData(
            f"{db_path.name} is not a database that can be opened",
            fix="curate the site's data again",
        ) from None
    try:
        found = connection.execute(
            "SELECT dictionary, digest, dictionary_digest FROM snapshot"
        ).fetchall()
    except Problem:
        found = []
    row = found[0] if len(found) == 1 else ("", "", "")
    if row[0] != DICTIONARY:
        connection.close()
        raise InvalidData(
            f"{db_path.name} holds no tables of {DICTIONARY} with a digest",
            fix="curate the site's data again",
        )
    return CuratedTables(db_path, connection, str(row[1]), str(row[2]))


def open_flat(
    path: Path,
    split_column: str = "",
    split_value: str = "",
    missing: tuple[str, ...] = ("", "NA"),
    person: str = "",
    genes: tuple[str, ...] | None = None,
) -> FlatTable:
    """Return a flat CSV (UTF-8, comma) or Parquet file, opened for reading.

    Args:
        path: the file.
        split_column: column that tells sites apart; "" takes every row.
        split_value: this site's value in it.
        missing: cell texts that mean missing; NULL and NaN always do.
        person: column of whose each row is; "" where each row is a person.
        genes: columns made of genes or genomes, by the word of whoever opens the file;
            None where nobody has said which are.

    Raises:
        InvalidData: the file cannot be read, lacks the split column, or holds no row
            of this site.
    """
    connection = connect()
    try:
        split = split_column, split_value
        table = _open_flat(connection, path, split, missing)
        return replace(table, person=person, genes=genes)
    except BaseException:
        connection.close()
        raise


def open_site(
    config_path: Path, snapshot: str | None = None
) -> CuratedTables | FlatTable:
    """Return what a `site.toml` points to, opened for reading.

    Args:
        config_path: the `site.toml`.
        snapshot: digest of the snapshot to open; None opens the current one. A flat
            file, or a database of [tables], has no snapshots but itself.

    Raises:
        InvalidMapping: the `site.toml` does not hold.
        InvalidData: the snapshot or the file is not there or cannot be opened.
        Usage: the engine of `[store]` is an extra that is not installed.
        Unreachable: the engine of `[store]` does not answer.
    """
    config = read_site(config_path)
    flat = config.flat
    if config.tables is not None:
        made = config_path.resolve().parent / config.tables.file
        return _only_snapshot(open_tables(made), snapshot)
    if flat is None:
        folder = read_folder(config_path)
        home = snapshot_folder(folder.store_path, snapshot)
        tables = open_tables(home / DATABASE)
        try:
            served = serve(folder.store.engine, tables.path, tables.snapshot)
        except BaseException:
            tables.close()
            raise
        return replace(tables, served=served)
    path = config_path.resolve().parent / flat.file
    split = flat.split_column, flat.split_value
    table = open_flat(path, *split, flat.missing, flat.person, flat.genes)
    if flat.person and flat.person not in table.columns:
        table.close()
        raise InvalidMapping(
            f"{config_path.name} [flat]: person names no column of {path.name}",
            fix="write the header of the column that says whose each row is",
        )
    return table


def _only_snapshot(tables: CuratedTables, snapshot: str | None) -> CuratedTables:
    if snapshot not in (None, tables.snapshot):
        tables.close()
        raise InvalidData(
            f"{tables.path.name} is another snapshot than is asked for",
            fix="put the database of that snapshot back",
        )
    return tables


def _open_flat(
    connection: Connection, path: Path, split: tuple[str, str], missing: tuple[str, ...]
) -> FlatTable:
    doubled: tuple[str, ...] = ()
    if _is_parquet(path):
        rows = f"SELECT * FROM read_parquet({text(str(path.resolve()))})"  # noqa: S608
        columns = _columns(connection, rows, path)
        places = ", ".join(f"c{place}" for place in range(len(columns)))
        rows = f"SELECT * FROM ({rows}) AS file({places})"  # noqa: S608
    else:
        reading = _load_text(connection, path)
        columns, doubled = reading.headers, reading.doubled
        rows = "SELECT * EXCLUDE (source_row) FROM extract ORDER BY source_row"
    where = ""
    if split[0] in doubled:
        raise InvalidData(
            f"{path.name} has two columns {split[0]!r}",
            fix="rename one of them in the export",
        )
    if split[0]:
        if split[0] not in columns:
            raise InvalidData(
                f"{path.name} has no column {split[0]!r}",
                fix="it has: " + ", ".join(columns)[:400],
            )
        place = columns.index(split[0])
        where = f" WHERE trim(c{place}::VARCHAR) = trim({text(split[1])})"
    with _unreadable(path):
        query = f"CREATE TABLE flat AS SELECT * FROM ({rows}){where}"  # noqa: S608
        connection.execute(query)
        connection.execute("DROP TABLE IF EXISTS extract")
    if count(connection, "flat") == 0:
        raise InvalidData(
            f"{path.name} holds no row of this site", fix="check split_value"
        )
    return FlatTable(
        path,
        connection,
        _flat_digest(connection, columns),
        columns,
        missing,
        doubled=doubled,
    )


def _load_text(connection: Connection, path: Path) -> Reading:
    """Make the table `extract`; here a row that does not fit is an error.

    Nothing could be kept aside: a lost row would be a lost patient.
    """
    with tempfile.TemporaryDirectory(prefix="hetao-") as scratch:
        reading = read_delimited(connection, Source("flat"), path, Path(scratch))
        try:
            connection.execute(
                "CREATE TEMP TABLE extract AS SELECT row_number() OVER () AS "  # noqa: S608
                f"source_row, * FROM ({reading.select})"
            )
            first = connection.execute(
                f"SELECT line, reason FROM ({reading.unfit}) ORDER BY line LIMIT 1"  # noqa: S608
            ).fetchone()
        except Problem:
            # `from None`: the engine's message may quote a cell.
            first = (1, "the rows cannot be read")
    if first is not None:
        raise InvalidData(
            f"{path.name}, {band_of(int(first[0]))}: {first[1]}",
            fix="check delimiter, quotes and line ends of the file",
            local=f"first such line: {first[0]}",
        )
    if count(connection, "extract") == 0:
        raise InvalidData(f"{path.name} has a header but no row", fix="export it again")
    return reading


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == PARQUET_MAGIC
    except OSError:
        return False  # the reader of text files says what is wrong


def _columns(connection: Connection, rows: str, path: Path) -> tuple[str, ...]:
    with _unreadable(path):
        found = connection.execute(f"DESCRIBE {rows}").fetchall()
    return tuple(str(row[0]) for row in found)


@contextlib.contextmanager
def _unreadable(path: Path) -> Iterator[None]:
    try:
        yield
    except Problem:
        # `from None`: the engine's message may quote a cell.
        raise InvalidData(f"{path.name} cannot be read as Parquet") from None


def _flat_digest(connection: Connection, columns: tuple[str, ...]) -> str:
    """Digest the site's rows in the file's order, whatever the file's format."""
    cells = ", ".join(f"c{place}::VARCHAR" for place in range(len(columns)))
    bands = connection.execute(f"""
        WITH hashed AS (
            SELECT row_number() OVER () AS place,
                sha256(json_array({cells})::VARCHAR) AS digest FROM flat)
        SELECT sha256(string_agg(digest, '' ORDER BY place)) FROM hashed
        GROUP BY place // 65536 ORDER BY place // 65536
    """).fetchall()  # noqa: S608
    body = {"type": "hetao.flat/1", "columns": columns, "bands": [b for (b,) in bands]}
    return digest(body)
