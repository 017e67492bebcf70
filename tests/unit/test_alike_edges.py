"""What nearly all people of a site have alike, where a little more would not be."""

import numpy as np
import pytest

from hetao.analysis.alike import FEW, SHARE, SPREAD
from hetao.study import Analysis
from support_analysis import number, rows_of, study_of

VARIABLES = (number("code", -10, 10), number("age", 0, 100), number("y", 0, 10))


def told(*terms, **columns):
    """Return whether people tell their site, and cross it."""
    analysis = Analysis("m", "linear", outcome="y", terms=("1", *terms))
    study = study_of(VARIABLES, analysis)
    n = len(columns["code"])
    draw = np.random.default_rng(3)
    others = {"age": draw.uniform(20, 90, n), "y": draw.uniform(1, 9, n)}
    _, rows = rows_of(study, analysis, others | columns)
    return rows.tells_site, rows.crosses_site


def test_what_is_nearly_alike_does_not_meet_itself():
    """One code and no other part of a column: it tells the site and crosses nothing."""
    code = 1 + 1e-6 * np.arange(400)

    assert told("code+1", "age", code=code) == (True, False)
    assert told("code:age", "age", code=code) == (True, True)


@pytest.mark.parametrize(("n", "seed"), [(200, 0), (400, 2), (3000, 73), (5000, 70)])
def test_those_left_out_are_the_furthest_and_no_other(n, seed):
    values = np.random.default_rng(seed).normal(size=n)
    away = np.sort(np.abs(values - np.median(values)))[: -max(FEW, int(SHARE * n))]
    scale = SPREAD * 20 / np.sqrt(np.mean(away**2))  # of a range from -10 to 10

    for factor, tells in ((1 - 1e-6, True), (1 + 1e-6, False)):
        assert told("code", "age", code=values * scale * factor) == (tells, False)


def test_what_is_alike_is_so_in_any_unit():
    """The square of what people differ by would be no finite number."""
    code = 1 + 1e-6 * np.random.default_rng(1).normal(size=400)

    assert told("1e200*code*age*1e-200", "age", code=code) == (True, True)


def test_an_offset_that_all_have_alike_is_held_to_its_whole_range():
    """From -10 to 10: were it held to their sum, nothing would be alike."""
    analysis = Analysis("m", "poisson", outcome="y", terms=("1", "age"), offset="code")
    study = study_of(VARIABLES, analysis)
    draw = np.random.default_rng(3)
    columns = {
        "age": draw.uniform(20, 90, 400),
        "y": draw.integers(1, 9, 400).astype(float),
        "code": 1 + 1e-6 * np.arange(400),
    }

    _, rows = rows_of(study, analysis, columns)

    assert (rows.tells_site, rows.crosses_site) == (True, True)
