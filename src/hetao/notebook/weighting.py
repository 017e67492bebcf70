"""Weights from a propensity score: said to a model, which fits the score again."""

from dataclasses import dataclass
from typing import Any, Final

from hetao.errors import Usage
from hetao.study import Analysis, Study

ESTIMANDS: Final = {
    "ATE": "ATE",
    "ATT": "ATT",
    "ATO": "ATO",
    "iptw": "ATE",
    "overlap": "ATO",
}


@dataclass(frozen=True)
class ScoreWeights:
    """By which people are weighted: a score of the treatment, for an estimand.

    No weight is held. A model that is given these fits the score in its own analysis,
    so that its standard errors count the estimation of the weights.

    Attributes:
        treatment: a category of two levels, the treatment second.
        score: terms of the propensity score.
        estimand: "ATE", "ATT" or "ATO".
        categories: which of the variables are categories.
    """

    treatment: str
    score: tuple[str, ...]
    estimand: str
    categories: frozenset[str]

    @property
    def fields(self) -> dict[str, Any]:
        """Return the fields of an analysis that say so."""
        return {
            "treatment": self.treatment,
            "score": list(self.score),
            "estimand": self.estimand,
        }


def weights_of(study: Study, estimand: str) -> ScoreWeights:
    """Return the weights that a fitted propensity model stands for.

    Args:
        study: of the fit, with its one analysis.
        estimand: one of `ESTIMANDS`.

    Raises:
        Usage: it is no plain logistic model, or there is no such estimand.
    """
    (analysis,) = study.analyses
    if estimand not in ESTIMANDS:
        raise Usage(f"weights are for one of {', '.join(ESTIMANDS)}")
    plain = Analysis(
        name=analysis.name,
        method="logistic",
        outcome=analysis.outcome,
        terms=analysis.terms,
    )
    if analysis != plain:
        raise Usage(
            "a propensity score is a logistic model of the treatment and nothing more",
            fix='fit it as hetao.logistic("arm ~ age + sex", cohort)',
        )
    categories = {v.name for v in study.variables if v.kind == "category"}
    treatment, terms = analysis.outcome, analysis.terms
    return ScoreWeights(treatment, terms, ESTIMANDS[estimand], frozenset(categories))
