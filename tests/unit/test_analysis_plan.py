"""The public plan: columns as a reader sees them, and the same everywhere."""

import itertools
from dataclasses import replace

import formulaic
import numpy as np
import pandas as pd
import pytest

from hetao.analysis import estimator_for, make_plan, protocols
from hetao.analysis.expressions import text_of
from hetao.errors import BadFormula
from hetao.study import Analysis, parse_expression
from hetao.study.methods import METHODS
from support_analysis import ANALYSES, STUDY, number, people, rows_of, study_of


def plan_of(*terms, method="linear"):
    extra = {"strata": ("site",)} if method == "cox" else {}
    analysis = Analysis(
        "a", method, outcome="score", time="day", event="died", terms=terms, **extra
    )
    return make_plan(STUDY, analysis)


@pytest.mark.parametrize(
    ("terms", "names"),
    [
        (("age", "sex"), "(Intercept) age sex[male]"),
        (("1", "age"), "(Intercept) age"),
        (("0", "sex"), "sex[female] sex[male]"),
        (
            ("-1", "age", "sex", "grade"),
            "age sex[female] sex[male] grade[middle] grade[high]",
        ),
        (("age", "age", "sex:age", "age:sex"), "(Intercept) age age:sex[male]"),
        (
            ("log(chol)", "age:sex"),
            "(Intercept) log(chol) age:sex[female] age:sex[male]",
        ),
        (("(age - 50)/10", "sex"), "(Intercept) (age-50)/10 sex[male]"),
        (
            ("sex:grade",),
            "(Intercept) grade[middle] grade[high] sex[male]:grade[low] "
            "sex[male]:grade[middle] sex[male]:grade[high]",
        ),
        (("site",), "(Intercept) site[bb] site[cc] site[dd] site[ee]"),
    ],
)  # fmt: skip
def test_columns_have_the_names_that_a_reader_expects(terms, names):
    assert " ".join(plan_of(*terms).names) == names


def test_a_cox_model_has_no_intercept_and_codes_as_if_it_had():
    plan = plan_of("sex", "age", method="cox")

    assert plan.names == ("sex[male]", "age")
    assert not plan.intercept
    assert plan.columns[1].centre == 59  # the middle of 18 to 100


PARTS = ("age", "sex", "grade", "age:sex", "sex:grade", "age:grade", "age:sex:grade")


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(
    "terms",
    [c for size in (1, 2, 3) for c in itertools.combinations(PARTS, size)],
    ids="+".join,
)
def test_coding_spans_the_space_that_formulaic_spans(terms, intercept):
    columns = people(1, 200)
    columns = {k: np.nan_to_num(v, nan=50) for k, v in columns.items()}
    columns["grade"] = np.maximum(columns["grade"], 0)
    written = terms if intercept else ("0", *terms)
    frame = pd.DataFrame(
        {
            "age": columns["age"],
            "sex": pd.Categorical(columns["sex"]),
            "grade": pd.Categorical(columns["grade"]),
        }
    )
    formula = " + ".join(["1" if intercept else "0", *terms])
    reference = formulaic.model_matrix(formula, frame).to_numpy(dtype=float)

    analysis = Analysis("a", "linear", outcome="score", terms=written)
    plan, rows = rows_of(STUDY, analysis, columns)
    X = rows.X @ np.linalg.inv(plan.to_units())

    assert X.shape == reference.shape
    assert np.linalg.matrix_rank(X) == X.shape[1]
    fitted = reference @ np.linalg.lstsq(reference, X, rcond=None)[0]
    np.testing.assert_allclose(fitted, X, atol=1e-8)


def test_the_plan_is_the_same_wherever_it_is_made():
    for analysis in STUDY.analyses:
        assert make_plan(STUDY, analysis) == make_plan(replace(STUDY), analysis)


def test_standardised_columns_lie_within_one_and_turn_back():
    columns = people(2, 300)
    analysis = Analysis(
        "a", "linear", outcome="score", terms=("age", "sex", "log(chol)", "age:sex")
    )
    keep = ~np.isnan(columns["age"])

    plan, rows = rows_of(STUDY, analysis, columns)
    X = rows.X @ np.linalg.inv(plan.to_units())

    assert np.abs(rows.X).max() <= 1
    np.testing.assert_allclose(X[:, 1], columns["age"][keep], rtol=1e-12)
    np.testing.assert_allclose(X[:, 3], np.log(columns["chol"][keep]), rtol=1e-12)
    product = columns["age"][keep] * columns["sex"][keep]
    np.testing.assert_allclose(X[:, 4], product, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "a-b-c",
        "a-(b-c)",
        "a/b/c",
        "a/(b*c)",
        "(a+b)*c",
        "log(a+1)",
        "(a**b)**c",
        "a**b**c",
        "2*a",
    ],
)
def test_a_term_is_written_back_as_it_is_meant(text):
    assert text_of(parse_expression(text)) == text


def test_a_term_outside_the_grammar_is_refused():
    with pytest.raises(BadFormula):
        plan_of("__import__('os')")


def test_protocols_list_every_estimator_once_with_its_digest():
    listed = protocols()

    names = [protocol.name for protocol in listed]
    assert len(set(names)) == len(names)
    assert set(METHODS) - {"screen"} <= set(names)  # of which each model is one
    assert len({protocol.hash for protocol in listed}) == len(listed)
    assert all(p.hash.startswith("sha256:") and len(p.hash) == 71 for p in listed)
    assert listed == protocols()


@pytest.mark.parametrize(
    ("name", "installed", "publishable"),
    [
        ("logistic", "logistic", True),
        ("firth", "firth", True),
        ("linear", "linear", True),
        ("poisson", "poisson", True),
        ("negative_binomial", "negative_binomial", True),
        ("gamma", "gamma", True),
        ("cox_efron", "cox", True),
        ("cox_grid_efron", "cox_grid", False),
        ("cox_merged", "cox_merged", False),
        ("logrank", "logrank", False),
        ("km", "km_merged", False),
        ("table1", "table1", False),
    ],
)
def test_the_installed_estimator_says_whether_its_own_message_is_publishable(
    name, installed, publishable
):
    method = estimator_for(STUDY, ANALYSES[name])

    assert (method.name, method.publishable) == (installed, publishable)
    assert method.plan == make_plan(STUDY, ANALYSES[name])


def test_a_message_of_a_site_is_small_for_a_stratified_cox_model():
    declared = estimator_for(STUDY, ANALYSES["cox_efron"]).declare(3)

    shapes = {n: wanted.shape for n, wanted in declared.items() if wanted.shape != (0,)}
    assert shapes == {
        "score": (6,),
        "info": (21,),
        "loglik": (1,),
        "cases": (1,),
        "n": (1,),
    }


def test_bounds_without_an_intercept_are_scaled_and_not_centred():
    study = study_of([number("x", 10, 30), number("y", 5, 25)])
    plan = make_plan(study, Analysis("a", "linear", outcome="y", terms=("0", "x")))

    assert (plan.columns[0].centre, plan.columns[0].scale) == (0, 30)
    assert plan.outcome_scale == (0, 25)
