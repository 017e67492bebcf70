"""A whole federation in one process: for a notebook, a lesson, a test.

The same sites, hubs, coordinator, gate, envelopes and logs as over a network; only
the transport hands envelopes over by a direct call. Keys are made for the occasion
and approve their own permit, and the certificate's parties say so.
"""

import asyncio
import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hetao.cdm import CuratedTables, FlatTable
from hetao.federation.attend import attend
from hetao.federation.cast import Cast, new_cast
from hetao.federation.certify import certify, package_of
from hetao.federation.clock import utc_now
from hetao.federation.coordinator import Coordinator
from hetao.federation.correspondence import Desk
from hetao.federation.hub import Hub
from hetao.federation.outcome import Outcome
from hetao.federation.propose import draft_permit
from hetao.federation.site import Site, SiteSetup
from hetao.federation.transport_inproc import Exchange
from hetao.permit import SIDES, format_time
from hetao.release import Policy
from hetao.study import Study

OpenSource = Callable[[], CuratedTables | FlatTable]
Clock = Callable[[], datetime.datetime]


def in_this_process(setups: Sequence[SiteSetup], clock: Clock) -> Sequence[Site]:
    """Return the sites of these set-ups, as objects of this process."""
    return [Site(setup, clock) for setup in setups]


@dataclass(frozen=True)
class Housing:
    """Where the sites of an embedded federation live.

    Attributes:
        open: makes the sites; what stands for one in another process will do, if it
            answers as a `Site` does.
        threads: how many sites are waited for at once; None for one a processor.
            Sites that share a processor only slow each other down.
    """

    open: Callable[[Sequence[SiteSetup], Clock], Sequence[Site]] = in_this_process
    threads: int | None = None


@dataclass(frozen=True)
class Answered:
    """An outcome and its certificate."""

    outcome: Outcome
    certificate: bytes
    cast: Cast


async def run_embedded(
    study: Study,
    sources: Mapping[str, OpenSource],
    folder: Path,
    policies: Mapping[str, Policy] | None = None,
    say: Callable[[str], None] = lambda _: None,
    housing: Housing = Housing(),
) -> Answered:
    """Carry out a study over sites in this process and certify it.

    Args:
        study: what is asked; its sites are the keys of `sources`.
        sources: site → opens its tables or flat file.
        folder: where journals and logs go; use a temporary one to keep nothing.
        policies: site → policy; strict where left out.
        say: takes progress.
        housing: where the sites live.

    Raises:
        HetaoError: as the coordinator.
    """
    clock = utc_now
    sides = {name: SIDES[i % 2] for i, name in enumerate(study.sites)}
    cast = new_cast(sides, clock())
    bundle = cast.approved(draft_permit(study, cast.directory, clock()), clock())
    hubs = {
        f"hub-{side.lower()}": Hub(
            cast.identities[f"hub-{side.lower()}"],
            cast.directory,
            folder / f"hub-{side.lower()}",
            clock,
        )
        for side in SIDES
    }
    exchange = Exchange(hubs)
    setups = [
        SiteSetup(
            identity=cast.identities[name],
            trusted=cast.directory,
            policy=(policies or {}).get(name, Policy()),
            home=f"hub-{sides[name].lower()}",
            folder=folder / f"site-{name}",
            open_source=sources[name],
        )
        for name in study.sites
    ]
    sites = housing.open(setups, clock)
    desk = Desk(
        cast.identities["coordinator"],
        cast.directory,
        folder / "coordinator",
        clock,
        say,
    )
    coordinator = Coordinator(desk, study, bundle, exchange.transport("coordinator"))
    executor = ThreadPoolExecutor(housing.threads or os.cpu_count())
    workers = [
        asyncio.create_task(
            attend(
                site,
                f"hub-{sides[site.name].lower()}",
                exchange.transport(site.name),
                say,
                executor,
                listens=isinstance(site, Site),
            )
        )
        for site in sites
    ]
    try:
        outcome = await coordinator.answer()
        votes = cast.reviewed(bundle, package_of(outcome), clock())
        issued = format_time(clock())
        certificate = await certify(coordinator, outcome, issued, votes)
        coordinator.mark_finished()
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        executor.shutdown(wait=False, cancel_futures=True)
        for site in sites:
            site.close()
        for hub in hubs.values():
            hub.close()
        coordinator.close()
    return Answered(outcome, certificate, cast)
