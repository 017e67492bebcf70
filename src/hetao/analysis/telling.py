"""Whether a model's sums over sites tell of few people who share values of columns.

Sums, not rows: this runs where sums are opened, to decide whether others may be given
them. The cross products of two categories are a table of counts. Where all columns of
a design are of categories, the rounds tell of each combination of them: counts that are
solved for here as `benchmarks/sums/cells.py` does, and whatever cannot be is taken for
small.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from hetao.analysis.combinations import categories, designs
from hetao.analysis.estimator import Estimator, Message, State, unpacked
from hetao.analysis.expressions import Floats
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable

NEAR: Final = 1e-4  # how far from a whole number a count may be worked out
SOLVED: Final = 1e-9  # smallest singular value, of the largest, that is one
MOST_SOLVED: Final = 256  # combinations; more are taken for small
Course = Sequence[tuple[State | None, Message]]


def tells_of_few(estimator: Estimator, course: Course, smallest: int) -> bool:
    """Return whether a model's sums tell of 1 to `smallest` - 1 people.

    Asked of a regression whose rows are people and count alike; of any other no.

    Args:
        estimator: of the public plan.
        course: of each round, the state that was asked for and the sums.
        smallest: smallest count that may be shown.
    """
    plan = estimator.plan
    if smallest <= 1 or not course or not is_asked(estimator):
        return False
    counts = _pairs(plan, course[0][1])
    if any(_is_small(count, smallest) for count in counts):
        return True
    if any(column.factors for column in plan.columns):
        return False  # a number: its combinations are more than the sums
    if len(categories(plan)) < 3:
        return False  # the pairs are the combinations
    try:
        found = _solved(estimator, course)
    except NotEstimable:
        return True
    return found is None or any(_is_small(count, smallest) for count in found)


def is_asked(estimator: Estimator) -> bool:
    """Return whether a model is a regression whose rows are people and count alike."""
    plan, method = estimator.plan, estimator.plan.method
    return (
        estimator.publishable
        and bool(plan.columns)
        and not (method.has_times or method.is_conditional or plan.parts)
        and not (plan.counts_apart or plan.offset is not None)
    )


def _is_small(count: float, smallest: int) -> bool:
    return 0 < round(count) < smallest


# --- pairs --------------------------------------------------------------------------
def _pairs(plan: Plan, opening: Message) -> Iterator[float]:
    """Yield how many people have each two levels, as far as cross products tell.

    A level without a column of its own is what the intercept leaves of the others.
    """
    levels = [
        (place, column.levels[0])
        for place, column in enumerate(plan.columns)
        if len(column.levels) == 1 and not column.factors
    ]
    p = plan.parameters
    sides = [np.eye(p)[place] for place, _ in levels]
    if plan.intercept:
        for name, size in categories(plan).items():
            own = [place for place, (of, _) in levels if of == name]
            if len(own) == size - 1:
                sides.append(np.eye(p)[0] - np.eye(p)[own].sum(axis=0))
    crossed = [
        np.eye(p)[place]
        for place, column in enumerate(plan.columns)
        if len(column.levels) > 1 and not column.factors
    ]
    apart = np.array(sides + crossed).reshape(-1, p)
    for products in _products(plan, opening):
        counts = apart @ products @ apart.T
        if len(counts) and np.abs(counts - np.rint(counts)).max() < NEAR:
            yield from counts.ravel().tolist()


def _products(plan: Plan, message: Message) -> Iterator[Floats]:
    """Yield the (p, p) matrices among a message's arrays, those of folds as well."""
    p = plan.parameters
    for array in message.values():
        length = array.shape[-1]
        size = int(np.sqrt(2 * length))
        if size >= p and size * (size + 1) // 2 == length:
            for one in array.reshape(-1, length):
                yield unpacked(one, size)[:p, :p]


# --- all columns together -------------------------------------------------------------
def _solved(estimator: Estimator, course: Course) -> Floats | None:
    """Return how many people have each combination; None where no solution is the one.

    Every number of the information is a sum over combinations, of what one person of
    each would send alone.
    """
    every = designs(estimator.plan, MOST_SOLVED)
    if len(every) > MOST_SOLVED:
        return None
    rows, values = [], []
    for state, total in course:
        alone = [_alone(estimator, design, state) for design in every]
        rows.append(np.array([_information(estimator.plan, one) for one in alone]).T)
        values.append(_information(estimator.plan, total))
    equations, sums = np.concatenate(rows), np.concatenate(values)
    size = np.maximum(np.abs(equations).max(axis=1), np.finfo(float).tiny)
    equations, sums = equations / size[:, None], sums / size
    found, _, _, spread = np.linalg.lstsq(equations, sums, rcond=None)
    whole = np.rint(found)
    away = np.abs(equations @ whole - sums).max()
    is_one = spread[-1] > SOLVED * spread[0] and len(spread) == len(every)
    is_whole = np.abs(found - whole).max() < NEAR and away < NEAR
    return whole if is_one and is_whole and whole.min() >= 0 else None


def _alone(estimator: Estimator, design: Floats, state: State | None) -> Message:
    """Return what a person of a design would send, who had no event."""
    none = np.zeros(1)
    site, x, one = estimator.plan.sites[0], design[None], np.ones(1)
    alone = Rows(site, 1, x, y=none, offset=none, weight=one)
    if state is None:
        return estimator.start(alone)
    return estimator.local(alone, state)


def _information(plan: Plan, message: Message) -> Floats:
    found = list(_products(plan, message))
    return np.concatenate([one[np.triu_indices(plan.parameters)] for one in found])
