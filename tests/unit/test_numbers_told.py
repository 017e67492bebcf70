"""How many numbers a round tells is counted from what an estimator declares to send."""

from dataclasses import replace

import pytest

from hetao.analysis import estimator_for
from hetao.release.minimums import numbers_of, numbers_told
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


def numbers(name):
    return numbers_of(estimator_for(STUDY, ANALYSES[name]))


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_model_tells_scores_and_information(name):
    p = estimator_for(STUDY, ANALYSES[name]).plan.parameters

    assert numbers(name) == numbers_told(p, 1)


def test_two_scores_count_and_a_single_number_does_not():
    small = replace(ANALYSES["logistic"], terms=("1", "age"))
    estimator = estimator_for(STUDY, small)

    assert estimator.plan.parameters == 2
    assert numbers_of(estimator) == numbers_told(2, 1)


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
