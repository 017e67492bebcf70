"""A certificate that was taken back verifies as taken back, and never as valid."""

import base64
import gzip

import pytest

from hetao.canonical import canonical, parse_canonical
from hetao.errors import InvalidData, Unverified
from hetao.ledger.credential import issuer_of, sign_credential
from hetao.ledger.log import Log
from hetao.ledger.note import COSIGNATURE, LOG_SIGNATURE, Verifier, cosign
from hetao.ledger.policy import Policy
from hetao.ledger.status import (
    FEWEST,
    append_lists,
    check_status,
    decode_bits,
    encode_bits,
    is_marked,
    last_marks,
    list_claims,
    mark,
    snapshot,
)
from hetao.permit import new_identity
from support_federation import START

BOSS, EYE = (new_identity(n, sealing=False) for n in ("boss", "eye"))
KEY = BOSS.signing_key
ISSUER = ("boss", KEY.public_key())
OWN = Policy(
    (Verifier.of("boss", KEY.public_key(), LOG_SIGNATURE),),
    {"eye": Verifier.of("eye", EYE.signing_key.public_key(), COSIGNATURE)},
    {},
    "eye",
)
SEEN = int(START.timestamp()) + 60


@pytest.fixture
def log(tmp_path):
    with Log.open(tmp_path / "log.sqlite", "boss", KEY) as opened:
        opened.append([b"a certificate", b"another"])
        yield opened


def published(log, *changes, seen=SEEN):
    """Return the snapshot after (index, state) changes, witnessed."""
    for index, state in changes or [(0, "")]:
        marks = last_marks(log, *ISSUER)
        marks = mark(marks, index, state) if state else marks
        note = append_lists(log, "boss", KEY, marks, START)
    return snapshot(log, note + cosign(note, "eye", EYE.signing_key, seen))


def state(data, index=1, policy=OWN):
    return check_status(data, ISSUER, index, policy).state


def test_a_certificate_is_valid_until_it_is_taken_back(log):
    assert state(published(log)) == "valid"
    assert state(published(log, (1, "suspended"))) == "suspended"
    assert state(published(log, (1, "valid"))) == "valid"
    assert state(published(log, (1, "revoked"))) == "revoked"
    assert state(published(log)) == "revoked"
    assert state(published(log), index=0) == "valid"


def test_a_revocation_is_for_good(log):
    published(log, (1, "revoked"))

    for to in ("valid", "suspended", "revoked"):
        with pytest.raises(InvalidData, match="for good"):
            published(log, (1, to))


def test_the_verdict_bears_the_earlier_date_of_issuer_and_witnesses(log):
    """A witness may sign old lists again; an issuer may date them as it likes."""
    data = published(log, (1, "suspended"))
    early = published(log, seen=SEEN - 120)

    assert check_status(data, ISSUER, 1, OWN).as_of == "2026-11-22T08:00:00Z"
    assert check_status(early, ISSUER, 1, OWN).as_of == "2026-11-22T07:59:00Z"
    assert check_status(data, ISSUER, 1, OWN).witnesses == ("eye",)
    alone = check_status(data, ISSUER, 1)
    assert (alone.as_of, alone.witnesses) == ("2026-11-22T08:00:00Z", ())


def test_below_the_quorum_nothing_is_said(log):
    marks = last_marks(log, *ISSUER)
    data = snapshot(log, append_lists(log, "boss", KEY, marks, START))

    assert state(data, policy=None) == "valid"
    with pytest.raises(Unverified, match="quorum"):
        state(data)


def test_lists_that_something_follows_are_refused(log):
    """Else an issuer could show an old list under a new checkpoint."""
    published(log)
    first = log.size - 2
    log.append([b"later", b"later still"])
    note = log.checkpoint()
    note += cosign(note, "eye", EYE.signing_key, SEEN)
    value = parse_canonical(snapshot_at(log, note, first))

    with pytest.raises(Unverified, match="after the status lists"):
        state(canonical(value))


def snapshot_at(log, note, first):
    from hetao.ledger.proof import Proof

    lists = {
        purpose: {
            "credential": log.entry(first + i).decode(),
            "proof": Proof(first + i, tuple(log.inclusion(first + i)), note).text,
        }
        for i, purpose in enumerate(("revocation", "suspension"))
    }
    return canonical({"lists": lists, "type": "hetao.status/1"})


def test_lists_older_than_the_certificate_are_refused(log):
    with pytest.raises(Unverified, match="older"):
        state(published(log), index=2)


def test_the_lists_of_another_issuer_are_refused(log):
    data = published(log)

    for name, key in (("boss", EYE.signing_key), ("other", KEY)):
        with pytest.raises(Unverified):
            check_status(data, (name, key.public_key()), 1)


def test_swapped_or_missing_lists_are_refused(log):
    value = parse_canonical(published(log, (1, "revoked")))
    lists = value["lists"]
    swapped = dict(zip(lists, reversed(lists.values()), strict=True))

    for wrong in (swapped, {"revocation": lists["suspension"]}, {}, None):
        with pytest.raises(Unverified):
            state(canonical({**value, "lists": wrong}))


def test_lists_of_two_moments_are_refused(log):
    one, two = (parse_canonical(published(log, c)) for c in ((1, "revoked"), (0, "")))
    mixed = {**two["lists"], "revocation": one["lists"]["revocation"]}

    with pytest.raises(Unverified):
        state(canonical({**two, "lists": mixed}))


def test_bytes_of_a_snapshot_count_wherever_they_are(log):
    data = published(log, (1, "revoked"))
    spoilt = bytearray(data)
    for place in range(0, len(data), 13):
        spoilt[place] ^= 1
        with pytest.raises(Unverified):
            state(bytes(spoilt))
        spoilt[place] ^= 1


# --- bits ---------------------------------------------------------------------------
@pytest.mark.parametrize("marked", [(), (0,), (7, 8), (FEWEST - 1,), (FEWEST, 5)])
def test_bits_come_back(marked):
    bits = decode_bits(encode_bits(frozenset(marked)))

    assert {i for i in range(8 * len(bits)) if is_marked(bits, i)} == set(marked)
    assert not is_marked(bits, 8 * len(bits))


def test_the_first_bit_stands_at_the_left_as_the_standard_says():
    packed = base64.urlsafe_b64decode(encode_bits(frozenset({0, 9}))[1:] + "==")
    bits = gzip.decompress(packed)

    assert (bits[0], bits[1], len(bits)) == (0x80, 0x40, FEWEST // 8)


def test_the_list_of_the_standards_own_example_is_read():
    """W3C Bitstring Status List v1.0, example 4: 16 KiB without a mark."""
    text = "uH4sIAAAAAAAAA-3BMQEAAADCoPVPbQwfoAAAAAAAAAAAAAAAAAAAAIC3AYbSVKsAQAAA"

    assert decode_bits(text) == bytes(FEWEST // 8)


def test_the_largest_list_takes_its_bits_and_no_more():
    """A set of its places would take gigabytes."""
    full = gzip.compress(b"\xff" * 2**24)
    text = "u" + base64.urlsafe_b64encode(full).decode().rstrip("=")

    assert decode_bits(text) == b"\xff" * 2**24


def test_an_issuers_list_marks_only_what_its_log_holds(log):
    append_lists(
        log,
        "boss",
        KEY,
        {"revocation": frozenset({9999}), "suspension": frozenset()},
        START,
    )

    with pytest.raises(Unverified, match="more than the log holds"):
        last_marks(log, *ISSUER)


@pytest.mark.parametrize(
    "bits", [b"", b"\0" * 100, b"\0" * (2**24 + 1)], ids=["none", "short", "bomb"]
)
def test_a_list_of_another_length_is_refused(bits):
    text = "u" + base64.urlsafe_b64encode(gzip.compress(bits)).decode().rstrip("=")

    with pytest.raises(Unverified):
        decode_bits(text)


def test_a_credential_of_another_kind_is_no_list(log):
    claims = list_claims(issuer_of(*ISSUER), "revocation", frozenset(), "2026")
    for wrong in (claims, {}, {"credentialSubject": {}}):
        value = parse_canonical(published(log))
        value["lists"]["revocation"]["credential"] = sign_credential(KEY, wrong)
        with pytest.raises(Unverified):
            state(canonical(value))
