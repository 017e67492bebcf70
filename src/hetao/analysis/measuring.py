"""What estimators share that measure predictions: sums, cuts, calibration, the finding.

Beside the rounds of the calibration's two regressions the predictions are counted in
fine bins, without the outcome; the last round counts them by outcome, where enough
people lie between two cuts.
"""

from abc import abstractmethod
from typing import Any, ClassVar, Final

import numpy as np
from scipy.special import expit

from hetao.analysis.discrimination import (
    FINE,
    auc_of,
    cuts_of,
    fine_edges,
    groups_of,
    places,
    roc_of,
    threshold_of,
)
from hetao.analysis.estimator import (
    Estimator,
    Message,
    Shapes,
    State,
    own_state,
    packed,
    sum_by,
    unpacked,
)
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.logistic import ETA
from hetao.analysis.measures import measures_of
from hetao.analysis.newton import Fit, Point, advance
from hetao.analysis.prediction import FURTHEST
from hetao.errors import NotEstimable, WrongShape
from hetao.study import Minimum

LINE: Final = ("calibration intercept", "calibration slope")
MOMENTS: Final[Shapes] = {"moments": 8, "line": 5, "level": 2, "loglik": 3}
HISTOGRAMS: Final[Shapes] = {
    "fine": "bins",
    "by_outcome": "2,bins",
    "predicted": "bins",
}


class Measuring(Estimator):
    """An estimator that ends with the performance of predictions.

    KNOWN GAP: whoever carries out the rounds, and from the next round on every site,
    sees of all sites together how many people lie in each of about a thousand fine bins
    of prediction, their outcomes left out. The last message alone, whose sums no site
    is shown, counts outcomes, between cuts that enough people lie between.
    """

    relies_on: ClassVar[tuple[str, ...]] = (
        "hetao.analysis.discrimination",
        "hetao.analysis.logistic",
        "hetao.analysis.measures",
        "hetao.analysis.newton",
        "hetao.analysis.prediction",
    )

    @property
    @abstractmethod
    def prediction(self) -> str:
        """Return whose predictions they are."""

    @abstractmethod
    def told(self, state: State) -> dict[str, Any]:
        """Return what the finding tells beside the performance."""

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        return super().sizes() | {"bins": FINE + len(self.plan.analysis.thresholds)}

    def measured_bounds(
        self, round_number: int
    ) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of MOMENTS and, after the opening, of HISTOGRAMS."""
        bounds: dict[str, tuple[float, float | None]] = {
            **dict.fromkeys(MOMENTS, (1.0, None)),
            "loglik": (ETA + 1, None),
        }
        if not round_number:
            return bounds
        return bounds | dict.fromkeys(HISTOGRAMS, (1.0, 0.0))

    def blank(self, y: Floats, number: int) -> Message:
        """Return a message of zeros that counts people and their events."""
        message = {name: np.zeros(s.shape) for name, s in self.declare(number).items()}
        message["events"] = np.array([y.sum()])
        message["n"] = np.array([float(len(y))])
        return message

    def check_outcome(self, total: Message) -> None:
        """Refuse an outcome that hardly anyone has, or hardly anyone has not.

        Raises:
            NotEstimable: fewer than two have it, or have it not.
        """
        n, events = float(total["n"][0]), float(np.rint(total["events"][0]))
        if min(events, n - events) < 2:
            raise NotEstimable(
                f"everyone or no one has the outcome {self.plan.analysis.outcome!r}",
                fix="check the outcome's definition",
            )

    def line_at(self, z: Floats, state: State) -> Floats:
        """Return the calibration line of logits over FURTHEST, (n,).

        Raises:
            WrongShape: the state holds no line and level.
        """
        line, level = state.get("line"), state.get("level")
        if line is None or line.shape != (2,) or level is None or level.shape != (1,):
            raise WrongShape("the state does not hold a line and a level")
        return np.asarray(np.clip(line[0] + line[1] * z, -ETA, ETA))

    def measured(self, y: Floats, z: Floats, state: State) -> Message:
        """Return moments of the predictions, and both calibrations' sums at a state.

        Args:
            y: (n,) outcome, 0 or 1.
            z: (n,) logits of the predictions over FURTHEST.
            state: where the calibrations are.
        """
        p, eta = expit(FURTHEST * z), self.line_at(z, state)
        lifted = np.clip(state["level"][0] + FURTHEST * z, -ETA, ETA)
        mu, level = expit(eta), expit(lifted)
        error, spread = (p - y) ** 2, mu * (1 - mu)
        moments = (z, z * z, p, p * p, p * y, error, error**2, error * y)
        line = (y - mu, z * (y - mu), spread, spread * z, spread * z * z)
        at = [eta, lifted, FURTHEST * z]
        return {
            "moments": np.array([m.sum() for m in moments]),
            "line": np.array([s.sum() for s in line]),
            "level": np.array([(y - level).sum(), (level * (1 - level)).sum()]),
            "loglik": np.array([np.sum(y * e - np.logaddexp(0, e)) for e in at]),
        }

    def counted(self, y: Floats, z: Floats, state: State) -> Message:
        """Return the histograms that the state's edges and cuts ask for.

        Raises:
            WrongShape: the state does not cut the predictions.
        """
        size = self.sizes()["bins"]
        for name in ("edges", "cuts"):
            if name in state and state[name].shape != (size - 1,):
                raise WrongShape("the state does not cut the predictions")
        p = expit(FURTHEST * z)
        fine, by_outcome, sums = np.zeros(size), np.zeros((2, size)), np.zeros(size)
        if "cuts" in state:
            place = places(state["cuts"], p)
            cases = sum_by(place, size, y)
            by_outcome = np.stack([sum_by(place, size) - cases, cases])
            sums = sum_by(place, size, p)
        elif "edges" in state:
            fine = sum_by(places(state["edges"], p), size)
        return {"fine": fine, "by_outcome": by_outcome, "predicted": sums}

    def thinnest(self, y: Floats, z: Floats, state: State) -> dict[str, int]:
        """Return the people in the thinnest bin of the predictions that has any."""
        message = self.counted(y, z, state)
        counts = np.concatenate([message["fine"], message["by_outcome"].ravel()])
        least = counts[counts > 0].min(initial=len(y))
        return {"people in the thinnest bin of the prediction": int(least)}

    def measure(
        self, total: Message, state: State, round_number: int
    ) -> State | Finding:
        """Return both calibrations a step further and the next cuts, or the finding.

        Raises:
            NotEstimable: predictions are all the same, or separate the outcome.
        """
        if "cuts" in state:
            return self._measured_finding(total, state, round_number)
        after = {k: v for k, v in state.items() if not k.startswith(("line", "level"))}
        after["since"] = state["since"] + 1
        line = unpacked(total["line"][2:], 2), total["line"][:2]
        level = total["level"][1:].reshape(1, 1), total["level"][:1]
        for name, (info, score), names, place in (
            ("line", line, LINE, 0),
            ("level", level, ("calibration in the large",), 1),
        ):
            mine = own_state(state, f"{name} ") | {"beta": state[name]}
            if "done" not in mine:
                point = Point(score, info, float(total["loglik"][place]))
                moved = advance(point, mine, int(state["since"][0]), names)
                if isinstance(moved, Fit):
                    moved = {"beta": moved.beta, "done": packed(moved.covariance)}
                mine = moved
            after[name] = mine.pop("beta")
            after |= {f"{name} {key}": array for key, array in mine.items()}
        analysis = self.plan.analysis
        if "edges" not in state:
            n, (first, second) = float(total["n"][0]), total["moments"][:2].tolist()
            mean = first / n
            sd = float(np.sqrt(max(second / n - mean**2, 0.0)))
            edges = fine_edges(FURTHEST * mean, FURTHEST * sd, analysis.thresholds)
            after["edges"] = edges
        elif "line done" in after and "level done" in after:
            # Only the last message counts outcomes: no round shows sites its sums.
            least = (self.plan.minimum or Minimum()).cell
            counts = np.rint(total["fine"])
            after["cuts"] = cuts_of(counts, state["edges"], analysis.thresholds, least)
        return after

    def _measured_finding(
        self, total: Message, state: State, round_number: int
    ) -> Finding:
        def whole(counts: Floats) -> list[int]:
            return [round(count) for count in counts.tolist()]

        analysis = self.plan.analysis
        controls, cases = np.rint(total["by_outcome"])
        n1, n0 = float(cases.sum()), float(controls.sum())
        auc, cuts = auc_of(cases, controls), state["cuts"]
        roc = roc_of(cuts, cases, controls)
        at = {one["cut"]: (one["tp"], one["fp"]) for one in roc}
        payload: dict[str, Any] = {
            "model": self.plan.analysis.method,
            "prediction": self.prediction,
            "terms": measures_of(auc, total, state),
            "auc": auc,
            "roc": roc,
            "thresholds": [
                threshold_of(cut, at.get(cut), (n1, n0)) for cut in analysis.thresholds
            ],
            "calibration": groups_of(
                cuts, cases + controls, cases, total["predicted"], analysis.groups
            ),
            "bins": {"cases": whole(cases), "controls": whole(controls)},
            "loglik": float(total["loglik"][2]),
            "rounds": round_number + 1,
            "converged": True,
            "n": round(n1 + n0),
            "events": round(n1),
            **self.told(state),
        }
        return Finding(analysis.name, self.name, payload)


def begun(state: State) -> State:
    """Return the state with the calibrations at their opening: no correction."""
    opening = {"line": [0.0, FURTHEST], "level": [0.0], "since": [0.0]}
    return {**state, **{name: np.array(value) for name, value in opening.items()}}
