"""Keys, passkeys and signing services at the edges of each of their rules."""

import base64
import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from hetao.errors import BadSignature, InvalidNetwork
from hetao.permit import (
    ServiceSigner,
    code,
    new_identity,
    read_identity,
    services,
    state,
    statement_from,
    write_identity,
)
from hetao.permit.keys import add_log_key, decoded, verify
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


def test_a_services_signature_and_authority_have_one_form_and_a_size():
    service = Example()
    given = service.sign_hash(challenge(DATA))
    raw = base64.b64decode(given.as_signature())

    assert services.hash_signature_from(raw) == given
    large = replace(given, signature=b"\0" * services.LARGEST)
    with pytest.raises(BadSignature, match="too large"):
        services.hash_signature_from(base64.b64decode(large.as_signature()))
    with pytest.raises(BadSignature, match="one form"):
        services.hash_signature_from(raw.replace(b",", b", "))

    made = (Example().key() for _ in range(99))  # of 3n bytes there is one form alone
    padded = next(one for one in made if one.public.endswith("="))
    with pytest.raises(InvalidNetwork, match="one base64 form"):
        replace(padded, public=other_form(padded.public)).check_form()


def test_a_service_signs_for_the_certificate_of_its_holder_alone():
    service = Example()
    signer, key = ServiceSigner("ethics-hk", service), service.key()

    assert signer.holds(key)
    assert not signer.holds(replace(key, name="other"))
    assert not signer.holds(replace(KEY, name="ethics-hk"))


# --- statements -----------------------------------------------------------------------
@pytest.mark.parametrize(
    "table",
    [
        None,
        [],
        {},
        {"body": {}},
        {"body": [], "signature": ""},
        {"body": {}, "signature": 1},
        {"body": {}, "signature": "", "more": 1},
    ],
    ids=str,
)
def test_what_is_no_statement_is_refused(table):
    with pytest.raises(BadSignature, match="malformed"):
        statement_from(table)


def test_a_signature_has_one_form_and_sixty_four_bytes():
    said = state(SCENE.identities["ethics-hk"], {"type": "x"})
    said.verify_key(KEY, at(0))

    raw = decoded(said.signature)
    for text, words in (
        ("not base64!", "base64"),
        (other_form(said.signature), "base64"),
        (base64.b64encode(raw[:-1]).decode(), "signature"),
        (base64.b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode(), "signature"),
    ):
        with pytest.raises(BadSignature, match=words):
            replace(said, signature=text).verify_key(KEY, at(0))


def test_an_identity_signs_a_domain_and_what_follows_it():
    identity = new_identity("a")
    party = identity.party("HK", "site", "o")
    signature = identity.sign(b"one\n", b"data")

    verify(party, b"one\n", b"data", signature)
    for domain, data in ((b"two\n", b"data"), (b"one\n", b"date"), (b"", b"data")):
        with pytest.raises(BadSignature):
            verify(party, domain, data, signature)


@pytest.mark.parametrize("public", ["?", "AAAA", ""])
def test_a_public_key_is_thirty_two_bytes_in_base64(public):
    party = replace(new_identity("a").party("HK", "site", "o"), sign=public)

    with pytest.raises(InvalidNetwork, match="a: a public key is not"):
        _ = party.sign_key


@pytest.mark.parametrize("name", ["origin", "subject"])
def test_a_key_in_a_file_has_no_page_and_no_subject(name):
    with pytest.raises(InvalidNetwork, match="only a passkey has an origin"):
        replace(KEY, **{name: "https://x.example"}).check_form()


def test_secret_keys_are_their_owners_alone_and_read_as_what_they_are(tmp_path):
    path = write_identity(tmp_path, new_identity("a"))

    modes = {one.stat().st_mode & 0o777 for one in tmp_path.iterdir()}
    assert modes == {0o600}
    for name, text, words in (
        ("a.seal.pem", None, "no Ed25519 signing key"),
        ("none.sign.pem", None, "cannot be read"),
        ("odd.sign.pem", b"odd", "no unencrypted PEM key"),
    ):
        if text:
            (tmp_path / name).write_bytes(text)
        with pytest.raises(InvalidNetwork, match=words):
            read_identity(path.with_name(name))


def test_a_passkeys_page_has_an_address():
    with pytest.raises(InvalidNetwork, match="origin is no address"):
        replace(Authenticator(SECRET).key(), origin="https://[").check_form()


def test_a_log_has_a_second_key_once_and_of_its_own_kind(tmp_path):
    path = write_identity(tmp_path, new_identity("a"))
    (tmp_path / "a.log.pem").unlink(missing_ok=True)
    bare = read_identity(path)

    made = add_log_key(path)

    assert bare.log_keys is bare.signing_key
    assert made.log_keys == (made.signing_key, made.second_log_key)
    with pytest.raises(InvalidNetwork, match="a second key already"):
        add_log_key(path)
    (tmp_path / "a.log.pem").write_bytes(path.read_bytes())
    with pytest.raises(InvalidNetwork, match="no ML-DSA-44 key"):
        read_identity(path)
