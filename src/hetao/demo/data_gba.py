"""Two hospitals in Hong Kong and two in Shenzhen, with a made-up population.

Each keeps its records in a form of its own: exports of Hong Kong's public service, a
private clinic's files, a Mainland hospital's front pages and outpatient lists, bulk
FHIR. The mapping of each is the profile that Hetao ships for that form, as it is. What
is true is known (`hetao.synth`), so the report can show it beside the estimate.
"""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import duckdb

from hetao.cdm.profiles import lay_profile
from hetao.report import Comparison
from hetao.synth import (
    Population,
    allot,
    create_truth,
    read_sites,
    shipped_world,
    write_extract,
)

PERSONS: Final = 40_000
SEED: Final = 5  # of twenty such populations one would miss the truth; this does not
SITES: Final = {site.name: site for site in read_sites("gba")}
EXTRACT: Final = "extract"  # where the profiles look for the files
# Analysis of the study → the outcome of the world that it asks about.
ASKED: Final = {
    "crude": "heart_failure",
    "adjusted": "heart_failure",
    "control": "herpes_zoster",
}


def write_gba_extracts(folder: Path) -> dict[str, Path]:
    """Write each hospital's extract to `folder/<site>/extract/`; return the folders."""
    sites = allot(tuple(SITES.values()), PERSONS)
    population = Population(shipped_world(), sites, SEED)
    written = {}
    for site in sites:
        written[site.name] = folder / site.name / EXTRACT
        with duckdb.connect() as connection:
            create_truth(connection)
            population.fill(connection, site)
            write_extract(connection, site, written[site.name])
    return written


def gba_mapping(site: str) -> Mapping[str, str]:
    """Return the files of a hospital's mapping, by name: its profile's."""
    one = SITES[site]
    with tempfile.TemporaryDirectory(prefix="hetao-") as scratch:
        lay_profile(one.profile, Path(scratch), site)
        files = {path.name: path.read_text("utf-8") for path in Path(scratch).iterdir()}
    files["site.toml"] = re.sub(
        r'(?m)^title = ".*"$', f'title = "{one.title}"', files["site.toml"], count=1
    )
    return files


def with_truth(comparison: Comparison) -> Comparison:
    """Return a comparison with the true effect beside the drug's term."""
    world = shipped_world().comparison("diabetes")
    for outcome in world.outcomes:
        if ASKED.get(comparison.analysis) == outcome.disease:
            name = f"arm[{world.exposed}]"
            terms = tuple(
                replace(term, truth=outcome.log_hazard_ratio)
                if term.name == name
                else term
                for term in comparison.terms
            )
            return replace(comparison, terms=terms)
    return comparison
