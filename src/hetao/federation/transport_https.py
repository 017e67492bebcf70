"""A party's way to the hubs over HTTPS: it dials out, nobody dials in."""

import asyncio
import io
import json
import math
import ssl
from collections.abc import Mapping
from typing import Final

import aiohttp

from hetao.errors import (
    BadEnvelope,
    BadSignature,
    NotAParty,
    OutOfTime,
    Refused,
    Replayed,
    Unreachable,
)
from hetao.federation.cosigning import LARGEST_ANSWER
from hetao.federation.hub_https import EPOCH, LARGEST_BATCH, unframe
from hetao.federation.shelf import Inbox
from hetao.federation.transport import POLL_SECONDS

FIRST_PAUSE: Final = 0.05  # seconds before the second try; doubles
LONGEST_PAUSE: Final = 2.0  # seconds
LARGEST_REFUSAL: Final = 2**16  # bytes
REFUSALS: Final = {
    error.code: error
    for error in (Replayed, NotAParty, BadEnvelope, BadSignature, OutOfTime, Refused)
}


class HttpsTransport:
    """`Transport` over one connection pool; retries while a hub is away."""

    def __init__(
        self,
        addresses: Mapping[str, str],
        tls: ssl.SSLContext,
        patience_seconds: float = 60.0,
    ) -> None:
        """Dial hubs at `https://host:port` addresses, by name.

        Args:
            addresses: hub name -> address.
            tls: our side of mutual TLS.
            patience_seconds: how long a hub may be away before Unreachable,
                counted from the first try that failed.
        """
        self._addresses, self._tls = dict(addresses), tls
        self._patience = patience_seconds
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False

    def _open(self) -> aiohttp.ClientSession:
        if self._is_closed:  # whoever waited for a hub meanwhile opens no new pool
            raise Unreachable("the way to the hubs was closed")
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._tls)
            timeout = aiohttp.ClientTimeout(total=2 * POLL_SECONDS + 30)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self._session

    async def post(self, hub: str, data: bytes) -> None:
        """Hand an envelope to a hub; returns once the hub has it durably."""
        await self._ask(hub, "POST", {}, data)

    async def inbox(
        self, hub: str, after: int, run: str = "", wait_seconds: float = POLL_SECONDS
    ) -> Inbox:
        """Return what waits at a hub for this party past a cursor."""
        query = {"after": str(after), "run": run, "wait": f"{wait_seconds:g}"}
        epoch, body = await self._ask(hub, "GET", query, None)
        try:
            return Inbox(epoch, unframe(body))
        except BadEnvelope as error:
            raise BadEnvelope(f"{hub} sent a batch that is cut short") from error

    async def exchange(self, hub: str, after: int, data: bytes) -> bytes:
        """Tell a hub what was heard about permits, and be told."""
        query = {"after": str(after)}
        return (await self._ask(hub, "POST", query, data, "notices"))[1]

    async def report(self, hub: str, data: bytes) -> bytes:
        """Tell a hub what a log holds, and be told."""
        return (await self._ask(hub, "POST", {}, data, "records"))[1]

    async def cosign(self, hub: str, data: bytes) -> bytes:
        """Show a hub what the coordinator's log ends with, and be answered."""
        return (await self._ask(hub, "POST", {}, data, "lists", LARGEST_ANSWER))[1]

    async def _ask(
        self,
        hub: str,
        method: str,
        query: Mapping[str, str],
        data: bytes | None,
        what: str = "envelopes",
        largest: int = LARGEST_BATCH,
    ) -> tuple[str, bytes]:
        loop = asyncio.get_running_loop()
        end, pause = math.inf, FIRST_PAUSE
        url = f"{self._addresses[hub]}/v1/{what}"
        while True:
            # a stream, so that a large body does not hold up the event loop
            body = None if data is None else io.BytesIO(data)
            try:
                async with self._open().request(
                    method, url, params=query, data=body, allow_redirects=False
                ) as answer:
                    if answer.status < 300:
                        told = await _read(hub, answer, largest)
                        return answer.headers.get(EPOCH, ""), told
                    if answer.status < 500:
                        raise await _refusal(hub, answer)
                    fault = f"status {answer.status}"
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                fault = repr(error)
            end = min(end, loop.time() + self._patience)
            if loop.time() >= end:
                raise Unreachable(
                    f"the hub {hub} does not answer",
                    fix="check that it runs and that its address is right",
                    local=fault,
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def close(self) -> None:
        """Close the connection pool, for good."""
        self._is_closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _read(hub: str, answer: aiohttp.ClientResponse, largest: int) -> bytes:
    """Return an answer's bytes; of one that does not end no more is taken.

    Raises:
        BadEnvelope: it is larger than such an answer can be.
    """
    parts, size = [], 0
    async for part in answer.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > largest:
            raise BadEnvelope(f"{hub} answers with more than {largest} bytes")
    return b"".join(parts)


async def _refusal(hub: str, answer: aiohttp.ClientResponse) -> Refused:
    try:
        body = json.loads(await _read(hub, answer, LARGEST_REFUSAL))
        code, rule = str(body["code"]), str(body["rule"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return Refused(f"{hub} refused the request with status {answer.status}")
    except (BadEnvelope, aiohttp.ClientError):
        return Refused(f"{hub} refused the request with status {answer.status}")
    return REFUSALS.get(code, Refused)(f"{hub} refused an envelope: {rule} [{code}]")
