"""A study and the parties → a draft permit that nobody has approved yet."""

import datetime
from dataclasses import asdict, dataclass

from hetao.analysis import estimator_for, protocols
from hetao.errors import InvalidNetwork
from hetao.federation.grounds import Asked, Grounds, as_basis, grounds
from hetao.permit import (
    Bundle,
    Directory,
    Facts,
    Party,
    Permit,
    PermittedProtocol,
    Requirement,
    Rulebook,
    format_time,
    requirements,
    reviews,
)
from hetao.study import Study


@dataclass(frozen=True)
class Request:
    """What is known about a request, and the rules that it is held against."""

    facts: Facts
    book: Rulebook


def draft_permit(
    study: Study,
    trusted: Directory,
    now: datetime.datetime,
    days: int = 90,
    highest_grade: int = 3,
    request: Request | None = None,
) -> Bundle:
    """Return a draft permit for a study, with no approvals.

    Only the estimators that the study uses are listed, each by the hash of the code
    installed here; the keys of every party with a part in it are pinned.

    Args:
        study: what is asked.
        trusted: parties to choose from: the study's sites, hubs, one coordinator, and
            every approver and output checker whom the rulebook asks for.
        now: UTC time from which the permit is to hold.
        days: for how long.
        highest_grade: highest class (1-5) of what may leave a site.
        request: facts about it; without them only the rules that hold of any crossing
            of data are asked.

    Raises:
        InvalidNetwork: a site of the study, or an office, is not in the list.
        NotApproved: no rule covers such a crossing.
        InvalidFacts, RuleForbids, FactsMissing, BasisMissing: see `grounds`.
    """
    used = {
        estimator_for(study, analysis).name for analysis in study.analyses
    }  # also checks that every analysis can be planned
    sites = tuple(_site(trusted, name) for name in study.sites)
    hubs = trusted.of_role("hub")
    coordinators = trusted.of_role("coordinator")
    if len(hubs) != 2 or len(coordinators) != 1:
        raise InvalidNetwork("a permit needs two hubs and one coordinator")
    sides = {party.side for party in (*sites, *hubs)}
    start = now.replace(microsecond=0)
    end = start + datetime.timedelta(days=days)
    rests: Grounds | None = None
    if request is not None:
        theirs = tuple(party.side for party in sites)
        asks = Asked(theirs, tuple(sorted(sides)), highest_grade, start, end)
        rests = grounds(request.facts, request.book, asks)
    required = _both(
        requirements("data", sides, now.date()), rests.required if rests else ()
    )
    checks = _both(reviews("data", sides, now.date()), rests.reviews if rests else ())
    asked = (*required, *checks)
    approvers = tuple(
        party
        for party in trusted.parties
        if any((need.side, need.role) == (party.side, party.role) for need in asked)
    )
    for need in asked:
        if not any((p.side, p.role) == (need.side, need.role) for p in approvers):
            raise InvalidNetwork(
                f"no party holds the office {need.role} on side {need.side}",
                fix=f"rule {need.rule} asks for it; add its key to the parties",
            )
    return Bundle(
        Permit(
            number=f"{study.name}-{study.version}-{now:%Y%m%d}",
            crossing="data",
            study=study.digest,
            purpose=" ".join((study.question or study.title).split()),
            sites=study.sites,
            parties=(*sites, *hubs, *coordinators, *approvers),
            protocols=tuple(
                PermittedProtocol(**asdict(p)) for p in protocols() if p.name in used
            ),
            required=required,
            not_before=format_time(start),
            not_after=format_time(end),
            highest_grade=highest_grade,
            reviews=checks,
            bases=tuple(as_basis(b, start, end) for b in rests.bases) if rests else (),
            law=rests.law if rests else None,
        )
    )


def _both(
    always: tuple[Requirement, ...], here: tuple[Requirement, ...]
) -> tuple[Requirement, ...]:
    """Return each office once, though several rules ask for it."""
    found = {(need.side, need.role): need for need in (*here, *always)}
    return tuple(sorted(found.values()))


def _site(trusted: Directory, name: str) -> Party:
    party = trusted[name]
    if party.role != "site":
        raise InvalidNetwork(f"{name} is listed, but not as a site")
    return party
