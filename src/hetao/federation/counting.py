"""A sealed count, as whoever is given both hubs' tokens reads it.

Before the first round of a model whose rounds would tell it, the coordinator and each
site see that no combination of its columns is of few people over all sites:
`docs/decisions/0025-sealed-counts.md`. Of a model with numbers they see whether one of
these differs within few sites alone: `docs/decisions/0030-counted-sites.md`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from numpy.typing import NDArray

from hetao.errors import BadEnvelope, SmallCell, WrongStudy
from hetao.federation.outcome import RoundRecord
from hetao.ledger.sealed_counts import PEOPLE, SITES, TYPE, finds_few, what_of
from hetao.permit import Permit, Statement

# What arrays and statements of a task that brings one are called, by what is counted.
BROUGHT: Final = {PEOPLE: "counted", SITES: "sites"}


class Counted(NamedTuple):
    """What a sealed count tells.

    Attributes:
        least: smallest count that is not small.
        is_any_small: whether one is of 1 to `least` - 1.
    """

    least: int
    is_any_small: bool


def brought(
    meta: Mapping[str, Any], counts: Iterable[RoundRecord]
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return what a first task holds beside `meta`: statements, tokens, of each count.

    Args:
        meta: of the task.
        counts: that went before.
    """
    content, tokens = dict(meta), dict[str, NDArray[Any]]()
    for one in counts:
        key = BROUGHT[what_of(one.task)]
        content[key] = {hub: total.as_json() for hub, total in one.totals.items()}
        tokens |= {f"{key} {hub}": words for hub, words in one.words.items()}
    return content, tokens


def check_record(record: RoundRecord, run: str, permit: Permit) -> Counted:
    """Return what a sealed count tells, if it holds and found no combination of few.

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
        return check_count(record.totals, record.words, expected, shares, permit)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadEnvelope(f"a hub sent a malformed count for {record.task}") from error


def check_count(
    said: Mapping[str, Statement],
    tokens: Mapping[str, NDArray[Any]],
    expected: Mapping[str, Any],
    shares: Mapping[str, Mapping[str, str]],
    permit: Permit,
) -> Counted:
    """Return what hubs found, sealed; refuse a combination of few people.

    Args:
        said: hub → what it signed.
        tokens: hub → (k, 2), its nonce and tokens.
        expected: fields that each statement must hold: the place in the run.
        shares: hub → site → digest of the share that it must have added.
        permit: names the hubs and pins their keys.

    Raises:
        SmallCell: there is one, where people were counted.
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
    task = str(expected["task"])
    found = Counted(int(bodies[0]["cell"]), finds_few(bodies, raw, task))
    if found.is_any_small and what_of(task) != SITES:
        raise SmallCell(
            f"fewer than {found.least} people over all sites share a combination of "
            "values of the model's columns, of which its rounds would tell, or are all "
            "for whom two of its variables or groups, or one and an earlier "
            "analysis's, differ",
            fix="merge levels, leave a term out, or put a number such as age in as it "
            "is; take one definition of an outcome or a category in all analyses",
        )
    return found
