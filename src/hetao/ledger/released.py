"""A site's signed list of what left it in one run: read and checked, by anybody.

How it is made: `hetao.federation.released`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hetao.canonical import canonical, digest_bytes
from hetao.errors import BadSignature, InvalidNetwork, Unverified
from hetao.ledger.merkle import leaf_hash, verify_inclusion
from hetao.ledger.note import parse_checkpoint, verify_note
from hetao.permit import Directory, Party, statement_from
from hetao.records import record

TYPE: Final = "hetao.released/1"


@dataclass(frozen=True)
class Listed:
    """One release: its record as the site signed it, and its place in the log."""

    index: int
    entry: str
    path: tuple[str, ...]


@dataclass(frozen=True)
class Released:
    """What a site says left it in a run.

    Attributes:
        site, run, permit: whose, of which run, under which permit.
        at: UTC time of the list.
        is_closed: whether the run came to its end here.
        destroyed: when what was kept for it was destroyed; "" if it was not.
        checkpoint: of the log, signed by the site.
        entries: every message that left, in the log's order.
    """

    site: str
    run: str
    permit: str
    at: str
    is_closed: bool
    destroyed: str
    checkpoint: str
    entries: tuple[Listed, ...]

    @property
    def records(self) -> list[Mapping[str, Any]]:
        """Return the body of each record, in order."""
        return [json.loads(one.entry)["body"] for one in self.entries]


def check_released(table: object, trusted: Directory) -> Released:
    """Return a list that holds: every signature, every place, every record.

    Args:
        table: of the file.
        trusted: list in which the site stands.

    Raises:
        Unverified: it does not hold.
    """
    try:
        statement = statement_from(table)
        body = dict(statement.body)
        if body.pop("type", None) != TYPE:
            raise Unverified("not a list of what was released")
        found = record(Released, body, "the list", Unverified)
        party = trusted[found.site]
        statement.verify(party)
        note = verify_note(found.checkpoint, party.name, party.sign_key)
        checkpoint = parse_checkpoint(note)
        if checkpoint.origin != party.name:
            raise Unverified("the checkpoint is of another log")
        _check_order(found.entries)
        for one in found.entries:
            path = [bytes.fromhex(node) for node in one.path]
            leaf = leaf_hash(one.entry.encode("ascii"))
            verify_inclusion(one.index, checkpoint.size, leaf, path, checkpoint.root)
            _check_record(one, found, party)
    except (BadSignature, InvalidNetwork) as error:
        raise Unverified(f"the list does not hold: {error.what}") from error
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise Unverified("the list is malformed") from error
    return found


def _check_order(entries: Sequence[Listed]) -> None:
    places = [one.index for one in entries]
    if not places or places != sorted(set(places)):
        raise Unverified("the list is empty, or a place in it stands twice")


def _check_record(one: Listed, found: Released, party: Party) -> None:
    value = json.loads(one.entry)
    statement = statement_from(value)
    if canonical(value).decode() != one.entry:
        raise Unverified("a record is not in its one form")
    statement.verify(party)
    said = tuple(statement.body.get(name) for name in ("site", "run", "permit"))
    if said != (found.site, found.run, found.permit):
        raise Unverified("a record is of another run")


def digests(found: Released) -> list[str]:
    """Return the digest of each record, as coordinators' receipts and logs name it."""
    return [digest_bytes(one.entry.encode("ascii")) for one in found.entries]
