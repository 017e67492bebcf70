"""Wherever a log keeps what it signed last, an old copy of the log is not signed on."""

import shutil
import threading
from contextlib import closing

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hetao.errors import InvalidNetwork, Unreachable, Unverified
from hetao.ledger.head import FileHead
from hetao.ledger.log import Log, Sighting
from hetao.ledger.merkle import EMPTY_ROOT
from hetao.ledger.note import (
    Checkpoint,
    parse_checkpoint,
    parse_note,
    sign_checkpoint,
)
from hetao.transparency.head_postgres import PostgresHead
from hetao.transparency.heads import head_at

pytestmark = pytest.mark.xdist_group("engines")

ORIGIN = "log.example.org/study"
KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)


@pytest.fixture(params=["file", "postgres"])
def opened(request, tmp_path, started):
    """Return what opens the head of a log, again and again."""
    if request.param == "file":
        elsewhere = tmp_path / "another-disk"
        elsewhere.mkdir()
        return lambda: head_at("another-disk/study.head", tmp_path, ORIGIN)
    uri = started("postgres")
    origin = f"{ORIGIN}/{tmp_path.name}"  # the server is shared by all tests
    return lambda: head_at(uri, tmp_path, origin)


def note(size):
    root = EMPTY_ROOT if not size else bytes([size] * 32)
    return sign_checkpoint(Checkpoint(ORIGIN, size, root), KEY)


def log_in(folder, head, **more):
    return Log.open(folder / "study.log", ORIGIN, KEY, head=head, **more)


# --- The contract of a head ---------------------------------------------------------
def test_a_head_holds_what_was_put_there_last(opened):
    with closing(opened()) as head, closing(opened()) as other:
        assert head.read() is None
        assert head.swap(None, note(0))
        assert head.swap(note(0), note(3))
        assert head.read() == other.read() == note(3)
    with closing(opened()) as again:
        assert again.read() == note(3)


def test_a_head_is_swapped_only_for_the_note_that_is_there(opened):
    with closing(opened()) as head:
        assert head.swap(None, note(0))
        assert not head.swap(None, note(1))
        assert head.swap(note(0), note(3))
        assert not head.swap(note(0), note(4))
        assert head.read() == note(3)


def test_of_many_who_swap_at_once_one_wins(opened):
    with closing(opened()) as head:
        head.swap(None, note(0))
        heads = [opened() for _ in range(4)]
        won = []

        def swap(place, size):
            if place.swap(note(0), note(size)):
                won.append(size)

        threads = [
            threading.Thread(target=swap, args=(place, size))
            for size, place in enumerate(heads, start=1)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for place in heads:
            place.close()

        assert len(won) == 1
        assert head.read() == note(won[0])


# --- What it is for -----------------------------------------------------------------
def test_a_restored_folder_is_refused(opened, tmp_path):
    """Restored is the whole folder, as a backup restores it; the head is not in it."""
    folder, backup = tmp_path / "state", tmp_path / "backup"
    folder.mkdir()
    with log_in(folder, opened()) as log:
        log.append([b"first"])
    assert [file.name for file in folder.iterdir()] == ["study.log"]
    shutil.copytree(folder, backup)
    with log_in(folder, opened()) as log:
        log.append([b"second"])
        signed = log.checkpoint()

    shutil.rmtree(folder)
    shutil.copytree(backup, folder)

    with pytest.raises(Unverified, match="older than its last signed"):
        log_in(folder, opened())
    with closing(opened()) as head:
        assert head.read() == signed


def test_a_fork_of_the_folder_is_refused_by_the_shared_head(opened, tmp_path):
    """Two copies of one log run at once: the first to sign is the log."""
    folder, copy = tmp_path / "state", tmp_path / "copy"
    folder.mkdir()
    with log_in(folder, opened()) as log:
        log.append([b"first"])
    shutil.copytree(folder, copy)

    with log_in(folder, opened()) as log, log_in(copy, opened()) as fork:
        log.append([b"honest"])
        with pytest.raises(Unverified):
            fork.append([b"forged"])
        with pytest.raises(Unverified):
            fork.append([b"forged", b"more"])
        log.append([b"next"])
        log.fsck()
        assert log.entries(0, 3) == [b"first", b"honest", b"next"]


def test_when_log_and_head_are_both_restored_a_witness_tells(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()
    with Log.open(folder / "study.log", ORIGIN, KEY) as log:
        log.append([b"first"])
    shutil.copytree(folder, tmp_path / "backup")
    with Log.open(folder / "study.log", ORIGIN, KEY) as log:
        log.append([b"second"])
        seen = parse_checkpoint(parse_note(log.checkpoint())[0])
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)

    Log.open(folder / "study.log", ORIGIN, KEY).close()  # nobody was asked: it passes
    for witness in (Sighting("w", seen.size), Sighting("w", seen.size, seen.root)):
        with pytest.raises(Unverified, match="w has seen more"):
            Log.open(folder / "study.log", ORIGIN, KEY, seen=lambda *_, w=witness: [w])


def test_a_witness_that_saw_another_tree_tells(tmp_path):
    """The fork outgrew what the witness saw, so that its size alone says nothing."""
    with Log.open(tmp_path / "study.log", ORIGIN, KEY) as log:
        log.append([b"forged", b"forged"])
        log.append([b"more"])
        of_two = log._kept.look(log.size).root(0, 2)
    said = []

    def seen(note, root):
        said.append(note)
        return [Sighting("w0", 0, EMPTY_ROOT), Sighting("w1", 2, root)]

    with pytest.raises(Unverified, match="w1 has seen another tree"):
        Log.open(
            tmp_path / "study.log",
            ORIGIN,
            KEY,
            seen=lambda note, _: seen(note, bytes(32)),
        )
    with Log.open(
        tmp_path / "study.log", ORIGIN, KEY, seen=lambda note, _: seen(note, of_two)
    ) as log:
        assert said == [log.checkpoint()] * 2


def test_a_disk_that_is_not_mounted_is_said_and_nothing_is_made(tmp_path):
    with pytest.raises(InvalidNetwork, match="folder"):
        head_at("not-mounted/study.head", tmp_path, ORIGIN)

    assert list(tmp_path.iterdir()) == []
    assert head_at("", tmp_path, ORIGIN) is None


def test_a_head_that_is_gone_is_said_by_the_log(tmp_path):
    with log_in(tmp_path, FileHead(tmp_path / "a")) as log:
        log.append([b"first"])

    with pytest.raises(Unverified, match="has lost what remembers"):
        log_in(tmp_path, FileHead(tmp_path / "b"))


def test_a_database_that_does_not_answer_is_said(tmp_path):
    with pytest.raises(Unreachable, match="log's head"):
        PostgresHead(f"postgresql://?host={tmp_path}", ORIGIN)
