"""What a site answered: kept before it is logged, logged before it is sent.

A task that is delivered twice gets the very same bytes. A site that is killed at any
step and started again finishes what it had kept and repeats nothing. Of each answer it
knows whether its hub said that it has it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hetao.canonical import canonical, digest_bytes
from hetao.errors import Replayed
from hetao.federation.guard import is_stopped
from hetao.federation.store import Store
from hetao.ledger.envelope import Envelope, parse_envelope
from hetao.ledger.log import Log
from hetao.release import Release

ANSWERS: Final = """
CREATE TABLE IF NOT EXISTS answered (
    task TEXT NOT NULL PRIMARY KEY,
    digest TEXT NOT NULL,
    run TEXT NOT NULL,
    logged INTEGER,
    record BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS outgoing (
    task TEXT NOT NULL,
    hub TEXT NOT NULL,
    place INTEGER NOT NULL,
    digest TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (task, place)
) STRICT;
CREATE TABLE IF NOT EXISTS taken (task TEXT NOT NULL PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS place (
    hub TEXT NOT NULL PRIMARY KEY, epoch TEXT, seq INTEGER
) STRICT;
"""

Post = tuple[str, bytes]  # to which hub, what
Write = tuple[str, tuple[Any, ...]]  # a statement for the journal, and its values


class Answers:
    """A site's answers in its journal, and their entries in its log."""

    def __init__(self, store: Store, log: Log) -> None:
        """Finish logging what was kept, but not yet logged, before a kill.

        Args:
            store: the journal, which `remind` has told what stands in the log already.
            log: the site's own.
        """
        self._store, self._log = store, log
        self._log_kept()

    def key(self, envelope: Envelope) -> str:
        """Return the journal's key of the answer already given; "" for none yet.

        One that was kept, but could not be logged, is logged first: a full disk is not
        a way to be answered unlogged.

        A refusal is an answer: whoever could ask again with other content until it
        stops being refused would learn from each refusal.

        Raises:
            Replayed: its place is taken by an answer to another content.
        """
        rows = self._store.rows(
            "SELECT task, digest, logged FROM answered WHERE task = ? OR task = ?",
            (_task_key(envelope), _refused_key(envelope)),
        )
        for found, digest, logged in rows:
            if digest == envelope.digest:
                if logged is None:
                    self._log_answer(str(found))
                return str(found)
        if rows:
            raise Replayed("this task was given before with another content")
        return ""

    def keep(
        self,
        envelope: Envelope,
        release: Release,
        route: Mapping[str, str],
        *,
        refused: bool = False,
        replayed: bool = False,
        heard: bytes = b"",
    ) -> list[Post]:
        """Keep an answer, then log it, then return it for sending.

        Args:
            envelope: what was asked.
            release: what is let out.
            route: recipient → the hub that its envelope goes to.
            refused: whether it is a refusal.
            replayed: whether it refuses a place that was taken: the first answer keeps
                its place.
            heard: the entry that says what was asked, logged just before the answer;
                b"" for none.
        """
        key = _refused_key(envelope) if refused else _task_key(envelope)
        if replayed:
            key += f"|{envelope.digest}"
        record = canonical(release.record.as_json())
        row = (key, envelope.digest, envelope.header.run, record)
        keep: list[Write] = [
            (
                "INSERT OR REPLACE INTO answered (task, digest, run, logged, record) "
                "VALUES (?, ?, ?, NULL, ?)",
                row,
            )
        ]
        keep += [
            (
                "INSERT OR REPLACE INTO outgoing VALUES (?, ?, ?, ?, ?)",
                (key, route[e.header.recipient], place, e.digest, e.data),
            )
            for place, e in enumerate(release.envelopes)
        ]
        self._store.write(keep)
        self._log_answer(key, [heard] if heard else [])
        return self.posts(key)

    def posts(self, key: str) -> list[Post]:
        """Return what was sent under a key, byte for byte."""
        rows = self._store.rows(
            "SELECT hub, data FROM outgoing WHERE task = ? ORDER BY place", (key,)
        )
        return [(str(hub), bytes(data)) for hub, data in rows]

    def may_send(
        self, posts: Sequence[Post], folder: Path, stands: Callable[[str], bool]
    ) -> bool:
        """Return whether an answer may leave still, whose hub was away meanwhile.

        A refusal may. Nothing else may while the switch in the site's folder is thrown,
        or while the permit does not stand, nor once what was kept of it is destroyed.

        Args:
            posts: the answer.
            folder: of the site.
            stands: tells of a run whether its permit stands.
        """
        sent = [parse_envelope(data) for _, data in posts]
        held = [one for one in sent if one.header.kind != "refusal"]
        sums = [one.digest for one in held]
        if not sums:
            return True
        rows = self._store.rows(
            "SELECT digest FROM outgoing WHERE digest IN "
            "(SELECT value FROM json_each(?))",
            (json.dumps(sums),),
        )
        is_kept = {str(one) for (one,) in rows} == set(sums)
        return is_kept and not is_stopped(folder) and stands(held[0].header.run)

    def taken(self, post: Post) -> None:
        """Remember that a hub took an answer for good.

        Args:
            post: its last envelope; of a sum its receipt, by which the coordinator
                knows of the release, whoever has the shares.
        """
        self._store.note(  # lost in a power cut, it is not known to have been taken
            [
                (
                    "INSERT OR IGNORE INTO taken "
                    "SELECT task FROM outgoing WHERE digest = ?",
                    (digest_bytes(post[1]),),
                )
            ]
        )

    def unsent(self, run: str) -> list[str]:
        """Return the digest of each sum's record that is not known to have been taken.

        Sorted. Its hub may have it all the same, where the word of that was lost, or
        it was carried by hand. What was kept and not yet logged is logged first.
        """
        self._log_kept()
        rows = self._store.rows(
            "SELECT record FROM answered WHERE run = ? "
            "AND task NOT IN (SELECT task FROM taken)",
            (run,),
        )
        return sorted(digest_bytes(record) for (record,) in rows if _is_sum(record))

    def previous(self, run: str) -> str:
        """Return the digest of the last envelope that was sent in a run; "" if none."""
        last = self._store.rows(
            "SELECT o.digest FROM outgoing o JOIN answered a USING (task) "
            "WHERE a.run = ? ORDER BY a.rowid DESC, o.place DESC LIMIT 1",
            (run,),
        )
        return str(last[0][0]) if last else ""

    def proofs(self, run: str) -> list[dict[str, Any]]:
        """Return, of every sum of a run, the proof that it stands in the site's log."""
        rows = self._store.rows(
            "SELECT logged, record FROM answered WHERE run = ? "
            "AND logged IS NOT NULL ORDER BY logged",
            (run,),
        )
        size = self._log.size
        return [
            {
                "task": json.loads(record)["body"]["task"],
                "index": int(index),
                "path": [node.hex() for node in self._log.inclusion(int(index), size)],
            }
            for index, record in rows
            if _is_sum(record)
        ]

    def _log_kept(self) -> None:
        """Log what was kept, and could not be logged."""
        rows = self._store.rows("SELECT task FROM answered WHERE logged IS NULL")
        for (task,) in rows:
            self._log_answer(str(task))

    def _log_answer(self, key: str, before: Sequence[bytes] = ()) -> None:
        (record,) = self._store.rows(
            "SELECT record FROM answered WHERE task = ?", (key,)
        )[0]
        index = self._log.append([*before, bytes(record)]) + len(before)
        self._store.note(  # lost in a power cut, it is found in the log again: `remind`
            [("UPDATE answered SET logged = ? WHERE task = ?", (index, key))]
        )

    # --- the cursor -------------------------------------------------------------------
    def cursor(self, hub: str) -> tuple[str, int]:
        """Return (epoch, place in line) up to which envelopes are answered."""
        rows = self._store.rows("SELECT epoch, seq FROM place WHERE hub = ?", (hub,))
        return (str(rows[0][0]), int(rows[0][1])) if rows else ("", 0)

    def advance(self, hub: str, epoch: str, seq: int) -> None:
        """Remember that everything up to `seq` is answered and sent."""
        self._store.note(  # lost in a power cut, the same answers are sent again
            [("INSERT OR REPLACE INTO place VALUES (?, ?, ?)", (hub, epoch, seq))]
        )


def _is_sum(record: bytes) -> bool:
    return bool(json.loads(record)["body"]["kind"] == "sum")


def _task_key(envelope: Envelope) -> str:
    header = envelope.header
    return f"{header.run}|{header.task}|{header.kind}"


def _refused_key(envelope: Envelope) -> str:
    return f"{_task_key(envelope)}|refused"
