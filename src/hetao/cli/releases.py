"""`hetao site releases`: what left this site, for its data manager."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from hetao.cli.main import say
from hetao.federation.releases import read_releases
from hetao.federation.site_file import read_site_file


def releases(chosen: argparse.Namespace) -> int:
    """Say what left, when, why, allowed by whom, and of which class."""
    found = read_releases(read_site_file(chosen.site).setup, chosen.since)
    if chosen.html is not None:
        from hetao.report.leaving import page_of

        _write(chosen.html, page_of(found, chosen.lang))
        say(f"{chosen.html}: {len(found.departures)} entries")
    if chosen.json:
        body = json.dumps(asdict(found), ensure_ascii=False, indent=1)
        sys.stdout.write(body + "\n")
    elif chosen.html is None:
        from hetao.report.leaving import lines_of

        sys.stdout.write("\n".join(lines_of(found, chosen.lang)) + "\n")
    return 0


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
