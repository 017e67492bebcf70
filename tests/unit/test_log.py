"""The log keeps what it acknowledged, proves it, and cannot be made to forget."""

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from hetao.errors import InvalidData, Unverified, Usage
from hetao.ledger.head import FileHead
from hetao.ledger.log import Log
from hetao.ledger.merkle import (
    EMPTY_ROOT,
    consistency_path,
    inclusion_path,
    leaf_hash,
    root,
    verify_consistency,
    verify_inclusion,
)
from hetao.ledger.note import Checkpoint, parse_checkpoint, sign_note, verify_note

ORIGIN = "log.example.org/study"
KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"\2" * 32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study.log"


@pytest.fixture
def log(path):
    with Log.open(path, ORIGIN, KEY) as opened:
        yield opened


def numbered(start, stop):
    return [b"entry %d" % i for i in range(start, stop)]


def claimed(log):
    text = verify_note(log.checkpoint(), ORIGIN, KEY.public_key())
    return parse_checkpoint(text)


@contextlib.contextmanager
def raw(path):
    """The file as whoever can write it sees it."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as store:
        yield store


def forge(path, *statements):
    """Change rows behind the triggers' back and put the triggers back."""
    with raw(path) as store:
        triggers = store.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall()
        for name, _ in triggers:
            store.execute(f"DROP TRIGGER {name}")
        for statement, values in statements:
            assert store.execute(statement, values).rowcount == 1
        for _, sql in triggers:
            store.execute(sql)


# Puts other bytes of an entry into the run that begins at an index.
FORGE_RUN = (
    "UPDATE entries SET bytes ="
    " CAST(replace(CAST(bytes AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT)) AS BLOB)"
    " WHERE start = ?"
)


# --- What it keeps and proves -------------------------------------------------------
def test_a_new_log_is_empty_private_and_signed(log, path):
    assert log.size == 0
    assert claimed(log) == Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    log.fsck()
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    names = {
        file.name.removesuffix("-wal").removesuffix("-shm")
        for file in path.parent.iterdir()
    }
    assert names == {"study.log", "study.log.head"}


def test_an_append_returns_its_first_index_and_is_checkpointed(log):
    assert log.append(numbered(0, 3)) == 0
    assert log.append(numbered(3, 5)) == 3

    assert log.size == 5
    assert log.entry(3) == b"entry 3"
    assert log.entries(1, 4) == numbered(1, 4)
    assert log.entries(5, 5) == []
    assert claimed(log).root == root([leaf_hash(e) for e in numbered(0, 5)])


def test_an_append_of_nothing_changes_nothing(log):
    log.append(numbered(0, 3))
    before = log.checkpoint()

    assert log.append([]) == 3
    assert log.checkpoint() == before


def test_equal_and_empty_entries_are_kept_apart(log):
    log.append([b"", b"", b"same", b"same"])

    assert log.entries(0, 4) == [b"", b"", b"same", b"same"]
    log.fsck()


def test_a_log_reads_back_the_same_when_opened_again(path):
    with Log.open(path, ORIGIN, KEY) as log:
        log.append(numbered(0, 300))
        before = log.checkpoint()

    with Log.open(path, ORIGIN, KEY) as log:
        assert log.checkpoint() == before
        assert log.entries(0, 300) == numbered(0, 300)
        assert log.append([b"more"]) == 300
        log.fsck()


@settings(max_examples=10, deadline=None)
@given(batches=st.lists(st.sampled_from([1, 2, 100, 255, 256, 257, 600]), max_size=6))
def test_any_batching_gives_the_tree_of_the_entries(tmp_path_factory, batches):
    path = tmp_path_factory.mktemp("batches") / "study.log"
    entries = numbered(0, sum(batches))
    leaves = [leaf_hash(entry) for entry in entries]

    with Log.open(path, ORIGIN, KEY) as log:
        for batch in batches:
            first = log.size
            assert log.append(entries[first : first + batch]) == first
        log.fsck()

        assert claimed(log) == Checkpoint(ORIGIN, len(entries), root(leaves))
        for i in range(0, len(entries), 97):
            assert log.inclusion(i) == inclusion_path(i, leaves)
            assert log.consistency(i) == consistency_path(i, leaves)


def test_proofs_of_every_earlier_size_hold(log):
    entries = numbered(0, 70_000)
    log.append(entries)
    leaves = [leaf_hash(entry) for entry in entries]
    sizes = (1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 70_000)
    roots = {size: root(leaves[:size]) for size in sizes}
    for size in sizes:
        for i in {0, size // 3, size - 1}:
            path = log.inclusion(i, size)
            verify_inclusion(i, size, leaves[i], path, roots[size])
        for old in sizes:
            if old <= size:
                path = log.consistency(old, size)
                verify_consistency(old, size, roots[old], roots[size], path)
    log.fsck()


@pytest.mark.parametrize(
    "ask",
    [
        lambda log: log.entry(3),
        lambda log: log.entry(-1),
        lambda log: log.entries(2, 1),
        lambda log: log.entries(0, 4),
        lambda log: log.entries(-1, 2),
        lambda log: log.inclusion(3),
        lambda log: log.inclusion(2, 2),
        lambda log: log.inclusion(-1),
        lambda log: log.inclusion(0, 4),
        lambda log: log.inclusion(0, 0),
        lambda log: log.consistency(4),
        lambda log: log.consistency(3, 2),
        lambda log: log.consistency(0, 4),
        lambda log: log.consistency(-1),
        lambda log: log.consistency(0, -1),
    ],
)
def test_what_the_log_never_had_is_not_answered(log, ask):
    log.append(numbered(0, 3))

    with pytest.raises(Usage):
        ask(log)


@pytest.mark.parametrize("bad", [b"x" * 65_536, "text", None, bytearray(b"x")])
def test_an_entry_that_no_reader_could_hold_adds_nothing(log, bad):
    with pytest.raises(InvalidData):
        log.append([b"fine", bad])

    assert log.size == 0
    assert log.append([b"x" * 65_535]) == 0


def test_every_commit_waits_for_the_disk(log):
    log.append([b"first"])  # which opens the head to write
    for store in (log._writer, log._head._open[True]):
        assert store.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert store.execute("PRAGMA journal_mode").fetchone() == ("wal",)


# --- Several writers ----------------------------------------------------------------
def test_threads_that_share_a_log_lose_nothing(log):
    firsts: list[tuple[int, int]] = []

    def write(thread):
        for i in range(15):
            entries = [b"%d/%d/%d" % (thread, i, k) for k in range(3)]
            firsts.append((log.append(entries), thread * 100 + i))

    threads = [threading.Thread(target=write, args=(t,)) for t in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert log.size == 180
    for first, mark in firsts:
        thread, i = divmod(mark, 100)
        expected = [b"%d/%d/%d" % (thread, i, k) for k in range(3)]
        assert log.entries(first, first + 3) == expected
    log.fsck()


WRITER = """
import sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hetao.ledger.head import FileHead
from hetao.ledger.log import Log
path, origin, me = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
key = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
with Log.open(path, origin, key) as log:
    for i in range(25):
        entries = [f"{me}/{i}/{k}".encode() for k in range(1 + i % 3)]
        print(log.append(entries), *[e.decode() for e in entries], flush=True)
"""


def test_processes_that_share_a_file_lose_nothing(path):
    """Four processes at once also race to make the file."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), ORIGIN, str(me)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for me in range(4)
    ]
    outputs = [writer.communicate(timeout=60)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 4

    with Log.open(path, ORIGIN, KEY) as log:
        acknowledged = 0
        for line in "".join(outputs).splitlines():
            first, *entries = line.split()
            found = log.entries(int(first), int(first) + len(entries))
            assert [entry.decode() for entry in found] == entries
            acknowledged += len(entries)
        assert log.size == acknowledged == 4 * (8 * 6 + 1)
        log.fsck()


# --- What the triggers hold ---------------------------------------------------------
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET bytes = x'00' WHERE start = 0",
        "DELETE FROM entries WHERE start = 256",
        "INSERT OR REPLACE INTO entries VALUES(0, 256, x'00')",
        "REPLACE INTO entries VALUES(256, 300, x'00')",
        "INSERT INTO entries VALUES(0, 256, x'00')"
        " ON CONFLICT DO UPDATE SET bytes = x'00'",
        "INSERT INTO entries VALUES(301, 302, x'0000')",
        "INSERT INTO entries VALUES(-1, 0, x'0000')",
        "INSERT INTO entries VALUES(300, 300, x'')",
        "INSERT INTO entries VALUES(300, 513, x'')",  # beyond its bundle
        "UPDATE entries SET start = 300 WHERE start = 256",
        "UPDATE entries SET stop = 301 WHERE start = 256",
        "UPDATE OR REPLACE entries SET start = 0 WHERE start = 256",
        "INSERT INTO redaction VALUES(3, 3, 9, 0, 1)",
        "INSERT INTO redaction VALUES(-3, 3, 9, 0, 1)",
        "UPDATE checkpoint SET root = zeroblob(32)",
        "DELETE FROM checkpoint",
        "INSERT OR REPLACE INTO checkpoint VALUES(300, zeroblob(32))",
        "INSERT INTO checkpoint VALUES(299, zeroblob(32))",
        "UPDATE tile SET hashes = zeroblob(8192) WHERE number = 0",
        "UPDATE tile SET hashes = zeroblob(45 * 32) WHERE level = 0 AND number = 1",
        "UPDATE tile SET hashes = substr(hashes, 1, 32) WHERE level = 0 AND number = 1",
        "UPDATE tile SET hashes = hashes WHERE level = 0 AND number = 1",
        "UPDATE tile SET number = 7 WHERE number = 1",
        "DELETE FROM tile",
        "INSERT OR REPLACE INTO tile VALUES(0, 0, zeroblob(32))",
        "UPDATE log SET origin = 'x'",
        "DELETE FROM log",
        "INSERT INTO log VALUES('x', x'00')",
    ],
)
def test_no_row_is_changed_or_removed(path, statement):
    with Log.open(path, ORIGIN, KEY) as log:
        log.append(numbered(0, 300))

    refused = pytest.raises(sqlite3.IntegrityError, match="append-only")
    with raw(path) as store, refused:
        store.execute(statement)

    with Log.open(path, ORIGIN, KEY) as log:
        log.fsck()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE head SET size = 2",
        "UPDATE head SET note = 'x'",
        "DELETE FROM head",
        "INSERT INTO head VALUES(9, 'x')",
    ],
)
def test_the_head_only_grows(path, statement):
    with Log.open(path, ORIGIN, KEY) as log:
        log.append(numbered(0, 3))

    refused = pytest.raises(sqlite3.IntegrityError, match="append-only")
    with raw(path.with_name("study.log.head")) as store, refused:
        store.execute(statement)


# --- Failures half way --------------------------------------------------------------
class Interrupted(BaseException):
    """As an operator's ^C, which is no Exception."""


@pytest.mark.parametrize("error", [RuntimeError, Interrupted])
def test_an_append_that_fails_before_the_disk_leaves_nothing(log, monkeypatch, error):
    log.append(numbered(0, 300))
    before = log.checkpoint()

    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("hetao.ledger.log.write_tiles", fail)
        with pytest.raises(error):
            log.append(numbered(300, 600))

    assert log.checkpoint() == before
    assert log.append(numbered(300, 310)) == 300
    log.fsck()


@pytest.mark.parametrize("reopen", [False, True])
def test_an_append_that_fails_after_the_disk_is_signed_later(path, monkeypatch, reopen):
    """The entries are there, though unacknowledged; whoever comes next signs them."""
    log = Log.open(path, ORIGIN, KEY)
    log.append(numbered(0, 300))

    def fail(*_):
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr("hetao.ledger.log_signer.sign_checkpoint", fail)
        with pytest.raises(RuntimeError):
            log.append(numbered(300, 600))
    assert log.size == 300  # what nobody signed, nobody sees
    with pytest.raises(Usage):
        log.entry(300)
    if reopen:
        log.close()
        log = Log.open(path, ORIGIN, KEY)
        assert log.size == 600

    with log:
        assert log.append([b"next"]) == 600
        assert log.entries(0, 600) == numbered(0, 600)
        log.fsck()


def test_a_full_disk_leaves_the_log_as_it_was(path):
    with Log.open(path, ORIGIN, KEY) as log:
        log.append(numbered(0, 300))
        before = log.checkpoint()
        pages = log._writer.execute("PRAGMA page_count").fetchone()[0]
        log._writer.execute(f"PRAGMA max_page_count = {pages + 2}")

        with pytest.raises(sqlite3.OperationalError, match="full"):
            log.append(numbered(300, 3000))

        assert log.checkpoint() == before
        log._writer.execute("PRAGMA max_page_count = 1000000")
        assert log.append([b"next"]) == 300
        log.fsck()


# --- Files that are not what they should be -----------------------------------------
def test_another_origin_or_key_is_refused(path):
    with Log.open(path, ORIGIN, KEY) as log:
        log.append(numbered(0, 3))
        before = log.checkpoint()

    for origin, key in ((ORIGIN, OTHER_KEY), ("other.example.org", KEY)):
        with pytest.raises((InvalidData, Unverified)):
            Log.open(path, origin, key)

    with Log.open(path, ORIGIN, KEY) as log:
        assert log.checkpoint() == before


def test_another_key_is_refused_even_for_an_empty_log(path):
    Log.open(path, ORIGIN, KEY).close()

    with pytest.raises((InvalidData, Unverified)):
        Log.open(path, ORIGIN, OTHER_KEY)


def test_a_wrong_key_does_not_take_over_a_log_half_made(path):
    Log.open(path, ORIGIN, KEY).close()
    path.unlink()  # as if the machine had stopped between the two files

    with pytest.raises(Unverified):
        Log.open(path, ORIGIN, OTHER_KEY)

    with Log.open(path, ORIGIN, KEY) as log:
        assert log.append([b"first"]) == 0


def test_the_log_of_another_key_under_this_head_is_refused(tmp_path):
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    Log.open(mine, ORIGIN, KEY).close()
    Log.open(theirs, ORIGIN, OTHER_KEY).close()
    os.replace(theirs, mine)

    with pytest.raises(InvalidData):
        Log.open(mine, ORIGIN, KEY)


@pytest.mark.parametrize("origin", ["", "two words", "a+b", "a\nb"])
def test_an_origin_that_is_no_name_makes_no_file(path, origin):
    with pytest.raises(InvalidData):
        Log.open(path, origin, KEY)

    assert list(path.parent.iterdir()) == []


def test_a_missing_folder_is_not_made(tmp_path):
    with pytest.raises(InvalidData):
        Log.open(tmp_path / "no" / "study.log", ORIGIN, KEY)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
@pytest.mark.parametrize("name", ["study.log", "study.log.head"])
def test_a_file_that_is_no_log_is_refused_and_left_alone(path, name, content):
    Log.open(path, ORIGIN, KEY).close()
    path.with_name(name).write_bytes(content)

    with pytest.raises(InvalidData):
        Log.open(path, ORIGIN, KEY)

    assert path.with_name(name).read_bytes() == content


def test_a_folder_is_no_log(path):
    Log.open(path, ORIGIN, KEY).close()
    path.unlink()
    path.mkdir()

    with pytest.raises(InvalidData):
        Log.open(path, ORIGIN, KEY)


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TRIGGER entries_delete",
        "CREATE TRIGGER sly AFTER INSERT ON checkpoint BEGIN SELECT 1; END",
        "CREATE TABLE more(x ANY) STRICT",
    ],
)
def test_a_log_whose_rules_were_changed_is_refused(path, statement):
    Log.open(path, ORIGIN, KEY).close()
    with raw(path) as store:
        store.execute(statement)

    with pytest.raises(InvalidData):
        Log.open(path, ORIGIN, KEY)


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("UPDATE checkpoint SET root = ? WHERE size = 300", (bytes(32),)),
        ("UPDATE checkpoint SET size = ? WHERE size = 300", (299,)),
        ("DELETE FROM checkpoint WHERE size = ?", (300,)),
        ("INSERT INTO checkpoint VALUES(?, zeroblob(32))", (301,)),
        ("DELETE FROM entries WHERE start = ?", (256,)),
        ("INSERT INTO entries VALUES(?, 301, x'0000')", (300,)),
        (
            "UPDATE tile SET hashes = ? WHERE level = 0 AND number = 1",
            (bytes(44 * 32),),
        ),
        ("UPDATE tile SET hashes = ? WHERE level = 1", (bytes(32),)),
        ("DELETE FROM tile WHERE level = ?", (1,)),
    ],
)
def test_a_log_that_does_not_hold_what_was_signed_is_refused(path, statement, values):
    with Log.open(path, ORIGIN, KEY) as log:
        log.append(numbered(0, 200))
        log.append(numbered(200, 300))
    forge(path, (statement, values))

    with pytest.raises(Unverified):
        Log.open(path, ORIGIN, KEY)


@pytest.mark.parametrize(
    ("statement", "values", "names"),
    [
        (FORGE_RUN, (b"entry 5", b"forge 5", 0), "bundle 0: entry 5 .* tile 0/0"),
        (FORGE_RUN, (b"ry 1000", b"xy 1000", 768), "bundle 3: entry 1000 .*e 0/3"),
        (FORGE_RUN, (b"entry 1099", b"entry 109", 1024), "bundle 4 cannot be read"),
        ("UPDATE entries SET start = ? WHERE start = 0", (-5,), "bundle 0"),
        ("UPDATE entries SET stop = ? WHERE start = 512", (767,), "bundle 2"),
        ("UPDATE tile SET hashes = ? WHERE number = 2", (bytes(8192),), "tile 0/2"),
        ("UPDATE tile SET hashes = ? WHERE number = 2", (bytes(32),), "tile 0/2"),
        ("INSERT INTO tile VALUES(2, 0, ?)", (bytes(32),), "tiles"),
        ("UPDATE checkpoint SET root = ? WHERE size = 200", (bytes(32),), "size 200"),
        ("INSERT INTO checkpoint VALUES(77, ?)", (bytes(32),), "size 77"),
        ("INSERT INTO checkpoint VALUES(-7, ?)", (bytes(32),), "checkpoint"),
    ],
)
def test_fsck_finds_and_names_what_opening_does_not(path, statement, values, names):
    with Log.open(path, ORIGIN, KEY) as log:
        log.append(numbered(0, 200))
        log.append(numbered(200, 1100))
    forge(path, (statement, values))

    with Log.open(path, ORIGIN, KEY) as log, pytest.raises(Unverified, match=names):
        log.fsck()


def test_fsck_finds_a_forged_upper_tile(path):
    with Log.open(path, ORIGIN, KEY) as log:
        log.append(numbered(0, 66_000))
    with raw(path) as store:
        upper = store.execute("SELECT hashes FROM tile WHERE level = 1 AND number = 0")
        hashes = bytearray(upper.fetchone()[0])
    hashes[100] ^= 1
    forge(
        path,
        ("UPDATE tile SET hashes = ? WHERE level = 1 AND number = 0", (bytes(hashes),)),
    )

    with (
        Log.open(path, ORIGIN, KEY) as log,
        pytest.raises(Unverified, match="tile 1/0"),
    ):
        log.fsck()


def test_fsck_finds_a_rewritten_past_under_a_log_that_runs(path):
    with Log.open(path, ORIGIN, KEY) as log:
        log.append(numbered(0, 300))
        forge(path, (FORGE_RUN, (b"entry 5", b"forge 5", 0)))

        with pytest.raises(Unverified):
            log.fsck()


# --- Restored backups ---------------------------------------------------------------
def backup(path):
    return path.read_bytes()


def test_an_older_copy_of_the_log_is_refused(path):
    with Log.open(path, ORIGIN, KEY) as log:
        log.append(numbered(0, 300))
    old = backup(path)
    with Log.open(path, ORIGIN, KEY) as log:
        log.append(numbered(300, 310))
    new = backup(path)

    path.write_bytes(old)
    with pytest.raises(Unverified):
        Log.open(path, ORIGIN, KEY)

    path.write_bytes(new)
    with Log.open(path, ORIGIN, KEY) as log:
        assert log.size == 310


def test_a_fork_from_an_older_copy_is_refused(tmp_path):
    """The forger has the key and appends to the copy, past the true log's size."""
    mine, fork = tmp_path / "mine", tmp_path / "fork"
    for path in (mine, fork):
        with Log.open(path, ORIGIN, KEY) as log:
            log.append(numbered(0, 300))
    with Log.open(mine, ORIGIN, KEY) as log:
        log.append([b"honest"])
    with Log.open(fork, ORIGIN, KEY) as log:
        log.append([b"forged"])
    mine.write_bytes(fork.read_bytes())
    with pytest.raises(Unverified):
        Log.open(mine, ORIGIN, KEY)

    with Log.open(fork, ORIGIN, KEY) as log:
        log.append(numbered(301, 700))
    mine.write_bytes(fork.read_bytes())
    with pytest.raises(Unverified):
        Log.open(mine, ORIGIN, KEY)


@pytest.mark.parametrize("gone", ["study.log", "study.log.head"])
def test_a_log_that_lost_a_file_is_refused(path, gone):
    with Log.open(path, ORIGIN, KEY) as log:
        log.append(numbered(0, 3))
    path.with_name(gone).unlink()

    with pytest.raises(Unverified):
        Log.open(path, ORIGIN, KEY)
    assert not path.with_name(gone).exists()


def test_an_older_head_is_brought_up_to_the_log(path):
    """It is what a crash leaves behind, and the log proves that it extends it."""
    head = path.with_name("study.log.head")
    with Log.open(path, ORIGIN, KEY) as log:
        log.append(numbered(0, 300))
    old = head.read_bytes()
    with Log.open(path, ORIGIN, KEY) as log:
        log.append(numbered(300, 310))
        before = log.checkpoint()

    head.write_bytes(old)

    with Log.open(path, ORIGIN, KEY) as log:
        assert log.checkpoint() == before


@pytest.mark.parametrize("size", [300, 299, 301])
def test_a_forged_head_is_refused(path, size):
    with Log.open(path, ORIGIN, KEY) as log:
        log.append(numbered(0, 300))
    lie = Checkpoint(ORIGIN, size, bytes(32)).text
    for note in (f"{lie}\n{sign_note(lie, ORIGIN, KEY)}", "prose"):
        forge(
            path.with_name("study.log.head"),
            ("UPDATE head SET size = ?, note = ?", (size, note)),
        )

        with pytest.raises(Unverified):
            Log.open(path, ORIGIN, KEY)


def test_a_head_whose_size_is_not_its_notes_is_refused(path):
    with Log.open(path, ORIGIN, KEY) as log:
        log.append(numbered(0, 300))
    forge(path.with_name("study.log.head"), ("UPDATE head SET size = ?", (299,)))

    with pytest.raises(Unverified):
        Log.open(path, ORIGIN, KEY)


def test_an_append_refuses_a_log_that_was_changed_under_it(path):
    with Log.open(path, ORIGIN, KEY) as log:
        log.append(numbered(0, 300))
        forge(path, ("UPDATE checkpoint SET root = ? WHERE size = 300", (bytes(32),)))

        with pytest.raises(Unverified):
            log.append([b"next"])


def test_an_append_does_not_sign_a_root_that_is_not_the_entries(path):
    """The triggers let anybody add a checkpoint; the log checks before it signs."""
    with Log.open(path, ORIGIN, KEY) as log:
        log.append(numbered(0, 300))
        before = log.checkpoint()
        with raw(path) as store:
            store.execute("INSERT INTO checkpoint VALUES(301, zeroblob(32))")

        with pytest.raises(Unverified):
            log.append([b"next"])
        assert log.checkpoint() == before


def test_the_head_is_swapped_only_for_the_one_that_was_read(log, path):
    head = FileHead(path.with_name("study.log.head"))
    stale = log.checkpoint()
    log.append(numbered(0, 3))
    before = log.checkpoint()
    lie = Checkpoint(ORIGIN, 4, bytes(32)).text
    note = f"{lie}\n{sign_note(lie, ORIGIN, KEY)}"

    with contextlib.closing(head):
        assert not head.swap(stale, note)
        assert not head.swap(None, note)
        assert head.read() == before == log.checkpoint()
        assert head.swap(before, note)
        assert head.read() == note


def test_a_log_that_is_emptied_while_it_runs_is_found(path):
    with Log.open(path, ORIGIN, KEY) as log:
        log.append([b"only"])
        forge(
            path,
            ("DELETE FROM entries WHERE start = ?", (0,)),
            ("DELETE FROM tile WHERE level = ?", (0,)),
            ("DELETE FROM checkpoint WHERE size = ?", (1,)),
        )

        for use in (log.fsck, lambda: log.append([b"next"]), lambda: log.entry(0)):
            with pytest.raises(Unverified):
                use()


def test_a_proof_is_not_made_from_missing_hashes(path):
    with Log.open(path, ORIGIN, KEY) as log:
        log.append(numbered(0, 300))
        forge(path, ("DELETE FROM tile WHERE level = 0 AND number = ?", (0,)))

        with pytest.raises(Unverified):
            log.inclusion(5)
