"""Cox regression over sites on a grid whose bins are joined until they hold enough.

The opening round asks of each run of fine bins whether every site has in it either
nobody or enough; what a site answers is yes or no. From the sum alone both sides cut
the grid the same way, and then go on as on any grid: a site holds its own bins of that
cut to its minimum before a covariate leaves.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hetao.analysis.cox_grid import CoxGrid
from hetao.analysis.estimator import (
    Message,
    State,
    estimator,
    sum_by,
)
from hetao.analysis.evidence import Evidence, thinnest
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.newton import MOST_ROUNDS
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable, WrongShape
from hetao.study import Minimum

CUT = "cut"  # of a state: for each fine bin, the last one of those it is joined with


@estimator(
    name="cox_merged",
    opening={"enough": "edges,edges", "busy": "edges", "sites": 1},
    sums=CoxGrid.sums,
    most_rounds=MOST_ROUNDS,
    publishable=False,
    own_cells=True,
)
class CoxMerged(CoxGrid):
    """The model of `cox_grid` on the finest cut that every site's minimum allows.

    A run of bins is enough at a site if, in each stratum, those who leave in it and
    those who have the event in it are nobody or at least `least`. The
    cut has as many bins with people as can be; of several, the one with the earliest
    edges. The opening's sum over fewer than the least count of sites is refused where
    a fine bin is thin; later rounds ask for enough of the site's own in every bin.

    Source:
        R's `survival::coxph` on times moved to the edges of the cut.
        Oracle: `tests/oracles/test_r.py`.
    """

    relies_on = (*CoxGrid.relies_on, "hetao.analysis.evidence")

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of a round; the opening says yes or no."""
        if round_number == 0:
            return dict.fromkeys(self.opening, (1.0, 0.0))
        return super().bounds(round_number)

    def in_cells(self, rounds: int) -> int:
        """Return what `cox_grid` does, of every fine bin, after the opening."""
        return super().in_cells(rounds - 1)

    @property
    def least(self) -> int:
        """Return how many people a bin with any must hold, by the public study."""
        return self.in_a_bin(self.plan.minimum or Minimum())

    def told_in_bins(self, rows: Rows) -> int:
        """Return the most that a cut could tell whose bins hold nobody or enough."""
        if self._shows_single:
            return 0
        fine, of_bin = len(self.plan.strata) * len(self.plan.edges), self._of_bin
        people = (rows.n, int(rows.event.sum()))
        return sum(
            min(fine, count // self.least) * numbers
            for count, numbers in zip(people, of_bin, strict=True)
        )

    def start(self, rows: Rows) -> Message:
        """Return which runs of bins, by first and last, hold enough, and which any."""
        size = len(self.plan.edges)
        enough = np.full((size, size), float(rows.n > 0))
        leaving, deaths = self._counts(rows)
        for counts in (*leaving, *deaths):
            until = np.concatenate([[0.0], np.cumsum(counts)])
            within = until[None, 1:] - until[:-1, None]
            enough *= (within == 0) | (within >= self.least)
        busy = (leaving.sum(axis=0) > 0).astype(np.float64)
        return {
            "enough": np.triu(enough),
            "busy": busy,
            "sites": np.array([float(rows.n > 0)]),
        }

    def _counts(self, rows: Rows) -> tuple[Floats, Floats]:
        """Return those who leave, and of them those with the event, (strata, edges)."""
        shape = (len(self.plan.strata), len(self.plan.edges))
        place, size = rows.stratum * shape[1] + rows.bin, shape[0] * shape[1]
        leaving, deaths = sum_by(place, size), sum_by(place, size, rows.event)
        return leaving.reshape(shape), deaths.reshape(shape)

    def local(self, rows: Rows, state: State) -> Message:
        """Return what `cox_grid` does, each person in the last bin of their run."""
        return super().local(replace(rows, bin=self._cut(state)[rows.bin]), state)

    def guarded(
        self, facts: Evidence, rows: Rows, state: State | None
    ) -> tuple[Evidence, bool]:
        """Return the cells of the round; in the opening, the site's own may be few."""
        if state is None:
            return facts, False
        merged = replace(rows, bin=self._cut(state)[rows.bin])
        return replace(facts, cells=thinnest(self.plan, merged)), True

    def _cut(self, state: State) -> NDArray[np.int64]:
        """Return the state's cut.

        Raises:
            WrongShape: it is none of this grid.
        """
        cut, own = state.get(CUT), np.arange(len(self.plan.edges))
        if cut is not None and cut.shape == own.shape and np.isin(cut, own).all():
            ends = cut.astype(np.int64)
            rises = (ends >= own).all() and (np.diff(ends) >= 0).all()
            if rises and (ends[ends] == ends).all():
                return ends
        raise WrongShape("the state does not cut the grid")

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the next state, or the finding with the edges of the cut.

        Raises:
            NotEstimable: no cut gives every site enough, or as of `cox_grid`.
        """
        if state is None:
            cut = self._finest(total)
            return {"beta": np.zeros(self.plan.parameters), CUT: cut}
        found = super().step(total, state, round_number)
        if isinstance(found, Finding):
            ends = np.unique(self._cut(state))
            edges = np.asarray(self.plan.edges)[ends].tolist()
            return replace(found, payload={**found.payload, "edges": edges})
        return {**found, CUT: state[CUT]}

    def _finest(self, total: Message) -> Floats:
        """Return the cut with most bins that hold somebody, by dynamic programming."""
        size = len(self.plan.edges)
        sites = float(np.rint(total["sites"][0]))
        enough = np.triu(np.rint(total["enough"]) == sites)
        busy = np.concatenate([[0.0], np.cumsum(np.rint(total["busy"]))])
        best = np.full(size + 1, -np.inf)
        best[size], last = 0.0, np.zeros(size, dtype=np.int64)
        for first in reversed(range(size)):
            bins = (busy[first + 1 :] > busy[first]) + best[first + 1 :]
            worth = np.where(enough[first, first:], bins, -np.inf)
            last[first] = first + int(np.argmax(worth))
            best[first] = worth.max()
        if not np.isfinite(best[0]) or sites == 0:
            raise NotEstimable(
                "no cut of the grid gives each bin enough people and events of each "
                "site",
                fix="stratify the model by site",
            )
        cut, first = np.zeros(size), 0
        while first < size:
            cut[first : last[first] + 1] = last[first]
            first = int(last[first]) + 1
        return cut
