"""What a site has in its journal, as another process of the site reads it.

The site may be serving meanwhile: what hubs told it of a revocation, and how late it
has worked, binds its other commands too. Nothing is written.
"""

import json
from pathlib import Path
from typing import Any, Final

from hetao.federation.register import holds
from hetao.ledger.durable import reading
from hetao.permit import Bundle, statement_from

JOURNAL: Final = "site.sqlite"


def with_heard(bundle: Bundle, folder: Path) -> Bundle:
    """Return a bundle with what the site of that folder has heard about its permit.

    Raises:
        InvalidData: its journal cannot be read.
    """
    text = "SELECT data FROM heard WHERE permit = ? ORDER BY place"
    rows = _rows(folder, text, (bundle.permit.digest,))
    known = (statement_from(json.loads(data)) for (data,) in rows)
    return bundle.with_notices(tuple(n for n in known if holds(bundle.permit, n)))


def latest_time(folder: Path) -> str:
    """Return the latest time that the site of that folder has served at; "" for none.

    Raises:
        InvalidData: its journal cannot be read.
    """
    rows = _rows(folder, "SELECT at FROM latest", ())
    return str(rows[0][0]) if rows else ""


def _rows(folder: Path, text: str, values: tuple[str, ...]) -> list[tuple[Any, ...]]:
    path = folder / JOURNAL
    if not path.is_file():
        return []
    with reading(path, "the site's journal") as journal:
        return journal.execute(text, values).fetchall()
