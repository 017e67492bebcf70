"""Commit to the acts of a big extract, open some, and the floor in the same run.

    python benchmarks/bench_provenance.py [--rows 10000000] [--people 200000]

The extract is stored in order of person, visit and key. The floor is what SHA-256 alone
takes for the same bytes and tree, and what DuckDB takes to write the same texts.
"""

import argparse
import hashlib
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hetao.cdm.acts import act_rows_plan
from hetao.cdm.committing import Extract, acts_folder, commit_acts
from hetao.cdm.engine_duckdb import DuckDBEngine, connect_read_only
from hetao.cdm.store import Manifest
from support_acts import write_many_acts

DIGEST = "sha256:" + "ab" * 32
MANIFEST = Manifest("s", DIGEST, "omop-5.4", "", "", "", "2026-01-01", {}, "")


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timed(what, work):
    """Run something once; return its CPU seconds, after saying them."""
    before, began = cpu(), time.perf_counter()
    result = work()
    spent, wall = cpu() - before, time.perf_counter() - began
    print(f"{what:48} {spent:8.2f} CPU-s {wall:8.2f} s")
    return result, spent


def floor_of_hashing(acts, size):
    """Hash that many acts of that size, and fold a tree over them."""
    data, sha = os.urandom(32 + size), hashlib.sha256
    level = [sha(b"\0" + data).digest() for _ in range(acts)]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [sha(b"\1" + left + right).digest() for left, right in pairs]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--people", type=int, default=200_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hetao-acts-") as name:
        run(Path(name), chosen)


def run(folder, chosen):
    timed(
        "making the extract",
        lambda: write_many_acts(folder, people=chosen.people, rows=chosen.rows),
    )
    engine = DuckDBEngine(connect_read_only(folder / "cdm.duckdb"))
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    master = os.urandom(32)
    commitment, spent = timed(
        f"committing to {chosen.rows} rows",
        lambda: commit_acts(engine, folder, MANIFEST, master),
    )
    rows = act_rows_plan(commitment.used, "TRUE", own=True)
    ((length,),), text = timed(
        "floor: DuckDB writes the same texts",
        lambda: engine.connection.execute(
            f"SELECT sum(length(cells)) FROM ({rows}) r"  # noqa: S608
        ).fetchall(),
    )
    mean = int(length) // commitment.acts
    _, sha = timed(
        f"floor: SHA-256 of as many acts of {mean} bytes",
        lambda: floor_of_hashing(commitment.acts, mean),
    )
    print(f"{commitment.acts} acts of {commitment.people} people, {spent:.1f} CPU-s")
    print(f"floor {text + sha:.1f} CPU-s: {spent / (text + sha):.2f} times the floor")
    home = acts_folder(folder, DIGEST)
    for part in sorted(home.iterdir()):
        size = part.stat().st_size
        each = size / commitment.acts
        print(f"  kept {part.name:16} {size:12} bytes, {each:.4f} an act")
    extract = Extract(commitment, home, engine, master)
    open_some(extract)


def open_some(extract):
    """Open acts all over the extract, as one process does that holds it open."""
    size = extract.commitment.acts
    published = bytes.fromhex(extract.commitment.root.removeprefix("sha256:"))
    walls, cpus = [], []
    for n in range(21):
        index = (n * 7919 * 127) % size
        before, began = cpu(), time.perf_counter()
        opened = extract.open(index)
        walls.append(time.perf_counter() - began)
        cpus.append(cpu() - before)
        opened.check(published)
    print(f"first act opened in {1000 * walls[0]:.1f} ms")
    print(
        f"one act opened in {1000 * statistics.median(walls[1:]):.1f} ms, "
        f"{1000 * statistics.median(cpus[1:]):.1f} ms CPU (median of 20)"
    )
    print(f"proof {32 * len(opened.path)} bytes, {len(opened.path)} hashes")


if __name__ == "__main__":
    main()
