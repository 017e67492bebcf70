"""A study and the parties → a draft permit that nobody has approved yet."""

import datetime
from dataclasses import asdict

from hetao.analysis import estimator_for, protocols
from hetao.errors import InvalidNetwork
from hetao.permit import (
    Bundle,
    Directory,
    Party,
    Permit,
    PermittedProtocol,
    format_time,
    requirements,
    reviews,
)
from hetao.study import Study


def draft_permit(
    study: Study,
    trusted: Directory,
    now: datetime.datetime,
    days: int = 90,
    highest_grade: int = 3,
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

    Raises:
        InvalidNetwork: a site of the study, or an office, is not in the list.
        NotApproved: no rule covers such a crossing.
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
    required = requirements("data", sides, now.date())
    checks = reviews("data", sides, now.date())
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
    start = now.replace(microsecond=0)
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
            not_after=format_time(start + datetime.timedelta(days=days)),
            highest_grade=highest_grade,
            reviews=checks,
        )
    )


def _site(trusted: Directory, name: str) -> Party:
    party = trusted[name]
    if party.role != "site":
        raise InvalidNetwork(f"{name} is listed, but not as a site")
    return party
