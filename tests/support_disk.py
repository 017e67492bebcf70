"""A disk that loses power, fails and forgets, below SQLite: an APSW VFS.

What SQLite writes goes to the real file, as into the machine's page cache, and into a
model of what the disk has: writes reach it for certain only when they are synced.
"""

import random
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

import apsw

SECTOR = 512  # bytes that a disk writes whole or not at all
BUSY_MILLISECONDS = 2000


@dataclass
class _File:
    """What the disk has of a file, and what it was told since the last sync."""

    kept: bytearray
    told: list[tuple[int, bytes | None]] = field(default_factory=list)  # None: cut off
    was_synced: bool = True


def _apply(kept, offset, data):
    if data is None:
        del kept[offset:]
        return
    if len(kept) < offset:
        kept.extend(bytes(offset - len(kept)))
    kept[offset : offset + len(data)] = data


class Disk(apsw.VFS):
    """The files of some SQLite connections, by name, and the operations on them.

    Attributes:
        count: operations so far: writes, cuts and syncs.
        cut_at: the operation before which power fails; None for never.
        fail_at: the operation that fails; None for none.
        how: "fails" before anything is done; "persisted", having done it; "forgets":
            a failed sync whose data are never written, though reads still see them.
    """

    def __init__(self, name):
        self.name = name
        self.files: dict[str, _File] = {}
        self.count, self.cut_at, self.is_off = 0, None, False
        self.fail_at, self.how, self.failed = None, "fails", ""
        self.is_full = False
        super().__init__(name, base="")

    def xOpen(self, name, flags):  # noqa: N802 - SQLite's name
        return _DiskFile(self, name, flags)

    def xDelete(self, name, sync_dir):  # noqa: N802
        if self.is_off:
            raise apsw.IOError
        self.files.pop(name, None)
        return super().xDelete(name, sync_dir)

    def connect(self, path, normal=False, pages=1000):
        """Return a connection, as a log opens one.

        Args:
            path: of the file.
            normal: whether every file is synced as with synchronous=NORMAL.
            pages: after how many pages in the WAL they go into the file.
        """
        return Connection(path, self.name, normal, pages)

    def step(self, what):
        """Count an operation; return whether it is done first and fails afterwards."""
        if self.is_off:
            raise apsw.IOError
        self.count += 1
        if self.cut_at is not None and self.count >= self.cut_at:
            self.is_off = True
            raise apsw.IOError
        if self.fail_at is not None and self.count == self.fail_at:
            self.failed = what
            return True
        return False

    def after_the_cut(self, choose: random.Random, folder: Path, names):
        """Write into a folder what the disk has, of the unsynced any part.

        Of what was written since the last sync each piece may be there or not, whole
        or torn at a sector, whatever came before or after it.
        """
        mood = choose.random()
        for name in names:
            file = self.files.get(str(name))
            if file is None:
                continue
            kept = bytearray(file.kept)
            survives = choose.choice((0.0, mood, mood, 1.0))
            for offset, data in file.told:
                if choose.random() >= survives:
                    continue
                torn = data
                if data is not None and choose.random() < 0.2:
                    torn = data[: SECTOR * choose.randrange(len(data) // SECTOR + 1)]
                _apply(kept, offset, torn)
            if file.was_synced or choose.random() < 0.5:
                (folder / Path(name).name).write_bytes(kept)


class _DiskFile(apsw.VFSFile):
    def __init__(self, disk, name, flags):
        super().__init__("", name, flags)
        self._disk = disk
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        there = Path(path)
        if path not in disk.files:
            kept = bytearray(there.read_bytes()) if there.exists() else bytearray()
            disk.files[path] = _File(kept, was_synced=bool(kept))
        self._model = disk.files[path]

    def _done(self, what, then):
        fails = self._disk.step(what)
        if fails and self._disk.how == "fails":
            raise apsw.IOError
        then()
        if fails:
            raise apsw.IOError

    def xWrite(self, data, offset):  # noqa: N802
        if self._disk.is_full:
            raise apsw.FullError("database or disk is full")

        def write():
            self._model.told.append((offset, bytes(data)))
            super(_DiskFile, self).xWrite(data, offset)

        self._done("write", write)

    def xTruncate(self, size):  # noqa: N802
        def truncate():
            self._model.told.append((size, None))
            super(_DiskFile, self).xTruncate(size)

        self._done("truncate", truncate)

    def xSync(self, flags):  # noqa: N802
        def sync():
            is_failing = self._disk.count == self._disk.fail_at
            if not (is_failing and self._disk.how == "forgets"):
                for offset, data in self._model.told:
                    _apply(self._model.kept, offset, data)
                self._model.was_synced = True
            self._model.told.clear()

        self._done("sync", sync)

    def xRead(self, amount, offset):  # noqa: N802
        if self._disk.is_off:
            raise apsw.IOError
        return super().xRead(amount, offset)


class _Rows:
    def __init__(self, rows):
        self._rows = rows

    def fetchone(self):
        return self._rows.pop(0) if self._rows else None

    def fetchall(self):
        rows, self._rows = self._rows, []
        return rows


class Connection:
    """An APSW connection in the clothes of `sqlite3`'s."""

    def __init__(self, path, vfs, normal, pages):
        flags = apsw.SQLITE_OPEN_READWRITE
        self._is_normal, self._pages = normal, pages
        with _as_sqlite3():
            self._opened = apsw.Connection(str(path), flags=flags, vfs=vfs)
            self._opened.set_busy_timeout(BUSY_MILLISECONDS)

    @property
    def in_transaction(self):
        return self._opened.in_transaction

    def execute(self, sql, values=()):
        if sql.startswith("PRAGMA wal_autocheckpoint"):
            sql = f"PRAGMA wal_autocheckpoint = {self._pages}"
        if self._is_normal:
            sql = sql.replace("synchronous = FULL", "synchronous = NORMAL")
        with _as_sqlite3():
            return _Rows(list(self._opened.execute(sql, tuple(values))))

    def executemany(self, sql, rows):
        with _as_sqlite3():
            self._opened.executemany(sql, rows)

    def close(self):
        try:
            self._opened.close()
        except apsw.Error:
            self._opened.close(True)


class _as_sqlite3:  # noqa: N801 - used as a word
    def __enter__(self):
        return self

    def __exit__(self, _, error, __):
        if not isinstance(error, apsw.Error):
            return
        kind = sqlite3.OperationalError
        if isinstance(error, apsw.ConstraintError):
            kind = sqlite3.IntegrityError
        elif isinstance(error, apsw.CorruptError | apsw.NotADBError):
            kind = sqlite3.DatabaseError
        translated = kind(str(error))
        translated.sqlite_errorcode = getattr(error, "result", apsw.SQLITE_IOERR)
        raise translated from error
