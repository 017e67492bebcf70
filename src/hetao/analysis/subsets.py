"""Of whom an analysis shows statistics at a site: everybody in it, and who is apart.

Everything in this file stays inside the site.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hetao.analysis.expressions import Floats, Ints
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows

Chosen = NDArray[np.bool_]
Part = tuple[tuple[str, ...], Chosen]


def subsets(plan: Plan, rows: Rows) -> Iterator[Part]:
    """Yield (name, (n,) whose rows) of each part whose sums follow from the findings.

    Those are the arms or groups, the strata, the levels that are described, those with
    the event, and the rarer side of a design column of two values; and crossed with
    each other those that a finding counts. The bins of a grid of times are not among
    them, nor columns of a design crossed with each other or with the event.

    A name is of several texts, each begun by what it is and its number: no two parts
    have one name, however a study words its levels.
    """
    for index, group in enumerate(plan.groups):
        yield (f"group {index} {group}",), rows.group == index
    if len(plan.strata) > 1:
        for index, stratum in enumerate(plan.strata):
            yield (f"stratum {index} {stratum}",), rows.stratum == index
    inner = list(_inner(plan, rows))
    yield from inner
    yield from _sides(plan, rows.X, "column")
    if plan.score is not None:
        yield from _sides(plan.score, rows.Z, "column of the score")
    yield from _crossed(plan, rows, inner)


def _inner(plan: Plan, rows: Rows) -> Iterator[Part]:
    """Yield those with the event, and of each level that is described or known."""
    if len(rows.event):
        yield ("with the event",), rows.event > 0
    if len(rows.y) and (plan.is_binary or plan.method.has_rates):
        yield ("with the outcome",), rows.y > 0
    for name, values in rows.values.items():
        variable = plan.variable(name)
        for index, level in enumerate(variable.levels):
            yield (f"level {index} of {name}", level.name), values == index
        known = values >= 0 if variable.kind == "category" else ~np.isnan(values)
        yield (f"known {name}",), known


def _crossed(plan: Plan, rows: Rows, inner: Sequence[Part]) -> Iterator[Part]:
    """Yield the parts within groups and strata that a finding counts.

    A table counts each level of each group, and who is known there; curves, tests,
    rates, indicators and effects the events of each group or arm; rates the people and
    events of a group in each stratum, and risk sets the events of each stratum. What is
    counted of both is summed over either: so each group, each stratum, and both.
    """
    groups = _named("group", plan.groups, rows.group)
    strata = _named("stratum", plan.strata, rows.stratum)
    both = [(g + s, of_g & of_s) for g, of_g in groups for s, of_s in strata]
    if plan.method.has_rates:
        yield from both
    for cell, here in (*groups, *strata, *both):
        yield from (((*cell, *part), here & whose) for part, whose in inner)


def _named(kind: str, labels: Sequence[str], index: Ints) -> list[Part]:
    """Return the people of each group or stratum, where there are several."""
    if len(labels) <= 1:
        return []
    return [((f"{kind} {n} {one}",), index == n) for n, one in enumerate(labels)]


def _sides(plan: Plan, design: Floats, kind: str) -> Iterator[Part]:
    """Yield the people of the rarer value of each column that has two."""
    for place, column in enumerate(plan.columns):
        values = design[:, place]
        if not len(values):
            continue
        high = values == values.max()
        if high.all() or (values[~high] != values.min()).any():
            continue
        rarer = high if high.sum() <= len(high) / 2 else ~high
        yield (f"{kind} {place} {column.name}",), rarer
