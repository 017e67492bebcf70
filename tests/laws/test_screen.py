"""A screen's models are the single analyses, bit for bit, and none stops another."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetao.analysis import check_message, estimator_for, make_rows, oracle
from hetao.analysis.calibration import calibrated, false_discovery, systematic_error
from hetao.study import Analysis
from support_analysis import LOOSE, STUDY, category, people, refuse_or, split

LOOSELY = replace(STUDY, minimum=LOOSE)
COMMON = {"exposures": ("treated", "chol"), "terms": ("age", "sex")}
SCREENS = {
    "logistic": Analysis(
        "s", "screen", model="logistic", outcomes=("ill", "died"), **COMMON
    ),
    "poisson": Analysis(
        "s",
        "screen",
        model="poisson",
        outcomes=("visits", "falls"),
        offset="log(years)",
        variance="robust",
        **COMMON,
    ),
    "negative_binomial": Analysis(
        "s", "screen", model="negative_binomial", outcomes=("falls",), **COMMON
    ),
    "cox": Analysis(
        "s",
        "screen",
        model="cox",
        outcomes=("died", "ill"),
        times=("day",),
        strata=("site",),
        weights="share",
        **COMMON,
    ),
}
KEPT = ("estimate", "se", "z", "p", "lower", "upper")


@pytest.mark.parametrize("model", SCREENS)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.floats(0, 1), max_size=3))
@settings(max_examples=4, deadline=None)
def test_each_model_is_the_single_analysis_bit_for_bit(model, seed, cuts):
    parts = split(people(seed, 400), cuts)
    analysis = SCREENS[model]
    singles = [
        refuse_or(lambda one=one: oracle(LOOSELY, one, parts))
        for _, _, one in analysis.pairs
    ]

    screen, refused = refuse_or(lambda: oracle(LOOSELY, analysis, parts))

    if refused is not None:  # every site of one row refuses, as its leverage is 1
        assert any(len(part["age"]) < 20 for part in parts.values())
        return
    found = screen.as_json()
    for pair, (single, why) in zip(found["pairs"], singles, strict=True):
        if pair["refused"]:
            assert why is not None or any(len(p["age"]) < 20 for p in parts.values())
            continue
        answer = single.as_json()
        term = answer["terms"][model != "cox"]
        assert {key: pair[key] for key in KEPT} == {key: term[key] for key in KEPT}
        for key in ("n", "events", "rounds", "loglik"):
            assert pair[key] == answer[key]
    slowest = max(pair.get("rounds", 0) for pair in found["pairs"])
    assert found["rounds"] == slowest + 1


@pytest.mark.parametrize("model", SCREENS)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 80),
    size=st.sampled_from([0.0, 1.0, 10.0, 100.0]),
)
@settings(max_examples=8, deadline=None)
def test_every_message_obeys_its_declaration(model, seed, n, size):
    method = estimator_for(LOOSELY, SCREENS[model])
    rows = make_rows(method.plan, people(seed, n), "aa")
    pairs, p = len(method.plan.parts), method.plan.parts[0].parameters
    draw = np.random.default_rng(seed)
    opened = {"stands": np.zeros(pairs), "round": np.zeros(pairs)}
    state = opened | {
        "has beta": np.ones(pairs),
        "of beta": draw.normal(0, 1, (pairs, p)) * size,
        "has log_theta": np.ones(pairs),
        "of log_theta": draw.normal(0, 1, (pairs, 1)),
        "has last": np.full(pairs, float(seed % 2)),
        "of last": np.ones((pairs, 1)),
    }

    check_message(method.start(rows), method.declare(0), rows.n)
    check_message(method.local(rows, opened), method.declare(1), rows.n)
    check_message(method.local(rows, state), method.declare(2), rows.n)


# --- many outcomes ------------------------------------------------------------------
OUTCOMES = tuple(f"o{i}" for i in range(12))
WIDE = replace(
    LOOSELY,
    variables=(*STUDY.variables, *(category(o, "no", "yes") for o in OUTCOMES)),
    minimum=replace(LOOSE, events=5, people=50, cell=5),
)
MANY = Analysis(
    "many",
    "screen",
    model="logistic",
    exposures=("treated",),
    outcomes=("ill", *OUTCOMES),
    controls=OUTCOMES[:8],
    terms=("age", "sex"),
)


def with_outcomes(seed, n=900):
    """Return people with eight outcomes by chance and four that nothing can fit."""
    columns, draw = people(seed, n), np.random.default_rng(seed)
    for name in OUTCOMES:
        columns[name] = (draw.random(n) < 0.3).astype(np.int64)
    columns["o9"][: 2 * n // 5] = 0  # no site has enough of them: few events
    columns["o9"][:] = 0
    columns["o9"][:3] = 1
    columns["o10"] = columns["sex"].copy()  # a term separates it
    columns["o11"][: n // 5] = 0  # the first site has none of them
    return columns


def test_models_that_cannot_be_fitted_are_named_and_stop_no_other():
    parts = split(with_outcomes(1), (0.2, 0.6))

    found = oracle(WIDE, MANY, parts).as_json()

    refused = {p["outcome"]: p["refused"] for p in found["pairs"] if p["refused"]}
    assert set(refused) == {"o9", "o10", "o11"}
    assert "not every site holds enough" in refused["o9"]
    assert "not every site holds enough" in refused["o11"]
    assert "separated" in refused["o10"] or "run off" in refused["o10"]
    alone = oracle(WIDE, MANY.pairs[0][2], parts).as_json()
    assert found["pairs"][0]["estimate"] == alone["terms"][1]["estimate"]


def test_controls_calibrate_the_others_and_only_these_are_adjusted_for_their_number():
    parts = split(with_outcomes(2), (0.2, 0.6))

    found = oracle(WIDE, MANY, parts).as_json()

    pairs = {pair["outcome"]: pair for pair in found["pairs"]}
    controls = [pairs[name] for name in OUTCOMES[:8]]
    error = systematic_error(
        [one["estimate"] for one in controls], [one["se"] for one in controls]
    )
    told = found["systematic_error"]
    assert told == [
        {"exposure": "treated", "controls": 8, "mean": error.mean, "sd": error.sd}
    ]
    asked = [p for p in found["pairs"] if not p["refused"] and not p["is_control"]]
    assert [p["outcome"] for p in asked] == ["ill", "o8"]
    p = [calibrated(one["estimate"], one["se"], error).p for one in asked]
    assert [one["calibrated"]["p"] for one in asked] == p
    assert tuple(one["q"] for one in asked) == false_discovery(p)
    assert all("q" not in one for one in controls)


def test_few_controls_calibrate_nothing():
    analysis = replace(MANY, controls=OUTCOMES[:4])

    found = oracle(WIDE, analysis, split(with_outcomes(2), (0.2, 0.6))).as_json()

    assert found["systematic_error"][0]["mean"] is None
    assert all("calibrated" not in pair for pair in found["pairs"])
    assert all(
        "q" in p for p in found["pairs"] if not (p["is_control"] or p["refused"])
    )


def test_missing_outcomes_take_people_out_of_their_own_models_alone():
    columns = with_outcomes(3)
    columns["o3"] = np.where(np.arange(900) % 3 == 0, -1, columns["o3"])
    parts = split(columns, (0.2, 0.6))

    found = oracle(WIDE, MANY, parts).as_json()

    by_outcome = {pair["outcome"]: pair for pair in found["pairs"]}
    assert by_outcome["o3"]["n"] < by_outcome["o2"]["n"] == by_outcome["ill"]["n"]
    for outcome in ("o2", "o3"):
        single = next(one for _, name, one in MANY.pairs if name == outcome)
        alone = oracle(WIDE, single, parts).as_json()
        assert by_outcome[outcome]["estimate"] == alone["terms"][1]["estimate"]


def test_the_order_of_sites_changes_not_one_bit():
    parts = split(with_outcomes(4), (0.2, 0.6))

    first = oracle(WIDE, MANY, parts).as_json()
    second = oracle(WIDE, MANY, dict(reversed(parts.items()))).as_json()

    assert first == second
