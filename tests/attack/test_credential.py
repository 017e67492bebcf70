"""No credential is read but in its one form, under the one key and header."""

import base64
import json
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetao.canonical import canonical, parse_canonical
from hetao.errors import Unverified
from hetao.ledger.credential import (
    certificate_claims,
    check_certificate_entry,
    did_key,
    header_of,
    issuer_of,
    read_credential,
    sign_credential,
)
from hetao.permit import new_identity

BOSS = new_identity("coordinator", sealing=False).signing_key
KEY = BOSS.public_key()
CLAIMS = {"a": 1, "b": ["x"]}
TEXT = sign_credential(BOSS, CLAIMS)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header, payload=None, key=BOSS):
    """Return a JWS with any header, truly signed."""
    head = header if isinstance(header, bytes) else canonical(header)
    text = f"{b64(head)}.{b64(canonical(CLAIMS) if payload is None else payload)}"
    return f"{text}.{b64(key.sign(text.encode()))}"


def test_what_was_signed_is_read():
    assert read_credential(TEXT, KEY) == CLAIMS
    assert read_credential(signed(header_of(KEY)), KEY) == CLAIMS


HEADERS = {
    "no algorithm": {"alg": "none"},
    "a symmetric algorithm": {"alg": "HS256"},
    "another curve": {"alg": "ES256"},
    "another type": {"typ": "JWT"},
    "a critical extension": {"crit": ["exp"], "exp": 0},
    "an unencoded payload": {"b64": False, "crit": ["b64"]},
    "a key of its own": {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AA"}},
    "an address of a key": {"jku": "https://example.org/keys"},
    "another key's name": {"kid": "did:key:z6Mk"},
}


@pytest.mark.parametrize("case", HEADERS)
def test_another_header_is_refused_though_truly_signed(case):
    with pytest.raises(Unverified, match="header"):
        read_credential(signed({**header_of(KEY), **HEADERS[case]}), KEY)


@pytest.mark.parametrize("field", ["alg", "typ", "kid", "cty"])
def test_a_header_that_leaves_out_a_field_is_refused(field):
    header = {k: v for k, v in header_of(KEY).items() if k != field}

    with pytest.raises(Unverified, match="header"):
        read_credential(signed(header), KEY)


def test_another_spelling_of_the_header_or_of_the_claims_is_refused():
    spaced = json.dumps(header_of(KEY)).encode()
    twice = b'{"a":1,"a":2}'

    for text in (signed(spaced), *(signed(header_of(KEY), p) for p in (twice, b"[]"))):
        with pytest.raises(Unverified):
            read_credential(text, KEY)


def test_every_character_counts():
    """Also the last of each part, whose spare bits base64 would let vary."""
    for place in range(len(TEXT)):
        for new in {"A", "B", "-", ".", "=", chr(ord(TEXT[place]) ^ 1)} - {TEXT[place]}:
            with pytest.raises(Unverified):
                read_credential(TEXT[:place] + new + TEXT[place + 1 :], KEY)


@pytest.mark.parametrize("text", ["", "..", "a.b", TEXT + "=", TEXT + ".", f" {TEXT}"])
def test_another_form_is_refused(text):
    with pytest.raises(Unverified):
        read_credential(text, KEY)


@given(text=st.text(max_size=60))
def test_any_text_is_refused_and_nothing_else_raised(text):
    for one in (text, f"{TEXT[:60]}.{text}.{text}"):
        with pytest.raises(Unverified):
            read_credential(one, KEY)


def test_another_key_is_refused():
    other = new_identity("coordinator", sealing=False).signing_key

    with pytest.raises(Unverified, match="header"):
        read_credential(TEXT, other.public_key())
    with pytest.raises(Unverified, match="not signed"):
        read_credential(signed(header_of(KEY), key=other), KEY)


def test_another_reader_of_jws_reads_what_we_sign():
    """jwcrypto, with the key as the JWK of RFC 8037, whose name our header holds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from jwcrypto.jwk import JWK
        from jwcrypto.jws import JWS, InvalidJWSSignature

    raw = b64(KEY.public_bytes_raw())
    key = JWK(kty="OKP", crv="Ed25519", x=raw)
    read = JWS()
    read.allowed_algs = ["EdDSA"]
    read.deserialize(TEXT, key)

    assert json.loads(read.payload) == CLAIMS
    assert read.jose_header["typ"] == "vc+jwt"
    with pytest.raises(InvalidJWSSignature):
        JWS().deserialize(TEXT[:-8] + "AAAAAAAA", key, alg="EdDSA")


# --- of a certificate ----------------------------------------------------------------
def entry_of(run):
    return parse_canonical(run.certificate)["log"]["credential"]


def test_a_certificate_and_its_credential_say_the_same(small_run):
    boss = small_run.cast.directory["coordinator"]
    entry = entry_of(small_run)
    claims = read_credential(entry, boss.sign_key)
    index = int(claims["credentialStatus"][0]["statusListIndex"])

    check_certificate_entry(entry, boss.name, boss.sign_key, small_run.body, index)
    assert claims["type"] == ["VerifiableCredential", "HetaoCertificate"]
    assert claims["issuer"] == {"id": did_key(boss.sign_key), "name": boss.name}
    assert claims["validFrom"] == small_run.body["issued"]
    assert claims["credentialSubject"]["sites"] == ["a", "b", "c"]


@pytest.mark.parametrize("field", ["issued", "software", "run"])
def test_a_credential_of_another_certificate_is_refused(small_run, field):
    boss = small_run.cast.directory["coordinator"]
    body = small_run.body | {field: "another"}

    with pytest.raises(Unverified, match="something else"):
        check_certificate_entry(entry_of(small_run), boss.name, boss.sign_key, body, 0)


def test_a_credential_holds_public_facts_and_digests_only(small_run):
    """No number of a finding, no record of a release, no person's name."""
    boss = small_run.cast.directory["coordinator"]
    claims = read_credential(entry_of(small_run), boss.sign_key)

    assert set(claims) == {
        "@context",
        "credentialStatus",
        "credentialSubject",
        "id",
        "issuer",
        "type",
        "validFrom",
    }
    subject = claims["credentialSubject"]
    for field in ("body", "checks", "findings", "permit", "study"):
        assert len(subject[field].removeprefix("sha256:")) == 64
    assert set(subject) == {
        *("body", "checks", "findings", "permit", "study"),
        *("id", "sites", "software"),
    }


def test_no_two_places_of_a_log_share_a_bit_of_the_status_lists(small_run):
    issuer = issuer_of("coordinator", KEY)
    one, two = (certificate_claims(small_run.body, issuer, i) for i in (3, 4))

    assert [s["statusListIndex"] for s in one["credentialStatus"]] == ["3", "3"]
    assert one["credentialStatus"] != two["credentialStatus"]


def test_a_key_is_named_as_did_key_writes_it():
    """The example of the did:key specification, section 3.1 and its test vectors."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    raw = "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(raw))

    assert did_key(key) == "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"
