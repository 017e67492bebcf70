"""Terms of a model → the columns of its design, named as a reader sees them.

Categories are coded against their first level. Where that would leave the model's
space smaller than the terms say (a category without an intercept, an interaction
without its main effect), the coding is completed exactly as far as full rank goes.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hetao.analysis.expressions import Interval, bounds_of, text_of
from hetao.analysis.splines import basis_of
from hetao.errors import InvalidStudy
from hetao.study import Expression, Name, Spline, Study, Term, Variable
from hetao.study.model import SITE

INTERCEPT = "(Intercept)"


@dataclass(frozen=True)
class Column:
    """One column of a design: a product of numbers and of indicators of levels.

    Attributes:
        name: what a reader sees, such as `age:sex[male]`.
        factors: expressions over numbers; their product is the column's number.
        levels: (category, level index) pairs; the column is 0 where one does not hold.
        low, high: public bounds of the column before it is standardised.
        centre, scale: the standardised column is `(value - centre) / scale`, within
            -1 to 1.
    """

    name: str
    factors: tuple[Expression, ...] = ()
    levels: tuple[tuple[str, int], ...] = ()
    low: float = 1.0
    high: float = 1.0
    centre: float = 0.0
    scale: float = 1.0

    @property
    def is_public(self) -> bool:
        """Return whether the column says nothing but where a row lies."""
        return not self.factors and all(name == SITE for name, _ in self.levels)

    def is_public_at(self, site: str, sites: Sequence[str]) -> bool:
        """Return whether the column is known for every row of a site beforehand."""
        elsewhere = any(
            name == SITE and sites[level] != site for name, level in self.levels
        )
        return self.is_public or elsewhere


def design_columns(
    study: Study,
    terms: Sequence[Term],
    intercept: bool,
    centred: bool,
    strata: Sequence[str] = (),
) -> tuple[Column, ...]:
    """Return the columns that the terms stand for, in the order written.

    Args:
        study: names the variables, their bounds and levels.
        terms: the right-hand side without "0", "-1" and "1".
        intercept: whether the coding leaves out what an intercept already says.
        centred: whether numbers may be centred (an intercept, or a Cox model).
        strata: categories that are the same all over a stratum: what says nothing
            else is left out of the coding, as the intercept is.

    Raises:
        InvalidStudy: a term has no variable, does arithmetic on a category, or is
            not defined all over the public bounds.
    """
    covered: set[tuple[tuple[str, ...], frozenset[str]]] = set()
    if intercept:
        covered.update(((), subset) for subset in _subsets(strata))
    columns: dict[str, Column] = {}
    for term in terms:
        numbers, categories = _split(study, term)
        key = tuple(sorted(text_of(factor) for factor in numbers))
        names = [variable.name for variable in categories]
        fresh = [s for s in _subsets(names) if (key, s) not in covered]
        covered.update((key, subset) for subset in fresh)
        for coding in _full_rank(fresh):
            for factors in _each_column(study, numbers):
                for column in _columns(study, factors, categories, coding):
                    columns.setdefault(column.name, _standardised(column, centred))
    return tuple(columns.values())


def _split(
    study: Study, term: Term
) -> tuple[tuple[Expression, ...], tuple[Variable, ...]]:
    """Part a term's factors into numbers and categories."""
    if not term.names:
        raise InvalidStudy(
            f"the term {term.text!r} names no variable",
            fix='write "0" for no intercept, or leave the term out',
        )
    numbers: list[Expression] = []
    categories: dict[str, Variable] = {}
    for factor in term.factors:
        if isinstance(factor, Name):
            variable = study.variable(factor.name)
            if variable.kind == "category":
                categories[variable.name] = variable
                continue
        numbers.append(factor)
    for factor in numbers:
        for name in Term("", (factor,)).names:
            if study.variable(name).kind == "category":
                raise InvalidStudy(
                    f"{term.text!r} does arithmetic on the category {name!r}",
                    fix="write the category as a factor of its own, a:b",
                )
    return tuple(numbers), tuple(categories.values())


def _each_column(
    study: Study, numbers: tuple[Expression, ...]
) -> Iterator[tuple[Expression, ...]]:
    """Return the numbers once for each combination of the columns of their splines."""
    choices: list[tuple[Expression, ...]] = []
    for factor in numbers:
        if isinstance(factor, Spline):
            known = number_bounds(study, Term("", (factor,)).names)
            ends = bounds_of(factor.argument, known)
            choices.append(basis_of(factor, text_of(factor), ends))
        else:
            choices.append((factor,))
    yield from itertools.product(*choices)


def _subsets(names: Sequence[str]) -> Iterator[frozenset[str]]:
    for size in range(len(names) + 1):
        yield from map(frozenset, itertools.combinations(names, size))


def _full_rank(subsets: Sequence[frozenset[str]]) -> list[dict[str, bool]]:
    """Join contrast-coded subsets into as few codings as possible.

    Args:
        subsets: sets of categories whose contrasts the design still lacks.

    Returns:
        One dict a coding: category → whether it gets all levels (True) or contrasts.

    Source:
        The rule of patsy and formulaic: a coding with contrasts of `a` and the same
        one without `a` together are the coding with all levels of `a`.
    """
    codings: list[dict[str, bool]] = [dict.fromkeys(s, False) for s in subsets]
    while (pair := _absorbable(codings)) is not None:
        short, long, extra = pair
        codings[long] = {**codings[long], extra: True}
        del codings[short]
    return codings


def _absorbable(codings: list[dict[str, bool]]) -> tuple[int, int, str] | None:
    for short, long in itertools.combinations(range(len(codings)), 2):
        small, large = codings[short].items(), codings[long].items()
        rest = large - small
        if small <= large and len(rest) == 1:
            ((extra, full),) = rest
            if not full:
                return short, long, extra
    return None


def _columns(
    study: Study,
    numbers: tuple[Expression, ...],
    categories: tuple[Variable, ...],
    coding: dict[str, bool],
) -> Iterator[Column]:
    used = [variable for variable in categories if variable.name in coding]
    choices = [
        [
            (variable, i)
            for i in range(0 if coding[variable.name] else 1, _count(study, variable))
        ]
        for variable in used
    ]
    low, high = _bounds(study, numbers)
    if used and numbers:
        low, high = min(low, 0.0), max(high, 0.0)
    elif used:
        low, high = 0.0, 1.0
    label = [text_of(factor) for factor in numbers]
    for chosen in itertools.product(*choices):
        parts = [
            f"{variable.name}[{variable.levels[i].name}]" for variable, i in chosen
        ]
        levels = tuple((variable.name, i) for variable, i in chosen)
        name = ":".join(label + parts) or INTERCEPT
        yield Column(name, numbers, levels, low, high)


def _count(study: Study, variable: Variable) -> int:
    return len(study.sites) if variable.name == SITE else len(variable.levels)


def _bounds(study: Study, numbers: tuple[Expression, ...]) -> Interval:
    low, high = 1.0, 1.0
    for factor in numbers:
        a, b = bounds_of(factor, number_bounds(study, Term("", (factor,)).names))
        corners = (low * a, low * b, high * a, high * b)
        low, high = min(corners), max(corners)
    return low, high


def number_bounds(study: Study, names: Sequence[str]) -> dict[str, Interval]:
    """Return the public bounds of numbers of the study.

    Raises:
        InvalidStudy: a number has none.
    """
    found: dict[str, Interval] = {}
    for name in names:
        bounds = study.variable(name).bounds
        if bounds is None:
            raise InvalidStudy(
                f"the number {name!r} needs public bounds",
                fix="write bounds = [lowest, highest] plausible value",
            )
        found[name] = bounds
    return found


def _standardised(column: Column, centred: bool) -> Column:
    """Return the column with a public centre and scale that bring it into -1 to 1."""
    if not column.factors:
        return column
    low, high = column.low, column.high
    centre = (low + high) / 2 if centred else 0.0
    scale = (high - low) / 2 if centred else max(abs(low), abs(high))
    if not 1e-100 < scale < 1e100:
        raise InvalidStudy(
            f"the term {column.name!r} has the same value for everyone, or no scale",
            fix="widen the bounds of its variables, or leave the term out",
        )
    return Column(column.name, column.factors, column.levels, low, high, centre, scale)
