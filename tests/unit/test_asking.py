"""Of whom a study asks, and how close its answers may come, at the edges of each."""

from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import estimator_for, make_rows
from hetao.analysis.sealed_count import numbers_told
from hetao.analysis.shown import sums_of_groups
from hetao.canonical import digest
from hetao.errors import InvalidStudy, TooClose
from hetao.federation.asking import (
    Attempt,
    Places,
    asked_of,
    by_name,
    members_of,
    over_of,
    over_whom,
    places_of,
    room_of,
)
from hetao.federation.memory import Memory, Purpose, Room
from hetao.release import Policy
from hetao.release.differencing import Asked
from hetao.release.lists import NOWHERE, Summed
from hetao.release.policy import STRICT
from hetao.study import Minimum
from support_analysis import ANALYSES, STUDY, people
from support_federation import START

SITES = ("a", "b", "c")
SCREEN = estimator_for(STUDY, ANALYSES["screen"])
ROWS = make_rows(SCREEN.plan, people(1, 300), "aa")
WHO = Places(np.arange(300), {})


def test_the_fewest_sites_are_those_of_the_stricter_of_site_and_study():
    study = replace(STUDY, minimum=Minimum(sites=5))

    assert room_of(Policy(), STUDY, None, SITES).sites == Policy().minimum.sites == 3
    assert room_of(Policy(), study, None, SITES).sites == 5


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

    names = tuple(map(str, range(sites)))
    joins = replace(study, told_apart=("new",))

    assert over_of(policy, study, names) == over
    assert over_of(policy, joins, (*names, "new")) == over
    assert room_of(policy, study, None, names).over == over


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

    asked = asked_of(estimator, rows, everybody, 0, Attempt("run"), NOWHERE)
    mine = Summed(frozenset(study.sites), frozenset(study.sites[:1]))
    apart = asked_of(estimator, rows, everybody, 0, Attempt("run"), mine)

    assert not apart.pooled
    assert sum(map(len, apart.statistics.values())) >= sum(
        map(len, asked.statistics.values())
    )
    assert set(asked.pooled) == pooled
    assert set(asked.statistics) >= {"age", "chol", "grade", "ill"}


def test_the_parts_of_sites_that_a_model_tells_apart_are_not_seen_over_several():
    by_site = replace(ANALYSES["rates"], by="site", standard=())
    study = replace(STUDY, analyses=(by_site,))
    estimator = estimator_for(study, by_site)
    rows = make_rows(estimator.plan, people(1, 60), study.sites[0])

    everybody = Places(np.arange(60), {})

    asked = asked_of(estimator, rows, everybody, 0, Attempt("run"), NOWHERE)

    assert not asked.pooled
    assert len(asked.statistics["grade"]) == 3 * len(study.sites)


def test_nor_are_those_of_a_number_that_tells_the_site():
    effect = ANALYSES["ipw"]
    estimator = estimator_for(replace(STUDY, analyses=(effect,)), effect)
    rows = make_rows(estimator.plan, people(1, 60), STUDY.sites[0])

    def asked(rows):
        return asked_of(
            estimator, rows, Places(np.arange(60), {}), 0, Attempt("run"), NOWHERE
        )

    assert set(asked(rows).pooled) == {"treated"}
    assert not asked(replace(rows, tells_site=True)).pooled


@pytest.mark.parametrize(
    ("name", "by", "follows"),
    [("quantiles", "sex", True), ("quantiles", "", False), ("table1", "sex", False)],
)
def test_sums_that_follow_from_totals_are_another_courses_own(name, by, follows):
    """Where a group is counted below borders; what never changes is counted once."""
    analysis = replace(ANALYSES[name], by=by)
    estimator = estimator_for(replace(STUDY, analyses=(analysis,)), analysis)
    rows = make_rows(estimator.plan, people(1, 60), STUDY.sites[0])

    asked = asked_of(
        estimator, rows, Places(np.arange(60), {}), 0, Attempt("run"), NOWHERE
    )

    assert asked.follows == follows
    assert bool(asked.pooled) == bool(by)


def test_a_sum_over_all_sites_of_a_permit_has_no_list_and_any_other_its_own():
    assert members_of(("b", "a", "c"), SITES) == ()
    assert members_of(("b", "a"), SITES) == ("a", "b")


def test_other_members_than_the_permits_have_other_states_and_any_order_the_same():
    def members(*names):
        attempt = Attempt("run", 1, names)
        return asked_of(SCREEN, ROWS, WHO, 0, attempt, NOWHERE).members

    assert members() == ""
    assert members("aa", "b") == digest({"members": ["aa", "b"]})
    assert members("aa", "b") != members("aa", "c")


@pytest.mark.parametrize(
    ("apart", "alone"), [((), False), (("b",), False), ("b aa", 1)]
)
def test_a_site_is_alone_where_its_own_part_may_be_told_apart(apart, alone):
    names = frozenset(apart.split() if isinstance(apart, str) else apart)
    over = Summed(frozenset({"aa", "b", "c"}), names)

    asked = asked_of(SCREEN, ROWS, WHO, 0, Attempt("run"), over)

    assert (asked.over, asked.alone) == (over, bool(alone))


def test_over_whom_something_is_summed_hangs_on_the_stricter_minimum_and_the_method():
    goes_on = replace(STUDY, on_lost_site="continue")
    strict = replace(STUDY, minimum=Minimum(sites=4))
    table, model = (estimator_for(STUDY, ANALYSES[m]) for m in ("table1", "logistic"))

    def apart(study, estimator):
        return sorted(over_whom(Policy(), study, SITES, estimator).apart)

    assert apart(STUDY, table) == apart(STUDY, model) == apart(goes_on, table) == []
    assert apart(strict, table) == apart(goes_on, model) == ["a", "b", "c"]


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
    asked = asked_of(SCREEN, ROWS, WHO, 0, Attempt("run"), NOWHERE)

    expected = [numbers_told(pair.parameters, 1) for pair in SCREEN.plan.parts]
    assert [numbers for _, numbers in asked.told] == expected
    assert asked.course == "run|1"


# --- strata in the bins of a grid -----------------------------------------------------
def in_bins(at, run="run"):
    """Return what a round of a Cox model on a grid asks, of three strata."""
    model = ANALYSES["cox_grid_breslow"]
    study = replace(STUDY, analyses=(model,))
    estimator = estimator_for(study, model)
    rows = make_rows(estimator.plan, people(1, 300), study.sites[0])
    everybody = Places(np.arange(300), {})
    return asked_of(estimator, rows, everybody, at, Attempt(run), NOWHERE)


def test_a_round_that_the_begin_reserved_no_room_for_asks_for_its_own_sums():
    begin, fifth, seventh, eighth = (in_bins(at) for at in (0, 5, 6, 7))

    assert begin.statistics == fifth.statistics != {}
    assert begin.pooled == fifth.pooled
    assert seventh.statistics == eighth.statistics == {}
    method = estimator_for(STUDY, ANALYSES["cox_grid_breslow"])
    rows = make_rows(method.plan, people(1, 300), STUDY.sites[0])
    assert begin.pooled == sums_of_groups(method.plan, rows, range(method.in_cells(6)))
    of = [each.pooled["grade"] for each in (begin, seventh, eighth)]
    assert not of[1] & of[2]
    assert len(of[1]) == len(of[2])
    assert [each.later for each in (begin, fifth, seventh, eighth)] == [0, 0, 6, 7]
    assert all(each.follows for each in (begin, fifth, seventh, eighth))


def test_each_such_round_weighs_once_beside_those_before(tmp_path):
    memory, room = Memory(tmp_path), Room(10, 1.0, None, 1.0)
    purpose = Purpose("study", "permit", "snapshot", "space", "2030-01-01T00:00:00Z")
    memory.places("space", np.arange(300))

    def carried(at, run="run"):
        sums = [f"sum {place} of round {at}" for place in range(30)]
        later = at if at >= 6 else 0
        asked = Asked(
            "m", np.arange(300), pooled={"v": sums}, course=run, follows=True,
            later=later,
        )  # fmt: skip
        memory.reserve(purpose, [asked], room, START)
        return memory.budget(purpose, asked, 1.0).used

    loads = [carried(at) for at in (0, 5, 6, 6, 7, 7)]
    assert loads == pytest.approx([30, 30, 60, 60, 90, 90])
    assert carried(6, "run 2") == pytest.approx(120)
    for at in range(8, 14):
        carried(at)
    with pytest.raises(TooClose):
        carried(14)
    memory.close()
