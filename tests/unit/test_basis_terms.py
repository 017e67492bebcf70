"""What a legal ground allows at most is evaluated; what it says in words is read."""

from dataclasses import replace

import numpy as np
import pytest

from hetao.canonical import digest_bytes
from hetao.cli.main import main
from hetao.errors import (
    BeyondBasis,
    InvalidData,
    InvalidFacts,
    InvalidNetwork,
    NotApproved,
    UngradedRelease,
)
from hetao.federation.propose import Request, draft_permit
from hetao.permit import (
    Basis,
    Bundle,
    Payload,
    Words,
    bundle_from,
    check_standing,
    draft_notice,
    sign_notice,
    standing,
    state,
    write_bundle,
    write_identity,
)
from hetao.permit.facts import facts_from
from hetao.permit.permit import check_form, permit_from
from hetao.permit.signing_ask import ask_notice
from hetao.permit.terms import Terms, check_terms, terms_told
from hetao.study import Criterion
from support_federation import START, Federation, Plan, toy_study
from support_permit import NOW, STUDY, Scene, at
from support_rules import BOOK, HONG_KONG, SHENZHEN, facts

SCENE = Scene()
SUM = Payload("model_update", "hospital-sz", 3, frozenset({"min_cohort", "bounds"}))
CONTRACT = "cn-standard-contract"


def under(conditions=(), *, used=(), **terms):
    """Return a scene whose permit rests on a basis with these terms."""
    basis = Basis(
        CONTRACT, "C-1", "sha256:0", at(-9), at(9), tuple(conditions), Terms(**terms)
    )
    return SCENE.varied(bases=(basis,), data_use=used)


def check(scene, payload=None):
    check_form(scene.permit, "the permit")
    check_standing(scene.approve_all(), STUDY, NOW, scene.directory, payload)


# --- what is allowed at most ----------------------------------------------------------
WITHIN = {
    "nothing": {},
    "sites": {"sites": ("hospital-hk", "hospital-sz", "hospital-mo")},
    "sides": {"sides": ("SZ", "HK")},
    "recipients": {"recipients": ("An owner",)},
    "data_use": {"data_use": ("DUO:0000042", "DUO:0000006")},
    "protocols": {"protocols": ("mean", "variance")},
    "grade": {"highest_grade": 3},
    "kinds": {"kinds": ("model_update", "table")},
    "of the other side": {"exporters": "HK", "highest_grade": 1, "kinds": ("table",)},
}
OUTSIDE = {
    "sites": {"sites": ("hospital-hk",)},
    "sides": {"sides": ("HK",)},
    "recipients": {"recipients": ("Another owner",)},
    "data_use": {"data_use": ("DUO:0000006",)},
    "protocols": {"protocols": ("variance",)},
}
DUO = ("DUO:0000042",)


@pytest.mark.parametrize("name", WITHIN)
def test_what_a_basis_allows_leaves(name):
    check(under(used=DUO, **WITHIN[name]), SUM)


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_permit_stands_nowhere_beyond_its_basis(name):
    with pytest.raises(BeyondBasis, match=f"{CONTRACT} allows other {name} than"):
        check(under(used=DUO, **OUTSIDE[name]))


def test_a_use_that_nobody_stated_is_not_an_allowed_one():
    with pytest.raises(BeyondBasis, match="data_use"):
        check(under(**WITHIN["data_use"]))


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"highest_grade": 2}, "nothing above class 2"),
        ({"kinds": ("model_update_secagg",)}, "does not allow model_update to leave"),
        ({"exporters": "SZ", "highest_grade": 2}, "nothing above class 2"),
    ],
    ids=["grade", "kind", "of this side"],
)
def test_nothing_leaves_beyond_a_basis(terms, words):
    scene = under(**terms)

    check(scene)  # it stands: other things may leave
    with pytest.raises(UngradedRelease, match=words):
        check(scene, SUM)


def test_a_notice_leaves_whatever_kinds_a_basis_names():
    payload = Payload("notice", "hospital-sz", 2, frozenset({"fixed_fields"}))

    check(under(kinds=("table",)), payload)


def test_every_basis_is_asked_not_the_first_alone():
    wide = under().permit.bases[0]
    narrow = replace(wide, reference="C-2", terms=Terms(sides=("HK",)))

    with pytest.raises(BeyondBasis):
        check(SCENE.varied(bases=(wide, narrow)))


# --- people ---------------------------------------------------------------------------
@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    with Federation(tmp_path_factory.mktemp("terms")) as made:
        yield made


def asked(federation, name, **terms):
    """Return what a site of 400 people answers under a basis with these terms."""
    bundle = based(federation, name, **terms)
    letter = federation.begin("b", bundle, run=name, permit=bundle.permit.digest)
    return federation.refusals(federation.sites["b"].handle(letter.data))


def based(federation, name, **terms):
    """Return the study's permit on a basis with these terms."""
    permit = federation.bundle.permit
    ends = permit.not_before, permit.not_after
    basis = Basis(CONTRACT, name, "sha256:0", *ends, terms=Terms(**terms))
    number = f"{permit.number}-{name}"
    draft = Bundle(replace(permit, number=number, bases=(basis,)))
    return federation.cast.approved(draft, START)


def test_a_site_counts_its_people_against_a_basis(federation):
    assert asked(federation, "as many", most_people=400) == []
    assert asked(federation, "another's", exporters="HK", most_people=1) == []

    (said,) = asked(federation, "too many", most_people=399)

    assert said.startswith("HT-336: cn-standard-contract allows 399 people of b")
    assert "400" not in said


def test_who_left_before_the_cohort_is_among_the_people(tmp_path):
    """The attrition tells of all 400 people; half of them are old enough."""
    old = Criterion("Is 60 or older", rule="age >= 60")
    with Federation(tmp_path, Plan(toy_study(criteria=(old,)))) as made:
        (said,) = asked(made, "too many", most_people=399)
        assert said.startswith("HT-336")
        assert asked(made, "as many", most_people=400) == []

        counted, nobody = [], ("person", np.zeros(0, np.int64))
        made.sites["b"].memory.count(2026, nobody, counted.append)
        assert counted == [400]


def test_a_site_counts_its_people_at_each_task_too(federation, monkeypatch):
    asked_of, site = [], federation.sites["a"]
    monkeypatch.setattr(
        "hetao.federation.site.count_people", lambda *said: asked_of.append(said)
    )
    site.handle(federation.begin("a").data)
    site.handle(federation.task("a").data)

    assert len(asked_of) == 2


# --- drafts and files -----------------------------------------------------------------
BOTH = {**SHENZHEN, **HONG_KONG, "route.leaves_mainland": True}
HELD = ("cn-standard-contract", "cn-impact-assessment", "cn-separate-consent")


def drafted(federation, **terms):
    held = facts(BOTH, *HELD)
    bases = tuple(
        replace(b, terms=Terms(**terms)) if b.instrument == CONTRACT else b
        for b in held.bases
    )
    request = Request(replace(held, bases=bases), BOOK)
    who = federation.study, federation.cast.directory
    return draft_permit(*who, START, 90, 3, request).permit


def test_a_draft_bears_the_terms_and_goes_no_further(federation):
    permit = drafted(federation, most_people=5000, sides=("HK", "SZ"))

    (basis,) = [one for one in permit.bases if one.instrument == CONTRACT]
    assert basis.terms == Terms(most_people=5000, sides=("HK", "SZ"))
    assert bundle_from(Bundle(permit).as_json()).permit == permit
    with pytest.raises(BeyondBasis):
        drafted(federation, sides=("SZ",))


def test_facts_bear_the_terms_and_their_digest_tells_them_apart():
    known = {CONTRACT}
    table = {"reference": "C-1", "terms": {"most_people": 9, "sites": ["a"]}}
    bare = {"reference": "C-1"}

    found = facts_from({"bases": {CONTRACT: table}}, {}, known)

    assert found.bases[0].terms == Terms(most_people=9, sites=("a",))
    assert found.digest != facts_from({"bases": {CONTRACT: bare}}, {}, known).digest
    other = {**table, "terms": {"most_people": 8, "sites": ["a"]}}
    assert found.digest != facts_from({"bases": {CONTRACT: other}}, {}, known).digest
    unknown = {**bare, "terms": {"most_patients": 9}}
    with pytest.raises(InvalidFacts, match="most_patients"):
        facts_from({"bases": {CONTRACT: unknown}}, {}, known)


@pytest.mark.parametrize("empty", [{"recipients": []}, {"exporters": ""}])
def test_an_empty_term_of_the_facts_is_not_read_as_no_limit(empty):
    """Whoever writes that nobody may receive has not said that anybody may."""
    table = {"reference": "C-1", "terms": {"most_people": 9, **empty}}

    with pytest.raises(InvalidFacts, match="limits nothing"):
        facts_from({"bases": {CONTRACT: table}}, {}, {CONTRACT})


def test_a_permit_without_terms_reads_as_it_always_did():
    permit = under().permit
    form = permit.as_json()

    assert "terms" not in form["bases"][0]
    assert permit_from(form, "p") == permit
    form["bases"][0]["terms"] = under(sides=("HK",)).permit.as_json()["bases"][0][
        "terms"
    ] | {"sides": []}
    with pytest.raises(InvalidNetwork, match="ask nothing"):
        permit_from(form, "p")


def test_a_permit_has_one_text():
    permit = under(most_people=5).permit
    form = permit.as_json()
    (basis,) = form["bases"]
    told = basis["terms"]
    bare = {name: value for name, value in form.items() if name != "data_use"}
    assert permit_from(form, "p") == permit

    for terms in ({"most_people": 5}, {"most_people": 5, "kinds": []}):
        other = {**form, "bases": [{**basis, "terms": terms}]}
        with pytest.raises(InvalidNetwork, match="one form"):
            permit_from(other, "p")
    with pytest.raises(InvalidNetwork, match="one form"):
        permit_from(bare, "p")
    assert set(told) > {"most_people", "kinds"}


@pytest.mark.parametrize(
    "terms",
    [
        {"exporters": "MO"},
        {"sides": ("MO",)},
        {"most_people": 0},
        {"highest_grade": 0},
        {"highest_grade": 6},
        {"kinds": ("consignment",)},
        {"kinds": ("row",)},
        {"sites": ("a", "a")},
        {"recipients": ("",)},
    ],
    ids=lambda terms: "-".join(f"{k}-{v}" for k, v in terms.items()),
)
def test_terms_that_nobody_could_keep_or_check_are_refused(terms):
    with pytest.raises(InvalidNetwork, match=r"terms of the basis C-1"):
        check_form(under(**terms).permit, "the permit")


def test_people_and_uses_are_of_data_alone():
    for terms in ({"most_people": 1}, {"protocols": ("p",)}, {"data_use": ("D",)}):
        permit = replace(under(**terms).permit, crossing="materials")
        with pytest.raises(InvalidNetwork):
            check_form(permit, "the permit")


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"most_people": 1}, "most_people is of data, and from 1"),
        ({"protocols": ("p",)}, "data_use and protocols are of data"),
        ({"data_use": ("D",)}, "data_use and protocols are of data"),
    ],
)
def test_a_term_of_data_alone_is_named(terms, words):
    check_terms(Terms(**terms), "C-1", "data", ())
    check_terms(Terms(sites=("a",)), "C-1", "materials", ())

    with pytest.raises(InvalidNetwork, match=words):
        check_terms(Terms(**terms), "C-1", "materials", ())


def test_terms_are_told_on_one_line():
    assert terms_told(Terms()) == ""
    told = terms_told(Terms("SZ", most_people=9, sides=("HK", "SZ")))
    assert told == "exporters = SZ, most_people = 9, sides = HK SZ"


# --- conditions in words --------------------------------------------------------------
WORDS = ("Not to be passed on.", "A report each quarter.")
READ = Words(read=True)


def test_who_approves_says_that_they_read_the_conditions():
    scene = under(WORDS)
    signer = scene.identities["ethics-hk"]

    with pytest.raises(NotApproved, match=r"Not to be passed on\..*each quarter"):
        sign_notice(Bundle(scene.permit), signer, "approve", NOW)
    bundle = Bundle(scene.permit)
    for name in ("ethics-hk", "ethics-sz", "privacy-hk", "privacy-sz"):
        bundle = sign_notice(bundle, scene.identities[name], "approve", NOW, READ)

    assert standing(bundle, NOW).is_active


@pytest.mark.parametrize("read", ["", "sha256:" + "0" * 64], ids=["none", "others"])
def test_an_approval_that_does_not_say_so_is_refused_everywhere(read):
    scene = under(WORDS)
    key = next(k for k in scene.keys if k.owner == "ethics-hk")
    body = draft_notice(Bundle(scene.permit), key, "approve", NOW, READ)
    said = {**body, "read": read} if read else {k: body[k] for k in body if k != "read"}
    bundle = Bundle(scene.permit, (state(scene.identities["ethics-hk"], said),))

    with pytest.raises(NotApproved, match="read the conditions"):
        standing(bundle, NOW)


def test_nobody_reads_conditions_that_are_not_there_or_in_another_word():
    scene = under(WORDS)
    read = scene.permit.read_conditions
    bare = SCENE.identities["ethics-hk"]
    key = next(k for k in SCENE.keys if k.owner == "ethics-hk")
    for permit, verb in ((SCENE.permit, "approve"), (scene.permit, "refuse")):
        body = draft_notice(Bundle(permit), key, verb, NOW, READ) | {"read": read}
        with pytest.raises(NotApproved):
            standing(Bundle(permit, (state(bare, body),)), NOW)


def test_other_conditions_are_other_words():
    one, two = under(WORDS).permit, under(WORDS[::-1]).permit

    assert one.read_conditions != two.read_conditions
    assert one.read_conditions.startswith("sha256:")
    assert SCENE.permit.read_conditions == ""


def test_the_signing_page_shows_terms_and_conditions_and_says_what_signing_says():
    scene = under(WORDS, sides=("HK", "SZ"))
    key = next(k for k in scene.keys if k.owner == "ethics-hk")
    body = draft_notice(Bundle(scene.permit), key, "approve", NOW, READ)

    rows = ask_notice(scene.permit, body).rows

    for told in rows.values():
        text = "\n".join(f"{name}: {value}" for name, value in told)
        assert all(word in text for word in (*WORDS, "sides = HK SZ"))
    assert rows["en"][0][1].startswith("By signing you say that you have read")
    assert rows["zh-Hant"][0][1] == "一經簽署，即表示你已閱讀各項依據所附的條件"
    bare = ask_notice(SCENE.permit, {**body, "read": ""}).rows
    assert "By signing" not in bare["en"][0][1]


def test_the_command_shows_conditions_and_asks_whether_they_were_read(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("hetao.cli.permit.utc_now", lambda: NOW)
    scene = under(WORDS, most_people=9)
    path = tmp_path / "permit.json"
    write_bundle(path, Bundle(scene.permit))
    key = write_identity(tmp_path, scene.identities["ethics-hk"])
    approve = ["permit", "approve", str(path), "--key", str(key)]

    assert main(approve) == NotApproved.exit_code
    assert "--conditions-read" in capsys.readouterr().err
    assert main(["permit", "show", str(path)]) == 0
    shown = capsys.readouterr().err
    assert "at most: most_people = 9" in shown
    assert "condition of cn-standard-contract (C-1): Not to be passed on." in shown
    assert main([*approve, "--conditions-read"]) == 0


def test_an_approver_holds_the_instrument_against_what_the_permit_names(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("hetao.cli.permit.utc_now", lambda: NOW)
    mine, other = tmp_path / "contract.pdf", tmp_path / "draft.pdf"
    mine.write_bytes(b"the contract")
    other.write_bytes(b"the contract.")
    named = digest_bytes(b"the contract")
    scene = SCENE.varied(bases=(replace(under().permit.bases[0], document=named),))
    path = tmp_path / "permit.json"
    write_bundle(path, Bundle(scene.permit))
    key = write_identity(tmp_path, scene.identities["ethics-hk"])
    show = ["permit", "show", str(path)]
    approve = ["permit", "approve", str(path), "--key", str(key)]
    before = path.read_bytes()

    assert main(show) == 0
    assert named in capsys.readouterr().err
    assert main([*show, "--document", str(mine)]) == 0
    assert f"{mine} is its document" in capsys.readouterr().err
    for wrong, code in ((other, NotApproved), (tmp_path / "none", InvalidData)):
        for words in (show, approve):
            given = ["--document", str(mine), "--document", str(wrong)]
            assert main([*words, *given]) == code.exit_code
            assert str(wrong) in capsys.readouterr().err
    assert path.read_bytes() == before
    assert main([*approve, "--document", str(mine)]) == 0
    assert path.read_bytes() != before
