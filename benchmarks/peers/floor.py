"""The same pooled fits by statsmodels.

python floor.py TASK ROWS OUT
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.api as sm
from statsmodels.duration.survfunc import SurvfuncRight

DISEASES = ("diabetes", "hypert", "other", "renal")


def logistic(rows):
    """Return a logistic fit."""
    x = sm.add_constant(rows.drop(columns=["hospital", "disease"]).to_numpy())
    model = sm.Logit(rows["disease"].to_numpy(), x)
    return terms(model.fit(method="newton", tol=1e-12, disp=False))


def cox(rows, strata=True):
    """Return a Cox fit, Efron's ties."""
    columns = [rows["num_age"], rows["num_begin"]]
    columns += [rows["fac_disease"] == name for name in DISEASES]
    x = np.column_stack(columns).astype(float)
    places = rows["center"].to_numpy() if strata else None
    model = sm.PHReg(rows["time"], x, status=rows["event"], ties="efron", strata=places)
    return terms(model.fit(disp=False))


def cox_whole(rows):
    """Return a Cox fit of one stratum."""
    return cox(rows, strata=False)


def km(rows):
    """Return a curve."""
    curve = SurvfuncRight(rows["time"], rows["event"])
    return {
        "time": np.asarray(curve.surv_times).tolist(),
        "survival": np.asarray(curve.surv_prob).tolist(),
    }


def terms(fit):
    """Return what a fit found."""
    return {"estimate": np.asarray(fit.params).tolist()}


def main(task, path, out):
    """Fit and keep."""
    rows = pd.read_csv(path)
    work = {"logistic": logistic, "cox": cox, "cox-whole": cox_whole, "km": km}[task]
    wall, processor = time.perf_counter(), time.process_time()
    found = work(rows)
    found["seconds"] = time.perf_counter() - wall
    found["processor"] = time.process_time() - processor
    found["rounds"] = 0
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
