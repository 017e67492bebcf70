"""What the rules said when a permit was drafted, as the permit carries it.

The facts themselves stay with whoever stated them; the permit holds their digest, the
rulebook's, and the numbers of people under which the answer holds.
"""

import datetime
from dataclasses import dataclass
from typing import Final

from hetao.errors import OutOfTime, TooManyPeople
from hetao.permit.answering import Answer
from hetao.permit.rule import Rulebook

# Hong Kong and the Mainland keep one time, without summer time; laws begin by it.
LAW_TIME: Final = datetime.timezone(datetime.timedelta(hours=8))
YEARLY: Final = "counts.sensitive_since_1_january"  # a site's patients: health is


@dataclass(frozen=True)
class Ceiling:
    """A counted fact, and the number that it must stay under."""

    fact: str
    below: int


@dataclass(frozen=True)
class Law:
    """What the rules said to the facts of a request.

    Attributes:
        on: day of the answer, `2026-11-28`.
        effective: latest day on which a rule that applies came into force.
        route: of personal information out of the Mainland.
        rulebook, facts, answer: digests.
        rules: ids of the rules that require something, sorted.
        holds_below: numbers of people at which other rules apply.
    """

    on: str
    effective: str
    route: str
    rulebook: str
    facts: str
    answer: str
    rules: tuple[str, ...]
    holds_below: tuple[Ceiling, ...] = ()


def law_of(found: Answer) -> Law:
    """Return what a permit says of an answer."""
    return Law(
        on=found.day.isoformat(),
        effective=found.effective.isoformat() if found.effective else "",
        route=found.route,
        rulebook=found.book.digest,
        facts=found.facts.digest,
        answer=found.digest,
        rules=tuple(f.rule.id for f in found.of("applies", "requires")),
        holds_below=tuple(Ceiling(fact, n) for fact, n in found.holds_below),
    )


def day_of_law(now: datetime.datetime) -> datetime.date:
    """Return the day in Hong Kong and the Mainland."""
    return now.astimezone(LAW_TIME).date()


def check_law(law: Law | None, now: datetime.datetime, book: Rulebook) -> None:
    """Return quietly if the rules that a permit rests on are those of today.

    A rule that this rulebook does not know is somebody's own, and not judged here. A
    permit that was drafted without facts says nothing of the law.

    Raises:
        OutOfTime: one of them is no longer in force, or one with a route has come into
            force since, so that the request must be asked anew.
    """
    if law is None:
        return
    day, asked = day_of_law(now), datetime.date.fromisoformat(law.on)
    moves = law.route != "none"
    for rule in book.rules:
        ended = rule.id in law.rules and not rule.is_in_force(day)
        new = moves and bool(rule.route) and asked < rule.effective <= day
        if ended or new:
            raise OutOfTime(
                f"the law has changed since the permit was drafted: rule {rule.id}",
                fix="ask the rules anew, and for a new permit",
            )


def ceiling_of(law: Law, fact: str) -> int | None:
    """Return the number that a counted fact must stay under, if the permit has one."""
    return next((one.below for one in law.holds_below if one.fact == fact), None)


def check_count(law: Law, people: int, site: str) -> None:
    """Return quietly if so many different people leave the permit's answer as it is.

    Args:
        law: what the permit says.
        people: of whom a site has sent anything since 1 January, under any permit, the
            people of this run among them. Never said to anybody.
        site: name of the site.

    Raises:
        TooManyPeople: with these people, other rules apply.
    """
    below = ceiling_of(law, YEARLY)
    if below is not None and people >= below:
        raise TooManyPeople(
            f"with these people, {site} reaches {below:,} people since 1 January over "
            "all permits, and other rules apply",
            local=f"{people} people",
        )
