"""A sealed count, as whoever is given both hubs' tokens reads it.

Before the first round of a model whose rounds would tell it, the coordinator and each
site see that no combination of its columns is of few people over all sites:
`docs/decisions/0025-sealed-counts.md`.
"""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from hetao.errors import BadEnvelope, SmallCell, WrongStudy
from hetao.federation.outcome import RoundRecord
from hetao.ledger.sealed_counts import TYPE, finds_few
from hetao.permit import Permit, Statement

ALSO = "counted"  # what the arrays and statements of a task that brings one are called


def check_record(record: RoundRecord, run: str, permit: Permit) -> None:
    """Return quietly if a sealed count holds, and found no combination of few.

    Args:
        record: of the count, the sites' receipts verified.
        run: that it is of.
        permit: of the run.

    Raises:
        SmallCell: it found one.
        BadSignature, BadEnvelope, WrongStudy: a hub's does not hold.
    """
    shares = {
        hub: {site: r.body["shares"].get(hub) for site, r in record.receipts.items()}
        for hub in permit.hubs
    }
    expected = {"study": permit.study, "permit": permit.digest}
    expected |= {"run": run, "task": record.task}
    try:
        check_count(record.totals, record.words, expected, shares, permit)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadEnvelope(f"a hub sent a malformed count for {record.task}") from error


def check_count(
    said: Mapping[str, Statement],
    tokens: Mapping[str, NDArray[Any]],
    expected: Mapping[str, Any],
    shares: Mapping[str, Mapping[str, str]],
    permit: Permit,
) -> int:
    """Return below how many people hubs looked for a combination, and found none.

    Args:
        said: hub → what it signed.
        tokens: hub → (k, 2), its nonce and tokens.
        expected: fields that each statement must hold: the place in the run.
        shares: hub → site → digest of the share that it must have added.
        permit: names the hubs and pins their keys.

    Raises:
        SmallCell: there is one.
        BadSignature, BadEnvelope, WrongStudy: it is no count of this place.
        KeyError, TypeError: a hub's is missing, or is malformed.
    """
    for hub in permit.hubs:
        body = said[hub].body
        said[hub].verify(permit.directory[hub])
        for name, value in {**expected, "type": TYPE, "hub": hub}.items():
            if body.get(name) != value:
                raise WrongStudy(f"{hub} counted for another study, run or task")
        if body.get("shares") != shares[hub]:
            raise BadEnvelope(f"{hub} counted other shares than the sites sent")
    bodies = [said[hub].body for hub in permit.hubs]
    raw = [tokens[hub].astype("<u8").tobytes() for hub in permit.hubs]
    cell = int(bodies[0]["cell"])
    if finds_few(bodies, raw, str(expected["task"])):
        raise SmallCell(
            f"fewer than {cell} people over all sites share a combination of values of "
            "the model's columns, of which its rounds would tell",
            fix="merge levels, leave a term out, or put a number such as age in as it "
            "is",
        )
    return cell
