"""Table 1: who the people are, group by group, in one round.

Numbers are summed about the middle of their public bounds, in units of half their
range, so that a variance is never the small difference of two large sums.
"""

import math
from typing import Any

import numpy as np

from hetao.analysis.estimator import Message, OneRound, State, Sum, estimator, sum_by
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.study import Variable

MISSING = "(missing)"
RESOLVED = 1e-5  # of half the public range: a smaller standard deviation is not told


@estimator(
    name="table1",
    sums={
        "people": "groups",
        "numbers": "numbers,groups,3",
        "levels": "levels,groups",
        "n": 1,
    },
    most_rounds=1,
    publishable=False,  # a site's own counts of missing values may be small
)
class Table1(OneRound):
    """Means, standard deviations and shares, with standardised differences.

    The difference is between the first two groups, in absolute value: Austin (2009),
    Stat. Med. 28, 3083-3107, for numbers; Yang & Dalton (2012), SAS Global Forum 335,
    for categories.
    """

    def __init__(self, plan: Plan) -> None:
        """Fit the estimator to a plan."""
        variables = [plan.variable(name) for name in plan.analysis.variables]
        self._numbers = [v for v in variables if v.kind == "number"]
        self._categories = [v for v in variables if v.kind == "category"]
        self._variables = variables
        super().__init__(plan)

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        levels = sum(len(variable.levels) for variable in self._categories)
        return super().sizes() | {"numbers": len(self._numbers), "levels": levels}

    def declare(self, round_number: int) -> dict[str, Sum]:
        """Return what a site sends; nothing for a kind of variable not asked for."""
        declared = super().declare(round_number)
        return {name: s for name, s in declared.items() if 0 not in s.shape}

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds: a person is one count, a scaled number is within 1."""
        del round_number
        return {
            "people": (1.0, 0.0),
            "numbers": (1.0, None),
            "levels": (1.0, 0.0),
            "n": (1.0, 0.0),
        }

    def start(self, rows: Rows) -> Message:
        """Return people, number sums (count, sum, sum of squares) and level counts."""
        groups = len(self.plan.groups)
        people = sum_by(rows.group, groups)
        message = {"people": people}
        numbers = [_moments(rows, v.name, groups) for v in self._numbers]
        if numbers:
            message["numbers"] = np.stack(numbers)
        levels = [_level_counts(rows, v, groups) for v in self._categories]
        if levels:
            message["levels"] = np.concatenate(levels)
        return message | {"n": np.array([float(rows.n)])}

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the finding."""
        del state, round_number
        people = np.rint(total["people"])
        table = [_people_row(people)]
        number, level = 0, 0
        for variable in self._variables:
            if variable.kind == "number":
                table.append(_number_row(variable, total["numbers"][number], people))
                number += 1
            else:
                counts = np.rint(total["levels"][level : level + len(variable.levels)])
                table += _category_rows(variable, counts, people)
                level += len(variable.levels)
        groups = list(self.plan.groups)
        payload = {"model": "table1", "groups": groups, "rows": table}
        return Finding(self.plan.analysis.name, self.name, payload)


def _moments(rows: Rows, name: str, groups: int) -> Floats:
    """Return (groups, 3): known values, their sum and sum of squares, scaled."""
    values = rows.values[name]
    known = ~np.isnan(values)
    group, z = rows.group[known], values[known]
    sums = [sum_by(group, groups, w) for w in (np.ones_like(z), z, z * z)]
    return np.stack(sums, axis=1)


def _level_counts(rows: Rows, variable: Variable, groups: int) -> Floats:
    """Return (levels, groups) counts of the known values."""
    codes = rows.values[variable.name]
    known = codes >= 0
    shape = (len(variable.levels), groups)
    place = codes[known] * groups + rows.group[known]
    return sum_by(place, shape[0] * shape[1]).reshape(shape)


def _row(variable: Variable | None, level: str, cells: list[Any]) -> dict[str, Any]:
    return {
        "variable": variable.name if variable else "",
        "label": (variable.label or variable.name) if variable else "People",
        "level": level,
        "unit": variable.unit if variable else "",
        "by_group": cells,
        "smd": None,
    }


def _share_cells(counts: Floats, of: Floats) -> list[dict[str, Any]]:
    return [
        {"count": round(c), "percent": 100 * c / n if n else None}
        for c, n in zip(counts.tolist(), of.tolist(), strict=True)
    ]


def _people_row(people: Floats) -> dict[str, Any]:
    return _row(None, "", _share_cells(people, np.full_like(people, people.sum())))


def _number_row(variable: Variable, moments: Floats, people: Floats) -> dict[str, Any]:
    low, high = variable.bounds or (-1.0, 1.0)
    centre, scale = (low + high) / 2, (high - low) / 2
    cells = []
    for (count, first, second), total in zip(
        moments.tolist(), people.tolist(), strict=True
    ):
        n = round(count)
        mean = first / n if n else None
        square = (second - first * first / n) / (n - 1) if n > 1 else None
        if square is not None and square < RESOLVED**2:
            square = None  # within what the sums leave of so wide a public range
        cells.append(
            {
                "n": n,
                "missing": round(total) - n,
                "mean": None if mean is None else centre + scale * mean,
                "sd": None if square is None else scale * math.sqrt(square),
            }
        )
    row = _row(variable, "", cells)
    row["smd"] = _number_difference(cells)
    return row


def _number_difference(cells: list[dict[str, Any]]) -> float | None:
    """Return |m1 - m2| / sqrt((s1^2 + s2^2) / 2) of the first two groups."""
    if len(cells) < 2 or cells[0]["sd"] is None or cells[1]["sd"] is None:
        return None
    spread = math.sqrt((cells[0]["sd"] ** 2 + cells[1]["sd"] ** 2) / 2)
    gap = abs(cells[0]["mean"] - cells[1]["mean"])
    return float(gap / spread) if spread > 0 else None


def _category_rows(
    variable: Variable, counts: Floats, people: Floats
) -> list[dict[str, Any]]:
    known = counts.sum(axis=0)
    rows = [
        _row(variable, level.name, _share_cells(counts[i], known))
        for i, level in enumerate(variable.levels)
    ]
    rows[0]["smd"] = _category_difference(counts, known)
    missing = people - known
    if missing.any():
        rows.append(_row(variable, MISSING, _share_cells(missing, people)))
    return rows


def _category_difference(counts: Floats, known: Floats) -> float | None:
    """Return the Mahalanobis distance of the first two groups' shares."""
    if len(known) < 2 or not known[:2].all():
        return None
    shares = counts[1:, :2] / known[:2]
    spread = sum(np.diag(s) - np.outer(s, s) for s in shares.T) / 2
    gap = shares[:, 0] - shares[:, 1]
    if not gap.any():
        return 0.0
    square = float(gap @ np.linalg.pinv(spread, hermitian=True) @ gap)
    return math.sqrt(square) if square > 0 else None
