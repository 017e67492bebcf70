"""What a method does not read is refused, so that nobody thinks it was heeded."""

import contextlib
import dataclasses
import io

import pytest

from hetao.analysis.registry import INSTALLED
from hetao.canonical import parse_canonical
from hetao.cli.main import main
from hetao.errors import InvalidStudy
from hetao.study import (
    Analysis,
    Boosting,
    Coefficient,
    Grid,
    Network,
    Weight,
    study_from,
)
from hetao.study.methods import METHODS, SCREENED
from support_analysis import ANALYSES, STUDY

GIVEN = {
    "outcome": "ill",
    "time": "years",
    "event": "died",
    "terms": ("age",),
    "offset": "age",
    "weights": "share",
    "variance": "robust",
    "penalty": "ridge",
    "alpha": 0.3,
    "lambdas": (0.1, 0.01),
    "folds": 4,
    "seed": 7,
    "select": "lambda.min",
    "standardize": False,
    "unpenalised": ("age",),
    "by": "sex",
    "variables": ("chol",),
    "strata": ("site",),
    "ties": "breslow",
    "grid": Grid((1.0, 2.0, 5.0)),
    "horizon": 2.0,
    "conf_type": "plain",
    "rho": 1.0,
    "zph": "identity",
    "baseline": True,
    "model": "logistic",
    "family": "poisson",
    "nAGQ": 15,
    "REML": False,
    "effect": "age",
    "show_sites": True,
    "standard": (Weight("low", 1.0),),
    "start": "age",
    "person": "id",
    "most_rows": 3,
    "matched": "pair",
    "likelihood": "efron",
    "treatment": "treated",
    "score": ("age",),
    "exposures": ("treated",),
    "outcomes": ("ill", "died"),
    "times": ("day",),
    "controls": ("died",),
    "estimand": "ATT",
    "truncation": 0.05,
    "overlap_bins": 10,
    "subclasses": 7,
    "ratio": 1,
    "caliper": 0.2,
    "coefficients": (Coefficient("age", 1.0),),
    "link": "cloglog",
    "validation": "leave_one_site_out",
    "thresholds": (0.5,),
    "groups": 5,
    "boosting": Boosting(trees=3),
    "network": Network((4,)),
}
METHOD_NAMES = sorted({analysis.method for analysis in ANALYSES.values()})


def read(analysis):
    study = dataclasses.replace(STUDY, analyses=(analysis,))
    return study_from(parse_canonical(study.canonical)).analyses[0]


def test_every_field_of_an_analysis_is_some_methods():
    fields = {f.name for f in dataclasses.fields(Analysis)} - {"name", "method"}

    assert fields == set().union(*(m.fields for m in METHODS.values()))
    assert fields == set(GIVEN)


def test_the_command_takes_every_model_that_a_formula_says():
    with pytest.raises(SystemExit), contextlib.redirect_stdout(io.StringIO()) as said:
        main(["fit", "--help"])

    models = ", ".join(name for name, one in METHODS.items() if one.in_formula)
    assert models in " ".join(said.getvalue().split())


def test_every_method_has_an_estimator():
    # chosen by other fields
    special = {
        "cox_grid",
        "cox_merged",
        "cox_score_strata",
        "firth",
        "glmm_poisson",
        "km_merged",
        "performance_left_out",
    }
    special |= {one.name for one in INSTALLED if one.name.endswith("_scored")}
    special |= {f"penalised_{name}" for name in ("logistic", "linear", "poisson")}
    screens = {one.name for one in INSTALLED if one.name.startswith("screen_")}
    assert screens == {f"screen_{model}" for model in SCREENED}
    known = {one.name for one in INSTALLED} - special - screens
    assert known | {"screen"} == set(METHODS)


@pytest.mark.parametrize("name", ANALYSES)
def test_what_a_method_reads_is_taken(name):
    assert read(ANALYSES[name]) == ANALYSES[name]


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_field_that_a_method_does_not_read_is_refused(method):
    analysis = next(a for a in ANALYSES.values() if a.method == method)
    for field in set(GIVEN) - set(METHODS[method].fields):
        useless = dataclasses.replace(analysis, **{field: GIVEN[field]})

        with pytest.raises(InvalidStudy, match=f"{method} has no use for '{field}'"):
            read(useless)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_field_that_a_method_needs_is_asked_for(method):
    analysis = next(a for a in ANALYSES.values() if a.method == method)
    for field in METHODS[method].needs:
        default = Analysis.__dataclass_fields__[field].default
        without = dataclasses.replace(analysis, **{field: default})

        with pytest.raises(InvalidStudy, match=f"needs '{field}'"):
            read(without)


def test_an_unknown_method_is_refused_with_the_known_ones():
    with pytest.raises(InvalidStudy, match="method is one of counts, table1"):
        read(Analysis("a", "magic"))


def test_a_penalty_is_one_that_is_known_and_has_no_robust_variance():
    analysis = dataclasses.replace(ANALYSES["firth"], penalty="jeffreys")
    with pytest.raises(InvalidStudy, match="penalty is 'firth'"):
        read(analysis)
    for name in ("firth", "lasso"):
        with pytest.raises(InvalidStudy, match="no robust variance"):
            read(dataclasses.replace(ANALYSES[name], variance="robust"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"alpha": 0.3}, "alpha is of penalty = 'elastic_net'"),
        ({"penalty": "elastic_net", "alpha": 1.0}, "between 0 and 1"),
        ({"penalty": "", "folds": 3}, "'lambdas' is of a penalised model"),
        ({"penalty": "firth"}, "'lambdas' is of a penalised model"),
        ({"select": "1se"}, "select is 'lambda.1se'"),
        ({"lambdas": (0.1, 0.2)}, "lambdas fall"),
        ({"lambdas": (0.1, 0.1)}, "lambdas fall"),
        ({"lambdas": (0.1, 0.0)}, "above 0"),
        ({"lambdas": tuple(1.0 / n for n in range(1, 102))}, "at most 100"),
        ({"folds": 0}, "nothing chooses among lambdas"),
        ({"folds": 0, "lambdas": ()}, "nothing chooses among lambdas"),
        ({"folds": 2}, "folds is 0 or 3 to 20"),
        ({"folds": 21}, "folds is 0 or 3 to 20"),
        ({"folds": -1}, "folds is 0 or 3 to 20"),
        ({"terms": ("0", "age")}, "has an intercept"),
        ({"unpenalised": ("chol",)}, "not one of the terms"),
        ({"offset": "age"}, "takes no offset"),
        ({"person": "who", "most_rows": 3}, "of whom each has one row"),
    ],
)
def test_a_penalty_that_cannot_be_heeded_is_refused(changes, says):
    with pytest.raises(InvalidStudy, match=says):
        read(dataclasses.replace(ANALYSES["lasso"], **changes))


def test_firths_penalty_is_of_a_logistic_model():
    with pytest.raises(InvalidStudy, match="of a logistic model"):
        read(dataclasses.replace(ANALYSES["linear"], penalty="firth"))
