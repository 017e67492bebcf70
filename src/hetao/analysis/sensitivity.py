"""How strong something unmeasured would have to be, to explain a finding away.

Arithmetic over a finding's ratio and interval; no row is seen.
"""

import math
from dataclasses import dataclass
from typing import Final

from hetao.errors import Usage

MEASURES: Final = ("risk ratio", "rate ratio", "odds ratio", "hazard ratio")


@dataclass(frozen=True)
class EValue:
    """The least association, on the risk ratio scale, that explains a finding away.

    An unmeasured confounder would have to have it with the exposure and with the
    outcome, beyond all that was adjusted for.

    Attributes:
        estimate: for the estimate to become 1.
        limit: for the confidence limit nearest to 1 to become 1; 1.0 where the interval
            holds 1 already.
    """

    estimate: float
    limit: float


def e_value(
    ratio: float,
    lower: float,
    upper: float,
    measure: str = "risk ratio",
    *,
    is_rare: bool = True,
) -> EValue:
    """Return the E-value of a ratio and of its confidence limit.

    Args:
        ratio: the estimate, on the scale of ratios.
        lower: its lower confidence limit.
        upper: its upper one.
        measure: one of MEASURES.
        is_rare: whether fewer than 15 of 100 have the outcome at the end of follow-up.
            Where not, odds and hazard ratios are first brought near risk ratios.

    Raises:
        Usage: a ratio is not above 0, the limits do not enclose the estimate, or the
            measure is unknown.

    Source:
        VanderWeele & Ding (2017), Ann. Intern. Med. 167(4), 268-274, table 2.
    """
    if measure not in MEASURES:
        raise Usage(f"the measure is one of {', '.join(MEASURES)}")
    if not 0 < lower <= ratio <= upper < math.inf:
        raise Usage("a ratio and its limits are finite, above 0, and in order")
    near = [_risk_ratio(value, measure, is_rare) for value in (ratio, lower, upper)]
    if near[1] <= 1 <= near[2]:
        return EValue(_e_value(near[0]), 1.0)
    return EValue(_e_value(near[0]), _e_value(near[1] if near[1] > 1 else near[2]))


@dataclass(frozen=True)
class Tipping:
    """A binary confounder that would bring a limit to 1.

    Attributes:
        exposed: its share among the exposed.
        unexposed: its share among the others.
        ratio: the risk ratio between it and the outcome that would do so; None where
            none would at these shares.
    """

    exposed: float
    unexposed: float
    ratio: float | None


def tipping_point(limit: float, exposed: float, unexposed: float) -> Tipping:
    """Return how strong a confounder of known shares must be to bring a limit to 1.

    Args:
        limit: the estimate, or the confidence limit nearest to 1.
        exposed: the confounder's share among the exposed, 0 to 1.
        unexposed: its share among the others.

    Raises:
        Usage: the limit is not above 0, or a share lies outside 0 to 1.

    Source:
        Lin, Psaty & Kronmal (1998), Biometrics 54(3), 948-963, solved for the
        association with the outcome.
    """
    if not 0 < limit < math.inf or not (0 <= exposed <= 1 and 0 <= unexposed <= 1):
        raise Usage("a ratio above 0 and two shares from 0 to 1 are needed")
    if limit == 1:
        return Tipping(exposed, unexposed, 1.0)
    pull = exposed - limit * unexposed
    ratio = 1 + (limit - 1) / pull if pull else -1.0
    return Tipping(exposed, unexposed, ratio if ratio > 0 else None)


def _risk_ratio(value: float, measure: str, is_rare: bool) -> float:
    """Return a ratio brought near a risk ratio."""
    if is_rare or measure in ("risk ratio", "rate ratio"):
        return value
    if measure == "odds ratio":
        return math.sqrt(value)
    root = math.sqrt(value)
    return float((1 - 0.5**root) / (1 - 0.5 ** (1 / root)))


def _e_value(ratio: float) -> float:
    larger = max(ratio, 1 / ratio)
    return larger + math.sqrt(larger * (larger - 1))
