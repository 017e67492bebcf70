"""The rows of a study's events, joined with the people who are looked at.

One scan of each event table, however many events: a row comes once for every event
that it is, with the event's number. An event is met by the standard or by the source
concept; a row that meets it by both comes once all the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from hetao.cohort.wanted import (
    SOURCE,
    STANDARD,
    WANTED,
    Wanted,
    omop_table,
    part_of,
)
from hetao.dictionary import EventColumns
from hetao.errors import InvalidData
from hetao.study import Event, Value
from hetao.study.population import EITHER, EVER

NUMBER = "CAST({0} AS DECIMAL(18,6))"
# Columns that a caller may ask for, as SQL over the event table `x`.
WHEN, VALUE, CODED = "instant", "number", "coded"
UNIT, SUPPLY, END, KEY = "unit_id", "supply", "last_day", "row_key"


@dataclass(frozen=True)
class Base:
    """The people that rows are joined with.

    Attributes:
        table: a temporary table of `person_id` and `day`, the index day.
        columns: its columns that the result carries on.
        where: a condition on it, as `c`.
        window: (from, to) around the index day that holds every row looked for.
    """

    table: str
    columns: tuple[str, ...]
    where: str = ""
    window: tuple[int, int] = (-EVER, EVER)


def event_rows(
    wanted: Wanted,
    events: Sequence[Event],
    base: Base | None = None,
    extras: Sequence[str] = (),
) -> str:
    """Return SQL for the rows of events.

    Args:
        wanted: numbers and concepts.
        events: what counts; of any tables.
        base: the people joined with; None for everybody.
        extras: further columns, of WHEN, VALUE, CODED, UNIT, SUPPLY, END, KEY.

    Returns:
        A SELECT of `event_no`, `event_day`, `person_id` without a base, or the base's
        columns and `days` (from index day to event), and the extras. NULL stands for
        an extra that the event's table does not have.
    """
    wanted.ensure(events)
    tables = dict.fromkeys(event.table for event in events)
    branches: list[str] = []
    for table in tables:
        own = [event for event in dict.fromkeys(events) if event.table == table]
        branches += _Scan(wanted, table, own, base, tuple(extras)).branches()
    if branches:
        return "\nUNION ALL\n".join(branches)
    return _nothing(base, extras)


def one_row(wanted: Wanted, events: Sequence[Event]) -> str:
    """Return SQL for what tells rows of several events apart: a table and a key.

    It reads the extra KEY; a row that is two of the events has one such value.
    """
    tables = sorted({event.table for event in events})
    if len(tables) == 1:
        return KEY
    numbers = {
        table: [wanted.number(event) for event in events if event.table == table]
        for table in tables
    }
    cases = " ".join(
        f"WHEN event_no IN ({listed(found)}) THEN '{table} '"
        for table, found in numbers.items()
    )
    return f"CASE {cases} END || CAST({KEY} AS VARCHAR)"


@dataclass(frozen=True)
class _Scan:
    wanted: Wanted
    table: str
    events: list[Event]
    base: Base | None
    extras: tuple[str, ...]

    def branches(self) -> list[str]:
        """Return a SELECT for each way in which a row can be one of the events."""
        name, columns = omop_table(self.table)
        self.wanted.read(name, "person_id", columns.date)
        found = []
        standard = self.wanted.occurring(self.events, STANDARD)
        source = self.wanted.occurring(self.events, SOURCE)
        if standard:
            self.wanted.read(name, columns.concept)
            join = self._join("w", columns.concept, STANDARD, standard)
            found.append(self._select(name, columns, f"JOIN {join}", []))
        if source:
            self.wanted.read(name, columns.source_concept)
            join = f"JOIN {self._join('w', columns.source_concept, SOURCE, source)}"
            where = []
            if standard:  # a row that meets both ways has come already
                both = self._join("v", columns.concept, STANDARD, standard)
                join += f" LEFT JOIN {both} AND v.event_no = w.event_no"
                where = ["v.event_no IS NULL"]
            found.append(self._select(name, columns, join, where))
        whole = [self.wanted.number(e) for e in self.events if not e.concepts]
        if whole:
            numbers = ", ".join(f"(CAST({number} AS BIGINT))" for number in whole)
            join = f"CROSS JOIN (VALUES {numbers}) w(event_no)"
            found.append(self._select(name, columns, join, []))
        return found

    def _join(self, alias: str, column: str, side: str, numbers: list[int]) -> str:
        """Return SQL to join the rows with the ids of the events in one column."""
        part = part_of(self.table, side)
        return (
            f"{WANTED} {alias} ON {alias}.concept_id = x.{column} "
            f"AND {alias}.part = {part} AND {alias}.event_no IN ({listed(numbers)})"
        )

    def _select(
        self, name: str, columns: EventColumns, join: str, where: list[str]
    ) -> str:
        outputs = ["w.event_no", f"x.{columns.date} AS event_day"]
        source = f"{name} x"
        if self.base is None:
            outputs.append("x.person_id")
        else:
            days = f"date_diff('day', c.day, x.{columns.date})"
            outputs += [f"c.{column}" for column in self.base.columns]
            outputs.append(f"{days} AS days")
            source = f"{self.base.table} c JOIN {name} x ON x.person_id = c.person_id"
            where = [*where, *_within(days, self.base.window)]
            if self.base.where:
                where.append(self.base.where)
        outputs += [self._extra(name, columns, extra) for extra in self.extras]
        where += [
            f"(w.event_no <> {self.wanted.number(event)} OR ({condition}))"
            for event in self.events
            if (condition := self._condition(name, event))
        ]
        kept = " WHERE " + " AND ".join(where) if where else ""
        # S608: our own words, numbers and checked names.
        return f"SELECT {', '.join(outputs)} FROM {source} {join}{kept}"  # noqa: S608

    def _condition(self, name: str, event: Event) -> str:
        parts = []
        if event.value is not None:
            parts.append(self._value(name, event.value))
        if event.visit:
            parts.append(self._visit(name, event))
        return " AND ".join(parts)

    def _value(self, name: str, value: Value) -> str:
        number = NUMBER.format("x.value_as_number")
        bounds = (
            (">=", value.at_least),
            ("<=", value.at_most),
            (">", value.above),
            ("<", value.below),
        )
        parts = [
            f"{number} {sign} {decimal_literal(bound)}"
            for sign, bound in bounds
            if bound is not None
        ]
        if parts:
            self.wanted.read(name, "value_as_number")
        if value.unit:
            self.wanted.read(name, "unit_concept_id")
            units = self.wanted.unit_ids(value.unit)
            parts.append(f"x.unit_concept_id IN ({listed(units)})")
        if value.concepts:
            self.wanted.read(name, "value_as_concept_id")
            ids = listed(self.wanted.ids(value.concepts))
            parts.append(f"x.value_as_concept_id IN ({ids})")
        return " AND ".join(parts)

    def _visit(self, name: str, event: Event) -> str:
        ids = listed(self.wanted.ids(event.visit))
        columns = {STANDARD: "visit_concept_id", SOURCE: "visit_source_concept_id"}
        asked = [c for side, c in columns.items() if event.matched in (EITHER, side)]
        self.wanted.read(name, "visit_occurrence_id")
        self.wanted.read("visit_occurrence", "visit_occurrence_id", *asked)
        met = " OR ".join(f"v.{column} IN ({ids})" for column in asked)
        return (
            "x.visit_occurrence_id IN (SELECT v.visit_occurrence_id "  # noqa: S608
            f"FROM visit_occurrence v WHERE {met})"
        )

    def _extra(self, name: str, columns: EventColumns, extra: str) -> str:
        valued = self.table in ("measurement", "observation")
        drug, key = self.table == "drug", columns.key or "person_id"
        number = NUMBER.format("x.value_as_number")
        began = f"x.{columns.date}"
        ends = f"greatest(coalesce(x.{columns.end_date}, {began}), {began})"
        made = {
            WHEN: ("", f"x.{columns.datetime}", columns.datetime),
            VALUE: ("DECIMAL(18,6)", number if valued else "", "value_as_number"),
            CODED: (
                "BIGINT",
                "x.value_as_concept_id" if valued else "",
                "value_as_concept_id",
            ),
            UNIT: (
                "BIGINT",
                "x.unit_concept_id" if self.table == "measurement" else "",
                "unit_concept_id",
            ),
            SUPPLY: (
                "BIGINT",
                "CAST(x.days_supply AS BIGINT)" if drug else "",
                "days_supply",
            ),
            END: ("DATE", ends if columns.end_date else "", columns.end_date),
            KEY: ("BIGINT", f"x.{key}", key),
        }
        kind, sql, read = made[extra]
        if sql:
            self.wanted.read(name, read)
        return f"{sql or f'CAST(NULL AS {kind})'} AS {extra}"


def unit_faults(wanted: Wanted, events: Sequence[Event]) -> list[InvalidData]:
    """Return the events of which a site holds numbers in another unit than is asked.

    No unit is ever guessed: each is an error that somebody must raise.
    """
    faults = []
    for event in events:
        if event.value is None or not event.value.unit:
            continue
        units = listed(wanted.unit_ids(event.value.unit))
        rows = event_rows(wanted, (replace(event, value=None),), None, (VALUE, UNIT))
        ((other,),) = wanted.engine.rows(
            f"SELECT count(*) AS n FROM ({rows}) r WHERE {VALUE} IS NOT NULL "  # noqa: S608
            f"AND NOT coalesce({UNIT} IN ({units}), FALSE)"
        )
        if other:
            fault = InvalidData(
                f"{', '.join(map(str, event.concepts))} is asked in "
                f"{event.value.unit!r}; this site holds it in another unit too",
                fix="convert it where the site's data are curated, and curate again",
                local=f"{other} rows",
            )
            faults.append(fault)
    return faults


def decimal_literal(value: float) -> str:
    """Return a number as a plan writes it: the author's digits, no exponent."""
    return format(Decimal(repr(value)), "f")


def listed(ids: Sequence[int]) -> str:
    """Return ids as the inside of an IN list; one that nothing is, if empty."""
    return ", ".join(map(str, ids)) or "CAST(NULL AS BIGINT)"


def _within(days: str, window: tuple[int, int]) -> list[str]:
    low, high = window
    found = []
    if low > -EVER:
        found.append(f"{days} >= {low}")
    if high < EVER:
        found.append(f"{days} <= {high}")
    return found


def _nothing(base: Base | None, extras: Sequence[str]) -> str:
    """Return rows of the same columns, of which there are none."""
    kinds = {
        WHEN: "TIMESTAMP",
        VALUE: "DECIMAL(18,6)",
        CODED: "BIGINT",
        UNIT: "BIGINT",
        SUPPLY: "BIGINT",
        END: "DATE",
        KEY: "BIGINT",
    }
    outputs = ["CAST(0 AS BIGINT) AS event_no", "CAST(NULL AS DATE) AS event_day"]
    if base is None:
        outputs.append("person_id")
        source = "person"
    else:
        outputs += [*base.columns, "CAST(0 AS BIGINT) AS days"]
        source = base.table
    outputs += [f"CAST(NULL AS {kinds[extra]}) AS {extra}" for extra in extras]
    return f"SELECT {', '.join(outputs)} FROM {source} WHERE 1 = 0"  # noqa: S608
