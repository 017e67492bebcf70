"""The facts that a site's own gate weighs."""

from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import (
    estimator_for,
    evidence,
    make_plan,
    make_rows,
    oracle,
    weighed,
)
from hetao.study import Analysis
from support_analysis import ANALYSES, STUDY, people, rows_of, study_of


def facts(analysis, columns, site="aa"):
    return evidence(*rows_of(STUDY, analysis, columns, site))


def logistic(*terms):
    return replace(ANALYSES["logistic"], terms=terms)


def test_sides_of_columns_are_counted_and_public_columns_left_out():
    columns = people(1, 100)
    columns["age"] = np.where(np.arange(100) < 93, 60.0, 61.0 + np.arange(100) % 5)
    columns["sex"] = (np.arange(100) < 96).astype(int)

    found = facts(logistic("age", "sex", "site", "site:sex", "chol"), columns, "bb")

    assert found.smallest_side["age"] == 7
    assert found.smallest_side["sex[male]"] == 4
    assert found.smallest_side["chol"] == 99
    assert found.smallest_side["site[bb]:sex[male]"] == 4
    assert "(Intercept)" not in found.smallest_side
    assert not any(name.startswith("site[cc]") for name in found.smallest_side)
    assert "site[bb]" not in found.smallest_side


def test_a_column_that_no_one_varies_in_has_no_smaller_side():
    columns = people(1, 50) | {"sex": np.ones(50, dtype=int)}

    assert facts(logistic("sex"), columns).smallest_side == {"sex[male]": 0}


def test_events_and_people_are_those_of_the_complete_cases():
    columns = people(2, 200)
    keep = ~np.isnan(columns["age"])

    found = facts(logistic("age"), columns)

    assert found.people == keep.sum()
    assert found.events == columns["ill"][keep].sum()
    assert found.events + found.non_events == found.people
    assert found.parameters == 2
    assert facts(ANALYSES["linear"], columns).events is None
    cox = facts(replace(ANALYSES["cox_efron"], terms=("age",)), columns)
    assert (cox.events, cox.non_events) == (columns["died"][keep].sum(), None)


@pytest.mark.parametrize("name", ["linear", "cox_efron"])
def test_leverage_is_the_largest_diagonal_of_the_hat_matrix(name):
    columns = people(3, 80)
    _, rows = rows_of(STUDY, ANALYSES[name], columns)
    X = rows.X if name == "linear" else np.column_stack([np.ones(rows.n), rows.X])

    found = facts(ANALYSES[name], columns).max_leverage

    assert found == pytest.approx(np.diag(X @ np.linalg.pinv(X)).max(), rel=1e-8)


def test_one_person_with_a_column_of_their_own_decides_it_alone():
    columns = people(4, 80) | {"sex": (np.arange(80) == 5).astype(int)}

    found = facts(logistic("sex", "site"), columns)

    assert found.max_leverage == pytest.approx(1)
    assert found.smallest_side["sex[male]"] == 1


def test_no_people_have_no_leverage():
    assert facts(logistic("age"), people(1, 0)).max_leverage is None


def test_the_cells_of_a_table_are_all_counted():
    columns = people(5, 300)
    found = facts(ANALYSES["table1"], columns)

    by_sex = [int((columns["sex"] == s).sum()) for s in (0, 1)]
    assert [found.cells["people | female"], found.cells["people | male"]] == by_sex
    levels = [found.cells[f"grade={g} | male"] for g in ("low", "middle", "high")]
    assert sum(levels) + found.cells.get("grade missing | male", 0) == by_sex[1]
    assert found.parameters == 0


@pytest.mark.parametrize("name", ["km", "cox_grid_efron"])
def test_a_grid_counts_its_thinnest_bin(name):
    found = facts(ANALYSES[name], people(5, 300))

    assert found.cells["leaving in the thinnest bin"] == 1
    assert found.cells["events in the thinnest bin"] == 1


def test_the_steps_of_an_attrition_table_and_what_they_remove_are_cells():
    analysis = Analysis("flow", "counts")
    study = study_of(
        STUDY.variables, analysis, criteria=[("Old", "age > 80"), ("All", "age > 0")]
    )
    plan = make_plan(study, analysis)
    steps = [("Everyone in the data", 50), ("Old", 47), ("All", 47)]

    found = evidence(plan, make_rows(plan, {}, "aa", attrition=steps))

    assert found.people == 50
    assert found.cells == {
        "Everyone in the data": 50,
        "Old": 47,
        "All": 47,
        "removed by Old": 3,
    }


def test_table_one_is_numpy_on_the_pooled_rows():
    columns = people(6, 400)
    answer = oracle(STUDY, ANALYSES["table1"], {"aa": columns}).as_json()
    rows = {(r["variable"], r["level"]): r for r in answer["rows"]}

    ages = [
        columns["age"][(columns["sex"] == s) & ~np.isnan(columns["age"])]
        for s in (0, 1)
    ]
    for group, values in enumerate(ages):
        cell = rows["age", ""]["by_group"][group]
        assert cell["n"] == len(values)
        assert cell["mean"] == pytest.approx(values.mean(), rel=1e-12)
        assert cell["sd"] == pytest.approx(values.std(ddof=1), rel=1e-12)
    spread = np.sqrt((ages[0].var(ddof=1) + ages[1].var(ddof=1)) / 2)
    wanted = abs(ages[0].mean() - ages[1].mean()) / spread
    assert rows["age", ""]["smd"] == pytest.approx(wanted, rel=1e-11)
    shares = [columns["ill"][columns["sex"] == s].mean() for s in (0, 1)]
    binary = abs(shares[0] - shares[1]) / np.sqrt(sum(p * (1 - p) for p in shares) / 2)
    assert rows["ill", "no"]["smd"] == pytest.approx(binary, rel=1e-11)
    assert answer["groups"] == ["female", "male"]


@pytest.mark.parametrize("name", ["poisson", "negative_binomial", "gamma"])
def test_a_state_that_makes_one_person_count_is_high_leverage(name):
    study = study_of(STUDY.variables, ANALYSES[name])
    analysis = replace(ANALYSES[name], terms=("age", "sex"), offset="")
    columns = people(3, 200)
    columns["age"] = np.linspace(30, 60, 200)
    columns["age"][7] = 100.0
    columns["cost"][:] = columns["falls"][:] = columns["visits"][:] = 3.0
    method = estimator_for(study, analysis)
    rows = make_rows(method.plan, columns, "aa")
    plain = evidence(method.plan, rows)
    slope = 8.0 if name != "gamma" else -8.0  # of age in 41 years, centred at 59
    beta = np.array([np.log(3.0) - slope / 2, slope, 0.0])
    state = {"beta": beta, "log_theta": np.array([np.log(1e5)])}

    found = weighed(plain, method.plan, rows, method.weights(rows, state))

    assert plain.max_leverage < 0.4
    assert found.max_leverage > 0.9


def test_a_test_is_held_to_its_groups_and_their_events():
    columns = people(7, 300)
    known = columns["grade"] >= 0
    sizes, events = (
        [int(((columns["sex"] == s) & known & chosen).sum()) for s in (0, 1)]
        for chosen in (True, columns["died"] == 1)
    )

    found = facts(ANALYSES["logrank"], columns)

    assert list(found.smallest_side.values()) == sizes
    assert found.cells == {
        "events | female": events[0],
        "events | male": events[1],
    }
    assert (found.events, found.parameters) == (sum(events), 1)


def test_strata_by_site_tell_no_site_apart_but_groups_do():
    by_site = replace(ANALYSES["km"], by="site")

    assert make_plan(STUDY, by_site).tells_sites
    assert make_plan(STUDY, logistic("age", "site:sex")).tells_sites
    assert not make_plan(STUDY, ANALYSES["logrank"]).tells_sites


def test_a_weight_that_makes_one_person_count_is_high_leverage():
    columns = people(4, 200)
    columns["share"] = np.full(200, 0.001)
    columns["share"][7] = 4.0

    def leverage(**fields):
        analysis = Analysis("a", "linear", outcome="score", terms=("age",), **fields)
        plan, rows = rows_of(STUDY, analysis, columns)
        facts = evidence(plan, rows)
        alike = weighed(facts, plan, rows, np.ones(rows.n))
        assert alike.max_leverage == pytest.approx(facts.max_leverage)
        return facts.max_leverage

    assert leverage() < 0.1
    assert leverage(weights="share") > 0.9


def test_one_residual_that_outweighs_the_others_is_high_leverage():
    """The sum of a robust variance would else be one person's residual, twice."""
    analysis = replace(
        ANALYSES["cox_efron_weighted"], terms=("age",), weights="", strata=("site",)
    )
    method = estimator_for(study_of(STUDY.variables, analysis), analysis)
    columns = people(4, 200)
    columns["age"] = np.where(np.arange(200) == 7, 100.0, 30 + np.arange(200) % 3)
    columns["day"][7] = 60.0
    rows = make_rows(method.plan, columns, "aa")
    plain = evidence(method.plan, rows)
    last = {"beta": np.array([1.5]), "last": np.ones(1)}

    residuals = weighed(plain, method.plan, rows, method.weights(rows, last))

    assert method.weights(rows, last).argmax() == 7
    assert residuals.max_leverage > 0.99


def test_each_fold_is_held_to_the_rules_as_a_site_would_be():
    analysis, columns = ANALYSES["lasso"], people(6, 300)
    plan, rows = rows_of(STUDY, analysis, columns)

    found = evidence(plan, rows)

    assert (found.people, found.parameters) == (rows.n, 7)
    assert len(found.parts) == analysis.folds
    male = [column.name for column in plan.columns].index("sex[male]")
    for fold, part in enumerate(found.parts):
        mine = rows.fold == fold
        ill = int(rows.y[mine].sum())
        assert (part.people, part.events) == (mine.sum(), ill)
        assert part.non_events == mine.sum() - ill
        assert part.parameters == 7
        men = int((rows.X[mine, male] > 0).sum())
        assert part.smallest_side["sex[male]"] == min(men, mine.sum() - men)
        assert part.max_leverage > found.max_leverage / 2
        assert part.parts == ()


def test_a_fit_that_makes_one_person_count_is_high_leverage():
    """Also where it is one of many, and leaves a fold out."""
    analysis = replace(ANALYSES["lasso"], terms=("age", "sex"))
    columns = people(3, 200)
    columns["age"] = np.linspace(30, 60, 200)
    columns["age"][7] = 100.0
    method = estimator_for(study_of(STUDY.variables, analysis), analysis)
    rows = make_rows(method.plan, columns, "aa")
    plain = evidence(method.plan, rows)
    betas = np.zeros((3, 4, 3))
    betas[1, (rows.fold[7] + 1) % 3 + 1] = [-60.0, 60.0, 0.0]
    state = {"beta": betas.ravel()}

    alike = method.weights(rows, {"beta": np.zeros(36)})
    assert weighed(plain, method.plan, rows, alike).max_leverage < 0.5
    found = weighed(plain, method.plan, rows, method.weights(rows, state))
    assert found.max_leverage > 0.9
