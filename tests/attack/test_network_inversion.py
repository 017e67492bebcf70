"""Gradients give patients back where few stand behind them, and none from what leaves.

The attacks are the published ones: a unit's gradient divided by its bias's (exact for
one patient), a unit that one patient alone moves, rows fitted until they would have
sent the same sum, and asking whether somebody was among those it was trained on.
"""

import functools
import itertools
from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import Finding, estimator_for, evidence, make_rows, weighed
from hetao.errors import HighLeverage, SmallCohort, TooManyParameters
from hetao.release import STRICT, check_people
from hetao.release.minimums import check_model
from hetao.study import Analysis, Network
from support_analysis import VARIABLES, people, split, study_of

HOSPITALS = ("north", "middle", "south")
TERMS = ("age", "sex", "log(chol)", "grade")
ROUNDS, SAME = 6, 1e-9
MINIMUM = STRICT


def asked(**how):
    network = Network(
        **{"layers": (4,), "rounds": ROUNDS, "batch_size": 0, "lr": 0.5, **how}
    )
    analysis = Analysis(
        "net", "neural_network", outcome="ill", terms=TERMS, network=network
    )
    study = study_of(VARIABLES, analysis, sites=HOSPITALS)
    return estimator_for(study, analysis)


def hospitals(method, n=1140, seed=21):
    parts = split(people(seed, n), (1 / 3, 2 / 3), HOSPITALS)
    return [make_rows(method.plan, part, site) for site, part in parts.items()]


def totals(method, rows):
    """Return each round's weights and the summed message, up to the finding."""
    state, seen = None, []
    while True:
        sent = [method.local(r, state) if state else method.start(r) for r in rows]
        weights = state["weights"] if state else method.form.first(method.network.seed)
        seen.append((weights, {k: sum(one[k] for one in sent) for k in sent[0]}))
        state = method.step(seen[-1][1], state, len(seen) - 1)
        if isinstance(state, Finding) or "line" in state:
            return seen


def by_bias(method, vector):
    """Return each first unit's gradient divided by that of its bias, (units, p)."""
    first = method.form.matrices(vector)[0]
    return (first / first[0]).T


def gradients(method, weights, X, y):
    """Return each person's own gradient of a network of one hidden layer, (n, size)."""
    first, last = method.form.matrices(weights)
    hidden = np.tanh(X @ first)
    inside = np.hstack([np.ones((len(X), 1)), hidden])
    error = 1 / (1 + np.exp(-(inside @ last)[:, 0])) - y
    pull = error[:, None] * last[1:, 0] * (1 - hidden**2)
    outer = (X[:, :, None] * pull[:, None, :]).reshape(len(X), -1)
    return np.hstack([outer, inside * error[:, None]])


def test_one_patients_own_message_is_the_patient_and_is_refused(record_property):
    method = asked()
    everyone = hospitals(method)[0]
    found = 0
    for i in range(100):
        one = replace(
            everyone,
            n=1,
            **{
                k: getattr(everyone, k)[i : i + 1]
                for k in ("X", "y", "offset", "weight")
            },
        )
        rows = by_bias(method, method.start(one)["update"])
        found += np.abs(rows - one.X).max() < SAME

    record_property("figure", f"{found} of 100 of one's own message, which is refused")
    assert found == 100
    with pytest.raises(SmallCohort):
        check_people(MINIMUM, "north", 1)


def test_a_unit_that_one_patient_moves_gives_the_patient_out_of_the_sum():
    """... so that the gate refuses a state at which there is one."""
    method = asked(activation="relu")
    rows = hospitals(method)
    weights = method.form.first(0)
    first = method.form.matrices(weights)[0]
    oldest = np.sort(np.concatenate([r.X[:, 1] for r in rows]))[-2:]
    first[:, 0] = 0.0
    first[:2, 0] = -oldest.mean(), 1.0  # open to the oldest patient of all alone
    state = method._opening() | {"weights": weights, "round": np.ones(1)}

    total = sum(method.local(r, state)["update"] for r in rows)

    holder = max(rows, key=lambda r: r.X[:, 1].max())
    patient = holder.X[holder.X[:, 1].argmax()]
    alone = method.form.matrices(total)[0][:, 0]
    assert np.abs(alone / alone[0] - patient).max() < SAME
    facts = evidence(method.plan, holder)
    assert facts.max_leverage < MINIMUM.leverage
    facts = weighed(facts, method.plan, holder, method.weights(holder, state))
    with pytest.raises(HighLeverage):
        check_model(facts, MINIMUM, "north")


def test_every_weight_counts_as_a_parameter():
    method = asked(layers=(8,))
    rows = hospitals(method)[0]
    facts, _ = method.guarded(evidence(method.plan, rows), rows, None)

    assert facts.parameters == method.form.size > rows.n / 10
    with pytest.raises(TooManyParameters):
        check_model(facts, MINIMUM, "north")


def test_a_sum_over_two_sites_is_thin_to_the_gate():
    """Each of the two could subtract its own part; so the cell is one person."""
    method = asked()
    rows = hospitals(method)[0]
    facts, own_cells = method.guarded(evidence(method.plan, rows), rows, None)

    assert not method.publishable
    assert min(facts.cells.values()) == 1
    assert not own_cells  # over three sites the sum may be


@functools.cache
def summed():
    method = asked()
    rows = hospitals(method)
    facts, _ = method.guarded(evidence(method.plan, rows[0]), rows[0], None)
    check_model(facts, MINIMUM, "north")  # so many weights may be
    return method, rows, totals(method, rows)


def test_no_patient_stands_in_a_sum_or_between_two():
    method, rows, seen = summed()
    X = np.vstack([r.X for r in rows])
    updates = [total["update"] for _, total in seen[:-1]]
    between = [b - a for a, b in itertools.pairwise(updates)]

    guesses = np.vstack([by_bias(method, one) for one in updates + between])

    away = np.abs(guesses[:, None, :] - X[None]).max(axis=2)
    assert away.min() > 1e-3


def test_rows_fitted_to_the_sum_are_no_nearer_than_guesses(record_property):
    """They send the very same sum, and lie no nearer to a patient than before."""
    method, rows, seen = summed()
    X, y = np.vstack([r.X for r in rows]), np.concatenate([r.y for r in rows])
    weights, total = seen[0]
    target = -total["update"] / method.network.lr
    draw = np.random.default_rng(3)
    guess = np.column_stack([draw.permutation(column) for column in X.T])
    unknown = [i for i, column in enumerate(X.T) if len(set(column)) > 5]

    fitted = guess.copy()
    for _ in range(6):
        gap = target - gradients(method, weights, fitted, y).sum(axis=0)
        slopes = []
        for place in unknown:
            moved = fitted.copy()
            moved[:, place] += 1e-6
            change = gradients(method, weights, moved, y)
            slopes.append((change - gradients(method, weights, fitted, y)) / 1e-6)
        jacobian = np.stack(slopes, axis=2).transpose(1, 0, 2).reshape(len(gap), -1)
        step = np.linalg.lstsq(jacobian, gap, rcond=0.05)[0]
        fitted[:, unknown] += step.reshape(len(X), -1)

    before, after = (
        np.linalg.norm(target - gradients(method, weights, rows, y).sum(axis=0))
        for rows in (guess, fitted)
    )
    assert after < before / 4
    nearer = nearest(X, fitted) / nearest(X, guess)
    record_property("figure", f"rows fitted to the sum: {nearer:.2f} of a guess's way")
    assert nearer > 0.98


def nearest(X, rows):
    """Return how far from each patient the nearest row lies, on the mean."""
    away = ((X[:, None, :] - rows[None]) ** 2).sum(axis=2)
    return float(np.sqrt(away.min(axis=1)).mean())


def test_the_sums_and_the_final_weights_do_not_tell_who_took_part(record_property):
    method, rows, seen = summed()
    others = hospitals(method, seed=22)
    X = [np.vstack([r.X for r in group]) for group in (rows, others)]
    y = [np.concatenate([r.y for r in group]) for group in (rows, others)]
    final = seen[-1][0]

    losses = [-method.form.losses(final, *pair) for pair in zip(X, y, strict=True)]
    pulls = [
        sum(
            -gradients(method, w, *pair)
            @ (total["update"] / np.linalg.norm(total["update"]))
            for w, total in seen[:-1]
        )
        for pair in zip(X, y, strict=True)
    ]

    areas = [auc(members, strangers) for members, strangers in (losses, pulls)]
    said = " and ".join(f"{area:.2f}" for area in areas)
    record_property("figure", f"AUC of weights and sums {said}")
    assert max(abs(area - 0.5) for area in areas) < 0.05


def auc(members, strangers):
    """Return how often a member scores above a stranger."""
    both = np.concatenate([members, strangers])
    ranks = both.argsort().argsort() + 1.0
    n, m = len(members), len(strangers)
    return (ranks[:n].sum() - n * (n + 1) / 2) / (n * m)
