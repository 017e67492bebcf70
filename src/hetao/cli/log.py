"""`hetao log fsck`, `prove`, `keys`, `export`, `serve` and `redact`."""

import argparse
import asyncio
import functools
import json
import os
import signal
import sys
from collections.abc import Callable

from aiohttp import web

from hetao.cli.main import say
from hetao.errors import Unreachable, Unverified
from hetao.federation.log_file import read_log, read_log_keys, read_log_table
from hetao.federation.logs import LogTable, witnessed
from hetao.ledger.log import Log
from hetao.ledger.proof import Proof
from hetao.ledger.status import check_no_list
from hetao.transparency.serve import Source, application, from_folder, from_log
from hetao.transparency.static import export as export_log

MOST_FAULTS = 100  # lines; a log with more is not read line by line


def fsck(chosen: argparse.Namespace) -> int:
    """Hash every entry again; say what is wrong, and exit with 6 if anything is."""
    found, more = list[str](), False
    with read_log(chosen.party) as log:
        size, origin = log.size, log.origin
        for fault in log.faults():
            if len(found) == MOST_FAULTS:
                more = True
                break
            found.append(fault)
    if chosen.json:
        body = {"log": origin, "size": size, "faults": found, "more": more}
        sys.stdout.write(json.dumps(body, ensure_ascii=False, indent=1) + "\n")
    else:
        sys.stdout.writelines(f"{fault}\n" for fault in found)
        if more:
            sys.stdout.write("and more\n")
    if found:
        raise Unverified(
            f"the log of {origin} does not follow from its entries",
            fix="keep the files as they are, and bring back the newest copy",
        )
    say(f"{origin}: {size} entries, all as they were signed")
    return 0


def prove(chosen: argparse.Namespace) -> int:
    """Print the proof of one entry, under the checkpoint signed last."""
    with read_log(chosen.party) as log:
        note, size = log.checkpoint(), log.size
        path = log.inclusion(chosen.index, size)
        sys.stdout.write(Proof(chosen.index, tuple(path), note).text)
    return 0


def keys(chosen: argparse.Namespace) -> int:
    """Print the vkeys of the log, and make its second key if that is asked."""
    found = read_log_keys(chosen.party, adds=chosen.add_second)
    sys.stdout.writelines(f"{verifier.vkey}\n" for verifier in found)
    if len(found) == 1:
        say("the log has no second key (ML-DSA-44); --add-second makes one")
    return 0


def export(chosen: argparse.Namespace) -> int:
    """Bring a folder of static files up to the log."""
    with read_log(chosen.party) as log:
        cosigned: Callable[[str], str] = str
        if chosen.witnessed:
            cosigned = functools.partial(_witnessed, log, read_log_table(chosen.party))
        written = export_log(
            log,
            chosen.folder,
            with_entries=not chosen.without_entries,
            cosigned=cosigned,
        )
        say(f"{chosen.folder}: {log.size} entries of {log.origin}, {written} files new")
    return 0


def _witnessed(log: Log, table: LogTable, note: str) -> str:
    return asyncio.run(witnessed(log, note, table, ()))


def redact(chosen: argparse.Namespace) -> int:
    """Take one entry's payload out for good."""
    with read_log(chosen.party, asks=True) as log:
        check_no_list(log, chosen.index)
        place = log.redact(chosen.index)
    say(f"the payload of entry {chosen.index} is gone; entry {place} says so")
    return 0


def serve(chosen: argparse.Namespace) -> int:
    """Serve a log, or an exported folder, until told to end."""
    os.umask(0o077)
    with_entries = not chosen.without_entries
    if chosen.party.is_dir():
        source = from_folder(chosen.party, with_entries=with_entries)
        asyncio.run(_serve(source, chosen.host, chosen.port))
        return 0
    with read_log(chosen.party) as log:
        source = from_log(log, with_entries=with_entries)
        asyncio.run(_serve(source, chosen.host, chosen.port))
    return 0


async def _serve(source: Source, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(application(source), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        raise Unreachable(
            f"the log cannot listen at {host}:{port}", fix="choose a free port"
        ) from error
    say(f"the log is served at http://{host}:{runner.addresses[0][1]}")
    await stop.wait()
    await runner.cleanup()
