"""Quartiles at their edges: of values that are bins' own, everything is exact."""

from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import Finding, estimator_for, make_rows, oracle
from hetao.analysis.borders import BINS, TOP, Point
from hetao.analysis.quantiles import ROUNDS
from hetao.study import Analysis, Minimum
from support_analysis import category, number, study_of

BY_ARM = Analysis("q", "quantiles", variables=("years",), by="arm")
VARIABLES = (number("years", 0, 1024), category("arm", "old", "new"))
STUDY = replace(study_of(VARIABLES, BY_ARM), minimum=Minimum(cell=10))
WIDE = TOP // BINS  # bins of the range in one year of it


def method_of(least=10, by="arm"):
    study = replace(STUDY, minimum=Minimum(cell=least))
    return estimator_for(study, replace(BY_ARM, by=by))


def people(years, arm=None):
    """Return rows of people; without an arm every second is in each."""
    columns = {
        "years": np.asarray(years, dtype=float),
        "arm": np.arange(len(years)) % 2 if arm is None else np.asarray(arm),
    }
    return make_rows(method_of().plan, columns, "aa")


def begun(rows, least=10):
    method = method_of(least)
    return method, method.step(method.start(rows), None, 0)


def quantiles(rows, least=10):
    study = replace(STUDY, minimum=Minimum(cell=least))
    columns = {"years": rows.values["years"], "arm": rows.group}
    columns["years"] = (columns["years"] + 1) * 512
    return oracle(study, BY_ARM, {"aa": columns}).as_json()


# --- the first borders ----------------------------------------------------------------
def test_all_groups_are_counted_first_at_eighths_of_everybody():
    """One person in each year: of 1,024 years every 128th is a border."""
    _, state = begun(people(np.arange(1024)))

    assert (state["border"][0, :7] == 128 * WIDE * np.arange(1, 8)).all()
    assert (state["rank"][0, :7] == 128 * np.arange(1, 8)).all()
    assert (state["border"][0, 7:] == -1).all()
    assert (state["asked"][0] == np.arange(7)).all()


@pytest.mark.parametrize(("few", "is_asked"), [(10, True), (9, False)])
def test_a_group_of_just_enough_has_quartiles_and_a_smaller_one_none(few, is_asked):
    arm = (np.arange(512) < few).astype(np.int64)
    rows = people(np.arange(512) * 2, arm)

    _, state = begun(rows)
    (row,) = quantiles(rows)["rows"]

    assert (state["asked"][0, 1] >= 0).all() == is_asked
    assert (state["open"][0, 1] == is_asked).all()
    assert [len(cell["quantiles"]) for cell in row["by_group"]] == [3, 3 * is_asked]
    assert row["by_group"][1]["n"] == few


# --- what a site counts ---------------------------------------------------------------
def test_who_lies_on_a_border_is_above_it_and_who_lies_at_a_windows_end_beyond():
    rows = people(np.repeat(np.arange(1024), 2))  # in each year one of each arm
    method, state = begun(rows)
    state["low"][0, 0, 0], state["high"][0, 0, 0] = 10 * WIDE, 13 * WIDE

    sums = method.local(rows, state)

    assert (sums["below"][0] == 128 * np.arange(1, 8)).all()
    counts = sums["counts"][0, 0, 0]  # of the widest bins that are at most 1,024
    at = np.flatnonzero(counts)
    assert (at == [0, 256, 512]).all()
    assert (counts[at] == 2).all()


def test_a_value_at_either_end_of_the_range_that_enough_share_is_found():
    bottom = quantiles(people([0] * 150 + [500] * 50))["rows"][0]["by_group"]
    top = quantiles(people([500] * 50 + [1024] * 150))["rows"][0]["by_group"]

    for one in (cell["quantiles"][0] for cell in bottom):
        assert (one["low"], one["high"]) == (0.0, 1024 * 2.0**-40)
    for one in (cell["quantiles"][2] for cell in top):
        assert (one["low"], one["high"]) == (1024 - 1024 * 2.0**-40, 1024.0)


def test_where_one_person_is_enough_a_quarter_of_four_is_the_least():
    found = quantiles(people([1, 2, 3, 4, 101, 102, 103, 104], [0] * 4 + [1] * 4), 1)

    for cell, first in zip(found["rows"][0]["by_group"], (1, 101), strict=True):
        for place, one in enumerate(cell["quantiles"]):
            assert one["low"] == first + place
            assert one["people"] == 1


def test_the_finding_says_which_quantile_it_is_and_how_many_have_no_value():
    years = np.arange(400.0)
    years[:30] = np.nan
    columns = {"years": years, "arm": np.arange(400) % 2}

    found = oracle(STUDY, BY_ARM, {"aa": columns}).as_json()

    assert found["type"] == 1  # R's, a value of somebody
    assert found["people"] == [200, 200]
    cells = found["rows"][0]["by_group"]
    assert [(cell["n"], cell["missing"]) for cell in cells] == [(185, 15)] * 2


# --- how long it goes on --------------------------------------------------------------
def test_it_ends_in_its_last_round_whatever_is_open():
    rows = people(np.arange(1024))
    method, state = begun(rows)
    sums = method.local(rows, state)

    assert isinstance(method.step(sums, state, ROUNDS - 2), dict)
    assert isinstance(method.step(sums, state, ROUNDS - 1), Finding)


@pytest.mark.parametrize(
    ("own", "everybody", "used", "may"),
    [
        (19, 40, 0, True),  # halved, one side of 19 has ten or more
        (18, 40, 0, False),
        (19, 39, 0, False),  # halved, one side has fewer than twenty of all
        (19, 40, 8, True),
        (19, 40, 9, False),
    ],
)
def test_a_border_is_asked_for_where_both_sides_may_hold_enough(
    own, everybody, used, may
):
    method, state = begun(people(np.arange(1024)))
    state["used"][0, 0] = used
    between = (Point(5, 100, 50), Point(9, 100 + everybody, 50 + own))

    assert method._may_ask(between, (0, 0, 1), state) == may


def test_what_is_left_of_a_groups_borders_is_its_open_quartiles_to_share():
    method, state = begun(people(np.arange(1024)))
    found = []
    for is_open in ([1, 1, 1], [0, 1, 1], [0, 1, 0]):
        state["open"][0, 0] = is_open
        for used in (0, 2):
            state["used"][0, 0] = used
            found.append(method._left((0, 0, 1), state))

    assert found == [3, 3, 5, 4, 9, 7]
