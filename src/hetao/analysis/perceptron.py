"""A multilayer perceptron in NumPy: its output, its loss and the loss's gradient.

All weights stand in one vector, layer by layer. A layer is a matrix (inputs, units)
whose first row is the bias; the design's intercept is the bias of the first layer.
`tests/oracles/test_network.py` holds every step to scikit-learn's.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit

from hetao.analysis.expressions import Floats, Ints
from hetao.study import Network

MOST_LOGIT = 700.0  # beyond, a probability is 0 or 1 in double precision
MOST_NUMBER = 1e4  # of a standardised outcome, as the reported loss sees it


@dataclass(frozen=True)
class Perceptron:
    """The form of a network: how many inputs, units and what comes out.

    Attributes:
        inputs: columns of the design, its intercept too if it has one.
        layers: units of each hidden layer.
        activation: "tanh" or "relu".
        is_binary: whether the output is a logit; else it is the standardised outcome.
    """

    inputs: int
    layers: tuple[int, ...]
    activation: str
    is_binary: bool

    @cached_property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Return (inputs, units) of each layer, the bias being one of the inputs."""
        into = (self.inputs, *(units + 1 for units in self.layers))
        return tuple(zip(into, (*self.layers, 1), strict=True))

    @cached_property
    def size(self) -> int:
        """Return how many weights there are."""
        return sum(into * units for into, units in self.shapes)

    def matrices(self, weights: Floats) -> list[Floats]:
        """Return each layer's (inputs, units) as a view of the vector (size,)."""
        found, at = [], 0
        for into, units in self.shapes:
            found.append(weights[at : at + into * units].reshape(into, units))
            at += into * units
        return found

    def first(self, seed: int) -> Floats:
        """Return the public weights that training starts from, (size,).

        Source:
            The uniform draw of Glorot and Bengio (2010), AISTATS 9, 249-256.
        """
        most = np.concatenate(
            [
                np.full(into * units, np.sqrt(6.0 / (into + units)))
                for into, units in self.shapes
            ]
        )
        draws = _random(f"hetao.network/1 weights {seed}", self.size)
        return np.asarray(most * (2.0 * (draws >> np.uint64(11)) * 2.0**-53 - 1.0))

    def output(self, weights: Floats, X: Floats) -> Floats:
        """Return the logit, or the standardised outcome, of each row (n,)."""
        return self._forward(weights, X)[-1][:, 0]

    def losses(self, weights: Floats, X: Floats, y: Floats) -> Floats:
        """Return each person's loss (n,): minus the log-likelihood, or half a square.

        Outputs are cut where a loss is hopeless anyway, so that it has a bound.
        """
        most = MOST_LOGIT if self.is_binary else MOST_NUMBER
        out = np.clip(self.output(weights, X), -most, most)
        if self.is_binary:
            return np.asarray(np.logaddexp(0.0, out) - y * out)
        return np.asarray((out - y) ** 2 / 2)

    @property
    def most_loss(self) -> float:
        """Return the bound of `losses`."""
        return MOST_LOGIT + 1 if self.is_binary else (MOST_NUMBER + 1) ** 2 / 2

    def gradient(self, weights: Floats, X: Floats, y: Floats) -> Floats:
        """Return the gradient (size,) of the mean loss; 0 of nobody."""
        if not len(y):
            return np.zeros(self.size)
        seen, pulls = self._backward(weights, X, y)
        parts = [(a.T @ d).ravel() / len(y) for a, d in zip(seen, pulls, strict=True)]
        return np.concatenate(parts)

    def pulls(self, weights: Floats, X: Floats, y: Floats) -> Floats:
        """Return how much each person weighs in each first unit's gradient, (units, n).

        The gradient of a unit of the first layer is the sum of people's rows, each
        times what its sign leaves of this.
        """
        seen, pulls = self._backward(weights, X, y)
        # and in that of what leaves each unit: what it passes on, times its error
        later = [
            np.abs(inside[:, 1:]) * np.abs(pull).max(axis=1)[:, None]
            for inside, pull in zip(seen[1:], pulls[1:], strict=True)
        ]
        return np.hstack([np.abs(pulls[0]), *later]).T

    def _forward(self, weights: Floats, X: Floats) -> list[Floats]:
        """Return what goes into each layer, and the output (n, 1)."""
        matrices = self.matrices(weights)
        seen = [X]
        for place, matrix in enumerate(matrices):
            total = seen[-1] @ matrix
            if place + 1 == len(matrices):
                return [*seen, total]
            inside = np.empty((len(X), total.shape[1] + 1))
            inside[:, 0] = 1.0
            if self.activation == "tanh":
                np.tanh(total, out=inside[:, 1:])
            else:
                np.maximum(total, 0.0, out=inside[:, 1:])
            seen.append(inside)
        return seen

    def _backward(
        self, weights: Floats, X: Floats, y: Floats
    ) -> tuple[list[Floats], list[Floats]]:
        """Return what goes into each layer, and each person's derivative there."""
        matrices = self.matrices(weights)
        *seen, out = self._forward(weights, X)
        error = (expit(out[:, 0]) if self.is_binary else out[:, 0]) - y
        pulls = [error[:, None]]
        for matrix, inside in zip(matrices[:0:-1], seen[:0:-1], strict=True):
            units = inside[:, 1:]
            slope = 1 - units**2 if self.activation == "tanh" else units > 0
            pulls.insert(0, (pulls[0] @ matrix[1:].T) * slope)
        return seen, pulls


@dataclass(frozen=True)
class Training:
    """A site's part of one round: from the common weights to its own.

    Attributes:
        network: as the study declares it.
        perceptron: its form.
        key: of the order of people; the site's name and the round are in it.
    """

    network: Network
    perceptron: Perceptron
    key: str

    def trained(
        self, weights: Floats, X: Floats, y: Floats, correction: Floats | None = None
    ) -> Floats:
        """Return the weights (size,) after the local epochs.

        Args:
            weights: (size,) that the round starts from.
            X: (n, inputs), of one person and more.
            y: (n,).
            correction: (size,) added to every gradient, of SCAFFOLD; None for none.

        A pass takes the people in an order of its own, in batches of equal size but
        for one person, so that nobody weighs much more than another.
        """
        net, mine = self.network, weights.copy()
        count = -(-len(y) // net.batch_size) if net.batch_size else 1
        for epoch in range(net.local_epochs):
            for chosen in np.array_split(order(f"{self.key} {epoch}", len(y)), count):
                if count == 1:
                    step = self.perceptron.gradient(mine, X, y)
                else:
                    step = self.perceptron.gradient(mine, X[chosen], y[chosen])
                if net.mu:
                    step += net.mu * (mine - weights)
                if correction is not None:
                    step += correction
                mine -= net.lr * step
        return mine


def order(key: str, n: int) -> Ints:
    """Return the order of n people that a public key gives, (n,)."""
    return np.argsort(_random(f"hetao.network/1 order {key}", n), kind="stable")


def shortened(vector: Floats, most: float) -> Floats:
    """Return a vector whose L2 norm is at most that, in the same direction."""
    norm = float(np.linalg.norm(vector))
    return vector * (most / norm) if norm > most else vector


def _random(key: str, n: int) -> "np.typing.NDArray[np.uint64]":
    """Return n uniform words, the same in every version of every library."""
    return np.frombuffer(hashlib.shake_256(key.encode()).digest(8 * n), "<u8")
