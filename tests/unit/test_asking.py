"""Of whom a study asks, and how close its answers may come, at the edges of each."""

from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import estimator_for, make_rows
from hetao.errors import InvalidStudy
from hetao.federation.asking import (
    Attempt,
    Places,
    asked_of,
    by_name,
    members_of,
    over_of,
    places_of,
    room_of,
)
from hetao.federation.memory import Memory
from hetao.release import Policy
from hetao.release.minimums import numbers_told
from hetao.release.policy import STRICT
from support_analysis import ANALYSES, STUDY, people

SITES = ("a", "b", "c")


def test_a_site_can_be_seen_where_fewer_are_summed_than_the_minimum():
    least = Policy().minimum.sites

    assert [
        room_of(Policy(), STUDY, None, n).parts_too for n in (least - 1, least)
    ] == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("own", "asked", "sites", "over"),
    [
        (3, None, 5, 2),
        (3, None, 3, 2),
        (3, None, 2, 1),
        (3, 4, 4, 2),  # a study's stricter minimum makes nothing lighter
        (3, 4, 3, 1),
        (3, 2, 2, 1),
        (5, None, 5, 4),
        (2, None, 2, 1),
        (1, None, 3, 1),
    ],
)
def test_a_pooled_sum_is_seen_over_all_sites_of_the_minimum_but_one(
    own, asked, sites, over
):
    policy = Policy(minimum=replace(STRICT, sites=own))
    study = replace(STUDY, minimum=asked and replace(STRICT, sites=asked))

    assert over_of(policy, study, sites) == over
    assert room_of(policy, study, None, sites).over == over


@pytest.mark.parametrize(
    ("by", "pooled"), [("treated", {"treated"}), ("site", set()), ("", set())]
)
def test_what_tells_sites_apart_is_not_seen_over_several(by, pooled):
    table = replace(ANALYSES["table1"], by=by)
    study = replace(STUDY, analyses=(table,))
    estimator = estimator_for(study, table)
    columns = people(1, 60)
    rows = make_rows(estimator.plan, columns, study.sites[0])
    everybody = Places(np.arange(60), {})

    asked = asked_of(estimator, rows, everybody, 0, Attempt("run"))

    assert set(asked.pooled) == pooled
    assert set(asked.statistics) >= {"age", "chol", "grade", "ill"}


def test_the_parts_of_sites_that_a_model_tells_apart_are_not_seen_over_several():
    by_site = replace(ANALYSES["rates"], by="site", standard=())
    study = replace(STUDY, analyses=(by_site,))
    estimator = estimator_for(study, by_site)
    rows = make_rows(estimator.plan, people(1, 60), study.sites[0])

    asked = asked_of(estimator, rows, Places(np.arange(60), {}), 0, Attempt("run"))

    assert not asked.pooled
    assert len(asked.statistics["grade"]) == 3 * len(study.sites)


def test_a_sum_over_all_sites_of_a_permit_has_no_list_and_any_other_its_own():
    assert members_of(("b", "a", "c"), SITES) == ""
    assert members_of(("a", "b"), SITES).startswith("sha256:")
    assert members_of(("a", "b"), SITES) == members_of(("b", "a"), SITES)
    assert members_of(("a", "b"), SITES) != members_of(("a", "c"), SITES)


def test_a_name_that_stands_twice_is_named_by_sixty_letters():
    who, name = np.arange(3), ("x" * 99,)

    with pytest.raises(InvalidStudy, match=r'both called \["x{58}(?!x)'):
        by_name([(name, who), (name, who)])


def test_who_is_left_after_each_step_but_the_last_has_a_place(tmp_path):
    memory, ids = Memory(tmp_path), np.arange(40)

    found = places_of(memory, "s", ids, (["old", "known", "in time"], ids, ids // 10))
    without = places_of(memory, "s", ids, None)

    assert {step: len(who) for step, who in found.steps.items()} == {
        "0 old": 40,
        "1 known": 30,
    }
    assert (without.rows == found.rows).all()
    assert without.steps == {}
    memory.close()


def test_everybody_of_whom_anything_is_told_is_each_counted_once():
    rows = np.array([3, 1, 1])

    assert Places(rows, {}).everybody.tolist() == [1, 3]
    steps = {"0 all": np.arange(6), "1 old": np.arange(2, 4)}
    assert Places(rows, steps).everybody.tolist() == list(range(6))


def test_of_each_pair_of_a_screen_a_round_tells_scores_and_information():
    screen = estimator_for(STUDY, ANALYSES["screen"])
    rows = make_rows(screen.plan, people(1, 300), "aa")

    asked = asked_of(screen, rows, Places(np.arange(300), {}), 0, Attempt("run"))

    expected = [numbers_told(pair.parameters, 1) for pair in screen.plan.parts]
    assert [numbers for _, numbers in asked.told] == expected
    assert asked.course == "run|1"
