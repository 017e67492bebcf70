"""What is refused once is refused each time, by each list, at each edge of a ground."""

from dataclasses import replace

import pytest

from hetao.errors import NotActive, NotAParty, NotApproved, OutOfTime, UngradedRelease
from hetao.permit import (
    MANDATORY,
    Basis,
    Bundle,
    Payload,
    check_standing,
    sign_notice,
    strangers_in,
)
from hetao.permit.decision import STANDS, situation_of
from support_permit import HOUR, NOW, STUDY, Scene, at

SCENE = Scene()
PAYLOAD = Payload("model_update", "hospital-hk", 3, frozenset({"min_cohort", "bounds"}))


def without(scene, name):
    """Return the scene's own list, less one person and their key."""
    listed = scene.directory
    return replace(
        listed,
        persons=tuple(p for p in listed.persons if p.name != name),
        keys=tuple(key for key in listed.keys if key.owner != name),
    )


def test_a_permit_that_one_list_knows_is_held_against_another_list_too():
    bundle = SCENE.approve_all()
    check_standing(bundle, STUDY, NOW, SCENE.directory)
    fewer = without(SCENE, "deputy-sz")

    for _ in range(2):
        with pytest.raises(NotAParty, match="deputy-sz of the permit"):
            check_standing(bundle, STUDY, NOW, fewer)
    check_standing(bundle, STUDY, NOW, SCENE.directory)


def test_one_stranger_alone_is_named():
    listed = SCENE.directory
    hubs = tuple(one for one in listed.parties if one.name != "hub-sz")
    fewer, bundle = replace(listed, parties=hubs), SCENE.approve_all()
    assert strangers_in(bundle, fewer) == ("hub-sz",)

    for asked in (check_standing, situation_of):
        with pytest.raises(NotAParty, match="hub-sz of the permit") as caught:
            asked(bundle, STUDY, NOW, fewer)
        assert caught.value.fix == STANDS[0].fix


def test_who_stopped_a_permit_is_said_to_whom_it_is_refused():
    bundle, signer = SCENE.approve_all(), SCENE.identities["ethics-sz"]
    held = sign_notice(bundle, signer, "suspend", NOW)

    with pytest.raises(NotActive, match="ethics-sz said 'suspend' to this permit"):
        check_standing(held, STUDY, NOW, None)


def test_a_permit_that_asks_too_little_is_refused_however_often_it_is_shown():
    less = SCENE.varied(
        required=tuple(n for n in SCENE.permit.required if n.role == "ethics")
    )
    bundle = Bundle(less.permit)

    for _ in range(2):
        with pytest.raises(NotApproved, match="does not ask"):
            check_standing(bundle, STUDY, NOW, None)


def test_a_ground_holds_from_its_first_second_to_before_its_last():
    ground = Basis("b", "1", "sha256:1", at(1), at(3))
    scene = SCENE.varied(bases=(ground,))
    bundle = scene.approve_all()

    for hours in (1, 2.999):
        check_standing(bundle, STUDY, NOW + hours * HOUR, None)
    for hours in (0.999, 3):
        with pytest.raises(OutOfTime, match="the basis b"):
            check_standing(bundle, STUDY, NOW + hours * HOUR, None)


def test_the_permits_own_checks_are_asked_of_a_sum_and_not_of_a_notice():
    asking = SCENE.varied(checks=("min_cohort", "another")).approve_all()
    check_standing(SCENE.approve_all(), STUDY, NOW, None, PAYLOAD)
    notice = Payload("notice", "hospital-hk", 1, MANDATORY["notice"])
    check_standing(asking, STUDY, NOW, None, notice)

    with pytest.raises(UngradedRelease, match="another"):
        check_standing(asking, STUDY, NOW, None, PAYLOAD)
