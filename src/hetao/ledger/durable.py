"""SQLite files that wait for the disk at every commit, and whose rows are only added.

For whatever must not be forgotten: the log, what it signed last, and what a witness has
seen. The connection comes from a function, so that a test can put another SQLite below.
"""

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from hetao.errors import InvalidData

BUSY_SECONDS = 60  # how long a writer waits for the writers before it
# FULL, not WAL's customary NORMAL, which loses acknowledged commits when the power
# fails: the log would then sign a second history. What is taken out is overwritten.
_DURABLE = (
    "PRAGMA synchronous = FULL",
    "PRAGMA journal_mode = WAL",
    "PRAGMA secure_delete = ON",
    "PRAGMA wal_autocheckpoint = 4000",  # 16 MB of pages are moved at once
)
_OTHER_FILE = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CANTOPEN)


class Found(Protocol):
    """The rows that a statement found."""

    def fetchone(self) -> Any:
        """Return the next row, None after the last."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""


class Database(Protocol):
    """What is used of a connection to SQLite; `sqlite3.Connection` is one."""

    @property
    def in_transaction(self) -> bool:
        """Return whether a transaction is open."""

    def execute(self, sql: str, values: Sequence[Any] = ..., /) -> Found:
        """Carry out one statement."""

    def executemany(self, sql: str, values: Sequence[Any], /) -> object:
        """Carry out one statement for each row of values."""

    def close(self) -> None:
        """Close the file."""


Connect = Callable[[Path], Database]


def connect(path: Path) -> Database:
    """Return a connection to a file that exists; threads may hand it on."""
    return sqlite3.connect(
        path.absolute().as_uri() + "?mode=rw",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


@contextlib.contextmanager
def reading(path: Path, what: str) -> Iterator[sqlite3.Connection]:
    """Open a file to read it beside whoever writes it; nothing is written.

    Raises:
        InvalidData: it cannot be read; `what` is named.
    """
    place = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(place, uri=True)) as store:
            yield store
    except sqlite3.Error as error:
        raise InvalidData(f"{what} cannot be read", local=str(error)) from error


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


def create_store(
    path: Path,
    schema: Sequence[str],
    first_row: str,
    values: Sequence[object],
    opener: Connect = connect,
) -> bool:
    """Make a durable SQLite file (mode 0600) that appears whole, or find one there.

    Returns:
        Whether this call made it.

    Raises:
        InvalidData: the folder does not exist.
    """
    if not path.parent.is_dir():
        raise InvalidData("the folder of the log is missing", local=str(path.parent))
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    is_ours = True
    try:
        with contextlib.closing(opener(draft)) as store:
            for statement in _DURABLE:
                store.execute(statement)
            with writing(store):
                for statement in schema:
                    store.execute(statement)
                store.execute(first_row, values)
        # Another process may be first; then its file stands and the draft goes.
        try:
            os.link(draft, path)
        except FileExistsError:
            is_ours = False
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return is_ours


def open_store(
    path: Path, schema: Sequence[str], opener: Connect = connect
) -> Database:
    """Return a connection that waits for the disk at every commit.

    Raises:
        InvalidData: the file is not SQLite, or its tables or triggers are not these.
    """
    damaged = InvalidData("the file is not what a log writes", local=str(path))
    with contextlib.ExitStack() as stack:
        try:
            store = opener(path)
            stack.callback(store.close)
            found = store.execute("SELECT sql FROM sqlite_master WHERE sql NOT NULL")
            statements = {sql for (sql,) in found.fetchall()}
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode in _OTHER_FILE:
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
def writing(store: Database) -> Iterator[None]:
    """Hold the file's write lock; commit at the end, or roll back on any exception."""
    store.execute("BEGIN IMMEDIATE")
    try:
        yield
        store.execute("COMMIT")
    except BaseException as error:
        if store.in_transaction:
            store.execute("ROLLBACK")
        if isinstance(error, sqlite3.OperationalError):
            with contextlib.suppress(sqlite3.Error):  # for whoever makes room
                error.add_note(str(store.execute("PRAGMA database_list").fetchone()[2]))
        raise
