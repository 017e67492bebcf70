"""The payer's book: double entry, whole numbers, and no milestone paid twice.

One SQLite file whose rows are only added. Each step is one transaction, so that however
many processes ask at once, one of them pays. What the log is to say is written in the
same transaction and brought to the log afterwards; a crash between leaves nothing out.

Accounts: `issued`, `earned:PAYEE` in units; `cost`, `owed:PAYEE`, `under way:RAIL` and
`bank` in money. A debit is positive. The sum over all accounts is 0 in each unit.
"""

import base64
import contextlib
import datetime
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from hetao.canonical import canonical, parse_canonical
from hetao.errors import (
    AlreadySettled,
    InvalidContract,
    InvalidData,
    NotAccepted,
    Unverified,
)
from hetao.ledger.durable import (
    Database,
    append_only,
    create_store,
    open_store,
    writing,
)
from hetao.ledger.log import Log
from hetao.permit import Identity, Statement, format_time, statement_from
from hetao.settlement.attestation import Acceptance, accepted
from hetao.settlement.contract import Contract, contract_from

FILE: Final = "settlement.sqlite"
LOG: Final = "settlement.log"
UNITS: Final = "units"
PAID: Final = "paid"
REJECTED: Final = "rejected"
NUMBERED: Final = "take it from what `hetao settle order` said, or the order's file"
_REFERENCE = re.compile(r"[ -~]{1,64}")

_TABLES: Final = {
    "book": "(keeper TEXT NOT NULL, secret BLOB NOT NULL)",
    "contract": "(digest TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " bytes BLOB NOT NULL)",
    "accepted": "(contract TEXT NOT NULL, milestone TEXT NOT NULL,"
    " statements TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (contract, milestone))",
    "instructed": "(id TEXT NOT NULL, attempt INTEGER NOT NULL,"
    " contract TEXT NOT NULL, milestone TEXT NOT NULL, rail TEXT NOT NULL,"
    " at TEXT NOT NULL, PRIMARY KEY (id, attempt))",
    "receipt": "(id TEXT NOT NULL, attempt INTEGER NOT NULL, outcome TEXT NOT NULL,"
    " reference TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (id, attempt))",
    "escrowed": "(id TEXT NOT NULL, attempt INTEGER NOT NULL, escrow TEXT NOT NULL,"
    " at TEXT NOT NULL, PRIMARY KEY (id, attempt), UNIQUE (id, escrow))",
    "entry": "(number INTEGER PRIMARY KEY, at TEXT NOT NULL, says TEXT NOT NULL)",
    "posting": "(entry INTEGER NOT NULL, account TEXT NOT NULL, unit TEXT NOT NULL,"
    " amount INTEGER NOT NULL, PRIMARY KEY (entry, account, unit))",
    "leaf": "(number INTEGER PRIMARY KEY, bytes BLOB NOT NULL)",
}
_SCHEMA: Final = (
    *(f"CREATE TABLE {name}{columns} STRICT" for name, columns in _TABLES.items()),
    f"CREATE UNIQUE INDEX paid_once ON receipt(id) WHERE outcome = '{PAID}'",
    *(append_only(table, "UPDATE") for table in _TABLES),
    *(append_only(table, "DELETE") for table in _TABLES),
    append_only("book", "INSERT", "EXISTS (SELECT 1 FROM book)"),
)
# A book from before orders had the address of an escrow; see `_opened`.
_FORMER: Final = tuple(one for one in _SCHEMA if "escrowed" not in one)


@dataclass(frozen=True)
class Instruction:
    """An order to pay one milestone.

    Attributes:
        id: 32 letters and digits, the same on every rail and at each attempt.
        attempt: from 1; a new one only after the one before was rejected.
        rail: the rail that it goes by.
        at: UTC time.
        veil: 64 hex digits under which a chain gets its evidence.
    """

    id: str
    attempt: int
    contract: Contract
    milestone: str
    rail: str
    at: str
    veil: str


class Book:
    """The book, its log, and the only ways to add to them."""

    def __init__(self, folder: Path, keeper: Identity) -> None:
        """Open the book in a folder that exists; made where there is none.

        Raises:
            InvalidData: the folder is missing, or the file is no book.
            InvalidContract: the book is somebody else's.
            Unverified: the log says what the book does not.
        """
        path = folder / FILE
        if not path.exists():
            values = (keeper.sign_public, _secret_of(keeper))
            create_store(path, _SCHEMA, "INSERT INTO book VALUES(?, ?)", values)
        self._store = _opened(path)
        kept, secret = self._store.execute("SELECT * FROM book").fetchone()
        if kept != keeper.sign_public:
            self._store.close()
            raise InvalidContract(
                "the book was opened with another key",
                fix="name the key that it was begun with",
            )
        self._secret: bytes = secret
        self.log = Log.open(folder / LOG, f"{keeper.name}/settlement", keeper.log_keys)
        self._tell()

    def __enter__(self) -> Self:
        """Return the book itself, to be closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the book."""
        self.close()

    def close(self) -> None:
        """Close book and log; nothing is lost if this never happens."""
        self.log.close()
        self._store.close()

    # --- steps ---------------------------------------------------------------------
    def add_contract(self, contract: Contract) -> None:
        """Take a contract into the book; twice is as good as once.

        Raises:
            InvalidContract: another contract has its name.
        """
        row = (contract.digest, contract.name, contract.canonical)
        with writing(self._store):
            if self._contracts().get(contract.name, contract.digest) != contract.digest:
                raise InvalidContract(
                    f"{contract.name} was opened with other terms",
                    fix="a changed contract needs a name of its own",
                )
            self._store.execute("INSERT OR IGNORE INTO contract VALUES(?, ?, ?)", row)

    def accept(
        self, contract: Contract, acceptance: Acceptance, now: datetime.datetime
    ) -> None:
        """Book what an attested milestone earns: units, and money that is owed.

        Raises:
            NotAccepted: the contract is not in the book, or too few attested.
            AlreadySettled: the milestone was accepted before.
        """
        name = acceptance.milestone
        acceptance = accepted(contract, name, acceptance.statements)  # by our own eyes
        milestone, payee = contract.milestone(name), contract.milestone(name).payee
        said = json.dumps([one.as_json() for one in acceptance.statements])
        with writing(self._store):
            if self._contracts().get(contract.name) != contract.digest:
                raise NotAccepted(f"{contract.name} is not in the book")
            if self._accepted(contract.digest, name):
                raise AlreadySettled(
                    f"{name} was accepted before",
                    fix="it stands; write its order, if there is none",
                )
            self._store.execute(
                "INSERT INTO accepted VALUES(?, ?, ?, ?)",
                (contract.digest, name, said, format_time(now)),
            )
            money = contract.currency
            self._post(
                now,
                f"{contract.name}: {name} accepted",
                {
                    ("issued", UNITS): -milestone.units,
                    (f"earned:{payee}", UNITS): milestone.units,
                    ("cost", money): milestone.amount,
                    (f"owed:{payee}", money): -milestone.amount,
                },
            )
            self._say(
                {
                    "type": "hetao.milestone/1",
                    "contract": self._hidden("contract", contract.digest),
                    "milestone": self._hidden(contract.digest, name),
                    "evidence": acceptance.evidence,
                    "attested": acceptance.digest,
                }
            )
        self._tell()

    def instruct(
        self,
        contract: Contract,
        name: str,
        rail: str,
        now: datetime.datetime,
        ahead: bool = False,
    ) -> Instruction:
        """Return the one order to pay a milestone, booked as under way.

        Args:
            contract: of the book.
            name: the milestone's.
            rail: the name of the rail.
            now: UTC time.
            ahead: before the milestone is accepted: the rail pays nobody until then.

        Raises:
            NotAccepted: the milestone was not accepted, or earns no money.
            AlreadySettled: it was paid, or an order is under way.
        """
        milestone, payee = contract.milestone(name), contract.milestone(name).payee
        number = self._number(contract, name)
        with writing(self._store):
            known = self._contracts().get(contract.name) == contract.digest
            stands = known if ahead else bool(self._accepted(contract.digest, name))
            if not milestone.amount or not stands:
                raise NotAccepted(
                    f"{name} was not accepted, or earns no money",
                    fix="accept it first, with its attestations and this very contract",
                )
            attempt = self._attempts(number) + 1
            if attempt > 1 and self._outcome(number, attempt - 1) != REJECTED:
                raise AlreadySettled(
                    f"{name} was paid, or an order to pay it is under way",
                    fix="enter the bank's receipt; only a rejected order is repeated",
                )
            self._store.execute(
                "INSERT INTO instructed VALUES(?, ?, ?, ?, ?, ?)",
                (number, attempt, contract.digest, name, rail, format_time(now)),
            )
            found = self._order(number, attempt)
            self._post(
                now,
                f"{number}: order {attempt} by {rail}",
                {
                    (f"owed:{payee}", contract.currency): milestone.amount,
                    (f"under way:{rail}", contract.currency): -milestone.amount,
                },
            )
            said = self._hidden("ordered", f"{number} {attempt}")
            self._say({"type": "hetao.ordered/1", "order": said})
        self._tell()  # before anybody has the order in hand: an older book is found out
        return found

    def under_way(self, contract: Contract, name: str) -> Instruction:
        """Return the order under way, to be written again: its file may be lost.

        Raises:
            NotAccepted: none is.
        """
        number = self._number(contract, name)
        attempt = self._attempts(number)
        if not attempt or self._outcome(number, attempt):
            raise NotAccepted(f"no order to pay {name} is under way")
        return self._order(number, attempt)

    def order(self, number: str) -> Instruction:
        """Return the last order that had this number.

        Raises:
            NotAccepted: none had.
        """
        attempt = self._attempts(number)
        if not attempt:
            raise NotAccepted("no order has this number", fix=NUMBERED)
        return self._order(number, attempt)

    def evidence(self, order: Instruction) -> str:
        """Return the digest of what an order's milestone was accepted on; "" if not."""
        for name, said in self._accepted(order.contract.digest, order.milestone):
            statements = [statement_from(one) for one in json.loads(said)]
            return accepted(order.contract, name, statements).evidence
        return ""

    def receive(
        self, number: str, outcome: str, reference: str, now: datetime.datetime
    ) -> None:
        """Book what became of the order under way: paid, or rejected.

        Raises:
            NotAccepted: no such order is under way, or the outcome is neither.
            AlreadySettled: its receipt was entered before.
        """
        if outcome not in (PAID, REJECTED) or not _REFERENCE.fullmatch(reference):
            raise NotAccepted(
                "a receipt says paid or rejected, with the rail's own reference"
            )
        with writing(self._store):
            attempt = self._under_way(number)
            order = self._order(number, attempt)
            milestone = order.contract.milestone(order.milestone)
            terms = order.contract.digest
            if outcome == PAID and not self._accepted(terms, milestone.name):
                raise NotAccepted(
                    f"{milestone.name} was not accepted",
                    fix="enter the attestations first: `hetao settle accept`",
                )
            self._store.execute(
                "INSERT INTO receipt VALUES(?, ?, ?, ?, ?)",
                (number, attempt, outcome, reference, format_time(now)),
            )
            other = "bank" if outcome == PAID else f"owed:{milestone.payee}"
            self._post(
                now,
                f"{number}: order {attempt} {outcome}",
                {
                    (
                        f"under way:{order.rail}",
                        order.contract.currency,
                    ): milestone.amount,
                    (other, order.contract.currency): -milestone.amount,
                },
            )
            said = canonical([number, attempt, outcome, reference]).decode()
            leaf = {"type": "hetao.receipt/1", "receipt": self._hidden("receipt", said)}
            self._say(leaf | ({"paid": number} if outcome == PAID else {}))
        self._tell()

    def escrow(self, number: str, address: str, now: datetime.datetime) -> None:
        """Book which escrow holds an order under way; twice is as good as once.

        Raises:
            NotAccepted: no such order is under way, or the book names another escrow
                for it: an order that one paid could go back by another.
            AlreadySettled: its receipt was entered before.
        """
        with writing(self._store):
            attempt = self._under_way(number)
            rows = self._store.execute(
                "SELECT attempt, escrow FROM escrowed WHERE id = ?", (number,)
            ).fetchall()
            if (attempt, address) in rows:
                return
            taken = {one for one, _ in rows}, {other for _, other in rows}
            if attempt in taken[0] or address in taken[1]:
                raise NotAccepted(
                    "the book has another escrow for this order",
                    fix="name the transaction that put that one on the chain",
                )
            self._store.execute(
                "INSERT INTO escrowed VALUES(?, ?, ?, ?)",
                (number, attempt, address, format_time(now)),
            )
            said = self._hidden("escrow", f"{number} {attempt} {address}")
            self._say({"type": "hetao.escrowed/1", "escrow": said})
        self._tell()

    # --- looks ---------------------------------------------------------------------
    def balances(self) -> Mapping[tuple[str, str], int]:
        """Return (account, unit) → sum of its postings."""
        rows = self._store.execute(
            "SELECT account, unit, sum(amount) FROM posting GROUP BY 1, 2 ORDER BY 1, 2"
        )
        return {(account, unit): amount for account, unit, amount in rows.fetchall()}

    def entries(self) -> list[tuple[int, str, str, str, str, int]]:
        """Return every posting: entry's number, time, text, account, unit, amount."""
        return self._store.execute(
            "SELECT number, at, says, account, unit, amount FROM entry"
            " JOIN posting ON entry = number ORDER BY number, account, unit"
        ).fetchall()

    def contract(self, name: str) -> Contract:
        """Return a contract of the book.

        Raises:
            InvalidContract: it holds none of that name.
        """
        row = self._store.execute(
            "SELECT bytes FROM contract WHERE name = ?", (name,)
        ).fetchone()
        if row is None:
            raise InvalidContract(f"the book has no contract {name[:64]!r}")
        return _contract(row[0])

    def orders(self) -> tuple[tuple[Instruction, str], ...]:
        """Return each order, with "", "paid" or "rejected"."""
        found = self._store.execute("SELECT id, attempt FROM instructed ORDER BY rowid")
        return tuple(
            (self._order(number, attempt), self._outcome(number, attempt))
            for number, attempt in found.fetchall()
        )

    def check(self) -> None:
        """Return when book and log hold together, everything worked out anew.

        Raises:
            Unverified: a sum is not 0, an acceptance does not hold, a milestone is
                paid twice or in another amount, or the log says otherwise.
        """
        sums: dict[str, int] = {}
        for (_, unit), amount in self.balances().items():
            sums[unit] = sums.get(unit, 0) + amount
        if any(sums.values()):
            raise Unverified("the book does not balance")
        for name, digest in self._contracts().items():
            contract = self.contract(name)
            if contract.digest != digest:
                raise Unverified(f"the terms of {name} were changed")
            for milestone, said in self._accepted(digest):
                statements = [statement_from(one) for one in json.loads(said)]
                accepted(contract, milestone, statements)
        if self._expected() != self.balances():
            raise Unverified("the book's accounts do not follow from its steps")
        leaves = self._leaves()
        if self.log.size != len(leaves) or self.log.entries(0, len(leaves)) != leaves:
            raise Unverified("the log does not say what the book says")
        self.log.fsck()

    # --- within --------------------------------------------------------------------
    def _expected(self) -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}

        def add(account: str, unit: str, amount: int) -> None:
            found[account, unit] = found.get((account, unit), 0) + amount

        for name, digest in self._contracts().items():
            contract = self.contract(name)
            for reached, _ in self._accepted(digest):
                one = contract.milestone(reached)
                add("issued", UNITS, -one.units)
                add(f"earned:{one.payee}", UNITS, one.units)
                add("cost", contract.currency, one.amount)
                add(f"owed:{one.payee}", contract.currency, -one.amount)
        for order, outcome in self.orders():
            one, money = (
                order.contract.milestone(order.milestone),
                order.contract.currency,
            )
            add(f"owed:{one.payee}", money, one.amount)
            add(f"under way:{order.rail}", money, -one.amount)
            if outcome:
                other = "bank" if outcome == PAID else f"owed:{one.payee}"
                add(f"under way:{order.rail}", money, one.amount)
                add(other, money, -one.amount)
        seen = self.balances()
        return {key: found[key] for key in found if key in seen or found[key]}

    def _contracts(self) -> dict[str, str]:
        return dict(self._store.execute("SELECT name, digest FROM contract").fetchall())

    def _accepted(
        self, contract: str, milestone: str | None = None
    ) -> list[tuple[str, str]]:
        """Return milestone and statements of what was accepted; None: of all."""
        found = self._store.execute(
            "SELECT milestone, statements FROM accepted WHERE contract = ?"
            " AND milestone = coalesce(?, milestone)",
            (contract, milestone),
        )
        return found.fetchall()

    def _under_way(self, number: str) -> int:
        """Return the attempt of an order whose receipt is yet to come.

        Raises:
            NotAccepted: no order has this number.
            AlreadySettled: its receipt was entered before.
        """
        attempt = self._attempts(number)
        if not attempt:
            raise NotAccepted("no order has this number", fix=NUMBERED)
        if self._outcome(number, attempt):
            raise AlreadySettled("the receipt of this order was entered before")
        return attempt

    def _attempts(self, number: str) -> int:
        row = self._store.execute(
            "SELECT coalesce(max(attempt), 0) FROM instructed WHERE id = ?", (number,)
        ).fetchone()
        return int(row[0])

    def _outcome(self, number: str, attempt: int) -> str:
        row = self._store.execute(
            "SELECT outcome FROM receipt WHERE id = ? AND attempt = ?",
            (number, attempt),
        ).fetchone()
        return str(row[0]) if row else ""

    def _order(self, number: str, attempt: int) -> Instruction:
        digest, milestone, rail, at = self._store.execute(
            "SELECT contract, milestone, rail, at FROM instructed"
            " WHERE id = ? AND attempt = ?",
            (number, attempt),
        ).fetchone()
        (data,) = self._store.execute(
            "SELECT bytes FROM contract WHERE digest = ?", (digest,)
        ).fetchone()
        terms, veil = _contract(data), self._hidden("veil", number)
        return Instruction(number, attempt, terms, milestone, rail, at, veil)

    def _post(
        self,
        now: datetime.datetime,
        says: str,
        amounts: Mapping[tuple[str, str], int],
    ) -> None:
        sums: dict[str, int] = {}
        for (_, unit), amount in amounts.items():
            sums[unit] = sums.get(unit, 0) + amount
        if any(sums.values()):
            raise Unverified("an entry does not balance")
        (number,) = self._store.execute(
            "SELECT coalesce(max(number), 0) + 1 FROM entry"
        ).fetchone()
        self._store.execute(
            "INSERT INTO entry VALUES(?, ?, ?)", (number, format_time(now), says)
        )
        self._store.executemany(
            "INSERT INTO posting VALUES(?, ?, ?, ?)",
            [(number, a, unit, n) for (a, unit), n in amounts.items() if n],
        )

    def _number(self, contract: Contract, milestone: str) -> str:
        """Return the order's number: nobody without the book's secret can guess it."""
        keyed = self._keyed("order", contract.digest, milestone)
        return base64.b32encode(keyed[:20]).decode("ascii")

    def _hidden(self, place: str, value: str) -> str:
        return self._keyed("hide", place, value).hex()

    def _keyed(self, *words: str) -> bytes:
        return hmac.digest(self._secret, canonical(words), "sha256")

    def _say(self, leaf: Mapping[str, str]) -> None:
        self._store.execute(
            "INSERT INTO leaf(number, bytes)"
            " SELECT coalesce(max(number) + 1, 0), ? FROM leaf",
            (canonical(leaf),),
        )

    def _leaves(self, start: int = 0) -> list[bytes]:
        rows = self._store.execute(
            "SELECT bytes FROM leaf WHERE number >= ? ORDER BY number", (start,)
        ).fetchall()
        return [row[0] for row in rows]

    def _tell(self) -> None:
        """Bring to the log what the book holds and the log does not, in order."""
        with writing(self._store):  # one process at a time
            size = self.log.size
            (count,) = self._store.execute("SELECT count(*) FROM leaf").fetchone()
            if size > count:
                raise Unverified(
                    "the log says more than the book: the book is an older copy",
                    fix="pay nothing; bring back the newest copy of the book",
                )
            if size < count:
                self.log.append(self._leaves(size))


def _opened(path: Path) -> Database:
    """Return the book's store; one of the version before gets the table it lacks."""
    try:
        return open_store(path, _SCHEMA)
    except InvalidData:
        with contextlib.closing(open_store(path, _FORMER)) as store, writing(store):
            for statement in _SCHEMA:
                if statement not in _FORMER:
                    store.execute(statement)
    return open_store(path, _SCHEMA)


def _secret_of(keeper: Identity) -> bytes:
    """Return what numbers of orders are made with: one milestone has one number.

    Also in a second book that was begun by mistake: a bank then drops its order as a
    copy of the first one's.
    """
    raw = keeper.signing_key.private_bytes_raw()
    return hmac.digest(raw, b"hetao-settlement-book-v1", "sha256")


def _contract(data: bytes) -> Contract:
    table = parse_canonical(data)
    if not isinstance(table, dict) or table.pop("type", "") != "hetao.contract/1":
        raise InvalidContract("the book holds a contract that is none")
    return contract_from(table, "the book")


def statements_of(texts: Sequence[bytes]) -> list[Statement]:
    """Return the statements of attestation files."""
    return [statement_from(parse_canonical(text)) for text in texts]
