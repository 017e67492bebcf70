"""How few people share a combination of a design's columns that its sums count.

The cross products of two columns of two values are the number of people who have both,
and beside their totals every cell of the two. Where there are no more combinations of
all columns than numbers that a model's rounds tell, their counts can be solved for:
`docs/explanation/what-sums-reveal.md`, and `benchmarks/sums/cells.py`, which does it.

Everything in this file stays inside the site.
"""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hetao.analysis.expressions import Floats, Ints
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.study.model import SITE

MOST_VALUES: Final = 16  # of a number that makes few combinations
MOST_COMBINATIONS: Final = 1 << 16
CHUNK: Final = 1 << 14  # rows that are counted together


@dataclass(frozen=True)
class Combinations:
    """What the sums of a design tell of combinations of its columns, at one site.

    Attributes:
        pair: fewest people in a cell of two columns of two values that has some; None
            where there are no two.
        whole: fewest people in a combination of all columns that has some; None where
            a number of many values is among them.
        possible: how many combinations of all columns there may be.
    """

    pair: int | None = None
    whole: int | None = None
    possible: int = 0


def combinations(plan: Plan, rows: Rows) -> Combinations | None:
    """Return what a model's sums tell of combinations; None of what has no design.

    Of an effect it is the worst of either arm, whose sums are apart, and of a model
    with a score the worst of its own design and the score's.
    """
    designs = [(plan, rows.X)] + ([(plan.score, rows.Z)] if plan.score else [])
    found = []
    for one, design in designs:
        used = [
            place
            for place, column in enumerate(one.columns)
            if not column.is_public_at(rows.site, plan.sites)
        ]
        if not used:
            continue
        arms = range(len(plan.groups)) if plan.method.fits or plan.score else (None,)
        for arm in arms:
            mine = np.ones(rows.n, bool) if arm is None else rows.group == arm
            if not mine.any():
                continue
            of_arm = rows.person[mine] if len(rows.person) else rows.person
            found.append(_of_design(one, design[mine][:, used], used, of_arm))
    if not found:
        return None
    return Combinations(
        _least(one.pair for one in found),
        _least(one.whole for one in found),
        min(one.possible for one in found),
    )


def categories(plan: Plan) -> dict[str, int]:
    """Return the categories of a design, and how many levels each has."""
    names = sorted({name for column in plan.columns for name, _ in column.levels})
    return {name: len(plan.variable(name).levels) for name in names}


def designs(plan: Plan, most: int) -> Floats:
    """Return (combinations, p) the design of each combination of levels.

    Args:
        plan: of a design of categories alone.
        most: combinations; of more, one too many are returned.
    """
    sizes = categories(plan)
    every = itertools.product(*(range(size) for size in sizes.values()))
    levels = np.array(list(itertools.islice(every, most + 1)))
    at = {name: place for place, name in enumerate(sizes)}
    columns = [
        np.all([levels[:, at[name]] == level for name, level in column.levels], axis=0)
        if column.levels
        else np.ones(len(levels))
        for column in plan.columns
    ]
    return np.array(columns, dtype=np.float64).T


def _least(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return min(known, default=None)


def _of_design(
    plan: Plan, design: Floats, used: list[int], person: Ints
) -> Combinations:
    codes = [_codes(column) for column in design.T]
    two = [code == 1 for code in codes if code is not None and code.max() == 1]
    pair = _fewest_pair(np.array(two), person) if len(two) > 1 else None
    possible = _possible(plan, codes, used)
    if possible > MOST_COMBINATIONS:
        return Combinations(pair, None, possible)
    joint = joint_codes([code for code in codes if code is not None])
    return Combinations(pair, int(_people(joint, person).min()), possible)


def _codes(values: Floats) -> Ints | None:
    """Return the place of each value among the different ones; None if many are."""
    high = values == values.max()
    if (high | (values == values.min())).all():
        return np.asarray(high & ~high.all(), dtype=np.int64)
    if len(np.unique(values[: 4 * MOST_VALUES])) > MOST_VALUES:
        return None
    known, codes = np.unique(values, return_inverse=True)
    return codes if len(known) <= MOST_VALUES else None


def joint_codes(codes: list[Ints]) -> Ints:
    """Return one code of all, without gaps."""
    joint = np.zeros(len(codes[0]), dtype=np.int64)
    for code in codes:
        joint = joint * (code.max() + 1) + code
        has_some = np.bincount(joint) > 0
        joint = (np.cumsum(has_some) - 1)[joint]
    return joint


def _possible(plan: Plan, codes: list[Ints | None], used: list[int]) -> int:
    """Return how many combinations there may be of categories and of numbers' values.

    A category has all its levels, whatever their columns; a column with a number the
    values that it has here.
    """
    categories = {
        name for at in used for name, _ in plan.columns[at].levels if name != SITE
    }
    levels = [len(plan.variable(name).levels) for name in categories]
    numbers = [
        MOST_COMBINATIONS + 1 if code is None else int(code.max()) + 1
        for at, code in zip(used, codes, strict=True)
        if plan.columns[at].factors
    ]
    return math.prod(levels) * math.prod(numbers)


def _fewest_pair(two: NDArray[np.bool_], person: Ints) -> int:
    """Return the fewest people in a cell of two of (k, n) columns that has some."""
    sides = np.concatenate([two, ~two])
    if not len(person):
        counts = np.zeros((len(sides), len(sides)))
        for start in range(0, sides.shape[1], CHUNK):
            some = sides[:, start : start + CHUNK].astype(np.float64)
            counts += some @ some.T
        return int(counts[counts > 0].min())
    order = np.argsort(person, kind="stable")
    starts = np.unique(person[order], return_index=True)[1]
    fewest = len(person)
    for side in sides:
        both = (sides & side)[:, order]
        counts = np.logical_or.reduceat(both, starts, axis=1).sum(axis=1)
        fewest = min(fewest, int(counts[counts > 0].min(initial=fewest)))
    return fewest


def _people(codes: Ints, person: Ints) -> Ints:
    """Return how many people have a row of each code."""
    if len(person):
        pairs = np.unique(np.stack([codes, person], axis=1), axis=0)
        codes = pairs[:, 0]
    return np.bincount(codes)
