"""What all people of a site have alike, at each edge of what counts as alike."""

from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import make_plan, make_rows
from hetao.analysis.alike import FEW, SHARE, SPREAD
from hetao.study import Analysis
from support_analysis import (
    ANALYSES,
    STUDY,
    category,
    key,
    number,
    people,
    rows_of,
    study_of,
)

VARIABLES = (
    number("age", 0, 100),
    number("code", -10, 10),
    number("y", 0, 10),
    number("w", 0, 4),
    category("sex", "f", "m"),
    category("ward", "one", "two"),
    key("person"),
)
LINEAR = Analysis("m", "linear", outcome="y", terms=("1", "age"))


def told(analysis, n=400, **columns):
    """Return whether people tell their site, and cross it; `code` is 1 for all."""
    draw = np.random.default_rng(3)
    known = {
        "age": draw.uniform(20, 90, n),
        "code": np.ones(n),
        "y": draw.uniform(1, 9, n),
        "w": draw.uniform(1, 2, n),
        "sex": draw.integers(0, 2, n),
        "ward": np.ones(n, dtype=int),
        "person": np.arange(n),
    }
    study = study_of(VARIABLES, analysis)
    rows = make_rows(make_plan(study, analysis), known | columns, "aa")
    return rows.tells_site, rows.crosses_site


def of(*terms, **fields):
    return replace(LINEAR, terms=("1", *terms), **fields)


NOTHING, TELLS, CROSSES = (False, False), (True, False), (True, True)


@pytest.mark.parametrize(
    ("analysis", "expected"),
    [
        (of("age", "sex", "age**2", "log(age+1)"), NOTHING),
        (of("age:sex", "ns(age, df = 3)"), NOTHING),
        (of("code", "age"), TELLS),
        (of("code**2/3", "age"), TELLS),
        (of("ward", "age"), NOTHING),  # its side is refused
        (of("code*age"), CROSSES),
        (of("age+code"), CROSSES),
        (of("log(age+code+20)"), CROSSES),
        (of("(code-1)*age", "age"), CROSSES),  # 0 here: the others' own part
        (of("age:code"), CROSSES),
        (of("code:sex"), CROSSES),
        (of("ward:sex"), CROSSES),
        (of("age:ward"), CROSSES),
        (of("ns(code*age, df = 3)"), CROSSES),
        (of("code:ward"), NOTHING),
        (of("2:age"), NOTHING),
        (of("code*(1e7*age-9999999*age)"), CROSSES),  # nobody's range is so wide
        (of("(1e7*age-9999999*age):ward"), CROSSES),
        (of("age", offset="y"), NOTHING),
        (of("age", offset="code*y"), CROSSES),
        (of("age", offset="code"), CROSSES),
        (of("age", weights="w"), NOTHING),
        (of("age", outcome="code"), CROSSES),
    ],
)
def test_what_is_told_of_a_site(analysis, expected):
    assert told(analysis) == expected


def test_weights_and_outcomes_that_all_have_alike_multiply_all_else():
    assert told(of("age", weights="w"), w=np.ones(400)) == CROSSES
    assert told(of("age"), y=np.ones(400)) == CROSSES
    assert told(of("age"), y=np.zeros(400)) == NOTHING  # it adds nothing to a sum


@pytest.mark.parametrize("name", [n for n, a in ANALYSES.items() if a.terms or a.score])
def test_it_is_seen_in_every_method_and_nothing_else_is(name):
    code, asked = number("code", 0, 9), ANALYSES[name]
    columns = people(1, 400) | {"code": np.ones(400)}

    def told_by(analysis):
        study = study_of((*STUDY.variables, code), analysis)
        _, rows = rows_of(study, analysis, columns)
        return rows.tells_site, rows.crosses_site

    assert told_by(asked) == NOTHING
    for where in ("terms", "score"):
        if texts := getattr(asked, where):
            assert told_by(replace(asked, **{where: (*texts, "code*age")})) == CROSSES


def test_what_few_differ_in_is_no_place_to_hide():
    """Of 5,000 people fifty have something else, which meets what all have alike."""
    fifty = np.where(np.arange(5000) < 50, 5.0, 1.0)
    assert told(of("code*age"), 5000, age=fifty) == CROSSES
    assert told(of("code:w"), 5000, w=fifty / 5) == CROSSES


@pytest.mark.parametrize("n", [100, 400, 2000])
def test_as_many_may_differ(n):
    few = max(FEW, int(SHARE * n))
    for away, expected in ((few, CROSSES), (few + 1, NOTHING)):
        code = np.where(np.arange(n) < away, -5.0, 1.0)
        ward = (np.arange(n) >= away).astype(int)
        assert told(of("code*age"), n, code=code) == expected
        assert told(of("age:ward"), n, ward=ward) == expected


def test_as_much_may_they_differ():
    spread = np.random.default_rng(4).normal(size=400)
    spread /= spread.std()
    for size, expected in ((0.5, CROSSES), (2.0, NOTHING)):
        code = 1 + size * SPREAD * 20 * spread
        assert told(of("code*age"), code=code) == expected
        assert told(of("code/7*age"), code=code) == expected


def test_of_people_with_several_rows_the_people_count():
    person = np.repeat(np.arange(200), 2)
    code = np.where(person < FEW, -5.0, 1.0)
    analysis = of("code*age", person="person", most_rows=2)
    assert told(analysis, person=person, code=code) == CROSSES
    code = np.where(person < FEW + 1, -5.0, 1.0)
    assert told(analysis, person=person, code=code) == NOTHING


def test_nobody_is_alike_where_few_are():
    for n in (0, 1, FEW):
        assert told(of("code*age", "age:ward"), n=n) == NOTHING
