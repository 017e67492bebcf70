"""What the second key of a log costs: bytes, signing, verifying, an append.

    python benchmarks/bench_second_key.py

Milliseconds of processor time, the best of five repetitions; the logs lie where
temporary files do.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from hetao.ledger.log import Log
from hetao.ledger.log_signer import LogKeys, signer_of
from hetao.ledger.note import Checkpoint, open_note

COUNT, REPEATS = 400, 5


def best(work: Callable[[], object]) -> float:
    """Return the milliseconds of CPU that one call takes."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        for _ in range(COUNT):
            work()
        times.append((time.process_time() - start) / COUNT * 1000)
    return min(times)


def measured(keys: LogKeys) -> str:
    """Return a sentence of figures for a log with these keys."""
    tree = Checkpoint("log.example.org", 8, bytes(32))
    signer = signer_of(tree.origin, keys)
    note = signer.sign(tree)
    sign = best(lambda: signer.sign(tree))
    verify = best(lambda: open_note(note, signer.verifiers))
    with (
        tempfile.TemporaryDirectory() as folder,
        Log.open(Path(folder) / "log", tree.origin, keys) as log,
    ):
        append = best(lambda: log.append([bytes(200)]))
    return (
        f"{len(note)} bytes, signed in {sign:.3f} ms, verified in {verify:.3f} ms; "
        f"an append of one entry takes {append:.3f} ms"
    )


def main() -> None:
    """Print both."""
    first, second = Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate()
    print("Ed25519 alone:          ", measured(first))
    print("with ML-DSA-44 beside it:", measured((first, second)))


if __name__ == "__main__":
    main()
