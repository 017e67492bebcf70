"""A tag on every share, so that a hub that changes a sum is found out.

A site multiplies each word that it seals with a secret 64-bit factor, adds the products
and a secret pad modulo 2^128, and splits the tag between the hubs as it splits the
words. Factors and pads come from a key that the coordinator gives the sites with the
task, and no hub. Tags are linear: the tags of all sites add up to the tag of the sum.
Hubs add both blindly. Who changes the sum must change its tag by what only the factors
tell: of 2^64 tries one goes unnoticed.

Source:
    The tag is that of SPDZ2k (Cramer, Damgård, Escudero, Scholl & Xing, CRYPTO 2018)
    for one use: words of 64 bits, factors of 64, tags modulo 2^128; the pad is that of
    Wegman & Carter (1981). Laws: `tests/laws/test_tag.py`. Specification:
    `docs/specs/securesum.md`; why so: `docs/decisions/0016-tags.md`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from hetao.canonical import digest_bytes
from hetao.errors import BadEnvelope, ChangedSum, WrongShape
from hetao.release.seal import SEED_BYTES, Words, stream

MODULUS: Final = 1 << 128
CHUNK: Final = 1 << 15  # words at a time: what fits the cache
LOW: Final = np.uint64(2**32 - 1)
HALF: Final = np.uint64(32)


def tag_of(words: Words, key: bytes, members: Sequence[str], site: str) -> int:
    """Return a site's tag of its words.

    Args:
        words: (2, n) of `encode`, the count word included.
        key: 16 bytes, for this sum alone.
        members: of the sum, frozen and in order.
        site: one of them.
    """
    pads = _pads(key, words.size, len(members))
    return (_product(words, key) + pads[list(members).index(site)]) % MODULUS


def check_tag(
    words: Words, tags: Sequence[int], key: bytes, members: Sequence[str], task: str
) -> None:
    """Return quietly if summed words are those that the sites tagged.

    Args:
        words: (2, n), the sum of both hubs' words.
        tags: each hub's sum of tags.
        key: of this sum.
        members: of the sum, in order.
        task: to name in an error.

    Raises:
        ChangedSum: a hub changed the sum; which of them, the tag does not tell.
    """
    pads = sum(_pads(key, words.size, len(members)))
    if (sum(tags) - _product(words, key) - pads) % MODULUS:
        raise ChangedSum(
            f"the sum of {task} is not what the sites sealed: a hub changed it",
            fix="have both hubs' operators compare their logs; trust no sum of theirs",
        )


def split_tag(tag: int, seed: bytes, words: int) -> int:
    """Return the second hub's share of a tag; the first one's is `mask` of the seed."""
    return (tag - mask(seed, words)) % MODULUS


def mask(seed: bytes, words: int) -> int:
    """Return 128 bits of a seed's stream, those after the mask of so many words."""
    low, high = stream(seed, 2, after=words).tolist()
    return int(low) + (int(high) << 64)


def tag_text(tag: int) -> str:
    """Return a tag as messages hold it: 32 hex digits."""
    return f"{tag % MODULUS:032x}"


def tag_digest(tag: int) -> str:
    """Return what a hub signs of its sum of tags: the digest of its 16 bytes.

    The sum itself is one equation over the exact words for whoever has the key, and
    the key stands in signed records. One hub's sum is uniform over 2^128, so that its
    digest gives nothing of it away.
    """
    return digest_bytes(bytes.fromhex(tag_text(tag)))


def tag_from(text: object) -> int:
    """Return the tag in a message.

    Raises:
        BadEnvelope: it is none.
    """
    if not isinstance(text, str) or len(text) != 32:
        raise BadEnvelope("a share or sum bears no tag")
    try:
        return int.from_bytes(bytes.fromhex(text), "big")
    except ValueError:
        raise BadEnvelope("a share or sum bears a garbled tag") from None


def key_from(meta: Mapping[str, Any]) -> bytes:
    """Return the key of tags that a task or a record holds.

    Raises:
        WrongShape: there is none.
    """
    text = meta.get("key")
    if isinstance(text, str) and len(text) == 2 * SEED_BYTES:
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    raise WrongShape("the task brings no key for the tags of its sum")


def new_key(secret: bytes) -> str:
    """Return the key, as a task holds it, that a secret of this sum alone gives."""
    return hashlib.sha256(secret).digest()[:SEED_BYTES].hex()


def _pads(key: bytes, words: int, members: int) -> list[int]:
    """Return each member's pad: the stream's words after the factors, two each."""
    flat = stream(key, 2 * members, after=words).tolist()
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return [int(low) + (int(high) << 64) for low, high in pairs]


def _product(words: Words, key: bytes) -> int:
    """Return the sum of factor times word, exactly; `high` words are signed."""
    factors = stream(key, words.size)
    flat = words.ravel()
    whole = 0
    for at in range(0, len(flat), CHUNK):
        a, b = factors[at : at + CHUNK], flat[at : at + CHUNK]
        a0, a1, b0, b1 = a & LOW, a >> HALF, b & LOW, b >> HALF
        whole += _exact(a0 * b0) + (_exact(a1 * b1) << 64)
        whole += (_exact(a0 * b1) + _exact(a1 * b0)) << 32
    # The upper row is two's complement: a set top bit takes 2^64 off.
    negative = words[0].view(np.int64) < 0
    return whole - (_exact(factors[: words.shape[1]][negative]) << 64)


def _exact(values: Words) -> int:
    """Return the exact sum of fewer than 2^32 words."""
    return int((values & LOW).sum()) + (int((values >> HALF).sum()) << 32)
