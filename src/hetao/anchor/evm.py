"""A chain of the EVM kind: a contract that remembers when it first saw a root.

Off unless somebody chooses it, and refused for the Mainland side: see `node`. Contract:
`contracts/stamp.vy`.
"""

import base64
import datetime
import json
from functools import cache
from importlib import resources
from typing import Any, Final

from hetao.anchor.node import Node, quantity
from hetao.anchor.stamp import Stamp, Stamped, check_root
from hetao.errors import Unverified, Usage

ENOUGH_GAS: Final = 80_000
LAST_SECOND: Final = 253_402_300_799  # of the year 9999


@cache
def shipped() -> dict[str, Any]:
    """Return the compiled contract: `compiler`, `bytecode`, `selectors`."""
    file = resources.files(__package__).joinpath("contracts/stamp.json")
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found


class Chain:
    """A node of a chain, and the contract on it."""

    def __init__(
        self, url: str, contract: str, key: bytes = b"", side: str = ""
    ) -> None:
        """Take a node's address, the contract's, and what signs; see `Node`.

        Args:
            url: JSON-RPC over http.
            contract: 0x and 40 hex digits; "" before `deploy`.
            key: 32 bytes; empty to verify only.
            side: of whoever stamps, "HK" or "SZ".

        Raises:
            Usage: the address is not http.
        """
        self.node, self.contract = Node(url, key, side), contract

    def deploy(self) -> str:
        """Put the contract on the chain and return its address."""
        receipt = self.node.send("", bytes.fromhex(shipped()["bytecode"]), 2_000_000)
        self.contract = str(receipt.get("contractAddress"))
        return self.contract

    def stamp(self, root: bytes) -> Stamp:
        """Have the contract remember a root; see `Anchor`.

        Raises:
            AnchorForbidden: the side may not use a chain.
        """
        if len(root) != 32:
            raise Usage("a root has 32 bytes")
        receipt = self.node.send(
            self.contract, self._call("stamp(bytes32)", root), ENOUGH_GAS
        )
        number = quantity(receipt.get("transactionHash")).to_bytes(32, "big")
        proof = base64.b64encode(number).decode("ascii")
        return Stamp("evm", root.hex(), self._where(), proof)

    def verify(self, stamp: Stamp, root: bytes) -> Stamped:
        """Return when the contract first saw this root, as this node says."""
        check_root(stamp, "evm", root)
        where = self._where()
        if stamp.where != where:
            raise Unverified("the stamp is of another chain or contract")
        code = self.node.ask("eth_getCode", self.contract, "latest")
        if code != "0x" + shipped()["runtime"]:
            raise Unverified("what stands at that address is another contract")
        answer = self.node.call(self.contract, self._call("at(bytes32)", root))
        at = int.from_bytes(answer, "big")
        if not at:
            raise Unverified("the contract never saw this root")
        if at > LAST_SECOND:
            raise Unverified("the chain's node answers with no time")
        return Stamped(root, datetime.datetime.fromtimestamp(at, datetime.UTC), where)

    def _where(self) -> str:
        return f"eip155:{self.node.chain}:{self.contract.lower()}"

    def _call(self, function: str, root: bytes) -> bytes:
        return bytes.fromhex(shipped()["selectors"][function]) + root
