"""Each person's time → rows: cut where exposures begin and end, and at public points.

A row is a run of whole days. It is at risk after its `start`, the days of the person's
time that came before it, up to and with its `stop`: as R's `tmerge` makes rows for
`Surv(start, stop, event)`. All of it is relational; nothing here loops over rows.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from hetao.cohort.case_windows import make_windows_about
from hetao.cohort.event_rows import END, KEY, Base, event_rows
from hetao.cohort.follow_up import clean_days_plan
from hetao.cohort.people import PEOPLE
from hetao.cohort.wanted import Wanted
from hetao.study import Intervals, Study, Window

SPANS, WINDOWS, ROWS = "hetao_spans", "hetao_windows", "hetao_rows"
Array = npt.NDArray[Any]


class LongRows:
    """The rows of a study's people, in the order of place and time.

    Attributes:
        place: (rows,) the person's place.
        start, stop: (rows,) days of the person's time before the row, and with it.
        first: (rows,) first day, datetime64[D].
        last: (rows,) last day.
    """

    def __init__(self, study: Study, wanted: Wanted) -> None:
        """Make the rows, after the people."""
        assert study.intervals is not None  # noqa: S101  the caller asks
        self._study, self._wanted = study, wanted
        cut = study.intervals
        engine = wanted.engine
        engine.make(SPANS, _spans_plan(cut, wanted))
        engine.make(WINDOWS, _windows_plan(cut, wanted))
        if cut.around is None:
            engine.make(ROWS, _rows_plan(self._cuts(cut)))
        else:
            names = [outcome.name for outcome in study.outcomes]
            days = _outcome_days(study, wanted, names.index(cut.outcome))
            make_windows_about(cut, engine, days, (SPANS, ROWS))
        found = engine.fetch(
            "SELECT row_no, place, first_day, last_day, "  # noqa: S608
            "date_diff('day', span_day, first_day) AS started, "
            f"date_diff('day', span_day, last_day) + 1 AS stopped FROM {ROWS}"
        )
        order = np.argsort(found["row_no"], kind="stable")
        ordered = {name: values[order] for name, values in found.items()}
        self.place: Array = ordered["place"]
        self.first: Array = ordered["first_day"].astype("datetime64[D]")
        self.last: Array = ordered["last_day"].astype("datetime64[D]")
        self.start: Array = ordered["started"].astype(np.float64)
        self.stop: Array = ordered["stopped"].astype(np.float64)

    def exposed(self, name: str) -> Array:
        """Return (rows,) 1 where a row lies in a window of that name, else 0.

        A row about an event lies in a window if one of its days does.
        """
        assert self._study.intervals is not None  # noqa: S101  as in the beginning
        number = [one.name for one in self._study.intervals.windows].index(name)
        found = self._wanted.engine.fetch(
            f"SELECT DISTINCT r.row_no FROM {ROWS} r JOIN {WINDOWS} w "  # noqa: S608
            f"ON w.place = r.place AND w.window_no = {number} "
            "WHERE w.begins <= r.last_day AND w.ends >= r.first_day"
        )
        flags = np.zeros(len(self.place), dtype=np.int64)
        flags[found["row_no"]] = 1
        return flags

    def about(self) -> tuple[Array, Array]:
        """Return (rows,) which event a row is about, and 1 where it holds the event."""
        found = self._wanted.engine.fetch(
            f"SELECT row_no, place, event_day, shift FROM {ROWS}"  # noqa: S608
        )
        order = np.argsort(found["row_no"], kind="stable")
        days = found["event_day"][order].astype("datetime64[D]").astype(np.int64)
        pairs = np.stack([found["place"][order], days])
        _, case = np.unique(pairs, axis=1, return_inverse=True)
        return case.reshape(-1).astype(np.int64), (found["shift"][order] == 0) * 1

    def outcome_days(self, place: int) -> Array:
        """Return (rows,) on how many days of a row an outcome came.

        Args:
            place: of the outcome among the study's.
        """
        days = _outcome_days(self._study, self._wanted, place)
        found = self._wanted.engine.fetch(
            f"SELECT r.row_no, count(*) AS n FROM {ROWS} r JOIN ({days}) k "  # noqa: S608
            "ON k.place = r.place WHERE k.event_day BETWEEN r.first_day AND r.last_day "
            "GROUP BY r.row_no"
        )
        counts = np.zeros(len(self.place))
        counts[found["row_no"]] = found["n"]
        return counts

    def _cuts(self, cut: Intervals) -> Iterator[str]:
        """Yield SQL for first days of rows: `place` and `first_day`."""
        yield f"SELECT place, span_day AS first_day FROM {SPANS}"  # noqa: S608
        yield f"SELECT place, begins AS first_day FROM {WINDOWS}"  # noqa: S608
        yield f"SELECT place, add_days(ends, 1) AS first_day FROM {WINDOWS}"  # noqa: S608
        for number in cut.after_days:
            later = f"add_days(span_day, {number})"
            yield f"SELECT place, {later} AS first_day FROM {SPANS}"  # noqa: S608
        for age in cut.ages:
            born = f"make_date(year_of_birth + {age}, 1, 1)"
            yield f"SELECT place, {born} AS first_day FROM {SPANS}"  # noqa: S608
        for day in cut.days:
            yield f"SELECT place, DATE '{day}' AS first_day FROM {SPANS}"  # noqa: S608
        if cut.months:
            yield self._months(cut)
        if cut.outcome:
            names = [outcome.name for outcome in self._study.outcomes]
            days = _outcome_days(self._study, self._wanted, names.index(cut.outcome))
            yield f"SELECT place, add_days(event_day, 1) AS first_day FROM ({days}) k"  # noqa: S608

    def _months(self, cut: Intervals) -> str:
        ((low, high),) = self._wanted.engine.rows(
            "SELECT min(year(span_day)) AS low, max(year(end_day)) AS high "  # noqa: S608
            f"FROM {SPANS}"
        )
        years = range(int(low or 0), int(high or -1) + 1) if low is not None else ()
        firsts = ", ".join(
            f"(DATE '{year:04d}-{month:02d}-01')"
            for year in years
            for month in cut.months
        )
        if not firsts:
            return f"SELECT place, span_day AS first_day FROM {SPANS}"  # noqa: S608
        return (
            f"SELECT s.place, m.first_day FROM {SPANS} s "  # noqa: S608
            f"CROSS JOIN (VALUES {firsts}) m(first_day) "
            "WHERE m.first_day BETWEEN s.span_day AND s.end_day"
        )


def places_of_rows(wanted: Wanted) -> Array:
    """Return (rows,) the place of each row's person, after the rows were made."""
    found = wanted.engine.fetch(f"SELECT row_no, place FROM {ROWS}")  # noqa: S608
    return np.asarray(found["place"])[np.argsort(found["row_no"], kind="stable")]


def _spans_plan(cut: Intervals, wanted: Wanted) -> str:
    """Return SQL for each person's time: the time at risk, or all that is observed."""
    columns = "p.place, p.person_id, p.day, p.year_of_birth"
    if not cut.observed:
        return (
            f"SELECT {columns}, p.start_day AS span_day, p.end_day FROM {PEOPLE} p "  # noqa: S608
            "WHERE p.start_day <= p.end_day"
        )
    start, end = "observation_period_start_date", "observation_period_end_date"
    wanted.read("observation_period", "person_id", start, end)
    wanted.read("death", "person_id", "death_date")
    return (
        f"SELECT {columns}, add_days(o.begins, {cut.run_in_days}) AS span_day, "  # noqa: S608
        f"least(o.ends, d.died) AS end_day FROM {PEOPLE} p JOIN ("
        f"SELECT c.place, min(x.{start}) AS begins, max(x.{end}) AS ends "
        f"FROM {PEOPLE} c JOIN observation_period x ON x.person_id = c.person_id "
        f"AND c.day BETWEEN x.{start} AND x.{end} GROUP BY c.place"
        ") o ON o.place = p.place LEFT JOIN ("
        "SELECT person_id, min(death_date) AS died FROM death GROUP BY person_id"
        ") d ON d.person_id = p.person_id "
        f"WHERE add_days(o.begins, {cut.run_in_days}) <= least(o.ends, d.died)"
    )


def _windows_plan(cut: Intervals, wanted: Wanted) -> str:
    """Return SQL for all windows: `window_no`, `place`, first and last day."""
    parts = [_window(one, number, wanted) for number, one in enumerate(cut.windows)]
    nothing = (
        "SELECT CAST(0 AS BIGINT) AS window_no, place, span_day AS begins, "  # noqa: S608
        f"end_day AS ends FROM {SPANS} WHERE 1 = 0"
    )
    return " UNION ALL ".join([nothing, *parts])


def _window(one: Window, number: int, wanted: Wanted) -> str:
    """Return SQL for the windows of one exposure, its rows joined into spells first.

    A row that begins at most `gap_days` after the last day so far belongs to the
    spell, as in OHDSI's eras.
    """
    rows = event_rows(wanted, one.events, Base(SPANS, ("place",)), (END, KEY))
    order = "PARTITION BY place ORDER BY event_day, last_day, row_key"
    anchor = "max(last_day)" if one.until == "end" else "min(event_day)"
    return (
        f"SELECT CAST({number} AS BIGINT) AS window_no, place, "  # noqa: S608
        f"add_days(min(event_day), {one.days[0]}) AS begins, "
        f"add_days({anchor}, {one.days[1]}) AS ends FROM ("
        "SELECT place, event_day, last_day, count(CASE WHEN before IS NULL "
        f"OR event_day > add_days(before, {one.gap_days}) THEN 1 END) OVER ({order} "
        "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS spell FROM ("
        f"SELECT place, event_day, last_day, row_key, max(last_day) OVER ({order} "
        "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM ("
        "SELECT DISTINCT place, event_day, coalesce(last_day, event_day) AS last_day, "
        f"row_key FROM ({rows}) r) d) g) s GROUP BY place, spell"
    )


def _rows_plan(cuts: Iterator[str]) -> str:
    """Return SQL for the rows between the cuts that lie within each person's time."""
    return (
        "SELECT row_number() OVER (ORDER BY place, first_day) - 1 AS row_no, place, "  # noqa: S608
        "span_day, first_day, coalesce(add_days(next_day, -1), end_day) AS last_day "
        "FROM (SELECT place, span_day, end_day, first_day, lead(first_day) OVER "
        "(PARTITION BY place ORDER BY first_day) AS next_day FROM ("
        "SELECT DISTINCT s.place, s.span_day, s.end_day, c.first_day "
        f"FROM {SPANS} s JOIN ({' UNION ALL '.join(cuts)}) c ON c.place = s.place "
        "WHERE c.first_day BETWEEN s.span_day AND s.end_day) d) g"
    )


def _outcome_days(study: Study, wanted: Wanted, place: int) -> str:
    """Return SQL for the days of an outcome: `place` and `event_day`."""
    outcome = study.outcomes[place]
    return clean_days_plan(outcome, wanted, Base(SPANS, ("place",)), ("place",))
