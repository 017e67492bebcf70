"""A million random things done about permits, and the gate asked throughout.

    python benchmarks/operations.py [OPERATIONS] [--seed 1]

People approve, suspend, renew and revoke with real keys, rightly and wrongly; a hub
brings a site all of it, a part of it, or forgeries; sums ask to leave, sound ones and
spoilt ones. Each answer of the real gate is held to a second statement of the rules
(`tests/support_operations.py`). `tests/attack/test_random_operations.py` runs a few
thousand.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support_operations import Machine, remembered

CHUNK = 20_000  # operations of one machine, whose memory goes with it


def operated(operations: int, seed: int) -> Counter[str]:
    """Return what was done, by kind; raise at the first wrong answer.

    Raises:
        AssertionError: an unapproved release, or one refused for nothing.
    """
    done: Counter[str] = Counter()
    for start in range(0, operations, CHUNK):
        machine = Machine(seed + start // CHUNK)
        with remembered():
            machine.steps(min(CHUNK, operations - start))
        done += machine.done
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("operations", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    start = time.process_time()
    done = operated(asked.operations, asked.seed)
    seconds = time.process_time() - start
    print(f"{done.total():,} operations: {dict(done)}")
    print(f"0 unapproved releases, 0 refused for nothing, {seconds:.0f} s")


if __name__ == "__main__":
    main()
