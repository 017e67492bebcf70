"""A published model's predictions: its coefficients and its link."""

from typing import Final

import numpy as np
from scipy.special import logit

from hetao.analysis.expressions import Floats
from hetao.analysis.plan import Plan
from hetao.errors import InvalidStudy

FURTHEST: Final = 36.0  # a logit beyond is a probability of 0 or 1 in double precision


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
