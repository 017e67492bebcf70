"""`hetao run`: the coordinator's process. It never loads what opens patient rows."""

import argparse
import asyncio
import functools
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hetao.cli.main import folder_for, say
from hetao.dossier import write_page
from hetao.dossier.revoked import render_revoked
from hetao.errors import HetaoError, Usage
from hetao.federation.certify import certify, package_of, results_of
from hetao.federation.clock import utc_now
from hetao.federation.coordinator import Coordinator
from hetao.federation.correspondence import Desk
from hetao.federation.ending import certify_revoked
from hetao.federation.network import Network, read_network
from hetao.federation.outcome import Outcome
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
from hetao.ledger.revoked import verify_revoked
from hetao.permit import (
    Bundle,
    Directory,
    Requirement,
    Statement,
    check_votes,
    format_time,
    is_revoked,
    read_bundle,
    write_directory,
)
from hetao.report import Extras, render_body, write_report
from hetao.study import Study, read_study
from hetao.whole import write_whole

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
    network.log.check_said(chosen.network.name)
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
            network.identity,
            network.trusted,
            network.folder,
            utc_now,
            say,
            heard,
            network.log,
        )
        coordinator = Coordinator(desk, study, bundle, transport, by_file)
        try:
            outcome = await _answered(coordinator, out)
            package = _lay(out / "review", outcome)
            end = time.monotonic() + patience_for_review
            once = functools.cache(say)
            while True:
                found = gather_votes(out / "review", network.identity, once)
                votes = coordinator.ballots.count(package, found)
                waits = _waiting(votes, package, network.trusted)
                if waits is None:
                    break
                if time.monotonic() >= end:
                    return outcome, waits
                await asyncio.sleep(LOOK_SECONDS)
            signed = [vote.statement for vote in votes]
            certificate = await _certified(coordinator, (outcome, signed), out)
            write_results(out, outcome, certificate)
            coordinator.mark_finished()  # only now: a run without results goes on
        finally:
            coordinator.close()
    finally:
        await transport.close()
    return outcome, None


async def _answered(coordinator: Coordinator, out: Path) -> Outcome:
    try:
        return await coordinator.answer()
    except HetaoError:
        await tell_revoked(coordinator, out)
        raise


async def _certified(
    coordinator: Coordinator, found: tuple[Outcome, Sequence[Statement]], out: Path
) -> bytes:
    outcome, votes = found
    try:
        return await certify(coordinator, outcome, format_time(utc_now()), votes)
    except HetaoError:
        await tell_revoked(coordinator, out)
        raise


async def tell_revoked(coordinator: Coordinator, out: Path) -> None:
    """Where the permit was revoked, issue the certificate that says what had left.

    Then what was asked is destroyed here, as at sites and hubs, whether it could be. A
    certificate that is there already stands.
    """
    certificate = _issued(coordinator, out / "revoked.json")
    try:
        if certificate is None:
            certificate = await certify_revoked(coordinator, format_time(utc_now()))
    except HetaoError as error:
        say(f"no certificate of a revoked study could be issued: {error}")
    if coordinator.mail.kept and is_revoked(coordinator.mail.bundle):
        coordinator.mail.destroy()
    if certificate is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "revoked.json", certificate)
    write_whole(out / "revoked.html", render_revoked(certificate).encode())
    write_directory(out / "parties.toml", coordinator.bundle.permit.directory)
    say(f"the permit was REVOKED: {out / 'revoked.json'} says what had been released")


def _issued(coordinator: Coordinator, path: Path) -> bytes | None:
    """Return the certificate of this revoked run, if it has been written before."""
    try:
        data = path.read_bytes()
        found = verify_revoked(data, coordinator.trusted)
    except (OSError, HetaoError):
        return None
    return data if found.run == coordinator.run else None


def _lay(folder: Path, outcome: Outcome) -> Package:
    """Lay out what the output checkers are to look at."""
    body = package_of(outcome)
    page = render_body({**body, "issued": ""}, {}, Extras())
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "report.html", page.encode())
    package = lay_package(folder, body)
    offices = _offices(package.bundle.permit.reviews)
    say(f"{WAITS}, code {package.code}: {', '.join(offices)}")
    return package


def _offices(needs: Sequence[Requirement]) -> tuple[str, ...]:
    return tuple(f"{need.role} on side {need.side}" for need in needs)


def _waiting(
    votes: Sequence[Vote], package: Package, trusted: Directory
) -> Waits | None:
    """Return which offices have not voted; None once all have, and accepted.

    What has been voted so far is not told, nor can it be seen by what is waited for:
    the other checker must not be led.

    Raises:
        NotApproved: somebody objected; what they wrote is said.
    """
    permit, signed = package.bundle.permit, [one.statement for one in votes]
    done = {(vote.body["side"], vote.body["role"]) for vote in signed}
    left = [need for need in permit.reviews if (need.side, need.role) not in done]
    if left:
        return Waits(package, _offices(left))
    for one in votes:
        if one.comment:
            say(f"{one.statement.body['by']}: {one.comment}")
    check_votes(permit, package.digest, signed, trusted)
    return None


def write_results(out: Path, outcome: Outcome, certificate: bytes) -> None:
    """Write `findings.json`, both certificates and their pages, `parties.toml`.

    `certificate.json` holds exact integers and is for the parties of the permit and
    its auditors; `certificate.public.json` is the same without them.
    """
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results_of(outcome), ensure_ascii=False, indent=1)
    write_whole(out / "findings.json", (text + "\n").encode())
    write_whole(out / "certificate.json", certificate)
    write_whole(out / "certificate.public.json", published(certificate))
    write_directory(out / "parties.toml", outcome.bundle.permit.directory)
    extras = Extras(
        timings=outcome.seconds,
        bytes_per_site=outcome.bytes_per_site,
        messages=outcome.messages,
    )
    write_report(out / "report.html", certificate, extras)
    write_page(out / "certificate.html", certificate)
