"""`hetao run`: the coordinator's process. It never loads what opens patient rows."""

import argparse
import asyncio
import functools
import json
import os
import sys
from pathlib import Path

from hetao.cli.main import folder_for, say
from hetao.federation.certify import certify, results_of
from hetao.federation.clock import utc_now
from hetao.federation.coordinator import Coordinator, Outcome
from hetao.federation.correspondence import Desk
from hetao.federation.network import Network, read_network
from hetao.federation.register import read_notices
from hetao.federation.transport_https import HttpsTransport
from hetao.permit import Bundle, format_time, read_bundle, write_directory
from hetao.report import Extras, write_report
from hetao.study import Study, read_study

PATIENCE_SECONDS = 60.0  # for a hub that is away, or less where the study says so


def run(chosen: argparse.Namespace) -> int:
    """Carry out an approved study and write findings, certificate and report."""
    study = read_study(chosen.study)
    network = read_network(chosen.network)
    permit = chosen.permit or chosen.study.with_name("permit.json")
    bundle = read_bundle(permit)
    folder_for(chosen.out)
    question = (study, bundle, tuple(chosen.by_file))
    outcome = asyncio.run(_run(question, network, chosen.out))
    if chosen.json:
        sys.stdout.write(json.dumps(results_of(outcome), ensure_ascii=False) + "\n")
    else:
        say(f"findings, report and certificate are in {chosen.out}")
    return 0


async def _run(
    question: tuple[Study, Bundle, tuple[str, ...]], network: Network, out: Path
) -> Outcome:
    study, bundle, by_file = question
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
            when = format_time(utc_now())
            certificate = await certify(coordinator, outcome, when)
            write_results(out, outcome, certificate)
            coordinator.mark_finished()  # only now: a run without results goes on
        finally:
            coordinator.close()
    finally:
        await transport.close()
    return outcome


def write_results(out: Path, outcome: Outcome, certificate: bytes) -> None:
    """Write `findings.json`, `certificate.json`, `report.html`, `parties.toml`."""
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results_of(outcome), ensure_ascii=False, indent=1)
    _replace(out / "findings.json", (text + "\n").encode())
    _replace(out / "certificate.json", certificate)
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
