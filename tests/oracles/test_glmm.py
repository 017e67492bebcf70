"""A random intercept for each site: quadrature's sums = a dense sum over intercepts.

The dense likelihood knows nothing of posteriors, modes or Hermite: it adds up each
site's likelihood at hundreds of evenly spaced intercepts, and finds where its slope
is nothing by its numerical derivative. Figures of lme4 stand in `test_centres.py`.
"""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import gammaln, logsumexp

from hetao.analysis import (
    Finding,
    check_message,
    estimator_for,
    glmm,
    make_plan,
    make_rows,
    oracle,
)
from hetao.analysis.evidence import evidence, weighed
from hetao.canonical import canonical, parse_canonical
from hetao.errors import InvalidStudy, NotEstimable, WrongShape
from hetao.report.models import model_of
from hetao.study import study_from
from support_analysis import ANALYSES, STUDY, assert_same, people, split

pytestmark = pytest.mark.held_to(
    "second implementation: dense sum over intercepts", "made up"
)

BINARY, COUNT = ANALYSES["glmm"], ANALYSES["glmm_poisson"]
CUTS = (0.1, 0.3, 0.55, 0.9)


def shifted(seed, n, sd):
    """Return five sites whose outcomes are drawn with intercepts of their own."""
    parts = split(people(seed, n), CUTS)
    draw = np.random.default_rng(seed)
    shifts = draw.normal(0, sd, len(parts))
    shifts -= shifts.mean()
    return {
        site: part
        | {
            "ill": (
                draw.random(len(part["age"]))
                < 1 / (1 + np.exp(1 - 0.02 * (part["chol"] ** 0.5) - shift))
            ).astype(np.int64),
            "visits": draw.poisson(part["years"] * np.exp(shift))
            .clip(0, 200)
            .astype(float),
        }
        for (site, part), shift in zip(parts.items(), shifts, strict=True)
    }


def pooled_rows(parts, family):
    """Return design, outcome, offset and weights of each site, in original units."""
    found = []
    for part in parts.values():
        keep = ~np.isnan(part["age"]) & (part["grade"] >= 0)
        if family == "poisson":
            keep &= part["share"] > 0
        one = {name: array[keep] for name, array in part.items()}
        age, male, grade = one["age"], one["sex"], one["grade"]
        columns = [np.ones(len(age)), age, male, np.log(one["chol"])]
        columns += [grade == 1, grade == 2, age * male]
        design = np.column_stack(columns).astype(float)
        if family == "poisson":
            found.append((design, one["visits"], np.log(one["years"]), one["share"]))
        else:
            zero = np.zeros(len(age))
            found.append((design, one["ill"].astype(float), zero, zero + 1))
    return found


def dense(parts, family, start, size):
    """Return the coefficients, tau, standard errors and log-likelihood at the maximum.

    The slope is that of the sum itself, so that it is as exact as the sum; its
    derivative, for Newton's steps and the errors, is numerical, at steps of `size`.
    """
    sites = pooled_rows(parts, family)
    b = np.linspace(-5.0, 5.0, 401)

    def likelihood(theta):
        beta, tau = theta[:-1], np.exp(theta[-1])
        total, slope = 0.0, np.zeros(len(theta))
        for X, y, offset, w in sites:
            eta = (X @ beta + offset)[:, None] + b
            if family == "poisson":
                mu = np.exp(eta)
                each = y[:, None] * eta - mu - gammaln(y + 1)[:, None]
            else:
                mu = 1 / (1 + np.exp(-eta))
                each = y[:, None] * eta - np.logaddexp(0, eta)
            height = w @ each - b**2 / (2 * tau**2) - np.log(tau * (2 * np.pi) ** 0.5)
            here = logsumexp(height)
            share = np.exp(height - here)
            total += here + np.log(b[1] - b[0])
            slope[:-1] += X.T @ (w * (y - mu @ share))
            slope[-1] += share @ (b**2) / tau**2 - 1
        return total, slope

    top = start
    for _ in range(5):
        slopes = [derivative(likelihood, top, one, i) for i, one in enumerate(size)]
        curve = -(np.array(slopes) + np.array(slopes).T) / 2
        top = top + np.linalg.solve(curve, likelihood(top)[1])
    return top, np.sqrt(np.diag(np.linalg.inv(curve))), likelihood(top)[0]


def derivative(likelihood, theta, size, place):
    step = np.zeros(len(theta))
    step[place] = 0.01 * size
    a, b, c, d = (likelihood(theta + k * step)[1] for k in (-2, -1, 1, 2))
    return (a - 8 * b + 8 * c - d) / (12 * step[place])


@pytest.mark.parametrize(
    ("analysis", "seed", "sd"), [(BINARY, 1, 0.8), (COUNT, 2, 0.5)]
)
def test_quadrature_gives_what_a_dense_sum_over_intercepts_gives(analysis, seed, sd):
    parts = shifted(seed, 260, sd)

    found = oracle(STUDY, analysis, parts)

    answer = found.as_json()
    beta, size = (
        np.array([t[key] for t in answer["terms"]]) for key in ("estimate", "se")
    )
    start = np.append(beta + size / 50, np.log(answer["tau"]) + 0.01)
    top, se, loglik = dense(parts, analysis.family, start, np.append(size, 0.2))
    assert_same(found, top[:-1], se[:-1], loglik)
    assert abs(np.log(answer["tau"]) - top[-1]) / se[-1] < 1e-9
    assert answer["tau_se"] == pytest.approx(answer["tau"] * se[-1], rel=1e-8)
    assert answer["tau2"] == pytest.approx(np.exp(2 * top[-1]), rel=1e-8)
    assert answer["rounds"] <= 6
    assert answer["quadrature"] < 1e-9
    assert not answer["singular"]
    assert parse_canonical(canonical(answer)) == answer


@pytest.mark.held_to("our model without random effects", "made up")
@pytest.mark.parametrize("analysis", [BINARY, COUNT])
def test_sites_that_do_not_differ_have_the_model_without_random_effects(analysis):
    alike = dict.fromkeys(STUDY.sites, people(4, 120))
    plain = {"glmm": "logistic", "glmm_poisson": "poisson"}[analysis.name]
    alone = replace(ANALYSES[plain], weights=analysis.weights)

    found = oracle(STUDY, analysis, alike)

    reference = oracle(STUDY, alone, alike).as_json()
    terms = reference["terms"]
    beta, se = ([t[key] for t in terms] for key in ("estimate", "se"))
    assert_same(found, beta, se, reference["loglik"])
    answer = found.as_json()
    assert answer["singular"]
    assert (answer["tau"], answer["tau2"], answer["median_ratio"]) == (0.0, 0.0, 1.0)
    assert answer["tau_se"] is None
    assert answer["rounds"] <= 6


@pytest.mark.parametrize("seed", range(6))
def test_small_variances_are_told_from_none_within_six_rounds(seed):
    parts = shifted(seed, 400, 0.1)

    answer = oracle(STUDY, BINARY, parts).as_json()

    top, _, loglik = dense_at_none(parts)
    assert answer["rounds"] <= 7
    assert answer["loglik"] >= loglik - 1e-9
    if answer["singular"]:
        assert top <= 0


def dense_at_none(parts):
    """Return the slope by tau² at tau = 0, twice, at plain logistic regression."""
    plain = oracle(STUDY, ANALYSES["logistic"], parts).as_json()
    beta = np.array([term["estimate"] for term in plain["terms"]])
    slope = 0.0
    for X, y, *_ in pooled_rows(parts, "binomial"):
        mu = 1 / (1 + np.exp(-X @ beta))
        slope += (y - mu).sum() ** 2 - (mu * (1 - mu)).sum()
    return slope, beta, plain["loglik"]


def test_the_order_of_sites_and_empty_ones_change_nothing():
    parts = shifted(5, 300, 0.7)
    nobody = {name: array[:0] for name, array in parts["aa"].items()}
    some = dict(list(parts.items())[:4])

    one = oracle(STUDY, BINARY, some).as_json()

    turned = dict(reversed(list({**some, "ee": nobody}.items())))
    assert oracle(STUDY, BINARY, turned).as_json() == one
    assert one["pooled_sites"] == 4


@pytest.mark.held_to("ours, of other bounds", "made up")
@pytest.mark.parametrize("analysis", [BINARY, COUNT])
def test_wider_public_bounds_change_no_answer(analysis):
    parts = shifted(8, 400, 0.6)
    wide = tuple(
        replace(v, bounds=(v.bounds[0], v.bounds[1] * 17 + 3)) if v.bounds else v
        for v in STUDY.variables
    )

    narrow = oracle(STUDY, analysis, parts).as_json()
    answer = oracle(replace(STUDY, variables=wide), analysis, parts)

    beta, se = ([t[key] for t in narrow["terms"]] for key in ("estimate", "se"))
    assert_same(answer, beta, se, narrow["loglik"])
    assert answer.as_json()["tau"] == pytest.approx(narrow["tau"], rel=1e-9)


def test_the_report_says_how_far_the_sites_lie_apart():
    answer = oracle(STUDY, BINARY, shifted(1, 260, 0.8)).as_json()
    alike = oracle(STUDY, COUNT, dict.fromkeys(STUDY.sites, people(4, 120))).as_json()

    view, _ = model_of(STUDY, BINARY, answer, ("figure", "<10*"))
    other, _ = model_of(STUDY, COUNT, alike, ("figure", "<10*"))

    assert view.measure == "odds ratio"
    assert "intercepts 0.532 (95% CI 0." in view.spread
    assert "a median ratio between two sites of 1.66" in view.spread
    assert other.measure == "rate ratio"
    assert other.spread.startswith("The sites do not differ")


# --- what cannot be -------------------------------------------------------------------
def test_one_site_has_no_random_effect():
    with pytest.raises(NotEstimable, match="two sites"):
        oracle(STUDY, BINARY, {"aa": people(1, 200)})


def test_everyone_with_the_outcome_is_refused():
    parts = {s: p | {"ill": p["ill"] * 0} for s, p in shifted(1, 300, 0.5).items()}

    with pytest.raises(NotEstimable, match="everyone or no one"):
        oracle(STUDY, BINARY, parts)


def test_columns_that_determine_each_other_are_refused():
    with pytest.raises(NotEstimable, match="determine each other"):
        oracle(STUDY, replace(BINARY, terms=("age", "age*2")), shifted(6, 300, 0.5))


def test_a_separated_outcome_is_refused_by_name():
    parts = {
        site: part | {"ill": np.where(part["sex"] == 1, 1, part["ill"])}
        for site, part in shifted(7, 400, 0.5).items()
    }

    with pytest.raises(NotEstimable, match=r"run off to infinity.*sex"):
        oracle(STUDY, replace(BINARY, terms=("age", "sex")), parts)


def test_a_site_where_everyone_has_the_outcome_is_no_obstacle():
    parts = shifted(8, 400, 0.5)
    parts["cc"] = parts["cc"] | {"ill": np.ones_like(parts["cc"]["ill"])}

    assert oracle(STUDY, BINARY, parts).as_json()["tau"] > 0.5


def test_a_quadrature_too_coarse_is_refused_with_the_remedy():
    """Sites of few people and wide apart: nine points are not enough, forty are."""
    few = replace(BINARY, terms=("sex",), nAGQ=9)
    parts = shifted(9, 300, 3.0)

    with pytest.raises(NotEstimable, match="9 points are too few") as caught:
        oracle(STUDY, few, parts)

    assert "larger nAGQ" in str(caught.value)
    assert oracle(STUDY, replace(few, nAGQ=60), parts).as_json()["quadrature"] < 1e-6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"terms": ("age", "site")}, "nothing to the random effect"),
        ({"family": "gaussian"}, "family is 'binomial' or 'poisson'"),
        ({"family": ""}, "glmm needs 'family'"),
        ({"nAGQ": 1}, "nAGQ lies in 9 to 100"),
        ({"family": "poisson"}, "'ill' must be a number"),
        ({"outcome": "visits"}, "'visits' must be a category"),
    ],
)
def test_what_it_cannot_fit_is_refused(change, said):
    study = replace(STUDY, analyses=(replace(BINARY, **change),))

    def read_and_planned():
        read = study_from(parse_canonical(study.canonical))
        return estimator_for(read, read.analyses[0])

    with pytest.raises(InvalidStudy, match=said):
        read_and_planned()


@pytest.mark.parametrize(
    "asked", [None, np.zeros(2), np.zeros((1, 1)), np.array([3.1]), np.array([-20.0])]
)
def test_a_state_without_a_tau_is_refused(asked):
    method = estimator_for(STUDY, BINARY)
    rows = make_rows(method.plan, people(1, 60), "aa")
    state = {"beta": np.zeros(method.plan.parameters)}

    with pytest.raises(WrongShape):
        method.local(rows, state if asked is None else state | {"log_tau": asked})


# --- the door -------------------------------------------------------------------------
def test_later_rounds_send_one_look_and_obey_their_declaration():
    method = estimator_for(STUDY, BINARY)
    parts = shifted(10, 400, 0.8)
    rows = [make_rows(method.plan, part, site) for site, part in parts.items()]
    state, sizes = None, []

    for number in itertools.count():
        declared = method.declare(number)
        sent = [method.local(r, state) if state else method.start(r) for r in rows]
        for one, mine in zip(sent, rows, strict=True):
            check_message(one, declared, mine.n)
        sizes.append(sum(array.size for array in sent[0].values()))
        total = {name: sum(one[name] for one in sent) for name in declared}
        state = method.step(total, state, number)
        if isinstance(state, Finding):
            break

    p, looks = method.plan.parameters, len(glmm.LOOKS)
    one_look = p + p * (p + 1) // 2 + p + 4
    assert sizes[1] == looks * one_look + 3
    assert set(sizes[2:]) == {one_look + 3}


def test_the_gate_sees_who_counts_at_a_state_that_singles_someone_out():
    """A state may hold one person near the middle and everybody else far from it."""
    method = estimator_for(STUDY, replace(BINARY, terms=("age",)))
    columns = people(11, 200) | {"age": np.append(np.full(199, 40.0), 90.0)}
    plan, rows = method.plan, make_rows(method.plan, columns, "aa")
    facts = evidence(plan, rows)
    beta = np.array([0.0, 40.0])
    beta[0] = -beta[1] * rows.X[-1, 1]
    state = {"beta": beta, "log_tau": np.array([np.log(0.5)])}

    found = weighed(facts, plan, rows, method.weights(rows, state))

    assert found.max_leverage > 0.99


def test_the_gate_weighs_what_logistic_regression_needs():
    plan, alone = make_plan(STUDY, BINARY), make_plan(STUDY, ANALYSES["logistic"])
    columns = people(12, 300)

    facts = evidence(plan, make_rows(plan, columns, "aa"))

    alone_facts = evidence(alone, make_rows(alone, columns, "aa"))
    # Other models of the study stand before each of both.
    assert facts == replace(alone_facts, apart=facts.apart)
    assert facts.events > 0


@pytest.mark.parametrize("analysis", [BINARY, COUNT], ids=lambda one: one.name)
def test_the_looks_tell_sites_apart_and_are_graded_so(analysis):
    """As those of `lmm`: eleven taus shrink each site by its own size and outcomes."""
    assert estimator_for(STUDY, analysis).own_parts
