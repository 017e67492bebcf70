"""A log over HTTP: the static files of C2SP tlog-tiles, from the log or from a folder.

    GET /checkpoint      the signed note, never kept by a cache
    GET /tile/...        hashes and entries, which caches may keep for ever

Nothing is asked of who reads and nothing is written. TLS, and who may come at all, are
the affair of what stands before it; so it listens on this machine alone unless told
otherwise.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aiohttp import web

from hetao.errors import Usage
from hetao.ledger.log import Log
from hetao.transparency.static import CHECKPOINT, Place, content, place_of

FOR_EVER: Final = "public, max-age=31536000, immutable"
NEVER: Final = "no-cache"
Source = Callable[[Place | None], bytes]


def from_log(log: Log, *, with_entries: bool = True) -> Source:
    """Return what answers from a log as it grows; None asks for the checkpoint."""

    def read(place: Place | None) -> bytes:
        if place is None:
            return log.checkpoint().encode()
        if place.level is None and not with_entries:
            raise Usage("this log's entries are not published")
        return content(log, place)

    return read


def from_folder(folder: Path, *, with_entries: bool = True) -> Source:
    """Return what answers from an exported folder."""

    def read(place: Place | None) -> bytes:
        if place is not None and place.level is None and not with_entries:
            raise Usage("this log's entries are not published")
        path = folder / (CHECKPOINT if place is None else place.path)
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise Usage("the folder holds no such tile or bundle") from error

    return read


def application(source: Source) -> web.Application:
    """Return the web application of one log."""

    async def checkpoint(_: web.Request) -> web.Response:
        return await _answer(source, None, "text/plain; charset=utf-8", NEVER)

    async def tile(request: web.Request) -> web.Response:
        place = place_of("tile/" + request.match_info["rest"])
        if place is None:
            raise web.HTTPNotFound
        answer = await _answer(source, place, "application/octet-stream", FOR_EVER)
        if place.level is None:
            answer.enable_compression()
        return answer

    app = web.Application()
    app.router.add_get("/checkpoint", checkpoint)
    app.router.add_get("/tile/{rest:.+}", tile)
    return app


async def _answer(
    source: Source, place: Place | None, kind: str, caching: str
) -> web.Response:
    try:
        body = await asyncio.to_thread(source, place)
    except Usage as error:
        raise web.HTTPNotFound from error
    headers = {
        "Content-Type": kind,
        "Cache-Control": caching,
        "Access-Control-Allow-Origin": "*",  # a verifier may be a page
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(body=body, headers=headers)
