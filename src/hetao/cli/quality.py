"""`hetao site report`: what was found in a snapshot, and where its page is."""

import argparse
import json
import os
import sys
import webbrowser

from hetao.cdm import read_folder, snapshot_folder
from hetao.cdm.quality import Quality, read_quality, write_page
from hetao.cdm.quality.check import Check, passing
from hetao.cli.main import say
from hetao.dictionary.checks import CATEGORIES, FAIL, NOT_APPLICABLE, PASS

MOST_TOLD = 12


def report(chosen: argparse.Namespace) -> int:
    """Write a snapshot's page again and sum it up; counts are for the site alone."""
    os.umask(0o077)  # counts of patients are for this user alone
    store = read_folder(chosen.site).store_path
    folder = snapshot_folder(store, chosen.snapshot)
    quality = read_quality(folder / "quality.json")
    page = write_page(folder, quality, chosen.language)
    if chosen.json:
        body = {
            "site": quality.site,
            "snapshot": quality.snapshot,
            "previous": quality.previous,
            "statuses": {s: _count(quality, s) for s in (PASS, FAIL, NOT_APPLICABLE)},
            "passing": {
                category: passing(c for c in quality.checks if _is_of(c, category))
                for category in CATEGORIES
            },
            "failed": [
                {"id": c.id, "violated": c.violated, "rows": c.rows, "detail": c.detail}
                for c in quality.failed()
            ],
            "report": str(page),
        }
        sys.stdout.write(json.dumps(body, ensure_ascii=False, indent=1) + "\n")
    else:
        _tell(quality)
        say(f"quality report: {page}")
    if chosen.open:
        webbrowser.open(page.resolve().as_uri())
    return 0


def _is_of(check: Check, category: str) -> bool:
    return check.kind.category == category


def _count(quality: Quality, status: str) -> int:
    return sum(check.status == status for check in quality.checks)


def _tell(quality: Quality) -> None:
    say(
        f"{quality.site}: {_count(quality, PASS)} checks pass, "
        f"{_count(quality, FAIL)} fail, "
        f"{_count(quality, NOT_APPLICABLE)} have nothing to check"
    )
    failed = quality.failed()
    for check in failed[:MOST_TOLD]:
        label = check.kind.wording["en"].label
        told = f" [{check.detail}]" if check.detail else ""
        say(f"  {check.id}: {check.violated} of {check.rows}: not so: {label}{told}")
    if len(failed) > MOST_TOLD:
        say(f"  and {len(failed) - MOST_TOLD} more")
