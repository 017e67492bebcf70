"""Attrition: people left after each criterion, in one round."""

import numpy as np

from hetao.analysis.estimator import Message, OneRound, State, estimator
from hetao.analysis.finding import Finding
from hetao.analysis.rows import Rows


@estimator(
    name="counts",
    sums={"people": "steps", "n": 1},
    most_rounds=1,
    publishable=False,  # a site's own steps differ by a few people
)
class Counts(OneRound):
    """How many people there are, and how many each criterion leaves."""

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds: a person is one count."""
        del round_number
        return {"people": (1.0, 0.0), "n": (1.0, 0.0)}

    def start(self, rows: Rows) -> Message:
        """Return people left after each step."""
        people = np.asarray(rows.attrition, dtype=np.float64)
        return {"people": people, "n": np.array([float(rows.n)])}

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the finding."""
        del state, round_number
        people = [round(count) for count in total["people"].tolist()]
        before = [people[0], *people]
        steps = [
            {"label": label, "n": n, "removed": last - n}
            for label, n, last in zip(self.plan.steps, people, before, strict=False)
        ]
        payload = {"model": "counts", "steps": steps}
        return Finding(self.plan.analysis.name, self.name, payload)
