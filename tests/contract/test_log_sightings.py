"""A log that was restored with its head asks its witnesses, and does not sign."""

import asyncio
import contextlib
import http.server
import shutil
import ssl
import stat
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hetao.cli.main import main
from hetao.errors import InvalidData, Unreachable, Unverified
from hetao.federation.logs import LogTable, open_log, witnessed
from hetao.ledger.log import Log, Sighting
from hetao.ledger.note import COSIGNATURE, LOG_SIGNATURE, Verifier, cosign
from hetao.ledger.policy import parse_policy
from hetao.ledger.submission import parse_submission
from hetao.permit import Identity
from hetao.transparency.client import cosignatures
from hetao.transparency.sightings import sightings
from hetao.transparency.witness import WitnessFolder
from support_witness import serving

ORIGIN = "site-a"
KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
IDENTITY = Identity(ORIGIN, KEY, None)


@pytest.fixture
def policy(tmp_path):
    """Return a policy of one witness that is served, and one that does not answer."""
    log = Verifier.of(ORIGIN, KEY.public_key(), LOG_SIGNATURE).vkey
    up = WitnessFolder.create(tmp_path / "w1", "witness.example/w1")
    down = WitnessFolder.create(tmp_path / "w2", "witness.example/w2")
    up.trust(log)
    with serving(up) as url:
        yield (
            f"log {log}\nwitness up {up.verifiers[0].vkey} {url}\n"
            f"witness down {down.verifiers[0].vkey} http://127.0.0.1:1\n"
        )


def cosigned(log, policy):
    lines, failed = asyncio.run(cosignatures(log, log.checkpoint(), policy))
    assert lines
    assert {*failed} == {"down"}


def test_a_restored_backup_of_log_and_head_is_refused(tmp_path, policy):
    (tmp_path / "policy").write_text(
        policy + "group either any up down\nquorum either\n"
    )
    table = LogTable(witnesses=str(tmp_path / "policy"))
    read = parse_policy((tmp_path / "policy").read_bytes())
    state = tmp_path / "state"
    state.mkdir()
    with open_log(state, IDENTITY, table) as log:
        log.append([b"first"])
        cosigned(log, read)
    shutil.copytree(state, tmp_path / "backup")
    with open_log(state, IDENTITY, table) as log:
        log.append([b"second"])
        cosigned(log, read)
        note = log.checkpoint()
    open_log(state, IDENTITY, table).close()  # what the witness saw is what there is

    shutil.rmtree(state)
    shutil.copytree(tmp_path / "backup", state)

    with pytest.raises(Unverified, match="up has seen more"):
        open_log(state, IDENTITY, table)
    with open_log(state, IDENTITY, table, asks=False) as log:
        assert log.size == 1  # to be read, it opens
        seen = sightings(log.checkpoint(), log.consistency, read)
        assert seen == [Sighting("up", 2)]
        assert [one.size for one in sightings(note, log.consistency, read)] == [2]


def test_a_fork_of_the_same_size_is_refused(tmp_path, policy):
    """After a restore something else was signed, before anybody asked the witness."""
    (tmp_path / "policy").write_text(
        policy + "group either any up down\nquorum either\n"
    )
    table = LogTable(witnesses=str(tmp_path / "policy"))
    for name, entry in (("true", b"true"), ("fork", b"forged")):
        (tmp_path / name).mkdir()
        with open_log(tmp_path / name, IDENTITY) as log:
            log.append([entry])
            if name == "true":
                read = parse_policy((tmp_path / "policy").read_bytes())
                cosigned(log, read)

    open_log(tmp_path / "true", IDENTITY, table).close()
    with pytest.raises(Unverified, match="up has seen another tree"):
        open_log(tmp_path / "fork", IDENTITY, table)


def test_below_the_quorum_nothing_is_signed(tmp_path, policy):
    (tmp_path / "policy").write_text(policy + "group both all up down\nquorum both\n")
    table = LogTable(witnesses=str(tmp_path / "policy"))
    (tmp_path / "state").mkdir()

    with pytest.raises(Unreachable, match="quorum"):
        open_log(tmp_path / "state", IDENTITY, table)


def test_a_witness_that_saw_less_is_shown_the_way(tmp_path, policy):
    (tmp_path / "policy").write_text(policy + "quorum up\n")
    table = LogTable(witnesses=str(tmp_path / "policy"))
    (tmp_path / "state").mkdir()
    for entry in (b"first", b"second", b"third"):  # nobody cosigns in between
        with open_log(tmp_path / "state", IDENTITY, table) as log:
            log.append([entry])

    open_log(tmp_path / "state", IDENTITY, table).close()


STRANGER = Ed25519PrivateKey.from_private_bytes(b"\7" * 32)


@contextlib.contextmanager
def answering(make):
    """Serve what `make` returns of a submission, status and text; give its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, said = make(parse_submission(text).note)
            self.send_response(status)
            self.send_header("Content-Length", str(len(said.encode())))
            self.end_headers()
            self.wfile.write(said.encode())

        def log_message(self, *_):
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def late(note):
    return cosign(note, "w", EYE, int(time.time()) - 3600)


@pytest.mark.parametrize(
    "make",
    [
        lambda note: (200, ""),
        lambda note: (200, "OK"),
        lambda note: (200, cosign(note, "w", STRANGER, int(time.time()))),
        lambda note: (200, late(note)),
        lambda note: (409, "1"),
        lambda note: (409, "0"),
    ],
    ids=["empty", "words", "stranger", "late", "less", "nothing"],
)
def test_whoever_cannot_cosign_now_is_not_of_the_quorum(tmp_path, make):
    with Log.open(tmp_path / "log", ORIGIN, KEY) as log, answering(make) as url:
        log.append([b"first", b"second"])
        with pytest.raises(Unreachable):
            sightings(log.checkpoint(), log.consistency, only(url))


def test_who_cosigns_now_is_of_the_quorum(tmp_path):
    def make(note):
        return 200, cosign(note, "w", EYE, int(time.time()))

    with Log.open(tmp_path / "log", ORIGIN, KEY) as log, answering(make) as url:
        log.append([b"first", b"second"])
        seen = sightings(log.checkpoint(), log.consistency, only(url))
        assert seen == [Sighting("up", 2, log.root(2))]


@pytest.mark.parametrize("url", ["http://witness.example", "http://192.0.2.1:80"])
def test_nobody_elsewhere_is_asked_without_tls(tmp_path, url):
    refused = pytest.raises(InvalidData, match="https")
    with Log.open(tmp_path / "log", ORIGIN, KEY) as log, refused:
        sightings(log.checkpoint(), log.consistency, only(url))


EYE = Ed25519PrivateKey.from_private_bytes(b"\5" * 32)


def only(url):
    log = Verifier.of(ORIGIN, KEY.public_key(), LOG_SIGNATURE).vkey
    eye = Verifier.of("w", EYE.public_key(), COSIGNATURE).vkey
    return parse_policy(f"log {log}\nwitness up {eye} {url}\nquorum up\n".encode())


@pytest.mark.parametrize("left", ["key", "torn key", "key and torn certificate"])
def test_an_authority_that_was_cut_off_is_made_whole(tmp_path, left):
    WitnessFolder.create(tmp_path / "eye", "w")
    words = ["witness", "tls", str(tmp_path / "eye"), "--host", "127.0.0.1"]
    pem, key = (tmp_path / f"eye/authority.{end}" for end in ("pem", "key"))
    assert main(words) == 0
    first = key.read_bytes()
    pem.unlink()
    if left == "torn key":
        key.write_bytes(first[:40])
    if left == "key and torn certificate":
        pem.write_bytes(b"")

    assert main(words) == 0
    made = x509.load_pem_x509_certificate(pem.read_bytes())
    own = x509.load_pem_x509_certificate(
        (tmp_path / "eye/witness.tls.pem").read_bytes()
    )
    own.verify_directly_issued_by(made)
    assert (key.read_bytes() == first) is (left != "torn key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert not [*(tmp_path / "eye").glob(".*")]


@pytest.mark.parametrize("left", ["none", "another"])
def test_a_pinned_authority_without_its_key_is_not_made_anew(tmp_path, capsys, left):
    WitnessFolder.create(tmp_path / "eye", "w")
    words = ["witness", "tls", str(tmp_path / "eye"), "--host", "127.0.0.1"]
    assert main(words) == 0
    pem, key = (tmp_path / f"eye/authority.{end}" for end in ("pem", "key"))
    before = pem.read_bytes()
    key.unlink()
    if left == "another":
        key.write_bytes((tmp_path / "eye/witness.tls.key").read_bytes())

    assert main(words) == InvalidData.exit_code
    assert "restore it from a backup" in capsys.readouterr().err
    assert pem.read_bytes() == before


def test_a_witness_has_an_authority_of_its_own_and_who_names_it_trusts_it(tmp_path):
    """It is no party of a study, and no authority of one vouches for it."""
    eye = WitnessFolder.create(tmp_path / "eye", "w")
    eye.trust(Verifier.of(ORIGIN, KEY.public_key(), LOG_SIGNATURE).vkey)
    for name in ("eye", "stranger"):
        if name == "stranger":
            WitnessFolder.create(tmp_path / name, "stranger")
        words = ["witness", "tls", str(tmp_path / name), "--host", "127.0.0.1"]
        assert main(words) == 0
    pem = (tmp_path / "eye/authority.pem").read_bytes()
    assert main(["witness", "tls", str(tmp_path / "eye"), "--host", "127.0.0.1"]) == 0
    assert (tmp_path / "eye/authority.pem").read_bytes() == pem  # others named it
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = [tmp_path / f"eye/witness.tls.{end}" for end in ("pem", "key")]
    tls.load_cert_chain(*files)
    assert stat.S_IMODE(files[1].stat().st_mode) == 0o600
    (tmp_path / "state").mkdir()
    with serving(eye, tls) as url:
        key = eye.verifiers[0].vkey
        (tmp_path / "policy").write_text(f"witness w {key} {url}\nquorum w\n")

        def opened(authority):
            table = LogTable(
                witnesses=str(tmp_path / "policy"),
                authority=str(tmp_path / authority) if authority else "",
            )
            with open_log(tmp_path / "state", IDENTITY, table) as log:
                log.append([b"entry"])
                whole = asyncio.run(witnessed(log, log.checkpoint(), table, ()))
            return len(whole.splitlines()) - len(log_lines)

        log_lines = [ORIGIN, "size", "root", "", "its own line"]
        assert opened("eye/authority.pem") == 1
        for other in ("", "stranger/authority.pem"):
            with pytest.raises(Unreachable, match="quorum"):
                opened(other)
        with pytest.raises(InvalidData, match="authority"):
            opened("policy")
