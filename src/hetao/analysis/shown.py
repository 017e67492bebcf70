"""Which sums about a variable an analysis shows, to who knows all else of everybody."""

import itertools
from collections.abc import Iterator
from typing import Final

import numpy as np

from hetao.analysis.borders import told_of
from hetao.analysis.cells import every_sum, is_told, most_sums, sums_of_cell
from hetao.analysis.design import INTERCEPT, Column
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.study import Expression, Minimum, Name, Number, Operation
from hetao.study.model import SITE

Names = dict[str, frozenset[str]]

# Of these the outcome tells X'y and nothing else: the sums of a table by the outcome.
TELL_PRODUCTS: Final = ("logistic", "linear", "poisson")
NONE: Final = range(0)


def statistics(plan: Plan) -> Names:
    """Return, of each variable, the names of the sums about it that the findings show.

    Whoever knows all else of everybody learns of a variable one linear sum for each
    column that it is crossed with in a design, the outcome among them, and in a table
    that describes it one for each group and stratum. Two analyses of the same people
    show the same sum where the names are alike: a sum under other weights, of one arm
    or without a fold has another. A grid of times and the levels of a category count
    once: each is another attribute, of the same sums. Of who is in a group curves tell
    in each cell.

    Of what makes groups or strata without a design see `sums_of_groups`.
    """
    if plan.parts:
        found: Names = {}
        for part in plan.parts:
            for name, sums in statistics(part).items():
                found[name] = found.get(name, frozenset()) | sums
        return found
    shown = frozenset(_sums(plan))
    names = [variable.name for variable in plan.variables] or [""]
    found = dict.fromkeys(names, shown)
    analysis = plan.analysis
    if not plan.columns:
        return {name: found[name] for name in names if name not in _grouping(plan)}
    if analysis.method in TELL_PRODUCTS and not (analysis.penalty or plan.score):
        squares = [] if plan.is_binary else [f"{analysis.outcome}^2"]
        products = [*(attribute(column) for column in plan.columns), *squares]
        found[analysis.outcome] = frozenset(_under(plan, products))
    return found


def _sums(plan: Plan) -> Iterator[str]:
    analysis = plan.analysis
    tables = [f"{g}|{s}" for g in plan.groups or ("",) for s in plan.strata or ("",)]
    if not plan.columns:
        yield from (f"{analysis.by}{analysis.strata} {table}" for table in tables)
        return
    names = [*plan.names, analysis.outcome or analysis.event]
    under = [analysis.weights]
    if plan.method.fits:
        under = [f"{analysis.treatment} {g} {analysis.estimand}" for g in plan.groups]
    if plan.score is not None:
        names += plan.score.names
        under = [f"{under[0]} {analysis.score} {analysis.estimand}"]
    under += [f"fold {n}" for n in range(analysis.folds)] if analysis.shrinks else []
    yield from (f"{name} in a design under {one}" for name in names for one in under)


def sums_of_groups(plan: Plan, rows: Rows, in_cells: range = NONE) -> Names:
    """Return, of each variable that makes groups, the sums about it that are shown.

    A table by a group tells of who is in it one sum for each thing that it adds up
    there: how many they are, and of each described number its sum and its sum of
    squares, of each category how many have each level but one; and who is known, where
    somebody is not. Rates tell them in each stratum, and of a stratum in each group and
    each level of the other strata. An effect tells of a treatment the balance of each
    column, and of its square. A Cox model over sites on a grid tells of a stratum the
    moments of its columns in each bin.

    They leave as sums over sites alone: no method that shows them may publish a site's
    own part.

    Args:
        plan: the public plan.
        rows: the site's: whether somebody's value is missing follows from them.
        in_cells: as the estimator's `in_cells` returns.
    """
    analysis, groups = plan.analysis, _grouping(plan)
    if _weighs(plan) and plan.columns:
        return {analysis.treatment: frozenset(_balance(plan))}
    if plan.columns:
        most = rows.people * len(plan.sites)
        return _in_bins(plan, in_cells, most) if in_cells else {}
    added = [*_added(plan, rows), *(_balance(plan) if _weighs(plan) else ())]
    found: Names = {}
    for name in groups:
        cells = _beside(plan, name) if plan.method.has_rates else [""]
        found[name] = frozenset(f"{one}{cell}" for one in added for cell in cells)
    return found


def _beside(plan: Plan, name: str) -> list[str]:
    """Return the labels of what else parts people: groups, and all other strata."""
    analysis = plan.analysis
    others = [one for one in analysis.strata if one not in (SITE, name)]
    levels = [[level.name for level in plan.variable(one).levels] for one in others]
    if name != analysis.by and len(plan.groups) > 1:
        levels.append(list(plan.groups))
    return [" × ".join(labels) for labels in itertools.product(*levels)]


def _in_bins(plan: Plan, in_cells: range, most: int) -> Names:
    """Return what a Cox model on a grid tells of who is in its strata.

    In each level of the other strata the same; twice as much where the numbers that
    are added up of somebody differ by the stratum itself, one being crossed with it.
    """
    found = {}
    numbers = [column for column in plan.columns if column.factors]
    crossed = {name for column in numbers for name, _ in column.levels}
    for name in _grouping(plan):
        ways = range(1 + (name in crossed))
        cells = itertools.product(_beside(plan, name), ways, in_cells)
        told = itertools.islice(cells, most)  # as many are let out by no budget
        found[name] = frozenset(
            f"sum {place} {way} of {plan.analysis.name} in its bins {label}"
            for label, way, place in told
        )
    return found


def _grouping(plan: Plan) -> tuple[str, ...]:
    """Return the variables that make groups or strata; where a row lies is public."""
    analysis = plan.analysis
    names = (analysis.by, analysis.treatment, *analysis.strata)
    return tuple(name for name in names if name not in ("", SITE))


def _added(plan: Plan, rows: Rows) -> Iterator[str]:
    """Yield what is added up within each group, people first."""
    analysis, method = plan.analysis, plan.method
    names = [INTERCEPT, *_described(plan, rows)]
    happened = f"{analysis.event}=1" if analysis.event else analysis.outcome
    if method.has_times:
        names += [happened] if is_told(plan) else [happened, analysis.time]
    if method.is_test:
        names += [f"expected {happened}", f"observed {happened}"][
            : 1 + bool(analysis.rho)
        ]
    if method.has_rates:
        names += [happened, analysis.time]
    elif method.outcome:
        names += [f"{analysis.outcome}=1"] if plan.is_binary else [
            analysis.outcome, f"{analysis.outcome}^2"
        ]  # fmt: skip
    yield from dict.fromkeys(
        [*_under(plan, names), *(f"{name} under " for name in names)]
    )
    if is_told(plan):
        yield from _in_cells(plan, rows)


def _in_cells(plan: Plan, rows: Rows) -> Iterator[str]:
    """Yield what curves tell in cells, beside all people and those with the event.

    Those two are the sums of all cells, and are told by weights as well. By a score
    each bin of the grid is a cell.
    """
    sums = every_sum(plan) if plan.score else most_sums(plan, rows.people)
    known = 2 if sums_of_cell(plan) == 1 else 4
    for place in range(sums - known):
        yield f"sum {place} of the cells of {plan.analysis.name}"


def _described(plan: Plan, rows: Rows) -> Iterator[str]:
    """Yield what a table or quantiles add up of each variable that they describe."""
    for name, values in rows.values.items():
        variable = plan.variable(name)
        is_number = variable.kind == "number"
        if (np.isnan(values) if is_number else values < 0).any():
            yield f"known {name}"
        if plan.analysis.method == "quantiles":
            least = (plan.minimum or Minimum()).cell
            for border in range(told_of(least, len(plan.groups))):
                yield f"{name} below border {border}"
        elif is_number:
            yield from (name, f"{name}^2")
        else:
            yield from (f"{name}={level}" for level in range(1, len(variable.levels)))


def _weighs(plan: Plan) -> bool:
    """Return whether the arms of a treatment are compared by a propensity score."""
    return plan.score is not None or "score" in plan.method.fits


def _balance(plan: Plan) -> Iterator[str]:
    """Yield what is added up of each column of a score within an arm, or a stratum."""
    score = plan.score or plan
    names = [attribute(column) for column in score.columns]
    yield from (f"{name} under " for name in names)
    yield from (f"{column.name}^2 under " for column in score.columns if column.factors)
    if plan.analysis.method == "ps_strata" or plan.analysis.subclasses:
        outcome = plan.analysis.outcome or plan.analysis.event
        inside = [*names, outcome, *([] if plan.is_binary else [f"{outcome}^2"])]
        for n in range(plan.subclasses - 1):  # the last one's follow from the totals
            yield from (f"{name} in stratum {n} of the score" for name in inside)


def _under(plan: Plan, names: list[str]) -> Iterator[str]:
    yield from (f"{name} under {plan.analysis.weights}" for name in names)


def attribute(column: Column) -> str:
    """Return a name that two columns share where one tells what the other does.

    Beside a sum of ones, the sums of a number and of what is linear in it tell the
    same.
    """
    if not column.factors and len(column.levels) == 1:
        ((name, level),) = column.levels
        return f"{name}={level}"
    if len(column.factors) == 1 and not column.levels:
        return _linear_in(column.factors[0]) or column.name
    return column.name


def _linear_in(factor: Expression) -> str:
    """Return the variable that an expression is linear in; "" where it is not."""
    match factor:
        case Name(name):
            return name
        case Operation("+" | "-" | "*" | "/", left, Number()):
            return _linear_in(left)
        case Operation("+" | "-" | "*", Number(), right):
            return _linear_in(right)
    return ""
