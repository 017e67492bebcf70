"""`hetao site init`, `curate`, a site that is served, and `answer` with no network."""

import argparse
import asyncio
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from hetao.cdm import curate as curate_site
from hetao.cdm.profiles import lay_profile
from hetao.cli.main import called, folder_for, say
from hetao.federation.attend import attend
from hetao.federation.clock import utc_now
from hetao.federation.courier import answered, read_letters, write_letters
from hetao.federation.site import Site
from hetao.federation.site_file import SiteFile, read_site_file
from hetao.federation.transport_https import HttpsTransport
from hetao.ledger.envelope import parse_envelope

PATIENCE_SECONDS = 24 * 3600.0  # a site keeps dialling a hub that is away


def curate(chosen: argparse.Namespace) -> int:
    """Curate sites and say what was found; counts are for each site's own eyes."""
    os.umask(0o077)  # patients' rows are for this user alone
    for path in chosen.sites:
        _curate_one(path, whole=chosen.whole, in_json=chosen.json)
    return 0


def _curate_one(path: Path, *, whole: bool, in_json: bool) -> None:
    done = curate_site(path, say, whole=whole)
    from hetao.cli.provenance import commit_site

    commit_site(path, done.snapshot)
    if in_json:
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
        return
    say(f"{done.site}: {done.people} people, snapshot {done.folder.name}")
    for table, rows in done.tables.items():
        again = ", as before" if table in done.taken_over else ""
        say(f"  {table}: {rows} rows{again}")
    say(f"quality report: {done.report}")


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
    else:
        say(f"put your own files into {folder / 'extract'}, as README.md says")
    say(f"next: {called()} site curate {path}")
    return 0


def serve_one(path: Path) -> int:
    """Serve a site until it is told to end; dials out, opens no port."""
    asyncio.run(_serve(read_site_file(path)))
    return 0


async def _serve(file: SiteFile) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: task and task.cancel())
    transport = HttpsTransport(file.way.hubs, file.way.tls, PATIENCE_SECONDS)
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
        answers = answered(letters, site.name, site.handle, site.may_send)
    finally:
        site.close()
    write_letters(chosen.out, answers)
    kinds = [parse_envelope(data).header.kind for data in answers]
    refused = kinds.count("refusal")
    no = f", {refused} of them refusals" if refused else ""
    say(f"{chosen.out}: {len(answers)} answers to {len(letters)} letters{no}")
    return 0
