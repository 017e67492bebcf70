"""What a study says about rows of which one person has several, held to its sense."""

import datetime
import itertools

from hetao.errors import InvalidStudy
from hetao.study.model import Study, Variable
from hetao.study.population import EVER, Intervals, Window

MOST_WINDOWS, MOST_CUTS, MOST_REFERENTS = 50, 400, 100
OF_ROWS = ("interval_start", "interval_stop", "interval_days", "window")
ON_A_DAY = ("age", "index_day", "month")
BY_ROW = (*OF_ROWS, *ON_A_DAY, "person", "case", "outcome", "outcome_count")
ENDS = ("end", "start")
DAY_FORM = "write 2015-01-01"


def check_intervals(study: Study, where: str) -> None:
    """Refuse rows that cannot be meant, and an analysis that would count each twice.

    Raises:
        InvalidStudy: the field is named, and what to write instead.
    """
    cut, place = study.intervals, f"{where} [intervals]"
    if cut is None:
        return
    _check_time(study, cut, place)
    _check_cuts(study, cut, place)
    names = [one.name for one in cut.windows]
    if len(set(names)) != len(names) or len(names) > MOST_WINDOWS:
        raise InvalidStudy(f"{place}: up to {MOST_WINDOWS} windows, each named once")
    for one in cut.windows:
        _check_window(one, f"{place} {one.name}")
    for analysis in study.analyses:
        if analysis.method != "counts" and not analysis.person:
            raise InvalidStudy(
                f"{place}: {analysis.name} would count each row as a person",
                fix='write person = a variable with kind = "key", source = "person"',
            )


def _check_time(study: Study, cut: Intervals, place: str) -> None:
    """Check that there is a time to be cut, and that it is each person's only one."""
    if study.dictionary == "flat":
        raise InvalidStudy(f"{place}: a flat table has its rows already")
    if study.matching is not None or study.population.occurrence == "every":
        raise InvalidStudy(
            f"{place}: rows are cut of people who enter once, and are not matched",
            fix='write occurrence = "first" or "any", and leave [matching] out',
        )
    if cut.observed and study.population.prior_observation_days is None:
        raise InvalidStudy(
            f"{place}: who is observed when must be asked",
            fix="write prior_observation_days = 0 under [population]",
        )
    if not cut.observed and study.follow_up is None:
        raise InvalidStudy(
            f"{place}: nobody is followed", fix="write [follow_up], or observed = true"
        )
    if cut.run_in_days and not cut.observed:
        raise InvalidStudy(f"{place}: run_in_days goes with observed = true")


def is_observed(study: Study) -> bool:
    """Return whether somebody's time is all that is observed, not the time at risk."""
    return study.intervals is not None and study.intervals.observed


def _check_cuts(study: Study, cut: Intervals, place: str) -> None:
    numbers = (cut.ages, cut.after_days, cut.months)
    rising = all(list(points) == sorted(set(points)) for points in numbers)
    rising &= list(cut.days) == sorted(set(cut.days))
    if not rising or len(cut.ages) + len(cut.days) + len(cut.after_days) > MOST_CUTS:
        raise InvalidStudy(
            f"{place}: cut points rise, and are up to {MOST_CUTS} together"
        )
    _check_around(cut, place)
    for day in cut.days:
        _check_day(day, place)
    if not all(0 < age <= 150 for age in cut.ages):
        raise InvalidStudy(f"{place}: ages lie in 1 to 150")
    if not all(0 < days < EVER for days in cut.after_days):
        raise InvalidStudy(f"{place}: after_days counts from 1")
    if not all(1 <= month <= 12 for month in cut.months):
        raise InvalidStudy(f"{place}: months lie in 1 to 12")
    if not 0 <= cut.run_in_days < EVER:
        raise InvalidStudy(f"{place}: run_in_days counts from 0")
    if cut.outcome and cut.outcome not in {one.name for one in study.outcomes}:
        raise InvalidStudy(f"{place}: the study has no outcome {cut.outcome!r}")


def _check_around(cut: Intervals, place: str) -> None:
    """Hold windows about events to what a case-crossover analysis can compare."""
    if cut.around is None:
        if cut.referents or cut.same_month:
            raise InvalidStudy(f"{place}: referents go with around")
        return
    first, last = cut.around
    if not cut.outcome or not -EVER < first <= last < EVER:
        raise InvalidStudy(
            f"{place}: around is [from, to], in days about each day of the outcome",
            fix="name an outcome under [intervals]",
        )
    if cut.ages or cut.days or cut.after_days or cut.months:
        raise InvalidStudy(
            f"{place}: windows about events are not cut", fix="leave the cuts out"
        )
    shifts = sorted({0, *cut.referents})
    if not 1 <= len(cut.referents) == len(shifts) - 1 <= MOST_REFERENTS:
        raise InvalidStudy(
            f"{place}: name 1 to {MOST_REFERENTS} referents, none of them 0"
        )
    apart = min(b - a for a, b in itertools.pairwise(shifts))
    if apart <= last - first or not -EVER < shifts[0] < shifts[-1] < EVER:
        raise InvalidStudy(
            f"{place}: windows about an event overlap",
            fix=f"let referents lie at least {last - first + 1} days apart",
        )


def _check_day(day: str, place: str) -> None:
    try:
        known = datetime.date.fromisoformat(day).isoformat() == day
    except ValueError:
        known = False
    if not known:
        raise InvalidStudy(f"{place}: {day[:40]!r} is not a day", fix=DAY_FORM)


def _check_window(one: Window, place: str) -> None:
    if not one.events:
        raise InvalidStudy(f"{place}: name the events")
    if one.until not in ENDS:
        raise InvalidStudy(f"{place}: until is 'end' or 'start' of the exposure")
    low, high = one.days
    near = -EVER < low < EVER and -EVER < high < EVER
    if not near or (one.until == "start" and low > high):
        raise InvalidStudy(f"{place}: days are [from, to]")
    if not 0 <= one.gap_days < EVER:
        raise InvalidStudy(f"{place}: gap_days counts from 0")


def check_row_variable(study: Study, variable: Variable, where: str) -> None:
    """Refuse a variable of rows where there are none, or of another kind.

    Raises:
        InvalidStudy: the error names the variable and the remedy.
    """
    source = variable.source
    if source in ("person", "case") and variable.kind != "key":
        raise InvalidStudy(f"{where}: {source} is a key", fix='write kind = "key"')
    if source == "case" and (study.intervals is None or not study.intervals.around):
        raise InvalidStudy(
            f"{where}: no row is a window about an event",
            fix="write around and referents under [intervals]",
        )
    if variable.at not in ("", "row"):
        raise InvalidStudy(f"{where}: at is 'row', or left out")
    if variable.at and source not in ON_A_DAY:
        raise InvalidStudy(
            f"{where}: only " + ", ".join(ON_A_DAY) + " are asked at each row"
        )
    if (source in OF_ROWS or variable.at) and study.intervals is None:
        raise InvalidStudy(
            f"{where}: the study has one row a person", fix="write [intervals]"
        )
    if source == "window":
        _check_within(study, variable, where)
    elif variable.window:
        raise InvalidStudy(f"{where}: window goes with the source window")
    elif source in OF_ROWS:
        _check_days(study, variable, where)


def _check_within(study: Study, variable: Variable, where: str) -> None:
    windows = study.intervals.windows if study.intervals else ()
    if variable.window not in {one.name for one in windows}:
        raise InvalidStudy(
            f"{where}: there is no window {variable.window!r}",
            fix="name one that stands under [intervals.windows]",
        )
    if variable.kind != "category" or len(variable.levels) != 2:
        raise InvalidStudy(
            f"{where}: a row lies in a window or not",
            fix="give it two levels, the second for rows within",
        )


def _check_days(study: Study, variable: Variable, where: str) -> None:
    if variable.kind != "number":
        raise InvalidStudy(f"{where}: {variable.source} is a number")
    known = {one.name for one in study.outcomes}
    if variable.outcome and (study.follow_up is None or variable.outcome not in known):
        raise InvalidStudy(
            f"{where}: no time at risk ends with the outcome {variable.outcome!r}",
            fix="write [follow_up], and name one that stands under [outcomes]",
        )
