"""A hub's counter in this process: where posts are handed in and letters collected.

Transports put a connection before it. Posts that arrive together are taken with one
wait for the disk, and only the party that a letter is for is woken by it: with many
sites, both would else cost each site the number of sites.
"""

import asyncio
import contextlib

from hetao.federation.hub import Hub
from hetao.federation.shelf import Inbox

Post = tuple[str, bytes, "asyncio.Future[None]"]


class Counter:
    """The one way to a hub of this process, for the tasks of one event loop."""

    def __init__(self, hub: Hub) -> None:
        """Stand before `hub`."""
        self.hub = hub
        self.is_closed = False
        self._posts: list[Post] = []
        self._bells: dict[str, asyncio.Event] = {}
        hub.on_letter = self._ring

    async def hand_in(self, sender: str, data: bytes) -> None:
        """Return once the hub has the envelope durably.

        Raises:
            HetaoError: the hub refused it; see `Hub.accept`.
        """
        loop = asyncio.get_running_loop()
        taken: asyncio.Future[None] = loop.create_future()
        self._posts.append((sender, data, taken))
        if len(self._posts) == 1:
            loop.call_soon(self._take)  # after whoever hands in at this moment too
        await taken

    async def collect(
        self, party: str, after: int, run: str, wait_seconds: float
    ) -> Inbox:
        """Return what waits for a party past a cursor, as soon as something does.

        After `wait_seconds`, and when the counter is closed, that may be nothing.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + wait_seconds
        bell = self._bells.setdefault(party, asyncio.Event())
        while not self.is_closed:
            bell.clear()  # before the look, so that nothing rings unheard
            inbox = self.hub.waiting(party, after, run)
            left = end - loop.time()
            if inbox.items or not left > 0:
                return inbox
            # not wait_for, which in Python 3.11 can lose a cancellation
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await bell.wait()
        return Inbox(self.hub.epoch, ())

    def close(self) -> None:
        """Take what was handed in, and end every open collection now."""
        if self._posts:
            self._take()
        self.is_closed = True
        for bell in self._bells.values():
            bell.set()

    def _ring(self, party: str) -> None:
        if party in self._bells:
            self._bells[party].set()

    def _take(self) -> None:
        posts, self._posts = self._posts, []
        try:
            refusals = self.hub.accept_all(
                [(sender, data) for sender, data, _ in posts]
            )
        except BaseException as fault:
            for _, _, taken in posts:
                _settle(taken, fault)
            if not isinstance(fault, Exception):
                raise
            return
        for (_, _, taken), refusal in zip(posts, refusals, strict=True):
            _settle(taken, refusal)


def _settle(taken: "asyncio.Future[None]", error: BaseException | None) -> None:
    if taken.done():  # whoever handed it in was cancelled meanwhile
        return
    if error is None:
        taken.set_result(None)
    else:
        taken.set_exception(error)
