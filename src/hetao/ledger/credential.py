"""A certificate → the entry of a log that any reader of credentials understands.

The entry is a W3C verifiable credential (data model 2.0) secured as a compact JWS: one
header, EdDSA, no key and no address in it to be followed. Its claims are public facts
and digests; what they are digests of stands in the certificate beside it. Nothing here
reads JSON-LD: a credential is compared with the one that its certificate makes.

    <base64url(header)>.<base64url(claims)>.<base64url(signature)>

Specification: `docs/specs/certificate.md`.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from hetao.canonical import canonical, digest, parse_canonical
from hetao.errors import NotCanonical, Unverified

ALGORITHM: Final = "EdDSA"
MEDIA_TYPE: Final = "vc+jwt"
LONGEST: Final = 65_535  # bytes: an entry of the log
LONGEST_DID: Final = 64  # digits of a key in did:key, which has 47
CONTEXT: Final = "https://www.w3.org/ns/credentials/v2"
REVOKED: Final = "hetao.revoked-certificate/1"  # type of the body
KIND: Final = "HetaoCertificate"
REVOKED_KIND: Final = "HetaoRevokedStudy"
Claims = Callable[[Mapping[str, Any], Mapping[str, str], int, str], dict[str, Any]]
PURPOSES: Final = ("revocation", "suspension")
_TERMS: Final = (
    KIND,
    "body",
    "checks",
    "findings",
    "permit",
    "sites",
    "software",
    "study",
)
_TERMS_OF_REVOKED: Final = (
    REVOKED_KIND,
    "body",
    "permit",
    "revoked",
    "sites",
    "software",
    "study",
)
# The alphabet of Bitcoin's addresses, in which did:key writes a key.
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ED25519: Final = b"\xed\x01"  # the multicodec of an Ed25519 public key


def did_key(key: Ed25519PublicKey) -> str:
    """Return the `did:key` of a key: a name that holds the key itself.

    Source:
        W3C CCG did:key v0.9, Ed25519. Vector: `tests/unit/test_credential.py`.
    """
    number = int.from_bytes(_ED25519 + key.public_bytes_raw(), "big")
    digits = ""
    while number:
        number, rest = divmod(number, 58)
        digits = _BASE58[rest] + digits
    return f"did:key:z{digits}"


def key_of_did(name: str) -> Ed25519PublicKey:
    """Return the key that a `did:key` holds.

    Raises:
        Unverified: it is none of an Ed25519 key, in its one spelling.
    """
    number = 0
    for digit in name.removeprefix("did:key:z")[:LONGEST_DID]:
        number = number * 58 + _BASE58.find(digit)
    size = len(_ED25519) + 32
    data = number.to_bytes(size, "big") if 0 < number < 1 << 8 * size else b""
    if data.startswith(_ED25519):
        key = Ed25519PublicKey.from_public_bytes(data[len(_ED25519) :])
        if did_key(key) == name:
            return key
    raise Unverified("a name is no did:key of an Ed25519 key")


def header_of(key: Ed25519PublicKey) -> dict[str, str]:
    """Return the only header that a credential of this key has."""
    name = did_key(key)
    kid = f"{name}#{name.removeprefix('did:key:')}"
    return {"alg": ALGORITHM, "cty": "vc", "kid": kid, "typ": MEDIA_TYPE}


def header_prefix(key: Ed25519PublicKey) -> str:
    """Return how each credential of this key begins."""
    return url64(canonical(header_of(key))) + "."


def sign_credential(key: Ed25519PrivateKey, claims: Mapping[str, Any]) -> str:
    """Return the claims as a compact JWS of type `vc+jwt`."""
    header = canonical(header_of(key.public_key()))
    signed = f"{url64(header)}.{url64(canonical(claims))}"
    return f"{signed}.{url64(key.sign(signed.encode('ascii')))}"


def read_credential(text: str, key: Ed25519PublicKey) -> dict[str, Any]:
    """Return the claims that this key signed.

    The key is the caller's: what the header says of algorithm, type and key is held
    against the one header there can be, and nothing is chosen by it. So `alg: none`,
    another algorithm, `crit`, `jwk`, `b64` and every other field are refused.

    Raises:
        Unverified: the text is no such credential, in its one form, or not the key's.

    Source:
        RFC 7515 (JWS), RFC 8037 (EdDSA), W3C VC-JOSE-COSE. Test:
        `tests/attack/test_credential.py`.
    """
    is_text = isinstance(text, str) and text.isascii() and len(text) <= LONGEST
    if not is_text or text.count(".") != 2:
        raise Unverified("a credential is three parts of base64url, up to 65,535 bytes")
    signed, _, last = text.rpartition(".")
    head, payload = signed.split(".")
    if from_url64(head) != canonical(header_of(key)):
        raise Unverified(
            "a credential's header is not that of a vc+jwt by EdDSA under this key"
        )
    try:
        key.verify(from_url64(last), signed.encode("ascii"))
    except InvalidSignature as error:
        raise Unverified("the credential is not signed by its issuer") from error
    try:
        claims = parse_canonical(from_url64(payload))
    except NotCanonical as error:
        raise Unverified("a credential's claims are not canonical JSON") from error
    if not isinstance(claims, dict):
        raise Unverified("a credential's claims are not an object")
    return claims


def certificate_claims(
    body: Mapping[str, Any], issuer: Mapping[str, str], index: int, named: str = ""
) -> dict[str, Any]:
    """Return what the credential of a certificate states.

    Args:
        body: of the certificate.
        issuer: `id`, its did:key, and `name`.
        index: where the credential is to stand in the issuer's log; it is also the
            certificate's place in the issuer's status lists, so that no two share one.
        named: digest of the body; "" where it is still to be taken.
    """
    subject = {
        "checks": digest(body["checks"]),
        "findings": digest(body["findings"]),
        "sites": sorted(str(entry["name"]) for entry in body["sites"]),
    }
    kind = KIND, _TERMS
    return _claims(body, kind, subject, (issuer, index, named or digest(body)))


def revoked_claims(
    body: Mapping[str, Any], issuer: Mapping[str, str], index: int, named: str = ""
) -> dict[str, Any]:
    """Return what the credential of a revoked study's certificate states.

    Args:
        body: of the certificate.
        issuer: as of `certificate_claims`.
        index: likewise.
        named: likewise.
    """
    subject = {
        "revoked": body["revoked"],
        "sites": sorted({site for r in body["rounds"] for site in r["receipts"]}),
    }
    kind = REVOKED_KIND, _TERMS_OF_REVOKED
    return _claims(body, kind, subject, (issuer, index, named or digest(body)))


def _claims(
    body: Mapping[str, Any],
    kind: tuple[str, Sequence[str]],
    subject: Mapping[str, Any],
    place: tuple[Mapping[str, str], int, str],
) -> dict[str, Any]:
    (called, terms), (issuer, index, name) = kind, place
    return {
        "@context": [CONTEXT, {term: f"urn:hetao:terms#{term}" for term in terms}],
        "credentialStatus": [
            {
                "statusListCredential": list_name(issuer["id"], purpose),
                "statusListIndex": str(index),
                "statusPurpose": purpose,
                "type": "BitstringStatusListEntry",
            }
            for purpose in PURPOSES
        ],
        "credentialSubject": {
            "body": name,
            "id": f"urn:hetao:run:{body['run']}",
            "permit": digest(body["permit"]["permit"]),
            "software": body["software"],
            "study": digest(body["study"]),
            **subject,
        },
        "id": f"urn:hetao:certificate:{name}",
        "issuer": dict(issuer),
        "type": ["VerifiableCredential", called],
        "validFrom": body["issued"],
    }


def issuer_of(name: str, key: Ed25519PublicKey) -> dict[str, str]:
    """Return how a credential names its issuer."""
    return {"id": did_key(key), "name": name}


def list_name(issuer: str, purpose: str) -> str:
    """Return the name of an issuer's status list of this purpose."""
    return f"urn:hetao:status:{issuer.rpartition(':')[2]}:{purpose}"


def certificate_entry(
    name: str, key: Ed25519PrivateKey, body: Mapping[str, Any], index: int
) -> str:
    """Return the log entry that a certificate becomes: its credential, signed.

    Args:
        name: the issuer's.
        key: the issuer's, that of its log.
        body: of the certificate.
        index: the place that the entry will have in the issuer's log.
    """
    issuer = issuer_of(name, key.public_key())
    return sign_credential(key, _claims_of(body)(body, issuer, index, ""))


def _claims_of(body: Mapping[str, Any]) -> Claims:
    """Return what makes the claims of a body of this type."""
    return revoked_claims if body["type"] == REVOKED else certificate_claims


def check_certificate_entry(
    text: str,
    name: str,
    key: Ed25519PublicKey,
    body: Mapping[str, Any],
    index: int,
    named: str = "",
) -> None:
    """Return quietly if this is the credential of that certificate, at that place.

    `named` is the body's digest; "" where it is still to be taken.

    Raises:
        Unverified: it is not.
    """
    claims = read_credential(text, key)
    if claims != _claims_of(body)(body, issuer_of(name, key), index, named):
        raise Unverified("the credential in the log says something else than this file")


def url64(data: bytes) -> str:
    """Return bytes as base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_url64(text: str) -> bytes:
    """Return the bytes of the one base64url text that they have.

    Raises:
        Unverified: the text is none, or another spelling.
    """
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unverified("a part is not base64url") from error
    if url64(data) != text:
        raise Unverified("a part is not base64url in its one form")
    return data
