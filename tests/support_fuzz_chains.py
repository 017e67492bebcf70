"""Parsers to fuzz: of an escrow's files, and of what a chain's node may answer."""

import datetime
import functools
import json
from pathlib import Path
from typing import Any

from hetao.anchor import Stamp
from hetao.anchor.evm import Chain, shipped
from hetao.anchor.node import Node, evm_library
from hetao.canonical import canonical
from hetao.cli.anchor import read_chain_key
from hetao.errors import Unverified
from hetao.settlement import escrow, escrow_word
from hetao.settlement.eip2612 import permit_call
from support_parsers import Parsers, of_file, of_object

ROOT, KEY = bytes(range(32)), b"\7" * 32
ADDRESS, TOKEN, AT = "0x" + "ee" * 20, "0x" + "ab" * 20, "0x" + "cd" * 20
SENT, DIGEST = "0x" + "12" * 32, "sha256:" + "ab" * 32
NOW = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)


class Told(Node):
    """A node whose answers are given: of a call by its function, else by its method."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__("http://nobody.invalid")
        self._answers = answers

    def ask(self, method: str, *parameters: object) -> Any:
        name = method
        if method == "eth_call" and isinstance(parameters[0], dict):
            name = str(parameters[0]["data"])[:10]
        if name not in self._answers:
            raise Unverified("the node refuses")
        return self._answers[name]


def named(function: str) -> str:
    """Return how a call of a function begins."""
    return "0x" + evm_library("eth_utils").keccak(text=function)[:4].hex()


@functools.cache
def terms() -> escrow.Terms:
    """Return the terms of an escrow of one order that two of two may release."""
    account = evm_library("eth_account").Account
    payer = account.from_key(KEY).address.lower()
    signers = tuple(
        sorted(account.from_key(bytes([n]) * 32).address.lower() for n in (8, 9))
    )
    order = escrow.Order(
        "0x" + "01" * 20 + "00" * 12, "0x" + "0e" * 20, "5000000", "0f" * 32
    )
    return escrow.Terms(7, TOKEN, payer, "2027-06-30T00:00:00Z", 2, signers, (order,))


def ordered(path: Path) -> object:
    """Return all that is made of a file of orders."""
    found = escrow.read_terms([path])
    numbers = [escrow.number_of(one) for one in found.orders]
    made = escrow.deployment(found), escrow.runtime(found), escrow.fund_call(found)
    hidden = [escrow_word.veiled(one, DIGEST) for one in found.orders]
    said = [
        escrow_word.typed_data(found.chain, AT, *one)
        for one in zip(found.orders, hidden, strict=True)
    ]
    return numbers, made, said


@functools.cache
def true_word(key: bytes) -> escrow_word.Word:
    """Return the word of the attestor whose key it is."""
    (order,) = terms().orders
    evidence = escrow_word.veiled(order, DIGEST)
    return escrow_word.sign_word(terms(), AT, order, evidence, key)


def signed_word(path: Path) -> object:
    """Return what a word that somebody signed comes to, beside a true one."""
    (order,) = terms().orders
    evidence = escrow_word.veiled(order, DIGEST)
    words = [escrow_word.read_word(path), true_word(b"\11" * 32)]
    enough = escrow_word.check_words(terms(), AT, order, evidence, words)
    return escrow_word.release_call(order, evidence, enough)


def key_used(path: Path) -> object:
    """Return the address of the key in a file."""
    return evm_library("eth_account").Account.from_key(read_chain_key(path)).address


def stamped(answers: dict[str, Any]) -> object:
    """Return when a chain of these answers saw a root."""
    chain = Chain("http://nobody.invalid", ADDRESS)
    chain.node = Told(answers)
    return chain.verify(Stamp("evm", ROOT.hex(), f"eip155:7:{ADDRESS}", "AAAA"), ROOT)


def settled(answers: dict[str, Any]) -> object:
    """Return what a chain of these answers says of an escrow, all that is asked."""
    node, found = Told(answers), terms()
    placed = escrow.find_escrow(node, found, SENT)
    escrow.check_final(node, placed)
    paid = escrow.settled(node, found, placed, found.orders[0])
    return paid, permit_call(node, found, placed, KEY, NOW)


def of_an_escrow() -> dict[str, Any]:
    """Return a chain's true answers about an escrow that paid its order."""
    found = terms()
    (order,) = found.orders
    domain = "string name,string version,uint256 chainId,address verifyingContract"
    keccak, encode = evm_library("eth_utils").keccak, escrow.encode
    own = keccak(
        encode(
            ["bytes32", "bytes32", "bytes32", "uint256", "address"],
            [
                keccak(text=f"EIP712Domain({domain})"),
                *(keccak(text=one) for one in ("Dollar", "1")),
                7,
                TOKEN,
            ],
        )
    )
    held = [int(order.payee, 16), int(order.amount), escrow.STATES.index("released")]
    sent = {"input": "0x" + escrow.deployment(found).hex(), "to": None}
    done = {"contractAddress": AT, "status": "0x1", "blockNumber": "0x64"}
    return {
        "eth_chainId": "0x7",
        "eth_getTransactionByHash": sent,
        "eth_getTransactionReceipt": done,
        "eth_getCode": "0x" + escrow.runtime(found).hex(),
        "eth_getBlockByNumber": {"number": "0x70", "timestamp": "0x7fffffff"},
        "eth_getLogs": [{"transactionHash": SENT, "data": "0x" + "34" * 32}],
        named("orders(bytes32)"): "0x" + encode(["uint256"] * 3, held).hex(),
        named("DOMAIN_SEPARATOR()"): "0x" + own.hex(),
        named("nonces(address)"): "0x" + bytes(32).hex(),
        named("eip712Domain()"): "0x",
        named("name()"): "0x" + encode(["string"], ["Dollar"]).hex(),
    }


@functools.cache
def of_chains() -> Parsers:
    """Return the parsers of escrows' files, of keys, and of a node's answers."""
    word = true_word(b"\10" * 32)
    seen = {
        "eth_chainId": "0x7",
        "eth_getCode": "0x" + shipped()["runtime"],
        "0x" + shipped()["selectors"]["at(bytes32)"]: "0x" + f"{1_700_000_000:064x}",
    }
    return {
        "orders of an escrow": (of_file(ordered, "orders.json"), terms().data),
        "word of an attestor": (of_file(signed_word, "word.json"), word.data),
        "key of a chain": (of_file(key_used, "chain.key"), KEY.hex().encode()),
        "answers about a root": (of_object(stamped), canonical(seen)),
        "answers about an escrow": (
            of_object(settled),
            json.dumps(of_an_escrow(), sort_keys=True, separators=(",", ":")).encode(),
        ),
    }
