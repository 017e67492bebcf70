"""Two histories under one key are proved by two notes; one history by none."""

import itertools

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hetao.errors import InvalidData, Unverified
from hetao.ledger.fraud import (
    Fraud,
    fraud_between,
    parse_fraud,
    read_fraud,
    write_fraud,
)
from hetao.ledger.merkle import consistency_path, leaf_hash, root
from hetao.ledger.note import (
    LOG_SIGNATURE,
    Checkpoint,
    Verifier,
    sign_checkpoint,
    sign_note,
)

ORIGIN = "log.example.org/study"
KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"\2" * 32)
KNOWN = Verifier.of(ORIGIN, KEY.public_key(), LOG_SIGNATURE)
TRUE = [leaf_hash(b"%d" % i) for i in range(20)]
FALSE = [*TRUE[:2], leaf_hash(b"changed"), *TRUE[3:]]


def note_of(leaves, key=KEY, origin=ORIGIN):
    return sign_checkpoint(Checkpoint(origin, len(leaves), root(leaves)), key)


def full_path(old, leaves):
    """The path with the root that these leaves had, where the RFC leaves it out."""
    first = [] if old & (old - 1) else [root(leaves[:old])]
    return [*first, *consistency_path(old, leaves)]


def test_every_pair_of_forked_sizes_is_proved_and_no_honest_pair():
    for old, new in itertools.combinations(range(1, 21), 2):
        smaller, path = note_of(TRUE[:old]), full_path(old, FALSE[:new])
        proof = fraud_between(smaller, note_of(FALSE[:new]), path)
        if old < 3:  # they differ from the third entry on
            assert proof is None
            continue
        assert f"size {old}" in proof.verify([KNOWN])
        honest = full_path(old, TRUE[:new])
        assert fraud_between(smaller, note_of(TRUE[:new]), honest) is None
        # whose path it is matters: it must lead to the larger root
        assert fraud_between(smaller, note_of(FALSE[:new]), honest) is None


def test_two_trees_of_one_size_are_proved_by_their_notes_alone():
    proof = fraud_between(note_of(TRUE[:9]), note_of(FALSE[:9]))

    assert proof.verify([KNOWN]).endswith("two different trees of size 9")
    assert fraud_between(note_of(TRUE[:9]), note_of(TRUE[:9])) is None
    # signed twice, with another second line, is no fraud
    assert fraud_between(note_of(TRUE[:9]), note_of(TRUE[:9], OTHER)) is None


def test_nobody_is_accused_by_what_they_did_not_sign():
    forged = Fraud((note_of(TRUE[:9]), note_of(FALSE[:9], OTHER)))
    elsewhere = Fraud(
        (note_of(TRUE[:9]), note_of(FALSE[:9], origin="log.example.org/other"))
    )
    renamed = Verifier.of("another.log", KEY.public_key(), LOG_SIGNATURE)

    for proof, keys in (
        (forged, [KNOWN]),
        (elsewhere, [KNOWN]),
        (fraud_between(note_of(TRUE[:9]), note_of(FALSE[:9])), []),
        (fraud_between(note_of(TRUE[:9]), note_of(FALSE[:9])), [renamed]),
    ):
        with pytest.raises(Unverified):
            proof.verify(keys)


def test_a_proof_is_written_once_and_reads_back(tmp_path):
    notes = note_of(TRUE[:7]), note_of(FALSE[:15])
    path = full_path(7, FALSE[:15])

    first = write_fraud(tmp_path, *notes, path)
    again = write_fraud(tmp_path, *reversed(notes), path)

    assert first == again
    assert list(tmp_path.iterdir()) == [first]
    assert "size 7" in read_fraud(first).verify([KNOWN])
    assert write_fraud(tmp_path, "", notes[0]) is None
    assert write_fraud(tmp_path, note_of(TRUE[:7]), note_of(TRUE[:7])) is None
    with pytest.raises(InvalidData):
        read_fraud(tmp_path / "none")


def test_strangers_lines_and_other_paths_make_no_more_files(tmp_path):
    """Whoever can reach a witness can send the same note with any lines after it."""
    one, other = note_of(TRUE[:7]), note_of(FALSE[:15])
    path = full_path(7, FALSE[:15])
    for number in range(1, 9):
        stranger = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        text = other.partition("\n\n")[0] + "\n"
        junk = sign_note(text, "a.stranger", stranger)
        own = sign_note(text, ORIGIN, stranger)  # in the log's name, by another key
        for line in ("", junk, own, junk * number):
            write_fraud(tmp_path, one, other + line, path)

    (only,) = tmp_path.iterdir()
    assert "stranger" not in only.read_text("utf-8")
    assert "size 7" in read_fraud(only).verify([KNOWN])


def test_every_byte_of_a_fraud_proof_counts():
    proof = fraud_between(
        note_of(TRUE[:7]), note_of(FALSE[:15]), full_path(7, FALSE[:15])
    )
    data = proof.text

    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(Unverified):
            parse_fraud(changed).verify([KNOWN])
    for cut in (b"", b"{}", b"[]", data[:-1], data + b"\n", b"\xff", b" " + data):
        with pytest.raises(Unverified):
            parse_fraud(cut)
