"""A study and the parties → a draft permit that nobody has approved yet."""

import datetime
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from hetao.analysis import estimator_for, protocol, protocols
from hetao.analysis.sealed_count import SealedCount
from hetao.errors import BeyondBasis, ConflictOfDuties, InvalidNetwork
from hetao.federation.grounds import Asked, Grounds, as_basis, grounds
from hetao.permit import (
    AUTHOR,
    OPERATOR,
    Bundle,
    Directory,
    Facts,
    Party,
    Permit,
    PermittedProtocol,
    Person,
    Requirement,
    Rulebook,
    check_form,
    conflicts,
    format_time,
    requirements,
    reviews,
)
from hetao.permit.grades import KINDS
from hetao.permit.law import day_of_law
from hetao.permit.within import beyond
from hetao.release.minimums import countable
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
        trusted: the list to choose from: the study's sites, hubs, one coordinator,
            who asks, checks and runs the hubs, and whoever holds an office that the
            rulebook asks for.
        now: UTC time from which the permit is to hold.
        days: for how long.
        highest_grade: highest class (1-5) of what may leave a site.
        request: facts about it; without them only the rules that hold of any crossing
            of data are asked.

    Raises:
        InvalidNetwork: a site of the study, an office or a duty is not in the list.
        NotApproved: no rule covers such a crossing.
        InvalidFacts, RuleForbids, FactsMissing, BasisMissing: see `grounds`.
        BeyondBasis: a basis does not allow what the draft would, by its own terms.
        ConflictOfDuties: one person asks, checks or runs a hub at the same time.
    """
    # This also checks that every analysis can be planned.
    asked_for = [estimator_for(study, analysis) for analysis in study.analyses]
    used = {estimator.name for estimator in asked_for}
    listed = [one for one in protocols() if one.name in used]
    if any(map(countable, asked_for)):
        listed.append(protocol(SealedCount.name))
    sites = tuple(site_of(trusted, name) for name in study.sites)
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
    day = day_of_law(now)
    required = both(requirements("data", sides, day), rests.required if rests else ())
    checks = both(reviews("data", sides, day), rests.reviews if rests else ())
    asked = (*required, *checks)
    authors, operators, persons = people_of(trusted, asked)
    kept = {person.name for person in persons}
    permit = Permit(
        number=f"{study.name}-{study.version}-{now:%Y%m%d}",
        crossing="data",
        study=study.digest,
        purpose=" ".join((study.question or study.title).split()),
        sites=study.sites,
        parties=(*sites, *hubs, *coordinators),
        persons=persons,
        keys=tuple(key for key in trusted.keys if key.owner in kept),
        authors=authors,
        operators=operators,
        required=required,
        reviews=checks,
        checks=KINDS["model_update"].demands,
        not_before=format_time(start),
        not_after=format_time(end),
        protocols=tuple(PermittedProtocol(**asdict(one)) for one in listed),
        bases=tuple(as_basis(b, start, end) for b in rests.bases) if rests else (),
        law=rests.law if rests else None,
        highest_grade=highest_grade,
        data_use=_data_use(request),
    )
    check_form(permit, "the draft")
    for words in beyond(permit):
        raise BeyondBasis(words)
    clashes = conflicts(permit, ())
    if clashes:
        raise ConflictOfDuties(clashes[0])
    return Bundle(permit)


def _data_use(request: Request | None) -> tuple[str, ...]:
    """Return the codes by which the rules judged the use; none if none was stated."""
    stated = request.facts.values.get("use.codes", ()) if request else ()
    return tuple(sorted(stated)) if isinstance(stated, tuple) else ()


def people_of(
    trusted: Directory, asked: Iterable[Requirement]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Person, ...]]:
    """Return authors, hubs' operators, and everybody with a part, by all their names.

    Args:
        trusted: the list to choose from.
        asked: every office that approves or checks.

    Raises:
        InvalidNetwork: nobody holds such an office.
    """
    needs = tuple(asked)
    for need in needs:
        if not trusted.holders(need.role, need.side):
            raise InvalidNetwork(
                f"nobody holds the office {need.role} on side {need.side}",
                fix=f"rule {need.rule} asks for it; add them to the list, with a key",
            )
    authors = _named(trusted.holders(AUTHOR))
    operators = _named(trusted.holders(OPERATOR))
    part = {*authors, *operators}
    part |= {p.name for n in needs for p in trusted.holders(n.role, n.side)}
    # All names of each: who is one person must show in the permit by itself.
    one = trusted.people.one
    counted = {one(name) for name in part}
    persons = tuple(p for p in trusted.persons if one(p.name) in counted)
    return authors, operators, persons


def both(
    always: tuple[Requirement, ...], here: tuple[Requirement, ...]
) -> tuple[Requirement, ...]:
    """Return each office once, though several rules ask for it."""
    found = {(need.side, need.role): need for need in (*here, *always)}
    return tuple(sorted(found.values()))


def _named(persons: Iterable[Person]) -> tuple[str, ...]:
    return tuple(person.name for person in persons)


def site_of(trusted: Directory, name: str) -> Party:
    """Return the site of that name.

    Raises:
        InvalidNetwork: it is not in the list, or is no site.
    """
    party = trusted[name]
    if party.role != "site":
        raise InvalidNetwork(f"{name} is listed, but not as a site")
    return party
