"""An act's bytes are those of one act only; what is not canonical is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetao.errors import Unverified
from hetao.ledger.acts import Act, ActRow, decode_act, encode_act
from support_acts import USED, acts_by_hand

GOLDEN = Path(__file__).parents[1] / "vectors" / "ledger" / "acts.json"
TEXTS = [text.encode() for text in json.loads(GOLDEN.read_text("utf-8"))["acts"]]
words = st.none() | st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), max_size=6
)


@given(first=st.tuples(words, words), second=st.tuples(words, words))
@settings(max_examples=150)
def test_two_acts_share_bytes_only_if_they_are_the_same(first, second):
    one, other = (_ward(*pair) for pair in (first, second))

    assert (one == other) == (_bytes(one) == _bytes(other))
    assert decode_act(_bytes(one)) == one


def _ward(name, source):
    values = {"care_site_id": 1, "care_site_name": name}
    return Act(None, None, "", (ActRow("care_site", values | {WARD: source}),))


WARD = "care_site_source_value"


def _bytes(act):
    return encode_act(act, {"care_site": ("care_site_id", "care_site_name", WARD)})


def test_what_sql_would_confuse_is_told_apart():
    pairs = [
        ("a", None),
        (None, "a"),
        ("a", ""),
        ("", "a"),
        ("null", None),
        ("a,b", "c"),
    ]

    assert len({_bytes(_ward(*pair)) for pair in pairs}) == len(pairs)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_no_byte_of_an_act_can_be_changed_to_the_same_act(text):
    for place in range(len(text)):
        changed = bytearray(text)
        changed[place] ^= 1
        try:
            found = decode_act(bytes(changed))
        except Unverified:
            continue
        assert found != decode_act(text)
        assert encode_act(found, _used(found)) == bytes(changed)


def _used(act):
    return {row.table: tuple(row.values) for row in act.rows}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff",
        b"hetao.act/1[1,null,null",
        b"hetao.act/1[01,null,null]",
        b"hetao.act/1[1,null]",
        b'hetao.act/1["1",null,null]',
        b"hetao.act/1[1,null,2020-01-01]",
        b"hetao.act/1[1,null,null]nosuch/1[1]",
        b"hetao.act/1[1,null,null]death/05[]",
        b"hetao.act/1[1,null,null]death/fffffff[]",
        b'hetao.act/1[1,null,null]death/5["2021-01-01"]',
        b"hetao.act/1[1,null,null]death/5",
        b"hetao.act/1[1,null,null][null]",
        b"hetao.act/1[1,null,null]nosuch/1[1]death/5[null,1]",
        b"hetao.act/1[null,null,null]care_site/1[3]care_site/1[4]",
        b"hetao.act/1[null,null,null]care_site/3[3,9]short",
        b"hetao.act/1[null,null,null]care_site/3[3,-1]",
        b"hetao.act/1[null,null,null]care_site/3[3,1]\xe6",
        b"hetao.act/1[null,null,null]care_site/1[3]care_site/3[3,1]a",
    ],
)
def test_other_bytes_are_no_act(text):
    with pytest.raises(Unverified):
        decode_act(text)


def test_a_number_in_another_form_is_no_act():
    (act,) = [a for a in acts_by_hand() if a.day == "2021-01-01"]
    text = encode_act(act, USED)

    with pytest.raises(Unverified):
        decode_act(text.replace(b"32817", b"+32817"))
    with pytest.raises(Unverified):
        decode_act(text.replace(b"2021-01-01", b"2021-1-1"))
    assert decode_act(text) != replace(act, day="")
