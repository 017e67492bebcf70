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
