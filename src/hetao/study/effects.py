"""What an analysis of a treatment's effect must say, checked before it is approved."""

from hetao.errors import InvalidStudy
from hetao.study.methods import METHODS
from hetao.study.model import Analysis, Study, Variable
from hetao.study.terms import parse_term

MOST_OTHERS, WIDEST = 20, 10.0  # of matching by the score
# Fewer strata could be worked out from the exact means over all of them.
LEAST_STRATA, MOST_STRATA = 5, 50
MOST_BINS = 100  # of the score's histogram


def check_effect(study: Study, analysis: Analysis, where: str) -> None:
    """Refuse a treatment, an outcome or an estimand that has no effect to estimate.

    Raises:
        InvalidStudy: the error names the field and the remedy.
    """
    method = METHODS[analysis.method]
    if analysis.score:
        _check_score(analysis, where)
    elif not method.fits:
        _check_no_score(analysis, where)
        return
    treatment = study.variable(analysis.treatment)
    if treatment.kind != "category" or len(treatment.levels) != 2:
        raise InvalidStudy(
            f"{where}: the treatment {analysis.treatment!r} must be a category of two "
            "levels, the treatment second"
        )
    if method.fits:
        _check_outcome(analysis, study.variable(analysis.outcome), where)
    if analysis.estimand not in method.estimands:
        raise InvalidStudy(
            f"{where}: the estimand of {analysis.method} is one of "
            + ", ".join(method.estimands)
        )
    _check_sizes(analysis, where)
    if analysis.truncation and analysis.estimand == "ATO":
        raise InvalidStudy(
            f"{where}: no score needs truncation for the estimand ATO",
            fix="leave truncation out",
        )
    for text in analysis.terms if method.fits else analysis.score:
        _check_term(analysis, text.strip(), where)


def _check_sizes(analysis: Analysis, where: str) -> None:
    if analysis.subclasses and not LEAST_STRATA <= analysis.subclasses <= MOST_STRATA:
        raise InvalidStudy(
            f"{where}: subclasses lies in {LEAST_STRATA} to {MOST_STRATA}"
        )
    if not 0 <= analysis.overlap_bins <= MOST_BINS:
        raise InvalidStudy(f"{where}: overlap_bins lies in 0 to {MOST_BINS}")
    if not 0 <= analysis.truncation < 0.5:
        raise InvalidStudy(f"{where}: truncation lies in 0 to below 0.5")


def _check_outcome(analysis: Analysis, outcome: Variable, where: str) -> None:
    """Check that an effect's outcome is of its family, and that counts have offsets."""
    if outcome.kind != "number" and len(outcome.levels) != 2:
        raise InvalidStudy(
            f"{where}: the outcome {analysis.outcome!r} must be a number, or a "
            "category of two levels, the event second"
        )
    if analysis.family not in ("", "poisson"):
        raise InvalidStudy(
            f"{where}: the family of an effect is 'poisson', or left out",
            fix="a category of two levels is binomial by itself",
        )
    if analysis.family and outcome.kind != "number":
        raise InvalidStudy(
            f"{where}: the outcome {analysis.outcome!r} of a Poisson effect must be a "
            "number"
        )
    if analysis.offset and not analysis.family:
        raise InvalidStudy(
            f"{where}: only the effect on a count has an offset, the log of a time",
            fix="write family = 'poisson', or leave out offset",
        )


def _check_score(analysis: Analysis, where: str) -> None:
    """Check what a model says of the score by which it weights people."""
    for name in ("weights", "penalty", "zph", "person"):
        if getattr(analysis, name):
            raise InvalidStudy(
                f"{where}: a model weighted by a propensity score takes no {name}",
                fix=f"leave out {name}, or the score",
            )
    _check_matching(analysis, where)
    _check_stratified(analysis, where)
    named = {name for text in analysis.terms for name in parse_term(text).names}
    if not METHODS[analysis.method].is_model and analysis.by != analysis.treatment:
        raise InvalidStudy(
            f"{where}: a propensity score weighs the arms of the treatment "
            f"{analysis.treatment!r}, so it is they whose curves are compared",
            fix=f"write by = {analysis.treatment!r}",
        )
    if METHODS[analysis.method].is_model and analysis.treatment not in named:
        raise InvalidStudy(
            f"{where}: the terms do not name the treatment {analysis.treatment!r}, "
            "whose effect the weights are there for",
            fix="write it among the terms",
        )


def _check_matching(analysis: Analysis, where: str) -> None:
    """Check what a model says of matching by the score."""
    if not analysis.ratio and not analysis.caliper:
        return
    if not 1 <= analysis.ratio <= MOST_OTHERS or not 0 < analysis.caliper <= WIDEST:
        raise InvalidStudy(
            f"{where}: matching by the score has a ratio of 1 to {MOST_OTHERS} and a "
            f"caliper above 0 and up to {WIDEST:g}",
            fix="write ratio = 1 and caliper = 0.2",
        )
    if analysis.estimand != "ATT" or analysis.truncation:
        raise InvalidStudy(
            f"{where}: who is treated is matched to others, so the effect is theirs, "
            "and no score is truncated",
            fix="write estimand = 'ATT', and leave truncation out",
        )


def _check_stratified(analysis: Analysis, where: str) -> None:
    """Check what a model says that is stratified by the score."""
    weighs = analysis.ratio or analysis.truncation or analysis.overlap_bins
    if analysis.subclasses and (weighs or analysis.estimand != "ATE"):
        raise InvalidStudy(
            f"{where}: within strata of the score nobody is weighted or matched",
            fix="leave out estimand, truncation, overlap_bins, ratio and caliper, or "
            "subclasses",
        )


def _check_no_score(analysis: Analysis, where: str) -> None:
    is_plain = analysis.estimand == "ATE" and not analysis.truncation
    is_plain = is_plain and not analysis.ratio and not analysis.caliper
    is_plain = is_plain and not analysis.subclasses
    if analysis.treatment or analysis.overlap_bins or not is_plain:
        raise InvalidStudy(
            f"{where}: only a model with a propensity score speaks of a treatment's "
            "estimand",
            fix="write score = the score's terms, or leave these fields out",
        )


def _check_term(analysis: Analysis, text: str, where: str) -> None:
    if text in ("0", "-1"):
        raise InvalidStudy(
            f"{where}: the regressions behind an effect have an intercept",
            fix='leave out "0"',
        )
    names = parse_term(text).names
    outcomes = (analysis.outcome, analysis.event, analysis.time)
    for name in filter(None, (analysis.treatment, *outcomes)):
        if name in names:
            raise InvalidStudy(
                f"{where}: the term {text!r} holds {name!r}, whose effect or "
                "occurrence the terms are there to explain",
                fix="name what was so before the treatment only",
            )
