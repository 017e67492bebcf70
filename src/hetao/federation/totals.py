"""Two hubs' signed sums → the summed arrays; the same checks wherever they are read.

The coordinator takes its next step from them, a site takes the same step itself before
it answers, and a verifier takes all of them again.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetao.analysis import Sum
from hetao.canonical import digest_bytes
from hetao.errors import BadEnvelope, ChangedSum, WrongShape, WrongStudy
from hetao.permit import Permit, Statement
from hetao.release import add, check_tag, decode, key_from, tag_digest, tag_from

Words = NDArray[np.uint64]


def check_total(
    hub: str,
    total: Statement,
    words: NDArray[Any],
    expected: Mapping[str, Any],
    permit: Permit,
) -> None:
    """Return quietly if `hub` signed exactly these words, for exactly this place.

    Args:
        hub: name of the hub.
        total: its signed statement.
        words: (2, n + 1), the sum of its shares.
        expected: fields that the statement must hold: the place in the run, and
            `shares`, the digests of the shares that sites recorded.
        permit: pins the hub's key.

    Raises:
        BadSignature, BadEnvelope, WrongShape, WrongStudy: it did not.
    """
    total.verify(permit.directory[hub])
    for key, value in expected.items():
        if key != "shares" and total.body.get(key) != value:
            raise WrongStudy(f"{hub} answered for another study, run or task")
    if total.body.get("shares") != expected["shares"]:
        raise BadEnvelope(f"{hub} added other shares than the sites sent")
    if words.ndim != 2 or words.shape[0] != 2 or words.dtype != np.uint64:
        raise WrongShape(f"{hub} sent a sum of another shape")
    if total.body.get("words") != digest_bytes(words.astype("<u8").tobytes()):
        raise BadEnvelope(f"{hub} sent another sum than it signed")


def total_of(
    words: Sequence[Words],
    declared: Mapping[str, Sum],
    task: str,
    members: int | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Return the summed arrays that two hubs' words hold together.

    Args:
        words: one (2, n + 1) of each hub.
        declared: the arrays of the message, in order.
        task: to name in an error.
        members: how many parts the sum must hold; None where that was checked.

    Raises:
        WrongShape: the sum has another length, or another number of parts.
    """
    size = sum(math.prod(item.shape) for item in declared.values())
    if any(part.shape != (2, size + 1) for part in words):
        raise WrongShape(f"the sum of {task} has another length than declared")
    values = decode(add(words))
    if members is not None and values[-1] != members:
        raise WrongShape(
            f"the sum of {task} does not hold one part from each member",
            fix="a site or hub did not follow the protocol; see the logs",
        )
    arrays, at = {}, 0
    for name, item in declared.items():
        length = math.prod(item.shape)
        arrays[name] = values[at : at + length].reshape(item.shape)
        at += length
    return arrays


def check_tags(
    words: Sequence[Words],
    tags: Mapping[str, object],
    totals: Mapping[str, Statement],
    receipts: Mapping[str, Statement],
    members: Sequence[str],
    task: str,
) -> None:
    """Return quietly if two hubs' words are, together, what the sites tagged.

    Args:
        words: one (2, n + 1) of each hub.
        tags: hub → its sum of tags, as messages hold it.
        totals: hub → its signed statement, which holds the digest of that.
        receipts: site → its signed record, which holds the key that it tagged with.
        members: of the sum, in order.
        task: to name in an error.

    Raises:
        ChangedSum: a hub changed the sum, or sites tagged with other keys.
        BadEnvelope, WrongShape: a tag or a key is missing or garbled, or a hub signed
            another tag.
    """
    keys = {site: key_from(receipts[site].body) for site in members}
    other = [site for site, key in keys.items() if key != keys[members[0]]]
    if other:
        raise ChangedSum(f"{other[0]} tagged {task} with another key than it was given")
    found = {hub: tag_from(tags.get(hub)) for hub in totals}
    for hub, total in totals.items():
        if total.body.get("tag") != tag_digest(found[hub]):
            raise BadEnvelope(f"{hub} sent another sum of tags than it signed")
    check_tag(add(words), list(found.values()), keys[members[0]], members, task)
