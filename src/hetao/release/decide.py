"""The one door out of a site: grade, check, seal, record; or refuse.

Every byte that leaves a site is made here, under a permit that the site verified
itself. The rules run in this order, and the first that fails is the refusal:

     1  the permit stands, now, by the site's own list of parties
     2  the site, the recipients and the study are the permit's
     3  the protocol is listed: name, version, hash, round, attempt
     4  people enough, before anything else is said that their values decide
     5  the members of the sum are the permit's, and enough of them
     6  names, shapes and types are the declared ones
     7  every value is finite and lies within its declared bound
     8  minimum counts: cells, events, parameters, leverage; room, as it was reserved
     9  the class of the release is within the permit's and the policy's, and neither
        genes nor a limited use forbid it
    10  seal to each hub, sign, record
"""

import datetime
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hetao.analysis import Evidence, Protocol, Sum
from hetao.canonical import digest
from hetao.errors import (
    NotAParty,
    NotApproved,
    NotFinite,
    OutOfBounds,
    SmallCell,
    TooFewSites,
    UngradedRelease,
    UnlistedProtocol,
    WrongShape,
    WrongStudy,
)
from hetao.ledger.envelope import Envelope, Header, seal
from hetao.ledger.sealed_counts import NAME as SEALED_COUNT
from hetao.ledger.sealed_counts import PEOPLE, SITES, task_of
from hetao.permit import (
    Bundle,
    Directory,
    Identity,
    Party,
    Payload,
    Statement,
    check_standing,
    format_time,
    state,
)
from hetao.permit.grades import Grade
from hetao.release.binding import Binding
from hetao.release.concepts import check_concepts
from hetao.release.differencing import Budget, check_room
from hetao.release.grading import Field, grade, lineage, with_read
from hetao.release.limits import check_limits, flags_of
from hetao.release.lists import check_agrees, summed
from hetao.release.message import pack
from hetao.release.minimums import (
    check_combinations,
    check_counted,
    check_counts,
    check_dominance,
    check_folds,
    check_numbers,
    check_pairs,
    check_together,
    is_small,
    may_be_alone,
)
from hetao.release.policy import Policy, check_people
from hetao.release.record import (
    CHECKS_OF_NOTICE,
    TYPE,
    Check,
    band,
    check_notice,
    checks_of_counts,
    checks_of_sum,
    class_of,
    law,
    passed,
)
from hetao.release.seal import encode, split
from hetao.release.tag import split_tag, tag_of, tag_text
from hetao.study import Minimum, Study

SEALED, OWN, NOTICE = "model_update_secagg", "model_update", "notice"  # kinds
ROUNDING: Final = 1e-6  # slack on declared bounds, relative


@dataclass(frozen=True)
class Door:
    """What the site itself knows for certain when something asks to leave.

    `trusted` is the site's own list of parties; `bundle` is verified at each use;
    `snapshot` is the digest of the data that the answers come from; `read` is every
    `table.field` that was really read of them, whatever the study says it reads;
    `without_genes` are those that the dictionary does not know, and of which the site
    says that they tell of no genes; `rulebook` is the digest of the one in force here,
    "" of the shipped one.
    """

    identity: Identity
    trusted: Directory
    bundle: Bundle
    study: Study
    policy: Policy
    snapshot: str = ""
    read: tuple[str, ...] = ()
    without_genes: tuple[str, ...] = ()
    rulebook: str = ""


@dataclass(frozen=True)
class ClosedDoor:
    """A site that was asked something it holds no permit for: it can only refuse."""

    identity: Identity
    trusted: Directory
    rulebook: str = ""


@dataclass(frozen=True)
class Place:
    """Where in the study's course a message belongs; becomes the envelope's header.

    `study` and `permit` are the digests that the asking envelope named.
    """

    study: str
    permit: str
    run: str
    task: str
    not_after: str
    analysis: str = ""
    attempt: int = 0
    round: int = 0
    previous: str = ""
    head: str = ""


@dataclass(frozen=True)
class Summary:
    """One site's part of a sum, with the facts that decide whether it may leave.

    Attributes:
        protocol: the estimator that made it.
        publishable: whether a site's own part may be shown by itself.
        own_cells: whether each cell at this site must reach the minimum by itself,
            however many sites are in the sum.
        in_a_cell: how many people each must then hold, where more than the minimum.
        declared: the shapes and bounds that the estimator promised.
        arrays: the values, one array for each declaration.
        evidence: counts behind the values; never leaves the site.
        members: the sites of this sum, frozen.
        key: of the tags by which a changed sum is found out.
        own_parts: whether the sum tells each site's part apart.
        own_totals: whether it tells what everybody of a site adds up to.
        numbers: that a round tells about all its people, of `numbers_of`; None where
            they follow from the parameters.
        budget: of what the site reserved for it; None where it did not: none leaves.
        binding: to what it was made of and what went before; None binds it to nothing.
        needs_count: whether a sealed count of people must have gone before it.
        counted: below how many people that count looked for; None where there is none.
        needs_sites: whether its numbers may differ within few sites alone, so that it
            tells their own parts unless a sealed count of sites says otherwise.
        sites_counted: below how many sites that count looked, and whether some number
            differs within so few alone; None where there is none.
        counts: what it counts, where it is a sealed count itself.
        together: how few people its numbers single out with those of other analyses of
            the study; None where nothing of it was to be looked at so.
    """

    protocol: Protocol
    publishable: bool
    declared: Mapping[str, Sum]
    arrays: Mapping[str, NDArray[np.float64]]
    evidence: Evidence
    members: tuple[str, ...]
    key: bytes
    own_cells: bool = False
    in_a_cell: int = 0
    own_parts: bool = False
    own_totals: bool = False
    numbers: int | None = None
    budget: Budget | None = None
    binding: Binding | None = None
    needs_count: bool = False
    counted: int | None = None
    needs_sites: bool = False
    sites_counted: tuple[int, bool] | None = None
    counts: str = PEOPLE
    together: int | None = None

    def alone(self, minimum: Minimum) -> int | None:
        """Return how many people a cell here must hold; None where not by itself."""
        return max(minimum.cell, self.in_a_cell) if self.own_cells else None


@dataclass(frozen=True)
class Notice:
    """A short message of fixed fields that carries no sum: ready, closing, refusal."""

    kind: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Release:
    """What may leave: sealed envelopes, and the signed record that the log keeps."""

    envelopes: tuple[Envelope, ...]
    record: Statement


def decide(
    outgoing: Summary | Notice,
    door: Door | ClosedDoor,
    place: Place,
    now: datetime.datetime,
    random: Callable[[int], bytes] = os.urandom,
) -> Release:
    """Return the sealed release, or refuse.

    Args:
        outgoing: what asks to leave.
        door: the site's own permit, keys and policy.
        place: where in the run it belongs.
        now: UTC time.
        random: source of the secret seed of the shares.

    Raises:
        Refused: a rule says no; the error names the rule and the remedy. What only
            the site may know stands in `error.local`.
    """
    if isinstance(outgoing, Notice) and outgoing.kind == "refusal":
        # A refusal must get out even where the permit is what is wrong; it goes to
        # the coordinator of the site's own list and holds a code and a rule only.
        coordinator = door.trusted.of_role("coordinator")[0]
        return _send_notice(outgoing, door, place, coordinator, now)
    if isinstance(door, ClosedDoor):
        raise NotApproved("no permit has reached this site")
    _check_permit(door, place, now)  # 1, 2
    if isinstance(outgoing, Notice):
        _check_grade(_notice_grade().released, door, door.policy)  # 9
        coordinator = door.bundle.permit.coordinator
        return _send_notice(outgoing, door, place, coordinator, now)
    policy = door.policy.tightened(door.study.minimum)
    _check_protocol(outgoing, door, place)  # 3
    check_people(policy.minimum, door.identity.name, outgoing.evidence.people)  # 4
    check_folds(outgoing.evidence, policy.minimum, door.identity.name)
    _check_members(outgoing, door, policy.minimum)  # 5
    vector = check_values(outgoing)  # 6, 7
    _check_facts(outgoing, door, place.round, policy)  # 8
    check_room(outgoing.budget, door.identity.name)
    graded = _graded(outgoing, door, place, policy)  # 9
    _check_payload(graded, door, now)
    return _send_sum(outgoing, vector, door, (place, policy, graded), now, random)  # 10


def _check_permit(door: Door, place: Place, now: datetime.datetime) -> None:
    check_standing(door.bundle, door.study.digest, now, door.trusted)
    if (place.study, place.permit) != (door.study.digest, door.bundle.permit.digest):
        raise WrongStudy("what was asked is for another study or permit")
    permit, name = door.bundle.permit, door.identity.name
    if name not in permit.sites or name not in door.study.sites:
        raise NotAParty(f"{name} is not a site of this permit and study")
    if permit.directory[name].sign != door.identity.sign_public:
        raise NotAParty(f"{name} signs with another key than the permit pins")
    if place.attempt > door.bundle.terms.most_attempts:
        raise UnlistedProtocol("the analysis was started over too often")
    check_agrees(name, door.policy.told_apart, door.study)


def _check_protocol(summary: Summary, door: Door, place: Place) -> None:
    protocol = summary.protocol
    listed = door.bundle.permit.protocol(protocol.name)
    installed = (protocol.version, protocol.hash)
    if listed is None or (listed.version, listed.hash) != installed:
        raise UnlistedProtocol(
            f"the permit does not list {protocol.name} as it is installed here",
            fix="install the version that was approved, or ask for a new permit",
        )
    if not 0 <= place.round < listed.most_rounds:
        raise UnlistedProtocol(f"{protocol.name} has run its approved rounds")
    # A site answers a task once. If a task could bear any name, one round could be
    # asked for again and again, at other states and over other members.
    if place.attempt < 1 or place.task != _named(summary, place):
        raise UnlistedProtocol(
            "the task's name does not say its analysis, attempt and round"
        )


def _named(summary: Summary, place: Place) -> str:
    if summary.protocol.name == SEALED_COUNT:
        return task_of(place.analysis, place.attempt, summary.counts)
    return f"{place.analysis}/{place.attempt}/{place.round}"


def _check_members(summary: Summary, door: Door, minimum: Minimum) -> None:
    members, permit = summary.members, door.bundle.permit
    if door.identity.name not in members or len(set(members)) != len(members):
        raise NotAParty("the sum's member list does not name this site once")
    if not set(members) <= set(permit.sites):
        raise NotAParty("the sum's member list names a site outside the permit")
    if set(members) != set(permit.sites) and door.study.on_lost_site != "continue":
        raise TooFewSites("the study does not allow a sum without all its sites")
    if len(members) < min(minimum.sites, len(permit.sites)):
        raise TooFewSites(
            f"a sum without all sites of the study needs {minimum.sites} of them"
        )
    cells = summary.evidence.cells.values()
    is_thin = any(is_small(count, minimum.cell) for count in cells)
    least = summary.alone(minimum)
    if least is not None and any(is_small(count, least) for count in cells):
        raise SmallCell(
            f"{door.identity.name} holds fewer than {least} people in a cell of "
            f"{summary.protocol.name}, whose sums could show them one by one",
            fix="stratify the model by site, coarsen the grid of times, or use fewer "
            "terms",
        )
    is_own = _is_own_part(summary, minimum) or _is_apart(summary, door, minimum)
    if summary.publishable or not is_own:
        return
    bins = summary.evidence.bins.values()
    if is_thin or any(is_small(count, minimum.cell) for count in bins):
        raise TooFewSites(
            f"{summary.protocol.name} over fewer than {minimum.sites} sites, or over "
            "one that may be told apart or tell its own part, could show one site's "
            "small cells",
            fix="add sites, or coarsen the table until every cell is large enough",
        )


def check_values(summary: Summary) -> NDArray[np.float64]:
    """Return the declared arrays as one vector (n + 1,), the last word a one.

    Raises:
        WrongShape: a name, shape or type is not the declared one.
        NotFinite: a value is NaN or infinite.
        OutOfBounds: a value lies beyond its declared bound for this many people.
    """
    people = summary.evidence.people
    if list(summary.arrays) != list(summary.declared):
        raise WrongShape("the arrays are not the declared ones, in their order")
    pairs = [(n, summary.arrays[n], item) for n, item in summary.declared.items()]
    for name, array, declared in pairs:
        if array.shape != declared.shape or array.dtype != np.float64:
            raise WrongShape(f"array {name!r} has another shape or type than declared")
    for name, array, _ in pairs:
        if not np.isfinite(array).all():
            raise NotFinite(f"array {name!r} holds NaN or infinity")
    for name, array, declared in pairs:
        bound = declared.per_person * people * (1 + ROUNDING)
        low = -bound if declared.low is None else declared.low - ROUNDING
        if np.any(array > bound) or np.any(array < low):
            raise OutOfBounds(f"array {name!r} lies beyond its declared bound")
    parts = [np.ravel(array) for array in summary.arrays.values()]
    return np.concatenate([*parts, np.ones(1)])


def _check_facts(summary: Summary, door: Door, at: int, policy: Policy) -> None:
    facts, minimum, name = summary.evidence, policy.minimum, door.identity.name
    if summary.needs_count and minimum.cell > 1:
        check_counted(summary.counted, minimum, name)
    check_counts(facts, minimum, name)
    check_together(summary.together, minimum, name)
    alone = _tells_apart(summary, door, minimum)
    counted = minimum.cell if summary.protocol.name == SEALED_COUNT else summary.counted
    check_pairs(facts, minimum, name, counted, alone=alone)
    for part in facts.parts:
        check_counts(part, minimum, f"{name}, in a fold,")
    if (apart := _dominance(summary, door, minimum)) is not None:
        check_dominance(apart, policy.dominance, name)
    listed = door.bundle.permit.protocol(summary.protocol.name)
    if listed is None or summary.numbers == 0:
        return
    rounds = (at, listed.most_rounds)
    if minimum.cell > 1 and alone:
        check_combinations(facts, rounds, minimum, name)
    check_numbers(facts, rounds, minimum, name, summary.numbers)


def _dominance(summary: Summary, door: Door, minimum: Minimum) -> Evidence | None:
    """Return the sums of this site's people that may be read by themselves, or None."""
    facts = summary.evidence
    if minimum.cell > 1 and (_tells_apart(summary, door, minimum) or summary.own_cells):
        return facts
    if minimum.cell > 1 and summary.own_totals and facts.totals:
        return replace(facts, magnitudes=facts.totals, parts=())
    return None


def _tells_apart(summary: Summary, door: Door, minimum: Minimum) -> bool:
    """Return whether a sum, or this one beside others, may show one site's own part."""
    is_own = summary.own_parts or _is_own_part(summary, minimum)
    return is_own or _is_apart(summary, door, minimum)


def _is_own_part(summary: Summary, minimum: Minimum) -> bool:
    """Return whether a model's numbers make a sum this site's own part, or may."""
    is_few = may_be_alone(summary.sites_counted, minimum)
    return summary.needs_sites and (is_few or (summary.own_parts and minimum.sites > 1))


def _is_apart(summary: Summary, door: Door, minimum: Minimum) -> bool:
    what = (door.study, summary.members, minimum.sites)
    return door.identity.name in summed(*what, publishable=summary.publishable).apart


@dataclass(frozen=True)
class _Graded:
    """The class of a sum, what it was made of, its checks, and what to beware of."""

    grade: Grade
    fields: tuple[Field, ...]
    checks: tuple[Check, ...]
    flags: tuple[str, ...]


def _graded(summary: Summary, door: Door, place: Place, policy: Policy) -> _Graded:
    """Return the class of a sum; refuse one that may not leave."""
    sealed = not _tells_apart(summary, door, policy.minimum)
    checks = checks_of_sum(
        summary.evidence,
        policy,
        sealed=sealed,
        alone=summary.alone(policy.minimum),
        dominance=_dominance(summary, door, policy.minimum) is not None,
        counted=checks_of_counts(summary.counted, summary.sites_counted),
    )
    study = door.study
    fields = with_read(lineage(study, study.analysis(place.analysis)), study, door.read)
    graded = grade(SEALED if sealed else OWN, fields, passed(checks))
    _check_grade(graded.released, door, policy)
    flags = flags_of(study, fields, summary.evidence.people, door.without_genes)
    permit, name = door.bundle.permit, door.identity.name
    check_limits(name, permit, fields, flags, policy.limits)
    return _Graded(graded, fields, checks, flags)


def _check_payload(graded: _Graded, door: Door, now: datetime.datetime) -> None:
    """Ask the permit's own table of this sum, with the checks that it asks for."""
    name, checks = door.identity.name, passed(graded.checks)
    payload = Payload(graded.grade.kind, name, graded.grade.released, checks)
    check_standing(door.bundle, door.study.digest, now, door.trusted, payload)


def _notice_grade() -> Grade:
    return grade(NOTICE, (), passed(CHECKS_OF_NOTICE))


def _check_grade(grade: int, door: Door, policy: Policy) -> None:
    if grade > min(door.bundle.terms.highest_grade, policy.highest_grade):
        raise UngradedRelease(
            f"a release of class {grade} may not leave under this permit and policy",
            fix="take more sites into the sum, or ask for a permit of that class",
        )


# --- sealing and recording ---------------------------------------------------------
def _header(site: str, place: Place, kind: str, grade: int) -> Header:
    return Header(
        study=place.study,
        permit=place.permit,
        run=place.run,
        task=place.task,
        kind=kind,
        sender=site,
        recipient="",
        not_after=place.not_after,
        grade=grade,
        analysis=place.analysis,
        attempt=place.attempt,
        round=place.round,
        previous=place.previous,
        head=place.head,
    )


def _record(
    door: Door | ClosedDoor,
    place: Place,
    kind: str,
    class_: Mapping[str, Any],
    now: datetime.datetime,
) -> dict[str, Any]:
    return {
        "type": TYPE,
        "site": door.identity.name,
        "study": place.study,
        "permit": place.permit,
        "run": place.run,
        "task": place.task,
        "analysis": place.analysis,
        "attempt": place.attempt,
        "round": place.round,
        "kind": kind,
        "at": format_time(now),
        **class_,
        **law(door.rulebook),
    }


def _send_sum(
    summary: Summary,
    vector: NDArray[np.float64],
    door: Door,
    chosen: tuple[Place, Policy, _Graded],
    now: datetime.datetime,
    random: Callable[[int], bytes],
) -> Release:
    place, policy, graded = chosen
    permit = door.bundle.permit
    words = encode(vector, len(summary.members))
    tag = tag_of(words, summary.key, summary.members, door.identity.name)
    seed, rest = split(words, random)
    header = replace(
        _header(door.identity.name, place, "share", graded.grade.released),
        protocol=summary.protocol.name,
        version=summary.protocol.version,
    )
    # The hub adds this share to those of the very same members and to no others.
    meta: dict[str, Any] = {"members": list(summary.members)}
    if summary.protocol.name == SEALED_COUNT:  # no hub may take it for a sum to open
        minimum, is_sites = policy.minimum, summary.counts == SITES
        least = minimum.sites if is_sites else minimum.cell
        meta |= {"counted": len(vector), "cell": least}
    else:
        meta["values"] = len(vector)
    first, second = (permit.directory[hub] for hub in permit.hubs)
    of_rest = tag_text(split_tag(tag, seed, words.size))
    contents = (
        pack({**meta, "seed": seed.hex()}),
        pack({**meta, "tag": of_rest}, {"words": rest}),
    )
    shares = tuple(
        seal(door.identity, hub, header, content)
        for hub, content in zip((first, second), contents, strict=True)
    )
    class_ = class_of(graded.grade, graded.fields, graded.checks)
    record = state(
        door.identity,
        {
            **_record(door, place, "sum", class_, now),
            "protocol": f"{summary.protocol.name}/{summary.protocol.version}",
            "protocol_hash": summary.protocol.hash,
            "values": len(vector) - 1,
            "members": list(summary.members),
            "key": summary.key.hex(),
            "policy": policy.as_json(),
            "snapshot": door.snapshot,
            "people": band(summary.evidence.people),
            "flags": list(graded.flags),
            "budget": summary.budget.as_json() if summary.budget else {},
            "shares": {s.header.recipient: s.digest for s in shares},
            "bytes": sum(len(s.data) for s in shares),
            **(summary.binding.as_json(words) if summary.binding else {}),
        },
    )
    receipt = seal(
        door.identity,
        permit.coordinator,
        replace(header, kind="receipt"),
        pack(record.as_json()),
    )
    return Release((*shares, receipt), record)


def _send_notice(
    notice: Notice,
    door: Door | ClosedDoor,
    place: Place,
    coordinator: Party,
    now: datetime.datetime,
) -> Release:
    check_notice(notice.kind, notice.body, door.identity)
    if "concepts" in notice.body:
        sets = door.study.concepts if isinstance(door, Door) else ()
        check_concepts(notice.body["concepts"], [one.name for one in sets])
    site = door.identity.name
    graded = _notice_grade()
    header = _header(site, place, notice.kind, graded.released)
    content = {**notice.body, "site": site}
    class_ = class_of(graded, (), CHECKS_OF_NOTICE)
    body = _record(door, place, notice.kind, class_, now)
    record = state(door.identity, {**body, "content": digest(content)})
    # The record travels too: a certificate shows what the site itself signed.
    payload = pack({**content, "record": record.as_json()})
    envelope = seal(door.identity, coordinator, header, payload)
    return Release((envelope,), record)
