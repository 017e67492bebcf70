"""Quartiles by a group: who carries out the rounds learns of it what the budget says.

He knows everybody's value, and sees of all sites together how many of a group lie below
each border. What he makes of that is held to what he would guess without it.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from hetao.federation.memory import REMEDY, WORDS
from hetao.federation.totals import total_of
from hetao.ledger.envelope import parse_envelope
from hetao.study import Analysis
from support_federation import SITES, Federation, Plan, column, toy_study

QUARTILES = Analysis("q", "quantiles", variables=("age",), by="ill")
PEOPLE = 130  # at each of three sites: 26 sums of the group are a tenth of any two's


def by_outcome(people=PEOPLE, *, numbers=1):
    """Return the plan of quartiles of so many numbers by an outcome, at three sites."""
    more = [f"v{place}" for place in range(1, numbers)]
    of = tuple(column(name, kind="number", bounds=(0.0, 120.0)) for name in more)
    study = toy_study((replace(QUARTILES, variables=("age", *more)),))
    study = replace(study, variables=(*study.variables, *of))
    return Plan(study=study, people=people)


def drawn(federation, share, *, numbers=1, seed=1, digits=3):
    """Write numbers and an outcome that have nothing to do with each other.

    Returns:
        (people, numbers) and (people,) whether each is ill, of all sites.
    """
    draw = np.random.default_rng(seed)
    header, *lines = federation.patients.read_text().splitlines()
    ill = draw.random(len(lines)) < share
    values = draw.normal(60, 10, (len(lines), numbers)).clip(1, 119).round(digits)
    out = [header + "".join(f",v{place}" for place in range(1, numbers))]
    for line, of, is_ill in zip(lines, values, ill, strict=True):
        site, _, sex, _ = line.split(",")
        first = f"{site},{of[0]},{sex},{('no', 'yes')[int(is_ill)]}"
        out.append(",".join([first, *map(str, of[1:])]))
    federation.patients.write_text("\n".join(out) + "\n")
    return values, ill


def carried_out(federation):
    """Carry out every round; return all sums, each with the state that it was of."""
    found, before, state = [], None, None
    while state is None or state:
        number = len(found)
        sums = federation.play(before, round=number) if number else federation.play()
        declared = federation.estimator("q").declare(number)
        task = f"q/1/{number}"
        words = list(sums.words.values())
        found.append((state, total_of(words, declared, task, len(SITES))))
        before, state = sums, sums.state
    return found


def equations(found, values):
    """Return what the sums say of who is ill: rows over the people, and counts."""
    (_, opening), *rounds = found
    rows, counts = [np.ones(len(values))], [opening["people"][1]]
    for state, total in rounds:
        for i, g, j in np.argwhere(state["asked"] >= 0):
            border = state["border"][i, int(state["asked"][i, g, j])] * 120 * 2.0**-40
            below = values[:, i] < border
            n = total["below"][i, g, j]
            rows.append(below.astype(float))
            counts.append(n if g else below.sum() - n)  # else of those who are well
    return np.array(rows), np.array(counts)


def solved(rows, counts):
    """Return who is ill by least squares, each between nobody and a person."""
    return lsq_linear(rows, counts, (0, 1)).x > 0.5


def commoner(rows, counts):
    """Return who is ill by the commoner outcome among those whom no border parts."""
    own = np.unique(rows, axis=1, return_inverse=True)[1].ravel()
    cells = np.array([own == cell for cell in range(own.max() + 1)]).astype(float)
    each = np.array([rows[:, own == cell][:, 0] for cell in range(len(cells))]).T
    of_cell = np.linalg.lstsq(each, counts, rcond=None)[0]
    return (of_cell > cells.sum(axis=1) / 2)[own]


def begun(federation, name="a", run="run-1", site=None):
    where = site or federation.sites[name]
    return where.handle(federation.begin(name, run=run).data)


def kinds(posts):
    return [parse_envelope(data).header.kind for _, data in posts]


@pytest.mark.parametrize("people", [100, PEOPLE - 1])
def test_quartiles_by_an_outcome_of_few_people_are_refused(tmp_path, people):
    with Federation(tmp_path, by_outcome(people)) as federation:
        for name in SITES:
            sent = begun(federation, name)
            assert kinds(sent) == ["refusal"]
            assert federation.refusals(sent) == [f"HT-416: {WORDS} ({REMEDY})"]


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_quartiles_by_an_outcome_do_not_tell_everybodys_outcome(
    tmp_path, share, record_property
):
    """As few people as are answered; the bins of one age told 92 to 99 of 100."""
    with Federation(tmp_path, by_outcome()) as federation:
        values, ill = drawn(federation, share)
        found = carried_out(federation)

    rows, counts = equations(found, values)
    np.testing.assert_allclose(rows @ ill, counts, atol=1e-6)  # all that was opened
    assert 10 < np.linalg.matrix_rank(rows) <= 26
    guessed = max(ill.mean(), 1 - ill.mean())
    told = max((attack(rows, counts) == ill).mean() for attack in (solved, commoner))
    record_property("figure", f"{told:.0%} here, {guessed:.0%} by guessing")
    assert told < guessed + 0.1


def test_nor_in_as_many_rounds_as_shared_values_take(tmp_path):
    """Of tens of years each quartile is found to 2^-41 of the range."""
    with Federation(tmp_path, by_outcome()) as federation:
        values, ill = drawn(federation, 0.5, digits=-1)
        found = carried_out(federation)

    assert len(found) >= 5
    rows, counts = equations(found, values)
    np.testing.assert_allclose(rows @ ill, counts, atol=1e-6)
    assert (solved(rows, counts) == ill).mean() < max(ill.mean(), 1 - ill.mean()) + 0.1


def test_of_two_numbers_they_tell_no_more(tmp_path):
    with Federation(tmp_path, by_outcome(255, numbers=2)) as federation:
        values, ill = drawn(federation, 0.5, numbers=2)
        found = carried_out(federation)

    rows, counts = equations(found, values)
    np.testing.assert_allclose(rows @ ill, counts, atol=1e-6)
    assert 20 < np.linalg.matrix_rank(rows) <= 51
    assert (solved(rows, counts) == ill).mean() < max(ill.mean(), 1 - ill.mean()) + 0.1


def test_borders_between_any_two_people_would_tell_all(record_property):
    """What both attacks make of a count below each value, as fine bins gave it."""
    draw = np.random.default_rng(2)
    values, ill = np.sort(draw.normal(60, 10, 390)), draw.random(390) < 0.5
    rows = (values[None] <= values[:, None]).astype(float)

    for attack in (solved, commoner):
        assert (attack(rows, rows @ ill) == ill).all()
    record_property("figure", "100% of 390 people naively")


def test_another_run_asks_elsewhere_and_counts_anew(tmp_path):
    """Where a group is counted follows from totals; those of another run may differ."""
    with Federation(tmp_path, by_outcome(2 * PEOPLE)) as federation:
        assert kinds(begun(federation, run="run-1")) == ["ready"]
        again = federation.open_site("a")
        assert kinds(begun(federation, run="run-2", site=again)) == ["ready"]
        task = federation.task("a", run="run-1")  # which it had begun before
        assert kinds(again.handle(task.data))[-1] == "receipt"

        assert kinds(begun(federation, run="run-3", site=again)) == ["refusal"]


# --- a coordinator that asks elsewhere -------------------------------------------
def elsewhere(state):
    state["border"][0, 3] += 2.0**20


def a_border_more(state):
    """One that would part the few people about a border that there is."""
    count = (state["border"][0] >= 0).sum()
    state["border"][0, count] = state["border"][0, 3] + 2.0**20
    state["rank"][0, count] = state["rank"][0, 3] + 20
    state["asked"][0, 0, 1] = count


def again(state):
    state["asked"][0, 0, 1] = 3


def another_window(state):
    state["high"][0, 0, 0] = state["low"][0, 0, 0] + 1024


@pytest.mark.parametrize("bend", [elsewhere, a_border_more, again, another_window])
def test_a_site_counts_a_group_below_no_border_but_those_that_follow(tmp_path, bend):
    with Federation(tmp_path, by_outcome(400)) as federation:
        sums = federation.play(federation.play(), round=1)
        assert (sums.state["asked"] >= 0).any()
        said = federation.refusals_of_bent(sums, bend, 2)

    assert len(said) == 1
    assert "the state does not follow" in said[0]
