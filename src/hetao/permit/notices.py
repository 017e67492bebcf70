"""What people say about a permit: approvals, suspensions, renewals, revocations.

A notice is a signed statement over the permit's digest. Each decision bears its
signer's own number, 1, 2, 3 …; a renewal bears the number of the last one and those of
everybody else that its signer had heard. Whoever leaves a decision out therefore
cannot show the renewals that came after it, and without a renewal the lease runs out.
"""

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from hetao.canonical import digest
from hetao.errors import BadSignature, InvalidNetwork, NotAParty, NotApproved
from hetao.permit.dates import parse_time
from hetao.permit.keys import Key, Statement, statement_from
from hetao.permit.permit import Permit
from hetao.permit.persons import AUTHOR, Person
from hetao.records import record

TYPE: Final = "hetao.notice/2"
DELEGATION: Final = "hetao.delegation/1"
VERBS: Final = (
    "approve",
    "refuse",
    "withdraw",
    "suspend",
    "resume",
    "vary",
    "warn",
    "revoke",
    "close",
    "amend",
    "recall",
    "renew",
)
GOING_ON: Final = ("resume", "renew")  # of what was approved
RENEWING: Final = ("approve", *GOING_ON)  # each also says: still so
AUTHORS_SAY: Final = ("close", "amend")  # of their own study; they grant nothing
VARIED: Final = (
    "highest_grade",
    "most_attempts",
    "most_runs",
    "lease_hours",
    "not_after",
)
WHOLE: Final = re.compile("0|[1-9][0-9]{0,8}")
LONGEST_REASON: Final = 2000  # characters


@dataclass(frozen=True)
class Delegation:
    """Somebody lets somebody else act in their office for a time.

    It is not handed on: who gives it must hold the office themselves.

    Attributes:
        by, key: who gives it, and the key that signs it.
        to: who may act.
        side, role: the office.
        not_before, not_after: UTC times; the last second is outside.
        at: UTC time of signing.
        permit: digest of the one permit that it is good for; "" for every one.
    """

    by: str
    key: str
    to: str
    side: str
    role: str
    not_before: str
    not_after: str
    at: str
    permit: str = ""


@dataclass(frozen=True)
class Notice:
    """One thing that somebody said about a permit.

    Attributes:
        verb: one of `VERBS`.
        permit: digest of the permit.
        by, key: who says it, and the key that signs it.
        side, role: in which office.
        sequence: number of this decision of theirs on this permit, from 1; of a
            renewal, the number of their last decision, 0 for none.
        at: UTC time of signing.
        reason: for readers; the condition or warning itself of a `vary` or `warn`.
        until: of a suspension: its end; "" until it is lifted.
        lifts: of a resumption: digests of the suspensions that it lifts.
        change: of a variation: field → its tighter value.
        heard: of a renewal or a recall: person → number of their last decision that
            was known.
        replaced_by: of an amendment: digest of the permit that takes this one's place.
        recalls: of a recall: digests of the delegations that it ends.
        read: of an approval: `Permit.read_conditions`, where there are conditions.
    """

    verb: str
    permit: str
    by: str
    key: str
    side: str
    role: str
    sequence: int
    at: str
    reason: str = ""
    until: str = ""
    lifts: tuple[str, ...] = ()
    change: dict[str, str] = field(default_factory=dict)
    heard: dict[str, int] = field(default_factory=dict)
    replaced_by: str = ""
    recalls: tuple[str, ...] = ()
    read: str = ""


@dataclass(frozen=True)
class Heard:
    """A notice whose signature, office and form were checked.

    Attributes:
        statement: as it was received.
        notice: what it says.
        holder: whose office it is: the signer, or who delegated it to them.
        delegation: under which the signer acted; None in an office of their own.
        lent: digest of that delegation, as a recall names it.
    """

    statement: Statement
    notice: Notice
    holder: str
    delegation: Delegation | None = None
    lent: str = ""

    @cached_property
    def digest(self) -> str:
        """Return the digest by which a resumption names a suspension."""
        return digest(self.statement.body)


def read_notice(permit: Permit, statement: Statement) -> Heard:
    """Return a notice about this permit, everything about it checked but its place.

    Raises:
        NotApproved: it is forged, of an unknown kind, about another permit, or said in
            an office that is not the signer's.
    """
    body = dict(statement.body)
    given = body.pop("delegation", None)
    if body.pop("type", None) != TYPE or body.get("verb") not in VERBS:
        raise NotApproved("a notice is of an unknown kind")
    notice = record(Notice, body, "a notice", NotApproved)
    key = _check_signed(permit, statement, (notice.key, notice.by, notice.at), "notice")
    if key.scope == "renew" and notice.verb != "renew":
        raise NotApproved(f"the key {key.name} can only renew")
    if notice.permit != permit.digest:
        raise NotApproved(f"{notice.by} signed another permit than this one")
    delegation, lent = None, ""
    if given is not None:
        delegation, lent = _delegated(permit, notice, given)
    holder = notice.by if delegation is None else delegation.by
    _check_office(permit, notice, holder)
    _check_words(permit, notice)  # of those alone who have a say
    if notice.verb == "approve" and notice.read != permit.read_conditions:
        raise NotApproved(
            f"{notice.by} does not say that they read the conditions of the bases"
        )
    return Heard(statement, notice, holder, delegation, lent)


def counting(heard: Iterable[Heard]) -> tuple[Heard, ...]:
    """Return the notices that count: all but those under a recalled delegation.

    Whoever gave a delegation ends it. What was said under it before counts; of what
    lets go on only what the giver had heard by then, so that it helps nobody to date
    an approval back.
    """
    said = tuple(heard)
    recalls = [one.notice for one in said if one.notice.recalls]
    return tuple(
        one for one in said if not any(_is_ended(one, recall) for recall in recalls)
    )


def _is_ended(one: Heard, recall: Notice) -> bool:
    if one.delegation is None or one.lent not in recall.recalls:
        return False
    if recall.by != one.delegation.by:
        return False  # it is not theirs
    known = recall.heard.get(one.notice.by, 0)
    unheard = one.notice.verb in RENEWING and one.notice.sequence > known
    return unheard or parse_time(one.notice.at) >= parse_time(recall.at)


def _check_signed(
    permit: Permit, statement: Statement, signed: tuple[str, str, str], what: str
) -> Key:
    """Return the key that signed a statement, by its name, its owner and the time."""
    name, by, at = signed
    try:
        key = permit.directory.key(name)
        statement.verify_key(key, at)
    except (BadSignature, InvalidNetwork) as error:
        raise NotApproved(f"a {what} is forged: {error.what}") from error
    if key.owner != by:
        raise NotApproved(f"a {what} is forged: the key is not {by[:60]}'s")
    return key


def _check_words(permit: Permit, notice: Notice) -> None:
    """Each verb bears its own fields and no others."""
    least = 0 if notice.verb == "renew" else 1
    if notice.sequence < least or len(notice.reason) > LONGEST_REASON:
        raise NotApproved("a notice has no number, or its reason is too long")
    own = {
        "until": "suspend",
        "lifts": "resume",
        "change": "vary",
        "heard": "renew recall",
        "replaced_by": "amend",
        "recalls": "recall",
        "read": "approve",
    }
    for name, verbs in own.items():
        if getattr(notice, name) and notice.verb not in verbs.split():
            raise NotApproved(f"a notice that says {notice.verb!r} has no {name}")
    if notice.verb == "amend" and not notice.replaced_by:
        raise NotApproved("an amendment names the permit that takes this one's place")
    if notice.verb == "recall" and not notice.recalls:
        raise NotApproved("a recall names the delegations that it ends")
    if notice.verb == "warn" and not notice.reason:
        raise NotApproved("a warning says what it warns of")
    if notice.verb == "vary" and not (notice.change or notice.reason):
        raise NotApproved("a variation says what it varies")
    if notice.until:
        _time(notice.until)
    if not set(notice.heard) <= {person.name for person in permit.persons}:
        raise NotApproved("a renewal heard of somebody who has no part in the permit")
    tightened(permit, notice.change)


def _time(text: str) -> datetime.datetime:
    try:
        return parse_time(text)
    except InvalidNetwork as error:
        raise NotApproved(f"a notice is malformed: {error.what}") from error


def tightened(permit: Permit, change: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a variation, each no looser than the permit's.

    Raises:
        NotApproved: a field is not one that may be varied, or it would be loosened:
            that takes an amendment, with new approvals.
    """
    found: dict[str, Any] = {}
    for name, text in change.items():
        if name not in VARIED:
            raise NotApproved(f"{name[:60]!r} cannot be varied; amend the permit")
        if name == "not_after":
            looser = _time(text) > parse_time(permit.not_after)
            found[name] = text
        else:
            if not WHOLE.fullmatch(text):
                raise NotApproved(f"a variation of {name} is not a whole number")
            found[name] = int(text)
            looser = not 1 <= found[name] <= getattr(permit, name)
        if looser:
            raise NotApproved(f"a variation of {name} may only tighten; amend instead")
    return found


def read_delegation(permit: Permit, statement: Statement) -> Delegation:
    """Return a delegation whose signature, office and form hold under this permit.

    Whether it was in force when it was used is not looked at.

    Raises:
        NotApproved: it does not hold.
    """
    body = dict(statement.body)
    if body.pop("type", None) != DELEGATION:
        raise NotApproved("a delegation is of an unknown kind")
    found = record(Delegation, body, "a delegation", NotApproved)
    key = _check_signed(
        permit, statement, (found.key, found.by, found.at), "delegation"
    )
    if key.scope != "any":
        raise NotApproved(f"the key {found.key} can only renew")
    if found.permit not in ("", permit.digest):
        raise NotApproved("a delegation is for another permit")
    giver, taker = _person(permit, found.by), _person(permit, found.to)
    if taker.side != found.side:
        raise NotApproved("an office is delegated to somebody of its own side")
    holds = giver.side == found.side and found.role in giver.roles
    if not holds or (found.side, found.role) not in permit.offices:
        raise NotApproved(f"{found.by} lends an office that is not theirs")
    if not _time(found.not_before) < _time(found.not_after):
        raise NotApproved("a delegation is never in force")
    return found


def _person(permit: Permit, name: str) -> Person:
    try:
        return permit.directory.person(name)
    except InvalidNetwork as error:
        raise NotApproved(f"{name[:60]} has no part in the permit") from error


def _delegated(permit: Permit, notice: Notice, given: object) -> tuple[Delegation, str]:
    """Return the delegation that a notice was signed under, and its digest."""
    try:
        statement = statement_from(given)
    except BadSignature as error:
        raise NotApproved(f"a delegation is forged: {error.what}") from error
    found = read_delegation(permit, statement)
    try:  # whoever stole a key dates a delegation as they like: the notice's time rules
        permit.directory.key(found.key).check_unrevoked(notice.at)
    except BadSignature as error:
        raise NotApproved(f"a delegation is void: {error.what}") from error
    begin, end, when = map(_time, (found.not_before, found.not_after, notice.at))
    if not begin <= when < end or _time(found.at) > when:
        raise NotApproved("a delegation was not in force at that time")
    if found.to != notice.by or (found.side, found.role) != (notice.side, notice.role):
        raise NotApproved("a delegation is for somebody else, or another office")
    return found, digest(statement.body)


def _check_office(permit: Permit, notice: Notice, holder: str) -> None:
    """Everybody speaks in an office that is theirs, and that the permit asks."""
    person = permit.directory.person(holder)
    if notice.role == AUTHOR:
        fits = holder in permit.authors and notice.verb in AUTHORS_SAY
        fits = fits and holder == notice.by and notice.side == person.side
    else:
        fits = (notice.side, notice.role) in permit.offices
        fits = fits and notice.side == person.side and notice.role in person.roles
    if not fits:
        raise NotApproved(f"{notice.by} signed in an office that is not theirs")


def office_of(permit: Permit, person: str, verb: str) -> tuple[str, str]:
    """Return (side, role) in which somebody may say this; their first, if several.

    Raises:
        NotAParty: there is none.
    """
    found = permit.directory.person(person)
    for need in permit.required:
        if need.side == found.side and need.role in found.roles:
            return need.side, need.role
    if person in permit.authors and verb in AUTHORS_SAY:
        return found.side, AUTHOR
    raise NotAParty(
        "this key belongs to nobody whom the permit asks",
        fix="sign with a key of an office that the permit lists",
    )
