"""Escrow: a stablecoin that a contract on a chain holds until attestors sign.

Off unless a contract has an `[escrow]`, and for parties of the Hong Kong side alone.
The terms stand on the chain: order's numbers, amounts, addresses, a quorum and a time;
nobody can change them, and nobody's call is privileged. An escrow is named by the
transaction that put it there, and held against that transaction's own words: code at an
address says nothing of what whoever put it there did first (wrote other orders into its
memory, let somebody take its tokens). Whoever signs the token's permit for that address
(`settlement.eip2612`) has signed those terms, so that the payer signs once.

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
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final, Protocol

from hetao.anchor.node import Node, evm_library, quantity
from hetao.canonical import canonical, parse_canonical
from hetao.errors import HetaoError, InvalidContract, NotAccepted, Unverified
from hetao.permit import parse_time
from hetao.records import fields_of, record
from hetao.settlement.contract import DECIMALS, Contract, Milestone

TYPE: Final = "hetao.escrow/1"
MOST_SIGNERS: Final = 8  # as in the contract
MOST_ORDERS: Final = 32
STATES: Final = ("new", "held", "released", "refunded")
LARGEST: Final = 1 << 20  # bytes of a file
FINAL: Final = "finalized"  # a block that no other history can replace
MOST_BLOCKS: Final = 500_000_000  # of four a second, in four years
SPAN: Final = 5_000  # blocks that nodes let somebody ask for at once
_HEX32 = re.compile("0x[0-9a-f]{40}0{24}")
_ADDRESS = re.compile("0x[0-9a-f]{40}")
_WORD32 = re.compile("0x[0-9a-f]{64}")
_AMOUNT = re.compile("[1-9][0-9]{0,38}")
_KINDS: Final = ("address", "address", "uint256", "uint256", "address[]",
                 "(bytes32,address,uint256)[]")  # fmt: skip


class Numbered(Protocol):
    """An order of the book: `settlement.book.Instruction`."""

    @property
    def id(self) -> str:
        """Return its number."""

    @property
    def milestone(self) -> str:
        """Return the name of what it pays."""

    @property
    def veil(self) -> str:
        """Return what hides its evidence."""


@dataclass(frozen=True)
class Order:
    """What one order pays.

    Attributes:
        id: 0x and 64 hex digits; see `id_of`.
        payee: 0x and 40 hex digits.
        amount: in the token's own units, as text: it may exceed what JSON holds.
        veil: 64 hex digits, for the parties alone: on the chain evidence stands under
            it (`settlement.escrow_word`). What a chain says of an order has none.
    """

    id: str
    payee: str
    amount: str
    veil: str = field(default="", compare=False)


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
class Settled:
    """What became of an order, as a final block says.

    Attributes:
        paid: or else it went back, or can only go back.
        reference: the transaction that paid it, or the escrow.
        evidence: 0x and 64 hex digits, over which it was paid; "" if it was not.
    """

    paid: bool
    reference: str
    evidence: str = ""


@dataclass(frozen=True)
class Placed:
    """An escrow on a chain, as the transaction that put it there says.

    Attributes:
        address: the contract's, in small letters.
        block: the number of the block that it has stood in since.
        orders: all that it was put there with.
    """

    address: str
    block: int
    orders: tuple[Order, ...]


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
            order_of(
                contract, contract.milestone(one.milestone), id_of(one.id), one.veil
            )
            for one in orders
        ),
    )


def order_of(
    contract: Contract, milestone: Milestone, number: str, veil: str = ""
) -> Order:
    """Return what a milestone's order says on the chain."""
    decimals = contract.escrow.decimals if contract.escrow else 0
    scale: int = 10 ** (decimals - DECIMALS[contract.currency])
    payee = _address(contract.payee(milestone).address)
    return Order(number, payee, str(milestone.amount * scale), veil)


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
    found = [_terms_from(read_table(path, TYPE), path.name) for path in paths]
    orders = tuple({one.id: one for each in found for one in each.orders}.values())
    if not orders:
        raise InvalidContract("the files hold no order")
    if len({replace(each, orders=()) for each in found}) != 1:
        raise InvalidContract("the orders are not of one escrow")
    if len(orders) > MOST_ORDERS or len(orders) < sum(len(e.orders) for e in found):
        raise InvalidContract(
            f"an escrow holds up to {MOST_ORDERS} orders, each named once"
        )
    return replace(found[0], orders=orders)


def one_order(found: Terms) -> Order:
    """Return the order of a file that is to hold one.

    Raises:
        InvalidContract: it holds more.
    """
    if len(found.orders) != 1:
        raise InvalidContract("this is done with one order at a time")
    return found.orders[0]


def read_table(path: Path, kind: str) -> dict[str, Any]:
    """Return what a file of this kind holds.

    Raises:
        InvalidContract: it is none.
    """
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
        if not _HEX32.fullmatch(one.id) or not _AMOUNT.fullmatch(one.amount):
            raise InvalidContract(f"{where}: an order has no number or no amount")
        if int(one.amount) >= 1 << 128:
            raise InvalidContract(f"{where}: an amount is beyond what can be meant")
    payees = [one.payee for one in found.orders]
    for address in (found.token, found.payer, *found.attestors, *payees):
        if _address(address) != address:
            raise InvalidContract(f"{where}: an address is not in small letters")
    if not 2 <= found.quorum <= len(found.attestors) <= MOST_SIGNERS:
        raise InvalidContract(f"{where}: the quorum is not one of an escrow")
    if found.chain < 1 or found.seconds < 0:
        raise InvalidContract(f"{where}: no chain has that number, or that time")
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
    """Return the compiled contract: its code, and what its calls and events bear."""
    file = resources.files(__package__).joinpath("contracts/escrow.json")
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found


def deployment(found: Terms) -> bytes:
    """Return what puts an escrow of these terms on the chain."""
    orders = [(bytes.fromhex(o.id[2:]), o.payee, int(o.amount)) for o in found.orders]
    values = [found.token, found.payer, found.seconds, found.quorum,
              list(found.attestors), orders]  # fmt: skip
    return bytes.fromhex(shipped()["bytecode"]) + encode(_KINDS, values)


def orders_in(data: bytes) -> tuple[Order, ...]:
    """Return the orders in what put an escrow on the chain; () where it put none."""
    code = bytes.fromhex(shipped()["bytecode"])
    if not data.startswith(code):
        return ()
    library = evm_library("eth_abi")
    try:
        told = library.decode(list(_KINDS), data[len(code) :])[-1]
    except (library.exceptions.DecodingError, ValueError, OverflowError):
        return ()
    return tuple(Order(f"0x{i.hex()}", payee, str(amount)) for i, payee, amount in told)


def runtime(found: Terms) -> bytes:
    """Return the code that an escrow of these terms has on the chain."""
    signers = [*found.attestors, *["0x" + "00" * 20] * MOST_SIGNERS][:MOST_SIGNERS]
    kinds = ["address", "address", "uint256", "uint256", "uint256",
             *["address"] * MOST_SIGNERS]  # fmt: skip
    values = [found.token, found.payer, found.seconds, found.quorum,
              len(found.attestors), *signers]  # fmt: skip
    return bytes.fromhex(shipped()["runtime"]) + encode(kinds, values)


def fund_call(found: Terms) -> bytes:
    """Return the call that takes all the orders' money from the payer's allowance."""
    ids = [bytes.fromhex(one.id[2:]) for one in found.orders]
    return call_of("fund(bytes32[])", ["bytes32[]"], [ids])


def refund_call(order: Order) -> bytes:
    """Return the call that gives the payer an order's money back."""
    return call_of("refund(bytes32)", ["bytes32"], [bytes.fromhex(order.id[2:])])


def call_of(function: str, kinds: Sequence[str], values: Sequence[object]) -> bytes:
    """Return the call of a function of the contract."""
    return bytes.fromhex(shipped()["selectors"][function]) + encode(kinds, values)


def encode(kinds: Sequence[str], values: Sequence[object]) -> bytes:
    """Return values as the chain writes them (ABI)."""
    data: bytes = evm_library("eth_abi").encode(list(kinds), list(values))
    return data


# --- what the chain says ------------------------------------------------------------
def find_escrow(node: Node, found: Terms, deployed: str) -> Placed:
    """Return the escrow of these terms that a transaction put on the chain.

    That transaction is the contract's own code with the terms, so that nothing but this
    code ever wrote what the contract remembers, or spoke to a token in its name.

    Args:
        node: of the chain.
        found: the terms; their orders may be some of the escrow's.
        deployed: the transaction's number, 0x and 64 hex digits.

    Raises:
        Unverified: it put none there, or the node is of another chain.
        Unreachable: the node does not answer.
    """
    if node.chain != found.chain:
        raise Unverified(f"the node is not of the chain {found.chain}")
    sent = node.ask("eth_getTransactionByHash", deployed)
    done = node.ask("eth_getTransactionReceipt", deployed)
    none = Unverified(
        "that transaction put no escrow of these terms on the chain",
        fix="name the one that `hetao settle escrow deploy` printed",
    )
    if not isinstance(sent, dict) or not isinstance(done, dict):
        raise none
    data, address = str(sent.get("input")), str(done.get("contractAddress")).lower()
    if sent.get("to", "") is not None or done.get("status") != "0x1":
        raise none
    if not re.fullmatch("0x([0-9a-f]{2})*", data) or not _ADDRESS.fullmatch(address):
        raise none
    orders = orders_in(bytes.fromhex(data[2:]))
    if not set(found.orders) <= set(orders):
        raise none
    if deployment(replace(found, orders=orders)).hex() != data[2:]:
        raise none
    if node.ask("eth_getCode", address, "latest") != "0x" + runtime(found).hex():
        raise none
    return Placed(address, quantity(done.get("blockNumber")), orders)


def check_decimals(node: Node, contract: Contract) -> None:
    """Return when the token counts as the contract says.

    Raises:
        Unverified: it does not, or does not say.
        Unreachable: the node does not answer.
    """
    said = contract.escrow
    if said is None:
        raise Unverified("the contract has no [escrow]")
    answer = node.call(
        said.token, evm_library("eth_utils").keccak(text="decimals()")[:4]
    )
    if len(answer) != 32 or int.from_bytes(answer, "big") != said.decimals:
        raise Unverified(
            f"the token does not have the {said.decimals} decimals of the contract",
            fix="correct `decimals` in a contract of another name",
        )


def in_tokens(contract: Contract, order: Order) -> str:
    """Return an order's amount as people count the token, such as "12.500000"."""
    places = contract.escrow.decimals if contract.escrow else 0
    digits = order.amount.zfill(places + 1)
    return f"{digits[: len(digits) - places]}.{digits[len(digits) - places :]}".rstrip(
        "."
    )


def state_of(node: Node, escrow: str, order: Order, block: str = "latest") -> str:
    """Return how an order stands in an escrow that was checked: one of `STATES`.

    Raises:
        Unverified: the escrow has the number with another payee or amount, or not.
        Unreachable: the node does not answer.
    """
    asked = call_of("orders(bytes32)", ["bytes32"], [bytes.fromhex(order.id[2:])])
    answer = node.call(escrow, asked, block)
    words = [int.from_bytes(answer[n : n + 32], "big") for n in (0, 32, 64)]
    if words[:2] != [int(order.payee, 16), int(order.amount)] or words[2] > 3:
        raise Unverified("the escrow does not hold this order")
    return STATES[words[2]]


def settled(node: Node, found: Terms, placed: Placed, order: Order) -> Settled:
    """Return whether an order was paid, and over what, as a final block says.

    Raises:
        NotAccepted: the escrow may still pay it.
        Unverified: the escrow does not hold it, or the node has no final block.
    """
    number, now = _final(node)
    # Of a block before it was put there nobody can ask it.
    there = number >= placed.block
    state = state_of(node, placed.address, order, hex(number)) if there else "new"
    if state == "released":
        return paid(node, placed, order, number)
    # Past that second nothing can be put into it or paid from it any more, whatever
    # call is still on its way: both ask for the time.
    if state == "held" or now < found.seconds or not there:
        raise NotAccepted(
            f"the escrow may still pay this order: it is {state}",
            fix="wait for a final block; what was not released is given back after "
            + found.until,
        )
    return Settled(False, f"eip155:{found.chain}:{placed.address}")


def check_final(node: Node, placed: Placed) -> None:
    """Return when no other history can put another contract at the address.

    Whoever put it there could put something else at the same address, and show it the
    payer's permit.

    Raises:
        NotAccepted: no final block has it yet.
        Unverified: the node has no final block.
    """
    if _final(node)[0] < placed.block:
        raise NotAccepted(
            "the block that has the escrow is not final yet",
            fix="wait a quarter of an hour, and try again",
        )


def _final(node: Node) -> tuple[int, int]:
    """Return number and time of the last final block."""
    block = node.ask("eth_getBlockByNumber", FINAL, False)
    if not isinstance(block, dict):
        raise Unverified("the chain's node knows no final block")
    return quantity(block.get("number")), quantity(block.get("timestamp"))


def paid(node: Node, placed: Placed, order: Order, last: int) -> Settled:
    """Return by what an order was paid, up to a block; asked in spans that nodes take.

    Raises:
        Unverified: the node does not say.
        Unreachable: the node does not answer.
    """
    topics = [shipped()["events"]["Released(bytes32,bytes32)"], order.id]
    if last - placed.block > MOST_BLOCKS:  # a node could have us ask for ever
        raise Unverified("the chain's node tells of more blocks than there can be")
    while last >= placed.block:
        first = max(placed.block, last - SPAN + 1)
        asked = {"address": placed.address, "fromBlock": hex(first),
                 "toBlock": hex(last), "topics": topics}  # fmt: skip
        lines = node.ask("eth_getLogs", asked)
        if not isinstance(lines, list):
            break
        if lines:
            line = lines[0] if len(lines) == 1 and type(lines[0]) is dict else {}
            said = [str(line.get(one)) for one in ("transactionHash", "data")]
            if all(map(_WORD32.fullmatch, said)):
                return Settled(True, said[0][2:], said[1])
            break
        last = first - 1
    raise Unverified("the chain's node does not say by what the order was paid")
