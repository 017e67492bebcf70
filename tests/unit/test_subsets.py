"""The parts within parts that findings count, as a site's memory is told of them."""

import numpy as np
import pytest

from hetao.analysis import estimator_for, make_rows, subsets
from hetao.study import Analysis, Grid
from support_analysis import category, number, study_of


def parts_of(analysis, variables, columns):
    method = estimator_for(study_of(variables, analysis), analysis)
    rows = make_rows(method.plan, columns, "aa")
    found = list(subsets(method.plan, rows))
    named = {name: int(chosen.sum()) for name, chosen in found}
    assert len(named) == len(found)
    return named


SEX, ILL, BAND = category("sex", "f", "m"), category("ill", "no", "yes"), "band"
PEOPLE = {
    "sex": np.repeat([0, 1], 20),
    "ill": np.tile([0, 1, 1, 1], 10),
    "band": np.tile([0, 1], 20),
    "days": np.linspace(1, 99, 40),
}
OF_RATES = Analysis("m", "rates", time="days", event="ill", by="sex", strata=("band",))
OF_CURVES = Analysis(
    "m", "logrank", time="days", event="ill", by="sex", strata=("site",)
)
OF_STRATA = Analysis(
    "m",
    "logrank",
    time="days",
    event="ill",
    by="sex",
    strata=("band",),
    grid=Grid((25.0, 50.0, 75.0, 100.0)),
)
F, M, EVENT, OUTCOME = "group 0 f", "group 1 m", "with the event", "with the outcome"
OF_PERIODS = Analysis("m", "indicators", outcome="ill", by="sex")


@pytest.mark.parametrize(
    ("analysis", "expected"),
    [
        (
            OF_RATES,
            {
                (F, "stratum 0 young"): 10,
                (F, "stratum 1 old"): 10,
                (M, "stratum 0 young", OUTCOME): 5,
                (M, OUTCOME): 15,
                ("stratum 0 young", OUTCOME): 10,
            },
        ),
        (OF_CURVES, {(F, EVENT): 15, (M, EVENT): 15}),
        (
            OF_STRATA,
            {
                (F, EVENT): 15,
                (M, EVENT): 15,
                ("stratum 0 young", EVENT): 10,
                ("stratum 1 old", EVENT): 20,
                (M, "stratum 1 old", EVENT): 10,
            },
        ),
        (OF_PERIODS, {(F, OUTCOME): 15}),
    ],
    ids=["rates", "logrank", "logrank of strata", "indicators"],
)
def test_what_a_finding_counts_within_groups_and_strata_is_a_set_of_its_own(
    analysis, expected
):
    variables = (SEX, ILL, category(BAND, "young", "old"), number("days", 0, 100))

    found = parts_of(analysis, variables, PEOPLE)

    assert expected.items() <= found.items()


def test_columns_of_a_design_are_not_crossed():
    """No finding counts them: what their sums give is said in the threats."""
    model = Analysis("m", "logistic", outcome="ill", terms=("1", "sex", "band"))
    variables = (SEX, ILL, category(BAND, "young", "old"))

    found = parts_of(model, variables, PEOPLE)

    assert len(found) == 3
    assert max(found.values()) == 30


def test_no_two_parts_have_one_name_however_a_study_words_its_levels():
    """Free text: a label that reads as another one's would hide it from the memory."""
    sex = category("sex", "f", "f, with the event")
    band = category("band", "young, with the event", "with the event")
    table = Analysis("m", "table1", variables=("ill", "band"), by="sex")

    found = parts_of(table, (sex, ILL, band), PEOPLE)

    assert len(found) == 2 + 3 + 3 + 2 * (3 + 3)


# --- whose rows each part is ----------------------------------------------------------
SEVEN = {
    "sex": np.array([0, 0, 0, 0, 1, 1, 2]),
    "ill": np.array([0, 1, -1, 0, 1, 1, 0]),
    "band": np.array([0, 0, 0, 0, 0, 1, 1]),
    "dose": np.array([5.0, 0.0, 1.0, np.nan, 2.0, 3.0, np.nan]),
    "days": np.array([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0]),
}
THREE = category("sex", "f", "m", "x")
OF_SEVEN = (
    THREE,
    ILL,
    category(BAND, "young", "old"),
    number("dose", 0, 9),
    number("days", 0, 100),
)


OF_BANDS = Analysis("m", "rates", time="days", event="ill", strata=("band",))


def whose(analysis, columns=SEVEN):
    """Return the name of each part and who of seven people is in it."""
    method = estimator_for(study_of(OF_SEVEN, analysis), analysis)
    rows = make_rows(method.plan, columns, "aa")
    return {
        name: set(np.flatnonzero(chosen).tolist())
        for name, chosen in subsets(method.plan, rows)
    }


def test_of_a_table_each_level_is_whose_it_is_and_nobody_unknown_is_known():
    found = whose(Analysis("t", "table1", variables=("ill", "dose")))

    assert found == {
        ("group 0 All",): set(range(7)),
        ("level 0 of ill", "no"): {0, 3, 6},
        ("level 1 of ill", "yes"): {1, 4, 5},
        ("known ill",): {0, 1, 3, 4, 5, 6},
        ("known dose",): {0, 1, 2, 4, 5},
    }


def test_of_groups_each_is_its_own_and_so_is_what_is_described_within_it():
    found = whose(Analysis("t", "table1", variables=("ill",), by="sex"))

    assert found["group 0 f",] == {0, 1, 2, 3}
    assert found["group 1 m",] == {4, 5}
    assert found["group 2 x",] == {6}
    assert found["group 1 m", "known ill"] == {4, 5}
    assert found["group 0 f", "level 0 of ill", "no"] == {0, 3}
    assert not [name for name in found if name[0].startswith("stratum")]


def test_two_strata_are_apart_and_crossed_with_groups():
    known = {name: np.delete(values, 2) for name, values in SEVEN.items()}

    found = whose(OF_BANDS, known)

    assert found["stratum 0 young",] == {0, 1, 2, 3}
    assert found["stratum 1 old",] == {4, 5}
    assert found["stratum 0 young", OUTCOME] == {1, 3}


def test_of_an_outcome_that_is_a_number_nobody_has_it():
    """Whether it lies above nought is told by no sum."""
    known = {name: np.delete(values, [2, 3, 6]) for name, values in SEVEN.items()}

    found = whose(Analysis("m", "linear", outcome="dose", terms=("1", "ill")), known)

    assert set(found) == {("column 1 ill[yes]",)}


@pytest.mark.parametrize(
    ("ill", "rarer"),
    [
        ([0, 0, 1, 1, 1, 1, 1], {0, 1}),
        ([1, 1, 0, 0, 0, 0, 0], {0, 1}),
        ([1, 1, 1, 0, 0, 0, 0], {0, 1, 2}),
        ([0, 0, 0, 1, 1, 1, 1], {0, 1, 2}),
    ],
)
def test_of_a_column_of_two_values_the_rarer_is_a_part(ill, rarer):
    columns = SEVEN | {"ill": np.array(ill), "dose": np.arange(7.0)}

    found = whose(Analysis("m", "linear", outcome="dose", terms=("1", "ill")), columns)

    assert list(found.values()) == [rarer]


def test_of_as_many_of_either_value_those_with_the_greater_are_a_part():
    columns = {name: values[:6] for name, values in SEVEN.items()}
    columns |= {"ill": np.array([1, 0, 1, 0, 0, 1]), "dose": np.arange(6.0)}

    found = whose(Analysis("m", "linear", outcome="dose", terms=("1", "ill")), columns)

    assert list(found.values()) == [{0, 2, 5}]
