"""Checkpoints as signed notes, and witnesses' cosignatures: the C2SP text formats.

One text holds what a log claims (origin, size, root), the log's signature and the
cosignatures of whoever saw the same tree. Keys are Ed25519, or ML-DSA-44, which no
quantum computer breaks; a log that has both signs with both.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.mldsa import (
    MLDSA44PrivateKey,
    MLDSA44PublicKey,
)

from hetao.errors import InvalidData, Unverified
from hetao.ledger.merkle import EMPTY_ROOT, HASH_BYTES, LARGEST_SIZE
from hetao.permit.points import is_weak

LOG_SIGNATURE = 0x01  # signed-note: plain Ed25519
COSIGNATURE = 0x04  # tlog-cosignature, cosignature/v1: Ed25519 with a time
SUBTREE = 0x06  # tlog-cosignature, subtree/v1: ML-DSA-44 with a time and a name
KINDS = (LOG_SIGNATURE, COSIGNATURE, SUBTREE)

_KEY_ID_BYTES = 4
_TIME_BYTES = 8
_LATEST_TIME = 2**63 - 1
_LONGEST_NOTE = 1_000_000  # characters, as Go's note package
_MOST_SIGNATURES = 100
_LONGEST_NAME = 255  # bytes of a name in what ML-DSA-44 signs
_DECIMAL = re.compile("0|[1-9][0-9]{0,18}")
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f]")
_NAME = re.compile(r"[^\s+]+")


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
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n"


@dataclass(frozen=True)
class SignatureLine:
    """One line under a note: whose it says it is, and what they signed."""

    name: str
    key_id: bytes
    payload: bytes


@dataclass(frozen=True)
class Verifier:
    """Who may sign a note, and by which key: what one vkey says.

    Attributes:
        name: the key's name, in every line that it signs.
        kind: LOG_SIGNATURE, COSIGNATURE or SUBTREE.
        public: 32 bytes of an Ed25519 key, or 1,312 of an ML-DSA-44 key.

    Raises:
        InvalidData: the name is not one, or the key is none of this kind.
    """

    name: str
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        """Refuse a key that could verify nothing."""
        _require_name(self.name)
        if self.kind not in KINDS:
            raise InvalidData(f"a key of {self.name} is of an unknown kind")
        if self.kind == SUBTREE and len(self.name.encode()) > _LONGEST_NAME:
            raise InvalidData("a name under an ML-DSA-44 key is longer than 255 bytes")
        try:
            self._key  # noqa: B018
        except ValueError as error:
            raise InvalidData(f"the key of {self.name} is not whole") from error
        if self.kind != SUBTREE and is_weak(self.public):
            raise InvalidData(
                f"the key of {self.name} is of small order, or in another form than "
                "its one: a signature under it proves nothing",
                fix="have its owner make a new key",
            )

    @classmethod
    def of(cls, name: str, key: "PublicKey", kind: int) -> "Verifier":
        """Return the verifier of a public key."""
        return cls(name, kind, key.public_bytes_raw())

    @property
    def key_id(self) -> bytes:
        """Return the four bytes that, with the name, point a signature to its key."""
        material = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return hashlib.sha256(material).digest()[:_KEY_ID_BYTES]

    @property
    def vkey(self) -> str:
        """Return the one-line text in which a verifier is given this key."""
        material = bytes([self.kind]) + self.public
        return f"{self.name}+{self.key_id.hex()}+{to_base64(material)}"

    def check(self, text: str, payload: bytes) -> int:
        """Return when a text was signed, in seconds since 1970; 0 where none says.

        Raises:
            Unverified: this key did not sign it.
        """
        when, signature = 0, payload
        if self.kind != LOG_SIGNATURE:
            when = int.from_bytes(payload[:_TIME_BYTES], "big")
            signature = payload[_TIME_BYTES:]
        if when > _LATEST_TIME:
            raise Unverified("a cosignature's time lies outside 0..2^63-1")
        message = _message(self.kind, self.name, text, when)
        try:
            self._key.verify(signature, message)
        except (InvalidSignature, ValueError) as error:
            raise Unverified(f"the signature of {self.name} does not hold") from error
        return when

    @cached_property
    def _key(self) -> "PublicKey":
        if self.kind == SUBTREE:
            return MLDSA44PublicKey.from_public_bytes(self.public)
        return Ed25519PublicKey.from_public_bytes(self.public)


PublicKey = Ed25519PublicKey | MLDSA44PublicKey
CosigningKey = Ed25519PrivateKey | MLDSA44PrivateKey


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
    if not is_decimal(size):
        raise Unverified("a checkpoint's size is not a plain decimal")
    try:
        return Checkpoint(origin, int(size), from_base64(root))
    except InvalidData as error:
        raise Unverified(error.what) from error


def size_of(note: str) -> int:
    """Return the size that a checkpoint's note claims; no signature is looked at.

    Raises:
        Unverified: the note is not a checkpoint.
    """
    return checkpoint_of(note).size


def checkpoint_of(note: str) -> Checkpoint:
    """Return the checkpoint of a note; no signature is looked at.

    Raises:
        Unverified: the note is not a checkpoint.
    """
    return parse_checkpoint(parse_note(note)[0])


def key_id(name: str, public_key: PublicKey, kind: int = LOG_SIGNATURE) -> bytes:
    """Return the four bytes that, with the name, point a signature to its key."""
    return Verifier.of(name, public_key, kind).key_id


def vkey(name: str, public_key: PublicKey, kind: int = LOG_SIGNATURE) -> str:
    """Return the one-line text in which a verifier is given this key.

    Raises:
        InvalidData: the name is empty or holds a space or a plus.
    """
    return Verifier.of(name, public_key, kind).vkey


def parse_vkey(text: str) -> Verifier:
    """Return the key of a vkey.

    Raises:
        InvalidData: it is none of a kind known here, or its key id is another's.
    """
    parts = text.split("+", 2)  # base64 has pluses of its own
    if len(parts) != 3:
        raise InvalidData("a vkey is a name, a key id and a key, joined by pluses")
    try:
        material = from_base64(parts[2])
    except Unverified as error:
        raise InvalidData(f"the key of {parts[0]} is not base64") from error
    if not material:
        raise InvalidData(f"the key of {parts[0]} is not whole")
    found = Verifier(parts[0], material[0], material[1:])
    if found.key_id.hex() != parts[1]:
        raise InvalidData(f"the key id of {parts[0]} is not that of its key")
    return found


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


def sign_checkpoint(
    checkpoint: Checkpoint,
    key: Ed25519PrivateKey,
    beside: MLDSA44PrivateKey | None = None,
) -> str:
    """Return the note of a log's checkpoint.

    Args:
        checkpoint: what the log claims.
        key: the log's key.
        beside: its second key, whose line stands under the first; None for none. The
            time in that line is 0: a log says nothing about when.
    """
    text, origin = checkpoint.text, checkpoint.origin
    note = text + "\n" + sign_note(text, origin, key)
    return note if beside is None else note + cosign(note, origin, beside, 0)


def shortened(note: str, *verifiers: Verifier) -> str:
    """Return a note under one line of each of these keys, in their order, and no more.

    Nothing is verified; a key that did not sign has no line.

    Raises:
        Unverified: the note is malformed, or none of the keys signed it.
    """
    text, lines = parse_note(note)
    found = {(line.name, line.key_id): line for line in reversed(lines)}
    kept = [found.get((one.name, one.key_id)) for one in verifiers]
    own = [_line(one.name, one.key_id + one.payload) for one in kept if one]
    if not own:
        raise Unverified(f"the note bears no signature of {verifiers[0].name}")
    return f"{text}\n{''.join(own)}"


def open_note(
    note: str, verifiers: Sequence[Verifier]
) -> tuple[str, dict[Verifier, int]]:
    """Return a note's text, and which of these signed it, first when.

    Signatures of keys not asked for are ignored, however they are made.

    Raises:
        Unverified: the note is malformed, or any signature that bears the name and id
            of one of these keys does not hold.

    Source:
        C2SP signed-note v1.0.0. Test: `tests/unit/test_note.py`.
    """
    text, lines = parse_note(note)
    known = {(one.name, one.key_id): one for one in verifiers}
    found: dict[Verifier, int] = {}
    for line in lines:
        signer = known.get((line.name, line.key_id))
        if signer is not None:
            when = signer.check(text, line.payload)
            found[signer] = min(when, found.get(signer, when))
    return text, found


def verify_note(note: str, name: str, public_key: Ed25519PublicKey) -> str:
    """Return the text that the named key signed.

    Raises:
        Unverified: the note is malformed, the key did not sign it, or any signature
            that bears the key's name and id does not hold.
    """
    return _signed(note, Verifier.of(name, public_key, LOG_SIGNATURE))[0]


def cosign(note: str, name: str, key: CosigningKey, when: int) -> str:
    """Return the cosignature line of a witness that saw this checkpoint.

    The caller has checked the checkpoint against all it saw before; this only signs.

    Args:
        note: a signed checkpoint; its signatures are not looked at.
        name: the witness's key name.
        key: the witness's key. An Ed25519 key is used for nothing else: the bytes
            that it signs do not bind the name.
        when: now, in whole seconds since 1970.

    Raises:
        InvalidData: the name or the time cannot stand in a cosignature.
        Unverified: the note is not a checkpoint.
    """
    if not 0 <= when <= _LATEST_TIME:
        raise InvalidData("a cosignature's time lies outside 0..2^63-1")
    kind = SUBTREE if isinstance(key, MLDSA44PrivateKey) else COSIGNATURE
    signer = Verifier.of(name, key.public_key(), kind)
    text, _ = parse_note(note)
    parse_checkpoint(text)
    signature = key.sign(_message(kind, name, text, when))
    return _line(name, signer.key_id + when.to_bytes(_TIME_BYTES, "big") + signature)


def verify_cosignature(note: str, name: str, public_key: PublicKey) -> int:
    """Return when the named witness first cosigned this note, in seconds since 1970.

    Raises:
        Unverified: the note is malformed, the witness did not cosign it, or any
            cosignature that bears its name and key id does not hold.

    Source:
        C2SP tlog-cosignature, cosignature/v1 and subtree/v1. Test:
        `tests/unit/test_note.py`.
    """
    kind = SUBTREE if isinstance(public_key, MLDSA44PublicKey) else COSIGNATURE
    return _signed(note, Verifier.of(name, public_key, kind))[1]


def _signed(note: str, verifier: Verifier) -> tuple[str, int]:
    text, found = open_note(note, [verifier])
    if verifier not in found:
        raise Unverified(
            f"the note bears no signature of {verifier.name} by the expected key"
        )
    return text, found[verifier]


def _message(kind: int, name: str, text: str, when: int) -> bytes:
    """Return what a signature of this kind covers."""
    if kind == LOG_SIGNATURE:
        return text.encode()
    if kind == COSIGNATURE:
        return f"cosignature/v1\ntime {when}\n{text}".encode()
    checkpoint = parse_checkpoint(text)
    return b"".join(
        (
            b"subtree/v1\n\0",
            _counted(name),
            when.to_bytes(_TIME_BYTES, "big"),
            _counted(checkpoint.origin),
            bytes(8),  # the first leaf: a checkpoint's tree starts at 0
            checkpoint.size.to_bytes(8, "big"),
            checkpoint.root,
        )
    )


def _counted(name: str) -> bytes:
    raw = name.encode()
    if len(raw) > _LONGEST_NAME:
        raise Unverified("a name that ML-DSA-44 signs is longer than 255 bytes")
    return bytes([len(raw)]) + raw


def parse_note(note: str) -> tuple[str, list[SignatureLine]]:
    """Return the text and every signature line, all of them well formed.

    No signature is verified.

    Raises:
        Unverified: the note is malformed.
    """
    if not _is_note_text(note) or len(note) > _LONGEST_NOTE:
        raise Unverified("the note is too long, or not text without controls")
    # The last blank line, not the first: the text itself may hold blank lines.
    text, blank, tail = note.rpartition("\n\n")
    lines = tail.split("\n")
    if not blank or lines.pop() or not lines or len(lines) > _MOST_SIGNATURES:
        raise Unverified("the note is not text, a blank line and signature lines")
    return text + "\n", [_parse_line(line) for line in lines]


def _parse_line(line: str) -> SignatureLine:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "\u2014" or not _is_name(parts[1]):
        raise Unverified("a signature line is malformed")
    data = from_base64(parts[2])
    if len(data) <= _KEY_ID_BYTES:
        raise Unverified("a signature line is too short")
    return SignatureLine(parts[1], data[:_KEY_ID_BYTES], data[_KEY_ID_BYTES:])


def _line(name: str, data: bytes) -> str:
    return f"\u2014 {name} {to_base64(data)}\n"


def is_decimal(text: str) -> bool:
    """Return whether a text is a number as sizes and indices are written."""
    return _DECIMAL.fullmatch(text) is not None


def to_base64(data: bytes) -> str:
    """Return the one base64 text of some bytes."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str) -> bytes:
    """Decode the one base64 text of some bytes; every other spelling is refused.

    Raises:
        Unverified: it is another spelling, or no base64.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unverified("a line is not base64") from error
    if to_base64(data) != text:  # spare bits in the last character
        raise Unverified("a line is not canonical base64")
    return data


def _is_note_text(text: object) -> bool:
    if not isinstance(text, str) or _CONTROL.search(text):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and _is_note_text(name)


def _require_name(name: str) -> None:
    if not _is_name(name):
        raise InvalidData(
            "a name is empty, or holds a space, a plus or a control character",
            fix="use a plain address such as example.org/log",
        )
