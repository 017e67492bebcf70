"""A node of a chain of the EVM kind, over JSON-RPC: what is asked, signed and sent.

Sending is refused for the Mainland side: technology services for tokens need approval
there (Document 42 of 6 February 2026), and a blockchain information service a filing.
Asking is open to everybody.
"""

import json
import re
import sys
import time
import types
import urllib.request
from typing import Any, Final

from hetao.anchor.answers import answer_to
from hetao.errors import AnchorForbidden, Unreachable, Unverified, Usage

SECONDS: Final = 60.0
LARGEST: Final = 1 << 20  # bytes of an answer
TRIES: Final = 120
WAIT: Final = 0.5  # seconds between two looks for a block


def evm_library(name: str) -> types.ModuleType:
    """Return a library of the extra `evm`: `eth_account`, `eth_abi` and others.

    Args:
        name: one of `eth_abi`, `eth_account`, `eth_keys`, `eth_utils`.

    Raises:
        Usage: the extra is not installed.
    """
    limit = sys.getrecursionlimit()
    found: types.ModuleType
    try:  # each by its own name: no name that is read chooses what is loaded
        if name == "eth_abi":
            import eth_abi as found
        elif name == "eth_utils":
            import eth_utils as found
        elif name == "eth_keys":
            import eth_keys as found
        else:
            import eth_account as found
    except ImportError as missing:
        raise Usage(
            f"a chain needs {name}", fix="pip install 'hetao[evm]'"
        ) from missing
    else:
        return found
    finally:
        # One of its libraries lifts the limit so far that a stranger's deeply nested
        # file would then end the process.
        sys.setrecursionlimit(limit)


def quantity(text: object) -> int:
    """Return a number as nodes write it: 0x and hex digits.

    Raises:
        Unverified: it is none.
    """
    if not isinstance(text, str) or not re.fullmatch("0x[0-9a-fA-F]{1,64}", text):
        raise Unverified("the chain's node answers with no number")
    return int(text, 16)


class Node:
    """A node of a chain, and what signs for us there, if anything."""

    def __init__(self, url: str, key: bytes = b"", side: str = "") -> None:
        """Take a node's address and what signs.

        Args:
            url: JSON-RPC over http.
            key: 32 bytes; empty to ask only.
            side: of whoever sends, "HK" or "SZ".

        Raises:
            Usage: the address is not http.
        """
        if not url.startswith(("http://", "https://")):
            raise Usage("a chain's node has an http address")
        self.url, self._key, self._side = url, key, side

    @property
    def chain(self) -> int:
        """Return the chain's number (EIP-155)."""
        return quantity(self.ask("eth_chainId"))

    def ask(self, method: str, *parameters: object) -> Any:
        """Return what the node answers.

        Raises:
            Unreachable: it does not.
            Unverified: it refuses, points elsewhere, or answers with too much.
        """
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
        asked = urllib.request.Request(  # noqa: S310 - the address is http, above
            self.url,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        data = answer_to(asked, LARGEST, SECONDS, "the chain's node")
        try:
            found = json.loads(data)
        except (ValueError, RecursionError) as error:  # of an answer nested deeply
            raise Unreachable(
                f"the chain's node does not answer: {type(error).__name__}"
            ) from error
        if not isinstance(found, dict) or "result" not in found:
            said = str(found.get("error", "")) if isinstance(found, dict) else ""
            raise Unverified(f"the chain's node refuses {method}: {said[:200]}")
        return found["result"]

    def call(self, to: str, data: bytes, block: str = "latest") -> bytes:
        """Return what a contract answers, without a transaction.

        Raises:
            Unreachable: the node does not answer.
            Unverified: it refuses, or the answer is no bytes.
        """
        found = self.ask("eth_call", {"to": to, "data": "0x" + data.hex()}, block)
        try:
            return bytes.fromhex(str(found).removeprefix("0x"))
        except ValueError as error:
            raise Unverified("the chain's node answers with no bytes") from error

    def send(self, to: str, data: bytes, gas: int) -> dict[str, Any]:
        """Return the receipt of a transaction that a block took.

        Args:
            to: 0x and 40 hex digits; "" puts a contract on the chain.
            data: what it is told.
            gas: the most that it may cost.

        Raises:
            AnchorForbidden: the side may not use a chain.
            Unreachable: the node does not answer, or no block took it in time.
            Unverified: the chain refused it.
        """
        if self._side != "HK":
            raise AnchorForbidden(
                "a chain is used by parties of the Hong Kong side alone",
                fix="use a time-stamping authority; ask counsel",
            )
        signed, sender = self._signed(to, data, gas)
        receipt = self._awaited(self.ask("eth_sendRawTransaction", signed))
        if receipt.get("status") != "0x1":
            raise Unverified(
                f"the chain refused the transaction of {sender}",
                fix="look whether it was done before",
            )
        return receipt

    def _signed(self, to: str, data: bytes, gas: int) -> tuple[str, str]:
        account = evm_library("eth_account").Account.from_key(self._key)
        count = self.ask("eth_getTransactionCount", account.address, "pending")
        transaction: dict[str, Any] = {
            "chainId": self.chain,
            "nonce": quantity(count),
            "gas": gas,
            "gasPrice": quantity(self.ask("eth_gasPrice")),
            "value": 0,
            "data": data,
        }
        if to:
            transaction["to"] = bytes.fromhex(to.removeprefix("0x"))
        signed = account.sign_transaction(transaction)
        return "0x" + signed.raw_transaction.hex().removeprefix("0x"), account.address

    def _awaited(self, number: str) -> dict[str, Any]:
        for _ in range(TRIES):
            receipt = self.ask("eth_getTransactionReceipt", number)
            if isinstance(receipt, dict):
                return receipt
            time.sleep(WAIT)
        raise Unreachable("no block took the transaction in time")
