"""What a log tells of itself since a size: hashes of all entries, words of some.

    {"type": "hetao.account/1", "note": NOTE, "start": N, "path": [HEX, ...],
     "leaves": BASE64, "entries": {"I": TEXT, ...}}

`leaves` are the leaf hashes from `start` on, so that whoever has those before can work
the root out and hold it against the signed note. The words of an entry are given only
where the reader may have them. `path` leads from the tree of size `start` to the
note's, so that a log that tells another history convicts itself.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

from hetao.errors import Unverified
from hetao.ledger.log import Log
from hetao.ledger.merkle import HASH_BYTES, LARGEST_SIZE, consistency_ranges, leaf_hash
from hetao.ledger.note import Checkpoint, parse_checkpoint, parse_note

TYPE: Final = "hetao.account/1"
ENTRY_TYPE: Final = "hetao.entry/1"
MOST: Final = 65_536  # leaves in one account …
ROOM: Final = 12 * 2**20  # … and bytes of them and of words, as they travel
LEAF_BYTES: Final = 44  # in base64
TILE: Final = 256
FIELDS: Final = {"type", "note", "start", "path", "leaves", "entries"}

Shows = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Account:
    """What a log tells; nothing of it is verified yet.

    Attributes:
        note: the log's signed checkpoint.
        start: the size from which it tells.
        leaves: the leaf hashes from there on, at most MOST.
        entries: index → words of an entry among them.
        path: from the tree of size `start` to the note's, with the old root before it
            where `start` is a power of two; empty where there is nothing to show.
    """

    note: str
    start: int
    leaves: tuple[bytes, ...]
    entries: Mapping[int, bytes] = field(default_factory=dict)
    path: tuple[bytes, ...] = ()

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """What the note claims."""
        return parse_checkpoint(parse_note(self.note)[0])

    def within(self, room: int) -> "Account":
        """Return as much of it, from its start on, as so many bytes hold.

        One leaf at least, so that whoever asks again gets on.
        """
        for count in range(len(self.leaves)):
            words = self.entries.get(self.start + count, b"")
            room -= LEAF_BYTES + 2 * len(words)  # quotes are escaped on their way
            if room < 0:
                stop = self.start + max(count, 1)
                entries = {i: text for i, text in self.entries.items() if i < stop}
                leaves = self.leaves[: max(count, 1)]
                return replace(self, leaves=leaves, entries=entries)
        return self

    def as_json(self) -> dict[str, Any]:
        """Return the form that stands in messages."""
        return {
            "type": TYPE,
            "note": self.note,
            "start": self.start,
            "path": [one.hex() for one in self.path],
            "leaves": base64.b64encode(b"".join(self.leaves)).decode(),
            "entries": {str(i): text.decode() for i, text in self.entries.items()},
        }


def account_from(value: object) -> Account:
    """Return the account of a message's object.

    Raises:
        Unverified: it is malformed, or an entry's words are not those of its hash.
    """
    if not isinstance(value, dict) or value.keys() != FIELDS:
        raise Unverified("an account of a log is malformed")
    try:
        match value:
            case {
                "type": str(kind),
                "note": str(note),
                "start": int(start),
                "path": list(path),
                "leaves": str(leaves),
                "entries": dict(entries),
            } if kind == TYPE and type(start) is int:
                raw = base64.b64decode(leaves, validate=True)
                found = Account(
                    note,
                    start,
                    tuple(raw[at : at + HASH_BYTES] for at in range(0, len(raw), 32)),
                    {int(i): text.encode() for i, text in entries.items()},
                    tuple(bytes.fromhex(one) for one in path),
                )
                _check_form(found)
                return found
    except (ValueError, TypeError, AttributeError) as error:
        raise Unverified("an account of a log is malformed") from error
    raise Unverified("an account of a log is malformed")


def _check_form(account: Account) -> None:
    leaves, end = account.leaves, account.start + len(account.leaves)
    if len(leaves) > MOST or any(len(one) != HASH_BYTES for one in leaves):
        raise ValueError
    if not 0 <= account.start <= LARGEST_SIZE or end > account.checkpoint.size:
        raise ValueError
    for i, text in account.entries.items():
        if not account.start <= i < end:
            raise ValueError
        if leaf_hash(text) != leaves[i - account.start]:
            raise Unverified("an entry's words are not those of its hash")


def account_of(log: Log, start: int, shows: Shows, room: int = ROOM) -> Account:
    """Return what a log tells from a size on, as much as one account holds.

    Args:
        log: the teller's own.
        start: the size that the reader has; more than the log has tells nothing.
        shows: says of an entry's fields whether the reader may have its words.
        room: bytes of leaves and words.
    """
    note = log.checkpoint()
    size = parse_checkpoint(parse_note(note)[0]).size
    start = min(start, size)
    stop = min(size, start + MOST)
    leaves = _leaves(log, start, stop)
    entries = {
        start + k: entry
        for k, entry in enumerate(log.entries(start, stop) if stop > start else [])
        if entry and leaf_hash(entry) == leaves[k] and shown(entry, shows)
    }
    told = Account(note, start, leaves, entries, _path(log, start, size))
    return told.within(room)


def _path(log: Log, start: int, size: int) -> tuple[bytes, ...]:
    if not 0 < start < size or not consistency_ranges(start, size):
        return ()
    path = log.consistency(start, size)
    if start & (start - 1):
        return tuple(path)
    return (log.root(start), *path)


def _leaves(log: Log, start: int, stop: int) -> tuple[bytes, ...]:
    found: list[bytes] = []
    at = start
    while at < stop:
        number, first = divmod(at, TILE)
        width = min(TILE, stop - number * TILE)
        data = log.tile(0, number, width)
        found += [data[k : k + 32] for k in range(first * 32, len(data), 32)]
        at = number * TILE + width
    return tuple(found)


def shown(entry: bytes, shows: Shows) -> bool:
    """Return whether a reader may have the words of an entry."""
    fields = fields_of(entry)
    return fields is not None and shows(fields)


def fields_of(entry: bytes) -> Mapping[str, Any] | None:
    """Return the fields of an audit record; None for any other entry.

    Audit records name who sent what to whom in which study, and hold no payload.
    """
    if not entry.startswith(b'{"') or len(entry) > 2**14:
        return None
    try:
        value = json.loads(entry)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or value.get("type") != ENTRY_TYPE:
        return None
    return value
