"""Matching takes the closest pair first, and gives the same pairs at every run."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetao.cohort.matching import match
from hetao.errors import InvalidStudy
from hetao.study import (
    Arm,
    Event,
    Level,
    Matching,
    Nearest,
    Population,
    Study,
    Variable,
)

PAIR = (Level("no", 0), Level("yes", 1))
ARMS = (
    Arm("b", events=(Event("drug", (1,)),)),
    Arm("a", events=(Event("drug", (2,)),)),
)
ONE = Matching("a", ("sex",), (Nearest("age", 2.0),))


def study(matching: Matching) -> Study:
    variables = (
        Variable("arm", "category", "arm", levels=PAIR),
        Variable("sex", "category", "sex", levels=PAIR),
        Variable("age", "number", "age", bounds=(0, 150)),
        Variable("risk", "number", "measurement", (1,), bounds=(0, 1)),
    )
    return Study(
        "s", "", "", "1", "omop-5.4", ("x",), variables, (),
        population=Population(arms=ARMS), matching=matching,
    )  # fmt: skip


def columns(arm, sex, age, risk=None):
    made = {
        "arm": np.array(arm, dtype=np.int64),
        "sex": np.array(sex, dtype=np.int64),
        "age": np.array(age, dtype=np.float64),
    }
    made["risk"] = np.array(age if risk is None else risk, dtype=np.float64)
    return made


def matched(matching, found, kept=None):
    everybody = np.ones(len(found["arm"]), dtype=bool)
    mask = match(study(matching), found, everybody if kept is None else kept)
    return np.flatnonzero(mask).tolist()


def test_the_closest_pair_is_taken_first():
    # Treated 0 (50) and 1 (51); of the others 2 (51) is nearest to 1, so 0 gets 3.
    found = columns([1, 1, 0, 0, 0], [0] * 5, [50, 51, 51, 48, 40])

    assert matched(ONE, found) == [0, 1, 2, 3]


def test_a_pair_agrees_in_the_categories_and_lies_within_the_caliper():
    found = columns([1, 0, 0, 0], [0, 1, 0, 0], [50, 50, 52.0001, 47.9])

    assert matched(ONE, found) == []
    assert matched(replace(ONE, nearest=(Nearest("age", 2.001),)), found) == [0, 2]


def test_every_treated_person_gets_one_before_any_gets_two():
    found = columns([1, 1, 0, 0, 0], [0] * 5, [50, 50, 50, 50, 50])

    assert matched(replace(ONE, ratio=2), found) == [0, 1, 2, 3, 4]
    assert matched(ONE, found) == [0, 1, 2, 3]


def test_who_is_not_known_or_not_there_is_not_matched():
    found = columns([1, 0, 0, -1], [0, 0, -1, 0], [50, np.nan, 50, 50])

    assert matched(ONE, found) == []
    away = np.array([True, False])
    assert matched(ONE, columns([1, 0], [0, 0], [50, 50]), away) == []


def test_without_categories_everybody_is_one_stratum():
    found = columns([1, 0], [0, 1], [50, 50])

    assert matched(replace(ONE, exact=()), found) == [0, 1]


def test_without_numbers_the_earliest_come_first():
    found = columns([1, 0, 0, 1], [0, 0, 0, 0], [1, 2, 3, 4])

    assert matched(replace(ONE, nearest=()), found) == [0, 1, 2, 3]
    assert matched(replace(ONE, nearest=(), ratio=3), found) == [0, 1, 2, 3]


def test_too_many_pairs_are_refused():
    people = 10_000
    found = columns([1] * people + [0] * people, [0] * 2 * people, [50] * 2 * people)

    with pytest.raises(InvalidStudy, match="too many pairs"):
        matched(ONE, found)


def greedy(matching, found):
    """Take the closest pair again and again, one after the other."""
    n = len(found["arm"])
    pairs = []
    for i in range(n):
        for j in range(n):
            near = [
                abs(found[k.variable][i] / k.caliper - found[k.variable][j] / k.caliper)
                for k in matching.nearest
            ]
            if found["arm"][i] == 1 and found["arm"][j] == 0:
                alike = all(found[k][i] == found[k][j] >= 0 for k in matching.exact)
                if alike and all(gap <= 1 for gap in near):
                    pairs.append((sum(near), i, j))
    chosen, used = set(), set()
    for _ in range(matching.ratio):
        served = set()
        for _, i, j in sorted(pairs):
            if i not in served and j not in used:
                served.add(i)
                used.add(j)
                chosen |= {i, j}
    return sorted(chosen)


@given(
    people=st.lists(
        st.tuples(
            st.integers(0, 1),
            st.integers(-1, 1),
            st.integers(40, 46),
            st.integers(0, 3),
        ),
        max_size=14,
    ),
    ratio=st.integers(1, 3),
    several=st.booleans(),
)
def test_all_at_once_is_the_same_as_one_after_the_other(people, ratio, several):
    nearest = (Nearest("age", 2.0), Nearest("risk", 1.0))[: 1 + several]
    matching = replace(ONE, ratio=ratio, nearest=nearest)
    arm, sex, age, risk = zip(*people, strict=True) if people else ((),) * 4
    found = columns(arm, sex, age, risk)

    assert matched(matching, found) == greedy(matching, found)
