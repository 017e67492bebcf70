"""A flat file, opened for reading: a row a person, whoever's rows it holds."""

import contextlib
import itertools
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hetao.canonical import digest
from hetao.cdm.engine import ClosesItself
from hetao.cdm.engine_duckdb import Connection, Problem, connect, count, text
from hetao.cdm.mapping import Source
from hetao.cdm.read_delimited import read_delimited
from hetao.cdm.reading import Reading, band_of
from hetao.errors import InvalidData

FLAT = "flat"
PARQUET_MAGIC = b"PAR1"
MISSING = ("", "NA")


class Opened(ClosesItself):
    """A file's connection, which is closed at the end of a `with` block."""

    connection: Connection

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()


@dataclass(frozen=True)
class FlatTable(Opened):
    """One flat table: a row a person, in the file's order.

    It stands in the table `flat` as `c0`, `c1` …, for which `columns` gives the file's
    headers in that order; `missing` lists the texts that mean missing, `doubled` the
    headers that stand more than once. `person` is the header of whose each row is,
    where one person may have several; then a study must name it, and none other.
    `genes` are the headers of what is made of genes; None where nobody has said.

    `snapshot` is a bare digest of the rows in the file's order, and `contents` one of
    them in any order. Who knows all rows but one cell could try its values against
    either, so a site tells others neither: it puts a keyed digest into `snapshot`, and
    the bare one, which earlier editions told, into `earlier`.
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
    contents: str = ""
    earlier: str = ""

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


def open_flat(
    path: Path,
    split_column: str = "",
    split_value: str = "",
    missing: tuple[str, ...] = MISSING,
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
        extract = _read(connection, path)
        table = _flat(connection, path, extract, (split_column, split_value), missing)
        connection.execute("DROP TABLE IF EXISTS extract")
        return replace(table, person=person, genes=genes)
    except BaseException:
        connection.close()
        raise


class FlatFile:
    """A flat file that is read once, of which the rows of any site are opened.

    For whoever holds all rows, such as a notebook; a site opens its own by `open_flat`.
    Each table that is opened is closed by itself, and with the file at the latest.
    """

    def __init__(self, path: Path) -> None:
        """Read a file, as `open_flat` does.

        Raises:
            InvalidData: it cannot be read.
        """
        self.path = path
        self._lock = threading.Lock()
        self._parts: dict[tuple[str, str], tuple[str, FlatTable]] = {}
        self._numbers = itertools.count()
        self._connection = connect()
        try:
            self._extract = _read(self._connection, path)
        except BaseException:
            self._connection.close()
            raise

    def open(
        self,
        split_column: str = "",
        split_value: str = "",
        person: str = "",
        genes: tuple[str, ...] | None = None,
    ) -> FlatTable:
        """Return the rows of a site, opened for reading: arguments as of `open_flat`.

        Raises:
            InvalidData: the file lacks the split column, or holds no row of the site.
        """
        split = split_column, split_value
        with self._lock:
            cursor = self._connection.cursor()
            try:
                if split not in self._parts:
                    name = f"part{next(self._numbers)}"
                    cursor.execute(f"ATTACH ':memory:' AS {name}")
                    cursor.execute(f"USE {name}")
                    table = _flat(cursor, self.path, self._extract, split, MISSING)
                    self._parts[split] = name, table
                name, table = self._parts[split]
                cursor.execute(f"USE {name}")
            except BaseException:
                cursor.close()
                raise
        return replace(table, connection=cursor, person=person, genes=genes)

    def close(self) -> None:
        """Let go of the rows, and of every table that was opened of them."""
        self._connection.close()


@dataclass(frozen=True)
class _Extract:
    """The rows of a file, as a relation of the database that it was read into."""

    rows: str
    columns: tuple[str, ...]
    doubled: tuple[str, ...] = ()


def _read(connection: Connection, path: Path) -> _Extract:
    """Read a file: Parquet where it lies, text into the table `extract`."""
    if _is_parquet(path):
        rows = f"SELECT * FROM read_parquet({text(str(path.resolve()))})"  # noqa: S608
        columns = _columns(connection, rows, path)
        places = ", ".join(f"c{place}" for place in range(len(columns)))
        return _Extract(f"SELECT * FROM ({rows}) AS file({places})", columns)  # noqa: S608
    reading = _load_text(connection, path)
    rows = "SELECT * EXCLUDE (source_row) FROM memory.extract ORDER BY source_row"
    return _Extract(rows, reading.headers, reading.doubled)


def _flat(
    connection: Connection,
    path: Path,
    extract: _Extract,
    split: tuple[str, str],
    missing: tuple[str, ...],
) -> FlatTable:
    """Make the table `flat` of one site's rows."""
    where = ""
    if split[0] in extract.doubled:
        raise InvalidData(
            f"{path.name} has two columns {split[0]!r}",
            fix="rename one of them in the export",
        )
    if split[0]:
        if split[0] not in extract.columns:
            raise InvalidData(
                f"{path.name} has no column {split[0]!r}",
                fix="compare split_column with the file's header line",
                # which, where it is missing, is a patient's row
                local="it has: " + ", ".join(extract.columns)[:400],
            )
        place = extract.columns.index(split[0])
        where = f" WHERE trim(c{place}::VARCHAR) = trim({text(split[1])})"
    with _unreadable(path):
        query = f"CREATE TABLE flat AS SELECT * FROM ({extract.rows}){where}"  # noqa: S608
        connection.execute(query)
    if count(connection, "flat") == 0:
        raise InvalidData(
            f"{path.name} holds no row of this site", fix="check split_value"
        )
    in_order, contents = _flat_digests(connection, extract.columns)
    return FlatTable(
        path,
        connection,
        in_order,
        extract.columns,
        missing,
        doubled=extract.doubled,
        contents=contents,
    )


def _load_text(connection: Connection, path: Path) -> Reading:
    """Make the table `extract`; here a row that does not fit is an error.

    Nothing could be kept aside: a lost row would be a lost patient.
    """
    with tempfile.TemporaryDirectory(prefix="hetao-") as scratch:
        reading = read_delimited(connection, Source("flat"), path, Path(scratch))
        try:
            connection.execute(
                "CREATE TABLE extract AS SELECT row_number() OVER () AS "  # noqa: S608
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


def _flat_digests(connection: Connection, columns: tuple[str, ...]) -> tuple[str, str]:
    """Digest the site's rows in the file's order, and in any, whatever its format."""
    cells = ", ".join(f"c{place}::VARCHAR" for place in range(len(columns)))
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE hashed AS
        SELECT row_number() OVER () AS place,
            sha256(json_array({cells})::VARCHAR) AS digest FROM flat
    """)  # noqa: S608
    in_order = _digest_of(connection, "hetao.flat/1", columns, "hashed")
    by_hash = (
        "(SELECT row_number() OVER (ORDER BY digest) AS place, digest FROM hashed)"
    )
    in_any = _digest_of(connection, "hetao.flat/2", columns, by_hash)
    connection.execute("DROP TABLE hashed")
    return in_order, in_any


def _digest_of(
    connection: Connection, form: str, columns: tuple[str, ...], hashed: str
) -> str:
    bands = connection.execute(f"""
        SELECT sha256(string_agg(digest, '' ORDER BY place)) FROM {hashed}
        GROUP BY place // 65536 ORDER BY place // 65536
    """).fetchall()  # noqa: S608
    return digest({"type": form, "columns": columns, "bands": [b for (b,) in bands]})
