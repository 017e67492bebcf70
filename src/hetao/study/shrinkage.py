"""What an analysis says of its penalty, held to what a penalised fit can heed."""

import dataclasses
import itertools
import math

from hetao.errors import InvalidStudy
from hetao.study.methods import SHRUNK
from hetao.study.model import SHRINKING, Analysis

MOST_LAMBDAS, MOST_FOLDS = 100, 20
LEAST_FOLDS = 3


def check_shrinkage(analysis: Analysis, where: str) -> None:
    """Refuse a penalty that is not known, or says what nobody reads.

    Raises:
        InvalidStudy: the field is named, and what to write instead.
    """
    _check_penalty(analysis, where)
    if not analysis.shrinks:
        _check_unused(analysis, where)
        return
    if analysis.penalty != "elastic_net" and analysis.alpha != 0.5:
        raise InvalidStudy(f"{where}: alpha is of penalty = 'elastic_net' alone")
    if not 0 < analysis.alpha < 1:
        raise InvalidStudy(
            f"{where}: alpha lies between 0 and 1",
            fix="write penalty = 'ridge' for 0, 'lasso' for 1; strengths are lambdas",
        )
    if analysis.select not in ("lambda.1se", "lambda.min"):
        raise InvalidStudy(f"{where}: select is 'lambda.1se' or 'lambda.min'")
    _check_lambdas(analysis, where)
    _check_terms(analysis, where)


def _check_penalty(analysis: Analysis, where: str) -> None:
    if analysis.penalty not in ("", "firth", *SHRINKING):
        raise InvalidStudy(
            f"{where}: penalty is 'firth', 'ridge', 'lasso' or 'elastic_net', or left "
            "out"
        )
    if analysis.penalty == "firth" and analysis.method != "logistic":
        raise InvalidStudy(
            f"{where}: Firth's penalty is of a logistic model",
            fix="write penalty = 'ridge', 'lasso' or 'elastic_net', or leave it out",
        )


def _check_unused(analysis: Analysis, where: str) -> None:
    defaults = {field.name: field.default for field in dataclasses.fields(Analysis)}
    for name in SHRUNK:
        if name != "penalty" and getattr(analysis, name) != defaults[name]:
            raise InvalidStudy(
                f"{where}: {name!r} is of a penalised model",
                fix="write penalty = 'ridge', 'lasso' or 'elastic_net', or leave it "
                "out",
            )


def _check_lambdas(analysis: Analysis, where: str) -> None:
    lambdas = analysis.lambdas
    if len(lambdas) > MOST_LAMBDAS:
        raise InvalidStudy(f"{where}: at most {MOST_LAMBDAS} lambdas can be tried")
    falling = all(a > b for a, b in itertools.pairwise(lambdas))
    if not falling or not all(0 < one < math.inf for one in lambdas):
        raise InvalidStudy(f"{where}: lambdas fall, all of them above 0")
    if analysis.folds == 0 and len(lambdas) != 1:
        raise InvalidStudy(
            f"{where}: without folds nothing chooses among lambdas",
            fix="give a single one, or folds",
        )
    if analysis.folds and not LEAST_FOLDS <= analysis.folds <= MOST_FOLDS:
        raise InvalidStudy(
            f"{where}: folds is 0 or {LEAST_FOLDS} to {MOST_FOLDS}",
            fix="5 is usual",
        )


def _check_terms(analysis: Analysis, where: str) -> None:
    texts = [text.strip() for text in analysis.terms]
    if {"0", "-1"} & set(texts):
        raise InvalidStudy(
            f"{where}: a penalised model has an intercept, which is not penalised",
            fix="leave '0' out of the terms",
        )
    for term in analysis.unpenalised:
        if term.strip() not in texts:
            raise InvalidStudy(f"{where}: {term[:60]!r} is not one of the terms")
    if analysis.offset and analysis.method == "logistic":
        raise InvalidStudy(
            f"{where}: a penalised logistic model takes no offset",
            fix="leave the offset out, or make it an unpenalised term",
        )
