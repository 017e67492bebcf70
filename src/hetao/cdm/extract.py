"""A delimited text file, however a hospital wrote it → one table of text cells.

The bytes are decoded here, strictly and a piece at a time, and only then read by the
engine: it knows few encodings, and its own messages quote the line that is wrong,
which is a patient's.
"""

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hetao.cdm.engine_duckdb import Connection, Problem, count, text
from hetao.errors import InvalidData

PIECE_BYTES = 1 << 20
LONGEST_LINE = 2 << 20  # characters; a longer one is a file without line ends
LINES_A_BAND = 1000  # an error names a band of lines, not the line of one patient
ROW = "source_row"


@dataclass(frozen=True)
class Extract:
    """A file to read: where, in which encoding, split by which character."""

    path: Path
    encoding: str = "utf-8"
    delimiter: str = ","


def load_extract(
    connection: Connection, extract: Extract, scratch: Path
) -> tuple[str, ...]:
    """Make the table `extract`: `source_row` from 1, then `c0`, `c1` … as text.

    The engine sees places, not headers: it would fold `Age` and `age` into one.

    Args:
        connection: where the temporary table is made.
        extract: what to read.
        scratch: a private folder for the decoded copy, which is removed again.

    Returns:
        The headers, in the order of `c0`, `c1` ….

    Raises:
        InvalidData: the file is missing, empty, a folder, wrongly encoded, ragged,
            without line ends, or has a column twice; the error names the file, the
            column, and a band of lines.
    """
    copy = scratch / "decoded.csv"
    try:
        _decode(extract, copy)
        columns = _header(extract, copy)
        _load(connection, extract, copy, columns)
    finally:
        copy.unlink(missing_ok=True)
    if count(connection, "extract") == 0:
        raise InvalidData(
            f"{extract.path.name} has a header but no row", fix="export it again"
        )
    return columns


def require_columns(
    present: tuple[str, ...], wanted: tuple[str, ...], file: str
) -> None:
    """Refuse a file that lacks a column.

    Raises:
        InvalidData: a wanted column is missing; the columns there are named.
    """
    for column in wanted:
        if column not in present:
            raise InvalidData(
                f"{file} has no column {column!r}",
                fix="it has: " + ", ".join(present)[:400],
            )


def band_of(line: int) -> str:
    """Return the band of lines that holds a line, such as `lines 1-1000`."""
    first = (max(line, 1) - 1) // LINES_A_BAND * LINES_A_BAND + 1
    return f"lines {first}-{first + LINES_A_BAND - 1}"


def _decode(extract: Extract, copy: Path) -> None:
    """Write the file again as UTF-8, or say what is wrong with its bytes."""
    if extract.path.is_dir():
        raise InvalidData(f"{extract.path} is a folder", fix="name the file in it")
    line, length, anything = 1, 0, False
    try:
        with copy.open("w", encoding="utf-8", newline="") as out:
            for piece in _pieces(extract):
                out.write(piece)
                anything = anything or bool(piece.strip())
                length = _line_length(piece, length)
                if length > LONGEST_LINE:
                    raise InvalidData(
                        f"{extract.path.name}, {band_of(line)}: a line is longer than "
                        f"{LONGEST_LINE} characters",
                        fix="check the line ends and the quotes of the export",
                    )
                line += piece.count("\n")
    except OSError as problem:
        raise InvalidData(
            f"{extract.path} cannot be read: {problem.strerror}", fix="check the path"
        ) from problem
    except UnicodeError:
        # `from None`: the codec's message quotes the patient's bytes.
        raise InvalidData(
            f"{extract.path.name}, {band_of(line)} and on: not {extract.encoding} text",
            fix="set [source] encoding, for example gb18030 or big5hkscs",
        ) from None
    if not anything:
        raise InvalidData(f"{extract.path.name} is empty", fix="export it again")


def _pieces(extract: Extract) -> Iterator[str]:
    encoding = "utf-8-sig" if _is_utf8(extract.encoding) else extract.encoding
    # Line ends of every kind become one kind: exports mix them, the engine refuses.
    decoder = io.IncrementalNewlineDecoder(
        codecs.getincrementaldecoder(encoding)("strict"), translate=True
    )
    with extract.path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield decoder.decode(piece)
        yield decoder.decode(b"", final=True)


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name == "utf-8"


def _line_length(piece: str, before: int) -> int:
    """Return the characters since the last line end."""
    last = piece.rfind("\n")
    return before + len(piece) if last < 0 else len(piece) - last - 1


def _header(extract: Extract, copy: Path) -> tuple[str, ...]:
    with copy.open(encoding="utf-8", newline="") as file:
        try:
            cells = next(csv.reader(file, delimiter=extract.delimiter, strict=True))
        except (csv.Error, StopIteration):
            raise InvalidData(
                f"{extract.path.name}: the header line cannot be read"
            ) from None
    columns = tuple(cell.strip() for cell in cells)
    for column in columns:
        if not column:
            raise InvalidData(f"{extract.path.name}: a column has no name")
        if columns.count(column) > 1:
            raise InvalidData(f"{extract.path.name}: column {column!r} stands twice")
    return columns


def _load(
    connection: Connection, extract: Extract, copy: Path, columns: tuple[str, ...]
) -> None:
    kinds = ", ".join(f"c{place}: 'VARCHAR'" for place in range(len(columns)))
    # S608: literals are quoted by `text`.
    query = f"""
        CREATE TEMP TABLE extract AS
        SELECT row_number() OVER () AS {ROW}, *
        FROM read_csv({text(str(copy))}, auto_detect = false, header = true,
            delim = {text(extract.delimiter)}, quote = '"', escape = '"',
            columns = {{{kinds}}}, strict_mode = true, store_rejects = true,
            max_line_size = {LONGEST_LINE})
    """  # noqa: S608
    try:
        connection.execute(query)
    except Problem:
        raise InvalidData(
            f"{extract.path.name}: the rows cannot be read",
            fix="check delimiter, quotes and line ends of the export",
        ) from None
    _refuse_rejects(connection, extract)


def _refuse_rejects(connection: Connection, extract: Extract) -> None:
    """A row that does not fit is an error: a lost row would be a lost patient."""
    first = connection.execute(
        "SELECT line, error_type, column_name FROM reject_errors "
        "ORDER BY line, column_idx NULLS LAST LIMIT 1"
    ).fetchone()
    if first is None:
        return
    line, kind, _ = first
    what = {
        "MISSING COLUMNS": "a row has fewer cells than the header",
        "TOO MANY COLUMNS": "a row has more cells than the header",
        "UNQUOTED VALUE": "a quote is not closed or stands inside a cell",
        "LINE SIZE OVER MAXIMUM": "a line is too long",
        "INVALID ENCODING": "a cell is not text",
    }.get(str(kind), "a row cannot be read")
    raise InvalidData(
        f"{extract.path.name}, {band_of(int(line))}: {what}",
        fix="check delimiter, quotes and line ends of the export",
        local=f"first such line: {line}",
    )
