"""A published model's predictions: its coefficients and its link."""

from typing import Final

import numpy as np
from scipy.special import expit, logit

from hetao.analysis.expressions import Floats
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.errors import InvalidStudy

FURTHEST: Final = 36.0  # a logit beyond is a probability of 0 or 1 in double precision
APART: Final = 3e-4  # squares that all others add to what tells few people's outcomes
# Norm of what no lower power of predictions tells of one, but for rounding.
DISTINCT: Final = 1e-13


def published_of(plan: Plan) -> Floats | None:
    """Return the standardised coefficients of a published model; None without one.

    Raises:
        InvalidStudy: they are not those of the design's columns, or may add up to no
            probability.
    """
    given = {one.name: one.value for one in plan.analysis.coefficients}
    if not given:
        return None
    if set(given) != set(plan.names):
        raise InvalidStudy(
            f"{plan.analysis.name}: a published model has one coefficient a column",
            fix="give those of " + ", ".join(plan.names),
        )
    wanted = np.array([given[name] for name in plan.names])
    beta = np.linalg.solve(plan.to_units(), wanted)
    if plan.analysis.link == "identity":
        middle = beta[0] if plan.intercept else 0.0
        reach = np.abs(beta).sum() - abs(middle)
        if plan.parameters == 1 and not plan.intercept:
            low, high = sorted(wanted[0] * end for end in _ends(plan))
        else:
            low, high = middle - reach, middle + reach
        if low < -1e-9 or high > 1 + 1e-9:
            raise InvalidStudy(
                f"{plan.analysis.name}: the terms may add up to no probability by "
                "their bounds",
                fix='tighten the bounds to 0 to 1, or use the link "logit"',
            )
    return beta


def _ends(plan: Plan) -> tuple[float, float]:
    return plan.columns[0].low, plan.columns[0].high


def logit_of(predictor: Floats, link: str) -> Floats:
    """Return the logit of the probability that a linear predictor means.

    Args:
        predictor: (n,) sums of coefficients and columns.
        link: "logit", "cloglog" or "identity"; a probability of 0 or 1 has an infinite
            logit.
    """
    if link == "identity":
        with np.errstate(divide="ignore"):
            return np.asarray(logit(np.clip(predictor, 0.0, 1.0)))
    if link == "cloglog":
        hazard = np.exp(np.clip(predictor, -2 * FURTHEST, np.log(2 * FURTHEST)))
        return np.asarray(hazard + np.log(-np.expm1(-hazard)))
    return predictor


def predicted(plan: Plan, rows: Rows, published: Floats) -> Floats:
    """Return the logits (n,) of a published model, over FURTHEST and within -1 to 1.

    Args:
        plan: of the model.
        rows: of a site.
        published: as `published_of` returns.
    """
    found = logit_of(rows.X @ published, plan.analysis.link)
    return np.asarray(np.clip(found, -FURTHEST, FURTHEST) / FURTHEST)


def powers_of(z: Floats) -> Floats:
    """Return (n, k) even columns that all sums of outcomes and predictions are of.

    The moments and the calibrations tell sums of y times 1, z, p, p² and, of (p - y)⁴,
    p³. What is a sum of the columns before it, as is p² of two values of p, is left
    out.

    Args:
        z: (n,) logits of predictions, over FURTHEST.
    """
    p = expit(FURTHEST * z)
    found: Floats = np.ones((len(p), 1)) / np.sqrt(len(p))
    centred = p - p.mean()
    for power in (centred, centred**2, centred**3, z):
        left = power
        for _ in range(2):  # the second time for what rounding left
            left = left - found @ (found.T @ left)
        size = float(np.linalg.norm(left))
        if size > DISTINCT:
            found = np.column_stack([found, left / size])
    return found
