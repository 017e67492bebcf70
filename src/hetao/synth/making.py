"""A population → a folder: each site's extract or tables, and what is true of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from hetao.synth.population import Population
from hetao.synth.sites import SyntheticSite
from hetao.synth.tables import population_digest, write_tables
from hetao.synth.truth import create_truth
from hetao.synth.writing import write_extract

Say = Callable[[str], None]
SITE = """# Made-up people, straight as tables: no curation made these.
[site]
name = "{name}"

[tables]
file = "{file}"
"""


def make_population(
    population: Population, form: str, out: Path, say: Say
) -> dict[str, Any]:
    """Write every site of a population, and `truth.json`; return what that holds.

    Args:
        population: what to write.
        form: "extracts", each site's own files in `out/<site>/`, or "cdm", a database
            of the common data model `out/<site>/cdm.duckdb`, with a `site.toml` that
            points to it.
        out: an empty folder; it is made.
        say: takes progress.
    """
    write = {"extracts": _extract, "cdm": _tables}[form]
    made = []
    for number, site in enumerate(population.sites, 1):
        say(f"{number}/{len(population.sites)} {site.name}: {site.people} people")
        folder = out / site.name
        folder.mkdir(parents=True)
        about = {
            "name": site.name,
            "side": site.side,
            "profile": site.profile,
            "people": site.people,
            "folder": site.name,
            "digest": population_digest(population, site),
        }
        made.append(about | write(population, site, folder))
    truth = {
        "seed": population.seed,
        "sites": made,
        "effects": known_effects(population),
    }
    text = json.dumps(truth, ensure_ascii=False, indent=1) + "\n"
    (out / "truth.json").write_text(text, "utf-8")
    return truth


def known_effects(population: Population) -> list[dict[str, Any]]:
    """Return the true log hazard ratio of each drug on each outcome."""
    return [
        {
            "comparison": comparison.name,
            "exposed": comparison.exposed,
            "comparator": comparison.comparator,
            "outcome": outcome.disease,
            "log_hazard_ratio": outcome.log_hazard_ratio,
            "negative_control": outcome.log_hazard_ratio == 0,
        }
        for comparison in population.world.comparisons
        for outcome in comparison.outcomes
    ]


def _extract(
    population: Population, site: SyntheticSite, folder: Path
) -> dict[str, Any]:
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")  # callers show their own
        create_truth(connection)
        population.fill(connection, site)
        written = write_extract(connection, site, folder)
    return {
        "files": [str(path.relative_to(folder)) for path in written.files],
        "faults": {
            f"{fault} in {table}": count
            for (fault, table), count in written.faults.items()
        },
    }


def _tables(
    population: Population, site: SyntheticSite, folder: Path
) -> dict[str, Any]:
    written = write_tables(population, site, folder / "cdm.duckdb")
    config = folder / "site.toml"
    config.write_text(SITE.format(name=site.name, file=written.path.name), "utf-8")
    files = [written.path.name, config.name]
    return {"files": files, "rows": dict(written.rows)}
