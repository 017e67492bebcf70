"""Passkeys (WebAuthn): an assertion over a statement, verified with files alone.

The challenge that the passkey signs is the SHA-256 of the statement's bytes, so the
assertion is a signature over exactly this statement. What is checked is WebAuthn
Level 3, 7.2, as far as it does not need a session: type, challenge, origin, no
cross-origin, the hash of the relying party, that a person was present and verified,
and the signature, by ES256 or EdDSA. The counter is advisory: a synchronised passkey
always says 0.
"""

import base64
import hashlib
import ipaddress
import json
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from hetao.canonical import canonical
from hetao.errors import BadSignature, InvalidNetwork, NotCanonical
from hetao.permit.points import is_weak

PRESENT, VERIFIED = 0x01, 0x04  # bits of the authenticator's flags
HEAD: Final = 37  # bytes: hash of the relying party, flags, counter
LARGEST: Final = 16 * 2**10  # bytes of an assertion
USUAL_PORTS: Final = {"http": 80, "https": 443}
FIELDS: Final = {"authenticatorData", "clientDataJSON", "signature"}


@dataclass(frozen=True)
class Assertion:
    """What a passkey gives back: `navigator.credentials.get` of a browser.

    Attributes:
        authenticator: hash of the relying party, flags, counter.
        client: the JSON text that the browser made.
        signature: over `authenticator` and the SHA-256 of `client`.
    """

    authenticator: bytes
    client: bytes
    signature: bytes

    def as_signature(self) -> str:
        """Return the form that a statement bears: base64 of a JSON object."""
        table = {
            "authenticatorData": _b64(self.authenticator),
            "clientDataJSON": _b64(self.client),
            "signature": _b64(self.signature),
        }
        return _b64(canonical(table))

    @property
    def counter(self) -> int:
        """Return how often the passkey says that it signed; advisory."""
        return int.from_bytes(self.authenticator[33:HEAD], "big")


def challenge(data: bytes) -> bytes:
    """Return what a passkey is asked to sign for these bytes."""
    return hashlib.sha256(data).digest()


def code(data: bytes) -> str:
    """Return the short code of a text, by which people find that theirs differ.

    Sixteen of 32 letters and digits in fours, `7F3K-Q2MD-…`, 80 bits; what is easily
    misread or misheard as another is left out. Who has one text finds another one of
    its code in about 2^80 tries; who makes both, in about 2^40.
    """
    alphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
    number = int.from_bytes(challenge(data)[:10], "big")
    text = "".join(alphabet[(number >> shift) & 31] for shift in range(75, -1, -5))
    return "-".join(text[at : at + 4] for at in range(0, 16, 4))


def check_key(name: str, public: str, origin: str) -> None:
    """Return quietly if a passkey's entry in a list can be used.

    Raises:
        InvalidNetwork: it cannot.
    """
    try:
        parts = urlsplit(origin)
    except ValueError as error:
        raise InvalidNetwork(f"the key {name}: origin is no address") from error
    host = parts.hostname or ""
    secure = parts.scheme == "https" or host == "localhost"
    if origin != f"{parts.scheme}://{parts.netloc}" or not host or not secure:
        raise InvalidNetwork(
            f"the key {name}: origin is https://NAME, or http://localhost:PORT"
        )
    if _is_address(host):
        raise InvalidNetwork(f"the key {name}: a passkey needs a name, not an address")
    try:
        _public(public)
    except BadSignature as error:
        raise InvalidNetwork(f"the key {name}: {error.what}") from error


def check_origin(origin: str) -> None:
    """Return quietly if an origin of a new passkey is written as browsers write it.

    A browser says `http://localhost` for `http://localhost:80`, in small letters: a key
    of the other writing would never be seen to have signed on its page.

    Raises:
        InvalidNetwork: it is not.
    """
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidNetwork("the origin is no address") from error
    if not origin.isascii():
        raise InvalidNetwork(
            "the origin is not in ASCII", fix="write its name as DNS has it, `xn--…`"
        )
    is_usual = port is None or port == USUAL_PORTS.get(parts.scheme)
    plain = f"{parts.scheme}://{host}" + ("" if is_usual else f":{port}")
    if origin != plain:
        raise InvalidNetwork(
            "the origin is not as a browser writes it", fix=f"write {plain[:200]}"
        )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _public(text: str) -> EllipticCurvePublicKey | Ed25519PublicKey:
    try:
        raw = base64.b64decode(text, validate=True)
        key = load_der_public_key(raw)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadSignature("a passkey's public key is not in DER") from error
    if _b64(raw) != text:
        raise BadSignature("a passkey's public key is not in its one base64 form")
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key
    if isinstance(key, Ed25519PublicKey):
        if is_weak(key.public_bytes_raw()):
            raise BadSignature("a passkey's public key is of small order")
        return key
    raise BadSignature("a passkey signs by ES256 or EdDSA")


def public_half(text: str) -> bytes:
    """Return a passkey's public key in one form, however its DER writes it.

    Raises:
        BadSignature: it is no passkey's.
    """
    key = _public(text)
    if isinstance(key, Ed25519PublicKey):
        return key.public_bytes_raw()
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def assertion_from(raw: bytes) -> Assertion:
    """Return the assertion that a statement bears.

    Raises:
        BadSignature: the bytes are none, or not in their one form.
    """
    try:
        if len(raw) > LARGEST:
            raise BadSignature("a passkey's assertion is too large")
        table = json.loads(raw)
        found = assertion_of(table)
        if _b64(raw) != found.as_signature():
            raise BadSignature("a passkey's assertion is not in its one form")
    except (ValueError, TypeError, NotCanonical, RecursionError) as error:
        raise BadSignature("a passkey's assertion is malformed") from error
    return found


def assertion_of(table: object) -> Assertion:
    """Return the assertion of an object with its three parts in base64.

    Raises:
        BadSignature: it has another shape.
    """
    if not isinstance(table, dict) or set(table) != FIELDS:
        raise BadSignature("a passkey's assertion is malformed")
    try:
        return Assertion(
            *(base64.b64decode(table[f], validate=True) for f in sorted(FIELDS))
        )
    except (ValueError, TypeError) as error:
        raise BadSignature("a passkey's assertion is malformed") from error


def verify(public: str, origin: str, data: bytes, raw: bytes) -> None:
    """Return quietly if the passkey of this public key signed exactly these bytes.

    Args:
        public: SubjectPublicKeyInfo, DER in base64.
        origin: of the page; its host is the relying party.
        data: a statement's bytes.
        raw: the assertion that the statement bears.

    Raises:
        BadSignature: it did not.

    Source:
        W3C, Web Authentication Level 3, 7.2, steps 10 to 23.
    """
    key, found = _public(public), assertion_from(raw)
    _check_client(found.client, data, origin)
    host = urlsplit(origin).hostname or ""
    if len(found.authenticator) < HEAD:
        raise BadSignature("a passkey's data are cut short")
    if found.authenticator[:32] != hashlib.sha256(host.encode()).digest():
        raise BadSignature("the passkey signed for another relying party")
    flags = found.authenticator[32]
    if not flags & PRESENT or not flags & VERIFIED:
        raise BadSignature("the passkey did not verify who held it")
    signed = found.authenticator + hashlib.sha256(found.client).digest()
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(found.signature, signed)
        else:
            key.verify(found.signature, signed, ECDSA(SHA256()))
    except InvalidSignature as error:
        raise BadSignature("the signature is not this passkey's") from error


def _check_client(client: bytes, data: bytes, origin: str) -> None:
    try:
        table = json.loads(client)
    except (ValueError, RecursionError) as error:
        raise BadSignature("a passkey's client data are not JSON") from error
    if not isinstance(table, dict) or table.get("type") != "webauthn.get":
        raise BadSignature("a passkey's client data are of another kind")
    wanted = base64.urlsafe_b64encode(challenge(data)).rstrip(b"=").decode()
    if table.get("challenge") != wanted:
        raise BadSignature("the passkey signed something else")
    if table.get("origin") != origin or table.get("crossOrigin", False) is not False:
        raise BadSignature("the passkey signed on another page")


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
