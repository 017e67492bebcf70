"""`hetao.testing.check` passes exact estimators, and catches each way to be wrong."""

import numpy as np
import pytest

from hetao.analysis import logistic, newton
from hetao.analysis.logistic import Logistic
from hetao.analysis.newton import invert
from hetao.errors import NotEstimable, OutOfBounds
from hetao.testing import check
from support_analysis import ANALYSES, OF_SITES, STUDY, people

ROWS = people(11, 700)


@pytest.mark.parametrize("name", [one for one in ANALYSES if one not in OF_SITES])
def test_every_installed_estimator_is_exact(name):
    found = check(STUDY, ANALYSES[name], ROWS)

    assert found.splits == 12
    assert found.estimate <= 1e-9
    assert found.numbers > 0


def spoilt(monkeypatch, name, change):
    """Let a method of the logistic estimator give something else."""
    sound = getattr(Logistic, name)
    monkeypatch.setattr(Logistic, name, lambda *a: change(sound(*a), *a))


def averaged(message, _, rows, *__):
    """Do what two peers do: divide a site's sums by its people."""
    people = max(rows.n, 1)
    return {k: v if k in ("n", "events") else v / people for k, v in message.items()}


def test_averages_instead_of_sums_are_caught(monkeypatch):
    spoilt(monkeypatch, "local", averaged)

    with pytest.raises(AssertionError, match="standard errors from the pooled one"):
        check(STUDY, ANALYSES["logistic"], ROWS)


def test_chance_in_a_message_is_caught(monkeypatch):
    draw = np.random.default_rng(0)
    spoilt(
        monkeypatch,
        "start",
        lambda m, *_: {**m, "score": m["score"] * (1 + 1e-13 * draw.random())},
    )

    with pytest.raises(AssertionError, match=r"a second time|from the pooled one"):
        check(STUDY, ANALYSES["logistic"], ROWS)


def test_a_finding_that_hangs_on_the_order_of_sites_is_caught(monkeypatch):
    seen = []

    def first_site(message, _, rows):
        seen.append(rows.site)
        return {**message, "score": message["score"] * (1 + 1e-12 * (len(seen) % 7))}

    spoilt(monkeypatch, "start", first_site)

    with pytest.raises(AssertionError):
        check(STUDY, ANALYSES["logistic"], ROWS)


def test_a_message_beyond_its_declaration_is_caught(monkeypatch):
    spoilt(monkeypatch, "start", lambda m, *_: {**m, "score": m["score"] * 1e6})

    with pytest.raises(OutOfBounds, match="'score'"):
        check(STUDY, ANALYSES["logistic"], ROWS)


def test_an_answer_to_collinear_columns_is_caught(monkeypatch):
    def ridge(information, names):
        return invert(information + 1e-3 * np.eye(len(information)), names)

    monkeypatch.setattr(logistic, "invert", ridge)
    monkeypatch.setattr(newton, "invert", ridge)

    with pytest.raises(AssertionError, match="determine each other"):
        check(STUDY, ANALYSES["logistic"], ROWS)


def test_rows_without_an_answer_say_so():
    rows = {**ROWS, "ill": np.zeros(700, dtype=np.int64)}

    with pytest.raises(NotEstimable):
        check(STUDY, ANALYSES["logistic"], rows)
