"""What samples, people or money are to cross → a draft permit, held against the rules.

crossing = "materials"
number = "serum-2026-1"
study = "sha256:…"                  the protocol or agreement that it serves
purpose = "serum for the reference laboratory"
sites = ["hospital-hk"]             who dispatches
receivers = ["hospital-sz"]         who receives

[[limits]]
unit = "tubes"
most = 200
site = "hospital-hk"
"""

import datetime
from dataclasses import dataclass
from pathlib import Path

from hetao.errors import BeyondBasis, ConflictOfDuties, InvalidNetwork
from hetao.federation.grounds import Asked, as_basis, grounds
from hetao.federation.propose import Request, both, people_of, site_of
from hetao.permit import (
    Bundle,
    Directory,
    Limit,
    Permit,
    check_form,
    conflicts,
    format_time,
    requirements,
    reviews,
)
from hetao.permit.decision import MANDATORY
from hetao.permit.law import day_of_law
from hetao.permit.uses import KIND_OF
from hetao.permit.within import beyond
from hetao.records import read_toml, record


@dataclass(frozen=True)
class Crossing:
    """What is to cross, as whoever asks writes it.

    Attributes:
        crossing: "materials", "people" or "capital".
        number: the permit's own name.
        study: digest of the study, protocol or agreement that it serves.
        purpose: one sentence.
        sites: who dispatches, or pays.
        receivers: who receives, on the other side.
        limits: how much, each of one site.
        checks: what each use must have passed besides what its kind demands.
        highest_grade: highest class of what may cross.
    """

    crossing: str
    number: str
    study: str
    purpose: str
    sites: tuple[str, ...]
    receivers: tuple[str, ...]
    limits: tuple[Limit, ...]
    checks: tuple[str, ...] = ()
    highest_grade: int = 3


def read_crossing(path: Path) -> Crossing:
    """Return the crossing of a file.

    Raises:
        InvalidNetwork, InvalidData: the file does not hold.
    """
    found = record(Crossing, read_toml(path, InvalidNetwork), path.name, InvalidNetwork)
    if found.crossing not in KIND_OF:
        raise InvalidNetwork(
            f"{path.name}: crossing is one of {', '.join(KIND_OF)}",
            fix="draft the permit of a study with `hetao study propose`",
        )
    return found


def draft_crossing(
    asked: Crossing,
    trusted: Directory,
    request: Request,
    now: datetime.datetime,
    days: int = 90,
) -> Bundle:
    """Return a draft permit, with no approvals.

    Args:
        asked: what is to cross.
        trusted: the list to choose from.
        request: facts about it, and the rules; without facts nothing is drafted.
        now: UTC time from which the permit is to hold.
        days: for how long.

    Raises:
        InvalidNetwork: a site, an office or a duty is not in the list.
        NotApproved: no rule covers such a crossing.
        InvalidFacts, RuleForbids, FactsMissing, BasisMissing: see `grounds`.
        ConflictOfDuties: one person asks, checks or runs a hub at the same time.
    """
    names = (*asked.sites, *asked.receivers)
    sites = tuple(site_of(trusted, name) for name in dict.fromkeys(names))
    machines = (*trusted.of_role("hub"), *trusted.of_role("coordinator"))
    sides = {party.side for party in (*sites, *trusted.of_role("hub"))}
    start = now.replace(microsecond=0)
    end = start + datetime.timedelta(days=days)
    rests = grounds(
        request.facts,
        request.book,
        Asked(
            tuple(party.side for party in sites),
            tuple(sorted(sides)),
            asked.highest_grade,
            start,
            end,
            asked.crossing,
        ),
    )
    day = day_of_law(now)
    required = both(requirements(asked.crossing, sides, day), rests.required)
    checks = both(reviews(asked.crossing, sides, day), rests.reviews)
    authors, operators, persons = people_of(trusted, (*required, *checks))
    kept = {person.name for person in persons}
    demanded = MANDATORY[KIND_OF[asked.crossing]]
    permit = Permit(
        number=asked.number,
        crossing=asked.crossing,
        study=asked.study,
        purpose=asked.purpose,
        sites=asked.sites,
        parties=(*sites, *machines),
        persons=persons,
        keys=tuple(key for key in trusted.keys if key.owner in kept),
        authors=authors,
        operators=operators,
        required=required,
        reviews=checks,
        checks=tuple(sorted({*demanded, *asked.checks})),
        not_before=format_time(start),
        not_after=format_time(end),
        limits=asked.limits,
        bases=tuple(as_basis(basis, start, end) for basis in rests.bases),
        law=rests.law,
        highest_grade=asked.highest_grade,
    )
    check_form(permit, "the draft")
    for words in beyond(permit):
        raise BeyondBasis(words)
    clashes = conflicts(permit, ())
    if clashes:
        raise ConflictOfDuties(clashes[0])
    return Bundle(permit)
