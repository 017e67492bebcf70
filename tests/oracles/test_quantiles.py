"""Quantiles over sites = numpy's on the pooled rows, to the interval that is shown."""

from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import estimator_for, make_plan, make_rows, oracle
from hetao.analysis.evidence import evidence
from hetao.canonical import parse_canonical
from hetao.errors import InvalidStudy, SmallCell, WrongShape
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
def test_where_one_person_is_enough_the_quantile_is_exact(seed):
    columns = people(seed, 500)

    found = answer(SINGLE, columns)

    for cell, values in cells(found, columns):
        for one in cell["quantiles"]:
            expected = np.quantile(values, one["p"], method="inverted_cdf")
            middle = (one["low"] + one["high"]) / 2
            assert middle == pytest.approx(expected, abs=650 * 2.0**-40)
            note_parts("quantiles", middle, expected)


@pytest.mark.parametrize("seed", [1, 2])
def test_of_everybody_it_is_exact_in_four_rounds(seed):
    columns = people(seed, 500)
    state, rounds = None, 0
    method = estimator_for(SINGLE, replace(MIDDLES, by=""))
    rows = make_rows(method.plan, columns, "aa")

    while rounds == 0 or isinstance(state, dict):
        message = method.local(rows, state) if rounds else method.start(rows)
        state = method.step(message, state, rounds)
        rounds += 1

    assert rounds == 4
    for row in state.as_json()["rows"]:
        values = columns[row["variable"]]
        for one in row["by_group"][0]["quantiles"]:
            known = values[~np.isnan(values)]
            expected = np.quantile(known, one["p"], method="inverted_cdf")
            middle = (one["low"] + one["high"]) / 2
            assert middle == pytest.approx(expected, abs=650 * 2.0**-40)
            assert one["people"] == 1


def spread(n, seed=6):
    """Return people whose two groups' ages lie apart, and whose other number does."""
    columns, draw = people(seed, n), np.random.default_rng(seed)
    men = columns["sex"] == 1
    ages = np.where(men, draw.normal(70, 8, n), 25 + draw.gamma(2, 8, n))
    chol = np.exp(np.log(120) + 0.3 * men + 0.05 * draw.normal(size=n))
    return columns | {"age": ages.clip(20, 100), "chol": chol}


@pytest.mark.parametrize("n", [400, 3000, 100_000])
def test_groups_that_differ_are_closed_in_to_a_few_times_as_many_as_enough(n):
    columns = spread(n)

    found = answer(STUDY, columns)

    for cell, values in cells(found, columns):
        for one in cell["quantiles"]:
            expected = np.quantile(values, one["p"], method="inverted_cdf")
            assert one["low"] <= expected < one["high"]
            assert 10 <= one["people"] <= 10 * 10


def test_values_of_whole_years_are_found_to_the_year():
    columns = people(4, 3000)
    columns["age"] = np.floor(columns["age"])

    found = answer(STUDY, columns)

    for cell in found["rows"][0]["by_group"]:
        assert [one["high"] - one["low"] < 1.5 for one in cell["quantiles"]] == [1] * 3


def test_a_value_that_enough_people_share_is_exact():
    columns = people(4, 600)
    columns["age"] = np.round(columns["age"] / 10) * 10

    found = answer(STUDY, columns)

    for one in found["rows"][0]["by_group"][0]["quantiles"]:
        assert one["high"] - one["low"] == pytest.approx(82 * 2.0**-40, rel=0.01)
        middle = (one["low"] + one["high"]) / 2
        assert middle == pytest.approx(round(middle, -1), abs=1e-9)


def test_an_interval_ends_in_the_round_that_finds_too_few():
    method = estimator_for(STUDY, replace(MIDDLES, by=""))
    rows = make_rows(method.plan, people(5, 300), "aa")

    state = method.step(method.start(rows), None, 0)

    # Of 300 people no bin of 1,024 holds ten: it is over after one round.
    assert not isinstance(state, dict)


# --- where a group is counted -----------------------------------------------------
def rounds_of(study, columns, analysis=MIDDLES):
    """Yield the estimator and each state, of a site that holds everybody."""
    method = estimator_for(study, analysis)
    rows = make_rows(method.plan, columns, "aa")
    state, number = method.step(method.start(rows), None, 0), 1
    while isinstance(state, dict):
        yield method, state
        state = method.step(method.local(rows, state), state, number)
        number += 1


@pytest.mark.parametrize("n", [61, 200, 3000, 100_000])
def test_between_two_borders_lie_many_people_and_none_is_asked_for_twice(n):
    columns = spread(n)
    asked = set()

    for _, state in rounds_of(STUDY, columns):
        for i, name in enumerate(MIDDLES.variables):
            known = columns[name][~np.isnan(columns[name])]
            low, high = {"age": (18, 100), "chol": (50, 700)}[name]
            count = (state["border"][i] >= 0).sum()
            at = np.sort(state["border"][i, :count]) * 2.0**-40 * (high - low) + low
            held = np.histogram(known, [-np.inf, *at, np.inf])[0]
            assert count == 0 or held.min() >= 20 - 1  # a value on an edge
        for i, g, j in np.argwhere(state["asked"] >= 0):
            one = (i, g, state["asked"][i, g, j])
            assert one not in asked
            asked.add(one)

    for i in range(2):
        for g in range(2):
            assert sum((one[0], one[1]) == (i, g) for one in asked) <= 7 + 9


def test_of_a_single_group_nothing_but_everybody_is_counted():
    for method, _ in rounds_of(STUDY, spread(3000), replace(MIDDLES, by="")):
        assert method.shapes[1]["below"] == (2, 1, 0)


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


def bent(state, **arrays):
    return state | {name: change(state[name].copy()) for name, change in arrays.items()}


def put(value):
    def change(array):
        array.flat[0] = value
        return array

    return change


BENDS = [
    lambda state: {},
    lambda state: {name: state[name] for name in state if name != "asked"},
    lambda state: bent(state, low=lambda array: array[:1]),
    lambda state: bent(state, low=put(-1.0)),
    lambda state: bent(state, low=put(0.5)),
    lambda state: bent(state, low=put(np.nan)),
    lambda state: bent(state, low=lambda array: state["high"]),
    lambda state: bent(state, high=put(2.0**40 + 1)),
    lambda state: bent(state, high=put(np.inf)),
    lambda state: bent(state, asked=put((state["border"][0] >= 0).sum())),
]


@pytest.mark.parametrize("bend", BENDS)
def test_a_state_that_is_none_is_refused(bend):
    method = estimator_for(STUDY, MIDDLES)
    rows = make_rows(method.plan, people(1, 400), "aa")
    state = method.step(method.start(rows), None, 0)
    method.local(rows, state)

    with pytest.raises(WrongShape):
        method.local(rows, bend(state))


@pytest.mark.parametrize("beside", ["border", "end"])
def test_a_group_is_not_counted_between_borders_with_few_people(beside):
    """One border more, a person above another one, or above the least value."""
    method = estimator_for(STUDY, MIDDLES)
    rows = make_rows(method.plan, people(1, 400), "aa")
    state = method.step(method.start(rows), None, 0)
    count = (state["border"][0] >= 0).sum()
    near = {"border": state["rank"][0, 0], "end": 0.0}[beside]
    state["border"][0, count] = {"border": state["border"][0, 0], "end": 0.0}[
        beside
    ] + 1
    state["rank"][0, count] = near + 1
    state["asked"][0, 0, 0] = count

    with pytest.raises(SmallCell, match="20 people"):
        method.local(rows, state)


def test_a_site_of_a_stricter_least_count_does_not_begin():
    study = replace(STUDY, minimum=Minimum(cell=5))
    method = estimator_for(study, MIDDLES).within(Minimum(cell=10))
    rows = make_rows(method.plan, people(1, 400), "aa")
    whole = estimator_for(study, replace(MIDDLES, by="")).within(Minimum(cell=10))

    with pytest.raises(SmallCell, match="with 20 people"):
        method.start(rows)
    assert whole.start(make_rows(whole.plan, people(1, 400), "aa"))


@pytest.mark.parametrize(
    ("name", "places"),
    [("below", np.s_[0, 0, 0]), ("below", np.s_[:]), ("counts", np.s_[:])],
)
@pytest.mark.parametrize("value", [-1.0, 0.0, 1e6])
def test_sums_that_contradict_each_other_are_refused(name, places, value):
    method = estimator_for(STUDY, MIDDLES)
    rows = make_rows(method.plan, people(1, 400), "aa")
    state = method.step(method.start(rows), None, 0)
    total = method.local(rows, state)
    total[name][places] = value
    if name == "below" and value == 0.0:  # that nobody is there may be
        total[name][0, 0] = np.arange(7, 0, -1)

    with pytest.raises(WrongShape, match="contradict"):
        method.step(total, state, 1)


def test_a_category_has_no_quantile():
    wrong = replace(MIDDLES, variables=("age", "grade"))
    study = replace(STUDY, analyses=(wrong,))

    with pytest.raises(InvalidStudy, match="'grade' must be a number"):
        study_from(parse_canonical(study.canonical))
