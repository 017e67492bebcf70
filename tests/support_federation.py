"""A small federation in one process, whose parties a test can swap for liars."""

import asyncio
import atexit
import contextlib
import datetime
import functools
import traceback
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetao.analysis import Estimator, estimator_for
from hetao.canonical import digest, parse_canonical
from hetao.cdm import FlatFile, FlatTable
from hetao.errors import HetaoError
from hetao.federation.attend import attend
from hetao.federation.cast import Cast, new_cast
from hetao.federation.certify import certify, package_of
from hetao.federation.coordinator import Coordinator
from hetao.federation.correspondence import Desk
from hetao.federation.hub import Hub
from hetao.federation.logs import NOWHERE, LogTable
from hetao.federation.outcome import Outcome
from hetao.federation.propose import draft_permit
from hetao.federation.site import Site, SiteSetup
from hetao.federation.totals import total_of
from hetao.federation.transport_inproc import Exchange
from hetao.ledger.certificate import sign_certificate
from hetao.ledger.credential import certificate_entry, sign_credential
from hetao.ledger.envelope import Envelope, Header, parse_envelope, seal
from hetao.ledger.merkle import EMPTY_ROOT, inclusion_path, leaf_hash, root
from hetao.ledger.note import (
    Checkpoint,
    cosign,
    parse_note,
    sign_checkpoint,
    sign_note,
)
from hetao.ledger.proof import Proof
from hetao.permit import Bundle, Identity, format_time, state
from hetao.release import Policy, pack, unpack
from hetao.study import Analysis, Level, Study, Variable

START = datetime.datetime(2026, 11, 22, 8, tzinfo=datetime.UTC)
SITES = ("a", "b", "c")
COUNTS = Analysis("attrition", "counts")
LOGISTIC = Analysis("model", "logistic", outcome="ill", terms=("1", "age", "sex"))
RUN = "run-1"
KEY = "0f" * 16  # of the tags of every sum


@dataclass
class Clock:
    """A clock that stands still until a test moves it."""

    now: datetime.datetime = START

    def __call__(self) -> datetime.datetime:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += datetime.timedelta(seconds=seconds)


def column(name: str, **fields: Any) -> Variable:
    return Variable(name, source="column", column=name, **fields)


def category(name: str, *levels: str) -> Variable:
    return column(
        name, kind="category", levels=tuple(Level(level, level) for level in levels)
    )


VARIABLES = (
    column("age", kind="number", bounds=(0.0, 120.0)),
    category("sex", "f", "m"),
    category("ill", "no", "yes"),
)


def toy_study(
    analyses: tuple[Analysis, ...] = (COUNTS,),
    sites: tuple[str, ...] = SITES,
    **fields: Any,
) -> Study:
    return Study(
        "toy",
        "A toy",
        "Does it work?",
        "1",
        "flat",
        sites,
        VARIABLES,
        analyses,
        **fields,
    )


def write_patients(path: Path, sites: tuple[str, ...] = SITES, n: int = 400) -> Path:
    """Write a flat file of n made-up people for each site."""
    draw = np.random.default_rng(7)
    lines = ["hospital,age,sex,ill"]
    for site in sites:
        ages = draw.normal(60, 10, n).clip(20, 100).round(3)
        men = draw.random(n) < 0.5
        risk = 1 / (1 + np.exp(-(ages - 60) / 10 - 0.5 * men))
        ill = draw.random(n) < risk
        lines += [
            f"{site},{age},{'fm'[int(man)]},{('no', 'yes')[int(is_ill)]}"
            for age, man, is_ill in zip(ages, men, ill, strict=True)
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def head_of(identity: Identity) -> str:
    """Return the checkpoint of a party's log that holds nothing yet."""
    empty = Checkpoint(identity.name, 0, EMPTY_ROOT)
    return sign_checkpoint(empty, identity.signing_key)


@dataclass
class Plan:
    """What a federation is made of; a test replaces the parts that it wants bad."""

    study: Study = field(default_factory=toy_study)
    policies: dict[str, Policy] = field(default_factory=dict)
    site_types: dict[str, type[Site]] = field(default_factory=dict)
    hub_types: dict[str, type[Hub]] = field(default_factory=dict)
    people: int = 400
    by_file: tuple[str, ...] = ()  # not online: a test carries their letters
    say: Callable[[str], None] = lambda _: None
    log: LogTable = NOWHERE  # of the coordinator


@dataclass(frozen=True)
class Sums:
    """Both hubs' signed sums of a round and the state that follows; tests bend it."""

    members: tuple[str, ...]
    totals: dict[str, Any]
    words: dict[str, NDArray[np.uint64]]
    state: dict[str, NDArray[np.float64]]

    def content(self, members: tuple[str, ...] | None = None) -> bytes:
        """Return what the coordinator asks sites with in the round after."""
        meta = {
            "members": list(self.members if members is None else members),
            "key": KEY,
            "totals": self.totals,
        }
        arrays = {f"words {hub}": words for hub, words in self.words.items()}
        arrays |= {f"state {name}": array for name, array in self.state.items()}
        return pack(meta, arrays)


_FILES: dict[bytes, FlatFile] = {}
atexit.register(_FILES.clear)  # before the database goes


def open_once(
    path: Path, column: str, value: str, genes: tuple[str, ...] | None = ()
) -> FlatTable:
    """Return what `open_flat` does, of a file that many tests write alike."""
    data = path.read_bytes()
    if data not in _FILES:
        _FILES[data] = FlatFile(path)
    return _FILES[data].open(column, value, genes=genes)


class Federation:
    """Every party with its folder, and the keys to speak in anybody's name."""

    def __init__(self, folder: Path, plan: Plan | None = None) -> None:
        self.plan, self.folder, self.clock = plan or Plan(), folder, Clock()
        folder.mkdir(parents=True, exist_ok=True)
        self.study = self.plan.study
        self.sides = {s: ("HK", "SZ")[i % 2] for i, s in enumerate(self.study.sites)}
        self.cast: Cast = new_cast(self.sides, self.clock())
        draft = draft_permit(self.study, self.cast.directory, self.clock())
        self.bundle: Bundle = self.cast.approved(draft, self.clock())
        self.patients = write_patients(
            folder / "patients.csv", self.study.sites, self.plan.people
        )
        self.notices: list[Any] = []
        self.carried: list[bytes] = []
        self._begun: set[tuple[str, str]] = set()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Federation":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # --- parties --------------------------------------------------------------------
    @functools.cached_property
    def hubs(self) -> dict[str, Hub]:
        return {name: self.open_hub(name) for name in self.bundle.permit.hubs}

    @functools.cached_property
    def sites(self) -> dict[str, Site]:
        return {name: self.open_site(name) for name in self.study.sites}

    def open_hub(self, name: str) -> Hub:
        """Open a hub on its folder; again for a restart after a kill."""
        made = self.plan.hub_types.get(name, Hub)(
            self.cast.identities[name],
            self.cast.directory,
            self.folder / name,
            self.clock,
        )
        self._stack.callback(made.close)
        return made

    def setup(self, name: str) -> SiteSetup:
        return SiteSetup(
            identity=self.cast.identities[name],
            trusted=self.cast.directory,
            policy=self.plan.policies.get(name, Policy()),
            home=self.home(name),
            folder=self.folder / f"site-{name}",
            open_source=functools.partial(open_once, self.patients, "hospital", name),
            notices=lambda: tuple(self.notices),
        )

    def open_site(self, name: str) -> Site:
        """Open a site on its folder; again for a restart after a kill."""
        made = self.plan.site_types.get(name, Site)(self.setup(name), self.clock)
        self._stack.callback(made.close)
        return made

    def home(self, site: str) -> str:
        return f"hub-{self.sides[site].lower()}"

    # --- envelopes ------------------------------------------------------------------
    def envelope(
        self, kind: str, to: str, content: bytes | None = None, **fields: Any
    ) -> Envelope:
        """Return an envelope, from the coordinator and well formed but for `fields`."""
        sender = fields.pop("sender", "coordinator")
        chosen = {
            "study": self.study.digest,
            "permit": self.bundle.permit.digest,
            "run": RUN,
            "task": kind,
            "kind": kind,
            "sender": "",
            "recipient": "",
            "not_after": format_time(self.clock() + datetime.timedelta(minutes=5)),
            "grade": 2,
            "head": head_of(self.cast.identities[sender]),
            **fields,
        }
        return seal(
            self.cast.identities[sender],
            self.cast.directory[to],
            Header(**chosen),
            pack({}) if content is None else content,
        )

    def begin(self, to: str, bundle: Bundle | None = None, **fields: Any) -> Envelope:
        content = {
            "study": parse_canonical(self.study.canonical),
            "permit": (bundle or self.bundle).as_json(),
        }
        return self.envelope("begin", to, pack(content), **fields)

    def task(
        self,
        to: str,
        members: tuple[str, ...] | None = None,
        sums: Sums | None = None,
        **fields: Any,
    ) -> Envelope:
        """Return a task of the first analysis: its first round, or that after `sums`.

        `analysis` among the fields asks for another analysis of the study.
        """
        first = self.study.analyses[0]
        estimator = self.estimator(fields.get("analysis", first.name))
        chosen = {
            "analysis": first.name,
            "protocol": estimator.name,
            "version": estimator.version,
            "attempt": 1,
            "round": 0,
            **fields,
        }
        chosen.setdefault(
            "task", f"{chosen['analysis']}/{chosen['attempt']}/{chosen['round']}"
        )
        asked = self.study.sites if members is None else members
        first_content = pack({"members": list(asked), "key": KEY})
        content = sums.content(asked) if sums else first_content
        return self.envelope("task", to, chosen.pop("content", content), **chosen)

    def estimator(self, name: str) -> Estimator:
        """Return the estimator of an analysis; of the first for an unknown name."""
        known = {analysis.name: analysis for analysis in self.study.analyses}
        return estimator_for(self.study, known.get(name, self.study.analyses[0]))

    # --- a round played for real ----------------------------------------------------
    def play(
        self,
        before: Sums | None = None,
        members: tuple[str, ...] | None = None,
        **fields: Any,
    ) -> Sums:
        """Have sites answer a round and hubs add; return what the next one starts from.

        Args:
            before: what the round before came to; None plays the first round.
            members: those that are asked; all sites by default.
            fields: of the tasks' headers; `round` where `before` is given.
        """
        chosen = self.study.sites if members is None else members
        run = fields.get("run", RUN)
        for name in (*self.hubs, *chosen):
            self._begin_once(name, run)
        for name, hub in self.hubs.items():
            task = self.task(name, chosen, **fields)
            hub.accept("coordinator", task.data)
        for name in chosen:
            task = self.task(name, chosen, before, **fields)
            for where, data in self.sites[name].handle(task.data):
                self.hubs[where].accept(name, data)
        return self._sums(task.header, chosen, before)

    def _begin_once(self, to: str, run: str) -> None:
        if (to, run) in self._begun:
            return
        self._begun.add((to, run))
        data = self.begin(to, run=run).data
        if to in self.hubs:
            self.hubs[to].accept("coordinator", data)
        else:
            self.sites[to].handle(data)

    def _sums(
        self, asked: Header, members: tuple[str, ...], before: Sums | None
    ) -> Sums:
        """Return both hubs' sums of a task, and the state that follows from them."""
        totals, words = {}, {}
        for name in self.hubs:
            totals[name], words[name] = self.total(name, asked.run, asked.task)
        estimator, number = self.estimator(asked.analysis), asked.round
        declared = estimator.declare(number)
        total = total_of(list(words.values()), declared, asked.task, len(members))
        state = dict(before.state) if before else None
        result = estimator.step(total, state, number)
        return Sums(members, totals, words, result if isinstance(result, dict) else {})

    def total(self, hub: str, run: str, task: str) -> tuple[Any, Any]:
        """Return the signed sum that a hub has sent for a task, and its words."""
        for data in self.waiting(hub, run):
            header = parse_envelope(data).header
            if (header.task, header.kind) == (task, "total"):
                _, statement, arrays = self.opened(data)
                signed = {key: statement[key] for key in ("body", "signature")}
                return signed, arrays["words"]
        raise LookupError(f"{hub} has sent no sum for {task}")

    def waiting(self, hub: str, run: str) -> list[bytes]:
        """Return all that waits at a hub for the coordinator."""
        found: list[bytes] = []
        after = 0
        while items := self.hubs[hub].waiting("coordinator", after, run).items:
            found += [data for _, data in items]
            after = items[-1][0]
        return found

    def opened(self, data: bytes, by: str = "coordinator") -> tuple[str, Any, Any]:
        """Return (kind, object, arrays) of an envelope, opened with `by`'s key."""
        envelope = parse_envelope(data)
        envelope.verify(self.cast.directory[envelope.header.sender])
        meta, arrays = unpack(envelope.open(self.cast.identities[by]))
        return envelope.header.kind, meta, arrays

    def refusals(self, posts: list[tuple[str, bytes]]) -> list[str]:
        """Return the rules of the refusals among what a site wants to send."""
        kinds = [
            self.opened(data)
            for _, data in posts
            if parse_envelope(data).header.recipient == "coordinator"
        ]
        return [meta["rule"] for kind, meta, _ in kinds if kind == "refusal"]

    def log_entries(self, party: Site | Hub) -> list[bytes]:
        log = party._log
        return log.entries(0, log.size)

    def refusals_of_bent(
        self, sums: Sums, bend: Callable[[dict[str, Any]], None], number: int
    ) -> list[str]:
        """Return what the first site says to a bent state; the next answers the right.

        Args:
            sums: of the round before.
            bend: what changes the state in place.
            number: of the round that is asked for.
        """
        bent = {name: array.copy() for name, array in sums.state.items()}
        bend(bent)
        first, second, *_ = self.study.sites
        task = self.task(first, sums=replace(sums, state=bent), round=number)
        said = self.refusals(self.sites[first].handle(task.data))
        task = self.task(second, sums=sums, round=number)
        honest = self.sites[second].handle(task.data)
        kinds = [parse_envelope(data).header.kind for _, data in honest]
        assert kinds == ["share", "share", "receipt"]
        return said

    # --- a whole run ----------------------------------------------------------------
    def desk(self, notices: Callable[[], tuple[Any, ...]] = tuple) -> Desk:
        """Return what the coordinator works with; `notices` are those of its folder."""
        return Desk(
            self.cast.identities["coordinator"],
            self.cast.directory,
            self.folder / "coordinator",
            self.clock,
            self.plan.say,
            notices,
            self.plan.log,
        )

    @contextlib.asynccontextmanager
    async def attended(self, exchange: Exchange) -> AsyncIterator[None]:
        """Have every site that is online attend to its mail while the block runs."""
        workers = [
            asyncio.create_task(
                attend(site, self.home(name), exchange.transport(name), lambda _: None)
            )
            for name, site in self.sites.items()
            if name not in self.plan.by_file
        ]
        try:
            yield
        finally:
            for worker in workers:
                worker.cancel()
            ends = await asyncio.gather(*workers, return_exceptions=True)
            for fault in ends:  # a site's screen, of which its refusal speaks
                if isinstance(fault, Exception):
                    traceback.print_exception(fault)

    def run(self) -> "Ran":
        """Carry out the study over these parties and certify it."""
        return asyncio.run(self._run())

    async def _run(self) -> "Ran":
        exchange = _Recording(self.hubs, self.carried)
        way, by_file = exchange.transport("coordinator"), self.plan.by_file
        desk = self.desk()
        coordinator = Coordinator(desk, self.study, self.bundle, way, by_file)
        try:
            async with self.attended(exchange):
                outcome = await coordinator.answer()
                issued = format_time(self.clock())
                votes = self.cast.reviewed(
                    self.bundle, package_of(outcome), self.clock()
                )
                certificate = await certify(coordinator, outcome, issued, votes)
                coordinator.mark_finished()
        finally:
            coordinator.close()
        return Ran(outcome, certificate, self.cast)


class _Recording(Exchange):
    """An exchange that keeps a copy of all that is posted."""

    def __init__(self, hubs: dict[str, Hub], carried: list[bytes]) -> None:
        super().__init__(hubs)
        self._carried = carried

    def transport(self, party: str) -> Any:
        made = super().transport(party)
        post = made.post

        async def keep(hub: str, data: bytes) -> None:
            self._carried.append(data)
            await post(hub, data)

        made.post = keep
        return made


@dataclass(frozen=True)
class Ran:
    """An outcome, its certificate, and everyone's keys."""

    outcome: Outcome
    certificate: bytes
    cast: Cast

    @property
    def body(self) -> dict[str, Any]:
        """Return a fresh copy of the certificate's body, to spoil."""
        return self.value["body"]

    @property
    def sums(self) -> dict[str, Any]:
        """Return a fresh copy of the certificate's integers, to spoil."""
        return self.value["sums"]

    @property
    def value(self) -> dict[str, Any]:
        """Return a fresh copy of the whole certificate."""
        return parse_canonical(self.certificate)

    def resigned(
        self,
        body: dict[str, Any],
        without: str = "",
        after: int = 0,
        followed: tuple[bytes, ...] = (),
    ) -> bytes:
        """Return what a lying coordinator and its hubs, but one, would sign.

        Args:
            body: with other integers as `sums`, if they are spoilt too.
            without: the hub that does not cosign.
            after: how many seconds later the hubs cosign.
            followed: by which entries the certificate's own is, in the log.
        """
        body = dict(body)
        listed = [body.get(one) or () for one in ("rounds", "sealed_counts")]
        there = {
            one.get("task")
            for each in listed
            if isinstance(each, list)
            for one in each
            if isinstance(one, dict)
        }
        own = {task: words for task, words in self.sums.items() if task in there}
        sums = body.pop("sums", own)
        keys = self.cast.identities
        boss = keys["coordinator"]
        try:
            entry = certificate_entry("coordinator", boss.signing_key, body, 1)
        except (HetaoError, TypeError, KeyError):  # a body that makes no claims
            entry = sign_credential(boss.signing_key, {})
        entries = (b"before", entry.encode("ascii"), *followed)
        leaves = [leaf_hash(one) for one in entries]
        text = Checkpoint("coordinator", len(leaves), root(leaves)).text
        note = text + "\n" + sign_note(text, "coordinator", boss.signing_key)
        when = int(START.timestamp()) + after
        for hub in ("hub-hk", "hub-sz"):
            if hub != without:
                note += cosign(note, hub, keys[hub].signing_key, when)
        proof = Proof(1, tuple(inclusion_path(1, leaves)), note).text
        log = {"credential": entry, "proof": proof}
        return sign_certificate(boss, body, log, sums)


def restated(ran: Ran, statement: dict[str, Any], by: str, **changes: Any) -> dict:
    """Return a statement with other fields, signed anew by `by`."""
    return state(ran.cast.identities[by], {**statement["body"], **changes}).as_json()


def with_a_release_left_out(ran: Ran, attempt: int) -> bytes:
    """Return a certificate whose first site logged a release that it does not show."""
    body = ran.body
    (entry, *_), finding = body["sites"], body["findings"][0]["analysis"]
    entry["proofs"].append({**entry["proofs"][-1], "task": f"{finding}/{attempt}/0"})
    return _closed_anew(ran, body)


def with_a_longer_checkpoint(ran: Ran) -> bytes:
    """Return a certificate whose first site signed more than a checkpoint's lines."""
    body = ran.body
    entry = body["sites"][0]
    text = parse_note(entry["checkpoint"])[0] + "\nmore\n"
    key = ran.cast.identities[entry["name"]].signing_key
    entry["checkpoint"] = f"{text}\n{sign_note(text, entry['name'], key)}"
    return _closed_anew(ran, body)


def _closed_anew(ran: Ran, body: dict[str, Any]) -> bytes:
    """Let the first site sign its entry, and the issuer the whole."""
    entry = body["sites"][0]
    told = ("checkpoint", "proofs", "quality", "extract")
    content = {key: entry[key] for key in told if entry[key] is not None}
    said = digest({**content, "site": entry["name"]})
    entry["closing"] = restated(ran, entry["closing"], entry["name"], content=said)
    return ran.resigned(body)
