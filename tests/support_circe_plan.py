"""A native cohort → its periods: the study's plan, then exits and joined periods."""

import datetime
from collections.abc import Mapping
from typing import Any

from hetao.cdm import Connection
from hetao.cdm.engine import Engine
from hetao.cdm.engine_duckdb import DuckDBEngine
from hetao.cohort.circe_native import Exit, NativeCohort, translate
from hetao.cohort.event_rows import KEY, Base, event_rows, listed
from hetao.cohort.people import PEOPLE, make_people
from hetao.cohort.wanted import Wanted, omop_table
from hetao.study import Event
from hetao.study.population import EVER

Row = tuple[int, datetime.date, datetime.date]
PERIODS = "hetao_periods"
# The last day of a row as OHDSI has it, by table; one day later where there is none.
LAST_DAYS = {
    "condition": "coalesce(x.condition_end_date, add_days(x.condition_start_date, 1))",
    "drug": "coalesce(x.drug_exposure_end_date, add_days(x.drug_exposure_start_date, "
    "CAST(x.days_supply AS BIGINT)), add_days(x.drug_exposure_start_date, 1))",
    "procedure": "add_days(x.procedure_date, 1)",
    "measurement": "add_days(x.measurement_date, 1)",
    "observation": "add_days(x.observation_date, 1)",
    "device": "coalesce(x.device_exposure_end_date, "
    "add_days(x.device_exposure_start_date, 1))",
    "visit": "x.visit_end_date",
    "death": "add_days(x.death_date, 1)",
}


def native_rows(definition: Mapping[str, Any], connection: Connection) -> list[Row]:
    """Return a CIRCE definition's cohort by our own plans; as `circe.cohort_rows`.

    Args:
        definition: the parsed JSON.
        connection: holds OMOP 5.4 tables in the schema `main`. Work is done on a
            connection of its own to the same database, so what is not committed is
            not seen, and nothing is left behind.

    Raises:
        NotExpressible: the algebra cannot say what the definition asks.
        InvalidStudy: the definition is not of CIRCE's shape.
        InvalidData: a table that it asks for is not there.
    """
    cohort = translate(definition)
    with DuckDBEngine(connection.cursor()) as engine:
        return periods(cohort, engine)


def periods(cohort: NativeCohort, engine: Engine) -> list[Row]:
    """Return (person_id, first day, last day) of each period, in order."""
    wanted = Wanted(engine, cohort.study)
    wanted.resolve()
    make_people(cohort.study, wanted)
    engine.make(PERIODS, _exit_plan(cohort, wanted))
    found = engine.rows(_joined_plan(cohort.exit))
    return [(int(person), first, last) for person, first, last in found]


def _exit_plan(cohort: NativeCohort, wanted: Wanted) -> str:
    """Return SQL for `person_id`, `first_day`, `last_day` before periods are joined."""
    exits = cohort.exit
    ends = ["o.obs_end"]
    joins = [
        "JOIN (SELECT p.person_id, p.day, "  # noqa: S608
        "max(x.observation_period_end_date) AS obs_end "
        f"FROM {PEOPLE} p JOIN observation_period x ON x.person_id = p.person_id "
        "AND p.day BETWEEN x.observation_period_start_date "
        "AND x.observation_period_end_date GROUP BY p.person_id, p.day) o "
        "ON o.person_id = p.person_id AND o.day = p.day"
    ]
    if exits.days is not None:
        begin = "p.day"
        if exits.from_end:
            begin = "e.last"
            joins.append(_joined(_last_day_plan(cohort, wanted), "e"))
        ends = [f"least(add_days({begin}, {exits.days}), o.obs_end)"]
    if exits.exposure is not None:
        wanted_rows = _exposure_plan(exits, exits.exposure, wanted)
        joins.append(_joined(wanted_rows, "d"))
        ends.append("d.last")
    if exits.censor:
        joins.append(_joined(_censor_plan(exits.censor, wanted), "c"))
        ends.append("CASE WHEN c.last <= o.obs_end THEN c.last END")
    # Each end by itself must not lie before the first day.
    usable = [f"CASE WHEN {end} >= p.day THEN {end} END" for end in ends]
    last = f"least({', '.join(usable)})" if len(usable) > 1 else usable[0]
    return (
        "SELECT person_id, first_day, last_day FROM ("  # noqa: S608
        f"SELECT p.person_id, p.day AS first_day, {last} AS last_day "
        f"FROM {PEOPLE} p {' '.join(joins)}) q WHERE last_day IS NOT NULL"
    )


def _joined(plan: str, name: str) -> str:
    return (
        f"LEFT JOIN ({plan}) {name} ON {name}.person_id = p.person_id "
        f"AND {name}.day = p.day"
    )


def _last_day_plan(cohort: NativeCohort, wanted: Wanted) -> str:
    """Return SQL for the last day of each index day's entry rows: `last`."""
    events = cohort.study.population.entry
    base = Base(PEOPLE, ("person_id", "day"), "", (0, 0))
    parts = []
    for table in dict.fromkeys(event.table for event in events):
        own = [event for event in events if event.table == table]
        name, columns = omop_table(table)
        rows = event_rows(wanted, own, base, (KEY,))
        key = columns.key or "person_id"
        parts.append(
            f"SELECT r.person_id, r.day, r.{KEY}, {LAST_DAYS[table]} AS last "  # noqa: S608
            f"FROM ({rows}) r JOIN {name} x ON x.{key} = r.{KEY} "
            "AND x.person_id = r.person_id"
        )
    rows = " UNION ALL ".join(parts)
    if cohort.one_row:
        return (
            f"SELECT person_id, day, last FROM ({rows}) k QUALIFY row_number() OVER "  # noqa: S608
            f"(PARTITION BY person_id, day ORDER BY {KEY}, last) = 1"
        )
    return (
        f"SELECT person_id, day, max(last) AS last FROM ({rows}) k "  # noqa: S608
        "GROUP BY person_id, day"
    )


def _censor_plan(events: tuple[Event, ...], wanted: Wanted) -> str:
    base = Base(PEOPLE, ("person_id", "day"), "", (0, EVER))
    return (
        "SELECT person_id, day, min(event_day) AS last "  # noqa: S608
        f"FROM ({event_rows(wanted, events, base)}) r GROUP BY person_id, day"
    )


def _exposure_plan(exits: Exit, event: Event, wanted: Wanted) -> str:
    """Return SQL for the last day of the exposure that holds an index day: `last`."""
    last = LAST_DAYS["drug"]
    if exits.supply_days is not None:
        last = f"add_days(x.drug_exposure_start_date, {exits.supply_days})"
    ids = listed(wanted.ids(event.concepts))
    grace = exits.gap_days + exits.grace_days
    before = (
        "max(last) OVER (PARTITION BY person_id ORDER BY first, last "
        "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    )
    rows = (
        f"SELECT x.person_id, x.drug_exposure_start_date AS first, "  # noqa: S608
        f"add_days({last}, {grace}) AS last FROM drug_exposure x "
        f"WHERE (x.drug_concept_id IN ({ids}) OR x.drug_source_concept_id IN ({ids})) "
        f"AND x.person_id IN (SELECT person_id FROM {PEOPLE})"
    )
    return (
        "SELECT p.person_id, p.day, max(s.last) AS last FROM ("  # noqa: S608
        "SELECT person_id, min(first) AS first, "
        f"add_days(max(last), {-exits.gap_days}) AS last FROM ("
        "SELECT person_id, first, last, sum(starts) OVER (PARTITION BY person_id "
        "ORDER BY first, starts DESC, last ROWS UNBOUNDED PRECEDING) AS era FROM ("
        "SELECT person_id, first, last, "
        f"CASE WHEN {before} >= first THEN 0 ELSE 1 END AS starts "
        f"FROM ({rows}) a) b) c GROUP BY person_id, era) s "
        f"JOIN {PEOPLE} p ON p.person_id = s.person_id "
        "AND p.day BETWEEN s.first AND s.last GROUP BY p.person_id, p.day"
    )


def _joined_plan(exits: Exit) -> str:
    """Return SQL for the periods, near ones joined, cut to the window, in order."""
    before = (
        "max(last_day) OVER (PARTITION BY person_id ORDER BY first_day, last_day "
        "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    )
    first, last = "first_day", "last_day"
    if exits.window[0]:
        first = f"greatest(first_day, DATE '{exits.window[0]}')"
    if exits.window[1]:
        last = f"least(last_day, DATE '{exits.window[1]}')"
    return (
        f"SELECT person_id, {first} AS first, {last} AS last FROM ("  # noqa: S608
        "SELECT person_id, min(first_day) AS first_day, "
        f"add_days(max(last_day), {-exits.pad_days}) AS last_day FROM ("
        "SELECT person_id, first_day, last_day, sum(starts) OVER (PARTITION BY "
        "person_id ORDER BY first_day, starts DESC, last_day ROWS UNBOUNDED PRECEDING) "
        "AS era FROM (SELECT person_id, first_day, last_day, "
        f"CASE WHEN {before} >= first_day THEN 0 ELSE 1 END AS starts FROM ("
        "SELECT person_id, first_day, "
        f"add_days(last_day, {exits.pad_days}) AS last_day "
        f"FROM {PERIODS}) a) b) c GROUP BY person_id, era) d "
        f"WHERE {first} <= {last} ORDER BY person_id, first"
    )
