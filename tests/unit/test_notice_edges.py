"""Notices, delegations and times at the edges of each of their rules."""

from dataclasses import replace

import pytest

from hetao.canonical import digest
from hetao.errors import InvalidNetwork, NotAParty, NotApproved
from hetao.permit import (
    Bundle,
    Words,
    new_identity,
    parse_time,
    read_bundle,
    sign_notice,
    state,
    write_bundle,
)
from hetao.permit.bundle import draft_delegation, key_of
from hetao.permit.dates import LAST_YEAR
from hetao.permit.notices import (
    LONGEST_REASON,
    counting,
    office_of,
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
        (said(permit="sha256:0"), "signed another permit"),
        (said(until=at(1)), "'warn' has no until"),
        (said(lifts=["sha256:0"]), "'warn' has no lifts"),
        (said(change={"most_runs": "1"}), "'warn' has no change"),
        (said(heard={"ethics-hk": 1}), "'warn' has no heard"),
        (said(replaced_by="sha256:0"), "'warn' has no replaced_by"),
        (said(recalls=["sha256:0"]), "'warn' has no recalls"),
        (said("amend", "author", role="author", side="HK"), "takes this one's place"),
        (said("recall"), "names the delegations"),
        (said("vary", reason=""), "what it varies"),
        (said("suspend", until="soon"), "a notice is malformed: "),
        (said(delegation={}), "a delegation is forged: "),
        (said("renew", heard={"nobody": 1}), "who has no part in the permit"),
        (said("approve", "author", role="author", side="HK"), "not theirs"),
        (said("warn", role="author"), "not theirs"),
        (said("warn", "author", side="HK"), "not theirs"),
    ],
)
def test_a_notice_that_is_not_is_refused_in_words(statement, words):
    with pytest.raises(NotApproved, match=words):
        read_notice(PERMIT, statement)


def test_each_verb_bears_its_own_fields():
    everybody = {person.name: 1 for person in PERMIT.persons}
    for one in (
        said("suspend", until=at(1)),
        said("resume", lifts=["sha256:0"]),
        said("vary", reason="", change={"most_runs": "1"}),
        said("vary", reason="so"),
        said("renew", heard=everybody),
        said("recall", heard=everybody, recalls=["sha256:0"]),
        said("amend", "author", role="author", side="HK", replaced_by="sha256:0"),
    ):
        assert read_notice(PERMIT, one).statement == one


@pytest.mark.parametrize(
    ("person", "verb", "office"),
    [
        ("ethics-sz", "approve", ("SZ", "ethics")),
        ("operator", "close", ("HK", "ethics")),
        ("author", "close", ("HK", "author")),
        ("author", "amend", ("HK", "author")),
        ("author", "approve", None),
        ("checker-hk", "close", None),
    ],
)
def test_an_office_is_one_that_the_permit_asks_or_the_authors(person, verb, office):
    if office:
        assert office_of(PERMIT, person, verb) == office
    else:
        with pytest.raises(NotAParty, match="nobody whom the permit asks"):
            office_of(PERMIT, person, verb)


def test_a_key_that_can_only_renew_says_nothing_else_and_lends_nothing():
    keys = tuple(replace(key, scope="renew") for key in PERMIT.keys)
    scene = SCENE.varied(keys=keys)
    permit = scene.permit

    read_notice(permit, said("renew", permit=permit.digest, sequence=0))
    with pytest.raises(NotApproved, match="the key ethics-hk can only renew"):
        read_notice(permit, said(permit=permit.digest))
    with pytest.raises(NotApproved, match="the key ethics-sz can only renew"):
        read_delegation(permit, lent())


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
    for text in ("many", "01", "-1"):
        with pytest.raises(NotApproved, match="most_runs is not a whole number"):
            tightened(PERMIT, {"most_runs": text})
    with pytest.raises(NotApproved, match=f"'{'x' * 60}' cannot be varied"):
        tightened(PERMIT, {LONG: "1"})


# --- delegations ----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (lent(type="hetao.delegation/2"), "unknown kind"),
        (lent(permit="sha256:0"), "another permit"),
        (lent(to="ethics-hk"), "of its own side"),
        (lent(to=LONG), rf"\b{'x' * 60} has no part"),
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


@pytest.mark.parametrize(
    ("by", "role"), [("twin-sz", "ethics"), ("deputy-sz", "data-protection")]
)
def test_a_delegation_is_for_whom_it_names_and_for_one_office(by, role):
    given = lent(not_before=at(0), at=at(0)).as_json()
    one = said(by=by, side="SZ", role=role, delegation=given)

    with pytest.raises(NotApproved, match="for somebody else, or another office"):
        read_notice(PERMIT, one)


# --- recalls --------------------------------------------------------------------------
LENT = lent(not_before=at(0), at=at(0))


def under(verb, hours, delegation=LENT, **fields):
    """Return what the deputy says under a delegation."""
    given = {"delegation": delegation.as_json()} if delegation else {}
    fields = {"reason": "x" if verb == "warn" else "", **fields}
    one = said(verb, "deputy-sz", side="SZ", at=at(hours), **given, **fields)
    return read_notice(PERMIT, one)


def recalled(hours=1.5, by="ethics-sz", heard=None, what=LENT):
    """Return a recall that had heard of so many decisions of the deputy."""
    known = {"deputy-sz": 1} if heard is None else heard
    fields = {"recalls": [digest(what.body)], "heard": known}
    return read_notice(PERMIT, said("recall", by, at=at(hours), **fields))


@pytest.mark.parametrize(
    ("recall", "verbs"),
    [
        (recalled(), ["approve", "warn"]),
        (recalled(1), ["approve"]),
        (recalled(1 - SECOND), ["approve"]),
        (recalled(0.5), []),
        (recalled(heard={}), ["warn"]),
        (recalled(heard={"deputy-sz": 2}), ["approve", "warn"]),
        (recalled(0.5, by="ethics-hk"), ["approve", "warn"]),
        (recalled(0.5, what=lent()), ["approve", "warn"]),
    ],
)
def test_what_was_said_before_a_recall_counts_and_of_what_lets_go_on_what_was_heard(
    recall, verbs
):
    heard = [under("approve", 0.5), under("warn", 1)]

    counted = counting([*heard, recall])

    assert [one.notice.verb for one in counted[:-1]] == verbs
    assert counted[-1] is recall


def test_a_recall_ends_nothing_that_somebody_says_in_their_own_office():
    own = read_notice(PERMIT, said(by="ethics-sz", at=at(2)))

    assert counting([own, recalled(0.5)])[0] is own


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


def test_clocks_may_run_ahead_of_those_alone_who_let_it_go_on():
    both = spoken(Bundle(PERMIT), "ethics-hk", "approve", 2)
    both = spoken(both, "ethics-sz", "warn", 2, Words(reason="x"))

    assert [n.body["verb"] for n in both.as_of(NOW + HOUR, HOUR).notices] == ["approve"]
    assert both.as_of(NOW + HOUR, -HOUR).notices == ()


def test_an_office_is_lent_from_the_first_time_until_the_second():
    made = draft_delegation(
        SCENE.keys[0], "deputy-hk", ("HK", "ethics"), (at(1), at(2))
    )

    assert (made["side"], made["role"]) == ("HK", "ethics")
    assert (made["not_before"], made["not_after"], made["at"]) == (at(1), at(2), at(1))


def test_notices_that_are_there_are_not_added_again():
    one = spoken(Bundle(PERMIT), "ethics-hk", "approve", 0)
    both = spoken(one, "ethics-sz", "approve", 0)

    assert both.with_notices(one.notices) is both
    assert one.with_notices(both.notices) == both


def test_a_stranger_has_no_key_and_a_verb_that_is_none_is_not_said():
    with pytest.raises(NotAParty, match="nobody whom the permit asks"):
        key_of(PERMIT, new_identity("stranger"))
    with pytest.raises(NotAParty, match="a notice says one of approve, "):
        spoken(Bundle(PERMIT), "ethics-hk", "shout", 0)


def test_a_resumption_lifts_the_suspensions_of_its_own_office():
    held = spoken(Bundle(PERMIT), "ethics-hk", "suspend", 1)
    both = spoken(held, "ethics-sz", "suspend", 2)

    (mine,) = spoken(both, "ethics-hk", "resume", 3).notices[2].body["lifts"]
    assert mine == both.heard[0].digest
    with pytest.raises(NotApproved, match="ethics on side SZ has suspended nothing"):
        spoken(held, "ethics-sz", "resume", 2)


def test_a_permit_file_may_be_as_large_as_the_limit(tmp_path, monkeypatch):
    path = tmp_path / "permit.json"
    write_bundle(path, Bundle(PERMIT))
    size = path.stat().st_size

    monkeypatch.setattr("hetao.permit.bundle.LARGEST_PERMIT", size)
    assert read_bundle(path).permit == PERMIT
    monkeypatch.setattr("hetao.permit.bundle.LARGEST_PERMIT", size - 1)
    with pytest.raises(InvalidNetwork, match="is larger than"):
        read_bundle(path)


def test_a_permit_file_keeps_what_others_said_and_nothing_of_another_permit(tmp_path):
    path = tmp_path / "permit.json"
    mine = spoken(Bundle(PERMIT), "ethics-hk", "suspend", 1)
    theirs = spoken(Bundle(PERMIT), "ethics-sz", "suspend", 2)
    write_bundle(path, theirs)

    both = write_bundle(path, mine)
    assert both.notices == (*mine.notices, *theirs.notices)
    assert read_bundle(path) == both

    other = Bundle(SCENE.varied(number="HT-2").permit)
    assert write_bundle(path, other) == read_bundle(path) == other


def test_what_need_not_stay_is_taken_out_of_a_permit_file_at_last(tmp_path):
    path = tmp_path / "permit.json"
    write_bundle(path, spoken(Bundle(PERMIT), "ethics-sz", "suspend", 2))

    kept = write_bundle(path, Bundle(PERMIT), trimmed=lambda it: Bundle(it.permit))
    assert kept == read_bundle(path) == Bundle(PERMIT)
