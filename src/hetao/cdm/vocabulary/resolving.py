"""Concept sets → the concept ids that they come to in a site's tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from hetao.canonical import digest
from hetao.cdm.engine import Engine, literal
from hetao.cdm.vocabulary.matching import patterns
from hetao.study import CodeList, ConceptSet

INSIDE, OUTSIDE = 1, 0


@dataclass(frozen=True)
class Resolved:
    """One concept set as a site's tables know it.

    An event is in the set when its concept or its source concept is among `ids`.

    Attributes:
        name: of the concept set.
        ids: concept ids, in order, each once. Which of a site's own codes occur is
            the site's own knowledge: `ids` never leave it.
        digest: `sha256:…` over `ids`, to see that two resolutions are the same.
    """

    name: str
    ids: tuple[int, ...]

    @property
    def digest(self) -> str:
        """Return `sha256:…` over the name and the ids."""
        body = {"type": "hetao.resolved/1", "name": self.name, "ids": list(self.ids)}
        return digest(body)


def resolve(engine: Engine, concepts: ConceptSet) -> Resolved:
    """Return the ids of one concept set; see `resolve_each`."""
    return resolve_each(engine, (concepts,))[0]


def resolve_each(engine: Engine, sets: Sequence[ConceptSet]) -> tuple[Resolved, ...]:
    """Return the ids of each concept set, in the order given, by one plan.

    A set's ids are the concepts that its code lists meet, its `omop` ids whether or
    not the tables know them, all descendants of both that are still valid, and the
    ids of `omop_alone`; less what the same parts of its exclusions come to.

    Args:
        engine: over tables that hold `concept` and `concept_ancestor`.
        sets: concept sets of a study.

    Raises:
        InvalidStudy: a set names a code system that the data dictionary lacks.
    """
    if not sets:
        return ()
    found: list[list[int]] = [[] for _ in sets]
    for place, concept in engine.rows(plan(sets)):
        found[int(place)].append(int(concept))
    return tuple(
        Resolved(concepts.name, tuple(ids))
        for concepts, ids in zip(sets, found, strict=True)
    )


def plan(sets: Sequence[ConceptSet]) -> str:
    """Return the plan of `place`, a set's place among `sets`, and `concept_id`.

    Raises:
        InvalidStudy: as `resolve_each`.
    """
    codes = [
        row
        for place, one in enumerate(sets)
        for side, lists in ((INSIDE, one.lists), (OUTSIDE, one.exclude))
        for row in _wanted(place, side, lists)
    ]
    ids = [
        f"({place}, {side}, {spread}, CAST({concept} AS BIGINT))"
        for place, one in enumerate(sets)
        for side, spread, listed in (
            (INSIDE, "TRUE", one.omop),
            (INSIDE, "FALSE", one.omop_alone),
            (OUTSIDE, "TRUE", one.exclude_omop),
            (OUTSIDE, "FALSE", one.exclude_omop_alone),
        )
        for concept in listed
    ]
    parts, matched = [], []
    if codes:
        parts.append(
            "wanted(place, side, vocabulary, how, pattern) AS (VALUES "
            + ", ".join(codes)
            + ")"
        )
        parts.append(_MATCHED)
        matched.append("SELECT place, side, TRUE AS spreads, concept_id FROM met")
    if ids:
        parts.append(
            "listed(place, side, spreads, concept_id) AS (VALUES "
            + ", ".join(ids)
            + ")"
        )
        matched.append("SELECT place, side, spreads, concept_id FROM listed")
    # S608: patterns are quoted by `literal`, the rest are numbers and our own words.
    return f"""
WITH {", ".join(parts)},
matched AS ({" UNION ".join(matched)}),
spread AS (
    SELECT place, side, concept_id FROM matched
    UNION
    SELECT m.place, m.side, a.descendant_concept_id
    FROM matched AS m
    JOIN concept_ancestor AS a ON a.ancestor_concept_id = m.concept_id
    JOIN concept AS d ON d.concept_id = a.descendant_concept_id
    WHERE m.spreads AND d.invalid_reason IS NULL
)
SELECT place, concept_id FROM (
    SELECT place, concept_id FROM spread WHERE side = {INSIDE}
    EXCEPT
    SELECT place, concept_id FROM spread WHERE side = {OUTSIDE}
) AS kept
ORDER BY place, concept_id
"""  # noqa: S608


_MATCHED = """
coded AS (
    SELECT concept_id, vocabulary_id, upper(concept_code) AS code,
        replace(upper(concept_code), '.', '') AS plain
    FROM concept
    WHERE vocabulary_id IN (SELECT vocabulary FROM wanted)
),
met AS (
    SELECT w.place, w.side, c.concept_id
    FROM wanted AS w
    JOIN coded AS c ON c.vocabulary_id = w.vocabulary AND c.code = w.pattern
    WHERE w.how = 'exact'
    UNION
    SELECT w.place, w.side, c.concept_id
    FROM wanted AS w
    JOIN coded AS c ON c.vocabulary_id = w.vocabulary
    WHERE (w.how = 'prefix' AND starts_with(c.plain, w.pattern))
        OR (w.how = 'section' AND starts_with(c.code || '.', w.pattern))
)"""


def _wanted(place: int, side: int, lists: Sequence[CodeList]) -> list[str]:
    return [
        f"({place}, {side}, {', '.join(map(literal, (p.vocabulary, p.how, p.text)))})"
        for one in lists
        for p in patterns(one)
    ]
