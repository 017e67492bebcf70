"""CIRCE definitions → the study's own cohort algebra, where it can say the same.

A definition becomes a `Study` (who enters and when, and which criteria hold) and an
`Exit` (when it ends and how periods join). What the algebra cannot say is refused by
the name of the first such feature, never approximated. `native_rows` carries the two
out by the same plans that any study's cohort is made of, without OHDSI's SQL.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hetao.cohort.circe_events import (
    ages_of,
    beyond,
    concept_sets,
    event_of,
    refuse_others,
    sexes_of,
    whole,
)
from hetao.dictionary import dictionary
from hetao.errors import InvalidStudy
from hetao.study import (
    Analysis,
    ConceptSet,
    Criterion,
    Event,
    Population,
    Study,
    Variable,
)
from hetao.study.population import EVER

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


@dataclass(frozen=True)
class Exit:
    """When somebody leaves a cohort; always at the end of their observation at last.

    Attributes:
        days: after the start or the end of the entry event; None: no such end.
        from_end: count `days` from the event's end.
        exposure: end with the exposure to this event's drugs.
        gap_days: days without supply that still join two exposures.
        grace_days: days after the last one.
        supply_days: taken for every row's days of supply; None: what the row says.
        censor: the first such event on or after the start ends it.
        pad_days: periods that lie so near become one.
        window: (first, last) day to which every period is cut.
    """

    days: int | None = None
    from_end: bool = False
    exposure: Event | None = None
    gap_days: int = 0
    grace_days: int = 0
    supply_days: int | None = None
    censor: tuple[Event, ...] = ()
    pad_days: int = 0
    window: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class NativeCohort:
    """A CIRCE definition in our own terms.

    Attributes:
        study: population, criteria and concept sets; one variable, one count.
        exit: when a period ends.
        one_row: of several entry rows on the index day only the one of the least key
            counts, not the one that ends last.
    """

    study: Study
    exit: Exit
    one_row: bool


def translate(definition: Mapping[str, Any], name: str = "imported") -> NativeCohort:
    """Return the native form of a CIRCE definition.

    Raises:
        InvalidStudy: the definition is not of CIRCE's shape, or (NotExpressible, a
            kind of it) asks something that the algebra cannot say; the first such
            feature is named.
    """
    try:
        return _translate(definition, name)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise InvalidStudy(
            "the CIRCE definition is not of the shape that OHDSI describes",
            fix="export it again from ATLAS",
        ) from error


def _translate(definition: Mapping[str, Any], name: str) -> NativeCohort:
    primary = definition["PrimaryCriteria"]
    sets = concept_sets(definition.get("ConceptSets") or [])
    listed = primary["CriteriaList"]
    entry = tuple(event_of(one, sets, "entry") for one in listed)
    bodies = [body for one in listed for body in one.values()]
    is_first = _is_first(bodies)
    groups = _groups(definition)
    population = _population(primary, bodies, entry)
    criteria = tuple(
        Criterion(label=label, all_of=(found,))
        for label, group in groups
        if (found := _group(group, sets, top=True)) is not None
    )
    has_steps = bool(groups)
    occurrence = _occurrence(definition, is_first=is_first, has_steps=has_steps)
    population = replace(population, occurrence=occurrence)
    population = _with_demographics(population, groups)
    exits = _exit(definition, sets)
    _check_ends(exits, population, is_first=is_first, limited=_is_limited(definition))
    used = _used_sets(sets, population, criteria, exits)
    study = Study(
        name=name,
        title=name,
        question="imported from CIRCE",
        version="1",
        dictionary=dictionary().name,
        dictionary_digest=dictionary().digest,
        sites=("here",),
        variables=(Variable("age", "number", "age", bounds=(0.0, 150.0)),),
        analyses=(Analysis("count", "counts"),),
        criteria=criteria,
        concepts=used,
        population=population,
    )
    return NativeCohort(study, exits, one_row=is_first or occurrence != EVERY)


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


def _occurrence(
    definition: Mapping[str, Any], *, is_first: bool, has_steps: bool
) -> str:
    """Return which of a person's entry events count, from CIRCE's three limits."""
    primary = _limit(definition["PrimaryCriteria"]["PrimaryCriteriaLimit"])
    qualified = _limit(definition["QualifiedLimit"])
    final = _limit(definition["ExpressionLimit"])
    extra = not _is_empty(definition.get("AdditionalCriteria"))
    if is_first:
        return FIRST
    if primary == "FIRST":
        return ELIGIBLE if has_steps else ANY
    if extra and qualified == "FIRST":
        if definition.get("InclusionRules"):
            raise beyond("rules about the first qualified event alone")
        return ANY
    return EVERY if final == "ALL" else ANY


def _limit(limit: Mapping[str, Any]) -> str:
    kind = str(limit.get("Type") or "FIRST").upper()
    if kind == "LAST":
        raise beyond("the last event of a person")
    return "ALL" if kind == "ALL" else "FIRST"


def _is_limited(definition: Mapping[str, Any]) -> bool:
    """Return whether a later limit than the entry's own picks one event a person."""
    primary = _limit(definition["PrimaryCriteria"]["PrimaryCriteriaLimit"])
    return primary == "ALL"


# --- criteria -----------------------------------------------------------------------
def _groups(definition: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the labelled groups that an entry event must meet, without empty ones."""
    found = []
    extra = definition.get("AdditionalCriteria") or {}
    if not _is_empty(extra):
        found.append(("additional criteria", extra))
    for number, rule in enumerate(definition.get("InclusionRules") or [], 1):
        if not _is_empty(rule["expression"]):
            found.append((f"rule {number}", rule["expression"]))
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


# --- when it ends -------------------------------------------------------------------
def _exit(definition: Mapping[str, Any], sets: Mapping[int, ConceptSet]) -> Exit:
    censor = tuple(
        event_of(one, sets, "censoring")
        for one in definition.get("CensoringCriteria") or []
    )
    for one in definition.get("CensoringCriteria") or []:
        for body in one.values():
            for key in ("First", "Age", "Gender", "OccurrenceStartDate"):
                if body.get(key):
                    raise beyond(f"{key} of a censoring event")
    collapse = definition.get("CollapseSettings") or {}
    window = definition.get("CensorWindow") or {}
    found = Exit(
        censor=censor,
        pad_days=whole(collapse.get("EraPad"), 0),
        window=(_iso(window.get("StartDate")), _iso(window.get("EndDate"))),
    )
    strategy = definition.get("EndStrategy") or {}
    if "DateOffset" in strategy:
        offset = strategy["DateOffset"]
        return replace(
            found,
            days=whole(offset.get("Offset"), 0),
            from_end=offset.get("DateField") == "EndDate",
        )
    if "CustomEra" in strategy:
        era = strategy["CustomEra"]
        supply = era.get("DaysSupplyOverride")
        codes = {"DrugExposure": {"CodesetId": era["DrugCodesetId"]}}
        return replace(
            found,
            exposure=event_of(codes, sets, "an exposure"),
            gap_days=whole(era.get("GapDays"), 0),
            grace_days=whole(era.get("Offset"), 0),
            supply_days=None if supply is None else whole(supply, 0),
        )
    if any(strategy.values()):
        raise beyond(f"the end strategy {next(iter(strategy))}")
    return found


def _iso(text: Any) -> str:
    return datetime.date.fromisoformat(str(text)).isoformat() if text else ""


def _check_ends(
    exits: Exit, population: Population, *, is_first: bool, limited: bool
) -> None:
    """Refuse an end that hangs on which of one day's events is picked."""
    if not exits.from_end or population.occurrence == EVERY:
        return
    tables = {event.table for event in population.entry}
    if not is_first and (limited or len(tables) > 1):
        raise beyond("an exit by the end of one of a day's several events")


def _used_sets(
    sets: Mapping[int, ConceptSet],
    population: Population,
    criteria: tuple[Criterion, ...],
    exits: Exit,
) -> tuple[ConceptSet, ...]:
    names: set[int | str] = set()
    events = [*population.entry, *exits.censor]
    events += [exits.exposure] if exits.exposure else []
    stack = list(criteria)
    while stack:
        one = stack.pop()
        events += one.events
        stack += [*one.all_of, *one.any_of, *one.none_of]
    for event in events:
        names |= {*event.concepts}
    found = [one for one in sets.values() if one.name in names]
    return tuple(sorted(found, key=lambda one: one.name))
