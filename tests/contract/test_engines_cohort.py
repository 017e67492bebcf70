"""A whole cohort is the same people, days and bits on every engine."""

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hetao.cdm import CuratedTables
from hetao.cdm.engine_duckdb import connect
from hetao.cohort import build
from hetao.study import (
    Arm,
    CodeList,
    ConceptSet,
    Criterion,
    Event,
    Exposure,
    FollowUp,
    Intervals,
    Level,
    Outcome,
    Population,
    Study,
    Value,
    Variable,
    Window,
)
from hetao.study.population import EVER, Matching, Nearest, Score, ScoreItem
from support_engines import serve
from support_world import FEMALE, MALE

pytestmark = pytest.mark.xdist_group("engines")

PAIR = (Level("no", 0), Level("yes", 1))
NUMBER = {"kind": "number", "bounds": (-1e9, 1e9)}
SEX = Variable("sex", "category", "sex", levels=(Level("f", FEMALE), Level("m", MALE)))
AGE = Variable("age", source="age", **NUMBER)
RHYTHM = ConceptSet(
    "rhythm",
    lists=(CodeList("icd10", ("I47", "I48", "I49")),),
    omop=(1,),
    exclude_omop=(3,),
)


def of_values(source):
    """Return every way of summing up a table with values."""
    ways = ("first", "last", "min", "max", "mean", "count", "days", "any")
    ways += ("days_since_first", "days_since_last")
    for way in ways:
        kind = {"kind": "category", "levels": PAIR} if way == "any" else NUMBER
        yield Variable(
            f"{source}_{way}",
            source=source,
            concepts=(1, 2, 2000000001),
            window_days=(-12, 3),
            aggregate=way,
            **kind,
        )


EVERYTHING = Study(
    "everything",
    "",
    "",
    "1",
    "omop-5.4",
    ("a",),
    (
        AGE,
        SEX,
        Variable(
            "band",
            "category",
            "age",
            levels=(Level("young", "0-39"), Level("old", "40-")),
        ),
        Variable("arm", "category", "arm", levels=(Level("old", 0), Level("new", 1))),
        *of_values("measurement"),
        *of_values("observation"),
        Variable(
            "supply",
            source="drug",
            concepts=("rhythm", 4),
            aggregate="days_supply",
            **NUMBER,
        ),
        Variable(
            "answer",
            "category",
            "observation",
            concepts=(1, 2, 3),
            levels=(Level("a", 11), Level("b", 12)),
            window_days=(-EVER, 0),
        ),
        Variable("points", source="score", score="burden", **NUMBER),
        Variable("time", source="time_at_risk", outcome="stroke", **NUMBER),
        Variable(
            "stroke",
            "category",
            "outcome",
            outcome="stroke",
            levels=(*PAIR, Level("rival", 2)),
        ),
        Variable("strokes", source="outcome_count", outcome="stroke", **NUMBER),
    ),
    (),
    concepts=(RHYTHM,),
    population=Population(
        occurrence="any",
        ages=(18, 88),
        prior_observation_days=10,
        arms=(
            Arm("old", events=(Event("drug", (1, 2)),)),
            Arm("new", events=(Event("drug", (4,)), Event("procedure", (2,)))),
        ),
        same_day="new",
    ),
    criteria=(
        Criterion(
            "with a disorder of rhythm",
            events=(Event("condition", ("rhythm",)),),
            days=(-EVER, 30),
        ),
        Criterion(
            "not much measured",
            none_of=(
                Criterion(
                    events=(
                        Event("measurement", (1, 3), Value(above=31.25, unit="mmol/L")),
                    ),
                    days=(-40, 0),
                    at_least=3,
                    distinct_days=True,
                ),
            ),
        ),
        Criterion("not the very old", rule="age <= 80"),
    ),
    follow_up=FollowUp(
        days=45,
        exposure=Exposure(gap_days=5, grace_days=7, events=(Event("drug"),)),
        censor=(Event("device"), Event("condition", (5,))),
    ),
    outcomes=(
        Outcome(
            "stroke",
            events=(Event("condition", (2, 2000000003)),),
            clean_days=2,
            competing=(Event("death"), Event("procedure", (5,))),
        ),
    ),
    scores=(
        Score(
            "burden",
            items=(
                ScoreItem("heart", 2, events=(Event("condition", ("rhythm",)),)),
                ScoreItem("age", 1, ages=(65, 120)),
                ScoreItem("woman", 1, sex="female", unless=("heart",)),
            ),
        ),
    ),
)
EVERY_VISIT = Study(
    "every visit",
    "",
    "",
    "1",
    "omop-5.4",
    ("a",),
    (AGE, SEX, Variable("drugs", source="drug", aggregate="count", **NUMBER)),
    (),
    population=Population(
        entry=(Event("visit", (1, 2, 2000000002)),),
        occurrence="every",
        washout_days=4,
        months=(12, 1),
        sexes=("female",),
    ),
)
PLAIN = Study(
    "plain",
    "",
    "",
    "1",
    "omop-5.4",
    ("a",),
    (
        AGE,
        SEX,
        Variable("latest", source="measurement", concepts=(1, 3), **NUMBER),
        Variable("dead", "category", "death", levels=PAIR),
        Variable("days", source="time_to_death", **NUMBER),
    ),
    (),
    population=Population(period=("2019-12-01", "2020-01-31")),
)
MATCHED = replace(
    EVERYTHING,
    matching=Matching("new", exact=("sex",), nearest=(Nearest("age", 5.0),), ratio=2),
)
LONG = Study(
    "long rows",
    "",
    "",
    "1",
    "omop-5.4",
    ("a",),
    (
        Variable("who", "key", "person"),
        Variable("start", source="interval_start", **NUMBER),
        Variable("stop", source="interval_stop", **NUMBER),
        Variable("days", source="interval_days", **NUMBER),
        Variable("exposed", "category", "window", window="drug", levels=PAIR),
        Variable("stroke", "category", "outcome", outcome="stroke", levels=PAIR),
        Variable("strokes", source="outcome_count", outcome="stroke", **NUMBER),
        Variable("aged", source="age", at="row", **NUMBER),
        SEX,
    ),
    (),
    population=Population(prior_observation_days=10),
    outcomes=EVERYTHING.outcomes,
    intervals=Intervals(
        (Window("drug", events=(Event("drug"),), gap_days=2, days=(1, 5)),),
        ages=(40,),
        days=("2020-02-01",),
        after_days=(10,),
        months=(3, 12),
        outcome="stroke",
        observed=True,
        run_in_days=3,
    ),
)
ABOUT = replace(
    LONG,
    name="rows about events",
    variables=(
        *(v for v in LONG.variables if v.name in ("who", "start", "exposed")),
        Variable("which", "key", "case"),
        Variable("own", "category", "outcome", outcome="stroke", levels=PAIR),
    ),
    intervals=Intervals(
        LONG.intervals.windows,
        outcome="stroke",
        observed=True,
        around=(-1, 1),
        referents=(-14, -7, 7, 14),
        same_month=True,
    ),
)
STUDIES = {s.name: s for s in (EVERYTHING, EVERY_VISIT, PLAIN, LONG, ABOUT)}
STUDIES["matched"] = MATCHED


@pytest.fixture(scope="session")
def cohorts(world, started):
    """Return the cohorts that the embedded engine builds."""
    with (
        serve("duckdb", world, started) as engine,
        contextlib.closing(connect()) as nothing,
    ):
        tables = CuratedTables(Path(), nothing, "digest", "", served=engine)
        return {name: build(study, tables) for name, study in STUDIES.items()}


@pytest.mark.parametrize("name", STUDIES)
def test_a_cohort_is_the_same_on_every_engine(name, served, cohorts):
    expected = cohorts[name]

    cohort = build(STUDIES[name], served)

    assert cohort.attrition == expected.attrition
    assert cohort.resolved == expected.resolved
    assert cohort.fields == expected.fields
    for variable, values in expected.columns.items():
        assert cohort.columns[variable].dtype == values.dtype, variable
        assert cohort.columns[variable].tobytes() == values.tobytes(), variable


def test_the_studies_have_people_ties_and_gaps_to_differ_in(cohorts):
    full = cohorts["everything"]

    assert 30 < full.people < 290
    assert all(left > 0 for _, left in full.attrition)
    assert len({left for _, left in full.attrition}) > 2
    for name, values in full.columns.items():
        shown = values[~np.isnan(values)] if values.dtype.kind == "f" else values
        assert len(np.unique(shown)) > 1, name
    assert np.isnan(full.columns["measurement_last"]).any()
    assert cohorts["every visit"].people > 30
    cut = cohorts["long rows"]
    assert len(cut.columns["who"]) > 3 * cut.people > 60
    assert all(len(np.unique(values)) > 1 for values in cut.columns.values())
    about = cohorts["rows about events"].columns
    assert len(about["who"]) > len(np.unique(about["which"])) > 10
    assert all(len(np.unique(about[name])) == 2 for name in ("exposed", "own"))
    assert 0 < cohorts["matched"].people < full.people
