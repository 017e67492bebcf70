"""Generalised linear mixed models: a random intercept for each site, b ~ N(0, tau²).

Whoever is at a site shares its intercept, so that the marginal likelihood is a product
over sites: each integrates its own by adaptive Gauss-Hermite quadrature, and what all
need is a sum. One round looks at eleven values of tau, so that Newton's method, in the
coefficients and log tau together, starts close and on the right side of tau = 0.
"""

import math
from dataclasses import replace
from typing import ClassVar, Final

import numpy as np
from scipy.special import ndtri

from hetao.analysis.doubt import working
from hetao.analysis.estimator import (
    Estimator,
    Message,
    Shapes,
    State,
    Sum,
    estimator,
    packed,
    unpacked,
)
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.lmm import check_random
from hetao.analysis.logistic import ETA, Logistic
from hetao.analysis.newton import (
    MOST_ROUNDS,
    Fit,
    Point,
    advance,
    counted,
    invert,
    model_payload,
)
from hetao.analysis.plan import Plan
from hetao.analysis.poisson import Poisson
from hetao.analysis.quadrature import BINOMIAL, POISSON, Family, Look, furthest, look
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable, WrongShape

TAU: Final = "log(tau)"
NONE: Final = -60.0  # the logarithm of tau that stands for tau = 0
LEAST, HIGHEST = math.log(1e-3), math.log(20.0)  # of log tau; below, tau is none
LOOKS: Final = (NONE, *(math.log(0.01) + k * math.log(2.0) for k in range(10)))
LONGEST = 1.0  # step of log tau
MORE = 10  # points of the quadrature that it is held to
MOST_DOUBT = 1e-6  # of the log-likelihood by the quadrature
NEVER = 1e300  # a standard error beside which none has grown
SUMS: Final[Shapes] = {
    "score": "looks,p",
    "info": "looks,sym(p)",
    "cross": "looks,p",
    "tau_score": "looks",
    "tau_curve": "looks",
    "loglik": "looks",
    "doubt": "looks",
    "events": 1,
    "n": 1,
    "sites": 1,
    "weight": "weights",
    "cases": "weights",
}


class Mixed(Estimator):
    """What the families share.

    Score and information are Fisher's and Louis's, expectations under the posterior of
    the site's intercept. Those of log tau hold no outcome but through that posterior.
    Each look shrinks a site by its own size and outcomes, so that eleven of them can be
    solved for each site's part: the sum is graded as a site's own.
    """

    relies_on = (
        "hetao.analysis.newton",
        "hetao.analysis.quadrature",
        "hetao.analysis.lmm",
        "hetao.analysis.doubt",
        "hetao.analysis.logistic",
        "hetao.analysis.poisson",
    )
    own_parts = True
    alike: ClassVar[type[Logistic] | type[Poisson]]  # the model if all sites are alike
    family: ClassVar[Family]

    def __init__(self, plan: Plan) -> None:
        """Fit the estimator to a plan.

        Raises:
            InvalidStudy: a term tells sites apart, which the random effect does.
        """
        check_random(plan)
        self._alike = self.alike(plan)
        super().__init__(plan)

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        return super().sizes() | {"looks": len(LOOKS)}

    def declare(self, round_number: int) -> dict[str, Sum]:
        """Return what a site sends: eleven looks in round 1, one in each later one."""
        declared = super().declare(round_number)
        if round_number <= 1:
            return declared
        return {
            name: replace(one, shape=(1, *one.shape[1:]))
            if str(SUMS[name]).startswith("looks")
            else one
            for name, one in declared.items()
        }

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of a round.

        The posterior's z² is at its mode at most twice the likelihood's logarithm at
        z = 0, and the points lie within `reach` of the mode. Variances under a
        log-concave posterior are at most those of Brascamp and Lieb (1976): of a score
        the expected information, of z² four times its mean.
        """
        common = {"events": (self.plan.outcome[1], 0.0), "n": (1.0, 0.0)}
        common |= {"cases": (self.plan.outcome[1], 0.0), "weight": (1.0, 0.0)}
        if round_number == 0:
            return self._alike.bounds(0) | {"sites": (1.0, 0.0)}
        loglik, score, variance = self._most()
        light = min(self.plan.most_weight, 1.0)
        reach = 2 * furthest(self.plan.analysis.nAGQ)
        square = 4 * loglik + (reach**2 + 1) / light
        return {
            **common,
            "score": (score, None),
            "info": (2 * variance, None),
            "cross": (variance + 4 * square, None),
            "tau_score": (square, None),
            "tau_curve": (2 * square, None),
            "loglik": (loglik, None),
            "doubt": (2 * loglik, 0.0),
            "sites": (1.0, 0.0),
        }

    def start(self, rows: Rows) -> Message:
        """Return the opening of the model without random effects, and a site."""
        return {**self._alike.start(rows), "sites": np.array([float(rows.n > 0)])}

    def local(self, rows: Rows, state: State) -> Message:
        """Return score, information and log-likelihood at each tau that is asked for.

        At tau = 0, `tau_score` and `tau_curve` are those of the least tau instead, as
        there the likelihood does not change with log tau.

        Raises:
            NotEstimable: an expected count is absurd beside the public bounds.
            WrongShape: the state holds no coefficients or no tau, or one out of range.
        """
        taus = _taus(state)
        eta = self._eta(rows, state)
        more = MORE if len(taus) == 1 else 0  # how exact the looks are matters not
        found = [self._message(rows, eta, log_tau, more) for log_tau in taus]
        counts = {
            "events": np.array([rows.weight @ rows.y]),
            "n": np.array([float(rows.n)]),
            "sites": np.array([float(rows.n > 0)]),
            **counted(self.plan, rows, rows.y),
        }
        return {name: np.array([one[name] for one in found]) for name in found[0]} | (
            counts
        )

    def weights(self, rows: Rows, state: State) -> Floats:
        """Return how much people count in expectation, and in its spread, (2 k, n)."""
        eta = self._eta(rows, state)
        looks = [self._look(rows, eta, log_tau) for log_tau in _taus(state)]
        found = [part for one in looks for part in (one.working, one.spread)]
        return np.array([*found, *self._beyond_doubt(rows, state)])

    def _beyond_doubt(self, rows: Rows, state: State) -> Floats:
        """Return the weights (k, n) of whom no working weight tells; none of counts."""
        del state
        return np.zeros((0, rows.n))

    def _message(
        self, rows: Rows, eta: Floats, log_tau: float, more: int
    ) -> dict[str, Floats | float]:
        if not rows.n:
            p = self.plan.parameters
            zeros = {"score": np.zeros(p), "info": packed(np.zeros((p, p)))}
            names = ("tau_score", "tau_curve", "loglik", "doubt")
            return zeros | {"cross": np.zeros(p)} | dict.fromkeys(names, 0.0)
        found = self._look(rows, eta, log_tau)
        total = float(rows.weight.sum())
        score = found.scores @ found.share
        away = found.scores - score[:, None]
        _, most_score, most_variance = self._most()
        most = most_variance * total
        if abs(score).max() > most_score * total or rows.weight @ found.working > most:
            raise NotEstimable(
                "expected outcomes lie far beyond the public bounds at some site",
                fix="check the offset and the bounds, or leave out terms",
            )
        variance = np.clip((away * found.share) @ away.T, -most, most)
        expected = (rows.X.T * (rows.weight * found.working)) @ rows.X
        tau = found if log_tau != NONE else self._look(rows, eta, LEAST)
        mean = float(tau.square @ tau.share)
        bent = tau.square - mean
        of_squares = min(float(bent**2 @ tau.share), 4 * mean)
        limit = math.sqrt(most * 4 * mean)
        finer = self._look(rows, eta, log_tau, more) if more else found
        return {
            "score": score,
            "info": packed(expected - variance),
            "cross": np.clip(-(away * found.share) @ bent, -limit, limit)
            if log_tau != NONE
            else np.zeros(len(score)),
            "tau_score": mean - 1,
            "tau_curve": 2 * mean - of_squares,
            "loglik": found.loglik,
            "doubt": abs(found.loglik - finer.loglik),
        }

    def _look(self, rows: Rows, eta: Floats, log_tau: float, more: int = 0) -> Look:
        tau = 0.0 if log_tau == NONE else math.exp(log_tau)
        return look(rows, eta, tau, self.family, self.plan.analysis.nAGQ + more)

    # --- outside ----------------------------------------------------------------------
    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the next coefficients and tau, or the finding.

        Raises:
            NotEstimable: there are fewer than two sites, the model without random
                effects has no estimate, tau runs off, or the quadrature is too coarse.
        """
        if total["sites"][0] < 2:
            raise NotEstimable(
                "a random effect needs two sites with people",
                fix="add sites, or use a model without a random effect",
            )
        if state is None:
            opened = self._alike.step(total, None, round_number)
            if isinstance(opened, Finding):
                return opened
            return {**opened, "log_tau": np.array(LOOKS)}
        if len(state["log_tau"]) > 1:
            return self._looked(total, state)
        if state["log_tau"][0] == NONE:
            return self._without(total, state, round_number)
        point = self._point(total)
        joint = {**state, "beta": np.append(state["beta"], state["log_tau"])}
        fit = advance(point, joint, round_number, (*self.plan.names, TAU))
        if isinstance(fit, Fit):
            return self._finding(total, fit, float(fit.covariance[-1, -1]) ** 0.5)
        return self._parted(fit, state)

    def _looked(self, total: Message, state: State) -> State:
        """Return where the profile over tau is highest, between two of the looks.

        At each look a Newton step in the coefficients is foreseen; between two, the
        cubic through both values and slopes is followed.
        """
        profile = [_Profile(total, k, self.plan) for k in range(len(LOOKS))]
        best = int(np.argmax([one.loglik for one in profile]))
        if best == 0 and profile[1].slope <= 0:
            return {
                "beta": state["beta"] + profile[0].step,
                "log_tau": np.array([NONE]),
            }
        best = max(best, 1)
        left = best if profile[best].slope > 0 else best - 1
        left = min(max(left, 1), len(LOOKS) - 2)
        below, above = profile[left], profile[left + 1]
        width = LOOKS[left + 1] - LOOKS[left]
        t = np.linspace(0.0, 1.0, 1001)
        height = (1 + 2 * t) * (1 - t) ** 2 * (below.loglik - above.loglik)
        height += t * (1 - t) ** 2 * width * below.slope
        height -= t**2 * (1 - t) * width * above.slope
        share = float(t[int(np.argmax(height))])
        step = below.step + share * (above.step - below.step)
        log_tau = LOOKS[left] + share * width
        return {"beta": state["beta"] + step, "log_tau": np.array([log_tau])}

    def _without(
        self, total: Message, state: State, round_number: int
    ) -> State | Finding:
        """Return the next coefficients at tau = 0, or the finding, if tau stays there.

        It does where at the coefficients found the likelihood falls from the least tau
        on; otherwise Newton's method goes on from there.
        """
        information = unpacked(total["info"][0], self.plan.parameters)
        point = Point(total["score"][0], information, float(total["loglik"][0]))
        fit = advance(point, state, round_number, self.plan.names)
        if not isinstance(fit, Fit):
            return {**fit, "log_tau": state["log_tau"]}
        if total["tau_score"][0] > 0:
            return {"beta": fit.beta, "log_tau": np.array([LEAST + LONGEST])}
        joint = replace(fit, beta=np.append(fit.beta, NONE))
        return self._finding(total, joint, None)

    def _point(self, total: Message) -> Point:
        """Return the summed likelihood in the coefficients and log tau.

        Far from the maximum its information need not be positive; the coefficients'
        own, with log tau apart, then shows a way upward.
        """
        p = self.plan.parameters
        slope = float(total["tau_score"][0])
        joint = np.zeros((p + 1, p + 1))
        joint[:p, :p] = unpacked(total["info"][0], p)
        joint[p, :p] = joint[:p, p] = total["cross"][0]
        joint[p, p] = total["tau_curve"][0]
        spread = np.sqrt(np.clip(np.diag(joint), 1e-300, None))
        if np.linalg.eigvalsh(joint / np.outer(spread, spread))[0] <= 0:
            joint[p, :p] = joint[:p, p] = 0.0
            joint[p, p] = max(abs(float(total["tau_curve"][0])), abs(slope), 1e-6)
        score = np.append(total["score"][0], slope)
        return Point(score, joint, float(total["loglik"][0]))

    def _parted(self, joint: State, before: State) -> State:
        """Return the state with log tau apart, moved no further than allowed.

        Raises:
            NotEstimable: tau runs off.
        """
        beta, log_tau = joint["beta"][:-1], float(joint["beta"][-1])
        last = float(before["log_tau"][0])
        moved = min(max(log_tau, last - LONGEST), last + LONGEST)
        if moved > HIGHEST:
            raise NotEstimable(
                "the variance between sites runs off",
                fix="check that every site defines the outcome in the same way",
            )
        if moved < LEAST:
            return {"beta": beta, "log_tau": np.array([NONE])}
        step = np.append(joint["step"][:-1], joint["step"][-1] + moved - log_tau)
        se = np.append(joint["se"][:-1], NEVER)  # tau running off is told of above
        return {**joint, "beta": beta, "log_tau": np.array([moved])} | {
            "step": step,
            "se": se,
        }

    def _finding(self, total: Message, fit: Fit, tau_se: float | None) -> Finding:
        plan, p, doubt = self.plan, self.plan.parameters, float(total["doubt"][0])
        if doubt > MOST_DOUBT:
            raise NotEstimable(
                f"{plan.analysis.nAGQ} points are too few to integrate over the sites' "
                "intercepts",
                fix="write a larger nAGQ",
            )
        alone = replace(fit, beta=fit.beta[:p], covariance=fit.covariance[:p, :p])
        tau = 0.0 if tau_se is None else math.exp(fit.beta[p])
        width = float(ndtri(0.975)) * (tau_se or 0.0)
        cases = total["cases"] if plan.analysis.weights else total["events"]
        found = {
            "family": plan.analysis.family,
            "n": round(float(total["n"][0])),
            "events": round(float(cases[0])),
            "tau2": tau**2,
            "tau": tau,
            "tau_se": None if tau_se is None else tau * tau_se,
            "tau_lower": None if tau_se is None else tau * math.exp(-width),
            "tau_upper": None if tau_se is None else tau * math.exp(width),
            "median_ratio": math.exp(math.sqrt(2) * float(ndtri(0.75)) * tau),
            "singular": tau_se is None,
            "nAGQ": plan.analysis.nAGQ,
            "quadrature": doubt,
            "pooled_sites": round(float(total["sites"][0])),
        }
        payload = model_payload(plan, alone) | found | self._shares(tau)
        return Finding(plan.analysis.name, self.name, payload)

    # --- what a family is -------------------------------------------------------------
    def _eta(self, rows: Rows, state: State) -> Floats:
        """Return people's linear predictors without the site's intercept, (n,)."""
        raise NotImplementedError

    def _most(self) -> tuple[float, float, float]:
        """Return the most per person of |loglik|, |y - mu| and the variance of y."""
        raise NotImplementedError

    def _shares(self, tau: float) -> dict[str, float]:
        """Return the share of the variance that is between sites, if there is one."""
        del tau
        return {}


@estimator(
    name="glmm",
    opening={**Logistic.opening, "sites": 1},
    sums=SUMS,
    most_rounds=MOST_ROUNDS,
    publishable=True,
)
class LogisticMixed(Mixed):
    """Logistic regression whose intercept varies from site to site.

    Maximum likelihood by adaptive Gauss-Hermite quadrature, of `nAGQ` points; how much
    ten more would change the log-likelihood is told as `quadrature`, and refused where
    it could be seen in the estimates. A tau under 0.001 is taken as none, and the
    finding says `singular`.

    What guards it: as of logistic regression, of which it sends what that one does,
    expected over the site's intercept: people, events, sides of columns, parameters and
    leverage at each site and state (rule 8 of the gate). A site's own message would
    tell how far its intercept lies from the others', and the looks' sums tell it too.

    Source:
        Louis (1982), J. R. Stat. Soc. B 44, 226-233; R's `lme4::glmer`. Oracle:
        `tests/oracles/test_glmm.py`.
    """

    alike, family = Logistic, BINOMIAL

    def _eta(self, rows: Rows, state: State) -> Floats:
        return np.clip(rows.X @ self.beta(state) + rows.offset, -ETA, ETA)

    def _beyond_doubt(self, rows: Rows, state: State) -> Floats:
        return working(rows.X @ self.beta(state) + rows.offset)[1:]

    def _most(self) -> tuple[float, float, float]:
        return ETA + math.exp(HIGHEST) + 2, 1.0, 0.25

    def _shares(self, tau: float) -> dict[str, float]:
        return {"icc": tau**2 / (tau**2 + math.pi**2 / 3)}


@estimator(
    name="glmm_poisson",
    opening={**Poisson.opening, "sites": 1},
    sums=SUMS,
    most_rounds=MOST_ROUNDS,
    publishable=True,
)
class PoissonMixed(Mixed):
    """Poisson regression whose intercept varies from site to site; as `LogisticMixed`.

    Source:
        R's `lme4::glmer`. Oracle: `tests/oracles/test_glmm.py`.
    """

    alike, family = Poisson, POISSON

    def __init__(self, plan: Plan) -> None:
        """Fit the estimator to a plan, as `Mixed`."""
        self._counts = Poisson(plan)
        super().__init__(plan)

    def _eta(self, rows: Rows, state: State) -> Floats:
        return self._counts.linear_predictor(rows, self.beta(state))

    def _most(self) -> tuple[float, float, float]:
        high, most = self.plan.outcome[1], self._counts.most
        loglik = self._counts.bounds(1)["loglik"][0] + high * math.exp(HIGHEST) + 2
        mean = 2 * most + 2 * math.exp(-LEAST) / min(self.plan.most_weight, 1.0)
        return loglik, mean, mean


def _taus(state: State) -> list[float]:
    """Return the logarithms of tau that a state asks for.

    Raises:
        WrongShape: it asks for none, for too many, or for one out of range.
    """
    asked = state.get("log_tau")
    if asked is None or asked.ndim != 1 or len(asked) not in (1, len(LOOKS)):
        raise WrongShape("the state does not hold one log tau, or one a look")
    taus = [float(one) for one in asked]
    if not all(one == NONE or LEAST <= one <= HIGHEST for one in taus):
        raise WrongShape("tau lies outside the range that a site computes in")
    return taus


class _Profile:
    """What one look foresees: the likelihood's height and slope after a Newton step."""

    def __init__(self, total: Message, k: int, plan: Plan) -> None:
        """Take the place of a look in the message."""
        inverse = invert(unpacked(total["info"][k], plan.parameters), plan.names)
        score = total["score"][k]
        self.step = inverse.matrix @ score
        self.loglik = float(total["loglik"][k]) + float(score @ self.step) / 2
        self.slope = float(total["tau_score"][k] - total["cross"][k] @ self.step)
