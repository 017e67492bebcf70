"""What the rows of events say about each candidate: counts and first days, in one pass.

A fact is an aggregate over a candidate's rows. All facts of a study are worked out
together: one scan of each event table, one grouping.
"""

from dataclasses import dataclass, field

from hetao.cohort.entry import CANDIDATE, in_window
from hetao.cohort.event_rows import Base, event_rows, one_row
from hetao.cohort.wanted import Wanted
from hetao.study import Criterion, Event

Window = tuple[int, int]
OBSERVED = "event_day BETWEEN obs_start AND obs_end"


@dataclass
class Facts:
    """The facts that a study needs of its candidates, each with a column's name."""

    wanted: Wanted
    events: list[Event] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)

    def count(
        self,
        events: tuple[Event, ...],
        days: Window,
        *,
        distinct_days: bool = False,
        observed: bool = False,
    ) -> str:
        """Return SQL over the facts for how many rows, or days with one, there are."""
        within = self._within(events, days)
        if observed:
            within = f"{within} AND {OBSERVED}"
        if distinct_days or len(events) > 1:
            # A row that is two of the events counts once; a day with two rows may too.
            what = "event_day" if distinct_days else one_row(self.wanted, events)
            return self._add(f"count(DISTINCT CASE WHEN {within} THEN {what} END)", "0")
        return self._add(f"count(CASE WHEN {within} THEN 1 END)", "0")

    def first_day(
        self, events: tuple[Event, ...], days: Window, condition: str = ""
    ) -> str:
        """Return SQL over the facts for the first day with a row, NULL without one."""
        within = self._within(events, days)
        if condition:
            within = f"{within} AND {condition}"
        return self._add(f"min(CASE WHEN {within} THEN event_day END)", "")

    def criterion(self, one: Criterion) -> str:
        """Return SQL over the facts for whether a criterion about events holds."""
        if one.events:
            found = self.count(
                one.events,
                one.days,
                distinct_days=one.distinct_days,
                observed=one.observed,
            )
            if one.at_most is None:
                return f"{found} >= {one.at_least}"
            return f"{found} BETWEEN {one.at_least} AND {one.at_most}"
        inner = one.all_of or one.any_of or one.none_of
        parts = [f"({self.criterion(part)})" for part in inner]
        if one.all_of:
            return " AND ".join(parts)
        joined = " OR ".join(parts)
        return joined if one.any_of else f"NOT ({joined})"

    def plan(self, where: str) -> str:
        """Return SQL for the facts: `person_id`, `day` and a column for each."""
        low = min(days[0] for days in self.windows)
        high = max(days[1] for days in self.windows)
        kept = ["person_id", "day", "arm"]
        if any(OBSERVED in column for column in self.columns):
            kept += ["obs_start", "obs_end"]
        base = Base(CANDIDATE, tuple(kept), where, (low, high))
        keyed = any("row_key" in column for column in self.columns)
        rows = event_rows(self.wanted, self.events, base, ("row_key",) if keyed else ())
        made = ", ".join(self.columns)
        return (
            f"SELECT person_id, day, {made} FROM ({rows}) r "  # noqa: S608
            "GROUP BY person_id, day"
        )

    def _within(self, events: tuple[Event, ...], days: Window) -> str:
        self.events += events
        self.windows.append(days)
        return in_window(self.wanted, events, days)

    def _add(self, aggregate: str, otherwise: str) -> str:
        name = f"fact_{len(self.columns)}"
        self.columns.append(f"{aggregate} AS {name}")
        return f"coalesce(f.{name}, {otherwise})" if otherwise else f"f.{name}"
