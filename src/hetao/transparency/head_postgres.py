"""A log's head as a row of a PostgreSQL database, which no backup of a folder restores.

Trusted: whoever can write the table, or brings the database back from a backup, can
have a log sign a second history from an old copy. Use one that is backed up apart from
the logs' folders.
"""

import threading
from typing import Any, Final

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as adbc

from hetao.errors import Unreachable
from hetao.ledger.note import size_of

TABLE: Final = """CREATE TABLE IF NOT EXISTS hetao_log_head (
    origin TEXT PRIMARY KEY,
    size BIGINT NOT NULL,
    note TEXT NOT NULL
)"""
_LASTING = "SET synchronous_commit = on"  # whatever the server's own default is
_FIRST = "INSERT INTO hetao_log_head VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
_NEXT = (
    "UPDATE hetao_log_head SET size = $2, note = $3"
    " WHERE origin = $1 AND note = $4 AND size < $2"
)


class PostgresHead:
    """The head of one log, in a table that many logs may share."""

    def __init__(self, uri: str, origin: str) -> None:
        """Open a connection, and make the table where it is missing.

        Args:
            uri: libpq's, such as "postgresql:///heads"; a password stands in libpq's
                own files or environment, never here.
            origin: the log's name.

        Raises:
            Unreachable: the server does not answer or does not let us.
        """
        self._origin, self._lock = origin, threading.Lock()
        self._uri = uri
        try:
            self._connection = adbc.connect(uri, autocommit=True)
        except adbc_driver_manager.Error as error:
            raise _unreachable(error) from None
        try:
            self._run(_LASTING)
            self._run(TABLE)
        except BaseException:
            self.close()
            raise

    def read(self) -> str | None:
        """Return the note; None where none was ever put.

        Raises:
            Unreachable: the database does not answer.
        """
        query = "SELECT note FROM hetao_log_head WHERE origin = $1"
        rows = self._run(query, self._origin)
        return str(rows[0][0]) if rows else None

    def swap(self, old: str | None, new: str) -> bool:
        """Put the new note where the old one is, and wait for the database's disk.

        Raises:
            Unreachable: the database does not answer; it may hold the new note or not.
        """
        row = (self._origin, size_of(new), new)
        if old is None:
            return bool(self._run(_FIRST + " RETURNING 1", *row))
        return bool(self._run(_NEXT + " RETURNING 1", *row, old))

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    def _run(self, sql: str, *values: object) -> list[Any]:
        try:
            with self._lock, self._connection.cursor() as cursor:
                cursor.adbc_statement.set_options(
                    **{"adbc.postgresql.use_copy": "false"}
                )
                cursor.execute(sql, values or None)
                return cursor.fetchall() if cursor.description else []
        except adbc_driver_manager.Error as error:
            raise _unreachable(error) from None


def _unreachable(error: Exception) -> Unreachable:
    return Unreachable(
        "the database that holds the log's head does not answer",
        fix="check that it runs, and the [log] head that names it",
        local=str(error)[:400],
    )
