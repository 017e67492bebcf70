"""The runs that a site has begun: under which permit, over which data, asked how.

They outlast the process, so that a permit's runs are counted and its data stay the
same, whoever stops the site in between. Of a run whose permit is revoked the place
stays, and what was asked goes.
"""

from collections.abc import Collection
from typing import Final

from hetao.errors import Replayed, UnlistedProtocol
from hetao.federation.store import Store
from hetao.ledger.envelope import Envelope, parse_envelope
from hetao.permit import Bundle

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS begun (
    run TEXT NOT NULL PRIMARY KEY,
    permit TEXT NOT NULL,
    snapshot TEXT NOT NULL,
    data BLOB NOT NULL
) STRICT;
"""
DESTROY: Final = (  # what a site keeps of a run whose permit is revoked
    "DELETE FROM state WHERE run = ?",
    "DELETE FROM outgoing WHERE task IN (SELECT task FROM answered WHERE run = ?)",
)


class Begun:
    """The runs that a site has begun, in its journal."""

    def __init__(self, store: Store, site: str) -> None:
        """Keep them in a journal, made with `SCHEMA` among its tables."""
        self._store, self._site = store, site

    def kept(self) -> list[str]:
        """Return the runs of which what was asked is here."""
        found = self._store.rows("SELECT run FROM begun WHERE data != x''")
        return [str(run) for (run,) in found]

    def envelope(self, run: str) -> Envelope | None:
        """Return what began a run; None where it never began here, or was destroyed."""
        rows = self._store.rows("SELECT data FROM begun WHERE run = ?", (run,))
        return parse_envelope(bytes(rows[0][0])) if rows and rows[0][0] else None

    def keep(self, envelope: Envelope, permit: str, snapshot: str) -> None:
        """Keep what begins a run, under the digests of its permit and its data."""
        row = (envelope.header.run, permit, snapshot, envelope.data)
        self._store.write([("INSERT OR REPLACE INTO begun VALUES (?, ?, ?, ?)", row)])

    def destroy(self, run: str) -> None:
        """Take away what is kept of a run, but that it was here, and what was asked."""
        self._store.shred([(statement, (run,)) for statement in DESTROY])

    def forget(self, run: str) -> None:
        """Take away what was asked in a run; nothing is kept of it then."""
        text = "UPDATE begun SET data = x'' WHERE run = ?"
        self._store.shred([(text, (run,))])

    def first_snapshot(self, permit: str) -> str:
        """Return the digest of the data that a permit's runs are over; "" for none."""
        rows = self._store.rows(
            "SELECT snapshot FROM begun WHERE permit = ? AND snapshot != '' LIMIT 1",
            (permit,),
        )
        return str(rows[0][0]) if rows else ""

    def snapshot(self, run: str) -> str:
        """Return the digest of the data that a run was told to be over; "" for none."""
        rows = self._store.rows("SELECT snapshot FROM begun WHERE run = ?", (run,))
        return str(rows[0][0]) if rows else ""

    def check_earlier(self, run: str, bundle: Bundle, known: Collection[str]) -> None:
        """Refuse a run too many, and one over other data than the permit's first.

        Two answers to one question over data that differ by a patient, each harmless,
        give that patient away when they are subtracted.

        Args:
            run: that asks.
            bundle: its permit.
            known: every digest of the data that it is over.

        Raises:
            UnlistedProtocol: the permit's runs are used up.
            Replayed: it was answered from other data.
        """
        rows = self._store.rows(
            "SELECT run, snapshot FROM begun WHERE permit = ?", (bundle.permit.digest,)
        )
        most = bundle.terms.most_runs
        if len([one for one, _ in rows if one != run]) >= most:
            raise UnlistedProtocol(
                "the permit's runs are used up", fix="ask for a new permit"
            )
        if any(other not in ("", *known) for _, other in rows):
            raise Replayed(
                f"{self._site} has answered under this permit from other data",
                fix="ask for a new permit after the data were curated again",
            )
