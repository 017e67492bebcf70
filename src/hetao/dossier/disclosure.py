"""A certificate of which its holder may hide parts: an SD-JWT (RFC 9901).

The issuer signs digests of the sites, each with what it released, and of the findings,
each behind 128 bits of salt; the holder hands on those disclosures that a reader is to
see. A reader learns how many sites and findings there are, and of each hidden one
nothing. What is disclosed is what the certificate says, and the certificate's digest
stands in it, so that both can be compared.

    <JWS>~<disclosure>~<disclosure>~
"""

from typing import Any, Final

from hetao.dossier import sd_jwt
from hetao.dossier.code import facts_of
from hetao.dossier.own import issuers_own
from hetao.ledger.credential import did_key
from hetao.permit import Identity, parse_time
from hetao.report.custody import sites_of

KIND: Final = "urn:hetao:certificate"


def make_disclosable(
    certificate: bytes, issuer: Identity, salt: sd_jwt.Salter = sd_jwt.fresh_salt
) -> str:
    """Return a certificate as SD-JWT, with every disclosure.

    Args:
        certificate: its bytes.
        issuer: the coordinator's keys.
        salt: a new salt at each call.

    Raises:
        Unverified: the certificate does not verify, or is another issuer's.
    """
    value, boss = issuers_own(certificate, issuer, "make it disclosable")
    body = value["body"]
    facts = facts_of(value)
    disclosed = {
        "sites": [
            {"name": s.name, "side": s.side, "numbers": s.values}
            for s in sites_of(body)
        ],
        "findings": body["findings"],
    }
    claims: dict[str, Any] = {
        "certificate": facts.body,
        "iat": int(parse_time(str(body["issued"])).timestamp()),
        "iss": did_key(boss.sign_key),
        "log": {"entry": facts.index, "origin": facts.origin},
        "permit": facts.permit,
        "study": facts.study,
        "vct": KIND,
    }
    parts = list[str]()
    for field, values in disclosed.items():
        hidden = [sd_jwt.hide(value, salt) for value in values]
        claims[field] = [stands_for for stands_for, _ in hidden]
        parts += [part for _, part in hidden]
    return sd_jwt.sign(claims, {}, parts, issuer.signing_key)
