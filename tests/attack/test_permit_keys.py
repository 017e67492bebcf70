"""Whoever holds a stolen or doubled key, or a second name, approves nothing with it."""

import base64
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hetao.errors import ConflictOfDuties, InvalidNetwork, NotApproved
from hetao.federation.register import SCHEMA, Register
from hetao.federation.store import Store
from hetao.permit import Bundle, Directory, Person, Words, check_standing, sign_notice
from hetao.permit.bundle import signed_bytes
from hetao.permit.notices import read_notice
from support_permit import NOW, PEOPLE, STUDY, Scene, at

SCENE = Scene()
LENT = SCENE.delegation("ethics-sz", "deputy-sz", ("SZ", "ethics"))


def by_the_deputy(scene=SCENE):
    bundle = Bundle(scene.permit)
    for name in ("ethics-hk", "privacy-hk", "privacy-sz"):
        bundle = sign_notice(bundle, scene.identities[name], "approve", NOW)
    words = Words(delegation=LENT)
    return sign_notice(bundle, scene.identities["deputy-sz"], "approve", NOW, words)


def revoked(when, owner="ethics-sz"):
    return tuple(
        replace(key, revoked_at=when) if key.owner == owner else key
        for key in SCENE.keys
    )


# --- revoked keys ---------------------------------------------------------------------
def test_a_delegation_by_a_key_that_the_asker_knows_as_revoked_lends_nothing():
    bundle, listed = by_the_deputy(), SCENE.directory

    check_standing(bundle, STUDY, NOW, replace(listed, keys=revoked(at(1))))
    for when in ("2026-01-01T00:00:00Z", at(-1), at(0)):
        with pytest.raises(NotApproved, match="revoked"):
            check_standing(bundle, STUDY, NOW, replace(listed, keys=revoked(when)))


def test_a_delegation_by_a_key_that_the_permit_says_is_revoked_lends_nothing():
    notice = by_the_deputy().notices[-1]
    scene = SCENE.varied(keys=revoked(at(-1)))
    body = {**notice.body, "permit": scene.permit.digest}
    signer = scene.identities["deputy-sz"]
    again = replace(notice, body=body, signature=signer.signed(signed_bytes(body)))

    with pytest.raises(NotApproved, match="revoked"):
        read_notice(scene.permit, again)


@pytest.mark.parametrize(("when", "kept"), [(at(1), 1), (at(0), 0), (at(-1), 0)])
def test_a_register_keeps_no_notice_under_a_revoked_keys_delegation(when, kept):
    listed = Directory(SCENE.permit.parties, SCENE.persons, revoked(when))
    register = Register(Store(None, SCHEMA), listed, tuple)

    assert register.take([by_the_deputy().notices[-1]]) == kept


# --- second names ---------------------------------------------------------------------
def named(name, identifier):
    who = next(one for one in PEOPLE if one.name == name)
    return replace(who, identifier=identifier)


def without(*names):
    return tuple(one for one in PEOPLE if one.name not in names)


@pytest.mark.parametrize(
    ("name", "identifier", "other"),
    [
        ("author", "0000-0001", "ethics-hk"),  # asks, and approves
        ("operator", "0000-0002", "ethics-hk"),  # runs a hub, and approves
        ("ethics-sz", "0000-0003", "ethics-hk"),  # approves twice
    ],
)
def test_a_name_that_the_permit_leaves_out_makes_no_second_person(
    name, identifier, other
):
    scene = Scene((*without(name, "author-b", "twin-sz"), named(name, identifier)))
    bundle, permit = scene.approve_all(), scene.permit
    bridge = Person("maiden-name", "HK", "REC", ("staff",), (other,), identifier)
    listed = Directory(permit.parties, (*permit.persons, bridge), permit.keys)

    check_standing(bundle, STUDY, NOW, scene.directory)
    with pytest.raises(ConflictOfDuties):
        check_standing(bundle, STUDY, NOW, listed)


@pytest.mark.parametrize(
    ("role", "words"), [("author", "an author"), ("hub-operator", "a hub's operator")]
)
def test_whoever_has_the_role_has_the_duty_though_the_permit_names_another(role, words):
    two = replace(named("ethics-hk", ""), roles=("ethics", role))
    scene = Scene((*without("ethics-hk", "twin-sz"), two))

    with pytest.raises(ConflictOfDuties, match=words):
        scene.approve_all()


# --- doubled keys ---------------------------------------------------------------------
FIRST = SCENE.keys[0]
RAW = base64.b64decode(FIRST.public)
SPKI = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
CURVE = generate_private_key(SECP256R1()).public_key()
# the head of an ES256 key's DER whose point is compressed to 33 bytes: RFC 5480, 2.2
COMPRESSED = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")


def text(data):
    return base64.b64encode(data).decode()


def other_form(public):
    """Return base64 that decodes to the same bytes: its last two bits say nothing."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return public[:42] + letters[letters.index(public[42]) + 1] + "="


def passkey(name, owner, public):
    return replace(
        FIRST,
        name=name,
        owner=owner,
        kind="passkey",
        public=text(public),
        origin="https://permits.example",
    )


@pytest.mark.parametrize(
    "keys",
    [
        (FIRST, replace(FIRST, name="b", owner="ethics-sz")),
        (FIRST, replace(FIRST, name="b", owner="ethics-sz", subject="CN=x")),
        (
            FIRST,
            replace(FIRST, name="b", owner="ethics-sz", origin="https://a.example"),
        ),
        (
            FIRST,
            replace(
                FIRST, name="b", owner="ethics-sz", public=other_form(FIRST.public)
            ),
        ),
        (
            FIRST,
            passkey(
                "b",
                "ethics-sz",
                Ed25519PublicKey.from_public_bytes(RAW).public_bytes(*SPKI),
            ),
        ),
        (
            passkey("a", "ethics-hk", CURVE.public_bytes(*SPKI)),
            passkey(
                "b",
                "ethics-sz",
                COMPRESSED
                + CURVE.public_bytes(Encoding.X962, PublicFormat.CompressedPoint),
            ),
        ),
    ],
)
def test_one_secret_key_is_one_persons_however_it_is_written(keys):
    listed = SCENE.directory

    Directory(listed.parties, listed.persons, keys[:1])
    with pytest.raises(InvalidNetwork):
        Directory(listed.parties, listed.persons, keys)


def test_a_machines_key_is_no_persons():
    listed = SCENE.directory
    spki = listed.parties[0].sign_key.public_bytes(*SPKI)

    with pytest.raises(InvalidNetwork, match="twice"):
        Directory(listed.parties, listed.persons, (passkey("b", "ethics-sz", spki),))


@pytest.mark.parametrize(
    ("origin", "public"),
    [
        ("https://[", CURVE.public_bytes(*SPKI)),
        # an algorithm of a made-up number
        (
            "https://permits.example",
            bytes.fromhex("300d300806062a0304050607030100"),
        ),
    ],
    ids=["page", "algorithm"],
)
def test_a_passkey_that_cannot_be_read_is_refused(origin, public):
    key = replace(passkey("b", "ethics-sz", public), origin=origin)

    with pytest.raises(InvalidNetwork):
        key.check_form()
