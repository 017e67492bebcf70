"""A permit lives as it was signed: each verb does what it says, and nothing more."""

from dataclasses import replace

import pytest

from hetao.canonical import digest
from hetao.errors import ConflictOfDuties, NotActive, NotAParty, NotApproved, OutOfTime
from hetao.permit import (
    SKEW,
    Basis,
    Bundle,
    Payload,
    Words,
    check_standing,
    decide,
    is_revoked,
    sign_notice,
    situation_of,
    standing,
)
from hetao.permit import state as signed
from hetao.permit.notices import read_notice
from support_permit import HOUR, NOW, STUDY, Scene, at

SCENE = Scene()
APPROVED = SCENE.approve_all()


def say(bundle, name, verb, hours=0.0, **words):
    when = NOW + hours * HOUR
    return sign_notice(bundle, SCENE.identities[name], verb, when, Words(**words))


def state(bundle, hours=0.0):
    return standing(bundle, NOW + hours * HOUR).state


def renewed(bundle, hours):
    for name in ("ethics-hk", "privacy-sz"):
        bundle = say(bundle, name, "renew", hours)
    return bundle


def test_a_permit_is_a_draft_until_the_last_approval():
    bundle = Bundle(SCENE.permit)
    for name in ("ethics-hk", "ethics-sz", "privacy-hk"):
        bundle = say(bundle, name, "approve")
        assert state(bundle) == "draft"

    assert state(say(bundle, "privacy-sz", "approve")) == "active"


def test_an_approved_permit_is_active_from_its_first_second():
    scene = SCENE.varied(not_before=at(2))
    bundle = scene.approve_all()

    assert [state(bundle, h) for h in (0, 1.99, 2)] == [
        "approved",
        "approved",
        "active",
    ]


@pytest.mark.parametrize(
    ("verb", "end"),
    [
        ("refuse", "refused"),
        ("withdraw", "revoked"),
        ("revoke", "revoked"),
        ("close", "closed"),
    ],
)
def test_what_ends_a_permit_ends_it_for_good(verb, end):
    ended = say(APPROVED, "ethics-sz", verb, 1)

    later = renewed(say(ended, "ethics-sz", "approve", 2), 3)

    for bundle in (ended, later):
        assert state(bundle, 3) == end
        assert standing(bundle, NOW + 3 * HOUR).is_final


def test_the_gravest_end_is_told_in_whatever_order_it_came():
    one = say(say(APPROVED, "author", "close", 1), "ethics-hk", "revoke", 2)
    other = say(say(APPROVED, "ethics-hk", "revoke", 1), "author", "close", 2)

    assert state(one, 3) == state(other, 3) == "revoked"


def test_a_closed_permit_says_when_its_report_is_due():
    found = standing(say(APPROVED, "author", "close", 1), NOW + HOUR)

    assert found.report_due == at(1 + 24 * 183)


# --- leases -------------------------------------------------------------------------
def test_a_permit_that_one_side_does_not_renew_stops_after_a_day():
    assert state(APPROVED, 23.99) == "active"
    assert state(APPROVED, 24) == "suspended"

    one_side = say(APPROVED, "ethics-hk", "renew", 20)
    assert state(one_side, 24) == "suspended"
    assert "SZ" in standing(one_side, NOW + 24 * HOUR).why[0]

    both = say(one_side, "privacy-sz", "renew", 21)
    assert state(both, 24) == "active"
    assert standing(both, NOW + 24 * HOUR).leases == {"HK": at(44), "SZ": at(45)}


def test_a_permit_that_lapsed_goes_on_once_it_is_renewed():
    assert state(renewed(APPROVED, 50), 50) == "active"


def test_a_renewal_from_the_future_renews_nothing():
    bundle = renewed(APPROVED, 30)

    assert state(bundle, 24.5) == "suspended"
    assert state(bundle, 30 - 4 / 60) == "active"  # clocks differ by minutes


def test_a_shorter_lease_is_a_shorter_lease():
    scene = SCENE.varied(lease_hours=2)
    bundle = scene.approve_all()

    assert [state(bundle, h) for h in (1.9, 2)] == ["active", "suspended"]


def test_a_key_that_only_renews_says_nothing_else():
    keys = tuple(
        replace(k, scope="renew") if k.owner == "ethics-hk" else k for k in SCENE.keys
    )
    permit = SCENE.varied(keys=keys).permit
    with pytest.raises(NotApproved, match="only renew"):
        say(Bundle(permit), "ethics-hk", "approve")

    assert say(Bundle(permit), "ethics-hk", "renew").notices


# --- suspending, varying, warning ---------------------------------------------------
def test_a_suspension_holds_until_the_same_office_lifts_it():
    bundle = say(APPROVED, "ethics-hk", "suspend", 1)
    assert state(bundle, 1) == "suspended"

    with pytest.raises(NotApproved, match="suspended nothing"):
        say(bundle, "privacy-hk", "resume", 2)

    assert state(say(bundle, "ethics-hk", "resume", 2), 2) == "active"


def test_an_old_resumption_lifts_no_new_suspension():
    bundle = say(say(APPROVED, "ethics-hk", "suspend", 1), "ethics-hk", "resume", 2)
    again = say(bundle, "ethics-hk", "suspend", 3)

    replayed = Bundle(again.permit, (*again.notices, bundle.notices[-1]))

    assert state(replayed, 4) == "suspended"


def test_a_suspension_for_a_time_ends_by_itself():
    bundle = say(APPROVED, "ethics-hk", "suspend", 1, until=at(5))

    assert [state(bundle, h) for h in (1, 4.99, 5)] == [
        "suspended",
        "suspended",
        "active",
    ]


def test_a_suspension_dated_tomorrow_is_heeded_today():
    assert state(say(APPROVED, "ethics-hk", "suspend", 20), 1) == "suspended"


def test_a_variation_tightens_and_never_loosens():
    bundle = say(APPROVED, "ethics-hk", "vary", 1, change={"most_runs": "5"})
    bundle = say(bundle, "ethics-sz", "vary", 1, change={"most_runs": "9"})

    terms = standing(bundle, NOW + HOUR).terms
    assert (terms.most_runs, terms.highest_grade) == (5, 3)
    assert state(bundle, 1) == "active"
    for change in (
        {"most_runs": "21"},
        {"most_runs": "0"},
        {"most_runs": "+5"},
        {"highest_grade": "4"},
        {"lease_hours": "25"},
        {"not_after": at(24 * 91)},
        {"not_after": "soon"},
        {"sites": "hospital-hk"},
    ):
        with pytest.raises(NotApproved):
            say(APPROVED, "ethics-hk", "vary", 1, change=change)


def test_a_permit_can_be_varied_to_end_earlier():
    bundle = say(APPROVED, "ethics-hk", "vary", 1, change={"not_after": at(6)})

    assert [state(bundle, h) for h in (5.99, 6)] == ["active", "expired"]
    with pytest.raises(OutOfTime):
        check_standing(bundle, STUDY, NOW + 6 * HOUR, None)


def test_a_warning_is_shown_and_stops_nothing():
    found = standing(say(APPROVED, "ethics-hk", "warn", 1, reason="late"), NOW + HOUR)

    assert found.is_active
    assert found.warnings == ("ethics-hk (ethics, HK): late",)


def test_an_amendment_ends_the_old_version():
    bundle = say(APPROVED, "author", "amend", 1, replaced_by="sha256:" + "9" * 64)

    found = standing(bundle, NOW + HOUR)
    assert (found.state, found.replaced_by) == ("closed", "sha256:" + "9" * 64)


# --- who may say what ---------------------------------------------------------------
@pytest.mark.parametrize("verb", ["close", "amend"])
@pytest.mark.parametrize("name", ["author-b", "operator", "checker-sz", "deputy-sz"])
def test_whoever_the_permit_does_not_ask_says_nothing(name, verb):
    """Those who hold an office may; a deputy, who holds none, may not."""
    words = {"replaced_by": "sha256:9"} if verb == "amend" else {}
    if name == "deputy-sz":
        with pytest.raises(NotAParty):
            say(APPROVED, name, verb, 1, **words)
    else:
        assert state(say(APPROVED, name, verb, 1, **words), 1) == "closed"


@pytest.mark.parametrize("verb", ["approve", "renew", "resume", "suspend", "revoke"])
@pytest.mark.parametrize("name", ["author", "checker-hk", "deputy-sz"])
def test_who_holds_no_office_grants_and_stops_nothing(name, verb):
    with pytest.raises(NotAParty):
        say(APPROVED, name, verb)


@pytest.mark.parametrize("name", ["author-b", "operator", "checker-sz"])
def test_who_asks_checks_or_runs_a_hub_does_not_approve_by_another_name(name):
    with pytest.raises(ConflictOfDuties):
        say(Bundle(SCENE.permit), name, "approve")


def test_one_person_by_two_names_does_not_approve_on_both_sides():
    bundle = say(Bundle(SCENE.permit), "ethics-hk", "approve")

    with pytest.raises(ConflictOfDuties, match="two offices"):
        say(bundle, "twin-sz", "approve")


def test_a_renewal_that_heard_of_somebody_unknown_does_not_hold():
    true = say(APPROVED, "ethics-hk", "renew").notices[-1]
    body = {**true.body, "heard": {"nobody at all": 1}}

    with pytest.raises(NotApproved, match="no part"):
        read_notice(SCENE.permit, signed(SCENE.identities["ethics-hk"], body))


@pytest.mark.parametrize("number", ["1" * 5000, "1" * 10, "01", "-1", "1.0", "", "١"])
def test_a_variation_to_what_is_no_whole_number_does_not_hold(number):
    with pytest.raises(NotApproved, match="whole number"):
        say(APPROVED, "ethics-sz", "vary", change={"most_runs": number})


def test_whoever_has_no_say_is_told_so_before_their_words_are_read():
    body = {
        **say(APPROVED, "ethics-hk", "vary", change={"most_runs": "1"}).notices[-1].body
    }
    body |= {"by": "author", "key": "author", "role": "author"}
    body["change"] = {"most_runs": "1" * 5000}

    with pytest.raises(NotApproved, match="not theirs"):
        read_notice(SCENE.permit, signed(SCENE.identities["author"], body))


# --- a cut in time ------------------------------------------------------------------
MINUTE = 1 / 60


def cuts(bundle, hours=0.0):
    """Return the states at a time of the two cuts that a verifier holds against it."""
    when = NOW + hours * HOUR
    return [
        standing(bundle.as_of(when, ahead), when).state for ahead in (0 * SKEW, SKEW)
    ]


def test_a_cut_holds_an_approval_by_a_clock_that_runs_ahead():
    bundle = Bundle(SCENE.permit)
    for name in ("ethics-hk", "privacy-hk", "privacy-sz"):
        bundle = say(bundle, name, "approve")

    assert cuts(say(bundle, "ethics-sz", "approve", MINUTE)) == ["draft", "active"]
    assert cuts(say(bundle, "ethics-sz", "approve", 6 * MINUTE)) == ["draft"] * 2


def test_a_cut_holds_what_its_renewals_had_heard():
    warned = say(APPROVED, "ethics-sz", "warn", 2 * MINUTE, reason="x")
    bundle = say(warned, "ethics-hk", "renew", MINUTE)

    assert cuts(bundle, MINUTE) == ["active", "active"]
    stopped = say(APPROVED, "ethics-sz", "suspend", 2 * MINUTE)
    assert cuts(say(stopped, "ethics-hk", "renew", MINUTE), MINUTE) == ["suspended"] * 2


def test_a_cut_holds_no_stop_that_came_later():
    bundle = say(APPROVED, "ethics-sz", "suspend", MINUTE)

    assert cuts(bundle) == ["active", "active"]
    assert cuts(say(bundle, "ethics-sz", "resume", 2 * MINUTE)) == ["active"] * 2
    assert cuts(bundle, MINUTE) == ["suspended", "suspended"]


def test_a_cut_through_a_notice_without_a_time_is_refused():
    body = dict(APPROVED.notices[0].body)
    del body["at"]
    odd = signed(SCENE.identities["ethics-hk"], body)

    with pytest.raises(NotApproved):
        Bundle(SCENE.permit, (odd,)).as_of(NOW)


# --- delegation ---------------------------------------------------------------------
def test_a_deputy_approves_in_the_office_of_who_lent_it():
    lent = SCENE.delegation("ethics-sz", "deputy-sz", ("SZ", "ethics"))
    bundle = Bundle(SCENE.permit)
    for name in ("ethics-hk", "privacy-hk", "privacy-sz"):
        bundle = say(bundle, name, "approve")

    made = say(bundle, "deputy-sz", "approve", delegation=lent)

    assert state(made) == "active"
    (approval,) = [a for a in standing(made, NOW).approvals if a.by == "deputy-sz"]
    assert approval.holder == "ethics-sz"


def test_a_delegation_makes_no_second_person():
    lent = SCENE.delegation("ethics-sz", "privacy-sz", ("SZ", "ethics"))
    bundle = say(Bundle(SCENE.permit), "privacy-sz", "approve")

    with pytest.raises(ConflictOfDuties):
        say(bundle, "privacy-sz", "approve", delegation=lent)


@pytest.mark.parametrize(
    ("by", "to", "office", "valid"),
    [
        ("ethics-hk", "deputy-sz", ("HK", "ethics"), None),  # to the other side
        (
            "deputy-sz",
            "privacy-sz",
            ("SZ", "ethics"),
            None,
        ),  # who has none
        ("ethics-sz", "privacy-sz", ("SZ", "ethics"), None),  # for another signer
        ("ethics-sz", "deputy-sz", ("SZ", "data-protection"), None),  # not their office
        ("ethics-sz", "deputy-sz", ("SZ", "ethics"), (at(-9), at(0))),  # over
        ("ethics-sz", "deputy-sz", ("SZ", "ethics"), (at(1), at(9))),  # not begun
    ],
)
def test_a_delegation_that_does_not_hold_lends_nothing(by, to, office, valid):
    lent = SCENE.delegation(by, to, office, *([valid] if valid else []))

    with pytest.raises(NotApproved):
        say(Bundle(SCENE.permit), "deputy-sz", "approve", delegation=lent)


def test_a_delegation_is_not_handed_on():
    first = SCENE.delegation("ethics-sz", "privacy-sz", ("SZ", "ethics"))
    second = SCENE.delegation("privacy-sz", "deputy-sz", ("SZ", "ethics"))

    for lent in (first, second):
        with pytest.raises(NotApproved):
            say(Bundle(SCENE.permit), "deputy-sz", "approve", delegation=lent)


LENT = SCENE.delegation("ethics-sz", "deputy-sz", ("SZ", "ethics"))
RECALLED = {"recalls": (digest(LENT.body),)}


def by_deputy(verb, hours=0.0, bundle=None):
    """Return a permit of which the deputy speaks, all others having approved it."""
    made = bundle or Bundle(SCENE.permit)
    if bundle is None:
        for name in ("ethics-hk", "privacy-hk", "privacy-sz"):
            made = say(made, name, "approve")
    return say(made, "deputy-sz", verb, hours, delegation=LENT)


def test_a_recalled_deputy_says_nothing_more_and_has_said_what_was_said():
    made = say(by_deputy("approve", 0), "ethics-sz", "recall", 1, **RECALLED)

    assert state(made, 2) == "active"  # the approval of before stands
    after = by_deputy("revoke", 2, made)
    assert state(after, 3) == "active"
    assert not is_revoked(after)


def test_what_a_deputy_stopped_before_the_recall_stays_stopped():
    suspended = by_deputy("suspend", 1, by_deputy("approve", 0))
    ended = by_deputy("revoke", 1, by_deputy("approve", 0))

    for bundle, found in ((suspended, "suspended"), (ended, "revoked")):
        made = say(bundle, "ethics-sz", "recall", 2, **RECALLED)
        assert state(made, 3) == found
        assert is_revoked(made) == (found == "revoked")


def test_a_recalled_deputy_gains_nothing_by_dating_an_approval_back():
    before = by_deputy("approve", 0)
    (approval,) = before.notices[-1:]
    hidden = Bundle(before.permit, before.notices[:-1])
    recalled = say(hidden, "ethics-sz", "recall", 1, **RECALLED)

    assert state(recalled.with_notices((approval,)), 2) == "draft"


def test_a_recalled_deputys_renewal_holds_no_lease():
    made = say(by_deputy("approve", 0), "ethics-sz", "recall", 1, **RECALLED)
    made = say(by_deputy("renew", 23, made), "ethics-hk", "renew", 23)
    assert state(made, 24.5) == "suspended"

    # who lent the office renews in it, and it goes on
    assert state(say(made, "ethics-sz", "renew", 25), 25) == "active"


@pytest.mark.parametrize("by", ["privacy-sz", "ethics-hk"])
def test_nobody_recalls_what_somebody_else_lent(by):
    made = say(by_deputy("approve", 0), by, "recall", 1, **RECALLED)

    assert state(by_deputy("suspend", 2, made), 3) == "suspended"


def test_a_recall_ends_one_delegation_and_no_other():
    other = SCENE.delegation(
        "ethics-sz", "deputy-sz", ("SZ", "ethics"), (at(0), at(99))
    )
    made = say(by_deputy("approve", 0), "ethics-sz", "recall", 1, **RECALLED)

    again = say(made, "deputy-sz", "suspend", 2, delegation=other)

    assert state(again, 3) == "suspended"


def test_a_recall_that_was_heard_of_cannot_be_left_out():
    made = say(by_deputy("approve", 0), "ethics-sz", "recall", 1, **RECALLED)
    renewed_since = say(made, "ethics-hk", "renew", 2)
    without = tuple(n for n in renewed_since.notices if n.body["verb"] != "recall")

    with pytest.raises(NotApproved, match="left out"):
        standing(Bundle(made.permit, without), NOW + 3 * HOUR)


@pytest.mark.parametrize(
    ("verb", "words"), [("recall", {}), ("suspend", RECALLED), ("renew", RECALLED)]
)
def test_a_recall_and_nothing_else_names_delegations(verb, words):
    with pytest.raises(NotApproved, match="recall"):
        say(APPROVED, "ethics-sz", verb, 1, **words)


def test_a_certificate_is_held_against_what_counted_at_its_time():
    made = say(by_deputy("approve", 0), "ethics-sz", "recall", 1, **RECALLED)

    assert standing(made.as_of(NOW + HOUR / 2), NOW + HOUR / 2).state == "active"
    assert len(made.as_of(NOW + HOUR / 2).notices) == 4


# --- what is left out ---------------------------------------------------------------
def test_a_suspension_cannot_be_left_out_of_what_came_after_it():
    bundle = renewed(say(APPROVED, "ethics-hk", "suspend", 1), 2)
    without = Bundle(
        bundle.permit, tuple(n for n in bundle.notices if n.body["verb"] != "suspend")
    )

    with pytest.raises(NotApproved, match="left out"):
        standing(without, NOW + 2 * HOUR)


def test_a_withdrawal_that_one_side_heard_of_cannot_be_hidden_from_the_other():
    bundle = say(APPROVED, "ethics-sz", "withdraw", 1)
    bundle = say(bundle, "ethics-hk", "renew", 2)
    without = Bundle(
        bundle.permit, tuple(n for n in bundle.notices if n.body["verb"] != "withdraw")
    )

    with pytest.raises(NotApproved, match="ethics-sz was left out"):
        standing(without, NOW + 2 * HOUR)


def test_who_says_two_things_under_one_number_is_not_heard():
    one = say(APPROVED, "ethics-hk", "suspend", 1)
    other = say(APPROVED, "ethics-hk", "withdraw", 1)
    both = Bundle(APPROVED.permit, (*one.notices, other.notices[-1]))

    with pytest.raises(NotApproved, match="two things"):
        standing(both, NOW + HOUR)


def test_decisions_dated_out_of_their_order_are_not_heard():
    with pytest.raises(NotApproved, match="order"):
        standing(say(APPROVED, "ethics-hk", "suspend", -1), NOW)


# --- the decision -------------------------------------------------------------------
def test_a_basis_that_has_ended_ends_the_use():
    basis = Basis("hgr-report", "2026-1", "sha256:0", at(-9), at(5))
    scene = SCENE.varied(bases=(basis,))
    bundle = scene.approve_all()

    check_standing(bundle, STUDY, NOW, scene.directory)
    with pytest.raises(OutOfTime, match="does not hold"):
        check_standing(bundle, STUDY, NOW + 5 * HOUR, scene.directory)


def test_a_key_that_the_asker_knows_as_revoked_approves_nothing_from_then_on():
    def listing(revoked_at):
        keys = tuple(
            replace(k, revoked_at=revoked_at) if k.owner == "ethics-hk" else k
            for k in SCENE.keys
        )
        return replace(SCENE.directory, keys=keys)

    check_standing(APPROVED, STUDY, NOW, listing(at(1)))
    with pytest.raises(NotApproved, match="revoked"):
        check_standing(APPROVED, STUDY, NOW, listing(at(0)))


def test_a_suspended_permit_is_refused_as_not_active():
    with pytest.raises(NotActive, match="ethics-hk"):
        check_standing(say(APPROVED, "ethics-hk", "suspend"), STUDY, NOW, None)


@pytest.mark.parametrize(
    ("payload", "failed"),
    [
        (Payload("notice", "hospital-hk", 2, frozenset({"fixed_fields"})), ()),
        (Payload("notice", "hospital-hk", 2, frozenset()), ("checks",)),
        (Payload("notice", "hub-hk", 2, frozenset({"fixed_fields"})), ("site",)),
        (Payload("notice", "hospital-hk", 4, frozenset({"fixed_fields"})), ("grade",)),
        (Payload("notice", "hospital-hk", 0, frozenset({"fixed_fields"})), ("grade",)),
        (Payload("row", "hospital-hk", 2, frozenset({"fixed_fields"})), ("checks",)),
        (
            Payload("consignment", "hospital-hk", 2, frozenset({"consent"})),
            ("kind", "checks"),
        ),
        (Payload("whatever", "hospital-hk", 2, frozenset()), ("kind", "checks")),
    ],
)
def test_what_must_have_been_checked_follows_from_the_kind_of_payload(payload, failed):
    facts = situation_of(APPROVED, STUDY, NOW, None, payload)

    assert decide(facts).failed == failed


def test_what_a_permit_asks_besides_is_asked_too():
    scene = SCENE.varied(checks=("min_cohort", "our_own"))
    passed = frozenset({"min_cohort", "bounds"})
    bundle = scene.approve_all()

    for checks, allowed in ((passed, False), (passed | {"our_own"}, True)):
        payload = Payload("model_update", "hospital-hk", 3, checks)
        assert (
            decide(situation_of(bundle, STUDY, NOW, None, payload)).allowed is allowed
        )
