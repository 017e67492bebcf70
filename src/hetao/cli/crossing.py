"""`hetao permit draft`: what samples, people or money need before they may cross."""

import argparse
import sys

from hetao.cli.main import say
from hetao.errors import InvalidNetwork, Usage
from hetao.federation.clock import utc_now
from hetao.federation.propose import Request
from hetao.federation.propose_crossing import draft_crossing, read_crossing
from hetao.permit import read_directory, read_facts, rulebook_with, write_bundle

MOST_DAYS = 3660  # ten years


def draft(chosen: argparse.Namespace) -> int:
    """Draft the permit of samples, people or money for the approvers."""
    if not 1 <= chosen.days <= MOST_DAYS:
        raise Usage(f"a permit holds for 1 to {MOST_DAYS} days")
    if chosen.out.exists():
        raise InvalidNetwork(
            f"{chosen.out} is already there", fix="name another: --out"
        )
    book = rulebook_with(chosen.packs)
    request = Request(read_facts(chosen.facts, book.facts, set(book.instruments)), book)
    trusted, asked = read_directory(chosen.parties), read_crossing(chosen.crossing)
    bundle = draft_crossing(asked, trusted, request, utc_now(), chosen.days)
    write_bundle(chosen.out, bundle)
    say(f"{chosen.out} asks for these approvals:")
    for need in bundle.permit.required:
        say(f"  {need.role} on side {need.side} (rule {need.rule})")
    for basis in bundle.permit.bases:
        say(f"  rests on {basis.instrument}, {basis.reference}")
    say("this is not legal advice")
    sys.stdout.write(bundle.permit.digest + "\n")
    return 0
