"""An R formula → the study's own closed little language of terms.

`formulaic` reads the operators (`a*b`, `a + b - 1`, `.`-free); each factor that is
left is translated here, by name, into our grammar. Nothing is ever evaluated.
"""

import ast
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from formulaic.errors import FormulaicError
from formulaic.parser import DefaultFormulaParser

from hetao.errors import BadFormula
from hetao.study.terms import BOUNDARY, parse_expression, parse_term, parsed

FUNCTIONS = {
    "np.log": "log",
    "np.exp": "exp",
    "np.sqrt": "sqrt",
    "np.abs": "abs",
    "np.sin": "sin",
    "np.cos": "cos",
}
STATEFUL = ("cs", "cr", "cc", "poly", "scale", "center", "standardize")


@dataclass(frozen=True)
class Formula:
    """A formula, taken apart.

    Attributes:
        response: left-hand side as one expression; "" for a survival formula, and for
            a table of everyone, `~ x`.
        time, event: of `Surv(time, event)`; "" otherwise.
        start: of `Surv(start, time, event)`, where a row is at risk only from then on.
        level: of the event, in `Surv(time, event == "dead")`; "" for the second.
        cluster: the column of `cluster(x)`, whose rows one person's are.
        terms: right-hand side in the study's grammar, interactions as `a:b`; "0" first
            if there is no intercept.
        categories: variables written `C(x)` or `factor(x)`, with a reference or "".
        offset: expression of `offset(...)`, "" for none.
        strata: variables of `strata(x)`.
    """

    response: str
    time: str
    event: str
    terms: tuple[str, ...]
    categories: Mapping[str, str]
    offset: str
    strata: tuple[str, ...]
    start: str = ""
    cluster: str = ""
    level: str = ""


def parse_formula(text: str) -> Formula:
    """Return a formula taken apart.

    Raises:
        BadFormula: it is not a formula, or asks for what cannot be done by sums.
    """
    left, tilde, right = text.partition("~")
    if not tilde or not right.strip() or "~" in right:
        raise BadFormula(
            f"{text[:100]!r} is not a formula", fix="write `y ~ x` or `Surv(t, e) ~ x`"
        )
    said = _left(left.strip()) if left.strip() else {}
    reader = _Right()
    intercept = False
    right = right.replace("Boundary.knots", BOUNDARY)  # no name may hold a dot
    for factors in _terms(_with_powers(right), text):
        if factors == ["1"]:
            intercept = True
        elif factors:
            reader.take(factors)
    if said.get("reference"):
        reader.categories[said["response"]] = said["reference"]
    if not intercept:
        reader.terms.insert(0, "0")
    return Formula(
        response=said.get("response", ""),
        time=said.get("time", ""),
        event=said.get("event", ""),
        terms=tuple(reader.terms),
        categories=reader.categories,
        offset=" + ".join(reader.offsets),
        strata=tuple(reader.strata),
        start=said.get("start", ""),
        cluster=reader.cluster,
        level=said.get("level", ""),
    )


def _with_powers(right: str) -> str:
    """Write R's power within I(...) as ours; outside, `^` is the operator of terms."""
    written, depth = "", 0
    for place, character in enumerate(right):
        if depth or re.search(r"(?<![\w.])I$", right[max(0, place - 2) : place]):
            depth += (character == "(") - (character == ")")
        written += "**" if depth and character == "^" else character
    return written


def _terms(right: str, text: str) -> Sequence[list[str]]:
    try:
        with warnings.catch_warnings():  # of what `parsed` refuses, factor by factor
            warnings.simplefilter("ignore")
            terms = DefaultFormulaParser(include_intercept=True).get_terms(right)
        return [[str(factor.expr) for factor in term.factors] for term in terms]
    except (
        FormulaicError,
        SyntaxError,
        ValueError,
        TypeError,
        RecursionError,
    ) as error:
        raise BadFormula(
            f"the formula {text[:100]!r} cannot be read",
            fix="check brackets and operators",
        ) from error
    except Exception as error:  # a parser of others, on users' text
        raise BadFormula(f"the formula {text[:100]!r} cannot be read") from error


def _left(text: str) -> dict[str, str]:
    node = parsed(text)
    match node:
        case ast.Call(ast.Name("Surv"), [ast.Name(time), event], []):
            return {"time": time, **_event(event, text)}
        case ast.Call(ast.Name("Surv"), [ast.Name(start), ast.Name(time), event], []):
            return {"start": start, "time": time, **_event(event, text)}
        case ast.Call(ast.Name("Surv")):
            raise BadFormula(
                "only Surv(time, event) and Surv(start, stop, event) are known",
                fix="write the event as a column of 0 and 1",
            )
        case ast.Call(ast.Name("C" | "factor"), [ast.Name(name), *rest], keywords):
            return {"response": name, "reference": _reference(rest, keywords, text)}
    parse_expression(text)
    return {"response": text}


def _event(node: ast.expr, text: str) -> dict[str, str]:
    match node:
        case ast.Name(name):
            return {"event": name}
        case ast.Compare(ast.Name(name), [ast.Eq()], [ast.Constant(value)]):
            return {"event": name, "level": str(value)}
    raise BadFormula(f"the left side {text[:100]!r} cannot be read")


class _Right:
    """Collects the right-hand side, term by term."""

    def __init__(self) -> None:
        self.terms: list[str] = []
        self.categories: dict[str, str] = {}
        self.offsets: list[str] = []
        self.strata: list[str] = []
        self.cluster = ""

    def take(self, factors: list[str]) -> None:
        parts = [self._factor(factor) for factor in factors if factor != "1"]
        kept = [part for part in parts if part]
        if len(parts) > 1 and len(kept) < len(parts):
            raise BadFormula(
                f"the term {':'.join(factors)[:100]!r} is an interaction with an "
                "offset, a stratum or a cluster",
                fix="name the column itself too: `x:sex + strata(sex)`",
            )
        if kept:
            term = ":".join(kept)
            parse_term(term)
            self.terms.append(term)

    def _factor(self, text: str) -> str:
        """Return a factor in our grammar; "" of an offset, strata or a cluster."""
        node = parsed(text)
        match node:
            case ast.Call(ast.Name("C" | "factor"), [ast.Name(name), *rest], keywords):
                self.categories[name] = _reference(rest, keywords, text)
                return name
            case ast.Call(ast.Name("I"), [inner], []):
                return f"({_in_our_words(inner)})"
            case ast.Call(ast.Name("offset"), [inner], []):
                said = _in_our_words(inner)
                parse_expression(said)
                self.offsets.append(said)
                return ""
            case ast.Call(ast.Name("strata"), names, []):
                self.strata += [ast.unparse(name) for name in names]
                return ""
            case ast.Call(ast.Name("cluster"), [ast.Name(name)], []):
                self.cluster = name
                return ""
            case ast.Call(function) if ast.unparse(function) in STATEFUL:
                raise BadFormula(
                    f"{ast.unparse(function)}() depends on all rows together",
                    fix="compute the columns with public constants first",
                )
        return _in_our_words(node)


def _in_our_words(node: ast.expr) -> str:
    """Return an expression with numpy's functions under the grammar's own names."""
    plain = ast.unparse(node)
    for theirs, ours in FUNCTIONS.items():
        plain = plain.replace(theirs + "(", ours + "(")
    return plain


def _reference(
    rest: Sequence[ast.expr], keywords: Sequence[ast.keyword], text: str
) -> str:
    match [*rest, *(keyword.value for keyword in keywords)]:
        case []:
            return ""
        case [ast.Call(ast.Name("Treatment"), [ast.Constant(value)], [])]:
            return str(value)
        case [
            ast.Call(ast.Name("Treatment"), [], [ast.keyword(_, ast.Constant(value))])
        ]:
            return str(value)
    raise BadFormula(
        f"{text[:100]!r} names a contrast that is not known",
        fix='only C(x) and C(x, Treatment("level")) are',
    )
