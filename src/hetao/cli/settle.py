"""`hetao settle …`: from an attested milestone to an order that a bank carries out."""

import argparse
import csv
import sys
from pathlib import Path

from hetao.canonical import canonical, digest_bytes
from hetao.cli.main import say
from hetao.errors import Usage
from hetao.federation.clock import utc_now
from hetao.permit import read_identity
from hetao.settlement import Book, accepted, read_contract
from hetao.settlement import attest as sign
from hetao.settlement.book import UNITS, statements_of
from hetao.settlement.contract import DECIMALS
from hetao.settlement.pain001 import money
from hetao.settlement.rails import RAILS, rail_of
from hetao.whole import read_whole, write_new

LARGEST = 512 * 2**20  # bytes of evidence, as of a certificate


def attest(chosen: argparse.Namespace) -> int:
    """Sign that a milestone was reached, as a file of evidence shows."""
    contract = read_contract(chosen.contract)
    evidence = digest_bytes(read_small(chosen.evidence, LARGEST))
    said = sign(
        contract, read_identity(chosen.key), chosen.milestone, evidence, utc_now()
    )
    write_order(chosen.out, canonical(said.as_json()))
    say(f"signed that {chosen.milestone} was reached: {chosen.out}")
    return 0


def accept(chosen: argparse.Namespace) -> int:
    """Book what an attested milestone earns, and tell the log."""
    contract = read_contract(chosen.contract)
    texts = [read_small(path) for path in chosen.statements]
    found = accepted(contract, chosen.milestone, statements_of(texts))
    with _book(chosen) as book:
        book.add_contract(contract)
        book.accept(contract, found, utc_now())
    say(f"{chosen.milestone} is accepted, attested by {', '.join(found.by)}")
    return 0


def order(chosen: argparse.Namespace) -> int:
    """Write the one order to pay a milestone."""
    contract, rail = read_contract(chosen.contract), rail_of(chosen.rail)
    rail.check(contract, chosen.milestone)
    if chosen.out.exists():
        raise Usage(f"{chosen.out} exists", fix="name a new file")
    now = utc_now()
    with _book(chosen) as book:
        if chosen.again:  # the file was lost; a bank drops the second copy
            found = book.under_way(contract, chosen.milestone)
            rail = rail_of(found.rail)
        else:
            if rail.holds:  # before anybody attested
                book.add_contract(contract)
            found = book.instruct(
                contract, chosen.milestone, rail.name, now, ahead=rail.holds
            )
        write_order(chosen.out, rail.write(contract, [found], now))
    say(f"order {found.id} is in {chosen.out}; enter its receipt afterwards")
    return 0


def receipt(chosen: argparse.Namespace) -> int:
    """Book what became of an order."""
    with _book(chosen) as book:
        if RAILS[book.order(chosen.number).rail].holds:
            raise Usage(
                "what became of an order by escrow is for the chain to say",
                fix="hetao settle escrow receipt",
            )
        book.receive(chosen.number, chosen.outcome, chosen.reference, utc_now())
    say(f"order {chosen.number} is {chosen.outcome}")
    return 0


def balance(chosen: argparse.Namespace) -> int:
    """Print each account's balance; a debit is positive."""
    with _book(chosen) as book:
        rows = [
            (account, unit, _amount(amount, unit))
            for (account, unit), amount in book.balances().items()
        ]
    if chosen.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(("account", "unit", "balance"))
        writer.writerows(rows)
        return 0
    for account, unit, amount in rows:
        sys.stdout.write(f"{account:<40} {amount:>18} {unit}\n")
    return 0


def check(chosen: argparse.Namespace) -> int:
    """Work the book out anew from its steps, and hold it against its log."""
    with _book(chosen) as book:
        book.check()
    sys.stdout.write("the book holds: every account follows, and the log says so\n")
    return 0


def open_book(folder: Path, key: Path) -> Book:
    """Return the payer's book; a folder that is not there is not made.

    Raises:
        Usage: there is no such folder. A mistyped name would else begin a second book,
            which knows nothing of what the first one paid.
    """
    if not folder.is_dir():
        raise Usage(
            f"--book {folder}: there is no such folder",
            fix="name the folder of your book; to begin one, make an empty folder",
        )
    return Book(folder, read_identity(key))


def _book(chosen: argparse.Namespace) -> Book:
    return open_book(chosen.book, chosen.key)


def _amount(amount: int, unit: str) -> str:
    return str(amount) if unit == UNITS or unit not in DECIMALS else money(amount, unit)


def read_small(path: Path, largest: int = 1 << 20) -> bytes:
    """Return the bytes of a file.

    Raises:
        InvalidData: it cannot be read, or is larger than such a file can be.
    """
    return read_whole(path, largest)


def write_order(path: Path, data: bytes) -> None:
    """Write a file that is not there yet, and wait for the disk: half an order is none.

    Raises:
        Usage: it is there, or cannot be written.
    """
    try:
        write_new(path, lambda: data)
    except OSError as error:
        raise Usage(f"{path} cannot be written: {error.strerror}") from error
