"""A treatment's effect from sums: regressions side by side, then one closing sum.

An effect stands on up to three regressions: the propensity score, and the outcome in
either arm. Their Newton rounds run side by side in the same messages. At their maxima
one closing message brings the sums from which the arms' means and their variance
follow, the estimation of the regressions counted in: with the estimating functions of
all parameters stacked, each person's is linear in the two means that are still
unknown, so its outer products can be summed before the means are known.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from scipy.special import expit

from hetao.analysis.contrasts import (
    balance_of,
    contrasts_of,
    rate_contrasts,
    sandwich,
)
from hetao.analysis.doubt import working
from hetao.analysis.estimator import (
    Estimator,
    Message,
    State,
    own_state,
    packed,
    sum_by,
    unpacked,
)
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.logistic import ETA, Logistic
from hetao.analysis.newton import (
    MOST_ROUNDS,
    SMALL_STEP,
    Fit,
    Point,
    advance,
    invert,
    model_payload,
    newton_step,
    said_of,
)
from hetao.analysis.plan import Plan
from hetao.analysis.poisson import log_linear_opening
from hetao.analysis.rows import Rows
from hetao.analysis.weighting import (
    Weights,
    heaviest,
    overlap,
    weightless,
    weights_by_score,
)
from hetao.errors import NotEstimable, WrongShape

FURTHEST = 10.0  # a standardised number that is fitted beyond is absurd
ABSURD = 1000.0  # and so is a count that many times the highest public one
NO_SPREAD = 1e-13  # of an outcome, by half its range squared: sums do not tell it
MOST = MOST_ROUNDS + 1  # messages: Newton's, and the closing one
SCORE, ARMS = "score", ("untreated", "treated")

OPENING: Final = {
    "score": "params",
    "info": "fits,sym(p)",
    "people": "groups",
    "events": "groups",
    "exposed": "counts,params",
    "exposure": "counts,groups",
}
SUMS: Final = {
    "score": "params",
    "info": "fits,sym(p)",
    "loglik": "fits",
    "people": "groups",
    "events": "groups",
    "means": "groups,2",
    "slopes": "4,params",
    "meat": "stacked",
    "weights": "groups,2",
    "columns": "groups,p,3",
    "overlap": "groups,bins",
}


class Effect(Estimator):
    """What the estimators of an effect share; which regressions, the method says.

    A site's own message is not publishable: the cells within its arms, and the bins of
    the score's histogram where one is asked for, may be small. What guards it: the
    rules for small cells in sums over few sites, for each column, for people and events
    within either arm, and for the leverage of a person, in the regressions and under
    the weights by the score.
    """

    relies_on = (
        "hetao.analysis.contrasts",
        "hetao.analysis.doubt",
        "hetao.analysis.logistic",
        "hetao.analysis.newton",
        "hetao.analysis.poisson",
        "hetao.analysis.weighting",
    )

    def __init__(self, plan: Plan) -> None:
        """Fit the estimator to a plan."""
        self._fits = plan.method.fits
        self._weighs, self._predicts = SCORE in self._fits, ARMS[1] in self._fits
        self._logistic = Logistic(replace(plan, offset=None))
        super().__init__(plan)

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        params = self.plan.parameters * len(self._fits)
        return super().sizes() | {
            "fits": len(self._fits),
            "params": params,
            "stacked": (params + 4) * (params + 5) // 2,
            "bins": self.plan.analysis.overlap_bins,
            "counts": int(self.plan.is_count),
        }

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds of a round: |x| <= 1, weights and fitted values capped."""
        high = self.plan.outcome[1] if self.plan.is_count else 1.0
        fitted = self._most if not self.plan.is_binary else 1.0
        residual = fitted + high if not self.plan.is_binary else 1.0
        weight = max(heaviest(self.plan.analysis), 1.0)
        most = fitted + (weight + 1) * residual
        bounds: dict[str, tuple[float, float | None]] = {
            "score": (residual, None),
            "info": (fitted if self.plan.is_count else 1.0, None),
            "people": (1.0, 0.0),
            "events": (high, 0.0),
        }
        if round_number == 0:
            return bounds | {"exposed": (1.0, None), "exposure": (1.0, 0.0)}
        return bounds | {
            "loglik": (max(ETA + 1, residual**2 + high * ETA), None),
            "means": (most, None),
            "slopes": (most, None),
            "meat": (most**2, None),
            "weights": (weight**2, 0.0),
            "columns": (weight, None),
            "overlap": (1.0, 0.0),
        }

    @property
    def _most(self) -> float:
        """Return the highest value that is fitted to a number or a count."""
        return ABSURD * (self.plan.outcome[1] + 1) if self.plan.is_count else FURTHEST

    def beta(self, state: State) -> Floats:
        """Return the coefficients (fits, p) that a state asks for.

        Raises:
            WrongShape: the state holds none, or not one a column and regression.
        """
        shape = (len(self._fits), self.plan.parameters)
        beta = state.get("beta")
        if beta is None or beta.shape != (shape[0] * shape[1],):
            raise WrongShape("the state does not hold one coefficient a column")
        return beta.reshape(shape)

    # --- inside a site --------------------------------------------------------------
    def start(self, rows: Rows) -> Message:
        """Return the regressions' X'y and X'X, and who is in which arm."""
        parts = [self._part(rows, fit) for fit in self._fits]
        exposures = [self._exposure_in(rows, fit) for fit in self._fits]
        middles = [0.5 if self._is_logistic(fit) else 0.0 for fit in self._fits]
        scores = [X.T @ (y - m) for (X, y), m in zip(parts, middles, strict=True)]
        return {
            "score": np.concatenate(scores),
            "info": np.stack(
                [
                    packed((X.T * w) @ X)
                    for (X, _), w in zip(parts, exposures, strict=True)
                ]
            ),
            **self._counts(rows),
            **self._exposed(rows, parts, exposures),
        }

    def local(self, rows: Rows, state: State) -> Message:
        """Return the regressions' sums at a state, or what closes the analysis.

        What a round has no use for is 0, so that all rounds look alike.

        Raises:
            NotEstimable: a person would weigh more than anyone may, or an outcome is
                fitted far beyond its public bounds.
        """
        beta = self.beta(state)
        message = {name: np.zeros(s.shape) for name, s in self.declare(1).items()}
        message |= self._counts(rows)
        found = [
            self._likelihood(fit, self._part(rows, fit), self._offset(rows, fit), b)
            for fit, b in zip(self._fits, beta, strict=True)
        ]
        message["info"] = np.stack([information for _, information, _ in found])
        if "closing" in state:
            return message | self._closing(rows, beta)
        message["score"] = np.concatenate([score for score, _, _ in found])
        message["loglik"] = np.array([loglik for _, _, loglik in found])
        return message

    def weights(self, rows: Rows, state: State) -> Floats:
        """Return how much people weigh in each regression and in the mean, (k, n)."""
        found = []
        if self._weighs:
            e = self._scores(rows, state)
            found += list(working(rows.X @ self.beta(state)[0]))
            if "closing" in state:
                by_score = weights_by_score(self.plan.analysis, rows.group, e)
                found.append(by_score.of.sum(axis=0))
        if self._predicts and (self.plan.is_binary or self.plan.is_count):
            of_arm = np.stack([self._of_arm(state, arm) for arm in (0, 1)])
            eta = np.einsum("ij,ij->i", rows.X, of_arm[rows.group]) + rows.offset
            counted = [np.exp(np.maximum(eta, -ETA))]
            found += list(working(eta)) if self.plan.is_binary else counted
        return np.stack(found) if found else np.ones((1, rows.n))

    def bins(self, rows: Rows, state: State) -> dict[str, int]:
        """Return the people in the thinnest bin of the score's histogram."""
        bins = self.plan.analysis.overlap_bins
        if "closing" not in state or not bins:
            return {}
        counts = overlap(rows.group, self._scores(rows, state), bins)
        least = counts[counts > 0].min(initial=rows.n)
        return {"people in the thinnest bin of the score": int(least)}

    def _is_logistic(self, fit: str) -> bool:
        return fit == SCORE or self.plan.is_binary

    def _part(self, rows: Rows, fit: str) -> tuple[Floats, Floats]:
        """Return the design and the outcome of a regression, each of its own rows."""
        if fit == SCORE:
            return rows.X, (rows.group == 1).astype(np.float64)
        mine = rows.group == ARMS.index(fit)
        return rows.X[mine], rows.y[mine]

    def _is_poisson(self, fit: str) -> bool:
        return fit != SCORE and self.plan.is_count

    def _exposure(self, rows: Rows) -> Floats:
        """Return each person's time, 1 at its highest; 1 of all without an offset."""
        return np.asarray(np.exp(rows.offset - self.plan.offset_bounds[1]))

    def _exposure_in(self, rows: Rows, fit: str) -> Floats:
        """Return what weighs people in the opening of a regression, its own rows'."""
        if fit == SCORE:
            return np.ones(rows.n)
        mine = rows.group == ARMS.index(fit)
        exposure = self._exposure(rows) if self.plan.is_count else np.ones(rows.n)
        return np.asarray(exposure[mine])

    def _offset(self, rows: Rows, fit: str) -> Floats:
        if fit == SCORE:
            return np.zeros(rows.n)
        return np.asarray(rows.offset[rows.group == ARMS.index(fit)])

    def _exposed(
        self,
        rows: Rows,
        parts: Sequence[tuple[Floats, Floats]],
        exposures: Sequence[Floats],
    ) -> Message:
        """Return the exposure, and the design times it, of a count."""
        if not self.plan.is_count:
            params = self.plan.parameters * len(self._fits)
            return {"exposed": np.zeros((0, params)), "exposure": np.zeros((0, 2))}
        of_fits = [X.T @ w for (X, _), w in zip(parts, exposures, strict=True)]
        by_arm = sum_by(rows.group, 2, self._exposure(rows))
        return {"exposed": np.concatenate(of_fits)[None], "exposure": by_arm[None]}

    def _counts(self, rows: Rows) -> Message:
        has_events = self.plan.is_binary or self.plan.is_count
        events = rows.y if has_events else np.zeros(rows.n)
        return {
            name: np.bincount(rows.group, of_each, minlength=2).astype(np.float64)
            for name, of_each in (("people", np.ones(rows.n)), ("events", events))
        }

    def _likelihood(
        self, fit: str, part: tuple[Floats, Floats], offset: Floats, beta: Floats
    ) -> tuple[Floats, Floats, float]:
        """Return score (p,), packed information and log-likelihood.

        A number's are those of a normal one of variance 1: its maximum is the same,
        and the sandwich asks for nothing else.
        """
        X, y = part
        if self._is_poisson(fit):
            mu = self._expected(X, offset, beta)
            loglik = float(y @ np.log(mu) - mu.sum())
            return X.T @ (y - mu), packed((X.T * mu) @ X), loglik
        if not self._is_logistic(fit):
            residual = y - self._fitted(X, beta)
            return X.T @ residual, packed(X.T @ X), -float(residual @ residual) / 2
        eta = np.clip(X @ beta, -ETA, ETA)
        mu = expit(eta)
        information = packed((X.T * (mu * (1 - mu))) @ X)
        loglik = float(np.sum(y * eta - np.logaddexp(0, eta)))
        return X.T @ (y - mu), information, loglik

    def _fitted(self, X: Floats, beta: Floats) -> Floats:
        if self.plan.is_binary:
            return np.asarray(expit(np.clip(X @ beta, -ETA, ETA)))
        mu = X @ beta
        if np.any(np.abs(mu) > FURTHEST):
            raise _far_beyond()
        return np.asarray(mu)

    def _expected(self, X: Floats, offset: Floats, beta: Floats) -> Floats:
        """Return expected counts (n,), their times counted."""
        eta = np.maximum(X @ beta + offset, -ETA)
        if np.any(eta > np.log(self._most)):
            raise _far_beyond()
        return np.asarray(np.exp(eta))

    def _predicted(self, rows: Rows, state: State, arm: int) -> Floats:
        """Return everyone's outcome as it is predicted under an arm, (n,)."""
        beta = self._of_arm(state, arm)
        if self.plan.is_count:
            return self._expected(rows.X, rows.offset, beta)
        return self._fitted(rows.X, beta)

    def _scores(self, rows: Rows, state: State) -> Floats:
        eta = rows.X @ self.beta(state)[0]
        return np.asarray(expit(np.clip(eta, -ETA, ETA)))

    def _of_arm(self, state: State, arm: int) -> Floats:
        return np.asarray(self.beta(state)[self._fits.index(ARMS[arm])])

    def _closing(self, rows: Rows, beta: Floats) -> Message:
        """Return the sums of each person's stacked estimating functions."""
        X, state, bins = rows.X, {"beta": beta.ravel()}, self.plan.analysis.overlap_bins
        of_score = np.zeros((2, bins))
        weights = weightless(self.plan.analysis, rows.group)
        stacked = []
        if self._weighs:
            e = self._scores(rows, state)
            weights = weights_by_score(self.plan.analysis, rows.group, e)
            of_score = overlap(rows.group, e, bins)
            stacked.append(X * ((rows.group == 1) - e)[:, None])
        means, slopes = [], np.zeros((4, *beta.shape))
        for arm in (0, 1):
            parts = self._parts(rows, arm, weights, state)
            means += [parts["above"], parts["below"]]
            if self._weighs:
                slopes[2 * arm, 0] = X.T @ parts["above by score"]
                slopes[2 * arm + 1, 0] = X.T @ parts["below by score"]
            if self._predicts:
                place = self._fits.index(ARMS[arm])
                slopes[2 * arm, place] = X.T @ parts["above by outcome"]
                stacked.append(X * parts["residual"][:, None])
        U = np.column_stack([*stacked, *means])
        arms = np.stack([rows.group == arm for arm in (0, 1)]).astype(np.float64)
        columns = np.stack([arms @ X, arms @ (X * X), weights.of @ X], axis=2)
        of = weights.of
        return {
            "means": np.array([mean.sum() for mean in means]).reshape(2, 2),
            "slopes": slopes.reshape(4, -1),
            "meat": packed(U.T @ U),
            "weights": np.stack([of.sum(axis=1), (of * of).sum(axis=1)], axis=1),
            "columns": columns,
            "overlap": of_score,
        }

    def _parts(
        self, rows: Rows, arm: int, weights: Weights, state: State
    ) -> dict[str, Floats]:
        """Return what each person adds above and below an arm's fraction, and slopes.

        Without predictions the fraction is the weighted mean outcome. With them it is
        the mean prediction for those whose effect is asked for, and of the weighted
        residuals where there are weights.
        """
        w, slope, y = weights.of[arm], weights.slope[arm], rows.y
        time = self._exposure(rows)
        if not self._predicts:
            return {
                "above": w * y,
                "below": w * time,
                "above by score": slope * y,
                "below by score": slope * time,
            }
        mu = self._predicted(rows, state, arm)
        by_predictor = np.ones_like(mu)
        if self.plan.is_binary:
            by_predictor = mu * (1 - mu)
        if self.plan.is_count:
            by_predictor = mu
        residual = (y - mu) * (rows.group == arm)
        return {
            "above": weights.share * mu + w * residual,
            "below": weights.share * time,
            "above by score": slope * residual,
            "below by score": np.zeros_like(mu),
            "above by outcome": (weights.share - w) * by_predictor,
            "residual": residual,
        }

    # --- outside the sites ----------------------------------------------------------
    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the next coefficients, the closing state, or the finding.

        Raises:
            NotEstimable: an arm has nobody, or everyone or no one in it has the
                event; columns determine each other, or separate the arms.
        """
        if state is None:
            return {"beta": self._opening(total)}
        if "closing" in state:
            if not self._is_beside(total):
                return self._finding(total, state, round_number)
            state = {"beta": state["beta"]}
        return self._advance(total, state, round_number)

    def _is_beside(self, total: Message) -> bool:
        """Return whether a regression is not where its last step was to lead it."""
        scores = np.split(total["score"], len(self._fits))
        each = zip(scores, map(self._inverse, total["info"]), strict=True)
        return any(newton_step(*one)[1] > SMALL_STEP for one in each)

    def _opening(self, total: Message) -> Floats:
        people, events = np.rint(total["people"]), np.rint(total["events"])
        self._check_arms(people, events)
        scores = np.split(total["score"], len(self._fits))
        beta = []
        for fit, score, info in zip(self._fits, scores, total["info"], strict=True):
            with said_of(_called(fit)):
                if self._is_poisson(fit):
                    place = self._fits.index(fit)
                    beta.append(self._log_linear(total, score, info, place))
                    continue
                if not self._is_logistic(fit):
                    beta.append(self._inverse(info) @ score)
                    continue
                arm = 1 if fit == SCORE else ARMS.index(fit)
                n = people.sum() if fit == SCORE else people[arm]
                cases = people[arm] if fit == SCORE else events[arm]
                sums = {"score": score, "info": info}
                beta.append(self._logistic.discriminant(sums, float(n), float(cases)))
        return np.concatenate(beta)

    def _log_linear(
        self, total: Message, score: Floats, info: Floats, place: int
    ) -> Floats:
        """Return the opening coefficients of a count's regression in an arm."""
        arm = ARMS.index(self._fits[place])
        p = self.plan.parameters
        sums = {
            "score": score,
            "info": info,
            "exposed": total["exposed"][0, p * place : p * (place + 1)],
            "exposure": total["exposure"][0, [arm]],
        }
        return log_linear_opening(self.plan, sums, float(total["events"][arm]))[0]

    def _check_arms(self, people: Floats, events: Floats) -> None:
        for label, n, cases in zip(self.plan.groups, people, events, strict=True):
            if n <= 0:
                raise NotEstimable(
                    f"nobody is in the arm {label!r}",
                    fix="check the treatment's definition",
                )
            if self.plan.is_count and cases <= 0:
                raise NotEstimable(
                    f"no one in the arm {label!r} has any "
                    f"{self.plan.analysis.outcome!r}",
                    fix="check the outcome's definition",
                )
            if self.plan.is_binary and not 0 < cases < n:
                raise NotEstimable(
                    f"everyone or no one in the arm {label!r} has the outcome "
                    f"{self.plan.analysis.outcome!r}",
                    fix="check the outcome's definition",
                )

    def _inverse(self, info: Floats) -> Floats:
        return invert(unpacked(info, self.plan.parameters), self.plan.names).matrix

    def _advance(self, total: Message, state: State, round_number: int) -> State:
        """Move each regression that has not come to its end by one Newton step."""
        beta = self.beta(state).copy()
        scores, after = total["score"].reshape(beta.shape), dict[str, Floats]()
        for i, fit in enumerate(self._fits):
            mine = own_state(state, f"{fit} ")
            if "done" not in mine:
                info = unpacked(total["info"][i], self.plan.parameters)
                point = Point(scores[i], info, float(total["loglik"][i]))
                mine["beta"] = beta[i]
                with said_of(_called(fit)):
                    names = self.plan.names
                    moved = advance(point, mine, round_number, names, closes=True)
                if isinstance(moved, Fit):
                    ended = np.array([moved.loglik, moved.condition])
                    moved = {"beta": moved.beta, "done": ended}
                mine = moved
                beta[i] = mine.pop("beta")
            after |= {f"{fit} {name}": array for name, array in mine.items()}
        if all(f"{fit} done" in after for fit in self._fits):
            after["closing"] = np.ones(1)
        return {"beta": beta.ravel()} | after

    def _finding(self, total: Message, state: State, round_number: int) -> Finding:
        plan = self.plan
        centre, scale = (0.0, 1.0) if plan.is_binary else plan.outcome_scale
        if plan.is_count:  # times were 1 at their highest
            centre, scale = 0.0, float(np.exp(-plan.offset_bounds[1]))
        inverses = [self._inverse(info) for info in total["info"]]
        above, below = total["means"].T
        if np.any(below <= 0):
            raise NotEstimable(
                "no one in an arm weighs anything", fix="check the treatment"
            )
        covariance = sandwich(total, inverses, above / below) * scale**2
        if not plan.is_binary and not plan.is_count:
            _check_spread(plan, np.diag(covariance) / scale**2 * total["people"])
        means = centre + scale * above / below
        people = np.rint(total["people"])
        done = [state[f"{fit} done"].tolist() for fit in self._fits]
        payload: dict[str, Any] = {
            "model": self.name,
            "estimand": plan.analysis.estimand,
            "terms": self._contrasts(means, covariance),
            "arms": self._arms(total, means, covariance),
            "balance": balance_of(plan.columns, total, people),
            "overlap": np.rint(total["overlap"]).astype(int).tolist(),
            "score": [],
            "rounds": round_number + 1,
            "converged": True,
            "condition": max(condition for _, condition in done),
            "n": round(float(people.sum())),
        }
        if plan.is_binary or plan.is_count:
            payload["events"] = round(float(total["events"].sum()))
        if self._weighs or plan.is_binary or plan.is_count:
            payload["loglik"] = sum(
                loglik
                for fit, (loglik, _) in zip(self._fits, done, strict=True)
                if self._is_logistic(fit) or self._is_poisson(fit)
            )
        if self._weighs:
            fit = Fit(self.beta(state)[0], inverses[0], done[0][0], 0, done[0][1])
            payload["score"] = model_payload(plan, fit)["terms"]
        return Finding(plan.analysis.name, self.name, payload)

    def _contrasts(self, means: Floats, covariance: Floats) -> list[dict[str, Any]]:
        if self.plan.is_count:
            has_time = self.plan.offset is not None
            return rate_contrasts(means, covariance, has_time)
        return contrasts_of(means, covariance, self.plan.is_binary)

    def _arms(
        self, total: Message, means: Floats, covariance: Floats
    ) -> list[dict[str, Any]]:
        """Return each arm's people, events, mean and effective sample size."""
        arms, has_events = [], self.plan.is_binary or self.plan.is_count
        for arm, label in enumerate(self.plan.groups):
            first, second = total["weights"][arm].tolist()
            events = round(float(total["events"][arm]))
            arms.append(
                {
                    "arm": label,
                    "n": round(float(total["people"][arm])),
                    "events": events if has_events else None,
                    "mean": float(means[arm]),
                    "se": float(np.sqrt(covariance[arm, arm])),
                    "ess": first**2 / second if self._weighs else None,
                }
            )
        return arms


def _far_beyond() -> NotEstimable:
    return NotEstimable(
        "an outcome is fitted far beyond its public bounds",
        fix="check the bounds, or leave out terms",
    )


def _check_spread(plan: Plan, spread: Floats) -> None:
    """Refuse an outcome whose spread (2,) its sums over so wide a range do not tell."""
    if not (spread > NO_SPREAD).all():
        raise NotEstimable(
            f"the outcome {plan.analysis.outcome!r} hardly varies beside its public "
            "bounds",
            fix="tighten its bounds, or check the outcome",
        )


def _called(fit: str) -> str:
    return "the propensity score" if fit == SCORE else f"the outcome, {fit}"
