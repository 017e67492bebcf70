"""A witness: it remembers the last checkpoint of each log and cosigns only growth.

Check and record are one transaction, and the record is on disk before the
cosignature exists; so one witness never cosigns two histories of one log.

Trusted: whoever can write the file, or holds the witness's key.

KNOWN GAP: a witness restored from a backup has forgotten what it cosigned since, and
could cosign a fork from there. A verifier's quorum asks several witnesses for this.
"""

import contextlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from hetao.errors import InvalidData, Refused, Unverified
from hetao.ledger.durable import (
    Database,
    append_only,
    create_store,
    open_store,
    writing,
)
from hetao.ledger.merkle import EMPTY_ROOT, verify_consistency
from hetao.ledger.note import (
    COSIGNATURE,
    Checkpoint,
    cosign,
    parse_checkpoint,
    verify_note,
    vkey,
)

SCHEMA = (
    "CREATE TABLE witness(name TEXT NOT NULL, public_key BLOB NOT NULL) STRICT",
    "CREATE TABLE log(origin TEXT PRIMARY KEY, public_key BLOB NOT NULL,"
    " size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL) STRICT",
    append_only("witness", "INSERT", "EXISTS (SELECT 1 FROM witness)"),
    append_only("witness", "UPDATE"),
    append_only("witness", "DELETE"),
    append_only(
        "log", "INSERT", "EXISTS (SELECT 1 FROM log WHERE origin = NEW.origin)"
    ),
    append_only(
        "log",
        "UPDATE",
        "NEW.origin IS NOT OLD.origin OR NEW.public_key IS NOT OLD.public_key"
        " OR NEW.size <= OLD.size",
    ),
    append_only("log", "DELETE"),
)


class Witness:
    """What one witness has seen of the logs that it was told to watch.

    Several threads may share one Witness, and several processes one file.
    """

    def __init__(
        self,
        store: Database,
        name: str,
        key: Ed25519PrivateKey,
        clock: Callable[[], int],
        beside: MLDSA44PrivateKey | None = None,
    ) -> None:
        """Take over an opened file; use `Witness.open`."""
        self._store, self._name = store, name
        self._key, self._clock, self._beside = key, clock, beside
        self._lock = threading.RLock()

    @classmethod
    def open(
        cls,
        path: Path,
        name: str,
        key: Ed25519PrivateKey,
        clock: Callable[[], int],
        beside: MLDSA44PrivateKey | None = None,
    ) -> Self:
        """Return the witness in this file, made anew (mode 0600) where there is none.

        Args:
            path: the witness's file, in a folder that exists.
            name: the name in its cosignature lines.
            key: what signs them, and nothing else.
            clock: gives the time in whole seconds since 1970.
            beside: a second key, which signs a line of its own; None for none.

        Raises:
            InvalidData: the folder is missing, the name is not one, the file is no
                witness's, or it belongs to another name or key.
        """
        vkey(name, key.public_key(), COSIGNATURE)  # refuses what is not a name
        identity = (name, key.public_key().public_bytes_raw())
        if not path.exists():
            create_store(path, SCHEMA, "INSERT INTO witness VALUES(?, ?)", identity)
        with contextlib.ExitStack() as stack:
            store = open_store(path, SCHEMA)
            stack.callback(store.close)
            if store.execute("SELECT * FROM witness").fetchall() != [identity]:
                raise InvalidData(
                    "the file belongs to a witness of another name or key"
                )
            stack.pop_all()
        return cls(store, name, key, clock, beside)

    def __enter__(self) -> Self:
        """Return the witness itself, to be closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the witness."""
        self.close()

    def close(self) -> None:
        """Close the file; nothing is lost if this never happens."""
        with self._lock:
            self._store.close()

    def trust(self, origin: str, public_key: Ed25519PublicKey) -> None:
        """Watch the log of this name and key from now on; twice is as good as once.

        Raises:
            InvalidData: the origin is not a name.
            Refused: the origin is already watched under another key.
        """
        Checkpoint(origin, 0, EMPTY_ROOT)  # refuses what is not a name
        raw = public_key.public_bytes_raw()
        with self._lock, writing(self._store):
            if self._row(origin) is None:
                values = (origin, raw, 0, EMPTY_ROOT, "")
                self._store.execute("INSERT INTO log VALUES(?, ?, ?, ?, ?)", values)
            self._require_trusted(origin, public_key)

    def key_of(self, origin: str) -> Ed25519PublicKey:
        """Return the key of a log that the witness watches.

        Raises:
            Refused: the witness does not watch this log.
        """
        with self._lock:
            row = self._row(origin)
        if row is None:
            raise Refused("the witness does not watch this log")
        return Ed25519PublicKey.from_public_bytes(row[0])

    def size(self, origin: str) -> int:
        """Return the size up to which this log was cosigned, 0 for none.

        Raises:
            Refused: the witness does not watch this log.
        """
        return self._known(origin)[0]

    def note(self, origin: str) -> str:
        """Return the signed checkpoint cosigned last, empty for none.

        Beside a second note of the same log that it contradicts, it is the evidence
        that the log forked.

        Raises:
            Refused: the witness does not watch this log.
        """
        return self._known(origin)[2]

    def add_checkpoint(
        self,
        origin: str,
        public_key: Ed25519PublicKey,
        old_size: int,
        note: str,
        consistency_path: Sequence[bytes],
    ) -> str:
        """Return the cosignature of a checkpoint that extends all seen before.

        One line, or two where the witness has a second key.

        Args:
            origin: the log's name.
            public_key: the log's key, which must be the one in `trust`.
            old_size: the size that the path starts from: what `size` returns.
            note: the log's signed checkpoint.
            consistency_path: from `old_size` to the note's size; empty from 0.

        Raises:
            Refused: the log is not watched, or `old_size` is not the size seen last,
                which includes every rollback.
            Unverified: the signature or the proof does not hold, or the checkpoint
                is another tree of a size already seen.

        Source:
            C2SP tlog-witness v1.0.0. Test: `tests/unit/test_witness.py`.
        """
        # 1 log known  2 signature  3 this log's checkpoint  4 old size is ours
        # 5 growth proved  6 recorded on disk  7 cosigned
        with self._lock:
            with writing(self._store):
                self._require_trusted(origin, public_key)  # 1
                text = verify_note(note, origin, public_key)  # 2
                new = parse_checkpoint(text)
                if new.origin != origin:  # 3
                    raise Unverified("the checkpoint is of another log")
                size, root, _ = self._known(origin)
                if old_size != size or new.size < size:  # 4
                    raise Refused(
                        "the checkpoint does not start from the one cosigned last",
                        fix=f"prove growth from size {size}",
                    )
                verify_consistency(
                    size, new.size, root, new.root, consistency_path
                )  # 5
                if new.size > size:
                    self._store.execute(  # 6
                        "UPDATE log SET size = ?, root = ?, note = ? WHERE origin = ?",
                        (new.size, new.root, note, origin),
                    )
            now = self._clock()
            line = cosign(note, self._name, self._key, now)  # 7
            if self._beside is not None:
                line += cosign(note, self._name, self._beside, now)
            return line

    def _row(self, origin: str) -> tuple[bytes, int, bytes, str] | None:
        row: tuple[bytes, int, bytes, str] | None = self._store.execute(
            "SELECT public_key, size, root, note FROM log WHERE origin = ?", (origin,)
        ).fetchone()
        return row

    def _known(self, origin: str) -> tuple[int, bytes, str]:
        with self._lock:
            row = self._row(origin)
        if row is None:
            raise Refused("the witness does not watch this log")
        return row[1:]

    def _require_trusted(self, origin: str, public_key: Ed25519PublicKey) -> None:
        row = self._row(origin)
        if row is None or row[0] != public_key.public_bytes_raw():
            raise Refused("the witness does not watch a log of this name and key")
