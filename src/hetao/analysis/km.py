"""Kaplan-Meier curves on a public grid: one round of counts.

The counts in the bins of a fine grid are small, so a site's own message is never
publishable: only its sum over sites may be seen.
"""

from typing import Any

import numpy as np
from scipy.special import chdtrc

from hetao.analysis.estimator import Estimator, Message, State, estimator, sum_by
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable

HALF = 1.5e-8  # R's tolerance for a survival of one half


@estimator(
    name="km",
    sums={"deaths": "groups,edges", "leaving": "groups,edges", "n": 1},
    most_rounds=1,
    publishable=False,
)
class KaplanMeier(Estimator):
    """Product-limit curves with Greenwood's errors, and the log-rank test.

    Source:
        R's `survival::survfit` and `survdiff` on times moved to the grid's right
        edges. Oracle: `tests/oracles/test_r.py`.
    """

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds: a person is one count."""
        del round_number
        return {"deaths": (1.0, 0.0), "leaving": (1.0, 0.0), "n": (1.0, 0.0)}

    def start(self, rows: Rows) -> Message:
        """Return events and leavers (events included) of each group in each bin."""
        shape = (len(self.plan.groups), len(self.plan.edges))
        place = rows.group * shape[1] + rows.bin
        size = shape[0] * shape[1]
        return {
            "deaths": sum_by(place, size, rows.event).reshape(shape),
            "leaving": sum_by(place, size).reshape(shape),
            "n": np.array([float(rows.n)]),
        }

    def local(self, rows: Rows, state: State) -> Message:
        """Return what `start` returns; there is one round."""
        del state
        return self.start(rows)

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the finding.

        Raises:
            NotEstimable: no one has the event.
        """
        del state, round_number
        deaths = np.rint(total["deaths"])
        leaving = np.rint(total["leaving"])
        if not deaths.any():
            raise NotEstimable(
                f"no one has the event {self.plan.analysis.event!r}",
                fix="check the event's definition",
            )
        at_risk = leaving[:, ::-1].cumsum(axis=1)[:, ::-1]
        edges = np.asarray(self.plan.edges)
        payload: dict[str, Any] = {
            "model": "km",
            "curves": [
                _curve(label, edges, at_risk[g], deaths[g])
                for g, label in enumerate(self.plan.groups)
            ],
            "n": round(float(leaving.sum())),
            "events": round(float(deaths.sum())),
        }
        if len(self.plan.groups) > 1:
            payload["logrank"] = _logrank(at_risk, deaths)
        return Finding(self.plan.analysis.name, self.name, payload)


def _curve(
    label: str, edges: Floats, at_risk: Floats, deaths: Floats
) -> dict[str, Any]:
    steps = deaths > 0
    time, n, d = edges[steps], at_risk[steps], deaths[steps]
    survival: Floats = np.asarray(np.cumprod((n - d) / n), dtype=np.float64)
    left = np.where(n > d, n - d, 1.0)
    variance = np.cumsum(np.where(n > d, d / (n * left), 0.0))
    se: Floats = survival * np.sqrt(variance)
    return {
        "stratum": label,
        "time": time.tolist(),
        "survival": survival.tolist(),
        "se": [float(e) if s > 0 else None for e, s in zip(se, survival, strict=True)],
        "at_risk": [round(x) for x in n.tolist()],
        "events": [round(x) for x in d.tolist()],
        "n": round(float(at_risk[0])),
        "median": _median(time, survival),
    }


def _median(time: Floats, survival: Floats) -> float | None:
    """Return when half are left; the middle of a stay at one half, as R has it."""
    below = np.nonzero(survival < 0.5 + HALF)[0]
    if not len(below):
        return None
    first = below[0]
    if abs(survival[first] - 0.5) < HALF and first + 1 < len(time):
        return float((time[first] + time[first + 1]) / 2)
    return float(time[first])


def _logrank(at_risk: Floats, deaths: Floats) -> dict[str, float | int | None]:
    """Return the log-rank test of equal hazards, over groups that have people."""
    used = at_risk[:, 0] > 0
    n, d = at_risk[used], deaths[used]
    all_n, all_d = n.sum(axis=0), d.sum(axis=0)
    steps = all_d > 0
    n, d, all_n, all_d = n[:, steps], d[:, steps], all_n[steps], all_d[steps]
    share = n / all_n
    excess = (d - share * all_d).sum(axis=1)
    scale = all_d * (all_n - all_d) / np.maximum(all_n - 1, 1)
    covariance = np.diag((share * scale).sum(axis=1)) - (share * scale) @ share.T
    freedom = len(n) - 1
    kept = covariance[:-1, :-1]
    if freedom < 1 or np.linalg.matrix_rank(kept, hermitian=True) < freedom:
        return {"chi2": None, "df": freedom, "p": None}
    value = float(excess[:-1] @ np.linalg.solve(kept, excess[:-1]))
    return {"chi2": value, "df": freedom, "p": float(chdtrc(freedom, value))}
