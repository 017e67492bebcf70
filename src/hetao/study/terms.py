"""The closed little language of model terms and criteria: parsed, never evaluated.

A site receives terms as text in a study. It turns them into the frozen tree below
and walks that tree itself; there is no `eval`, and a name that is not in the
grammar is refused before any row is read.
"""

import ast
from dataclasses import dataclass

from hetao.errors import BadFormula

FUNCTIONS = frozenset({"log", "log10", "log2", "log1p", "exp", "sqrt", "abs"})
OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
COMPARISONS = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
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


Expression = Number | Name | Operation | Call


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
    return ()


def parse_term(text: str) -> Term:
    """Return a term such as `age`, `log(bmi)`, `age:sex` or `(age/10)**2`.

    Raises:
        BadFormula: the text is not in the grammar.
    """
    return Term(text, tuple(parse_expression(part) for part in _split(text)))


def parse_expression(text: str) -> Expression:
    """Return the tree of an arithmetic expression over variables.

    Raises:
        BadFormula: the text is not in the grammar.
    """
    return _expression(_parse(text), text)


def parse_criterion(text: str) -> tuple[Comparison, ...]:
    """Return what a criterion asks, all of it: `age >= 18`, `known(bmi, sex)`, ….

    Raises:
        BadFormula: the text is not in the grammar.
    """
    node = _parse(text)
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
    raise BadFormula(f"the criterion {text!r} compares with no number and no text")


def _parse(text: str) -> ast.expr:
    if len(text) > LONGEST_TERM or "\0" in text:
        raise BadFormula(f"a term is longer than {LONGEST_TERM} characters")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadFormula(
            f"the term {text!r} cannot be read", fix="check brackets and operators"
        ) from error


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
