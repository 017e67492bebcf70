"""A penalised path over sites is that of the pooled rows in the same folds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetao.analysis import Finding, estimator_for, make_rows, oracle
from hetao.analysis.elastic import minimise
from hetao.analysis.folds import folds_of
from hetao.analysis.paths import chosen_path
from hetao.errors import NotEstimable
from support_analysis import ANALYSES, SHRUNK, STUDY, people, refuse_or, split

SEEDS = st.integers(0, 2**32 - 1)
CUTS = st.lists(st.floats(0, 1), max_size=4)
SOME = settings(max_examples=8, deadline=None)


def pooled_in_the_folds_of(analysis, parts):
    """Return the finding of all rows at one site, each in the fold of its own site."""
    method = estimator_for(STUDY, analysis)
    apart = [make_rows(method.plan, columns, site) for site, columns in parts.items()]
    names = next(iter(parts.values()))
    columns = {
        name: np.concatenate([part[name] for part in parts.values()]) for name in names
    }
    fold = np.concatenate([rows.fold for rows in apart])
    rows = replace(make_rows(method.plan, columns, "aa"), fold=fold)
    state = None
    for number in range(method.most_rounds):
        sums = method.start(rows) if state is None else method.local(rows, state)
        state = method.step(sums, state, number)
        if isinstance(state, Finding):
            return state
    raise AssertionError


@pytest.mark.parametrize("name", SHRUNK)
@given(seed=SEEDS, n=st.integers(150, 400), cuts=CUTS)
@SOME
def test_any_split_gives_the_pooled_path(name, seed, n, cuts):
    parts, analysis = split(people(seed, n), cuts), ANALYSES[name]
    reference, refused = refuse_or(lambda: pooled_in_the_folds_of(analysis, parts))

    if refused is not None:
        with pytest.raises(refused):
            oracle(STUDY, analysis, parts)
        return
    ours, theirs = oracle(STUDY, analysis, parts).as_json(), reference.as_json()

    assert_close(ours["path"], theirs["path"])
    for key in ("n", "events", "rounds", "select"):
        assert ours[key] == theirs[key]
    assert ours["lambda"] == pytest.approx(theirs["lambda"], rel=1e-9)


def assert_close(ours, theirs):
    """Hold coefficients to 1e-9 of the largest of their own column, or their zeros."""
    a, b = (np.array([one["coefficients"] for one in path]) for path in (ours, theirs))
    assert np.all(np.abs(a - b) <= 1e-9 * np.abs(b).max(axis=0) + 1e-300)
    np.testing.assert_array_equal(a == 0, b == 0)
    for key in ("lambda", "deviance", "deviance_se"):
        values = [[one[key] for one in path] for path in (ours, theirs)]
        if None not in values[0]:
            np.testing.assert_allclose(*values, rtol=1e-8)


@pytest.mark.parametrize("name", SHRUNK)
def test_wider_public_bounds_change_no_path(name):
    parts = split(people(4, 400), (0.2, 0.7))
    wide = replace(STUDY, variables=tuple(map(widened, STUDY.variables)))

    narrow = oracle(STUDY, ANALYSES[name], parts).as_json()
    answer = oracle(wide, ANALYSES[name], parts).as_json()

    assert_close(answer["path"], narrow["path"])


def widened(variable):
    if variable.kind != "number":
        return variable
    low, high = variable.bounds
    return replace(variable, bounds=(low, high * 17 + 3))


# --- folds --------------------------------------------------------------------------
@given(seed=st.integers(-(2**53), 2**53), n=st.integers(0, 300), k=st.integers(3, 20))
def test_folds_are_even_and_follow_from_the_seed_and_the_place(seed, n, k):
    found = folds_of(seed, "aa", n, k)

    sizes = np.bincount(found, minlength=k)
    assert (len(found), len(sizes)) == (n, k)
    assert sizes.max() - sizes.min() <= 1
    np.testing.assert_array_equal(found, folds_of(seed, "aa", n, k))


def test_folds_differ_by_seed_and_by_site_and_stay_what_they_were():
    first = folds_of(1, "aa", 12, 3)

    assert first.tolist() == FIXED
    assert (folds_of(2, "aa", 12, 3) != first).any()
    assert (folds_of(1, "bb", 12, 3) != first).any()


FIXED = [2, 2, 2, 1, 1, 0, 1, 2, 0, 0, 1, 0]  # as certified studies have them


# --- the hub's arithmetic -----------------------------------------------------------
@given(seed=SEEDS, p=st.integers(1, 7), share=st.sampled_from([0.0, 0.4, 1.0]))
@settings(max_examples=60, deadline=None)
def test_a_minimum_meets_its_conditions(seed, p, share):
    rng = np.random.default_rng(seed)
    root = rng.normal(0, 1, (3, 30, p)) * rng.uniform(0.1, 10, p)
    H = np.einsum("fni,fnj->fij", root, root)
    c = rng.normal(0, 20, (3, p))
    free = rng.random(p) < 0.2
    weight = np.where(free, 0.0, rng.uniform(1, 20))
    l1, l2 = (np.tile(weight * part, (3, 1)) for part in (share, 1 - share))

    b = minimise(H, c, l1, l2, np.zeros((3, p)))

    slope = c - np.einsum("fij,fj->fi", H, b) - l2 * b
    gap = np.where(b != 0, np.abs(slope - l1 * np.sign(b)), np.abs(slope) - l1)
    assert gap.max() < 1e-10 * np.abs(c).max()


def test_two_columns_that_are_one_have_no_unique_lasso():
    H = np.ones((1, 2, 2))

    with pytest.raises(NotEstimable):
        minimise(H, np.ones((1, 2)), np.zeros((1, 2)), np.zeros((1, 2)), H[:, 0])


def test_the_rule_of_one_error_takes_the_strongest_within_it():
    lambdas = np.array([3.0, 2.0, 1.0])
    held = np.array([[30.0, 33.0, 30.0], [20.5, 20.0, 21.0], [20.0, 21.0, 20.0]])

    near = chosen_path(lambdas, held, np.array([10.0, 10.0, 10.0]), "lambda.1se")
    best = chosen_path(lambdas, held, np.array([10.0, 10.0, 10.0]), "lambda.min")

    assert (near.place, best.place) == (1, 2)
    assert near.said["lambda_min"] == best.said["lambda_min"] == 1.0
    assert near.said["lambda_1se"] == best.said["lambda_1se"] == 2.0
    # three means of 2.0, 2.1 and 2.0: their variance / 3 by hand
    assert near.curve[2]["deviance_se"] == pytest.approx(0.1 / 3)
