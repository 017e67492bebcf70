"""How close what a study would show lies to what a site has shown, of every permit.

All of it is carried out within the one transaction that reserves the study's sets.
"""

import hashlib
import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hetao.errors import TooClose
from hetao.release.differencing import (
    Asked,
    Ints,
    Words,
    apart,
    is_near,
    left_over,
    packed,
)
from hetao.release.marks import GROUPS, marks_of, near_by_marks, places_in, sums_near

WORDS: Final = "this study comes too close to what the site has answered"
REMEDY: Final = (
    "let all analyses be over the same people, with a criterion that their variables "
    "are known; ask fewer of them about more people, so of the pairs of a screen or "
    "the folds of a penalised model; or ask for a new permit when the data were "
    "curated again"
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
        parts_too: whether parts of two analyses of one study are held apart as well.
        told: most numbers that models' rounds tell for each person, over everything
            from one snapshot.
        own: the site's own `cell`, where the study asks for a stricter one.
        over: over how many sites a party sees a pooled sum at least, its own taken off.
    """

    cell: int
    share: float
    everyone: int | None = None
    parts_too: bool = False
    told: float = math.inf
    own: int | None = None
    over: int = 1

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
    """

    analysis: str
    part: str
    bits: Words
    size: int
    marks: Ints

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
                found.append(AskedSet(one.analysis, part, bits, len(who), marks))
    return found


class Earlier:
    """The sets that a site has shown or reserved, as they stand in its memory."""

    def __init__(
        self, db: sqlite3.Connection, space: str, at: str, weights: Ints
    ) -> None:
        """Look at those of one kind of identifiers that count at a time.

        Args:
            db: within a transaction.
            space: whose identifiers the people have.
            at: UTC time; what was reserved until before, and never sent, is over.
            weights: of `weights_of`, for all places.
        """
        self._db, self._space, self._at = db, space, at
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

    def holds_part(self, one: AskedSet, permit: str) -> bool:
        """Return whether a permit's analysis has this very part already."""
        which = "s.permit = ? AND s.analysis = ? AND s.part = ?"
        return self._holds(one, which, permit, one.analysis, one.part)

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
        ((found,),) = self._db.execute(
            "SELECT id FROM cohort WHERE space = ? AND digest = ?",
            (self._space, one.digest),
        ).fetchall()
        self._keep_marks(int(found), one.marks)
        return int(found)

    def _bits(self, cohort: int) -> bytes:
        ((bits,),) = self._db.execute(
            "SELECT bits FROM cohort WHERE id = ?", (cohort,)
        ).fetchall()
        return bytes(bits)

    def _marked(self, query: str, values: tuple[object, ...]) -> tuple[list[int], Ints]:
        rows = self._db.execute(query, values).fetchall()
        numbers = np.frombuffer(b"".join(one for _, one in rows), "<i8")
        return [int(one) for one, _ in rows], numbers.reshape(-1, GROUPS)


def check_closeness(
    sets: Sequence[AskedSet], earlier: Earlier, room: Room, permit: str
) -> None:
    """Return quietly if a study's sets lie apart from each other and from earlier ones.

    What was shown already may be shown again as what it was.

    Raises:
        TooClose: some set does not. The words are the same whichever; `local` says.
    """
    new = _unshown(sets, earlier, room, permit)
    _check_apart(new, sets, room)
    _check_sums(new, earlier, room.cell)
    for one in new:
        if earlier.is_near(one, room.reach(one)):
            raise _refusal(one, "an earlier answer")


def _unshown(
    sets: Sequence[AskedSet], earlier: Earlier, room: Room, permit: str
) -> list[AskedSet]:
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
            and not (one.part and earlier.holds_part(one, permit))
        ]
        only_parts = bool(new) and all(one.part for one in new)
        if not only_parts or room.parts_too or not earlier.holds_alike(mine):
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
            and (room.parts_too or not (one.part or other.part))
            and room.reach(other)
        ]
        if is_near(apart(one.bits, others), cell):
            raise _refusal(one, "another analysis of the study")


def _check_sums(new: Sequence[AskedSet], earlier: Earlier, cell: int) -> None:
    """Hold everybody of an analysis apart from what two or three others add up to.

    All of them count, with either sign: what is left of a + b - c, or of a + b + c - d
    or a + b - c - d, is nobody or a cell of people at least.
    """
    whole = list({one.digest: one for one in new if not one.part}.values())
    if not whole:
        return
    ids, before = earlier.wholes()
    for place, one in enumerate(whole):
        words, others = len(one.bits), whole[:place]
        marks = np.concatenate([before, *(other.marks[None] for other in others)])
        found = sums_near(one.marks, marks, cell)
        if found is None:
            local = f"too many answers lie alike to compare {one.analysis} with them"
            raise TooClose(WORDS, fix=REMEDY, local=local)
        for sides in found:
            with_it, against = (
                [
                    earlier.words(ids[at], words)
                    if at < len(ids)
                    else others[at - len(ids)].bits
                    for at in side
                ]
                for side in sides
            )
            if 0 < left_over([one.bits, *with_it], against) < cell:
                raise _refusal(one, "what other answers add up to")
