"""All row-level checks of a table, counted in one scan over its joined rows."""

from collections.abc import Iterable

from hetao.cdm.quality.check import Check, checked
from hetao.cdm.quality.present import Extent, Present
from hetao.cdm.quality.probes import GRACE_DAYS, VISIT_DAYS, Probe, probes_of
from hetao.dictionary import Table

PEOPLE, VISITS = "quality_people", "quality_visits"
_YEAR = "least(greatest(p.year_of_birth, 1), 9999)"
_MONTH = "least(greatest(coalesce(p.month_of_birth, 1), 1), 12)"
_DAY = "least(greatest(coalesce(p.day_of_birth, 1), 1), 28)"


# S608, here and below: every identifier comes from the dictionary.
def prepare(present: Present) -> None:
    """Make the two relations that rows are held against, one row a person or visit.

    Keys may repeat in bad data; a joined row must not, or it would count twice. A
    birth date that is not a day of the calendar counts as the earliest it may mean.
    """
    seen = _spans(present, "observation_period", "observation_period_start_date")
    dead = (
        "SELECT person_id, min(death_date) AS died FROM death GROUP BY person_id"
        if present.has("death.death_date") and present.has("death.person_id")
        else "SELECT CAST(NULL AS BIGINT) AS person_id, CAST(NULL AS DATE) AS died"
    )
    if present.has("person.person_id"):
        have = set(present.fields["person"])
        year = _YEAR if "year_of_birth" in have else "CAST(NULL AS BIGINT)"
        month = _MONTH if "month_of_birth" in have else "1"
        day = _DAY if "day_of_birth" in have else "1"
        sex = "p.gender_concept_id" if "gender_concept_id" in have else "0"
        known = "p.year_of_birth IS NOT NULL" if "year_of_birth" in have else "1 = 0"
        people = (  # S608: as above
            f"WITH seen AS ({seen}), dead AS ({dead}) "  # noqa: S608
            "SELECT p.person_id AS person_id, "
            f"min(CASE WHEN {known} THEN make_date({year}, {month}, {day}) END) "
            f"AS born, min({sex}) AS sex, min(d.died) AS died, "
            f"add_days(min(d.died), {GRACE_DAYS}) AS last_day, "
            "min(s.since) AS since, max(s.until) AS until "
            "FROM person p LEFT JOIN seen s ON s.person_id = p.person_id "
            "LEFT JOIN dead d ON d.person_id = p.person_id GROUP BY p.person_id"
        )
        present.engine.make(PEOPLE, people)
    if present.has("visit_occurrence.visit_occurrence_id"):
        present.engine.make(VISITS, _visits(present))


def _spans(present: Present, table: str, start: str) -> str:
    end = start.replace("_start_", "_end_")
    if all(present.has(f"{table}.{name}") for name in ("person_id", start, end)):
        return (
            f"SELECT person_id, min({start}) AS since, max({end}) AS until "  # noqa: S608
            f"FROM {table} GROUP BY person_id"
        )
    return (
        "SELECT CAST(NULL AS BIGINT) AS person_id, CAST(NULL AS DATE) AS since, "
        "CAST(NULL AS DATE) AS until"
    )


def _visits(present: Present) -> str:
    fields = present.fields["visit_occurrence"]
    start = "visit_start_date" if "visit_start_date" in fields else "NULL"
    end = f"coalesce(visit_end_date, {start})" if "visit_end_date" in fields else start
    return (
        "SELECT visit_occurrence_id, "  # noqa: S608
        f"add_days(min(CAST({start} AS DATE)), -{VISIT_DAYS}) AS from_day, "
        f"add_days(max(CAST({end} AS DATE)), {VISIT_DAYS}) AS to_day "
        "FROM visit_occurrence GROUP BY visit_occurrence_id"
    )


def scan_rows(present: Present) -> list[Check]:
    """Return every row-level check, one scan a table."""
    return [
        check
        for kind in ("content", "vocabulary", "record")
        for table in present.tables(kind)
        for check in _scan(present, table)
    ]


def _scan(present: Present, table: Table) -> list[Check]:
    probes, extent = probes_of(present, table), present.extents[table.name]
    live = [p for p in probes if _is_live(p, extent)]
    # How many cells are empty is known already.
    counts = {
        f"t.{name} IS NULL": extent.rows - number
        for name, number in extent.filled.items()
    }
    live = [p for p in live if not set(_conditions(p)) <= counts.keys()]
    wanted = dict.fromkeys(text for p in live for text in _conditions(p))
    sought = [text for text in wanted if text not in counts]
    if sought:
        counted = ", ".join(
            f"count(*) FILTER (WHERE {text}) AS n{place}"
            for place, text in enumerate(sought)
        )
        plan = f"SELECT {counted} FROM {table.name} t{_joins(table, live)}"  # noqa: S608
        (numbers,) = present.engine.rows(plan)
        counts |= dict(zip(sought, map(int, numbers), strict=True))
    return [
        checked(
            probe.type,
            probe.place,
            (counts.get(probe.violated, 0), _among(probe, extent, counts)),
            detail=probe.detail,
        )
        for probe in probes
    ]


def _is_live(probe: Probe, extent: Extent) -> bool:
    """Return whether rows must be looked at; the extent often says it all."""
    could = extent.rows and all(extent.filled.get(name, 0) for name in probe.needs)
    return bool(could and _conditions(probe))


def _conditions(probe: Probe) -> list[str]:
    """Return what is to be counted row by row."""
    among = _among_text(probe)
    return [text for text in (among, probe.violated) if text]


def _among_text(probe: Probe) -> str:
    """Return the condition of the rows that could violate it, if one must be counted.

    One field that needs to be filled was counted with the extent.
    """
    if len(probe.needs) < 2 and not probe.also:
        return ""
    filled = [f"t.{name} IS NOT NULL" for name in probe.needs]
    return " AND ".join([*filled, probe.also] if probe.also else filled)


def _among(probe: Probe, extent: Extent, counts: dict[str, int]) -> int:
    text = _among_text(probe)
    if text:
        return counts.get(text, 0)
    return extent.filled.get(probe.needs[0], 0) if probe.needs else extent.rows


def _joins(table: Table, probes: Iterable[Probe]) -> str:
    """Return the joins that the probes read; each keeps one row a row of `t`."""
    parts = {
        "p": f" LEFT JOIN {PEOPLE} p ON p.person_id = t.person_id",
        "v": f" LEFT JOIN {VISITS} v ON v.visit_occurrence_id = t.visit_occurrence_id",
    }
    text = ""
    for join in dict.fromkeys(p.join for p in probes if p.join):
        if join in parts:
            text += parts[join]
            continue
        target, _, key = table.fields[join].references.partition(".")
        text += (
            f" LEFT JOIN (SELECT DISTINCT {key} FROM {target}) f_{join} "  # noqa: S608
            f"ON f_{join}.{key} = t.{join}"
        )
    return text
