"""The test of proportional hazards: does a coefficient drift with time?

A coefficient that drifts is that of the covariate times a function of time, added to
the model. Its score test needs one evaluation at the model's own estimate.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import chdtrc

from hetao.analysis.expressions import Floats
from hetao.analysis.newton import Point
from hetao.analysis.plan import Plan


@dataclass(frozen=True)
class Drift:
    """Sums over events, g being the transformed time of each.

    Attributes:
        score: (p,) of g times the covariates' excess over their mean at risk.
        information: (p, p) of g times their covariance at risk.
        square: (p, p) of g squared times it.
    """

    score: Floats
    information: Floats
    square: Floats


def clock_of(plan: Plan, time: Floats) -> Floats:
    """Return the study's transform of times, brought into -1 to 1 by public bounds.

    The test does not change with centre and scale of the transform.
    """
    low, high = plan.variable(plan.analysis.time).bounds or (0.0, 1.0)
    if plan.analysis.zph == "log":
        time, low, high = np.log(time), float(np.log(low)), float(np.log(high))
    return np.asarray((time - (low + high) / 2) / ((high - low) / 2))


def zph_payload(plan: Plan, point: Point, drift: Drift) -> dict[str, Any]:
    """Return the score tests of each column and of all together, as R's `cox.zph`.

    Args:
        plan: names the columns.
        point: score and information of the model at the last state.
        drift: of the same state.
    """
    turn = np.linalg.solve(point.information, drift.information)  # (p, p)
    score = drift.score - turn.T @ point.score
    variance = drift.square - drift.information @ turn
    each = [
        {"name": name, **_test(score[[i]], variance[np.ix_([i], [i])])}
        for i, name in enumerate(plan.names)
    ]
    return {
        "transform": plan.analysis.zph,
        "terms": each,
        "together": _test(score, variance),
    }


def _test(score: Floats, variance: Floats) -> dict[str, float | int | None]:
    freedom = len(score)
    spread = np.sqrt(np.clip(np.diag(variance), 0, None))
    if not (spread > 0).all():
        return {"chi2": None, "df": freedom, "p": None}
    scaled = variance / np.outer(spread, spread)
    if np.linalg.matrix_rank(scaled, hermitian=True) < freedom:
        return {"chi2": None, "df": freedom, "p": None}
    ratio = score / spread
    value = float(ratio @ np.linalg.solve(scaled, ratio))
    return {"chi2": value, "df": freedom, "p": float(chdtrc(freedom, value))}
