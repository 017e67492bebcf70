"""The path of a penalty: what cross-validation says of each strength, and choice."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hetao.analysis.expressions import Floats

Outside = dict[str, float | None]


@dataclass(frozen=True)
class Path:
    """A path with its choice.

    Attributes:
        place: of the strength that is the answer.
        said: `lambda_min` and `lambda_1se`, both None without folds, and `select`.
        curve: of each strength its mean deviance outside the folds and that mean's
            standard error, both None without folds.
    """

    place: int
    said: dict[str, Any]
    curve: tuple[Outside, ...]


def chosen_path(lambdas: Floats, held: Floats, outside: Floats, select: str) -> Path:
    """Return what glmnet's `cv.glmnet` would make of these deviances.

    Args:
        lambdas: (l,) falling.
        held: (l, folds) deviance of the people whom each fit has left out.
        outside: (folds,) their weight.
        select: "lambda.1se", the strongest within one standard error of the best, or
            "lambda.min", the best.
    """
    if not len(outside):
        said: dict[str, Any] = dict.fromkeys(("lambda_min", "lambda_1se", "select"))
        none: Outside = {"deviance": None, "deviance_se": None}
        return Path(0, said, (none,) * len(lambdas))
    share = outside / outside.sum()
    means = held / outside
    deviance = means @ share
    spread = ((means - deviance[:, None]) ** 2) @ share
    error = np.sqrt(spread / (len(outside) - 1))
    best = int(np.argmin(deviance))
    near = int(np.argmax(deviance <= deviance[best] + error[best]))
    curve: tuple[Outside, ...] = tuple(
        {"deviance": float(d), "deviance_se": float(e)}
        for d, e in zip(deviance, error, strict=True)
    )
    said = {
        "lambda_min": float(lambdas[best]),
        "lambda_1se": float(lambdas[near]),
        "select": select,
    }
    return Path(near if select == "lambda.1se" else best, said, curve)
