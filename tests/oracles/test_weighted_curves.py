"""Weighted curves and tests of 18 centres = R's survfit and coxph on pooled rows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hetao.analysis import oracle
from hetao.study import Analysis, Grid
from support_analysis import (
    LOOSE,
    category,
    columns_of,
    from_r,
    note,
    number,
    study_of,
)
from support_exactness import note_parts

pytestmark = pytest.mark.held_to("R survival survfit", "NCCTG lung")

SCRIPT = Path(__file__).parent / "weighted_curves.R"
LUNG = (
    number("time", 0, 1100, unit="d"),
    category("died", "no", "yes"),
    category("sex", "female", "male"),
    category("ecog", "e0", "e1", "e2"),
    number("share", 0, 4),
)
GRIDS = {
    "time": Grid(tuple(float(day) for day in range(1, 1101))),
    "month": Grid(tuple(28.0 * month for month in range(1, 41))),
}


def federated(**said):
    analysis = Analysis("a", time="time", event="died", weights="share", **said)
    parts, sites = columns_of("lung", LUNG, SCRIPT)
    study = replace(study_of(LUNG, analysis, sites=sites), minimum=LOOSE)
    return oracle(study, analysis, parts).as_json()


@pytest.mark.parametrize("conf_type", ["log", "log-log", "plain"])
@pytest.mark.parametrize("by", ["sex", "ecog"])
@pytest.mark.parametrize("at", GRIDS)
def test_weighted_curves_are_r_on_pooled_rows(at, by, conf_type):
    found = federated(method="km", by=by, grid=GRIDS[at], conf_type=conf_type)

    rows = [
        row
        for row in from_r(SCRIPT)["curves"]
        if (row["at"], row["by"], row["type"]) == (at, by, conf_type)
    ]
    for curve in found["curves"]:
        mine = [row for row in rows if row["stratum"] == curve["stratum"]]
        assert curve["time"] == [float(row["time"]) for row in mine]
        for key in ("survival", "se", "lower", "upper", "cumhaz", "cumhaz_se"):
            wanted = [np.nan if r[key] == "NA" else float(r[key]) for r in mine]
            ours = np.array(curve[key], dtype=float)
            known = ~np.isnan(ours)  # R gives an error of a survival of 0, we none
            assert known[:-1].all()
            np.testing.assert_allclose(
                ours[known], np.array(wanted)[known], rtol=1e-9, err_msg=key
            )
            note_parts("km", ours[known], np.array(wanted)[known])


def test_weighted_restricted_means_are_those_of_influence_in_r():
    found = federated(method="km", by="sex", grid=GRIDS["month"], horizon=350.0)

    rows = from_r(SCRIPT)["means"]
    mean, se = (
        np.array(
            [[one[key] for one in side] for side in (found["curves"], rows)], float
        )
        for key in ("rmst", "rmst_se")
    )
    away = np.max(np.abs(mean[0] - mean[1]) / se[1])
    se_away = np.max(np.abs(se[0] / se[1] - 1))
    note("km", 1, float(away), float(se_away), sites=18)
    assert away < 1e-9
    assert se_away < 1e-9


@pytest.mark.held_to("R survival coxph, robust score", "NCCTG lung")
@pytest.mark.parametrize(
    ("name", "by", "strata"),
    [("sex_site", "sex", ()), ("ecog_two", "ecog", ("sex",))],
)
def test_a_weighted_log_rank_test_is_r_s_robust_score_test(name, by, strata):
    found = federated(method="logrank", by=by, strata=("site", *strata))

    row = next(row for row in from_r(SCRIPT)["tests"] if row["test"] == name)
    assert found["chi2"] == pytest.approx(float(row["chi2"]), rel=1e-9)
    note_parts("logrank", found["chi2"], float(row["chi2"]))
    assert found["df"] == int(row["df"])


@pytest.mark.held_to("R survival coxph, robust score", "NCCTG lung")
@pytest.mark.parametrize("by", ["sex", "ecog"])
def test_a_weighted_test_on_a_grid_is_r_s_robust_score_test(by):
    found = federated(method="km", by=by, grid=GRIDS["month"])["logrank"]

    row = next(row for row in from_r(SCRIPT)["tests"] if row["test"] == f"{by}_month")
    assert found["chi2"] == pytest.approx(float(row["chi2"]), rel=1e-9)
    note_parts("km", found["chi2"], float(row["chi2"]))
