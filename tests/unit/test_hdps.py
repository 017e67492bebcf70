"""Covariates of a high-dimensional propensity score are ranked by Bross's bias."""

from dataclasses import replace

import pytest

from hetao.analysis.hdps import (
    Candidate,
    Counted,
    bross_bias,
    candidate_variables,
    choose,
    counted,
)
from hetao.errors import InvalidStudy

# 1,000 a arm; 40 % of the treated and 20 % of the others have it; of the 600 who have
# it 120 fall ill, of the 1,400 who have not 140 do: risk ratio 2.
ONE = Counted("a_once", (200, 400), (1000, 1000), (480, 120), (1740, 260))


def row(variable, level, *counts):
    cells = [{"count": count} for count in counts]
    return {"variable": variable, "level": level, "by_group": cells}


def test_the_bias_is_that_of_the_textbook():
    # Bross by hand: 0.4 and 0.2 have it, at a risk ratio of 2.
    assert bross_bias(ONE) == pytest.approx(1.4 / 1.2, rel=2e-3)


def test_what_is_alike_in_both_arms_or_no_risk_does_not_bias():
    assert bross_bias(replace(ONE, with_by_arm=(300, 300))) == 1
    # 300 of 1,000 with it fall ill, as 300 of 1,000 without do.
    no_risk = Counted("x", (300, 700), (1000, 1000), (700, 300), (1400, 600))
    assert bross_bias(no_risk) == pytest.approx(1)


def test_nobody_ill_or_nobody_with_it_is_still_a_number():
    assert bross_bias(Counted("x", (0, 0), (5, 5), (0, 0), (10, 0))) == 1


def test_a_candidate_is_a_variable_for_each_flag():
    found = candidate_variables([Candidate("a", "drug", (7,), "Statins")])

    assert [v.name for v in found] == ["a_once", "a_sometimes", "a_often"]
    assert [v.at_least for v in found] == [1, 2, 4]
    assert found[0].label == "Statins: once"


def test_the_largest_bias_comes_first_and_ties_go_by_name():
    candidates = [Candidate(name, "condition", (1,)) for name in ("a", "b", "c")]
    down = replace(ONE, variable="b_once", with_by_arm=(400, 200))
    tie = replace(ONE, variable="c_once", with_by_arm=(400, 200))
    none = replace(ONE, variable="a_often", with_by_arm=(300, 300))

    assert choose([none, tie, down, ONE], candidates) == (
        "a_once",
        "b_once",
        "c_once",
        "a_often",
    )
    assert choose([none, ONE, down], candidates, most=1) == ("a_once",)


def test_only_the_most_prevalent_of_a_source_are_looked_at():
    candidates = [
        Candidate("a", "condition", (1,)),
        Candidate("b", "condition", (2,)),
        Candidate("c", "drug", (3,)),
    ]
    rare = replace(ONE, variable="b_once", with_by_arm=(1, 9))
    everybody = replace(ONE, variable="c_once", with_by_arm=(1000, 999))

    assert choose([ONE, rare, everybody], candidates, most_a_source=1) == (
        "a_once",
        "c_once",
    )


def test_counts_come_from_two_tables_and_hidden_ones_are_left_out():
    by_arm = {
        "groups": ["comparator", "treated"],
        "rows": [
            row("", "", 1000, 1000),
            row("a_once", "no", 800, 600),
            row("a_once", "yes", 200, 400),
            row("b_once", "yes", None, 12),
        ],
    }
    by_outcome = {
        "groups": ["no", "yes"],
        "rows": [
            row("", "", 1740, 260),
            row("a_once", "yes", 480, 120),
            row("b_once", "yes", 12, 14),
        ],
    }

    assert counted(by_arm, by_outcome) == (ONE,)
    with pytest.raises(InvalidStudy, match="two groups"):
        counted(by_arm | {"groups": ["All"]}, by_outcome)
