"""What the rounds of a model tell about single people, to whom, and where that ends.

The attacks are those of `benchmarks/sums`, measured at length in
`docs/explanation/what-sums-reveal.md`; here each runs once, against the messages of the
estimators themselves.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hetao.analysis import Finding, estimator_for, make_rows
from hetao.errors import SmallCell
from hetao.ledger.envelope import parse_envelope
from hetao.study import Analysis
from support_analysis import category, number, study_of
from support_federation import Federation, Plan, toy_study
from support_federation import category as flat_category

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from sums import cells, measuring, solvers
from sums.people import (
    AT,
    Seen,
    column_seen,
    cox_states,
    events_seen,
    made,
    newton_states,
    outcome_seen,
)

SITES = ("north", "middle", "south")


def told(seen, truth):
    """Return the share of zeros and ones that a box-constrained solver tells right."""
    return measuring.right(seen, truth)[0]


def messages(people, analysis, variables, columns):
    """Return (state, message) of each round that the estimator takes over everybody."""
    method = estimator_for(study_of(variables, analysis, sites=SITES), analysis)
    rows = make_rows(method.plan, columns, "north")
    np.testing.assert_allclose(rows.X, people.X[:, -rows.X.shape[1] :], atol=1e-12)
    state, seen = None, []
    while True:
        sent = method.local(rows, state) if state else method.start(rows)
        seen.append((state, sent))
        state = method.step(sent, state, len(seen) - 1)
        if isinstance(state, Finding):
            return seen


def named(people):
    names = [f"x{i}" for i in range(1, people.X.shape[1])]
    columns = {name: people.X[:, i] for i, name in enumerate(names, 1)}
    return tuple(names), tuple(number(name, -1, 1) for name in names), columns


def logistic_rounds(people):
    names, variables, columns = named(people)
    analysis = Analysis("m", "logistic", outcome="ill", terms=("1", *names))
    columns["ill"] = people.y.astype(np.int64)
    variables += (category("ill", "no", "yes"),)
    return messages(people, analysis, variables, columns)


def cox_rounds(people):
    names, variables, columns = named(people)
    how = {"time": "time", "event": "died", "ties": "breslow", "strata": ("site",)}
    analysis = Analysis("m", "cox", terms=names, **how)
    columns |= {"time": people.time, "died": people.event.astype(np.int64)}
    variables += (number("time", 0, 2000), category("died", "no", "yes"))
    return messages(people, analysis, variables, columns)


def flat(message, *names):
    return np.concatenate([np.ravel(message[name]) for name in names])


# --- the attack is on what is really sent ---------------------------------------------
def test_the_numbers_attacked_are_those_that_a_logistic_model_sends():
    people = made(1, 200, 6)
    rounds = logistic_rounds(people)
    states = [None if state is None else state["beta"] for state, _ in rounds]
    parts = [("score", "info")] + [("score", "info", "loglik")] * (len(rounds) - 1)
    sent = [flat(m, *p) for (_, m), p in zip(rounds, parts, strict=True)]

    seen = column_seen(people, states)

    base = replace(people, X=people.X.copy())
    base.X[:, AT] = 0.0
    without = column_seen(base, states)
    expected = seen.A @ people.X[:, AT]
    assert seen.b == pytest.approx(expected, abs=1e-9)
    assert len(np.concatenate(sent)) == len(seen.b)
    assert without.b == pytest.approx(np.zeros(len(seen.b)), abs=1e-9)


def test_the_numbers_attacked_are_those_that_a_cox_model_sends():
    people = made(2, 150, 5)
    for state, message in cox_rounds(people):
        beta = np.zeros(4) if state is None else state["beta"]
        seen = events_seen(people, [beta])

        assert seen.b[:4] == pytest.approx(message["score"], abs=1e-9)
        assert np.sort(seen.b[4:-1]) == pytest.approx(
            np.sort(message["info"]), abs=1e-9
        )


# --- outcomes of a logistic model -----------------------------------------------------
def test_counts_over_many_subsets_give_outcomes_and_a_models_rounds_do_not(
    record_property,
):
    """Box-constrained least squares on a yes/no column, all else known.

    Half as many exact counts over random halves tell all but a few; the rounds of a
    model tell no more than its published estimate.
    """
    people = made(3, 200, 10)
    draw = np.random.default_rng(5)
    halves = (draw.random((100, people.n)) < 0.5).astype(float)
    naive = told(Seen(halves, halves @ people.y), people.y)

    rounds = [None if s is None else s["beta"] for s, _ in logistic_rounds(people)]
    ours = told(outcome_seen(people, rounds), people.y)

    guess = measuring.guess(people, "outcome")
    record_property(
        "figure",
        f"{naive:.0%} told right naively, {ours:.0%} here, {guess:.0%} by guessing",
    )
    assert naive > 0.9
    assert ours <= guess + 0.03


def test_every_round_tells_the_same_few_numbers_about_outcomes():
    people = made(4, 200, 6)
    found = []
    for state, message in logistic_rounds(people):
        if state is None:
            known = people.X.T @ np.full(people.n, 0.5)
        else:
            known = people.X.T @ (1 / (1 + np.exp(-people.X @ state["beta"])))
        found.append(message["score"] + known)

    assert len(found) > 3
    for other in found[1:]:
        assert other == pytest.approx(found[0], abs=1e-9)


# --- who knows all else exactly, and who is mistaken about one in a hundred -----------
def test_one_sites_rounds_tell_all_to_who_knows_all_else_exactly():
    """So a site's own part is sealed, and two sites are none too many."""
    people = made(5, 100, 10)

    assert told(column_seen(people, newton_states(people)), people.X[:, AT]) == 1.0
    assert told(events_seen(people, cox_states(people)), people.event) == 1.0


@pytest.mark.parametrize("target", ["column", "event"])
def test_a_sum_over_three_sites_tells_nothing_to_who_is_mistaken_about_few(target):
    above = []
    for seed in range(3):
        people = made(seed, 300, 10)
        known = measuring.mistaken(people, 0.02, seed)
        path = measuring.path_of(people, target)
        seen = measuring.seen_of(people, target, path, known)
        truth = measuring.truth_of(people, target)
        found, _ = measuring.right(seen, truth, measuring.NOISES)
        above.append(found - measuring.guess(people, target))

    assert np.mean(above) <= 0.02


def test_a_lattice_finds_fifty_people_in_six_numbers_known_exactly():
    people = made(0, 50, 5)
    seen = column_seen(people, [newton_states(people)[1]])
    rows, values = solvers.whitened(seen, 1e-6)

    found = solvers.by_lattice(rows[:6], values[:6], 36)

    assert (found == people.X[:, AT]).all()


# --- combinations of yes/no columns ---------------------------------------------------
def test_two_rounds_of_yes_no_columns_tell_how_many_people_have_each_combination():
    """So before the first of them nobody's combination may be of few."""
    read, guess = cells.small_cells_read(0, 3000, 5, 2)

    assert read > 0.9 > guess + 0.5


def test_small_combinations_cannot_be_read_off_the_rounds(tmp_path):
    """None leaves, of the very people of whom the rounds would tell."""
    people = cells.binary_people(0, 3000, 5)
    counts = cells.truth(people)
    names = tuple(f"x{i}" for i in range(1, 6))
    model = Analysis("model", "logistic", outcome="ill", terms=("1", *names))
    columns = tuple(flat_category(name, "no", "yes") for name in (*names, "ill"))
    study = replace(toy_study((model,)), variables=columns)
    with Federation(tmp_path, Plan(study=study)) as federation:
        federation.patients.write_text(file_of(people, names))
        with pytest.raises(SmallCell, match="over all sites"):
            federation.run()
        headers = [parse_envelope(data).header for data in federation.carried]

    assert ((counts > 0) & (counts < 10)).any()
    assert {h.task for h in headers if h.kind == "share"} == {"model/1/count"}


def file_of(people, names):
    """Return people of yes/no columns as the patients of three hospitals."""
    values = np.column_stack([people.X[:, 1:], people.y]).astype(int)
    lines = [",".join(("hospital", *names, "ill"))]
    for place, row in enumerate(values):
        words = ("no", "yes")
        lines.append(",".join(("abc"[place % 3], *(words[one] for one in row))))
    return "\n".join(lines) + "\n"
