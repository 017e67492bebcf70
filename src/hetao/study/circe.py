"""CIRCE's definitions → who enters a study and when, in the cohort algebra's terms.

What the algebra cannot say is refused by the name of the first such feature, never
approximated. When a period ends is no part of who enters: `hetao.cohort` has that.
"""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hetao.errors import InvalidStudy
from hetao.study.circe_events import (
    ages_of,
    beyond,
    concept_sets,
    event_of,
    in_one_line,
    refuse_others,
    sexes_of,
    whole,
)
from hetao.study.concepts import ConceptSet
from hetao.study.meaning import events_in
from hetao.study.population import EVER, Criterion, Event, Population

FIRST, ELIGIBLE, ANY, EVERY = "first", "eligible", "any", "every"
WINDOW = ("Start", "End", "UseIndexEnd", "UseEventEnd")
RULE = (
    "Criteria",
    "StartWindow",
    "EndWindow",
    "RestrictVisit",
    "IgnoreObservationPeriod",
    "Occurrence",
)
MALFORMED = (
    LookupError,
    TypeError,
    AttributeError,
    ValueError,
    OverflowError,
    RecursionError,
)


@dataclass(frozen=True)
class Entrants:
    """Who enters by a CIRCE definition, and on which day.

    Attributes:
        population: entry events, which of them count, age, sex, dates, observation.
        criteria: one for each rule, by the rule's name.
        sets: every concept set of the definition, by its number there.
        is_first: only a person's first such event counts, before all else is asked.
    """

    population: Population
    criteria: tuple[Criterion, ...]
    sets: Mapping[int, ConceptSet]
    is_first: bool

    def used(self, *more: object) -> tuple[ConceptSet, ...]:
        """Return the concept sets that it, or more events, name; by name."""
        names = {
            name
            for event in events_in((self.population, self.criteria, more))
            for name in event.concepts
        }
        found = {one.name: one for one in self.sets.values() if one.name in names}
        return tuple(found[name] for name in sorted(found))


def entrants(
    definition: Mapping[str, Any],
    keep: Callable[[ConceptSet], ConceptSet] = lambda one: one,
) -> Entrants:
    """Return who enters by a CIRCE definition.

    Args:
        definition: the parsed JSON.
        keep: returns the concept set that stands for one of the definition's; a study
            of several definitions thereby names each set once.

    Raises:
        InvalidStudy: the definition is not of CIRCE's shape, or (NotExpressible, a
            kind of it) asks something that the algebra cannot say; the first such
            feature is named.
    """
    try:
        return _entrants(definition, keep)
    except MALFORMED as error:
        raise malformed() from error


def refuse_moved_starts(definition: Mapping[str, Any]) -> None:
    """Refuse ends that take people out again, or move the day on which they enter.

    Else the days on which a definition's periods begin are those of its entry events.

    Raises:
        InvalidStudy: the definition is not of CIRCE's shape, or (NotExpressible, a
            kind of it) its ends do so.
    """
    try:
        if any((definition.get("CensorWindow") or {}).values()):
            raise beyond("CensorWindow: a period cut to two dates")
        offset = (definition.get("EndStrategy") or {}).get("DateOffset") or {}
        if whole(offset.get("Offset"), 0) < 0:
            raise beyond("an end before the first day")
    except MALFORMED as error:
        raise malformed() from error


def malformed() -> InvalidStudy:
    """Return the error of a definition that is not of CIRCE's shape."""
    return InvalidStudy(
        "the CIRCE definition is not of the shape that OHDSI describes",
        fix="export it again from ATLAS",
    )


def _entrants(
    definition: Mapping[str, Any], keep: Callable[[ConceptSet], ConceptSet]
) -> Entrants:
    primary = definition["PrimaryCriteria"]
    own = concept_sets(definition.get("ConceptSets") or [])
    sets = {number: keep(one) for number, one in own.items()}
    listed = primary["CriteriaList"]
    entry = tuple(event_of(one, sets, "entry") for one in listed)
    bodies = [body for one in listed for body in one.values()]
    is_first = _is_first(bodies)
    groups = _groups(definition)
    population = replace(
        _population(primary, bodies, entry),
        occurrence=_occurrence(definition, is_first=is_first),
    )
    criteria = tuple(
        replace(found, label=label)
        for label, group in groups
        if (found := _group(group, sets, top=True)) is not None
    )
    population = _with_demographics(population, groups)
    return Entrants(population, criteria, sets, is_first)


# --- who enters ---------------------------------------------------------------------
def _is_first(bodies: list[dict[str, Any]]) -> bool:
    """Return whether only a person's first such event counts."""
    firsts = [bool(body.get("First")) for body in bodies]
    if any(firsts) and len(firsts) > 1:
        raise beyond("the first event of each of several entry criteria")
    filtered = any(
        body.get(key)
        for body in bodies
        for key in ("ValueAsNumber", "ValueAsConcept", "VisitType")
    )
    if any(firsts) and filtered:
        raise beyond("a filter on the value or visit of a first event")
    return any(firsts)


def _population(
    primary: Mapping[str, Any], bodies: list[dict[str, Any]], entry: tuple[Event, ...]
) -> Population:
    """Return the entry events, what they ask of age, sex and date, and observation."""
    asked = [
        (
            ages_of(body.get("Age")),
            sexes_of(body.get("Gender")),
            _period(body.get("OccurrenceStartDate")),
        )
        for body in bodies
    ]
    if any(one != asked[0] for one in asked):
        raise beyond("entry criteria that differ in age, sex or date")
    ages, sexes, period = asked[0]
    window = primary["ObservationWindow"]
    return Population(
        entry=entry,
        ages=ages,
        sexes=sexes,
        period=period,
        prior_observation_days=whole(window.get("PriorDays"), 0),
        post_observation_days=whole(window.get("PostDays"), 0),
    )


def _period(asked: Mapping[str, Any] | None) -> tuple[str, str] | None:
    if asked is None:
        return None
    value = datetime.date.fromisoformat(str(asked["Value"]))
    day = datetime.timedelta(days=1)
    first, last = datetime.date(1800, 1, 1), datetime.date(2999, 12, 31)
    match asked["Op"]:
        case "gte":
            first = value
        case "gt":
            first = value + day
        case "lte":
            last = value
        case "lt":
            last = value - day
        case "eq":
            first = last = value
        case "bt":
            first = value
            last = datetime.date.fromisoformat(str(asked["Extent"]))
        case other:
            raise beyond(f"the comparison {other!r} of a date")
    return (first.isoformat(), last.isoformat())


def _occurrence(definition: Mapping[str, Any], *, is_first: bool) -> str:
    """Return which of a person's entry events count, from CIRCE's three limits."""
    primary = _limit(definition["PrimaryCriteria"]["PrimaryCriteriaLimit"])
    qualified = _limit(definition["QualifiedLimit"])
    final = _limit(definition["ExpressionLimit"])
    extra = not _is_empty(definition.get("AdditionalCriteria"))
    if is_first:
        return FIRST
    if primary == "FIRST":
        return ELIGIBLE
    if extra and qualified == "FIRST":
        if definition.get("InclusionRules"):
            raise beyond("rules about the first qualified event alone")
        return ANY
    return EVERY if final == "ALL" else ANY


def _limit(limit: Mapping[str, Any]) -> str:
    kind = str(limit.get("Type") or "FIRST").upper()
    if kind == "LAST":
        raise beyond("the last event of a person")
    if kind not in ("FIRST", "ALL"):
        raise ValueError(kind)
    return "ALL" if kind == "ALL" else "FIRST"


# --- criteria -----------------------------------------------------------------------
def _groups(definition: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the labelled groups that an entry event must meet, without empty ones."""
    found = []
    extra = definition.get("AdditionalCriteria") or {}
    if not _is_empty(extra):
        found.append(("additional criteria", extra))
    for number, rule in enumerate(definition.get("InclusionRules") or [], 1):
        if not _is_empty(rule["expression"]):
            label = in_one_line(rule.get("name")) or f"rule {number}"
            if label in {one for one, _ in found}:
                label += f" ({number})"
            found.append((label, rule["expression"]))
    return found


def _is_empty(group: Mapping[str, Any] | None) -> bool:
    keys = ("CriteriaList", "DemographicCriteriaList", "Groups")
    return group is None or not any(group.get(key) for key in keys)


def _with_demographics(
    population: Population, groups: list[tuple[str, Mapping[str, Any]]]
) -> Population:
    """Take ages and sexes that everybody must have into the population."""
    for _, group in groups:
        for one in group.get("DemographicCriteriaList") or []:
            if str(group["Type"]).upper() != "ALL":
                raise beyond("age or sex as one of several alternatives")
            if population.occurrence == ELIGIBLE:
                raise beyond("age or sex after the first observed event")
            refuse_others(one, ("Age", "Gender"), "a demographic criterion")
            ages, sexes = ages_of(one.get("Age")), sexes_of(one.get("Gender"))
            population = replace(
                population,
                ages=_both_ages(population.ages, ages),
                sexes=_both_sexes(population.sexes, sexes),
            )
    return population


def _both_ages(
    one: tuple[int, int] | None, other: tuple[int, int] | None
) -> tuple[int, int] | None:
    if one is None or other is None:
        return one or other
    both = (max(one[0], other[0]), min(one[1], other[1]))
    if both[0] > both[1]:
        raise beyond("ages that nobody has")
    return both


def _both_sexes(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    if not one or not other:
        return one or other
    both = tuple(sex for sex in one if sex in other)
    if not both:
        raise beyond("sexes that nobody has")
    return both


def _group(
    group: Mapping[str, Any], sets: Mapping[int, ConceptSet], *, top: bool
) -> Criterion | None:
    """Return a group as one criterion; None when only age and sex were in it."""
    if not top and group.get("DemographicCriteriaList"):
        raise beyond("age or sex inside another group")
    inner = [_rule(one, sets) for one in group.get("CriteriaList") or []]
    for part in group.get("Groups") or []:
        if _is_empty(part):
            raise beyond("an empty group inside another")
        found = _group(part, sets, top=False)
        if found is not None:
            inner.append(found)
    if not inner:
        return None
    kind, count = str(group["Type"]).upper(), group.get("Count")
    if kind == "ALL" or (kind == "AT_LEAST" and count == len(inner)):
        return Criterion(all_of=tuple(inner))
    if kind == "ANY" or (kind == "AT_LEAST" and count == 1):
        return Criterion(any_of=tuple(inner))
    if kind == "AT_MOST" and count == 0:
        return Criterion(none_of=tuple(inner))
    raise beyond(f"a group of kind {kind} {count}")


def _rule(one: Mapping[str, Any], sets: Mapping[int, ConceptSet]) -> Criterion:
    """Return one counted criterion with its window."""
    refuse_others(one, RULE, "a rule")
    if one.get("EndWindow"):
        raise beyond("EndWindow: a window on the end of an event")
    if one.get("RestrictVisit"):
        raise beyond("RestrictVisit: events of the same visit")
    criteria = one["Criteria"]
    for body in criteria.values():
        for key in ("First", "Age", "Gender", "OccurrenceStartDate"):
            if body.get(key):
                raise beyond(f"{key} inside a rule")
    occurrence = one["Occurrence"]
    distinct = bool(occurrence.get("IsDistinct"))
    if distinct and occurrence.get("CountColumn") != "START_DATE":
        raise beyond("counting distinct values")
    count = whole(occurrence.get("Count"), 0)
    kind = whole(occurrence.get("Type"), 0)
    least, most = {0: (count, count), 1: (0, count), 2: (count, None)}[kind]
    if kind == 2 and count == 0:
        raise beyond("at least no event")
    return Criterion(
        events=(event_of(criteria, sets, "a rule"),),
        days=_days(one["StartWindow"]),
        at_least=least,
        at_most=most,
        distinct_days=distinct,
        observed=not one.get("IgnoreObservationPeriod"),
    )


def _days(window: Mapping[str, Any]) -> tuple[int, int]:
    refuse_others(window, WINDOW, "a window")
    if window.get("UseIndexEnd"):
        raise beyond("UseIndexEnd: a window around the end of the entry event")
    if window.get("UseEventEnd"):
        raise beyond("UseEventEnd: a window on the end of an event")
    low, high = (_day(window[key]) for key in ("Start", "End"))
    if low > high:
        raise beyond("a window that holds no day")
    return (low, high)


def _day(endpoint: Mapping[str, Any]) -> int:
    days, side = endpoint.get("Days"), whole(endpoint.get("Coeff"), 0)
    if days is None:
        return side * EVER
    return max(-EVER, min(EVER, side * whole(days, 0)))
