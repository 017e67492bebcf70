"""CIRCE's criteria and concept sets → events and concept sets of a study."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hetao.errors import NotExpressible
from hetao.study.concepts import ConceptSet
from hetao.study.population import EITHER, SEXES, Event, Value

TABLES = {
    "ConditionOccurrence": "condition",
    "DrugExposure": "drug",
    "ProcedureOccurrence": "procedure",
    "Measurement": "measurement",
    "Observation": "observation",
    "DeviceExposure": "device",
    "VisitOccurrence": "visit",
    "Death": "death",
}
SOURCE_CONCEPTS = {
    table: f"{table.capitalize()}SourceConcept" for table in TABLES.values()
}
PLAIN = ("CodesetId", "First", "Age", "Gender", "OccurrenceStartDate")
VALUED = ("ValueAsNumber", "ValueAsConcept")
OLDEST = 150


def beyond(feature: str) -> NotExpressible:
    """Return the error that names what the cohort algebra cannot express."""
    return NotExpressible(
        f"the cohort algebra cannot express {feature}",
        fix="leave that out in ATLAS, or write this part of the study in study.toml; "
        "hetao cohort build --circe carries the whole definition out at one site",
    )


def concept_sets(listed: Sequence[Mapping[str, Any]]) -> dict[int, ConceptSet]:
    """Return the definition's concept sets by number.

    Raises:
        NotExpressible: a set holds codes that are mapped to concepts.
    """
    return {int(one["id"]): _concept_set(one) for one in listed}


def _concept_set(one: Mapping[str, Any]) -> ConceptSet:
    parts: dict[tuple[bool, bool], set[int]] = {
        (out, spreads): set() for out in (False, True) for spreads in (False, True)
    }
    for item in one["expression"].get("items") or []:
        if item.get("includeMapped"):
            raise beyond("a concept set of mapped codes")
        concept = _id(item["concept"])
        out, spreads = bool(item.get("isExcluded")), item.get("includeDescendants")
        parts[out, bool(spreads)].add(concept)
    return ConceptSet(
        name=f"set_{int(one['id'])}",
        label=in_one_line(one.get("name")) or f"set {int(one['id'])}",
        omop=tuple(sorted(parts[False, True])),
        omop_alone=tuple(sorted(parts[False, False])),
        exclude_omop=tuple(sorted(parts[True, True])),
        exclude_omop_alone=tuple(sorted(parts[True, False])),
    )


def event_of(
    criteria: Mapping[str, Any], sets: Mapping[int, ConceptSet], where: str
) -> Event:
    """Return a criterion's rows as an event; age, sex and date are the caller's.

    Raises:
        NotExpressible: it asks something else of the rows.
    """
    ((kind, body),) = criteria.items()
    if kind not in TABLES:
        raise beyond(f"{kind} as {where}")
    table = TABLES[kind]
    known: tuple[str, ...] = (*PLAIN, "VisitType")
    if table in ("measurement", "observation"):
        known = (*known, *VALUED)
    if table == "visit":
        known = PLAIN
    refuse_others(body, (*known, SOURCE_CONCEPTS[table]), kind)
    number, matched = body.get("CodesetId"), "standard"
    source = SOURCE_CONCEPTS[table]
    if body.get(source) is not None:
        if number is not None:
            raise beyond(f"both CodesetId and {source} of {kind}")
        number, matched = body[source], "source"
    concepts: tuple[int | str, ...] = ()
    if number is None:
        matched = EITHER
    else:
        one = sets.get(int(number))
        if one is None or not (one.omop or one.omop_alone):
            raise beyond("an empty concept set")
        concepts = (one.name,)
    visit = tuple(_ids(body.get("VisitType")))
    return Event(table, concepts, _value(body), visit, matched)


def _value(body: Mapping[str, Any]) -> Value | None:
    number, coded = body.get("ValueAsNumber"), _ids(body.get("ValueAsConcept"))
    if number is None and not coded:
        return None
    return replace(_range(number), concepts=tuple(coded))


def _range(asked: Mapping[str, Any] | None) -> Value:
    """Return the bounds of a number; OHDSI's SQL writes four decimals."""
    if asked is None:
        return Value()
    low = round(float(asked["Value"]), 4)
    match asked["Op"]:
        case "gt":
            found = Value(above=low)
        case "gte":
            found = Value(at_least=low)
        case "lt":
            found = Value(below=low)
        case "lte":
            found = Value(at_most=low)
        case "eq":
            found = Value(at_least=low, at_most=low)
        case "bt":
            high = round(float(asked["Extent"]), 4)
            found = Value(at_least=low, at_most=high)
        case other:
            raise beyond(f"the comparison {other!r} of a value")
    return found


def ages_of(asked: Mapping[str, Any] | None) -> tuple[int, int] | None:
    """Return (youngest, oldest) of an age range; None where nothing is asked."""
    if asked is None:
        return None
    value = whole(asked["Value"], 0)
    match asked["Op"]:
        case "gte":
            found = (value, OLDEST)
        case "gt":
            found = (value + 1, OLDEST)
        case "lt" | "lte":
            # OHDSI's SQL lets events in that lie before the year of birth; ages here
            # count from 0.
            raise beyond("an age without a lower limit")
        case "eq":
            found = (value, value)
        case "bt":
            found = (value, whole(asked["Extent"], 0))
        case other:
            raise beyond(f"the comparison {other!r} of an age")
    return found


def sexes_of(asked: Sequence[Mapping[str, Any]] | None) -> tuple[str, ...]:
    """Return the sexes of a list of concepts; () where nothing is asked."""
    names = {concept: sex for sex, concept in SEXES.items()}
    ids = _ids(asked)
    if any(concept not in names for concept in ids):
        raise beyond("a sex other than male and female")
    return tuple(sorted(names[concept] for concept in ids))


def refuse_others(body: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """Refuse whatever is asked beside the known fields; an empty field asks nothing."""
    for key, value in body.items():
        is_flag = key.endswith("Exclude")
        if key not in known and not is_flag and value not in (None, False, [], {}):
            raise beyond(f"{key} of {where}")


def in_one_line(text: Any) -> str:
    """Return a definition's own words without the spaces around them; "" for none."""
    return " ".join(str(text or "").split())


def whole(value: Any, otherwise: int) -> int:
    """Return a whole number of a definition; `otherwise` where it is absent."""
    if value is None:
        return otherwise
    if isinstance(value, bool) or int(value) != value:
        raise ValueError(value)
    return int(value)


def _ids(concepts: Sequence[Mapping[str, Any]] | None) -> list[int]:
    return sorted({_id(one) for one in concepts or []})


def _id(concept: Mapping[str, Any]) -> int:
    value = concept["CONCEPT_ID"]
    if isinstance(value, bool) or int(value) != float(value):
        raise ValueError(value)
    return int(value)
