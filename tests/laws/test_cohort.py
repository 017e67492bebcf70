"""The compiled cohort is what the words of the study say, row by row, in any order."""

import contextlib
import random
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from hetao.errors import InvalidStudy
from hetao.study import (
    Analysis,
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
from hetao.study.population_checks import check_cohort, check_variable_source
from support_cohort import RIGHT_UNIT, TABLES, Oracle, Row, World, built, empty_database
from support_cohort import same as is_same

PAIR = (Level("no", 0), Level("yes", 1))
ANSWERS = (Level("a", 11), Level("b", 12))
CONCEPTS, SOURCES = (0, 1, 2, 3), (0, 1, 4, 5)
LAST = 40  # days of the small world; many ties are wanted

# --- worlds -------------------------------------------------------------------------
days = st.integers(0, LAST)
numbers = st.sampled_from(
    [Decimal("1.5"), Decimal(2), Decimal("2.000001"), Decimal(-3)]
)
rows = st.builds(
    Row,
    table=st.sampled_from(sorted(TABLES)),
    key=st.just(0),
    person=st.integers(1, 5),
    concept=st.sampled_from(CONCEPTS),
    source=st.sampled_from(SOURCES),
    day=days,
    number=st.none() | numbers,
    coded=st.sampled_from([None, 0, 11, 12]),
    unit=st.just(RIGHT_UNIT),
    length=st.integers(-2, 12),
    supply=st.none() | st.integers(0, 30),
    visit=st.none() | st.integers(0, 12),
    hour=st.none() | st.integers(0, 2),
)
periods = st.tuples(st.integers(1, 5), days, st.integers(0, 60)).map(
    lambda p: (p[0], p[1] - 20, p[1] - 20 + p[2])
)


@st.composite
def worlds(draw):
    found = draw(st.lists(rows, min_size=25, max_size=60))
    wide = [(person, -30, draw(st.integers(20, 70))) for person in (1, 2, 3)]
    people = {
        person: (draw(st.sampled_from([8507, 8532, 0])), draw(st.integers(1940, 2005)))
        for person in range(1, 6)
    }
    deaths = draw(
        st.dictionaries(
            st.integers(1, 5), st.tuples(days, st.sampled_from(CONCEPTS)), max_size=2
        )
    )
    return World(
        people,
        wide + draw(st.lists(periods, max_size=6)),
        deaths,
        [row._replace(key=key) for key, row in enumerate(found)],
    )


# --- studies ------------------------------------------------------------------------
concepts = st.sampled_from(
    [(), (), (1,), (4,), (1, 2), (3, 5), (1, 2, 4), (2, 1, 5, 9)]
)
bounds = st.sampled_from(
    [Value(at_least=2.0), Value(above=2.0), Value(at_most=1.5), Value(below=2.000001)]
)
values = (
    bounds
    | st.just(Value(concepts=(11,)))
    | st.just(Value(at_least=1.0, unit="mmol/L"))
)


@st.composite
def events(draw, tables=(*TABLES, "death")):
    table = draw(st.sampled_from(sorted(tables)))
    value, visit = None, ()
    if table in ("measurement", "observation"):
        value = draw(st.none() | values)
        if value is not None and value.unit and table == "observation":
            value = replace(value, unit="")
    if table not in ("visit", "death"):
        visit = draw(st.sampled_from([(), (), (1, 2)]))
    return Event(table, draw(concepts), value, visit)


some_events = st.lists(events(), min_size=1, max_size=2).map(tuple)
windows = st.tuples(st.integers(-30, 10), st.integers(0, 25)).map(
    lambda w: (w[0], w[0] + w[1])
) | st.sampled_from([(-EVER, 0), (-EVER, -1), (0, EVER), (-EVER, EVER)])


@st.composite
def criteria(draw, depth=2):
    if depth and draw(st.booleans()):
        inner = tuple(draw(st.lists(criteria(depth=depth - 1), min_size=1, max_size=2)))
        return Criterion(
            **{draw(st.sampled_from(["all_of", "any_of", "none_of"])): inner}
        )
    least, most = draw(
        st.sampled_from([(1, None), (1, 3), (0, 1), (0, 2), (0, 0), (2, None), (2, 2)])
    )
    return Criterion(
        events=draw(some_events),
        days=draw(windows),
        at_least=least,
        at_most=most,
        distinct_days=draw(st.booleans()),
    )


@st.composite
def arms(draw):
    first = Arm(
        "a", "", (draw(events(("drug",))),), draw(st.sampled_from([(0, 0), (-5, 0)]))
    )
    second = Arm("b", "", (draw(events(("drug", "drug", "procedure"))),), (0, 0))
    return draw(st.sampled_from([(), (first, second), (Arm("a"), second)]))


def seldom(*values):
    """Mostly the first value: a cohort whom everything excludes shows little."""
    return st.sampled_from([values[0]] * 4 + list(values[1:]))


@st.composite
def populations(draw):
    chosen = draw(arms())
    needs_entry = any(not arm.events for arm in chosen)
    prior = draw(st.sampled_from([None, 0, 0, 5]))
    dates = draw(seldom((), (), ("2020-01-10", "2020-01-20", "2020-02-02")))
    kinds = ["every"] if dates else ["first", "any", "any", "every"]
    needs_entry = not dates and (needs_entry or draw(st.booleans()))
    return Population(
        entry=draw(some_events) if needs_entry else (),
        dates=dates,
        occurrence=draw(st.sampled_from(kinds)),
        period=draw(seldom(None, ("2020-01-05", "2020-01-31"))),
        ages=draw(seldom(None, (18, 60))),
        sexes=draw(seldom((), ("female",))),
        months=draw(seldom(None, (1, 1), (11, 1))),
        prior_observation_days=prior,
        post_observation_days=0 if prior is None else draw(seldom(0, 5)),
        washout_days=0 if dates else draw(seldom(0, 3)),
        arms=chosen,
        same_day=draw(st.sampled_from(["exclude", "a", "b"])) if chosen else "exclude",
    )


@st.composite
def follow_ups(draw, arms):
    drugs = st.lists(events(("drug",)), min_size=1, max_size=2).map(tuple)
    of_arms = [e for arm in arms for e in arm.events]
    if of_arms and all(e.table == "drug" for e in of_arms):
        drugs = st.just(()) | drugs
    exposure = draw(
        st.none() | st.builds(Exposure, st.integers(0, 5), st.integers(0, 9), drugs)
    )
    if any(arm.days[0] < 0 for arm in arms):
        exposure = None
    start = draw(st.integers(0, 3))
    return FollowUp(
        start_days=start,
        days=draw(st.none() | st.integers(start + 3, 30)),
        exposure=exposure,
        censor=draw(seldom((), (Event("procedure", (1,)),), (Event("device"),))),
        switch=bool(arms) and draw(st.booleans()),
        minimum_days=draw(seldom(1, 3)),
    )


@st.composite
def covariates(draw, name):
    source = draw(st.sampled_from([*TABLES, "events"]))
    chosen = {"source": source, "window_days": draw(windows)}
    valued = source in ("measurement", "observation")
    kinds = ["any", "count"]
    if source == "events":
        chosen["events"] = draw(some_events)
    else:
        chosen["concepts"] = draw(concepts)
        kinds += ["days", "days_since_first", "days_since_last"]
        kinds += ["min", "max", "mean", "first", "last"] * valued
        kinds += ["days_supply"] * (source == "drug")
    if valued:
        chosen["value"] = draw(st.none() | bounds)
    kind = draw(st.sampled_from(kinds))
    if kind == "any":
        found = draw(st.integers(1, 2))
        return Variable(
            name, "category", levels=PAIR, at_least=found, aggregate=kind, **chosen
        )
    if kind in ("first", "last") and draw(st.booleans()):
        return Variable(name, "category", levels=ANSWERS, aggregate=kind, **chosen)
    return Variable(name, "number", bounds=(-1e9, 1e9), aggregate=kind, **chosen)


@st.composite
def studies(draw):
    population = draw(populations())
    follow_up, outcomes = None, ()
    if population.prior_observation_days is not None:
        follow_up = draw(follow_ups(population.arms))
        outcomes = (
            Outcome("o", "", draw(some_events), draw(st.sampled_from([0, 0, 4]))),
            Outcome("p", "", draw(some_events), 0, draw(some_events)),
        )
    number = {"kind": "number", "bounds": (-1e9, 1e9)}
    made = [
        Variable("age", source="age", **number),
        Variable(
            "band",
            "category",
            "age",
            levels=(Level("young", "0-39"), Level("old", "40-")),
        ),
        Variable(
            "season",
            "category",
            "month",
            levels=(Level("winter", "11-1"), Level("rest", "2-10")),
        ),
        Variable("sex", "category", "sex", levels=(Level("f", 8532), Level("m", 8507))),
        *(draw(covariates(f"v{n}")) for n in range(draw(st.integers(0, 4)))),
    ]
    if population.arms:
        levels = tuple(Level(arm.name, n) for n, arm in enumerate(population.arms))
        made.append(Variable("arm", "category", "arm", levels=levels))
    if follow_up is not None:
        three = (*PAIR, Level("rival", 2))
        made += [
            Variable("t", source="time_at_risk", **number),
            Variable("t_p", source="time_at_risk", outcome="p", **number),
            Variable("e_o", "category", "outcome", outcome="o", levels=PAIR),
            Variable("e_p", "category", "outcome", outcome="p", levels=three),
            Variable("n_o", source="outcome_count", outcome="o", **number),
        ]
    found = draw(st.lists(criteria(), max_size=2))
    return Study(
        "s",
        "",
        "",
        "1",
        "omop-5.4",
        ("a",),
        tuple(made),
        (Analysis("steps", "counts"), Analysis("m", "linear")),
        criteria=tuple(replace(c, label=f"c{n}") for n, c in enumerate(found)),
        population=population,
        follow_up=follow_up,
        outcomes=outcomes,
    )


@pytest.fixture(scope="module")
def database():
    with contextlib.closing(empty_database()) as connection:
        yield connection


def is_valid(study: Study) -> bool:
    try:
        check_cohort(study, "study")
        for variable in study.variables:
            check_variable_source(study, variable, variable.name)
    except InvalidStudy:
        return False
    return True


MANY = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@MANY
@given(study=studies(), world=worlds(), seed=st.integers(0, 9))
def test_a_cohort_is_what_the_study_says_whatever_the_order_of_rows(
    database, study, world, seed
):
    assume(is_valid(study))
    columns, counts = Oracle(study, world).answer()
    random.Random(seed).shuffle(world.rows)  # noqa: S311

    cohort = built(database, study, world)

    event(f"people: {min(cohort.people, 3)}")
    assert [people for _, people in cohort.attrition] == counts
    assert [label for label, _ in cohort.attrition] == list(study.steps)
    labels, ids, reached = cohort.flow
    assert labels == study.steps
    assert [len(np.unique(ids[reached >= n])) for n in range(len(counts))] == counts
    assert list(cohort.columns) == [v.name for v in study.variables]
    for name, expected in columns.items():
        assert is_same(cohort.columns[name], expected), name
