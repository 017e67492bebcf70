"""A model and a formula → the fields of the analysis that a study would ask."""

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from hetao.errors import BadFormula, Usage
from hetao.notebook.formula import Formula, parse_formula
from hetao.notebook.weighting import ScoreWeights
from hetao.study.methods import METHODS, POOLED, PROFILED, SCREENED, Method
from hetao.study.model import SITE, Analysis

COUNTS: Final = "counts"  # says all by itself: its formula is empty
MODELS: Final = tuple(name for name, method in METHODS.items() if method.in_formula)
KEYS: Final = ("person", "matched")
LISTS: Final = ("exposures", "outcomes", "times", "controls")  # of columns, of a screen
NAMING: Final = ("weights", "treatment", *KEYS)  # that say a column's name
CALLED: Final = re.compile(r"\s*(?:C|factor)\(\s*(\w+)[^()]*(?:\([^()]*\))?\s*\)\s*")
IDENTIFIER: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")


def is_table(method: Method) -> bool:
    """Return whether the left side groups people, whom the right side describes."""
    return "variables" in method.fields


def meant(options: Mapping[str, object]) -> tuple[dict[str, Any], frozenset[str]]:
    """Return what options say, and the variables of a score that are categories.

    None and "" say nothing, and neither does 0 where it is usual. Weights of a
    propensity model become the fields that ask for them; a score's text becomes its
    terms.

    Raises:
        BadFormula: the score cannot be read.
        Usage: people are to be matched to nobody.
    """
    plain = {name: _plain(value) for name, value in options.items()}
    said = {name: value for name, value in plain.items() if _is_said(name, value)}
    categories: frozenset[str] = frozenset()
    for name in LISTS:
        if isinstance(said.get(name), str):
            said[name] = [said[name]]
    for name in ("ratio", "caliper"):
        if plain.get(name) == 0:
            raise Usage(
                f"{name} 0 matches nobody",
                fix="leave it out to weigh people, or write one above 0",
            )
    if isinstance(said.get("weights"), ScoreWeights):
        weights = said.pop("weights")
        said, categories = {**said, **weights.fields}, weights.categories
    if isinstance(said.get("score"), str):
        score = parse_formula(f"~ {said['score']}")
        said["score"] = list(score.terms)
        categories = frozenset(score.categories)
    return said, categories


def with_treatment(
    model: str, formula: str, options: Mapping[str, object]
) -> tuple[str, Mapping[str, object]]:
    """Return a formula without its bar, and the options with what the bar says.

    `y ~ arm | age + sex` names the treatment before the bar and what explains it
    behind. To an effect that is the treatment and its terms; to a model it is its
    terms, the treatment first, and the terms of the score that weights people.

    Raises:
        BadFormula: the model takes no treatment, or what stands before the bar does
            not begin with one.
    """
    left, tilde, right = formula.partition("~")
    before, bar, behind = right.partition("|")
    if not bar:
        return formula, options
    method = METHODS.get(model)
    called = CALLED.match(before)
    treatment = called[1] if called else re.split(r"[+*:]", before)[0].strip()
    if method is None or "treatment" not in method.fields:
        raise BadFormula(f"a {model} model takes no treatment before a bar")
    is_name = IDENTIFIER.fullmatch(treatment)
    alone = before.strip() == treatment or bool(called and called.end() == len(before))
    if not is_name or (method.fits and not alone) or "|" in behind:
        raise BadFormula(
            "a treatment, one column, stands before the bar and its terms behind",
            fix="write `y ~ arm | age + sex`",
        )
    if method.fits:
        return f"{left}{tilde}{behind}", {**options, "treatment": treatment}
    said = {"treatment": treatment, "score": behind.strip()}
    return f"{left}{tilde}{before}", {**options, **said}


def references_of(formula: str) -> Mapping[str, str]:
    """Return the references written before a bar, `C(arm, Treatment("old")) | age`.

    Raises:
        BadFormula: what stands there cannot be read.
    """
    before, bar, _ = formula.partition("~")[2].partition("|")
    return parse_formula(f"~ {before}").categories if bar and before.strip() else {}


def check_model(model: str, said: Mapping[str, Any]) -> None:
    """Refuse a model that no formula can say, and an option that it does not read.

    Raises:
        Usage: no formula can say the model, or it does not read an option; by name.
    """
    if model not in (*MODELS, COUNTS):
        raise Usage(f"the model is one of {', '.join(MODELS)}")
    for name in said:
        if name not in METHODS[model].fields:
            raise Usage(
                f"a {model} model takes no {name}",
                fix=f"it takes {', '.join(METHODS[model].fields)}",
            )
    known = {"profile": PROFILED, "screen": SCREENED}.get(model, POOLED)
    if "model" in METHODS[model].needs and said.get("model") not in known:
        raise Usage(f"{model} needs model = one of {', '.join(known)}")


def alone_of(model: str, said: Mapping[str, Any]) -> str:
    """Return the model that a formula says: of a meta-analysis, each site's own.

    A screen's formula says no model: it holds what every one is adjusted for.
    """
    is_screen = "exposures" in METHODS[model].fields
    return model if is_screen else str(said.get("model") or model)


def _plain(value: Any) -> Any:
    """Return a value of numpy, or a tuple, as the plain one that a study holds."""
    value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return list(value) if isinstance(value, tuple) else value


def _is_said(name: str, value: Any) -> bool:
    known = Analysis.__dataclass_fields__.get(name)
    usual = known.default if known else None
    if isinstance(value, bool | int | float) and not value:
        return bool(usual)
    return value is not None and value not in ("", [], {})


def check_form(model: str, formula: Formula) -> None:
    """Refuse a formula whose sides are not what the model reads.

    Raises:
        BadFormula: a side is missing, or there is one too many.
        Usage: the model takes no strata.
    """
    method = METHODS[model]
    if "exposures" in method.fields and (formula.time or formula.response):
        raise BadFormula(
            f"a {model} names its outcomes beside the formula",
            fix='write "~ age + sex", what each model is adjusted for, and '
            "exposures=[...], outcomes=[...]",
        )
    follows = method.has_times or method.has_rates
    if follows != bool(formula.time) or (method.outcome and not formula.response):
        form = "Surv(time, event)" if follows else "one column"
        raise BadFormula(f"a {model} model needs {form} on the left")
    if formula.start and "start" not in method.fields:
        raise BadFormula(
            f"a {model} model takes no Surv(start, stop, event)",
            fix="write Surv(time, event), the time each person was followed",
        )
    if formula.strata and "strata" not in method.fields:
        raise Usage(f"a {model} model takes no strata")
    if formula.response and not IDENTIFIER.fullmatch(formula.response):
        raise BadFormula(
            "the left side must be one column",
            fix="compute the column in the file first",
        )


def analysis_fields(model: str, formula: Formula, counts: bool) -> dict[str, Any]:
    """Return the fields that a formula says of an analysis.

    Args:
        model: the method.
        formula: held to its form; it calls the column of sites `site`.
        counts: whether the event of rates is a number of events.

    Raises:
        BadFormula: the right side is not what the model reads.
    """
    method, f = METHODS[model], formula
    fields: dict[str, Any] = {"method": model}
    terms = [term for term in f.terms if term not in ("0", "1")]
    if "strata" in method.fields:
        fields["strata"] = list(f.strata)
    if "network" in method.needs:
        fields["network"] = {}  # the usual one, where no other is said
    if is_table(method):
        return {**fields, "variables": _columns(model, terms), "by": f.response}
    if f.start:
        fields["start"] = f.start
    if method.is_model or "exposures" in method.fields:
        return fields | _of_model(method, f, terms)
    if method.outcome:
        return fields | {"outcome": f.response, "by": _group(model, terms)}
    if f.time:
        event = "outcome" if counts else "event"
        return fields | {"time": f.time, event: f.event, "by": _group(model, terms)}
    return fields


def _of_model(method: Method, f: Formula, terms: list[str]) -> dict[str, Any]:
    """Return the fields that a formula says of a model, or of all of a screen."""
    if not method.is_model:
        kept = [term for term in f.terms if term != "1"]
        return {"terms": kept, "offset": f.offset}
    if method.has_times:
        named = {"time": f.time, "event": f.event}
        return {**named, "terms": terms, "offset": f.offset}
    every = list(f.terms) or ["1"]
    return {"outcome": f.response, "terms": every, "offset": f.offset}


def _columns(model: str, terms: list[str]) -> list[str]:
    odd = [term for term in terms if not IDENTIFIER.fullmatch(term) or term == SITE]
    if odd:
        raise BadFormula(
            f"a {model} describes columns; {odd[0][:60]!r} is none",
            fix="write `group ~ age + sex`, or `~ age + sex` for everyone",
        )
    return terms


def _group(model: str, terms: list[str]) -> str:
    if len(terms) > 1 or any(":" in term for term in terms):
        raise BadFormula(f"a {model} model takes one grouping column, or 1")
    return terms[0] if terms else ""
