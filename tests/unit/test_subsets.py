"""The parts within parts that findings count, as a site's memory is told of them."""

import numpy as np
import pytest

from hetao.analysis import estimator_for, make_rows, subsets
from hetao.study import Analysis
from support_analysis import category, number, study_of


def parts_of(analysis, variables, columns):
    method = estimator_for(study_of(variables, analysis), analysis)
    rows = make_rows(method.plan, columns, "aa")
    return {label: int(chosen.sum()) for label, chosen in subsets(method.plan, rows)}


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
OF_PERIODS = Analysis("m", "indicators", outcome="ill", by="sex")


@pytest.mark.parametrize(
    ("analysis", "expected"),
    [
        (
            OF_RATES,
            {"f young": 10, "f old": 10, "m young, with the event": 5},
        ),
        (OF_CURVES, {"f, with the event": 15, "m, with the event": 15}),
        (OF_PERIODS, {"f, with the event": 15}),
    ],
    ids=["rates", "logrank", "indicators"],
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
