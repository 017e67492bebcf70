"""Of whom an analysis shows statistics at a site: everybody in it, and who is apart.

Everything in this file stays inside the site.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hetao.analysis.expressions import Floats
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows

Chosen = NDArray[np.bool_]


def subsets(plan: Plan, rows: Rows) -> Iterator[tuple[str, Chosen]]:
    """Yield (label, (n,) whose rows) of each part whose sums follow from the findings.

    Those are the arms or groups, the strata, the levels that are described, those with
    the event, and the rarer side of a design column of two values; and crossed with
    each other those that a finding counts. The bins of a grid of times are not among
    them, nor columns of a design crossed with each other or with the event.
    """
    for index, group in enumerate(plan.groups):
        yield f"group {group}", rows.group == index
    if len(plan.strata) > 1:
        for index, stratum in enumerate(plan.strata):
            yield f"stratum {stratum}", rows.stratum == index
    if len(rows.event):
        yield "with the event", rows.event > 0
    if len(rows.y) and (plan.is_binary or plan.method.has_rates):
        yield "with the event", rows.y > 0
    for name, values in rows.values.items():
        variable = plan.variable(name)
        for index, level in enumerate(variable.levels):
            yield f"{name}={level.name}", values == index
        known = values >= 0 if variable.kind == "category" else ~np.isnan(values)
        yield f"{name} known", known
    yield from _sides(plan, rows.X)
    if plan.score is not None:
        yield from _sides(plan.score, rows.Z)
    yield from _crossed(plan, rows)


def _crossed(plan: Plan, rows: Rows) -> Iterator[tuple[str, Chosen]]:
    """Yield the parts within groups and strata that a finding counts.

    A table counts each level of each group, and who is known there; curves, tests,
    rates, indicators and effects the events of each group or arm; rates the people and
    events of a group in each stratum, and risk sets the events of each stratum.
    """
    cells = list(_cells(plan, rows))
    if plan.method.has_rates and len(plan.strata) > 1 < len(plan.groups):
        yield from cells
    inner = [("with the event", of > 0) for of in (_events(plan, rows),) if len(of)]
    for name, values in rows.values.items():
        variable = plan.variable(name)
        known = values >= 0 if variable.kind == "category" else ~np.isnan(values)
        inner.append((f"{name} known", known))
        levels = enumerate(variable.levels)
        inner += [(f"{name}={one.name}", values == at) for at, one in levels]
    for cell, here in cells:
        yield from ((f"{cell}, {label}", here & part) for label, part in inner)


def _cells(plan: Plan, rows: Rows) -> Iterator[tuple[str, Chosen]]:
    """Yield the people of each group, of each stratum, or of both where both count."""
    groups = plan.groups if len(plan.groups) > 1 else ("",)
    strata = plan.strata if len(plan.strata) > 1 else ("",)
    for group, of_group in enumerate(groups):
        for stratum, of_stratum in enumerate(strata):
            here = np.ones(rows.n, dtype=bool)
            here &= rows.group == group if of_group else here
            here &= rows.stratum == stratum if of_stratum else here
            if of_group or of_stratum:
                yield " ".join(filter(None, (of_group, of_stratum))), here


def _events(plan: Plan, rows: Rows) -> Floats:
    """Return (n,) who had the event, where an analysis counts any; else nobody."""
    if len(rows.event):
        return rows.event
    return rows.y if plan.is_binary or plan.method.has_rates else rows.y[:0]


def _sides(plan: Plan, design: Floats) -> Iterator[tuple[str, Chosen]]:
    """Yield the people of the rarer value of each column that has two."""
    for place, column in enumerate(plan.columns):
        values = design[:, place]
        if not len(values):
            continue
        high = values == values.max()
        if high.all() or (values[~high] != values.min()).any():
            continue
        yield column.name, high if high.sum() <= len(high) / 2 else ~high


def statistics(plan: Plan) -> dict[str, frozenset[str]]:
    """Return, of each variable, the names of the sums about it that the findings show.

    Whoever knows all else of everybody learns of a variable one linear sum for each
    column that it is crossed with in a design, the outcome among them, and in a table
    one for each group and stratum. Two analyses of the same people show the same sum
    where the names are alike: a sum under other weights, of one arm or without a fold
    has another. A grid of times and the levels of a category count once: each is
    another attribute, of the same sums.
    """
    if plan.parts:
        found: dict[str, frozenset[str]] = {}
        for part in plan.parts:
            for name, sums in statistics(part).items():
                found[name] = found.get(name, frozenset()) | sums
        return found
    shown = frozenset(_sums(plan))
    return dict.fromkeys([variable.name for variable in plan.variables] or [""], shown)


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
    yield from (f"{name} under {one}" for name in names for one in under)
