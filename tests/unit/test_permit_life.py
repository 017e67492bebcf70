"""What a standing tells, at the edges of each of its rules."""

import pytest

from hetao.errors import NotApproved
from hetao.permit import (
    FINAL,
    STATES,
    Bundle,
    Requirement,
    is_revoked,
    sign_notice,
    standing,
    state,
)
from support_permit import HOUR, NOW, Scene, at

SCENE = Scene()
DAY = 24


def said(bundle, by, verb, hours=0.0, **fields):
    """Return the bundle with a notice that is truly signed, whatever its date."""
    person = next(p for p in SCENE.persons if p.name == by)
    role = next(r for r in person.roles if (person.side, r) in SCENE.permit.offices)
    mine = [n for n in bundle.notices if n.body["by"] == by]
    mine = [n for n in mine if n.body["verb"] != "renew"]
    body = {
        "type": "hetao.notice/2",
        "verb": verb,
        "permit": SCENE.permit.digest,
        "by": by,
        "key": by,
        "side": person.side,
        "role": role,
        "sequence": len(mine) + (verb != "renew"),
        "at": at(hours),
        **fields,
    }
    return Bundle(SCENE.permit, (*bundle.notices, state(SCENE.identities[by], body)))


def test_notices_that_are_dated_out_of_their_order_are_refused():
    bundle = said(SCENE.approve_all(hours=2), "ethics-hk", "warn", 1, reason="x")

    with pytest.raises(NotApproved, match="out of their order"):
        standing(bundle, NOW + 3 * HOUR)
    same = said(SCENE.approve_all(hours=2), "ethics-hk", "warn", 2, reason="x")
    assert standing(same, NOW + 3 * HOUR).is_active


def test_a_renewal_that_heard_of_somebodys_first_word_shows_that_it_is_missing():
    bundle = said(SCENE.approve_all(), "twin-sz", "warn", 1, reason="x")
    whole = said(bundle, "ethics-hk", "renew", 2, heard={"twin-sz": 1})
    assert standing(whole, NOW + 3 * HOUR).is_active

    without = [n for n in whole.notices if n.body["by"] != "twin-sz"]
    with pytest.raises(NotApproved, match="of twin-sz was left out"):
        standing(Bundle(SCENE.permit, tuple(without)), NOW + 3 * HOUR)


def test_a_renewal_shows_that_a_decision_of_its_own_signer_is_missing():
    bundle = said(SCENE.approve_all(), "ethics-hk", "warn", 1, reason="x")
    whole = said(bundle, "ethics-hk", "renew", 2)
    assert standing(whole, NOW + 3 * HOUR).is_active

    without = [n for n in whole.notices if n.body["verb"] != "warn"]
    with pytest.raises(NotApproved, match="of ethics-hk was left out"):
        standing(Bundle(SCENE.permit, tuple(without)), NOW + 3 * HOUR)


def test_warnings_and_conditions_are_told_and_no_other_reasons():
    bundle = said(SCENE.approve_all(), "ethics-hk", "warn", 1, reason="beware")
    bundle = said(bundle, "ethics-hk", "vary", 2, change={"most_runs": "1"})
    bundle = said(bundle, "ethics-hk", "approve", 3, reason="still so")

    found = standing(bundle, NOW + 4 * HOUR)

    assert found.warnings == ("ethics-hk (ethics, HK): beware",)


@pytest.mark.parametrize(
    ("sides", "conflicts"),
    [
        ((), ()),
        (("HK",), ("fewer than 2 people approve", "a side that takes part does not")),
        (("HK", "SZ"), ()),
    ],
)
def test_two_people_of_both_sides_approve_whatever_the_permit_asks(sides, conflicts):
    required = tuple(Requirement(side, "ethics", "r") for side in sides)
    scene = SCENE.varied(required=required) if sides else SCENE
    bundle = Bundle(scene.permit)
    for side in sides or ("HK",):
        name = f"ethics-{side.lower()}"
        bundle = sign_notice(bundle, scene.identities[name], "approve", NOW)

    found = standing(bundle, NOW + HOUR)

    assert len(found.conflicts) == len(conflicts)
    for said_, words in zip(found.conflicts, conflicts, strict=True):
        assert said_.startswith(words)
    assert found.is_active is (len(sides) == 2)
    assert bool(found.missing) is (not sides)


@pytest.mark.parametrize("verb", ["revoke", "withdraw"])
def test_a_permit_is_revoked_by_these_words_alone(verb):
    bundle = said(SCENE.approve_all(), "ethics-sz", "close", 1)
    assert not is_revoked(bundle)

    assert is_revoked(said(SCENE.approve_all(), "ethics-sz", verb, 1))


def test_a_report_is_due_so_many_days_after_the_end():
    closed = said(SCENE.approve_all(), "ethics-hk", "close", 5)

    days = SCENE.permit.report_days * DAY
    assert standing(closed, NOW + 6 * HOUR).report_due == at(5 + days)
    assert standing(SCENE.approve_all(), NOW).report_due == ""
    ended = standing(SCENE.approve_all(), NOW + 90 * DAY * HOUR)
    assert ended.report_due == at(90 * DAY + days)


def test_a_permit_ends_at_its_last_second_and_not_before():
    hours = 90 * DAY
    bundle = SCENE.approve_all(hours=hours - 1)

    assert standing(bundle, NOW + (hours - 0.001) * HOUR).state == "active"
    assert standing(bundle, NOW + hours * HOUR).state == "expired"


def test_what_is_final_is_one_of_four_states():
    of_state = {
        one.state: one.is_final
        for one in (
            standing(Bundle(SCENE.permit), NOW),
            standing(SCENE.approve_all(), NOW),
            standing(said(SCENE.approve_all(), "ethics-hk", "suspend"), NOW),
            standing(said(SCENE.approve_all(), "ethics-hk", "close"), NOW),
            standing(said(SCENE.approve_all(), "ethics-hk", "refuse"), NOW),
            standing(said(SCENE.approve_all(), "ethics-hk", "revoke"), NOW),
            standing(SCENE.approve_all(), NOW + 90 * DAY * HOUR),
        )
    }
    assert of_state == {name: name in FINAL for name in STATES if name != "approved"}


def test_a_lease_holds_to_just_before_its_last_second():
    bundle = SCENE.approve_all()

    assert standing(bundle, NOW + (DAY - 0.001) * HOUR).is_active
    assert standing(bundle, NOW + DAY * HOUR).state == "suspended"


def test_what_lets_go_on_counts_from_its_date_give_or_take_five_minutes():
    bundle = SCENE.approve_all(hours=1)

    early, late = NOW + (1 - 5.1 / 60) * HOUR, NOW + (1 - 5 / 60) * HOUR
    assert standing(bundle, early).state == "draft"
    assert standing(bundle, late).is_active
