"""`hetao site releases`: what left this site, for its data manager."""

import argparse
import json
import sys
from dataclasses import asdict

from hetao.cli.main import say
from hetao.errors import InvalidNetwork, Usage
from hetao.federation.releases import read_releases
from hetao.federation.site_file import read_site_file
from hetao.permit.dates import parse_time
from hetao.whole import write_whole


def releases(chosen: argparse.Namespace) -> int:
    """Say what left, when, why, allowed by whom, and of which class."""
    check_since(chosen.since)
    found = read_releases(read_site_file(chosen.site).setup, chosen.since)
    if chosen.html is not None:
        from hetao.report.leaving import page_of

        write_whole(chosen.html, page_of(found, chosen.language).encode())
        say(f"{chosen.html}: {len(found.departures)} entries")
    if chosen.json:
        body = json.dumps(asdict(found), ensure_ascii=False, indent=1)
        sys.stdout.write(body + "\n")
    elif chosen.html is None:
        from hetao.report.leaving import lines_of

        sys.stdout.write("\n".join(lines_of(found, chosen.language)) + "\n")
    return 0


def check_since(text: str) -> None:
    """Return quietly if a day or time is one, or "" for all.

    Raises:
        Usage: it is none: compared as it stands, it would leave out what left.
    """
    if not text:
        return
    try:
        parse_time(text if "T" in text else f"{text}T00:00:00Z")
    except InvalidNetwork as error:
        raise Usage(
            f"--since {text[:40]!r} is no day and no UTC time",
            fix="write 2026-01-31 or 2026-01-31T08:00:00Z",
        ) from error
