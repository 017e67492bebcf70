"""The append-only log: entries and tree in one SQLite file, the head in another place.

The log's file holds entries, tiles and unsigned roots (`tiles`); the head (`head`)
holds the one checkpoint that was signed last. An append takes these steps, and the
log's size is what the head says, so that nobody sees a step half done:

1. lock the file; read the head, and check that the file extends it
2. write entries, tiles and root; commit, which waits for the disk
3. sign the new root
4. swap it into the head for the one that was read, which waits for the disk; if another
   process was first, check that its checkpoint is of this log; only now return

Callers that append at the same time share one such course: whoever comes first carries
it out for all who wait by then.

A crash between 2 and 4 leaves a file that is longer than its head: the next to write
checks it and signs it too. A file that is shorter than its head, or differs from it, is
a restored backup and is refused: to sign on it would be to sign a second history. A
backup that restored the head as well is found by asking the witnesses, `seen`.

Trusted: whoever can write these places can add or withhold entries, but can change
none that a witness has seen without being found out; whoever holds the key can sign
two histories, and only witnesses can show it.
"""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Self

from hetao.errors import HetaoError, InvalidData, Unverified, Usage
from hetao.ledger.durable import (
    Connect,
    Database,
    connect,
    create_store,
    open_store,
    writing,
)
from hetao.ledger.fsck import faults
from hetao.ledger.head import FileHead, Head
from hetao.ledger.log_signer import LogKeys, LogSigner, signer_of
from hetao.ledger.merkle import (
    EMPTY_ROOT,
    consistency_ranges,
    inclusion_ranges,
    leaf_hashes_of,
)
from hetao.ledger.note import Checkpoint, Verifier, shortened
from hetao.ledger.queue import Ticket, group_of
from hetao.ledger.redaction import Redaction, is_redaction, redaction_entry
from hetao.ledger.tiles import (
    LOG_SCHEMA,
    LONGEST_ENTRY,
    TILE_WIDTH,
    Kept,
    Tiles,
    check_edge,
    pack,
    read_entries,
    runs,
    stored,
    tile_bytes,
    unpack,
    write_entries,
    write_tiles,
)

_PATIENCE_SECONDS = 0.0002  # while others still come, a commit waits so long for more


@dataclass(frozen=True)
class Sighting:
    """What a witness cosigned last of a log.

    Attributes:
        witness: its name.
        size: of the checkpoint.
        root: of the checkpoint; None where the witness tells only the size.
    """

    witness: str
    size: int
    root: bytes | None = None


Consistency = Callable[[int, int], list[bytes]]
Seen = Callable[[str, Consistency], Iterable[Sighting]]


class Log:
    """An append-only list of entries, each provable against one signed checkpoint.

    Several threads may share one Log, and several processes one file; after a fork
    the child opens its own. `size` counts what the last signed checkpoint covers.
    """

    def __init__(
        self,
        writer: Database,
        reader: Database,
        head: Head,
        signer: LogSigner,
    ) -> None:
        """Take over what was opened; use `Log.open`."""
        self._writer, self._reader, self._head = writer, reader, head
        self._signer, self._origin = signer, signer.origin
        self._writing, self._reading = threading.RLock(), threading.RLock()
        self._kept = Kept(reader)
        self._known: tuple[str, Checkpoint] | None = None  # a note found to be ours
        self._queue: list[Ticket] = []
        self._queued = threading.Lock()
        self._is_led, self._last_group = False, 1

    @classmethod
    def open(
        cls,
        path: Path,
        origin: str,
        key: LogKeys,
        *,
        head: Head | None = None,
        seen: Seen = lambda *_: (),
        opener: Connect = connect,
    ) -> Self:
        """Return the log in this file, made anew (mode 0600) where there is none.

        The root is checked against the stored tiles; `fsck` checks every entry.

        Args:
            path: the log's file, in a folder that exists.
            origin: the log's name, in every checkpoint and signature line.
            key: what signs the checkpoints; a pair where a second key signs beside it.
            head: where it keeps what it signed last, closed with the log; the file
                `<path>.head` if left out, which a backup of the folder restores too.
            seen: asks witnesses what they cosigned last, of note and `consistency`.
            opener: connects to the log's file, and to `<path>.head`.

        Raises:
            InvalidData: the folder is missing, the file is no log, or it is the log
                of another origin or key.
            Unverified: the file does not hold what was signed: it is an older copy,
                was changed, lost its head, or was signed by another key; or it is
                older than what a witness has seen.
        """
        empty, signer = (
            Checkpoint(origin, 0, EMPTY_ROOT),
            signer_of(origin, key),
        )
        head = head or FileHead(path.with_name(path.name + ".head"), opener)
        with contextlib.ExitStack() as stack:
            stack.callback(head.close)
            # The head comes first and the log second, so that a log without a head
            # has lost it, and is never one that is still being made.
            if not path.exists():
                if head.read() is None:
                    head.swap(None, signer.sign(empty))
                _make(path, signer.verified(head.read()), signer)
            writer = open_store(path, LOG_SCHEMA, opener)
            stack.callback(writer.close)
            reader = open_store(path, LOG_SCHEMA, opener)
            stack.callback(reader.close)
            log = cls(writer, reader, head, signer)
            log._check()
            log.compare(seen(log.checkpoint(), log.consistency))
            stack.pop_all()
        return log

    def __enter__(self) -> Self:
        """Return the log itself, to be closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the log."""
        self.close()

    def close(self) -> None:
        """Close file and head; nothing is lost if this never happens."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()
            self._head.close()

    @property
    def origin(self) -> str:
        """The log's name."""
        return self._origin

    @property
    def size(self) -> int:
        """How many entries the last signed checkpoint covers."""
        return self._signed()[1].size

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        """What others are given to verify the log: Ed25519, and ML-DSA-44 if it has."""
        return self._signer.verifiers

    def checkpoint(self) -> str:
        """Return the last signed checkpoint, a note; it covers all `size` entries."""
        return self._signed()[0]

    def short_checkpoint(self) -> str:
        """Return it under the first key's line alone, as it stands in messages."""
        return shortened(self.checkpoint(), self.verifiers[0])

    def own_checkpoint(self) -> str:
        """Return it under its own keys' lines, as it stands in a certificate."""
        return shortened(self.checkpoint(), *self.verifiers)

    def append(self, entries: Sequence[bytes]) -> int:
        """Add entries, all or none, and return the index of the first.

        When this returns, entries and checkpoint are on disk. When it raises an error
        of the disk or of SQLite, the entries may still be found in the log later.

        Raises:
            InvalidData: an entry is not bytes, or longer than 65,535.
            Unverified: the file no longer holds what was signed.
        """
        ticket = Ticket(list(entries))
        if {*map(type, ticket.entries)} - {bytes} or (
            max(map(len, ticket.entries), default=0) > LONGEST_ENTRY
        ):
            raise InvalidData("an entry is not bytes, or longer than 65,535")
        with self._queued:
            self._queue.append(ticket)
            if self._is_led:
                ticket.turn.acquire()
            self._is_led, ticket.leads = True, not self._is_led
        try:
            if not ticket.leads:
                ticket.turn.acquire()  # until it is done, or this caller is to lead
            if not ticket.is_done:
                self._lead()
        finally:
            if ticket.leads or not ticket.is_done:
                self._leave(ticket)
        if ticket.error is not None:
            raise ticket.error
        return ticket.first

    def redact(self, i: int) -> int:
        """Take the payload of one entry out, for good; return where the log says so.

        Its leaf hash stays in the tree, so every proof holds as before. A second time
        finishes what a crash cut short, and adds nothing.

        Raises:
            Usage: there is no entry with this index, it is empty or itself says that
                another was redacted; or a reader of the file keeps it as it was.
            Unverified: the file no longer holds what was signed.
        """
        with self._writing:
            row = "SELECT at FROM redaction WHERE i = ?"
            at = self._writer.execute(row, (i,)).fetchone()
            place = at[0] if at else self._redact(i)
            self._empty_wal()  # which still holds the payload's pages
        return int(place)

    def redactions(self) -> list[int]:
        """Return the indices of all entries whose payload is gone, in order."""
        with self._reading:
            found = self._reader.execute("SELECT i, at FROM redaction ORDER BY i")
            rows = found.fetchall()
        size = self.size
        return [i for i, at in rows if at < size]

    def entry(self, i: int) -> bytes:
        """Return one entry; nothing but b"" where it was redacted.

        Raises:
            Usage: there is none with this index.
        """
        return self.entries(i, i + 1)[0]

    def entries(self, start: int, stop: int) -> list[bytes]:
        """Return the entries from `start` up to, not including, `stop`.

        Raises:
            Usage: the range is not within the log.
        """
        if not 0 <= start <= stop <= self.size:
            raise Usage("the log has no entries in this range")
        with self._reading:
            return read_entries(self._reader, start, stop)

    def tile(self, level: int, number: int, width: int = TILE_WIDTH) -> bytes:
        """Return so many hashes of a tile, behind each other, as C2SP tlog-tiles.

        Raises:
            Usage: the log has no such tile of this width.
        """
        size = self.size >> (8 * level) if 0 <= level < 8 else 0
        _require_width(number, width, size)
        with self._reading:
            data = tile_bytes(self._reader, level, number)[: width * 32]
        if len(data) != width * 32:
            raise Unverified(f"the log lacks hashes of tile {level}/{number}")
        return data

    def bundle(self, number: int, width: int = TILE_WIDTH) -> bytes:
        """Return so many entries of a bundle, as C2SP tlog-tiles has them.

        Raises:
            Usage: the log has no such bundle of this width.
        """
        _require_width(number, width, self.size)
        start = number * TILE_WIDTH
        return pack(self.entries(start, start + width))

    def inclusion(self, i: int, size: int | None = None) -> list[bytes]:
        """Return the path from entry `i` to the root of the first `size` entries.

        Raises:
            Usage: the log never had this size, or not this entry at it.
        """
        current = self.size
        return self._roots(inclusion_ranges(i, _within(size, current)), current)

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """Return the proof that the first `new` entries extend the first `old`.

        Raises:
            Usage: the log never had one of these sizes, or `old` is the larger.
        """
        current = self.size
        return self._roots(consistency_ranges(old, _within(new, current)), current)

    def root(self, size: int) -> bytes:
        """Return the root of the first `size` entries.

        Raises:
            Usage: the log never had this size.
        """
        current = self.size
        return self._roots([(0, _within(size, current))], current)[0]

    def compare(self, sightings: Iterable[Sighting]) -> None:
        """Return when this log is what the witnesses have seen, or has grown from it.

        Raises:
            Unverified: a witness has seen more, or another tree.
        """
        size = self.size
        for sighting in sightings:
            if sighting.size > size:
                raise Unverified(
                    f"{sighting.witness} has seen more of this log than it holds",
                    fix="do not sign on: log and head are an older copy",
                )
            if sighting.root is None or not sighting.size:
                continue
            with self._reading:
                root = self._kept.look(size).root(0, sighting.size)
            if root != sighting.root:
                raise Unverified(
                    f"{sighting.witness} has seen another tree of this log",
                    fix="do not sign on: keep both checkpoints as evidence of a fork",
                )

    def fsck(self) -> None:
        """Hash every entry again and return when all tiles and roots follow from them.

        Reads one state of the log; other processes may append meanwhile.

        Raises:
            Unverified: something stored does not follow; it names what.
        """
        for fault in self.faults():
            raise Unverified(fault)

    def faults(self) -> Iterator[str]:
        """Yield what `fsck` finds wrong, a sentence each."""
        with self._reading:
            signed = self._signed()[1]
            self._reader.execute("BEGIN")
            try:
                yield from faults(self._reader, signed, self._signer.key.public_key())
            finally:
                self._reader.execute("ROLLBACK")

    # --- Reading ----------------------------------------------------------------------
    def _signed(self) -> tuple[str, Checkpoint]:
        """Return the head's note, found to be this log's, and its checkpoint."""
        note, known = self._head.read(), self._known
        if known is None or known[0] != note:
            self._known = known = note or "", self._signer.verified(note)
        return known

    def _roots(self, ranges: list[tuple[int, int]], size: int) -> list[bytes]:
        with self._reading:
            look = self._kept.look(size)
            return [look.root(start, stop) for start, stop in ranges]

    # --- Writing ----------------------------------------------------------------------
    def _check(self) -> None:
        identity = self._writer.execute("SELECT origin, public_key FROM log").fetchall()
        if identity != [(self._origin, self._signer.verifiers[0].public)]:
            raise InvalidData("the file is the log of another origin or another key")
        with self._writing:
            self._caught_up()

    def _lead(self) -> None:
        """Commit for all who wait by now; an error is each one's error."""
        self._gather()
        with self._writing:
            with self._queued:
                group = group_of(self._queue)
                del self._queue[: len(group)]
            error: BaseException | None = Unverified(
                "the append was interrupted, and its entries may still be found later",
                fix="look for them in the log before you append them again",
            )
            try:
                self._commit(group)
                error = None
            except (HetaoError, sqlite3.Error, OSError) as problem:
                error = problem
                raise
            finally:
                self._last_group = len(group)
                for ticket in group:
                    ticket.error, ticket.is_done = error, True
                    if not ticket.leads:
                        ticket.turn.release()

    def _leave(self, ticket: Ticket) -> None:
        """Let the next of those who wait lead, when who led is done or interrupted."""
        with self._queued:
            if ticket in self._queue:
                self._queue.remove(ticket)
            if ticket.leads and self._queue:
                self._queue[0].leads = True
                self._queue[0].turn.release()
            elif ticket.leads:
                self._is_led = False

    def _gather(self) -> None:
        """Wait a little while others still come, where the last time others came."""
        waiting = 0
        while waiting < len(self._queue) < self._last_group:
            waiting = len(self._queue)
            time.sleep(_PATIENCE_SECONDS)

    def _commit(self, group: list[Ticket]) -> None:
        batch = list(chain.from_iterable(ticket.entries for ticket in group))
        if not batch:
            first = self._caught_up().size
        else:
            with writing(self._writer):  # 1
                note, found = self._extended()
                first = found.size
                new = self._write(first, batch)  # 2
            self._publish(note, new)
        for ticket in group:
            ticket.first = first
            first += len(ticket.entries)

    def _redact(self, i: int) -> int:
        with writing(self._writer):
            note, found = self._extended()
            if not 0 <= i < found.size:
                raise Usage("the log has no entry with this index")
            start, stop, data = runs(self._writer, i, i + 1)[0]
            before = unpack(data)[: i - start + 1]
            payload = before.pop()
            if not payload or is_redaction(payload):
                raise Usage("the entry is empty or a redaction, and stays as it is")
            offset = len(pack(before))
            gone = Redaction(i, Tiles(self._writer).leaf(i))
            new = self._write(
                found.size, [redaction_entry(gone, self._origin, self._signer.key)]
            )
            self._writer.execute(
                "INSERT INTO redaction VALUES(?, ?, ?, ?, ?)",
                (i, found.size, len(data), offset, len(payload)),
            )
            left = data[:offset] + b"\0\0" + data[offset + 2 + len(payload) :]
            self._writer.execute(
                "UPDATE entries SET bytes = ? WHERE start = ? AND stop = ?",
                (left, start, stop),
            )
        self._publish(note, new)
        return found.size

    def _extended(self) -> tuple[str, Checkpoint]:
        """Return the head's note, and the file's checkpoint, which extends it.

        The caller holds the file's lock, or it would change meanwhile.

        Raises:
            Unverified: the file is not the signed one, nor an extension of it.
        """
        note, signed = self._signed()
        found = stored(self._writer, self._origin)
        if found != signed:
            self._require_extends(found, signed)
            check_edge(self._writer, found)
        return note, found

    def _require_extends(self, found: Checkpoint, signed: Checkpoint) -> None:
        if found.size <= signed.size and found != signed:
            raise Unverified(
                "the log is older than its last signed checkpoint, or differs from it",
                fix="do not sign on: bring back the newest copy of log and head",
            )
        if Tiles(self._writer).root(0, signed.size) != signed.root:
            raise Unverified("the log does not extend its last signed checkpoint")

    def _caught_up(self) -> Checkpoint:
        """Return the signed checkpoint, after signing what a crash left unsigned."""
        with writing(self._writer):
            note, found = self._extended()
            check_edge(self._writer, found)
            is_signed = found == self._signed()[1]
        if not is_signed:
            # A writer that was killed may have left frames that the disk does not have
            # yet, or never will: SQLite reads them back without waiting. Signing comes
            # after the disk.
            self._empty_wal()
            version = self._writer.execute("PRAGMA user_version").fetchone()[0]
            # The next commit begins the WAL anew, and nothing of the old one counts.
            turn = f"PRAGMA user_version = {(version + 1) % 2**31}"
            self._writer.execute(turn)
            self._publish(note, found)
        return found

    def _empty_wal(self) -> None:
        """Write what the WAL holds into the file itself, on the disk, and empty it."""
        if self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            raise Usage(
                "a reader holds the log's file as it was, and it cannot be brought up",
                fix="end that reader, then try again",
            )

    def _write(self, size: int, batch: list[bytes]) -> Checkpoint:
        write_entries(self._writer, size, batch)
        write_tiles(self._writer, size, leaf_hashes_of(batch))
        grown = size + len(batch)
        row = (grown, Tiles(self._writer).root(0, grown))
        self._writer.execute("INSERT INTO checkpoint VALUES(?, ?)", row)
        return Checkpoint(self._origin, *row)

    def _publish(self, old: str, new: Checkpoint) -> None:
        """Sign a checkpoint that is on disk; have the head hold it or a later one."""
        note = self._signer.sign(new)  # 3
        while not self._head.swap(old, note):  # 4
            old, signed = self._signed()
            self._require_extends(stored(self._writer, self._origin), signed)
            if signed.size >= new.size:
                return
        self._known = note, new


def _within(size: int | None, current: int) -> int:
    if size is not None and not 0 <= size <= current:
        raise Usage("the log was never of this size")
    return current if size is None else size


def _require_width(number: int, width: int, size: int) -> None:
    start = number * TILE_WIDTH
    if number < 0 or not 0 < width <= TILE_WIDTH or start + width > size:
        raise Usage("the log has no such tile or bundle of this width")


def _make(path: Path, signed: Checkpoint, signer: LogSigner) -> None:
    if signed.size:
        if path.exists():  # another process was quicker, and has used it already
            return
        raise Unverified("the log is gone, but its head says it had entries")
    identity = (signed.origin, signer.verifiers[0].public)
    create_store(path, LOG_SCHEMA, "INSERT INTO log VALUES(?, ?)", identity)
