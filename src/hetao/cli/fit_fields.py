"""The fields of an analysis that `hetao fit` takes: options for the usual ones.

Whatever a method reads besides can be said with `--set`, so that none is out of reach.
"""

import argparse
import tomllib
from typing import Any, Final

from hetao.errors import Usage

OF: Final = "field "  # begins the place of each field among the words of a command


def numbers(text: str) -> list[float]:
    """Return numbers written with commas between them."""
    return [float(part) for part in text.split(",")]


def words(text: str) -> list[str]:
    """Return words written with commas between them."""
    return [part.strip() for part in text.split(",") if part.strip()]


# By the field's name, so that `--conf-type` stands here as conf_type.
FIELDS: Final[dict[str, dict[str, Any]]] = {
    "strata": {"type": words, "metavar": "site", "help": "of cox, logrank, rates"},
    "ties": {"choices": ("efron", "breslow"), "help": "of a cox model"},
    "weights": {"metavar": "COLUMN", "help": "by which people count"},
    "variance": {"choices": ("model", "robust")},
    "penalty": {
        "choices": ("firth", "ridge", "lasso", "elastic_net"),
        "help": "firth of a logistic model; the others of logistic, linear and poisson",
    },
    "alpha": {
        "type": float,
        "metavar": "SHARE",
        "help": "the lasso's share of an elastic net",
    },
    "lambdas": {
        "type": numbers,
        "metavar": "X,Y",
        "help": "strengths to choose among, falling",
    },
    "folds": {
        "type": int,
        "metavar": "COUNT",
        "help": "of the cross-validation that chooses",
    },
    "seed": {"type": int, "metavar": "NUMBER", "help": "public, of the folds"},
    "select": {"choices": ("lambda.1se", "lambda.min")},
    "unpenalised": {
        "type": words,
        "metavar": "TERM,TERM",
        "help": "terms that the penalty leaves alone",
    },
    "zph": {"choices": ("identity", "log"), "help": "proportional hazards, of cox"},
    "rho": {
        "type": float,
        "metavar": "POWER",
        "help": "of logrank: Fleming-Harrington",
    },
    "horizon": {
        "type": float,
        "metavar": "TIME",
        "help": "of km: restricted mean up to it",
    },
    "conf_type": {"choices": ("log", "log-log", "plain"), "help": "of km's limits"},
    "person": {
        "metavar": "COLUMN",
        "help": "whose a row is, where some have several",
    },
    "matched": {"metavar": "COLUMN", "help": "of clogit: the matched set of a row"},
    "likelihood": {
        "choices": ("exact", "efron", "breslow"),
        "help": "of clogit and case_crossover",
    },
    "estimand": {
        "choices": ("ATE", "ATT", "ATO"),
        "help": "of `y ~ treatment | terms`: whose effect",
    },
    "truncation": {
        "type": float,
        "metavar": "SCORE",
        "help": "scores nearer to 0 or 1 weigh as if there",
    },
    "overlap_bins": {
        "type": int,
        "metavar": "BINS",
        "help": "of the score's histogram",
    },
    "family": {
        "choices": ("binomial", "poisson"),
        "help": "of glmm; poisson of effects",
    },
    "ratio": {"type": int, "metavar": "K", "help": "others matched to each treated"},
    "caliper": {
        "type": float,
        "metavar": "WIDTH",
        "help": "farthest score of a match",
    },
    "nAGQ": {"type": int, "metavar": "POINTS", "help": "of glmm's quadrature"},
    "effect": {"metavar": "COLUMN", "help": "of profile, such as arm[new]"},
}
# Whose option is no field's own name, as `--of` beside the model of the command.
NAMED: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "model": ("--of", {"metavar": "MODEL", "help": "of meta: what each site fits"}),
    "show_sites": (
        "--show-sites",
        {"action": "store_true", "help": "of meta: each site's own estimates"},
    ),
    "REML": (
        "--ml",
        {"action": "store_const", "const": False, "help": "of lmm: not by REML"},
    ),
}


def add_fields(fit: argparse.ArgumentParser) -> None:
    """Add an option for each usual field, and `--set` for any other one."""
    for name, how in FIELDS.items():
        fit.add_argument(f"--{name.replace('_', '-')}", dest=OF + name, **how)
    for name, (option, how) in NAMED.items():
        fit.add_argument(option, dest=OF + name, **how)
    fit.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="any other field, as a study has it: grid={step=30,end=900}; repeated",
    )


def fields_of(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return what a command says of an analysis, by field.

    Raises:
        Usage: a field is said twice, or is none.
    """
    said = {
        name.removeprefix(OF): value
        for name, value in vars(chosen).items()
        if name.startswith(OF) and value is not None
    }
    for text in chosen.set:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name.isidentifier():
            raise Usage(f"--set {text[:60]!r} is not FIELD=VALUE")
        if said.get(name):
            raise Usage(f"{name} is said twice")
        said[name] = _value(value.strip())
        if name == "strata" and isinstance(said[name], str):
            said[name] = words(said[name])
    return said


def _value(text: str) -> Any:
    """Return a value as TOML writes it; plain words need no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # also of thousands of digits, or brackets
        return text
