"""Sets of people as packed bits: which were shown before, and how far apart they are.

Two answers about nearly the same people can be subtracted, and what is left is about
the few that they differ by. So a site remembers of whom it ever gave an answer, and
answers nothing about people of whom all but 1 to k - 1 are those of an earlier one.
Why, for which sets, and what this does not see: `docs/decisions/0018-differencing.md`.

A person's place in the bits is nobody's to guess: it follows from a keyed hash, under a
secret of the site. Everything in this file stays inside the site.
"""

import hashlib
import hmac
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from hetao.errors import TooClose
from hetao.release.lists import NOWHERE, Summed

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

SECRET_BYTES: Final = 32
WORD: Final = 8  # bytes
BLOCK: Final = 1 << 22  # bytes of earlier sets that are looked at together
UNITS: Final = 1 << 40  # into which one statistic of one person is divided
ROUNDING: Final = 1e-3  # of a sum, that rounding up in units adds at most
BANDS: Final = ((0.25, "<25%"), (0.5, "25-50%"), (0.75, "50-75%"))


@dataclass(frozen=True)
class Asked:
    """Of whom an analysis would show statistics at this site.

    Attributes:
        analysis: its name in the study.
        people: (m,) places of those whom it is about, each once.
        parts: label → places of people who are counted apart in it: an arm, a stratum,
            a level, those with the event.
        statistics: variable of the study → names of the sums about it that would be
            shown; the same name about the same people is the same sum.
        pooled: the same, of those that leave in sums over sites alone.
        told: of models, (m,) places of people and how many numbers about all of them
            each round tells.
        rounds: how many rounds are counted.
        members: "" where all sites of the permit are summed, else a digest of those
            that are: over other members the states of a model are others.
        course: the run and the attempt; in another one a model may be asked at other
            states.
        over: the sites that are summed.
        alone: whether this site's own part may be told apart.
        follows: whether the sums about groups follow from sums of the same course, so
            that in another one they are others.
        later: the round, from 0, whose sums alone these are; 0 where they are those of
            all the rounds that the begin reserves room for.
    """

    analysis: str
    people: Ints
    parts: Mapping[str, Ints] = field(default_factory=dict)
    statistics: Mapping[str, Collection[str]] = field(default_factory=dict)
    pooled: Mapping[str, Collection[str]] = field(default_factory=dict)
    told: Sequence[tuple[Ints, int]] = ()
    rounds: int = 0
    members: str = ""
    course: str = ""
    over: Summed = NOWHERE
    alone: bool = False
    follows: bool = False
    later: int = 0

    @property
    def of_whom(self) -> "Asked":
        """Return it with its people alone, without its parts: those may be many."""
        return replace(self, parts={}, statistics={}, pooled={}, told=())


@dataclass(frozen=True)
class Budget:
    """What was shown about the people of an analysis, and how much may be.

    Attributes:
        used: sums, counted over the people of whom most was shown, this analysis's own
            among them; about one variable of each study, that of most sums.
        limit: most sums that may be shown about so many people, on one snapshot.
        intermediate: numbers that left under this permit so far, in all rounds.
        told: share of the numbers that models' rounds may tell of each person, over
            all permits, that is used about those of whom most was told.
    """

    used: float
    limit: float
    intermediate: int
    told: float = 0.0

    @property
    def band(self) -> str:
        """Return the share that is used, as one of four bands: no count follows."""
        return _band(self.used / self.limit if self.limit else 1.0)

    def as_json(self) -> dict[str, str | int]:
        """Return what a release record says: no count, which are about people."""
        return {
            "linear_stats": self.band,
            "intermediate": _band(self.told),
            "intermediate_used": self.intermediate,
        }


def _band(share: float) -> str:
    return next((text for most, text in BANDS if share < most), "75-100%")


def check_room(budget: Budget | None, site: str) -> None:
    """Refuse what the site's memory of its releases has reserved no room for.

    Raises:
        TooClose: nothing was reserved, or more was shown than may be.
    """
    if budget is None or budget.used > budget.limit + ROUNDING:
        raise TooClose(f"{site} holds no room for this beside what it has answered")


def keyed(secret: bytes, space: str, ids: NDArray[np.generic]) -> Words:
    """Return (n,) keyed hashes of people's identifiers, one AES block each.

    Args:
        secret: of the site, 32 bytes.
        space: whose identifiers they are; another space's hashes have nothing in
            common with them.
        ids: (n,) or (n, 2) whole numbers of 64 bits.

    Source:
        One block of a block cipher under a secret key is a pseudorandom function of it
        (Bellare and Rogaway 2006, section 3.6, PRP/PRF switching).
    """
    key = hmac.new(secret, f"hetao-places-v1\n{space}".encode(), hashlib.sha256)
    blocks = np.zeros((len(ids), 2), dtype="<u8")
    plain = ids if ids.ndim == 2 else ids[:, None]
    blocks[:, : plain.shape[1]] = plain.astype("<u8")
    # ECB: every block is another person's, and each stands alone.
    cipher = Cipher(algorithms.AES(key.digest()), modes.ECB())  # noqa: S305
    encryptor = cipher.encryptor()
    out = encryptor.update(blocks.tobytes()) + encryptor.finalize()
    return np.frombuffer(out, dtype="<u8").reshape(-1, 2)[:, 0].astype(np.uint64)


def packed(places: Ints, size: int) -> Words:
    """Return the bits of a set: `size` places, filled up to whole words."""
    bits = np.zeros(-(-size // 64) * 64, dtype=bool)
    bits[places] = True
    return np.packbits(bits, bitorder="little").view(np.uint64)


def apart(mine: Words, earlier: Sequence[bytes]) -> Ints:
    """Return (m,) by how many people each earlier set differs from this one.

    Earlier sets may be shorter: people who came later were not in them. None is longer.
    """
    found = np.empty(len(earlier), dtype=np.int64)
    lengths = np.array([len(one) for one in earlier], dtype=np.int64)
    for length in np.unique(lengths):
        (where,) = np.nonzero(lengths == length)
        words = int(length) // WORD
        beyond = int(np.bitwise_count(mine[words:]).sum())
        step = max(1, BLOCK // max(int(length), 1))
        for start in range(0, len(where), step):
            some = where[start : start + step]
            joined = b"".join(earlier[i] for i in some)
            theirs = np.frombuffer(joined, dtype="<u8").reshape(len(some), words)
            differ = np.bitwise_count(theirs ^ mine[:words])
            found[some] = differ.sum(axis=1, dtype=np.int64) + beyond
    return found


def is_near(differences: Ints, cell: int) -> bool:
    """Return whether a set differs from another by some, but fewer than a cell."""
    return bool(((differences > 0) & (differences < cell)).any())


def left_over(one_side: Sequence[Words], other: Sequence[Words]) -> int:
    """Return of how many people the sums of up to three sets and of others differ."""
    low, high = _added(one_side)
    others_low, others_high = _added(other)
    differ = (low ^ others_low) | (high ^ others_high)
    return int(np.bitwise_count(differ).sum())


def _added(sets: Sequence[Words]) -> tuple[Words, Words]:
    """Return the two bits of how many of up to three sets each person is in."""
    low, high = np.zeros_like(sets[0]), np.zeros_like(sets[0])
    for one in sets:
        high |= low & one
        low ^= one
    return low, high


def load_of(asked: Sequence[Asked], size: int, over: int = 1) -> NDArray[np.uint64]:
    """Return (size,) by how much a study adds to what was shown about each person.

    An analysis that shows q sums about n people adds q/n to each of them; of a study
    the variable counts about which most is shown. If no person's sum over all studies
    exceeds a share b, then all analyses whose people lie within any S, whoever chooses
    S, show at most b·|S| sums of one variable. A sum that is seen over the people of
    `over` sites together weighs so much less at each: added up over these it weighs
    one. In units of 1/`UNITS`, rounded up.

    Args:
        asked: the analyses of a study.
        size: how many places there are.
        over: over how many sites a party sees what is pooled, its own taken off.
    """
    most = np.zeros(size, dtype=np.uint64)
    names = {name for one in asked for name in (*one.statistics, *one.pooled)}
    for variable in sorted(names):
        of_one = np.zeros(size, dtype=np.uint64)
        for people, units in _sums_about(variable, asked, over):
            of_one[people] += np.uint64(-(-units // len(people)))
        most = np.maximum(most, of_one)
    return most


def told_of(asked: Asked, rounds: int, size: int) -> NDArray[np.uint64]:
    """Return (size,) by how much rounds of a model add to what was told of each person.

    A round that tells q numbers about n people tells q/n of each, in units of
    1/`UNITS`, rounded up.
    """
    load = np.zeros(size, dtype=np.uint64)
    for people, numbers in asked.told:
        if len(people):
            load[people] += np.uint64(-(-numbers * rounds * UNITS // len(people)))
    return load


def _sums_about(
    variable: str, asked: Sequence[Asked], over: int
) -> Iterator[tuple[Ints, int]]:
    """Yield sets of people, and what the different sums about each weigh, in units."""
    shown: dict[bytes, dict[str, int]] = {}
    sets: dict[bytes, Ints] = {}
    for one in asked:
        if not len(one.people):
            continue
        key = hashlib.sha256(one.people.tobytes()).digest()
        sets[key], names = one.people, shown.setdefault(key, {})
        names |= dict.fromkeys(one.statistics.get(variable, ()), UNITS)
        for name in one.pooled.get(variable, ()):
            names.setdefault(name, -(-UNITS // over))
    for key, found in shown.items():
        yield sets[key], sum(found.values())


def budget_of(
    load: NDArray[np.uint64], people: Ints, share: float
) -> tuple[float, float]:
    """Return (sums used, most sums) about some people, from what each one carries."""
    most = int(load[people].max(initial=0))
    return most * len(people) / UNITS, share * len(people)


def is_over(load: NDArray[np.uint64], share: float) -> bool:
    """Return whether more was shown about somebody than a share allows."""
    return int(load.max(initial=0)) > math.floor(share * UNITS) + UNITS // 10**9
