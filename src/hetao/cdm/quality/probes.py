"""Which row-level checks a table gets: conditions over a joined row.

A probe is a condition on a row of the table `t`, joined with the row's person `p`, its
visit `v` and whatever else it refers to (`f_…`), so that all probes of a table are
counted in one scan.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hetao.cdm.quality.present import Present
from hetao.dictionary import Field, Table

EARLIEST = "1950-01-01"  # of anything that is recorded about a patient
GRACE_DAYS = 60  # after death: late results and paperwork
VISIT_DAYS = 7  # before and after a visit
NO_DATES = ("1900-01-01", "1970-01-01", "9999-12-31")  # what systems write for none

# Plausible numbers of fields that are no analyte's; None is open, "year" this one.
RANGES: dict[str, tuple[str | None, str | None]] = {
    "person.year_of_birth": ("1900", "year"),
    "person.month_of_birth": ("1", "12"),
    "person.day_of_birth": ("1", "31"),
    "drug_exposure.days_supply": ("1", "365"),
    "drug_exposure.quantity": ("0.000001", "1095"),
    "drug_exposure.refills": ("0", "24"),
    "device_exposure.quantity": ("1", "1095"),
    "procedure_occurrence.quantity": ("1", "100"),
    "condition_era.condition_occurrence_count": ("1", None),
    "drug_era.drug_exposure_count": ("1", None),
    "drug_era.gap_days": ("0", None),
}
NO_VISIT_CHECK = ("visit_occurrence", "condition_era", "drug_era", "death")
NO_OBSERVATION_CHECK = ("death", "observation_period", "condition_era", "drug_era")


@dataclass(frozen=True)
class Probe:
    """One row-level check.

    Attributes:
        type: name of its type.
        place: `table.field`.
        needs: fields of `t` that are filled in the rows that could violate it; none
            for every row.
        also: a further condition of these rows, over what is joined; "" for none.
        violated: condition of the rows that violate it, never met where a field that
            it needs is empty; "" where none can.
        join: the relation that its conditions read besides `t`: "", "p", "v", or a
            field whose reference is joined as `f_<field>`.
        detail: the range that it holds against.
    """

    type: str
    place: str
    needs: tuple[str, ...]
    violated: str
    join: str = ""
    detail: str = ""
    also: str = ""


def probes_of(present: Present, table: Table) -> list[Probe]:
    """Return every row-level check of a table, of the fields that are there."""
    found: list[Probe] = []
    for name in present.fields[table.name]:
        found += _required(present, table, table.fields[name])
        if table.kind == "content":
            found += _reference(present, table, table.fields[name])
            found += _range(present, table, table.fields[name])
    if table.kind != "content":
        return found
    found += _order(present, table)
    if present.has(f"{table.name}.person_id") and present.has("person.person_id"):
        for name in present.dates(table):
            found += _life(table, name)
        found += _event(present, table)
    if table.name == "person":
        found += _birthday(present)
    return found


def _required(present: Present, table: Table, field: Field) -> Iterator[Probe]:
    place = f"{table.name}.{field.name}"
    extent = present.extents[table.name]
    is_full = extent.filled[field.name] == extent.rows
    empty = "" if is_full else f"t.{field.name} IS NULL"
    if field.required:
        yield Probe("isRequired", place, (), empty)
    if table.kind == "content":
        yield Probe("measureValueCompleteness", place, (), empty)


def _reference(present: Present, table: Table, field: Field) -> Iterator[Probe]:
    """Concepts are checked in the census: there are few of them and many rows."""
    target = field.references
    if not target or target.startswith("concept.") or not present.has(target):
        return
    join = {"person.person_id": "p"}.get(target, field.name)
    if field.name == "visit_occurrence_id" and table.name != "visit_occurrence":
        join = "v"
    key = target.partition(".")[2]
    alias = join if join in ("p", "v") else f"f_{field.name}"
    yield Probe(
        "isForeignKey",
        f"{table.name}.{field.name}",
        (field.name,),
        f"t.{field.name} IS NOT NULL AND {alias}.{key} IS NULL",
        join,
        target,
    )


def _range(present: Present, table: Table, field: Field) -> Iterator[Probe]:
    place, value = f"{table.name}.{field.name}", f"t.{field.name}"
    needs = (field.name,)
    low, high = RANGES.get(place, (None, None))
    high = str(present.day.year) if high == "year" else high
    as_sql = "{}"
    if field.type in ("date", "timestamp"):
        # People were born before anything was recorded about them.
        low = "1900-01-01" if table.name == "person" else EARLIEST
        high = present.day.isoformat()
        value, as_sql = _day(field), "DATE '{}'"
    lowest, highest = present.extents[table.name].ends.get(field.name, (None, None))
    if low is not None:
        is_met = lowest is not None and _known(lowest) < _bound(low)
        under = f"{value} < {as_sql.format(low)}" if is_met else ""
        yield Probe("plausibleValueLow", place, needs, under, detail=f"≥ {low}")
    if high is not None:
        is_met = highest is not None and _known(highest) > _bound(high)
        over = f"{value} > {as_sql.format(high)}" if is_met else ""
        yield Probe("plausibleValueHigh", place, needs, over, detail=f"≤ {high}")


def _known(value: Any) -> Any:
    """Return an extent's end as it compares with a bound."""
    if isinstance(value, datetime.datetime):
        return value.date()
    return value if isinstance(value, datetime.date) else Decimal(str(value))


def _bound(text: str) -> Any:
    is_day = text.count("-") == 2
    return datetime.date.fromisoformat(text) if is_day else Decimal(text)


def _day(field: Field) -> str:
    if field.type == "timestamp":
        return f"CAST(t.{field.name} AS DATE)"
    return f"t.{field.name}"


def ends(present: Present, table: Table) -> dict[str, str]:
    """Return the end field of each start field of a table, of those that are there."""
    dates = present.dates(table)
    pairs = {
        name: name.replace("_start_", "_end_") for name in dates if "_start_" in name
    }
    pairs |= {
        name: f"{name.rpartition('_')[0]}_end_{name.rpartition('_')[2]}"
        for name in dates
        if "_start_" not in name and "_end_" not in name
    }
    return {start: end for start, end in pairs.items() if end in dates}


def _order(present: Present, table: Table) -> Iterator[Probe]:
    for start, end in ends(present, table).items():
        needs, violated = (start, end), f"t.{end} < t.{start}"
        place = f"{table.name}.{start}"
        yield Probe(
            "plausibleStartBeforeEnd", place, needs, violated, detail=f"≤ {end}"
        )
        place = f"{table.name}.{end}"
        yield Probe(
            "plausibleTemporalAfter", place, needs, violated, detail=f"≥ {start}"
        )


def _life(table: Table, name: str) -> Iterator[Probe]:
    """A date is held against its person's birth and death."""
    if table.name == "person":
        return
    place, value, needs = f"{table.name}.{name}", _day(table.fields[name]), (name,)
    early = f"{value} < p.born"
    born = "p.born IS NOT NULL"
    yield Probe("plausibleAfterBirth", place, needs, early, "p", also=born)
    if "_end_" not in name:
        yield Probe("plausibleTemporalAfter", place, needs, early, "p", "≥ birth", born)
    if table.name == "death":
        return
    late = f"{value} > p.last_day"
    yield Probe("plausibleBeforeDeath", place, needs, late, "p")
    if "_end_" not in name:
        died = "p.last_day IS NOT NULL"
        yield Probe("plausibleDuringLife", place, needs, late, "p", also=died)


def _event(present: Present, table: Table) -> Iterator[Probe]:
    """An event is held against its visit and the time its person was observed."""
    if table.event is None or not present.has(f"{table.name}.{table.event.date}"):
        return
    name, place = table.event.date, f"{table.name}.{table.event.date}"
    has_visit = present.has(f"{table.name}.visit_occurrence_id")
    if has_visit and table.name not in NO_VISIT_CHECK:
        yield Probe(
            "withinVisitDates",
            place,
            (name, "visit_occurrence_id"),
            f"t.{name} < v.from_day OR t.{name} > v.to_day",
            "v",
            f"± {VISIT_DAYS} d",
            "v.visit_occurrence_id IS NOT NULL",
        )
    seen = "p.since IS NOT NULL"
    if table.name not in NO_OBSERVATION_CHECK:
        outside = f"t.{name} < p.since OR t.{name} > p.until"
        yield Probe("outside-observation", place, (name,), outside, "p", also=seen)
    if table.name == "death":
        before = f"t.{name} < p.since"
        yield Probe("death-before-entry", place, (name,), before, "p", also=seen)
    dates = ", ".join(f"DATE '{date}'" for date in NO_DATES)
    yield Probe(
        "default-dates",
        place,
        (name,),
        f"(month(t.{name}) = 1 AND day(t.{name}) = 1) OR t.{name} IN ({dates})",
    )


def _birthday(present: Present) -> Iterator[Probe]:
    """Birthdays gather on 1 January where the day is not known."""
    needs = ("month_of_birth", "day_of_birth")
    if all(present.has(f"person.{name}") for name in needs):
        yield Probe(
            "default-dates",
            f"person.{needs[0]}",
            needs,
            "t.month_of_birth = 1 AND t.day_of_birth = 1",
        )
