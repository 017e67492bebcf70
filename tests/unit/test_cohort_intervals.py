"""A person's time cut into rows: held to a reading that walks day by day."""

import contextlib
import datetime
import functools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hetao.analysis import make_plan, make_rows, oracle
from hetao.dictionary import dictionary
from hetao.errors import InvalidStudy
from hetao.study import (
    Analysis,
    Event,
    FollowUp,
    Intervals,
    Level,
    Outcome,
    Population,
    Study,
    Variable,
    Window,
    explain,
    read_study,
    study_from,
)
from hetao.study.writing import write_study
from support_cohort import Row, World, built, date, empty_database

PAIR = (Level("no", 0), Level("yes", 1))
DRUG, STROKE = Event("drug", (1,)), Event("condition", (3,))
ANY = {"kind": "number", "bounds": (-1e5, 1e5)}
AGES = (Level("young", "0-49"), Level("old", "50-"))
SEASONS = (Level("winter", "12-2"), Level("rest", "3-11"))
STATIN = Window("statin", events=(DRUG,), gap_days=5, days=(0, 3))
JAB = Window("jab", events=(DRUG,), gap_days=0, days=(2, 9), until="start")
VARIABLES = (
    Variable("who", "key", "person"),
    Variable("start", source="interval_start", **ANY),
    Variable("stop", source="interval_stop", **ANY),
    Variable("days", source="interval_days", **ANY),
    Variable("exposed", "category", "window", window="statin", levels=PAIR),
    Variable("jab", "category", "window", window="jab", levels=PAIR),
    Variable("strokes", source="outcome_count", outcome="stroke", **ANY),
    Variable("born", source="age", **ANY),
    Variable("age", "category", "age", at="row", levels=AGES),
    Variable("season", "category", "month", at="row", levels=SEASONS),
)
CUT = Intervals(
    (STATIN, JAB), ages=(50,), days=("2020-02-10",), after_days=(20,), months=(3, 12)
)
COX = Analysis(
    "a",
    "cox",
    start="start",
    time="stop",
    event="event",
    terms=("exposed",),
    strata=("site",),
    person="who",
    most_rows=40,
)
STUDY = Study(
    "s",
    "",
    "",
    "1",
    "omop-5.4",
    ("a",),
    VARIABLES,
    (Analysis("steps", "counts"),),
    population=Population(prior_observation_days=0),
    follow_up=FollowUp(),
    intervals=CUT,
    outcomes=(Outcome("stroke", events=(STROKE,)),),
    dictionary_digest="d",
)
EVENT = (
    Variable("event", "category", "outcome", outcome="stroke", levels=PAIR),
    Variable("to", source="interval_stop", outcome="stroke", **ANY),
    Variable("since", source="interval_start", outcome="stroke", **ANY),
)


@pytest.fixture(scope="module")
def connection():
    with contextlib.closing(empty_database()) as opened:
        yield opened


@pytest.fixture
def ask(connection):
    return functools.partial(built, connection)


def world_of(seed, people=12):
    rng = np.random.default_rng(seed)
    rows, key = [], 0
    for person in range(1, people + 1):
        rows.append(
            Row("visit", 10_000 + person, person, 9, 0, int(rng.integers(0, 20)))
        )
        for table, concept, most in (("drug", 1, 4), ("condition", 3, 3)):
            for _ in range(int(rng.integers(0, most + 1))):
                day, length = int(rng.integers(0, 110)), int(rng.integers(0, 15))
                length = length if table == "drug" else 0
                rows.append(Row(table, key, person, concept, 0, day, length=length))
                key += 1
    born = {p: (8507, int(rng.integers(1968, 1973))) for p in range(1, people + 1)}
    periods = [(p, 0, int(rng.integers(30, 120))) for p in born]
    deaths = {p: (int(rng.integers(40, 120)), 0) for p in born if rng.random() < 0.3}
    return World(born, periods, deaths, rows)


def spells(days, gap):
    """Join (first, last) days of one person as the definition is read aloud."""
    found = []
    for first, last in sorted(days):
        if found and first <= found[-1][1] + gap:
            found[-1][1] = max(found[-1][1], last)
        else:
            found.append([first, last])
    return found


def windows_of(world, person, one):
    drugs = [
        (row.day, row.day + row.length)
        for row in world.rows
        if row.table == "drug" and row.person == person
    ]
    for first, last in spells(drugs, one.gap_days):
        anchor = last if one.until == "end" else first
        yield first + one.days[0], anchor + one.days[1]


def day_by_day(world, person, span):
    """Return day → what holds on it, and the days on which a row may begin."""
    own = [list(windows_of(world, person, one)) for one in (STATIN, JAB)]
    begins = {span[0], span[0] + 20, (datetime.date(2020, 2, 10) - date(0)).days}
    begins |= {day for few in own for low, high in few for day in (low, high + 1)}
    found = {}
    for day in range(span[0], span[1] + 1):
        when = date(day)
        age = when.year - world.people[person][1]
        if (when.month, when.day) in ((3, 1), (12, 1)) or (
            age == 50 and (when.month, when.day) == (1, 1)
        ):
            begins.add(day)
        strokes = sum(
            (row.table, row.person, row.day) == ("condition", person, day)
            for row in world.rows
        )
        held = [any(low <= day <= high for low, high in few) for few in own]
        found[day] = (*held, age >= 50, when.month not in (12, 1, 2), strokes > 0)
    return found, begins


def time_at_risk(world, person):
    (index,) = (r.day for r in world.rows if r.table == "visit" and r.person == person)
    (end,) = (last for one, _, last in world.periods if one == person)
    died = world.deaths.get(person, (end, 0))[0]
    return index + 1, min(end, died)


def observed(world, person):
    (end,) = (last for one, _, last in world.periods if one == person)
    return 7, min(end, world.deaths.get(person, (end, 0))[0])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("way", ["at_risk", "observed"])
def test_rows_hold_what_each_of_their_days_holds(ask, seed, way):
    world, study, span_of = world_of(seed), STUDY, time_at_risk
    if way == "observed":
        cut = replace(CUT, observed=True, run_in_days=7)
        study, span_of = replace(STUDY, intervals=cut, follow_up=None), observed

    columns = ask(study, world).columns

    names = [v.name for v in VARIABLES]
    rows = [
        dict(zip(names, row, strict=True))
        for row in zip(*columns.values(), strict=True)
    ]
    spans = {p: span_of(world, p) for p in world.people}
    whose = [p for p, span in spans.items() if span[0] <= span[1]]
    assert len({row["who"] for row in rows}) == len(whose)
    for code, person in zip(sorted({row["who"] for row in rows}), whose, strict=True):
        span = spans[person]
        held, begins = day_by_day(world, person, span)
        mine = [row for row in rows if row["who"] == code]
        covered, strokes = [], 0
        for row in mine:
            first, last = span[0] + int(row["start"]), span[0] + int(row["stop"]) - 1
            assert row["days"] == last - first + 1
            assert first in begins
            assert not begins & set(range(first + 1, last + 1))
            covered += range(first, last + 1)
            strokes += row["strokes"]
            flags = (row["exposed"], row["jab"], row["age"], row["season"])
            for day in range(first, last + 1):
                assert held[day][:4] == tuple(map(bool, flags))
            assert row["strokes"] == sum(held[d][4] for d in range(first, last + 1))
            index = span[0] - 1 if way == "at_risk" else None
            if index is not None:
                assert row["born"] == date(index).year - world.people[person][1]
        assert covered == list(range(span[0], span[1] + 1))


def hand(ask, study, *rows, period=(0, 50)):
    visit = Row("visit", 99, 1, 9, 0, 0)
    world = World({1: (8507, 1950)}, [(1, *period)], {}, [visit, *rows])
    return {k: v.tolist() for k, v in ask(study, world).columns.items()}


def test_rows_end_with_the_first_event_for_a_cox_model(ask):
    study = replace(STUDY, variables=(*VARIABLES[:5], *EVENT), intervals=PLAIN)
    found = hand(
        ask,
        study,
        Row("drug", 1, 1, 1, 0, 11, length=9),
        Row("condition", 2, 1, 3, 0, 16),
        Row("condition", 3, 1, 3, 0, 40),
    )

    assert found["start"] == [0, 10, 23]
    assert found["stop"] == [10, 23, 50]
    assert found["exposed"] == [0, 1, 0]
    assert found["event"] == [0, 1, 0]
    assert found["since"][:2] == [0, 10]
    assert found["to"][:2] == [10, 16]  # the row ends with the event
    assert np.isnan([found["to"][2], found["since"][2]]).all()


PLAIN = Intervals((STATIN,))


def test_rows_end_on_each_day_of_a_recurrent_outcome(ask):
    cut = replace(PLAIN, outcome="stroke")
    study = replace(STUDY, variables=(*VARIABLES[:5], EVENT[0]), intervals=cut)
    found = hand(
        ask,
        study,
        Row("condition", 2, 1, 3, 0, 16),
        Row("condition", 3, 1, 3, 0, 40),
        Row("condition", 4, 1, 3, 0, 40),
    )

    assert found["stop"] == [16, 40, 50]
    assert found["event"] == [1, 1, 0]


def test_the_rows_are_an_analysis_of_people(ask):
    variables = (*VARIABLES[:1], EVENT[0], *VARIABLES[4:5])
    variables += (replace(EVENT[2], name="start", bounds=(0.0, 200.0)),)
    variables += (replace(EVENT[1], name="stop", bounds=(0.0, 200.0)),)
    study = replace(STUDY, variables=variables, analyses=(COX,), intervals=PLAIN)

    cohort = ask(study, world_of(1, people=40))
    rows = make_rows(make_plan(study, COX), cohort.columns, "a")

    assert rows.people == cohort.people < rows.n
    assert rows.event.sum() > 0


def test_a_case_series_over_rows_is_that_over_days(ask):
    """Rows are only a shorter way to say what each day of a person holds."""
    world, whole = world_of(5, people=60), replace(CUT, observed=True, run_in_days=7)
    asked = Analysis(
        "series",
        "sccs",
        outcome="strokes",
        terms=("exposed", "season"),
        offset="log(days)",
        person="who",
        most_rows=150,
    )
    kept = tuple(v for v in VARIABLES if v.name in NEEDED)
    kept = tuple(
        replace(v, bounds=(1.0, 200.0) if v.name == "days" else (0.0, 9.0))
        if v.kind == "number"
        else v
        for v in kept
    )
    study = replace(
        STUDY, variables=kept, analyses=(asked,), intervals=whole, follow_up=None
    )
    days = {name: [] for name in NEEDED}
    for person in world.people:
        span = observed(world, person)
        for held in day_by_day(world, person, span)[0].values() if span else ():
            row = (person, 1.0, held[0], held[4], held[3])
            for name, value in zip(NEEDED, row, strict=True):
                days[name].append(float(value))
    by_day = {
        name: np.array(values, dtype=float if name in ("days", "strokes") else int)
        for name, values in days.items()
    }

    ours = oracle(study, asked, {"a": ask(study, world).columns}).as_json()
    theirs = oracle(study, asked, {"a": by_day}).as_json()

    for mine, other in zip(ours["terms"], theirs["terms"], strict=True):
        assert mine["estimate"] == pytest.approx(other["estimate"], rel=1e-9)
        assert mine["se"] == pytest.approx(other["se"], rel=1e-9)


NEEDED = ("who", "days", "exposed", "strokes", "season")


# --- what is said ---------------------------------------------------------------------
def digested(study):
    """Read a study back as a site does, with every check."""
    fields = json.loads(study.canonical)
    return study_from({**fields, "dictionary_digest": dictionary().digest})


def test_a_study_file_says_the_rows_and_reads_back(tmp_path):
    study = digested(replace(STUDY, variables=(*VARIABLES, *EVENT)))
    path = tmp_path / "study.toml"

    write_study(path, study)

    assert '[intervals.windows."jab"]' in path.read_text("utf-8")
    assert read_study(path).digest == study.digest


HEAD = """
[study]
name = "s"
title = ""
question = ""
version = "1"
dictionary = "omop-5.4"
[sites]
members = ["a"]
[population]
prior_observation_days = 0
[follow_up]
[concepts.statin]
omop = [1]
[concepts.vaccine]
omop = [2]
[concepts.stroke]
omop = [3]
[outcomes.stroke]
events = { condition = ["stroke"] }
"""


def test_the_study_of_the_guide_is_read(tmp_path):
    guide = Path(__file__).parents[2] / "docs" / "guide" / "cohorts.md"
    block = guide.read_text("utf-8").split("## [intervals]")[1].split("```")[1]
    path = tmp_path / "study.toml"
    path.write_text(HEAD + block, encoding="utf-8")

    study = read_study(path)

    assert study.intervals.windows[1].until == "start"
    assert study.person == "person"


@pytest.mark.parametrize("language", ["en", "zh-Hant", "zh-Hans"])
def test_a_person_reads_how_time_is_cut(language):
    study = replace(STUDY, variables=(*VARIABLES, *EVENT))
    said = [s for one in explain(study, language) for s in one.sentences]
    assert any("statin" in one and "5" in one for one in said)
    assert any("2020-02-10" in one for one in said)
    assert len(set(said)) == len(said)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"follow_up": None}, "nobody is followed"),
        ({"analyses": (replace(COX, person="", most_rows=0),)}, "as a person"),
        (
            {"population": Population(occurrence="every", prior_observation_days=0)},
            "enter once",
        ),
        ({"intervals": replace(CUT, days=("2020-02-30",))}, "not a day"),
        ({"intervals": replace(CUT, days=("2020-02-01' OR 1",))}, "not a day"),
        ({"intervals": replace(CUT, months=(0,))}, "months"),
        ({"intervals": replace(CUT, ages=(60, 50))}, "rise"),
        ({"intervals": replace(CUT, outcome="mi")}, "no outcome 'mi'"),
        ({"intervals": replace(CUT, run_in_days=9)}, "observed = true"),
        ({"intervals": replace(CUT, windows=(STATIN, JAB, JAB))}, "each named once"),
        ({"intervals": replace(CUT, windows=(STATIN,))}, "no window 'jab'"),
        ({"intervals": None}, "one row a person"),
    ],
)
def test_rows_that_cannot_be_meant_are_refused(change, says):
    whole = replace(STUDY, variables=(*VARIABLES, *EVENT))
    digested(whole)
    with pytest.raises(InvalidStudy, match=says):
        digested(replace(whole, **change))


def test_several_entries_of_one_person_are_told_apart_by_the_key(ask):
    every = replace(
        STUDY,
        variables=(VARIABLES[0], Variable("time", source="time_at_risk", **ANY)),
        intervals=None,
        population=Population(occurrence="every", prior_observation_days=0),
    )
    visits = [Row("visit", 50 + day, 1, 9, 0, day) for day in (5, 9)]
    found = hand(ask, every, *visits)
    assert found["who"] == [0, 0, 0]
    assert found["time"] == [50, 45, 41]
