"""Estimates of several sites → one: fixed and random effects, and how they differ."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import chdtrc, chdtri, ndtr, ndtri, stdtr, stdtrit

from hetao.analysis.expressions import Floats

TAIL = 0.025
GRID = 400  # variances between sites at which the restricted likelihood is looked at


def pooled(estimates: Floats, errors: Floats) -> dict[str, Any]:
    """Return one term over its sites by every method, with its heterogeneity.

    Args:
        estimates: (k,), a coefficient of each site.
        errors: (k,), their standard errors, above 0.

    Returns:
        `methods`: for each of FE, DL, PM and REML, as metafor's rma names them, tau2,
        the estimate with normal limits and, of random effects, with
        Hartung-Knapp-Sidik-Jonkman's t limits on k - 1 degrees of freedom, and the
        prediction interval on the same (k of 3 and more); `q`, `q_df`,
        `q_p`: Cochran's test; `i2` in percent, at REML's tau2; `tau2_lower`,
        `tau2_upper`: limits by the Q-profile. None of what one site cannot tell.

    Source:
        Viechtbauer (2010), J. Stat. Softw. 36(3), whose `metafor` gives the same.
    """
    y, v = np.asarray(estimates), np.asarray(errors) ** 2
    k, alone = len(y), len(y) < 2
    between = {"FE": 0.0}
    if not alone:
        between |= {"DL": _moments(y, v), "PM": _profile(y, v, k - 1.0)}
        between["REML"] = _restricted(y, v)
    q = None if alone else _q(y, v, 0.0)
    lower, upper = (None, None) if q is None else _limits(y, v)
    return {
        "k": k,
        "methods": [_effect(y, v, m, t) for m, t in between.items()],
        "q": q,
        "q_df": k - 1,
        "q_p": None if q is None else float(chdtrc(k - 1, q)),
        "i2": None if alone else 100 * _share(v, between["REML"]),
        "tau2_lower": lower,
        "tau2_upper": upper,
    }


def _effect(y: Floats, v: Floats, method: str, tau2: float) -> dict[str, Any]:
    k, w = len(y), 1 / (v + tau2)
    mean, se = _mean(y, w), float(w.sum()) ** -0.5
    width = float(ndtri(1 - TAIL))
    found: dict[str, Any] = {
        "method": method,
        "tau2": tau2,
        "estimate": mean,
        "se": se,
        "p": float(2 * ndtr(-abs(mean / se))),
        "lower": mean - width * se,
        "upper": mean + width * se,
        "hksj": None,
        "prediction": None,
    }
    if method == "FE":
        return found
    wide, t = math.sqrt(_q(y, v, tau2) / (k - 1)) * se, float(stdtrit(k - 1, 1 - TAIL))
    if wide > 0:
        found["hksj"] = {
            "se": wide,
            "p": float(2 * stdtr(k - 1, -abs(mean / wide))),
            "lower": mean - t * wide,
            "upper": mean + t * wide,
        }
    if k > 2:
        far = t * math.sqrt(tau2 + wide**2)
        found["prediction"] = {"lower": mean - far, "upper": mean + far}
    return found


def _mean(y: Floats, w: Floats) -> float:
    return float(w @ y / w.sum())


def _q(y: Floats, v: Floats, tau2: float) -> float:
    w = 1 / (v + tau2)
    return float(w @ (y - _mean(y, w)) ** 2)


def _share(v: Floats, tau2: float) -> float:
    """Return the share of variance that is between sites: Higgins and Thompson's I2."""
    w = 1 / v
    typical = (len(v) - 1) / (w.sum() - w @ w / w.sum())
    return float(tau2 / (typical + tau2))


def _moments(y: Floats, v: Floats) -> float:
    """Return DerSimonian and Laird's variance between sites."""
    w = 1 / v
    return max(0.0, float((_q(y, v, 0.0) - len(y) + 1) / (w.sum() - w @ w / w.sum())))


def _profile(y: Floats, v: Floats, level: float) -> float:
    """Return the variance at which Q falls to a level; 0 where it starts below.

    Q falls all the way to 0. At k - 1 this is Paule and Mandel's estimate.
    """
    if _q(y, v, 0.0) <= level:
        return 0.0
    high = float(v.max() + np.var(y))
    while _q(y, v, high) > level:
        high *= 2
    return _root(lambda tau2: _q(y, v, tau2) - level, 0.0, high)


def _limits(y: Floats, v: Floats) -> tuple[float | None, float | None]:
    """Return Viechtbauer's (2007) Q-profile limits; None where even 0 is too much."""
    low, high = (float(chdtri(len(y) - 1, p)) for p in (1 - TAIL, TAIL))
    if _q(y, v, 0.0) < low:
        return None, None
    return _profile(y, v, high), _profile(y, v, low)


def _restricted(y: Floats, v: Floats) -> float:
    """Return the variance between sites of the highest restricted likelihood.

    It may have several maxima: each crossing of its slope on a fine grid is followed.
    """
    size = float(v.mean() + np.var(y))
    grid = [0.0, *(size * np.logspace(-8, 4, GRID)).tolist()]
    slopes = [_slope(y, v, tau2) for tau2 in grid]
    tops = [
        _root(lambda tau2: _slope(y, v, tau2), *grid[i : i + 2])
        for i in range(GRID)
        if slopes[i] > 0 >= slopes[i + 1]
    ]
    return max([0.0, *tops], key=lambda tau2: _loglik(y, v, tau2))


def _loglik(y: Floats, v: Floats, tau2: float) -> float:
    w = 1 / (v + tau2)
    return float(np.log(w).sum() - np.log(w.sum()) - _q(y, v, tau2)) / 2


def _slope(y: Floats, v: Floats, tau2: float) -> float:
    w = 1 / (v + tau2)
    away = w * (y - _mean(y, w))
    return float(away @ away - w.sum() + w @ w / w.sum()) / 2


def _root(f: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function falls through 0 between two ends, to the last bit."""
    while low < (middle := (low + high) / 2) < high:
        if f(middle) > 0:
            low = middle
        else:
            high = middle
    return high
