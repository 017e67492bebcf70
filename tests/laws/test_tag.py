"""Tags of sums: linear, exact, and of no use to whoever would change a sum."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetao.errors import BadEnvelope, ChangedSum, WrongShape
from hetao.release import (
    add,
    check_tag,
    encode,
    key_from,
    mask,
    split,
    stream,
    tag_from,
    tag_of,
    tag_text,
)
from hetao.release.seal import LARGEST
from hetao.release.tag import CHUNK, MODULUS, split_tag

SITES = ("a", "b", "c")
KEY = bytes(range(16))
values = st.floats(-LARGEST / 3, LARGEST / 3) | st.floats(-1, 1)
tables = st.integers(1, 6).flatmap(
    lambda n: st.lists(
        st.lists(values, min_size=n, max_size=n), min_size=3, max_size=3
    ).map(np.array)
)


def tagged(table, key=KEY):
    """Return the summed words and the sum of tags, split between two hubs."""
    words = [encode(row, len(SITES)) for row in table]
    first = second = 0
    for site, part in zip(SITES, words, strict=True):
        tag = tag_of(part, key, SITES, site)
        seed, _ = split(part)
        first += mask(seed, part.size)
        second += split_tag(tag, seed, part.size)
    return add(words), (first, second)


def by_hand(words, key, members, site):
    """Return the tag in whole numbers, word for word."""
    n = words.shape[1]
    factors = [int(w) for w in stream(key, 2 * n)]
    flat = [int(w) for w in words[0].view(np.int64)] + [int(w) for w in words[1]]
    pads = [int(w) for w in stream(key, 2 * n + 2 * len(members))[2 * n :]]
    at = members.index(site)
    pad = pads[2 * at] + (pads[2 * at + 1] << 64)
    return (sum(f * w for f, w in zip(factors, flat, strict=True)) + pad) % MODULUS


def test_a_mask_is_the_next_128_bits_of_the_stream_little_end_first():
    for words in (0, 2, 10):
        raw = stream(KEY, words + 2)[words:].astype("<u8").tobytes()
        assert mask(KEY, words) == int.from_bytes(raw, "little")


def test_the_key_of_a_message_is_the_one_that_was_put_there():
    assert key_from({"key": KEY.hex()}) == KEY


@given(table=tables)
def test_the_tags_of_all_sites_are_the_tag_of_their_sum(table):
    total, tags = tagged(table)

    check_tag(total, tags, KEY, SITES, "t")


@given(table=tables)
def test_a_tag_is_what_whole_numbers_make_of_it(table):
    words = encode(table[0], 3)

    assert tag_of(words, KEY, SITES, "b") == by_hand(words, KEY, SITES, "b")


@pytest.mark.parametrize("n", [CHUNK // 2, CHUNK - 1, CHUNK, CHUNK + 1])
def test_a_tag_is_exact_across_chunks(n):
    words = encode(np.random.default_rng(1).normal(0, 1e9, n), 3)

    assert tag_of(words, KEY, SITES, "a") == by_hand(words, KEY, SITES, "a")


def test_a_longer_stream_goes_on_where_the_shorter_ended():
    for after in (0, 2, 6, 1000):
        np.testing.assert_array_equal(
            stream(KEY, 9, after), stream(KEY, 9 + after)[after:]
        )


changes = st.tuples(
    st.integers(0, 1),
    st.integers(0, 3),
    st.integers(1, 2**64 - 1),
    st.integers(0, 2**128),
)


@given(change=changes, key=st.binary(min_size=16, max_size=16))
def test_a_changed_word_is_noticed_whatever_is_done_to_the_tag(change, key):
    """Also one whose change is a multiple of a high power of two."""
    row, column, by, on_tag = change
    total, (first, second) = tagged(np.ones((3, 4)), key)
    total[row, column : column + 1] += np.uint64(by)

    with pytest.raises(ChangedSum):
        check_tag(total, (first + on_tag, second), key, SITES, "t")


@pytest.mark.parametrize("power", range(64))
def test_a_single_changed_bit_is_noticed(power):
    total, tags = tagged(np.ones((3, 4)))
    total[0, 1:2] ^= np.uint64(1 << power)

    with pytest.raises(ChangedSum):
        check_tag(total, tags, KEY, SITES, "t")


def test_a_sum_and_its_tag_multiplied_alike_are_noticed():
    """Without the pads a sum and its tag could be doubled together."""
    total, (first, second) = tagged(np.ones((3, 4)))

    with pytest.raises(ChangedSum):
        check_tag(total * np.uint64(2), (2 * first, 2 * second), KEY, SITES, "t")


def test_without_a_pad_doubling_would_go_unnoticed():
    """So the test above can fail."""
    words = encode(np.ones(4), 3)
    pads = by_hand(words * np.uint64(0), KEY, SITES, "a")
    bare = (by_hand(words, KEY, SITES, "a") - pads) % MODULUS

    doubled = by_hand(words * np.uint64(2), KEY, SITES, "a")

    assert (doubled - pads) % MODULUS == 2 * bare % MODULUS


def test_under_short_tags_a_top_bit_would_pass_every_second_time():
    """Why tags are modulo 2^128, not 2^64: a change by 2^63 keeps half of them."""
    unnoticed = 0
    for number in range(400):
        key = number.to_bytes(16, "big")
        unnoticed += (int(stream(key, 1)[0]) << 63) % 2**64 == 0

    assert 140 < unnoticed < 260


def test_a_part_left_out_of_the_tags_is_noticed():
    total, (first, second) = tagged(np.ones((3, 2)))
    for members in (("a", "b"), ("a", "c", "b", "d")):
        with pytest.raises(ChangedSum):
            check_tag(total, (first, second), KEY, members, "t")


def test_a_share_of_a_tag_follows_no_data():
    """The first is the seed's; the second moves with it whatever the tag."""
    seeds = [number.to_bytes(16, "big") for number in range(2000)]
    of_zero = np.array([split_tag(0, s, 8) >> 64 for s in seeds], dtype=np.uint64)
    bits = np.unpackbits(of_zero.view(np.uint8)).reshape(-1, 64).mean(axis=0)

    assert np.abs(bits - 0.5).max() < 0.06
    assert all(
        (split_tag(7, s, 8) - split_tag(0, s, 8)) % MODULUS == 7 for s in seeds[:10]
    )


@given(tag=st.integers(0, 2**128 - 1))
def test_a_tag_is_written_and_read_back(tag):
    assert tag_from(tag_text(tag)) == tag


@pytest.mark.parametrize("text", [None, 5, "", "0" * 31, "g" * 32, "0" * 33])
def test_what_is_no_tag_or_key_is_refused(text):
    with pytest.raises(BadEnvelope):
        tag_from(text)
    with pytest.raises(WrongShape):
        key_from({"key": text})
