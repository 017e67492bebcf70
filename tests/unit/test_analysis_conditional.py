"""Sets that are compared within themselves alone: what counts, and what is refused."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp

from hetao.analysis import clogit as clogit_module
from hetao.analysis import estimator_for, evidence, make_plan, make_rows, oracle
from hetao.analysis.conditional import Sets, drawn_one_by_one, drawn_together, spreads
from hetao.analysis.evidence import weighed
from hetao.errors import HighLeverage, InvalidStudy, NotEstimable, SmallCell
from hetao.release.minimums import check_counts
from hetao.study import Analysis, Minimum
from support_analysis import category, estimates, key, number, study_of

VARIABLES = (
    key("set"),
    key("who"),
    category("case", "no", "yes"),
    number("events", 0, 9),
    number("x", -1, 1),
    number("z", -1, 1),
)
CLOGIT = Analysis("a", "clogit", outcome="case", terms=("x", "z"), matched="set")
SCCS = Analysis("a", "sccs", outcome="events", terms=("x",), person="who", most_rows=4)
STUDY = study_of(VARIABLES, CLOGIT, SCCS)


def pairs(count=30, seed=1):
    """Return pairs of a case and a control that differ in x and z."""
    rng = np.random.default_rng(seed)
    return {
        "set": np.repeat(np.arange(count), 2),
        "who": np.arange(2 * count),
        "case": np.tile([1, 0], count),
        "events": np.zeros(2 * count),
        "x": rng.uniform(-1, 1, 2 * count).round(3),
        "z": rng.integers(0, 2, 2 * count) * 2.0 - 1,
    }


def more(columns, **rows):
    """Return the columns with further rows."""
    return {name: np.append(array, rows[name]) for name, array in columns.items()}


def by_counting(x, y, codes, eta):
    """Return score, information, log-likelihood and chances by every way to draw."""
    p = x.shape[1]
    score, information, loglik = np.zeros(p), np.zeros((p, p)), 0.0
    chance = np.zeros(len(y))
    for code in np.unique(codes):
        rows = np.nonzero(codes == code)[0]
        cases = rows[y[rows] == 1]
        ways = [list(w) for w in itertools.combinations(rows, len(cases))]
        logs = np.array([eta[way].sum() for way in ways])
        share = np.exp(logs - logsumexp(logs))
        sums = np.array([x[way].sum(axis=0) for way in ways])
        mean = share @ sums
        score += x[cases].sum(axis=0) - mean
        information += (sums - mean).T @ ((sums - mean) * share[:, None])
        loglik += eta[cases].sum() - logsumexp(logs)
        for way, part in zip(ways, share, strict=True):
            chance[way] += part
    return score, information, loglik, chance


@pytest.mark.parametrize("size", [0.5, 5.0, 60.0])
def test_the_recursion_is_the_sum_over_every_way_to_draw(size):
    rng = np.random.default_rng(int(size))
    codes, x = rng.integers(0, 9, 60), rng.uniform(-1, 1, (60, 3))
    y = (rng.random(60) < 0.45).astype(float)
    eta = size * x @ np.array([1.0, -2.0, 0.5])
    sets = Sets.of_rows(x, y, codes)

    point = drawn_together(sets, eta[sets.order])
    score, information, loglik, chance = by_counting(x, y, codes, eta)

    np.testing.assert_allclose(point.score, score, rtol=0, atol=1e-12)
    np.testing.assert_allclose(point.information, information, rtol=0, atol=1e-12)
    assert point.loglik == pytest.approx(loglik, rel=1e-12)
    few = np.minimum(sets.sums(y[sets.order]), sets.size - sets.sums(y[sets.order]))
    several = few[sets.of] > 1
    found, true = spreads(sets, eta[sets.order]), chance[sets.order]
    wanted = (true * (1 - true))[several]
    np.testing.assert_allclose(found[several], wanted, rtol=0, atol=1e-12)


def test_events_one_by_one_are_a_case_a_set_where_there_is_one():
    columns = pairs()
    x = np.stack([columns["x"], columns["z"]], axis=1)
    sets = Sets.of_rows(x, columns["case"].astype(float), columns["set"])
    eta = 2 * columns["x"]

    exact = drawn_together(sets, eta)
    for efron in (False, True):
        point, _ = drawn_one_by_one(sets, eta, efron)
        np.testing.assert_allclose(point.score, exact.score, atol=1e-13)
        np.testing.assert_allclose(point.information, exact.information, atol=1e-13)


@pytest.mark.parametrize("likelihood", ["exact", "efron", "breslow"])
def test_a_set_without_a_case_or_without_a_control_says_nothing(likelihood):
    analysis = replace(CLOGIT, likelihood=likelihood)
    known = pairs()
    alone = more(
        known, set=[90, 90, 91, 91, 92], who=[0] * 5, case=[1, 1, 0, 0, 1],
        events=[0] * 5, x=[0.1, 0.9, 0.2, -0.4, 0.7], z=[1, -1, 1, -1, 1],
    )  # fmt: skip

    first, second = (oracle(STUDY, analysis, {"aa": c}) for c in (known, alone))

    assert first.as_json() == second.as_json()
    assert second.as_json()["n"] == 60
    assert second.as_json()["events"] == 30


def test_who_had_no_event_or_one_interval_alone_does_not_count_as_a_person():
    rng = np.random.default_rng(2)
    n = 40
    columns = pairs(n // 2) | {
        "who": np.repeat(np.arange(n // 4), 4),
        "events": np.tile([1.0, 0, 0, 2], n // 4),
        "x": rng.uniform(-1, 1, n),
    }
    columns["events"][:4] = 0
    columns = more(columns, set=[0], who=[77], case=[0], events=[5.0], x=[0.3], z=[1.0])
    plan = make_plan(STUDY, SCCS)
    asked = []

    rows = make_rows(plan, columns, "aa", enough=asked.append)
    finding = oracle(STUDY, SCCS, {"aa": columns}).as_json()

    assert (rows.n, rows.people, asked) == (36, 9, [9])
    assert (finding["n"], finding["events"]) == (9, 27)


def test_where_no_set_says_anything_it_is_said():
    columns = pairs()
    with pytest.raises(NotEstimable, match="no matched set holds both"):
        oracle(STUDY, CLOGIT, {"aa": columns | {"case": np.ones(60, dtype=int)}})
    with pytest.raises(NotEstimable, match="nobody has both an event and several"):
        oracle(STUDY, SCCS, {"aa": columns})


def test_what_is_the_same_within_every_set_is_named():
    columns = pairs()
    columns["z"] = np.repeat(np.tile([-1.0, 1.0], 15), 2)
    with pytest.raises(NotEstimable, match="no one differs in the columns z"):
        oracle(STUDY, CLOGIT, {"aa": columns})


def test_cases_that_are_all_on_one_side_of_their_control_are_separated():
    columns = pairs()
    columns["x"] = np.where(columns["case"] == 1, 0.5, -0.5) + columns["x"] / 4
    with pytest.raises(NotEstimable, match="separated by x"):
        oracle(STUDY, replace(CLOGIT, terms=("x",)), {"aa": columns})


def test_a_set_with_too_many_ways_to_draw_is_refused_with_what_to_do(monkeypatch):
    monkeypatch.setattr(clogit_module, "MOST_DRAWS", 400)
    columns = pairs() | {"set": np.zeros(60, dtype=int)}
    with pytest.raises(NotEstimable, match="likelihood = 'efron'"):
        oracle(STUDY, CLOGIT, {"aa": columns})
    assert oracle(STUDY, replace(CLOGIT, likelihood="efron"), {"aa": columns})


def test_a_likelihood_is_one_that_is_known():
    from hetao.study.analysis_checks import check_analysis

    with pytest.raises(InvalidStudy, match="'exact', 'efron' or 'breslow'"):
        check_analysis(STUDY, replace(CLOGIT, likelihood="approximate"), "here")
    with pytest.raises(InvalidStudy, match="must be a key"):
        check_analysis(STUDY, replace(CLOGIT, matched="case"), "here")


def test_no_sum_over_draws_varies_more_than_half_a_row_for_each_row():
    rng = np.random.default_rng(4)
    for n, size in itertools.product((2, 4, 9), (0.0, 1.0, 10.0)):
        for cases in range(1, n):
            x = rng.choice([-1.0, 1.0], (n, 2))
            y = (np.arange(n) < cases).astype(float)
            sets = Sets.of_rows(x, y, np.zeros(n, dtype=int))
            point = drawn_together(sets, size * rng.normal(size=n))
            assert np.abs(point.information).max() <= n / 2
            assert np.abs(point.score).max() <= n


# --- what the gate weighs -------------------------------------------------------------
def facts_of(columns, analysis=CLOGIT):
    plan = make_plan(STUDY, analysis)
    rows = make_rows(plan, columns, "aa")
    return plan, rows, evidence(plan, rows)


def test_the_gate_counts_who_differs_within_sets():
    columns = pairs() | {"z": np.repeat(np.tile([-1.0, 1.0], 15), 2)}
    columns["z"][[0, 8, 9, 20]] *= -1  # sets 0, 10; both of set 4 stay alike
    _, _, facts = facts_of(columns)

    assert facts.smallest_side == {"x": 30, "z": 2}  # half of people have each z
    assert (facts.people, facts.events) == (60, 30)
    with pytest.raises(SmallCell, match="z"):
        check_counts(facts, Minimum(cell=3), "aa")


def test_a_column_that_one_set_alone_varies_in_is_that_sets():
    columns = pairs() | {"z": np.repeat(np.tile([-1.0, 1.0], 15), 2)}
    columns["z"][0] *= -1
    _, _, facts = facts_of(columns)

    assert facts.max_leverage == pytest.approx(1.0)
    with pytest.raises(HighLeverage):
        check_counts(facts, Minimum(cell=1, share=1.0), "aa")


def test_the_opening_knows_who_has_most_events():
    columns = pairs(40) | {
        "who": np.repeat(np.arange(20), 4),
        "events": np.tile([1.0, 0, 0, 2], 20),
        "x": np.tile([1.0, 0.5, -0.5, -1], 20),
    }
    columns["events"][:4] = [9, 9, 9, 9]
    method = estimator_for(STUDY, SCCS)
    _, rows, facts = facts_of(columns, SCCS)
    guarded, own_cells = method.guarded(facts, rows, None)

    assert facts.max_leverage == pytest.approx(1 / 20)  # of rows that count alike
    assert guarded.max_leverage == pytest.approx(36 / (36 + 19 * 3))
    assert not own_cells


def test_people_who_are_alike_decide_as_much_as_each_other():
    columns = pairs(40) | {
        "who": np.repeat(np.arange(20), 4),
        "events": np.tile([1.0, 0, 0, 2], 20),
        "x": np.tile([1.0, 0.5, -0.5, -1], 20),
    }
    _, _, facts = facts_of(columns, SCCS)
    assert facts.max_leverage == pytest.approx(1 / 20)
    assert facts.smallest_side == {"x": 20}

    # Of pairs too: without a person the whole pair says nothing.
    columns = pairs(20) | {"x": np.tile([1.0, 0.0], 20)}
    _, _, facts = facts_of(columns, replace(CLOGIT, terms=("x",)))
    assert facts.max_leverage == pytest.approx(1 / 20)

    # Of one large set, nobody decides it all.
    columns["set"] = np.zeros(40, dtype=int)
    _, _, facts = facts_of(columns, replace(CLOGIT, terms=("x",)))
    assert facts.max_leverage == pytest.approx(1 / 20)


@pytest.mark.parametrize("cases", [1, 2])
def test_a_state_at_which_one_set_alone_counts_is_seen(cases):
    sets = 20
    columns = pairs(2 * sets) | {
        "set": np.repeat(np.arange(sets), 4),
        "case": np.tile([1, cases - 1, 0, 0], sets),
        "x": np.tile([0.9, 0.3, -0.3, -0.9], sets),
        "z": np.tile([1.0, -1, -1, 1], sets),
    }
    columns["x"][:4] = 0.5  # of one set, whom no state tells apart
    columns["z"][:4] = [1, -1, 1, 0]
    method = estimator_for(STUDY, CLOGIT)
    plan, rows, facts = facts_of(columns)
    found = [
        weighed(facts, plan, rows, method.weights(rows, {"beta": np.array([b, 0.0])}))
        for b in (0.0, 200.0)
    ]

    assert found[0].max_leverage < 0.3
    assert found[1].max_leverage > 0.5  # its own people alone


def test_an_effect_may_differ_by_what_stays_the_same_in_a_set():
    columns = pairs(60)
    sex = np.repeat(np.arange(60) % 2, 2)
    columns |= {"sex": sex, "z": (columns["z"] + 1) / 2}
    variables = (*VARIABLES, category("sex", "f", "m"), category("c", "no", "yes"))
    columns["c"] = columns["z"].astype(int)
    by = replace(CLOGIT, terms=("c", "c:sex"), strata=("sex",))
    study = study_of(variables, by)
    whole = oracle(study, by, {"aa": columns})
    apart = [
        oracle(
            study,
            replace(CLOGIT, terms=("c",)),
            {"aa": {name: array[sex == code] for name, array in columns.items()}},
        )
        for code in (0, 1)
    ]
    (women, _), (men, _) = map(estimates, apart)

    names = [term["name"] for term in whole.as_json()["terms"]]
    assert names == ["c[yes]", "c[yes]:sex[m]"]
    beta, _ = estimates(whole)
    assert beta == pytest.approx([women[0], men[0] - women[0]], abs=1e-9)
    with pytest.raises(NotEstimable, match="determine each other"):
        oracle(study, replace(by, strata=()), {"aa": columns})
    with pytest.raises(InvalidStudy, match="constant within every stratum"):
        make_plan(study, replace(by, terms=("c", "sex")))


def test_strata_split_sets():
    columns = pairs()
    columns["sex"] = np.tile([0, 1, 1, 1], 15)  # of every other pair one of each
    study = study_of((*VARIABLES, category("sex", "f", "m")), CLOGIT)
    split = oracle(study, replace(CLOGIT, strata=("sex",)), {"aa": columns})
    kept = {k: a[np.arange(60) % 4 > 1] for k, a in columns.items()}
    assert (
        split.as_json()["terms"]
        == oracle(study, CLOGIT, {"aa": kept}).as_json()["terms"]
    )
    assert split.as_json()["n"] == 30


def test_estimates_of_pairs_are_mcnemars():
    columns = pairs() | {"x": np.tile([1.0, -1.0], 30)}
    columns["x"][:20] *= -1  # 10 pairs the other way
    finding = oracle(STUDY, replace(CLOGIT, terms=("x",)), {"aa": columns})
    beta, se = estimates(finding)
    assert 2 * beta[0] == pytest.approx(np.log(20 / 10), abs=1e-12)
    assert 2 * se[0] == pytest.approx(np.sqrt(1 / 20 + 1 / 10), rel=1e-8)
