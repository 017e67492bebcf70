"""The data dictionary as values: tables, fields and the level of what is read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hetao.dictionary.analytes import Analyte
from hetao.dictionary.systems import System
from hetao.dictionary.units import Unit
from hetao.errors import InvalidMapping

UNKNOWN_LEVEL = 5  # what the dictionary does not know is graded as the most sensitive


@dataclass(frozen=True)
class Field:
    """One field of a table.

    Attributes:
        name: OMOP's name.
        type: "bigint", "integer", "date", "timestamp", "text" or "decimal".
        level: 1 (public) to 5 (most sensitive), after GB/T 39725-2020.
        category: what GB/T 39725-2020 calls the data: "personal", "health",
            "treatment", "payment", "resource" or "public".
        identifier: "none", "direct", "quasi" or "pseudonym".
        unit: UCUM unit of a number; "@analyte" where the row's analyte decides.
        required: never empty.
        key: part of the table's key.
        references: "table.field" that it points to; "" for none.
        domain: OMOP's domain of a concept; "" for any.
        element: the WS/T 363 data element; "" for none.
        oid: of the code system that the source has it in; "" for none.
        hgr: whether it tells of human genetic resources, so that what is made of it
            must be reported before it leaves the Mainland.
        important: a hint, no law: of so many people it may be important data; 0 for
            none. See `docs/specs/dictionary.md` for where the number comes from.
        duo: codes of the Data Use Ontology to which its use is limited; () for none.
        label, definition: by language: "en", "zh-Hant", "zh-Hans".
    """

    name: str
    type: str
    level: int
    category: str
    identifier: str
    unit: str
    required: bool
    key: bool
    references: str
    domain: str
    element: str
    oid: str
    hgr: bool
    important: int
    duo: tuple[str, ...]
    label: Mapping[str, str]
    definition: Mapping[str, str]


@dataclass(frozen=True)
class EventColumns:
    """The columns of an event table that a cohort reads; "" where there is none."""

    concept: str
    source_concept: str
    source_value: str
    date: str
    end_date: str
    datetime: str
    key: str


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: OMOP's name.
        kind: "content" (of patients), "vocabulary" (of concepts) or "record" (about
            the curation itself).
        fields: by name, in order.
        key: columns whose order is total: no two rows share all of them.
        event: what a cohort reads of it; None when its rows are no events.
        label, definition: by language: "en", "zh-Hant", "zh-Hans".
    """

    name: str
    kind: str
    fields: Mapping[str, Field]
    key: tuple[str, ...]
    event: EventColumns | None
    label: Mapping[str, str]
    definition: Mapping[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the column names in order."""
        return tuple(self.fields)

    @property
    def required(self) -> tuple[str, ...]:
        """Return the columns that are never empty, in order."""
        return tuple(name for name, field in self.fields.items() if field.required)


@dataclass(frozen=True)
class Dictionary:
    """The whole data dictionary.

    Attributes:
        name: "omop-5.4".
        digest: `sha256:…` over the canonical form of everything in it.
        tables, analytes, systems, units: by name, in order.
    """

    name: str
    digest: str
    tables: Mapping[str, Table]
    analytes: Mapping[str, Analyte]
    systems: Mapping[str, System]
    units: Mapping[str, Unit]

    def field(self, path: str) -> Field:
        """Return the field of a `table.field`.

        Raises:
            InvalidMapping: the dictionary has no such field.
        """
        name, _, column = path.partition(".")
        table = self.table(name)
        if column not in table.fields:
            raise InvalidMapping(
                f"the data dictionary has no field {path[:120]!r}",
                fix=f"known fields: {', '.join(table.columns)}",
            )
        return table.fields[column]

    def table(self, name: str) -> Table:
        """Return the table of that name.

        Raises:
            InvalidMapping: the dictionary has no such table.
        """
        if name not in self.tables:
            raise InvalidMapping(
                f"the data dictionary has no table {name[:60]!r}",
                fix="known tables: " + ", ".join(self.tables),
            )
        return self.tables[name]

    def level(self, fields: Iterable[str]) -> int:
        """Return the highest level of these `table.field`s.

        An unknown field counts as level 5. Nothing read is level 1: it says nothing.
        """
        return max((self._level(path) for path in fields), default=1)

    def _level(self, path: str) -> int:
        table, _, name = path.partition(".")
        if table not in self.tables or name not in self.tables[table].fields:
            return UNKNOWN_LEVEL
        return self.tables[table].fields[name].level
