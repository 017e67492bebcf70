"""What an anchor gives back, as a file, and what every anchor can do."""

import datetime
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hetao.canonical import canonical, parse_canonical
from hetao.errors import NotCanonical, Unverified
from hetao.ledger.note import (
    COSIGNATURE,
    LOG_SIGNATURE,
    from_base64,
    key_id,
    parse_checkpoint,
    parse_note,
)
from hetao.records import fields_of, record
from hetao.whole import read_whole

TYPE: Final = "hetao.anchor/1"
LARGEST: Final = 1 << 20  # bytes
KINDS: Final = ("rfc3161", "evm", "scitt")
_ROOT = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Stamp:
    """An anchor's word about one root.

    Attributes:
        kind: "rfc3161", "evm" or "scitt".
        root: 64 hex digits; of a checkpoint of a log.
        where: who keeps it: the authority's address, `chain:contract`, or the
            thumbprint of a transparency service's key.
        proof: base64 of the authority's token; of a chain, of the transaction's hash;
            of a service, of the statement with its receipt.
    """

    kind: str
    root: str
    where: str
    proof: str

    @property
    def data(self) -> bytes:
        """Return the stamp as the bytes of a file."""
        return canonical({"type": TYPE, **fields_of(self)})

    @property
    def raw(self) -> bytes:
        """Return the proof's bytes.

        Raises:
            Unverified: they are not base64, or not in its one spelling.
        """
        return from_base64(self.proof)


@dataclass(frozen=True)
class Stamped:
    """What a stamp proves: this root was there at that time, says whom.

    Attributes:
        root: 32 bytes.
        at: when, by the clock of whoever says so; None where they state no time.
        by: who.
    """

    root: bytes
    at: datetime.datetime | None
    by: str


class Anchor(Protocol):
    """A place that remembers roots. It is told 32 bytes and nothing else."""

    def stamp(self, root: bytes) -> Stamp:
        """Have a root of 32 bytes remembered.

        Raises:
            Unreachable: the place does not answer.
            Unverified: its answer does not verify.
        """

    def verify(self, stamp: Stamp, root: bytes) -> Stamped:
        """Return what a stamp proves about a root.

        Raises:
            Unverified: it proves nothing about this root.
        """


def root_of(path: Path) -> bytes:
    """Return the root of a checkpoint file, whose signatures the anchor does not need.

    Raises:
        InvalidData: the file cannot be read.
        Unverified: it is no checkpoint.
    """
    text = read_whole(path, LARGEST).decode("utf-8", "replace")
    return parse_checkpoint(parse_note(text)[0]).root


def is_signed_by(path: Path, key: Ed25519PublicKey) -> bool:
    """Return whether a signature under a checkpoint names this key.

    Raises:
        InvalidData: the file cannot be read.
        Unverified: it is no checkpoint.
    """
    _, lines = parse_note(read_whole(path, LARGEST).decode("utf-8", "replace"))
    return any(
        line.key_id == key_id(line.name, key, kind)
        for line in lines
        for kind in (LOG_SIGNATURE, COSIGNATURE)
    )


def read_stamp(path: Path) -> Stamp:
    """Return the stamp in a file.

    Raises:
        InvalidData: the file cannot be read.
        Unverified: it is no stamp.
    """
    try:
        table = parse_canonical(read_whole(path, LARGEST))
    except NotCanonical as error:
        raise Unverified(f"{path.name} is no stamp") from error
    if not isinstance(table, dict) or table.pop("type", "") != TYPE:
        raise Unverified(f"{path.name} is no stamp")
    stamp = record(Stamp, table, path.name, Unverified)
    if stamp.kind not in KINDS or not _ROOT.fullmatch(stamp.root):
        raise Unverified(f"{path.name} is no stamp that this version knows")
    return stamp


def check_root(stamp: Stamp, kind: str, root: bytes) -> None:
    """Return quietly if a stamp is of this kind and says it is about this root.

    Raises:
        Unverified: it is not.
    """
    if stamp.kind != kind:
        raise Unverified(f"the stamp is of kind {stamp.kind}, not {kind}")
    if stamp.root != root.hex():
        raise Unverified("the stamp is about another root")
