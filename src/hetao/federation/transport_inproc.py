"""The transport of tests and notebooks: same envelopes, same journals, no sockets."""

import asyncio
from collections.abc import Mapping

from hetao.federation.hub import Hub, Inbox
from hetao.federation.transport import POLL_SECONDS


class Exchange:
    """The hubs of one process, and who waits at them."""

    def __init__(self, hubs: Mapping[str, Hub]) -> None:
        """Serve these hubs, by name, to parties of the same event loop."""
        self.hubs = dict(hubs)
        self.news = {name: asyncio.Condition() for name in hubs}

    def transport(self, party: str) -> "InprocTransport":
        """Return the way to the hubs of the party of that name."""
        return InprocTransport(self, party)


class InprocTransport:
    """`Transport` by direct calls."""

    def __init__(self, exchange: Exchange, party: str) -> None:
        """Speak to the exchange's hubs in the name of `party`."""
        self._exchange, self._party = exchange, party

    async def post(self, hub: str, data: bytes) -> None:
        """Hand an envelope to a hub."""
        self._exchange.hubs[hub].accept(self._party, data)
        condition = self._exchange.news[hub]
        async with condition:
            condition.notify_all()

    async def inbox(
        self, hub: str, after: int, run: str = "", wait_seconds: float = POLL_SECONDS
    ) -> Inbox:
        """Return what waits at a hub for this party past a cursor."""
        condition = self._exchange.news[hub]
        end = asyncio.get_running_loop().time() + wait_seconds
        while True:
            async with condition:
                found = self._exchange.hubs[hub].waiting(self._party, after, run)
                left = end - asyncio.get_running_loop().time()
                if found.items or left <= 0:
                    return found
                try:
                    await asyncio.wait_for(condition.wait(), left)
                except TimeoutError:
                    continue

    async def close(self) -> None:
        """Nothing is held."""
