"""A party's own log: where it lies, what it signed last, and who has seen it."""

import functools
import ssl
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hetao.errors import Unreachable
from hetao.ledger.head import FileHead
from hetao.ledger.log import Log
from hetao.ledger.note import open_note
from hetao.ledger.policy import read_policy
from hetao.permit import Identity
from hetao.transparency.heads import head_at

NAME = "log.sqlite"


@dataclass(frozen=True)
class LogTable:
    """`[log]`: where the party's log keeps what it signed last.

    Attributes:
        head: a file on another disk, or a `postgresql://` connection; beside the log
            if empty, where a backup of the folder restores it too.
        witnesses: a policy's file; its witnesses are asked what they have seen before
            the log signs, and to cosign what the coordinator issues. Nobody is asked if
            empty.
        authority: a file of those who vouch for the witnesses' servers, PEM, trusted
            beside the system's; the system's alone if empty.
    """

    head: str = ""
    witnesses: str = ""
    authority: str = ""

    @property
    def tls(self) -> ssl.SSLContext | None:
        """Return how the witnesses' servers are trusted.

        Raises:
            InvalidData: the file holds no authority.
        """
        from hetao.transparency.client import witness_tls  # few ask, and it is dear

        return witness_tls(Path(self.authority) if self.authority else None)


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
    path, keys = folder / NAME, identity.log_keys
    if not asks or not table.witnesses:
        return Log.open(path, identity.name, keys, head=place)
    from hetao.transparency.sightings import sightings  # few ask, and it is dear

    policy = read_policy(Path(table.witnesses))
    seen = functools.partial(sightings, policy=policy, tls=table.tls)
    return Log.open(path, identity.name, keys, head=place, seen=seen)


async def witnessed(log: Log, note: str, table: LogTable, lines: Sequence[str]) -> str:
    """Return a checkpoint with the lines of whoever cosigned it, the witnesses' too.

    Args:
        log: whose checkpoint it is.
        note: its signed checkpoint.
        table: `[log]`, whose witnesses are asked.
        lines: cosignatures that are there already.

    Raises:
        Unreachable: all together they are fewer than the quorum of `[log] witnesses`.
        InvalidData, Unverified: the policy's file does not hold.
    """
    whole = note + "".join(lines)
    if not table.witnesses:
        return whole
    from hetao.transparency.client import cosignatures  # few ask, and it is dear

    policy = read_policy(Path(table.witnesses))
    more, failed = await cosignatures(log, note, policy, table.tls)
    signed = open_note(whole + more, list(policy.witnesses.values()))[1]
    names = [name for name, key in policy.witnesses.items() if key in signed]
    if not policy.is_quorum(names):
        why = "; ".join(f"{name}: {fault}" for name, fault in failed.items())
        raise Unreachable(
            f"the witnesses that cosigned are fewer than the quorum ({why or 'none'})",
            fix="the same command asks them again; nothing is computed anew",
        )
    return whole + more


def has_log(folder: Path, identity: Identity, table: LogTable = NOWHERE) -> bool:
    """Return whether there is a log, or a head that remembers one."""
    path = folder / NAME
    place = head_at(table.head, folder, identity.name)
    with closing(place or FileHead(path.with_name(path.name + ".head"))) as found:
        return path.is_file() or found.read() is not None
