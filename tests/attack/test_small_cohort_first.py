"""Of too few people a site says that they are too few, and not one bit more."""

import contextlib
import functools
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from hetao.analysis import make_rows
from hetao.analysis.plan import make_plan
from hetao.cdm import CuratedTables
from hetao.cohort import build
from hetao.errors import InvalidData, SmallCohort
from hetao.release import STRICT, check_people
from hetao.study import Analysis, Criterion, Event, Level, Population, Value, Variable
from support_analysis import SITES, number, study_of
from support_cohort import OTHER_UNIT, Row, World, empty_database, load
from support_federation import (
    COUNTS,
    VARIABLES,
    Federation,
    Plan,
    category,
    column,
    toy_study,
)

AGE, SEX, ILL = VARIABLES
TABLE = Analysis("who", "table1", variables=("age", "ill"))
SITE = SITES[0]
SMALL = SmallCohort(
    "a holds fewer than 50 people for what is asked",
    fix="lengthen the period or widen the population",
)
FEW = (Criterion("Few of them", "age > 85"),)
WRONG = {
    "nothing": (AGE, SEX, ILL),
    "a value beyond the bounds": (replace(AGE, bounds=(0.0, 30.0)), SEX, ILL),
    "a level that nobody declared": (AGE, category("sex", "f", "other"), ILL),
    "a text for a number": (
        AGE,
        column("sex", kind="number", bounds=(0.0, 1.0)),
        ILL,
    ),
}


def answer(folder, wrong, *analyses, people=400, criteria=()):
    """Return all that site `a` tells outside when a study begins: (kind, content)."""
    study = replace(toy_study(analyses, criteria=criteria), variables=WRONG[wrong])
    with Federation(folder, Plan(study, people=people)) as federation:
        posts = federation.sites["a"].handle(federation.begin("a").data)
        ((kind, meta, _),) = [federation.opened(data) for _, data in posts]
    return kind, meta.get("code"), meta.get("rule")


@pytest.mark.parametrize("analysis", [TABLE, COUNTS], ids=["values", "counts"])
@pytest.mark.parametrize("people", [1, 49])
def test_a_small_site_answers_alike_whatever_else_is_wrong(tmp_path, analysis, people):
    said = {
        answer(tmp_path / str(place), wrong, analysis, people=people)
        for place, wrong in enumerate(WRONG)
    }

    ((kind, code, rule),) = said
    assert (kind, code) == ("refusal", "HT-401")
    assert "age" not in rule


def test_a_small_cohort_of_a_large_site_answers_alike_too(tmp_path):
    said = {
        answer(tmp_path / str(place), wrong, TABLE, criteria=FEW)
        for place, wrong in enumerate(WRONG)
    }

    assert [code for _, code, _ in said] == ["HT-401"]


@pytest.mark.parametrize("wrong", [name for name in WRONG if name != "nothing"])
def test_of_enough_people_it_says_what_is_wrong(tmp_path, wrong):
    kind, code, rule = answer(tmp_path, wrong, TABLE)

    assert (kind, code) == ("refusal", "HT-110")
    assert "'age'" in rule or "'sex'" in rule


def test_a_count_may_end_in_few_people_of_whom_it_then_says_nothing(tmp_path):
    """A bound of a study that only counts would tell of the few that are left."""
    said = {
        answer(tmp_path / str(place), wrong, COUNTS, criteria=FEW)
        for place, wrong in enumerate(list(WRONG)[:2])
    }

    assert said == {("ready", None, None)}


# --- curated tables: units, levels, deaths --------------------------------------------
DRUG, LAB = Event("drug", (1,)), (2,)
ENOUGH = functools.partial(check_people, STRICT, "a")
GLUCOSE = Variable("glucose", "number", "measurement", LAB, unit="mmol/L")
GLUCOSE = replace(GLUCOSE, bounds=(0.0, 40.0))
HIGH = Variable("high", "category", "measurement", LAB, levels=(Level("high", 9),))
TIME = Variable("time", "number", "time_to_death", bounds=(0.0, 999.0))
IN_MMOL = Event("measurement", LAB, value=Value(at_least=1.0, unit="mmol/L"))
STEP = (Criterion("Not measured", events=(IN_MMOL,), at_least=0, at_most=9),)


def lab(**fields):
    return [Row("measurement", 1, 1, 2, 0, 4, **fields)]


CURATED = {
    "nothing": (GLUCOSE, (), lab(number=Decimal(5)), {}),
    "beyond the bounds": (GLUCOSE, (), lab(number=Decimal(50)), {}),
    "another unit": (GLUCOSE, (), lab(number=Decimal(5), unit=OTHER_UNIT), {}),
    "an undeclared level": (HIGH, (), lab(coded=8), {}),
    "an early death": (TIME, (), [], {1: (3, 0)}),
    "a step's unit": (TIME, STEP, lab(number=Decimal(5), unit=OTHER_UNIT), {}),
}


def curated(case, people, *analyses):
    """Build a cohort of as many people, of whom the first has what the case says."""
    variable, criteria, rows, deaths = CURATED[case]
    numbers = range(1, people + 1)
    world = World(
        dict.fromkeys(numbers, (8507, 1950)),
        [(n, 0, 99) for n in numbers],
        deaths,
        [*(Row("drug", n, n, 1, 0, 5) for n in numbers), *rows],
    )
    study = replace(
        toy_study(analyses, criteria=criteria),
        variables=(variable,),
        population=Population((DRUG,)),
        dictionary="omop-5.4",
    )
    with contextlib.closing(empty_database()) as connection:
        load(connection, world)
        return build(study, CuratedTables(Path(), connection, "d", ""), ENOUGH)


@pytest.mark.parametrize("analysis", [TABLE, COUNTS], ids=["values", "counts"])
@pytest.mark.parametrize("case", CURATED)
def test_a_small_curated_cohort_is_small_whatever_else_is_wrong(case, analysis):
    with pytest.raises(SmallCohort) as caught:
        curated(case, 1, analysis)

    assert str(caught.value) == str(SMALL)


@pytest.mark.parametrize("case", [case for case in CURATED if case != "nothing"])
def test_of_a_curated_cohort_of_enough_people_it_says_what_is_wrong(case):
    with pytest.raises(InvalidData):
        curated(case, 50, TABLE)


# --- later, when an analysis leaves out who misses a value ----------------------------
@pytest.mark.parametrize("count", [1.0, 1.5])
def test_few_complete_cases_are_few_whatever_else_is_wrong(count):
    study = study_of(
        (number("visits", 0, 9), number("glucose", 0, 40)),
        Analysis("rate", "poisson", outcome="visits", terms=("1", "glucose")),
    )
    columns = {"visits": np.full(400, count), "glucose": np.full(400, np.nan)}
    columns["glucose"][0] = 5.0

    with pytest.raises(SmallCohort) as caught:
        make_rows(make_plan(study, study.analyses[0]), columns, SITE, enough=ENOUGH)

    assert str(caught.value) == str(SMALL)
