"""Effects by strata of the score = statsmodels on strata cut from pooled scores."""

import numpy as np
import pytest
import statsmodels.api as sm

from hetao.analysis import oracle
from hetao.study import Analysis
from support_analysis import STUDY, distance, people, split

pytestmark = pytest.mark.held_to("statsmodels", "made up")

CUTS = (0.05, 0.3, 0.31)
BINS = 1024


def complete(seed, n=1200):
    columns = people(seed, n)
    keep = ~np.isnan(columns["age"])
    columns = {name: array[keep] for name, array in columns.items()}
    Z = np.column_stack([columns["age"], columns["sex"] == 1, np.log(columns["chol"])])
    Z = (Z - Z.mean(axis=0)) / Z.std(axis=0)
    A = columns["treated"]
    fit = sm.Logit(A, sm.add_constant(Z)).fit(disp=False, tol=1e-12, method="newton")
    return columns, A, fit.predict()


def strata_of(score, chosen, size):
    """Return each person's stratum, ends at the bin edges next above the quantiles."""
    order = np.sort(score[chosen])
    wanted = np.ceil(len(order) * np.arange(1, size) / size).astype(int) - 1
    ends = (np.floor(order[wanted] * BINS) + 1) / BINS
    return np.searchsorted(ends, score, side="right"), ends


def asked(outcome, estimand="ATE", subclasses=5):
    return Analysis(
        "effect",
        "ps_strata",
        outcome=outcome,
        treatment="treated",
        terms=("age", "sex", "log(chol)"),
        estimand=estimand,
        subclasses=subclasses,
    )


@pytest.mark.parametrize(("estimand", "subclasses"), [("ATE", 5), ("ATT", 6)])
@pytest.mark.parametrize("outcome", ["ill", "score"])
def test_strata_of_the_score_are_statsmodels_on_pooled_rows(
    outcome, estimand, subclasses
):
    columns, A, score = complete(21)
    y = columns[outcome].astype(float)
    chosen = A == 1 if estimand == "ATT" else np.ones(len(A), dtype=bool)
    stratum, ends = strata_of(score, chosen, subclasses)
    estimates, variances, shares, tables = [], [], [], []
    for i in range(subclasses):
        here = stratum == i
        arms = [y[here & (arm == A)] for arm in (1, 0)]
        compared = sm.stats.CompareMeans.from_data(*arms)
        estimates.append(arms[0].mean() - arms[1].mean())
        variances.append(compared.std_meandiff_separatevar**2)
        shares.append((here & chosen).sum() if estimand == "ATE" else len(arms[0]))
        tables.append([[arm.sum(), len(arm) - arm.sum()] for arm in arms])
    share = np.array(shares) / np.sum(shares)
    wanted = [np.array(estimates) @ share]
    errors = [np.sqrt(np.array(variances) @ share**2)]
    if outcome == "ill":
        pooled = sm.stats.StratifiedTable([np.array(table) for table in tables])
        wanted += [np.log(pooled.riskratio_pooled), pooled.logodds_pooled]
        errors += [greenland_robins(tables), pooled.logodds_pooled_se]

    finding = oracle(STUDY, asked(outcome, estimand, subclasses), split(columns, CUTS))

    away, se_away = distance(finding, wanted, errors)
    assert away < 1e-9
    assert se_away < 1e-9
    answer = finding.as_json()
    assert [one["to"] for one in answer["strata"][:-1]] == ends.tolist()
    assert answer["rounds"] <= 8
    for i, one in enumerate(answer["strata"]):
        assert one["n"] == [int(((stratum == i) & (arm == A)).sum()) for arm in (0, 1)]
        assert one["difference"] == pytest.approx(estimates[i], rel=1e-8)


def greenland_robins(tables):
    """Return the standard error of the log of Mantel and Haenszel's risk ratio."""
    up = down = top = 0.0
    for (a, b), (c, d) in tables:
        n1, n0, n = a + b, c + d, a + b + c + d
        top += (n1 * n0 * (a + c) - a * c * n) / n**2
        up, down = up + a * n0 / n, down + c * n1 / n
    return np.sqrt(top / (up * down))


def test_strata_balance_what_the_score_holds():
    columns, A, score = complete(22)

    rows = oracle(STUDY, asked("ill"), split(columns, CUTS)).as_json()["balance"]

    by_name = {row["name"]: row for row in rows}
    stratum, _ = strata_of(score, np.ones(len(A), dtype=bool), 5)
    age = columns["age"]
    spread = np.sqrt((age[A == 1].var(ddof=1) + age[A == 0].var(ddof=1)) / 2)
    gaps = [
        age[(A == 1) & (stratum == i)].mean() - age[(A == 0) & (stratum == i)].mean()
        for i in range(5)
    ]
    share = np.bincount(stratum) / len(A)
    assert by_name["age"]["after"] == pytest.approx(share @ gaps / spread, rel=1e-8)
    assert abs(by_name["age"]["after"]) < abs(by_name["age"]["before"]) / 3
