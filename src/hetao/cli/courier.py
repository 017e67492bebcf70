"""`hetao courier fetch` and `hetao courier post`: for a site that is not online.

They run where there is a network, with the site's TLS files: neither its signing key
nor a row of its data need ever be there, and neither is opened.
"""

import argparse
import asyncio
import os

from hetao.cli.main import folder_for, say
from hetao.errors import Refused
from hetao.federation.clock import utc_now
from hetao.federation.courier import (
    Courier,
    fetch,
    hand_in,
    read_courier,
    read_letters,
    write_letters,
)
from hetao.federation.transport_https import HttpsTransport

PATIENCE_SECONDS = 60.0


def collect(chosen: argparse.Namespace) -> int:
    """Write what waits for the site into one file."""
    os.umask(0o077)
    courier = read_courier(chosen.site)
    folder_for(chosen.out.parent)
    letters = asyncio.run(_fetch(courier))
    write_letters(chosen.out, letters)
    say(f"{chosen.out}: {len(letters)} letters; carry it to {courier.name}")
    return 0


def post(chosen: argparse.Namespace) -> int:
    """Hand the site's answers in."""
    courier, letters = read_courier(chosen.site), read_letters(chosen.answer)
    refused = asyncio.run(_post(courier, letters))
    for error in refused[1:]:
        say(f"error: {error}")
    if refused:
        raise refused[0]
    say(f"{len(letters)} answers of {courier.name} are at the hubs")
    return 0


async def _fetch(courier: Courier) -> tuple[bytes, ...]:
    way = courier.way
    transport = HttpsTransport(way.hubs, way.tls, PATIENCE_SECONDS)
    try:
        return await fetch(transport, way.home, courier.name, utc_now())
    finally:
        await transport.close()


async def _post(courier: Courier, letters: tuple[bytes, ...]) -> list[Refused]:
    way = courier.way
    transport = HttpsTransport(way.hubs, way.tls, PATIENCE_SECONDS)
    try:
        return await hand_in(transport, courier, letters)
    finally:
        await transport.close()
