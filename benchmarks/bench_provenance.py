"""Commit to a big extract's acts, open some, and the floor in the same run.

    python benchmarks/bench_provenance.py [--rows 10000000] [--people 200000] [--mixed]

Ten rows a visit, all measurements; with --mixed one each is the visit, a diagnosis, a
drug and a procedure instead, so that an act has rows of five tables. Stored in order of
person, visit and key, as a curation stores them. The floor is what SHA-256 alone takes
for as many bytes and the tree, and DuckDB to hand over the same columns.
"""

import argparse
import hashlib
import os
import resource
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from nanoarrow import c_array_stream

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hetao.cdm.acts import act_rows_plan, act_tables
from hetao.cdm.committing import acts_folder, commit_acts, find_commitment
from hetao.cdm.engine_duckdb import DuckDBEngine, connect, connect_read_only
from hetao.cdm.extract import Extract
from hetao.cdm.plan import translate
from hetao.cdm.store import Manifest
from support_acts import write_many_acts

DRAWS = 300  # acts of an audit that finds 1 % of falsified acts by 95 %
ASKED = 0.2  # bytes that may be kept an act
PROCESSES = 7  # each of which opens one act
DIGEST = "sha256:" + "ab" * 32
# What takes the place of a measurement, by its number modulo 10: columns that are
# written, and what they are of a measurement.
MIXED = {
    "visit_occurrence": """visit_occurrence_id, person_id, visit_concept_id,
        visit_start_date, visit_start_datetime, visit_end_date, visit_end_datetime,
        visit_type_concept_id, visit_source_value
        : coalesce(visit_occurrence_id, measurement_id), person_id, 9201,
        measurement_date, measurement_datetime, measurement_date, measurement_datetime,
        32817, 'INPATIENT'""",
    "condition_occurrence": """condition_occurrence_id, person_id,
        condition_concept_id, condition_start_date, condition_start_datetime,
        condition_type_concept_id, visit_occurrence_id, condition_source_value
        : measurement_id, person_id, 201826, measurement_date, measurement_datetime,
        32817, visit_occurrence_id, 'E11.9'""",
    "drug_exposure": """drug_exposure_id, person_id, drug_concept_id,
        drug_exposure_start_date, drug_exposure_start_datetime, drug_exposure_end_date,
        drug_type_concept_id, quantity, visit_occurrence_id, drug_source_value
        : measurement_id, person_id, 1503297, measurement_date, measurement_datetime,
        measurement_date, 32817, value_as_number, visit_occurrence_id, 'A10BA02'""",
    "procedure_occurrence": """procedure_occurrence_id, person_id,
        procedure_concept_id, procedure_date, procedure_datetime,
        procedure_type_concept_id, visit_occurrence_id, procedure_source_value
        : measurement_id, person_id, 4107731, measurement_date, measurement_datetime,
        32817, visit_occurrence_id, '88.76'""",
}
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


def write_extract(folder, chosen):
    """Write the tables; the concept of a measurement tells its place in a visit."""
    write_many_acts(folder, people=chosen.people, rows=chosen.rows)
    if chosen.mixed:
        place = "(measurement_concept_id - 3004410) % 10"
        with connect(folder / "cdm.duckdb") as connection:
            for number, (table, columns) in enumerate(MIXED.items()):
                written, taken = columns.split(":")
                connection.execute(
                    f"INSERT INTO {table} ({written}) SELECT {taken} FROM measurement "  # noqa: S608
                    f"WHERE {place} = {number}"
                )
            connection.execute(
                f"CREATE TABLE kept AS FROM measurement WHERE {place} >= {number + 1}"
            )
            connection.execute("TRUNCATE measurement")
            connection.execute("INSERT INTO measurement FROM kept")
            connection.execute("DROP TABLE kept")


def hand_over(engine, used):
    """Have DuckDB hand over the columns of all rows of acts."""
    for name, columns in used.items():
        plan = act_rows_plan(act_tables()[name], columns, own=True)
        for _ in c_array_stream(engine.connection.sql(translate(plan, engine.name))):
            pass


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
    parser.add_argument("--mixed", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hetao-acts-") as name:
        run(Path(name), chosen)


def run(folder, chosen):
    timed(
        "making the extract",
        lambda: write_extract(folder, chosen),
    )
    engine = DuckDBEngine(connect_read_only(folder / "cdm.duckdb"))
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    master = os.urandom(32)
    commitment, spent = timed(
        f"committing to {chosen.rows} rows",
        lambda: commit_acts(engine, folder, MANIFEST, master),
    )
    extract = Extract(commitment, acts_folder(folder, DIGEST), engine, master)
    mean = open_some(extract)
    open_first(folder, commitment.acts, master)
    wanted = [n * 7919 * 127 % commitment.acts for n in range(DRAWS)]
    timed(f"{DRAWS} acts by themselves", lambda: [extract.open(n) for n in wanted])
    timed(f"{DRAWS} acts together", lambda: list(extract.open_all(wanted)))
    _, rows = timed(
        "floor: DuckDB hands over the same columns",
        lambda: hand_over(engine, commitment.used),
    )
    _, sha = timed(
        f"floor: SHA-256 of as many acts of {mean} bytes",
        lambda: floor_of_hashing(commitment.acts, mean),
    )
    print(f"{commitment.acts} acts of {commitment.people} people, {spent:.1f} CPU-s")
    print(f"floor {rows + sha:.1f} CPU-s: {spent / (rows + sha):.2f} times the floor")
    say_kept(extract.folder, commitment.acts)


def say_kept(folder, acts):
    """Say how many bytes every file of a commitment has, and all together."""
    sizes = {part.name: part.stat().st_size for part in sorted(folder.iterdir())}
    for name, size in [*sizes.items(), ("all together", sum(sizes.values()))]:
        print(f"  kept {name:16} {size:12} bytes, {size / acts:.4f} an act")
    print(f"  asked: at most {ASKED} an act")


def open_some(extract):
    """Open acts all over the extract, as one process does that holds it open.

    Returns how many bytes an act has, on average.
    """
    size = extract.commitment.acts
    published = bytes.fromhex(extract.commitment.root.removeprefix("sha256:"))
    walls, cpus, sizes = [], [], []
    for n in range(21):
        index = (n * 7919 * 127) % size
        before, began = cpu(), time.perf_counter()
        opened = extract.open(index)
        walls.append(time.perf_counter() - began)
        cpus.append(cpu() - before)
        sizes.append(len(opened.act))
        opened.check(published)
    print(f"first act opened in {1000 * walls[0]:.1f} ms, by who committed")
    print(
        f"one act opened in {1000 * statistics.median(walls[1:]):.1f} ms, "
        f"{1000 * statistics.median(cpus[1:]):.1f} ms CPU (median of 20)"
    )
    print(f"proof {32 * len(opened.path)} bytes, {len(opened.path)} hashes")
    return sum(sizes) // len(sizes)


def open_first(folder, acts, master):
    """Open one act in each of some new processes, once all code is loaded."""
    found = []
    for n in range(PROCESSES):
        index, new = (n + 1) * acts // (PROCESSES + 1), get_context("spawn")
        with ProcessPoolExecutor(1, new) as pool:
            asked = pool.submit(first_of_a_process, folder, index, master)
            found.append(asked.result())
    wall, spent = (1000 * statistics.median(each) for each in zip(*found, strict=True))
    print(
        f"first act of a new process opened in {wall:.1f} ms, {spent:.1f} ms CPU "
        f"(median of {PROCESSES}; the file of tables was open)"
    )


def first_of_a_process(folder, index, master):
    """Return how long one act takes, in seconds and in CPU seconds."""
    engine = DuckDBEngine(connect_read_only(folder / "cdm.duckdb"))
    commitment = find_commitment(folder, DIGEST)
    extract = Extract(commitment, acts_folder(folder, DIGEST), engine, master)
    before, began = cpu(), time.perf_counter()
    opened = extract.open(index)
    wall, spent = time.perf_counter() - began, cpu() - before
    opened.check(bytes.fromhex(commitment.root.removeprefix("sha256:")))
    return wall, spent


if __name__ == "__main__":
    main()
