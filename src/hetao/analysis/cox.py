"""Cox regression with risk sets that stay inside a site.

A site sends the score, information and log-likelihood of its own partial likelihood:
no event time and no risk set leaves it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hetao.analysis.estimator import (
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
from hetao.analysis.newton import MOST_ROUNDS, Fit, Point, advance, model_payload
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable

ETA = 300.0  # exp of twice this is still a double
LOG_PEOPLE = 40.0  # log of more people than there are


@estimator(
    name="cox",
    sums={"score": "p", "info": "sym(p)", "loglik": 1, "events": 1, "n": 1},
    most_rounds=MOST_ROUNDS,
    publishable=True,
)
class Cox(Estimator):
    """Partial likelihood stratified by site and further strata, Efron or Breslow.

    Source:
        Efron (1977), JASA 72, 557-565; R's `survival::coxph`.
        Oracle: `tests/oracles/test_r.py`.
    """

    relies_on = ("hetao.analysis.newton",)

    def __init__(self, plan: Plan) -> None:
        """Fit the estimator to a plan, as every estimator."""
        super().__init__(plan)
        self._ordered: tuple[Rows, tuple[Stratum, ...]] | None = None

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of a round; every term of a sum belongs to one event."""
        del round_number
        return {
            "score": (2.0, None),
            "info": (1.0, None),
            "loglik": (2 * ETA + LOG_PEOPLE, None),
            "events": (1.0, 0.0),
            "n": (1.0, 0.0),
        }

    def start(self, rows: Rows) -> Message:
        """Return the sums at beta = 0."""
        return self.local(rows, {"beta": np.zeros(self.plan.parameters)})

    def local(self, rows: Rows, state: State) -> Message:
        """Return score, information and log-likelihood at `state["beta"]`.

        Raises:
            NotEstimable: a linear predictor is too large to compute with.
        """
        p = self.plan.parameters
        score, information, loglik = np.zeros(p), np.zeros((p, p)), 0.0
        eta = rows.X @ self.beta(state) + rows.offset
        if np.any(np.abs(eta) > ETA):
            raise NotEstimable(
                "a linear predictor is too large", fix="leave out terms, merge levels"
            )
        for stratum in self._strata(rows):
            part = _partial(stratum, eta[stratum.rows])
            score += part.score
            information += part.information
            loglik += part.loglik
        return {
            "score": score,
            "info": packed(information),
            "loglik": np.array([loglik]),
            "events": np.array([rows.event.sum()]),
            "n": np.array([float(rows.n)]),
        }

    def _strata(self, rows: Rows) -> tuple["Stratum", ...]:
        """Return the strata, put in order once: every round is over the same rows."""
        if self._ordered is None or self._ordered[0] is not rows:
            efron = self.plan.analysis.ties == "efron"
            parts = members(rows.stratum)
            strata = tuple(Stratum.of(rows, part, efron) for part in parts)
            self._ordered = rows, strata
        return self._ordered[1]

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
        point = Point(
            total["score"],
            unpacked(total["info"], self.plan.parameters),
            float(total["loglik"][0]),
        )
        events, n = float(total["events"][0]), float(total["n"][0])
        return cox_step(self, point, state, round_number, (events, n))


def cox_step(
    method: Estimator,
    point: Point,
    state: State | None,
    round_number: int,
    counts: tuple[float, float],
) -> State | Finding:
    """Return what follows from a partial likelihood summed at `state["beta"]`.

    Args:
        method: of cox, either kind.
        point: the sums at the state; None stands for beta = 0.
        state: as of `step`.
        round_number: as of `step`.
        counts: events and people.
    """
    plan = method.plan
    if counts[0] <= 0:
        raise NotEstimable(
            f"no one has the event {plan.analysis.event!r}",
            fix="check the event's definition",
        )
    fit = advance(
        point, state or {"beta": np.zeros(plan.parameters)}, round_number, plan.names
    )
    if not isinstance(fit, Fit):
        return fit
    payload = model_payload(plan, fit) | {
        "n": round(counts[1]),
        "events": round(counts[0]),
    }
    return Finding(plan.analysis.name, method.name, payload)


def members(codes: Ints) -> Iterator[Ints]:
    """Return the row numbers of each stratum that has rows."""
    order = np.argsort(codes, kind="stable")
    cuts = np.nonzero(np.diff(codes[order]))[0] + 1
    return (part for part in np.split(order, cuts) if len(part))


@dataclass(frozen=True, eq=False)
class Stratum:
    """The rows of one stratum, latest time first, and its tied events.

    Attributes:
        rows: (n,) numbers of the rows, latest time first.
        x: (n, p) design in that order, less its mean: only differences count, and
            small ones stay exact.
        event: (n,) 0 or 1, in that order.
        time: (n,) index of each ordered row's distinct time, latest first.
        first, last: (times,) places in the order of the rows at each distinct time.
        at: (events,) index of each event's distinct time.
        share: (events,) l/d for the l-th of d tied events, from 0; None where all are
            0, as of Breslow and without ties.
    """

    rows: Ints
    x: Floats
    event: Floats
    time: Ints
    first: Ints
    last: Ints
    at: Ints
    share: Floats | None

    @classmethod
    def of(cls, rows: Rows, members: Ints, efron: bool) -> "Stratum":
        """Return the stratum of the rows of these numbers, of which there are some."""
        order = members[np.argsort(-rows.time[members], kind="stable")]
        x, event = rows.X[order], rows.event[order]
        x -= x.mean(axis=0)
        ends = np.nonzero(np.diff(rows.time[order]))[0]
        first = np.concatenate([[0], ends + 1])
        last = np.append(ends, len(order) - 1)
        index = np.repeat(np.arange(len(first)), last - first + 1)
        deaths = sum_by(index, len(first), event).astype(np.int64)
        at, share = tied_events(deaths)
        shared = share if efron and share.any() else None
        return cls(order, x, event, index, first, last, at, shared)


def tied_events(deaths: Ints) -> tuple[Ints, Floats]:
    """Return each event's time index and its place l/d among the d tied ones."""
    at = np.repeat(np.arange(len(deaths)), deaths)
    before = np.cumsum(deaths) - deaths
    return at, (np.arange(len(at)) - before[at]) / deaths[at]


def _partial(stratum: Stratum, eta: Floats) -> Point:
    """Return one stratum's partial likelihood; no loop over rows, no (n, p, p) array.

    With H the sum of 1/s0 over the events that a row is at risk at, and G that of
    share/s0 over the events tied with its own, the sum of s2/s0 over events is
    X' diag(w (H - event G)) X.
    """
    x, event, at, share = stratum.x, stratum.event, stratum.at, stratum.share
    eta = eta - eta.max()
    w = np.exp(eta)
    wx = w[:, None] * x
    until = stratum.last[at]
    s0, s1 = np.cumsum(w)[until], np.cumsum(wx, axis=0)[until]
    if share is not None:
        s0 -= share * np.add.reduceat(event * w, stratum.first)[at]
        of_tied = np.add.reduceat(event[:, None] * wx, stratum.first, axis=0)
        s1 -= share[:, None] * of_tied[at]
    mean = s1 / s0[:, None]
    expected = w * _exposure(stratum, s0)
    return Point(
        score=x.T @ (event - expected),
        information=(x.T * expected) @ x - mean.T @ mean,
        loglik=float(event @ eta - np.log(s0).sum()),
    )


def _exposure(stratum: Stratum, s0: Floats) -> Floats:
    """Return (n,) H - event G of every row."""
    at, times = stratum.at, len(stratum.first)
    hazard = sum_by(at, times, 1 / s0)
    exposure = np.cumsum(hazard[::-1])[::-1][stratum.time]
    if stratum.share is not None:
        spared = sum_by(at, times, stratum.share / s0)
        exposure -= stratum.event * spared[stratum.time]
    return np.asarray(exposure)
