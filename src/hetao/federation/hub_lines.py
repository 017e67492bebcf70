"""A coordinator's way to its hubs with a log that ends with its status lists."""

import asyncio
from collections.abc import Mapping
from typing import Final

from hetao.errors import HetaoError, Unverified
from hetao.federation.cosigning import Shown, answer_from
from hetao.federation.network import Network
from hetao.federation.transport_https import HttpsTransport
from hetao.ledger.log import Log
from hetao.ledger.note import COSIGNATURE, Verifier, open_note
from hetao.ledger.status import read_snapshot

PATIENCE_SECONDS: Final = 3.0  # for a hub that is away: the command can be repeated
LONGEST_SECONDS: Final = 20.0  # for a hub that takes what it is sent, and says nothing
TRIES: Final = 3  # the first finds out what the hub saw last


async def hub_lines(
    log: Log, snapshot: bytes, network: Network
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return the hubs' cosignatures of a log, each by hub; and why others gave none.

    Args:
        log: the coordinator's.
        snapshot: of the status lists that end it.
        network: names the hubs, whose keys are in the coordinator's own list.
    """
    lines, failed = dict[str, str](), dict[str, str]()
    transport = HttpsTransport(network.hubs, network.tls, PATIENCE_SECONDS)

    async def ask(hub: str) -> None:
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                lines[hub] = await _line(transport, hub, (log, snapshot), network)
        except HetaoError as error:
            failed[hub] = error.what
        except TimeoutError:
            failed[hub] = "it did not answer in time"

    try:
        await asyncio.gather(*map(ask, network.hubs))
    finally:
        await transport.close()
    in_order = {hub: lines[hub] for hub in network.hubs if hub in lines}
    return in_order, failed


async def _line(
    transport: HttpsTransport, hub: str, ended: tuple[Log, bytes], network: Network
) -> str:
    """Return a hub's cosignature, which verifies.

    Raises:
        HetaoError: it gave none, or it does not hold.
    """
    log, snapshot = ended
    boss = network.identity
    told = read_snapshot(snapshot, (boss.name, boss.signing_key.public_key()))
    key = Verifier.of(hub, network.trusted[hub].sign_key, COSIGNATURE)
    old = 0
    for _ in range(TRIES):
        path = tuple(node.hex() for node in log.consistency(old, told.size))
        shown = Shown(old, path, snapshot.decode())
        answer = answer_from(await transport.cosign(hub, shown.encoded()))
        if answer.line:
            # One line: more of them could make a note that no reader takes.
            if answer.line.find("\n") != len(answer.line) - 1:
                raise Unverified("it answered with something else than a line")
            if key not in open_note(told.note + answer.line, [key])[1]:
                raise Unverified("it signed with another key than your list gives")
            return answer.line
        if told.size < answer.known <= log.size:
            raise Unverified("the log went on meanwhile: the same command asks again")
        if answer.known > told.size:
            raise Unverified("it has seen a longer log than there is")
        old = answer.known
    raise Unverified("its answers lead nowhere")
