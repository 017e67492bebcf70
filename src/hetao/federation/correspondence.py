"""The coordinator's letters out and mail in: journaled, logged, verified, awaited.

What is asked is journaled before it is sent, and everything that comes back waits at
the hubs; so after a kill the very same bytes go out again, and the same answers come.
"""

import asyncio
import contextlib
import datetime
import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hetao.canonical import canonical
from hetao.errors import (
    HetaoError,
    NotAParty,
    OutOfTime,
    Stopped,
    Unreachable,
    WrongStudy,
)
from hetao.federation.gossip import gossip
from hetao.federation.heartbeat import Heartbeat
from hetao.federation.logs import NOWHERE, LogTable
from hetao.federation.register import Register
from hetao.federation.replica import Replica
from hetao.federation.store import Store
from hetao.federation.transport import Transport
from hetao.ledger.envelope import Envelope, Header, parse_envelope, seal
from hetao.ledger.log import Log
from hetao.permit import (
    Bundle,
    Directory,
    Identity,
    Statement,
    check_standing,
    format_time,
    parse_time,
)
from hetao.release import unpack
from hetao.study import Study

SENT: Final = """
CREATE TABLE IF NOT EXISTS sent (
    key TEXT NOT NULL PRIMARY KEY,
    run TEXT NOT NULL,
    hub TEXT NOT NULL,
    data BLOB NOT NULL
) STRICT;
"""
POLL_SECONDS: Final = 10.0

Clock = Callable[[], datetime.datetime]
Place = tuple[str, str, str]  # task, kind, sender
Mail = tuple[Envelope, dict[str, Any], dict[str, Any]]


@dataclass(frozen=True)
class Desk:
    """What the coordinator works with: keys, whom it trusts, its folder, a clock.

    `notices` returns what lies in its folder of notices about permits; `log` is `[log]`
    of its file.
    """

    identity: Identity
    trusted: Directory
    folder: Path
    clock: Clock
    say: Callable[[str], None]
    notices: Callable[[], Sequence[Statement]] = tuple
    log: LogTable = NOWHERE


@dataclass(frozen=True)
class Letter:
    """Something to send: for which piece of work, of which kind, to whom, what.

    Attributes:
        lasting: whether it holds as long as the permit, though it asks for work: it
            is carried by hand.
    """

    task: str
    kind: str
    to: str
    content: bytes
    place: Mapping[str, Any] = field(default_factory=dict)
    lasting: bool = False


class Lost(Exception):
    """Parties that refused or stayed silent in one piece of work; never shown."""

    def __init__(
        self, why: Mapping[str, HetaoError], codes: Collection[str] = ()
    ) -> None:
        """Keep each party's error, and the codes of the rules by which any refused."""
        super().__init__()
        self.why, self._codes = dict(why), frozenset(codes)
        self.opened = False  # whether a sum had been opened before

    @property
    def first(self) -> HetaoError:
        """Return the first party's error."""
        return next(iter(self.why.values()))

    def by(self, rule: type[HetaoError]) -> bool:
        """Return whether a party refused by such a rule before a sum was opened."""
        return not self.opened and rule.code in self._codes


class Correspondence:
    """One run's letters and mail.

    Attributes:
        items: what has come in, by task, kind and sender.
        let_go: parties that the run goes on without; their refusals no longer count.
    """

    def __init__(
        self,
        desk: Desk,
        question: tuple[Study, Bundle, str],
        transport: Transport,
        store: Store,
        log: Log,
    ) -> None:
        """Write and read for the run of that name, of a study under its permit."""
        self._desk, self._transport, self._store, self._log = (
            desk,
            transport,
            store,
            log,
        )
        self._study, self._bundle, self._run = question
        self._register = Register(store, desk.trusted, desk.notices)
        self.replica = Replica(
            store, desk.trusted, desk.identity.name, desk.folder, desk.say
        )
        self._heart = Heartbeat(log, self.replica, transport, desk.say)
        self.items: dict[Place, Mail] = {}
        self.let_go: dict[str, str] = {}
        self._heard: dict[str, tuple[int, str]] = {}  # hub → place in line, epoch
        self._fault: BaseException | None = None
        self._settled = False
        self._news = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Take in what waits at both hubs while the block runs."""
        hubs = self._bundle.permit.hubs
        listeners = [asyncio.create_task(self._listen(hub)) for hub in hubs]
        talk = gossip(self._register, hubs, self._transport, lambda _: None, self._heed)
        listeners.append(asyncio.create_task(talk))
        listeners.append(asyncio.create_task(self._heart.keep(hubs)))
        try:
            yield
            await self._heart.beat(hubs)
        finally:
            for listener in listeners:
                listener.cancel()
            await asyncio.gather(*listeners, return_exceptions=True)

    @property
    def bundle(self) -> Bundle:
        """Return the permit with everything that was heard about it."""
        self._bundle = self._register.heard_of(self._bundle)
        return self._bundle

    def settle(self) -> None:
        """Wait from now on though the permit has ended: only to have that cosigned."""
        self._settled, self._fault = True, None

    def destroy(self) -> None:
        """Destroy what was asked in the run: sealed states, which sites could open."""
        text = "UPDATE sent SET data = x'' WHERE run = ? AND data != x''"
        self._store.shred([(text, (self._run,))])
        entry = {"type": "hetao.entry/1", "what": "destroyed", "run": self._run}
        entry |= {"at": format_time(self._desk.clock())}
        entry |= {"permit": self._bundle.permit.digest}
        self._log.append([canonical(entry)])

    async def hear(self, seconds: float) -> None:
        """Listen for so long, for what was said about the permit, and what came."""
        async with self.listening():
            await asyncio.sleep(seconds)

    async def hear_out(self) -> None:
        """Tell both hubs what was said about the permit, then take in all they hold.

        One that knows of a revocation carries no answer any more: nothing comes after.

        Raises:
            Unreachable: a hub stays away, has started over, or comes to no end.
        """
        self._register.take(self._bundle.notices)  # also what the permit file bears
        for hub in self._bundle.permit.hubs:
            try:
                async with asyncio.timeout(self._study.deadline_seconds):
                    await self._hear_out(hub)
            except TimeoutError as error:
                raise Unreachable(f"{hub} does not come to an end") from error

    async def _hear_out(self, hub: str) -> None:
        told = 0
        while (news := self._register.after(told)).notices:
            await self._transport.exchange(hub, 0, news.encoded())
            told = news.place
        while await self._look(hub, 0):
            await asyncio.sleep(0)

    def check_standing(self) -> None:
        """Return quietly if the permit stands now.

        Raises:
            Refused: it does not; see `hetao.permit.check_standing`.
        """
        desk = self._desk
        check_standing(self.bundle, self._study.digest, desk.clock(), desk.trusted)

    def _heed(self) -> None:
        """End every wait if the permit does not stand any more."""
        if self._settled:
            return
        try:
            self.check_standing()
        except HetaoError as error:
            self._fault = error
            self._ringing = asyncio.ensure_future(self._ring())

    async def _ring(self) -> None:
        async with self._news:
            self._news.notify_all()

    @property
    def sent(self) -> int:
        """Return how many letters the run has sent."""
        rows = self._store.rows("SELECT count(*) FROM sent WHERE run = ?", (self._run,))
        return int(rows[0][0])

    @property
    def kept(self) -> int:
        """Return how many bytes of the run's letters are here."""
        rows = self._store.rows(
            "SELECT coalesce(sum(length(data)), 0) FROM sent WHERE run = ?",
            (self._run,),
        )
        return int(rows[0][0])

    def asked(self) -> dict[str, tuple[str, ...]]:
        """Return task → the sites that were asked for their part, in the study's order.

        Known though what was asked is destroyed.
        """
        text = "SELECT key FROM sent WHERE run = ? ORDER BY rowid"
        found: dict[str, set[str]] = {}
        for (key,) in self._store.rows(text, (self._run,)):
            _, task, kind, to = json.loads(key)
            if kind == "task":
                found.setdefault(task, set()).add(to)
        sites = self._study.sites
        return {t: tuple(s for s in sites if s in asked) for t, asked in found.items()}

    # --- sending ----------------------------------------------------------------------
    async def send(self, *letters: Letter) -> None:
        """Journal, log and post; after a kill, the very same bytes go out again."""
        if any(letter.kind == "task" for letter in letters):
            self.check_standing()
        posts: list[tuple[str, bytes]] = []
        fresh: list[tuple[str, str, Envelope]] = []
        previous = self._last_sent()
        for letter in letters:
            key = json.dumps([self._run, letter.task, letter.kind, letter.to])
            rows = self._store.rows("SELECT hub, data FROM sent WHERE key = ?", (key,))
            if rows:
                hub, data = str(rows[0][0]), bytes(rows[0][1])
                self._check_fresh(data)
            else:
                hub, envelope = self._home(letter.to), self._sealed(letter, previous)
                data, previous = envelope.data, envelope.digest
                fresh.append((key, hub, envelope))
            posts.append((hub, data))
        if fresh:
            text = "INSERT INTO sent VALUES (?, ?, ?, ?)"
            self._store.write(
                [(text, (key, self._run, hub, e.data)) for key, hub, e in fresh]
            )
            self._note("asked", [e for _, _, e in fresh])
        await asyncio.gather(*(self._transport.post(hub, d) for hub, d in posts))

    def _last_sent(self) -> str:
        rows = self._store.rows(
            "SELECT data FROM sent WHERE run = ? AND data != x'' "
            "ORDER BY rowid DESC LIMIT 1",
            (self._run,),
        )
        return parse_envelope(bytes(rows[0][0])).digest if rows else ""

    def _check_fresh(self, data: bytes) -> None:
        if self._desk.clock() >= parse_time(parse_envelope(data).header.not_after):
            raise OutOfTime("a task of the interrupted run has expired")

    def _sealed(self, letter: Letter, previous: str) -> Envelope:
        # What asks for work is dated by the deadline; the rest by the permit alone,
        # so that a run can be resumed for as long as the permit holds.
        last = parse_time(self._bundle.permit.not_after)
        if letter.kind == "task" and not letter.lasting:
            slack = datetime.timedelta(seconds=2 * self._study.deadline_seconds + 60)
            last = min(self._desk.clock() + slack, last)
        header = Header(
            study=self._study.digest,
            permit=self._bundle.permit.digest,
            run=self._run,
            task=letter.task,
            kind=letter.kind,
            sender="",
            recipient="",
            not_after=format_time(last),
            grade=2,
            previous=previous,
            head=self._log.short_checkpoint(),
            **letter.place,
        )
        party = self._bundle.permit.directory[letter.to]
        return seal(self._desk.identity, party, header, letter.content)

    def _home(self, to: str) -> str:
        """Return the hub of a party's own park; a hub is its own."""
        directory = self._bundle.permit.directory
        party = directory[to]
        if party.role == "hub":
            return to
        for hub in directory.of_role("hub"):
            if hub.side == party.side:
                return hub.name
        raise NotAParty(f"no hub of the permit serves side {party.side}")

    def _note(self, what: str, envelopes: Sequence[Envelope]) -> None:
        """Log envelopes, all in one durable append."""
        now = format_time(self._desk.clock())
        entries = [
            {
                "type": "hetao.entry/1",
                "what": what,
                "at": now,
                "envelope": e.digest,
                "study": e.header.study,
                "run": e.header.run,
                "task": e.header.task,
                "kind": e.header.kind,
                "from": e.header.sender,
                "to": e.header.recipient,
                **({"head": e.header.head} if what == "received" else {}),
            }
            for e in envelopes
        ]
        self._log.append([canonical(entry) for entry in entries])

    # --- receiving ------------------------------------------------------------------
    async def _listen(self, hub: str) -> None:
        """Take in everything of this run that waits at a hub and was not heard yet."""
        try:
            while True:
                if await self._look(hub, POLL_SECONDS):
                    await self._ring()
        except HetaoError as error:
            self._fault = error
            await self._ring()

    async def _look(self, hub: str, wait_seconds: float) -> bool:
        """Take in what waits at a hub, or comes within that time; return if any did."""
        after, epoch = self._heard.get(hub, (0, ""))
        inbox = await self._transport.inbox(hub, after, self._run, wait_seconds)
        if epoch not in ("", inbox.epoch):
            raise Unreachable(
                f"{hub} has started over with an empty store",
                fix="run the study again; it will resume",
            )
        taken = [self._take(data) for _, data in inbox.items]
        known = [envelope for envelope in taken if envelope is not None]
        if known:
            self._note("received", known)
        self._heard[hub] = max((after, *(at for at, _ in inbox.items))), inbox.epoch
        return bool(inbox.items)

    def _take(self, data: bytes) -> Envelope | None:
        """Verify and keep an envelope; what nobody of the permit signed is dropped."""
        try:
            envelope = parse_envelope(data)
            sender = self._bundle.permit.directory[envelope.header.sender]
            envelope.verify(sender)
            header = envelope.header
            self.replica.hear_from(header)
            if header.run != self._run or header.study != self._study.digest:
                raise WrongStudy("an envelope of another run")
            meta, arrays = unpack(envelope.open(self._desk.identity))
        except HetaoError as error:
            self._desk.say(f"dropped an envelope: {error}")
            return None
        place = (header.task, header.kind, header.sender)
        if place in self.items:
            return None
        self.items[place] = (envelope, meta, arrays)
        return envelope

    async def wait(self, wanted: Sequence[Place], task: str) -> None:
        """Wait until all wanted mail is here.

        Raises:
            Lost: a party refused this task, or was silent past the deadline.
            Unreachable: a hub is away.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + self._study.deadline_seconds
        while True:
            async with self._news:
                self._check_refusals(task)
                missing = [p for p in wanted if p not in self.items]
                if not missing:
                    return
                if self._fault is not None:
                    raise self._fault
                left = end - loop.time()
                if left <= 0:
                    raise Lost(self._silent(missing))
                # not wait_for, which in Python 3.11 can lose a cancellation
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._news.wait()

    def _check_refusals(self, task: str) -> None:
        said = {
            sender: meta
            for (at, kind, sender), (_, meta, _) in self.items.items()
            if at == task and kind == "refusal" and sender not in self.let_go
        }
        if said:
            why = {
                sender: Stopped(f"{sender} refused {task}: {meta.get('rule')}")
                for sender, meta in said.items()
            }
            raise Lost(why, [str(meta.get("code")) for meta in said.values()])

    def _silent(self, missing: Sequence[Place]) -> dict[str, HetaoError]:
        """Name the sites that stayed silent; only if none did, the hubs."""
        late = [p for p in missing if p[2] in self._study.sites] or list(missing)
        waited = self._study.deadline_seconds
        return {
            sender: Unreachable(
                f"{sender} did not answer {at} within {waited} seconds",
                fix="check that it runs, then run the study again; it will resume",
            )
            for at, _, sender in late
        }
