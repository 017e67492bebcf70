"""Which acts an auditor looks at, drawn so that the site cannot steer the choice.

The draw follows from what both hubs signed after the site had committed: nobody knew
it when the extract's root was logged. Each of the k draws falls on every act with the
same chance, the same one perhaps twice; so whoever falsified a share f of the acts
before the commitment is found out with the chance 1 - (1 - f)^k.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from hetao.canonical import digest
from hetao.errors import Unverified
from hetao.ledger.note import COSIGNATURE, key_id, parse_note
from hetao.ledger.opened import Opened as Certificate
from hetao.ledger.proof import parse_proof

USUAL: Final = 300  # draws: they find 1 % of falsified acts with a chance of 95 %
MOST: Final = 100_000
DOMAIN: Final = b"hetao.audit/1\n"


def seed_of(certificate: Certificate, site: str) -> bytes:
    """Return what the draws from one site's extract follow from.

    Args:
        certificate: one that was verified.
        site: whose extract is drawn from.

    Raises:
        Unverified: the site had committed to no extract.
    """
    record = extract_of(certificate, site)
    text, lines = parse_note(parse_proof(certificate.log["proof"]).note)
    seed = hashlib.sha256(DOMAIN + text.encode())
    for hub in sorted(certificate.permit.hubs):
        # Any line of another key could be put there to steer the draw.
        own = key_id(hub, certificate.party(hub, "hub").sign_key, COSIGNATURE)
        payloads = [
            one.payload for one in lines if (one.name, one.key_id) == (hub, own)
        ]
        if len(payloads) != 1:
            raise Unverified(
                f"the certificate bears {len(payloads)} cosignatures of {hub}, not one"
            )
        seed.update(payloads[0])
    seed.update(digest(record).encode())
    return seed.digest()


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
