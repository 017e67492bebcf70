"""How much people weigh under a propensity score, and how that moves with the score."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from hetao.analysis.expressions import Floats, Ints
from hetao.errors import NotEstimable, WrongShape
from hetao.study import Analysis

BINS: Final = 1024  # equal ones of a score from 0 to 1, at whose edges strata end
CUTS: Final = "cuts"  # in a state whose strata are known
HEAVIEST = 1000.0  # most that a person may weigh, where a usual one weighs about 1


@dataclass(frozen=True)
class Weights:
    """Weights of a site's people, each arm in a row; 0 of whoever is not in the arm.

    Attributes:
        of: (2, n), the weights.
        slope: (2, n), their derivative by the logit of the score.
        share: (n,), 1 of those whose effect is asked for; what predictions of
            everyone's outcome are averaged over.
    """

    of: Floats
    slope: Floats
    share: Floats


def heaviest(analysis: Analysis) -> float:
    """Return the most that a person may weigh under the estimand and truncation."""
    if analysis.estimand == "ATO":
        return 1.0
    cut = analysis.truncation
    return min(HEAVIEST, 1 / cut) if cut else HEAVIEST


def weightless(analysis: Analysis, group: Ints) -> Weights:
    """Return the weights where no score is fitted: none, but whose effect it is."""
    none = np.zeros((2, len(group)))
    is_of_treated = analysis.estimand == "ATT"
    share = group == 1 if is_of_treated else np.ones(len(group))
    return Weights(none, none, np.asarray(share, dtype=np.float64))


def overlap(group: Ints, score: Floats, bins: int) -> Floats:
    """Return the histogram (2, bins) of a score (n,) in either arm, (n,) of 0 and 1."""
    if not bins:
        return np.zeros((2, 0))
    place = np.minimum((score * bins).astype(np.int64), bins - 1) + group * bins
    counts = np.bincount(place, minlength=2 * bins).astype(np.float64)
    return counts.reshape(2, bins)


def bin_of(score: Floats) -> Ints:
    """Return the bin (n,) of each score."""
    return np.minimum((score * BINS).astype(np.int64), BINS - 1)


def cuts_of(histogram: Floats, size: int) -> Floats:
    """Return (size - 1,) first bins of the strata after the first, alike in people.

    Args:
        histogram: (BINS,) people by their score.
        size: how many strata.

    Raises:
        NotEstimable: scores are too alike for so many strata.
    """
    until = np.cumsum(np.rint(histogram))
    wanted = until[-1] * np.arange(1, size) / size
    cuts = np.searchsorted(until, wanted, side="left") + 1.0
    if np.any(np.diff(np.concatenate([[0.0], cuts, [BINS + 1.0]])) <= 0):
        raise NotEstimable(
            "the scores are too alike for so many strata", fix="take fewer"
        )
    return np.asarray(cuts)


def stratum_of(place: Ints, cuts: Floats, size: int) -> Ints:
    """Return each person's stratum (n,) from the bin of their score.

    Raises:
        WrongShape: the cuts are none of so many strata.
    """
    if cuts.shape != (size - 1,):
        raise WrongShape("the state does not cut the score into its strata")
    return np.searchsorted(cuts, place, side="right").astype(np.int64)


def weights_by_score(
    analysis: Analysis, group: Ints, score: Floats, *, is_fitted: bool = True
) -> Weights:
    """Return the weights of people by their score.

    A person of the arm `a` weighs h(e) / P(a | e), where h is 1 of the estimand ATE,
    e of ATT and e (1 - e) of ATO. A truncated score does not move a weight.

    Args:
        analysis: says the estimand and the truncation.
        group: (n,), 1 of the treated.
        score: (n,), their probability to be treated.
        is_fitted: whether the score is the fitted one; on the way to it nobody weighs
            more than the heaviest may, and nothing is refused.

    Raises:
        NotEstimable: a person would weigh more than HEAVIEST.

    Source:
        Li, Morgan and Zaslavsky (2018), Balancing covariates via propensity score
        weighting, J. Am. Stat. Assoc. 113, 390-400.
    """
    treated = group == 1
    arms = np.stack([~treated, treated])
    if analysis.estimand == "ATO":
        spread = score * (1 - score)
        of, slope = np.stack([score, 1 - score]), np.stack([spread, -spread])
        share = np.zeros_like(score)  # nothing is predicted for this estimand
        return Weights(of * arms, slope * arms, share)
    cut = analysis.truncation
    moves = (score >= cut) & (score <= 1 - cut)
    e = np.clip(score, cut, 1 - cut)
    with np.errstate(divide="ignore"):
        odds = e / (1 - e)
        if analysis.estimand == "ATT":
            of = np.stack([odds, np.ones_like(e)])
            slope = np.stack([odds, np.zeros_like(e)])
            share = treated.astype(np.float64)
        else:
            of = np.stack([1 + odds, 1 + 1 / odds])
            slope = np.stack([odds, -1 / odds])
            share = np.ones_like(e)
    of, most = np.where(arms, of, 0.0), heaviest(analysis)
    is_heavy = of > most * (1 + 1e-9)
    if not is_fitted:
        return Weights(
            np.minimum(of, most), np.where(arms & moves & ~is_heavy, slope, 0.0), share
        )
    if np.any(is_heavy):
        raise NotEstimable(
            f"a person would weigh more than {HEAVIEST:g}, because hardly anyone of "
            "that kind is in the other arm",
            fix='ask for the effect in the overlap, estimand = "ATO", give a '
            "truncation, or restrict the population",
        )
    return Weights(of, np.where(arms & moves, slope, 0.0), share)
