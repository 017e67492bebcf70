"""Exact and approximate 95% limits of Poisson rates, from counts and person-time."""

import math
from typing import Any

import numpy as np
from scipy.special import (
    bdtr,
    betaincinv,
    gammainccinv,
    gammaincinv,
    gammaln,
    ndtr,
    ndtri,
    xlogy,
)

from hetao.analysis.expressions import Floats

TAIL = 0.025
Z = float(ndtri(1 - TAIL))
ALIKE = 1 + 1e-7  # R's tolerance for probabilities that are equal

Limits = tuple[float | None, float | None, float | None]


def rate_limits(events: float, time: float) -> Limits:
    """Return a rate and its exact limits; None of each where there was no time.

    Source:
        Garwood (1936), Biometrika 28, 437-442; R's `poisson.test`.
    """
    if not time > 0:
        return None, None, None
    lower = float(gammaincinv(events, TAIL)) if events > 0 else 0.0
    return events / time, lower / time, float(gammainccinv(events + 1, TAIL)) / time


def standardised_rate(
    events: Floats, time: Floats, weights: Floats | None
) -> dict[str, float | None] | None:
    """Return a directly standardised rate with gamma limits; None without weights.

    Args:
        events: (strata,) of one group.
        time: (strata,) of the same.
        weights: (strata,) of the standard population, of any sum.

    Returns:
        rate, lower and upper; each None where a stratum that counts has no time.

    Source:
        Fay & Feuer (1997), Stat. Med. 16, 791-801, with the largest weight.
    """
    if weights is None:
        return None
    used = weights > 0
    if not (time[used] > 0).all():
        return {"rate": None, "lower": None, "upper": None}
    each = weights[used] / weights.sum() / time[used]
    rate = float(each @ events[used])
    variance = float(each**2 @ events[used])
    largest = float(each.max())
    lower = 0.0
    if rate > 0:
        lower = variance / rate * float(gammaincinv(rate**2 / variance, TAIL))
    above, spread = rate + largest, variance + largest**2
    upper = spread / above * float(gammainccinv(above**2 / spread, TAIL))
    return {"rate": rate, "lower": lower, "upper": upper}


def compare_rates(
    events: tuple[float, float], time: tuple[float, float]
) -> dict[str, float | None]:
    """Return ratio and difference of two rates with limits, and the exact p-value.

    Given their sum, the first count is binomial: its exact limits are those of the
    ratio. The difference has limits of the normal distribution.

    Args:
        events: counts of the group and of the one that it is compared with.
        time: their person-time.

    Returns:
        None for whatever is infinite or has no meaning.
    """
    names = ("ratio", "ratio_lower", "ratio_upper", "p")
    gap_names = ("difference", "difference_lower", "difference_upper")
    found: dict[str, float | None] = dict.fromkeys(names + gap_names)
    (d, d0), (t, t0) = events, time
    if not (t > 0 and t0 > 0):
        return found
    gap = d / t - d0 / t0
    width = Z * math.sqrt(d / t**2 + d0 / t0**2)
    found |= dict(zip(gap_names, (gap, gap - width, gap + width), strict=True))
    if d + d0 == 0:
        return found
    found["p"] = _binomial_p(d, d + d0, t / (t + t0))
    found["ratio_lower"] = 0.0
    if d > 0:
        share = float(betaincinv(d, d0 + 1, TAIL))
        found["ratio_lower"] = share / (1 - share) * t0 / t
    if d0 > 0:
        rest = float(betaincinv(d0, d + 1, TAIL))  # one minus the upper share
        found |= {"ratio": d / t / (d0 / t0), "ratio_upper": (1 - rest) / rest * t0 / t}
    return found


def ratio_of_terms(terms: Floats) -> dict[str, float | None]:
    """Return the Mantel-Haenszel ratio with limits on the log scale.

    Args:
        terms: (3,) of `rates.ratio_terms`.
    """
    above, below, variance = terms.tolist()
    found: dict[str, Any] = dict.fromkeys(("ratio", "lower", "upper", "se_log", "p"))
    if not below > 0:
        return found
    found["ratio"] = above / below
    if above > 0:
        se = math.sqrt(variance / (above * below))
        log = math.log(above / below)
        found |= {
            "lower": math.exp(log - Z * se),
            "upper": math.exp(log + Z * se),
            "se_log": se,
            "p": float(2 * ndtr(-abs(log) / se)),
        }
    return found


def _binomial_p(successes: float, trials: float, share: float) -> float:
    """Return the exact p of all outcomes as unlikely, as R's `binom.test`."""
    k, n, mean = round(successes), round(trials), trials * share
    if k == mean:
        return 1.0
    flipped = k > mean  # count from the other end, so that the near tail is the lower
    if flipped:
        k, share = n - k, 1 - share
    near = float(bdtr(k, n, share))
    first = _first_as_unlikely(k, n, share)
    far = float(bdtr(n - first, n, 1 - share)) if first <= n else 0.0
    return min(1.0, near + far)


def _first_as_unlikely(k: int, n: int, share: float) -> int:
    """Return the least outcome above the mean no likelier than k; n + 1 if none.

    Beyond the mean the probabilities fall, so that halving finds it.
    """
    limit = _log_probability(k, n, share) + math.log(ALIKE)
    low, high = max(k + 1, math.ceil(n * share)), n + 1
    while low < high:
        middle = (low + high) // 2
        if _log_probability(middle, n, share) <= limit:
            high = middle
        else:
            low = middle + 1
    return low


def _log_probability(k: int, n: int, share: float) -> float:
    choose = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return float(choose + xlogy(k, share) + xlogy(n - k, np.float64(1 - share)))
