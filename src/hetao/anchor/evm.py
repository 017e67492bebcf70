"""A chain of the EVM kind: a contract that remembers when it first saw a root.

Off unless somebody chooses it, and refused for the Mainland side: technology services
for tokens need approval there (Document 42 of 6 February 2026), and a blockchain
information service a filing. Contract: `contracts/stamp.vy`.
"""

import base64
import datetime
import json
import sys
import time
import urllib.error
import urllib.request
from functools import cache
from importlib import resources
from typing import Any, Final

from hetao.anchor.stamp import Stamp, Stamped, check_root
from hetao.errors import AnchorForbidden, Unreachable, Unverified, Usage

SECONDS: Final = 60.0
LARGEST: Final = 1 << 20  # bytes of an answer
ENOUGH_GAS: Final = 80_000
TRIES: Final = 120
WAIT: Final = 0.5  # seconds between two looks for a block


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
        """Take a node's address, the contract's, and what signs, if anything.

        Args:
            url: JSON-RPC over http.
            contract: 0x and 40 hex digits; "" before `deploy`.
            key: 32 bytes; empty to verify only.
            side: of whoever stamps, "HK" or "SZ".

        Raises:
            Usage: the address is not http.
        """
        if not url.startswith(("http://", "https://")):
            raise Usage("a chain's node has an http address")
        self.url, self.contract, self._key, self._side = url, contract, key, side

    def deploy(self) -> str:
        """Put the contract on the chain and return its address."""
        receipt = self._send("", bytes.fromhex(shipped()["bytecode"]), 2_000_000)
        self.contract = str(receipt["contractAddress"])
        return self.contract

    def stamp(self, root: bytes) -> Stamp:
        """Have the contract remember a root; see `Anchor`.

        Raises:
            AnchorForbidden: the side may not use a chain.
        """
        if len(root) != 32:
            raise Usage("a root has 32 bytes")
        receipt = self._send(
            self.contract, self._call("stamp(bytes32)", root), ENOUGH_GAS
        )
        proof = base64.b64encode(bytes.fromhex(receipt["transactionHash"][2:]))
        chain = int(self._ask("eth_chainId"), 16)
        where = f"eip155:{chain}:{self.contract.lower()}"
        return Stamp("evm", root.hex(), where, proof.decode("ascii"))

    def verify(self, stamp: Stamp, root: bytes) -> Stamped:
        """Return when the contract first saw this root, as this node says."""
        check_root(stamp, "evm", root)
        chain = int(self._ask("eth_chainId"), 16)
        where = f"eip155:{chain}:{self.contract.lower()}"
        if stamp.where != where:
            raise Unverified("the stamp is of another chain or contract")
        code = self._ask("eth_getCode", self.contract, "latest")
        if code[2:] != shipped()["runtime"]:
            raise Unverified("what stands at that address is another contract")
        call = {
            "to": self.contract,
            "data": "0x" + self._call("at(bytes32)", root).hex(),
        }
        at = int(self._ask("eth_call", call, "latest"), 16)
        if not at:
            raise Unverified("the contract never saw this root")
        return Stamped(root, datetime.datetime.fromtimestamp(at, datetime.UTC), where)

    def _call(self, function: str, root: bytes) -> bytes:
        return bytes.fromhex(shipped()["selectors"][function]) + root

    def _send(self, to: str, data: bytes, gas: int) -> dict[str, Any]:
        if self._side != "HK":
            raise AnchorForbidden(
                "a chain is used by parties of the Hong Kong side alone",
                fix="use a time-stamping authority; ask counsel",
            )
        signed, sender = self._signed(to, data, gas)
        number = self._ask("eth_sendRawTransaction", signed)
        receipt = self._awaited(number)
        if receipt.get("status") != "0x1":
            raise Unverified(
                f"the chain refused the transaction of {sender}",
                fix="a root is stamped once; look whether it was before",
            )
        return receipt

    def _signed(self, to: str, data: bytes, gas: int) -> tuple[str, str]:
        limit = sys.getrecursionlimit()
        try:
            from eth_account import Account
        except ImportError as missing:
            raise Usage(
                "a chain needs eth-account", fix="pip install 'hetao[evm]'"
            ) from missing
        finally:
            # One of its libraries lifts the limit so far that a stranger's deeply
            # nested file would then end the process.
            sys.setrecursionlimit(limit)
        account = Account.from_key(self._key)
        price = int(self._ask("eth_gasPrice"), 16)
        transaction: dict[str, Any] = {
            "chainId": int(self._ask("eth_chainId"), 16),
            "nonce": int(
                self._ask("eth_getTransactionCount", account.address, "pending"), 16
            ),
            "gas": gas,
            "gasPrice": price,
            "value": 0,
            "data": data,
        }
        if to:
            transaction["to"] = bytes.fromhex(to.removeprefix("0x"))
        signed = account.sign_transaction(transaction)
        return "0x" + signed.raw_transaction.hex().removeprefix("0x"), account.address

    def _awaited(self, number: str) -> dict[str, Any]:
        for _ in range(TRIES):
            receipt = self._ask("eth_getTransactionReceipt", number)
            if receipt:
                return dict(receipt)
            time.sleep(WAIT)
        raise Unreachable("no block took the transaction in time")

    def _ask(self, method: str, *parameters: object) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
        asked = urllib.request.Request(  # noqa: S310 - the address is http, above
            self.url,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(asked, timeout=SECONDS) as answer:  # noqa: S310
                found = json.loads(answer.read(LARGEST))
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise Unreachable(
                f"the chain's node does not answer: {type(error).__name__}"
            ) from error
        if not isinstance(found, dict) or "result" not in found:
            said = str(found.get("error", "")) if isinstance(found, dict) else ""
            raise Unverified(f"the chain's node refuses {method}: {said[:200]}")
        return found["result"]
