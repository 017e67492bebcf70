"""Tokens of shares, by which two hubs find that a count is small and nothing else.

Two hubs hold a + b = 256 · count modulo 2^64 of each combination: the upper words of a
sealed sum. With a secret that only they have, the first makes one token of each a, the
second one of each 256 · s - b for s from 1 to cell - 1, and both sort them. A token
that both have is a count of 1 to cell - 1. To whoever has not the secret, tokens are
random and in no order: they tell how many counts are small, not which, nor any count.
Tokens of the last word, of which the sum is known, must agree: else the hubs would have
added unlike shares, or had unlike secrets, and would find nothing whatever there is.

Source:
    Private simultaneous messages: Feige, Kilian & Naor (STOC 1994). The secret is a
    static X25519 agreement, HKDF-SHA256 (RFC 5869) with all that it is for; tokens are
    HMAC-SHA256. Laws: `tests/laws/test_sealed_count.py`. Specification:
    `docs/specs/securesum.md`; why so: `docs/decisions/0025-sealed-counts.md`.
"""

import hmac
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from hetao.canonical import canonical, digest_bytes
from hetao.errors import BadEnvelope, WrongShape
from hetao.ledger.sealed_counts import TOKEN, TYPE
from hetao.permit import Identity, Party
from hetao.release.seal import FRACTION_BITS, WORD_BITS, Words

DOMAIN: Final = b"hetao-sealed-count-v1\n"
MODULUS: Final = 1 << 64
ONE: Final = 1 << (FRACTION_BITS - WORD_BITS)  # a person, in the upper word
MOST_TOKENS: Final = 1 << 20
COUNT, CONTROL = b"count", b"parts"


def count_of(
    identity: Identity,
    hubs: Sequence[Party],
    place: Mapping[str, Any],
    words: Words,
    least: Sequence[object],
) -> tuple[dict[str, Any], NDArray[np.uint64]]:
    """Return what a hub signs of a sealed count, and its tokens.

    Args:
        identity: of the hub.
        hubs: both, in the permit's order.
        place: what it is of, and `shares`, site → digest of the share that was added.
        words: (2, n + 1), the sum of the shares.
        least: what each site sent as the smallest count that is not small there.

    Returns:
        The body of the statement; a nonce and the tokens in order, (k, 2), 16 bytes
        each.

    Raises:
        BadEnvelope: a site sent no such count.
        WrongShape: there are too many combinations.
        ValueError: the other hub's key is no key.
    """
    if any(type(one) is not int or one < 1 for one in least):
        raise BadEnvelope("a site does not say which counts are small")
    first, second = hubs
    is_first = identity.name == first.name
    other = second if is_first else first
    cell, size = max(one for one in least if isinstance(one, int)), words.shape[1] - 1
    members = sorted(place["shares"])
    what = {name: text for name, text in place.items() if name not in ("hub", "shares")}
    what |= {"cell": cell, "combinations": size, "members": members}
    what |= {"hubs": [[hub.name, hub.seal] for hub in hubs]}
    secret = secret_of(identity.sealing_key, other.seal_key, what)
    tokens, control = tokens_of(words, secret, cell, len(members), first=is_first)
    body = {
        **place,
        "type": TYPE,
        "cell": cell,
        "combinations": size,
        "control": control,
        "tokens": digest_bytes(tokens),
    }
    return body, np.frombuffer(tokens, "<u8").reshape(-1, TOKEN // 8)


def secret_of(
    own: X25519PrivateKey, other: X25519PublicKey, what: Mapping[str, Any]
) -> bytes:
    """Return the 32 bytes that two hubs alone can make, of either one's secret key.

    Args:
        own: key of this hub.
        other: key of the other hub.
        what: everything that it is for; for anything else it is another one.

    Raises:
        ValueError: the other's key is no key.
    """
    info = DOMAIN + canonical(what)
    return HKDF(SHA256(), 32, salt=None, info=info).derive(own.exchange(other))


def tokens_of(
    words: Words, secret: bytes, cell: int, members: int, *, first: bool
) -> tuple[bytes, str]:
    """Return a nonce and a hub's sorted tokens, one after the other, and its control.

    Args:
        words: (2, n + 1), the sum of its shares; the last is of the number of parts.
        secret: of `secret_of`.
        cell: smallest count that is not small.
        members: how many parts the sum holds.
        first: whether this is the permit's first hub.

    Raises:
        WrongShape: there would be too many.
    """
    *own, parts = words[0].tolist()
    sums = (0,) if first else range(1, cell)
    if len(own) * max(len(sums), 1) > MOST_TOKENS:
        raise WrongShape("a sealed count has too many combinations for its least count")
    tokens = sorted(
        _token(secret, COUNT, place, word if first else ONE * count - word)
        for place, word in enumerate(own)
        for count in sums
    )
    control = parts if first else ONE * members - parts
    nonce = os.urandom(TOKEN)  # so that nobody tries counts out on the tokens' digest
    return b"".join([nonce, *tokens]), _token(secret, CONTROL, 0, control).hex()


def _token(secret: bytes, what: bytes, place: int, value: int) -> bytes:
    told = place.to_bytes(8, "big") + (value % MODULUS).to_bytes(8, "big")
    return hmac.digest(secret, what + told, "sha256")[:TOKEN]
