"""A proof is one text, and every byte of it counts."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from hetao.errors import InvalidData, Unverified
from hetao.ledger import verify_log
from hetao.ledger.merkle import inclusion_path, leaf_hash, root
from hetao.ledger.note import COSIGNATURE, Checkpoint, cosign, sign_checkpoint, vkey
from hetao.ledger.policy import parse_policy
from hetao.ledger.proof import Proof, parse_proof

ORIGIN, WITNESS = "log.example.org/study", "witness.example.org/w1"
LOG_KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
KEY = Ed25519PrivateKey.from_private_bytes(b"\2" * 32)
POLICY = parse_policy(
    f"log {vkey(ORIGIN, LOG_KEY.public_key())}\n"
    f"witness w {vkey(WITNESS, KEY.public_key(), COSIGNATURE)}\nquorum w\n".encode()
)
ENTRIES = [b"entry %d" % i for i in range(11)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def note_of(leaves):
    note = sign_checkpoint(Checkpoint(ORIGIN, len(leaves), root(leaves)), LOG_KEY)
    return note + cosign(note, WITNESS, KEY, 1_700_000_000)


def proof_of(index, leaves=LEAVES, extra=None):
    return Proof(index, tuple(inclusion_path(index, leaves)), note_of(leaves), extra)


PROOF = proof_of(6)
TEXT = PROOF.text


def verify(text, entry=ENTRIES[6]):
    return parse_proof(text).verify(entry, POLICY)


def test_every_entry_of_every_small_log_is_proved():
    for size in range(1, len(LEAVES) + 1):
        for index in range(size):
            text = proof_of(index, LEAVES[:size]).text
            seen = verify(text, ENTRIES[index])
            assert seen.checkpoint.size == size
            assert seen.witnesses == {"w": 1_700_000_000}


def test_a_proof_reads_back_as_written():
    for proof in (PROOF, proof_of(0, LEAVES[:1]), proof_of(3, extra=b"why")):
        assert parse_proof(proof.text) == proof
    assert parse_proof(proof_of(3, extra=b"").text).extra == b""


def test_another_entry_or_place_is_not_proved():
    for entry in (ENTRIES[5], b"", ENTRIES[6] + b"\n"):
        with pytest.raises(Unverified):
            verify(TEXT, entry)
    for index in (0, 5, 7, 10, 11, 2**62):
        with pytest.raises(Unverified):
            verify(TEXT.replace("index 6\n", f"index {index}\n"))


def test_a_proof_cannot_bring_its_own_rule():
    """What travels along is not looked at, and no witness counts who is not known."""
    stranger = Ed25519PrivateKey.from_private_bytes(b"\3" * 32)
    bare = sign_checkpoint(Checkpoint(ORIGIN, len(LEAVES), root(LEAVES)), LOG_KEY)
    note = bare + cosign(bare, "mine.example", stranger, 1)

    with pytest.raises(Unverified, match="quorum"):
        Proof(6, PROOF.path, note, b"quorum none\n").verify(ENTRIES[6], POLICY)


def test_every_character_of_a_proof_counts():
    for at in range(len(TEXT)):
        changed = TEXT[:at] + chr(ord(TEXT[at]) ^ 1) + TEXT[at + 1 :]
        with pytest.raises(Unverified):
            verify(changed)


def test_no_part_of_a_proof_can_be_left_out():
    for at in range(len(TEXT)):
        for changed in (TEXT[:at], TEXT[at + 1 :], TEXT[:at] + TEXT[at + 1 :]):
            with pytest.raises(Unverified):
                verify(changed)


@given(st.data())
@settings(max_examples=200)
def test_garbage_raises_one_type(data):
    text = list(TEXT)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 3))] = data.draw(st.text(max_size=3))
    changed = "".join(text)

    try:
        assert parse_proof(changed).text == changed
    except Unverified:
        return


@pytest.mark.parametrize(
    "text",
    [
        "",
        None,
        TEXT.encode(),
        "\ufeff" + TEXT,
        TEXT.replace("v1", "v2"),
        TEXT.replace("index 6", "index 06"),
        TEXT.replace("index 6", "index -6"),
        TEXT.replace("index 6", "index \u0666"),
        TEXT.replace("index 6", f"index {2**63 - 1}"),
        TEXT.replace("index 6", "index"),
        TEXT.replace("index 6\n", ""),
        TEXT.replace("index 6\n", "index 6\nindex 6\n"),
        TEXT.replace("index 6\n", "extra YQ==\nextra YQ==\nindex 6\n"),
        TEXT.replace("index 6\n", "extra YR==\nindex 6\n"),
        TEXT.replace("index 6\n", "index 6\nYQ==\n"),
        TEXT.replace("index 6\n", "index 6\nextra YQ==\n"),
        TEXT.replace("index 6\n", "index 6\n" + "A" * 43 + "=\n" * 64),
        TEXT.replace("\n", "\r\n"),
        TEXT + "\n",
        TEXT.replace("\n\n", "\n", 1),
    ],
)
def test_a_proof_has_one_spelling(text):
    with pytest.raises(Unverified):
        parse_proof(text)


@pytest.mark.parametrize(
    ("index", "path"),
    [(-1, ()), (2**63 - 1, ()), (0, (bytes(31),)), (0, (bytes(32),) * 64)],
)
def test_no_proof_is_made_that_could_not_be_read(index, path):
    with pytest.raises(InvalidData):
        Proof(index, path, PROOF.note)


# --- Vectors, for other programs as well ---------------------------------------------
VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "ledger" / "proof.json").read_text("utf-8")
)
THEIRS = parse_policy(VECTORS["policy"].encode())


@pytest.mark.parametrize("case", VECTORS["holds"], ids=lambda case: case["name"])
def test_a_proof_of_the_vectors_holds_and_has_one_text(case):
    proof, entry = parse_proof(case["proof"]), bytes.fromhex(case["entry"])

    assert proof.text == case["proof"]
    assert proof.verify(entry, THEIRS).checkpoint.size > proof.index
    if proof.extra is None:  # which the verifier of one file takes from nobody
        index, path, note = verify_log.read_proof(case["proof"])
        assert verify_log.root_of(index, note.size, entry, path) == note.root


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: case["name"])
def test_what_the_vectors_refuse_is_no_proof(case):
    with pytest.raises(Unverified):
        parse_proof(case["proof"]).verify(bytes.fromhex(case["entry"]), THEIRS)
