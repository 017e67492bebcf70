"""Which acts an auditor looks at, drawn so that neither site nor coordinator steers it.

The draw follows from what both hubs signed under the first sum of which the site's
message is a part. A hub signs one sum of a task, of shares that the sites froze, and
it bears no time: asked again, it gives the same bytes. So whoever runs the study has
one draw of a run, and another only at the price of another attempt or run, which the
certificate and the sites' logs tell. Nobody knew it when the extract's root was logged.
Each of the k draws falls on every act with the same chance, the same one perhaps twice;
so whoever falsified a share f of the acts before the commitment is found out with the
chance 1 - (1 - f)^k.

KNOWN GAP: a hub in league with the coordinator can sign its sum again and again, until
it likes the draw, where the integers are withheld. An auditor who does not trust both
hubs draws with the site (`hetao.ledger.coin`), where they have no say.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

from hetao.canonical import digest
from hetao.errors import Unverified
from hetao.ledger.opened import Opened as Certificate

MOST: Final = 100_000
DOMAIN: Final = b"hetao.audit/2\n"


def seed_of(certificate: Certificate, site: str) -> bytes:
    """Return what the draws from one site's extract follow from.

    Args:
        certificate: one that was verified.
        site: whose extract is drawn from.

    Raises:
        Unverified: the site had committed to no extract, or is a part of no sum.
    """
    record, first = extract_of(certificate, site), _first_sum(certificate, site)
    seed = hashlib.sha256(DOMAIN + str(first["task"]).encode() + b"\n")
    for hub in sorted(certificate.permit.hubs):
        seed.update(base64.b64decode(first["totals"][hub]["signature"], validate=True))
    seed.update(digest(record).encode())
    return seed.digest()


def _first_sum(certificate: Certificate, site: str) -> Mapping[str, Any]:
    """Return the first certified sum that a site is a part of, in the study's order."""
    rounds = certificate.body["rounds"]
    for analysis in certificate.body["study"]["analyses"]:
        own = [one for one in rounds if one["analysis"] == analysis["name"]]
        last = max((one["attempt"] for one in own), default=0)
        for one in own:
            first = one["attempt"] == last and one["round"] == 0
            if first and site in one["members"]:
                found: Mapping[str, Any] = one
                return found
    raise Unverified(f"{site[:60]} is a part of no sum of this study")


def draws(seed: bytes, count: int, acts: int) -> list[int]:
    """Return the indices that a seed draws from so many acts.

    Args:
        seed: 32 bytes.
        count: how many draws.
        acts: how many acts the extract has.
    """
    return [_word(seed, n) * acts >> 64 for n in range(count)]


def _word(seed: bytes, number: int) -> int:
    data = hashlib.sha256(DOMAIN + seed + number.to_bytes(8, "big")).digest()
    return int.from_bytes(data[:8], "big")


def chance_of_finding(falsified: float, count: int) -> float:
    """Return the chance that so many draws meet an act of a falsified share."""
    return 1 - (1 - falsified) ** count


def extract_of(certificate: Certificate, site: str) -> Mapping[str, Any]:
    """Return what a verified certificate holds of a site's extract.

    Raises:
        Unverified: the site had committed to none.
    """
    for entry in certificate.body["sites"]:
        if entry["name"] == site and entry["extract"] is not None:
            found: Mapping[str, Any] = entry["extract"]["record"]
            return found
    raise Unverified(f"{site[:60]} had committed to no extract for this study")
