"""Over which lists of sites each analysis was shown, as a site's memory keeps them.

A list that is not known, of an answer that an earlier edition of hetao remembered
without, is "": it lies too close to every other one.
"""

import json
import sqlite3
from collections.abc import Collection
from typing import Final

from hetao.release.lists import Summed, tells_few

UNKNOWN: Final = ""
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS summed (
    permit TEXT NOT NULL, analysis TEXT NOT NULL,
    sites TEXT NOT NULL, apart TEXT NOT NULL, least INTEGER NOT NULL,
    until TEXT NOT NULL, sent TEXT,
    PRIMARY KEY (permit, analysis, sites, apart, least)
) STRICT;
"""
COUNTS: Final = "(u.sent IS NOT NULL OR u.until > ?)"  # the list, at a time

# As it is kept: the names of a list, in order, of those who may be told apart, and the
# fewest sites that were to be summed.
Row = tuple[str, str, int]


def row_of(over: Summed) -> Row:
    """Return a list of sites as it is kept."""
    sites, apart = (json.dumps(sorted(names)) for names in (over.sites, over.apart))
    return sites, apart, over.least


def summed_of(row: Row) -> Summed | None:
    """Return a list that was kept; None where it is not known."""
    sites, apart, least = row
    if sites == UNKNOWN:
        return None
    return Summed(frozenset(json.loads(sites)), frozenset(json.loads(apart)), least)


def reserve(
    db: sqlite3.Connection, permit: str, analysis: str, over: Summed, until: str
) -> None:
    """Note over which sites an analysis of a permit is to be shown."""
    db.execute(
        "INSERT OR IGNORE INTO summed VALUES (?, ?, ?, ?, ?, ?, NULL)",
        (permit, analysis, *row_of(over), until),
    )


def sent(
    db: sqlite3.Connection, permit: str, analysis: str, over: Summed, now: str
) -> None:
    """Note that it was shown over them."""
    db.execute(
        "UPDATE summed SET sent = ? WHERE permit = ? AND analysis = ? AND sites = ? "
        "AND apart = ? AND least = ? AND sent IS NULL",
        (now, permit, analysis, *row_of(over)),
    )


def mark_unknown(db: sqlite3.Connection) -> None:
    """Note what was shown without its list, by an earlier edition of hetao."""
    db.execute(
        "INSERT INTO summed SELECT permit, analysis, '', '', 1, max(until), max(sent) "
        "FROM shown s WHERE NOT EXISTS (SELECT 1 FROM summed u "
        "WHERE u.permit = s.permit AND u.analysis = s.analysis) "
        "GROUP BY permit, analysis"
    )


def unknown(db: sqlite3.Connection) -> list[str]:
    """Return the permits of answers of which no list is known."""
    rows = db.execute(
        "SELECT DISTINCT permit FROM summed WHERE sites = ? ORDER BY permit", (UNKNOWN,)
    )
    return [str(permit) for (permit,) in rows.fetchall()]


def make_known(db: sqlite3.Connection, permit: str, lists: Collection[Summed]) -> None:
    """Put a permit's lists in the place of the unknown one; none leaves it there."""
    for over in lists:
        db.execute(
            "INSERT OR IGNORE INTO summed SELECT permit, analysis, ?, ?, ?, until, "
            "sent FROM summed WHERE permit = ? AND sites = ?",
            (*row_of(over), permit, UNKNOWN),
        )
    if lists:
        db.execute(
            "DELETE FROM summed WHERE permit = ? AND sites = ?", (permit, UNKNOWN)
        )


def others(db: sqlite3.Connection, permit: str, at: str) -> list[Row]:
    """Return every list over which something of another permit was shown by a time."""
    rows = db.execute(
        "SELECT DISTINCT sites, apart, least FROM summed u "  # noqa: S608
        f"WHERE permit != ? AND {COUNTS}",
        (permit, at),
    )
    return rows.fetchall()


def is_close(row: Row, over: Summed, least: int) -> bool:
    """Return whether sums over a kept list, and over another, may tell of few sites."""
    kept = summed_of(row)
    return kept is None or tells_few([kept, over], least)


def sets(
    db: sqlite3.Connection, row: Row, who: tuple[str, str, str]
) -> list[tuple[int, int, bytes]]:
    """Return the sets that another permit showed over a list: size, row and marks.

    Args:
        db: within a transaction.
        row: the list.
        who: whose identifiers, which permit asks, and the time.
    """
    space, permit, at = who
    return db.execute(
        "SELECT DISTINCT c.size, c.id, m.numbers FROM summed u "  # noqa: S608
        "JOIN shown s ON s.permit = u.permit AND s.analysis = u.analysis "
        "JOIN cohort c ON c.id = s.cohort JOIN mark m ON m.cohort = c.id "
        "WHERE u.sites = ? AND u.apart = ? AND u.least = ? AND u.permit != ? "
        f"AND {COUNTS} "
        "AND c.space = ?",
        (*row, permit, at, space),
    ).fetchall()


def of_whole(
    db: sqlite3.Connection, cohort: int, permit: str, at: str
) -> list[tuple[bool, Row]]:
    """Return over which lists a set was shown as everybody of an analysis.

    Each with whether this permit did so.
    """
    found = db.execute(
        "SELECT DISTINCT u.permit = ?, u.sites, u.apart, u.least "  # noqa: S608
        "FROM shown s JOIN summed u ON u.permit = s.permit AND u.analysis = s.analysis "
        f"WHERE s.cohort = ? AND s.part = '' AND {COUNTS}",
        (permit, cohort, at),
    )
    return [(bool(mine), tuple(row)) for mine, *row in found.fetchall()]
