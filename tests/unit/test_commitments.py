"""A root binds acts and hides them; keys are destroyed one by one."""

import hashlib
import hmac
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from hetao.errors import Unverified, Usage
from hetao.ledger import merkle
from hetao.ledger.commitments import (
    Opened,
    PersonKeys,
    Tiles,
    act_leaf,
    act_leaves,
    keyed,
    nonces,
    secret_for,
    sized_root,
)

SEED, MASTER = bytes(range(32)), bytes(32)


def _leaves(size):
    return [merkle.leaf_hash(str(i).encode()) for i in range(size)]


@pytest.mark.parametrize(
    "size", [1, 2, 3, 255, 256, 257, 511, 512, 513, 1023, 1025, 65_535, 65_537, 70_001]
)
def test_the_kept_part_gives_the_roots_and_paths_of_the_whole_tree(size):
    leaves = _leaves(size)
    tiles = Tiles.from_leaves(b"".join(leaves))

    assert tiles.root == merkle.root(leaves)
    for index in {0, size // 3, size // 2, size - 1, size - 1 - (size - 1) % 256}:
        start = index - index % 256
        path = tiles.path(index, leaves[start : start + 256])
        assert path == merkle.inclusion_path(index, leaves)


def test_the_kept_part_is_an_eighth_of_a_byte_an_act():
    tiles = Tiles.from_leaves(b"".join(_leaves(70_000)))

    assert len(tiles.as_bytes()) / 70_000 < 0.13
    again = Tiles.from_bytes(tiles.as_bytes(), 70_000, tiles.root)
    assert again.root == tiles.root
    assert again.levels == tiles.levels


@pytest.mark.parametrize("size", [0, 1, 256, 257, 65_536, 65_537])
def test_the_kept_part_is_read_as_it_was_written(size):
    tiles = Tiles.from_leaves(b"".join(_leaves(size)))
    again = Tiles.from_bytes(tiles.as_bytes(), size, tiles.root)

    assert (again.levels, again.size) == (tiles.levels, size)


def test_a_kept_part_that_was_changed_is_found_out():
    leaves = _leaves(70_000)
    tiles = Tiles.from_leaves(b"".join(leaves))
    data, path = tiles.as_bytes(), tiles.path(69_999, leaves[-112:])

    for other in (data[:-1] + b"\0", data[:-32], data + bytes(32), b""):
        with pytest.raises(Unverified):
            Tiles.from_bytes(other, 70_000, tiles.root)
    with pytest.raises(Unverified):
        Tiles.from_bytes(data, 70_000, bytes(32))
    for place in range(0, len(data), 97):
        bent = bytes(byte ^ (n == place) for n, byte in enumerate(data))
        try:
            found = Tiles.from_bytes(bent, 70_000, tiles.root)
            assert found.path(69_999, leaves[-112:]) == path
        except Unverified:
            continue
        assert place < 256 * 32  # of another tile's group, through which none goes


def test_leaves_of_other_tables_give_no_path():
    leaves = _leaves(300)
    tiles = Tiles.from_leaves(b"".join(leaves))

    with pytest.raises(Unverified, match="no longer what was committed"):
        tiles.path(0, [bytes(32), *leaves[1:256]])
    with pytest.raises(Usage):
        tiles.path(300, leaves[256:])


@given(people=st.integers(1, 40), gone=st.sets(st.integers(0, 39), max_size=12))
@settings(max_examples=60)
def test_a_destroyed_key_is_gone_and_all_others_stand(people, gone):
    keys = PersonKeys.sown(SEED, people)
    before = [keys.of(place) for place in range(people)]
    gone = {place for place in gone if place < people}
    for place in sorted(gone):
        keys = keys.without(place)

    after = keys.each(people)
    assert after == [None if n in gone else key for n, key in enumerate(before)]
    assert after == [keys.of(place) for place in range(people)]
    assert len(set(before)) == people
    # Nothing that is kept stands above a destroyed key, so none follows from it.
    above = {
        (level, n >> (keys.height - level))
        for n in gone
        for level in range(99)
        if level <= keys.height
    }
    assert not above & set(keys.kept)


def test_a_key_is_destroyed_once():
    keys = PersonKeys.sown(SEED, 5).without(3)

    with pytest.raises(Usage):
        keys.without(3)


def test_nonces_are_a_stream_of_aes_256_in_counter_mode_from_two():
    key = bytes.fromhex(
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    )
    stream = Cipher(algorithms.AES(key), modes.CTR((2).to_bytes(16, "big"))).encryptor()

    assert nonces(key, 200) == stream.update(bytes(32 * 200))
    assert nonces(key, 2)[:32] == nonces(key, 1)
    assert len({nonces(key, 64)[n : n + 32] for n in range(0, 2048, 32)}) == 64


def test_a_secret_keyed_once_is_hmac_of_the_standard_library():
    for length, said in ((0, b""), (32, b"x"), (64, b"y" * 200)):
        secret = bytes(range(length))
        assert keyed(secret)(said) == hmac.digest(secret, said, "sha256")


def test_each_extract_and_purpose_has_a_secret_of_its_own():
    made = {
        secret_for(master, purpose, extract)
        for master in (MASTER, SEED)
        for purpose in (b"order", b"nonce")
        for extract in (b"1" * 16, b"2" * 16)
    }
    assert len(made) == 8


def test_equal_acts_have_unlike_leaves():
    stream = nonces(SEED, 3)
    leaves = [act_leaf(stream[n : n + 32], b"same") for n in (0, 32, 64)]

    assert len(set(leaves)) == 3
    acts = b"".join(stream[n : n + 32] + b"sa" for n in (0, 32, 64))
    found = act_leaves(memoryview(acts), [0, 34, 68, 102], b"mememe", [0, 2, 4, 6])
    assert found == b"".join(leaves)
    assert (
        act_leaf(bytes(32), b"x") == hashlib.sha256(b"\0" + bytes(32) + b"x").digest()
    )


def _opened():
    leaves = [act_leaf(bytes(32), str(n).encode()) for n in range(300)]
    tiles = Tiles.from_leaves(b"".join(leaves))
    path = tuple(tiles.path(7, leaves[:256]))
    return Opened(b"7", bytes(32), 7, 300, path, tiles.root)


def test_an_opened_act_is_held_to_the_published_root():
    opened = _opened()
    opened.check(sized_root(300, opened.tree))

    with pytest.raises(Unverified):
        opened.check(sized_root(301, opened.tree))


@pytest.mark.parametrize(
    "change",
    [
        {"act": b"8"},
        {"nonce": b"1" + bytes(31)},
        {"nonce": bytes(31)},
        {"index": 8},
        {"size": 299},
        {"path": ()},
        {"tree": bytes(32)},
    ],
    ids=str,
)
def test_a_changed_opening_is_refused(change):
    opened = _opened()
    with pytest.raises(Unverified):
        replace(opened, **change).check(sized_root(300, opened.tree))
