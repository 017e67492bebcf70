"""COSE_Sign1: what somebody signed, in the encoding of SCITT (RFC 9052, RFC 9942).

    18([protected, unprotected, payload, signature])

The signature covers the protected header and the payload; where the payload is left
out, whoever verifies reckons it. Keys are the verifier's own: what a message says of
keys is never looked at.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import (
    InternalError,
    InvalidSignature,
    UnsupportedAlgorithm,
)
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from hetao.errors import InvalidData, Unverified
from hetao.ledger.cbor import decode, encode
from hetao.whole import read_whole

ALG, CRITICAL, KID, CWT = 1, 2, 4, 15  # labels of headers
PAYLOAD_HASH, RECEIPTS, VDS, VDP = 258, 394, 395, 396
ISSUER, SUBJECT, ISSUED_AT = 1, 2, 6  # of a CWT's claims
EDDSA: Final = -8
SHA_256: Final = -16
RFC9162_SHA256: Final = 1  # a kind of tree
INCLUSION: Final = -1  # a kind of proof
LARGEST: Final = 1 << 18  # bytes of a message, or of a file of keys
_SIGN1: Final = bytes([0xC0 | 18])  # the tag
_KTY, _CRV, _X, _Y = 1, -1, -2, -3  # of a key
_OKP, _EC2, _ED25519 = 1, 2, 6

Headers = Mapping[Any, Any]  # whose keys are numbers or text
PublicKey = Ed25519PublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True)
class Curve:
    """A curve of ECDSA as COSE takes it: its number, and the hash that goes with it."""

    number: int
    curve: ec.EllipticCurve
    hashing: HashAlgorithm
    width: int  # bytes of a coordinate


_CURVES: Final = (
    Curve(1, ec.SECP256R1(), SHA256(), 32),
    Curve(2, ec.SECP384R1(), SHA384(), 48),
)
# alg → number of the curve; the second of each is RFC 9864's, which names the curve.
_ALGORITHMS: Final = {-8: _ED25519, -19: _ED25519, -7: 1, -9: 1, -35: 2, -51: 2}


@dataclass(frozen=True)
class Sign1:
    """A signed message.

    Attributes:
        protected: the header that the signature covers, as it was written.
        unprotected: what anybody may add or change.
        payload: None where it is left out.
        signature: of `alg` in the protected header.
    """

    protected: bytes
    unprotected: Headers
    payload: bytes | None
    signature: bytes

    @property
    def data(self) -> bytes:
        """Return the message in its one spelling, tagged."""
        parts = [self.protected, self.unprotected, self.payload, self.signature]
        return _SIGN1 + encode(parts)

    @cached_property
    def headers(self) -> Headers:
        """Return the protected header.

        Raises:
            Unverified: it is none.
        """
        found = decode(self.protected)
        if not isinstance(found, dict):
            raise Unverified("a protected header is no mapping")
        return found

    def verify(self, key: PublicKey, payload: bytes) -> None:
        """Return when this key signed the header and this payload.

        Raises:
            Unverified: it did not, or by an algorithm that is not this key's.
        """
        alg = self.headers.get(ALG)
        curve = _ALGORITHMS.get(alg) if type(alg) is int else None
        if curve is None or curve != _curve_of(key):
            raise Unverified("a message is signed by an algorithm of another key")
        said = _signed(self.protected, payload)
        try:
            if isinstance(key, Ed25519PublicKey):
                key.verify(self.signature, said)
                return
            one = _CURVES[curve - 1]
            if len(self.signature) != 2 * one.width:
                raise Unverified("a signature is not as long as its algorithm says")
            parts = self.signature[: one.width], self.signature[one.width :]
            r, s = (int.from_bytes(part, "big") for part in parts)
            key.verify(encode_dss_signature(r, s), said, ec.ECDSA(one.hashing))
        except InvalidSignature as error:
            raise Unverified(
                "a message is not signed by the key it should be"
            ) from error


def sign(
    headers: Headers,
    payload: bytes,
    key: Ed25519PrivateKey,
    unprotected: Headers | None = None,
    *,
    detached: bool = False,
) -> Sign1:
    """Return a message signed with an Ed25519 key.

    Args:
        headers: the protected header, without `alg`.
        payload: what is signed beside it.
        key: whose word it is.
        unprotected: what is added unsigned.
        detached: whether the payload is left out.
    """
    protected = encode({**headers, ALG: EDDSA})
    signature = key.sign(_signed(protected, payload))
    return Sign1(protected, unprotected or {}, None if detached else payload, signature)


def read_sign1(data: bytes) -> Sign1:
    """Return the message of some bytes; nothing of it is verified yet.

    Raises:
        Unverified: they are no tagged COSE_Sign1 that this version reads.
    """
    if len(data) > LARGEST or data[:1] != _SIGN1:
        raise Unverified("the bytes are no COSE_Sign1")
    match decode(data[1:]):
        case [bytes(protected), dict(unprotected), bytes() | None as payload, bytes(s)]:
            return Sign1(protected, unprotected, payload, s)
    raise Unverified("the bytes are no COSE_Sign1")


def _signed(protected: bytes, payload: bytes) -> bytes:
    return encode(["Signature1", protected, b"", payload])


# --- keys -----------------------------------------------------------------------------
def read_keys(path: Path) -> Sequence[PublicKey]:
    """Return the keys of a file that can verify: Ed25519, P-256, P-384.

    Args:
        path: a COSE_KeySet as a service publishes it, one COSE_Key, or PEM.

    Raises:
        InvalidData: it cannot be read, or holds no such key.
    """
    data = read_whole(path, LARGEST)
    try:
        keys = _pem_keys(data) if b"-----BEGIN" in data else _cose_keys(data)
    except (Unverified, UnsupportedAlgorithm, InternalError, ValueError) as error:
        raise InvalidData(f"{path.name} holds a key that is not whole") from error
    if not keys:
        raise InvalidData(
            f"{path.name} holds no key that can verify",
            fix="a COSE key set, or PEM, with an Ed25519, P-256 or P-384 key",
        )
    return keys


def thumbprint(key: PublicKey) -> str:
    """Return the name that a key gives itself.

    Source:
        RFC 9679 (COSE Key Thumbprint). Vector: `tests/unit/test_cose.py`.
    """
    if isinstance(key, Ed25519PublicKey):
        shown = {_KTY: _OKP, _CRV: _ED25519, _X: key.public_bytes_raw()}
    else:
        one = _CURVES[_curve_of(key) - 1]
        at = key.public_numbers()
        x, y = (number.to_bytes(one.width, "big") for number in (at.x, at.y))
        shown = {_KTY: _EC2, _CRV: one.number, _X: x, _Y: y}
    digest = base64.urlsafe_b64encode(hashlib.sha256(encode(shown)).digest())
    return "urn:ietf:params:oauth:ckt:sha-256:" + digest.decode().rstrip("=")


def _curve_of(key: PublicKey) -> int:
    """Return the number of a key's curve; 0 where nothing here is signed on it."""
    if isinstance(key, Ed25519PublicKey):
        return _ED25519
    for one in _CURVES:
        if key.curve.name == one.curve.name:
            return one.number
    return 0


def _pem_keys(data: bytes) -> list[PublicKey]:
    mark = b"-----BEGIN PUBLIC KEY-----"
    blocks = [mark + block for block in data.split(mark)[1:]]
    found = [load_pem_public_key(block) for block in blocks]
    return [
        key
        for key in found
        if isinstance(key, Ed25519PublicKey | ec.EllipticCurvePublicKey)
        and _curve_of(key)
    ]


def _cose_keys(data: bytes) -> list[PublicKey]:
    value = decode(data)
    found = [_cose_key(one) for one in (value if isinstance(value, list) else [value])]
    return [key for key in found if key is not None]


def _cose_key(value: object) -> PublicKey | None:
    """Return a COSE_Key's key; None where it is of a kind that is not verified here.

    Raises:
        Unverified: it is no key.
        ValueError: it is not whole.
    """
    if not isinstance(value, dict):
        raise Unverified("a key is no mapping")
    kind, number = value.get(_KTY), value.get(_CRV)
    x, y = value.get(_X), value.get(_Y)
    if (kind, number) == (_OKP, _ED25519) and isinstance(x, bytes):
        return Ed25519PublicKey.from_public_bytes(x)
    for one in _CURVES:
        if (kind, number) == (_EC2, one.number) and isinstance(x, bytes):
            point = (
                b"\4" + x + y if isinstance(y, bytes) else bytes([2 + (y is True)]) + x
            )
            return ec.EllipticCurvePublicKey.from_encoded_point(one.curve, point)
    return None
