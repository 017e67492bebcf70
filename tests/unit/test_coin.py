"""A draw of auditor and site: bound first, answered second, told third."""

from dataclasses import replace

import pytest

from hetao.canonical import digest
from hetao.errors import HetaoError, Unverified
from hetao.ledger.coin import Ask, answered, ask_from, bound, draw_of, joint_seed
from hetao.permit import new_identity, state

SITE, OTHER = new_identity("a"), new_identity("b")
PARTY = SITE.party("HK", "site", "an organisation")
SECRET, ANOTHER = bytes(range(32)), bytes(32)
WANTED = Ask("a", "auditor-sz", digest({"record": 1}), 300, "")
ASK = bound(WANTED, SECRET)


def seed(secret=SECRET, ask=ASK, answer=None, wanted=WANTED, party=PARTY):
    return joint_seed(draw_of(secret, answer or answered(SITE, ask)), party, wanted)


def test_the_draw_follows_from_both_secrets_and_from_what_was_asked():
    asks = [
        ASK,
        bound(WANTED, ANOTHER),
        bound(replace(WANTED, draws=301), SECRET),
        bound(replace(WANTED, to="auditor-hk"), SECRET),
        bound(replace(WANTED, extract=digest({"record": 2})), SECRET),
    ]
    answers = [answered(SITE, ask) for ask in asks]
    secrets = [SECRET, ANOTHER, SECRET, SECRET, SECRET]
    seeds = {
        seed(secret, ask, answer, ask)
        for secret, ask, answer in zip(secrets, asks, answers, strict=True)
    }
    other = state(SITE, {**answers[0].body, "nonce": "0" * 64})  # not by its own rule

    assert len({answer.body["nonce"] for answer in answers}) == len(asks)
    assert len(seeds) == len(asks)
    assert seed(answer=other) not in seeds
    assert seed() == seed(answer=answered(SITE, ask_from(ASK.as_json())))


def test_what_an_auditor_asks_does_not_tell_their_secret():
    """Nor does it leave them another one: it is bound to this and to what is asked."""
    assert SECRET.hex() not in str(ASK.as_json())
    assert ASK.commits_to(SECRET)
    assert not ASK.commits_to(ANOTHER)
    assert not replace(ASK, draws=301).commits_to(SECRET)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"secret": ANOTHER}, "not the one that the auditor was bound to"),
        ({"answer": answered(OTHER, ASK)}, "signature"),
        ({"answer": state(SITE, {"type": "x"})}, "malformed"),
        ({"wanted": replace(WANTED, to="auditor-hk")}, "another ask"),
        ({"wanted": replace(WANTED, draws=299)}, "another ask"),
        ({"wanted": replace(WANTED, extract="sha256:1")}, "another ask"),
        ({"wanted": replace(WANTED, site="b")}, "another ask"),
    ],
    ids=["secret", "stranger", "no answer", "to", "draws", "extract", "site"],
)
def test_a_draw_of_another_secret_ask_or_site_is_refused(change, words):
    assert len(seed()) == 32
    with pytest.raises(HetaoError, match=words):
        seed(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "hetao.total/1"},
        {"site": "b"},
        {"nonce": "0" * 63},
        {"nonce": 1},
        {"ask": {**ASK.as_json(), "more": 1}},
        {"more": 1},
    ],
    ids=["type", "site", "short", "number", "ask", "more"],
)
def test_what_a_site_signed_otherwise_is_no_answer(change):
    body = {**answered(SITE, ASK).body, **change}
    with pytest.raises(Unverified):
        seed(answer=state(SITE, body))


@pytest.mark.parametrize(
    "change",
    [
        {"draws": 0},
        {"draws": True},
        {"draws": "300"},
        {"commitment": "0" * 63},
        {"commitment": "G" * 64},
        {"to": 1},
        {"type": "hetao.sample/1"},
        {"more": 1},
    ],
    ids=["none", "true", "text", "short", "hex", "to", "type", "more"],
)
def test_an_ask_is_one_or_is_refused(change):
    assert ask_from(ASK.as_json()) == ASK
    with pytest.raises(Unverified, match="no auditor's ask"):
        ask_from({**ASK.as_json(), **change})


@pytest.mark.parametrize("draw", [None, {}, {"secret": "00", "answer": {}}, {"x": 1}])
def test_a_draw_of_another_form_is_refused(draw):
    with pytest.raises(HetaoError):
        joint_seed(draw, PARTY, WANTED)
