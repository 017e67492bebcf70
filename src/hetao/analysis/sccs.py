"""The self-controlled case series: each person is compared with themselves alone."""

from typing import ClassVar

from hetao.analysis.clogit import ETA, LOG_PEOPLE, ConditionalLogistic
from hetao.analysis.conditional import Sets, drawn_one_by_one
from hetao.analysis.estimator import estimator
from hetao.analysis.expressions import Floats
from hetao.analysis.newton import MOST_ROUNDS, Point


@estimator(
    name="sccs",
    sums={"score": "p", "info": "sym(p)", "loglik": 1, "cases": 1, "n": 1},
    most_rounds=MOST_ROUNDS,
    publishable=True,
)
class SelfControlled(ConditionalLogistic):
    """Maximum of the likelihood of when people's events fell, given how many they had.

    Rows are the intervals of a person's observed time, within which nothing of the
    model changes; the outcome is how many events fell into each, the offset the
    logarithm of its length. That likelihood is multinomial, and its maximum and
    standard errors are those of a Poisson regression with a level for every person,
    none of which leaves the site or is even estimated. Who had no event, or has one
    interval alone, says nothing and does not count as people.

    It holds if an event changes neither what a person is exposed to later nor how long
    they are observed; where an event may kill, end the observation or stop a treatment,
    the rate ratio is biased, and no test here can see it.

    The gate guards it as it does `clogit`: the people are those with an event, a column
    needs enough people in whom it differs, and nobody decides too much.

    Source:
        Farrington (1995), Biometrics 51, 228-235; Whitaker, Farrington, Spiessens and
        Musonda (2006), Stat. Med. 25, 1768-1797. Oracle:
        `tests/oracles/test_conditional.py`, R's `glm` with a level for every person.
    """

    relies_on: ClassVar[tuple[str, ...]] = (
        *ConditionalLogistic.relies_on,
        "hetao.analysis.clogit",
    )
    nothing: ClassVar[str] = "nobody has both an event and several intervals"

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of a round: each event adds what a case of a set would."""
        del round_number
        most = self.plan.outcome[1]
        return {
            "score": (2.0 * most, None),
            "info": (most, None),
            "loglik": (most * (2 * ETA + LOG_PEOPLE), None),
            "cases": (most, 0.0),
            "n": (1.0, 0.0),
        }

    def _point(self, sets: Sets, eta: Floats) -> Point:
        return drawn_one_by_one(sets, eta)[0]

    def _spreads(self, sets: Sets, eta: Floats) -> Floats:
        return drawn_one_by_one(sets, eta)[1]

    def _said(self) -> dict[str, str]:
        return {}
