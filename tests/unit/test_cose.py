"""Messages and keys of COSE, held to the RFCs' own examples."""

from dataclasses import replace

import cbor2
import pytest
import scitt_cose
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hetao.errors import InvalidData, Unverified
from hetao.ledger.cose import read_keys, read_sign1, sign, thumbprint
from hetao.ledger.credential import did_key, from_url64, key_of_did
from support_scitt import cose_key, key_set, new_keys, public_pem, secret_pem

# RFC 9052, C.2.1: a message signed with ECDSA, and its key from C.7.1.
MESSAGE = bytes.fromhex(
    "d28443a10126a10442313154546869732069732074686520636f6e74656e742e"
    "58408eb33e4ca31d1c465ab05aac34cc6b23d58fef5c083106c4d25a91aef0b0"
    "117e2af9a291aa32e14ab834dc56ed2a223444547e01f11d3b0916e5a4c345ca"
    "cb36"
)
ELEVEN = {
    1: 2,
    2: b"11",
    -1: 1,
    -2: bytes.fromhex(
        "bac5b11cad8f99f9c72b05cf4b9e26d244dc189f745228255a219a86d6a09eff"
    ),
    -3: bytes.fromhex(
        "20138bf82dc1b6d562be0fa54ab7804a3a64b6d72ccfed6b6fb6ed28bbfc117e"
    ),
}
# RFC 9679, section 6: a key and its thumbprint.
MERIADOC = {
    1: 2,
    -1: 1,
    -2: bytes.fromhex(
        "65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d"
    ),
    -3: bytes.fromhex(
        "1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c"
    ),
}
NAMED = "496bd8afadf307e5b08c64b0421bf9dc01528a344a43bda88fadd1669da253ec"


@pytest.fixture
def written(tmp_path):
    def write(data):
        path = tmp_path / "keys"
        path.write_bytes(data if isinstance(data, bytes) else cbor2.dumps(data))
        return path

    return write


def test_the_rfcs_own_message_holds_and_no_byte_of_it_can_be_changed(written):
    (key,) = read_keys(written([ELEVEN]))
    message = read_sign1(MESSAGE)

    message.verify(key, b"This is the content.")

    assert message.data == MESSAGE
    assert message.payload == b"This is the content."

    def holds(data):
        other = read_sign1(data)
        other.verify(key, other.payload or b"")

    unsigned = range(6, 11)  # the hint at the key
    for place in {*range(len(MESSAGE))} - {*unsigned}:
        bent = bytearray(MESSAGE)
        bent[place] ^= 1
        with pytest.raises(Unverified):
            holds(bytes(bent))


def test_a_key_gives_itself_the_name_of_the_rfc(written):
    (key,) = read_keys(written(MERIADOC))

    start, _, named = thumbprint(key).rpartition(":")
    assert start == "urn:ietf:params:oauth:ckt:sha-256"
    assert from_url64(named).hex() == NAMED


def test_a_signature_holds_by_a_key_of_its_own_algorithm_alone(written):
    keys = new_keys()
    trusted = read_keys(written(key_set(keys)))

    for alg, own in zip(("EdDSA", "ES256", "ES384"), trusted, strict=True):
        data = scitt_cose.sign_sign1(
            b"payload", alg=alg, private_key_pem=secret_pem(keys[alg])
        )
        message = read_sign1(data)
        message.verify(own, b"payload")
        for other in trusted:
            if other is not own:
                with pytest.raises(Unverified, match="algorithm of another key"):
                    message.verify(other, b"payload")
        half = len(message.signature) // 2
        first, second = message.signature[:half], message.signature[half:]
        for wrong in (b"", message.signature[:-1], first + b"\0" + second):
            with pytest.raises(Unverified):
                replace(message, signature=wrong).verify(own, b"payload")
        with pytest.raises(Unverified):
            message.verify(own, b"payloae")


def test_a_signature_by_an_algorithm_that_names_its_curve_holds(written):
    """RFC 9864: -19 is Ed25519, -9 and -51 are ECDSA on P-256 and P-384."""
    key = Ed25519PrivateKey.generate()
    (own,) = read_keys(written(cose_key(key, b"")))
    protected = cbor2.dumps({1: -19})
    said = cbor2.dumps(["Signature1", protected, b"", b"payload"])

    message = replace(
        sign({}, b"payload", key), protected=protected, signature=key.sign(said)
    )

    message.verify(own, b"payload")


def test_another_library_accepts_what_we_sign():
    key = Ed25519PrivateKey.generate()

    ours = sign({4: b"kid"}, b"payload", key)

    read = scitt_cose.verify_sign1(ours.data, public_key_pem=public_pem(key))
    assert (read.payload, read.protected) == (b"payload", {1: -8, 4: b"kid"})


def test_keys_are_read_from_a_set_from_one_and_from_pem(written):
    keys = new_keys()
    three = [keys[one] for one in ("EdDSA", "ES256", "ES384")]
    names = [thumbprint(one.public_key()) for one in three]

    def read(data):
        return [thumbprint(one) for one in read_keys(written(data))]

    assert read(key_set(keys)) == names
    assert read(b"".join(map(public_pem, three))) == names
    assert [read(cose_key(one, b"x")) for one in three] == [[one] for one in names]
    squeezed = cose_key(keys["ES256"], b"x")
    squeezed[-3] = bool(squeezed[-3][-1] & 1)  # a point by the sign of its y
    assert read(squeezed) == [names[1]]


def test_a_key_of_a_kind_that_we_do_not_verify_is_passed_over(written):
    keys = new_keys()
    other = {1: 3, -1: b"n", -2: b"e"}  # RSA
    pem = public_pem(rsa.generate_private_key(65537, 2048))
    pem += public_pem(ec.generate_private_key(ec.SECP521R1()))

    found = read_keys(written([other, cose_key(keys["EdDSA"], b"x")]))

    assert len(found) == 1
    for nothing in ([other], [], pem):
        with pytest.raises(InvalidData, match="no key that can verify"):
            read_keys(written(nothing))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        7,
        ["a"],
        {**ELEVEN, -3: b""},
        {**ELEVEN, -3: bytes(32)},  # not on the curve
        {**ELEVEN, -2: bytes(31)},
        {1: 1, -1: 6, -2: bytes(31)},
        b"\xa0" * (1 << 19),
    ],
)
def test_a_file_of_keys_that_is_not_whole_is_refused(written, data):
    with pytest.raises(InvalidData):
        read_keys(written(data))


def test_a_file_of_keys_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidData, match="cannot be read"):
        read_keys(tmp_path / "none")


def test_a_key_comes_back_from_its_did_and_from_no_other_text():
    key = Ed25519PrivateKey.generate().public_key()
    name = did_key(key)

    assert key_of_did(name) == key
    digit = "1" if name[-1] != "1" else "2"
    for other in ("", name[:-1], name + "1", name[8:], name.upper(), "did:key:z1",
                  name.replace("z", "z1", 1), "did:key:z" + "9" * 9_999,
                  "did:key:z0OIl", f"did:key:z{digit}{name[9:]}"):  # fmt: skip
        with pytest.raises(Unverified):
            key_of_did(other)
