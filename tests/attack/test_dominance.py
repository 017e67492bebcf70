"""A sum of numbers of which one person makes up most is that person's number.

The (n, k) rule and the p% rule, at each site, wherever its own sum may be told apart.
"""

import numpy as np
import pytest

from hetao.analysis import estimator_for, evidence, make_rows
from hetao.errors import Dominated, InvalidNetwork
from hetao.release.minimums import check_dominance
from hetao.release.policy import Dominance, policy_from
from hetao.study import Analysis, Minimum
from support_analysis import category, key, number, study_of

USUAL = Dominance()
COST = number("cost", 0, 1_000_000)
ARM = category("arm", "old", "new")
AGE = number("age", 18, 100)
DAYS = number("days", 0, 400)
STAYS = number("stays", 0, 400)
VARIABLES = (COST, ARM, AGE, DAYS, STAYS)


def people(n=60, seed=1):
    draw = np.random.default_rng(seed)
    return {
        "cost": draw.gamma(2.0, 2_000.0, n),
        "arm": draw.integers(0, 2, n),
        "age": draw.uniform(30, 90, n),
        "days": draw.uniform(50, 365, n),
        "stays": draw.poisson(3.0, n).astype(float),
    }


ANALYSES = {
    "table": Analysis("t", "table1", variables=("cost", "age")),
    "table by arm": Analysis("t", "table1", variables=("cost",), by="arm"),
    "linear": Analysis("m", "linear", outcome="cost", terms=("1", "arm", "age")),
    "count": Analysis("m", "poisson", outcome="stays", terms=("1", "arm")),
    "rates": Analysis("r", "rates", outcome="stays", time="days", by="arm"),
}


def facts_of(analysis, columns):
    study = study_of(VARIABLES, analysis, sites=("north", "south"))
    method = estimator_for(study, analysis)
    return evidence(method.plan, make_rows(method.plan, columns, "north"))


def with_one(columns, name, value):
    columns[name] = columns[name].copy()
    columns[name][0] = value
    return columns


@pytest.mark.parametrize("analysis", ANALYSES.values(), ids=list(ANALYSES))
@pytest.mark.parametrize("seed", range(5))
def test_people_of_the_usual_spread_dominate_nothing(analysis, seed):
    check_dominance(facts_of(analysis, people(seed=seed)), USUAL, "north")


@pytest.mark.parametrize("case", ["table", "table by arm", "linear"])
def test_one_bill_that_makes_up_most_of_all_is_refused(case):
    facts = facts_of(ANALYSES[case], with_one(people(), "cost", 900_000.0))

    with pytest.raises(Dominated) as caught:
        check_dominance(facts, USUAL, "north")
    assert "900" not in str(caught.value)


@pytest.mark.parametrize("case", ["count", "rates"])
def test_one_person_with_most_of_all_stays_is_refused(case):
    facts = facts_of(ANALYSES[case], with_one(people(), "stays", 400.0))

    with pytest.raises(Dominated):
        check_dominance(facts, USUAL, "north")


def test_one_low_value_among_people_at_the_upper_bound_is_refused():
    """Its distance from the upper bound is all that the sum leaves."""
    columns = people() | {"age": np.full(60, 100.0)}

    with pytest.raises(Dominated):
        check_dominance(
            facts_of(ANALYSES["table"], with_one(columns, "age", 31.0)), USUAL, "north"
        )


def test_what_dominates_one_arm_alone_is_refused():
    columns = people()
    columns["arm"] = np.repeat([0, 1], [48, 12])
    columns["cost"][columns["arm"] == 0] += 40_000
    columns["cost"][-1] = 60_000.0
    whole = facts_of(ANALYSES["table"], columns)
    by_arm = facts_of(ANALYSES["table by arm"], columns)

    check_dominance(whole, USUAL, "north")
    with pytest.raises(Dominated):
        check_dominance(by_arm, USUAL, "north")


def test_two_who_make_up_nearly_all_are_refused_though_neither_has_half():
    columns = people() | {"cost": np.full(60, 100.0)}
    columns["cost"][:2] = [90_000.0, 89_000.0]
    found = facts_of(ANALYSES["table"], columns).magnitudes["cost"]

    assert found.first < 0.51
    assert found.two > 0.9


def test_the_second_largest_tells_the_largest_from_what_is_refused_and_not_else():
    """The attack itself, on sums that a table would show: a sum and one of squares."""
    for bill, is_told in ((900_000.0, True), (20_000.0, False)):
        cost = np.sort(with_one(people(), "cost", bill)["cost"])
        second = cost[-2]
        by_sum = (cost.sum() - second) / cost[-1] - 1
        by_squares = np.sqrt(np.sum(cost**2) - second**2) / cost[-1] - 1
        error = min(by_sum, by_squares)
        facts = facts_of(ANALYSES["table"], {**people(), "cost": cost})

        assert (error < 0.1) == is_told
        assert facts.magnitudes["cost"].ratio == pytest.approx(error, rel=1e-6)


def test_a_person_counts_with_all_their_rows():
    """Ten rows of a tenth each are one person's whole."""
    columns = people(100)
    columns["who"] = np.array([*["heavy"] * 10, *[f"p{i}" for i in range(90)]])
    columns["cost"] = np.array([*[50_000.0] * 10, *columns["cost"][10:]])
    one = Analysis(
        "m", "linear", outcome="cost", terms=("1", "arm"), person="who", most_rows=10
    )
    rows_alone = Analysis("m", "linear", outcome="cost", terms=("1", "arm"))

    def found(analysis):
        study = study_of((*VARIABLES, key("who")), analysis, sites=("north", "south"))
        plan = estimator_for(study, analysis).plan
        return evidence(plan, make_rows(plan, columns, "north")).magnitudes["cost"]

    assert found(one).first > 0.5
    assert found(rows_alone).first < 0.2


@pytest.mark.parametrize(
    "table", [{"first": 0.6}, {"two": 0.95}, {"ratio": 0.05}, {"first": 0.0}]
)
def test_a_site_may_make_dominance_stricter_and_never_looser(table):
    with pytest.raises(InvalidNetwork):
        policy_from({"dominance": table})
    stricter = policy_from({"dominance": {"first": 0.3, "two": 0.8, "ratio": 0.2}})
    assert stricter.tightened(Minimum()).dominance == Dominance(0.3, 0.8, 0.2)
