"""Keys that prove or protect nothing are refused wherever a key is read."""

import hashlib
import hmac
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from hetao.dossier.licence import _holder
from hetao.errors import (
    BadEnvelope,
    BadSignature,
    InvalidData,
    InvalidNetwork,
    Unverified,
)
from hetao.ledger import verify_signatures
from hetao.ledger.certificate import verify_certificate
from hetao.ledger.envelope import Envelope, Header, seal
from hetao.ledger.note import COSIGNATURE, LOG_SIGNATURE, parse_vkey
from hetao.ledger.policy import parse_policy
from hetao.ledger.verify_hetao import Refused, verify
from hetao.ledger.verify_log import Policy, key_id
from hetao.permit import Directory, Key, Party, new_identity
from hetao.permit.points import is_weak, is_weak_seal
from support_permit import VALID, Scene
from support_weak import (
    NAMED,
    SMALL,
    SMALL_SEALS,
    SPKI,
    WEAK,
    WEAK_SEALS,
    of_party,
    of_passkey,
    of_person,
    of_seal,
    packed,
)

SCENE = Scene()
P = 2**255 - 19
HEADER = Header("s", "p", "r", "t", "task", "", "", "2026-11-22T00:00:00Z", 2)
every_seal = pytest.mark.parametrize("raw", WEAK_SEALS, ids=lambda raw: raw.hex())
every_weak = pytest.mark.parametrize("raw", WEAK, ids=lambda raw: raw.hex()[:4])


# --- which they are -----------------------------------------------------------------
def test_the_vectors_are_all_the_points_of_small_order_and_every_other_form():
    """Eight points that are closed under addition; y + p, or minus nothing."""
    points = {raw: verify_signatures._point(raw) for raw in SMALL}

    sums = {
        verify_signatures._bytes(verify_signatures._add(a, b))
        for a in points.values()
        for b in points.values()
    }
    assert sums == set(SMALL)
    assert len(sums) == 8
    others = {
        (y | sign << 255).to_bytes(32, "little")
        for y in range(2**255 - 19, 2**255)
        for sign in (0, 1)
    }
    minus = {(y | 1 << 255).to_bytes(32, "little") for y in (1, 2**255 - 20)}
    assert set(WEAK) == {*SMALL, *others, *minus}


def test_a_signature_under_one_needs_no_secret():
    """Why they are refused where they are read: s = 0, R = the neutral point."""
    neutral = SMALL[0]

    Ed25519PublicKey.from_public_bytes(neutral).verify(neutral + bytes(32), b"whatever")
    assert verify_signatures.holds(neutral, neutral + bytes(32), b"whatever")


@every_weak
def test_both_verifiers_know_each(raw):
    assert is_weak(raw)
    assert not verify_signatures.is_strong(raw)


def test_both_verifiers_take_whatever_anybody_drew():
    for number in range(200):
        seed = hashlib.sha256(bytes([number])).digest()
        key = Ed25519PrivateKey.from_private_bytes(seed).public_key()
        assert not is_weak(key.public_bytes_raw())
        assert verify_signatures.is_strong(key.public_bytes_raw())


# --- wherever a key is read ---------------------------------------------------------
@every_weak
def test_no_list_of_parties_holds_one(raw):
    listed = SCENE.directory
    machine = replace(listed.parties[0], sign=packed(raw))
    owner = listed.persons[0].name

    with pytest.raises(InvalidNetwork, match="small order"):
        Directory((machine, *listed.parties[1:]), listed.persons, ())
    for kind, data, origin in (
        ("ed25519", raw, ""),
        ("passkey", SPKI + raw, "https://permits.example"),
    ):
        key = Key("k", owner, kind, packed(data), *VALID, origin=origin)
        with pytest.raises((InvalidNetwork, BadSignature), match="small order"):
            Directory(listed.parties, listed.persons, (key,))


@every_weak
def test_nothing_is_signed_by_one_even_outside_a_list(raw):
    forged = packed(SMALL[0] + bytes(32))

    with pytest.raises(InvalidNetwork, match="small order"):
        Party("x", "HK", "site", "", packed(raw)).sign_key  # noqa: B018
    with pytest.raises(InvalidNetwork, match="small order"):
        Key("k", "x", "ed25519", packed(raw), *VALID).verify(b"m", forged, None)


@every_weak
@pytest.mark.parametrize("kind", [LOG_SIGNATURE, COSIGNATURE])
def test_no_vkey_and_no_policy_holds_one(raw, kind):
    material = packed(bytes([kind]) + raw)
    vkey = f"log.example+{key_id('log.example', kind, raw).hex()}+{material}"
    good = SCENE.directory.parties[0].sign_half
    log = packed(bytes([1]) + good)
    log = f"good.example+{key_id('good.example', 1, good).hex()}+{log}"
    lines = f"log {vkey}\nquorum none\n"
    if kind == COSIGNATURE:
        lines = f"log {log}\nwitness eye {vkey}\nquorum eye\n"

    with pytest.raises(InvalidData, match="small order"):
        parse_vkey(vkey)
    with pytest.raises(InvalidData, match="small order"):
        parse_policy(lines.encode())
    with pytest.raises(Refused, match="proves nothing"):
        Policy(lines)


@every_weak
def test_no_licence_names_one_as_its_holders(raw):
    with pytest.raises(InvalidData):
        _holder(packed(raw))


@pytest.mark.parametrize("whose", [of_party, of_seal, of_person, of_passkey])
def test_no_certificate_whose_permit_names_one_is_taken(small_run, whose):
    """Not even where nothing bears its signature; nor by `test_certificate_page`."""
    for raw in [raw for who, raw in NAMED if who is whose]:
        body = small_run.body
        whose(body, raw)
        data = small_run.resigned(body)

        with pytest.raises(Unverified, match="small order"):
            verify_certificate(data)
        with pytest.raises(Refused, match="small order"):
            verify(data)


# --- to seal to -----------------------------------------------------------------------
def test_the_vectors_of_seals_are_all_of_small_order_and_every_other_form():
    """Beside them, whatever some X25519 might read as one of small order."""
    small = {int.from_bytes(raw, "little") for raw in SMALL_SEALS}

    doubles = {u: _double(u) for u in small}
    assert set(doubles.values()) <= {0, 1, None}
    for u in (0, 1, P - 1):  # the neutral point, then nought, of which it is the double
        assert doubles.pop(u) == (None if u == 0 else 0)
    assert set(doubles.values()) == {1}
    first, second = doubles  # of order 8: there are two, one of which is 1/u
    assert first * second % P == 1
    forms = {*range(P, 2**255), *(u | 1 << 255 for u in (*small, *range(P, 2**255)))}
    forms |= {u + P for u in small if u > 1} | {2 * P, 2 * P + 1}
    assert {int.from_bytes(raw, "little") for raw in WEAK_SEALS} == small | forms


def _double(u):
    """Return the u of twice a point, on the curve or its twist; None for none."""
    below = 4 * u * (u * u + 486662 * u + 1) % P
    return (u * u - 1) ** 2 * pow(below, -1, P) % P if below else None


@every_seal
def test_both_verifiers_know_each_seal(raw):
    assert is_weak_seal(raw)
    assert not verify_signatures.is_sealing(raw)


def test_both_verifiers_take_whatever_seal_anybody_drew():
    for number in range(200):
        seed = hashlib.sha256(bytes([number])).digest()
        key = X25519PrivateKey.from_private_bytes(seed).public_key()
        assert not is_weak_seal(key.public_bytes_raw())
        assert verify_signatures.is_sealing(key.public_bytes_raw())


@every_seal
def test_no_list_of_parties_holds_a_seal_and_nothing_is_sealed_to_it(raw):
    listed = SCENE.directory
    machine = replace(listed.parties[0], seal=packed(raw))

    with pytest.raises(InvalidNetwork, match="small order"):
        Directory((machine, *listed.parties[1:]), listed.persons, ())
    with pytest.raises(InvalidNetwork, match="small order"):
        seal(new_identity("x"), machine, HEADER, b"text")


@pytest.mark.parametrize("raw", SMALL_SEALS, ids=lambda raw: raw.hex()[:4])
def test_nothing_that_was_sealed_without_a_secret_opens(raw):
    """By section 7.1.4 of RFC 9180: else whoever knows nothing could read and write."""
    bob, own = new_identity("bob"), X25519PrivateKey.generate()
    theirs = bob.sealing_key.public_key()
    header = replace(HEADER, sender="alice", recipient="bob")

    def opened(enc, shared):
        payload = enc + sealed_by_hand(shared, enc, theirs, header.route)
        return Envelope(header, b"", payload).open(bob)

    assert opened(own.public_key().public_bytes_raw(), own.exchange(theirs)) == b"text"
    with pytest.raises(BadEnvelope, match="does not open"):
        opened(raw, bytes(32))
    with pytest.raises(ValueError, match="shared key"):  # nor does the library seal
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(raw))


def sealed_by_hand(shared, enc, theirs, info):
    """Seal to a key as RFC 9180 has it, from whatever secret is said to be shared."""
    kem, suite = b"KEM" + bytes([0, 32]), b"HPKE" + bytes([0, 32, 0, 1, 0, 3])

    def extract(of, salt, label, what):
        return hmac.digest(salt, b"HPKE-v1" + of + label + what, "sha256")

    def expand(of, key, label, what, size):
        told = bytes([0, size]) + b"HPKE-v1" + of + label + what + b"\x01"
        return hmac.digest(key, told, "sha256")[:size]

    context = enc + theirs.public_bytes_raw()
    key = extract(kem, b"", b"eae_prk", shared)
    secret = expand(kem, key, b"shared_secret", context, 32)
    empty, told = extract(suite, b"", b"psk_id_hash", b""), b"info_hash"
    context = b"\0" + empty + extract(suite, b"", told, info)
    secret = extract(suite, secret, b"secret", b"")
    key = expand(suite, secret, b"key", context, 32)
    nonce = expand(suite, secret, b"base_nonce", context, 12)
    return ChaCha20Poly1305(key).encrypt(nonce, b"text", b"")
