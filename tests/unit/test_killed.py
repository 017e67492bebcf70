"""A command that is killed, wherever, leaves nothing half and nothing in the way."""

import errno
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from hetao.cli.main import main
from hetao.errors import InvalidData
from hetao.permit import Bundle, new_identity, read_bundle, write_bundle
from hetao.permit.keys import read_identity, write_identity
from hetao.transparency.witness import WitnessFolder
from hetao.whole import read_whole, write_new, write_whole
from support_fuzz_outside import TRIAL
from support_permit import Scene

SCENE = Scene()
STEPS = ("os.rename", "os.link", "os.remove", "os.mkdir", "fcntl.lockf")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def killed(act, step):
    """Do something in a child that is killed before that step; False if it ends."""
    child = os.fork()
    if not child:
        left = [step]

        def watched(event, said):
            if event in STEPS or (event == "open" and said[2] & WRITES):
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1

        sys.addaudithook(watched)
        try:
            act()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def each_kill(act):
    """Yield once for each step at which something was killed."""
    step = 0
    while killed(act, step):
        yield step
        step += 1
    assert step > 2, "it was never in the midst of anything"


def shown(folder):
    """Return the files of a folder, but for hidden drafts."""
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))


def test_a_key_that_was_not_whole_stands_in_nobodys_way(tmp_path, capsys):
    out = tmp_path / "anchor.pem"
    words = ["anchor", "key", "--out", str(out)]
    for _ in each_kill(lambda: main(words)):
        if out.exists():
            assert b"END PRIVATE KEY" in out.read_bytes()
            out.unlink()
        assert main(words) == 0
        assert shown(tmp_path) == ["anchor.pem"]
        out.unlink()
    capsys.readouterr()


def test_an_identity_is_whole_or_is_made_anew(tmp_path):
    """Without its signing key, the last, it is nobody's."""
    names = ["a.log.pem", "a.seal.pem", "a.sign.pem"]
    tries = 0
    for _ in each_kill(lambda: write_identity(tmp_path, new_identity("a"))):
        tries += 1
        path = tmp_path / "a.sign.pem"
        if path.exists():
            assert set(names) <= set(shown(tmp_path))
            with pytest.raises(FileExistsError):
                write_identity(tmp_path, new_identity("a"))
        else:
            own = new_identity("a")
            assert write_identity(tmp_path, own) == path
            left = read_identity(path)
            assert left.party("HK", "hub", "o") == own.party("HK", "hub", "o")
            assert left.second_log_key is not None
        for one in tmp_path.iterdir():
            one.unlink()
    assert tries > 2 * len(names)


def test_a_witness_that_was_not_whole_is_finished_with_the_keys_it_has(
    tmp_path, capsys
):
    folder = tmp_path / "w"
    words = ["witness", "init", str(folder), "--name", "w.example"]
    for _ in each_kill(lambda: main(words)):
        if not (folder / "witness.toml").exists():
            keys = {p: p.read_bytes() for p in folder.glob("[a-z]*.pem")}
            assert main(words) == 0
            assert all(path.read_bytes() == key for path, key in keys.items())
        assert WitnessFolder.read(folder).name == "w.example"
        assert {p.stat().st_mode & 0o777 for p in folder.glob("*.pem")} == {0o600}
        assert main(words) != 0
        shutil.rmtree(folder)
    capsys.readouterr()


def test_a_trial_that_drew_its_secret_commits_to_it_later(tmp_path, capsys):
    """A secret that is there is never drawn again."""
    trial, out = tmp_path / "list.toml", tmp_path / "out"
    trial.write_text(TRIAL)
    words = ["trial", "commit", str(trial), "--out", str(out)]
    secret, public = out / "allocation.secret", out / "commitment.json"
    for _ in each_kill(lambda: main(words)):
        drawn = secret.read_text() if secret.exists() else None
        if not public.exists():
            assert main(words) == 0
        assert drawn is None or secret.read_text() == drawn
        assert public.exists()
        assert main(words) == 2
        shutil.rmtree(out)
    capsys.readouterr()


def test_a_permit_is_the_one_before_or_the_one_after(tmp_path, capsys):
    path = tmp_path / "permit.json"
    key = write_identity(tmp_path, SCENE.identities["ethics-hk"])
    words = ["permit", "approve", str(path), "--key", str(key), "--conditions-read"]
    write_bundle(path, Bundle(SCENE.permit))
    before = path.read_bytes()
    for _ in each_kill(lambda: main(words)):
        if not read_bundle(path).notices:
            assert path.read_bytes() == before
            assert main(words) == 0
        assert len(read_bundle(path).notices) == 1
        path.write_bytes(before)
    capsys.readouterr()


@pytest.mark.parametrize("kind", ["--html", "--verifier"])
def test_what_is_exported_is_the_file_before_or_the_one_after(
    small_run, tmp_path, capsys, kind
):
    certificate, out = tmp_path / "certificate.json", tmp_path / "out"
    certificate.write_bytes(small_run.certificate)
    words = ["certificate", "export", str(certificate), kind, str(out)]
    assert main(words) == 0
    whole = out.read_bytes()
    out.write_bytes(b"before")
    for _ in each_kill(lambda: main(words)):
        assert out.read_bytes() in (b"before", whole)
        out.write_bytes(b"before")
    assert main(words) == 0
    assert out.read_bytes() == whole
    capsys.readouterr()


# --- a new file -----------------------------------------------------------------------
def test_a_new_file_is_never_written_over_another(tmp_path):
    path = tmp_path / "stamp"
    write_new(path, lambda: b"one")
    made = []

    with pytest.raises(FileExistsError) as told:
        write_new(path, lambda: made.append(1) or b"two")

    assert told.value.filename == str(path)
    assert made == []  # a stamp may cost something
    assert path.read_bytes() == b"one"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_comes_meanwhile_stays(tmp_path):
    path = tmp_path / "stamp"

    def meanwhile():
        write_whole(path, b"theirs")
        return b"ours"

    with pytest.raises(FileExistsError):
        write_new(path, meanwhile)

    assert path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_to_be_made_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        write_new(tmp_path / "stamp", lambda: b"x" * (1 // 0))

    assert list(tmp_path.iterdir()) == []


def test_a_stick_that_knows_no_links_is_written_too(tmp_path, monkeypatch):
    def link(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    path = tmp_path / "stamp"

    write_new(path, lambda: b"one")
    with pytest.raises(FileExistsError):
        write_new(path, lambda: b"two")

    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


# --- a file that somebody names -------------------------------------------------------
def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path, capsys):
    pipe = tmp_path / "certificate.json"
    os.mkfifo(pipe)
    signal.alarm(60)  # it waited forever
    try:
        with pytest.raises(InvalidData, match="no plain file"):
            read_whole(pipe, 100)
        assert main(["verify", str(pipe)]) == 4
        with pytest.raises(InvalidData, match="no plain file"):
            read_whole(Path("/dev/zero"), 100)
    finally:
        signal.alarm(0)
    told = capsys.readouterr().err
    assert "no plain file (keep what it gives in a file, and name that)" in told


def test_a_plain_file_and_what_leads_to_one_are_read(tmp_path):
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(b"12345")
    link.symlink_to(path)

    assert read_whole(path, 5) == read_whole(link, 5) == b"12345"
    with pytest.raises(InvalidData, match="is larger"):
        read_whole(path, 4)
    with pytest.raises(InvalidData, match="cannot be read: Is a directory"):
        read_whole(tmp_path, 5)
