"""One study, one answer: DuckDB, PostgreSQL and Spark build the same cohort."""

import random
from decimal import Decimal

import pytest

from hetao.cohort.curated import read_columns
from hetao.cohort.wanted import Wanted
from hetao.study import (
    Arm,
    Criterion,
    Event,
    Exposure,
    FollowUp,
    Level,
    Outcome,
    Population,
    Study,
    Value,
    Variable,
)
from hetao.study.population import EVER
from support_cohort import (
    RIGHT_UNIT,
    TABLES,
    Oracle,
    Row,
    World,
    empty_database,
    load,
    same,
)
from support_engines import ENGINES, serve

pytestmark = pytest.mark.xdist_group("engines")

PAIR = (Level("no", 0), Level("yes", 1))
NUMBER = {"kind": "number", "bounds": (-1e9, 1e9)}
DRUG, OTHER = Event("drug", (1, 4)), Event("drug", (2, 5))
AGGREGATES = {
    "condition": ("any", "count", "days", "days_since_first", "days_since_last"),
    "drug": ("days_supply",),
    "measurement": ("first", "last", "min", "max", "mean"),
    "visit": ("count",),
}


def covariates():
    for source, kinds in AGGREGATES.items():
        for kind in kinds:
            asked = {"levels": PAIR, "kind": "category"} if kind == "any" else NUMBER
            yield Variable(
                f"{source}_{kind}",
                source=source,
                concepts=(1, 2, 4),
                window_days=(-60, 0),
                aggregate=kind,
                **asked,
            )


STUDY = Study(
    "s",
    "",
    "",
    "1",
    "omop-5.4",
    ("a",),
    (
        *covariates(),
        Variable("age", source="age", **NUMBER),
        Variable("month", source="month", **NUMBER),
        Variable("sex", "category", "sex", levels=(Level("f", 8532), Level("m", 8507))),
        Variable("arm", "category", "arm", levels=(Level("a", 0), Level("b", 1))),
        Variable("time", source="time_at_risk", outcome="o", **NUMBER),
        Variable(
            "event", "category", "outcome", outcome="o", levels=(*PAIR, Level("r", 2))
        ),
        Variable("times", source="outcome_count", outcome="o", **NUMBER),
    ),
    (),
    criteria=(
        Criterion(
            "some",
            any_of=(
                Criterion(
                    events=(
                        Event("condition", (3,)),
                        Event("procedure", (), None, (1, 2)),
                    ),
                    days=(-EVER, 0),
                    at_least=2,
                    distinct_days=True,
                ),
                Criterion(
                    events=(
                        Event("measurement", (), Value(above=1.5, unit="mmol/L")),
                        Event("observation", (), Value(concepts=(11,))),
                    )
                ),
            ),
        ),
    ),
    population=Population(
        arms=(Arm("a", events=(DRUG,), days=(-3, 0)), Arm("b", events=(OTHER,))),
        occurrence="any",
        period=("2020-01-03", "2020-12-31"),
        ages=(10, 90),
        months=(11, 3),
        prior_observation_days=1,
        washout_days=2,
        same_day="a",
    ),
    follow_up=FollowUp(
        days=40,
        exposure=Exposure(4, 6, (DRUG, OTHER)),
        censor=(Event("device", (1,)),),
        switch=True,
    ),
    outcomes=(
        Outcome(
            "o",
            events=(Event("condition", (1, 2)), Event("death", (1,))),
            clean_days=2,
            competing=(Event("death"),),
        ),
    ),
)


def world(people: int) -> World:
    draw = random.Random(1)  # noqa: S311
    number = [None, Decimal("1.5"), Decimal("2.000001"), Decimal("-3.25")]
    rows = [
        Row(
            draw.choice(sorted(TABLES)),
            key,
            draw.randint(1, people),
            draw.randint(0, 3),
            draw.choice([0, 1, 4, 5]),
            draw.randint(0, 40),
            draw.choice(number),
            draw.choice([None, 0, 11, 12]),
            RIGHT_UNIT,
            draw.randint(-1, 9),
            draw.choice([None, 7, 30]),
            draw.choice([None, *range(50)]),
            draw.choice([None, 0, 1]),
        )
        for key in range(people * 25)
    ]
    everybody = range(1, people + 1)
    sexes = {n: (draw.choice([8507, 8532, 0]), 1930 + n % 70) for n in everybody}
    periods = [(n, draw.randint(-9, 9), draw.randint(10, 90)) for n in everybody]
    periods += [(n, 5, 60) for n in everybody if n % 3]
    deaths = {n: (draw.randint(10, 60), n % 3) for n in everybody if n % 4 == 0}
    return World(sexes, periods, deaths, rows)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The world as a snapshot's database, and the oracle's answer."""
    folder, small = tmp_path_factory.mktemp("cohort"), world(60)
    with empty_database(folder / "cdm.duckdb") as connection:
        load(connection, small)
    return folder, Oracle(STUDY, small).answer()


@pytest.mark.parametrize("kind", ENGINES)
def test_every_engine_builds_the_same_cohort(stored, started, kind):
    folder, (columns, counts) = stored
    assert counts[-1] > 10

    with serve(kind, folder, started) as engine:
        wanted = Wanted(engine, STUDY)
        found, attrition = read_columns(STUDY, wanted)
        wanted.forget()

    assert list(attrition) == counts
    for name, expected in columns.items():
        assert same(found[name], expected), name
