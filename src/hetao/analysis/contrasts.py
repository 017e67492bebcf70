"""From closing sums over sites to an effect: its variance, contrasts and balance."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from hetao.analysis.design import Column
from hetao.analysis.estimator import Message, unpacked
from hetao.analysis.expressions import Floats
from hetao.errors import NotEstimable

FLAT = 1e-7  # standard deviation of a standardised column that only rounding varies
SIGN = np.array([-1.0, 1.0])  # the treated less the untreated


def sandwich(total: Message, inverses: Sequence[Floats], means: Floats) -> Floats:
    """Return the covariance (2, 2) of the arms' means, all estimation counted.

    Args:
        total: the closing sums: `means` (2, 2), above and below each arm's fraction,
            `slopes` (4, params) of these by all coefficients, and `meat`, the outer
            products of each person's scores and four parts, packed.
        inverses: of each regression's information, (p, p).
        means: (2,), of the arms.

    Source:
        Stefanski and Boos (2002), The calculus of M-estimation, Am. Stat. 56, 29-38.
    """
    p = len(inverses[0])
    params = p * len(inverses)
    meat = unpacked(total["meat"], params + 4)
    turn = np.zeros((2, params + 4))
    for arm, (_, below) in enumerate(total["means"]):
        above = params + 2 * arm
        turn[arm, above], turn[arm, above + 1] = 1.0, -means[arm]
        slope = total["slopes"][2 * arm] - means[arm] * total["slopes"][2 * arm + 1]
        for place, inverse in enumerate(inverses):
            part = slice(p * place, p * (place + 1))
            turn[arm, part] = slope[part] @ inverse
        turn[arm] /= below
    return np.asarray(turn @ meat @ turn.T)


def rate_contrasts(
    means: Floats, covariance: Floats, has_time: bool
) -> list[dict[str, Any]]:
    """Return the contrasts of the arms' mean counts, or rates, as `contrasts_of`.

    Args:
        means: (2,), of the arms.
        covariance: (2, 2).
        has_time: whether they are rates.

    Raises:
        NotEstimable: the effect has no variance.
    """
    kind = "rate" if has_time else "mean"
    terms = [_term(f"{kind}_difference", means, SIGN, covariance)]
    if np.all(means > 0):  # a mean of a doubly robust kind may not be
        terms.append(_term(f"{kind}_ratio", np.log(means), SIGN / means, covariance))
    return terms


def contrasts_of(
    means: Floats, covariance: Floats, is_binary: bool
) -> list[dict[str, Any]]:
    """Return the arms' contrasts with 95% limits, by the delta method.

    Ratios are logarithms, as a model's coefficients are. They are left out where a
    mean risk does not lie between 0 and 1, as one of a doubly robust kind may not.

    Raises:
        NotEstimable: the effect has no variance.
    """
    name = "risk_difference" if is_binary else "mean_difference"
    terms = [_term(name, means, SIGN, covariance)]
    if is_binary and np.all((means > 0) & (means < 1)):
        logs, logits = np.log(means), np.log(means / (1 - means))
        terms.append(_term("risk_ratio", logs, SIGN / means, covariance))
        by = SIGN / (means * (1 - means))
        terms.append(_term("odds_ratio", logits, by, covariance))
    return terms


def _term(
    name: str, arms: Floats, gradient: Floats, covariance: Floats
) -> dict[str, Any]:
    square = float(gradient @ covariance @ gradient)
    return contrast_term(name, float(arms[1] - arms[0]), max(square, 0.0) ** 0.5)


def contrast_term(name: str, estimate: float, se: float) -> dict[str, Any]:
    """Return a contrast as a finding tells it, with 95% limits.

    Raises:
        NotEstimable: it has no variance.
    """
    estimate, se, width = float(estimate), float(se), float(ndtri(0.975))
    if not se > 0:
        raise NotEstimable("the effect has no variance", fix="check the outcome")
    return {
        "name": name,
        "estimate": estimate,
        "se": se,
        "z": estimate / se,
        "p": float(2 * ndtr(-abs(estimate / se))),
        "lower": estimate - width * se,
        "upper": estimate + width * se,
    }


def balance_of(
    columns: Sequence[Column], total: Message, people: Floats
) -> list[dict[str, Any]]:
    """Return each column's standardised mean difference before and after weighting.

    Both stand over the spread before weighting, as `table1` computes it: the root of
    the arms' mean variance. `after` is None where nobody is weighed.

    Args:
        columns: of the design.
        total: holds `columns` (2, p, 3), the sums of x, x² and w x of each arm, and
            `weights` (2, 2), the sums of w and w².
        people: (2,), in the arms.
    """
    found: list[dict[str, Any]] = []
    weight = total["weights"][:, 0]
    for place, column in enumerate(columns):
        if not column.factors and not column.levels:
            continue  # the intercept
        first, second, weighed = total["columns"][:, place].T
        less = people - 1 if column.factors else people
        square = (second - first**2 / people) / np.maximum(less, 1)
        spread = float(np.sqrt(np.maximum(square, 0.0).mean()))
        before = balance_gap(first / people, spread)
        after = balance_gap(weighed / weight, spread) if weight.all() else None
        found.append({"name": column.name, "before": before, "after": after})
    return found


def balance_gap(means: Floats, spread: float) -> float | None:
    """Return the arms' difference (2,) over a spread; None where nobody differs."""
    return float(means[1] - means[0]) / spread if spread > FLAT else None
