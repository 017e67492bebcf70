"""The decision: a table of named predicates over typed facts, each with its clause.

    decide(facts) -> Decision(allowed, failed)

Only a predicate that returns the literal True passes; one that fails in any way, or
lacks a fact, does not. A permit that is not well formed never comes here: reading it
is refused. What must have been checked before a release follows from the kind of what
is released, whatever the permit says; a permit can only ask for more.
"""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from hetao.errors import (
    BadSignature,
    BeyondBasis,
    ConflictOfDuties,
    HetaoError,
    NotActive,
    NotAParty,
    NotApproved,
    OutOfTime,
    Refused,
    UngradedRelease,
    WrongStudy,
)
from hetao.permit.bundle import Bundle
from hetao.permit.dates import parse_time
from hetao.permit.directory import Directory
from hetao.permit.grades import KINDS
from hetao.permit.keys import Key, Party
from hetao.permit.law import day_of_law
from hetao.permit.lifecycle import Standing, standing
from hetao.permit.permit import CROSSING_KINDS, Permit
from hetao.permit.persons import Person
from hetao.permit.rulebook import requirements, reviews
from hetao.permit.within import beyond, grade_beyond, kind_beyond

# What each kind of payload must have passed, whatever its permit says: of data, what
# the table of kinds demands.
MANDATORY: Final[Mapping[str, frozenset[str]]] = {
    **{k.name: frozenset(k.demands) for k in KINDS.values() if k.leaves and k.demands},
    "consignment": frozenset({"consent", "manifest", "packaging", "temperature"}),
    "entry": frozenset({"identity", "certificate", "purpose", "host"}),
    "payment": frozenset({"payee", "milestone", "unspent", "sanctions"}),
}
CROSSING_OF: Final[Mapping[str, str]] = {
    **{kind: crossing for crossing, some in CROSSING_KINDS.items() for kind in some},
    **dict.fromkeys(KINDS, "data"),
}


@dataclass(frozen=True)
class Payload:
    """What asks to leave, as the decision sees it.

    Attributes:
        kind: a key of `MANDATORY`.
        site: who lets it out.
        grade: its class, 1 to 5.
        checks: names of the checks that it passed.
    """

    kind: str
    site: str
    grade: int
    checks: frozenset[str]


@dataclass(frozen=True)
class Situation:
    """Everything that the decision rests on.

    Attributes:
        permit: well formed.
        standing: of that permit at `now`, computed from verified signatures.
        study: digest of the study that asks.
        now: UTC time of the use.
        strangers: parties, people and keys of the permit that are not in the asker's
            own list.
        unasked: approvals that the rulebook asks, and the permit does not, in words.
        voided: notices signed with a key after it was revoked, by the asker's list.
        payload: what asks to leave; None where the question is only whether the
            permit stands.
    """

    permit: Permit
    standing: Standing
    study: str
    now: datetime.datetime
    strangers: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()
    voided: tuple[str, ...] = ()
    payload: Payload | None = None


@dataclass(frozen=True)
class Predicate:
    """One line of the table.

    Attributes:
        name: by which a decision tells it.
        clause: where it comes from.
        holds: the predicate; only True passes.
        error: the refusal.
        words: what is refused, from the facts.
        fix: the remedy; that of the error's class if empty.
    """

    name: str
    clause: str
    holds: Callable[[Situation], bool]
    error: type[Refused]
    words: Callable[[Situation], str]
    fix: str = ""


@dataclass(frozen=True)
class Decision:
    """The answer: whether it may be, and which predicates failed, in their order."""

    allowed: bool
    failed: tuple[str, ...]


def _why(facts: Situation) -> str:
    return "; ".join(facts.standing.why) or f"the permit is {facts.standing.state}"


def _lapsed(facts: Situation) -> list[str]:
    return [
        basis.instrument
        for basis in facts.permit.bases
        if not parse_time(basis.valid_from) <= facts.now < parse_time(basis.valid_until)
    ]


def _payload(facts: Situation) -> Payload:
    if facts.payload is None:
        raise LookupError("nothing asks to leave")
    return facts.payload


def _kind_beyond(facts: Situation) -> tuple[str, ...]:
    one = _payload(facts)
    return kind_beyond(facts.permit, one.site, one.kind)


def _grade_beyond(facts: Situation) -> tuple[str, ...]:
    one = _payload(facts)
    return grade_beyond(facts.permit, one.site, one.grade)


def _not_passed(facts: Situation) -> list[str]:
    payload = _payload(facts)
    wanted = MANDATORY[payload.kind]
    if payload.kind not in KINDS or payload.kind.startswith("model_update"):
        wanted |= set(facts.permit.checks)
    return sorted(wanted - payload.checks)


STANDS: Final = (
    Predicate(
        "parties",
        "keys pinned by hand; SATRE v2 2.5",
        lambda f: not f.strangers,
        NotAParty,
        lambda f: (
            f"{f.strangers[0]} of the permit is not in the list of trusted parties"
        ),
        "compare fingerprints, then add it by hand",
    ),
    Predicate(
        "study",
        "ICH E6(R3) 4.2; HGR Regulation art. 23",
        lambda f: f.permit.study == f.study,
        WrongStudy,
        lambda _: "the permit is for another study",
    ),
    Predicate(
        "window",
        "PIPL art. 38 (three years at most); EHDS art. 68",
        lambda f: (
            parse_time(f.permit.not_before)
            <= f.now
            < parse_time(f.standing.terms.not_after)
        ),
        OutOfTime,
        lambda _: "the permit is not in force at this time",
    ),
    Predicate(
        "rulebook",
        "each rule of the rulebook in force on the day",
        lambda f: not f.unasked,
        NotApproved,
        lambda f: f.unasked[0],
    ),
    Predicate(
        "keys in force",
        "ICH E6(R3) 4.2.2; ETSI EN 319 102-1",
        lambda f: not f.voided,
        NotApproved,
        lambda f: f.voided[0],
        "have the office sign again with a key that is in force",
    ),
    Predicate(
        "nobody said no",
        "Cap. 138A reg. 36B (cancel); HGR Regulation art. 22(6)",
        lambda f: f.standing.state not in ("refused", "revoked"),
        NotApproved,
        _why,
    ),
    Predicate(
        "approved",
        "HGR Regulation art. 22(6), both places; SATRE v2 3.1.05",
        lambda f: not f.standing.missing,
        NotApproved,
        lambda f: (
            f"the approval of {f.standing.missing[0].role} on side "
            f"{f.standing.missing[0].side} is missing"
        ),
        "run `hetao permit approve` with that office's key",
    ),
    Predicate(
        "duties apart",
        "GB/T 39725 clause 9; ICH E6(R3) 1.5; SATRE v2 3.3.05",
        lambda f: not f.standing.conflicts,
        ConflictOfDuties,
        lambda f: f.standing.conflicts[0],
    ),
    Predicate(
        "bases in force",
        "PIPL arts. 38 and 55; HGR Regulation arts. 22, 27 and 28",
        lambda f: not _lapsed(f),
        OutOfTime,
        lambda f: f"the basis {_lapsed(f)[0]} does not hold at this time",
        "renew the basis, then amend the permit",
    ),
    Predicate(
        "within its bases",
        "Network Data Security Regulations art. 38; HGR Regulation art. 23; PDPO s.62",
        lambda f: not beyond(f.permit),
        BeyondBasis,
        lambda f: beyond(f.permit)[0],
    ),
    Predicate(
        "active",
        "Cap. 138A reg. 36B (suspend); SATRE v2 3.1.06",
        lambda f: f.standing.is_active,
        NotActive,
        _why,
    ),
)
LEAVES: Final = (
    Predicate(
        "kind",
        "the kind of payload decides what is checked; SATRE v2 3.3.04; Network Data "
        "Security Regulations art. 38",
        lambda f: (
            CROSSING_OF[_payload(f).kind] == f.permit.crossing and not _kind_beyond(f)
        ),
        UngradedRelease,
        lambda f: "; ".join(
            _kind_beyond(f) or ("the permit is not for what asks to leave",)
        ),
    ),
    Predicate(
        "site",
        "PIPL art. 39, the recipient and the handler are named",
        lambda f: _payload(f).site in f.permit.sites,
        NotAParty,
        lambda f: f"{_payload(f).site} is not a site of this permit",
    ),
    Predicate(
        "grade",
        "GB/T 39725 6.2; GB/T 43697",
        lambda f: (
            1 <= _payload(f).grade <= f.standing.terms.highest_grade
            and not _grade_beyond(f)
        ),
        UngradedRelease,
        lambda f: (
            f"the release is of class {_payload(f).grade}, which the permit does "
            "not allow" + "".join(f"; {words}" for words in _grade_beyond(f))
        ),
    ),
    Predicate(
        "checks",
        "SATRE v2 3.3.04 and 3.3.07; PDPO Cap. 486 s.62(c)",
        lambda f: not _not_passed(f),
        UngradedRelease,
        lambda f: (
            "a check that this kind of release must pass has not passed: "
            + ", ".join(_not_passed(f))
        ),
    ),
)


FAULTS: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    HetaoError,
)


def decide(facts: Situation) -> Decision:
    """Return whether the permit lets this be, and every predicate that failed."""
    failed = tuple(one.name for one in _asked(facts) if not _holds(one, facts))
    return Decision(not failed, failed)


def _asked(facts: Situation) -> tuple[Predicate, ...]:
    return STANDS if facts.payload is None else (*STANDS, *LEAVES)


def _holds(one: Predicate, facts: Situation) -> bool:
    try:
        return one.holds(facts) is True
    except FAULTS:
        return False  # fails closed: a fact was missing or of another kind


def check(facts: Situation) -> None:
    """Return quietly if the permit lets this be.

    Raises:
        Refused: the first predicate that failed, as its own error.
    """
    decision = decide(facts)
    if not decision.allowed:
        one = next(p for p in _asked(facts) if p.name == decision.failed[0])
        raise one.error(one.words(facts), fix=one.fix)


def check_standing(
    bundle: Bundle,
    study: str,
    now: datetime.datetime,
    trusted: Directory | None,
    payload: Payload | None = None,
) -> None:
    """Return quietly if the permit lets this study run now, and this payload leave.

    Args:
        bundle: permit and notices, as received.
        study: digest of the study that asks.
        now: UTC time of the use.
        trusted: the asker's own list of parties, people and keys; None only where a
            verifier has been given no list, and then says so.
        payload: what asks to leave, if anything does.

    Raises:
        NotAParty: the permit names a party, person or key that is not in `trusted`.
        WrongStudy: the permit is for another study.
        OutOfTime: it, or a legal basis of it, is not in force.
        NotApproved: an approval is missing, refused, withdrawn, revoked or forged.
        ConflictOfDuties: one person holds two duties that must be kept apart.
        BeyondBasis: one of its bases does not allow it.
        NotActive: it is suspended or closed, or a side has not renewed it.
        UngradedRelease: the payload is not of a kind or class, or has not passed a
            check, that the permit allows.
    """
    check(situation_of(bundle, study, now, trusted, payload))


def situation_of(
    bundle: Bundle,
    study: str,
    now: datetime.datetime,
    trusted: Directory | None,
    payload: Payload | None = None,
) -> Situation:
    """Return the facts of `check_standing`.

    Raises:
        NotApproved: a notice is forged or was left out, or no rule covers the crossing.
        NotAParty: the permit names somebody who is not in `trusted`.
    """
    strangers = () if trusted is None else strangers_in(bundle, trusted)
    if strangers:  # whose signatures nobody needs to look at
        raise NotAParty(
            f"{strangers[0]} of the permit is not in the list of trusted parties",
            fix=STANDS[0].fix,
        )
    return Situation(
        permit=bundle.permit,
        standing=standing(bundle, now, None if trusted is None else trusted.people),
        study=study,
        now=now,
        strangers=strangers,
        unasked=_unasked(bundle, now),
        voided=() if trusted is None else voided_in(bundle, trusted),
        payload=payload,
    )


def strangers_in(bundle: Bundle, trusted: Directory) -> tuple[str, ...]:
    """Return the parties, people and keys of a permit that are not in a list."""
    if any(trusted is one for one in bundle.listed_in):
        return ()
    permit = bundle.permit
    entries: tuple[Party | Person | Key, ...] = (
        *permit.parties,
        *permit.persons,
        *permit.keys,
    )
    found = tuple(entry.name for entry in entries if entry not in trusted)
    if not found:
        bundle.listed_in.append(trusted)
    return found


def voided_in(bundle: Bundle, trusted: Directory) -> tuple[str, ...]:
    """Return what was signed with a key after that list had revoked it, in words."""
    found = []
    for one in bundle.heard:
        at, delegation = one.notice.at, one.delegation
        try:
            trusted.key(one.notice.key).check_time(at)
            if delegation is not None:  # which bears whatever date its signer likes
                trusted.key(delegation.key).check_unrevoked(at)
        except BadSignature as error:
            found.append(f"{one.notice.by}'s notice does not count: {error.what}")
    return tuple(found)


def _unasked(bundle: Bundle, now: datetime.datetime) -> tuple[str, ...]:
    permit, day = bundle.permit, day_of_law(now)
    if day in bundle.asked_on:
        return ()
    found = tuple(
        f"the permit does not ask {need.role} on side {need.side}, as rule "
        f"{need.rule} demands"
        for need in requirements(permit.crossing, permit.sides, day)
        if (need.side, need.role) not in permit.offices
    )
    found += tuple(
        f"the permit asks no output check of {need.role} on side {need.side}, as rule "
        f"{need.rule} demands"
        for need in reviews(permit.crossing, permit.sides, day)
        if (need.side, need.role) not in permit.review_offices
    )
    if not found:
        bundle.asked_on.add(day)
    return found
