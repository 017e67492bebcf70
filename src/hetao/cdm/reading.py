"""What every reader of a file gives, and what all of them share: headers and decoding.

Bytes are decoded here, strictly and a piece at a time, and only then read by an engine:
it knows few encodings, and its own messages quote the line that is wrong, which is a
patient's.
"""

import codecs
import io
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hetao.errors import InvalidData

PIECE_BYTES = 1 << 20
LONGEST_LINE = 16 << 20  # characters; a longer one is a file without line ends
LINES_A_BAND = 1000  # an error names a band of lines, not the line of one patient
RESERVED = ("source_row", "source_file")


@dataclass(frozen=True)
class Reading:
    """A file as a relation, for the connection that it was read in.

    Attributes:
        headers: as written, trimmed, without line ends, in Unicode NFKC; unique
            whatever their case: a second `Dose` is `Dose (2)`.
        select: SELECT that gives `c0`, `c1` … as text, in the file's order.
        unfit: SELECT that gives `line` and `reason` of rows that do not fit; asked
            after `select` has run to its end.
        doubled: headers that stand more than once in the file, in the same case.
    """

    headers: tuple[str, ...]
    select: str
    unfit: str = "SELECT NULL::BIGINT AS line, NULL::VARCHAR AS reason WHERE FALSE"
    doubled: tuple[str, ...] = ()


def headers_of(cells: Sequence[str], file: str) -> tuple[str, ...]:
    """Return clean, unique headers.

    Raises:
        InvalidData: a column has no name, or there is no column.
    """
    names: list[str] = []
    taken = set(RESERVED)
    for cell in cells:
        plain = _plain(cell)
        if not plain:
            raise InvalidData(
                f"{file}: a column has no name", fix="name it in the export"
            )
        name, number = plain, 1
        while name.lower() in taken:
            number += 1
            name = f"{plain} ({number})"
        taken.add(name.lower())
        names.append(name)
    if not names:
        raise InvalidData(f"{file} is empty", fix="export it again")
    return tuple(names)


def doubled_of(cells: Sequence[str]) -> tuple[str, ...]:
    """Return the headers that stand more than once; nobody knows which one is meant."""
    plain = [_plain(cell) for cell in cells]
    return tuple(sorted({name for name in plain if plain.count(name) > 1}))


def _plain(cell: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", cell).split())


def band_of(line: int) -> str:
    """Return the band of lines that holds a line, such as `lines 1-1000`."""
    first = (max(line, 1) - 1) // LINES_A_BAND * LINES_A_BAND + 1
    return f"lines {first}-{first + LINES_A_BAND - 1}"


def as_utf8(path: Path, encoding: str, scratch: Path) -> Path:
    """Return a UTF-8 file with plain line ends: `path` itself if it is one.

    Args:
        path: the file of a hospital.
        encoding: any text encoding of Python's.
        scratch: a private folder for the decoded copy.

    Raises:
        InvalidData: the file is missing, empty, a folder, wrongly encoded or has no
            line ends; the error names the file and a band of lines.
    """
    if _is_utf8(encoding) and not _scan(path, encoding, None):
        return path
    copy = scratch / "decoded.txt"
    with copy.open("w", encoding="utf-8", newline="") as out:
        _scan(path, encoding, out)
    return copy


def _scan(path: Path, encoding: str, out: io.TextIOWrapper | None) -> bool:
    """Decode a file to its end, into `out` if given; return whether it must be copied.

    A byte order mark and carriage returns are what a copy does away with.
    """
    if path.is_dir():
        raise InvalidData(f"{path.name} is a folder", fix="name the file in it")
    line, length, anything, odd = 1, 0, False, False
    try:
        for raw in _pieces(path, encoding):
            marked = not anything and raw.startswith("\ufeff")
            odd = odd or marked or "\r" in raw
            piece = raw.removeprefix("\ufeff") if marked else raw
            piece = piece.replace("\r\n", "\n").replace("\r", "\n")
            if out is not None:
                out.write(piece)
            anything = anything or bool(piece.strip())
            length = _line_length(piece, length)
            if length > LONGEST_LINE:
                raise InvalidData(
                    f"{path.name}, {band_of(line)}: a line is longer than "
                    f"{LONGEST_LINE} characters",
                    fix="check the line ends and the quotes of the export",
                )
            line += piece.count("\n")
    except OSError as problem:
        raise InvalidData(
            f"{path.name} cannot be read: {problem.strerror}", fix="check the path"
        ) from None
    except UnicodeError:
        # `from None`: the codec's message quotes the patient's bytes.
        raise InvalidData(
            f"{path.name}, {band_of(line)} and on: not {encoding} text",
            fix="set encoding of the source, for example gb18030 or big5hkscs; or the "
            "file was cut off: export it again",
        ) from None
    if not anything:
        raise InvalidData(f"{path.name} is empty", fix="export it again")
    return odd


def _pieces(path: Path, encoding: str) -> Iterator[str]:
    name = "utf-8" if _is_utf8(encoding) else encoding
    decoder = codecs.getincrementaldecoder(name)("strict")
    held = ""
    with path.open("rb") as file:
        while raw := file.read(PIECE_BYTES):
            piece = held + decoder.decode(raw)
            # A pair of line ends must not be cut in two.
            held = "\r" if piece.endswith("\r") else ""
            yield piece[: len(piece) - len(held)]
        yield held + decoder.decode(b"", final=True)


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def _line_length(piece: str, before: int) -> int:
    """Return the characters since the last line end."""
    last = piece.rfind("\n")
    return before + len(piece) if last < 0 else len(piece) - last - 1
