"""A witness cosigns growth, and nothing that contradicts what it cosigned."""

import sqlite3
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hetao.errors import HetaoError, InvalidData, Refused, Unverified
from hetao.ledger.merkle import consistency_path, leaf_hash, root
from hetao.ledger.note import Checkpoint, sign_note, verify_cosignature
from hetao.ledger.witness import Witness

ORIGIN, NAME = "log.example.org/study", "witness.example.org/w1"
LOG_KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
KEY = Ed25519PrivateKey.from_private_bytes(b"\2" * 32)
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"\3" * 32)
LEAVES = [leaf_hash(b"%d" % i) for i in range(40)]
FORKED = [*LEAVES[:7], leaf_hash(b"forged"), *LEAVES[8:]]
NOW = 1_700_000_000


def note_of(leaves, key=LOG_KEY, origin=ORIGIN):
    text = Checkpoint(origin, len(leaves), root(leaves)).text
    return text + "\n" + sign_note(text, origin, key)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "witness.db"


@pytest.fixture
def witness(path):
    with Witness.open(path, NAME, KEY, lambda: NOW) as opened:
        opened.trust(ORIGIN, LOG_KEY.public_key())
        yield opened


def submit(witness, old, leaves, path=None):
    proof = consistency_path(old, leaves) if path is None else path
    return witness.add_checkpoint(
        ORIGIN, LOG_KEY.public_key(), old, note_of(leaves), proof
    )


def assert_cosigned(line, leaves):
    note = note_of(leaves) + line
    assert verify_cosignature(note, NAME, KEY.public_key()) == NOW


def test_growth_is_cosigned_step_by_step(witness):
    for old, new in ((0, 1), (1, 8), (8, 9), (9, 40)):
        assert_cosigned(submit(witness, old, LEAVES[:new]), LEAVES[:new])
        assert witness.size(ORIGIN) == new
        assert witness.note(ORIGIN) == note_of(LEAVES[:new])


def test_the_same_checkpoint_is_cosigned_again(witness):
    submit(witness, 0, LEAVES[:8])

    assert_cosigned(submit(witness, 8, LEAVES[:8]), LEAVES[:8])


def test_an_empty_log_is_cosigned(witness):
    assert_cosigned(submit(witness, 0, []), [])
    assert_cosigned(submit(witness, 0, LEAVES[:3]), LEAVES[:3])


def test_a_rollback_is_refused_and_the_size_named(witness):
    submit(witness, 0, LEAVES[:20])

    with pytest.raises(Refused, match="size 20"):
        submit(witness, 8, LEAVES[:8])
    with pytest.raises(Refused):
        submit(witness, 0, LEAVES[:8])
    with pytest.raises(Refused):
        submit(witness, 20, LEAVES[:8], [])
    with pytest.raises(Refused):
        submit(witness, 0, [])

    assert witness.size(ORIGIN) == 20


@pytest.mark.parametrize("old", [-1, 0, 19, 21, 30])
def test_another_old_size_is_refused(witness, old):
    submit(witness, 0, LEAVES[:20])

    with pytest.raises(Refused):
        submit(witness, old, LEAVES[:30], consistency_path(20, LEAVES[:30]))


def test_a_fork_of_the_same_size_is_refused(witness):
    submit(witness, 0, LEAVES[:20])

    with pytest.raises(Unverified):
        submit(witness, 20, FORKED[:20])

    assert witness.note(ORIGIN) == note_of(LEAVES[:20])


def test_a_larger_fork_is_refused(witness):
    submit(witness, 0, LEAVES[:20])

    for proof in (None, [], consistency_path(20, LEAVES[:30])):
        with pytest.raises(Unverified):
            submit(witness, 20, FORKED[:30], proof)

    assert_cosigned(submit(witness, 20, LEAVES[:30]), LEAVES[:30])


def test_a_log_that_nobody_named_is_refused(witness):
    for origin, key in (("other.example.org", LOG_KEY), (ORIGIN, OTHER_KEY)):
        note = note_of(LEAVES[:3], key, origin)
        with pytest.raises(Refused):
            witness.add_checkpoint(origin, key.public_key(), 0, note, [])
    with pytest.raises(Refused):
        witness.size("other.example.org")
    with pytest.raises(Refused):
        witness.note("other.example.org")


def test_a_note_that_the_log_did_not_sign_is_refused(witness):
    elsewhere = Checkpoint("other.example.org", 3, root(LEAVES[:3])).text
    for note in (
        note_of(LEAVES[:3], OTHER_KEY),
        note_of(LEAVES[:3]).replace("\n3\n", "\n4\n"),
        elsewhere + "\n" + sign_note(elsewhere, ORIGIN, LOG_KEY),
        "prose\n\n" + sign_note("prose\n", ORIGIN, LOG_KEY),
        "",
    ):
        with pytest.raises(Unverified):
            witness.add_checkpoint(ORIGIN, LOG_KEY.public_key(), 0, note, [])

    assert witness.size(ORIGIN) == 0
    assert witness.note(ORIGIN) == ""


def test_what_was_seen_outlives_the_process(path, witness):
    submit(witness, 0, LEAVES[:20])
    witness.close()

    with Witness.open(path, NAME, KEY, lambda: NOW) as again:
        assert again.size(ORIGIN) == 20
        with pytest.raises(Unverified):
            submit(again, 20, FORKED[:20])


def test_of_two_forks_at_once_one_is_cosigned(path, witness):
    """Two openings of one file, so that only the file's lock stands between them."""
    submit(witness, 0, LEAVES[:5])
    won, lost = [], []

    def race(leaves):
        with Witness.open(path, NAME, KEY, lambda: NOW) as mine:
            try:
                won.append(submit(mine, 5, leaves))
            except HetaoError as error:
                lost.append(error)

    threads = [
        threading.Thread(target=race, args=(leaves[:n],))
        for n in (20, 30)
        for leaves in (LEAVES, FORKED)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(won), len(lost)) == (1, 3)


def test_a_log_keeps_its_key(witness):
    witness.trust(ORIGIN, LOG_KEY.public_key())

    with pytest.raises(Refused):
        witness.trust(ORIGIN, OTHER_KEY.public_key())
    with pytest.raises(InvalidData):
        witness.trust("two words", LOG_KEY.public_key())


@pytest.mark.parametrize(("name", "key"), [("other", KEY), (NAME, OTHER_KEY)])
def test_the_file_of_another_witness_is_refused(path, witness, name, key):
    with pytest.raises(InvalidData):
        Witness.open(path, name, key, lambda: NOW)


def test_what_is_no_witness_is_refused(tmp_path):
    with pytest.raises(InvalidData):
        Witness.open(tmp_path / "a", "two words", KEY, lambda: NOW)
    with pytest.raises(InvalidData):
        Witness.open(tmp_path / "no" / "a", NAME, KEY, lambda: NOW)
    (tmp_path / "b").write_bytes(b"not a database at all" * 100)
    with pytest.raises(InvalidData):
        Witness.open(tmp_path / "b", NAME, KEY, lambda: NOW)
    assert [file.name for file in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log SET size = 19",
        "UPDATE log SET root = zeroblob(32)",
        "UPDATE log SET size = 21, public_key = zeroblob(32)",
        "UPDATE log SET size = 21, origin = 'x'",
        "DELETE FROM log",
        "INSERT OR REPLACE INTO log SELECT origin, public_key, 1, root, note FROM log",
        "UPDATE witness SET name = 'x'",
        "DELETE FROM witness",
        "INSERT INTO witness VALUES('x', x'00')",
    ],
)
def test_the_record_only_grows(path, witness, statement):
    submit(witness, 0, LEAVES[:20])
    store = sqlite3.connect(path)
    try:
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            store.execute(statement)
    finally:
        store.close()
