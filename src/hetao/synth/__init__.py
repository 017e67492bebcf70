"""A made-up population: no real person, known effects, each hospital's own form."""

from hetao.synth.catalogue import Catalogue, catalogue
from hetao.synth.draws import define_draws
from hetao.synth.faults import fault_rates, fault_sql
from hetao.synth.sites import SyntheticSite, allot, read_sites
from hetao.synth.truth import KEYS, TRUTH, create_truth

__all__ = [
    "KEYS",
    "TRUTH",
    "Catalogue",
    "SyntheticSite",
    "allot",
    "catalogue",
    "create_truth",
    "define_draws",
    "fault_rates",
    "fault_sql",
    "read_sites",
]
