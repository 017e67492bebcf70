"""A snapshot → what a site keeps to prove, later, any one act that was in it.

    <store>/acts/<first 12 hex digits of the snapshot>/
        commitment.json   what was committed to; its root may leave the site
        tiles             the tree of acts above every 256 leaves
        keys.json         what nonces are made of; secret, and smaller after a shredding
        firsts            who stands first in every 256; if lost it is made again
        events.json       of devices and drugs, which stand in no table

Made once for a snapshot and never again: a second commitment to the same tables would
be another root. Specification: `docs/specs/provenance.md`.
"""

import json
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from hetao.alone import alone
from hetao.canonical import canonical, parse_canonical
from hetao.cdm.acts import (
    Used,
    read_all_acts,
    read_people,
    used_columns,
)
from hetao.cdm.engine import Engine
from hetao.cdm.packing import Acts
from hetao.cdm.secret_file import wipe_old, write_secret
from hetao.cdm.standing import Firsts, People, group_size
from hetao.cdm.store import Manifest, folder_of, settle, sync_folder
from hetao.errors import InvalidData, NotCanonical
from hetao.ledger.commitments import (
    KEY_BYTES,
    NONCE,
    ORDER,
    Keyed,
    PersonKeys,
    Tiles,
    act_leaf,
    keyed,
    nonces,
    secret_for,
    sized_root,
)
from hetao.ledger.merkle import HASH_BYTES
from hetao.records import record

ACTS: Final = "acts"
COMMITMENT, TILES, KEYS, FIRSTS = "commitment.json", "tiles", "keys.json", "firsts"
EVENTS: Final = "events.json"
FORM: Final = "hetao.commitment/4"
# What comes of reading a file of ours that is not as it was written.
BROKEN: Final = (
    *(OSError, NotCanonical, LookupError, OverflowError),
    *(AttributeError, TypeError, ValueError),
)


class Gone(NamedTuple):
    """Somebody who was shredded, and the leaves that nobody can make any more.

    Their place, and those of others, follow from everybody's pseudonym, and the tables
    may no longer have theirs.
    """

    person: int
    leaves: list[bytes]


class Event(NamedTuple):
    """An event of a device or drug: whom it is about, if anybody, and its bytes."""

    person: int | None
    data: bytes


@dataclass(frozen=True)
class Commitment:
    """What a site committed to. Counts in it are for the site's own eyes.

    Attributes:
        extract: random id, 32 hex digits.
        snapshot: digest of the tables.
        dictionary, dictionary_digest: which data dictionary they follow.
        vocabulary: digest of the vocabulary that they were mapped with; "" for none.
        acts, people: how many.
        root: `sha256:…`, the published root.
        tree: the root of the tree, hex.
        used: table → the columns that hold anything.
    """

    extract: str
    snapshot: str
    dictionary: str
    dictionary_digest: str
    vocabulary: str
    acts: int
    people: int
    root: str
    tree: str
    used: dict[str, tuple[str, ...]]


def acts_folder(store: Path, snapshot: str) -> Path:
    """Return where the commitment to a snapshot stands."""
    return store / ACTS / folder_of(store, snapshot).name


def find_commitment(store: Path, snapshot: str) -> Commitment | None:
    """Return the commitment to a snapshot; None where there is none.

    Raises:
        InvalidData: it is there and does not hold, or was made by another version of
            Hetao, whose leaves this one does not make.
    """
    path = acts_folder(store, snapshot) / COMMITMENT
    if not path.is_file():
        return None
    try:
        body = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        body = None
    form = body.pop("type", "") if isinstance(body, dict) else ""
    where = f"{path.name} of snapshot {path.parent.name}"
    if form != FORM and str(form).startswith(FORM.rpartition("/")[0] + "/"):
        raise InvalidData(
            f"{where} has another version's form: this Hetao opens {FORM} alone",
            fix="show and recompute its acts with the Hetao that made it. To commit "
            f"anew, for studies to come, move {ACTS}/{path.parent.name} out of the "
            "store and keep it, then hetao site commit; commitments of old stand",
        )
    if form != FORM:
        raise InvalidData(
            f"{where} is damaged",
            fix=f"restore {ACTS}/{path.parent.name} from a backup",
        )
    found = record(Commitment, body, path.name, InvalidData)
    if found.snapshot != snapshot:
        raise InvalidData(f"{path.name} is of another snapshot")
    return found


def commit_acts(
    engine: Engine,
    store: Path,
    manifest: Manifest,
    master: bytes,
    events: Sequence[Event] = (),
) -> Commitment:
    """Commit to every act of a snapshot, or return the commitment that there is.

    Args:
        engine: over the snapshot's tables.
        store: the site's store.
        manifest: of the snapshot.
        master: the site's master secret.
        events: of devices and drugs, which become leaves too.

    Raises:
        InvalidData: the tables do not bear it.
    """
    known = find_commitment(store, manifest.snapshot)
    if known is not None:
        return known
    extract, seed = secrets.token_bytes(16), secrets.token_bytes(KEY_BYTES)
    people = everybody(engine, secret_for(master, ORDER, extract)).all()
    used = used_columns(engine)
    rows = rows_in(engine, used)
    if not {event.person for event in events} - {None} <= set(people):
        raise InvalidData(
            "an event names somebody who is not among the people",
            fix="curate the people whom events are about as well",
        )
    acts = read_all_acts(engine, used, people, rows)
    keys = PersonKeys.sown(seed, len(people) + 1)
    sealed = Sealed(people, keys, keyed(secret_for(master, NONCE, extract)))
    if sealed.take(acts, events) != rows:
        raise InvalidData("rows of the tables are in no act", fix="curate them again")
    tiles = Tiles.from_leaves(sealed.leaves())
    commitment = Commitment(
        extract=extract.hex(),
        snapshot=manifest.snapshot,
        dictionary=manifest.dictionary,
        dictionary_digest=manifest.dictionary_digest,
        vocabulary=manifest.vocabulary,
        acts=tiles.size,
        people=len(people),
        root="sha256:" + sized_root(tiles.size, tiles.root).hex(),
        tree=tiles.root.hex(),
        used=used,
    )
    files = {
        TILES: tiles.as_bytes(),
        KEYS: keys_text(keys, {}),
        FIRSTS: Firsts.of_counts(sealed.counts()).as_bytes(),
        EVENTS: _events_text(events),
        COMMITMENT: (
            json.dumps({"type": FORM, **asdict(commitment)}, indent=1) + "\n"
        ).encode(),
    }
    _keep(acts_folder(store, manifest.snapshot), files)
    return commitment


def everybody(engine: Engine, secret: bytes, gone: Iterable[int] = ()) -> People:
    """Return everybody in the tables, and who was shredded, in their order."""
    numbers = np.sort(np.append(read_people(engine), np.array([*gone], np.int64)))
    # np.union1d makes a hash table first, which takes thirty times as long.
    again = np.flatnonzero(numbers[1:] == numbers[:-1])
    rising = np.delete(numbers, again)
    return People(rising, secret, group_size(rising))


def rows_in(engine: Engine, used: Used) -> int:
    """Return how many rows the tables have together."""
    counts = [f"(SELECT count(*) FROM {name})" for name in used]  # noqa: S608
    return sum(int(n) for one in counts for (n,) in engine.rows(f"SELECT {one} AS n"))


class Sealed:
    """Acts as leaves: they come by person, and stand in the order of places."""

    def __init__(self, people: Sequence[int], keys: PersonKeys, secret: Keyed) -> None:
        """Make places for people, place by place from 1; place 0 is nobody's."""
        self._keys, self._secret = keys.each(len(people) + 1), secret
        everybody = enumerate((None, *people))
        self._places = {person: place for place, person in everybody}
        self._of = [b""] * len(self._keys)  # each place's leaves, behind each other

    def take(self, acts: Iterable[Acts], events: Sequence[Event]) -> int:
        """Make leaves of all these acts and events; return how many rows they were.

        Raises:
            InvalidData: an act is of somebody who is not among the people.
        """
        rows, waiting = 0, _by_person(events)
        for some in acts:
            rows += some.rows
            self._take(some, waiting)
        for person, data in waiting.items():  # who has nothing else
            (place,) = self._places_of([person])
            self._of[place] = b"".join(_leaves(self._nonces(place, len(data)), data))
        return rows

    def _take(self, some: Acts, waiting: dict[int | None, list[bytes]]) -> None:
        """Make leaves of acts, and of the events of the same people."""
        places = self._places_of(some.people)
        counts = np.diff(some.ends, prepend=0).tolist()
        leaves = some.leaves(b"".join(map(self._nonces, places, counts)))
        ends = (HASH_BYTES * np.array(some.ends)).tolist()
        for place, low, high in zip(places, [0, *ends], ends, strict=False):
            self._of[place] = leaves[low:high]
        for person in waiting.keys() & set(some.people):
            place, more = self._places[person], waiting.pop(person)
            have = len(self._of[place])
            stream = self._nonces(place, have // HASH_BYTES + len(more))[have:]
            self._of[place] += b"".join(_leaves(stream, more))

    def _places_of(self, people: Iterable[int | None]) -> list[int]:
        try:
            return [self._places[person] for person in people]
        except KeyError:
            raise InvalidData(
                "a row belongs to somebody who is not among the people",
                fix="curate the site's data again",
            ) from None

    def _nonces(self, place: int, count: int) -> bytes:
        """Return somebody's nonces; nothing secret where their key is destroyed.

        Leaves of theirs are of no use then, and others are put in their place.
        """
        key = self._keys[place]
        return nonces(self._secret(key), count) if key else bytes(HASH_BYTES * count)

    def put(self, place: int, leaves: Sequence[bytes]) -> None:
        """Take leaves that were kept, since nobody can make them any more."""
        self._of[place] = b"".join(leaves)

    def counts(self) -> list[int]:
        """Return how many leaves each place has."""
        return [len(leaves) // HASH_BYTES for leaves in self._of]

    def leaves(self) -> bytes:
        """Return all leaves in their order, behind each other."""
        return b"".join(self._of)


def leaves_of(key: bytes | None, secret: Keyed, acts: Sequence[bytes]) -> list[bytes]:
    """Return the leaves of one person's acts; none where the key is destroyed."""
    if key is None or not acts:
        return []
    return _leaves(nonces(secret(key), len(acts)), acts)


def _leaves(stream: bytes, acts: Sequence[bytes]) -> list[bytes]:
    """Return the leaves of acts and events, each whole."""
    starts = range(0, len(stream), HASH_BYTES)
    given = [stream[n : n + HASH_BYTES] for n in starts]
    return [act_leaf(nonce, act) for nonce, act in zip(given, acts, strict=True)]


def _by_person(events: Sequence[Event]) -> dict[int | None, list[bytes]]:
    found: dict[int | None, list[bytes]] = {}
    for event in events:
        found.setdefault(event.person, []).append(event.data)
    return found


# --- files ----------------------------------------------------------------------------
def _keep(home: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder so that it appears whole or not at all; nobody else reads it."""
    home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    built = home.with_name(f".{home.name}.{secrets.token_hex(8)}")
    built.mkdir(mode=0o700)
    try:
        for name, data in files.items():
            write_secret(built / name, data)
        sync_folder(built)
        if not settle(built, home, COMMITMENT):
            raise InvalidData("another run commits to this snapshot", fix="run again")
        sync_folder(home.parent)
    finally:
        shutil.rmtree(built, ignore_errors=True)


def _events_text(events: Sequence[Event]) -> bytes:
    """Return events, and whom they are about as text: 63 bits are no JSON number."""
    people = ["" if one.person is None else str(one.person) for one in events]
    texts = [one.data.decode() for one in events]
    return canonical(list(zip(people, texts, strict=True)))


def keys_text(keys: PersonKeys, gone: Mapping[int, Gone]) -> bytes:
    """Return the keys that are left, and kept leaves by place, as they are kept."""
    body = {
        "type": "hetao.acts-keys/2",
        "height": keys.height,
        "keys": [[*place, key.hex()] for place, key in sorted(keys.kept.items())],
        "gone": [
            [place, str(one.person), [leaf.hex() for leaf in one.leaves]]
            for place, one in sorted(gone.items())
        ],
    }
    return canonical(body)


def read_keys(path: Path, people: int) -> tuple[PersonKeys, dict[int, Gone]]:
    """Return the keys that are left, and by place those whose key is destroyed.

    Args:
        path: of the file.
        people: of the extract.

    Raises:
        InvalidData: the file is none, or of another number of people.
    """
    with alone(path.parent):
        return keys_in(path, people)


def keys_in(path: Path, people: int) -> tuple[PersonKeys, dict[int, Gone]]:
    """Return the same; the caller is alone in the folder."""
    try:
        wipe_old(path)
        body = parse_canonical(path.read_bytes())
        kept = {(int(n), int(at)): bytes.fromhex(key) for n, at, key in body["keys"]}
        gone = {
            int(place): Gone(int(np.int64(person)), list(map(bytes.fromhex, leaves)))
            for place, person, leaves in body["gone"]
        }
        keys = PersonKeys(int(body["height"]), kept)
    except BROKEN as error:
        raise _no_keys(path) from error
    is_whole = all(0 < place <= people for place in gone)  # place 0 is nobody's
    if not is_whole or not keys.fits(people + 1):
        raise _no_keys(path)
    return keys, gone


def _no_keys(path: Path) -> InvalidData:
    return InvalidData(
        f"the keys of the acts of snapshot {path.parent.name} cannot be read",
        fix="bring them back from a backup that is younger than every shredding",
    )
