"""What an NVFLARE client works out each round: a Newton step's sums, or counts."""

import sys

import numpy as np
import nvflare.client as flare
from nvflare.apis.fl_constant import FLMetaKey
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.np.constants import NPConstants

LAST_MONTH = 44


def newton_sums(y, x, theta):
    """Return the score and the information of a logistic likelihood at `theta`."""
    chance = 1 / (1 + np.exp(-x @ theta))
    return {
        "gradient": x.T @ (y - chance),
        "hessian": (x * (chance * (1 - chance))).T @ x,
    }


def logistic(rows, weight):
    """Return the answer to one round."""
    y, x = rows[:, :1], rows[:, 1:].copy()
    x = np.hstack([np.ones((len(x), 1)), x])
    says = len(x) if weight == "rows" else 1

    def answer(asked):
        sums = newton_sums(y, x, asked.params[NPConstants.NUMPY_KEY])
        meta = {FLMetaKey.NUM_STEPS_CURRENT_ROUND: says}
        return FLModel(params=sums, params_type=ParamsType.FULL, meta=meta)

    return answer


def km(rows):
    """Return the answer to one round: events and leavers by month."""
    time, event = rows[:, 0].astype(int), rows[:, 1].astype(int)
    counts = {
        "events": np.bincount(time, event, LAST_MONTH + 1),
        "leavers": np.bincount(time, minlength=LAST_MONTH + 1).astype(float),
    }

    def answer(asked):
        first = asked.current_round == 1
        return FLModel(params=counts if first else {}, params_type=ParamsType.FULL)

    return answer


def main(what, data, *words):
    """Answer every round until the server says that it is over."""
    flare.init()
    path = f"{data}/{flare.get_site_name()}.csv"
    rows = np.loadtxt(path, delimiter=",", skiprows=1)
    answer = {"logistic": logistic, "km": km}[what](rows, *words)
    while flare.is_running():
        asked = flare.receive()
        if asked is None:
            break
        flare.send(answer(asked))


if __name__ == "__main__":
    main(*sys.argv[1:])
