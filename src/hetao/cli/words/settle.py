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
    order.add_argument(
        "--rail", default="bank", metavar="NAME", help="bank, ecny or escrow"
    )
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
    _add_escrow(settle)


def _add_escrow(settle: Commands) -> None:
    escrow = group(
        settle, "escrow", "a stablecoin held on a chain; Hong Kong parties alone"
    )
    module = "hetao.cli.escrow"

    def add(name: str, text: str, *, there: bool = True) -> argparse.ArgumentParser:
        added = command(escrow, name, f"{module}:{name}", text)
        added.add_argument("--url", required=True, metavar="URL", help="of a node")
        if there:
            added.add_argument(
                "--escrow", required=True, metavar="0x…",
                help="the transaction that put it there, as deploy prints it",
            )  # fmt: skip
        return added

    deploy = add("deploy", "put an escrow of these orders on the chain", there=False)
    fund = add("fund", "take the money of these orders from the payer")
    status = add("status", "say how these orders stand")
    for one in (deploy, fund, status):
        one.add_argument("orders", type=Path, nargs="+", metavar="ORDER.json")
    status.add_argument(
        "--evidence", type=Path, metavar="FILE",
        help="hold what a released order was paid for against this file",
    )  # fmt: skip
    fund.add_argument(
        "--permit", type=Path, metavar="FILE", help="the payer's key: signs for the sum"
    )
    sign = add("sign", "sign for the chain that an order is to be paid")
    release = add("release", "pay an order that enough attestors signed for")
    for one in (sign, release):
        one.add_argument("contract", type=Path, metavar="CONTRACT.toml")
        one.add_argument("milestone", metavar="MILESTONE")
        one.add_argument(
            "--attestation", type=Path, nargs="+", required=True, metavar="FILE"
        )
    refund = add("refund", "give back what was not released in time")
    receipt = add("receipt", "book what became of an order, as the chain says")
    for one in (sign, release, refund, receipt):
        one.add_argument("orders", type=Path, nargs=1, metavar="ORDER.json")
    release.add_argument("words", type=Path, nargs="+", metavar="WORD.json")
    sign.add_argument("--key", type=Path, required=True, metavar="FILE")
    sign.add_argument("--out", type=Path, required=True, metavar="WORD.json")
    receipt.add_argument("--book", type=Path, required=True, metavar="DIR")
    receipt.add_argument("--key", type=Path, required=True, metavar="NAME.sign.pem")
    fund.add_argument("--book", type=Path, required=True, metavar="DIR")
    fund.add_argument(
        "--keeper", type=Path, required=True, metavar="NAME.sign.pem", help="the book's"
    )
    for one in (deploy, fund, sign, release, refund):
        one.add_argument("--side", required=True, choices=("HK", "SZ"), help="yours")
    for one in (deploy, fund, release, refund):
        by = one.add_mutually_exclusive_group(required=True)
        by.add_argument("--key", type=Path, metavar="FILE", help="of a chain; sends it")
        by.add_argument("--out", type=Path, metavar="FILE", help="for a wallet to send")
