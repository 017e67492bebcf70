"""The envelope: the unit of audit, certificate and resume.

    b"HTE1" | length of header (4 bytes, big-endian) | header | signature (64) | payload

The header is canonical JSON and is signed by the sender (Ed25519). The payload is
sealed to the recipient (HPKE, RFC 9180) with the header's route as `info`, so that it
opens for nobody else and in no other place of the protocol. Whoever carries an
envelope reads the header and nothing more. Specification: `docs/specs/envelope.md`.
"""

import struct
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from hetao.canonical import canonical, digest_bytes, parse_canonical
from hetao.errors import BadEnvelope, NotCanonical
from hetao.permit import Identity, Party, verify
from hetao.records import record

MAGIC: Final = b"HTE1"
DOMAIN: Final = b"hetao-envelope-v1\n"
SUITE: Final = "HPKE-X25519-HKDF-SHA256-ChaCha20Poly1305"
LARGEST_HEADER: Final = 16 * 2**10  # bytes
LARGEST_ENVELOPE: Final = 64 * 2**20  # bytes
KINDS: Final = (
    "begin",
    "ready",
    "task",
    "share",
    "receipt",
    "total",
    "finish",
    "closing",
    "refusal",
    "vote",
)

_HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


@dataclass(frozen=True)
class Header:
    """What anyone who carries or audits an envelope may read.

    Attributes:
        study, permit: digests.
        run, task: the run, and the piece of work; a reply carries the task it answers.
        kind: one of KINDS.
        sender, recipient: names of parties.
        not_after: UTC time after which nobody acts on this envelope.
        grade: class (1-5) of what is inside.
        protocol, version: the estimator that this belongs to; "" outside one.
        analysis, attempt, round: the place in the study's course.
        payload: digest of the sealed payload.
        previous: digest of the sender's previous envelope in this run; "" for none.
        head: the checkpoint that the sender's log had signed when it sent this; "" from
            whoever keeps no log.
        suite: how the payload is sealed.
    """

    study: str
    permit: str
    run: str
    task: str
    kind: str
    sender: str
    recipient: str
    not_after: str
    grade: int
    protocol: str = ""
    version: str = ""
    analysis: str = ""
    attempt: int = 0
    round: int = 0
    payload: str = ""
    previous: str = ""
    head: str = ""
    suite: str = SUITE

    @property
    def fields(self) -> dict[str, str | int]:
        """Return every field by its name, in the order above."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @cached_property
    def route(self) -> bytes:
        """Return the bytes that bind a sealed payload to this header."""
        return canonical({**self.fields, "payload": ""})

    @cached_property
    def text(self) -> bytes:
        """Return the bytes that the sender signs, and that travel."""
        return canonical({"type": "hetao.envelope/2", **self.fields})


@dataclass(frozen=True)
class Envelope:
    """A signed header and a sealed payload."""

    header: Header
    signature: bytes
    payload: bytes

    @cached_property
    def data(self) -> bytes:
        """Return the bytes that travel."""
        header = self.header.text
        length = struct.pack(">I", len(header))
        return MAGIC + length + header + self.signature + self.payload

    @cached_property
    def digest(self) -> str:
        """Return the digest of the bytes that travel; logs and certificates cite it."""
        return digest_bytes(self.data)

    def verify(self, sender: Party) -> None:
        """Return quietly if `sender` signed this header and it fits this payload.

        Raises:
            BadEnvelope: the header names another sender, or another payload.
            BadSignature: the signature is not the sender's.
        """
        if self.header.sender != sender.name:
            raise BadEnvelope(f"the envelope is not from {sender.name}")
        if self.header.payload != digest_bytes(self.payload):
            raise BadEnvelope("the payload is not the one that was signed")
        verify(sender, DOMAIN, self.header.text, self.signature)

    def open(self, recipient: Identity) -> bytes:
        """Return what was sealed.

        Raises:
            BadEnvelope: it was sealed to somebody else, or changed on the way.
        """
        if self.header.recipient != recipient.name:
            raise BadEnvelope(f"the envelope is not for {recipient.name}")
        try:
            return _HPKE.decrypt(
                self.payload, recipient.sealing_key, info=self.header.route
            )
        except InvalidTag as error:
            raise BadEnvelope(
                f"the envelope from {self.header.sender} does not open",
                fix="check that the permit pins the right sealing keys",
            ) from error


def seal(
    sender: Identity, recipient: Party, header: Header, content: bytes
) -> Envelope:
    """Return `content` sealed to `recipient` under a header that `sender` signs."""
    routed = replace(header, sender=sender.name, recipient=recipient.name, payload="")
    sealed = _HPKE.encrypt(content, recipient.seal_key, info=routed.route)
    signed = replace(routed, payload=digest_bytes(sealed))
    return Envelope(signed, sender.sign(DOMAIN, signed.text), sealed)


def parse_envelope(data: bytes) -> Envelope:
    """Return the envelope of these bytes; nothing about it is verified yet.

    Raises:
        BadEnvelope: the bytes are no envelope, or a larger one than is allowed.
    """
    if len(data) > LARGEST_ENVELOPE:
        raise BadEnvelope(f"an envelope is larger than {LARGEST_ENVELOPE >> 20} MiB")
    if len(data) < 72 or data[:4] != MAGIC:
        raise BadEnvelope("these bytes are no envelope")
    (length,) = struct.unpack(">I", data[4:8])
    if length > LARGEST_HEADER or len(data) < 72 + length:
        raise BadEnvelope("an envelope is cut short")
    header = _header(data[8 : 8 + length])
    return Envelope(header, data[8 + length : 72 + length], data[72 + length :])


def _header(text: bytes) -> Header:
    try:
        fields: Any = parse_canonical(text)
    except NotCanonical as error:
        raise BadEnvelope("an envelope's header is not canonical") from error
    if not isinstance(fields, dict) or fields.pop("type", "") != "hetao.envelope/2":
        raise BadEnvelope("an envelope's header is of an unknown type")
    header = record(Header, fields, "envelope header", BadEnvelope)
    if len(fields) != len(header.fields):  # else two texts would be one envelope
        raise BadEnvelope("an envelope's header leaves out a field")
    if header.kind not in KINDS or header.suite != SUITE:
        raise BadEnvelope("an envelope is of an unknown kind or suite")
    return header
