"""Envelopes that a hub holds: each in a place of its own, in the order they came."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hetao.errors import Replayed
from hetao.federation.store import Store
from hetao.ledger.envelope import Envelope, Header, parse_envelope

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS envelope (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL,
    recipient TEXT NOT NULL,
    run TEXT NOT NULL,
    task TEXT NOT NULL,
    kind TEXT NOT NULL,
    sender TEXT NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS involved (
    party TEXT NOT NULL,
    study TEXT NOT NULL,
    PRIMARY KEY (party, study)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_recipient ON envelope (recipient, seq);
CREATE INDEX IF NOT EXISTS by_task ON envelope (run, task, kind);
"""
SHRED: Final = (
    "UPDATE envelope SET data = x'', recipient = '' "
    "WHERE run = ? AND kind IN ('share', 'total')"
)
KEPT: Final = (
    "SELECT DISTINCT run FROM envelope WHERE kind IN ('share', 'total') AND data != x''"
    " AND run IN (SELECT run FROM envelope "
    "WHERE kind = 'begin' AND recipient = ? AND sender = ?)"
)
PUT: Final = (
    "INSERT OR IGNORE INTO envelope (key, digest, recipient, run, task, kind, sender, "
    "data) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
INVOLVE: Final = "INSERT OR IGNORE INTO involved VALUES (?, ?)"
BATCH: Final = 16  # envelopes handed over in one answer …
BATCH_BYTES: Final = 16 * 2**20  # … unless they are large; one always is


@dataclass(frozen=True)
class Inbox:
    """Envelopes waiting for a party, oldest first, each with its place in line.

    `epoch` changes when a hub starts over with an empty store; cursors into an older
    epoch mean nothing.
    """

    epoch: str
    items: tuple[tuple[int, bytes], ...]


class Shelf:
    """The envelopes in a hub's store."""

    def __init__(self, store: Store, name: str) -> None:
        """Look at the envelopes of the store of the hub of this name."""
        self._store, self._name = store, name

    # --- what came ------------------------------------------------------------------
    def put(self, envelopes: Sequence[Envelope], convener: str) -> None:
        """Keep envelopes, durably, each in its place; one that is there stays.

        Args:
            envelopes: what came, or what the hub itself sends.
            convener: whose envelopes alone make a party one of a study's; else
                anybody could, by naming a study, be told its records.
        """
        concerned = {
            (party, one.header.study)
            for one in envelopes
            if one.header.sender == convener
            for party in (convener, one.header.recipient)
        }
        self._store.write(
            [(INVOLVE, pair) for pair in sorted(concerned)]
            + [(PUT, _row(envelope)) for envelope in envelopes]
        )

    def involve(self, parties: Iterable[str], study: str) -> None:
        """Note the parties of a study whose permit was verified."""
        self._store.write([(INVOLVE, (party, study)) for party in sorted(parties)])

    def studies_of(self, party: str) -> set[str]:
        """Return the studies whose permit names a party, or whose letters it got."""
        rows = self._store.rows("SELECT study FROM involved WHERE party = ?", (party,))
        return {str(study) for (study,) in rows}

    def is_known(self, envelope: Envelope, new: Mapping[str, Envelope]) -> bool:
        """Say whether an envelope is here, or among those that are about to be.

        Raises:
            Replayed: another one has its place.
        """
        key = key_of(envelope.header)
        rows = self._store.rows("SELECT digest FROM envelope WHERE key = ?", (key,))
        known = [str(digest) for (digest,) in rows]
        known += [new[key].digest] if key in new else []
        if known and known[0] != envelope.digest:
            raise Replayed("another envelope already stands in this place of the run")
        return bool(known)

    def has_place(self, header: Header) -> bool:
        """Say whether an envelope stands in a header's place."""
        query = "SELECT 1 FROM envelope WHERE key = ?"
        return bool(self._store.rows(query, (key_of(header),)))

    # --- what waits -----------------------------------------------------------------
    def waiting(
        self, recipient: str, after: int, run: str
    ) -> tuple[tuple[int, bytes], ...]:
        """Return what waits for a party past the cursor, of one run; of all for ""."""
        rows = self._store.rows(
            "WITH waiting AS (SELECT seq, sum(length(data)) OVER (ORDER BY seq) "
            "- length(data) AS before FROM envelope WHERE recipient = ? AND seq > ? "
            "AND (? = '' OR run = ?) ORDER BY seq LIMIT ?) "
            "SELECT seq, data FROM waiting JOIN envelope USING (seq) "
            "WHERE before < ? ORDER BY seq",
            (recipient, after, run, run, BATCH, BATCH_BYTES),
        )
        return tuple((int(seq), bytes(data)) for seq, data in rows)

    def orders(self) -> list[Envelope]:
        """Return every task and finish that came to this hub, oldest first."""
        rows = self._store.rows(
            "SELECT data FROM envelope WHERE recipient = ? "
            "AND kind IN ('task', 'finish') ORDER BY seq",
            (self._name,),
        )
        return [parse_envelope(bytes(data)) for (data,) in rows]

    # --- of a run -------------------------------------------------------------------
    def one(self, run: str, task: str, kind: str, sender: str) -> Envelope | None:
        """Return the envelope of this kind that a party sent to this hub."""
        rows = self._store.rows(
            "SELECT data FROM envelope WHERE run = ? AND task = ? AND kind = ? "
            "AND recipient = ? AND sender = ?",
            (run, task, kind, self._name, sender),
        )
        return parse_envelope(bytes(rows[0][0])) if rows else None

    def count_of_shares(self, run: str, task: str) -> int:
        """Return how many shares of a task are here; reads none of them."""
        ((shares,),) = self._store.rows(
            "SELECT count(*) FROM envelope WHERE run = ? AND task = ? "
            "AND kind = 'share' AND recipient = ?",
            (run, task, self._name),
        )
        return int(shares)

    def of_task(self, run: str, task: str) -> dict[tuple[str, str], bytes]:
        """Return (kind, sender) → bytes of what came for a task, and of this hub's sum.

        None of them is parsed: a share may be large, and may be one too many.
        """
        rows = self._store.rows(
            "SELECT kind, sender, data FROM envelope WHERE run = ? AND task = ? "
            "AND (recipient = ? OR (sender = ? AND kind = 'total'))",
            (run, task, self._name, self._name),
        )
        return {(str(row[0]), str(row[1])): bytes(row[2]) for row in rows}

    def tasks_after(self, run: str, task: str) -> list[Header]:
        """Return the headers of the tasks of a run that came after this one."""
        rows = self._store.rows(
            "SELECT data FROM envelope WHERE run = ? AND kind = 'task' "
            "AND recipient = ? AND seq > (SELECT max(seq) FROM envelope WHERE run = ? "
            "AND task = ? AND kind = 'task' AND recipient = ?)",
            (run, self._name, run, task, self._name),
        )
        return [parse_envelope(bytes(data)).header for (data,) in rows]

    def last_sent(self, run: str) -> str:
        """Return the digest of what this hub sent last in a run; "" for nothing."""
        rows = self._store.rows(
            "SELECT digest FROM envelope WHERE run = ? AND sender = ? "
            "ORDER BY seq DESC LIMIT 1",
            (run, self._name),
        )
        return str(rows[0][0]) if rows else ""

    # --- destroying -----------------------------------------------------------------
    def kept(self, coordinator: str) -> list[str]:
        """Return the runs of a coordinator of which shares or sums are here."""
        return [str(r[0]) for r in self._store.rows(KEPT, (self._name, coordinator))]

    def shred(self, run: str) -> None:
        """Destroy the shares and sums of a run; their places stay taken."""
        self._store.shred([(SHRED, (run,))])


def key_of(header: Header) -> str:
    """Return the place of an envelope: one alone may ever stand in it."""
    return json.dumps(
        [header.run, header.task, header.kind, header.sender, header.recipient]
    )


def _row(envelope: Envelope) -> tuple[str | bytes, ...]:
    header = envelope.header
    return (
        key_of(header),
        envelope.digest,
        header.recipient,
        header.run,
        header.task,
        header.kind,
        header.sender,
        envelope.data,
    )
