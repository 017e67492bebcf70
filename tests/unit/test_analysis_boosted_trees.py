"""Boosted trees: what leaves a site, what is refused, and what people are shown."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetao.analysis import Finding, estimator_for, evidence, make_rows, oracle
from hetao.analysis.boosting import BEYOND, edges_of, is_held_out, joined
from hetao.canonical import parse_canonical
from hetao.errors import InvalidStudy, NotEstimable, WrongShape
from hetao.report.performance import performance_of
from hetao.report.picture import Picture
from hetao.study import Boosting, study_from
from support_analysis import ANALYSES, STUDY, people, split

TREES = ANALYSES["boosted_trees"]
SCORE = ANALYSES["boosted_score"]
DEEP = replace(TREES, boosting=Boosting(trees=3, depth=3, bins=16))
CUTS = (0.2, 0.5, 0.7)


def courses(analysis, columns):
    """Yield the estimator, state and summed message of each round, over all people."""
    method = estimator_for(STUDY, analysis)
    rows = make_rows(method.plan, columns, "aa")
    state = None
    for number in range(method.most_rounds):
        message = method.start(rows) if state is None else method.local(rows, state)
        yield method, state, message
        state = method.step(message, state, number)
        if isinstance(state, Finding):
            return


# --- any split ----------------------------------------------------------------------
@pytest.mark.parametrize("analysis", [TREES, SCORE], ids=lambda a: a.name)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(200, 500),
    cuts=st.lists(st.floats(0, 1), max_size=4),
)
@settings(max_examples=8, deadline=None)
def test_any_split_gives_the_pooled_trees_to_the_last_bit(analysis, seed, n, cuts):
    columns = people(seed, n)

    pooled = oracle(STUDY, analysis, {"aa": columns}).as_json()
    federated = oracle(STUDY, analysis, split(columns, cuts)).as_json()

    for key in ("trees", "base", "importance", "learned", "n", "rounds"):
        assert federated[key] == pooled[key]
    for one, other in zip(federated["terms"], pooled["terms"], strict=True):
        assert one["estimate"] == pytest.approx(other["estimate"], rel=1e-9, abs=1e-12)


def test_what_a_site_remembers_of_earlier_rounds_changes_no_bit():
    columns = people(4, 500)
    rounds = [(state, message) for _, state, message in courses(DEEP, columns)]

    method = estimator_for(STUDY, DEEP)
    rows = make_rows(method.plan, columns, "aa")
    for state, message in reversed(rounds[1:]):  # from the last tree back to the first
        again = method.local(rows, state)
        fresh = estimator_for(STUDY, DEEP).local(rows, state)
        for name, array in message.items():
            np.testing.assert_array_equal(again[name], array)
            np.testing.assert_array_equal(fresh[name], array)


def test_those_held_out_change_no_tree():
    columns = people(1, 600)
    method = estimator_for(STUDY, TREES)
    complete = {k: v[~np.isnan(columns["age"])] for k, v in columns.items()}
    complete = {k: v[complete["grade"] >= 0] for k, v in complete.items()}
    held = is_held_out(make_rows(method.plan, complete, "aa").X, 0.2)
    other = complete | {"ill": np.where(held, 1 - complete["ill"], complete["ill"])}

    found, changed = (
        oracle(STUDY, TREES, split(one, CUTS)).as_json() for one in (complete, other)
    )

    assert 0.1 < held.mean() < 0.3
    assert found["trees"] == changed["trees"]
    assert found["terms"] != changed["terms"]
    assert found["prediction"] == "held out"


def test_whoever_is_alike_in_every_column_is_held_out_together():
    X = np.random.default_rng(1).uniform(-1, 1, (500, 3))

    held = is_held_out(np.vstack([X, X]), 0.5)

    assert (held[:500] == held[500:]).all()
    assert not is_held_out(X, 0.0).any()
    assert np.mean(is_held_out(X, 0.9)) == pytest.approx(0.9, abs=0.05)


# --- what leaves a site -------------------------------------------------------------
@pytest.mark.parametrize("seed", range(3))
def test_outcomes_are_only_summed_over_enough_people_or_nobody(seed):
    found = 0
    for _, state, message in courses(DEEP, people(seed, 1200)):
        if state is None or "line" in state or state["at"][2]:
            continue
        counts = message["people"]
        assert not ((counts > 0) & (counts < 10)).any()
        for left in range(0, len(counts), 2):  # nor the other side, by subtraction
            assert (state["runs"][left] == state["runs"][left + 1]).all()
        found += 1
    assert found >= 6


def test_a_round_that_counts_people_tells_no_outcome():
    counted = [
        message
        for _, state, message in courses(DEEP, people(1, 1200))
        if state is not None and "line" not in state and state["at"][2]
    ]

    assert len(counted) == 6
    for message in counted:
        assert message["people"].any()
        assert not message["gradient"].any()
        assert not message["curvature"].any()


def test_no_leaf_holds_few_people():
    boosting = Boosting(trees=4, depth=3, bins=16, min_people=1, holdout=0.0)
    columns = people(3, 500)
    method = estimator_for(STUDY, replace(SCORE, boosting=boosting))
    rows = make_rows(method.plan, columns, "aa")
    raw = rows.X  # (n, p), standardised
    trees = oracle(STUDY, method.plan.analysis, {"aa": columns}).as_json()["trees"]

    for tree in trees:
        inside = {0: np.ones(rows.n, dtype=bool)}
        for node in tree:
            if "value" in node:
                assert inside[node["node"]].sum() >= 10
                continue
            j = method.plan.names.index(node["column"])
            column = method.plan.columns[j]
            below = raw[:, j] < (node["below"] - column.centre) / column.scale
            inside[node["left"]] = inside[node["node"]] & below
            inside[node["right"]] = inside[node["node"]] & ~below


def test_the_gate_is_told_of_the_thinnest_cell_from_the_opening_on():
    method = estimator_for(STUDY, DEEP)
    rows = make_rows(method.plan, people(2, 400), "aa")
    facts, own_cells = method.guarded(evidence(method.plan, rows), rows, None)
    state = method.step(method.start(rows), None, 0)
    while "line" not in state:
        counts = method.local(rows, state)["people"]
        (least,) = method.bins(rows, state).values()
        assert least == counts[counts > 0].min()
        state = method.step(method.local(rows, state), state, 1)
    state |= {"edges": np.linspace(0, 1, method.sizes()["bins"] - 1)}
    assert min(facts.cells.values()) < 10
    assert not own_cells
    assert not method.publishable
    assert method.own_parts  # so it leaves at grade 3: a cell may be one site's own
    assert 0 < min(method.bins(rows, state).values()) < 10


def test_a_state_that_is_none_of_these_trees_is_refused():
    method = estimator_for(STUDY, TREES)
    rows = make_rows(method.plan, people(2, 400), "aa")
    state = method.step(method.start(rows), None, 0)
    wrong = [
        {"grid": np.zeros((2, 2))},
        {"column": np.full((2, 3), 9.0)},
        {"at": np.array([5.0, 0.0, 0.0])},
        {"at": np.array([0.0, 2.0, 0.0])},
        {"at": np.array([0.5, 0.0, 0.0])},
        {"runs": state["runs"] + 0.5},
        {"runs": state["runs"][:1]},
        {"value": np.zeros((2, 6))},
    ]

    for broken in wrong:
        with pytest.raises(WrongShape):
            method.local(rows, state | broken)


# --- bins ---------------------------------------------------------------------------
COUNTS = st.lists(st.integers(0, 25), min_size=4, max_size=12)


@given(COUNTS, st.data(), st.integers(1, 12))
def test_joined_bins_hold_nobody_or_enough_on_either_side(left, data, least):
    right = data.draw(st.lists(st.integers(0, 25), min_size=len(left), max_size=12))
    right = right[: len(left)]
    if min(sum(left), sum(right)) < least:
        return
    ends = sorted(data.draw(st.sets(st.integers(0, len(left) - 1)))) or [0]
    ends = [*ends, len(left) - 1]
    runs = np.array(ends, float)[np.searchsorted(ends, np.arange(len(left)))]
    sides = np.zeros((2, len(left)))
    for side, counts in zip(sides, (left, right), strict=True):
        np.add.at(side, runs.astype(int), counts)

    mine = joined(runs, *sides, least)

    assert (mine >= runs).all()  # joined further, never parted
    assert (mine[runs.astype(int)] == mine).all()
    assert (mine[mine.astype(int)] == mine).all()
    for side in sides:
        held = np.bincount(mine.astype(int), side, minlength=len(left))
        assert not ((held > 0) & (held < least)).any()


@given(st.lists(st.integers(0, 40), min_size=30, max_size=30), st.integers(2, 20))
def test_edges_leave_enough_people_between_them(counts, bins):
    fine = np.zeros((1, 1024))
    fine[0, 10:1000:33] = counts

    (edges,) = edges_of(fine, bins, 10)

    kept = edges[edges < BEYOND]
    middles = (np.arange(1024) + 0.5) / 512 - 1
    held = np.zeros(len(kept) + 1)
    np.add.at(held, np.searchsorted(kept, middles, side="right"), fine[0])
    assert len(edges) == bins - 1
    assert held.min() >= min(10, sum(counts))


# --- what is refused ----------------------------------------------------------------
@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"boosting": Boosting(trees=0)}, "trees lies in 1 to 100"),
        ({"boosting": Boosting(depth=6)}, "depth lies in 1 to 5"),
        ({"boosting": Boosting(bins=1)}, "bins lies in 2 to 256"),
        ({"boosting": Boosting(l2=-1.0)}, "l2 lies in 0"),
        ({"boosting": Boosting(holdout=0.95)}, "holdout lies in 0 to 0.9"),
        ({"boosting": Boosting(learning_rate=0.0)}, "learning_rate lies above 0"),
        ({"boosting": Boosting(min_people=0)}, "min_people lies in 1"),
        ({"terms": ("age", "site")}, "cannot be made elsewhere"),
        ({"outcome": "score", "thresholds": (0.5,)}, "no threshold of probability"),
        ({"outcome": "grade"}, "two levels"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(changed, why):
    study = replace(STUDY, analyses=(replace(TREES, **changed),))

    with pytest.raises(InvalidStudy, match=why):
        study_from(parse_canonical(study.canonical))


def test_columns_that_part_nobody_grow_no_tree():
    columns = people(1, 400)
    for name, value in (("age", 50.0), ("sex", 0), ("chol", 200.0), ("grade", 0)):
        columns[name] = np.full_like(columns[name], value)
    everyone = replace(TREES, boosting=replace(TREES.boosting, holdout=0.0))

    with pytest.raises(NotEstimable, match="no split of any column"):
        oracle(STUDY, everyone, split(columns, CUTS))


def test_too_few_people_are_not_split():
    with pytest.raises(NotEstimable, match="too few people to split"):
        oracle(STUDY, TREES, split(people(1, 30), CUTS))


# --- what people are shown ----------------------------------------------------------
def test_leaves_are_shown_in_three_digits_and_bins_never():
    finding = oracle(STUDY, TREES, split(people(1, 900), CUTS))

    shown, withheld = finding.shown(10)

    found = shown.as_json()
    values = [n["value"] for tree in found["trees"] for n in tree if "value" in n]
    assert withheld
    assert found["bins"] is None
    assert all(value == float(f"{value:.3g}") for value in values)
    assert "n" not in found["trees"][0][0]
    assert finding.shown(1)[0].as_json() == finding.as_json()


@pytest.mark.parametrize("analysis", [TREES, SCORE], ids=lambda a: a.name)
def test_the_report_draws_what_columns_gain_and_writes_every_leaf(analysis):
    shown, _ = oracle(STUDY, analysis, split(people(1, 900), CUTS)).shown(10)

    view, sentence = performance_of(STUDY, analysis, shown.as_json(), ("k", "<10*"))

    is_number = analysis is SCORE
    assert ("held out" in sentence) is not is_number
    assert ("apparent performance" in sentence) is is_number
    assert len(view.trees) == 2
    assert any(" and " in rule and "≥" in rule for rule in view.trees[0])
    shares = [float(row[1].removesuffix("%")) for row in view.importance]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.3)
    assert Picture(view.figures[0]).title.endswith("importance")
    assert len(view.figures) == (1 if is_number else 3)
    assert view.events == ("" if is_number else view.events)
