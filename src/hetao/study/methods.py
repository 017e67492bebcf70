"""The methods of analysis: what each asks of a study, in one table.

Whoever reads, plans, checks or shows an analysis asks this table what its method uses.
A further method is one more entry here and one estimator in `hetao.analysis`.
"""

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True)
class Method:
    """What an analysis of one method must and may say.

    Attributes:
        title: what a report calls it.
        needs: fields of `Analysis` that must be given.
        may: further fields that mean something; any other one is refused.
        outcome: what the field `outcome` is: "binary" (a category of two levels, the
            event second), "number", "count", "positive" (a number above 0) or "mean" (a
            category of two levels or a number); "" where
            there is none.
        is_model: whether its terms make a design.
        has_times: whether it follows people up to an event; `time` is a number and
            `event` a category of two levels.
        is_test: whether it tests the groups of `by` for a difference.
        ratio: what e to the power of a coefficient is, such as "odds ratio"; "" where
            coefficients are differences.
        in_formula: whether a formula alone says all that it needs.
        has_rates: whether it counts events over `time`, the time that a person was
            followed; they are `event`, a category of two levels, or `outcome`, a count.
        fits: of an effect, the regressions behind it: the propensity "score", and the
            outcome among the "untreated" and the "treated".
        estimands: of an effect, for whom it can be found; of a model, for whom the
            weights by a propensity score can make it speak.
        is_conditional: whether its likelihood compares rows within sets alone, which
            `matched` names, or `person` where that is not given.
    """

    title: str
    needs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    outcome: str = ""
    is_model: bool = False
    has_times: bool = False
    is_test: bool = False
    ratio: str = ""
    in_formula: bool = False
    has_rates: bool = False
    fits: tuple[str, ...] = ()
    estimands: tuple[str, ...] = ()
    is_conditional: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        """Return every field that means something."""
        return self.needs + self.may


REGRESSION: Final = ("outcome", "terms")
WEIGHTED: Final = ("offset", "weights", "variance")
LONG: Final = ("person", "most_rows")  # where a person may have several rows
SCORED: Final = (
    *("treatment", "score", "estimand", "truncation", "overlap_bins"),
    *("ratio", "caliper"),
)
WEIGHED: Final = (  # curves and tests by weights, or by a score
    *("weights", "treatment", "score", "estimand", "truncation", "overlap_bins"),
)
SHRUNK: Final = (
    *("penalty", "alpha", "lambdas", "folds", "seed", "select", "standardize"),
    "unpenalised",
)

SCREENED: Final = ("logistic", "poisson", "negative_binomial", "cox")
POOLED: Final = ("logistic", "linear", "poisson", "negative_binomial", "gamma", "cox")
PROFILED: Final = ("logistic", "poisson", "cox")
EFFECT: Final = ("outcome", "treatment", "terms")
ESTIMANDS: Final = ("ATE", "ATT", "ATO")
# Of a generalised model: family → what the outcome is, and e to a coefficient.
FAMILIES: Final = {
    "binomial": ("binary", "odds ratio"),
    "poisson": ("count", "rate ratio"),
}

METHODS: Final[dict[str, Method]] = {
    "counts": Method("Who was counted"),
    "table1": Method("Who they were", ("variables",), ("by",), in_formula=True),
    "logistic": Method(
        "Logistic regression",
        REGRESSION,
        (*WEIGHTED, *LONG, *SCORED, *SHRUNK),
        outcome="binary",
        estimands=ESTIMANDS,
        is_model=True,
        ratio="odds ratio",
        in_formula=True,
    ),
    "linear": Method(
        "Linear regression",
        REGRESSION,
        (*WEIGHTED, *SCORED, *SHRUNK),
        outcome="number",
        estimands=ESTIMANDS,
        is_model=True,
        in_formula=True,
    ),
    "poisson": Method(
        "Poisson regression",
        REGRESSION,
        (*WEIGHTED, *LONG, *SCORED, *SHRUNK),
        outcome="count",
        estimands=ESTIMANDS,
        is_model=True,
        ratio="rate ratio",
        in_formula=True,
    ),
    "negative_binomial": Method(
        "Negative binomial regression",
        REGRESSION,
        WEIGHTED,
        outcome="count",
        is_model=True,
        ratio="rate ratio",
        in_formula=True,
    ),
    "gamma": Method(
        "Gamma regression",
        REGRESSION,
        WEIGHTED,
        outcome="positive",
        is_model=True,
        ratio="mean ratio",
        in_formula=True,
    ),
    "cox": Method(
        "Cox regression",
        ("time", "event", "terms"),
        (
            *WEIGHTED,
            *LONG,
            "start",
            "strata",
            "ties",
            "grid",
            "zph",
            "baseline",
            *SCORED,
            "subclasses",
        ),
        is_model=True,
        estimands=ESTIMANDS,
        has_times=True,
        ratio="hazard ratio",
        in_formula=True,
    ),
    "clogit": Method(
        "Conditional logistic regression",
        (*REGRESSION, "matched"),
        (*LONG, "offset", "strata", "likelihood"),
        outcome="binary",
        is_model=True,
        ratio="odds ratio",
        in_formula=True,
        is_conditional=True,
    ),
    "case_crossover": Method(
        "Case-crossover analysis",
        (*REGRESSION, *LONG),
        ("matched", "offset", "strata", "likelihood"),
        outcome="binary",
        is_model=True,
        ratio="odds ratio",
        in_formula=True,
        is_conditional=True,
    ),
    "sccs": Method(
        "Self-controlled case series",
        (*REGRESSION, *LONG),
        ("offset", "strata"),
        outcome="count",
        is_model=True,
        ratio="rate ratio",
        in_formula=True,
        is_conditional=True,
    ),
    "ipw": Method(
        "Effect by propensity score weighting",
        EFFECT,
        ("estimand", "truncation", "overlap_bins", "family", "offset"),
        outcome="mean",
        is_model=True,
        fits=("score",),
        in_formula=True,
        estimands=ESTIMANDS,
    ),
    "g_computation": Method(
        "Effect by standardisation",
        EFFECT,
        ("estimand", "family", "offset"),
        outcome="mean",
        is_model=True,
        fits=("untreated", "treated"),
        in_formula=True,
        estimands=("ATE", "ATT"),
    ),
    "aipw": Method(
        "Doubly robust effect",
        EFFECT,
        ("estimand", "truncation", "overlap_bins", "family", "offset"),
        outcome="mean",
        is_model=True,
        fits=("score", "untreated", "treated"),
        in_formula=True,
        estimands=("ATE", "ATT"),
    ),
    "ps_strata": Method(
        "Effect by strata of the propensity score",
        EFFECT,
        ("estimand", "subclasses"),
        outcome="mean",
        is_model=True,
        fits=("score",),
        estimands=("ATE", "ATT"),
        in_formula=True,
    ),
    "km": Method(
        "Kaplan-Meier curves",
        ("time", "event", "grid"),
        ("start", "by", "horizon", "conf_type", *WEIGHED),
        estimands=ESTIMANDS,
        has_times=True,
        in_formula=True,
    ),
    "logrank": Method(
        "Log-rank test",
        ("time", "event", "by", "strata"),
        ("start", "rho", *WEIGHED),
        estimands=ESTIMANDS,
        has_times=True,
        is_test=True,
        in_formula=True,
    ),
    "lmm": Method(
        "Linear mixed model, a random intercept for each site",
        REGRESSION,
        ("offset", "weights", "REML"),
        outcome="number",
        is_model=True,
        in_formula=True,
    ),
    "glmm": Method(
        "Generalised linear mixed model, a random intercept for each site",
        (*REGRESSION, "family"),
        ("offset", "weights", "nAGQ"),
        is_model=True,
        in_formula=True,
    ),
    "meta": Method(
        "Meta-analysis",
        ("model",),
        (
            *REGRESSION,
            *WEIGHTED,
            *LONG,
            "time",
            "event",
            "start",
            "strata",
            "ties",
            "show_sites",
        ),
        is_model=True,
        in_formula=True,
    ),
    "performance": Method(
        "Performance of a prediction",
        REGRESSION,
        ("coefficients", "link", "validation", "thresholds", "groups"),
        outcome="binary",
        is_model=True,
        in_formula=True,
    ),
    "boosted_trees": Method(
        "Gradient-boosted trees",
        REGRESSION,
        ("boosting", "thresholds", "groups"),
        outcome="mean",
        is_model=True,
        in_formula=True,
    ),
    "neural_network": Method(
        "Neural network",
        (*REGRESSION, "network"),
        ("thresholds", "groups"),
        outcome="mean",
        is_model=True,
        in_formula=True,
    ),
    "indicators": Method(
        "Indicator over time",
        ("outcome", "by"),
        LONG,
        outcome="mean",
        in_formula=True,
    ),
    "profile": Method(
        "Meta-analysis by likelihood profiles",
        ("model", "effect"),
        (
            *REGRESSION,
            *("offset", "weights", "time", "event", "strata", "ties", "show_sites"),
        ),
        is_model=True,
        in_formula=True,
    ),
    "quantiles": Method(
        "Medians and quartiles", ("variables",), ("by",), in_formula=True
    ),
    "rates": Method(
        "Incidence rates",
        ("time",),
        ("event", "outcome", "by", "strata", "standard"),
        in_formula=True,
        has_rates=True,
    ),
    "screen": Method(
        "Screen of exposures and outcomes",
        ("model", "exposures", "outcomes"),
        ("times", "controls", "terms", "strata", "ties", *WEIGHTED),
        in_formula=True,
    ),
}


def method_of(name: str, family: str = "") -> Method:
    """Return a method as an analysis uses it: the outcome is its family's.

    Args:
        name: of the method.
        family: of FAMILIES; "" where the method has none.
    """
    method = METHODS[name]
    if family not in FAMILIES or "family" not in method.fields:
        return method
    outcome, ratio = FAMILIES[family]
    return replace(method, outcome=outcome, ratio=ratio)
