"""Concept sets → the concept ids that they come to in a site's tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hetao.canonical import digest
from hetao.cdm.engine import Engine
from hetao.cdm.vocabulary.matching import patterns
from hetao.study import ConceptSet

INSIDE, OUTSIDE = 1, 0
CODES: Final = "hetao_listed_code"
IDS: Final = "hetao_listed_id"


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
    _load(engine, sets)
    try:
        for place, concept in engine.rows(PLAN):
            found[int(place)].append(int(concept))
    finally:
        engine.drop(CODES)
        engine.drop(IDS)
    return tuple(
        Resolved(concepts.name, tuple(ids))
        for concepts, ids in zip(sets, found, strict=True)
    )


def _load(engine: Engine, sets: Sequence[ConceptSet]) -> None:
    """Have what the sets list in two temporary tables: a plan's text stays short.

    Sets of many thousand codes are common, and a plan is read by two parsers.

    Raises:
        InvalidStudy: as `resolve_each`.
    """
    codes = [
        (place, side, one.vocabulary, one.how, one.text)
        for place, concepts in enumerate(sets)
        for side, lists in ((INSIDE, concepts.lists), (OUTSIDE, concepts.exclude))
        for codes in lists
        for one in patterns(codes)
    ]
    ids = [
        (place, side, spreads, concept)
        for place, one in enumerate(sets)
        for side, spreads, listed in (
            (INSIDE, 1, one.omop),
            (INSIDE, 0, one.omop_alone),
            (OUTSIDE, 1, one.exclude_omop),
            (OUTSIDE, 0, one.exclude_omop_alone),
        )
        for concept in listed
    ]
    names = ("place", "side", "vocabulary", "how", "pattern")
    texts = np.array(codes, dtype=object).reshape(-1, len(names)).T
    kinds = (np.int64, np.int64, object, object, object)
    columns = zip(names, texts, kinds, strict=True)
    engine.load(CODES, {name: values.astype(kind) for name, values, kind in columns})
    numbers = np.array(ids, dtype=np.int64).reshape(-1, 4).T
    fields = ("place", "side", "spreads", "concept_id")
    engine.load(IDS, dict(zip(fields, numbers, strict=True)))


PLAN: Final = f"""
WITH coded AS (
    SELECT concept_id, vocabulary_id, upper(concept_code) AS code,
        replace(upper(concept_code), '.', '') AS plain
    FROM concept
    WHERE vocabulary_id IN (SELECT vocabulary FROM {CODES})
),
matched AS (
    SELECT w.place, w.side, 1 AS spreads, c.concept_id
    FROM {CODES} AS w
    JOIN coded AS c ON c.vocabulary_id = w.vocabulary AND c.code = w.pattern
    WHERE w.how = 'exact'
    UNION
    SELECT w.place, w.side, 1 AS spreads, c.concept_id
    FROM {CODES} AS w
    JOIN coded AS c ON c.vocabulary_id = w.vocabulary
    WHERE (w.how = 'prefix' AND starts_with(c.plain, w.pattern))
        OR (w.how = 'section' AND starts_with(c.code || '.', w.pattern))
    UNION
    SELECT place, side, spreads, concept_id FROM {IDS}
),
spread AS (
    SELECT place, side, concept_id FROM matched
    UNION
    SELECT m.place, m.side, a.descendant_concept_id
    FROM matched AS m
    JOIN concept_ancestor AS a ON a.ancestor_concept_id = m.concept_id
    JOIN concept AS d ON d.concept_id = a.descendant_concept_id
    WHERE m.spreads = 1 AND d.invalid_reason IS NULL
)
SELECT place, concept_id FROM (
    SELECT place, concept_id FROM spread WHERE side = {INSIDE}
    EXCEPT
    SELECT place, concept_id FROM spread WHERE side = {OUTSIDE}
) AS kept
ORDER BY place, concept_id
"""  # noqa: S608  names and numbers of our own
