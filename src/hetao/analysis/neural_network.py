"""Neural networks trained over sites: FedAvg, FedProx and SCAFFOLD in sealed sums.

A round starts at public weights. Each site takes its local steps, shortens the change
of the weights to a public length, and sends it times its people; the mean of what was
summed moves the common weights on. One local step over all people of each site is a
step of gradient descent on the pooled rows, to rounding. Several local steps are not:
what is then found depends on how people are spread over the sites, and is no pooled
estimate.

Source:
    FedAvg: McMahan et al. (2017), AISTATS 54, 1273-1282. FedProx: Li et al. (2020),
    MLSys 2, 429-450. SCAFFOLD, with option I for the control variates, all sites taking
    part and each weighed by its people: Karimireddy et al. (2020), ICML 119, 5132-5143.
    Oracle: `tests/oracles/test_network.py`.
"""

from dataclasses import replace

import numpy as np

from hetao.analysis.estimator import (
    Estimator,
    Message,
    State,
    estimator,
)
from hetao.analysis.evidence import Evidence
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.perceptron import Perceptron, Training, order, shortened
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.errors import InvalidStudy, NotEstimable, WrongShape
from hetao.study import Network
from hetao.study.network import MOST_TRAINING

MOST_WEIGHTS = 50_000


@estimator(
    name="neural_network",
    sums={
        "update": "params",
        "control": "control",
        "loss": 1,
        "held_loss": "held",
        "held": "held",
        "clipped": 1,
        "events": "events",
        "n": 1,
    },
    most_rounds=MOST_TRAINING + 1,
    publishable=False,
)
class NeuralNetwork(Estimator):
    """A network of a binary or a number outcome; the last message tells its loss.

    A gradient over few people gives their rows back, so a site's own message is never
    opened, nor a sum over fewer sites than the minimum. The gate counts every weight as
    a parameter, and looks at the leverage that somebody has in the gradient of any unit
    of the first layer, at the round's weights: a unit that only few people move is
    refused. Whoever is left out for validation stands on the smaller side of a column.
    """

    relies_on = ("hetao.analysis.perceptron", "hetao.study.network")

    def __init__(self, plan: Plan) -> None:
        """Fit the network to a plan.

        Raises:
            InvalidStudy: it has too many weights, or tells sites apart.
        """
        if plan.tells_sites:
            raise InvalidStudy(
                f"{plan.analysis.name}: the weights of a site's own column would be "
                "sums over that site alone",
                fix="leave the site out of the terms",
            )
        network = plan.analysis.network
        self.network: Network = network if network is not None else Network()
        self.form = Perceptron(
            plan.parameters,
            self.network.layers,
            self.network.activation,
            plan.is_binary,
        )
        if self.form.size > MOST_WEIGHTS:
            raise InvalidStudy(
                f"{plan.analysis.name}: the network has more than {MOST_WEIGHTS} "
                "weights",
                fix="use fewer or smaller layers, or fewer terms",
            )
        super().__init__(plan)

    @property
    def is_scaffold(self) -> bool:
        """Return whether control variates correct the sites' steps."""
        return self.network.strategy == "scaffold"

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        return super().sizes() | {
            "params": self.form.size,
            "control": self.form.size if self.is_scaffold else 0,
            "held": 1 if self.network.validation else 0,
            "events": 1 if self.plan.is_binary else 0,
        }

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of a round: a shortened vector counts once a person."""
        del round_number
        return {
            "update": (self.network.clip, None),
            "control": (self.network.clip, None),
            "loss": (self.form.most_loss, 0.0),
            "held_loss": (self.form.most_loss, 0.0),
            "held": (1.0, 0.0),
            "clipped": (1.0, 0.0),
            "events": (1.0, 0.0),
            "n": (1.0, 0.0),
        }

    def start(self, rows: Rows) -> Message:
        """Return the first round of training, from the seed's weights."""
        return self.local(rows, self._opening())

    def local(self, rows: Rows, state: State) -> Message:
        """Return the site's update at `state["weights"]`, times its people.

        Raises:
            NotEstimable: the site's steps run off to infinity.
        """
        weights = self._weights(state)
        number, is_held = int(state["round"][0]), self._held(rows)
        X, y, n = rows.X[~is_held], rows.y[~is_held], int((~is_held).sum())
        made = {
            "update": np.zeros(self.form.size),
            "control": np.zeros(self.form.size if self.is_scaffold else 0),
            "loss": np.array([self.form.losses(weights, X, y).sum()]),
            **self._held_out(weights, rows, is_held),
            "clipped": np.zeros(1),
            "events": np.array([rows.y.sum()] if self.plan.is_binary else []),
            "n": np.array([float(n)]),
        }
        if not n or number >= self.network.rounds:
            return made
        correction = None
        if self.is_scaffold:
            mine = self._control(weights, X, y)
            made["control"] = n * mine
            correction = np.zeros(self.form.size)
            if "previous" in state:  # its own control is that at the weights before
                before = self._control(state["previous"], X, y)
                correction = state["control"] - before
        key = f"{self.network.seed} {rows.site} {number}"
        with np.errstate(over="ignore", invalid="ignore"):
            training = Training(self.network, self.form, key)
            update = training.trained(weights, X, y, correction) - weights
        if not np.isfinite(update).all():
            raise NotEstimable(
                "the network's weights run off to infinity",
                fix="use a smaller lr, or fewer local epochs",
            )
        made["update"] = n * shortened(update, self.network.clip)
        if np.linalg.norm(update) > self.network.clip:
            made["clipped"] = np.array([float(n)])
        return made

    def weights(self, rows: Rows, state: State) -> Floats | None:
        """Return how much people move each unit of the first layer, (units, n).

        A unit that nobody moves at a site has no gradient there, and says nothing.
        """
        is_held = self._held(rows)
        pulls = self.form.pulls(self._weights(state), rows.X, rows.y) * ~is_held
        moved = pulls[pulls.any(axis=1)]
        return moved if len(moved) else None

    def guarded(
        self, facts: Evidence, rows: Rows, state: State | None
    ) -> tuple[Evidence, bool]:
        """Return the facts with all weights as parameters, and who is left out."""
        del state
        cells = facts.cells | {"behind a batch's gradient": 1}
        sides = dict(facts.smallest_side)
        if self.network.validation:
            sides["the validation"] = int(self._held(rows).sum())
        facts = replace(
            facts, parameters=self.form.size, smallest_side=sides, cells=cells
        )
        return facts, self.own_cells

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the next weights, or the finding.

        Raises:
            NotEstimable: nobody is trained on, everyone or no one has the event, or the
                weights run off to infinity.
        """
        n = float(total["n"][0])
        self._check_people(total, n)
        state = state or self._opening()
        loss = np.append(state["loss"], total["loss"] / n)
        held = state["held_loss"]
        if self.network.validation:
            held = np.append(held, total["held_loss"] / total["held"])
        clipped = state["clipped"] + (total["clipped"] > 0)
        weights = self._weights(state)
        if round_number >= self.network.rounds:
            told = {"loss": loss, "held_loss": held, "clipped": clipped}
            return self._finding(weights, total, told, round_number + 1)
        moved = weights + self.network.server_lr * total["update"] / n
        if not np.isfinite(moved).all():
            raise NotEstimable(
                "the network's weights run off to infinity", fix="use a smaller lr"
            )
        following = {
            "weights": moved,
            "round": np.array([round_number + 1.0]),
            "loss": loss,
            "held_loss": held,
            "clipped": clipped.astype(np.float64),
        }
        if self.is_scaffold:
            following |= {"previous": weights, "control": total["control"] / n}
        return following

    def _opening(self) -> State:
        return {
            "weights": self.form.first(self.network.seed),
            "round": np.zeros(1),
            "loss": np.zeros(0),
            "held_loss": np.zeros(0),
            "clipped": np.zeros(1),
        }

    def _weights(self, state: State) -> Floats:
        weights = state.get("weights")
        if weights is None or weights.shape != (self.form.size,):
            raise WrongShape("the state does not hold the network's weights")
        return weights

    def _control(self, weights: Floats, X: Floats, y: Floats) -> Floats:
        """Return the site's control variate: its gradient, shortened as updates are."""
        return shortened(self.form.gradient(weights, X, y), self.network.clip)

    def _held(self, rows: Rows) -> "np.typing.NDArray[np.bool_]":
        """Return who is left out of training; the same people in every round."""
        is_held = np.zeros(rows.n, dtype=bool)
        count = int(self.network.validation * rows.n)
        if count:
            key = f"{self.network.seed} {rows.site} validation"
            is_held[order(key, rows.n)[:count]] = True
        return is_held

    def _held_out(
        self, weights: Floats, rows: Rows, is_held: "np.typing.NDArray[np.bool_]"
    ) -> Message:
        if not self.network.validation:
            return {"held_loss": np.zeros(0), "held": np.zeros(0)}
        losses = self.form.losses(weights, rows.X[is_held], rows.y[is_held])
        return {
            "held_loss": np.array([losses.sum()]),
            "held": np.array([float(is_held.sum())]),
        }

    def _check_people(self, total: Message, n: float) -> None:
        if n <= 0 or (self.network.validation and total["held"][0] <= 0):
            raise NotEstimable(
                "nobody is there to train or to validate on",
                fix="check the criteria, or leave out validation",
            )
        if not self.plan.is_binary:
            return
        people = n + float(total["held"].sum())
        if not 0 < float(total["events"][0]) < people:
            raise NotEstimable(
                f"everyone or no one has the outcome {self.plan.analysis.outcome!r}",
                fix="check the outcome's definition",
            )

    def _finding(
        self, weights: Floats, total: Message, told: Message, rounds: int
    ) -> Finding:
        net, plan = self.network, self.plan
        people = {"n": round(float(total["n"][0] + total["held"].sum()))}
        if plan.is_binary:
            people["events"] = round(float(total["events"][0]))
        payload = {
            "model": self.name,
            "strategy": net.strategy,
            "activation": net.activation,
            "layers": list(net.layers),
            "inputs": [
                {"name": c.name, "centre": c.centre, "scale": c.scale}
                for c in plan.columns
            ],
            "weights": [one.tolist() for one in self.form.matrices(weights)],
            "loss": told["loss"].tolist(),
            "validation_loss": told["held_loss"].tolist(),
            "clipped_rounds": round(float(told["clipped"][0])),
            "rounds": rounds,
            **people,
        }
        if not plan.is_binary:
            centre, scale = plan.outcome_scale
            payload["output"] = {"centre": centre, "scale": scale}
        return Finding(plan.analysis.name, self.name, payload)
