"""Whether a certificate still stands: status lists, as entries of the issuer's log.

A list is a W3C Bitstring Status List in a credential (`vc+jwt`): one bit a certificate,
at the certificate's own index in the log. Withdrawing a certificate appends new lists,
so that it is logged and witnessed as issuing was, and takes nothing back.

A snapshot holds the lists that ended the log at one size, with their proofs, and the
checkpoint of that size: whoever cosigned it saw that nothing came after. It is a file
that travels with a certificate; it says how things stood then, never how they stand
now, so a verdict bears its date.

Specification: `docs/specs/certificate.md`.
"""

import base64
import binascii
import contextlib
import datetime
import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from hetao.canonical import canonical, parse_canonical
from hetao.errors import InvalidData, NotCanonical, Unverified, Usage
from hetao.ledger.credential import (
    CONTEXT,
    PURPOSES,
    header_prefix,
    issuer_of,
    list_name,
    read_credential,
    sign_credential,
)
from hetao.ledger.log import Log
from hetao.ledger.log_end import append_last
from hetao.ledger.note import (
    LOG_SIGNATURE,
    Verifier,
    parse_checkpoint,
    parse_note,
)
from hetao.ledger.policy import Policy
from hetao.ledger.proof import Proof, parse_proof
from hetao.permit import format_time, parse_time

TYPE: Final = "hetao.status/1"
FEWEST: Final = 131_072  # bits: a shorter list would tell too much, says the standard
MOST: Final = 2**27  # bits: 16 MiB; nothing larger is unpacked
LARGEST: Final = 2**20  # bytes of a snapshot
_CHUNK: Final = 256  # entries read at once, looking for the last lists
REVOCATION, SUSPENSION = PURPOSES

Marks = Mapping[str, frozenset[int]]


@dataclass(frozen=True)
class Status:
    """How a certificate stood at one moment.

    Attributes:
        state: "valid", "suspended" or "revoked".
        as_of: UTC time until which that is known: when the first of the witnesses saw
            the lists, or the issuer's own time where that is earlier or none did: a
            witness may sign the same lists again, long after.
        witnesses: of the verifier's policy, that saw the lists; none without a policy.
    """

    state: str
    as_of: str
    witnesses: tuple[str, ...]


def encode_bits(marked: frozenset[int]) -> str:
    """Return a list's bits, the first at the left, packed as the standard says.

    Raises:
        InvalidData: an index is negative, or beyond what a list holds.

    Source:
        W3C Bitstring Status List v1.0, 3.3. Test: `tests/unit/test_status.py`.
    """
    if not all(0 <= one < MOST for one in marked):
        raise InvalidData("a place lies outside a status list")
    size = FEWEST * (max(marked, default=0) // FEWEST + 1)
    bits = bytearray(size // 8)
    for one in marked:
        bits[one >> 3] |= 0x80 >> (one & 7)
    packed = base64.urlsafe_b64encode(gzip.compress(bytes(bits), mtime=0))
    return "u" + packed.rstrip(b"=").decode("ascii")


def decode_bits(text: str) -> bytes:
    """Return a list's bits, the first at the left; see `is_marked`.

    Raises:
        Unverified: it is no list, is shorter than the standard allows, or unpacks to
            more than 16 MiB.
    """
    if not isinstance(text, str) or text[:1] != "u":
        raise Unverified("a status list is not in base64url")
    try:
        packed = base64.b64decode(text[1:] + "=" * (-len(text[1:]) % 4), b"-_", True)
        opener = zlib.decompressobj(wbits=31)
        bits = opener.decompress(packed, MOST // 8)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise Unverified("a status list cannot be unpacked") from error
    if not opener.eof or opener.unused_data or 8 * len(bits) < FEWEST:
        raise Unverified("a status list is cut short, too long or too short")
    return bits


def is_marked(bits: bytes, index: int) -> bool:
    """Return whether a place is marked; what lies beyond the list is not."""
    byte = bits[index >> 3 : (index >> 3) + 1]
    return bool(byte) and bool(byte[0] & 0x80 >> (index & 7))


def list_claims(
    issuer: Mapping[str, str], purpose: str, marked: frozenset[int], when: str
) -> dict[str, Any]:
    """Return what the credential of a status list states."""
    name = list_name(issuer["id"], purpose)
    return {
        "@context": [CONTEXT],
        "credentialSubject": {
            "encodedList": encode_bits(marked),
            "id": f"{name}#list",
            "statusPurpose": purpose,
            "type": "BitstringStatusList",
        },
        "id": name,
        "issuer": dict(issuer),
        "type": ["VerifiableCredential", "BitstringStatusListCredential"],
        "validFrom": when,
    }


def read_list(
    text: str, name: str, key: Ed25519PublicKey, purpose: str
) -> tuple[bytes, str]:
    """Return the bits of an issuer's list, and the time that it names.

    Raises:
        Unverified: it is no list of this issuer and purpose.
    """
    claims = read_credential(text, key)
    try:
        packed = claims["credentialSubject"]["encodedList"]
        when = str(claims["validFrom"])
        bits = decode_bits(packed)
        bare = {**claims["credentialSubject"], "encodedList": ""}
        expected = list_claims(issuer_of(name, key), purpose, frozenset(), when)
        expected["credentialSubject"]["encodedList"] = ""
        parse_time(when)
    except (KeyError, TypeError) as error:
        raise Unverified("a status list is malformed") from error
    if {**claims, "credentialSubject": bare} != expected:
        raise Unverified(f"the log's entry is no list of {purpose} by {name}")
    return bits, when


# --- the issuer's side --------------------------------------------------------------
def last_marks(log: Log, name: str, key: Ed25519PublicKey) -> Marks:
    """Return what the last lists in the issuer's own log mark; nothing before any.

    Raises:
        Unverified: a list marks what the log does not hold.
    """
    head, found = header_prefix(key).encode("ascii"), dict[str, bytes]()
    stop = log.size
    while stop and len(found) < len(PURPOSES):
        start = max(0, stop - _CHUNK)
        for entry in reversed(log.entries(start, stop)):
            if entry.startswith(head):
                for purpose in set(PURPOSES) - set(found):
                    try:
                        text = entry.decode("ascii")
                        found[purpose] = read_list(text, name, key, purpose)[0]
                    except Unverified:  # a certificate, or the other purpose's list
                        continue
        stop = start
    return {one: _places(found.get(one, b""), log.size) for one in PURPOSES}


def check_no_list(log: Log, index: int) -> None:
    """Return quietly if a log's entry is no status list of its own.

    Without the last one an older one would count, in which nothing was taken back yet.

    Raises:
        Usage: it is one, or there is no such entry.
    """
    entry = log.entry(index)
    key = Ed25519PublicKey.from_public_bytes(log.verifiers[0].public)
    if not entry.startswith(header_prefix(key).encode("ascii")):
        return
    for purpose in PURPOSES:
        with contextlib.suppress(Unverified, UnicodeDecodeError):
            read_list(entry.decode("ascii"), log.origin, key, purpose)
            raise Usage(
                "the entry is a status list, which says what was taken back",
                fix="leave it: it holds nothing of any person",
            )


def _places(bits: bytes, size: int) -> frozenset[int]:
    """Return the places that are marked, all of them below the log's size."""
    if any(bits[-(-size // 8) :]):
        raise Unverified("a status list marks more than the log holds")
    return frozenset(i for i in range(size) if is_marked(bits, i))


def mark(marks: Marks, index: int, state: str) -> Marks:
    """Return the marks after a certificate was revoked, suspended or restored.

    Raises:
        InvalidData: it was revoked before: that is for good. Whoever was killed before
            the snapshot was written has it written by asking how things stand.
    """
    revoked, suspended = marks[REVOCATION], marks[SUSPENSION]
    if index in revoked:
        raise InvalidData(
            "the certificate is revoked, and that is for good",
            fix="the command status writes the file that says so, if you lack it; what "
            "is to stand in its place takes a new run",
        )
    if state == "revoked":
        revoked |= {index}
    suspended = suspended | {index} if state == "suspended" else suspended - {index}
    return {REVOCATION: revoked, SUSPENSION: suspended}


def append_lists(
    log: Log, name: str, key: Ed25519PrivateKey, marks: Marks, now: datetime.datetime
) -> str:
    """Append both lists to the issuer's log and return the log's signed checkpoint.

    Raises:
        Refused: others append so quickly that the lists never end the log.
    """
    issuer, when = issuer_of(name, key.public_key()), format_time(now)
    entries = [
        sign_credential(key, list_claims(issuer, purpose, marks[purpose], when))
        for purpose in PURPOSES
    ]
    return append_last(log, lambda _: entries)[1]


def snapshot(log: Log, note: str) -> bytes:
    """Return the file of the lists that end a log under this checkpoint.

    Args:
        log: the issuer's.
        note: its checkpoint right after `append_lists`, with its cosignatures.
    """
    size = _size_of(note)
    lists = {}
    for purpose, index in zip(PURPOSES, (size - 2, size - 1), strict=True):
        proof = Proof(index, tuple(log.inclusion(index, size)), note)
        entry = log.entry(index).decode("ascii")
        lists[purpose] = {"credential": entry, "proof": proof.text}
    return canonical({"lists": lists, "type": TYPE})


def _size_of(note: str) -> int:
    return parse_checkpoint(parse_note(note)[0]).size


# --- the verifier's side ------------------------------------------------------------
@dataclass(frozen=True)
class Told:
    """What a snapshot says, of all entries that stand before its lists.

    Attributes:
        marks: purpose → bits of its list.
        as_of: UTC time that the lists name.
        note: the log's checkpoint that the lists end, with its cosignatures.
        size: of the log there.
    """

    marks: Mapping[str, bytes]
    as_of: str
    note: str
    size: int


def read_snapshot(data: bytes, issuer: tuple[str, Ed25519PublicKey]) -> Told:
    """Return what a snapshot says, whoever cosigned it.

    Args:
        data: the snapshot's bytes.
        issuer: name and key of whoever keeps the lists.

    Raises:
        Unverified: it is no snapshot, or not of this issuer; or something stands in the
            log after its lists.
    """
    name, key = issuer
    own = Policy(logs=(Verifier.of(name, key, LOG_SIGNATURE),))
    marks, notes, times = dict[str, bytes](), set[str](), set[str]()
    for place, (purpose, part) in enumerate(_lists(data).items()):
        proof = parse_proof(part["proof"])
        if proof.extra is not None:
            raise Unverified("the proof bears bytes that nothing vouches for")
        size = proof.verify(part["credential"].encode("ascii"), own).checkpoint.size
        if proof.index != size - len(PURPOSES) + place:
            raise Unverified("something stands in the log after the status lists")
        marks[purpose], when = read_list(part["credential"], name, key, purpose)
        notes.add(proof.note)
        times.add(when)
    if len(notes) != 1 or len(times) != 1:
        raise Unverified("the status lists are not of one moment")
    return Told(marks, when, proof.note, size)


def check_status(
    data: bytes,
    issuer: tuple[str, Ed25519PublicKey],
    index: int,
    policy: Policy | None = None,
) -> Status:
    """Return how a certificate stood when this snapshot was made.

    Args:
        data: the snapshot's bytes.
        issuer: the name and key of the certificate's issuer.
        index: the certificate's, in the issuer's log.
        policy: the verifier's own logs and witnesses; without one the snapshot stands
            on the issuer's word alone, and so does, with any, that it was taken back.

    Raises:
        Unverified: it is no snapshot, not of this issuer, or older than the
            certificate; or its checkpoint is below the policy's quorum, and leaves the
            certificate valid.
    """
    told, seen = read_snapshot(data, issuer), dict[str, int]()
    if index >= told.size - len(PURPOSES):
        raise Unverified("the status lists are older than the certificate")
    state = _state(told.marks, index)
    try:
        seen |= policy.check(told.note).witnesses if policy else {}
    except Unverified:
        if state == "valid":
            raise
    first = min([int(parse_time(told.as_of).timestamp()), *seen.values()])
    when = format_time(datetime.datetime.fromtimestamp(first, datetime.UTC))
    return Status(state, when, tuple(seen))


def _state(marks: Mapping[str, bytes], index: int) -> str:
    if is_marked(marks[REVOCATION], index):
        return "revoked"
    return "suspended" if is_marked(marks[SUSPENSION], index) else "valid"


def _lists(data: bytes) -> dict[str, dict[str, str]]:
    if len(data) > LARGEST:
        raise Unverified("a status snapshot is larger than one can be")
    try:
        value = parse_canonical(data)
    except NotCanonical as error:
        raise Unverified("a status snapshot is not canonical JSON") from error
    match value:
        case {"type": "hetao.status/1", "lists": dict(lists), **rest} if not rest:
            if list(lists) == list(PURPOSES) and all(map(_is_part, lists.values())):
                return lists
    raise Unverified("the file is no status snapshot")


def _is_part(part: object) -> bool:
    match part:
        case {"credential": str(text), "proof": str(), **rest} if not rest:
            return text.isascii()
    return False
