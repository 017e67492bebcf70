"""An envelope opens for one party, in one place, and only as it was sealed."""

import json
import struct
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetao.canonical import canonical
from hetao.errors import BadEnvelope, BadSignature, HetaoError
from hetao.ledger.envelope import (
    LARGEST_ENVELOPE,
    LARGEST_HEADER,
    MAGIC,
    Envelope,
    Header,
    parse_envelope,
    seal,
)
from hetao.permit import new_identity

ALICE, BOB, EVE = (new_identity(name) for name in ("alice", "bob", "eve"))
PARTIES = {
    identity.name: identity.party("HK", "site", "o") for identity in (ALICE, BOB, EVE)
}
HEADER = Header(
    study="sha256:s",
    permit="sha256:p",
    run="r",
    task="t",
    kind="task",
    sender="",
    recipient="",
    not_after="2026-11-22T00:00:00Z",
    grade=2,
)
SECRET = b"forty-two"
SEALED = seal(ALICE, PARTIES["bob"], HEADER, SECRET)


def received(data):
    """Do all that a recipient does with bytes."""
    envelope = parse_envelope(data)
    envelope.verify(PARTIES["alice"])
    return envelope.open(BOB)


def with_header(text, envelope=SEALED):
    length = struct.pack(">I", len(text))
    return MAGIC + length + text + envelope.signature + envelope.payload


def test_the_recipient_reads_what_was_sealed():
    assert received(SEALED.data) == SECRET
    assert parse_envelope(SEALED.data) == SEALED
    assert parse_envelope(SEALED.data).digest == SEALED.digest


def test_sealing_names_sender_and_recipient_whatever_the_header_said():
    odd = replace(HEADER, sender="eve", recipient="eve", payload="x")

    header = seal(ALICE, PARTIES["bob"], odd, b"").header

    assert (header.sender, header.recipient) == ("alice", "bob")


def test_the_same_content_is_sealed_to_other_bytes_each_time():
    again = seal(ALICE, PARTIES["bob"], HEADER, SECRET)

    assert again.payload != SEALED.payload
    assert SECRET not in SEALED.data


@pytest.mark.parametrize("identity", [ALICE, EVE], ids=lambda i: i.name)
def test_it_opens_for_nobody_else(identity):
    readdressed = replace(
        SEALED, header=replace(SEALED.header, recipient=identity.name)
    )

    for envelope in (SEALED, readdressed):
        with pytest.raises(BadEnvelope):
            envelope.open(identity)


def test_another_key_of_the_same_name_does_not_open_it():
    with pytest.raises(BadEnvelope):
        SEALED.open(new_identity("bob"))


@pytest.mark.parametrize("flip", [1, 0x20, 0x80, 0xFF])
def test_a_flipped_byte_anywhere_is_refused(flip):
    for place in range(len(SEALED.data)):
        spoilt = bytearray(SEALED.data)
        spoilt[place] ^= flip

        with pytest.raises(HetaoError):
            received(bytes(spoilt))


def test_an_envelope_cut_anywhere_or_added_to_is_refused():
    for size in range(len(SEALED.data)):
        with pytest.raises(HetaoError):
            received(SEALED.data[:size])
    with pytest.raises(HetaoError):
        received(SEALED.data + b"\0")


def other(header, name):
    value = getattr(header, name)
    return value + 1 if isinstance(value, int) else value + "x"


@pytest.mark.parametrize("name", [f.name for f in fields(Header)])
def test_a_changed_header_is_not_what_was_signed(name):
    changed = replace(
        SEALED, header=replace(SEALED.header, **{name: other(SEALED.header, name)})
    )

    with pytest.raises((BadEnvelope, BadSignature)):
        changed.verify(PARTIES["alice"])


@pytest.mark.parametrize(
    "name", [f.name for f in fields(Header) if f.name != "payload"]
)
def test_a_payload_does_not_open_in_another_place(name):
    """Not even where the sender itself signs the old payload under a new header."""
    header = replace(SEALED.header, **{name: other(SEALED.header, name)})
    moved = Envelope(header, b"", SEALED.payload)

    with pytest.raises(BadEnvelope):
        moved.open(BOB)


def test_somebody_elses_signature_is_refused():
    forged = seal(EVE, PARTIES["bob"], HEADER, SECRET)
    posing = replace(forged, header=replace(forged.header, sender="alice"))

    with pytest.raises(BadEnvelope, match="not from alice"):
        forged.verify(PARTIES["alice"])
    with pytest.raises(BadSignature):
        posing.verify(PARTIES["alice"])


def test_a_payload_of_another_envelope_is_refused():
    another = seal(ALICE, PARTIES["bob"], HEADER, b"another")

    with pytest.raises(BadEnvelope, match="payload"):
        replace(SEALED, payload=another.payload).verify(PARTIES["alice"])


@pytest.mark.parametrize(
    "payload", [b"", b"\0" * 31, b"\0" * 32, b"\0" * 48, b"\0" * 200, b"\xff" * 64]
)
def test_a_payload_that_is_no_sealing_is_refused(payload):
    with pytest.raises(BadEnvelope):
        replace(SEALED, payload=payload).open(BOB)


# --- headers that do not hold -------------------------------------------------------
def header_fields():
    return json.loads(SEALED.data[8 : 8 + struct.unpack(">I", SEALED.data[4:8])[0]])


@pytest.mark.parametrize("name", [*(f.name for f in fields(Header)), "type"])
def test_a_header_that_leaves_out_a_field_is_refused(name):
    """Else two texts would be one envelope, and its digest would name both."""
    table = header_fields()
    del table[name]

    with pytest.raises(BadEnvelope):
        parse_envelope(with_header(canonical(table)))


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "hetao.envelope/1"},
        {"kind": "gossip"},
        {"suite": "none"},
        {"grade": "2"},
        {"grade": True},
        {"round": 0.5},
        {"attempt": None},
        {"task": ["t"]},
        {"extra": 1},
    ],
    ids=str,
)
def test_a_header_of_other_fields_is_refused(changes):
    text = canonical({**header_fields(), **changes})

    with pytest.raises(BadEnvelope):
        parse_envelope(with_header(text))


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b"[]", b"null", b"{", b"\xff", b"[" * 10_000, b'{"a":NaN}'],
    ids=lambda text: repr(text[:10]),
)
def test_a_header_that_is_no_header_is_refused(text):
    with pytest.raises(BadEnvelope):
        parse_envelope(with_header(text))


def test_a_header_written_with_other_spaces_is_refused():
    text = json.dumps(header_fields(), sort_keys=True).encode()

    with pytest.raises(BadEnvelope, match="canonical"):
        parse_envelope(with_header(text))


def test_an_oversized_header_is_refused():
    table = {**header_fields(), "task": "t" * LARGEST_HEADER}

    with pytest.raises(BadEnvelope):
        parse_envelope(with_header(canonical(table)))


@pytest.mark.parametrize("length", [2**32 - 1, LARGEST_HEADER + 1, 2**31])
def test_a_length_that_lies_is_refused(length):
    data = MAGIC + struct.pack(">I", length) + SEALED.data[8:]

    with pytest.raises(BadEnvelope):
        parse_envelope(data)


def test_an_oversized_envelope_is_refused():
    with pytest.raises(BadEnvelope, match="64 MiB"):
        parse_envelope(bytes(LARGEST_ENVELOPE + 1))


@given(data=st.binary(max_size=300))
def test_any_bytes_are_refused(data):
    for candidate in (data, MAGIC + data, with_header(data)):
        with pytest.raises(BadEnvelope):
            parse_envelope(candidate)
