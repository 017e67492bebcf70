"""A certified network, for PyTorch: what goes in stays in its own units."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hetao.analysis.design import INTERCEPT
from hetao.errors import Usage

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float64]


def layers_of(body: Mapping[str, Any]) -> list[tuple[Floats, Floats]]:
    """Return each layer's weight (units, inputs) and bias (units,), as torch has them.

    The study's standardisation is in them: the first layer takes the columns of the
    design as they are, in the order of `body["inputs"]` without the intercept, and the
    last gives the logit of a binary outcome, or a number in its own unit.

    Raises:
        Usage: the finding is none of a network.
    """
    if "inputs" not in body or "weights" not in body:
        raise Usage(f"a {body.get('model')} finding has no network")
    first, *others = (np.asarray(one, dtype=np.float64) for one in body["weights"])
    names = [str(one["name"]) for one in body["inputs"]]
    centre, scale = (
        np.array([float(one[key]) for one in body["inputs"]])
        for key in ("centre", "scale")
    )
    slopes = first / scale[:, None]
    is_slope = np.array([name != INTERCEPT for name in names])
    bias = first[~is_slope].sum(axis=0) - (slopes * centre[:, None])[is_slope].sum(0)
    found = [(slopes[is_slope].T, bias), *((one[1:].T, one[0]) for one in others)]
    if "output" in body:
        weight, bias = found[-1]
        stretch, middle = (float(body["output"][key]) for key in ("scale", "centre"))
        found[-1] = (weight * stretch, bias * stretch + middle)
    return found


def module_of(body: Mapping[str, Any]) -> "torch.nn.Sequential":
    """Return the network as a module of torch, in double precision.

    Raises:
        Usage: as `layers_of`; or the extra `hetao[torch]` is not installed.
    """
    layers = layers_of(body)
    try:
        import torch
    except ImportError as problem:
        raise Usage(
            "a network becomes a module of torch where torch is there",
            fix='pip install "hetao[torch]"',
        ) from problem
    kinds = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}
    parts: list[torch.nn.Module] = []
    for place, (weight, bias) in enumerate(layers):
        if place:
            parts.append(kinds[str(body["activation"])]())
        units, inputs = weight.shape
        linear = torch.nn.Linear(inputs, units, dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(weight.tolist(), dtype=torch.float64))
            linear.bias.copy_(torch.tensor(bias.tolist(), dtype=torch.float64))
        parts.append(linear)
    return torch.nn.Sequential(*parts)
