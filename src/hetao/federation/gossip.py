"""Passing on what is said about permits: each party tells every hub, and is told.

No hub dials, and none is believed: every party checks who signed what. A notice that
reaches any one party in touch with both hubs reaches everybody who is in touch with
one of them within two turns.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from hetao.errors import HetaoError
from hetao.federation.register import Register, news_from
from hetao.federation.transport import Transport

GOSSIP_SECONDS: Final = 1.5  # between two turns; two and some are within 5 seconds


async def gossip(
    register: Register,
    hubs: Iterable[str],
    transport: Transport,
    say: Callable[[str], None],
    heard: Callable[[], None],
) -> None:
    """Exchange notices with every hub until cancelled.

    Args:
        register: the party's own.
        hubs: whom to tell and ask.
        transport: the way to them.
        say: takes what goes wrong; it goes wrong once or often, and gossip goes on.
        heard: called when something new was heard, whichever way it came, and once
            at the start.
    """
    turns = (_with(hub, register, transport, say, heard) for hub in hubs)
    await asyncio.gather(*turns)


async def _with(
    hub: str,
    register: Register,
    transport: Transport,
    say: Callable[[str], None],
    heard: Callable[[], None],
) -> None:
    told, asked, epoch, complaint, known = 0, 0, "", "", -1
    while True:
        try:
            register.look()
            mine = register.after(told)
            news = news_from(await transport.exchange(hub, asked, mine.encoded()))
            told, asked = mine.place, news.place
            if epoch not in ("", news.epoch):  # a hub that starts over is told all
                told, asked = 0, 0
            epoch = news.epoch
            register.take(news.notices)
            complaint = ""
        except HetaoError as error:
            if str(error) != complaint:
                complaint = str(error)
                say(f"no notices from {hub}: {complaint}")
        if register.place != known:  # an envelope may have brought it
            known = register.place
            heard()
        await asyncio.sleep(GOSSIP_SECONDS)
