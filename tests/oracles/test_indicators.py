"""Indicators over time are the pooled rows' own; who came again is no new person."""

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.stats.proportion import proportion_confint

from hetao.analysis import oracle
from hetao.errors import NotEstimable, OutOfBounds
from hetao.study import Analysis, Level, Variable
from support_analysis import study_of
from support_exactness import note, note_parts

pytestmark = pytest.mark.held_to("statsmodels", "made up")

PERIODS = tuple(
    f"{year} Q{quarter}" for year in (2023, 2024) for quarter in (1, 2, 3, 4)
)
LEVELS = tuple(Level(name, i) for i, name in enumerate(PERIODS))
VARIABLES = (
    Variable("patient", "key", "column", column="patient"),
    Variable("quarter", "category", "column", column="quarter", levels=LEVELS),
    Variable(
        "controlled",
        "category",
        "column",
        column="controlled",
        levels=(Level("no", 0), Level("yes", 1)),
    ),
    Variable("hba1c", "number", "column", column="hba1c", bounds=(20.0, 200.0)),
)
LONG = {"by": "quarter", "person": "patient", "most_rows": len(PERIODS)}
SHARE = Analysis("share", "indicators", outcome="controlled", **LONG)
MEAN = Analysis("mean", "indicators", outcome="hba1c", **LONG)
STUDY = study_of(VARIABLES, SHARE, MEAN)


def visits(seed=3, n=300):
    """Return columns of people seen in some of eight quarters, much alike each time."""
    rng = np.random.default_rng(seed)
    own = rng.normal(0, 12, n)
    patient, quarter = np.nonzero(rng.random((n, len(PERIODS))) < 0.7)
    hba1c = 60 - 0.8 * quarter + own[patient] + rng.normal(0, 5, len(patient))
    hba1c = hba1c.clip(20, 200)
    return {
        "patient": patient.astype(np.int64),
        "quarter": quarter.astype(np.int64),
        "controlled": (hba1c < 58).astype(np.int64),
        "hba1c": hba1c,
    }


def found(analysis, columns, sites=3):
    """Return the finding over sites; a person's rows stay at one of them."""
    at = columns["patient"] % sites
    parts = {
        STUDY.sites[i]: {name: values[at == i] for name, values in columns.items()}
        for i in range(sites)
    }
    return oracle(STUDY, analysis, parts).payload


@pytest.mark.parametrize("analysis", [SHARE, MEAN], ids=lambda a: a.name)
def test_the_trend_is_least_squares_with_a_variance_by_person(analysis):
    columns = visits()

    trend = found(analysis, columns)["trend"]
    design = sm.add_constant(columns["quarter"].astype(float))
    y = columns[analysis.outcome].astype(float)
    fitted = sm.OLS(y, design).fit(
        cov_type="cluster",
        cov_kwds={"groups": columns["patient"], "use_correction": False},
    )
    assert trend["estimate"] == pytest.approx(fitted.params[1], rel=1e-10)
    assert trend["se"] == pytest.approx(fitted.bse[1], rel=1e-9)
    assert trend["p"] == pytest.approx(fitted.pvalues[1], rel=1e-6)
    away = abs(trend["estimate"] - fitted.params[1]) / fitted.bse[1]
    se_away = abs(trend["se"] / fitted.bse[1] - 1)
    note("indicators", estimate=float(away), se=float(se_away))
    alone = sm.OLS(y, design).fit(cov_type="HC0").bse[1]
    assert abs(alone / trend["se"] - 1) > 0.05  # who came again is no new person


def test_shares_and_means_have_the_limits_of_each_period():
    columns = visits()

    shares, means = (found(a, columns)["periods"] for a in (SHARE, MEAN))
    for place in range(len(PERIODS)):
        here = columns["quarter"] == place
        n, events = int(here.sum()), int(columns["controlled"][here].sum())
        share, mean = shares[place], means[place]
        assert (share["n"], share["events"]) == (n, events)
        wilson = proportion_confint(events, n, method="wilson")
        assert (share["lower"], share["upper"]) == pytest.approx(wilson, rel=1e-12)
        note_parts("indicators", [share["lower"], share["upper"]], wilson)
        values = columns["hba1c"][here]
        se = values.std(ddof=1) / np.sqrt(n)
        assert mean["value"] == pytest.approx(values.mean(), rel=1e-12)
        note_parts("indicators", mean["value"], values.mean())
        assert mean["upper"] - mean["value"] == pytest.approx(1.959964 * se, rel=1e-6)
        p = columns["controlled"].mean()
        wide = 3 * np.sqrt(p * (1 - p) / n)
        assert share["control_high"] == pytest.approx(min(p + wide, 1), rel=1e-12)


def test_one_site_or_many_say_the_same():
    columns = visits()

    one, three = (found(MEAN, columns, sites)["trend"] for sites in (1, 3))
    assert three == pytest.approx(one, rel=1e-12)


def test_two_rows_of_one_person_in_a_period_are_refused():
    columns = {name: values.copy() for name, values in visits().items()}
    columns["quarter"][:2] = columns["quarter"][0]
    columns["patient"][:2] = columns["patient"][0]

    with pytest.raises(OutOfBounds, match="two rows of one person"):
        found(SHARE, columns)


def test_one_period_has_no_trend_and_nobody_no_finding():
    columns = visits()
    first = {name: v[columns["quarter"] == 0] for name, v in columns.items()}

    assert found(SHARE, first)["trend"] is None
    with pytest.raises(NotEstimable, match="nobody"):
        found(SHARE, {name: values[:0] for name, values in columns.items()})
