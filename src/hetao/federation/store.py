"""A durable journal in SQLite: what a party took on, so that a kill loses nothing.

Trusted: whoever can write this file can make its own party repeat or forget work; it
cannot make another party accept anything, because what it holds is signed.
"""

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from hetao.errors import InvalidNetwork

PATIENCE: Final = 60.0  # seconds that one process waits while another writes


class Store:
    """One SQLite file, `synchronous=FULL`, one writer at a time.

    Attributes:
        lock: held by whoever reads or writes, and by what keeps parts of it in memory.
    """

    def __init__(self, path: Path | None, schema: str, *, alone: bool = True) -> None:
        """Open or create the file; None keeps everything in memory.

        Args:
            path: of the file.
            schema: SQL that makes what is not there.
            alone: refuse a second process; else processes wait for each other.

        Raises:
            InvalidNetwork: another process has the file, and this one wants it alone.
        """
        self._path = path
        if path is not None and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._alone = _held(path) if path is not None and alone else None
        self.lock = threading.RLock()
        self._undone = 0
        self._db = sqlite3.connect(
            path or ":memory:",
            timeout=PATIENCE,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(schema)
        except sqlite3.OperationalError as error:
            error.add_note(str(path))
            raise

    def write(self, statements: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        """Carry out all statements, durably, or none."""
        with self.lock:
            self._transact(statements)

    def note(self, statements: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        """Carry out all statements or none, on the disk with the next `write`.

        For what a kill of the process keeps and a power cut may lose, because it can
        be worked out again: this does not wait for the disk.
        """
        with self.lock:
            self._db.execute("PRAGMA synchronous=OFF")
            try:
                self._transact(statements)
            finally:
                self._db.execute("PRAGMA synchronous=FULL")

    def _transact(self, statements: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        with self.transaction() as db:
            for text, values in statements:
                db.execute(text, values)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the only pen: what is read and written inside is one step, or none.

        What is written by `write` inside belongs to that step.
        """
        with self.lock:
            if self._db.in_transaction:
                yield self._db
                return
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException as error:
                if isinstance(error, sqlite3.OperationalError):
                    error.add_note(str(self._path))  # for whoever makes room
                self._undone += 1
                if self._db.in_transaction:  # a full disk ends it by itself
                    self._db.execute("ROLLBACK")
                raise

    @property
    def undone(self) -> int:
        """How many steps were taken back: what was read within one may not be so."""
        with self.lock:
            return self._undone

    def shred(self, statements: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        """Carry out statements that take data away, and leave none of it in the file.

        SQLite writes zeros over what is deleted, and the log of what was written is
        emptied. What a disk or a backup keeps is beyond this program.
        """
        with self.lock:
            self._db.execute("PRAGMA secure_delete=ON")
            try:
                self._transact(statements)
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                self._db.execute("PRAGMA secure_delete=OFF")

    def rows(self, text: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.lock:
            return self._db.execute(text, values).fetchall()

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._db.close()
        if self._alone is not None:
            os.close(self._alone)
            self._alone = None


def _held(path: Path) -> int:
    """Return a lock that ends with this process: two would answer one task twice."""
    lock = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise InvalidNetwork(
            f"another process works in the folder {path.parent.name}",
            fix="stop it first; one party is one process",
        ) from error
    return lock
