"""A transparency service lies, or somebody bends its stamp: nothing else is proved."""

import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from hetao.anchor import Stamp, read_stamp
from hetao.anchor.scitt import TransparencyService, statement_about
from hetao.errors import Unverified
from hetao.ledger import cose
from hetao.ledger.cose import read_sign1, thumbprint
from hetao.ledger.note import to_base64
from support_scitt import LIES, NAME, key_set, lie, new_keys, receipt_of, running

ROOT, OTHER = bytes(range(32)), bytes(range(1, 33))
KEY = Ed25519PrivateKey.from_private_bytes(b"\5" * 32)
KEYS = new_keys()


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("scitt")) as found:
        yield found


@pytest.fixture(scope="module")
def trusted(tmp_path_factory):
    """A verifier who trusts the keys of this process."""
    path = tmp_path_factory.mktemp("keys") / "keys.cbor"
    path.write_bytes(key_set(KEYS))
    return TransparencyService("", path)


def stamp_with(receipt, statement=None, alg="EdDSA"):
    """Return the stamp of a statement and a receipt that somebody put together."""
    statement = statement or statement_about(ROOT, KEY)
    said = replace(statement, unprotected={cose.RECEIPTS: [receipt]})
    where = thumbprint(KEYS[alg].public_key())
    return Stamp("scitt", ROOT.hex(), where, to_base64(said.data))


def true_stamp(alg="EdDSA", before=2):
    entry = statement_about(ROOT, KEY).data
    entries = [*(b"%d" % i for i in range(before)), entry]
    return stamp_with(receipt_of(entry, entries, KEYS[alg], alg), alg=alg)


@pytest.mark.parametrize("way", LIES)
def test_a_service_that_lies_gives_no_stamp(service, way):
    there = TransparencyService(f"{service.url}/{way}", service.keys, KEY, service.tls)

    with pytest.raises(Unverified):
        there.stamp(ROOT)


@pytest.mark.parametrize("way", LIES)
def test_a_lie_in_a_stamp_is_refused_by_whoever_verifies(trusted, way):
    entry = statement_about(ROOT, KEY).data
    receipt = lie(way, entry, [b"0", b"1", entry], KEYS)

    assert trusted.verify(true_stamp(), ROOT).by == NAME
    with pytest.raises(Unverified):
        trusted.verify(stamp_with(receipt), ROOT)


@pytest.mark.parametrize("alg", ["EdDSA", "ES256", "ES384"])
def test_no_bit_of_a_stamps_file_can_be_changed(trusted, tmp_path, alg):
    """The file whole: kind, root, key, statement and receipt."""
    path = tmp_path / "stamp.json"
    data = bytearray(true_stamp(alg).data)
    path.write_bytes(data)
    assert trusted.verify(read_stamp(path), ROOT).root == ROOT

    for place in range(len(data)):
        for bit in range(8):
            data[place] ^= 1 << bit
            path.write_bytes(data)
            with pytest.raises(Unverified):
                trusted.verify(read_stamp(path), ROOT)
            data[place] ^= 1 << bit


def test_no_byte_of_statement_or_receipt_can_be_changed_to_another(trusted):
    true = true_stamp()
    raw = bytearray(true.raw)
    for place, was in enumerate(raw):
        for change in range(1, 256, 37):
            raw[place] = was ^ change
            with pytest.raises(Unverified):
                trusted.verify(replace(true, proof=to_base64(bytes(raw))), ROOT)
        raw[place] = was


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 9), st.integers(0, 9), st.data())
def test_wherever_it_stands_a_bent_stamp_gives_no_other_answer(
    trusted, before, after, data
):
    """RFC 9942 signs neither size nor place: trees of two sizes may have one root."""
    entry = statement_about(ROOT, KEY).data
    entries = [b"%d" % i for i in range(before + after)]
    entries.insert(before, entry)
    true = stamp_with(receipt_of(entry, entries, KEYS["EdDSA"]))
    honest = trusted.verify(true, ROOT)
    raw = bytearray(true.raw)
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))

    try:
        found = trusted.verify(replace(true, proof=to_base64(bytes(raw))), ROOT)
    except Unverified:
        return
    assert found == honest


def test_a_stamp_by_a_key_that_the_verifier_does_not_hold_proves_nothing(trusted):
    entry = statement_about(ROOT, KEY).data
    true = true_stamp()
    receipt = receipt_of(entry, [entry], KEYS["other"])
    own = stamp_with(receipt)

    for stamp in (own, replace(own, where=thumbprint(KEYS["other"].public_key()))):
        with pytest.raises(Unverified):
            trusted.verify(stamp, ROOT)
    with pytest.raises(Unverified, match="none"):
        trusted.verify(replace(true, where="https://notary.example"), ROOT)
    named = thumbprint(KEYS["ES256"].public_key())
    with pytest.raises(Unverified, match="another key"):
        trusted.verify(replace(true, where=named), ROOT)


STATEMENTS = {
    "about another root": lambda: statement_about(OTHER, KEY),
    "that says more": lambda: cose.sign({**claims(KEY), 259: "text/plain"}, ROOT, KEY),
    "that names a hospital": lambda: cose.sign(
        {**claims(KEY), cose.CWT: {1: "hospital.example", 2: "root"}}, ROOT, KEY
    ),
    "that names another subject": lambda: cose.sign(
        {**claims(KEY), cose.CWT: {**claims(KEY)[cose.CWT], 2: "hospital"}}, ROOT, KEY
    ),
    "that names another's key": lambda: cose.sign(claims(KEYS["other"]), ROOT, KEY),
    "whose signature is gone": lambda: replace(
        statement_about(ROOT, KEY), signature=bytes(64)
    ),
    "whose payload is left out": lambda: replace(
        statement_about(ROOT, KEY), payload=None
    ),
    "whose payload is more": lambda: cose.sign(claims(KEY), ROOT + b"\0", KEY),
    "of the digest of a root": lambda: cose.sign(
        claims(KEY), hashlib.sha256(ROOT).digest(), KEY
    ),
}


def claims(key):
    """Return what a true statement of a key says of itself."""
    headers = dict(statement_about(ROOT, key).headers)
    del headers[cose.ALG]
    return headers


@pytest.mark.parametrize("what", STATEMENTS)
def test_a_true_receipt_of_another_statement_proves_nothing(trusted, what):
    statement = STATEMENTS[what]()
    receipt = receipt_of(statement.data, [b"0", statement.data], KEYS["EdDSA"])

    with pytest.raises(Unverified):
        trusted.verify(stamp_with(receipt, statement), ROOT)


def test_a_receipt_that_is_not_the_only_thing_beside_a_statement_is_refused(trusted):
    true, statement = true_stamp(), statement_about(ROOT, KEY)
    receipt = read_sign1(true.raw).unprotected[cose.RECEIPTS][0]
    beside = {33: b"a certificate"}

    for unprotected in (
        {},
        {cose.RECEIPTS: []},
        {cose.RECEIPTS: receipt},
        {cose.RECEIPTS: [receipt, receipt]},
        {cose.RECEIPTS: [receipt, None]},
        {cose.RECEIPTS: [receipt], **beside},
        {str(cose.RECEIPTS): [receipt]},
        {cose.RECEIPTS: [replace(read_sign1(receipt), unprotected=beside).data]},
        {
            cose.RECEIPTS: [
                replace(
                    read_sign1(receipt),
                    unprotected={**read_sign1(receipt).unprotected, **beside},
                ).data
            ]
        },
    ):
        raw = replace(statement, unprotected=unprotected).data
        with pytest.raises(Unverified):
            trusted.verify(replace(true, proof=to_base64(raw)), ROOT)
