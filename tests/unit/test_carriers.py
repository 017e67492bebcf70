"""How few people make up a number, at each edge of what is looked for."""

import numpy as np
import pytest

from hetao.analysis.carriers import MOST, _first, _pool, carriers, turn_of

PEOPLE = 400
NOBODY = np.zeros(0, dtype=np.int64)


def marked(size, people=PEOPLE, height=1.0):
    """Return one column that is `height` for the last so many people, else nearly 0."""
    column = np.random.default_rng(1).normal(size=(people, 1)) * 1e-4
    column[people - size :] = height
    return column


@pytest.mark.parametrize("size", [2, 3, 16, 29, 30, 31])
def test_so_many_people_are_found_that_make_up_a_column(size):
    assert carriers(marked(size), NOBODY) == size


@pytest.mark.parametrize("half", range(4, 17))
def test_the_fewest_are_found_who_make_up_nearly_all(half):
    """As many again weigh half as much, so that no few weigh alike."""
    column = marked(2 * half)
    column[PEOPLE - half :] /= 2
    squares = np.sort(column[:, 0] ** 2)[::-1].cumsum()

    fewest = int(np.argmax(squares >= MOST * squares[-1])) + 1
    assert half < fewest < 2 * half + 1
    assert carriers(column, NOBODY) == fewest


def test_more_than_are_looked_for_are_not_found():
    assert carriers(marked(32), NOBODY) == PEOPLE
    assert carriers(np.ones((PEOPLE, 1)), NOBODY) == PEOPLE


def test_of_people_with_several_rows_the_people_count():
    rows = np.repeat(np.arange(PEOPLE), 3)

    for size in (1, 2, 5):
        column = np.repeat(marked(size), 3, axis=0)
        assert carriers(column, rows) == size
        assert carriers(column[::-1], rows) == size  # the first ones
    assert carriers(np.ones((3 * PEOPLE, 1)), rows) == PEOPLE


def test_where_there_is_no_column_everybody_makes_it_up():
    assert carriers(np.zeros((PEOPLE, 0)), NOBODY) == PEOPLE
    assert carriers(np.zeros((6, 0)), np.array([0, 0, 1, 1, 2, 2])) == 3


def test_a_turn_makes_columns_even_whatever_their_size():
    draw = np.random.default_rng(2)
    columns = draw.normal(size=(50, 3)) * (1e-6, 1.0, 1e6)

    even = columns @ turn_of(columns)
    np.testing.assert_allclose(even.T @ even, np.eye(3), atol=1e-9)


def test_a_turn_leaves_out_what_is_nothing_and_what_is_there_already():
    draw = np.random.default_rng(2)
    one, other = draw.normal(size=(2, 50))
    columns = np.column_stack([one, np.zeros(50), other, one + 2 * other])

    even = columns @ turn_of(columns)
    assert even.shape == (50, 2)
    np.testing.assert_allclose(even.T @ even, np.eye(2), atol=1e-9)
    assert turn_of(np.zeros((3, 2))).shape == (2, 0)


@pytest.mark.parametrize("little", [1e-4, 1e-8, 1e-12])
def test_what_little_two_columns_differ_by_is_a_column(little):
    one, other = np.random.default_rng(2).normal(size=(2, PEOPLE))
    other -= one * (one @ other) / (one @ one)
    columns = np.column_stack([one, one + little * other])

    even = columns @ turn_of(columns)
    assert even.shape == (PEOPLE, 2)
    left = other / np.linalg.norm(other)
    assert np.linalg.norm(even.T @ left) == pytest.approx(1, abs=1e-3)


def test_what_is_a_sum_of_what_is_beside_is_nobodys():
    """What rounding leaves of it is not taken for a column."""
    level = (np.arange(PEOPLE) < 12).astype(float)
    beside = np.column_stack([level, np.ones(PEOPLE)])
    columns = 0.1 + 0.7 * level[:, None]

    assert carriers(columns, NOBODY, beside) == PEOPLE
    assert carriers(marked(3), NOBODY, beside) == 3


def test_all_columns_are_looked_in_but_those_beside():
    beside = np.column_stack([np.arange(PEOPLE) < 90, np.ones(PEOPLE)]).astype(float)

    assert _pool(marked(5), NOBODY).grams.shape == (5, 1, 1)
    assert _pool(marked(5), NOBODY, beside).grams.shape == (5, 3, 1)


def test_what_is_beside_helps_to_tell_few_and_is_not_looked_for_itself():
    level = (np.arange(PEOPLE) < 60).astype(float)
    number = level + 1e-4 * marked(5)[:, 0]
    beside = np.column_stack([level, np.ones(PEOPLE)])

    assert carriers(number[:, None], NOBODY) == PEOPLE
    assert carriers(number[:, None], NOBODY, beside) == 5
    rows = np.repeat(np.arange(PEOPLE), 2)
    twice = np.repeat(number[:, None], 2, axis=0)
    assert carriers(twice, rows, np.repeat(beside, 2, axis=0)) == 5
    few = (np.arange(PEOPLE) < 57).astype(float)
    noise = np.random.default_rng(3).normal(size=(PEOPLE, 1))
    assert carriers(noise, NOBODY, np.column_stack([beside, few])) == PEOPLE


@pytest.mark.parametrize(("size", "of"), [(4, 10), (5, 10), (5, 12)])
def test_what_is_beside_may_explain_up_to_a_half_of_what_few_have_alike(size, of):
    """Each of them makes up less of the number than if it were alone."""
    level, few = ((np.arange(PEOPLE) < n).astype(float) for n in (of, size))
    number = (3 * level + few)[:, None]
    beside = np.column_stack([level, np.ones(PEOPLE)])

    assert carriers(number, NOBODY) == of
    assert carriers(number, NOBODY, beside) == size


def test_few_whom_a_level_names_and_a_number_hardly_are_no_start():
    """What is beside tells the two of them, and the number eighteen others."""
    number, level = marked(20), (np.arange(PEOPLE) >= PEOPLE - 2).astype(float)
    number[PEOPLE - 2 :, 0] = 0.5, 1.5
    beside = np.column_stack([level, np.ones(PEOPLE)])

    assert carriers(number, NOBODY, beside) == 18


def test_few_of_unequal_weights_are_found_beside_a_level_too():
    level = (np.arange(PEOPLE) < PEOPLE / 2).astype(float)
    few = np.zeros(PEOPLE)
    few[:5] = 1.35 ** np.arange(5)
    number = level * (1 + few)
    beside = np.column_stack([level, np.ones(PEOPLE)])

    assert carriers(number[:, None], NOBODY) == PEOPLE
    assert carriers(number[:, None], NOBODY, beside) == 5


def test_many_columns_of_which_none_is_of_few_are_no_matter():
    """What each of a few people weighs somewhere adds up to no one sum of columns."""
    columns = np.random.default_rng(3).normal(size=(150, 15))

    assert carriers(columns, NOBODY) == 150


@pytest.mark.parametrize("size", [1, 2, 5, 200, 300])
@pytest.mark.parametrize("people", [20, 400, 1000])
def test_the_largest_are_as_many_as_asked_for(size, people):
    parts = np.random.default_rng(4).permutation(people).astype(float)

    assert {*parts[_first(parts, size)]} == {*np.sort(parts)[::-1][:size]}
