"""How close what a study would show lies to what a site has shown, of every permit.

All of it is carried out within the one transaction that reserves the study's sets.
"""

import hashlib
import itertools
import math
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from hetao.errors import TooClose
from hetao.federation import listed
from hetao.release.differencing import (
    Asked,
    Ints,
    Words,
    apart,
    is_near,
    left_over,
    packed,
)
from hetao.release.lists import NOWHERE, Summed, tells_few
from hetao.release.marks import GROUPS, marks_of, near_by_marks, places_in, sums_near

WORDS: Final = "this study comes too close to what the site has answered"
REMEDY: Final = (
    "let all analyses be over the same people, with a criterion that their variables "
    "are known; ask fewer of them about more people, so of the pairs of a screen or "
    "the folds of a penalised model; on a grid of times take fewer bins or terms, or "
    "stratify the model by site; or ask for a new permit when the data were "
    "curated again"
)
OVER_ANOTHER_LIST: Final = (
    "those of an answer over another list of sites, or by nobody; name who joins or "
    "leaves under told_apart"
)
LIVE: Final = "(s.sent IS NOT NULL OR s.until > ?)"


@dataclass(frozen=True)
class Room:
    """How close two answers may come, and how much may be shown.

    Attributes:
        cell: fewest people by which two sets may differ.
        share: most sums shown for each person, over everything from one snapshot.
        everyone: people in the snapshot, of whom totals may be published; None where
            the data are an extract.
        told: most numbers that models' rounds tell for each person, over everything
            from one snapshot.
        own: the site's own `cell`, where the study asks for a stricter one.
        over: over how many sites a party sees a pooled sum at least, its own taken off.
        sites: fewest sites that sums over several lists may tell of together; 1 asks
            for nothing.
    """

    cell: int
    share: float
    everyone: int | None = None
    told: float = math.inf
    own: int | None = None
    over: int = 1
    sites: int = 3

    def reach(self, one: "AskedSet") -> int:
        """Return by how many people others must differ from a set; 0 of a small part.

        A study's stricter cell asks more of what is a cell by it, and takes nothing
        off what the site asks of every cell of its own.
        """
        least = self.cell if self.own is None else min(self.own, self.cell)
        if not one.part or one.size >= self.cell:
            return self.cell
        return least if one.size >= least else 0


@dataclass(frozen=True, eq=False)
class AskedSet:
    """People of whom something would be shown.

    Attributes:
        analysis: of the study.
        part: "" for everybody of the analysis.
        bits: who they are.
        size: how many they are.
        marks: as `marks_of` returns.
        over: the sites that are summed.
        alone: whether this site's own part may be told apart.
    """

    analysis: str
    part: str
    bits: Words
    size: int
    marks: Ints
    over: Summed = NOWHERE
    alone: bool = False

    @property
    def digest(self) -> bytes:
        """Return a hash of who they are; empty places at the end add nothing."""
        return hashlib.sha256(self.bits.tobytes().rstrip(b"\0")).digest()


def sets_of(asked: Sequence[Asked], weights: Ints, size: int) -> list[AskedSet]:
    """Return the sets that are remembered: everybody, and each part of anybody.

    Args:
        asked: the analyses of a study.
        weights: of `weights_of`, for all places.
        size: how many places there are.
    """
    found = []
    for one in asked:
        for part, who in ({"": one.people} | dict(one.parts)).items():
            if not part or len(who):
                marks = marks_of(who, weights)
                bits = packed(who, size)
                new = AskedSet(one.analysis, part, bits, len(who), marks)
                found.append(replace(new, over=one.over, alone=one.alone))
    return found


@dataclass(frozen=True, eq=False)
class ShownSets:
    """Sets that were shown, in order of their size.

    Attributes:
        ids: (m,) their rows.
        sizes: (m,) how many people.
        marks: (m, `GROUPS`).
    """

    ids: Sequence[int]
    sizes: Ints
    marks: Ints


class Earlier:
    """The sets that a site has shown or reserved, as they stand in its memory."""

    def __init__(
        self, db: sqlite3.Connection, who: tuple[str, str], at: str, weights: Ints
    ) -> None:
        """Look at those of one kind of identifiers that count at a time.

        Args:
            db: within a transaction.
            who: whose identifiers the people have, and the permit that asks.
            at: UTC time; what was reserved until before, and never sent, is over.
            weights: of `weights_of`, for all places.
        """
        self._db, self._at = db, at
        self._space, self._permit = who
        self._mark(weights)

    def _mark(self, weights: Ints) -> None:
        """Work out the marks of sets that an earlier edition of hetao kept without."""
        rows = self._db.execute(
            "SELECT id, bits FROM cohort WHERE space = ? "
            "AND id NOT IN (SELECT cohort FROM mark)",
            (self._space,),
        )
        for cohort, bits in rows.fetchall():
            places = places_in(np.frombuffer(bits, "<u8"))
            self._keep_marks(int(cohort), marks_of(places, weights))

    def _keep_marks(self, cohort: int, marks: Ints) -> None:
        row = (cohort, marks.astype("<i8").tobytes())
        self._db.execute("INSERT OR IGNORE INTO mark VALUES (?, ?)", row)

    def holds_whole(self, one: AskedSet) -> bool:
        """Return whether these people were shown, or reserved, as all of an analysis.

        To have been a part says nothing: parts are not held apart from their own
        analysis, and are remembered though suppression hid them.
        """
        return self._holds(one, "s.part = ''")

    def holds_part(self, one: AskedSet) -> bool:
        """Return whether the permit's analysis has this very part already."""
        which = "s.permit = ? AND s.analysis = ? AND s.part = ?"
        return self._holds(one, which, self._permit, one.analysis, one.part)

    def _holds(self, one: AskedSet, which: str, *values: str) -> bool:
        rows = self._db.execute(
            "SELECT 1 FROM cohort c JOIN shown s ON s.cohort = c.id "  # noqa: S608
            f"WHERE c.space = ? AND c.digest = ? AND {LIVE} AND {which} LIMIT 1",
            (self._space, one.digest, self._at, *values),
        ).fetchall()
        return bool(rows)

    def holds_alike(self, sets: Sequence[AskedSet]) -> bool:
        """Return whether some analysis was of just these people in just these parts.

        Then the same was hidden of it. A part beside other parts is another matter:
        what hid it may be gone.

        Args:
            sets: of one analysis, everybody first.
        """
        mine = {(one.part, one.digest) for one in sets}
        pairs = self._db.execute(
            "SELECT s.permit, s.analysis FROM cohort c JOIN shown s "  # noqa: S608
            f"ON s.cohort = c.id WHERE c.space = ? AND c.digest = ? AND {LIVE} "
            "AND s.part = ''",
            (self._space, sets[0].digest, self._at),
        ).fetchall()
        for pair in pairs:
            rows = self._db.execute(
                "SELECT s.part, c.digest FROM shown s JOIN cohort c "  # noqa: S608
                f"ON c.id = s.cohort WHERE s.permit = ? AND s.analysis = ? AND {LIVE} "
                "AND c.space = ?",
                (*pair, self._at, self._space),
            ).fetchall()
            if mine == {(str(part), bytes(digest)) for part, digest in rows}:
                return True
        return False

    def is_near(self, one: AskedSet, cell: int) -> bool:
        """Return whether some set differs from one by some people, but few."""
        ids, marks = self._marked(
            "SELECT c.id, m.numbers FROM cohort c JOIN mark m ON m.cohort = c.id "  # noqa: S608
            "WHERE c.space = ? AND c.size BETWEEN ? AND ? AND EXISTS "
            f"(SELECT 1 FROM shown s WHERE s.cohort = c.id AND {LIVE})",
            (self._space, one.size - cell + 1, one.size + cell - 1, self._at),
        )
        near = near_by_marks(one.marks, marks, cell)
        found = (apart(one.bits, [self._bits(ids[place])]) for place in near)
        return any(is_near(differences, cell) for differences in found)

    def lists(self) -> list[listed.Row]:
        """Return every list of sites that something of another permit was over."""
        return listed.others(self._db, self._permit, self._at)

    def lists_of(self, cohort: int) -> list[tuple[bool, listed.Row]]:
        """Return over which lists a set was a whole, and whether under this permit."""
        return listed.of_whole(self._db, cohort, self._permit, self._at)

    def over_close_lists(self, over: Summed, least: int) -> "ShownSets | None":
        """Return the sets of other permits, over lists too close to one; None if none.

        Args:
            over: the list.
            least: fewest sites that may be left over; 1 asks for nothing.
        """
        lists = self.lists() if least > 1 else []
        close = [row for row in lists if listed.is_close(row, over, least)]
        who = (self._space, self._permit, self._at)
        sets = (listed.sets(self._db, row, who) for row in close)
        found = sorted({one for some in sets for one in some})
        if not found:
            return None
        sizes, ids, marks = zip(*found, strict=True)
        numbers = np.frombuffer(b"".join(marks), "<i8").reshape(-1, GROUPS)
        return ShownSets(ids, np.array(sizes), numbers)

    def overlaps(self, one: AskedSet, shown: "ShownSets", cell: int) -> bool:
        """Return whether one is among some sets, or near to one that shares somebody.

        Args:
            one: the set.
            shown: others.
            cell: fewest people by which answers may differ.
        """
        low, high = one.size - cell, one.size + cell  # neither is near
        start = int(np.searchsorted(shown.sizes, low, "right"))
        stop = int(np.searchsorted(shown.sizes, high, "left"))
        some = shown.marks[start:stop]
        near = start + near_by_marks(one.marks, some, cell, exact=True)
        differ = apart(one.bits, [self._bits(shown.ids[place]) for place in near])
        shares = differ < shown.sizes[near] + one.size
        return bool(((differ < cell) & shares).any())

    def id_of(self, one: AskedSet) -> int:
        """Return the row of a set; -1 where it was never kept."""
        rows = self._db.execute(
            "SELECT id FROM cohort WHERE space = ? AND digest = ?",
            (self._space, one.digest),
        ).fetchall()
        return int(rows[0][0]) if rows else -1

    def wholes(self) -> tuple[list[int], Ints]:
        """Return the ids and (m, `GROUPS`) marks of the people of all analyses."""
        return self._marked(
            "SELECT DISTINCT c.id, m.numbers FROM cohort c "  # noqa: S608
            "JOIN mark m ON m.cohort = c.id JOIN shown s ON s.cohort = c.id "
            f"WHERE c.space = ? AND s.part = '' AND {LIVE}",
            (self._space, self._at),
        )

    def words(self, cohort: int, words: int) -> Words:
        """Return the bits of a set, filled up to so many words."""
        found = np.frombuffer(self._bits(cohort), "<u8")
        return np.pad(found, (0, words - len(found)))

    def kept(self, one: AskedSet) -> int:
        """Return the row of a set, made if need be."""
        self._db.execute(
            "INSERT OR IGNORE INTO cohort (space, size, digest, bits) "
            "VALUES (?, ?, ?, ?)",
            (self._space, one.size, one.digest, one.bits.tobytes()),
        )
        found = self.id_of(one)
        self._keep_marks(found, one.marks)
        return found

    def _bits(self, cohort: int) -> bytes:
        ((bits,),) = self._db.execute(
            "SELECT bits FROM cohort WHERE id = ?", (cohort,)
        ).fetchall()
        return bytes(bits)

    def _marked(self, query: str, values: tuple[object, ...]) -> tuple[list[int], Ints]:
        rows = self._db.execute(query, values).fetchall()
        numbers = np.frombuffer(b"".join(one for _, one in rows), "<i8")
        return [int(one) for one, _ in rows], numbers.reshape(-1, GROUPS)


def check_closeness(sets: Sequence[AskedSet], earlier: Earlier, room: Room) -> None:
    """Return quietly if a study's sets lie apart from each other and from earlier ones.

    What was shown already may be shown again as what it was.

    Raises:
        TooClose: some set does not. The words are the same whichever; `local` says.
    """
    new = _unshown(sets, earlier, room)
    _check_apart(new, sets, room)
    for one in new:
        if earlier.is_near(one, room.reach(one)):
            raise _refusal(one, "an earlier answer")
    _check_lists(sets, earlier, room)
    _check_sums(new, sets, earlier, room)


def _unshown(sets: Sequence[AskedSet], earlier: Earlier, room: Room) -> list[AskedSet]:
    """Return the sets, but small parts, that were not shown as what they are before.

    Where a site can be seen, parts of another permit count as new: they may have been
    shown beside others that lie close to them, among more sites.
    """
    found: list[AskedSet] = []
    for analysis in dict.fromkeys(one.analysis for one in sets):
        mine = [one for one in sets if one.analysis == analysis]
        new = [
            one
            for one in mine
            if room.reach(one)
            and not earlier.holds_whole(one)
            and not (one.part and earlier.holds_part(one))
        ]
        only_parts = bool(new) and all(one.part for one in new)
        if not only_parts or mine[0].alone or not earlier.holds_alike(mine):
            found += new
    return found


def _refusal(one: AskedSet, other: str) -> TooClose:
    what = f"{one.part or 'the people'} of {one.analysis}"
    return TooClose(WORDS, fix=REMEDY, local=f"{what} differ by few from {other}")


def _check_apart(new: Sequence[AskedSet], sets: Sequence[AskedSet], room: Room) -> None:
    """Hold a study's own analyses apart, and everybody of each from the whole site."""
    marks = np.array([one.marks for one in sets])
    for one in new:
        if not one.part and room.everyone is not None:
            rest = np.array([room.everyone - one.size])
            if is_near(rest, room.cell):
                raise _refusal(one, "all people of the site")
        cell = room.reach(one)
        near = [sets[n] for n in near_by_marks(one.marks, marks, cell)]
        others = [
            other.bits.tobytes()
            for other in near
            if other.analysis != one.analysis
            and ((one.alone and other.alone) or not (one.part or other.part))
            and room.reach(other)
        ]
        if is_near(apart(one.bits, others), cell):
            raise _refusal(one, "another analysis of the study")


def _check_lists(sets: Sequence[AskedSet], earlier: Earlier, room: Room) -> None:
    """Refuse people who were shown over another list of sites, if few sites differ.

    Whoever subtracts has the sum over those few. A set that differs by few people from
    one that was shown so, and has somebody in common with it, is as good as the same.
    Under one permit hubs open over one list what is not to be published by itself.
    """
    cell = max(room.cell, 1)  # the same people are close, however few may differ
    for over in dict.fromkeys(one.over for one in sets):
        shown = earlier.over_close_lists(over, room.sites)
        for one in sets:
            if one.over == over and shown and earlier.overlaps(one, shown, cell):
                raise _refusal(one, OVER_ANOTHER_LIST)


def _check_sums(
    new: Sequence[AskedSet], sets: Sequence[AskedSet], earlier: Earlier, room: Room
) -> None:
    """Hold everybody of an analysis apart from what two or three others add up to.

    All of them count, with either sign: what is left of a + b - c, or of a + b + c - d
    or a + b - c - d, is nobody or a cell of people at least. Nobody, or few, is too
    little where they were shown over lists that leave few sites over.
    """
    new_ones = {one.digest for one in new if not one.part}
    wholes = {one.digest: one for one in sets if not one.part}
    lists = _Lists(earlier, wholes.values(), room.sites)
    asked = [
        one
        for digest, one in wholes.items()
        if digest in new_ones or lists.is_other(one)
    ]
    if not asked:
        return
    all_ids, all_marks = earlier.wholes()
    for place, one in enumerate(asked):
        others = [other for other in asked[:place] if other.digest in new_ones]
        itself = earlier.id_of(one)
        kept = [n for n, cohort in enumerate(all_ids) if cohort != itself]
        ids = [all_ids[n] for n in kept]
        marks = np.concatenate([all_marks[kept], *(o.marks[None] for o in others)])
        found = sums_near(one.marks, marks, room.cell, exact=lists.differ)
        if found is None:
            local = f"too many answers lie alike to compare {one.analysis} with them"
            raise TooClose(WORDS, fix=REMEDY, local=local)
        for sides in found:
            who = [at for side in sides for at in side]
            tells = lists.tell(one, [ids[at] for at in who if at < len(ids)])
            if not tells and one.digest not in new_ones:
                continue
            with_it, against = (
                [
                    earlier.words(ids[at], len(one.bits))
                    if at < len(ids)
                    else others[at - len(ids)].bits
                    for at in side
                ]
                for side in sides
            )
            left = left_over([one.bits, *with_it], against)
            if left < room.cell and (tells or left):
                raise _refusal(one, "what other answers add up to")


class _Lists:
    """Over which lists of sites the wholes are shown that sets may add up to.

    Attributes:
        differ: whether any list counts that is not that of all these sets.
    """

    def __init__(
        self, earlier: Earlier, wholes: Collection[AskedSet], least: int
    ) -> None:
        """Look at the wholes of a study, and the fewest sites to be left over."""
        self._earlier, self._least = earlier, least
        self._mine = {earlier.id_of(one): one.over for one in wholes}
        own = {listed.row_of(one.over) for one in wholes}
        self.differ = least > 1 and any(row not in own for row in earlier.lists())

    def is_other(self, one: AskedSet) -> bool:
        """Return whether a whole was not shown over its list before, but may be so."""
        if not self.differ:
            return False
        cohort, own = self._earlier.id_of(one), listed.row_of(one.over)
        return all(row != own for _, row in self._of(cohort))

    def _of(self, cohort: int) -> list[tuple[bool, listed.Row]]:
        return self._earlier.lists_of(cohort)

    def tell(self, one: AskedSet, cohorts: Sequence[int]) -> bool:
        """Return whether lists of a set, and of others that add up to it, tell of few.

        What the permit has shown by itself is over one list.
        """
        if not self.differ:
            return False
        choices = [self._of(cohort) for cohort in cohorts]
        for cohort, found in zip(cohorts, choices, strict=True):
            if cohort in self._mine:
                found.append((True, listed.row_of(self._mine[cohort])))
        for chosen in itertools.product(*choices):
            if all(mine for mine, _ in chosen):
                continue
            over = [listed.summed_of(row) for _, row in chosen]
            known = [each for each in over if each is not None]
            if len(known) < len(over) or tells_few([one.over, *known], self._least):
                return True
        return False
