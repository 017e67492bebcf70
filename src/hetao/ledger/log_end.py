"""What a coordinator's log ends with, before a hub cosigns it.

A certificate stands at the end of its issuer's log under the checkpoint that it shows.
So a hub that looks at the last entry knows what it cosigns for: a certificate in the
course of its own run alone, where the hub knows how the permit stands, and how earlier
certificates stand at any time.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from hetao.errors import Refused, Unverified
from hetao.ledger.certificate import step
from hetao.ledger.credential import KIND, REVOKED_KIND, read_credential
from hetao.ledger.log import Log
from hetao.ledger.merkle import leaf_hash, verify_inclusion
from hetao.ledger.note import parse_checkpoint, parse_note, verify_note
from hetao.permit import Permit

WHERE: Final = "what the log ends with"
_TRIES: Final = 3


def append_last(
    log: Log, entries_at: Callable[[int], Sequence[str]]
) -> tuple[Sequence[str], str]:
    """End a log with some entries; return them, and its signed checkpoint there.

    Args:
        log: to which others may append at the same time.
        entries_at: the entries, ASCII, the first of which is to have an index; called
            again where another came in between, and those of before count for nothing.

    Raises:
        Refused: others append so quickly that they never end the log.
    """
    for _ in range(_TRIES):
        index = log.size
        entries = entries_at(index)
        first = log.append([entry.encode("ascii") for entry in entries])
        note = log.checkpoint()
        size = parse_checkpoint(parse_note(note)[0]).size
        if (first, size) == (index, index + len(entries)):
            return entries, note
    raise Refused(
        "the log grows too quickly for what is to end it",
        fix="try again while no study runs",
    )


def check_certified(
    meta: Mapping[str, Any], permit: Permit, run: str, *, revoked: bool
) -> None:
    """Return quietly if the coordinator's log ends with the certificate of a run.

    Args:
        meta: `note`, the log's checkpoint, signed; `leaf`, its last entry, and
            `inclusion`, that entry's path in hex.
        permit: of the run.
        run: the run.
        revoked: whether it was revoked: then its certificate says so, else it may not.

    Raises:
        Unverified: it ends with something else, or what is given is malformed.
    """
    boss = permit.coordinator
    with step(WHERE):
        text = verify_note(str(meta["note"]), boss.name, boss.sign_key)
        leaf, claimed = str(meta["leaf"]), parse_checkpoint(text)
        path = [bytes.fromhex(node) for node in meta["inclusion"]]
        hashed = leaf_hash(leaf.encode("ascii"))
        verify_inclusion(claimed.size - 1, claimed.size, hashed, path, claimed.root)
        claims = read_credential(leaf, boss.sign_key)
        subject = claims["credentialSubject"]
        said = claims["type"][-1], subject["permit"], subject["id"]
        kind = REVOKED_KIND if revoked else KIND
        if said != (kind, permit.digest, f"urn:hetao:run:{run}"):
            what = " that this run was revoked" if revoked else " of this run"
            raise Unverified(f"it is no certificate{what}")
