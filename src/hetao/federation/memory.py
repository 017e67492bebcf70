"""What a site remembers of all its releases, of every permit: whom, and how much.

It stands in a file of its own beside the site's journal, and a key beside it. Whatever
a study would show is reserved here before anything of it leaves, in one transaction
with the check that there is room for it: however many ask at once, and whatever is
killed when, no two answers lie closer together than the rules allow.
"""

import datetime
import hashlib
import hmac
import math
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hetao.errors import TooClose
from hetao.federation import listed
from hetao.federation.closeness import (
    REMEDY,
    WORDS,
    Earlier,
    Room,
    check_closeness,
    sets_of,
)
from hetao.federation.flat_digest import keyed_digest, move
from hetao.federation.memory_key import NAME, lost, read_or_make
from hetao.federation.store import Store
from hetao.permit import format_time
from hetao.release.differencing import (
    UNITS,
    Asked,
    Budget,
    Ints,
    Words,
    budget_of,
    is_over,
    keyed,
    load_of,
    packed,
    told_of,
)
from hetao.release.lists import Summed
from hetao.release.marks import weights_of

__all__ = ["REMEDY", "WORDS", "Memory", "Purpose", "Room"]

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS secret (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), mark BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS person (
    space TEXT NOT NULL, first INTEGER NOT NULL, keys BLOB NOT NULL,
    PRIMARY KEY (space, first)
) STRICT;
CREATE TABLE IF NOT EXISTS cohort (
    id INTEGER PRIMARY KEY,
    space TEXT NOT NULL,
    size INTEGER NOT NULL,
    digest BLOB NOT NULL,
    bits BLOB NOT NULL,
    UNIQUE (space, digest)
) STRICT;
CREATE INDEX IF NOT EXISTS cohort_size ON cohort (space, size);
CREATE TABLE IF NOT EXISTS mark (
    cohort INTEGER NOT NULL PRIMARY KEY REFERENCES cohort, numbers BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS shown (
    cohort INTEGER NOT NULL REFERENCES cohort,
    permit TEXT NOT NULL,
    analysis TEXT NOT NULL,
    part TEXT NOT NULL,
    until TEXT NOT NULL,
    sent TEXT,
    PRIMARY KEY (cohort, permit, analysis, part)
) STRICT;
CREATE INDEX IF NOT EXISTS shown_of ON shown (permit, analysis);
CREATE TABLE IF NOT EXISTS spent (
    snapshot TEXT NOT NULL, space TEXT NOT NULL, study TEXT NOT NULL,
    analysis TEXT NOT NULL,
    PRIMARY KEY (snapshot, space, study, analysis)
) STRICT;
CREATE TABLE IF NOT EXISTS load (
    snapshot TEXT NOT NULL, space TEXT NOT NULL, units BLOB NOT NULL,
    PRIMARY KEY (snapshot, space)
) STRICT;
CREATE TABLE IF NOT EXISTS rounds (
    snapshot TEXT NOT NULL, space TEXT NOT NULL, study TEXT NOT NULL,
    analysis TEXT NOT NULL, members TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (snapshot, space, study, analysis, members)
) STRICT;
CREATE TABLE IF NOT EXISTS told (
    snapshot TEXT NOT NULL, space TEXT NOT NULL, units BLOB NOT NULL,
    PRIMARY KEY (snapshot, space)
) STRICT;
CREATE TABLE IF NOT EXISTS yearly (
    year INTEGER NOT NULL, space TEXT NOT NULL, bits BLOB NOT NULL,
    PRIMARY KEY (year, space)
) STRICT;
CREATE TABLE IF NOT EXISTS numbers (
    permit TEXT NOT NULL, task TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (permit, task)
) STRICT;
CREATE TABLE IF NOT EXISTS heard (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL
) STRICT;
"""


@dataclass(frozen=True)
class Purpose:
    """For what something is shown: a study, under a permit, from one snapshot.

    Attributes:
        study, permit, snapshot: digests.
        space: whose identifiers the people have.
        until: UTC time at which the permit ends. What was reserved and never sent
            stands in nobody's way from then on.
    """

    study: str
    permit: str
    snapshot: str
    space: str
    until: str


class Memory:
    """A site's memory of its releases. Sets of patients: never leaves the site."""

    def __init__(self, folder: Path) -> None:
        """Open or create the memory in a site's folder.

        Trusted: who reads both files can test which people were in which study; who
        removes them makes the site forget what it has shown.

        Raises:
            InvalidNetwork: the key is gone, or is not that of this memory.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path, key = folder / "releases.sqlite", folder / NAME
        if path.exists() and not key.exists():
            raise lost(key)
        self._secret = read_or_make(key)
        self._weights = weights_of(self._secret, 0)
        self._store = Store(path, SCHEMA + listed.SCHEMA, alone=False)
        mark = hmac.new(self._secret, b"hetao-memory-v1", hashlib.sha256).digest()
        with self._store.transaction() as db:
            db.execute("INSERT OR IGNORE INTO secret VALUES (1, ?)", (mark,))
            ((kept,),) = db.execute("SELECT mark FROM secret").fetchall()
            listed.mark_unknown(db)
        if bytes(kept) != mark:
            self._store.close()
            raise lost(key)

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def keyed(self, contents: str, earlier: str) -> str:
        """Return the digest by which others are told of a flat table.

        What an earlier edition of hetao kept here under the bare digest that it told
        is kept under this one from now on.

        Args:
            contents: bare digest of the rows in any order.
            earlier: that of them in the file's order, which was told.
        """
        snapshot = keyed_digest(contents, self._secret)
        with self._store.transaction() as db:
            move(db, earlier, snapshot)
        return snapshot

    # --- people -----------------------------------------------------------------------
    def places(self, space: str, ids: NDArray[np.generic]) -> Ints:
        """Return (n,) the place of each person; who is new here is added at the end.

        Args:
            space: whose identifiers they are, such as the pseudonyms of the tables.
            ids: (n,) or (n, 2) whole numbers of 64 bits; several rows may be alike.
        """
        hashes = keyed(self._secret, space, ids)
        with self._store.transaction() as db:
            known = _known(db, space)
            order = np.argsort(known)
            new = np.setdiff1d(hashes, known)
            if len(new):
                row = (space, len(known), new.tobytes())
                db.execute("INSERT INTO person VALUES (?, ?, ?)", row)
                known = np.concatenate([known, new])
                order = np.argsort(known)
        return order[np.searchsorted(known, hashes, sorter=order)]

    # --- reserve ----------------------------------------------------------------------
    def reserve(
        self,
        purpose: Purpose,
        asked: Sequence[Asked],
        room: Room,
        now: datetime.datetime,
    ) -> None:
        """Reserve room for all that a study would show, or refuse all of it.

        What was reserved or shown before may be shown again as what it was, and is
        counted once.

        Args:
            purpose: what for.
            asked: every analysis of the study that can be answered here.
            room: the rules in force.
            now: UTC time.

        Raises:
            TooClose: a set lies too close to another one, or too much would have been
                shown about somebody, or the people of this snapshot were known by
                other identifiers before. The words are the same whichever it is;
                `local` says which.
        """
        with self._store.transaction() as db:
            _check_one_space(db, purpose)
            size = len(_known(db, purpose.space))
            weights = self._weights_of(size)
            sets = sets_of(asked, weights, size)
            who = (purpose.space, purpose.permit)
            earlier = Earlier(db, who, format_time(now), weights)
            check_closeness(sets, earlier, room)
            self._spend(db, purpose, asked, (size, room))
            for each in asked:
                self._tell(db, purpose, each, (size, room.told))
                what = (purpose.permit, each.analysis, each.over)
                listed.reserve(db, *what, purpose.until)
            for one in sets:
                row = (earlier.kept(one), purpose.permit, one.analysis)
                db.execute(
                    "INSERT OR IGNORE INTO shown VALUES (?, ?, ?, ?, ?, NULL)",
                    (*row, one.part, purpose.until),
                )

    def _weights_of(self, size: int) -> Ints:
        """Return the numbers of so many places, made once."""
        if len(self._weights) < size:
            self._weights = weights_of(self._secret, size)
        return self._weights

    def _spend(
        self,
        db: sqlite3.Connection,
        purpose: Purpose,
        asked: Sequence[Asked],
        most: tuple[int, Room],
    ) -> None:
        """Add what a study shows to what each person carries, where there is room."""
        size, room = most
        key = (purpose.snapshot, purpose.space, purpose.study)
        rows = db.execute(
            "SELECT analysis FROM spent WHERE snapshot = ? AND space = ? AND study = ?",
            key,
        ).fetchall()
        done = {str(name) for (name,) in rows}
        new = [one for one in asked if _spends(one, purpose) not in done]
        if not new:
            return
        more = load_of(new, size, room.over)
        load = _load(db, purpose, size) + more
        if is_over(load[more > 0], room.share):
            raise TooClose(
                WORDS, fix=REMEDY, local="the budget of the snapshot is spent"
            )
        db.execute(
            "INSERT OR REPLACE INTO load VALUES (?, ?, ?)",
            (purpose.snapshot, purpose.space, load.tobytes()),
        )
        for one in new:
            row = (*key, _spends(one, purpose))
            db.execute("INSERT INTO spent VALUES (?, ?, ?, ?)", row)

    def _tell(
        self,
        db: sqlite3.Connection,
        purpose: Purpose,
        asked: Asked,
        most: tuple[int, float],
    ) -> None:
        """Add what rounds of a model tell of each person, where there is room.

        The opening needs no state: of the same study from the same snapshot over the
        same members it is the same numbers. The rounds after it are so in the same
        attempt of a run of a permit alone: in another one other totals may have been
        told, and the states follow from those.
        """
        size, share = most
        of_study = (purpose.snapshot, purpose.space, purpose.study)
        key = (*of_study, asked.analysis)
        later = (asked.members, purpose.permit, asked.course)
        ways = (
            ((*key, asked.members), min(asked.rounds, 1)),
            ((*key, "|".join(later)), asked.rounds - 1),
        )
        more = sum(max(0, count - _counted(db, way)) for way, count in ways)
        if not asked.told or more <= 0:
            return
        added = told_of(asked, more, size)
        load = _load(db, purpose, size, "told") + added
        if is_over(load[added > 0], share):
            raise TooClose(
                WORDS, fix=REMEDY, local="models' rounds have told all that they may"
            )
        db.execute(
            "INSERT OR REPLACE INTO told VALUES (?, ?, ?)",
            (purpose.snapshot, purpose.space, load.tobytes()),
        )
        for way, count in ways:
            row = (*way, max(count, _counted(db, way)))
            db.execute("INSERT OR REPLACE INTO rounds VALUES (?, ?, ?, ?, ?, ?)", row)

    def sent(
        self,
        purpose: Purpose,
        asked: Asked,
        numbers: tuple[str, int],
        now: datetime.datetime,
    ) -> None:
        """Note that an analysis leaves: what was reserved for it is shown for good.

        Args:
            purpose: what for.
            asked: as it was reserved, if only by name and sites.
            numbers: the run and task, and how many numbers it lets out.
            now: UTC time.
        """
        (task, count), at = numbers, format_time(now)
        with self._store.transaction() as db:
            db.execute(
                "UPDATE shown SET sent = ? WHERE permit = ? AND analysis = ? "
                "AND sent IS NULL",
                (at, purpose.permit, asked.analysis),
            )
            listed.sent(db, purpose.permit, asked.analysis, asked.over, at)
            db.execute(
                "INSERT OR IGNORE INTO numbers VALUES (?, ?, ?)",
                (purpose.permit, task, count),
            )

    # --- what the log knows -----------------------------------------------------------
    @property
    def heard(self) -> int:
        """Return up to which size of the site's log every sum is known here."""
        rows = self._store.rows("SELECT size FROM heard")
        return int(rows[0][0]) if rows else 0

    def hear(self, size: int) -> None:
        """Note that every sum of the log up to a size is known here."""
        row = ("INSERT OR REPLACE INTO heard VALUES (1, ?)", (size,))
        self._store.write([row])

    def unknown(self, sums: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return those of some records of sums that were never noted here as sent."""
        rows = self._store.rows("SELECT permit, task FROM numbers")
        known = {(str(permit), str(task)) for permit, task in rows}
        return [
            body
            for body in sums
            if (str(body["permit"]), f"{body['run']}|{body['task']}") not in known
        ]

    def unlisted(self) -> list[str]:
        """Return the permits of answers of which it is not known over which sites."""
        with self._store.transaction() as db:
            return listed.unknown(db)

    def list_again(self, permit: str, lists: Collection[Summed]) -> None:
        """Note over which lists of sites such a permit's answers were; none changes it.

        Any of its analyses may have been over each of them.
        """
        with self._store.transaction() as db:
            listed.make_known(db, permit, lists)

    # --- people of a year -------------------------------------------------------------
    def count(
        self, year: int, who: tuple[str, Ints], check: Callable[[int], None]
    ) -> None:
        """Count people among all those of a year, of every permit, or refuse.

        Checked and written in one step: however many permits ask at once, the check
        sees everybody of those before. Who was counted stays counted, though nothing
        about them may have left in the end.

        Args:
            year: of the law's own time, since whose 1 January is counted.
            who: whose identifiers they are, and (n,) places; several may be alike.
            check: raises where so many different people are too many. Then nobody of
                these is counted.
        """
        space, people = who
        with self._store.transaction() as db:
            rows = db.execute(
                "SELECT space, bits FROM yearly WHERE year = ?", (year,)
            ).fetchall()
            found = {str(name): np.frombuffer(bits, "<u8") for name, bits in rows}
            before = found.get(space)
            size = int(people.max(initial=-1)) + 1
            found[space] = _union(before, packed(people, size))
            check(sum(int(np.bitwise_count(w).sum()) for w in found.values()))
            if before is None or not np.array_equal(before, found[space]):
                db.execute(
                    "INSERT OR REPLACE INTO yearly VALUES (?, ?, ?)",
                    (year, space, found[space].tobytes()),
                )

    # --- what the site may know -------------------------------------------------------
    def budget(
        self, purpose: Purpose, asked: Asked, share: float, told: float = math.inf
    ) -> Budget:
        """Return what was shown about the people of an analysis, and the most."""
        with self._store.transaction() as db:
            size = len(_known(db, purpose.space))
            load = _load(db, purpose, size)
            rounds = _load(db, purpose, size, "told")[asked.people]
            ((numbers,),) = db.execute(
                "SELECT coalesce(sum(count), 0) FROM numbers WHERE permit = ?",
                (purpose.permit,),
            ).fetchall()
        used, limit = budget_of(load, asked.people, share)
        most = int(rounds.max(initial=0)) / UNITS / told
        return Budget(used, limit, int(numbers), most)


def _spends(asked: Asked, purpose: Purpose) -> str:
    """Return by which name sums are counted once: that of their course, or of all."""
    course = (purpose.permit, asked.course) if asked.follows else ()
    later = (str(asked.later),) if asked.later else ()
    return "|".join((asked.analysis, *course, *later))


def _check_one_space(db: sqlite3.Connection, purpose: Purpose) -> None:
    """Refuse to know the people of one snapshot by two kinds of identifiers.

    Neither the sets nor what each person carries could be held against those before.
    """
    rows = db.execute(
        "SELECT 1 FROM spent WHERE snapshot = ? AND space != ? LIMIT 1",
        (purpose.snapshot, purpose.space),
    ).fetchall()
    if rows:
        local = "this snapshot was answered about by another column for its people"
        raise TooClose(WORDS, fix=REMEDY, local=local)


def _known(db: sqlite3.Connection, space: str) -> Words:
    """Return the hashes of a space's people, in the order of their places."""
    rows = db.execute(
        "SELECT keys FROM person WHERE space = ? ORDER BY first", (space,)
    ).fetchall()
    keys = [np.frombuffer(one, dtype="<u8") for (one,) in rows]
    return np.concatenate([np.zeros(0, dtype="<u8"), *keys])


def _load(
    db: sqlite3.Connection, purpose: Purpose, size: int, table: str = "load"
) -> NDArray[np.uint64]:
    """Return what each person of a snapshot carries; nothing for who came later."""
    rows = db.execute(
        f"SELECT units FROM {table} WHERE snapshot = ? AND space = ?",  # noqa: S608
        (purpose.snapshot, purpose.space),
    ).fetchall()
    load = np.zeros(size, dtype="<u8")
    for (units,) in rows:
        kept = np.frombuffer(units, dtype="<u8")
        load[: len(kept)] = kept
    return load


def _counted(db: sqlite3.Connection, key: tuple[str, ...]) -> int:
    rows = db.execute(
        "SELECT count FROM rounds WHERE snapshot = ? AND space = ? AND study = ? "
        "AND analysis = ? AND members = ?",
        key,
    ).fetchall()
    return sum(int(count) for (count,) in rows)


def _union(one: Words | None, other: Words) -> Words:
    if one is None:
        return other
    size = max(len(one), len(other))
    return np.pad(one, (0, size - len(one))) | np.pad(other, (0, size - len(other)))
