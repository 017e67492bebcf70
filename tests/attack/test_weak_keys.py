"""Keys under which a signature proves nothing are refused wherever a key is read."""

import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from hetao.dossier.licence import _holder
from hetao.errors import BadSignature, InvalidData, InvalidNetwork, Unverified
from hetao.ledger import verify_signatures
from hetao.ledger.certificate import verify_certificate
from hetao.ledger.note import COSIGNATURE, LOG_SIGNATURE, parse_vkey
from hetao.ledger.policy import parse_policy
from hetao.ledger.verify_hetao import Refused, verify
from hetao.ledger.verify_log import Policy, key_id
from hetao.permit import Directory, Key, Party
from hetao.permit.points import is_weak
from support_permit import VALID, Scene
from support_weak import (
    SMALL,
    SPKI,
    WEAK,
    of_party,
    of_passkey,
    of_person,
    packed,
)

SCENE = Scene()
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


@pytest.mark.parametrize("whose", [of_party, of_person, of_passkey])
def test_no_certificate_whose_permit_names_one_is_taken(small_run, whose):
    """Not even where nothing bears its signature; nor by `test_certificate_page`."""
    for raw in WEAK:
        body = small_run.body
        whose(body, raw)
        data = small_run.resigned(body)

        with pytest.raises(Unverified, match="small order"):
            verify_certificate(data)
        with pytest.raises(Refused, match="small order"):
            verify(data)
