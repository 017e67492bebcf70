"""A log that is killed and loses power: what was acknowledged must be there afterwards.

    python benchmarks/crash.py [--kills 1000] [--cuts 2000] [--seed 1]

A kill is SIGKILL to a process in which three threads append. A power cut is simulated
below SQLite: of what was not synced any part is gone, torn or there out of order. The
same cuts with synchronous=NORMAL show that the simulation would find a loss. Then each
operation of the disk fails in turn, in three ways. `tests/attack/test_log_power.py`
runs a slice of each.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support_crash import Toll, cut_power, fail_everywhere, kill

NORMAL_CUTS = 300  # of which a third and more harm a log


def main() -> int:
    """Print a line for each kind of harm; exit with 1 where there was any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--cuts", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        harm = say("kill -9", lambda: kill(chosen.seed, chosen.kills, folder))
        harm += say("power cut", lambda: cut_power(chosen.seed, chosen.cuts, folder))
        harm += say("disk fails", lambda: fail_everywhere(folder))
        found = say(
            "power cut, NORMAL",
            lambda: cut_power(chosen.seed, NORMAL_CUTS, folder, normal=True),
        )
    return 1 if harm or not found else 0


def say(name, run):
    """Print what happened to the logs, and return how many were harmed."""
    start = time.monotonic()
    toll: Toll = run()
    print(
        f"{name:18} {toll.cuts:5} times, {toll.hit:5} amid appends;"
        f" {toll.acknowledged:6} appends acknowledged; logs harmed: {toll.harm}"
        f" ({toll.lost} lost, {toll.forked} forked, {toll.damaged} refused or damaged)"
        f"  {time.monotonic() - start:.0f} s",
        flush=True,
    )
    for line in dict.fromkeys(toll.said):
        print(f"    {line}")
    return toll.harm


if __name__ == "__main__":
    sys.exit(main())
