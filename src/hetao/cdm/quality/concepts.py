"""Checks of concepts, counted once for each different concept instead of each row."""

from dataclasses import replace

from hetao.cdm.engine import literal
from hetao.cdm.quality.check import Check, checked
from hetao.cdm.quality.present import Present
from hetao.dictionary import Field, Table
from hetao.dictionary.checks import OTHER_SYSTEM

STAND_IN = "Undefined"  # class of a concept that no vocabulary vouches for
CLASSES = {"drug_era.drug_concept_id": "Ingredient"}  # where a class is prescribed

_SOME = "n.concept_id IS NOT NULL AND n.concept_id <> 0"
# Curation writes a stand-in for a concept that no loaded vocabulary holds.
_VOUCHED = f"{_SOME} AND c.concept_class_id <> {literal(STAND_IN)}"
# What is counted of a field's rows `n`, beside the concept `c` and what is wanted `w`.
SUMS = {
    "named": "n.concept_id IS NOT NULL",
    "some": _SOME,
    "lost": f"{_SOME} AND c.concept_id IS NULL",
    "found": _VOUCHED,
    "domain": f"{_VOUCHED} AND c.domain_id <> w.domain",
    "class": f"{_VOUCHED} AND c.concept_class_id <> w.class",
    "loose": f"{_VOUCHED} AND (coalesce(c.standard_concept, '') <> 'S' "
    "OR c.invalid_reason IS NOT NULL)",
    "zero": "n.concept_id = 0",
}


# S608, here and below: every identifier comes from the dictionary.
def count_concepts(present: Present) -> list[Check]:
    """Return the checks of every concept field of the content tables."""
    checks: list[Check] = []
    for table in present.tables():
        fields = [
            table.fields[name]
            for name in present.fields[table.name]
            if table.fields[name].references == "concept.concept_id"
        ]
        if not fields:
            continue
        is_empty = not present.extents[table.name].rows
        filled = [f for f in fields if present.filled(f"{table.name}.{f.name}")]
        counts = _count(present, table, filled) if filled else {}
        none = dict.fromkeys(SUMS, 0)
        for field in fields:
            checks += _field(table, field, counts.get(field.name, none))
        checks += _values(present, table, fields)
        checks += [] if is_empty else _systems(present, table)
    return checks


def _count(
    present: Present, table: Table, fields: list[Field]
) -> dict[str, dict[str, int]]:
    """Return field → what of SUMS is true of how many rows: one census a table.

    It tells how often each concept stands in each of the table's fields.
    """
    census = " UNION ALL ".join(
        f"SELECT {literal(field.name)} AS field, {field.name} AS concept_id, "  # noqa: S608
        f"count(*) AS number FROM {table.name} GROUP BY {field.name}"
        for field in fields
    )
    wanted = ", ".join(
        f"({literal(f.name)}, {literal(_domain(f))}, "
        f"{literal(CLASSES.get(f'{table.name}.{f.name}', ''))})"
        for f in fields
    )
    columns = ", ".join(
        f"sum(CASE WHEN {when} THEN n.number ELSE 0 END) AS {name}"
        for name, when in SUMS.items()
    )
    found = present.engine.rows(
        f"WITH census AS ({census}) "  # noqa: S608
        f"SELECT w.field, {columns} FROM census n "
        f"JOIN (VALUES {wanted}) AS w(field, domain, class) "
        f"ON w.field = n.field LEFT JOIN ({_one_concept()}) c "
        "ON c.concept_id = n.concept_id GROUP BY w.field ORDER BY w.field"
    )
    return {
        str(row[0]): dict(zip(SUMS, map(int, row[1:]), strict=True)) for row in found
    }


def _one_concept() -> str:
    """One row a concept, so that a repeated concept does not count rows twice."""
    return (
        "SELECT concept_id, min(domain_id) AS domain_id, "
        "min(concept_class_id) AS concept_class_id, "
        "max(standard_concept) AS standard_concept, "
        "min(invalid_reason) AS invalid_reason FROM concept GROUP BY concept_id"
    )


def is_source(field: Field) -> bool:
    """Return whether a field holds the source's concept, not the standard one."""
    return field.name.endswith("_source_concept_id")


def _domain(field: Field) -> str:
    return "" if is_source(field) else field.domain


def _field(table: Table, field: Field, n: dict[str, int]) -> list[Check]:
    place = f"{table.name}.{field.name}"
    checks = [checked("isForeignKey", place, (n["lost"], n["some"]), detail="concept")]
    source = is_source(field)
    type_ = f"{'source' if source else 'standard'}ConceptRecordCompleteness"
    complete = checked(type_, place, (n["zero"], n["named"]))
    event = table.event
    main = (event.concept, event.source_concept) if event else ()
    if field.name not in main and not (field.required and not source):
        complete = replace(complete, threshold=1.0)  # it need not be filled
    checks.append(complete)
    if source:
        return checks
    checks.append(checked("isStandardValidConcept", place, (n["loose"], n["found"])))
    if field.domain:
        found = (n["domain"], n["found"])
        checks.append(checked("fkDomain", place, found, detail=field.domain))
    if place in CLASSES:
        found = (n["class"], n["found"])
        checks.append(checked("fkClass", place, found, detail=CLASSES[place]))
    return checks


def _values(present: Present, table: Table, fields: list[Field]) -> list[Check]:
    """Of all different texts of a source value, those without a standard concept."""
    pairs = {
        field.name: f"{field.name.removesuffix('_concept_id')}_source_value"
        for field in fields
        if not is_source(field)
    }
    pairs = {f: v for f, v in pairs.items() if present.has(f"{table.name}.{v}")}
    if not pairs:
        return []
    if not present.extents[table.name].rows:
        places = [f"{table.name}.{value}" for value in sorted(pairs.values())]
        return [checked("sourceValueCompleteness", place, (0, 0)) for place in places]
    found = present.engine.rows(
        " UNION ALL ".join(
            f"SELECT {literal(value)} AS field, "  # noqa: S608
            "count(*) FILTER (WHERE top = 0) AS violated, count(*) AS rows FROM "
            f"(SELECT {value}, max(CASE WHEN {field} <> 0 THEN 1 ELSE 0 END) AS top "
            f"FROM {table.name} WHERE {value} IS NOT NULL GROUP BY {value}) s"
            for field, value in pairs.items()
        )
    )
    return [
        checked(
            "sourceValueCompleteness",
            f"{table.name}.{value}",
            (int(violated), int(rows)),
        )
        for value, violated, rows in sorted(found)
    ]


def _systems(present: Present, table: Table) -> list[Check]:
    """Of each code system, the rows whose code has no standard concept."""
    event = table.event
    if event is None or not event.source_concept:
        return []
    if not present.has(f"{table.name}.{event.source_concept}"):
        return []
    found = present.engine.rows(
        "SELECT coalesce(c.vocabulary_id, '') AS system, "  # noqa: S608
        "sum(CASE WHEN n.standard = 0 THEN n.number ELSE 0 END) AS violated, "
        "sum(n.number) AS rows FROM ("
        f"SELECT coalesce({event.concept}, 0) AS standard, "
        f"{event.source_concept} AS source, count(*) AS number FROM {table.name} "
        f"WHERE {event.source_concept} <> 0 "
        f"GROUP BY coalesce({event.concept}, 0), {event.source_concept}) n "
        "LEFT JOIN (SELECT concept_id, min(vocabulary_id) AS vocabulary_id "
        "FROM concept GROUP BY concept_id) c ON c.concept_id = n.source "
        "GROUP BY coalesce(c.vocabulary_id, '') ORDER BY 1"
    )
    names = {
        system.vocabulary_id: name
        for name, system in present.dictionary.systems.items()
    }
    place = f"{table.name}.{event.concept}"
    merged: dict[str, tuple[int, int]] = {}
    for vocabulary, violated, rows in found:
        name = names.get(str(vocabulary), OTHER_SYSTEM)
        before = merged.get(name, (0, 0))
        merged[name] = (before[0] + int(violated), before[1] + int(rows))
    return [
        checked("codes-unmapped", place, counts, name)
        for name, counts in sorted(merged.items())
    ]
