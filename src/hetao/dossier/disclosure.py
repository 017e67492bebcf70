"""A certificate of which its holder may hide parts: an SD-JWT (RFC 9901).

The issuer signs digests of the sites, each with what it released, and of the findings,
each behind 128 bits of salt; the holder hands on those disclosures that a reader is to
see. A reader learns how many sites and findings there are, and of each hidden one
nothing. What is disclosed is what the certificate says, and the certificate's digest
stands in it, so that both can be compared.

    <JWS>~<disclosure>~<disclosure>~
"""

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hetao.canonical import canonical, parse_canonical
from hetao.dossier.code import facts_of
from hetao.errors import HetaoError, Unverified
from hetao.ledger.certificate import verify_certificate
from hetao.ledger.credential import did_key
from hetao.permit import Identity, bundle_from, parse_time
from hetao.report.custody import sites_of

TYPE: Final = "dc+sd-jwt"
KIND: Final = "urn:hetao:certificate"
SALT_BYTES: Final = 16
LARGEST: Final = 2**22  # characters

Salter = Callable[[], str]


def fresh_salt() -> str:
    """Return 128 random bits as base64url."""
    return _url64(secrets.token_bytes(SALT_BYTES))


def make_disclosable(
    certificate: bytes, issuer: Identity, salt: Salter = fresh_salt
) -> str:
    """Return a certificate as SD-JWT, with every disclosure.

    Args:
        certificate: its bytes.
        issuer: the coordinator's keys.
        salt: a new salt at each call.

    Raises:
        Unverified: the certificate does not verify, or is another issuer's.
    """
    verify_certificate(certificate)
    value = parse_canonical(certificate)
    body = value["body"]
    boss = bundle_from(body["permit"]).permit.coordinator
    if (boss.name, boss.sign) != (issuer.name, issuer.sign_public):
        raise Unverified(
            f"the certificate is {boss.name}'s, under another key than yours",
            fix="only its issuer can make it disclosable",
        )
    facts = facts_of(value)
    disclosed = {
        "sites": [
            _disclosure(salt(), {"name": s.name, "side": s.side, "numbers": s.values})
            for s in sites_of(body)
        ],
        "findings": [_disclosure(salt(), one) for one in body["findings"]],
    }
    claims: dict[str, Any] = {
        "_sd_alg": "sha-256",
        "certificate": facts.body,
        "iat": int(parse_time(str(body["issued"])).timestamp()),
        "iss": did_key(boss.sign_key),
        "log": {"entry": facts.index, "origin": facts.origin},
        "permit": facts.permit,
        "study": facts.study,
        "vct": KIND,
    }
    for field, parts in disclosed.items():
        claims[field] = [{"...": _digest(part)} for part in parts]
    head = _url64(canonical(_header(boss.sign_key)))
    signed = f"{head}.{_url64(canonical(claims))}"
    signature = _url64(issuer.signing_key.sign(signed.encode("ascii")))
    parts = [part for several in disclosed.values() for part in several]
    return "~".join([f"{signed}.{signature}", *parts]) + "~"


def present(text: str, shows: Callable[[Any], bool]) -> str:
    """Return an SD-JWT with only the disclosures whose value is to be shown.

    Args:
        text: an SD-JWT.
        shows: is asked of each site and each finding.

    Raises:
        Unverified: it is no SD-JWT.
    """
    token, *parts = _split(text)
    kept = [part for part in parts if shows(_opened(part))]
    return "~".join([token, *kept]) + "~"


def read_disclosable(text: str, key: Ed25519PublicKey) -> dict[str, Any]:
    """Return what an SD-JWT says, hidden parts left out.

    Raises:
        Unverified: the issuer did not sign it, or a disclosure is not of it, stands
            twice, or is malformed.

    Source:
        RFC 9901 7.1, for arrays of disclosed elements. Test:
        `tests/spec/test_dossier.py`.
    """
    token, *parts = _split(text)
    signed, _, last = token.rpartition(".")
    head, _, payload = signed.partition(".")
    if _unurl64(head) != canonical(_header(key)):
        raise Unverified("the header is not that of an SD-JWT by EdDSA under this key")
    try:
        key.verify(_unurl64(last), signed.encode("ascii"))
        claims = parse_canonical(_unurl64(payload))
    except InvalidSignature as error:
        raise Unverified("the SD-JWT is not signed by its issuer") from error
    except HetaoError as error:
        raise Unverified("the claims are not canonical JSON") from error
    if not isinstance(claims, dict) or claims.get("_sd_alg") != "sha-256":
        raise Unverified("the claims are not those of an SD-JWT")
    there = {_digest(part): _opened(part) for part in parts}
    if len(there) != len(parts):
        raise Unverified("a disclosure stands twice")
    found = {
        field: [*_shown(item, there)] if isinstance(item, list) else item
        for field, item in claims.items()
        if field != "_sd_alg"
    }
    if there:
        raise Unverified("a disclosure is not of this certificate")
    return found


def _shown(items: list[Any], there: dict[str, Any]) -> Iterator[Any]:
    for item in items:
        if not isinstance(item, dict) or set(item) != {"..."}:
            yield item
        elif item["..."] in there:
            yield there.pop(item["..."])


def _header(key: Ed25519PublicKey) -> Mapping[str, str]:
    name = did_key(key)
    kid = f"{name}#{name.removeprefix('did:key:')}"
    return {"alg": "EdDSA", "kid": kid, "typ": TYPE}


def _disclosure(salt: str, value: Any) -> str:
    return _url64(canonical([salt, value]))


def _digest(part: str) -> str:
    return _url64(hashlib.sha256(part.encode("ascii")).digest())


def _opened(part: str) -> Any:
    try:
        value = json.loads(_unurl64(part))
    except (ValueError, RecursionError) as error:
        raise Unverified("a disclosure is not JSON") from error
    if not isinstance(value, list) or len(value) != 2:
        raise Unverified("a disclosure is not a salt and a value")
    return value[1]


def _split(text: str) -> list[str]:
    if len(text) > LARGEST or not text.isascii() or not text.endswith("~"):
        raise Unverified("an SD-JWT is ASCII, ends with a tilde, and is below 4 MiB")
    return text[:-1].split("~")


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _unurl64(text: str) -> bytes:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unverified("a part is not base64url") from error
    if _url64(data) != text:
        raise Unverified("a part is not base64url in its one form")
    return data
