"""A site's book of what crossed: what it dispatched, what it received, what is left.

One SQLite file in the site's own folder. What is left is read and spent in one step,
by however many processes: two that spend the last of a limit at once do not both.
"""

import datetime
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Final

from hetao.canonical import canonical, digest
from hetao.errors import NotAParty, NotApproved, OutOfTime, Replayed
from hetao.federation.beside import latest_time, with_heard
from hetao.federation.guard import check_switch
from hetao.federation.register import holds
from hetao.federation.store import Store
from hetao.federation.told_uses import TABLES as TOLD
from hetao.federation.told_uses import Opens, ToldUses
from hetao.permit import (
    SKEW,
    Bundle,
    Directory,
    Identity,
    Permit,
    Statement,
    check_standing,
    parse_time,
    statement_from,
)
from hetao.permit.house import House, check_house, shipped
from hetao.permit.labels import look
from hetao.permit.uses import (
    Amount,
    Dispatched,
    Line,
    Receipt,
    Use,
    account,
    check_labels,
    check_limits,
    check_named,
    read_receipt,
    read_use,
    receipt_for,
    sign_receipt,
    sign_use,
)

FILE: Final = "uses.sqlite"
TABLES: Final = """
CREATE TABLE IF NOT EXISTS used (
    digest TEXT NOT NULL PRIMARY KEY,
    permit TEXT NOT NULL,
    site TEXT NOT NULL,
    number TEXT NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (permit, site, number)
) STRICT;
CREATE TABLE IF NOT EXISTS spent (
    permit TEXT NOT NULL, site TEXT NOT NULL, unit TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (permit, site, unit)
) STRICT;
CREATE TABLE IF NOT EXISTS piece (
    permit TEXT NOT NULL, site TEXT NOT NULL, look TEXT NOT NULL, used TEXT NOT NULL,
    PRIMARY KEY (permit, site, look)
) STRICT;
CREATE TABLE IF NOT EXISTS received (
    used TEXT NOT NULL PRIMARY KEY, data BLOB NOT NULL
) STRICT;
"""
LATEST_USE: Final = (
    "SELECT max(json_extract(CAST(data AS TEXT), '$.body.at')) FROM used WHERE site = ?"
)
ALLOWED: Final = datetime.timedelta(hours=72)  # between a use and its first hearing
ONE_USE: Final = "fix the number: a use that was dispatched stays as it is"


@dataclass(frozen=True)
class Arrival:
    """What a receiver says of a use: all of it arrived, but what is named here."""

    missing: tuple[Amount, ...] = ()
    reason: str = ""
    items: tuple[str, ...] = ()


class Book:
    """One site's own; every process of the site may open it."""

    def __init__(
        self,
        identity: Identity,
        trusted: Directory,
        folder: Path,
        notices: Callable[[], Sequence[Statement]] = tuple,
        house: House | None = None,
        allowed: datetime.timedelta = ALLOWED,
    ) -> None:
        """Open the book in a site's folder.

        Args:
            identity: the site's keys.
            trusted: the site's own list.
            folder: of the site; its stop switch is heeded.
            notices: returns what the site has heard about permits from elsewhere.
            house: the site's own rules; by default the shipped ones.
            allowed: how far back another site's use may be dated when it is first
                heard of.
        """
        self._allowed = allowed
        self._identity, self._trusted, self._folder = identity, trusted, folder
        self._notices, self._house = notices, house or shipped()
        self._store = Store(folder / FILE, TABLES + TOLD, alone=False)
        with self._store.transaction() as db:
            _take_over(db)
        self._told = ToldUses(self._store)

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def hold_against(self, log: Opens) -> None:
        """Hold the book against the site's log, which is told of each use from then on.

        Args:
            log: opens it.

        Raises:
            MemoryLost: the book is older than the log.
        """
        self._told.hold_against(log)

    def dispatch(
        self, bundle: Bundle, use: Use, clock: Callable[[], datetime.datetime]
    ) -> Statement:
        """Spend what a use spends, and return it, signed; the same again for the same.

        Args:
            bundle: of the permit.
            use: what is to cross, dated by whoever asks.
            clock: asked once nobody else can spend.

        Raises:
            OutOfTime: it is not dated now, or the site's clock was set back.
            StoppedHere: the site's switch is thrown.
            Refused: the permit does not stand, or does not let this leave.
            Replayed: the number or an item was dispatched before.
            LimitReached: it would pass a limit.
        """
        if use.site != self._identity.name:
            raise NotAParty(f"{self._identity.name} dispatches for itself alone")
        statement = sign_use(bundle.permit, self._identity, use)
        one = read_use(bundle.permit, statement)
        with self._store.transaction() as db:
            check_switch(self._folder)
            earlier = _numbered(db, one)
            if earlier is None:
                self._let_go(db, bundle, one, clock())
        self._told.tell()  # of an earlier one too: the log may have failed then
        return earlier or statement

    def _let_go(
        self, db: Connection, bundle: Bundle, one: Dispatched, now: datetime.datetime
    ) -> None:
        """Spend what a use of this site's own spends, if it may leave now."""
        if abs(parse_time(one.use.at) - now) > SKEW:
            raise OutOfTime("a use is dated by the time at which it is dispatched")
        self._check_clock(db, now)
        heard = self._heard(bundle)
        study = bundle.permit.study
        check_standing(heard, study, now, self._trusted, one.use.payload)
        check_house(self._house, bundle.permit, now)
        _spend(db, bundle.permit, one)

    def _heard(self, bundle: Bundle) -> Bundle:
        """Return a bundle with what this site heard, by a file or while it served."""
        told = tuple(one for one in self._notices() if holds(bundle.permit, one))
        return with_heard(bundle.with_notices(told), self._folder)

    def _check_clock(self, db: Connection, now: datetime.datetime) -> None:
        """Refuse under a clock that was set back: by it, what has ended would hold."""
        ((own,),) = db.execute(LATEST_USE, (self._identity.name,)).fetchall()
        latest = max(own or "", latest_time(self._folder))
        if latest and now < parse_time(latest) - SKEW:
            raise OutOfTime(
                "the site's clock was set back",
                fix="set the clock right; nothing is dispatched until then",
            )

    def receive(
        self,
        bundle: Bundle,
        statement: Statement,
        arrival: Arrival,
        now: datetime.datetime,
    ) -> Statement:
        """Take in a use of another site's that arrived, and return the receipt, signed.

        Args:
            bundle: of the permit.
            statement: the use, as the sender signed it.
            arrival: what is missing of it.
            now: UTC time.

        Raises:
            NotApproved: the use is forged, or the permit did not let it leave then.
            OutOfTime: it is first heard of, and dated too far back.
            NotAParty: it was sent to somebody else.
            Replayed: it was received before, and something else was said of it; or
                its sender has used its number or an item of it twice.
            LimitReached: its sender has sent more than the permit grants it.
        """
        one = self._sent_here(bundle, statement, now)
        why = arrival.reason, arrival.items
        receipt = receipt_for(one, arrival.missing, why, now)
        signed = sign_receipt(bundle.permit, self._identity, one, receipt)
        with self._store.transaction() as db:
            self._note(db, bundle.permit, one, now)
            found = _received(db, one, signed, receipt)
        self._told.tell()
        return found

    def expect(
        self, bundle: Bundle, statement: Statement, now: datetime.datetime
    ) -> Dispatched:
        """Note a use of another site's that is on its way, and return it.

        What was noted may arrive, and be signed for, however much later.

        Args:
            bundle: of the permit.
            statement: the use, as the sender signed it.
            now: UTC time.

        Raises:
            NotApproved, OutOfTime, NotAParty, Replayed, LimitReached: as `receive`.
        """
        one = self._sent_here(bundle, statement, now)
        with self._store.transaction() as db:
            self._note(db, bundle.permit, one, now)
        self._told.tell()
        return one

    def _sent_here(
        self, bundle: Bundle, statement: Statement, now: datetime.datetime
    ) -> Dispatched:
        """Return a use that was sent to this site, and was allowed then."""
        check_switch(self._folder)
        one = read_use(bundle.permit, statement)
        if one.use.to != self._identity.name:
            raise NotAParty(f"the use is not sent to {self._identity.name}")
        if parse_time(one.use.at) > now + SKEW:
            raise NotApproved("the use is dated in the future")
        self._check_then(bundle, one)
        return one

    def _note(
        self, db: Connection, permit: Permit, one: Dispatched, now: datetime.datetime
    ) -> None:
        """Spend what a use spends, once, by this site's own clock at its first hearing.

        The time in a use is its sender's word: dated back far enough, a use would fall
        before any revocation.
        """
        earlier = _numbered(db, one)
        if earlier is None:
            if parse_time(one.use.at) < now - self._allowed:
                raise OutOfTime(
                    f"{one.use.number} is dated more than {_hours(self._allowed)} "
                    f"hours before {self._identity.name} heard of it",
                    fix="note a use with `hetao permit expect` when it is dispatched; "
                    "late_hours under [crossings] of the site file says how late",
                )
            _spend(db, permit, one)
        elif digest(earlier.body) != one.digest:
            raise Replayed(
                f"{one.use.number} was dispatched before, at another time", fix=ONE_USE
            )

    def _check_then(self, bundle: Bundle, one: Dispatched) -> None:
        """Refuse a use that the permit did not allow at the time of its dispatch."""
        heard = self._heard(bundle)
        when = parse_time(one.use.at)
        then = heard.as_of(when, SKEW)
        study = bundle.permit.study
        check_standing(then, study, when, self._trusted, one.use.payload)

    def take(self, bundle: Bundle, statement: Statement) -> Dispatched:
        """Keep the receipt of a use that this site dispatched; return the use.

        Raises:
            NotApproved: this site dispatched no such use, or the receipt is forged.
            Mismatched: its amounts are not those of the use.
            Replayed: another receipt of this use is here.
        """
        name = str(statement.body.get("use"))
        with self._store.transaction() as db:
            row = db.execute(
                "SELECT data FROM used WHERE digest = ?", (name,)
            ).fetchone()
            if row is None:
                raise NotApproved(f"{self._identity.name} dispatched no such use")
            one = read_use(bundle.permit, statement_from(json.loads(row[0])))
            receipt = read_receipt(bundle.permit, one, statement)
            _received(db, one, statement, receipt)
        return one

    def records(self, permit: Permit) -> tuple[list[Statement], list[Statement]]:
        """Return every use under a permit that is here, and every receipt."""
        uses = self._store.rows(
            "SELECT data FROM used WHERE permit = ? ORDER BY site, number",
            (permit.digest,),
        )
        receipts = self._store.rows(
            "SELECT received.data FROM received JOIN used ON used = digest"
            " WHERE permit = ? ORDER BY site, number",
            (permit.digest,),
        )
        return _statements(uses), _statements(receipts)

    def balance(self, permit: Permit, now: datetime.datetime) -> tuple[Line, ...]:
        """Return what became of the limits, every record here verified anew."""
        return account(permit, *self.records(permit), now, is_one_book=True)


def _hours(time: datetime.timedelta) -> int:
    return round(time.total_seconds() / 3600)


def _statements(rows: Sequence[tuple[Any, ...]]) -> list[Statement]:
    return [statement_from(json.loads(data)) for (data,) in rows]


def _numbered(db: Connection, one: Dispatched) -> Statement | None:
    """Return the use that bears this number already; None if there is none.

    Raises:
        Replayed: it is another one.
    """
    use = one.use
    row = db.execute(
        "SELECT data FROM used WHERE permit = ? AND site = ? AND number = ?",
        (use.permit, use.site, use.number),
    ).fetchone()
    if row is None:
        return None
    earlier = statement_from(json.loads(row[0]))
    undated = {"at": "", "due": ""}
    if {**earlier.body, **undated} != {**one.statement.body, **undated}:
        raise Replayed(f"{use.number} was dispatched before, otherwise", fix=ONE_USE)
    return earlier


def _take_over(db: Connection) -> None:
    """Hold the labels of a book from before by their looks, and by who sent them."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'item'").fetchone():
        return
    rows = db.execute(
        "SELECT item.permit, site, label, digest FROM item JOIN used ON used = digest"
    ).fetchall()
    db.executemany(
        "INSERT OR IGNORE INTO piece VALUES (?, ?, ?, ?)",
        [(permit, site, look(label), used) for permit, site, label, used in rows],
    )
    db.execute("DROP TABLE item")


def _spend(db: Connection, permit: Permit, one: Dispatched) -> None:
    """Spend what a use spends that was not heard of before, by the rules of today."""
    use = one.use
    check_labels(use)
    rows = db.execute(
        "SELECT unit, count FROM spent WHERE permit = ? AND site = ?",
        (use.permit, use.site),
    ).fetchall()
    check_limits(permit, use.site, use.amounts, dict(rows))
    for label in use.items:
        row = use.permit, use.site, look(label)
        if db.execute(
            "SELECT 1 FROM piece WHERE permit = ? AND site = ? AND look = ?", row
        ).fetchone():
            raise Replayed(
                "an item, or one that looks like it, has crossed under this permit "
                "already"
            )
        db.execute("INSERT INTO piece VALUES (?, ?, ?, ?)", (*row, one.digest))
    for amount in use.amounts:
        db.execute(
            "INSERT INTO spent VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET count = count + excluded.count",
            (use.permit, use.site, amount.unit, amount.count),
        )
    db.execute(
        "INSERT INTO used VALUES (?, ?, ?, ?, ?)",
        (one.digest, use.permit, use.site, use.number, _data(one.statement)),
    )


def _received(
    db: Connection, one: Dispatched, signed: Statement, receipt: Receipt
) -> Statement:
    """Keep a receipt once, and return the one that counts.

    Raises:
        Mismatched: it does not name what is missing.
        Replayed: another one is here.
    """
    row = db.execute(
        "SELECT data FROM received WHERE used = ?", (one.digest,)
    ).fetchone()
    if row is None:
        check_named(one.use, receipt)
        db.execute("INSERT INTO received VALUES (?, ?)", (one.digest, _data(signed)))
        return signed
    earlier = statement_from(json.loads(row[0]))
    if {**earlier.body, "at": ""} != {**signed.body, "at": ""}:
        raise Replayed(
            f"{one.use.number} was received before, and something else was said of it",
            fix="the first receipt stands",
        )
    return earlier


def _data(statement: Statement) -> bytes:
    return canonical(statement.as_json())
