"""`hetao site init`, `curate`, `serve`, and `answer` where there is no network."""

import argparse
import asyncio
import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from hetao.cdm import curate as curate_site
from hetao.cdm.profiles import lay_profile
from hetao.cli.main import folder_for, main, say
from hetao.federation.attend import attend
from hetao.federation.clock import utc_now
from hetao.federation.courier import answered, read_letters, write_letters
from hetao.federation.processes import end_with_parent
from hetao.federation.site import Site
from hetao.federation.site_file import SiteFile, read_site_file
from hetao.federation.transport_https import HttpsTransport
from hetao.ledger.envelope import parse_envelope

PATIENCE_SECONDS = 24 * 3600.0  # a site keeps dialling a hub that is away
STOP_SECONDS = 5.0  # after that, one that hangs is killed
PRELOAD = ["hetao.cli.site"]


def curate(chosen: argparse.Namespace) -> int:
    """Curate a site and say what was found; counts are for the site's own eyes."""
    os.umask(0o077)  # patients' rows are for this user alone
    done = curate_site(chosen.site, say, whole=chosen.whole)
    if chosen.json:
        body = {
            "site": done.site,
            "database": str(done.database),
            "snapshot": done.snapshot,
            "rows": done.rows,
            "people": done.people,
            "rejected": done.rejected,
            "tables": dict(done.tables),
            "proof": done.proof,
            "taken_over": list(done.taken_over),
            "report": str(done.report),
        }
        sys.stdout.write(json.dumps(body, ensure_ascii=False, indent=1) + "\n")
        return 0
    say(f"{done.site}: {done.people} people, snapshot {done.folder.name}")
    for table, rows in done.tables.items():
        again = ", as before" if table in done.taken_over else ""
        say(f"  {table}: {rows} rows{again}")
    say(f"quality report: {done.report}")
    return 0


def init(chosen: argparse.Namespace) -> int:
    """Lay a profile's mapping down, with a made-up extract beside it if asked for."""
    os.umask(0o077)  # what is put beside the mapping is for this user alone
    folder: Path = chosen.folder
    name = chosen.name or folder.resolve().name
    path = lay_profile(chosen.profile, folder, name)
    say(f"{path}: the mapping of {name}; README.md says what the extract must hold")
    if chosen.example:
        from hetao.synth.example import write_example

        written = write_example(chosen.profile, folder / "extract")
        say(f"{folder / 'extract'}: {len(written.files)} files of made-up people")
    say(f"next: hetao site curate {path}")
    return 0


def serve(chosen: argparse.Namespace) -> int:
    """Serve one site, or several, each in a process of its own."""
    os.umask(0o077)
    if len(chosen.sites) == 1:
        asyncio.run(_serve(read_site_file(chosen.sites[0])))
        return 0
    return _serve_each(chosen.sites)


async def _serve(file: SiteFile) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: task and task.cancel())
    transport = HttpsTransport(file.hubs, file.tls, PATIENCE_SECONDS)
    site = Site(replace(file.setup, tell=say), utc_now)
    say(f"{site.name} dials {file.setup.home}")
    try:
        await attend(site, file.setup.home, transport, say)
    except asyncio.CancelledError:
        say(f"{site.name} ends")
    finally:
        await transport.close()
        site.close()


def answer(chosen: argparse.Namespace) -> int:
    """Answer the letters of a file into another, without any network."""
    os.umask(0o077)
    letters = read_letters(chosen.request)
    folder_for(chosen.out.parent)
    file = read_site_file(chosen.site)
    site = Site(replace(file.setup, tell=say), utc_now)
    try:
        answers = answered(letters, site.name, site.handle)
    finally:
        site.close()
    write_letters(chosen.out, answers)
    kinds = [parse_envelope(data).header.kind for data in answers]
    refused = kinds.count("refusal")
    no = f", {refused} of them refusals" if refused else ""
    say(f"{chosen.out}: {len(answers)} answers to {len(letters)} letters{no}")
    return 0


def _serve_each(paths: list[Path]) -> int:
    """Fork a process for each site from one that has loaded the libraries already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    processes = [
        context.Process(target=_serve_child, args=(str(path),), name=path.parent.name)
        for path in paths
    ]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ended: list[object] = []
    try:
        for process in processes:
            process.start()
        # The first to end, in whatever way, ends all: a half of them helps nobody.
        ended += multiprocessing.connection.wait([p.sentinel for p in processes])
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(STOP_SECONDS)
            process.kill()
            process.join()
    return max(abs(p.exitcode or 0) for p in processes if p.sentinel in ended)


def _serve_child(path: str) -> None:
    end_with_parent()
    sys.exit(main(["site", "serve", path]))
