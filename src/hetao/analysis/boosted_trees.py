"""Gradient-boosted trees from histograms: those of the pooled rows, bit for bit.

The opening counts people in fine bins of each column, and cuts it where enough lie
between two edges. Then, for each tree and level, one round sums gradients, curvatures
and people by node, column and bin, from which follows the best split of every node.
Before the sums of a deeper level one round counts the people only: bins are joined
until each holds nobody or enough, on either side of the split that made the nodes. When
the trees stand, their predictions are measured, in people who were held out.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np
from scipy.special import expit

from hetao.analysis.boosting import (
    FINE,
    NONE,
    Forest,
    add_leaves,
    best_split,
    bins_of,
    edges_of,
    fine_places,
    is_held_out,
    joined,
    leaf_of,
    on_grid,
)
from hetao.analysis.estimator import Message, Shapes, State, estimator, sum_by
from hetao.analysis.evidence import Evidence
from hetao.analysis.expressions import Floats, Ints
from hetao.analysis.finding import Finding
from hetao.analysis.measures import errors_of
from hetao.analysis.measuring import HISTOGRAMS, MOMENTS, Measuring, begun
from hetao.analysis.newton import MOST_ROUNDS
from hetao.analysis.plan import Plan
from hetao.analysis.prediction import FURTHEST
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable, WrongShape
from hetao.study import Boosting, Minimum
from hetao.study.performance import MOST_DEPTH, MOST_TREES

MOST: Final = 1 + MOST_TREES * (2 * MOST_DEPTH - 1) + MOST_ROUNDS
LEAST_CURVE: Final = 1e-3  # of a side of a split, as scikit-learn's and XGBoost's
CELLS: Final[Shapes] = dict.fromkeys(
    ("people", "gradient", "curvature"), "nodes,p,cells"
)


@dataclass(eq=False)
class Binned:
    """What rounds at a site have in common, so that none works it out again.

    Attributes:
        rows, grid: whose bins they are, and by which edges.
        learns: (n,) who is not held out.
        bins: (n, p).
        told: of the predictions kept, how many trees they add up, and which.
        raw: (n,) those predictions, before they are held to the outcome's bounds.
    """

    rows: Rows
    grid: bytes
    learns: "np.typing.NDArray[np.bool_]"
    bins: Ints
    told: tuple[int, bytes] = (0, b"")
    raw: Floats = field(default_factory=lambda: np.zeros(0))

    def reached(self, forest: Forest, trees: int, base: float) -> tuple[int, Floats]:
        """Return how many of the first trees are added up already, and the sums."""
        known = self.told[0]
        if 0 < known <= trees and self.told == _told(forest, known, base):
            return known, self.raw
        return 0, self.raw

    def keep(self, forest: Forest, trees: int, base: float, raw: Floats) -> None:
        """Keep the sums of the first trees."""
        self.told, self.raw = _told(forest, trees, base), raw


def _told(forest: Forest, trees: int, base: float) -> tuple[int, bytes]:
    parts = (forest.column[:trees], forest.cut[:trees], forest.value[:trees])
    return trees, b"".join(part.tobytes() for part in parts) + str(base).encode()


@estimator(
    name="boosted_trees",
    opening={"spread": f"p,{FINE}", "events": 1, "n": 1},
    sums={**CELLS, **MOMENTS, **HISTOGRAMS, "events": 1, "n": 1},
    most_rounds=MOST,
    publishable=False,
)
class BoostedTrees(Measuring):
    """Trees by Newton boosting, of a binary outcome (log loss) or a number (squared).

    Gradients are whole multiples of 2^-30, so their sums are exact and any split of the
    rows over sites gives the same trees to the last bit. A leaf holds at least the
    study's least cell of people, or more if the study says so. People who miss a column
    are left out. Whoever is held out, a hash of their own columns decides, so that no
    identity leaves a site; trees see nothing of them. Without anybody held out the
    performance is the apparent one, and is called so.

    What guards it: people, events, non-events and columns of each site, as of a
    regression. A site's own histograms are never publishable: over fewer sites than the
    minimum, thin cells are refused (rule 5). Outcomes (gradients) are only summed where
    the people of all sites together are enough or nobody, on both sides of each split.
    What is shown has leaf values in three digits and no people of a leaf.

    KNOWN GAP: whoever carries out the rounds, and from the next round on every site,
    sees of all sites together how many people lie in each fine bin of a column and of
    each node in each of its bins, and where enough do, their gradients, from which
    outcomes follow. A site can subtract its own part: what is left of a cell may be
    about one person elsewhere. So a sum counts as one that may show a single site's
    part: it leaves at grade 3, which permit and policies must allow, however many sites
    there are. Splits of different trees near one value can be subtracted from each
    other as far as the gradients of the trees before are known for those few.

    Source:
        Friedman (2001), Ann. Stat. 29, 1189-1232; Chen and Guestrin (2016), KDD,
        785-794. Oracle: `tests/oracles/test_boosted_trees.py`.
    """

    own_parts = True
    relies_on: ClassVar[tuple[str, ...]] = (
        *Measuring.relies_on,
        "hetao.analysis.boosting",
    )

    def __init__(self, plan: Plan) -> None:
        """Fit the estimator to a plan."""
        self._asked = plan.analysis.boosting or Boosting()
        self._seen: Binned | None = None
        super().__init__(plan)

    @property
    def _least(self) -> int:
        """Return how many people a cell with an outcome must hold."""
        return (self.plan.minimum or Minimum()).cell

    @property
    def prediction(self) -> str:
        """Return whose predictions they are."""
        return "held out" if self._asked.holdout else "fitted to these people"

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        nodes = 2 ** (self._asked.depth - 1)
        return super().sizes() | {"nodes": nodes, "cells": self._asked.bins}

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds: predictions stay within those of the outcome."""
        most = 1.0 if self.plan.is_binary else 2.0
        count = (1.0, 0.0)
        bounds: dict[str, tuple[float, float | None]] = {
            "events": (1.0, 0.0 if self.plan.is_binary else None),
            "n": count,
        }
        if round_number == 0:
            return {**bounds, "spread": count}
        bounds |= {"people": count, "gradient": (most, None), "curvature": count}
        return bounds | self.measured_bounds(round_number)

    # --- inside a site --------------------------------------------------------------
    def start(self, rows: Rows) -> Message:
        """Return how many lie in each fine bin of a column, and the summed outcome."""
        learns = self._learns(rows)
        message = self.blank(on_grid(rows.y[learns]), 0)
        places = fine_places(rows.X[learns])
        message["spread"] = np.stack([sum_by(column, FINE) for column in places.T])
        return message

    def local(self, rows: Rows, state: State) -> Message:
        """Return the sums by node, column and bin, or those of the predictions.

        Raises:
            WrongShape: the state holds no trees, or asks for a level there is not.
        """
        forest = self._forest(state)
        if "line" in state:
            return self._of_predictions(rows, state, forest)
        tree, level, counts_only = self._at(state)
        binned = self._binned(rows, state)
        message = self.blank(on_grid(rows.y[binned.learns]), 1)
        node = leaf_of(forest, tree, binned.bins, level) - (2**level - 1)
        here = (node >= 0) & binned.learns
        node, bins = node[here], binned.bins[here]
        parts: list[tuple[str, Floats | None]] = [("people", None)]
        if not counts_only:
            raw = self._raw(forest, tree, state, binned)[here]
            gradient, curvature = self._slopes(raw, rows.y[here])
            parts += [("gradient", gradient), ("curvature", curvature)]
        runs = state["runs"].astype(np.int64)
        for name, values in parts:
            message[name] = _by_cell(node, bins, runs, values)
        return message

    def guarded(
        self, facts: Evidence, rows: Rows, state: State | None
    ) -> tuple[Evidence, bool]:
        """Return the facts, in the opening with the people in the thinnest fine bin."""
        if state is None and rows.n:
            spread = self.start(rows)["spread"]
            least = int(spread[spread > 0].min(initial=rows.n))
            facts = Evidence(**{**facts.__dict__, "cells": {"thinnest bin": least}})
        return facts, self.own_cells

    def bins(self, rows: Rows, state: State) -> dict[str, int]:
        """Return the people in the thinnest cell that has any."""
        if "line" in state:
            if not self.plan.is_binary:
                return {}
            measured = self._measures(rows)
            z = self._logits(rows, state, self._forest(state))[measured]
            return self.thinnest(rows.y[measured], z, state)
        people = self.local(rows, state)["people"]
        least = people[people > 0].min(initial=rows.n)
        return {"people in the thinnest cell of the trees": int(least)}

    def _learns(self, rows: Rows) -> "np.typing.NDArray[np.bool_]":
        return ~is_held_out(rows.X, self._asked.holdout)

    def _measures(self, rows: Rows) -> "np.typing.NDArray[np.bool_]":
        """Return who is measured: who is held out, or all if nobody is."""
        learns = self._learns(rows)
        return ~learns if self._asked.holdout else learns

    def _forest(self, state: State) -> Forest:
        inner = 2**self._asked.depth - 1
        cells = self._asked.bins
        wanted = {
            "column": (self._asked.trees, inner),
            "cut": (self._asked.trees, inner),
            "value": (self._asked.trees, 2 * inner + 1),
            "grid": (self.plan.parameters, cells - 1),
            "base": (1,),
        }
        if any(n not in state or state[n].shape != s for n, s in wanted.items()):
            raise WrongShape(
                "the state does not hold the trees that the study asks for"
            )
        column = state["column"]
        if not np.isin(column, np.arange(NONE, self.plan.parameters)).all():
            raise WrongShape("the state splits by a column that there is not")
        return Forest(column, state["cut"], state["value"])

    def _at(self, state: State) -> tuple[int, int, bool]:
        """Return tree, level, and whether people are only counted."""
        at, runs = state.get("at"), state.get("runs")
        sizes = self.sizes()
        shape = (sizes["nodes"], sizes["p"], sizes["cells"])
        if at is None or at.shape != (3,) or runs is None or runs.shape != shape:
            raise WrongShape("the state does not say which nodes to sum")
        tree, level, counts_only = at.tolist()
        is_there = tree in range(self._asked.trees) and level in range(
            self._asked.depth
        )
        if not is_there or not np.isin(runs, np.arange(shape[2])).all():
            raise WrongShape("the state asks for a level or a bin that there is not")
        return int(tree), int(level), bool(counts_only)

    def _binned(self, rows: Rows, state: State) -> "Binned":
        """Return the rows' bins; those of the round before where they are the same."""
        seen, grid = self._seen, state["grid"].tobytes()
        if seen is None or seen.rows is not rows or seen.grid != grid:
            bins = bins_of(rows.X, state["grid"])
            seen = Binned(rows, grid, self._learns(rows), bins)
            self._seen = seen
        return seen

    def _raw(
        self, forest: Forest, trees: int, state: State, binned: "Binned"
    ) -> Floats:
        """Return (n,) raw predictions, which never leave the outcome's bounds."""
        base, depth = float(state["base"][0]), self._asked.depth
        first, raw = binned.reached(forest, trees, base)
        raw = raw + 0.0 if first else np.full(len(binned.bins), base)
        add_leaves(forest, range(first, trees), binned.bins, depth, raw)
        binned.keep(forest, trees, base, raw)
        most = FURTHEST if self.plan.is_binary else 1.0
        return np.clip(raw, -most, most)

    def _slopes(self, raw: Floats, y: Floats) -> tuple[Floats, Floats]:
        if not self.plan.is_binary:
            return on_grid(raw - y), np.ones_like(raw)
        p = expit(raw)
        return on_grid(p - y), on_grid(p * (1 - p))

    def _logits(self, rows: Rows, state: State, forest: Forest) -> Floats:
        binned = self._binned(rows, state)
        raw = self._raw(forest, self._asked.trees, state, binned)
        return raw / FURTHEST if self.plan.is_binary else raw

    def _of_predictions(self, rows: Rows, state: State, forest: Forest) -> Message:
        measured = self._measures(rows)
        y, z = rows.y[measured], self._logits(rows, state, forest)[measured]
        message = self.blank(y, 1)
        if self.plan.is_binary:
            return message | self.measured(y, z, state) | self.counted(y, z, state)
        r = ((y - z) / 2) ** 2
        moments = (r, r * r, y, y**2, y**3, y**4, r * y, r * y * y)
        message["moments"] = np.array([m.sum() for m in moments])
        return message

    # --- outside the sites ----------------------------------------------------------
    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the trees with one more level, the bins joined, or the finding.

        Raises:
            NotEstimable: hardly anyone has the event, or hardly anyone has not; or no
                split of the first tree gains anything.
        """
        if self.plan.is_binary:
            self.check_outcome(total)
        if state is None:
            return self._opening(total)
        if "line" in state:
            self._check_measured(float(total["n"][0]))
            if self.plan.is_binary:
                return self.measure(total, state, round_number)
            return self._of_errors(total, state, round_number)
        tree, level, counts_only = self._at(state)
        if counts_only:
            return self._with_joined(total, state, (tree, level))
        return self._with_splits(total, state, (tree, level))

    def _opening(self, total: Message) -> State:
        asked, n = self._asked, float(total["n"][0])
        if n < 2 * self._fewest:
            raise NotEstimable(
                "there are too few people to split", fix="take more people in"
            )
        mean = float(total["events"][0]) / n
        base = float(np.log(mean / (1 - mean))) if self.plan.is_binary else mean
        inner = 2**asked.depth - 1
        state = {
            "grid": edges_of(np.rint(total["spread"]), asked.bins, self._least),
            "base": np.array([base]),
            "column": np.full((asked.trees, inner), NONE),
            "cut": np.zeros((asked.trees, inner)),
            "value": np.zeros((asked.trees, 2 * inner + 1)),
            "gain": np.zeros(self.plan.parameters),
            "learned": np.array([n]),
        }
        return self._with_root(state, 0)

    @property
    def _fewest(self) -> int:
        return max(self._least, self._asked.min_people)

    def _with_root(self, state: State, tree: int) -> State:
        """Return the state at a tree's root, whose bins hold enough as they are."""
        sizes = self.sizes()
        shape = (sizes["nodes"], sizes["p"], sizes["cells"])
        runs = np.broadcast_to(np.arange(float(shape[2])), shape).copy()
        return {**state, "at": np.array([float(tree), 0.0, 0.0]), "runs": runs}

    def _with_splits(self, total: Message, state: State, at: tuple[int, int]) -> State:
        """Return the state with each node of a level split, where a split gains."""
        (tree, level), asked = at, self._asked
        new = {name: array.copy() for name, array in state.items()}
        sums = np.stack(
            [total["gradient"], total["curvature"], np.rint(total["people"])]
        )
        is_split = False
        for node in range(2**level):
            mine = sums[:, node]
            if not mine[2].any():
                continue
            least = (float(self._fewest), LEAST_CURVE)
            split = best_split(mine, asked.l2, asked.learning_rate, least)
            if split is None:
                continue
            is_split, place = True, 2**level - 1 + node
            new["column"][tree, place] = split.column
            new["cut"][tree, place] = split.cut
            new["value"][tree, 2 * place + 1] = split.left
            new["value"][tree, 2 * place + 2] = split.right
            new["gain"][split.column] += split.gain
        if level == 0 and not is_split:
            if tree == 0:
                raise NotEstimable(
                    "no split of any column gains anything", fix="name other terms"
                )
            return begun(new)
        if is_split and level + 1 < asked.depth:
            runs = np.zeros_like(new["runs"])
            runs[: 2 ** (level + 1)] = np.repeat(new["runs"][: 2**level], 2, axis=0)
            at_next = np.array([float(tree), level + 1.0, 1.0])
            return {**new, "at": at_next, "runs": runs}
        return self._with_root(new, tree + 1) if tree + 1 < asked.trees else begun(new)

    def _with_joined(self, total: Message, state: State, at: tuple[int, int]) -> State:
        """Return the state with bins joined alike for both children of each split."""
        (tree, level), runs = at, state["runs"].copy()
        people = np.rint(total["people"])
        for left in range(0, 2**level, 2):
            pair = people[left : left + 2]
            if not pair.any():
                continue
            for j in range(self.plan.parameters):
                mine = joined(runs[left, j], pair[0, j], pair[1, j], self._least)
                runs[left : left + 2, j] = mine
        return {**state, "at": np.array([float(tree), float(level), 0.0]), "runs": runs}

    def _check_measured(self, n: float) -> None:
        if n < self._fewest:
            raise NotEstimable(
                "too few people were held out to measure the predictions",
                fix="hold a larger share out",
            )

    def _of_errors(self, total: Message, state: State, round_number: int) -> Finding:
        """Return the finding of an outcome that is a number."""
        n, analysis = float(total["n"][0]), self.plan.analysis
        payload: dict[str, Any] = {
            "model": analysis.method,
            "prediction": self.prediction,
            "terms": errors_of(total["moments"] / n, n, self.plan.outcome_scale[1]),
            "bins": {},
            "rounds": round_number + 1,
            "converged": True,
            "n": round(n),
            **self.told(state),
        }
        return Finding(analysis.name, self.name, payload)

    def told(self, state: State) -> dict[str, Any]:
        """Return the trees in the columns' own units, and what each column gained."""
        forest, plan = self._forest(state), self.plan
        centre, scale = (0.0, 1.0) if plan.is_binary else plan.outcome_scale
        grown = int((forest.column[:, 0] >= 0).sum())
        gains = state["gain"] / (state["gain"].sum() or 1.0)
        splits = [float((forest.column == j).sum()) for j in range(plan.parameters)]
        return {
            "base": centre + scale * float(state["base"][0]),
            "trees": [self._tree(forest, tree, state, scale) for tree in range(grown)],
            "importance": [
                {"name": name, "gain": float(gain), "splits": round(count)}
                for name, gain, count in zip(plan.names, gains, splits, strict=True)
                if count
            ],
            "learned": round(float(state["learned"][0])),
        }

    def _tree(
        self, forest: Forest, tree: int, state: State, scale: float
    ) -> list[dict[str, Any]]:
        """Return the nodes of a tree that somebody comes to, the root first."""
        found: list[dict[str, Any]] = []
        waiting = [0]
        while waiting:
            node = waiting.pop(0)
            inner = forest.column.shape[1]
            j = int(forest.column[tree, node]) if node < inner else -1
            if j < 0:
                value = scale * float(forest.value[tree, node])
                found.append({"node": node, "value": value})
                continue
            column, cut = self.plan.columns[j], int(forest.cut[tree, node])
            edge = column.centre + column.scale * float(state["grid"][j, cut])
            sides = [2 * node + 1, 2 * node + 2]
            split = {"column": column.name, "below": edge}
            found.append({"node": node, **split, "left": sides[0], "right": sides[1]})
            waiting += sides
        return found


def _by_cell(node: Ints, bins: Ints, runs: Ints, values: Floats | None) -> Floats:
    """Return (nodes, p, cells) sums of (n,) values, or counts, each run in its last."""
    nodes, p, cells = runs.shape
    found = np.zeros((nodes, p, cells))
    for j in range(p):
        place = node * cells + runs[node, j, bins[:, j]]
        found[:, j] = sum_by(place, nodes * cells, values).reshape(nodes, cells)
    return found
