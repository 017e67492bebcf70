"""Delimited text, however a hospital wrote it → a relation of text cells.

A row that does not fit the header is not an error of the file: it is told by line and
reason, and kept aside.
"""

import csv
from pathlib import Path

from hetao.cdm.engine_duckdb import Connection, text
from hetao.cdm.mapping import Source
from hetao.cdm.reading import LONGEST_LINE, Reading, as_utf8, doubled_of, headers_of
from hetao.errors import InvalidData

REASONS = {
    "MISSING COLUMNS": "row has fewer cells than the header",
    "TOO MANY COLUMNS": "row has more cells than the header",
    "UNQUOTED VALUE": "a quote is not closed or stands inside a cell",
    "LINE SIZE OVER MAXIMUM": "line is too long",
    "INVALID ENCODING": "a cell is not text",
}


def read_delimited(
    connection: Connection, source: Source, path: Path, scratch: Path
) -> Reading:
    """Return a text file as a relation.

    Raises:
        InvalidData: the file is missing, empty, a folder, wrongly encoded, or its
            header cannot be read.
    """
    plain = as_utf8(path, source.encoding, scratch)
    return delimited(connection, plain, source.delimiter, path.name)


def delimited(
    connection: Connection, plain: Path, delimiter: str, file: str
) -> Reading:
    """Return a UTF-8 file with plain line ends as a relation; `file` is its name."""
    del connection
    cells = _header(plain, delimiter, file)
    headers = headers_of(cells, file)
    kinds = ", ".join(f"c{place}: 'VARCHAR'" for place in range(len(headers)))
    # S608: literals are quoted by `text`.
    select = f"""
        SELECT * FROM read_csv({text(str(plain))}, auto_detect = false, header = true,
            delim = {text(delimiter)}, quote = '"', escape = '"',
            columns = {{{kinds}}}, strict_mode = true, store_rejects = true,
            null_padding = false, rejects_table = 'unfit_rows',
            rejects_scan = 'unfit_scans', max_line_size = {LONGEST_LINE})
    """  # noqa: S608
    cases = " ".join(f"WHEN {text(k)} THEN {text(r)}" for k, r in REASONS.items())
    unfit = f"""
        SELECT line::BIGINT AS line, min(CASE error_type::VARCHAR {cases}
            ELSE 'row cannot be read' END) AS reason
        FROM unfit_rows GROUP BY line
    """  # noqa: S608
    return Reading(headers, select, unfit, doubled_of(cells))


def _header(plain: Path, delimiter: str, file: str) -> list[str]:
    with plain.open(encoding="utf-8", newline="") as handle:
        try:
            return next(csv.reader(handle, delimiter=delimiter, strict=True))
        except (csv.Error, StopIteration):
            raise InvalidData(
                f"{file}: the header line cannot be read",
                fix="check delimiter and quotes of the export",
            ) from None
