"""A log as the static files of C2SP tlog-tiles: names, contents, a folder of them.

    checkpoint                    the signed note; the only file that changes
    tile/<L>/<N>[.p/<W>]          256 hashes, or W
    tile/entries/<N>[.p/<W>]      256 entries, or W, each after its length in two bytes

`<N>` is written in threes, `x001/x234/067`. A bundle changes once more when one of its
entries is redacted.

Source: C2SP tlog-tiles (commit in `docs/specs/log.md`).
"""

import os
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hetao.errors import Usage
from hetao.ledger.log import Log
from hetao.ledger.note import parse_checkpoint, parse_note
from hetao.ledger.tiles import TILE_HEIGHT, TILE_WIDTH

CHECKPOINT: Final = "checkpoint"
_PLACE = re.compile(
    r"tile/(entries|0|[1-7])/((?:x[0-9]{3}/){0,6}[0-9]{3})"
    r"(?:\.p/([1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?"
)


@dataclass(frozen=True)
class Place:
    """One tile or bundle, whole or in part.

    Attributes:
        level: of the tile; None for a bundle of entries.
        number: from 0 within the level.
        width: how many hashes or entries, 1 to 256.
    """

    level: int | None
    number: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """The name of its file."""
        level = "entries" if self.level is None else str(self.level)
        groups = [self.number % 1000]
        while self.number >= 1000 ** len(groups):
            groups.insert(0, self.number // 1000 ** len(groups) % 1000)
        number = "/".join(f"x{group:03}" for group in groups)
        number = number[:-4] + number[-3:]  # the last without its x
        part = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{number}{part}"


def place_of(path: str) -> Place | None:
    """Return the place that a file's name names, None where it is none, to the byte."""
    found = _PLACE.fullmatch(path)
    if found is None:
        return None
    level = None if found[1] == "entries" else int(found[1])
    number = int(found[2].replace("/", "").replace("x", ""))
    place = Place(level, number, int(found[3] or TILE_WIDTH))
    return place if place.path == path else None


def content(log: Log, place: Place) -> bytes:
    """Return what stands at a place of a log.

    Raises:
        Usage: the log has no such tile or bundle.
    """
    if place.level is None:
        return log.bundle(place.number, place.width)
    return log.tile(place.level, place.number, place.width)


def places(size: int, *, with_entries: bool = True) -> Iterator[Place]:
    """Yield every place of a log of this size."""
    levels: list[int | None] = [None] if with_entries else []
    levels += range(-(-size.bit_length() // TILE_HEIGHT))
    for level in levels:
        whole, rest = divmod(size >> TILE_HEIGHT * (level or 0), TILE_WIDTH)
        for number in range(whole):
            yield Place(level, number)
        if rest:
            yield Place(level, whole, rest)


def export(
    log: Log,
    folder: Path,
    *,
    with_entries: bool = True,
    cosigned: Callable[[str], str] = str,
) -> int:
    """Bring a folder of static files up to the log; return how many were written.

    Files that stand are left, but for bundles with a redacted entry, also those of an
    earlier export with entries, and drafts of one that was cut short. The checkpoint
    comes last, so that whoever reads meanwhile finds all that it covers.

    Args:
        log: what is published.
        folder: made where it is missing.
        with_entries: whether the entries go too, or their hashes alone.
        cosigned: returns the checkpoint with the lines of those who saw it.

    Raises:
        Usage: the folder is of another log, or of a larger size.
    """
    note, size = log.checkpoint(), log.size
    _check_folder(log, folder, size)
    _remove_drafts(folder)
    written = 0
    for place in places(size, with_entries=with_entries):
        path = folder / place.path
        if not path.exists():
            _write(path, content(log, place))
            written += 1
        if place.width == TILE_WIDTH:
            _remove_parts(folder, place)
    written += _rewrite_redacted(log, folder)
    whole, there = cosigned(note), (folder / CHECKPOINT).is_file()
    if not there or not _read(folder).startswith(whole):
        _write(folder / CHECKPOINT, whole.encode())
        written += 1
    return written


def _check_folder(log: Log, folder: Path, size: int) -> None:
    if not (folder / CHECKPOINT).exists():
        return
    there = parse_checkpoint(parse_note(_read(folder))[0])
    if there.origin != log.origin or there.size > size:
        raise Usage("the folder holds another log, or more of this one")


def _read(folder: Path) -> str:
    return (folder / CHECKPOINT).read_text(encoding="utf-8")


def _rewrite_redacted(log: Log, folder: Path) -> int:
    """Take redacted payloads out of bundles that were written with them."""
    written = 0
    for number in sorted({i // TILE_WIDTH for i in log.redactions()}):
        whole = folder / Place(None, number).path
        files = [whole, *whole.with_name(whole.name + ".p").glob("*")]
        for path in files:
            width = TILE_WIDTH if path == whole else int(path.name)
            if path.exists() and path.read_bytes() != (
                now := log.bundle(number, width)
            ):
                _write(path, now)
                written += 1
    return written


def _remove_drafts(folder: Path) -> None:
    """Remove what a killed export left; it may hold what was redacted since."""
    for path in (*folder.glob(f"{CHECKPOINT}.*.new"), *folder.glob("tile/**/*.new")):
        path.unlink()


def _remove_parts(folder: Path, place: Place) -> None:
    whole = folder / place.path
    parts = whole.with_name(whole.name + ".p")
    if parts.is_dir():
        for path in parts.iterdir():
            path.unlink()
        parts.rmdir()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
