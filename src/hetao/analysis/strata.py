"""An effect by strata of the propensity score: cells of each stratum and arm.

The score's Newton rounds come first. Then one message brings the histogram of the
fitted score over equal public bins, from whose sum the strata's ends follow, the same
at every site; and one more the cells of each stratum and arm.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from hetao.analysis.contrasts import SIGN, balance_gap, contrast_term
from hetao.analysis.design import Column
from hetao.analysis.effects import SCORE, Effect
from hetao.analysis.estimator import Message, State, estimator, sum_by, unpacked
from hetao.analysis.expressions import Floats, Ints
from hetao.analysis.finding import Finding
from hetao.analysis.newton import MOST_ROUNDS, Fit, invert, model_payload
from hetao.analysis.rows import Rows
from hetao.analysis.weighting import BINS, CUTS, bin_of, cuts_of, stratum_of
from hetao.errors import NotEstimable

SUMS: Final[dict[str, str | int]] = {
    "score": "params",
    "info": "fits,sym(p)",
    "loglik": "fits",
    "people": "groups",
    "events": "groups",
    "histogram": BINS,
    "cells": "groups,subclasses,3",
    "columns": "groups,subclasses,p",
    "squares": "groups,p",
}
OPENING: Final = {
    "score": "params",
    "info": "fits,sym(p)",
    "people": "groups",
    "events": "groups",
    "exposed": "counts,params",
    "exposure": "counts,groups",
}


@estimator(
    name="ps_strata",
    opening=OPENING,
    sums=SUMS,
    most_rounds=MOST_ROUNDS + 2,
    publishable=False,
)
class Strata(Effect):
    """Differences within strata of the score, pooled; ratios of Mantel and Haenszel.

    Strata hold equally many people, or of the estimand ATT equally many treated, to
    the width of a bin. Variances take the score and the strata as given, as is usual.
    A stratum's cells, and the bins of the score, may be small: they leave within a sum
    over enough sites only.

    Source:
        Rosenbaum & Rubin (1984), JASA 79, 516-524; Lunceford & Davidian (2004), Stat.
        Med. 23, 2937-2960; Robins, Breslow & Greenland (1986), Biometrics 42, 311-323;
        Greenland & Robins (1985), Biometrics 41, 55-68. Oracle:
        `tests/oracles/test_strata.py`.
    """

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        return super().sizes() | {"subclasses": self.plan.subclasses}

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of a round; y lies within -1 to 1 as X does."""
        bounds = super().bounds(round_number)
        bounds |= {"histogram": (1.0, 0.0), "cells": (1.0, None)}
        return bounds | {"columns": (1.0, None), "squares": (1.0, 0.0)}

    def local(self, rows: Rows, state: State) -> Message:
        """Return the score's sums, the histogram, or the cells; 0 of the others."""
        message = {name: np.zeros(s.shape) for name, s in self.declare(1).items()}
        message |= self._counts(rows)
        beta, none = self.beta(state)[0], np.zeros(rows.n)
        part = self._part(rows, SCORE)
        score, information, loglik = self._likelihood(SCORE, part, none, beta)
        message["info"] = information[None]
        if "closing" not in state:
            return message | {"score": score, "loglik": np.array([loglik])}
        place = self._bin(rows, state)
        if CUTS not in state:
            is_asked = self.plan.analysis.estimand != "ATT"
            chosen = place[(rows.group == 1) | is_asked]
            return message | {"histogram": sum_by(chosen, BINS)}
        return message | self._cells(rows, self._stratum(place, state))

    def weights(self, rows: Rows, state: State) -> Floats:
        """Return how much people weigh in the score's regression, (1, n)."""
        e = self._scores(rows, state)
        return (e * (1 - e))[None]

    def bins(self, rows: Rows, state: State) -> dict[str, int]:
        """Return the thinnest bin of the score, or the smallest cell of a stratum."""
        if "closing" not in state:
            return {}
        place = self._bin(rows, state)
        if CUTS not in state:
            counts = np.bincount(place, minlength=BINS)
            least = counts[counts > 0].min(initial=rows.n)
            return {"people in the thinnest bin of the score": int(least)}
        cells = self._cells(rows, self._stratum(place, state))["cells"]
        found = {"people in the smallest cell of a stratum": int(cells[..., 0].min())}
        if self.plan.is_binary:
            events = cells[..., 1]
            least = np.minimum(events, cells[..., 0] - events).min()
            found["people with or without the event in a cell"] = int(least)
        return found

    def _bin(self, rows: Rows, state: State) -> Ints:
        return bin_of(self._scores(rows, state))

    def _stratum(self, place: Ints, state: State) -> Ints:
        return stratum_of(place, state[CUTS], self.plan.subclasses)

    def _cells(self, rows: Rows, stratum: Ints) -> Message:
        """Return people, sum and squares of the outcome, and sums of the columns."""
        size = self.plan.subclasses
        cell, y, X = rows.group * size + stratum, rows.y, rows.X
        of = [sum_by(cell, 2 * size, v) for v in (np.ones(rows.n), y, y * y)]
        columns = [sum_by(cell, 2 * size, column) for column in X.T]
        arms = np.stack([rows.group == arm for arm in (0, 1)]).astype(np.float64)
        return {
            "cells": np.stack(of, axis=1).reshape(2, size, 3),
            "columns": np.stack(columns, axis=1).reshape(2, size, -1),
            "squares": arms @ (X * X),
        }

    # --- outside the sites ----------------------------------------------------------
    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the score's next state, the state with the strata, or the finding.

        Raises:
            NotEstimable: as of the effects; scores are too alike for so many strata,
                or a stratum has fewer than two people in an arm.
        """
        if state is None or "closing" not in state:
            return super().step(total, state, round_number)
        if CUTS not in state:
            cuts = cuts_of(total["histogram"], self.plan.subclasses)
            return {**state, CUTS: cuts}
        return self._finding(total, state, round_number)

    def _finding(self, total: Message, state: State, round_number: int) -> Finding:
        plan = self.plan
        centre, scale = (0.0, 1.0) if plan.is_binary else plan.outcome_scale
        n, sums, squares = np.moveaxis(total["cells"], 2, 0)
        n = np.rint(n)
        if np.any(n < 2):
            raise NotEstimable(
                "a stratum has fewer than two people in an arm",
                fix="take fewer strata, or restrict the population",
            )
        means = sums / n
        variances = np.maximum(squares - n * means**2, 0.0) / (n - 1) / n
        share = n[1] / n[1].sum() if plan.analysis.estimand == "ATT" else n.sum(axis=0)
        share = share / share.sum()
        of_arms, of_errors = means @ share, np.sqrt(variances @ share**2)
        gaps, errors = means[1] - means[0], np.sqrt(variances.sum(axis=0))
        kind = "risk_difference" if plan.is_binary else "mean_difference"
        pooled = contrast_term(
            kind,
            (scale * of_arms) @ SIGN,
            scale * np.sqrt((errors * share) @ (errors * share)),
        )
        terms = [pooled]
        if plan.is_binary:
            terms += _mantel_haenszel(n, np.rint(sums))
        information = unpacked(total["info"][0], plan.parameters)
        loglik, condition = state[f"{SCORE} done"].tolist()
        inverse = invert(information, plan.names)
        fit = Fit(self.beta(state)[0], inverse.matrix, loglik, 0, condition)
        edges = [0.0, *(state[CUTS] / BINS).tolist(), 1.0]
        payload: dict[str, Any] = {
            "model": self.name,
            "estimand": plan.analysis.estimand,
            "terms": terms,
            "arms": [
                {
                    "arm": label,
                    "n": round(float(n[arm].sum())),
                    "events": round(float(sums[arm].sum())) if plan.is_binary else None,
                    "mean": float(centre + scale * of_arms[arm]),
                    "se": float(scale * of_errors[arm]),
                    "ess": None,
                }
                for arm, label in enumerate(plan.groups)
            ],
            "strata": [
                {
                    "from": edges[i],
                    "to": edges[i + 1],
                    "n": [round(float(v)) for v in n[:, i]],
                    "events": [round(float(v)) for v in sums[:, i]]
                    if plan.is_binary
                    else None,
                    "difference": float(scale * gaps[i]),
                    "se": float(scale * errors[i]),
                }
                for i in range(len(share))
            ],
            "balance": balance_within(
                plan.columns, total["columns"], total["squares"], np.vstack([n, share])
            ),
            "overlap": [],
            "score": model_payload(plan, fit)["terms"],
            "rounds": round_number + 1,
            "converged": True,
            "condition": condition,
            "loglik": loglik,
            "n": round(float(n.sum())),
        }
        if plan.is_binary:
            payload["events"] = round(float(sums.sum()))
        return Finding(plan.analysis.name, self.name, payload)


def balance_within(
    columns: Sequence[Column], sums: Floats, squares: Floats, cells: Floats
) -> list[dict[str, Any]]:
    """Return each column's difference before, and on average within the strata.

    A stratum counts by its people, or as `share` says.

    Args:
        columns: q of them.
        sums: (2, strata, q), of the columns in each arm and stratum.
        squares: (2, q), of their squares in each arm.
        cells: (3, strata): people of either arm, and a stratum's share.
    """
    n, share = cells[:2], cells[2]
    people = n.sum(axis=1)
    found: list[dict[str, Any]] = []
    for place, column in enumerate(columns):
        if not column.factors and not column.levels:
            continue  # the intercept
        of = sums[:, :, place]
        first, second = of.sum(axis=1), squares[:, place]
        less = people - 1 if column.factors else people
        square = (second - first**2 / people) / np.maximum(less, 1)
        spread = float(np.sqrt(np.maximum(square, 0.0).mean()))
        within = (of / np.maximum(n, 1.0)) @ share
        found.append(
            {
                "name": column.name,
                "before": balance_gap(first / people, spread),
                "after": balance_gap(within, spread),
            }
        )
    return found


def _mantel_haenszel(n: Floats, events: Floats) -> list[dict[str, Any]]:
    """Return the logs of Mantel and Haenszel's risk and odds ratio; none undefined.

    Args:
        n: (2, strata), people of the untreated and of the treated.
        events: (2, strata), those with the event.
    """
    b, a = events
    d, c = n - events
    m0, m1, every = n[0], n[1], n.sum(axis=0)
    terms = []
    treated, others = a * m0 / every, b * m1 / every
    if treated.sum() > 0 and others.sum() > 0:
        square = (m1 * m0 * (a + b) - a * b * every) / every**2
        variance = square.sum() / (treated.sum() * others.sum())
        ratio = np.log(treated.sum() / others.sum())
        terms.append(contrast_term("mantel_haenszel_risk_ratio", ratio, variance**0.5))
    up, down = a * d / every, b * c / every
    if up.sum() > 0 and down.sum() > 0:
        p, q = (a + d) / every, (b + c) / every
        variance = (
            (p * up).sum() / (2 * up.sum() ** 2)
            + (p * down + q * up).sum() / (2 * up.sum() * down.sum())
            + (q * down).sum() / (2 * down.sum() ** 2)
        )
        ratio = np.log(up.sum() / down.sum())
        terms.append(contrast_term("mantel_haenszel_odds_ratio", ratio, variance**0.5))
    return terms
