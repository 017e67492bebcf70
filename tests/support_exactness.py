"""How far findings lie from their oracles, kept for the page that says so.

`benchmarks/exactness.py` names a file in HETAO_EXACTNESS and runs the oracles; without
it nothing is kept. A test says what it is held to by a mark,
`@pytest.mark.held_to("R survival coxph", "NCCTG lung")`: the oracle and the data. How
many sites took part, in how many rounds, and how many numbers each sent is taken from
the last fit in memory of that method, or from a fit's own study.
"""

import importlib
import json
import os
from pathlib import Path

import numpy as np

from hetao.analysis import estimator_for

PATH = os.environ.get("HETAO_EXACTNESS")
FITS = {}  # method → sites, rounds and numbers a site of its last fit in memory
NOW = []  # the fit that is under way
HELD = {}  # what the test that runs is held to: its oracle and its data


def note(
    model, rounds=None, estimate=None, se=None, sites=None, *, numbers=None, other=None
):
    """Keep one comparison of the test that runs.

    Args:
        model: the method, or the tool beside them, such as "maxsprt".
        rounds, sites, numbers: of the fit; of the last in memory where left out.
        estimate: how far an estimate lies, in the oracle's standard errors.
        se: how far a standard error lies, in parts of the oracle's.
        other: how far anything else lies, in parts of the oracle's.
    """
    if not PATH:
        return
    assert HELD, "a test that notes how far it lies says from what, by `held_to`"
    fit = FITS.get(model, {})
    line = HELD | {
        "test": os.environ["PYTEST_CURRENT_TEST"].split(" ")[0],
        "model": model,
        "rounds": rounds or fit.get("rounds"),
        "estimate": estimate,
        "se": se,
        "other": other,
        "sites": sites or fit.get("sites"),
        "numbers": numbers or fit.get("numbers"),
    }
    with Path(PATH).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def note_parts(model, ours, wanted, sites=None):
    """Keep how far numbers lie from the oracle's, in parts of these.

    What is missing on one side must be missing on both; of an oracle's 0 the difference
    counts as it is.
    """
    if not PATH:
        return
    ours = np.array(ours, dtype=float).ravel()
    wanted = np.array(wanted, dtype=float).ravel()
    known = ~np.isnan(wanted)
    assert np.array_equal(known, ~np.isnan(ours))
    away = (
        np.abs(ours - wanted)[known] / np.where(wanted == 0, 1, np.abs(wanted))[known]
    )
    note(model, other=float(away.max(initial=0.0)), sites=sites)


def sent(study, rounds):
    """Return the numbers that a site sends in a fit of a study's one analysis."""
    method = estimator_for(study, study.analyses[0])
    return sum(
        int(np.prod(one.shape))
        for number in range(rounds)
        for one in method.declare(number).values()
    )


def held_to(item):
    """Begin a test: what it is held to, from its own mark or its module's."""
    mark = item.get_closest_marker("held_to")
    HELD.clear()
    FITS.clear()
    if mark:
        HELD.update(zip(("oracle", "data"), mark.args, strict=True))


def _listen():
    """Count what passes through the oracle in memory, fit by fit."""
    module = importlib.import_module("hetao.analysis.oracle")
    make, add = module.estimator_for, module._total

    def made(study, analysis):
        FITS[analysis.method] = {"sites": 0, "rounds": 0, "numbers": 0}
        NOW[:] = [FITS[analysis.method]]
        return make(study, analysis)

    def added(messages, declared):
        (fit,) = NOW
        fit["sites"] = len(messages)
        fit["rounds"] += 1
        fit["numbers"] += sum(array.size for array in messages[0].values())
        return add(messages, declared)

    module.estimator_for, module._total = made, added


if PATH:
    _listen()
