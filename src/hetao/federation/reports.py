"""What one party tells another about logs: the message of a heartbeat, both ways."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hetao.canonical import canonical
from hetao.errors import BadSignature, HetaoError
from hetao.federation.replica import Replica
from hetao.ledger.account import ROOM, Account, account_from, account_of
from hetao.ledger.log import Log

LARGEST: Final = 16 * 2**20  # bytes of one message
MOST_NOTES: Final = 1_000  # checkpoints in one message …
NOTES_ROOM: Final = 2**20  # … and bytes of them, as they travel


@dataclass(frozen=True)
class Report:
    """What one party tells another about logs.

    Attributes:
        accounts: of logs, each from the size that was asked for.
        have: log → the size from which the teller itself wants to be told.
        notes: checkpoints that are of interest though they are not reached.
    """

    accounts: tuple[Account, ...]
    have: Mapping[str, int]
    notes: tuple[str, ...] = ()

    def encoded(self) -> bytes:
        """Return the form in which a report travels."""
        accounts = [one.as_json() for one in self.accounts]
        body = {"accounts": accounts, "have": dict(self.have)}
        return canonical({**body, "notes": list(self.notes)})


def report_from(data: bytes) -> Report:
    """Return the report of a message; nothing of it is verified yet.

    Raises:
        BadSignature: it is malformed; nothing of it is taken.
    """
    try:
        if len(data) > LARGEST:
            raise BadSignature("a report of logs is too large")
        match json.loads(data):
            case {"accounts": list(told), "have": dict(have), "notes": list(notes)}:
                accounts = tuple(account_from(one) for one in told)
                if _are_sizes(have) and _are_texts(notes):
                    return Report(accounts, have, tuple(notes))
    except (ValueError, RecursionError, HetaoError) as error:
        raise BadSignature("a report of logs is malformed") from error
    raise BadSignature("a report of logs is malformed")


def _are_sizes(have: Mapping[Any, Any]) -> bool:
    return all(type(size) is int and 0 <= size < 2**63 for size in have.values())


def _are_texts(notes: Sequence[Any]) -> bool:
    return len(notes) <= MOST_NOTES and all(isinstance(one, str) for one in notes)


def is_of_a_study(fields: Mapping[str, Any]) -> bool:
    """Return whether an audit record is about a study, so that hubs may have it."""
    return isinstance(fields.get("study"), str)


def answered(
    log: Log,
    replica: Replica,
    speaker: str,
    data: bytes,
    shows: Callable[[Mapping[str, Any]], bool],
) -> bytes:
    """Return a hub's answer to a report.

    Args:
        log: the hub's own.
        replica: the hub's, of everybody else's.
        speaker: who reports; it is heard about its own log only.
        data: the report.
        shows: says of an audit record whether the speaker may have its words.

    Raises:
        BadSignature, Unverified, NotAParty: the report is malformed, or not the log's.
    """
    report = report_from(data)
    own = [one for one in report.accounts if one.checkpoint.origin == speaker]
    replica.learn(own, (), speaker)
    room = ROOM // (len(replica.parties) + 1)
    accounts = [account_of(log, report.have.get(log.origin, 0), shows, room)]
    others = [name for name in replica.parties if name != speaker]
    told = [replica.account(n, report.have.get(n, 0), shows, room) for n in others]
    accounts += [one for one in told if one is not None]
    notes = _within(replica.notes(), NOTES_ROOM)
    return Report(tuple(accounts), replica.sizes(speaker), notes).encoded()


def _within(notes: Sequence[str], room: int) -> tuple[str, ...]:
    """Return the first of them, as many as a message has room for."""
    found: list[str] = []
    for note in notes[:MOST_NOTES]:
        size = 2 * len(note.encode())  # ends of lines are escaped on their way
        if size <= room:
            room -= size
            found.append(note)
    return tuple(found)
