"""`hetao permit use`, `expect`, `receive`, `reconcile`, `balance`: besides data."""

import argparse
import contextlib
import datetime
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from hetao.canonical import digest_bytes
from hetao.cli.main import say
from hetao.cli.permit import read_pairs
from hetao.errors import InvalidNetwork, Usage
from hetao.federation.book import Arrival, Book
from hetao.federation.clock import utc_now
from hetao.federation.logs import open_log
from hetao.federation.network import log_of, network_of_site
from hetao.federation.register import read_notices
from hetao.permit import (
    Permit,
    Statement,
    format_time,
    read_bundle,
    read_directory,
    statement_from,
)
from hetao.permit.house import house_of
from hetao.permit.labels import plain
from hetao.permit.uses import (
    KIND_OF,
    Amount,
    Dispatched,
    Use,
    read_receipt,
    read_use,
)
from hetao.records import read_toml, record
from hetao.whole import read_whole, write_whole

LARGEST: Final = 4 * 2**20  # bytes of a record
MOST_DAYS: Final = 366
MOST_HOURS: Final = 744  # of a use that is dated back: the longest lease


@contextlib.contextmanager
def _book(path: Path) -> Iterator[tuple[str, Book]]:
    """Open the book of the site of a `site.toml`, of which only its network is read."""
    tables, base = read_toml(path, InvalidNetwork), path.parent
    network, keys = network_of_site(tables, path.name)
    identity, log = keys.identity(base), log_of(tables, base, path.name)
    book = Book(
        identity,
        read_directory(base / network.parties),
        base / network.folder,
        lambda: read_notices(base / network.notices),
        house_of(tables, base, path.name),
        _allowed(tables, path.name),
    )
    with contextlib.closing(book):
        book.hold_against(lambda: open_log(base / network.folder, identity, log))
        yield identity.name, book


@dataclass(frozen=True)
class CrossingsTable:
    """`[crossings]` of a site file.

    Attributes:
        late_hours: how far back another site's use may be dated when it is first heard
            of, 1 to 744.
    """

    late_hours: int = 72


def _allowed(tables: Mapping[str, object], where: str) -> datetime.timedelta:
    """Return how far back a use may be dated, by a site file's tables.

    Raises:
        InvalidNetwork: the table does not hold.
    """
    place = f"{where} [crossings]"
    table = record(CrossingsTable, tables.get("crossings", {}), place, InvalidNetwork)
    if not 1 <= table.late_hours <= MOST_HOURS:
        raise InvalidNetwork(f"{place}: late_hours is 1 to {MOST_HOURS}")
    return datetime.timedelta(hours=table.late_hours)


def use(chosen: argparse.Namespace) -> int:
    """Dispatch a consignment, let a person enter, or pay; signed, within the limits."""
    if not 1 <= chosen.days <= MOST_DAYS:
        raise Usage(f"a receipt is due within 1 to {MOST_DAYS} days")
    bundle, now = read_bundle(chosen.permit), utc_now()
    with _book(chosen.site) as (name, book):
        asked = Use(
            permit=bundle.permit.digest,
            number=plain(chosen.number),
            kind=KIND_OF.get(bundle.permit.crossing, bundle.permit.crossing),
            site=name,
            to=chosen.to,
            grade=chosen.grade,
            amounts=_amounts(chosen.amount),
            checks=_shown(chosen.check),
            at=format_time(now),
            due=format_time(now + datetime.timedelta(days=chosen.days)),
            items=tuple(plain(label) for label in chosen.item),
        )
        signed = book.dispatch(bundle, asked, utc_now)
    _write(chosen.out, signed)
    say(f"{chosen.number}: dispatched to {chosen.to}; a receipt is due by {asked.due}")
    sys.stdout.write(f"{chosen.out}\n")
    return 0


def expect(chosen: argparse.Namespace) -> int:
    """Note what another site dispatched, while it is on its way."""
    bundle, statement = read_bundle(chosen.permit), _read(chosen.use)
    with _book(chosen.site) as (_, book):
        one = book.expect(bundle, statement, utc_now())
    say(f"{one.use.number}: on its way from {one.use.site}; due by {one.use.due}")
    return 0


def receive(chosen: argparse.Namespace) -> int:
    """Take in what another site dispatched, and sign for exactly that."""
    bundle, statement = read_bundle(chosen.permit), _read(chosen.use)
    sent = statement.body.get("items")  # as they are written, if older than the form
    kept = sent if isinstance(sent, list) else []
    missing = tuple(one if one in kept else plain(one) for one in chosen.item)
    arrival = Arrival(_amounts(chosen.missing), chosen.reason, missing)
    with _book(chosen.site) as (_, book):
        signed = book.receive(bundle, statement, arrival, utc_now())
    _write(chosen.out, signed)
    late = _late(bundle.permit, read_use(bundle.permit, statement), signed)
    say(f"{statement.body['number']}: received{late}; send the receipt to its sender")
    sys.stdout.write(f"{chosen.out}\n")
    return 0


def reconcile(chosen: argparse.Namespace) -> int:
    """Take in the receipts of what this site dispatched."""
    bundle = read_bundle(chosen.permit)
    with _book(chosen.site) as (_, book):
        for path in chosen.receipts:
            receipt = _read(path)
            found = book.take(bundle, receipt)
            late = _late(bundle.permit, found, receipt)
            say(f"{found.use.number}: received by {found.use.to}{late}")
    return 0


def _late(permit: Permit, one: Dispatched, signed: Statement) -> str:
    is_late = one.is_late(read_receipt(permit, one, signed))
    return f", late: it was due by {one.use.due}" if is_late else ""


def balance(chosen: argparse.Namespace) -> int:
    """Say what became of the permit's limits, every record verified anew."""
    permit = read_bundle(chosen.permit).permit
    with _book(chosen.site) as (_, book):
        lines = book.balance(permit, utc_now())
        uses, receipts = book.records(permit)
    if chosen.json:
        found = {
            "permit": permit.digest,
            "lines": [asdict(line) for line in lines],
            "uses": [one.as_json() for one in uses],
            "receipts": [one.as_json() for one in receipts],
        }
        sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")
        return 0
    _tell(permit, len(uses), len(receipts))
    for line in lines:
        sys.stdout.write(
            f"{line.site}, {line.unit}: {line.left} of {line.most} left, "
            f"{line.under_way} under way ({line.overdue} overdue), "
            f"{line.received} received, {line.missing} missing, {line.late} late\n"
        )
    return 0


def _tell(permit: Permit, uses: int, receipts: int) -> None:
    say(f"{permit.number}: {uses} dispatched, {receipts} of them received")


def _amounts(texts: Sequence[str]) -> tuple[Amount, ...]:
    found = []
    for unit, count in read_pairs(list(texts), "UNIT=COUNT").items():
        if not (count.isascii() and count.isdigit() and len(count) <= 15):
            raise Usage(f"{count[:60]!r} is not a whole number of {unit[:60]}")
        found.append(Amount(unit, int(count)))
    return tuple(sorted(found))


def _shown(texts: Sequence[str]) -> dict[str, str]:
    """Return check → digest of the file that shows it."""
    found = {}
    for name, path in read_pairs(list(texts), "CHECK=FILE").items():
        try:
            found[name] = digest_bytes(Path(path).read_bytes())
        except OSError as error:
            raise InvalidNetwork(
                f"{path} cannot be read: {error.strerror}", fix="check the path"
            ) from error
    return found


def _read(path: Path) -> Statement:
    try:
        return statement_from(json.loads(read_whole(path, LARGEST, InvalidNetwork)))
    except (ValueError, RecursionError) as error:
        raise InvalidNetwork(f"{path.name} is not JSON") from error


def _write(path: Path, signed: Statement) -> None:
    text = json.dumps(signed.as_json(), ensure_ascii=False, indent=1)
    write_whole(path, (text + "\n").encode())
