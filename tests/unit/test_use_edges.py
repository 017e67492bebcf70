"""Uses and receipts at the edges of each of their rules, by signed records alone."""

from dataclasses import replace

import pytest

from hetao.errors import (
    LimitReached,
    Mismatched,
    NotAParty,
    NotApproved,
    Replayed,
)
from hetao.permit import state
from hetao.permit.dates import SKEW
from hetao.permit.labels import check_label
from hetao.permit.permit import Limit
from hetao.permit.uses import (
    MOST_ITEMS,
    Amount,
    account,
    allotted,
    check_limits,
    read_receipt,
    read_use,
    receipt_for,
    sign_receipt,
    sign_use,
)
from support_permit import HOUR, NOW, at
from support_uses import HK, SZ, a_use, scene_of

SCENE = scene_of("materials")
PERMIT = SCENE.permit
LONG = "x" * 99
SECOND = HOUR / 3600


def sent(scene=SCENE, number="W-1", **fields):
    use = sign_use(scene.permit, scene.machines[HK], a_use(scene, number, **fields))
    return read_use(scene.permit, use)


def received(one, missing=(), why=("", ()), when=NOW + 5 * HOUR):
    receipt = receipt_for(one, missing, why, when)
    return sign_receipt(PERMIT, SCENE.machines[SZ], one, receipt)


def test_a_use_has_so_many_items_and_no_more():
    scene = scene_of("materials", most=2 * MOST_ITEMS)
    items = tuple(f"T{n}" for n in range(MOST_ITEMS + 1))

    sent(scene, count=MOST_ITEMS, items=items[1:])
    with pytest.raises(NotApproved, match="too many items"):
        sent(scene, count=MOST_ITEMS + 1, items=items)


def test_a_use_under_another_permit_is_none_of_this_one():
    use = replace(a_use(SCENE), permit="sha256:" + "0" * 64)
    body = {**sent().statement.body, "permit": use.permit}

    with pytest.raises(NotApproved, match="under another permit"):
        read_use(PERMIT, state(SCENE.machines[HK], body))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"type": "hetao.use/2"}, "a use is of an unknown kind"),
        ({"kind": LONG}, f"no use of the kind '{'x' * 60}'"),
        ({"items": ["T1"] * 10}, "an item stands twice"),
        ({"due": at(1)}, "due after it was dispatched"),
        ({"amounts": []}, "how much crosses"),
        ({"checks": {"custody": "sha256:0"}}, "by its digest"),
    ],
)
def test_a_use_that_is_not_as_it_should_be_is_refused_in_words(fields, words):
    body = {**sent().statement.body, **fields}

    with pytest.raises(NotApproved, match=words):
        read_use(PERMIT, state(SCENE.machines[HK], body))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"type": "hetao.receipt/2"}, "a receipt is of an unknown kind"),
        ({"items": ["T1", "T1"]}, "misses an item twice"),
        ({"items": ["T3"]}, "an item that was not dispatched"),
        ({"missing": []}, "not what was dispatched"),
        ({"reason": ""}, "why anything is missing"),
    ],
)
def test_a_receipt_that_is_not_as_it_should_be_is_refused_in_words(fields, words):
    one = sent(count=2, items=("T1", "T2"))
    real = received(one, [Amount("tubes", 2)], ("lost", ("T1", "T2")))
    assert read_receipt(PERMIT, one, real).items == ("T1", "T2")

    changed = state(SCENE.machines[SZ], {**real.body, **fields})
    with pytest.raises((NotApproved, Mismatched), match=words):
        read_receipt(PERMIT, one, changed)


def test_a_use_is_dated_as_every_document_is():
    body = {**sent().statement.body, "at": "yesterday"}

    with pytest.raises(NotApproved, match="malformed"):
        read_use(PERMIT, state(SCENE.machines[HK], body))


@pytest.mark.parametrize(
    ("field", "words"), [("site", "is not a site of"), ("to", "is not a site among")]
)
def test_a_site_that_is_none_is_named_by_sixty_letters(field, words):
    body = {**sent().statement.body, field: LONG}

    with pytest.raises(NotAParty, match=f": {'x' * 60} {words}"):
        read_use(PERMIT, state(SCENE.machines[HK], body))


def test_all_of_a_use_may_be_missing_and_no_more():
    one = sent(count=10)

    receipt = read_receipt(
        PERMIT, one, received(one, [Amount("tubes", 10)], ("lost", ()))
    )
    assert (receipt.amounts, receipt.missing) == ((), (Amount("tubes", 10),))
    with pytest.raises(Mismatched, match="more tubes is missing"):
        receipt_for(one, [Amount("tubes", 11)], ("lost", ()), NOW)
    with pytest.raises(Mismatched, match=f"more {'x' * 60} is missing"):
        receipt_for(one, [Amount(LONG, 1)], ("lost", ()), NOW)


def test_a_receipt_is_of_the_use_that_it_names():
    one, other = sent(), sent(number="W-2")

    with pytest.raises(NotApproved, match="of another use"):
        read_receipt(PERMIT, other, received(one))


def test_a_receipt_may_be_as_much_older_as_clocks_differ():
    one = sent(hours=1.0)
    first = NOW + HOUR - SKEW

    read_receipt(PERMIT, one, received(one, when=first))
    with pytest.raises(NotApproved, match="older than what was dispatched"):
        received(one, when=first - SECOND)


def test_a_use_has_one_receipt_in_an_account():
    one = sent()
    receipt = received(one)
    again = received(one, when=NOW + 6 * HOUR)

    account(PERMIT, [one.statement], [receipt], NOW)
    with pytest.raises(Replayed, match="two receipts"):
        account(PERMIT, [one.statement], [receipt, again], NOW)
    with pytest.raises(NotApproved, match="nobody dispatched"):
        account(PERMIT, [], [receipt], NOW)


def test_a_receipt_is_overdue_from_the_moment_at_which_it_is_due():
    one = sent(count=10, hours=1.0)
    due = NOW + 73 * HOUR
    assert one.use.due == at(73)

    def overdue(when):
        lines = account(PERMIT, [one.statement], [], when)
        return next(line.overdue for line in lines if line.site == HK)

    assert [overdue(due - SECOND), overdue(due)] == [0, 10]


@pytest.mark.parametrize(
    ("sites", "limits", "granted"),
    [
        ((HK,), (Limit("tubes", 5),), {"tubes": 5}),
        ((HK,), (Limit("tubes", 5), Limit("tubes", 2, HK)), {"tubes": 7}),
        ((HK,), (Limit("tubes", 5, SZ),), {}),
        ((HK, SZ), (Limit("tubes", 5),), {}),
        ((HK, SZ), (Limit("tubes", 5, HK), Limit("litres", 1, SZ)), {"tubes": 5}),
    ],
    ids=str,
)
def test_a_limit_is_of_the_site_that_it_names_or_of_the_only_one(
    sites, limits, granted
):
    assert allotted(SCENE.varied(sites=sites, limits=limits).permit, HK) == granted


def test_a_limit_is_reached_beyond_its_last_unit():
    check_limits(PERMIT, HK, [Amount("tubes", 60)], {"tubes": 40})

    with pytest.raises(LimitReached, match="limit of 100 tubes"):
        check_limits(PERMIT, HK, [Amount("tubes", 61)], {"tubes": 40})
    with pytest.raises(LimitReached, match=rf"no {'x' * 60}\b"):
        check_limits(PERMIT, HK, [Amount(LONG, 1)], {})
    named = SCENE.varied(limits=(Limit(LONG, 5, HK),)).permit
    with pytest.raises(LimitReached, match=rf"limit of 5 {'x' * 60}\b"):
        check_limits(named, HK, [Amount(LONG, 6)], {})


# --- labels ---------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["T", "T-1 b", "x" * 200, "试管〇一"])
def test_a_label_is_of_ascii_or_han_in_its_one_form(text):
    check_label(text, "the label")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the label is empty, too long"),
        ("x" * 201, "the label is empty, too long"),
        ("T  1", "not in its one form"),
        ("Ｔ1", "not in its one form"),  # of full width
        ("Т1", "looks like another"),  # the Cyrillic letter
        ("T\x7f1", "looks like another"),
    ],
)
def test_a_label_that_is_none_is_refused_in_words(text, words):
    with pytest.raises(NotApproved, match=words):
        check_label(text, "the label")
