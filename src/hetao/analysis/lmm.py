"""A linear mixed model with a random intercept for each site, by REML or by ML.

A site's covariance matrix is the identity plus lambda, the ratio of the variance
between sites to the one within, so its inverse takes away a multiple of the site's
sums. All that the likelihood needs at a lambda is a sum over sites. Where people are
weighted, lambda is that of somebody of the highest public weight.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from scipy.special import ndtri

from hetao.analysis.estimator import (
    Estimator,
    Message,
    State,
    estimator,
    packed,
    unpacked,
)
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.linear import LOG_WEIGHT
from hetao.analysis.newton import Fit, invert, model_payload
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.errors import InvalidStudy, NotEstimable, WrongShape
from hetao.study import SITE, parse_term

# The logarithms of lambda that the opening looks at, after lambda = 0.
GRID: Final = tuple(math.log(10.0) * (k / 4 - 5) for k in range(29))  # 1e-5 to 100
NONE, HIGHEST = -60.0, 14.0  # logs of lambda that stand for 0, and that are too large
LONGEST = 2.0  # step on the log scale
SMALL_STEP = 1e-9  # of log lambda; estimates change by far less of their errors
NO_RESIDUAL = 1e-14  # mean square below which sums do not tell the residuals


@estimator(
    name="lmm",
    opening={
        "cross": "sym(q)",
        "centre": f"{len(GRID)},sym(q)",
        "logdet": len(GRID),
        "sites": 1,
        "n": 1,
        "log_weight": "weights",
    },
    sums={
        "cross": "sym(q)",
        "centre": "3,sym(q)",
        "logdet": 3,
        "sites": 1,
        "n": 1,
        "log_weight": "weights",
    },
    most_rounds=20,
    publishable=True,
)
class LinearMixed(Estimator):
    """Coefficients, variance between sites and variance within, exact in a few rounds.

    The opening profiles the likelihood at 29 ratios of the variances, and
    Newton's method on the logarithm of the ratio, with two exact derivatives, does the
    rest. A ratio under 1e-5 is taken as none, and the finding says `singular`. Errors
    of the variances are from the observed information, their limits on the log scale.

    What guards it: as of a linear model, of which it sends what that one does and, once
    more, the site's own sums: people, events, sides of columns, parameters and leverage
    at each site (rule 8 of the gate). Each ratio weighs every site by its own size, so
    that the opening's sums can be solved for each site's size and columns' sums: it is
    graded as a site's own, however many sites there are, and dominance is asked.

    Source:
        Patterson & Thompson (1971), Biometrika 58, 545-554; R's `lme4::lmer` and
        `nlme::lme`. Oracle: `tests/oracles/test_lmm.py`, `test_centres.py`.
    """

    relies_on = ("hetao.analysis.newton", "hetao.analysis.linear")
    own_parts = True

    def __init__(self, plan: Plan) -> None:
        """Fit the estimator to a plan.

        Raises:
            InvalidStudy: a term tells sites apart, which the random effect does.
        """
        check_random(plan)
        super().__init__(plan)

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        q = self.plan.parameters + 1
        return super().sizes() | {"sym(q)": q * (q + 1) // 2}

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds; a site's sums squared are at most n^2, and are over n.

        Weights are taken as shares of the highest, so that none is above 1.
        """
        del round_number
        offset = max(map(abs, self.plan.offset_bounds)) / self.plan.outcome_scale[1]
        heavy = self.plan.most_weight
        return {
            "cross": ((1.0 + offset) ** 2 / heavy, None),
            "centre": ((1.0 + offset) ** 2 / heavy, None),
            "logdet": ((HIGHEST + 1) / heavy, 0.0),
            "sites": (1.0, 0.0),
            "n": (1.0, 0.0),
            "log_weight": (LOG_WEIGHT + abs(math.log(heavy)), None),
        }

    def start(self, rows: Rows) -> Message:
        """Return the cross products, and what each lambda of the grid takes off."""
        ratios = np.exp(GRID)
        size = self._weight(rows).sum()
        weights = ratios / (1 + size * ratios)
        return self._message(rows, weights, np.log1p(size * ratios))

    def local(self, rows: Rows, state: State) -> Message:
        """Return the same at `state["log_ratio"]`, with two derivatives by it.

        Raises:
            WrongShape: the state holds no ratio, or one beyond what is allowed.
        """
        asked = state.get("log_ratio")
        if asked is None or asked.shape != (1,) or not NONE <= asked[0] <= HIGHEST:
            raise WrongShape("the state does not hold the logarithm of a ratio")
        ratio = math.exp(asked[0])
        size = float(self._weight(rows).sum())
        spread = 1 + size * ratio
        weights = [ratio / spread, ratio / spread**2]
        weights.append(weights[1] * (2 - spread) / spread)
        logdet = [math.log1p(size * ratio), 1 - 1 / spread, (spread - 1) / spread**2]
        return self._message(rows, np.array(weights), np.array(logdet))

    def _message(self, rows: Rows, weights: Floats, logdet: Floats) -> Message:
        w = self._weight(rows)
        y = rows.y - rows.offset / self.plan.outcome_scale[1]
        both = np.column_stack([rows.X, y])
        sums = w @ both
        logs = [np.log(w).sum()] if self.plan.analysis.weights else []
        return {
            "cross": packed((both.T * w) @ both),
            "centre": np.outer(weights, packed(np.outer(sums, sums))),
            "logdet": logdet,
            "sites": np.array([float(rows.n > 0)]),
            "n": np.array([float(rows.n)]),
            "log_weight": np.array(logs, dtype=np.float64),
        }

    def _weight(self, rows: Rows) -> Floats:
        """Return how much people count, as shares of the highest public weight."""
        return rows.weight / self.plan.most_weight

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the next ratio, or the finding.

        Raises:
            NotEstimable: there are fewer than two sites, no more people than columns
                and sites, columns determine each other, or nothing is left to chance.
        """
        p, n = self.plan.parameters, float(total["n"][0])
        if total["sites"][0] < 2 or n <= p + total["sites"][0]:
            raise NotEstimable(
                "a random effect needs two sites, and people beyond columns and sites",
                fix="add sites, or use method = 'linear'",
            )
        invert(unpacked(total["cross"], p + 1)[:p, :p], self.plan.names)
        if state is None:
            return {"log_ratio": np.array([self._opening(total)])}
        profile = _Profile(total, p, self.plan.analysis.REML)
        self._check_residual(profile)
        slope, curve = profile.derivatives()
        here = float(state["log_ratio"][0])
        step = -slope / curve if curve < 0 else math.copysign(LONGEST, slope)
        step = max(-LONGEST, min(LONGEST, step))
        if abs(step) < SMALL_STEP or here == NONE:
            return self._finding(total, profile, here, round_number)
        if here + step > HIGHEST or round_number + 2 > self.most_rounds:
            raise NotEstimable(
                "the variance between sites runs off beside the one within",
                fix="check that every site measures the outcome in the same unit",
            )
        after = here + step
        return {"log_ratio": np.array([after if after > GRID[0] else NONE])}

    def _check_residual(self, profile: "_Profile") -> None:
        if profile.rss <= NO_RESIDUAL * profile.freedom:
            raise NotEstimable(
                f"the fit leaves nothing of {self.plan.analysis.outcome!r} to chance",
                fix="check that the outcome is not one of the terms, or tighten its "
                "public bounds",
            )

    def _opening(self, total: Message) -> float:
        """Return the best logarithm of the grid, refined by the curve through it."""
        p = self.plan.parameters
        is_restricted = self.plan.analysis.REML
        found = [
            _Profile(total, p, is_restricted, place).loglik
            for place in range(len(GRID))
        ]
        best = int(np.argmax(found))
        if _Profile(total, p, is_restricted, None).loglik >= found[best]:
            return NONE
        first = min(max(best - 2, 0), len(GRID) - 5)
        near = slice(first, first + 5)
        offsets = np.array(GRID[near]) - GRID[best]
        values = np.array(found[near]) - found[best]
        curve = np.polynomial.Polynomial(
            np.linalg.solve(np.vander(offsets, increasing=True), values)
        )
        fine = np.linspace(offsets.min(), offsets.max(), 4001)
        return GRID[best] + float(fine[int(np.argmax(curve(fine)))])

    def _finding(
        self, total: Message, profile: "_Profile", log_ratio: float, round_number: int
    ) -> Finding:
        plan, n = self.plan, float(total["n"][0])
        ratio = 0.0 if log_ratio == NONE else math.exp(log_ratio)
        inverse = invert(profile.design, plan.names)
        free = profile.freedom
        within = profile.rss / free
        scale = plan.outcome_scale[1]
        turned = float(np.linalg.slogdet(plan.to_units())[1]) if free < n else 0.0
        loglik = (
            profile.loglik
            + turned
            + float(total["log_weight"].sum()) / 2
            - free * (math.log(2 * math.pi / free) + 1 + 2 * math.log(scale)) / 2
        )
        fit = Fit(
            beta=inverse.matrix @ profile.moments,
            covariance=inverse.matrix * within,
            loglik=loglik,
            rounds=round_number + 1,
            condition=inverse.condition,
        )
        payload = model_payload(plan, fit) | {
            "n": round(n),
            "events": None,
            "REML": plan.analysis.REML,
            "sigma": math.sqrt(within * plan.most_weight) * scale,
            "tau2": ratio * within * scale**2,
            "icc": ratio / (plan.most_weight + ratio),
            "singular": ratio == 0.0,
            "pooled_sites": round(float(total["sites"][0])),
        }
        payload |= _errors_of(payload, None if ratio == 0.0 else profile)
        return Finding(plan.analysis.name, self.name, payload)


def _errors_of(
    found: Mapping[str, Any], profile: "_Profile | None"
) -> dict[str, float | None]:
    """Return the errors of sigma and tau², and limits of tau²; None without a tau².

    They are the observed information's in the logarithms of both.
    """
    names = ("sigma_se", "tau2_se", "tau2_lower", "tau2_upper")
    if profile is None:
        free = float(found["n"]) - (len(found["terms"]) if found["REML"] else 0)
        return dict.fromkeys(names) | {"sigma_se": found["sigma"] / math.sqrt(2 * free)}
    both = np.linalg.inv(profile.information())
    error, width = math.sqrt(both.sum()), float(ndtri(0.975))
    tau2 = float(found["tau2"])
    limits = (tau2 * math.exp(-width * error), tau2 * math.exp(width * error))
    values = (found["sigma"] * math.sqrt(both[1, 1]) / 2, tau2 * error, *limits)
    return dict(zip(names, values, strict=True))


def check_random(plan: Plan) -> None:
    """Refuse a fixed effect of the site beside its random one.

    Raises:
        InvalidStudy: a term tells sites apart.
    """
    for text in plan.analysis.terms:
        if SITE in parse_term(text).names:
            raise InvalidStudy(
                f"{plan.analysis.name}: the term {text!r} leaves nothing to the "
                "random effect of the site",
                fix="take it out, or use a model without a random effect",
            )


class _Profile:
    """The likelihood at one ratio, the coefficients and sigma maximised.

    Attributes:
        design: (p, p), X'V^-1 X.
        moments: (p,), X'V^-1 y.
        rss: the generalised residual sum of squares.
        freedom: what rss is divided by, n or, of the restricted likelihood, n - p.
        loglik: up to a constant.
    """

    def __init__(
        self, total: Message, p: int, is_restricted: bool, place: int | None = 0
    ) -> None:
        """Take the place of a ratio in the message; None is a ratio of 0."""
        self._p, self._total = p, total
        self._columns = 1.0 if is_restricted else 0.0  # whether X'V^-1 X counts
        self.freedom = float(total["n"][0]) - p * self._columns
        whole = unpacked(total["cross"], p + 1)
        logdet = 0.0
        if place is not None:
            whole = whole - unpacked(total["centre"][place], p + 1)
            logdet = float(total["logdet"][place])
        self.design, self.moments = whole[:p, :p], whole[:p, p]
        self.beta = np.linalg.solve(self.design, self.moments)
        residual = np.append(-self.beta, 1.0)
        self.rss = max(float(residual @ whole @ residual), np.finfo(float).tiny)
        self.loglik = -0.5 * (
            self.freedom * math.log(self.rss)
            + logdet
            + self._columns * float(np.linalg.slogdet(self.design)[1])
        )

    def derivatives(self) -> tuple[float, float]:
        """Return first and second derivative of `loglik` by the log of the ratio."""
        (rss1, rss2), (det1, det2) = self._parts()
        relative = rss1 / self.rss
        slope = self.freedom * relative + det1
        curve = self.freedom * (rss2 / self.rss - relative**2) + det2
        return -slope / 2, -curve / 2

    def information(self) -> Floats:
        """Return that of the logarithms of the ratio and of the variance within."""
        (rss1, rss2), (_, det2) = self._parts()
        within = self.rss / self.freedom
        cross = -rss1 / within / 2
        return np.array(
            [[(rss2 / within + det2) / 2, cross], [cross, self.freedom / 2]]
        )

    def _parts(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return two derivatives of rss, and of the determinants, by the log ratio."""
        p, total = self._p, self._total
        first, second = (-unpacked(total["centre"][k], p + 1) for k in (1, 2))
        inverse = np.linalg.inv(self.design)
        residual = np.append(-self.beta, 1.0)
        pull = (first @ residual)[:p]
        rss1 = float(residual @ first @ residual)
        rss2 = float(residual @ second @ residual) - 2 * float(pull @ inverse @ pull)
        turned = inverse @ first[:p, :p]
        det1 = float(np.trace(turned))
        det2 = float(np.trace(inverse @ second[:p, :p]) - np.sum(turned * turned.T))
        logdet = total["logdet"]
        dets = (
            float(logdet[1]) + self._columns * det1,
            float(logdet[2]) + self._columns * det2,
        )
        return (rss1, rss2), dets
