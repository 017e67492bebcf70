"""How few people share a combination, at the edges of what is counted of a design."""

import numpy as np
import pytest

from hetao.analysis import combinations as module
from hetao.analysis import estimator_for, make_rows
from hetao.analysis.combinations import (
    MOST_COMBINATIONS,
    MOST_VALUES,
    Combinations,
    combinations,
    designs,
    joint_codes,
)
from hetao.study import Analysis
from support_analysis import category, number, study_of

VARIABLES = (
    category("sex", "f", "m"),
    category("grade", "low", "middle", "high"),
    number("dose", 0, 100),
    number("out", 0, 1000),
)


def plan_of(*terms):
    analysis = Analysis("m", "linear", outcome="out", terms=("1", *terms))
    return estimator_for(study_of(VARIABLES, analysis), analysis).plan


def found(*terms, **columns):
    """Return what a design tells of so many people; nobody's outcome is missing."""
    n = len(next(iter(columns.values())))
    whole = {name: np.asarray(values) for name, values in columns.items()}
    whole |= {"out": np.arange(float(n))}
    plan = plan_of(*terms)
    return combinations(plan, make_rows(plan, whole, "aa"))


SEX = np.repeat([0, 1], [5, 7])
GRADE = np.array([0, 0, 0, 1, 2, 0, 0, 1, 1, 2, 2, 2])


def test_of_one_column_of_two_values_there_is_no_pair():
    assert found("sex", sex=SEX) == Combinations(None, 5, 2)


def test_the_fewest_who_share_levels_are_counted_and_no_combination_that_nobody_has():
    several = found("sex", "grade", sex=SEX, grade=GRADE)

    assert several == Combinations(1, 1, 6)  # one woman each of the two grades above
    apart = found("sex", "grade", sex=SEX, grade=np.where(SEX == 1, 2, GRADE // 2))
    assert (apart.whole, apart.possible) == (1, 6)
    alike = found("sex", "grade", sex=SEX, grade=np.where(SEX == 1, 2, 0))
    assert (alike.pair, alike.whole, alike.possible) == (5, 5, 6)


def test_a_number_of_few_values_makes_as_many_and_one_of_many_more_than_all():
    few = np.tile([1.0, 2.0, 3.0], 4)

    assert found("sex", "dose", sex=SEX, dose=few).possible == 2 * 3
    many = np.arange(40) % 20
    sex = np.repeat([0, 1], 20)
    assert found("sex", "dose", sex=sex, dose=many.astype(float)) == Combinations(
        None, None, 2 * (MOST_COMBINATIONS + 1)
    )


@pytest.mark.parametrize("extra", [0, 1])
def test_just_as_many_values_as_count_as_few(extra):
    """Among the first rows, and where the last value comes late."""
    values = MOST_VALUES + extra
    early = np.tile(np.arange(float(values)), 6)
    late = np.concatenate([np.tile(np.arange(values - 1.0), 6), [90.0, 90.0]])

    for dose, fewest in ((early, 6), (late, 2)):
        what = found("dose", dose=dose)
        if extra:
            assert what == Combinations(None, None, MOST_COMBINATIONS + 1)
        else:
            assert what == Combinations(None, fewest, MOST_VALUES)


@pytest.mark.parametrize(("most", "whole"), [(6, 1), (5, None)])
def test_just_as_many_combinations_as_the_most_are_counted(monkeypatch, most, whole):
    monkeypatch.setattr(module, "MOST_COMBINATIONS", most)

    assert found("sex", "grade", sex=SEX, grade=GRADE) == Combinations(1, whole, 6)


def test_codes_of_all_columns_have_no_gaps_and_hide_nobody_who_is_alone():
    one, other = np.array([0, 2, 2, 5, 5, 5]), np.array([1, 0, 0, 0, 1, 0])

    assert joint_codes([one]).tolist() == [0, 1, 1, 2, 2, 2]
    assert joint_codes([one, other]).tolist() == [0, 1, 1, 2, 3, 2]


def test_a_person_of_several_rows_is_one():
    codes, person = np.array([0, 0, 1, 0, 1]), np.array([5, 5, 6, 7, 8])

    assert module._people(codes, person).tolist() == [2, 2]
    assert module._people(codes, person[:0]).tolist() == [3, 2]
    two = np.array([codes == 1, person > 6])
    assert module._fewest_pair(two, person) == 1
    assert module._fewest_pair(np.array([codes == 1, codes == 0]), person) == 2
    assert module._fewest_pair(two[:, [0, 1, 0, 1]], np.array([1, 1, 1, 1])) == 1


def test_of_designs_one_more_than_the_most_says_that_there_are_more():
    plan = plan_of("sex", "grade")

    every = designs(plan, 6)

    names = [column.name for column in plan.columns]
    of_sex, of_grade = names.index("sex[m]"), names.index("grade[high]")
    assert every.shape == (6, 4)
    assert len({tuple(row) for row in every}) == 6
    assert every[0].sum() == 1  # everybody's first levels have no column
    assert every[:, of_sex].sum() == 3
    assert every[:, of_grade].sum() == 2
    assert [len(designs(plan, most)) for most in (4, 5, 6, 7)] == [5, 6, 6, 6]
