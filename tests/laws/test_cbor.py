"""Our CBOR and a library's: what we write it reads, and what we read it reads alike."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetao.errors import Unverified
from hetao.ledger.cbor import decode, encode

NUMBERS = st.integers(-(2**64), 2**64 - 1)
PLAIN = st.none() | st.booleans() | NUMBERS | st.binary() | st.text()
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(NUMBERS | st.text(), inner, max_size=4)
    ),
    max_leaves=20,
)
REFUSED = {
    "nothing": "",
    "a number cut short": "19 01",
    "bytes cut short": "43 0102",
    "bytes longer than a machine": "5b ffffffffffffffff 00",
    "a list cut short": "83 01 02",
    "a list of a milliard of items": "9a 3b9aca00",
    "a mapping cut short": "a1 01",
    "something behind it": "01 01",
    "a number in two bytes that takes one": "18 17",
    "a number in three bytes that takes two": "19 00ff",
    "a number in five bytes that takes three": "1a 0000ffff",
    "a number in nine bytes that takes five": "1b 00000000ffffffff",
    "a length in two bytes that takes one": "58 01 00",
    "a reserved length": "1c",
    "bytes of open length": "5f 41 00 ff",
    "text of open length": "7f 61 61 ff",
    "a list of open length": "9f ff",
    "a mapping of open length": "bf ff",
    "the end of nothing": "ff",
    "a key twice": "a2 01 01 01 02",
    "a key twice, in the library's eyes": "a2 01 01 f5 02",
    "a key of bytes": "a1 41 01 02",
    "a list for a key": "a1 80 02",
    "text that is not UTF-8": "62 c3 28",
    "a lone surrogate": "63 eda080",
    "undefined": "f7",
    "a simple value": "e0",
    "true in two bytes": "f8 15",
    "half a float": "f9 3c00",
    "a float": "fb 3ff0000000000000",
    "a tag": "c0 61 61",
    "a pattern": "d823 63 612a62",
    "a large number of bytes": "c2 49 010000000000000000",
    "a list that holds itself": "d81c 81 d81d 00",
    "nested deeply": "81" * 17 + "80",
    "nested beyond any stack": "81" * 100_000 + "80",
    "mappings nested deeply": "a101" * 17 + "80",
}


@given(VALUES)
def test_a_value_is_written_as_the_library_writes_it_and_read_back(value):
    data = encode(value)

    # The library sorts keys by their length first, as RFC 7049 did.
    assert len(data) == len(cbor2.dumps(value, canonical=True))
    assert decode(data) == value
    assert repr(decode(data)) == repr(cbor2.loads(data))


def test_keys_stand_in_the_order_of_their_bytes():
    """RFC 8949, 4.2.1: its own example, without the keys that COSE has not."""
    ordered = [10, 100, -1, "z", "aa"]

    read = decode(encode(dict.fromkeys(reversed(ordered))))

    assert list(read) == ordered


@given(VALUES, st.randoms(use_true_random=False))
def test_bent_bytes_are_refused_or_read_as_the_library_reads_them(value, draw):
    data = bytearray(encode(value))
    for _ in range(draw.randrange(1, 4)):
        data[draw.randrange(len(data))] = draw.randrange(256)

    try:
        read = decode(bytes(data))
    except Unverified:
        return
    assert repr(read) == repr(cbor2.loads(bytes(data)))
    assert sorted(encode(read)) == sorted(data)  # but for the order of keys


@given(st.binary(max_size=40))
def test_whatever_bytes_come_are_read_alike_or_refused(data):
    try:
        read = decode(data)
    except Unverified:
        return
    assert repr(read) == repr(cbor2.loads(data))
    assert len(encode(read)) == len(data)


@pytest.mark.parametrize("what", REFUSED)
def test_another_spelling_or_kind_is_refused(what):
    with pytest.raises(Unverified):
        decode(bytes.fromhex(REFUSED[what]))


def test_as_deep_as_it_may_be_is_read():
    value = None
    for _ in range(16):
        value = [value]

    assert decode(encode(value)) == value


def test_what_has_no_cbor_here_is_a_fault_of_ours():
    with pytest.raises(TypeError):
        encode(1.5)
