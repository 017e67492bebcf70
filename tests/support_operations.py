"""Anything that people, hubs and sites do about a permit; a gate asked at each turn.

`Machine` does random things with real keys and asks the real gate. `stands` and `Ask`
say a second time who may let what leave: as events in minutes, with no code of the
package in it, so that the two can only agree where both are right.
"""

import contextlib
import datetime
import functools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from hetao.analysis import Evidence, Protocol, Sum
from hetao.canonical import digest
from hetao.errors import HetaoError
from hetao.permit import (
    Bundle,
    Directory,
    Identity,
    Permit,
    PermittedProtocol,
    Statement,
    decision,
    format_time,
    new_identity,
    state,
)
from hetao.permit import bundle as reading
from hetao.release import Door, Place, Policy, Summary
from hetao.release.decide import decide
from hetao.release.differencing import Budget
from support_federation import toy_study
from support_permit import NOW, Scene

SITES = ("hospital-hk", "hospital-sz", "clinic-sz")
STUDY = toy_study(sites=SITES)
DAYS = 90
DAY, HOUR = 24 * 60, 60  # minutes
SKEW = 5  # minutes
OFFICES = tuple((s, r) for r in ("data-protection", "ethics") for s in ("HK", "SZ"))
# Who says things: whose office it is, which one, and who they truly are.
ACTORS = {
    "ethics-hk": ("ethics-hk", ("HK", "ethics"), "ethics-hk"),
    "ethics-sz": ("ethics-sz", ("SZ", "ethics"), "ethics-sz"),
    "privacy-hk": ("privacy-hk", ("HK", "data-protection"), "privacy-hk"),
    "privacy-sz": ("privacy-sz", ("SZ", "data-protection"), "privacy-sz"),
    "deputy-sz": ("ethics-sz", ("SZ", "ethics"), "deputy-sz"),
    "twin-sz": ("twin-sz", ("SZ", "data-protection"), "ethics-hk"),
    "author-b": ("author-b", ("HK", "ethics"), "author"),
    "operator": ("operator", ("HK", "ethics"), "operator"),
    "checker-sz": ("checker-sz", ("SZ", "ethics"), "checker-sz"),
}
RIGHT = ("ethics-hk", "ethics-sz", "privacy-hk", "privacy-sz")
BARRED = {"author", "operator", "checker-sz", "checker-hk"}
ENDS = ("refuse", "withdraw", "revoke", "close", "amend")
LETS_GO_ON = ("approve", "resume", "renew")
VERBS = (
    *("approve",) * 6,
    *("renew",) * 9,
    *("suspend",) * 3,
    *("resume",) * 5,
    *("vary",) * 2,
    "warn",
)
PROTOCOL = Protocol("toy", "1", "sha256:code", 3, "x: 2")
GOOD = Evidence(
    people=137, events=61, non_events=76, parameters=3, smallest_side={"age": 60}
)


# --- the second statement -----------------------------------------------------------
@dataclass(frozen=True)
class Event:
    """One thing that somebody said, in minutes from the permit's first."""

    minute: int
    verb: str
    by: str
    number: int
    lifts: frozenset[int] = frozenset()
    heard: tuple[tuple[str, int], ...] = ()
    until: int = 10**9
    change: tuple[tuple[str, int], ...] = ()
    is_forged: bool = False
    place: int = 0  # among all that was said

    @property
    def holder(self) -> str:
        return ACTORS[self.by][0]

    @property
    def office(self) -> tuple[str, str]:
        return ACTORS[self.by][1]


def is_whole(seen: Sequence[Event]) -> bool:
    """Say whether nobody's word was left out, as far as those seen can tell."""
    said = {(e.by, e.number) for e in seen if e.verb != "renew"}
    last = Counter(name for name, _ in said)
    told = [(e.by, e.number) for e in seen]
    told += [pair for e in seen for pair in e.heard]
    return all(number <= last[name] for name, number in told)


def terms_of(seen: Sequence[Event]) -> dict[str, int]:
    terms = {"highest_grade": 3, "most_attempts": 3, "lease_hours": 24}
    terms["not_after"] = DAYS * DAY
    for event in seen:
        for name, value in event.change:
            terms[name] = min(terms[name], value)
    return terms


def stands(seen: Sequence[Event], now: int, revoked: dict[str, int]) -> bool:
    """Say whether the permit lets anything leave, by what a site has seen."""
    terms = terms_of(seen)
    counted = [e for e in seen if e.minute <= now + SKEW]
    approvals = [e for e in counted if e.verb == "approve"]
    counted = [e for e in counted if is_theirs(e, approvals)]
    fresh = {
        e.office[0]
        for e in counted
        if e.verb in LETS_GO_ON and now < e.minute + HOUR * terms["lease_hours"]
    }
    return (
        not any(e.is_forged or e.verb in ENDS for e in seen)
        and is_whole(seen)
        and not is_void(seen, revoked)
        and 0 <= now < terms["not_after"]
        and is_approved(approvals)
        and not is_suspended(seen, counted, now)
        and fresh == {"HK", "SZ"}
    )


def is_void(seen: Sequence[Event], revoked: dict[str, int]) -> bool:
    """Say whether a key was used after the site's own list had revoked it."""
    used = [(name, e.minute) for e in seen for name in (e.by, e.holder)]
    return any(minute >= revoked.get(name, 10**9) for name, minute in used)


def is_approved(approvals: Sequence[Event]) -> bool:
    """Say whether different people, none of them barred, fill every office."""
    offices: dict[str, set[tuple[str, str]]] = {}
    for event in approvals:
        for who in (ACTORS[event.by][2], ACTORS[event.holder][2]):
            offices.setdefault(who, set()).add(event.office)
    return (
        {office for theirs in offices.values() for office in theirs} == set(OFFICES)
        and not BARRED & set(offices)
        and all(len(theirs) == 1 for theirs in offices.values())
    )


def is_theirs(event: Event, approvals: Sequence[Event]) -> bool:
    """Say whether who lets it go on is nobody barred, nor of another office."""
    if event.verb not in ("resume", "renew"):
        return True
    who = {ACTORS[event.by][2], ACTORS[event.holder][2]}
    elsewhere = {
        ACTORS[name][2]
        for one in approvals
        if one.office != event.office
        for name in (one.by, one.holder)
    }
    return not who & (BARRED | elsewhere)


def is_suspended(seen: Sequence[Event], counted: Sequence[Event], now: int) -> bool:
    """Say whether a suspension goes on that its own office has not lifted."""
    lifted = {(place, e.office) for e in counted for place in e.lifts}
    return any(
        e.verb == "suspend" and e.until > now and (e.place, e.office) not in lifted
        for e in seen
    )


@dataclass(frozen=True)
class Ask:
    """What asks to leave: a sum that may, with at most one thing spoilt."""

    attempt: int = 1
    spoilt: str = ""

    def may_leave(self, seen: Sequence[Event]) -> bool:
        terms = terms_of(seen)
        is_known = 1 <= self.attempt <= terms["most_attempts"]
        return not self.spoilt and is_known and terms["highest_grade"] >= 2


SPOILT = {
    "few people": {"evidence": replace(GOOD, people=49)},
    "few on a side": {"evidence": replace(GOOD, smallest_side={"age": 9})},
    "few events": {"evidence": replace(GOOD, events=9)},
    "many parameters": {"evidence": replace(GOOD, parameters=14)},
    "beyond its bound": {"arrays": {"x": np.array([3.0, 1e9])}},
    "not a number": {"arrays": {"x": np.array([3.0, np.nan])}},
    "another shape": {"arrays": {"x": np.array([3.0])}},
    "a member is missing": {"members": SITES[:2]},
    "a stranger": {"members": (*SITES, "hub-hk")},
    "other code": {"protocol": replace(PROTOCOL, hash="sha256:other")},
    "unlisted": {"protocol": replace(PROTOCOL, name="other")},
    "no budget": {"budget": None},
}
ELSEWHERE = {
    "a round too many": {"round": 3},
    "another study": {"study": "sha256:" + "0" * 64},
    "another permit": {"permit": "sha256:" + "0" * 64},
    "another task": {"task": "attrition/1/1"},
}


# --- the machine --------------------------------------------------------------------
@dataclass(frozen=True)
class World:
    """Everybody's keys, and the permit of three sites that all is about."""

    people: Scene
    machines: dict[str, Identity]
    permit: Permit


@functools.cache
def world() -> World:
    names = (*SITES, "hub-hk", "hub-sz", "coordinator")
    machines = {name: new_identity(name) for name in names}
    roles = dict(
        zip(names, ("site",) * 3 + ("hub",) * 2 + ("coordinator",), strict=True)
    )
    people = Scene()
    permit = replace(
        people.permit,
        sites=SITES,
        study=STUDY.digest,
        protocols=(PermittedProtocol("toy", "1", "sha256:code", 3, "x: 2"),),
        parties=tuple(
            one.party("SZ" if name.endswith("sz") else "HK", roles[name], "An owner")
            for name, one in machines.items()
        ),
    )
    return World(people, machines, permit)


@contextlib.contextmanager
def remembered() -> Iterator[None]:
    """Have what is the same each time be worked out once: whose signature held, rules.

    Everything is looked up by the very object, not by what it says: another statement,
    with the same words and another signature, is verified as ever.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "read_notice", _once(reading.read_notice))
        patch.setattr(reading, "canonical", _once(reading.canonical))
        patch.setattr(decision, "strangers_in", _strangers_once(decision.strangers_in))
        for name in ("requirements", "reviews"):
            patch.setattr(decision, name, functools.cache(getattr(decision, name)))
        yield


def _once(work: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[tuple[int, ...], tuple[tuple[object, ...], Any]] = {}

    def look(*given: object) -> Any:
        key = tuple(map(id, given))
        if key not in known:
            known[key] = (given, work(*given))  # keeps them, so that an id stays theirs
        return known[key][1]

    return look


def _strangers_once(work: Callable[..., Any]) -> Callable[..., Any]:
    of_permit = _once(lambda permit, trusted: work(Bundle(permit), trusted))
    return lambda bundle, trusted: of_permit(bundle.permit, trusted)


@dataclass
class Machine:
    """A permit's life, step by step; raises at the first step that is not as told."""

    seed: int
    now: int = 0
    done: Counter[str] = field(default_factory=Counter)
    said: list[tuple[Event, Statement]] = field(default_factory=list)
    revoked: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)  # noqa: S311 - the same life each time
        self.lent = world().people.delegation(
            "ethics-sz", "deputy-sz", ("SZ", "ethics")
        )
        self.begin()

    def begin(self) -> None:
        """Begin another life of the permit, before anybody said anything."""
        self.said, self.now, self.left = [], 0, self.draw.randrange(30, 120)
        self.revoked = {}
        if self.draw.random() < 0.2:  # known to the site's own list alone
            who = self.draw.choice(list(ACTORS))
            self.revoked = {who: self.draw.randrange(0, 3 * DAY)}
        self.trusted = self._list()

    def _list(self) -> Directory:
        permit = world().permit
        keys = tuple(
            replace(key, revoked_at=_text(self.revoked[key.owner]))
            if key.owner in self.revoked
            else key
            for key in permit.keys
        )
        return Directory(permit.parties, permit.persons, keys)

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.step()

    def step(self) -> None:
        """Do one random thing."""
        self.left -= 1
        if self.left < 0:
            self.begin()
        choice = self.draw.random()
        if choice < 0.3:
            self.done["time passes"] += 1
            self.now += self.draw.choice((1, 4, 6, 30, 90, 500, 1400))
        elif choice < 0.7:
            self.say()
        else:
            self.ask()

    # --- people ---------------------------------------------------------------------
    def say(self) -> None:
        """Have somebody say something, truly signed, whether it is wise or not."""
        by, verb = self._who_says_what()
        self.done["said"] += 1
        holder, (side, role), _ = ACTORS[by]
        mine = [e for e, _ in self.said if e.by == by and e.verb != "renew"]
        number = len(mine) + (verb != "renew")
        last = max((e.minute for e in mine), default=0)
        minute = max(last, self.now + self.draw.choice((0, 0, 0, 3, 7)))
        body: dict[str, Any] = {
            "type": "hetao.notice/2",
            "verb": verb,
            "permit": world().permit.digest,
            "by": by,
            "key": by,
            "side": side,
            "role": role,
            "sequence": number,
            "at": _text(minute),
        }
        if by != holder:
            body["delegation"] = self.lent.as_json()
        more = self._words(verb, body, (side, role))
        event = Event(minute, verb, by, number, place=len(self.said), **more)
        self.said.append((event, state(world().people.identities[by], body)))

    def _who_says_what(self) -> tuple[str, str]:
        approved = {e.by for e, _ in self.said if e.verb == "approve"}
        missing = [name for name in RIGHT if name not in approved]
        if missing and self.draw.random() < 0.8:
            return self.draw.choice(missing), "approve"
        verb = self.draw.choice(VERBS)
        if self.draw.random() < 0.02:
            verb = self.draw.choice(ENDS[:4])
        few = 0.03 if verb == "approve" else 0.15
        if self.draw.random() < few:
            return self.draw.choice(list(ACTORS)), verb
        return self.draw.choice(RIGHT), verb

    def _words(
        self, verb: str, body: dict[str, Any], office: tuple[str, str]
    ) -> dict[str, Any]:
        """Put into the body what goes with its verb, and return that of the event."""
        draw = self.draw
        if verb in ("warn", "vary"):
            body["reason"] = "a word"
        if verb == "vary" and draw.random() < 0.7:
            name, value = draw.choice(
                (
                    ("lease_hours", 8),
                    ("lease_hours", 20),
                    ("most_attempts", 1),
                    ("highest_grade", 2),
                    ("highest_grade", 1),
                    ("not_after", 9 * DAY),
                )
            )
            text = _text(value) if name == "not_after" else str(value)
            body["change"] = {name: text}
            return {"change": ((name, value),)}
        if verb == "suspend" and draw.random() < 0.3:
            until = self.now + draw.choice((30, 300))
            body["until"] = _text(until)
            return {"until": until}
        if verb == "resume":
            lifted = [
                (e.place, digest(s.body))
                for e, s in self.said
                if e.verb == "suspend"
                and draw.random() < 0.8
                # also those of others, which lifts nothing
                and (e.office == office or draw.random() < 0.2)
            ]
            if lifted:
                body["lifts"] = [name for _, name in lifted]
            return {"lifts": frozenset(place for place, _ in lifted)}
        if verb == "renew":
            known: dict[str, int] = {}
            for e, _ in self.said:
                if e.verb != "renew":
                    known[e.by] = max(known.get(e.by, 0), e.number)
            if known:
                body["heard"] = known
            return {"heard": tuple(known.items())}
        return {}

    # --- a site, and a hub that brings it what it likes -----------------------------
    def ask(self) -> None:
        """Ask the gate, by what a hub has brought; hold its answer to the model's."""
        seen = self._brought()
        ask = self._asked()
        bundle = Bundle(world().permit, tuple(statement for _, statement in seen))
        events = [event for event, _ in seen]
        may = stands(events, self.now, self.revoked) and ask.may_leave(events)
        leaves = self._leaves(bundle, ask)
        self.done["left" if leaves else "refused"] += 1
        if leaves and not may:
            raise AssertionError(f"an unapproved release: {self.now}, {ask}, {events}")
        if may and not leaves:
            raise AssertionError(f"refused for nothing: {self.now}, {ask}, {events}")

    def _brought(self) -> list[tuple[Event, Statement]]:
        draw, seen = self.draw, list(self.said)
        choice = draw.random()
        if choice < 0.1 and seen:
            del seen[draw.randrange(len(seen))]
        elif choice < 0.2:
            until = draw.randrange(len(seen) + 1)
            seen = seen[:until]
        elif choice < 0.3 and seen:
            seen.insert(draw.randrange(len(seen)), self._forged(*draw.choice(seen)))
        elif choice < 0.35 and seen:
            seen.append(draw.choice(seen))
        if choice > 0.9:
            draw.shuffle(seen)
        return seen

    def _forged(self, event: Event, true: Statement) -> tuple[Event, Statement]:
        """Return a notice that nobody said, made out of one that somebody did."""
        draw, body = self.draw, dict(true.body)
        how = draw.randrange(5)
        if how == 0:
            at = draw.randrange(80)
            letter = "A" if true.signature[at] != "A" else "B"
            signature = true.signature[:at] + letter + true.signature[at + 1 :]
            forged = Statement(body, signature)
        elif how == 1:
            body["at"] = _text(self.now + 1 + event.minute)
            forged = Statement(body, true.signature)
        elif how == 2:
            body["verb"] = "renew" if event.verb != "renew" else "approve"
            forged = Statement(body, true.signature)
        elif how == 3:
            others = [name for name in ACTORS if name != event.by]
            forged = state(world().people.identities[draw.choice(others)], body)
        else:
            body["permit"] = "sha256:" + "0" * 64
            forged = state(world().people.identities[event.by], body)
        return replace(event, is_forged=True), forged

    def _asked(self) -> Ask:
        if self.draw.random() < 0.7:
            return Ask(attempt=self.draw.choice((1, 1, 1, 2, 3, 4)))
        return Ask(spoilt=self.draw.choice([*SPOILT, *ELSEWHERE]))

    def _leaves(self, bundle: Bundle, ask: Ask) -> bool:
        place = {
            "study": STUDY.digest,
            "permit": world().permit.digest,
            "run": "r",
            "task": f"attrition/{ask.attempt}/0",
            "not_after": _text(self.now + 60),
            "analysis": "attrition",
            "attempt": ask.attempt,
            "round": 0,
        }
        summary = {
            "protocol": PROTOCOL,
            "publishable": False,
            "declared": {"x": Sum((2,), 1.0, 0.0)},
            "arrays": {"x": np.array([3.0, 4.0])},
            "evidence": GOOD,
            "members": SITES,
            "key": bytes(16),
            "budget": Budget(3, 10, 0),
            **SPOILT.get(ask.spoilt, {}),
        }
        place |= ELSEWHERE.get(ask.spoilt, {})
        identity = world().machines["hospital-hk"]
        door = Door(identity, self.trusted, bundle, STUDY, Policy())
        now = NOW + datetime.timedelta(minutes=self.now)
        try:
            release = decide(Summary(**summary), door, Place(**place), now)
        except HetaoError:
            return False
        return bool(release.envelopes)


def _text(minute: int) -> str:
    return format_time(NOW + datetime.timedelta(minutes=minute))
