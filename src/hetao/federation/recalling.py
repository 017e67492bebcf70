"""A memory of releases that was restored from a backup is told what it forgot.

Every sum stands in the memory before it stands in the site's log. So a memory that does
not know a sum of the log is older than the log, or another: by it, people could be
shown again who were shown before. When a site opens, what was forgotten is worked out
again: the cohort from the snapshot that the run was pinned to, and of whom its analyses
showed how much. Where that can no longer be done, the site does not open.
"""

import functools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from hetao import cohort as cohorts
from hetao.analysis import estimator_for, make_rows
from hetao.errors import HetaoError, MemoryLost
from hetao.federation import asking
from hetao.federation.memory import Memory, Purpose, Room
from hetao.federation.pinning import Table, digests_of, pinned
from hetao.federation.store import Store
from hetao.ledger.envelope import parse_envelope
from hetao.ledger.sealed_counts import is_count
from hetao.permit import Bundle, Identity, parse_time
from hetao.permit.law import day_of_law
from hetao.release import Policy, check_people
from hetao.release.differencing import Asked
from hetao.release.lists import Summed, summed
from hetao.study import Study

WITHOUT_END: Final = 1e12  # of each budget: what was shown was shown
ANYTHING: Final = Room(0, WITHOUT_END, told=WITHOUT_END, sites=1)

Body = Mapping[str, Any]


class Kept(Protocol):
    """What is needed of a site's setup."""

    @property
    def identity(self) -> Identity:
        """The site's keys."""

    @property
    def policy(self) -> Policy:
        """Its policy."""

    @property
    def open_source(self) -> Callable[[], Table]:
        """Opens the current snapshot or the flat file."""

    @property
    def open_snapshot(self) -> Callable[[str], Table] | None:
        """Opens the snapshot of that digest; None for a flat file."""

    @property
    def tell(self) -> Callable[[str], None]:
        """Takes what only the site's own people may read."""


def recall(setup: Kept, memory: Memory, store: Store, size: int) -> None:
    """Tell a site's memory what its log alone knows.

    Args:
        setup: of the site.
        memory: its memory of releases.
        store: its journal, which `remind` has told what stands in the log.
        size: of the log.

    Raises:
        MemoryLost: the memory forgot sums that cannot be worked out again.
    """
    _list_again(setup, memory, store)
    rows = store.rows(
        "SELECT record FROM answered WHERE logged >= ? ORDER BY logged", (memory.heard,)
    )
    bodies = (json.loads(data)["body"] for (data,) in rows)
    sums = [body for body in bodies if body["kind"] == "sum" and not is_count(body)]
    forgotten = memory.unknown(sums)
    runs = dict.fromkeys(str(body["run"]) for body in forgotten)
    for run in runs:
        mine = [body for body in forgotten if body["run"] == run]
        try:
            again = _Again.of(setup, memory, store, run)
            again.tell(memory, mine)
        except (HetaoError, LookupError, TypeError, ValueError) as error:
            raise MemoryLost(
                f"the memory of what {setup.identity.name} has shown is older than its "
                "log, and what it forgot cannot be worked out again",
                local=f"run {run[:60]}: {error}",
            ) from error
    memory.hear(size)
    if forgotten:
        setup.tell(f"the memory was older than the log by {len(forgotten)} sums")


def _list_again(setup: Kept, memory: Memory, store: Store) -> None:
    """Tell a memory that an earlier edition of hetao kept which sites were summed.

    What was begun says which sites its permit has, and each record which were summed.
    Of a permit of which neither is here the lists stay unknown, which is too close to
    every other list.

    Args:
        setup: of the site.
        memory: its memory of releases.
        store: its journal, which `remind` has told what stands in the log.
    """
    permits = memory.unlisted()
    if not permits:
        return
    found = {permit: set[Summed]() for permit in permits}
    for (data,) in store.rows("SELECT record FROM answered"):
        body = json.loads(data)["body"]
        if body["kind"] == "sum" and body["permit"] in found:
            over = _as_before(body["members"], _least_sites(body))
            found[body["permit"]].add(over)
    for permit, data in store.rows("SELECT permit, data FROM begun WHERE data != x''"):
        if permit in found:
            content = parse_envelope(bytes(data)).open(setup.identity)
            study, bundle = asking.opening(content)
            least = setup.policy.tightened(study.minimum).minimum.sites
            found[permit].add(_as_before(bundle.permit.sites, least))
    for permit, lists in found.items():
        memory.list_again(permit, lists)


def _as_before(members: Collection[str], least: int) -> Summed:
    """Return a list of a study that could not name whose part may be told apart."""
    sites = frozenset(members)
    return Summed(sites, sites if len(sites) < least else frozenset(), least)


def _least_sites(body: Body) -> int:
    """Return fewest sites of a sum, by the policy under which it was let out."""
    return int(body["policy"]["minimum"]["sites"])


@dataclass(frozen=True)
class _Again:
    """A run's question and its people, as they were."""

    setup: Kept
    study: Study
    bundle: Bundle
    cohort: cohorts.Cohort

    @classmethod
    def of(cls, setup: Kept, memory: Memory, store: Store, run: str) -> "_Again":
        ((data, snapshot),) = store.rows(
            "SELECT data, snapshot FROM begun WHERE run = ?", (run,)
        )
        content = parse_envelope(bytes(data)).open(setup.identity)
        study, bundle = asking.opening(content)
        table: Table
        if setup.open_snapshot is None:
            table = setup.open_source()
        else:
            table = setup.open_snapshot(str(snapshot))
        table = pinned(table, memory.keyed)
        try:
            if snapshot not in digests_of(table):
                raise LookupError("the tables that it ran on are no longer there")
            return cls(setup, study, bundle, cohorts.build(study, table))
        finally:
            table.close()

    def tell(self, memory: Memory, bodies: Sequence[Body]) -> None:
        """Remember what these records let out, as of when they did."""
        cohort, permit = self.cohort, self.bundle.permit
        places = asking.places_of(memory, cohort.space, cohort.ids, cohort.flow)
        purpose = Purpose(
            self.study.digest,
            permit.digest,
            cohort.snapshot,
            cohort.space,
            permit.not_after,
        )
        over = asking.over_of(self.setup.policy, self.study, permit.sites)
        room = replace(ANYTHING, over=over)
        for body in bodies:
            when = parse_time(str(body["at"]))
            year, who = day_of_law(when).year, (cohort.space, places.rows)
            memory.count(year, who, lambda _: None)
            asked = self._asked(places, body)
            memory.reserve(purpose, [asked], room, when)
            task = f"{body['run']}|{body['task']}", int(body["values"])
            memory.sent(purpose, asked, task, when)

    def _asked(self, places: asking.Places, body: Body) -> Asked:
        name = self.setup.identity.name
        minimum = self.setup.policy.tightened(self.study.minimum).minimum
        analysis = self.study.analysis(str(body["analysis"]))
        estimator = estimator_for(self.study, analysis).within(minimum)
        rows = make_rows(
            estimator.plan,
            self.cohort.columns,
            name,
            attrition=self.cohort.attrition,
            enough=functools.partial(check_people, minimum, name),
        )
        among = asking.members_of(tuple(body["members"]), self.bundle.permit.sites)
        attempt = asking.Attempt(str(body["run"]), int(body["attempt"]), among)
        over = summed(
            self.study,
            body["members"],
            _least_sites(body),
            publishable=estimator.publishable,
        )
        at = int(body["round"])
        return asking.asked_of(estimator, rows, places, at, attempt, over)
