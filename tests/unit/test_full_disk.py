"""A disk that is full, or may not be written, is told in a sentence, with the path."""

import contextlib
import resource
import sqlite3
import sys
from types import SimpleNamespace

import pytest

from hetao.cli.main import carry_out, main
from hetao.cli.run import write_results
from hetao.dossier.page import write_page
from hetao.federation.certify import package_of
from hetao.federation.reviewing import lay_package
from hetao.federation.store import Store
from hetao.ledger.durable import connect, writing
from hetao.permit import Bundle, write_bundle
from hetao.permit.directory import write_directory
from hetao.permit.keys import write_identity
from hetao.report import write_report
from hetao.whole import write_whole
from support_permit import Scene

SCENE = Scene()
ROOM = 300  # bytes that a file may have
TABLE = "CREATE TABLE IF NOT EXISTS t (x TEXT NOT NULL) STRICT;"


@contextlib.contextmanager
def full():
    """Let no file grow beyond a few bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def written(run, folder):
    """Return what each command writes last: its name, and how."""
    outcome, data = run.outcome, run.certificate
    return {
        "findings.json": lambda: write_results(folder, outcome, data),
        "report.html": lambda: write_report(folder / "report.html", data),
        "certificate.html": lambda: write_page(folder / "certificate.html", data),
        "package.json": lambda: lay_package(folder, package_of(outcome)),
        "permit.json": lambda: write_bundle(
            folder / "permit.json", Bundle(SCENE.permit)
        ),
        "parties.toml": lambda: write_directory(
            folder / "parties.toml", SCENE.directory
        ),
    }


NAMES = list(written(SimpleNamespace(outcome=None, certificate=b""), None))


@pytest.mark.parametrize("name", NAMES)
def test_what_stood_there_stands_and_nothing_half_written(name, small_run, tmp_path):
    before = b'{"before": 1}'
    if name != "permit.json":
        (tmp_path / name).write_bytes(before)

    with full(), pytest.raises(OSError, match="File too large") as told:
        written(small_run, tmp_path)[name]()

    assert told.value.filename == str(tmp_path / name)
    left = {
        path.name: path.read_bytes() for path in tmp_path.glob("**/*") if path.is_file()
    }
    assert left == ({} if name == "permit.json" else {name: before})


def test_an_approval_on_a_full_disk_is_told_and_the_permit_stands(tmp_path, capsys):
    path = tmp_path / "permit.json"
    write_bundle(path, Bundle(SCENE.permit))
    before = path.read_bytes()
    key = write_identity(tmp_path, SCENE.identities["ethics-hk"])
    words = ["permit", "approve", str(path), "--key", str(key), "--conditions-read"]

    with full():
        code = main(words)

    assert code == 2
    said = capsys.readouterr().err
    assert str(path) in said
    assert "File too large" in said
    assert path.read_bytes() == before
    assert not [one for one in tmp_path.iterdir() if one.suffix == ".part"]


def test_a_folder_that_may_not_be_written_is_told_with_its_path(tmp_path):
    with pytest.raises(OSError, match="No such") as told:
        write_whole(tmp_path / "nowhere" / "file", b"x")

    assert told.value.filename == str(tmp_path / "nowhere" / "file")


# --- databases ----------------------------------------------------------------------
def test_a_journal_on_a_full_disk_keeps_what_it_had_and_names_its_file(tmp_path):
    store = Store(tmp_path / "s.sqlite", TABLE)
    store.write([("INSERT INTO t VALUES (?)", ("before",))])
    ((pages,),) = store.rows("PRAGMA page_count")
    store.rows(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(sqlite3.OperationalError, match="full") as told:
        store.write([("INSERT INTO t VALUES (?)", ("x" * 100_000,))])

    assert told.value.__notes__ == [str(tmp_path / "s.sqlite")]
    assert store.rows("SELECT x FROM t") == [("before",)]
    store.rows("PRAGMA max_page_count = 1000")
    store.write([("INSERT INTO t VALUES (?)", ("after",))])
    store.close()


def test_a_log_on_a_full_disk_names_its_file(tmp_path):
    path = tmp_path / "log.sqlite"
    path.touch()
    with contextlib.closing(connect(path)) as store:
        store.execute(TABLE)
        store.execute("PRAGMA max_page_count = 3")

        with (
            pytest.raises(sqlite3.OperationalError, match="full") as told,
            writing(store),
        ):
            store.execute("INSERT INTO t VALUES (?)", ("x" * 100_000,))

    assert told.value.__notes__ == [str(path)]


class Faults:
    """Commands that fail as a party's process does, in the middle of its work."""

    @staticmethod
    def full_database(chosen):
        store = Store(chosen.path, TABLE)
        try:
            store.rows("PRAGMA max_page_count = 2")
            store.write([("INSERT INTO t VALUES (?)", ("x" * 100_000,))])
        finally:
            store.close()

    @staticmethod
    def full_file(chosen):
        with full(), chosen.path.open("wb", buffering=0) as file:
            file.write(b"x" * ROOM)
            file.write(b"x")

    @staticmethod
    def no_database(chosen):
        sqlite3.connect(chosen.path.as_uri() + "?mode=ro", uri=True).execute("SELECT 1")

    @staticmethod
    def our_fault(chosen):
        sqlite3.connect(":memory:").execute("SELEKT")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("full_database", "{path} cannot be used: database or disk is full"),
        ("full_file", "a file cannot be used: File too large"),
        ("no_database", "cannot be used: unable to open database file"),
    ],
)
def test_a_process_on_a_full_disk_ends_with_a_sentence(
    fault, says, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "faults", Faults)
    path = tmp_path / "state.sqlite"

    code = carry_out(SimpleNamespace(run=f"faults:{fault}", path=path))

    assert code == 2
    assert says.format(path=path) in capsys.readouterr().err


def test_a_fault_of_ours_is_not_taken_for_a_full_disk(monkeypatch):
    monkeypatch.setitem(sys.modules, "faults", Faults)

    with pytest.raises(sqlite3.OperationalError, match="syntax"):
        carry_out(SimpleNamespace(run="faults:our_fault"))
