"""A process that is killed at any moment loses nothing that it acknowledged."""

import itertools
import subprocess
import sys
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hetao.ledger.log import Log
from hetao.ledger.merkle import verify_consistency
from hetao.ledger.note import parse_checkpoint, verify_note

ORIGIN = "log.example.org/crash"
KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
SECONDS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.13, 0.16, 0.2, 0.25)

# Every entry names its own index, so that a lost or moved one is seen.
APPENDER = """
import random, sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hetao.ledger.log import Log
key = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
log = Log.open(Path(sys.argv[1]), sys.argv[2], key)
choose = random.Random(int(sys.argv[3]))
print("ready", flush=True)
while True:
    count = choose.choice([1, 1, 7, 256, 300, 2000])
    first = log.size
    assert log.append([b"entry %d" % i for i in range(first, first + count)]) == first
    note = log.checkpoint()
    sys.stdout.write(note.encode().hex() + "\\n")
    sys.stdout.flush()
"""


def run_and_kill(path, seed, seconds):
    """Return the checkpoints that the appender handed out before it was killed."""
    appender = subprocess.Popen(
        [sys.executable, "-c", APPENDER, str(path), ORIGIN, str(seed)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert appender.stdout.readline() == "ready\n"
    time.sleep(seconds)
    appender.kill()
    lines = appender.communicate(timeout=30)[0].split("\n")
    return [checkpoint_of(bytes.fromhex(line).decode()) for line in lines[:-1]]


def checkpoint_of(note):
    return parse_checkpoint(verify_note(note, ORIGIN, KEY.public_key()))


def test_kill_9_loses_no_acknowledged_entry_and_forks_no_checkpoint(tmp_path):
    path = tmp_path / "crash.log"
    seen = []
    for seed, seconds in enumerate(SECONDS):
        seen += run_and_kill(path, seed, seconds)

        with Log.open(path, ORIGIN, KEY) as log:
            seen.append(checkpoint_of(log.checkpoint()))
            assert log.size >= max(checkpoint.size for checkpoint in seen)

    with Log.open(path, ORIGIN, KEY) as log:
        log.fsck()
        assert log.size > 0
        entries = log.entries(0, log.size)
        assert entries == [b"entry %d" % i for i in range(log.size)]
        for old, new in itertools.pairwise(seen):
            proof = log.consistency(old.size, new.size)
            verify_consistency(old.size, new.size, old.root, new.root, proof)


def test_a_killed_maker_leaves_a_log_that_opens(tmp_path):
    """Killed while it makes the two files, at whatever point it had reached."""
    for seed in range(4):
        path = tmp_path / f"made{seed}.log"
        maker = subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(path), ORIGIN, str(seed)],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while not any(tmp_path.glob(f"{path.name}*")) and time.monotonic() < deadline:
            time.sleep(0.0005)
        time.sleep(0.002 * seed)
        maker.kill()
        maker.wait(timeout=30)

        with Log.open(path, ORIGIN, KEY) as log:
            log.append([b"entry %d" % log.size])
            log.fsck()
