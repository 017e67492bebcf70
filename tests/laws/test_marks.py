"""Marks of sets: no sets that add up but for few people are ever left out."""

import itertools

import numpy as np
import pytest

from hetao.release.differencing import keyed, left_over, packed
from hetao.release.marks import (
    GROUPS,
    MASK,
    marks_of,
    near_by_marks,
    places_in,
    sums_near,
    weights_of,
)

N, CELL = 700, 10
SECRET = bytes(range(32))
WEIGHTS = weights_of(SECRET, N)


def marks(mask):
    return marks_of(np.flatnonzero(mask), WEIGHTS)


def swapped(draw, mask, few):
    """Return a set of which so many people are others, in or out."""
    found = mask.copy()
    found[draw.choice(N, few, replace=False)] ^= True
    return found


def some_sets(seed):
    """Return sets of which some differ by few, some add up, or nearly do."""
    draw = np.random.default_rng(seed)
    part = draw.integers(0, 4, N)
    base = [draw.random(N) < share for share in (0.05, 0.3, 0.5)]
    base += [part == 0, part == 1, part == 2, part < 2, part < 3, part > 0]
    moved = [swapped(draw, one, few) for one in base[3:] for few in (1, 9)]
    return base + moved


def around(sets, at):
    """Yield (with, against) of all twos and threes that may add up with a set."""
    others = [one for one in range(len(sets)) if one != at]
    for a, b in itertools.permutations(others, 2):
        yield (a,), (b,)
        if a < b:
            yield (), (a, b)
    for a, b, c in itertools.permutations(others, 3):
        if b < c:
            yield (a,), (b, c)
            yield (b, c), (a,)
        if a < b < c:
            yield (), (a, b, c)


def counted(sets, at, sides):
    """Return how many people the two sides leave over."""
    plus, minus = sides
    total = sets[at].astype(int)
    total = total + sum(sets[one].astype(int) for one in plus)
    return int(np.count_nonzero(total - sum(sets[one].astype(int) for one in minus)))


@pytest.mark.parametrize("seed", range(2))
def test_sets_that_add_up_but_for_few_are_found_and_hardly_any_other(seed):
    sets = some_sets(seed)
    at = (15, 17)[seed]  # two quarters, or three, of whom one is another
    others = [one for one in range(len(sets)) if one != at]
    expected = {
        sides for sides in around(sets, at) if 0 < counted(sets, at, sides) < CELL
    }

    found = sums_near(marks(sets[at]), np.array([marks(sets[i]) for i in others]), CELL)

    named = {
        tuple(tuple(sorted(others[i] for i in side)) for side in sides)
        for sides in found
    }
    assert expected <= named
    assert all(not set(with_it) & set(against) for with_it, against in found)
    assert len(expected) > 5
    assert len(named) < 5 * len(expected)


@pytest.mark.parametrize("cell", [2, CELL])
@pytest.mark.parametrize("last", range(4))
def test_of_four_that_add_up_but_for_one_each_is_found_by_the_three_before(last, cell):
    part = np.arange(N) % 4
    sets = [marks(part == at) for at in range(3)]
    sets.append(marks((part < 3) & (np.arange(N) > 0)))
    others = np.array(sets[:last] + sets[last + 1 :])

    found = sums_near(sets[last], others, cell)

    assert found == [((), (0, 1, 2)) if last == 3 else ((0, 1), (2,))]


@pytest.mark.parametrize("few", [1, 5, CELL - 1])
def test_sets_that_differ_by_few_are_always_near(few):
    draw = np.random.default_rng(few)
    sets = [draw.random(N) < 0.4 for _ in range(40)]
    mine = np.array([marks(one) for one in sets])

    for at, one in enumerate(sets):
        other = swapped(draw, one, few)
        assert at in near_by_marks(marks(other), mine, CELL)


def test_sets_that_differ_by_many_are_told_apart_and_so_is_the_same_set():
    draw = np.random.default_rng(5)
    sets = np.array([marks(draw.permutation(N) < N // 2) for _ in range(200)])

    assert not any(len(near_by_marks(one, sets, CELL)) for one in sets)


def test_cells_of_more_people_than_there_are_groups_are_held_apart_as_well():
    draw = np.random.default_rng(6)
    one, cell = draw.random(N) < 0.5, GROUPS + 20
    others = [draw.random(N) < 0.3, draw.random(N) < 0.5]
    third = swapped(draw, one & others[0], cell - 1) ^ (one & ~others[0])
    halves = [one & others[0], one & ~others[0]]
    of_halves = np.array([marks(half) for half in halves])

    assert len(near_by_marks(marks(third), marks(one)[None], cell))
    assert ((), (0, 1)) in sums_near(marks(third), of_halves, cell)


def test_marks_are_linear_and_follow_from_the_site_s_secret():
    draw = np.random.default_rng(2)
    one, other = draw.random(N) < 0.3, draw.random(N) < 0.6
    together = marks(one & other) + marks(one | other)

    assert ((marks(one) + marks(other) - together) & MASK == 0).all()
    assert len(marks(one)) == GROUPS
    assert not np.isin(weights_of(bytes(32), N), WEIGHTS).any()
    assert (places_in(packed(np.flatnonzero(one), N)) == np.flatnonzero(one)).all()


def test_marks_are_the_sums_of_numbers_of_48_bits_group_by_group():
    numbers = np.append(WEIGHTS[:-2], [0, MASK])
    who = np.arange(0, N, 3)
    by_hand = [0] * GROUPS
    for number in numbers[who].tolist():
        by_hand[number * GROUPS >> 48] += number

    assert marks_of(who, numbers).tolist() == [one & MASK for one in by_hand]
    top = marks_of(np.array([N - 1]), numbers)
    assert top.tolist() == [0] * (GROUPS - 1) + [MASK]
    made = weights_of(SECRET, N)
    assert (made == keyed(SECRET, "marks", np.arange(N)) >> np.uint64(16)).all()
    assert MASK // 2 < made.max() <= MASK


def test_of_none_or_one_other_nothing_adds_up_and_nothing_is_looked_at(monkeypatch):
    monkeypatch.setattr("hetao.release.marks.MOST", 0)
    one, other, third = (marks(np.arange(N) % 5 == at) for at in range(3))

    for others in ([], [other], [other, third]):
        made = np.array(others, dtype=np.int64).reshape(-1, GROUPS)
        assert sums_near(one, made, CELL) == []


def test_as_many_are_looked_at_as_the_limit_says_and_no_more(monkeypatch):
    """A set, another, and both: they add up in each of a cell's groups."""
    one, other = np.arange(N) % 5 == 0, np.arange(N) % 5 == 1
    others = np.array([marks(other), marks(one | other)])

    for most, found in ((CELL, []), (CELL - 1, None)):
        monkeypatch.setattr("hetao.release.marks.MOST", most)
        assert sums_near(marks(one), others, CELL) == found


def test_how_many_are_looked_at_together_changes_nothing(monkeypatch):
    every = np.array([marks(one) for one in some_sets(0)[:12]])
    expected = sums_near(every[11], every[:11], CELL)
    assert expected

    for name in ("AT_ONCE", "SUMS", "TABLE"):
        monkeypatch.setattr(f"hetao.release.marks.{name}", 1)
    assert sums_near(every[11], every[:11], CELL) == expected


def test_marks_are_near_that_differ_in_some_groups_but_fewer_than_a_cell():
    differ = np.array([np.arange(GROUPS) < n for n in (0, 1, 9, 10, 64)]) * 7

    assert near_by_marks(
        marks(WEIGHTS > 0), marks(WEIGHTS > 0) + differ, 10
    ).tolist() == [
        1,
        2,
    ]


def test_who_is_left_over_of_up_to_three_sets_on_a_side_is_counted():
    draw = np.random.default_rng(3)
    sets = [draw.random(N) < 0.5 for _ in range(4)]
    bits = [packed(np.flatnonzero(one), N) for one in sets]
    for sides in ((1,), (2, 3)), ((), (1, 2, 3)), ((1, 2), (3,)), ((), (1,)):
        plus, minus = ([bits[one] for one in side] for side in sides)
        assert left_over([bits[0], *plus], minus) == counted(sets, 0, sides)
