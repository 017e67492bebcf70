"""Models weighted by a score = stacked estimating equations, solved on pooled rows.

The oracle shares nothing with Hetao. Score and model stand in one system of equations,
solved by Newton's method on the whole of it; derivatives are complex steps. What a
person of a Cox model adds is the derivative of the pooled score by that person's
weight, the infinitesimal jackknife, with risk sets written down as they are defined.
"""

import itertools

import numpy as np
import pytest
import statsmodels.api as sm

from hetao.analysis import oracle
from hetao.study import Analysis, Grid
from support_analysis import STUDY, distance, estimates, note, people, split
from support_exactness import note_parts

pytestmark = pytest.mark.held_to("second implementation: stacked equations", "made up")

CUTS = (0.2, 0.55, 0.9)
SCORE = ("age", "sex", "log(chol)")
STEP = 1e-30


def complete(seed, n):
    columns = people(seed, n)
    keep = ~np.isnan(columns["age"]) & (columns["grade"] >= 0)
    columns = {name: array[keep] for name, array in columns.items()}
    Z = np.column_stack([columns["age"], columns["sex"] == 1, np.log(columns["chol"])])
    Z = (Z - Z.mean(axis=0)) / Z.std(axis=0)
    return columns, np.column_stack([np.ones(len(Z)), Z])


def weights_of(estimand, truncation, Z, A, gamma):
    e = 1 / (1 + np.exp(-(Z @ gamma)))
    e = np.where(e.real < truncation, truncation, e)
    e = np.where(e.real > 1 - truncation, 1 - truncation, e)
    return {
        "ATE": A / e + (1 - A) / (1 - e),
        "ATT": A + (1 - A) * e / (1 - e),
        "ATO": A * (1 - e) + (1 - A) * e,
    }[estimand]


def score_of(Z, A, gamma):
    return Z * (A - 1 / (1 + np.exp(-(Z @ gamma))))[:, None]


def slopes(of, theta):
    """Return d of(theta) / d theta, one column a parameter."""
    columns = []
    for i in range(len(theta)):
        moved = theta.astype(complex)
        moved[i] += 1j * STEP
        columns.append(of(moved).imag / STEP)
    return np.column_stack(columns)


def zero_of(of, size):
    theta = np.zeros(size)
    for _ in range(80):
        step = np.linalg.solve(slopes(of, theta), of(theta))
        theta = theta - step
        if np.abs(step).max() < 1e-15:
            break
    return theta


def stacked(of, each, theta, q):
    bread = np.linalg.inv(slopes(of, theta))
    covariance = bread @ (each.T @ each) @ bread.T
    return theta[q:], np.sqrt(np.diag(covariance)[q:])


# --- generalised linear models ------------------------------------------------------
def glm(kind, estimand, truncation, seed):
    columns, Z = complete(seed, 700)
    A = columns["treated"].astype(float)
    q = Z.shape[1]
    # a person's own units: the model's coefficients are those of the columns as is
    X = np.column_stack([np.ones(len(A)), A, columns["sex"] == 1]).astype(float)
    offset = np.log(columns["years"]) if kind == "poisson" else 0.0
    y = {"logistic": "ill", "linear": "score", "poisson": "visits"}[kind]
    y = columns[y].astype(float)
    mean = {
        "logistic": lambda eta: 1 / (1 + np.exp(-eta)),
        "linear": lambda eta: eta,
        "poisson": np.exp,
    }[kind]

    def each(theta):
        w = weights_of(estimand, truncation, Z, A, theta[:q])
        residual = w * (y - mean(X @ theta[q:] + offset))
        return np.hstack([score_of(Z, A, theta[:q]), X * residual[:, None]])

    def of(theta):
        return each(theta).sum(axis=0)

    theta = zero_of(of, q + 3)
    analysis = Analysis(
        "weighted",
        kind,
        outcome={"logistic": "ill", "linear": "score", "poisson": "visits"}[kind],
        terms=("treated", "sex"),
        offset="log(years)" if kind == "poisson" else "",
        treatment="treated",
        score=SCORE,
        estimand=estimand,
        truncation=truncation,
    )
    return analysis, columns, stacked(of, each(theta), theta, q)


@pytest.mark.parametrize("kind", ["logistic", "linear", "poisson"])
@pytest.mark.parametrize(
    ("estimand", "truncation"),
    [("ATE", 0.0), ("ATE", 0.3), ("ATT", 0.0), ("ATO", 0.0)],
)
def test_a_weighted_regression_is_the_stacked_equations(kind, estimand, truncation):
    analysis, columns, (beta, se) = glm(kind, estimand, truncation, 5)

    found = oracle(STUDY, analysis, split(columns, CUTS))

    away, se_away = distance(found, beta, se)
    assert away < 1e-9
    assert se_away < 1e-8
    assert found.as_json()["rounds"] <= 6


# --- Cox ----------------------------------------------------------------------------
def partial_score(X, time, event, w, beta, efron):
    """Return the pooled score of one stratum, risk sets as they are defined."""
    rate = w * np.exp(X @ beta)
    total = np.zeros(X.shape[1], dtype=rate.dtype)
    for t in np.unique(time[event == 1]):
        risk, dead = time >= t, (time == t) & (event == 1)
        d = int(dead.sum())
        total = total + (w[dead, None] * X[dead]).sum(axis=0)
        mean_weight = w[dead].sum() / d
        for place in range(d):
            part = place / d if efron else 0.0
            share = rate * risk - part * rate * dead
            total = total - mean_weight * (share @ X) / share.sum()
    return total


def cox(estimand, ties, seed, n=260):
    columns, Z = complete(seed, n)
    A = columns["treated"].astype(float)
    q, parts = Z.shape[1], split(columns, CUTS)
    sizes = np.cumsum([0] + [len(part["age"]) for part in parts.values()])
    strata = [slice(a, b) for a, b in itertools.pairwise(sizes)]
    age = columns["age"] / 10
    X, event = np.column_stack([A, age]), columns["died"]

    def pooled(w, beta):
        return sum(
            partial_score(
                X[s], columns["day"][s], event[s], w[s], beta, ties == "efron"
            )
            for s in strata
        )

    def of(theta):
        w = weights_of(estimand, 0.0, Z, A, theta[:q])
        of_score = score_of(Z, A, theta[:q]).sum(axis=0)
        return np.concatenate([of_score, pooled(w, theta[q:])])

    theta = zero_of(of, q + 2)
    w = weights_of(estimand, 0.0, Z, A, theta[:q])
    influence = []
    for i in range(len(w)):
        moved = w.astype(complex)
        moved[i] += 1j * STEP
        influence.append(pooled(moved, theta[q:]).imag / STEP * w[i])
    each = np.hstack([score_of(Z, A, theta[:q]), np.array(influence)])
    analysis = Analysis(
        "weighted",
        "cox",
        time="day",
        event="died",
        terms=("treated", "age/10"),
        strata=("site",),
        ties=ties,
        treatment="treated",
        score=SCORE,
        estimand=estimand,
    )
    return analysis, parts, stacked(of, each, theta, q)


@pytest.mark.parametrize(
    ("estimand", "ties"), [("ATE", "efron"), ("ATO", "efron"), ("ATT", "breslow")]
)
def test_a_weighted_cox_model_is_the_stacked_equations(estimand, ties):
    analysis, parts, (beta, se) = cox(estimand, ties, 6)

    found = oracle(STUDY, analysis, parts)

    away, se_away = distance(found, beta, se)
    assert away < 1e-9
    assert se_away < 1e-8
    assert found.as_json()["rounds"] <= 6


# --- against the effects, which have oracles of their own ---------------------------
@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATO"])
def test_a_model_of_the_treatment_alone_is_the_weighted_contrast(estimand):
    columns, _ = complete(8, 800)
    parts = split(columns, CUTS)
    common = {"treatment": "treated", "estimand": estimand}
    effect = Analysis("e", "ipw", outcome="ill", terms=SCORE, **common)
    model = Analysis(
        "m", "logistic", outcome="ill", terms=("treated",), score=SCORE, **common
    )

    contrasts, errors = estimates(oracle(STUDY, effect, parts))
    found, found_errors = estimates(oracle(STUDY, model, parts))

    assert found[1] == pytest.approx(contrasts[2], rel=1e-9)  # the log odds ratio
    assert found_errors[1] == pytest.approx(errors[2], rel=1e-8)


def test_the_estimation_of_the_weights_makes_the_interval_narrower():
    """Weights taken as given say less than is known: the familiar, wrong sandwich."""
    columns, _ = complete(9, 900)
    parts = split(columns, CUTS)
    scored = Analysis(
        "m",
        "logistic",
        outcome="ill",
        terms=("treated",),
        treatment="treated",
        score=SCORE,
    )
    _, counted = estimates(oracle(STUDY, scored, parts))
    Z = np.column_stack([columns["age"], columns["sex"] == 1, np.log(columns["chol"])])
    Z = np.column_stack([np.ones(len(Z)), (Z - Z.mean(axis=0)) / Z.std(axis=0)])
    A = columns["treated"].astype(float)
    gamma = zero_of(lambda g: score_of(Z, A, g).sum(axis=0), 4)
    given = weights_of("ATE", 0.0, Z, A, gamma) / 20
    columns["share"] = given
    plain = Analysis(
        "p",
        "logistic",
        outcome="ill",
        terms=("treated",),
        weights="share",
        variance="robust",
    )

    _, taken = estimates(oracle(STUDY, plain, split(columns, CUTS)))

    assert counted[1] < 0.97 * taken[1]


# --- matching -----------------------------------------------------------------------
def matched_sets(logit, A, caliper, ratio):
    """Return place -> (set, weight), by looking at every pair, the closest first."""
    pairs = sorted(
        (abs(logit[i] - logit[j]), i, j)
        for i in np.flatnonzero(A == 1)
        for j in np.flatnonzero(A == 0)
        if abs(logit[i] - logit[j]) <= caliper
    )
    others, used = {}, set()
    for time in range(1, ratio + 1):
        for _, i, j in pairs:
            if j not in used and len(others.get(i, ())) < time:
                others.setdefault(i, []).append(j)
                used.add(j)
    found = {}
    for number, (i, mine) in enumerate(sorted(others.items())):
        found[i] = (number, 1.0)
        found |= {j: (number, 1 / len(mine)) for j in mine}
    return found


def matched(seed, n, ratio, width):
    """Return columns, and the kept rows, weights, sets and sites of the matched."""
    columns, Z = complete(seed, n)
    A = columns["treated"].astype(float)
    gamma = zero_of(lambda g: score_of(Z, A, g).sum(axis=0), Z.shape[1])
    logit = Z @ gamma
    caliper = width * logit.std(ddof=1)
    sizes = [len(part["age"]) for part in split(columns, CUTS).values()]
    kept, weights, sets, sites = [], [], [], []
    for site, (begin, end) in enumerate(itertools.pairwise(np.cumsum([0, *sizes]))):
        found = matched_sets(logit[begin:end], A[begin:end], caliper, ratio)
        for place, (number, weight) in sorted(found.items()):
            kept.append(begin + place)
            weights.append(weight)
            sets.append((site, number))
            sites.append(site)
    _, sets = np.unique(np.array(sets), axis=0, return_inverse=True)
    return columns, np.array(kept), np.array(weights), sets.ravel(), np.array(sites)


def clustered(of, influence, sets, theta):
    """Return the clustered sandwich's standard errors; no correction of few sets."""
    bread = np.linalg.inv(slopes(of, theta))
    each = np.zeros((sets.max() + 1, len(theta)))
    np.add.at(each, sets, influence)
    return np.sqrt(np.diag(bread @ (each.T @ each) @ bread.T))


def asked_to_match(kind, ratio, **more):
    return Analysis(
        "matched",
        kind,
        terms=("treated",),
        treatment="treated",
        score=SCORE,
        estimand="ATT",
        ratio=ratio,
        caliper=0.2,
        **more,
    )


@pytest.mark.parametrize(("kind", "ratio"), [("logistic", 1), ("linear", 3)])
def test_a_matched_regression_is_clustered_on_the_matched_of_every_site(kind, ratio):
    columns, kept, w, sets, _ = matched(12, 500, ratio, 0.2)
    X = np.column_stack([np.ones(len(kept)), columns["treated"][kept] == 1])
    X = X.astype(float)
    outcome = {"logistic": "ill", "linear": "score"}[kind]
    y = columns[outcome][kept].astype(float)
    is_binary = kind == "logistic"

    def each(theta):
        eta = X @ theta
        mean = 1 / (1 + np.exp(-eta)) if is_binary else eta
        return X * (w * (y - mean))[:, None]

    def of(theta):
        return each(theta).sum(axis=0)

    theta = zero_of(of, 2)
    analysis = asked_to_match(kind, ratio, outcome=outcome)

    finding = oracle(STUDY, analysis, split(columns, CUTS))

    errors = clustered(of, each(theta), sets, theta)
    if ratio == 1:  # nobody weighs more than another, so statsmodels has them too
        by_set = {"groups": sets, "use_correction": False}
        pooled = sm.Logit(y, X).fit(
            disp=False, tol=1e-14, cov_type="cluster", cov_kwds=by_set
        )
        np.testing.assert_allclose(pooled.params, theta, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(pooled.bse, errors, rtol=1e-9)
    away, se_away = distance(finding, theta, errors)
    assert away < 1e-9
    assert se_away < 1e-8
    answer = finding.as_json()
    assert answer["n"] == len(kept)
    assert answer["matching"] == {"ratio": ratio, "sets": sets.max() + 1}


def test_a_matched_cox_model_is_clustered_on_the_matched_of_every_site():
    columns, kept, w, sets, sites = matched(13, 220, 1, 0.2)
    X = columns["treated"][kept].astype(float)[:, None]
    time, event = columns["day"][kept], columns["died"][kept]
    strata = [np.flatnonzero(sites == site) for site in np.unique(sites)]

    def pooled(weights, beta):
        return sum(
            partial_score(X[s], time[s], event[s], weights[s], beta, True)
            for s in strata
        )

    theta = zero_of(lambda beta: pooled(w, beta), 1)
    influence = []
    for i in range(len(w)):
        moved = w.astype(complex)
        moved[i] += 1j * STEP
        influence.append(pooled(moved, theta).imag / STEP * w[i])
    analysis = asked_to_match("cox", 1, time="day", event="died", strata=("site",))

    finding = oracle(STUDY, analysis, split(columns, CUTS))

    errors = clustered(lambda b: pooled(w, b), np.array(influence), sets, theta)
    away, se_away = distance(finding, theta, errors)
    assert away < 1e-9
    assert se_away < 1e-8


# --- curves and tests ---------------------------------------------------------------
EDGES = np.arange(10.0, 61.0, 10.0)
HORIZON = 34.0


def curve_numbers(time, event, w):
    """Return survival and hazard at each edge, and the mean, by definition."""
    survival, hazard = [], []
    stays, cumulative = 1.0, 0.0
    for edge in EDGES:
        rate = w[(time == edge) & (event == 1)].sum() / w[time >= edge].sum()
        stays, cumulative = stays * (1 - rate), cumulative + rate
        survival.append(stays)
        hazard.append(cumulative)
    levels, widths = [1.0, *survival], np.diff(np.minimum([0, *EDGES, 99], HORIZON))
    mean = sum(width * level for width, level in zip(widths, levels, strict=True))
    return [*survival, *hazard, mean]


def excess(A, time, event, w, strata):
    """Return observed less expected events of the treated, summed over strata."""
    total = 0.0
    for s in strata:
        for t in np.unique(time[s][event[s] == 1]):
            dead, risk = (time[s] == t) & (event[s] == 1), time[s] >= t
            due = w[s][dead].sum() * (w[s] * A[s])[risk].sum() / w[s][risk].sum()
            total = total + (w[s] * A[s])[dead].sum() - due
    return total


def spread_of(numbers, estimand, Z, A):
    """Return numbers of weights, and their covariance, the score's estimation counted.

    A person moves a number by the derivative by their own weight, and through the
    score's coefficients; both derivatives are complex steps.
    """
    q = Z.shape[1]
    gamma = zero_of(lambda g: score_of(Z, A, g).sum(axis=0), q)
    w = weights_of(estimand, 0.0, Z, A, gamma)
    each = score_of(Z, A, gamma)
    bread = -np.linalg.inv(slopes(lambda g: score_of(Z, A, g).sum(axis=0), gamma))
    through = slopes(lambda g: numbers(weights_of(estimand, 0.0, Z, A, g)), gamma)
    influence = each @ bread.T @ through.T
    for i in range(len(w)):
        moved = w.astype(complex)
        moved[i] += 1j * STEP
        influence[i] += w[i] * numbers(moved).imag / STEP
    return numbers(w).real, influence.T @ influence


@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATO"])
def test_weighted_curves_of_arms_are_the_stacked_equations(estimand):
    columns, Z = complete(14, 400)
    A = columns["treated"].astype(float)
    time, event = np.ceil(columns["day"] / 10) * 10, columns["died"]
    arms = [arm == A for arm in (0, 1)]

    def numbers(w):
        of_arms = [curve_numbers(time[arm], event[arm], w[arm]) for arm in arms]
        return np.array(of_arms).ravel()

    wanted, covariance = spread_of(numbers, estimand, Z, A)
    analysis = Analysis(
        "curves",
        "km",
        time="day",
        event="died",
        by="treated",
        grid=Grid(tuple(EDGES)),
        horizon=HORIZON,
        treatment="treated",
        score=SCORE,
        estimand=estimand,
    )

    found = oracle(STUDY, analysis, split(columns, CUTS)).as_json()

    ours, errors = [], []
    for curve in found["curves"]:
        assert curve["time"] == EDGES.tolist()
        ours += [*curve["survival"], *curve["cumhaz"], curve["rmst"]]
        errors += [*curve["se"], *curve["cumhaz_se"], curve["rmst_se"]]
    k, size = len(EDGES), len(wanted) // 2
    turn = np.zeros((2, 2 * size))
    for row, place in enumerate((int(HORIZON // 10) - 1, 2 * k)):
        turn[row, place], turn[row, size + place] = -1.0, 1.0
    ours += [one["estimate"] for one in found["contrasts"]]
    errors += [one["se"] for one in found["contrasts"]]
    wanted = np.concatenate([wanted, turn @ wanted])
    squares = [*np.diag(covariance), *np.diag(turn @ covariance @ turn.T)]
    ours, errors = np.array(ours, float), np.array(errors, float)
    known = ~np.isnan(errors)  # a survival of 0 has no error
    assert known.sum() >= known.size - 2
    wanted_errors = np.sqrt(squares)[known]
    away = np.max(np.abs(ours - wanted)[known] / wanted_errors)
    se_away = np.max(np.abs(errors[known] / wanted_errors - 1))
    note("km", found["rounds"], float(away), float(se_away))
    assert away < 1e-9
    assert se_away < 1e-8
    assert found["rounds"] <= 6


@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATO"])
def test_a_weighted_log_rank_test_of_arms_is_the_stacked_equations(estimand):
    columns, Z = complete(15, 300)
    A = columns["treated"].astype(float)
    parts = split(columns, CUTS)
    sizes = np.cumsum([0] + [len(part["age"]) for part in parts.values()])
    strata = [slice(a, b) for a, b in itertools.pairwise(sizes)]

    def numbers(w):
        return np.array([excess(A, columns["day"], columns["died"], w, strata)])

    wanted, covariance = spread_of(numbers, estimand, Z, A)
    analysis = Analysis(
        "test",
        "logrank",
        time="day",
        event="died",
        by="treated",
        strata=("site",),
        treatment="treated",
        score=SCORE,
        estimand=estimand,
    )

    found = oracle(STUDY, analysis, parts).as_json()

    treated = found["groups"][1]
    assert treated["observed"] - treated["expected"] == pytest.approx(wanted[0])
    chi2 = wanted[0] ** 2 / covariance[0, 0]
    assert found["chi2"] == pytest.approx(chi2, rel=1e-9)
    note_parts("logrank", found["chi2"], chi2)


# --- strata of the score ------------------------------------------------------------
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_a_cox_model_within_strata_of_the_score_is_the_pooled_one(ties):
    columns, Z = complete(16, 400)
    A = columns["treated"].astype(float)
    gamma = zero_of(lambda g: score_of(Z, A, g).sum(axis=0), Z.shape[1])
    bins = np.minimum(np.floor(1024 / (1 + np.exp(-(Z @ gamma)))), 1023)
    ends = [  # the first edge of a bin below which so many people lie
        next(b for b in range(1025) if (bins < b).sum() >= len(A) * k / 5)
        for k in range(1, 5)
    ]
    parts = split(columns, CUTS)
    sizes = [len(part["age"]) for part in parts.values()]
    sites = np.repeat(np.arange(len(sizes)), sizes)
    of_score = sum((bins >= end).astype(int) for end in ends)
    strata = [
        np.flatnonzero((sites == site) & (of_score == k))
        for site in range(len(sizes))
        for k in range(5)
    ]
    time, event, w = columns["day"], columns["died"], np.ones(len(A))
    X = np.column_stack([A, columns["age"] / 10])

    def of(beta):
        return sum(
            partial_score(X[s], time[s], event[s], w[s], beta, ties == "efron")
            for s in strata
        )

    theta = zero_of(of, 2)
    errors = np.sqrt(np.diag(np.linalg.inv(-slopes(of, theta))))
    analysis = Analysis(
        "stratified",
        "cox",
        time="day",
        event="died",
        terms=("treated", "age/10"),
        strata=("site",),
        ties=ties,
        treatment="treated",
        score=SCORE,
        subclasses=5,
    )

    finding = oracle(STUDY, analysis, parts)

    away, se_away = distance(finding, theta, errors)
    assert away < 1e-9
    assert se_away < 1e-8
    found = finding.as_json()
    assert found["rounds"] <= 9  # the score's fit, its strata, the model's fit
    above = below = square = 0.0
    for s in strata:
        t1, t0 = (A[s] * time[s]).sum(), ((1 - A[s]) * time[s]).sum()
        d1, d0 = (A[s] * event[s]).sum(), ((1 - A[s]) * event[s]).sum()
        above, below = above + d1 * t0 / (t1 + t0), below + d0 * t1 / (t1 + t0)
        square += (d1 + d0) * t1 * t0 / (t1 + t0) ** 2
    (ratio,) = found["contrasts"]
    assert ratio["estimate"] == pytest.approx(np.log(above / below), rel=1e-12)
    assert ratio["se"] == pytest.approx(np.sqrt(square / above / below), rel=1e-12)
    for place, one in enumerate(found["strata"]):
        mine = of_score == place
        assert one["n"] == [(mine & (a == A)).sum() for a in (0, 1)]
        assert one["events"] == [event[mine & (a == A)].sum() for a in (0, 1)]
        assert one["time"] == pytest.approx(
            [time[mine & (a == A)].sum() for a in (0, 1)]
        )
