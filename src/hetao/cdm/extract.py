"""A committed extract, opened: its acts are found, shown with their proofs, shredded.

What a site keeps for it says `hetao.cdm.committing`.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, islice
from pathlib import Path
from typing import Final, NamedTuple

from hetao.alone import alone
from hetao.canonical import parse_canonical
from hetao.cdm.acts import act_number, read_acts, read_all_acts
from hetao.cdm.committing import (
    BROKEN,
    EVENTS,
    FIRSTS,
    KEYS,
    TILES,
    Commitment,
    Event,
    Gone,
    Sealed,
    everybody,
    keys_in,
    keys_text,
    leaves_of,
    read_keys,
    rows_in,
)
from hetao.cdm.engine import Engine
from hetao.cdm.secret_file import replace_secret
from hetao.cdm.standing import NOBODY, Firsts, People, marks_damaged
from hetao.errors import InvalidData, Shredded, Unverified, Usage
from hetao.ledger.commitments import (
    NONCE,
    ORDER,
    TILE,
    Keyed,
    Opened,
    PersonKeys,
    Tiles,
    changed,
    keyed,
    nonces,
    secret_for,
)
from hetao.ledger.merkle import HASH_BYTES
from hetao.whole import write_new

AT_ONCE: Final = 2_000  # people whose acts are asked for at a time
CHANGED: Final = "the tables are no longer what was committed to"


class Theirs(NamedTuple):
    """What one person has, or nobody: numbers of acts; bytes of these and of events."""

    numbers: list[int]
    data: list[bytes]


class Read(NamedTuple):
    """Some tiles, as tables and keys have them.

    Attributes:
        keys: of everybody who has one.
        acts: of each place that stands in one of the tiles.
        leaves: of each of these places.
        standing: of each tile, whose leaf stands where: its place, and which of theirs.
    """

    keys: PersonKeys
    acts: dict[int, Theirs]
    leaves: dict[int, list[bytes]]
    standing: dict[int, list[tuple[int, int]]]

    def of(self, tile: int) -> list[bytes]:
        """Return the leaves of a tile."""
        return [self.leaves[place][nth] for place, nth in self.standing[tile]]


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

    def _keys(self) -> tuple[PersonKeys, dict[int, Gone]]:
        return read_keys(self.folder / KEYS, self.commitment.people)

    @cached_property
    def _people(self) -> People:
        """Return everybody, whether the tables still have those shredded or not."""
        _, gone = self._keys()
        shredded = [one.person for one in gone.values()]
        people = everybody(self.engine, self._secret_for(ORDER), shredded)
        if len(people) != self.commitment.people:
            raise Unverified(CHANGED, fix="bring back the snapshot's database")
        return people

    @cached_property
    def _firsts(self) -> Firsts:
        """Return who stands first in each tile.

        It follows from tables and secrets: a file that is not there, or is cut short,
        is made again, which takes as long as committing did.
        """
        path, commitment = self.folder / FIRSTS, self.commitment
        data = path.read_bytes() if path.is_file() else b""
        found = Firsts.from_bytes(data, commitment.acts, commitment.people)
        if found is None:
            found = Firsts.of_counts(self._sealed().counts())
            with alone(self.folder):
                path.unlink(missing_ok=True)
                write_new(path, found.as_bytes)
        return found

    @cached_property
    def _tiles(self) -> Tiles:
        data = (self.folder / TILES).read_bytes()
        tree = bytes.fromhex(self.commitment.tree)
        return Tiles.from_bytes(data, self.commitment.acts, tree)

    @cached_property
    def _events(self) -> list[Event]:
        path = self.folder / EVENTS
        try:
            listed = parse_canonical(path.read_bytes())
            return [
                Event(int(who) if who else None, data.encode()) for who, data in listed
            ]
        except BROKEN as error:
            raise InvalidData(
                f"{path.name} of the acts of snapshot {self.folder.name} is damaged",
                fix="bring it back from a backup",
            ) from error

    def index_of(self, person: int, visit: int | None, day: str = "") -> int:
        """Return the index of an act: of a visit, of a day outside, or for good.

        Raises:
            InvalidData: the extract has no such act.
            Unverified: the tables are no longer what was committed to.
        """
        place = self._people.place_of(person)
        first, read = self._first_of(place)
        numbers, number = read.acts[place].numbers, act_number(visit, day)
        if number not in numbers:
            raise InvalidData("the extract has no such act", fix="look its visit up")
        return self._index(first, place, numbers.index(number), read)

    def indices_of(self, person: int) -> range:
        """Return where all that stands under a person is, events too.

        Raises:
            InvalidData: nobody of this pseudonym is in the extract.
            Unverified: the tables are no longer what was committed to.
        """
        place = self._people.place_of(person)
        first, read = self._first_of(place)
        return range(first, first + len(read.leaves[place]))

    def index_of_event(self, data: bytes) -> int:
        """Return the index of an event, by its bytes; of two alike, the first's.

        Raises:
            InvalidData: the extract has no such event.
            Unverified: the tables are no longer what was committed to.
        """
        for person in {event.person for event in self._events if event.data == data}:
            place = NOBODY if person is None else self._people.place_of(person)
            first, read = self._first_of(place)
            return self._index(first, place, read.acts[place].data.index(data), read)
        raise InvalidData("the extract has no such event")

    def events(self) -> tuple[bytes, ...]:
        """Return the bytes of all events that were committed to."""
        return tuple(event.data for event in self._events)

    def holds(self, person: int) -> bool:
        """Return whether acts of a person stand here, and can be shown.

        Raises:
            InvalidData: the file of the keys is broken.
            Unverified: the tables are no longer what was committed to.
        """
        people = self._people
        try:
            place = people.place_of(person)
        except InvalidData:
            return False
        return self._keys()[0].of(place) is not None

    def _secret_for(self, purpose: bytes) -> bytes:
        extract = bytes.fromhex(self.commitment.extract)
        return secret_for(self.master, purpose, extract)

    @property
    def _wrap(self) -> Keyed:
        return keyed(self._secret_for(NONCE))

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
            people += len(self._firsts.places(tile))
            if some and people > AT_ONCE:
                yield from self._open(some)
                some, people = [], len(self._firsts.places(tile))
            some += theirs
        yield from self._open(some)

    def _open(self, indices: Sequence[int]) -> Iterator[tuple[int, Opened | None]]:
        read, wrap = self._read({index // TILE for index in indices}), self._wrap
        size, tree = self.commitment.acts, bytes.fromhex(self.commitment.tree)
        leaves = {tile: read.of(tile) for tile in read.standing}
        for index in indices:
            tile, at = divmod(index, TILE)
            path = tuple(self._tiles.path(index, leaves[tile]))
            place, nth = read.standing[tile][at]
            key = read.keys.of(place)
            if key is None:
                yield index, None
                continue
            nonce = nonces(wrap(key), nth + 1)[-HASH_BYTES:]
            act = read.acts[place].data[nth]
            yield index, Opened(act, nonce, index, size, path, tree)

    def _first_of(self, place: int) -> tuple[int, Read]:
        """Return the index of the first leaf of a place, and the tile where it stands.

        Raises:
            Unverified: the tile is no longer what was committed to.
        """
        tile = self._firsts.tile_of(place)
        read = self._read([tile])
        self._tiles.check(tile, read.of(tile))
        if (place, 0) not in read.standing[tile]:
            raise marks_damaged()
        first = TILE * tile + read.standing[tile].index((place, 0))
        last = first + len(read.leaves[place]) - 1
        # An act that the tables have too many would be the next person's first.
        if last >= self.commitment.acts or not self._firsts.ends_with(place, last):
            raise changed()
        return first, read

    @staticmethod
    def _index(first: int, place: int, nth: int, read: Read) -> int:
        """Return the index of the n-th act that the tables have of a place.

        Raises:
            Unverified: of whom was shredded they have more than was committed to.
        """
        if nth >= len(read.leaves[place]):
            raise changed()
        return first + nth

    def _read(self, tiles: Collection[int]) -> Read:
        """Return tiles with all acts of those who stand in them; nothing is checked."""
        keys, gone = self._keys()
        around = {tile: self._firsts.places(tile) for tile in tiles}
        acts = self._acts({place for places in around.values() for place in places})
        wrap = self._wrap
        leaves = {
            place: gone[place].leaves
            if place in gone
            else leaves_of(keys.of(place), wrap, theirs.data)
            for place, theirs in acts.items()
        }
        standing = {}
        for tile, places in around.items():
            each = ((at, nth) for at in places for nth in range(len(leaves[at])))
            before = self._firsts.before(tile)
            standing[tile] = list(islice(each, before, before + TILE))
        return Read(keys, acts, leaves, standing)

    def _acts(self, places: Collection[int]) -> dict[int, Theirs]:
        """Return the acts and events of these places, in their order."""
        place_of = {self._people.at(n): n for n in sorted(places) if n != NOBODY}
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
        self._sealed()

    def _sealed(self) -> Sealed:
        """Return all leaves, once they are those that were committed to."""
        keys, gone = self._keys()
        people = self._people.all()
        used = {name: tuple(names) for name, names in self.commitment.used.items()}
        acts = read_all_acts(self.engine, used, people, rows_in(self.engine, used))
        sealed = Sealed(people, keys, self._wrap)
        events = self._events
        try:
            sealed.take(acts, events)
        except InvalidData as error:  # a row or an event is of somebody else
            raise changed() from error
        for place, one in gone.items():
            sealed.put(place, one.leaves)
        tiles = Tiles.from_leaves(sealed.leaves())
        if (tiles.size, tiles.root.hex()) != (
            self.commitment.acts,
            self.commitment.tree,
        ):
            raise Unverified(CHANGED, fix="bring back the snapshot's database")
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
        place, path = self._people.place_of(person), self.folder / KEYS
        indices = self.indices_of(person)
        if any(opened is None for _, opened in self.open_all(indices)):
            raise Shredded("this person's key was destroyed before")
        data = self._acts([place])[place].data  # what it was: each act was opened
        with alone(self.folder):  # else another's shredding would be undone
            keys, gone = keys_in(path, self.commitment.people)
            key = keys.of(place)
            if key is None:
                raise Shredded("this person's key was destroyed before")
            gone[place] = Gone(person, leaves_of(key, self._wrap, data))
            replace_secret(path, keys_text(keys.without(place), gone))
        return len(data)
