"""A journal that was restored from a backup is told again what its log knows.

Every answer stands in the site's log before it is sent. So a journal that is older than
the log has forgotten answers, and would give others in their places. When a site opens,
and before it logs anything, every record that the journal does not know is taken into
it: their places are taken, their runs count, their permits keep their snapshot, and the
clock is not set back. What was sent cannot be sent again, for its bytes are gone.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from hetao.federation.answers import Write
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
AT_ONCE: Final = 4096  # entries that are read in one go
PLACE: Final = (  # whose content has no digest, so that nothing fits it
    "INSERT OR IGNORE INTO answered (task, digest, run, logged, record) "
    "VALUES (?, '', ?, ?, ?)"
)


def remind(store: Store, log: Log) -> int:
    """Take into a site's journal what its log alone knows; return how many answers.

    Every record of the log is looked at, wherever it stands. One that the journal kept
    and does not know to be logged is told where it is, so that it is not logged again.

    Args:
        store: the journal, with the tables of a site.
        log: the site's own, verified when it was opened.
    """
    rows = store.rows("SELECT logged FROM answered WHERE logged IS NOT NULL")
    known = {int(at) for (at,) in rows}
    rows = store.rows("SELECT task, record FROM answered WHERE logged IS NULL")
    unlogged = {bytes(data): str(task) for task, data in rows}
    taken = {str(task) for (task,) in store.rows("SELECT task FROM answered")}
    told: list[Write] = []
    lost = 0
    for at, data, body in _records(log, known):
        task = unlogged.pop(data, None)
        if task is not None:
            told.append(("UPDATE answered SET logged = ? WHERE task = ?", (at, task)))
            continue
        asked_by = ASKED_BY.get(str(body["kind"]), ())
        places = [f"{body['run']}|{body['task']}|{by}" for by in asked_by]
        lost += taken.isdisjoint(places)  # else a later refusal has its row
        taken.update(places)
        told += [(PLACE, (one, str(body["run"]), at, data)) for one in places]
        told += _told(body)
    if told:
        store.write(told)
    return lost


def _records(
    log: Log, known: Collection[int]
) -> Iterator[tuple[int, bytes, Mapping[str, Any]]]:
    """Yield (index, entry, body) of every record in the log but those."""
    size = log.size
    for start in range(0, size, AT_ONCE):
        stop = min(size, start + AT_ONCE)
        for index, data in enumerate(log.entries(start, stop), start):
            if index in known or RECORD.encode() not in data or is_redaction(data):
                continue
            body = json.loads(data).get("body")
            if isinstance(body, dict) and str(body.get("type", "")).startswith(RECORD):
                yield index, data, body


def _told(body: Mapping[str, Any]) -> Iterator[Write]:
    """Yield what writes of an answer, besides its place, into the journal."""
    if body["kind"] != "refusal":
        run, permit = str(body["run"]), str(body["permit"])
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
