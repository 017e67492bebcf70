"""A payload can go; its hash stays, and with it every proof that was ever made."""

import contextlib
import json
import sqlite3

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hetao.errors import Unverified, Usage
from hetao.ledger.log import Log
from hetao.ledger.merkle import leaf_hash, verify_inclusion
from hetao.ledger.note import parse_checkpoint, parse_note
from hetao.ledger.redaction import Redaction, parse_redaction, redaction_entry

ORIGIN = "log.example.org/study"
KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"\2" * 32)
SECRET = b"what was asked to be forgotten, " * 400  # over several pages


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study.log"


@pytest.fixture
def log(path):
    with Log.open(path, ORIGIN, KEY) as opened:
        opened.append([b"entry %d" % i for i in range(300)])
        opened.append([b"before", SECRET, b"after", b""])
        yield opened


def root_of(note):
    return parse_checkpoint(parse_note(note)[0])


def test_the_payload_goes_and_its_neighbours_and_proofs_stay(log):
    old = root_of(log.checkpoint())
    proof = log.inclusion(301, old.size)

    place = log.redact(301)

    assert place == 304
    assert log.entries(300, 304) == [b"before", b"", b"after", b""]
    assert log.redactions() == [301]
    assert log.inclusion(301, old.size) == proof
    verify_inclusion(301, old.size, leaf_hash(SECRET), proof, old.root)
    now = root_of(log.checkpoint())
    verify_inclusion(301, 305, leaf_hash(SECRET), log.inclusion(301), now.root)
    said = parse_redaction(log.entry(place), ORIGIN, KEY.public_key())
    assert said == Redaction(301, leaf_hash(SECRET))
    log.fsck()


def test_no_byte_of_the_payload_stays_in_any_file(log, path):
    assert any(SECRET[:64] in file.read_bytes() for file in path.parent.iterdir())

    log.redact(301)

    assert not any(SECRET[:64] in file.read_bytes() for file in path.parent.iterdir())


def test_several_entries_of_one_run_go_one_by_one(log):
    for i in (299, 5, 7, 6, 302):
        log.redact(i)

    assert log.redactions() == [5, 6, 7, 299, 302]
    assert log.entries(4, 9) == [b"entry 4", b"", b"", b"", b"entry 8"]
    log.fsck()


def test_a_second_time_adds_nothing(log):
    first = log.redact(301)

    assert log.redact(301) == first
    assert log.size == 305


def test_the_log_grows_and_opens_as_before(log, path):
    log.redact(301)
    log.close()

    with Log.open(path, ORIGIN, KEY) as again:
        assert again.append([b"next"]) == 305
        assert again.redactions() == [301]
        again.fsck()


@pytest.mark.parametrize("i", [-1, 303, 304, 305])
def test_what_is_empty_or_not_there_or_itself_a_redaction_stays(log, i):
    log.redact(0)  # entry 304 says so

    with pytest.raises(Usage):
        log.redact(i)

    assert log.size == 305


def test_while_a_reader_holds_the_file_the_payload_is_not_called_gone(
    log, path, monkeypatch
):
    log._writer.execute("PRAGMA busy_timeout = 10")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM entries").fetchone()
        with pytest.raises(Usage, match="a reader"):
            log.redact(301)

    assert log.redact(301) == 304
    assert not any(SECRET[:64] in file.read_bytes() for file in path.parent.iterdir())


# --- What the triggers and fsck hold ------------------------------------------------
@pytest.mark.parametrize(
    "statement",
    [
        # The very change that was made, a second time; more; less; another place.
        "UPDATE entries SET bytes = x'0000' WHERE start = 300",
        "UPDATE entries SET bytes = substr(bytes, 1, 10) WHERE start = 300",
        "UPDATE entries SET bytes = zeroblob(length(bytes)) WHERE start = 300",
        "UPDATE entries SET bytes = x'' WHERE start = 0",
        "UPDATE redaction SET i = 2",
        "DELETE FROM redaction",
        "INSERT OR REPLACE INTO redaction VALUES(301, 304, 9, 0, 1)",
    ],
)
def test_a_redaction_is_good_for_one_change_alone(log, path, statement):
    log.redact(301)

    with (
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as store,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        store.execute(statement)


def test_a_redaction_that_nobody_signed_is_found(log, path):
    """Whoever writes the file can take a payload out, but not say that the log did."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as store:
        (run,) = store.execute("SELECT bytes FROM entries WHERE start = 0").fetchone()
        store.execute(
            "INSERT INTO redaction VALUES(0, 302, ?, 0, 7)",
            (len(run),),
        )
        store.execute(
            "UPDATE entries SET bytes = ? WHERE start = 0", (b"\0\0" + run[9:],)
        )

    assert list(log.faults()) == [
        "the redaction of entry 0 is not entry 302: the note is not text, a blank"
        " line and signature lines",
        "bundle 0: entry 0 does not hash to its leaf in tile 0/0",
    ]


@pytest.mark.parametrize(
    "forge",
    [
        lambda entry: b"\xff" + entry,
        lambda entry: entry.replace(b"\n301\n", b"\n300\n"),
        lambda entry: entry.replace(b"hetao/redaction/v1", b"hetao/redaction/v2"),
        lambda _: redaction_entry(Redaction(301, bytes(32)), ORIGIN, OTHER_KEY),
        lambda _: redaction_entry(Redaction(301, bytes(32)), "other.example", KEY),
        lambda entry: entry[:-1],
        lambda _: json.dumps({"i": 301}).encode(),
    ],
)
def test_a_redaction_that_the_log_did_not_sign_is_refused(forge):
    entry = redaction_entry(Redaction(301, bytes(32)), ORIGIN, KEY)
    parse_redaction(entry, ORIGIN, KEY.public_key())

    with pytest.raises(Unverified):
        parse_redaction(forge(entry), ORIGIN, KEY.public_key())
