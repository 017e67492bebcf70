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
from typing import Any, ClassVar, Final

import numpy as np

from hetao.analysis.estimator import Message, Shapes, State, Sum, estimator
from hetao.analysis.evidence import Evidence
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.measuring import HISTOGRAMS, MOMENTS, Measuring, begun
from hetao.analysis.newton import MOST_ROUNDS
from hetao.analysis.perceptron import Perceptron, Training, order, shortened
from hetao.analysis.plan import Plan
from hetao.analysis.prediction import FURTHEST
from hetao.analysis.rows import Rows
from hetao.errors import InvalidStudy, NotEstimable, WrongShape
from hetao.study import Network
from hetao.study.network import MOST_TRAINING

MOST_WEIGHTS = 50_000


TRAINING: Final[Shapes] = {
    "update": "params",
    "control": "control",
    "loss": 1,
    "held_loss": "held",
    "held": "held",
    "clipped": 1,
}


@estimator(
    name="neural_network",
    opening={**TRAINING, "events": 1, "n": 1},
    sums={**TRAINING, **MOMENTS, **HISTOGRAMS, "events": 1, "n": 1},
    most_rounds=MOST_TRAINING + 1 + MOST_ROUNDS,
    publishable=False,
)
class NeuralNetwork(Measuring):
    """A network of a binary or a number outcome; that of a binary one is measured.

    A message holds what trains or, once training is over, what measures, never both.

    A gradient over few people gives their rows back, so a site's own message is never
    opened, nor a sum over fewer sites than the minimum. The gate counts every weight as
    a parameter, and looks at the leverage that somebody has in the gradient of any unit
    of the first layer, at the round's weights: a unit that only few people move is
    refused. Whoever is left out for validation stands on the smaller side of a column.
    """

    relies_on: ClassVar[tuple[str, ...]] = (
        *Measuring.relies_on,
        "hetao.analysis.perceptron",
        "hetao.study.network",
    )

    def __init__(self, plan: Plan) -> None:
        """Fit the network to a plan.

        Raises:
            InvalidStudy: it has too many weights.
        """
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
        }

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of a round: a shortened vector counts once a person."""
        bounds: dict[str, tuple[float, float | None]] = {
            "update": (self.network.clip, None),
            "control": (self.network.clip, None),
            "loss": (self.form.most_loss, 0.0),
            "held_loss": (self.form.most_loss, 0.0),
            "held": (1.0, 0.0),
            "clipped": (1.0, 0.0),
            "events": (1.0, 0.0 if self.plan.is_binary else None),
            "n": (1.0, 0.0),
        }
        return bounds | self.measured_bounds(round_number)

    def declare(self, round_number: int) -> dict[str, Sum]:
        """Return what a site sends in a round: what trains, then what measures."""
        is_over = round_number > self.network.rounds
        left_out = TRAINING if is_over else {**MOMENTS, **HISTOGRAMS}
        declared = super().declare(round_number)
        return {name: s for name, s in declared.items() if name not in left_out}

    @property
    def prediction(self) -> str:
        """Return whose predictions they are."""
        return "left out" if self.network.validation else "fitted to these people"

    def start(self, rows: Rows) -> Message:
        """Return the first round of training, from the seed's weights."""
        return self.local(rows, self._opening())

    def local(self, rows: Rows, state: State) -> Message:
        """Return the site's update at `state["weights"]`, times its people.

        Raises:
            NotEstimable: the site's steps run off to infinity.
        """
        if "line" in state:
            y, z = self._predicted(rows, state)
            message = self.blank(y, self.network.rounds + 1)
            return message | self.measured(y, z, state) | self.counted(y, z, state)
        weights = self._weights(state)
        number, is_held = int(state["round"][0]), self._held(rows)
        X, y, n = rows.X[~is_held], rows.y[~is_held], int((~is_held).sum())
        made = {
            "update": np.zeros(self.form.size),
            "control": np.zeros(self.form.size if self.is_scaffold else 0),
            "loss": np.array([self.form.losses(weights, X, y).sum()]),
            **self._held_out(weights, rows, is_held),
            "clipped": np.zeros(1),
            "events": np.array([rows.y.sum()]),
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
        if "line" in state:
            return None
        is_held = self._held(rows)
        at = [self._weights(state)]
        if "previous" in state and self.is_scaffold:  # its gradient is in the steps too
            at.append(state["previous"])
        pulls = np.vstack([self.form.pulls(w, rows.X, rows.y) for w in at]) * ~is_held
        moved = pulls[pulls.any(axis=1)]
        return moved if len(moved) else None

    def bins(self, rows: Rows, state: State) -> dict[str, int]:
        """Return the people in the thinnest bin of the predictions, once measured."""
        if "line" not in state:
            return {}
        return self.thinnest(*self._predicted(rows, state), state)

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
        if state is not None and "line" in state:
            self.check_outcome(total)
            return self.measure(total, state, round_number)
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
            told = {"weights": weights, "loss": loss, "held_loss": held}
            told |= {"clipped": clipped.astype(np.float64), "learned": total["n"]}
            if self.plan.is_binary:
                return begun(told)
            return self._finding(told, round(n + total["held"].sum()), round_number)
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

    def told(self, state: State) -> dict[str, Any]:
        """Return the network, its weights by layer, and how its loss fell."""
        net, plan = self.network, self.plan
        return {
            "strategy": net.strategy,
            "activation": net.activation,
            "layers": list(net.layers),
            "inputs": [
                {"name": c.name, "centre": c.centre, "scale": c.scale}
                for c in plan.columns
            ],
            "weights": [m.tolist() for m in self.form.matrices(self._weights(state))],
            "loss": state["loss"].tolist(),
            "validation_loss": state["held_loss"].tolist(),
            "clipped_rounds": round(float(state["clipped"][0])),
            "learned": round(float(state["learned"][0])),
        }

    def _predicted(self, rows: Rows, state: State) -> tuple[Floats, Floats]:
        """Return outcome and logit over FURTHEST of those who are measured."""
        chosen = self._held(rows) | (not self.network.validation)
        logits = self.form.output(self._weights(state), rows.X[chosen])
        return rows.y[chosen], np.clip(logits, -FURTHEST, FURTHEST) / FURTHEST

    def _finding(self, state: State, people: int, round_number: int) -> Finding:
        """Return the finding of an outcome that is a number."""
        centre, scale = self.plan.outcome_scale
        payload = {
            "model": self.name,
            "prediction": self.prediction,
            **self.told(state),
            "output": {"centre": centre, "scale": scale},
            "rounds": round_number + 1,
            "n": people,
        }
        return Finding(self.plan.analysis.name, self.name, payload)
