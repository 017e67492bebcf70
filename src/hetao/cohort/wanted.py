"""The events of a study, numbered, with the concepts that each comes to at a site."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from hetao.canonical import digest
from hetao.cdm.engine import Engine, literal
from hetao.cdm.vocabulary import resolve_each
from hetao.dictionary import EventColumns, dictionary
from hetao.study import Event, Study
from hetao.study.meaning import EVENTS
from hetao.study.population import EITHER

STANDARD, SOURCE = "standard", "source"


def omop_table(table: str) -> tuple[str, EventColumns]:
    """Return the OMOP table of an event's table, and the columns a cohort reads."""
    name = EVENTS[table]
    columns = dictionary().tables[name].event
    assert columns is not None  # noqa: S101  every table of EVENTS has them
    return name, columns


@dataclass
class Wanted:
    """What a study's plans look for in a site's tables.

    Every event has a number; `where` tells for each event table which of its two
    concept columns can hold any of the ids at all. That follows from the least and
    the largest id in the column, so a site whose tables use one of them only, as most
    do, is read once.

    Attributes:
        engine: over the site's tables.
        numbers: of each event, from 1, in the order first asked for.
        ids: concept ids of a tuple of concept sets and ids.
        fields: `table.column` of all that was read.
    """

    engine: Engine
    study: Study
    numbers: dict[Event, int] = field(default_factory=dict)
    fields: set[str] = field(default_factory=set)
    _sets: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _digests: dict[str, str] = field(default_factory=dict)
    _spans: dict[str, tuple[tuple[int, int], tuple[int, int]]] = field(
        default_factory=dict
    )
    _units: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _tables: int = 0

    def resolve(self) -> None:
        """Work out every concept set of the study, by one plan."""
        for found in resolve_each(self.engine, self.study.concepts):
            self._sets[found.name] = found.ids
            self._digests[found.name] = found.digest
        if self.study.concepts:
            self.read("concept", "concept_id", "vocabulary_id", "concept_code")

    @property
    def digest(self) -> str:
        """Return `sha256:…` over what every concept set came to."""
        return digest({"type": "hetao.resolved-study/1", "sets": self._digests})

    def read(self, table: str, *columns: str) -> None:
        """Note that columns were read."""
        self.fields.update(f"{table}.{column}" for column in columns if column)

    def number(self, event: Event) -> int:
        """Return the number by which plans know an event."""
        return self.numbers.setdefault(event, len(self.numbers) + 1)

    def ids(self, concepts: Iterable[int | str]) -> tuple[int, ...]:
        """Return the concept ids of concept sets and ids, in order, each once."""
        found: set[int] = set()
        for concept in concepts:
            found.update(
                self._sets[concept] if isinstance(concept, str) else (concept,)
            )
        return tuple(sorted(found))

    def unit_ids(self, unit: str) -> tuple[int, ...]:
        """Return the concept ids of a UCUM unit at this site."""
        if unit not in self._units:
            self.read("concept", "concept_id", "vocabulary_id", "concept_code")
            found = self.engine.rows(
                "SELECT concept_id FROM concept WHERE vocabulary_id = 'UCUM' "  # noqa: S608
                f"AND concept_code = {literal(unit)} ORDER BY concept_id"
            )
            self._units[unit] = tuple(int(concept) for (concept,) in found)
        return self._units[unit]

    def forget(self) -> None:
        """Let go of the temporary tables of ids."""
        for number in range(1, self._tables + 1):
            self.engine.drop(f"hetao_wanted_{number}")

    def load(self, table: str, events: Iterable[Event]) -> dict[str, str]:
        """Keep the ids of a table's events as tables `(event_no, concept_id)`.

        Returns:
            The name of the table for the standard and for the source concept column,
            without one in which no id can occur.
        """
        named: dict[str, str] = {}
        spans = self._span(table)
        for side, (low, high) in zip((STANDARD, SOURCE), spans, strict=True):
            pairs = [
                (self.number(event), concept)
                for event in events
                if event.concepts and event.matched in (EITHER, side)
                for concept in self.ids(event.concepts)
                if low <= concept <= high
            ]
            if pairs:
                self._tables += 1
                named[side] = f"hetao_wanted_{self._tables}"
                array = np.array(pairs, dtype=np.int64)
                self.engine.load(
                    named[side], {"event_no": array[:, 0], "concept_id": array[:, 1]}
                )
        return named

    def _span(self, table: str) -> tuple[tuple[int, int], tuple[int, int]]:
        if table not in self._spans:
            name, columns = omop_table(table)
            ((low, high, first, last),) = self.engine.rows(
                f"SELECT min({columns.concept}) AS a, max({columns.concept}) AS b, "  # noqa: S608
                f"min({columns.source_concept}) AS c, max({columns.source_concept}) "
                f"AS d FROM {name}"
            )
            self._spans[table] = (_range(low, high), _range(first, last))
        return self._spans[table]


def _range(low: int | None, high: int | None) -> tuple[int, int]:
    """An empty column holds nothing: a range that no id lies in."""
    return (1, 0) if low is None or high is None else (int(low), int(high))
