"""What attestors sign for the chain: that an order is to be paid, and for what.

EIP-712 over number, payee, amount and evidence, so that a wallet shows each of them and
the contract pays only if as many as its quorum signed over one evidence. The digest of
the evidence stands on the chain under the order's veil, 256 bits that only the parties
have: whoever has the certificate does not learn which payment was for it, and whoever
has certificate and order's file can prove it.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from hetao.anchor.node import evm_library
from hetao.canonical import canonical
from hetao.errors import InvalidContract, NotAccepted
from hetao.records import fields_of, record
from hetao.settlement.escrow import Order, Terms, call_of, read_table

TYPE: Final = "hetao.escrow-word/1"
_DOMAIN: Final = b"hetao-escrow-evidence-v1\n"
_VEIL = re.compile("[0-9a-f]{64}")
_DIGEST = re.compile("sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Word:
    """An attestor's signature for the chain: over number, payee, amount, evidence.

    Attributes:
        order: the order's id.
        escrow: the contract that it is for.
        evidence: as the chain gets it; see `veiled`.
        by: the attestor's address.
        signature: 0x and 130 hex digits: r, s, v.
    """

    order: str
    escrow: str
    evidence: str
    by: str
    signature: str

    @property
    def data(self) -> bytes:
        """Return the word as the bytes of a file."""
        return canonical({"type": TYPE, **fields_of(self)})


def read_word(path: Path) -> Word:
    """Return an attestor's word.

    Raises:
        InvalidContract: the file is none.
    """
    word = record(Word, read_table(path, TYPE), path.name, InvalidContract)
    if not re.fullmatch("0x[0-9a-f]{130}", word.signature):
        raise InvalidContract(f"{path.name} holds no signature of a chain")
    return word


def veiled(order: Order, evidence: str) -> str:
    """Return evidence as the chain gets it: 0x and 64 hex digits.

    SHA-256 over a domain, the order's veil, its number, and the digest of the evidence.

    Args:
        order: of the parties' own file.
        evidence: `sha256:…`, as the attestations name it.

    Raises:
        InvalidContract: the order's file holds no veil.
    """
    if not _VEIL.fullmatch(order.veil) or not _DIGEST.fullmatch(evidence):
        raise InvalidContract(
            "the order's file has nothing to hide the evidence under",
            fix="have the payer write it anew: `hetao settle order … --again`",
        )
    parts = (order.veil, order.id[2:], evidence.partition(":")[2])
    said = _DOMAIN + b"".join(map(bytes.fromhex, parts))
    return "0x" + hashlib.sha256(said).hexdigest()


def typed_data(chain: int, escrow: str, order: Order, evidence: str) -> dict[str, Any]:
    """Return what an attestor signs, as wallets show it (EIP-712)."""
    domain = {"name": "Hetao escrow", "version": "1", "chainId": chain,
              "verifyingContract": escrow}  # fmt: skip
    return {
        "types": {
            "EIP712Domain": _fields("string name", "string version", "uint256 chainId",
                                    "address verifyingContract"),
            "Release": _fields("bytes32 order", "address payee", "uint256 amount",
                               "bytes32 evidence"),
        },
        "primaryType": "Release",
        "domain": domain,
        "message": {"order": order.id, "payee": order.payee,
                    "amount": int(order.amount), "evidence": evidence},
    }  # fmt: skip


def _fields(*declared: str) -> list[dict[str, str]]:
    return [dict(zip(("type", "name"), one.split(), strict=True)) for one in declared]


def sign_word(
    found: Terms, escrow: str, order: Order, evidence: str, key: bytes
) -> Word:
    """Return an attestor's word that an order is to be paid, over veiled evidence.

    Raises:
        NotAccepted: the key is no attestor's of these terms.
    """
    library = evm_library("eth_account")
    account = library.Account.from_key(key)
    if account.address.lower() not in found.attestors:
        raise NotAccepted("the key is no attestor's of this escrow")
    said = library.messages.encode_typed_data(
        full_message=typed_data(found.chain, escrow, order, evidence)
    )
    raw = bytes(account.sign_message(said).signature)
    by, signature = account.address.lower(), "0x" + raw.hex()
    return Word(order.id, escrow.lower(), evidence, by, signature)


def check_words(
    found: Terms, escrow: str, order: Order, evidence: str, words: Sequence[Word]
) -> tuple[Word, ...]:
    """Return as many words as release an order, as the contract takes them.

    A word that is nobody's, or for something else, is set aside.

    Raises:
        NotAccepted: too few attestors signed.
    """
    said = evm_library("eth_account").messages.encode_typed_data(
        full_message=typed_data(found.chain, escrow, order, evidence)
    )
    kept = dict[str, Word]()
    for word in words:
        plain = _plain(word)
        by = _signer(said, plain)
        if by in found.attestors and by == word.by:
            kept[by] = plain
    if len(kept) < found.quorum:
        raise NotAccepted(
            f"{len(kept)} of the {found.quorum} attestors have signed",
            fix="a word is an attestor's, for this order, escrow and evidence alone",
        )
    return tuple(kept[by] for by in sorted(kept)[: found.quorum])


def _plain(word: Word) -> Word:
    """Return a word with v as the contract takes it: some wallets write 0 and 1."""
    v = {"00": "1b", "01": "1c"}.get(word.signature[-2:], word.signature[-2:])
    return replace(word, signature=word.signature[:-2] + v)


def _signer(said: object, word: Word) -> str:
    """Return the address that signed, "" for nobody's: as the contract would say."""
    raw, wrong = bytes.fromhex(word.signature[2:]), evm_library("eth_keys").exceptions
    if raw[64] not in (27, 28):  # of the chain's own function; libraries take more
        return ""
    recover = evm_library("eth_account").Account.recover_message
    try:
        return str(recover(said, signature=raw)).lower()
    except (wrong.BadSignature, wrong.ValidationError, ValueError):
        return ""


def release_call(order: Order, evidence: str, words: Sequence[Word]) -> bytes:
    """Return the call that pays an order by these words over one evidence."""
    raw = [bytes.fromhex(w.signature[2:]) for w in sorted(words, key=lambda w: w.by)]
    parts = [
        (one[64], int.from_bytes(one[:32], "big"), int.from_bytes(one[32:64], "big"))
        for one in raw
    ]
    return call_of(
        "release(bytes32,bytes32,(uint256,uint256,uint256)[])",
        ["bytes32", "bytes32", "(uint256,uint256,uint256)[]"],
        [bytes.fromhex(order.id[2:]), bytes.fromhex(evidence[2:]), parts],
    )
