"""Whoever holds a stolen or doubled key, or a second name, approves nothing with it."""

from dataclasses import replace

import pytest

from hetao.errors import ConflictOfDuties, NotApproved
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
