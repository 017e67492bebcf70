"""Study + curated tables → one array a variable over everyone in the cohort."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hetao.cohort.event_rows import Base, unit_faults
from hetao.cohort.follow_up import clean_days_plan
from hetao.cohort.intervals import LongRows, places_of_rows
from hetao.cohort.people import PEOPLE, make_people
from hetao.cohort.pieces import Piece, Pieces
from hetao.cohort.wanted import Wanted
from hetao.errors import InvalidData, InvalidStudy
from hetao.study import Event, Score, Study, Variable
from hetao.study.intervals import OF_ROWS
from hetao.study.meaning import events_in
from hetao.study.population import SEXES, ScoreItem
from hetao.study.population_checks import level_range

NUMBER = "number"
UNKNOWN_CONCEPT = 0  # OMOP: no matching concept
EPOCH = np.datetime64("1970-01-01", "D")
Array = npt.NDArray[Any]
Columns = dict[str, Array]


def read_columns(
    study: Study, wanted: Wanted, faults: list[InvalidData]
) -> tuple[Columns, tuple[int, ...]]:
    """Return an array for each variable, and the people left after each step.

    People stand in the order of `person_id`. Where units or values do not fit what
    the study declares, this is put among the faults: who knows how many people it is
    about decides whether it may be said. Nothing may be made of the columns then.

    Raises:
        InvalidStudy: a variable's source is not one that OMOP tables have.
    """
    wanted.resolve()
    wanted.ensure(_events_of(study))
    faults += unit_faults(wanted, _events_of(study))
    attrition = make_people(study, wanted)
    people = attrition[-1]
    if study.population.occurrence == "every":
        ((people,),) = wanted.engine.rows(f"SELECT count(*) AS n FROM {PEOPLE}")  # noqa: S608
    reader = _Reader(study, wanted, int(people), faults)
    columns = {variable.name: reader.column(variable) for variable in study.variables}
    return columns, attrition


def has_rows_of_one(study: Study) -> bool:
    """Return whether several rows may be of one person."""
    return study.population.occurrence == "every" or study.intervals is not None


def persons_of_rows(study: Study, wanted: Wanted) -> Array:
    """Return whose row each is, after `read_columns`."""
    found = wanted.engine.fetch(f"SELECT place, person_id FROM {PEOPLE}")  # noqa: S608
    persons = _in_order(found)["person_id"]
    return persons if study.intervals is None else persons[places_of_rows(wanted)]


class _Reader:
    """What the variables of one study are made of, each read once."""

    def __init__(
        self, study: Study, wanted: Wanted, people: int, faults: list[InvalidData]
    ) -> None:
        self.study, self.wanted, self.people = study, wanted, people
        self.faults = faults
        self.pieces = Pieces(wanted, people)
        self._asked = {v.name: self._ask(v) for v in study.variables}
        self._found = self.pieces.read()
        self._base: Mapping[str, Array] = _in_order(self._base_columns())
        self.rows_cut = None if study.intervals is None else LongRows(study, wanted)
        self._survival: Mapping[str, Array] | None = None

    def column(self, variable: Variable) -> Array:
        """Return a variable's array."""
        read = READERS.get(variable.source)
        if read is None:
            raise InvalidStudy(
                f"variable {variable.name!r}: the source {variable.source!r} does not "
                f"exist in {self.study.dictionary}"
            )
        values = read(self, variable)
        if self.rows_cut is None or variable.at or variable.source in OF_EACH_ROW:
            return values
        return values[self.rows_cut.place]

    @property
    def _rows(self) -> LongRows:
        """Return the rows that people's time is cut into.

        Raises:
            InvalidStudy: the study has one row a person.
        """
        if self.rows_cut is None:
            raise InvalidStudy("the study has one row a person")
        return self.rows_cut

    # --- asking -----------------------------------------------------------------------
    def _ask(self, variable: Variable) -> Piece | None:
        if variable.source == "score":
            for item in self._score(variable).items:
                self._ask_item(variable, item)
            return None
        if not variable.summary:
            return None
        units = None
        if (
            variable.kind == NUMBER
            and variable.unit
            and variable.source == "measurement"
        ):
            units = self.wanted.unit_ids(variable.unit)
        is_coded = variable.kind != NUMBER and variable.summary in ("first", "last")
        return self.pieces.ask(
            Piece(
                variable.event_rows,
                variable.window_days,
                variable.summary,
                is_coded,
                units if variable.summary in VALUE_SUMMARIES else None,
                variable.at_least,
            )
        )

    def _score(self, variable: Variable) -> Score:
        return next(s for s in self.study.scores if s.name == variable.score)

    def _ask_item(self, variable: Variable, item: ScoreItem) -> Piece | None:
        if not item.events:
            return None
        return self.pieces.ask(Piece(item.events, variable.window_days, "any"))

    def _base_columns(self) -> Mapping[str, Array]:
        wanted = "place, day, year_of_birth, gender_concept_id, arm"
        if self.study.follow_up is not None:
            wanted += ", start_day, end_day"
            for place in range(len(self.study.outcomes)):
                wanted += f", state_{place}, stop_{place}"
        return self.wanted.engine.fetch(f"SELECT {wanted} FROM {PEOPLE}")  # noqa: S608

    # --- variables of rows ----------------------------------------------------------
    def rows(self, variable: Variable) -> Array:
        """Return an aggregate over event rows."""
        piece = self._asked[variable.name]
        assert piece is not None  # noqa: S101  asked in the beginning
        if piece.aggregate == "any":
            _require_pair(variable)
        if piece in self.pieces.other_units:
            self.faults.append(_unit_fault(self.wanted, variable))
        found = self._found[piece]
        if not piece.coded:
            return found
        levels, is_unlisted = _levels(variable, found, unknown=-1)
        if is_unlisted.any():
            self.faults.append(_level_fault(variable, int(is_unlisted.sum())))
        return levels

    # --- variables of the person on the index day ---------------------------------
    def age(self, variable: Variable) -> Array:
        """Return the calendar year of the index day less the year of birth."""
        years = self._days(variable).astype("datetime64[Y]").astype(np.int64) + 1970
        born = self._base["year_of_birth"]
        if variable.at:
            born = born[self._rows.place]
        values = np.ma.filled((years - born).astype(np.float64), np.nan)
        return self._banded(variable, values)

    def sex(self, variable: Variable) -> Array:
        """Return the sex; one that the study has no level for is missing."""
        found = np.ma.filled(self._base["gender_concept_id"], UNKNOWN_CONCEPT)
        return _levels(variable, found, unknown=UNKNOWN_CONCEPT)[0]

    def index_day(self, variable: Variable) -> Array:
        """Return the calendar period of the index day, or its year as a number."""
        days = self._days(variable)
        if variable.kind == NUMBER:
            return days.astype("datetime64[Y]").astype(np.float64) + 1970
        return self._banded(variable, (days - EPOCH).astype(np.float64))

    def month(self, variable: Variable) -> Array:
        """Return the season of the index day, or the month of the year as a number."""
        months = self._days(variable).astype("datetime64[M]").astype(np.int64) % 12 + 1
        return self._banded(variable, months.astype(np.float64))

    def _days(self, variable: Variable) -> Array:
        """Return the day that a variable is about: the index day, or a row's first."""
        return self._rows.first if variable.at else self._base["day"]

    def arm(self, variable: Variable) -> Array:
        """Return the place among the arms."""
        del variable
        return np.ma.filled(self._base["arm"], -1).astype(np.int64)

    def _banded(self, variable: Variable, values: Array) -> Array:
        if variable.kind == NUMBER:
            return values
        found = np.full(len(values), -1, dtype=np.int64)
        for place, level in reversed(list(enumerate(variable.levels))):
            low, high = level_range(variable.source, level, variable.name)
            inside = (values >= low) & (values <= high)
            if low > high:  # months over the new year
                inside = (values >= low) | (values <= high)
            found[inside] = place
        return found

    # --- variables of follow-up --------------------------------------------------
    def time_at_risk(self, variable: Variable) -> Array:
        """Return the days at risk, the first and the last included."""
        end = self._base["end_day"]
        if variable.outcome:
            end = self._base[f"stop_{self._outcome(variable)}"]
        return np.asarray((end - self._base["start_day"]).astype(np.float64) + 1)

    def outcome(self, variable: Variable) -> Array:
        """Return whether the outcome came, or as a third level its competing event."""
        place = self._outcome(variable)
        cut = self.study.intervals
        if cut is not None and cut.outcome == variable.outcome:
            if cut.around is not None:
                return self._rows.about()[1]
            return (self._rows.outcome_days(place) > 0).astype(np.int64)
        states = self._base[f"state_{place}"].astype(np.int64)
        if cut is not None:
            stop, rows = self._base[f"stop_{place}"][self._rows.place], self._rows
            inside = (stop >= rows.first) & (stop <= rows.last)
            states = np.where(inside, states[rows.place], 0)
        return np.where(states < len(variable.levels), states, 0)

    def outcome_count(self, variable: Variable) -> Array:
        """Return on how many days at risk the outcome came."""
        place = self._outcome(variable)
        if self.study.intervals is not None:
            return self._rows.outcome_days(place)
        columns = ("place", "start_day", "end_day")
        outcome = self.study.outcomes[place]
        plan = clean_days_plan(outcome, self.wanted, Base(PEOPLE, columns), columns)
        found = self.wanted.engine.fetch(
            f"SELECT place, count(*) AS n FROM ({plan}) k "  # noqa: S608
            "WHERE event_day BETWEEN start_day AND end_day GROUP BY place"
        )
        values = np.zeros(self.people)
        values[found["place"]] = found["n"]
        return values

    # --- variables of rows that people's time is cut into --------------------------
    def person(self, variable: Variable) -> Array:
        """Return a number for whose row each is."""
        del variable
        if self.study.population.occurrence != "every":
            return np.arange(self.people)
        persons = persons_of_rows(self.study, self.wanted)
        return np.unique(persons, return_inverse=True)[1].astype(np.int64)

    def case(self, variable: Variable) -> Array:
        """Return a number for the event that a row is about."""
        del variable
        return self._rows.about()[0]

    def interval_start(self, variable: Variable) -> Array:
        """Return the days before a row; missing after the variable's outcome."""
        return self._until_outcome(variable, self._rows.start)

    def interval_stop(self, variable: Variable) -> Array:
        """Return the days up to a row's last, at most up to the variable's outcome."""
        return self._until_outcome(variable, self._rows.stop)

    def interval_days(self, variable: Variable) -> Array:
        """Return how many days a row has."""
        del variable
        return self._rows.stop - self._rows.start

    def _until_outcome(self, variable: Variable, days: Array) -> Array:
        if not variable.outcome:
            return days
        rows = self._rows
        ends = self._base[f"stop_{self._outcome(variable)}"][rows.place]
        after = (ends - rows.first).astype(np.float64) + 1  # days of the row up to it
        return np.where(after > 0, np.minimum(days, rows.start + after), np.nan)

    def window(self, variable: Variable) -> Array:
        """Return whether a row lies in a window."""
        return self._rows.exposed(variable.window)

    def _outcome(self, variable: Variable) -> int:
        names = [outcome.name for outcome in self.study.outcomes]
        return names.index(variable.outcome)

    def time_to_death(self, variable: Variable) -> Array:
        """Return the days from the index day to death or the end of observation."""
        del variable
        return self._survive()["days"]

    def death(self, variable: Variable) -> Array:
        """Return whether somebody died while observed; missing of the unobserved."""
        _require_pair(variable)
        return self._survive()["died"]

    def _survive(self) -> Mapping[str, Array]:
        if self._survival is None:
            self._survival = _survival(self.wanted, self.people, self.faults)
        return self._survival

    # --- scores -----------------------------------------------------------------------
    def score(self, variable: Variable) -> Array:
        """Return the points of a score."""
        score = self._score(variable)
        held = {item.name: self._holds(variable, item) for item in score.items}
        total = np.zeros(self.people)
        for item in score.items:
            counts = held[item.name].copy()
            for other in item.unless:
                counts &= ~held[other]
            total += item.points * counts
        return total

    def _holds(self, variable: Variable, item: ScoreItem) -> Array:
        found = np.ones(self.people, dtype=bool)
        piece = self._ask_item(variable, item)
        if piece is not None:
            found &= self._found[piece] > 0
        if item.ages is not None:
            ages = self.age(Variable("age", NUMBER, "age"))
            found &= (ages >= item.ages[0]) & (ages <= item.ages[1])
        if item.sex:
            sexes = np.ma.filled(self._base["gender_concept_id"], UNKNOWN_CONCEPT)
            found &= sexes == SEXES[item.sex]
        return found


def _events_of(study: Study) -> tuple[Event, ...]:
    """Return all the events that a study names, each once."""
    of_variables = (event for v in study.variables for event in v.event_rows)
    return tuple(dict.fromkeys((*events_in(study), *of_variables)))


VALUE_SUMMARIES = ("first", "last", "min", "max", "mean")


def _in_order(found: Mapping[str, Array]) -> Mapping[str, Array]:
    """Put rows in the order of their place, whatever order the engine gave."""
    order = np.argsort(found["place"], kind="stable")
    return {name: values[order] for name, values in found.items()}


def _levels(variable: Variable, found: Array, *, unknown: int) -> tuple[Array, Array]:
    """Return level indices by concept, and whose concept is none of the levels'."""
    indices = np.full(len(found), -1, dtype=np.int64)
    known = found == unknown
    for index, level in enumerate(variable.levels):
        if not isinstance(level.value, int):
            raise InvalidStudy(
                f"variable {variable.name!r}: level {level.name!r} needs a concept id"
            )
        match = found == level.value
        indices[match] = index
        known |= match
    return indices, ~known


def _level_fault(variable: Variable, people: int) -> InvalidData:
    return InvalidData(
        f"variable {variable.name!r} has values for which the study names no level",
        fix="list every concept of the mapping as a level",
        local=f"{people} people",
    )


def _unit_fault(wanted: Wanted, variable: Variable) -> InvalidData:
    """Return which other unit stands there: no unit is ever guessed."""
    ids = wanted.ids(variable.concepts)
    inside = ", ".join(map(str, ids)) or "CAST(NULL AS BIGINT)"
    found = wanted.engine.rows(
        "SELECT DISTINCT coalesce(u.concept_code, '') AS unit FROM measurement x "  # noqa: S608
        "LEFT JOIN concept u ON u.concept_id = x.unit_concept_id "
        f"WHERE (x.measurement_concept_id IN ({inside}) "
        f"OR x.measurement_source_concept_id IN ({inside})) "
        "AND x.value_as_number IS NOT NULL ORDER BY unit"
    )
    unit = next(str(unit) for (unit,) in found if unit != variable.unit)
    return InvalidData(
        f"variable {variable.name!r} is asked in {variable.unit!r}; this site "
        f"holds {'it in ' + repr(unit) if unit else 'values without a unit'}",
        fix="convert it in site.toml, and curate again",
    )


def _require_pair(variable: Variable) -> None:
    if variable.kind == NUMBER or len(variable.levels) != 2:
        raise InvalidStudy(
            f"variable {variable.name!r}: {variable.source} is absent or present",
            fix="give it two levels, the second for present",
        )


def _survival(
    wanted: Wanted, people: int, faults: list[InvalidData]
) -> Mapping[str, Array]:
    start, end = "observation_period_start_date", "observation_period_end_date"
    wanted.read("observation_period", "person_id", start, end)
    wanted.read("death", "person_id", "death_date")
    found = wanted.engine.fetch(
        "SELECT place, date_diff('day', day, least(death_day, obs_end)) AS days, "  # noqa: S608
        "CASE WHEN death_day <= obs_end THEN 1 ELSE 0 END AS died FROM ("
        f"SELECT c.place, c.day, max(o.{end}) AS obs_end, "
        f"min(d.death_date) AS death_day FROM {PEOPLE} c "
        "JOIN observation_period o ON o.person_id = c.person_id "
        f"AND c.day BETWEEN o.{start} AND o.{end} "
        "LEFT JOIN death d ON d.person_id = c.person_id GROUP BY c.place, c.day) s"
    )
    if (found["days"] < 0).any():
        fault = InvalidData(
            "somebody's death lies before their index day",
            fix="correct the source, and curate again",
        )
        faults.append(fault)
    days, died = np.full(people, np.nan), np.full(people, -1, dtype=np.int64)
    days[found["place"]], died[found["place"]] = found["days"], found["died"]
    return {"days": days, "died": died}


READERS: dict[str, Callable[[_Reader, Variable], Array]] = {
    **dict.fromkeys(
        (
            "condition",
            "drug",
            "procedure",
            "measurement",
            "observation",
            "device",
            "visit",
            "events",
        ),
        _Reader.rows,
    ),
    "age": _Reader.age,
    "sex": _Reader.sex,
    "index_day": _Reader.index_day,
    "month": _Reader.month,
    "arm": _Reader.arm,
    "time_at_risk": _Reader.time_at_risk,
    "outcome": _Reader.outcome,
    "outcome_count": _Reader.outcome_count,
    "time_to_death": _Reader.time_to_death,
    "death": _Reader.death,
    "score": _Reader.score,
    "person": _Reader.person,
    "case": _Reader.case,
    "interval_start": _Reader.interval_start,
    "interval_stop": _Reader.interval_stop,
    "interval_days": _Reader.interval_days,
    "window": _Reader.window,
}
OF_EACH_ROW = (*OF_ROWS, "case", "outcome", "outcome_count")
