"""States at which every outcome is beyond doubt: two of them tell one person's row.

A coordinator and a hub together may choose states. Where all probabilities are 0 or 1
the working weights are 0 to the last digit, or alike by a limit of the numbers, and a
leverage under them sees nobody.
"""

import numpy as np
import pytest
from scipy.special import expit

from hetao.analysis import Finding, estimator_for, evidence, make_rows, weighed
from hetao.analysis.doubt import FEW, SURE, working
from hetao.study import Analysis, Minimum
from support_analysis import category, number, study_of

VARIABLES = (
    number("age", -1, 1),
    number("dose", -1, 1),
    category("arm", "old", "new"),
    category("ill", "no", "yes"),
)
STEEP = 1e6
PEOPLE = 300


def people(seed=1, slope=1.0):
    draw = np.random.default_rng(seed)
    age = draw.uniform(-1, 1, PEOPLE)
    arm = draw.integers(0, 2, PEOPLE)
    risk = expit(slope * (age + 0.3 * arm - 0.2))
    ill = (draw.random(PEOPLE) < risk).astype(np.int64)
    return {"age": age, "dose": draw.uniform(-1, 1, PEOPLE), "arm": arm, "ill": ill}


def prepared(analysis, columns):
    study = study_of(VARIABLES, analysis)
    method = estimator_for(study, analysis).within(Minimum())
    rows = make_rows(method.plan, columns, "aa")
    return method, rows, evidence(method.plan, rows)


PLAIN = Analysis("m", "logistic", outcome="ill", terms=("1", "age", "dose"))
CROSSED = Analysis("m", "logistic", outcome="ill", terms=("1", "age", "arm", "arm:age"))


def borders(values, at):
    """Return two thresholds between which only the person at a rank lies."""
    known = np.sort(values)
    return (known[at - 1] + known[at]) / 2, (known[at] + known[at + 1]) / 2


def leverage(method, rows, facts, beta):
    weights = method.weights(rows, {"beta": np.asarray(beta, dtype=float)})
    return weighed(facts, method.plan, rows, weights).max_leverage


def test_two_states_beyond_doubt_tell_a_persons_row_and_are_refused():
    columns = people()
    method, rows, facts = prepared(PLAIN, columns)
    low, high = borders(columns["age"], 150)
    states = [np.array([-STEEP * t, STEEP, 0.0]) for t in (low, high)]

    first, second = (method.local(rows, {"beta": beta})["score"] for beta in states)

    target = np.argsort(columns["age"])[150]
    assert second - first == pytest.approx(rows.X[target], abs=1e-9)  # the attack
    assert facts.max_leverage < 0.1
    for beta in states:
        assert leverage(method, rows, facts, beta) > 0.5


def test_a_group_that_is_beyond_doubt_beside_others_in_doubt_is_looked_at_by_itself():
    """In the other arm nothing changes, so its people hide nobody."""
    columns = people(2)
    method, rows, facts = prepared(CROSSED, columns)
    treated = columns["age"][columns["arm"] == 1]
    states = [coefficients(rows, columns, t) for t in borders(treated, 60)]
    told = [method.local(rows, {"beta": one})["score"] for one in states]

    changed = np.abs(told[1] - told[0]).max()
    assert 0 < changed <= 1 + 1e-9  # one row and no more
    for one in states:
        assert leverage(method, rows, facts, one) > 0.5


def coefficients(rows, columns, threshold):
    """Return standardised coefficients whose predictor is STEEP arm (age - t)."""
    inside = STEEP * columns["arm"] * (columns["age"] - threshold)
    beta, *_ = np.linalg.lstsq(rows.X, inside, rcond=None)
    assert np.abs(rows.X @ beta)[columns["arm"] == 0].max() < SURE
    return beta


METHODS = {
    "firth": Analysis(
        "m", "logistic", outcome="ill", terms=("1", "age", "dose"), penalty="firth"
    ),
    "glmm": Analysis(
        "m", "glmm", outcome="ill", terms=("1", "age", "dose"), family="binomial"
    ),
}


@pytest.mark.parametrize("name", list(METHODS))
def test_what_is_made_of_a_logistic_model_refuses_such_states_too(name):
    columns = people(4)
    method, rows, facts = prepared(METHODS[name], columns)
    threshold, _ = borders(columns["age"], 150)
    state = {"beta": np.array([-STEEP * threshold, STEEP, 0.0])}
    if name == "glmm":
        state["log_tau"] = np.array([0.0])
    weights = method.weights(rows, state)

    assert weighed(facts, method.plan, rows, weights).max_leverage > 0.5


# --- honest states --------------------------------------------------------------------
@pytest.mark.parametrize("slope", [1.0, 5.0, 30.0])
def test_the_states_of_an_honest_fit_are_let_through(slope):
    method, rows, facts = prepared(PLAIN, people(4, slope))
    state, number = None, 0
    while not isinstance(state, Finding):
        if state is not None:
            assert leverage(method, rows, facts, state["beta"]) < 0.5
        sent = method.local(rows, state) if state else method.start(rows)
        state, number = method.step(sent, state, number), number + 1


def test_those_in_doubt_weigh_as_they_always_did():
    eta = np.random.default_rng(5).normal(0, 3, 1000)

    assert working(eta) == pytest.approx((expit(eta) * (1 - expit(eta)))[None, :])
    few = np.concatenate([eta, np.full(FEW - 1, SURE + 5)])
    assert len(working(few)) == 1
