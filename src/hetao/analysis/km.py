"""Kaplan-Meier curves on a public grid: one round of counts.

The counts in the bins of a fine grid are small, so a site's own message is never
publishable: only its sum over sites may be seen.
"""

from typing import Any, ClassVar, Self

import numpy as np

from hetao.analysis.cells import is_by_group, is_told
from hetao.analysis.curves import limits, median, restricted_mean
from hetao.analysis.estimator import (
    OF_PEOPLE,
    Message,
    OneRound,
    State,
    estimator,
    sum_by,
)
from hetao.analysis.evidence import Evidence
from hetao.analysis.expressions import Floats, Ints
from hetao.analysis.finding import Finding
from hetao.analysis.intervals import entry_bins
from hetao.analysis.logrank import chi_square, expect
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.analysis.weighted_curves import (
    CELLS,
    Spread,
    WeightedCurve,
    logrank_influence,
)
from hetao.errors import NotEstimable, SmallCell
from hetao.study import Minimum


@estimator(
    name="km",
    sums={
        "deaths": "groups,edges",
        "leaving": "groups,edges",
        "entering": "late,edges",
        "weighted": "heavy,edges,2",
        "squared": "heavy,edges,2",
        "n": 1,
    },
    most_rounds=1,
    publishable=False,
)
class KaplanMeier(OneRound):
    """Product-limit curves, what is read off them, and the log-rank test.

    Each curve has Greenwood's errors, pointwise limits, the Nelson-Aalen hazard, the
    median with its limits and, up to a public horizon, the restricted mean. They all
    follow outside the sites from the same counts, so nothing more leaves for them.
    What guards them is the rule for small cells in a sum over few sites, and what is
    shown is decided in `suppression`. Who enters late is at risk after their start.

    Where people count by weights, errors are robust, the infinitesimal jackknife, and
    so is the test. Weights in a thin bin would tell who lies in it, and a curve that
    moves at one person's event tells how much they weigh, so each bin of each site
    must then reach the least cell, and no one may be half of a group's weight.

    Source:
        R's `survival::survfit`, its `print` and `survdiff` on times moved to the
        grid's right edges; with weights also `coxph(..., robust = TRUE)$rscore`.
        Oracles: `tests/oracles/test_r.py`, `test_weighted_curves.py`.
    """

    relies_on: ClassVar[tuple[str, ...]] = (
        "hetao.analysis.cells",
        "hetao.analysis.curves",
        "hetao.analysis.logrank",
        "hetao.analysis.weighted_curves",
    )
    of_people: ClassVar[tuple[str, ...]] = (*OF_PEOPLE, "deaths", "leaving", "entering")

    def __init__(self, plan: Plan, own: Minimum | None = None) -> None:
        """Fit the estimator to a plan, and to a site's own least counts."""
        tells_all = is_by_group(plan) and not is_told(plan)
        self._is_finer = tells_all and own is not None and own.cell > 1
        super().__init__(plan)

    def within(self, minimum: Minimum) -> Self:
        """Return the same for a site whose own least cell may be larger."""
        return type(self)(self.plan, minimum)

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds: a person is one count, and one weight."""
        del round_number
        bounds: dict[str, tuple[float, float | None]]
        bounds = dict.fromkeys(self.sums, (1.0, 0.0))
        return bounds | {"squared": (self.plan.most_weight, 0.0)}

    def guarded(
        self, facts: Evidence, rows: Rows, state: State | None
    ) -> tuple[Evidence, bool]:
        """Return the facts; with weights each of a site's own cells must be enough."""
        del rows, state
        return facts, bool(self.plan.analysis.weights)

    def start(self, rows: Rows) -> Message:
        """Return events and leavers (events included) of each group in each bin.

        Where people enter late, also how many enter at each edge, as its own time.

        Raises:
            SmallCell: of a study that shows single people, where the site does not.
        """
        if self._is_finer:
            raise SmallCell(
                f"{rows.site} does not tell of each bin of a grid who is in a group",
                fix="write the largest least count of all sites into the study's "
                "minimum",
            )
        shape = (len(self.plan.groups), len(self.plan.edges))
        place = rows.group * shape[1] + rows.bin
        size = shape[0] * shape[1]
        return {
            "deaths": sum_by(place, size, rows.event).reshape(shape),
            "leaving": sum_by(place, size).reshape(shape),
            "entering": self._entering(rows, shape),
            **self._weights(rows, place),
            "n": np.array([float(rows.n)]),
        }

    def _weights(self, rows: Rows, place: Ints) -> Message:
        """Return the sums of weights and of their squares in each cell."""
        if not self.plan.analysis.weights:
            none = np.zeros((0, len(self.plan.edges), CELLS))
            return {"weighted": none, "squared": none}
        w = rows.weight
        return {
            "weighted": self.by_cell(rows, place, w),
            "squared": self.by_cell(rows, place, w * w),
        }

    def scores(self, rows: Rows, state: State) -> Floats:
        """Return (n, 0): of curves, cells say all that people add."""
        del state
        return np.zeros((rows.n, 0))

    def by_cell(self, rows: Rows, place: Ints, values: Floats) -> Floats:
        """Return (groups, edges, 2) sums of (n,) values, of (n,) bins of groups."""
        shape = (len(self.plan.groups), len(self.plan.edges), CELLS)
        cell = place * CELLS + (rows.event > 0)
        return sum_by(cell, shape[0] * shape[1] * CELLS, values).reshape(shape)

    def _entering(self, rows: Rows, shape: tuple[int, int]) -> Floats:
        if not self.plan.analysis.start:
            return np.zeros((0, shape[1]))
        at = entry_bins(self.plan.edges, rows.start)
        late = at >= 0
        place = rows.group[late] * shape[1] + at[late]
        return sum_by(place, shape[0] * shape[1]).reshape(shape)

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the finding.

        Raises:
            NotEstimable: no one has the event.
        """
        del state, round_number
        return self.finding(in_whole(total), Spread.of_squares(total["squared"]))

    def finding(self, total: Message, spread: Spread) -> Finding:
        """Return the finding.

        Args:
            total: the sums, people `in_whole`.
            spread: of the weights, where there are any.

        Raises:
            NotEstimable: no one has the event.
        """
        deaths, leaving = total["deaths"], total["leaving"]
        if not deaths.any():
            raise NotEstimable(
                f"no one has the event {self.plan.analysis.event!r}",
                fix="check the event's definition",
            )
        at_risk = leaving[:, ::-1].cumsum(axis=1)[:, ::-1]
        people = at_risk[:, 0]
        if self.plan.analysis.start:
            entering = total["entering"]
            at_risk = at_risk - entering[:, ::-1].cumsum(axis=1)[:, ::-1]
        analysis = self.plan.analysis
        payload: dict[str, Any] = {
            "model": "km",
            "conf_type": analysis.conf_type,
            "curves": [
                self._curve(label, at_risk[g], deaths[g], people[g])
                for g, label in enumerate(self.plan.groups)
            ],
            "n": round(float(leaving.sum())),
            "events": round(float(deaths.sum())),
        }
        if analysis.horizon is not None:
            payload["horizon"] = analysis.horizon
        if len(self.plan.groups) > 1:
            payload["logrank"] = _logrank(at_risk, deaths)
        if analysis.start:
            payload["start"] = analysis.start
        if analysis.weights:
            self._weigh(payload, (at_risk, deaths), total["weighted"], spread)
        return Finding(self.plan.analysis.name, self.name, payload)

    def _weigh(
        self,
        payload: dict[str, Any],
        counts: tuple[Floats, Floats],
        weights: Floats,
        spread: Spread,
    ) -> None:
        """Replace what was read off the counts by what is read off the weights."""
        at_risk, deaths = counts
        for g, curve in enumerate(payload["curves"]):
            of = WeightedCurve.of(weights[g], at_risk[g] > deaths[g])
            steps = deaths[g] > 0
            time, survival = np.asarray(self.plan.edges)[steps], of.survival[steps]
            spreads = np.sqrt(spread.along(g, of.gain, of.loss))[steps]
            se = np.where(survival > 0, survival * spreads, np.nan)
            lower, upper = limits(survival, se, self.plan.analysis.conf_type)
            hazard_se = np.sqrt(spread.along(g, of.rise, of.jump))[steps]
            found = {
                "survival": survival.tolist(),
                "se": _numbers(se),
                "lower": _numbers(lower),
                "upper": _numbers(upper),
                "cumhaz": of.cumhaz[steps].tolist(),
                "cumhaz_se": hazard_se.tolist(),
                "median": median(time, survival),
                "median_lower": median(time, lower),
                "median_upper": median(time, upper),
            }
            curve.update(found)
            if curve.get("rmst") is not None:
                curve.update(self._weighted_mean(g, of, spread))
        payload["weights"] = self.plan.analysis.weights
        if "logrank" in payload:
            excess, expected, influence = logrank_influence(weights)
            variance = spread.covariance(influence)
            payload["logrank"] = chi_square(excess, variance, expected > 0)

    def _weighted_mean(
        self, group: int, curve: WeightedCurve, spread: Spread
    ) -> dict[str, float]:
        edges, horizon = np.asarray(self.plan.edges), self.plan.analysis.horizon
        assert horizon is not None  # noqa: S101  the caller asks of one with it
        mean, of_group = curve.mean(edges, horizon)
        influence = np.zeros((1, *spread.squares.shape))
        influence[0, group] = of_group
        variance = spread.covariance(influence)[0, 0]
        return {"rmst": mean, "rmst_se": float(np.sqrt(variance))}

    def _curve(
        self, label: str, at_risk: Floats, deaths: Floats, people: float
    ) -> dict[str, Any]:
        edges, steps = np.asarray(self.plan.edges), deaths > 0
        time, n, d = edges[steps], at_risk[steps], deaths[steps]
        survival: Floats = np.asarray(np.cumprod((n - d) / n), dtype=np.float64)
        left = np.where(n > d, n - d, 1.0)
        variance = np.cumsum(np.where(n > d, d / (n * left), 0.0))
        se: Floats = np.where(survival > 0, survival * np.sqrt(variance), np.nan)
        lower, upper = limits(survival, se, self.plan.analysis.conf_type)
        curve: dict[str, Any] = {
            "stratum": label,
            "time": time.tolist(),
            "survival": survival.tolist(),
            "se": _numbers(se),
            "lower": _numbers(lower),
            "upper": _numbers(upper),
            "cumhaz": np.cumsum(d / n).tolist(),
            "cumhaz_se": np.sqrt(np.cumsum(d / n**2)).tolist(),
            "at_risk": [round(x) for x in n.tolist()],
            "events": [round(x) for x in d.tolist()],
            "n": round(float(people)),
            "median": median(time, survival),
            "median_lower": median(time, lower),
            "median_upper": median(time, upper),
        }
        return curve | self._mean(at_risk, (time, n, d))

    def _mean(
        self, at_risk: Floats, steps: tuple[Floats, Floats, Floats]
    ) -> dict[str, float | None]:
        """Return the restricted mean; None where nobody is followed so far."""
        horizon = self.plan.analysis.horizon
        if horizon is None:
            return {}
        open_ends = dict.fromkeys(("rmst_least", "rmst_most"))
        time, n, d = steps
        followed = np.asarray(self.plan.edges)[at_risk > 0]
        ends_at_0 = bool(len(n)) and n[-1] == d[-1]
        if not len(followed) or (horizon > followed[-1] and not ends_at_0):
            return {"rmst": None, "rmst_se": None, **open_ends}
        mean, se = restricted_mean(time, n, d, horizon)
        return {"rmst": mean, "rmst_se": se, **open_ends}


def in_whole(total: Message) -> Message:
    """Return sums over sites with the counts of people as whole numbers."""
    people = ("deaths", "leaving", "entering")
    return total | {name: np.rint(total[name]) for name in people}


def _numbers(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _logrank(at_risk: Floats, deaths: Floats) -> dict[str, float | int | None]:
    """Return the log-rank test of equal hazards, over groups that have people."""
    all_deaths = deaths.sum(axis=0)
    steps = all_deaths > 0
    n, d = at_risk[:, steps], all_deaths[steps]
    expected, variance = expect(n, d, np.ones(len(d)))
    return chi_square(deaths.sum(axis=1) - expected, variance, expected > 0)
