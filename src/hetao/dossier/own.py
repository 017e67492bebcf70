"""A certificate in its issuer's own hands, who may make something further of it."""

from typing import Any

from hetao.canonical import parse_canonical
from hetao.errors import Unverified
from hetao.ledger.certificate import verify_certificate
from hetao.permit import Identity, Party, coordinator_of


def issuers_own(
    certificate: bytes, issuer: Identity, what: str
) -> tuple[dict[str, Any], Party]:
    """Return a certificate that verifies, and the coordinator that issued it.

    Args:
        certificate: its bytes.
        issuer: the coordinator's keys.
        what: its issuer alone can do, such as "make its receipt".

    Raises:
        Unverified: the certificate does not verify, or is another issuer's.
    """
    verify_certificate(certificate)
    value: dict[str, Any] = parse_canonical(certificate)
    boss = coordinator_of(value["body"]["permit"])
    if (boss.name, boss.sign) != (issuer.name, issuer.sign_public):
        raise Unverified(
            f"the certificate is {boss.name}'s, under another key than yours",
            fix=f"only its issuer can {what}",
        )
    return value, boss
