"""A log as one reader is shown it, held to what it showed that reader before.

A reader keeps a folder: the checkpoint that it accepted last, and every other one that
the log signed and that it refused. Two readers who compare their folders find a log
that shows each of them another history; two checkpoints that contradict each other are
a proof for anybody (`hetao.ledger.fraud`).

Trusted: whoever can write the folder can make its reader forget what it was shown.
"""

import http.client
import os
import ssl
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from hetao.alone import alone
from hetao.canonical import digest_bytes
from hetao.errors import InvalidData, Unreachable, Unverified, Usage
from hetao.ledger.fraud import write_fraud
from hetao.ledger.merkle import HASH_BYTES, consistency_ranges, roots_over
from hetao.ledger.note import (
    Checkpoint,
    Verifier,
    checkpoint_of,
    open_note,
    parse_checkpoint,
)
from hetao.ledger.policy import Policy
from hetao.ledger.tiles import TILE_HEIGHT, TILE_WIDTH, Tiles
from hetao.transparency.client import PATIENCE_SECONDS
from hetao.transparency.static import CHECKPOINT, Place

ACCEPTED: Final = "accepted"
SHOWN: Final = "shown-"
LARGEST: Final = 2**20  # bytes of one file

Reads = Callable[[str], bytes]


def reader_of(place: str, tls: ssl.SSLContext | None = None) -> Reads:
    """Return what reads a static file of a log by its name.

    Args:
        place: an https address (http on this machine alone), or a folder.
        tls: how to trust the server; None for the system's authorities.

    Raises:
        InvalidData: the address is of another kind.
    """
    parts = urlsplit(place)
    if "://" not in place:
        return _in_folder(Path(place))
    is_here = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_here):
        raise InvalidData(
            "a log is read over https, or on this machine", fix="give its https address"
        )
    handlers = [urllib.request.HTTPSHandler(context=tls)] if tls else []
    opener = urllib.request.build_opener(*handlers)

    def read(name: str) -> bytes:
        target = f"{place.rstrip('/')}/{name}"
        try:
            with opener.open(target, timeout=PATIENCE_SECONDS) as reply:
                data: bytes = reply.read(LARGEST + 1)
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise Unreachable(
                f"the log does not give its {name}", local=repr(error)
            ) from error
        return _bounded(data)

    return read


def _in_folder(folder: Path) -> Reads:
    def read(name: str) -> bytes:
        try:
            return _bounded((folder / name).read_bytes())
        except OSError as error:
            raise Unreachable(f"the folder of the log has no {name}") from error

    return read


def _bounded(data: bytes) -> bytes:
    if len(data) > LARGEST:
        raise Unverified("a file of the log is larger than it can be")
    return data


class ShownTiles(Tiles):
    """The hashes of a log of one size, as it shows them; nothing is believed yet."""

    def __init__(self, read: Reads, size: int) -> None:
        """Read tiles when they are asked for, each once."""
        self._read, self._size = read, size
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def path(self, old: int) -> tuple[bytes, ...]:
        """Return the hashes from a smaller size to this one, for `roots_over`.

        Raises:
            Unverified, Unreachable: the log does not show them.
        """
        ranges = consistency_ranges(old, self._size)
        path = [self.root(start, stop) for start, stop in ranges]
        whole = [] if old & (old - 1) else [self.root(0, old)]
        return (*whole, *path)

    def _tile(self, level: int, number: int) -> list[bytes]:
        if (level, number) not in self._tiles:
            there = (self._size >> TILE_HEIGHT * level) - number * TILE_WIDTH
            width = min(there, TILE_WIDTH)
            data = self._shown(Place(level, number, width))
            hashes = [data[at : at + HASH_BYTES] for at in range(0, len(data), 32)]
            self._tiles[level, number] = hashes[:width]
        return self._tiles[level, number]

    def _shown(self, place: Place) -> bytes:
        try:
            return self._read(place.path)
        except Unreachable:
            if place.width == TILE_WIDTH:
                raise
            # The log has grown, and its short tile is a whole one by now.
            return self._read(Place(place.level, place.number).path)


@dataclass(frozen=True)
class Reader:
    """Somebody who follows one log.

    Attributes:
        folder: what it was shown; made where it is missing.
        policy: whose word counts, the reader's own.
    """

    folder: Path
    policy: Policy

    @property
    def is_following(self) -> bool:
        """Return whether something of the log was accepted before."""
        return (self.folder / ACCEPTED).exists()

    def follow(self, read: Reads) -> Checkpoint:
        """Return what the log shows now, accepted, and keep it.

        Args:
            read: the log's static files.

        Raises:
            Unverified: it does not hold under the policy, is smaller than what was
                accepted, or does not grow from it; what the log signed is kept for
                others to compare, and a proof of two histories is written.
            Unreachable: the log does not answer, or not with what leads to what it
                signed, which is kept too.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with alone(self.folder):  # else two at once could be shown two histories
            return self._follow(read)

    def _follow(self, read: Reads) -> Checkpoint:
        note = _text(read(CHECKPOINT))
        try:
            new = self.policy.check(note).checkpoint
            self._held(new, note, read)
        except (Unverified, Unreachable):
            # Also what the log does not show the hashes of: that may be a fork.
            if _is_signed(note, self.policy.logs):
                self._keep(note)
            raise
        _write(self.folder / ACCEPTED, note)
        return new

    def _held(self, new: Checkpoint, note: str, read: Reads) -> None:
        """Hold what is shown to what was accepted last."""
        if not self.is_following:
            return
        known = (self.folder / ACCEPTED).read_text("utf-8")
        old = checkpoint_of(known)
        if old.origin != new.origin:
            raise Unverified("this is another log than the one that is followed")
        if new.size < old.size:
            raise Unverified(
                f"the log shows {new.size} entries, and showed {old.size} before",
                fix="ask others what they are shown, and compare: hetao log compare",
            )
        between = hashes_between(old, new, read)
        _refuse_fork(self.folder, known, note, between)

    def _keep(self, note: str) -> None:
        name = digest_bytes(checkpoint_of(note).text.encode())
        short = name.removeprefix("sha256:")[:16]
        _write(self.folder / f"{SHOWN}{short}", note)


def hashes_between(
    one: Checkpoint, other: Checkpoint, read: Reads | None
) -> tuple[bytes, ...]:
    """Return the hashes that lead from the smaller tree to the larger one.

    Args:
        one: a checkpoint.
        other: another one of the same log.
        read: the static files of the log that showed the larger one.

    Raises:
        Usage: they are needed, and there are none.
        Unverified: they do not lead to the larger tree.
        Unreachable: the log does not show them.
    """
    old, new = sorted((one, other), key=lambda tree: tree.size)
    if old.size in (0, new.size):
        return ()
    if read is None:
        raise Usage(
            "two checkpoints of two sizes say nothing without the log's hashes",
            fix="name who showed the larger one, with --tiles",
        )
    path = ShownTiles(read, new.size).path(old.size)
    if roots_over(old.size, new.size, path)[1] != new.root:
        raise Unverified("the log's hashes do not lead to the larger checkpoint")
    return path


def compare(
    notes: Iterable[str], logs: Iterable[Verifier], out: Path, read: Reads | None
) -> int:
    """Return how many checkpoints there are, when all are of one history.

    Args:
        notes: what readers were shown, all of one log.
        logs: keys of the log, the caller's own.
        out: the folder for a proof of two histories.
        read: the static files of the log that showed the largest.

    Raises:
        Unverified: the log did not sign one, they are of two logs, or two contradict
            each other, of which a proof is written.
        Usage, Unreachable: hashes between two sizes are needed, and not to be had.
    """
    own = tuple(logs)
    found = {checkpoint_of(note): note for note in notes}
    if any(not _is_signed(note, own) for note in found.values()):
        raise Unverified("a checkpoint is not signed by the log that you name")
    if len({tree.origin for tree in found}) > 1:
        raise Unverified("the checkpoints are of several logs")
    trees = sorted(found, key=lambda tree: tree.size)
    for old, new in pairwise(trees):
        if old.size == new.size:  # at once, whatever else is missing
            _refuse_fork(out, found[old], found[new], ())
    for old in trees[:-1]:
        between = hashes_between(old, trees[-1], read)
        _refuse_fork(out, found[old], found[trees[-1]], between)
    return len(trees)


def notes_at(place: Path) -> list[str]:
    """Return the checkpoints of a reader's folder, or of one file.

    Raises:
        InvalidData: there is none.
    """
    files = [place]
    if place.is_dir():
        files = [place / ACCEPTED, *sorted(place.glob(f"{SHOWN}*"))]
    try:
        found = [_text(_bounded(one.read_bytes())) for one in files if one.is_file()]
    except OSError as error:
        raise InvalidData(f"{place} cannot be read: {error.strerror}") from error
    if not found:
        raise InvalidData(f"{place} holds no checkpoint", fix="name a reader's folder")
    return found


def _refuse_fork(folder: Path, one: str, other: str, path: tuple[bytes, ...]) -> None:
    written = write_fraud(folder, one, other, path)
    if written is not None:
        raise Unverified(
            f"the log has two histories; {written} proves it to anybody",
            fix="give it to all who rely on this log: hetao log fraud checks it",
        )


def _is_signed(note: str, logs: Iterable[Verifier]) -> bool:
    try:
        text, signed = open_note(note, tuple(logs))
        return parse_checkpoint(text).origin in {one.name for one in signed}
    except Unverified:
        return False


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Unverified("a checkpoint is not text") from error


def _write(path: Path, note: str) -> None:
    draft = path.with_name(f"{path.name}.new")
    with draft.open("w", encoding="utf-8", newline="") as file:
        file.write(note)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
