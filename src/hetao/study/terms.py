"""The closed little language of model terms and criteria: parsed, never evaluated.

A site receives terms as text in a study. It turns them into the frozen tree below
and walks that tree itself; there is no `eval`, and a name that is not in the
grammar is refused before any row is read.
"""

import ast
import math
import warnings
from dataclasses import dataclass

from hetao.errors import BadFormula

FUNCTIONS = frozenset(
    {"log", "log10", "log2", "log1p", "exp", "sqrt", "abs", "sin", "cos"}
)
PI = "pi"  # the constant; no variable in a term
OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
COMPARISONS = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
SPLINE_ARGUMENTS = ("df", "knots")
BOUNDARY = "Boundary_knots"
MOST_DF = 50
LONGEST_TERM = 200  # characters


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True)
class Name:
    """A variable of the study."""

    name: str


@dataclass(frozen=True)
class Operation:
    """`left operator right`, the operator one of + - * / **."""

    operator: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True)
class Call:
    """A listed function of one argument."""

    function: str
    argument: "Expression"


@dataclass(frozen=True)
class Spline:
    """A factor that stands for several columns, as a term writes it.

    Attributes:
        function: "ns" or "bs", as of R's `splines`.
        argument: what it is a spline of.
        df: how many columns; 0 where knots are given.
        knots: inner knots; none where df is given.
        boundary: boundary knots; None for the argument's public bounds.
        degree: of a bs.
    """

    function: str
    argument: "Expression"
    df: int = 0
    knots: tuple[float, ...] = ()
    boundary: tuple[float, float] | None = None
    degree: int = 3


@dataclass(frozen=True)
class Basis:
    """One column of a spline whose knots are known; `label` is how it is called."""

    label: str
    function: str
    argument: "Expression"
    knots: tuple[float, ...]
    boundary: tuple[float, float]
    degree: int
    index: int


Expression = Number | Name | Operation | Call | Spline | Basis


@dataclass(frozen=True)
class Term:
    """One term of a model: the product of its factors, `a:b` in R's notation."""

    text: str
    factors: tuple[Expression, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the variables that the term uses, in order, each once."""
        found: dict[str, None] = {}
        for factor in self.factors:
            found.update(dict.fromkeys(names_of(factor)))
        return tuple(found)


@dataclass(frozen=True)
class Comparison:
    """`variable operator value`, or `known(variable)` when the operator is `known`."""

    variable: str
    operator: str
    value: float | str | None


def names_of(expression: Expression) -> tuple[str, ...]:
    """Return the variables that an expression uses, left to right."""
    match expression:
        case Name(name):
            return (name,)
        case Operation(_, left, right):
            return names_of(left) + names_of(right)
        case Call(_, argument):
            return names_of(argument)
        case Spline() | Basis():
            return names_of(expression.argument)
    return ()


def parse_term(text: str) -> Term:
    """Return a term such as `age`, `log(bmi)`, `age:sex` or `ns(age, df = 4)`.

    Raises:
        BadFormula: the text is not in the grammar.
    """
    if len(text) > LONGEST_TERM:
        raise _too_long()
    return Term(text, tuple(_factor(part) for part in _split(text)))


def _factor(text: str) -> Expression:
    """Return a factor of a term: a spline, or an expression."""
    node = parsed(text.replace("Boundary.knots", BOUNDARY))
    match node:
        case ast.Call(ast.Name("ns" | "bs" as function), [argument, *rest], keywords):
            given = {str(k.arg): k.value for k in keywords}
            given |= dict(zip(SPLINE_ARGUMENTS, rest, strict=False))
            if len(rest) + len(keywords) == len(given):
                return _spline(function, argument, given, text)
            raise BadFormula(f"{text!r} says something twice")
    return _expression(node, text)


def _spline(
    function: str, argument: ast.expr, given: dict[str, ast.expr], text: str
) -> Spline:
    known = (*SPLINE_ARGUMENTS, BOUNDARY, *(("degree",) if function == "bs" else ()))
    numbers = {key: _numbers(node, text) for key, node in given.items()}
    df, degree = numbers.get("df", (0.0,)), numbers.get("degree", (3.0,))
    whole = all(len(v) == 1 and v[0].is_integer() for v in (df, degree))
    ends = numbers.get(BOUNDARY, (0.0, 0.0))
    is_one = ("df" in given) != ("knots" in given)
    if set(given) <= set(known) and is_one and whole and len(ends) == 2:
        size = int(df[0]), int(degree[0])
        if ("knots" in given or 1 <= size[0] <= MOST_DF) and 1 <= size[1] <= 5:
            return Spline(
                function,
                _expression(argument, text),
                size[0],
                numbers.get("knots", ()),
                (ends[0], ends[1]) if BOUNDARY in given else None,
                size[1],
            )
    raise BadFormula(
        f"the spline {text!r} cannot be read",
        fix=f"write {function}(x, df = 4) or {function}(x, knots = c(50, 60))",
    )


def _numbers(node: ast.expr, text: str) -> tuple[float, ...]:
    """Return one number, or those of R's c(...) or of a list."""
    match node:
        case ast.Call(ast.Name("c"), items, []) | ast.List(items) | ast.Tuple(items):
            found = tuple(_constant(item, text) for item in items)
        case _:
            found = (_constant(node, text),)
    numbers = tuple(value for value in found if isinstance(value, float))
    if len(numbers) != len(found) or len(numbers) > MOST_DF:
        raise BadFormula(f"the term {text!r} needs numbers for its knots")
    return numbers


def parse_expression(text: str) -> Expression:
    """Return the tree of an arithmetic expression over variables.

    Raises:
        BadFormula: the text is not in the grammar.
    """
    return _expression(parsed(text), text)


def parse_criterion(text: str) -> tuple[Comparison, ...]:
    """Return what a criterion asks, all of it: `age >= 18`, `known(bmi, sex)`, ….

    Raises:
        BadFormula: the text is not in the grammar.
    """
    node = parsed(text)
    match node:
        case ast.Call(ast.Name("known"), [ast.Name(), *_] as names, []) if all(
            isinstance(name, ast.Name) for name in names
        ):
            return tuple(Comparison(ast.unparse(n), "known", None) for n in names)
        case ast.Compare(ast.Name(name), [operator], [value]) if (
            type(operator) in COMPARISONS
        ):
            symbol = COMPARISONS[type(operator)]
            return (Comparison(name, symbol, _constant(value, text)),)
    raise BadFormula(
        f"the criterion {text!r} cannot be read",
        fix='write `age >= 18`, `sex == "female"` or `known(bmi)`',
    )


def _constant(node: ast.AST, text: str) -> float | str:
    match node:
        case ast.Constant(str() as value):
            return value
        case ast.Constant(int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as number)):
            return -float(number)
    raise BadFormula(
        f"the criterion {text!r} compares with no number and no text",
        fix='write a number, or a level in quotes as the data have it: `b == "True"`',
    )


def parsed(text: str) -> ast.expr:
    """Return the tree of a text of at most LONGEST_TERM characters.

    Raises:
        BadFormula: it has none, or Python warns of what it reads, such as `2and` or a
            backslash: the next release may read it otherwise.
    """
    if len(text) > LONGEST_TERM or "\0" in text:
        raise _too_long()
    try:
        with warnings.catch_warnings(record=True) as odd:
            warnings.simplefilter("always")
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _unreadable(text) from error
    if odd:
        raise _unreadable(text)
    return tree


def _unreadable(text: str) -> BadFormula:
    return BadFormula(
        f"the term {text!r} cannot be read", fix="check brackets and operators"
    )


def _too_long() -> BadFormula:
    return BadFormula(f"a term is longer than {LONGEST_TERM} characters")


def _split(text: str) -> list[str]:
    """Split at the colons that stand outside brackets."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if character == ":" and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def _expression(node: ast.AST, text: str) -> Expression:
    match node:
        case ast.Name(name) if name == PI:
            return Number(math.pi)
        case ast.Name(name):
            return Name(name)
        case ast.Constant(int() | float() as value) if not isinstance(value, bool):
            return Number(float(value))
        case ast.UnaryOp(ast.USub(), operand):
            return Operation("-", Number(0.0), _expression(operand, text))
        case ast.BinOp(left, operator, right) if type(operator) in OPERATORS:
            symbol = OPERATORS[type(operator)]
            return Operation(symbol, _expression(left, text), _expression(right, text))
        case ast.Call(ast.Name(function), [argument], []) if function in FUNCTIONS:
            return Call(function, _expression(argument, text))
    raise BadFormula(
        f"the term {text!r} uses something outside the grammar",
        fix="use variables, numbers, + - * / **, "
        + ", ".join(sorted(FUNCTIONS))
        + ", and a:b for interactions",
    )
