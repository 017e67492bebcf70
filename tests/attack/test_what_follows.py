"""What is shown, or asked, gives no few people back: attacks that worked once."""

import numpy as np
import pytest

from hetao.analysis import Finding, oracle
from hetao.analysis.evidence import evidence, weighed
from hetao.analysis.registry import estimator_for
from hetao.analysis.rows import make_rows
from hetao.errors import Refused
from hetao.release.minimums import check_counts
from hetao.study import Analysis, Grid, Minimum, Network
from support_analysis import (
    ANALYSES,
    STUDY,
    category,
    number,
    people,
    split,
    study_of,
)
from support_federation import LOGISTIC, Federation, toy_study
from support_federation import Plan as Planned

SITES = ("aa", "bb", "cc")
STRICT = Minimum(people=50, cell=10, events=10, share=0.1, leverage=0.5, sites=3)


def shown(variables, analysis, parts):
    study = study_of(variables, analysis, sites=SITES)
    finding, _ = oracle(study, analysis, parts).shown(10)
    return finding.payload


def test_people_less_the_periods_that_are_shown_are_not_told():
    rng = np.random.default_rng(1)
    variables = (category("period", "p1", "p2", "p3"), category("ill", "no", "yes"))
    parts = {}
    for site, few in zip(SITES, (2, 1, 1), strict=True):
        period = np.repeat([0, 1, 2], [60, 60, few])
        parts[site] = {"period": period, "ill": rng.integers(0, 2, len(period))}

    asked = Analysis("i", "indicators", outcome="ill", by="period")
    payload = shown(variables, asked, parts)
    assert [one["n"] for one in payload["periods"]] == [180, 180, None]
    assert payload["n"] is payload["trend"] is payload["centre"] is None


def test_a_death_among_few_who_entered_early_is_not_told():
    rng = np.random.default_rng(2)
    variables = (
        number("from", 0, 60),
        number("day", 0, 60),
        category("died", "n", "y"),
    )
    parts = {}
    for place, site in enumerate(SITES):
        late = rng.integers(12, 60, 40).astype(float)
        late[:7] = 11.0
        died = (rng.random(40) < 0.5).astype(np.int64)
        died[:7] = 1
        parts[site] = {
            "from": np.array([0.0] + [10.0] * 40),
            "day": np.concatenate([[5.0 if place == 0 else 30.0], late]),
            "died": np.concatenate([[int(place == 0)], died]),
        }

    grid = Grid(tuple(float(day) for day in range(1, 61)))
    asked = Analysis("k", "km", time="day", event="died", start="from", grid=grid)
    (curve,) = shown(variables, asked, parts)["curves"]
    assert len(curve["survival"]) == 0


def test_two_counts_of_a_screen_do_not_differ_by_few():
    rng = np.random.default_rng(3)
    variables = (
        number("age", 18, 100),
        category("ill", "no", "yes"),
        category("fell", "no", "yes"),
    )
    parts = {}
    for place, site in enumerate(SITES):
        fell = rng.integers(0, 2, 150)
        fell[: 1 + (place == 0)] = -1
        ill = rng.integers(0, 2, 150)
        parts[site] = {"age": rng.uniform(18, 100, 150), "ill": ill, "fell": fell}

    asked = Analysis(
        "s", "screen", model="logistic", exposures=("age",), outcomes=("ill", "fell")
    )
    counts = [one["n"] for one in shown(variables, asked, parts)["pairs"]]
    assert counts == [450, None]


@pytest.fixture(scope="module")
def matched():
    """Return what a matched model found where nobody is few."""
    parts = {"aa": people(7, 1200)}
    return oracle(STUDY, ANALYSES["cox_matched"], parts).as_json()


def assert_that_the_matched_are_not_told(payload):
    shown, withheld = Finding("a", "cox_scored", payload).shown(10)
    assert withheld
    found = shown.payload
    assert found["n"] is found["events"] is found["matching"]["sets"] is None
    assert [arm["ess"] for arm in found["arms"]] == [None, None]


def test_few_controls_who_found_no_match_are_not_told(matched):
    assert not Finding("a", "cox_scored", matched).shown(10)[1]
    controls = matched["n"] - matched["matching"]["sets"]
    few = {**matched["arms"][0], "n": controls + 3}

    assert_that_the_matched_are_not_told(matched | {"arms": [few, matched["arms"][1]]})


def test_few_events_of_those_who_found_no_match_are_not_told(matched):
    events = sum(arm["events"] for arm in matched["arms"])

    assert_that_the_matched_are_not_told(matched | {"events": events - 3})


def test_an_area_under_a_curve_does_not_tell_few_events():
    """An area is a whole share of n1 n0 pairs: from five digits on it gives n1 back."""
    parts = split(people(5, 100), (0.2, 0.5))
    finding = oracle(STUDY, ANALYSES["performance"], parts)
    exact = finding.as_json()
    assert exact["auc"]
    assert exact["loglik"]

    found = finding.shown(60)[0].payload

    assert found["events"] is None
    assert found["auc"] == {}
    assert found["terms"] == []
    assert found["loglik"] is None


# --- states that single somebody out ------------------------------------------------
AGES = (number("age", 18, 100), number("chol", 50, 700), category("ill", "no", "yes"))


def patients(n=600, seed=3):
    """Return columns of people of whom one is older than 95."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, n).astype(float)
    age[17] = 97.0
    ill = rng.integers(0, 2, n)
    ill[17] = 1
    return {"age": age, "chol": rng.uniform(100, 600, n).round(1), "ill": ill}


def passes(method, rows, state):
    """Hold a state to the gate; raise as it does."""
    facts, _ = method.guarded(evidence(method.plan, rows), rows, state)
    weights = method.weights(rows, state)
    if weights is not None:
        facts = weighed(facts, method.plan, rows, weights)
    check_counts(facts, STRICT, "aa")


def network(**words):
    form = {"layers": (3,), "activation": "relu", "lr": 0.01, "clip": 10.0}
    asked = Analysis(
        "n",
        "neural_network",
        outcome="ill",
        terms=("age", "chol"),
        network=Network(**form, local_epochs=1, batch_size=0, **words),
    )
    method = estimator_for(study_of(AGES, asked, sites=SITES), asked)
    return method, make_rows(method.plan, patients(), "aa")


def over(method, age):
    column = method.plan.columns[1]
    return (age - column.centre) / column.scale


def test_a_unit_that_only_one_patient_activates_is_refused_though_it_leads_nowhere():
    method, rows = network()
    state = dict(method._opening())
    weights = method.form.first(0) * 0
    first, last = method.form.matrices(weights)
    first[:, 0], last[1, 0] = [1, 0, 0], 0.1
    first[:, 1] = [-1000 * over(method, 95.0), 1000, 0]
    first[:, 2] = [-1000 * over(method, 95.0), 1000, 1]
    state["weights"] = weights

    with pytest.raises(Refused, match="one person"):
        passes(method, rows, state)


def test_the_weights_of_the_round_before_are_looked_at_too():
    method, rows = network(strategy="scaffold")
    state = dict(method._opening())
    before = method.form.first(0) * 0
    first, last = method.form.matrices(before)
    first[:, 0], last[1, 0] = [-1000 * over(method, 95.0), 1000, 0], 0.001
    state |= {"weights": method.form.first(0), "previous": before}
    state |= {"control": before * 0, "round": np.ones(1)}

    with pytest.raises(Refused, match="one person"):
        passes(method, rows, state)


def test_a_state_that_one_of_a_fold_alone_feels_is_refused():
    ages = np.repeat(np.arange(20.0, 80.0), 10)
    ages[-1] = 99.0
    variables = (number("age", 18, 100), category("ill", "no", "yes"))
    asked = Analysis(
        "p",
        "logistic",
        outcome="ill",
        terms=("age",),
        penalty="ridge",
        lambdas=(0.1,),
        folds=4,
    )
    method = estimator_for(study_of(variables, asked, sites=SITES), asked)
    ill = np.arange(len(ages)) % 2
    rows = make_rows(method.plan, {"age": ages, "ill": ill}, "aa")
    fold = rows.fold[-1]
    # in the whole site three more are as old; in the fold of one of them, nobody is
    others = np.flatnonzero((rows.fold != fold) & (rows.X[:, 1] < 0))[:3]
    rows.X[others, 1] = rows.X[-1, 1]
    middle, steep = over(method, 95.0), 200.0
    beta = np.array([-steep * middle, steep])
    state = {"beta": np.tile(beta, method.sizes()["fits"])}

    with pytest.raises(Refused, match="one person"):
        passes(method, rows, state)


def test_weights_that_are_squared_are_judged_squared():
    """Of the stacked equations squares leave; one person's must not be their sum."""
    method = estimator_for(STUDY, ANALYSES["cox_scored"])
    rows = make_rows(method.plan, people(4, 300), "aa")
    treated = np.flatnonzero(rows.group == 1)
    rows.time[treated[0]], rows.event[treated[0]] = 0.0, 0  # of no pull in the model
    # A third of the treated are young, a third have little cholesterol, he alone both,
    # as many controls have: no number is his own, but what the score makes of both.
    numbers, turn = [1, 3], np.arange(rows.n)
    rows.Z[:, numbers] = -np.stack([turn % 2, turn // 2 % 2], axis=1)
    third = np.arange(len(treated))[:, None] % 3
    rows.Z[np.ix_(treated, numbers)] = -1.0 * (third == [1, 2])
    rows.Z[treated[0], numbers] = -1.0
    gamma = np.zeros(method._of_score.parameters)
    gamma[numbers] = 3.4
    state = {"gamma": gamma, "beta": np.zeros(2)}
    of = method._by_score(rows, state).of[1]
    assert of.max() < 0.3 * of.sum()
    assert (of**2).max() > 0.8 * (of**2).sum()

    passes(method, rows, state)
    with pytest.raises(Refused, match="one person"):
        passes(method, rows, state | {"last": np.ones(1)})


def test_a_meta_analysis_that_hides_its_sites_certifies(tmp_path):
    asked = Analysis(
        "m",
        "meta",
        model="logistic",
        outcome=LOGISTIC.outcome,
        terms=LOGISTIC.terms,
    )
    with Federation(tmp_path / "f", Planned(toy_study((asked,)))) as federation:
        assert federation.run().certificate
