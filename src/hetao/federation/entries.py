"""What a site writes into its own log beside its signed records."""

import datetime
from typing import Any

from hetao.canonical import canonical
from hetao.errors import HetaoError
from hetao.ledger.account import ENTRY_TYPE
from hetao.ledger.envelope import Envelope
from hetao.permit import format_time


def entry_of(
    what: str,
    now: datetime.datetime,
    envelope: Envelope | None = None,
    error: HetaoError | None = None,
) -> bytes:
    """Return an entry: what happened, about which envelope, by which rule."""
    entry: dict[str, Any] = {"type": ENTRY_TYPE, "what": what, "at": format_time(now)}
    if envelope is not None:
        h = envelope.header
        entry |= {"envelope": envelope.digest, "study": h.study}
        entry |= {"task": h.task, "kind": h.kind, "from": h.sender, "head": h.head}
    if error is not None:
        entry["rule"] = str(error)
    return canonical(entry)
