"""`hetao.testing.oracle` passes exact estimators, and catches each way to be wrong."""

from dataclasses import replace

import numpy as np
import pytest

import hetao
from hetao.analysis import logistic, newton, rows
from hetao.analysis.logistic import Logistic
from hetao.analysis.newton import invert
from hetao.errors import NotEstimable, OutOfBounds
from hetao.testing import oracle
from support_analysis import ANALYSES, OF_SITES, STUDY, people

ROWS = people(11, 700)
KNOWN = ~np.isnan(ROWS["age"]) & (ROWS["grade"] >= 0)
COMPLETE = {name: array[KNOWN][:600] for name, array in ROWS.items()}


@pytest.mark.parametrize("name", [one for one in ANALYSES if one not in OF_SITES])
def test_every_installed_estimator_is_exact(name):
    found = oracle(STUDY, ANALYSES[name], ROWS)

    assert found.splits == 12
    assert found.situations[:4] == ("split", "empty site", "one row", "permuted sites")
    assert found.estimate <= 1e-9
    assert found.numbers > 0


@pytest.mark.parametrize(
    ("name", "situations"),
    [
        ("logistic", ("collinear column", "zero weights")),
        ("linear_weighted", ("collinear column", "zero weights")),
        ("km_weighted", ("zero weights",)),
        ("km_scored", ("collinear column",)),
        ("ps_strata", ("collinear column",)),
        ("cox_breslow", ("collinear column", "zero weights")),
        ("ridge", ("zero weights",)),
        ("table1", ()),
    ],
)
def test_the_oracle_says_which_awkward_situations_it_ran(name, situations):
    found = hetao.testing.oracle(STUDY, ANALYSES[name], ROWS, splits=1)

    assert found.situations[4:] == situations


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
        oracle(STUDY, ANALYSES["logistic"], ROWS)


def test_chance_in_a_message_is_caught(monkeypatch):
    draw = np.random.default_rng(0)
    spoilt(
        monkeypatch,
        "start",
        lambda m, *_: {**m, "score": m["score"] * (1 + 1e-13 * draw.random())},
    )

    with pytest.raises(AssertionError, match=r"a second time|from the pooled one"):
        oracle(STUDY, ANALYSES["logistic"], ROWS)


def test_a_finding_that_hangs_on_the_order_of_sites_is_caught(monkeypatch):
    seen = []

    def first_site(message, _, rows):
        seen.append(rows.site)
        return {**message, "score": message["score"] * (1 + 1e-12 * (len(seen) % 7))}

    spoilt(monkeypatch, "start", first_site)

    with pytest.raises(AssertionError):
        oracle(STUDY, ANALYSES["logistic"], ROWS)


def test_a_message_beyond_its_declaration_is_caught(monkeypatch):
    spoilt(monkeypatch, "start", lambda m, *_: {**m, "score": m["score"] * 1e6})

    with pytest.raises(OutOfBounds, match="'score'"):
        oracle(STUDY, ANALYSES["logistic"], ROWS)


def test_an_answer_to_collinear_columns_is_caught(monkeypatch):
    def ridge(information, names):
        return invert(information + 1e-3 * np.eye(len(information)), names)

    monkeypatch.setattr(logistic, "invert", ridge)
    monkeypatch.setattr(newton, "invert", ridge)

    with pytest.raises(AssertionError, match="determine each other"):
        oracle(STUDY, ANALYSES["logistic"], ROWS)


# --- each situation, and an estimator that is wrong in it alone -----------------------
def at_size(size, change):
    """Return a change of messages of that many rows, and of no others."""

    def only(message, _, rows, *__):
        return change(message) if rows.n == size else message

    return only


def test_an_empty_site_that_counts_for_something_is_caught(monkeypatch):
    some = at_size(0, lambda m: {**m, "score": m["score"] + 1.0})
    spoilt(monkeypatch, "local", some)

    with pytest.raises(AssertionError, match=r"sites of \[0, 200, .* OutOfBounds"):
        oracle(STUDY, ANALYSES["logistic"], COMPLETE, splits=0)


def test_a_site_of_one_row_that_is_left_out_is_caught(monkeypatch):
    none = at_size(1, lambda m: {name: 0.0 * array for name, array in m.items()})
    spoilt(monkeypatch, "start", none)
    spoilt(monkeypatch, "local", none)

    with pytest.raises(AssertionError, match=r"count other people"):
        oracle(STUDY, ANALYSES["logistic"], COMPLETE, splits=0)


def test_a_site_of_one_row_that_counts_twice_is_caught(monkeypatch):
    twice = at_size(1, lambda m: {**m, "score": 2 * m["score"]})
    spoilt(monkeypatch, "local", twice)

    with pytest.raises((AssertionError, OutOfBounds), match=r"sites of \[1, 199"):
        oracle(STUDY, ANALYSES["logistic"], COMPLETE, splits=0)


def test_sites_whose_place_decides_are_caught(monkeypatch):
    """The first site to be asked in a round counts a hair more than the others."""
    last = [None]

    def first(message, _, rows, state):
        is_first = last[0] is not state
        last[0] = state
        return {**message, "score": message["score"] * (1 + 1e-11 * is_first)}

    spoilt(monkeypatch, "local", first)

    with pytest.raises(AssertionError, match="the order of sites changes"):
        oracle(STUDY, ANALYSES["logistic"], COMPLETE, splits=1)


def test_people_of_weight_0_who_are_counted_are_caught(monkeypatch):
    monkeypatch.setattr(rows, "_weighs", lambda plan, known: known["share"] >= 0)

    with pytest.raises(AssertionError, match=r"people of weight 0|count other people"):
        oracle(STUDY, ANALYSES["logistic_weighted"], COMPLETE, splits=1)


def test_weights_that_nobody_reads_are_caught(monkeypatch):
    def alike(self, rows, *more):
        return sound[len(more)](self, replace(rows, weight=np.ones(rows.n)), *more)

    sound = [Logistic.start, Logistic.local]
    monkeypatch.setattr(Logistic, "start", alike)
    monkeypatch.setattr(Logistic, "local", alike)

    with pytest.raises(AssertionError, match="hardly any weight move an estimate"):
        oracle(STUDY, ANALYSES["logistic_weighted"], COMPLETE, splits=1)


def test_an_answer_to_a_doubled_category_is_caught(monkeypatch):
    def ridge(information, names):
        return invert(information + 1e-3 * np.eye(len(information)), names)

    monkeypatch.setattr(logistic, "invert", ridge)
    monkeypatch.setattr(newton, "invert", ridge)
    of_sex = replace(ANALYSES["logistic"], terms=("sex", "grade"))

    with pytest.raises(AssertionError, match="determine each other"):
        oracle(STUDY, of_sex, ROWS, splits=1)


def test_rows_without_an_answer_say_so():
    rows = {**ROWS, "ill": np.zeros(700, dtype=np.int64)}

    with pytest.raises(NotEstimable):
        oracle(STUDY, ANALYSES["logistic"], rows)
