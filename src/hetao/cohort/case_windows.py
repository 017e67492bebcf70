"""Windows about each event of a person, and referent ones: rows of a case-crossover.

The windows of one event are compared with each other alone, so a window counts only if
the person was observed, or at risk, on all of its days.
"""

from hetao.cdm.engine import Engine
from hetao.study import Intervals

CASES = "hetao_cases"


def make_windows_about(
    cut: Intervals, engine: Engine, days: str, names: tuple[str, str]
) -> None:
    """Make the rows, in the order of person, event and day.

    Args:
        cut: says which windows.
        engine: holds the people's time.
        days: SQL for the days of the outcome: `place` and `event_day`.
        names: of the relation of each person's time (`place`, `span_day`, `end_day`),
            and of the rows to be made: `row_no`, `place`, `span_day`, `event_day`,
            `shift` (0 of the window of the event itself), `first_day` and `last_day`.
    """
    spans, rows = names
    engine.make(
        CASES,
        "SELECT s.place, s.span_day, s.end_day, k.event_day "  # noqa: S608
        f"FROM {spans} s JOIN ({days}) k ON k.place = s.place "
        "WHERE k.event_day BETWEEN s.span_day AND s.end_day",
    )
    windows = " UNION ALL ".join(_window(cut, shift) for shift in (0, *cut.referents))
    engine.make(
        rows,
        "SELECT row_number() OVER (ORDER BY place, event_day, first_day) - 1 "  # noqa: S608
        "AS row_no, place, span_day, event_day, shift, first_day, last_day "
        f"FROM ({windows}) w WHERE first_day >= span_day AND last_day <= end_day",
    )


def _window(cut: Intervals, shift: int) -> str:
    """Return SQL for the window so many days after that of each event."""
    assert cut.around is not None  # noqa: S101  the caller asks
    first, last = (shift + day for day in cut.around)
    there = f"add_days(event_day, {shift})"
    month = (
        f" WHERE year({there}) = year(event_day) AND month({there}) = month(event_day)"
        if cut.same_month
        else ""
    )
    return (
        "SELECT place, span_day, end_day, event_day, "  # noqa: S608
        f"CAST({shift} AS BIGINT) AS shift, add_days(event_day, {first}) AS first_day, "
        f"add_days(event_day, {last}) AS last_day FROM {CASES}{month}"
    )
