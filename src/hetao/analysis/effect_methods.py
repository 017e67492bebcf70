"""The three methods of an effect: by weights, by predictions, and by both."""

from hetao.analysis.effects import MOST, OPENING, SUMS, Effect
from hetao.analysis.estimator import estimator


@estimator(name="ipw", opening=OPENING, sums=SUMS, most_rounds=MOST, publishable=False)
class Ipw(Effect):
    """Weighted contrast of the arms, the weights from the propensity score (Hájek).

    Source:
        Lunceford and Davidian (2004), Stat. Med. 23, 2937-2960. Oracle:
        `tests/oracles/test_effects.py`.
    """


@estimator(
    name="g_computation",
    opening=OPENING,
    sums=SUMS,
    most_rounds=MOST,
    publishable=False,
)
class GComputation(Effect):
    """Mean predictions for all under either arm, by a regression within each arm.

    Source:
        Snowden, Rose and Mortimer (2011), Am. J. Epidemiol. 173, 731-738. Oracle:
        `tests/oracles/test_effects.py`.
    """


@estimator(name="aipw", opening=OPENING, sums=SUMS, most_rounds=MOST, publishable=False)
class Aipw(Effect):
    """Mean predictions, set right by weighted residuals: either model may be wrong.

    Source:
        Glynn and Quinn (2010), Polit. Anal. 18, 36-56. Oracle:
        `tests/oracles/test_effects.py`.
    """
