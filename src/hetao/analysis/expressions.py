"""Arithmetic of terms: their values, their public bounds, and their text.

Bounds follow from the study alone, by interval arithmetic over the tree, so the site
and the outside agree on them before any row is read.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from hetao.analysis.splines import CUBIC, basis_bounds, basis_values
from hetao.errors import InvalidStudy
from hetao.study import Basis, Call, Expression, Name, Number, Operation, Spline
from hetao.study.terms import PI

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Interval = tuple[float, float]

_FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {
    "log": np.log,
    "log10": np.log10,
    "log2": np.log2,
    "log1p": np.log1p,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sin": np.sin,
    "cos": np.cos,
}
_SCALAR: dict[str, Callable[[float], float]] = {
    "log": math.log,
    "log10": math.log10,
    "log2": math.log2,
    "log1p": math.log1p,
    "exp": math.exp,
    "sqrt": math.sqrt,
}
_BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, "**": 3}


def value_of(expression: Expression, columns: Mapping[str, Floats]) -> Floats:
    """Return an expression's value for each row; NaN where a variable is missing.

    Args:
        expression: a tree over variables of `columns`.
        columns: one (n,) array a variable; each within its public bounds.
    """
    match expression:
        case Number(value):
            return np.asarray(value, dtype=np.float64)
        case Name(name):
            return columns[name]
        case Call(function, argument):
            return _FUNCTIONS[function](value_of(argument, columns))
        case Operation(symbol, left, right):
            return _operate(symbol, value_of(left, columns), value_of(right, columns))
        case Basis(_, _, argument):
            return basis_values(expression, value_of(argument, columns))
        case Spline():
            raise _not_one_number(expression)


def _operate(symbol: str, left: Floats, right: Floats) -> Floats:
    match symbol:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right
    return np.asarray(np.power(left, right))


def bounds_of(expression: Expression, known: Mapping[str, Interval]) -> Interval:
    """Return an interval that holds every value of an expression.

    Args:
        expression: a tree over variables of `known`.
        known: the public bounds of each variable.

    Raises:
        InvalidStudy: the expression is not defined, or not finite, all over the
            public bounds; the error shows the expression.
    """
    try:
        low, high = _bounds(expression, known)
    except (ValueError, ZeroDivisionError, OverflowError) as problem:
        raise _undefined(expression) from problem
    if not (math.isfinite(low) and math.isfinite(high)):
        raise _undefined(expression)
    return low, high


def _undefined(expression: Expression) -> InvalidStudy:
    return InvalidStudy(
        f"{text_of(expression)!r} is not a finite number all over the public bounds",
        fix="tighten the bounds of its variables, such as a low above 0 for a log",
    )


def _bounds(expression: Expression, known: Mapping[str, Interval]) -> Interval:
    match expression:
        case Number(value):
            return value, value
        case Name(name):
            return known[name]
        case Call(function, argument):
            return _called(function, *_bounds(argument, known))
        case Operation(symbol, left, right):
            return _combine(symbol, _bounds(left, known), _bounds(right, known))
        case Basis(_, _, argument):
            return basis_bounds(expression, _bounds(argument, known))
        case Spline():
            raise _not_one_number(expression)


def _called(function: str, low: float, high: float) -> Interval:
    """Return the bounds of a function of what lies between two numbers."""
    if function in ("sin", "cos"):
        return -1.0, 1.0
    if function == "abs":
        inside = low <= 0 <= high
        return 0.0 if inside else min(abs(low), abs(high)), max(-low, high)
    return _SCALAR[function](low), _SCALAR[function](high)


def _not_one_number(spline: Spline) -> InvalidStudy:
    return InvalidStudy(f"{text_of(spline)!r} stands for several columns")


def _combine(symbol: str, left: Interval, right: Interval) -> Interval:
    match symbol:
        case "+":
            return left[0] + right[0], left[1] + right[1]
        case "-":
            return left[0] - right[1], left[1] - right[0]
        case "*":
            return _corners(lambda a, b: a * b, left, right)
        case "/":
            if right[0] <= 0 <= right[1]:
                raise ZeroDivisionError
            return _corners(lambda a, b: a / b, left, right)
    return _power(left, right)


def _power(base: Interval, exponent: Interval) -> Interval:
    """Bound a power; a base that reaches below 0 needs a whole constant exponent."""
    whole = exponent[0] == exponent[1] and exponent[0].is_integer()
    if base[0] < 0 and not whole:
        raise ValueError
    if base[0] <= 0 <= base[1] and exponent[0] < 0:
        raise ZeroDivisionError
    low, high = _corners(lambda a, b: float(a**b), base, exponent)
    if whole and exponent[0] % 2 == 0 and base[0] < 0 < base[1] and exponent[0] > 0:
        low = 0.0
    return low, high


def _corners(
    combine: Callable[[float, float], float], left: Interval, right: Interval
) -> Interval:
    values = [combine(a, b) for a in left for b in right]
    return min(values), max(values)


def text_of(expression: Expression) -> str:
    """Return an expression as a reader writes it, such as `log(chol)` or `age/10`."""
    match expression:
        case Number(value):
            return PI if value == math.pi else f"{value:.12g}"
        case Name(name):
            return name
        case Call(function, argument):
            return f"{function}({text_of(argument)})"
        case Operation(symbol, left, right):
            binding = _BINDING[symbol]
            loose, tight = (1, 0) if symbol == "**" else (0, 1)
            first = _bracketed(left, binding + loose)
            return f"{first}{symbol}{_bracketed(right, binding + tight)}"
        case Basis(label, _, _, _, _, _, index):
            return f"{label}{index + 1}"
        case Spline():
            return _spline_text(expression)


def _spline_text(spline: Spline) -> str:
    said = [text_of(spline.argument)]
    said.append(f"knots = {_vector(spline.knots)}" if spline.knots else "")
    said.append(f"df = {spline.df}" if spline.df else "")
    said.append(f"degree = {spline.degree}" if spline.degree != CUBIC else "")
    ends = spline.boundary
    said.append(f"Boundary.knots = {_vector(ends)}" if ends else "")
    return f"{spline.function}({', '.join(filter(None, said))})"


def _vector(numbers: tuple[float, ...]) -> str:
    texts = [f"{number:.12g}" for number in numbers]
    return texts[0] if len(texts) == 1 else f"c({', '.join(texts)})"


def _bracketed(expression: Expression, binding: int) -> str:
    text = text_of(expression)
    if isinstance(expression, Operation) and _BINDING[expression.operator] < binding:
        return f"({text})"
    return text
