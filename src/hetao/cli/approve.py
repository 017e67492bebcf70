"""`hetao approve`: needs the permit and a key, and loads nothing that computes."""

import argparse
import json
import sys

from hetao.cli.main import say
from hetao.federation.clock import utc_now
from hetao.permit import read_bundle, read_identity, sign_notice, write_bundle


def approve(chosen: argparse.Namespace) -> int:
    """Sign a permit with an approver's key."""
    bundle = read_bundle(chosen.permit)
    verb = "withdraw" if chosen.withdraw else "refuse" if chosen.refuse else "approve"
    signed = sign_notice(bundle, read_identity(chosen.key), verb, utc_now())
    write_bundle(chosen.permit, signed)
    said = signed.notices[-1].body
    if chosen.json:
        sys.stdout.write(json.dumps(dict(said)) + "\n")
        return 0
    say(f"{said['by']} ({said['role']}, {said['side']}) said {verb!r} to")
    sys.stdout.write(bundle.permit.digest + "\n")
    return 0
