"""Bins are joined until each holds enough of every site, and no further."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetao.analysis import estimator_for, evidence, make_rows, oracle
from hetao.errors import NotEstimable, WrongShape
from hetao.study import Grid, Minimum
from support_analysis import (
    ANALYSES,
    STUDY,
    assert_same,
    estimates,
    people,
    pooled,
    split,
)

MERGED = ANALYSES["cox_merged"]


def opened(study, parts):
    """Return the estimator, its rows at each site, and the state after the opening."""
    method = estimator_for(study, replace(MERGED, grid=EIGHT))
    rows = [make_rows(method.plan, part, site) for site, part in parts.items()]
    sent = [method.start(part) for part in rows]
    total = {name: sum(one[name] for one in sent) for name in sent[0]}
    return method, rows, method.step(total, None, 0)


EIGHT = Grid((4.0, 9.0, 15.0, 22.0, 30.0, 39.0, 49.0, 60.0), merge=True)


def is_enough(method, rows, first, last):
    inside = (rows.bin >= first) & (rows.bin <= last)
    for chosen in (inside, inside & (rows.event > 0)):
        if 0 < chosen.sum() < method.least:
            return False
    return True


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(40, 300),
    cuts=st.lists(st.floats(0, 1), max_size=3),
    cell=st.integers(1, 12),
)
@settings(max_examples=40, deadline=None)
def test_the_cut_is_the_finest_that_every_site_allows(seed, n, cuts, cell):
    study = replace(STUDY, minimum=Minimum(cell=cell))
    parts = split(people(seed, n), cuts)
    size = len(EIGHT.edges)
    allowed = []
    method = estimator_for(study, replace(MERGED, grid=EIGHT))
    rows = [make_rows(method.plan, part, site) for site, part in parts.items()]
    everyone = np.concatenate([part.bin for part in rows])
    for ends in itertools.product([False, True], repeat=size - 1):
        lasts = [i for i, end in enumerate((*ends, True)) if end]
        runs = list(zip([0, *(e + 1 for e in lasts)], lasts, strict=False))
        if all(is_enough(method, r, a, b) for r in rows for a, b in runs):
            held = sum(((everyone >= a) & (everyone <= b)).any() for a, b in runs)
            allowed.append((held, lasts))

    try:
        _, _, state = opened(study, parts)
    except NotEstimable:
        assert not allowed
        return

    found = np.unique(state["cut"]).astype(int).tolist()
    assert found in [lasts for _, lasts in allowed]
    runs = zip([0, *(e + 1 for e in found)], found, strict=False)
    held = sum(((everyone >= a) & (everyone <= b)).any() for a, b in runs)
    assert held == max(count for count, _ in allowed)


@pytest.mark.parametrize("seed", range(3))
def test_the_answer_is_that_of_a_plain_grid_with_the_edges_found(seed):
    columns = people(seed, 400)
    parts = split(columns, (0.3, 0.6))

    merged = oracle(STUDY, MERGED, parts)

    edges = tuple(merged.as_json()["edges"])
    plain = pooled(STUDY, replace(MERGED, grid=Grid(edges)), columns)
    assert_same(merged, *estimates(plain), plain.as_json()["loglik"])
    assert (
        merged.as_json()["baseline"][0]["time"]
        == plain.as_json()["baseline"][0]["time"]
    )
    assert 2 <= len(edges) < 61
    assert merged.as_json()["rounds"] <= 7


def test_the_gate_weighs_the_bins_of_the_cut_and_in_the_opening_the_fine_ones():
    method, rows, state = opened(STUDY, split(people(3, 400), (0.3, 0.6)))
    facts = evidence(method.plan, rows[0])

    opening, own = method.guarded(facts, rows[0], None)
    later, own_later = method.guarded(facts, rows[0], state)
    fine = {"cut": np.arange(8.0)}
    led_astray, own_then = method.guarded(facts, rows[0], fine)

    assert (own, own_later, own_then) == (False, True, True)
    assert opening.cells == facts.cells == led_astray.cells
    assert min(later.cells.values()) >= 10 > min(facts.cells.values())


@pytest.mark.parametrize(
    "cut",
    [
        None,
        np.arange(7.0),
        np.arange(8.0) + 1,
        np.array([1.5, *range(1, 8)]),
        np.array([1.0, 0, *range(2, 8)]),
        np.array([2.0, 1, *range(2, 8)]),
        np.full(8, np.nan),
    ],
    ids=range(7),
)
def test_a_state_that_does_not_cut_the_grid_is_refused(cut):
    method, rows, state = opened(STUDY, split(people(3, 400), (0.3, 0.6)))
    bent = {k: v for k, v in state.items() if k != "cut"}

    with pytest.raises(WrongShape):
        method.local(rows[0], bent if cut is None else {**bent, "cut": cut})


def test_a_site_that_has_too_few_at_all_is_named_as_the_reason():
    parts = split(people(3, 400), (0.3, 0.99))

    with pytest.raises(NotEstimable, match="each site"):
        opened(STUDY, parts)
