"""Combinations of columns: what cross products and rounds tell of, and to whom."""

from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import Finding, estimator_for, evidence, make_rows
from hetao.analysis.combinations import combinations
from hetao.analysis.telling import tells_of_few
from hetao.errors import HetaoError, SmallCell, Unverified
from hetao.federation.certify import recompute, sums_of
from hetao.ledger.certificate import verify_certificate
from hetao.release import checks_of
from hetao.release.minimums import check_combinations
from hetao.study import Analysis, Minimum
from support_analysis import category, number, study_of
from support_federation import Federation, Plan, toy_study
from support_federation import category as flat_category

CELL = 10
STRICT = Minimum()
NAMES = ("arm", "sex", "smoker")
VARIABLES = (
    *(category(name, "no", "yes") for name in (*NAMES, "ill")),
    number("age", 18, 100),
)


def people(*counts, seed=0):
    """Return columns of so many people of each combination, the last name fastest."""
    draw = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(counts)), counts)
    places = range(len(NAMES) - 1, -1, -1)
    columns = {name: codes >> at & 1 for name, at in zip(NAMES, places, strict=True)}
    columns["ill"] = (draw.random(len(codes)) < 0.4).astype(np.int64)
    columns["age"] = draw.integers(18, 100, len(codes)).astype(float)
    return columns


def model(*terms, method="logistic"):
    outcome = "age" if method == "linear" else "ill"
    analysis = Analysis("m", method, outcome=outcome, terms=("1", *terms))
    return estimator_for(study_of(VARIABLES, analysis), analysis)


def course_of(method, columns):
    """Return (state, sums) of each round that is taken over everybody."""
    rows = make_rows(method.plan, columns, "aa")
    state, course = None, []
    while True:
        sums = method.local(rows, state) if state else method.start(rows)
        course.append((state, sums))
        state = method.step(sums, state, len(course) - 1)
        if isinstance(state, Finding):
            return course


MANY = (40, 50, 60, 70, 45, 55, 65, 75)
FEW_TOGETHER = (40, 50, 60, 70, 45, 55, 65, 4)  # every pair has 59 people or more
FEW_OF_TWO = (40, 50, 60, 70, 45, 55, 3, 4)  # 7 in the arm and of the sex


# --- to readers of a certificate ------------------------------------------------------
@pytest.mark.parametrize(
    ("counts", "terms", "told"),
    [
        (MANY, ("arm", "sex"), False),
        (MANY, NAMES, False),
        (FEW_OF_TWO, ("arm", "sex"), True),
        (FEW_OF_TWO, ("arm", "sex", "age"), True),
        (FEW_OF_TWO, ("arm", "smoker", "age"), False),
        (FEW_TOGETHER, ("arm", "sex"), False),
        (FEW_TOGETHER, NAMES, True),
        (FEW_TOGETHER, (*NAMES, "age"), False),
        ((*MANY[:-1], 0), NAMES, False),
        (FEW_OF_TWO, ("arm:sex",), True),
    ],
)
def test_sums_tell_of_few_where_a_pair_or_all_columns_together_have_few(
    counts, terms, told
):
    method = model(*terms)

    course = course_of(method, people(*counts))

    assert tells_of_few(method, course, CELL) == told
    assert not tells_of_few(method, course, 1)


@pytest.mark.parametrize("method", ["logistic", "poisson", "firth"])
def test_every_kind_of_regression_is_asked(method):
    penalty = {"penalty": "firth"} if method == "firth" else {}
    name = "logistic" if method == "firth" else method
    analysis = Analysis("m", name, outcome="ill", terms=("1", *NAMES), **penalty)
    variables = VARIABLES
    if method == "poisson":
        variables = (*VARIABLES[:3], number("ill", 0, 9), VARIABLES[-1])
    made = estimator_for(study_of(variables, analysis), analysis)

    def told(counts):
        columns = people(*counts)
        if method == "poisson":
            columns["ill"] = columns["ill"].astype(float)
        return tells_of_few(made, course_of(made, columns), CELL)

    assert not told(MANY)
    assert told(FEW_TOGETHER)


def test_what_cannot_be_solved_is_taken_for_small():
    """Least squares tells pairs alone: that no combination is small cannot be seen."""
    method = model(*NAMES, method="linear")

    assert tells_of_few(method, course_of(method, people(*MANY)), CELL)


# --- to whoever may see a site's own sum ----------------------------------------------
def facts_of(method, columns):
    rows = make_rows(method.plan, columns, "aa")
    return evidence(method.plan, rows)


def is_refused(facts):
    try:
        check_combinations(facts, (0, 25), STRICT, "aa")
    except SmallCell:
        return True
    return False


@pytest.mark.parametrize(
    ("counts", "terms", "refused"),
    [
        (MANY, NAMES, False),
        (FEW_OF_TWO, ("arm", "sex"), True),
        (FEW_OF_TWO, ("arm", "sex", "age"), True),
        (FEW_TOGETHER, NAMES, True),
        (FEW_TOGETHER, (*NAMES, "age"), False),
    ],
)
def test_a_site_that_can_be_told_apart_refuses_what_would_tell_of_few(
    counts, terms, refused
):
    assert is_refused(facts_of(model(*terms), people(*counts))) == refused


def test_a_number_of_two_values_is_a_column_like_a_category():
    variables = (VARIABLES[0], number("sex", 0, 1), number("smoker", 0, 1))
    analysis = Analysis("m", "logistic", outcome="ill", terms=("1", *NAMES))
    study = study_of((*variables, *VARIABLES[3:]), analysis)
    columns = people(*FEW_TOGETHER)
    columns |= {name: columns[name].astype(float) for name in ("sex", "smoker")}

    assert is_refused(facts_of(estimator_for(study, analysis), columns))


def test_people_of_many_rows_count_once_in_a_combination():
    analysis = Analysis(
        "m",
        "linear",
        outcome="age",
        terms=("1", "arm", "sex"),
        person="who",
        most_rows=9,
        variance="robust",
    )
    who = replace(number("who", 0, 1), kind="key", bounds=None)
    method = estimator_for(study_of((*VARIABLES, who), analysis), analysis)
    columns = people(*MANY)
    everyone = np.arange(len(columns["age"]))
    both = np.flatnonzero((columns["arm"] == 1) & (columns["sex"] == 1))
    everyone[both] = both[0] + np.arange(len(both)) // 9  # of one person nine rows
    few = facts_of(method, columns | {"who": everyone})

    assert len(both) // 9 > CELL
    assert few.combinations.pair == -(-len(both) // 9)


def test_an_arm_of_an_effect_is_looked_at_by_itself():
    columns = people(*MANY)
    columns["smoker"][:220] = 0  # of those without treatment two smoke
    columns["smoker"][:2] = 1
    analysis = Analysis(
        "m", "ipw", outcome="ill", treatment="arm", terms=("sex", "smoker")
    )
    method = estimator_for(study_of(VARIABLES, analysis), analysis)
    rows = make_rows(method.plan, columns, "aa")

    found = combinations(method.plan, rows)

    assert found.pair == 2


# --- a whole run ----------------------------------------------------------------------
CROSSED = Analysis("model", "logistic", outcome="ill", terms=("1", "age", "sex", "old"))


def certified(folder, women, sites=("a", "b", "c")):
    """Run a model where 40 men, and so many women, at each site are of one level."""
    with Federation(folder, Plan(study=crossed(sites))) as federation:
        left = {(site, sex): most for site in sites for sex, most in _of(women)}
        make_old(federation.patients, left)
        return federation.run()


def crossed(sites, **fields):
    study = toy_study((CROSSED,), sites=sites, **fields)
    return replace(study, variables=(*study.variables, flat_category("old", "n", "y")))


def make_old(patients, left):
    """Add a column: of each site and sex so many are old."""
    header, *lines = patients.read_text().splitlines()
    out = [f"{header},old"]
    for line in lines:
        site, _, sex, _ = line.split(",")
        left[site, sex] -= 1
        out.append(f"{line},{'ny'[left[site, sex] >= 0]}")
    patients.write_text("\n".join(out) + "\n")


def _of(women):
    return ("m", 40), ("f", women)


def test_a_certificate_withholds_the_integers_whose_cross_products_tell_of_few(
    tmp_path,
):
    """Six women of 1,200 people; each column has 40 people or more at each site."""
    ran = certified(tmp_path, women=2)

    (item,) = ran.body["findings"]
    assert item["withheld"]
    assert item["finding"]["combinations"] is None
    assert item["finding"]["n"] == 1200
    assert ran.sums == {}
    assert verify_certificate(ran.certificate).withheld == ("model",)


def test_who_shows_the_integers_that_tell_of_few_is_refused(tmp_path):
    ran = certified(tmp_path, women=2)
    body, (item,) = ran.body, ran.body["findings"]
    sums = sums_of(replace(ran.outcome, answers=()))  # no finding withholds any
    del item["finding"]["combinations"]
    told = [{**item, "withheld": False}]
    limits = body["smallest_shown"], body["rounded_to"]
    checks = checks_of(ran.outcome.study, told, limits)

    with pytest.raises(Unverified, match="model does not follow"):
        recompute({"body": {**body, "findings": told, "checks": checks}, "sums": sums})


def test_a_certificate_whose_cross_products_tell_of_many_shows_its_integers(tmp_path):
    ran = certified(tmp_path, women=12)

    (item,) = ran.body["findings"]
    assert not item["withheld"]
    assert "combinations" not in item["finding"]
    assert recompute(ran.value).startswith("1 findings follow")


def test_a_sum_over_two_sites_whose_cross_products_tell_of_few_is_refused(tmp_path):
    with pytest.raises(HetaoError, match="HT-402"):
        certified(tmp_path, women=2, sites=("a", "b"))


@pytest.mark.parametrize("women", [3, 12])
def test_who_says_that_a_site_was_lost_learns_of_no_few_by_subtraction(tmp_path, women):
    """Two sums over lists that differ by a site are that site's own cross products."""
    study = crossed(("a", "b", "c", "d"), on_lost_site="continue")
    with Federation(tmp_path, Plan(study=study)) as federation:
        left = {(name, sex): 40 for name in study.sites for sex in "fm"}
        make_old(federation.patients, left | {("d", "f"): women})
        site = federation.sites["d"]
        site.handle(federation.begin("d").data)

        posts = site.handle(federation.task("d").data)

    refused = federation.refusals(posts)
    assert bool(refused) == (women < CELL)
    assert all(rule.startswith("HT-402") for rule in refused)
