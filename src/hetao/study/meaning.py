"""What a study means by the data dictionary: which one, and what it reads of it."""

import dataclasses
import functools
import re
import typing
from collections.abc import Iterator
from typing import Any

from hetao.dictionary import dictionary
from hetao.errors import InvalidStudy
from hetao.study.model import SITE, Analysis, Study, Variable
from hetao.study.population import Event
from hetao.study.terms import names_of, parse_criterion, parse_expression, parse_term

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
EVENTS = {
    "condition": "condition_occurrence",
    "drug": "drug_exposure",
    "procedure": "procedure_occurrence",
    "measurement": "measurement",
    "observation": "observation",
    "device": "device_exposure",
    "visit": "visit_occurrence",
    "death": "death",
}
VALUES = ("value_as_number", "value_as_concept_id", "unit_concept_id")
VISIT = ("visit_occurrence_id", "visit_concept_id", "visit_source_concept_id")
CONCEPT = ("concept.concept_id", "concept.vocabulary_id", "concept.concept_code")
# What lies under a concept decides what a concept set comes to.
UNDER_CONCEPTS = (
    "concept.invalid_reason",
    "concept_ancestor.ancestor_concept_id",
    "concept_ancestor.descendant_concept_id",
)
BIRTH, SEX = "person.year_of_birth", "person.gender_concept_id"
CARRIED = (BIRTH, SEX)  # every plan takes them along, whether or not they are used
OBSERVED = (
    "observation_period.person_id",
    "observation_period.observation_period_start_date",
    "observation_period.observation_period_end_date",
)
FOLLOWED = ("death.person_id", "death.death_date", *OBSERVED)
ON_INDEX_DAY = {
    "age": (BIRTH,),
    "sex": (SEX,),
    "death": FOLLOWED,
    "time_to_death": FOLLOWED,
    "time_at_risk": FOLLOWED,
    "outcome": FOLLOWED,
    "outcome_count": FOLLOWED,
    "score": (BIRTH, SEX),
    "index_day": (),
    "month": (),
    "arm": (),
    "person": ("person.person_id",),
    "interval_start": FOLLOWED,
    "interval_stop": FOLLOWED,
    "interval_days": FOLLOWED,
    "window": FOLLOWED,
    "case": FOLLOWED,
    SITE: (),
}


def with_digest(fields: dict[str, Any], where: str) -> dict[str, Any]:
    """Return an author's study with the digest of the dictionary it is written for.

    Raises:
        InvalidStudy: the author names the digest of another data dictionary.
    """
    here = dictionary()
    if fields.get("dictionary") != here.name:
        return fields
    said = fields.setdefault("dictionary_digest", here.digest)
    if said != here.digest:
        raise InvalidStudy(
            f"{where} [study]: dictionary_digest is that of another data dictionary "
            f"than this installation's {here.name}",
            fix="read what changed, then leave dictionary_digest out to take this one",
        )
    return fields


def check_digest(study: Study, where: str) -> None:
    """Check that a study names its dictionary's digest, or none for a flat table.

    Whether it is this installation's does not matter here: a verifier reads studies
    of the past, and a site compares it with its own snapshot's.

    Raises:
        InvalidStudy: the digest is missing or is none.
    """
    if study.dictionary == dictionary().name:
        if not DIGEST.fullmatch(study.dictionary_digest):
            raise InvalidStudy(f"{where}: dictionary_digest is missing or no digest")
    elif study.dictionary_digest:
        raise InvalidStudy(
            f"{where}: dictionary_digest belongs to {dictionary().name} alone"
        )


def fields_read(study: Study, analysis: Analysis) -> tuple[str, ...]:
    """Return the `table.field`s that decide an analysis, sorted, each once.

    These are the fields of its variables, of who enters the study and how they are
    followed. A variable that the dictionary knows no field for, such as a column of a
    flat table, counts as a field of that name, so that it is graded as unknown.
    """
    found: set[str] = set()
    if study.dictionary == dictionary().name:
        found.update(_of_population(study))
    for name in {*_of_analysis(analysis), *_of_rules(study)}:
        found.update(_of_variable(study, study.variable(name)))
    return tuple(sorted(found))


def fields_touched(study: Study, analysis: Analysis) -> tuple[str, ...]:
    """Return the `table.field`s that an analysis is made of, sorted, each once.

    Beside those that decide it, these are what every plan carries along. What leaves
    is graded by them, at the site and by whoever verifies.

    Source:
        `tests/attack/test_study_lineage.py` holds them to the SQL that is carried out.
    """
    carried = CARRIED if study.dictionary == dictionary().name else ()
    return tuple(sorted({*fields_read(study, analysis), *carried}))


def _of_analysis(analysis: Analysis) -> Iterator[str]:
    yield from filter(None, (analysis.outcome, analysis.time, analysis.event))
    names = (
        analysis.start,
        analysis.treatment,
        analysis.by,
        analysis.weights,
        analysis.person,
        analysis.matched,
        *analysis.strata,
        *analysis.variables,
        *analysis.exposures,
        *analysis.outcomes,
        *analysis.times,
    )
    yield from filter(None, names)
    for term in (*analysis.terms, *analysis.score):
        yield from parse_term(term).names
    if analysis.offset:
        yield from names_of(parse_expression(analysis.offset))


def _of_rules(study: Study) -> Iterator[str]:
    for criterion in study.criteria:
        if criterion.rule:
            yield from (found.variable for found in parse_criterion(criterion.rule))
    if study.matching:
        yield from study.matching.exact
        yield from (near.variable for near in study.matching.nearest)


def _of_population(study: Study) -> Iterator[str]:
    population = study.population
    yield "person.person_id"
    yield from CONCEPT
    if study.concepts:
        yield from UNDER_CONCEPTS
    for event in (*population.entry_events, *events_in(population)):
        yield from _of_event(event)
    for event in events_in((study.criteria, study.follow_up, study.intervals)):
        yield from _of_event(event)
    if population.ages:
        yield BIRTH
    if population.sexes:
        yield SEX
    asks_days = population.prior_observation_days is not None
    asks_days = asks_days or bool(population.dates)
    if study.intervals is not None:
        yield from FOLLOWED
        ends = [o for o in study.outcomes if o.name == study.intervals.outcome]
        for event in events_in(ends):
            yield from _of_event(event)
    if asks_days or population.post_observation_days or study.follow_up:
        yield from OBSERVED
    if study.follow_up:
        yield from FOLLOWED


def _of_variable(study: Study, variable: Variable) -> Iterator[str]:
    events = list(variable.event_rows)
    if variable.outcome:
        events += events_in([o for o in study.outcomes if o.name == variable.outcome])
    if variable.score:
        events += events_in([s for s in study.scores if s.name == variable.score])
    for event in events:
        yield from _of_event(event)
    if variable.source in ON_INDEX_DAY:
        yield from ON_INDEX_DAY[variable.source]
    elif not events:
        table = "flat" if variable.source == "column" else variable.source
        yield f"{table}.{variable.column or variable.name}"


def _of_event(event: Event) -> Iterator[str]:
    table = dictionary().tables[EVENTS[event.table]]
    named = ["person_id", *VALUES]
    if table.event is not None:
        columns = table.event  # times and keys too: they decide which row is the last
        named += [columns.concept, columns.source_concept, columns.date]
        named += [columns.end_date, columns.datetime, columns.key]
    if event.table == "drug":
        named.append("days_supply")
    if event.visit:
        named.append("visit_occurrence_id")
        yield from (f"visit_occurrence.{name}" for name in VISIT)
    yield from (f"{table.name}.{name}" for name in named if name in table.fields)


def events_in(value: Any) -> Iterator[Event]:
    """Yield every event inside a part of the study, however deep."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from events_in(item)
    elif isinstance(value, Event):
        yield value
    elif dataclasses.is_dataclass(value):
        for part in _parts((type(value),)):
            yield from events_in(getattr(value, part))


@functools.cache
def _parts(of: tuple[type[Any]]) -> tuple[str, ...]:
    """Return the fields of a dataclass that may hold more than one plain value."""
    hints = typing.get_type_hints(of[0])
    return tuple(
        one.name
        for one in dataclasses.fields(of[0])
        if hints[one.name] not in (str, int, float, bool)
    )
