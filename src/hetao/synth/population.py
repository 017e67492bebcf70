"""A whole population or a part of it, block by block, the same in any parts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hetao.synth import events
from hetao.synth.draws import define_draws
from hetao.synth.labs import fill_labs
from hetao.synth.life import make_life
from hetao.synth.sites import SyntheticSite
from hetao.synth.truth import Connection
from hetao.synth.world import World

BLOCK: Final = 250_000  # people generated at a time: bounds the memory


@dataclass(frozen=True)
class Population:
    """What a population follows from: a world, its sites and a seed.

    Attributes:
        sites: with their people, from `allot`.
    """

    world: World
    sites: tuple[SyntheticSite, ...]
    seed: int

    def site(self, name: str) -> SyntheticSite:
        """Return the site of that name; KeyError if there is none."""
        return {site.name: site for site in self.sites}[name]

    def fill(self, connection: Connection, site: SyntheticSite) -> None:
        """Add a site's people and everything that happens to them to the truth tables.

        The tables are there (`create_truth`). Leaves macros and temporary tables.
        """
        define_draws(connection, self.seed)
        for block in blocks(site):
            fill_block(connection, self.world, site, block)


def blocks(site: SyntheticSite) -> Iterator[range]:
    """Return the site's person numbers in ranges of at most BLOCK."""
    for start in range(site.first, site.last + 1, BLOCK):
        yield range(start, min(start + BLOCK, site.last + 1))


def fill_block(
    connection: Connection, world: World, site: SyntheticSite, people: range
) -> None:
    """Add some people of a site and their events to the truth tables."""
    make_life(connection, world, site, people)
    events.fill_people(connection, site.name)
    events.fill_visits(connection, world, site)
    events.fill_diagnoses(connection, world, site.name)
    events.fill_drugs(connection, world, site)
    fill_labs(connection, world, site.name)
    events.fill_procedures(connection, world, site.name)
    events.fill_specials(connection, world, site)
