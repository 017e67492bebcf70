"""How soon a revocation in mid-study is heeded, over HTTPS, at the real turns of 1.5 s.

    python benchmarks/bench_revocation.py [TIMES]

Two hubs, three sites and a coordinator, mutual TLS 1.3 on this machine. A study is held
up in its second round; the revocation is laid into the folder of one site, at a random
moment between two turns. Told are the seconds until every site has destroyed what it
kept, both hubs hold the notice, and the coordinator has ended the run.
"""

import functools
import random
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from hetao.federation.gossip import GOSSIP_SECONDS
from support_revocation import SITES, revoked_midway
from support_transport import HttpsNet, play


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    draw = random.Random(2026)
    last: dict[str, list[float]] = {}
    for number in range(times):
        scene = functools.partial(
            revoked_midway,
            teller=SITES[number % len(SITES)],
            wait_seconds=draw.uniform(0, GOSSIP_SECONDS),
        )
        with tempfile.TemporaryDirectory() as folder:
            heard = play(HttpsNet, Path(folder), scene)
        if any(before != after for before, after in heard.sums.values()):
            raise SystemExit("something was released after the revocation")
        for kind in ("site", "hub", "coordinator"):
            found = [s for name, s in heard.seconds.items() if name.startswith(kind)]
            last.setdefault(kind, []).append(max(found))
        last.setdefault("everybody", []).append(max(heard.seconds.values()))
    print(f"{times} revocations, the last of each kind, in seconds")
    for kind, found in last.items():
        middle, worst = statistics.median(found), max(found)
        print(f"  {kind:<12} median {middle:.2f}  worst {worst:.2f}")


if __name__ == "__main__":
    main()
