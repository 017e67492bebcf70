"""`hetao settle escrow …`: orders that a contract on a chain pays or gives back."""

import argparse
import sys
from dataclasses import replace
from typing import Any, Final

from hetao.anchor.node import Node
from hetao.canonical import canonical, parse_canonical
from hetao.cli.anchor import read_address, read_chain_key
from hetao.cli.main import say
from hetao.cli.settle import read_small, write_new
from hetao.errors import NotAccepted, RailForbidden, Unverified
from hetao.federation.clock import utc_now
from hetao.permit import read_identity, statement_from
from hetao.settlement import Book, escrow, read_contract
from hetao.settlement.attestation import attestor_of
from hetao.settlement.book import PAID, REJECTED
from hetao.settlement.escrow import Terms
from hetao.settlement.rails import RAILS

RAIL: Final = "escrow"
GAS: Final = 3_000_000  # the most that one call may cost; deploying 32 orders needs 2.6


def deploy(chosen: argparse.Namespace) -> int:
    """Put an escrow of these orders on the chain."""
    terms = escrow.read_terms(chosen.orders)
    receipt = _send(chosen, terms, "", escrow.deployment(terms))
    if receipt:
        sys.stdout.write(f"{receipt['contractAddress']}\n")
    return 0


def fund(chosen: argparse.Namespace) -> int:
    """Take the money of these orders from the payer."""
    terms, node, address = _opened(chosen)
    data = escrow.fund_call(terms)
    if chosen.permit:
        key = read_chain_key(chosen.permit)
        data = escrow.permit_call(node, terms, address, key)
    _send(chosen, terms, address, data)
    return 0


def sign(chosen: argparse.Namespace) -> int:
    """Sign for the chain that an order is to be paid, after attesting its milestone."""
    _check_side(chosen.side)
    contract = read_contract(chosen.contract)
    said = statement_from(parse_canonical(read_small(chosen.attestation)))
    attestor = attestor_of(contract, chosen.milestone, said)
    milestone = contract.milestone(chosen.milestone)
    RAILS[RAIL].check(contract, chosen.milestone)
    terms, node, address = _opened(chosen)
    (order,) = terms.orders
    own = escrow.order_of(contract, milestone, order.id)
    if terms != replace(escrow.terms_of(contract, ()), orders=(own,)):
        raise NotAccepted("the order is not what the contract says of this milestone")
    if escrow.state_of(node, address, order) != "held":
        raise NotAccepted("the escrow does not hold the money of this order")
    word = escrow.sign_word(terms, address, order, read_chain_key(chosen.key))
    if word.by != attestor.address.lower():
        raise NotAccepted(f"the key is not the one of {attestor.name} in the contract")
    write_new(chosen.out, word.data)
    say(f"signed that {chosen.milestone} is to be paid: {chosen.out}")
    return 0


def release(chosen: argparse.Namespace) -> int:
    """Pay an order that enough attestors signed for."""
    terms, _, address = _opened(chosen)
    (order,) = terms.orders
    words = [escrow.read_word(path) for path in chosen.words]
    enough = escrow.check_words(terms, address, order, words)
    _send(chosen, terms, address, escrow.release_call(order, enough))
    return 0


def refund(chosen: argparse.Namespace) -> int:
    """Give back what was not released in time."""
    terms, _, address = _opened(chosen)
    _send(chosen, terms, address, escrow.refund_call(terms.orders[0]))
    return 0


def status(chosen: argparse.Namespace) -> int:
    """Say how these orders stand."""
    terms, node, address = _opened(chosen)
    for order in terms.orders:
        state = escrow.state_of(node, address, order)
        sys.stdout.write(f"{escrow.number_of(order)} {state} {order.amount}\n")
    sys.stdout.write(f"paid back what is not released before {terms.until}\n")
    return 0


def receipt(chosen: argparse.Namespace) -> int:
    """Book what became of an order, as a final block of the chain says."""
    terms, node, address = _opened(chosen)
    (order,) = terms.orders
    number = escrow.number_of(order)
    with Book(chosen.book, read_identity(chosen.key)) as book:
        found = book.order(number)
        if found.rail != RAIL or escrow.terms_of(found.contract, [found]) != terms:
            raise NotAccepted("the book has no such order by escrow")
        is_paid, reference = escrow.settled(node, terms, address, order)
        outcome = PAID if is_paid else REJECTED
        book.receive(number, outcome, reference, utc_now())
    say(f"order {number} is {outcome}")
    return 0


def _opened(chosen: argparse.Namespace) -> tuple[Terms, Node, str]:
    """Return terms, node and address, the contract there held against the terms."""
    terms, node = escrow.read_terms(chosen.orders), Node(chosen.url)
    address = read_address(chosen.escrow)
    escrow.check_escrow(node, terms, address)
    return terms, node, address


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
        write_new(chosen.out, canonical(table | ({"to": to} if to else {})))
        say(f"let a wallet of a Hong Kong party send {chosen.out}")
        return {}
    node = Node(chosen.url, read_chain_key(chosen.key), chosen.side)
    if node.chain != terms.chain:
        raise Unverified(f"the node is not of the chain {terms.chain}")
    receipt = node.send(to, data, GAS)
    say(f"done for {int(receipt['gasUsed'], 16)} gas: {receipt['transactionHash']}")
    return receipt
