"""A park's hub: it carries envelopes, and adds shares that it cannot read as data.

A hub can stop a study; it can never open a door. It holds one share of each site's
summary, uniformly random by itself, and hands the sum of those shares to the
coordinator once the frozen list of members is complete: once for each round, never
for another list.
"""

import datetime
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hetao.canonical import canonical, digest_bytes
from hetao.errors import (
    BadEnvelope,
    HetaoError,
    InvalidNetwork,
    NotAParty,
    NotApproved,
    OutOfTime,
    Replayed,
    TooFewSites,
    WrongShape,
)
from hetao.federation.cosigning import SCHEMA as TAKEN_BACK
from hetao.federation.cosigning import check_known, cosigned, cosigned_lists
from hetao.federation.heeding import NOT_YET, Heeding
from hetao.federation.logs import NOWHERE, LogTable, open_log
from hetao.federation.register import SCHEMA as HEARD
from hetao.federation.register import Register, news_from
from hetao.federation.replica import SCHEMA as COPIED
from hetao.federation.replica import Replica
from hetao.federation.reports import answered
from hetao.federation.shelf import SCHEMA as ENVELOPES
from hetao.federation.shelf import Inbox, Shelf, key_of
from hetao.federation.store import Store
from hetao.ledger.envelope import Envelope, Header, parse_envelope, seal
from hetao.ledger.log_end import check_certified
from hetao.ledger.sealed_counts import NAME as SEALED_COUNT
from hetao.ledger.witness import Witness
from hetao.permit import (
    Bundle,
    Directory,
    Identity,
    Party,
    Statement,
    bundle_from,
    check_standing,
    format_time,
    is_revoked,
    parse_time,
    state,
)
from hetao.release import (
    add,
    mask,
    pack,
    stream,
    tag_digest,
    tag_from,
    tag_text,
    unpack,
)
from hetao.release.sealed_count import count_of

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS hub (epoch TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS opened (
    permit TEXT NOT NULL,
    members TEXT NOT NULL,
    PRIMARY KEY (permit, members)
) STRICT;
"""
ANSWERS: Final = ("share", "receipt")  # kinds of a site's answer to a task
MALFORMED: Final = (
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
)
MOST_VALUES: Final = 2_000_001  # in one share; what the largest estimator declares

Clock = Callable[[], datetime.datetime]


class Hub:
    """The state machine of a hub; transports feed it and hand on what waits."""

    def __init__(
        self,
        identity: Identity,
        trusted: Directory,
        folder: Path,
        clock: Clock,
        notices: Callable[[], Sequence[Statement]] = tuple,
        log: LogTable = NOWHERE,
    ) -> None:
        """Open the hub's store and log in `folder`.

        Args:
            identity: the hub's keys.
            trusted: the hub's own list of parties.
            folder: where store, log and witness live; only the hub may write there.
            clock: returns the time in UTC.
            notices: returns what lies in the hub's folder of notices; read anew each
                time.
            log: `[log]` of its file.
        """
        self.identity, self._trusted, self._clock = identity, trusted, clock
        folder.mkdir(parents=True, exist_ok=True)
        tables = SCHEMA + ENVELOPES + HEARD + COPIED + TAKEN_BACK
        self._store = Store(folder / "hub.sqlite", tables)
        self._shelf = Shelf(self._store, identity.name)
        self.replica = Replica(self._store, trusted, identity.name, folder)
        self._register = Register(self._store, trusted, notices)
        self._log = open_log(folder, identity, log)
        self._witness = Witness.open(
            folder / "witness.sqlite", identity.name, identity.signing_key, self._when
        )
        self._noted = 0  # size of the coordinator's log at the last lists cosigned
        self._bundles: dict[str, tuple[str, Bundle]] = {}
        self._revoked: dict[str, tuple[int, bool]] = {}  # at the register's place
        self._tasks: dict[tuple[str, str], tuple[Header, list[str]]] = {}
        self.on_letter: Callable[[str], None] = lambda _: None  # told the recipient
        self.heeding = Heeding(
            self._register,
            self._kept,
            lambda run: self._opening(run)[1],
            lambda run, _: self._shelf.shred(run),
        )
        if not self._store.rows("SELECT epoch FROM hub"):
            self._store.write([("INSERT INTO hub VALUES (?)", (secrets.token_hex(8),))])
        self.epoch = str(self._store.rows("SELECT epoch FROM hub")[0][0])

    @property
    def _coordinator(self) -> str:
        return self._trusted.of_role("coordinator")[0].name

    def _when(self) -> int:
        return int(self._clock().timestamp())

    def close(self) -> None:
        """Close store, log and witness."""
        self._store.close()
        self._log.close()
        self._witness.close()

    # --- the two things a transport calls -------------------------------------------
    def accept(self, sender: str, data: bytes) -> None:
        """Take an envelope from `sender`, durably; twice the same is once.

        Args:
            sender: the name that the connection itself proved.
            data: the envelope's bytes.

        Raises:
            BadEnvelope, BadSignature, NotAParty, OutOfTime: it may not be carried.
            NotApproved: it is a site's answer of a run whose permit was revoked.
            Replayed: another envelope already stands in this place.
        """
        (refusal,) = self.accept_all([(sender, data)])
        if refusal is not None:
            raise refusal

    def accept_all(self, posts: Sequence[tuple[str, bytes]]) -> list[HetaoError | None]:
        """Take envelopes, each as `accept` would, with one wait for the disk.

        Returns:
            For each post None, or the refusal that `accept` would raise.
        """
        refusals: list[HetaoError | None] = []
        new: dict[str, Envelope] = {}
        with self._store.transaction():  # of the checkpoints that came with them
            for sender, data in posts:
                try:
                    envelope = self._carried(sender, data, new)
                except HetaoError as error:
                    refusals.append(error)
                else:
                    refusals.append(None)
                    if envelope is not None:
                        new[key_of(envelope.header)] = envelope
        if new:
            self._append("carried", *new.values())
            self._insert(*new.values())
        for envelope in new.values():
            if envelope.header.recipient == self.identity.name:
                self._act(envelope)
        return refusals

    def _carried(
        self, sender: str, data: bytes, new: Mapping[str, Envelope]
    ) -> Envelope | None:
        """Return the envelope if it may be carried; None if it is carried already."""
        envelope = parse_envelope(data)
        header = envelope.header
        if header.sender != sender:
            raise NotAParty(f"{sender} may not send in the name of another party")
        envelope.verify(self._party(sender))
        self.replica.hear_from(header)
        self._party(header.recipient)
        if self._clock() >= parse_time(header.not_after):
            raise OutOfTime("the envelope is past its not-after time")
        if self._shelf.is_known(envelope, new):
            return None
        # What comes later is in no certificate that tells what had been released.
        if header.kind in ANSWERS and self._is_revoked(header.run):
            raise NotApproved("the permit was revoked: no answer is carried any more")
        return envelope

    def _is_revoked(self, run: str) -> bool:
        """Return whether the permit of a run that began here is known to be revoked.

        If it was not, worked out anew when anything was heard since. Of a run that has
        not begun here no permit is known, and what nobody opens is carried.
        """
        place = self._register.place
        known, is_known_to_be = self._revoked.get(run, (NOT_YET, False))
        if is_known_to_be or known == place:
            return is_known_to_be
        if self._shelf.one(run, "begin", "begin", self._coordinator) is None:
            return False
        try:
            bundle = self._register.heard_of(self._opening(run)[1])
        except MALFORMED as error:
            raise NotApproved("the begin of this run is malformed") from error
        self._revoked[run] = place, is_revoked(bundle)
        return self._revoked[run][1]

    def _party(self, name: str) -> Party:
        try:
            return self._trusted[name]
        except InvalidNetwork as error:
            raise NotAParty(f"{self.identity.name} knows no {name[:60]!r}") from error

    def waiting(self, recipient: str, after: int, run: str = "") -> Inbox:
        """Return what waits for `recipient` past the cursor, of one run or of all."""
        return Inbox(self.epoch, self._shelf.waiting(recipient, after, run))

    def exchange(self, after: int, data: bytes) -> bytes:
        """Take what a party heard about permits, and return what it has not heard.

        Only what a key of the hub's own list signed is kept.
        """
        told = news_from(data)
        self._register.look()
        self._register.take(told.notices)
        self.heeding.heed()
        return self._register.after(after, self.epoch).encoded()

    def report(self, speaker: str, data: bytes) -> bytes:
        """Take what a party's log holds, and return what all others' hold.

        Args:
            speaker: the name that the connection itself proved.
            data: a report, encoded.

        Raises:
            BadSignature, Unverified, NotAParty: the report is malformed, or not of the
                speaker's log.
        """
        self._party(speaker)
        studies = self._shelf.studies_of(speaker)
        return answered(
            self._log,
            self.replica,
            speaker,
            data,
            lambda fields: fields.get("study") in studies,
        )

    def cosign(self, speaker: str, data: bytes) -> bytes:
        """Cosign a log that ends with status lists; `speaker` as of `report`.

        Raises:
            NotAParty: it is not the coordinator that asks.
            BadSignature, Refused, Unverified: as `cosigned_lists`.
        """
        if speaker != self._coordinator:
            raise NotAParty(f"{self.identity.name} watches the coordinator's log alone")
        boss = self._trusted[speaker]
        answer = cosigned_lists(self._witness, self._store, boss, data)
        if answer.line and (size := self._witness.size(speaker)) > self._noted:
            entry = {"type": "hetao.entry/1", "what": "cosigned", "log": speaker}
            now = format_time(self._clock())
            # Here, not where the log grew: no line goes out that is not logged.
            self._log.append([canonical({**entry, "size": size, "at": now})])
            self._noted = size
        return answer.encoded()

    def _kept(self) -> list[str]:
        """Return the runs of which shares or sums are here."""
        return self._shelf.kept(self._coordinator)

    # --- keeping --------------------------------------------------------------------
    def _insert(self, *envelopes: Envelope) -> None:
        self._shelf.put(envelopes, self._coordinator)
        for recipient in {envelope.header.recipient for envelope in envelopes}:
            self.on_letter(recipient)

    def _append(self, what: str, *envelopes: Envelope) -> None:
        now = format_time(self._clock())
        entries = [
            {
                "type": "hetao.entry/1",
                "what": what,
                "at": now,
                "envelope": envelope.digest,
                "kind": envelope.header.kind,
                "from": envelope.header.sender,
                "to": envelope.header.recipient,
                "study": envelope.header.study,
                "run": envelope.header.run,
                "task": envelope.header.task,
                **({"head": envelope.header.head} if what == "carried" else {}),
            }
            for envelope in envelopes
        ]
        self._log.append([canonical(entry) for entry in entries])

    def resume(self) -> None:
        """Act on what was taken on before a crash; acting twice is acting once."""
        self.heeding.heed()
        for envelope in self._shelf.orders():
            if self._clock() < parse_time(envelope.header.not_after):
                self._act(envelope)

    # --- acting -----------------------------------------------------------------------
    def _act(self, envelope: Envelope) -> None:
        """Act on an envelope to the hub itself; a refusal goes to the coordinator."""
        header = envelope.header
        try:
            if header.kind != "share" and header.sender != self._coordinator:
                raise NotAParty(f"{header.sender} may not ask for a {header.kind!r}")
            if header.kind == "begin":
                study, bundle = self._begin(header.run)
                self._shelf.involve(bundle.permit.sites, study)
            elif header.kind in ("task", "share"):
                self._open_if_complete(header.run, header.task)
            elif header.kind == "finish":
                self._finish(envelope)
            else:
                raise BadEnvelope(f"a hub does not act on {header.kind!r}")
        except HetaoError as error:
            self._refuse(header, error)
        except MALFORMED:
            self._refuse(header, BadEnvelope(f"{header.sender} sent malformed content"))

    def _opening(self, run: str) -> tuple[str, Bundle]:
        """Return the study's digest and the permit of a run, as it is known so far."""
        if run not in self._bundles:
            meta, _ = self._content(self._one(run, "begin", "begin"))
            study = digest_bytes(canonical(meta["study"]))
            self._bundles[run] = (study, bundle_from(meta["permit"]))
        return self._bundles[run]

    def _begin(self, run: str) -> tuple[str, Bundle]:
        """Return the study's digest and the permit of a run, verified here."""
        study, known = self._opening(run)
        bundle = self._register.heard_of(known)
        self._bundles[run] = (study, bundle)
        check_standing(bundle, study, self._clock(), self._trusted)
        if self.identity.name not in bundle.permit.hubs:
            raise NotAParty(f"{self.identity.name} is not a hub of this permit")
        return study, bundle

    def _one(self, run: str, task: str, kind: str) -> Envelope:
        found = self._shelf.one(run, task, kind, self._coordinator)
        if found is None:
            raise NotApproved(
                f"no {kind!r} of this run has reached {self.identity.name}"
            )
        return found

    def _content(self, envelope: Envelope) -> tuple[dict[str, Any], dict[str, Any]]:
        return unpack(envelope.open(self.identity))

    def _open_if_complete(self, run: str, task: str) -> None:
        """Add the shares once every frozen member's is here."""
        study, bundle = self._begin(run)
        asked = self._asked(run, task, bundle)
        if asked is None or not self._may_be_complete(run, task, asked[1]):
            return
        header, members = asked
        data = self._shelf.of_task(run, task)
        if ("total", self.identity.name) in data:
            return
        if any(("share", site) not in data for site in members):
            return
        shares = [parse_envelope(data["share", site]) for site in members]
        for share in shares:
            # What the sites signed decides what this sum is, not what we were told.
            if _course(share.header) != _course(header):
                raise NotAParty(
                    f"{share.header.sender} answered another task than this"
                )
        # A list is noted as its sum is kept, in one step: both, or neither.
        with self._store.transaction():
            self._check_reopening(header, bundle, members)
            self._send_total(header, (study, bundle, members), shares)

    def _asked(
        self, run: str, task: str, bundle: Bundle
    ) -> tuple[Header, list[str]] | None:
        """Return a task's header and its frozen members; None before it is here."""
        if (run, task) not in self._tasks:
            sender = bundle.permit.coordinator.name
            envelope = self._shelf.one(run, task, "task", sender)
            if envelope is None:
                return None
            meta, _ = self._content(envelope)
            members = [str(name) for name in meta["members"]]
            if not members or len(set(members)) != len(members):
                raise BadEnvelope("the member list is empty or names a site twice")
            if not set(members) <= set(bundle.permit.sites):
                raise NotAParty("the member list names a site outside the permit")
            self._tasks[run, task] = (envelope.header, members)
        return self._tasks[run, task]

    def _may_be_complete(self, run: str, task: str, members: list[str]) -> bool:
        """Say whether there are enough shares: asked at each one, it reads none."""
        return self._shelf.count_of_shares(run, task) >= len(members)

    def _check_reopening(
        self, header: Header, bundle: Bundle, members: list[str]
    ) -> None:
        """Refuse a second sum that, beside an earlier one, would show a site's part.

        Two sums over lists that differ by a site give that site's own part away. So
        an attempt that was given up stays shut even if its last share comes late, and
        sums whose parts could not be published are opened for one list of members
        only, whatever the run or analysis, as long as the permit lasts.
        """
        for other in self._shelf.tasks_after(header.run, header.task):
            if other.analysis == header.analysis and other.attempt > header.attempt:
                raise Replayed(f"{header.task} was given up for a later attempt")
        protocol = bundle.permit.protocol(header.protocol)
        is_opened = header.protocol != SEALED_COUNT
        if not is_opened or (protocol is not None and protocol.publishable):
            return
        ours = json.dumps(sorted(members))
        permit = bundle.permit.digest
        before = "SELECT members FROM opened WHERE permit = ?"
        if any(str(row[0]) != ours for row in self._store.rows(before, (permit,))):
            raise TooFewSites(
                "sums of this permit ran over other members before; beside them, "
                f"{header.analysis} would show one site's part",
                fix="ask for a permit of other people: of the same ones, it would "
                "show that part all the same",
            )
        add_one = "INSERT OR IGNORE INTO opened VALUES (?, ?)"
        self._store.write([(add_one, (permit, ours))])

    def _send_total(
        self,
        header: Header,
        asked: tuple[str, Bundle, list[str]],
        shares: list[Envelope],
    ) -> None:
        study, bundle, members = asked
        for share in shares:
            if (share.header.study, share.header.permit) != (
                study,
                bundle.permit.digest,
            ):
                raise NotAParty(f"{share.header.sender} sent a share of another study")
        words, tag = self._share(shares[0], members)
        for share in shares[1:]:  # one at a time: a share may be large
            part, more = self._share(share, members)
            if part.shape != words.shape:
                raise WrongShape(
                    f"the shares of {shares[0].header.sender} and "
                    f"{share.header.sender} differ in length"
                )
            words, tag = add([words, part]), tag + more
        place = {
            "hub": self.identity.name,
            "study": study,
            "permit": bundle.permit.digest,
            "run": header.run,
            "task": header.task,
            "analysis": header.analysis,
            "attempt": header.attempt,
            "round": header.round,
            "shares": {share.header.sender: share.digest for share in shares},
        }
        if header.protocol == SEALED_COUNT:  # neither words nor tag of it go to anybody
            least = [self._content(share)[0].get("cell") for share in shares]
            hubs = [self._party(name) for name in bundle.permit.hubs]
            body, tokens = count_of(self.identity, hubs, place, words, least)
            content = pack(state(self.identity, body).as_json(), {"tokens": tokens})
            self._reply(header, "total", bundle.permit.coordinator.name, content)
            return
        body = {
            **place,
            "type": "hetao.total/1",
            "values": int(words.shape[1]) - 1,
            "words": digest_bytes(words.astype("<u8").tobytes()),
            "tag": tag_digest(tag),
        }
        # What is signed is published; words and tag go to the coordinator alone.
        meta = {**state(self.identity, body).as_json(), "tag": tag_text(tag)}
        content = pack(meta, {"words": words})
        self._reply(header, "total", bundle.permit.coordinator.name, content)

    def _share(
        self, share: Envelope, members: list[str]
    ) -> tuple[NDArray[np.uint64], int]:
        """Return a share as words (2, n) and its tag's, whichever form it has."""
        sender = share.header.sender
        is_count = share.header.protocol == SEALED_COUNT
        try:
            meta, arrays = self._content(share)
            # The site froze this list with its share; a coordinator that could name a
            # shorter one would get one site's own part.
            if meta.get("members") != members:
                raise NotAParty(f"{sender} gave its share for another member list")
            values = meta.get("counted" if is_count else "values")
            if type(values) is not int or not 1 <= values <= MOST_VALUES:
                raise WrongShape(f"{sender} sent a share of no length")
            if "seed" in meta:
                seed = bytes.fromhex(str(meta["seed"]))
                words = stream(seed, 2 * values).reshape(2, values)
                return words, mask(seed, words.size)
            tag = tag_from(meta.get("tag"))
        except (BadEnvelope, ValueError) as error:
            raise BadEnvelope(f"{sender} sent a garbled share") from error
        rest = arrays.get("words")
        if rest is None or rest.shape != (2, values) or rest.dtype != np.uint64:
            raise WrongShape(f"{sender} sent a share of another shape")
        return np.asarray(rest, np.uint64), tag

    def _finish(self, envelope: Envelope) -> None:
        """Cosign the coordinator's checkpoint: this hub saw no other history."""
        meta, _ = self._content(envelope)
        run = envelope.header.run
        bundle = self._register.heard_of(self._opening(run)[1])
        if is_ended := is_revoked(bundle):
            check_known(bundle.permit, self._trusted, self.identity.name)
        else:
            _, bundle = self._begin(run)
        # Of a revoked study nothing is seen any more but that it is said so.
        check_certified(meta, bundle.permit, run, revoked=is_ended)
        boss, note, old = bundle.permit.coordinator, str(meta["note"]), meta["old_size"]
        answer = cosigned(self._witness, boss, note, int(old), meta["path"])
        told = {"known": answer.known, "checkpoint": self._log.checkpoint()}
        if answer.line:
            told["cosignature"] = answer.line
        self._reply(envelope.header, "closing", boss.name, pack(told))

    def _reply(self, header: Header, kind: str, to: str, content: bytes) -> None:
        reply = Header(
            study=header.study,
            permit=header.permit,
            run=header.run,
            task=header.task,
            kind=kind,
            sender=self.identity.name,
            recipient=to,
            not_after=header.not_after,
            grade=header.grade,
            protocol=header.protocol,
            version=header.version,
            analysis=header.analysis,
            attempt=header.attempt,
            round=header.round,
            previous=self._shelf.last_sent(header.run),
            head=self._log.short_checkpoint(),
        )
        if self._shelf.has_place(reply):
            return
        envelope = seal(self.identity, self._trusted[to], reply, content)
        self._append("sent", envelope)
        self._insert(envelope)

    def _refuse(self, header: Header, error: HetaoError) -> None:
        content = pack({"code": error.code, "rule": str(error)})
        self._reply(header, "refusal", self._coordinator, content)
        self.heeding.heed(header.run)


def _course(header: Header) -> tuple[str, str, int, int, str]:
    """Return the piece of work that an envelope belongs to."""
    return (
        header.task,
        header.analysis,
        header.attempt,
        header.round,
        f"{header.protocol}/{header.version}",
    )
