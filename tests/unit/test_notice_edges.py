"""Notices, delegations and times at the edges of each of their rules."""

import pytest

from hetao.errors import InvalidNetwork, NotApproved
from hetao.permit import Bundle, Words, parse_time, sign_notice, state
from hetao.permit.dates import LAST_YEAR
from hetao.permit.notices import (
    LONGEST_REASON,
    read_delegation,
    read_notice,
    tightened,
)
from support_permit import HOUR, NOW, Scene, at

SCENE = Scene()
PERMIT = SCENE.permit
LONG = "x" * 99
SECOND = 1 / 3600


def said(verb="warn", by="ethics-hk", signer="", **fields):
    """Return a notice that is truly signed, whatever it says."""
    body = {
        "type": "hetao.notice/2",
        "verb": verb,
        "permit": PERMIT.digest,
        "by": by,
        "key": signer or by,
        "side": by[-2:].upper(),
        "role": "ethics",
        "sequence": 1,
        "at": at(0),
        "reason": "so",
        **fields,
    }
    return state(SCENE.identities[signer or by], body)


def lent(by="ethics-sz", to="deputy-sz", office=("SZ", "ethics"), **fields):
    """Return a delegation that is truly signed, whatever it says."""
    body = {
        "type": "hetao.delegation/1",
        "by": by,
        "key": by,
        "to": to,
        "side": office[0],
        "role": office[1],
        "not_before": at(1),
        "not_after": at(2),
        "at": at(1),
        **fields,
    }
    return state(SCENE.identities[by], body)


def test_a_notice_that_is_as_it_should_be_is_heard():
    assert read_notice(PERMIT, said()).notice.reason == "so"
    assert read_delegation(PERMIT, lent()).to == "deputy-sz"


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (said(type="hetao.notice/1"), "unknown kind"),
        (said("shout"), "unknown kind"),
        (said(sequence=0), "no number"),
        (said(reason="x" * (LONGEST_REASON + 1)), "too long"),
        (said(reason=""), "what it warns of"),
        (said(by="ethics-hk", signer="ethics-sz"), "key is not ethics-hk's"),
        (said(by=LONG, signer="ethics-hk"), f"key is not {'x' * 60}'s"),
        (said(key="ethics-sz"), "a notice is forged: the signature is not"),
        (said(key="nobody"), "a notice is forged: no key is named"),
        (said("approve", "author", role="author", side="HK"), "not theirs"),
        (said("warn", role="author"), "not theirs"),
        (said("warn", "author", side="HK"), "not theirs"),
    ],
)
def test_a_notice_that_is_not_is_refused_in_words(statement, words):
    with pytest.raises(NotApproved, match=words):
        read_notice(PERMIT, statement)


def test_a_reason_may_be_as_long_as_the_limit_and_a_renewal_has_no_number():
    read_notice(PERMIT, said(reason="x" * LONGEST_REASON))
    read_notice(PERMIT, said("renew", sequence=0, reason=""))


# --- variations -----------------------------------------------------------------------
def test_a_variation_may_leave_a_term_as_it_is_and_not_loosen_it():
    same = {"not_after": PERMIT.not_after, "most_runs": str(PERMIT.most_runs)}

    assert tightened(PERMIT, same)["most_runs"] == PERMIT.most_runs
    for change in (
        {"not_after": at(24 * 90 + SECOND)},
        {"most_runs": str(PERMIT.most_runs + 1)},
        {"most_runs": "0"},
    ):
        with pytest.raises(NotApproved, match="may only tighten"):
            tightened(PERMIT, change)
    with pytest.raises(NotApproved, match=f"'{'x' * 60}' cannot be varied"):
        tightened(PERMIT, {LONG: "1"})


# --- delegations ----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (lent(type="hetao.delegation/2"), "unknown kind"),
        (lent(permit="sha256:0"), "another permit"),
        (lent(to="ethics-hk"), "of its own side"),
        (lent(to=LONG), f"{'x' * 60} has no part"),
        (lent(by="ethics-hk"), "an office that is not theirs"),
        (lent(office=("SZ", "data-protection")), "an office that is not theirs"),
        (lent(by="deputy-sz", office=("SZ", "staff")), "an office that is not theirs"),
        (lent(not_after=at(1)), "never in force"),
    ],
)
def test_a_delegation_that_does_not_hold_is_refused_in_words(statement, words):
    with pytest.raises(NotApproved, match=words):
        read_delegation(PERMIT, statement)


def test_a_delegation_is_in_force_for_a_second_at_least():
    read_delegation(PERMIT, lent(not_after=at(1 + SECOND)))


@pytest.mark.parametrize(
    ("hours", "dated", "is_heard"),
    [
        (1, 1, True),
        (1 - SECOND, 0, False),
        (2 - SECOND, 1, True),
        (2, 1, False),
        (1.5, 1.5, True),
        (1.5, 1.5 + SECOND, False),
    ],
)
def test_whoever_is_lent_an_office_speaks_while_it_is_lent(hours, dated, is_heard):
    given = lent(at=at(dated)).as_json()
    one = said(by="deputy-sz", side="SZ", at=at(hours), delegation=given)

    if is_heard:
        assert read_notice(PERMIT, one).holder == "ethics-sz"
    else:
        with pytest.raises(NotApproved, match="not in force at that time"):
            read_notice(PERMIT, one)


# --- times ----------------------------------------------------------------------------
def test_the_last_year_is_one_and_the_next_is_none():
    assert parse_time(f"{LAST_YEAR}-12-31T23:59:59Z").year == LAST_YEAR
    assert parse_time(at(0)) == NOW

    with pytest.raises(InvalidNetwork, match="lies past the year 2999"):
        parse_time(f"{LAST_YEAR + 1}-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x" * 99, f"'{'x' * 40}' is not written in UTC"),
        ("2026-11-22T08:00:00+00:00", "is not written as 2026-11-22T00:00:00Z"),
        ("2026-11-22T8:0:0+000000.0000000000000000", "is not written"),
    ],
)
def test_a_time_that_is_none_is_named_by_forty_letters(text, words):
    with pytest.raises(InvalidNetwork) as caught:
        parse_time(text)

    assert words in str(caught.value)


# --- bundles --------------------------------------------------------------------------
NO_MORE = Words()


def spoken(bundle, by, verb, hours, words=NO_MORE):
    return sign_notice(bundle, SCENE.identities[by], verb, NOW + hours * HOUR, words)


def test_a_renewal_without_a_decision_implies_none():
    early = spoken(Bundle(PERMIT), "ethics-hk", "renew", 1)
    whole = spoken(early, "ethics-hk", "warn", 3, Words(reason="x"))

    assert [n.body["verb"] for n in whole.as_of(NOW + 2 * HOUR).notices] == ["renew"]
    assert whole.as_of(NOW + 3 * HOUR) == whole


def test_a_decision_that_a_later_notice_heard_of_is_held_whatever_its_date():
    warned = spoken(Bundle(PERMIT), "ethics-sz", "warn", 5, Words(reason="x"))
    whole = spoken(warned, "ethics-hk", "renew", 2)

    assert whole.notices[1].body["heard"] == {"ethics-sz": 1}
    assert "heard" not in whole.notices[0].body
    assert whole.as_of(NOW + 3 * HOUR) == whole
    assert whole.as_of(NOW + HOUR).notices == ()


def test_notices_that_are_there_are_not_added_again():
    one = spoken(Bundle(PERMIT), "ethics-hk", "approve", 0)
    both = spoken(one, "ethics-sz", "approve", 0)

    assert both.with_notices(one.notices) is both
    assert one.with_notices(both.notices) == both
