"""Where a group is counted next: each rule at its edge, on people counted by hand."""

import numpy as np
import pytest

from hetao.analysis.borders import (
    BINS,
    TOP,
    Borders,
    Point,
    Window,
    Wish,
    apart_of,
    most_of,
    told_of,
    wanted,
    width_of,
)
from hetao.errors import WrongShape

ANYWHERE = (Point(0, 0, 0), Point(TOP, 200, 100))


def seen(width=1, **people):
    """Return a window from nought on, with so many people in its bins `at1=5, …`."""
    counts = np.zeros(BINS, np.int64)
    for name, n in people.items():
        counts[int(name.removeprefix("at"))] = n
    return Window(0, BINS * width, 0, int(counts.sum()), counts)


def of_two(known=(100, 100), **told):
    """Return the borders of two groups, `at10=(people, of the first)`, 20 apart."""
    found = Borders(known, 20)
    for name, (rank, below) in told.items():
        border = found.add(int(name.removeprefix("at")), rank)
        if below is not None:
            found.tell(border, 0, below)
    return found


# --- what is known of a group ---------------------------------------------------------
def test_a_border_below_which_nobody_of_a_group_lies_is_one_that_closes_it_in():
    borders = of_two(at10=(30, 0))

    low, high = borders.bracket(0, 1)

    assert (low, high) == (Point(10, 30, 0), Point(TOP, 200, 100))
    assert borders.points(1)[1] == Point(10, 30, 30)  # of the two the other follows


def test_of_what_holds_enough_that_with_fewest_is_shown_and_of_those_the_narrowest():
    borders = of_two(at10=(40, 20), at20=(90, 45), at30=(120, 60), at32=(170, 85))

    def held(least):
        low, high = borders.holding(0, 50, least)
        return low.at, high.at

    assert held(10) == held(15) == (20, 30)
    assert held(16) == held(40) == (20, 32)  # as many as from 10 to 30, in less


@pytest.mark.parametrize("below", [-1, 19, 41])
@pytest.mark.parametrize("known", [(100, 100), (60, 60, 80)])
def test_a_group_of_more_people_than_lie_between_two_borders_is_refused(known, below):
    """Twenty people lie between the two; of the group twenty lie below the first."""
    borders = of_two(known, at10=(40, 20), at20=(60, None))

    with pytest.raises(WrongShape, match="contradict"):
        borders.tell(1, 0, below)
    of_two(known, at10=(40, 20), at20=(60, 40))


def test_bins_are_as_fine_as_1024_of_them_can_be():
    assert [width_of(5, 5 + n) for n in (1, 1024, 1025, 2048, 2049)] == [1, 1, 2, 2, 4]


def test_a_window_names_each_of_its_borders_once():
    for width in (1, 2):
        at, rank = seen(width, at0=3, at1023=4).borders()

        assert (at == width * np.arange(BINS + 1)).all()
        assert (rank[0], rank[1], rank[-2], rank[-1]) == (0, 3, 3, 7)


# --- which border is next -------------------------------------------------------------
def next_at(borders, window, wish, between=ANYWHERE):
    border = borders.nearest(0, between, window, wish)
    return None if border is None else borders.at[border]


def test_a_border_may_lie_just_as_many_people_from_the_ends_as_must_be():
    window = seen(at5=20, at6=20)

    assert next_at(of_two((20, 20)), window, Wish(20, 0, 40)) == 6
    for people in ({"at5": 19, "at6": 21}, {"at5": 21, "at6": 19}):
        assert next_at(of_two((20, 20)), seen(**people), Wish(20, 0, 40)) is None


def test_no_border_is_counted_at_that_closes_nothing_in():
    """Another group's border beyond those that are known."""
    borders = of_two(at10=(40, None), at20=(60, 30), at30=(80, 40))
    window = seen(at9=40, at19=20, at29=20, at40=120)
    between = (Point(20, 60, 30), Point(30, 80, 40))

    assert next_at(borders, window, Wish(40, 0, 200), between) is None
    between = (Point(0, 0, 0), Point(20, 60, 30))
    assert next_at(borders, window, Wish(40, 0, 200), between) == 10


def test_the_roundest_border_of_about_the_people_wanted_is_taken():
    """A quarter of those between two borders more or fewer is about as many."""
    wish = Wish(100, 0, 200)

    assert next_at(of_two(), seen(at511=95, at512=5, at513=100), wish) == 512
    assert next_at(of_two(), seen(at511=94, at512=6, at513=100), wish) == 513
    assert next_at(of_two(), seen(at510=100, at511=5, at512=95), wish) == 512
    assert next_at(of_two(), seen(at510=100, at511=6, at512=94), wish) == 511


@pytest.mark.parametrize(
    ("wish", "found"),
    [
        (Wish(150, 100, 190), 400),  # just as many as must
        (Wish(50, 10, 100), 400),
        (Wish(150, 101, 190), None),
        (Wish(50, 10, 99), None),
    ],
)
def test_a_border_of_far_too_few_or_too_many_waits_for_finer_bins(wish, found):
    """All lie within 600 bins of the range: four times as fine ones can be had."""
    window = seen(4, at50=100, at150=100)
    between = (Point(200, 0, 0), Point(604, 200, 100))

    at = next_at(of_two(), window, wish, between)

    assert (at is None) == (found is None)
    assert at is None or 204 <= at <= 600


def test_bins_that_are_but_twice_as_fine_are_not_waited_for():
    window = seen(2, at50=100, at150=100)
    between = (Point(100, 0, 0), Point(302, 200, 100))

    assert next_at(of_two(), window, Wish(150, 101, 190), between) is not None


# --- how many people should lie below it ----------------------------------------------
@pytest.mark.parametrize(
    ("people", "own", "rank", "left", "wish"),
    [
        # two standard errors beyond where an even spread has it: 247 + 1,000 14/200
        (1000, 200, 50, 9, (317, -4120, 5120)),
        # or half of the least people and their error, of a small group: 54 + 300 8/25
        (300, 25, 5, 9, (150, -4820, 5120)),
        # with nobody else between, half of the least people
        (100, 100, 20, 9, (24, -5020, 5120)),
        (100, 100, 41, 9, (45, -5020, 5120)),
        (100, 100, 51, 9, (55, -5020, 5120)),  # towards the middle, and past it
        (100, 100, 61, 9, (55, -5020, 5120)),
        # four borders after it halve 320 people to 20; 800 are too many for that
        (600, 200, 50, 5, (280, 280, 320)),
        (640, 200, 50, 5, (320, 320, 320)),
        (800, 200, 50, 5, (254, 204, 304)),
    ],
)
def test_so_many_people_should_lie_below_the_next_border(people, own, rank, left, wish):
    between = (Point(1, 1000, 10), Point(2, 1000 + people, 10 + own))

    found = wanted(between, 10 + rank, left, least=10, apart=20)

    assert found == Wish(*(1000 + below for below in wish))


# --- how many there are ---------------------------------------------------------------
@pytest.mark.parametrize(
    ("least", "groups", "apart", "more"),
    [
        (10, 2, 20, 9),
        (2, 3, 4, 9),
        (1, 2, 1, 21),
        (10, 1, 10, 24),
        (2, 1, 2, 24),
        (1, 1, 1, 24),
    ],
)
def test_of_one_person_or_one_group_there_are_more_borders_and_closer(
    least, groups, apart, more
):
    assert apart_of(least, groups) == apart
    assert most_of(least, groups) == more
    assert told_of(least, groups) == 7 + 2 * more  # seven are all groups' own
