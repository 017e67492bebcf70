"""Checkpoints as signed notes, and witnesses' cosignatures: the C2SP text formats.

One text holds what a log claims (origin, size, root), the log's signature and the
cosignatures of whoever saw the same tree. Both kinds here are Ed25519.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from hetao.errors import InvalidData, Unverified
from hetao.ledger.merkle import EMPTY_ROOT, HASH_BYTES, LARGEST_SIZE

LOG_SIGNATURE = 0x01  # signed-note: plain Ed25519
COSIGNATURE = 0x04  # tlog-cosignature/v1: Ed25519 with a time

_KEY_ID_BYTES = 4
_TIME_BYTES = 8
_LATEST_TIME = 2**63 - 1
_LONGEST_NOTE = 1_000_000  # characters, as Go's note package
_MOST_SIGNATURES = 100
_DECIMAL = re.compile("0|[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class Checkpoint:
    """What a log claims at one moment: so many entries, with this root.

    Raises:
        InvalidData: `origin` is not a key name, `size` is not within 0..2^63-1,
            `root` is not 32 bytes, or a tree of size 0 has a root of its own.
    """

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        """Refuse what has no checkpoint text."""
        _require_name(self.origin)
        if not 0 <= self.size <= LARGEST_SIZE:
            raise InvalidData("a checkpoint's size lies outside 0..2^63-1")
        if len(self.root) != HASH_BYTES:
            raise InvalidData("a checkpoint's root is not 32 bytes")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise InvalidData("an empty tree has only one root")

    @property
    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"


@dataclass(frozen=True)
class _Signature:
    name: str
    key_id: bytes
    payload: bytes


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint of a note's text, which must be exactly its three lines.

    Stricter than C2SP in two ways: extension lines are refused, for no monitor could
    audit them, and the origin must be a key name, for it names the log's key.

    Raises:
        Unverified: the text is not that of a checkpoint, to the byte.

    Source:
        C2SP tlog-checkpoint v1.0.0. Test: `tests/unit/test_note.py`.
    """
    lines = text.split("\n") if isinstance(text, str) else []
    if len(lines) != 4 or lines[3]:
        raise Unverified("a checkpoint is three lines, each ended by a newline")
    origin, size, root = lines[:3]
    if not _DECIMAL.fullmatch(size):
        raise Unverified("a checkpoint's size is not a plain decimal")
    try:
        return Checkpoint(origin, int(size), _unbase64(root))
    except InvalidData as error:
        raise Unverified(error.what) from error


def key_id(name: str, public_key: Ed25519PublicKey, kind: int = LOG_SIGNATURE) -> bytes:
    """Return the four bytes that, with the name, point a signature to its key."""
    material = bytes([kind]) + public_key.public_bytes_raw()
    return hashlib.sha256(name.encode() + b"\n" + material).digest()[:_KEY_ID_BYTES]


def vkey(name: str, public_key: Ed25519PublicKey, kind: int = LOG_SIGNATURE) -> str:
    """Return the one-line text in which a verifier is given this key.

    Raises:
        InvalidData: the name is empty or holds a space or a plus.
    """
    _require_name(name)
    material = bytes([kind]) + public_key.public_bytes_raw()
    return f"{name}+{key_id(name, public_key, kind).hex()}+{_base64(material)}"


def sign_note(text: str, name: str, key: Ed25519PrivateKey) -> str:
    """Return the signature line, with its newline; the note is text, newline, line.

    Raises:
        InvalidData: the text or the name cannot stand in a note.
    """
    _require_name(name)
    if not _is_note_text(text) or not text.endswith("\n"):
        raise InvalidData("a note's text ends in a newline and holds no other control")
    identity = key_id(name, key.public_key())
    return _line(name, identity + key.sign(text.encode()))


def verify_note(note: str, name: str, public_key: Ed25519PublicKey) -> str:
    """Return the text that the named key signed.

    Signatures of keys not asked for are ignored, however they are made.

    Raises:
        Unverified: the note is malformed, the key did not sign it, or any signature
            that bears the key's name and id does not hold.

    Source:
        C2SP signed-note v1.0.0. Test: `tests/unit/test_note.py`.
    """
    text, payloads = _payloads(note, name, public_key, LOG_SIGNATURE)
    for payload in payloads:
        _verify(public_key, payload, text.encode(), name)
    return text


def cosign(note: str, name: str, key: Ed25519PrivateKey, when: int) -> str:
    """Return the cosignature line of a witness that saw this checkpoint.

    The caller has checked the checkpoint against all it saw before; this only signs.

    Args:
        note: a signed checkpoint; its signatures are not looked at.
        name: the witness's key name.
        key: the witness's key, used for nothing else: the bytes do not bind the name.
        when: now, in whole seconds since 1970.

    Raises:
        InvalidData: the name or the time cannot stand in a cosignature.
        Unverified: the note is not a checkpoint.
    """
    _require_name(name)
    if not 0 <= when <= _LATEST_TIME:
        raise InvalidData("a cosignature's time lies outside 0..2^63-1")
    text, _ = _parse(note)
    parse_checkpoint(text)
    signature = key.sign(_cosigned(text, when))
    identity = key_id(name, key.public_key(), COSIGNATURE)
    return _line(name, identity + when.to_bytes(_TIME_BYTES, "big") + signature)


def verify_cosignature(note: str, name: str, public_key: Ed25519PublicKey) -> int:
    """Return when the named witness first cosigned this note, in seconds since 1970.

    Raises:
        Unverified: the note is malformed, the witness did not cosign it, or any
            cosignature that bears its name and key id does not hold.

    Source:
        C2SP tlog-cosignature v1.0.0, cosignature/v1. Test: `tests/unit/test_note.py`.
    """
    text, payloads = _payloads(note, name, public_key, COSIGNATURE)
    times = []
    for payload in payloads:
        when = int.from_bytes(payload[:_TIME_BYTES], "big")
        if when > _LATEST_TIME:
            raise Unverified("a cosignature's time lies outside 0..2^63-1")
        _verify(public_key, payload[_TIME_BYTES:], _cosigned(text, when), name)
        times.append(when)
    return min(times)


def _cosigned(text: str, when: int) -> bytes:
    return f"cosignature/v1\ntime {when}\n{text}".encode()


def _verify(key: Ed25519PublicKey, signature: bytes, message: bytes, name: str) -> None:
    try:
        key.verify(signature, message)
    except InvalidSignature as error:
        raise Unverified(f"the signature of {name} does not hold") from error


def _payloads(
    note: str, name: str, public_key: Ed25519PublicKey, kind: int
) -> tuple[str, list[bytes]]:
    """Return the text, and what this key signed of it, at least one."""
    text, signatures = _parse(note)
    known = key_id(name, public_key, kind)
    found = [s.payload for s in signatures if (s.name, s.key_id) == (name, known)]
    if not found:
        raise Unverified(f"the note bears no signature of {name} by the expected key")
    return text, found


def _parse(note: str) -> tuple[str, list[_Signature]]:
    """Return the text and every signature line, all of them well formed."""
    if not _is_note_text(note) or len(note) > _LONGEST_NOTE:
        raise Unverified("the note is too long, or not text without controls")
    # The last blank line, not the first: the text itself may hold blank lines.
    text, blank, tail = note.rpartition("\n\n")
    lines = tail.split("\n")
    if not blank or lines.pop() or not lines or len(lines) > _MOST_SIGNATURES:
        raise Unverified("the note is not text, a blank line and signature lines")
    return text + "\n", [_parse_line(line) for line in lines]


def _parse_line(line: str) -> _Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "\u2014" or not _is_name(parts[1]):
        raise Unverified("a signature line is malformed")
    data = _unbase64(parts[2])
    if len(data) <= _KEY_ID_BYTES:
        raise Unverified("a signature line is too short")
    return _Signature(parts[1], data[:_KEY_ID_BYTES], data[_KEY_ID_BYTES:])


def _line(name: str, data: bytes) -> str:
    return f"\u2014 {name} {_base64(data)}\n"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _unbase64(text: str) -> bytes:
    """Decode the one base64 text of some bytes; every other spelling is refused."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unverified("a line is not base64") from error
    if _base64(data) != text:  # spare bits in the last character
        raise Unverified("a line is not canonical base64")
    return data


def _is_note_text(text: object) -> bool:
    if not isinstance(text, str) or any(c < " " and c != "\n" for c in text):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def _is_name(name: str) -> bool:
    if not name or "+" in name or any(c.isspace() for c in name):
        return False
    return _is_note_text(name)


def _require_name(name: str) -> None:
    if not _is_name(name):
        raise InvalidData(
            "a name is empty, or holds a space, a plus or a control character",
            fix="use a plain address such as example.org/log",
        )
