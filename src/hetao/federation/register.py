"""What a party has heard about permits: kept for good, and passed on to whoever asks.

Notices come as files in the party's own folder, from hubs and from parties that dial a
hub. Whatever way they come, a notice is kept only if a key of the party's own list
signed it; who carries it decides nothing. Since each is kept for good, a withdrawal
that was heard once is heeded for ever, whatever file is taken away.
"""

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hetao.canonical import canonical, digest_bytes
from hetao.errors import BadSignature, HetaoError
from hetao.federation.store import Store
from hetao.permit import (
    Bundle,
    Directory,
    Key,
    Permit,
    Statement,
    read_bundle,
    read_notice,
    statement_from,
)
from hetao.permit.notices import TYPE

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS heard (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    digest TEXT NOT NULL UNIQUE,
    permit TEXT NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS by_permit ON heard (permit);
"""
MOST: Final = 500  # notices in one message
LARGEST: Final = 2**20  # bytes of one message


@dataclass(frozen=True)
class News:
    """What a register holds past a place, and the place to ask from next."""

    epoch: str
    place: int
    notices: tuple[Statement, ...]

    def encoded(self) -> bytes:
        """Return the form in which news travels."""
        told = [one.as_json() for one in self.notices]
        return canonical({"epoch": self.epoch, "place": self.place, "notices": told})


def news_from(data: bytes) -> News:
    """Return the news of a message.

    Raises:
        BadSignature: it is malformed; nothing of it is taken.
    """
    try:
        if len(data) > LARGEST:
            raise BadSignature("a message of notices is too large")
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadSignature("a message of notices is not JSON") from error
    match table:
        case {"epoch": str(epoch), "place": int(place), "notices": list(rows)}:
            if place >= 0 and len(rows) <= MOST:
                return News(epoch, place, tuple(statement_from(row) for row in rows))
    raise BadSignature("a message of notices is malformed")


class Register:
    """A party's notices: one for each that a key of its own list signed."""

    def __init__(
        self, store: Store, trusted: Directory, read: Callable[[], Sequence[Statement]]
    ) -> None:
        """Keep notices in a party's journal.

        Args:
            store: the journal, made with `SCHEMA` among its tables.
            trusted: the party's own list.
            read: returns what lies in the party's folder of notices; asked each time.
        """
        self._store, self._trusted, self._read = store, trusted, read
        self._lock = threading.Lock()
        self._known: dict[str, list[Statement]] = {}
        self._digests: set[str] = set()
        self._place = 0
        for place, data in store.rows("SELECT place, data FROM heard ORDER BY place"):
            self._remember(int(place), statement_from(json.loads(data)))

    def _remember(self, place: int, notice: Statement) -> None:
        self._place = max(self._place, place)
        self._digests.add(digest_bytes(canonical(notice.as_json())))
        self._known.setdefault(str(notice.body["permit"]), []).append(notice)

    @property
    def place(self) -> int:
        """Return the place of the last notice; another as soon as one is new."""
        return self._place

    def look(self) -> int:
        """Take in what lies in the folder; return how much of it was new.

        Raises:
            InvalidNetwork: a file in the folder is no permit; fails closed.
        """
        return self.take(self._read())

    def take(self, notices: Iterable[Statement]) -> int:
        """Keep what is new and truly signed; return how much that was."""
        with self._lock:
            count = 0
            for notice in notices:
                digest = digest_bytes(canonical(notice.as_json()))
                if digest not in self._digests and self._is_signed(notice):
                    self._keep(digest, notice)
                    count += 1
            return count

    def _keep(self, digest: str, notice: Statement) -> None:
        row = (digest, str(notice.body["permit"]), canonical(notice.as_json()))
        text = "INSERT OR IGNORE INTO heard (digest, permit, data) VALUES (?, ?, ?)"
        self._store.write([(text, row)])
        ((place,),) = self._store.rows("SELECT max(place) FROM heard")
        self._remember(int(place), notice)

    def _is_signed(self, notice: Statement) -> bool:
        body: Any = notice.body
        try:
            key = self._signer(notice)
            given = body.get("delegation")
            if given is not None:
                self._signer(statement_from(given)).check_unrevoked(str(body["at"]))
        except HetaoError:
            return False
        named = isinstance(body.get("permit"), str) and body.get("by") == key.owner
        return bool(named and body.get("type") == TYPE)

    def _signer(self, statement: Statement) -> Key:
        """Return the key of the party's own list that signed a statement."""
        key = self._trusted.key(str(statement.body.get("key")))
        statement.verify_key(key, str(statement.body.get("at")))
        return key

    def heard_of(self, bundle: Bundle) -> Bundle:
        """Return a bundle with everything that was heard about its permit.

        Raises:
            InvalidNetwork: a file in the folder is no permit; fails closed.
        """
        self.look()
        with self._lock:
            known = list(self._known.get(bundle.permit.digest, ()))
        new = [one for one in known if one not in bundle.notices]
        return bundle.with_notices(
            tuple(one for one in new if holds(bundle.permit, one))
        )

    def after(self, place: int, epoch: str = "") -> News:
        """Return what was heard past a place, as much as one message holds."""
        if place >= self._place:  # as most are who ask, every second
            return News(epoch, place, ())
        rows = self._store.rows(
            "SELECT place, data FROM heard WHERE place > ? ORDER BY place LIMIT ?",
            (place, MOST),
        )
        found, size = [], 0
        for at, data in rows:
            size += len(data)
            if size > LARGEST // 2:
                break
            place = int(at)
            found.append(statement_from(json.loads(data)))
        return News(epoch, place, tuple(found))


def holds(permit: Permit, notice: Statement) -> bool:
    """Return whether a notice is about this permit, by somebody with a say in it."""
    try:
        read_notice(permit, notice)
    except (HetaoError, ValueError):
        return False  # somebody of the list spoke where they have no say
    return True


def read_notices(folder: Path) -> tuple[Statement, ...]:
    """Return what permit files in a folder say, read anew at each use.

    Raises:
        InvalidNetwork: a file in the folder is no permit; fails closed.
    """
    found: list[Statement] = []
    for path in sorted(folder.glob("*.json")):
        found += read_bundle(path).notices
    return tuple(found)
