"""The log: appends, proofs and fsck, each beside what the machine allows.

    python benchmarks/bench_log.py [--entries 1000000] [--page docs/benchmarks/log.md]

The floors are measured in the same run, on the same disk, between the figures: SHA-256
as Python calls it, once for a leaf and once for a node, for no log hashes less; and a
write and `fdatasync` of as many bytes, twice, for the log's file and its head must each
be safe before an append returns. The best of several repetitions of each.
"""

import argparse
import datetime
import os
import platform
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from io import FileIO
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hetao.ledger.log import Log
from hetao.ledger.merkle import leaf_hash, verify_inclusion
from hetao.ledger.note import parse_checkpoint, parse_note

LENGTH = 200  # bytes of an entry
BATCH = 4096
WRITERS = 64
SECONDS = 3.0  # of acknowledgements, a repetition
REPEATS = 3
PROOFS = 500
KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)


def hashing() -> float:
    """Return the seconds of CPU of one leaf hash and one node hash."""
    entry, node = bytes(LENGTH + 1), bytes(65)
    count, best = 100_000, float("inf")
    for _ in range(REPEATS):
        start = time.process_time()
        for _ in range(count):
            sha256(entry).digest()
            sha256(node).digest()
        best = min(best, (time.process_time() - start) / count)
    return best


def syncing(folder: Path, size: int, count: int = 40) -> float:
    """Return the median seconds of a write of so many bytes and its fdatasync."""
    data, times = os.urandom(size), []
    path = folder / "floor"
    with path.open("wb", buffering=0) as file:
        for _ in range(count):
            start = time.perf_counter()
            file.write(data)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - start)
    path.unlink()
    return statistics.median(times)


def batches(log: Log, entries: int, folder: Path) -> tuple[float, float, float]:
    """Append so many entries by the batch, and do the floor's work after each.

    Returns:
        The median seconds of a batch; its mean seconds of CPU; and the median seconds
        of the floor's work for as much.
    """
    choose = random.Random(1)
    walls, floors, cpu = [], [], 0.0
    with (folder / "floor").open("wb", buffering=0) as file:
        for _ in range(entries // BATCH):
            batch = [choose.randbytes(LENGTH) for _ in range(BATCH)]
            start, begun = time.perf_counter(), time.process_time()
            log.append(batch)
            walls.append(time.perf_counter() - start)
            cpu += time.process_time() - begun
            floors.append(floor_of_a_batch(batch, file))
    return statistics.median(walls), cpu / len(walls), statistics.median(floors)


def floor_of_a_batch(batch: list[bytes], file: FileIO) -> float:
    """Return the seconds that hashing a batch and putting it on the disk takes."""
    data, node = b"".join(batch), bytes(65)
    start = time.perf_counter()
    for entry in batch:
        sha256(entry).digest()
        sha256(node).digest()
    for part in (data, data[:8192]):
        file.write(part)
        os.fdatasync(file.fileno())
    took = time.perf_counter() - start
    file.truncate(0)
    file.seek(0)
    return took


def acknowledgements(log: Log) -> tuple[float, list[float]]:
    """Return the acknowledgements a second that 64 writers got, and each one's wait."""
    waits: list[float] = []
    end = time.perf_counter() + SECONDS

    def write() -> None:
        mine = []
        while time.perf_counter() < end:
            start = time.perf_counter()
            log.append([bytes(LENGTH)])
            mine.append(time.perf_counter() - start)
        waits.extend(mine)

    threads = [threading.Thread(target=write) for _ in range(WRITERS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(waits) / (time.perf_counter() - start), sorted(waits)


def each(work: Callable[[int], object], asked: list[int]) -> float:
    """Return the median seconds of CPU of a call."""
    times = []
    for one in asked:
        start = time.process_time()
        work(one)
        times.append(time.process_time() - start)
    return statistics.median(times)


def rows(folder: Path, entries: int) -> list[tuple[str, str, str, str]]:
    """Measure; return what, the figure, the floor and their ratio."""
    found = []
    path = folder / "bench.log"
    with Log.open(path, "log.example.org/bench", KEY) as log:
        # --- batches
        before = hashing()
        wall, cpu, floor = batches(log, entries, folder)
        hashed = (before + hashing()) / 2
        what = f"durable appends, {BATCH:,} a batch"
        found.append(row(what, BATCH / wall, BATCH / floor))
        found.append(row("the same, by processor time", BATCH / cpu, 1 / hashed))
        # --- single appends
        runs = []
        for _ in range(REPEATS):
            disk = 2 * syncing(folder, 16384)
            runs.append((*acknowledgements(log), WRITERS / disk))
        rate, waits, most = max(runs, key=lambda run: run[0])
        what = f"acknowledgements, {WRITERS} writers of one entry"
        found.append(row(what, rate, most))
        median, late = waits[len(waits) // 2], waits[len(waits) * 99 // 100]
        found.append(
            ("their wait, median and 99th of 100", f"{ms(median)}, {ms(late)}", "", "")
        )
        # --- proofs
        size = log.size
        choose = random.Random(2)
        asked = [choose.randrange(1, size) for _ in range(PROOFS)]
        found.append(
            (
                f"inclusion proof among {size:,}",
                ms(each(log.inclusion, asked)),
                "",
                "",
            )
        )
        found.append(
            (
                f"consistency proof to {size:,}",
                ms(each(log.consistency, asked)),
                "",
                "",
            )
        )
        top = parse_checkpoint(parse_note(log.checkpoint())[0]).root
        proofs = {i: (leaf_hash(log.entry(i)), log.inclusion(i)) for i in asked}
        verified = each(lambda i: verify_inclusion(i, size, *proofs[i], top), asked)
        found.append(("verifying one", ms(verified), "", ""))
        # --- everything
        before = hashing()
        start = time.process_time()
        log.fsck()
        took = time.process_time() - start
        hashed = (before + hashing()) / 2
        found.append(row("fsck, by processor time", size / took, 1 / hashed))
    start = time.process_time()
    Log.open(path, "log.example.org/bench", KEY).close()
    found.append(("opening it again", ms(time.process_time() - start), "", ""))
    kept = path.stat().st_size / size
    found.append((f"kept for an entry of {LENGTH} bytes", f"{kept:.0f} bytes", "", ""))
    return found


def row(what: str, rate: float, floor: float) -> tuple[str, str, str, str]:
    """Return a row of a rate and its floor."""
    return what, f"{rate:,.0f}/s", f"{floor:,.0f}/s", f"{rate / floor:.0%}"


def ms(seconds: float) -> str:
    """Return seconds as milliseconds."""
    return f"{seconds * 1000:.3g} ms"


def page(found: list[tuple[str, str, str, str]]) -> str:
    """Return the figures as a page."""
    when = datetime.datetime.now(datetime.UTC).date()
    lines = [
        "# The log beside what the machine allows",
        "",
        "Written by `python benchmarks/bench_log.py --page docs/benchmarks/log.md`,"
        f" {when}, on {os.cpu_count()}",
        f"processors, {platform.system()} {platform.machine()}, where"
        f" {os.getloadavg()[0]:.0f} processes wanted to run.",
        "`make bench` prints the same. On a machine with other work to do, times are",
        "waits for it, and only what is said to be by processor time holds.",
        "",
        "The allowed figure is work that no such log can do without, in the same run:",
        "for an entry a SHA-256 of its leaf and of a node, as Python calls it; for a",
        "commit a write and `fdatasync` of as many bytes, for log and head.",
        "",
        "| what | measured | the machine allows | share |",
        "|---|---:|---:|---:|",
        *(f"| {' | '.join(one)} |" for one in found),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and print; write the page if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as scratch:
        found = rows(Path(scratch), chosen.entries)
    for what, figure, floor, share in found:
        print(f"{what:45} {figure:>22} {floor:>14} {share:>6}")
    if chosen.page:
        chosen.page.write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
