"""What outcomes that a drug cannot cause say of an analysis's systematic error.

Negative controls are analysed like the question itself. Where their estimates scatter
more than their standard errors allow, or beside no effect, that is systematic error; a
p value and an interval that count it are calibrated.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from hetao.errors import NotEstimable, Usage

Floats = NDArray[np.float64]
FEWEST: Final = 5  # controls: fewer say nothing of a spread
WIDEST: Final = 20.0  # of the systematic error's standard deviation, log scale


@dataclass(frozen=True)
class SystematicError:
    """A normal distribution of the error that sampling does not explain.

    Attributes:
        mean, sd: on the log scale.
        controls: how many estimates it was fitted to.
        loglik: at the maximum.
    """

    mean: float
    sd: float
    controls: int
    loglik: float


@dataclass(frozen=True)
class Calibrated:
    """An estimate that counts systematic error; `lower` and `upper` on the log scale.

    `p` is two-sided, of no effect.
    """

    estimate: float
    lower: float
    upper: float
    p: float


def systematic_error(
    estimates: Sequence[float], errors: Sequence[float]
) -> SystematicError:
    """Fit the systematic error by maximum likelihood.

    Each estimate of a negative control is normal about `mean`, with variance
    `sd² + se²`.

    Args:
        estimates: logs of the ratios of negative controls.
        errors: their standard errors.

    Raises:
        Usage: lengths differ, or a number is not finite or an error not above 0.
        NotEstimable: there are fewer than five controls.

    Source:
        Schuemie et al. (2014), Stat. Med. 33(2), 209-218.
    """
    y, se = np.asarray(estimates, float), np.asarray(errors, float)
    if y.shape != se.shape or y.ndim != 1:
        raise Usage("each control has an estimate and a standard error")
    if not (np.isfinite(y).all() and np.isfinite(se).all() and (se > 0).all()):
        raise Usage("estimates are finite, and standard errors above 0")
    if len(y) < FEWEST:
        raise NotEstimable(
            f"fewer than {FEWEST} negative controls say nothing of systematic error",
            fix="analyse more outcomes that the exposure cannot cause",
        )
    from scipy.optimize import minimize_scalar  # dear to load

    # The mean has a closed form at each spread; the spread is searched over pieces,
    # for the likelihood of a variance may have more than one top.
    spreads = np.concatenate([[0.0], np.geomspace(1e-4, WIDEST, 60)])
    values = [_profile(spread, y, se) for spread in spreads]
    best = int(np.argmax(values))
    low = spreads[max(best - 1, 0)]
    high = spreads[min(best + 1, len(spreads) - 1)]
    found = minimize_scalar(
        lambda spread: -_profile(spread, y, se),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-12},
    )
    sd = float(found.x)
    if values[0] >= -float(found.fun):
        sd = 0.0
    return SystematicError(_mean(sd, y, se), sd, len(y), _profile(sd, y, se))


def calibrated(estimate: float, se: float, error: SystematicError) -> Calibrated:
    """Return an estimate's p value and 95 % interval that count systematic error.

    Args:
        estimate: log of the ratio.
        se: its standard error.
        error: of the same analysis, from its negative controls. It is taken to be the
            same whatever the true effect is.

    Raises:
        Usage: the standard error is not above 0.

    Source:
        Schuemie et al. (2014) for p; (2018), Proc. Natl. Acad. Sci. 115(11), 2571-2577
        for the interval, with the model that controls of no effect alone give.
    """
    if not math.isfinite(estimate) or not 0 < se < math.inf:
        raise Usage("a finite estimate and a standard error above 0 are needed")
    middle, spread = estimate - error.mean, math.hypot(error.sd, se)
    width = -float(ndtri(0.025)) * spread
    p = 2 * float(ndtr(-abs(middle) / spread))
    return Calibrated(middle, middle - width, middle + width, p)


def false_discovery(p: Sequence[float]) -> tuple[float, ...]:
    """Return Benjamini and Hochberg's adjusted p values, in the order given.

    Raises:
        Usage: a p value lies outside 0 to 1.

    Source:
        Benjamini & Hochberg (1995), J. R. Stat. Soc. B 57(1), 289-300.
    """
    values = np.asarray(p, float)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise Usage("p values lie between 0 and 1")
    order = np.argsort(-values, kind="stable")
    ranks = len(values) - np.arange(len(values))
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum.accumulate(values[order] * len(values) / ranks)
    return tuple(np.minimum(adjusted, 1.0).tolist())


def _mean(spread: float, y: Floats, se: Floats) -> float:
    weight = 1 / (spread**2 + se**2)
    return float((weight * y).sum() / weight.sum())


def _profile(spread: float, y: Floats, se: Floats) -> float:
    variance = spread**2 + se**2
    away = y - _mean(spread, y, se)
    return float(-0.5 * np.sum(np.log(2 * math.pi * variance) + away**2 / variance))
