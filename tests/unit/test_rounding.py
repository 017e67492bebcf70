"""Counts that people see are rounded, and nothing beside them gives the exact ones."""

import copy
import itertools
import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetao.analysis import Finding, oracle
from hetao.analysis.discrimination import auc_of
from hetao.analysis.rounding import COUNTS, round_counts, rounded
from support_analysis import ANALYSES, STUDY, people, split

PARTS = split(people(7, 900), (0.3, 0.7))
PREDICT = {
    "boosted_score",
    "boosted_trees",
    "neural_network",
    "performance",
    "performance_left_out",
    "performance_published",
}


def counts_in(value, key=""):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from counts_in(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from counts_in(inner, key)
    elif key in COUNTS and value is not None:
        yield value


@pytest.mark.parametrize("name", sorted(ANALYSES))
def test_every_count_of_every_finding_is_a_multiple_of_the_base(name):
    finding = oracle(STUDY, ANALYSES[name], PARTS)

    shown, _ = finding.shown(10, 5)

    found = list(counts_in(shown.as_json()))
    assert found or "n" not in finding.payload
    assert {count % 5 for count in found} <= {0}


@pytest.mark.parametrize("name", sorted(set(ANALYSES) - PREDICT))
def test_what_a_model_estimates_stays_exact(name):
    finding = oracle(STUDY, ANALYSES[name], PARTS)
    assert "prediction" not in finding.payload

    rough, fine = finding.shown(10, 5)[0].as_json(), finding.shown(10)[0].as_json()

    assert rough.get("terms") == fine.get("terms")


def measures_in(payload):
    """Return every number that says how well a finding's model predicts."""
    cells = [*payload["terms"], *payload.get("calibration", ())]
    if "auc" in payload:
        cells += [payload["auc"], {"loglik": payload["loglik"]}]
    cells += [{"base": payload["base"]}] if "base" in payload else []
    for cell in cells:
        for key, value in cell.items():
            if isinstance(value, float) and key not in ("low", "high"):
                yield value


@pytest.mark.parametrize("name", sorted(PREDICT))
def test_how_well_a_model_predicts_is_shown_to_three_digits(name):
    finding = oracle(STUDY, ANALYSES[name], PARTS)

    shown = list(measures_in(finding.shown(10, 5)[0].as_json()))

    assert len(shown) > 10
    assert shown == [float(f"{value:.3g}") for value in shown]
    assert [*measures_in(finding.as_json())] != shown


@pytest.mark.parametrize("name", sorted(PREDICT - {"performance_published"}))
def test_what_a_fitted_model_is_made_of_stays_exact(name):
    finding = oracle(STUDY, ANALYSES[name], PARTS)

    rough, fine = finding.shown(10, 5)[0].as_json(), finding.shown(10)[0].as_json()

    for key in ("fitted", "trees", "weights"):
        assert rough.get(key) == fine.get(key)


def pairs_behind(shown):
    """Return the (people, events) of the band that the shown areas leave possible.

    An area times both outcomes' numbers is a whole number of halves. The reader takes
    each number for as exact as its digits are.
    """
    found = []
    for more, with_event in itertools.product(range(-2, 3), repeat=2):
        n, events = shown["n"] + more, shown["events"] + with_event
        halves = 2 * events * (n - events)
        areas = [value for key, value in shown["auc"].items() if key != "se"]
        if all(
            abs(area * halves - round(area * halves))
            <= halves * (half_a_digit(area) + 1e-12)
            for area in areas
        ):
            found.append((n, events))
    return found


def half_a_digit(value):
    return 10.0 ** Decimal(repr(value)).as_tuple().exponent / 2


def area_of(draw):
    """Return the finding of a prediction of some hundreds of people, in 8 bins."""
    cases, controls = draw.multinomial(
        draw.integers(100, 300, 2), draw.dirichlet(np.ones(8), 2)
    ).astype(float)
    events, n = int(cases.sum()), int(cases.sum() + controls.sum())
    return {
        "model": "performance",
        "prediction": "published",
        "terms": [],
        "auc": auc_of(cases, controls),
        "roc": [],
        "thresholds": [],
        "calibration": [],
        "loglik": -n / 2,
        "n": n,
        "events": events,
    }


def test_an_area_under_the_curve_does_not_give_the_exact_people_and_events_back():
    """The same reading of the exact area leaves one pair in most draws."""
    draw = np.random.default_rng(5)
    told, alone = 0, 0
    for _ in range(40):
        payload = area_of(draw)
        pair, exact = (payload["n"], payload["events"]), payload["auc"]
        shown = copy.deepcopy(payload)
        round_counts(shown, 5)

        left = pairs_behind(shown)

        assert pair in left
        told += len(left) == 1
        alone += pairs_behind({**shown, "auc": exact}) == [pair]
    assert told == 0
    assert alone > 30


@given(count=st.integers(0, 10**7), base=st.integers(1, 100))
def test_a_count_goes_to_the_nearest_multiple(count, base):
    near = rounded(count, base)

    assert near % base == 0
    assert 2 * abs(near - count) <= base


@given(n=st.integers(60, 2_000), data=st.data())
def test_nobody_can_tell_which_count_in_a_band_stood_behind_a_table(n, data):
    """Two tables whose counts round alike are shown alike, to the last digit."""
    n = 5 * round(n / 5)
    first = data.draw(st.integers(20, n - 20))
    near = 5 * math.floor(first / 5 + 0.5)
    other = data.draw(st.sampled_from([near - 2, near - 1, near, near + 1, near + 2]))

    def table(count):
        rows = [
            {
                "variable": "",
                "label": "People",
                "level": "",
                "unit": "",
                "by_group": [{"count": n, "percent": 100.0}],
                "smd": None,
            }
        ]
        for level, of in (("yes", count), ("no", n - count)):
            cell = {"count": of, "percent": 100 * of / n}
            rows.append(
                {
                    "variable": "ill",
                    "label": "Ill",
                    "level": level,
                    "unit": "",
                    "by_group": [cell],
                    "smd": None,
                }
            )
        payload = {"model": "table1", "groups": ["all"], "rows": rows}
        return Finding("t", "table1", payload).shown(10, 5)[0].as_json()

    assert table(first) == table(other)


def test_survival_is_a_rounded_number_of_survivors_out_of_a_rounded_whole():
    finding = oracle(STUDY, ANALYSES["km"], PARTS)

    shown = finding.shown(10, 5)[0].as_json()

    for curve in shown["curves"]:
        for key in ("survival", "lower", "upper"):
            parts = [value * curve["n"] / 5 for value in curve[key]]
            assert parts == pytest.approx([round(part) for part in parts], abs=1e-9)


def test_a_rate_follows_from_the_rounded_events():
    finding = oracle(STUDY, ANALYSES["rates"], PARTS)

    for group in finding.shown(10, 5)[0].as_json()["groups"]:
        assert group["rate"] == pytest.approx(group["events"] / group["time"], rel=5e-3)
        assert len(f"{group['rate']:g}".replace(".", "").lstrip("0")) <= 3


def test_degrees_of_freedom_do_not_tell_the_exact_number_of_people():
    finding = oracle(STUDY, ANALYSES["linear"], PARTS)

    shown = finding.shown(10, 5)[0].as_json()

    assert shown["n"] - shown["df"] == finding.payload["n"] - finding.payload["df"]


def test_one_rounds_nothing():
    payload = oracle(STUDY, ANALYSES["table1"], PARTS).as_json()
    rough = copy.deepcopy(payload)

    round_counts(rough, 1)

    assert rough == payload
