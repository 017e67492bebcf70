"""A passkey or a signing service approves what it was shown, and it is seen offline."""

import base64
import datetime
import hashlib
import json
from dataclasses import dataclass, replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from hetao.errors import BadSignature, InvalidNetwork, NotApproved
from hetao.permit import Bundle, Key, ServiceSigner, code, sign_notice, standing
from hetao.permit.passkey import Assertion, assertion_from, challenge
from hetao.permit.services import HashSignature
from support_permit import NOW, VALID, Scene

SCENE = Scene()
ORIGIN = "https://sign.example.org"
DATA = b"hetao-statement-v1\n{}"
DAY = datetime.timedelta(days=1)


def der(public):
    raw = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(raw).decode()


# --- passkeys -------------------------------------------------------------------------
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


SECRETS = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


@pytest.fixture(params=SECRETS)
def passkey(request):
    return Authenticator(SECRETS[request.param])


def scene_with(key):
    others = tuple(k for k in SCENE.keys if k.owner != "ethics-hk")
    return SCENE.varied(keys=(key, *others))


def test_a_passkey_approves_like_any_key(passkey):
    scene = scene_with(passkey.key())
    bundle = sign_notice(Bundle(scene.permit), passkey, "approve", NOW)
    for name in ("ethics-sz", "privacy-hk", "privacy-sz"):
        bundle = sign_notice(bundle, SCENE.identities[name], "approve", NOW)

    assert standing(bundle, NOW).is_active


def test_a_passkeys_counter_is_advisory(passkey):
    for counter in (0, 7, 3):
        passkey.counter = counter
        passkey.key().verify(DATA, passkey.signed(DATA), NOW)
        assert passkey.assertion(DATA).counter == counter


@pytest.mark.parametrize(
    "changes",
    [
        {"flags": 0x04},  # nobody was there
        {"flags": 0x01},  # nobody proved who they are
        {"flags": 0x00},
        {"origin": "https://sign.examp1e.org"},
        {"origin": "https://sign.example.org:444"},
        {"origin": "http://sign.example.org"},
        {"host": "example.org"},
        {"kind": "webauthn.create"},
        {"cross": True},
    ],
    ids=str,
)
def test_an_assertion_that_a_person_did_not_make_here_is_refused(passkey, changes):
    for name, value in changes.items():
        setattr(passkey, name, value)

    with pytest.raises(BadSignature):
        passkey.key().verify(DATA, passkey.signed(DATA), NOW)


def test_an_assertion_over_something_else_is_refused(passkey):
    with pytest.raises(BadSignature, match="something else"):
        passkey.key().verify(DATA + b" ", passkey.signed(DATA), NOW)


def test_another_passkeys_assertion_is_refused(passkey):
    other = Authenticator(ec.generate_private_key(ec.SECP256R1()))

    with pytest.raises(BadSignature):
        passkey.key().verify(DATA, other.signed(DATA), NOW)


def test_every_changed_byte_of_an_assertion_is_refused(passkey):
    raw = base64.b64decode(passkey.signed(DATA))
    for at in range(0, len(raw), 3):
        bent = bytearray(raw)
        bent[at] ^= 1
        with pytest.raises(BadSignature):
            passkey.key().verify(DATA, base64.b64encode(bytes(bent)).decode(), NOW)


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"[]", b"null", b"[" * 9999, b"{" + b" " * 20_000 + b"}"]
)
def test_what_is_no_assertion_is_refused(raw):
    with pytest.raises(BadSignature):
        assertion_from(raw)


def test_an_assertion_has_one_form(passkey):
    table = json.loads(base64.b64decode(passkey.signed(DATA)))

    with pytest.raises(BadSignature, match="one form"):
        assertion_from(json.dumps(table, indent=1).encode())


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "sign.example.org",
        "http://sign.example.org",
        "https://10.0.0.1",
        f"{ORIGIN}/",
    ],
)
def test_a_passkey_belongs_to_a_named_and_secure_page(passkey, origin):
    with pytest.raises(InvalidNetwork):
        passkey.key(origin=origin).check_form()


def test_a_passkey_may_belong_to_this_machine(passkey):
    passkey.key(origin="http://localhost:8321").check_form()


@pytest.mark.parametrize(
    "public",
    ["", "AAAA", der(SECRETS["EdDSA"].public_key())[:-8]],
    ids=["none", "short", "cut"],
)
def test_a_passkey_without_a_key_is_refused(passkey, public):
    with pytest.raises(InvalidNetwork):
        passkey.key(public=public).check_form()


def test_a_passkey_on_another_curve_is_refused(passkey):
    other = ec.generate_private_key(ec.SECP384R1()).public_key()

    with pytest.raises(InvalidNetwork):
        passkey.key(public=der(other)).check_form()


def test_the_short_code_is_of_what_is_signed():
    assert code(b"one") != code(b"two")
    assert code(b"one") == code(b"one")
    assert len(code(b"one")) == 19  # sixteen of 32 letters, in fours: 80 bits


# --- services that sign a hash ----------------------------------------------------
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


def issue(name, secret, issuer, *, ca=False, days=(-1, 9), usage=True):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
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


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_a_signing_service_approves_like_any_key(kind):
    secret = rsa.generate_private_key(65537, 2048) if kind == "rsa" else None
    service = Example(secret=secret)
    scene = scene_with(service.key())
    signer = ServiceSigner("ethics-hk", service)

    bundle = sign_notice(Bundle(scene.permit), signer, "approve", NOW)

    assert [a.by for a in standing(bundle, NOW).approvals] == ["ethics-hk"]
    other = Bundle(scene.varied(number="P-2", keys=scene.permit.keys).permit)
    moved = replace(other, notices=bundle.notices)
    with pytest.raises(NotApproved, match="another permit"):
        standing(moved, NOW)


SHORT = rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused


@pytest.mark.parametrize(
    ("made", "error"),
    [
        ({"days": (-9, -1)}, "not valid at that time"),
        ({"days": (1, 9)}, "not valid at that time"),
        ({"usage": False}, "not for signatures"),
        ({"secret": SHORT}, "not taken"),
    ],
    ids=["ended", "not begun", "not for signatures", "a short key"],
)
def test_a_certificate_that_does_not_hold_is_refused(made, error):
    service = Example(**made)
    signature = service.sign_hash(challenge(DATA)).as_signature()

    with pytest.raises(BadSignature, match=error):
        service.key().verify(DATA, signature, NOW)


def test_another_authoritys_or_holders_certificate_is_refused():
    service, other = Example(), Example()
    signature = service.sign_hash(challenge(DATA)).as_signature()
    service.key().verify(DATA, signature, NOW)

    for key in (other.key(), service.key(subject="CN=LEE Siu Ming")):
        with pytest.raises(BadSignature):
            key.verify(DATA, signature, NOW)
    with pytest.raises(BadSignature):
        service.key().verify(DATA + b" ", signature, NOW)


def test_every_changed_byte_of_a_services_signature_is_refused():
    service = Example()
    raw = base64.b64decode(service.sign_hash(challenge(DATA)).as_signature())
    for at in range(0, len(raw), 7):
        bent = bytearray(raw)
        bent[at] ^= 1
        text = base64.b64encode(bytes(bent)).decode()
        with pytest.raises(BadSignature):
            service.key().verify(DATA, text, NOW)


@pytest.mark.parametrize("fields", [{"subject": ""}, {"public": "AAAA"}])
def test_a_certificate_key_names_its_holder_and_authority(fields):
    with pytest.raises(InvalidNetwork):
        Example().key(**fields).check_form()


def test_a_leaf_is_no_authority():
    service = Example()
    leaf = base64.b64encode(service.leaf.public_bytes(Encoding.DER)).decode()

    with pytest.raises(InvalidNetwork, match="may issue none"):
        service.key(public=leaf).check_form()


@pytest.mark.parametrize("fields", [{"kind": "rsa"}, {"scope": "all"}])
def test_a_key_of_an_unknown_kind_or_scope_is_refused(fields):
    with pytest.raises(InvalidNetwork):
        replace(SCENE.keys[0], **fields).check_form()


def test_a_key_that_is_never_valid_is_refused():
    with pytest.raises(InvalidNetwork, match="never valid"):
        replace(SCENE.keys[0], valid_until=VALID[0]).check_form()
