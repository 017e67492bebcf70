"""The append-only log: entries, tree tiles and checkpoints in one SQLite file.

Two files. `<name>` holds entries, tiles and unsigned roots; `<name>.head` holds the
one checkpoint that was signed last. An append takes these steps, and the log's size
is what the head says, so that nobody sees a step half done:

1. lock the head, then the log; read both again
2. write entries, tiles and root; commit, which waits for the disk
3. sign the new root and swap it into the head, if the head is still the one read
4. commit the head, which waits for the disk; only now return

A crash between 2 and 4 leaves a log that is longer than its head: the next to lock
the head checks it and does 3 and 4. A log that is shorter than its head, or differs
from it, is a restored backup and is refused: to sign on it would be to sign a second
history.

Trusted: whoever can write these files can add or withhold entries, but can change
none that a witness has seen without being found out; whoever holds the key can sign
two histories, and only witnesses can show it.

KNOWN GAP: a backup that restores both files together passes here. Only a witness,
which remembers the larger checkpoint, refuses it.
"""

import contextlib
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hetao.errors import InvalidData, Unverified, Usage
from hetao.ledger.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    node_hash,
    root,
)
from hetao.ledger.note import Checkpoint, parse_checkpoint, sign_note, verify_note

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
BUSY_SECONDS = 60  # how long a writer waits for the writers before it
LONGEST_ENTRY = 65_535  # bytes; an entry bundle gives lengths in two bytes
# FULL, not WAL's customary NORMAL, which loses acknowledged commits when the power
# fails: the log would then sign a second history.
_DURABLE = ("PRAGMA synchronous = FULL", "PRAGMA journal_mode = WAL")
_NOT_A_LOG = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CANTOPEN)


def append_only(table: str, operation: str, when: str = "") -> str:
    """Return the trigger that refuses an operation on a table's rows.

    Args:
        table: the table.
        operation: INSERT, UPDATE or DELETE. An INSERT needs a trigger as well, since
            INSERT OR REPLACE deletes a row without firing the delete trigger.
        when: the SQL condition under which to refuse; empty for always.
    """
    condition = f" WHEN {when}" if when else ""
    return (
        f"CREATE TRIGGER {table}_{operation.lower()} BEFORE {operation} ON {table}"
        f"{condition} BEGIN SELECT RAISE(ABORT, 'append-only'); END"
    )


LOG_SCHEMA = (
    "CREATE TABLE log(origin TEXT NOT NULL, public_key BLOB NOT NULL) STRICT",
    "CREATE TABLE entry(i INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT",
    "CREATE TABLE tile(level INTEGER NOT NULL, number INTEGER NOT NULL,"
    " hashes BLOB NOT NULL CHECK (length(hashes) % 32 = 0"
    " AND length(hashes) BETWEEN 32 AND 8192), PRIMARY KEY (level, number)) STRICT",
    "CREATE TABLE checkpoint(size INTEGER PRIMARY KEY,"
    " root BLOB NOT NULL CHECK (length(root) = 32)) STRICT",
    append_only("log", "INSERT", "EXISTS (SELECT 1 FROM log)"),
    append_only(
        "entry", "INSERT", "NEW.i IS NOT (SELECT coalesce(max(i) + 1, 0) FROM entry)"
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
    *(append_only(table, "UPDATE") for table in ("log", "entry", "checkpoint")),
    *(append_only(table, "DELETE") for table in ("log", "entry", "tile", "checkpoint")),
)

HEAD_SCHEMA = (
    "CREATE TABLE head(size INTEGER NOT NULL, note TEXT NOT NULL) STRICT",
    append_only("head", "INSERT", "EXISTS (SELECT 1 FROM head)"),
    append_only("head", "UPDATE", "NEW.size <= OLD.size"),
    append_only("head", "DELETE"),
)


class Log:
    """An append-only list of entries, each provable against one signed checkpoint.

    Several threads may share one Log, and several processes one file; after a fork
    the child opens its own. `size` counts what the last signed checkpoint covers.
    """

    def __init__(
        self,
        store: sqlite3.Connection,
        head: sqlite3.Connection,
        origin: str,
        key: Ed25519PrivateKey,
    ) -> None:
        """Take over two opened files; use `Log.open`."""
        self._store, self._head = store, head
        self._origin, self._key = origin, key
        self._lock = threading.RLock()
        self._known: tuple[str, Checkpoint] | None = None  # a note found to be ours

    @classmethod
    def open(cls, path: Path, origin: str, key: Ed25519PrivateKey) -> Self:
        """Return the log in this file, made anew (mode 0600) where there is none.

        The root is checked against the stored tiles; `fsck` checks every entry.

        Args:
            path: the log's file, in a folder that exists; `<path>.head` stands beside.
            origin: the log's name, in every checkpoint and signature line.
            key: what signs the checkpoints.

        Raises:
            InvalidData: the folder is missing, the file is no log, or it is the log
                of another origin or key.
            Unverified: the file does not hold what was signed: it is an older copy,
                was changed, lost its head, or was signed by another key.
        """
        empty = Checkpoint(origin, 0, EMPTY_ROOT)
        head_path = path.with_name(path.name + ".head")
        # The head comes first and the log second, so that a log without a head has
        # lost it, and is never one that is still being made.
        if not path.exists() and not head_path.exists():
            note = _sign(empty, key)
            create_store(head_path, HEAD_SCHEMA, "INSERT INTO head VALUES(0, ?)", note)
        if not head_path.exists():
            raise Unverified(
                "the log has lost the file that remembers what it signed last",
                fix="bring back the .head file that belongs to it",
            )
        with contextlib.ExitStack() as stack:
            head = open_store(head_path, HEAD_SCHEMA)
            stack.callback(head.close)
            signed = _signed(head, origin, key)
            if not path.exists():
                if signed != empty:
                    raise Unverified(
                        "the log is gone, but its head says it had entries"
                    )
                public = key.public_key().public_bytes_raw()
                row = "INSERT INTO log VALUES(?, ?)"
                create_store(path, LOG_SCHEMA, row, origin, public)
            store = open_store(path, LOG_SCHEMA)
            stack.callback(store.close)
            log = cls(store, head, origin, key)
            log._check()
            stack.pop_all()
        return log

    def __enter__(self) -> Self:
        """Return the log itself, to be closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the log."""
        self.close()

    def close(self) -> None:
        """Close both files; nothing is lost if this never happens."""
        with self._lock:
            self._store.close()
            self._head.close()

    @property
    def size(self) -> int:
        """How many entries the last signed checkpoint covers."""
        with self._lock:
            return int(self._head.execute("SELECT size FROM head").fetchone()[0])

    def checkpoint(self) -> str:
        """Return the last signed checkpoint, a note; it covers all `size` entries."""
        with self._lock:
            return str(self._head.execute("SELECT note FROM head").fetchone()[0])

    def append(self, entries: Sequence[bytes]) -> int:
        """Add entries, all or none, and return the index of the first.

        When this returns, entries and checkpoint are on disk. When it raises an error
        of the disk or of SQLite, the entries may still be found in the log later.

        Raises:
            InvalidData: an entry is not bytes, or longer than 65,535.
            Unverified: the file no longer holds what was signed.
        """
        batch = list(entries)
        for entry in batch:
            if not isinstance(entry, bytes) or len(entry) > LONGEST_ENTRY:
                raise InvalidData("an entry is not bytes, or longer than 65,535")
        with self._lock, writing(self._head):  # 1
            signed = self._caught_up()
            if batch:
                with writing(self._store):  # 2
                    stored = self._write(signed.size, batch)
                self._swap_head(signed, stored)  # 3, and 4 at the end of the block
            return signed.size

    def entry(self, i: int) -> bytes:
        """Return one entry.

        Raises:
            Usage: there is none with this index.
        """
        return self.entries(i, i + 1)[0]

    def entries(self, start: int, stop: int) -> list[bytes]:
        """Return the entries from `start` up to, not including, `stop`.

        Raises:
            Usage: the range is not within the log.
        """
        with self._lock:
            if not 0 <= start <= stop <= self.size:
                raise Usage("the log has no entries in this range")
            return _read_entries(self._store, start, stop)

    def inclusion(self, i: int, size: int | None = None) -> list[bytes]:
        """Return the path from entry `i` to the root of the first `size` entries.

        Raises:
            Usage: the log never had this size, or not this entry at it.
        """
        with self._lock:
            return self._roots(inclusion_ranges(i, self._size_of(size)))

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """Return the proof that the first `new` entries extend the first `old`.

        Raises:
            Usage: the log never had one of these sizes, or `old` is the larger.
        """
        with self._lock:
            return self._roots(consistency_ranges(old, self._size_of(new)))

    def fsck(self) -> None:
        """Hash every entry again and return when all tiles and roots follow from them.

        Reads one state of the log; other processes may append meanwhile.

        Raises:
            Unverified: something stored does not follow; it names what.
        """
        with self._lock:
            signed = _signed(self._head, self._origin, self._key)
            self._store.execute("BEGIN")
            try:
                _rehash(self._store, signed)
            finally:
                self._store.execute("ROLLBACK")

    def _check(self) -> None:
        identity = self._store.execute("SELECT origin, public_key FROM log").fetchall()
        if identity != [(self._origin, self._key.public_key().public_bytes_raw())]:
            raise InvalidData("the file is the log of another origin or another key")
        with writing(self._head):
            _check_edge(self._store, self._caught_up())

    def _roots(self, ranges: list[tuple[int, int]]) -> list[bytes]:
        tiles = _Tiles(self._store)
        return [tiles.root(start, stop) for start, stop in ranges]

    def _size_of(self, size: int | None) -> int:
        current = self.size
        if size is not None and not 0 <= size <= current:
            raise Usage("the log was never of this size")
        return current if size is None else size

    def _caught_up(self) -> Checkpoint:
        """Return the signed checkpoint, after signing what a crash left unsigned.

        The caller holds the head's lock.

        Raises:
            Unverified: the log is not the signed one, nor an extension of it.
        """
        note = self.checkpoint()
        if self._known is None or self._known[0] != note:
            self._known = note, _signed(self._head, self._origin, self._key)
        signed = self._known[1]
        stored = _stored(self._store, self._origin)
        if stored == signed:
            return signed
        if stored.size <= signed.size:
            raise Unverified(
                "the log is older than its last signed checkpoint, or differs from it",
                fix="do not sign on: bring back the newest copy of both files",
            )
        _check_edge(self._store, stored)
        if _Tiles(self._store).root(0, signed.size) != signed.root:
            raise Unverified("the log does not extend its last signed checkpoint")
        # A writer that was killed may have left frames that the disk does not have
        # yet: SQLite reads them back without waiting. Signing comes after durability.
        self._store.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
        self._swap_head(signed, stored)
        return stored

    def _write(self, size: int, batch: list[bytes]) -> Checkpoint:
        self._store.executemany(
            "INSERT INTO entry VALUES(?, ?)", enumerate(batch, start=size)
        )
        _write_tiles(self._store, size, [leaf_hash(entry) for entry in batch])
        grown = size + len(batch)
        row = (grown, _Tiles(self._store).root(0, grown))
        self._store.execute("INSERT INTO checkpoint VALUES(?, ?)", row)
        return Checkpoint(self._origin, *row)

    def _swap_head(self, old: Checkpoint, new: Checkpoint) -> None:
        note = _sign(new, self._key)
        changed = self._head.execute(
            "UPDATE head SET size = ?, note = ? WHERE size = ?",
            (new.size, note, old.size),
        )
        if changed.rowcount != 1:
            raise Unverified("the head changed under its own lock")
        self._known = note, new


class _Tiles:
    """One look at the stored hashes; a tile is read once in a look."""

    def __init__(self, store: sqlite3.Connection) -> None:
        self._store = store
        self._seen: dict[tuple[int, int], list[bytes]] = {}

    def root(self, start: int, stop: int) -> bytes:
        """Return the root over these leaves, a range as it occurs in proofs.

        So `start` is a multiple of some power of two not below their number.
        """
        parts = []
        while start < stop:
            height = (stop - start).bit_length() - 1
            parts.append(self._subtree(height, start >> height))
            start += 1 << height
        return _fold(parts)

    def _subtree(self, height: int, index: int) -> bytes:
        level, rest = divmod(height, TILE_HEIGHT)
        number, at = divmod(index << rest, TILE_WIDTH)
        part = self._tile(level, number)[at : at + (1 << rest)]
        if len(part) != 1 << rest:
            raise Unverified(f"the log lacks hashes of tile {level}/{number}")
        return root(part)

    def _tile(self, level: int, number: int) -> list[bytes]:
        if (level, number) not in self._seen:
            self._seen[level, number] = _read_tile(self._store, level, number)
        return self._seen[level, number]


def _fold(parts: Sequence[bytes]) -> bytes:
    """Return the root over whole subtrees of falling height."""
    if not parts:
        return EMPTY_ROOT
    *left, top = parts
    for part in reversed(left):
        top = node_hash(part, top)
    return top


def _cut(hashes: list[bytes]) -> list[list[bytes]]:
    """Return the tiles that hold these hashes, the last of them perhaps short."""
    starts = range(0, len(hashes), TILE_WIDTH)
    return [hashes[at : at + TILE_WIDTH] for at in starts]


def _read_tile(store: sqlite3.Connection, level: int, number: int) -> list[bytes]:
    row = store.execute(
        "SELECT hashes FROM tile WHERE level = ? AND number = ?", (level, number)
    ).fetchone()
    data = row[0] if row else b""
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def _read_entries(store: sqlite3.Connection, start: int, stop: int) -> list[bytes]:
    rows = store.execute(
        "SELECT bytes FROM entry WHERE i >= ? AND i < ? ORDER BY i", (start, stop)
    ).fetchall()
    if len(rows) != stop - start:
        raise Unverified("the log lacks entries that its checkpoint covers")
    return [row[0] for row in rows]


def _write_tiles(store: sqlite3.Connection, start: int, hashes: list[bytes]) -> None:
    """Add hashes, the first at `start` of level 0, and every root of a full tile."""
    level = 0
    while hashes:
        first, held = divmod(start, TILE_WIDTH)
        if held:
            hashes = _read_tile(store, level, first)[:held] + hashes
        tiles = _cut(hashes)
        for number, tile in enumerate(tiles, start=first):
            change = "INSERT INTO tile(hashes, level, number) VALUES(?, ?, ?)"
            if held and number == first:
                change = "UPDATE tile SET hashes = ? WHERE level = ? AND number = ?"
            store.execute(change, (b"".join(tile), level, number))
        hashes = [root(tile) for tile in tiles if len(tile) == TILE_WIDTH]
        level, start = level + 1, first


def _sign(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    """Return the note; Ed25519 makes the same one each time."""
    text = checkpoint.text
    return text + "\n" + sign_note(text, checkpoint.origin, key)


def _signed(
    head: sqlite3.Connection, origin: str, key: Ed25519PrivateKey
) -> Checkpoint:
    """Return the head's checkpoint, its signature checked."""
    rows = head.execute("SELECT size, note FROM head").fetchall()
    if len(rows) != 1:
        raise Unverified("the head does not hold exactly one checkpoint")
    size, note = rows[0]
    checkpoint = parse_checkpoint(verify_note(note, origin, key.public_key()))
    if (checkpoint.origin, checkpoint.size) != (origin, size):
        raise Unverified("the head's checkpoint is of another log or size")
    return checkpoint


def _stored(store: sqlite3.Connection, origin: str) -> Checkpoint:
    """Return the last checkpoint that the log's own file holds, signed or not."""
    row = store.execute(
        "SELECT size, root FROM checkpoint ORDER BY size DESC LIMIT 1"
    ).fetchone()
    return Checkpoint(origin, *(row or (0, EMPTY_ROOT)))


def _check_edge(store: sqlite3.Connection, stored: Checkpoint) -> None:
    """Return when count of entries and tiles at the right edge give this root."""
    last = store.execute("SELECT coalesce(max(i), -1) FROM entry").fetchone()[0]
    if last + 1 != stored.size:
        raise Unverified("the log's entries end elsewhere than its checkpoint")
    if _Tiles(store).root(0, stored.size) != stored.root:
        raise Unverified("the log's stored root does not follow from its tiles")


def _rehash(store: sqlite3.Connection, signed: Checkpoint) -> None:
    """Check entries, tiles and checkpoints of one snapshot against each other."""
    if store.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
        raise Unverified("the log's file is damaged")
    stored = _stored(store, signed.origin)
    _check_edge(store, stored)
    claimed: dict[int, bytes] = dict(store.execute("SELECT size, root FROM checkpoint"))
    if claimed.get(signed.size, EMPTY_ROOT) != signed.root:
        raise Unverified("the log does not hold its last signed checkpoint")
    full: list[bytes] = []
    for start in range(0, stored.size, TILE_WIDTH):
        stop = min(start + TILE_WIDTH, stored.size)
        hashes = [leaf_hash(entry) for entry in _read_entries(store, start, stop)]
        _check_tile(store, 0, start // TILE_WIDTH, hashes)
        for size in range(start + 1, stop + 1):
            if size in claimed:
                top = _fold([*_peaks(full), root(hashes[: size - start])])
                if top != claimed.pop(size):
                    raise Unverified(f"the checkpoint of size {size} is not the log's")
        if len(hashes) == TILE_WIDTH:
            full.append(root(hashes))
    if claimed:
        raise Unverified("the log holds a checkpoint of a size it never had")
    _check_upper(store, full, -(-stored.size // TILE_WIDTH))


def _peaks(hashes: list[bytes]) -> list[bytes]:
    """Return the roots of the largest whole subtrees, from the left."""
    peaks, start = [], 0
    while rest := len(hashes) - start:
        stop = start + (1 << (rest.bit_length() - 1))
        peaks.append(root(hashes[start:stop]))
        start = stop
    return peaks


def _check_upper(store: sqlite3.Connection, hashes: list[bytes], checked: int) -> None:
    level = 1
    while hashes:
        tiles = _cut(hashes)
        for number, tile in enumerate(tiles):
            _check_tile(store, level, number, tile)
        checked += len(tiles)
        hashes = [root(tile) for tile in tiles if len(tile) == TILE_WIDTH]
        level += 1
    if store.execute("SELECT count(*) FROM tile").fetchone()[0] != checked:
        raise Unverified("the log holds tiles that no entry stands under")


def _check_tile(
    store: sqlite3.Connection, level: int, number: int, hashes: list[bytes]
) -> None:
    if _read_tile(store, level, number) != hashes:
        raise Unverified(f"tile {level}/{number} does not follow from the entries")


# --- SQLite files, for the witness too ---------------------------------------------
def create_store(
    path: Path, schema: Sequence[str], first_row: str, *values: object
) -> None:
    """Make a durable SQLite file (mode 0600) that appears whole, or find one there.

    Raises:
        InvalidData: the folder does not exist.
    """
    if not path.parent.is_dir():
        raise InvalidData("the folder of the log is missing", local=str(path.parent))
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        with contextlib.closing(_connect(draft)) as store:
            for statement in _DURABLE:
                store.execute(statement)
            with writing(store):
                for statement in schema:
                    store.execute(statement)
                store.execute(first_row, values)
        # Another process may be first; then its file stands and the draft goes.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def open_store(path: Path, schema: Sequence[str]) -> sqlite3.Connection:
    """Return a connection that waits for the disk at every commit.

    Raises:
        InvalidData: the file is not SQLite, or its tables or triggers are not these.
    """
    damaged = InvalidData("the file is not what a log writes", local=str(path))
    with contextlib.ExitStack() as stack:
        try:
            store = _connect(path)
            stack.callback(store.close)
            found = store.execute("SELECT sql FROM sqlite_master WHERE sql NOT NULL")
            statements = {sql for (sql,) in found}
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode in _NOT_A_LOG:
                raise damaged from error
            raise
        # Triggers that were dropped or added would change what an append does.
        if statements != set(schema):
            raise damaged
        for statement in _DURABLE:
            store.execute(statement)
        stack.pop_all()
    return store


@contextlib.contextmanager
def writing(store: sqlite3.Connection) -> Iterator[None]:
    """Hold the file's write lock; commit at the end, or roll back on any exception."""
    store.execute("BEGIN IMMEDIATE")
    try:
        yield
        store.execute("COMMIT")
    except BaseException:
        if store.in_transaction:
            store.execute("ROLLBACK")
        raise


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path.absolute().as_uri() + "?mode=rw",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
