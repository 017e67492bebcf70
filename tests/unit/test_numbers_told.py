"""How many numbers a round tells is counted from what an estimator declares to send."""

import math
from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import Rows, estimator_for
from hetao.analysis.sealed_count import numbers_told
from hetao.release.minimums import numbers_of
from hetao.study import Minimum
from support_analysis import ANALYSES, STUDY

# Of models that send a score and an information and no more.
PLAIN = ("logistic", "linear", "poisson", "cox_efron", "clogit", "sccs", "lasso")
SPELLED_BY_A_SCORE = {  # coefficients of each fit, and of the score
    "logistic_scored": (2, 5),
    "poisson_scored": (2, 3),
    "cox_scored": (2, 4),
    "cox_score_strata": (1, 3),
    "ipw": (7,),
    "g_computation": (4, 4),
    "aipw": (4, 4, 4),
}

NOBODY = Rows("a", 0, np.zeros((0, 0)))


def numbers(name, rows=NOBODY):
    return numbers_of(estimator_for(STUDY, ANALYSES[name]), rows)


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_model_tells_scores_and_information(name):
    p = estimator_for(STUDY, ANALYSES[name]).plan.parameters

    assert numbers(name) == numbers_told(p, 1)


def test_two_scores_count_and_a_single_number_does_not():
    small = replace(ANALYSES["logistic"], terms=("1", "age"))
    estimator = estimator_for(STUDY, small)

    assert estimator.plan.parameters == 2
    assert numbers_of(estimator, NOBODY) == numbers_told(2, 1)


def test_derivatives_of_the_information_count_too():
    """Seven columns: 84 numbers of the cube and 28 of the bend, in five rounds."""
    assert numbers("firth") == -(-(35 + 5 * (35 + 84 + 28)) // 6)


def test_each_ratio_that_the_opening_looks_at_counts():
    cross, looks = 36, 29

    opening, later = cross + looks * cross + looks, cross + 3 * cross + 3
    assert numbers("lmm") == -(-(opening + 5 * later) // 6)


@pytest.mark.parametrize("name", SPELLED_BY_A_SCORE)
def test_a_model_by_another_spelling_counts_each_of_its_fits(name):
    fits = SPELLED_BY_A_SCORE[name]

    assert numbers(name) == sum(numbers_told(p, 1) for p in fits)


@pytest.mark.parametrize("name", ["boosted_trees", "neural_network", "km", "rates"])
def test_trees_networks_and_tables_are_not_counted(name):
    assert numbers(name) == 0


# --- a Cox model on a grid ------------------------------------------------------------
def of(name, n, events):
    """Return rows of so many people with the event, and without."""
    return Rows(name, n, np.zeros((n, 0)), event=np.arange(n) < events)


@pytest.mark.parametrize("name", ["cox_grid_efron", "cox_grid_breslow"])
def test_of_a_grid_the_moments_and_deaths_of_every_bin_count(name):
    method = estimator_for(STUDY, ANALYSES[name])
    sent = method.declare(1)
    told = [math.prod(sent[what].shape) for what in ("leaving", "dying", "deaths")]

    assert numbers(name) == sum(told) > numbers_told(method.plan.parameters, 1)


def test_a_site_that_shows_single_people_counts_scores_and_information():
    for name in ("cox_grid_efron", "cox_merged"):
        method = estimator_for(STUDY, ANALYSES[name]).within(Minimum(cell=1))

        told = numbers_told(method.plan.parameters, 1)
        assert numbers_of(method, of("a", 500, 500)) == told


def merged(terms, **minimum):
    study = replace(STUDY, minimum=Minimum(**minimum) if minimum else None)
    return estimator_for(study, replace(ANALYSES["cox_merged"], terms=terms))


def test_joined_bins_hold_as_many_people_as_their_numbers_ask_for():
    """Seven rounds of 2 p(p+3)/2 + 3 numbers, at ten a person."""
    few, more = ("age",), ("age", "sex", "log(chol)")

    assert merged(few).least == 10
    assert merged(more).least == math.ceil(7 * 21 / 10)
    assert merged(more, share=0.05).least == math.ceil(7 * 21 / 5)
    assert merged(more, cell=20).least == 20
    assert merged(more, cell=1, share=0.01).least == 1


def test_so_do_bins_that_nobody_joins_at_the_sites_own_minimum():
    """In six rounds; a method without such bins asks for the cell."""
    grid = estimator_for(STUDY, ANALYSES["cox_grid_efron"])
    moments = grid.sizes()["moments"]

    assert grid.in_a_bin(Minimum()) == math.ceil(6 * (2 * moments + 1) / 10) > 10
    assert grid.in_a_bin(Minimum(share=1.0)) == 10
    assert grid.in_a_bin(Minimum(cell=2)) == grid.in_a_bin(Minimum())
    assert grid.in_a_bin(Minimum(cell=1)) == 1
    assert estimator_for(STUDY, ANALYSES["logistic"]).in_a_bin(Minimum()) == 10


@pytest.mark.parametrize("events", [0, 40, 400])
def test_what_joined_bins_tell_stays_within_what_may_be_told(events):
    method = merged(("age", "sex", "log(chol)"))
    of_bin = 10, 11
    expected = sum(
        min(len(method.plan.edges), count // 15) * each
        for count, each in zip((400, events), of_bin, strict=True)
    )

    assert numbers_of(method, of("a", 400, events)) == expected
    assert expected * 7 <= Minimum().told * 400
