"""Inside an envelope: what is packed comes back, and nothing else is ever unpacked."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hetao.canonical import canonical
from hetao.errors import BadEnvelope
from hetao.release import pack, unpack

shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
any_array = st.sampled_from(["<f8", "<u8", "<i8", ">f8"]).flatmap(
    lambda dtype: arrays(dtype, shapes)
)
metas = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.just("text"),
    max_size=4,
)
EXAMPLE = pack(
    {"members": ["a", "b"], "values": 3},
    {"beta": np.array([1.5, -2.0]), "words": np.array([[1], [2]], np.uint64)},
)


def head_of(listing, body=b""):
    head = canonical({"meta": {}, "arrays": listing})
    return struct.pack(">I", len(head)) + head + body


@given(meta=metas, held=st.dictionaries(st.sampled_from("abc"), any_array))
def test_what_is_packed_is_unpacked(meta, held):
    back, found = unpack(pack(meta, held))

    assert back == meta
    assert list(found) == list(held)
    for name, array in held.items():
        assert found[name].dtype == array.dtype.newbyteorder("<")
        np.testing.assert_array_equal(found[name], array)


def test_the_same_content_is_the_same_bytes():
    state = {"beta": np.arange(6.0).reshape(2, 3)}

    assert pack({"a": 1, "b": 2}, state) == pack({"b": 2, "a": 1}, state)
    assert pack({}, state) == pack({}, {"beta": np.asfortranarray(state["beta"])})


@pytest.mark.parametrize("size", range(len(EXAMPLE)))
def test_a_message_cut_anywhere_is_refused(size):
    with pytest.raises(BadEnvelope):
        unpack(EXAMPLE[:size])


@pytest.mark.parametrize("tail", [b"\0", b"\0" * 8])
def test_a_message_with_bytes_behind_it_is_refused(tail):
    with pytest.raises(BadEnvelope):
        unpack(EXAMPLE + tail)


def test_a_flipped_byte_gives_another_message_or_a_refusal():
    flips = np.random.default_rng(1).integers(1, 256, len(EXAMPLE))
    for place, chosen in enumerate(flips.tolist()):
        for flip in (1, 0x20, 0x80, 0xFF, chosen):
            spoilt = bytearray(EXAMPLE)
            spoilt[place] ^= flip

            try:
                meta, found = unpack(bytes(spoilt))
            except BadEnvelope:
                continue

            assert pack(meta, found) != EXAMPLE


@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_message_or_refused(data):
    for candidate in (data, struct.pack(">I", len(data)) + data):
        try:
            unpack(candidate)
        except BadEnvelope:
            continue


@pytest.mark.parametrize(
    "array",
    [
        np.array([object()], dtype=object),
        np.array(["text"]),
        np.array([b"bytes"]),
        np.array([1 + 2j]),
        np.array([True]),
        np.array([1.0], np.float32),
        np.array(["2026-11-22"], "datetime64[D]"),
        np.array([(1, 2.0)], dtype=[("a", "<i8"), ("b", "<f8")]),
    ],
    ids=lambda array: str(array.dtype),
)
def test_an_array_of_another_type_does_not_travel(array):
    with pytest.raises(BadEnvelope):
        pack({}, {"x": array})


@pytest.mark.parametrize(
    "dtype", ["|O", "object", "O8", "<f4", ">f8", "<U1", "|V8", "f8,f8", "", "<f8 "]
)
def test_a_listing_of_another_type_is_refused(dtype):
    listing = [{"name": "x", "dtype": dtype, "shape": [1]}]

    with pytest.raises(BadEnvelope):
        unpack(head_of(listing, b"\0" * 8))


@pytest.mark.parametrize(
    "shape",
    [
        [-1],
        [1.5],
        [True],
        ["1"],
        [2**32],
        [2**31, 2**31],
        [2**31] * 4,
        [0, 2**32 - 1, 2**32 - 1, 2**32 - 1],
        [1, 1, 1, 1, 1],
        None,
    ],
    ids=str,
)
def test_a_shape_that_does_not_hold_is_refused(shape):
    listing = [{"name": "x", "dtype": "<f8", "shape": shape}]

    with pytest.raises(BadEnvelope):
        unpack(head_of(listing, b"\0" * 8))


def test_a_name_that_stands_twice_is_refused():
    row = {"name": "x", "dtype": "<f8", "shape": [1]}

    with pytest.raises(BadEnvelope):
        unpack(head_of([row, row], b"\0" * 16))


def test_a_pickle_is_no_message():
    import pickle

    with pytest.raises(BadEnvelope):
        unpack(pickle.dumps({"meta": {}, "arrays": []}))


def listing(shape):
    """Return a message of one array without a number, of that shape."""
    row = {"name": "x", "dtype": "<f8", "shape": list(shape)}
    head = canonical({"meta": {}, "arrays": [row]})
    return struct.pack(">I", len(head)) + head


@pytest.mark.parametrize("shape", [(0,), (0, 2**30, 2**10), (0, 2**32 - 1)])
def test_an_array_without_a_number_may_be_as_wide_as_the_limit(shape):
    assert unpack(listing(shape))[1]["x"].shape == shape


@pytest.mark.parametrize("shape", [(0, 2**31, 2**10), (0, 2**32), (0, -1)])
def test_an_array_beyond_the_limit_is_refused_though_it_holds_no_number(shape):
    with pytest.raises(BadEnvelope):
        unpack(listing(shape))
