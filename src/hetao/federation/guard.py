"""What a site looks at before it looks at any permit: its stop switch, its clock.

Neither needs a network. The switch is a file in the site's own folder, which its people
lay down and take away; the clock is held against the latest time that the site has
worked at, since a clock that is set back would let an expired permit or lease hold.
"""

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hetao.errors import OutOfTime, StoppedHere
from hetao.federation.store import Store
from hetao.permit import SKEW, format_time, parse_time

SWITCH: Final = "STOP"
LATEST: Final = """
CREATE TABLE IF NOT EXISTS latest (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), at TEXT NOT NULL
) STRICT;
"""
STEP: Final = datetime.timedelta(seconds=30)  # how often the time is written down


class Guard:
    """A site's stop switch and its sense of time."""

    def __init__(
        self, folder: Path, store: Store, clock: Callable[[], datetime.datetime]
    ) -> None:
        """Guard the site of that folder, whose journal has the table `LATEST`."""
        self._folder, self._store, self._clock = folder, store, clock
        rows = store.rows("SELECT at FROM latest")
        self._latest = parse_time(str(rows[0][0])) if rows else None

    def check(self) -> None:
        """Return quietly if the site may answer anything now.

        Raises:
            StoppedHere: its people have stopped it.
            OutOfTime: its clock was set back by more than clocks may differ.
        """
        check_switch(self._folder)
        now = self._clock()
        if self._latest is not None and now < self._latest - SKEW:
            raise OutOfTime(
                "the site's clock was set back",
                fix="set the clock right; nothing is answered until then",
            )
        if self._latest is None or now >= self._latest + STEP:
            self._latest = now
            text = "INSERT OR REPLACE INTO latest VALUES (1, ?)"
            self._store.note([(text, (format_time(now),))])


def check_switch(folder: Path) -> None:
    """Return quietly if the switch of the site of that folder is not thrown.

    Raises:
        StoppedHere: its people have stopped it.
    """
    if is_stopped(folder):
        since = _since(folder / SWITCH)
        raise StoppedHere(f"the site has stopped answering ({since})")


def is_stopped(folder: Path) -> bool:
    """Return whether the switch of the site of that folder is thrown."""
    return (folder / SWITCH).exists()


def _since(switch: Path) -> str:
    """Return since when; why it was stopped is for the site's own eyes."""
    try:
        return f"since {str(json.loads(switch.read_text('utf-8'))['at'])[:20]}"
    except (OSError, ValueError, KeyError, TypeError):
        return "its switch is there"


def stop(folder: Path, now: datetime.datetime, reason: str) -> bool:
    """Lay the switch down; return whether it was not there before."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SWITCH
    was = path.exists()
    if not was:
        text = json.dumps({"at": format_time(now), "reason": reason})
        path.write_text(text + "\n", encoding="utf-8")
    return not was


def go(folder: Path) -> bool:
    """Take the switch away; return whether it was there."""
    path = folder / SWITCH
    was = path.exists()
    path.unlink(missing_ok=True)
    return was
