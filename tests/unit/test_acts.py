"""An act's bytes are those of one act only; what is not canonical is refused."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetao.errors import Unverified
from hetao.ledger.acts import Act, ActRow, decode_act, encode_act, fixed_text
from support_acts import USED, acts_by_hand

GOLDEN = Path(__file__).parents[1] / "vectors" / "ledger" / "acts.json"
DATA = [bytes.fromhex(one) for one in json.loads(GOLDEN.read_text("utf-8"))["acts"]]
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


@pytest.mark.parametrize("data", DATA, ids=range(len(DATA)))
def test_no_byte_of_an_act_can_be_changed_to_the_same_act(data):
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        try:
            found = decode_act(bytes(changed))
        except Unverified:
            continue
        assert found != decode_act(data)
        assert encode_act(found, _used(found)) == bytes(changed)


def _used(act):
    return {row.table: tuple(row.values) for row in act.rows}


def _act(*, given=0, head=(0, 0, 0), sections=(), texts=b"", count=None):
    """Return bytes put together by hand, which may be no act."""
    count = len(sections) if count is None else count
    front = b"hetao.act/2".ljust(16, b"\0") + struct.pack("<5q", given, *head, count)
    return front + b"".join(sections) + texts


def _section(name, columns, *rows):
    front = name.ljust(24, b"\0") + struct.pack("<2q", columns, len(rows))
    return front + b"".join(struct.pack(f"<{len(row)}q", *row) for row in rows)


WARDS = _section(b"care_site", 0b11, (0, 3, 1))  # number 3, and a name of one letter


def test_bytes_put_together_by_hand_are_that_act():
    made = _act(sections=[WARDS], texts="東".encode())

    assert decode_act(made) == Act(
        None, None, "", (ActRow("care_site", {"care_site_id": 3, NAME: "東"}),)
    )


NAME = "care_site_name"
REFUSED = {
    "nothing": b"",
    "no words": b"\xff",
    "another form": _act(sections=[WARDS], texts=b"a").replace(b"act/2", b"act/1"),
    "cut short": _act(given=1, head=(7, 0, 0))[:-1],
    "more behind": _act(given=1, head=(7, 0, 0)) + b"\0",
    "an unknown bit": _act(given=8),
    "a person not given": _act(head=(7, 0, 0)),
    "a visit not given": _act(given=1, head=(7, 7, 0)),
    "a day not given": _act(given=1, head=(7, 0, 1)),
    "a day that no calendar has": _act(given=5, head=(7, 0, 10**7)),
    "sections missing": _act(count=1),
    "sections less than none": _act(count=-1),
    "sections without end": _act(count=2**62),
    "an unknown table": _act(sections=[_section(b"nosuch", 1, (0, 1))]),
    "a name in no ASCII": _act(sections=[_section(b"death\xff", 1, (0, 1))]),
    "unknown columns": _act(sections=[_section(b"death", 2**40, (0, 1))]),
    "columns less than none": _act(sections=[_section(b"death", -1, (0, 1))]),
    "no row": _act(sections=[_section(b"death", 1)]),
    "rows without end": _act(
        sections=[b"death".ljust(24, b"\0") + struct.pack("<2q", 1, 2**62)]
    ),
    "a table twice": _act(sections=[WARDS, WARDS], texts=b"ab"),
    "a text cut short": _act(sections=[WARDS]),
    "a text too long": _act(sections=[WARDS], texts=b"ab"),
    "a text less than none": _act(sections=[_section(b"care_site", 3, (0, 3, -1))]),
    "a text in no UTF-8": _act(sections=[WARDS], texts=b"\xe6"),
    "a cell of nothing": _act(sections=[_section(b"care_site", 1, (1, 3))]),
    "nothing in no column": _act(sections=[_section(b"care_site", 1, (2, 3))]),
    "a time that no clock has": _act(sections=[_section(b"death", 2, (0, 2**62))]),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_other_bytes_are_no_act(data):
    with pytest.raises(Unverified):
        decode_act(data)


def test_the_day_of_an_act_is_part_of_it():
    (act,) = [a for a in acts_by_hand() if a.day == "2021-01-01"]
    data = encode_act(act, USED)

    assert decode_act(data) == act != replace(act, day="")
    assert encode_act(replace(act, day=""), USED) != data


@given(at=st.datetimes())
@settings(max_examples=100)
def test_times_are_read_as_they_were_written(at):
    values = {"death_date": fixed_text(at.date()), "death_datetime": fixed_text(at)}
    act = Act(7, None, "", (ActRow("death", values),))

    assert decode_act(encode_act(act, {"death": tuple(values)})) == act
