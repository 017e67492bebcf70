"""Where a party's `[log] head` says that its log's head is kept."""

from pathlib import Path

from hetao.errors import InvalidNetwork
from hetao.ledger.head import FileHead, Head


def head_at(place: str, base: Path, origin: str) -> Head | None:
    """Return the head at a place; None for the one beside the log.

    Args:
        place: a file's path, a `postgresql://` connection, or empty.
        base: what a relative path is relative to.
        origin: the log's name.

    Raises:
        InvalidNetwork: the folder of the file is missing, such as a disk that is not
            mounted.
        Unreachable: the database does not answer.
    """
    if not place:
        return None
    if place.startswith(("postgresql://", "postgres://")):
        from hetao.transparency.head_postgres import PostgresHead

        return PostgresHead(place, origin)
    path = base / place
    if not path.parent.is_dir():
        raise InvalidNetwork(
            "the folder that [log] head names is missing",
            fix="mount the disk that it stands on, or correct the path",
            local=str(path.parent),
        )
    return FileHead(path)
