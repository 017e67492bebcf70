"""Weighted curves and tests: what guards them, what is refused, what is shown."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import hetao
from hetao.analysis import Finding, estimator_for, evidence, make_rows, oracle
from hetao.canonical import parse_canonical
from hetao.errors import InvalidStudy, NotEstimable
from hetao.release import Policy
from hetao.study import Grid, Minimum, study_from
from support_analysis import ANALYSES, LOOSE, STUDY, people, split

CUTS = (0.3, 0.6)
EXACT = replace(STUDY, minimum=LOOSE)  # each bin of a grid is told, of any group
CURVES = [name for name in ANALYSES if name.startswith("km_")]
BOTH = [*CURVES, *(name for name in ANALYSES if name.startswith("logrank_"))]


def read(name, **changes):
    study = replace(STUDY, analyses=(replace(ANALYSES[name], **changes),))
    return study_from(parse_canonical(study.canonical)).analyses[0]


# --- what is refused ----------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("logrank_weighted", {"rho": 1.0}, "no variance that is known to hold"),
        ("logrank_scored", {"rho": 1.0}, "no variance that is known to hold"),
        ("km_weighted", {"start": "years"}, "at risk from 0 on"),
        ("km_scored", {"start": "years"}, "at risk from 0 on"),
        ("km_scored", {"by": "sex"}, "weighs the arms of the treatment 'treated'"),
        ("km_scored", {"by": ""}, "weighs the arms of the treatment 'treated'"),
        ("km_scored", {"weights": "share"}, "takes no weights"),
        ("km_scored", {"score": ("age", "day")}, "holds 'day'"),
        ("km_weighted", {"treatment": "treated"}, "only a model with a propensity"),
        ("km_scored", {"ratio": 1, "caliper": 0.2}, "no use for 'ratio'"),
        ("km_scored", {"estimand": "ATX"}, "one of ATE, ATT, ATO"),
    ],
)
def test_what_has_no_honest_variance_is_refused(name, changes, said):
    with pytest.raises(InvalidStudy, match=said):
        read(name, **changes)


@pytest.mark.parametrize("name", BOTH)
def test_a_study_keeps_what_it_asks(name):
    assert read(name) == ANALYSES[name]


@pytest.mark.parametrize("name", BOTH)
def test_a_site_of_one_row_and_one_of_none_are_summed_like_any_other(name):
    parts = split(people(1, 400), (0.5, 399.4 / 400, 1.0))
    assert [len(part["age"]) for part in parts.values()] == [200, 199, 1, 0]

    assert oracle(STUDY, ANALYSES[name], parts).as_json()["n"] > 0


# --- weights are what they say ------------------------------------------------------
def test_a_person_who_weighs_nothing_is_not_there():
    columns = people(2, 500)
    columns["share"] = np.where(np.arange(500) % 3 == 0, 0.0, columns["share"])
    without = {name: array[columns["share"] > 0] for name, array in columns.items()}

    both = [
        oracle(STUDY, ANALYSES["km_weighted"], {"aa": rows}).as_json()
        for rows in (columns, without)
    ]

    assert both[0] == both[1]


def test_curves_of_equal_weights_are_the_plain_ones_with_greenwood_s_errors():
    columns = people(3, 600) | {"share": np.full(600, 2.5)}
    weighted = ANALYSES["km_weighted"]

    ours, plain = (
        oracle(EXACT, replace(weighted, weights=w), split(columns, CUTS)).as_json()
        for w in ("share", "")
    )

    for one, other in zip(ours["curves"], plain["curves"], strict=True):
        for key in ("survival", "se", "lower", "upper", "cumhaz"):
            known = [x is not None for x in other[key]]
            np.testing.assert_allclose(
                np.array(one[key])[known].astype(float),
                np.array(other[key])[known].astype(float),
                rtol=1e-12,
            )
        assert one["rmst"] == pytest.approx(other["rmst"], rel=1e-12)
        assert one["rmst_se"] == pytest.approx(other["rmst_se"], rel=1e-12)
        assert one["at_risk"] == other["at_risk"]


# --- what guards them ---------------------------------------------------------------
@pytest.mark.parametrize(
    ("study", "name"), [(EXACT, "km_weighted"), (STUDY, "km_scored")]
)
def test_each_site_s_own_bins_are_guarded_those_of_the_censored_too(study, name):
    method = estimator_for(study, ANALYSES[name])
    columns = people(4, 300)
    columns["died"] = np.where(columns["day"] <= 10, 1, columns["died"])
    columns["died"][np.flatnonzero(columns["day"] <= 10)[0]] = 0
    rows = make_rows(method.plan, columns, "aa")

    found, own_cells = method.guarded(evidence(method.plan, rows), rows, None)

    assert own_cells
    assert found.cells["leaving without the event in the thinnest bin"] == 1


def test_plain_curves_ask_for_no_cells_of_their_own():
    method = estimator_for(STUDY, ANALYSES["km"])
    rows = make_rows(method.plan, people(4, 300), "aa")

    found, own_cells = method.guarded(evidence(method.plan, rows), rows, None)

    assert not own_cells
    assert "leaving without the event in the thinnest bin" not in found.cells


@pytest.mark.parametrize("name", ["km_weighted", "logrank_weighted"])
def test_who_outweighs_their_group_is_high_leverage(name):
    method = estimator_for(STUDY, ANALYSES[name])
    columns = people(5, 300)
    plain = evidence(method.plan, make_rows(method.plan, columns, "aa"))
    columns["share"] = np.where(np.arange(300) == 7, 4.0, 0.01)

    heavy = evidence(method.plan, make_rows(method.plan, columns, "aa"))

    assert plain.max_leverage < 0.1
    assert heavy.max_leverage > 0.99


@pytest.mark.parametrize("name", ["km_scored", "logrank_scored"])
def test_who_alone_has_a_column_of_the_score_is_high_leverage(name):
    method = estimator_for(STUDY, ANALYSES[name])
    rows = make_rows(method.plan, people(6, 300), "aa")
    lonely = replace(rows, Z=rows.Z.copy())
    lonely.Z[:, 2] = 0.0
    lonely.Z[7, 2] = 1.0

    found, _ = method.guarded(evidence(method.plan, lonely), lonely, None)

    assert found.max_leverage == pytest.approx(1.0)
    assert found.parameters >= method.plan.score.parameters


def test_nobody_with_the_event_has_no_curve():
    columns = people(7, 300) | {"died": np.zeros(300, dtype=np.int64)}

    for name in BOTH:
        with pytest.raises(NotEstimable, match="no one has the event"):
            oracle(STUDY, ANALYSES[name], {"aa": columns})


# --- what people are shown ----------------------------------------------------------
def test_differences_are_not_shown_where_an_arm_s_mean_is_not():
    exact = oracle(STUDY, ANALYSES["km_scored"], {"aa": people(8, 800)}).as_json()
    curves = [dict(curve) for curve in exact["curves"]]
    thin = {**curves[1], "events": [1, *curves[1]["events"][1:]]}

    whole, _ = Finding("a", "km_scored", exact).shown(10)
    shown, withheld = Finding(
        "a", "km_scored", exact | {"curves": [curves[0], thin]}
    ).shown(10)

    assert len(whole.as_json()["contrasts"]) == 2
    assert withheld
    assert shown.as_json()["curves"][1]["rmst"] is None
    assert "contrasts" not in shown.as_json()


# --- in a notebook ------------------------------------------------------------------
def notebook_rows():
    draw = np.random.default_rng(9)
    n = 900
    age = draw.uniform(30, 90, n).round()
    arm = np.where(draw.random(n) < 1 / (1 + np.exp(-(age - 60) / 20)), "new", "old")
    return pd.DataFrame(
        {
            "hospital": np.repeat(["one", "two", "three"], n // 3),
            "age": age,
            "arm": pd.Series(arm).map({"new": "drug", "old": "comparator"}),
            "days": draw.integers(1, 400, n),
            "died": draw.integers(0, 2, n),
        }
    )


def test_curves_of_the_arms_before_a_bar_are_weighted_by_what_stands_behind_it():
    policy = Policy(Minimum(people=50, cell=5, events=5), reason="few")

    found = hetao.km(
        "Surv(days, died) ~ arm | age",
        data=notebook_rows(),
        split_by="hospital",
        policy=policy,
        estimand="ATO",
        grid={"step": 100, "end": 400},
        horizon=300,
    )

    assert found.body["estimand"] == "ATO"
    assert list(found.contrasts().index) == ["survival_difference", "rmst_difference"]
    assert "differences of the arms at the horizon" in found.summary()
    assert len(found.pictures()) == 2  # the curves, and the love plot


def test_a_grid_may_be_any():
    """The law runs on one grid; a curve may end before its grid does."""
    columns = people(10, 500)
    short = replace(ANALYSES["km_weighted"], grid=Grid((5.0, 60.0, 80.0)))

    found = oracle(STUDY, short, split(columns, CUTS)).as_json()

    assert all(curve["time"] == [5.0, 60.0] for curve in found["curves"])
