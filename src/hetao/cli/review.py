"""`hetao review`: what an output checker does; loads nothing that computes."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hetao.cli.main import say
from hetao.errors import InvalidNetwork
from hetao.federation.clock import utc_now
from hetao.federation.reviewing import Package, cast_vote, read_package, voters
from hetao.permit import read_identity

# What each check asks; the specification of releases says by which rule.
ASKS: Final = {
    "small-counts": "no smaller count of people is shown",
    "rounding": "every count shown is a multiple of this",
    "residual-df": "so many people more than numbers in the model",
    "saturation": "a model of categories has fewer numbers than cells",
    "class-disclosure": "no group has this share, or nobody, in a category",
}
OUTCOMES = {"pass": "ok", "changed": "changed", "flag": "LOOK", "off": "off"}


def review_list(chosen: argparse.Namespace) -> int:
    """Print every package below the folders, and who has voted; never what."""
    found = []
    for place in chosen.folders:
        for path in sorted({*place.rglob("package.json"), *_own(place)}):
            package = read_package(path.parent)
            found.append(_listed(path.parent, package))
    if not found:
        raise InvalidNetwork(
            "nothing waits to be checked there",
            fix="name the folder that `hetao run --out` wrote, or one above it",
        )
    if chosen.json:
        sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")
        return 0
    for one in found:
        waits = ", ".join(one["waiting_for"]) or "nobody: the coordinator may go on"
        sys.stdout.write(f"{one['folder']}\n  {one['title']}\n  code {one['code']}\n")
        sys.stdout.write(f"  voted: {', '.join(one['voted']) or 'nobody'}\n")
        sys.stdout.write(f"  waits for: {waits}\n")
    return 0


def _own(place: Path) -> list[Path]:
    path = place / "package.json"
    return [path] if path.exists() else []


def _listed(folder: Path, package: Package) -> dict[str, Any]:
    done = voters(folder)
    permit = package.bundle.permit
    voted = {(p.side, p.role) for p in permit.checkers if p.name in done}
    waiting = [n for n in permit.reviews if (n.side, n.role) not in voted]
    return {
        "folder": str(folder),
        "title": str(package.body["study"].get("title", "")),
        "run": package.body["run"],
        "code": package.code,
        "voted": list(done),
        "waiting_for": [f"{n.role} on side {n.side}" for n in waiting],
    }


def show(chosen: argparse.Namespace) -> int:
    """Print what is to be checked, and every check that ran over it."""
    package = read_package(chosen.folder)
    body = package.body
    if chosen.json:
        shown = {key: body[key] for key in ("run", "findings", "checks")}
        shown |= {"digest": package.digest, "code": package.code}
        sys.stdout.write(json.dumps(shown, ensure_ascii=False) + "\n")
        return 0
    permit = package.bundle.permit
    lines = [
        f"{body['study'].get('title', '')}",
        f"  permit {permit.number}: {permit.purpose}",
        f"  sites: {', '.join(site['name'] for site in body['sites'])}",
        f"  no count under {body['smallest_shown']} is shown, "
        f"counts are rounded to {body['rounded_to']}",
        f"  code {package.code}: compare it with the other checker's",
        "",
    ]
    for item in body["findings"]:
        lines += _finding(item, body["checks"])
    lines += [
        "",
        "ok: nothing to do; changed: hidden or rounded before you saw it; LOOK: decide",
        f"to look at: {chosen.folder / 'report.html'}",
        f"then: hetao review vote {chosen.folder} accept, change or reject, "
        "--key YOURS.sign.pem, or hetao permit passkey vote",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _finding(item: Mapping[str, Any], checks: list[Mapping[str, Any]]) -> list[str]:
    method = item["finding"].get("model", "")
    lines = [f"{item['analysis']} ({method}), {len(item['members'])} sites"]
    for check in checks:
        if check["analysis"] == item["analysis"]:
            says = f"  {check['says']}" if check["says"] else ""
            word = OUTCOMES[check["outcome"]]
            asks = f": {ASKS[check['id']]}" if check["id"] in ASKS else ""
            rule = f"{check['id']} {check['parameter']:g}"
            lines.append(f"  {word:<8}{rule}{asks}{says}")
    return lines


def vote(chosen: argparse.Namespace) -> int:
    """Seal a vote to the coordinator and leave it beside the package."""
    identity = read_identity(chosen.key)
    said = (chosen.vote, chosen.comment)
    path = cast_vote(chosen.folder, identity, said, utc_now())
    package = read_package(chosen.folder)
    if chosen.json:
        sys.stdout.write(json.dumps({"vote": str(path), "code": package.code}) + "\n")
        return 0
    say(f"{chosen.vote!r} about {package.code}, sealed to the coordinator:")
    sys.stdout.write(f"{path}\n")
    return 0
