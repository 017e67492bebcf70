"""Windows about events: held to a reading of the definition, and compared in pairs."""

import contextlib
import functools
import json
from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import make_plan, make_rows
from hetao.dictionary import dictionary
from hetao.errors import InvalidStudy
from hetao.study import (
    Analysis,
    Event,
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
from hetao.study.intervals import check_intervals
from hetao.study.meaning import fields_read
from hetao.study.writing import write_study
from support_cohort import Row, World, built, date, empty_database

PAIR = (Level("no", 0), Level("yes", 1))
DRUG, STROKE = Event("drug", (1,)), Event("condition", (3,))
NUMBER = {"kind": "number", "bounds": (-1e5, 1e5)}
VARIABLES = (
    Variable("who", "key", "person"),
    Variable("which", "key", "case"),
    Variable("stroke", "category", "outcome", outcome="stroke", levels=PAIR),
    Variable("drug", "category", "window", window="drug", levels=PAIR),
    Variable("start", source="interval_start", **NUMBER),
    Variable("stop", source="interval_stop", **NUMBER),
)
ABOUT = Intervals(
    (Window("drug", events=(DRUG,), gap_days=5, days=(0, 2)),),
    outcome="stroke",
    observed=True,
    around=(-3, 1),
    referents=(-14, -7, 7, 14),
)
OWN = Analysis(
    "own",
    "case_crossover",
    outcome="stroke",
    terms=("drug",),
    person="who",
    matched="which",
    most_rows=50,
)
STUDY = Study(
    "s",
    "",
    "",
    "1",
    "omop-5.4",
    ("a",),
    VARIABLES,
    (OWN,),
    population=Population(prior_observation_days=0),
    intervals=ABOUT,
    outcomes=(Outcome("stroke", events=(STROKE,)),),
    dictionary_digest="d",
)


@pytest.fixture(scope="module")
def connection():
    with contextlib.closing(empty_database()) as opened:
        yield opened


@pytest.fixture
def ask(connection):
    return functools.partial(built, connection)


def checked(study):
    """Read a study back with every check, written for the dictionary of today."""
    known = replace(study, dictionary_digest=dictionary().digest)
    return study_from(json.loads(known.canonical))


def world_of(seed, people=30):
    """Return people with some strokes and some spells of a drug."""
    rng = np.random.default_rng(seed)
    rows = []
    for person in range(1, people + 1):
        rows.append(Row("visit", 10_000 + person, person, 9, 0, int(rng.integers(20))))
        for table, concept, most in (("drug", 1, 5), ("condition", 3, 4)):
            for _ in range(int(rng.integers(0, most))):
                length = int(rng.integers(0, 9)) if table == "drug" else 0
                day = int(rng.integers(0, 110))
                row = Row(table, len(rows), person, concept, 0, day, length=length)
                rows.append(row)
    born = dict.fromkeys(range(1, people + 1), (8507, 1970))
    periods = [(person, 0, int(rng.integers(30, 120))) for person in born]
    deaths = {p: (int(rng.integers(40, 120)), 0) for p in born if rng.random() < 0.3}
    return World(born, periods, deaths, rows)


def read_aloud(world, cut):
    """Yield (person, event's day, first day, is the event's, exposed) of windows."""
    for person, begins, observed in world.periods:
        ends = min(observed, world.deaths.get(person, (observed, 0))[0])
        own = [row for row in world.rows if row.person == person]
        taken = set()
        before = None
        for row in sorted(own, key=lambda r: (r.day, r.day + r.length)):
            if row.table != "drug":
                continue
            joined = before is not None and row.day <= before + 5
            first = before if joined else row.day
            before = (
                max(before, row.day + row.length) if joined else row.day + row.length
            )
            taken |= set(range(first, before + 3))
        for day in sorted({r.day for r in own if r.table == "condition"}):
            for shift in sorted({0, *cut.referents}):
                low, high = (day + shift + end for end in cut.around)
                there, here = date(day + shift), date(day)
                same = (there.year, there.month) == (here.year, here.month)
                inside = begins <= low and high <= ends and begins <= day <= ends
                if inside and (same or not cut.same_month):
                    exposed = bool(taken & set(range(low, high + 1)))
                    yield person, day, low, int(shift == 0), int(exposed)


@pytest.mark.parametrize("same_month", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_windows_about_events_are_what_the_definition_says(ask, seed, same_month):
    cut = replace(ABOUT, same_month=same_month)
    world = world_of(seed)

    columns = ask(replace(STUDY, intervals=cut), world).columns

    expected = np.array(list(read_aloud(world, cut)))
    assert len(expected) > 50
    found = (columns["start"], columns["stroke"], columns["drug"])
    for ours, theirs in zip(found, expected[:, 2:].T, strict=True):
        assert ours.tolist() == theirs.tolist()
    assert set(columns["stop"] - columns["start"]) == {5.0}
    for name, of in (("who", expected[:, :1]), ("which", expected[:, :2])):
        codes = np.unique(of, axis=0, return_inverse=True)[1].reshape(-1)
        assert np.array_equal(np.unique(columns[name], return_inverse=True)[1], codes)


def test_each_event_is_compared_with_windows_of_its_own(ask):
    columns = ask(STUDY, world_of(1)).columns
    plan = make_plan(STUDY, OWN)

    rows = make_rows(plan, columns, "a")

    events = np.bincount(rows.set, rows.y)
    assert rows.people < len(events)
    assert events.tolist() == [1.0] * len(events)  # of some, others' windows too
    assert np.bincount(rows.set).min() > 1


def test_the_study_reads_itself_back_and_says_what_its_windows_are(tmp_path):
    read = checked(STUDY)
    assert read.intervals == ABOUT
    write_study(tmp_path / "study.toml", read)
    assert read_study(tmp_path / "study.toml").intervals == ABOUT
    for language in ("en", "zh-Hant", "zh-Hans"):
        text = str(explain(replace(STUDY, intervals=ABOUT), language))
        assert "-14" in text
        assert "which" in text


def test_what_decides_the_rows_is_read_by_every_analysis():
    terms = Analysis("a", "case_crossover", terms=("drug",), person="who")
    read = fields_read(STUDY, terms)  # whose outcome is not among its variables
    assert "condition_occurrence.condition_start_date" in read
    assert "drug_exposure.drug_exposure_start_date" in read


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"around": None}, "referents go with around"),
        ({"referents": ()}, "name 1 to 100 referents"),
        ({"referents": (0, 7)}, "none of them 0"),
        ({"referents": (4,)}, "at least 5 days apart"),
        ({"referents": (7, 10)}, "at least 5 days apart"),
        ({"outcome": ""}, "name an outcome"),
        ({"around": (2, -2)}, "days about each day"),
        ({"ages": (50,)}, "are not cut"),
    ],
)
def test_windows_that_cannot_be_compared_are_refused(change, says):
    with pytest.raises(InvalidStudy, match=says):
        check_intervals(replace(STUDY, intervals=replace(ABOUT, **change)), "here")


def test_a_key_of_events_needs_windows_about_events():
    cut = replace(ABOUT, around=None, referents=())
    with pytest.raises(InvalidStudy, match="no row is a window about an event"):
        checked(replace(STUDY, intervals=cut))
