"""Cox regression whose risk sets span sites, on a public grid of times.

A site sends the sums of those who leave in each bin of the grid. They say more than a
stratified fit does: from the sums of single leavers whole covariate vectors can be
rebuilt. So a site's own message is never publishable, and every bin in which a site
has leavers must hold enough of its own people.
"""

import math
from dataclasses import replace
from typing import Any, ClassVar, Final, Self

import numpy as np

from hetao.analysis.combinations import categories
from hetao.analysis.cox import ETA as LEAST
from hetao.analysis.cox import cox_step, tied_events
from hetao.analysis.estimator import (
    USUAL_ROUNDS,
    Estimator,
    Message,
    State,
    estimator,
    packed,
    sum_by,
    unpacked,
)
from hetao.analysis.expressions import Floats, Ints
from hetao.analysis.finding import Finding
from hetao.analysis.newton import MOST_ROUNDS, Point
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable
from hetao.study import Minimum

LEAST_AT_RISK = 1e-8  # sum of hazard ratios that fixed point still tells well
ETA = 20.0  # log hazard ratio against the middle of the public bounds
KINDS: Final = 2  # who leaves in a bin, and who of them dies


@estimator(
    name="cox_grid",
    sums={
        "leaving": "strata,edges,moments",
        "dying": "strata,edges,moments",
        "deaths": "strata,edges",
        "covariates": "p",
        "shift": 1,
        "events": 1,
        "n": 1,
    },
    most_rounds=MOST_ROUNDS,
    publishable=False,
    own_cells=True,
)
class CoxGrid(Estimator):
    """Partial likelihood on a grid, Efron or Breslow; exact for times on its edges.

    The baseline hazard follows from the same sums. A model within sites has none that
    could be told: each site has its own.

    Source:
        R's `survival::coxph` on times moved to the grid's right edges.
        Oracle: `tests/oracles/test_r.py`.
    """

    relies_on: ClassVar[tuple[str, ...]] = (
        "hetao.analysis.newton",
        "hetao.analysis.cox",
    )

    chooses = True

    def __init__(self, plan: Plan, own: Minimum | None = None) -> None:
        """Fit the estimator to a plan, and to a site's own least counts."""
        self._shows_single = own is not None and own.cell <= 1
        super().__init__(plan)

    def within(self, minimum: Minimum) -> Self:
        """Return the same for a site, which may be one that shows single people."""
        return type(self)(self.plan, minimum)

    def in_cells(self, rounds: int) -> int:
        """Return how many sums about who is in a stratum so many rounds tell.

        In each bin those who leave and those who die have as many as they have moments,
        and other ones in each round, for the weights are others; but no more than the
        other categories of the design have combinations. With an offset who dies is
        also counted without it. None is counted where single people are shown, as of a
        public file.
        """
        plan = self.plan
        if self._shows_single or len(plan.strata) < 2:
            return 0
        told = self.sizes()["moments"] * rounds
        if not any(column.factors for column in plan.columns):
            others = set(categories(plan)) - set(plan.analysis.strata)
            told = min(told, math.prod(categories(plan)[name] for name in others))
        return len(plan.edges) * (KINDS * told + (plan.offset is not None))

    @property
    def _of_bin(self) -> tuple[int, int]:
        """Return how many numbers a round tells of those who leave in a bin, and die.

        But for an offset the rest of the message follows from these of the first round.
        """
        moments = self.sizes()["moments"]
        return moments, moments + 1

    def in_a_bin(self, minimum: Minimum) -> int:
        """Return how many people a bin must hold where it holds any.

        They are so many that all rounds tell of each person of a bin no more than may
        be told of each person of the site; else a thin bin would be told in full.
        """
        if minimum.cell <= 1:  # single people may be seen
            return minimum.cell
        rounds = USUAL_ROUNDS + (self.opening is not self.sums)
        told = sum(self._of_bin) * rounds
        return max(minimum.cell, math.ceil(told / minimum.told))

    def told_in_bins(self, rows: Rows) -> int:
        """Return the sums of every bin and stratum."""
        del rows
        if self._shows_single:
            return 0
        return len(self.plan.strata) * len(self.plan.edges) * sum(self._of_bin)

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of a round; a person's weight is at most exp(ETA)."""
        del round_number
        weight = float(np.exp(ETA))
        return {
            "leaving": (weight, None),
            "dying": (weight, None),
            "deaths": (1.0, 0.0),
            "covariates": (1.0, None),
            "shift": (max(map(abs, self.plan.offset_bounds)), None),
            "events": (1.0, 0.0),
            "n": (1.0, 0.0),
        }

    def start(self, rows: Rows) -> Message:
        """Return the sums at beta = 0."""
        return self.local(rows, {"beta": np.zeros(self.plan.parameters)})

    def local(self, rows: Rows, state: State) -> Message:
        """Return, for each stratum and bin, the sums of those who leave or die there.

        `moments` are w, w x and w x x' with w the hazard ratio at `state["beta"]`.

        Raises:
            NotEstimable: a hazard ratio is too large to sum.
        """
        eta = rows.X @ self.beta(state) + rows.offset
        if np.any(eta > ETA) or np.any(eta < -LEAST):
            raise NotEstimable(
                "a hazard ratio is too large",
                fix="leave out terms, merge levels, or tighten public bounds",
            )
        place = rows.stratum * len(self.plan.edges) + rows.bin
        moments = self._moments(rows.X, np.exp(eta))
        shape = (len(self.plan.strata), len(self.plan.edges))
        size = shape[0] * shape[1]
        died = rows.event > 0
        deaths = sum_by(place[died], size)
        return {
            "leaving": rows_by(place, moments, size).reshape(*shape, -1),
            "dying": rows_by(place[died], moments[died], size).reshape(*shape, -1),
            "deaths": deaths.reshape(shape),
            "covariates": rows.X.T @ rows.event,
            "shift": np.array([rows.offset @ rows.event]),
            "events": np.array([rows.event.sum()]),
            "n": np.array([float(rows.people)]),
        }

    def _moments(self, X: Floats, w: Floats) -> Floats:
        """Return (n, 1 + p + sym(p)): w, w x and the upper triangle of w x x'."""
        above, below = np.triu_indices(X.shape[1])
        return w[:, None] * np.hstack(
            [np.ones((len(w), 1)), X, X[:, above] * X[:, below]]
        )

    def weights(self, rows: Rows, state: State) -> Floats:
        """Return each person's rate at `state["beta"]`, the largest being 1, (n,)."""
        eta = rows.X @ self.beta(state) + rows.offset
        return np.asarray(np.exp(eta - eta.max(initial=-np.inf)))

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the next beta, or the finding.

        Raises:
            NotEstimable: there are no events, columns determine each other within
                the strata, or the outcome is separated.
        """
        beta = np.zeros(self.plan.parameters) if state is None else state["beta"]
        at, sums = self._risk_sets(total)
        point = self._point(total, beta, sums)
        counts = (float(total["events"][0]), float(total["n"][0]))
        found = cox_step(self, point, state, round_number, (counts, total))
        if not isinstance(found, Finding) or not self.plan.analysis.baseline:
            return found
        baseline = self._baseline(beta, at, sums[:, 0])
        return replace(found, payload={**found.payload, "baseline": baseline})

    def _risk_sets(self, total: Message) -> tuple[Ints, Floats]:
        """Return each event's bin and the moments at risk there."""
        width = self.sizes()["moments"]
        at_risk = total["leaving"][:, ::-1].cumsum(axis=1)[:, ::-1].reshape(-1, width)
        deaths = np.rint(total["deaths"]).astype(np.int64).ravel()
        at, share = tied_events(deaths)
        sums = at_risk[at]
        if self.plan.analysis.ties == "efron":
            sums = sums - share[:, None] * total["dying"].reshape(-1, width)[at]
        return at, sums

    def _baseline(self, beta: Floats, at: Ints, s0: Floats) -> list[dict[str, Any]]:
        """Return each stratum's cumulative hazard where all columns and offset are 0.

        That is R's `basehaz(fit, centered = FALSE)`, of Breslow or Efron as the ties.
        """
        columns = self.plan.columns
        at_0 = np.array([column.centre / column.scale for column in columns])
        shape = (len(self.plan.strata), len(self.plan.edges))
        size = shape[0] * shape[1]
        hazard = np.exp(-(beta @ at_0)) * sum_by(at, size, 1 / s0).reshape(shape)
        events = sum_by(at, size).reshape(shape)
        edges, found = np.asarray(self.plan.edges), []
        for label, steps, counts in zip(self.plan.strata, hazard, events, strict=True):
            used = counts > 0
            found.append(
                {
                    "stratum": label,
                    "time": edges[used].tolist(),
                    "cumhaz": np.cumsum(steps[used]).tolist(),
                    "events": [round(x) for x in counts[used].tolist()],
                }
            )
        return found

    def _point(self, total: Message, beta: Floats, sums: Floats) -> Point:
        """Return the partial likelihood from each event's moments at risk."""
        p = self.plan.parameters
        if len(sums) and sums[:, 0].min() < LEAST_AT_RISK:
            raise NotEstimable(
                "hazards are too small, beside the public bounds of the terms, to be "
                "summed",
                fix="tighten these bounds, or leave out the widest term",
            )
        ratio = sums[:, 1:] / sums[:, :1]
        mean = ratio[:, :p]
        information = unpacked(ratio[:, p:].sum(axis=0), p) - mean.T @ mean
        return Point(
            score=total["covariates"] - mean.sum(axis=0),
            information=unpacked(packed(information), p),
            loglik=float(
                total["covariates"] @ beta
                + total["shift"][0]
                - np.log(sums[:, 0]).sum()
            ),
        )


def rows_by(place: Ints, values: Floats, size: int) -> Floats:
    """Return the (size, k) sums of (n, k) values by place."""
    sums = np.zeros((size, values.shape[1]))
    for column in range(values.shape[1]):
        sums[:, column] = sum_by(place, size, values[:, column])
    return sums
