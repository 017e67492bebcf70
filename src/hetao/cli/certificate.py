"""`hetao certificate …`: take a certificate back, say how it stands, hand it on."""

import argparse
import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hetao.alone import alone
from hetao.canonical import parse_canonical
from hetao.cli.main import say
from hetao.errors import InvalidData, Unreachable, Unverified, Usage
from hetao.ledger.certificate import read_certificate
from hetao.ledger.log import Log
from hetao.ledger.policy import Policy, read_policy
from hetao.ledger.proof import parse_proof
from hetao.ledger.revoked import is_of_revoked, verify_any
from hetao.ledger.status import append_lists, check_status, last_marks, mark, snapshot
from hetao.permit import coordinator_of, read_identity
from hetao.whole import read_whole, write_whole

if TYPE_CHECKING:
    from hetao.federation.network import Network

LARGEST = 2**20  # bytes of a small file
TAKEN_BACK = ("suspended", "revoked")


def read_file(path: Path) -> bytes:
    """Return the bytes of a small file.

    Raises:
        InvalidData: it cannot be read, or is larger than 1 MiB.
    """
    return read_whole(path, LARGEST)


def place_of(certificate: dict[str, Any]) -> tuple[int, tuple[str, Ed25519PublicKey]]:
    """Return where a verified certificate stands in whose log."""
    boss = coordinator_of(certificate["body"]["permit"])
    index = parse_proof(certificate["log"]["proof"]).index
    return index, (boss.name, boss.sign_key)


def publish(chosen: argparse.Namespace) -> int:
    """Log how a certificate stands from now on, and write the snapshot that says so."""
    data = read_certificate(chosen.certificate)
    verify_any(data)
    index, issuer = place_of(parse_canonical(data))
    return publish_state(chosen, index, issuer)


def publish_state(
    chosen: argparse.Namespace, index: int, issuer: tuple[str, Ed25519PublicKey]
) -> int:
    """Log how an entry of the issuer's log stands, and write the snapshot of all.

    Args:
        chosen: `network`, `policy`, `state` and `out`.
        index: of the certificate, or the licence, in the issuer's log.
        issuer: name and key.

    Both hubs are asked to cosign, as they cosigned the certificate. Without a policy
    those witnesses are asked too who are asked before a certificate is issued, by the
    same quorum: what is taken back is witnessed as it was given.

    Raises:
        Unverified: somebody else issued it.
        InvalidData: the log is not there.
        Unreachable: fewer witnesses of `[log]` than its quorum cosigned. What takes an
            entry back is written all the same.
    """
    from hetao.federation.clock import utc_now
    from hetao.federation.hub_lines import hub_lines

    policy = read_policy(chosen.policy) if chosen.policy else None
    with issuers_log(chosen.network, issuer) as (log, network), alone(network.folder):
        # Alone to the end, else what another took back would stand again: in the lists,
        # or in the file, were another's older one written last.
        key = network.identity.signing_key
        marks = last_marks(log, *issuer)
        if chosen.state:
            marks = mark(marks, index, chosen.state)
        note = append_lists(log, issuer[0], key, marks, utc_now())
        if chosen.state in TAKEN_BACK:  # which counts whoever saw it
            replace_file(chosen.out, snapshot(log, note))
        lines, away = asyncio.run(hub_lines(log, snapshot(log, note), network))
        for name, why in away.items():
            say(f"note: {name} did not cosign: {why}")
        try:
            whole = _witnessed(log, (note, list(lines.values())), network, policy)
        except Unreachable as error:
            if chosen.state not in TAKEN_BACK:
                raise
            replace_file(chosen.out, snapshot(log, note + "".join(lines.values())))
            raise Unreachable(
                f"{error.what}; {chosen.out} says {chosen.state} all the same",
                fix="hand it on now; hetao certificate status asks them again",
            ) from error
        written = snapshot(log, whole)
        status = check_status(written, issuer, index, policy)
        replace_file(chosen.out, written)
    say(f"{status.state} as of {status.as_of}; {chosen.out} says so to others")
    return 0


def _witnessed(
    log: Log, signed: tuple[str, list[str]], network: "Network", policy: Policy | None
) -> str:
    """Return a checkpoint with all lines.

    Args:
        log: whose it is.
        signed: its checkpoint, and the hubs' lines.
        network: the coordinator's.
        policy: whose witnesses are asked in place of those of `[log]`.

    Raises:
        Unreachable: fewer than the quorum of `[log]` cosigned.
    """
    from hetao.federation.logs import witnessed
    from hetao.transparency.client import cosignatures

    note, hubs = signed
    if policy is None:
        if network.log.policy is None and not hubs:
            say("note: nobody but the issuer saw this; name witnesses, in [log] or")
            say("      with --policy")
        return asyncio.run(witnessed(log, note, network.log, hubs))
    lines, failed = asyncio.run(cosignatures(log, note, policy, network.log.tls))
    for name, why in failed.items():
        say(f"note: {name} did not cosign: {why}")
    return note + "".join(hubs) + lines


@contextlib.contextmanager
def issuers_log(
    path: Path, issuer: tuple[str, Ed25519PublicKey]
) -> Iterator[tuple[Log, "Network"]]:
    """Open the log of a certificate's issuer, who must be whose network file it is.

    Raises:
        Unverified: somebody else issued it.
        InvalidData: the log is not there.
    """
    from hetao.federation.logs import has_log, open_log
    from hetao.federation.network import read_network

    network = read_network(path)
    key = network.identity.signing_key
    if (network.identity.name, key.public_key()) != issuer:
        raise Unverified(
            f"{issuer[0]} issued the certificate, with another key than yours",
            fix="only its issuer can take it back, or license its findings",
        )
    if not has_log(network.folder, network.identity, network.log):
        raise InvalidData(  # a fresh log would be a second history
            "the log that holds the certificate is not there",
            fix="name the network file with which the study was run",
        )
    with open_log(network.folder, network.identity, network.log) as log:
        yield log, network


def export(chosen: argparse.Namespace) -> int:
    """Write what other people and systems take of a certificate."""
    from hetao.dossier import crate, disclosure, one_file, page, paper, receipt

    data = read_certificate(chosen.certificate)
    if is_of_revoked(data):
        return _export_revoked(chosen, data)
    signed = chosen.sd_jwt or chosen.scitt
    if signed and not chosen.key:
        raise Usage(
            "an SD-JWT and a receipt are signed anew by the issuer",
            fix="name its key with --key NAME.sign.pem",
        )
    issuer = read_identity(chosen.key) if chosen.key else None
    made: dict[Path | None, Callable[[], bytes]] = {
        chosen.verifier: one_file.one_file,
        chosen.html: lambda: page.render_page(data).encode(),
        chosen.pdf: lambda: paper.make_paper(data, chosen.language),
        chosen.crate: lambda: crate.make_crate(data),
    }
    if issuer:
        made |= {
            chosen.sd_jwt: lambda: disclosure.make_disclosable(data, issuer).encode(),
            chosen.scitt: lambda: receipt.make_receipt(data, issuer),
        }
    return _write(made)


def _export_revoked(chosen: argparse.Namespace, data: bytes) -> int:
    from hetao.dossier.one_file import one_file
    from hetao.dossier.revoked import render_revoked

    if any((chosen.pdf, chosen.crate, chosen.sd_jwt, chosen.scitt)):
        raise Usage(
            "of a revoked study there are a page and the verifier alone",
            fix="name them with --html FILE and --verifier FILE",
        )
    return _write(
        {
            chosen.verifier: one_file,
            chosen.html: lambda: render_revoked(data).encode(),
        }
    )


def _write(made: Mapping[Path | None, Callable[[], bytes]]) -> int:
    """Write the files that are named."""
    if not any(made):
        raise Usage("nothing to export", fix="name a file, such as --html FILE")
    for path, make in made.items():
        if path:
            replace_file(path, make())
            say(f"{path} is written")
    return 0


def replace_file(path: Path, data: bytes) -> None:
    """Write a file whole, in the place of one that may be there.

    Raises:
        Usage: the disk is full, or fails; nothing is left of it.
    """
    try:
        write_whole(path, data)
    except OSError as error:
        raise Usage(f"{path} cannot be written: {error.strerror}") from error
