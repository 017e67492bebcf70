"""What the numbers of several analyses of one study tell together about few people.

Each alone may be wide: four distances from ages that lie close to each other, in four
models, are nobody's; the first less the second, less the third, and with the fourth
again, is 1 for whoever lies between and 0 for all others. So numbers that arithmetic
made are looked at as if they stood in one model. Plain ones, which honest studies take
in several forms, may be added to them and are not looked at by themselves: what powers,
roots and logarithms add up to is wide, but for the first and the last few people.

Everything in this file stays inside the site.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Final

import numpy as np

from hetao.analysis.carriers import carriers, told
from hetao.analysis.expressions import Floats, Ints, bounds_of
from hetao.analysis.plan import Plan
from hetao.analysis.prediction import APART, powers_of, predicted, published_of
from hetao.analysis.rows import Rows
from hetao.study import Call, Expression, Name, Number, Operation
from hetao.study.terms import names_of

LOGARITHMS: Final = frozenset({"log", "log10", "log2", "log1p"})
POWERS: Final = (1.0, 2.0, 3.0)  # of a number that may be moved
BARE: Final = (*POWERS, 0.5, -0.5, -1.0, -2.0, -3.0)  # of one as it is


def is_plain(expression: Expression) -> bool:
    """Return whether arithmetic makes one of the forms that a number is taken in.

    They are sums of products of one form each of several numbers: as it is, its square,
    cube, root, logarithm or a reciprocal. A square or cube of what was moved by a
    constant is a sum of them. No spline is: bounds, which place its knots, are the
    author's to choose, and several splines' knots may lie as close as one likes.
    """
    match expression:
        case Operation("*" | "/" as sign, left, right) if names_of(left):
            other = _is_bare(right) if sign == "/" else is_plain(right)
            return other and is_plain(left) and _apart(left, right)
        case Operation("*", one, other) if not names_of(one):
            return is_plain(other)
        case Operation("+" | "-", one, other):
            return is_plain(one) and is_plain(other)
        case Operation("**", base, power) if _is_among(power, POWERS):
            return _is_moved(base)
    return _is_bare(expression)


def _apart(left: Expression, right: Expression) -> bool:
    return not set(names_of(left)) & set(names_of(right))


def _is_among(power: Expression, powers: tuple[float, ...]) -> bool:
    return not names_of(power) and bounds_of(power, {})[0] in powers


def _is_bare(expression: Expression) -> bool:
    """Return whether it is a product of powers of numbers as they are."""
    if not names_of(expression):
        return True
    match expression:
        case Operation("*" | "/", left, right):
            return _apart(left, right) and _is_bare(left) and _is_bare(right)
        case Operation("**", Name(), power):
            return _is_among(power, BARE)
    return _is_root(expression)


def _is_moved(expression: Expression) -> bool:
    """Return whether it is one number, moved or scaled by constants."""
    match expression:
        case Operation("+" | "-" | "*" | "/", moved, by) if not names_of(by):
            return _is_moved(moved)
        case Operation("+" | "-" | "*", by, moved) if not names_of(by):
            return _is_moved(moved)
    return _is_root(expression)


def _is_root(expression: Expression) -> bool:
    match expression:
        case Call(function, Operation("+", Name(), Number(value))) if value == 1:
            return function in LOGARITHMS
        case Call(function, Name()):
            return function in LOGARITHMS or function == "sqrt"
    return isinstance(expression, Name)


Key = tuple[object, ...]  # what a column is, and in which arm


@dataclass(frozen=True, eq=False)
class _Columns:
    """What models tell sums of, each column once, over a site's rows.

    Attributes:
        size: n, rows of the table.
        made: (n,) columns with numbers of no plain form in them.
        beside: (n,) others.
        predicted: (n, k) powers of published predictions.
    """

    size: int
    made: dict[Key, Floats] = field(default_factory=dict)
    beside: dict[Key, Floats] = field(default_factory=dict)
    predicted: dict[Key, Floats] = field(default_factory=dict)

    def add(self, kind: str, key: Key, at: Ints, values: Floats) -> None:
        """Add what a column is in some rows; in others it is 0, or what it was."""
        columns: dict[Key, Floats] = getattr(self, kind)
        shape = (self.size, *values.shape[1:])
        columns.setdefault(key, np.zeros(shape))[at] = values


def together(prepared: Mapping[str, tuple[Plan, Rows]], person: Ints) -> dict[str, int]:
    """Return the fewest people that the numbers of several analyses single out.

    Args:
        prepared: plan and rows of each analysis of a study by its name; their rows are
            those of one table.
        person: (n,) whose each row of that table is.

    Returns:
        Of each analysis whose numbers were looked at with those of another, how many;
        all that there are where none so few were found.
    """
    whose = np.unique(person, return_inverse=True)[1].astype(np.int64)
    own = {name: _columns(*of, len(whose)) for name, of in prepared.items()}
    found: dict[str, int] = {}
    for kind, look in (("made", _of_made), ("predicted", _of_predicted)):
        names = [name for name, columns in own.items() if getattr(columns, kind)]
        every = _merged([own[name] for name in names], len(whose))
        if len(names) < 2 or any(
            len(getattr(own[n], kind)) == len(getattr(every, kind)) for n in names
        ):
            continue  # one alone has all of it, and is looked at by itself
        few = look(every, whose)
        found |= {name: min(few, found.get(name, few)) for name in names}
    return found


def _columns(plan: Plan, rows: Rows, size: int) -> _Columns:
    found = _Columns(size)
    for of, own in _designs(plan, rows):
        at = own.origin if len(own.origin) else np.arange(size)
        published = published_of(of) if of.analysis.coefficients else None
        if published is not None:
            powers = powers_of(predicted(of, own, published))
            key = (of.columns, of.analysis.coefficients, of.analysis.link)
            found.add("predicted", key, at, powers)
            continue
        _add_design(found, of, own, at)
    return found


def _designs(plan: Plan, rows: Rows) -> Iterator[tuple[Plan, Rows]]:
    """Yield each design of a plan, of a score and of the pairs of a screen too."""
    for part, of_part in zip(plan.parts, rows.parts, strict=True):
        yield from _designs(part, of_part)
    if plan.columns:
        yield plan, rows
    if plan.score:
        yield plan.score, replace(rows, X=rows.Z)


def _add_design(found: _Columns, plan: Plan, rows: Rows, at: Ints) -> None:
    root = np.sqrt(rows.weight) if len(rows.weight) else np.ones(rows.n)
    numbers: dict[Key, tuple[tuple[Expression, ...], Floats]] = {
        (column.factors, column.levels): (column.factors, rows.X[:, place])
        for place, column in enumerate(plan.columns)
        if not column.is_public_at(rows.site, plan.sites)
    }
    numbers["everybody",] = ((), np.ones(rows.n))
    if plan.offset is not None:
        numbers["offset", plan.offset] = ((plan.offset,), rows.offset)
    for arm, mine in _parts(plan, rows):
        for what, (factors, values) in numbers.items():
            plain = all(is_plain(factor) for factor in factors)
            plain = plain and all(_apart(*two) for two in combinations(factors, 2))
            key = (*what, plan.analysis.weights, *arm)
            weighted = (values * root)[mine]
            found.add("beside" if plain else "made", key, at[mine], weighted)


def _parts(plan: Plan, rows: Rows) -> Iterator[tuple[Key, Ints]]:
    """Yield the people whose sums are told by themselves: arms, folds, or all."""
    if plan.method.fits:
        for arm, label in enumerate(plan.groups):
            yield (plan.analysis.treatment, label), np.flatnonzero(rows.group == arm)
    elif len(rows.fold):
        for fold in range(plan.analysis.folds):
            yield ("fold", fold), np.flatnonzero(rows.fold == fold)
    else:
        yield (), np.arange(rows.n)


def _merged(parts: Sequence[_Columns], size: int) -> _Columns:
    every = _Columns(size)
    for part in parts:
        for kind in ("made", "beside", "predicted"):
            for key, values in getattr(part, kind).items():
                at = np.flatnonzero(values.reshape(size, -1).any(axis=1))
                every.add(kind, key, at, values[at])
    return every


def _of_made(columns: _Columns, whose: Ints) -> int:
    made, beside = (
        np.column_stack(list(of.values())) for of in (columns.made, columns.beside)
    )
    return carriers(made, whose, beside, fewest=1)


def _of_predicted(columns: _Columns, whose: Ints) -> int:
    of = [np.ones((columns.size, 1)), *columns.predicted.values()]
    return told(np.column_stack([*of, *columns.made.values()]), whose, APART)
