"""Models weighted by a score: what guards them, what is refused, what is shown."""

from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import (
    Finding,
    estimator_for,
    evidence,
    make_rows,
    oracle,
    weighed,
)
from hetao.canonical import parse_canonical
from hetao.errors import InvalidStudy, NotEstimable, WrongShape
from hetao.report.models import model_of
from hetao.study import study_from
from support_analysis import ANALYSES, STUDY, people, split

SCORED = [name for name, one in ANALYSES.items() if one.score]
COX = ANALYSES["cox_scored"]
CUTS = (0.2, 0.5)


def closing(name, columns):
    """Return the estimator, its rows and the closing state over them alone."""
    method = estimator_for(STUDY, ANALYSES[name])
    rows = make_rows(method.plan, columns, "aa")
    state, number = method.step(method.start(rows), None, 0), 0
    while not method.is_closing(state):
        number += 1
        state = method.step(method.local(rows, state), state, number)
    return method, rows, state


@pytest.mark.parametrize("name", SCORED)
def test_a_site_with_one_row_and_one_with_none_are_summed_like_any_other(name):
    parts = split(people(1, 400), (0.5, 399.4 / 400, 1.0))

    finding = oracle(STUDY, ANALYSES[name], parts).as_json()

    assert [len(part["age"]) for part in parts.values()] == [200, 199, 1, 0]
    assert finding["rounds"] <= 9


@pytest.mark.parametrize("name", SCORED)
def test_weights_never_leave_a_site(name):
    """Sums only: as many numbers, whoever and however many the people are."""
    method = estimator_for(STUDY, ANALYSES[name])

    sizes = {
        sum(
            array.size
            for array in method.local(*closing(name, people(s, n))[1:]).values()
        )
        for s, n in ((1, 200), (2, 400))
    }

    assert len(sizes) == 1
    assert not method.publishable


def test_the_score_counts_among_the_parameters_and_its_columns_within_each_arm():
    method = estimator_for(STUDY, COX)
    rows = make_rows(method.plan, people(5, 400), "aa")

    found = evidence(method.plan, rows)

    assert found.parameters == 2 + 4
    treated = rows.group == 1
    male = rows.Z[treated, 2] == rows.Z[:, 2].max()
    assert found.smallest_side["sex[male] | yes"] == min(male.sum(), (~male).sum())
    assert found.smallest_side["treated[yes]"] == min(treated.sum(), (~treated).sum())
    assert found.cells["with the event | yes"] == rows.event[treated].sum()


def test_a_person_of_extreme_weight_is_high_leverage():
    method, rows, state = closing("cox_scored", people(4, 300))
    plain = evidence(method.plan, rows)
    beyond = replace(rows, Z=rows.Z.copy())
    first = int(np.flatnonzero(rows.group == 1)[0])
    beyond.Z[first, 1] = -1.0
    gamma = np.zeros_like(state["gamma"])
    gamma[1] = 5.0

    found, _ = method.guarded(plain, beyond, state | {"gamma": gamma})

    assert found.max_leverage > plain.max_leverage
    by_weight = weighed(
        plain, method.plan, beyond, method.weights(beyond, state | {"gamma": gamma})
    )
    assert by_weight.max_leverage > plain.max_leverage


def test_a_person_who_alone_has_a_column_of_the_score_is_high_leverage():
    method = estimator_for(STUDY, COX)
    rows = make_rows(method.plan, people(4, 300), "aa")
    lonely = replace(rows, Z=rows.Z.copy())
    lonely.Z[:, 3] = 0.0
    lonely.Z[7, 3] = 1.0

    found, _ = method.guarded(evidence(method.plan, lonely), lonely, None)

    assert found.max_leverage == pytest.approx(1.0)


def test_arms_that_a_covariate_separates_are_named():
    columns = people(2, 400)
    columns["treated"] = (columns["age"] > 60).astype(np.int64)

    with pytest.raises(NotEstimable, match="the propensity score: "):
        oracle(STUDY, COX, split(columns, CUTS))


def read(analysis):
    study = replace(STUDY, analyses=(analysis,))
    return study_from(parse_canonical(study.canonical)).analyses[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"treatment": "grade", "terms": ("grade",)}, "category of two levels"),
        ({"treatment": ""}, "treatment"),
        ({"estimand": "everyone"}, "one of ATE, ATT, ATO"),
        ({"terms": ("sex",)}, "do not name the treatment"),
        ({"score": ("age", "treated")}, "holds 'treated'"),
        ({"score": ("age", "died")}, "holds 'died'"),
        ({"score": ("0", "age")}, "have an intercept"),
        ({"score": ("age", "nobody")}, "no variable 'nobody'"),
        ({"weights": "share"}, "takes no weights"),
        ({"zph": "identity"}, "takes no zph"),
        ({"score": ()}, "only a model with a propensity score"),
        ({"strata": (), "grid": ANALYSES["km"].grid}, "within sites"),
        ({"truncation": 0.1, "estimand": "ATO"}, "no score needs truncation"),
        ({"ratio": 1, "estimand": "ATT"}, "caliper above 0"),
        ({"caliper": 0.2, "estimand": "ATT"}, "a ratio of 1 to 20"),
        ({"ratio": 21, "caliper": 0.2, "estimand": "ATT"}, "a ratio of 1 to 20"),
        ({"ratio": 1, "caliper": 0.2}, "write estimand = 'ATT'|effect is theirs"),
    ],
)
def test_a_score_that_means_nothing_is_refused(changes, said):
    with pytest.raises(InvalidStudy, match=said):
        read(replace(COX, **changes))


def test_a_penalised_model_takes_no_score():
    with pytest.raises(InvalidStudy, match="takes no penalty"):
        read(replace(ANALYSES["logistic_scored"], penalty="firth"))


# --- what people are shown ----------------------------------------------------------
def test_a_reader_sees_the_model_the_arms_and_their_balance():
    payload = oracle(STUDY, COX, split(people(7, 600), CUTS)).shown(10)[0].as_json()

    view, sentence = model_of(STUDY, COX, payload, ("f", "<10*"))

    assert "hazard ratio" in sentence
    assert "propensity score to everyone (ATE)" in view.spread
    assert "count its estimation" in view.spread
    assert view.balance.love is not None
    assert view.balance.overlap is not None
    assert len(view.balance.balance) == 3
    assert all(arm.events and arm.ess for arm in view.balance.arms)
    assert max(abs(row.after) for row in view.balance.balance) < 0.05


def test_few_events_in_an_arm_are_not_shown():
    exact = oracle(STUDY, COX, {"aa": people(7, 600)}).as_json()
    few = exact | {"arms": [{**exact["arms"][0]}, {**exact["arms"][1], "events": 3}]}

    shown, withheld = Finding("a", "cox_scored", few).shown(10)

    assert withheld
    assert shown.as_json()["events"] is None
    assert all(arm["events"] is None for arm in shown.as_json()["arms"])
    view, _ = model_of(STUDY, COX, shown.as_json(), ("f", "<10*"))
    assert view.balance.is_hidden


def test_a_number_has_no_events_in_its_arms():
    analysis = ANALYSES["linear_scored"]
    payload = oracle(STUDY, analysis, {"aa": people(7, 600)}).shown(10)[0].as_json()

    view, _ = model_of(STUDY, analysis, payload, ("f", "<10*"))

    assert [arm.events for arm in view.balance.arms] == ["", ""]
    assert not view.balance.is_hidden


# --- strata of the score ------------------------------------------------------------
STRATIFIED = ANALYSES["cox_score_strata"]


def test_a_site_s_small_cells_of_strata_and_bins_are_told_to_its_gate():
    method = estimator_for(STUDY, STRATIFIED)
    rows = make_rows(method.plan, people(4, 300), "aa")
    state = {"gamma": np.zeros(3), "gamma done": np.ones(2), "begun": np.ones(1)}
    edges = np.array([512.0, 513.0, 600.0, 700.0])  # all scores are a half

    at_bins = method.bins(rows, state)
    at_cells = method.bins(rows, state | {"cuts": edges})

    assert at_bins == {"people in the thinnest bin of the score": rows.n}
    assert at_cells["people in the smallest cell of a stratum"] == 0
    with pytest.raises(WrongShape, match="does not cut the score"):
        method.local(rows, state | {"cuts": edges[1:]})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"subclasses": 4}, "subclasses lies in 5 to 50"),
        ({"estimand": "ATT"}, "nobody is weighted or matched"),
        ({"truncation": 0.1}, "nobody is weighted or matched"),
        ({"overlap_bins": 10}, "nobody is weighted or matched"),
        ({"score": (), "treatment": ""}, "only a model with a propensity score"),
    ],
)
def test_strata_of_a_score_that_mean_nothing_are_refused(changes, said):
    with pytest.raises(InvalidStudy, match=said):
        read(replace(STRATIFIED, **changes))


def test_scores_that_are_all_alike_make_no_strata():
    columns = people(5, 400) | {"age": np.full(400, 50.0)}
    columns["age"][:200] = 50.5
    alike = replace(STRATIFIED, score=("age",), subclasses=20)

    with pytest.raises(NotEstimable, match="too alike for so many strata"):
        oracle(STUDY, alike, {"aa": columns})


def test_a_reader_sees_the_strata_and_the_rate_ratio_but_no_small_cell():
    exact = oracle(STUDY, STRATIFIED, split(people(7, 900), CUTS))
    few = exact.as_json()
    first = few["strata"][0] | {"n": [3, few["strata"][0]["n"][1]]}
    thin = Finding("a", "cox", few | {"strata": [first, *few["strata"][1:]]})

    whole, hidden = (one.shown(10)[0].as_json() for one in (exact, thin))

    view, sentence = model_of(STUDY, STRATIFIED, whole, ("f", "<10*"))
    assert "hazard ratio" in sentence
    assert "Stratified by 5 strata of a propensity score" in view.spread
    assert "Rate ratio (Mantel-Haenszel) over the same strata" in view.spread
    assert [len(row) for row in view.strata] == [4] * 5
    assert not view.balance.weighs
    assert all(one["n"] is None and one["time"] is None for one in hidden["strata"])
    view, _ = model_of(STUDY, STRATIFIED, hidden, ("f", "<10*"))
    assert view.strata[2][1:] == ("<10*", "<10*", "<10*")


# --- matching -----------------------------------------------------------------------
MATCHED = ANALYSES["cox_matched"]


def test_the_matched_alone_are_judged_as_if_they_were_all():
    method, rows, state = closing("cox_matched", people(4, 300))

    facts, _ = method.guarded(evidence(method.plan, rows), rows, state)

    (matched,) = facts.parts
    assert facts.people == rows.n > matched.people
    weights = method.weights(rows, state)
    assert (weights[0] > 0).sum() == matched.people


def test_a_state_without_a_caliper_is_refused():
    method, rows, state = closing("cox_matched", people(4, 300))

    for wrong in ({}, {"caliper": np.zeros(1)}):
        asked = {n: a for n, a in state.items() if n != "caliper"} | wrong
        with pytest.raises(WrongShape):
            method.local(rows, asked)


def test_few_unmatched_are_not_told_by_the_matched():
    exact = oracle(STUDY, MATCHED, {"aa": people(7, 600)}).as_json()
    treated = exact["arms"][1]["n"]
    few = exact | {"matching": {"ratio": 2, "sets": treated - 3}}

    shown, withheld = Finding("a", "cox_scored", few).shown(10)

    assert withheld
    payload = shown.as_json()
    assert payload["matching"]["sets"] is payload["n"] is None
    assert all(arm["ess"] is None for arm in payload["arms"])
    view, _ = model_of(STUDY, MATCHED, payload, ("f", "<10*"))
    assert "Matched 1 to 2 on a propensity score inside sites" in view.spread
    assert "clustered by matched set" in view.spread


def test_a_score_that_tells_nobody_apart_matches_nobody():
    columns = people(4, 300)
    columns["age"] = np.full(300, 50.0)
    columns["sex"] = np.arange(300) % 2
    columns["treated"] = (np.arange(300) // 2) % 2
    analysis = replace(MATCHED, score=("sex",))

    with pytest.raises(NotEstimable, match="scores are alike"):
        oracle(STUDY, analysis, {"aa": columns})
