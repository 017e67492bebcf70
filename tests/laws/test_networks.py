"""What training over sites promises, and what it does not."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetao import testing
from hetao.analysis import estimator_for, evidence, make_rows, oracle
from hetao.errors import InvalidStudy, NotEstimable, SmallCell, Usage
from hetao.notebook.torch_network import layers_of, module_of
from hetao.release import STRICT
from hetao.release.minimums import check_counts
from hetao.study import Analysis, Network
from hetao.study.network import check_network
from support_analysis import SITES, TERMS, VARIABLES, people, split, study_of

SEEDS = st.integers(0, 2**32 - 1)
CUTS = st.lists(st.floats(0, 1), max_size=4)
ONE_STEP = Network((4,), rounds=8, batch_size=0, lr=0.5)
STRATEGIES = {"fedavg": {}, "fedprox": {"mu": 0.5}, "scaffold": {}}


def asked(network, outcome="ill", terms=TERMS):
    analysis = Analysis(
        "net", "neural_network", outcome=outcome, terms=terms, network=network
    )
    return study_of(VARIABLES, analysis), analysis


def weights(finding):
    return np.concatenate([np.ravel(one) for one in finding.as_json()["weights"]])


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(seed=SEEDS, n=st.integers(100, 300), cuts=CUTS)
@settings(max_examples=15, deadline=None)
def test_one_step_a_round_gives_the_pooled_network_for_any_split(
    strategy, seed, n, cuts
):
    how = replace(ONE_STEP, strategy=strategy, **STRATEGIES[strategy])
    study, analysis = asked(how, "ill" if seed % 2 else "score")
    columns = people(seed, n)

    pooled = oracle(*asked(ONE_STEP, analysis.outcome), {"aa": columns})
    federated = oracle(study, analysis, split(columns, cuts))

    assert np.abs(weights(federated) - weights(pooled)).max() < 1e-12
    assert federated.as_json()["loss"] == pytest.approx(pooled.as_json()["loss"])
    for key in ("n", "rounds"):
        assert federated.as_json()[key] == pooled.as_json()[key]


def test_the_usual_checks_of_an_estimator_hold():
    study, analysis = asked(ONE_STEP)

    assert testing.oracle(study, analysis, people(3, 300)).rounds > ONE_STEP.rounds


def unlike(n=750):
    """Return sites whose people differ: sorted by how likely they fell ill."""
    columns = people(5, n)
    draw = np.random.default_rng(5)
    likely = columns["age"] + 200.0 * columns["ill"] + draw.normal(0, 60, n)
    order = np.argsort(np.nan_to_num(likely, nan=60.0))
    return split({k: a[order] for k, a in columns.items()}, (0.2, 0.4, 0.6, 0.8))


def test_many_steps_depend_on_the_split_and_the_other_strategies_less():
    """Without layers there is one best network; how far each strategy ends from it."""
    long = Network((), rounds=80, local_epochs=15, batch_size=0, lr=2.0)
    best = Network((), rounds=150, batch_size=0, lr=3.0)
    terms = ("sex", "grade")
    parts = unlike()
    reference = weights(oracle(*asked(best, terms=terms), parts))
    mixed = split(people(5, 750), (0.2, 0.4, 0.6, 0.8))
    away = {}
    for strategy, more in (STRATEGIES | {"fedprox": {"mu": 0.3}}).items():
        how = replace(long, strategy=strategy, **more)
        found = weights(oracle(*asked(how, terms=terms), parts))
        away[strategy] = np.linalg.norm(found - reference)
    alike = weights(oracle(*asked(long, terms=terms), mixed))

    assert away["fedavg"] > 0.1 * np.linalg.norm(reference)
    assert np.linalg.norm(alike - reference) < away["fedavg"] / 2
    assert away["fedprox"] < 0.8 * away["fedavg"]
    assert away["scaffold"] < 0.01 * away["fedavg"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_site_of_nobody_and_one_of_one_change_nothing_but_the_sum(strategy):
    network = Network((3,), strategy=strategy, rounds=3, **STRATEGIES[strategy])
    columns = people(6, 200)
    names = ("age", "sex", "chol", "grade", "ill")
    whole = {
        k: a[(columns["grade"] >= 0) & ~np.isnan(columns["age"])]
        for k, a in columns.items()
    }
    none = {k: whole[k][:0] for k in names}
    study, analysis = asked(network)

    with_nobody = oracle(study, analysis, {"aa": whole, "bb": none})
    alone = oracle(study, analysis, {"aa": whole})
    with_one = oracle(
        study, analysis, {"aa": whole, "bb": {k: whole[k][:1] for k in names}}
    )

    assert with_nobody.as_json() == alone.as_json()
    assert with_one.as_json()["n"] == alone.as_json()["n"] + 1


def test_a_long_update_is_shortened_and_the_finding_says_so():
    network = Network((4,), rounds=3, lr=2.0, local_epochs=5, clip=0.01)
    study, analysis = asked(network)
    method = estimator_for(study, analysis)
    rows = make_rows(method.plan, people(7, 300), "aa")

    update = method.start(rows)["update"]
    finding = oracle(study, analysis, split(people(7, 300), (0.5,)))

    assert np.linalg.norm(update) == pytest.approx(0.01 * rows.n)
    assert finding.as_json()["clipped_rounds"] == 3


@pytest.mark.parametrize("outcome", ["ill", "score"])
def test_who_is_left_out_moves_no_weight(outcome):
    network = Network((3,), rounds=3, validation=0.25)
    study, analysis = asked(network, outcome)
    method = estimator_for(study, analysis)
    rows = make_rows(method.plan, people(8, 200), "aa")
    held = method._held(rows)
    changed = replace(rows, y=np.where(held, 1.0 - rows.y, rows.y))

    first, second = method.start(rows), method.start(changed)

    assert held.sum() == rows.n // 4
    assert np.array_equal(first["update"], second["update"])
    assert first["held_loss"] != second["held_loss"]
    assert first["n"] + first["held"] == rows.n


def test_few_people_left_out_are_refused():
    study, analysis = asked(Network((3,), validation=0.02))
    method = estimator_for(study, analysis)
    rows = make_rows(method.plan, people(9, 400), "aa")
    facts, _ = method.guarded(evidence(method.plan, rows), rows, None)

    with pytest.raises(SmallCell, match="the validation"):
        check_counts(facts, STRICT, "aa")


def test_steps_that_run_off_are_refused():
    study, analysis = asked(Network((5, 5), "relu", lr=100.0, local_epochs=50), "score")

    with pytest.raises(NotEstimable, match="run off to infinity"):
        oracle(study, analysis, split(people(10, 300), (0.5,)))


def test_an_outcome_that_nobody_has_is_refused():
    columns = people(11, 100) | {"ill": np.zeros(100, dtype=np.int64)}

    with pytest.raises(NotEstimable, match="everyone or no one"):
        oracle(*asked(ONE_STEP), split(columns, (0.5,)))


def test_the_order_of_rows_at_a_site_is_drawn_anew_each_round():
    study, analysis = asked(Network((3,), rounds=4, batch_size=10))
    method = estimator_for(study, analysis)
    rows = make_rows(method.plan, people(12, 100), "aa")
    state = method._opening()

    first = method.local(rows, state)["update"]
    other = method.local(rows, {**state, "round": np.ones(1)})["update"]
    elsewhere = method.local(replace(rows, site=SITES[1]), state)["update"]

    assert np.array_equal(first, method.start(rows)["update"])
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, elsewhere)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("activation", "sine"),
        ("strategy", "fedsgd"),
        ("layers", (0,)),
        ("layers", (4,) * 9),
        ("rounds", 201),
        ("rounds", 0),
        ("local_epochs", 0),
        ("batch_size", -1),
        ("lr", 0.0),
        ("lr", float("nan")),
        ("clip", float("inf")),
        ("validation", 0.6),
        ("seed", -1),
        ("mu", 0.1),
        ("strategy", "fedprox"),
        ("lr", 1e-9),
    ],
)
def test_a_network_that_means_nothing_is_refused(field, value):
    with pytest.raises(InvalidStudy):
        check_network(Network(**{field: value}), "here")


def test_a_network_too_large_is_refused():
    with pytest.raises(InvalidStudy, match="more than 50000 weights"):
        estimator_for(*asked(Network((1000, 1000))))


def test_steps_longer_than_the_pull_bears_are_refused():
    with pytest.raises(InvalidStudy, match="overshoot"):
        check_network(Network(strategy="fedprox", lr=2.0, mu=0.5), "here")


@pytest.mark.parametrize("outcome", ["ill", "score"])
@pytest.mark.parametrize("terms", [("age", "sex"), ("0", "age", "sex")])
def test_a_network_for_torch_takes_columns_in_their_own_units(outcome, terms):
    study, analysis = asked(Network((3, 2), rounds=3), outcome, terms)
    columns = people(13, 200)
    whole = ~np.isnan(columns["age"])
    columns = {name: array[whole] for name, array in columns.items()}
    finding = oracle(study, analysis, {"aa": columns})
    method = estimator_for(study, analysis)
    ours = method.form.output(weights(finding), make_rows(method.plan, columns, "aa").X)
    if outcome == "score":  # -60 to 60 by its bounds
        ours = 60 * ours

    layers = layers_of(finding.as_json())
    sexes = np.eye(2)[columns["sex"]][:, int("0" not in terms) :]
    inside = np.column_stack([columns["age"], sexes])
    for place, (weight, bias) in enumerate(layers):
        inside = (np.tanh(inside) if place else inside) @ weight.T + bias

    assert np.abs(inside[:, 0] - ours).max() < 1e-11


def test_a_module_of_torch_is_refused_where_there_is_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    finding = oracle(*asked(ONE_STEP), {"aa": people(14, 100)}).as_json()

    with pytest.raises(Usage, match=r"hetao\[torch\]"):
        module_of(finding)
    with pytest.raises(Usage, match="a km finding has no network"):
        module_of({"model": "km"})
