"""How much people weigh at a state of a logistic model, for the gate alone.

Where a probability is 0 or 1 to the last digit a person's working weight is 0, and a
leverage under such weights sees nobody. Two states at which that is so of a group of
people, and between which one of them passes from 0 to 1, differ by that person's row.
So those whose outcome is beyond doubt are looked at by themselves as well, each against
the others of them: whoever lies nearest to the border of such a state weighs most.

Everything in this file stays inside the site.
"""

import numpy as np
from scipy.special import expit

from hetao.analysis.expressions import Floats

SURE = 20.0  # linear predictor: the outcome is known but for 2 in a billion
FEW = 10  # so many and more make a group, of which one may be split off


def working(eta: Floats) -> Floats:
    """Return the weights (k, n) under which the gate looks for leverage at a state.

    The first are the working weights mu (1 - mu). Where a group of people is beyond
    doubt, the second are those of this group, which fall with the distance from the
    border as the first would if numbers were fine enough.

    Args:
        eta: (n,) linear predictors, not clipped.
    """
    distance = np.abs(eta)
    if not np.isfinite(distance).all():
        return np.zeros((1, len(eta)))  # no honest state: nobody counts
    curve = expit(eta) * expit(-eta)
    sure = distance > SURE
    if np.count_nonzero(sure) < FEW:
        return curve[None, :]
    beyond = np.zeros_like(distance)
    beyond[sure] = np.exp(distance[sure].min() - distance[sure])
    return np.stack([curve, beyond])
