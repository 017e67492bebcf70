"""What a site writes into its own log beside its signed records.

Words of an entry that names a study are told to the hubs and, over them, to every party
of that study. So a refusal is two entries: one that is told, with the code and the text
that every refusal of this code has, and one that stays at the site, with the sentence.
The second one bears a salt, for its hash is told as every entry's is.
"""

import datetime
from collections.abc import Callable
from typing import Any, Final

from hetao.canonical import canonical, digest_bytes
from hetao.errors import HetaoError
from hetao.ledger.account import ENTRY_TYPE
from hetao.ledger.envelope import Envelope
from hetao.permit import format_time

SENTENCE: Final = "hetao.sentence/1"
SALT_BYTES: Final = 16


def entry_of(
    what: str, now: datetime.datetime, envelope: Envelope | None = None
) -> dict[str, Any]:
    """Return an entry's fields: what happened, and about which envelope."""
    entry: dict[str, Any] = {"type": ENTRY_TYPE, "what": what, "at": format_time(now)}
    if envelope is not None:
        h = envelope.header
        entry |= {"envelope": envelope.digest, "study": h.study}
        entry |= {"task": h.task, "kind": h.kind, "from": h.sender, "head": h.head}
    return entry


def refusal_entries(
    now: datetime.datetime,
    error: HetaoError,
    envelope: Envelope,
    random: Callable[[int], bytes],
) -> list[bytes]:
    """Return the site's own entry of a refusal, and after it the one that is told.

    Args:
        now: UTC time.
        error: why.
        envelope: what was refused.
        random: returns so many bytes that nobody can guess.
    """
    told = entry_of("refused", now, envelope)
    told |= {"code": error.code, "rule": error.general}
    data = canonical(told)
    own = {
        "type": SENTENCE,
        "of": digest_bytes(data),
        "salt": random(SALT_BYTES).hex(),
        "rule": str(error),
    }
    return [canonical(own), data]
