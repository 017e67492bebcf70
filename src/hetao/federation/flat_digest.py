"""The digest by which a site names a flat table to others.

A bare digest of the rows would confirm a guess: whoever knew all of them but one
person's outcome tried each. So it is keyed by the secret of the site's memory: the same
for the same rows in any order, and to anybody else a random number.
"""

import hashlib
import hmac
import sqlite3
from typing import Final

import numpy as np

PURPOSE: Final = b"hetao-flat-v1"


def keyed_digest(contents: str, secret: bytes) -> str:
    """Return the digest that may be told, of the bare one of rows in any order."""
    key = hmac.digest(secret, PURPOSE, hashlib.sha256)
    return f"sha256:{hmac.new(key, contents.encode(), hashlib.sha256).hexdigest()}"


def move(db: sqlite3.Connection, earlier: str, snapshot: str) -> None:
    """Put what a memory keeps of data under their earlier digest under the present one.

    Nothing is forgotten: what people carry under both is added up.

    Args:
        db: the memory of releases, in a transaction.
        earlier: the digest that they were kept under.
        snapshot: the one that they are kept under from now on.
    """
    for table in ("load", "told"):
        _add_up(db, table, earlier, snapshot)
    both = (snapshot, earlier)
    db.execute(
        "INSERT INTO rounds SELECT ?, space, study, analysis, members, count "
        "FROM rounds WHERE snapshot = ? ON CONFLICT DO UPDATE "
        "SET count = max(count, excluded.count)",
        both,
    )
    db.execute(
        "INSERT OR IGNORE INTO spent SELECT ?, space, study, analysis "
        "FROM spent WHERE snapshot = ?",
        both,
    )
    for table in ("load", "told", "rounds", "spent"):
        db.execute(f"DELETE FROM {table} WHERE snapshot = ?", (earlier,))  # noqa: S608


def _add_up(db: sqlite3.Connection, table: str, earlier: str, snapshot: str) -> None:
    query = f"SELECT space, units FROM {table} WHERE snapshot = ?"  # noqa: S608
    present = {
        str(space): np.frombuffer(units, "<u8")
        for space, units in db.execute(query, (snapshot,)).fetchall()
    }
    for space, units in db.execute(query, (earlier,)).fetchall():
        before, now = np.frombuffer(units, "<u8"), present.get(str(space))
        if now is not None:
            size = max(len(before), len(now))
            before, now = (np.pad(one, (0, size - len(one))) for one in (before, now))
            before = before + now
        db.execute(
            f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)",  # noqa: S608
            (snapshot, space, before.tobytes()),
        )
