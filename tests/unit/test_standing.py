"""Who stands where in an extract, held to a plain sort and a plain listing."""

import hashlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetao.cdm.committing import everybody
from hetao.cdm.engine_duckdb import DuckDBEngine, connect
from hetao.cdm.standing import GROUP, Firsts, People, group_size
from hetao.errors import InvalidData, Unverified
from hetao.ledger.commitments import TILE
from support_acts import in_plain_order

SECRET = bytes(range(32))
INTEGERS = st.integers(-(2**63), 2**63 - 1)
COUNTS = st.lists(st.sampled_from((0, 1, 2, 100, 255, 256, 257, 700)), max_size=9)


def _people(numbers, secret=SECRET, size=GROUP):
    return People(np.array(sorted(numbers), dtype=np.int64), secret, size)


@given(numbers=st.sets(INTEGERS, max_size=40), size=st.integers(1, 9))
@settings(max_examples=150)
def test_people_stand_as_a_plain_sort_has_them(numbers, size):
    people = _people(numbers, size=size)
    expected = in_plain_order(numbers, size, SECRET)

    assert people.all() == expected
    assert len(people) == len(expected)
    again = _people(numbers, size=size)  # which has put nobody in order so far
    for place, person in enumerate(expected, 1):
        assert again.at(place) == person
        assert _people(numbers, size=size).place_of(person) == place


def test_groups_are_of_so_many_people_as_the_page_says():
    numbers = {hash((n, "who")) >> 2 for n in range(2 * GROUP + 300)}

    assert GROUP == 1024
    assert _people(numbers).all() == in_plain_order(numbers, 1024, SECRET)


# --- whose pseudonyms are no keyed numbers --------------------------------------------
PEOPLE = 3 * GROUP


def _pseudonyms(count, key=b"k"):
    made = (hashlib.sha256(key + b"%d" % n).digest() for n in range(count))
    return [int.from_bytes(one[:8], "big") >> 1 for one in made]


def _asked(numbers):
    """Return everybody as a site finds them in its tables."""
    with DuckDBEngine(connect()) as engine:
        engine.connection.execute(
            "CREATE TABLE person AS SELECT unnest(?::BIGINT[]) AS person_id",
            [list(numbers)],
        )
        return everybody(engine, SECRET)


def test_people_of_keyed_numbers_stand_in_groups():
    numbers = _pseudonyms(PEOPLE)

    assert _asked(numbers).all() == in_plain_order(numbers, GROUP, SECRET)


@pytest.mark.parametrize(
    "numbers",
    [
        range(1, PEOPLE + 1),  # rows, in the order in which people came
        [2026 << 40 | n << 20 for n in range(PEOPLE)],
        [2**62 + n for n in range(PEOPLE)],
        [-n for n in range(PEOPLE)],
        [one >> 1 for one in _pseudonyms(PEOPLE)],
        [*range(PEOPLE // 5), *_pseudonyms(PEOPLE)],  # a fifth or so are rows
    ],
)
def test_people_of_other_numbers_stand_each_alone(numbers):
    people = _asked(numbers)

    assert people.all() == in_plain_order(numbers, 1, SECRET)
    for place in (1, 7, PEOPLE):
        assert people.place_of(people.at(place)) == place


@pytest.mark.parametrize("count", [0, 1, 2, 17, 1025, 4000])
def test_keyed_numbers_are_taken_for_what_they_are(count):
    for n in range(30):
        rising = np.array(sorted(_pseudonyms(count, b"%d|" % n)), dtype=np.int64)
        assert group_size(rising) == GROUP


@pytest.mark.parametrize("numbers", [(), (5,), range(3000)])
def test_who_is_not_there_has_no_place(numbers):
    for person in (-1, 3000, 2**63 - 1, -(2**63)):
        with pytest.raises(InvalidData, match="nobody of this pseudonym"):
            _people(numbers).place_of(person)


def test_neighbours_in_the_order_reveal_nothing():
    first, second = (_people(range(1000), secret * 32).all() for secret in (b"1", b"2"))

    near = {frozenset(pair) for pair in pairwise(first)}
    also = {frozenset(pair) for pair in pairwise(second)}
    assert len(near & also) < 20  # of 999; two are what chance gives
    assert sum(abs(a - b) == 1 for a, b in pairwise(first)) < 20


def test_nor_do_the_places_of_groups():
    groups = [one // GROUP for one in _people(range(300 * GROUP)).all()[::GROUP]]

    assert sorted(groups) == list(range(300))
    assert sum(abs(a - b) == 1 for a, b in pairwise(groups)) < 12  # two by chance


def _listed(counts):
    """Return every leaf as its place and which of theirs it is, tile by tile."""
    each = [(place, n) for place, count in enumerate(counts) for n in range(count)]
    return [each[n : n + TILE] for n in range(0, len(each), TILE)]


@given(counts=COUNTS)
@settings(max_examples=200)
def test_tiles_hold_whom_a_plain_listing_has_in_them(counts):
    counts = [3, *counts]
    people, tiles = len(counts) - 1, _listed(counts)
    data = Firsts.of_counts(counts).as_bytes()
    assert len(data) == 8 * len(tiles)
    firsts = Firsts.from_bytes(data, sum(counts), people)

    for number, leaves in enumerate(tiles):
        places, before = firsts.places(number), firsts.before(number)
        assert leaves[0] == (places[0], before)
        have = [one for one in places if counts[one]]
        assert have == sorted({place for place, _ in leaves})
        for place, nth in leaves:
            if nth == 0:
                assert firsts.tile_of(place) == number


@pytest.mark.parametrize("counts", [[0], [0, 0], [0, 256, 256], [0, 1, 0, 300]])
def test_who_has_nothing_stands_in_no_tile(counts):
    people, tiles = len(counts) - 1, _listed(counts)
    data = Firsts.of_counts(counts).as_bytes()
    firsts = Firsts.from_bytes(data, sum(counts), people)

    for number, leaves in enumerate(tiles):
        assert leaves[0] == (firsts.places(number)[0], firsts.before(number))


COUNTED = [4, 300, 200, 700, 9]


def test_marks_that_are_cut_are_told_from_damaged_ones():
    data = Firsts.of_counts(COUNTED).as_bytes()

    for other in (b"", data[:-1], data[:8], data + bytes(8)):
        assert Firsts.from_bytes(other, sum(COUNTED), 4) is None
    assert Firsts.from_bytes(data, sum(COUNTED), 4) is not None


@pytest.mark.parametrize(
    ("tile", "place", "before"),
    [
        *((0, 0, 1), (0, 5, 0), (1, 2**32 - 1, 0), (4, 5, 0), (1, 1, 256), (2, 0, 0)),
        *((3, 3, 263), (3, 3, 7), (1, 1, 2**32 - 1), (4, 2, 0)),
    ],
)
def test_marks_that_cannot_be_are_refused(tile, place, before):
    data = bytearray(Firsts.of_counts(COUNTED).as_bytes())
    mark = place.to_bytes(4, "big") + before.to_bytes(4, "big")
    assert data[8 * tile : 8 * tile + 8] != mark
    data[8 * tile : 8 * tile + 8] = mark

    with pytest.raises(Unverified, match="damaged") as told:
        Firsts.from_bytes(bytes(data), sum(COUNTED), 4)
    assert "made again" in told.value.fix


@given(
    tile=st.integers(0, 4),
    place=st.integers(0, 6),
    before=st.integers(0, 800),
)
@settings(max_examples=300)
def test_marks_that_are_taken_never_lead_out_of_the_extract(tile, place, before):
    data = bytearray(Firsts.of_counts(COUNTED).as_bytes())
    data[8 * tile : 8 * tile + 8] = place.to_bytes(4, "big") + before.to_bytes(4, "big")
    try:
        found = Firsts.from_bytes(bytes(data), sum(COUNTED), 4)
    except Unverified:
        return

    for number in range(5):
        places = found.places(number)
        assert places
        assert 0 <= places[0] <= places[-1] <= 4
