"""Each site sends its likelihood as a curve of one coefficient, in one round.

At eight public values of the coefficient a site finds the best of all others and sends
the log-likelihood and its slope. Between the values the cubic through both is followed
(Hermite), so that the curves add up as the likelihoods do: nothing is averaged, a site
without events has a curve too, and it is no normal one.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from scipy.special import chdtrc, logsumexp, ndtr, ndtri, stdtrit

from hetao.analysis.cox import Cox
from hetao.analysis.estimator import Message, OneRound, State, estimator, unpacked
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.logistic import Logistic
from hetao.analysis.plan import Plan
from hetao.analysis.poisson import Poisson
from hetao.analysis.rows import Rows
from hetao.errors import InvalidStudy, NotEstimable

# Of the coefficient times its column's public range: ratios from 1/10 to 10.
POINTS: Final = np.linspace(-math.log(10), math.log(10), 8)
ALONE: Final[dict[str, type[Logistic] | type[Poisson] | type[Cox]]] = {
    one.name: one for one in (Logistic, Poisson, Cox)
}
MOST_STEPS, LONGEST, CLOSE = 80, 2.0, 1e-13  # of Newton's method in the others
WIDTH: Final = float(ndtri(0.975))
DROP: Final = WIDTH**2 / 2  # of the log-likelihood, at the 95% limits
FINE: Final = np.linspace(-9.0, 9.0, 1801)  # effects that the random ones add up over
NO_TAU = 0.02  # below, the sum over FINE tells nothing from none


@estimator(
    name="profile",
    sums={
        "loglik": "sites,points",
        "slope": "sites,points",
        "given": "sites",
        "events": 1,
        "n": 1,
    },
    most_rounds=1,
    publishable=True,
)
class Profile(OneRound):
    """Fixed and random effects over the sites' likelihood profiles of one coefficient.

    Fixed: the sum of the curves, its maximum, and the likelihood ratio's limits.
    Random: effects normal between sites, mean and tau by maximum likelihood, each
    site's curve integrated over its effect. All other coefficients are each site's own.

    What guards it: as of a meta-analysis, whose channel it is: what the model needs at
    each site (rule 8), and grade 3, for every site has a place of its own in the sum.

    Source:
        Schuemie et al. (2022), Stat. Med. 41, 5123-5137; OHDSI's EvidenceSynthesis, of
        which the eight points with gradients are the usual choice. Oracle:
        `tests/oracles/test_profile.py`.
    """

    own_parts = True
    relies_on = (
        "hetao.analysis.newton",
        *(one.__module__ for one in ALONE.values()),
    )

    def __init__(self, plan: Plan) -> None:
        """Fit the estimator to a plan.

        Raises:
            InvalidStudy: the effect is no column of the design.
        """
        inner = replace(plan, analysis=plan.analysis.alone)
        self._model = ALONE[inner.analysis.method](inner)
        names = list(plan.names)
        self._free = [name != plan.analysis.effect for name in names]
        if all(self._free) or (plan.intercept and not self._free[0]):
            raise InvalidStudy(
                f"{plan.analysis.name}: {plan.analysis.effect!r} is no column",
                fix="name one of: " + ", ".join(names[int(plan.intercept) :]),
            )
        self._place = self._free.index(False)
        column = plan.columns[self._place]
        is_level = bool(column.levels) and not column.factors
        self._range = 1.0 if is_level else 2 * column.scale
        self._unit = column.scale / self._range  # of the standardised coefficient
        super().__init__(plan)

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        more = {"sites": len(self.plan.sites), "points": len(POINTS)}
        return super().sizes() | more

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds: those of the model's log-likelihood and score."""
        del round_number
        most = self._model.bounds(1)
        return {
            "loglik": (2 * most["loglik"][0], None),
            "slope": (most["score"][0], None),
            "given": (1.0 / self.plan.most_weight, 0.0),
            "events": (max(1.0, self.plan.outcome[1]), 0.0),
            "n": (1.0, 0.0),
        }

    def start(self, rows: Rows) -> Message:
        """Return the site's curve, 0 at its highest point, in its own place."""
        shape = (len(self.plan.sites), len(POINTS))
        message: Message = {"loglik": np.zeros(shape), "slope": np.zeros(shape)}
        message |= {"given": np.zeros(shape[0]), "events": np.zeros(1)}
        message["n"] = np.array([float(rows.people)])
        if not rows.n:
            return message
        place = self.plan.sites.index(rows.site)
        try:
            curve = self._curve(rows)
        except NotEstimable:
            return message | {"n": np.zeros(1)}
        message["loglik"][place] = curve[0] - curve[0].max()
        message["slope"][place] = curve[1]
        message["given"][place] = 1.0
        happened = rows.event if self.plan.method.has_times else rows.y
        message["events"][0] = float(rows.weight @ happened)
        return message

    def _curve(self, rows: Rows) -> Floats:
        """Return (2, 8): log-likelihoods, and slopes by the effect times its range.

        From the middle outward, each point from where its neighbour ended.
        """
        found = np.zeros((2, len(POINTS)))
        middle = len(POINTS) // 2
        for places in (range(middle, len(POINTS)), range(middle - 1, -1, -1)):
            beta = np.zeros(self.plan.parameters)
            for k in places:
                beta[self._place] = POINTS[k] * self._unit
                beta, found[0, k], slope = self._best(rows, beta)
                found[1, k] = slope * self._unit
        return found

    def _best(self, rows: Rows, beta: Floats) -> tuple[Floats, float, float]:
        """Return the best other coefficients, the log-likelihood and its slope.

        Where others run off, as at a site without events, the likelihood has a limit,
        and is followed until it no longer grows.
        """
        free = np.array(self._free)
        point = self._model.local(rows, {"beta": beta})
        for _ in range(MOST_STEPS):
            information = unpacked(point["info"], len(beta))[np.ix_(free, free)]
            step = np.zeros(len(beta))
            step[free] = (
                np.linalg.pinv(information, hermitian=True) @ (point["score"][free])
            )
            step *= min(1.0, LONGEST / max(float(np.abs(step).max()), 1e-300))
            gain = -1.0
            for _ in range(30):
                after = self._model.local(rows, {"beta": beta + step})
                gain = float(after["loglik"][0] - point["loglik"][0])
                if gain >= 0:
                    break
                step = step / 2
            if gain < 0:
                break
            beta, point = beta + step, after
            if gain <= CLOSE * (1 + abs(float(point["loglik"][0]))):
                break
        slope = float(point["score"][self._place])
        return beta, float(point["loglik"][0]), slope

    # --- outside ----------------------------------------------------------------------
    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the finding.

        Raises:
            NotEstimable: no site has a curve, or their sum has no maximum within the
                public values.
        """
        del state, round_number
        given = total["given"] > 0.5
        if not given.any():
            raise NotEstimable(
                "the model has a likelihood at no site",
                fix="leave out terms, or check the offset and the bounds",
            )
        plan, range_ = self.plan, self._range
        values, slopes = total["loglik"][given], total["slope"][given]
        fixed = _fixed(Curve(values.sum(axis=0), slopes.sum(axis=0)))
        methods = [fixed]
        if given.sum() > 1:
            methods.append(_random(values, slopes, fixed))
        shown = [_in_units(one, range_) for one in methods]
        keys = ("estimate", "se", "p", "lower", "upper")
        term = {"name": plan.analysis.effect, **{k: shown[0][k] for k in keys}}
        places = [s for s, is_in in zip(plan.sites, given, strict=True) if is_in]
        payload = {
            "model": "profile",
            "of": plan.analysis.model,
            "terms": [term | {"methods": shown, "k": len(places)}],
            "show_sites": plan.analysis.show_sites,
            "points": (POINTS / range_).tolist(),
            "sites": [
                {"site": s, "loglik": v.tolist(), "slope": (g * range_).tolist()}
                for s, v, g in zip(places, values, slopes, strict=True)
            ],
            "pooled_sites": len(places),
            "n": round(float(total["n"][0])),
            "events": round(float(total["events"][0])),
        }
        return Finding(plan.analysis.name, self.name, payload)


@dataclass(frozen=True)
class Curve:
    """A log-likelihood by its values and slopes at POINTS, straight beyond them."""

    values: Floats
    slopes: Floats

    def at(self, where: Floats) -> Floats:
        """Return the heights at (m,) effects."""
        width = POINTS[1] - POINTS[0]
        left = np.clip(((where - POINTS[0]) / width).astype(int), 0, len(POINTS) - 2)
        t = np.clip((where - POINTS[left]) / width, 0.0, 1.0)
        height = (1 + 2 * t) * (1 - t) ** 2 * self.values[left]
        height += t**2 * (3 - 2 * t) * self.values[left + 1]
        height += t * (1 - t) ** 2 * width * self.slopes[left]
        height -= t**2 * (1 - t) * width * self.slopes[left + 1]
        beyond = where - np.clip(where, POINTS[0], POINTS[-1])
        end = np.where(beyond < 0, self.slopes[0], self.slopes[-1])
        return np.asarray(height + beyond * end)

    def top(self) -> float:
        """Return where it is highest: where a cubic's slope is nothing.

        Raises:
            NotEstimable: it still rises at an end.
        """
        width, best = POINTS[1] - POINTS[0], POINTS[[0]]
        for left in range(len(POINTS) - 1):
            rise = (self.values[left + 1] - self.values[left]) / width
            a, b = self.slopes[left], self.slopes[left + 1]
            roots = np.roots([3 * (a + b - 2 * rise), 2 * (3 * rise - 2 * a - b), a])
            real = roots.real[(abs(roots.imag) < 1e-12)]
            inside = real[(real >= 0) & (real <= 1)]
            best = np.append(best, POINTS[left] + width * inside)
        best = np.append(best, POINTS[-1])
        top = float(best[int(np.argmax(self.at(best)))])
        if top in (POINTS[0], POINTS[-1]):
            raise NotEstimable(
                "the likelihood still rises at the end of the public values",
                fix="the effect is beyond a ratio of 10, or its column says too little",
            )
        return top

    def limit(self, top: float, ahead: float) -> float | None:
        """Return where it has fallen by DROP on one side; None where it never does."""
        level = float(self.at(np.array([top]))[0]) - DROP
        low, high = top, top + ahead
        while float(self.at(np.array([high]))[0]) > level:
            low, high = high, high + ahead
            if abs(high) > 1e4:
                return None
        for _ in range(200):
            middle = (low + high) / 2
            if middle in (low, high):
                break
            is_above = float(self.at(np.array([middle]))[0]) > level
            low, high = (middle, high) if is_above else (low, middle)
        return high


def _fixed(curve: Curve) -> dict[str, Any]:
    """Return the maximum with limits of the likelihood ratio, and its test of none."""
    top = curve.top()
    lower, upper = curve.limit(top, -0.05), curve.limit(top, 0.05)
    se = None
    if lower is not None and upper is not None:
        se = (upper - lower) / (2 * WIDTH)
    heights = curve.at(np.array([top, 0.0]))
    ratio = 2 * max(0.0, float(heights[0] - heights[1]))
    found = {"method": "FE", "tau2": 0.0, "estimate": top, "se": se}
    found |= {"p": float(chdtrc(1, ratio)), "lower": lower, "upper": upper}
    return found | {"prediction": None}


def _random(values: Floats, slopes: Floats, fixed: dict[str, Any]) -> dict[str, Any]:
    """Return the mean effect and tau² of the highest marginal likelihood.

    Newton's method with Louis's information; a step that does not climb is replaced by
    one of the EM algorithm, which always does.
    """
    heights = np.array(
        [Curve(v, g).at(FINE) for v, g in zip(values, slopes, strict=True)]
    )
    mean, log_tau = fixed["estimate"], math.log(0.3)
    here, score, information, ahead = _marginal(heights, mean, log_tau)
    for _ in range(300):
        if log_tau < math.log(NO_TAU):
            return fixed | {"method": "ML"}
        step: Floats = ahead
        if np.linalg.eigvalsh(information)[0] > 0:
            step = np.asarray(np.linalg.solve(information, score), np.float64)
            step = np.asarray(step * min(1.0, 0.7 / float(np.abs(step).max() or 1.0)))
        found = _marginal(heights, mean + step[0], log_tau + step[1])
        if found[0] < here:
            step = ahead
            found = _marginal(heights, mean + step[0], log_tau + step[1])
        mean, log_tau = mean + float(step[0]), log_tau + float(step[1])
        here, score, information, ahead = found
        if np.abs(step).max() < 1e-11:
            break
    if not np.linalg.eigvalsh(information)[0] > 0:
        return fixed | {"method": "ML"}
    se, tau2 = math.sqrt(np.linalg.inv(information)[0, 0]), math.exp(2 * log_tau)
    found_: dict[str, Any] = {"method": "ML", "tau2": tau2, "estimate": mean, "se": se}
    found_ |= {"p": float(2 * ndtr(-abs(mean / se)))}
    found_ |= {"lower": mean - WIDTH * se, "upper": mean + WIDTH * se}
    k = len(values)
    far = float(stdtrit(max(k - 1, 1), 0.975)) * math.sqrt(tau2 + se**2)
    wide = {"lower": mean - far, "upper": mean + far}
    return found_ | {"prediction": wide if k > 2 else None}


def _marginal(
    heights: Floats, mean: float, log_tau: float
) -> tuple[float, Floats, Floats, Floats]:
    """Return log-likelihood, score, information, and the EM algorithm's step."""
    z = (FINE - mean) / math.exp(log_tau)
    logs = heights - z**2 / 2 - log_tau
    sums = logsumexp(logs, axis=1)
    share = np.exp(logs - sums[:, None])
    by_mean = z / math.exp(log_tau)
    parts = np.array([by_mean, z**2 - 1])
    each = share @ parts.T  # (k, 2)
    squares = np.einsum("kg,ig,jg->kij", share, parts, parts)
    inner = np.array(
        [
            [np.full(len(z), math.exp(-2 * log_tau)), 2 * by_mean],
            [2 * by_mean, 2 * z**2],
        ]
    )
    complete = np.einsum("kg,ijg->kij", share, inner)
    spread = squares - np.einsum("ki,kj->kij", each, each)
    information = (complete - spread).sum(axis=0)
    moved = float((share @ FINE).mean()) - mean
    tau2 = float((share @ (FINE - mean - moved) ** 2).mean())
    ahead = np.array([moved, math.log(tau2) / 2 - log_tau])
    return float(sums.sum()), each.sum(axis=0), information, ahead


def _in_units(found: dict[str, Any], range_: float) -> dict[str, Any]:
    """Return estimates by one unit of the column."""
    keys = ("estimate", "se", "lower", "upper")
    scaled = {k: None if found[k] is None else found[k] / range_ for k in keys}
    ahead = found["prediction"]
    if ahead is not None:
        ahead = {key: value / range_ for key, value in ahead.items()}
    return {**found, **scaled, "tau2": found["tau2"] / range_**2, "prediction": ahead}
