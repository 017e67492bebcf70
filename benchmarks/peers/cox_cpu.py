"""Processor time of a Cox fit: 67 centres' local work together against R's `coxph`.

Both on the same rows, strata are centres, Efron's ties, in turn: our rows made once a
centre, then every round's local sums; R's `coxph` from a data frame to the
estimates. Neither counts reading the file. The gate, the seal, the log and the network
are not in it: `make bench-peers` measures them with everything else.
"""

import statistics
import subprocess
import tempfile
import time

import numpy as np

from hetao.analysis import estimator_for, make_rows
from hetao.analysis.finding import Finding
from hetao.cdm import open_flat
from hetao.cohort import build
from hetao.notebook.drafting import draft_study
from hetao.notebook.parts import split_parts
from peers.data import DIALYSIS

IN_R = """
library(survival)
d <- read.csv("{rows}")
once <- function() {{
  took <- system.time(coxph(Surv(time, event) ~ num_age + num_begin + fac_disease +
                            strata(center), d, ties = "efron"))
  took[["user.self"]] + took[["sys.self"]]
}}
invisible(once())
cat(replicate({times}, once()))
"""


def asked(path):
    """Return the study of a centre's formula and every centre's columns."""
    parts = split_parts(path, "center")
    draft = draft_study("cox", DIALYSIS, parts, ("site",), {"ties": "efron"})
    columns = {}
    for part in draft.parts:
        with open_flat(part.path, part.split_column, part.split_value) as table:
            columns[part.site] = build(draft.study, table).columns
    return draft.study, columns


def once(study, columns):
    """Return seconds of processor of one fit: of the plans, of rows and sums."""
    analysis, clock = study.analyses[0], time.process_time
    begun = clock()
    sites = {name: estimator_for(study, analysis) for name in columns}
    planned = clock() - begun
    begun = clock()
    rows = {name: make_rows(sites[name].plan, columns[name], name) for name in sites}
    spent, state = clock() - begun, None
    method = next(iter(sites.values()))
    for number in range(method.most_rounds):
        begun = clock()
        if state is None:
            messages = [site.start(rows[name]) for name, site in sites.items()]
        else:
            messages = [site.local(rows[name], state) for name, site in sites.items()]
        spent += clock() - begun
        total = {key: np.sum([m[key] for m in messages], axis=0) for key in messages[0]}
        answer = method.step(total, state, number)  # the hubs' and everybody's, once
        if isinstance(answer, Finding):
            break
        state = answer
    return planned, spent


def in_r(path, times):
    """Return seconds of processor of every repetition in R."""
    text = IN_R.format(rows=path, times=times)
    with tempfile.NamedTemporaryFile("w", suffix=".R") as script:
        script.write(text)
        script.flush()
        done = subprocess.run(
            ["Rscript", script.name],  # noqa: S607 - where the system has it
            capture_output=True,
            text=True,
            check=True,
        )
    return [float(word) for word in done.stdout.split()]


def measured(path, blocks=8, times=6):
    """Return least and median seconds of both, and their ratio, block by block.

    The processor's own speed changes from one second to the next, so short blocks of
    ours and of R take turns; `ratio` is the median of the blocks' ratios of medians.
    """
    study, columns = asked(path)
    once(study, columns)  # warms up
    mine, theirs, ratios = [], [], []
    for _ in range(blocks):
        block = [once(study, columns) for _ in range(times)]
        other = in_r(path, times)
        spent = statistics.median(rest for _, rest in block)
        ratios.append(spent / statistics.median(other))
        mine, theirs = mine + block, theirs + other
    return {
        "ours": _spread([rest for _, rest in mine]),
        "plans": _spread([planned + rest for planned, rest in mine]),
        "coxph": _spread(theirs),
        "times": blocks * times,
        "ratio": statistics.median(ratios),
        "ratios": [min(ratios), max(ratios)],
    }


def _spread(seconds):
    return {"least": min(seconds), "median": statistics.median(seconds)}
