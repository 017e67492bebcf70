"""A Cox model on a grid, summed person by person and risk set by risk set.

What R makes of the same people is in `tests/oracles`; here each sum is worked out by
the definition, over strata, ties and an offset.
"""

from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import Finding, Rows, estimator_for, make_rows
from hetao.analysis.cox_grid import ETA, LEAST_AT_RISK, rows_by
from hetao.analysis.cox_grid import LEAST as LOWEST
from hetao.errors import NotEstimable
from support_analysis import ANALYSES, STUDY, people

STRATIFIED = replace(ANALYSES["cox_grid_breslow"], offset="0.5*years")


def of(ties, **changes):
    """Return a method over strata with an offset, and some people's rows."""
    method = estimator_for(STUDY, replace(STRATIFIED, ties=ties, **changes))
    return method, make_rows(method.plan, people(5, 250), "aa")


def drawn(method, seed=2):
    return np.random.default_rng(seed).normal(0, 0.4, method.plan.parameters)


def rates(rows, beta):
    return np.exp(rows.X @ beta + rows.offset)


def test_a_site_sums_who_leaves_and_who_dies_in_each_bin_and_stratum():
    method, rows = of("efron")
    beta, p = drawn(method), method.plan.parameters
    leaving = np.zeros((3, len(method.plan.edges), 1 + p + p * (p + 1) // 2))
    dying, deaths = np.zeros_like(leaving), np.zeros(leaving.shape[:2])
    for x, w, stratum, at, event in zip(
        rows.X, rates(rows, beta), rows.stratum, rows.bin, rows.event, strict=True
    ):
        square = [x[i] * x[j] for i in range(p) for j in range(i, p)]
        moments = w * np.array([1.0, *x, *square])
        leaving[stratum, at] += moments
        dying[stratum, at] += event * moments
        deaths[stratum, at] += event

    sent = method.local(rows, {"beta": beta})
    assert 0 < rows.event.sum() < rows.n
    assert len({*rows.stratum}) == 3
    np.testing.assert_allclose(sent["leaving"], leaving)
    np.testing.assert_allclose(sent["dying"], dying)
    np.testing.assert_array_equal(sent["deaths"], deaths)
    np.testing.assert_allclose(sent["covariates"], rows.event @ rows.X)
    np.testing.assert_allclose(sent["shift"], [rows.event @ rows.offset])
    assert sent["events"] == [rows.event.sum()]
    assert sent["n"] == [rows.n]
    none = method.start(rows)
    np.testing.assert_allclose(none["leaving"][..., 0].sum(), np.exp(rows.offset).sum())


def test_a_person_weighs_as_their_rate_beside_the_largest():
    method, rows = of("efron")
    beta = drawn(method)

    found = method.weights(rows, {"beta": beta})
    np.testing.assert_allclose(found, rates(rows, beta) / rates(rows, beta).max())
    assert (
        len(method.weights(Rows("aa", 0, np.zeros((0, len(beta)))), {"beta": beta}))
        == 0
    )


@pytest.mark.parametrize(
    ("eta", "is_summed"),
    [
        (ETA, True),
        (np.nextafter(ETA, 99), False),
        (-LOWEST, True),
        (np.nextafter(-LOWEST, -999), False),
    ],
)
def test_no_hazard_is_summed_that_is_too_large_or_too_small(eta, is_summed):
    method, rows = of("efron")
    offset = np.where(np.arange(rows.n) == 3, eta, 0.0)
    rows = replace(rows, X=np.zeros_like(rows.X), offset=offset)

    if is_summed:
        method.start(rows)
        return
    with pytest.raises(NotEstimable, match="too large"):
        method.start(rows)


def test_an_offset_lets_who_dies_in_each_bin_be_counted_without_it():
    """What a round tells of a stratum's people, beside what is told without offset."""
    plain = estimator_for(STUDY, replace(STRATIFIED, offset=""))
    method, _ = of("efron")

    for rounds in (1, 6):
        more = method.in_cells(rounds) - plain.in_cells(rounds)
        assert more == len(method.plan.edges)
    p = method.plan.parameters
    assert plain.in_cells(2) == len(plain.plan.edges) * 2 * 2 * (
        1 + p + p * (p + 1) // 2
    )


def by_definition(method, rows, beta):
    """Return score, information, log likelihood and the risk of each event's bin."""
    efron, w = method.plan.analysis.ties == "efron", rates(rows, beta)
    p = method.plan.parameters
    score, information, loglik = np.zeros(p), np.zeros((p, p)), 0.0
    risk = {}
    for stratum in range(len(method.plan.strata)):
        inside = rows.stratum == stratum
        for at in np.unique(rows.bin[inside & (rows.event > 0)]):
            later = inside & (rows.bin >= at)
            dead = inside & (rows.bin == at) & (rows.event > 0)
            for k in range(dead.sum()):
                share = k / dead.sum() if efron else 0.0
                v = np.where(later, w, 0.0) - share * np.where(dead, w, 0.0)
                mean = v @ rows.X / v.sum()
                score -= mean
                information += (rows.X.T * v) @ rows.X / v.sum() - np.outer(mean, mean)
                loglik -= np.log(v.sum())
                risk.setdefault((stratum, int(at)), []).append(v.sum())
            score += rows.X[dead].sum(axis=0)
            loglik += np.log(w[dead]).sum()
    return score, information, loglik, risk


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_a_partial_likelihood_is_that_of_its_risk_sets(ties):
    method, rows = of(ties)
    beta = drawn(method)
    total = method.local(rows, {"beta": beta})

    _, sums = method._risk_sets(total)
    point = method._point(total, beta, sums)
    score, information, loglik, _ = by_definition(method, rows, beta)
    np.testing.assert_allclose(point.score, score, atol=1e-9)
    np.testing.assert_allclose(point.information, information, atol=1e-9)
    assert point.loglik == pytest.approx(loglik)


def fitted(method, rows):
    """Return what follows from the rounds of one site."""
    state, number = None, 0
    while not isinstance(state, Finding):
        sent = method.start(rows) if state is None else method.local(rows, state)
        state = method.step(sent, state, number)
        number += 1
    return state.payload


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_a_baseline_adds_up_one_over_the_risk_of_each_event(ties):
    """Also where nobody has the event in the last bin."""
    method, rows = of(ties, baseline=True)
    rows = replace(rows, event=rows.event * (rows.bin < len(method.plan.edges) - 1))
    found = fitted(method, rows)
    columns = method.plan.columns
    beta = np.array([one["estimate"] for one in found["terms"]]) * [
        column.scale for column in columns
    ]
    at_0 = np.array([column.centre / column.scale for column in columns])

    *_, risk = by_definition(method, rows, beta)
    for stratum, curve in enumerate(found["baseline"]):
        bins = sorted(at for of_stratum, at in risk if of_stratum == stratum)
        steps = [sum(1 / s for s in risk[stratum, at]) for at in bins]
        assert curve["stratum"] == method.plan.strata[stratum]
        assert curve["time"] == [method.plan.edges[at] for at in bins]
        assert curve["events"] == [len(risk[stratum, at]) for at in bins]
        np.testing.assert_allclose(
            curve["cumhaz"], np.cumsum(steps) * np.exp(-beta @ at_0), rtol=1e-6
        )
    assert (found["n"], found["events"]) == (rows.n, rows.event.sum())
    assert "baseline" not in fitted(*of(ties))


def test_risks_are_summed_down_to_what_fixed_point_tells():
    method, rows = of("efron")
    beta = np.zeros(method.plan.parameters)
    total = method.start(rows)
    _, sums = method._risk_sets(total)
    sums = sums.copy()

    sums[3, 0] = LEAST_AT_RISK
    method._point(total, beta, sums)
    sums[3, 0] = np.nextafter(LEAST_AT_RISK, 0)
    with pytest.raises(NotEstimable, match="hazards are too small"):
        method._point(total, beta, sums)


def test_a_model_in_which_nobody_has_the_event_is_refused_for_that():
    method, rows = of("efron")
    nobody = replace(rows, event=np.zeros(rows.n))

    with pytest.raises(NotEstimable, match="no one has the event"):
        method.step(method.start(nobody), None, 0)


def test_rows_are_summed_by_their_places():
    values = np.arange(8.0).reshape(4, 2)

    found = rows_by(np.array([2, 0, 2, 0]), values, 4)
    assert found.tolist() == [[8.0, 10.0], [0.0, 0.0], [4.0, 6.0], [0.0, 0.0]]
