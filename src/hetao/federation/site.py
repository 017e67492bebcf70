"""A site: it verifies, computes on its own rows, and lets out what the gate allows.

The site dials out to its hub, takes one envelope at a time and answers it. What it
answered it keeps, so that a task delivered twice gets the very same bytes, and a kill
at any step repeats nothing and loses nothing.

For each envelope, in this order:
    1  parse  2 signature of the coordinator of the site's own list  3 for this site
    4  within its not-after  5 not answered before  6 act  7 keep the answer
    8  log what was asked and what is let out  9 send
"""

import datetime
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from hetao import cohort as cohorts
from hetao.analysis import Estimator, Evidence, Rows, protocol, weighed
from hetao.analysis.estimator import USUAL_ROUNDS
from hetao.analysis.sealed_count import SealedCount, tells_combinations
from hetao.canonical import canonical
from hetao.cdm import CuratedTables, FlatTable
from hetao.cdm.quality import Quality
from hetao.errors import (
    BadEnvelope,
    BadSignature,
    HetaoError,
    NotAParty,
    NotApproved,
    OutOfTime,
    Replayed,
    WrongStudy,
)
from hetao.federation import asking
from hetao.federation.answers import ANSWERS, Answers, Post
from hetao.federation.begun import SCHEMA as BEGUN
from hetao.federation.begun import Begun
from hetao.federation.binding import Bindings, LoggedExtract
from hetao.federation.course import STATES, Course
from hetao.federation.demanded import as_demanded
from hetao.federation.entries import entry_of, refusal_entries
from hetao.federation.guard import LATEST, Guard
from hetao.federation.heeding import Heeding, stands
from hetao.federation.joining import check_joins, quality_of_tables, stated
from hetao.federation.logs import NOWHERE, LogTable, open_log
from hetao.federation.memory import Memory, Purpose, Room
from hetao.federation.pinning import Named, Pinning
from hetao.federation.prepared import People, Prepared, enough
from hetao.federation.recalling import recall
from hetao.federation.register import SCHEMA as HEARD
from hetao.federation.register import Register
from hetao.federation.reminding import remind
from hetao.federation.replica import SCHEMA as COPIED
from hetao.federation.replica import Replica
from hetao.federation.store import Store
from hetao.federation.yearly import count_people
from hetao.ledger.envelope import Envelope, parse_envelope
from hetao.ledger.log import Log
from hetao.ledger.sealed_counts import PEOPLE, SITES, what_of
from hetao.permit import (
    Bundle,
    Directory,
    Identity,
    Statement,
    check_standing,
    format_time,
    parse_time,
)
from hetao.permit.house import House, check_house, shipped
from hetao.release import (
    ClosedDoor,
    Door,
    Notice,
    Place,
    Policy,
    Release,
    Summary,
    key_from,
    unpack,
)
from hetao.release.decide import decide
from hetao.release.differencing import Asked, Budget
from hetao.release.lists import check_agrees
from hetao.release.minimums import countable, counted_before, numbers_of
from hetao.study import Study

TABLES: Final = BEGUN + ANSWERS + STATES + HEARD + COPIED + LATEST
Clock = Callable[[], datetime.datetime]


@dataclass(frozen=True)
class SiteSetup:
    """What makes a site: keys, whom it trusts, its policy, its data, its folder.

    Attributes:
        open_source: opens the current snapshot or the flat file, read-only.
        open_snapshot: opens the snapshot of that digest; None for a flat file, which
            has but one.
        quality: finds the quality report of the tables that were opened.
        notices: returns what the site has heard about permits from elsewhere than the
            coordinator, such as a withdrawal; read anew for every envelope.
        home: the hub that this site dials.
        house: the rulebook with the site's own packs, and what it states of requests.
        log: `[log]` of its file.
        tell: takes what only the site's own people may read.
    """

    identity: Identity
    trusted: Directory
    policy: Policy
    home: str
    folder: Path
    open_source: Callable[[], CuratedTables | FlatTable]
    quality: Callable[[CuratedTables | FlatTable], Quality | None] = quality_of_tables
    notices: Callable[[], Sequence[Statement]] = tuple
    open_snapshot: Callable[[str], CuratedTables | FlatTable] | None = None
    tell: Callable[[str], None] = lambda _: None
    house: House = field(default_factory=shipped)
    random: Callable[[int], bytes] = os.urandom
    log: LogTable = NOWHERE


@dataclass
class _Run:
    """One run as this site knows it; rebuilt from the journal after a restart."""

    study: Study
    bundle: Bundle
    cohort: cohorts.Cohort
    named: Named
    quality: Quality | None
    prepared: Prepared
    places: asking.Places
    extract: LoggedExtract | None
    reserved: dict[tuple[str, asking.Attempt, int], Asked] = field(default_factory=dict)


class Site:
    """The same object behind every transport: hand it an envelope, send its answer."""

    def __init__(self, setup: SiteSetup, clock: Clock) -> None:
        """Open the site's journal and log in its folder."""
        self._setup, self._clock = setup, clock
        self.name = setup.identity.name
        setup.folder.mkdir(parents=True, exist_ok=True)
        self._store = Store(setup.folder / "site.sqlite", TABLES)
        self._course = Course(self._store, self.name)
        self._begun = Begun(self._store, self.name)
        self.memory = Memory(setup.folder)
        self._log = open_log(setup.folder, setup.identity, setup.log)
        forgotten = remind(self._store, self._log)  # before anything is logged
        if forgotten:
            setup.tell(f"the journal was older than the log by {forgotten} answers")
        self.answers = Answers(self._store, self._log)
        recall(setup, self.memory, self._store, self._log.size)
        self._bindings = Bindings(setup.folder, self._store)
        self.register = Register(self._store, setup.trusted, setup.notices)
        self.replica = Replica(
            self._store, setup.trusted, self.name, setup.folder, setup.tell
        )
        self._guard = Guard(setup.folder, self._store, clock)
        self._heeding = Heeding(
            self.register, self._begun.kept, self._given, self._destroy, setup.tell
        )
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._fresh: list[Post] = []  # a new answer, until it is first looked at

    @property
    def hubs(self) -> tuple[str, ...]:
        """Return the names of both hubs, by the site's own list."""
        return tuple(party.name for party in self._setup.trusted.of_role("hub"))

    @property
    def _pinning(self) -> Pinning:
        return Pinning(self._setup, self.memory, self._begun, self.name)

    @property
    def log(self) -> Log:
        """Return the site's own log."""
        return self._log

    def close(self) -> None:
        """Close journal and log."""
        self._store.close()
        self.memory.close()
        self._log.close()

    # --- one envelope ---------------------------------------------------------------
    def handle(self, data: bytes) -> list[Post]:
        """Return what to send for one envelope; see `_handled`."""
        with self._lock:
            return self._handled(data)

    def may_send(self, posts: Sequence[Post]) -> bool:
        """Return whether an answer may leave still; see `Answers.may_send`.

        The first look at a new one is that of its making: its log has it as released.
        """
        if posts and posts is self._fresh:
            self._fresh = []
            return True
        return self.answers.may_send(posts, self._setup.folder, self._stands)

    def _stands(self, run: str) -> bool:
        bundle = self._runs[run].bundle if run in self._runs else self._given(run)
        return stands(self.register, bundle, self._clock(), self._setup.trusted)

    def heed(self) -> None:
        """Destroy what this site keeps for permits that were revoked.

        What it keeps to send again goes, and the states of rounds; its records stay.
        """
        with self._lock:
            self._heeding.heed()

    def _given(self, run: str) -> Bundle:
        envelope = self._begun.envelope(run)
        if envelope is None:
            raise NotApproved("nothing of this run is kept here")
        return asking.opening(envelope.open(self._setup.identity))[1]

    def _destroy(self, run: str, bundle: Bundle) -> None:
        self._runs.pop(run, None)
        self._begun.destroy(run)
        entry = entry_of("destroyed", self._clock())
        entry |= {"run": run, "permit": bundle.permit.digest}
        entry |= {"unsent": unsent} if (unsent := self.answers.unsent(run)) else {}
        self._log.append([canonical(entry)])
        self._begun.forget(run)  # killed before, it is destroyed and logged once more

    def _handled(self, data: bytes) -> list[Post]:
        """Return what to send for one envelope from the hub; nothing for a forged one.

        A refusal is an answer too: it names the rule, and is logged. What cannot be
        proved to come from the coordinator is logged and dropped.
        """
        try:
            envelope = self._verified(data)  # 1-4
        except (BadEnvelope, BadSignature, NotAParty) as error:
            entry = entry_of("dropped", self._clock()) | {"rule": str(error)}
            self._log.append([canonical(entry)])  # names no study: told to nobody
            return []
        except HetaoError as error:
            return self._answer(parse_envelope(data), error)
        try:
            if key := self.answers.key(envelope):  # 5
                self._heeding.heed(envelope.header.run)  # it may be revoked since
                return self.answers.posts(key)
            return self._answer(envelope, self._act(envelope))  # 6-9
        except HetaoError as error:
            self._heeding.heed(envelope.header.run)
            return self._answer(envelope, error)
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            fault = BadEnvelope("the task's content is malformed", local=repr(error))
            return self._answer(envelope, fault)

    def give_up(self, data: bytes) -> list[Post]:
        """Return a refusal for an envelope that this site failed on, unforeseen."""
        fault = HetaoError(f"{self.name} failed inside", fix="see the site's screen")
        return self._answer(self._verified(data), fault)

    def _verified(self, data: bytes) -> Envelope:
        envelope = parse_envelope(data)  # 1
        coordinator = self._setup.trusted.of_role("coordinator")[0]
        envelope.verify(coordinator)  # 2
        if envelope.header.recipient != self.name:  # 3
            raise BadEnvelope(f"the envelope is not for {self.name}")
        self.replica.hear_from(envelope.header)
        self._guard.check()
        if self._clock() >= parse_time(envelope.header.not_after):  # 4
            raise OutOfTime("the task is past its not-after time")
        return envelope

    def _act(self, envelope: Envelope) -> Release:
        kind = envelope.header.kind
        if kind == "begin":
            return self._begin(envelope)
        run = self._run(envelope)
        if kind == "task":
            return self._compute(envelope, run)
        if kind == "finish":
            return self._close_run(envelope, run)
        raise BadEnvelope(f"a site does not act on {kind!r}")

    # --- begin ------------------------------------------------------------------------
    def _begin(self, envelope: Envelope) -> Release:
        run = self._start_run(envelope)
        permit, snapshot = run.bundle.permit.digest, run.named.told
        self._begun.check_earlier(envelope.header.run, run.bundle, run.named.known)
        self._count(run)
        self._reserve(run, envelope.header.run)
        self._begun.keep(envelope, permit, snapshot)
        self._runs[envelope.header.run] = run
        body: dict[str, Any] = {
            "snapshot": snapshot,
            "dictionary": run.study.dictionary,
            "policy": self._setup.policy.tightened(run.study.minimum).as_json(),
        }
        if run.cohort.told:
            body["concepts"] = [asdict(one) for one in run.cohort.told]
        if run.extract:
            body["extract"] = run.extract.digest
        return self._decide(Notice("ready", body), run, envelope)

    def _start_run(self, envelope: Envelope) -> _Run:
        """Verify permit and study before any row is read; then build the cohort."""
        study, given = asking.opening(envelope.open(self._setup.identity))
        bundle = self.register.heard_of(given)
        check_standing(bundle, study.digest, self._clock(), self._setup.trusted)
        said = (envelope.header.study, envelope.header.permit)
        if said != (study.digest, bundle.permit.digest):
            raise WrongStudy("the envelope and its content name different studies")
        if self.name not in bundle.permit.sites:
            raise NotAParty(f"{self.name} is not a site of this permit")
        check_house(self._setup.house, bundle.permit, self._clock())
        check_agrees(self.name, self._setup.policy.told_apart, study)
        table = self._pinning.open(bundle.permit.digest)
        try:
            named = self._pinning.named(envelope.header.run, table)
            quality = self._setup.quality(table)
            check_joins(self.name, study, quality)
            policy = self._setup.policy
            minimum = policy.tightened(study.minimum).minimum
            built = cohorts.build(study, table, enough(minimum, self.name))
            who, now = self._setup.identity, self._clock()
            extract = self._bindings.extract(table, who, self._log, now)
            extract = as_demanded(bundle.permit, extract, self._log, self._setup)
        finally:
            table.close()
        places = asking.places_of(self.memory, built.space, built.ids, built.flow)
        people = People(built.columns, built.attrition, places.rows)
        prepared = Prepared(study, people, policy, self.name)
        return _Run(study, bundle, built, named, quality, prepared, places, extract)

    def _reserve(self, run: _Run, name: str) -> None:
        """Reserve what all analyses would show, or refuse the study before any of it.

        An analysis that this site cannot answer is refused when it is asked for, as it
        always was.
        """
        asked = []
        for analysis in run.study.analyses:
            try:
                asked.append(self._asked(run, analysis.name, asking.Attempt(name)))
            except HetaoError:
                continue
        self.memory.reserve(self._purpose(run), asked, self._room(run), self._clock())
        for one in asked:
            run.reserved[one.analysis, asking.Attempt(name), 0] = one.of_whom

    def _count(self, run: _Run) -> None:
        who, permit = (run.cohort.space, run.places.everybody), run.bundle.permit
        site = self._setup.trusted[self.name]
        count_people(self.memory, site, permit, who, self._clock())

    def _asked(self, run: _Run, name: str, of: asking.Attempt, at: int = 0) -> Asked:
        estimator, rows, _ = self._prepared(run, name)
        policy, members = self._setup.policy, of.members or run.bundle.permit.sites
        over = asking.over_whom(policy, run.study, members, estimator)
        return asking.asked_of(estimator, rows, run.places, at, of, over)

    def _purpose(self, run: _Run) -> Purpose:
        permit, cohort = run.bundle.permit, run.cohort
        what = (run.study.digest, permit.digest)
        return Purpose(*what, cohort.snapshot, cohort.space, permit.not_after)

    def _room(self, run: _Run) -> Room:
        everyone, sites = run.cohort.everyone, run.bundle.permit.sites
        return asking.room_of(self._setup.policy, run.study, everyone, sites)

    def _run(self, envelope: Envelope) -> _Run:
        header = envelope.header
        if header.run not in self._runs:
            began = self._begun.envelope(header.run)
            if began is None:
                raise NotApproved("no permit has reached this site for this run")
            again = self._start_run(began)
            known = again.named.known
            self._begun.check_earlier(header.run, again.bundle, known)
            self._runs[header.run] = again
        run = self._runs[header.run]
        run.bundle = self.register.heard_of(run.bundle)
        if (header.study, header.permit) != (
            run.study.digest,
            run.bundle.permit.digest,
        ):
            raise WrongStudy("the task is for another study than its run")
        return run

    # --- compute ----------------------------------------------------------------------
    def _compute(self, envelope: Envelope, run: _Run) -> Release:
        header = envelope.header
        meta, arrays = unpack(envelope.open(self._setup.identity))
        # The permit may have been withdrawn since `begin`: then nothing is computed.
        check_standing(run.bundle, run.study.digest, self._clock(), self._setup.trusted)
        check_house(self._setup.house, run.bundle.permit, self._clock())
        self._count(run)  # the year may have turned since `begin`
        if what := what_of(header.task):
            return self._count_sealed(envelope, run, meta, what)
        if header.task != f"{header.analysis}/{header.attempt}/{header.round}":
            raise BadEnvelope("the task's name is not that of its place in the study")
        estimator, rows, facts = self._prepared(run, header.analysis)
        permit = run.bundle.permit
        counted = self._course.counted(header, permit, (meta, arrays))
        sites = self._course.counted(header, permit, (meta, arrays), SITES)
        state = self._course.state(header, permit, estimator, (meta, arrays))
        facts, own_cells = estimator.guarded(facts, rows, state)
        if state is None:
            message = estimator.start(rows)
        else:
            message = estimator.local(rows, state)
            weights = estimator.weights(rows, state)
            if weights is not None:
                facts = weighed(facts, estimator.plan, rows, weights)
            facts = replace(facts, bins=estimator.bins(rows, state))
        attempt = asking.Attempt(header.run, header.attempt)
        plan, before = estimator.plan, counted_before(estimator, header.round)
        # A late round may tell of combinations that nobody counted before the first.
        is_all = tells_combinations(estimator) or not tells_combinations(
            estimator, header.round
        )
        policy = self._setup.policy.tightened(run.study.minimum)
        summary = Summary(
            protocol=protocol(estimator.name),
            publishable=estimator.publishable,
            declared=estimator.declare(header.round),
            arrays={name: np.asarray(a, np.float64) for name, a in message.items()},
            evidence=facts,
            members=tuple(str(name) for name in meta["members"]),
            key=key_from(meta),
            together=run.prepared.together(header.analysis),
            # Where sites are told apart, each cell of the sum is one site's own.
            own_parts=estimator.own_parts or plan.crosses_sites or rows.crosses_site,
            own_totals=plan.tells_sites or rows.tells_site,
            numbers=None if plan.parts else numbers_of(estimator, rows),
            own_cells=own_cells or (not estimator.publishable and plan.tells_sites),
            in_a_cell=estimator.in_a_bin(policy.minimum),
            budget=self._reserved(run, header.analysis, attempt),
            binding=self._bindings.of(header, rows),
            needs_count=PEOPLE in before,
            counted=counted.least if counted and is_all else None,
            needs_sites=SITES in before,
            sites_counted=sites,
        )
        release = self._decide(summary, run, envelope)
        among = asking.members_of(summary.members, permit.sites)
        attempt = replace(attempt, members=among)
        # The begin reserved no such round.
        at = header.round if among or header.round >= USUAL_ROUNDS else 0
        self._reserved(run, header.analysis, attempt, at)
        count = sum(array.size for array in summary.arrays.values())
        self.memory.sent(
            self._purpose(run),
            run.reserved[header.analysis, attempt, at],
            (f"{header.run}|{header.task}", count),
            self._clock(),
        )
        return release

    def _count_sealed(
        self, envelope: Envelope, run: _Run, meta: Mapping[str, Any], what: str
    ) -> Release:
        """Count what stands before a model: people, or sites of a number."""
        header = envelope.header
        estimator, rows, facts = self._prepared(run, header.analysis)
        if what not in countable(estimator):
            raise BadEnvelope(f"nothing is counted before {header.analysis}")
        counts = SealedCount(estimator, what, run.study.told_apart)
        attempt = asking.Attempt(header.run, header.attempt)
        summary = Summary(
            protocol=protocol(counts.name),
            publishable=counts.publishable,
            declared=counts.declare(0),
            arrays=counts.start(rows),
            evidence=facts,
            members=tuple(str(name) for name in meta["members"]),
            key=key_from(meta),
            together=run.prepared.together(header.analysis),
            budget=self._reserved(run, header.analysis, attempt),
            binding=self._bindings.of(header, rows),
            counts=what,
        )
        return self._decide(summary, run, envelope)

    def _reserved(
        self, run: _Run, name: str, of: asking.Attempt, at: int = 0
    ) -> Budget:
        """Return what was shown about the people of an analysis that has its room.

        It was reserved at the begin, unless the analysis could not be prepared then.
        """
        purpose, room = self._purpose(run), self._room(run)
        if (name, of, at) not in run.reserved:
            asked = self._asked(run, name, of, at)
            self.memory.reserve(purpose, [asked], room, self._clock())
            run.reserved[name, of, at] = asked.of_whom
        people = run.reserved[name, of, at]
        return self.memory.budget(purpose, people, room.share, room.told)

    def _prepared(self, run: _Run, name: str) -> tuple[Estimator, Rows, Evidence]:
        return *run.prepared.rows(name), run.prepared.facts(name)

    # --- finish -----------------------------------------------------------------------
    def _close_run(self, envelope: Envelope, run: _Run) -> Release:
        """Prove that every release of the run stands in this site's log."""
        policy = self._setup.policy.tightened(run.study.minimum)
        body = {
            "checkpoint": self._log.own_checkpoint(),
            "proofs": self.answers.proofs(envelope.header.run),
            "quality": stated(run.quality, policy.minimum.cell),
        }
        if run.extract:
            body["extract"] = run.extract.proof(self._log)
        return self._decide(Notice("closing", body), run, envelope)

    # --- answering --------------------------------------------------------------------
    def _decide(
        self, outgoing: Summary | Notice, run: _Run, envelope: Envelope
    ) -> Release:
        self._guard.check()  # the switch may have been thrown while it computed
        setup = self._setup
        door = Door(
            setup.identity,
            setup.trusted,
            run.bundle,
            run.study,
            setup.policy,
            run.named.told,
            run.cohort.fields,
            run.cohort.without_genes,
            setup.house.book.digest,
        )
        place = self._place(envelope)
        return decide(outgoing, door, place, self._clock(), setup.random)

    def _place(self, envelope: Envelope) -> Place:
        h = envelope.header
        return Place(
            study=h.study,
            permit=h.permit,
            run=h.run,
            task=h.task,
            not_after=h.not_after,
            analysis=h.analysis,
            attempt=h.attempt,
            round=h.round,
            previous=self.answers.previous(h.run),
            head=self._log.short_checkpoint(),
        )

    def _answer(self, envelope: Envelope, outcome: Release | HetaoError) -> list[Post]:
        """Keep the answer, then log it, then hand it over for sending."""
        refused, replayed = False, isinstance(outcome, Replayed)
        if isinstance(outcome, HetaoError):
            refused, outcome = True, self._refusal(envelope, outcome)
        route = self._route(outcome)
        now = self._clock()
        heard = b"" if refused else canonical(entry_of("received", now, envelope))
        self._fresh = self.answers.keep(
            envelope, outcome, route, refused=refused, replayed=replayed, heard=heard
        )
        return self._fresh

    def _refusal(self, envelope: Envelope, error: HetaoError) -> Release:
        setup = self._setup
        self._log.append(refusal_entries(self._clock(), error, envelope, setup.random))
        if error.local:
            setup.tell(f"for this site only: {error.local}")
        door = ClosedDoor(setup.identity, setup.trusted, setup.house.book.digest)
        # A refusal must reach the coordinator even for a task that has expired.
        later = self._clock() + datetime.timedelta(hours=1)
        place = replace(self._place(envelope), not_after=format_time(later))
        notice = Notice("refusal", {"code": error.code, "rule": str(error)[:500]})
        return decide(notice, door, place, self._clock())

    def _route(self, release: Release) -> dict[str, str]:
        """Return, of each recipient, the hub that its envelope goes to."""
        names = {e.header.recipient for e in release.envelopes}
        return {name: name if name in self.hubs else self._setup.home for name in names}
