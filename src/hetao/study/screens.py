"""What a screen must say, checked before it is approved."""

from hetao.errors import InvalidStudy
from hetao.study.methods import METHODS, SCREENED
from hetao.study.model import SITE, Analysis, Study
from hetao.study.terms import parse_term

MOST_PAIRS = 20_000


def check_screen(study: Study, analysis: Analysis, where: str) -> None:
    """Refuse exposures, outcomes and controls that make no screen.

    Raises:
        InvalidStudy: the error names the field and the remedy.
    """
    if analysis.model not in SCREENED:
        raise InvalidStudy(f"{where}: model is one of " + ", ".join(SCREENED))
    _check_lists(analysis, where)
    has_times = METHODS[analysis.model].has_times
    if len(analysis.times) not in ((1, len(analysis.outcomes)) if has_times else (0,)):
        raise InvalidStudy(
            f"{where}: a screen of {analysis.model} models "
            + ("has one time, or one for each outcome" if has_times else "has no times")
        )
    if has_times and SITE not in analysis.strata:
        raise InvalidStudy(
            f"{where}: a screen compares people within sites",
            fix="write strata = ['site']",
        )
    for name in analysis.exposures:
        variable = study.variable(name)
        is_pair = variable.kind == "category" and len(variable.levels) == 2
        if variable.kind != "number" and not is_pair:
            raise InvalidStudy(
                f"{where}: the exposure {name!r} must be a number or a category of two "
                "levels",
                fix="make a variable of each level",
            )


def _check_lists(analysis: Analysis, where: str) -> None:
    for field in ("exposures", "outcomes", "controls"):
        names = getattr(analysis, field)
        if len(set(names)) != len(names):
            raise InvalidStudy(f"{where}: a name stands twice in {field}")
    if len(analysis.exposures) * len(analysis.outcomes) > MOST_PAIRS:
        raise InvalidStudy(f"{where}: a screen has up to {MOST_PAIRS} pairs")
    strange = set(analysis.controls) - set(analysis.outcomes)
    if strange:
        raise InvalidStudy(
            f"{where}: the control {min(strange)!r} is none of the outcomes",
            fix="name it among the outcomes too",
        )
    terms = {name for text in analysis.terms for name in parse_term(text).names}
    both = terms | set(analysis.outcomes) | set(analysis.times)
    for name in analysis.exposures:
        if name in both:
            raise InvalidStudy(
                f"{where}: {name!r} is an exposure, and an outcome or a term too",
                fix="leave it out of one of them",
            )
    for name in (*analysis.outcomes, *analysis.times):
        if name in terms:
            raise InvalidStudy(
                f"{where}: the terms hold the outcome {name!r}",
                fix="name what was so before the exposure only",
            )
