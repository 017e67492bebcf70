"""Passkeys and signing services as a test drives them."""

import base64
import datetime
import hashlib
import json
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from hetao.permit import Key
from hetao.permit.passkey import Assertion, challenge
from hetao.permit.services import HashSignature
from support_permit import NOW, VALID

ORIGIN = "https://sign.example.org"
DAY = datetime.timedelta(days=1)


def der(public):
    raw = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(raw).decode()


@dataclass
class Authenticator:
    """A passkey as a browser drives it; a test bends what it gives back."""

    secret: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    origin: str = ORIGIN
    host: str = "sign.example.org"
    flags: int = 0x05
    kind: str = "webauthn.get"
    cross: bool = False
    counter: int = 0

    def key(self, **fields):
        public = der(self.secret.public_key())
        made = Key("ethics-hk", "ethics-hk", "passkey", public, *VALID, origin=ORIGIN)
        return replace(made, **fields)

    def holds(self, key):
        return key.kind == "passkey"

    def assertion(self, data):
        wanted = base64.urlsafe_b64encode(challenge(data)).rstrip(b"=").decode()
        client = json.dumps(
            {
                "type": self.kind,
                "challenge": wanted,
                "origin": self.origin,
                "crossOrigin": self.cross,
            }
        ).encode()
        head = hashlib.sha256(self.host.encode()).digest() + bytes([self.flags])
        head += self.counter.to_bytes(4, "big")
        signed = head + hashlib.sha256(client).digest()
        if isinstance(self.secret, ed25519.Ed25519PrivateKey):
            return Assertion(head, client, self.secret.sign(signed))
        return Assertion(head, client, self.secret.sign(signed, ec.ECDSA(SHA256())))

    def signed(self, data):
        return self.assertion(data).as_signature()


class Example:
    """An authority and its signing service, as a government's identity has them."""

    def __init__(self, name="CHAN Tai Man", secret=None, days=(-1, 9), usage=True):
        self.authority = ec.generate_private_key(ec.SECP256R1())
        self.root = issue("Example Root", self.authority, None, ca=True)
        self.secret = secret or ec.generate_private_key(ec.SECP256R1())
        issuer = (self.root, self.authority)
        self.leaf = issue(name, self.secret, issuer, days=days, usage=usage)

    def sign_hash(self, digest):
        if isinstance(self.secret, rsa.RSAPrivateKey):
            made = self.secret.sign(digest, PKCS1v15(), Prehashed(SHA256()))
        else:
            made = self.secret.sign(digest, ec.ECDSA(Prehashed(SHA256())))
        return HashSignature(made, self.leaf.public_bytes(Encoding.DER))

    def key(self, **fields):
        root = base64.b64encode(self.root.public_bytes(Encoding.DER)).decode()
        made = Key("ethics-hk", "ethics-hk", "certificate", root, *VALID)
        subject = self.leaf.subject.rfc4514_string()
        return replace(made, **{"subject": subject, **fields})


def issue(name, secret, issuer, *, ca=False, days=(-1, 9), usage=True, serial=None):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(secret.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(NOW + days[0] * DAY)
        .not_valid_after(NOW + days[1] * DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=usage and not ca,
                content_commitment=False,
                key_encipherment=not usage,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=ca,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    return made.sign(issuer[1] if issuer else secret, SHA256())


def below_zero(certificate, signer):
    """Return the DER of a certificate whose serial number is negative, signed anew."""
    tbs = bytearray(certificate.tbs_certificate_bytes)
    serial = certificate.serial_number
    size = serial.bit_length() // 8 + 1
    at = tbs.index(bytes([2, size]) + serial.to_bytes(size, "big")) + 2
    tbs[at] |= 0x80
    whole = certificate.public_bytes(Encoding.DER)
    start = whole.index(certificate.tbs_certificate_bytes)
    after = whole[start + len(tbs) :]
    algorithm = after[: 2 + after[1]]
    made = b"\0" + signer.sign(bytes(tbs), ec.ECDSA(SHA256()))
    rest = bytes(tbs) + algorithm + bytes([3, len(made)]) + made
    return b"\x30\x82" + len(rest).to_bytes(2, "big") + rest
