"""Cox regression with risk sets that stay inside a site.

A site sends the score, information and log-likelihood of its own partial likelihood:
no event time and no risk set leaves it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hetao.analysis.estimator import (
    Estimator,
    Message,
    State,
    estimator,
    packed,
    unpacked,
)
from hetao.analysis.expressions import Floats, Ints
from hetao.analysis.finding import Finding
from hetao.analysis.newton import (
    LAST,
    MOST_ROUNDS,
    Fit,
    Point,
    check_weight,
    model_payload,
    settle,
)
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.analysis.zph import Drift, clock_of, zph_payload
from hetao.errors import NotEstimable

ETA = 300.0  # exp of twice this is still a double
LOG_PEOPLE = 40.0  # log of more people than there are
MOST_WHOLE = 300  # rows of a stratum whose risk sets are kept as one matrix
MOST_RESIDUAL = 1e3  # root mean square of a score residual


@estimator(
    name="cox",
    sums={
        "score": "p",
        "info": "sym(p)",
        "loglik": 1,
        "drift": "drift",
        "drift_info": "sym(drift)",
        "drift_square": "sym(drift)",
        "meat": "robust",
        "cases": 1,
        "n": 1,
    },
    most_rounds=MOST_ROUNDS,
    publishable=True,
)
class Cox(Estimator):
    """Partial likelihood stratified by site and further strata, Efron or Breslow.

    Each round also sums, where the study asks for `zph`, the score and information of
    covariates times a function of time, from which the test of proportional hazards
    follows outside. That function is of the time alone, so no site needs to know the
    times of another. A robust variance takes one more round, which sums the outer
    products of people's score residuals. Weights multiply people's parts as in R, the
    mean weight of tied events included. A row may be at risk from a start of its own,
    so that exposures change with time and people enter late; scores are summed over a
    person's rows before they are multiplied, so that events may recur (Andersen and
    Gill's model). Every number is a sum over all events of a
    site, so the rules for a model's columns, events, parameters and leverage guard
    them all; in the last round leverage is taken under the squared residuals.

    Source:
        Efron (1977), JASA 72, 557-565; Grambsch & Therneau (1994), Biometrika 81,
        515-526, as a score test; Lin & Wei (1989), JASA 84, 1074-1078; R's
        `survival::coxph`, also with `robust = TRUE`, `weights`, `cluster` and
        `Surv(start, stop, event)`, and `cox.zph`; Andersen & Gill (1982), Ann. Stat.
        10, 1100-1120. Oracles: `tests/oracles/test_r.py`, `test_long_rows.py`.
    """

    relies_on = ("hetao.analysis.newton", "hetao.analysis.zph")

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
            "drift": (2.0, None),
            "drift_info": (1.0, None),
            "drift_square": (1.0, None),
            "meat": (MOST_RESIDUAL**2 * self.plan.most_weight, None),
            "cases": (1.0, 0.0),
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
        sums = self._empty()
        eta = rows.X @ self.beta(state) + rows.offset
        if rows.n and not max(eta.max(), -eta.min()) <= ETA:
            raise NotEstimable(
                "a linear predictor is too large",
                fix="leave out terms, merge levels, or tighten public bounds",
            )
        needs_meat = self.plan.is_robust and LAST in state
        residuals = np.zeros(rows.X.shape if needs_meat else (0, 0))
        for stratum in self._strata(rows):
            point, sets = _partial(stratum, eta[stratum.rows])
            sums["score"] += point.score
            sums["info"] += packed(point.information)
            sums["loglik"] += point.loglik
            if self.plan.analysis.zph:
                score, information = sets.moments(stratum.clock)
                sums["drift"] += score
                sums["drift_info"] += packed(information)
                sums["drift_square"] += packed(sets.moments(stratum.clock**2)[1])
            if needs_meat:
                residuals[stratum.rows] = sets.residuals()
        if needs_meat:  # somebody's rows may lie in several strata
            of_people = rows.by_person(residuals)
            sums["meat"] += packed(of_people.T @ of_people)
            check_residuals(self.plan, sums["meat"], rows.people)
        sums["cases"] += rows.event.sum()
        sums["n"] += rows.people
        return sums

    def _empty(self) -> Message:
        return {name: np.zeros(shape) for name, shape in self.shapes[0].items()}

    def _strata(self, rows: Rows) -> tuple["Stratum", ...]:
        """Return the strata, put in order once: every round is over the same rows."""
        if self._ordered is None or self._ordered[0] is not rows:
            parts = members(rows.stratum)
            strata = tuple(Stratum.of(rows, part, self.plan) for part in parts)
            self._ordered = rows, strata
        return self._ordered[1]

    def scores(self, rows: Rows, state: State) -> Floats:
        """Return (n, p) score residuals times weights at `state["beta"]`."""
        eta = rows.X @ self.beta(state) + rows.offset
        found = np.zeros_like(rows.X)
        for stratum in self._strata(rows):
            of_rows = eta[stratum.rows]
            sets = RiskSets.of(stratum, of_rows - of_rows.max())
            found[stratum.rows] = sets.residuals()
        return found

    def weights(self, rows: Rows, state: State) -> Floats:
        """Return each person's rate at `state["beta"]`, the largest being 1, (n,).

        In the round of the robust variance, the squares of martingale residuals: so
        much do people count in its sum.
        """
        eta = rows.X @ self.beta(state) + rows.offset
        if not self.plan.is_robust or LAST not in state:
            return np.asarray(np.exp(eta - eta.max(initial=-np.inf)))
        squares = np.zeros(rows.n)
        for stratum in self._strata(rows):
            of_rows = eta[stratum.rows]
            sets = RiskSets.of(stratum, of_rows - of_rows.max())
            due = sets.expected(stratum.tied_weight)
            residual = stratum.event - due / stratum.weight
            squares[stratum.rows] = stratum.weight * residual**2
        return squares

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
        check_weight(self.plan, float(total["n"][0]))
        counts = float(total["cases"][0]), float(total["n"][0])
        found = cox_step(self, point, state, round_number, (counts, total))
        if not isinstance(found, Finding) or not self.plan.analysis.zph:
            return found
        p = self.plan.parameters
        drift = Drift(
            total["drift"],
            unpacked(total["drift_info"], p),
            unpacked(total["drift_square"], p),
        )
        zph = zph_payload(self.plan, point, drift)
        return replace(found, payload={**found.payload, "zph": zph})


def cox_step(
    method: Estimator,
    point: Point,
    state: State | None,
    round_number: int,
    sums: tuple[tuple[float, float], Message],
) -> State | Finding:
    """Return what follows from a partial likelihood summed at `state["beta"]`.

    Args:
        method: of cox, either kind.
        point: the sums at the state; None stands for beta = 0.
        state: as of `step`.
        round_number: as of `step`.
        sums: people with the event and people, and all that was summed.
    """
    counts, total = sums
    plan = method.plan
    if counts[0] <= 0:
        raise NotEstimable(
            f"no one has the event {plan.analysis.event!r}",
            fix="check the event's definition",
        )
    here = state or {"beta": np.zeros(plan.parameters)}
    fit = settle(point, here, round_number, plan, total)
    if not isinstance(fit, Fit):
        return fit
    payload = model_payload(plan, fit) | {
        "n": round(counts[1]),
        "events": round(counts[0]),
    }
    return Finding(plan.analysis.name, method.name, payload)


def members(codes: Ints) -> Iterator[Ints]:
    """Return the row numbers of each stratum that has rows."""
    if len(codes) and (codes == codes[0]).all():
        yield np.arange(len(codes))
        return
    order = np.argsort(codes, kind="stable")
    cuts = np.nonzero(np.diff(codes[order]))[0] + 1
    yield from (part for part in np.split(order, cuts) if len(part))


@dataclass(frozen=True, eq=False)
class Entry:
    """Who enters a stratum late: rows leave the sums at their start, going backwards.

    Attributes:
        rows: (2n,) places of the rows that come in, or go out, latest time first.
        sign: (2n,) 1 for a row that comes in at its time, -1 at its start.
        last: (times,) places in that order up to which rows count at each distinct
            time: those whose time is then or later, less those who start then or
            later.
        before: (n,) how many distinct times, latest first, come after each row's start.
    """

    rows: Ints
    sign: Floats
    last: Ints
    before: Ints

    @classmethod
    def of(cls, start: Floats, time: Floats, distinct: Floats) -> "Entry":
        """Return who enters when.

        Args:
            start: (n,) of each row, in the stratum's order.
            time: (n,) likewise.
            distinct: (times,) of the rows, latest first.
        """
        both = np.concatenate([time, start])
        order = np.argsort(-both, kind="stable")
        last = np.searchsorted(-both[order], -distinct, side="right") - 1
        before = np.searchsorted(-distinct, -start, side="left")
        sign = np.where(order < len(time), 1.0, -1.0)
        return cls(order % len(time), sign, last, before)


@dataclass(frozen=True, eq=False)
class Stratum:
    """The rows of one stratum, latest time first, and what no beta changes in them.

    Attributes:
        rows: (n,) numbers of the rows, latest time first.
        z: (n, 1 + p) in that order: 1, then the design less its mean, as only
            differences count and small ones stay exact.
        event: (n,) 0 or 1, in that order.
        weight: (n,) how much each counts, in that order.
        time: (n,) index of each ordered row's distinct time, latest first.
        clock: (times,) transformed time of the test of proportional hazards, within
            -1 to 1; none where it is not asked for.
        who: (events,) places of the rows with the event.
        at: (events,) index of each event's distinct time.
        tie: (events,) which of the distinct times with events that is.
        opens: the first event of each of these.
        tied_weight: (events,) mean weight of the events at an event's time.
        share: (events,) l/d for the l-th of d tied events, from 0; None where all are
            0, as of Breslow and without ties.
        place: (events,) up to which place in the order people are at risk.
        after: (n,) how many events come at a row's time or before it.
        entry: who enters late; None where all are at risk from 0 on.
        unentered: (n,) how many events come before a row's start; none without one.
        observed: (n,) weight of a row with the event, 0 of others.
        whole: (events, n) how much of each row is at risk at each event, tied events
            less their share; None where that is too large, or somebody enters late.
    """

    rows: Ints
    z: Floats
    event: Floats
    weight: Floats
    time: Ints
    clock: Floats
    who: Ints
    at: Ints
    tie: Ints
    opens: Ints
    tied_weight: Floats
    share: Floats | None
    place: Ints
    after: Ints
    entry: Entry | None
    unentered: Ints
    observed: Floats
    whole: Floats | None

    @classmethod
    def of(cls, rows: Rows, members: Ints, plan: Plan) -> "Stratum":
        """Return the stratum of the rows of these numbers, of which there are some."""
        analysis = plan.analysis
        order = members[np.argsort(-rows.time[members], kind="stable")]
        times, event, weight = rows.time[order], rows.event[order], rows.weight[order]
        z, x = np.ones((len(order), 1 + rows.X.shape[1])), rows.X[order]
        np.subtract(x, x.mean(axis=0), out=z[:, 1:])
        fresh = _opens(times)
        index, first = fresh.cumsum() - 1, np.flatnonzero(fresh)
        last = np.append(first[1:], len(order)) - 1
        who = np.flatnonzero(event)
        at = index[who]
        fresh = _opens(at)
        tie, opens = fresh.cumsum() - 1, np.flatnonzero(fresh)
        deaths = np.bincount(tie)
        share = (np.arange(len(at)) - opens[tie]) / deaths[tie]
        tied = np.bincount(tie, weight[who]) / deaths
        entry, unentered = None, np.zeros(0, dtype=np.int64)
        if len(rows.start):
            entry = Entry.of(rows.start[order], times, times[first])
            last, unentered = entry.last, len(at) - np.searchsorted(at, entry.before)
        share = share if analysis.ties == "efron" and share.any() else None
        place = last[at]
        return cls(
            rows=order,
            z=z,
            event=event,
            weight=weight,
            time=index,
            clock=clock_of(plan, times[first]) if analysis.zph else np.zeros(0),
            who=who,
            at=at,
            tie=tie,
            opens=opens,
            tied_weight=tied[tie],
            share=share,
            place=place,
            after=len(at) - np.searchsorted(at, index),
            entry=entry,
            unentered=unentered,
            observed=event * weight,
            whole=None if entry else _whole(len(order), place, who, tie, share),
        )

    @property
    def x(self) -> Floats:
        """Return the (n, p) design less its mean."""
        return self.z[:, 1:]

    def at_risk(self, values: Floats) -> Floats:
        """Return (events, …) sums of (n, …) values over those at risk at each event."""
        if self.entry is not None:
            values = (values[self.entry.rows].T * self.entry.sign).T
        return np.asarray(values.cumsum(axis=0)[self.place])

    def until(self, values: Floats) -> Floats:
        """Return (n, …) sums of (events, …) values over each row's events at risk."""
        sums = np.zeros((len(values) + 1, *values.shape[1:]))
        values[::-1].cumsum(axis=0, out=sums[1:])
        if self.entry is None:
            return np.asarray(sums[self.after])
        return np.asarray(sums[self.after] - sums[self.unentered])

    def summed(self, values: Floats) -> Floats:
        """Return (events, …) sums over those at risk, less the tied events' shares."""
        if self.whole is not None:
            return np.asarray(self.whole @ values)
        sums = self.at_risk(values)
        if self.share is not None:
            sums -= self.share[:, None] * self.tied(values[self.who])
        return sums

    def exposed(self, values: Floats) -> Floats:
        """Return (n, …) sums over the events that a row is at risk at, less shares."""
        if self.whole is not None:
            return np.asarray(self.whole.T @ values)
        found = self.until(values)
        if self.share is not None:
            found[self.who] -= self.tied((self.share * values.T).T)
        return found

    def tied(self, values: Floats) -> Floats:
        """Return (events, …) sums of (events, …) values over those at the same time."""
        return np.asarray(np.add.reduceat(values, self.opens, axis=0)[self.tie])


def _whole(
    n: int, place: Ints, who: Ints, tie: Ints, share: Floats | None
) -> Floats | None:
    """Return `Stratum.whole` of (events,) places, events, ties and shares."""
    if n > MOST_WHOLE:
        return None
    whole = np.greater_equal.outer(place, np.arange(n)).astype(np.float64)
    if share is not None:
        whole[:, who] -= np.equal.outer(tie, tie) * share[:, None]
    return whole


def _opens(values: Floats | Ints) -> NDArray[np.bool_]:
    """Return (n,) where a value differs from the one before."""
    found = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=found[1:])
    return found


def tied_events(deaths: Ints) -> tuple[Ints, Floats]:
    """Return each event's time index and its place l/d among the d tied ones."""
    at = np.repeat(np.arange(len(deaths)), deaths)
    before = np.cumsum(deaths) - deaths
    return at, (np.arange(len(at)) - before[at]) / deaths[at]


@dataclass(frozen=True, eq=False)
class RiskSets:
    """A stratum's risk sets at one beta; no loop over rows, no (n, p, p) array.

    Attributes:
        stratum: whose.
        w: (n,) each row's rate, the largest being 1, times its weight.
        s0: (events,) sum of the rates at risk, less the tied events' share.
        mean: (events, p) mean covariates at risk, likewise.
    """

    stratum: Stratum
    w: Floats
    s0: Floats
    mean: Floats

    @classmethod
    def of(cls, stratum: Stratum, eta: Floats) -> "RiskSets":
        """Return the risk sets at linear predictors whose largest is 0."""
        w = stratum.weight * np.exp(eta)
        sums = stratum.summed(w[:, None] * stratum.z)
        return cls(stratum, w, sums[:, 0], sums[:, 1:] / sums[:, :1])

    def expected(self, weight: Floats) -> Floats:
        """Return (n,) how many events each row was due, events weighing (events,).

        With H the sum of weight/s0 over the events that a row is at risk at, and G
        that of share times it over those tied with its own: w (H - event G).
        """
        return self.w * self.stratum.exposed(weight / self.s0)

    def moments(self, clock: Floats | None = None) -> tuple[Floats, Floats]:
        """Return score (p,) and information (p, p), times counting (times,) fold."""
        stratum = self.stratum
        of_event = stratum.tied_weight
        observed = stratum.observed
        if clock is not None:
            of_event = of_event * clock[stratum.at]
            observed = observed * clock[stratum.time]
        x, expected = stratum.x, self.expected(of_event)
        seen = (self.mean.T * of_event) @ self.mean
        return x.T @ (observed - expected), (x.T * expected) @ x - seen

    def residuals(self) -> Floats:
        """Return (n, p) score residuals times weights; they add up to the score."""
        stratum, weight = self.stratum, self.stratum.tied_weight
        exposure = stratum.exposed(self.mean * (weight / self.s0)[:, None])
        due = stratum.x * self.expected(weight)[:, None] - self.w[:, None] * exposure
        if len(who := stratum.who):
            deaths = stratum.tied(np.ones((len(who), 1)))
            middle = stratum.tied(self.mean) / deaths
            due[who] -= stratum.weight[who, None] * (stratum.x[who] - middle)
        return -due


def check_residuals(plan: Plan, meat: Floats, people: int) -> None:
    """Refuse outer products of residuals beyond their public bound.

    Raises:
        NotEstimable: they are.
    """
    most = (MOST_RESIDUAL * plan.most_weight) ** 2 * people
    if np.any(np.abs(meat) > most):
        raise NotEstimable(
            "a score residual is too large to sum",
            fix="leave out terms or weights, or write variance = 'model'",
        )


def _partial(stratum: Stratum, eta: Floats) -> tuple[Point, RiskSets]:
    """Return one stratum's partial likelihood and the risk sets it is made of."""
    eta = eta - eta.max()
    sets = RiskSets.of(stratum, eta)
    score, information = sets.moments()
    loglik = float(stratum.observed @ eta - stratum.tied_weight @ np.log(sets.s0))
    return Point(score, information, loglik), sets
