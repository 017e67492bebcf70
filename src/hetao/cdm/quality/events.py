"""Checks of whole tables: who has records, what repeats or overlaps, which months."""

import numpy as np

from hetao.cdm.quality.check import Check, checked
from hetao.cdm.quality.present import Present
from hetao.cdm.quality.scan import PEOPLE
from hetao.dictionary import Table

INPATIENT = (9201, 262)  # inpatient; emergency room and inpatient
SILENT_SHARE, BUSY_MONTH, AROUND = 0.1, 100, 3
NEVER_REPEATED = ("person", "observation_period", "death", "condition_era", "drug_era")
MOMENTS = ("date", "end_date", "datetime")
VALUES = (
    "value_as_number",
    "value_as_string",
    "value_as_concept_id",
    "value_source_value",
    "unit_concept_id",
    "quantity",
    "days_supply",
    "visit_occurrence_id",
)


# S608, here and below: every identifier comes from the dictionary.
def check_tables(present: Present) -> list[Check]:
    """Return the checks of every content table."""
    checks: list[Check] = []
    everybody = _everybody(present)
    for table in present.tables():
        checks += _keys(present, table)
        if present.has(f"{table.name}.person_id"):
            checks += _people(present, table, everybody)
        if table.event and table.name not in NEVER_REPEATED:
            checks += _repeats(present, table)
    return [*checks, *_eras(present), *_periods(present), *_stays(present)]


def _two(present: Present, plan: str) -> tuple[int, int]:
    ((violated, rows),) = present.engine.rows(plan)
    return int(violated or 0), int(rows or 0)


def _keys(present: Present, table: Table) -> list[Check]:
    if len(table.key) > 1 or not present.has(f"{table.name}.{table.key[0]}"):
        return []
    key = table.key[0]
    place = f"{table.name}.{key}"
    if not present.filled(place):
        return [checked("isPrimaryKey", place, (0, 0))]
    found = _two(
        present,
        f"SELECT count({key}) - count(DISTINCT {key}) AS violated, "  # noqa: S608
        f"count({key}) AS rows FROM {table.name}",
    )
    return [checked("isPrimaryKey", place, found)]


def _everybody(present: Present) -> int:
    if not present.has("person.person_id"):
        return 0
    ((people,),) = present.engine.rows(f"SELECT count(*) AS people FROM {PEOPLE}")  # noqa: S608
    return int(people)


def _people(present: Present, table: Table, everybody: int) -> list[Check]:
    if table.name == "person" or not present.has("person.person_id"):
        return []
    if not present.filled(f"{table.name}.person_id"):
        found = (everybody, everybody)
        return [checked("measurePersonCompleteness", table.name, found)]
    found = _two(
        present,
        "SELECT count(*) FILTER (WHERE t.person_id IS NULL) AS violated, "  # noqa: S608
        f"count(*) AS rows FROM {PEOPLE} p LEFT JOIN "
        f"(SELECT DISTINCT person_id FROM {table.name}) t ON t.person_id = p.person_id",
    )
    return [checked("measurePersonCompleteness", table.name, found)]


def _repeats(present: Present, table: Table) -> list[Check]:
    event = table.event
    if event is None:
        return []
    wanted = [
        "person_id",
        event.concept,
        event.source_concept,
        "" if _is_coded(present, table, event.source_concept) else event.source_value,
        *(getattr(event, name) for name in MOMENTS),
        *VALUES,
    ]
    # What is empty throughout tells no two rows apart.
    alike = [
        name for name in dict.fromkeys(wanted) if present.filled(f"{table.name}.{name}")
    ]
    if "person_id" not in alike or event.date not in alike:
        return []
    if table.key[0] in alike:
        alike.remove(table.key[0])
    found = _two(
        present,
        "SELECT sum(number - 1) AS violated, sum(number) AS rows FROM "  # noqa: S608
        f"(SELECT count(*) AS number FROM {table.name} GROUP BY {', '.join(alike)}) g",
    )
    return [checked("duplicate-events", table.name, found)]


def _is_coded(present: Present, table: Table, source_concept: str) -> bool:
    """Return whether every row has a source concept, which says what its text says."""
    extent = present.extents[table.name]
    lowest, _ = extent.ends.get(source_concept, (None, None))
    return extent.filled.get(source_concept, 0) == extent.rows and (lowest or 0) > 0


def _eras(present: Present) -> list[Check]:
    """A site that builds no eras has none to check."""
    if not (present.has("condition_era.person_id")):
        return []
    if not present.has("condition_occurrence.person_id"):
        return []
    place = "condition_era"
    if not present.extents[place].rows:
        return [checked("measureConditionEraCompleteness", place, (0, 0))]
    found = _two(
        present,
        "SELECT count(*) FILTER (WHERE e.person_id IS NULL) AS violated, "
        "count(*) AS rows FROM "
        "(SELECT DISTINCT person_id FROM condition_occurrence) c LEFT JOIN "
        "(SELECT DISTINCT person_id FROM condition_era) e "
        "ON e.person_id = c.person_id",
    )
    return [checked("measureConditionEraCompleteness", place, found)]


def _periods(present: Present) -> list[Check]:
    start, end = "observation_period_start_date", "observation_period_end_date"
    names = ("person_id", start, end, "observation_period_id")
    if not all(present.has(f"observation_period.{name}") for name in names):
        return []
    if not present.extents["observation_period"].rows:
        return [
            checked("measureObservationPeriodOverlap", "observation_period", (0, 0))
        ]
    found = _two(
        present,
        "SELECT count(DISTINCT CASE WHEN since <= add_days(before, 1) "  # noqa: S608
        "THEN person_id END) AS violated, count(DISTINCT person_id) AS rows FROM "
        f"(SELECT person_id, {start} AS since, max({end}) OVER "
        f"(PARTITION BY person_id ORDER BY {start} NULLS LAST, observation_period_id "
        "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before "
        "FROM observation_period) o",
    )
    return [checked("measureObservationPeriodOverlap", "observation_period", found)]


def _stays(present: Present) -> list[Check]:
    names = (
        "person_id",
        "visit_concept_id",
        "visit_start_date",
        "visit_end_date",
        "visit_occurrence_id",
    )
    if not all(present.has(f"visit_occurrence.{name}") for name in names):
        return []
    if not present.extents["visit_occurrence"].rows:
        return [checked("admissions-overlapping", "visit_occurrence", (0, 0))]
    kinds = ", ".join(map(str, INPATIENT))
    found = _two(
        present,
        "SELECT count(*) FILTER (WHERE since < before) AS violated, count(*) AS rows "  # noqa: S608
        "FROM (SELECT visit_start_date AS since, max(visit_end_date) OVER "
        "(PARTITION BY person_id ORDER BY visit_start_date NULLS LAST, "
        "visit_occurrence_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) "
        f"AS before FROM visit_occurrence WHERE visit_concept_id IN ({kinds})) s",
    )
    return [checked("admissions-overlapping", "visit_occurrence", found)]


# --- months ---------------------------------------------------------------------------
def months_of(present: Present) -> dict[str, dict[str, int]]:
    """Return how many rows each event table has in each month ("2026-03")."""
    found: dict[str, dict[str, int]] = {}
    for table in present.tables():
        event = table.event
        if event is None or not present.has(f"{table.name}.{event.date}"):
            continue
        found[table.name] = {}
        if not present.filled(f"{table.name}.{event.date}"):
            continue
        rows = present.engine.rows(
            f"SELECT year({event.date}) AS y, month({event.date}) AS m, "  # noqa: S608
            f"count(*) AS number FROM {table.name} WHERE {event.date} IS NOT NULL "
            f"GROUP BY year({event.date}), month({event.date}) ORDER BY 1, 2"
        )
        found[table.name] = {f"{y:04d}-{m:02d}": int(number) for y, m, number in rows}
    return found


def silent_months(months: dict[str, dict[str, int]]) -> list[Check]:
    """Return a check a table: months with hardly a record among busy ones."""
    checks = []
    for table, counts in months.items():
        silent, judged = _silent(counts)
        if judged:
            told = ", ".join(silent[:12])
            found = (len(silent), judged)
            checks.append(checked("silent-months", table, found, detail=told))
    return checks


def _silent(counts: dict[str, int]) -> tuple[list[str], int]:
    """Return the silent months, and how many months could be judged."""
    if not counts:
        return [], 0
    months = every_month(min(counts), max(counts))
    numbers = np.array([counts.get(month, 0) for month in months])
    silent, judged = [], 0
    for place in range(AROUND, len(months) - AROUND):
        near = np.delete(numbers[place - AROUND : place + AROUND + 1], AROUND)
        usual = float(np.median(near))
        if usual < BUSY_MONTH:
            continue
        judged += 1
        if numbers[place] < SILENT_SHARE * usual:
            silent.append(months[place])
    return silent, judged


def every_month(first: str, last: str) -> list[str]:
    """Return each month from one to another, both included."""
    start, end = (int(m[:4]) * 12 + int(m[5:]) - 1 for m in (first, last))
    return [f"{n // 12:04d}-{n % 12 + 1:02d}" for n in range(start, end + 1)]
