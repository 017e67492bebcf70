"""A party's own log: where it lies, what it signed last, and who has seen it."""

import functools
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hetao.ledger.head import FileHead
from hetao.ledger.log import Log
from hetao.ledger.policy import read_policy
from hetao.permit import Identity
from hetao.transparency.heads import head_at
from hetao.transparency.sightings import sightings

NAME = "log.sqlite"


@dataclass(frozen=True)
class LogTable:
    """`[log]`: where the party's log keeps what it signed last.

    Attributes:
        head: a file on another disk, or a `postgresql://` connection; beside the log
            if empty, where a backup of the folder restores it too.
        witnesses: a policy's file; its witnesses are asked what they have seen before
            the log signs. Nobody is asked if empty.
    """

    head: str = ""
    witnesses: str = ""


NOWHERE = LogTable()


def open_log(
    folder: Path, identity: Identity, table: LogTable = NOWHERE, *, asks: bool = True
) -> Log:
    """Return a party's log, made anew where there is none.

    Args:
        folder: of the party's state.
        identity: names the log and signs it.
        table: `[log]` of the party's file, its paths absolute.
        asks: whether the witnesses are asked, as before anything that signs.

    Raises:
        InvalidData, InvalidNetwork, Unreachable, Unverified: as `Log.open`, `head_at`,
            `read_policy` and `sightings`.
    """
    place = head_at(table.head, folder, identity.name)
    path, key = folder / NAME, identity.signing_key
    if not asks or not table.witnesses:
        return Log.open(path, identity.name, key, head=place)
    seen = functools.partial(sightings, policy=read_policy(Path(table.witnesses)))
    return Log.open(path, identity.name, key, head=place, seen=seen)


def has_log(folder: Path, identity: Identity, table: LogTable = NOWHERE) -> bool:
    """Return whether there is a log, or a head that remembers one."""
    path = folder / NAME
    place = head_at(table.head, folder, identity.name)
    with closing(place or FileHead(path.with_name(path.name + ".head"))) as found:
        return path.is_file() or found.read() is not None
