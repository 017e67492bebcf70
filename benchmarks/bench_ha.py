"""One study at the Hospital Authority's scale, against the machine's own floor.

    python benchmarks/bench_ha.py [--persons 11e6] [--sites 166] [--curves] [--keep]

A made-up population over 43 hospitals and 123 clinics, each with a database, keys, a
journal and a log of its own; two hubs; one coordinator. Everything goes through the
gate, the sealed sum and the logs that a network uses; the sites share one worker
process a processor, and envelopes are handed over through pipes. Beside it, in the same
run, the floor: bare SQL over the same rows in one database, and numpy for the fits.

With `--curves`, smaller populations and fewer sites are measured too, and drawn.
"""

import argparse
import asyncio
import contextlib
import functools
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

# Sites at work share the processors: threads of numpy's own would only be in the way.
# It reads these when it is imported.
BLAS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
os.environ.update(dict.fromkeys(BLAS, "1"))

import duckdb  # noqa: E402
from ha import curation, floor, picture  # noqa: E402
from ha.workers import Workers  # noqa: E402

from hetao.cdm import open_tables  # noqa: E402
from hetao.federation.embedded import run_embedded  # noqa: E402
from hetao.release import policy_from  # noqa: E402
from hetao.study import read_study  # noqa: E402
from hetao.synth import Population, allot, read_sites, shipped_world  # noqa: E402
from hetao.synth.tables import write_tables  # noqa: E402

HERE = Path(__file__).parent
OUT = HERE.parent / "out" / "bench-ha"
SEED = 2026
TABLES = (
    "person",
    "observation_period",
    "death",
    "visit_occurrence",
    "condition_occurrence",
    "drug_exposure",
    "measurement",
    "procedure_occurrence",
)
EVENTS = TABLES[3:]
# Small populations over many sites leave clinics of a few hundred people; their curves
# are measured under open policies, the headline under the strict one but for leverage.
LEAST = {"people": 1, "cell": 1, "events": 1, "share": 1.0, "leverage": 1.0}
OPEN = {"reason": "made-up people", "minimum": LEAST}
# Of 123 clinics some have one very old patient who decides half of a fitted value.
HEADLINE = {"reason": "made-up people", "minimum": {"leverage": 1.0}}
COVARIATES = ("age", "sex", "egfr", "systolic", "visits")


def say(text):
    """Print a line at once."""
    print(text, flush=True)


class Clock:
    """Wall and processor time since the last lap, of this process and of others."""

    def __init__(self, others=lambda: 0.0):
        self._others = others
        self._wall, self._cpu = time.perf_counter(), time.process_time() + others()

    def lap(self):
        """Return (wall, processor) seconds since the last call."""
        wall, cpu = time.perf_counter(), time.process_time() + self._others()
        found = (wall - self._wall, cpu - self._cpu)
        self._wall, self._cpu = wall, cpu
        return found


def chosen_sites(count, persons):
    """Return so many sites, hospitals and clinics in proportion, with their people."""
    every = read_sites("ha")
    if count < len(every):
        hospitals = [site for site in every if site.kind == "hospital"]
        clinics = [site for site in every if site.kind == "clinic"]
        first = max(1, round(count * len(hospitals) / len(every)))
        every = (*hospitals[:first], *clinics[: count - first])
    return allot(tuple(every), persons)


def write_site(population, site, out):
    """Write one site's tables; return their rows and the processor time it took."""
    start, folder = time.process_time(), out / site.name
    folder.mkdir(parents=True)
    written = write_tables(population, site, folder / "cdm.duckdb")
    return written.rows, time.process_time() - start


def generate(population, out):
    """Write every site's tables, in as many processes as there are processors."""
    clock, rows, cpu = Clock(), dict.fromkeys(TABLES, 0), 0.0
    largest_first = sorted(population.sites, key=lambda site: -site.people)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context) as pool:
        each = functools.partial(write_site, population, out=out)
        for number, (found, spent) in enumerate(pool.map(each, largest_first), 1):
            cpu += spent
            for table in TABLES:
                rows[table] += found.get(table, 0)
            if number % 20 == 0 or number == len(largest_first):
                say(f"  {number}/{len(largest_first)} sites written")
    wall, _ = clock.lap()
    size = sum(path.stat().st_size for path in out.rglob("cdm.duckdb"))
    return {"wall": wall, "cpu": cpu, "rows": rows, "bytes": size}


def pool(population, out, path):
    """Bring all sites' rows into one database, as nobody may in life."""
    clock = Clock()
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET preserve_insertion_order = false")
        for number, site in enumerate(population.sites):
            here = out / site.name / "cdm.duckdb"
            connection.execute(f"ATTACH '{here}' AS one (READ_ONLY)")
            for table in TABLES:
                more = f", '{site.name}' AS site" if table == "person" else ""
                verb = f"INSERT INTO {table}" if number else f"CREATE TABLE {table} AS"
                rows = f"SELECT *{more} FROM one.{table}"  # noqa: S608 - our own names
                connection.execute(f"{verb} {rows}")
            if number == 0:
                for table in ("concept", "concept_ancestor"):
                    connection.execute(f"CREATE TABLE {table} AS FROM one.{table}")
            connection.execute("DETACH one")
    return clock.lap()


def study_for(sites, folder):
    """Return the benchmark's study over these sites."""
    names = (*COVARIATES, *floor.CONDITIONS, *floor.DRUGS)
    tables = [
        f'[variables.{name}]\nsource = "condition"\nconcepts = ["{name}"]\n'
        "window_days = [-3650, 0]\n"
        for name in floor.CONDITIONS
    ] + [
        f'[variables.{name}]\nsource = "drug"\nconcepts = ["{name}"]\n'
        "window_days = [-365, -1]\n"
        for name in floor.DRUGS
    ]
    terms = [f"{n}/10" if floor.NUMBERS.get(n) == 10.0 else n for n in names]
    text = (HERE / "ha" / "study.toml").read_text("utf-8")
    filled = {
        "@covariates@": "\n".join(tables),
        "@covariate_names@": ", ".join(f'"{name}"' for name in names),
        "@terms@": ", ".join(f'"{term}"' for term in terms),
        "@sites@": ", ".join(f'"{site.name}"' for site in sites),
    }
    for mark, words in filled.items():
        text = text.replace(mark, words)
    path = folder / "study.toml"
    path.write_text(text, "utf-8")
    return read_study(path)


def opened(path):
    """Open one site's tables with one thread: sites at work share the processors."""
    tables = open_tables(path)
    tables.connection.execute("SET threads = 1")
    return tables


def federated(study, sites, out, folder, *, strict):
    """Carry out the study over its sites; return findings, laps and bytes."""
    workers = Workers({site.name: site.people for site in sites})
    clock, laps, last = Clock(workers.cpu), [], ["begin"]

    def heard(text):
        laps.append((last[0], *clock.lap()))
        last[0] = text.partition(",")[0]

    sources = {
        name: functools.partial(opened, out / name / "cdm.duckdb")
        for name in study.sites
    }
    policy = policy_from(HEADLINE if strict else OPEN, "bench")
    policies = dict.fromkeys(study.sites, policy)
    start = Clock(workers.cpu)
    answered = asyncio.run(
        run_embedded(
            study,
            sources,
            folder,
            policies=policies,
            say=heard,
            housing=workers.housing,
        )
    )
    laps.append((last[0], *clock.lap()))
    wall, cpu = start.lap()
    spent, peak = workers.end()
    outcome = answered.outcome
    findings = {answer.finding.analysis: answer for answer in outcome.answers}
    effect = findings["effect"].finding.payload["terms"][0]
    return {
        "wall": wall,
        "cpu": cpu,
        "laps": laps,
        "cohort_share": spent["cohort"] / spent["all"],
        "peak_bytes": peak + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "people": findings["effect"].finding.payload["n"],
        "events": findings["effect"].finding.payload["events"],
        "estimate": effect["estimate"],
        "se": effect["se"],
        "rounds": {name: found.rounds for name, found in findings.items()},
        "messages": outcome.messages,
        "share_bytes": sum(outcome.bytes_per_site.values()),
        "certificate_bytes": len(answered.certificate),
        "journal_bytes": sum(
            path.stat().st_size for path in folder.rglob("*") if path.is_file()
        ),
    }


def run_floor(path):
    """Carry out the floor on the pooled rows; return its findings and seconds."""
    with duckdb.connect(str(path), read_only=True) as connection:
        clock = Clock()
        found = floor.run(connection)
        found["wall"], found["cpu"] = clock.lap()
    return found


@contextlib.contextmanager
def all_threads():
    """Let a process that begins meanwhile use every processor in numpy."""
    kept = {name: os.environ.pop(name) for name in BLAS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def measure(persons, count, root, *, strict):
    """Measure one population over so many sites; return everything found."""
    folder = root / f"{persons}-{count}"
    folder.mkdir()
    population = Population(shipped_world(), chosen_sites(count, persons), SEED)
    say(f"{persons:,} people over {count} sites")
    made = generate(population, folder / "sites")
    events = sum(made["rows"][table] for table in EVENTS)
    say(f"  generated in {made['wall']:.0f} s: {events:,} events, {made['bytes']:,} B")
    study = study_for(population.sites, folder)
    site_run = federated(
        study, population.sites, folder / "sites", folder / "run", strict=strict
    )
    say(f"  study {site_run['wall']:.1f} s, {site_run['cpu']:.1f} s of processor")
    shutil.rmtree(folder / "run")
    pooled_path = folder / "pooled.duckdb"
    pool(population, folder / "sites", pooled_path)
    shutil.rmtree(folder / "sites")
    # In a process of its own, so that numpy has all processors for the floor.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool_of_one, all_threads():
        bare = pool_of_one.submit(run_floor, pooled_path).result()
    pooled_path.unlink()
    say(f"  floor {bare['wall']:.1f} s, {bare['cpu']:.1f} s of processor")
    return {
        "persons": persons,
        "sites": count,
        "events": events,
        "generation": made,
        "study": site_run,
        "floor": bare,
        "ratio": site_run["wall"] / bare["wall"],
        "policy": "strict but for leverage" if strict else "open",
    }


def report(found):
    """Print one measurement as a table."""
    study, bare, rows = found["study"], found["floor"], found["generation"]["rows"]
    say(
        f"\n{found['persons']:,} people, {found['events']:,} events, {found['sites']} "
        f"sites in {os.cpu_count()} worker processes, policy {found['policy']}"
    )
    say("rows: " + ", ".join(f"{name} {count:,}" for name, count in rows.items()))
    say(f"{'':28}{'wall s':>10}{'processor s':>13}{'floor s':>10}")
    share = study["cohort_share"]
    for name, wall, cpu in study["laps"]:
        if name == "begin":
            for part, weight in (("cohort", share), ("covariates", 1 - share)):
                at = bare["seconds"][part]
                say(
                    f"{'begin: ' + part:28}{wall * weight:10.1f}{cpu * weight:13.1f}"
                    f"{at:10.1f}"
                )
        else:
            say(f"{name:28}{wall:10.1f}{cpu:13.1f}")
    fits = {
        k: v for k, v in bare["seconds"].items() if k not in ("cohort", "covariates")
    }
    say("floor of the fits: " + ", ".join(f"{k} {v:.1f} s" for k, v in fits.items()))
    say(
        f"{'whole study':28}{study['wall']:10.1f}{study['cpu']:13.1f}"
        f"{bare['wall']:10.1f}   ratio {found['ratio']:.2f}"
    )
    say(
        f"effect: {study['estimate']:.4f} ({study['se']:.4f}), {study['people']:,} "
        f"people, {study['events']:,} events; floor {bare['estimate']:.4f} "
        f"({bare['se']:.4f}), {bare['people']:,} people; truth -0.288"
    )
    say(
        f"crossed: {study['share_bytes']:,} B of shares in {study['messages']:,} "
        f"messages; certificate {study['certificate_bytes']:,} B; "
        f"journals and logs {study['journal_bytes']:,} B"
    )
    say(f"peak memory {study['peak_bytes'] / 2**30:.1f} GiB")


def report_curation(persons, found):
    """Print what curation of one hospital's extract costs."""
    say(
        f"\ncuration of one hospital of {persons:,} people, {found['rows']:,} rows: "
        f"{found['wall']:.1f} s, {found['cpu']:.1f} s of processor; plain reading "
        f"{found['floor_wall']:.1f} s, {found['floor_cpu']:.1f} s; "
        f"ratio {found['ratio']:.1f}; again after a small source changed "
        f"{found['refresh_wall']:.1f} s"
    )


def keep(studies, curated_one=None):
    """Write what was measured so far."""
    OUT.mkdir(parents=True, exist_ok=True)
    figures = {"studies": studies, "curation": curated_one}
    (OUT / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


def main():
    """Measure, print, and keep the figures beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=float, default=11e6)
    parser.add_argument("--sites", type=int, default=166)
    parser.add_argument("--curves", action="store_true")
    parser.add_argument(
        "--open", action="store_true", help="policies that let all pass"
    )
    parser.add_argument(
        "--curated",
        type=float,
        default=100_000,
        help="people of the one hospital whose extract is curated, beside the study",
    )
    parser.add_argument("--scratch", type=Path, help="folder for 10 GB of databases")
    chosen = parser.parse_args()
    wanted = [(int(chosen.persons), chosen.sites, not chosen.open)]
    if chosen.curves:
        wanted += [(n, 166, False) for n in (1_000_000, 3_000_000)]
        wanted += [(3_000_000, count, False) for count in (4, 43)]
    found = []
    with tempfile.TemporaryDirectory(dir=chosen.scratch, prefix="hetao-ha-") as name:
        for persons, count, strict in wanted:
            found.append(measure(persons, count, Path(name), strict=strict))
            report(found[-1])
            keep(found)  # before the next one: it may take long, or fail
        if chosen.curves:
            picture.draw(found, OUT / "curves.svg")
            say(f"curves: {OUT / 'curves.svg'}")
        folder = Path(name) / "curation"
        folder.mkdir()
        curated_one = curation.measure(int(chosen.curated), folder)
        report_curation(int(chosen.curated), curated_one)
        keep(found, curated_one)
    worst = max(
        abs(f["study"]["estimate"] - f["floor"]["estimate"]) / f["floor"]["se"]
        for f in found
    )
    say(f"largest difference to the floor's estimate: {worst:.2g} SE")
    return 0


if __name__ == "__main__":
    sys.exit(main())
