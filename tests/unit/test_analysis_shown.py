"""What people are shown: no small count, and none that the rest gives back."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetao import canonical
from hetao.analysis import Finding, oracle
from hetao.analysis.suppression import hidden, shown_payload
from hetao.study import Grid, Minimum
from support_analysis import ANALYSES, STUDY, people, split


def counts(*people_left):
    before = (people_left[0], *people_left)
    steps = [
        {"label": str(i), "n": n, "removed": b - n}
        for i, (n, b) in enumerate(zip(people_left, before, strict=False))
    ]
    return Finding("a", "counts", {"model": "counts", "steps": steps})


@pytest.mark.parametrize("name", sorted(ANALYSES))
def test_one_shows_everything_exactly_and_in_canonical_form(name):
    finding = oracle(STUDY, ANALYSES[name], split(people(1, 300), (0.5,)))

    shown, withheld = finding.shown(1)

    assert not withheld
    assert shown.as_json() == finding.as_json()
    assert canonical.digest(finding.as_json()).startswith("sha256:")


def test_a_step_that_removes_few_is_merged_with_its_neighbour():
    shown, withheld = counts(200, 195, 150).shown(10)

    steps = shown.as_json()["steps"]
    assert withheld
    assert [step["n"] for step in steps] == [200, None, 150]
    assert [step["removed"] for step in steps] == [0, None, None]


def test_steps_that_remove_no_one_or_enough_are_shown():
    finding = counts(200, 200, 150, 0)

    shown, withheld = finding.shown(10)

    assert not withheld
    assert shown.as_json() == finding.as_json()


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(2, 12))
def test_no_small_removal_can_be_worked_out(left, smallest):
    shown, _ = counts(*sorted(left, reverse=True)).shown(smallest)

    visible = [s["n"] for s in shown.as_json()["steps"] if s["n"] is not None]
    for n in visible:
        assert not 0 < n < smallest
    for i, n in enumerate(visible):
        for later in visible[i + 1 :]:
            assert not 0 < n - later < smallest


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.integers(2, 12))
def test_hidden_cells_cannot_be_had_from_the_total(cells, smallest):
    mask = hidden(cells, smallest)

    small = [0 < cell < smallest for cell in cells]
    assert all(m for m, s in zip(mask, small, strict=True) if s)
    assert any(mask) == any(small)
    if any(mask) and sum(cells) >= smallest:
        together = sum(c for c, m in zip(cells, mask, strict=True) if m)
        assert together >= smallest
        assert sum(mask) >= 2 or len(cells) == 1


def table(columns, smallest):
    shown, withheld = oracle(STUDY, ANALYSES["table1"], {"aa": columns}).shown(smallest)
    rows = {(r["variable"], r["level"]): r for r in shown.as_json()["rows"]}
    return rows, withheld


def test_a_small_level_takes_another_with_it():
    columns = people(1, 300)
    columns["grade"] = np.where(np.arange(300) < 6, 2, np.arange(300) % 2)

    rows, withheld = table(columns, 10)

    assert withheld
    for group in (0, 1):
        cells = [
            rows["grade", level]["by_group"][group]
            for level in ("low", "middle", "high")
        ]
        assert [cell["count"] for cell in cells].count(None) >= 2
        assert [cell["percent"] for cell in cells].count(None) >= 2
    assert rows["grade", "low"]["smd"] is None


def test_few_missing_hide_both_parts_but_not_the_mean():
    columns = people(1, 300)
    columns["chol"] = np.where(np.arange(300) < 6, np.nan, columns["chol"])

    rows, _ = table(columns, 10)

    cell = rows["chol", ""]["by_group"][0]
    assert (cell["n"], cell["missing"]) == (None, None)
    assert cell["mean"] is not None


def test_no_level_tells_its_share_of_a_number_known_that_is_hidden():
    """A percentage beside a count would give back how many values are missing."""
    columns = people(1, 300)
    columns["grade"] = np.where(np.arange(300) < 6, -1, np.arange(300) % 3)
    columns["grade"][6:10] = 0

    exact, _ = table(columns, 1)
    rows, _ = table(columns, 10)

    for group in (0, 1):
        levels = [
            rows["grade", level]["by_group"][group]
            for level in ("low", "middle", "high")
        ]
        hides = any(cell["count"] is None for cell in levels)
        assert hides == any(cell["percent"] is None for cell in levels)
        assert len({cell["percent"] is None for cell in levels}) == 1
    assert all(
        cell["percent"] is not None
        for level in ("low", "middle", "high")
        for cell in exact["grade", level]["by_group"]
    )


def test_a_mean_of_whole_numbers_does_not_tell_how_many_are_missing():
    """The mean times the number known would be whole for the right number only."""
    columns = people(1, 300)
    whole = np.round(columns["chol"])
    columns["chol"] = np.where(np.arange(300) < 6, np.nan, whole)

    rows, _ = table(columns, 10)

    size = rows["", ""]["by_group"][0]["count"]
    cell = rows["chol", ""]["by_group"][0]
    for value in (cell["mean"], cell["sd"]):
        assert value == float(f"{value:.3g}")
    for missing in range(1, 10):
        known, half = size - missing, 0.5  # what three digits of hundreds leave open
        low, high = (cell["mean"] - half) * known, (cell["mean"] + half) * known
        assert high - low > 100
        assert np.floor(high) >= np.ceil(low)


def test_a_mean_of_few_known_values_is_hidden():
    columns = people(1, 300)
    columns["chol"] = np.where(np.arange(300) >= 6, np.nan, columns["chol"])

    rows, _ = table(columns, 10)

    cells = rows["chol", ""]["by_group"]
    hidden_cells = [cell for cell in cells if cell["n"] is None]
    assert hidden_cells
    for cell in hidden_cells:
        assert all(value is None for value in cell.values())


def test_a_small_group_empties_the_table_that_would_give_it_back():
    columns = people(1, 300)
    columns["sex"] = (np.arange(300) < 5).astype(int)

    rows, withheld = table(columns, 10)

    assert withheld
    for row in rows.values():
        assert row["smd"] is None
        assert all(value is None for cell in row["by_group"] for value in cell.values())


@pytest.mark.parametrize("smallest", [5, 10, 20])
def test_each_step_of_a_curve_holds_enough_events(smallest):
    finding = oracle(STUDY, ANALYSES["km"], {"aa": people(3, 400)})

    shown, withheld = finding.shown(smallest)

    assert withheld
    for curve, exact in zip(
        shown.as_json()["curves"], finding.as_json()["curves"], strict=True
    ):
        assert curve["time"]
        assert min(curve["events"]) >= smallest
        assert min(curve["at_risk"]) >= smallest
        assert not 0 < sum(exact["events"]) - sum(curve["events"]) < smallest
        known = dict(zip(exact["time"], exact["survival"], strict=True))
        assert [known[time] for time in curve["time"]] == curve["survival"]


def test_what_is_read_off_a_curve_says_no_more_than_the_steps_shown():
    """The exact mean and hazard would be equations for the steps that are joined."""
    each_bin = replace(STUDY, minimum=Minimum(cell=1))
    finding = oracle(each_bin, ANALYSES["km"], {"aa": people(3, 400)})

    shown, _ = finding.shown(10)

    for curve, exact in zip(
        shown.as_json()["curves"], finding.as_json()["curves"], strict=True
    ):
        assert (curve["rmst"], curve["rmst_se"]) == (None, None)
        assert curve["rmst_least"] < exact["rmst"] < curve["rmst_most"]
        places = [exact["time"].index(time) for time in curve["time"]]
        alone = [places[: i + 1] == list(range(i + 1)) for i in range(len(places))]
        for key in ("cumhaz", "cumhaz_se"):
            wanted = [
                exact[key][place] if is_alone else None
                for place, is_alone in zip(places, alone, strict=True)
            ]
            assert curve[key] == wanted
        assert not all(alone)
        assert curve["median"] in curve["time"]
        assert curve["median_lower"] in curve["time"]


def test_a_coarse_grid_shows_the_restricted_mean_exactly():
    analysis = replace(ANALYSES["km"], grid=Grid((10.0, 20.0, 30.0, 60.0)))
    finding = oracle(STUDY, analysis, {"aa": people(3, 400)})

    shown, _ = finding.shown(10)

    for curve, exact in zip(
        shown.as_json()["curves"], finding.as_json()["curves"], strict=True
    ):
        assert curve["rmst"] == exact["rmst"] is not None
        assert curve["rmst_se"] == exact["rmst_se"]
        assert None not in curve["cumhaz"]


def test_no_mean_is_given_beyond_the_last_person_followed():
    columns = people(3, 60)
    short = columns["day"] > 12
    columns |= {"day": columns["day"].clip(max=12), "died": columns["died"] * ~short}

    finding = oracle(STUDY, ANALYSES["km"], {"aa": columns})

    for curve in finding.as_json()["curves"]:
        assert curve["survival"][-1] > 0
        assert (curve["rmst"], curve["rmst_se"]) == (None, None)


def test_a_curve_of_few_people_takes_another_with_it():
    columns = people(3, 200)
    columns["sex"] = (np.arange(200) < 6).astype(int)

    shown, _ = oracle(STUDY, ANALYSES["km"], {"aa": columns}).shown(10)

    answer = shown.as_json()
    assert [curve["n"] for curve in answer["curves"]] == [None, None]
    assert [curve["time"] for curve in answer["curves"]] == [[], []]
    for curve in answer["curves"]:
        assert {curve[key] for key in curve if key.startswith(("rmst", "med"))} == {
            None
        }
    assert "logrank" not in answer


def test_a_model_of_few_events_shows_no_count_of_them():
    columns = people(4, 200)
    columns["ill"] = (np.arange(200) % 29 == 0).astype(int)
    analysis = replace(ANALYSES["logistic"], terms=("sex",))

    shown, withheld = oracle(STUDY, analysis, {"aa": columns}).shown(10)

    assert withheld
    assert shown.as_json()["events"] is None
    assert shown.as_json()["n"] == 200


@pytest.mark.parametrize("total", [3, 57, 640, 31_000])
def test_a_shown_mean_fits_every_count_that_may_be_hidden(total):
    size, missing = 1200, 4
    cell = {
        "n": size - missing,
        "missing": missing,
        "mean": total / (size - missing),
        "sd": 1.0,
    }
    payload = {
        "model": "table1",
        "groups": ["All"],
        "rows": [
            {"variable": "", "by_group": [{"count": size, "percent": 100.0}]},
            {"variable": "pills", "by_group": [cell], "smd": None},
        ],
    }

    shown, _ = shown_payload(payload, 10)

    mean = shown["rows"][1]["by_group"][0]["mean"]
    text = f"{mean:.10f}".rstrip("0")
    unit = 10.0 ** -len(text.partition(".")[2]) if mean else 0.01
    unit = max(unit, 10.0 ** math.ceil(math.log10(2 / size)))
    for unseen in range(1, 10):
        known = size - unseen
        nearest = round(mean * known)
        assert abs(nearest / known - mean) <= unit / 2 + 1e-12


def test_few_events_of_a_group_hide_what_was_expected_of_it_too():
    columns = people(3, 300)
    columns["died"] = columns["died"] * ((columns["sex"] == 0) | (np.arange(300) < 8))

    shown, withheld = oracle(STUDY, ANALYSES["logrank"], {"aa": columns}).shown(10)

    assert withheld
    for group in shown.as_json()["groups"]:
        assert group["n"] >= 10
        assert [group[k] for k in ("events", "observed", "expected")] == [None] * 3
    assert shown.as_json()["chi2"] is not None


@pytest.mark.parametrize("smallest", [5, 10])
def test_each_step_of_a_baseline_hazard_holds_enough_events(smallest):
    finding = oracle(STUDY, ANALYSES["cox_grid_efron"], {"aa": people(3, 400)})

    shown, withheld = finding.shown(smallest)

    ((curve,), (exact,)) = (f.as_json()["baseline"] for f in (shown, finding))
    assert withheld
    assert curve["time"]
    assert min(curve["events"]) >= smallest
    assert not 0 < sum(exact["events"]) - sum(curve["events"]) < smallest
    known = dict(zip(exact["time"], exact["cumhaz"], strict=True))
    assert [known[time] for time in curve["time"]] == curve["cumhaz"]
