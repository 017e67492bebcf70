"""The life of a permit, worked out from what was signed: one pure function.

    draft ─► approved ─► active ⇄ suspended ─► closed, expired, revoked, refused

Site, hub, coordinator and verifier all ask `standing`. It looks at notices as a set:
their order in a file decides nothing, an old one said again changes nothing, and one
that is left out is missed. Of several ends the gravest is told.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hetao.errors import HetaoError, NotApproved
from hetao.permit.bundle import Bundle, last_decisions
from hetao.permit.dates import SKEW, format_time, parse_time
from hetao.permit.duties import (
    LEAST_PEOPLE,
    Approval,
    approvals_in,
    conflicts,
    going_on,
    people_behind,
)
from hetao.permit.keys import Statement
from hetao.permit.notices import (
    GOING_ON,
    RENEWING,
    Heard,
    Notice,
    counting,
    read_notice,
)
from hetao.permit.permit import Permit
from hetao.permit.persons import People
from hetao.permit.rulebook import Requirement

STATES: Final = (
    "draft",
    "approved",
    "active",
    "suspended",
    "closed",
    "expired",
    "revoked",
    "refused",
)
FINAL: Final = ("closed", "expired", "revoked", "refused")
REVOKING: Final = ("revoke", "withdraw")


@dataclass(frozen=True)
class Standing:
    """How a permit stands at a moment.

    Attributes:
        state: one of `STATES`; only "active" lets anything cross.
        why: what keeps it from being active, in words; empty if it is.
        approvals: those that count.
        missing: offices whose approval is not there.
        conflicts: duties that one person would hold.
        leases: side → until when its last renewal holds.
        warnings: what offices warned of, and conditions that they set, in words.
        terms: the permit with every variation; what a gate goes by.
        report_due: last moment for the report of what has ended; "" before.
        replaced_by: digest of the permit that took this one's place; "" for none.
    """

    state: str
    why: tuple[str, ...]
    approvals: tuple[Approval, ...]
    missing: tuple[Requirement, ...]
    conflicts: tuple[str, ...]
    leases: dict[str, str]
    warnings: tuple[str, ...]
    terms: Permit
    report_due: str = ""
    replaced_by: str = ""

    @property
    def is_active(self) -> bool:
        """Return whether anything may cross."""
        return self.state == "active"

    @property
    def is_final(self) -> bool:
        """Return whether nothing can make it active any more."""
        return self.state in FINAL


def standing(
    bundle: Bundle, now: datetime.datetime, people: People | None = None
) -> Standing:
    """Return how a permit stands at `now`, from its verified notices alone.

    What stops is heeded as soon as it is known, whatever its date; what lets go on
    only from its own date, give or take five minutes between clocks.

    Args:
        bundle: permit and notices.
        now: UTC time.
        people: who is one person, by the asker's own list; by default the permit's.

    Raises:
        NotApproved: a notice is forged, or one was left out or said in two ways.
    """
    check_complete(bundle)
    permit, heard = bundle.permit, bundle.counting
    counted = [one for one in heard if parse_time(one.notice.at) <= now + SKEW]
    terms = bundle.terms
    approvals = approvals_in(counted)
    filled = {approval.office for approval in approvals}
    missing = tuple(n for n in permit.required if (n.side, n.role) not in filled)
    clashes = conflicts(permit, approvals, people)
    if not missing and people_behind(permit, approvals, people) < LEAST_PEOPLE:
        clashes = (*clashes, f"fewer than {LEAST_PEOPLE} people approve")
    if not missing and {a.side for a in approvals} < set(permit.sides):
        clashes = (*clashes, "a side that takes part does not approve")
    others = [one for one in counted if one.notice.verb not in GOING_ON]
    counted = [*others, *going_on(permit, counted, people)]
    leases = _leases(terms, counted)
    state, why = _state(
        terms,
        heard,
        now,
        (_words(missing, clashes), _open(heard, counted, now)),
        leases,
    )
    ends = [one.notice for one in heard if one.notice.verb in ("close", "amend")]
    ended = min((n.at for n in ends), default=terms.not_after)
    due = parse_time(ended) + datetime.timedelta(days=permit.report_days)
    return Standing(
        state=state,
        why=why,
        approvals=approvals,
        missing=missing,
        conflicts=clashes,
        leases={side: format_time(until) for side, until in leases.items()},
        warnings=tuple(
            f"{n.by} ({n.role}, {n.side}): {n.reason}"
            for one in heard
            if (n := one.notice).verb in ("warn", "vary") and n.reason
        ),
        terms=terms,
        report_due=format_time(due) if state in ("closed", "expired") else "",
        replaced_by=next((n.replaced_by for n in ends if n.replaced_by), ""),
    )


def is_revoked(bundle: Bundle) -> bool:
    """Return whether somebody who may has revoked a permit, or withdrawn from it.

    One notice is enough, whatever else is said, forged or left out beside it: what is
    kept for the permit is to be destroyed even where `standing` cannot be told.
    """
    held = (_read(bundle.permit, one) for one in bundle.notices)
    said = counting(one for one in held if one is not None)
    return any(one.notice.verb in REVOKING for one in said)


def _read(permit: Permit, statement: Statement) -> Heard | None:
    """Return a notice that holds; None for one that does not."""
    if statement.body.get("verb") not in (*REVOKING, "recall"):
        return None  # no other has a say in this
    try:
        return read_notice(permit, statement)
    except (HetaoError, ValueError):
        return None


def check_complete(bundle: Bundle) -> None:
    """Return quietly if nobody's decision was left out, or said in two ways.

    Raises:
        NotApproved: one was.
    """
    decisions: dict[str, dict[int, Notice]] = {}
    for one in bundle.heard:
        notice = one.notice
        if notice.verb != "renew":
            said = decisions.setdefault(notice.by, {})
            if said.setdefault(notice.sequence, notice) != notice:
                raise NotApproved(f"{notice.by} said two things under one number")
    for name, said in decisions.items():
        numbers = sorted(said)
        if numbers != list(range(1, len(said) + 1)):
            raise NotApproved(f"a notice of {name} was left out")
        times = [said[number].at for number in numbers]
        if times != sorted(times):
            raise NotApproved(f"the notices of {name} are dated out of their order")
    _check_heard(bundle)


def _check_heard(bundle: Bundle) -> None:
    """Refuse where a renewal or recall had heard of a decision that is not here."""
    known = last_decisions(bundle)
    for one in bundle.heard:
        if one.notice.verb == "renew" or one.notice.heard:
            heard = {**one.notice.heard, one.notice.by: one.notice.sequence}
            for name, number in heard.items():
                if number > known.get(name, 0):
                    raise NotApproved(f"a notice of {name[:60]} was left out")


def _words(missing: Sequence[Requirement], clashes: Sequence[str]) -> tuple[str, ...]:
    lacks = [
        f"the approval of {need.role} on side {need.side} is missing"
        for need in missing
    ]
    return (*lacks, *clashes)


def _open(
    heard: Sequence[Heard], counted: Sequence[Heard], now: datetime.datetime
) -> tuple[str, ...]:
    """Return, in words, the suspensions that nobody has lifted and that go on."""
    lifted: dict[str, set[tuple[str, str]]] = {}
    for one in counted:
        for digest in one.notice.lifts:
            office = (one.notice.side, one.notice.role)
            lifted.setdefault(digest, set()).add(office)
    return tuple(
        f"{n.by} said 'suspend' to this permit"
        for one in heard
        if (n := one.notice).verb == "suspend"
        and (n.side, n.role) not in lifted.get(one.digest, ())
        and not (n.until and parse_time(n.until) <= now)
    )


def _leases(terms: Permit, counted: Sequence[Heard]) -> dict[str, datetime.datetime]:
    """Return side → until when its last renewal holds."""
    last: dict[str, datetime.datetime] = {}
    for one in counted:
        notice = one.notice
        if notice.verb in RENEWING:
            until = parse_time(notice.at) + terms.lease
            last[notice.side] = max(until, last.get(notice.side, until))
    return last


def _state(
    terms: Permit,
    heard: Sequence[Heard],
    now: datetime.datetime,
    stops: tuple[tuple[str, ...], tuple[str, ...]],
    leases: dict[str, datetime.datetime],
) -> tuple[str, tuple[str, ...]]:
    ended = _end(terms, heard, now)
    if ended is not None:
        return ended
    lacks, suspended = stops
    lapsed = tuple(
        f"side {side} has not renewed within {terms.lease_hours} hours"
        for side in terms.sides
        if not (side in leases and now < leases[side])
    )
    if lacks:
        return "draft", lacks
    if suspended:
        return "suspended", suspended
    if now < parse_time(terms.not_before):
        return "approved", ("the permit is not in force yet",)
    return ("suspended", lapsed) if lapsed else ("active", ())


def _end(
    terms: Permit, heard: Sequence[Heard], now: datetime.datetime
) -> tuple[str, tuple[str, ...]] | None:
    """Return the final state that a permit has come to, and why; None before."""
    for state, verbs in (
        ("revoked", REVOKING),
        ("refused", ("refuse",)),
        ("closed", ("close", "amend")),
    ):
        said = [one.notice for one in heard if one.notice.verb in verbs]
        if said:
            return state, tuple(f"{n.by} said {n.verb!r} to this permit" for n in said)
    if now >= parse_time(terms.not_after):
        return "expired", ("the permit has ended",)
    return None
