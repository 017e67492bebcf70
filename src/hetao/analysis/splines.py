"""Regression splines with public knots: their columns' values and public bounds.

R places knots at quantiles of the rows, which no site knows; here they are written in
the study, or placed at equal distances between public bounds. For the same knots and
boundary knots the columns are those of R's `splines::bs` and `splines::ns`.
"""

import itertools
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hetao.errors import InvalidStudy
from hetao.study import Basis, Spline

if TYPE_CHECKING:
    from scipy.interpolate import BSpline

Interval = tuple[float, float]

CUBIC = 3


def basis_of(spline: Spline, label: str, argument: Interval) -> tuple[Basis, ...]:
    """Return the columns of a spline, its knots resolved.

    Args:
        spline: as a term writes it.
        label: what a reader calls it.
        argument: public bounds of what it is a spline of, its boundary knots unless
            the term gives some.

    Raises:
        InvalidStudy: knots do not lie between the boundary knots in rising order, a
            `bs` has boundary knots within the public bounds, or df is too small.
    """
    low, high = spline.boundary or argument
    if not low < high or not np.isfinite([low, high]).all():
        raise InvalidStudy(f"{label}: the boundary knots are not two rising numbers")
    if spline.function == "bs" and (argument[0] < low or argument[1] > high):
        raise InvalidStudy(
            f"{label}: values may lie beyond the boundary knots, where no bs goes",
            fix="leave Boundary.knots out, tighten the bounds, or use ns",
        )
    knots = spline.knots or _equal(spline, label, (low, high))
    if any(a >= b for a, b in itertools.pairwise((low, *knots, high))):
        raise InvalidStudy(f"{label}: knots rise, and lie within the boundary knots")
    degree = CUBIC if spline.function == "ns" else spline.degree
    count = len(knots) + (1 if spline.function == "ns" else degree)
    return tuple(
        Basis(label, spline.function, spline.argument, knots, (low, high), degree, i)
        for i in range(count)
    )


def _equal(spline: Spline, label: str, ends: Interval) -> tuple[float, ...]:
    """Return knots at equal distances, as many as df asks for."""
    fewest = 1 if spline.function == "ns" else spline.degree
    count = spline.df - fewest
    if count < 0:
        raise InvalidStudy(f"{label}: df is at least {fewest}")
    width = ends[1] - ends[0]
    return tuple(ends[0] + width * (i + 1) / (count + 1) for i in range(count))


def basis_values(basis: Basis, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a column's value at each x; beyond the boundary knots it is a line."""
    low, high = basis.boundary
    curve = _curve(basis)
    values = curve(np.clip(x, low, high))
    if basis.function == "ns":
        slope = curve.derivative()
        for end, beyond in (
            (low, np.minimum(x - low, 0)),
            (high, np.maximum(x - high, 0)),
        ):
            values = values + float(slope(end)) * beyond
    return np.asarray(values, dtype=np.float64)


def basis_bounds(basis: Basis, argument: Interval) -> Interval:
    """Return an interval that holds a column's values over its argument's bounds.

    Between the boundary knots a B-spline lies between its least and its largest
    coefficient; beyond, a line ends at the argument's own bounds.
    """
    coefficients = _curve(basis).c
    ends = basis_values(basis, np.array(argument, dtype=np.float64))
    low, high = min(*coefficients, *ends), max(*coefficients, *ends)
    return float(low), float(high)


@lru_cache(maxsize=1024)
def _curve(basis: Basis) -> "BSpline":
    """Return a column as one B-spline.

    Source:
        R's `splines::ns`: of cubic B-splines without the first, the ones whose second
        derivatives are 0 at both boundary knots, by the QR of those derivatives.
    """
    from scipy.interpolate import BSpline  # dear to load, and few terms are splines

    low, high = basis.boundary
    times = basis.degree + 1
    knots = np.array([*[low] * times, *basis.knots, *[high] * times])
    size = len(knots) - times
    coefficients = np.zeros(size)
    if basis.function == "bs":
        coefficients[basis.index + 1] = 1.0
        return BSpline(knots, coefficients, basis.degree)
    each = BSpline(knots, np.eye(size), CUBIC)
    bending = each(np.array([low, high]), 2)[:, 1:]
    turned, _ = np.linalg.qr(bending.T, mode="complete")
    coefficients[1:] = turned[:, 2 + basis.index]
    return BSpline(knots, coefficients, CUBIC)
