"""Effects: what leaves a site, what is refused, and what people are shown."""

from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import (
    Finding,
    check_message,
    estimator_for,
    evidence,
    make_rows,
    oracle,
    weighed,
)
from hetao.canonical import parse_canonical
from hetao.errors import InvalidStudy, NotEstimable, WrongShape
from hetao.study import study_from
from hetao.study.methods import METHODS
from support_analysis import ANALYSES, SITES, STUDY, people, split

EFFECTS = [n for n, a in ANALYSES.items() if METHODS[a.method].fits]
IPW = ANALYSES["ipw"]


def everywhere(columns):
    return split(columns, (0.2, 0.5))


def closing(name, columns):
    """Return the estimator, its rows and the closing state over them alone."""
    method = estimator_for(STUDY, ANALYSES[name])
    rows = make_rows(method.plan, columns, "aa")
    state, number = method.step(method.start(rows), None, 0), 0
    while "closing" not in state:
        number += 1
        state = method.step(method.local(rows, state), state, number)
    return method, rows, state


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("seed", range(3))
def test_the_closing_message_obeys_its_declaration(name, seed):
    method, rows, state = closing(name, people(seed, 200))
    draw = np.random.default_rng(seed)

    for size in (0.0, 0.1, 1.0, 10.0, 100.0):
        moved = state["beta"] + size * draw.normal(0, 1, state["beta"].shape)
        try:
            message = method.local(rows, state | {"beta": moved})
        except NotEstimable:
            assert size > 0
            continue
        check_message(message, method.declare(9), rows.n)


@pytest.mark.parametrize("name", EFFECTS)
def test_a_site_with_one_row_and_one_with_none_are_summed_like_any_other(name):
    columns = people(1, 400)
    parts = split(columns, (0.5, 399.4 / 400, 1.0), sites=SITES)

    finding = oracle(STUDY, ANALYSES[name], parts).as_json()

    assert [len(part["age"]) for part in parts.values()] == [200, 199, 1, 0]
    assert finding["rounds"] <= 6


def test_every_effect_takes_at_most_eight_messages():
    for name in EFFECTS:
        parts = everywhere(people(2, 1000))
        assert oracle(STUDY, ANALYSES[name], parts).as_json()["rounds"] <= 6


@pytest.mark.parametrize("name", EFFECTS)
def test_an_arm_without_anybody_is_named(name):
    columns = people(2, 300)
    columns["treated"][:] = 0

    with pytest.raises(NotEstimable, match="nobody is in the arm 'yes'"):
        oracle(STUDY, ANALYSES[name], everywhere(columns))


@pytest.mark.parametrize("name", ["ipw", "g_computation", "aipw"])
def test_an_arm_without_events_is_named(name):
    columns = people(2, 300)
    columns["ill"][columns["treated"] == 1] = 0

    with pytest.raises(NotEstimable, match="the arm 'yes' has the outcome 'ill'"):
        oracle(STUDY, ANALYSES[name], everywhere(columns))


@pytest.mark.parametrize("name", ["ipw", "aipw", "ipw_overlap"])
def test_arms_that_a_covariate_separates_are_not_estimable(name):
    columns = people(2, 400)
    columns["treated"] = (columns["sex"] == 1).astype(np.int64)

    with pytest.raises(NotEstimable, match=r"propensity score|the outcome") as caught:
        oracle(STUDY, ANALYSES[name], everywhere(columns))

    assert caught.value.fix


def test_an_arm_in_which_nobody_differs_is_not_estimable():
    columns = people(2, 400)
    columns["sex"][columns["treated"] == 1] = 1

    with pytest.raises(NotEstimable, match=r"the outcome, treated: .*sex\[male\]"):
        oracle(STUDY, ANALYSES["g_computation"], everywhere(columns))


def lonely(seed=3):
    """Return people of whom one is treated against all odds."""
    columns = people(seed, 3000)
    chance = 1 / (1 + np.exp((columns["score"] + 5) * 1.5))
    draw = np.random.default_rng(seed)
    columns["treated"] = (draw.random(3000) < chance).astype(np.int64)
    alone = int(np.argmax(columns["score"]))
    columns["treated"][alone] = 1
    return columns


def test_a_person_treated_against_all_odds_is_refused_with_the_remedies():
    analysis = replace(IPW, terms=("score",))

    with pytest.raises(NotEstimable, match="would weigh more than 1000") as caught:
        oracle(STUDY, analysis, everywhere(lonely()))

    assert "ATO" in caught.value.fix
    assert "truncation" in caught.value.fix
    for remedy in ({"estimand": "ATO"}, {"truncation": 0.05}):
        tried = replace(analysis, **remedy)
        assert oracle(STUDY, tried, everywhere(lonely())).as_json()["terms"]


def test_a_person_of_extreme_weight_is_high_leverage():
    """What the score makes of the weights decides, long after the rows were judged."""
    columns = people(4, 120)
    method, rows, state = closing("ipw", columns)
    first = int(np.flatnonzero(rows.group == 1)[0])
    plain = evidence(method.plan, rows)
    X = rows.X.copy()
    X[first, 1] = -1.0
    turned = replace(rows, X=X)
    beta = np.zeros_like(state["beta"])
    beta[1] = 6.0

    weights = method.weights(turned, state | {"beta": beta})
    found = weighed(plain, method.plan, turned, weights)

    share = weights[1][turned.group == 1]
    assert plain.max_leverage < 0.5
    assert found.max_leverage >= share.max() / share.sum() > 0.5


def test_what_each_arm_tells_is_counted_in_each_arm():
    columns = people(5, 400)
    columns["ill"][:] = (np.arange(400) % 7 == 0).astype(np.int64)
    columns["ill"][columns["treated"] == 1] = 0
    columns["ill"][np.flatnonzero(columns["treated"] == 1)[:20]] = 1
    method = estimator_for(STUDY, ANALYSES["aipw"])
    rows = make_rows(method.plan, columns, "aa")

    found = evidence(method.plan, rows)

    treated = rows.group == 1
    assert found.events == min(rows.y[treated].sum(), rows.y[~treated].sum())
    assert found.parameters == 3 * method.plan.parameters
    sides = found.smallest_side
    assert sides["treated[yes]"] == treated.sum()
    male = rows.X[treated, 2] == 1
    assert sides["sex[male] | yes"] == min(male.sum(), (~male).sum())
    assert found.cells["with the event | yes"] == rows.y[treated].sum()


def test_the_thinnest_bin_of_the_score_is_told_to_the_gate():
    method, rows, state = closing("ipw", people(6, 300))
    overlap = method.local(rows, state)["overlap"]

    found = method.bins(rows, state)

    assert list(found.values()) == [overlap[overlap > 0].min()]
    assert method.bins(rows, {"beta": state["beta"]}) == {}
    other, others, last = closing("g_computation", people(6, 300))
    assert other.bins(others, last) == {}


def test_a_state_of_another_shape_is_refused():
    method, rows, state = closing("aipw", people(6, 300))

    for wrong in ({}, {"beta": state["beta"][:-1]}):
        with pytest.raises(WrongShape):
            method.local(rows, wrong)


def read(analysis):
    study = replace(STUDY, analyses=(analysis,))
    return study_from(parse_canonical(study.canonical)).analyses[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"treatment": "grade"}, "category of two levels"),
        ({"treatment": "age"}, "category of two levels"),
        ({"outcome": "grade"}, "a number, or a category of two levels"),
        ({"estimand": "everyone"}, "one of ATE, ATT, ATO"),
        ({"family": "binomial"}, "family of an effect is 'poisson'"),
        ({"family": "poisson"}, "must be a number"),
        ({"offset": "age", "outcome": "score"}, "only the effect on a count"),
        ({"truncation": 0.5}, "truncation lies in 0 to below 0.5"),
        ({"truncation": -0.1}, "truncation lies in 0 to below 0.5"),
        ({"truncation": 0.1, "estimand": "ATO"}, "no score needs truncation"),
        ({"overlap_bins": 101}, "overlap_bins lies in 0 to 100"),
        ({"overlap_bins": -1}, "overlap_bins lies in 0 to 100"),
        ({"terms": ("age", "treated")}, "holds 'treated'"),
        ({"terms": ("age", "ill:sex")}, "holds 'ill'"),
        ({"terms": ("0", "age")}, "have an intercept"),
    ],
)
def test_an_effect_that_means_nothing_is_refused(changes, said):
    with pytest.raises(InvalidStudy, match=said):
        read(replace(IPW, **changes))


def test_the_overlap_has_no_predictions():
    with pytest.raises(InvalidStudy, match="one of ATE, ATT"):
        read(replace(ANALYSES["aipw"], estimand="ATO"))


# --- what people are shown ----------------------------------------------------------
def found(name, columns, smallest):
    shown, withheld = oracle(STUDY, ANALYSES[name], {"aa": columns}).shown(smallest)
    return shown.as_json(), withheld


def test_thin_bins_of_the_score_are_not_shown():
    exact, _ = found("ipw", people(7, 600), 1)
    shown, withheld = found("ipw", people(7, 600), 10)

    assert withheld
    for arm, counts in enumerate(shown["overlap"]):
        hidden = [
            c for c, s in zip(exact["overlap"][arm], counts, strict=True) if s is None
        ]
        assert all(s is None or s == 0 or s >= 10 for s in counts)
        assert len(hidden) >= 2
        assert sum(hidden) >= 10
    assert shown["arms"] == exact["arms"]


def test_few_events_hide_the_risks_that_would_tell_them():
    columns = people(7, 600)
    columns["age"] = np.nan_to_num(columns["age"], nan=50.0)
    treated = np.flatnonzero(columns["treated"] == 1)
    columns["ill"][treated] = 0
    columns["ill"][treated[::40]] = 1

    shown, withheld = found("ipw", columns, 10)

    assert withheld
    assert shown["events"] is None
    for arm in shown["arms"]:
        assert arm["events"] is arm["mean"] is arm["se"] is None
        assert arm["n"] >= 10


def test_a_small_arm_is_not_shown():
    finding = oracle(STUDY, ANALYSES["ipw"], {"aa": people(7, 600)})
    payload = dict(finding.as_json())
    payload["arms"] = [dict(arm) for arm in payload["arms"]]
    payload["arms"][1] |= {"n": 4, "events": 2}

    shown, _ = Finding("a", "ipw", payload).shown(10)

    for arm in shown.as_json()["arms"]:
        assert all(value is None for key, value in arm.items() if key != "arm")


# --- counts -------------------------------------------------------------------------
def test_an_arm_without_any_count_is_named():
    columns = people(2, 300)
    columns["visits"][columns["treated"] == 1] = 0

    with pytest.raises(NotEstimable, match="the arm 'yes' has any 'visits'"):
        oracle(STUDY, ANALYSES["aipw_counts"], everywhere(columns))


def test_few_counts_hide_the_rates_that_would_tell_them():
    exact, _ = found("aipw_counts", people(7, 600), 1)
    payload = exact | {"arms": [dict(arm) for arm in exact["arms"]]}
    payload["arms"][1]["events"] = 4

    shown, withheld = Finding("a", "aipw", payload).shown(10)

    assert withheld
    assert shown.as_json()["events"] is None
    assert all(arm["mean"] is arm["events"] is None for arm in shown.as_json()["arms"])


def test_more_events_than_people_hide_nothing():
    columns = people(7, 600)
    columns["visits"] = columns["visits"] * 0 + 1.0 + (np.arange(600) % 50 == 0)

    shown, withheld = found("aipw_counts", columns, 10)

    assert not withheld
    assert all(arm["events"] is not None for arm in shown["arms"])
