"""A site's signed list of what left it in one run, also of a run that never ended.

A study that was revoked halfway has no certificate. What had been released by then
stands in each site's log; this list takes it from there, record by record, each with
the proof that it stands in the log, and says whether the run was closed and when its
keys and states were destroyed. Anybody checks it with the site's public key alone.
That nothing is left out of it is the site's word, under its signature.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hetao.canonical import canonical, digest_bytes
from hetao.errors import BadSignature, InvalidData, InvalidNetwork, Unverified
from hetao.federation.logs import has_log, open_log
from hetao.federation.releases import ENTRY, RECORD
from hetao.federation.site import SiteSetup
from hetao.ledger.merkle import leaf_hash, verify_inclusion
from hetao.ledger.note import parse_checkpoint, size_of, verify_note
from hetao.permit import Directory, Party, Statement, state, statement_from
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


def sign_released(setup: SiteSetup, run: str, at: str) -> Statement:
    """Return the signed list of one run; the site may be serving meanwhile.

    Raises:
        InvalidData: the site has no log, or nothing of such a run stands in it.
        Unverified: the log does not hold what was signed.
    """
    if not has_log(setup.folder, setup.identity, setup.log):
        raise InvalidData(f"{setup.identity.name} has no log yet: it was never served")
    with open_log(setup.folder, setup.identity, setup.log) as log:
        note = log.checkpoint()
        log.fsck()
        size = size_of(note)
        found: list[dict[str, Any]] = []
        destroyed = ""
        for index, data in enumerate(log.entries(0, size)):
            what, body = _of_run(data, run)
            if what == "destroyed":
                destroyed = str(body["at"])
            elif what == "record":
                path = [node.hex() for node in log.inclusion(index, size)]
                found.append(
                    {"index": index, "entry": data.decode("ascii"), "path": path}
                )
    if not found:
        raise InvalidData(
            f"nothing left {setup.identity.name} in a run of that name",
            fix="hetao site releases SITE.toml --json names the runs",
        )
    bodies = [json.loads(one["entry"])["body"] for one in found]
    body = {
        "type": TYPE,
        "site": setup.identity.name,
        "run": run,
        "permit": bodies[0]["permit"],
        "at": at,
        "is_closed": any(one["kind"] == "closing" for one in bodies),
        "destroyed": destroyed,
        "checkpoint": note,
        "entries": found,
    }
    return state(setup.identity, body)


def _of_run(data: bytes, run: str) -> tuple[str, Mapping[str, Any]]:
    """Return what an entry of the log says of a run: "record", "destroyed" or ""."""
    try:
        value = json.loads(data)
    except ValueError:
        return "", {}  # taken out of the log since
    if not isinstance(value, dict):
        return "", {}
    body = value.get("body", {})
    if str(body.get("type", "")).startswith(RECORD) and body.get("run") == run:
        return "record", body
    is_entry = str(value.get("type", "")).startswith(ENTRY)
    if is_entry and (value.get("what"), value.get("run")) == ("destroyed", run):
        return "destroyed", value
    return "", {}


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
