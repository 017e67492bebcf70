"""A hub behind HTTPS with mutual TLS 1.3: five routes, long poll, nobody dialled.

    POST /v1/envelopes                     201 kept, 4xx refused (JSON: code, rule)
    GET  /v1/envelopes?after=N&run=R&wait=S   200 a batch, 204 nothing came in time,
                                              503 the hub is stopping, ask again
    POST /v1/notices?after=N               200 what the hub heard about permits past N
    POST /v1/records                       200 what the hub tells of everybody's log
    POST /v1/lists                         200 its cosignature of the coordinator's log,
                                              which ends with its status lists

The name in the client's certificate decides who speaks; nothing in a request does.
"""

import ssl
import struct
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from hetao.errors import BadEnvelope, HetaoError, NotAParty, Replayed
from hetao.federation.cosigning import LARGEST as LARGEST_SHOWN
from hetao.federation.counter import Counter
from hetao.federation.hub import Hub
from hetao.federation.register import LARGEST as LARGEST_NEWS
from hetao.federation.reports import LARGEST as LARGEST_REPORT
from hetao.federation.shelf import BATCH, BATCH_BYTES, Inbox
from hetao.federation.transport import POLL_SECONDS
from hetao.ledger.envelope import LARGEST_ENVELOPE

EPOCH: Final = "X-Hetao-Epoch"
LARGEST_BODY: Final = LARGEST_ENVELOPE + 1024  # bytes
LARGEST_BATCH: Final = BATCH_BYTES + LARGEST_ENVELOPE + 12 * BATCH  # bytes
LAST_PLACE: Final = 2**63 - 1  # SQLite's largest integer
CLOSING_SECONDS: Final = 2.0  # what is half sent by then is sent again later
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def frame(inbox: Inbox) -> bytes:
    """Return a batch of envelopes as place (8 bytes), length (4 bytes), bytes."""
    return b"".join(struct.pack(">QI", s, len(d)) + d for s, d in inbox.items)


def unframe(data: bytes) -> tuple[tuple[int, bytes], ...]:
    """Return the batch that `frame` wrote.

    Raises:
        BadEnvelope: the bytes are cut short.
    """
    items, at = [], 0
    while at < len(data):
        if at + 12 > len(data):
            raise BadEnvelope("a batch is cut short")
        seq, length = struct.unpack_from(">QI", data, at)
        body = data[at + 12 : at + 12 + length]
        if len(body) != length:
            raise BadEnvelope("a batch is cut short")
        items.append((seq, body))
        at += 12 + length
    return tuple(items)


class HubServer:
    """Five routes to the counter of a `Hub`."""

    def __init__(self, hub: Hub) -> None:
        """Serve `hub`."""
        self._counter = Counter(hub)

    def application(self) -> web.Application:
        """Return the web application."""
        app = web.Application(client_max_size=LARGEST_BODY, middlewares=[_refusals])
        app.router.add_post("/v1/envelopes", self._post)
        app.router.add_get("/v1/envelopes", self._get)
        app.router.add_post("/v1/notices", self._notices)
        app.router.add_post("/v1/records", self._records)
        app.router.add_post("/v1/lists", self._lists)
        app.on_shutdown.append(self._release)
        return app

    async def _release(self, _: web.Application) -> None:
        """End every open poll now, to be tried again; a stop would wait for them."""
        self._counter.close()

    async def _post(self, request: web.Request) -> web.Response:
        data = await _body(request, LARGEST_BODY)
        await self._counter.hand_in(_speaker(request), data)
        return web.Response(status=201)

    async def _notices(self, request: web.Request) -> web.Response:
        _speaker(request)  # anybody of the network
        data, after = await _body(request, LARGEST_NEWS), _place(request)
        return web.Response(body=self._counter.hub.exchange(after, data))

    async def _records(self, request: web.Request) -> web.Response:
        speaker, data = _speaker(request), await _body(request, LARGEST_REPORT)
        return web.Response(body=self._counter.hub.report(speaker, data))

    async def _lists(self, request: web.Request) -> web.Response:
        speaker, data = _speaker(request), await _body(request, LARGEST_SHOWN)
        return web.Response(body=self._counter.hub.cosign(speaker, data))

    async def _get(self, request: web.Request) -> web.Response:
        speaker = _speaker(request)
        run = request.query.get("run", "")
        after = _place(request)
        try:
            wait = min(float(request.query.get("wait", "0")), 2 * POLL_SECONDS)
        except ValueError as error:
            raise web.HTTPBadRequest from error
        inbox = await self._counter.collect(speaker, after, run, wait)
        if self._counter.is_closed and not inbox.items:
            raise web.HTTPServiceUnavailable
        headers = {EPOCH: inbox.epoch}
        status = 200 if inbox.items else 204
        return web.Response(status=status, body=frame(inbox) or None, headers=headers)


async def _body(request: web.Request, largest: int) -> bytes:
    """Return the bytes of a request; what is too large is not read."""
    length = request.content_length or 0
    if length > largest:
        raise web.HTTPRequestEntityTooLarge(largest, length)
    return await request.clone(client_max_size=largest).read()


def _place(request: web.Request) -> int:
    try:
        after = int(request.query.get("after", "0"))
    except ValueError as error:
        raise web.HTTPBadRequest from error
    if not 0 <= after <= LAST_PLACE:
        raise web.HTTPBadRequest
    return after


def _speaker(request: web.Request) -> str:
    """Return the common name of the client's certificate; the body has no say."""
    transport = request.transport
    certificate = transport.get_extra_info("peercert") if transport else None
    for part in (certificate or {}).get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return str(value)
    raise NotAParty("the connection shows no client certificate")


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn a refusal into its status; the body holds code and rule, no more."""
    try:
        return await handler(request)
    except HetaoError as error:
        status = 409 if isinstance(error, Replayed) else 403
        return web.json_response(
            {"code": error.code, "rule": error.what}, status=status
        )


async def serve_hub(
    hub: Hub, host: str, port: int, tls: ssl.SSLContext
) -> web.AppRunner:
    """Start serving and return the runner; `await runner.cleanup()` stops it."""
    hub.resume()
    runner = web.AppRunner(
        HubServer(hub).application(),
        access_log=None,
        shutdown_timeout=CLOSING_SECONDS,
    )
    await runner.setup()
    site = web.TCPSite(runner, host, port, ssl_context=tls, reuse_address=True)
    await site.start()
    return runner
