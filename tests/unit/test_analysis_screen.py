"""A screen: each pair is judged by itself; what is refused; what is shown."""

from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import estimator_for, evidence, make_rows, oracle
from hetao.analysis.evidence import is_enough
from hetao.canonical import parse_canonical
from hetao.errors import InvalidStudy, NotEstimable, Refused, WrongShape
from hetao.release import check_people
from hetao.release.minimums import check_counts
from hetao.report.screens import screen_of
from hetao.study import Minimum, study_from
from support_analysis import ANALYSES, LOOSE, STUDY, people, split

SCREEN = ANALYSES["screen"]
EXTREME = replace(LOOSE, people=50, leverage=0.3)


def prepared(minimum, columns):
    method = estimator_for(STUDY, SCREEN).within(minimum)
    rows = make_rows(method.plan, columns, "aa")
    opened = method.step(method.start(rows), None, 0)
    return method, rows, opened


def test_a_site_says_first_which_pairs_it_holds_enough_for_and_nothing_else():
    method, rows, _ = prepared(LOOSE, people(1, 300))

    message = method.start(rows)

    assert {name: array.size for name, array in message.items()} == {
        "able": 4,
        "sites": 1,
    }
    few = method.within(replace(LOOSE, events=10**6)).start(rows)
    assert few["able"].tolist() == [0, 0, 0, 0]


def test_each_pair_brings_its_own_facts_to_the_gate():
    method, rows, state = prepared(LOOSE, people(1, 300))

    facts, _ = method.guarded(evidence(method.plan, rows), rows, state)

    parts = zip(method.plan.parts, rows.parts, strict=True)
    assert facts.parts == tuple(evidence(part, of_part) for part, of_part in parts)


def test_nothing_of_a_pair_that_not_every_site_is_able_for_is_sent():
    method, rows, state = prepared(LOOSE, people(1, 300))
    closed = state | {"stands": np.array([0.0, 1.0, 0.0, 1.0])}

    message = method.local(rows, closed)
    facts, _ = method.guarded(evidence(method.plan, rows), rows, closed)

    for name, array in message.items():
        if name != "sites":
            assert not array[[1, 3]].any()
            assert array[[0, 2]].any() or name == "shift" or array.size == 0
    parts = list(zip(method.plan.parts, rows.parts, strict=True))
    assert facts.parts == tuple(evidence(*parts[place]) for place in (0, 2))


def test_a_pair_that_a_state_opens_against_the_sites_own_counts_stays_shut():
    columns = people(1, 300)
    columns["died"][:] = 0
    columns["died"][:4] = 1
    method, rows, state = prepared(replace(LOOSE, events=10), columns)
    forced = state | {"stands": np.zeros(4)}

    message = method.local(rows, forced)

    assert message["able"].tolist() == [1, 0, 1, 0]
    assert not message["score"][[1, 3]].any()


def test_a_state_under_which_one_person_decides_takes_the_pair_out():
    method, rows, state = prepared(EXTREME, people(1, 300))
    state = method.step(method.local(rows, state), state, 1)
    alone = state | {"of beta": state["of beta"].copy()}
    alone["of beta"][0] = [30.0, 0.0, -60.0, 0.0]

    message = method.local(rows, alone)

    assert message["able"].tolist() == [0, 1, 1, 1]
    assert not message["info"][0].any()


def test_a_state_of_another_shape_is_refused():
    method, rows, _ = prepared(LOOSE, people(1, 300))

    with pytest.raises(WrongShape):
        method.local(rows, {"stands": np.zeros(3)})


@pytest.mark.parametrize(
    "minimum",
    [
        LOOSE,
        Minimum(),
        replace(LOOSE, events=180),
        replace(LOOSE, share=0.01),
        replace(LOOSE, leverage=0.01),
        replace(LOOSE, cell=140),
        replace(LOOSE, people=301),
    ],
)
def test_the_screen_and_the_gate_mean_the_same_by_enough(minimum):
    method, rows, _ = prepared(LOOSE, people(1, 300))
    for part, of_part in zip(method.plan.parts, rows.parts, strict=True):
        facts = evidence(part, of_part)
        try:
            check_people(minimum, "aa", facts.people)
            check_counts(facts, minimum, "aa")
            passes = True
        except Refused:
            passes = False

        assert is_enough(facts, minimum) == passes


def test_a_screen_of_nothing_says_why():
    with pytest.raises(NotEstimable, match="not every site holds enough") as caught:
        oracle(STUDY, SCREEN, split(people(1, 60), (0.3, 0.5)))

    assert caught.value.fix


# --- what is refused ----------------------------------------------------------------
def read(analysis):
    study = replace(STUDY, analyses=(analysis,))
    return study_from(parse_canonical(study.canonical)).analyses[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "linear"}, "model is one of logistic"),
        ({"exposures": ("treated", "treated")}, "stands twice in exposures"),
        ({"exposures": ("grade",)}, "category of two levels"),
        ({"exposures": ("ill",)}, "an exposure, and an outcome"),
        ({"exposures": ("age",)}, "an exposure, and an outcome or a term"),
        ({"outcomes": ("ill", "sex")}, "control 'died' is none of the outcomes"),
        ({"outcomes": ("sex", "died")}, "terms hold the outcome 'sex'"),
        ({"outcomes": ("died", "visits")}, "'visits' must be a category"),
        ({"times": ("day",)}, "has no times"),
        ({"model": "cox"}, "one time, or one for each outcome"),
        ({"model": "cox", "times": ("day",)}, "within sites"),
        ({"model": "logistic", "ties": "breslow"}, "no use for 'ties'"),
        ({"outcomes": ()}, "needs 'outcomes'"),
    ],
)
def test_a_screen_that_means_nothing_is_refused(changes, said):
    with pytest.raises(InvalidStudy, match=said):
        read(replace(SCREEN, **changes))


# --- what is shown ------------------------------------------------------------------
def pair(outcome, is_control, estimate, **more):
    return {
        "exposure": "treated",
        "outcome": outcome,
        "is_control": is_control,
        "refused": "",
        "estimate": estimate,
        "se": 0.2,
        "lower": estimate - 0.4,
        "upper": estimate + 0.4,
        "p": 0.01,
        "n": 900,
        "events": 100,
    } | more


def test_a_reader_sees_the_pairs_the_controls_the_refused_and_a_funnel():
    payload = {
        "model": "screen",
        "of": "logistic",
        "pairs": [
            pair("ill", False, 0.7, q=0.02, calibrated={"estimate": 0.6, "p": 0.02}),
            pair("died", True, 0.1),
            {**pair("sex", False, 0.0), "refused": "separated by sex"},
        ],
        "systematic_error": [
            {"exposure": "treated", "controls": 5, "mean": 0.1, "sd": 0.05}
        ],
    }

    view, sentence = screen_of(STUDY, SCREEN, payload, ("f", "<10*"))

    assert "2 of 3 pairs were fitted, 1 of them negative controls" in sentence
    assert "1 of the 1 others" in sentence
    captions = [table.caption for table in view.tables]
    assert captions[-1] == "Pairs that were not fitted"
    assert view.tables[0].rows[0][3].startswith("2.01")
    assert "separated by sex" in view.tables[-1].rows[0]
    (funnel,) = view.figures
    assert funnel.__html__().count("curve g1") == 2


def test_few_events_of_a_pair_are_not_shown():
    columns = people(1, 600)
    finding = oracle(replace(STUDY, minimum=LOOSE), SCREEN, {"aa": columns})
    payload = finding.as_json()
    payload["pairs"] = [dict(one) for one in payload["pairs"]]
    payload["pairs"][0]["events"] = 3

    shown, withheld = replace(finding, payload=payload).shown(10)

    assert withheld
    assert shown.as_json()["pairs"][0]["events"] is None
    assert shown.as_json()["pairs"][1]["events"] is not None
    view, _ = screen_of(STUDY, SCREEN, shown.as_json(), ("f", "<10*"))
    assert any("<10*" in row for table in view.tables for row in table.rows)
