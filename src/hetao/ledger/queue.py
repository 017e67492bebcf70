"""Callers who wait to append, and which of them go into one commit."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

_LARGEST_GROUP = 65_536  # entries in one commit, but never fewer than one caller's


@dataclass(eq=False)
class Ticket:
    """One caller's entries on their way into the log."""

    entries: list[bytes]
    turn: threading.Lock = field(default_factory=threading.Lock)
    first: int = -1
    leads: bool = False
    is_done: bool = False
    error: BaseException | None = None


def group_of(queue: Iterable[Ticket]) -> list[Ticket]:
    """Return the first of those who wait, as many as go into one commit."""
    entries, group = 0, list[Ticket]()
    for ticket in queue:
        entries += len(ticket.entries)
        if group and entries > _LARGEST_GROUP:
            break
        group.append(ticket)
    return group
