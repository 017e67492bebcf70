"""Ridge, lasso and elastic net, their strength chosen by cross-validation inside sites.

Every fit, of each strength and with each fold left out, goes on in every round by
proximal Newton steps from the sums, so that a path costs as few rounds as one model.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from hetao.analysis.elastic import minimise
from hetao.analysis.estimator import Estimator, Message, Shapes, State, unpacked
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.newton import check_weight, invert
from hetao.analysis.paths import Path, chosen_path
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable, WrongShape
from hetao.study.model import SHRINKING

PATH: Final = 25  # strengths that are tried where the study names none
WEAKEST: Final = 1e-3  # of them, as a share of the strongest
RIDGE: Final = 1e-3  # the lasso's share that the strongest of a ridge is taken at
SMALL_STEP: Final = 1e-8  # in standard errors, as the curvature has them
FLAT: Final = 1e-9  # variance, as a share of the mean square, that sums do not tell
SAME: Final = 1e-10  # relative growth of the penalised loss that is rounding

OPENING: Final[Shapes] = {
    "gram": "cuts,sym(p)",
    "cross": "cuts,p",
    "exposed": "cuts,exposed",
    "cases": 1,
    "n": 1,
}
SUMS: Final[Shapes] = {
    "score": "fits,p",
    "info": "curves,sym(p)",
    "loss": "fits",
    "held": "held",
    "cases": 1,
    "n": 1,
}


@dataclass(frozen=True)
class Null:
    """The model of the intercept alone, on each part of the people.

    Attributes:
        level: (parts,) its intercept.
        score: (parts, p) there.
        curve: (parts,) by which X'X is about the information.
    """

    level: Floats
    score: Floats
    curve: Floats


class Penalised(Estimator):
    """Minimum of loss / N + lambda ((1 - a) |b|²/2 + a |b|₁), as in glmnet.

    N is the sum of weights, b the coefficients of columns of unit variance, and a the
    lasso's share. The columns' variances, and the strongest lambda, are sums too. A fit
    that leaves a fold out takes the variances of those that it keeps, as in glmnet.

    Standard errors and limits are not given: those of a fit whose terms and strength
    the data chose would not cover.

    What guards it: people, events, cells, parameters and leverage (rules 4 and 8) at
    each site, and again within each fold at the site, as if it were a site of its own,
    because sums with and without a fold can be subtracted; and leverage under the
    weights of every fit at its state.

    Source:
        Friedman, Hastie and Tibshirani (2010), J. Stat. Softw. 33(1). Oracle:
        `tests/oracles/test_penalised.py`.
    """

    relies_on = (
        "hetao.analysis.doubt",
        "hetao.analysis.elastic",
        "hetao.analysis.linear",
        "hetao.analysis.logistic",
        "hetao.analysis.newton",
        "hetao.analysis.paths",
        "hetao.analysis.poisson",
    )
    same_curve: ClassVar[bool] = False  # whether the information is X'X at any state

    # --- sizes ----------------------------------------------------------------------
    @property
    def _parts(self) -> int:
        """Return how many parts are fitted: all people, and those without each fold."""
        return self.plan.analysis.folds + 1

    @property
    def _lambdas(self) -> int:
        return len(self.plan.analysis.lambdas) or PATH

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        p, fits = self.plan.parameters, self._lambdas * self._parts
        return super().sizes() | {
            "cuts": max(self.plan.analysis.folds, 1),
            "fits": fits,
            "curves": self._parts if self.same_curve else fits,
            "held": self._lambdas * self.plan.analysis.folds,
            "exposed": p if self._has_exposure else 0,
            "params": fits * p,
        }

    @property
    def _has_exposure(self) -> bool:
        return False

    @property
    def _scale(self) -> float:
        """Return what the outcome was divided by."""
        return 1.0

    @property
    def _share(self) -> float:
        """Return the lasso's share of the penalty."""
        analysis = self.plan.analysis
        fixed = SHRINKING[analysis.penalty]
        return analysis.alpha if analysis.penalty == "elastic_net" else fixed

    # --- at a site ------------------------------------------------------------------
    @abstractmethod
    def _people(self, rows: Rows, linear: Floats) -> tuple[Floats, Floats, Floats]:
        """Return residuals, curvatures and losses, (n,) each, at X times beta."""

    def start(self, rows: Rows) -> Message:
        """Return X'X, X'y and, with an offset, X'T of each fold; T is the exposure."""
        X, w = rows.X, rows.weight
        sizes = self.sizes()
        cuts, p = sizes["cuts"], self.plan.parameters
        gram, cross = np.zeros((cuts, sizes["sym(p)"])), np.zeros((cuts, p))
        exposed = np.zeros((cuts, sizes["exposed"]))
        y, exposure = self._opening(rows)
        upper = np.triu_indices(p)
        for cut in range(cuts):
            mine = w * (rows.fold == cut) if len(rows.fold) else w
            gram[cut] = ((X.T * mine) @ X)[upper]
            cross[cut] = X.T @ (mine * y)
            if self._has_exposure:
                exposed[cut] = X.T @ (mine * exposure)
        return {"gram": gram, "cross": cross, "exposed": exposed, **self._counts(rows)}

    def _opening(self, rows: Rows) -> tuple[Floats, Floats]:
        """Return the outcome (n,) of the opening, and the exposure (n,) if any."""
        return rows.y, rows.weight

    def _counts(self, rows: Rows) -> Message:
        return {"cases": np.array([rows.y.sum()]), "n": np.array([float(rows.n)])}

    def local(self, rows: Rows, state: State) -> Message:
        """Return scores, information and losses of every fit at its own coefficients.

        `held` is the loss of those whom the fit has left out.
        """
        sizes, p, parts = self.sizes(), self.plan.parameters, self._parts
        score, loss = np.zeros((sizes["fits"], p)), np.zeros(sizes["fits"])
        info = np.zeros((sizes["curves"], sizes["sym(p)"]))
        held = np.zeros(sizes["held"])
        upper = np.triu_indices(p)
        for fit, beta in enumerate(self._betas(state)):
            row, part = divmod(fit, parts)
            residual, curve, losses = self._people(rows, rows.X @ beta)
            mine = self._kept(rows, part)
            score[fit] = rows.X.T @ (mine * residual)
            loss[fit] = mine @ losses
            if fit < sizes["curves"]:
                info[fit] = ((rows.X.T * (mine * curve)) @ rows.X)[upper]
            if part:
                held[row * (parts - 1) + part - 1] = (rows.weight - mine) @ losses
        sums = {"score": score, "info": info, "loss": loss, "held": held}
        return {**sums, **self._counts(rows)}

    def _kept(self, rows: Rows, part: int) -> Floats:
        """Return weights (n,), 0 of those whom a part leaves out."""
        return rows.weight * (rows.fold != part - 1) if part else rows.weight

    def _betas(self, state: State) -> Floats:
        sizes, beta = self.sizes(), state.get("beta")
        if beta is None or beta.shape != (sizes["params"],):
            raise WrongShape("the state does not hold the coefficients of every fit")
        return beta.reshape(sizes["fits"], self.plan.parameters)

    def weights(self, rows: Rows, state: State) -> Iterator[Floats] | None:
        """Return the working weights (n,) of each fit at a state, one by one."""
        if self.same_curve or not rows.n:
            return None
        return self._weights_of(rows, self._betas(state))

    def _weights_of(self, rows: Rows, betas: Floats) -> Iterator[Floats]:
        for fit, beta in enumerate(betas):
            part = fit % self._parts
            for curve in self._looked_at(rows, rows.X @ beta):
                yield curve * (rows.fold != part - 1) if part else curve
                for fold in range(self._parts - 1):  # told by what others leave out
                    yield curve * (rows.fold == fold)

    def _looked_at(self, rows: Rows, linear: Floats) -> Floats:
        """Return the weights (k, n) under which the gate looks at a fit."""
        return self._people(rows, linear)[1][None, :]

    # --- outside --------------------------------------------------------------------
    @abstractmethod
    def _null(self, gram: Floats, cross: Floats, exposed: Floats) -> Null:
        """Return the intercept alone, on each part."""

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the next state of all fits, or the finding.

        Raises:
            NotEstimable: a column is constant or, of a lasso, determined by others;
                an outcome has one value; or the rounds are used up.
        """
        check_weight(self.plan, float(total["n"][0]))
        if state is None:
            return self._opened(total)
        if round_number + 1 >= self.most_rounds:
            raise NotEstimable(
                f"no convergence within {self.most_rounds} rounds",
                fix="give larger lambdas, or leave fewer terms unpenalised",
            )
        p = self.plan.parameters
        beta, size, spread = self._betas(state), state["size"], state["spread"]
        spread = spread.reshape(self._parts, p)
        l1, l2 = self._penalties(state["lambdas"], size, spread)
        cost = total["loss"] + np.sum(l1 * np.abs(beta) + l2 * beta**2 / 2, axis=1)
        fallen = cost > state["cost"] + SAME * np.abs(cost)
        info = np.stack([unpacked(one, p) for one in total["info"]])
        info = np.tile(info, (len(beta) // len(info), 1, 1))
        found = minimise(
            info,
            np.einsum("fij,fj->fi", info, beta) + total["score"],
            l1,
            l2,
            beta,
        )
        step = found - beta
        reach = np.einsum("fi,fij,fj->f", step, info, step) + np.sum(
            l2 * step**2, axis=1
        )
        if not fallen.any() and reach.max() < SMALL_STEP**2:
            return self._finding(total, state, found, round_number)
        step = np.where(fallen[:, None], -state["step"].reshape(beta.shape) / 2, step)
        return {
            "beta": (beta + step).ravel(),
            # of a fit that goes back, the length that it has left; else the new one
            "step": np.where(fallen[:, None], -step, step).ravel(),
            "cost": np.where(fallen, state["cost"], cost),
            **{key: state[key] for key in ("lambdas", "size", "spread")},
        }

    def _opened(self, total: Message) -> State:
        """Return the first state: a step from the intercept alone on each part."""
        p, analysis = self.plan.parameters, self.plan.analysis
        gram = _parts_of(np.stack([unpacked(g, p) for g in total["gram"]]), analysis)
        cross = _parts_of(total["cross"], analysis)
        size = gram[:, 0, 0]
        if not size.min() > 0:
            raise NotEstimable(
                "there is no one to fit, or no one outside a fold",
                fix="take fewer folds, or check the population",
            )
        spread = self._spread(gram)
        null = self._null(gram, cross, _parts_of(total["exposed"], analysis))
        lambdas = np.array(analysis.lambdas)
        if not len(lambdas):
            lambdas = self._path(gram[0], null, float(size[0]), spread[0])
        l1, l2 = self._penalties(lambdas, size, spread)
        beta = np.zeros((self._parts, p))
        beta[:, 0] = null.level
        info = gram * null.curve[:, None, None]
        right = np.einsum("fij,fj->fi", info, beta) + null.score
        many = len(lambdas)
        beta = np.tile(beta, (many, 1))
        found = minimise(
            np.tile(info, (many, 1, 1)), np.tile(right, (many, 1)), l1, l2, beta
        )
        return {
            "beta": found.ravel(),
            "step": (found - beta).ravel(),
            "cost": np.full(len(found), np.finfo(np.float64).max),
            "lambdas": lambdas,
            "size": size,
            "spread": spread.ravel(),
        }

    def _spread(self, gram: Floats) -> Floats:
        """Return by how much the penalty counts each coefficient, (parts, p).

        Raises:
            NotEstimable: a column is constant or, of a lasso, determined by others.
        """
        names, size = self.plan.names, gram[:, 0, 0][:, None]
        square = np.einsum("fii->fi", gram) / size
        variance = square - (gram[:, 0, :] / size) ** 2
        flat = (variance <= FLAT * square)[:, 1:].any(axis=0)
        if flat.any():
            which = [n for n, is_flat in zip(names[1:], flat, strict=True) if is_flat]
            raise NotEstimable(
                "no one differs in the columns " + ", ".join(which),
                fix="leave the term out, merge levels, or tighten its public bounds",
            )
        if self._share == 1 or not all(self.plan.penalised[1:]):
            for part in gram:
                invert(part, names)
        spread = np.sqrt(np.maximum(variance, 0.0))
        if not self.plan.analysis.standardize:
            scales = [column.scale for column in self.plan.columns]
            spread = np.tile(1 / np.array(scales), (len(gram), 1))
        return np.asarray(spread * np.array(self.plan.penalised))

    def _path(self, gram: Floats, null: Null, size: float, spread: Floats) -> Floats:
        """Return falling strengths, from the least at which no penalised term is in.

        What the unpenalised terms explain is taken out as a linear model would.
        """
        free = ~np.array(self.plan.penalised)
        score = null.score[0].copy()
        corner = gram[free][:, free]
        score -= gram[:, free] @ np.linalg.solve(corner, score[free])
        pull = np.abs(score[~free]) / spread[~free]
        strongest = float(pull.max(initial=0.0)) * self._scale
        strongest /= size * max(self._share, RIDGE)
        if not strongest > 0:
            raise NotEstimable(
                "no penalised term has anything to say",
                fix="name a term that is penalised, or give lambdas",
            )
        return strongest * (1 + 1e-9) * np.geomspace(1.0, WEAKEST, PATH)

    def _penalties(
        self, lambdas: Floats, size: Floats, spread: Floats
    ) -> tuple[Floats, Floats]:
        """Return l1 and l2 of every fit's coefficients, (fits, p)."""
        strength = lambdas[:, None, None] * (size[:, None] * spread)
        l1 = strength * self._share / self._scale
        l2 = strength * (1 - self._share) * spread
        p = self.plan.parameters
        return l1.reshape(-1, p), l2.reshape(-1, p)

    def _finding(
        self, total: Message, state: State, beta: Floats, round_number: int
    ) -> Finding:
        plan, analysis, folds = self.plan, self.plan.analysis, self.plan.analysis.folds
        betas = beta.reshape(self._lambdas, self._parts, plan.parameters)[:, 0]
        estimates = betas @ plan.to_units().T * self._scale
        if plan.method.outcome == "number":
            estimates[:, 0] += plan.outcome_scale[0]
        held = total["held"].reshape(self._lambdas, folds) * 2 * self._scale**2
        outside = state["size"][0] - state["size"][1:]
        found: Path = chosen_path(state["lambdas"], held, outside, analysis.select)
        place = found.place
        terms = [
            {"name": name, "estimate": float(estimates[place, i])}
            | dict.fromkeys(("se", "z", "p", "lower", "upper"))
            for i, name in enumerate(plan.names)
        ]
        payload: dict[str, Any] = {
            "model": analysis.method,
            "terms": terms,
            "loglik": None,
            "rounds": round_number + 1,
            "converged": True,
            "penalty": analysis.penalty,
            "alpha": self._share,
            "lambda": float(state["lambdas"][place]),
            **found.said,
            "folds": folds,
            "path": [
                {
                    "lambda": float(state["lambdas"][i]),
                    "coefficients": estimates[i].tolist(),
                    **found.curve[i],
                }
                for i in range(self._lambdas)
            ],
            "spread": self._units(state["spread"][: plan.parameters]),
            "n": round(float(total["n"][0])),
            "events": self._events(total),
        }
        if analysis.weights:
            payload["weights"] = analysis.weights
        return Finding(analysis.name, self.name, payload)

    def _units(self, spread: Floats) -> list[float]:
        """Return by how much the penalty counts coefficients in their own units."""
        scales = np.array([column.scale for column in self.plan.columns])
        return [float(one) for one in spread * scales]

    def _events(self, total: Message) -> int | None:
        return round(float(total["cases"][0]))


def _parts_of(sums: Floats, analysis: Any) -> Floats:
    """Return the sums of all, and without each fold, from those of the folds."""
    everyone = sums.sum(axis=0)
    return np.stack([everyone, *(everyone - s for s in sums if analysis.folds)])
