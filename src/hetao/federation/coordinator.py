"""The coordinator: it asks, adds what the two hubs added, and takes the next step.

It sees sums over sites and nothing finer. What it asks is journaled before it is
sent, and everything that comes back waits at the hubs; so after a kill the same
command replays the run and goes on where it was, to the same answer.

A site that answers by file is asked ahead: begin, the one task of each analysis and
finish wait for it together, so that one file goes in and one comes out.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hetao.analysis import Estimator, Finding, estimator_for
from hetao.analysis.sealed_count import SealedCount
from hetao.canonical import canonical, parse_canonical
from hetao.errors import (
    BadEnvelope,
    HetaoError,
    NearlyOne,
    NotEstimable,
    OutOfTime,
    Stopped,
    TooFewSites,
    Unreachable,
    WrongStudy,
)
from hetao.federation import runs
from hetao.federation.correspondence import (
    SENT,
    Correspondence,
    Desk,
    Letter,
    Lost,
    Place,
)
from hetao.federation.counting import brought, check_record
from hetao.federation.logs import open_log, witnessed
from hetao.federation.outcome import Answer, Outcome, RoundRecord
from hetao.federation.register import SCHEMA as HEARD
from hetao.federation.replica import SCHEMA as COPIED
from hetao.federation.reviewing import COUNTED, Ballots
from hetao.federation.stating import check_closing, check_ready, check_signed
from hetao.federation.store import Store
from hetao.federation.totals import Words, check_tags, check_total, total_of
from hetao.federation.transport import Transport
from hetao.ledger.concept_sets import across_sites
from hetao.ledger.log_end import append_last
from hetao.ledger.note import parse_checkpoint, parse_note
from hetao.ledger.sealed_counts import PEOPLE, SITES, task_of
from hetao.permit import (
    Bundle,
    Statement,
    statement_from,
)
from hetao.release import STRICT, new_key, pack
from hetao.release.lists import summed
from hetao.release.minimums import countable, counted_before
from hetao.study import Study

TAG_KEY: Final = b"hetao-tag-key-v1\n"
NEAR: Final = "two definitions are near at some site; hubs count over all of them"


class Coordinator:
    """Carries out one study over a transport."""

    def __init__(
        self,
        desk: Desk,
        study: Study,
        bundle: Bundle,
        transport: Transport,
        by_file: Collection[str] = (),
    ) -> None:
        """Open the coordinator's journal and log, and resume an unfinished run.

        Args:
            desk: keys, whom it trusts, its folder, a clock.
            study: what is asked.
            bundle: the permit, and what was signed about it.
            transport: the way to the hubs.
            by_file: sites to which one file is carried, and back, by hand.

        A run that was under way when its permit was revoked is opened all the same, so
        that it can be certified as revoked; it answers nothing any more.

        Raises:
            NotApproved, OutOfTime, WrongStudy, NotAParty: the permit does not stand.
            InvalidStudy: a site answers by file what takes more than one round.
        """
        self._ended = runs.end_of(desk, study, bundle)
        if set(study.sites) != set(bundle.permit.sites):
            raise WrongStudy("the study and the permit name different sites")
        runs.check_by_file(study, by_file)
        self._by_file = frozenset(by_file)
        self._desk, self.study, self.bundle = desk, study, bundle
        desk.folder.mkdir(parents=True, exist_ok=True)
        tables = runs.SCHEMA + SENT + HEARD + COUNTED + COPIED
        self._store = Store(desk.folder / runs.JOURNAL, tables)
        self.log = open_log(desk.folder, desk.identity, desk.log)
        self.identity, self.trusted = desk.identity, desk.trusted
        self.ballots = Ballots(self._store, self.log, desk.trusted)
        self.run = runs.taken_up(self._store, (study, bundle), self._ended, desk.say)
        question = (study, bundle, self.run)
        self._mail = Correspondence(desk, question, transport, self._store, self.log)
        self._rounds: list[RoundRecord] = []
        self._counts: list[RoundRecord] = []
        is_listed = bundle.permit.protocol(SealedCount.name) is not None
        self._can_count = is_listed and not by_file  # who answers by file is asked once
        self._counts_pairs = False  # once a site refused two definitions, before each
        self._in_findings: set[str] = set()
        self._seconds: dict[str, float] = {}

    @property
    def mail(self) -> Correspondence:
        """Return the letters and the mail of the run."""
        return self._mail

    def close(self) -> None:
        """Close journal and log."""
        self._store.close()
        self.log.close()

    # --- the whole way ----------------------------------------------------------------
    async def answer(self) -> Outcome:
        """Carry out every analysis of the study and return the outcome.

        Raises:
            Stopped: a site or hub refused; the message names it and its rule.
            Unreachable: a site or hub stayed silent past the study's deadline.
            NotEstimable: the sums do not determine a model.
        """
        answers: list[Answer] = []
        if self._ended is not None:
            raise self._ended
        try:
            async with self._mail.listening():
                members = await self._begin()
                for analysis in self.study.analyses:
                    start = asyncio.get_running_loop().time()
                    found, members = await self._analyse(analysis.name, members)
                    took = asyncio.get_running_loop().time() - start
                    self._seconds[analysis.name] = took
                    answers.append(found)
                    self._in_findings.update(found.members)
                closings = await self._finish(members)
        except Unreachable:
            raise  # the same command resumes this run
        except HetaoError:
            self.mark_finished()  # asking again, once it is mended, is a new run
            raise
        return self._outcome(answers, closings)

    def mark_finished(self) -> None:
        """Remember that results are written, so that asking again is a new run."""
        runs.finish(self._store, self.run)

    def _outcome(
        self, answers: Sequence[Answer], closings: Mapping[str, Mapping[str, Any]]
    ) -> Outcome:
        ready = {
            sender: meta
            for (_, kind, sender), (_, meta, _) in self._mail.items.items()
            if kind == "ready"
        }
        sizes: dict[str, int] = dict.fromkeys(self.study.sites, 0)
        for record in (*self._rounds, *self._counts):
            for site, receipt in record.receipts.items():
                sizes[site] += int(receipt.body["bytes"])
        return Outcome(
            study=self.study,
            bundle=self._mail.bundle,
            run=self.run,
            answers=tuple(answers),
            rounds=tuple(self._rounds),
            counts=tuple(self._counts),
            ready=ready,
            closings=closings,
            lost=self._mail.let_go,
            messages=self._mail.sent + len(self._mail.items),
            bytes_per_site=sizes,
            seconds=self._seconds,
        )

    # --- begin ----------------------------------------------------------------------
    async def _begin(self) -> tuple[str, ...]:
        content = pack(
            {"study": _study_json(self.study), "permit": self.bundle.as_json()}
        )
        members, hubs = self.study.sites, self.bundle.permit.hubs
        everyone = [s for s in (*hubs, *members) if s not in self._by_file]
        await self._mail.send(
            *(Letter("begin", "begin", to, content) for to in everyone)
        )
        while True:
            online = [s for s in members if s not in self._by_file]
            try:
                await self._mail.wait([("begin", "ready", s) for s in online], "begin")
                break
            except Lost as lost:
                members = self._without(lost, members)
        if self._by_file:
            await self._ask_ahead(content, members)
        for site in members:
            self._check_ready(site)
        ready = {s: self._mail.items["begin", "ready", s][1] for s in members}
        told = {site: meta.get("concepts", ()) for site, meta in ready.items()}
        for one in across_sites(told):
            if one.differs:
                groups = " | ".join(", ".join(sites) for _, sites in one.groups)
                self._desk.say(
                    f"concept set {one.name}: the sites' vocabularies make other lists "
                    f"of it ({groups})"
                )
        return members

    async def _ask_ahead(self, content: bytes, members: tuple[str, ...]) -> None:
        """Ask sites that answer by file all at once; return once all is answered.

        One `send` after the other, so that it waits at the hub in the order in which
        a site must act. Nobody else is asked for a part before.

        Raises:
            Unreachable: a file has not come back; the same command goes on.
            Stopped: one of these sites refused.
        """
        sites = [site for site in members if site in self._by_file]
        tasks = []
        await self._mail.send(*(Letter("begin", "begin", s, content) for s in sites))
        for analysis in self.study.analyses:
            estimator = estimator_for(self.study, analysis)
            at = (analysis.name, 1, 0)
            asked = self._asked(members, at, None, ())
            letters = [self._task(estimator, at, s, asked, lasting=True) for s in sites]
            await self._mail.send(*letters)
            tasks.append(letters[0].task)
        empty = pack({})
        await self._mail.send(*(Letter("finish", "finish", s, empty) for s in sites))
        names = ", ".join(sites)
        self._desk.say(f"a file waits at the hub for each of: {names}")
        try:
            await self._mail.wait([("begin", "ready", s) for s in sites], "begin")
            for task in tasks:
                await self._mail.wait([(task, "receipt", s) for s in sites], task)
            await self._mail.wait([("finish", "closing", s) for s in sites], "finish")
        except Lost as lost:
            if not isinstance(lost.first, Unreachable):
                raise lost.first from lost
            raise Unreachable(
                f"no file has come back from {', '.join(lost.why)}",
                fix="carry it, then run the study again; it will resume",
            ) from lost

    def _check_ready(self, site: str) -> None:
        _, meta, _ = self._mail.items["begin", "ready", site]
        check_ready(site, meta, self.study)
        check_signed(site, "ready", meta, self.bundle.permit, self.run)
        if meta.get("dictionary") != self.study.dictionary:
            raise WrongStudy(f"{site} holds another data dictionary than the study's")

    def _without(self, lost: Lost, members: Sequence[str]) -> tuple[str, ...]:
        """Return the members that stay, if the study said so beforehand; else stop.

        No site is left out that a complete finding counts: without its log that finding
        is not certified, and the same sum without it would show its own part.
        Where files are carried nobody is left out: they name the members, and lie
        somewhere on their way.
        """
        first, goes_on = lost.first, self.study.on_lost_site == "continue"
        if self._by_file or not goes_on or set(lost.why) - set(members):
            raise first
        if needed := sorted(self._in_findings.intersection(lost.why)):
            self._desk.say(
                f"findings count {', '.join(needed)}, whose log their certificate needs"
            )
            raise first
        least = (self.study.minimum or STRICT).sites
        rest = tuple(site for site in members if site not in lost.why)
        if len(rest) < max(least, 2):
            raise TooFewSites(
                f"without {', '.join(lost.why)} fewer than {least} sites remain",
                fix=str(first),
            ) from first
        for site, error in lost.why.items():
            self._mail.let_go[site] = str(error)
            self._desk.say(f"going on without {site}, as the study allows: {error}")
        return rest

    # --- one analysis ---------------------------------------------------------------
    async def _analyse(
        self, name: str, members: tuple[str, ...]
    ) -> tuple[Answer, tuple[str, ...]]:
        estimator = estimator_for(self.study, self.study.analysis(name))
        most = self.bundle.permit.most_attempts
        for attempt in range(1, most + 1):
            try:
                found = await self._attempt(estimator, name, attempt, members)
            except Lost as lost:
                may_count = self._can_count and not self._counts_pairs
                if attempt < most and may_count and lost.by(NearlyOne):
                    self._counts_pairs = True
                    self._desk.say(f"{name}: {NEAR}")
                    continue
                if lost.opened and not estimator.publishable:
                    # Two sums that differ by one site would show that site's part.
                    raise lost.first from lost
                members = self._without(lost, members)
                continue
            except OutOfTime:
                if self._by_file:
                    raise
                continue
            return found, members
        raise Stopped(f"{name} was started over as often as the permit allows")

    async def _attempt(
        self, estimator: Estimator, name: str, attempt: int, members: tuple[str, ...]
    ) -> Answer:
        state: Mapping[str, NDArray[np.float64]] | None = None
        opened, counted = False, []
        for what in self._counted_before(estimator, members):
            at = (name, attempt, what)
            counted.append(await self._count(estimator, at, members))
        for number in range(estimator.most_rounds):
            self._desk.say(f"{name}: round {number + 1}, {len(members)} sites")
            try:
                total = await self._round(
                    estimator, (name, attempt, number), members, state, counted
                )
            except Lost as lost:
                lost.opened = opened
                raise
            opened = True
            result = estimator.step(total, dict(state) if state else None, number)
            if isinstance(result, Finding):
                return Answer(result, members, number + 1)
            state = result
        raise NotEstimable(
            f"{name} did not converge in {estimator.most_rounds} rounds",
            fix="look for separation or collinear terms",
        )

    async def _round(
        self,
        estimator: Estimator,
        at: tuple[str, int, int],
        members: tuple[str, ...],
        state: Mapping[str, NDArray[np.float64]] | None,
        counted: Sequence[RoundRecord],
    ) -> dict[str, NDArray[np.float64]]:
        """Ask every member for its part and return the sum of all of them."""
        hubs = self.bundle.permit.hubs
        frozen = pack({"members": list(members)})
        content = self._asked(members, at, state, counted)
        letters = [self._task(estimator, at, hub, frozen) for hub in hubs]
        letters += [self._task(estimator, at, site, content) for site in members]
        task, number = letters[0].task, at[2]
        await self._send(letters, task, members)
        record = self._record(estimator, at, task, members)
        self._rounds.append(record)
        words = list(record.words.values())
        sums = total_of(words, estimator.declare(number), task, len(members))
        signed = record.totals, record.receipts
        check_tags(words, record.tags, *signed, members, task)
        return sums

    async def _send(
        self, letters: Sequence[Letter], task: str, members: Sequence[str]
    ) -> None:
        """Ask, and wait until all parts and both hubs' totals are here."""
        await self._mail.send(*letters)
        wanted: list[Place] = [(task, "receipt", site) for site in members]
        wanted += [(task, "total", hub) for hub in self.bundle.permit.hubs]
        await self._mail.wait(wanted, task)

    # --- before a model whose rounds tell of combinations, or of few sites ------------
    def _counted_before(
        self, estimator: Estimator, members: Sequence[str]
    ) -> tuple[str, ...]:
        """Return what is counted, sealed, before a model: not where none is small.

        Nor are sites counted that may all be told apart anyway, or for one that answers
        by file, which is asked once, or under a permit that does not list it; nor pairs
        of definitions, till a site refused one.
        """
        ready = [self._mail.items["begin", "ready", s][1]["policy"] for s in members]
        cells, sites = (
            max(one["minimum"][least] for one in ready) for least in ("cell", "sites")
        )
        kind = estimator.publishable
        apart = summed(self.study, members, sites, publishable=kind).apart
        may_be = sites > 1 and set(members) > apart and self._can_count
        before = countable if may_be and self._counts_pairs else counted_before
        asked = {PEOPLE: cells > 1, SITES: may_be}
        return tuple(what for what in before(estimator) if asked[what])

    async def _count(
        self, estimator: Estimator, at: tuple[str, int, str], members: tuple[str, ...]
    ) -> RoundRecord:
        """Have the hubs count, sealed, and return what they signed.

        Raises:
            SmallCell: few people share a combination of the model's columns.
        """
        name, attempt, what = at
        self._desk.say(f"{name}: a sealed count, {len(members)} sites")
        counts, task = SealedCount(estimator, what), task_of(*at)
        place = self._place(counts, (name, attempt, 0))
        content = pack({"members": list(members)})
        hubs = self.bundle.permit.hubs
        letters = [Letter(task, "task", hub, content, place) for hub in hubs]
        content = pack({"members": list(members), "key": self._key(task)})
        letters += [Letter(task, "task", site, content, place) for site in members]
        await self._send(letters, task, members)
        receipts = {s: self._statement((task, "receipt", s)) for s in members}
        said = {hub: self._statement((task, "total", hub)) for hub in hubs}
        arrays = {hub: self._mail.items[task, "total", hub][2] for hub in hubs}
        tokens = {hub: arrays[hub].get("tokens", np.empty(0)) for hub in hubs}
        of = (task, name, counts.name, attempt, 0, members)
        record = RoundRecord(*of, receipts, said, tokens, {})
        found = check_record(record, self.run, self.bundle.permit)
        if found.is_any_small:
            self._desk.say(
                f"{name}: a number differs at fewer than {found.least} sites alone, so "
                "its sums are graded as these sites' own part, class 3; leave it out, "
                "or ask for a permit of that class"
            )
        self._counts.append(record)
        return record

    @staticmethod
    def _place(estimator: Estimator, at: tuple[str, int, int]) -> dict[str, Any]:
        """Return what an envelope says of its place in the course."""
        of = {"protocol": estimator.name, "version": estimator.version}
        return dict(zip(("analysis", "attempt", "round"), at, strict=True)) | of

    def _key(self, task: str) -> str:
        """Return the key of a sum's tags, the same after a restart."""
        return new_key(self.identity.sign(TAG_KEY, canonical([self.run, task])))

    def _task(
        self,
        estimator: Estimator,
        at: tuple[str, int, int],
        to: str,
        content: bytes,
        *,
        lasting: bool = False,
    ) -> Letter:
        place = self._place(estimator, at)
        return Letter(_named(at), "task", to, content, place, lasting)

    def _asked(
        self,
        members: tuple[str, ...],
        at: tuple[str, int, int],
        state: Mapping[str, NDArray[np.float64]] | None,
        counted: Sequence[RoundRecord],
    ) -> bytes:
        """Return what a site is asked: the state, and the signed sums it follows from.

        Of a first round it is the sealed counts that went before, if any had to.

        With it goes the key of the sum's tags. No hub is told it, so that none can
        change the sum unseen. Made of the secret key, it is the same after a restart.
        """
        meta: dict[str, Any] = {"members": list(members), "key": self._key(_named(at))}
        if state is None:
            return pack(*brought(meta, counted))
        last = self._rounds[-1]
        totals = {hub: total.as_json() for hub, total in last.totals.items()}
        arrays: dict[str, NDArray[Any]] = {
            f"words {h}": w for h, w in last.words.items()
        }
        arrays |= {f"state {name}": array for name, array in state.items()}
        return pack({**meta, "totals": totals}, arrays)

    def _record(
        self,
        estimator: Estimator,
        at: tuple[str, int, int],
        task: str,
        members: tuple[str, ...],
    ) -> RoundRecord:
        receipts = {s: self._statement((task, "receipt", s)) for s in members}
        totals: dict[str, Statement] = {}
        words: dict[str, Words] = {}
        tags: dict[str, str] = {}
        for hub in self.bundle.permit.hubs:
            _, meta, arrays = self._mail.items[task, "total", hub]
            total = self._statement((task, "total", hub))
            part = arrays.get("words", np.empty(0))
            expected = {
                "study": self.study.digest,
                "permit": self.bundle.permit.digest,
                "run": self.run,
                "task": task,
                "shares": {
                    site: receipt.body.get("shares", {}).get(hub)
                    for site, receipt in receipts.items()
                },
            }
            check_total(hub, total, part, expected, self.bundle.permit)
            totals[hub], words[hub], tags[hub] = total, part, str(meta.get("tag"))
        place = (task, at[0], estimator.name, at[1], at[2])
        return RoundRecord(*place, members, receipts, totals, words, tags)

    def _statement(self, place: Place) -> Statement:
        """Return the signed statement in a receipt or total, its signature checked."""
        task, kind, sender = place
        _, meta, _ = self._mail.items[place]
        match meta:
            case {"body": {"shares": dict()}, "signature": str()} if (
                kind == "total" or type(meta["body"].get("bytes")) is int
            ):
                statement = statement_from(
                    {"body": meta["body"], "signature": meta["signature"]}
                )
            case _:
                raise BadEnvelope(f"{sender} sent a malformed {kind!r} for {task}")
        statement.verify(self.bundle.permit.directory[sender])
        expected = (self.study.digest, self.bundle.permit.digest, self.run, task)
        found = tuple(statement.body.get(k) for k in ("study", "permit", "run", "task"))
        if found != expected:
            raise WrongStudy(f"{sender} answered for another study, run or task")
        return statement

    # --- finish -----------------------------------------------------------------------
    async def _finish(self, members: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        empty = pack({})
        await self._mail.send(*(Letter("finish", "finish", s, empty) for s in members))
        try:
            await self._mail.wait([("finish", "closing", s) for s in members], "finish")
        except Lost as lost:
            raise lost.first from lost
        closings: dict[str, Mapping[str, Any]] = {
            s: self._mail.items["finish", "closing", s][1] for s in members
        }
        for site, meta in closings.items():
            check_closing(site, meta)
            check_signed(site, "closing", meta, self.bundle.permit, self.run)
        return closings

    async def cosign(
        self, entry_at: Callable[[int], str]
    ) -> tuple[str, int, str, list[bytes]]:
        """End the log with an entry and have that cosigned.

        Args:
            entry_at: the entry for an index of the log, which it names.

        Returns:
            The entry, its index, the cosigned note and the entry's path.
        """
        (entry,), note = append_last(self.log, lambda index: [entry_at(index)])
        size = parse_checkpoint(parse_note(note)[0]).size
        proof = self.log.inclusion(size - 1, size)
        shown = {"leaf": entry, "inclusion": [node.hex() for node in proof]}
        hubs = self.bundle.permit.hubs
        asked = (self._cosignature(hub, size, note, shown) for hub in hubs)
        try:
            async with self._mail.listening():
                lines = await asyncio.gather(*asked)
        except Lost as lost:
            raise lost.first from lost
        whole = await witnessed(self.log, note, self._desk.log, lines)
        return entry, size - 1, whole, proof

    async def _cosignature(
        self, hub: str, size: int, note: str, shown: Mapping[str, Any]
    ) -> str:
        """Return a hub's cosignature, proving growth from what it saw last."""
        rows = self._store.rows("SELECT size FROM cosigned WHERE hub = ?", (hub,))
        old = int(rows[0][0]) if rows else 0
        for _ in range(2):
            task = f"cosign/{size}/{old}"
            path = [node.hex() for node in self.log.consistency(old, size)]
            content = pack({"note": note, "old_size": old, "path": path, **shown})
            await self._mail.send(Letter(task, "finish", hub, content))
            await self._mail.wait([(task, "closing", hub)], task)
            _, meta, _ = self._mail.items[task, "closing", hub]
            if isinstance(meta.get("cosignature"), str):
                row = ("INSERT OR REPLACE INTO cosigned VALUES (?, ?)", (hub, size))
                self._store.write([row])
                return str(meta["cosignature"])
            old = meta.get("known", -1)
            if type(old) is not int or not 0 <= old <= size:
                break
        if type(old) is int and size < old <= self.log.size:
            raise Stopped("the log went on meanwhile", fix="run it again: it resumes")
        raise Stopped(f"{hub} has seen a longer log of this coordinator than there is")


def _named(at: tuple[str, int, int]) -> str:
    name, attempt, number = at
    return f"{name}/{attempt}/{number}"


def _study_json(study: Study) -> dict[str, Any]:
    plain: dict[str, Any] = parse_canonical(study.canonical)
    return plain
