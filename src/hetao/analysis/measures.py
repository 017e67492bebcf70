"""Measures of a prediction from sums: overall error and calibration, with their errors.

Errors of means and their functions are those of people drawn at random (the delta
method); calibration's are those of its regressions.
"""

from typing import Any

import numpy as np
from scipy.special import ndtr

from hetao.analysis.discrimination import Z
from hetao.analysis.estimator import Message, State, unpacked
from hetao.analysis.expressions import Floats
from hetao.analysis.prediction import FURTHEST


def measures_of(
    auc: dict[str, float], total: Message, state: State
) -> list[dict[str, Any]]:
    """Return each measure with its standard error and limits; a ratio as its log.

    Args:
        auc: as of `auc_of`.
        total: the sums that close the analysis; `moments` are those of the logit over
            FURTHEST, its square, p, p², py, (p - y)², (p - y)⁴ and (p - y)²y.
        state: with both calibrations at their maximum.
    """
    n, events = float(total["n"][0]), float(np.rint(total["events"][0]))
    _, _, p, pp, py, b, bb, by = (total["moments"] / n).tolist()
    share = events / n
    worst = share * (1 - share)
    brier = max(bb - b * b, 0.0)
    # of 1 - brier / worst: each person adds -(b_i - b) / worst + slope (y_i - share)
    slope = b * (1 - 2 * share) / worst**2
    scaled = brier / worst**2 - 2 * slope * (by - b * share) / worst
    scaled = max(scaled + slope**2 * worst, 0.0)
    ratio = share / p
    around = max(share - 2 * ratio * py + ratio**2 * pp, 0.0) / share**2
    line = np.diag([1.0, 1 / FURTHEST]) @ state["line"]
    spread = np.sqrt(np.diag(unpacked(state["line done"], 2))) / [1.0, FURTHEST]
    level = float(np.sqrt(state["level done"][0]))
    return [
        _measure("auc", auc["auc"], auc["se"], 0.5, (0.0, 1.0)),
        _measure("brier", b, float(np.sqrt(brier / n)), None, (0.0, 1.0)),
        _measure("scaled_brier", 1 - b / worst, float(np.sqrt(scaled / n)), None),
        _measure("oe_ratio", float(np.log(ratio)), float(np.sqrt(around / n)), 0.0),
        _measure("calibration_in_the_large", float(state["level"][0]), level, 0.0),
        _measure("calibration_intercept", float(line[0]), float(spread[0]), 0.0),
        _measure("calibration_slope", float(line[1]), float(spread[1]), 1.0),
    ]


def errors_of(moments: Floats, n: float, scale: float) -> list[dict[str, Any]]:
    """Return mean squared error, its root and R² of predictions of a number.

    Args:
        moments: (8,) means of r, r², y, y², y³, y⁴, ry and ry², where y is standardised
            and r the square of half the error.
        n: people.
        scale: what one of y is in the outcome's unit.
    """
    r, rr, y, y2, y3, y4, ry, ryy = moments.tolist()
    spread = y2 - y * y
    fourth = y4 - 4 * y * y3 + 6 * y * y * y2 - 3 * y**4
    mse, mse_var = 4 * r, 16 * max(rr - r * r, 0.0)
    both = 4 * (ryy - 2 * y * ry + y * y * r) - mse * spread
    slope = mse / spread**2
    share = mse_var / spread**2 - 2 * slope * both / spread
    share = max(share + slope**2 * max(fourth - spread**2, 0.0), 0.0)
    se = float(np.sqrt(mse_var / n))
    root = float(np.sqrt(mse))
    unit = scale * scale
    return [
        _measure("mse", unit * mse, unit * se, None, (0.0, np.inf)),
        _measure("rmse", scale * root, scale * se / (2 * root), None, (0.0, np.inf)),
        _measure("r_squared", 1 - mse / spread, float(np.sqrt(share / n)), None),
    ]


def _measure(
    name: str,
    estimate: float,
    se: float,
    null: float | None,
    within: tuple[float, float] = (-np.inf, np.inf),
) -> dict[str, Any]:
    """Return a measure; z and p are of a perfect one, or of an AUC of one half."""
    z = None if null is None or se <= 0 else (estimate - null) / se
    return {
        "name": name,
        "estimate": estimate,
        "se": se,
        "z": z,
        "p": None if z is None else float(2 * ndtr(-abs(z))),
        "lower": max(within[0], estimate - Z * se),
        "upper": min(within[1], estimate + Z * se),
    }
