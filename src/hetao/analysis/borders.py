"""Where the people of a group are counted: at few borders, between many people.

A number's values lie in `TOP` bins of its public range; a border is the first bin above
it. Between two borders of a number lie enough people, whatever group they are in.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from hetao.analysis.expressions import Ints
from hetao.errors import WrongShape

BINS: Final = 1024  # into which a window is cut; a power of two
TOP: Final = BINS**4  # bins of the public range, that a float counts exactly
FIRST: Final = 7  # borders at which all groups are counted first, at eighths of all
MORE: Final = 9  # borders more, at most, of each group
OF_ONE: Final = 21  # the same, where an interval may hold a single person
FINER: Final = 4  # times as fine bins are worth a round
FREE: Final = 24  # of a single group, where what everybody's bins tell is all


class Point(NamedTuple):
    """A border, how many people lie below it, and how many of a group."""

    at: int
    rank: int
    below: int


class Wish(NamedTuple):
    """How many people should lie below a border: best, at least and at most."""

    best: int
    least: int
    most: int


@dataclass(frozen=True)
class Window:
    """Values that are looked at, and how many people lie in its bins of one width.

    Attributes:
        low, high: first bin of the range, and the first above it.
        under, upto: people below it, and below its end.
        counts: (BINS,) people in each of its bins.
    """

    low: int
    high: int
    under: int
    upto: int
    counts: Ints

    def __post_init__(self) -> None:
        """Refuse counts that are not those of so many people.

        Raises:
            WrongShape: they are not.
        """
        if (self.counts < 0).any() or self.under + self.counts.sum() != self.upto:
            raise _contradiction()

    @property
    def width(self) -> int:
        """Return of how many bins of the range one of its bins is made."""
        return width_of(self.low, self.high)

    def borders(self) -> tuple[Ints, Ints]:
        """Return the borders of its bins, its ends too, and the people below each."""
        below = self.under + np.append(0, np.cumsum(self.counts))
        at = self.low + self.width * np.arange(BINS + 1)
        inside = at < self.high
        return np.append(at[inside], self.high), np.append(below[inside], self.upto)

    def within(self, between: tuple[Point, Point]) -> tuple[int, int]:
        """Return the narrowest part of it that holds everybody between two borders."""
        low, high = between
        at, rank = self.borders()
        first = int(at[np.searchsorted(rank, low.rank, side="right") - 1])
        last = int(at[np.searchsorted(rank, high.rank)])
        return max(first, low.at), min(last, high.at)


def _contradiction() -> WrongShape:
    return WrongShape(
        "the counts of a number contradict each other",
        fix="a site or hub did not follow the protocol; see the logs",
    )


def width_of(low: int, high: int) -> int:
    """Return the least power of two that cuts a window into at most BINS bins."""
    return 1 << max(0, (high - low - 1).bit_length() - (BINS - 1).bit_length())


class Borders:
    """The borders of one number, and how many of each group lie below them.

    Attributes:
        at, rank: of each border, in the order in which they were asked for.
        below: of each border, by group; -1 where it was not asked.
        known: of each group, how many people have a value.
        apart: how many people lie between two borders at least.
    """

    def __init__(self, known: Sequence[int], apart: int) -> None:
        """Begin with no border but the ends of the range."""
        self.known, self.apart = list(known), apart
        self.at: list[int] = []
        self.rank: list[int] = []
        self.below: list[list[int]] = []

    @property
    def everybody(self) -> int:
        """Return how many people have a value."""
        return sum(self.known)

    def points(self, group: int) -> list[Point]:
        """Return the borders below which a group was counted, ends too, in order."""
        ends = [Point(0, 0, 0), Point(TOP, self.everybody, self.known[group])]
        told = zip(self.at, self.rank, self.below, strict=True)
        inner = [Point(at, rank, of[group]) for at, rank, of in told if of[group] >= 0]
        return sorted(ends + inner)

    def bracket(self, group: int, rank: int) -> tuple[Point, Point]:
        """Return the nearest borders about the value of that rank within a group."""
        points = self.points(group)
        place = next(i for i, one in enumerate(points) if one.below >= rank and i)
        return points[place - 1], points[place]

    def holding(self, group: int, rank: int, least: int) -> tuple[Point, Point]:
        """Return the borders about a value between which fewest lie, but enough."""
        points = self.points(group)
        pairs = [
            (high.below - low.below, high.at - low.at, low, high)
            for low in points
            for high in points
            if low.below < rank <= high.below and high.below - low.below >= least
        ]
        return min(pairs)[2:]

    def are_apart(self) -> bool:
        """Return whether enough people lie between any two, and beside the ends."""
        pairs = sorted(zip(self.at, self.rank, strict=True))
        ranks = [0, *(rank for _, rank in pairs), self.everybody]
        gaps = [high - low for low, high in itertools.pairwise(ranks)]
        return not pairs or min(gaps) >= self.apart

    def add(self, at: int, rank: int) -> int:
        """Add a border; return which one it is."""
        self.at.append(at)
        self.rank.append(rank)
        self.below.append([-1] * len(self.known))
        self._follow(-1)
        return len(self.at) - 1

    def tell(self, border: int, group: int, below: int) -> None:
        """Note how many of a group lie below a border, and what follows from it.

        Raises:
            WrongShape: there are not so many people.
        """
        self.below[border][group] = below
        self._follow(border)
        for one in range(len(self.known)):
            for low, high in itertools.pairwise(self.points(one)):
                own, people = high.below - low.below, high.rank - low.rank
                if below < 0 or not 0 <= own <= people:
                    raise _contradiction()

    def _follow(self, border: int) -> None:
        """Fill in the one group whose count follows from that of everybody."""
        told = self.below[border]
        if told.count(-1) == 1:
            told[told.index(-1)] = self.rank[border] - sum(told) - 1

    def nearest(
        self, group: int, between: tuple[Point, Point], window: Window, wish: Wish
    ) -> int | None:
        """Return the border at which to count a group next; None where none may be.

        It is a border that there is, or lies apart from all. Of those that have about
        the people below them that are wanted it is the roundest one, so that it does
        not say where a single person's value lies. Where all have far too few or too
        many, but much finer bins can be had, it is none yet.

        Args:
            group: which was not counted there.
            between: the borders about what is sought.
            window: that holds everybody between them.
            wish: how many people are to lie below.
        """
        at, rank = window.borders()
        taken = np.array([0, self.everybody, *self.rank])
        free = (np.abs(rank[:, None] - taken) >= self.apart).all(axis=1)
        free &= (at > between[0].at) & (at < between[1].at)
        mine = [
            (one, people)
            for one, people, told in zip(self.at, self.rank, self.below, strict=True)
            if told[group] < 0 and between[0].at < one < between[1].at
        ]
        at = np.append(at[free], np.array([one for one, _ in mine], np.int64))
        rank = np.append(rank[free], np.array([n for _, n in mine], np.int64))
        if not len(at):
            return None
        beyond = (rank < wish.least) | (rank > wish.most)
        off = np.maximum(np.abs(rank - wish.best) - self.apart // 4, 0)
        best = int(np.lexsort((at, -(at & -at), off, beyond))[0])
        if beyond[best] and FINER * width_of(*window.within(between)) <= window.width:
            return None
        chosen = int(at[best])
        if chosen in self.at:
            return self.at.index(chosen)
        return self.add(chosen, int(rank[best]))


def wanted(
    between: tuple[Point, Point], rank: int, left: int, least: int, apart: int
) -> Wish:
    """Return how many people should lie below the next border of a group.

    It lies beyond where the value is sought, were the group spread as everybody is,
    by two standard errors and by half of the least people: so that one more on its
    other side closes it in. As long as halving alone would come to an end in the
    borders that are left, that is not given up.

    Args:
        between: the borders about the value.
        rank: of the value, in the group.
        left: borders that may be asked for, this one too.
        least: people of the group that an interval holds.
        apart: people between two borders.
    """
    low, high = between
    people, own = high.rank - low.rank, high.below - low.below
    middle = people * (2 * (rank - low.below) - 1) // (2 * own)
    half = (least + math.isqrt(4 * least) + 1) // 2
    reach = people * max(math.isqrt(own), half) // own
    if people == own:  # where the value is sought is where it is
        reach = (least + 1) // 2
    best = middle + reach if 2 * middle <= people else middle - reach
    most = apart << (left - 1)
    ends = (people - most, most)
    if people > 2 * most:
        ends = (best - people // 16, best + people // 16)
    best = min(max(best, ends[0]), ends[1])
    return Wish(low.rank + best, low.rank + ends[0], low.rank + ends[1])


def apart_of(least: int, groups: int) -> int:
    """Return how many people lie between two borders, at least.

    Args:
        least: people of a group that an interval holds.
        groups: how many there are; of a single one nothing is told but of everybody.
    """
    return 2 * least if groups > 1 and least > 1 else least


def most_of(least: int, groups: int) -> int:
    """Return how many borders may be asked for of each group, beside the first ones.

    Args:
        least: people of a group that an interval holds.
        groups: how many there are.
    """
    if groups == 1:
        return FREE
    return MORE if least > 1 else OF_ONE


def told_of(least: int, groups: int) -> int:
    """Return how many borders of a number tell who is in which of two groups, at most.

    Of more groups than two the others' borders say nothing of who of these two it is.
    """
    return FIRST + 2 * most_of(least, groups)
