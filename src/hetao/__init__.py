"""Hetao: hospitals answer one question together; no patient row leaves any of them.

This file imports nothing, so that the verifier loads nothing but the verifier.
`hetao.fit`, `hetao.Cohort`, `hetao.testing` and one function a model, such as
`hetao.cox`, are looked up when they are first used.
"""

__version__ = "0.1.0"
# The models that a formula can ask for, as `hetao.study.methods` has them: named here
# too, as an import of a submodule asks for an attribute of its name first.
MODELS = (
    "table1",
    "logistic",
    "linear",
    "poisson",
    "negative_binomial",
    "gamma",
    "cox",
    "clogit",
    "case_crossover",
    "sccs",
    "ipw",
    "g_computation",
    "aipw",
    "ps_strata",
    "km",
    "logrank",
    "lmm",
    "glmm",
    "meta",
    "performance",
    "boosted_trees",
    "neural_network",
    "indicators",
    "profile",
    "quantiles",
    "rates",
    "screen",
)
__all__ = ["Cohort", "__version__", "fit"]


def __getattr__(name: str) -> object:
    """Return a public name, importing the module that holds it on first use.

    Each model that a formula can ask for has a function of its own:
    `hetao.cox("Surv(time, event) ~ age", sites)` is `hetao.fit("cox", …)`.
    """
    if name == "testing":
        import hetao.testing

        return hetao.testing
    if name == "Cohort":
        from hetao.notebook.cohort import Cohort

        return Cohort
    if name == "fit":
        from hetao.notebook.fitting import fit

        return fit
    if name in MODELS:
        from functools import partial

        from hetao.notebook.fitting import fit

        return partial(fit, name)
    raise AttributeError(f"module 'hetao' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, for who looks around."""
    return sorted([*__all__, *MODELS])
