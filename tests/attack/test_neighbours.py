"""Two analyses of a study whose definitions differ for few people.

The sums of one less those of the other are these people's: of one person alone all that
the columns hold. So before the later one hubs find out, of counts that nobody opens,
whether any definition of it differs for few people from one of an earlier analysis.
"""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import estimator_for, evidence, make_rows, neighbours
from hetao.analysis.neighbours import fewest
from hetao.analysis.sealed_count import SealedCount
from hetao.errors import (
    ColumnMismatch,
    InvalidStudy,
    NearlyOne,
    OutOfBounds,
    SmallCell,
    Stopped,
    Unverified,
)
from hetao.federation import certify
from hetao.federation.certify import recompute
from hetao.ledger.certificate import published, verify_certificate
from hetao.ledger.envelope import parse_envelope
from hetao.ledger.sealed_counts import FIELD, NAME
from hetao.ledger.verify_hetao import verify
from hetao.release import STRICT, Policy
from hetao.release.minimums import check_pairs, countable
from hetao.study import Analysis, Grid, Minimum, Study
from support_analysis import category, number
from support_counts import shares_of
from support_federation import SITES, Federation, Plan, column, toy_study
from support_federation import category as flat_category

VARIABLES = (
    number("age", 1, 120),
    number("ldl", 0, 500),
    number("ldl_later", 0, 500),
    number("stroke", 0, 1),
    category("ill", "no", "yes"),
    category("also", "no", "yes"),
    category("sex", "female", "male"),
    category("stage", "I", "II", "III"),
    category("grade", "low", "middle", "high"),
)
N = 400
TURNS = ((0, 0), (0, 1), (1, 1), (1, 0))  # of a definition and of another: contrary
NO_LIMIT = Policy(Minimum(cell=1), reason="made-up people")


def people(seed=3, n=N):
    """Return columns of one site."""
    draw = np.random.default_rng(seed)
    found = {"age": draw.integers(3_000, 9_000, n) / 100}
    found |= {"ldl": draw.normal(130, 30, n), "stroke": draw.integers(0, 2, n) * 1.0}
    found["ldl_later"] = found["ldl"].copy()
    found["ill"] = (draw.random(n) < 0.4).astype(np.int64)
    found["also"] = found["ill"].copy()
    found["sex"] = draw.integers(0, 2, n)
    found["stage"], found["grade"] = draw.integers(0, 3, (2, n))
    return found


def few(columns, name, *who):
    """Return columns in which some people have another level, or number."""
    changed = columns[name].copy()
    changed[list(who)] = 1 - changed[list(who)]
    return columns | {name: changed}


def model(name, outcome, *terms, method="logistic", **fields):
    return Analysis(name, method, outcome=outcome, terms=("1", *terms), **fields)


FIRST = model("first", "ill", "age", "sex")
SECOND = model("second", "also", "age", "sex")


def counts_people(method):
    return "count" in countable(method)


def raised_if(is_refused, match):
    return pytest.raises(NearlyOne, match=match) if is_refused else nullcontext()


def refused_unless_counted(facts, match, is_few):
    """Hold a site to refusing by its own counts, but after one over all sites."""
    asked = [(None, False), (STRICT.cell - 1, False), (STRICT.cell, True)]
    for counted, alone in asked:
        with raised_if(is_few, match):
            check_pairs(facts, STRICT, "aa", counted, alone=alone)
    check_pairs(facts, STRICT, "aa", STRICT.cell, alone=False)


def prepared(columns, *analyses, variables=VARIABLES):
    """Return the last of some analyses, and its rows at a site."""
    study = Study("s", "s", "s", "1", "flat", ("aa", "bb"), variables, analyses)
    method = estimator_for(study, analyses[-1])
    return method, make_rows(method.plan, columns, "aa")


def facts_of(columns, *analyses):
    method, rows = prepared(columns, *analyses)
    return evidence(method.plan, rows)


# --- what is told ---------------------------------------------------------------------
def test_one_person_s_columns_are_told_by_two_outcomes_that_differ_for_them(
    record_property,
):
    """Of sums of the outcomes times each column, as the first round of both tells."""
    right = stopped = 0
    for who in range(20):
        columns = few(people(who), "also", who)
        sums = []
        for analysis in (FIRST, SECOND):
            method, rows = prepared(columns, analysis)
            sums.append(rows.X.T @ rows.y)
        one, age, sex = (sums[0] - sums[1]) * np.sign(sums[0][0] - sums[1][0])
        of_age = method.plan.columns[1]
        told = [age / one * of_age.scale + of_age.centre, sex / one]
        right += np.allclose(told, [columns["age"][who], columns["sex"][who]])
        stopped += facts_of(columns, FIRST, SECOND).apart == 1

    record_property(
        "figure", f"all columns of one person: {right} of 20 naively, 0 here"
    )
    assert right == stopped == 20


@pytest.mark.parametrize("differ", [0, 1, 5, 9, 10, 60])
def test_a_site_counts_for_how_many_people_two_outcomes_differ(differ):
    columns = few(people(), "also", *range(differ))

    facts = facts_of(columns, FIRST, SECOND)

    assert facts.apart == differ if differ else facts.apart > 100
    assert facts_of(columns, SECOND).apart is None  # nothing stands before it
    assert facts_of(columns, SECOND, FIRST).apart == facts.apart
    refused_unless_counted(facts, "from an earlier one", 0 < differ < STRICT.cell)


PAIRS = [
    (model("m", "ill", "age", "grade"), model("n", "ill", "age", "stage")),
    (model("m", "ill", "grade"), model("n", "ill", "stage:age")),
    (model("m", "stroke", "grade", method="poisson"), model("n", "sex", "stage")),
    (model("m", "ldl", "age", "grade", method="linear"), model("n", "ill", "stage")),
    (
        Analysis(
            "m",
            "cox",
            time="ldl",
            event="ill",
            terms=("grade",),
            grid=Grid((100.0, 200.0, 500.0)),
        ),
        model("n", "ill", "stage"),
    ),
    (
        model("m", "ill", "age", "sex", treatment="also", score=("grade", "age")),
        model("n", "ill", "stage", "age"),
    ),
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0].method)
@pytest.mark.parametrize("turned", [False, True])
def test_a_level_of_one_category_is_held_to_each_of_another(pair, turned):
    """Stage III is nearly who has a high grade; with six unlike."""
    columns = people() | {"sex": people(9)["sex"]}
    columns["also"] = people(11)["ill"]
    high = (columns["grade"] == 2).astype(np.int64)
    low = np.random.default_rng(1).integers(0, 2, N)
    columns["stage"] = np.where(high == 1, 2, low)
    columns["stage"][np.flatnonzero(high)[:6]] = 0
    first, second = pair[::-1] if turned else pair

    assert facts_of(columns, first, second).apart == 6


def test_the_contrary_of_a_level_and_a_product_of_two_are_definitions_too():
    columns = people() | {"sex": people(9)["sex"]}
    both = (columns["sex"] == 1) & (columns["grade"] == 2)
    crossed = model("m", "ill", "sex:grade", "age")
    plain = model("n", "ill", "also", "age")

    other = few(columns | {"also": both.astype(np.int64)}, "also", *range(4))
    contrary = few(columns | {"also": 1 - columns["sex"]}, "also", *range(3))

    assert facts_of(other, crossed, plain).apart == 4
    assert facts_of(other, plain, crossed).apart == 4
    sexed = model("m", "ill", "sex", "age")
    assert facts_of(contrary, sexed, plain).apart == 3


@pytest.mark.parametrize("differ", [1, 9, 30])
def test_numbers_are_compared_with_numbers_and_with_levels(differ):
    columns = people()
    columns["ldl_later"][:differ] += 5
    of_ldl = model("m", "ldl", "age", method="linear")
    later = model("n", "ldl_later", "age", method="linear")
    assert facts_of(columns, of_ldl, later).apart == differ

    columns["stroke"] = columns["sex"].astype(float)
    columns["stroke"][:differ] = 1 - columns["stroke"][:differ]
    strokes = model("m", "stroke", "age", method="poisson")
    sexes = model("n", "ill", "age", "sex")
    for first, second in ((strokes, sexes), (sexes, strokes)):
        assert facts_of(columns, first, second).apart == differ


def test_whom_a_number_lacks_differs_from_who_has_it():
    columns = people()
    columns["ldl_later"][:40] = np.nan
    of_ldl = model("m", "ldl", "age", method="linear")
    later = model("n", "ldl_later", "age", method="linear")

    assert facts_of(columns, later, of_ldl).apart == 40
    method, rows = prepared(columns, of_ldl, later)
    at = 4 * method.plan.beside.pairs.index(("ldl_later", "ldl"))
    assert rows.apart[at] == 0  # of whom both are known


def without(columns, name, who):
    """Return columns in which a level of some people, or a number, is not known."""
    changed = columns[name].copy()
    changed[who] = np.nan if changed.dtype.kind == "f" else -1
    return columns | {name: changed}


LACKING = [  # of whom it is not known, and who has the other, told by those without
    (FIRST, "ill", True),
    (model("first", "stroke", "age", "sex", method="poisson"), "stroke", False),
]


@pytest.mark.parametrize("case", LACKING, ids=["level", "number"])
def test_one_person_is_told_beside_people_of_whom_one_outcome_is_not_known(
    record_property, case
):
    """The definitions differ for all of these, and what they add up to does not."""
    first, name, is_contrary = case
    right = stopped = 0
    for seed in range(20):
        columns = people(seed)
        columns["stroke"] = columns["also"].astype(float)
        have, lack = (np.flatnonzero(columns["also"] == n) for n in (1, 0))
        who = have[-1]
        columns = few(columns, name, who)
        columns = without(columns, name, (have if is_contrary else lack)[:40])
        sums = []
        for analysis in (first, SECOND):
            method, rows = prepared(columns, analysis)
            sums.append(rows.X.T @ (1 - rows.y if is_contrary else rows.y))
        one, age, sex = (sums[0] - sums[1]) * np.sign(sums[0][0] - sums[1][0])
        of_age = method.plan.columns[1]
        told = [one, age * of_age.scale + of_age.centre, sex]
        right += np.allclose(told, [1, columns["age"][who], columns["sex"][who]])
        stopped += facts_of(columns, first, SECOND).apart == 1

    record_property("figure", f"all columns of one: {right} of 20 naively, 0 here")
    assert right == stopped == 20


@pytest.mark.parametrize("differ", [1, 9, 10])
def test_a_number_is_held_to_the_contrary_of_another(differ):
    columns = people() | {"sex": people(9)["sex"]}
    columns["ldl"] = 1 - columns["stroke"]
    columns = few(columns, "ldl", *range(differ))
    pair = [model(n, n, "age", method="poisson") for n in ("stroke", "ldl")]

    assert facts_of(columns, *pair).apart == differ


def test_people_are_counted_and_not_their_rows():
    variables = (*VARIABLES, number("months", 0, 60), category("visit", "no", "yes"))
    columns = {name: np.repeat(values, 3) for name, values in people().items()}
    whose = np.repeat(np.arange(N), 3)
    columns |= {"months": np.ones(3 * N), "visit": columns["ill"].copy()}
    columns["visit"][:8] = 1 - columns["visit"][:8]
    who = replace(VARIABLES[0], name="who", kind="key", bounds=None)
    variables = (*variables, who)
    many = {"person": "who", "most_rows": 3}
    pair = (model("m", "ill", "age", **many), model("n", "visit", "age", **many))

    _, rows = prepared(columns | {"who": whose}, *pair, variables=variables)

    assert fewest(rows.apart) == 3  # eight rows


@pytest.mark.parametrize("lack", [0, 7])
def test_counts_are_those_of_a_loop_over_people(lack):
    """Who lacks a value has neither it nor its contrary."""
    columns = people(n=60)
    columns["quarter"] = np.random.default_rng(5).integers(0, 4, 60)
    columns["grade"][:lack] = columns["quarter"][3 : 3 + lack] = -1
    columns["ldl"][5 : 5 + lack] = columns["stroke"][20 : 20 + lack] = np.nan
    first = model("m", "ill", "grade", "ldl", "stroke", "quarter")
    variables = (*VARIABLES, category("quarter", *"1234"))
    method, rows = prepared(columns, first, PAIRS[0][1], variables=variables)
    pairs = method.plan.beside.pairs

    def said(one, at):
        if isinstance(one, str):
            value = columns[one][at]
            return (0, 0) if np.isnan(value) else (value, 1 - value)
        codes = [(columns[name][at], levels) for name, *levels in one]
        has = all(levels[0] <= code <= levels[-1] for code, levels in codes)
        is_known = all(code >= 0 for code, _ in codes)
        return float(has), float(is_known and not has)

    expected = []
    for one, also in pairs:
        both = [(said(one, at), said(also, at)) for at in range(60)]
        expected += [sum(a[i] != b[j] for a, b in both) for i, j in TURNS]

    assert rows.apart.tolist() == expected
    assert len(expected) == method.plan.beside.counts > 0
    assert (("quarter", 2, 3),) in [one for pair in pairs for one in pair]


def test_two_counts_of_each_two_of_a_model_and_one_of_a_number_by_itself():
    method, rows = prepared(people(), FIRST)

    assert method.plan.within.pairs == (
        ("age", ()),
        ((("ill", 1),), (("sex", 1),)),
        ((("ill", 1),), "age"),
        ((("sex", 1),), "age"),
    )
    assert len(rows.within) == method.plan.within.counts == 1 + 3 * 2


def test_of_nobody_nothing_is_counted():
    columns = people()
    columns["age"][:] = np.nan

    assert prepared(columns, FIRST)[1].within.tolist() == [0] * 7


def test_a_model_all_of_whose_definitions_an_earlier_one_has_is_compared_too():
    """That one may have been of few, of whom all say the same."""
    adjusted = model("m", "ill", "age", "sex", "stage")
    crude = model("n", "ill", "sex")
    other = model("o", "ill", "grade")

    assert prepared(people(), adjusted, crude)[0].plan.beside.pairs
    assert not prepared(people(), crude, adjusted)[0].plan.beside.pairs
    method, _ = prepared(people(), adjusted, crude, other)
    stages = {((("grade", n),), (("stage", m),)) for n in range(3) for m in range(3)}
    assert stages < set(method.plan.beside.pairs)


def test_a_model_of_few_does_not_hide_how_its_definitions_differ_for_others():
    columns = few(people(), "also", 150)
    columns["ldl_later"][100:] = np.nan
    mask = model("mask", "ill", "also", "ldl_later")

    assert facts_of(columns, mask).nearest == 99  # all have the same of both
    assert facts_of(columns, mask, FIRST, SECOND).apart == 1


def test_a_product_and_a_third_variable_of_one_model_are_held_to_each_other():
    columns = people() | {"sex": people(9)["sex"]}
    both = (columns["sex"] == 1) & (columns["grade"] == 2)
    columns = few(columns | {"ill": both.astype(np.int64)}, "ill", *range(3))

    assert facts_of(columns, model("m", "ill", "sex:grade", "age")).nearest == 3


def test_what_counts_people_alone_is_held_to_nothing():
    counts = Analysis("c", "counts")
    described = Analysis("t", "table1", variables=("also", "stage"), by="ill")

    for analyses in ((counts, described), (described, counts)):
        assert not counts_people(prepared(people(), *analyses)[0])


# --- tables and curves ----------------------------------------------------------------
def table(name, by, *described):
    return Analysis(name, "table1", variables=described or ("age", "sex"), by=by)


def curve(name, by, event="sex", method="km"):
    times = {"grid": Grid((100.0, 200.0, 500.0))} if method == "km" else {}
    times |= {"strata": ("site",)} if method == "logrank" else {}
    return Analysis(name, method, time="ldl", event=event, by=by, **times)


def test_one_person_is_told_by_two_tables_whose_groups_differ_for_them(
    record_property,
):
    """Their group in the one is larger by all that the table adds up of them."""
    pair = table("first", "ill"), table("second", "also")
    right = stopped = 0
    for who in range(20):
        columns = few(people(who), "also", who)
        numbers, levels = [], []
        for analysis in pair:
            method, rows = prepared(columns, analysis)
            told = method.start(rows)
            numbers.append(told["numbers"][0, 1])
            levels.append(told["levels"][:, 1])
        one, of_age, _ = (numbers[0] - numbers[1]) * (1 if columns["ill"][who] else -1)
        low, high = VARIABLES[0].bounds
        age = (low + high) / 2 + of_age * (high - low) / 2
        sex = np.argmax(abs(levels[0] - levels[1]))
        truth = [columns["age"][who], columns["sex"][who]]
        right += np.allclose([one, age, sex], [1, *truth])
        stopped += facts_of(columns, *pair).apart == 1

    record_property(
        "figure", f"a table's columns of one person: {right} of 20 naively, 0 here"
    )
    assert right == stopped == 20


GROUPED = [
    (table("m", "ill"), table("n", "also", "ldl")),
    (table("m", "ill"), curve("n", "also")),
    (table("m", "ill"), Analysis("n", "quantiles", variables=("ldl",), by="also")),
    (curve("m", "ill"), curve("n", "also", method="logrank")),
    (curve("m", "ill", method="rates"), curve("n", "also", method="rates")),
    (curve("m", "sex", "ill"), curve("n", "sex", "also")),
    (curve("m", "sex", "ill", "rates"), table("n", "also")),
    (FIRST, table("n", "also")),
    (FIRST, curve("n", "sex", "also")),
    (model("m", "sex", "ill", "age"), table("n", "also")),
    (table("m", "ill"), SECOND),
]


@pytest.mark.parametrize("differ", [1, 9, 10])
@pytest.mark.parametrize(
    "pair", GROUPED, ids=lambda pair: f"{pair[0].method}-{pair[1].method}"
)
@pytest.mark.parametrize("turned", [False, True])
def test_groups_and_events_are_held_to_those_of_earlier_analyses(pair, differ, turned):
    columns = few(people(), "also", *range(differ))
    first, second = pair[::-1] if turned else pair
    method, rows = prepared(columns, first, second)

    facts = evidence(method.plan, rows)
    assert facts.apart == differ
    assert counts_people(method)
    assert fewest(SealedCount(method).start(rows)["apart"]) == differ
    refused_unless_counted(facts, "from an earlier one", differ < STRICT.cell)


@pytest.mark.parametrize("differ", [1, 9, 10])
def test_numbers_that_tables_describe_are_compared(differ):
    """Of whom both are missing they are alike."""
    columns = people()
    columns["ldl"][200:] = columns["ldl_later"][200:] = np.nan
    columns["ldl_later"][:differ] = np.nan
    both = table("m", "sex", "ldl", "ldl_later", "stage")
    alone = [table(name, "sex", name, "age") for name in ("ldl", "ldl_later")]

    facts = facts_of(columns, both)
    assert facts.nearest == differ
    refused_unless_counted(facts, "two variables of an", differ < STRICT.cell)
    assert facts_of(columns, *alone).apart == differ


def test_levels_that_tables_describe_are_not_compared():
    """A level that few have is described: two of them would seem nearly one."""
    tables = table("m", "sex", "stage", "ill"), table("n", "sex", "grade", "also")

    method, _ = prepared(few(people(), "also", 1), *tables)
    assert (method.plan.within.pairs, method.plan.beside.pairs) == ((), ())
    assert countable(method) == ()
    by_itself = table("m", "ill", "ill", "stage")
    held = prepared(few(people(), "also", 1), by_itself, table("n", "also"))
    assert fewest(held[1].apart) == 1


def screen(*outcomes, **fields):
    fields = {"exposures": ("sex",), "terms": ("age",), **fields}
    return Analysis("s", "screen", model="logistic", outcomes=outcomes, **fields)


MORE = (*VARIABLES, category("grade2", "no", "yes"))


def test_a_screen_s_variables_stand_before_a_model():
    columns = people() | {"grade2": people(5)["ill"]}
    method, _ = prepared(columns, screen("ill", "grade2"), SECOND, variables=MORE)

    theirs = {name for _, ((name, _),) in method.plan.beside.pairs}
    assert theirs == {"ill", "grade2"}


@pytest.mark.parametrize("differ", [1, 9, 30])
@pytest.mark.parametrize("first", [FIRST, screen("ill")], ids=lambda one: one.method)
def test_a_screen_is_held_to_earlier_models_and_screens(differ, first):
    """Those of its outcomes too that an earlier one has: its pairs are models."""
    columns = few(people(), "also", *range(differ)) | {"sex": people(9)["sex"]}
    columns["grade2"] = people(5)["ill"]
    for outcomes in (("grade2", "also"), ("also", "ill")):
        second = replace(screen(*outcomes), name="second")
        method, rows = prepared(columns, first, second, variables=MORE)

        assert fewest(rows.apart) == differ
        assert len(rows.apart) == method.plan.beside.counts
        assert counts_people(method)
        told = SealedCount(method).start(rows)
        assert fewest(told["apart"]) == differ
        assert evidence(method.plan, rows).apart == differ


def test_a_screen_counts_whose_terms_are_known():
    columns = few(people(), "also", *range(30)) | {"sex": people(9)["sex"]}
    columns["age"][4:30] = np.nan
    second = replace(screen("also"), name="second")

    assert facts_of(columns, FIRST, second).apart == 4


@pytest.mark.parametrize("broken", ["beyond", "missing"])
def test_of_what_a_site_could_not_answer_it_tells_nobody(broken):
    """The earlier model is refused there by itself; the later one runs."""
    columns = few(people(), "also", 3)
    if broken == "beyond":
        columns["grade"][0] = 7
    else:
        del columns["grade"]
    first = model("m", "ill", "grade")
    second = model("n", "also", "age")

    with pytest.raises((OutOfBounds, ColumnMismatch)):
        prepared(columns, first)
    method, rows = prepared(columns, first, second)
    of_grade = ["grade" in str(pair) for pair in method.plan.beside.pairs]
    counts = rows.apart.reshape(-1, 4)
    assert not counts[of_grade].any()
    assert fewest(rows.apart) == 1  # ill and also


def test_of_a_number_that_a_site_lacks_it_tells_nobody():
    columns = people()
    del columns["ldl"]
    of_ldl = model("m", "ldl", method="linear")
    later = model("n", "ldl_later", method="linear")

    assert prepared(columns, of_ldl, later)[1].apart.tolist() == [0] * 4


def test_pairs_of_one_model_may_be_counted_and_those_of_none_not():
    described = table("t", "stage", "age", "also")
    of_both = model("n", "also", "sex:grade")

    assert countable(prepared(people(), described)[0]) == ()
    assert countable(prepared(people(), FIRST)[0])[0] == "count"
    assert countable(prepared(people(), FIRST, of_both)[0]) == ("count",)


def test_too_many_pairs_are_refused_by_name():
    many = [category(f"c{at}", *map(str, range(30))) for at in range(20)]
    names = [one.name for one in many]
    first, second = model("m", "ill", *names[:10]), model("n", "ill", *names[10:])

    with pytest.raises(InvalidStudy, match=r"n: its variables .* 65536 pairs"):
        prepared(people(), first, second, variables=(*VARIABLES, *many))


def test_as_many_pairs_as_may_be_are_compared(monkeypatch):
    """The outcome, sex, grade and their six products, with stage's three levels."""
    pair = (model("m", "ill", "stage"), model("n", "ill", "sex:grade"))
    monkeypatch.setattr(neighbours, "MOST_PAIRS", (1 + 1 + 3 + 6) * 3)
    assert len(prepared(people(), *pair)[0].plan.beside.pairs) == 33

    monkeypatch.setattr(neighbours, "MOST_PAIRS", 32)
    with pytest.raises(InvalidStudy, match="more than 32 pairs"):
        prepared(people(), *pair)


def test_of_two_levels_the_second_is_a_definition_and_of_three_each():
    method, _ = prepared(people(), model("m", "ill", "sex"), model("n", "ill", "stage"))

    own = [(("ill", 1),), *((("stage", n),) for n in range(3))]
    assert method.plan.beside.pairs == tuple((one, (("sex", 1),)) for one in own)


@pytest.mark.parametrize("differ", [1, 9, 10])
@pytest.mark.parametrize("turned", [False, True])
def test_a_category_is_held_to_the_halves_of_one_of_more_levels(differ, turned):
    """Stages III and IV together are nearly who is late; each alone is far from it."""
    columns = people() | {"four": np.random.default_rng(2).integers(0, 4, N)}
    columns["late"] = (columns["four"] > 1).astype(np.int64)
    columns = few(columns, "late", *range(differ))
    variables = (*VARIABLES, category("four", *"1234"), category("late", "no", "yes"))
    pair = [model(n, "ill", "age", n) for n in ("four", "late")]

    method, rows = prepared(columns, *pair[:: 1 - 2 * turned], variables=variables)
    assert evidence(method.plan, rows).apart == differ
    tables = [table(n, n) for n in ("four", "late")][:: 1 - 2 * turned]
    assert fewest(prepared(columns, *tables, variables=variables)[1].apart) == differ


# --- within one model -----------------------------------------------------------------
def test_within_a_screen_nothing_is_compared_nor_in_a_table_of_one_number():
    screen = Analysis(
        "s", "screen", model="logistic", exposures=("sex",), outcomes=("ill", "also")
    )
    described = table("t", "stage", "age", "also")

    for analysis in (screen, described):
        assert prepared(people(), analysis)[0].plan.within.pairs == ()


@pytest.mark.parametrize("differ", [1, 9, 10])
def test_a_model_of_two_variables_that_are_nearly_one_is_refused(differ):
    """The outcome less the category is the few's alone, in the model's own sums."""
    columns = few(people(), "also", *range(differ))
    facts = facts_of(columns, model("m", "ill", "age", "also"))

    assert facts.nearest == differ
    is_few = differ < STRICT.cell
    asked = [(None, False), (STRICT.cell - 1, False), (STRICT.cell, True)]
    for counted, alone in asked:  # a sealed count of so many is enough over all sites
        with raised_if(is_few, "two variables of an analysis differ"):
            check_pairs(facts, STRICT, "aa", counted, alone=alone)
    check_pairs(facts, STRICT, "aa", STRICT.cell, alone=False)


@pytest.mark.parametrize("have", [1, 9, 10])
@pytest.mark.parametrize("most", [0, 3])
def test_a_number_of_which_few_people_have_another_value_is_refused(have, most):
    """Its sums are these people's: the model of a count has no fewest events."""
    columns = people() | {"sex": people(9)["sex"]}
    columns["ldl"] = np.full(N, most)
    columns["ldl"][:have] += 1
    counts = model("m", "ldl", "age", "sex", method="poisson")

    facts = facts_of(columns, counts)
    assert facts.nearest == have
    with raised_if(have < STRICT.cell, "two variables of an analysis differ"):
        check_pairs(facts, STRICT, "aa", None, alone=False)


@pytest.mark.parametrize("have", [1, 9, 10])
@pytest.mark.parametrize("field", ["weights", "start"])
def test_a_curve_that_few_weigh_or_enter_otherwise_in_is_refused(field, have):
    """Beside the same curve without, it tells of each of them when they left."""
    columns = people()
    columns["dose"] = np.full(N, 1.0 if field == "weights" else 0.0)
    columns["dose"][:have] += 100
    late = replace(curve("n", "ill"), **{field: "dose"})
    columns["ldl"] = columns["ldl"].clip(101, 199)

    with_dose = (*VARIABLES, number("dose", 0, 200))
    method, rows = prepared(columns, late, variables=with_dose)
    facts = evidence(method.plan, rows)
    assert facts.nearest == have
    with raised_if(have < STRICT.cell, "two variables of an analysis differ"):
        check_pairs(facts, STRICT, "aa", None, alone=False)


def test_levels_of_one_variable_and_a_product_with_its_parts_are_no_two_variables():
    columns = people()
    columns["stage"][:] = np.arange(N) % 2
    columns["stage"][:6] = 2
    _, rows = prepared(columns, model("m", "ill", "stage", "sex:grade"))

    assert fewest(rows.within) > 50


# --- a whole run ----------------------------------------------------------------------
def made(folder, differ, sites=SITES, analyses=(FIRST, SECOND), **plan):
    """Return a federation where so many people at each site have one outcome alone."""
    study = toy_study(analyses, sites=sites, **plan.pop("fields", {}))
    doses = [column(name, kind="number", bounds=(0, 9)) for name in ("dose", "later")]
    more = (flat_category("also", "no", "yes"), *doses)
    study = replace(study, variables=(*study.variables, *more))
    federation = Federation(folder, Plan(study=study, **plan))
    header, *lines = federation.patients.read_text().splitlines()
    left = dict(zip(sites, differ, strict=True))
    out = [f"{header},also,dose,later"]
    for at, line in enumerate(lines):
        where, *_, ill = line.split(",")
        left[where] -= 1
        also = {"yes": "no", "no": "yes"}[ill] if left[where] >= 0 else ill
        out.append(f"{line},{also},{at % 7},{at % 7 + (also != ill)}")
    federation.patients.write_text("\n".join(out) + "\n")
    return federation


def opened(federation, analysis):
    """Return the rounds of which a hub told its sum."""
    waiting = [hub.waiting("coordinator", 0).items for hub in federation.hubs.values()]
    headers = [parse_envelope(data).header for items in waiting for _, data in items]
    told = {h.task for h in headers if h.kind == "total" and h.analysis == analysis}
    return sorted(task for task in told if task[-1].isdigit())


@pytest.mark.parametrize("differ", [(1, 0, 0), (3, 3, 3)])
def test_of_two_outcomes_that_few_have_alone_the_second_never_leaves(tmp_path, differ):
    with made(tmp_path, differ) as federation:
        with pytest.raises(SmallCell, match="over all sites"):
            federation.run()

        assert opened(federation, "first")[-1] == "first/1/3"
        assert not opened(federation, "second")
        assert "second/2/count" in shares_of(federation)


@pytest.mark.parametrize("differ", [(0, 0, 0), (30, 0, 10), (4, 4, 4), (2, 0, 9)])
def test_outcomes_that_enough_people_or_nobody_tells_apart_run_as_before(
    tmp_path, differ
):
    """Four at each site, few at each, are twelve over all."""
    loose = dict.fromkeys(SITES, NO_LIMIT)
    with made(tmp_path / "held", differ) as federation:
        ran = federation.run()
    with made(tmp_path / "free", differ, policies=loose) as federation:
        free = federation.run()

    is_counted = any(0 < n < STRICT.cell for n in differ)
    tasks = [one.task for one in ran.outcome.counts if one.task.endswith("count")]
    assert tasks == (["second/2/count"] if is_counted else [])
    for held, before in zip(ran.outcome.answers, free.outcome.answers, strict=True):
        assert held.finding.as_json() == before.finding.as_json()
    for data in (ran.certificate, published(ran.certificate)):
        assert verify_certificate(data).steps
        assert verify(data)
    assert recompute(ran.value).startswith("2 findings follow")
    for round_ in ran.body["rounds"]:
        for receipt in round_["receipts"].values():
            said = receipt["body"]["checks"]
            is_after = is_counted and round_["analysis"] == "second"
            assert (said["passed"].get(NAME) == Minimum().cell) == is_after


TABLES = (table("first", "ill"), table("second", "also"))


@pytest.mark.parametrize("differ", [(1, 0, 0), (3, 3, 3)])
def test_of_two_tables_whose_groups_differ_for_few_the_second_never_leaves(
    tmp_path, differ
):
    with made(tmp_path, differ, analyses=TABLES) as federation:
        with pytest.raises(SmallCell, match="over all sites"):
            federation.run()

        assert opened(federation, "first") == ["first/1/0"]
        assert not opened(federation, "second")
        assert "second/2/count" in shares_of(federation)


def test_tables_whose_groups_differ_for_enough_run_as_before(tmp_path):
    loose = dict.fromkeys(SITES, NO_LIMIT)
    more = (*TABLES, replace(FIRST, name="m"))
    with made(tmp_path / "held", (4, 4, 4), analyses=more) as federation:
        ran = federation.run()
    with made(
        tmp_path / "free", (4, 4, 4), analyses=more, policies=loose
    ) as federation:
        free = federation.run()

    tasks = [one.task for one in ran.outcome.counts if one.task.endswith("count")]
    assert tasks == ["second/2/count", "m/1/count"]
    for held, before in zip(ran.outcome.answers, free.outcome.answers, strict=True):
        assert held.finding.as_json() == before.finding.as_json()
    assert recompute(ran.value).startswith("3 findings follow")
    assert verify(published(ran.certificate))


BOTH = model("m", "dose", "ill", "also", "age", method="linear")


def test_two_variables_that_few_differ_in_at_each_site_and_enough_over_all_run(
    tmp_path,
):
    """As a disease and its drug: a site refuses, and hubs find that it is nothing."""
    another = replace(BOTH, name="n", terms=(*BOTH.terms, "sex"))
    with made(tmp_path, (4, 4, 4), analyses=(BOTH, another)) as federation:
        ran = federation.run()

    counts = [one.task for one in ran.outcome.counts if one.task.endswith("count")]
    assert counts == ["m/2/count", "n/1/count"]  # one refusal for the whole run
    assert recompute(ran.value)
    assert verify(ran.certificate)


class Broken(Exception):
    """The coordinator's process ends here."""


def test_a_run_broken_off_while_it_asks_again_with_a_count_goes_on(tmp_path):
    """Wherever it is: what sites refused is not asked again without the count."""
    analyses = (BOTH, replace(BOTH, name="n", terms=(*BOTH.terms, "sex")))
    said: list[str] = []
    with made(tmp_path / "whole", (4, 4, 4), analyses=analyses) as federation:
        federation.plan.say = said.append
        whole = federation.run()
    steps = [one for one in said if one.startswith(("m: ", "n: "))]
    again = steps.index("m: round 1, 3 sites", steps.index("m: round 1, 3 sites") + 1)

    for at in range(1, again + 2):
        with made(tmp_path / f"{at}", (4, 4, 4), analyses=analyses) as federation:
            left = iter(range(at))

            def say(text, left=left):
                if text.startswith(("m: ", "n: ")) and next(left, None) is None:
                    raise Broken

            federation.plan.say = say
            with pytest.raises(Broken):
                federation.run()
            federation.plan.say = lambda _: None
            ran = federation.run()

        assert [one.task for one in ran.outcome.counts] == [
            one.task for one in whole.outcome.counts
        ]
        for one, other in zip(ran.outcome.answers, whole.outcome.answers, strict=True):
            assert one.finding.as_json() == other.finding.as_json()
        assert recompute(ran.value)


@pytest.mark.parametrize("differ", [(3, 3, 3), (0, 4, 4)])
def test_two_variables_of_a_model_that_few_differ_in_over_all_are_refused(
    tmp_path, differ
):
    with made(tmp_path, differ, analyses=(BOTH,)) as federation:
        with pytest.raises(SmallCell, match="over all sites"):
            federation.run()

        headers = [parse_envelope(data).header for data in federation.carried]
        shares = {(h.task, h.sender) for h in headers if h.kind == "share"}
        sent = {site for task, site in shares if task[-1].isdigit()}
        assert sent <= {s for s, n in zip(SITES, differ, strict=True) if not n}
        assert "m/2/count" in {task for task, _ in shares}


def test_two_sites_hold_two_variables_of_a_model_by_themselves(tmp_path):
    two = {"sites": ("a", "b"), "fields": {"minimum": Minimum(sites=2)}}
    with (
        made(tmp_path, (6, 30), analyses=(BOTH,), **two) as federation,
        pytest.raises(Stopped, match="at a two variables of an analysis differ"),
    ):
        federation.run()


def test_two_sites_hold_their_own_people_to_it(tmp_path):
    """With two sites each reads the other's part, so that each looks by itself."""
    doses = [model(n, n, "age", "sex", method="linear") for n in ("dose", "later")]
    two = {"sites": ("a", "b"), "fields": {"minimum": Minimum(sites=2)}}
    two["analyses"] = tuple(doses)
    with (
        made(tmp_path, (6, 30), **two) as federation,
        pytest.raises(Stopped, match="at a an analysis differs from an earlier one"),
    ):
        federation.run()


def test_a_certificate_without_a_count_that_its_releases_name_is_refused(tmp_path):
    with made(tmp_path, (4, 4, 4)) as federation:
        ran = federation.run()
    body = dict(ran.body)
    body[FIELD] = [one for one in body[FIELD] if not one["task"].endswith("count")]
    study = ran.outcome.study

    with pytest.raises(Unverified, match="nobody was counted, sealed, before second"):
        certify._check_counted(body, study)

    certify._check_counted(ran.body, study)
