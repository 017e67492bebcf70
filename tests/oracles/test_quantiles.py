"""Quantiles over sites = numpy's on the pooled rows, to the interval that is shown."""

from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import estimator_for, make_plan, make_rows, oracle
from hetao.analysis.evidence import evidence
from hetao.canonical import parse_canonical
from hetao.errors import InvalidStudy, WrongShape
from hetao.study import Minimum, study_from
from support_analysis import ANALYSES, STUDY, people, split
from support_exactness import note_parts

pytestmark = pytest.mark.held_to("numpy.quantile", "made up")

MIDDLES = ANALYSES["quantiles"]
CUTS = (0.1, 0.3, 0.3, 0.9)
SINGLE = replace(STUDY, minimum=Minimum(cell=1))


def answer(study, columns, analysis=MIDDLES):
    return oracle(study, analysis, split(columns, CUTS)).as_json()


def cells(found, columns):
    """Yield each cell with the known values of its variable and group."""
    for row in found["rows"]:
        for g, cell in enumerate(row["by_group"]):
            values = columns[row["variable"]][columns["sex"] == g]
            yield cell, values[~np.isnan(values)]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("n", [61, 400, 3000])
def test_each_interval_holds_the_pooled_quantile_and_enough_people(seed, n):
    columns = people(seed, n)

    found = answer(STUDY, columns)

    for cell, values in cells(found, columns):
        assert cell["n"] == len(values)
        for one in cell["quantiles"]:
            expected = np.quantile(values, one["p"], method="inverted_cdf")
            slack = 1e-12 * abs(expected)
            assert one["low"] - slack <= expected <= one["high"] + slack
            held = ((one["low"] <= values) & (values < one["high"])).sum()
            assert one["people"] >= 10
            assert held == pytest.approx(one["people"], abs=1)  # a value on an edge


@pytest.mark.parametrize("seed", [1, 2])
def test_where_one_person_is_enough_the_quantile_is_exact_in_four_rounds(seed):
    columns = people(seed, 500)

    found = answer(SINGLE, columns)

    for cell, values in cells(found, columns):
        for one in cell["quantiles"]:
            expected = np.quantile(values, one["p"], method="inverted_cdf")
            middle = (one["low"] + one["high"]) / 2
            assert middle == pytest.approx(expected, abs=650 * 2.0**-40)
            note_parts("quantiles", middle, expected)


def test_a_value_that_enough_people_share_is_exact():
    columns = people(4, 600)
    columns["age"] = np.round(columns["age"] / 10) * 10

    found = answer(STUDY, columns)

    for one in found["rows"][0]["by_group"][0]["quantiles"]:
        assert one["high"] - one["low"] == pytest.approx(82 * 2.0**-40, rel=0.01)
        middle = (one["low"] + one["high"]) / 2
        assert middle == pytest.approx(round(middle, -1), abs=1e-9)


def test_an_interval_ends_in_the_round_that_finds_too_few():
    method = estimator_for(STUDY, MIDDLES)
    rows = make_rows(method.plan, people(5, 300), "aa")

    state = method.step(method.start(rows), None, 0)

    # Of 300 people no bin of 1,024 holds ten: it is over after one round.
    assert not isinstance(state, dict)


def test_a_group_of_too_few_has_no_quantile():
    columns = people(6, 200)
    columns["sex"] = (np.arange(200) < 9).astype(np.int64)

    found = answer(STUDY, columns)

    assert [len(c["quantiles"]) for c in found["rows"][1]["by_group"]] == [3, 0]


def test_the_range_is_never_told():
    columns = people(7, 400)
    known = columns["chol"]

    for cell in answer(STUDY, columns)["rows"][1]["by_group"]:
        for one in cell["quantiles"]:
            assert one["low"] > known.min()
            assert one["high"] < known.max()


# --- what may be seen -------------------------------------------------------------
def test_no_count_of_an_interval_is_shown_and_the_sums_stay_hidden():
    finding = oracle(STUDY, MIDDLES, {"aa": people(8, 400)})

    shown, withheld = finding.shown(10)

    assert withheld
    cells = [cell for row in shown.as_json()["rows"] for cell in row["by_group"]]
    assert all(len(cell["quantiles"]) == 3 for cell in cells)
    assert all(set(q) == {"p", "low", "high"} for c in cells for q in c["quantiles"])


def test_a_site_that_shows_fewer_hides_intervals_of_fewer():
    finding = oracle(STUDY, MIDDLES, {"aa": people(8, 400)})
    widest = max(
        one["people"]
        for row in finding.as_json()["rows"]
        for cell in row["by_group"]
        for one in cell["quantiles"]
    )

    shown, _ = finding.shown(widest + 1)

    assert not any(
        c["quantiles"] for r in shown.as_json()["rows"] for c in r["by_group"]
    )


def test_a_small_group_is_emptied_with_the_one_that_would_give_it_back():
    columns = people(9, 200)
    columns["sex"] = (np.arange(200) < 15).astype(np.int64)
    finding = oracle(STUDY, MIDDLES, {"aa": columns})

    shown, _ = finding.shown(20)

    assert shown.as_json()["people"] == [None, None]
    for row in shown.as_json()["rows"]:
        for cell in row["by_group"]:
            assert cell == {"n": None, "missing": None, "quantiles": []}


def test_the_gate_weighs_the_rarest_value_since_a_bin_may_hold_it_alone():
    columns = people(10, 300)
    columns["age"] = np.repeat([40.0, 50.0, 60.0], 100)
    columns["sex"] = np.zeros(300, dtype=np.int64)

    found = evidence(
        make_plan(STUDY, MIDDLES),
        make_rows(make_plan(STUDY, MIDDLES), columns, "aa"),
    ).cells

    assert found["age, rarest value | female"] == 100
    assert found["chol, rarest value | female"] == 1


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"bin": np.zeros((2, 2, 3))},
        {"bin": np.zeros((2, 2, 2)), "level": np.ones(1)},
        {"bin": np.zeros((2, 2, 3)), "level": np.zeros(1)},
        {"bin": np.zeros((2, 2, 3)), "level": np.array([4.0])},
        {"bin": np.zeros((2, 2, 3)), "level": np.array([1.5])},
    ],
)
def test_a_state_that_is_none_is_refused(state):
    method = estimator_for(STUDY, MIDDLES)
    rows = make_rows(method.plan, people(1, 60), "aa")

    with pytest.raises(WrongShape):
        method.local(rows, state)


def test_a_category_has_no_quantile():
    wrong = replace(MIDDLES, variables=("age", "grade"))
    study = replace(STUDY, analyses=(wrong,))

    with pytest.raises(InvalidStudy, match="'grade' must be a number"):
        study_from(parse_canonical(study.canonical))
