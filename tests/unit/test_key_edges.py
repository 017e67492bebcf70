"""Keys, passkeys and signing services at the edges of each of their rules."""

import base64
import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from hetao.errors import BadSignature, InvalidNetwork
from hetao.permit import code, new_identity, read_identity, write_identity
from hetao.permit.passkey import LARGEST, assertion_from, challenge
from support_permit import NOW, Scene, at
from support_signers import DAY, Authenticator, Example

SCENE = Scene()
KEY = SCENE.keys[0]
DATA = b"hetao-statement-v1\n{}"
SECRET = ec.generate_private_key(ec.SECP256R1())
ALPHABET = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
)


# --- when a key counts ----------------------------------------------------------------
def test_a_key_is_valid_from_its_first_second_to_before_its_last():
    key = replace(KEY, valid_from=at(1), valid_until=at(2))

    key.check_time(at(1))
    key.check_time(at(2 - 1 / 3600))
    for when in (at(1 - 1 / 3600), at(2)):
        with pytest.raises(BadSignature, match="not valid at that time"):
            key.check_time(when)


def test_a_key_counts_to_before_the_second_in_which_it_was_revoked():
    key = replace(KEY, revoked_at=at(1))

    key.check_time(at(1 - 1 / 3600))
    for check in (key.check_time, key.check_unrevoked):
        with pytest.raises(BadSignature, match="revoked before it signed"):
            check(at(1))


def test_a_key_is_valid_for_a_second_at_least():
    replace(KEY, valid_from=at(1), valid_until=at(1 + 1 / 3600)).check_form()

    with pytest.raises(InvalidNetwork, match="never valid"):
        replace(KEY, valid_from=at(1), valid_until=at(1)).check_form()


@pytest.mark.parametrize("revoked", ["yes", "2026-11-22"])
def test_a_key_is_revoked_at_a_time(revoked):
    with pytest.raises(InvalidNetwork):
        replace(KEY, revoked_at=revoked).check_form()


# --- which key ------------------------------------------------------------------------
def test_a_fingerprint_is_sixteen_digits_of_the_public_keys_hash():
    identity = new_identity("a")
    raw = identity.signing_key.public_key().public_bytes_raw()
    digits = hashlib.sha256(raw).hexdigest()[:16]

    assert identity.party("HK", "site", "o").fingerprint == digits
    assert identity.key("o", (at(0), at(1))).fingerprint == digits


def test_an_identity_without_a_sealing_key_says_so(tmp_path):
    bare = new_identity("a", sealing=False)
    path = write_identity(tmp_path, bare)

    assert not read_identity(path).has_sealing_key
    assert read_identity(path).party("HK", "hub", "o").seal == ""
    with pytest.raises(InvalidNetwork, match="a holds no sealing key"):
        _ = bare.sealing_key


def test_a_sealing_key_that_is_none_is_refused(tmp_path):
    path = write_identity(tmp_path, new_identity("a"))
    (tmp_path / "a.seal.pem").write_bytes(path.read_bytes())

    with pytest.raises(InvalidNetwork, match="no X25519 sealing key"):
        read_identity(path)


# --- passkeys -------------------------------------------------------------------------
@pytest.mark.parametrize("data", [b"", b"one", b"\xff" * 40])
def test_the_short_code_is_sixteen_letters_for_the_first_eighty_bits(data):
    letters = base64.b32encode(hashlib.sha256(data).digest()[:10]).decode()

    text = letters.translate(ALPHABET)

    assert code(data) == "-".join(text[n : n + 4] for n in (0, 4, 8, 12))


def test_a_passkeys_counter_has_four_bytes():
    passkey = Authenticator(SECRET, counter=0x01020304)

    assert passkey.assertion(DATA).counter == 0x01020304


def test_a_passkey_says_more_than_its_counter_or_no_less():
    """Extensions may follow; the first 37 bytes may not be cut."""
    passkey = Authenticator(SECRET)
    made = passkey.assertion(DATA)

    for spare, is_whole in ((b"\xa0", True), (None, False)):
        head = made.authenticator + spare if spare else made.authenticator[:-1]
        signed = head + hashlib.sha256(made.client).digest()
        signature = SECRET.sign(signed, ec.ECDSA(SHA256()))
        one = replace(made, authenticator=head, signature=signature).as_signature()
        if is_whole:
            passkey.key().verify(DATA, one, NOW)
        else:
            with pytest.raises(BadSignature, match="cut short"):
                passkey.key().verify(DATA, one, NOW)


def test_an_assertion_that_is_too_large_is_refused_though_it_is_whole():
    made = Authenticator(SECRET).assertion(DATA)
    large = replace(made, client=made.client + b" " * LARGEST)

    with pytest.raises(BadSignature, match="too large"):
        assertion_from(base64.b64decode(large.as_signature()))
    some = replace(made, client=made.client + b" " * (LARGEST // 2))
    assert assertion_from(base64.b64decode(some.as_signature())) == some


def other_form(text):
    """Return base64 that decodes to the same bytes: its last bits say nothing."""
    stem, pads = text.rstrip("="), len(text) - len(text.rstrip("="))
    assert pads
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = stem[:-1] + letters[letters.index(stem[-1]) + 1] + "=" * pads
    assert base64.b64decode(other) == base64.b64decode(text)
    return other


def test_a_passkeys_public_key_has_one_form():
    key = Authenticator(SECRET).key()

    key.check_form()
    with pytest.raises(InvalidNetwork, match="one base64 form"):
        replace(key, public=other_form(key.public)).check_form()


# --- services -------------------------------------------------------------------------
def test_a_certificate_holds_from_its_first_second_to_before_its_last():
    service = Example(days=(0, 1))
    signature = service.sign_hash(challenge(DATA)).as_signature()
    second = DAY / 86_400

    service.key().verify(DATA, signature, NOW)
    service.key().verify(DATA, signature, NOW + DAY - second)
    for when in (NOW - second, NOW + DAY):
        with pytest.raises(BadSignature, match="not valid at that time"):
            service.key().verify(DATA, signature, when)
