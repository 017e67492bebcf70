"""An indicator over calendar time: a share or a mean in each period, and its trend."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from scipy.special import ndtr, ndtri

from hetao.analysis.estimator import Message, OneRound, State, estimator, sum_by
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.intervals import refuse_rows
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable

PARTS: Final = 5  # of what a person adds up to: x'y of two numbers, x'x of three
Z: Final = float(ndtri(0.975))


@estimator(
    name="indicators",
    sums={"people": "groups", "values": "groups,2", "meat": "15", "n": 1},
    most_rounds=1,
    publishable=False,  # a site's own periods may hold a few people
)
class Indicators(OneRound):
    """Shares or means by period, with limits and a trend that knows who came again.

    Of a category the share has Wilson's limits, of a number the mean those of the
    normal distribution. The trend is the slope of the outcome on the period's place by
    least squares; its variance sums what each person adds over all periods before it
    squares, so that somebody seen in ten periods is not ten people.

    What guards it: a site's own counts are never publishable (rule 5 of the gate), and
    of the sums over sites no period with a small count is shown, nor then the trend,
    which would be an equation for it.

    Source:
        Wilson (1927), J. Am. Stat. Assoc. 22, 209-212. Liang & Zeger (1986),
        Biometrika 73, 13-22, independence working correlation. Limits of control:
        Shewhart's p and x-bar charts, three standard errors about the centre.
        Oracle: `tests/oracles/test_indicators.py`.
    """

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds: times and outcomes lie within -1 to 1."""
        del round_number
        return {
            "people": (1.0, 0.0),
            "values": (1.0, None),
            "meat": (1.0, None),
            "n": (1.0, 0.0),
        }

    def start(self, rows: Rows) -> Message:
        """Return people, sums of the outcome and of its square, and cross products.

        Raises:
            OutOfBounds: somebody has two rows in one period.
        """
        periods = len(self.plan.groups)
        person = rows.person if len(rows.person) else np.arange(rows.n)
        _, place, counts = np.unique(
            person * np.int64(periods) + rows.group,
            return_inverse=True,
            return_counts=True,
        )
        refuse_rows(
            self.plan.analysis.by, counts[place] > 1, "has two rows of one person"
        )
        x, y = self._places()[rows.group], rows.y
        sums = [sum_by(rows.group, periods, v) for v in (y, y * y)]
        added = np.stack([y, x * y, np.ones(rows.n), x, x * x])
        of_each = np.array([sum_by(person, rows.people, part) for part in added])
        return {
            "people": sum_by(rows.group, periods),
            "values": np.stack(sums, axis=1),
            "meat": (of_each @ of_each.T)[np.triu_indices(PARTS)],
            "n": np.array([float(rows.people)]),
        }

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the finding.

        Raises:
            NotEstimable: nobody was seen in any period.
        """
        del state, round_number
        people = np.rint(total["people"])
        if not people.sum() > 0:
            raise NotEstimable(
                f"nobody has a known {self.plan.analysis.outcome!r} in any period",
                fix="check the periods and the definition of the outcome",
            )
        payload = {
            "model": "indicators",
            "is_share": self.plan.is_binary,
            "periods": self._periods(people, total["values"]),
            "centre": float(total["values"][:, 0].sum() / people.sum()) * self._scale,
            "trend": self._trend(people, total["values"][:, 0], total["meat"]),
            "n": round(float(total["n"][0])),
        }
        return Finding(self.plan.analysis.name, self.name, payload)

    @property
    def _scale(self) -> float:
        return 1.0 if self.plan.is_binary else self.plan.outcome_scale[1]

    def _places(self) -> Floats:
        """Return (periods,) places in time, from -1 to 1."""
        periods = len(self.plan.groups)
        return np.linspace(-1.0, 1.0, periods) if periods > 1 else np.zeros(1)

    def _periods(self, people: Floats, values: Floats) -> list[dict[str, Any]]:
        centre = float(values[:, 0].sum() / people.sum())
        spread = float(values[:, 1].sum() / people.sum()) - centre**2
        cells: Sequence[tuple[float, float, float]] = list(
            zip(people.tolist(), *values.T.tolist(), strict=True)
        )
        return [
            self._period(label, cell, (centre, spread))
            for label, cell in zip(self.plan.groups, cells, strict=True)
        ]

    def _period(
        self,
        label: str,
        cell: tuple[float, float, float],
        overall: tuple[float, float],
    ) -> dict[str, Any]:
        n, total, squares = cell
        found: dict[str, Any] = {"label": label, "n": round(n)}
        if self.plan.is_binary:
            found["events"] = round(total)
        if not n:
            empty = ("value", "lower", "upper", "control_low", "control_high")
            return found | dict.fromkeys(empty)
        mean = total / n
        if self.plan.is_binary:
            lower, upper = wilson_limits(round(total), round(n))
        else:
            variance = max(squares - n * mean**2, 0.0) / max(n - 1, 1.0)
            half = Z * math.sqrt(variance / n)
            lower, upper = mean - half, mean + half
        centre, spread = overall
        wide = 3 * math.sqrt(max(spread, 0.0) / n)
        ends = (centre - wide, centre + wide)
        if self.plan.is_binary:
            ends = (max(ends[0], 0.0), min(ends[1], 1.0))
        numbers = (mean, lower, upper, *ends)
        names = ("value", "lower", "upper", "control_low", "control_high")
        return found | {
            name: value * self._scale
            for name, value in zip(names, numbers, strict=True)
        }

    def _trend(
        self, people: Floats, values: Floats, meat: Floats
    ) -> dict[str, float] | None:
        """Return the change a period; None where fewer than two hold anybody."""
        if (people > 0).sum() < 2:
            return None
        x = self._places()
        bread = np.array([[people.sum(), people @ x], [people @ x, people @ x**2]])
        beta = np.linalg.solve(bread, [values.sum(), values @ x])
        # A person's score is linear in what they add up to.
        score = np.array(
            [
                [1.0, 0.0, -beta[0], -beta[1], 0.0],
                [0.0, 1.0, 0.0, -beta[0], -beta[1]],
            ]
        )
        squares = np.zeros((PARTS, PARTS))
        squares[np.triu_indices(PARTS)] = meat
        squares = squares + np.triu(squares, 1).T
        inverse = np.linalg.inv(bread)
        cover = inverse @ score @ squares @ score.T @ inverse
        unit = self._scale * (x[1] - x[0])  # from the scale of x to one period
        slope = float(beta[1] * unit)
        se = float(math.sqrt(max(cover[1, 1], 0.0)) * unit)
        found = {"estimate": slope, "se": se}
        if se > 0:
            found["p"] = float(2 * ndtr(-abs(slope / se)))
        return found | {"lower": slope - Z * se, "upper": slope + Z * se}


def wilson_limits(events: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % limits of a share, of n > 0 people."""
    share, z2 = events / n, Z * Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    inside = share * (1 - share) / n + z2 / (4 * n * n)
    half = Z * math.sqrt(inside) / (1 + z2 / n)
    lower = 0.0 if events == 0 else max(middle - half, 0.0)
    upper = 1.0 if events == n else min(middle + half, 1.0)
    return lower, upper
