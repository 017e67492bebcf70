"""A party's own log: where it lies, what it signed last, and who has seen it."""

import functools
import ssl
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hetao.errors import InvalidNetwork, Unreachable
from hetao.ledger.head import FileHead
from hetao.ledger.log import Log
from hetao.ledger.note import open_note
from hetao.ledger.policy import HUBS, Policy, read_policy
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
            it is empty or `HUBS`; a coordinator has to say which, for both hubs alone
            cosign its certificates then.
        authority: a file of those who vouch for the witnesses' servers, PEM, trusted
            beside the system's; the system's alone if empty.
    """

    head: str = ""
    witnesses: str = ""
    authority: str = ""

    @property
    def policy(self) -> Policy | None:
        """Return by whose rule witnesses are asked; None if nobody is.

        Raises:
            InvalidData: the file is no policy, or is not there.
        """
        named = self.witnesses not in ("", HUBS)
        return read_policy(Path(self.witnesses)) if named else None

    def check_said(self, where: str) -> None:
        """Return quietly if it says who is to see what the coordinator certifies.

        Raises:
            InvalidNetwork: it does not. The usual rule asks for a witness of each side
                and an independent one, and which one, no program can know.
        """
        if not self.witnesses:
            raise InvalidNetwork(
                f"{where} does not say who is to see what is certified",
                fix='name a policy with [log] witnesses = "FILE", as hetao witness '
                f'policy writes it; or say "{HUBS}": each certificate then tells '
                "its readers that nobody independent saw it",
            )

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
    policy = table.policy if asks else None
    if policy is None:
        return Log.open(path, identity.name, keys, head=place)
    from hetao.transparency.sightings import sightings  # few ask, and it is dear

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
    policy = table.policy
    if policy is None:
        return whole
    from hetao.transparency.client import cosignatures  # few ask, and it is dear

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
