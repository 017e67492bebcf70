"""Curation of one hospital's extract against its floor: the plain reading of its files.

    python benchmarks/ha/curation.py [--persons 20000] [--scratch FOLDER]

The extract is a made-up hospital's, with the usual faults, its sheets kept as CSV so
that the floor can read them too. Curation reads it, types and judges every cell, looks
codes and units up, tells the fate of every row, takes the digest and checks quality.
The floor is one `read_csv` and `CREATE TABLE` a source, into a database file. Then one
row of the smallest source comes in a second time, and the site is curated again.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from hetao.cdm import curate
from hetao.cdm.mapping import read_folder
from hetao.cdm.profiles import lay_profile
from hetao.cdm.staging import stage_sources
from hetao.synth.example import write_example

PROFILE = "ha-cdars"
SMALL = "procedures"  # the source that changes before the refresh
SEED = 2026


class Clock:
    """Wall and processor time since it was made."""

    def __init__(self):
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def told(self):
        """Return (wall, processor) seconds since then."""
        return time.perf_counter() - self._wall, time.process_time() - self._cpu


def quiet(_):
    """Take progress and say nothing."""


def lay_site(persons, folder):
    """Write the site's mapping and its extract as CSV; return its `site.toml`."""
    sheets = lay_profile(PROFILE, folder / "sheets", "bench")
    write_example(PROFILE, sheets.parent / "extract", persons, SEED)
    path = lay_profile(PROFILE, folder / "site", "bench")
    (path.parent / "extract").mkdir()
    with duckdb.connect() as connection:
        for staged in stage_sources(read_folder(sheets), quiet):
            names = ", ".join(
                f'c{place} AS "{header}"' for place, header in enumerate(staged.headers)
            )
            copy = path.parent / Path(staged.file).with_suffix(".csv")
            connection.execute(
                f"COPY (SELECT {names} FROM '{staged.folder}/rows.parquet') "  # noqa: S608
                f"TO '{copy}' (FORMAT csv, HEADER)"
            )
    text = path.read_text("utf-8").replace('"html"', '"csv"').replace(".xls", ".csv")
    path.write_text(text, "utf-8")
    return path


def read_plainly(site, path):
    """Read every source into a table of a database file; return the rows."""
    rows = 0
    with duckdb.connect(str(path)) as connection:
        for source in site.sources:
            files = str(site.folder / source.files)
            connection.execute(
                f"CREATE TABLE {source.name} AS FROM read_csv('{files}', "
                "header = true, ignore_errors = true)"
            )
            found = connection.execute(f"SELECT count(*) FROM {source.name}")  # noqa: S608
            rows += found.fetchone()[0]
        connection.execute("CHECKPOINT")
    return rows


def measure(persons: int, folder: Path) -> dict:
    """Curate one made-up hospital of so many people, and read its files plainly.

    Args:
        persons: how many made-up people; each has about 27 rows.
        folder: an empty one, for the extract and everything made of it.

    Returns:
        Seconds of wall and processor time: `wall`, `cpu` of a first curation,
        `floor_wall`, `floor_cpu` of the plain reading, `refresh_wall`, `refresh_cpu`
        of a curation after one small source changed. `rows` and `bytes` of the
        extract. `ratio` is `cpu` over `floor_cpu`.
    """
    path = lay_site(persons, folder)
    site = read_folder(path)
    clock = Clock()
    rows = read_plainly(site, folder / "floor.duckdb")
    floor_wall, floor_cpu = clock.told()
    clock = Clock()
    curate(path, quiet)
    wall, cpu = clock.told()
    files = [p for source in site.sources for p in site.folder.glob(source.files)]
    size = sum(file.stat().st_size for file in files)
    (small,) = site.folder.glob(site.source(SMALL).files)
    lines = small.read_text("utf-8").splitlines(keepends=True)
    small.write_text("".join([*lines, lines[-1]]), "utf-8")
    clock = Clock()
    curate(path, quiet)
    refresh_wall, refresh_cpu = clock.told()
    return {
        "wall": wall,
        "cpu": cpu,
        "floor_wall": floor_wall,
        "floor_cpu": floor_cpu,
        "rows": rows,
        "bytes": size,
        "ratio": cpu / floor_cpu,
        "refresh_wall": refresh_wall,
        "refresh_cpu": refresh_cpu,
    }


def show(found):
    """Print what was measured."""
    for key, value in found.items():
        shown = f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
        sys.stdout.write(f"{key:14}{shown:>16}\n")


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=float, default=20_000)
    parser.add_argument("--scratch", type=Path, help="folder for the extract")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.scratch, prefix="hetao-") as name:
        show(measure(int(chosen.persons), Path(name)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
