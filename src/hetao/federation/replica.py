"""What a party keeps of everybody else's log, so that nobody can rewrite theirs alone.

A party keeps, of each log of its own list, all leaf hashes, the words of the audit
records that concern it, the last checkpoint that its log signed, and every checkpoint
that came with a message and is not reached yet. Whatever is told anew must begin with
what is here. What does not is a finding: it is kept, said, and proved by a file
wherever two signed checkpoints prove it (`hetao.ledger.fraud`).

Trusted: whoever can write this party's files can make it forget; not the others.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from hetao.errors import BadEnvelope, HetaoError, NotAParty, Unverified
from hetao.federation.store import Store
from hetao.ledger.account import MOST, ROOM, Account, Shows, fields_of, shown
from hetao.ledger.envelope import Header
from hetao.ledger.fraud import write_fraud
from hetao.ledger.merkle import consistency_path
from hetao.ledger.merkle import root as root_of
from hetao.ledger.note import (
    LOG_SIGNATURE,
    Checkpoint,
    Verifier,
    checkpoint_of,
    open_note,
    shortened,
)
from hetao.permit import Directory

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS replica (
    origin TEXT NOT NULL,
    i INTEGER NOT NULL,
    leaf BLOB NOT NULL,
    entry BLOB,
    PRIMARY KEY (origin, i)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS told (
    origin TEXT NOT NULL,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (origin, size, root)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fault (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    origin TEXT NOT NULL,
    said TEXT NOT NULL UNIQUE
) STRICT;
"""
ROLES: Final = ("site", "hub", "coordinator")
MOST_AHEAD: Final = 2**20  # entries that a checkpoint may be ahead and be followed …
MOST_PENDING: Final = 2**28  # … and bytes told before they are held against it
MOST_HELD: Final = 2**10  # checkpoints of one log that are kept and not reached
MOST_SOUND: Final = 2**14  # notes that are known again without their signature


@dataclass(frozen=True)
class Fault:
    """Something that a party told and that cannot stand beside what was told before.

    Attributes:
        origin: whose fault it is.
        said: the sentence, with the name of the fraud proof if there is one.
    """

    origin: str
    said: str


@dataclass(frozen=True)
class Kept:
    """What a party keeps of one log, without its entries.

    Attributes:
        size: how many entries are here, verified.
        told: size, root and note of each checkpoint, in this order.
        is_forked: whether something was found against the log.
    """

    size: int
    told: tuple[tuple[int, bytes, str], ...]
    is_forked: bool


class Replica:
    """A party's copy of the other parties' logs."""

    def __init__(
        self,
        store: Store,
        trusted: Directory,
        me: str,
        folder: Path,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Keep a replica in a party's journal.

        Args:
            store: the journal, made with `SCHEMA` among its tables.
            trusted: the party's own list.
            me: the party's own name; it keeps no copy of its own log.
            folder: where fraud proofs are written.
            say: takes each finding, once.
        """
        self._store, self._trusted, self._me = store, trusted, me
        self._folder, self.say = folder, say
        self._lock = store.lock  # one for both, so that nobody waits for each other
        self._pending: dict[tuple[str, str], list[tuple[bytes, bytes | None]]] = {}
        self._short: set[str] = set()
        self._keys: dict[str, Verifier] = {}
        self._sound: dict[bytes, Checkpoint] = {}  # by digests of verified notes
        self._known: dict[str, Kept] = {}  # what the disk need not be asked again …
        self._undone = store.undone  # … unless a step was taken back since

    @property
    def parties(self) -> tuple[str, ...]:
        """Return whose logs are kept."""
        known = [p for role in ROLES for p in self._trusted.of_role(role)]
        return tuple(party.name for party in known if party.name != self._me)

    def sizes(self, by: str) -> dict[str, int]:
        """Return, of each log, from which size on `by` shall tell."""
        with self._lock:
            return {name: self._have(name, by) for name in self.parties}

    def size(self, origin: str) -> int:
        """Return how many entries of a log are here, verified."""
        with self._lock:
            return self._kept(origin).size

    def records(self, origin: str) -> list[tuple[int, bytes]]:
        """Return the audit records of a log whose words are here, by their places."""
        rows = self._store.rows(
            "SELECT i, entry FROM replica WHERE origin = ? AND entry IS NOT NULL "
            "ORDER BY i",
            (origin,),
        )
        return [(int(i), bytes(entry)) for i, entry in rows]

    def faults(self) -> tuple[Fault, ...]:
        """Return every finding, oldest first."""
        rows = self._store.rows("SELECT origin, said FROM fault ORDER BY place")
        return tuple(Fault(str(origin), str(said)) for origin, said in rows)

    # --- telling ----------------------------------------------------------------------
    def account(
        self, origin: str, start: int, shows: Shows, room: int = ROOM
    ) -> Account | None:
        """Return what is known of a log from a size on; None for nothing.

        It is as much as `room` bytes hold. Of a log with a finding, `notes` are told
        alone: its entries need not fit what a reader has, who would hold it against
        the teller.
        """
        with self._lock:
            kept = self._kept(origin)
            note = self._note_at(origin, size := kept.size)
            if kept.is_forked or not note:
                return None
            start = min(start, size)  # a reader with more holds this against it
            rows = self._rows_from(origin, start) if start < size else []
            path = self._path(origin, start, size)
        leaves = tuple(bytes(leaf) for _, leaf, _ in rows)
        words = {int(i): bytes(entry) for i, _, entry in rows if entry is not None}
        entries = {i: entry for i, entry in words.items() if shown(entry, shows)}
        return Account(note, start, leaves, entries, path).within(room)

    def notes(self) -> list[str]:
        """Return the checkpoints that are not reached, or that contradict each other.

        Whoever hears them beside another history of the same log has the proof. One
        of each log, then a second of each: no log crowds out the others.
        """
        with self._lock:
            of_each = [self._of_interest(name) for name in self.parties]
        return [note for turn in zip_longest(*of_each) for note in turn if note]

    def _of_interest(self, origin: str) -> list[str]:
        kept = self._kept(origin)
        if not kept.is_forked:
            return [note for at, _, note in kept.told if at > kept.size]
        count = Counter(at for at, _, _ in kept.told)  # what proves it comes first
        told = sorted(kept.told, key=lambda one: count[one[0]] < 2)
        return [note for _, _, note in told]

    def doubts(self, origin: str) -> bool:
        """Return whether a log shows less than it told, and is to be asked again."""
        with self._lock:
            return origin in self._short and not self._kept(origin).is_forked

    # --- hearing ----------------------------------------------------------------------
    def learn(self, accounts: Sequence[Account], notes: Sequence[str], by: str) -> None:
        """Take a report, with one wait for the disk.

        Args:
            accounts: each as `take` has it.
            notes: each as `hear` has it.
            by: who tells all of it.

        Raises:
            Unverified, NotAParty: one is of no log of the own list; what stands before
                it is kept.
        """
        refused: HetaoError | None = None
        with self._lock, self._store.transaction():
            try:
                for account in accounts:
                    self.take(account, by)
                for note in notes:
                    self.hear(note)
            except HetaoError as error:
                refused = error
        if refused is not None:
            raise refused

    def hear(self, note: str, of: str = "") -> None:
        """Take a checkpoint, such as comes with a message.

        Args:
            note: the checkpoint.
            of: whose log it must be of; "" for any.

        Raises:
            Unverified, NotAParty: it is no checkpoint of a log of the own list.
        """
        with self._lock:
            tree = self._verified(note)
            if of and tree.origin != of:
                raise Unverified(f"the checkpoint is not of the log of {of}")
            if tree.origin != self._me:
                self._hold(tree, note)

    def hear_from(self, header: Header) -> None:
        """Take the checkpoint that came with an envelope whose sender was verified.

        Raises:
            BadEnvelope: it is not one that the sender's log signed.
        """
        if not header.head and header.sender not in self.parties:
            return  # a person, who keeps no log
        try:
            self.hear(header.head, header.sender)
        except HetaoError as error:
            raise BadEnvelope(
                f"the envelope from {header.sender} bears no checkpoint of its log"
            ) from error

    def take(self, account: Account, by: str) -> None:
        """Take what somebody tells of a log.

        Args:
            account: what is told.
            by: who tells it: the log's own party, or a hub.

        Raises:
            Unverified, NotAParty: its checkpoint is of no log of the own list.
        """
        with self._lock:
            tree = self._verified(account.note)
            name = tree.origin
            if name == self._me:
                return
            if by == name:
                self._look_for_loss(tree)
            self._hold(tree, account.note, account.path)
            kept = self._kept(name)
            if account.start != self._have(name, by) or kept.is_forked:
                self._pending.pop((name, by), None)
                return
            if tree.size == kept.size:
                return
            if tree.size - kept.size > MOST_AHEAD:
                self._pending.pop((name, by), None)
                return
            pending = self._pending.setdefault((name, by), [])
            pending += [
                (leaf, _audit_record(account.entries.get(account.start + k)))
                for k, leaf in enumerate(account.leaves)
            ]
            if self._have(name, by) == tree.size:
                self._settle(tree, by)
            elif sum(len(leaf) + len(text or b"") for leaf, text in pending) > (
                MOST_PENDING
            ):
                del self._pending[name, by]

    def _look_for_loss(self, tree: Checkpoint) -> None:
        """Find a log that twice in a row shows less than it told; once may be late."""
        name = tree.origin
        if tree.size >= self._kept(name).size:
            self._short.discard(name)
        elif name in self._short:
            self._find(name, "it shows fewer entries than it told before")
        else:
            self._short.add(name)

    def _settle(self, tree: Checkpoint, by: str) -> None:
        """Keep what was told if the signed root follows from it."""
        name = tree.origin
        size, pending = self._kept(name).size, self._pending.pop((name, by))
        leaves = [*self._leaves(name, size), *(leaf for leaf, _ in pending)]
        if root_of(leaves) != tree.root:
            self._find(
                by, f"it told entries of {name} that its checkpoint does not hold"
            )
            return
        text = "INSERT INTO replica VALUES (?, ?, ?, ?)"
        rows = [(size + k, leaf, entry) for k, (leaf, entry) in enumerate(pending)]
        grown = replace(self._kept(name), size=size + len(rows))
        self._write(name, *((text, (name, *row)) for row in rows), after=grown)
        for at, root, note in self._kept(name).told:
            if at <= tree.size:
                self._compare(Checkpoint(name, at, root), note, leaves)
        if not (kept := self._kept(name)).is_forked:
            text = "DELETE FROM told WHERE origin = ? AND size < ?"
            left = tuple(row for row in kept.told if row[0] >= tree.size)
            after = replace(kept, told=left)
            self._write(name, (text, (name, tree.size)), after=after)

    def _hold(self, tree: Checkpoint, note: str, path: Sequence[bytes] = ()) -> None:
        """Keep a signed checkpoint, and hold it against everything that is here.

        It is kept under the line that was verified, the first key's: a log's second
        line is long, others' lines are anybody's, and who wants them asks the log.
        """
        name, kept = tree.origin, self._kept(tree.origin)
        size, told, forked = kept.size, kept.told, kept.is_forked
        is_known = (tree.size, tree.root) in {row[:2] for row in told}
        if tree.size == size and is_known:
            return
        note = shortened(note, self._key(name))
        text = "INSERT OR IGNORE INTO told VALUES (?, ?, ?, ?)"
        if not is_known and (len(told) <= MOST_HELD if forked else tree.size >= size):
            row = (tree.size, tree.root, note)
            after = replace(kept, told=tuple(sorted((*told, row))))
            self._write(name, (text, (name, *row)), after=after)
        for at, root, other in told:
            if at == tree.size and root != tree.root:
                self._prove(name, other, note)
        if tree.size <= size:
            self._compare(tree, note, self._leaves(name, size))
        elif path:
            self._prove(name, self._note_at(name, size), note, path)
        if not is_known and len(told) >= MOST_HELD and not self._kept(name).is_forked:
            self._forget_the_farthest(name, size)

    def _forget_the_farthest(self, origin: str, size: int) -> None:
        """Keep the checkpoints that are reached first.

        To have one forgotten, a log must sign so many nearer ones: one of each size,
        and each is held against its entries as soon as they are told.
        """
        text = (
            "DELETE FROM told WHERE origin = ? AND size > (SELECT size FROM told "
            "WHERE origin = ? AND size > ? ORDER BY size LIMIT 1 OFFSET ?)"
        )
        self._write(origin, (text, (origin, origin, size, MOST_HELD - 1)))

    def _compare(self, tree: Checkpoint, note: str, leaves: Sequence[bytes]) -> None:
        """Hold a checkpoint against the entries that are here."""
        known = leaves[: tree.size]
        if not tree.size or root_of(known) == tree.root:
            return
        last = self._note_at(tree.origin, len(leaves))
        path = _full_path(tree.size, leaves)
        self._prove(tree.origin, last, note, path)

    # --- finding ----------------------------------------------------------------------
    def _prove(
        self, origin: str, one: str, other: str, path: Sequence[bytes] = ()
    ) -> None:
        """Find a fork if two checkpoints prove it."""
        proof = write_fraud(self._folder, one, other, path)
        if proof is not None:
            self._find(origin, f"it has two histories, as {proof.name} proves")

    def _find(self, origin: str, what: str) -> None:
        said = f"{origin} changed its records: {what}"
        if Fault(origin, said) not in self.faults():
            text = "INSERT OR IGNORE INTO fault (origin, said) VALUES (?, ?)"
            self._write(origin, (text, (origin, said)))
            self.say(said)

    # --- what is here -----------------------------------------------------------------
    def _verified(self, note: str) -> Checkpoint:
        told = hashlib.sha256(note.encode("utf-8", "surrogatepass")).digest()
        if told in self._sound:  # every hub tells it, in beat after beat
            return self._sound[told]
        tree = checkpoint_of(note)
        key = self._key(tree.origin)
        if key not in open_note(note, [key])[1]:
            raise Unverified(
                f"the note bears no signature of {tree.origin} by the expected key"
            )
        if len(self._sound) >= MOST_SOUND:
            self._sound.clear()
        self._sound[told] = tree
        return tree

    def _key(self, origin: str) -> Verifier:
        """Return the key that a log's checkpoints are held against."""
        if origin not in self._keys:
            try:
                party = self._trusted[origin]
            except HetaoError as error:
                raise NotAParty("a checkpoint is of nobody in the own list") from error
            if party.role not in ROLES:
                raise Unverified(f"{origin} keeps no log")
            self._keys[origin] = Verifier.of(origin, party.sign_key, LOG_SIGNATURE)
        return self._keys[origin]

    def _kept(self, origin: str) -> Kept:
        """Return what is kept of a log; the disk is asked after a change alone."""
        if self._undone != self._store.undone:
            self._known.clear()
            self._undone = self._store.undone
        if origin not in self._known:
            text = (
                "SELECT coalesce(max(i) + 1, 0), EXISTS "
                "(SELECT 1 FROM fault WHERE origin = ?1) FROM replica WHERE origin = ?1"
            )
            ((size, forked),) = self._store.rows(text, (origin,))
            text = "SELECT size, root, note FROM told WHERE origin = ? ORDER BY 1, 2"
            rows = self._store.rows(text, (origin,))
            told = ((int(at), bytes(root), str(note)) for at, root, note in rows)
            self._known[origin] = Kept(int(size), tuple(told), bool(forked))
        return self._known[origin]

    def _write(
        self,
        origin: str,
        *statements: tuple[str, tuple[Any, ...]],
        after: Kept | None = None,
    ) -> None:
        """Write what is kept of a log; `after` is that, None if it is to be read."""
        self._known.pop(origin, None)
        self._store.write(statements)
        if after is not None:
            self._known[origin] = after

    def _have(self, origin: str, by: str) -> int:
        return self._kept(origin).size + len(self._pending.get((origin, by), ()))

    def _leaves(self, origin: str, size: int) -> list[bytes]:
        rows = self._store.rows(
            "SELECT leaf FROM replica WHERE origin = ? AND i < ? ORDER BY i",
            (origin, size),
        )
        return [bytes(leaf) for (leaf,) in rows]

    def _path(self, origin: str, start: int, size: int) -> tuple[bytes, ...]:
        if not 0 < start < size:
            return ()
        return _full_path(start, self._leaves(origin, size))

    def _rows_from(self, origin: str, start: int) -> list[tuple[Any, ...]]:
        return self._store.rows(
            "SELECT i, leaf, entry FROM replica WHERE origin = ? AND i >= ? "
            "ORDER BY i LIMIT ?",
            (origin, start, MOST),
        )

    def _note_at(self, origin: str, size: int) -> str:
        """Return the checkpoint of a size; of several, that of the entries here."""
        notes = {root: note for at, root, note in self._kept(origin).told if at == size}
        if len(notes) < 2:
            return next(iter(notes.values()), "")
        return notes.get(root_of(self._leaves(origin, size)), "")


def _full_path(old: int, leaves: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the consistency path, with the old root where it is left out."""
    if not 0 < old < len(leaves):
        return ()
    first = [] if old & (old - 1) else [root_of(leaves[:old])]
    return (*first, *consistency_path(old, leaves))


def _audit_record(entry: bytes | None) -> bytes | None:
    """Return an entry's words if an audit record's: no others are kept or told on."""
    return entry if entry is not None and fields_of(entry) is not None else None
