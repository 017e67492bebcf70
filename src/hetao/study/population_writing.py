"""The cohort algebra → tables as an author writes them; reading gives them back."""

import dataclasses
import json
from collections.abc import Iterable, Iterator
from typing import Any

from hetao.study.concepts import CodeList, ConceptSet
from hetao.study.model import Study, Variable
from hetao.study.population import EITHER, Criterion, Event, Population, Value


def population_table(
    population: Population, criteria: Iterable[Criterion]
) -> dict[str, Any]:
    """Return the body of `[population]`, empty if nothing is said there."""
    body = _written(population, ("arms",))
    if written := [_criterion(one) for one in criteria]:
        body["criteria"] = written
    if population.arms:
        body["arms"] = {arm.name: _written(arm) for arm in population.arms}
    return body


def concept_table(concepts: ConceptSet) -> dict[str, Any]:
    """Return the body of `[concepts.NAME]`."""

    def written(
        lists: tuple[CodeList, ...], omop: tuple[int, ...], alone: tuple[int, ...]
    ) -> dict[str, Any]:
        found: dict[str, Any] = {one.system: list(one.codes) for one in lists}
        ids = {"omop": list(omop), "omop_alone": list(alone)}
        return found | {key: listed for key, listed in ids.items() if listed}

    body: dict[str, Any] = {"label": concepts.label} if concepts.label else {}
    body |= written(concepts.lists, concepts.omop, concepts.omop_alone)
    excluded = written(
        concepts.exclude, concepts.exclude_omop, concepts.exclude_omop_alone
    )
    return body | ({"exclude": excluded} if excluded else {})


def cohort_tables(study: Study) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the names and bodies of `[follow_up]`, `[outcomes]`, `[scores]`, …."""
    if study.follow_up is not None:
        yield "follow_up", _written(study.follow_up)
    if study.intervals is not None:
        yield "intervals", _written(study.intervals, ("windows",))
        for one in study.intervals.windows:
            yield f"intervals.windows.{json.dumps(one.name)}", _written(one)
    for outcome in study.outcomes:
        yield f"outcomes.{json.dumps(outcome.name)}", _written(outcome)
    for score in study.scores:
        items = {item.name: _written(item) for item in score.items}
        body = _written(score, ("items",)) | {"items": items}
        yield f"scores.{json.dumps(score.name)}", body
    if study.matching is not None:
        body = _written(study.matching, ("nearest",))
        if study.matching.nearest:
            pairs = {one.variable: one.caliper for one in study.matching.nearest}
            body["nearest"] = pairs
        yield "matching", body


def variable_table(variable: Variable) -> dict[str, Any]:
    """Return the body of `[variables.NAME]`."""
    body = _written(variable, ("levels",))
    body["kind"] = variable.kind
    if variable.levels:
        body["levels"] = [dataclasses.asdict(level) for level in variable.levels]
    return body


def _written(value: Any, left_out: Iterable[str] = ()) -> dict[str, Any]:
    """Return the fields that differ from their defaults, without the name."""
    body: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        found = getattr(value, field.name)
        if field.name in left_out or field.name == "name" or found == field.default:
            continue
        body[field.name] = _value(found)
    return body


def _value(found: Any) -> Any:
    match found:
        case Event():
            return _event(found)
        case Value():
            return _row_value(found)
        case list() | tuple():
            return [_value(item) for item in found]
    return _written(found) if dataclasses.is_dataclass(found) else found


def _event(event: Event) -> dict[str, Any]:
    body: dict[str, Any] = {event.table: list(event.concepts)}
    if event.value is not None:
        body |= _row_value(event.value)
    if event.visit:
        body["within_visit"] = list(event.visit)
    if event.matched != EITHER:
        body["matched"] = event.matched
    return body


def _row_value(value: Value) -> dict[str, Any]:
    body = _written(value)
    if "concepts" in body:
        body["answers"] = body.pop("concepts")
    return body


def _criterion(one: Criterion) -> dict[str, Any]:
    body = _written(one, ("at_least", "all_of", "any_of", "none_of"))
    if one.events:
        body["at_least"] = one.at_least
    for key in ("all_of", "any_of", "none_of"):
        inner = getattr(one, key)
        if inner:
            body[key] = [_criterion(part) for part in inner]
    return body
