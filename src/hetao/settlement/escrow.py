"""Escrow: a stablecoin that a contract on a chain holds until attestors sign.

Off unless a contract has an `[escrow]`, and for parties of the Hong Kong side alone.
The terms stand in the code on the chain: order's numbers, amounts, addresses, a quorum
and a time; nobody can change them, and nobody's call is privileged. Whoever signs the
token's permit for that address has signed those terms, so that the payer signs once.

    put there → funded by permit → released by k of n signatures, or given back

An order's number is the one that it has on every rail: 20 bytes under the book's
secret, then twelve zeros. Contract: `contracts/escrow.vy`. Guide:
`docs/guide/settlement.md`.
"""

import base64
import datetime
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final, Protocol

from hetao.anchor.node import Node, evm_library
from hetao.canonical import canonical, parse_canonical
from hetao.errors import HetaoError, InvalidContract, NotAccepted, Unverified
from hetao.permit import parse_time
from hetao.records import fields_of, record
from hetao.settlement.contract import DECIMALS, Contract, Milestone

TYPE: Final = "hetao.escrow/1"
WORD: Final = "hetao.escrow-word/1"
MOST_SIGNERS: Final = 8  # as in the contract
MOST_ORDERS: Final = 32
STATES: Final = ("new", "held", "released", "refunded")
LARGEST: Final = 1 << 20  # bytes of a file
FINAL: Final = "finalized"  # a block that no other history can replace
_HEX32 = re.compile("0x[0-9a-f]{40}0{24}")


class Numbered(Protocol):
    """An order of the book: `settlement.book.Instruction`."""

    @property
    def id(self) -> str:
        """Return its number."""

    @property
    def milestone(self) -> str:
        """Return the name of what it pays."""


@dataclass(frozen=True)
class Order:
    """What one order pays.

    Attributes:
        id: 0x and 64 hex digits; see `id_of`.
        payee: 0x and 40 hex digits.
        amount: in the token's own units, as text: it may exceed what JSON holds.
    """

    id: str
    payee: str
    amount: str


@dataclass(frozen=True)
class Terms:
    """What an escrow is put on the chain with.

    Attributes:
        chain, token, payer, until: as in `settlement.contract.Escrow`.
        quorum: how many attestors must sign.
        attestors: their addresses, ascending.
        orders: at least one.
    """

    chain: int
    token: str
    payer: str
    until: str
    quorum: int
    attestors: tuple[str, ...]
    orders: tuple[Order, ...]

    @property
    def seconds(self) -> int:
        """Return `until` as the chain counts: seconds since 1970."""
        return int(parse_time(self.until).timestamp())

    @property
    def data(self) -> bytes:
        """Return the terms as the bytes of a file."""
        return canonical({"type": TYPE, **fields_of(self)})

    @property
    def total(self) -> int:
        """Return what all the orders pay, in the token's own units."""
        return sum(int(one.amount) for one in self.orders)


@dataclass(frozen=True)
class Word:
    """An attestor's signature for the chain: EIP-712, over number, payee, amount.

    Attributes:
        order: the order's id.
        escrow: the contract that it is for.
        by: the attestor's address.
        signature: 0x and 130 hex digits: r, s, v.
    """

    order: str
    escrow: str
    by: str
    signature: str

    @property
    def data(self) -> bytes:
        """Return the word as the bytes of a file."""
        return canonical({"type": WORD, **fields_of(self)})


# --- terms --------------------------------------------------------------------------
def terms(
    contract: Contract, orders: Sequence[Numbered], _: datetime.datetime
) -> bytes:
    """Return the file of terms of these orders of one contract; see `terms_of`."""
    return terms_of(contract, orders).data


def terms_of(contract: Contract, orders: Sequence[Numbered]) -> Terms:
    """Return the terms of these orders of one contract.

    Raises:
        InvalidContract: it has no escrow, or an address is mistyped.
    """
    escrow = contract.escrow
    if escrow is None:
        raise InvalidContract("the contract has no [escrow]")
    signers = [_address(one.address) for one in contract.attestors if one.address]
    return Terms(
        escrow.chain,
        _address(escrow.token),
        _address(escrow.payer),
        escrow.until,
        contract.quorum,
        tuple(sorted(signers)),
        tuple(
            order_of(contract, contract.milestone(one.milestone), id_of(one.id))
            for one in orders
        ),
    )


def order_of(contract: Contract, milestone: Milestone, number: str) -> Order:
    """Return what a milestone's order says on the chain."""
    decimals = contract.escrow.decimals if contract.escrow else 0
    scale: int = 10 ** (decimals - DECIMALS[contract.currency])
    payee = _address(contract.payee(milestone).address)
    return Order(number, payee, str(milestone.amount * scale))


def id_of(number: str) -> str:
    """Return an order's number as the chain knows it."""
    return "0x" + base64.b32decode(number).hex() + "00" * 12


def number_of(order: Order) -> str:
    """Return the number that an order has in the book and on every other rail."""
    return base64.b32encode(bytes.fromhex(order.id[2:42])).decode("ascii")


def read_terms(paths: Sequence[Path]) -> Terms:
    """Return the terms of some files of orders, which must agree but for the orders.

    Raises:
        InvalidContract: they do not, or one is none.
    """
    found = [_terms_from(_table(path, TYPE), path.name) for path in paths]
    orders = tuple({one.id: one for each in found for one in each.orders}.values())
    if len({replace(each, orders=()) for each in found}) != 1:
        raise InvalidContract("the orders are not of one escrow")
    if len(orders) > MOST_ORDERS or len(orders) < sum(len(e.orders) for e in found):
        raise InvalidContract(
            f"an escrow holds up to {MOST_ORDERS} orders, each named once"
        )
    return replace(found[0], orders=orders)


def read_word(path: Path) -> Word:
    """Return an attestor's word.

    Raises:
        InvalidContract: the file is none.
    """
    word = record(Word, _table(path, WORD), path.name, InvalidContract)
    if not re.fullmatch("0x[0-9a-f]{130}", word.signature):
        raise InvalidContract(f"{path.name} holds no signature of a chain")
    return word


def _table(path: Path, kind: str) -> dict[str, Any]:
    try:
        data = path.read_bytes() if path.stat().st_size <= LARGEST else b""
        table = parse_canonical(data)
    except (OSError, HetaoError) as error:
        raise InvalidContract(f"{path.name} is not a file of an escrow") from error
    if not isinstance(table, dict) or table.pop("type", "") != kind:
        raise InvalidContract(f"{path.name} is not a file of an escrow")
    return table


def _terms_from(table: dict[str, Any], where: str) -> Terms:
    found = record(Terms, table, where, InvalidContract)
    for one in found.orders:
        if not _HEX32.fullmatch(one.id) or not re.fullmatch(
            "[1-9][0-9]{0,38}", one.amount
        ):
            raise InvalidContract(f"{where}: an order has no number or no amount")
        if int(one.amount) >= 1 << 128:
            raise InvalidContract(f"{where}: an amount is beyond what can be meant")
    for address in (found.token, found.payer, *found.attestors):
        _address(address)
    for one in found.orders:
        _address(one.payee)
    parse_time(found.until)
    return found


def _address(text: str) -> str:
    """Return an address in small letters; mixed ones carry a checksum (EIP-55)."""
    if not re.fullmatch("0x[0-9a-fA-F]{40}", text):
        raise InvalidContract("an address is 0x and 40 hex digits")
    digits = text[2:]
    mixed = digits not in (digits.lower(), digits.upper())
    if mixed and evm_library("eth_utils").to_checksum_address(text) != text:
        raise InvalidContract(
            f"the address {text} is mistyped", fix="copy it anew; its checksum is wrong"
        )
    return text.lower()


# --- what the chain is told ---------------------------------------------------------
@cache
def shipped() -> dict[str, Any]:
    """Return the compiled contract: `compiler`, `bytecode`, `runtime`, `selectors`."""
    file = resources.files(__package__).joinpath("contracts/escrow.json")
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found


def deployment(found: Terms) -> bytes:
    """Return what puts an escrow of these terms on the chain."""
    orders = [(bytes.fromhex(o.id[2:]), o.payee, int(o.amount)) for o in found.orders]
    kinds = ["address", "address", "uint256", "uint256", "address[]",
             "(bytes32,address,uint256)[]"]  # fmt: skip
    values = [found.token, found.payer, found.seconds, found.quorum,
              list(found.attestors), orders]  # fmt: skip
    return bytes.fromhex(shipped()["bytecode"]) + _encode(kinds, values)


def runtime(found: Terms) -> bytes:
    """Return the code that an escrow of these terms has on the chain."""
    signers = [*found.attestors, *["0x" + "00" * 20] * MOST_SIGNERS][:MOST_SIGNERS]
    kinds = ["address", "address", "uint256", "uint256", "uint256",
             *["address"] * MOST_SIGNERS]  # fmt: skip
    values = [found.token, found.payer, found.seconds, found.quorum,
              len(found.attestors), *signers]  # fmt: skip
    return bytes.fromhex(shipped()["runtime"]) + _encode(kinds, values)


def fund_call(found: Terms) -> bytes:
    """Return the call that takes all the orders' money from the payer's allowance."""
    ids = [bytes.fromhex(one.id[2:]) for one in found.orders]
    return _call("fund(bytes32[])", ["bytes32[]"], [ids])


def permit_call(node: Node, found: Terms, escrow: str, key: bytes) -> bytes:
    """Return the call that does so by the payer's one signature (EIP-2612).

    Args:
        node: of the chain; the token is asked for its domain and the payer's count.
        found: the terms.
        escrow: the contract's address.
        key: the payer's.

    Raises:
        NotAccepted: the key is not the payer's.
        Unverified: the token knows no permit.
    """
    account = evm_library("eth_account").Account.from_key(key)
    if account.address.lower() != found.payer:
        raise NotAccepted("a permit is signed by the payer of the escrow")
    keccak = evm_library("eth_utils").keccak
    domain = node.call(found.token, keccak(text="DOMAIN_SEPARATOR()")[:4])
    asked = keccak(text="nonces(address)")[:4] + _encode(["address"], [found.payer])
    count = node.call(found.token, asked)
    if len(domain) != 32 or len(count) != 32:
        raise Unverified(
            "the token knows no permit",
            fix="approve the escrow from the payer's wallet, and fund without a permit",
        )
    kind = keccak(text="Permit(address owner,address spender,uint256 value,"
                       "uint256 nonce,uint256 deadline)")  # fmt: skip
    values = [kind, found.payer, escrow, found.total, int.from_bytes(count, "big"),
              found.seconds]  # fmt: skip
    kinds = ["bytes32", "address", "address", *["uint256"] * 3]
    signed = account.unsafe_sign_hash(
        keccak(b"\x19\x01" + domain + keccak(_encode(kinds, values)))
    )
    ids = [bytes.fromhex(one.id[2:]) for one in found.orders]
    r, s = (one.to_bytes(32, "big") for one in (signed.r, signed.s))
    return _call(
        "fund_with_permit(bytes32[],uint256,uint256,uint8,bytes32,bytes32)",
        ["bytes32[]", "uint256", "uint256", "uint8", "bytes32", "bytes32"],
        [ids, found.total, found.seconds, signed.v, r, s],
    )


def release_call(order: Order, words: Sequence[Word]) -> bytes:
    """Return the call that pays an order by these attestors' words."""
    raw = [bytes.fromhex(w.signature[2:]) for w in sorted(words, key=lambda w: w.by)]
    parts = [
        (one[64], int.from_bytes(one[:32], "big"), int.from_bytes(one[32:64], "big"))
        for one in raw
    ]
    return _call(
        "release(bytes32,(uint256,uint256,uint256)[])",
        ["bytes32", "(uint256,uint256,uint256)[]"],
        [bytes.fromhex(order.id[2:]), parts],
    )


def refund_call(order: Order) -> bytes:
    """Return the call that gives the payer an order's money back."""
    return _call("refund(bytes32)", ["bytes32"], [bytes.fromhex(order.id[2:])])


def _call(function: str, kinds: Sequence[str], values: Sequence[object]) -> bytes:
    return bytes.fromhex(shipped()["selectors"][function]) + _encode(kinds, values)


def _encode(kinds: Sequence[str], values: Sequence[object]) -> bytes:
    data: bytes = evm_library("eth_abi").encode(list(kinds), list(values))
    return data


# --- attestors ----------------------------------------------------------------------
def typed_data(chain: int, escrow: str, order: Order) -> dict[str, Any]:
    """Return what an attestor signs, as wallets show it (EIP-712)."""
    domain = {"name": "Hetao escrow", "version": "1", "chainId": chain,
              "verifyingContract": escrow}  # fmt: skip
    return {
        "types": {
            "EIP712Domain": _fields("string name", "string version", "uint256 chainId",
                                    "address verifyingContract"),
            "Release": _fields("bytes32 order", "address payee", "uint256 amount"),
        },
        "primaryType": "Release",
        "domain": domain,
        "message": {"order": order.id, "payee": order.payee,
                    "amount": int(order.amount)},
    }  # fmt: skip


def _fields(*declared: str) -> list[dict[str, str]]:
    return [dict(zip(("type", "name"), one.split(), strict=True)) for one in declared]


def sign_word(found: Terms, escrow: str, order: Order, key: bytes) -> Word:
    """Return an attestor's word that an order is to be paid.

    Raises:
        NotAccepted: the key is no attestor's of these terms.
    """
    library = evm_library("eth_account")
    account = library.Account.from_key(key)
    if account.address.lower() not in found.attestors:
        raise NotAccepted("the key is no attestor's of this escrow")
    said = library.messages.encode_typed_data(
        full_message=typed_data(found.chain, escrow, order)
    )
    raw = bytes(account.sign_message(said).signature)
    return Word(order.id, escrow.lower(), account.address.lower(), "0x" + raw.hex())


def check_words(
    found: Terms, escrow: str, order: Order, words: Sequence[Word]
) -> tuple[Word, ...]:
    """Return the words that release an order, as many as it needs.

    Raises:
        NotAccepted: too few attestors signed, or a word is not for this order.
    """
    library = evm_library("eth_account")
    said = library.messages.encode_typed_data(
        full_message=typed_data(found.chain, escrow, order)
    )
    kept = dict[str, Word]()
    for word in words:
        raw = bytes.fromhex(word.signature[2:])
        try:
            by = str(library.Account.recover_message(said, signature=raw)).lower()
        except ValueError as error:
            raise NotAccepted("a signature is none of a chain") from error
        if by not in found.attestors or by != word.by:
            raise NotAccepted("a word is not of an attestor, or for another order")
        kept[by] = word
    if len(kept) < found.quorum:
        raise NotAccepted(f"{len(kept)} of the {found.quorum} attestors have signed")
    return tuple(kept.values())


# --- what the chain says ------------------------------------------------------------
def check_escrow(node: Node, found: Terms, escrow: str) -> None:
    """Return when the contract at this address is an escrow of these terms.

    Raises:
        Unverified: it is not, or the node is of another chain.
        Unreachable: the node does not answer.
    """
    if node.chain != found.chain:
        raise Unverified(f"the node is not of the chain {found.chain}")
    code = str(node.ask("eth_getCode", escrow, "latest"))
    if code != "0x" + runtime(found).hex():
        raise Unverified("what stands at that address is no escrow of these terms")


def state_of(node: Node, escrow: str, order: Order, block: str = "latest") -> str:
    """Return how an order stands in an escrow that was checked: one of `STATES`.

    Raises:
        Unverified: the escrow has the number with another payee or amount, or not.
        Unreachable: the node does not answer.
    """
    asked = _call("orders(bytes32)", ["bytes32"], [bytes.fromhex(order.id[2:])])
    answer = node.call(escrow, asked, block)
    words = [int.from_bytes(answer[n : n + 32], "big") for n in (0, 32, 64)]
    if words[:2] != [int(order.payee, 16), int(order.amount)] or words[2] > 3:
        raise Unverified("the escrow does not hold this order")
    return STATES[words[2]]


def settled(node: Node, found: Terms, escrow: str, order: Order) -> tuple[bool, str]:
    """Return whether an order was paid, and the reference, as a final block says.

    Raises:
        NotAccepted: the escrow may still pay it.
        Unverified: the contract is no escrow of these terms.
    """
    check_escrow(node, found, escrow)
    block = node.ask("eth_getBlockByNumber", FINAL, False)
    if not isinstance(block, dict):
        raise Unverified("the chain's node knows no final block")
    number, now = str(block["number"]), int(block["timestamp"], 16)
    there = node.ask("eth_getCode", escrow, number) != "0x"  # in that block already
    state = state_of(node, escrow, order, number) if there else "new"
    if state == "released":
        topics = [shipped()["events"]["Released(bytes32)"], order.id]
        asked = {"address": escrow, "fromBlock": "earliest", "toBlock": number,
                 "topics": topics}  # fmt: skip
        lines = node.ask("eth_getLogs", asked)
        if len(lines) != 1:
            raise Unverified("the chain's node does not have the payment's line")
        return True, str(lines[0]["transactionHash"])[2:]
    # Past that second nothing can be put into it or paid from it any more, whatever
    # call is still on its way: both ask for the time.
    if state == "held" or now < found.seconds:
        raise NotAccepted(
            f"the escrow may still pay this order: it is {state}",
            fix="wait for a final block; what was not released is given back after "
            + found.until,
        )
    return False, f"eip155:{found.chain}:{escrow.lower()}"
