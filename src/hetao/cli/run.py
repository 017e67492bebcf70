"""`hetao run`: the coordinator's process. It never loads what opens patient rows."""

import argparse
import asyncio
import functools
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from hetao.cli.main import folder_for, say
from hetao.errors import Usage
from hetao.federation.certify import certify, package_of, results_of
from hetao.federation.clock import utc_now
from hetao.federation.coordinator import Coordinator, Outcome
from hetao.federation.correspondence import Desk
from hetao.federation.network import Network, read_network
from hetao.federation.register import read_notices
from hetao.federation.reviewing import (
    WAITS,
    Package,
    Vote,
    gather_votes,
    lay_package,
)
from hetao.federation.transport_https import HttpsTransport
from hetao.ledger.certificate import published
from hetao.permit import (
    Bundle,
    Tally,
    check_votes,
    format_time,
    read_bundle,
    tally,
    write_directory,
)
from hetao.report import Extras, render_body, write_report
from hetao.study import Study, read_study

LOOK_SECONDS = 0.2  # between two looks for votes
PATIENCE_SECONDS = 60.0  # for a hub that is away, or less where the study says so


@dataclass(frozen=True)
class Waits:
    """What waits to be checked, and by whom."""

    package: Package
    offices: tuple[str, ...]


def run(chosen: argparse.Namespace) -> int:
    """Carry out an approved study and write findings, certificate and report."""
    study = read_study(chosen.study)
    network = read_network(chosen.network)
    permit = chosen.permit or chosen.study.with_name("permit.json")
    bundle = read_bundle(permit)
    folder_for(chosen.out)
    if chosen.wait < 0:
        raise Usage("--wait takes seconds, from 0")
    question = (study, bundle, tuple(chosen.by_file))
    outcome, waits = asyncio.run(_run(question, network, (chosen.out, chosen.wait)))
    if waits:
        return _told(chosen, waits)
    if chosen.json:
        sys.stdout.write(json.dumps(results_of(outcome), ensure_ascii=False) + "\n")
    else:
        say(f"findings, report and certificate are in {chosen.out}")
    return 0


def _told(chosen: argparse.Namespace, waits: Waits) -> int:
    folder = chosen.out / "review"
    if chosen.json:
        body = {"package": waits.package.digest, "waiting_for": list(waits.offices)}
        sys.stdout.write(json.dumps(body) + "\n")
        return 0
    say("nothing is shown yet; each checker runs:")
    say(f"  hetao review show {folder}")
    say(f"  hetao review vote {folder} accept --key KEY")
    say("then the same `hetao run` goes on from here")
    return 0


async def _run(
    question: tuple[Study, Bundle, tuple[str, ...]],
    network: Network,
    where: tuple[Path, float],
) -> tuple[Outcome, Waits | None]:
    study, bundle, by_file = question
    out, patience_for_review = where
    patience = min(PATIENCE_SECONDS, study.deadline_seconds)
    transport = HttpsTransport(network.hubs, network.tls, patience)
    try:
        heard = functools.partial(read_notices, network.notices)
        desk = Desk(
            network.identity, network.trusted, network.folder, utc_now, say, heard
        )
        coordinator = Coordinator(desk, study, bundle, transport, by_file)
        try:
            outcome = await coordinator.answer()
            package = _lay(out / "review", outcome)
            end = time.monotonic() + patience_for_review
            while waits := _waiting(out / "review", package, network):
                if time.monotonic() >= end:
                    return outcome, waits
                await asyncio.sleep(LOOK_SECONDS)
            votes = [v.statement for v in _votes(out / "review", network)]
            when = format_time(utc_now())
            certificate = await certify(coordinator, outcome, when, votes)
            write_results(out, outcome, certificate)
            coordinator.mark_finished()  # only now: a run without results goes on
        finally:
            coordinator.close()
    finally:
        await transport.close()
    return outcome, None


def _lay(folder: Path, outcome: Outcome) -> Package:
    """Lay out what the output checkers are to look at."""
    body = package_of(outcome)
    page = render_body({**body, "issued": ""}, {}, Extras())
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / "report.html", page.encode())
    package = lay_package(folder, body)
    offices = _offices(tally(package.bundle.permit, package.digest, ()))
    say(f"{WAITS}, code {package.code}: {', '.join(offices)}")
    return package


def _offices(found: Tally) -> tuple[str, ...]:
    return tuple(f"{need.role} on side {need.side}" for need in found.missing)


def _votes(folder: Path, network: Network) -> list[Vote]:
    return gather_votes(folder, network.identity)


def _waiting(folder: Path, package: Package, network: Network) -> Waits | None:
    """Return what is still waited for; None once all accepted.

    Raises:
        NotApproved: somebody objected; what they wrote is said.
    """
    votes = _votes(folder, network)
    found = tally(
        package.bundle.permit, package.digest, [one.statement for one in votes]
    )
    if found.missing and not found.objections:
        return Waits(package, _offices(found))
    if found.objections and len(votes) < len(package.bundle.permit.reviews):
        return Waits(package, ("the other checker",))  # who must not be led
    for one in votes:
        if one.comment:
            say(f"{one.statement.body['by']}: {one.comment}")
    check_votes(package.bundle.permit, package.digest, [one.statement for one in votes])
    return None


def write_results(out: Path, outcome: Outcome, certificate: bytes) -> None:
    """Write `findings.json`, both certificates, `report.html`, `parties.toml`.

    `certificate.json` holds exact integers and is for the parties of the permit and
    its auditors; `certificate.public.json` is the same without them.
    """
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results_of(outcome), ensure_ascii=False, indent=1)
    _replace(out / "findings.json", (text + "\n").encode())
    _replace(out / "certificate.json", certificate)
    _replace(out / "certificate.public.json", published(certificate))
    write_directory(out / "parties.toml", outcome.bundle.permit.directory)
    extras = Extras(
        timings=outcome.seconds,
        bytes_per_site=outcome.bytes_per_site,
        messages=outcome.messages,
    )
    write_report(out / "report.html", certificate, extras)


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(data)
    os.replace(temporary, path)
