"""Who enters, and on which day: the candidates of a study, with the first steps.

A candidate is a person and a day. Each carries `reached`, the number of steps of the
attrition table that it meets before the first that it does not.
"""

from collections.abc import Sequence

from hetao.cohort.event_rows import Base, event_rows, listed
from hetao.cohort.wanted import Wanted
from hetao.study import Event, Population
from hetao.study.population import EXCLUDE, SEXES

CANDIDATE = "hetao_candidate"
NOBODY = -1  # the arm of who is in none, or in several


def reached(conditions: Sequence[str], start: int = 0) -> str:
    """Return SQL for how many of the conditions, in order, hold before one does not."""
    cases = [
        f"WHEN NOT coalesce({condition}, FALSE) THEN {start + number}"
        for number, condition in enumerate(conditions)
    ]
    most = start + len(conditions)
    return f"CASE {' '.join(cases)} ELSE {most} END" if cases else str(most)


def make_candidates(wanted: Wanted, population: Population) -> int:
    """Make the temporary table of candidates; return how many steps it has decided.

    Its columns are `person_id`, `day`, `year_of_birth`, `gender_concept_id`, `arm`
    (place among the arms, NOBODY), `obs_start`, `obs_end` (of the observation
    periods that hold the day, taken together; NULL where none is asked) and `reached`.
    """
    engine = wanted.engine
    arms = population.arms
    at_entry = bool(arms) and _decided_at_entry(population)
    if population.dates:
        engine.make("hetao_entry", _dated_plan(wanted, population))
    else:
        engine.make("hetao_entry", _entry_plan(wanted, population, at_entry=at_entry))
    wanted.read("person", "person_id", "year_of_birth", "gender_concept_id")
    conditions = _conditions(population)
    asked = population.prior_observation_days is not None
    engine.make(CANDIDATE, _candidate_plan(wanted, conditions, observed=asked))
    if population.occurrence == "eligible":
        engine.make(CANDIDATE, _eligible_plan(len(conditions)))
    if arms and not at_entry:
        engine.make(CANDIDATE, _armed_plan(wanted, population, len(conditions)))
    engine.drop("hetao_entry")
    return len(conditions)


def decided_early(population: Population) -> int:
    """Return how many steps of the attrition `make_candidates` decides."""
    return len(_conditions(population))


def _eligible_plan(steps: int) -> str:
    """Return SQL for the candidates of whom only the first eligible one is left."""
    is_eligible = f"CASE WHEN reached = {steps} THEN 1 ELSE 0 END"
    return (
        "SELECT person_id, day, year_of_birth, gender_concept_id, arm, obs_start, "  # noqa: S608
        f"obs_end, reached FROM {CANDIDATE} QUALIFY reached < {steps} OR row_number() "
        f"OVER (PARTITION BY person_id, {is_eligible} ORDER BY day) = 1"
    )


def _decided_at_entry(population: Population) -> bool:
    """Arms that are the entry events themselves, on their day, need no second look."""
    by_arms = not population.entry and not population.dates
    return by_arms and all(arm.days == (0, 0) for arm in population.arms)


def _dated_plan(wanted: Wanted, population: Population) -> str:
    """Return SQL for everybody on each of the dates on which they are observed."""
    start, end = "observation_period_start_date", "observation_period_end_date"
    wanted.read("observation_period", "person_id", start, end)
    days = " UNION ALL ".join(f"SELECT DATE '{day}' AS day" for day in population.dates)
    return (
        f"SELECT o.person_id, d.day, CAST({NOBODY} AS BIGINT) AS arm "  # noqa: S608
        f"FROM observation_period o JOIN ({days}) d "
        f"ON d.day BETWEEN o.{start} AND o.{end} GROUP BY o.person_id, d.day"
    )


def _entry_plan(wanted: Wanted, population: Population, *, at_entry: bool) -> str:
    events = population.entry_events
    rows = event_rows(wanted, events)
    flags = [
        f"event_no IN ({listed([wanted.number(event) for event in arm.events])})"
        for arm in (population.arms if at_entry else ())
    ]
    if population.occurrence != "first":
        made = "".join(
            f", bool_or({flag}) AS flag_{place}" for place, flag in enumerate(flags)
        )
        chosen = _arm_case(population, [f"flag_{n}" for n in range(len(flags))])
        inner = (
            f"SELECT person_id, event_day AS day{made} FROM ({rows}) r "  # noqa: S608
            "GROUP BY person_id, event_day"
        )
    else:
        made = "".join(
            f", min(CASE WHEN {flag} THEN event_day END) AS day_{place}"
            for place, flag in enumerate(flags)
        )
        inner = (
            f"SELECT person_id, min(event_day) AS day{made} FROM ({rows}) r "  # noqa: S608
            "GROUP BY person_id"
        )
        same = [f"(day_{n} IS NOT NULL AND day_{n} = day)" for n in range(len(flags))]
        chosen = _arm_case(population, same)
    return f"SELECT person_id, day, {chosen} AS arm FROM ({inner}) e"  # noqa: S608


def _arm_case(population: Population, flags: Sequence[str]) -> str:
    """Return SQL for the place of a candidate's arm, given a truth value for each."""
    if not flags:
        return f"CAST({NOBODY} AS BIGINT)"
    arms = population.arms
    others = next((n for n, arm in enumerate(arms) if not arm.events), NOBODY)
    several = " + ".join(f"CASE WHEN {flag} THEN 1 ELSE 0 END" for flag in flags)
    cases = " ".join(f"WHEN {flag} THEN {n}" for n, flag in enumerate(flags))
    resolved = str(NOBODY)
    if population.same_day != EXCLUDE:
        place = [arm.name for arm in arms].index(population.same_day)
        resolved = f"CASE WHEN {flags[place]} THEN {place} ELSE {NOBODY} END"
    return (
        f"CAST(CASE WHEN {several} > 1 THEN {resolved} ELSE CASE {cases} "
        f"ELSE {others} END END AS BIGINT)"
    )


def _candidate_plan(
    wanted: Wanted, conditions: Sequence[str], *, observed: bool
) -> str:
    person = "e.person_id, e.day, p.year_of_birth, p.gender_concept_id, e.arm"
    if not observed:
        inner = (
            f"SELECT {person}, CAST(NULL AS DATE) AS obs_start, "  # noqa: S608
            "CAST(NULL AS DATE) AS obs_end FROM hetao_entry e "
            "JOIN person p ON p.person_id = e.person_id"
        )
    else:
        start, end = "observation_period_start_date", "observation_period_end_date"
        wanted.read("observation_period", "person_id", start, end)
        # Periods that overlap on the day are one: the people are observed throughout.
        inner = (
            f"SELECT {person}, min(o.{start}) AS obs_start, max(o.{end}) AS obs_end "  # noqa: S608
            "FROM hetao_entry e JOIN person p ON p.person_id = e.person_id "
            "LEFT JOIN observation_period o ON o.person_id = e.person_id "
            f"AND e.day BETWEEN o.{start} AND o.{end} GROUP BY {person}"
        )
    return (
        "SELECT person_id, day, year_of_birth, gender_concept_id, arm, obs_start, "  # noqa: S608
        f"obs_end, {reached(conditions)} AS reached FROM ({inner}) f"
    )


def _conditions(population: Population) -> list[str]:
    """Return a condition for each step that a candidate itself decides."""
    found = []
    if population.period is not None:
        first, last = population.period
        found.append(f"day BETWEEN DATE '{first}' AND DATE '{last}'")
    if population.ages is not None:
        low, high = population.ages
        found.append(f"year(day) - year_of_birth BETWEEN {low} AND {high}")
    if population.sexes:
        ids = listed(sorted(SEXES[sex] for sex in population.sexes))
        found.append(f"gender_concept_id IN ({ids})")
    if population.months is not None:
        found.append(in_months("day", population.months))
    if population.prior_observation_days is not None:
        found.append(
            f"date_diff('day', obs_start, day) >= {population.prior_observation_days} "
            f"AND date_diff('day', day, obs_end) >= {population.post_observation_days}"
        )
    return found


def in_months(day: str, months: tuple[int, int]) -> str:
    """Return SQL for a day within months, over the new year if they fall."""
    first, last = months
    if first <= last:
        return f"month({day}) BETWEEN {first} AND {last}"
    return f"(month({day}) >= {first} OR month({day}) <= {last})"


def _armed_plan(wanted: Wanted, population: Population, steps: int) -> str:
    """Return SQL for the candidates with their arm, from rows in the arms' windows."""
    arms = [arm for arm in population.arms if arm.events]
    events = tuple(event for arm in arms for event in arm.events)
    window = (min(arm.days[0] for arm in arms), max(arm.days[1] for arm in arms))
    base = Base(CANDIDATE, ("person_id", "day"), f"c.reached = {steps}", window)
    flags = {arm.name: in_window(wanted, arm.events, arm.days) for arm in arms}
    made = ", ".join(
        f"bool_or({flag}) AS flag_{place}" for place, flag in enumerate(flags.values())
    )
    held = [
        f"coalesce(f.flag_{list(flags).index(arm.name)}, FALSE)"
        if arm.events
        else "FALSE"
        for arm in population.arms
    ]
    kept = "c.person_id, c.day, c.year_of_birth, c.gender_concept_id"
    return (
        f"SELECT {kept}, {_arm_case(population, held)} AS arm, c.obs_start, c.obs_end, "  # noqa: S608
        f"c.reached FROM {CANDIDATE} c LEFT JOIN (SELECT person_id, day, {made} "
        f"FROM ({event_rows(wanted, events, base)}) r GROUP BY person_id, day) f "
        "ON f.person_id = c.person_id AND f.day = c.day"
    )


def in_window(wanted: Wanted, events: Sequence[Event], days: tuple[int, int]) -> str:
    """Return SQL for a row of `event_rows` that is one of the events in a window."""
    numbers = listed([wanted.number(event) for event in dict.fromkeys(events)])
    return f"(event_no IN ({numbers}) AND days BETWEEN {days[0]} AND {days[1]})"
