"""What a hub signs of a sealed count, held to its tokens made by hand."""

import hmac

import numpy as np
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hetao.canonical import canonical, digest_bytes
from hetao.errors import BadEnvelope, WrongShape
from hetao.permit import new_identity
from hetao.release import sealed_count
from hetao.release.sealed_count import count_of, tokens_of

IDENTITIES = [new_identity(f"hub-{side}") for side in ("hk", "sz")]
HUBS = [one.party("HK", "hub", "An owner") for one in IDENTITIES]
COUNTS = np.array([0, 1, 2, 3, 40], np.uint64)
PLACE = {"study": "s", "task": "t", "shares": {"b": "y", "a": "x"}}


def words_of(counts=COUNTS, members=2):
    """Return both hubs' words of these counts, and of the number of parts."""
    whole = np.append(counts, np.uint64(members)) << np.uint64(8)
    own = np.arange(len(whole), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    low = np.zeros(len(whole), np.uint64)
    return np.stack([own, low]), np.stack([whole - own, low])


def counted(least=(3, 2), counts=COUNTS):
    """Return (body, tokens) of each hub."""
    return [
        count_of(one, HUBS, {"hub": one.name, **PLACE}, words, least)
        for one, words in zip(IDENTITIES, words_of(counts), strict=True)
    ]


def secret(cell, combinations):
    what = {"study": "s", "task": "t", "cell": cell, "combinations": combinations}
    what |= {"members": ["a", "b"], "hubs": [[hub.name, hub.seal] for hub in HUBS]}
    shared = IDENTITIES[0].sealing_key.exchange(HUBS[1].seal_key)
    info = b"hetao-sealed-count-v1\n" + canonical(what)
    return HKDF(SHA256(), 32, salt=None, info=info).derive(shared)


def token(key, kind, place, value):
    told = place.to_bytes(8, "big") + int(value).to_bytes(8, "big")
    return hmac.digest(key, kind + told, "sha256")[:16]


def test_hubs_sign_one_count_and_their_tokens_meet_at_what_is_small():
    (first, own), (second, other) = counted()

    key, words = secret(3, 5), words_of()
    mine = {token(key, b"count", i, word) for i, word in enumerate(words[0][0, :-1])}
    assert {row.tobytes() for row in own[1:]} == mine
    assert (own.shape, other.shape) == ((1 + 5, 2), (1 + 5 * 2, 2))
    assert len(mine & {row.tobytes() for row in other[1:]}) == 2  # one, and two
    control = token(key, b"parts", 0, words[0][0, -1]).hex()
    for body, rows, hub in ((first, own, "hub-hk"), (second, other, "hub-sz")):
        assert body == {
            **PLACE,
            "hub": hub,
            "type": sealed_count.TYPE,
            "cell": 3,
            "combinations": 5,
            "control": control,
            "tokens": digest_bytes(rows.astype("<u8").tobytes()),
        }


def test_where_nothing_is_small_a_hub_has_no_tokens():
    (_, own), (body, other) = counted(least=(1, 1))

    assert (len(own), len(other), body["cell"]) == (1 + 5, 1, 1)


@pytest.mark.parametrize("least", [(3, 0), (3, None), (3, True), (3, "4"), (-1,)])
def test_a_site_that_does_not_say_what_is_small_is_refused(least):
    with pytest.raises(BadEnvelope, match="does not say which counts are small"):
        counted(least)


@pytest.mark.parametrize(("cell", "is_first"), [(9, True), (1, False), (3, False)])
def test_just_so_many_tokens_are_made(monkeypatch, cell, is_first):
    each = cell - 1 if cell > 1 and not is_first else 1
    monkeypatch.setattr(sealed_count, "MOST_TOKENS", 5 * each)
    tokens_of(words_of()[0], b"k", cell, 2, first=is_first)

    monkeypatch.setattr(sealed_count, "MOST_TOKENS", 5 * each - 1)
    with pytest.raises(WrongShape, match="too many combinations"):
        tokens_of(words_of()[0], b"k", cell, 2, first=is_first)
