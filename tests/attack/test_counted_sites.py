"""A number that differs within few sites alone: found by a count of sites, or assumed.

Sites say, sealed, in which numbers of a model their people differ. Hubs find whether
any is one of few sites; whoever is not shown that none is grades the model's sums as
these sites' own part.
"""

from dataclasses import replace

import pytest

from hetao.errors import HetaoError, Unverified
from hetao.federation.certify import recompute
from hetao.federation.counting import BROUGHT
from hetao.federation.releases import DIFFERING, read_releases
from hetao.ledger.certificate import published, verify_certificate
from hetao.ledger.envelope import parse_envelope
from hetao.ledger.sealed_counts import FIELD, NAME, PEOPLE
from hetao.ledger.sealed_counts import SITES as BY_SITES
from hetao.ledger.verify_hetao import Refused, verify
from hetao.permit import state
from hetao.release import Policy, pack
from hetao.report.leaving import WORDS, sentence
from hetao.study import Analysis, Grid, Minimum
from support_counts import Refused as NotCounted
from support_counts import counted, opening, refused_but, shares_of
from support_federation import (
    KEY,
    LOGISTIC,
    SITES,
    Federation,
    Plan,
    column,
    toy_study,
)

DOSE = Analysis("model", "logistic", outcome="ill", terms=("1", "age*(dose+1)", "sex"))
MEANS = Analysis("model", "linear", outcome="dose", terms=("1", "sex"))
AGE, COUNT = LOGISTIC, "model/1/sites"
STRICT = dict.fromkeys(SITES, Policy(highest_grade=2))


def made(folder, analysis=DOSE, given="a", sites=SITES, policies=None, **fields):
    """Return a federation where only some sites give a dose; it is 0 at all others."""
    by_file = fields.pop("plan", {})
    study = toy_study((analysis,), sites=sites, **fields)
    dose = column("dose", kind="number", bounds=(0.0, 10.0))
    study = replace(study, variables=(*study.variables, dose))
    federation = Federation(folder, Plan(study, policies=policies or {}, **by_file))
    head, *lines = federation.patients.read_text().splitlines()
    doses = [at % 7 + 1 if line[0] in given else 0 for at, line in enumerate(lines)]
    text = [f"{line},{dose}" for line, dose in zip(lines, doses, strict=True)]
    federation.patients.write_text("\n".join([f"{head},dose", *text]) + "\n")
    return federation


def classes(ran):
    """Return the class in which each site released its rounds, and its count."""
    return {
        (one["task"] == COUNT, receipt["body"]["class"]["released"])
        for one in (*ran.body["rounds"], *ran.body[FIELD])
        for receipt in one["receipts"].values()
    }


def asked_with(federation, content):
    """Return what site a says to the first round: its refusals, or its class."""
    posts = federation.sites["a"].handle(federation.task("a", content=content).data)
    headers = [parse_envelope(data).header for _, data in posts]
    return federation.refusals(posts) or headers[0].grade


# --- a whole run ----------------------------------------------------------------------
def test_a_number_of_all_sites_is_counted_and_stays_a_sum(tmp_path):
    with made(tmp_path, AGE, policies=STRICT) as federation:
        ran = federation.run()
        found = read_releases(federation.setup("a"))

    assert [one.task for one in ran.outcome.counts] == [COUNT]
    assert classes(ran) == {(False, 2), (True, 2)}
    for one in ran.body["rounds"]:
        for receipt in one["receipts"].values():
            assert receipt["body"]["checks"]["passed"]["sealed_sites"] == 3
    assert recompute(ran.value).startswith("1 findings follow")
    for certificate in (ran.certificate, published(ran.certificate)):
        assert verify_certificate(certificate)
        assert verify(certificate)
    (one,) = [each for each in found.departures if each.kind == DIFFERING]
    words = sentence(one, "en")
    assert words.startswith("before model: in which of 1 numbers and parts of terms")
    assert "nobody opens their sum" in words
    assert all({"sites", "unopened_sites"} <= set(said) for said in WORDS.values())


@pytest.mark.parametrize("given", ["a", "ab", "c"])
def test_a_number_of_one_site_or_two_leaves_as_their_own_part(tmp_path, given):
    with made(tmp_path, given=given) as federation:
        ran = federation.run()

    assert classes(ran) == {(False, 3), (True, 2)}
    assert recompute(ran.value)
    assert verify(ran.certificate)


@pytest.mark.parametrize("given", ["a", "ab"])
def test_under_a_permit_of_a_lower_class_no_round_of_it_leaves(tmp_path, given):
    with made(tmp_path, given=given, policies=STRICT) as federation:
        with pytest.raises(HetaoError, match="HT-413"):
            federation.run()
        assert shares_of(federation) == {COUNT}


def test_a_column_of_it_alone_is_refused_by_who_has_it_alike(tmp_path):
    alone = replace(DOSE, terms=("1", "dose", "sex"))
    with made(tmp_path, alone) as federation:
        with pytest.raises(
            HetaoError, match=r"[bc] refused .*HT-402.* one side of dose"
        ):
            federation.run()
        assert shares_of(federation) <= {COUNT}


def test_an_outcome_that_one_site_alone_has_is_its_own_part(tmp_path):
    """Before a model of categories people are counted, and of its outcome sites."""
    stages = replace(MEANS, terms=("1", "sex", "ill"))
    with made(tmp_path, stages) as federation:
        ran = federation.run()

    tasks = [one.task for one in ran.outcome.counts]
    assert tasks == ["model/1/count", COUNT]
    released = {r["body"]["class"]["released"] for r in receipts_of(ran)}
    assert released == {3}
    checks = [r["body"]["checks"] for r in receipts_of(ran)]
    assert all(one["passed"][NAME] == 10 for one in checks)
    assert all(one["not_passed"]["sealed_sites"] == 3 for one in checks)
    assert recompute(ran.value)
    assert verify(ran.certificate)
    assert verify_certificate(published(ran.certificate))


@pytest.mark.parametrize(("given", "released"), [("a", 3), ("abc", 2)])
def test_a_follow_up_that_one_site_alone_has_is_its_own_part(tmp_path, given, released):
    """At all others everybody leaves at once, and nobody is at risk after that."""
    grid = Grid((1.0, 3.0, 5.0, 10.0))
    cox = Analysis("model", "cox", time="dose", event="ill", terms=("age", "sex"))
    with made(tmp_path, replace(cox, grid=grid), given=given) as federation:
        ran = federation.run()

    assert [one.task for one in ran.outcome.counts] == [COUNT]
    assert classes(ran) == {(False, released), (True, 2)}
    assert recompute(ran.value)
    assert verify(ran.certificate)


def receipts_of(ran):
    return [r for one in ran.body["rounds"] for r in one["receipts"].values()]


def of_a(ran):
    """Return the classes of what site a released; the others see it by themselves."""
    bodies = [receipt["body"] for receipt in receipts_of(ran)]
    return {body["class"]["released"] for body in bodies if body["site"] == "a"}


def test_as_few_sites_are_few_as_the_strictest_of_them_says(tmp_path):
    """Two sites give it, and two suffice to each; or one of them asks for three."""
    two = Policy(Minimum(sites=2), reason="made up")
    for at, (policies, released) in enumerate(
        [(dict.fromkeys(SITES, two), 2), ({"a": two, "b": two}, 3)]
    ):
        with made(tmp_path / str(at), given="ab", policies=policies) as federation:
            ran = federation.run()
        assert of_a(ran) == {released}


def test_where_one_site_may_be_seen_alone_nothing_is_counted(tmp_path):
    one = Policy(Minimum(sites=1), reason="made up")
    with made(tmp_path, policies=dict.fromkeys(SITES, one)) as federation:
        ran = federation.run()

    assert ran.outcome.counts == ()
    assert of_a(ran) == {2}
    assert recompute(ran.value)


@pytest.mark.parametrize("sites", [("a", "b"), (*SITES, "d")])
def test_what_is_own_part_anyway_needs_no_count(tmp_path, sites):
    """Two sites; or a model that may be opened once more, without a lost site."""
    fields = {"on_lost_site": "continue"} if len(sites) > 3 else {}
    with made(tmp_path, AGE, sites=sites, **fields) as federation:
        ran = federation.run()

    assert ran.outcome.counts == ()
    assert {r["body"]["class"]["released"] for r in receipts_of(ran)} == {3}
    assert recompute(ran.value)


def test_a_site_that_may_be_told_apart_hides_no_other(tmp_path):
    """Of three sites that give it one may be told apart, and two are left."""
    sites = (*SITES, "d")
    agree = {"d": Policy(told_apart=True)}
    fields = {"sites": sites, "told_apart": ("d",), "policies": agree}
    for given, released in (("abd", 3), ("abc", 2), ("abcd", 2)):
        with made(tmp_path / given, given=given, **fields) as federation:
            ran = federation.run()
        found = {r["body"]["site"]: r["body"]["class"]["released"]
                 for r in receipts_of(ran)}  # fmt: skip
        assert found == {"a": released, "b": released, "c": released, "d": 3}


@pytest.mark.parametrize(("given", "released"), [("a", 3), ("abc", 2)])
def test_a_site_that_was_killed_goes_on_with_the_same_count(tmp_path, given, released):
    with made(tmp_path, given=given) as federation:
        content = opening(federation, BY_SITES)
        task = federation.task("a", content=content)
        for _ in range(2):
            federation.sites["a"].close()
            federation.sites["a"] = federation.open_site("a")
            posts = federation.sites["a"].handle(task.data)
            assert parse_envelope(posts[0][1]).header.grade == released


@pytest.mark.parametrize("released", [2, 3])
def test_later_rounds_go_by_what_the_first_was_shown(tmp_path, released):
    with made(tmp_path, given="abc" if released == 2 else "a") as federation:
        ran = federation.run()

    assert len(ran.body["rounds"]) > 2
    assert {r["body"]["class"]["released"] for r in receipts_of(ran)} == {released}


# --- a coordinator that would go on all the same --------------------------------------
def test_who_is_shown_no_count_takes_it_for_an_own_part(tmp_path):
    with made(tmp_path, AGE) as federation:
        assert asked_with(federation, opening(federation)) == 3
    with made(tmp_path / "2", AGE, policies=STRICT) as federation:
        (rule,) = asked_with(federation, opening(federation))
        assert rule.startswith("HT-413")


def test_who_is_shown_one_goes_by_it(tmp_path):
    with made(tmp_path, AGE) as federation:
        assert asked_with(federation, opening(federation, BY_SITES)) == 2


def test_a_count_of_people_is_none_of_sites(tmp_path):
    stages = replace(MEANS, terms=("1", "sex", "ill"))
    with made(tmp_path, stages) as federation:
        said, tokens = counted(federation, PEOPLE)
        counted(federation, BY_SITES)
        key = BROUGHT[BY_SITES]
        bent = {f"{key} {name.split()[1]}": array for name, array in tokens.items()}
        meta = {"members": list(SITES), "key": KEY, key: said}
        (rule,) = asked_with(federation, pack(meta, bent))

    assert "counted for another study, run or task" in rule


@pytest.mark.parametrize("lie", ["run", "attempt"])
def test_a_count_of_another_place_is_refused(tmp_path, lie):
    with made(tmp_path, AGE) as federation:
        other = {"run": "run-2"} if lie == "run" else {"attempt": 2}
        said, tokens = counted(federation, BY_SITES, **other)
        counted(federation, BY_SITES)
        meta = {"members": list(SITES), "key": KEY, BROUGHT[BY_SITES]: said}
        assert len(asked_with(federation, pack(meta, tokens))) == 1


def test_a_count_that_the_coordinator_made_up_is_refused(tmp_path):
    with made(tmp_path) as federation:
        said, tokens = counted(federation, BY_SITES)
        own = federation.cast.identities["coordinator"]
        meta = {"members": list(SITES), "key": KEY}
        meta[BROUGHT[BY_SITES]] = {
            hub: state(own, one["body"]).as_json() for hub, one in said.items()
        }
        assert len(asked_with(federation, pack(meta, tokens))) == 1


def test_no_sites_are_counted_before_what_has_no_number(tmp_path):
    plain = Analysis("model", "logistic", outcome="ill", terms=("1", "sex"))
    with made(tmp_path, plain) as federation, pytest.raises(NotCounted) as refused:
        counted(federation, BY_SITES)

    assert "nothing is counted before model" in refused.value.args[1]


# --- what a verifier sees -------------------------------------------------------------
@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    with made(tmp_path_factory.mktemp("ran"), AGE) as federation:
        return federation.run()


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    with made(tmp_path_factory.mktemp("few")) as federation:
        return federation.run()


def test_a_certificate_without_the_count_is_refused_where_a_sum_passed_for_one(ran):
    value = ran.value
    value["body"][FIELD] = []

    with pytest.raises(Unverified, match="nobody was counted"):
        recompute(value)
    for check, error in ((verify_certificate, Unverified), (verify, Refused)):
        with pytest.raises(error):
            check(ran.resigned(value["body"]))


def test_one_of_an_earlier_version_of_the_protocol_had_none(ran):
    value = ran.value
    value["body"][FIELD] = []
    for one in value["body"]["permit"]["permit"]["protocols"]:
        if one["name"] == NAME:
            one["version"] = "1"

    assert recompute(value)


@pytest.mark.parametrize("own", ["not_passed", "passed", "not_asked"])
def test_one_that_calls_few_sites_part_a_sum_is_refused(few, own):
    """All sites in league: their records say that it passed, the tokens that not."""
    body, names = few.body, few.cast.identities
    for one in body["rounds"]:
        for site, receipt in one["receipts"].items():
            said = receipt["body"]
            said["checks"]["passed"]["secure_sum"] = 3
            said["checks"]["not_passed"].pop("sealed_sites")
            said["checks"][own]["sealed_sites"] = 3
            one["receipts"][site] = state(names[site], said).as_json()
    bent = few.resigned({**body, "sums": few.sums})

    for check, error in ((verify_certificate, Unverified), (verify, Refused)):
        with pytest.raises(error) as refused:
            check(bent)
        assert "few sites" in str(refused.value)


def elsewhere(one, ran):
    one["task"] = "model/2/sites"


def as_people(one, ran):
    one["task"] = "model/1/count"


def of_fewer(one, ran):
    for hub, said in one["totals"].items():
        own = ran.cast.identities[hub]
        one["totals"][hub] = state(own, {**said["body"], "cell": 2}).as_json()


def spoilt(ran, change):
    body = ran.body
    change(body[FIELD][0], ran)
    return ran.resigned(body)


def test_a_count_that_is_not_what_hubs_signed_is_no_certificate(ran, tmp_path):
    changes = (elsewhere, as_people, of_fewer)
    bad = {one.__name__: spoilt(ran, one) for one in changes}

    refused_but(ran.certificate, bad, tmp_path)
    for data in bad.values():
        with pytest.raises(Unverified):
            verify_certificate(data)
    with pytest.raises(Unverified, match="looked for fewer"):
        verify_certificate(spoilt(ran, of_fewer))
