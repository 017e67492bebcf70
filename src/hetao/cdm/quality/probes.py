"""Which row-level checks a table gets: conditions over a joined row.

A probe is a condition on a row of the table `t`, joined with the row's person `p`, its
visit `v` and whatever else it refers to (`f_…`), so that all probes of a table are
counted in one scan.
"""

from collections.abc import Iterator
from dataclasses import dataclass

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
        among: condition of the rows that could violate it.
        violated: condition of those that do, of the rows of `among`.
        join: the relation that its conditions read besides `t`: "", "p", "v", or a
            field whose reference is joined as `f_<field>`.
        detail: the range that it holds against.
    """

    type: str
    place: str
    among: str
    violated: str
    join: str = ""
    detail: str = ""


def probes_of(present: Present, table: Table) -> list[Probe]:
    """Return every row-level check of a table, of the fields that are there."""
    found: list[Probe] = []
    for name in present.fields[table.name]:
        found += _required(table, table.fields[name])
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


def _required(table: Table, field: Field) -> Iterator[Probe]:
    place = f"{table.name}.{field.name}"
    empty = f"t.{field.name} IS NULL"
    if field.required:
        yield Probe("isRequired", place, "TRUE", empty)
    if table.kind == "content":
        yield Probe("measureValueCompleteness", place, "TRUE", empty)


def _reference(present: Present, table: Table, field: Field) -> Iterator[Probe]:
    """Concepts are checked in the census: there are few of them and many rows."""
    target = field.references
    if not target or target.startswith("concept.") or not present.has(target):
        return
    join = {"person.person_id": "p"}.get(target, field.name)
    if field.name == "visit_occurrence_id" and table.name != "visit_occurrence":
        join = "v"
    if table.name == "person":
        join = field.name
    key = target.partition(".")[2]
    alias = join if join in ("p", "v") else f"f_{field.name}"
    yield Probe(
        "isForeignKey",
        f"{table.name}.{field.name}",
        f"t.{field.name} IS NOT NULL",
        f"{alias}.{key} IS NULL",
        join,
        target,
    )


def _range(present: Present, table: Table, field: Field) -> Iterator[Probe]:
    place, value = f"{table.name}.{field.name}", f"t.{field.name}"
    among = f"{value} IS NOT NULL"
    low, high = RANGES.get(place, (None, None))
    high = str(present.day.year) if high == "year" else high
    as_sql = "{}"
    if field.type in ("date", "timestamp"):
        # People were born before anything was recorded about them.
        low = "1900-01-01" if table.name == "person" else EARLIEST
        high = present.day.isoformat()
        value, as_sql = _day(field), "DATE '{}'"
    if low is not None:
        under = f"{value} < {as_sql.format(low)}"
        yield Probe("plausibleValueLow", place, among, under, detail=f"≥ {low}")
    if high is not None:
        over = f"{value} > {as_sql.format(high)}"
        yield Probe("plausibleValueHigh", place, among, over, detail=f"≤ {high}")


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
        among = f"t.{start} IS NOT NULL AND t.{end} IS NOT NULL"
        violated = f"t.{end} < t.{start}"
        place = f"{table.name}.{start}"
        yield Probe(
            "plausibleStartBeforeEnd", place, among, violated, detail=f"≤ {end}"
        )
        place = f"{table.name}.{end}"
        yield Probe(
            "plausibleTemporalAfter", place, among, violated, detail=f"≥ {start}"
        )


def _life(table: Table, name: str) -> Iterator[Probe]:
    """A date is held against its person's birth and death."""
    if table.name == "person":
        return
    place, value = f"{table.name}.{name}", _day(table.fields[name])
    born = f"t.{name} IS NOT NULL AND p.born IS NOT NULL"
    early = f"{value} < p.born"
    yield Probe("plausibleAfterBirth", place, born, early, "p")
    if "_end_" not in name:
        yield Probe("plausibleTemporalAfter", place, born, early, "p", "≥ birth")
    if table.name == "death":
        return
    late = f"{value} > p.last_day"
    yield Probe("plausibleBeforeDeath", place, f"t.{name} IS NOT NULL", late, "p")
    if "_end_" not in name:
        died = f"t.{name} IS NOT NULL AND p.died IS NOT NULL"
        yield Probe("plausibleDuringLife", place, died, late, "p")


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
            f"t.{name} IS NOT NULL AND v.visit_occurrence_id IS NOT NULL",
            f"t.{name} < v.from_day OR t.{name} > v.to_day",
            "v",
            f"± {VISIT_DAYS} d",
        )
    if table.name not in NO_OBSERVATION_CHECK:
        yield Probe(
            "outside-observation",
            place,
            f"t.{name} IS NOT NULL AND p.since IS NOT NULL",
            f"t.{name} < p.since OR t.{name} > p.until",
            "p",
        )
    if table.name == "death":
        among = f"t.{name} IS NOT NULL AND p.since IS NOT NULL"
        yield Probe("death-before-entry", place, among, f"t.{name} < p.since", "p")
    dates = ", ".join(f"DATE '{date}'" for date in NO_DATES)
    yield Probe(
        "default-dates",
        place,
        f"t.{name} IS NOT NULL",
        f"(month(t.{name}) = 1 AND day(t.{name}) = 1) OR t.{name} IN ({dates})",
    )


def _birthday(present: Present) -> Iterator[Probe]:
    """Birthdays gather on 1 January where the day is not known."""
    if not present.has("person.month_of_birth") or not present.has(
        "person.day_of_birth"
    ):
        return
    yield Probe(
        "default-dates",
        "person.month_of_birth",
        "t.month_of_birth IS NOT NULL AND t.day_of_birth IS NOT NULL",
        "t.month_of_birth = 1 AND t.day_of_birth = 1",
    )
