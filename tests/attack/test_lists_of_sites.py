"""The same people asked over other lists of sites: what is left by subtraction.

`Hospital` is one site's memory; the attacks on whole sites follow. What two sums over
`abcd` and over `abc` tell is d's own part.
"""

import itertools
import sqlite3
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetao.errors import TooClose
from hetao.federation.memory import REMEDY, WORDS
from hetao.federation.propose import draft_permit
from hetao.ledger.envelope import parse_envelope
from hetao.ledger.sealed_counts import SITES as BY_SITES
from hetao.release import Policy
from hetao.release.lists import Summed
from hetao.study import Analysis
from support_counts import opening
from support_federation import LOGISTIC, Federation, Plan, category, toy_study
from support_memory import CELL, LATER, NOW, Hospital, N

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import bench_honest


@pytest.fixture
def hospital(tmp_path):
    made = Hospital(tmp_path)
    yield made
    made.memory.close()


def over(sites, apart=""):
    return Summed(frozenset(sites), frozenset(apart))


def first(count, start=0):
    return (np.arange(N) >= start) & (np.arange(N) < start + count)


# --- one memory -----------------------------------------------------------------------
def test_the_same_people_over_a_list_without_one_site_are_refused(hospital):
    hospital.ask(first(500), over=over("abcd"))

    with pytest.raises(TooClose) as refused:
        hospital.ask(first(500), over=over("abc"))
    assert (refused.value.what, refused.value.fix) == (WORDS, REMEDY)
    assert "another list of sites" in refused.value.local
    hospital.ask(first(500), over=over("abcd"))
    hospital.ask(first(300), over=over("abc"))


@pytest.mark.parametrize("lists", [("abcd", "abc"), ("abc", "abcd"), ("abcd", "abce")])
def test_so_is_a_part_of_quite_other_people(hospital, lists):
    """No woman is under 40: her people differ by a thousand, and the cell by nobody."""
    hospital.ask((first(N), {"old": first(300)}), over=over(lists[0]))

    with pytest.raises(TooClose) as refused:
        hospital.ask((first(800), {"aged": first(300)}), over=over(lists[1]))
    assert "aged of model 0" in refused.value.local


@pytest.mark.parametrize("few", [1, 5, CELL - 1])
def test_so_is_a_small_part_which_no_other_rule_holds_apart(hospital, few):
    hospital.ask((first(N), {"rare": first(few)}), over=over("abcd"))

    with pytest.raises(TooClose):
        hospital.ask((first(800), {"rare": first(few)}), over=over("abc"))


def test_a_small_part_that_shares_somebody_is_as_good_as_the_same(hospital):
    hospital.ask((first(N), {"rare": first(5)}), over=over("abcd"))

    with pytest.raises(TooClose):
        hospital.ask((first(800), {"rare": first(4)}), over=over("abc"))
    hospital.ask((first(800), {"rare": first(4, 5)}), over=over("abc"))


def test_of_several_as_large_each_is_looked_at(hospital):
    parts = {
        name: first(300, start)
        for name, start in zip("mno", (0, 300, 600), strict=True)
    }
    hospital.ask((first(N), parts), over=over("abcd"))

    for name, part in parts.items():
        with pytest.raises(TooClose, match=WORDS):
            hospital.ask((first(800), {name: part}), over=over("abc"))


def test_the_same_people_are_refused_where_a_cell_of_one_asks_for_nothing(hospital):
    hospital.ask(first(500), over=over("abcd"), cell=1)

    with pytest.raises(TooClose):
        hospital.ask(first(500), over=over("abc"), cell=1)
    hospital.ask(first(499), over=over("abc"), cell=1)


def test_where_a_site_asks_for_no_sites_sums_are_not_held_to_those_of_before(hospital):
    hospital.sites = 1
    everyone, some = (Summed(frozenset(s), frozenset(), 3) for s in ("abcd", "abc"))
    hospital.ask(first(N), over=everyone)
    hospital.ask(first(400), over=some)

    hospital.ask(first(600, 400), over=some)
    hospital.ask(first(N), over=some)


def test_a_site_that_asks_for_two_refuses_what_leaves_one(hospital):
    hospital.sites = 2
    hospital.ask(first(N), over=over("abcde"))

    hospital.ask(first(N), over=over("abc"))
    with pytest.raises(TooClose):
        hospital.ask(first(N), over=over("abcd"))
    hospital.ask(first(400), over=over("abcd"))
    with pytest.raises(TooClose):
        hospital.ask(first(600, 400), over=over("abcd"))


def test_a_small_part_may_be_shown_in_other_company_over_the_same_list(hospital):
    hospital.ask((first(N), {"rare": first(5)}), over=over("abcd"))

    hospital.ask((first(800), {"rare": first(5)}), over=over("abcd"))
    hospital.ask((first(600), {"rare": first(5)}), over=over("abcdefg"))


def test_one_permit_is_not_held_against_itself(hospital):
    """Hubs open over one list what is not to be published by itself."""
    hospital.ask(first(500), permit="p", over=over("abcd"))

    hospital.ask(first(500), permit="p", over=over("abc"))
    with pytest.raises(TooClose):
        hospital.ask(first(500), over=over("abcd"))  # now beside p's abc


def test_a_list_that_was_reserved_and_never_used_is_over_when_its_permit_is(hospital):
    asked = hospital.asked(first(500), over=over("abcd"))
    hospital.reserve(asked)

    with pytest.raises(TooClose):
        hospital.ask(first(500), over=over("abc"))
    later = NOW.replace(year=2027)
    assert later.isoformat() > LATER
    hospital.ask(first(500), over=over("abc"), now=later)


def test_a_list_is_over_though_the_permit_has_shown_the_same_over_another(hospital):
    """d was away from the start: nothing was ever sent over all four."""
    hospital.reserve(hospital.asked(first(500), over=over("abcd")), permit="p")
    hospital.ask(first(500), permit="p", over=over("abc"))
    later = NOW.replace(year=2027)

    hospital.ask(first(500), over=over("abc"), now=later)
    with pytest.raises(TooClose):
        hospital.ask(first(500), over=over("abcd"), now=later)


def test_a_study_that_asked_for_more_sites_is_held_to_that_ever_after(hospital):
    strict = Summed(frozenset("abcdefgh"), frozenset(), 5)
    hospital.ask(first(500), over=strict)

    with pytest.raises(TooClose):
        hospital.ask(first(500), over=over("abcd"))
    hospital.ask(first(500), over=over("abc"))


def test_who_agreed_to_be_told_apart_may_come_and_go(hospital):
    hospital.ask(first(500), over=over("abc"))
    hospital.ask(first(500), over=over("abcd", "d"))
    hospital.ask(first(500), over=over("abc"))

    with pytest.raises(TooClose):
        hospital.ask(first(500), over=over("abcde"))
    hospital.ask(first(500), over=over("abcde", "de"))
    with pytest.raises(TooClose):
        hospital.ask(first(500), over=over("abd", "abd"))  # c would be left


@pytest.mark.parametrize("sites", [1, 3])
def test_a_least_of_one_site_asks_for_nothing(hospital, sites):
    hospital.sites = sites
    hospital.ask(first(500), over=over("abcd"))
    try:
        hospital.ask(first(500), over=over("abc"))
    except TooClose:
        assert sites == 3
    else:
        assert sites == 1


def test_two_answers_that_add_up_to_one_over_another_list_are_refused(hospital):
    """Women and men over abc, who are everybody over abcd."""
    hospital.ask(first(N), over=over("abcd"))
    hospital.ask(first(400), over=over("abc"))

    with pytest.raises(TooClose) as refused:
        hospital.ask(first(600, 400), over=over("abc"))
    assert "add up to" in refused.value.local
    with pytest.raises(TooClose):  # which would leave d's 400
        hospital.ask(first(600, 400), over=over("abcd"))
    hospital.ask(first(600, 400), over=over("abcdefg"))


def test_so_is_the_sum_of_what_was_shown_over_another_list(hospital):
    """Everybody was shown over many more, which is far enough; over abcd it is not."""
    hospital.ask(first(N), over=over("abcdefgh"))
    hospital.ask(first(400), over=over("abc"))
    hospital.ask(first(600, 400), over=over("abc"))

    with pytest.raises(TooClose):
        hospital.ask(first(N), over=over("abcd"))
    hospital.ask(first(N), over=over("abcdefgh"))


def test_three_that_add_up_are_looked_at_too(hospital):
    hospital.ask(first(N), over=over("abcd"))
    hospital.ask(first(300), over=over("abc"))
    hospital.ask(first(300, 300), over=over("abc"))

    with pytest.raises(TooClose):
        hospital.ask(first(400, 600), over=over("abc"))


def test_the_other_whole_of_a_study_counts_over_the_studys_own_list(hospital):
    hospital.ask(first(N), over=over("abcd"))

    with pytest.raises(TooClose):
        hospital.ask(first(400), first(600, 400), over=over("abc"))
    hospital.ask(first(400), first(600, 400), over=over("abcd"))


def test_a_sum_that_leaves_just_a_cell_of_people_is_answered(hospital):
    hospital.ask(first(200))
    hospital.ask(first(200, 200))

    for start in range(0, 80, CELL):
        hospital.ask(first(400) & ~first(CELL, start))


def test_people_who_differ_by_just_a_cell_are_others_over_another_list_too(hospital):
    hospital.ask(first(500), over=over("abcd"))

    half = CELL // 2
    for start in range(0, 80, half):
        others = first(500) & ~first(half, start) | first(half, 500 + start)
        hospital.ask(others, over=over("abc"))


def test_a_part_that_may_be_told_apart_is_not_held_apart_from_a_sealed_one(hospital):
    """A model and a table of one study that goes on without a lost site."""
    parts = [(first(N), {name: first(n)}) for name, n in (("died", 300), ("ill", 305))]
    model, table = hospital.asked(*parts)
    alone = [replace(one, alone=True) for one in (model, table)]

    with pytest.raises(TooClose):
        hospital.reserve(alone)
    hospital.reserve([alone[0], table])


# --- random permits -------------------------------------------------------------------
PEOPLE = 60
WHOLES = (slice(0, 60), slice(0, 40), slice(20, 60), slice(0, 20))
PARTS = (slice(5, 35), slice(5, 25), slice(3, 7), slice(4, 7))
NAMES = "abcde"


@st.composite
def permits(draw):
    """Draw what each of some permits asks: sites, who is named, and of whom at each."""
    sites = draw(st.sets(st.sampled_from(NAMES), min_size=2))
    named = draw(st.sets(st.sampled_from(sorted(sites)), max_size=2))
    kinds = st.sampled_from(range(len(WHOLES)))
    usual = draw(st.tuples(kinds, kinds))
    odd = draw(st.dictionaries(st.sampled_from(NAMES), st.tuples(kinds, kinds)))
    whom = {site: odd.get(site, usual) for site in sites}
    fewer = len(sites - named) < 3
    return over(sites, sites if fewer else named), whom


def people(which):
    mask = np.zeros(PEOPLE, dtype=bool)
    mask[which] = True
    return mask


def left_over(one, other, which):
    """Return the sites at which what two permits show is not about the same people."""
    (lists, whom), (others, those) = one, other
    sites = (lists.sites | others.sites) - {
        site
        for site in lists.sites & others.sites
        if whom[site][which] == those[site][which]
    }
    return {
        site
        for site in sites
        if not all(site in each.apart for each in (lists, others) if site in each.sites)
    }


@settings(max_examples=40, deadline=None)
@given(asked=st.lists(permits(), min_size=2, max_size=6))
def test_no_two_answers_of_random_permits_are_a_sum_over_few_unnamed_sites(asked):
    answered = []
    with tempfile.TemporaryDirectory() as folder:
        sites = {
            name: Hospital(Path(folder) / name, PEOPLE, share=1e6) for name in NAMES
        }
        for number, (lists, whom) in enumerate(asked):
            try:
                for site in sorted(lists.sites):
                    whole, part = (
                        people(f[k])
                        for f, k in zip((WHOLES, PARTS), whom[site], strict=True)
                    )
                    sites[site].ask(
                        (whole, {"part": part}),
                        permit=f"p{number}",
                        over=lists,
                        alone=site in lists.apart,
                    )
            except TooClose:
                continue
            answered.append((lists, whom))
        for site in sites.values():
            site.memory.close()

    for one, other in itertools.combinations(answered, 2):
        for which in range(2):
            left = left_over(one, other, which)
            if left & (one[0].sites ^ other[0].sites):  # else lists have no part in it
                assert len(left) not in (1, 2)


# --- whole sites ----------------------------------------------------------------------
TABLE = Analysis("table", "table1", variables=("old",))
OLD = {"a": 90, "b": 80, "c": 70, "d": 60}


def asked_of(sites, analysis=TABLE, version="1", **fields):
    study = toy_study((analysis,), sites=tuple(sites), **fields)
    variables = (*study.variables, category("old", "n", "y"))
    return replace(study, variables=variables, version=version)


@pytest.fixture
def network(tmp_path):
    """Return what makes a federation of four, in which so many are old at each."""
    made = []

    def make(study, old=OLD, **plan):
        federation = Federation(tmp_path / str(len(made)), Plan(study=study, **plan))
        made.append(federation)
        header, *lines = federation.patients.read_text().splitlines()
        left, out = dict(old), [f"{header},old"]
        for line in lines:
            left[line[0]] -= 1
            out.append(f"{line},{'ny'[left[line[0]] >= 0]}")
        federation.patients.write_text("\n".join(out) + "\n")
        return federation

    yield make
    for federation in made:
        federation.__exit__()


def permitted(federation, study):
    draft = draft_permit(study, federation.cast.directory, federation.clock())
    federation.study = study
    federation.bundle = federation.cast.approved(draft, federation.clock())


def begun(federation, run):
    """Return the code with which each site of a study refuses; "" where it is ready."""
    found = {}
    for name in federation.study.sites:
        (data,) = (
            post
            for _, post in federation.sites[name].handle(
                federation.begin(name, run=run).data
            )
        )
        kind, meta, _ = federation.opened(data)
        found[name] = meta["code"] if kind == "refusal" else ""
    return found


def released(federation, name="d", **fields):
    posts = federation.sites[name].handle(federation.task(name, **fields).data)
    last = posts[-1][1]
    return parse_envelope(last).header.kind, federation.opened(last)[1]


def test_a_hospital_that_is_named_joins_and_leaves(network):
    federation = network(asked_of("abcd", told_apart=("d",)))
    federation.play(run="first")

    permitted(federation, asked_of("abc"))

    assert set(begun(federation, "second").values()) == {""}
    federation.play(run="second")
    permitted(federation, asked_of("abcd", told_apart=("d",), version="2"))
    assert set(begun(federation, "third").values()) == {""}


def test_one_that_is_not_named_does_not_join(network):
    federation = network(asked_of("abcd"))
    assert sorted(federation.sites) == list("abcd")
    permitted(federation, asked_of("abc"))
    federation.play(run="first")

    permitted(federation, asked_of("abcd", version="2"))

    codes = begun(federation, "second")
    assert codes.pop("d") == ""  # who has shown nothing yet
    assert set(codes.values()) == {"HT-416"}


def test_who_is_named_holds_its_own_cells_to_the_minimum(network):
    few = network(asked_of("abcd", told_apart=("d",)), {**OLD, "d": 3})
    few.sites["d"].handle(few.begin("d").data)
    kind, meta = released(few)
    assert (kind, meta["code"]) == ("refusal", "HT-405")

    sealed = network(asked_of("abcd"), {**OLD, "d": 3})
    sealed.sites["d"].handle(sealed.begin("d").data)
    assert released(sealed)[0] == "receipt"


def test_who_is_named_tells_what_one_site_tells_and_the_others_a_sealed_sum(network):
    federation = network(asked_of("abcd", told_apart=("d",)))
    found = {}
    for name in "ad":
        federation.sites[name].handle(federation.begin(name).data)
        found[name] = released(federation, name)[1]["body"]

    assert {name: body["class"]["kind"] for name, body in found.items()} == {
        "a": "model_update_secagg",
        "d": "model_update",
    }
    assert "secure_sum" in found["d"]["checks"]["not_passed"]


def test_a_site_can_refuse_to_be_told_apart(network):
    policies = {"d": Policy(told_apart=False)}
    federation = network(asked_of("abcd", told_apart=("d",)), policies=policies)

    assert begun(federation, "first") == {"a": "", "b": "", "c": "", "d": "HT-405"}
    permitted(federation, asked_of("abcd"))
    assert set(begun(federation, "second").values()) == {""}


def test_a_model_of_a_study_that_goes_on_has_the_class_of_one_sites_own_part(network):
    """Hubs may open it over all and once more over those that are left."""
    kinds = {}
    for says in ("stop", "continue"):
        federation = network(asked_of("abcd", LOGISTIC, on_lost_site=says))
        content = opening(federation, BY_SITES, members=tuple("abcd"))
        answer = released(federation, content=content)[1]
        kinds[says] = answer["body"]["class"]["kind"]

    assert kinds == {"stop": "model_update_secagg", "continue": "model_update"}


def test_a_site_that_lets_no_such_class_out_takes_no_part_in_one_that_goes_on(network):
    study = asked_of("abcd", LOGISTIC, on_lost_site="continue")
    federation = network(study, policies={"d": Policy(highest_grade=2)})
    federation.sites["d"].handle(federation.begin("d").data)

    kind, meta = released(federation)

    assert (kind, meta["code"]) == ("refusal", "HT-413")


def test_a_table_over_those_that_were_left_is_not_asked_over_all_again(network):
    """Of a lost site's part, beside the sum without it."""
    federation = network(asked_of("abcd", on_lost_site="continue"))
    for name in "abc":
        federation.sites[name].handle(federation.begin(name).data)
        assert released(federation, name, members=tuple("abc"))[0] == "receipt"

    permitted(federation, asked_of("abcd", version="2"))

    codes = begun(federation, "second")
    assert codes.pop("d") == ""
    assert set(codes.values()) == {"HT-416"}


# --- a memory of before, and one that was set back ------------------------------------
def changed(federation, name, *statements):
    path = federation.setup(name).folder / "releases.sqlite"
    with closing(sqlite3.connect(path)) as db:
        for text in statements:
            db.execute(text)
        db.commit()


def lists_of(federation, name):
    path = federation.setup(name).folder / "releases.sqlite"
    with closing(sqlite3.connect(path)) as db:
        return sorted(db.execute("SELECT analysis, sites, apart, least FROM summed"))


@pytest.mark.parametrize("sites", ["abcd", "ab"])
def test_a_memory_of_an_earlier_edition_is_told_its_lists_by_the_journal(
    network, sites
):
    federation = network(asked_of(sites))
    federation.play(run="first")
    before = lists_of(federation, "a")
    federation.sites["a"].close()
    changed(federation, "a", "DROP TABLE summed")

    federation.sites["a"] = federation.open_site("a")

    assert lists_of(federation, "a") == before
    assert before


def test_a_list_over_which_it_went_on_is_told_by_the_record(network):
    federation = network(asked_of("abcd", on_lost_site="continue"))
    site = federation.sites["a"]
    site.handle(federation.begin("a").data)
    assert released(federation, "a", members=tuple("abc"))[0] == "receipt"
    before = lists_of(federation, "a")
    site.close()
    changed(federation, "a", "DROP TABLE summed")

    federation.open_site("a")

    assert lists_of(federation, "a") == before
    assert len(before) == 2


@pytest.mark.parametrize("sites", ["abc", "abcd"])
def test_a_list_that_nobody_knows_is_too_close_to_every_other(network, sites):
    """Its journal is another one, in which that permit does not stand."""
    federation = network(asked_of("abcd"))
    federation.play(run="first")
    federation.sites["a"].close()
    other = "UPDATE shown SET permit = 'another'"
    changed(federation, "a", "DROP TABLE summed", other)
    federation.sites["a"] = federation.open_site("a")
    assert lists_of(federation, "a") == [("table", "", "", 1)]

    permitted(federation, asked_of(sites, version="2"))

    assert begun(federation, "second")["a"] == "HT-416"


# --- a network that grows -------------------------------------------------------------
def test_a_growing_network_is_answered_again_where_it_names_who_joins():
    """As `benchmarks/bench_honest.py --growing` tells, of smaller hospitals."""
    _, unnamed, named, *_ = bench_honest.WAYS

    refused, asked = bench_honest.grown(6000, unnamed)
    few = refused[True]  # too close to another question of a small hospital
    assert (refused[False], asked[False]) == (110, 110)
    again = {True: few, False: few * (bench_honest.TIMES - 1)}
    assert few < 3
    assert bench_honest.grown(6000, named)[0] == again
