"""What all people of a site have alike, at each edge of what counts as alike."""

from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import make_plan
from hetao.analysis.alike import FEW, SHARE, SPREAD, looked_at
from hetao.analysis.expressions import text_of
from hetao.study import Analysis, Grid
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


def columns_of(n):
    """Return n people, of whom `code` is 1 for all and all are in one ward."""
    draw = np.random.default_rng(3)
    return {
        "age": draw.uniform(20, 90, n),
        "code": np.ones(n),
        "y": draw.uniform(1, 9, n),
        "w": draw.uniform(1, 2, n),
        "sex": draw.integers(0, 2, n),
        "ward": np.ones(n, dtype=int),
        "person": np.arange(n),
    }


def told(analysis, n=400, **columns):
    """Return whether people tell their site, and cross it."""
    study = study_of(VARIABLES, analysis)
    _, rows = rows_of(study, analysis, columns_of(n) | columns)
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


def test_few_people_of_several_rows_are_not_alike():
    person = np.repeat(np.arange(FEW), 3)
    analysis = of("code*age", person="person", most_rows=3)
    assert told(analysis, n=3 * FEW, person=person) == NOTHING


def test_a_number_that_can_be_only_one_is_alike():
    assert told(of("(0*code+1)*age")) == CROSSES
    assert told(of("(0*age+1)*age")) == CROSSES


def test_nobody_is_alike_where_few_are():
    for n in (0, 1, FEW):
        assert told(of("code*age", "age:ward"), n=n) == NOTHING


def differing(analysis, n=400, **columns):
    """Return what is looked at, in words → whether people of a site differ in it."""
    study = study_of(VARIABLES, analysis)
    plan, rows = rows_of(study, analysis, columns_of(n) | columns)
    looks = looked_at(plan)
    assert len(looks) == len(set(looks)) == len(rows.differing)
    return dict(zip(map(worded, looks), rows.differing.tolist(), strict=True))


def worded(look):
    if look.kind == "number":
        return text_of(look.what)
    return look.what if isinstance(look.what, str) else "{} {}".format(*look.what)


@pytest.mark.parametrize(
    ("analysis", "expected"),
    [
        (of("age"), {"X 1": True, "y": True}),
        (of("sex"), {"y": True}),  # a level that nobody has is refused
        (of("code"), {"X 1": False, "y": True}),
        (of("age", outcome="code"), {"X 1": True, "code": False}),
        (
            of("(code-1)*age+age"),
            {
                "X 1": True,
                "(code-1)*age": False,
                "code-1": False,
                "code": False,
                "age": True,
                "y": True,
            },
        ),
        (
            of("age:code"),
            {"X 1": True, "age": True, "code": False, "y": True},
        ),
        (
            of("age:ward"),  # of the ward where nobody is, and of the other
            {"X 1": False, "X 2": True, "age": True, "ward": False, "y": True},
        ),
        (of("log(age+1)"), {"X 1": True, "age+1": True, "age": True, "y": True}),
        (
            of("age", offset="code*y", weights="w"),
            {"X 1": True, "code*y": True, "code": False, "y": True, "w": True},
        ),
    ],
)
def test_each_number_and_each_part_of_one_is_looked_at(analysis, expected):
    assert differing(analysis) == expected


def test_each_column_of_a_spline_is_looked_at_and_its_argument():
    found = differing(of("ns(age*code, df = 2)"))
    assert found == {
        "X 1": True,
        "X 2": True,
        "age*code": True,
        "age": True,
        "code": False,
        "y": True,
    }


def test_the_times_of_a_follow_up_are_looked_at():
    """Who leaves at the same time as all others adds nothing to what comes after."""
    cox = Analysis("m", "cox", time="w", event="ward", start="y", terms=("age",))
    cox = replace(cox, grid=Grid((1.0, 2.0, 4.0)))
    columns = {"w": np.full(400, 2.0), "y": np.linspace(0, 1, 400)}
    found = differing(cox, **columns)
    assert found == {"X 0": True, "w": False, "y": True}
    found = differing(cox, w=np.linspace(2, 4, 400), y=np.zeros(400))
    assert found == {"X 0": True, "w": True, "y": False}


def test_what_has_no_design_and_no_weights_is_not_looked_at():
    table = Analysis("m", "table1", variables=("age", "code"))
    assert looked_at(make_plan(study_of(VARIABLES, table), table)) == ()


def test_of_a_screen_each_pair_is_looked_at():
    plan, rows = rows_of(STUDY, ANALYSES["screen"], people(1, 400))
    each = [len(looked_at(part)) for part in plan.parts]
    assert len(looked_at(plan)) == len(rows.differing) == sum(each)
    assert min(each) > 0
    assert rows.differing.all()


@pytest.mark.parametrize("few", [FEW, FEW + 1, 50, 51])
def test_ten_people_are_enough_for_a_number_alone_and_not_for_one_in_a_product(few):
    """Of 5,000; a level of a category of ten people is enough too."""
    rare = np.where(np.arange(5000) < few, 4.0, 0.0)
    assert differing(of("w"), 5000, w=rare)["X 1"] == (few > FEW)
    assert differing(of("age", outcome="w"), 5000, w=rare)["w"] == (few > FEW)
    assert differing(of("w*age"), 5000, w=rare)["w"] == (few > 50)
    assert differing(of("w:age"), 5000, w=rare)["w"] == (few > 50)
    assert differing(of("w:age"), 5000, w=rare)["X 1"] == (few > 50)
    assert differing(of("age", weights="w"), 5000, w=rare / 2 + 1)["w"] == (few > 50)


def test_where_nobody_is_nothing_differs():
    assert not any(differing(of("age", "code*age"), n=0).values())
