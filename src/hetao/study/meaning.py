"""What a study means by the data dictionary: which one, and what it reads of it."""

import re
from collections.abc import Iterable
from typing import Any

from hetao.dictionary import dictionary
from hetao.errors import InvalidStudy
from hetao.study.model import SITE, Analysis, Study
from hetao.study.terms import names_of, parse_criterion, parse_expression, parse_term

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
INDEX = (
    "visit_occurrence.person_id",
    "visit_occurrence.visit_concept_id",
    "visit_occurrence.visit_start_date",
)
FOLLOWED = (
    "death.death_date",
    "observation_period.observation_period_start_date",
    "observation_period.observation_period_end_date",
)
PERSON = {
    "age": ("person.year_of_birth",),
    "sex": ("person.gender_concept_id",),
    "death": FOLLOWED,
    "time_to_death": FOLLOWED,
    SITE: (),
}
EVENTS = {
    "measurement": "measurement",
    "observation": "observation",
    "condition": "condition_occurrence",
    "drug": "drug_exposure",
}
VALUES = ("value_as_number", "value_as_concept_id", "unit_concept_id")


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

    These are the fields of its variables, of the variables of every criterion, and
    of the index day. A variable that the dictionary knows no field for, such as a
    column of a flat table, counts as a field of that name, so that it is graded as
    unknown.
    """
    found = set(INDEX) if study.dictionary == dictionary().name else set()
    for name in {*_of_analysis(analysis), *_of_criteria(study)}:
        found.update(_fields(study, name))
    return tuple(sorted(found))


def _of_analysis(analysis: Analysis) -> Iterable[str]:
    yield from filter(None, (analysis.outcome, analysis.time, analysis.event))
    yield from filter(None, (analysis.by, *analysis.strata, *analysis.variables))
    for term in analysis.terms:
        yield from parse_term(term).names
    if analysis.offset:
        yield from names_of(parse_expression(analysis.offset))


def _of_criteria(study: Study) -> Iterable[str]:
    for criterion in study.criteria:
        yield from (found.variable for found in parse_criterion(criterion.rule))


def _fields(study: Study, name: str) -> tuple[str, ...]:
    variable = study.variable(name)
    if variable.source in PERSON:
        return PERSON[variable.source]
    if variable.source not in EVENTS:
        return (f"{variable.source}.{variable.column or variable.name}",)
    table = dictionary().tables[EVENTS[variable.source]]
    if table.event is None:
        return (f"{table.name}.?",)
    read = [table.event.concept, table.event.source_concept, table.event.date]
    read += [value for value in VALUES if value in table.fields]
    return ("person.person_id", *(f"{table.name}.{column}" for column in read))
