"""A journal that was restored from a backup is told again what its log knows.

Every answer stands in the site's log before it is sent. So a journal that is older than
the log has forgotten answers, and would give others in their places. When a site opens,
the records behind the last one that the journal knows are taken into it: their places
are taken, their runs count, their permits keep their snapshot, and the clock is not set
back. What was sent cannot be sent again, for its bytes are gone.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hetao.canonical import canonical
from hetao.federation.store import Store
from hetao.ledger.log import Log
from hetao.ledger.redaction import is_redaction

RECORD: Final = "hetao.release/"  # type of a release record, any version
ASKED_BY: Final[Mapping[str, tuple[str, ...]]] = {  # kind of an answer → of what asks
    "ready": ("begin",),
    "sum": ("task",),
    "closing": ("finish",),
    "refusal": ("begin|refused", "task|refused", "finish|refused"),
}


def remind(store: Store, log: Log) -> int:
    """Take into a site's journal what its log alone knows; return how many answers.

    Args:
        store: the journal, with the tables of a site.
        log: the site's own, verified when it was opened.
    """
    ((last,),) = store.rows("SELECT MAX(logged) FROM answered")
    start = 0 if last is None else int(last) + 1
    found = list(_records(log, start))
    if not found:
        return 0
    known = {bytes(data) for (data,) in store.rows("SELECT record FROM answered")}
    lost = [(at, data, body) for at, data, body in found if data not in known]
    store.write([one for at, data, body in lost for one in _told(at, data, body)])
    return len(lost)


def _records(log: Log, start: int) -> Iterator[tuple[int, bytes, Mapping[str, Any]]]:
    if start >= log.size:
        return
    for index, data in enumerate(log.entries(start, log.size), start):
        if not data or is_redaction(data):
            continue
        value = json.loads(data)
        body = value.get("body")
        if isinstance(body, dict) and str(body.get("type", "")).startswith(RECORD):
            yield index, canonical(value), body


def _told(
    index: int, data: bytes, body: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield what writes one answer into the journal; no content has its digest."""
    run, permit = str(body["run"]), str(body["permit"])
    for asked in ASKED_BY.get(str(body["kind"]), ()):
        yield (
            "INSERT OR IGNORE INTO answered (task, digest, run, logged, record) "
            "VALUES (?, '', ?, ?, ?)",
            (f"{run}|{body['task']}|{asked}", run, index, data),
        )
    if body["kind"] != "refusal":
        snapshot = str(body.get("snapshot", ""))
        yield (
            "INSERT INTO begun VALUES (?, ?, ?, x'') ON CONFLICT (run) DO UPDATE "
            "SET snapshot = excluded.snapshot WHERE snapshot = ''",
            (run, permit, snapshot),
        )
    yield (
        "INSERT INTO latest VALUES (1, ?) ON CONFLICT (one) DO UPDATE "
        "SET at = excluded.at WHERE at < excluded.at",
        (str(body["at"]),),
    )
