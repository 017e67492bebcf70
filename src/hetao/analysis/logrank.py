"""The log-rank test with risk sets that stay inside a site: one round of sums.

A site sends what it observed and expected in each group and the variance of the
difference, all summed over its times: no event time and no risk set leaves it.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from hetao.analysis.cox import (
    MOST_RESIDUAL,
    RiskSets,
    Stratum,
    check_residuals,
    members,
)
from hetao.analysis.estimator import (
    OF_PEOPLE,
    Message,
    OneRound,
    State,
    estimator,
    packed,
    sum_by,
    unpacked,
)
from hetao.analysis.expressions import Floats, Ints
from hetao.analysis.finding import Finding
from hetao.analysis.intervals import entry_bins
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable

NEVER = 1e-12  # share of all expected events below which only rounding is left


@estimator(
    name="logrank",
    sums={
        "events": "groups",
        "observed": "groups",
        "expected": "groups",
        "variance": "sym(groups)",
        "n": "groups",
    },
    most_rounds=1,
    publishable=False,
)
class LogRank(OneRound):
    """The log-rank and Fleming-Harrington tests, stratified by site and further strata.

    With `rho` an event weighs S(t-)^rho, S being the curve of all groups of its own
    stratum together, as in R. With rho 0 it is the score test of a Cox model.

    With weights observed and expected events are weighted and the test is the robust
    score test of the weighted Cox model: its variance sums the squares of people's
    score residuals, in which no weight is taken for a number of people.

    A site's events of one group may be few, so its own message is not publishable:
    over fewer than the least count of sites every group's events must reach the least
    cell, and at every site every group must hold that many people.

    Source:
        Fleming & Harrington (1991), Counting Processes and Survival Analysis, ch. 7;
        R's `survival::survdiff`; with weights Xie & Liu (2005), Stat. Med. 24,
        3089-3110, and Lin & Wei (1989), JASA 84, 1074-1078, as R's `rscore` of
        `survival::coxph(..., robust = TRUE, ties = "breslow")`. Oracles:
        `tests/oracles/test_r.py`, `test_weighted_curves.py`.
    """

    relies_on = ("hetao.analysis.cox", "hetao.analysis.newton")
    of_people = (*OF_PEOPLE, "events")

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds: an event weighs at most 1, and so does its variance."""
        del round_number
        counts = dict.fromkeys(("events", "observed", "expected", "n"), (1.0, 0.0))
        square = MOST_RESIDUAL**2 * self.plan.most_weight
        is_weighted = bool(self.plan.analysis.weights)
        return {**counts, "variance": (square if is_weighted else 1.0, None)}

    def start(self, rows: Rows) -> Message:
        """Return the site's sums over its strata and times."""
        groups = len(self.plan.groups)
        observed, expected = np.zeros(groups), np.zeros(groups)
        variance = np.zeros((groups, groups))
        if self.plan.analysis.weights:
            residuals, expected = self._residuals(rows)
            observed = sum_by(rows.group, groups, rows.event * rows.weight)
            variance = residuals.T @ residuals
            check_residuals(self.plan, variance, rows.n)
        else:
            for part in members(rows.stratum):
                sums = _compare(rows, part, groups, self.plan.analysis.rho)
                observed += sums[0]
                expected += sums[1]
                variance += sums[2]
        return {
            "events": sum_by(rows.group, groups, rows.event),
            "observed": observed,
            "expected": expected,
            "variance": packed(variance),
            "n": sum_by(rows.group, groups),
        }

    def scores(self, rows: Rows, state: State) -> Floats:
        """Return (n, groups) score residuals times weights, where all hazards agree."""
        del state
        return self._residuals(rows)[0]

    def _residuals(self, rows: Rows) -> tuple[Floats, Floats]:
        """Return (n, groups) score residuals times weights, and (groups,) expected."""
        groups = len(self.plan.groups)
        of_each = np.eye(groups)[rows.group]
        plan = replace(self.plan, analysis=replace(self.plan.analysis, ties="breslow"))
        found, expected = np.zeros((rows.n, groups)), np.zeros(groups)
        for part in members(rows.stratum):
            stratum = Stratum.of(replace(rows, X=of_each), part, plan)
            sets = RiskSets.of(stratum, np.zeros(len(part)))
            found[stratum.rows] = sets.residuals()
            of_event = stratum.tied_weight / sets.s0
            weight = stratum.weight[:, None] * of_each[stratum.rows]
            expected += of_event @ stratum.at_risk(weight)
        return found, np.maximum(expected, 0.0)

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the finding.

        Raises:
            NotEstimable: no one has the event, or the groups are nowhere at risk
                together.
        """
        del state, round_number
        events, n = np.rint(total["events"]), np.rint(total["n"])
        analysis = self.plan.analysis
        if not events.any():
            raise NotEstimable(
                f"no one has the event {analysis.event!r}",
                fix="check the event's definition",
            )
        observed, expected = total["observed"], total["expected"]
        variance = unpacked(total["variance"], len(n))
        used = expected > NEVER * expected.max()
        test = chi_square(observed - expected, variance, used)
        if test["chi2"] is None:
            raise NotEstimable(
                f"the groups of {analysis.by!r} are in no stratum at risk together",
                fix="leave out a stratum, or merge levels",
            )
        groups = [
            {
                "group": label,
                "n": round(float(n[g])),
                "events": round(float(events[g])),
                "observed": float(observed[g]),
                "expected": float(expected[g]),
            }
            for g, label in enumerate(self.plan.groups)
        ]
        payload: dict[str, Any] = {
            "model": "logrank",
            "rho": analysis.rho,
            "groups": groups,
            **test,
            "n": round(float(n.sum())),
            "events": round(float(events.sum())),
        }
        if analysis.weights:
            payload["weights"] = analysis.weights
        return Finding(analysis.name, self.name, payload)


def _compare(
    rows: Rows, part: Ints, groups: int, rho: float
) -> tuple[Floats, Floats, Floats]:
    """Return observed (groups,), expected (groups,) and variance of one stratum."""
    times, at = np.unique(rows.time[part], return_inverse=True)
    place, size = rows.group[part] * len(times) + at, groups * len(times)
    deaths = sum_by(place, size, rows.event[part]).reshape(groups, -1)
    leaving = sum_by(place, size).reshape(groups, -1)
    at_risk = leaving[:, ::-1].cumsum(axis=1)[:, ::-1]
    if len(rows.start):
        at_risk = at_risk - _not_yet(rows, part, times, groups)
    all_deaths, everyone = deaths.sum(axis=0), at_risk.sum(axis=0)
    after = np.cumprod((everyone - all_deaths) / everyone)
    weight = np.concatenate([[1.0], after[:-1]]) ** rho  # survival just before
    expected, variance = expect(at_risk, all_deaths, weight)
    return deaths @ weight, expected, variance


def _not_yet(rows: Rows, part: Ints, times: Floats, groups: int) -> Floats:
    """Return (groups, times) how many are still to enter at each time of a stratum."""
    at = entry_bins(times, rows.start[part])
    late, size = at >= 0, len(times)
    place = rows.group[part][late] * size + at[late]
    entering = sum_by(place, groups * size).reshape(groups, -1)
    return np.asarray(entering[:, ::-1].cumsum(axis=1)[:, ::-1])


def expect(at_risk: Floats, deaths: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return the expected events (groups,) and the variance of observed less expected.

    Args:
        at_risk: (groups, times) people, of whom there are some at every time.
        deaths: (times,) events of all groups together.
        weight: (times,) of an event.
    """
    everyone = at_risk.sum(axis=0)
    share = at_risk / everyone
    scale = weight**2 * deaths * (everyone - deaths) / np.maximum(everyone - 1, 1)
    variance = np.diag((share * scale).sum(axis=1)) - (share * scale) @ share.T
    return (share * deaths) @ weight, variance


def chi_square(
    excess: Floats, variance: Floats, used: NDArray[np.bool_]
) -> dict[str, float | int | None]:
    """Return the test of no excess in any group, as a finding holds it.

    Args:
        excess: (groups,) observed less expected; they add up to nothing.
        variance: (groups, groups) of the excess.
        used: (groups,) those that are compared.
    """
    kept = np.nonzero(used)[0][:-1]
    freedom = len(kept)
    of_kept = variance[np.ix_(kept, kept)]
    if freedom < 1 or np.linalg.matrix_rank(of_kept, hermitian=True) < freedom:
        return {"chi2": None, "df": freedom, "p": None}
    value = float(excess[kept] @ np.linalg.solve(of_kept, excess[kept]))
    return {"chi2": value, "df": freedom, "p": float(chdtrc(freedom, value))}
