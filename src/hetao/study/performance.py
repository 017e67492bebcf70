"""What an analysis of a prediction's performance must say, checked before approval."""

import itertools
import math

from hetao.errors import InvalidStudy
from hetao.study.model import SITE, Analysis, Boosting, Study
from hetao.study.terms import parse_term

LINKS = ("logit", "cloglog", "identity")
LEAVE_OUT = "leave_one_site_out"
LEFT = 3  # fewest sites that a model of the others is fitted to
MOST_THRESHOLDS, MOST_GROUPS = 200, 50
MOST_TREES, MOST_DEPTH, MOST_BINS = 100, 5, 256


def check_performance(study: Study, analysis: Analysis, where: str) -> None:
    """Refuse a prediction whose performance cannot be found over sites.

    Raises:
        InvalidStudy: the error names the field and the remedy.
    """
    if analysis.method not in ("performance", "boosted_trees", "neural_network"):
        return
    for text in analysis.terms:
        names = parse_term(text).names if text.strip() not in ("0", "-1", "1") else ()
        if analysis.outcome in names:
            raise InvalidStudy(
                f"{where}: the term {text!r} holds the outcome that is to be predicted",
                fix="name what is known before the outcome only",
            )
        if SITE in names:
            raise InvalidStudy(
                f"{where}: a prediction that names the site cannot be made elsewhere",
                fix="take 'site' out of the terms",
            )
    if analysis.link not in LINKS:
        raise InvalidStudy(f"{where}: link is one of " + ", ".join(LINKS))
    _check_model(study, analysis, where)
    if analysis.boosting is not None:
        _check_boosting(analysis.boosting, where)
    is_number = study.variable(analysis.outcome).kind == "number"
    if is_number and (analysis.thresholds or analysis.groups != Analysis.groups):
        raise InvalidStudy(
            f"{where}: a number has no threshold of probability and no calibration",
            fix="leave out thresholds and groups",
        )
    cuts = analysis.thresholds
    inside = all(0 < cut < 1 for cut in cuts) and len(cuts) <= MOST_THRESHOLDS
    if not inside or not all(a < b for a, b in itertools.pairwise(cuts)):
        raise InvalidStudy(
            f"{where}: thresholds are up to {MOST_THRESHOLDS} increasing probabilities "
            "between 0 and 1"
        )
    if not 2 <= analysis.groups <= MOST_GROUPS:
        raise InvalidStudy(f"{where}: groups lies in 2 to {MOST_GROUPS}")


def _check_model(study: Study, analysis: Analysis, where: str) -> None:
    if analysis.validation not in ("", LEAVE_OUT):
        raise InvalidStudy(f"{where}: validation is {LEAVE_OUT!r}, or left out")
    names = [one.name for one in analysis.coefficients]
    if len(set(names)) != len(names) or not all(
        math.isfinite(one.value) for one in analysis.coefficients
    ):
        raise InvalidStudy(f"{where}: coefficients are finite, one a column")
    if not analysis.coefficients and analysis.link != "logit":
        raise InvalidStudy(
            f"{where}: only a published model has another link than 'logit'",
            fix="give its coefficients, or leave link out",
        )
    if analysis.coefficients and analysis.validation:
        raise InvalidStudy(
            f"{where}: a published model was fitted to none of the sites",
            fix="leave out validation: every site validates it",
        )
    if analysis.validation and len(study.sites) <= LEFT:
        raise InvalidStudy(
            f"{where}: without one site, at least {LEFT} must be left to fit a model",
            fix=f"take {LEFT + 1} or more sites into the study",
        )


def _check_boosting(boosting: Boosting, where: str) -> None:
    for name, value, low, high in (
        ("trees", boosting.trees, 1, MOST_TREES),
        ("depth", boosting.depth, 1, MOST_DEPTH),
        ("bins", boosting.bins, 2, MOST_BINS),
        ("min_people", boosting.min_people, 1, 10**9),
        ("l2", boosting.l2, 0, 1e6),
        ("holdout", boosting.holdout, 0, 0.9),
    ):
        if not low <= value <= high:
            raise InvalidStudy(f"{where}: {name} lies in {low} to {high}")
    if not 0 < boosting.learning_rate <= 1:
        raise InvalidStudy(f"{where}: learning_rate lies above 0, up to 1")
