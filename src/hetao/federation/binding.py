"""At a site: extract root → input root → each message, each citing the one before.

The extract is logged before a study runs on it. The record of the begin cites it; the
record of a first round cites that of the begin, and each other round's the one before.
"""

import dataclasses
import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from hetao.analysis import Rows
from hetao.canonical import canonical, digest_bytes
from hetao.cdm import CuratedTables, FlatTable
from hetao.cdm.committing import Commitment, acts_folder
from hetao.cdm.pseudonym import read_or_make_key
from hetao.cdm.store import read_manifest
from hetao.errors import InvalidData
from hetao.federation.store import Store
from hetao.ledger.envelope import Header
from hetao.ledger.extracts import cited
from hetao.ledger.log import Log
from hetao.ledger.note import checkpoint_of
from hetao.permit import Identity, Statement, format_time, state, statement_from
from hetao.release import Binding, commit, nonce_for
from hetao.release.record import band
from hetao.whole import write_whole

EXTRACT: Final = "hetao.extract/1"
LOGGED: Final = "logged.json"  # beside a commitment, once its root is in the log
KEY: Final = "binding.key"


@dataclass(frozen=True)
class LoggedExtract:
    """A committed extract as the site's log has it.

    Attributes:
        record: what the site signed; bands and a root, nothing else about patients.
        index: where in the site's log.
        seen: the lines of the log's checkpoint that the permit's witnesses cosigned
            before the study ran; none where it demands none.
    """

    record: Statement
    index: int
    seen: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Return the digest that later records cite."""
        return cited(self.record.as_json(), self.seen)

    def proof(self, log: Log) -> dict[str, Any]:
        """Return what a certificate holds of it, proved against the checkpoint."""
        path = [node.hex() for node in log.inclusion(self.index, log.size)]
        body = {"record": self.record.as_json(), "index": self.index, "path": path}
        if not self.seen:
            return body
        size = checkpoint_of("\n".join(self.seen)).size
        then = [node.hex() for node in log.inclusion(self.index, size)]
        growth = [node.hex() for node in log.consistency(size)]
        return {**body, "seen": [*self.seen], "then": then, "growth": growth}


def log_extract(
    identity: Identity,
    log: Log,
    store: Path,
    commitment: Commitment,
    now: datetime.datetime,
) -> LoggedExtract:
    """Put a commitment's root into the site's log, once, or return where it stands.

    Args:
        identity: of the site.
        log: the site's.
        store: where its snapshots and commitments stand.
        commitment: whose root it is.
        now: UTC time.

    Raises:
        InvalidData: what was kept about it does not hold.
    """
    path = acts_folder(store, commitment.snapshot) / LOGGED
    if path.is_file():
        return _read_logged(path)
    mapping = read_manifest(store / "snapshots" / path.parent.name).mapping
    record = state(
        identity,
        {
            "type": EXTRACT,
            "site": identity.name,
            "at": format_time(now),
            "snapshot": commitment.snapshot,
            "dictionary": commitment.dictionary_digest,
            "vocabulary": commitment.vocabulary,
            "mapping": mapping,
            "acts": band(commitment.acts),
            "people": band(commitment.people),
            "root": commitment.root,
        },
    )
    index = log.append([canonical(record.as_json())])
    body = {"record": record.as_json(), "index": index}
    text = json.dumps(body, ensure_ascii=False, indent=1) + "\n"
    write_whole(path, text.encode())
    return LoggedExtract(record, index)


def _read_logged(path: Path) -> LoggedExtract:
    try:
        body = json.loads(path.read_text("utf-8"))
        return LoggedExtract(statement_from(body["record"]), int(body["index"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidData(
            f"{path.name} of snapshot {path.parent.name} is damaged",
            fix="remove it; the root is then logged once more",
        ) from error


class Bindings:
    """What a site keeps to bind its sums, and to carry its steps out again."""

    def __init__(self, folder: Path, store: Store) -> None:
        """Take the site's folder, with a secret made at the first run, and journal."""
        self._secret = read_or_make_key(folder / KEY, "secret of commitments to sums")
        self._store = store
        self._inputs: dict[tuple[str, str], str] = {}  # of runs, analysis by analysis

    def extract(
        self,
        table: CuratedTables | FlatTable,
        identity: Identity,
        log: Log,
        now: datetime.datetime,
    ) -> LoggedExtract | None:
        """Return the extract that a study runs on, logged by now; None for none."""
        commitment = table.commitment if isinstance(table, CuratedTables) else None
        if commitment is None or not isinstance(table, CuratedTables):
            return None
        return log_extract(identity, log, table.store, commitment, now)

    def of(self, header: Header, rows: Rows) -> Binding:
        """Return what binds one round's sum."""
        key = (header.run, header.analysis)
        if key not in self._inputs:
            self._inputs[key] = self.input(*key, rows)
        nonce = self.nonce(header.run, header.task)
        return Binding(self._cited(header), self._inputs[key], nonce)

    def input(self, run: str, analysis: str, rows: Rows) -> str:
        """Return the commitment to the rows of an analysis."""
        nonce = nonce_for(self._secret, "input", run, analysis)
        return commit(nonce, rows_bytes(rows))

    def nonce(self, run: str, task: str) -> bytes:
        """Return the nonce by which the sum of a task is committed to."""
        return nonce_for(self._secret, "output", run, task)

    def _cited(self, header: Header) -> str:
        """Return the digest of the record before this round's."""
        run, query = header.run, "SELECT record FROM answered WHERE run = ? AND "
        if header.round == 0:
            query += "substr(task, -6) = '|begin'"
            rows = self._store.rows(query, (run,))
        else:
            before = f"{header.analysis}/{header.attempt}/{header.round - 1}"
            rows = self._store.rows(query + "task = ?", (run, f"{run}|{before}|task"))
        return digest_bytes(bytes(rows[0][0])) if rows else ""


def rows_bytes(rows: Rows) -> bytes:
    """Return a digest of each array of an analysis's rows, by name, in one order."""
    return canonical(dict(_told(rows, "")))


def _told(rows: Rows, where: str) -> Iterator[tuple[str, Any]]:
    for one in dataclasses.fields(rows):
        value = getattr(rows, one.name)
        name = where + one.name
        if one.name == "parts":
            for place, part in enumerate(value):
                yield from _told(part, f"{name}.{place}.")
        elif isinstance(value, np.ndarray):
            yield name, _array(value)
        elif isinstance(value, Mapping):
            yield from ((f"{name}.{key}", _array(a)) for key, a in value.items())
        else:
            yield name, value


def _array(values: np.ndarray) -> list[Any]:
    kind = values.dtype.newbyteorder("<")
    data = np.ascontiguousarray(values, dtype=kind)
    return [kind.str, list(values.shape), hashlib.sha256(data.tobytes()).hexdigest()]
