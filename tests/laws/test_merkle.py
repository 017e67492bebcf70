"""Proofs of the tree hold exactly for what they prove."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetao.errors import Unverified, Usage
from hetao.ledger.merkle import (
    EMPTY_ROOT,
    LARGEST_SIZE,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    root,
    verify_consistency,
    verify_inclusion,
)

VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "ledger" / "merkle.json").read_text()
)
LEAVES = [leaf_hash(i.to_bytes(4, "big")) for i in range(300)]


def hashes(texts):
    return [bytes.fromhex(text) for text in texts]


PUBLISHED_LEAVES = [leaf_hash(entry) for entry in hashes(VECTORS["entries"])]
PUBLISHED_ROOTS = hashes(VECTORS["roots"])


# --- The RFC's own words, as slowly as it says them ---------------------------------
def rfc_split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def rfc_root(leaves):
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = rfc_split(len(leaves))
    return node_hash(rfc_root(leaves[:k]), rfc_root(leaves[k:]))


def rfc_path(m, leaves):
    if len(leaves) == 1:
        return []
    k = rfc_split(len(leaves))
    if m < k:
        return [*rfc_path(m, leaves[:k]), rfc_root(leaves[k:])]
    return [*rfc_path(m - k, leaves[k:]), rfc_root(leaves[:k])]


def rfc_subproof(m, leaves, is_whole):
    if m == len(leaves):
        return [] if is_whole else [rfc_root(leaves)]
    k = rfc_split(len(leaves))
    if m <= k:
        return [*rfc_subproof(m, leaves[:k], is_whole), rfc_root(leaves[k:])]
    return [*rfc_subproof(m - k, leaves[k:], False), rfc_root(leaves[:k])]


# --- Published vectors --------------------------------------------------------------
def test_the_published_roots_come_out():
    assert root([]) == EMPTY_ROOT == bytes.fromhex(VECTORS["empty_root"])
    for size, expected in enumerate(PUBLISHED_ROOTS, start=1):
        assert root(PUBLISHED_LEAVES[:size]) == expected


@pytest.mark.parametrize("case", VECTORS["inclusion"])
def test_the_published_inclusion_paths_come_out(case):
    index, size, path = case["index"], case["size"], hashes(case["path"])
    leaf = PUBLISHED_LEAVES[index]

    assert inclusion_path(index, PUBLISHED_LEAVES[:size]) == path
    verify_inclusion(index, size, leaf, path, PUBLISHED_ROOTS[size - 1])


@pytest.mark.parametrize("case", VECTORS["consistency"])
def test_the_published_consistency_paths_come_out(case):
    old, new, path = case["old"], case["new"], hashes(case["path"])
    old_root, new_root = PUBLISHED_ROOTS[old - 1], PUBLISHED_ROOTS[new - 1]

    assert consistency_path(old, PUBLISHED_LEAVES[:new]) == path
    verify_consistency(old, new, old_root, new_root, path)


# --- Every proof of every small tree ------------------------------------------------
@pytest.mark.parametrize("size", range(1, 66))
def test_every_proof_of_a_small_tree_is_the_rfcs_and_holds(size):
    leaves = LEAVES[:size]
    top = root(leaves)
    assert top == rfc_root(leaves)
    for index in range(size):
        path = inclusion_path(index, leaves)
        assert path == rfc_path(index, leaves)
        verify_inclusion(index, size, leaves[index], path, top)
    for old in range(1, size + 1):
        path = consistency_path(old, leaves)
        assert path == rfc_subproof(old, leaves, True)
        verify_consistency(old, size, root(leaves[:old]), top, path)
    verify_consistency(0, size, EMPTY_ROOT, top, [])


@pytest.mark.parametrize("size", [255, 256, 257, 258])
def test_proofs_hold_where_a_tile_fills(size):
    leaves = LEAVES[:size]
    top = root(leaves)
    for index in (0, 1, 127, 128, 254, size - 2, size - 1):
        path = inclusion_path(index, leaves)
        assert path == rfc_path(index, leaves)
        verify_inclusion(index, size, leaves[index], path, top)
    for old in (1, 2, 64, 127, 128, 129, 254, 255, size - 1, size):
        path = consistency_path(old, leaves)
        assert path == rfc_subproof(old, leaves, True)
        verify_consistency(old, size, root(leaves[:old]), top, path)


# --- What does not hold -------------------------------------------------------------
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13])
def test_a_path_proves_one_index_of_one_size_only(size):
    leaves = LEAVES[:size]
    top = root(leaves)
    for index in range(size):
        path = inclusion_path(index, leaves)
        for claimed in range(size):
            if claimed != index:
                with pytest.raises(Unverified):
                    verify_inclusion(claimed, size, leaves[index], path, top)


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_a_changed_inclusion_proof_is_refused(data):
    size = data.draw(st.integers(2, 70))
    index = data.draw(st.integers(0, size - 1))
    leaves = LEAVES[:size]
    parts = [leaves[index], root(leaves), *inclusion_path(index, leaves)]
    which = data.draw(st.integers(0, len(parts) - 1))

    parts[which] = flipped(data, parts[which])

    with pytest.raises(Unverified):
        verify_inclusion(index, size, parts[0], parts[2:], parts[1])


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_a_changed_consistency_proof_is_refused(data):
    new = data.draw(st.integers(2, 70))
    old = data.draw(st.integers(1, new))
    leaves = LEAVES[:new]
    parts = [root(leaves[:old]), root(leaves), *consistency_path(old, leaves)]
    which = data.draw(st.integers(0, len(parts) - 1))

    parts[which] = flipped(data, parts[which])

    with pytest.raises(Unverified):
        verify_consistency(old, new, parts[0], parts[1], parts[2:])


def flipped(data, value):
    bit = data.draw(st.integers(0, 8 * len(value) - 1))
    return (int.from_bytes(value, "big") ^ 1 << bit).to_bytes(len(value), "big")


@pytest.mark.parametrize(("old", "new"), [(1, 2), (3, 7), (4, 7), (6, 8), (7, 13)])
def test_every_byte_of_a_consistency_proof_counts(old, new):
    old_root, new_root = root(LEAVES[:old]), root(LEAVES[:new])
    path = consistency_path(old, LEAVES[:new])
    for which, value in enumerate(path):
        for at in range(32):
            bad = bytearray(value)
            bad[at] ^= 0x55
            changed = [*path[:which], bytes(bad), *path[which + 1 :]]
            with pytest.raises(Unverified):
                verify_consistency(old, new, old_root, new_root, changed)


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 2), (5, 8), (6, 7), (12, 13)])
def test_every_byte_of_an_inclusion_proof_counts(index, size):
    leaf, top = LEAVES[index], root(LEAVES[:size])
    path = inclusion_path(index, LEAVES[:size])
    for which, value in enumerate(path):
        for at in range(32):
            bad = bytearray(value)
            bad[at] ^= 0x55
            changed = [*path[:which], bytes(bad), *path[which + 1 :]]
            with pytest.raises(Unverified):
                verify_inclusion(index, size, leaf, changed, top)


@pytest.mark.parametrize("size", [1, 2, 7, 8, 64])
def test_a_path_of_another_length_is_refused(size):
    leaves, top = LEAVES[:size], root(LEAVES[:size])
    path = inclusion_path(size - 1, leaves)
    growth = consistency_path(1, leaves)
    for wrong in ([*path, LEAVES[0]], [LEAVES[0], *path], path[1:], path[:-1]):
        if wrong != path:
            with pytest.raises(Unverified):
                verify_inclusion(size - 1, size, leaves[-1], wrong, top)
    for wrong in ([*growth, LEAVES[0]], [LEAVES[0], *growth], growth[1:], growth[:-1]):
        if wrong != growth:
            with pytest.raises(Unverified):
                verify_consistency(1, size, leaves[0], top, wrong)


@given(old=st.integers(1, 60), new=st.integers(1, 60), fork=st.integers(0, 59))
@settings(deadline=None)
def test_a_forked_tree_is_never_shown_consistent(old, new, fork):
    old, new = min(old, new), max(old, new)
    forked = LEAVES[:new]
    forked[fork % old] = leaf_hash(b"forged")

    with pytest.raises(Unverified):
        verify_consistency(
            old, new, root(LEAVES[:old]), root(forked), consistency_path(old, forked)
        )


@pytest.mark.parametrize(
    ("old", "new", "old_root", "new_root", "path"),
    [
        (0, 0, EMPTY_ROOT, LEAVES[0], []),
        (0, 1, LEAVES[1], LEAVES[0], []),
        (0, 1, EMPTY_ROOT, LEAVES[0], [LEAVES[0]]),
        (1, 1, LEAVES[0], LEAVES[1], []),
        (1, 1, LEAVES[0], LEAVES[0], [LEAVES[0]]),
        (2, 1, root(LEAVES[:2]), LEAVES[0], []),
        (-1, 1, EMPTY_ROOT, LEAVES[0], []),
        (True, 1, LEAVES[0], LEAVES[0], []),
        (1.0, 1, LEAVES[0], LEAVES[0], []),
        (1, 10**400, LEAVES[0], LEAVES[0], []),
        (1, 2, LEAVES[0], root(LEAVES[:2]), None),
        (1, 2, LEAVES[0], root(LEAVES[:2]), LEAVES[1]),
        (1, 2, LEAVES[0], root(LEAVES[:2]), [LEAVES[1].hex()]),
        (1, 2, LEAVES[0], root(LEAVES[:2]), [LEAVES[1] + b"\0"]),
        (1, 2, None, root(LEAVES[:2]), [LEAVES[1]]),
        (1, 2, LEAVES[0], b"", [LEAVES[1]]),
    ],
)
def test_a_senseless_consistency_proof_raises_one_type(
    old, new, old_root, new_root, path
):
    with pytest.raises(Unverified):
        verify_consistency(old, new, old_root, new_root, path)


@pytest.mark.parametrize(
    ("index", "size", "leaf", "path", "top"),
    [
        (0, 0, LEAVES[0], [], EMPTY_ROOT),
        (1, 1, LEAVES[0], [], LEAVES[0]),
        (-1, 1, LEAVES[0], [], LEAVES[0]),
        (False, 1, LEAVES[0], [], LEAVES[0]),
        ("0", 1, LEAVES[0], [], LEAVES[0]),
        (0, 2**63, LEAVES[0], [LEAVES[0]] * 63, LEAVES[0]),
        (0, 1, LEAVES[0], None, LEAVES[0]),
        (0, 1, LEAVES[0], b"", LEAVES[0]),
        (0, 1, LEAVES[0].hex(), [], LEAVES[0]),
        (0, 1, LEAVES[0][:31], [], LEAVES[0][:31]),
        (0, 2, LEAVES[0], [""], root(LEAVES[:2])),
    ],
)
def test_a_senseless_inclusion_proof_raises_one_type(index, size, leaf, path, top):
    with pytest.raises(Unverified):
        verify_inclusion(index, size, leaf, path, top)


def test_the_largest_tree_is_still_verified():
    top = LEAVES[0]
    for sibling in LEAVES[:63]:
        top = node_hash(top, sibling)

    verify_inclusion(0, LARGEST_SIZE, LEAVES[0], LEAVES[:63], top)


def test_what_the_tree_never_had_is_not_proved():
    for index in (-1, 3):
        with pytest.raises(Usage):
            inclusion_path(index, LEAVES[:3])
    for old in (-1, 4):
        with pytest.raises(Usage):
            consistency_path(old, LEAVES[:3])


def test_a_leaf_is_never_a_node():
    left, right = LEAVES[:2]

    assert leaf_hash(left + right) != node_hash(left, right)
