"""Boosted trees over sites = those of the pooled rows, and scikit-learn's.

Two oracles: scikit-learn's histogram boosting, whose bins are ours where each value of
a column has its own, and a recursion over whole rows that knows no histogram.
"""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)

from hetao.analysis import make_plan, make_rows, oracle
from hetao.analysis.boosting import is_held_out
from hetao.study import Analysis, Boosting, Minimum
from support_analysis import STUDY, distance, people, split
from support_performance import binned, complete, delong, errors

pytestmark = pytest.mark.held_to("scikit-learn's histogram boosting", "made up")

CUTS = (0.1, 0.3, 0.45, 0.8)
SINGLE = replace(STUDY, minimum=Minimum(cell=1))  # each value is a bin of its own
NAMES = ("age", "sex[male]", "chol")
ASKED = Boosting(trees=8, depth=3, learning_rate=0.15, bins=128, l2=0.7, holdout=0.0)


def rounded(seed, n):
    """Return complete columns whose numbers have fewer than 128 values."""
    columns = complete(people(seed, n))
    columns["chol"] = np.round(columns["chol"], -1)
    columns["age"] = np.round(columns["age"])
    return columns


def matrix(columns):
    X = [columns["age"], columns["sex"], columns["chol"]]
    return np.column_stack(X).astype(float)


def asked_of(outcome, boosting=ASKED):
    return Analysis(
        "trees",
        "boosted_trees",
        outcome=outcome,
        terms=("age", "sex", "chol"),
        boosting=boosting,
    )


def raw_of(found, X):
    """Return what the published trees add up to, walked down row by row."""
    raw = np.full(len(X), found["base"])
    for tree in found["trees"]:
        nodes = {node["node"]: node for node in tree}
        for i, row in enumerate(X):
            node = nodes[0]
            while "value" not in node:
                below = row[NAMES.index(node["column"])] < node["below"]
                node = nodes[node["left"] if below else node["right"]]
            raw[i] += node["value"]
    return raw


def grown(X, slope, curve, depth, asked):
    """Return (n,) what one tree adds, by trying every value of every column."""
    best, chosen, n = 0.0, None, len(X)
    whole = slope.sum() ** 2 / (curve.sum() + asked.l2)
    for j in range(X.shape[1]) if depth else ():
        for value in np.unique(X[:, j])[1:]:
            left = X[:, j] < value
            if min(left.sum(), n - left.sum()) < asked.min_people:
                continue
            gain = -whole
            for side in (left, ~left):
                gain += slope[side].sum() ** 2 / (curve[side].sum() + asked.l2)
            if gain > best + 1e-9 * abs(whole):
                best, chosen = gain, left
    if chosen is None:
        return np.full(n, -asked.learning_rate * slope.sum() / (curve.sum() + asked.l2))
    added = np.zeros(n)
    for side in (chosen, ~chosen):
        added[side] = grown(X[side], slope[side], curve[side], depth - 1, asked)
    return added


def recursion(X, y, asked, is_binary):
    raw = np.full(len(y), np.log(y.mean() / (1 - y.mean())) if is_binary else y.mean())
    for _ in range(asked.trees):
        p = 1 / (1 + np.exp(-raw)) if is_binary else raw
        curve = p * (1 - p) if is_binary else np.ones(len(y))
        raw += grown(X, p - y, curve, asked.depth, asked)
    return raw


@pytest.mark.parametrize("outcome", ["ill", "score"])
def test_trees_are_those_of_scikit_learn_and_of_a_recursion_over_rows(outcome):
    columns = rounded(1, 900)
    X, y = matrix(columns), columns[outcome].astype(float)
    is_binary = outcome == "ill"

    found = oracle(SINGLE, asked_of(outcome), split(columns, CUTS)).as_json()

    ours = raw_of(found, X)
    kind = (
        HistGradientBoostingClassifier if is_binary else HistGradientBoostingRegressor
    )
    model = kind(
        max_iter=ASKED.trees,
        max_depth=ASKED.depth,
        max_leaf_nodes=None,
        learning_rate=ASKED.learning_rate,
        min_samples_leaf=ASKED.min_people,
        l2_regularization=ASKED.l2,
        max_bins=128,
        early_stopping=False,
    ).fit(X, y)
    theirs = model.decision_function(X) if is_binary else model.predict(X)
    assert np.abs(ours - theirs).max() < 2e-6  # their gradients have 24 bits
    by_rows = recursion(X, y, ASKED, is_binary)
    scale = 1.0 if is_binary else 60.0
    assert np.abs(ours - by_rows).max() < 1e-8 * scale  # ours have 30
    assert len(found["trees"]) == ASKED.trees
    assert found["rounds"] <= 1 + 5 * ASKED.trees + 6


def test_measures_are_those_of_the_people_held_out():
    asked = replace(ASKED, trees=6, depth=2, holdout=0.3)
    columns = rounded(2, 1600)
    X, y = matrix(columns), columns["ill"].astype(float)
    analysis = asked_of("ill", asked)
    plan = make_plan(SINGLE, analysis)
    held = is_held_out(make_rows(plan, columns, "aa").X, 0.3)

    finding = oracle(SINGLE, analysis, split(columns, CUTS))

    model = HistGradientBoostingClassifier(
        max_iter=6,
        max_depth=2,
        max_leaf_nodes=None,
        learning_rate=asked.learning_rate,
        min_samples_leaf=asked.min_people,
        l2_regularization=asked.l2,
        max_bins=128,
        early_stopping=False,
    ).fit(X[~held], y[~held])
    eta = model.decision_function(X[held])
    p = 1 / (1 + np.exp(-eta))
    found = finding.as_json()
    assert 0.25 < held.mean() < 0.35
    assert found["n"] == held.sum()
    assert found["learned"] == (~held).sum()
    expected = errors(y[held], p, eta)
    expected = {"auc": delong(y[held], binned(found, p)), **expected}
    away, se_away = distance(finding, *np.array(list(expected.values())).T)
    assert away < 1e-5  # a gradient of 24 bits
    assert se_away < 1e-5


@pytest.mark.held_to("second implementation: errors of whole people", "made up")
def test_errors_of_a_number_are_those_of_whole_people():
    asked = replace(ASKED, trees=4, depth=2)
    columns = rounded(3, 900)
    y = columns["score"]

    finding = oracle(SINGLE, asked_of("score", asked), split(columns, CUTS))

    away = (y - raw_of(finding.as_json(), matrix(columns))) ** 2
    n, step = len(y), 1e-20j
    w = np.ones((n, n)) + step * np.eye(n)
    mse = (w * away).sum(1) / w.sum(1)
    middle = (w * y).sum(1) / w.sum(1)
    spread = (w * (y - middle[:, None]) ** 2).sum(1) / w.sum(1)
    expected = [
        (m.real[0], np.sqrt(np.sum((m.imag / 1e-20) ** 2)))
        for m in (mse, np.sqrt(mse), 1 - mse / spread)
    ]
    off, se_off = distance(finding, *np.array(expected).T)
    assert off < 1e-9
    assert se_off < 1e-8
