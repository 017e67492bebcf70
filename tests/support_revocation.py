"""A permit revoked in mid-study, at one site alone: who hears of it, and when."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from hetao.cli.run import tell_revoked
from hetao.errors import HetaoError
from hetao.federation.coordinator import Coordinator
from hetao.federation.released import sign_released
from hetao.federation.site import Site, SiteSetup
from hetao.federation.transport import Transport
from hetao.permit import Directory, Statement, format_time, sign_notice
from support_transport import HUBS, Net, Stage, now, study_of

SITES = "abc"
POSTS = 11  # of site a, until it is held up: ready, three sums of shares and receipt
SUMS = 4  # of each site by then: the counts, that of sites, and two rounds of the model
LOOK_SECONDS = 0.01


class HeldUp:
    """A way to the hubs that stands still after so many posts until it is let go.

    Where `lost`, the second post from then on goes through, but no word of it comes
    back: of an answer of two shares and a receipt, of which one share went before, the
    other share stays and the receipt goes.
    """

    def __init__(self, inner: Transport, posts: int, *, lost: bool = False) -> None:
        self._inner, self._left, self._lost = inner, posts, lost
        self.reached, self.goes_on = asyncio.Event(), asyncio.Event()

    async def post(self, hub: str, data: bytes) -> None:
        self._left -= 1
        if self._left < 0:
            goes = self._lost and self._left == -2
            if goes:
                await self._inner.post(hub, data)
            if goes or not self._lost:
                self.reached.set()
            await self.goes_on.wait()
        await self._inner.post(hub, data)

    async def inbox(self, hub, after, run="", wait_seconds=25.0):
        return await self._inner.inbox(hub, after, run, wait_seconds)

    async def exchange(self, hub: str, after: int, data: bytes) -> bytes:
        return await self._inner.exchange(hub, after, data)

    async def close(self) -> None:
        await self._inner.close()


class Midway(Stage):
    """A stage on which each site has a folder of notices, empty at first."""

    notices: dict[str, tuple[Statement, ...]]
    sites: dict[str, Site]

    def setup(self, name: str) -> SiteSetup:
        return replace(super().setup(name), notices=lambda: self.notices.get(name, ()))

    def site(self, name: str) -> Site:
        self.sites[name] = super().site(name)
        return self.sites[name]


@dataclass
class Heard:
    """What became of a study that was revoked.

    Attributes:
        seconds: party → from the revocation until it had done all that it does: a site
            destroyed what it kept, a hub kept the notice, the coordinator ended.
        sums: site → sums that it had released before, and in the end.
        error: with which the coordinator ended.
        certificate: of the revoked run; b"" where none was asked for.
        lists: of the sites of what left them, signed.
        directory: of the parties.
        kept: bytes of what was asked that the coordinator still has.
        other: with which hubs refused to cosign a log that does not say so.
    """

    directory: Directory
    seconds: dict[str, float] = field(default_factory=dict)
    sums: dict[str, list[int]] = field(default_factory=dict)
    error: HetaoError | None = None
    certificate: bytes = b""
    lists: list[object] = field(default_factory=list)
    other: HetaoError | None = None
    kept: int = 0


async def revoked_midway(
    net: Net,
    teller: str = "c",
    wait_seconds: float = 0,
    *,
    certified: bool = False,
    lost: bool = False,
) -> Heard:
    """Run a study, hold it up, have one site told of a revocation, and look.

    Args:
        net: started.
        teller: the site in whose folder the revocation is laid.
        wait_seconds: between the holding up and the revocation.
        certified: whether the run is certified as revoked, and sites list what left.
        lost: whether the receipt that is held up reaches its hub, and only the hub's
            word is lost; else it waits as its hub were away.
    """
    stage = Midway(net, study_of(SITES))
    stage.notices, stage.sites, heard = {}, {}, Heard(net.cast.directory)
    async with stage:
        held = HeldUp(net.transport("a"), POSTS, lost=lost)
        coordinator, running = await _under_way(stage, held)
        await asyncio.sleep(wait_seconds)
        before = {name: sums_in(site) for name, site in stage.sites.items()}
        signer = net.cast.identities["ethics-hk"]
        said = sign_notice(stage.bundle, signer, "revoke", now()).notices[-1:]
        start = asyncio.get_running_loop().time()
        stage.notices[teller] = said
        await _until_all_heard(stage, running, start, heard)
        held.goes_on.set()
        await asyncio.sleep(0.1)  # for what would be sent now
        heard.sums = {n: [before[n], sums_in(s)] for n, s in stage.sites.items()}
        try:
            await running
        except HetaoError as error:
            heard.error = error
        if certified:
            await _certify(stage, coordinator, heard)
    return heard


async def killed_midway(net: Net) -> tuple[HetaoError, list[bytes], bytes]:
    """Kill the coordinator of a run, revoke the permit, and let it come back.

    Returns:
        With which it ended; what it wrote, each of the two times; its log's last entry.
    """
    stage = Midway(net, study_of(SITES))
    stage.notices, stage.sites, wrote = {}, {}, []
    async with stage:
        held = HeldUp(net.transport("a"), POSTS)
        coordinator, running = await _under_way(stage, held)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        run = coordinator.run
        stage.opened.remove(coordinator)
        coordinator.close()
        signer = net.cast.identities["ethics-hk"]
        stage.bundle = sign_notice(stage.bundle, signer, "revoke", now())
        stage.notices["b"] = stage.bundle.notices[-1:]
        while not all(destroyed(site) for site in stage.sites.values()):
            await asyncio.sleep(LOOK_SECONDS)
        for _ in range(2):
            again = stage.coordinator()
            assert again.run == run
            try:
                await again.answer()
            except HetaoError as error:
                ended = error
            await tell_revoked(again, stage.folder / "out")
            wrote.append((stage.folder / "out" / "revoked.json").read_bytes())
            last = again.log.size
            (entry,) = again.log.entries(last - 1, last)
            stage.opened.remove(again)
            again.close()
    return ended, wrote, entry


async def _under_way(
    stage: Midway, held: HeldUp
) -> "tuple[Coordinator, asyncio.Task[object]]":
    """Start sites and a run, and return once each site has released its sums."""
    stage.work("a", held)
    stage.work_all("bc")
    coordinator = stage.coordinator()
    running = asyncio.create_task(coordinator.answer())
    await held.reached.wait()
    others = [stage.sites[name] for name in "bc"]
    while {sums_in(site) for site in stage.sites.values()} != {SUMS} or any(
        site.answers.unsent(coordinator.run) for site in others
    ):
        await asyncio.sleep(LOOK_SECONDS)  # until the others wait for it too
    return coordinator, running


async def _certify(stage: Stage, coordinator: Coordinator, heard: Heard) -> None:
    at = format_time(now())
    await tell_revoked(coordinator, stage.folder / "out")
    heard.certificate = (stage.folder / "out" / "revoked.json").read_bytes()
    for name in SITES:
        signed = sign_released(stage.setup(name), coordinator.run, at)
        heard.lists.append(signed.as_json())
    heard.kept = coordinator.mail.kept
    try:
        await coordinator.cosign(lambda _: "another history")
    except HetaoError as error:
        heard.other = error


async def _until_all_heard(
    stage: Midway, running: "asyncio.Task[object]", start: float, heard: Heard
) -> None:
    loop = asyncio.get_running_loop()
    looks = {
        **{f"site {n}": (lambda s=s: destroyed(s)) for n, s in stage.sites.items()},
        **{f"hub {n}": (lambda n=n: has_heard(stage.net.hubs[n])) for n in HUBS},
        "coordinator": running.done,
    }
    while set(looks) != set(heard.seconds):
        for party, look in looks.items():
            if party not in heard.seconds and look():
                heard.seconds[party] = loop.time() - start
        await asyncio.sleep(LOOK_SECONDS)


def has_heard(party) -> bool:
    return bool(party._register.after(0).notices)


def entries(site: Site) -> Iterable[bytes]:
    return site._log.entries(0, site._log.size)


def destroyed(site: Site) -> bool:
    return any(b'"what":"destroyed"' in entry for entry in entries(site))


def sums_in(site: Site) -> int:
    return sum(b'"kind":"sum"' in entry for entry in entries(site))
