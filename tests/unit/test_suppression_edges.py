"""What is hidden of a finding and what is not, at each edge, one payload at a time.

Whole findings are looked at in `test_analysis_shown.py` and beside each method; of what
is given here nobody had to be counted.
"""

import pytest

from hetao.analysis.suppression import hidden, shown_payload

LEAST = 10


def shown(payload, smallest=LEAST):
    """Return what is shown of a payload."""
    return shown_payload(payload, smallest)[0]


# --- counts with a known total --------------------------------------------------------
@pytest.mark.parametrize(
    ("counts", "mask"),
    [
        ([0, 10, 30], [False, False, False]),
        ([1, 30, 40], [True, True, False]),  # together just enough, and two
        ([9, 1, 30], [True, True, False]),
        ([8, 1, 30], [True, True, True]),
        ([9, 30, 10, 10], [True, False, True, False]),  # the first of the smallest
        ([9, 0, 30, 20], [True, False, False, True]),  # nobody is hidden last
        ([9, 0], [True, True]),
        ([1, 1, 1, 7, 30], [True, True, True, True, False]),
        ([1], [True]),
    ],
)
def test_so_many_are_hidden_as_hide_the_small_ones(counts, mask):
    assert hidden(counts, LEAST) == mask


def test_a_least_of_two_hides_one_and_a_least_of_one_nothing():
    model = {"model": "linear", "n": 1}

    assert shown_payload(model, 1) == (model, False)
    assert shown_payload(model, 2) == ({"model": "linear", "n": None}, True)
    assert shown_payload(model | {"n": 2}, 2) == (model | {"n": 2}, False)


def test_of_any_model_few_people_and_few_events_are_hidden():
    told = shown({"model": "linear", "n": 9, "events": 10})

    assert told == {"model": "linear", "n": None, "events": 10}
    assert shown({"model": "linear", "n": 10, "events": 0})["events"] == 0


# --- screens --------------------------------------------------------------------------
def pair(exposure, outcome, n, events):
    return {"exposure": exposure, "outcome": outcome, "n": n, "events": events}


def screened(*pairs):
    payload = {"model": "screen", "pairs": list(pairs)}
    return [(one["n"], one["events"]) for one in shown(payload)["pairs"]]


def test_counts_of_pairs_with_something_in_common_differ_by_nobody_or_enough():
    assert screened(
        pair("a", "x", 100, 50),
        pair("b", "x", 91, 41),  # of the same outcome: both would tell
        pair("a", "y", 101, 51),  # of the same exposure: people would
        pair("b", "y", 99, 49),  # of none that is shown: its neighbour's is hidden
        pair("c", "x", 90, 60),  # just enough
        pair("d", "x", 100, 50),  # nobody
    ) == [(100, 50), (None, None), (None, 51), (99, None), (90, 60), (100, 50)]


def test_what_is_hidden_tells_of_no_other_pair():
    assert screened(pair("a", "x", 9, 9), pair("b", "x", 10, 10)) == [
        (None, None),
        (10, 10),
    ]


# --- hazards and curves ---------------------------------------------------------------
def hazard(*events):
    times = [float(place + 1) for place in range(len(events))]
    return {"time": times, "cumhaz": [t / 10 for t in times], "events": list(events)}


def test_of_two_hazards_of_which_one_has_few_events_no_step_is_shown():
    few, enough = hazard(4, 5), hazard(20, 20)
    payload = {"model": "cox", "baseline": [few, enough]}

    empty = {"time": [], "cumhaz": [], "events": []}
    assert shown(payload)["baseline"] == [empty, empty]
    assert shown(payload | {"baseline": [enough, enough]})["baseline"][0] == enough


def test_steps_of_a_hazard_are_joined_until_they_hold_enough():
    payload = {"model": "cox", "baseline": [hazard(4, 6, 10, 9, 1)]}

    (told,) = shown(payload)["baseline"]
    assert told == {
        "time": [2.0, 3.0, 5.0],
        "cumhaz": [0.2, 0.3, 0.5],
        "events": [10, 10, 10],
    }


@pytest.mark.parametrize(("left", "times"), [(0, 3), (1, 2), (9, 2)])
def test_the_last_step_goes_if_the_total_would_give_few_back(left, times):
    payload = {"model": "cox", "baseline": [hazard(10, 10, 10, left)]}

    assert len(shown(payload)["baseline"][0]["time"]) == times


def curve(events, at_risk=None, n=200, **more):
    """Return a curve whose steps are at 1, 2, … with survival 0.9, 0.8, …"""
    steps = range(1, len(events) + 1)
    whole = {
        "time": [float(place) for place in steps],
        "survival": [1 - place / 10 for place in steps],
        "se": [place / 100 for place in steps],
        "lower": [0.95 - place / 10 for place in steps],
        "upper": [1.05 - place / 10 for place in steps],
        "cumhaz": [place / 9 for place in steps],
        "cumhaz_se": [place / 90 for place in steps],
        "at_risk": at_risk or [n - 20 * place for place in range(len(events))],
        "events": list(events),
        "n": n,
        "median": 5.5,
        "median_lower": 4.5,
        "median_upper": 6.5,
        "rmst": 3.21,
        "rmst_se": 0.1,
        "rmst_least": None,
        "rmst_most": None,
    }
    return whole | more


def km(*curves, **more):
    payload = {"model": "km", "curves": list(curves), "horizon": 4.0, "n": 400}
    tests = {"logrank": {"chi2": 1.0}, "contrasts": [{"difference": 0.1}]}
    return payload | {"events": 200} | tests | more


def test_a_curve_of_enough_at_each_step_is_shown_as_it_is():
    payload = km(curve([10, 12, 20]), curve([10] * 7))

    assert shown_payload(payload, LEAST) == (payload, False)
    assert shown_payload(payload | {"events": 9}, LEAST)[1]


def test_few_events_of_one_curve_leave_no_step_of_either_and_no_test():
    told = shown(km(curve([5, 4]), curve([20, 20])))

    assert [one["time"] for one in told["curves"]] == [[], []]
    assert [one["n"] for one in told["curves"]] == [200, 200]
    assert "logrank" not in told
    assert "contrasts" not in told


def test_few_people_of_one_curve_leave_no_number_of_either():
    told = shown(km(curve([0], n=9, at_risk=[200]), curve([20, 20])))

    assert [one["n"] for one in told["curves"]] == [None, None]
    assert [one["events"] for one in told["curves"]] == [[], []]
    assert "logrank" not in told
    assert "contrasts" not in told


def test_a_mean_that_is_hidden_takes_contrasts_with_it_and_no_test():
    told = shown(km(curve([4, 6, 10]), curve([10, 10])))

    assert [one["rmst"] for one in told["curves"]] == [None, 3.21]
    assert "contrasts" not in told
    assert "logrank" in told


def test_steps_are_joined_with_the_people_at_risk_before_the_first_of_them():
    told = shown(km(curve([10, 4, 6, 10], at_risk=[90, 80, 70, 60])))["curves"][0]

    assert told["time"] == [1.0, 3.0, 4.0]
    assert told["at_risk"] == [90, 80, 60]
    assert told["events"] == [10, 10, 10]
    assert told["survival"] == [1 - 0.1, 1 - 0.3, 1 - 0.4]
    assert told["cumhaz"] == [1 / 9, None, None]
    assert told["cumhaz_se"] == [1 / 90, None, None]


def test_where_the_first_steps_are_joined_no_hazard_is_shown():
    told = shown(km(curve([4, 6, 10])))["curves"][0]

    assert told["at_risk"] == [200, 160]
    assert told["cumhaz"] == [None, None]


@pytest.mark.parametrize(("last", "steps"), [(10, 3), (9, 2)])
def test_a_curve_ends_before_few_are_at_risk(last, steps):
    told = shown(km(curve([10, 10, 10], at_risk=[30, 20, last])))["curves"][0]

    assert len(told["time"]) == steps


@pytest.mark.parametrize(("first", "steps"), [(10, 2), (9, 0)])
def test_a_curve_that_begins_with_few_at_risk_has_no_step(first, steps):
    told = shown(km(curve([10, 10], at_risk=[first, 40])))["curves"][0]

    assert len(told["time"]) == steps


@pytest.mark.parametrize(("horizon", "is_told"), [(1.0, True), (2.0, False)])
def test_a_mean_up_to_the_last_step_that_stands_alone_is_shown(horizon, is_told):
    told = shown(km(curve([10, 4, 6]), horizon=horizon))["curves"][0]

    assert (told["rmst"] is not None) == is_told
    assert (told["rmst_se"] is not None) == is_told


def test_a_mean_that_is_hidden_lies_between_what_the_steps_leave_open():
    """Up to 4: whole until 2, then 0.8 at most, 0.7 from 3; least as steps come."""
    told = shown(km(curve([4, 6, 10])))["curves"][0]

    assert told["rmst_least"] == pytest.approx(2 * 0.8 + 1 * 0.7)
    assert told["rmst_most"] == pytest.approx(2 * 1 + 1 * 0.8 + 1 * 0.7)
    assert shown(km(curve([4, 5])))["curves"][0]["rmst_least"] is None


def test_a_mean_that_there_is_none_of_stays_so():
    told = shown(km(curve([4, 6, 10], rmst=None)))["curves"][0]

    assert told["rmst_least"] is told["rmst_most"] is None


def test_without_a_horizon_nothing_is_hidden_before_it():
    told = shown(km(curve([4, 6, 10]), horizon=None))["curves"][0]

    assert told["rmst"] == 3.21


def test_medians_of_a_curve_shown_whole_stay_and_others_are_read_off_the_steps():
    """The limits come to one half a step before and after the curve."""
    whole, joined = (shown(km(curve(of)))["curves"][0] for of in ([10] * 7, [5] * 8))
    names = ("median_lower", "median", "median_upper")

    assert [whole[name] for name in names] == [4.5, 5.5, 6.5]
    assert [joined[name] for name in names] == [6.0, 6.0, 6.0]
    assert shown(km(curve([5] * 4)))["curves"][0]["median"] is None
    assert shown(km(curve([])))["curves"][0]["median"] is None


def test_of_one_step_shown_as_it_is_the_median_stays():
    """By rounding a half is not always a half."""
    one = curve([10], survival=[0.5 + 1e-12], median=1.0)

    assert shown(km(one))["curves"][0]["median"] == 1.0


def test_limits_that_there_are_none_of_come_to_no_half():
    told = shown(km(curve([5] * 6, lower=[None] * 6, upper=[0.5] * 6)))["curves"][0]

    assert told["median_lower"] is None
    assert told["median_upper"] == 2.0


# --- cells of a curve -----------------------------------------------------------------
CELLS = {"people": 26, "died": [2.0, 6.0, 30.0], "left": [18.0, 60.0]}


def test_of_a_curve_in_cells_all_edges_but_the_last_are_shown():
    told = shown(km(curve([10, 10]), cells=CELLS))

    assert told["cells"] == {
        "people": 26,
        "died": [2.0, 6.0, None],
        "left": [18.0, None],
    }
    assert "cells" not in shown(km(curve([10, 10])))


@pytest.mark.parametrize(("people", "is_told"), [(10, True), (9, False)])
def test_of_cells_of_few_people_no_edge_is_shown(people, is_told):
    told = shown(km(curve([10, 10]), cells=CELLS | {"people": people}))["cells"]

    assert set(told) == set(CELLS)
    assert (told["people"] == people) == is_told
    assert (told["died"] is not None) == is_told


def test_a_step_of_a_cell_is_joined_steps_and_its_mean_is_left_open():
    told = shown(km(curve([10, 10]), horizon=None, cells=CELLS))["curves"][0]

    assert told["cumhaz"] == [None, None]
    told = shown(km(curve([10, 10]), horizon=0.5, cells=CELLS))["curves"][0]
    assert told["rmst"] is None
    assert told["rmst_most"] == pytest.approx(0.5)


# --- effects --------------------------------------------------------------------------
def arm(name, n, events, **more):
    return {"arm": name, "n": n, "events": events, "ess": n / 2} | more


def effect(*arms, kind="risk_difference", **more):
    payload = {"model": "ipw", "arms": list(arms), "terms": [{"name": kind}]}
    return payload | {"n": 200, "events": 60, "overlap": [[20, 30], [30, 20]]} | more


def test_of_a_risk_few_without_the_event_are_hidden_and_of_a_count_they_are_not():
    arms = arm("a", 100, 95), arm("b", 100, 40)

    told = shown(effect(*arms))
    assert [one["events"] for one in told["arms"]] == [None, None]
    assert [(one["n"], one["ess"]) for one in told["arms"]] == [(100, 50.0)] * 2
    assert told["events"] is None
    assert shown(effect(*arms, kind="rate_difference")) == effect(
        *arms, kind="rate_difference"
    )
    named = [{"name": "rate_difference"}, {"name": "risk_difference"}]
    assert shown(effect(*arms, terms=named))["arms"] == list(arms)


def test_few_with_the_event_in_an_arm_are_hidden_of_any_effect():
    told = shown(effect(arm("a", 100, 9), arm("b", 100, 40), kind="rate_difference"))

    assert [one["events"] for one in told["arms"]] == [None, None]


def test_arms_of_enough_are_shown_and_means_without_events_are():
    whole = effect(arm("a", 100, 10), arm("b", 100, 90))
    means = effect(arm("a", 100, None, mean=1.0), arm("b", 100, None, mean=2.0))

    assert shown(whole) == whole
    assert shown(means | {"events": None}) == means | {"events": None}


def test_a_small_arm_leaves_only_names_and_few_people_no_count():
    payload = effect(arm("a", 9, 9), arm("b", 100, 50)) | {"n": 9, "events": 9}
    told = shown(payload)

    assert [{*filter(None, one.values())} for one in told["arms"]] == [{"a"}, {"b"}]
    assert told["n"] is told["events"] is None


def test_bins_of_a_score_are_hidden_in_each_arm_by_itself():
    told = shown(effect(arm("a", 100, 50), arm("b", 100, 50), overlap=[[9, 20], [30]]))

    assert told["overlap"] == [[None, None], [30]]


def stratum(n, events):
    return {"from": 0.0, "to": 0.5, "n": n, "events": events}


@pytest.mark.parametrize(
    ("n", "events", "is_told"),
    [
        ([50, 50], [10, 40], True),
        ([50, 9], [25, 0], False),
        ([50, 50], [9, 25], False),
        ([50, 50], [41, 25], False),
        ([50, 50], None, True),
        ([50, 9], None, False),
    ],
)
def test_strata_of_a_score_are_shown_if_each_cell_may_be(n, events, is_told):
    strata = [
        stratum(n, events),
        stratum([60, 60], None if events is None else [30, 30]),
    ]
    told = shown(effect(arm("a", 100, 50), arm("b", 100, 50), strata=strata))["strata"]

    gone = {"from": 0.0, "to": 0.5, "n": None, "events": None}
    assert told == (strata if is_told else [gone, gone])


def test_strata_go_where_the_first_arms_events_or_mean_are_hidden():
    """Of means the mean is looked at: they have no events."""
    strata = [stratum([50, 50], None)]
    means = arm("a", 100, None, mean=1.0), arm("b", 100, None, mean=2.0)
    none = arm("a", 100, None), arm("b", 100, 50)

    told = shown(effect(*means, events=None, strata=strata))
    assert told["strata"] == strata
    told = shown({**effect(*none, strata=strata), "events": None})
    assert told["strata"][0]["n"] is None


# --- models weighted by a score -------------------------------------------------------
def scored(*arms, **more):
    payload = {"model": "cox_scored", "score": [1.0], "arms": list(arms), "n": 160}
    return payload | {"events": 90, "overlap": [[20, 30]]} | more


TWO = arm("a", 100, 50), arm("b", 100, 50)


def test_an_arm_of_a_scored_model_with_few_people_leaves_only_names():
    told = shown(scored(arm("a", 9, 5), arm("b", 100, 50)))

    assert [{*filter(None, one.values())} for one in told["arms"]] == [{"a"}, {"b"}]


@pytest.mark.parametrize("events", [9, 91])
def test_an_arm_of_a_scored_model_with_few_events_or_without_shows_none(events):
    told = shown(scored(TWO[0], arm("b", 100, events)))

    assert [one["events"] for one in told["arms"]] == [None, None]
    assert [one["n"] for one in told["arms"]] == [100, 100]
    assert told["events"] is None
    assert shown(scored(*TWO)) == scored(*TWO)


def test_a_scored_model_without_events_is_shown_and_hides_its_thin_bins():
    arms = [{k: v for k, v in one.items() if k != "events"} for one in TWO]
    payload = scored(*arms, overlap=[[9, 20]])
    del payload["events"]

    told = shown(payload)
    assert told == payload | {"overlap": [[None, None]]}


def test_strata_of_a_scored_model_are_hidden_as_others_are():
    payload = scored(*TWO, strata=[stratum([50, 9], [20, 0])])

    assert shown(payload)["strata"][0]["n"] is None
    assert shown({**payload, "score": None})["strata"][0]["n"] == [50, 9]


def matched(sets=70, n=160, events=90, **arms):
    """Return a matched model: of 100 treated `sets` have each their controls."""
    both = (arms.get("others", TWO[0]), arms.get("treated", TWO[1]))
    return scored(*both, n=n, events=events, matching={"sets": sets})


def is_told(payload):
    told = shown(payload)
    sets, ess = told["matching"]["sets"], {one["ess"] for one in told["arms"]}
    assert (sets is None) == (told["n"] is None) == (ess == {None})
    return sets is not None


def test_of_a_matching_that_leaves_nobody_or_enough_all_is_told():
    assert is_told(matched())  # 30 treated, 10 others and 10 events find no match
    assert is_told(matched(sets=100, n=200, events=100))


@pytest.mark.parametrize(
    "changed",
    [
        {"sets": 9, "n": 90},  # few sets
        {"sets": 91, "n": 160},  # few treated find no match
        {"sets": 70, "n": 161},  # nor do few others
        {"events": 91},  # of whom few had the event
        {"sets": 70, "n": 169},
        {"events": 99},
        {"others": arm("a", 105, 50), "n": 170},
    ],
)
def test_of_a_matching_that_leaves_few_nothing_is_told(changed):
    assert not is_told(matched(**changed))


def test_few_without_the_event_hide_the_events_but_not_the_sets():
    assert is_told(matched(events=None))
    assert is_told(matched(treated=arm("b", 100, 95)))


# --- attrition and tables -------------------------------------------------------------
def test_the_last_step_is_shown_then_the_first_then_from_the_end():
    people, before = (200, 195, 150, 145, 154, 100), (200, 200, 195, 150, 145, 154)
    steps = [{"n": n, "removed": b - n} for n, b in zip(people, before, strict=True)]

    told = shown({"model": "counts", "steps": steps})["steps"]
    assert [one["n"] for one in told] == [200, None, None, None, 154, 100]
    assert [one["removed"] for one in told] == [0, None, None, None, None, 54]


def test_the_second_step_is_looked_at_and_few_at_the_end_are_hidden():
    def steps(*people):
        return [{"n": n, "removed": 0} for n in people]

    told = shown({"model": "counts", "steps": steps(200, 191, 9)})["steps"]
    assert [one["n"] for one in told] == [200, None, None]
    told = shown({"model": "counts", "steps": steps(200, 190, 0)})["steps"]
    assert [one["n"] for one in told] == [200, 190, 0]


def cell(n, missing, mean=None, sd=None):
    return {"n": n, "missing": missing, "mean": mean, "sd": sd}


def size(count):
    return {"count": count, "percent": 50.0}


def table(sizes, *rows):
    first = {"variable": "", "level": "", "by_group": [size(n) for n in sizes]}
    return shown({"model": "table1", "rows": [first | {"smd": None}, *rows]})["rows"]


def row(name, *cells):
    return {"variable": name, "level": "", "by_group": list(cells), "smd": 0.5}


def test_groups_that_are_not_compared_leave_the_difference_of_those_that_are():
    """It is of the first two."""
    age = row("age", *(cell(n, 0, 50.0, 1.0) for n in (100, 100, 6, 7)))

    told = table((100, 100, 6, 7), age)[1]
    assert [one["n"] for one in told["by_group"]] == [100, 100, None, None]
    assert told["smd"] == 0.5
    turned = row("age", *(cell(n, 0, 50.0, 1.0) for n in (100, 6, 7, 100)))
    assert table((100, 6, 7, 100), turned)[1]["smd"] is None


def test_a_level_that_is_hidden_takes_the_difference_and_few_missing_do_not():
    level = row("sex", size(9), size(50))
    other = row("sex", size(91), size(50))
    age = row("age", cell(91, 9, 50.0, 1.0), cell(100, 0, 50.0, 1.0))

    told = table((100, 100), level, other, age)
    assert [one["smd"] for one in told[1:]] == [None, None, 0.5]
    assert [one["count"] for one in told[1]["by_group"]] == [None, 50]
    assert [one["percent"] for one in told[1]["by_group"]] == [None, 50.0]


def test_a_table_without_small_cells_is_shown_as_it_is():
    age = row("age", cell(90, 10, 50.123, 1.0), cell(100, 0, 50.123, 1.0))

    assert table((100, 100), age)[1] == age


@pytest.mark.parametrize(
    ("missing", "people", "value", "coarse"),
    [
        (1, 1000, 123.456, 123.0),  # three digits
        (1, 1000, 1.23456, 1.23),
        (9, 1000, 0.123456, 0.12),  # two people's share of a thousand is 0.002
        (9, 20_000, 0.123456, 0.123),
        (1, 200, 1.23456, 1.23),  # just a hundredth
        (1, 199, 1.23456, 1.2),
        (9, 210, 1.23456, 1.23),
        (5, 20, 1.23456, 1.2),
        (1, 1000, 0.0, 0.0),
        (1, 1000, 0.5, 0.5),
        (1, 1000, -123.456, -123.0),
        (1, 1000, 12_345.6, 12_300.0),
    ],
)
def test_a_mean_beside_few_missing_is_coarse(missing, people, value, coarse):
    known = people - missing

    told = table((people,), row("age", cell(known, missing, value, None)))[1]
    assert told["by_group"][0] == cell(None, None, coarse, None)


def test_of_few_known_no_mean_is_shown():
    told = table((100,), row("age", cell(9, 91, 50.0, 1.0)))[1]
    assert told["by_group"][0] == cell(None, None)
    told = table((100,), row("age", cell(91, 9, 50.0, 1.0)))[1]
    assert told["by_group"][0] == cell(None, None, 50.0, 1.0)


def test_few_people_of_a_group_leave_its_events():
    groups = [
        {"n": n, "events": e, "observed": e, "expected": e + 0.5}
        for n, e in ((9, 0), (100, 40), (200, 50))
    ]
    told = shown({"model": "logrank", "groups": groups, "n": 9})

    assert [one["n"] for one in told["groups"]] == [None, None, 200]
    assert [one["expected"] for one in told["groups"]] == [0.5, 40.5, 50.5]
    assert told["n"] is None


# --- quantiles ------------------------------------------------------------------------
def within(n, missing, *people):
    found = [
        {"p": 0.5, "low": 1.0, "high": 2.0, "people": many, "type": 1}
        for many in people
    ]
    return {"n": n, "missing": missing, "quantiles": found}


def quantiles(people, *cells):
    payload = {"model": "quantiles", "people": list(people)}
    return shown(payload | {"rows": [{"by_group": list(cells)}]})


OPEN = {"p": 0.5, "low": 1.0, "high": 2.0}


def test_an_interval_of_enough_is_shown_but_not_how_many_it_holds():
    told = quantiles((100, 200), within(100, 0, 10, 9), within(190, 10))

    first, second = told["rows"][0]["by_group"]
    assert first == {"n": 100, "missing": 0, "quantiles": [OPEN]}
    assert second == {"n": 190, "missing": 10, "quantiles": []}
    assert told["people"] == [100, 200]


def test_of_few_values_or_few_missing_the_numbers_are_hidden():
    told = quantiles((100, 109), within(91, 9, 10), within(9, 100, 10))

    first, second = told["rows"][0]["by_group"]
    assert first == {"n": None, "missing": None, "quantiles": [OPEN]}
    assert second == {"n": None, "missing": None, "quantiles": []}


def test_of_a_small_group_and_another_nothing_is_shown():
    told = quantiles((9, 100, 200), *(within(n, 0, 50) for n in (0, 100, 200)))

    assert told["people"] == [None, None, 200]
    for one in told["rows"][0]["by_group"][:2]:
        assert one == {"n": None, "missing": None, "quantiles": []}
    assert told["rows"][0]["by_group"][2]["quantiles"] == [OPEN]


# --- rates ----------------------------------------------------------------------------
NO_CELL = dict.fromkeys(("n", "events", "time", "rate", "lower", "upper"))


def counted(label, n, events):
    return {**NO_CELL, "label": label, "n": n, "events": events, "time": 1.0}


def group(label, n, events, *strata):
    found = [counted(str(place), *one) for place, one in enumerate(strata)]
    return counted(label, n, events) | {"standardised": {"rate": 1.0}, "strata": found}


def rates(*groups, **more):
    two = {"group": groups[0]["label"], "against": groups[1]["label"], "ratio": 2.0}
    payload = {"model": "rates", "groups": list(groups), "n": 1000, "events": 500}
    return shown(payload | {"comparisons": [two | {"adjusted": {"ratio": 2.0}}]} | more)


THREE = (100, 40), (100, 30), (100, 20)


def test_strata_of_one_group_with_few_events_are_hidden_in_it_alone():
    told = rates(group("a", 300, 60, (100, 9), *THREE[:2]), group("b", 300, 90, *THREE))

    assert [one["n"] for one in told["groups"][0]["strata"]] == [None] * 3
    assert [one["n"] for one in told["groups"][1]["strata"]] == [100] * 3
    assert told["groups"][0]["standardised"] == {"rate": 1.0}
    assert told["comparisons"][0]["adjusted"] == {"ratio": 2.0}
    assert told["groups"][0]["n"] == 300


def test_two_hidden_strata_take_the_standardised_rate_and_what_compares_it():
    told = rates(group("a", 200, 49, (100, 9), (100, 40)), group("b", 300, 90, *THREE))

    assert told["groups"][0]["standardised"] is None
    assert told["groups"][1]["standardised"] == {"rate": 1.0}
    assert told["comparisons"] == [
        {"group": "a", "against": "b", "ratio": 2.0, "adjusted": None}
    ]


@pytest.mark.parametrize("few", [(9, 0), (300, 9)])
def test_a_group_of_few_and_another_are_hidden_with_what_compares_them(few):
    """Of three; the third is the largest."""
    told = rates(group("a", *few), group("b", 200, 100), group("c", 400, 200, *THREE))

    assert [one["n"] for one in told["groups"]] == [None, None, 400]
    assert [one["standardised"] for one in told["groups"][:2]] == [None, None]
    assert told["comparisons"] == [
        {"group": "a", "against": "b", "ratio": None, "adjusted": None}
    ]


def test_of_a_group_that_is_hidden_the_strata_are_too_and_others_are_compared():
    told = rates(
        group("c", 400, 200, *THREE),
        group("d", 400, 200, *THREE),
        group("a", 9, 0, *THREE),
        group("b", 200, 100, *THREE),
    )

    assert [one["strata"][0]["n"] for one in told["groups"]] == [100, 100, None, None]
    assert told["comparisons"][0]["ratio"] == 2.0
    assert told["comparisons"][0]["adjusted"] == {"ratio": 2.0}
    assert rates(group("a", 300, 90), group("b", 300, 90), n=9)["n"] is None


# --- periods --------------------------------------------------------------------------
def period(label, n, **more):
    return {"label": label, "n": n, "value": 0.5, "control_low": 0.1} | more


def periods(*found):
    whole = [one | {"control_high": 0.9} for one in found]
    payload = {"model": "indicators", "periods": whole, "n": 500, "centre": 0.5}
    return payload | {"trend": {"estimate": 0.1}}


@pytest.mark.parametrize(
    ("n", "more", "is_shown"),
    [
        (10, {}, True),
        (9, {}, False),
        (100, {"events": 10}, True),
        (100, {"events": 9}, False),
        (100, {"events": 90}, True),
        (100, {"events": 91}, False),
        (100, {"events": 0}, True),
        (100, {"events": 100}, True),
    ],
)
def test_a_period_of_few_takes_what_sums_all_of_them(n, more, is_shown):
    payload = periods(period("1", n, **more), period("2", 300))
    told = shown(payload)

    if is_shown:
        assert told == payload
        return
    assert {value for k, value in told["periods"][0].items() if k != "label"} == {None}
    assert told["periods"][0]["label"] == "1"
    assert told["periods"][1]["n"] == 300
    assert (
        told["periods"][1]["control_low"] is told["periods"][1]["control_high"] is None
    )
    assert told["n"] is told["trend"] is told["centre"] is None


# --- predictions ----------------------------------------------------------------------
def cut(at, tp, fp):
    return {"cut": at, "tp": tp, "fp": fp}


def calibrated(low, high, n, events):
    return {"low": low, "high": high, "n": n, "events": events, "predicted": low}


def performance(**more):
    payload = {
        "model": "performance", "n": 200, "events": 100, "bins": {"cases": [1]},
        "roc": [cut(0.8, 20, 10), cut(0.5, 50, 40), cut(0.2, 80, 90)],
        "thresholds": [], "calibration": [], "terms": [{"name": "auc"}],
        "auc": {"auc": 0.7}, "loglik": -1.0,
    }  # fmt: skip
    return payload | more


def cuts(**more):
    return [one["cut"] for one in shown(performance(**more))["roc"]]


@pytest.mark.parametrize("events", [9, 191])
def test_of_few_with_the_event_or_without_nothing_that_tells_them_is_shown(events):
    told = shown(performance(events=events))

    assert told["events"] is told["loglik"] is told["bins"] is None
    assert told["roc"] == told["calibration"] == told["thresholds"] == []
    assert told["terms"] == []
    assert told["auc"] == {}
    assert shown(performance(events=9, n=9))["n"] is None


def test_cuts_are_shown_between_which_nobody_or_enough_lie_of_either_outcome():
    assert cuts() == [0.8, 0.5, 0.2]
    few = [cut(0.8, 9, 0), cut(0.7, 0, 9), cut(0.6, 10, 0), cut(0.5, 19, 30)]
    assert cuts(roc=[*few, cut(0.4, 10, 90), cut(0.3, 10, 91), cut(0.2, 91, 80)]) == [
        0.6,
        0.4,
    ]


def test_thresholds_that_were_asked_for_come_first_then_ends_of_groups():
    roc = [cut(0.8, 20, 20), cut(0.7, 25, 20), cut(0.6, 30, 25), cut(0.4, 60, 60)]
    asked = [{"threshold": at, "tp": 1} for at in (0.7, 0.8, 0.3)]
    groups = [calibrated(0.0, 0.4, 80, 40), calibrated(0.4, 0.6, 65, 30)]
    groups.append(calibrated(0.6, 1.0, 55, 30))

    told = shown(performance(roc=roc, thresholds=asked, calibration=groups))
    assert [one["cut"] for one in told["roc"]] == [0.7, 0.4]
    assert [one["tp"] for one in told["thresholds"]] == [1, None, None]
    assert [one["threshold"] for one in told["thresholds"]] == [0.7, 0.8, 0.3]
    assert told["calibration"][0] == groups[0]
    joined = told["calibration"][1]
    assert (joined["low"], joined["high"]) == (0.4, 1.0)
    assert (joined["n"], joined["events"]) == (120, 60)
    assert joined["predicted"] == pytest.approx((0.4 * 65 + 0.6 * 55) / 120)
    assert len(told["calibration"]) == 2


def test_ends_of_groups_come_before_the_rest_of_the_curve():
    """But for the last group's, at which everybody lies."""
    roc = [cut(0.7, 25, 20), cut(0.6, 30, 25), cut(0.4, 60, 60), cut(0.1, 61, 60)]
    groups = [calibrated(low, low + 0.1, 60, 30) for low in (0.3, 0.5, 0.9)]
    for group, end in zip(groups, (0.4, 0.6, 0.7), strict=True):
        group["high"] = end

    assert cuts(roc=roc, calibration=groups) == [0.6, 0.4]


def learned(model, **more):
    return performance(model=model, learned=100) | more


def test_a_network_of_few_learners_hides_them_and_what_measures_it():
    told = shown(learned("neural_network", learned=9, weights=[0.123456]))

    assert told["learned"] is told["bins"] is None
    assert told["weights"] == [0.123456]
    assert shown(learned("neural_network"))["learned"] == 100
    alone = {"model": "neural_network", "learned": 10, "n": 9, "bins": {"cases": [1]}}
    assert shown(alone) == alone | {"n": None}


def test_trees_tell_leaves_and_gains_in_three_digits():
    trees = [[{"node": 0, "below": 1.23456}, {"node": 1, "value": 12.3456}]]
    forest = {"trees": trees, "importance": [{"gain": 0.123456, "splits": 2}]}

    told = shown(learned("boosted_trees", learned=9, events=9, **forest))
    assert told["trees"] == [[trees[0][0], {"node": 1, "value": 12.3}]]
    assert told["importance"] == [{"gain": 0.123, "splits": 2}]
    assert told["learned"] is told["bins"] is told["events"] is None
    alone = {"model": "boosted_trees", "learned": 10, "n": 9, "bins": [1], **forest}
    assert shown(alone)["n"] is shown(alone)["bins"] is None
    assert shown(alone)["learned"] == 10
