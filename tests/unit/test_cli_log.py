"""`hetao log …`: a party checks its log, proves by it, publishes and redacts."""

import json
import socket
import sqlite3
import subprocess
import sys
import urllib.request

import pytest

from hetao.cli.main import main
from hetao.errors import InvalidNetwork
from hetao.federation.log_file import read_log
from hetao.federation.logs import open_log
from hetao.ledger.policy import parse_policy
from hetao.ledger.proof import parse_proof
from hetao.ledger.status import REVOCATION, SUSPENSION, append_lists, last_marks
from hetao.permit.keys import new_identity, read_identity, write_identity
from support_federation import START

NAME = "hub-hk"
NONE = {REVOCATION: frozenset(), SUSPENSION: frozenset()}
KEYS = """
[keys]
sign = "keys/hub-hk.sign.pem"
tls_certificate = "keys/t"
tls_key = "keys/t"
tls_authority = "keys/t"
"""
PARTIES = {
    "hub.toml": '[hub]\nname = "hub-hk"\nport = 1\nfolder = "state"\n',
    "network.toml": '[coordinator]\nfolder = "state"\n[hubs]\na = "https://a:1"\n',
    "site.toml": '[network]\nhome = "a"\nfolder = "state"\n',
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "keys").mkdir()
    (tmp_path / "state").mkdir()
    write_identity(tmp_path / "keys", new_identity(NAME))
    for name, text in PARTIES.items():
        (tmp_path / name).write_text(text + KEYS)
    return tmp_path


@pytest.fixture
def party(folder):
    identity = read_identity(folder / "keys/hub-hk.sign.pem")
    with open_log(folder / "state", identity) as log:
        log.append([b"entry %d" % i for i in range(300)])
    return folder / "hub.toml"


@pytest.mark.parametrize("name", PARTIES)
def test_the_log_of_any_party_is_opened_by_its_file(party, folder, name):
    with read_log(folder / name) as log:
        assert (log.origin, log.size) == (NAME, 300)


def test_a_log_that_was_never_begun_is_not_made(folder):
    with pytest.raises(InvalidNetwork, match="no log yet"):
        read_log(folder / "hub.toml")

    assert list((folder / "state").iterdir()) == []


def test_a_file_of_no_party_is_said(folder):
    (folder / "study.toml").write_text("[study]\n")

    with pytest.raises(InvalidNetwork, match="no party's file"):
        read_log(folder / "study.toml")


def test_the_head_stands_where_the_file_says(folder, party):
    """It began beside the log; a log that is told of another head has lost its own."""
    disk = folder / "disk"
    disk.mkdir()
    for file in (folder / "state").glob("*.head*"):
        file.rename(disk / file.name.replace("log.sqlite.head", "hub.head"))
    party.write_text(party.read_text() + '[log]\nhead = "disk/hub.head"\n')

    with read_log(party) as log:
        log.append([b"next"])

    assert not list((folder / "state").glob("*.head*"))
    party.write_text(party.read_text().replace("hub.head", "other.head"))
    assert main(["log", "fsck", str(party)]) == 6


def test_fsck_says_what_is_wrong_and_exits_with_6(party, folder, capsys):
    assert main(["log", "fsck", str(party), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "log": NAME,
        "size": 300,
        "faults": [],
        "more": False,
    }
    with sqlite3.connect(folder / "state/log.sqlite") as store:
        rule = "SELECT sql FROM sqlite_master WHERE name = 'entries_update'"
        (again,) = store.execute(rule).fetchone()
        store.execute("DROP TRIGGER entries_update")
        (run,) = store.execute("SELECT bytes FROM entries WHERE start = 0").fetchone()
        forged = run.replace(b"entry 7\0", b"forge 7\0").replace(b"y 200", b"z 200")
        store.execute("UPDATE entries SET bytes = ? WHERE start = 0", (forged,))
        store.execute(again)
    store.close()

    assert main(["log", "fsck", str(party)]) == 6

    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "bundle 0: entry 7 does not hash to its leaf in tile 0/0",
        "bundle 0: entry 200 does not hash to its leaf in tile 0/0",
    ]
    assert "does not follow from its entries" in said.err


def test_prove_prints_a_proof_that_a_policy_accepts(party, capsys):
    assert main(["log", "prove", str(party), "7"]) == 0

    with read_log(party) as log:
        key = log.verifiers[0].vkey
    policy = parse_policy(f"log {key}\nquorum none\n".encode())
    seen = parse_proof(capsys.readouterr().out).verify(b"entry 7", policy)
    assert seen.checkpoint.size == 300


def test_an_entry_that_is_not_there_is_not_proved(party, capsys):
    assert main(["log", "prove", str(party), "300"]) == 2
    assert capsys.readouterr().out == ""


def test_export_and_redact_leave_no_payload_in_the_folder(party, folder):
    public = folder / "public"
    assert main(["log", "export", str(party), str(public)]) == 0
    assert b"entry 299" in (public / "tile/entries/001.p/44").read_bytes()

    assert main(["log", "redact", str(party), "299"]) == 0
    assert main(["log", "export", str(party), str(public)]) == 0

    kept = [path.read_bytes() for path in public.rglob("*") if path.is_file()]
    assert not any(b"entry 299" in data for data in kept)
    assert main(["log", "fsck", str(party)]) == 0


def test_no_status_list_is_redacted_so_what_was_revoked_stays_so(party, folder, capsys):
    identity = read_identity(folder / "keys/hub-hk.sign.pem")
    issuer = (NAME, identity.signing_key.public_key())
    with open_log(folder / "state", identity) as log:
        for marks in (last_marks(log, *issuer), {**NONE, REVOCATION: frozenset({7})}):
            append_lists(log, NAME, identity.signing_key, marks, START)

    for index in (300, 301, 302, 303):
        assert main(["log", "redact", str(party), str(index)]) == 2
        assert "status list" in capsys.readouterr().err

    with open_log(folder / "state", identity) as log:
        assert last_marks(log, *issuer)[REVOCATION] == {7}


def test_export_without_entries_writes_hashes_alone(party, folder):
    words = ["log", "export", str(party), str(folder / "public"), "--without-entries"]

    assert main(words) == 0

    assert not (folder / "public/tile/entries").exists()


def test_whose_cosignatures_an_export_has_is_said(capsys):
    with pytest.raises(SystemExit):
        main(["log", "export", "--help"])

    told = " ".join(capsys.readouterr().out.split())
    assert "hubs, who cosign certificates and status lists alone, are not asked" in told


def test_serve_answers_until_it_is_told_to_end(party):
    words = [sys.executable, "-m", "hetao.cli", "log", "serve", str(party)]
    with subprocess.Popen(
        [*words, "--port", "0"], stderr=subprocess.PIPE, text=True
    ) as served:
        try:
            url = served.stderr.readline().split()[-1]
            asked = f"{url}/checkpoint"
            with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
                note = answer.read().decode()
        finally:
            served.terminate()
            served.communicate(timeout=30)

    with read_log(party) as log:
        assert note == log.checkpoint()
    assert served.returncode == 0


def test_a_port_that_is_taken_is_said(party, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        assert main(["log", "serve", str(party), "--port", port]) == 5

    assert "choose a free port" in capsys.readouterr().err
