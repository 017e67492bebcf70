"""A site at work: take what waits at the home hub, answer it, remember the place."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
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
        await _answering(site, home, transport, say, executor, lambda _: True)
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
        await _answering(site, home, transport, say, executor, site.may_send)
    finally:
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)


async def _answering(
    site: Site,
    home: str,
    transport: Transport,
    say: Callable[[str], None],
    executor: Executor | None,
    may_send: Callable[[Sequence[Post]], bool],
) -> None:
    loop, held = asyncio.get_running_loop(), -1
    while True:
        epoch, after = site.answers.cursor(home)
        inbox = await transport.inbox(home, after)
        if inbox.epoch != epoch and epoch and after:
            site.answers.advance(home, inbox.epoch, 0)
            continue
        for seq, data in inbox.items:
            try:
                posts = await loop.run_in_executor(executor, site.handle, data)
            except Exception:
                # The outermost loop: tell the coordinator that we stop, then do stop.
                await _post_all(transport, site.give_up(data), say, may_send)
                raise
            if not await _post_all(transport, posts, say, may_send):
                if held != seq:
                    say(
                        f"{site.name} holds an answer back: it was stopped, or the "
                        "permit does not stand"
                    )
                held = seq
                await asyncio.sleep(LOOK_SECONDS)  # until it does, or the task expires
                break
            site.answers.advance(home, inbox.epoch, seq)


async def _post_all(
    transport: Transport,
    posts: Sequence[Post],
    say: Callable[[str], None],
    may_send: Callable[[Sequence[Post]], bool],
) -> bool:
    """Send an answer, however long a hub is away; return whether it might all go."""

    async def send(hub: str, answer: bytes) -> None:
        try:
            await transport.post(hub, answer)
        except Refused as error:
            # Nothing that trying again would mend: the task has expired meanwhile, or
            # the hub holds an answer of ours from before a restart, which counts.
            say(f"{hub} did not take an answer: {error}")

    sending = asyncio.gather(*(send(hub, answer) for hub, answer in posts))
    try:
        while not sending.done():
            if not may_send(posts):
                return False
            await asyncio.wait([sending], timeout=LOOK_SECONDS)
        await sending
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
    return True
