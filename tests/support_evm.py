"""Two machines that run contracts, py-evm and a real node, behind one small face."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from eth_abi import encode
from eth_utils import keccak, to_canonical_address

from hetao.anchor.node import Node, evm_library
from hetao.errors import Unreachable, Unverified

ANVIL = Path(sys.prefix) / "node/node_modules/@foundry-rs"
# Keys of nobody, the same in every run.
KEYS = tuple(keccak(text=f"play {number}") for number in range(12))
Account = evm_library("eth_account").Account
ADDRESSES = tuple(Account.from_key(key).address.lower() for key in KEYS)
START = 1_800_000_000
GAS = 6_000_000
PRICE = 10**9


@dataclass(frozen=True)
class Done:
    """What became of a transaction."""

    ok: bool
    gas: int
    address: str = ""


@cache
def compiled(*paths: Path) -> dict[str, dict[str, str]]:
    """Return what the compiler makes of each source, by the file's name."""
    # In a process of its own: the compiler lifts Python's limit of recursion.
    words = [sys.executable, "-m", "vyper.cli.vyper_compile", "-f", "combined_json"]
    done = subprocess.run([*words, *paths], check=True, capture_output=True)
    said = json.loads(done.stdout)
    version = said.pop("version").partition("+")[0]
    return {Path(n).name: {**made, "version": version} for n, made in said.items()}


def call(function: str, *values: object) -> bytes:
    """Return the call of a function such as `transfer(address,uint256)`."""
    kinds = function.partition("(")[2][:-1]
    return keccak(text=function)[:4] + encode(_split(kinds), list(values))


def _split(kinds: str) -> list[str]:
    found, depth = [""], 0
    for letter in kinds:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and not depth:
            found.append("")
        else:
            found[-1] += letter
    return [kind for kind in found if kind]


@contextmanager
def as_before():
    """Put back how deep Python may call itself, which libraries of chains lift.

    Else a deeply nested file of another test would end the whole process.
    """
    limit = sys.getrecursionlimit()
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


class PyEvm:
    """An embedded machine of the rules of Prague."""

    def __init__(self) -> None:
        """Start a chain on which every key of `KEYS` is rich."""
        with as_before():
            from eth import constants
            from eth.chains.base import MiningChain
            from eth.consensus import NoProofConsensus
            from eth.db.atomic import AtomicDB
            from eth.vm.forks.prague import PragueVM

        machine = PragueVM.configure(consensus_class=NoProofConsensus)
        chain = MiningChain.configure(
            "Play", vm_configuration=((constants.GENESIS_BLOCK_NUMBER, machine),),
            chain_id=31337,
        )  # fmt: skip
        rich = {"balance": 10**24, "nonce": 0, "code": b"", "storage": {}}
        head = {"timestamp": START, "gas_limit": 10**15, "difficulty": 0}
        state = {to_canonical_address(one): rich for one in ADDRESSES}
        # One block that never ends: what is tried in it is its state.
        self._vm = chain.from_genesis(AtomicDB(), head, state).get_vm()
        self.now = START + 1

    def _made(self, who: int, to: str, data: bytes) -> object:
        from eth.vm.spoof import SpoofTransaction

        sender = to_canonical_address(ADDRESSES[who])
        made = self._vm.create_unsigned_transaction(
            nonce=self._vm.state.get_nonce(sender), gas_price=PRICE, gas=GAS,
            to=to_canonical_address(to) if to else b"", value=0, data=data,
        )  # fmt: skip
        return SpoofTransaction(made, from_=sender)

    def send(self, who: int, to: str, data: bytes) -> Done:
        """Return what became of a call by the owner of `KEYS[who]`."""
        self.now += 1
        state = self._vm.state
        state.execution_context._timestamp = self.now
        before = state.get_balance(to_canonical_address(ADDRESSES[who]))
        made = self._made(who, to, data)
        computation = state.apply_transaction(made)
        state.lock_changes()  # gas asks what stood there before the transaction
        paid = before - state.get_balance(to_canonical_address(ADDRESSES[who]))
        address = "" if to else "0x" + computation.msg.storage_address.hex()
        return Done(not computation.is_error, paid // PRICE, address)

    def ask(self, to: str, data: bytes) -> bytes:
        """Return what a contract answers."""
        state = self._vm.state
        before = state.snapshot()
        try:
            return bytes(state.apply_transaction(self._made(0, to, data)).output)
        finally:
            state.revert(before)

    def code(self, at: str) -> bytes:
        """Return the code at an address."""
        return bytes(self._vm.state.get_code(to_canonical_address(at)))

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.now += seconds


class Anvil:
    """A real node of a chain of its own."""

    def __init__(self, url: str) -> None:
        """Make every key of `KEYS` rich, and its address good for unsigned calls."""
        self.node = Node(url)
        for one in ADDRESSES:
            self.node.ask("anvil_setBalance", one, hex(10**24))
        self.node.ask("anvil_autoImpersonateAccount", True)
        self.now = int(self.block()["timestamp"], 16)

    def block(self) -> dict[str, str]:
        """Return the last block."""
        return dict(self.node.ask("eth_getBlockByNumber", "latest", False))

    def send(self, who: int, to: str, data: bytes) -> Done:
        """Return what became of a call by the owner of `KEYS[who]`."""
        self.now += 1
        self.node.ask("evm_setNextBlockTimestamp", hex(self.now))
        made = {"from": ADDRESSES[who], "data": "0x" + data.hex(), "gas": hex(GAS),
                "gasPrice": hex(2 * PRICE)}  # fmt: skip
        number = self.node.ask("eth_sendTransaction", made | ({"to": to} if to else {}))
        while (receipt := self.node.ask("eth_getTransactionReceipt", number)) is None:
            time.sleep(0.001)
        gas = int(receipt["gasUsed"], 16)
        address = str(receipt.get("contractAddress") or "")
        return Done(receipt["status"] == "0x1", gas, address)

    def ask(self, to: str, data: bytes) -> bytes:
        """Return what a contract answers."""
        return self.node.call(to, data)

    def code(self, at: str) -> bytes:
        """Return the code at an address."""
        return bytes.fromhex(self.node.ask("eth_getCode", at, "latest")[2:])

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.now += seconds

    def settle(self) -> None:
        """Let so many blocks pass that what was done is final."""
        self.node.ask("evm_setNextBlockTimestamp", hex(self.now + 1))
        self.node.ask("anvil_mine", hex(80), hex(1))
        self.now = int(self.block()["timestamp"], 16)


@contextmanager
def anvil() -> Iterator[Anvil]:
    """Give a real node; it ends with the block."""
    (binary,) = ANVIL.glob("anvil-*/bin/anvil")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [str(binary), "--silent", "--host", "127.0.0.1", "--port", str(port),
             "--timestamp", str(START)]  # fmt: skip
    with subprocess.Popen(words) as process:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                Node(url).ask("eth_chainId")
                break
            except (Unreachable, Unverified):
                time.sleep(0.1)
        try:
            yield Anvil(url)
        finally:
            process.terminate()
