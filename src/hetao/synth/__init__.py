"""A made-up population: no real person, known effects, each hospital's own form."""

from hetao.synth.catalogue import Catalogue, catalogue
from hetao.synth.draws import define_draws
from hetao.synth.faults import fault_rates, fault_sql
from hetao.synth.population import Population
from hetao.synth.sites import SyntheticSite, allot, read_sites
from hetao.synth.truth import TRUTH, create_truth
from hetao.synth.world import Comparison, World, read_world, shipped_world
from hetao.synth.writing import WRITERS, Written, write_extract

__all__ = [
    "TRUTH",
    "WRITERS",
    "Catalogue",
    "Comparison",
    "Population",
    "SyntheticSite",
    "World",
    "Written",
    "allot",
    "catalogue",
    "create_truth",
    "define_draws",
    "fault_rates",
    "fault_sql",
    "read_sites",
    "read_world",
    "shipped_world",
    "write_extract",
]
