"""Study + curated tables → one array a variable, one SQL statement a table.

Where several rows of a person qualify, the latest counts, and among rows of the same
time the one with the largest identifier: a total order, so that every run and every
engine pick the same row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from hetao.cdm import Connection, CuratedTables
from hetao.errors import InvalidData, InvalidStudy
from hetao.study import Study, Variable

NUMBER = "number"
UNKNOWN_CONCEPT = 0  # OMOP: no matching concept
Array = npt.NDArray[Any]
Columns = dict[str, Array]
Found = Mapping[str, Array]


@dataclass(frozen=True)
class EventTable:
    """The columns of an OMOP event table that a cohort reads."""

    table: str
    key: str
    concept: str
    date: str
    instant: str


MEASUREMENT = EventTable(
    "measurement",
    "measurement_id",
    "measurement_concept_id",
    "measurement_date",
    "measurement_datetime",
)
OBSERVATION = EventTable(
    "observation",
    "observation_id",
    "observation_concept_id",
    "observation_date",
    "observation_datetime",
)
CONDITION = EventTable(
    "condition_occurrence",
    "condition_occurrence_id",
    "condition_concept_id",
    "condition_start_date",
    "condition_start_datetime",
)
DRUG = EventTable(
    "drug_exposure",
    "drug_exposure_id",
    "drug_concept_id",
    "drug_exposure_start_date",
    "drug_exposure_start_datetime",
)


def read_columns(study: Study, source: CuratedTables) -> Columns:
    """Return an array for each variable over everyone with an index day, by person_id.

    Raises:
        InvalidStudy: a variable's source is not one that OMOP tables have.
        InvalidData: units or values do not fit what the study declares.
    """
    connection = source.connection
    people = _make_index(connection, study)
    groups: dict[str, list[Variable]] = {}
    for variable in study.variables:
        groups.setdefault(variable.source, []).append(variable)
    columns: Columns = {}
    for kind, variables in groups.items():
        read = READERS.get(kind)
        if read is None:
            raise InvalidStudy(
                f"variable {variables[0].name!r}: the source {kind!r} does not exist "
                f"in {source.dictionary}"
            )
        columns |= read(connection, variables, people)
    return {variable.name: columns[variable.name] for variable in study.variables}


def _make_index(connection: Connection, study: Study) -> int:
    """Make the temporary table `index_day`, a row a person; return how many."""
    entry = ", ".join(
        str(concept) for event in study.population.entry for concept in event.concepts
    )
    where = f"WHERE visit_concept_id IN ({entry})" if entry else ""
    # S608, here and below: numbers are ints of the checked study, names are ours.
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE index_day AS
        WITH first AS (
            SELECT person_id, min(visit_start_date) AS day
            FROM visit_occurrence {where} GROUP BY person_id)
        SELECT row_number() OVER (ORDER BY person_id) - 1 AS place, person_id, day,
            year_of_birth, gender_concept_id
        FROM person JOIN first USING (person_id)
    """)  # noqa: S608
    row = connection.execute("SELECT count(*) FROM index_day").fetchone()
    return int(row[0]) if row else 0


def _ages(connection: Connection, variables: list[Variable], people: int) -> Columns:
    query = """
        SELECT place, (year(day) - year_of_birth)::DOUBLE AS value FROM index_day
        WHERE year_of_birth IS NOT NULL
    """
    found = _fetch(connection, query)
    return {v.name: _numbers(found, people) for v in variables if _is_number(v)}


def _is_number(variable: Variable) -> bool:
    if variable.kind != NUMBER:
        raise InvalidStudy(
            f"variable {variable.name!r}: {variable.source} is a number",
            fix='write kind = "number"',
        )
    return True


def _sexes(connection: Connection, variables: list[Variable], people: int) -> Columns:
    found = _fetch(
        connection, "SELECT place, gender_concept_id::BIGINT AS value FROM index_day"
    )
    # A sex that the study has no level for is missing, never a reason to stop.
    return {v.name: _levels(v, found, people, strict=False) for v in variables}


def _measurements(
    connection: Connection, variables: list[Variable], people: int
) -> Columns:
    latest = _latest_sql(
        MEASUREMENT,
        variables,
        "value_as_number, value_as_concept_id, unit_concept_id",
        "CASE WHEN is_number THEN value_as_number IS NOT NULL "
        f"ELSE coalesce(value_as_concept_id, {UNKNOWN_CONCEPT}) <> {UNKNOWN_CONCEPT} "
        "END",
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE latest AS {latest}")
    _check_units(connection, variables)
    return {
        v.name: _of_variable(connection, v, number, people, "value_as_number")
        for number, v in enumerate(variables)
    }


def _observations(
    connection: Connection, variables: list[Variable], people: int
) -> Columns:
    latest = _latest_sql(
        OBSERVATION,
        variables,
        "value_as_number, value_as_concept_id",
        "CASE WHEN is_number THEN value_as_number IS NOT NULL "
        f"ELSE coalesce(value_as_concept_id, {UNKNOWN_CONCEPT}) <> {UNKNOWN_CONCEPT} "
        "END",
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE latest AS {latest}")
    return {
        v.name: _of_variable(connection, v, number, people, "value_as_number")
        for number, v in enumerate(variables)
    }


def _of_variable(
    connection: Connection, variable: Variable, number: int, people: int, column: str
) -> Array:
    wanted = column if variable.kind == NUMBER else "value_as_concept_id::BIGINT"
    found = _fetch(
        connection,
        f"SELECT place, {wanted} AS value FROM latest WHERE variable = {number}",  # noqa: S608
    )
    if variable.kind == NUMBER:
        return _numbers(found, people)
    return _levels(variable, found, people, strict=True)


def _latest_sql(
    events: EventTable, variables: list[Variable], values: str, usable: str
) -> str:
    """Return SQL for the latest usable row of each person and variable."""
    return f"""
        WITH wanted (variable, concept_id, first_day, last_day, is_number) AS (
            VALUES {_wanted(variables)})
        SELECT variable, place, {values}
        FROM {events.table} JOIN wanted ON {events.concept} = concept_id
        JOIN index_day USING (person_id)
        WHERE date_diff('day', day, {events.date}) BETWEEN first_day AND last_day
            AND ({usable})
        QUALIFY row_number() OVER (
            PARTITION BY variable, place
            ORDER BY {events.date} DESC, {events.instant} DESC NULLS LAST,
                {events.key} DESC) = 1
    """  # noqa: S608


def _wanted(variables: list[Variable]) -> str:
    rows = [
        f"({number}, {concept}, {v.window_days[0]}, {v.window_days[1]}, "
        f"{v.kind == NUMBER})"
        for number, v in enumerate(variables)
        for concept in dict.fromkeys(v.concepts)
    ]
    return ", ".join(rows)


def _check_units(connection: Connection, variables: list[Variable]) -> None:
    """Refuse a number whose unit is not the study's: no unit is ever guessed."""
    found = connection.execute("""
        SELECT DISTINCT variable, coalesce(concept_code, '') AS unit
        FROM latest LEFT JOIN concept ON concept_id = unit_concept_id
        ORDER BY variable, unit
    """).fetchall()
    for number, unit in found:
        variable = variables[number]
        if variable.kind == NUMBER and variable.unit and unit != variable.unit:
            raise InvalidData(
                f"variable {variable.name!r} is asked in {variable.unit!r}; this site "
                f"holds {'it in ' + repr(unit) if unit else 'values without a unit'}",
                fix="convert it in site.toml, and curate again",
            )


def _any_event(
    events: EventTable,
) -> Callable[[Connection, list[Variable], int], Columns]:
    def read(connection: Connection, variables: list[Variable], people: int) -> Columns:
        query = f"""
            WITH wanted (variable, concept_id, first_day, last_day, is_number) AS (
                VALUES {_wanted(variables)})
            SELECT DISTINCT variable, place
            FROM {events.table} JOIN wanted ON {events.concept} = concept_id
            JOIN index_day USING (person_id)
            WHERE date_diff('day', day, {events.date}) BETWEEN first_day AND last_day
        """  # noqa: S608
        found = _fetch(connection, query)
        columns = {}
        for number, variable in enumerate(variables):
            _require_pair(variable)
            values = np.zeros(people, dtype=np.int64)
            values[found["place"][found["variable"] == number]] = 1
            columns[variable.name] = values
        return columns

    return read


def _require_pair(variable: Variable) -> None:
    if variable.kind == NUMBER or len(variable.levels) != 2:
        raise InvalidStudy(
            f"variable {variable.name!r}: {variable.source} is absent or present",
            fix="give it two levels, the second for present",
        )


SURVIVAL = """
    SELECT place, date_diff('day', day, least(
            coalesce(death_date, observation_period_end_date),
            observation_period_end_date))::DOUBLE AS days,
        (death_date IS NOT NULL AND death_date <= observation_period_end_date)::BIGINT
            AS died
    FROM index_day LEFT JOIN death USING (person_id)
    JOIN observation_period USING (person_id)
    WHERE day BETWEEN observation_period_start_date AND observation_period_end_date
    QUALIFY row_number() OVER (PARTITION BY place
        ORDER BY observation_period_end_date DESC, observation_period_id DESC) = 1
"""


def _survival(connection: Connection) -> Found:
    found = _fetch(connection, SURVIVAL)
    if (found["days"] < 0).any():
        raise InvalidData(
            "somebody's death lies before their index day",
            fix="correct the source, and curate again",
        )
    return found


def _times(connection: Connection, variables: list[Variable], people: int) -> Columns:
    found = _survival(connection)
    chosen = {"place": found["place"], "value": found["days"]}
    return {v.name: _numbers(chosen, people) for v in variables if _is_number(v)}


def _deaths(connection: Connection, variables: list[Variable], people: int) -> Columns:
    found = _survival(connection)
    columns = {}
    for variable in variables:
        _require_pair(variable)
        values = np.full(people, -1, dtype=np.int64)
        values[found["place"]] = found["died"]
        columns[variable.name] = values
    return columns


def _fetch(connection: Connection, query: str) -> Found:
    """Return a query's columns as arrays; none of ours is categorical."""
    return cast("Found", connection.execute(query).fetchnumpy())


def _numbers(found: Found, people: int) -> Array:
    values = np.full(people, np.nan)
    values[found["place"]] = np.ma.filled(found["value"].astype(np.float64), np.nan)
    return values


def _levels(variable: Variable, found: Found, people: int, *, strict: bool) -> Array:
    """Return level indices by concept; an unlisted concept is an error if strict."""
    indices = np.full(people, -1, dtype=np.int64)
    concepts = np.ma.filled(found["value"], UNKNOWN_CONCEPT)
    known = np.zeros(len(concepts), dtype=bool)
    for index, level in enumerate(variable.levels):
        if not isinstance(level.value, int):
            raise InvalidStudy(
                f"variable {variable.name!r}: level {level.name!r} needs a concept id"
            )
        match = concepts == level.value
        indices[found["place"][match]] = index
        known |= match
    if strict and not known.all():
        raise InvalidData(
            f"variable {variable.name!r} has values for which the study names no level",
            fix="list every concept of the mapping as a level",
            local=f"{int((~known).sum())} people",
        )
    return indices


READERS: dict[str, Callable[[Connection, list[Variable], int], Columns]] = {
    "age": _ages,
    "sex": _sexes,
    "measurement": _measurements,
    "observation": _observations,
    "condition": _any_event(CONDITION),
    "drug": _any_event(DRUG),
    "time_to_death": _times,
    "death": _deaths,
}
