"""What was found in a source, and what was done with it: one check a finding."""

from dataclasses import dataclass, replace
from pathlib import Path

from hetao.cdm.engine_duckdb import Connection, count, text, texts
from hetao.cdm.mapping import Condition, Mapping, Measurement
from hetao.cdm.stage import (
    FUTURE,
    IMPLAUSIBLE,
    MISSING,
    NO_BIRTH,
    NO_DATE,
    NOT_A_NUMBER,
    UNMAPPED,
    ZERO,
    Entry,
    entries_of,
    trimmed,
)

WORST_FIRST = {"fail": 0, "note": 1, "pass": 2}
BANDS = ((0.01, "<1%"), (0.05, "1-5%"), (0.20, "5-20%"), (0.50, "20-50%"))


@dataclass(frozen=True)
class Check:
    """One finding about one column.

    Attributes:
        id: what was looked for, such as `zero-as-missing`.
        table: the CDM table concerned.
        column: the source column concerned; "" for whole rows.
        what: a plain sentence.
        status: "pass", "note" (read it) or "fail" (the column cannot carry an
            analysis here, or something does not add up).
        affected: how many rows; for the site's own eyes only.
        share_band: the share of rows, in bands that may be shown.
        done: what was done with them.
    """

    id: str
    table: str
    column: str
    what: str
    status: str
    affected: int
    share_band: str
    done: str


@dataclass(frozen=True)
class Curation:
    """What a curation left behind. Counts in it are for the site's own eyes.

    Attributes:
        site: the site's id.
        database: the DuckDB file with the curated tables.
        snapshot: digest over their content; may leave the site.
        rows: rows of the extract.
        people: people in the CDM.
        rejected: cells and rows kept aside.
        tables: rows of each content table.
        quality: every check, worst first.
        report: the readable report, beside `quality.json`.
    """

    site: str
    database: Path
    snapshot: str
    rows: int
    people: int
    rejected: int
    tables: tuple[tuple[str, int], ...]
    quality: tuple[Check, ...]
    report: Path


def share_band(affected: int, total: int) -> str:
    """Return the band that a share falls in: 0, <1%, 1-5%, 5-20%, 20-50%, >50%."""
    if affected == 0 or total == 0:
        return "0"
    share = affected / total
    return next((label for limit, label in BANDS if share < limit), ">50%")


def check_quality(
    connection: Connection, mapping: Mapping, headers: tuple[str, ...]
) -> tuple[Check, ...]:
    """Return every check over the staging tables and the CDM, worst first."""
    rows = count(connection, "extract")
    checks = [
        *_rows(connection, mapping, rows),
        *_dates(connection, mapping, rows),
        *_person(connection, mapping, rows),
    ]
    found = _found(connection)
    for entry in entries_of(mapping):
        checks += _entry(entry, found, rows)
    checks += _missing_codes(connection, mapping, headers)
    checks += _unused(mapping, headers, rows)
    return tuple(sorted(checks, key=lambda check: WORST_FIRST[check.status]))


def _rows(connection: Connection, mapping: Mapping, rows: int) -> list[Check]:
    placed = count(connection, "visits")
    aside = count(connection, "placed", "problem IS NOT NULL")
    visits = count(connection, "visit_occurrence")
    lost = rows - visits - aside
    alike = _alike(connection, mapping)
    return [
        Check(
            "rows-reconciled",
            "visit_occurrence",
            "",
            "Every source row is a visit in the CDM or is kept aside with a reason.",
            "pass" if lost == 0 and visits == placed else "fail",
            abs(lost),
            share_band(abs(lost), rows),
            "counted on both sides",
        ),
        Check(
            "rows-kept-aside",
            "person",
            "",
            "Rows without a usable identifier, date or age.",
            _graded(aside, rows),
            aside,
            share_band(aside, rows),
            "kept aside in `rejected`; these people are not in the CDM",
        ),
        Check(
            "rows-alike",
            "person",
            "",
            "Rows that agree in every mapped column except identifier and date.",
            "note" if alike else "pass",
            alike,
            share_band(alike, rows),
            "kept: they may be two people; ask the source",
        ),
        Check(
            "cells-reconciled",
            "rejected",
            "",
            "Every mapped cell is in the CDM, absent, missing or kept aside.",
            "pass" if _unaccounted(connection) == 0 else "fail",
            _unaccounted(connection),
            share_band(_unaccounted(connection), rows),
            "counted on both sides",
        ),
    ]


def _alike(connection: Connection, mapping: Mapping) -> int:
    own = {mapping.person.id, mapping.visit.date}
    columns = ", ".join(mapping.cell(c) for c in mapping.columns if c not in own)
    return count(
        connection,
        f"(SELECT row_number() OVER (PARTITION BY {columns} ORDER BY source_row) "  # noqa: S608
        "AS turn FROM clean)",
        "turn > 1",
    )


def _unaccounted(connection: Connection) -> int:
    """Count cells that are neither in their CDM table, absent nor given a reason."""
    total = count(connection, "cells")
    reasons = count(connection, "cells", "problem IS NOT NULL")
    absent = count(
        connection,
        "cells",
        "kind = 'condition_occurrence' AND problem IS NULL AND concept IS NULL",
    )
    kept = sum(
        count(connection, table)
        for table in ("measurement", "observation", "condition_occurrence")
    )
    return abs(total - reasons - absent - kept)


def _dates(connection: Connection, mapping: Mapping, rows: int) -> list[Check]:
    column = mapping.visit.date
    found = dict(
        connection.execute(
            "SELECT problem, count(*) FROM placed WHERE problem IS NOT NULL "
            "GROUP BY problem"
        ).fetchall()
    )
    checks = [
        _aside(
            ("date-unreadable", "visit_occurrence", column),
            found.get(NO_DATE, 0),
            rows,
            "Visit dates that do not follow the declared format.",
        ),
        _aside(
            ("date-future", "visit_occurrence", column),
            found.get(FUTURE, 0),
            rows,
            "Visits dated in the future.",
        ),
        _aside(
            ("birth-implausible", "person", _birth(mapping)),
            found.get(NO_BIRTH, 0),
            rows,
            "Ages or birth years that are missing or not plausible.",
        ),
    ]
    if mapping.followup or mapping.death:
        ended = mapping.followup.days if mapping.followup else ""
        ended = mapping.death.date if mapping.death else ended
        unknown = count(connection, "followed", "problem IS NOT NULL")
        checks.append(
            _aside(
                ("followup-order", "observation_period", ended),
                unknown,
                rows,
                "Follow-up that is unknown, negative or ends before the visit.",
            )
        )
    return checks


def _birth(mapping: Mapping) -> str:
    return mapping.person.age or mapping.person.year_of_birth


def _person(connection: Connection, mapping: Mapping, rows: int) -> list[Check]:
    column = mapping.person.sex
    unknown = count(connection, "visits", "gender = 0 AND sex_text IS NULL")
    unmapped = count(connection, "visits", "gender = 0 AND sex_text IS NOT NULL")
    checks = [
        _completeness("person", column, unknown, rows),
        _aside(
            ("code-unmapped", "person", column),
            unmapped,
            rows,
            "Codes that the mapping does not name.",
        ),
    ]
    if mapping.visit.repeats:
        torn = count(
            connection,
            "(SELECT person_id FROM visits GROUP BY person_id "
            "HAVING count(DISTINCT gender) > 1 OR "
            "max(birth_year) - min(birth_year) > 1)",
        )
        checks.append(
            Check(
                "person-contradictory",
                "person",
                column,
                "People whose rows disagree on sex or year of birth.",
                _graded(torn, rows),
                torn,
                share_band(torn, rows),
                "the first visit's word was kept",
            )
        )
    return checks


Found = dict[tuple[int, str], int]


def _found(connection: Connection) -> Found:
    """Count the cells of each mapped column by problem; "" where there is none."""
    return {
        (place, problem): number
        for place, problem, number in connection.execute(
            "SELECT place, coalesce(problem, ''), count(*) FROM cells GROUP BY 1, 2"
        ).fetchall()
    }


def _entry(entry: Entry, found: Found, rows: int) -> list[Check]:
    def affected(problem: str) -> int:
        return found.get((entry.place, problem), 0)

    mapped, table = entry.entry, entry.kind
    column = mapped.column
    absent = affected(MISSING) + affected(ZERO)
    checks = [_completeness(table, column, absent, rows)]
    if isinstance(mapped, Condition):
        checks[0] = _condition_completeness(checks[0])
    if isinstance(mapped, Measurement):
        checks += _measurement(mapped, affected(ZERO), affected(""), rows)
        checks += [
            _aside(
                ("number-unreadable", table, column),
                affected(NOT_A_NUMBER),
                rows,
                "Cells that are not a number.",
            ),
            _aside(
                ("range-implausible", table, column),
                affected(IMPLAUSIBLE),
                rows,
                _range_sentence(mapped),
            ),
        ]
    else:
        reasons = affected(UNMAPPED) + affected(NOT_A_NUMBER)
        checks.append(
            _aside(
                ("code-unmapped", table, column),
                reasons,
                rows,
                "Codes that the mapping does not name.",
            )
        )
    return checks


def _range_sentence(mapped: Measurement) -> str:
    if mapped.plausible is None:
        return "No plausible range is declared."
    low, high = mapped.plausible
    return f"Values outside {low:g} to {high:g} {mapped.unit}."


def _measurement(mapped: Measurement, zeros: int, kept: int, rows: int) -> list[Check]:
    checks = []
    if mapped.zero_means_missing:
        checks.append(
            Check(
                "zero-as-missing",
                "measurement",
                mapped.column,
                f"{mapped.name}: a zero was written where nothing was measured.",
                _graded(zeros, rows, at_most=0.5),
                zeros,
                share_band(zeros, rows),
                "read as not measured; kept aside in `rejected`",
            )
        )
    if (mapped.factor, mapped.offset) != (1.0, 0.0):
        offset = f" + {mapped.offset:g}" if mapped.offset else ""
        checks.append(
            Check(
                "unit-converted",
                "measurement",
                mapped.column,
                f"{mapped.name} was converted from {mapped.unit_source_value} "
                f"to {mapped.unit}.",
                "pass",
                kept,
                share_band(kept, rows),
                f"value × {mapped.factor:g}{offset}",
            )
        )
    return checks


def _condition_completeness(check: Check) -> Check:
    if check.affected == 0:
        return check
    done = "no diagnosis was written: in the CDM these people read as without it"
    return replace(check, done=done)


def _completeness(table: str, column: str, absent: int, rows: int) -> Check:
    return Check(
        "completeness",
        table,
        column,
        "Nothing was measured in any row."
        if absent == rows
        else "Rows in which this is not known.",
        _graded(absent, rows, at_most=0.5),
        absent,
        share_band(absent, rows),
        "left out of the CDM; a model that uses it leaves these people out",
    )


def _missing_codes(
    connection: Connection, mapping: Mapping, headers: tuple[str, ...]
) -> list[Check]:
    """Tell which written codes stood for missing; an empty cell needs no telling."""
    codes = tuple(code for code in mapping.source.missing if code)
    rows = count(connection, "extract")
    checks = []
    for column in mapping.columns if codes else ():
        place = headers.index(column)
        found = connection.execute(
            f"SELECT {trimmed(place)}, count(*) FROM extract "  # noqa: S608
            f"WHERE {trimmed(place)} IN {texts(codes)} GROUP BY 1 ORDER BY 1"
        ).fetchall()
        checks += [
            Check(
                "missing-code",
                "rejected",
                column,
                f"The code {text(code)} stands for not known.",
                "note",
                number,
                share_band(number, rows),
                "read as missing",
            )
            for code, number in found
        ]
    return checks


def _unused(mapping: Mapping, headers: tuple[str, ...], rows: int) -> list[Check]:
    """Tell which columns the mapping leaves alone, so that none is lost unseen."""
    return [
        Check(
            "column-unused",
            "rejected",
            header,
            "The mapping does not name this column.",
            "note",
            rows,
            share_band(rows, rows),
            "not read: nothing of it is in the CDM",
        )
        for header in headers
        if header not in mapping.columns
    ]


def _aside(place: tuple[str, str, str], affected: int, rows: int, what: str) -> Check:
    """Return a check whose cells are kept aside: a note when few, a failure when many.

    `place` is the check's id, the table and the column.
    """
    return Check(
        *place,
        what,
        _graded(affected, rows),
        affected,
        share_band(affected, rows),
        "kept aside in `rejected`" if affected else "nothing to do",
    )


def _graded(affected: int, rows: int, at_most: float = 0.05) -> str:
    """Pass without any, note up to a share, fail beyond."""
    if affected == 0:
        return "pass"
    return "note" if affected <= at_most * rows else "fail"
