"""An entry that says of an earlier one: its payload is gone, its hash stays.

A note that the log's key signed, with four lines of text:

    hetao/redaction/v1
    <origin>
    <index>
    <leaf hash, base64>

The first line keeps it apart from a checkpoint, whose first line is the log's origin.
"""

import base64
import re
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from hetao.errors import Unverified
from hetao.ledger.merkle import HASH_BYTES
from hetao.ledger.note import sign_note, verify_note

FIRST_LINE = "hetao/redaction/v1"
_TEXT = re.compile(
    re.escape(FIRST_LINE) + r"\n([^\n]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n"
)


@dataclass(frozen=True)
class Redaction:
    """Which entry's payload went: its index, and the leaf hash that stays."""

    i: int
    leaf: bytes


def is_redaction(entry: bytes) -> bool:
    """Return whether an entry claims to be one; nothing of it is verified."""
    return entry.startswith(FIRST_LINE.encode() + b"\n")


def redaction_entry(redaction: Redaction, origin: str, key: Ed25519PrivateKey) -> bytes:
    """Return the signed entry that says so."""
    leaf = base64.b64encode(redaction.leaf).decode("ascii")
    text = f"{FIRST_LINE}\n{origin}\n{redaction.i}\n{leaf}\n"
    return f"{text}\n{sign_note(text, origin, key)}".encode()


def parse_redaction(
    entry: bytes, origin: str, public_key: Ed25519PublicKey
) -> Redaction:
    """Return what a redaction entry says.

    Raises:
        Unverified: the entry is none, or the log's key did not sign it.
    """
    try:
        note = entry.decode()
    except UnicodeDecodeError as error:
        raise Unverified("the entry is no redaction: it is not text") from error
    found = _TEXT.fullmatch(verify_note(note, origin, public_key))
    if found is None or found[1] != origin:
        raise Unverified("the entry is no redaction of this log")
    leaf = base64.b64decode(found[3])
    if len(leaf) != HASH_BYTES or base64.b64encode(leaf).decode() != found[3]:
        raise Unverified("the redaction's leaf hash is malformed")
    return Redaction(int(found[2]), leaf)
