"""`hetao verify` of a revoked study's certificate: what had left, what is tainted."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from hetao.canonical import parse_canonical
from hetao.cli.main import say, shown
from hetao.cli.verdict import Verdict, say_status, say_what_counts, verdict_of
from hetao.errors import InvalidNetwork, Unverified, Usage
from hetao.ledger.revoked import Revoked, verify_revoked
from hetao.permit import Directory
from hetao.whole import read_whole

LARGEST: Final = 64 * 2**20  # bytes of a list


def verify_ended(
    chosen: argparse.Namespace, data: bytes, trusted: Directory | None
) -> int:
    """Check a revoked study's certificate step by step; exit codes as of any."""
    if chosen.qr or chosen.notices:
        raise Usage("--qr and --notices are for certificates of studies that ended")
    found = verify_revoked(data, trusted, [read_list(path) for path in chosen.list])
    certificate = parse_canonical(data)
    steps = list(found.steps)
    verdict = verdict_of(chosen.policy, certificate, chosen.status)
    if verdict.seen:
        who = ", ".join(verdict.seen.witnesses) or "none, for none is asked for"
        steps.append(f"seen by the witnesses that your policy asks for: {who}")
    if chosen.json:
        sys.stdout.write(json.dumps(_told(found, steps, verdict)) + "\n")
    else:
        _say(found, steps, verdict)
        say_what_counts(verdict)
    return verdict.exit_code


def _told(found: Revoked, steps: list[str], verdict: Verdict) -> dict[str, Any]:
    return {
        "kind": "revoked",
        **asdict(found),
        **verdict.told,
        "steps": steps,
        "before_revocation": list(found.before_revocation),
        "tainted": list(found.tainted),
        "status": asdict(verdict.status) if verdict.status else None,
    }


def _say(found: Revoked, steps: list[str], verdict: Verdict) -> None:
    def write(line: str) -> None:
        sys.stdout.write(f"{shown(line)}\n")

    for number, step in enumerate(steps, 1):
        write(f"{number:>3}  {step}")
    for end in found.endings:
        why = f": {end.reason}" if end.reason else ""
        who = f"{end.by} ({end.role}, {end.side})"
        write(f"     {who} said {end.verb!r} at {end.at}{why}")
    for one in found.courses:
        before = one.releases - one.late
        sites = ", ".join(one.sites)
        write(
            f"     {one.analysis}: {before} releases before, {one.late} from then on, "
            f"of {sites}, {one.first} to {one.last}; {one.opened} sums opened"
        )
    write("     no finding was shown to anybody")
    tainted = ", ".join(found.tainted) or "none"
    write(f"     TAINTED, whatever was worked out of the sums of: {tainted}")
    for site, at in found.destroyed.items():
        what = f"destroyed what it kept at {at}" if at else "has destroyed nothing"
        write(f"     {site} {what}, by its own list")
    for unsent in found.unsent:
        write(
            f"     {unsent.site} released {unsent.task} too, which is not here: it "
            "does not know that its hub got it, and it may have"
        )
    _say_unproved(found)
    if not found.pinned:
        say("note: the keys come from the certificate itself; name your own list with")
        say("      --trust, or compare these fingerprints with the parties:")
        for name, fingerprint in found.fingerprints.items():
            say(f"        {fingerprint}  {name}")
    if verdict.status:
        write(f"     {say_status(verdict.status)}")
    write(f"{verdict.words(ended=True)}  {found.title}")


def _say_unproved(found: Revoked) -> None:
    if found.open:
        names = ", ".join(found.open)
        say(f"note: {names}: their own lists are of before they destroyed what they")
        say("      kept; ask for later ones")
    if found.unlisted:
        names = ", ".join(found.unlisted)
        say(f"note: {names}: no list of theirs shows their end; that no more left")
        say("      them is the coordinator's word (--list FILE)")


def read_list(path: Path) -> object:
    """Return the JSON of a site's list of what left it.

    Raises:
        InvalidNetwork: the file cannot be read.
        Unverified: it is no list.
    """
    try:
        data = read_whole(path, LARGEST, InvalidNetwork, beyond=Unverified)
        found: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unverified(f"{path.name} is not JSON") from error
    return found
