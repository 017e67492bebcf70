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
from hetao.permit import Directory, Party, parse_time, statement_from
from hetao.records import record

TYPE: Final = "hetao.released/1"
RECORD: Final = "hetao.release/"  # type of a record, of any version


@dataclass(frozen=True)
class Listed:
    """One entry of a log, such as a release as the site signed it, and its place."""

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
        ended: entry of the log that says that it was destroyed; None if it was not.
            It names the sums that the site does not know to have reached its hub; none
            stands in the log behind it.
    """

    site: str
    run: str
    permit: str
    at: str
    is_closed: bool
    destroyed: str
    checkpoint: str
    entries: tuple[Listed, ...]
    ended: Listed | None = None

    @property
    def records(self) -> list[Mapping[str, Any]]:
        """Return the body of each record, in order."""
        return [json.loads(one.entry)["body"] for one in self.entries]

    @property
    def sums(self) -> dict[str, Mapping[str, Any]]:
        """Return digest → body of each record of a sum, in order."""
        both = zip(digests(self), self.records, strict=True)
        return {name: body for name, body in both if body["kind"] == "sum"}

    @property
    def unsent(self) -> frozenset[str]:
        """Return the digests of the sums not known to have reached the site's hub."""
        end = json.loads(self.ended.entry) if self.ended else {}
        return frozenset(end.get("unsent", ()))


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
        if party.role != "site":
            raise Unverified(f"{party.name} is no site, and has no list")
        statement.verify(party)
        note = verify_note(found.checkpoint, party.name, party.sign_key)
        checkpoint = parse_checkpoint(note)
        if checkpoint.origin != party.name:
            raise Unverified("the checkpoint is of another log")
        _check_order(found.entries)
        ends = (found.ended,) if found.ended else ()
        for one in (*found.entries, *ends):
            path = [bytes.fromhex(node) for node in one.path]
            leaf = leaf_hash(one.entry.encode("ascii"))
            verify_inclusion(one.index, checkpoint.size, leaf, path, checkpoint.root)
        for one in found.entries:
            _check_record(one, found, party)
        _check_end(found)
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
    body = statement.body
    said = tuple(body.get(name) for name in ("site", "run", "permit"))
    if said != (found.site, found.run, found.permit):
        raise Unverified("a record is of another run")
    if not str(body["type"]).startswith(RECORD) or type(body["kind"]) is not str:
        raise Unverified("a record is of nothing that leaves a site")
    if parse_time(found.at) < parse_time(body["at"]):
        raise Unverified("the list is dated before what it lists")


def _check_end(found: Released) -> None:
    """Hold what a list says of the run's end to its records and the site's log."""
    if found.is_closed != any(body["kind"] == "closing" for body in found.records):
        raise Unverified("whether the run was closed is not what its records say")
    if found.ended is None:
        if found.destroyed:
            raise Unverified("nothing in the log says that anything was destroyed")
        return
    value = json.loads(found.ended.entry)
    if canonical(value).decode() != found.ended.entry:
        raise Unverified("what the log says of the end is not in its one form")
    unsent = value.pop("unsent", None)
    expected = {
        "type": "hetao.entry/1",
        "what": "destroyed",
        "run": found.run,
        "permit": found.permit,
        "at": found.destroyed,
    }
    if value != expected:
        raise Unverified("the log says otherwise what was destroyed, and when")
    if unsent is not None:  # named once each, in order; none where there is nothing
        names = sorted(found.unsent)
        if unsent != names or not names or not found.unsent <= set(found.sums):
            raise Unverified("the log names as unsent what the list does not hold")
    if parse_time(found.at) < parse_time(found.destroyed):
        raise Unverified("the list is dated before what was destroyed")
    sums = (
        one.index
        for one, body in zip(found.entries, found.records, strict=True)
        if body["kind"] == "sum"
    )
    if max(sums, default=-1) > found.ended.index:
        raise Unverified("a sum left after what was kept was destroyed")


def digests(found: Released) -> list[str]:
    """Return the digest of each record, as coordinators' receipts and logs name it."""
    return [digest_bytes(one.entry.encode("ascii")) for one in found.entries]
