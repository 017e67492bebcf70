"""The log's file: entries in bundles and hashes in tiles, 256 wide, as C2SP tlog-tiles.

`entries` holds runs of entries of one bundle, as they came: a bundle is the runs from
one multiple of 256 to the next, put behind each other. So nothing is written twice, be
it appended singly or by the thousand.
"""

import functools
import struct
from collections.abc import Sequence

from hetao.errors import Unverified
from hetao.ledger.durable import Database, append_only
from hetao.ledger.merkle import EMPTY_ROOT, HASH_BYTES, node_hash, parents, root
from hetao.ledger.note import Checkpoint

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
LONGEST_ENTRY = 65_535  # bytes; an entry bundle gives lengths in two bytes
_KEPT_TILES = 128  # with their inner nodes, 33 kB each, in a reader
_LENGTH = struct.Struct(">H")

# An entry's payload may go only as a redaction says: one length becomes zero, and so
# many bytes after it are gone. `before` is the run's length in bytes then, so that one
# redaction is good for one change.
_AS_REDACTED = (
    "EXISTS (SELECT 1 FROM redaction AS r WHERE r.i >= OLD.start AND r.i < OLD.stop"
    " AND NEW.start IS OLD.start AND NEW.stop IS OLD.stop"
    " AND length(OLD.bytes) = r.before"
    " AND length(NEW.bytes) = r.before - r.length"
    " AND substr(NEW.bytes, 1, r.offset) = substr(OLD.bytes, 1, r.offset)"
    " AND substr(NEW.bytes, r.offset + 1, 2) = x'0000'"
    " AND substr(NEW.bytes, r.offset + 3)"
    " = substr(OLD.bytes, r.offset + 3 + r.length))"
)
LOG_SCHEMA = (
    "CREATE TABLE log(origin TEXT NOT NULL, public_key BLOB NOT NULL) STRICT",
    "CREATE TABLE entries(start INTEGER PRIMARY KEY, stop INTEGER NOT NULL,"
    " bytes BLOB NOT NULL) STRICT",
    "CREATE TABLE redaction(i INTEGER PRIMARY KEY, at INTEGER NOT NULL,"
    " before INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL)"
    " STRICT",
    "CREATE TABLE tile(level INTEGER NOT NULL, number INTEGER NOT NULL,"
    " hashes BLOB NOT NULL CHECK (length(hashes) % 32 = 0"
    " AND length(hashes) BETWEEN 32 AND 8192), PRIMARY KEY (level, number)) STRICT",
    "CREATE TABLE checkpoint(size INTEGER PRIMARY KEY,"
    " root BLOB NOT NULL CHECK (length(root) = 32)) STRICT",
    append_only("log", "INSERT", "EXISTS (SELECT 1 FROM log)"),
    append_only(
        "entries",
        "INSERT",
        "NEW.start IS NOT"
        " coalesce((SELECT stop FROM entries ORDER BY start DESC LIMIT 1), 0)"
        " OR NEW.stop <= NEW.start OR (NEW.stop - 1) / 256 <> NEW.start / 256",
    ),
    append_only("entries", "UPDATE", f"NOT {_AS_REDACTED}"),
    append_only(
        "redaction",
        "INSERT",
        "NEW.at <= NEW.i OR NEW.i < 0 OR NEW.length <= 0 OR NEW.offset < 0"
        " OR EXISTS (SELECT 1 FROM redaction WHERE i = NEW.i)",
    ),
    append_only(
        "tile",
        "INSERT",
        "EXISTS (SELECT 1 FROM tile WHERE level = NEW.level AND number = NEW.number)",
    ),
    append_only(  # a tile may only grow
        "tile",
        "UPDATE",
        "NEW.level IS NOT OLD.level OR NEW.number IS NOT OLD.number"
        " OR length(NEW.hashes) <= length(OLD.hashes)"
        " OR substr(NEW.hashes, 1, length(OLD.hashes)) IS NOT OLD.hashes",
    ),
    append_only(
        "checkpoint",
        "INSERT",
        "NEW.size <= (SELECT coalesce(max(size), 0) FROM checkpoint)",
    ),
    *(append_only(table, "UPDATE") for table in ("log", "redaction", "checkpoint")),
    *(
        append_only(table, "DELETE")
        for table in ("log", "entries", "redaction", "tile", "checkpoint")
    ),
)


class Tiles:
    """One look at the stored hashes; a tile is read once in a look."""

    def __init__(self, store: Database) -> None:
        """Look at the hashes of this file."""
        self._store = store
        self._seen: dict[tuple[int, int], list[bytes]] = {}

    def root(self, start: int, stop: int) -> bytes:
        """Return the root over these leaves, a range as it occurs in proofs.

        So `start` is a multiple of some power of two not below their number.

        Raises:
            Unverified: hashes are missing.
        """
        parts = []
        while start < stop:
            height = (stop - start).bit_length() - 1
            parts.append(self._subtree(height, start >> height))
            start += 1 << height
        return fold(parts)

    def leaf(self, i: int) -> bytes:
        """Return the hash of one leaf.

        Raises:
            Unverified: it is missing.
        """
        return self._subtree(0, i)

    def _subtree(self, height: int, index: int) -> bytes:
        level, rest = divmod(height, TILE_HEIGHT)
        number, at = divmod(index << rest, TILE_WIDTH)
        return self._node(level, number, rest, at)

    def _node(self, level: int, number: int, rest: int, at: int) -> bytes:
        part = self._tile(level, number)[at : at + (1 << rest)]
        if len(part) != 1 << rest:
            raise Unverified(f"the log lacks hashes of tile {level}/{number}")
        return root(part)

    def _tile(self, level: int, number: int) -> list[bytes]:
        if (level, number) not in self._seen:
            self._seen[level, number] = read_tile(self._store, level, number)
        return self._seen[level, number]


class Kept:
    """Tiles with every node inside, of which those used last are kept.

    So many first hashes of a tile never change; what is made from them may be kept for
    proofs, which nobody signs. What is signed is always read anew.
    """

    def __init__(self, store: Database) -> None:
        """Read from this file; one thread at a time."""
        self._store = store
        self.nodes = functools.lru_cache(_KEPT_TILES)(self._read)

    def look(self, size: int) -> Tiles:
        """Return a look at a log of this size that takes its tiles from here."""
        return _Look(self._store, self, size)

    def _read(self, level: int, number: int, width: int) -> list[list[bytes]]:
        """Return a tile's first hashes, the nodes above them, and so on up."""
        rows = [read_tile(self._store, level, number)[:width]]
        if len(rows[0]) != width:
            raise Unverified(f"the log lacks hashes of tile {level}/{number}")
        while len(rows[-1]) > 1:
            rows.append(parents(rows[-1]))
        return rows


class _Look(Tiles):
    def __init__(self, store: Database, kept: Kept, size: int) -> None:
        super().__init__(store)
        self._kept, self._size = kept, size

    def _node(self, level: int, number: int, rest: int, at: int) -> bytes:
        width = (self._size >> TILE_HEIGHT * level) - number * TILE_WIDTH
        rows = self._kept.nodes(level, number, min(width, TILE_WIDTH))
        return rows[rest][at >> rest]


def fold(parts: Sequence[bytes]) -> bytes:
    """Return the root over whole subtrees of falling height."""
    if not parts:
        return EMPTY_ROOT
    *left, top = parts
    for part in reversed(left):
        top = node_hash(part, top)
    return top


def cut(hashes: list[bytes]) -> list[list[bytes]]:
    """Return the tiles that hold these hashes, the last of them perhaps short."""
    starts = range(0, len(hashes), TILE_WIDTH)
    return [hashes[at : at + TILE_WIDTH] for at in starts]


def tile_bytes(store: Database, level: int, number: int) -> bytes:
    """Return the hashes of a tile behind each other, nothing where there is none."""
    row = store.execute(
        "SELECT hashes FROM tile WHERE level = ? AND number = ?", (level, number)
    ).fetchone()
    return bytes(row[0]) if row else b""


def read_tile(store: Database, level: int, number: int) -> list[bytes]:
    """Return the hashes of a tile, none where it is not there."""
    data = tile_bytes(store, level, number)
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def write_tiles(store: Database, start: int, hashes: list[bytes]) -> None:
    """Add hashes, the first at `start` of level 0, and every root of a full tile."""
    level = 0
    while hashes:
        first, held = divmod(start, TILE_WIDTH)
        if held:
            hashes = read_tile(store, level, first)[:held] + hashes
        tiles = cut(hashes)
        rows = [
            (b"".join(tile), level, number)
            for number, tile in enumerate(tiles, start=first)
        ]
        if held:
            change = "UPDATE tile SET hashes = ? WHERE level = ? AND number = ?"
            store.execute(change, rows.pop(0))
        add = "INSERT INTO tile(hashes, level, number) VALUES(?, ?, ?)"
        store.executemany(add, rows)
        hashes = [root(tile) for tile in tiles if len(tile) == TILE_WIDTH]
        level, start = level + 1, first


def pack(entries: Sequence[bytes]) -> bytes:
    """Return entries as a bundle has them: each after its length in two bytes."""
    parts = [b""] * (2 * len(entries))
    parts[::2] = map(_LENGTH.pack, map(len, entries))
    parts[1::2] = entries
    return b"".join(parts)


def unpack(data: bytes) -> list[bytes]:
    """Return the entries of a bundle or of a run of it.

    Raises:
        Unverified: the bytes end within an entry.
    """
    entries, at, end = [], 0, len(data)
    while at < end:
        after = at + 2 + (data[at] << 8 | data[at + 1] if at + 1 < end else end)
        entries.append(data[at + 2 : after])
        at = after
    if at != end:
        raise Unverified("a bundle of entries ends within an entry")
    return entries


def write_entries(store: Database, start: int, entries: list[bytes]) -> None:
    """Add entries, the first of them with this index."""
    rows, at = [], 0
    while at < len(entries):
        first = start + at
        stop = at + TILE_WIDTH - first % TILE_WIDTH
        run = entries[at:stop]
        rows.append((first, first + len(run), pack(run)))
        at = stop
    store.executemany("INSERT INTO entries VALUES(?, ?, ?)", rows)


def runs(store: Database, start: int, stop: int) -> list[tuple[int, int, bytes]]:
    """Return the runs that hold these entries: first index, the one after, bytes."""
    return store.execute(
        "SELECT start, stop, bytes FROM entries WHERE start >="
        " coalesce((SELECT max(start) FROM entries WHERE start <= ?), 0)"
        " AND start < ? ORDER BY start",
        (start, stop),
    ).fetchall()


def read_entries(store: Database, start: int, stop: int) -> list[bytes]:
    """Return the entries from `start` up to, not including, `stop`.

    Raises:
        Unverified: some are missing.
    """
    if start == stop:
        return []
    entries: list[bytes] = []
    first = None
    for begin, end, data in runs(store, start, stop):
        first = begin if first is None else first
        run = unpack(data)
        if begin != first + len(entries) or len(run) != end - begin:
            break
        entries += run
    if first is None or first > start or first + len(entries) < stop:
        missing = start if first is None else first + len(entries)
        raise Unverified(
            "the log lacks entries that its checkpoint covers, in bundle"
            f" {missing // TILE_WIDTH}"
        )
    return entries[start - first : stop - first]


def stored(store: Database, origin: str) -> Checkpoint:
    """Return the last checkpoint that the log's own file holds, signed or not."""
    row = store.execute(
        "SELECT size, root FROM checkpoint ORDER BY size DESC LIMIT 1"
    ).fetchone()
    return Checkpoint(origin, *(row or (0, EMPTY_ROOT)))


def check_edge(store: Database, last: Checkpoint) -> None:
    """Return when count of entries and tiles at the right edge give this root.

    Raises:
        Unverified: they do not.
    """
    end = store.execute(
        "SELECT coalesce((SELECT stop FROM entries ORDER BY start DESC LIMIT 1), 0)"
    ).fetchone()[0]
    if end != last.size:
        raise Unverified("the log's entries end elsewhere than its checkpoint")
    if Tiles(store).root(0, last.size) != last.root:
        raise Unverified("the log's stored root does not follow from its tiles")
