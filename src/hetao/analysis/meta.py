"""Meta-analysis: each site fits the model by itself; the estimates are pooled."""

from dataclasses import replace
from typing import Any, Final

import numpy as np

from hetao.analysis.cox import Cox
from hetao.analysis.estimator import Estimator, Message, OneRound, State, estimator
from hetao.analysis.expressions import Floats
from hetao.analysis.finding import Finding
from hetao.analysis.gamma import Gamma
from hetao.analysis.linear import Linear
from hetao.analysis.logistic import Logistic
from hetao.analysis.negative_binomial import NegativeBinomial
from hetao.analysis.plan import Plan
from hetao.analysis.poisson import Poisson
from hetao.analysis.pooling import pooled
from hetao.analysis.rows import Rows
from hetao.errors import NotEstimable

ALONE: Final[dict[str, type[Estimator]]] = {
    one.name: one for one in (Logistic, Linear, Poisson, NegativeBinomial, Gamma, Cox)
}
MOST = 1e6  # of a coefficient or its error, per half of a column's public range


@estimator(
    name="meta",
    sums={
        "estimate": "sites,p",
        "se": "sites,p",
        "given": "sites",
        "events": 1,
        "n": 1,
    },
    most_rounds=1,
    publishable=True,
)
class Meta(OneRound):
    """Fixed and random effects over the sites' own estimates of one model.

    Every site has a place of its own in the sum, so that the sum tells each site's
    estimates and errors apart. A site whose model has no estimate leaves its place
    empty, and the finding says how many did.

    What guards it: the counts, parameters and leverage that any model needs (rule 8),
    at each site; and its grade, 3, which permit and policy must both allow, however
    many sites there are. By site nothing is shown to people unless the study asks.

    Source:
        Oracle: `tests/oracles/test_meta.py`, published and R's `metafor`.
    """

    own_parts = True
    relies_on = (
        "hetao.analysis.pooling",
        "hetao.analysis.newton",
        *(one.__module__ for one in ALONE.values()),
    )

    def __init__(self, plan: Plan) -> None:
        """Fit the estimator to a plan."""
        inner = replace(plan, analysis=plan.analysis.alone)
        self._model = ALONE[inner.analysis.method](inner)
        super().__init__(plan)

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        return super().sizes() | {"sites": len(self.plan.sites)}

    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return the bounds: a site with people beyond them leaves its place empty."""
        del round_number
        return {
            "estimate": (MOST, None),
            "se": (MOST, 0.0),
            "given": (1.0, 0.0),
            "events": (max(1.0, self.plan.outcome[1]), 0.0),
            "n": (1.0, 0.0),
        }

    def start(self, rows: Rows) -> Message:
        """Return the site's own estimates and errors, in its own place."""
        sites = self.plan.sites
        message = {
            "estimate": np.zeros((len(sites), self.plan.parameters)),
            "se": np.zeros((len(sites), self.plan.parameters)),
            "given": np.zeros(len(sites)),
            "events": np.zeros(1),
            "n": np.zeros(1),
        }
        found = self._fit(rows)
        if found is None:
            return message
        place = sites.index(rows.site)
        scales = self._scales()
        estimate, se = (
            np.array([term[key] for term in found["terms"]]) * scales
            for key in ("estimate", "se")
        )
        if max(np.abs(estimate).max(), se.max()) > MOST or not se.min() > 0:
            return message
        message["estimate"][place], message["se"][place] = estimate, se
        message["given"][place] = 1.0
        message["events"][0] = float(found["events"] or 0)
        message["n"][0] = float(rows.people)
        return message

    def _fit(self, rows: Rows) -> dict[str, Any] | None:
        """Return what the model finds at one site; None if it finds nothing."""
        if not rows.n:
            return None
        model, state = self._model, None
        try:
            for number in range(model.most_rounds):
                sums = model.local(rows, state) if state else model.start(rows)
                answer = model.step(sums, state, number)
                if isinstance(answer, Finding):
                    return answer.as_json()
                state = answer
        except NotEstimable:
            return None
        return None

    def _scales(self) -> Floats:
        """Return what brings coefficients to halves of the public ranges."""
        scales = np.array([column.scale for column in self.plan.columns])
        is_number = self.plan.method.outcome == "number"
        return scales / (self.plan.outcome_scale[1] if is_number else 1.0)

    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the finding.

        Raises:
            NotEstimable: no site has an estimate.
        """
        del state, round_number
        given = total["given"] > 0.5
        if not given.any():
            raise NotEstimable(
                "the model has an estimate at no site",
                fix="leave out terms, merge rare levels, or fit one model over all",
            )
        scales = self._scales()
        estimates, errors = total["estimate"][given], total["se"][given]
        places = [
            site for site, is_in in zip(self.plan.sites, given, strict=True) if is_in
        ]
        payload = {
            "model": "meta",
            "of": self.plan.analysis.model,
            "terms": [
                _term(name, estimates[:, i] / scales[i], errors[:, i] / scales[i])
                for i, name in enumerate(self.plan.names)
            ],
            "show_sites": self.plan.analysis.show_sites,
            "sites": [
                {
                    "site": site,
                    "estimate": (estimates[i] / scales).tolist(),
                    "se": (errors[i] / scales).tolist(),
                }
                for i, site in enumerate(places)
            ],
            "pooled_sites": len(places),
            "n": round(float(total["n"][0])),
            "events": round(float(total["events"][0])) if self._has_events() else None,
        }
        return Finding(self.plan.analysis.name, self.name, payload)

    def _has_events(self) -> bool:
        return self.plan.method.has_times or self.plan.method.outcome == "binary"


def _term(name: str, estimates: Floats, errors: Floats) -> dict[str, Any]:
    """Return a term: its main limits, REML's with HKSJ's, or the one site's own."""
    found = pooled(estimates, errors)
    best = found["methods"][-1]
    main = best | (best["hksj"] or {})
    keys = ("estimate", "se", "p", "lower", "upper")
    return {"name": name, **{key: main[key] for key in keys}, **found}
