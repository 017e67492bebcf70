"""What a site's log knows of its book of uses, so that no older book is gone on with.

Whatever a book spends is told to the site's log before anybody is given it: a mark of
each use, salted, from which nobody finds the use. A book that does not know a mark of
the log is older than the log, or another: by it, a limit could be spent again.
"""

import contextlib
import json
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from sqlite3 import Connection
from typing import Final

from hetao.canonical import canonical, digest
from hetao.errors import MemoryLost
from hetao.federation.store import Store
from hetao.ledger.log import Log

TYPE: Final = "hetao.used/1"
SALT_BYTES: Final = 16
AT_ONCE: Final = 4096  # entries that are read in one go
TABLES: Final = """
CREATE TABLE IF NOT EXISTS told (
    used TEXT NOT NULL PRIMARY KEY, mark TEXT NOT NULL UNIQUE,
    logged INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS heard (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL
) STRICT;
"""
UNMARKED: Final = "SELECT digest FROM used WHERE digest NOT IN (SELECT used FROM told)"

Opens = Callable[[], AbstractContextManager[Log]]


class ToldUses:
    """A book's uses in the site's log."""

    def __init__(self, store: Store) -> None:
        """Take the store of a book, with `TABLES` and `used`; nobody is told yet."""
        self._store = store
        self._opens: Opens | None = None

    def hold_against(self, opens: Opens) -> None:
        """Hold the book against the log, and tell the log what it does not know yet.

        Args:
            opens: opens the site's own log, which is told of every use from then on.

        Raises:
            MemoryLost: the log knows of a use that is not in the book.
        """
        self._opens = opens
        with opens() as log:
            self._check(log)
            self._tell(log)

    def tell(self) -> None:
        """Tell the log of every use that it was not told of."""
        if self._opens is None:
            return
        with self._opens() as log:
            self._tell(log)

    def _check(self, log: Log) -> None:
        rows = self._store.rows("SELECT size FROM heard")
        start, size = (int(rows[0][0]) if rows else 0), log.size
        known = {str(mark) for (mark,) in self._store.rows("SELECT mark FROM told")}
        for at in range(start, size, AT_ONCE):
            for data in log.entries(at, min(size, at + AT_ONCE)):
                mark = _mark_in(data)
                if mark and mark not in known:
                    raise MemoryLost(
                        "the book of what crossed is older than the site's log",
                        fix="put the newest copy of uses.sqlite back; without it "
                        "nobody knows what is left of the limits",
                    )
        row = ("INSERT OR REPLACE INTO heard VALUES (1, ?)", (max(start, size),))
        self._store.write([row])

    def _tell(self, log: Log) -> None:
        with self._store.transaction() as db:
            _mark(db)  # is here for good before the log knows it
        rows = self._store.rows("SELECT mark FROM told WHERE logged = 0")
        if rows:  # told twice after a kill, or by two at once; never not at all
            log.append([canonical({"type": TYPE, "mark": str(one)}) for (one,) in rows])
            done = "UPDATE told SET logged = 1 WHERE mark = ?"
            self._store.write([(done, row) for row in rows])


def _mark(db: Connection) -> None:
    """Give each use that has none a mark, which tells nothing of it."""
    for (used,) in db.execute(UNMARKED).fetchall():
        salt = secrets.token_hex(SALT_BYTES)
        mark = digest({"type": TYPE, "use": used, "salt": salt})
        db.execute("INSERT INTO told (used, mark) VALUES (?, ?)", (used, mark))


def _mark_in(data: bytes) -> str:
    """Return the mark of an entry of a use; "" for every other entry."""
    if TYPE.encode() not in data:
        return ""
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(data)
        if isinstance(value, dict) and value.get("type") == TYPE:
            return str(value.get("mark"))
    return ""
