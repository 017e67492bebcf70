"""Words: what sites earned, and orders to pay it."""

import argparse
from pathlib import Path

from hetao.cli.words.parser import Commands, command, group


def add_settle(commands: Commands) -> None:
    """Add the words of `hetao settle …`."""
    settle = group(commands, "settle", "what sites earned, and how it is paid")
    module = "hetao.cli.settle"

    def add(name: str, text: str, *, book: bool = True) -> argparse.ArgumentParser:
        added = command(settle, name, f"{module}:{name}", text)
        if book:
            added.add_argument("--book", type=Path, required=True, metavar="DIR")
        added.add_argument("--key", type=Path, required=True, metavar="NAME.sign.pem")
        return added

    attest = add("attest", "sign that a milestone was reached", book=False)
    accept = add("accept", "book what an attested milestone earns")
    order = add("order", "write the one order to pay it, for a bank")
    for one in (attest, accept, order):
        one.add_argument("contract", type=Path, metavar="CONTRACT.toml")
        one.add_argument("milestone", metavar="MILESTONE")
    accept.add_argument("statements", type=Path, nargs="+", metavar="ATTESTATION")
    attest.add_argument("--evidence", type=Path, required=True, metavar="FILE")
    for one in (attest, order):
        one.add_argument("--out", type=Path, required=True, metavar="FILE")
    order.add_argument("--rail", default="bank", metavar="NAME", help="bank or ecny")
    order.add_argument(
        "--again", action="store_true", help="write the order under way once more"
    )
    receipt = add("receipt", "book what became of an order")
    receipt.add_argument("number", metavar="NUMBER")
    receipt.add_argument("outcome", choices=("paid", "rejected"))
    receipt.add_argument("--reference", required=True, metavar="TEXT")
    balance = add("balance", "what is earned, owed, under way and paid")
    balance.add_argument("--csv", action="store_true", help="for a spreadsheet")
    add("check", "work the book out anew, and hold it against its log")
