"""`hetao witness init|trust|serve`: an independent pair of eyes on other's logs."""

import argparse
import asyncio
import os
import signal
import ssl
import sys

from hetao.cli.main import say
from hetao.errors import Unreachable, Usage
from hetao.ledger.fraud import read_fraud
from hetao.ledger.note import parse_vkey
from hetao.ledger.policy import read_policy
from hetao.transparency.witness import WitnessFolder, serve_witness


def init(chosen: argparse.Namespace) -> int:
    """Make a witness in a new folder and print what others are given."""
    folder = WitnessFolder.create(chosen.folder, chosen.name)
    for verifier in folder.verifiers:
        sys.stdout.write(verifier.vkey + "\n")
    say("give either line to those who verify; the folder holds the secret keys")
    return 0


def trust(chosen: argparse.Namespace) -> int:
    """Watch a log from now on."""
    log = WitnessFolder.read(chosen.folder).trust(chosen.vkey)
    say(f"watches {log.name} from now on")
    return 0


def serve(chosen: argparse.Namespace) -> int:
    """Serve a witness until it is told to end."""
    os.umask(0o077)
    asyncio.run(_serve(chosen))
    return 0


def fraud(chosen: argparse.Namespace) -> int:
    """Check a fraud proof against the verifier's own keys; exit code 6 if none."""
    if chosen.policy:
        keys = read_policy(chosen.policy).logs
    else:
        keys = (parse_vkey(chosen.key),)
    sentence = read_fraud(chosen.fraud).verify(keys)
    sys.stdout.write(f"PROVED  {sentence}\n")
    return 0


async def _serve(chosen: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    folder, tls = WitnessFolder.read(chosen.folder), None
    if bool(chosen.certificate) != bool(chosen.key):
        raise Usage("--certificate and --key go together")
    if chosen.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.minimum_version = ssl.TLSVersion.TLSv1_3
        tls.load_cert_chain(chosen.certificate, chosen.key)
    try:
        runner = await serve_witness(folder, chosen.host, chosen.port, tls)
    except OSError as error:
        raise Unreachable(
            f"{folder.name} cannot listen at {chosen.host}:{chosen.port}",
            fix="choose a free port",
        ) from error
    address = f"{chosen.host}:{chosen.port}"
    say(f"{folder.name} serves {'https' if tls else 'http'}://{address}")
    await stop.wait()
    await runner.cleanup()
