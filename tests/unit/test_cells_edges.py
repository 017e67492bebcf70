"""Cells of curves at their edges: dearer ones, few people, the first bin, a least of 2.

Small faults in the code that `test_cells.py` does not come by are found here.
"""

from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import cells, estimator_for, make_plan, make_rows
from hetao.errors import NotEstimable
from hetao.study import Grid, Minimum
from support_analysis import ANALYSES, VARIABLES, people, study_of

DAYS = tuple(float(day) for day in range(1, 36))
CURVES = replace(ANALYSES["km"], grid=Grid(DAYS), horizon=None)
SITES = ("aa", "bb", "cc")


def study_with(minimum=None, **said):
    analysis = replace(CURVES, **said)
    return replace(study_of(VARIABLES, analysis, sites=SITES), minimum=minimum)


def method_of(**said):
    study = study_with(**said)
    return estimator_for(study, study.analyses[0])


def plan_of(minimum=None, **said):
    study = study_with(minimum, **said)
    return make_plan(study, study.analyses[0])


def columns_of(days, died):
    """Return columns of people of whom each leaves on a day, with the event or not."""
    columns = people(1, len(days))
    columns["day"] = np.array(days, dtype=float)
    columns["died"] = np.array(died, dtype=np.int64)
    return columns


def summed(messages):
    return {name: sum(message[name] for message in messages) for name in messages[0]}


# --- how many -------------------------------------------------------------------------
def test_where_two_people_are_the_least_that_is_shown_cells_are_few():
    assert cells.is_told(plan_of(Minimum(cell=2)))
    assert not cells.is_told(plan_of(Minimum(cell=1)))


def test_a_score_tells_of_a_cell_two_products_more_with_each_of_its_columns():
    plan = make_plan(study_of(VARIABLES, ANALYSES["km_scored"]), ANALYSES["km_scored"])

    assert plan.score.parameters == 3  # an intercept, the age and the sex
    assert cells.sums_of_cell(plan) == 3 + 2 * 3
    assert cells.every_sum(plan) == 2 * 6 * 9


def test_with_weights_the_fewest_cells_are_one_of_each_kind_as_well():
    weighted = plan_of(weights="share")

    assert cells.every_sum(weighted) == 2 * 35 * 3
    assert cells.most_sums(weighted, 0) == 2 * 3
    assert cells.allowed(weighted, 0) == 2
    assert cells.most_sums(weighted, 10**7) == 2 * 35 * 3


# --- which ----------------------------------------------------------------------------
def test_a_kind_of_one_person_takes_a_cell_though_it_is_of_fewer():
    """Were it none, those who left without the event would get three cells of two."""
    counts = {"died": np.array([1, 0, 0]), "left": np.array([2, 2, 2])}

    least, ends = cells.finest(counts, 3)

    assert least == 3
    assert {kind: of.tolist() for kind, of in ends.items()} == {
        "died": [0],
        "left": [2],
    }


def test_the_most_even_cells_have_the_least_sum_of_squares():
    """Of 41, 23 and 31 people; 21, 38 and 36 have the lesser sum of cubes."""
    counts = {"died": np.array([21, 20, 18, 5, 31]), "left": np.zeros(5, int)}

    least, ends = cells.finest(counts, 4)

    assert least == 21
    assert ends["died"].tolist() == [1, 3, 4]


def test_a_bin_of_one_person_has_a_share_of_its_cell():
    counts, cell = np.array([1.0, 3.0]), np.array([1, 1])

    found = cells.spread(np.array([[0.0, 2.0]]), cell, counts, whole=None)

    assert found.tolist() == [[0.5, 1.5]]


# --- what a site says -----------------------------------------------------------------
@pytest.mark.parametrize(("n", "sites", "allowed"), [(0, 0, []), (1, 1, [2])])
def test_a_site_of_nobody_says_nothing_and_one_of_a_person_allows_the_fewest(
    n, sites, allowed
):
    method = method_of()
    columns = {name: array[:n] for name, array in people(3, 5).items()}

    said = method.start(make_rows(method.plan, columns, "aa"))

    assert (said["sites"].tolist(), said["n"].tolist()) == ([sites], [n])
    steps = np.array(cells.ladder(method.plan))
    assert steps[said["allowed"] > 0].tolist() == allowed
    assert said["everybody"].sum() == n


@pytest.mark.parametrize(("cell", "allowed"), [(1, 70), (2, 5)])
def test_only_a_site_that_shows_single_people_allows_every_cell(cell, allowed):
    method = method_of().within(Minimum(cell=cell))
    columns = columns_of(1 + np.arange(50) % 35, np.arange(50) % 2)

    said = method.start(make_rows(method.plan, columns, "aa"))

    assert max(np.array(cells.ladder(method.plan))[said["allowed"] > 0]) == allowed


def test_who_enters_in_the_first_bin_enters_at_the_end_of_its_cell():
    method = method_of(start="years")
    columns = columns_of([30.0] * 40, [1, 0] * 20)
    columns["years"] = np.repeat([0.5, 1.0, 2.0, 3.0], 10)  # of whom ten are not late
    rows = make_rows(method.plan, columns, "aa")
    state = {"cell": np.full((3, len(DAYS)), 34.0)}
    state["cell"][2, :2] = 1.0  # entries on the first day count on the second

    entering = method.local(rows, state)["entering"].sum(axis=0)

    assert dict(enumerate(entering[:2])) == {0: 0, 1: 20}
    assert entering.sum() == entering[1] + entering[34] == 30


# --- the two rounds -------------------------------------------------------------------
@pytest.mark.parametrize(("alone", "fewest", "left"), [(0, 2, 35.0), (1, 1, 2.0)])
def test_the_fewest_people_of_a_cell_are_said_where_they_are_one_or_two(
    alone, fewest, left
):
    """All of 180, or all but one, had the event: seven cells would be one too many."""
    method = method_of()
    days = np.repeat([2.0, 5.0, 6.0, 9.0, 20.0, 30.0], [90, 1, 1, 40, 30, 18])
    columns = columns_of(days, np.arange(180) >= alone)
    columns["sex"] = np.arange(180) % 2
    sites = [
        make_rows(method.plan, {k: of[at::3] for k, of in columns.items()}, site)
        for at, site in enumerate(SITES)
    ]

    state = method.step(summed([method.start(rows) for rows in sites]), None, 0)
    total = summed([method.local(rows, state) for rows in sites])
    found = method.step(total, state, 1).as_json()

    assert found["cells"] == {
        "people": fewest,
        "died": [2.0, 6.0, 9.0, 20.0, 30.0],
        "left": [left],
    }
    assert [curve["time"] for curve in found["curves"]] == [found["cells"]["died"]] * 2
    assert [sum(curve["events"]) for curve in found["curves"]] == [90 - alone, 90]


def test_where_no_one_has_the_event_the_first_round_is_the_last():
    method = method_of()
    rows = make_rows(method.plan, columns_of([9.0] * 60, np.zeros(60)), "aa")

    with pytest.raises(NotEstimable, match="no one has the event 'died'"):
        method.step(method.start(rows), None, 0)
