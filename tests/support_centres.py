"""Data of real centres that packages carry, and R on their pooled rows."""

import importlib.util
import io
import pickle
import subprocess
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from hetao.analysis import oracle
from hetao.canonical import parse_canonical
from hetao.notebook.drafting import draft_study
from hetao.notebook.parts import split_parts
from hetao.release import Policy
from hetao.study import Minimum, study_from
from support_exactness import note, sent

# The smallest centre has four patients: a policy for a lesson on public data.
OPEN = Policy(
    Minimum(people=1, cell=1, events=1, share=10.0, leverage=1.0, sites=1),
    reason="public research data",
)


def carried(package, inside):
    """Return the path of a file inside an installed package, not imported."""
    spec = importlib.util.find_spec(package)
    assert spec, f"{package} is not installed: run `make test`, which installs it"
    return Path(spec.origin).parent / inside


def unpickled(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # an old numpy's path
        return pickle.loads(data)  # noqa: S301 - pinned by hash, in a test


def in_r(script, frame, folder, header="infer", **words):
    path = folder / "rows.csv"
    frame.to_csv(path, index=False)
    text = script.format(path=path, **words)
    done = subprocess.run(
        ["Rscript", "-e", text], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return pd.read_csv(io.StringIO(done.stdout), header=header)


def largest_difference(result, oracle):
    terms, body = result.frame(), result.body
    away = np.max(np.abs(terms["estimate"].to_numpy() - oracle.b) / oracle.se)
    se_away = np.max(np.abs(terms["se"].to_numpy() / oracle.se - 1))
    rounds, sites = body["rounds"], len(body["sites"])
    numbers = sent(study_of(result.certificate), rounds)
    note(body["model"], rounds, float(away), float(se_away), sites, numbers=numbers)
    return float(away)


def study_of(certificate):
    return study_from(parse_canonical(certificate)["body"]["study"])


def in_process(model, formula, frame, split_by, folder, /, *, strata=(), **options):
    """Return a fit's finding, its terms, and its sites, without the whole protocol."""
    path = folder / "rows.csv"
    frame.to_csv(path, index=False)
    parts = split_parts(path, split_by)
    study = draft_study(model, formula, parts, strata, options).study
    columns = {}
    for part in parts:
        mine = frame[frame[split_by].astype(str) == part.split_value]
        columns[part.site] = {
            v.name: _codes(v, mine[v.column]) for v in study.variables
        }
    if model == "km":  # of public data: each bin of a grid is told, of any group
        study = replace(study, minimum=OPEN.minimum)
    found = oracle(study, study.analyses[0], columns).as_json()
    return found, pd.DataFrame(found.get("terms", ())), len(parts)


def _codes(variable, values):
    if variable.kind == "number":
        return values.to_numpy(float)
    places = {str(level.value): i for i, level in enumerate(variable.levels)}
    return values.astype(str).map(places).to_numpy(np.int64)
