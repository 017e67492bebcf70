"""`.xls` and `.xlsx`, whatever is in them: an HTML table or a real workbook.

Hospital systems sell HTML tables as `.xls`, and now and then a real workbook stands
among them. The first bytes tell, not the name.
"""

import csv
import datetime
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import python_calamine
from lxml import etree

from hetao.cdm.engine_duckdb import Connection
from hetao.cdm.mapping import Source
from hetao.cdm.read_delimited import delimited
from hetao.cdm.reading import Reading, as_utf8
from hetao.errors import InvalidData

WORKBOOKS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # zipped XML, and the older OLE
CELLS: Final = ("td", "th")
# What calamine raises for a workbook that is not whole.
PROBLEMS: Final = (python_calamine.CalamineError, OSError, ValueError)


def read_sheet(
    connection: Connection, source: Source, path: Path, scratch: Path
) -> Reading:
    """Return the first table of an HTML file, or one sheet of a workbook.

    Raises:
        InvalidData: the file is missing, is neither, is cut off, or holds no table.
    """
    if _is_workbook(path):
        rows: Iterator[list[str]] = _sheet_rows(source, path)
    else:
        rows = _html_rows(as_utf8(path, source.encoding, scratch), path.name)
    copy = scratch / "cells.csv"
    if not _write(rows, copy):
        raise InvalidData(
            f"{path.name} holds no table", fix="export it again, or set its format"
        )
    return delimited(connection, copy, ",", path.name)


def _write(rows: Iterable[list[str]], copy: Path) -> int:
    number = 0
    with copy.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        for row in rows:
            cells = row
            # Looked at together: hardly a row holds a line end or a NUL.
            if not "".join(cells).isprintable():
                cells = [" ".join(c.replace("\0", " ").splitlines()) for c in row]
            if "".join(cells).strip():
                out.writerow(cells)
                number += 1
    return number


def _is_workbook(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) in WORKBOOKS
    except OSError:
        return False  # the reader of text says what is wrong


# --- HTML -----------------------------------------------------------------------------
def _html_rows(plain: Path, file: str) -> Iterator[list[str]]:
    """Yield the cells of each row, one row in memory at a time."""
    try:
        for _, row in etree.iterparse(
            str(plain), events=("end",), tag="tr", html=True, encoding="utf-8"
        ):
            cells = [
                "".join(cell.itertext()) if len(cell) else cell.text or ""
                for cell in row.iterchildren(*CELLS)
            ]
            if cells:
                yield cells
            row.clear()
            while row.getprevious() is not None:
                del row.getparent()[0]
    except etree.LxmlError:
        # `from None`: the parser's message may quote a cell.
        raise InvalidData(
            f"{file} cannot be read as an HTML table", fix="export it again"
        ) from None


# --- workbooks ------------------------------------------------------------------------
def _sheet_rows(source: Source, path: Path) -> Iterator[list[str]]:
    try:
        # By its bytes: a path's ending would decide for it, and `.xls` is often wrong.
        book = python_calamine.CalamineWorkbook.from_filelike(
            io.BytesIO(path.read_bytes())
        )
        names = book.sheet_names
        if source.sheet and source.sheet not in names:
            raise InvalidData(
                f"{path.name} has no sheet {source.sheet[:60]!r}",
                fix="it has: " + ", ".join(names)[:400],
            )
        if not names:
            raise InvalidData(f"{path.name} holds no sheet", fix="export it again")
        meant = source.sheet or _only_filled(book, path.name)
        sheet = book.get_sheet_by_name(meant)
        for row in sheet.iter_rows():
            yield [_text(cell) for cell in row]
    except PROBLEMS:
        # `from None`: the reader's message may quote a cell.
        raise InvalidData(
            f"{path.name} cannot be read as a workbook; it may be cut off",
            fix="export it again",
        ) from None


def _only_filled(book: python_calamine.CalamineWorkbook, file: str) -> str:
    """Return the one sheet that holds cells: of two, neither is lost silently."""
    names = book.sheet_names
    if len(names) == 1:
        return names[0]
    filled = [name for name in names if book.get_sheet_by_name(name).height]
    if len(filled) > 1:
        raise InvalidData(
            f"{file} has several sheets, and it is not said which is meant",
            fix="set sheet of the source; it has: " + ", ".join(filled)[:400],
        )
    return (filled or names)[0]


def _text(cell: object) -> str:
    """Return a cell as text: a date in ISO form, a whole number without a point."""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 2**53 else repr(cell)
    if isinstance(cell, datetime.datetime):
        midnight = cell.time() == datetime.time()
        return cell.date().isoformat() if midnight else cell.isoformat(sep=" ")
    return "" if cell is None else str(cell)
