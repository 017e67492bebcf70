"""How far an answer lies from the pooled one, and what a log says of its time."""

import re
from datetime import datetime

import numpy as np

WHEN = r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) "
STAMP = re.compile(WHEN + r".*(Round 0 started|Finished (?:FedAvg|counts))")


def in_errors(estimate, pooled):
    """Return the largest difference of the terms, in the pooled standard errors.

    Raises:
        ValueError: the answer has another number of terms, or one is not a number.
    """
    found = np.asarray(estimate, dtype=float)
    wanted = np.asarray(pooled["estimate"], dtype=float)
    if found.shape != wanted.shape or not np.isfinite(found).all():
        raise ValueError("the answer does not have the terms that were asked for")
    return float(np.max(np.abs(found - wanted) / np.asarray(pooled["se"], dtype=float)))


def of_curves(one, other):
    """Return the largest vertical difference of two survival curves.

    A curve has `time`, rising, and `survival` at and after each of them; before the
    first it is 1.
    """
    times = np.union1d(one["time"], other["time"])
    return float(np.max(np.abs(_at(one, times) - _at(other, times))))


def _at(curve, times):
    survival = np.concatenate([[1.0], np.asarray(curve["survival"], dtype=float)])
    return survival[np.searchsorted(np.asarray(curve["time"]), times, side="right")]


def nvflare_seconds(log):
    """Return the seconds between the first round's start and the last one's end.

    None where the log does not say both.
    """
    at = {}
    for line in log.splitlines():
        found = STAMP.match(line)
        if not found:
            continue
        day = datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - a log's
        at[found[3].split()[0]] = day.timestamp() + int(found[2]) / 1000
    if len(at) < 2:
        return None
    return at["Finished"] - at["Round"]
