"""The heartbeat: each party tells the hubs its log, and is told everybody else's.

Once a minute, and when a run begins and ends. No hub is believed: what it tells of a
log is held against that log's own signature. A record that was told in one beat cannot
be changed before the next without being found (`hetao.federation.replica`).
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from hetao.errors import HetaoError
from hetao.federation.replica import Replica
from hetao.federation.reports import Report, is_of_a_study, report_from
from hetao.federation.transport import Transport
from hetao.ledger.account import account_of
from hetao.ledger.log import Log

HEARTBEAT_SECONDS: Final = 60.0
MOST_EXCHANGES: Final = 16  # with one hub in one beat; the rest waits for the next


class Heartbeat:
    """A party's own beat towards the hubs."""

    def __init__(
        self,
        log: Log,
        replica: Replica,
        transport: Transport,
        say: Callable[[str], None],
    ) -> None:
        """Tell `log`, keep `replica`, over `transport`; `say` takes what goes wrong."""
        self._log, self._replica, self._transport = log, replica, transport
        self._say = say
        self._told: dict[str, int] = {}  # hub → the size up to which it knows our log
        self._complaints: dict[str, str] = {}

    async def keep(self, hubs: Iterable[str]) -> None:
        """Beat until cancelled; no hub waits for another."""
        await asyncio.gather(*(self._keep_with(hub) for hub in hubs))

    async def _keep_with(self, hub: str) -> None:
        while True:
            await self._with(hub)
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def beat(self, hubs: Iterable[str]) -> None:
        """Tell each hub once, and be told."""
        await asyncio.gather(*(self._with(hub) for hub in hubs))

    async def _with(self, hub: str) -> None:
        try:
            for _ in range(MOST_EXCHANGES):
                if not await self._exchanged(hub):
                    break
            self._complaints.pop(hub, None)
        except HetaoError as error:
            if self._complaints.get(hub) != str(error):
                self._complaints[hub] = str(error)
                self._say(f"no records from {hub}: {error}")

    async def _exchanged(self, hub: str) -> bool:
        """Tell and be told what one message holds; return whether there is more."""
        knew = self._told.get(hub, -1)
        start = self._log.size if knew < 0 else knew  # the hub first says what it has
        mine = account_of(self._log, start, is_of_a_study)
        before = self._replica.sizes(hub)
        asked = Report((mine,), before).encoded()
        answer = report_from(await self._transport.report(hub, asked))
        self._replica.learn(answer.accounts, answer.notes, hub)
        self._told[hub] = knows = answer.have.get(self._log.origin, 0)
        after = self._replica.sizes(hub)
        if self._replica.doubts(hub):
            return True
        return knew < knows != mine.checkpoint.size or any(
            before[name] < after[name] < one.checkpoint.size
            for one in answer.accounts
            if (name := one.checkpoint.origin) in after
        )
