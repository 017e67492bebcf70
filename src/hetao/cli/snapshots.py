"""`hetao site snapshots` and `hetao site diff`: for the site's own eyes."""

import argparse
import json
import sys
from dataclasses import asdict

from hetao.cdm import (
    Changes,
    compare,
    previous_folder,
    read_folder,
    snapshot_folder,
    snapshots,
)

SHOWN = 20  # codes and checks; --json shows all


def listing(chosen: argparse.Namespace) -> int:
    """List a site's snapshots, the oldest first; a star marks the current one."""
    found = snapshots(read_folder(chosen.site).store_path)
    if chosen.json:
        body = [asdict(manifest) | {"current": now} for manifest, now in found]
        sys.stdout.write(json.dumps(body, ensure_ascii=False, indent=1) + "\n")
        return 0
    for manifest, now in found:
        people = manifest.rows.get("person", 0)
        sys.stdout.write(
            f"{'*' if now else ' '} {manifest.snapshot[7:19]}  {manifest.curated_on}  "
            f"{people} people\n"
        )
    return 0


def diff(chosen: argparse.Namespace) -> int:
    """Say what changed between two snapshots; the last two if none is named."""
    store = read_folder(chosen.site).store_path
    after = snapshot_folder(store, chosen.after)
    before = snapshot_folder(store, chosen.before) if chosen.before else None
    found = compare(before or previous_folder(store), after)
    if chosen.json:
        body = json.dumps(asdict(found), ensure_ascii=False, indent=1)
        sys.stdout.write(body + "\n")
        return 0
    sys.stdout.write("\n".join(_lines(found)) + "\n")
    return 0


def _lines(found: Changes) -> list[str]:
    lines = [f"{found.before[7:19]} -> {found.after[7:19]}"]
    lines += [
        f"  {t.table}: {t.before} -> {t.after} rows, {t.removed} went, {t.added} came "
        f"[{t.band}]"
        for t in found.tables
    ]
    parts = {
        "now mapped": found.mapped,
        "no longer mapped": found.unmapped,
        "now failing": found.failing,
        "mended": found.mended,
    }
    for words, names in parts.items():
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        if names:
            lines.append(f"  {words}: {', '.join(names[:SHOWN])}{more}")
    return lines if len(lines) > 1 else [*lines, "  nothing changed"]
