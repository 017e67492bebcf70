"""`hetao synth`."""

import argparse
import json
import sys

from hetao.cli.main import folder_for, say
from hetao.errors import Usage
from hetao.synth import Population, allot, read_sites, read_world, shipped_world
from hetao.synth.making import make_population


def synth(chosen: argparse.Namespace) -> int:
    """Make up a population, and say what was written."""
    folder_for(chosen.out)
    if chosen.out.exists() and any(chosen.out.iterdir()):
        raise Usage(f"{chosen.out} holds something else", fix="choose an empty folder")
    if chosen.persons < 1 or chosen.seed < 0:
        raise Usage("--persons is at least 1 and --seed at least 0")
    world = read_world(chosen.effects) if chosen.effects else shipped_world()
    sites = allot(read_sites(chosen.sites), chosen.persons)
    population = Population(world, sites, chosen.seed)
    made = make_population(population, chosen.form, chosen.out, say)
    if chosen.json:
        sys.stdout.write(json.dumps(made, ensure_ascii=False) + "\n")
        return 0
    for site in made["sites"]:
        folder = chosen.out / site["folder"]
        sys.stdout.write(f"{site['name']:20} {site['people']:>10,} {folder}\n")
    sys.stdout.write(f"what is true         {chosen.out / 'truth.json'}\n")
    return 0
