"""`codes.csv` as rows that a person or a command edits, and the file written whole."""

import csv
import io
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from hetao.cdm.engine_duckdb import Connection
from hetao.cdm.vocabulary.codes import COLUMNS, TABLE, load_codes
from hetao.errors import InvalidData, InvalidMapping
from hetao.records import record


@dataclass(frozen=True)
class CodeRow:
    """One row of `codes.csv`; "" and None where a cell is empty.

    Attributes:
        system, code: what the source writes.
        concept_id: the standard concept it means.
        name: what the site calls it.
        analyte: of the data dictionary, for a laboratory code.
        classes: class codes of an item: `bnf:2.8.2|atc:B01AA03`.
        status: "confirmed", "suggested", "rejected" or "".
        score: of a suggestion, 0 to 100.
        meaning: what the concept, analyte or class is called.
        confirmed_by, confirmed_on: who settled it, and the day.
    """

    system: str
    code: str
    concept_id: int | None = None
    name: str = ""
    analyte: str = ""
    classes: str = ""
    status: str = ""
    score: float | None = None
    meaning: str = ""
    confirmed_by: str = ""
    confirmed_on: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Return system and code."""
        return (self.system, self.code)

    @property
    def target(self) -> tuple[int | None, str, str]:
        """Return what the row maps to."""
        return (self.concept_id, self.analyte, self.classes)


def read_codes(connection: Connection, path: Path) -> list[CodeRow]:
    """Return the rows of a `codes.csv`, checked as a curation checks them; [] for none.

    Args:
        connection: any DuckDB connection; one serves many files.
        path: the file; it need not be there.

    Raises:
        InvalidMapping: as `load_codes`.
    """
    if not path.exists():
        return []
    names = [field.name for field in fields(CodeRow)]
    load_codes(connection, path)
    found = connection.execute(
        f"SELECT {', '.join(names)} FROM {TABLE} ORDER BY line"  # noqa: S608
    ).fetchall()
    return [
        record(
            CodeRow,
            {n: cell for n, cell in zip(names, row, strict=True) if cell is not None},
            path.name,
            InvalidMapping,
        )
        for row in found
    ]


def write_codes(path: Path, rows: Sequence[CodeRow]) -> None:
    """Write a `codes.csv` whole, or leave the old one as it is.

    Raises:
        InvalidData: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        cells = [getattr(row, column) for column in COLUMNS]
        writer.writerow(["" if cell is None else cell for cell in cells])
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as problem:
        part.unlink(missing_ok=True)
        raise InvalidData(
            f"{path.name} cannot be written: {problem.strerror}",
            fix="check the folder's permissions",
        ) from problem
