"""A screen's models go in one batch, as many as there are people for."""

import sys
from pathlib import Path

import pytest

from hetao.errors import Stopped

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import bench_screen

PEOPLE = 300  # at each of three sites


def test_twenty_models_take_the_messages_of_one():
    one, _, _, _ = bench_screen.measured(1, PEOPLE, 3)
    many, finding, _, _ = bench_screen.measured(20, PEOPLE, 3)

    assert many.messages == one.messages
    assert sum(not pair["refused"] for pair in finding["pairs"]) == 20


def test_more_outcomes_than_a_tenth_of_the_people_are_refused_at_the_begin():
    """From so many sums about them the sex of single people could be solved for."""
    with pytest.raises(Stopped, match=r"refused begin: HT-416.*pairs of a screen"):
        bench_screen.measured(PEOPLE // 10 + 1, PEOPLE, 3)
