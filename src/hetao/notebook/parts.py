"""The sites of whoever holds all the rows: a file each, or the rows of one value."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hetao.cdm import FlatFile, FlatTable, open_flat
from hetao.errors import InvalidData
from hetao.notebook.columns import place_of


@dataclass(frozen=True)
class Part:
    """One site's rows: a file, or those rows of it that bear the site's value.

    `file` is the file already read, where it is; parts of one file share it.
    """

    site: str
    path: Path
    split_column: str = ""
    split_value: str = ""
    file: FlatFile | None = field(default=None, compare=False, repr=False)

    @property
    def is_numbered(self) -> bool:
        """Return whether the site's name is a number, and not made of its value."""
        return self.site != self.split_value and bool(
            re.fullmatch(r"site-\d+", self.site)
        )

    def open(self, person: str = "", genes: tuple[str, ...] | None = None) -> FlatTable:
        """Return the site's rows, opened for reading; arguments as of `open_flat`.

        Raises:
            InvalidData: the file cannot be read, or holds no row of this site.
        """
        split = self.split_column, self.split_value
        if self.file is not None:
            return self.file.open(*split, person, genes)
        return open_flat(self.path, *split, person=person, genes=genes)


def split_parts(path: Path, column: str) -> tuple[Part, ...]:
    """Return one part for each value of a column, in the order of first appearance.

    A row that says nothing there lies at no site and is left out, as R leaves out rows
    of a missing stratum.

    Raises:
        InvalidData: the file cannot be read or has no such column.
    """
    file = FlatFile(path)
    with file.open() as table:
        place = place_of(table, column)
        rows = table.connection.execute(
            f"SELECT trim({place}::VARCHAR), min(rowid) FROM flat "  # noqa: S608
            "GROUP BY 1 ORDER BY 2"
        ).fetchall()
        missing = set(table.missing)
    blank = [value is None or value.lower() in {"nan", *missing} for value, *_ in rows]
    values = [str(one[0]) for one, no in zip(rows, blank, strict=True) if not no]
    if not values:
        raise InvalidData(f"column {column!r} of {path.name} holds no value")
    names = _site_names(values)
    found = zip(names, values, strict=True)
    return tuple(Part(name, path, column, value, file) for name, value in found)


def _site_names(values: Sequence[str]) -> list[str]:
    names = []
    for number, value in enumerate(values, 1):
        plain = re.sub(r"[^a-z0-9_.]+", "-", value.lower()).strip("-.")[:40]
        if not plain or not plain[0].isalnum() or plain in names:
            plain = f"site-{number}"
        names.append(plain)
    return names
