"""`hetao hub serve`."""

import argparse
import asyncio
import functools
import os
import signal

from hetao.cli.main import say
from hetao.errors import Unreachable
from hetao.federation.clock import utc_now
from hetao.federation.hub import Hub
from hetao.federation.hub_https import serve_hub
from hetao.federation.network import HubFile, read_hub
from hetao.federation.register import read_notices


def serve(chosen: argparse.Namespace) -> int:
    """Serve a hub until it is told to end."""
    os.umask(0o077)
    asyncio.run(_serve(read_hub(chosen.hub)))
    return 0


async def _serve(file: HubFile) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    heard = functools.partial(read_notices, file.notices)
    hub = Hub(file.identity, file.trusted, file.folder, utc_now, heard, file.log)
    hub.heeding.tell = say
    try:
        runner = await serve_hub(hub, file.host, file.port, file.tls)
    except OSError as error:
        raise Unreachable(
            f"{file.identity.name} cannot listen at {file.host}:{file.port}",
            fix="choose a free port, here and in everybody's [hubs]",
        ) from error
    say(f"{file.identity.name} serves https://{file.host}:{file.port}")
    await stop.wait()
    await runner.cleanup()
    hub.close()
