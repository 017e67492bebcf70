"""Let one party rewrite a record that it told, many times over; count who finds it.

    python benchmarks/bench_tampering.py [TIMES]

Each time: four parties with logs of their own, two heartbeats, one party writes its
log anew with one record changed, left out, added, moved, or cut off with all after it,
signs it with its own key, perhaps goes on; one heartbeat. Found means that another
party names exactly this one; proved, that a fraud proof of its log verifies. A log that
was only cut short contradicts nothing that it signed, and cannot be proved.
"""

import asyncio
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hetao.errors import Unverified
from hetao.ledger.fraud import read_fraud
from support_records import Records, cast, fill, keys_of_cast, tampering


def main(times: int) -> int:
    """Print how many were found, and in how many somebody else was named."""
    identities, trusted = cast()
    found: Counter[str] = Counter()
    for seed in range(times):
        with tempfile.TemporaryDirectory() as folder:
            records = Records(Path(folder), identities, trusted)
            rng = random.Random(seed)
            fill(records, rng.randint(2, 12))
            for _ in range(2):
                asyncio.run(records.beat())
            name, _ = tampering(records, rng)
            asyncio.run(records.beat())
            accused = records.accused().values()
            found["found"] += any(name in whom for whom in accused)
            found["wronged"] += any(whom - {name} for whom in accused)
            found["proved"] += is_proved(Path(folder), keys_of_cast(trusted, name))
            records.close()
    print(
        f"{times} rewritten records: {found['found']} found beyond one heartbeat, "
        f"{found['proved']} proved by two checkpoints, {found['wronged']} times "
        "somebody else was named"
    )
    return 0 if found["found"] == times and not found["wronged"] else 1


def is_proved(folder: Path, keys: object) -> bool:
    """Return whether a fraud proof in any party's folder holds."""
    for path in folder.glob("*/fraud-*.json"):
        try:
            read_fraud(path).verify(keys)
        except Unverified:
            continue
        return True
    return False


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 300))
