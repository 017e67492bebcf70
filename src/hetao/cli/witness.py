"""`hetao witness init|trust|tls|policy|serve`: eyes on others' logs."""

import argparse
import asyncio
import datetime
import os
import signal
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from hetao.cli.main import plain, say
from hetao.errors import InvalidData, InvalidNetwork, Unreachable, Usage
from hetao.federation.clock import utc_now
from hetao.federation.pki import (
    Authority,
    new_authority,
    write_certificate,
    write_whole,
)
from hetao.ledger.fraud import read_fraud
from hetao.ledger.note import COSIGNATURE, SUBTREE, parse_vkey, vkey
from hetao.ledger.policy import parse_policy, read_policy
from hetao.permit import SIDES, Party, read_directory
from hetao.transparency.witness import WitnessFolder, serve_witness
from hetao.whole import write_new

SERVER_DAYS: Final = 730
AUTHORITY_DAYS: Final = 3650
_SERVER, _AUTHORITY, _AUTHORITY_KEY = "witness", "authority.pem", "authority.key"


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


def tls(chosen: argparse.Namespace) -> int:
    """Make a certificate for the witness's server, by an authority of its own."""
    folder, now = WitnessFolder.read(chosen.folder).path, utc_now()
    authority = _authority(folder, now)
    for end in ("pem", "key"):
        (folder / f"{_SERVER}.tls.{end}").unlink(missing_ok=True)
    write_certificate(folder, authority, _SERVER, chosen.host, now, SERVER_DAYS)
    say(f"{folder / _AUTHORITY}: give it to the logs that ask, for [log] authority")
    return 0


def _authority(folder: Path, now: datetime.datetime) -> Authority:
    """Return the witness's authority, made where there is none: others pinned it.

    The key is written first. Where a run ended before the certificate, the key makes
    another, by which also whatever the first one signed would stand.

    Raises:
        InvalidData: a certificate is there, and its key is not.
    """
    path, secret = folder / _AUTHORITY, folder / _AUTHORITY_KEY
    certificate, key = _certificate_in(path), _key_in(secret)
    if certificate and key and certificate.public_key() == key.public_key():
        return Authority(certificate, key)
    if certificate:
        raise InvalidData(
            f"{secret} is not the key of {path.name}",
            fix="restore it from a backup; or remove both files, begin again, and "
            "give the new authority to everybody who named the old one",
        )
    made = new_authority("Hetao witness authority", now, AUTHORITY_DAYS, key)
    if key is None:
        pem = made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_whole(secret, pem)
    write_whole(path, made.pem)
    return made


def _certificate_in(path: Path) -> x509.Certificate | None:
    """Return a file's certificate; None if the file is missing or was cut short."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError, x509.InvalidVersion):
        return None


def _key_in(path: Path) -> EllipticCurvePrivateKey | None:
    """Return a file's key; None if the file is missing or holds no such key."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (
        FileNotFoundError,
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        InternalError,
    ):
        return None
    return key if isinstance(key, EllipticCurvePrivateKey) else None


def policy(chosen: argparse.Namespace) -> int:
    """Write a policy by which each side and somebody independent must have seen."""
    parties = read_directory(chosen.trust).parties
    text = policy_text(parties, chosen.independent, chosen.log)
    parse_policy(text.encode())  # refuses an address or a key that cannot be
    try:
        write_new(chosen.out, text.encode, 0o666)  # less what umask takes
    except OSError as error:
        raise Usage(f"{chosen.out} cannot be written: {error.strerror}") from error
    say(f"{chosen.out}: for hetao verify --policy; nobody who is verified writes it")
    return 0


def policy_text(
    parties: Sequence[Party],
    independent: Sequence[tuple[str, str]],
    second: Sequence[str] = (),
) -> str:
    """Return the policy: coordinators' logs, hubs by side, and who is independent.

    Args:
        parties: the verifier's own list.
        independent: vkey and address of each witness of neither side.
        second: vkeys of parties' ML-DSA-44 keys, of their logs.

    Raises:
        InvalidNetwork: the list names no coordinator, or no hub of a side.
    """
    logs = [one for one in parties if one.role == "coordinator"]
    lines = [f"log {vkey(one.name, one.sign_key)}" for one in logs]
    lines += [f"log {_second(text, parties)}" for text in second]
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


def _second(text: str, parties: Sequence[Party]) -> str:
    found = parse_vkey(text)
    if found.kind != SUBTREE or found.name not in {one.name for one in parties}:
        raise InvalidData(
            "--log takes the ML-DSA-44 vkey of a party that your list names",
            fix="hetao log keys PARTY.toml prints it, the second line",
        )
    return found.vkey


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
    sys.stdout.write(f"PROVED  {plain(sentence)}\n")
    return 0


async def _serve(chosen: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    folder, tls = WitnessFolder.read(chosen.folder), None
    if bool(chosen.certificate) != bool(chosen.key):
        raise Usage("--certificate and --key go together")
    files = chosen.certificate, chosen.key
    own = tuple(folder.path / f"{_SERVER}.tls.{end}" for end in ("pem", "key"))
    if chosen.certificate or own[0].exists():
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.minimum_version = ssl.TLSVersion.TLSv1_3
        tls.load_cert_chain(*(files if chosen.certificate else own))
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
