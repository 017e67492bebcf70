"""A party's own log: where it lies, and where it keeps what it signed last."""

from contextlib import closing
from pathlib import Path

from hetao.ledger.head import FileHead
from hetao.ledger.log import Log
from hetao.permit import Identity
from hetao.transparency.heads import head_at

NAME = "log.sqlite"


def open_log(folder: Path, identity: Identity, head: str = "") -> Log:
    """Return a party's log, made anew where there is none.

    Args:
        folder: of the party's state.
        identity: names the log and signs it.
        head: as in `[log] head`, not relative; beside the log if empty.

    Raises:
        InvalidData, InvalidNetwork, Unreachable, Unverified: as `Log.open`, `head_at`.
    """
    place = head_at(head, folder, identity.name)
    return Log.open(folder / NAME, identity.name, identity.signing_key, head=place)


def has_log(folder: Path, identity: Identity, head: str = "") -> bool:
    """Return whether there is a log, or a head that remembers one."""
    path = folder / NAME
    place = head_at(head, folder, identity.name)
    with closing(place or FileHead(path.with_name(path.name + ".head"))) as found:
        return path.is_file() or found.read() is not None
