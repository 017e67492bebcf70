"""Extract → staging tables: each cell with its meaning, or the reason for none.

The cells of all mapped columns are laid out long, in `cells`, each with its number or
concept, or with the reason why it has none. `fill` only distributes them: good cells
into the CDM, others into `rejected`. So nothing is lost silently.
"""

from dataclasses import dataclass

from hetao.cdm.dictionary import FEMALE, MALE, UNITS
from hetao.cdm.engine_duckdb import Connection, Problem, count, text, texts
from hetao.cdm.extract import ROW, band_of
from hetao.cdm.mapping import (
    Condition,
    Death,
    Followup,
    Mapping,
    Measurement,
    Observation,
    comparison_of,
)
from hetao.cdm.pseudonym import pads, pseudonym_sql
from hetao.errors import InvalidData, InvalidMapping

MISSING = "missing"
ZERO = "zero stands for not measured"
NOT_A_NUMBER = "not a number"
IMPLAUSIBLE = "outside the plausible range"
UNMAPPED = "code is not in the mapping"
NO_ID = "no identifier"
NO_DATE = "not a date in the declared format"
FUTURE = "date lies in the future"
NO_BIRTH = "no plausible age or year of birth"
NEGATIVE = "negative follow-up"
EARLY_DEATH = "death before the visit"
NO_FOLLOWUP = "follow-up not known"
OLDEST_YEARS = 120
SPACES = " \t\n\u00a0\u3000"  # U+3000 is the full-width space of Chinese text
LONGEST_FOLLOWUP_DAYS = 120 * 366


@dataclass(frozen=True)
class Entry:
    """One mapped column: its place in the mapping, and what it declares."""

    place: int
    entry: Measurement | Observation | Condition

    @property
    def kind(self) -> str:
        """Return the CDM table that the column fills."""
        kinds = {Measurement: "measurement", Observation: "observation"}
        return kinds.get(type(self.entry), "condition_occurrence")


def entries_of(mapping: Mapping) -> tuple[Entry, ...]:
    """Return every mapped column with its place in the mapping."""
    return tuple(Entry(place, entry) for place, entry in enumerate(mapping.entries))


def stage_extract(
    connection: Connection,
    mapping: Mapping,
    headers: tuple[str, ...],
    key: bytes,
    today: str,
) -> None:
    """Turn `extract` into `clean`, `placed`, `visits`, `followed` and `cells`.

    Args:
        connection: the database being built; `extract` stands in it.
        mapping: what the columns mean.
        headers: the extract's headers, in the order of its columns.
        key: the pseudonym secret.
        today: ISO date after which a visit lies in the future.

    Raises:
        InvalidData: an identifier stands twice, or no row can be placed at all.
    """
    _check_formats(connection, mapping)
    _entries(connection, mapping)
    _clean(connection, mapping, headers)
    _place(connection, mapping, key, today)
    _refuse_duplicates(connection, mapping)
    _number_visits(connection, mapping)
    _follow(connection, mapping)
    _cells(connection, mapping)


def _check_formats(connection: Connection, mapping: Mapping) -> None:
    formats = [("[visit]", mapping.visit.format)]
    if mapping.death:
        formats.append(("[death]", mapping.death.format))
    for table, pattern in formats:
        try:
            connection.execute("SELECT try_strptime('', ?)", [pattern])
        except Problem:
            raise InvalidMapping(
                f"{table}: the date format {pattern[:40]!r} cannot be read",
                fix="write for example %Y-%m-%d or %d.%m.%Y",
            ) from None


def _entries(connection: Connection, mapping: Mapping) -> None:
    """Make the table `entries`: one row for each mapped column."""
    connection.execute("""
        CREATE TEMP TABLE entries (place INTEGER, col VARCHAR, concept_id BIGINT,
            unit_id BIGINT, unit_source VARCHAR)
    """)
    rows = []
    for entry in entries_of(mapping):
        mapped, unit, source = entry.entry, None, None
        if isinstance(mapped, Measurement):
            unit, source = (
                UNITS[mapped.unit][0],
                mapped.unit_source_value or mapped.unit,
            )
        rows.append((entry.place, mapped.column, mapped.concept_id, unit, source))
    if rows:
        connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", rows)


def trimmed(place: int) -> str:
    """Return SQL for a cell of `extract` without spaces of any script around it."""
    return f"trim(c{place}, {text(SPACES)})"


def _clean(connection: Connection, mapping: Mapping, headers: tuple[str, ...]) -> None:
    """Trim each mapped column; a missing code becomes NULL."""
    missing = texts(mapping.source.missing)
    columns = ", ".join(
        f"CASE WHEN {trimmed(place)} IN {missing} THEN NULL ELSE {trimmed(place)} END "
        f"AS {mapping.cell(column)}"
        for column, place in ((c, headers.index(c)) for c in mapping.columns)
    )
    connection.execute(
        f"CREATE TEMP TABLE clean AS SELECT {ROW}, {columns} FROM extract"  # noqa: S608
    )


def number_sql(column: str, decimal: str) -> str:
    """Return SQL for the finite number of a text column, NULL where it is none."""
    cell = f"replace({column}, ',', '.')" if decimal == "," else column
    number = f"TRY_CAST({cell} AS DOUBLE)"
    return f"CASE WHEN isfinite({number}) THEN {number} END"


def _birth_sql(mapping: Mapping) -> str:
    person = mapping.person
    if person.year_of_birth:
        return f"TRY_CAST({mapping.cell(person.year_of_birth)} AS INTEGER)"
    age = number_sql(mapping.cell(person.age), mapping.source.decimal)
    return f"TRY_CAST(year(visit_date) - floor({age}) AS INTEGER)"


def _place(connection: Connection, mapping: Mapping, key: bytes, today: str) -> None:
    """Give each row a person, a day, a birth year and a sex, or a reason against."""
    person, visit = mapping.person, mapping.visit
    parsed = f"try_strptime({mapping.cell(visit.date)}, {text(visit.format)})::DATE"
    query = f"""
        CREATE TEMP TABLE placed AS
        WITH dated AS (SELECT *, {parsed} AS visit_date FROM clean),
        born AS (SELECT *, {_birth_sql(mapping)} AS birth_year FROM dated)
        SELECT {ROW}, {pseudonym_sql(mapping.cell(person.id))} AS person_id,
            visit_date, birth_year, {mapping.cell(person.sex)} AS sex_text,
            CASE WHEN {mapping.cell(person.sex)} IN {texts(person.male)} THEN {MALE}
                 WHEN {mapping.cell(person.sex)} IN {texts(person.female)} THEN {FEMALE}
                 ELSE 0 END AS gender,
            CASE WHEN {mapping.cell(person.id)} IS NULL THEN {text(NO_ID)}
                 WHEN visit_date IS NULL THEN {text(NO_DATE)}
                 WHEN visit_date > $today::DATE THEN {text(FUTURE)}
                 WHEN birth_year IS NULL OR year(visit_date) - birth_year
                      NOT BETWEEN 0 AND {OLDEST_YEARS} THEN {text(NO_BIRTH)}
            END AS problem
        FROM born
    """  # noqa: S608
    connection.execute(query, {**pads(key), "today": today})


def _number_visits(connection: Connection, mapping: Mapping) -> None:
    connection.execute("""
        CREATE TEMP TABLE visits AS
        SELECT *, row_number() OVER (
                ORDER BY person_id, visit_date, source_row) AS visit_id,
            row_number() OVER (
                PARTITION BY person_id ORDER BY visit_date, source_row) AS turn
        FROM placed WHERE problem IS NULL
    """)
    if count(connection, "visits") == 0:
        raise InvalidData(
            f"{mapping.source.file}: no row has an identifier, a date and an age",
            fix="check [person] and [visit], above all the date's format",
        )


def _refuse_duplicates(connection: Connection, mapping: Mapping) -> None:
    column = mapping.cell(mapping.person.id)
    clash = connection.execute(f"""
        SELECT count(DISTINCT {column}) > count(DISTINCT person_id)
        FROM clean JOIN placed USING ({ROW}) WHERE {column} IS NOT NULL
    """).fetchone()  # noqa: S608
    if clash and clash[0]:
        raise InvalidData("two identifiers share a pseudonym", fix="make a new key")
    if mapping.visit.repeats:
        return
    second = connection.execute(f"""
        SELECT min({ROW}) FROM (
            SELECT {ROW}, row_number() OVER (
                PARTITION BY {column} ORDER BY {ROW}) AS turn
            FROM clean WHERE {column} IS NOT NULL)
        WHERE turn > 1
    """).fetchone()  # noqa: S608
    if second and second[0] is not None:
        raise InvalidData(
            f"{mapping.source.file}, {band_of(second[0] + 1)}: an identifier stands "
            f"twice in column {mapping.person.id!r}",
            fix="export one row a person, or set [visit] repeats = true",
        )


def _follow(connection: Connection, mapping: Mapping) -> None:
    """Say for each person how long they were seen, and whether they died."""
    if mapping.followup:
        seen = _followup_sql(mapping, mapping.followup)
    elif mapping.death:
        seen = _death_sql(mapping, mapping.death)
    else:
        seen = """
            SELECT person_id, min(visit_date) AS visit_date,
                min(source_row) AS source_row, '' AS col,
                max(visit_date) AS last_date, NULL::DATE AS death_date,
                NULL::VARCHAR AS problem
            FROM visits GROUP BY person_id
        """
    connection.execute(f"CREATE TEMP TABLE followed AS {seen}")


def _death_sql(mapping: Mapping, death: Death) -> str:
    """Observe from the first visit to death, or to the last visit."""
    column = mapping.cell(death.date)
    parsed = f"try_strptime({column}, {text(death.format)})::DATE"
    return f"""
        WITH last AS (
            SELECT person_id, max(visit_date) AS last_visit
            FROM visits GROUP BY person_id),
        read AS (
            SELECT person_id, visit_date, source_row, last_visit, {parsed} AS died_on,
                CASE WHEN {column} IS NOT NULL AND died_on IS NULL THEN {text(NO_DATE)}
                     WHEN died_on < last_visit THEN {text(EARLY_DEATH)} END AS problem
            FROM visits JOIN clean USING (source_row) JOIN last USING (person_id)
            WHERE turn = 1)
        SELECT person_id, visit_date, source_row, {text(death.date)} AS col,
            CASE WHEN problem IS NULL THEN coalesce(died_on, last_visit) END
                AS last_date,
            CASE WHEN problem IS NULL THEN died_on END AS death_date, problem
        FROM read
    """  # noqa: S608


def _followup_sql(mapping: Mapping, followup: Followup) -> str:
    """Observe from the first visit for as many days as the source says."""
    days_cell, died = mapping.cell(followup.days), mapping.cell(followup.died)
    days = number_sql(days_cell, mapping.source.decimal)
    return f"""
        WITH read AS (
            SELECT person_id, visit_date, source_row, {days} AS days,
                {days_cell} AS days_text, {died} AS died_text,
                CASE WHEN {died} IN {texts(followup.yes)} THEN TRUE
                     WHEN {died} IN {texts(followup.no)} THEN FALSE END AS died
            FROM visits JOIN clean USING (source_row) WHERE turn = 1),
        judged AS (
            SELECT *, CASE
                WHEN days_text IS NULL OR died_text IS NULL THEN {text(NO_FOLLOWUP)}
                WHEN died IS NULL THEN {text(UNMAPPED)}
                WHEN days IS NULL OR days > {LONGEST_FOLLOWUP_DAYS}
                    THEN {text(NOT_A_NUMBER)}
                WHEN days < 0 THEN {text(NEGATIVE)} END AS problem
            FROM read)
        SELECT person_id, visit_date, source_row,
            CASE WHEN problem = {text(UNMAPPED)} THEN {text(followup.died)}
                 ELSE {text(followup.days)} END AS col,
            CASE WHEN problem IS NULL THEN visit_date + floor(days)::INTEGER END
                AS last_date,
            CASE WHEN problem IS NULL AND died THEN last_date END AS death_date,
            problem
        FROM judged
    """  # noqa: S608


def _cells(connection: Connection, mapping: Mapping) -> None:
    """Lay every mapped cell out long, with its value or the reason for none."""
    connection.execute("""
        CREATE TEMP TABLE cells (source_row BIGINT, place INTEGER, kind VARCHAR,
            raw VARCHAR, value DOUBLE, concept BIGINT, problem VARCHAR)
    """)
    for entry in entries_of(mapping):
        column = mapping.cell(entry.entry.column)
        if isinstance(entry.entry, Measurement):
            values = _measurement_sql(entry.entry, column, mapping.source.decimal)
        elif isinstance(entry.entry, Observation):
            values = _observation_sql(entry.entry, column)
        else:
            values = _condition_sql(entry.entry, column, mapping.source.decimal)
        connection.execute(f"""
            INSERT INTO cells
            SELECT source_row, {entry.place}, {text(entry.kind)}, {column}, {values}
            FROM clean JOIN visits USING (source_row)
        """)  # noqa: S608


def _measurement_sql(entry: Measurement, column: str, decimal: str) -> str:
    number = number_sql(column, decimal)
    value = f"({number}) * {entry.factor!r} + {entry.offset!r}"
    zero = f"WHEN ({number}) = 0 THEN {text(ZERO)}" if entry.zero_means_missing else ""
    beyond = ""
    if entry.plausible:
        low, high = entry.plausible
        beyond = (
            f"WHEN {value} NOT BETWEEN {low!r} AND {high!r} THEN {text(IMPLAUSIBLE)}"
        )
    problem = f"""CASE WHEN {column} IS NULL THEN {text(MISSING)}
        WHEN ({number}) IS NULL THEN {text(NOT_A_NUMBER)} {zero} {beyond} END"""
    return f"{value}, NULL, {problem}"


def _observation_sql(entry: Observation, column: str) -> str:
    meanings = " ".join(
        f"WHEN {text(value.code)} THEN {value.concept_id}" for value in entry.values
    )
    concept = f"CASE {column} {meanings} END"
    problem = f"""CASE WHEN {column} IS NULL THEN {text(MISSING)}
        WHEN ({concept}) IS NULL THEN {text(UNMAPPED)} END"""
    return f"NULL, {concept}, {problem}"


def _condition_sql(entry: Condition, column: str, decimal: str) -> str:
    """Concept where present, NULL where absent, a reason where neither is known."""
    comparison = comparison_of(entry.present_when)
    if comparison:
        number = number_sql(column, decimal)
        present = f"({number}) {comparison[0]} {comparison[1]!r}"
        known, reason = f"({number}) IS NOT NULL", NOT_A_NUMBER
    else:
        present = f"{column} IN {texts(entry.values)}"
        known, reason = f"{column} IN {texts(entry.values + entry.absent)}", UNMAPPED
    concept = f"CASE WHEN {present} THEN {entry.concept_id} END"
    problem = f"""CASE WHEN {column} IS NULL THEN {text(MISSING)}
        WHEN NOT ({known}) THEN {text(reason)} END"""
    return f"NULL, {concept}, {problem}"
