"""Kaplan-Meier curves by a group, on as fine a grid as may be told of who is in it.

The opening round counts everybody in the bins of the public grid, whatever group, and
how many cells each site allows. From these sums both sides put bins together in the
same way; the groups are counted in the cells that come of it.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from hetao.analysis import cells
from hetao.analysis.estimator import OF_PEOPLE, Message, State, estimator, sum_by
from hetao.analysis.evidence import Evidence, thinnest
from hetao.analysis.expressions import Floats, Ints
from hetao.analysis.finding import Finding
from hetao.analysis.intervals import entry_bins
from hetao.analysis.km import KaplanMeier, in_whole
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.analysis.weighted_curves import Spread
from hetao.errors import NotEstimable, WrongShape
from hetao.study import Minimum

EVERYBODY, CELL, LEAST = "everybody", "cell", "least"  # of a state, as `_cut` says
AT_END = ("time", "survival", "se", "lower", "upper", "cumhaz", "cumhaz_se")


@estimator(
    name="km_merged",
    opening={"everybody": "kinds,edges", "allowed": "ladder", "sites": 1, "n": 1},
    sums=KaplanMeier.sums,
    most_rounds=2,
    publishable=False,
)
class KaplanMeierMerged(KaplanMeier):
    """The curves of `km` with groups counted in cells, of several bins where few leave.

    Those who had the event and those who left without have cells of their own, each of
    neighbouring bins. Its people, of all groups, are as many as make no more cells than
    every site allows. Within a cell the people of a group lie as everybody in it does,
    bin by bin; the curve is told at the cells' ends. Where people enter late, whoever
    is in a cell leaves at its end, and enters at its first entry. Where every bin with
    people may be a cell it is the curve of `km`, bit for bit.

    How many cells a site allows follows from its people alone (`analysis/cells.py`),
    and the budget of linear statistics counts them; a site that shows single people
    allows all. A site works out the cells from
    the sums itself, and refuses others, and more of them than it allows.

    Source:
        R's `survival::survfit`, of people who count by their share of a bin.
        Oracle: `tests/oracles/test_merged_curves.py`.
    """

    chooses = True
    relies_on = (
        *KaplanMeier.relies_on,
        "hetao.analysis.evidence",
        "hetao.analysis.km",
    )
    of_people = (*KaplanMeier.of_people, *OF_PEOPLE, "everybody", "allowed")

    def __init__(self, plan: Plan, own: Minimum | None = None) -> None:
        """Fit the estimator to a plan, and to a site's own least counts."""
        self._kinds = cells.KINDS[: cells.kinds(plan)]
        self._ladder = cells.ladder(plan)
        self._shows_single = own is not None and own.cell <= 1
        super().__init__(plan, own)

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        own = {"kinds": len(self._kinds), "ladder": len(self._ladder)}
        return super().sizes() | own

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds; in the opening a person is one count."""
        if round_number == 0:
            return dict.fromkeys(self.opening, (1.0, 0.0))
        return super().bounds(round_number)

    def guarded(
        self, facts: Evidence, rows: Rows, state: State | None
    ) -> tuple[Evidence, bool]:
        """Return the cells of the round; with weights each of the site's must hold.

        The opening tells of no weights and no groups.
        """
        if state is None:
            return facts, False
        own = replace(facts, cells=thinnest(self.plan, self._in_cells(rows, state)))
        return super().guarded(own, rows, state)

    # --- inside a site --------------------------------------------------------------
    def start(self, rows: Rows) -> Message:
        """Return how many had the event, left or entered in each bin, and what may be.

        Of the numbers of cells on the ladder, each that the site allows is a 1.
        """
        here = float(rows.people > 0)
        return {
            "everybody": np.array(self._counts(rows)),
            "allowed": here * (np.array(self._ladder) <= self._most(rows)),
            "sites": np.array([here]),
            "n": np.array([float(rows.n)]),
        }

    def _most(self, rows: Rows) -> int:
        """Return how many cells the site allows.

        All, where nobody is, for nobody is told of; or where single people are shown.
        """
        if self._shows_single or not rows.people:
            return self._ladder[-1]
        return cells.allowed(self.plan, rows.people)

    def _counts(self, rows: Rows) -> list[Floats]:
        """Return (edges,) people of each kind."""
        size, had = len(self.plan.edges), rows.event > 0
        found = [sum_by(rows.bin[had], size), sum_by(rows.bin[~had], size)]
        if self.plan.analysis.start:
            at = entry_bins(self.plan.edges, rows.start)
            found.append(sum_by(at[at >= 0], size))
        return found

    def local(self, rows: Rows, state: State) -> Message:
        """Return what `km` does, of people who are all in the last bin of their cell.

        Raises:
            WrongShape: the state has other cells than a grid can, or too many.
        """
        return super().start(self._in_cells(rows, state))

    def _in_cells(self, rows: Rows, state: State) -> Rows:
        cell = self._cell(state)
        cells.check(state[CELL], self._most(rows))
        bins = np.where(rows.event > 0, cell[0][rows.bin], cell[1][rows.bin])
        if not self.plan.analysis.start:
            return replace(rows, bin=bins)
        edges, at = np.asarray(self.plan.edges), entry_bins(self.plan.edges, rows.start)
        start = np.where(at >= 0, edges[cell[2][at]], rows.start)
        return replace(rows, bin=bins, start=start)

    def _cell(self, state: State) -> Ints:
        """Return (kinds, edges) the last bin of the cell of each bin.

        Raises:
            WrongShape: the state holds none.
        """
        cell = state.get(CELL)
        if cell is None or cell.shape != (len(self._kinds), len(self.plan.edges)):
            raise WrongShape("the state does not say which bins are counted together")
        return cell.astype(np.int64)

    # --- outside ---------------------------------------------------------------------
    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the cells, or the finding and, where bins were put together, which.

        Raises:
            NotEstimable: no one has the event.
        """
        del round_number
        if state is None:
            return self._cut(total)
        whole = in_whole(total)
        fine = self._spread(whole, state)
        found = self.finding(fine, Spread.of_squares(fine["squared"]))
        if state[LEAST][0] <= 1:
            return found
        cell = self._cell(state)
        curves = [
            self._at_ends(curve, of, cell[0])
            for curve, of in zip(found.payload["curves"], whole["deaths"], strict=True)
        ]
        said = {"curves": curves, "cells": self._said(state)}
        return replace(found, payload={**found.payload, **said})

    def _cut(self, total: Message) -> State:
        """Return everybody's counts, the last bin of each one's cell, and the fewest.

        The fewest people that a cell may hold are 1 where each bin is a cell.
        """
        everybody = np.rint(total["everybody"])
        if not everybody[0].any():
            raise NotEstimable(
                f"no one has the event {self.plan.analysis.event!r}",
                fix="check the event's definition",
            )
        by_all = np.rint(total["allowed"]) == np.rint(total["sites"][0])
        may = [step for step, of in zip(self._ladder, by_all, strict=True) if of]
        most = max(may, default=self._ladder[0])  # where a site says nothing of use
        counts = dict(zip(self._kinds, everybody.astype(np.int64), strict=True))
        least, ends = cells.finest(counts, most)
        size = len(self.plan.edges)
        cell = [cells.cells_of(ends[kind], size) for kind in self._kinds]
        return {
            EVERYBODY: everybody,
            CELL: np.array(cell),
            LEAST: np.array([float(least)]),
        }

    def _spread(self, total: Message, state: State) -> Message:
        """Return sums as if people lay in the bins of their cell as everybody does."""
        is_late, cell = bool(self.plan.analysis.start), self._cell(state)
        ends, first = (-1, 0) if is_late else (None, None)

        def of(kind: int, told: Floats, whole: int | None = ends) -> Floats:
            return cells.spread(told, cell[kind], state[EVERYBODY][kind], whole=whole)

        died = of(0, total["deaths"])
        left = of(1, total["leaving"] - total["deaths"])
        fine = {**total, "deaths": died, "leaving": died + left}
        if is_late:
            fine["entering"] = of(2, total["entering"], first)
        for name in ("weighted", "squared"):
            told = total[name]
            pair = (of(1, told[:, :, 0]), of(0, told[:, :, 1]))
            fine[name] = np.stack(pair, axis=2)
        return fine

    def _at_ends(self, curve: dict[str, Any], deaths: Floats, cell: Ints) -> Any:
        """Return a curve at the ends of cells, with their events and who is at risk."""
        at = cell[np.searchsorted(self.plan.edges, curve["time"])]
        ends, first = np.unique(at, return_index=True)
        last = np.append(first[1:], len(at))[: len(first)] - 1
        joined = {key: [curve[key][place] for place in last] for key in AT_END}
        return {
            **curve,
            **joined,
            "at_risk": [curve["at_risk"][place] for place in first],
            "events": [round(x) for x in deaths[ends].tolist()],
        }

    def _said(self, state: State) -> dict[str, Any]:
        """Return the last edge of each cell, by kind, and the fewest people of one."""
        edges = np.asarray(self.plan.edges)
        ends = {
            kind: edges[np.unique(of)].tolist()
            for kind, of in zip(self._kinds, self._cell(state), strict=True)
        }
        of_kinds = state[EVERYBODY].sum(axis=1)  # of whom there may be fewer
        people = min(state[LEAST][0], of_kinds[of_kinds > 0].min())
        return {"people": int(people), **ends}
