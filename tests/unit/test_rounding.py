"""Counts that people see are rounded, and nothing beside them gives the exact ones."""

import copy
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetao.analysis import Finding, oracle
from hetao.analysis.rounding import COUNTS, round_counts, rounded
from support_analysis import ANALYSES, STUDY, people, split

PARTS = split(people(7, 900), (0.3, 0.7))
ALONE = {"lmm", "lmm_ml", "glmm", "glmm_poisson"}  # whose oracle needs two sites


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


@pytest.mark.parametrize("name", sorted(ANALYSES))
def test_what_a_model_estimates_stays_exact(name):
    finding = oracle(STUDY, ANALYSES[name], PARTS)

    rough, fine = finding.shown(10, 5)[0].as_json(), finding.shown(10)[0].as_json()

    assert rough.get("terms") == fine.get("terms")


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
