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
from hetao.study.population import EITHER, TABLES

STANDARD, SOURCE = "standard", "source"  # the two concept columns of a table
SIDES = (STANDARD, SOURCE)
WANTED = "hetao_wanted"


def omop_table(table: str) -> tuple[str, EventColumns]:
    """Return the OMOP table of an event's table, and the columns a cohort reads."""
    name = EVENTS[table]
    columns = dictionary().tables[name].event
    assert columns is not None  # noqa: S101  every table of EVENTS has them
    return name, columns


@dataclass
class Wanted:
    """What a study's plans look for in a site's tables.

    Every event has a number. Which of a table's two concept columns can hold any of
    its ids follows from the least and the largest id in the column, so a site whose
    tables use one of them only, as most do, is scanned once.

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
    _spans: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    _ids: dict[tuple[Event, str], list[int]] = field(default_factory=dict)
    _loaded: set[Event] = field(default_factory=set)
    _units: dict[str, tuple[int, ...]] = field(default_factory=dict)

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
        """Let go of the temporary table of ids."""
        self.engine.drop(WANTED)

    def ensure(self, events: Iterable[Event]) -> None:
        """Have the ids of events in the temporary table that scans are joined with.

        It is `hetao_wanted (part, event_no, concept_id)`: a part is one concept column
        of one table, and holds only ids that can occur in it.
        """
        new = [event for event in dict.fromkeys(events) if event not in self._loaded]
        if not new:
            return
        self._loaded.update(new)
        self._read_spans({event.table for event in new if event.concepts})
        for event in new:
            for side in _sides(event):
                low, high = self._spans[event.table, side]
                ids = [one for one in self.ids(event.concepts) if low <= one <= high]
                if ids:
                    self._ids[event, side] = ids
        rows = [
            (part_of(event.table, side), self.number(event), concept)
            for (event, side), ids in self._ids.items()
            for concept in ids
        ]
        array = np.array(rows, dtype=np.int64).reshape(-1, 3)
        names = ("part", "event_no", "concept_id")
        self.engine.load(WANTED, dict(zip(names, array.T, strict=True)))

    def occurring(self, events: Iterable[Event], side: str) -> list[int]:
        """Return the numbers of the events of which a column can hold an id at all."""
        return [self.number(event) for event in events if (event, side) in self._ids]

    def _read_spans(self, tables: Iterable[str]) -> None:
        """Read the least and the largest id of the tables' columns, by one plan."""
        parts = []
        for table in sorted(tables):
            name, columns = omop_table(table)
            both = (columns.concept, columns.source_concept)
            for side, column in zip(SIDES, both, strict=True):
                if (table, side) not in self._spans:
                    parts.append(
                        f"SELECT {part_of(table, side)} AS part, min({column}) AS low, "  # noqa: S608
                        f"max({column}) AS high FROM {name}"
                    )
        if not parts:
            return
        for part, low, high in self.engine.rows(" UNION ALL ".join(parts)):
            self._spans[TABLES[part // 2], SIDES[part % 2]] = _range(low, high)


def _sides(event: Event) -> tuple[str, ...]:
    """Return the concept columns in which an event is looked for."""
    if not event.concepts:
        return ()
    return tuple(side for side in SIDES if event.matched in (EITHER, side))


def part_of(table: str, side: str) -> int:
    """Return the number of one concept column of one event table."""
    return 2 * TABLES.index(table) + SIDES.index(side)


def _range(low: int | None, high: int | None) -> tuple[int, int]:
    """An empty column holds nothing: a range that no id lies in."""
    return (1, 0) if low is None or high is None else (int(low), int(high))
