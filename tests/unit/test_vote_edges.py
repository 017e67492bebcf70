"""Votes, and what a person is asked to sign, at the edges of each of their rules."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hetao.canonical import digest
from hetao.errors import BadSignature, NotAParty, NotApproved
from hetao.permit import (
    Limit,
    Statement,
    check_votes,
    new_identity,
    package_digest,
    sign_vote,
    signed_bytes,
    state,
    tally,
)
from hetao.permit.signing_ask import (
    Answer,
    answer_from,
    ask_delegation,
    ask_key,
    ask_notice,
    ask_vote,
    key_from,
    permit_rows,
)
from hetao.permit.signing_words import WORDS
from hetao.permit.votes import PACKAGE, voter_of
from support_permit import NOW, VALID, Scene, at
from support_signers import ORIGIN, Authenticator

SCENE = Scene()
PERMIT = SCENE.permit
PACK = "sha256:" + "7" * 64
ENGLISH = WORDS["en"]


def vote(who="checker-hk", said="accept", package=PACK, **fields):
    """Return a vote that is truly signed, whatever it says."""
    real = sign_vote(PERMIT, SCENE.identities[who], package, (said, ""), NOW)
    return state(SCENE.identities[who], {**real.body, **fields})


# --- votes ----------------------------------------------------------------------------
def test_two_who_accept_let_it_be_shown_and_one_does_not():
    both = [vote("checker-hk"), vote("checker-sz")]

    assert check_votes(PERMIT, PACK, both).people == 2
    with pytest.raises(NotApproved, match="output-checker on side SZ is missing"):
        check_votes(PERMIT, PACK, both[:1])
    with pytest.raises(NotApproved, match="checker-sz did not accept"):
        check_votes(PERMIT, PACK, [both[0], vote("checker-sz", "change")])


def test_an_objection_fills_no_office():
    found = tally(PERMIT, PACK, [vote("checker-hk", "reject"), vote("checker-sz")])

    assert found.objections == ("checker-hk",)
    assert [(need.side, need.role) for need in found.missing] == [
        ("HK", "output-checker")
    ]


def test_a_vote_about_another_package_is_passed_over_and_a_second_one_is_not():
    other = vote(package="sha256:0")

    assert tally(PERMIT, PACK, [other, vote()]).said == {"checker-hk": "accept"}
    with pytest.raises(NotApproved, match="checker-hk has voted twice"):
        tally(PERMIT, PACK, [vote(), vote(said="change")])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"type": "hetao.vote/2"}, "unknown kind"),
        ({"vote": "perhaps"}, "unknown kind"),
        ({"permit": "sha256:0"}, "another permit"),
        ({"by": "checker-sz"}, "forged, or by no output checker"),
        ({"side": "SZ"}, "forged, or by no output checker"),
        ({"role": "ethics"}, "forged, or by no output checker"),
        ({"at": "2025-12-31T23:59:59Z"}, "a vote of checker-hk: "),
    ],
)
def test_a_vote_that_is_not_as_it_should_be_does_not_count(fields, words):
    with pytest.raises(NotApproved, match=words):
        tally(PERMIT, PACK, [vote(**fields)])


def test_a_vote_is_one_of_three_words_of_an_output_checker():
    with pytest.raises(NotAParty, match="one of accept, change, reject"):
        vote(said="abstain")
    with pytest.raises(NotAParty, match="no output checker"):
        vote("ethics-hk")


def test_a_strangers_vote_under_a_checkers_name_is_nobodys():
    assert voter_of(PERMIT, state(new_identity("x"), vote().body)) is None
    assert voter_of(PERMIT, vote()).name == "checker-hk"


def test_a_package_is_its_nine_fields_and_the_permits_digest():
    permit = {"permit": {"number": "P-1"}, "notices": [1]}
    body = {name: name for name in PACKAGE} | {"permit": permit}
    seen = {**body, "permit": digest(permit["permit"]), "type": "hetao.package/1"}

    assert package_digest({**body, "more": 1}) == digest(seen)


# --- what is asked --------------------------------------------------------------------
TWO = SCENE.varied(
    limits=(Limit("tubes", 7, "hospital-hk"), Limit("litres", 2)), highest_grade=3
).permit


def test_a_permit_is_said_in_plain_words_with_whatever_it_says():
    said = dict(permit_rows(TWO, ENGLISH))

    assert said[ENGLISH["number"]] == "P-1, version 1"
    assert said[ENGLISH["limits"]] == "7 tubes (hospital-hk), 2 litres"
    assert said[ENGLISH["runs"]].startswith(f"{TWO.most_runs} runs, ")
    assert said[ENGLISH["grade"]] == "3"
    assert said[ENGLISH["law"]] == ENGLISH["none"]
    assert ENGLISH["amends"] not in said  # of which there is nothing to say


def test_what_is_not_data_has_no_protocols_and_no_class():
    said = dict(permit_rows(replace(TWO, crossing="materials"), ENGLISH))

    assert ENGLISH["limits"] in said
    assert not {ENGLISH["runs"], ENGLISH["grade"], ENGLISH["protocols"]} & set(said)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "nothing"),
        ({"amends": "sha256:1", "version": 2}, "nothing"),
        ({"most_runs": 99, "version": 2}, f"most_runs: {TWO.most_runs} → 99"),
    ],
)
def test_of_an_amendment_what_changed_is_said_first(fields, told):
    new = replace(TWO, **fields)
    made = ask_notice(TWO, {"verb": "amend"}, new)

    (name, what), (code, _), *rows = made.rows["en"]
    assert (name, what) == (ENGLISH["changes"], told)
    assert code == ENGLISH["new_code"]
    assert rows == permit_rows(TWO, ENGLISH)
    assert made.replacing == new.canonical.decode()
    plain = ask_notice(TWO, {"verb": "approve"})
    assert (plain.replacing, plain.rows["en"]) == ("", rows)


@pytest.mark.parametrize("permit", ["", PERMIT.digest])
def test_an_office_is_lent_for_every_permit_or_for_the_one_that_is_named(permit):
    body = {"to": "deputy-sz", "not_before": at(1), "not_after": at(2)}
    said = dict(ask_delegation(PERMIT, {**body, "permit": permit}).rows["en"])

    assert said[ENGLISH["reach"]] == ("P-1" if permit else ENGLISH["every"])
    assert said[ENGLISH["window"]] == f"{at(1)} until {at(2)}"


def test_a_checker_is_shown_the_comment_where_there_is_one():
    body, about = {"package": PACK}, {"title": "T", "run": "1"}
    with_it, without = (
        ask_vote(body, "CODE", about, comment).rows["en"] for comment in ("why", "")
    )

    assert with_it == [*without, (ENGLISH["comment"], "why")]
    assert len(without) == 3


# --- what comes back ------------------------------------------------------------------
PASSKEY = Authenticator(ec.derive_private_key(7, ec.SECP256R1()))
GIVEN = {"authenticatorData": "", "clientDataJSON": "", "signature": ""}


def registration(do="register", signs=PASSKEY, **fields):
    asked = ask_key("k", "ethics-hk", ORIGIN, VALID, "1")
    body = {**asked.body, **fields}
    signature = signs.signed(signed_bytes(body))
    return Answer(do, Statement(body, signature), PASSKEY.key().public)


def test_a_new_passkey_shows_that_it_signs():
    made = key_from(registration())

    assert made == PASSKEY.key(name="k")
    other = Authenticator(ec.derive_private_key(8, ec.SECP256R1()))
    with pytest.raises(BadSignature, match="signature"):
        key_from(registration(signs=other))


@pytest.mark.parametrize(
    "answer", [registration("sign"), registration(type="hetao.vote/1")]
)
def test_what_registers_nothing_is_no_registration(answer):
    with pytest.raises(BadSignature, match="registers no passkey"):
        key_from(answer)


def test_an_answer_may_bear_a_key_and_a_comment_and_nothing_more():
    plain = {"do": "vote", "body": {}, "assertion": GIVEN}
    whole = answer_from({**plain, "public": "k", "comment": "c"})

    assert (whole.public, whole.comment) == ("k", "c")
    assert answer_from(plain).comment == ""
    for more in ({"more": ""}, {"public": "k", "more": ""}, {"comment": 7}):
        with pytest.raises(BadSignature, match="malformed"):
            answer_from({**plain, **more})
