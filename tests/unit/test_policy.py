"""A site's policy is strict; whoever lowers it says why, and a study only tightens."""

import itertools
import math
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetao.errors import InvalidNetwork, SmallCohort
from hetao.release import STRICT, Policy, check_people, policy_from, read_policy
from hetao.release.policy import LONGEST_REASON, USUAL_BUDGET, check_told
from hetao.study import Minimum

LOOSER = {
    "people": 49,
    "cell": 9,
    "events": 9,
    "share": 0.2,
    "leverage": 0.6,
    "sites": 2,
}
STRICTER = {
    "people": 51,
    "cell": 11,
    "events": 11,
    "share": 0.05,
    "leverage": 0.4,
    "sites": 4,
}
minima = st.builds(
    Minimum,
    people=st.integers(1, 200),
    cell=st.integers(1, 50),
    events=st.integers(1, 50),
    share=st.floats(0.01, 1.0),
    leverage=st.floats(0.01, 1.0),
    sites=st.integers(1, 10),
)


def test_a_site_without_a_policy_is_strict():
    assert policy_from({}) == Policy()
    assert Policy().minimum == STRICT
    assert Policy().lowered == ()


@pytest.mark.parametrize(
    ("told", "most"), [(None, 10.0), (1e-9, 1e-9), (9.0, 9.0), (11.0, 10.0)]
)
def test_models_tell_as_many_numbers_as_a_site_says_and_no_more_than_usual(told, most):
    table = {"minimum": {"share": 0.1}} | ({} if told is None else {"told": told})

    assert policy_from(table).told_share == most


@pytest.mark.parametrize("told", [0, 0.0, -1.0, math.inf, math.nan])
def test_numbers_told_lie_above_nothing(told):
    with pytest.raises(InvalidNetwork, match="told lies above 0"):
        policy_from({"told": told})


def test_a_site_says_which_uses_its_patients_consented_to():
    policy = policy_from({"limits": {"measurement": ["HMB"], "flat.smoker": ["NCU"]}})

    assert policy.limits == {"measurement": ("HMB",), "flat.smoker": ("NCU",)}
    assert policy.tightened(Minimum(people=500)).limits == policy.limits
    with pytest.raises(InvalidNetwork, match="no code of the Data Use Ontology"):
        policy_from({"limits": {"measurement": ["HMBX"]}})


@pytest.mark.parametrize("field", LOOSER)
def test_lowering_a_count_needs_a_reason_and_is_named(field):
    table = {"minimum": {field: LOOSER[field]}}

    for reason in ({}, {"reason": ""}, {"reason": "  "}):
        with pytest.raises(InvalidNetwork, match=field):
            policy_from({**table, **reason})

    policy = policy_from({**table, "reason": "a small hospital"})
    assert policy.lowered == (field,)
    assert policy.as_json()["lowered"] == [field]
    assert policy.as_json()["reason"] == "a small hospital"


@pytest.mark.parametrize("reason", [[], 0, None, False])
def test_what_is_told_as_no_reason_is_an_empty_text(reason):
    told = Policy().as_json()
    check_told(told)

    with pytest.raises(InvalidNetwork, match="is no text"):
        check_told({**told, "reason": reason})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"more": 1}, "other fields"),
        ({"lowered": ["people"]}, "hides what it lowers"),
        ({"minimum": {"people": 49}, "reason": "few"}, "hides what it lowers"),
        ({"minimum": {"people": None}}, "leaves a count out"),
    ],
)
def test_a_policy_is_told_with_its_fields_and_with_what_it_lowers(change, words):
    told = Policy().as_json()
    counts = told["minimum"] | change.get("minimum", {})
    counts = {name: count for name, count in counts.items() if count is not None}

    with pytest.raises(InvalidNetwork, match=words):
        check_told({**told, **change, "minimum": counts})


def test_a_policy_is_told_as_a_table():
    with pytest.raises(InvalidNetwork, match="other fields"):
        check_told(["minimum", "lowered", "reason"])


def test_a_reason_may_be_as_long_as_the_limit():
    reason = "x" * LONGEST_REASON

    assert policy_from({"reason": reason}).reason == reason


@pytest.mark.parametrize("field", STRICTER)
def test_a_stricter_count_needs_no_reason(field):
    policy = policy_from({"minimum": {field: STRICTER[field]}})

    assert policy.lowered == ()


@pytest.mark.parametrize(
    "table",
    [
        {"minimum": {"people": 0}},
        {"minimum": {"cell": -1}},
        {"minimum": {"events": 0}},
        {"minimum": {"sites": 0}},
        {"minimum": {"share": 0.0}},
        {"minimum": {"share": -0.1}},
        {"minimum": {"share": math.nan}},
        {"minimum": {"share": math.inf}},
        {"minimum": {"leverage": 0.0}},
        {"minimum": {"leverage": 1.1}},
        {"minimum": {"leverage": math.nan}},
        {"minimum": {"people": 50.0}},
        {"minimum": {"people": "50"}},
        {"minimum": {"people": True}},
        {"minimum": {"peple": 50}},
        {"minimum": 50},
        {"highest_grade": 0},
        {"highest_grade": 6},
        {"reason": 1},
        {"reason": "x" * 501},
        {"minimums": {}},
    ],
    ids=str,
)
def test_a_policy_that_does_not_hold_is_refused(table):
    with pytest.raises(InvalidNetwork):
        policy_from({"reason": "because", **table})


@pytest.mark.parametrize("field", ["people", "cell", "events", "sites"])
def test_a_count_of_one_is_the_least_there_is(field):
    policy = policy_from({"reason": "because", "minimum": {field: 1}})

    assert getattr(policy.minimum, field) == 1


def test_people_fewer_than_the_minimum_are_refused_and_as_many_are_not():
    check_people(STRICT, "north", STRICT.people)

    with pytest.raises(SmallCohort):
        check_people(STRICT, "north", STRICT.people - 1)


def test_a_policy_that_says_nothing_lets_out_up_to_class_3():
    assert policy_from({}).highest_grade == 3


@pytest.mark.parametrize("grade", [1, 5])
def test_the_lowest_and_the_highest_class_may_be_named(grade):
    assert policy_from({"highest_grade": grade}).highest_grade == grade


def test_a_policy_file_is_read(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text('reason = "trial run"\n[minimum]\npeople = 20\n')

    policy = read_policy(path)

    assert policy.minimum == replace(STRICT, people=20)
    assert policy.lowered == ("people",)


@given(own=minima, asked=minima)
def test_a_study_only_tightens(own, asked):
    together = Policy(own, reason="r").tightened(asked).minimum

    for field in fields(Minimum):
        stricter = min if field.name in ("share", "leverage") else max
        pair = (getattr(own, field.name), getattr(asked, field.name))
        assert getattr(together, field.name) == stricter(pair)


@given(own=minima)
def test_a_study_that_asks_nothing_changes_nothing(own):
    policy = Policy(own, 2, "r")

    assert policy.tightened(None) == policy


@given(own=minima, asked=st.lists(minima, min_size=2, max_size=3))
def test_the_order_of_tightening_does_not_matter(own, asked):
    results = set()
    for order in itertools.permutations(asked):
        policy = Policy(own)
        for minimum in order:
            policy = policy.tightened(minimum)
        results.add(policy.minimum)

    assert len(results) == 1


# --- the edges of what may be chosen --------------------------------------------------
MAY = (
    {"budget": 1},
    {"budget": 0.001},
    {"dominance": {"first": 0.5, "two": 0.9, "ratio": 0.1}},
    {"dominance": {"first": 0.01, "two": 0.01, "ratio": 5.0}},
    {"privacy": {"epsilon": 0}},
    {"privacy": {"epsilon": 10, "each": 1}},
)
MAY_NOT = (
    {"budget": 0},
    {"budget": -0.1},
    {"budget": 1.5},
    {"dominance": {"first": 0}},
    {"dominance": {"first": 0.51}},
    {"dominance": {"two": 0}},
    {"dominance": {"two": 0.91}},
    {"dominance": {"ratio": 0.09}},
    {"dominance": {"ratio": math.inf}},
    {"privacy": {"epsilon": -0.1}},
    {"privacy": {"epsilon": 10.5}},
    {"privacy": {"epsilon": 1, "each": 0}},
    {"privacy": {"epsilon": 1, "each": 1.5}},
)


@pytest.mark.parametrize("table", MAY, ids=str)
def test_what_lies_at_the_edge_may_be_chosen(table):
    policy_from(table)


@pytest.mark.parametrize("table", MAY_NOT, ids=str)
def test_what_lies_beyond_the_edge_may_not(table):
    with pytest.raises(InvalidNetwork):
        policy_from(table)


def test_what_is_shown_of_each_person_is_the_usual_or_less():
    usual = max(USUAL_BUDGET, STRICT.share)

    assert Policy().shown_share == usual
    assert policy_from({"budget": 0.01}).shown_share == 0.01
    assert policy_from({"budget": 1}).shown_share == usual
