"""Exact sums of reals that nobody can read one by one.

A value v becomes two independent 64-bit words, v * 2^56 = hi * 2^48 + lo, each summed
modulo 2^64: no carries between words, the same bits in any order of sites, so that a
certificate can name the very integers. A site splits its words into two shares: a
16-byte seed for the first hub, and the words minus the seed's AES-CTR stream for the
second. Either alone is uniformly random; hubs add shares, and only the two sums meet.

Source:
    The additive sharing is folklore; the two-word fixed point and its error bound are
    ours. Laws: `tests/laws/test_seal.py`. Specification: `docs/specs/securesum.md`.
"""

import os
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from hetao.errors import BadEnvelope, NotFinite, OutOfBounds

FRACTION_BITS: Final = 56
WORD_BITS: Final = 48
LARGEST: Final = 2.0**54  # of a sum; a site may hold LARGEST / sites
MOST_SITES: Final = 2**15
SEED_BYTES: Final = 16
CHUNK: Final = 1 << 17  # bytes of stream at a time: what fits the cache

Words = NDArray[np.uint64]
Reals = NDArray[np.float64]


def encode(values: Reals, sites: int = 1) -> Words:
    """Return the words (2, n) of n reals, exact to 2^-57.

    Args:
        values: (n,), finite, each within ±2^54 / sites.
        sites: how many sites the sum will run over.

    Raises:
        NotFinite: a value is NaN or infinite.
        OutOfBounds: a value is too large for the sum.
    """
    if not np.isfinite(values).all():
        raise NotFinite("a sum was offered NaN or infinity")
    if not 1 <= sites <= MOST_SITES or np.any(np.abs(values) > LARGEST / sites):
        raise OutOfBounds("a value is too large for the sealed sum")
    # Of the absolute value, since `scaled - whole` is exact only from 0 upwards; then
    # -(whole * 2^48 + part) is (-whole - 1) * 2^48 + (2^48 - part).
    scaled = np.abs(values) * 2.0 ** (FRACTION_BITS - WORD_BITS)
    whole = np.floor(scaled)
    part = np.rint((scaled - whole) * 2.0**WORD_BITS).astype(np.int64)
    high, negative = whole.astype(np.int64), values < 0
    low = np.where(negative, 2**WORD_BITS - part, part)
    return np.stack([np.where(negative, -high - 1, high), low]).view(np.uint64)


def decode(words: Words) -> Reals:
    """Return the reals (n,) nearest to the summed words (2, n)."""
    low = words[1] & np.uint64(2**WORD_BITS - 1)
    carry = words[1] >> np.uint64(WORD_BITS)
    high = (words[0] + carry).view(np.int64)
    whole = high.astype(np.float64) * 2.0 ** (WORD_BITS - FRACTION_BITS)
    return np.asarray(whole + low.astype(np.float64) * 2.0**-FRACTION_BITS)


def stream(seed: bytes, words: int, after: int = 0) -> Words:
    """Return `words` uniformly random 64-bit words that the seed determines.

    Args:
        seed: 16 bytes.
        words: how many.
        after: how many words of the same stream to leave out, an even number.
    """
    if len(seed) != SEED_BYTES:
        raise BadEnvelope(f"a seed is {SEED_BYTES} bytes")
    # One seed is used once, so a counter from zero never repeats under a key.
    counter = (after // 2).to_bytes(16, "big")
    encryptor = Cipher(algorithms.AES(seed), modes.CTR(counter)).encryptor()
    out = bytearray(8 * words + 16)
    view, zeros = memoryview(out), bytes(CHUNK)
    for at in range(0, 8 * words, CHUNK):
        size = min(CHUNK, 8 * words - at)
        encryptor.update_into(zeros[:size], view[at : at + size + 15])
    return np.frombuffer(out, np.dtype("<u8"), words).astype(np.uint64, copy=False)


def split(
    words: Words, random: Callable[[int], bytes] = os.urandom
) -> tuple[bytes, Words]:
    """Return the two shares: a seed for the first hub, words (2, n) for the second."""
    seed = random(SEED_BYTES)
    mask = stream(seed, words.size).reshape(words.shape)
    return seed, words - mask


def add(shares: Sequence[Words]) -> Words:
    """Return the sum modulo 2^64 of shares of one shape, in any order the same."""
    total = np.zeros_like(shares[0])
    for share in shares:
        total += share
    return total
