"""Medians and quartiles: by group, people below a few borders between many people.

Each round counts everybody, of whatever group, in 1,024 bins of the values about a
quantile, until a bin is 2^-40 of the public range wide. From these counts everybody
works out the borders below which the people of a group are counted next.
"""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hetao.analysis.borders import (
    BINS,
    FIRST,
    TOP,
    Borders,
    Point,
    Window,
    Wish,
    apart_of,
    most_of,
    wanted,
    width_of,
)
from hetao.analysis.estimator import Estimator, Message, State, estimator, sum_by
from hetao.analysis.expressions import Ints
from hetao.analysis.finding import Finding
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.errors import SmallCell, WrongShape
from hetao.study import Minimum

SHARES: Final = (0.25, 0.5, 0.75)
ROUNDS: Final = 16
ENDS: Final = ("low", "high", "under", "upto")  # of a window, and people below them

At = tuple[int, int, int]  # number, group and quantile
Asked = list[list[int]]  # borders, by group


@estimator(
    name="quantiles",
    sums={
        "counts": f"numbers,groups,{len(SHARES)},{BINS}",
        "below": "numbers,groups,asked",
        "n": 1,
    },
    opening={
        "counts": f"numbers,{BINS}",
        "known": "numbers,groups",
        "people": "groups",
        "n": 1,
    },
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

    Whoever knows everybody's values reads of a group what is counted of it. So groups
    are counted below borders alone: of a number seven that all groups share and nine
    more of each group, at most (21 where `k` is 1); between any two of them lie `2 k`
    people or more, of all groups together (one where `k` is 1). With a single group, of
    which nothing is told, it is `k`. So an interval is somewhat wider than `k` people
    need: it ends where halving it could leave fewer than `k` of the group on both
    sides, where fewer than `4 k` of all groups lie in it, or where the borders are
    spent, which happens beyond some 20,000 people. In a cohort of some dozens it may
    be most of the public range.

    What guards it: bins and groups are small cells, so a site's own are never
    publishable (rule 5 of the gate); the sums are never shown, and an interval of fewer
    people than the strictest site shows is withheld. A site works out the borders from
    the sums itself, and refuses others, or ones that lie closer. The budget of linear
    statistics counts them (`analysis/shown.py`).

    KNOWN GAP: whoever carries out the rounds sees, of all sites and groups together,
    how many people lie in each bin about a quantile.

    Source:
        Hyndman & Fan (1996), The American Statistician 50, 361-365, definition 1.
        Oracle: `tests/oracles/test_quantiles.py`.
    """

    chooses = True
    relies_on = ("hetao.analysis.borders",)

    def __init__(self, plan: Plan, own: Minimum | None = None) -> None:
        """Fit the estimator to a plan, and to a site's own least counts."""
        self._numbers = plan.analysis.variables
        self._least = (plan.minimum or Minimum()).cell
        self._groups = len(plan.groups)
        self._apart = apart_of(self._least, self._groups)
        self._more = most_of(self._least, self._groups)
        cell = self._least if own is None else own.cell
        self._own_apart = apart_of(cell, self._groups)
        super().__init__(plan)

    def within(self, minimum: Minimum) -> "Quantiles":
        """Return the same for a site that asks for more people between two borders."""
        return type(self)(self.plan, minimum)

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        asked = FIRST if self._groups > 1 else 0  # of one group, what follows
        return super().sizes() | {"numbers": len(self._numbers), "asked": asked}

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds: a person is one count."""
        names = self.sums if round_number else self.opening
        return dict.fromkeys(names, (1.0, 0.0))

    def start(self, rows: Rows) -> Message:
        """Return how many lie in each of the widest bins, and are known, by group.

        Raises:
            SmallCell: the study's least cell is below the site's.
        """
        if self._groups > 1 and self._own_apart > self._apart:
            raise SmallCell(
                f"{rows.site} counts a group below borders with {self._own_apart} "
                f"people of all groups between them, and the study has {self._apart}",
                fix="write the largest least count of all sites into the study's "
                "minimum",
            )
        counts = np.zeros((len(self._numbers), BINS))
        known = np.zeros((len(self._numbers), self._groups))
        for i, name in enumerate(self._numbers):
            group, place = _places(rows, name)
            counts[i] = sum_by(place // (TOP // BINS), BINS)
            known[i] = sum_by(group, self._groups)
        return {
            "counts": counts,
            "known": known,
            "people": sum_by(rows.group, self._groups),
            "n": np.array([float(rows.n)]),
        }

    def local(self, rows: Rows, state: State) -> Message:
        """Return how many lie in the bins of windows, and by group below borders.

        Raises:
            WrongShape: the state holds no windows, or no borders, that there are.
            SmallCell: groups would be counted below borders with few people between.
        """
        self._check(state)
        counts = np.zeros((len(self._numbers), self._groups, len(SHARES), BINS))
        below = np.zeros(state["asked"].shape)
        for i, name in enumerate(self._numbers):
            group, place = _places(rows, name)
            for at in zip(*np.nonzero(state["open"][i]), strict=True):
                low, high = (int(state[end][i][at]) for end in ("low", "high"))
                inside = place[(place >= low) & (place < high)] - low
                counts[i][at] = sum_by(inside // width_of(low, high), BINS)
            for at in zip(*np.nonzero(state["asked"][i] >= 0), strict=True):
                border = state["border"][i, int(state["asked"][i][at])]
                below[i][at] = np.count_nonzero(place[group == at[0]] < border)
        return {"counts": counts, "below": below, "n": np.array([float(rows.n)])}

    def _check(self, state: State) -> None:
        """Refuse a state of another form, or whose borders lie too close."""
        forms = {name: array.shape for name, array in self._empty().items()}
        if {name: array.shape for name, array in state.items()} != forms:
            raise WrongShape("the state does not hold the windows and borders it must")
        if not all(
            (np.abs(array) <= TOP).all() and np.array_equal(array, np.rint(array))
            for array in state.values()
        ):
            raise WrongShape("the state asks for bins or borders that there are not")
        low, high = state["low"], state["high"]
        last = (state["border"] >= 0).sum(axis=1)[:, None, None]
        if not ((low >= 0) & (low < high)).all() or (state["asked"] >= last).any():
            raise WrongShape("the state asks for bins or borders that there are not")
        for i in range(len(self._numbers)):
            if not self._borders(state, i).are_apart():
                raise SmallCell(
                    "the state asks for the people of a group between two borders that "
                    f"do not hold {self._apart} people of all groups"
                )

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the windows and borders to count at next, or the finding."""
        sums = {name: np.rint(array) for name, array in total.items()}
        new = {name: array.copy() for name, array in (state or {}).items()}
        new = new or self._opened(sums)
        new["asked"] = np.full_like(new["asked"], -1.0)
        for i in range(len(self._numbers)):
            borders, counts = self._borders(new, i), sums["counts"][i].astype(np.int64)
            asked: Asked = [[] for _ in range(self._groups)]
            if state is None:
                asked = self._ask_all(borders, counts)
                counts = np.broadcast_to(counts, (*new["low"][i].shape, BINS))
            else:
                for g, j in _true(state["asked"][i] >= 0):
                    border, n = int(state["asked"][i, g, j]), sums["below"][i, g, j]
                    borders.tell(border, g, int(n))
            first = [bool(mine) for mine in asked]  # till they are told, nothing else
            for g, q in _true(new["open"][i] > 0):
                at = (i, g, q)
                low, high, under, upto = (int(new[end][at]) for end in ENDS)
                seen = Window(low, high, under, upto, counts[g, q])
                waits = first[g] or self._ask(borders, seen, at, new, asked)
                self._narrow(borders, seen, at, new, waits=waits)
            _write(borders, asked, i, new)
        if round_number + 1 < ROUNDS and new["open"].any():
            return new
        return self._finding(new)

    def _empty(self) -> State:
        """Return a state before anything is known."""
        numbers, groups = len(self._numbers), self._groups
        most = FIRST + self._more * groups
        each = (numbers, groups, len(SHARES))
        return {
            "border": np.full((numbers, most), -1.0),
            "rank": np.full((numbers, most), -1.0),
            "told": np.full((numbers, most, groups), -1.0),
            "asked": np.full((numbers, groups, self.sizes()["asked"]), -1.0),
            "used": np.zeros((numbers, groups)),
            "open": np.ones(each),
            "low": np.zeros(each),
            "high": np.full(each, float(TOP)),
            "under": np.zeros(each),
            "upto": np.zeros(each),
            "from": np.zeros(each),
            "to": np.full(each, float(TOP)),
            "people": np.zeros(each),
            "known": np.zeros((numbers, groups)),
            "everyone": np.zeros(groups),
        }

    def _opened(self, sums: Message) -> State:
        """Return the state before the first look: of each quantile, the whole range."""
        empty, known = self._empty(), sums["known"]
        is_enough = known[:, :, None] >= self._least * empty["open"]
        upto = known.sum(axis=1)[:, None, None] * empty["open"]
        new = {"known": known, "everyone": sums["people"], "upto": upto}
        return empty | new | {"open": is_enough.astype(np.float64)}

    def _borders(self, state: State, i: int) -> Borders:
        """Return what a state says of the borders of a number."""
        found = Borders([int(n) for n in state["known"][i]], self._apart)
        count = int((state["border"][i] >= 0).sum())
        found.at = [int(at) for at in state["border"][i][:count]]
        found.rank = [int(rank) for rank in state["rank"][i][:count]]
        found.below = [[int(n) for n in told] for told in state["told"][i][:count]]
        return found

    def _ask_all(self, borders: Borders, counts: Ints) -> Asked:
        """Return, by group, the borders at eighths of all, for those of enough."""
        whole = (Point(0, 0, 0), Point(TOP, borders.everybody, borders.known[0]))
        for part in range(1, FIRST + 1):
            rank = borders.everybody * part // (FIRST + 1)
            wish = Wish(rank, 0, borders.everybody)
            seen = Window(0, TOP, 0, borders.everybody, counts)
            borders.nearest(0, whole, seen, wish)
        all_of_them = list(range(len(borders.at))) if self._groups > 1 else []
        return [all_of_them[:] if n >= self._least else [] for n in borders.known]

    def _ask(
        self, borders: Borders, seen: Window, at: At, new: State, asked: Asked
    ) -> bool:
        """Ask for the next border of a quantile; return whether there is one."""
        group = at[1]
        while self._may_ask(between := _between(borders, at, new), at, new):
            left = self._left(at, new)
            rank = _rank(at, new)
            wish = wanted(between, rank, left, self._least, self._apart)
            border = borders.nearest(group, between, seen, wish)
            if border is None:
                return False
            new["used"][at[:2]] += 1
            if borders.below[border][group] < 0:
                asked[group] += [] if border in asked[group] else [border]
                return True
        return False

    def _may_ask(self, between: tuple[Point, Point], at: At, new: State) -> bool:
        """Return whether one of two parts would hold enough, and both many people."""
        low, high = between
        return bool(
            high.below - low.below >= 2 * self._least - 1
            and high.rank - low.rank >= 2 * self._apart
            and self._left(at, new) > 0
        )

    def _left(self, at: At, new: State) -> int:
        """Return how many borders more a quantile may have asked, its share of them."""
        left = self._more - int(new["used"][at[:2]])
        return -(-left // int(new["open"][at[:2]].sum()))

    def _narrow(
        self, borders: Borders, seen: Window, at: At, new: State, *, waits: bool
    ) -> None:
        """Write what is found of a quantile, and which window is looked at next."""
        between = _between(borders, at, new)
        low, high = between
        people = high.below - low.below
        if people < self._least:
            low, high = borders.holding(at[1], _rank(at, new), self._least)
            new["from"][at], new["to"][at] = low.at, high.at
            new["people"][at], new["open"][at] = high.below - low.below, 0.0
            return
        first, last = seen.within(between)
        is_one = last - first <= seen.width  # all share a bin, which may be shown
        new["from"][at] = max(new["from"][at], first if is_one else low.at)
        new["to"][at] = min(new["to"][at], last if is_one else high.at)
        new["people"][at] = people
        is_finer = width_of(first, last) < seen.width
        helps = is_one or self._may_ask(between, at, new)
        new["open"][at] = float(waits or (is_finer and helps))
        for end, value in zip(ENDS, (first, last, low.rank, high.rank), strict=True):
            new[end][at] = value

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
                "low": float(low + (high - low) * (state["from"][at][q] / TOP)),
                "high": float(low + (high - low) * (state["to"][at][q] / TOP)),
                "people": round(float(state["people"][at][q])),
            }
            for q, share in enumerate(SHARES)
        ]
        return {
            "n": known,
            "missing": round(float(state["everyone"][at[1]])) - known,
            "quantiles": found if known >= self._least else [],
        }


def _places(rows: Rows, name: str) -> tuple[Ints, Ints]:
    """Return group and bin, of `TOP`, of each person whose value is known."""
    values = rows.values[name]
    known = ~np.isnan(values)
    place = np.floor((values[known] + 1) / 2 * TOP).astype(np.int64)
    return rows.group[known], np.clip(place, 0, TOP - 1)


def _true(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the places of a matrix at which something is so, row by row."""
    return [(int(row), int(column)) for row, column in np.argwhere(mask)]


def _rank(at: At, state: State) -> int:
    """Return the how many-th value of its group a quantile is, from 1."""
    return math.ceil(SHARES[at[2]] * float(state["known"][at[:2]]))


def _between(borders: Borders, at: At, state: State) -> tuple[Point, Point]:
    """Return the nearest borders about a quantile."""
    return borders.bracket(at[1], _rank(at, state))


def _write(borders: Borders, asked: Asked, i: int, new: State) -> None:
    """Write into a state what is known of a number's borders, and what is asked."""
    count = len(borders.at)
    if count:
        new["border"][i, :count] = borders.at
        new["rank"][i, :count] = borders.rank
        new["told"][i, :count] = borders.below
    for g, mine in enumerate(asked):
        new["asked"][i, g, : len(mine)] = mine
