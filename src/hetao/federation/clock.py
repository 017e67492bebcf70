"""The one place where the time of day is read."""

import datetime


def utc_now() -> datetime.datetime:
    """Return the time in UTC."""
    return datetime.datetime.now(datetime.UTC)
