"""A hub as a witness of its coordinator's log: what it is shown, and what it answers.

In the course of a run it cosigns for the certificate of that run, in a letter; at any
time, for how earlier certificates stand. Each time it looks at what the log ends with.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hetao.canonical import canonical
from hetao.errors import BadSignature, NotAParty, Unverified
from hetao.federation.store import Store
from hetao.ledger.certificate import step
from hetao.ledger.log_end import WHERE
from hetao.ledger.status import REVOCATION, read_snapshot
from hetao.ledger.witness import Witness
from hetao.permit import Bundle, Directory, Party, Permit, strangers_in

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS taken_back (
    log TEXT NOT NULL PRIMARY KEY, bits BLOB NOT NULL
) STRICT;
"""
LARGEST: Final = 2 * 2**20  # bytes of what is shown: a snapshot takes a half at most
LONGEST_PATH: Final = 128  # hashes between two sizes of a log
LARGEST_ANSWER: Final = 2**16  # bytes
_HASH: Final = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Shown:
    """What a hub is shown of how certificates stand.

    Attributes:
        old: the size of the log that the hub is taken to have seen last.
        path: leads from that size to the snapshot's, hashes in hex.
        snapshot: of `hetao.ledger.status`, as text.
    """

    old: int
    path: tuple[str, ...]
    snapshot: str

    def encoded(self) -> bytes:
        """Return the form in which it travels."""
        body = {"old": self.old, "path": list(self.path), "snapshot": self.snapshot}
        return canonical(body)


def shown_from(data: bytes) -> Shown:
    """Return what a hub is shown; nothing of it is verified yet.

    Raises:
        BadSignature: it is malformed.
    """
    match _value(data, LARGEST):
        case {"old": int(old), "path": list(path), "snapshot": str(text), **rest}:
            whole = type(old) is int and 0 <= old < 2**63 and len(path) <= LONGEST_PATH
            if whole and not rest and all(map(_is_hash, path)):
                return Shown(old, tuple(path), text)
    raise BadSignature("what is shown of a log is malformed")


@dataclass(frozen=True)
class Answer:
    """What a hub answers.

    Attributes:
        known: size of the log that it had seen last.
        line: its cosignature; empty where it saw another size than it was taken to.
    """

    known: int
    line: str

    def encoded(self) -> bytes:
        """Return the form in which it travels."""
        return canonical({"known": self.known, "cosignature": self.line})


def answer_from(data: bytes) -> Answer:
    """Return a hub's answer; its line is not verified yet.

    Raises:
        BadSignature: it is malformed.
    """
    match _value(data, LARGEST_ANSWER):
        case {"known": int(known), "cosignature": str(line), **rest}:
            if type(known) is int and 0 <= known < 2**63 and not rest:
                return Answer(known, line)
    raise BadSignature("what a hub answers about a log is malformed")


def check_known(permit: Permit, trusted: Directory, hub: str) -> None:
    """Return quietly if a hub knows everybody of an ended permit, and is a hub of it.

    Raises:
        NotAParty: it does not, or is none.
    """
    for name in strangers_in(Bundle(permit), trusted):
        raise NotAParty(f"{name} of the permit is not in {hub}'s list")
    if hub not in permit.hubs:
        raise NotAParty(f"{hub} is not a hub of this permit")


def cosigned(
    witness: Witness, boss: Party, note: str, old: int, path: Sequence[str]
) -> Answer:
    """Return a hub's answer about a log whose end it has looked at.

    One that was killed before it noted the last cosignature, or that somebody else had
    cosigned since, asks from another size: it is told which, and asks again.

    Args:
        witness: the hub's.
        boss: the coordinator.
        note: its log's checkpoint, signed.
        old: the size that the hub is taken to have seen last.
        path: from that size to the checkpoint's, in hex.

    Raises:
        Refused, Unverified: as `Witness.add_checkpoint`.
    """
    witness.trust(boss.name, boss.sign_key)
    known = witness.size(boss.name)
    if old != known:
        return Answer(known, "")
    hashes = [bytes.fromhex(node) for node in path]
    line = witness.add_checkpoint(boss.name, boss.sign_key, old, note, hashes)
    return Answer(known, line)


def cosigned_lists(witness: Witness, store: Store, boss: Party, data: bytes) -> Answer:
    """Return a hub's answer about a log that ends with status lists.

    Args:
        witness: the hub's.
        store: the hub's; it keeps which places lists that it was shown revoked.
        boss: the coordinator, from the hub's own list.
        data: what is shown, encoded.

    Raises:
        BadSignature: it is malformed.
        Unverified: the log ends with something else, or did not grow; or a place that
            was revoked is so no more.
        Refused: as `Witness.add_checkpoint`.
    """
    shown = shown_from(data)
    with step(WHERE):
        issuer = boss.name, boss.sign_key
        told = read_snapshot(shown.snapshot.encode(), issuer)
    _keep_revoked(store, boss.name, told.marks[REVOCATION].rstrip(b"\0"))
    return cosigned(witness, boss, told.note, shown.old, shown.path)


def _keep_revoked(store: Store, log: str, bits: bytes) -> None:
    """Remember what is revoked, before any of it is cosigned.

    Raises:
        Unverified: a place that was revoked is so no more.
    """
    rows = store.rows("SELECT bits FROM taken_back WHERE log = ?", (log,))
    known = bytes(rows[0][0]) if rows else b""
    before, after = (int.from_bytes(one, "little") for one in (known, bits))
    if before & ~after:
        raise Unverified(f"{WHERE}: what was revoked is so for good, and stands again")
    if bits != known:
        row = ("INSERT OR REPLACE INTO taken_back VALUES (?, ?)", (log, bits))
        store.write([row])


def _is_hash(node: Any) -> bool:
    return isinstance(node, str) and _HASH.fullmatch(node) is not None


def _value(data: bytes, largest: int) -> Mapping[str, Any]:
    """Return the object that bytes hold; an empty one for none."""
    if len(data) > largest:
        return {}
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
