"""A command that is killed, wherever, leaves nothing half and nothing in the way."""

import errno
import os
import signal
import sys

import pytest

from hetao.cli.main import main
from hetao.permit import Bundle, read_bundle, write_bundle
from hetao.permit.keys import write_identity
from hetao.whole import write_new, write_whole
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
