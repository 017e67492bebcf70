"""Patients are rebuilt from sums over exact risk sets, and from none that leaves here.

The attack differences the risk sets of an unstratified Cox model on exact times, as
published federated ones send them, already summed over all sites: whoever leaves alone
between two of them stands there with every covariate. It is then turned, in a wider
form, on each message that our estimators send, each site's own one in the clear.
"""

import functools
import itertools

import numpy as np
import pandas as pd
import pytest

import hetao
from hetao.analysis import Finding, estimator_for, evidence, make_rows
from hetao.errors import HetaoError
from hetao.study import Analysis, Grid
from support_analysis import category, columns_of, number, study_of

LUNG = (
    number("time", 0, 1100, unit="d"),
    category("died", "no", "yes"),
    number("age", 18, 100, unit="a"),
    category("sex", "female", "male"),
    category("ecog", "e0", "e1", "e2"),
)
TERMS = ("age", "sex", "ecog")
HOSPITALS = ("north", "middle", "south")
EXACT = Grid(tuple(float(day) for day in range(1, 1101)))
COARSE = Grid((160.0, 310.0, 1100.0))  # 10 leavers and deaths in each, at each hospital
JOINED = Grid(tuple(7.0 * week for week in range(1, 158)), merge=True)
SAME = 1e-9  # of a standardised covariate
NOTHING = 1e-6  # rounding; and one count between empty bins is nobody's covariates
PEOPLE, ALONE = 226, 144


def cox(**how):
    return Analysis("a", "cox", time="time", event="died", terms=TERMS, **how)


@functools.cache
def hospitals():
    """Return the 18 institutions' patients as three hospitals of 50 and more."""
    parts, _ = columns_of("lung", LUNG)
    merged = {name: [] for name in HOSPITALS}
    for place, part in enumerate(parts.values()):
        merged[HOSPITALS[place % 3]].append(part)
    return {
        name: {k: np.concatenate([part[k] for part in group]) for k in group[0]}
        for name, group in merged.items()
    }


def made(analysis):
    method = estimator_for(study_of(LUNG, analysis, sites=HOSPITALS), analysis)
    rows = [make_rows(method.plan, c, site) for site, c in hospitals().items()]
    return method, rows


def messages(analysis):
    """Return each round's messages, one a site, up to the finding."""
    method, rows = made(analysis)
    state, seen = None, []
    while True:
        sent = [method.local(r, state) if state else method.start(r) for r in rows]
        seen.append(sent)
        total = {name: sum(one[name] for one in sent) for name in sent[0]}
        state = method.step(total, state, len(seen) - 1)
        if isinstance(state, Finding):
            return seen, rows


def covariates(rows):
    return np.vstack([r.X for r in rows])


def risk_sets(rows):
    """Return people (times,) and covariates (times, p) at risk at each exact time."""
    time, x = np.concatenate([r.time for r in rows]), covariates(rows)
    at_risk = np.unique(time)[:, None] <= time
    return at_risk.sum(axis=1), at_risk @ x


def rebuilt(people, sums):
    """Return the covariates of all who leave alone between two risk sets."""
    leaving = people - np.append(people[1:], 0)
    left = sums - np.vstack([sums[1:], np.zeros(sums.shape[1])])
    return left[leaving == 1]


def found_in(numbers, people, x):
    """Return how many rows of x stand among the numbers, as they are or as a mean.

    Args:
        numbers: arrays that somebody sees, or differences of them.
        people: counts that somebody may divide by.
        x: (n, p) rows to look for.
    """
    p = x.shape[1]
    flat = [np.ravel(array) for array in numbers if array.size >= p]
    windows = np.vstack([np.lib.stride_tricks.sliding_window_view(a, p) for a in flat])
    hit = np.zeros(len(x), dtype=bool)
    for count in people:
        for sign in (1, -1):
            seen = sign * windows / count
            seen = seen[(np.abs(seen) > NOTHING).sum(axis=1) > 1]
            near = np.abs(seen[:, None, :] - x[None, :, :]).max(axis=2) < SAME
            hit |= near.any(axis=0)
    return int(hit.sum())


def everything(seen):
    """Return what all sites send, and the differences between rounds and sites."""
    plain = [array for sent in seen for one in sent for array in one.values()]
    rounds = [
        later[i][name] - earlier[i][name]
        for earlier, later in itertools.pairwise(seen)
        for i in range(len(HOSPITALS))
        for name in later[i]
    ]
    sites = [
        one[name] - other[name] for sent in seen for one in sent for other in sent
        for name in one if one is not other
    ]  # fmt: skip
    totals = [sum(one[name] for one in sent) for sent in seen for name in sent[0]]
    return plain + rounds + sites + totals


def test_exact_risk_sets_summed_over_sites_give_144_of_226_patients_away(
    record_property,
):
    _, rows = made(cox(strata=("site",)))
    x = covariates(rows)

    vectors = rebuilt(*risk_sets(rows))

    assert (len(x), len(vectors)) == (PEOPLE, ALONE)
    near = np.abs(vectors[:, None, :] - x[None, :, :]).max(axis=2) < SAME
    assert near.any(axis=1).all()
    record_property("figure", f"{len(vectors)} of {len(x)} patients naively")


def test_the_wider_attack_finds_them_too():
    """On the sums of those who leave each day it is at least as strong."""
    seen, rows = messages(cox(grid=EXACT))
    totals = sum(one["leaving"] for one in seen[0])

    assert found_in([totals], [1], covariates(rows)) >= ALONE


def test_what_leaves_for_exact_times_over_sites_is_refused():
    parts = [
        pd.DataFrame(columns).assign(hospital=name)
        for name, columns in hospitals().items()
    ]
    data = pd.concat(parts)
    data = data[(data["ecog"] >= 0)]

    with pytest.raises(HetaoError, match="HT-416") as caught:
        hetao.fit(
            "cox", "Surv(time, died) ~ age + C(sex)", data=data, split_by="hospital"
        )

    assert "stratify the model by site" in str(caught.value)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("more", [{}, {"zph": "identity"}, {"variance": "robust"}])
def test_sums_within_sites_give_no_patient_away(ties, more, record_property):
    seen, rows = messages(cox(strata=("site",), ties=ties, **more))

    assert min(r.n for r in rows) >= 50
    counts = {1, PEOPLE, *(r.n for r in rows), *(int(r.event.sum()) for r in rows)}
    found = found_in(everything(seen), counts, covariates(rows))
    if (ties, more) == ("efron", {}):
        record_property("figure", f"{found} of {PEOPLE} here")
    assert found == 0


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("grid", [COARSE, JOINED], ids=["coarse", "joined"])
def test_a_grid_that_the_gate_lets_through_gives_no_patient_away(ties, grid):
    analysis = cox(grid=grid, ties=ties)
    method, _ = made(analysis)
    seen, rows = messages(analysis)

    assert method.own_cells
    if grid.merge:
        assert {float(x) for m in seen.pop(0) for x in m["enough"].flat} == {0.0, 1.0}
    else:
        assert min(min(evidence(method.plan, r).cells.values()) for r in rows) >= 10
    for sent in (seen[0], [{k: sum(m[k] for m in seen[0]) for k in seen[0][0]}]):
        for one in sent:
            p = method.plan.parameters
            leaving = one["leaving"][0]
            at_risk = leaving[::-1].cumsum(axis=0)[::-1]
            assert len(rebuilt(np.rint(at_risk[:, 0]), at_risk[:, 1 : 1 + p])) == 0
    counts = {1, PEOPLE, *(r.n for r in rows)}
    assert found_in(everything(seen), counts, covariates(rows)) == 0
