"""The transport of tests and notebooks: same envelopes, same journals, no sockets."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping

from hetao.errors import HetaoError, Refused, Unreachable
from hetao.federation.counter import Counter
from hetao.federation.hub import Hub
from hetao.federation.shelf import Inbox
from hetao.federation.transport import POLL_SECONDS


class Exchange:
    """The hubs of one process, and who waits at them.

    A hub may be taken away and put back, as a process that is stopped and started.
    """

    def __init__(self, hubs: Mapping[str, Hub], patience_seconds: float = 60.0) -> None:
        """Serve these hubs, by name, to parties of the same event loop.

        Args:
            hubs: by name.
            patience_seconds: how long a hub may be away before Unreachable.
        """
        self._counters = {name: Counter(hub) for name, hub in hubs.items()}
        self._returns: defaultdict[str, asyncio.Condition] = defaultdict(
            asyncio.Condition
        )
        self._patience = patience_seconds

    def transport(self, party: str) -> "InprocTransport":
        """Return the way to the hubs of the party of that name."""
        return InprocTransport(self, party)

    def take_away(self, name: str) -> Hub:
        """Return a hub that nobody can reach from now on."""
        counter = self._counters.pop(name)
        counter.close()
        return counter.hub

    async def put_back(self, name: str, hub: Hub) -> None:
        """Let parties reach the hub again, or another one on the same folder."""
        hub.resume()
        async with self._returns[name]:
            self._counters[name] = Counter(hub)
            self._returns[name].notify_all()

    async def reach(self, name: str) -> Counter:
        """Return a hub's counter as soon as the hub is there.

        Raises:
            Unreachable: it stayed away.
        """
        if name in self._counters:
            return self._counters[name]
        try:
            async with asyncio.timeout(self._patience), self._returns[name]:
                await self._returns[name].wait_for(lambda: name in self._counters)
        except TimeoutError as error:
            raise Unreachable(
                f"the hub {name} does not answer", fix="check that it runs"
            ) from error
        return self._counters[name]


class InprocTransport:
    """`Transport` by direct calls."""

    def __init__(self, exchange: Exchange, party: str) -> None:
        """Speak to the exchange's hubs in the name of `party`."""
        self._exchange, self._party = exchange, party

    async def post(self, hub: str, data: bytes) -> None:
        """Hand an envelope to a hub."""
        counter = await self._exchange.reach(hub)
        try:
            await counter.hand_in(self._party, data)
        except Refused:
            raise
        except HetaoError as error:
            raise Refused(
                f"{hub} refused an envelope: {error.what} [{error.code}]"
            ) from error

    async def inbox(
        self, hub: str, after: int, run: str = "", wait_seconds: float = POLL_SECONDS
    ) -> Inbox:
        """Return what waits at a hub for this party past a cursor."""
        loop = asyncio.get_running_loop()
        end = loop.time() + wait_seconds
        while True:
            counter = await self._exchange.reach(hub)
            left = max(end - loop.time(), 0.0)
            found = await counter.collect(self._party, after, run, left)
            if found.items or not counter.is_closed or loop.time() >= end:
                return found

    async def exchange(self, hub: str, after: int, data: bytes) -> bytes:
        """Tell a hub what was heard about permits, and be told."""
        counter = await self._exchange.reach(hub)
        return counter.hub.exchange(after, data)

    async def report(self, hub: str, data: bytes) -> bytes:
        """Tell a hub what a log holds, and be told."""
        counter = await self._exchange.reach(hub)
        return counter.hub.report(self._party, data)

    async def close(self) -> None:
        """Nothing is held."""
