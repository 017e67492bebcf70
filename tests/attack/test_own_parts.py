"""Models with a term of the site: what they tell of one site, however many are summed.

A product with the site is zero elsewhere, so that a model of such products alone holds
each site's own score and information; a term of the site alone what its people add up
to.
"""

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

from hetao.analysis.estimator import unpacked
from hetao.canonical import parse_canonical
from hetao.federation.certify import recompute
from hetao.federation.counting import Counted
from hetao.federation.totals import total_of
from hetao.ledger.certificate import published, verify_certificate
from hetao.ledger.sealed_counts import is_count
from hetao.ledger.verify_hetao import verify
from hetao.release import Policy
from hetao.release.minimums import counted_before
from hetao.study import Analysis, Minimum
from support_counts import Refused, opening
from support_federation import SITES, Federation, Plan, category, column, toy_study

BESIDE = Analysis("model", "logistic", outcome="ill", terms=("1", "site", "age", "sex"))
CROSSED = replace(BESIDE, terms=("0", "site", "site:age", "site:sex"))
COST = Analysis("model", "linear", outcome="cost", terms=("1", "age"))
VARIABLES = (
    column("cost", kind="number", bounds=(0.0, 1000.0)),
    category("smoker", "no", "yes"),
    column("district", kind="number", bounds=(1.0, 3.0)),  # another at each site
)


@pytest.fixture
def opened(tmp_path):
    """Return a federation of an analysis, and of its people beside the usual columns.

    One of each site's people costs more than all others; six women smoke.
    """
    made = []

    def of(analysis, district=lambda site, number: site + 1, **fields):
        study = toy_study((analysis,))
        study = replace(study, variables=(*study.variables, *VARIABLES))
        federation = Federation(tmp_path / str(len(made)), Plan(study, **fields))
        head, *lines = federation.patients.read_text().splitlines()
        rows, women, numbers = [], dict.fromkeys(SITES, 0), dict.fromkeys(SITES, 0)
        for line in lines:
            site, sex = line[0], line.split(",")[2]
            women[site] += sex == "f"
            smokes = women[site] <= 6 if sex == "f" else len(rows) % 3 == 0
            cost = 1000 if not numbers[site] else 1 + len(rows) % 3 / 10
            code = district(SITES.index(site), numbers[site])
            numbers[site] += 1
            rows.append(f"{line},{cost},{('no', 'yes')[int(smokes)]},{code}")
        text = "\n".join([f"{head},cost,smoker,district", *rows]) + "\n"
        federation.patients.write_text(text)
        made.append(federation)
        return federation

    yield of
    for one in made:
        one.__exit__()


def answered(federation):
    """Return the refusal of site a in the opening; else the class it left in.

    Where another site refuses, a is told that no number is of few sites alone: the
    class follows from what it sees by itself.
    """
    site = federation.sites["a"]
    asked = counted_before(federation.estimator("model"))
    fields, none_few = {}, mock.DEFAULT
    try:
        fields = {"content": opening(federation, *asked)}
    except Refused as refusal:
        name, rule = refusal.args
        if name == "a":
            return rule
        none_few = Counted(3, is_any_small=False)
    counted = site._course.counted
    with mock.patch.object(site._course, "counted", wraps=counted) as found:
        found.side_effect = lambda *_: none_few
        posts = site.handle(federation.task("a", **fields).data)
    if refused := federation.refusals(posts):
        return refused[0]
    entries = [parse_canonical(data) for data in federation.log_entries(site)]
    bodies = [one["body"] for one in entries if "body" in one]
    sums = [body for body in bodies if body["kind"] == "sum"]
    (record,) = [body for body in sums if not is_count(body)]
    return record["class"]["released"]


def test_products_with_the_site_are_graded_as_one_sites_own_part(opened):
    assert answered(opened(BESIDE)) == 2
    assert answered(opened(CROSSED)) == 3
    strict = {site: Policy(highest_grade=2) for site in SITES}
    assert answered(opened(BESIDE, policies=strict)) == 2
    assert "HT-413" in answered(opened(CROSSED, policies=strict))


def test_they_are_one_sites_own_part(opened):
    """Of the sum over all sites, each site's cross products and events, exactly."""
    federation = opened(CROSSED)
    sums = federation.play()
    estimator = federation.estimator("model")
    site = federation.sites["a"]
    _, rows, facts = site._prepared(next(iter(site._runs.values())), "model")
    names = estimator.plan.names
    own = [at for at, name in enumerate(names) if "site[a]" in name]
    assert sums.members == SITES
    assert facts.people == 400

    words, declared = list(sums.words.values()), estimator.declare(0)
    total = total_of(words, declared, "model/1/0", len(SITES))
    products = unpacked(total["info"], len(names))[np.ix_(own, own)]
    assert np.allclose(products, (rows.X.T @ rows.X)[np.ix_(own, own)])
    assert np.allclose(total["score"][own], (rows.X.T @ (rows.y - 0.5))[own])


def test_their_combinations_of_few_are_refused(opened):
    """Six women of the site smoke: a cell of two columns, told by itself."""
    beside = replace(BESIDE, terms=("1", "site", "sex", "smoker", "age"))
    crossed = replace(BESIDE, terms=("0", "site", "site:sex", "site:smoker", "age"))
    assert answered(opened(beside)) == 2
    assert "HT-402" in answered(opened(crossed))


def test_what_a_site_adds_up_to_is_held_to_dominance(opened):
    """One person costs most of what a site's people cost."""
    assert answered(opened(COST)) == 2
    assert "HT-406" in answered(opened(replace(COST, terms=("1", "age", "site"))))
    assert "HT-406" in answered(opened(replace(COST, terms=("1", "age:site"))))


OWN = "(abs(district-2)-district+2)/2"  # 1 at a, 0 at b and c
TOLD = (f"({OWN})*age+1e-6*age", f"{OWN}+1e-6*age", "age", "sex")


TWO = Minimum(sites=2)


def classes(ran):
    """Return the class in which each site released, the same in all rounds."""
    (found,) = {
        tuple((s, r["body"]["class"]["released"]) for s, r in one["receipts"].items())
        for one in ran.body["rounds"]
    }
    return dict(found)


def with_terms(*terms, of=BESIDE):
    return replace(of, terms=terms)


@pytest.mark.parametrize("noise", ["1e-6", "1e-3", "0.1", "1", "1000"])
def test_products_with_a_number_that_tells_the_site_are_graded_so(opened, noise):
    """It is 1 at one site and 0 at the others, with something else of any size."""
    terms = [term.replace("1e-6", noise) for term in TOLD]
    assert answered(opened(with_terms("1", *terms))) == 3


@pytest.mark.parametrize(
    "terms",
    [
        ("1", f"({OWN})*age", "sex"),  # nothing here is the same as in another column
        ("1", f"({OWN}+age)**2", "age**2", "sex"),
        ("1", f"{OWN}+age", "age", "sex"),
        ("1", f"1e9*({OWN})*age", "sex"),
        ("1", f"exp({OWN}+log(age+1))", "sex"),
        ("1", f"ns(age*({OWN}+1), df = 3)", "sex"),
        ("1", "district:sex", "age"),
        ("1", "age:district", "sex"),
        ("1", "age/district", "sex"),
    ],
)
def test_however_it_is_written(opened, terms, record_property):
    """Every term that has the number in it and something else."""
    grade = answered(opened(with_terms(*terms)))
    record_property("figure", f"`{terms[1]}` in class {grade}")
    assert grade == 3


def test_few_people_of_another_code_do_not_hide_it(opened):
    """Nine at most are refused besides, in a column of their own or not."""

    def odd(few):
        return lambda site, number: 2 if site == 0 and number < few else site + 1

    alone = with_terms("1", f"({OWN})*age", "sex")
    for few in (10, 13):  # one in a hundred
        assert answered(opened(alone, odd(few), people=1_300)) == 3
    for few in (1, 9):
        assert "HT-407" in answered(opened(alone, odd(few)))
        assert "HT-404" in answered(opened(with_terms("1", *TOLD), odd(few)))


def test_a_code_that_two_sites_share(opened):
    terms = with_terms("1", *TOLD)
    assert answered(opened(terms, lambda site, _: max(site, 1))) == 3


def test_what_it_tells_is_held_to_dominance_and_combinations(opened):
    cost = replace(COST, terms=("1", "age", f"({OWN})*age+1e-3*age**2"))
    crossed = ("1", f"({OWN})*age+1e-3*age**2", "sex", "smoker", "age")
    assert "HT-406" in answered(opened(cost))
    assert "HT-402" in answered(opened(with_terms(*crossed)))

    beside = replace(COST, terms=("1", "age", "district"))
    nearly = opened(beside, lambda site, at: site + 1 + at % 7 * 1e-7)
    assert "HT-406" in answered(nearly)
    apart = opened(beside, lambda site, at: site + 1 + at % 7 * 1e-2)
    assert answered(apart) == 2


def test_sites_may_release_one_sum_in_different_classes(opened):
    """Of c's people one half has another code."""
    terms, two = with_terms("1", "age*district", "sex"), Policy(TWO, reason="made up")
    ran = opened(
        terms,
        lambda site, at: 2 + at % 2 if site else 1,
        policies=dict.fromkeys(SITES, two),
    ).run()

    verify_certificate(ran.certificate, ran.cast.directory)
    assert verify(ran.certificate)
    assert classes(ran) == {"a": 3, "b": 2, "c": 2}


def test_what_differs_within_one_site_alone_is_graded_so(opened):
    """It is 0 at all other sites, which see that it is; this one does not."""
    terms = with_terms("1", "(district-1)*age+1e-3*age", "sex")
    assert answered(opened(terms, lambda site, at: 1 if site else 2 + at % 2)) == 3


def test_all_sites_grade_so_what_differs_within_one_of_them(opened):
    """And the certificate that says so is verified, with the tokens and without."""
    terms = with_terms("1", "age*district", "sex")
    said = []
    ran = opened(
        terms, lambda site, at: 2 + at % 2 if site == 2 else site + 1, say=said.append
    ).run()

    assert classes(ran) == {"a": 3, "b": 3, "c": 3}
    assert any("differs at fewer than 3 sites alone" in words for words in said)
    for one in ran.body["rounds"]:
        for receipt in one["receipts"].values():
            assert receipt["body"]["checks"]["not_passed"]["sealed_sites"] == 3
    assert recompute(ran.value).startswith("1 findings follow")
    for certificate in (ran.certificate, published(ran.certificate)):
        assert verify_certificate(certificate, ran.cast.directory)
        assert verify(certificate)


def test_other_numbers_are_graded_as_before(opened):
    for terms in (("age", "age**2", "sex"), ("age:sex", "sex"), ("ns(age, df = 3)",)):
        assert answered(opened(with_terms("1", *terms))) == 2
