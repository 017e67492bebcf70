"""How many sums about a variable an analysis is said to show: at least what it does.

Of what is linear in who is in a group, the number is the rank of what a site's message
changes by when each person, alone, goes over to another group.
"""

from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import (
    estimator_for,
    make_plan,
    make_rows,
    statistics,
    sums_of_groups,
)
from hetao.analysis.cells import most_sums
from hetao.study import Analysis, Minimum
from support_analysis import (
    ANALYSES,
    STUDY,
    VARIABLES,
    people,
    rows_of,
    study_of,
)

NUMBERS, LEVELS = ("age", "chol", "years"), ("grade", "ill")
TABLE = Analysis("t", "table1", variables=(*NUMBERS, *LEVELS), by="treated")
KNOWN = {"age": 50.0, "grade": 0}
N = 120


def made(analysis, columns=None):
    columns = people(3, N) if columns is None else columns
    study = study_of(VARIABLES, analysis)
    estimator = estimator_for(study, analysis)
    return estimator, rows_of(study, analysis, columns)[1]


def complete(n=N):
    columns = people(3, n)
    for name, value in KNOWN.items():
        array = columns[name]
        missing = np.isnan(array) if array.dtype.kind == "f" else array < 0
        columns[name] = np.where(missing, value, array)
    return columns


def told(analysis, name, columns):
    """Return the rank of what each person's change of a category changes."""
    changes = []
    whole, rows = made(analysis, columns)
    before = np.concatenate([a.ravel() for a in whole.start(rows).values()])
    (where,) = np.nonzero(columns[name] == 0)
    for one in where:
        other = columns | {name: columns[name].copy()}
        other[name][one] = 1
        moved = whole.start(made(analysis, other)[1]).values()
        changes.append(np.concatenate([a.ravel() for a in moved]) - before)
    changes = np.array(changes)
    size = np.abs(changes).max(axis=0)
    return np.linalg.matrix_rank(changes[:, size > 1e-9] / size[size > 1e-9], tol=1e-7)


def counted(analysis, name, columns):
    estimator, rows = made(analysis, columns)
    of_designs = statistics(estimator.plan).get(name, frozenset())
    return len(of_designs | sums_of_groups(estimator.plan, rows).get(name, frozenset()))


@pytest.mark.parametrize(
    ("columns", "sums"),
    [
        # people; sum and squares of three numbers; two levels of three, and one of two
        (complete(), 1 + 2 * 3 + 2 + 1),
        # of age and grade, who is known
        (people(3, N), 1 + 2 * 3 + 2 + 1 + 2),
    ],
)
def test_a_table_tells_of_a_group_what_it_adds_up_there(columns, sums):
    assert counted(TABLE, "treated", columns) == sums
    assert told(TABLE, "treated", columns) == sums


def test_a_table_that_describes_tells_no_more_of_what_it_describes_than_before():
    estimator, rows = made(TABLE)

    assert {name: len(sums) for name, sums in statistics(estimator.plan).items()} == (
        dict.fromkeys((*NUMBERS, *LEVELS), 2)
    )
    assert set(sums_of_groups(estimator.plan, rows)) == {"treated"}
    alone, rows = made(replace(TABLE, by=""))
    assert not sums_of_groups(alone.plan, rows)
    assert {len(sums) for sums in statistics(alone.plan).values()} == {1}


RATES = Analysis("r", "rates", time="years", event="ill", by="treated")
SHARES = Analysis("i", "indicators", outcome="ill", by="treated")
COUNTED = [
    (RATES, "treated", 3),  # people, events and time
    (replace(RATES, strata=("sex",)), "treated", 6),  # in each stratum
    (replace(RATES, strata=("sex",)), "sex", 6),  # in each group
    (replace(RATES, strata=("grade",)), "treated", 9),
    (SHARES, "treated", 2),
    (replace(SHARES, outcome="score"), "treated", 3),
]


@pytest.mark.parametrize(("analysis", "name", "sums"), COUNTED)
def test_rates_and_indicators_tell_of_groups_and_strata(analysis, name, sums):
    columns = complete()

    assert counted(analysis, name, columns) == sums
    ratios = 3 if analysis.method == "rates" else 0  # follow from the others
    assert sums <= told(analysis, name, columns) <= sums + ratios


def test_rates_without_groups_tell_of_strata_and_of_sites_nothing():
    columns = complete()

    assert counted(replace(RATES, by="", strata=("sex",)), "sex", columns) == 3
    estimator, rows = made(replace(RATES, strata=("site",)), columns)
    assert set(sums_of_groups(estimator.plan, rows)) == {"treated"}


def test_a_log_rank_test_tells_of_groups_observed_and_expected_events():
    columns = complete()
    test = replace(ANALYSES["logrank"], by="treated", strata=("site",))

    for rho, sums in ((0.0, 4), (0.5, 5)):
        one = replace(test, rho=rho)
        assert counted(one, "treated", columns) == sums
        assert told(one, "treated", columns) == sums


def test_a_log_rank_test_adds_up_over_its_strata():
    test = replace(ANALYSES["logrank"], by="treated", strata=("site", "grade"), rho=0)

    assert counted(test, "treated", complete()) == 4
    assert counted(test, "grade", complete()) == 4


QUARTILES = Analysis("q", "quantiles", variables=("chol", "years"), by="treated")
BORDERS = 7 + 2 * 9  # of a number, of all groups and of any two of them


def told_in_rounds(
    analysis, columns, name="treated", minimum=None, told=("people", "known", "below")
):
    """Return the rank of what a change of a category changes in all rounds, and which.

    What a person's change changes is seen at the states of the course as it is.
    """
    study = replace(study_of(VARIABLES, analysis), minimum=minimum)
    whole = estimator_for(study, analysis)
    (where,) = np.nonzero(columns[name] == 0)
    where = where[:: max(1, len(where) // 150)]  # more than there are borders
    moved = []
    for one in [None, *where]:
        other = columns | {name: columns[name].copy()}
        if one is not None:
            other[name][one] = 1
        moved.append(make_rows(whole.plan, other, "aa"))
    state, changes, number = None, [[] for _ in where], 0
    while number == 0 or isinstance(state, dict):
        sent = [
            whole.local(rows, state) if number else whole.start(rows) for rows in moved
        ]
        for change, message in zip(changes, sent[1:], strict=True):
            for key, array in message.items():
                moves = (array - sent[0][key]).ravel()
                if key in told:
                    change.append(moves)
                assert key in told or not moves.any()
        state = whole.step(sent[0], state, number)
        number += 1
    counted = len(sums_of_groups(whole.plan, moved[0])[name])
    return np.linalg.matrix_rank(
        np.array([np.concatenate(c) for c in changes])
    ), counted


@pytest.mark.parametrize(
    ("n", "cell", "least"), [(120, 10, 6), (1000, 10, 35), (1500, 2, 38), (500, 1, 70)]
)
def test_quantiles_tell_of_a_group_no_more_than_their_borders(n, cell, least):
    columns = people(3, n)
    for name, value in (("chol", 200.0), ("years", 1.0)):
        columns[name] = np.nan_to_num(columns[name], nan=value)

    rank, counted = told_in_rounds(QUARTILES, columns, minimum=Minimum(cell=cell))

    assert counted == 1 + 2 * (BORDERS if cell > 1 else 7 + 2 * 21)
    assert least <= rank <= counted


def test_of_three_groups_as_many_borders_tell_one_from_another():
    by_grade = replace(QUARTILES, by="grade")
    columns = complete() | {"grade": np.arange(N) % 3}

    rank, counted = told_in_rounds(by_grade, columns, "grade", Minimum(cell=2))

    assert counted == 1 + 2 * BORDERS
    assert 2 * 7 < rank <= counted


def test_who_is_known_is_told_beside_and_of_no_group_nothing():
    columns = people(3, N)
    columns["chol"][:9] = np.nan

    assert counted(QUARTILES, "treated", columns) == 1 + 2 * BORDERS + 1
    estimator, rows = made(replace(QUARTILES, by=""), columns)
    assert not sums_of_groups(estimator.plan, rows)


def test_weights_tell_other_sums_than_people():
    test = replace(ANALYSES["logrank"], by="treated", strata=("site",), rho=0.0)
    columns = complete()

    plain = counted(test, "treated", columns)
    assert plain == 4
    assert counted(replace(test, weights="share"), "treated", columns) == 2 * plain


CURVES = replace(ANALYSES["km"], by="treated")


@pytest.mark.parametrize("people_at", [60, 120, 400, 1000])
def test_curves_tell_of_a_group_a_sum_a_cell(people_at):
    """As many as there may be, and at each site the rank of what changes is no more."""
    columns = complete(people_at)

    rank, sums = told_in_rounds(CURVES, columns, told=("leaving", "deaths"))

    assert sums == most_sums(made(CURVES, columns)[0].plan, people_at)
    assert 0.8 * sums <= rank <= sums


def test_curves_tell_of_the_event_what_they_did_and_weigh_by_what_they_add_up():
    columns = complete()
    weighted = replace(CURVES, weights="share", grid=ANALYSES["km_weighted"].grid)
    scored = ANALYSES["km_scored"]
    estimator, rows = made(scored, columns)

    assert counted(weighted, "treated", columns) == 10  # three cells of three sums
    assert len(sums_of_groups(estimator.plan, rows)["treated"]) >= 6 * 2 * (3 + 2 * 3)
    assert counted(replace(CURVES, by=""), "treated", columns) == 0
    estimator, rows = made(replace(CURVES, by="site"), columns)
    assert not sums_of_groups(estimator.plan, rows)


def test_where_single_people_may_be_shown_a_grid_counts_once():
    study = replace(study_of(VARIABLES, CURVES), minimum=Minimum(cell=1))
    plan = make_plan(study, CURVES)
    rows = make_rows(plan, complete(), "aa")

    assert len(sums_of_groups(plan, rows)["treated"]) == 3


# --- what a model by the outcome tells too --------------------------------------------
LOGISTIC = Analysis(
    "m", "logistic", outcome="treated", terms=("1", "age/10", "grade", "log(chol)")
)


def joined(*analyses):
    found = frozenset()
    for one in analyses:
        estimator, rows = made(one, complete())
        sums = statistics(estimator.plan).get("treated", frozenset())
        more = sums_of_groups(estimator.plan, rows).get("treated", frozenset())
        found |= sums | more
    return len(found)


def test_a_sum_that_a_model_of_the_outcome_tells_too_counts_once():
    """Its columns are age, two grades and a logarithm; a table has the first three."""
    assert counted(LOGISTIC, "treated", complete()) == 5
    assert joined(TABLE) == 10
    assert joined(LOGISTIC, TABLE) == 10 + 1


def test_rates_of_an_event_and_a_time_that_a_table_describes_tell_no_more():
    """Both are people with the event, and a sum of the time; not in strata."""
    assert joined(RATES, TABLE) == 10
    assert joined(replace(RATES, strata=("sex",)), TABLE) == 10 + 6


@pytest.mark.parametrize(
    "terms", [("1", "10*age"), ("1", "age - 50"), ("1", "50 + age"), ("1", "age")]
)
def test_what_is_linear_in_a_number_tells_of_the_number(terms):
    assert joined(replace(LOGISTIC, terms=terms), TABLE) == 10


@pytest.mark.parametrize(
    "term", ["age**2", "age*chol", "100/age", "age:grade", "sex:grade", "2**(age/50)"]
)
def test_what_is_not_is_another_sum(term):
    model = replace(LOGISTIC, terms=("1", term))
    estimator, _ = made(model, complete())
    names = statistics(estimator.plan)["treated"]

    assert len(names) == estimator.plan.parameters
    assert joined(model, TABLE) >= 10 + 1


@pytest.mark.parametrize(
    "how",
    [
        {"penalty": "firth"},
        {"weights": "share"},
        {"treatment": "ill", "score": ("age", "sex")},
    ],
)
def test_a_model_whose_sums_are_others_shares_none_with_a_table(how):
    model = replace(LOGISTIC, **how)
    alone = counted(model, "treated", complete())

    assert joined(model, TABLE) == alone + 10


def test_an_outcome_s_squares_count_where_it_is_a_number():
    study = study_of(VARIABLES, ANALYSES["linear"])
    shown = statistics(make_plan(study, ANALYSES["linear"]))

    assert len(shown["score"]) == len(shown["age"])


# --- effects --------------------------------------------------------------------------
def balance(analysis, name="treated"):
    columns = complete()
    estimator, rows = made(analysis, columns)
    return len(sums_of_groups(estimator.plan, rows).get(name, ()))


@pytest.mark.parametrize(
    ("analysis", "sums"),
    [
        # an intercept, age and sex; of age its square
        (ANALYSES["aipw_treated"], 3 + 1),
        (replace(ANALYSES["ipw"], terms=("age", "sex", "log(chol)")), 4 + 2),
        (ANALYSES["g_computation"], 0),
        (replace(ANALYSES["cox_scored"], score=("age", "sex")), 3 + 1),
        # in five of six strata the same three, and the outcome
        (ANALYSES["ps_strata"], 3 + 1 + 5 * 4),
        (replace(ANALYSES["ps_strata"], subclasses=0), 3 + 1 + 4 * 4),
        (replace(ANALYSES["ps_strata"], outcome="score"), 3 + 1 + 5 * 5),
        (ANALYSES["cox_score_strata"], 3 + 1 + 4 * 5),
    ],
)
def test_an_effect_tells_of_a_treatment_the_balance_of_each_column(analysis, sums):
    assert balance(analysis) == sums
    assert balance(analysis, "age") == 0


def test_strata_of_a_score_tell_of_the_event():
    columns = complete()
    estimator, rows = made(ANALYSES["cox_score_strata"], columns)
    (names,) = sums_of_groups(estimator.plan, rows).values()

    assert "died in stratum 3 of the score" in names
    assert "died in stratum 4 of the score" not in names
    of_design = statistics(estimator.plan)["age"]
    assert any(name.startswith("died in a design") for name in of_design)


def test_a_curve_by_a_score_tells_of_a_treatment_its_score_and_balance():
    curves = ANALYSES["km_scored"]
    estimator, _ = made(curves, complete())
    columns = len(estimator.plan.score.columns)

    assert balance(curves) > columns


def test_a_screen_tells_of_each_variable_what_its_pairs_do():
    screen = Analysis(
        "s", "screen", model="logistic", exposures=("sex", "ill"), outcomes=("treated",)
    )
    plan = make_plan(STUDY, screen)

    of_pairs = [statistics(part)["treated"] for part in plan.parts]
    assert statistics(plan)["treated"] == of_pairs[0] | of_pairs[1]
    assert len(statistics(plan)["treated"]) == 3
