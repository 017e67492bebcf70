"""Facts of a request → what a draft permit must ask and say, or a refusal to draft."""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from hetao.errors import BasisMissing, InvalidFacts
from hetao.permit import (
    Basis,
    Facts,
    Requirement,
    Rulebook,
    answer,
    check_allowed,
    format_time,
)
from hetao.permit.facts import Held
from hetao.permit.house import LEAVES
from hetao.permit.law import LAW_TIME, Law, day_of_law, law_of


@dataclass(frozen=True)
class Grounds:
    """What a permit of a study rests on.

    Attributes:
        law: the answer, as the permit carries it.
        bases: the legal instruments that rules ask for and that are held.
        required, reviews: offices that rules ask for.
    """

    law: Law
    bases: tuple[Held, ...]
    required: tuple[Requirement, ...]
    reviews: tuple[Requirement, ...]


@dataclass(frozen=True)
class Asked:
    """What a draft is to allow, which the facts are held against.

    Attributes:
        sites: sides of the study's sites: what each sends is opened on both sides.
        sides: sides that take part.
        highest_grade: highest level of what may leave a site.
        crossing: what crosses.
        now: UTC time of the draft; until: UTC time at which the permit ends.
    """

    sites: tuple[str, ...]
    sides: tuple[str, ...]
    highest_grade: int
    now: datetime.datetime
    until: datetime.datetime
    crossing: str = "data"


def grounds(facts: Facts, book: Rulebook, asked: Asked) -> Grounds:
    """Return what the rules of today ask of a permit.

    Raises:
        InvalidFacts: the facts say something else than the draft would allow.
        RuleForbids: a rule forbids it.
        FactsMissing: a rule may apply, and facts are missing.
        BasisMissing: an instrument is not held, or ends before the permit does.
    """
    _check_facts(facts, asked)
    found = answer(facts, day_of_law(asked.now), book)
    check_allowed(found)
    held = {n.held.instrument: n.held for n in found.needs if n.held is not None}
    last = day_of_law(asked.until)
    for basis in held.values():
        if not basis.holds_on(last):
            raise BasisMissing(
                f"{basis.instrument} ends before the permit would",
                fix="let the permit hold for fewer days: --days",
            )
    return Grounds(
        law_of(found),
        tuple(sorted(held.values(), key=lambda basis: basis.instrument)),
        found.offices(asked.sides, "approve"),
        found.offices(asked.sides, "review"),
    )


def as_basis(held: Held, start: datetime.datetime, end: datetime.datetime) -> Basis:
    """Return an instrument as a permit names it, within the permit's own times."""
    first, last = start, end
    if held.valid_from is not None:
        first = max(first, _midnight(held.valid_from))
    if held.valid_until is not None:
        last = min(last, _midnight(held.valid_until + datetime.timedelta(days=1)))
    return Basis(
        instrument=held.instrument,
        reference=held.reference.strip(),
        document=held.document,
        valid_from=format_time(first),
        valid_until=format_time(last),
        conditions=held.conditions,
        terms=held.terms,
    )


def _midnight(day: datetime.date) -> datetime.datetime:
    return datetime.datetime(day.year, day.month, day.day, tzinfo=LAW_TIME)


def _check_facts(facts: Facts, asked: Asked) -> None:
    """The facts must be about what the draft would allow."""
    values = facts.values
    if values.get("request.crossing", "data") != asked.crossing:
        raise InvalidFacts(f"the facts are not about a crossing of {asked.crossing}")
    if asked.crossing != "data":
        return  # the rest is about what sites send
    for side in _in_order(asked.sites):
        if values.get(LEAVES[side]) is False:
            raise InvalidFacts(
                f"a site of side {side} takes part, and the facts say that nothing "
                f"leaves ({LEAVES[side]})",
                fix="what a site sends is opened on both sides of the boundary",
            )
    level = values.get("data.level_released")
    if type(level) is int and level < asked.highest_grade:
        raise InvalidFacts(
            f"the facts say that level {level} leaves at most, and the permit would "
            f"let level {asked.highest_grade} leave",
            fix="say it in the facts, or lower it: --highest-grade",
        )


def _in_order(sides: Iterable[str]) -> list[str]:
    return sorted(set(sides))
