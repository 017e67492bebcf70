"""NVFLARE's simulator with its own recipe for logistic regression, or a job of counts.

    python nvflare_job.py logistic DATA SITES WORK OUT ROUNDS DAMPING WEIGHT
    python nvflare_job.py km DATA SITES WORK OUT THREADS

The controller of `logistic` is the one in NVFLARE's wheel (`FedAvgLrRecipe`). NVFLARE's
example clients are not in the wheel, so what a client works out is written anew here
(`nvflare_client.py`), from the recipe's documentation: gradient and Hessian. `km` has
no controller in the wheel: `nvflare_counts.py` adds histograms up, as the example's
does.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from nvflare import FedJob
from nvflare.app_common.np.recipes.lr.fedavg import FedAvgLrRecipe
from nvflare.job_config.script_runner import ScriptRunner
from nvflare.recipe import SimEnv
from nvflare.recipe.spec import Recipe

FEATURES = 6


class Counts(Recipe):
    """The job of histograms."""

    def __init__(self, data, sites, out):
        from nvflare_counts import Histograms

        job = FedJob(name="km", min_clients=sites)
        job.to_server(Histograms(out=out))
        runner = ScriptRunner(
            script="nvflare_client.py", script_args=f"km {data}", framework="raw"
        )
        job.to_clients(runner, tasks=["train"])
        super().__init__(job)


def logistic(data, sites, work, out, *words):
    """Run the recipe and keep the weights that its server saved."""
    rounds, damping, weight = words
    recipe = FedAvgLrRecipe(
        min_clients=int(sites),
        num_rounds=int(rounds),
        damping_factor=float(damping),
        num_features=FEATURES,
        train_script="nvflare_client.py",
        train_args=f"logistic {data} {weight}",
    )
    recipe.execute(
        SimEnv(num_clients=int(sites), num_threads=int(sites), workspace_root=work)
    )
    saved = sorted(Path(work).rglob("weights.npy"), key=lambda p: p.stat().st_mtime)
    found = {"estimate": np.load(saved[-1]).ravel().tolist(), "rounds": int(rounds)}
    Path(out).write_text(json.dumps(found))


def km(data, sites, work, out, threads):
    """Run the job of histograms; the server itself keeps the sums."""
    recipe = Counts(data, int(sites), out)
    recipe.execute(
        SimEnv(num_clients=int(sites), num_threads=int(threads), workspace_root=work)
    )


if __name__ == "__main__":
    print("JOB", time.time(), flush=True)
    {"logistic": logistic, "km": km}[sys.argv[1]](*sys.argv[2:])
