"""What is read off a survival curve: limits, median, restricted mean, hazard.

Pure functions of one curve's steps, for the estimator and for what may be shown of it.
"""

import numpy as np
from scipy.special import ndtri

from hetao.analysis.expressions import Floats

HALF = float(np.sqrt(np.finfo(np.float64).eps))  # R's tolerance for one half
WIDEST = 700.0  # exp of more is no double


def limits(survival: Floats, se: Floats, conf_type: str) -> tuple[Floats, Floats]:
    """Return pointwise 95% limits of a survival, (steps,) each, NaN where it is 0.

    Args:
        survival: (steps,) of a product-limit curve.
        se: (steps,) Greenwood's standard errors of it.
        conf_type: the scale on which they are normal: "log", "log-log" or "plain",
            as of R's `survfit`.
    """
    used = (survival > 0) & (survival < 1)
    s, e = np.where(used, survival, 0.5), np.where(used, se, 0.0)
    width = float(ndtri(0.975)) * e
    if conf_type == "plain":
        lower, upper = s - width, s + width
    elif conf_type == "log":
        wide = np.minimum(width / s, WIDEST)
        lower, upper = s * np.exp(-wide), s * np.exp(wide)
    else:
        wide = np.minimum(-width / s / np.log(s), WIDEST)
        middle = np.log(-np.log(s))
        lower = np.exp(-np.exp(np.minimum(middle + wide, WIDEST)))
        upper = np.exp(-np.exp(middle - wide))
    hidden = np.where(used, 0.0, np.nan)
    return np.maximum(lower, 0.0) + hidden, np.minimum(upper, 1.0) + hidden


def median(time: Floats, values: Floats) -> float | None:
    """Return when a falling curve passes one half, as R's `print.survfit` has it.

    A stay at one half counts as its middle; NaN is passed over; None if never.
    """
    kept = values < 0.5 + HALF  # False for NaN
    if not kept.any():
        return None
    time, values = time[kept], values[kept]
    lower = np.nonzero(values < values[0])[0]
    if abs(values[0] - 0.5) < HALF and len(lower):
        return float((time[0] + time[lower[0]]) / 2)
    return float(time[0])


def restricted_mean(
    time: Floats, at_risk: Floats, events: Floats, horizon: float
) -> tuple[float, float]:
    """Return the area under a curve up to the horizon, and its standard error.

    Args:
        time: (steps,) at which somebody has the event, increasing.
        at_risk: (steps,) people just before each step.
        events: (steps,) people at each step.
        horizon: in the unit of the times.

    Source:
        R's `print(survfit(...), rmean = horizon)`, without its going on at the last
        survival where nobody is followed up to the horizon: that is the caller's to
        refuse.
    """
    kept = time <= horizon
    time, at_risk, events = time[kept], at_risk[kept], events[kept]
    left = at_risk - events
    survival = np.cumprod(left / at_risk)
    areas = np.diff(np.append(time, horizon)) * survival
    first = float(time[0]) if len(time) else horizon
    after = np.cumsum(areas[::-1])[::-1]
    hazard = np.where(left > 0, events / (at_risk * np.where(left > 0, left, 1.0)), 0.0)
    return first + float(areas.sum()), float(np.sqrt(np.sum(after**2 * hazard)))


def restricted_mean_between(
    time: Floats, survival: Floats, horizon: float
) -> tuple[float, float]:
    """Return the least and the largest restricted mean that some steps leave open.

    Args:
        time: (steps,) of a curve of which further steps are not known.
        survival: (steps,) just after each step.
        horizon: in the unit of the times.
    """
    kept = time <= horizon
    ends = np.append(time[kept], horizon)
    widths = np.diff(np.concatenate([[0.0], ends]))
    levels = np.concatenate([[1.0], survival[kept], [0.0]])
    return float(widths @ levels[1:]), float(widths @ levels[:-1])
