"""Checks on what a study says about cohorts: refused here, before any site is asked."""

import datetime
import itertools
import math
import re
from collections.abc import Iterable

from hetao.errors import InvalidStudy
from hetao.study.intervals import (
    check_intervals,
    check_row_variable,
    is_observed,
)
from hetao.study.meaning import events_in
from hetao.study.model import AGGREGATES, Level, Study, Variable
from hetao.study.population import (
    DEEPEST,
    EVER,
    EXCLUDE,
    MATCHES,
    OCCURRENCES,
    SEXES,
    TABLES,
    Arm,
    Criterion,
    Event,
    FollowUp,
    Population,
    Value,
)

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
OF_VALUES = ("first", "last", "min", "max", "mean")
VALUED = ("measurement", "observation")
OF_FOLLOW_UP = ("time_at_risk", "outcome", "outcome_count")
WANTS_CONCEPTS = (
    "condition",
    "drug",
    "procedure",
    "measurement",
    "observation",
    "device",
)
MOST_DATES = 400
MOST_ARMS, MOST_OUTCOMES, LONGEST_AGE = 20, 200, 150
MOST_EVENTS = 20_000
FINEST = 1e-6  # of a value: numbers have six decimals on every engine
DAY_FORM = "write 2015-01-01"
RANGED = ("age", "index_day", "month")


def check_cohort(study: Study, where: str) -> None:
    """Refuse a population, follow-up, outcome, score or matching that cannot be meant.

    Raises:
        InvalidStudy: the error names the table and the field.
    """
    if sum(1 for _ in events_in(study)) > MOST_EVENTS:
        raise InvalidStudy(
            f"{where}: the study names more than {MOST_EVENTS} events",
            fix="gather what is alike in concept sets",
        )
    _check_population(study, f"{where} [population]")
    _check_arms(study, f"{where} [population.arms]")
    _check_criteria(study, f"{where} [population]")
    if study.follow_up is not None:
        _check_follow_up(study, study.follow_up, f"{where} [follow_up]")
    check_intervals(study, where)
    for window in study.intervals.windows if study.intervals else ():
        place = f"{where} [intervals.windows.{window.name}]"
        _check_names([window.name], place)
        _check_events(study, window.events, place)
    _check_outcomes(study, f"{where} [outcomes]")
    for score in study.scores:
        _check_score(study, score.name, f"{where} [scores.{score.name}]")
    _check_matching(study, f"{where} [matching]")
    if study.dictionary == "flat" and (
        study.follow_up or study.population.entry or study.population.arms
    ):
        raise InvalidStudy(
            f"{where}: a flat table has no events that a population could be made of",
            fix="write the criteria as rules about columns",
        )


def check_variable_source(study: Study, variable: Variable, where: str) -> None:
    """Refuse a variable whose source, aggregate and levels do not fit together.

    Raises:
        InvalidStudy: the error names the variable and the remedy.
    """
    if variable.source in WANTS_CONCEPTS and not variable.concepts:
        raise InvalidStudy(f"{where}: name the concepts")
    if variable.source == "events" and not variable.events:
        raise InvalidStudy(f"{where}: name the events")
    for event in variable.event_rows:
        _check_event(study, event, where)
    check_row_variable(study, variable, where)
    _check_window(variable.window_days, where)
    _check_aggregate(variable, where)
    if variable.source in OF_FOLLOW_UP:
        _check_follow_up_variable(study, variable, where)
    if variable.source == "score":
        _check_score(study, variable.score, where)
    if variable.source == "arm":
        _check_arm_levels(study, variable, where)
    if variable.kind == "category" and variable.source in RANGED:
        for level in variable.levels:
            level_range(variable.source, level, where)


def level_range(source: str, level: Level, where: str) -> tuple[int, int]:
    """Return the (first, last) that a level such as "65-74" or "12-2" stands for.

    Args:
        source: "age" in years, "month" of the year, "index_day" in days since
            1970-01-01.
        level: whose value is the text.
        where: the place to name in an error.

    Raises:
        InvalidStudy: the text is not such a range.
    """
    text = str(level.value)
    if source == "index_day":
        first, _, last = text.partition("/")
        days = _day_number(first, where), _day_number(last or first, where)
        if days[0] > days[1]:
            raise InvalidStudy(f"{where}: level {level.name!r} ends before it begins")
        return days
    found = re.fullmatch(r"(\d{1,3})(?:(-)(\d{1,3})?)?", text)
    if found is None:
        raise InvalidStudy(
            f"{where}: level {level.name!r} is no range such as 65-74",
            fix='write { old = "65-74" }; "75-" is open; months as "12-2"',
        )
    low = int(found[1])
    high = int(found[3]) if found[3] else LONGEST_AGE if found[2] else low
    months_ok = source != "month" or (1 <= low <= 12 and 1 <= high <= 12)
    if not months_ok or (source == "age" and low > high):
        raise InvalidStudy(f"{where}: level {level.name!r} is no range of {source}")
    return low, high


def _day_number(text: str, where: str) -> int:
    """Return days since 1970-01-01 of a day written as 2015-01-01, and no other way.

    Python also reads 20150101 and 2015-W01-4; the engines of the sites do not.
    """
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise InvalidStudy(f"{where}: {text[:40]!r} is not a day", fix=DAY_FORM)
    return (day - datetime.date(1970, 1, 1)).days


# --- population -------------------------------------------------------------------
def _check_population(study: Study, where: str) -> None:
    population = study.population
    _check_events(study, population.entry, where)
    if population.occurrence not in OCCURRENCES:
        raise InvalidStudy(f"{where}: occurrence is one of " + ", ".join(OCCURRENCES))
    if population.occurrence == "every" and any(
        analysis.method != "counts" and not analysis.person
        for analysis in study.analyses
    ):
        raise InvalidStudy(
            f"{where}: with every occurrence somebody may be counted more than once",
            fix='write occurrence = "first" or "any", or say whose each row is: person '
            'names a key whose source is "person"',
        )
    if population.occurrence == "every" and study.matching is not None:
        raise InvalidStudy(
            f"{where}: with every occurrence somebody could be matched with themselves",
            fix='write occurrence = "first" or "any", or leave [matching] out',
        )
    if len(set(population.sexes)) != len(population.sexes) or not set(
        population.sexes
    ) <= set(SEXES):
        raise InvalidStudy(f"{where}: sexes are male, female")
    _check_ranges(population, where)
    if population.dates:
        _check_dates(population, where)
    days = (
        population.prior_observation_days or 0,
        population.post_observation_days,
        population.washout_days,
    )
    if not all(0 <= day < EVER for day in days):
        raise InvalidStudy(f"{where}: days of observation and washout count from 0")
    if population.post_observation_days and population.prior_observation_days is None:
        raise InvalidStudy(
            f"{where}: post_observation_days needs an observation period",
            fix="write prior_observation_days, 0 or more",
        )


def _check_dates(population: Population, where: str) -> None:
    """Check index days that are the same for everybody."""
    days = [_day_number(day, f"{where} dates") for day in population.dates]
    if len(days) > MOST_DATES or any(b <= a for a, b in itertools.pairwise(days)):
        raise InvalidStudy(f"{where}: dates rise, and are up to {MOST_DATES}")
    if population.entry or population.washout_days:
        raise InvalidStudy(
            f"{where}: with dates no event lets anybody in",
            fix="leave out entry and washout_days, or dates",
        )
    if population.occurrence != "every":
        raise InvalidStudy(
            f"{where}: with dates somebody is asked about on each of them",
            fix='write occurrence = "every"',
        )


def _check_ranges(population: Population, where: str) -> None:
    if population.period is not None:
        first, last = (_day_number(day, where) for day in population.period)
        if first > last:
            raise InvalidStudy(f"{where}: the period ends before it begins")
    if population.ages is not None:
        low, high = population.ages
        if not 0 <= low <= high <= LONGEST_AGE:
            raise InvalidStudy(f"{where}: ages are [youngest, oldest] in years")
    if population.months is not None and not all(
        1 <= month <= 12 for month in population.months
    ):
        raise InvalidStudy(f"{where}: months are 1 to 12")


def _check_arms(study: Study, where: str) -> None:
    arms = study.population.arms
    if not arms:
        return
    names = [arm.name for arm in arms]
    _check_names(names, where)
    if not 2 <= len(arms) <= MOST_ARMS:
        raise InvalidStudy(f"{where}: a comparison has 2 to {MOST_ARMS} arms")
    if study.population.same_day not in (EXCLUDE, *names):
        raise InvalidStudy(f"{where}: same_day is 'exclude' or the name of an arm")
    if sum(not arm.events for arm in arms) > 1:
        raise InvalidStudy(f"{where}: only one arm can be everybody else")
    for arm in arms:
        _check_arm(study, arm, f"{where} {arm.name}")
    if any(not arm.events for arm in arms) and not study.population.entry:
        raise InvalidStudy(
            f"{where}: with an arm of everybody else, say who enters",
            fix='write entry = { condition = ["afib"] } under [population]',
        )


def _check_arm(study: Study, arm: Arm, where: str) -> None:
    _check_events(study, arm.events, where)
    _check_window(arm.days, where)
    follow_up = study.follow_up
    if arm.days[1] > 0 and (follow_up is None or follow_up.start_days <= arm.days[1]):
        raise InvalidStudy(
            f"{where}: who gets there has survived until then (immortal time)",
            fix="end the window on day 0, or begin [follow_up] after it: start_days",
        )


# --- criteria ---------------------------------------------------------------------
def _check_criteria(study: Study, where: str) -> None:
    seen_rule = False
    for criterion in study.criteria:
        if not criterion.label:
            raise InvalidStudy(f"{where}: a criterion has no label")
        if seen_rule and not criterion.rule:
            raise InvalidStudy(
                f"{where}: {criterion.label!r} stands after a rule about variables",
                fix="criteria about events come first: they are carried out first",
            )
        seen_rule |= bool(criterion.rule)
        _check_criterion(study, criterion, where, 1)
    labels = study.steps
    if len(set(labels)) != len(labels):
        raise InvalidStudy(f"{where}: two steps of the attrition have one label")


def _check_criterion(study: Study, one: Criterion, where: str, depth: int) -> None:
    if depth > DEEPEST:
        raise InvalidStudy(f"{where}: criteria stand more than {DEEPEST} deep")
    parts = (one.rule, one.events, one.all_of, one.any_of, one.none_of)
    if sum(bool(part) for part in parts) != 1:
        raise InvalidStudy(
            f"{where}: a criterion has one of rule, events, all_of, any_of, none_of"
        )
    if one.rule and depth > 1:
        raise InvalidStudy(
            f"{where}: a rule about variables stands inside another criterion",
            fix="write it as a criterion of its own",
        )
    _check_events(study, one.events, where)
    _check_window(one.days, where)
    most = one.at_least if one.at_most is None else one.at_most
    asks_nothing = one.at_least == 0 and one.at_most is None
    if not 0 <= one.at_least <= most < EVER or asks_nothing:
        raise InvalidStudy(f"{where}: at_least and at_most do not fit together")
    if one.observed and study.population.prior_observation_days is None:
        raise InvalidStudy(
            f"{where}: a criterion counts what is observed, but nobody must be",
            fix="write prior_observation_days under [population], 0 or more",
        )
    for inner in (*one.all_of, *one.any_of, *one.none_of):
        _check_criterion(study, inner, where, depth + 1)


# --- follow-up ----------------------------------------------------------------------
def _check_follow_up(study: Study, follow_up: FollowUp, where: str) -> None:
    if study.population.prior_observation_days is None:
        raise InvalidStudy(
            f"{where}: who is followed must be observed",
            fix="write prior_observation_days under [population], 0 or more",
        )
    last = EVER if follow_up.days is None else follow_up.days
    if not 0 <= follow_up.start_days <= last <= EVER:
        raise InvalidStudy(f"{where}: needs 0 <= start_days <= days")
    if not 1 <= follow_up.minimum_days < EVER:
        raise InvalidStudy(f"{where}: minimum_days counts from 1")
    _check_events(study, follow_up.censor, where)
    arms = study.population.arms
    if follow_up.switch and not arms:
        raise InvalidStudy(f"{where}: nobody can switch without arms")
    exposure = follow_up.exposure
    if exposure is None:
        return
    if not (0 <= exposure.gap_days < EVER and 0 <= exposure.grace_days < EVER):
        raise InvalidStudy(f"{where} exposure: days count from 0")
    _check_events(study, exposure.events, f"{where} exposure")
    rows = exposure.events or tuple(e for arm in arms for e in arm.events)
    if not rows or any(event.table != "drug" for event in rows):
        raise InvalidStudy(
            f"{where} exposure: only drugs have an end of supply",
            fix='name them: exposure = { events = { drug = ["warfarin"] } }',
        )
    if any(arm.days[0] < 0 for arm in arms if arm.events):
        raise InvalidStudy(
            f"{where} exposure: an exposure that began before the index day has no "
            "known beginning",
            fix="let the arms' windows begin on day 0",
        )


def _check_outcomes(study: Study, where: str) -> None:
    names = [outcome.name for outcome in study.outcomes]
    if not names:
        return
    _check_names(names, where)
    if len(names) > MOST_OUTCOMES:
        raise InvalidStudy(f"{where}: more than {MOST_OUTCOMES}")
    if study.follow_up is None and not is_observed(study):
        raise InvalidStudy(f"{where}: nobody is followed", fix="write [follow_up]")
    for outcome in study.outcomes:
        place = f"{where} {outcome.name}"
        if not outcome.events:
            raise InvalidStudy(f"{place}: name the events")
        if not 0 <= outcome.clean_days < EVER:
            raise InvalidStudy(f"{place}: clean_days counts from 0")
        _check_events(study, (*outcome.events, *outcome.competing), place)


def _check_follow_up_variable(study: Study, variable: Variable, where: str) -> None:
    counted = variable.source == "outcome_count" or (
        study.intervals is not None and variable.outcome == study.intervals.outcome
    )
    if study.follow_up is None and not (is_observed(study) and counted):
        raise InvalidStudy(f"{where}: nobody is followed", fix="write [follow_up]")
    outcome = next((o for o in study.outcomes if o.name == variable.outcome), None)
    needed = variable.source != "time_at_risk" or variable.outcome
    if needed and outcome is None:
        raise InvalidStudy(
            f"{where}: the study has no outcome {variable.outcome!r}",
            fix="name one that stands under [outcomes]",
        )
    if variable.source == "outcome":
        levels = len(variable.levels)
        most = 3 if outcome is not None and outcome.competing else 2
        if variable.kind != "category" or not 2 <= levels <= most:
            raise InvalidStudy(
                f"{where}: its levels are without, with, and a third for the "
                "competing event where the outcome has one"
            )
    elif variable.kind != "number":
        raise InvalidStudy(f"{where}: {variable.source} is a number")


# --- scores and matching -----------------------------------------------------------
def _check_score(study: Study, name: str, where: str) -> None:
    score = next((s for s in study.scores if s.name == name), None)
    if score is None:
        raise InvalidStudy(
            f"{where}: the study has no score {name!r}", fix="write [scores]"
        )
    items = [item.name for item in score.items]
    _check_names(items, where)
    for item in score.items:
        _check_events(study, item.events, where)
        if not (item.events or item.ages or item.sex):
            raise InvalidStudy(f"{where}: item {item.name!r} asks nothing")
        if item.sex not in ("", *SEXES) or not set(item.unless) <= set(items):
            raise InvalidStudy(f"{where}: item {item.name!r} names what is not there")
        if item.name in item.unless or not -1000 <= item.points <= 1000:
            raise InvalidStudy(f"{where}: item {item.name!r} cannot be meant")


def _check_matching(study: Study, where: str) -> None:
    matching = study.matching
    if matching is None:
        return
    if len(study.population.arms) != 2 or matching.treated not in {
        arm.name for arm in study.population.arms
    }:
        raise InvalidStudy(
            f"{where}: matching needs two arms, of which treated names one"
        )
    if not 1 <= matching.ratio <= 100:
        raise InvalidStudy(f"{where}: ratio is 1 to 100")
    if not matching.exact and not matching.nearest:
        raise InvalidStudy(f"{where}: name variables to match on: exact, nearest")
    for name in matching.exact:
        if study.variable(name).kind != "category":
            raise InvalidStudy(f"{where}: exact asks a category, {name!r} is none")
    for near in matching.nearest:
        if study.variable(near.variable).kind != "number":
            raise InvalidStudy(f"{where}: {near.variable!r} is not a number")
        if not 0 < near.caliper < math.inf:
            raise InvalidStudy(f"{where}: a caliper is above 0")


def _check_arm_levels(study: Study, variable: Variable, where: str) -> None:
    names = tuple(arm.name for arm in study.population.arms)
    if tuple(level.name for level in variable.levels) != names or not names:
        raise InvalidStudy(
            f"{where}: its levels are not the arms, in their order",
            fix="leave levels out, and name the arms under [population.arms]",
        )


# --- pieces -----------------------------------------------------------------------
def _check_events(study: Study, events: Iterable[Event], where: str) -> None:
    for event in events:
        _check_event(study, event, where)


def _check_event(study: Study, event: Event, where: str) -> None:
    if event.table not in TABLES:
        raise InvalidStudy(f"{where}: a table is one of " + ", ".join(TABLES))
    if event.table == "death" and event.visit:
        raise InvalidStudy(f"{where}: death belongs to no visit")
    if event.table == "visit" and event.visit:
        raise InvalidStudy(f"{where}: a visit is within no other")
    if event.matched not in MATCHES:
        raise InvalidStudy(f"{where}: matched is one of " + ", ".join(MATCHES))
    answers = event.value.concepts if event.value else ()
    for concept in (*event.concepts, *event.visit, *answers):
        if isinstance(concept, str):
            study.concept_set(concept)
        elif concept < 0:
            raise InvalidStudy(f"{where}: a concept id is a whole number from 0")
    if event.value is not None:
        _check_value(event.value, event.table, where)


def _check_value(value: Value, table: str, where: str) -> None:
    if table not in VALUED:
        raise InvalidStudy(f"{where}: a {table} has no value")
    bounds = (value.at_least, value.at_most, value.above, value.below)
    given = [bound for bound in bounds if bound is not None]
    if not all(bound == 0 or FINEST <= abs(bound) < 1e11 for bound in given):
        raise InvalidStudy(
            f"{where}: a bound of a value is not a plain number",
            fix=f"values have six decimals: write 0, or from {FINEST:.6f} to 1e11",
        )
    if value.unit and table != "measurement":
        raise InvalidStudy(f"{where}: a unit belongs to a measurement")
    if not given and not value.concepts:
        raise InvalidStudy(f"{where}: the value asks nothing")


def _check_window(days: tuple[int, int], where: str) -> None:
    low, high = days
    if not -EVER <= low <= high <= EVER:
        raise InvalidStudy(f"{where}: a window is [from, to] in days, from <= to")


def _check_names(names: list[str], where: str) -> None:
    for name in names:
        if not NAME.fullmatch(name):
            raise InvalidStudy(f"{where}: {name[:60]!r} is not a plain name")
    if not names or len(set(names)) != len(names):
        raise InvalidStudy(f"{where}: names stand once each, and one at least")


def _check_aggregate(variable: Variable, where: str) -> None:
    source, summary = variable.source, variable.summary
    if variable.aggregate and not summary:
        raise InvalidStudy(f"{where}: {source} has no aggregate")
    if not summary:
        return
    if summary not in AGGREGATES:
        raise InvalidStudy(f"{where}: aggregate is one of " + ", ".join(AGGREGATES))
    if source == "events" and summary not in ("any", "count"):
        raise InvalidStudy(
            f"{where}: rows of several tables are any or counted",
            fix='write aggregate = "any" or "count"',
        )
    if summary in OF_VALUES and source not in VALUED:
        raise InvalidStudy(f"{where}: a {source} has no value to take {summary} of")
    if summary == "days_supply" and source != "drug":
        raise InvalidStudy(f"{where}: days of supply belong to drugs")
    _check_aggregate_kind(variable, summary, where)


def _check_aggregate_kind(variable: Variable, summary: str, where: str) -> None:
    is_category = variable.kind == "category"
    if summary == "any":
        if not is_category or len(variable.levels) != 2 or variable.at_least < 1:
            raise InvalidStudy(
                f"{where}: {variable.source} is absent or present",
                fix="give it two levels, the second for present",
            )
    elif is_category and summary not in ("first", "last"):
        raise InvalidStudy(f"{where}: {summary} is a number", fix='kind = "number"')
    if is_category and summary in ("first", "last"):
        for level in variable.levels:
            if not isinstance(level.value, int):
                raise InvalidStudy(f"{where}: level {level.name!r} needs a concept id")
