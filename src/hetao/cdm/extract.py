"""A committed extract, opened: its acts are found, shown with their proofs, shredded.

What a site keeps for it says `hetao.cdm.committing`.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from hetao.alone import alone
from hetao.canonical import parse_canonical
from hetao.cdm.acts import act_number, read_acts, read_all_acts
from hetao.cdm.committing import (
    EVENTS,
    KEYS,
    NOBODY,
    STARTS,
    STEP,
    TILES,
    Commitment,
    Event,
    Sealed,
    in_order,
    keys_in,
    keys_text,
    leaves_of,
    read_keys,
    rows_in,
    starts_of,
)
from hetao.cdm.engine import Column as Array
from hetao.cdm.engine import Engine
from hetao.cdm.secret_file import replace_secret
from hetao.errors import InvalidData, Shredded, Unverified, Usage
from hetao.ledger.commitments import (
    NONCE,
    ORDER,
    TILE,
    Keyed,
    Opened,
    Tiles,
    keyed,
    nonces,
    order_of,
    secret_for,
)
from hetao.ledger.merkle import HASH_BYTES
from hetao.whole import write_new

AT_ONCE: Final = 2_000  # people whose acts are asked for at a time


class Theirs(NamedTuple):
    """What one person has, or nobody: numbers of acts; bytes of these and of events."""

    numbers: list[int]
    data: list[bytes]


@dataclass(frozen=True)
class Extract:
    """A committed extract, opened: acts are found in it, shown, and shredded.

    Attributes:
        commitment: what was committed to.
        folder: where it is kept.
        engine: over the same tables.
        master: the site's master secret.
    """

    commitment: Commitment
    folder: Path
    engine: Engine
    master: bytes

    @cached_property
    def _starts(self) -> Array:
        """Return person and first leaf, place by place; place 0 is nobody's.

        It follows from tables and secrets: one that is not there, or is cut short, is
        made again, which takes as long as committing did.
        """
        path = self.folder / STARTS
        found = np.fromfile(path, dtype=STEP) if path.is_file() else np.zeros(0, STEP)
        if len(found) != self.commitment.people + 1:
            people = in_order(self.engine, self._secret(ORDER))
            found = starts_of(people, self._sealed(people).counts())
            with alone(self.folder):
                path.unlink(missing_ok=True)
                write_new(path, found.tobytes)
        return found

    @cached_property
    def _firsts(self) -> Array:
        """Return the first leaf of each place, as numbers that are searched fast."""
        return self._starts["start"].astype(np.int64)

    @cached_property
    def _tiles(self) -> Tiles:
        data = (self.folder / TILES).read_bytes()
        return Tiles.from_bytes(data, self.commitment.acts)

    @cached_property
    def _events(self) -> list[Event]:
        listed = parse_canonical((self.folder / EVENTS).read_bytes())
        return [Event(int(who) if who else None, data.encode()) for who, data in listed]

    def index_of(self, person: int, visit: int | None, day: str = "") -> int:
        """Return the index of an act: of a visit, of a day outside, or for good.

        Raises:
            InvalidData: the extract has no such act.
        """
        place = self._place_of(person)
        numbers, number = (
            self._acts([place])[place].numbers,
            act_number(visit, day),
        )
        if number not in numbers:
            raise InvalidData("the extract has no such act", fix="look its visit up")
        return int(self._starts["start"][place]) + numbers.index(number)

    def indices_of(self, person: int) -> range:
        """Return where all that stands under a person is, events too.

        Raises:
            InvalidData: nobody of this pseudonym is in the extract.
        """
        place = self._place_of(person)
        ends = [*self._firsts[place + 1 : place + 2].tolist(), self.commitment.acts]
        return range(int(self._firsts[place]), ends[0])

    def index_of_event(self, data: bytes) -> int:
        """Return the index of an event, by its bytes; of two alike, the first's.

        Raises:
            InvalidData: the extract has no such event.
        """
        for person in {event.person for event in self._events if event.data == data}:
            place = NOBODY if person is None else self._place_of(person)
            theirs = self._acts([place])[place].data
            return int(self._starts["start"][place]) + theirs.index(data)
        raise InvalidData("the extract has no such event")

    def events(self) -> tuple[bytes, ...]:
        """Return the bytes of all events that were committed to."""
        return tuple(event.data for event in self._events)

    def _place_of(self, person: int) -> int:
        secret = self._secret(ORDER)
        wanted = order_of(secret, person)
        people = self._starts["person"]
        low, high = 1, len(people)
        while low < high:
            middle = (low + high) // 2
            if order_of(secret, int(people[middle])) < wanted:
                low = middle + 1
            else:
                high = middle
        if low == len(people) or int(people[low]) != person:
            raise InvalidData(
                "nobody of this pseudonym is in the extract",
                fix="write a patient's number as the export has it, with its zeros",
            )
        return low

    def holds(self, person: int) -> bool:
        """Return whether acts of a person stand here, and can be shown."""
        try:
            place = self._place_of(person)
        except InvalidData:
            return False
        return read_keys(self.folder / KEYS)[0].of(place) is not None

    def _secret(self, purpose: bytes) -> Keyed:
        extract = bytes.fromhex(self.commitment.extract)
        return keyed(secret_for(self.master, purpose, extract))

    def open(self, index: int) -> Opened:
        """Return one act with its proof.

        Raises:
            Usage: the extract has no act of this index.
            Shredded: its person's key was destroyed.
            Unverified: the tables are no longer what was committed to.
        """
        [(_, opened)] = self.open_all([index])
        if opened is None:
            raise Shredded(
                "this act's person was shredded: its key is destroyed, for good"
            )
        return opened

    def open_all(self, wanted: Iterable[int]) -> Iterator[tuple[int, Opened | None]]:
        """Yield acts with their proofs by index, each once; None for what is shredded.

        Each table is asked once for many people, not once for each act.

        Raises:
            Usage: the extract has no act of one of these indices.
            Unverified: the tables are no longer what was committed to.
        """
        indices = sorted(set(wanted))
        if indices and not 0 <= indices[0] <= indices[-1] < self.commitment.acts:
            raise Usage("the extract has no act of this index")
        some, people = list[int](), 0
        for tile, theirs in groupby(indices, lambda index: index // TILE):
            people += len(self._places_of(tile))
            if some and people > AT_ONCE:
                yield from self._open(some)
                some, people = [], len(self._places_of(tile))
            some += theirs
        yield from self._open(some)

    def _open(self, indices: Sequence[int]) -> Iterator[tuple[int, Opened | None]]:
        keys, gone = read_keys(self.folder / KEYS)
        held = {n: key for n in indices if (key := keys.of(self._place_at(n)))}
        tiles = {index // TILE for index in held}
        places = {at for tile in tiles for at in self._places_of(tile)}
        acts, wrap = self._acts(places, frozenset(gone)), self._secret(NONCE)
        leaves = {
            at: gone.get(at) or leaves_of(keys.of(at), wrap, theirs.data)
            for at, theirs in acts.items()
        }
        for index in indices:
            if index not in held:
                yield index, None
                continue
            around = self._places_of(index // TILE)
            begin = index - index % TILE - int(self._firsts[around[0]])
            some = [leaf for at in around for leaf in leaves[at]][begin : begin + TILE]
            path = tuple(self._tiles.path(index, some))
            place = self._place_at(index)
            nth = index - int(self._firsts[place])
            nonce = nonces(wrap(held[index]), nth + 1)[-HASH_BYTES:]
            size, tree = self.commitment.acts, bytes.fromhex(self.commitment.tree)
            yield index, Opened(acts[place].data[nth], nonce, index, size, path, tree)

    def _places_of(self, tile: int) -> range:
        """Return whose acts stand in a tile."""
        stop = min((tile + 1) * TILE, self.commitment.acts)
        return range(self._place_at(tile * TILE), self._place_at(stop - 1) + 1)

    def _place_at(self, index: int) -> int:
        """Return whose act stands at an index; the last place that begins there."""
        return int(np.searchsorted(self._firsts, index, side="right")) - 1

    def _acts(
        self, places: Collection[int], without: frozenset[int] = frozenset()
    ) -> dict[int, Theirs]:
        """Return the acts and events of these places, in their order."""
        wanted = [n for n in sorted(places) if n != NOBODY and n not in without]
        place_of = {int(self._starts["person"][n]): n for n in wanted}
        used = {name: tuple(names) for name, names in self.commitment.used.items()}
        nobody = NOBODY in places
        found = {n: Theirs([], []) for n in sorted(places)}
        for some in read_acts(self.engine, used, list(place_of), nobody=nobody):
            for person, numbers, data in some.each():
                place = NOBODY if person is None else place_of[person]
                found[place] = Theirs(numbers, data)
        for event in self._events:
            if event.person in place_of:
                found[place_of[event.person]].data.append(event.data)
            elif nobody and event.person is None:
                found[NOBODY].data.append(event.data)
        return found

    def check_whole(self) -> None:
        """Return when every act of the tables is as it was committed to.

        Raises:
            Unverified: one is not, or they have more or fewer.
        """
        self._sealed(self._starts["person"][1:].tolist())

    def _sealed(self, people: Sequence[int]) -> Sealed:
        """Return all leaves, once they are those that were committed to."""
        keys, gone = read_keys(self.folder / KEYS)
        used = {name: tuple(names) for name, names in self.commitment.used.items()}
        acts = read_all_acts(self.engine, used, people, rows_in(self.engine, used))
        sealed = Sealed(people, keys, self._secret(NONCE))
        sealed.take(acts, self._events)
        for place, leaves in gone.items():
            sealed.put(place, leaves)
        tiles = Tiles.from_leaves(sealed.leaves())
        if (tiles.size, tiles.root.hex()) != (
            self.commitment.acts,
            self.commitment.tree,
        ):
            raise Unverified(
                "the tables are no longer what was committed to",
                fix="bring back the snapshot's database",
            )
        return sealed

    def shred(self, person: int) -> int:
        """Destroy the key of a person's nonces; return how many acts were theirs.

        The tree stands, and so does every other proof: their leaves, which nobody can
        make any more, are kept. The old keys are written over; a backup of them must go
        too.

        Raises:
            InvalidData: nobody of this pseudonym is in the extract.
            Shredded: their key was destroyed before.
            Unverified: the tables are no longer what was committed to.
        """
        place = self._place_of(person)
        path = self.folder / KEYS
        self.open(int(self._starts["start"][place]))  # the tables are what they were
        acts = self._acts([place])[place]
        with alone(self.folder):  # else another's shredding would be undone
            keys, gone = keys_in(path)
            key = keys.of(place)
            if key is None:
                raise Shredded("this person's key was destroyed before")
            gone[place] = leaves_of(key, self._secret(NONCE), acts.data)
            replace_secret(path, keys_text(keys.without(place), gone))
        return len(gone[place])
