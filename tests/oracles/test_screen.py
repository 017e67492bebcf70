"""Each pair of a screen = statsmodels on the pooled rows."""

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm

from hetao.analysis import oracle
from hetao.study import Analysis
from support_analysis import LOOSE, STUDY, people, split
from support_exactness import note

pytestmark = pytest.mark.held_to("statsmodels GLM", "made up")
LOOSELY = replace(STUDY, minimum=LOOSE)
SHARED = {"exposures": ("treated", "chol"), "terms": ("age", "sex")}
SCREENS = {
    "logistic": Analysis(
        "s", "screen", model="logistic", outcomes=("ill", "died"), **SHARED
    ),
    "poisson": Analysis(
        "s", "screen", model="poisson", outcomes=("visits", "falls"), **SHARED
    ),
}
FAMILIES = {"logistic": sm.families.Binomial(), "poisson": sm.families.Poisson()}


@pytest.mark.parametrize("model", SCREENS)
def test_every_pair_is_the_regression_of_pooled_rows(model):
    columns = people(6, 900)

    found = oracle(LOOSELY, SCREENS[model], split(columns, (0.3, 0.6))).as_json()

    known = ~np.isnan(columns["age"])
    assert len(found["pairs"]) == 4
    for pair in found["pairs"]:
        names = (pair["exposure"], "age", "sex")
        X = sm.add_constant(np.column_stack([columns[n][known] for n in names]))
        fit = sm.GLM(columns[pair["outcome"]][known], X, FAMILIES[model]).fit(
            tol=1e-14, maxiter=99, tol_criterion="params"
        )
        away = abs(pair["estimate"] - fit.params[1]) / fit.bse[1]
        se_away = abs(pair["se"] / fit.bse[1] - 1)
        assert away < 1e-9
        assert se_away < 1e-8
        note("screen", estimate=float(away), se=float(se_away))
