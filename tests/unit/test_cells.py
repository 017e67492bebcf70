"""Into which cells the bins of a grid are put, and how many there may be."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetao.analysis import (
    Finding,
    cells,
    estimator_for,
    make_plan,
    make_rows,
    oracle,
)
from hetao.study import Grid, Minimum
from support_analysis import ANALYSES, STUDY, VARIABLES, people, split, study_of

CURVES = replace(ANALYSES["km"], grid=Grid(tuple(float(day) for day in range(1, 36))))
COUNTS = st.lists(st.integers(0, 9), min_size=1, max_size=7)


def plan_of(sites=("aa", "bb", "cc"), minimum=None, **said):
    analysis = replace(CURVES, **said)
    study = study_of(VARIABLES, analysis, sites=sites)
    return make_plan(replace(study, minimum=minimum), analysis)


# --- how many -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("people", "sums", "allowed"),
    [
        (0, 2, 2),  # who had the event, who left
        (50, 5, 5),  # half of a tenth of two sites' people
        (60, 6, 6),
        (100, 10, 10),
        (300, 15, 14),  # a quarter, on the ladder
        (1_000, 50, 44),
        (1_400, 70, 70),  # all bins
        (10_000, 70, 70),
    ],
)
def test_how_many_cells_follow_from_a_sites_people(people, sums, allowed):
    plan = plan_of()

    assert cells.most_sums(plan, people) == sums
    assert cells.allowed(plan, people) == allowed


def test_of_two_sites_half_as_many():
    two = plan_of(("aa", "bb"))

    assert cells.most_sums(two, 100) == 5
    assert cells.most_sums(two, 400) == 10
    assert cells.most_sums(two, 2_800) == 70


def test_a_stricter_study_lets_none_be_told_more():
    sites = ("aa", "bb", "cc", "dd", "ee")
    assert cells.most_sums(plan_of(sites, Minimum(sites=5)), 100) == 10


@given(people=st.integers(0, 10**7))
def test_never_more_than_half_of_what_may_be_told(people):
    """A tenth of the people of two sites, or the two sums that a test tells as well."""
    told = cells.most_sums(plan_of(), people)

    assert told <= max(2, people * 2 / 10 / 2)
    assert cells.allowed(plan_of(), people) <= told


def test_cells_of_weights_and_of_late_entries_are_dearer():
    weighted, late = plan_of(weights="share"), plan_of(start="years")

    assert (cells.kinds(late), cells.sums_of_cell(late)) == (3, 1)
    assert (cells.kinds(weighted), cells.sums_of_cell(weighted)) == (2, 3)
    assert cells.allowed(weighted, 300) == 5
    assert cells.allowed(late, 0) == 3


def test_a_ladder_rises_by_a_fifth_up_to_all_bins():
    steps = cells.ladder(plan_of())

    assert steps[0] == 2
    assert steps[-1] == 70
    assert all(a < b <= max(a + 1, a * 6 // 5) for a, b in itertools.pairwise(steps))


@pytest.mark.parametrize(
    ("is_told", "said"),
    [
        (True, {}),
        (False, {"by": ""}),
        (False, {"by": "site"}),
        (False, {"minimum": Minimum(cell=1)}),
    ],
)
def test_who_is_told_of(is_told, said):
    assert cells.is_told(plan_of(**said)) == is_told


def test_models_and_tests_have_no_cells():
    for name in ("cox_grid_efron", "logrank", "table1"):
        assert not cells.is_told(make_plan(STUDY, ANALYSES[name]))


# --- which ----------------------------------------------------------------------------
def cut(counts, ends):
    """Return how many people each cell holds."""
    until = np.append(0, np.cumsum(counts)[ends])
    return np.diff(until).tolist()


def ways(counts):
    """Return all ways to put neighbouring bins with people together, by their ends."""
    bins = [place for place, count in enumerate(counts) if count]
    for size in range(len(bins)):
        for inner in itertools.combinations(bins[:-1], size):
            yield [*inner, bins[-1]]


@given(died=COUNTS, left=COUNTS, most=st.integers(2, 12))
def test_cells_are_the_most_even_ones_of_the_fewest_people_that_may_be(
    died, left, most
):
    size = max(len(died), len(left))
    counts = {
        "died": np.array(died + [0] * (size - len(died))),
        "left": np.array(left + [0] * (size - len(left))),
    }

    least, found = cells.finest(counts, most)

    assert sum(max(len(ends), 1) for ends in found.values()) <= most
    for kind, of in counts.items():
        if not of.any():
            assert not len(found[kind])
            continue
        held = cut(of, found[kind])
        assert sum(held) == of.sum()
        enough = [way for way in ways(of) if min(cut(of, way)) >= least]
        enough = enough or [[int(np.flatnonzero(of)[-1])]]
        assert sum(n * n for n in held) == min(
            sum(n * n for n in cut(of, way)) for way in enough
        )
    if least > 1:  # with a person less a cell there would be too many
        finer = [cells._most_cells(of, least - 1) for of in counts.values()]
        assert sum(max(n, 1) for n in finer) > most


def test_bins_with_people_are_all_cells_where_they_may_be():
    counts = {"died": np.array([3, 0, 1, 2]), "left": np.array([0, 5, 0, 0])}

    least, ends = cells.finest(counts, 4)

    assert least == 1
    assert {kind: of.tolist() for kind, of in ends.items()} == {
        "died": [0, 2, 3],
        "left": [1],
    }
    assert cells.cells_of(ends["died"], 4).tolist() == [0, 2, 2, 3]
    assert cells.cells_of(np.array([], int), 4).tolist() == [3] * 4


def test_a_bin_of_many_is_a_cell_of_its_own():
    counts = {"died": np.array([10, 10, 10, 4, 90]), "left": np.zeros(5, int)}

    _, ends = cells.finest(counts, 4)

    assert ends["died"].tolist() == [1, 3, 4] or ends["died"].tolist() == [0, 1, 4]
    assert cut(counts["died"], ends["died"])[-1] < 100


# --- where people lie in them ---------------------------------------------------------
def test_people_of_a_cell_lie_as_everybody_does_or_all_in_one_bin():
    counts, cell = np.array([2.0, 6.0, 0.0, 4.0]), np.array([1, 1, 3, 3])
    told = np.array([[0.0, 4.0, 0.0, 3.0]])

    spread = [cells.spread(told, cell, counts, whole=at) for at in (None, 0, -1)]

    assert spread[0].tolist() == [[1.0, 3.0, 0.0, 3.0]]
    assert spread[1].tolist() == [[4.0, 0.0, 0.0, 3.0]]
    assert spread[2].tolist() == [[0.0, 4.0, 0.0, 3.0]]


def test_of_nobody_nobody_lies_anywhere():
    none = np.zeros((2, 3))

    for at in (None, 0, -1):
        found = cells.spread(none, np.array([2, 2, 2]), np.zeros(3), whole=at)
        assert not found.any()


# --- a group of whom nobody has the event ---------------------------------------------
def test_a_group_without_events_has_a_curve_without_steps():
    columns = people(3, 300)
    columns["died"] = np.where(columns["sex"] == 1, 0, columns["died"])

    curves = oracle(STUDY, ANALYSES["km"], split(columns, (0.3, 0.6))).as_json()

    women, men = curves["curves"]
    assert men["time"] == men["events"] == []
    assert women["time"]
    assert "cells" in curves


def test_a_site_that_allows_nothing_makes_all_as_coarse_as_can_be():
    method = estimator_for(STUDY, ANALYSES["km"])
    sums = method.start(make_rows(method.plan, people(3, 300), "aa"))

    state = method.step(sums | {"allowed": sums["allowed"] * 0.5}, None, 0)

    assert [len(np.unique(of)) for of in state["cell"]] == [1, 1]


# --- what people see of the cells -----------------------------------------------------
@pytest.mark.parametrize(("least", "is_shown"), [(9, False), (10, True)])
def test_edges_of_cells_of_few_people_are_withheld(least, is_shown):
    payload = oracle(STUDY, ANALYSES["km"], split(people(3, 900), (0.3, 0.6))).as_json()
    payload["cells"]["people"] = least
    finding = Finding("km", "km_merged", payload)

    shown, withheld = finding.shown(10)

    expected = dict.fromkeys(payload["cells"])
    if is_shown:  # the last edge is when the last one left
        of = {kind: payload["cells"][kind] for kind in ("died", "left")}
        expected = {"people": 10, **{k: [*ends[:-1], None] for k, ends in of.items()}}
    assert shown.as_json()["cells"] == expected
    assert withheld


@pytest.mark.parametrize("n", [150, 300, 900])
@pytest.mark.parametrize("horizon", [2.0, 30.0])
def test_what_is_read_off_a_curve_says_no_more_than_its_cells(n, horizon):
    """The exact mean and hazard would be equations for the bins of the cells."""
    analysis = replace(ANALYSES["km"], horizon=horizon)
    finding = oracle(STUDY, analysis, split(people(3, n), (0.3, 0.6)))

    shown, _ = finding.shown(10)

    exact, told = finding.as_json()["curves"], shown.as_json()["curves"]
    for curve, whole in zip(told, exact, strict=True):
        assert len(curve["time"]) > 1
        assert curve["cumhaz"] == curve["cumhaz_se"] == [None] * len(curve["time"])
        assert (curve["rmst"], curve["rmst_se"]) == (None, None)
        assert curve["rmst_least"] <= whole["rmst"] <= curve["rmst_most"]
        for key in ("median", "median_lower", "median_upper"):
            assert curve[key] in (None, *curve["time"])


def test_a_cell_of_all_who_left_may_be_of_few():
    """Five left before the end: their cell holds no more, and its edge is withheld."""
    columns = people(3, 300)
    columns["died"] = (np.arange(300) >= 5).astype(int)
    finding = oracle(STUDY, ANALYSES["km"], split(columns, (0.3, 0.6)))

    assert finding.as_json()["cells"]["people"] == 5
    shown, _ = finding.shown(10)
    assert set(shown.as_json()["cells"].values()) == {None}
