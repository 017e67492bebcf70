"""`hetao settle escrow …`: orders that a contract on a chain pays or gives back."""

import argparse
import re
import sys
from dataclasses import replace
from typing import Any, Final

from hetao.anchor.node import Node, quantity
from hetao.canonical import canonical, digest_bytes
from hetao.cli.anchor import read_chain_key
from hetao.cli.main import say
from hetao.cli.settle import LARGEST, open_book, read_small, write_order
from hetao.errors import NotAccepted, RailForbidden, Unverified, Usage
from hetao.federation.clock import utc_now
from hetao.settlement import (
    Book,
    Contract,
    Instruction,
    accepted,
    escrow,
    read_contract,
)
from hetao.settlement.book import PAID, REJECTED, statements_of
from hetao.settlement.eip2612 import permit_call
from hetao.settlement.escrow import Order, Placed, Terms
from hetao.settlement.escrow_word import (
    check_words,
    read_word,
    release_call,
    sign_word,
    veiled,
)
from hetao.settlement.rails import RAILS

RAIL: Final = "escrow"
GAS: Final = 3_000_000  # the most that one call may cost; deploying 32 orders needs 2.6


def deploy(chosen: argparse.Namespace) -> int:
    """Put an escrow of these orders on the chain; print what names it."""
    _check_side(chosen.side)
    terms = escrow.read_terms(chosen.orders)
    receipt = _send(chosen, terms, "", escrow.deployment(terms))
    if receipt:
        say(f"the escrow is {receipt.get('contractAddress')}; it is named by:")
        sys.stdout.write(f"{receipt.get('transactionHash')}\n")
    return 0


def fund(chosen: argparse.Namespace) -> int:
    """Take the money of these orders from the payer."""
    _check_side(chosen.side)
    terms, node, placed = _opened(chosen)
    if set(terms.orders) != set(placed.orders):
        raise NotAccepted(
            "the escrow has other orders too: the money could be taken for those",
            fix="name the files of all its orders",
        )
    escrow.check_final(node, placed)
    now = utc_now()
    with open_book(chosen.book, chosen.keeper) as book:
        for order in terms.orders:
            escrow.check_decimals(node, _ordered(book, terms, order).contract)
            if escrow.state_of(node, placed.address, order) != "new":
                raise NotAccepted("an order was funded before")
        for order in terms.orders:
            book.escrow(escrow.number_of(order), placed.address, now)
    data = escrow.fund_call(terms)
    if chosen.permit:
        key = read_chain_key(chosen.permit)
        data = permit_call(node, terms, placed, key, now)
    _send(chosen, terms, placed.address, data)
    return 0


def sign(chosen: argparse.Namespace) -> int:
    """Sign for the chain that an order is to be paid, after enough attested it."""
    _check_side(chosen.side)
    contract, by, evidence = _attested(chosen)
    RAILS[RAIL].check(contract, chosen.milestone)
    terms, node, placed = _opened(chosen)
    order = _agreed(chosen, contract, terms)
    escrow.check_decimals(node, contract)
    if escrow.state_of(node, placed.address, order) != "held":
        raise NotAccepted("the escrow does not hold the money of this order")
    word = sign_word(
        terms,
        placed.address,
        order,
        veiled(order, evidence),
        read_chain_key(chosen.key),
    )
    if word.by not in by:
        raise NotAccepted("the key is of none who attested the milestone")
    write_order(chosen.out, word.data)
    say(f"signed that {chosen.milestone} is to be paid: {chosen.out}")
    amount = escrow.in_tokens(contract, order)
    say(f"{amount} of the token {terms.token} to {order.payee}")
    say(f"over the evidence {evidence}")
    return 0


def release(chosen: argparse.Namespace) -> int:
    """Pay an order that enough attestors signed for, as the book would accept it."""
    _check_side(chosen.side)
    contract, by, evidence = _attested(chosen)
    terms, _, placed = _opened(chosen)
    order = _agreed(chosen, contract, terms)
    words = [read_word(path) for path in chosen.words]
    words = [one for one in words if one.by in by]
    over = veiled(order, evidence)
    enough = check_words(terms, placed.address, order, over, words)
    _send(chosen, terms, placed.address, release_call(order, over, enough))
    return 0


def refund(chosen: argparse.Namespace) -> int:
    """Give back what was not released in time."""
    _check_side(chosen.side)
    terms, _, placed = _opened(chosen)
    _send(chosen, terms, placed.address, escrow.refund_call(escrow.one_order(terms)))
    return 0


def status(chosen: argparse.Namespace) -> int:
    """Say how these orders stand, and whether a file is what they were paid for."""
    terms, node, placed = _opened(chosen)
    shown = chosen.evidence and digest_bytes(read_small(chosen.evidence, LARGEST))
    for order in terms.orders:
        state = escrow.state_of(node, placed.address, order)
        number = escrow.number_of(order)
        sys.stdout.write(f"{number} {state} {order.amount}\n")
        if shown and state == "released":
            last = quantity(node.ask("eth_blockNumber"))
            paid = escrow.paid(node, placed, order, last)
            if paid.evidence != veiled(order, shown):
                raise Unverified(f"{number} was paid over other evidence")
            sys.stdout.write(f"{number} was paid over {shown}, by 0x{paid.reference}\n")
    sys.stdout.write(f"paid back what is not released before {terms.until}\n")
    return 0


def receipt(chosen: argparse.Namespace) -> int:
    """Book what became of an order, as a final block of the chain says.

    Money that left over other evidence than the book accepted has left all the same: it
    is booked, told, and ends with exit code 6.
    """
    terms, node, placed = _opened(chosen)
    order = escrow.one_order(terms)
    number = escrow.number_of(order)
    with open_book(chosen.book, chosen.key) as book:
        own = _ordered(book, terms, order)
        escrow.check_decimals(node, own.contract)
        found = escrow.settled(node, terms, placed, order)
        outcome, now = PAID if found.paid else REJECTED, utc_now()
        book.escrow(number, placed.address, now)  # refused where it is another's
        book.receive(number, outcome, found.reference, now)
        evidence = book.evidence(own)
    say(f"order {number} is {outcome}")
    if found.paid and found.evidence != veiled(replace(order, veil=own.veil), evidence):
        raise Unverified(
            "the order is booked, but it was paid over other evidence than the book "
            "accepted",
            fix="ask those who signed for the chain what they looked at",
        )
    return 0


def _opened(chosen: argparse.Namespace) -> tuple[Terms, Node, Placed]:
    """Return terms, node and escrow, what stands there held against the terms."""
    terms, node = escrow.read_terms(chosen.orders), Node(chosen.url)
    text = str(chosen.escrow).lower()
    if not re.fullmatch("0x[0-9a-f]{64}", text):
        raise Usage(
            "an escrow is named by the transaction that put it there",
            fix="0x and 64 hex digits, as `hetao settle escrow deploy` prints it",
        )
    return terms, node, escrow.find_escrow(node, terms, text)


def _attested(chosen: argparse.Namespace) -> tuple[Contract, frozenset[str], str]:
    """Return the contract, the addresses of who attested, and on what evidence."""
    contract = read_contract(chosen.contract)
    texts = [read_small(path) for path in chosen.attestation]
    found = accepted(contract, chosen.milestone, statements_of(texts))
    by = [one.address.lower() for one in contract.attestors if one.name in found.by]
    return contract, frozenset(by), found.evidence


def _agreed(chosen: argparse.Namespace, contract: Contract, terms: Terms) -> Order:
    """Return the one order, which is what the contract says of the milestone."""
    order = escrow.one_order(terms)
    milestone = contract.milestone(chosen.milestone)
    own = escrow.order_of(contract, milestone, order.id)  # veils are compared nowhere
    if terms != replace(escrow.terms_of(contract, ()), orders=(own,)):
        raise NotAccepted("the order is not what the contract says of this milestone")
    return order


def _ordered(book: Book, terms: Terms, order: Order) -> Instruction:
    """Return the book's own order, which says the same."""
    found = book.order(escrow.number_of(order))
    own = escrow.terms_of(found.contract, [found]) if found.rail == RAIL else None
    if own != replace(terms, orders=(order,)):
        raise NotAccepted("the book has no such order by escrow")
    return found


def _check_side(side: str) -> None:
    """Refuse the Mainland side: such a service is unlawful there (Document 42)."""
    if side != "HK":
        raise RailForbidden("an escrow is for parties of the Hong Kong side alone")


def _send(
    chosen: argparse.Namespace, terms: Terms, to: str, data: bytes
) -> dict[str, Any]:
    """Send a call, or write it to a file for a wallet; the receipt if it was sent."""
    _check_side(chosen.side)
    if chosen.out:
        table = {"chainId": terms.chain, "data": "0x" + data.hex(), "value": 0}
        write_order(chosen.out, canonical(table | ({"to": to} if to else {})))
        say(f"let a wallet of a Hong Kong party send {chosen.out}")
        return {}
    node = Node(chosen.url, read_chain_key(chosen.key), chosen.side)
    if node.chain != terms.chain:
        raise Unverified(f"the node is not of the chain {terms.chain}")
    receipt = node.send(to, data, GAS)
    gas, number = quantity(receipt.get("gasUsed")), receipt.get("transactionHash")
    say(f"done for {gas} gas: {number}")
    return receipt
