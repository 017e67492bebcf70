"""Small OMOP databases, and an independent reading of the cohort algebra over them.

The oracle walks over rows one by one, as the definitions are read aloud; it shares
no code with the compiler.
"""

import datetime
import math
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hetao.cdm import CuratedTables
from hetao.cdm.engine_duckdb import Connection, connect
from hetao.cohort import Cohort, build
from hetao.dictionary import ddl, dictionary
from hetao.study import Event, Study

DAY_0 = datetime.date(2020, 1, 1)
TABLES = {
    "condition": ("condition_occurrence", "condition", "condition_start_date"),
    "drug": ("drug_exposure", "drug", "drug_exposure_start_date"),
    "procedure": ("procedure_occurrence", "procedure", "procedure_date"),
    "measurement": ("measurement", "measurement", "measurement_date"),
    "observation": ("observation", "observation", "observation_date"),
    "device": ("device_exposure", "device", "device_exposure_start_date"),
    "visit": ("visit_occurrence", "visit", "visit_start_date"),
}
RIGHT_UNIT, OTHER_UNIT = 8753, 8876


class Row(NamedTuple):
    """One event; days are counted from DAY_0."""

    table: str
    key: int
    person: int
    concept: int
    source: int
    day: int
    number: Decimal | None = None
    coded: int | None = None
    unit: int | None = RIGHT_UNIT
    length: int = 0
    supply: int | None = None
    visit: int | None = None
    hour: int | None = None


@dataclass
class World:
    """A small database: people (sex, year of birth), periods, deaths and events."""

    people: dict[int, tuple[int, int]]
    periods: list[tuple[int, int, int]] = field(default_factory=list)
    deaths: dict[int, tuple[int, int]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)


def date(day: int) -> datetime.date:
    return DAY_0 + datetime.timedelta(days=day)


# --- the database -------------------------------------------------------------------
def empty_database(path: Path | None = None) -> Connection:
    connection = connect(path)
    for table in dictionary().tables.values():
        connection.execute(ddl(table, "duckdb"))
    for concept, code in ((RIGHT_UNIT, "mmol/L"), (OTHER_UNIT, "mm[Hg]")):
        insert(
            connection,
            "concept",
            concept_id=concept,
            concept_name=code,
            domain_id="Unit",
            vocabulary_id="UCUM",
            concept_class_id="Unit",
            concept_code=code,
            valid_start_date=DAY_0,
            valid_end_date=DAY_0,
        )
    return connection


def insert(connection: Connection, table: str, **values: Any) -> None:
    names = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join("?" for _ in values)
    connection.execute(
        f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608
        list(values.values()),
    )


def load(connection: Connection, world: World) -> None:
    """Put a world's rows into a database, in the world's order of rows."""
    tables = [name for name, _, _ in TABLES.values()]
    for name in ("person", "observation_period", "death", *tables):
        connection.execute(f"DELETE FROM {name}")  # noqa: S608
    for person, (sex, born) in world.people.items():
        insert(
            connection,
            "person",
            person_id=person,
            gender_concept_id=sex,
            year_of_birth=born,
            race_concept_id=0,
            ethnicity_concept_id=0,
        )
    for key, (person, first, last) in enumerate(world.periods):
        insert(
            connection,
            "observation_period",
            observation_period_id=key,
            person_id=person,
            observation_period_start_date=date(first),
            observation_period_end_date=date(last),
            period_type_concept_id=0,
        )
    for person, (day, cause) in world.deaths.items():
        insert(
            connection,
            "death",
            person_id=person,
            death_date=date(day),
            cause_concept_id=cause,
            death_type_concept_id=0,
        )
    for row in world.rows:
        _insert_row(connection, row)


def built(connection: Connection, study: Study, world: World) -> Cohort:
    """Load a world into the tables, and return a study's cohort of it."""
    load(connection, world)
    tables = CuratedTables(Path(), connection, "d", study.dictionary_digest)
    return build(study, tables)


def _insert_row(connection: Connection, row: Row) -> None:
    name, stem, day = TABLES[row.table]
    values = {
        f"{name}_id": row.key,
        "person_id": row.person,
        f"{stem}_concept_id": row.concept,
        f"{stem}_source_concept_id": row.source,
        day: date(row.day),
        f"{stem}_type_concept_id": 0,
    }
    ends = {
        "drug": "drug_exposure_end_date",
        "visit": "visit_end_date",
    }
    if row.table in ends:
        values[ends[row.table]] = date(row.day + row.length)
    if row.table != "visit":
        values["visit_occurrence_id"] = row.visit
    if row.table == "drug":
        values["days_supply"] = row.supply
    if row.table in ("measurement", "observation"):
        values["value_as_number"] = row.number
        values["value_as_concept_id"] = row.coded
        clock = None
        if row.hour is not None:
            clock = datetime.datetime.combine(date(row.day), datetime.time(row.hour))
        values[f"{row.table}_datetime"] = clock
    if row.table == "measurement":
        values["unit_concept_id"] = row.unit
    insert(connection, name, **values)


def fits(row: Row, value: Any) -> bool:
    """Say whether a row's value is what is asked."""
    if value.concepts and row.coded not in value.concepts:
        return False
    tests = {
        "at_least": lambda a, b: a >= b,
        "at_most": lambda a, b: a <= b,
        "above": lambda a, b: a > b,
        "below": lambda a, b: a < b,
    }
    for name, test in tests.items():
        limit = getattr(value, name)
        if limit is None:
            continue
        if row.number is None or not test(row.number, Decimal(str(limit))):
            return False
    return True


# --- the oracle --------------------------------------------------------------------
class Oracle:
    """The answer that a study's words give over a world."""

    def __init__(self, study: Study, world: World) -> None:
        self.study, self.world = study, world
        self.of = defaultdict(list)
        for row in world.rows:
            self.of[row.person].append(row)
        for person, (day, cause) in world.deaths.items():
            self.of[person].append(Row("death", person, person, cause, -1, day))

    def answer(self) -> tuple[dict[str, list[float]], list[int]]:
        """Return the columns and the people left after each step about events."""
        best: list[int] = []
        people: list[dict[str, Any]] = []
        for person in sorted(self.world.people):
            days = self.days(person)
            if not days:
                continue
            if self.study.population.occurrence == "first":
                days = days[:1]
            tried = [self.candidate(person, day) for day in days]
            best.append(max(len(met) for met, _ in tried))
            full = [found for met, found in tried if len(met) == self.steps()]
            people += full if self.study.population.occurrence == "every" else full[:1]
        counts = [sum(1 for b in best if b >= s) for s in range(self.steps() + 1)]
        columns = {
            v.name: [self.value(v, found) for found in people]
            for v in self.study.variables
        }
        return columns, counts

    def days(self, person: int) -> list[int]:
        """Return the days on which somebody might enter."""
        dates = self.study.population.dates
        if not dates:
            return sorted({r.day for r in self.of[person] if self.is_entry(r)})
        spans = [(a, b) for p, a, b in self.world.periods if p == person]
        around = {day for a, b in spans for day in range(a, b + 1)}
        return sorted(day for day in around if date(day).isoformat() in dates)

    def steps(self) -> int:
        rules = sum(1 for c in self.study.criteria if c.rule)
        return len(self.study.steps) - 1 - rules

    # --- rows
    def is_of(self, row: Row, event: Event) -> bool:
        if row.table != event.table:
            return False
        if event.concepts and not {row.concept, row.source} & set(event.concepts):
            return False
        if event.visit and row.visit not in self.visits(event.visit):
            return False
        return event.value is None or fits(row, event.value)

    def visits(self, concepts: tuple[int, ...]) -> set[int]:
        return {
            r.key
            for r in self.world.rows
            if r.table == "visit" and {r.concept, r.source} & set(concepts)
        }

    def is_any(self, row: Row, events: tuple[Event, ...]) -> bool:
        return any(self.is_of(row, event) for event in events)

    def is_entry(self, row: Row) -> bool:
        return self.is_any(row, self.study.population.entry_events)

    def inside(
        self,
        person: int,
        index: int,
        events: tuple[Event, ...],
        window: tuple[int, int],
    ) -> list[Row]:
        return [
            row
            for row in self.of[person]
            if self.is_any(row, events) and window[0] <= row.day - index <= window[1]
        ]

    # --- one candidate
    def candidate(self, person: int, index: int) -> tuple[list[bool], dict[str, Any]]:
        """Return the steps met before one is not, and what was found."""
        found = {"person": person, "index": index}
        met: list[bool] = []
        for holds in self.questions(found):
            if not holds:
                break
            met.append(True)
        return met, found

    def questions(self, found: dict[str, Any]) -> Any:
        yield from self.asked_of_person(found)
        yield from self.asked_of_observation(found)
        person, index = found["person"], found["index"]
        population = self.study.population
        found["arm"] = self.arm(person, index)
        if population.washout_days:
            before = (-population.washout_days, -1)
            yield not self.inside(person, index, population.entry_events, before)
        if population.arms:
            yield found["arm"] is not None
        for criterion in self.study.criteria:
            if not criterion.rule:
                yield self.holds(criterion, person, index)
        if self.study.follow_up is not None:
            self.follow(found)
            days = found["end"] - found["start"] + 1
            yield days >= self.study.follow_up.minimum_days

    def asked_of_person(self, found: dict[str, Any]) -> Any:
        population, day = self.study.population, date(found["index"])
        sex, born = self.world.people[found["person"]]
        if population.period is not None:
            yield population.period[0] <= day.isoformat() <= population.period[1]
        if population.ages is not None:
            yield population.ages[0] <= day.year - born <= population.ages[1]
        if population.sexes:
            yield {8507: "male", 8532: "female"}.get(sex) in population.sexes
        if population.months is not None:
            month, months = population.months[0], [population.months[0]]
            while month != population.months[1]:
                month = month % 12 + 1
                months.append(month)
            yield day.month in months

    def asked_of_observation(self, found: dict[str, Any]) -> Any:
        population, index = self.study.population, found["index"]
        found["observed"] = spans = [
            (a, b)
            for p, a, b in self.world.periods
            if p == found["person"] and a <= index <= b
        ]
        if population.prior_observation_days is not None:
            before = index - min((a for a, _ in spans), default=index + 1)
            after = max((b for _, b in spans), default=index - 1) - index
            yield (
                before >= population.prior_observation_days
                and after >= population.post_observation_days
            )

    def arm(self, person: int, index: int) -> int | None:
        arms = self.study.population.arms
        mine = [
            n
            for n, arm in enumerate(arms)
            if arm.events and self.inside(person, index, arm.events, arm.days)
        ]
        if len(mine) == 1:
            return mine[0]
        if not mine:
            rest = [n for n, arm in enumerate(arms) if not arm.events]
            return rest[0] if rest else None
        winners = [n for n in mine if arms[n].name == self.study.population.same_day]
        return winners[0] if winners else None

    def holds(self, criterion: Any, person: int, index: int) -> bool:
        if criterion.events:
            rows = self.inside(person, index, criterion.events, criterion.days)
            n = len({r.day for r in rows}) if criterion.distinct_days else len(rows)
            most = math.inf if criterion.at_most is None else criterion.at_most
            return bool(criterion.at_least <= n <= most)
        if criterion.all_of:
            return all(self.holds(c, person, index) for c in criterion.all_of)
        if criterion.any_of:
            return any(self.holds(c, person, index) for c in criterion.any_of)
        return not any(self.holds(c, person, index) for c in criterion.none_of)

    # --- follow-up
    def follow(self, found: dict[str, Any]) -> None:
        follow_up, person = self.study.follow_up, found["person"]
        index = found["index"]
        later = [r for r in self.of[person] if r.day > index]
        ends = [max(b for _, b in found["observed"])]
        if person in self.world.deaths:
            ends.append(self.world.deaths[person][0])
        if follow_up.days is not None:
            ends.append(index + follow_up.days)
        ends += [r.day for r in later if self.is_any(r, follow_up.censor)]
        arms = self.study.population.arms
        if follow_up.switch:
            for place, arm in enumerate(arms):
                if place != found["arm"]:
                    ends += [r.day for r in later if self.is_any(r, arm.events)]
        if follow_up.exposure is not None:
            events = follow_up.exposure.events
            if not events:
                events = arms[found["arm"]].events
            if events:
                ends.append(self.exposure_end(person, index, events))
        found["start"] = index + follow_up.start_days
        found["end"] = min(ends)

    def exposure_end(self, person: int, index: int, events: tuple[Event, ...]) -> int:
        exposure, end = self.study.follow_up.exposure, index
        rows = [r for r in self.of[person] if r.day >= index and self.is_any(r, events)]
        joined = True
        while joined:
            joined = False
            for row in list(rows):
                if row.day <= end + exposure.gap_days:
                    end = max(end, row.day + max(row.length, 0))
                    rows.remove(row)
                    joined = True
        return end + exposure.grace_days

    def outcome_days(self, person: int, outcome: Any) -> list[int]:
        days = sorted(
            {r.day for r in self.of[person] if self.is_any(r, outcome.events)}
        )
        return [
            day
            for day in days
            if not any(day - outcome.clean_days <= other < day for other in days)
        ]

    def outcome(self, name: str, found: dict[str, Any]) -> tuple[int, int]:
        """Return the state and the last day waited."""
        outcome = next(o for o in self.study.outcomes if o.name == name)
        person, start, end = found["person"], found["start"], found["end"]
        days = [d for d in self.outcome_days(person, outcome) if start <= d <= end]
        rivals = [
            r.day
            for r in self.of[person]
            if self.is_any(r, outcome.competing) and start <= r.day <= end
        ]
        if days and (not rivals or days[0] <= min(rivals)):
            return 1, days[0]
        if rivals:
            return 2, min(rivals)
        return 0, end

    # --- variables
    def value(self, variable: Any, found: dict[str, Any]) -> float:
        of_person = getattr(self, f"value_of_{variable.source}", None)
        if of_person is not None:
            return of_person(variable, found)
        index = found["index"]
        rows = self.inside(
            found["person"], index, variable.event_rows, variable.window_days
        )
        if variable.summary in ("first", "last"):
            return one_value(variable, rows)
        return aggregate(variable, rows, index)

    def value_of_age(self, variable: Any, found: dict[str, Any]) -> float:
        born = self.world.people[found["person"]][1]
        return self.banded(variable, date(found["index"]).year - born)

    def value_of_month(self, variable: Any, found: dict[str, Any]) -> float:
        return self.banded(variable, date(found["index"]).month)

    def value_of_sex(self, variable: Any, found: dict[str, Any]) -> float:
        sex = self.world.people[found["person"]][0]
        wanted = [level.value for level in variable.levels]
        return wanted.index(sex) if sex in wanted else -1

    def value_of_arm(self, variable: Any, found: dict[str, Any]) -> float:
        return found["arm"]

    def value_of_time_at_risk(self, variable: Any, found: dict[str, Any]) -> float:
        end = found["end"]
        if variable.outcome:
            end = self.outcome(variable.outcome, found)[1]
        return end - found["start"] + 1

    def value_of_outcome(self, variable: Any, found: dict[str, Any]) -> float:
        state = self.outcome(variable.outcome, found)[0]
        return state if state < len(variable.levels) else 0

    def value_of_outcome_count(self, variable: Any, found: dict[str, Any]) -> float:
        one = next(o for o in self.study.outcomes if o.name == variable.outcome)
        days = self.outcome_days(found["person"], one)
        return sum(found["start"] <= d <= found["end"] for d in days)

    def banded(self, variable: Any, value: int) -> float:
        if variable.kind == "number":
            return value
        for place, level in enumerate(variable.levels):
            low, _, high = level.value.partition("-")
            first, last = int(low), int(high or 999)
            if first <= value <= last:
                return place
            if first > last and (value >= first or value <= last):
                return place
        return -1


def aggregate(variable: Any, rows: list[Row], index: int) -> float:
    numbers = [r.number for r in rows if r.number is not None]
    days = [r.day for r in rows]
    mean = float(sum(numbers)) / len(numbers) if numbers else math.nan
    return {
        "any": int(len(rows) >= variable.at_least),
        "count": len(rows),
        "days": len(set(days)),
        "days_since_first": index - min(days, default=math.nan),
        "days_since_last": index - max(days, default=math.nan),
        "days_supply": sum(r.supply for r in rows if r.supply is not None),
        "min": float(min(numbers, default=math.nan)),
        "max": float(max(numbers, default=math.nan)),
        "mean": mean,
    }[variable.summary]


def one_value(variable: Any, rows: list[Row]) -> float:
    coded = variable.kind == "category"
    usable = [r for r in rows if (r.coded if coded else r.number is not None)]
    if not usable:
        return -1 if coded else math.nan
    # An event without an hour comes before those of its day.
    usable.sort(key=lambda r: (r.day, -1 if r.hour is None else r.hour, r.key))
    row = usable[0 if variable.summary == "first" else -1]
    if coded:
        return [level.value for level in variable.levels].index(row.coded)
    return float(row.number)


def same(found: np.ndarray, expected: list[float]) -> bool:
    """Say whether two columns are equal bit for bit, and missing in the same places."""
    return np.array_equal(
        found,
        np.asarray(expected, dtype=found.dtype),
        equal_nan=found.dtype.kind == "f",
    )
