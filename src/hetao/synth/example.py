"""A small made-up extract in a profile's form, to try a mapping on."""

from pathlib import Path
from typing import Final

import duckdb

from hetao.synth.population import Population
from hetao.synth.sites import SyntheticSite, allot
from hetao.synth.truth import Connection, create_truth
from hetao.synth.world import shipped_world
from hetao.synth.writing import Written, write_extract

MAINLAND: Final = ("wst500", "fhir", "gba-special")
CLINICS: Final = ("ehealth", "flat")
PEOPLE: Final = {"gba-special": 20_000}  # few of them ever need a special product
FEW: Final = 1_000


def example_site(profile: str, people: int) -> SyntheticSite:
    """Return a made-up site that keeps its records in a profile's form."""
    site = SyntheticSite(
        name="example",
        title="Example",
        side="SZ" if profile in MAINLAND else "HK",
        kind="clinic" if profile in CLINICS else "hospital",
        profile=profile,
        share=1.0,
        designated=True,
    )
    return allot((site,), people)[0]


def example_population(site: SyntheticSite, seed: int) -> Connection:
    """Return a connection to memory that holds one site's truth."""
    connection = duckdb.connect()
    create_truth(connection)
    Population(shipped_world(), (site,), seed).fill(connection, site)
    return connection


def write_example(
    profile: str, folder: Path, people: int | None = None, seed: int = 1
) -> Written:
    """Write an example extract of a profile, with the usual faults.

    Args:
        profile: a key of `WRITERS`.
        folder: where the files go; it is made.
        people: how many made-up people; enough for each file to have rows if left out.
        seed: the same seed, the same people.
    """
    site = example_site(profile, people or PEOPLE.get(profile, FEW))
    with example_population(site, seed) as connection:
        return write_extract(connection, site, folder)
