"""A certificate is taken back by command, and whoever verifies it is told."""

import asyncio
import contextlib
import errno
import json
import os
import ssl
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from hetao.canonical import parse_canonical
from hetao.cli import main
from hetao.cli.certificate import place_of, replace_file
from hetao.dossier.code import facts_of
from hetao.errors import Usage
from hetao.federation.logs import LogTable, open_log
from hetao.federation.network import Network
from hetao.ledger.note import COSIGNATURE, open_note, vkey
from hetao.ledger.policy import read_policy
from hetao.ledger.proof import parse_proof
from hetao.ledger.status import check_status
from hetao.permit import new_identity
from hetao.transparency.witness import WitnessFolder, serve_witness
from support_federation import Federation
from support_witness import UNNAMED, reach_hubs


@pytest.fixture(scope="module")
def issued(tmp_path_factory):
    """Return a finished run, its folder and its certificate's file."""
    folder = tmp_path_factory.mktemp("issued")
    with Federation(folder / "f") as made:
        ran = made.run()
        path = folder / "certificate.json"
        path.write_bytes(ran.certificate)
        yield ran, folder, path, made.hubs


def network_of(issued, identity=None):
    ran, folder, *_ = issued
    return Network(
        identity=identity or ran.cast.identities["coordinator"],
        trusted=ran.cast.directory,
        hubs={},
        tls=ssl.create_default_context(),
        folder=folder / "f" / "coordinator",
        notices=folder,
    )


@pytest.fixture
def say(issued, tmp_path, monkeypatch):
    """Return what carries out `hetao certificate` and then `hetao verify --status`."""
    monkeypatch.setattr(
        "hetao.federation.network.read_network", lambda _: network_of(issued)
    )
    certificate, out = str(issued[2]), str(tmp_path / "status.json")

    def carry_out(command, *more):
        words = ["--network", "network.toml", "--out", out]
        assert main(["certificate", command, certificate, *words]) == 0
        return main(["verify", certificate, "--status", out, *more])

    return carry_out


def test_without_the_witnesses_of_a_policy_a_status_says_at_most_that_it_is_over(
    issued, say, tmp_path, capsys
):
    """The verifier's own list asks for one who has not seen the lists.

    That it was taken back its issuer says alone: nobody has to have seen it.
    """
    ran, _, certificate, _ = issued
    say("status")
    people = ran.cast.directory
    boss, hub = people["coordinator"], people["hub-hk"]
    policy = tmp_path / "policy"
    log = vkey(boss.name, boss.sign_key)
    eye = vkey(hub.name, hub.sign_key, COSIGNATURE)
    policy.write_text(f"log {log}\nwitness hk {eye}\nquorum hk\n")
    status = str(tmp_path / "status.json")

    words = ["verify", str(certificate), "--status", status, "--policy", str(policy)]

    assert main(words) == 6
    told = capsys.readouterr()
    assert "how it stands: the checkpoint was seen by nobody of the policy" in told.err
    assert "quorum" in told.err
    assert "VERIFIED" not in told.out
    say("suspend")
    assert main(words) == 6
    told = capsys.readouterr().out
    assert "suspended as of" in told
    assert "seen by nobody but the issuer" in told
    assert "VERIFIED, BUT SUSPENDED" in told
    say("restore")
    assert main(words) == 6
    assert "VERIFIED" not in capsys.readouterr().out


@pytest.fixture
def both_hubs(issued, monkeypatch):
    """Let both hubs be reached; nobody is elsewhere, and `say` does without them."""
    reach_hubs(monkeypatch, network_of(issued), issued[3])


def test_that_it_stands_counts_for_hubs_where_both_saw_it(
    issued, say, both_hubs, monkeypatch, capsys
):
    """As the certificate does: `--policy hubs` takes nobody's word but theirs."""
    assert say("status", "--policy", "hubs") == 0
    assert "seen by hub-hk, hub-sz" in capsys.readouterr().out
    monkeypatch.delitem(issued[3], "hub-sz")
    assert say("status", "--policy", "hubs") == 6
    told = capsys.readouterr()
    assert "below its quorum hubs" in told.err
    assert "hub-sz did not cosign" in told.err
    assert "VERIFIED" not in told.out


def test_a_suspension_ends_and_a_revocation_does_not(
    issued, say, both_hubs, tmp_path, capsys
):
    status = ["--status", str(tmp_path / "status.json")]
    for command, code, word in (
        ("suspend", 6, "suspended"),
        ("restore", 0, "valid"),
        ("revoke", 6, "revoked"),
    ):
        assert say(command, "--policy", "hubs") == code
        said = capsys.readouterr()
        assert f"{word} as of 20" in said.out
        back = f"VERIFIED, BUT {word.upper()}, SEEN BY NOBODY INDEPENDENT  A toy"
        assert (back in said.out) is (code == 6)
        assert main(["verify", str(issued[2]), *status]) == (code or 7)  # no witnesses
        both = UNNAMED.replace("BUT", f"BUT {word.upper()}, AND") if code else UNNAMED
        assert f"{both}  A toy" in capsys.readouterr().out
    words = ["verify", str(issued[2]), *status, "--policy", "hubs", "--json"]
    assert main(words) == 6
    told = json.loads(capsys.readouterr().out)
    assert (told["verified"], told["counts"]) == (False, True)
    for command in ("restore", "suspend", "revoke"):
        words = ["certificate", command, str(issued[2]), "--network", "n"]
        assert main(words) == 4
        assert "for good" in capsys.readouterr().err


def test_only_its_issuer_takes_a_certificate_back(issued, monkeypatch, capsys):
    stranger = new_identity("coordinator")
    monkeypatch.setattr(
        "hetao.federation.network.read_network", lambda _: network_of(issued, stranger)
    )

    assert main(["certificate", "revoke", str(issued[2]), "--network", "n"]) == 6
    assert "only its issuer" in capsys.readouterr().err


def test_no_log_is_begun_where_that_of_the_certificate_is_gone(
    issued, monkeypatch, tmp_path, capsys
):
    """A fresh log under the same key would be a second history."""
    elsewhere = replace(network_of(issued), folder=tmp_path)
    monkeypatch.setattr("hetao.federation.network.read_network", lambda _: elsewhere)

    assert main(["certificate", "revoke", str(issued[2]), "--network", "n"]) == 4
    assert "not there" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_certificate_counts_by_the_verifiers_own_quorum(issued, tmp_path, capsys):
    """Both parks' hubs saw its log; a witness whom it did not ask did not."""
    ran, _, certificate, _ = issued
    people = ran.cast.directory
    boss, hubs = people["coordinator"], people.of_role("hub")
    stranger = new_identity("uni")
    eyes = {hub.side: vkey(hub.name, hub.sign_key, COSIGNATURE) for hub in hubs}
    eyes["IND"] = vkey("uni", stranger.signing_key.public_key(), COSIGNATURE)
    policy = tmp_path / "policy"
    text = f"log {vkey(boss.name, boss.sign_key)}\n"
    text += "".join(f"witness {name} {key}\n" for name, key in eyes.items())

    for quorum, code in (("HK SZ", 0), ("HK SZ IND", 6)):
        policy.write_text(f"{text}group ALL all {quorum}\nquorum ALL\n")
        words = ["verify", str(certificate), "--policy", str(policy)]
        assert main(words) == code
    said = capsys.readouterr()
    assert "your policy asks for: HK, SZ" in said.out
    assert "quorum ALL" in said.err


def test_who_names_no_witness_is_told_that_none_was_asked(issued, tmp_path, capsys):
    ran, _, certificate, _ = issued
    boss = ran.cast.directory["coordinator"]
    policy = tmp_path / "policy"
    policy.write_text(f"log {vkey(boss.name, boss.sign_key)}\nquorum none\n")
    for more, witnesses in (((), None), (("--policy", str(policy)), [])):
        code = 0 if more else 7
        assert main(["verify", str(certificate), *more]) == code
        assert ("for it to count, name" in capsys.readouterr().err) is (not more)
        assert main(["verify", str(certificate), "--json", *more]) == code
        told = json.loads(capsys.readouterr().out)
        assert told["witnesses"] == witnesses
        assert told["second"] == ({"log": False, "sites": []} if more else None)


@contextlib.contextmanager
def witness_at(folder):
    """Give the address of a witness that answers in a thread of its own."""
    loop, ready, found = asyncio.new_event_loop(), threading.Event(), []

    async def serve():
        runner = await serve_witness(folder, "127.0.0.1", 0)
        found.append(runner)
        ready.set()

    def run():
        loop.run_until_complete(serve())
        loop.run_forever()
        loop.run_until_complete(found[0].cleanup())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    yield "http://{}:{}".format(*found[0].addresses[0][:2])
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def test_a_status_is_witnessed_over_http_as_the_log_is(issued, tmp_path, monkeypatch):
    """The witness sees the lists, and the verdict bears its time and name."""
    ran, _, certificate, _ = issued
    boss = ran.cast.directory["coordinator"]
    log = vkey(boss.name, boss.sign_key)
    folder = WitnessFolder.create(tmp_path / "w", "witness.example/w1")
    folder.trust(log)
    eye, policy = folder.verifiers[0], tmp_path / "policy"
    monkeypatch.setattr(
        "hetao.federation.network.read_network", lambda _: network_of(issued)
    )
    with witness_at(folder) as url:
        policy.write_text(f"log {log}\nwitness w1 {eye.vkey} {url}\nquorum w1\n")
        words = [
            "--network",
            "n",
            "--out",
            str(tmp_path / "s"),
            "--policy",
            str(policy),
        ]
        assert main(["certificate", "status", str(certificate), *words]) == 0

    place, issuer = place_of(ran.value)
    seen = check_status(
        (tmp_path / "s").read_bytes(), issuer, place, read_policy(policy)
    )
    assert seen.witnesses == ("w1",)


def test_what_is_taken_back_is_witnessed_as_it_was_given(
    issued, tmp_path, monkeypatch, capsys
):
    """Without --policy: by those of `[log]`, and not below their quorum."""
    ran, _, certificate, _ = issued
    boss = ran.cast.directory["coordinator"]
    folder = WitnessFolder.create(tmp_path / "w", "witness.example/w1")
    folder.trust(vkey(boss.name, boss.sign_key))
    eye, ours, status = folder.verifiers[0], tmp_path / "ours", tmp_path / "s"
    network = replace(network_of(issued), log=LogTable(witnesses=str(ours)))
    monkeypatch.setattr("hetao.federation.network.read_network", lambda _: network)
    words = ["certificate", "status", str(certificate), "--network", "n"]

    with witness_at(folder) as url:
        ours.write_text(f"witness w1 {eye.vkey} {url}\nquorum w1\n")
        assert main([*words, "--out", str(status)]) == 0
    assert "nobody but the issuer" not in capsys.readouterr().err
    lists = parse_canonical(status.read_bytes())["lists"]
    note = parse_proof(lists["revocation"]["proof"]).note
    assert eye in open_note(note, [eye])[1]

    status.unlink()
    monkeypatch.setattr("hetao.federation.logs.open_log", unasked)
    assert main([*words, "--out", str(status)]) != 0
    assert "fewer than the quorum" in capsys.readouterr().err
    assert not status.exists()


def unasked(folder, identity, table):
    """Open a log whose witness has ended since."""
    return open_log(folder, identity, table, asks=False)


def test_the_text_of_a_code_is_held_against_the_file(issued, capsys):
    ran, _, certificate, _ = issued
    code = facts_of(ran.value).code

    words = ["verify", str(certificate), "--policy", "hubs", "--qr"]
    assert main([*words, code, "--json"]) == 0
    assert "QR code" in json.loads(capsys.readouterr().out)["steps"][-1]
    assert main([*words, code + "1"]) == 6


BARE = """
import sys
for name in ("numpy", "scipy", "pandas", "duckdb", "aiohttp", "lxml", "jinja2"):
    sys.modules[name] = None  # as if it were not installed
from hetao.cli import main
sys.exit(main(["verify", sys.argv[1], "--policy", "hubs"]))
"""


def test_a_certificate_is_verified_with_cryptography_alone(issued):
    done = subprocess.run(
        [sys.executable, "-c", BARE, str(issued[2])],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "VERIFIED" in done.stdout
    assert "NOT worked out again" in done.stdout
    assert "numpy is not installed" in done.stderr


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    """As the disk says it: in `test_full_disk.py` it says it of each byte."""

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "page.html"
    monkeypatch.setattr("os.fsync", full)

    with pytest.raises(Usage, match="cannot be written: No space left"):
        replace_file(out, b"x")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["verify", "{}"],
        ["verify", "{good}", "--trust", "{}"],
        ["verify", "{good}", "--policy", "{}"],
        ["verify", "{good}", "--notices", "{}"],
        ["certificate", "export", "{}", "--html", "x.html"],
        ["appraise", "{}"],
    ],
)
@pytest.mark.parametrize("kind", ["nothing", "folder"])
def test_a_path_where_nothing_is_is_an_input_and_no_broken_proof(
    words, kind, issued, tmp_path, capsys
):
    path = tmp_path / "there"
    if kind == "folder":
        path.mkdir()

    code = main([word.format(path, good=issued[2]) for word in words])

    assert code == 4
    said = capsys.readouterr().err
    assert str(path) in said


def test_what_is_there_and_is_no_certificate_stays_a_proof_that_does_not_hold(tmp_path):
    for data in (b"", b"{}", b"\0" * 100):
        path = tmp_path / "certificate.json"
        path.write_bytes(data)
        assert main(["verify", str(path)]) == 6
