"""One value, one text: ours is the text of RFC 8785, checked by another program."""

import math
import struct

import numpy as np
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from hetao.canonical import (
    LARGEST_INTEGER,
    canonical,
    digest,
    digest_bytes,
    parse_canonical,
)
from hetao.errors import NotCanonical

any_float = st.integers(0, 2**64 - 1).map(
    lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0]
)
finite = any_float.filter(math.isfinite) | st.floats(
    allow_nan=False, allow_infinity=False
)
whole = st.integers(-LARGEST_INTEGER, LARGEST_INTEGER)
text = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | whole | finite | text,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=5)
    ),
    max_leaves=20,
)

# RFC 8785 appendix B: bits of a double, and its text.
NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]


@given(value=values)
def test_the_text_is_the_one_of_another_implementation(value):
    assert canonical(value) == rfc8785.dumps(value)


@given(value=any_float)
def test_every_double_has_the_text_of_another_implementation_or_none(value):
    if not math.isfinite(value):
        with pytest.raises(NotCanonical):
            canonical(value)
        return

    assert canonical(value) == rfc8785.dumps(value)


@given(value=values)
def test_what_is_written_is_read_back_to_the_same_text(value):
    data = canonical(value)

    assert canonical(parse_canonical(data)) == data


@pytest.mark.parametrize(("bits", "written"), NUMBERS)
def test_the_rfc_numbers_are_written_as_the_rfc_writes_them(bits, written):
    (value,) = struct.unpack(">d", bytes.fromhex(bits))

    data = canonical(value)

    assert data == rfc8785.dumps(value)
    if bits != "becbf647612f3696":  # the RFC prints more digits than it allows
        assert data.decode() == written


def test_the_rfc_example_is_written_as_the_rfc_writes_it():
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 1e-27],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }

    data = canonical(value)

    assert data.decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,'
        '1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_keys_stand_in_the_order_of_utf_16():
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]

    data = canonical(dict.fromkeys(keys, 0))

    order = [chr(13), "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(parse_canonical(data)) == order


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        LARGEST_INTEGER + 1,
        -LARGEST_INTEGER - 1,
        "\ud800",
        "a\udfffb",
        {"\ud800": 1},
        {1: "a"},
        {None: 1},
        b"bytes",
        bytearray(b"bytes"),
        {1, 2},
        1j,
        object(),
        [[{"deep": math.nan}]],
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_without_canonical_form_is_refused(value):
    with pytest.raises(NotCanonical):
        canonical(value)


def test_a_value_nested_without_end_is_refused():
    value = []
    for _ in range(100_000):
        value = [value]

    with pytest.raises(NotCanonical):
        canonical(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b" {}",
        b"{} ",
        b"{}\n",
        b'{"a": 1}',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1.0",
        b"-0",
        b"1E2",
        b"01",
        b"+1",
        b"9007199254740993",
        b"1" * 400,
        b"1" * 5000,
        b"1e999",
        b'"\\u0041"',
        b'"\\/"',
        b'"\\ud800"',
        b'"\xed\xa0\x80"',
        b"\xff",
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b"[" * 100_000,
        b"[" * 5000 + b"]" * 5000,
    ],
    ids=lambda data: repr(data[:20]),
)
def test_a_text_in_another_form_is_refused(data):
    with pytest.raises(NotCanonical):
        parse_canonical(data)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    try:
        value = parse_canonical(data)
    except NotCanonical:
        return

    assert canonical(value) == data


def test_a_digest_is_of_the_canonical_bytes():
    assert digest({"b": 1, "a": 2}) == digest_bytes(b'{"a":2,"b":1}')
    assert digest_bytes(b"").startswith("sha256:e3b0c44298fc1c14")


def test_a_whole_float_and_its_integer_are_one_value():
    assert digest({"x": 2.0}) == digest({"x": 2})


@given(st.floats(-1e12, 1e12))
def test_a_number_of_numpy_is_the_number(value):
    plain = canonical({"a": [value]})

    assert canonical({"a": [np.float64(value)]}) == plain
    assert canonical([np.float64(value)]) == canonical([value])
