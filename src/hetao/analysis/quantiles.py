"""Medians and quartiles: counts in the bins of a public grid, zoomed in on.

Each round cuts the bin that holds a quantile into 1,024, up to four times, so that the
last bin is 2^-40 of the public range wide. It stops before a bin would hold fewer than
the study's least count of people: then bins on both sides join it, until enough.
"""

from typing import Any

import numpy as np

from hetao.analysis.estimator import Estimator, Message, State, estimator, sum_by
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.errors import WrongShape
from hetao.study import Minimum

SHARES = (0.25, 0.5, 0.75)
BINS = 1024  # a power of two, so that a bin's index is exact
ROUNDS = 4


@estimator(
    name="quantiles",
    sums={"counts": f"numbers,groups,{len(SHARES)},{BINS}", "n": 1},
    opening={"counts": f"numbers,groups,{BINS}", "people": "groups", "n": 1},
    most_rounds=ROUNDS,
    publishable=False,  # a narrow bin at a site holds one person
)
class Quantiles(Estimator):
    """Quartiles of the known values, each as an interval that holds enough people.

    A quantile is the smallest value below or at which that share of the values lies,
    R's `quantile(type = 1)`: a value of somebody, so what is found is an interval of
    values of at least `k` people that holds it; `k` is the study's least `cell`, or the
    strict one. Where so many share one value, the interval is that value to 2^-41 of
    the public range. Smallest and largest values are never asked for.

    What guards it: counts in bins are small cells, so a site's own are never
    publishable (rule 5 of the gate); the bins of a sum are never shown, and an interval
    of fewer people than the strictest site shows is withheld.

    KNOWN GAP: whoever carries out the rounds sees, of all sites together, how many
    people lie in each bin of a bin that holds `k` or more.

    Source:
        Hyndman & Fan (1996), The American Statistician 50, 361-365, definition 1.
        Oracle: `tests/oracles/test_quantiles.py`.
    """

    def __init__(self, plan: Plan) -> None:
        """Fit the estimator to a plan."""
        self._numbers = plan.analysis.variables
        self._least = (plan.minimum or Minimum()).cell
        super().__init__(plan)

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        return super().sizes() | {"numbers": len(self._numbers)}

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds: a person is one count."""
        bounds: dict[str, tuple[float, float | None]] = {"counts": (1.0, 0.0)}
        if not round_number:
            bounds["people"] = (1.0, 0.0)
        return bounds | {"n": (1.0, 0.0)}

    def start(self, rows: Rows) -> Message:
        """Return how many lie in each of the widest bins, by variable and group."""
        groups = len(self.plan.groups)
        counts = np.zeros((len(self._numbers), groups, BINS))
        for i, name in enumerate(self._numbers):
            group, place = _places(rows, name, 1)
            counts[i] = sum_by(group * BINS + place, groups * BINS).reshape(-1, BINS)
        return {
            "counts": counts,
            "people": sum_by(rows.group, groups),
            "n": np.array([float(rows.n)]),
        }

    def local(self, rows: Rows, state: State) -> Message:
        """Return how many lie in each part of the bins that `state["bin"]` names.

        Raises:
            WrongShape: the state holds no bin, or no level, that there is.
        """
        level, bins = self._asked(state)
        counts = np.zeros((*bins.shape, BINS))
        for i, name in enumerate(self._numbers):
            group, place = _places(rows, name, level + 1)
            parent, part = place // BINS, place % BINS
            for q in range(len(SHARES)):
                inside = parent == bins[i, group, q]
                where = group[inside] * BINS + part[inside]
                found = sum_by(where, len(self.plan.groups) * BINS)
                counts[i, :, q] = found.reshape(-1, BINS)
        return {"counts": counts, "n": np.array([float(rows.n)])}

    def _asked(self, state: State) -> tuple[int, Floats]:
        bins, level = state.get("bin"), state.get("level")
        shape = (len(self._numbers), len(self.plan.groups), len(SHARES))
        if bins is None or bins.shape != shape or level is None or level.shape != (1,):
            raise WrongShape("the state does not hold one bin a quantile, and a level")
        if level[0] not in range(1, ROUNDS):
            raise WrongShape("the state asks for bins of a level that there is not")
        return int(level[0]), bins

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the bins to look into next, or the finding."""
        counts = np.rint(total["counts"])
        if state is None:
            state = _opening(counts, np.rint(total["people"]))
            counts = np.broadcast_to(counts[:, :, None], (*state["bin"].shape, BINS))
        state = self._narrowed(counts, state, round_number)
        if round_number + 1 < ROUNDS and (state["bin"] >= 0).any():
            return state
        return self._finding(state)

    def _narrowed(self, counts: Floats, state: State, round_number: int) -> State:
        """Return the state with each open bin cut to the part with its quantile."""
        new = {name: array.copy() for name, array in state.items()}
        new["level"] = np.array([round_number + 1.0])
        width = float(BINS) ** -(round_number + 1)
        for at in zip(*np.nonzero(state["bin"] >= 0), strict=True):
            n = state["known"][at[:2]]
            rank = max(1.0, float(np.ceil(SHARES[at[2]] * n)))
            upto = state["below"][at] + np.cumsum(counts[at])
            part = int(np.searchsorted(upto, rank))
            first, last, people = _enough(counts[at], part, self._least)
            origin = state["bin"][at] * BINS
            new["low"][at] = (origin + first) * width
            new["high"][at] = (origin + last + 1) * width
            new["people"][at] = people
            is_alone = first == last and counts[at][part] >= self._least
            new["bin"][at] = origin + part if is_alone else -1.0
            new["below"][at] = upto[part] - counts[at][part]
        return new

    def _finding(self, state: State) -> Finding:
        rows = [
            {
                "variable": name,
                "unit": self.plan.variable(name).unit,
                "by_group": [
                    self._cell(state, (i, g)) for g in range(len(self.plan.groups))
                ],
            }
            for i, name in enumerate(self._numbers)
        ]
        payload = {
            "model": "quantiles",
            "type": 1,
            "groups": list(self.plan.groups),
            "people": [round(n) for n in state["everyone"].tolist()],
            "rows": rows,
        }
        return Finding(self.plan.analysis.name, self.name, payload)

    def _cell(self, state: State, at: tuple[int, int]) -> dict[str, Any]:
        variable = self.plan.variable(self._numbers[at[0]])
        low, high = variable.bounds or (0.0, 1.0)
        known = round(float(state["known"][at]))
        found = [
            {
                "p": share,
                "low": float(low + (high - low) * state["low"][at][q]),
                "high": float(low + (high - low) * state["high"][at][q]),
                "people": round(float(state["people"][at][q])),
            }
            for q, share in enumerate(SHARES)
        ]
        return {
            "n": known,
            "missing": round(float(state["everyone"][at[1]])) - known,
            "quantiles": found if known >= self._least else [],
        }


def _places(rows: Rows, name: str, level: int) -> tuple[Any, Any]:
    """Return group and bin, of a level, of each person whose value is known."""
    values = rows.values[name]
    known = ~np.isnan(values)
    bins = BINS**level
    place = np.floor((values[known] + 1) / 2 * bins).astype(np.int64)
    return rows.group[known], np.clip(place, 0, bins - 1)


def _opening(counts: Floats, everyone: Floats) -> State:
    """Return the state before the first cut: one bin, the public range, for all."""
    known = counts.sum(axis=2)
    shape = (*known.shape, len(SHARES))
    people = np.broadcast_to(known[:, :, None], shape).copy()
    return {
        "bin": np.where(people > 0, 0.0, -1.0),
        "level": np.zeros(1),
        "below": np.zeros(shape),
        "low": np.zeros(shape),
        "high": np.ones(shape),
        "people": people,
        "known": known,
        "everyone": everyone,
    }


def _enough(counts: Floats, part: int, least: int) -> tuple[int, int, float]:
    """Return first and last of the bins about one that hold enough, and how many."""
    total = np.append(0.0, np.cumsum(counts))
    around = np.arange(BINS)
    first = np.maximum(part - around, 0)
    last = np.minimum(part + around, BINS - 1)
    people = total[last + 1] - total[first]
    reach = min(int(np.searchsorted(people, least)), BINS - 1)
    return int(first[reach]), int(last[reach]), float(people[reach])
