"""Uses and receipts: what crosses besides data, signed by both sides.

Who dispatches a consignment, lets a person enter, or pays, signs a use; who receives it
signs a receipt over exactly that use. A use spends the permit's limits. Each limit is
one site's, so that every site knows by its own book alone what is left of it.
"""

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Final

from hetao.canonical import digest
from hetao.errors import (
    BadSignature,
    InvalidNetwork,
    LimitReached,
    Mismatched,
    NotAParty,
    NotApproved,
    Replayed,
)
from hetao.permit.dates import SKEW, format_time, parse_time
from hetao.permit.decision import Payload
from hetao.permit.keys import Identity, Statement, state
from hetao.permit.labels import check_label, look
from hetao.permit.permit import Permit
from hetao.records import record

USE: Final = "hetao.use/1"
RECEIPT: Final = "hetao.receipt/1"
KIND_OF: Final = {"materials": "consignment", "people": "entry", "capital": "payment"}
DIGEST: Final = re.compile("sha256:[0-9a-f]{64}")
MOST_ITEMS: Final = 10_000


@dataclass(frozen=True, order=True)
class Amount:
    """So many of a unit: tubes, entries, the smallest unit of a currency."""

    unit: str
    count: int


@dataclass(frozen=True)
class Use:
    """One consignment, entry or payment.

    Attributes:
        permit: digest of the permit.
        number: the sender's own name for it, such as a waybill's; never used twice.
        kind: "consignment", "entry" or "payment", by the permit's crossing.
        site: who dispatches it, a site of the permit.
        to: who is to receive it, a site of the other side among the permit's parties.
        grade: class, 1 to 5.
        amounts: what it spends, each unit once, sorted.
        checks: name of each check that it passed → digest of what shows it.
        items: labels of single pieces, such as barcodes, none or one for each piece of
            exactly one of the units; of one site's, none crosses twice, nor what looks
            like it.
        at: UTC time of signing; due: by when a receipt is expected.
    """

    permit: str
    number: str
    kind: str
    site: str
    to: str
    grade: int
    amounts: tuple[Amount, ...]
    checks: dict[str, str]
    at: str
    due: str
    items: tuple[str, ...] = ()

    @property
    def payload(self) -> Payload:
        """Return what asks to leave, as the decision sees it."""
        return Payload(self.kind, self.site, self.grade, frozenset(self.checks))


@dataclass(frozen=True)
class Receipt:
    """What came of one use, by who received it.

    Attributes:
        permit, use: digests.
        site: who received it.
        amounts: what arrived, each unit once, sorted.
        missing: what was dispatched and did not arrive, or not whole.
        at: UTC time of signing.
        reason: why anything is missing.
        items: labels of the pieces that are missing.
    """

    permit: str
    use: str
    site: str
    amounts: tuple[Amount, ...]
    at: str
    missing: tuple[Amount, ...] = ()
    reason: str = ""
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dispatched:
    """A use whose signature and form were checked."""

    statement: Statement
    use: Use

    @cached_property
    def digest(self) -> str:
        """Return the digest that a receipt names."""
        return digest(self.statement.body)

    def is_late(self, receipt: Receipt) -> bool:
        """Return whether a receipt was signed after it was due."""
        return _time(receipt.at) > _time(self.use.due)


# --- saying it ------------------------------------------------------------------------
def sign_use(permit: Permit, identity: Identity, use: Use) -> Statement:
    """Return a use, signed by who dispatches it.

    Raises:
        NotAParty, NotApproved, LimitReached: it does not hold by itself.
    """
    statement = state(identity, _body(USE, use))
    read_use(permit, statement)
    return statement


def sign_receipt(
    permit: Permit, identity: Identity, one: Dispatched, receipt: Receipt
) -> Statement:
    """Return a receipt, signed by who received the use.

    Raises:
        NotAParty, NotApproved, Mismatched: it does not hold.
    """
    statement = state(identity, _body(RECEIPT, receipt))
    check_named(one.use, read_receipt(permit, one, statement))
    return statement


def receipt_for(
    one: Dispatched,
    missing: Iterable[Amount],
    why: tuple[str, tuple[str, ...]],
    now: datetime.datetime,
) -> Receipt:
    """Return the receipt of a use of which all arrived but what is named.

    Args:
        one: the use.
        missing: what did not.
        why: the reason, and the labels of the missing pieces.
        now: UTC time.

    Raises:
        Mismatched: more is missing than was dispatched.
    """
    lost = tuple(sorted(missing))
    counts = {amount.unit: amount.count for amount in one.use.amounts}
    for amount in lost:
        if amount.unit not in counts or amount.count > counts[amount.unit]:
            raise Mismatched(f"more {amount.unit[:60]} is missing than was dispatched")
        counts[amount.unit] -= amount.count
    arrived = tuple(Amount(unit, n) for unit, n in sorted(counts.items()) if n)
    use, (reason, items) = one.use, why
    return Receipt(
        use.permit, one.digest, use.to, arrived, format_time(now), lost, reason, items
    )


def _body(kind: str, value: Use | Receipt) -> dict[str, Any]:
    table: dict[str, Any] = {"type": kind, **asdict(value)}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in table.items()}


# --- reading it -----------------------------------------------------------------------
def read_use(permit: Permit, statement: Statement) -> Dispatched:
    """Return a use under this permit, its signature and form checked.

    Whether the permit stood, what was spent before, and the rules of `check_labels` are
    not looked at.

    Raises:
        NotApproved: it is forged, malformed, or under another permit.
        NotAParty: it is not from a site of the permit to one of the other side.
        LimitReached: it spends what the permit does not grant, or more at once.
    """
    body = dict(statement.body)
    if body.pop("type", None) != USE:
        raise NotApproved("a use is of an unknown kind")
    use = record(Use, body, "a use", NotApproved)
    if use.permit != permit.digest:
        raise NotApproved("a use is under another permit than this one")
    if use.kind != KIND_OF.get(permit.crossing):
        raise NotApproved(
            f"a permit for {permit.crossing} has no use of the kind {use.kind[:60]!r}",
            fix="what left as data stands in release records: `hetao site releases`",
        )
    _check_route(permit, use)
    _verify(permit, statement, use.site, "use")
    _check_use(permit, use)
    return Dispatched(statement, use)


def _check_route(permit: Permit, use: Use) -> None:
    if use.site not in permit.sites:
        raise NotAParty(f"{use.site[:60]} is not a site of this permit")
    names = {party.name: party for party in permit.directory.of_role("site")}
    if use.to not in names:
        raise NotAParty(f"{use.to[:60]} is not a site among the permit's parties")
    if names[use.to].side == names[use.site].side:
        raise NotAParty(
            "a use crosses to the other side", fix="name a receiver of the other side"
        )


def _verify(permit: Permit, statement: Statement, site: str, what: str) -> None:
    try:
        statement.verify(permit.directory[site])
    except (BadSignature, InvalidNetwork) as error:
        raise NotApproved(f"a {what} is forged: {error.what}") from error


def _check_use(permit: Permit, use: Use) -> None:
    if len(use.items) > MOST_ITEMS:
        raise NotApproved("a use has too many items", fix="send it in several")
    if len(set(use.items)) != len(use.items):
        raise NotApproved("an item stands twice in a use")
    _check_amounts(use.amounts, "a use")
    if not use.amounts:
        raise NotApproved("a use says how much crosses")
    if not all(DIGEST.fullmatch(shown) for shown in use.checks.values()):
        raise NotApproved("a check of a use names what shows it by its digest")
    if not _time(use.at) < _time(use.due):
        raise NotApproved("a receipt of a use is due after it was dispatched")
    check_limits(permit, use.site, use.amounts, {})


def check_labels(use: Use) -> None:
    """Return quietly if the number and the labels of a new use are as they must be.

    It is asked once, of a use that a book has not heard of: what stands in a book since
    before a rule of labels is read, reconciled and balanced as it is.

    Raises:
        NotApproved: one is in another form than its one or looks like another, or it
            cannot be told of which unit the labels are.
    """
    check_label(use.number, "the number of a use")
    for item in use.items:
        check_label(item, "the label of an item")
    if len({look(item) for item in use.items}) != len(use.items):
        raise NotApproved("an item stands twice in a use, or looks like another")
    units = _labelled(use)
    if use.items and not units:
        raise NotApproved(
            "a use has another number of items than of any unit",
            fix="label every piece of one unit, or none",
        )
    if use.items and len(units) > 1:
        raise NotApproved(
            "a use has as many items as of several units, and it is not said of which",
            fix="send the other unit in a use of its own",
        )


def _labelled(use: Use) -> list[str]:
    """Return the units of which every piece may bear one of the labels."""
    items = len(use.items)
    return [one.unit for one in use.amounts if items and one.count == items]


def _check_amounts(amounts: tuple[Amount, ...], what: str) -> None:
    units = [amount.unit for amount in amounts]
    if units != sorted(set(units)) or any(amount.count < 1 for amount in amounts):
        raise NotApproved(f"{what} names each unit once, in order, and from 1")


def read_receipt(permit: Permit, one: Dispatched, statement: Statement) -> Receipt:
    """Return the receipt of a use, its signature, form and amounts checked.

    Raises:
        NotApproved: it is forged, malformed, or of another use.
        Mismatched: what arrived and what is missing are not what was dispatched.
    """
    body = dict(statement.body)
    if body.pop("type", None) != RECEIPT:
        raise NotApproved("a receipt is of an unknown kind")
    found = record(Receipt, body, "a receipt", NotApproved)
    if (found.permit, found.use) != (permit.digest, one.digest):
        raise NotApproved("a receipt is of another use than this one")
    if found.site != one.use.to:
        raise NotApproved("a receipt is not by whom the use was sent to")
    _verify(permit, statement, found.site, "receipt")
    if _time(found.at) < _time(one.use.at) - SKEW:
        raise NotApproved("a receipt is older than what was dispatched")
    for amounts in (found.amounts, found.missing):
        _check_amounts(amounts, "a receipt")
    told: dict[str, int] = {}
    for amount in (*found.amounts, *found.missing):
        told[amount.unit] = told.get(amount.unit, 0) + amount.count
    if told != {amount.unit: amount.count for amount in one.use.amounts}:
        raise Mismatched("what arrived and what is missing are not what was dispatched")
    if bool(found.missing or found.items) != bool(found.reason):
        raise Mismatched("a receipt says why anything is missing, and only then")
    _check_items(one.use, found)
    return found


def _check_items(use: Use, receipt: Receipt) -> None:
    if len(set(receipt.items)) != len(receipt.items):
        raise Mismatched("a receipt misses an item twice")
    if not set(receipt.items) <= set(use.items):
        raise Mismatched("a receipt misses an item that was not dispatched")


def check_named(use: Use, receipt: Receipt) -> None:
    """Return quietly if a new receipt names every piece that is missing.

    It is asked of a receipt that no book holds yet, as `check_labels` is of a use.

    Raises:
        Mismatched: it names another number of labels than of pieces that are missing.
    """
    units = _labelled(use)
    if use.items and not units:
        return  # from before the rule that labels are of a unit
    lost = {amount.unit: amount.count for amount in receipt.missing}
    if len(receipt.items) != max((lost.get(unit, 0) for unit in units), default=0):
        raise Mismatched(
            "a receipt names another number of items than are missing",
            fix="name each piece that is missing by its label",
        )


def _time(text: str) -> datetime.datetime:
    try:
        return parse_time(text)
    except InvalidNetwork as error:
        raise NotApproved(f"a use or receipt is malformed: {error.what}") from error


# --- limits ---------------------------------------------------------------------------
def allotted(permit: Permit, site: str) -> dict[str, int]:
    """Return unit → how much of it this site may use under the permit.

    A limit that names no site is that of the permit's only site. Where there are
    several, it is nobody's: two sites that do not see each other's books would each
    spend it whole.
    """
    found: dict[str, int] = {}
    for limit in permit.limits:
        if limit.site == site or (not limit.site and permit.sites == (site,)):
            found[limit.unit] = found.get(limit.unit, 0) + limit.most
    return found


def check_limits(
    permit: Permit, site: str, amounts: Iterable[Amount], spent: Mapping[str, int]
) -> None:
    """Return quietly if so much more is within the limits of a site.

    Raises:
        LimitReached: it is not.
    """
    most = allotted(permit, site)
    for amount in amounts:
        if amount.unit not in most:
            raise LimitReached(
                f"the permit grants {site} no {amount.unit[:60]}",
                fix="amend the permit, with a limit that names this site",
            )
        if spent.get(amount.unit, 0) + amount.count > most[amount.unit]:
            raise LimitReached(
                f"{site} would pass the permit's limit of {most[amount.unit]} "
                f"{amount.unit[:60]}"
            )


# --- the whole account ---------------------------------------------------------------
@dataclass(frozen=True)
class Line:
    """What became of one unit that one site may use.

    `most` = `left` + `under_way` + `received` + `missing`; `overdue` of what is under
    way has no receipt though one is due; `late` of what was received or is missing was
    signed for after it was due.
    """

    site: str
    unit: str
    most: int
    left: int
    under_way: int
    overdue: int
    received: int
    missing: int
    late: int = 0


@dataclass
class _Sum:
    under_way: int = 0
    overdue: int = 0
    received: int = 0
    missing: int = 0
    late: int = 0
    spent: int = field(default=0)


def account(
    permit: Permit,
    uses: Iterable[Statement],
    receipts: Iterable[Statement],
    now: datetime.datetime,
    *,
    is_one_book: bool = False,
) -> tuple[Line, ...]:
    """Return what became of every limit, from signed records alone, of whoever's books.

    Args:
        permit: under which they are.
        uses: signed, of whatever books.
        receipts: likewise.
        now: UTC time.
        is_one_book: whether they are all of one book, which has held each label against
            the looks of those before it by the rules of its day; else labels of a site
            that look alike are refused here.

    Raises:
        NotApproved, Mismatched: a record does not hold, or a receipt has no use.
        Replayed: a number, an item or a receipt stands twice.
        LimitReached: a site has spent more than the permit grants it.
    """
    found = [read_use(permit, statement) for statement in uses]
    _check_once([(one.use.site, one.use.number) for one in found], "a number of a use")
    seen = str if is_one_book else look
    items = [(one.use.site, seen(item)) for one in found for item in one.use.items]
    _check_once(items, "an item, or what looks like it,")
    known = {one.digest: one for one in found}
    answered: dict[str, Receipt] = {}
    for statement in receipts:
        name = str(statement.body.get("use"))
        if name not in known:
            raise NotApproved("a receipt is of a use that nobody dispatched")
        receipt = read_receipt(permit, known[name], statement)
        if name in answered:
            raise Replayed("a use has two receipts")
        answered[name] = receipt
    sums: dict[tuple[str, str], _Sum] = {}
    for one in found:
        _add(sums, one, answered.get(one.digest), now)
    lines = []
    for site in permit.sites:
        for unit, most in sorted(allotted(permit, site).items()):
            total = sums.get((site, unit), _Sum())
            check_limits(permit, site, [Amount(unit, total.spent)], {})
            lines.append(
                Line(
                    site,
                    unit,
                    most,
                    most - total.spent,
                    total.under_way,
                    total.overdue,
                    total.received,
                    total.missing,
                    total.late,
                )
            )
    return tuple(lines)


def _check_once(names: list[Any], what: str) -> None:
    if len(set(names)) != len(names):
        raise Replayed(f"{what} stands twice")


def _add(
    sums: dict[tuple[str, str], _Sum],
    one: Dispatched,
    receipt: Receipt | None,
    now: datetime.datetime,
) -> None:
    use = one.use
    for amount in use.amounts:
        total = sums.setdefault((use.site, amount.unit), _Sum())
        total.spent += amount.count
        if receipt is None:
            total.under_way += amount.count
            total.overdue += amount.count if _time(use.due) <= now else 0
        elif one.is_late(receipt):
            total.late += amount.count
    if receipt is not None:
        for amount in receipt.amounts:
            sums[use.site, amount.unit].received += amount.count
        for amount in receipt.missing:
            sums[use.site, amount.unit].missing += amount.count
