"""A passkey or a signing service approves what it was shown, and it is seen offline."""

import base64
import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from hetao.errors import BadSignature, InvalidNetwork, NotApproved
from hetao.permit import Bundle, ServiceSigner, code, sign_notice, standing
from hetao.permit.certificates import certificate_from
from hetao.permit.passkey import assertion_from, challenge
from support_permit import NOW, VALID, Scene
from support_signers import ORIGIN, Authenticator, Example, below_zero, der, issue

SCENE = Scene()
DATA = b"hetao-statement-v1\n{}"


# --- passkeys -------------------------------------------------------------------------
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


def test_a_certificate_of_a_version_that_nobody_knows_is_refused():
    """The library's error for it is no ValueError."""
    made = Example().sign_hash(challenge(DATA))
    third, tenth = b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x0a"
    assert third in made.certificate
    bent = replace(made, certificate=made.certificate.replace(third, tenth, 1))

    with pytest.raises(BadSignature, match="malformed"):
        Example().key().verify(DATA, bent.as_signature(), NOW)


class Bent:
    """A service whose holder's certificate has a serial number below zero."""

    def __init__(self, service):
        self.service = service

    def sign_hash(self, digest):
        made = self.service.sign_hash(digest)
        leaf = below_zero(self.service.leaf, self.service.authority)
        return replace(made, certificate=leaf)


def test_a_serial_number_below_zero_is_refused_without_a_word_of_the_librarys():
    """The library warns on the reader's screen; here a warning fails the test."""
    service = Example()
    root = base64.b64encode(below_zero(service.root, service.authority)).decode()
    signature = Bent(service).sign_hash(challenge(DATA)).as_signature()

    with pytest.raises(BadSignature, match="malformed"):
        service.key().verify(DATA, signature, NOW)
    with pytest.raises(InvalidNetwork, match="is not one"):
        service.key(public=root).check_form()


@pytest.mark.parametrize(("serial", "is_read"), [(0, False), (1, True)])
def test_the_least_serial_number_is_one(serial, is_read):
    service = Example()
    leaf = issue("x", service.secret, (service.root, service.authority), serial=1)
    whole = leaf.public_bytes(Encoding.DER)
    numbered = whole.replace(b"\x02\x01\x01", bytes([2, 1, serial]), 1)

    if is_read:
        assert certificate_from(numbered).serial_number == serial
        return
    with pytest.raises(ValueError, match="serial number is not positive"):
        certificate_from(numbered)


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
