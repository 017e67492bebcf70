"""Letters in a file: carried by hand to a site without a network, and back.

    b"HTL1" | length (4 bytes, big-endian), envelope | … | SHA-256 of all before

A way to the hubs like any other: what is carried are the very envelopes that a
connection would bring, signed and sealed, and the hub asks for the site's TLS
certificate all the same. The courier holds that and nothing else of the site's: it can
lose a file, not read, change or make one. The digest only tells a file that was cut or
garbled from a whole one.
"""

import datetime
import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hetao.errors import BadEnvelope, InvalidNetwork, Refused, Unreachable
from hetao.federation.network import Way, network_of_site, way_of_site
from hetao.federation.transport import Transport
from hetao.ledger.envelope import LARGEST_ENVELOPE, parse_envelope
from hetao.permit import parse_time
from hetao.records import read_toml
from hetao.whole import write_whole

MAGIC: Final = b"HTL1"
DIGEST_BYTES: Final = 32

Post = tuple[str, bytes]  # to which hub, what


@dataclass(frozen=True)
class Courier:
    """Who carries for a site: its name, and its way to the hubs."""

    name: str
    way: Way


def read_courier(path: Path) -> Courier:
    """Return the courier of a `site.toml`; opens neither its signing key nor its data.

    Raises:
        InvalidNetwork: the file does not hold.
    """
    tables = read_toml(path, InvalidNetwork)
    network, keys = network_of_site(tables, path.name)
    match tables.get("site"):
        case {"name": str(name)}:
            return Courier(name, way_of_site(network, keys, path))
        case _:
            raise InvalidNetwork(f"{path.name} [site]: the name is missing")


# --- the file -------------------------------------------------------------------------
def write_letters(path: Path, letters: Sequence[bytes]) -> None:
    """Write envelopes into one file, whole or not at all: a stick may be drawn."""
    framed = b"".join(struct.pack(">I", len(data)) + data for data in letters)
    body = MAGIC + framed
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, body + hashlib.sha256(body).digest())


def read_letters(path: Path) -> tuple[bytes, ...]:
    """Return the envelopes of a file, in order.

    Raises:
        BadEnvelope: it is no such file, or was cut or changed on its way.
    """
    data = path.read_bytes()
    body, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
    if not body.startswith(MAGIC):
        raise BadEnvelope(f"{path.name} is no file of letters")
    if hashlib.sha256(body).digest() != digest:
        raise BadEnvelope(
            f"{path.name} was cut or changed on its way", fix="carry it again"
        )
    letters, at = [], len(MAGIC)
    while at < len(body):
        start = at + 4
        end = start + int.from_bytes(body[at:start], "big")
        if not start < end <= min(len(body), start + LARGEST_ENVELOPE):
            raise BadEnvelope(f"{path.name} is no file of letters")
        letters.append(body[start:end])
        at = end
    return tuple(letters)


# --- what is done with it -------------------------------------------------------------
async def fetch(
    transport: Transport, home: str, name: str, now: datetime.datetime
) -> tuple[bytes, ...]:
    """Return all that waits for a site at its home hub and has not expired.

    What the site has answered before is among it: it answers with the same bytes.

    Raises:
        Unreachable: nothing waits, or the hub does not answer.
    """
    letters: list[bytes] = []
    after = 0
    while items := (await transport.inbox(home, after, wait_seconds=0)).items:
        letters += [data for _, data in items]
        after = items[-1][0]
    fresh = [
        data
        for data in letters
        if now < parse_time(parse_envelope(data).header.not_after)
    ]
    if not fresh:
        raise Unreachable(
            f"nothing waits for {name} at {home}",
            fix="ask whether the run has begun, with --by-file naming the site",
        )
    return tuple(fresh)


def answered(
    letters: Sequence[bytes],
    name: str,
    handle: Callable[[bytes], Sequence[Post]],
    may_send: Callable[[Sequence[Post]], bool],
) -> tuple[bytes, ...]:
    """Return a site's answers to the letters of a file, one after the other.

    Args:
        letters: as `fetch` returned them.
        name: of the site.
        handle: the site's own; gate, journal and log are those of every other way.
        may_send: the site's own; what it answered before may have to stay since.

    Raises:
        BadEnvelope: a letter is for somebody else, before any is looked at; or none
            is answered.
    """
    for data in letters:
        recipient = parse_envelope(data).header.recipient
        if recipient != name:
            raise BadEnvelope(
                f"the file holds letters for {recipient[:60]!r}, not for {name}",
                fix="give each site the file that was fetched for it",
            )
    found = [handle(data) for data in letters]
    answers = [post for posts in found if may_send(posts) for _, post in posts]
    if not answers:
        raise BadEnvelope(
            f"no letter of the file was signed by the coordinator that {name} trusts, "
            "or what was answered stays, for the permit does not stand"
        )
    return tuple(answers)


async def hand_in(
    transport: Transport, courier: Courier, letters: Sequence[bytes]
) -> list[Refused]:
    """Post a site's answers, each to its hub; twice is as good as once.

    Returns:
        What hubs refused: an answer that came too late, or other than an earlier one.

    Raises:
        BadEnvelope: a letter is not from this site, before any is posted.
        Unreachable: a hub does not answer.
    """
    headers = [parse_envelope(data).header for data in letters]
    for header in headers:
        if header.sender != courier.name:
            raise BadEnvelope(
                f"the file holds letters from {header.sender[:60]!r}, not from "
                f"{courier.name}",
                fix="hand in the file that the site's answers were written to",
            )
    refused = []
    for header, data in zip(headers, letters, strict=True):
        way = courier.way
        hub = header.recipient if header.recipient in way.hubs else way.home
        try:
            await transport.post(hub, data)
        except Refused as error:
            refused.append(error)
    return refused
