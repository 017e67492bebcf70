"""Rows of which several may be one person's: the gate counts people."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hetao import testing
from hetao.analysis import Evidence, evidence, make_plan, make_rows, oracle
from hetao.cdm import open_flat
from hetao.cohort import build
from hetao.errors import InvalidStudy, OutOfBounds, Refused
from hetao.release.minimums import check_counts
from hetao.study import Analysis, Grid, Minimum, Variable, study_from
from support_analysis import category, number, study_of

PERSON = Variable("id", "key", "column", column="id")
COX = Analysis(
    "cox",
    "cox",
    time="day",
    event="died",
    terms=("age", "sex"),
    strata=("site",),
    variance="robust",
    person="id",
    most_rows=3,
)
VARIABLES = (
    PERSON,
    number("day", 0, 60),
    category("died", "no", "yes"),
    number("age", 0, 100),
    category("sex", "female", "male"),
)


def study(analysis=COX, variables=VARIABLES):
    return study_of(variables, analysis)


def checked(made):
    """Read the study back as a site does, with every check."""
    return study_from(json.loads(made.canonical))


def long_rows(people=40, each=3):
    rng = np.random.default_rng(5)
    n = people * each
    return {
        "id": np.repeat([f"P{i}" for i in range(people)], each),
        "day": rng.integers(1, 60, n).astype(float),
        "died": np.tile([0, 0, 1], n // 3),
        "age": np.repeat(rng.uniform(20, 90, people), each),
        "sex": np.repeat((np.arange(people) < 4).astype(np.int64), each),
    }


def rows_of(columns, analysis=COX):
    plan = make_plan(study(analysis), analysis)
    return plan, make_rows(plan, columns, "aa")


def test_the_gate_counts_people_and_not_their_rows():
    plan, rows = rows_of(long_rows())
    facts = evidence(plan, rows)
    assert (rows.n, rows.people) == (120, 40)
    assert facts.people == 40
    assert facts.events == 40  # of 40 rows with the event, one a person
    assert facts.smallest_side["sex[male]"] == 4  # 12 rows


def test_somebody_on_both_sides_of_a_column_counts_on_both():
    columns = long_rows()
    columns["sex"] = np.tile([0, 1, 1], 40)  # everybody changes
    plan, rows = rows_of(columns)
    assert evidence(plan, rows).smallest_side["sex[male]"] == 40


def test_leverage_is_of_all_rows_of_a_person_together():
    columns = long_rows()
    columns["sex"] = np.repeat((np.arange(40) == 0).astype(np.int64), 3)
    plan, rows = rows_of(columns)
    assert evidence(plan, rows).max_leverage == pytest.approx(1.0)
    apart = replace(COX, person="", most_rows=0)
    plan, rows = rows_of(columns, apart)
    assert evidence(plan, rows).max_leverage < 0.4  # each row by itself


def test_a_small_site_with_many_rows_is_still_small():
    plan, rows = rows_of(long_rows(people=9))
    facts: Evidence = evidence(plan, rows)
    with pytest.raises(Refused):
        check_counts(facts, Minimum(cell=10, events=10), "aa")


def test_somebody_with_more_rows_than_the_study_says_is_refused_without_a_count():
    columns = long_rows()
    columns["id"][:4] = "P0"
    with pytest.raises(OutOfBounds) as caught:
        rows_of(columns)
    assert "most_rows" in str(caught.value)
    assert "4" not in caught.value.what
    assert "4 rows" in caught.value.local


def test_a_row_of_nobody_is_left_out():
    columns = long_rows()
    columns["id"][:3] = ""
    _, rows = rows_of(columns)
    assert (rows.n, rows.people) == (117, 39)
    codes = long_rows()
    codes["id"] = np.repeat(np.arange(40), 3) - 1
    _, rows = rows_of(codes)
    assert (rows.n, rows.people) == (117, 39)


def test_people_in_counts_each_once_at_a_place():
    _, rows = rows_of(long_rows(people=3))
    place = np.array([0, 0, 1, 1, 1, 1, -1, 2, 2])
    assert rows.people_in(place, 4).tolist() == [1, 2, 1, 0]
    sums = rows.by_person(np.arange(18.0).reshape(9, 2))
    assert sums.tolist() == [[6, 9], [24, 27], [42, 45]]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"most_rows": 0}, "most_rows"),
        ({"person": ""}, "most_rows"),
        ({"person": "sex"}, "key"),
        ({"terms": ("age", "id")}, "leaves no site"),
        ({"strata": ("site", "id")}, "category"),
        ({"weights": "id"}, "number"),
    ],
)
def test_a_key_is_named_as_person_and_nowhere_else(change, says):
    assert checked(study()).person == "id"
    with pytest.raises(InvalidStudy, match=says):
        checked(study(replace(COX, **change)))


def test_a_key_tells_nothing_about_its_values():
    wide = (replace(PERSON, bounds=(0.0, 9.0)), *VARIABLES[1:])
    with pytest.raises(InvalidStudy, match="never told"):
        checked(study(variables=wide))
    table = Analysis("who", "table1", variables=("id",))
    with pytest.raises(InvalidStudy, match="leaves no site"):
        checked(study(table))


def test_one_study_takes_its_rows_alike_in_all_analyses():
    made = study()
    other = replace(COX, name="apart", person="", most_rows=0)
    with pytest.raises(InvalidStudy, match="apart: by the key 'id'"):
        checked(replace(made, analyses=(COX, other)))
    checked(replace(made, analyses=(COX, Analysis("steps", "counts"))))


def test_a_flat_file_counts_its_people(tmp_path):
    columns = long_rows()
    path = tmp_path / "long.csv"
    lines = ["id,day,died,age,sex"]
    names = (["no", "yes"], ["female", "male"])
    for i in range(120):
        cells = (
            columns["id"][i] if i else "",
            columns["day"][i],
            names[0][columns["died"][i]],
            columns["age"][i],
            names[1][columns["sex"][i]],
        )
        lines.append(",".join(map(str, cells)))
    path.write_text("\n".join(lines) + "\n")
    made = checked(study())
    asked = []
    with open_flat(path, person="id") as table:
        cohort = build(made, table, asked.append)
    assert cohort.people == 40
    assert asked == [40]
    assert cohort.columns["id"][0] == -1
    plan = make_plan(made, COX)
    rows = make_rows(plan, cohort.columns, "aa", enough=asked.append)
    assert (rows.n, rows.people, asked) == (119, 40, [40, 40])


# --- start-stop rows --------------------------------------------------------------
SPLIT = replace(COX, start="start", most_rows=4)
LONG = (*VARIABLES, number("start", 0, 60))


def intervals(people=60, seed=3):
    """Return start-stop rows of people whose exposure changes, some with two events."""
    rng = np.random.default_rng(seed)
    each = rng.integers(1, 5, people)
    person = np.repeat(np.arange(people), each)
    place = np.arange(len(person)) - np.repeat(np.cumsum(each) - each, each)
    late = np.repeat(rng.integers(0, 5, people), each)
    start = late + 12.0 * place
    return {
        "id": person,
        "start": start,
        "day": start + rng.integers(1, 13, len(person)),
        "died": (rng.random(len(person)) < 0.4).astype(np.int64),
        "age": np.repeat(rng.uniform(20, 90, people), each),
        "sex": rng.integers(0, 2, len(person)),
    }


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("weights", ["", "start"])
def test_any_split_of_start_stop_rows_gives_the_pooled_answer(ties, weights):
    asked = replace(SPLIT, ties=ties, weights=weights, zph="identity")

    found = testing.oracle(study(asked, LONG), asked, intervals(), splits=4)

    assert found.estimate < 1e-9


@pytest.mark.parametrize("method", ["logistic", "poisson"])
def test_any_split_of_clustered_visits_gives_the_pooled_answer(method):
    asked = Analysis(
        "visits",
        method,
        outcome="died" if method == "logistic" else "deaths",
        terms=("age", "sex"),
        variance="robust",
        person="id",
        most_rows=4,
    )
    columns = intervals()
    columns["deaths"] = columns["died"].astype(float)
    many = (*LONG, number("deaths", 0, 9))

    found = testing.oracle(study(asked, many), asked, columns, splits=4)

    assert found.estimate < 1e-9
    with pytest.raises(InvalidStudy, match="depend on each other"):
        checked(study(replace(asked, variance="model"), many))


@pytest.mark.parametrize("method", ["km", "logrank"])
def test_any_split_of_late_entry_gives_the_pooled_answer(method):
    fields = {"start": "start", "time": "day", "event": "died", "by": "sex"}
    if method == "km":
        fields["grid"] = Grid(tuple(float(day) for day in range(1, 61)))
    else:
        fields["strata"] = ("site",)
    asked = Analysis("late", method, **fields)

    testing.oracle(study(asked, LONG), asked, intervals(), splits=4)


def test_start_stop_rows_say_what_one_row_a_person_says():
    whole = {**intervals(), "start": np.zeros(len(intervals()["id"]))}
    whole["id"] = np.arange(len(whole["day"]))
    cut = {k: np.concatenate([v, v]) for k, v in whole.items()}
    n, half = len(whole["day"]), whole["day"] / 2
    cut["day"] = np.concatenate([half, whole["day"]])
    cut["start"] = np.concatenate([whole["start"], half])
    cut["died"] = np.concatenate([np.zeros(n, dtype=np.int64), whole["died"]])
    plain = replace(COX, person="", most_rows=0)

    one = oracle(study(plain, LONG), plain, {"aa": whole}).as_json()
    two = oracle(study(SPLIT, LONG), SPLIT, {"aa": cut}).as_json()

    assert two["n"] == one["n"] == n
    for a, b in zip(one["terms"], two["terms"], strict=True):
        assert b["estimate"] == pytest.approx(a["estimate"], rel=1e-9)
        assert b["se"] == pytest.approx(a["se"], rel=1e-9)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"start": (0, 60.0)}, "'start' is not before 'day'"),
        ({"start": (1, 0.0), "id": (1, 0), "day": (1, 60.0)}, "earlier row"),
        ({"start": (0, -1.0)}, "public bounds"),
    ],
)
def test_rows_that_are_no_intervals_are_refused_without_a_count(broken, says):
    columns = intervals()
    columns["id"][0] = 0
    for name, (place, value) in broken.items():
        columns[name][place] = value
    plan = make_plan(study(SPLIT, LONG), SPLIT)

    with pytest.raises(OutOfBounds, match=says) as caught:
        make_rows(plan, columns, "aa")

    assert "rows" in caught.value.local
    assert not any(c.isdigit() for c in caught.value.what)


def test_recurrent_events_ask_for_a_robust_variance():
    columns = intervals()
    columns["died"][columns["id"] == columns["id"][-1]] = 1
    columns["id"][:2], columns["died"][:2] = 0, 1
    columns["start"][:2], columns["day"][:2] = (0, 5), (5, 9)
    model = replace(SPLIT, variance="model")

    with pytest.raises(OutOfBounds, match="more than once") as caught:
        make_rows(make_plan(study(model, LONG), model), columns, "aa")

    assert "Andersen and Gill" in caught.value.fix
    make_rows(make_plan(study(SPLIT, LONG), SPLIT), columns, "aa")


def test_late_entry_on_a_grid_is_at_its_edges():
    asked = Analysis(
        "late", "km", start="start", time="day", event="died", grid=Grid((20.0, 60.0))
    )
    with pytest.raises(OutOfBounds, match="between two edges"):
        make_rows(make_plan(study(asked, LONG), asked), intervals(), "aa")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"strata": (), "grid": Grid((30.0, 60.0))}, "who leaves a bin less"),
        ({"start": "day"}, "one variable"),
        ({"score": ("age",), "treatment": "sex"}, "one row"),
        ({"start": "sex"}, "number"),
        ({"start": "", "variance": "model"}, "depend on each other"),
    ],
)
def test_what_start_stop_rows_cannot_be_asked_for_is_refused(change, says):
    assert checked(study(SPLIT, LONG)).analyses[0].start == "start"
    with pytest.raises(InvalidStudy, match=says):
        checked(study(replace(SPLIT, **change), LONG))


def test_a_start_that_may_be_negative_is_refused():
    wide = (*VARIABLES, number("start", -5, 60))
    with pytest.raises(InvalidStudy, match="may be negative"):
        make_plan(study(SPLIT, wide), SPLIT)


def test_people_who_enter_in_a_bin_are_a_cell_of_it():
    asked = Analysis(
        "late",
        "km",
        start="start",
        time="day",
        event="died",
        grid=Grid(tuple(float(day) for day in range(1, 61))),
    )
    columns = intervals()
    columns["start"][5] = 3.0
    columns["day"][5] = 50.0
    plan = make_plan(study(asked, LONG), asked)
    cells = evidence(plan, make_rows(plan, columns, "aa")).cells

    assert cells["entering in the thinnest bin"] < 10
