"""Who gets what is fixed beforehand, balanced, hidden, and checked afterwards."""

import dataclasses
import itertools
from collections import Counter

import pytest

from hetao.errors import InvalidData, Unverified, Usage
from hetao.trial.allocation import (
    Allocation,
    Enrolled,
    Minimisation,
    Plan,
    _Draw,
    assign,
    commit_minimisation,
    verify_minimisation,
    verify_opening,
    verify_secret,
)

SECRET = bytes(range(32))
PLAN = Plan(
    "t1",
    (("a", 1), ("b", 2)),
    (1, 2),
    (("site", ("hk", "sz")), ("sex", ("f", "m"))),
    61,
)
RULE = Minimisation(
    "t1", (("a", 1), ("b", 1)), (("site", ("hk", "sz"), 2.0), ("sex", ("f", "m"), 1.0))
)


def test_each_stratum_has_a_list_of_its_own():
    lists = Allocation(PLAN, SECRET).lists

    assert list(lists) == [
        "site=hk; sex=f",
        "site=hk; sex=m",
        "site=sz; sex=f",
        "site=sz; sex=m",
    ]
    assert len(set(lists.values())) == 4
    assert {len(one) for one in lists.values()} == {61}


def test_blocks_hold_the_shares_at_their_ends():
    """Whatever blocks of 3 and 6 were drawn, each list parts into such blocks."""

    def parts(rest):
        if len(rest) < 6 and Counter(rest)["b"] <= 4 and Counter(rest)["a"] <= 2:
            return True
        return any(
            Counter(rest[:size]) == Counter("abb" * (size // 3)) and parts(rest[size:])
            for size in (3, 6)
        )

    for arms in Allocation(PLAN, SECRET).lists.values():
        assert parts("".join(arms))


def test_every_order_of_a_block_is_as_probable():
    plan = Plan("t", (("a", 2), ("b", 2)), (1,), (), 4 * 6_000)
    arms = Allocation(plan, SECRET).lists[""]
    orders = Counter("".join(arms[n : n + 4]) for n in range(0, len(arms), 4))

    assert len(orders) == 6
    # chi-square on 5 degrees of freedom: 20.5 has a chance of 0.001
    assert sum((count - 1000) ** 2 / 1000 for count in orders.values()) < 20.5


def test_a_draw_below_a_limit_is_unbiased():
    draw = _Draw(SECRET, ("x",))
    counts = Counter(draw.below(7) for _ in range(70_000))

    assert set(counts) == set(range(7))
    # chi-square on 6 degrees of freedom: 22.5 has a chance of 0.001
    assert sum((c - 10_000) ** 2 / 10_000 for c in counts.values()) < 22.5


def test_the_same_secret_makes_the_same_list_and_another_one_does_not():
    assert Allocation(PLAN, SECRET).lists == Allocation(PLAN, SECRET).lists
    other = dataclasses.replace(PLAN, name="t2")
    commitments = {
        Allocation(PLAN, SECRET).commitment.root,
        Allocation(PLAN, bytes(32)).commitment.root,
        Allocation(other, SECRET).commitment.root,
    }
    assert len(commitments) == 3


def test_every_place_opens_against_the_commitment():
    allocation = Allocation(PLAN, SECRET)
    for stratum, place in itertools.product(PLAN.labels, (1, 2, 60, 61)):
        opening = allocation.open(stratum, place)

        assert opening.arm == allocation.lists[stratum][place - 1]
        verify_opening(allocation.commitment, opening)


@pytest.mark.parametrize(
    "changes",
    [
        {"arm": "a"},
        {"arm": "b"},
        {"place": 8},
        {"stratum": "site=hk; sex=m"},
        {"salt": "00" * 32},
        {"salt": "zz"},
        {"index": 8},
        {"index": -1},
        {"proof": ()},
    ],
    ids=str,
)
def test_a_changed_opening_does_not_verify(changes):
    allocation = Allocation(PLAN, SECRET)
    opening = allocation.open("site=hk; sex=f", 7)
    if changes == {"arm": opening.arm}:
        changes = {"arm": "c"}

    with pytest.raises(Unverified):
        verify_opening(allocation.commitment, dataclasses.replace(opening, **changes))


def test_an_opening_says_nothing_of_other_places():
    """Salts of two places differ, and none is a function of what is published."""
    allocation = Allocation(PLAN, SECRET)
    salts = {allocation.open(s, n).salt for s in PLAN.labels for n in range(1, 62)}

    assert len(salts) == 4 * 61
    assert not any(salt in str(allocation.commitment) for salt in salts)


def test_the_published_secret_gives_the_list_again():
    commitment = Allocation(PLAN, SECRET).commitment

    assert verify_secret(commitment, PLAN, SECRET).lists
    with pytest.raises(Unverified, match="secret, root"):
        verify_secret(commitment, PLAN, bytes(32))
    with pytest.raises(Unverified, match="plan"):
        verify_secret(commitment, dataclasses.replace(PLAN, places=60), SECRET)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"arms": (("a", 1),)},
        {"arms": (("a", 1), ("a", 1))},
        {"arms": (("a", 1), ("b", 0))},
        {"blocks": ()},
        {"blocks": (0,)},
        {"strata": (("s", ()),)},
        {"strata": (("s", ("x", "x")),)},
        {"strata": (("s", ("x",)), ("s", ("y",)))},
        {"places": 0},
        {"places": 10**7},
    ],
    ids=str,
)
def test_a_plan_without_sense_is_refused(changes):
    with pytest.raises(Usage):
        dataclasses.replace(PLAN, **changes)


def test_a_short_secret_is_refused():
    with pytest.raises(Usage, match="32 random bytes"):
        Allocation(PLAN, b"short")
    with pytest.raises(Usage, match="no such stratum"):
        Allocation(PLAN, SECRET).open("site=xx", 1)


# --- minimisation ---------------------------------------------------------------------
def enrol(rule, people, secret=SECRET):
    enrolled = []
    for levels in people:
        enrolled.append(assign(rule, secret, enrolled, levels))
    return enrolled


MANY = [("hk" if n % 3 else "sz", "fm"[n % 2]) for n in range(120)]


def test_minimisation_balances_each_factor():
    enrolled = enrol(RULE, MANY)
    for place, level in ((0, "hk"), (0, "sz"), (1, "f"), (1, "m")):
        arms = Counter(one.arm for one in enrolled if one.levels[place] == level)
        assert abs(arms["a"] - arms["b"]) <= 6


def test_a_sure_coin_follows_pocock_and_simon_by_hand():
    """Taken through by hand: each person goes where the weighted ranges are least."""
    rule = dataclasses.replace(RULE, favour=1.0)
    before = [Enrolled(("hk", "f"), "a"), Enrolled(("sz", "m"), "b")]

    # hk has a:1, f has a:1: b balances both; sz and m: a does.
    assert assign(rule, SECRET, before, ("hk", "f")).arm == "b"
    assert assign(rule, SECRET, before, ("sz", "m")).arm == "a"
    # hk asks for b with weight 2, m for a with weight 1.
    assert assign(rule, SECRET, before, ("hk", "m")).arm == "b"


def test_the_coin_favours_balance_as_often_as_it_says():
    before = [Enrolled(("hk", "f"), "a")]
    thrown = Counter(
        assign(RULE, n.to_bytes(32, "big"), before, ("hk", "f")).arm
        for n in range(4000)
    )

    assert thrown["b"] / 4000 == pytest.approx(0.8, abs=0.025)


def test_shares_of_two_to_one_are_kept():
    rule = dataclasses.replace(RULE, arms=(("a", 2), ("b", 1)))
    arms = Counter(one.arm for one in enrol(rule, MANY))

    assert abs(arms["a"] - 80) <= 5


def test_a_whole_trial_is_checked_again_from_the_secret():
    enrolled = enrol(RULE, MANY)
    commitment = commit_minimisation(RULE, SECRET)
    verify_minimisation(commitment, RULE, SECRET, enrolled)

    other = "a" if enrolled[50].arm == "b" else "b"
    wrong = [*enrolled]
    wrong[50] = Enrolled(enrolled[50].levels, other)
    with pytest.raises(Unverified, match="person 51"):
        verify_minimisation(commitment, RULE, SECRET, wrong)
    with pytest.raises(Unverified, match="not what was committed"):
        verify_minimisation(commitment, RULE, bytes(32), enrolled)


def test_an_unknown_level_is_refused_without_its_name():
    with pytest.raises(InvalidData) as caught:
        assign(RULE, SECRET, [], ("secret-ward", "f"))
    assert "secret-ward" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"arms": (("a", 1),)},
        {"factors": ()},
        {"factors": (("s", (), 1.0),)},
        {"factors": (("s", ("x", "y"), 0.0),)},
        {"favour": 0.4},
        {"favour": 1.1},
    ],
    ids=str,
)
def test_a_minimisation_without_sense_is_refused(changes):
    with pytest.raises(Usage):
        dataclasses.replace(RULE, **changes)
