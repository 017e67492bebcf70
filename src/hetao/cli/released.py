"""`hetao site released`, `hetao permit released`: a run's signed list, its check.

For a run that was revoked halfway, and so has no certificate.
"""

import argparse
import json
import sys

from hetao.cli.main import plain, say
from hetao.cli.verify_revoked import read_list
from hetao.federation.clock import utc_now
from hetao.federation.released import (
    Released,
    check_released,
    digests,
    sign_released,
)
from hetao.federation.site_file import read_site_file
from hetao.permit import format_time, read_directory
from hetao.whole import write_whole


def write(chosen: argparse.Namespace) -> int:
    """Write what left this site in one run, signed, with proofs from its log."""
    setup = read_site_file(chosen.site).setup
    signed = sign_released(setup, chosen.run_name, format_time(utc_now()))
    text = json.dumps(signed.as_json(), ensure_ascii=False)
    write_whole(chosen.out, (text + "\n").encode())
    say(f"{len(signed.body['entries'])} messages left in that run")
    sys.stdout.write(f"{chosen.out}\n")
    return 0


def check(chosen: argparse.Namespace) -> int:
    """Check such a list with the site's public key alone, and say what it says."""
    found = check_released(read_list(chosen.list), read_directory(chosen.parties))
    for line in _lines(found):
        sys.stdout.write(plain(line) + "\n")
    return 0


def _lines(found: Released) -> list[str]:
    closed = "was closed" if found.is_closed else "was never closed"
    lines = [
        f"{found.site} says that this left it in run {found.run}, which {closed}",
        f"permit {found.permit}",
    ]
    every = zip(found.entries, found.records, digests(found), strict=True)
    for one, body, name in every:
        part = f" {body['task']}, {body['values']} numbers" if "values" in body else ""
        part += ", not known to have reached its hub" if name in found.unsent else ""
        lines.append(f"  {body['at']}  entry {one.index}: {body['kind']}{part}")
    if found.destroyed:
        lines.append(f"what was kept for it was destroyed at {found.destroyed}")
    return lines
