"""Networks of hubs for the contract suite, and a whole federation over one of them.

A further transport joins the suite with a class like `InprocNet` or `HttpsNet` and
one line in `NETS`.
"""

import asyncio
import contextlib
import datetime
import functools
import secrets
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from aiohttp import web

from hetao.federation.attend import attend
from hetao.federation.cast import Cast, new_cast
from hetao.federation.coordinator import Coordinator
from hetao.federation.correspondence import Desk
from hetao.federation.hub import Hub
from hetao.federation.hub_https import serve_hub
from hetao.federation.outcome import Outcome
from hetao.federation.pki import Authority, new_authority, write_certificate
from hetao.federation.propose import draft_permit
from hetao.federation.site import Site, SiteSetup
from hetao.federation.tls import client_tls, server_tls
from hetao.federation.transport import Transport
from hetao.federation.transport_https import HttpsTransport
from hetao.federation.transport_inproc import Exchange
from hetao.ledger.envelope import Envelope, Header, seal
from hetao.ledger.log import Log
from hetao.permit import Bundle, format_time
from hetao.release import Policy, add
from hetao.study import Analysis, Level, Study, Variable
from support_federation import head_of, open_once

HUBS = ("hub-hk", "hub-sz")
SIDES = {"a": "HK", "b": "SZ", "c": "HK", "d": "SZ"}
LIMIT_SECONDS = 30.0  # no scene takes longer; a hang fails instead of hanging
NOTHING = "sha256:" + "0" * 64
RUN = "f" * 32


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


# --- networks ------------------------------------------------------------------------
class Net(Protocol):
    """Two hubs that can be stopped and started, and every party's way to them."""

    cast: Cast
    folder: Path

    def __init__(self, cast: Cast, folder: Path, patience_seconds: float) -> None: ...

    async def start(self, hub: str) -> None:
        """Open a hub on its folder and let it be reached where it was before."""

    async def stop(self, hub: str) -> None:
        """Make a hub unreachable, as a process that is stopped."""

    def transport(self, party: str) -> Transport:
        """Return a new way to the hubs in the name of `party`."""

    async def close(self) -> None:
        """Let go of everything."""


class _Hubs:
    """The part that no transport changes: a hub is its folder."""

    def __init__(self, cast: Cast, folder: Path, patience_seconds: float) -> None:
        self.cast, self.folder, self.patience = cast, folder, patience_seconds
        self.hubs: dict[str, Hub] = {}
        self.transports: list[Transport] = []

    def open(self, name: str) -> Hub:
        identity, folder = self.cast.identities[name], self.folder / name
        self.hubs[name] = Hub(identity, self.cast.directory, folder, now)
        return self.hubs[name]

    def keep(self, transport: Transport) -> Transport:
        self.transports.append(transport)
        return transport


class InprocNet(_Hubs):
    def __init__(self, cast: Cast, folder: Path, patience_seconds: float) -> None:
        super().__init__(cast, folder, patience_seconds)
        self.exchange = Exchange({}, patience_seconds)

    async def start(self, hub: str) -> None:
        await self.exchange.put_back(hub, self.open(hub))

    async def stop(self, hub: str) -> None:
        self.exchange.take_away(hub)
        self.hubs.pop(hub).close()

    def transport(self, party: str) -> Transport:
        return self.keep(self.exchange.transport(party))

    async def close(self) -> None:
        for transport in self.transports:
            await transport.close()
        for hub in list(self.hubs):
            await self.stop(hub)


class HttpsNet(_Hubs):
    """Real TLS on loopback; an authority for each park, each listed by the other."""

    def __init__(self, cast: Cast, folder: Path, patience_seconds: float) -> None:
        super().__init__(cast, folder, patience_seconds)
        self.tls = folder / "tls"
        self.tls.mkdir(parents=True)
        self.authorities = {
            side: new_authority(f"authority-{side}", now(), 2) for side in ("HK", "SZ")
        }
        self.listed = self.tls / "authorities.pem"
        self.listed.write_bytes(b"".join(a.pem for a in self.authorities.values()))
        self.addresses: dict[str, str] = {}
        self.ports = dict.fromkeys(HUBS, 0)  # 0: the kernel chooses, once
        self.runners: dict[str, object] = {}

    def certificate(
        self, name: str, hosts: tuple[str, ...] = (), authority: Authority | None = None
    ) -> tuple[Path, Path]:
        sides = {party.name: party.side for party in self.cast.directory.parties}
        signer = authority or self.authorities[sides.get(name, "HK")]
        folder = self.tls / secrets.token_hex(4)
        return write_certificate(folder, signer, name, hosts, now(), 1)

    def client(self, name: str) -> ssl.SSLContext:
        return client_tls(*self.certificate(name), self.listed)

    async def start(self, hub: str) -> None:
        tls = server_tls(*self.certificate(hub, ("127.0.0.1",)), self.listed)
        runner = await serve_hub(self.open(hub), "127.0.0.1", self.ports[hub], tls)
        self.runners[hub] = runner
        self.ports[hub] = runner.addresses[0][1]
        self.addresses[hub] = f"https://127.0.0.1:{self.ports[hub]}"

    async def stop(self, hub: str) -> None:
        await self.runners.pop(hub).cleanup()
        self.hubs.pop(hub).close()

    def transport(self, party: str) -> Transport:
        tls = self.client(party)
        return self.keep(HttpsTransport(self.addresses, tls, self.patience))

    async def close(self) -> None:
        for transport in self.transports:
            await transport.close()
        for hub in list(self.hubs):
            await self.stop(hub)


async def too_much(request: web.Request) -> web.StreamResponse:
    """Answer as a hub whose answer is larger than any that it gives."""
    answer = web.StreamResponse()
    await answer.prepare(request)
    with contextlib.suppress(ConnectionError):
        for _ in range(100):
            await answer.write(bytes(2**16))
    return answer


NETS: dict[str, type[Net]] = {"inproc": InprocNet, "https": HttpsNet}


def play(
    net_class: type[Net],
    folder: Path,
    scene: Callable,
    *,
    sites: str = "abc",
    patience_seconds: float = 10.0,
) -> object:
    """Run a scene on a started network, within a time limit, and clean up."""

    async def whole() -> object:
        cast = new_cast({site: SIDES[site] for site in sites}, now())
        net = net_class(cast, folder, patience_seconds)
        try:
            for hub in HUBS:
                await net.start(hub)
            async with asyncio.timeout(LIMIT_SECONDS):
                return await scene(net)
        finally:
            await net.close()

    return asyncio.run(whole())


# --- single envelopes ----------------------------------------------------------------
def letter(
    cast: Cast,
    sender: str,
    to: str,
    content: bytes = b"content",
    *,
    task: str = "t",
    kind: str = "receipt",
    run: str = RUN,
    minutes: float = 10,
) -> Envelope:
    """Return a sealed, signed envelope of a run that no hub acts on."""
    header = Header(
        study=NOTHING,
        permit=NOTHING,
        run=run,
        task=task,
        kind=kind,
        sender=sender,
        recipient=to,
        not_after=format_time(now() + datetime.timedelta(minutes=minutes)),
        grade=2,
        head=head_of(cast.identities[sender]),
    )
    return seal(cast.identities[sender], cast.directory[to], header, content)


# --- whole runs ----------------------------------------------------------------------
def study_of(sites: str, **more: object) -> Study:
    """Return a study of one round of counts and of a few Newton rounds."""
    levels = (Level("no", "no"), Level("yes", "yes"))
    return Study(
        name="contract",
        title="Contract",
        question="does the transport change the answer",
        version="1",
        dictionary="flat",
        sites=tuple(sites),
        variables=(
            Variable("age", "number", "column", column="age", bounds=(0, 120)),
            Variable("y", "category", "column", column="y", levels=levels),
        ),
        analyses=(
            Analysis("people", "counts"),
            Analysis("model", "logistic", outcome="y", terms=("1", "age")),
        ),
        **more,
    )


def write_people(path: Path) -> Path:
    random = np.random.default_rng(11)
    age = random.normal(60, 10, 600).clip(20, 100).round(1)
    ill = random.random(600) < 1 / (1 + np.exp(-(age - 60) / 10))
    site = random.choice(list(SIDES), 600)
    table = pd.DataFrame({"age": age, "y": np.where(ill, "yes", "no"), "site": site})
    table.to_csv(path, index=False)
    return path


class Killed(Exception):
    """A process came to its end here."""


class Mortal:
    """A way to the hubs whose owner dies at its n-th post, before or after it."""

    def __init__(self, inner: Transport, posts: int, *, before: bool) -> None:
        self.inner, self.left, self.before = inner, posts, before

    async def post(self, hub: str, data: bytes) -> None:
        self.left -= 1
        if self.before and self.left <= 0:
            raise Killed
        await self.inner.post(hub, data)
        if self.left <= 0:
            raise Killed

    async def inbox(self, hub, after, run="", wait_seconds=25.0):
        return await self.inner.inbox(hub, after, run, wait_seconds)

    async def exchange(self, hub: str, after: int, data: bytes) -> bytes:
        return await self.inner.exchange(hub, after, data)

    async def report(self, hub: str, data: bytes) -> bytes:
        return await self.inner.report(hub, data)

    async def close(self) -> None:
        await self.inner.close()


class Stage:
    """Sites and a coordinator over a network; each can be dropped and made again."""

    def __init__(self, net: Net, study: Study) -> None:
        self.net, self.folder, self.study = net, net.folder, study
        self.people = write_people(self.folder / "people.csv")
        self.permit_all()
        self.said: list[str] = []
        self.heard: dict[str, asyncio.Event] = {}
        self.opened: list[Site | Coordinator] = []
        self.workers: list[asyncio.Task[None]] = []

    def permit_all(self) -> None:
        """Let the permit list every protocol of the study."""
        draft = draft_permit(self.study, self.net.cast.directory, now())
        self.bundle = self.net.cast.approved(draft, now())

    def permit_only(self, *protocols: str) -> None:
        """Let the permit list these protocols and no others."""
        permit = draft_permit(self.study, self.net.cast.directory, now()).permit
        listed = tuple(p for p in permit.protocols if p.name in protocols)
        draft = Bundle(replace(permit, protocols=listed))
        self.bundle = self.net.cast.approved(draft, now())

    def say(self, text: str) -> None:
        self.said.append(text)
        for beginning, event in self.heard.items():
            if text.startswith(beginning):
                event.set()

    def when(self, beginning: str) -> asyncio.Event:
        """Return an event that is set once the coordinator says so."""
        return self.heard.setdefault(beginning, asyncio.Event())

    def site(self, name: str) -> Site:
        """Return a site on its folder; one dropped before is left as it is."""
        site = Site(self.setup(name), now)
        self.opened.append(site)
        return site

    def setup(self, name: str) -> SiteSetup:
        return SiteSetup(
            identity=self.net.cast.identities[name],
            trusted=self.net.cast.directory,
            policy=Policy(),
            home=self.home(name),
            folder=self.folder / f"site-{name}",
            open_source=functools.partial(open_once, self.people, "site", name),
        )

    def home(self, name: str) -> str:
        return f"hub-{SIDES[name].lower()}"

    def work(self, name: str, way: Transport | None = None) -> asyncio.Task[None]:
        """Let a site attend its hub."""
        way = way or self.net.transport(name)
        coroutine = attend(self.site(name), self.home(name), way, self.say)
        self.workers.append(asyncio.create_task(coroutine))
        return self.workers[-1]

    def work_all(self, names: str) -> None:
        for name in names:
            self.work(name)

    def coordinator(self, way: Transport | None = None) -> Coordinator:
        cast, folder = self.net.cast, self.folder / "coordinator"
        identity = cast.identities["coordinator"]
        desk = Desk(identity, cast.directory, folder, now, self.say)
        way = way or self.net.transport("coordinator")
        opened = Coordinator(desk, self.study, self.bundle, way)
        self.opened.append(opened)
        return opened

    async def __aenter__(self) -> "Stage":
        return self

    async def __aexit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.cancel()
        await asyncio.gather(*self.workers, return_exceptions=True)
        for thing in self.opened:
            thing.close()

    def log_of(self, party: str) -> list[bytes]:
        """Return what stands in a party's own log."""
        folder = "coordinator" if party == "coordinator" else f"site-{party}"
        key = self.net.cast.identities[party].signing_key
        log = Log.open(self.folder / folder / "log.sqlite", party, key)
        try:
            return list(log.entries(0, log.size))
        finally:
            log.close()


def sums_of(outcome: Outcome) -> list[tuple[str, bytes]]:
    """Return every opened sum's task and exact integers."""
    return [
        (record.task, add(list(record.words.values())).tobytes())
        for record in outcome.rounds
    ]


def findings_of(outcome: Outcome) -> list[str]:
    """Return every finding, every bit of its floats shown."""
    return [repr(answer.finding.as_json()) for answer in outcome.answers]
