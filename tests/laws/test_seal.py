"""The sealed sum is exact in any order of sites, and neither share says anything."""

import math
import os
from fractions import Fraction

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hetao.errors import BadEnvelope, HetaoError, NotFinite, OutOfBounds
from hetao.release import add, decode, encode, split, stream
from hetao.release.seal import CHUNK, LARGEST, MOST_SITES, SEED_BYTES

STEP = Fraction(1, 2**56)
scales = st.sampled_from([1e-20, 1e-12, 1e-6, 1.0, 1e6, 1e12, LARGEST / 8])
values = st.builds(lambda unit, scale: unit * scale, st.floats(-1, 1), scales)
tables = st.integers(1, 6).flatmap(
    lambda n: st.lists(
        st.lists(values, min_size=n, max_size=n), min_size=1, max_size=8
    ).map(np.array)
)


def exact(words):
    """Return the fractions that summed words stand for, worked out with integers."""
    high, low = words.tolist()
    wholes = [((h << 48) + w) % 2**112 for h, w in zip(high, low, strict=True)]
    return [(w - 2**112 if w >= 2**111 else w) * STEP for w in wholes]


def half_an_ulp(value):
    return Fraction(math.ulp(float(value))) / 2


@given(table=tables, seed=st.integers(0, 2**32 - 1))
def test_any_order_of_sites_gives_the_same_bits(table, seed):
    parts = [encode(row, len(table)) for row in table]
    shuffled = np.random.default_rng(seed).permutation(len(parts))

    total = add(parts)

    np.testing.assert_array_equal(total, add([parts[i] for i in shuffled]))
    np.testing.assert_array_equal(total, add([add(parts[:1]), *parts[1:]]))


@given(table=tables)
def test_a_sum_is_within_half_a_step_a_site_of_the_exact_sum(table):
    sites = len(table)
    truth = [sum(map(Fraction, column)) for column in table.T.tolist()]

    total = add([encode(row, sites) for row in table])

    for found, shown, wanted in zip(
        exact(total), decode(total).tolist(), truth, strict=True
    ):
        assert abs(found - wanted) <= sites * STEP / 2
        # `decode` rounds twice, once for a value of more than 45 bits
        slack = 2 * half_an_ulp(found) + half_an_ulp(abs(found) + STEP)
        assert abs(Fraction(shown) - found) <= slack


@pytest.mark.parametrize("sign", [-1, 1])
def test_one_value_is_within_half_a_step_whatever_its_size(sign):
    draw = np.random.default_rng(2)
    sizes = np.ldexp(draw.random(50_000), -draw.integers(-50, 90, 50_000))

    found = exact(encode(sign * sizes))

    worst = max(
        abs(f - sign * Fraction(v)) for f, v in zip(found, sizes.tolist(), strict=True)
    )
    assert worst <= STEP / 2


@pytest.mark.parametrize("sites", [1, 2, 3, 7, 1000, MOST_SITES])
def test_the_largest_values_of_all_sites_do_not_overflow(sites):
    for edge in (LARGEST / sites, -LARGEST / sites):
        part = encode(np.array([edge]), sites)

        total = part * np.uint64(sites)

        # a bound such as 2^54/3 is itself rounded by up to half an ulp
        assert abs(exact(total)[0] - Fraction(edge) * sites) <= sites * STEP / 2


def test_the_count_word_of_a_sum_is_exactly_the_number_of_sites():
    parts = [encode(np.ones(1), 43)] * 43

    assert decode(add(parts))[0] == 43.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_refused(value):
    with pytest.raises(NotFinite):
        encode(np.array([1.0, value]))


@pytest.mark.parametrize("sites", [1, 3, MOST_SITES])
def test_a_value_beyond_the_bound_is_refused(sites):
    beyond = np.nextafter(LARGEST / sites, math.inf)

    encode(np.array([LARGEST / sites, -LARGEST / sites]), sites)
    for value in (beyond, -beyond):
        with pytest.raises(OutOfBounds):
            encode(np.array([value]), sites)


@pytest.mark.parametrize("sites", [0, -1, MOST_SITES + 1])
def test_a_sum_over_no_or_too_many_sites_is_refused(sites):
    with pytest.raises(OutOfBounds):
        encode(np.array([0.0]), sites)


# --- shares ------------------------------------------------------------------------
@given(table=tables)
def test_two_shares_recombine(table):
    parts = [encode(row, len(table)) for row in table]
    split_parts = [split(part) for part in parts]
    first = add([stream(s, parts[0].size).reshape(2, -1) for s, _ in split_parts])
    second = add([rest for _, rest in split_parts])

    np.testing.assert_array_equal(add([first, second]), add(parts))


def independent(seed, words):
    # The bare block cipher, to work the counter mode out by hand.
    cipher = Cipher(algorithms.AES(seed), modes.ECB()).encryptor()  # noqa: S305
    blocks = [
        cipher.update(i.to_bytes(16, "big")) for i in range((8 * words + 15) // 16)
    ]
    return np.frombuffer(b"".join(blocks)[: 8 * words], "<u8")


@pytest.mark.parametrize(
    "words",
    [0, 1, 2, 3, 100, *(CHUNK // 8 + d for d in (-1, 0, 1, 2)), CHUNK // 4 + 1],
)
def test_the_stream_is_aes_in_counter_mode_across_chunks(words):
    seed = bytes(range(SEED_BYTES))

    found = stream(seed, words)

    assert found.dtype == np.uint64
    np.testing.assert_array_equal(found, independent(seed, words))


def test_a_longer_stream_begins_with_the_shorter():
    seed = os.urandom(SEED_BYTES)

    longest = stream(seed, CHUNK // 4)

    for words in (1, 1000, CHUNK // 8):
        np.testing.assert_array_equal(stream(seed, words), longest[:words])


@pytest.mark.parametrize("after", [0, 2, 64, CHUNK // 8])
def test_a_stream_goes_on_after_the_words_that_are_left_out(after):
    seed = bytes(range(SEED_BYTES))

    np.testing.assert_array_equal(
        stream(seed, 5, after=after), stream(seed, after + 5)[after:]
    )


def test_nothing_is_sealed_as_words_of_nothing():
    assert not encode(np.array([0.0, -0.0])).any()


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_a_seed_of_another_length_is_refused(size):
    with pytest.raises(BadEnvelope):
        stream(bytes(size), 4)


STRUCTURED = {
    "zeros": np.zeros(70_000),
    "ones": np.ones(70_000),
    "small counts": np.arange(70_000.0) % 7,
    "the largest": np.full(70_000, LARGEST),
    "a ramp": np.linspace(-1e6, 1e6, 70_000),
}


def seeded(number):
    """Return a source of seeds that is the same in every run of the tests."""
    return np.random.default_rng(number).bytes


@pytest.mark.parametrize("data", STRUCTURED)
def test_the_second_share_of_structured_data_is_uniform(data):
    _, share = split(encode(STRUCTURED[data]), seeded(3))

    assert_uniform(share)


def test_the_first_share_is_uniform():
    seed, share = split(encode(STRUCTURED["ones"]), seeded(4))

    assert_uniform(stream(seed, share.size))


def assert_uniform(words):
    raw = np.frombuffer(words.astype("<u8").tobytes(), np.uint8)
    assert raw.size >= 10**6
    counts = np.bincount(raw, minlength=256)
    expected = raw.size / 256
    statistic = float(((counts - expected) ** 2 / expected).sum())
    assert statistic < stats.chi2.isf(1e-9, 255)
    bits = np.unpackbits(raw).reshape(-1, 64).mean(axis=0)
    # each bit of a word by itself: 64 looks at a normal tail
    assert np.abs(bits - 0.5).max() < 0.5 * stats.norm.isf(1e-11) / words.size**0.5


def test_the_second_share_does_not_follow_the_data():
    """Under one seed two data differ by just their difference; under two, by noise."""
    zeros, ones = encode(STRUCTURED["zeros"]), encode(STRUCTURED["ones"])
    draw = seeded(5)

    _, of_zeros = split(zeros, draw)
    _, of_ones = split(ones, draw)

    assert_uniform(of_ones - of_zeros)
    correlation = np.corrcoef(
        of_ones.ravel().astype(np.float64), ones.ravel().astype(np.float64)
    )[0, 1]
    assert abs(correlation) < 7 / of_ones.size**0.5


def test_every_split_draws_a_new_seed():
    words = encode(np.ones(3))

    seeds = {split(words)[0] for _ in range(1000)}

    assert len(seeds) == 1000
    assert all(len(seed) == SEED_BYTES for seed in seeds)


@given(junk=st.lists(st.floats(), max_size=5).map(np.array))
def test_any_reals_are_encoded_or_refused(junk):
    try:
        words = encode(junk.astype(np.float64))
    except HetaoError:
        return

    assert words.shape == (2, len(junk))
