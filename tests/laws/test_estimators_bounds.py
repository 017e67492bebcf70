"""What a site sends is what it declared, whatever the rows and the state."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetao.analysis import (
    Finding,
    check_message,
    estimator_for,
    glmm,
    make_rows,
    oracle,
)
from hetao.analysis.expressions import bounds_of, value_of
from hetao.analysis.measuring import Measuring
from hetao.errors import InvalidStudy, NotEstimable, OutOfBounds
from hetao.study import parse_expression
from support_analysis import (
    ANALYSES,
    MODELS,
    STUDY,
    assert_same,
    estimates,
    people,
    split,
)

SOME = settings(max_examples=40, deadline=None)


DIES = {"died": np.ones(10, dtype=np.int64)}  # of so few, two cells


def extreme(columns, seed):
    """Push some of each number to its public bounds."""
    rng = np.random.default_rng(seed)
    pushed = dict(columns)
    for variable in STUDY.variables:
        if variable.kind == "number":
            array = columns[variable.name].copy()
            low, high = variable.bounds
            array[rng.random(len(array)) < 0.2] = low
            array[rng.random(len(array)) < 0.2] = high
            pushed[variable.name] = array
    return pushed


@pytest.mark.parametrize("name", sorted({*ANALYSES} - {"screen"}))  # see test_screen
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 80),
    size=st.sampled_from([0.0, 0.1, 1.0, 3.0, 10.0, 100.0]),
)
@SOME
def test_every_message_obeys_its_declaration(name, seed, n, size):
    method = estimator_for(STUDY, ANALYSES[name])
    rows = make_rows(method.plan, extreme(people(seed, n), seed), "aa")
    asked = method.sizes().get("params", method.plan.parameters)
    beta = np.random.default_rng(seed).normal(0, 1, asked) * size

    check_message(method.start(rows), method.declare(0), rows.n)
    state = first_state(method.name, seed, beta)
    if method.name == "km_merged":
        few = make_rows(method.plan, extreme(people(seed, 10), seed) | DIES, "aa")
        state = method.step(method.start(few), None, 0)
    if name.startswith("glmm"):
        state["log_tau"] = glmm_looks(seed)
    if method.name == "negative_binomial":
        state["log_theta"] = np.log(10) * np.array([seed % 10 - 3.5])  # to 3e5
    if method.name == "boosted_trees":
        state = growing(method, seed)
    state |= measuring(method, seed, size)
    if method.name == "cox_merged":
        state["cut"] = np.minimum(np.arange(61) // 7 * 7 + 6.0, 60)
    if method.plan.score:
        draw = np.random.default_rng(seed)
        gamma = draw.normal(0, 1, method.plan.score.parameters) * size
        state |= {"gamma": gamma, "gamma done": np.ones(2), "begun": np.full(1, 5.0)}
        state["caliper"] = np.full(1, 0.1 + size)
    if method.name == "cox_score_strata" and seed % 5:
        state["cuts"] = np.sort(np.random.default_rng(seed).integers(0, 1025, 4) * 1.0)
    if (method.plan.is_robust or method.plan.score) and seed % 2:
        state["last"] = np.ones(1)
    try:
        message = method.local(rows, state)
    except NotEstimable:
        return  # refused rather than beyond its bound
    number = method.most_rounds - 1 if "line" in state else 1  # measured at the end
    check_message(message, method.declare(number), rows.n)


def first_state(name, seed, beta):
    """Return a state that holds what the method calls it, at made-up values."""
    if name == "lmm":
        return {"log_ratio": np.array([seed % 74 - 60.0])}
    if name == "quantiles":
        method = estimator_for(STUDY, ANALYSES[name])
        rows = make_rows(method.plan, extreme(people(seed, 300), seed), "aa")
        state, number = method.step(method.start(rows), None, 0), 1
        while number <= seed % 4 and isinstance(state, dict):  # any round, of others
            last, number = state, number + 1
            state = method.step(method.local(rows, state), state, number - 1)
        return state if isinstance(state, dict) else last
    if name == "neural_network":
        number = np.array([1.0 + seed % 4])
        now = {"weights": beta, "round": number}
        return now | {"previous": beta / 2, "control": beta}
    return {"beta": beta}


def glmm_looks(seed):
    """Return as many log taus as round 1 looks at, anywhere that a site computes."""
    found = np.random.default_rng(seed).uniform(glmm.LEAST, glmm.HIGHEST, 11)
    found[seed % 11] = glmm.NONE
    return found


def measuring(method, seed, size):
    """Return what makes a state measure predictions; nothing where it does not."""
    measures = isinstance(method, Measuring)
    if not measures or (method.plan.analysis.coefficients == () and seed % 3 == 0):
        return {}
    draw = np.random.default_rng(seed)
    return {
        "line": draw.normal(0, size, 2),
        "level": draw.normal(0, size, 1),
        ("edges", "cuts")[seed % 2]: np.sort(draw.random(method.sizes()["bins"] - 1)),
    }


def growing(method, seed):
    """Return a state in the middle of growing trees."""
    draw = np.random.default_rng(seed)
    sizes, asked = method.sizes(), method.plan.analysis.boosting
    shape = (sizes["nodes"], sizes["p"], sizes["cells"])
    scale = 10.0 ** (seed % 4 - 1)
    return {
        "grid": np.sort(draw.uniform(-1, 1, (shape[1], shape[2] - 1))),
        "base": draw.normal(0, scale, 1),
        "column": draw.integers(-1, shape[1], (asked.trees, 3)).astype(float),
        "cut": draw.integers(0, shape[2], (asked.trees, 3)).astype(float),
        "value": draw.normal(0, scale, (asked.trees, 7)),
        "at": np.array([1.0, float(seed % 2), float(seed % 4 > 1)]),
        "runs": np.sort(draw.integers(0, shape[2], shape)).astype(float),
    }


@pytest.mark.parametrize("name", sorted(ANALYSES))
def test_no_one_sends_nothing(name):
    method = estimator_for(STUDY, ANALYSES[name])
    rows = make_rows(method.plan, people(0, 0), "aa")

    message = method.start(rows)

    assert rows.n == 0
    assert not any(array.any() for array in message.values())


@given(
    text=st.sampled_from(
        [
            "age",
            "log(chol)",
            "(age - 50)/10",
            "age**2",
            "(age - 60)**2",
            "(age - 60)**3",
            "(age - 60)**-2 + 1",
            "sqrt(chol)/log1p(age)",
            "exp(age/100) - abs(age - 70)",
            "chol**0.5*(score + age)",
            "-score",
            "1/(score - 100)",
            "abs(score)",
            "chol**(age/100)",
            "age*sin(2*pi*day/365.25) - cos(score)**2",
        ]
    ),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=200, deadline=None)
def test_the_public_bounds_hold_every_value(text, seed):
    rng = np.random.default_rng(seed)
    known = {v.name: v.bounds for v in STUDY.variables if v.kind == "number"}
    columns = {
        name: np.append(rng.uniform(low, high, 50), [low, high])
        for name, (low, high) in known.items()
    }
    expression = parse_expression(text)

    try:
        low, high = bounds_of(expression, known)
    except InvalidStudy:
        assert text == "(age - 60)**-2 + 1"
        return
    values = value_of(expression, columns)

    slack = 1e-9 * max(abs(low), abs(high))
    assert low - slack <= values.min()
    assert values.max() <= high + slack


@pytest.mark.parametrize(
    "term",
    [
        "ns(age, df = 1)",
        "ns(age, knots = c(20, 21, 97))",
        "ns(age, df = 4, Boundary.knots = c(40, 41))",
        "ns(log(chol), df = 5)",
        "bs(age, df = 3)",
        "bs(score, knots = c(-59, 0, 1), degree = 1)",
        "bs(age, df = 6, degree = 5)",
        "ns(age, df = 2):bs(chol, df = 3):sex",
    ],
)
def test_the_public_bounds_hold_every_column_of_a_spline(term):
    rng = np.random.default_rng(1)
    columns = {
        v.name: np.append(rng.uniform(*v.bounds, 998), v.bounds)
        for v in STUDY.variables
        if v.kind == "number"
    } | {"sex": rng.integers(0, 2, 1000)}
    analysis = replace(ANALYSES["linear"], terms=(term,))

    plan = estimator_for(STUDY, analysis).plan
    design = make_rows(plan, columns, "aa").X

    assert np.abs(design).max() <= 1 + 1e-9
    # ... and no bound is so wide that the fixed point of the sum would lose the column
    assert np.abs(design).max(axis=0).min() > 0.05


@given(value=st.floats(allow_nan=False))
@SOME
def test_a_value_beyond_its_bounds_never_becomes_a_row(value):
    method = estimator_for(STUDY, ANALYSES["linear"])
    columns = people(1, 30) | {"score": np.full(30, value)}

    if -60 <= value <= 60:
        rows = make_rows(method.plan, columns, "aa")
        assert np.abs(rows.y).max() <= 1
        return
    with pytest.raises(OutOfBounds) as caught:
        make_rows(method.plan, columns, "aa")
    assert "'score'" in str(caught.value)
    assert repr(value) not in str(caught.value)


@pytest.mark.parametrize("name", MODELS)
def test_wider_public_bounds_change_no_answer(name):
    parts = split(people(4, 400), (0.2, 0.7))
    # on a grid hazards are summed, which bounds far too wide make too small to be told
    by = 2 if name.startswith("cox_grid") else 17
    wide = replace(STUDY, variables=tuple(widened(v, by) for v in STUDY.variables))

    narrow = oracle(STUDY, ANALYSES[name], parts)
    answer = oracle(wide, ANALYSES[name], parts)

    assert_same(answer, *estimates(narrow), narrow.as_json()["loglik"])


def widened(variable, by):
    if variable.kind != "number":
        return variable
    low, high = variable.bounds
    return replace(variable, bounds=(low, high * by + 3))


@pytest.mark.parametrize("name", MODELS)
def test_a_step_is_a_function_of_the_totals_and_changes_nothing(name):
    method = estimator_for(STUDY, ANALYSES[name])
    rows = make_rows(method.plan, people(5, 300), "aa")
    state = None

    for number in range(3):
        message = method.start(rows) if state is None else method.local(rows, state)
        before = {key: array.copy() for key, array in message.items()}
        first = method.step(message, state, number)
        again = method.step(message, state, number)
        for key, array in before.items():
            np.testing.assert_array_equal(message[key], array)
        if isinstance(first, Finding):
            assert first.as_json() == again.as_json()
            return
        assert first.keys() == again.keys()
        for key, array in first.items():
            assert array.dtype == np.float64
            assert np.isfinite(array).all()
            np.testing.assert_array_equal(array, again[key])
        state = first


@pytest.mark.parametrize("theta", [1.01e-4, 1.0, 0.99e6])
@pytest.mark.parametrize("log_mean", [-290.0, -20.0, 0.0, 18.0])
def test_a_negative_binomial_at_its_ends_obeys_its_declaration(theta, log_mean):
    method = estimator_for(STUDY, ANALYSES["negative_binomial_weighted"])
    columns = extreme(people(1, 60), 1) | {"share": np.full(60, 4.0)}
    rows = make_rows(method.plan, columns, "aa")
    beta = np.zeros(method.plan.parameters)
    beta[0] = log_mean
    state = {"beta": beta, "log_theta": np.log([theta]), "last": np.ones(1)}

    check_message(method.local(rows, state), method.declare(1), rows.n)
