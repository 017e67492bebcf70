"""The time at risk and what happens in it, as SQL over the candidates' facts.

Days are dates. The last day at risk belongs to it, so an outcome on the day of death,
of censoring or of the end of observation still counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hetao.cohort.entry import CANDIDATE, in_window
from hetao.cohort.event_rows import END, KEY, Base, event_rows
from hetao.cohort.facts import Facts
from hetao.cohort.wanted import Wanted
from hetao.study import Event, Exposure, FollowUp, Outcome, Study
from hetao.study.population import EVER

NO_EVENT, EVENT, COMPETING = 0, 1, 2


@dataclass(frozen=True)
class Joined:
    """A further relation over the candidates: its SQL, its name, and one column."""

    name: str
    plan: str
    column: str


@dataclass(frozen=True)
class Ends:
    """The parts of the time at risk, as SQL over `c` (candidates) and the facts.

    Attributes:
        start: first day at risk.
        ends: days of which the earliest is the last day at risk; NULL is no end.
        outcomes: for each outcome the first day, and of a competing event or "NULL".
        joined: relations that these read beside the facts.
    """

    start: str
    ends: tuple[str, ...]
    outcomes: tuple[tuple[str, str], ...]
    joined: tuple[Joined, ...]


def ends_of(study: Study, facts: Facts, where: str) -> Ends:
    """Return what follow-up asks of the candidates that meet a condition."""
    follow_up = study.follow_up
    assert follow_up is not None  # noqa: S101  the caller asks of who is followed
    start = follow_up.start_days
    ends = ["c.obs_end", facts.first_day((Event("death"),), (-EVER, EVER))]
    joined: list[Joined] = []
    if follow_up.days is not None:
        ends.append(f"add_days(c.day, {follow_up.days})")
    if follow_up.censor:
        ends.append(facts.first_day(follow_up.censor, (1, EVER)))
    if follow_up.switch:
        ends.append(_switch(study, facts))
    if follow_up.exposure is not None:
        plan = _exposure_plan(study, follow_up.exposure, facts.wanted, where)
        joined.append(Joined("exposure", plan, "ends"))
        ends.append(f"add_days(exposure.ends, {follow_up.exposure.grace_days})")
    outcomes = []
    for place, outcome in enumerate(study.outcomes):
        if outcome.clean_days:
            name = f"clean_{place}"
            joined.append(
                Joined(name, clean_plan(outcome, facts.wanted, where, start), "first")
            )
            first = f"{name}.first"
        else:
            first = facts.first_day(outcome.events, (start, EVER))
        competing = (
            facts.first_day(outcome.competing, (start, EVER))
            if outcome.competing
            else "CAST(NULL AS DATE)"
        )
        outcomes.append((first, competing))
    return Ends(
        f"add_days(c.day, {start})", tuple(ends), tuple(outcomes), tuple(joined)
    )


def _switch(study: Study, facts: Facts) -> str:
    """Return SQL for the first day after the index day with another arm's event."""
    arms = [(n, arm) for n, arm in enumerate(study.population.arms) if arm.events]
    days = [
        facts.first_day(arm.events, (1, EVER), f"arm <> {place}") for place, arm in arms
    ]
    return f"least({', '.join(days)})" if len(days) > 1 else days[0]


def _exposure_plan(study: Study, exposure: Exposure, wanted: Wanted, where: str) -> str:
    """Return SQL for the last day of each candidate's exposure: `ends`.

    Rows that begin at most `gap_days` after all earlier ones have ended are joined;
    the index day itself is the first of them. Who has no such row, and whose arm has
    events, is exposed on the index day alone; an arm without events has no end.
    """
    arms = [(n, arm) for n, arm in enumerate(study.population.arms) if arm.events]
    if exposure.events:
        events, own = exposure.events, "TRUE"
    else:
        events = tuple(event for _, arm in arms for event in arm.events)
        own = " OR ".join(
            f"(r.arm = {place} AND {in_window(wanted, arm.events, (0, EVER))})"
            for place, arm in arms
        )
    base = Base(CANDIDATE, ("person_id", "day", "arm"), where, (0, EVER))
    rows = event_rows(wanted, events, base, (END, KEY))
    has_end = "TRUE"
    if not exposure.events:
        has_end = f"c.arm IN ({', '.join(str(place) for place, _ in arms)})"
    before = (
        "max(last_day) OVER (PARTITION BY person_id, day ORDER BY event_day, last_day, "
        "row_key ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    )
    return (
        f"SELECT c.person_id, c.day, CASE WHEN {has_end} THEN "  # noqa: S608
        "coalesce(s.ends, c.day) END AS ends "
        f"FROM {CANDIDATE} c LEFT JOIN ("
        "SELECT person_id, day, coalesce(min(CASE WHEN event_day > "
        f"add_days(before, {exposure.gap_days}) THEN before END), max(last_day)) "
        "AS ends FROM (SELECT person_id, day, event_day, last_day, "
        f"greatest(coalesce({before}, day), day) AS before "
        f"FROM (SELECT DISTINCT person_id, day, event_day, last_day, row_key "
        f"FROM ({rows}) r WHERE {own}) d) g "
        "GROUP BY person_id, day) s ON s.person_id = c.person_id AND s.day = c.day "
        f"WHERE {where}"
    )


def clean_days_plan(
    outcome: Outcome, wanted: Wanted, base: Base, keys: Sequence[str]
) -> str:
    """Return SQL for the days of an outcome that follow enough days without: `clean`.

    Args:
        outcome: whose events and clean days.
        wanted: numbers and concepts.
        base: the people joined with; its window must be open.
        keys: columns of the base that name a row of it.
    """
    rows = event_rows(wanted, outcome.events, base)
    columns = ", ".join(keys)
    return (
        f"SELECT {columns}, event_day, days FROM ("  # noqa: S608
        f"SELECT {columns}, event_day, days, lag(event_day) OVER "
        f"(PARTITION BY {columns} ORDER BY event_day) AS before "
        f"FROM (SELECT DISTINCT {columns}, event_day, days FROM ({rows}) r) d) g "
        f"WHERE before IS NULL OR date_diff('day', before, event_day) > "
        f"{outcome.clean_days}"
    )


def clean_plan(outcome: Outcome, wanted: Wanted, where: str, start: int) -> str:
    """Return SQL for the first clean day of an outcome in the time at risk."""
    base = Base(CANDIDATE, ("person_id", "day"), where)
    days = clean_days_plan(outcome, wanted, base, ("person_id", "day"))
    return (
        f"SELECT person_id, day, min(event_day) AS first FROM ({days}) k "  # noqa: S608
        f"WHERE days >= {start} GROUP BY person_id, day"
    )


def at_risk(follow_up: FollowUp) -> str:
    """Return SQL for whether there are days enough, over `start_day` and `end_day`."""
    return f"date_diff('day', start_day, end_day) + 1 >= {follow_up.minimum_days}"


def outcome_columns(place: int) -> tuple[str, str]:
    """Return SQL for an outcome's state, and the last day it was waited for.

    Over `end_day`, `first_<place>` and `rival_<place>`. On one day the outcome comes
    before the competing event.
    """
    first, rival = f"first_{place}", f"rival_{place}"
    is_event = f"{first} <= end_day AND ({rival} IS NULL OR {first} <= {rival})"
    state = (
        f"CASE WHEN {is_event} THEN {EVENT} WHEN {rival} <= end_day THEN {COMPETING} "
        f"ELSE {NO_EVENT} END"
    )
    return f"CAST({state} AS BIGINT)", f"least(end_day, {first}, {rival})"
