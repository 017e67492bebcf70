"""A site at work: take what waits at the home hub, answer it, remember the place."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

from hetao.errors import Refused
from hetao.federation.answers import Post
from hetao.federation.gossip import gossip
from hetao.federation.heartbeat import Heartbeat
from hetao.federation.site import Site
from hetao.federation.transport import Transport

LOOK_SECONDS: Final = 1.0  # between two looks at the switch while a hub is away


async def attend(
    site: Site,
    home: str,
    transport: Transport,
    say: Callable[[str], None],
    executor: Executor | None = None,
    *,
    listens: bool = True,
) -> None:
    """Answer envelopes until cancelled, in threads of `executor`.

    Meanwhile notices about permits are passed on, unless `listens` is false: for what
    stands for a site in another process, and has no register here.

    The place in the hub's line is kept only after every answer is sent, so a kill in
    between repeats an answer and never loses one.

    Raises:
        Unreachable: the hub stayed away for longer than the transport keeps trying.
    """
    loop = asyncio.get_running_loop()
    if not listens:
        alone = _Sending(transport, say, lambda _: True, lambda _: None)
        await _answering(site, home, alone, executor)
        return

    def heed() -> None:
        loop.run_in_executor(executor, site.heed).add_done_callback(report)

    def report(done: "asyncio.Future[None]") -> None:
        if not done.cancelled() and (fault := done.exception()) is not None:
            say(f"{site.name} could not heed what it heard: {fault}")

    heed()
    listening = [
        asyncio.create_task(gossip(site.register, site.hubs, transport, say, heed)),
        asyncio.create_task(
            Heartbeat(site.log, site.replica, transport, say).keep(site.hubs)
        ),
    ]
    try:
        sending = _Sending(transport, say, site.may_send, site.answers.taken)
        await _answering(site, home, sending, executor)
    finally:
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)


@dataclass(frozen=True)
class _Sending:
    """How answers leave a site.

    Attributes:
        transport: the way to the hubs.
        say: takes a line for whoever runs the site.
        may_send: tells of an answer whether it may leave still.
        taken: takes the last envelope of an answer once its hub has it.
    """

    transport: Transport
    say: Callable[[str], None]
    may_send: Callable[[Sequence[Post]], bool]
    taken: Callable[[Post], None]

    async def send(self, posts: Sequence[Post]) -> bool:
        """Send an answer, however long a hub is away; return whether all might go."""
        sending = asyncio.gather(*(self._post(one, posts[-1]) for one in posts))
        try:
            while not sending.done():
                if not self.may_send(posts):
                    return False
                await asyncio.wait([sending], timeout=LOOK_SECONDS)
            await sending
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending
        return True

    async def _post(self, post: Post, last: Post) -> None:
        hub, answer = post
        try:
            await self.transport.post(hub, answer)
        except Refused as error:
            # Nothing that trying again would mend: the task has expired meanwhile, the
            # permit was revoked, or the hub holds an answer of ours from before a
            # restart, which counts.
            self.say(f"{hub} did not take an answer: {error}")
        else:
            if post is last:
                self.taken(post)


async def _answering(
    site: Site, home: str, sending: _Sending, executor: Executor | None
) -> None:
    loop, held = asyncio.get_running_loop(), -1
    while True:
        epoch, after = site.answers.cursor(home)
        inbox = await sending.transport.inbox(home, after)
        if inbox.epoch != epoch and epoch and after:
            site.answers.advance(home, inbox.epoch, 0)
            continue
        for seq, data in inbox.items:
            try:
                posts = await loop.run_in_executor(executor, site.handle, data)
            except Exception:
                # The outermost loop: tell the coordinator that we stop, then do stop.
                await sending.send(site.give_up(data))
                raise
            if not await sending.send(posts):
                if held != seq:
                    sending.say(
                        f"{site.name} holds an answer back: it was stopped, or the "
                        "permit does not stand"
                    )
                held = seq
                await asyncio.sleep(LOOK_SECONDS)  # until it does, or the task expires
                break
            site.answers.advance(home, inbox.epoch, seq)
