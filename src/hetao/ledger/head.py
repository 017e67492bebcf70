"""Where a log keeps what it signed last: a note that is only ever swapped for the next.

It answers one question, which the log's own file cannot: is this the newest copy? So it
belongs where a backup of the log's folder does not bring it back as well: on another
disk, or in a database (`hetao.transparency.head_postgres`).

Trusted: whoever can write it can have the log sign a second history from an old copy.
"""

import threading
from pathlib import Path
from typing import Protocol

from hetao.errors import Unverified
from hetao.ledger.durable import (
    Connect,
    Database,
    append_only,
    connect,
    create_store,
    open_store,
    writing,
)
from hetao.ledger.note import size_of

HEAD_SCHEMA = (
    "CREATE TABLE head(size INTEGER NOT NULL, note TEXT NOT NULL) STRICT",
    append_only("head", "INSERT", "EXISTS (SELECT 1 FROM head)"),
    append_only("head", "UPDATE", "NEW.size <= OLD.size"),
    append_only("head", "DELETE"),
)


class Head(Protocol):
    """A place for one note. Threads and processes may share it."""

    def read(self) -> str | None:
        """Return the note; None where none was ever put.

        Raises:
            Unverified: the place does not hold exactly one.
        """

    def swap(self, old: str | None, new: str) -> bool:
        """Put the new note where the old one is, and wait until it is safe.

        Returns:
            False, having changed nothing, when it holds another note than the old one.
        """

    def close(self) -> None:
        """Let go of the place."""


class FileHead:
    """A SQLite file of its own, made (mode 0600) with the first note."""

    def __init__(self, path: Path, opener: Connect = connect) -> None:
        """Name the file; nothing is opened yet."""
        self._path, self._opener = path, opener
        # Two connections, so that who reads does not wait for the disk of who writes.
        self._open: dict[bool, Database] = {}
        self._sound: tuple[int, str] | None = None  # a row found to agree with itself
        self._locks = {True: threading.Lock(), False: threading.Lock()}

    def read(self) -> str | None:
        """Return the note; None where there is no such file."""
        with self._locks[False]:
            if not self._path.exists():
                return None
            found = self._connection(False).execute("SELECT size, note FROM head")
            rows = found.fetchall()
        if len(rows) != 1:
            raise Unverified("the head does not hold exactly one checkpoint")
        size, note = rows[0]
        if (size, note) != self._sound:
            if size_of(note) != size:
                raise Unverified("the head's checkpoint is of another size")
            self._sound = size, note
        return str(note)

    def swap(self, old: str | None, new: str) -> bool:
        """Put the new note where the old one is, and wait for the disk."""
        row = (size_of(new), new)
        with self._locks[True]:
            if old is None:
                first = "INSERT INTO head VALUES(?, ?)"
                return create_store(self._path, HEAD_SCHEMA, first, row, self._opener)
            store = self._connection(True)
            with writing(store):
                if store.execute("SELECT note FROM head").fetchall() != [(old,)]:
                    return False
                store.execute("UPDATE head SET size = ?, note = ?", row)
            return True

    def close(self) -> None:
        """Close the file."""
        for is_writer, lock in self._locks.items():
            with lock:
                if is_writer in self._open:
                    self._open.pop(is_writer).close()

    def _connection(self, is_writer: bool) -> Database:
        if is_writer not in self._open:
            opened = open_store(self._path, HEAD_SCHEMA, self._opener)
            self._open[is_writer] = opened
        return self._open[is_writer]
