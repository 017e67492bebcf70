"""Curves by a group over cells = statsmodels' on the pooled rows, by shares of bins.

Whoever is in a cell lies in its bins as everybody in it does, so each group has some of
each bin; of these shares statsmodels makes the curve.
"""

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm

from hetao.analysis import oracle
from hetao.study import Grid
from support_analysis import (
    ANALYSES,
    LOOSE,
    VARIABLES,
    people,
    split,
    study_of,
)
from support_exactness import note_parts

pytestmark = pytest.mark.held_to("statsmodels SurvfuncRight", "made up")

CURVES = ANALYSES["km"]
SITES, CUTS = ("aa", "bb", "cc"), (1 / 3, 2 / 3)
LATE = replace(CURVES, start="began", horizon=None)


def asked(analysis, columns, minimum=None):
    variables = VARIABLES
    if analysis.start:
        days = next(v for v in VARIABLES if v.name == "day")
        variables = (*VARIABLES, replace(days, name="began", column="began"))
    study = replace(study_of(variables, analysis, sites=SITES), minimum=minimum)
    return oracle(study, analysis, split(columns, CUTS, sites=SITES)).as_json()


def ends_in(said, days, kind):
    """Return the last edge of the cell in which each time lies."""
    ends = np.array(said["cells"][kind])
    return ends[np.searchsorted(ends, days)]


def shares(columns, said, sex):
    """Return times, events and weights of a group: its share of each bin's people."""
    days, died = columns["day"], columns["died"] == 1
    found = []
    for had, kind in ((True, "died"), (False, "left")):
        of = died == had
        cell = ends_in(said, days[of], kind)
        for day in np.unique(days[of]):
            mine = cell[days[of] == day][0]
            share = (days[of] == day).sum() / (cell == mine).sum()
            of_group = ((cell == mine) & (columns["sex"][of] == sex)).sum()
            found.append((day, had, of_group * share))
    return (np.array(of, dtype=float) for of in zip(*found, strict=True))


def greenwood(at_risk, events):
    left = np.maximum(at_risk - events, 1e-300)
    return np.cumsum(events / (at_risk * left))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("n", [180, 300, 900])
def test_curves_over_cells_are_statsmodels_on_shares_of_pooled_rows(n, seed):
    columns = people(seed, n)

    said = asked(CURVES, columns)

    assert said["cells"]["people"] > 1
    for sex, curve in enumerate(said["curves"]):
        time, event, weight = shares(columns, said, sex)
        used = weight > 0
        reference = sm.SurvfuncRight(time[used], event[used], freq_weights=weight[used])
        at = np.searchsorted(reference.surv_times, curve["time"])
        assert reference.surv_times[at].tolist() == curve["time"]
        assert set(curve["time"]) <= set(said["cells"]["died"])
        wanted, alive = reference.surv_prob[at], reference.surv_prob[at] > 1e-9
        np.testing.assert_allclose(curve["survival"], wanted, rtol=1e-9, atol=1e-11)
        note_parts("km", np.array(curve["survival"])[alive], wanted[alive])
        se = wanted * np.sqrt(greenwood(reference.n_risk, reference.n_events))[at]
        ours = np.array(curve["se"], dtype=float)
        np.testing.assert_allclose(ours[alive], se[alive], rtol=1e-9)
        mine = (columns["sex"] == sex) & (columns["died"] == 1)
        cell = ends_in(said, columns["day"][mine], "died")
        assert curve["events"] == [int((cell == t).sum()) for t in curve["time"]]
        assert curve["n"] == (columns["sex"] == sex).sum()


@pytest.mark.parametrize("seed", [1, 2])
def test_who_enters_late_is_counted_from_the_first_entry_to_the_end_of_a_cell(seed):
    """That is the finest curve of the same times, moved so."""
    columns = people(seed, 600)
    draw = np.random.default_rng(seed)
    columns["day"] = np.maximum(columns["day"], 4.0)
    columns["began"] = np.minimum(draw.integers(0, 30, 600), columns["day"] - 1) * 1.0

    said = asked(LATE, columns)

    moved, had = dict(columns), columns["died"] == 1
    for of, kind in ((had, "died"), (~had, "left")):
        day = columns["day"]
        ends = ends_in(said, day[of], kind)
        last = {end: day[of][ends == end].max() for end in np.unique(ends)}
        moved["day"] = np.where(of, 0.0, moved["day"])
        moved["day"][of] = [last[end] for end in ends]
    entered = columns["began"] >= 1
    ends = ends_in(said, columns["began"][entered], "came")
    first = {e: columns["began"][entered][ends == e].min() for e in np.unique(ends)}
    moved["began"] = columns["began"].copy()
    moved["began"][entered] = [first[end] for end in ends]
    fine = asked(LATE, moved, LOOSE)

    for curve, wanted in zip(said["curves"], fine["curves"], strict=True):
        for key in ("time", "survival", "se", "events", "at_risk", "n"):
            assert curve[key] == wanted[key], key
    assert said["logrank"] == fine["logrank"]


@pytest.mark.parametrize("analysis", [CURVES, ANALYSES["km_weighted"], LATE])
def test_of_many_people_every_bit_is_that_of_the_finest_grid(analysis):
    columns = people(5, 9_000 if analysis is not LATE else 12_000)
    columns["began"] = np.maximum(columns["day"] - 7.0, 0.0)

    assert asked(analysis, columns) == asked(analysis, columns, LOOSE)


def test_weights_lie_in_cells_as_people_do():
    """Of equal weights the curve, its errors and its mean are those of people."""
    columns = people(3, 900) | {"share": np.full(900, 2.5)}
    grid = Grid(tuple(2.0 * day for day in range(1, 31)))
    weighted = replace(CURVES, weights="share", grid=grid)

    said = asked(weighted, columns)

    few = said["cells"]
    assert len(few["died"]) + len(few["left"]) <= 5
    columns["day"] = np.ceil(columns["day"] / 2) * 2  # the edge of each one's bin
    for sex, curve in enumerate(said["curves"]):
        time, event, weight = shares(columns, said, sex)
        used = weight > 0
        reference = sm.SurvfuncRight(time[used], event[used], freq_weights=weight[used])
        at = np.searchsorted(reference.surv_times, curve["time"])
        wanted = reference.surv_prob[at]
        np.testing.assert_allclose(curve["survival"], wanted, rtol=1e-9, atol=1e-11)
        alive = wanted > 1e-9
        se = wanted * np.sqrt(greenwood(reference.n_risk, reference.n_events))[at]
        ours = np.array(curve["se"], dtype=float)
        np.testing.assert_allclose(ours[alive], se[alive], rtol=1e-9)
        before = reference.surv_times < CURVES.horizon
        steps = np.diff([0, *reference.surv_times[before], CURVES.horizon])
        mean = steps @ np.append(1.0, reference.surv_prob[before])
        np.testing.assert_allclose(curve["rmst"], mean, rtol=1e-9)
        had = (columns["sex"] == sex) & (columns["died"] == 1)
        assert sum(curve["events"]) == had.sum()


@pytest.mark.parametrize(("n", "away"), [(300, 0.05), (900, 0.02), (3_000, 0.005)])
def test_curves_over_cells_lie_close_to_the_finest(n, away):
    columns = people(3, n)

    said, fine = asked(CURVES, columns), asked(CURVES, columns, LOOSE)

    for curve, exact in zip(said["curves"], fine["curves"], strict=True):
        at = np.searchsorted(exact["time"], curve["time"], side="right") - 1
        apart = np.array(curve["survival"]) - np.array(exact["survival"])[at]
        assert np.abs(apart).max() < away
        assert abs(curve["rmst"] - exact["rmst"]) < exact["rmst_se"] / 4
