"""Drawn acts find falsified ones as often as the formula says."""

import hashlib
import math
import random

import pytest

from hetao.ledger.audit import chance_of_finding, draws


@pytest.mark.parametrize(
    ("falsified", "count"), [(0.01, 300), (0.005, 600), (0.05, 60), (0.02, 30)]
)
def test_falsified_acts_are_found_as_often_as_the_formula_says(falsified, count):
    """Of 600 falsifications each met by a draw of its own, within four deviations."""
    acts, trials = 5000, 600
    choose = random.Random(7)  # noqa: S311  chooses what is falsified, no secret
    found = 0
    for trial in range(trials):
        bad = set(choose.sample(range(acts), round(falsified * acts)))
        seed = hashlib.sha256(f"{falsified} {count} {trial}".encode()).digest()
        found += not bad.isdisjoint(draws(seed, count, acts))

    expected = chance_of_finding(falsified, count)
    deviation = math.sqrt(expected * (1 - expected) / trials)
    assert abs(found / trials - expected) < 4 * deviation


def test_three_hundred_acts_find_one_in_a_hundred_with_95_per_cent():
    assert chance_of_finding(0.01, 300) == pytest.approx(0.951, abs=0.001)


def test_every_act_is_drawn_equally_often():
    acts, number = 97, 97_000
    counts = [0] * acts
    for index in draws(b"s" * 32, number, acts):
        counts[index] += 1

    mean = number / acts
    chi = sum((count - mean) ** 2 / mean for count in counts)
    assert 50 < chi < 160  # 96 degrees of freedom: 1 in 10^4 lies outside


def test_draws_are_within_an_extract_of_any_size():
    for acts in (1, 2, 255, 2**31 + 1, 2**40):
        assert all(0 <= index < acts for index in draws(b"s" * 32, 50, acts))
    assert draws(b"s" * 32, 5, 10**6) == draws(b"s" * 32, 9, 10**6)[:5]
