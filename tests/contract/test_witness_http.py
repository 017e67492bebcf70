"""A witness behind HTTP answers as C2SP tlog-witness says, and its client reads it."""

import asyncio
import contextlib
import io

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hetao.cli.main import main
from hetao.errors import InvalidData, Refused
from hetao.ledger.fraud import read_fraud, write_fraud
from hetao.ledger.log import Log
from hetao.ledger.merkle import consistency_path, leaf_hash, root
from hetao.ledger.note import (
    LOG_SIGNATURE,
    Checkpoint,
    Verifier,
    open_note,
    sign_checkpoint,
)
from hetao.ledger.policy import parse_policy
from hetao.ledger.submission import Submission
from hetao.transparency.client import cosignatures
from hetao.transparency.witness import SIZE_TYPE, WitnessFolder, serve_witness

ORIGIN = "log.example.org/study"
KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"\2" * 32)
LOG = Verifier.of(ORIGIN, KEY.public_key(), LOG_SIGNATURE)
TRUE = [leaf_hash(b"%d" % i) for i in range(20)]
FALSE = [*TRUE[:5], leaf_hash(b"changed"), *TRUE[6:]]


def note_of(leaves, key=KEY, origin=ORIGIN):
    return sign_checkpoint(Checkpoint(origin, len(leaves), root(leaves)), key)


def submission(old, leaves):
    return Submission(old, tuple(consistency_path(old, leaves)), note_of(leaves)).text


@pytest.fixture
def folder(tmp_path):
    made = WitnessFolder.create(tmp_path / "w", "witness.example/w1")
    made.trust(LOG.vkey)
    return made


@contextlib.asynccontextmanager
async def serving(folder):
    runner = await serve_witness(folder, "127.0.0.1", 0)
    try:
        yield "http://{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


def ask(folder, *bodies):
    """Return the status, type and text of each answer."""

    async def asked():
        async with serving(folder) as url, aiohttp.ClientSession() as session:
            answers = []
            for body in bodies:
                async with session.post(f"{url}/add-checkpoint", data=body) as reply:
                    kind = reply.headers["Content-Type"]
                    answers.append((reply.status, kind, await reply.text()))
            return answers

    return asyncio.run(asked())


def test_growth_is_cosigned_with_both_keys(folder):
    first, again, grown = ask(
        folder, submission(0, TRUE[:8]), submission(8, TRUE[:8]), submission(8, TRUE)
    )

    for answer, leaves in ((first, TRUE[:8]), (again, TRUE[:8]), (grown, TRUE)):
        assert answer[0] == 200
        _, found = open_note(note_of(leaves) + answer[2], folder.verifiers)
        assert set(found) == set(folder.verifiers)
        assert all(when > 0 for when in found.values())


def test_each_fault_has_its_own_answer(folder):
    grown = submission(0, TRUE[:8])
    faults = {
        b"": 400,
        b"\xff\xff": 400,
        submission(0, TRUE[:3]).replace("old 0", "old 4").encode(): 400,
        Submission(0, (), note_of(TRUE[:8], KEY, "log.else")).text.encode(): 404,
        Submission(0, (), note_of(TRUE[:8], OTHER)).text.encode(): 403,
        submission(0, TRUE).encode(): 409,
        submission(9, TRUE).encode(): 409,
        submission(8, FALSE[:8]).encode(): 409,
        submission(8, FALSE).encode(): 422,
        Submission(8, (), note_of(TRUE)).text.encode(): 422,
    }

    (first, *_), *answers = ask(folder, grown, *faults)

    assert first == 200
    for expected, (status, kind, text) in zip(faults.values(), answers, strict=True):
        assert status == expected, text
        if status == 409:
            assert (kind, text) == (SIZE_TYPE, "8\n")


def test_what_is_too_large_is_not_read(folder):
    assert ask(folder, io.BytesIO(b"x" * (2**20 + 1)))[0][0] == 413


def test_a_fork_leaves_its_proof_in_the_folder(folder):
    """Two trees of one size, and a larger one that begins otherwise."""
    ask(folder, submission(0, TRUE[:7]), submission(7, FALSE[:7]), submission(7, FALSE))

    proofs = [read_fraud(path) for path in folder.path.glob("fraud-*.json")]

    assert sorted(proof.verify([LOG])[-20:] for proof in proofs) == [
        " does not begin with",
        "fferent trees of size 7"[-20:],
    ]


def test_what_was_seen_outlives_the_server(folder):
    ask(folder, submission(0, TRUE[:8]))

    assert ask(folder, submission(0, FALSE[:6]))[0][::2] == (409, "8\n")


def test_of_two_forks_at_once_one_is_cosigned(folder):
    async def raced():
        async with serving(folder) as url, aiohttp.ClientSession() as session:

            async def post(leaves):
                body = submission(0, leaves)
                async with session.post(f"{url}/add-checkpoint", data=body) as reply:
                    return reply.status

            return await asyncio.gather(*(post(one) for one in (TRUE, FALSE) * 8))

    statuses = asyncio.run(raced())

    assert statuses.count(200) == 1
    assert set(statuses) == {200, 409}


# --- The client ---------------------------------------------------------------------
def policy_of(folder, url, which=0):
    key = folder.verifiers[which].vkey
    text = f"log {LOG.vkey}\nwitness w {key} {url}\nquorum w\n"
    return parse_policy(text.encode())


@pytest.mark.parametrize("which", [0, 1])
def test_a_log_collects_what_its_verifiers_ask_for(folder, tmp_path, which):
    async def collected():
        async with serving(folder) as url:
            rule = policy_of(folder, f"{url}/", which)
            with Log.open(tmp_path / "log", ORIGIN, KEY) as log:
                for size in (1, 1, 300):  # a witness that knows nothing, and more
                    log.append([b"entry"] * size)
                    note = log.checkpoint()
                    lines, failed = await cosignatures(log, note, rule)
                    assert failed == {}
                    assert rule.check(note + lines).checkpoint.size == log.size

    asyncio.run(collected())


def test_a_witness_that_gives_none_is_named_with_the_reason(folder, tmp_path):
    async def collected(name):
        async with serving(folder) as url:
            rule = policy_of(folder, url)
            with Log.open(tmp_path / name, ORIGIN, KEY) as log:
                log.append([name.encode()] * 3)
                return await cosignatures(log, log.checkpoint(), rule)

    assert asyncio.run(collected("one"))[0]
    lines, failed = asyncio.run(collected("another"))

    assert lines == ""
    assert "history" in failed["w"]
    with Log.open(tmp_path / "one", ORIGIN, KEY) as log:
        away = policy_of(folder, "http://127.0.0.1:9")
        lines, failed = asyncio.run(cosignatures(log, log.checkpoint(), away))
    assert lines == ""
    assert "reached" in failed["w"]


# --- The folder and the words -------------------------------------------------------
def test_a_witness_is_made_on_the_command_line(tmp_path, capsys):
    where = str(tmp_path / "w")

    assert main(["witness", "init", where, "--name", "w.example"]) == 0
    vkeys = capsys.readouterr().out.split()
    assert main(["witness", "trust", where, LOG.vkey]) == 0

    folder = WitnessFolder.read(tmp_path / "w")
    assert [one.vkey for one in folder.verifiers] == vkeys
    assert (tmp_path / "w" / "ed25519.pem").stat().st_mode & 0o777 == 0o600
    with folder.open() as witness:
        assert witness.size(ORIGIN) == 0


def test_a_folder_that_is_none_or_taken_is_refused(tmp_path, folder):
    with pytest.raises(InvalidData):
        WitnessFolder.read(tmp_path)
    with pytest.raises(InvalidData):
        WitnessFolder.create(folder.path, "w.example")
    with pytest.raises(InvalidData):
        WitnessFolder.create(tmp_path / "other", "not a name")
    with pytest.raises(InvalidData):
        folder.trust(folder.verifiers[0].vkey)
    with pytest.raises(Refused):
        folder.trust(Verifier.of(ORIGIN, OTHER.public_key(), LOG_SIGNATURE).vkey)


def test_a_fraud_proof_is_checked_on_the_command_line(tmp_path, capsys):
    proof = str(write_fraud(tmp_path, note_of(TRUE[:9]), note_of(FALSE[:9])))
    policy = tmp_path / "policy"
    policy.write_text(f"log {LOG.vkey}\nquorum none\n")
    other = Verifier.of(ORIGIN, OTHER.public_key(), LOG_SIGNATURE).vkey

    assert main(["log", "fraud", proof, "--key", LOG.vkey]) == 0
    assert main(["log", "fraud", proof, "--policy", str(policy)]) == 0
    assert capsys.readouterr().out.count("two different trees of size 9") == 2
    assert main(["log", "fraud", proof, "--key", other]) == 6
