"""Incidence rates: events over person-time, by group and stratum, in one round."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hetao.analysis.estimator import Message, OneRound, State, estimator, sum_by
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.poisson_limits import (
    compare_rates,
    rate_limits,
    ratio_of_terms,
    standardised_rate,
)
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable


@estimator(
    name="rates",
    sums={
        "people": "groups,strata",
        "events": "groups,strata",
        "time": "groups,strata",
        "ratio": "groups,3",
        "n": 1,
    },
    most_rounds=1,
    publishable=False,  # a site's own strata may hold a few people
)
class Rates(OneRound):
    """Rates with exact limits, their ratio and difference, and a standardised rate.

    The ratio of a group to the first one is adjusted for the strata by Mantel and
    Haenszel's weights. Where the site is a stratum, each site sums their terms itself,
    so that no site's rates are told apart.

    What guards it: a site's own counts are never publishable (rule 5 of the gate), and
    of the sums over sites no small count is shown, nor a rate that gives it back.

    Source:
        Exact limits: Garwood (1936); R's `poisson.test`. Standardised rate: Fay &
        Feuer (1997), Stat. Med. 16, 791-801. Ratio: Rothman & Greenland's
        Mantel-Haenszel rate ratio with the variance of Greenland & Robins (1985),
        Biometrics 41, 55-68. Oracle: `tests/oracles/test_rates.py`.
    """

    relies_on = ("hetao.analysis.poisson_limits",)

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds: a term of a ratio is a share of somebody's events."""
        del round_number
        events = self.plan.outcome[1]
        longest = self.plan.variable(self.plan.analysis.time).bounds or (0.0, 0.0)
        return {
            "people": (1.0, 0.0),
            "events": (events, 0.0),
            "time": (longest[1], 0.0),
            "ratio": (events, 0.0),
            "n": (1.0, 0.0),
        }

    def start(self, rows: Rows) -> Message:
        """Return people, events and time of each cell, and the terms of the ratios."""
        shape = (len(self.plan.groups), len(self.plan.strata))
        place = rows.group * shape[1] + rows.stratum
        size = shape[0] * shape[1]
        events = sum_by(place, size, rows.y).reshape(shape)
        time = sum_by(place, size, rows.time).reshape(shape)
        return {
            "people": sum_by(place, size).reshape(shape),
            "events": events,
            "time": time,
            "ratio": ratio_terms(events, time),
            "n": np.array([float(rows.n)]),
        }

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the finding.

        Raises:
            NotEstimable: nobody was followed for any time.
        """
        del state, round_number
        people, events = np.rint(total["people"]), np.rint(total["events"])
        time = total["time"]
        if not time.sum() > 0:
            raise NotEstimable(
                f"nobody was followed for any of {self.plan.analysis.time!r}",
                fix="check the definition of the time",
            )
        terms = total["ratio"] if self.plan.within_sites else ratio_terms(events, time)
        unit = self.plan.variable(self.plan.analysis.time).unit
        payload = {
            "model": "rates",
            "unit": unit,
            "groups": [
                self._group(g, people[g], events[g], time[g])
                for g in range(len(self.plan.groups))
            ],
            "comparisons": self._comparisons(events, time, terms),
            "strata_of_ratio": list(self.plan.analysis.strata),
            "n": round(float(people.sum())),
            "events": round(float(events.sum())),
        }
        return Finding(self.plan.analysis.name, self.name, payload)

    def _group(
        self, place: int, people: Floats, events: Floats, time: Floats
    ) -> dict[str, Any]:
        label = self.plan.groups[place]
        whole = _cell(label, people.sum(), events.sum(), time.sum())
        strata = [
            _cell(stratum, n, d, t)
            for stratum, n, d, t in zip(
                self.plan.strata, people, events, time, strict=True
            )
        ]
        parted = len(self.plan.strata) > 1
        return whole | {
            "standardised": standardised_rate(events, time, self._weights()),
            "strata": strata if parted else [],
        }

    def _weights(self) -> Floats | None:
        """Return the standard population's weight of each stratum, in their order."""
        given = {one.level: one.weight for one in self.plan.analysis.standard}
        if not given:
            return None
        return np.array([given[stratum] for stratum in self.plan.strata])

    def _comparisons(
        self, events: Floats, time: Floats, terms: Floats
    ) -> list[dict[str, Any]]:
        groups: Sequence[str] = self.plan.groups
        d, t = events.sum(axis=1).tolist(), time.sum(axis=1).tolist()
        adjusted = bool(self.plan.analysis.strata)
        return [
            {"group": groups[g], "against": groups[0]}
            | compare_rates((d[g], d[0]), (t[g], t[0]))
            | {"adjusted": ratio_of_terms(terms[g]) if adjusted else None}
            for g in range(1, len(groups))
        ]


def ratio_terms(events: Floats, time: Floats) -> Floats:
    """Return (groups, 3): Mantel-Haenszel terms of each group against the first.

    Args:
        events: (groups, strata).
        time: (groups, strata).

    Returns:
        Sums over strata of d1 t0 / t, d0 t1 / t and (d1 + d0) t1 t0 / t^2, where
        t = t1 + t0; a stratum without time adds nothing. Those of the first group are
        zero, since it is compared with none.
    """
    both = time + time[0]
    share = np.divide(time, both, out=np.zeros_like(time), where=both > 0)
    rest = np.divide(time[0], both, out=np.zeros_like(time), where=both > 0)
    terms = np.stack(
        [
            (events * rest).sum(axis=1),
            (events[0] * share).sum(axis=1),
            ((events + events[0]) * share * rest).sum(axis=1),
        ],
        axis=1,
    )
    terms[0] = 0.0
    return np.asarray(terms)


def _cell(label: str, people: float, events: float, time: float) -> dict[str, Any]:
    rate, lower, upper = rate_limits(float(events), float(time))
    return {
        "label": label,
        "n": round(float(people)),
        "events": round(float(events)),
        "time": float(time),
        "rate": rate,
        "lower": lower,
        "upper": upper,
    }
