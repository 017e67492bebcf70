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
        p, efron = self.plan.parameters, self.plan.analysis.ties == "efron"
        score, information, loglik = np.zeros(p), np.zeros((p, p)), 0.0
        eta = rows.X @ self.beta(state) + rows.offset
        if np.any(np.abs(eta) > ETA):
            raise NotEstimable(
                "a linear predictor is too large", fix="leave out terms, merge levels"
            )
        for members in _strata(rows.stratum):
            tied = Tied.of(rows.time[members], rows.event[members], efron)
            part = _partial(rows.X[members], eta[members], tied)
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


def _strata(codes: Ints) -> Iterator[Ints]:
    """Return the row numbers of each stratum that has rows."""
    order = np.argsort(codes, kind="stable")
    cuts = np.nonzero(np.diff(codes[order]))[0] + 1
    return (part for part in np.split(order, cuts) if len(part))


@dataclass(frozen=True, eq=False)
class Tied:
    """The order of times within one stratum, latest first, and its tied events.

    Attributes:
        order: (n,) rows, latest time first.
        event: (n,) 0 or 1, in that order.
        time: (n,) index of each ordered row's distinct time, latest first.
        first, last: (times,) places in the order of the rows at each distinct time.
        at: (events,) index of each event's distinct time.
        share: (events,) l/d for the l-th of d tied events, from 0; 0 for Breslow.
    """

    order: Ints
    event: Floats
    time: Ints
    first: Ints
    last: Ints
    at: Ints
    share: Floats

    @classmethod
    def of(cls, time: Floats, event: Floats, efron: bool) -> "Tied":
        """Return the order of (n,) times, n > 0, with (n,) events of 0 or 1."""
        order = np.argsort(-time, kind="stable")
        ends = np.nonzero(np.diff(time[order]))[0]
        first = np.concatenate([[0], ends + 1])
        last = np.append(ends, len(order) - 1)
        index = np.repeat(np.arange(len(first)), last - first + 1)
        deaths = sum_by(index, len(first), event[order]).astype(np.int64)
        at, share = tied_events(deaths)
        if not efron:
            share = np.zeros_like(share)
        return cls(order, event[order], index, first, last, at, share)


def tied_events(deaths: Ints) -> tuple[Ints, Floats]:
    """Return each event's time index and its place l/d among the d tied ones."""
    at = np.repeat(np.arange(len(deaths)), deaths)
    before = np.cumsum(deaths) - deaths
    return at, (np.arange(len(at)) - before[at]) / deaths[at]


def _partial(X: Floats, eta: Floats, tied: Tied) -> Point:
    """Return one stratum's partial likelihood; no loop over rows, no (n, p, p) array.

    With H the sum of 1/s0 over the events that a row is at risk at, and G that of
    share/s0 over the events tied with its own, the sum of s2/s0 over events is
    X' diag(w (H - event G)) X.
    """
    order, at, event = tied.order, tied.at, tied.event
    x = X[order] - X.mean(axis=0)  # only differences count; small ones stay exact
    eta = eta[order] - eta.max()
    w = np.exp(eta)
    wx = w[:, None] * x
    of_tied = np.add.reduceat(event * w, tied.first)[at]
    of_tied_x = np.add.reduceat(event[:, None] * wx, tied.first, axis=0)[at]
    s0 = np.cumsum(w)[tied.last][at] - tied.share * of_tied
    s1 = np.cumsum(wx, axis=0)[tied.last][at] - tied.share[:, None] * of_tied_x
    mean = s1 / s0[:, None]
    times = len(tied.first)
    hazard = sum_by(at, times, 1 / s0)
    spared = sum_by(at, times, tied.share / s0)
    until = np.cumsum(hazard[::-1])[::-1]
    expected = w * (until[tied.time] - event * spared[tied.time])
    return Point(
        score=x.T @ (event - expected),
        information=(x.T * expected) @ x - mean.T @ mean,
        loglik=float(event @ eta - np.log(s0).sum()),
    )
