"""Published attacks: each works on a naive system, and finds nobody here.

Differencing, trackers and repeated random sums stand in `test_differencing.py`, risk
sets in `test_risk_sets.py`, gradients in `test_network_inversion.py`, yes/no columns in
`test_what_sums_reveal.py`, sums without one site in `test_hub.py`, replay in
`test_peers_faults.py`.
"""

import numpy as np
import pytest

from hetao.analysis import Evidence, Sum, estimator_for, evidence, make_rows
from hetao.errors import (
    HighLeverage,
    OutOfBounds,
    SmallCell,
    TooManyParameters,
    WrongShape,
)
from hetao.release import STRICT, Summary, add, check_values, decode, encode
from hetao.release.minimums import check_counts, check_model
from hetao.study import Analysis
from support_analysis import category, number, study_of

SITES = ("north", "middle", "south")
PEOPLE = 200


def site_rows(terms, columns, *variables):
    """Return a linear model's estimator and one site's rows of it."""
    analysis = Analysis("m", "linear", outcome="score", terms=terms)
    study = study_of((number("score", -60, 60), *variables), analysis, sites=SITES)
    method = estimator_for(study, analysis)
    return method, make_rows(method.plan, columns, "north")


def scores(seed=1, n=PEOPLE):
    return np.random.default_rng(seed).normal(0, 15, n).clip(-60, 60)


def fitted(rows):
    """Return what a system without a gate would publish: the coefficients."""
    return np.linalg.lstsq(rows.X, rows.y, rcond=None)[0]


# --- one-hot ------------------------------------------------------------------------
def test_a_column_that_one_person_has_gives_that_persons_outcome(record_property):
    """The coefficient of a column that is 1 for one person fits that one exactly."""
    found = refused = 0
    for patient in range(0, PEOPLE, 10):
        mark = np.zeros(PEOPLE, dtype=np.int64)
        mark[patient] = 1
        columns = {"score": scores(), "mark": mark}
        method, rows = site_rows(("1", "mark"), columns, category("mark", "no", "yes"))
        beta = fitted(rows)
        found += abs(rows.X[patient] @ beta - rows.y[patient]) < 1e-9

        with pytest.raises(SmallCell):
            check_counts(evidence(method.plan, rows), STRICT, "north")
        refused += 1

    record_property("figure", f"one-hot: {found} of {found} naively, 0 here")
    assert found == refused == 20


# --- leverage -----------------------------------------------------------------------
def test_a_person_far_from_all_others_decides_the_fit(record_property):
    """Nobody is alone in a column here: it is a number that differs for everybody."""
    found = 0
    for seed in range(10):
        values = np.random.default_rng(seed).normal(50, 0.001, PEOPLE)
        values[seed] = 100.0
        columns = {"score": scores(seed), "marker": values}
        method, rows = site_rows(("1", "marker"), columns, number("marker", 0, 100))
        found += abs(rows.X[seed] @ fitted(rows) - rows.y[seed]) < 0.01

        facts = evidence(method.plan, rows)
        assert facts.smallest_side["marker"] > STRICT.cell
        with pytest.raises(HighLeverage):
            check_counts(facts, STRICT, "north")

    record_property("figure", f"leverage: {found} of 10 naively, 0 here")
    assert found == 10


# --- saturation -----------------------------------------------------------------------
def test_a_model_of_as_many_columns_as_people_is_the_outcomes(record_property):
    draw = np.random.default_rng(3)
    X, y = draw.normal(size=(60, 60)), scores(3, 60)

    found = np.abs(X @ np.linalg.solve(X, y) - y).max() < 1e-6

    record_property("figure", f"saturation: {60 * int(found)} of 60 naively, 0 here")
    assert found
    with pytest.raises(TooManyParameters):
        check_model(Evidence(people=60, parameters=60), STRICT, "north")


# --- membership ---------------------------------------------------------------------
def advantage(n, p, seed):
    """Return how far above a coin somebody tells who took part, by their residuals."""
    draw = np.random.default_rng([seed, n, p])
    X, beta = draw.normal(size=(2 * n, p)), draw.normal(0, 0.3, p)
    y = X @ beta + draw.normal(size=2 * n)
    fit = np.linalg.lstsq(X[:n], y[:n], rcond=None)[0]
    away = np.abs(y - X @ fit)
    ranks = away.argsort().argsort() + 1.0
    return abs((ranks[:n].sum() - n * (n + 1) / 2) / n**2 - 0.5)


def test_estimates_do_not_tell_who_took_part(record_property):
    """A model nearly as large as its people does; what the gate lets out does not.

    Three sites of 200, of ten columns: by the residual, somebody who took part is told
    from a stranger of the same kind no better than by a coin, within its error.
    """
    naive = np.mean([advantage(60, 55, seed) for seed in range(20)])
    ours = np.mean([advantage(3 * PEOPLE, 10, seed) for seed in range(20)])

    record_property(
        "figure", f"membership: AUC {0.5 + naive:.2f} naively, {0.5 + ours:.2f} here"
    )
    assert naive > 0.4
    assert ours < 0.03


# --- a covert channel -----------------------------------------------------------------
SECRET = np.array([57, 83, 41, 66, 72, 90, 38, 49])  # ages of eight patients
UNIT = 2.0**-40


def hidden(values):
    """Return sums with an age in the bits under 2^-32 of each."""
    return np.floor(values * 2.0**32) / 2.0**32 + SECRET * UNIT


def read(values):
    """Return the ages in those bits."""
    return np.rint((values * 2.0**32 - np.floor(values * 2.0**32)) * 2.0**8)


def sent(arrays, **changes):
    """Return a message as the gate sees it."""
    protocol = estimator_for(
        study_of((number("score", -60, 60),), MODEL, sites=SITES), MODEL
    )
    declared = changes.pop("declared", protocol.declare(0))
    facts = Evidence(people=PEOPLE)
    return Summary(None, True, declared, arrays, facts, SITES, bytes(16), **changes)


MODEL = Analysis("m", "linear", outcome="score", terms=("1",))


def test_what_is_hidden_in_the_low_bits_drowns_in_the_sealed_sum(record_property):
    """A program that does not follow its declaration could hide rows in the last bits.

    It would have to be approved, code and all; and even then the other hospitals' last
    bits lie over it, and no part can be read by itself.
    """
    draw = np.random.default_rng(5)
    parts = [draw.normal(0, 50, len(SECRET)) for _ in SITES]
    alone = decode(encode(hidden(parts[0]), 3))

    found = [
        int((read(decode(add([encode(v, 3) for v in (hidden(parts[0]), *rest)])))
             == SECRET).sum())
        for rest in ([draw.normal(0, 50, len(SECRET)) for _ in range(2)]
                     for _ in range(100))
    ]  # fmt: skip

    record_property(
        "figure", f"low bits: 8 of 8 naively, {np.mean(found):.2f} of 8 here"
    )
    assert (read(alone) == SECRET).all()
    assert np.mean(found) < 8 * 4 / 256  # as chance gives


def test_a_message_of_another_shape_or_range_carries_nothing(record_property):
    analysis = MODEL
    study = study_of((number("score", -60, 60),), analysis, sites=SITES)
    method = estimator_for(study, analysis)
    columns = {"score": scores()}
    message = method.start(make_rows(method.plan, columns, "north"))
    plain = {name: np.asarray(a, np.float64) for name, a in message.items()}
    check_values(sent(plain))
    first = next(iter(plain))
    smuggled = {
        "an array more": plain | {"rows": scores()},
        "a longer array": plain | {first: np.append(plain[first], scores())},
        "a larger number": plain | {first: plain[first] + 1e9},
    }

    for arrays in smuggled.values():
        with pytest.raises((WrongShape, OutOfBounds)):
            check_values(sent(arrays))
    record_property("figure", f"other shapes: 0 of {len(smuggled)} leave")


def test_a_declaration_of_a_persons_own_number_each_would_have_carried_them():
    """So the test above can fail: what is declared so is let through by this check."""
    summary = sent({"x": scores()}, declared={"x": Sum((PEOPLE,), 60.0)})

    assert (check_values(summary)[:-1] == scores()).all()
