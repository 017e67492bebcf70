"""Counts with noise: an answer to a question that nobody approved by itself.

A site may set a budget of privacy loss aside for questions of its own people, such as
how many patients a study would find. Such counts bear noise of the discrete Laplace
distribution, drawn by OpenDP from the machine's own randomness in exact arithmetic; no
noise is made here. Nothing of this goes into a certificate: estimates are exact.

Source:
    Dwork, McSherry, Nissim, Smith (2006), TCC, section 3: counts of disjoint cells have
    sensitivity 1 when one person is added or taken away. Ghosh, Roughgarden,
    Sundararajan (2009), STOC: the discrete Laplace, or geometric, mechanism.
    Casacuberta et al. (2022), CCS: why floating-point noise is none.
"""

import math
from collections.abc import Sequence
from typing import Final, Protocol

from hetao.errors import PrivacySpent, Usage

GRAIN: Final = 10**9  # of an epsilon of 1: budgets add up in whole numbers
ABOVE: Final = 1e-9  # the scale lies so much above 1/epsilon that its map stays below
MOST_CELLS: Final = 10_000
USUAL_MARGIN: Final = 0.95


class _Measurement(Protocol):
    """What OpenDP makes, as it is used here."""

    def __call__(self, arg: list[int]) -> list[int]:
        """Return the values with noise."""

    def map(self, d_in: int) -> float:
        """Return the privacy loss where so many people differ."""


def grains(epsilon: float) -> int:
    """Return a privacy loss in whole grains."""
    return round(epsilon * GRAIN)


def noisy(counts: Sequence[int], epsilon: float) -> list[int]:
    """Return counts of disjoint cells with noise, each independent of the others.

    Args:
        counts: of people, each of whom is in one cell.
        epsilon: the privacy loss of all of them together.

    Raises:
        Usage: OpenDP is not installed.
        PrivacySpent: OpenDP does not vouch for the loss that is charged.
    """
    try:
        import opendp.prelude as dp
    except ImportError as error:
        raise Usage(
            "counts with noise need OpenDP",
            fix='install it with pip install "hetao[dp]"',
        ) from error
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T=int)), dp.l1_distance(T=int)
    measurement: _Measurement = dp.m.make_laplace(*space, scale=scale_of(epsilon))
    if not measurement.map(1) <= epsilon:
        raise PrivacySpent("the mechanism does not keep within the loss asked for")
    return [int(count) for count in measurement([int(count) for count in counts])]


def scale_of(epsilon: float) -> float:
    """Return the scale of the noise whose privacy loss is no more than epsilon."""
    return (1.0 / epsilon) * (1.0 + ABOVE)


def margin(epsilon: float, cells: int = 1, level: float = USUAL_MARGIN) -> int:
    """Return within what of the true count a noisy one lies, at a level.

    Args:
        epsilon: of the question.
        cells: how many cells are summed; of several the central limit is used.
        level: share of questions for which it holds.
    """
    alpha = math.exp(-1.0 / scale_of(epsilon))
    if cells == 1:  # P(|X| > t) = 2 alpha^(t+1) / (1 + alpha)
        t = math.log((1 - level) * (1 + alpha) / 2) / math.log(alpha) - 1
        return max(0, math.ceil(t))
    variance = 2 * alpha / (1 - alpha) ** 2
    return math.ceil(1.959964 * math.sqrt(cells * variance))


def probability(epsilon: float, at: int) -> float:
    """Return how likely the noise is a whole number: (1 - a)/(1 + a) a^|at|."""
    alpha = math.exp(-1.0 / scale_of(epsilon))
    return (1 - alpha) / (1 + alpha) * alpha ** abs(at)
