"""The proof that a log has two histories: two checkpoints that it signed itself.

    {"type": "hetao.fraud/1", "notes": [NOTE, NOTE], "path": [HEX, ...]}

Of two trees of one size, two roots are enough. Of a smaller and a larger one, the path
leads to the larger root and, on its way, to the root that the larger tree had at the
smaller size; the log signed another one there. Whoever knows the log's key can check
either, alone and for ever, and nobody without that key can make one up.
"""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hetao.canonical import canonical, digest_bytes, parse_canonical
from hetao.errors import HetaoError, Unverified
from hetao.ledger.merkle import HASH_BYTES, roots_over
from hetao.ledger.note import (
    Checkpoint,
    Verifier,
    checkpoint_of,
    open_note,
    parse_checkpoint,
    parse_note,
)
from hetao.whole import read_whole

TYPE: Final = "hetao.fraud/1"
LARGEST: Final = 3 * 2**20  # bytes of a fraud proof


@dataclass(frozen=True)
class Fraud:
    """Two notes of one log that cannot both be true.

    Attributes:
        notes: the smaller tree's first.
        path: the hashes from the smaller tree to the larger one, as `roots_over` takes
            them; empty where both are of one size.
    """

    notes: tuple[str, str]
    path: tuple[bytes, ...] = ()

    @property
    def text(self) -> bytes:
        """The proof as canonical JSON."""
        path = [one.hex() for one in self.path]
        return canonical({"type": TYPE, "notes": list(self.notes), "path": path})

    def verify(self, verifiers: Sequence[Verifier]) -> str:
        """Return the sentence that says what is proved.

        Args:
            verifiers: keys of logs, the verifier's own; one of them signed both notes.

        Raises:
            Unverified: the notes do not contradict each other, or no log of these
                signed both.
        """
        opened = [open_note(note, verifiers) for note in self.notes]
        old, new = (parse_checkpoint(text) for text, _ in opened)
        signers = set(opened[0][1]) & set(opened[1][1])
        if old.origin not in {one.name for one in signers}:
            raise Unverified("no log that was named signed both checkpoints")
        _check(old, new, self.path)
        if old.size == new.size:
            return f"{old.origin} signed two different trees of size {old.size}"
        return (
            f"{old.origin} signed a tree of size {old.size} that its tree of size "
            f"{new.size} does not begin with"
        )


def fraud_between(one: str, other: str, path: Sequence[bytes] = ()) -> Fraud | None:
    """Return the proof that two notes contradict each other; None if nothing shows it.

    Args:
        one: a note that is known to be signed by its log.
        other: another one.
        path: the consistency path that came with it, with or without the old root
            before it.
    """
    notes = sorted((one, other), key=lambda note: checkpoint_of(note).size)
    old, new = map(checkpoint_of, notes)
    hashes = () if old.size == new.size else tuple(path)
    try:
        _check(old, new, hashes)
    except Unverified:
        return None
    return Fraud((notes[0], notes[1]), hashes)


def parse_fraud(data: bytes) -> Fraud:
    """Return the fraud proof of a text; nothing of it is verified yet.

    Raises:
        Unverified: it is none, to the byte.
    """
    if len(data) > LARGEST:
        raise Unverified("a fraud proof is larger than it can be")
    try:
        match parse_canonical(data):
            case {"type": str(kind), "notes": [str(one), str(other)], "path": list(p)}:
                path = tuple(bytes.fromhex(node) for node in p)
                found = Fraud((one, other), path)
                if kind == TYPE and found.text == data:
                    return found
    except (HetaoError, ValueError, TypeError) as error:
        raise Unverified("the text is no fraud proof") from error
    raise Unverified("the text is no fraud proof")


def read_fraud(path: Path) -> Fraud:
    """Return the fraud proof of a file.

    Raises:
        InvalidData: it cannot be read.
        Unverified: it is no fraud proof.
    """
    return parse_fraud(read_whole(path, LARGEST, beyond=Unverified))


def write_fraud(
    folder: Path, one: str, other: str, path: Sequence[bytes] = ()
) -> Path | None:
    """Write the proof that two notes contradict each other; return where.

    None if nothing shows it. Of a note's lines those in the log's own name are kept.
    The file is named by the digest of the two checkpoints, so that two of them make
    one file, whatever lines strangers add and whatever path they send.

    Args:
        folder: where it goes.
        one: a note, whose signature by its log was verified.
        other: another one, likewise.
        path: as of `fraud_between`.
    """
    if not one or not other:
        return None
    found = fraud_between(_own_lines(one), _own_lines(other), path)
    if found is None:
        return None
    told = "".join(sorted(parse_note(note)[0] for note in found.notes))
    name = digest_bytes(told.encode()).removeprefix("sha256:")[:16]
    target = folder / f"fraud-{name}.json"
    if target.exists():
        return target
    draft = folder / f"{target.name}.{secrets.token_hex(4)}.new"
    with draft.open("xb") as file:
        file.write(found.text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(target)
    return target


def _own_lines(note: str) -> str:
    """Return a note without the lines of others than its log."""
    text, _, tail = note.rpartition("\n\n")
    own = f"\u2014 {checkpoint_of(note).origin} "
    lines = [one for one in tail.splitlines(keepends=True) if one.startswith(own)]
    return f"{text}\n\n{''.join(lines)}" if lines else note


def _check(old: Checkpoint, new: Checkpoint, path: Sequence[bytes]) -> None:
    """Return if the two cannot both be true."""
    if old.origin != new.origin:
        raise Unverified("the checkpoints are of two logs")
    if old.size == new.size and not path and old.root != new.root:
        return
    if not 0 < old.size < new.size or any(len(one) != HASH_BYTES for one in path):
        raise Unverified("the checkpoints do not contradict each other")
    then, now = roots_over(old.size, new.size, list(path))
    if now != new.root:
        raise Unverified("the path does not lead to the larger tree")
    if then == old.root:
        raise Unverified("the larger tree begins with the smaller one")
