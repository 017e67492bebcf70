"""Who stands where in a committed extract: people in keyed order, acts in tiles.

An act is shown with the hashes of all acts in its tile, so that the rows of some 44
people are read to show one. People whose pseudonyms follow each other therefore stand
in one group: tables are stored by person, and theirs are rows of one stretch of it.
Groups, and the people of each, stand in an order that only the site's secret gives.
Where pseudonyms are no keyed numbers each person is a group by themselves.
"""

from collections.abc import Sequence
from typing import Final, Self

import numpy as np

from hetao.cdm.engine import Column as Array
from hetao.errors import InvalidData, Unverified
from hetao.ledger.commitments import TILE, enciphered

GROUP: Final = 1024  # people whose acts stand together
# How far from even keyed pseudonyms lie: further once in 10^13 extracts.
FURTHEST: Final = 4.0
NOBODY: Final = 0  # the place of what belongs to no person
_PERSON, _GROUP = 0, 1  # what a block that is enciphered is about
_MARK: Final = np.dtype([("place", ">u4"), ("before", ">u4")])


class People:
    """Everybody in an extract, by place from 1; place 0 is nobody's."""

    def __init__(self, numbers: Array, secret: bytes, size: int = GROUP) -> None:
        """Order people.

        Args:
            numbers: their pseudonyms, each once and rising.
            secret: 32 bytes, of this extract, for its order.
            size: how many of them make a group, see `group_size`.
        """
        self._numbers, self._secret, self._size = numbers, secret, size
        every = np.arange(-(-len(numbers) // size))
        self._groups = _ranked(secret, every, _GROUP)
        sizes = np.minimum(size, len(numbers) - size * self._groups)
        self._begins = 1 + np.cumsum(sizes) - sizes  # the first place of each group
        self._known = dict[int, Array]()

    def __len__(self) -> int:
        """Return how many people there are."""
        return len(self._numbers)

    def at(self, place: int) -> int:
        """Return who stands at a place from 1."""
        nth = int(np.searchsorted(self._begins, place, side="right")) - 1
        return int(self._members(nth)[place - int(self._begins[nth])])

    def place_of(self, person: int) -> int:
        """Return somebody's place.

        Raises:
            InvalidData: nobody of this pseudonym is in the extract.
        """
        (found,) = np.nonzero(self._numbers == person)
        if not len(found):
            raise InvalidData(
                "nobody of this pseudonym is in the extract",
                fix="write a patient's number as the export has it, with its zeros",
            )
        nth = int(np.flatnonzero(self._groups == found[0] // self._size)[0])
        within = int(np.flatnonzero(self._members(nth) == person)[0])
        return int(self._begins[nth]) + within

    def all(self) -> list[int]:
        """Return everybody, in the order of places from 1."""
        if self._size == 1:
            return list(self._numbers[self._groups].tolist())
        groups = range(len(self._groups))
        return [one for nth in groups for one in self._members(nth).tolist()]

    def _members(self, nth: int) -> Array:
        """Return the people of the n-th group, in their order."""
        if nth not in self._known:
            start = self._size * int(self._groups[nth])
            some = self._numbers[start : start + self._size]
            self._known[nth] = _ranked(self._secret, some, _PERSON)
        return self._known[nth]


def group_size(numbers: Array) -> int:
    """Return how many people make a group: one where pseudonyms are not keyed numbers.

    Those that `pseudonym()` makes lie evenly over 63 bits. Others, as numbers of rows,
    may rise with the day on which somebody came: neighbours would have that in common.

    Args:
        numbers: everybody's pseudonyms, rising.

    Source:
        Kolmogorov's test, its statistic bounded at the middle of each step.
    """
    count = len(numbers)
    even = (np.arange(count) + 0.5) / max(count, 1)
    off = np.abs(numbers / 2.0**63 - even) * np.sqrt(count)
    return GROUP if (off <= FURTHEST).all() else 1


def _ranked(secret: bytes, numbers: Array, about: int) -> Array:
    """Return numbers in the order of what their blocks are enciphered to."""
    blocks = np.empty((len(numbers), 2), dtype=">i8")
    blocks[:, 0], blocks[:, 1] = numbers, about
    ranks = np.frombuffer(enciphered(secret, blocks.tobytes()), ">u8").reshape(-1, 2)
    return numbers[np.lexsort((ranks[:, 1], ranks[:, 0]))]


class Firsts:
    """Who stands first in each tile, and how many leaves of theirs stand before it."""

    def __init__(self, marks: Array, people: int) -> None:
        """Take what `of_counts` or `from_bytes` made."""
        self._marks, self._people = marks, people
        place, before = (marks[name].astype(np.int64) for name in ("place", "before"))
        self._order = (place << 32) + before

    @classmethod
    def of_counts(cls, counts: Sequence[int]) -> Self:
        """Return the marks of an extract.

        Args:
            counts: leaves of each place from 0.
        """
        ends = np.cumsum(counts)
        starts = np.arange(0, int(ends[-1]), TILE)
        marks = np.empty(len(starts), dtype=_MARK)
        marks["place"] = place = np.searchsorted(ends, starts, side="right")
        marks["before"] = starts - (ends[place] - np.array(counts)[place])
        return cls(marks, len(counts) - 1)

    @classmethod
    def from_bytes(cls, data: bytes, acts: int, people: int) -> Self | None:
        """Return the marks that `as_bytes` wrote; None where some are not there.

        Raises:
            Unverified: they are of no extract of so many people. Others that are wrong
                are found out by the tree, as no leaves of theirs fit into it.
        """
        if len(data) != -(-acts // TILE) * _MARK.itemsize:
            return None
        found = cls(np.frombuffer(data, dtype=_MARK), people)
        place, before = found._order >> 32, found._order & 0xFFFFFFFF
        same = place[1:] == place[:-1]
        step = np.where(same, before[1:] - before[:-1] == TILE, before[1:] < TILE)
        if (
            (place > people).any()
            or (before[:1] > 0).any()
            or not (same | (place[1:] > place[:-1])).all()
            or not step.all()
        ):
            raise marks_damaged()
        return found

    def as_bytes(self) -> bytes:
        """Return all marks, 8 bytes a tile."""
        return self._marks.tobytes()

    def places(self, tile: int) -> range:
        """Return the places whose leaves stand in a tile."""
        first, _ = self._marks[tile].tolist()
        if tile + 1 == len(self._marks):
            return range(first, self._people + 1)
        following, before = self._marks[tile + 1].tolist()
        return range(first, following + (before > 0))

    def before(self, tile: int) -> int:
        """Return how many leaves of the first place stand before a tile."""
        return int(self._marks["before"][tile])

    def tile_of(self, place: int) -> int:
        """Return the tile in which the first leaf of a place stands, if it has any."""
        return self._last(place << 32)

    def ends_with(self, place: int, index: int) -> bool:
        """Return whether the last leaf of a place stands in the tile of an index."""
        return self._last((place + 1 << 32) - 1) == index // TILE

    def _last(self, mark: int) -> int:
        """Return the last tile whose mark is at most this one, in order."""
        return max(int(np.searchsorted(self._order, mark, side="right")) - 1, 0)


def marks_damaged() -> Unverified:
    """Return what is raised where marks lead to nobody who stands there."""
    return Unverified(
        "the marks of where tiles of acts begin are damaged",
        fix="remove the file `firsts` of the commitment: it is made again",
    )
