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
from hetao.study import Analysis, Grid, Minimum
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
    (replace(RATES, strata=("sex", "grade")), "sex", 3 * 2 * 3),  # by grade as well
    (replace(RATES, strata=("sex", "grade")), "grade", 3 * 2 * 2),
    (replace(RATES, strata=("sex", "grade")), "treated", 3 * 2 * 3),
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


# --- a Cox model on a grid, within strata ---------------------------------------------
ON_A_GRID = Analysis(
    "c", "cox", time="day", event="died", terms=("sex",), strata=("treated",),
    grid=Grid((20.0, 60.0)),
)  # fmt: skip
TWO = replace(ON_A_GRID, terms=("sex", "ill"))
AGED = replace(ON_A_GRID, terms=("age",))


def told_in_bins(analysis, name, columns):
    """Return the rank of what a change of stratum changes in every round, and counted.

    Of numbers the rounds are made up, at coefficients that lie far apart: the rank of
    those of a course is as much less as its last steps are small.
    """
    study = study_of(VARIABLES, analysis)
    method = estimator_for(study, analysis)
    (where,) = np.nonzero(columns[name] == 0)
    moved = []
    for one in [None, *where]:
        other = columns | {name: columns[name].copy()}
        if one is not None:
            other[name][one] = 1
        moved.append(make_rows(method.plan, other, "aa"))
    p, changes = method.plan.parameters, []
    for beta in np.linspace(-2, 2, 6):
        sent = [method.local(rows, {"beta": np.full(p, beta)}) for rows in moved]
        both = [
            np.concatenate([one[key].ravel() for key in ("leaving", "dying", "deaths")])
            for one in sent
        ]
        changes.append(np.array(both[1:]) - both[0])
    moves = np.hstack(changes)
    size = np.abs(moves).max(axis=0)
    rank = np.linalg.matrix_rank(moves[:, size > 0] / size[size > 0], tol=1e-9)
    counted = sums_of_groups(method.plan, moved[0], range(method.in_cells(6)))
    return rank, len(counted[name])


@pytest.mark.parametrize(
    ("analysis", "name", "sums"),
    [
        (ON_A_GRID, "treated", 2 * 2 * 2),  # kinds, bins, either sex
        (TWO, "treated", 2 * 2 * 4),
        (replace(TWO, strata=("treated", "grade")), "treated", 3 * 2 * 2 * 4),
        (replace(TWO, strata=("treated", "grade")), "grade", 2 * 2 * 2 * 4),
        (replace(ON_A_GRID, terms=("sex", "sex:treated")), "treated", 2 * 2 * 2),
        # who dies also as such, without the offset
        (replace(ON_A_GRID, offset="log(years)"), "treated", 2 * (2 * 2 + 1)),
    ],
)
def test_a_cox_model_on_a_grid_tells_of_strata_all_that_its_bins_add_up(
    analysis, name, sums
):
    rank, counted = told_in_bins(analysis, name, complete(600))

    assert counted == sums
    assert 0.5 * sums <= rank <= sums


@pytest.mark.parametrize(
    ("analysis", "sums"),
    [
        (AGED, 2 * 2 * 3 * 6),  # kinds, bins, moments, rounds
        (replace(AGED, terms=("age", "age:treated")), 2 * 2 * 2 * 6 * 6),
        (replace(AGED, offset="log(years)"), 2 * (2 * 3 * 6 + 1)),
    ],
)
def test_of_numbers_other_sums_in_each_round(analysis, sums):
    rank, counted = told_in_bins(analysis, "treated", complete(600))

    assert counted == sums
    assert sums / 6 < rank <= sums


def test_joined_bins_count_each_fine_one_after_the_opening():
    merged = replace(AGED, grid=Grid(AGED.grid.edges, merge=True))
    method, rows = made(merged)

    of_six = sums_of_groups(method.plan, rows, range(method.in_cells(6)))
    assert len(of_six["treated"]) == 2 * 2 * 3 * 5


def test_more_than_everybody_can_be_asked_is_no_more_than_everybody():
    long = replace(AGED, grid=Grid(tuple(i / 10 for i in range(1, 2001))))
    method, rows = made(long)

    counted = sums_of_groups(method.plan, rows, range(method.in_cells(6)))
    assert len(counted["treated"]) == rows.people * len(method.plan.sites)


def test_a_cox_model_tells_of_no_stratum_within_sites_or_of_one_alone():
    for one in (
        replace(AGED, strata=("site", "treated"), grid=None),
        replace(AGED, strata=()),
    ):
        method, rows = made(one)
        assert method.in_cells(6) == 0
        assert sums_of_groups(method.plan, rows, range(method.in_cells(6))) == {}


def test_where_a_site_shows_single_people_the_bins_of_a_model_are_not_counted():
    method = made(AGED)[0]

    assert method.within(Minimum(cell=2)).in_cells(6) == method.in_cells(6) > 0
    assert method.within(Minimum(cell=1)).in_cells(6) == 0


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
    assert joined(replace(RATES, by="", strata=("treated",)), TABLE) == 10
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
