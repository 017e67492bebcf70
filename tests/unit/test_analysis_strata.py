"""Strata of a score: what leaves a site, what is refused, and what is shown."""

from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import Finding, check_message, estimator_for, make_rows, oracle
from hetao.canonical import parse_canonical
from hetao.errors import InvalidStudy, NotEstimable, WrongShape
from hetao.report.effects import effect_of
from hetao.study import study_from
from support_analysis import ANALYSES, STUDY, people, split

STRATA = ANALYSES["ps_strata"]


def opened(columns):
    """Return the estimator, its rows, and the states of its last two messages."""
    method = estimator_for(STUDY, STRATA)
    rows = make_rows(method.plan, columns, "aa")
    state, number = method.step(method.start(rows), None, 0), 0
    while "closing" not in state:
        number += 1
        state = method.step(method.local(rows, state), state, number)
    return method, rows, state, method.step(method.local(rows, state), state, number)


@pytest.mark.parametrize("size", [0.0, 1.0, 100.0])
def test_the_last_two_messages_obey_their_declaration(size):
    method, rows, *states = opened(people(1, 300))
    draw = np.random.default_rng(1)

    for state in states:
        moved = state["beta"] + size * draw.normal(0, 1, state["beta"].shape)
        message = method.local(rows, state | {"beta": moved})
        check_message(message, method.declare(9), rows.n)


def test_thin_bins_and_small_cells_are_told_to_the_gate():
    method, rows, closing, cut = opened(people(1, 300))
    histogram = method.local(rows, closing)["histogram"]
    cells = method.local(rows, cut)["cells"]

    assert list(method.bins(rows, closing).values()) == [histogram[histogram > 0].min()]
    of_cells = method.bins(rows, cut)
    events, n = cells[..., 1], cells[..., 0]
    assert list(of_cells.values()) == [n.min(), np.minimum(events, n - events).min()]
    assert not method.publishable


def test_a_state_that_cuts_nothing_is_refused():
    method, rows, _, cut = opened(people(1, 300))

    with pytest.raises(WrongShape):
        method.local(rows, cut | {"cuts": np.zeros(9)})


def test_scores_too_alike_for_so_many_strata_are_refused():
    columns = people(3, 600)
    columns["treated"] = np.arange(600) % 2

    with pytest.raises(NotEstimable, match="too alike") as caught:
        oracle(STUDY, replace(STRATA, terms=("sex",)), split(columns, (0.3, 0.6)))

    assert caught.value.fix


def test_a_stratum_without_an_arm_is_refused():
    analysis = replace(STRATA, subclasses=40)

    with pytest.raises(NotEstimable, match=r"fewer than two people|too alike"):
        oracle(STUDY, analysis, split(people(3, 200), (0.3, 0.6)))


@pytest.mark.parametrize("size", [1, 51])
def test_a_number_of_strata_that_makes_no_sense_is_refused(size):
    study = replace(STUDY, analyses=(replace(STRATA, subclasses=size),))

    with pytest.raises(InvalidStudy, match="subclasses lies in 5 to 50"):
        study_from(parse_canonical(study.canonical))


def test_one_small_cell_hides_the_cells_of_all_strata():
    exact = oracle(STUDY, STRATA, split(people(7, 900), (0.3, 0.6))).as_json()
    few = [{**one, "events": list(one["events"])} for one in exact["strata"]]
    few[2]["events"][0] = 2

    shown, withheld = Finding("a", "ps_strata", exact | {"strata": few}).shown(5)

    assert withheld
    for one in shown.as_json()["strata"]:
        assert one["n"] is one["events"] is one["difference"] is None
        assert one["to"] > one["from"]
    assert shown.as_json()["terms"] == exact["terms"]


def test_a_reader_sees_the_strata_and_the_balance():
    payload = oracle(STUDY, STRATA, split(people(7, 900), (0.3, 0.6))).as_json()

    view, sentence = effect_of(STUDY, STRATA, payload, ("f", "<10*"))

    assert sentence.startswith("Risk difference of “yes” against “no”")
    assert len(view.strata) == STRATA.subclasses
    assert " and " in view.strata[0][1]
    assert view.balance.love is not None
    labels = [row.label for row in view.contrasts]
    assert "Odds ratio (Mantel-Haenszel)" in labels
