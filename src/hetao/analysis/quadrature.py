"""One site's likelihood with its intercept integrated out: adaptive Gauss-Hermite.

Everything in this file stays inside the site. The intercept is tau z, z standard
normal. The points are laid around the mode of z's posterior, at the spread that its
curvature gives, as R's lme4 lays them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from scipy.special import expit, gammaln, logsumexp

from hetao.analysis.expressions import Floats
from hetao.analysis.rows import Rows

CLOSE = 1e-15  # relative step at which the mode is found
MOST_STEPS = 200
ABSURD = 300.0  # logarithm of an expected count whose square still is a number


@dataclass(frozen=True)
class Family:
    """An outcome's distribution, by its linear predictor under the canonical link.

    Attributes:
        mean: of eta.
        variance: of the mean.
        loglik: of y, eta and the mean.
    """

    mean: Callable[[Floats], Floats]
    variance: Callable[[Floats], Floats]
    loglik: Callable[[Floats, Floats, Floats], Floats]


BINOMIAL: Final = Family(
    mean=lambda eta: np.asarray(expit(eta)),
    variance=lambda mu: mu * (1 - mu),
    loglik=lambda y, eta, _: np.asarray(y * eta - np.logaddexp(0, eta)),
)
POISSON: Final = Family(
    # Clipping changes nothing but a log-likelihood that is hopeless anyway.
    mean=lambda eta: np.asarray(np.exp(np.minimum(eta, ABSURD))),
    variance=lambda mu: mu,
    loglik=lambda y, eta, mu: np.asarray(y * eta - mu - gammaln(y + 1)),
)


@dataclass(frozen=True)
class Look:
    """One site's marginal likelihood at one tau, with what the posterior of z expects.

    Attributes:
        loglik: by the quadrature.
        square: (k,) z² at the points.
        share: (k,) of the posterior at each.
        scores: (p, k) X'w(y - mu) at each.
        working: (n,) the variances of people's outcomes, as expected.
        spread: (n,) the standard deviations of people's mu.
    """

    loglik: float
    square: Floats
    share: Floats
    scores: Floats
    working: Floats
    spread: Floats


def look(rows: Rows, eta: Floats, tau: float, family: Family, count: int) -> Look:
    """Integrate over the site's intercept.

    Args:
        rows: of the site, some.
        eta: (n,) linear predictors without the intercept.
        tau: standard deviation of the intercepts; 0 for none.
        family: of the outcome.
        count: points of the quadrature.
    """
    X, y, w = rows.X, rows.y, rows.weight
    mode, sd = _mode(rows, eta, tau, family)
    points, logs = _points(count)
    z = mode + math.sqrt(2) * sd * points
    shifted = eta[:, None] + tau * z
    mu = family.mean(shifted)
    log_share = w @ family.loglik(y[:, None], shifted, mu) - z**2 / 2
    log_share = log_share + points**2 + logs
    total = float(logsumexp(log_share))
    share = np.exp(log_share - total)
    middle = mu @ share
    return Look(
        loglik=total + math.log(sd) - math.log(math.pi) / 2,
        square=z**2,
        share=share,
        scores=X.T @ (w[:, None] * (y[:, None] - mu)),
        working=family.variance(mu) @ share,
        spread=np.sqrt((mu - middle[:, None]) ** 2 @ share),
    )


def furthest(count: int) -> float:
    """Return how far from the mode a point lies at most, over root two spreads."""
    return float(_points(count)[0][-1])


def _mode(rows: Rows, eta: Floats, tau: float, family: Family) -> tuple[float, float]:
    """Return the mode of the posterior of z, and its spread by the curvature.

    The logarithm of the posterior is concave, and its mode's square at most twice the
    log-likelihood at z = 0: Newton's method, halving where it would leave the bracket.
    """
    y, w = rows.y, rows.weight
    at_zero = float(w @ family.loglik(y, eta, family.mean(eta)))
    high = math.sqrt(2 * abs(at_zero))
    low, z, curve = -high, 0.0, 1.0
    for _ in range(MOST_STEPS):
        mu = family.mean(eta + tau * z)
        slope = tau * float(w @ (y - mu)) - z
        curve = 1 + tau**2 * float(w @ family.variance(mu))
        low, high = (z, high) if slope > 0 else (low, z)
        after = z + slope / curve
        after = after if low <= after <= high else (low + high) / 2
        if abs(after - z) <= CLOSE * (1 + abs(z)):
            break
        z = after
    return z, curve**-0.5


@cache
def _points(count: int) -> tuple[Floats, Floats]:
    """Return Gauss-Hermite points, increasing, and the logarithms of their weights."""
    points, weights = np.polynomial.hermite.hermgauss(count)
    return points, np.log(weights)
