"""The transport of tests and notebooks: same envelopes, same journals, no sockets."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Mapping

from hetao.errors import HetaoError, Refused, Unreachable
from hetao.federation.hub import Hub, Inbox
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
        self.hubs = dict(hubs)
        self.news: defaultdict[str, asyncio.Condition] = defaultdict(asyncio.Condition)
        self._patience = patience_seconds

    def transport(self, party: str) -> "InprocTransport":
        """Return the way to the hubs of the party of that name."""
        return InprocTransport(self, party)

    def take_away(self, name: str) -> Hub:
        """Return a hub that nobody can reach from now on."""
        return self.hubs.pop(name)

    async def put_back(self, name: str, hub: Hub) -> None:
        """Let parties reach the hub again, or another one on the same folder."""
        hub.resume()
        async with self.news[name]:
            self.hubs[name] = hub
            self.news[name].notify_all()

    async def reach(self, name: str) -> Hub:
        """Return a hub as soon as it is there; the caller holds its `news`.

        Raises:
            Unreachable: it stayed away.
        """
        try:
            async with asyncio.timeout(self._patience):
                await self.news[name].wait_for(lambda: name in self.hubs)
        except TimeoutError as error:
            raise Unreachable(
                f"the hub {name} does not answer", fix="check that it runs"
            ) from error
        return self.hubs[name]


class InprocTransport:
    """`Transport` by direct calls."""

    def __init__(self, exchange: Exchange, party: str) -> None:
        """Speak to the exchange's hubs in the name of `party`."""
        self._exchange, self._party = exchange, party

    async def post(self, hub: str, data: bytes) -> None:
        """Hand an envelope to a hub."""
        condition = self._exchange.news[hub]
        async with condition:
            here = await self._exchange.reach(hub)
            try:
                here.accept(self._party, data)
            except Refused:
                raise
            except HetaoError as error:
                raise Refused(
                    f"{hub} refused an envelope: {error.what} [{error.code}]"
                ) from error
            condition.notify_all()

    async def inbox(
        self, hub: str, after: int, run: str = "", wait_seconds: float = POLL_SECONDS
    ) -> Inbox:
        """Return what waits at a hub for this party past a cursor."""
        condition = self._exchange.news[hub]
        end = asyncio.get_running_loop().time() + wait_seconds
        while True:
            async with condition:
                here = await self._exchange.reach(hub)
                found = here.waiting(self._party, after, run)
                left = end - asyncio.get_running_loop().time()
                if found.items or left <= 0:
                    return found
                # not wait_for, which in Python 3.11 can lose a cancellation
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await condition.wait()

    async def close(self) -> None:
        """Nothing is held."""
