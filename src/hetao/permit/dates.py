"""UTC times as every Hetao document writes them, and how far clocks may differ."""

import datetime
from functools import lru_cache
from typing import Final

from hetao.errors import InvalidNetwork

SKEW: Final = datetime.timedelta(minutes=5)  # by which honest clocks may differ
LAST_YEAR: Final = 2999  # so that a lease or a report's days more are a time still


@lru_cache(maxsize=4096)
def parse_time(text: str) -> datetime.datetime:
    """Return a UTC time written as `2026-11-22T00:00:00Z`.

    Raises:
        InvalidNetwork: it is written otherwise, or lies past `LAST_YEAR`.
    """
    try:
        when = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")
        same = format_time(when) == text
    except (ValueError, OverflowError) as error:
        raise InvalidNetwork(f"the time {text[:40]!r} is not written in UTC") from error
    if not when.year <= LAST_YEAR:
        raise InvalidNetwork(f"the time {text[:40]!r} lies past the year {LAST_YEAR}")
    if not same:
        raise InvalidNetwork(
            f"the time {text[:40]!r} is not written as 2026-11-22T00:00:00Z"
        )
    return when


def format_time(when: datetime.datetime) -> str:
    """Return a UTC time to the second, as every Hetao document writes it."""
    return when.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
