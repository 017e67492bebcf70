"""`hetao witness init|trust|policy|serve`: eyes on others' logs."""

import argparse
import asyncio
import os
import signal
import ssl
import sys
from collections.abc import Sequence

from hetao.cli.main import say
from hetao.errors import InvalidNetwork, Unreachable, Usage
from hetao.ledger.fraud import read_fraud
from hetao.ledger.note import COSIGNATURE, parse_vkey, vkey
from hetao.ledger.policy import parse_policy, read_policy
from hetao.permit import SIDES, Party, read_directory
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


def policy(chosen: argparse.Namespace) -> int:
    """Write a policy by which each side and somebody independent must have seen."""
    text = policy_text(read_directory(chosen.trust).parties, chosen.independent)
    parse_policy(text.encode())  # refuses an address or a key that cannot be
    try:
        with chosen.out.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise Usage(f"{chosen.out} cannot be written: {error.strerror}") from error
    say(f"{chosen.out}: for hetao verify --policy; nobody who is verified writes it")
    return 0


def policy_text(
    parties: Sequence[Party], independent: Sequence[tuple[str, str]]
) -> str:
    """Return the policy: coordinators' logs, hubs by side, and who is independent.

    Raises:
        InvalidNetwork: the list names no coordinator, or no hub of a side.
    """
    logs = [one for one in parties if one.role == "coordinator"]
    lines = [f"log {vkey(one.name, one.sign_key)}" for one in logs]
    groups = []
    for side in SIDES:
        hubs = [one for one in parties if one.role == "hub" and one.side == side]
        if not (hubs and logs):
            raise InvalidNetwork(
                "the list names no coordinator, or no hub of side " + side
            )
        lines += [
            f"witness {one.name} {vkey(one.name, one.sign_key, COSIGNATURE)}"
            for one in hubs
        ]
        groups.append(f"group {side} any {' '.join(one.name for one in hubs)}")
    names = [f"independent-{n}" for n, _ in enumerate(independent, 1)]
    lines += [
        f"witness {name} {key} {url}"
        for name, (key, url) in zip(names, independent, strict=True)
    ]
    groups.append(f"group independent any {' '.join(names)}")
    groups.append(f"group everyone all {' '.join(SIDES)} independent")
    return "\n".join([*lines, *groups, "quorum everyone", ""])


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
