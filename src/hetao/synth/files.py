"""Rows of a query → a file in the form that a hospital's own system exports.

The engine writes the rows; only the header line passes through Python.
"""

import io
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

Connection = duckdb.DuckDBPyConnection
PIECE_CHARACTERS = 1 << 20
HTML_HEAD = (
    '<html>\n<head><meta http-equiv="Content-Type" content="text/html; charset=utf-8">'
    "</head>\n<body>\n<table border=1>\n"
)
HTML_FOOT = "</table>\n</body>\n</html>\n"
EXCEL_PARTS = {
    "[Content_Types].xml": (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package'
        '.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
        '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxml'
        'formats-officedocument.spreadsheetml.sheet.main+xml"/>'
        '<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.'
        'openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'
        '<Override PartName="/xl/styles.xml" ContentType="application/vnd.openxml'
        'formats-officedocument.spreadsheetml.styles+xml"/></Types>'
    ),
    "_rels/.rels": (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
        'relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org'
        '/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>"
    ),
    "xl/workbook.xml": (
        '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
        'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
        '<sheets><sheet name="Data" sheetId="1" r:id="rId1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
        'relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org'
        '/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>'
        '<Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument'
        '/2006/relationships/styles" Target="styles.xml"/></Relationships>'
    ),
    # Style 1 is a date: Excel keeps a day as a number, and only the style tells.
    "xl/styles.xml": (
        '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        "<fonts><font/></fonts><fills><fill/></fills><borders><border/></borders>"
        "<cellStyleXfs><xf/></cellStyleXfs>"
        '<cellXfs><xf/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>'
    ),
}
SHEET_HEAD = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    "<sheetData>"
)
SHEET_FOOT = "</sheetData></worksheet>"


@dataclass(frozen=True)
class Rows:
    """What a file holds: a query's columns in order, and what the header calls them.

    `headers` may repeat a word or end in a line end, as some systems' headers do. A
    query must order its rows totally, so that the same population gives the same bytes.
    """

    query: str
    headers: tuple[str, ...]

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the names that the query's columns go by here: `c0`, `c1` …."""
        return tuple(f"c{place}" for place in range(len(self.headers)))

    @property
    def relation(self) -> str:
        """Return the query as a relation whose columns are `cells`."""
        return f"({self.query}) AS rows({', '.join(self.cells)})"


def write_delimited(
    connection: Connection,
    rows: Rows,
    path: Path,
    encoding: str = "utf-8",
    delimiter: str = ",",
) -> Path:
    """Write a delimited text file with one header line; NULL is an empty cell."""
    body = path.with_suffix(".body")
    connection.execute(
        f"COPY (SELECT * FROM {rows.relation}) TO {_text(str(body))} "
        f"(FORMAT csv, HEADER false, DELIMITER {_text(delimiter)})"
    )  # noqa: S608, RUF100
    with (
        body.open(encoding="utf-8", newline="") as source,
        path.open("w", encoding=encoding, newline="") as out,
    ):
        out.write(delimiter.join(_quoted(h, delimiter) for h in rows.headers) + "\n")
        shutil.copyfileobj(source, out, PIECE_CHARACTERS)
    body.unlink()
    return path


def write_html(connection: Connection, rows: Rows, path: Path) -> Path:
    """Write an `.xls` that is an HTML table; NULL is a cell of one hard space."""
    cells = " || ".join(
        f"'<td>' || coalesce({_escaped(cell)}, '&nbsp;') || '</td>'"
        for cell in rows.cells
    )
    head = "".join(f"<th>{_xml(header)}</th>" for header in rows.headers)
    with path.open("w", encoding="utf-8", newline="") as out:
        out.write(f"{HTML_HEAD}<tr>{head}</tr>\n")
        _append_lines(connection, f"'<tr>' || {cells} || '</tr>'", rows, out)
        out.write(HTML_FOOT)
    return path


def write_excel(
    connection: Connection, rows: Rows, path: Path, kinds: Sequence[str] = ()
) -> Path:
    """Write a real Excel workbook of one sheet, `Data`; NULL is an absent cell.

    Args:
        connection: where the query runs.
        rows: what to write.
        path: the file.
        kinds: text, number or date, one a column; all text when left out.
    """
    made = [
        _excel_cell(cell, kind)
        for cell, kind in zip(
            rows.cells, kinds or ["text"] * len(rows.cells), strict=True
        )
    ]
    sheet = io.StringIO()
    head = "".join(_inline(_xml(header)) for header in rows.headers)
    sheet.write(f"{SHEET_HEAD}<row>{head}</row>")
    _append_lines(
        connection, f"'<row>' || {' || '.join(made)} || '</row>'", rows, sheet, path
    )
    sheet.write(SHEET_FOOT)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name, body in (
            *EXCEL_PARTS.items(),
            ("xl/worksheets/sheet1.xml", sheet.getvalue()),
        ):
            # A fixed time: the same population gives the same bytes.
            book.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), body)
    return path


def write_ndjson(connection: Connection, query: str, path: Path) -> Path:
    """Write one JSON object a line: the query's only column, as text."""
    with path.open("w", encoding="utf-8", newline="") as out:
        _append_lines(connection, "c0", Rows(query, ("json",)), out)
    return path


def write_parquet(connection: Connection, query: str, path: Path) -> Path:
    """Write a Parquet file."""
    connection.execute(f"COPY ({query}) TO {_text(str(path))} (FORMAT parquet)")
    return path


def _append_lines(
    connection: Connection,
    line: str,
    rows: Rows,
    out: io.TextIOBase | io.TextIOWrapper,
    beside: Path | None = None,
) -> None:
    """Let the engine write one text a row, without quotes, and copy it behind."""
    near = beside or Path(str(getattr(out, "name", "rows")))
    body = near.with_suffix(".body")
    connection.execute(
        f"COPY (SELECT {line} FROM {rows.relation}) TO {_text(str(body))} "
        "(FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER E'\\x01')"
    )
    with body.open(encoding="utf-8", newline="") as source:
        shutil.copyfileobj(source, out, PIECE_CHARACTERS)
    body.unlink()


def _excel_cell(cell: str, kind: str) -> str:
    if kind == "number":
        made = f"'<c><v>' || {cell} || '</v></c>'"
    elif kind == "date":
        serial = f"date_diff('day', DATE '1899-12-30', {cell}::DATE)"
        made = f"'<c s=\"1\"><v>' || {serial} || '</v></c>'"
    else:
        made = f"'<c t=\"inlineStr\"><is><t>' || {_escaped(cell)} || '</t></is></c>'"
    return f"coalesce({made}, '<c/>')"


def _inline(text: str) -> str:
    return f'<c t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'


def _escaped(cell: str) -> str:
    """Return SQL that writes a cell as XML text."""
    return (
        f"replace(replace(replace({cell}::VARCHAR, '&', '&amp;'), '<', '&lt;'), "
        "'>', '&gt;')"
    )


def _xml(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _quoted(header: str, delimiter: str) -> str:
    if delimiter in header or '"' in header or "\n" in header:
        return '"' + header.replace('"', '""') + '"'
    return header


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
