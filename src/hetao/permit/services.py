"""Services that sign a hash: hash in, signature and certificate out.

So do the digital identities of governments: the service shows its user a short code of
the hash, and hands back a signature with the user's certificate. The list of keys pins
the authority's certificate and the holder's name; a verifier needs no network.
"""

import base64
import datetime
import json
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hetao.canonical import canonical
from hetao.errors import BadSignature, InvalidNetwork
from hetao.permit.certificates import certificate_from, unwarned
from hetao.permit.passkey import challenge

LARGEST: Final = 32 * 2**10  # bytes of a signature with its certificate
LEAST_RSA: Final = 2048  # bits
FIELDS: Final = {"certificate", "signature"}
# What the library raises of a certificate that is none: not all are ValueErrors.
BENT: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True)
class HashSignature:
    """What a service hands back.

    Attributes:
        signature: over a SHA-256 hash: ECDSA, or RSA with PKCS #1 v1.5.
        certificate: the holder's, DER.
    """

    signature: bytes
    certificate: bytes

    def as_signature(self) -> str:
        """Return the form that a statement bears: base64 of a JSON object."""
        table = {
            "certificate": base64.b64encode(self.certificate).decode(),
            "signature": base64.b64encode(self.signature).decode(),
        }
        return base64.b64encode(canonical(table)).decode()


class HashSigningService(Protocol):
    """A service that signs a hash for the person who is logged in with it."""

    def sign_hash(self, digest: bytes) -> HashSignature:
        """Return the signature over a SHA-256 hash, 32 bytes, with a certificate.

        Raises:
            Refused: the person said no.
        """


def check_key(name: str, public: str, subject: str) -> None:
    """Return quietly if a certificate's entry in a list can be used.

    Raises:
        InvalidNetwork: it cannot.
    """
    if not subject:
        raise InvalidNetwork(f"the key {name}: subject names the holder")
    try:
        _authority(public)
    except BadSignature as error:
        raise InvalidNetwork(f"the key {name}: {error.what}") from error


def _authority(text: str) -> x509.Certificate:
    try:
        raw = base64.b64decode(text, validate=True)
        found = certificate_from(raw)
        found.public_key()
        constraints = found.extensions.get_extension_for_class(x509.BasicConstraints)
    except BENT as error:
        raise BadSignature("the authority's certificate is not one") from error
    if base64.b64encode(raw).decode() != text:
        raise BadSignature("the authority's certificate is not in its one base64 form")
    if not constraints.value.ca:
        raise BadSignature("the authority's certificate may issue none")
    return found


def public_half(text: str, subject: str) -> bytes:
    """Return authority and holder in one form, whichever certificate was written.

    Raises:
        BadSignature: the text is no authority's certificate.
    """
    key = _authority(text).public_key()
    known = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return known + subject.encode()


def verify(
    public: str, subject: str, data: bytes, raw: bytes, at: datetime.datetime
) -> None:
    """Return quietly if the holder of a certificate signed the hash of these bytes.

    Args:
        public: the authority's certificate, DER in base64.
        subject: the holder, as RFC 4514 writes the name.
        data: a statement's bytes.
        raw: the signature that the statement bears, with the certificate.
        at: when it says that it was signed.

    Raises:
        BadSignature: they did not, or the certificate is not this authority's for this
            holder and time, or not for signatures.
    """
    authority, found = _authority(public), hash_signature_from(raw)
    try:
        leaf = certificate_from(found.certificate)
        leaf.verify_directly_issued_by(authority)
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        with unwarned():  # of a country of three letters, say
            name = leaf.subject.rfc4514_string()
        leaf.public_key()
    except (*BENT, InvalidSignature) as error:
        raise BadSignature("the certificate is not this authority's") from error
    if name != subject:
        raise BadSignature("the certificate is another holder's")
    for one in (authority, leaf):
        if not one.not_valid_before_utc <= at < one.not_valid_after_utc:
            raise BadSignature("the certificate was not valid at that time")
    if not usage.digital_signature and not usage.content_commitment:
        raise BadSignature("the certificate is not for signatures")
    _check_signature(leaf, found.signature, challenge(data))


def _check_signature(leaf: x509.Certificate, signature: bytes, hashed: bytes) -> None:
    key, made = leaf.public_key(), Prehashed(SHA256())
    try:
        if isinstance(key, EllipticCurvePublicKey):
            key.verify(signature, hashed, ECDSA(made))
            return
        if isinstance(key, RSAPublicKey) and key.key_size >= LEAST_RSA:
            key.verify(signature, hashed, PKCS1v15(), made)
            return
    except InvalidSignature as error:
        raise BadSignature("the signature is not the certificate's") from error
    raise BadSignature("the certificate's key is of a kind that is not taken")


def hash_signature_from(raw: bytes) -> HashSignature:
    """Return the signature and certificate that a statement bears.

    Raises:
        BadSignature: the bytes are none, or not in their one form.
    """
    try:
        if len(raw) > LARGEST:
            raise BadSignature("a signature with its certificate is too large")
        table = json.loads(raw)
        if not isinstance(table, dict) or set(table) != FIELDS:
            raise BadSignature("a signature with its certificate is malformed")
        found = HashSignature(
            base64.b64decode(table["signature"], validate=True),
            base64.b64decode(table["certificate"], validate=True),
        )
        certificate_from(found.certificate).public_bytes(Encoding.DER)
    except (*BENT, RecursionError) as error:
        raise BadSignature("a signature with its certificate is malformed") from error
    if base64.b64encode(raw).decode() != found.as_signature():
        raise BadSignature("a signature with its certificate is not in its one form")
    return found
