"""How much of a sum of numbers is one person's, or two people's, at a site.

Who knows that nobody's value lies below a public bound knows of a person's value that
it is no more than what the sum leaves above that bound. Where one person makes up most
of it, that is nearly their value. So what counts is how far each value lies from the
bound, and from the upper one as well: one low value among high ones is told alike.

Everything in this file stays inside the site.

Source:
    Hundepool et al. (2012), Statistical Disclosure Control, section 4.2: the (n, k)
    rule and the p% rule. For squares the same argument, in `_ratio_of_squares`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hetao.analysis.expressions import Floats, Interval
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows

Chosen = NDArray[np.bool_]
TINY = 1e-9  # of the public range: what lies nearer to a bound lies at it


@dataclass(frozen=True)
class Magnitude:
    """How much of the sums of one number is told of those who lie furthest out.

    It is the worst over all cells in which the number is summed, and over both public
    bounds that it is measured from.

    Attributes:
        first: largest share of a sum that one person makes up.
        two: largest share that two people make up.
        ratio: least relative error with which the second largest can tell the largest
            from a sum, or from a sum of squares where one leaves.
    """

    first: float = 0.0
    two: float = 0.0
    ratio: float = float("inf")

    def worse(self, other: "Magnitude") -> "Magnitude":
        """Return what is the worse of two in each respect."""
        return Magnitude(
            max(self.first, other.first),
            max(self.two, other.two),
            min(self.ratio, other.ratio),
        )


def magnitudes(plan: Plan, rows: Rows) -> dict[str, Magnitude]:
    """Return, of each number whose sums leave, how much of them is one person's.

    Those are the numbers that a table describes, an outcome that is a number or a
    count, and the time of rates. The columns of a design are the leverage's matter, and
    counts of people that of the cells.
    """
    found: dict[str, Magnitude] = {}
    if plan.analysis.method == "table1":
        cells = [rows.group == index for index in range(len(plan.groups))]
        for variable in plan.variables:
            if variable.kind == "number" and variable.name in rows.values:
                values = rows.values[variable.name]
                known = ~np.isnan(values)
                bounded = np.where(known, values, 0.0), (-1.0, 1.0)
                inside = (cell & known for cell in cells)
                found[variable.name] = _worst(bounded, rows, inside, squares=True)
        return found
    if _has_number(plan, rows):
        squares = not plan.is_count or plan.is_robust
        of_outcome = _outcome(plan, rows), plan.outcome
        cells = list(_cells(plan, rows))
        found[plan.analysis.outcome] = _worst(of_outcome, rows, cells, squares=squares)
    if plan.method.has_rates:
        time = plan.variable(plan.analysis.time)
        of_time = rows.time, time.bounds or (0.0, float(rows.time.max(initial=0.0)))
        found[time.name] = _worst(of_time, rows, _cells(plan, rows), squares=False)
    return found


def totals(plan: Plan, rows: Rows) -> dict[str, Magnitude]:
    """Return, of an outcome that is a number, how much of its sum over all is one's."""
    if plan.analysis.method == "table1" or not _has_number(plan, rows):
        return {}
    squares = not plan.is_count or plan.is_robust
    everyone = [np.ones(rows.n, dtype=bool)]
    of_outcome = _outcome(plan, rows), plan.outcome
    return {plan.analysis.outcome: _worst(of_outcome, rows, everyone, squares=squares)}


def _has_number(plan: Plan, rows: Rows) -> bool:
    if not len(rows.y) or plan.is_binary or plan.method.is_conditional:
        return False
    return bool(plan.analysis.outcome) and plan.outcome[1] > plan.outcome[0]


def _outcome(plan: Plan, rows: Rows) -> Floats:
    """Return (n,) the outcome in its own units."""
    if plan.is_count or plan.method.outcome == "positive" or plan.method.has_rates:
        return rows.y
    centre, scale = plan.outcome_scale
    return np.asarray(centre + scale * rows.y)


def _cells(plan: Plan, rows: Rows) -> Iterator[Chosen]:
    """Yield (n,) whose rows are summed apart: all, groups, strata, columns' sides."""
    yield np.ones(rows.n, dtype=bool)
    codes = np.zeros(rows.n, dtype=np.int64)
    if len(rows.group):
        codes = codes * max(len(plan.groups), 1) + rows.group
    if len(rows.stratum):
        codes = codes * max(len(plan.strata), 1) + rows.stratum
    for code in np.unique(codes):
        yield codes == code
    for place in range(rows.X.shape[1] if rows.X.ndim == 2 else 0):
        values = rows.X[:, place]
        high = values == values.max(initial=-np.inf)
        if not high.all() and (values[~high] == values.min()).all():
            yield high
            yield ~high


def _worst(
    bounded: tuple[Floats, Interval],
    rows: Rows,
    cells: "Iterator[Chosen] | list[Chosen]",
    *,
    squares: bool,
) -> Magnitude:
    """Return the worst of a number's sums in some cells, from either bound."""
    values, (low, high) = bounded
    weight = rows.weight if len(rows.weight) == rows.n else np.ones(rows.n)
    reach = TINY * (high - low)
    found = Magnitude()
    sides = [np.maximum(side, 0.0) for side in (values - low, high - values)]
    for cell in cells:
        for side in sides:
            distance = np.where(side[cell] > reach, side[cell], 0.0)
            linear = _by_person(weight[cell] * distance, rows, cell)
            found = found.worse(_of_sum(linear))
            if squares:
                of_each = _by_person(weight[cell] * distance**2, rows, cell)
                ratio = _ratio_of_squares(of_each)
                found = found.worse(Magnitude(ratio=ratio))
    return found


def _by_person(values: Floats, rows: Rows, cell: Chosen) -> Floats:
    if not len(rows.person):
        return values
    return np.bincount(rows.person[cell], values).astype(np.float64)


def _of_sum(parts: Floats) -> Magnitude:
    """Return the shares and the ratio of one sum of what is not negative."""
    first, second = _largest(parts)
    if first <= 0:
        return Magnitude()
    total = float(parts.sum())
    rest = max(0.0, total - first - second)
    return Magnitude(first / total, (first + second) / total, rest / first)


def _ratio_of_squares(parts: Floats) -> float:
    """Return how well the second largest tells the largest from a sum of squares.

    They know that the largest is at most the root of what the sum leaves beside their
    own square; the relative error of that is what is returned.
    """
    first, second = _largest(parts)
    if first <= 0:
        return float("inf")
    left = max(first, float(parts.sum()) - second)
    return float(np.sqrt(left / first)) - 1.0


def _largest(parts: Floats) -> tuple[float, float]:
    """Return the two largest of what is not negative; 0 for what is not there."""
    if not len(parts):
        return 0.0, 0.0
    at = int(parts.argmax())
    others = parts[:at].max(initial=0.0), parts[at + 1 :].max(initial=0.0)
    return float(parts[at]), float(max(others))
