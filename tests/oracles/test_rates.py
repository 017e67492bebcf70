"""Rates over sites = R on the pooled rows, and a published example."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hetao.analysis import make_plan, make_rows, oracle
from hetao.analysis.evidence import evidence
from hetao.analysis.poisson_limits import (
    compare_rates,
    rate_limits,
    standardised_rate,
)
from hetao.canonical import parse_canonical
from hetao.errors import InvalidStudy, NotEstimable
from hetao.study import Weight, study_from
from support_analysis import ANALYSES, STUDY, category, number, people, split, study_of
from support_exactness import note_parts

pytestmark = pytest.mark.held_to("R: poisson.test, formulas written out", "made up")

SCRIPT = Path(__file__).parent / "rates.R"
RATES = ANALYSES["rates"]
WITHIN = replace(RATES, strata=("grade", "site"))
EVENT = replace(RATES, outcome="", event="died")
CUTS = (0.1, 0.35, 0.35, 0.8)
WEIGHTS = {0: 3.0, 1: 2.0, 2: 1.0}


def cells_of(parts, events):
    frames = []
    for site, part in parts.items():
        frame = pd.DataFrame({k: part[k] for k in ("sex", "grade", "years", events)})
        frames.append(frame[part["grade"] >= 0].assign(site=site))
    rows = pd.concat(frames)
    cells = rows.groupby(["site", "sex", "grade"], as_index=False)[
        [events, "years"]
    ].sum()
    cells.columns = ["site", "group", "stratum", "d", "t"]
    return cells.assign(w=cells["stratum"].map(WEIGHTS))


def in_r(cells, folder):
    cells.to_csv(folder / "cells.csv", index=False, float_format="%.17g")
    done = subprocess.run(
        ["Rscript", "--vanilla", SCRIPT, folder / "cells.csv", folder / "out.csv"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return pd.read_csv(folder / "out.csv", index_col="name")


@pytest.mark.parametrize(("seed", "n"), [(1, 900), (2, 150)])
@pytest.mark.parametrize(
    ("analysis", "events"), [(RATES, "visits"), (WITHIN, "visits"), (EVENT, "died")]
)
def test_rates_limits_and_ratios_are_those_of_r(analysis, events, seed, n, tmp_path):
    parts = split(people(seed, n), CUTS)
    expected = in_r(cells_of(parts, events), tmp_path)

    answer = oracle(STUDY, analysis, parts).as_json()

    within = "site" if "site" in analysis.strata else "stratum"
    one = answer["comparisons"][0]
    found = {
        "ratio": [one[k] for k in ("ratio", "ratio_lower", "ratio_upper", "p")],
        f"mh_{within}": [one["adjusted"][k] for k in ("ratio", "lower", "upper", "p")],
    }
    for g, group in enumerate(answer["groups"]):
        found[f"rate{g}"] = [group[k] for k in ("rate", "lower", "upper")]
        standard = group["standardised"]
        found[f"standard{g}"] = [standard[k] for k in ("rate", "lower", "upper")]
    for name, values in found.items():
        reference = expected.loc[name].to_numpy(dtype=float)[: len(values)]
        np.testing.assert_allclose(values, reference, rtol=1e-10, err_msg=name)
        note_parts("rates", values, reference)


@pytest.mark.held_to("R dsrTest, as printed", "Down syndrome, Fleiss (1981)")
def test_a_standardised_rate_is_that_of_a_published_example():
    """Down syndrome at birth order 5+, Fleiss (1981), table 14.4.

    Fay & Feuer's limits for 100,000 births as the vignette of R's dsrTest prints them.
    """
    cases = np.array([0.0, 8, 63, 112, 262, 295])
    births = np.array([327.0, 30666, 123419, 149919, 104088, 34392])
    standard = np.array([319933.0, 931318, 786511, 488235, 237863, 61313])

    found = standardised_rate(cases, births, standard)

    assert 1e5 * found["rate"] == pytest.approx(75.52901, abs=5e-6)
    assert 1e5 * found["lower"] == pytest.approx(67.70212, abs=5e-6)
    assert 1e5 * found["upper"] == pytest.approx(188.30017, abs=5e-6)
    printed = np.array([75.52901, 67.70212, 188.30017])
    ours = [1e5 * found[key] for key in ("rate", "lower", "upper")]
    note_parts("standardised rate", ours, printed)


@pytest.mark.held_to("Garwood's limits, as printed", "10 events")
def test_exact_limits_are_garwoods():
    assert rate_limits(0, 1.0)[1:] == (0.0, pytest.approx(-np.log(0.025)))
    assert rate_limits(10, 1.0)[1:] == pytest.approx((4.795389, 18.390356), abs=1e-6)
    limits = rate_limits(10, 1.0)[1:]
    note_parts("limits of a rate", limits, (4.795389, 18.390356))
    assert rate_limits(10, 0.0) == (None, None, None)


def test_what_is_infinite_is_left_out():
    none = compare_rates((0, 0), (10.0, 20.0))
    assert (none["ratio"], none["p"], none["difference"]) == (None, None, 0.0)

    never = compare_rates((5, 0), (10.0, 20.0))
    assert (never["ratio"], never["ratio_upper"]) == (None, None)
    assert never["ratio_lower"] > 0

    unseen = compare_rates((5, 5), (0.0, 20.0))
    assert set(unseen.values()) == {None}


def test_a_stratum_without_time_leaves_no_standardised_rate():
    columns = people(3, 300)
    columns["grade"] = np.where(columns["grade"] == 2, 1, columns["grade"])

    groups = oracle(STUDY, RATES, {"aa": columns}).as_json()["groups"]

    assert [g["standardised"]["rate"] for g in groups] == [None, None]
    without = replace(RATES, standard=(*RATES.standard[:2], Weight("high", 0.0)))
    groups = oracle(STUDY, without, {"aa": columns}).as_json()["groups"]
    assert all(g["standardised"]["rate"] > 0 for g in groups)


def test_a_site_without_an_event_still_adds_its_time():
    parts = split(people(4, 400), (0.5,))
    still = parts["bb"] | {"visits": np.zeros_like(parts["bb"]["visits"])}

    one = oracle(STUDY, WITHIN, parts | {"bb": still}).as_json()
    alone = oracle(STUDY, WITHIN, {"aa": parts["aa"]}).as_json()

    assert one["events"] == alone["events"]
    assert one["groups"][0]["time"] > alone["groups"][0]["time"]
    ratio = [a["comparisons"][0]["adjusted"]["ratio"] for a in (one, alone)]
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-12)


def test_nobody_followed_is_refused():
    study = study_of(
        (number("days", 0, 10), category("ill", "no", "yes")),
        replace(EVENT, time="days", event="ill", by="", strata=(), standard=()),
    )
    rows = {"days": np.zeros(50), "ill": np.ones(50, dtype=np.int64)}

    with pytest.raises(NotEstimable, match="nobody was followed"):
        oracle(study, study.analyses[0], {"aa": rows})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"event": "died"}, "an event or an outcome"),
        ({"outcome": ""}, "an event or an outcome"),
        ({"by": "site", "strata": ("grade", "site")}, "but not both"),
        ({"strata": ("site",)}, "each level of one category"),
        ({"strata": ("grade", "ill")}, "each level of one category"),
        ({"standard": RATES.standard[:2]}, "each level of one category"),
        ({"standard": (*RATES.standard[:2], Weight("high", -1.0))}, "start at 0"),
        ({"time": "ill"}, "must be a number"),
    ],
)
def test_rates_that_cannot_be_are_refused(change, said):
    study = replace(STUDY, analyses=(replace(RATES, **change),))

    with pytest.raises(InvalidStudy, match=said):
        study_from(parse_canonical(study.canonical))


def test_negative_bounds_are_refused():
    with pytest.raises(InvalidStudy, match="may be negative"):
        make_plan(STUDY, replace(RATES, time="score"))
    with pytest.raises(InvalidStudy, match="may be negative"):
        make_plan(STUDY, replace(RATES, outcome="score"))


# --- what may be seen -----------------------------------------------------------------
def test_the_gate_weighs_people_and_those_with_events_in_each_cell():
    columns = people(5, 200)
    plan = make_plan(STUDY, RATES)

    cells = evidence(plan, make_rows(plan, columns, "aa")).cells

    here = (columns["sex"] == 1) & (columns["grade"] == 2)
    assert cells["people, high | male"] == here.sum()
    assert cells["with an event, high | male"] == (here & (columns["visits"] > 0)).sum()
    assert len(cells) == 12


def test_sites_that_are_strata_are_not_told_apart():
    plan = make_plan(STUDY, WITHIN)

    assert plan.strata == ("low", "middle", "high")
    assert not plan.tells_sites
    assert make_plan(STUDY, replace(RATES, by="site")).tells_sites


def rates_shown(smallest, **changes):
    finding = oracle(STUDY, replace(EVENT, **changes), {"aa": people(6, 120)})
    shown, withheld = finding.shown(smallest)
    return finding.as_json(), shown.as_json(), withheld


def test_enough_of_all_shows_all():
    whole, shown, withheld = rates_shown(2)

    assert shown == whole
    assert not withheld


def test_a_small_stratum_hides_all_strata_of_its_group_but_not_the_standardised_rate():
    counts = [s["events"] for g in rates_shown(1)[0]["groups"] for s in g["strata"]]
    whole, shown, withheld = rates_shown(min(counts) + 1)

    assert withheld
    hidden = [g for g in shown["groups"] if g["strata"][0]["n"] is None]
    assert hidden
    for group in hidden:
        assert {s[k] for s in group["strata"] for k in ("n", "time", "rate")} == {None}
        assert group["standardised"]["rate"] is not None
    assert [g["n"] for g in shown["groups"]] == [g["n"] for g in whole["groups"]]


def test_two_strata_of_which_one_is_small_leave_no_standardised_rate():
    """Else five equations would give two counts and two times back."""
    standard = (Weight("no", 1.0), Weight("yes", 1.0))
    _, shown, _ = rates_shown(28, strata=("ill",), standard=standard)

    assert any(g["strata"][0]["n"] is None for g in shown["groups"])
    for group in shown["groups"]:
        if group["strata"][0]["n"] is None:
            assert group["standardised"] is None
            assert shown["comparisons"][0]["adjusted"] is None


def test_a_small_group_hides_what_compares_it():
    _, shown, _ = rates_shown(60)

    assert [g["rate"] for g in shown["groups"]] == [None, None]
    one = dict(shown["comparisons"][0])
    assert {one.pop("group"), one.pop("against")} == {"female", "male"}
    assert set(one.values()) == {None}
