"""A log that was restored with its head asks its witnesses, and does not sign."""

import asyncio
import contextlib
import shutil
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hetao.errors import Unreachable, Unverified
from hetao.federation.logs import LogTable, open_log
from hetao.ledger.log import Sighting
from hetao.ledger.note import LOG_SIGNATURE, Verifier
from hetao.ledger.policy import parse_policy
from hetao.permit import Identity
from hetao.transparency.client import cosignatures
from hetao.transparency.sightings import sightings
from hetao.transparency.witness import WitnessFolder, serve_witness

ORIGIN = "site-a"
KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
IDENTITY = Identity(ORIGIN, KEY, None)


@contextlib.contextmanager
def serving(folder):
    """Serve a witness from a thread; give its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def do(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    runner = do(serve_witness(folder, "127.0.0.1", 0))
    try:
        yield "http://{}:{}".format(*runner.addresses[0][:2])
    finally:
        do(runner.cleanup())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


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
        assert sightings(log.checkpoint(), read) == [Sighting("up", 2)]
    assert [one.size for one in sightings(note, read)] == [2]


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
