"""Arms, time at risk and outcomes, a person at a time, worked by hand."""

import contextlib
from dataclasses import replace
from decimal import Decimal

import pytest

from hetao.errors import InvalidData
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
    explain,
)
from support_cohort import OTHER_UNIT, Row, World, built, empty_database

PAIR = (Level("no", 0), Level("yes", 1))
THREE = (*PAIR, Level("rival", 2))
OLD, NEW = Event("drug", (1,)), Event("drug", (2,))
STROKE, DEATH = Event("condition", (3,)), Event("death")
ANY = {"kind": "number", "bounds": (-1e9, 1e9)}
STUDY = Study(
    "s",
    "",
    "",
    "1",
    "omop-5.4",
    ("a",),
    (
        Variable("time", source="time_at_risk", outcome="stroke", **ANY),
        Variable("event", "category", "outcome", outcome="stroke", levels=THREE),
        Variable("strokes", source="outcome_count", outcome="stroke", **ANY),
        Variable("arm", "category", "arm", levels=(Level("old", 0), Level("new", 1))),
    ),
    (),
    population=Population(
        arms=(Arm("old", events=(OLD,)), Arm("new", events=(NEW,))),
        prior_observation_days=0,
    ),
    follow_up=FollowUp(),
    outcomes=(Outcome("stroke", events=(STROKE,), competing=(DEATH,)),),
)


@pytest.fixture(scope="module")
def connection():
    with contextlib.closing(empty_database()) as opened:
        yield opened


@pytest.fixture
def answer(connection):
    """Return a function: study and the rows of person 1 → their columns, or None."""

    def ask(study, *rows, death=None, period=(0, 100)):
        deaths = {} if death is None else {1: (death, 0)}
        world = World({1: (8507, 1950)}, [(1, *period)], deaths, list(rows))
        found = built(connection, study, world)
        if not found.people:
            return None
        return {name: values.tolist()[0] for name, values in found.columns.items()}

    return ask


def drug(day, concept=1, length=9, key=0):
    return Row("drug", key, 1, concept, 0, day, length=length)


def stroke(day, key=0):
    return Row("condition", key, 1, 3, 0, day)


def following(**fields):
    return replace(STUDY, follow_up=replace(STUDY.follow_up, **fields))


def test_time_runs_from_the_first_day_at_risk_to_the_outcome(answer):
    found = answer(STUDY, drug(10), stroke(30))

    assert found == {"time": 20.0, "event": 1, "strokes": 1.0, "arm": 0}


def test_an_outcome_before_the_first_day_at_risk_is_none(answer):
    found = answer(following(start_days=5), drug(10), stroke(14))

    assert (found["time"], found["event"]) == (86.0, 0)
    assert answer(following(start_days=5), drug(10), stroke(15))["time"] == 1.0


def test_an_outcome_on_the_day_of_death_is_the_outcome(answer):
    found = answer(STUDY, drug(10), stroke(30), death=30)

    assert (found["time"], found["event"]) == (20.0, 1)


def test_death_before_the_outcome_competes_with_it(answer):
    found = answer(STUDY, drug(10), stroke(30), death=29)

    assert (found["time"], found["event"], found["strokes"]) == (19.0, 2, 0.0)


def test_a_competing_event_without_a_level_is_no_event(answer):
    event = replace(STUDY.variables[1], levels=PAIR)

    found = answer(replace(STUDY, variables=(event,)), drug(10), death=29)

    assert found == {"event": 0}


def test_who_dies_on_the_index_day_is_not_at_risk(answer):
    assert answer(STUDY, drug(10), death=10) is None
    assert answer(following(start_days=0), drug(10), death=10)["time"] == 1.0


@pytest.mark.parametrize(("gap", "end"), [(5, 34), (4, 19)])
def test_exposures_join_over_a_gap_of_days(answer, gap, end):
    # Days 10 to 19, then 24 to 34: the second begins 5 days after the first has ended.
    study = following(exposure=Exposure(gap_days=gap))

    assert answer(study, drug(10), drug(24, length=10))["time"] == end - 10


SAID = {
    "en": "a record that begins at most {} days after its last day so far",
    "zh-Hant": "在此前用藥的最後一日之後 {} 日內開始者，視為連續用藥",
    "zh-Hans": "在此前用药的最后一日之后 {} 日内开始者，视为连续用药",
}


@pytest.mark.parametrize("language", SAID)
@pytest.mark.parametrize("gap", [0, 1, 30])
def test_the_sentence_says_on_which_days_an_exposure_still_goes_on(
    answer, gap, language
):
    study = following(exposure=Exposure(gap_days=gap))
    last, first_day = 19, 10  # of the first record: days 10 to 19
    joined = answer(study, drug(10), drug(last + gap, length=5))["time"]
    apart = answer(study, drug(10), drug(last + gap + 1, length=5))["time"]

    (said,) = [
        sentence
        for section in explain(study, language)
        for sentence in section.sentences
        if SAID[language].format(gap) in sentence
    ]

    assert said
    assert joined == last + gap + 5 - first_day
    assert apart == last - first_day


def test_grace_comes_after_the_last_exposure(answer):
    study = following(exposure=Exposure(gap_days=0, grace_days=7))

    assert answer(study, drug(10))["time"] == 16.0


def test_a_short_exposure_inside_a_long_one_does_not_end_it(answer):
    study = following(exposure=Exposure(gap_days=0))
    rows = [drug(10, length=50), drug(20, length=2, key=1), drug(60, length=5, key=2)]

    assert answer(study, *rows)["time"] == 55.0


def test_the_other_arms_drug_does_not_prolong_the_exposure(answer):
    study = following(exposure=Exposure(gap_days=30))

    assert answer(study, drug(10), drug(20, concept=2, length=40))["time"] == 9.0


def test_a_switch_ends_the_time_at_risk_and_its_day_belongs_to_it(answer):
    study = following(switch=True)

    found = answer(study, drug(10), drug(20, concept=2), stroke(20))

    assert (found["time"], found["event"]) == (10.0, 1)
    assert answer(study, drug(10), drug(20, concept=2), stroke(21))["event"] == 0


def test_censoring_events_count_after_the_index_day(answer):
    study = following(censor=(Event("procedure", (7,)),))
    on_the_day = Row("procedure", 0, 1, 7, 0, 10)

    assert answer(study, drug(10), on_the_day)["time"] == 90.0
    assert answer(study, drug(10), on_the_day._replace(day=11))["time"] == 1.0


def test_clean_days_make_one_outcome_of_many_rows(answer):
    outcome = replace(STUDY.outcomes[0], clean_days=10)
    study = replace(STUDY, outcomes=(outcome,))
    rows = [stroke(day, key) for key, day in enumerate((5, 12, 22, 40, 51))]

    found = answer(study, drug(10), *rows)

    # 12 follows 5, 22 follows 12 within ten days; 40 and 51 stand alone.
    assert (found["time"], found["strokes"]) == (30.0, 2.0)


def test_who_has_both_drugs_on_one_day_is_left_out_or_resolved(answer):
    rows = (drug(10), drug(10, concept=2, key=1))
    chosen = replace(STUDY.population, same_day="new")

    assert answer(STUDY, *rows) is None
    assert answer(replace(STUDY, population=chosen), *rows)["arm"] == 1


def test_any_occurrence_takes_the_first_that_meets_everything(answer):
    criterion = Criterion(
        "No stroke", events=(STROKE,), days=(-5, 0), at_least=0, at_most=0
    )
    first = replace(STUDY, criteria=(criterion,))
    fitting = replace(first, population=replace(first.population, occurrence="any"))
    rows = (drug(10), drug(20, key=1), stroke(8))

    assert answer(first, *rows) is None
    assert answer(fitting, *rows)["time"] == 80.0


def test_a_row_that_is_an_event_by_both_concepts_counts_once(answer):
    both = Event("condition", (3, 4))
    counted = Variable(
        "n", source="condition", concepts=(3, 4), aggregate="count", **ANY
    )
    two = Criterion("Two", events=(both,), days=(-9, 0), at_least=2)
    row = Row("condition", 0, 1, 3, 4, 5)
    study = replace(STUDY, variables=(counted,))

    assert answer(study, drug(10), row) == {"n": 1.0}
    assert answer(replace(study, criteria=(two,)), drug(10), row) is None
    assert answer(study, drug(10), row, row._replace(key=1, source=0)) == {"n": 2.0}


def test_a_row_that_is_two_of_a_criterions_events_counts_once(answer):
    events = (Event("condition", (3,)), Event("condition", (4,)))
    two = Criterion("Two", events=events, days=(-9, 0), at_least=2)
    row = Row("condition", 0, 1, 3, 4, 5)
    study = replace(STUDY, criteria=(two,))

    assert answer(study, drug(10), row) is None
    assert answer(study, drug(10), row, row._replace(key=1)) is not None


def test_among_values_of_one_day_one_without_an_hour_comes_first(answer):
    ask = {"source": "measurement", "concepts": (5,), "bounds": (0, 9)}
    first = Variable("first", "number", aggregate="first", **ask)
    last = Variable("last", "number", aggregate="last", **ask)
    row = Row("measurement", 2, 1, 5, 0, 5, Decimal(1))
    rows = [row, row._replace(key=1, number=Decimal(2), hour=0)]
    rows.append(row._replace(key=0, number=Decimal(3), hour=1))

    found = answer(replace(STUDY, variables=(first, last)), drug(10), *rows)

    assert found == {"first": 1.0, "last": 3.0}


def test_observation_periods_that_overlap_are_one(answer, connection):
    population = replace(STUDY.population, prior_observation_days=8)
    study = replace(STUDY, population=population)

    assert answer(study, drug(10), period=(2, 50)) is not None
    assert answer(study, drug(10), period=(3, 50)) is None
    periods = [(1, 9, 50), (1, 0, 12)]
    world = World({1: (8507, 1950)}, periods, {}, [drug(10)])
    found = built(connection, study, world)
    assert found.columns["time"].tolist() == [40.0]


def test_with_every_occurrence_a_rule_counts_people_not_days(connection):
    every = replace(
        STUDY,
        variables=(Variable("age", source="age", **ANY),),
        criteria=(Criterion("Old", rule="age >= 60"),),
        population=replace(STUDY.population, occurrence="every"),
        follow_up=None,
        outcomes=(),
    )
    rows = [drug(day, key=day) for day in range(1, 61)]  # one person, sixty days
    others = dict.fromkeys(range(2, 81), (8507, 1990))
    rows += [drug(5, key=n + 99)._replace(person=n) for n in others]
    world = World({1: (8507, 1950), **others}, [(n, 0, 99) for n in range(1, 81)])

    cohort = built(connection, every, replace(world, rows=rows))

    assert cohort.attrition[-2:] == (("In one arm alone", 80), ("Old", 1))
    assert cohort.people == 1
    assert len(cohort.columns["age"]) == 60


def test_a_row_that_is_two_of_a_variables_events_counts_once(answer):
    events = (Event("condition", (3,)), Event("condition", (4,)), Event("drug", (4,)))
    ask = {"source": "events", "events": events}
    counted = Variable("n", aggregate="count", **ask, **ANY)
    twice = Variable("two", "category", levels=PAIR, at_least=2, **ask)
    row = Row("condition", 0, 1, 3, 4, 5)
    study = replace(STUDY, variables=(counted, twice))

    assert answer(study, drug(10), row) == {"n": 1.0, "two": 0}
    assert answer(study, drug(10), row, drug(6, 4)) == {"n": 2.0, "two": 1}
    assert answer(study, drug(10), row, row._replace(key=1)) == {"n": 2.0, "two": 1}


def test_a_criterion_in_another_unit_than_the_sites_is_refused(answer):
    high = Event("measurement", (5,), Value(above=7.0, unit="mmol/L"))
    study = replace(STUDY, criteria=(Criterion("High", events=(high,)),))
    row = Row("measurement", 0, 1, 5, 0, 5, Decimal(8))

    assert answer(study, drug(10), row) is not None
    with pytest.raises(InvalidData, match="another unit"):
        answer(study, drug(10), row, row._replace(key=1, unit=OTHER_UNIT))
